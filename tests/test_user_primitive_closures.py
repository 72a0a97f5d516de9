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


SCALE = np.array(2.0)


def scaled(x):
    return x * SCALE


@dl.primitive
def inner_gate(x):
    return scaled(x)


@inner_gate.jvp
def inner_rule(tangents, out, x):
    return scaled(tangents[0])


@dl.primitive
def outer_gate(x):
    return inner_gate(x) * 3.0


@outer_gate.jvp
def outer_rule(tangents, out, x):
    return inner_gate(tangents[0]) * 3.0


@pytest.mark.parametrize(("gate", "factor"), [(inner_gate, 1.0), (outer_gate, 3.0)])
def test_what_the_functions_they_call_close_over_is_not_stale_either(gate: Any, factor: float, monkeypatch: Any):
    for scale in (2.0, 5.0, -1.0):
        monkeypatch.setitem(globals(), "SCALE", np.array(scale))
        assert dl.value_and_gradient(lambda x: gate(x))(1.0) == (factor * scale, factor * scale)
        assert gate(1.0) == factor * scale


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
