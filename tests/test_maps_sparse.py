"""Maps of which nearly all derivatives are zero: their entries by hand are those of every way, zeros and all."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import difflab as dl
from difflab import maps_sparse
from difflab.backends import find
from difflab.harness.certify import certified
from difflab.maps_sparse import ARROW, BATCH, BIDIAGONAL, BUNDLE, BURGERS, CONVOLUTION_1D, ENTRIES, Entries
from difflab.operators import source

MAPS = (BURGERS, BUNDLE, BIDIAGONAL, CONVOLUTION_1D, ARROW, BATCH)
NUMBERS = {  # entries of the tiny map that are not zero for their place alone
    "burgers": 3 * 12, "bundle": 6 * (2 * (10 + 3 + 1) + 1), "bidiagonal": 2 * 11, "convolution-1d": 5 * 8,
    "arrow": 12 + 2 * 11, "batch": 5 * 4 * 8,
}  # fmt: skip


def entries_of(name: str, size, dtype: str = "float64", seed: int = 0) -> Entries:
    made = ENTRIES[name](size, np.random.default_rng(seed))
    return made.entries({"x": made.x.astype(dtype)}, *(one.astype(dtype) for one in made.data))


@pytest.mark.parametrize("problem", MAPS, ids=lambda one: one.name)
def test_the_jacobian_by_hand_is_the_certified_one(problem) -> None:
    made = problem.build("tiny", "float64", 3)
    found = source(made.loss, made.args, {}, 0, None)
    truth = certified(found.tape, found.example, found.wrt, "jacobian")
    assert truth.certified_text == "yes"
    value, by_hand = made.analytic(*made.args)
    assert np.array_equal(value, made.loss(*made.args))
    assert by_hand["x"].shape == (*value.shape, *made.args[0]["x"].shape)
    assert np.linalg.norm(by_hand["x"] - truth.high[0]) < 1e-14 * np.linalg.norm(truth.high[0])


@pytest.mark.parametrize("backend", ["reverse", "forward", "finite", "complex-step", "symbolic"])
@pytest.mark.parametrize("problem", MAPS, ids=lambda one: one.name)
def test_every_way_finds_the_jacobian_by_hand(problem, backend: str) -> None:
    made = problem.build("tiny", "float64", 1)
    found = dl.jacobian(made.loss, backend=find(backend))(*made.args)["x"]
    by_hand = made.analytic(*made.args)[1]["x"]
    assert np.max(np.abs(found - by_hand)) < (1e-7 if backend == "finite" else 1e-13) * np.max(np.abs(by_hand))


@pytest.mark.parametrize("problem", MAPS, ids=lambda one: one.name)
def test_the_entries_are_as_many_as_the_map_has_and_no_place_has_two(problem) -> None:
    found = entries_of(problem.name, problem.sizes["tiny"])
    assert found.values.size == NUMBERS[problem.name]
    assert len(set(zip(found.rows.tolist(), found.columns.tolist(), strict=True))) == found.values.size
    assert np.all(found.values != 0)


@pytest.mark.parametrize("problem", MAPS, ids=lambda one: one.name)
def test_entries_grow_with_the_map_and_not_with_its_jacobian(problem) -> None:
    """At the largest size, where the Jacobian would take gigabytes, its entries times a vector are the JVP."""
    made = problem.build(list(problem.sizes)[-1], "float64", 0)
    x, found = made.args[0]["x"], entries_of(problem.name, problem.sizes[list(problem.sizes)[-1]])
    tangent = np.random.default_rng(9).standard_normal(x.shape)
    value, slope = dl.jvp(lambda point: made.loss({"x": point}, *made.args[1:]), (x,), (tangent,))
    product = np.bincount(found.rows, found.values * tangent.ravel()[found.columns], value.size)
    assert found.values.size < 40 * value.size
    assert np.linalg.norm(product - slope.ravel()) < 1e-12 * np.linalg.norm(slope)


@pytest.mark.parametrize("problem", MAPS, ids=lambda one: one.name)
def test_in_single_precision_everything_is_single(problem) -> None:
    made = problem.build("tiny", "float32", 0)
    value, by_hand = made.analytic(*made.args)
    assert value.dtype == by_hand["x"].dtype == np.float32
    assert entries_of(problem.name, problem.sizes["tiny"], "float32").values.dtype == np.float32


def test_the_same_seed_gives_the_same_point_and_another_gives_another() -> None:
    for problem in MAPS:
        first, again, other = (problem.build("tiny", "float64", seed).args[0]["x"] for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_the_sizes_reach_those_of_benchmarks() -> None:
    assert BURGERS.sizes["full"]["n"] == 10**6
    assert BUNDLE.sizes["full"]["observations"] == 30_000
    assert next(iter(BATCH.sizes)) == "tiny"


def test_examples() -> None:
    failed, tried = doctest.testmod(maps_sparse)
    assert failed == 0
    assert tried >= 1
