"""Layers and losses for neural networks, on plain and on traced arrays alike. Images are NHWC, kernels HWIO."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError, user_location
from .primitives import elementwise, neural, reduce, shape
from .primitives.record import Traced, composite


def _pair(value: Any, name: str) -> tuple[int, int]:
    """(rows, columns) from one integer or two."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    least = 0 if name == "padding" else 1
    if len(pair) != 2 or not all(isinstance(entry, int) and entry >= least for entry in pair):
        raise InputError(f"{name} at {user_location()} is an integer or a pair of integers, not {value!r}")
    return pair


def _array(x: Any) -> Any:
    return x if isinstance(x, Traced) else np.asarray(x)


def _images(x: Any, name: str) -> Any:
    x = _array(x)
    if len(x.shape) != 4:
        raise InputError(
            f"{name} at {user_location()} takes images of shape (batch, rows, columns, channels), got shape {x.shape}"
        )
    return x


def _padded(x: Any, padding: tuple[tuple[int, int], tuple[int, int]]) -> Any:
    return shape.pad(x, widths=((0, 0), *padding, (0, 0))) if any(map(any, padding)) else x


@composite("conv2d")
def _conv2d(x, w, *, stride, padding):
    rows, columns, channels, outputs = w.shape
    patches = neural.windows(_padded(x, padding), size=(rows, columns), stride=stride)
    batch, height, width = patches.shape[:3]
    flat = np.reshape(patches, (batch * height * width, rows * columns * channels))
    product = flat @ np.reshape(w, (rows * columns * channels, outputs))
    return np.reshape(product, (batch, height, width, outputs))


