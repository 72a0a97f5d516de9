"""Sparse Jacobians and Hessians by every backend, against the dense ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cupy_double
import numpy as np
import optree
import pytest
from scipy.sparse import csr_array
from sparse_cases import HESSIANS, JACOBIANS, X, burgers, convolved, dense

import difflab as dl
from difflab.backends import BUILT_IN, PEERS, find
from difflab.backends.many import products_of
from difflab.errors import UnsupportedError
from difflab.nesting import ready
from difflab.operators import source

TRUE = sorted({*BUILT_IN, *PEERS} - {"null", "analytic"})
"""The null backend gives zeros and the analytic one takes a gradient from its user; both have tests of their own."""
SECOND = sorted(set(TRUE) - {"scipy", "numdifftools"})
"""Those two refuse Hessians."""
WITHIN = {"finite": 2e-6, "scipy": 1e-5, "numdifftools": 1e-6}


def by_name(names: list[str]) -> list[Any]:
    peers = {name for name in PEERS if name not in {"scipy", "lambdify"}}
    return [pytest.param(name, marks=pytest.mark.peers) if name in peers else name for name in names]


def pairs(sparse: Any, full: Any) -> list[tuple[csr_array, np.ndarray]]:
    """Leaves of both trees side by side."""
    matrices = optree.tree_leaves(sparse)
    assert all(isinstance(matrix, csr_array) for matrix in matrices)
    return list(zip(matrices, map(np.asarray, optree.tree_leaves(full)), strict=True))


@pytest.mark.parametrize("case", JACOBIANS)
@pytest.mark.parametrize("name", by_name(TRUE))
def test_a_sparse_jacobian_is_the_dense_one(name: str, case: str) -> None:
    backend, here = find(name), JACOBIANS[case]
    reference = dense(here, "jacobian", backend)
    found = dl.jacobian(here.function, here.argnums, backend, sparse=True)(*here.args)
    for matrix, full in pairs(found, reference):
        assert matrix.dtype == full.dtype
        assert matrix.has_sorted_indices
        single = full.dtype == np.float32
        rtol = WITHIN.get(name, 1e-12) if not single else 5e-2 if name in WITHIN else 2e-5
        np.testing.assert_allclose(matrix.toarray(), full.reshape(matrix.shape), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("case", HESSIANS)
@pytest.mark.parametrize("name", by_name(SECOND))
def test_a_sparse_hessian_is_the_dense_one(name: str, case: str) -> None:
    backend, here = find(name), HESSIANS[case]
    reference = dense(here, "hessian", backend)
    found = dl.hessian(here.function, here.argnums, backend, sparse=True)(*here.args)
    rtol = 1e-4 if name in WITHIN else 1e-10
    for matrix, full in pairs(found, reference):
        assert matrix.dtype == full.dtype
        np.testing.assert_allclose(matrix.toarray(), full.reshape(matrix.shape), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("case", JACOBIANS)
def test_entries_of_the_own_modes_have_the_bits_of_their_dense_jacobian(mode: str, case: str) -> None:
    here = JACOBIANS[case]
    found = dl.jacobian(here.function, here.argnums, mode, sparse=True)(*here.args)
    for matrix, full in pairs(found, dense(here, "jacobian", mode)):
        np.testing.assert_array_equal(matrix.toarray(), full.reshape(matrix.shape))


@pytest.mark.parametrize("name", by_name(TRUE))
def test_a_prepared_one_says_what_it_needed(name: str) -> None:
    backend = find(name)
    prepared = dl.prepare(convolved, X, backend=backend, operator="jacobian", sparse=True)
    kinds, stats = products_of(backend), prepared.stats
    for at in (X, X[::-1].copy()):
        np.testing.assert_allclose(prepared(at).toarray(), dl.jacobian(convolved)(at), rtol=1e-5, atol=1e-6)
    if kinds.push is None and kinds.pull is None:
        assert stats["products"] == (0, 0)
        assert stats["formed_dense"] == (
            f"backend {backend.name!r} gives no products with a Jacobian but through the whole of it"
        )
    else:
        assert sum(stats["products"]) == 3
        assert stats["formed_dense"] == ""
    assert stats["nonzeros"] == 30
    assert stats["patterns"] == 1


@pytest.mark.parametrize("name", by_name(["symbolic", "scipy", "numdifftools", "lambdify", "casadi", "symengine"]))
def test_what_forms_whole_jacobians_forms_that_of_few_numbers(name: str) -> None:
    prepared = dl.prepare(convolved, X, backend=name, operator="jacobian", sparse=True)
    assert prepared.stats["products"] == (3, 0)
    assert prepared.stats.get("derivations", 1) == 1
    for at in (X, 3 * X[::-1]):
        np.testing.assert_allclose(prepared(at).toarray(), dl.jacobian(convolved)(at), rtol=1e-5, atol=1e-6)
    assert prepared.stats.get("derivations", 1) == 1, "the point is no part of the formulas"
    np.testing.assert_allclose(prepared.value(X), convolved(X))
    np.testing.assert_allclose(prepared.jvp((X,), (X,))[1], dl.jvp(convolved, (X,), (X,))[1], rtol=1e-5, atol=1e-6)


@dataclass(frozen=True)
class Whole:
    """A third party's backend that has Jacobians and nothing else."""

    name: str = "whole"
    family: str = "peer"
    capabilities: frozenset[str] = frozenset({"jacobian"})

    def unavailable(self) -> str | None:
        return None

    def predict(self, tape: Any, operator: str, wrt: tuple[int, ...]) -> Any:
        return dl.Reverse().predict(tape, operator, wrt)

    def prepare(self, source: Any, operator: str, example: Any) -> Any:
        return dl.Reverse().prepare(source, operator, example)


