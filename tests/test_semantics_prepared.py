"""The page of semantics on pullbacks and prepared programs: once, owned, re-entrant, complete, by default."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from own_gates import Counted

import difflab as dl

EXACT = ["reverse", "forward"]
X = np.array([0.3, -0.7, 1.2])


@pytest.mark.parametrize("prepared", [False, True])
def test_the_forward_part_of_a_pullback_runs_once(prepared: bool):
    count = Counted()

    def f(x):
        return np.sum(np.exp(count(x)))

    run = dl.prepare(f, X, operator="vjp").vjp if prepared else lambda x: dl.vjp(f, x)
    count.calls = 0
    _, pullback = run(X)
    assert count.calls == 1
    for c in (1.0, 2.0, 3.0):
        np.testing.assert_allclose(pullback(c)[0], c * np.exp(X), rtol=1e-14)
    assert count.calls == 1


def test_a_prepared_may_call_itself_while_it_runs():
    inner_results: list[Any] = []

    @dl.primitive(opaque=True)
    def again(x):
        if prepared_ready and np.max(np.abs(x)) > 0.2:
            inner_results.append(prepared(x * 0.25))
        return np.array(x) * 2.0

    again.vjp(lambda cotangent, out, x: (cotangent * 2.0,))
    prepared_ready: list[int] = []
    prepared = dl.prepare(lambda x: np.sum(np.exp(again(x)) * x), X)
    prepared_ready.append(1)
    wanted = lambda x: np.exp(2 * x) * (1 + 2 * x)  # noqa: E731
    np.testing.assert_allclose(prepared(X), wanted(X), rtol=1e-14)
    scales = [0.25**depth for depth in range(len(inner_results), 0, -1)]
    for found, scale in zip(inner_results, scales, strict=True):
        np.testing.assert_allclose(found, wanted(X * scale), rtol=1e-14)
    assert len(inner_results) >= 2


def test_a_prepared_has_every_operator():
    def f(x, y):
        return np.sum(x**3) * y

    v = np.array([1.0, 2.0, 3.0])
    for backend in EXACT:
        p = dl.prepare(f, X, 2.0, backend=backend)
        np.testing.assert_allclose(p(X, 2.0), 6 * X**2, rtol=1e-13)
        np.testing.assert_allclose(p.gradient(X, 2.0), 6 * X**2, rtol=1e-13)
        value, slope = p.value_and_gradient(X, 2.0)
        assert value == pytest.approx(p.value(X, 2.0))
        np.testing.assert_allclose(slope, 6 * X**2, rtol=1e-13)
        np.testing.assert_allclose(p.jacobian(X, 2.0), 6 * X**2, rtol=1e-13)
        np.testing.assert_allclose(p.hessian(X, 2.0), np.diag(12 * X), rtol=1e-12)
        np.testing.assert_allclose(p.hvp(X, 2.0, v), 12 * X * v, rtol=1e-12)
        assert p.stats["traces"] == 1


def test_defaults():
    for name, backend in (
        ("gradient", "reverse"),
        ("value_and_gradient", "reverse"),
        ("vjp", "reverse"),
        ("jvp", "forward"),
    ):
        assert inspect.signature(getattr(dl, name)).parameters["backend"].default == backend
        assert dl.prepare(lambda x: np.sum(x), X, operator=name).backend.name == backend
    assert inspect.signature(dl.prepare).parameters["operator"].default == "gradient"
    assert dl.prepare(lambda x: np.sum(x), X).backend.name == "reverse"
    assert dl.Finite().scheme == "central"