def conv2d(x: Any, w: Any, stride: Any = 1, padding: Any = 0) -> Any:
    """Two-dimensional convolution (cross-correlation, as networks use it).

    Args:
        x: images, shape (batch, rows, columns, channels).
        w: kernel, shape (kernel rows, kernel columns, channels, outputs); same dtype as x.
        stride: step between positions, an integer or (rows, columns).
        padding: zeros added on each side, an integer or (rows, columns), or "same" (output as large as input / stride).

    Returns:
        Array of shape (batch, out rows, out columns, outputs).

    Raises:
        InputError: shapes that do not fit.

    Example:
        >>> import numpy as np
        >>> conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 2)), padding="same").shape
        (1, 4, 4, 2)
    """
    x, w = _images(x, "conv2d"), _array(w)
    if len(w.shape) != 4 or w.shape[2] != x.shape[3]:
        raise InputError(
            f"conv2d at {user_location()}: a kernel of shape {w.shape} does not fit images of shape {x.shape}; it "
            f"should be (rows, columns, {x.shape[3]}, outputs)"
        )
    steps = _pair(stride, "stride")
    sides = []
    if padding == "same":
        for extent, kernel, step in zip(x.shape[1:3], w.shape[:2], steps, strict=True):
            total = max((-(-extent // step) - 1) * step + kernel - extent, 0)
            sides.append((total // 2, total - total // 2))
    elif isinstance(padding, str):
        raise InputError(f"conv2d at {user_location()}: padding is an integer, a pair or 'same', not {padding!r}")
    else:
        sides = [(side, side) for side in _pair(padding, "padding")]
    for extent, kernel, side in zip(x.shape[1:3], w.shape[:2], sides, strict=True):
        if extent + sum(side) < kernel:
            raise InputError(
                f"conv2d at {user_location()}: kernel of {kernel} does not fit into {extent} pixels with padding {side}"
            )
    return _conv2d(x, w, stride=steps, padding=tuple(sides))


def _pooling(x: Any, size: Any, stride: Any, padding: Any, name: str) -> tuple[Any, Any, Any, Any]:
    x = _images(x, name)
    window = _pair(size, "size")
    steps = window if stride is None else _pair(stride, "stride")
    sides = tuple((side, side) for side in _pair(padding, "padding"))
    if any(n + 2 * side[0] < k for n, side, k in zip(x.shape[1:3], sides, window, strict=True)):
        raise InputError(f"{name} at {user_location()}: windows of {window} do not fit images of shape {x.shape}")
    if any(side[0] >= k for side, k in zip(sides, window, strict=True)):
        raise InputError(f"{name} at {user_location()}: padding {padding!r} must be smaller than the window {window}")
    return x, window, steps, sides


@composite("max_pool2d")
def _max_pool2d(x, *, size, stride, padding):
    if any(map(any, padding)):  # padding never wins: it is minus infinity
        (top, bottom), (left, right) = padding
        wide = np.full((x.shape[0], x.shape[1] + top + bottom, x.shape[2] + left + right, x.shape[3]), -np.inf, x.dtype)
        wide[:, top : top + x.shape[1], left : left + x.shape[2]] = 0
        x = np.where(np.isinf(wide), wide, _padded(x, padding))
    return neural.max_pool(x, size=size, stride=stride)


def max_pool2d(x: Any, size: Any, stride: Any = None, padding: Any = 0) -> Any:
    """Maximum over windows; its gradient goes to the first maximal element of each window, in row-major order.

    Args:
        x: images, shape (batch, rows, columns, channels).
        size: window, an integer or (rows, columns).
        stride: step between windows, by default the window's size.
        padding: rows and columns of minus infinity on each side.

    Returns:
        Array of shape (batch, out rows, out columns, channels).

    Raises:
        InputError: windows that do not fit.

    Example:
        >>> import numpy as np
        >>> max_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
        array([3.])
    """
    x, window, steps, sides = _pooling(x, size, stride, padding, "max_pool2d")
    return _max_pool2d(x, size=window, stride=steps, padding=sides)


@composite("avg_pool2d")
def _avg_pool2d(x, *, size, stride, padding):
    patches = neural.windows(_padded(x, padding), size=size, stride=stride)
    return reduce.sum(patches, axes=(3, 4)) / (size[0] * size[1])


def avg_pool2d(x: Any, size: Any, stride: Any = None, padding: Any = 0) -> Any:
    """Mean over windows; padded zeros count as elements.

    Args:
        x: images, shape (batch, rows, columns, channels).
        size: window, an integer or (rows, columns).
        stride: step between windows, by default the window's size.
        padding: rows and columns of zeros on each side.

    Returns:
        Array of shape (batch, out rows, out columns, channels).

    Raises:
        InputError: windows that do not fit.

    Example:
        >>> import numpy as np
        >>> avg_pool2d(np.arange(4.0).reshape(1, 2, 2, 1), 2).ravel()
        array([1.5])
    """
    x, window, steps, sides = _pooling(x, size, stride, padding, "avg_pool2d")
    return _avg_pool2d(x, size=window, stride=steps, padding=sides)


def relu(x: Any) -> Any:
    """max(0, x) with derivative 0 at 0.

    Args:
        x: array of any shape.

    Returns:
        Array of the same shape and dtype.

    Example:
        >>> import numpy as np
        >>> relu(np.array([-1.0, 2.0]))
        array([0., 2.])
    """
    return elementwise.relu(_array(x))


def leaky_relu(x: Any, slope: float = 0.1) -> Any:
    """x where x > 0, slope * x elsewhere (derivative ``slope`` at 0).

    Args:
        x: array of any shape.
        slope: factor on the negative side.

    Returns:
        Array of the same shape and dtype.

    Example:
        >>> import numpy as np
        >>> leaky_relu(np.array([-1.0, 2.0]))
        array([-0.1,  2. ])
    """
    x = _array(x)
    return np.where(x > 0, x, slope * x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, alpha * (exp(x) - 1) elsewhere.

    Args:
        x: array of any shape.
        alpha: minus the limit at minus infinity.

    Returns:
        Array of the same shape and dtype.

    Example:
        >>> import numpy as np
        >>> elu(np.array([0.0, 2.0]))
        array([0., 2.])
    """
    x = _array(x)
    below = np.where(x > 0, np.zeros((), x.dtype), x)  # keeps exp from overflowing where it is not used
    return np.where(x > 0, x, alpha * np.expm1(below))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow.

    Args:
        x: array of any shape.

    Returns:
        Array of the same shape and dtype.

    Example:
        >>> import numpy as np
        >>> sigmoid(np.array([0.0]))
        array([0.5])
    """
    return elementwise.sigmoid(_array(x))


def stop_gradient(x: Any) -> Any:
    """The value of x, treated as a constant by every derivative.

    Args:
        x: array of any shape.

    Returns:
        Array of the same shape and dtype.

    Example:
        >>> import numpy as np
        >>> stop_gradient(np.array([3.0]))
        array([3.])
    """
    return elementwise.stop_gradient(_array(x))


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple) else (axis,)
    if not all(isinstance(a, int) and -ndim <= a < ndim for a in axes):
        raise InputError(f"axis {axis!r} at {user_location()} does not fit {ndim} dimensions")
    return tuple(sorted(a % ndim for a in axes))


def _shift(x: Any, axes: tuple[int, ...]) -> Any:
    """The largest entry, kept out of the derivative: what is computed with it does not depend on it."""
    top = reduce.spread(reduce.max(x, axes=axes), x.shape, axes)
    return elementwise.stop_gradient(np.where(np.isfinite(top), top, np.zeros((), x.dtype)))


@composite("softmax")
def _softmax(x, *, axes):
    powers = np.exp(x - _shift(x, axes))
    return powers / reduce.spread(reduce.sum(powers, axes=axes), x.shape, axes)


def softmax(x: Any, axis: Any = -1) -> Any:
    """exp(x) over its sum along ``axis``, without overflow.

    Args:
        x: array of any shape.
        axis: an integer, a tuple, or None for all.

    Returns:
        Array of the same shape and dtype; sums to 1 along ``axis``.

    Example:
        >>> import numpy as np
        >>> softmax(np.zeros(4))
        array([0.25, 0.25, 0.25, 0.25])
    """
    x = _array(x)
    return _softmax(x, axes=_axes(axis, len(x.shape)))


@composite("logsumexp")
def _logsumexp(x, *, axes, keepdims):
    top = _shift(x, axes)
    total = reduce.spread(reduce.sum(np.exp(x - top), axes=axes), x.shape, axes)
    result = np.log(total) + top
    if keepdims:
        return result
    return shape.reshape(result, shape=tuple(n for i, n in enumerate(x.shape) if i not in axes))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along ``axis``, without overflow.

    Args:
        x: array of any shape.
        axis: an integer, a tuple, or None for all.
        keepdims: whether the reduced axes stay with size 1.

    Returns:
        Array without the reduced axes, same dtype.

    Example:
        >>> import numpy as np
        >>> round(float(logsumexp(np.zeros(4))), 6)
        1.386294
    """
    x = _array(x)
    return _logsumexp(x, axes=_axes(axis, len(x.shape)), keepdims=bool(keepdims))


@composite("softmax_cross_entropy")
def _softmax_cross_entropy(logits, targets):
    last = (len(logits.shape) - 1,)
    level = _logsumexp(logits, axes=last, keepdims=False)
    return np.mean(level * np.sum(targets, axis=-1) - np.sum(targets * logits, axis=-1))


def softmax_cross_entropy(logits: Any, targets: Any) -> Any:
    """Mean over the rows of -sum(targets * log(softmax(logits))), without overflow.

    Args:
        logits: scores, shape (..., classes).
        targets: weights of the classes, same shape; rows need not sum to 1.

    Returns:
        Scalar of the dtype of the logits.

    Raises:
        InputError: shapes that differ.

    Example:
        >>> import numpy as np
        >>> round(float(softmax_cross_entropy(np.zeros((1, 2)), np.array([[1.0, 0.0]]))), 6)
        0.693147
    """
    logits, targets = _array(logits), _array(targets)
    if logits.shape != targets.shape or not logits.shape:
        raise InputError(
            f"softmax_cross_entropy at {user_location()}: logits of shape {logits.shape} and targets of shape "
            f"{targets.shape} must be equal, (rows, classes); for labels pass np.eye(classes)[labels]"
        )
    return _softmax_cross_entropy(logits, targets)


def dropout(x: Any, mask: Any) -> Any:
    """x * mask: the mask (0, or 1 over the share kept) is an argument, so that it can be drawn anew for each call.

    Args:
        x: array of any shape.
        mask: array that broadcasts against x.

    Returns:
        Array of the broadcast shape.

    Example:
        >>> import numpy as np
        >>> dropout(np.ones(3), np.array([0.0, 2.0, 2.0]))
        array([0., 2., 2.])
    """
    return _array(x) * mask