def test_a_third_partys_whole_jacobians() -> None:
    prepared = dl.prepare(convolved, X, backend=Whole(), operator="jacobian", sparse=True)
    assert prepared.stats["products"] == (3, 0)
    np.testing.assert_allclose(prepared(X).toarray(), dl.jacobian(convolved)(X), rtol=1e-14)
    there = dl.prepare(convolved, X + 1j, backend=Whole(), operator="jacobian", sparse=True)
    assert there.stats["formed_dense"].endswith("of functions of few numbers, and here numbers are complex")
    np.testing.assert_allclose(there(X + 2j).toarray(), dl.jacobian(convolved)(X + 2j), rtol=1e-14)


def test_formulas_of_few_numbers_follow_branches() -> None:
    def branching(x: Any) -> Any:
        return np.sin(x) * x[::-1] if x[0] > 0 else x * x

    prepared = dl.prepare(branching, X, backend="symbolic", operator="jacobian", sparse=True)
    for at in (X, -X, X):
        np.testing.assert_allclose(prepared(at).toarray(), dl.jacobian(branching)(at), rtol=1e-12, atol=1e-14)
    assert prepared.stats["traces"] == 2


@pytest.mark.parametrize("backend", ["scipy", "finite", "symbolic"])
def test_black_boxes_of_few_numbers_follow_branches_too(backend: str) -> None:
    def branching(x: Any) -> Any:
        return x**2 if x[0] > 0 else np.concatenate([x[1:] * x[:-1], x[:1]])

    prepared = dl.prepare(branching, X, operator="jacobian", backend=backend, sparse=True)
    for at in (X, -X, X):
        np.testing.assert_allclose(prepared(at).toarray(), dl.jacobian(branching)(at), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", [None, "forward", "reverse", "finite", "symbolic", "scipy"])
def test_nothing_depends_on_anything(backend: str | None) -> None:
    found = dl.jacobian(lambda x: np.ones(3) + 0 * x, backend=backend, sparse=True)(np.ones(3))
    assert (found.nnz, found.shape) == (0, (3, 3))


def test_what_is_in_no_product_does_not_move() -> None:
    pattern = np.diag([True, True, False])
    found = dl.jacobian(lambda x: np.stack([x[0] + x[2], x[1], x[2]]), backend="symbolic", sparse=pattern)(np.ones(3))
    np.testing.assert_array_equal(found.toarray(), np.diag([1.0, 1.0, 0.0]))


def test_zeros_of_the_null_backend_have_the_pattern() -> None:
    matrix = dl.jacobian(burgers, backend="null", sparse=True)(X)
    assert matrix.nnz == 36
    assert not matrix.toarray().any()
    assert dl.hessian(HESSIANS["chain"].function, backend="null", sparse=True)(X).nnz == 34


def test_a_gradient_by_hand_is_the_one_row() -> None:
    backend = dl.Analytic(lambda x: (np.sum(x**3), 3 * x**2))
    prepared = dl.prepare(lambda x: np.sum(x**3), X, backend=backend, operator="jacobian", sparse=True)
    np.testing.assert_array_equal(prepared(2 * X).toarray(), [3 * (2 * X) ** 2])
    with pytest.raises(UnsupportedError, match="needs one real output of shape"):
        dl.jacobian(convolved, backend=dl.Analytic(lambda x: (x, x)), sparse=True)(X)


# ------------------------------------------------------------------------------- perturbations


@pytest.mark.parametrize("backend", [dl.Finite(), dl.Finite("richardson"), dl.Finite(order=4), dl.ComplexStep()])
def test_coordinates_of_all_magnitudes_are_as_accurate_as_in_the_dense_jacobian(backend: Any) -> None:
    x = 10.0 ** np.linspace(-3, 6, 40) * np.where(np.arange(40) % 2, -1, 1)

    def function(x: Any) -> Any:
        y = x / 10.0 ** np.linspace(-3, 6, 40)
        return np.sin(y[1:]) * y[:-1] ** 2

    truth = dl.jacobian(function, backend="reverse")(x)
    largest = np.max(np.abs(truth), axis=0)
    errors = [np.max(np.abs(found - truth) / largest) for found in (
        dl.jacobian(function, backend=backend)(x), dl.jacobian(function, backend=backend, sparse=True)(x).toarray(),
    )]  # fmt: skip
    assert errors[1] <= 4 * errors[0] + 1e-15


def test_second_differences_of_all_magnitudes_too() -> None:
    x = 10.0 ** np.linspace(-3, 6, 20)
    scale = 1 / np.maximum(x, 1)

    def loss(x: Any) -> Any:
        y = x * scale
        return np.sum(np.sin(y[1:]) * y[:-1] ** 2)

    truth, sizes = dl.hessian(loss)(x), np.outer(scale, scale)
    errors = [
        np.max(np.abs(found - truth) / sizes)
        for found in (
            dl.hessian(loss, backend="finite")(x),
            dl.hessian(loss, backend="finite", sparse=True)(x).toarray(),
        )
    ]
    assert errors[1] <= 4 * errors[0]


def test_perturbations_evaluate_a_few_points_whatever_the_magnitudes() -> None:
    calls = 0

    def function(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return np.asarray(float(x[0])) * x  # no tape: an arrow without its first row

    x = 10.0 ** np.linspace(-3, 6, 40)
    pattern = np.eye(40, dtype=bool)
    pattern[:, 0] = True
    prepared = dl.prepare(function, x, backend="finite", operator="jacobian", sparse=pattern)
    calls = 0
    found = prepared(x).toarray()
    assert prepared.stats["products"] == (2, 0)
    assert calls == 6
    np.testing.assert_allclose(found, x[0] * np.eye(40) + np.outer(x, np.eye(40)[0]), rtol=1e-7, atol=1e-6)


def test_within_bounds_every_coordinate_finds_its_own_way() -> None:
    backend = dl.Finite(bounds=(0.0, 1.0))
    x = np.array([0.0, 1.0, 0.5, 0.0, 1.0])
    prepared = dl.prepare(lambda x: x[1:] * x[:-1], x, backend=backend, operator="jacobian", sparse=True)
    np.testing.assert_allclose(prepared(x).toarray(), dl.jacobian(lambda x: x[1:] * x[:-1])(x), atol=1e-9)
    assert prepared.stats["formed_dense"].startswith("backend 'finite' gives no products")


def test_a_black_box_needs_a_pattern_of_its_own() -> None:
    def black(x: Any) -> Any:
        return np.array([float(each) ** 2 for each in x])

    for backend in ("finite", dl.Finite(step=1e-4)):
        matrix = dl.jacobian(black, backend=backend, sparse=np.eye(12, dtype=bool))(X)
        np.testing.assert_allclose(matrix.toarray(), np.diag(2 * X), atol=1e-7)
    with pytest.raises(UnsupportedError) as raised:
        dl.jacobian(black, backend="finite", sparse=True)(X)
    assert str(raised.value) == (
        "`black` cannot be traced (dl.sparsity says why), so that the pattern of its jacobian is not known; give your "
        "own, as in sparse=scipy.sparse.csr_array(...)"
    )


# ------------------------------------------------------------------------------- many directions at once


@pytest.mark.parametrize("chunk", ["auto", 1, 2, 4])
@pytest.mark.parametrize(
    ("mode", "operator"), [("forward", "jacobian"), ("reverse", "jacobian"), ("reverse", "hessian")]
)
def test_any_chunk_gives_the_same(mode: str, operator: str, chunk: Any) -> None:
    here = (HESSIANS if operator == "hessian" else JACOBIANS)["chain" if operator == "hessian" else "projected"]
    backend = find(mode, chunk=chunk)
    prepared = dl.prepare(
        here.function, *here.args, argnums=here.argnums, backend=backend, operator=operator, sparse=True
    )
    for matrix, full in pairs(prepared(*here.args), dense(here, operator, backend)):
        np.testing.assert_allclose(matrix.toarray(), full.reshape(matrix.shape), rtol=1e-14)


@pytest.mark.parametrize("name", ["forward", "reverse", "finite", "symbolic"])
def test_many_products_are_the_single_ones_side_by_side(name: str) -> None:
    made = source(burgers, (X,))
    prepared = ready(find(name), made, "vjp")
    lanes = np.random.default_rng(0).normal(size=(5, 12))
    pushed, pulled = prepared.jvps([X], [lanes])[0], prepared.pullbacks([X], [lanes])[0]
    one = prepared.vjp([X])[1]
    for k, lane in enumerate(lanes):
        np.testing.assert_allclose(pushed[k], prepared.jvp([X], [lane])[1][0], rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(pulled[k], one([lane])[0], rtol=1e-13, atol=1e-13)
    assert not np.may_share_memory(pushed, lanes)
    assert not np.may_share_memory(pulled, lanes)
    assert [one.shape for one in find("forward").prepare(made, "jvps", [X]).jvps([X], [lanes[:0]])] == [(0, 12)]


# ------------------------------------------------------------------------------- a GPU


@pytest.mark.parametrize("backend", [None, "forward", "reverse", "finite", "complex-step", "symbolic"])
def test_products_stay_on_the_device_and_entries_come_to_the_host(
    backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cupy = cupy_double.install(monkeypatch)
    prepared = dl.prepare(burgers, cupy.asarray(X), backend=backend, operator="jacobian", sparse=True)
    found = prepared(cupy.asarray(2 * X))
    assert isinstance(found.data, np.ndarray)
    np.testing.assert_allclose(found.toarray(), dl.jacobian(burgers)(2 * X), rtol=1e-6, atol=1e-6)
    here = JACOBIANS["projected"]
    there_too = [cupy.asarray(one) for one in here.args]
    for matrix, full in pairs(
        dl.jacobian(here.function, here.argnums, backend, sparse=True)(*there_too), dense(here, "jacobian")
    ):
        np.testing.assert_allclose(matrix.toarray(), full.reshape(matrix.shape), rtol=1e-6, atol=1e-6)
