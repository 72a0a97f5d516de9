"""What users' functions and rules close over: constants of the tape, never stale, frozen when prepared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import difflab as dl

MODES = ["reverse", "forward"]
X = np.array([0.3, -0.7, 1.2])


def test_arrays_that_function_and_rules_close_over():
    table = np.array([1.0, 2.0, 3.0])

    @dl.primitive
    def weighted(x):
        return x * table

    weighted.vjp(lambda cotangent, out, x: (cotangent * table * np.ones(3),))
    for _ in range(2):
        for mode in MODES:
            np.testing.assert_array_equal(dl.gradient(lambda x: np.sum(weighted(x) * X), backend=mode)(X), table * X)
            product = dl.gradient(lambda x: np.sum(dl.gradient(lambda z: np.sum(weighted(z) ** 2))(x)), backend=mode)
            np.testing.assert_array_equal(product(X), 2 * table**2)
    _, pullback = dl.vjp(weighted, X)
    np.testing.assert_array_equal(pullback(X)[0], table * X)


TABLE = np.array([1.0, 2.0, 3.0])
SETTINGS: dict[str, Any] = {"slope": [2.0, {"power": 1.0}]}


def test_what_they_close_over_is_never_stale_and_frozen_when_prepared(monkeypatch: pytest.MonkeyPatch):
    local, cycle = np.ones(3), []
    cycle.append(cycle)

    @dl.primitive
    def weighted(x):
        assert cycle[0] is cycle
        return x * TABLE * local * SETTINGS["slope"][0]

    weighted.vjp(lambda cotangent, out, x: (cotangent * TABLE * local * SETTINGS["slope"][0],))
    loss = dl.value_and_gradient(lambda x: np.sum(weighted(x)))

    def expect(found, slopes):
        np.testing.assert_allclose(found[1], slopes, rtol=1e-14)
        assert found[0] == pytest.approx(np.sum(X * slopes))

    table = TABLE.copy()
    expect(loss(X), 2.0 * table)
    prepared = dl.prepare(lambda x: np.sum(weighted(x)), X)
    local[:] = 3.0
    expect(loss(X), 6.0 * table)
    monkeypatch.setitem(globals(), "TABLE", table[::-1].copy())
    expect(loss(X), 6.0 * table[::-1])
    monkeypatch.setitem(SETTINGS, "slope", [5.0, {"power": 1.0}])
    expect(loss(X), 15.0 * table[::-1])
    expect(prepared.value_and_gradient(X), 2.0 * table)
