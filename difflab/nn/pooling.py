"""Pooling over windows, and its opposite, upsampling. Images are NHWC."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, user_location
from ..primitives import arguments, contract, neural, reduce
from ..primitives.record import composite
from .convolution import padded


def _pooling(x: Any, size: Any, stride: Any, padding: Any, layer: str) -> tuple[Any, Any, Any, Any]:
    x = arguments.images(x, layer)
    window = arguments.pair(size, "size", layer)
    steps = window if stride is None else arguments.pair(stride, "stride", layer)
    sides = tuple((side, side) for side in arguments.pair(padding, "padding", layer))
    if any(side[0] >= k for side, k in zip(sides, window, strict=True)):
        raise InputError(f"{layer} at {user_location()}: padding {padding!r} must be smaller than the window {window}")
    if any(not n or n + 2 * side[0] < k for n, side, k in zip(x.shape[1:3], sides, window, strict=True)):
        raise InputError(
            f"{layer} at {user_location()}: windows of {window} do not fit images of shape {x.shape}; take smaller "
            "windows or a larger padding"
        )
    return x, window, steps, sides


@composite("max_pool2d")
def _max_pool2d(x, *, size, stride, padding):
    return neural.max_pool(neural.bordered(x, padding), size=size, stride=stride)


def max_pool2d(x: Any, size: Any, stride: Any = None, padding: Any = 0) -> Any:
    """Maximum over windows; its gradient goes to the first maximal element of each window, in row-major order.

    A window with NaN has the maximum NaN, and its gradient goes to the first NaN.

    Args:
        x: images, shape (batch, rows, columns, channels), floating, integer or boolean.
        size: window, an integer or (rows, columns).
        stride: step between windows, an integer or (rows, columns); by default the window's size.
        padding: rows and columns on each side that are never the maximum, fewer than the window has; an integer or
            (rows, columns).

    Returns:
        Array of shape (batch, out rows, out columns, channels), same dtype.

    Raises:
        InputError: windows that do not fit; a size, stride or padding that is not as above.

    Example:
        >>> import numpy as np
        >>> max_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
        array([3.])
    """
    x, window, steps, sides = _pooling(x, size, stride, padding, "max_pool2d")
    return _max_pool2d(x, size=window, stride=steps, padding=sides)


@composite("avg_pool2d")
def _avg_pool2d(x, *, size, stride, padding):
    patches = neural.windows(padded(x, padding), size=size, stride=stride)
    return reduce.sum(patches, axes=(3, 4)) / (size[0] * size[1])


def avg_pool2d(x: Any, size: Any, stride: Any = None, padding: Any = 0) -> Any:
    """Mean over windows; padded zeros count as elements.

    Args:
        x: images, shape (batch, rows, columns, channels), floating, integer or boolean.
        size: window, an integer or (rows, columns).
        stride: step between windows, an integer or (rows, columns); by default the window's size.
        padding: rows and columns of zeros on each side, fewer than the window has; an integer or (rows, columns).

    Returns:
        Array of shape (batch, out rows, out columns, channels), same dtype; float64 from integers and booleans.

    Raises:
        InputError: windows that do not fit; a size, stride or padding that is not as above.

    Example:
        >>> import numpy as np
        >>> avg_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
        array([1.5])
    """
    x, window, steps, sides = _pooling(arguments.floating(x, "avg_pool2d"), size, stride, padding, "avg_pool2d")
    return _avg_pool2d(x, size=window, stride=steps, padding=sides)


@composite("upsample2d")
def _upsample2d(x, *, factor, how):
    batch, rows, columns, channels = x.shape
    if how == "nearest":
        wide = np.broadcast_to(
            np.reshape(x, (batch, rows, 1, columns, 1, channels)),
            (batch, rows, factor[0], columns, factor[1], channels),
        )
        return np.reshape(wide, (batch, rows * factor[0], columns * factor[1], channels))
    down, right = (_between(n, f, x.dtype) for n, f in zip((rows, columns), factor, strict=True))
    tall = contract.matmul(down, np.reshape(x, (batch, rows, columns * channels)))
    wide = contract.matmul(right, np.reshape(tall, (batch * rows * factor[0], columns, channels)))
    return np.reshape(wide, (batch, rows * factor[0], columns * factor[1], channels))


def _between(count: int, factor: int, dtype: np.dtype) -> np.ndarray:
    """The matrix that interpolates linearly between the centres of ``count`` pixels; constant beyond the outermost."""
    centres = np.clip((np.arange(count * factor) + 0.5) / factor - 0.5, 0, count - 1)
    return np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(count))).astype(dtype)


def upsample2d(x: Any, factor: Any, how: str = "nearest") -> Any:
    """Images with more pixels: each repeated, or linear in between.

    Args:
        x: images, shape (batch, rows, columns, channels), floating, integer or boolean.
        factor: how many times as many rows and columns, an integer or (rows, columns).
        how: "nearest" repeats each pixel; "bilinear" interpolates between the centres of pixels and goes on constant
            beyond the outermost.

    Returns:
        Array of shape (batch, factor rows, factor columns, channels); same dtype, but float64 from integers and
        booleans where "bilinear".

    Raises:
        InputError: a factor or ``how`` that is not as above.

    Example:
        >>> import numpy as np
        >>> upsample2d(np.array([0.0, 4.0]).reshape(1, 1, 2, 1), (1, 2), how="bilinear").ravel()
        array([0., 1., 3., 4.])
    """
    if how not in ("nearest", "bilinear"):
        raise InputError(f"how of upsample2d at {user_location()} is 'nearest' or 'bilinear', not {how!r}")
    x = arguments.images(arguments.floating(x, "upsample2d") if how == "bilinear" else x, "upsample2d")
    return _upsample2d(x, factor=arguments.pair(factor, "factor", "upsample2d"), how=how)
