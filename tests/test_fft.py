"""Fourier transforms: NumPy's values in every size and norm, linear rules in both modes, exact transposes, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import central, drawn, pairing, rng_of, same_bits

from difflab import transforms
from difflab.errors import TraceError
from difflab.execution.program import Program
from difflab.operators import gradient
from difflab.primitives import REGISTRY
from difflab.tracing import trace_leaves

F: Any = np.fft
ONE: list[Callable[..., Any]] = [F.fft, F.ifft, F.rfft, F.irfft, F.hfft, F.ihfft]
MANY: list[Callable[..., Any]] = [F.fft2, F.ifft2, F.fftn, F.ifftn, F.rfft2, F.irfft2, F.rfftn, F.irfftn]
NORMS = [None, "backward", "ortho", "forward"]
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)


def takes_real(function: Callable) -> bool:
    return function.__name__ in ("rfft", "ihfft", "rfft2", "rfftn")


def check(function: Callable[[Any], Any], x: np.ndarray) -> None:
    """NumPy's value and dtype, a tangent that is the function of the tangent, and the pullback that belongs to it."""
    expected = function(x)
    tape = trace_leaves(lambda leaves: [function(leaves[0])], [x]).check()
    (found,) = Program(tape).run([x])
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert same_bits(found, expected)
    t, g = drawn(rng_of("t"), x.shape, x.dtype), drawn(rng_of("g"), expected.shape, expected.dtype)
    eps = float(np.finfo(x.dtype).eps)
    pushed = Program(transforms.jvp(tape, (0,))).run([x, t])[1]
    assert pushed.dtype == expected.dtype
    np.testing.assert_allclose(pushed, function(t), rtol=64 * eps, atol=64 * eps * (1 + np.max(np.abs(pushed))))
    pulled = Program(transforms.vjp(tape, (0,))).run([x, g])[1]
    assert (pulled.dtype, pulled.shape) == (x.dtype, x.shape)
    size = float(np.sum(np.abs(g * pushed)) + np.sum(np.abs(pulled * t)))
    assert abs(pairing(g, pushed) - pairing(pulled, t)) <= 64 * eps * (1 + size)


@given(st.data(), SHAPES, st.sampled_from(ONE), st.sampled_from("dDfF"), st.sampled_from(NORMS))
def test_one_axis_in_any_length(data: st.DataObject, shape: tuple, function: Callable, dtype: str, norm: Any):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    doubled = function in (F.irfft, F.hfft)
    n = data.draw(st.integers(1, 8) if doubled and shape[axis] == 1 else st.none() | st.integers(1, 8))
    x = drawn(rng_of("x"), shape, dtype.lower() if takes_real(function) else dtype)
    check(lambda a: function(a, n, axis, norm), x)
    check(lambda a: function(a, axis=axis, norm=norm, n=n), x)


@given(st.data(), SHAPES, st.sampled_from(MANY), st.sampled_from("dDfF"), st.sampled_from(NORMS))
def test_several_axes_in_any_lengths(data: st.DataObject, shape: tuple, function: Callable, dtype: str, norm: Any):
    ndim = len(shape)
    places = st.lists(st.integers(-ndim, ndim - 1), min_size=1, max_size=3)  # an axis may come twice
    axes = tuple(data.draw(places))
    doubled = function in (F.irfft2, F.irfftn)
    sized = data.draw(st.booleans()) or (doubled and shape[axes[-1]] == 1)
    s = tuple(data.draw(st.integers(1, 6)) for _ in axes) if sized else None
    if s is not None and not doubled and data.draw(st.booleans()):
        s = (-1, *s[1:])
    x = drawn(rng_of("x"), shape, dtype.lower() if takes_real(function) else dtype)
    check(lambda a: function(a, s, axes, norm), x)


@pytest.mark.parametrize("function", MANY)
def test_axes_that_are_not_named(function: Callable):
    x = drawn(rng_of("x"), (2, 3, 4), "d" if takes_real(function) else "D")
    check(function, x)
    check(lambda a: function(a, norm="ortho"), x)
    check(lambda a: function(a[0], (4, 2), (0, 1)), x)


@given(st.data(), st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple), st.sampled_from("fdFD"))
def test_shifts_are_moves(data: st.DataObject, shape: tuple, dtype: str):
    x = drawn(rng_of("x"), shape, dtype)
    axes = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1) | st.just(tuple(range(len(shape)))))
    for function in (F.fftshift, F.ifftshift):
        check(lambda a, f=function: f(a, axes), x) if x.size else check_empty(lambda a, f=function: f(a, axes), x)
    tape = trace_leaves(lambda leaves: [F.ifftshift(F.fftshift(leaves[0], axes=axes), axes=axes)], [x])
    assert same_bits(Program(tape).run([x])[0], x)


def check_empty(function: Callable[[Any], Any], x: np.ndarray) -> None:
    tape = trace_leaves(lambda leaves: [function(leaves[0])], [x])
    for found in Program(transforms.vjp(tape, (0,))).run([x, x]):
        assert same_bits(found, x)


