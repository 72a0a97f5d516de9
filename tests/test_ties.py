"""Ties in ball arithmetic: what is proven equal, what more precision separates, and what has to be taken on trust."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab import nn
from difflab import numpy_functions as numpy_functions  # fills the table of NumPy functions
from difflab.errors import UndecidedError
from difflab.execution import provenance
from difflab.execution.arithmetic import evaluate
from difflab.execution.balls import Balls, ball, precision
from difflab.execution.exact import Certified, certify
from difflab.execution.provenance import Provenance
from difflab.tracing import trace_leaves
from difflab.transforms import reverse

RNG = np.random.default_rng(9)


def certified(function: Callable, *leaves: Any) -> Certified:
    tape = trace_leaves(lambda inputs: [function(*inputs)], list(leaves))
    return certify(reverse.gradient(tape, (0,)), list(leaves))


@pytest.mark.parametrize(("tiny", "bits"), [(1e-30, 160), (1e-70, 320), (1e-150, 640), (1e-300, 1280)])
def test_what_only_looks_equal_is_separated_by_precision(tiny: float, bits: int) -> None:
    found = certified(lambda x: np.maximum(1 + x[0], 1 + 2 * x[0]), np.array([tiny]))
    assert found.high[1].tolist() == [2.0]
    assert (found.bits, found.unproven, found.narrow) == (bits, 0, True)


def test_what_no_precision_separates_is_not_certified() -> None:
    def loss(x: Any) -> Any:
        return np.maximum(np.exp(x[0]), np.negative(np.negative(np.exp(x[0]))))  # equal, but nothing here can know

    found = certified(loss, np.array([0.3]))
    assert found.bits == 1280
    assert found.unproven > 0
    assert found.ties == 0
    assert "agree in all of 1280 bits without proof that they are equal" in found.reason
    row = dl.compare(loss, np.array([0.3]), backends=["reverse"])
    assert "without proof" in str(row.rows[0]["certified"])
    assert str(row.rows[0]["certified"]).startswith("no: ")


def test_what_never_looks_equal_is_a_kink() -> None:
    with pytest.raises(UndecidedError, match="nothing proves them equal"):
        certified(lambda x: np.maximum(np.exp(x[0]) ** 2, np.exp(2 * x[0])), np.array([0.3]))


ALIKE: list[Callable] = [
    lambda x: np.max(np.tanh(x)),
    lambda x: np.min(np.exp(x) * np.sin(x)),
    lambda x: np.maximum(np.tanh(x[0]), np.tanh(x[1])),
    lambda x: np.maximum(np.sqrt(x[0] + 2 * x[0]), np.sqrt(3 * x[1])),
    lambda x: np.max(np.tanh(np.stack([x[:2], x[1:]]) @ np.array([0.3, 0.7]))),
    lambda x: np.max(np.sum(np.tanh(np.stack([x[:2], x[1:]])), axis=1) ** 3),
    lambda x: np.sum(np.where(np.exp(x[0]) >= np.exp(x[2]), x, 0.0)),
    lambda x: np.sum(np.where(np.equal(np.exp(x[0]) / 3, np.exp(x[2]) / 3), x, 0.0)),
    lambda x: np.max(np.max(np.tanh(np.stack([x, x])), axis=1) / 7),
]


@pytest.mark.parametrize("function", ALIKE)
def test_what_is_computed_alike_is_proven_equal(function: Callable) -> None:
    x = np.full(3, 0.3)
    found = certified(function, x)
    assert (found.bits, found.unproven, found.narrow) == (160, 0, True)
    np.testing.assert_allclose(found.high[1], dl.gradient(function)(x), rtol=1e-14)


def test_blank_pixels_of_an_inexact_network_are_ties_at_the_first_precision() -> None:
    x = np.zeros((2, 8, 8, 1))
    x[:, 2:5, 3:6] = RNG.normal(size=(2, 3, 3, 1))
    first, second = RNG.normal(size=(3, 3, 1, 2)), RNG.normal(size=(3, 3, 2, 2))

    def loss(w: Any, x: Any, v: Any) -> Any:
        hidden = np.tanh(nn.conv2d(x, w, padding=1) + 0.1)
        return np.sum(nn.max_pool2d(np.tanh(nn.conv2d(hidden, v, padding="same")), 2) ** 2)

    found = certified(loss, first, x, second)
    assert (found.bits, found.unproven, found.narrow) == (160, 0, True)
    assert found.ties > 10
    np.testing.assert_allclose(found.high[1], dl.gradient(loss)(first, x, second), rtol=1e-12)


def test_forgetting_costs_proofs_and_no_wrong_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.full(3, 0.3)
    monkeypatch.setattr(provenance, "REMEMBERED", 0)
    assert certified(ALIKE[0], x).unproven == 0  # within one equation all is still known
    across = certified(ALIKE[2], x)
    assert across.unproven > 0
    assert across.ties == 0


def test_elements_are_shared_by_how_they_are_computed_not_by_how_they_look() -> None:
    tape = trace_leaves(
        lambda v: [np.tanh(v[0]), np.tanh(v[0][::-1]), np.sum(np.tanh(v[1]), axis=1), v[1] @ v[2], np.exp(v[0]) / 3],
        [np.ones(3), np.ones((2, 2)), np.ones((2, 3))],
    )
    inputs = [np.array([0.1, 0.2, 0.1]), np.array([[0.3, 0.7], [0.3, 0.7]]), np.array([[1.0, 2.0, 1.0]] * 2) / 3]
    with precision(160):
        forward, backward, sums, product, quotient = evaluate(tape, inputs, Balls(), after=Provenance())
    assert forward[0] is forward[2] is backward[0] is backward[2]
    assert forward[1] is backward[1]
    assert forward[1] is not forward[0]
    assert sums[0] is sums[1]
    assert product[0, 0] is product[1, 0] is product[0, 2]
    assert product[0, 0] is not product[0, 1]
    assert quotient[0] is quotient[2]
    assert not any(value is quotient[0] for value in forward)


def test_powers_of_different_exponents_are_different() -> None:
    tape = trace_leaves(lambda v: [v[0] ** 3, v[0] ** 5, np.sum(v[1], axis=0), np.sum(v[1], axis=1)], [1.0, np.eye(2)])
    third = np.array(0.1)
    with precision(64):
        cube, fifth, columns, rows = evaluate(tape, [third, np.full((2, 2), 0.1)], Balls(), after=Provenance())
    assert float(cube.item()) == pytest.approx(1e-3)
    assert float(fifth.item()) == pytest.approx(1e-5)
    assert columns[0] is columns[1]
    assert float(rows[0]) == pytest.approx(0.2)


def test_the_same_ball_is_no_proof() -> None:
    with precision(53):
        a, b = ball(1) / 3, ball(1) / 3
        balls = Balls()
        assert balls.same(a, a)
        assert balls.same(ball(0.5), ball(1) / 2)
        assert balls.unproven == 0
        assert not balls.same(a, b)
        assert balls.unproven == 1
        assert Balls(trusting=True).same(a, b)
        with pytest.raises(UndecidedError, match="overlap, and nothing proves them equal"):
            balls.compare("greater", np.array([a]), np.array([b]))
