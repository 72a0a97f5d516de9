"""Reverse mode through branches that were not taken: their infinite slopes have no say, in any order of derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab import transforms
from difflab.errors import UndecidedError
from difflab.harness.certify import certified
from difflab.operators import source
from difflab.tracing import trace_leaves

ZERO = np.array([0.0, 2.0])
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # those of the plain functions, at these points


@pytest.mark.parametrize(
    ("function", "point", "gradient"),
    [
        (lambda x: np.sum(np.where(x > 0, np.log(x), 0)), ZERO, [0, 0.5]),
        (lambda x: np.sum(np.where(x > 0, np.sqrt(np.sqrt(x)), x)), ZERO, [1, 2**-0.75 / 4]),
        (lambda x: np.sum(np.where(x <= 0, 0.0, 3 / x)), ZERO, [0, -0.75]),
        (lambda x: np.sum(np.where(x > 0, x**-2, 0.0)), ZERO, [0, -0.25]),
        (lambda x: np.sum(np.select([x > 1, x > 0], [np.log(x), np.sqrt(x)], x)), ZERO, [1, 0.5]),
        (lambda x: np.sum(np.sqrt(x)[1:]) + np.log(x)[-1], ZERO, [0, 2**-1.5 + 0.5]),
        (lambda x: np.sum(np.sqrt(x)[[1, 1]]) + x[0], ZERO, [1, 2**-0.5]),
        (lambda x: np.sum(np.log(x)[x > 0]), ZERO, [0, 0.5]),
        (lambda x: np.sum(np.where(x > 0, np.where(x > 1, np.log(x), np.sqrt(x)), 0)), ZERO, [0, 0.5]),
        (lambda x: np.where(x[0] > 0, np.sum(np.sqrt(x)), x[1]), ZERO, [0, 1]),
        (lambda x: np.sum(np.where(np.isnan(DATA), 0.0, x[1] * DATA)), ZERO, [0, 3]),
        (lambda x: np.sum(np.where(x > 0, np.sqrt(x).reshape(1, 2)[0], 0)), ZERO, [0, 2**-1.5]),
        (lambda x: np.sum(np.where(x > 0, np.log(x).astype(np.float64), 0)), ZERO, [0, 0.5]),
    ],
)
def test_what_was_not_taken_has_no_say(function: Callable, point: np.ndarray, gradient: list) -> None:
    expected = np.array(gradient, dtype=float)
    for backend in ("reverse", "forward"):
        np.testing.assert_allclose(dl.gradient(function, backend=backend)(point), expected, rtol=1e-14)
    hessian = dl.hessian(function)(point)
    assert np.isfinite(hessian).all()
    np.testing.assert_allclose(hessian, dl.hessian(function, backend="forward")(point), rtol=1e-13, atol=1e-15)
    twice = dl.jacobian(dl.gradient(function), backend="reverse")(point)
    np.testing.assert_allclose(twice, hessian, rtol=1e-13, atol=1e-15)


DATA = np.array([np.nan, 1.0, 2.0])


def test_a_value_that_something_else_reads_keeps_its_infinite_slope() -> None:
    gradient = dl.gradient(lambda x: np.sum(np.where(x > 0, np.log(y := np.sqrt(x)), 0) + y))(ZERO)
    assert gradient[0] == np.inf
    assert gradient[1] == pytest.approx(0.25 + 2**-1.5)


def test_zero_times_infinity_without_a_condition_is_no_number() -> None:
    assert np.isnan(dl.gradient(lambda x: np.sqrt(x) ** 2)(0.0))
    assert np.isnan(dl.gradient(lambda x: 0.0 * np.sqrt(x))(0.0))


def test_a_chain_of_choices_asks_for_every_mask_once() -> None:
    """Every link is read by two: without a memory the number of questions doubles with each."""
    taken = np.random.default_rng(0).random((40, 3)) > 0.5

    def loss(h: Any) -> Any:
        for row in taken:
            h = np.where(row, np.tanh(h), h)
        return np.sum(h)

    x = np.array([0.5, -1.0, 2.0])
    tape = trace_leaves(lambda leaves: [loss(leaves[0])], [x])
    assert len(transforms.gradient(tape, (0,)).equations) < 14 * len(taken)
    np.testing.assert_allclose(dl.gradient(loss)(x), dl.gradient(loss, backend="forward")(x), rtol=1e-14)


def test_a_chain_of_choices_may_be_longer_than_pythons_stack() -> None:
    def loss(x: Any) -> Any:
        h = np.sqrt(x)
        for _ in range(2000):
            h = np.where(x > 0, h + 1.0, 0.0)
        return np.sum(h)

    np.testing.assert_array_equal(dl.gradient(loss)(np.array([0.0, 4.0])), [0.0, 0.25])


def test_sums_and_numbers_of_the_text_cost_nothing_more() -> None:
    """A rectifier of one's own: what reverse mode adds to it has no further mask."""

    def loss(w: Any, b: Any, x: Any) -> Any:
        z = x @ w + b
        return np.sum(np.where(z > 0, z, -z))

    made = source(loss, (np.ones((3, 2)), np.ones(2), np.ones((4, 3))), {}, (0, 1))
    derived = transforms.simplify(transforms.gradient(made.tape, made.wrt))
    names = [equation.primitive.name for equation in derived.equations]
    assert names.count("where") == 3
    assert "logical_not" not in names


