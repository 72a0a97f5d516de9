"""Layers and losses against loops and extended precision, on plain and on traced arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import DTYPES, close, difference, rng_of

from difflab import nn
from difflab.operators import gradient, jvp, vjp
from difflab.tracing import trace_leaves


def numbers(shape: tuple[int, ...], label: str = "nn", dtype: str = "float64") -> np.ndarray:
    return rng_of(label).standard_normal(shape).astype(dtype)


def traced(function: Callable, *arrays: Any) -> np.ndarray:
    """The function's value by way of a tape."""
    return trace_leaves(lambda leaves: [function(*leaves)], arrays).evaluate(arrays)[0]


def check_gradient(function: Callable, *arrays: np.ndarray) -> None:
    """The pullback of a random cotangent against differences and against the tangent, in every argument."""
    value, pullback = vjp(function, *arrays)
    g = numbers(np.shape(value), "g", value.dtype.name)
    tangents = tuple(numbers(a.shape, f"t{i}", a.dtype.name) for i, a in enumerate(arrays))
    pulled = pullback(g)
    assert [(p.shape, p.dtype) for p in pulled] == [(a.shape, a.dtype) for a in arrays]
    found = sum(float(np.sum(p.astype("f8") * t)) for p, t in zip(pulled, tangents, strict=True))
    expected = difference(lambda *a: np.sum(g * function(*a)), arrays, tangents)
    assert close(found, expected, arrays[0].dtype, factor=5)
    pushed = jvp(function, arrays, tangents)[1]
    assert pushed.dtype == value.dtype
    assert close(found, np.sum(g.astype("f8") * pushed), arrays[0].dtype)


# ---------------------------------------------------------------------------- convolution


def padded(x: np.ndarray, w: tuple[int, int], stride: tuple[int, int], padding: Any, fill: float = 0.0) -> np.ndarray:
    """The image inside its border; "same" puts the odd row and column below and to the right."""
    if padding == "same":
        sides = []
        for n, k, s in zip(x.shape[1:3], w, stride, strict=True):
            total = max(((n + s - 1) // s - 1) * s + k - n, 0)
            sides.append((total // 2, total - total // 2))
    else:
        sides = [(p, p) for p in (padding if isinstance(padding, tuple) else (padding, padding))]
    return np.pad(x, ((0, 0), *sides, (0, 0)), constant_values=fill)


def loop_conv(x: np.ndarray, w: np.ndarray, stride: Any, padding: Any) -> np.ndarray:
    steps = stride if isinstance(stride, tuple) else (stride, stride)
    x = padded(x, w.shape[:2], steps, padding)
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(x.shape[1:3], w.shape[:2], steps, strict=True))
    out = np.zeros((x.shape[0], rows, columns, w.shape[3]))
    for n, i, j, o in np.ndindex(*out.shape):
        for a, b, c in np.ndindex(*w.shape[:3]):
            out[n, i, j, o] += float(x[n, i * steps[0] + a, j * steps[1] + b, c]) * float(w[a, b, c, o])
    return out


CONVOLUTIONS = [
    ((2, 5, 6, 1), (1, 1, 1, 2), 1, 0),
    ((2, 5, 6, 2), (3, 3, 2, 3), 1, 0),
    ((1, 5, 6, 2), (3, 3, 2, 1), 2, 1),
    ((1, 7, 5, 1), (5, 5, 1, 2), (2, 1), (2, 3)),
    ((2, 5, 6, 2), (3, 3, 2, 2), 1, "same"),
    ((1, 5, 8, 1), (2, 3, 1, 1), (2, 3), "same"),
    ((1, 6, 6, 1), (3, 3, 1, 1), 2, "same"),
    ((2, 4, 3, 2), (2, 1, 2, 2), (1, 3), (0, 1)),
    ((1, 3, 3, 1), (3, 3, 1, 1), 4, 0),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "kernel", "stride", "padding"), CONVOLUTIONS)
def test_convolution_against_loops(shape, kernel, stride, padding, dtype):
    x, w = numbers(shape, "x", dtype), numbers(kernel, "w", dtype)
    expected = loop_conv(x, w, stride, padding)
    for found in (
        nn.conv2d(x, w, stride, padding),
        traced(lambda x, w: nn.conv2d(x, w, stride=stride, padding=padding), x, w),
    ):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-14 if dtype == "float64" else 1e-5, atol=2e-6)
    check_gradient(lambda x, w: nn.conv2d(x, w, stride, padding), x, w)


def test_convolution_is_a_correlation_and_keeps_the_size_with_same():
    x = np.zeros((1, 5, 5, 1))
    x[0, 2, 2, 0] = 1.0
    w = np.arange(9.0).reshape(3, 3, 1, 1)
    assert np.array_equal(nn.conv2d(x, w, padding="same")[0, 1:4, 1:4, 0], w[::-1, ::-1, 0, 0])
    assert nn.conv2d(x, w, stride=2, padding="same").shape == (1, 3, 3, 1)


def test_convolution_of_an_empty_batch():
    x, w = np.zeros((0, 4, 4, 1)), np.ones((3, 3, 1, 2))
    assert nn.conv2d(x, w).shape == (0, 2, 2, 2)
    assert np.array_equal(gradient(lambda w: np.sum(nn.conv2d(x, w)))(w), np.zeros_like(w))


# ---------------------------------------------------------------------------- pooling


def loop_pool(x: np.ndarray, size: Any, stride: Any, padding: Any, kind: str) -> np.ndarray:
    size = size if isinstance(size, tuple) else (size, size)
    steps = size if stride is None else stride if isinstance(stride, tuple) else (stride, stride)
    x = padded(x, size, steps, padding, -np.inf if kind == "max" else 0.0)
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(x.shape[1:3], size, steps, strict=True))
    out = np.zeros((x.shape[0], rows, columns, x.shape[3]))
    for n, i, j, c in np.ndindex(*out.shape):
        window = x[n, i * steps[0] : i * steps[0] + size[0], j * steps[1] : j * steps[1] + size[1], c]
        out[n, i, j, c] = np.max(window) if kind == "max" else float(np.sum(window, dtype="f8")) / window.size
    return out


