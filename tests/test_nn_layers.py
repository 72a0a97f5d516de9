"""Convolutions with every option, their transpose and upsampling against loops and formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layer_checks import check_layer, numbers
from samples import DTYPES

from difflab import nn
from difflab.operators import vjp

# ---------------------------------------------------------------------------- convolution


def loop_conv(
    x: np.ndarray, w: np.ndarray, stride: tuple, sides: tuple, dilation: tuple = (1, 1), groups: int = 1
) -> np.ndarray:
    """Every product of a convolution, one by one; ``sides`` are rows above, rows below, columns left, right."""
    above, below, left, right = sides
    batch, height, width, _ = x.shape
    rows, columns, share, outputs = w.shape
    down = (height + above + below - (rows - 1) * dilation[0] - 1) // stride[0] + 1
    over = (width + left + right - (columns - 1) * dilation[1] - 1) // stride[1] + 1
    y = np.zeros((batch, down, over, outputs))
    for n, i, j, o in np.ndindex(*y.shape):
        first = o // (outputs // groups) * share
        for a, b, c in np.ndindex(rows, columns, share):
            row, column = i * stride[0] + a * dilation[0] - above, j * stride[1] + b * dilation[1] - left
            if 0 <= row < height and 0 <= column < width:
                y[n, i, j, o] += float(x[n, row, column, first + c]) * float(w[a, b, c, o])
    return y


CONVOLUTIONS = {
    "kernel 1, two groups": ((2, 3, 4, 4), (1, 1, 2, 6), {"groups": 2}, (0, 0, 0, 0)),
    "kernel 3, two groups": ((2, 5, 4, 4), (3, 3, 2, 2), {"groups": 2, "padding": 1}, (1, 1, 1, 1)),
    "kernel 5, three groups": (
        (1, 6, 7, 3), (5, 5, 1, 6), {"groups": 3, "padding": (2, 1), "stride": (2, 1)}, (2, 2, 1, 1),
    ),
    "each channel its own": ((2, 4, 4, 3), (3, 3, 1, 3), {"groups": 3, "stride": 2}, (0, 0, 0, 0)),
    "same, two groups": ((1, 5, 5, 2), (3, 3, 1, 2), {"groups": 2, "padding": "same", "stride": 2}, (1, 1, 1, 1)),
    "dilation": ((2, 7, 6, 2), (3, 2, 2, 3), {"dilation": (2, 3)}, (0, 0, 0, 0)),
    "dilation, padding and stride": (
        (1, 6, 8, 1), (3, 3, 1, 2), {"dilation": 2, "padding": 2, "stride": (1, 2)}, (2, 2, 2, 2),
    ),
    "dilation, same": ((1, 5, 6, 1), (3, 2, 1, 1), {"dilation": (1, 3), "padding": "same"}, (1, 1, 1, 2)),
    "dilation and groups": (
        (2, 6, 5, 4), (2, 2, 2, 4), {"dilation": (3, 2), "groups": 2, "padding": (1, 0)}, (1, 1, 0, 0),
    ),
    "dilation of a kernel of one": ((1, 3, 3, 1), (1, 1, 1, 1), {"dilation": 4}, (0, 0, 0, 0)),
}  # fmt: skip


def pair(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value, value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", CONVOLUTIONS)
def test_groups_and_dilation_against_loops(label: str, dtype: str) -> None:
    shape, kernel, options, sides = CONVOLUTIONS[label]
    x, w = numbers(shape, "x", dtype), numbers(kernel, "w", dtype)
    steps = [pair(options.get(key, 1)) for key in ("stride", "dilation")]
    expected = loop_conv(x, w, steps[0], sides, steps[1], options.get("groups", 1))
    check_layer(lambda x, w: nn.conv2d(x, w, **options), expected, x, w)


@given(
    st.tuples(st.integers(1, 2), st.integers(5, 8), st.integers(5, 8)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 3),
)
def test_any_convolution_pulls_back_by_its_own_transpose(images, kernel, stride, dilation, padding, groups):
    x = numbers((*images, 2 * groups), f"x{images}{groups}")
    w = numbers((*kernel, 2, groups), f"w{kernel}{groups}")
    y, pullback = vjp(lambda x: nn.conv2d(x, w, stride, padding, dilation, groups), x)
    sides = (padding[0], padding[0], padding[1], padding[1])
    np.testing.assert_allclose(y, loop_conv(x, w, stride, sides, dilation, groups), atol=1e-13)
    g, t = numbers(y.shape, "g"), numbers(x.shape, "t")
    pushed = loop_conv(t, w, stride, sides, dilation, groups)
    assert np.sum(pullback(g)[0] * t) == pytest.approx(np.sum(g * pushed), rel=1e-12, abs=1e-12)


def test_groups_are_convolutions_side_by_side() -> None:
    x, w = numbers((2, 5, 5, 4), "x"), numbers((3, 3, 2, 6), "w")
    halves = [nn.conv2d(x[..., 2 * k : 2 * k + 2], w[..., 3 * k : 3 * k + 3], padding=1) for k in range(2)]
    np.testing.assert_allclose(nn.conv2d(x, w, padding=1, groups=2), np.concatenate(halves, axis=3), rtol=1e-13)


def test_a_dense_layer_is_a_convolution_whose_kernel_is_the_image() -> None:
    x, w, b = numbers((3, 4, 5, 2), "x"), numbers((4, 5, 2, 6), "w"), numbers((6,), "b")

    def as_convolution(x: Any, w: Any, b: Any) -> Any:
        return nn.conv2d(x, w)[:, 0, 0] + b

    def as_product(x: Any, w: Any, b: Any) -> Any:
        return x.reshape(3, -1) @ w.reshape(-1, 6) + b

    assert np.array_equal(as_convolution(x, w, b), as_product(x, w, b))
    g = numbers((3, 6), "g")
    for left, right in zip(vjp(as_convolution, x, w, b)[1](g), vjp(as_product, x, w, b)[1](g), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-14)


# ---------------------------------------------------------------------------- transposed convolution

TRANSPOSED = {
    "kernel 1": ((2, 3, 2, 2), (1, 1, 3, 2), 1, 0, 0),
    "kernel 3": ((2, 3, 4, 2), (3, 3, 1, 2), 1, 0, 0),
    "kernel 5, padding": ((1, 3, 3, 1), (5, 5, 2, 1), 1, 2, 0),
    "stride 2": ((2, 3, 2, 1), (3, 3, 2, 1), 2, 1, 0),
    "stride 2, output padding": ((1, 3, 3, 2), (3, 3, 1, 2), 2, 1, 1),
    "stride larger than the kernel": ((1, 2, 3, 1), (2, 1, 1, 1), 3, 0, 2),
    "rows and columns differ": ((1, 3, 2, 2), (2, 3, 2, 2), (3, 2), (1, 0), (2, 1)),
}


def loop_transpose(x: np.ndarray, w: np.ndarray, stride: tuple, padding: tuple, more: tuple) -> np.ndarray:
    """Every pixel adds its multiple of the kernel."""
    batch, height, width, _ = x.shape
    rows, columns, outputs, _ = w.shape
    y = np.zeros((
        batch, (height - 1) * stride[0] + rows - 2 * padding[0] + more[0],
        (width - 1) * stride[1] + columns - 2 * padding[1] + more[1], outputs,
    ))  # fmt: skip
    for n, i, j, c in np.ndindex(*x.shape):
        for a, b, o in np.ndindex(rows, columns, outputs):
            row, column = i * stride[0] + a - padding[0], j * stride[1] + b - padding[1]
            if 0 <= row < y.shape[1] and 0 <= column < y.shape[2]:
                y[n, row, column, o] += float(x[n, i, j, c]) * float(w[a, b, o, c])
    return y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", TRANSPOSED)
def test_transposed_convolution_against_loops(label: str, dtype: str) -> None:
    shape, kernel, stride, padding, more = TRANSPOSED[label]
    x, w = numbers(shape, "x", dtype), numbers(kernel, "w", dtype)
    expected = loop_transpose(x, w, pair(stride), pair(padding), pair(more))
    check_layer(lambda x, w: nn.conv2d_transpose(x, w, stride, padding, more), expected, x, w)


@pytest.mark.parametrize("label", TRANSPOSED)
def test_transposed_convolution_is_the_pullback_of_convolution(label: str) -> None:
    shape, kernel, stride, padding, more = TRANSPOSED[label]
    g, w = numbers(shape, "x"), numbers(kernel, "w")
    images = nn.conv2d_transpose(g, w, stride, padding, more)
    value, pullback = vjp(lambda y: nn.conv2d(y, w, stride, padding), images)
    assert value.shape == g.shape
    np.testing.assert_allclose(pullback(g)[0], images, rtol=1e-13, atol=1e-13)


# ---------------------------------------------------------------------------- upsampling


def test_nearest_repeats_and_its_gradient_sums() -> None:
    x = numbers((2, 2, 3, 2), "x")
    check_layer(lambda x: nn.upsample2d(x, (3, 2)), x.repeat(3, axis=1).repeat(2, axis=2), x)
    g = numbers((2, 6, 6, 2), "g")
    pulled = vjp(lambda x: nn.upsample2d(x, (3, 2)), x)[1](g)[0]
    np.testing.assert_allclose(pulled, g.reshape(2, 2, 3, 3, 2, 2).sum(axis=(2, 4)), rtol=1e-13)
    np.testing.assert_array_equal(nn.upsample2d(np.array([[[[1], [2]]]]), 2)[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2]])


def between(row: np.ndarray, factor: int) -> np.ndarray:
    """Linear between centres of pixels, by NumPy's own interpolation."""
    places = (np.arange(len(row) * factor) + 0.5) / factor - 0.5
    return np.interp(places, np.arange(len(row)), row)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [(1, 1), (2, 2), (3, 4), (2, 1)])
def test_bilinear_interpolates_rows_and_columns(factor: tuple[int, int], dtype: str) -> None:
    x = numbers((2, 3, 1, 2) if factor == (2, 1) else (2, 3, 4, 2), "x", dtype)
    tall = np.apply_along_axis(between, 1, x.astype("f8"), factor[0])
    check_layer(lambda x: nn.upsample2d(x, factor, how="bilinear"), np.apply_along_axis(between, 2, tall, factor[1]), x)


def test_bilinear_of_a_ramp_is_a_ramp_inside() -> None:
    x = np.arange(5.0).reshape(1, 1, 5, 1)
    np.testing.assert_allclose(nn.upsample2d(x, (1, 2), how="bilinear").ravel()[1:-1], np.arange(0.25, 4, 0.5))
