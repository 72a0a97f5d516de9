"""Functions with chosen numbers of inputs and outputs: derivatives by hand, costs, and who passes how often."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import difflab as dl
from difflab import maps
from difflab.backends import find
from difflab.errors import InputError
from difflab.harness.certify import certified
from difflab.harness.operation import Operation
from difflab.maps import HIDDEN, LAYERS, SHAPES, SQUARE_LAYER, TANH_MAP, WIDTHS
from difflab.operators import Source, source


def source_of(size: str) -> Source:
    made = TANH_MAP.build(size, "float64", 0)
    return source(made.loss, made.args, {}, 0, None)


@pytest.mark.parametrize("size", TANH_MAP.sizes)
def test_a_map_has_the_inputs_and_outputs_of_its_name(size: str) -> None:
    made = TANH_MAP.build(size, "float64", 0)
    assert f"{made.n_params}x{made.loss(*made.args).size}" == size
    assert (made.n_params, made.loss(*made.args).size) == SHAPES[size]


@pytest.mark.parametrize("size", ["64x4", "16x16", "4x64", "1x256", "1024x1"])
def test_the_jacobian_by_hand_is_the_certified_one(size: str) -> None:
    made, found = TANH_MAP.build(size, "float64", 0), source_of(size)
    truth = certified(found.tape, found.example, found.wrt, "jacobian")
    assert truth.certified_text == "yes"
    value, by_hand = made.analytic(*made.args)
    assert np.array_equal(value, made.loss(*made.args))
    error = np.linalg.norm(by_hand["x"] - truth.high[0]) / np.linalg.norm(truth.high[0])
    assert error < 1e-14


@pytest.mark.parametrize("size", ["16x16", "4x64"])
@pytest.mark.parametrize("mode", ["forward", "reverse", "finite", "complex-step"])
def test_every_way_finds_the_jacobian_by_hand(size: str, mode: str) -> None:
    made = TANH_MAP.build(size, "float64", 0)
    found = dl.jacobian(lambda x: made.loss({"x": x}, *made.args[1:]), backend=mode)(made.args[0]["x"])
    assert found == pytest.approx(made.analytic(*made.args)[1]["x"], abs=1e-8)


@pytest.mark.parametrize("size", TANH_MAP.sizes)
def test_the_name_of_the_mode_forces_its_passes(size: str) -> None:
    """Neither mode takes the side with fewer passes, and with chunks of one direction each pass is a run of its own."""
    made, passes = source_of(size), dict(zip(("forward", "reverse"), SHAPES[size], strict=True))
    operation = Operation("jacobian", made)
    for mode, count in passes.items():
        stats = operation.prepare(find(mode)).stats
        assert stats["primal_calls"] == count
        assert 1 <= stats["chunks"] <= count
        alone = operation.prepare(find(mode, chunk=1)).stats
        assert (alone["primal_calls"], alone["chunks"]) == (count, count)


def test_quotients_evaluate_as_often_as_theory_says() -> None:
    operation = Operation("jacobian", source_of("16x16"))
    assert operation.prepare(find("finite")).stats["primal_calls"] == 2 * 16 + 1
    assert operation.prepare(find("finite", scheme="forward")).stats["primal_calls"] == 16 + 1
    assert operation.prepare(find("complex-step")).stats["primal_calls"] == 16 + 1


def test_an_evaluation_costs_as_much_one_way_round_as_the_other() -> None:
    """So the crossing is not moved by the map itself; the hidden layers are the least that an evaluation costs."""
    flops = {shape: source_of(size).tape.flops for size, shape in SHAPES.items()}
    for (inputs, outputs), work in flops.items():
        assert work == pytest.approx(flops[outputs, inputs], rel=0.01)
        assert work > 2 * LAYERS * HIDDEN**2
    assert max(flops.values()) < 3 * min(flops.values())


# ------------------------------------------------------------------------------------------------ one output


@pytest.mark.parametrize("width", WIDTHS)
def test_a_square_layer_has_as_many_parameters_as_its_name_says(width: int) -> None:
    assert SQUARE_LAYER.build(str(width * width), "float64", 0).n_params == width * width


@pytest.mark.parametrize("size", ["16", "64", "2304"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_gradient_by_hand_is_that_of_reverse_mode(size: str, dtype: str) -> None:
    made = SQUARE_LAYER.build(size, dtype, 0)
    value, by_hand = made.analytic(*made.args)
    found = dl.gradient(made.loss)(*made.args)
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    assert value == pytest.approx(made.loss(*made.args), rel=tolerance)
    for key, slopes in by_hand.items():
        assert slopes.dtype == found[key].dtype == np.dtype(dtype)
        assert np.linalg.norm(slopes - found[key]) <= tolerance * np.linalg.norm(found[key])


@pytest.mark.parametrize("problem", [TANH_MAP, SQUARE_LAYER])
def test_the_same_seed_gives_the_same_arrays_and_another_gives_others(problem) -> None:
    size = next(iter(problem.sizes))
    first, again, other = (problem.build(size, "float64", seed) for seed in (1, 1, 2))
    for one, two in zip(first.args[1:], again.args[1:], strict=True):
        assert np.array_equal(one, two)
    assert not np.array_equal(first.args[1], other.args[1])
    with pytest.raises(InputError, match="has no size"):
        problem.build("3x3x3", "float64", 0)


def test_examples() -> None:
    failed, tried = doctest.testmod(maps)
    assert failed == 0
    assert tried >= 4