POOLS = [(2, None, 0), (3, 1, 0), (2, 1, 1), ((2, 3), (1, 2), (1, 2)), (3, 2, 1), (1, None, 0), ((3, 2), None, (2, 0))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["max", "avg"])
@pytest.mark.parametrize(("size", "stride", "padding"), POOLS)
def test_pooling_against_loops(size, stride, padding, kind, dtype):
    pool = nn.max_pool2d if kind == "max" else nn.avg_pool2d
    shape = (2, 5, 6, 2)
    x = (rng_of("pool").permutation(120).reshape(shape) / 8 - 7).astype(dtype)  # no ties, all signs
    expected = loop_pool(x, size, stride, padding, kind)
    for found in (pool(x, size, stride, padding), traced(lambda x: pool(x, size, stride=stride, padding=padding), x)):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected, rtol=1e-14 if dtype == "float64" else 1e-6, atol=1e-6)
    check_gradient(lambda x: pool(x, size, stride, padding), x)


@given(
    st.tuples(st.integers(1, 2), st.integers(3, 6), st.integers(3, 6), st.integers(1, 2)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_any_pool_sends_each_cotangent_to_the_first_maximum(shape, size, stride):
    x = np.round(numbers(shape, "ties"))  # many ties
    y, pullback = vjp(lambda x: nn.max_pool2d(x, size, stride), x)
    assert np.array_equal(y, loop_pool(x, size, stride, 0, "max"))
    g = numbers(y.shape, "g")
    expected = np.zeros_like(x)
    for n, i, j, c in np.ndindex(*y.shape):
        window = x[n, i * stride[0] : i * stride[0] + size[0], j * stride[1] : j * stride[1] + size[1], c]
        a, b = np.unravel_index(np.argmax(window), window.shape)
        expected[n, i * stride[0] + a, j * stride[1] + b, c] += g[n, i, j, c]
    np.testing.assert_allclose(pullback(g)[0], expected, rtol=1e-13, atol=1e-14)
    mean, pull_mean = vjp(lambda x: nn.avg_pool2d(x, size, stride), x)
    np.testing.assert_allclose(mean, loop_pool(x, size, stride, 0, "avg"), atol=1e-14)
    np.testing.assert_allclose(np.sum(pull_mean(g)[0]), np.sum(g), atol=1e-13)


def test_padding_never_wins_a_maximum_and_takes_no_gradient():
    for x, expected in (
        (-np.arange(1.0, 5.0).reshape(1, 2, 2, 1), [[4.0, 2.0], [2.0, 1.0]]),
        (np.full((1, 2, 2, 1), -np.inf), [[4.0, 2.0], [2.0, 1.0]]),  # all tie: the first pixel of each window
    ):
        value, pullback = vjp(lambda x: nn.max_pool2d(x, 2, 1, 1), x)
        assert np.array_equal(value, loop_pool(x, 2, 1, 1, "max"))
        assert np.array_equal(pullback(np.ones_like(value))[0][0, :, :, 0], expected)


@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.data(),
)
def test_any_padded_pool_takes_the_first_nan_or_maximum_among_its_pixels(extents, size, stride, data):
    padding = tuple(data.draw(st.integers(max(0, (k - n + 1) // 2), k - 1)) for n, k in zip(extents, size, strict=True))
    shape = (2, *extents, 1)
    x = rng_of(f"edges{shape}{size}{stride}{padding}").choice([-np.inf, -1.0, -0.0, 0.0, np.inf, np.nan], shape)
    pool = lambda x: nn.max_pool2d(x, size, stride, padding)  # noqa: E731
    y, pullback = vjp(pool, x)
    assert np.array_equal(y, loop_pool(x, size, stride, padding, "max"), equal_nan=True)
    g, t = numbers(y.shape, "g"), numbers(shape, "t")
    pulled, pushed = np.zeros_like(x), np.zeros_like(y)
    for n, i, j, c in np.ndindex(*y.shape):
        top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
        rows, columns = slice(max(top, 0), top + size[0]), slice(max(left, 0), left + size[1])
        a, b = np.unravel_index(np.argmax(x[n, rows, columns, c]), x[n, rows, columns, c].shape)  # the first NaN, too
        pulled[n, rows, columns, c][a, b] += g[n, i, j, c]
        pushed[n, i, j, c] = t[n, rows, columns, c][a, b]
    np.testing.assert_allclose(pullback(g)[0], pulled, rtol=1e-13, atol=1e-14)
    assert np.array_equal(jvp(pool, (x,), (t,))[1], pushed)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "bool"])
def test_pooling_of_integers_keeps_their_maximum_and_averages_in_float64(dtype):
    x = np.arange(-7, 9).reshape(1, 4, 4, 1).astype(dtype)
    wide = x.astype("f8")
    for kind, pool in (("max", nn.max_pool2d), ("avg", nn.avg_pool2d)):
        for found in (pool(x, 3, 2, 1), traced(lambda x, pool=pool: pool(x, 3, 2, 1), x)):
            assert found.dtype == (dtype if kind == "max" else "f8")
            np.testing.assert_allclose(found, loop_pool(wide, 3, 2, 1, kind), rtol=1e-15)


# ---------------------------------------------------------------------------- softmax and its relatives

HARD = [
    np.array([[1e4, -1e4, 9999.0], [0.0, 0.0, 0.0]]),
    np.array([[-np.inf, 0.0, 1.0], [-np.inf, -np.inf, 3.0]]),
    np.array([[-800.0, -801.0, -802.0], [1e-20, 0.0, -1e-20]]),
]


def exact_softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x.astype(np.longdouble) - np.max(x, axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("x", HARD, ids=["large", "minus infinity", "small"])
def test_softmax_and_logsumexp_do_not_overflow(x, dtype):
    x = x.astype(dtype)
    eps = np.finfo(dtype).eps
    expected = exact_softmax(x)
    top = np.max(x, axis=-1, keepdims=True)
    level = np.log(np.sum(np.exp(x.astype(np.longdouble) - top), axis=-1)) + top[:, 0]
    for softmax, logsumexp in (
        (nn.softmax(x), nn.logsumexp(x, axis=-1)),
        (traced(nn.softmax, x), traced(lambda x: nn.logsumexp(x, axis=-1), x)),
    ):
        assert softmax.dtype == logsumexp.dtype == dtype
        np.testing.assert_allclose(softmax, expected.astype(dtype), rtol=8 * eps)
        np.testing.assert_allclose(logsumexp, level.astype(dtype), rtol=4 * eps, atol=4 * eps)
    slopes = gradient(lambda x: np.sum(nn.logsumexp(x, axis=-1)))(x)
    assert slopes.dtype == dtype
    np.testing.assert_allclose(slopes, expected.astype(dtype), rtol=8 * eps)


def test_a_row_of_minus_infinity_has_no_probabilities():
    x = np.full((1, 3), -np.inf)
    with np.errstate(divide="ignore"):  # the logarithm of zero, as in NumPy
        assert nn.logsumexp(x) == -np.inf
        assert traced(nn.logsumexp, x) == -np.inf


@pytest.mark.parametrize("axis", [-1, 0, 1, (0, 1), None])
@pytest.mark.parametrize("keepdims", [False, True])
def test_axes_of_softmax_and_logsumexp(axis, keepdims):
    x = numbers((3, 4))
    expected = np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))
    np.testing.assert_allclose(nn.logsumexp(x, axis, keepdims), expected, rtol=1e-14)
    np.testing.assert_allclose(traced(lambda x: nn.logsumexp(x, axis, keepdims), x), expected, rtol=1e-14)
    ratio = np.exp(x) / np.sum(np.exp(x), axis=axis, keepdims=True)
    np.testing.assert_allclose(nn.softmax(x, axis), ratio, rtol=1e-14)
    check_gradient(lambda x: nn.softmax(x, axis), x)
    check_gradient(lambda x: nn.logsumexp(x, axis, keepdims), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5, 3), (1, 4), (3,), (2, 3, 4)])
