"""Users' primitives for many lanes at once, by their own rules; so Jacobians and Hessians, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from own_gates import ALL, TRACED, X, plainly

import difflab as dl
from difflab import transforms
from difflab.tracing import trace_leaves
from difflab.transforms.batch import batch

MODES = ["reverse", "forward"]
every = pytest.mark.parametrize("own", ALL, ids=lambda own: own.__name__)


@every
@pytest.mark.parametrize("flags", [(True, False), (False, True), (True, True)])
def test_lanes_are_what_each_lane_gives(own: Any, flags: tuple):
    x = np.stack([X, 2 * X]) if flags[0] else X
    y = np.array([0.5, 2.0]) if flags[1] else np.array(0.5)
    rows = [(x[i] if flags[0] else x, y[i] if flags[1] else y) for i in range(2)]
    tape = trace_leaves(lambda leaves: [np.sum(own(*leaves, k=2))], list(rows[0]))
    tapes = [tape, transforms.gradient(tape, (0, 1))]
    if own in TRACED:
        tapes.append(transforms.vjp(transforms.gradient(tape, (0,)), (0, 1)))
    for each in tapes:
        extra = [np.ones(each.avals[number].shape) for number in each.inputs[2:]]
        whole = batch(each, (*flags, *[False] * len(extra)), 2).check()
        found = whole.evaluate([x, y, *extra])
        for lane, row in enumerate(rows):
            for a, b in zip(found, each.evaluate([*row, *extra]), strict=True):
                np.testing.assert_allclose(a[lane], b, rtol=1e-13, atol=1e-15)


def test_the_derivative_of_lanes_is_by_the_users_rule():
    @dl.primitive
    def odd(x, y):
        return x * y

    odd.vjp(lambda cotangent, out, x, y: (cotangent * 7.0, cotangent * x))
    x, y = np.array([1.0, 2.0, 3.0]), np.array(4.0)
    tape = trace_leaves(lambda leaves: [odd(*leaves)], [x[0], y])
    lanes = batch(tape, (True, False), 3)
    pulled = transforms.vjp(lanes, (0, 1)).evaluate([x, y, np.ones(3)])[1:]
    np.testing.assert_array_equal(pulled[0], np.full(3, 7.0))
    assert pulled[1] == 6.0
    along = transforms.jvp(lanes, (0,)).evaluate([x, y, np.ones(3)])[1]
    np.testing.assert_array_equal(along, np.full(3, 7.0))
    twice = batch(lanes, (True, True), 2)
    np.testing.assert_array_equal(twice.evaluate([np.stack([x, -x]), np.array([1.0, 2.0])])[0], [x, -2 * x])


@every
@pytest.mark.parametrize("mode", MODES)
def test_jacobians_and_hessians_go_through_lanes(own: Any, mode: str):
    def f(function):
        return lambda x: function(x, 1.5, k=2) * function(x, x, k=2)

    np.testing.assert_allclose(dl.jacobian(f(own), backend=mode)(X), dl.jacobian(f(plainly))(X), rtol=1e-12, atol=1e-14)
    if own in TRACED:
        found = dl.hessian(lambda x: np.sum(f(own)(x)), backend=mode)(X)
        wanted = dl.hessian(lambda x: np.sum(f(plainly)(x)))(X)
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)
        found = dl.hvp(lambda x: np.sum(f(own)(x)), backend=mode)(X, 2 * X)
        np.testing.assert_allclose(found, wanted @ (2 * X), rtol=1e-11)
