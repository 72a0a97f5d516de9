"""What a function closes over, fills anew, or looks up wrongly: the value at the moment of use is what counts."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import difflab as dl
from difflab.backends.finite import Finite
from difflab.errors import TraceError

X = np.array([1.0, 2.0])


class Sub(np.ndarray):
    """A subclass of NumPy's array."""


def refilled(make):
    """A loss that uses one buffer three times, filled anew each time; its gradient is 1 + 2 + 3 per use."""

    def loss(x):
        buffer = np.empty(2)
        seen = make(buffer)
        total = 0.0
        for k in range(3):
            buffer[:] = k + 1
            total = total + np.sum(x * seen)
        return total

    return loss


def read_only(buffer):
    view = buffer.view()
    view.flags.writeable = False
    return view


@pytest.mark.parametrize(
    "make", [lambda b: b, lambda b: np.broadcast_to(b, (2, 2)), read_only, lambda b: b[::-1], lambda b: b.view(Sub)]
)
@pytest.mark.parametrize("backend", ["reverse", "forward"])
def test_a_buffer_seen_through_any_view_counts_as_it_was_when_used(make, backend):
    loss = refilled(make)
    rows = np.ndim(make(np.empty(2)))
    expected = np.full(2, 6.0 * (2 if rows == 2 else 1))
    np.testing.assert_array_equal(dl.gradient(loss, backend=backend)(X), expected)
    np.testing.assert_array_equal(dl.prepare(loss, X, backend=backend)(X), expected)


def test_a_list_that_changes_counts_as_it_was_when_used():
    def loss(x):
        weights = [1.0, 2.0]
        first = np.sum(x * weights)
        weights[0] = 5.0
        return first + np.sum(x * weights)

    np.testing.assert_array_equal(dl.gradient(loss)(X), [6.0, 4.0])


def test_read_only_data_is_not_copied():
    data = np.ones(3)
    data.flags.writeable = False
    tape = dl.trace(lambda x: np.sum(x * data), np.zeros(3)).tape
    (constant,) = tape.constants.values()
    assert constant is data


def test_a_truth_and_an_integer_of_the_same_value_are_two_structures():
    def loss(x, n):
        return np.sum(x) * (operator.index(n) if n.dtype == np.int64 else 1)

    def asked(x, n):
        return np.sum(x) * (3.0 if n else 1.0)

    one, five = np.array(1), np.array(5)
    np.testing.assert_array_equal(dl.gradient(loss)(X, one), [1, 1])
    np.testing.assert_array_equal(dl.gradient(loss)(X, five), [5, 5])
    np.testing.assert_array_equal(dl.gradient(asked)(X, five), [3, 3])
    np.testing.assert_array_equal(dl.gradient(asked)(X, one), [3, 3])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.sum(x[np.array([7])]), r"index 7 at test_closures\.py:\d+ is out of bounds for axis 0 of size 2"),
        (lambda x: np.sum(np.take(x, [-3])), r"index -3 at test_closures\.py:\d+ is out of bounds"),
        (lambda x: np.max(x[:0]), r"np\.max at test_closures\.py:\d+: an array of shape \(0,\) has no largest"),
        (
            lambda x: x[np.argmax(x[:0])],
            r"np\.argmax at test_closures\.py:\d+: an array of shape \(0,\) has no largest",
        ),
        (lambda x: np.sum(np.roots(x)), r"np\.roots \(called at test_closures\.py:\d+\) has no derivative"),
    ],
)
def test_what_cannot_be_looked_up_is_one_sentence(function, message):
    with pytest.raises(TraceError, match=message):
        dl.gradient(function)(X)


# ---------------------------------------------------------------------------- steps of very different size


def test_finite_tangents_use_the_step_of_what_moves():
    def add(a, b):
        return a + b

    assert dl.jvp(add, (1e12, 1.0), (1.0, 0.0), backend="finite")[1] == pytest.approx(1.0)
    _, pullback = dl.vjp(add, 1e12, 1.0, backend="finite")
    assert pullback(1.0)[0] == pytest.approx(1.0)
    x, t = np.array([1e9, 1.0]), np.array([1.0, 0.0])
    assert dl.jvp(lambda v: np.sum(v * v), (x,), (t,), backend="finite")[1] == pytest.approx(2e9, rel=1e-9)
    x, t = np.array([1e6, 1.0]), np.array([1.0, 1e9])
    assert dl.jvp(lambda v: np.sum(v), (x,), (t,), backend="finite")[1] == pytest.approx(1e9 + 1, rel=1e-4)


def test_a_nested_quotient_follows_the_magnitude_of_its_variable():
    def outer(x):
        return x * dl.gradient(lambda y: y * 2.0, backend="finite")(x)

    assert dl.gradient(outer)(1e12) == pytest.approx(2.0)
    fixed = dl.gradient(lambda x: x * dl.gradient(lambda y: y * y, backend=Finite(step=0.5))(x))
    assert fixed(3.0) == pytest.approx(12.0)  # central differences of a square are exact at any step


def test_a_nested_finite_jvp_is_linear_in_its_tangent():
    def along(x):
        return dl.jvp(lambda y: np.sum(np.sin(y) * y), (x,), (2.0 * x,), backend="finite")[1]

    x = np.array([0.3, 1.7])
    slope = np.cos(x) * x + np.sin(x)
    curvature = 2 * np.cos(x) - x * np.sin(x)
    np.testing.assert_allclose(dl.gradient(along)(x), 2 * slope + 2 * x * curvature, rtol=1e-8)
