"""What a framework does in one call stands for several equations, and only where it computes the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special

from difflab.backends.peers.idioms import shortened
from difflab.operators import source
from difflab.problems import find
from difflab.tape import Tape


def affine(b: Any, x: Any, w: Any) -> Any:
    return x @ w + b


def log_softmax(z: Any, dim: int) -> Any:
    return special.log_softmax(z, axis=dim)


IDIOMS = {"affine": affine, "log_softmax": log_softmax}


def plan_of(tape: Tape) -> list[tuple[int, tuple[int, ...], Any]]:
    live = [(equation.output, equation.inputs, place) for place, equation in enumerate(tape.equations)]
    return shortened(tape, live, IDIOMS)


def run(tape: Tape, plan: list[tuple[int, tuple[int, ...], Any]], args: list[Any]) -> list[Any]:
    """The outputs by a plan, whatever order it was shortened to."""
    values = dict(zip(tape.inputs, args, strict=True))
    values.update(tape.constants)
    values.update({number: np.asarray(value, tape.avals[number].dtype) for number, value in tape.literals.items()})
    for output, operands, what in plan:
        given = [values[number] for number in operands]
        if isinstance(what, int):
            equation = tape.equations[what]
            values[output] = equation.primitive.evaluate(*given, **equation.params)
        else:
            values[output] = what(*given)
    return [values[number] for number in tape.outputs]


def used(function: Any, *args: Any) -> int:
    """How many equations a function loses; its value must stay."""
    tape = source(function, args).tape
    plan = plan_of(tape)
    np.testing.assert_allclose(run(tape, plan, list(args))[0], function(*args), rtol=1e-13)
    return len(tape.equations) - len(plan)


Z, W, B = np.sin(np.arange(12.0)).reshape(3, 4), np.cos(np.arange(20.0)).reshape(4, 5), np.arange(5.0)


def shifted(z: Any, axis: int = 1) -> Any:
    z = z - np.max(z, axis=axis, keepdims=True)
    return z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True))


def test_an_affine_map_is_one_call_whichever_side_the_bias_is_on() -> None:
    assert used(lambda x, w, b: x @ w + b, Z, W, B) == 1
    assert used(lambda x, w, b: b + x @ w, Z, W, B) == 1


def read_again(x: Any, w: Any, b: Any) -> Any:
    product = x @ w
    return (product + b) * product


@pytest.mark.parametrize(
    "function",
    [
        read_again,
        lambda x, w, b: x @ w + b[:1],  # another shape of the bias
        lambda x, w, b: x[0] @ w + b,  # no plane
    ],
)
def test_what_only_looks_like_an_affine_map_stays(function: Any) -> None:
    assert used(function, Z, W, B) == 0


@pytest.mark.parametrize("axis", [0, 1])
def test_a_log_softmax_is_one_call_with_and_without_a_shift(axis: int) -> None:
    assert used(lambda z: shifted(z, axis), Z) == 8 - 1
    assert used(lambda z: z - np.log(np.sum(np.exp(z), axis=axis, keepdims=True)), Z) == 5 - 1


def test_what_only_looks_like_a_log_softmax_stays() -> None:
    assert used(lambda z: z - np.log(np.sum(np.exp(2 * z), axis=1, keepdims=True)), Z) == 0
    assert used(lambda z: z - np.log(np.sum(np.exp(z), axis=1, keepdims=True)) * 2, Z) == 0
    assert used(lambda z: z - np.log(np.sum(np.exp(z))), Z) == 0  # over everything


def test_shifted_values_and_powers_that_are_read_again_stay() -> None:
    def values(z: Any) -> Any:
        z = z - np.max(z, axis=1, keepdims=True)
        return (z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))) * z

    def powers(z: Any) -> Any:
        found = np.exp(z)
        return (z - np.log(np.sum(found, axis=1, keepdims=True))) * found

    assert used(values, Z) == 5 - 1
    assert used(powers, Z) == 0


def test_another_shift_is_kept() -> None:
    def minimum(z: Any) -> Any:
        z = z - np.min(z, axis=1, keepdims=True)
        return z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))

    assert used(minimum, Z) == 5 - 1


def test_the_perceptron_needs_ten_calls_instead_of_twenty() -> None:
    instance = find("mlp").build("tiny", "float64", 0)
    tape = source(instance.loss, instance.args).tape
    assert len(plan_of(tape)) == len(tape.equations) - 3 - 7