def test_cross_entropy_with_targets_that_do_not_sum_to_one(shape, dtype):
    z = (3 * numbers(shape, "z")).astype(dtype)
    t = rng_of("targets").uniform(0, 2, shape).astype(dtype)
    level = np.log(np.sum(np.exp(z.astype("f8")), axis=-1, keepdims=True))
    expected = np.mean(np.sum(t * (level - z), axis=-1))
    for found in (nn.softmax_cross_entropy(z, t), traced(nn.softmax_cross_entropy, z, t)):
        assert (found.dtype, found.shape) == (np.dtype(dtype), ())
        np.testing.assert_allclose(found, expected, rtol=1e-14 if dtype == "float64" else 1e-5)
    slope = (np.sum(t, -1, keepdims=True) * exact_softmax(z) - t) / (z.size // z.shape[-1])
    np.testing.assert_allclose(
        gradient(nn.softmax_cross_entropy)(z, t), slope.astype(dtype), atol=8 * np.finfo(dtype).eps
    )
    check_gradient(nn.softmax_cross_entropy, z, t)


def test_cross_entropy_of_certain_and_of_hopeless_logits():
    z, t = np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    assert nn.softmax_cross_entropy(z, t) == 5e3
    assert np.array_equal(gradient(nn.softmax_cross_entropy)(z, t), [[0.0, 0.0], [-0.5, 0.5]])


# ---------------------------------------------------------------------------- activations

POINTS = np.array([-900.0, -1.5, -1e-9, 0.0, 1e-9, 0.7, 900.0])
ACTIVATIONS: dict[str, tuple[Callable, Callable, Callable]] = {
    "relu": (nn.relu, lambda x: max(x, 0.0), lambda x: float(x > 0)),
    "leaky_relu": (nn.leaky_relu, lambda x: x if x > 0 else 0.1 * x, lambda x: 1.0 if x > 0 else 0.1),
    "steep leak": (lambda x: nn.leaky_relu(x, 0.3), lambda x: x if x > 0 else 0.3 * x, lambda x: 1.0 if x > 0 else 0.3),
    "elu": (nn.elu, lambda x: x if x > 0 else np.expm1(x), lambda x: 1.0 if x > 0 else np.exp(x)),
    "steep elu": (
        lambda x: nn.elu(x, alpha=2.0),
        lambda x: x if x > 0 else 2 * np.expm1(x),
        lambda x: 1.0 if x > 0 else 2 * np.exp(x),
    ),
    "sigmoid": (
        nn.sigmoid,
        lambda x: 1 / (1 + np.exp(-x)) if x > 0 else np.exp(x) / (1 + np.exp(x)),
        lambda x: np.exp(-abs(x)) / (1 + np.exp(-abs(x))) ** 2,
    ),
    "dropout": (lambda x: nn.dropout(x, np.ones(7) * 2), lambda x: 2 * x, lambda x: 2.0),
    "stop_gradient": (nn.stop_gradient, lambda x: x, lambda x: 0.0),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_against_scalar_formulas(name, dtype):
    function, value, slope = ACTIVATIONS[name]
    if name == "dropout":
        function = lambda x: nn.dropout(x, np.full(7, 2, x.dtype))  # noqa: E731
    x = POINTS.astype(dtype)
    tolerance = {"rtol": 4 * np.finfo(dtype).eps, "atol": 1e-300 if dtype == "float64" else 1e-37}
    for found in (function(x), traced(function, x)):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, np.array([value(float(p)) for p in x]).astype(dtype), **tolerance)
    slopes = gradient(lambda x: np.sum(function(x)))(x)
    assert slopes.dtype == dtype
    wanted = np.array([slope(float(p)) for p in x])
    np.testing.assert_allclose(slopes, wanted.astype(dtype), rtol=4 * np.finfo(dtype).eps, atol=1e-7)


def test_dropout_is_differentiated_in_its_input_and_takes_its_mask_as_an_argument():
    mask = np.array([0.0, 2.0, 2.0])
    assert np.array_equal(gradient(lambda x, m: np.sum(nn.dropout(x, m)))(np.ones(3), mask), mask)
    assert np.array_equal(nn.dropout(np.ones((2, 3)), mask), [mask, mask])


def test_layers_take_lists_and_numbers():
    assert nn.relu(-1.0) == 0.0
    assert nn.softmax([0.0, 0.0])[0] == 0.5
    assert np.array_equal(nn.leaky_relu([-1.0, 1.0]), [-0.1, 1.0])