def test_the_gradient_through_a_mask_is_certified() -> None:
    tape = trace_leaves(lambda leaves: [np.sum(np.where(leaves[0] > 1, np.log(leaves[0]), leaves[0]))], [ZERO])
    found = certified(tape, [ZERO], (0,))
    assert found.certified_text == "yes"
    np.testing.assert_array_equal(found.high[0], [1.0, 0.5])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * x if x == 0 else x,
        lambda x: 2 * x if x >= 0 else x,
        lambda x: np.stack([x, -x])[int(np.argmax(np.stack([x, -x])))],
        lambda x: x * x if not x else x,
        lambda x: x * x if np.where(x == 0, 1.0, 0.0) > 0.5 else x,
        lambda x: x * x if np.sum(np.stack([x, x + 1]) == 0) > 0 else x,
        lambda x: x * x if np.any(np.stack([x, x + 1]) == 0) else x,
        lambda x: x * x if (x == 0).astype(float) > 0.5 else x,
        lambda x: 2 * x if np.floor(x) >= -0.5 else x,
        lambda x: 2 * x if np.mod(x, 1.0) < 0.3 else x,
    ],
)
def test_a_branch_taken_at_equality_is_a_kink_for_exact_arithmetic(function: Callable) -> None:
    tape = trace_leaves(lambda leaves: [function(leaves[0])], [0.0])
    with pytest.raises(UndecidedError, match="Python took a branch where two numbers are equal"):
        certified(tape, [0.0], (0,))
    assert certified(trace_leaves(lambda leaves: [function(leaves[0])], [0.5]), [0.5], (0,)).certified


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: x * x if np.floor(x) == 2 else x,
        lambda x, y: x * x if np.rint(x) == 2 else x,
        lambda x, y: x * x if np.sign(x) == 1 else x,
        lambda x, y: x * x if x.astype(int) == 2 else x,
        lambda x, y: x * x if np.max(y) == 1 else x,
        lambda x, y: np.stack([x * x, x])[int(np.argmax(y))],
        lambda x, y: x * x if np.sort(np.stack([x, x]))[0] > 1 else x,
    ],
)
def test_steps_and_data_may_be_equal_to_anything(function: Callable) -> None:
    leaves = [2.25, np.array([1.0, 0.0, 0.0])]
    tape = trace_leaves(lambda inputs: [function(*inputs)], leaves)
    found = certified(tape, leaves, (0,))
    assert found.certified_text == "yes"
    np.testing.assert_array_equal(found.high[0], 4.5)
