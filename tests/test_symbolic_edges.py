"""Symbolic differentiation where formulas overflow, where powers have kinks, and where pieces are powers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from samples import all_cases, moving

import difflab as dl
from difflab import nn
from difflab.backends.symbolic import Symbolic
from difflab.primitives import REGISTRY

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True, params=["tree", "dag"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in turn, where a test does not name one."""

    def resolved(self: Symbolic) -> str:
        return self.way if self.way != "auto" else request.param if self.cse else "tree"

    monkeypatch.setattr(Symbolic, "resolved_way", resolved)
    return request.param


# Where the two backends may differ, and why.
EXCUSED: dict[str, str] = {}


@pytest.mark.parametrize(
    "case",
    [case for case in all_cases(REGISTRY, ("float64",)) if not case.ordinary and not case.primitive.inexact],
    ids=lambda case: case.label,
)
def test_every_special_value_is_what_reverse_mode_gives(case: Any) -> None:
    positions = moving(case) if case.primitive.vjp is not None else ()
    wanted = tuple(positions) or tuple(range(len(case.arrays)))

    def loss(*arrays: Any) -> Any:
        return case.primitive(*arrays, **case.params)

    for row in zip(*[array.tolist() for array in case.arrays], strict=True):
        if f"{case.primitive.name} {row}" in EXCUSED:
            continue
        point = [np.asarray(value) for value in row]
        with np.errstate(all="ignore"):
            value, expected = dl.value_and_gradient(loss, argnums=wanted)(*point)
            got, found = dl.value_and_gradient(loss, argnums=wanted, backend="symbolic")(*point)
        np.testing.assert_allclose(float(got), float(value), rtol=1e-15, err_msg=f"value at {row}")
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(float(a), float(b), rtol=1e-14, err_msg=f"slope at {row}")


def test_every_excuse_names_a_special_value() -> None:
    named = {
        f"{case.primitive.name} {row}"
        for case in all_cases(REGISTRY, ("float64",))
        if not case.ordinary
        for row in zip(*[array.tolist() for array in case.arrays], strict=True)
    }
    assert set(EXCUSED) <= named
    assert all(len(reason) > 20 for reason in EXCUSED.values())


LARGE: list[tuple[Callable, Any]] = [
    (nn.logsumexp, [800.0, 0.0]),
    (nn.logsumexp, [-1000.0, -1001.0]),
    (lambda z: np.sum(nn.softmax(z) * np.arange(3.0)), [900.0, 899.0, -2000.0]),
    (lambda z: np.sum(nn.softmax(np.reshape(z, (2, 2)), axis=0) ** 2), [1e4, -1e4, 1e4 + 1, 3.0]),
    (lambda z: nn.softmax_cross_entropy(np.reshape(z, (1, 3)), np.array([[0.0, 1.0, 0.0]])), [800.0, 0.0, 799.0]),
    (lambda z: np.sum(nn.logsumexp(np.reshape(z, (2, 2, 1)), axis=(0, 2), keepdims=True)), [1e3, -1e3, 2.0, 5.0]),
    (lambda z: np.sum(nn.sigmoid(z)), [-1000.0, 1000.0, -40.0, 0.0, -700.0]),
    (lambda z: np.logaddexp(z[0], z[1]), [1e4, -1e4]),
    (lambda z: np.logaddexp(z[0], z[1]), [-1e4, -1e4]),
    (lambda z: np.hypot(z[0], z[1]), [3e200, 4e200]),
    (lambda z: np.hypot(z[0], z[1]), [3e-200, 4e-200]),
    (lambda z: np.hypot(z[0], z[1]), [-3.0, 0.0]),
]


@pytest.mark.parametrize("cse", [True, False])
@pytest.mark.parametrize(("function", "point"), LARGE)
def test_what_is_finite_in_reverse_mode_does_not_overflow(function: Callable, point: list[float], cse: bool) -> None:
    x = np.array(point)
    value, expected = dl.value_and_gradient(function)(x)
    assert np.isfinite(expected).all()
    got, found = dl.value_and_gradient(function, backend=dl.Symbolic(cse=cse))(x)
    np.testing.assert_allclose(got, value, rtol=1e-14)
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=0)


def test_constants_among_the_logits_do_not_overflow_either() -> None:
    def loss(w: Any, x: Any) -> Any:
        return np.sum(nn.logsumexp(np.stack([w * x[0], x[1], x[2]], axis=0), axis=0) * nn.sigmoid(x[1]))

    x = np.array([800.0, 750.0, -900.0])
    for w in (1.0, 0.9, -1.0):
        np.testing.assert_allclose(
            dl.gradient(loss, backend="symbolic")(w, x), dl.gradient(loss)(w, x), rtol=1e-13, atol=1e-300
        )


POWERS: list[tuple[float, float]] = [
    (0.0, 2.0), (0.0, 1.0), (0.0, 0.5), (2.0, 0.0), (0.0, 0.0), (2.0, 3.0), (0.5, -1.5),
]  # fmt: skip


@pytest.mark.parametrize(("x", "p"), POWERS)
def test_the_power_rule_of_the_kink_table(x: float, p: float) -> None:
    def both(x: Any, p: Any) -> Any:
        return x**p

    with np.errstate(all="ignore"):
        for argnums in (0, 1, (0, 1)):
            found = dl.gradient(both, argnums=argnums, backend="symbolic")(x, p)
            np.testing.assert_allclose(found, dl.gradient(both, argnums=argnums)(x, p), rtol=1e-14)


def test_powers_at_zero() -> None:
    assert dl.gradient(lambda p: 0.0**p, backend="symbolic")(2.0) == 0.0
    assert dl.gradient(lambda x: x**x, backend="symbolic")(0.0) == dl.gradient(lambda x: x**x)(0.0) == 0.0
    assert np.isnan(dl.gradient(lambda p: np.array(-2.0) ** p, backend="symbolic")(2.0))


POOLED = RNG.permutation(36).astype(float) + 0.5
POOLINGS: list[Callable] = [
    lambda x: np.sum(nn.max_pool2d(x, (2, 3)) ** 2),
    lambda x: np.sum(nn.max_pool2d(x, (2, 3)) ** 0.5),
    lambda x: np.sum(1 / nn.max_pool2d(x, 3) + nn.max_pool2d(x, 3) ** 3),
    lambda x: np.sum(nn.max_pool2d(x, 3, 2, 1) ** 2),
    lambda x: np.sum(nn.max_pool2d(nn.relu(x), 3) ** 1.5),
    lambda x: np.max(x) ** 3 + np.sum(np.abs(x) ** 2.5),
]


# A window of three rows does not fit two.
POOLED_CASES = [(f, n) for f in POOLINGS for n in [(2, 3), (3, 3), (6, 6)] if n[0] > 2 or f not in POOLINGS[2:5:2]]


@pytest.mark.parametrize(("function", "size"), POOLED_CASES)
@pytest.mark.parametrize("cse", [True, False])
def test_powers_of_what_was_chosen(function: Callable, size: tuple[int, int], cse: bool) -> None:
    x = POOLED[: size[0] * size[1]].reshape(1, *size, 1)
    expected = dl.gradient(function)(x)
    np.testing.assert_allclose(dl.gradient(function, backend=dl.Symbolic(cse=cse))(x), expected, rtol=1e-13)
