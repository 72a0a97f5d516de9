"""A wrong branch is never replayed: `if`, `while` and `for` on traced values, nested, in lanes, and in Jacobians."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab.errors import GuardError
from difflab.execution.program import Program
from difflab.tracing import trace_leaves
from difflab.transforms.batch import batch

EXACT = ["reverse", "forward"]
X = np.array([0.3, -0.7, 1.2])


def winding(x, y):
    """if, while and for on traced values, on two inputs."""
    steps = 0
    while x > 1.0:
        x = x * 0.5 + 0.1 * y
        steps += 1
        if steps > 12:
            break
    if y < 0.0:
        x = x * x
    elif x < y:
        x = x + 2.0 * y
    for _ in range(steps % 3):
        x = x * y
    return x * 3.0 if steps % 2 else -x


WINDING = {backend: dl.prepare(winding, 0.5, 0.5, argnums=(0, 1), backend=backend) for backend in EXACT}


def by_dual_numbers(x: float, y: float) -> tuple[float, float]:
    """The gradient of ``winding`` by hand: the same branches, with both slopes carried along."""
    v, dx, dy, steps = x, 1.0, 0.0, 0
    while v > 1.0:
        v, dx, dy = v * 0.5 + 0.1 * y, dx * 0.5, dy * 0.5 + 0.1
        steps += 1
        if steps > 12:
            break
    if y < 0.0:
        v, dx, dy = v * v, 2 * v * dx, 2 * v * dy
    elif v < y:
        v, dy = v + 2.0 * y, dy + 2.0
    for _ in range(steps % 3):
        v, dx, dy = v * y, dx * y, dy * y + v
    sign = 3.0 if steps % 2 else -1.0
    return sign * dx, sign * dy


@settings(max_examples=60)
@given(x=st.floats(-4.0, 40.0), y=st.floats(-2.0, 2.0), backend=st.sampled_from(EXACT))
def test_a_wrong_branch_is_never_replayed(x: float, y: float, backend: str):
    found = WINDING[backend](x, y)
    np.testing.assert_allclose(found, by_dual_numbers(x, y), rtol=1e-12, atol=1e-12)
    assert WINDING[backend].value(x, y) == pytest.approx(winding(x, y), rel=1e-12, abs=1e-12)


def test_a_branch_on_the_derivative_itself():
    def outer(x):
        slope = dl.gradient(lambda y: y**3 - 3.0 * y)(x)
        return x * x if slope > 0.0 else 5.0 * x

    prepared = dl.prepare(outer, 2.0)
    assert [prepared(x) for x in (2.0, 0.5, -2.0, -0.5)] == [4.0, 5.0, -4.0, 5.0]
    assert prepared.stats["traces"] == 2


def test_a_guard_that_differs_between_lanes():
    tape = trace_leaves(lambda leaves: [leaves[0] ** 2 if leaves[0] > 0.0 else 3.0 * leaves[0]], [np.array(1.0)])
    lanes = Program(batch(tape, (True,), 3))
    np.testing.assert_array_equal(lanes.run([np.array([1.0, 2.0, 3.0])])[0], [1.0, 4.0, 9.0])
    for x in ([1.0, -2.0, 3.0], [-1.0, -2.0, -3.0]):
        with pytest.raises(GuardError):
            lanes.run([np.array(x)])


@pytest.mark.parametrize("backend", [*EXACT, "finite"])
def test_a_jacobian_whose_rows_branch_on_their_own_variables(backend: str):
    def f(x):
        return np.stack([v * v if v > 0.0 else 3.0 * v for v in x])

    for x in (X, -X, np.ones(3)):
        wanted = np.diag(np.where(x > 0, 2 * x, 3.0))
        for run in (dl.jacobian(f, backend=backend), dl.prepare(f, X, operator="jacobian", backend=backend)):
            np.testing.assert_allclose(run(x), wanted, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("scheme", ["central", "forward"])
@pytest.mark.parametrize("prepared", [False, True])
def test_quotients_whose_points_lie_on_both_sides_of_a_branch(scheme: str, prepared: bool):
    """Many points may be computed at once; each is on the side where it lies."""

    def f(x):
        if x[0] > 0.0:
            x = x * 2.0
        return np.sum(x * x) if x[1] < 1.0 else np.sum(x) - x[2]

    h = 2.0**-10
    for x in (np.array([h / 4, 0.3, 2.0]), np.array([-h / 4, 1.0 - h / 4, 2.0]), np.array([h / 4, 0.5 - h / 8, 1.0])):
        behind = [f(x - h * e) if scheme == "central" else f(x) for e in np.eye(3)]
        wanted = [
            (f(x + h * e) - b) / (2 * h if scheme == "central" else h) for e, b in zip(np.eye(3), behind, strict=True)
        ]
        backend = dl.Finite(scheme=scheme, step=h)
        run = dl.prepare(f, np.ones(3), backend=backend) if prepared else dl.gradient(f, backend=backend)
        np.testing.assert_allclose(run(x), wanted, rtol=1e-9)