def test_other_dtypes_and_empty_stacks():
    check(lambda a: F.fft(a * np.arange(3)), np.ones(3))
    for x in (np.array([1, 2, 3]), np.array([True, False, True])):
        for function in (F.fft, F.rfft, F.irfft, F.hfft):
            tape = trace_leaves(lambda leaves, f=function: [f(leaves[0])], [x])
            assert same_bits(Program(tape).run([x])[0], function(x))
    empty = np.zeros((0, 4))
    for function in (F.fft, F.rfft, F.irfft):
        tape = trace_leaves(lambda leaves, f=function: [f(leaves[0])], [empty])
        value, pulled = Program(transforms.vjp(tape, (0,))).run([empty, function(empty)])
        assert same_bits(value, function(empty))
        assert same_bits(pulled, empty)
    x = np.ones((2, 3))
    assert same_bits(Program(trace_leaves(lambda leaves: [F.fftn(leaves[0], axes=())], [x])).run([x])[0], x)


def test_a_power_spectrum_in_first_and_second_order():
    x = np.asarray(rng_of("signal").standard_normal(7))
    weights = np.arange(4.0)

    def loss(a):
        z = F.rfft(a * np.cos(a), norm="ortho")
        return np.sum(weights * (np.real(z) ** 2 + np.imag(z) ** 2))

    t = np.asarray(rng_of("t").standard_normal(7))
    first = gradient(loss)
    np.testing.assert_allclose(np.sum(first(x) * t), central(lambda h: np.asarray(loss(x + h * t))), rtol=1e-8)
    second = gradient(lambda a: np.sum(first(a) * t))(x)
    np.testing.assert_allclose(second, central(lambda h: first(x + h * t)), rtol=1e-7, atol=1e-8)


def test_the_gradient_in_a_complex_signal_is_by_its_parts():
    z = drawn(rng_of("z"), (3, 4), "D")
    filtered = drawn(rng_of("filter"), (3, 4), "D")

    def loss(a):
        return np.sum(np.abs(F.ifft2(F.fft2(a) * filtered)) ** 4)

    tape = trace_leaves(lambda leaves: [loss(leaves[0])], [z])
    g = Program(transforms.gradient(tape, (0,))).run([z])[1]
    for at in np.ndindex(3, 4):
        move = np.zeros((3, 4), "D")
        move[at] = 1.0
        parts = [central(lambda h, u=unit, move=move: np.asarray(loss(z + h * u * move))) for unit in (1.0, 1j)]
        np.testing.assert_allclose(g[at], parts[0] - 1j * parts[1], rtol=1e-7, atol=1e-8)


def test_the_transpose_of_a_transform_is_one_equation():
    x = np.ones((4, 6))
    for function, name in ((F.fftn, "fft"), (F.rfft, "irfft"), (F.irfft, "rfft")):
        tape = trace_leaves(lambda leaves, f=function: [f(leaves[0])], [x])
        pulled = transforms.vjp(tape, (0,)).equations[len(tape.equations) :]
        assert [e.primitive.name for e in pulled if "fft" in e.primitive.name] == [name]


@pytest.mark.parametrize("name", ["fft", "rfft", "irfft"])
def test_lanes_are_one_more_axis(name: str):
    primitive: Any = REGISTRY[name]
    for (x,), params in primitive.samples():
        lanes = np.stack([x, 2.0 * x, x[::-1]])
        found = primitive.batch(3, (True,), lanes, **params)
        assert same_bits(found, np.stack([primitive.evaluate(one, **params) for one in lanes]))


def test_frequencies_are_plain_and_their_spacing_may_be_traced():
    def loss(d):
        return np.sum(F.fftfreq(5, d) ** 2) + np.sum(F.rfftfreq(6, d=d))

    expected = central(lambda h: np.asarray(loss(0.5 + h)))
    np.testing.assert_allclose(gradient(loss)(0.5), expected, rtol=1e-8)


REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: F.fft(x, norm="unitary"), r"np\.fft\.fft at test_\w+\.py:\d+: norm must be None, .* not 'unitary'"),
    (lambda x: F.fft(x, 0), r"np\.fft\.fft at .*a transform over 0 points is asked for; at least 1"),
    (lambda x: F.irfft(x[:, :1]), r"np\.fft\.irfft at .*over 0 points"),
    (lambda x: F.fft(x, axis=2), r"np\.fft\.fft at .*axis 2 is out of bounds for 2 dimensions"),
    (lambda x: F.fft(x[0, 0]), r"np\.fft\.fft at .*a scalar has no axis to transform"),
    (lambda x: F.fftn(x, (3,), (0, 1)), r"np\.fft\.fftn at .*1 lengths in s for 2 axes"),
    (lambda x: F.rfft(x * 1j), r"np\.fft\.rfft at .*real data was given complex; use fft"),
    (lambda x: F.ihfft(x * 1j), r"np\.fft\.ihfft at .*given complex"),
    (lambda x: F.rfftn(x, axes=()), r"np\.fft\.rfftn at .*at least one axis must be transformed"),
    (lambda x: F.irfftn(x, axes=()), r"np\.fft\.irfftn at .*at least one axis"),
    (lambda x: F.fft(x, out=np.zeros((2, 3), "D")), r"np\.fft at .*writes into an array in place \(out="),
    (lambda x: F.fftshift(x, axes=(0, -2)), r"np\.fft\.fftshift at .*an axis is named twice"),
]


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_refusals_say_what_where_and_what_to_do(function: Callable, message: str):
    with pytest.raises(TraceError, match=message):
        trace_leaves(lambda leaves: [function(leaves[0])], [np.ones((2, 3))])
