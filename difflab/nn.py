"""Layers and losses for neural networks, on plain and on traced arrays alike. Images are NHWC, kernels HWIO."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import InputError, user_location
from .primitives import arguments, elementwise, neural, reduce, shape
from .primitives.record import composite


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
        x: images, shape (batch, rows, columns, channels), floating, integer or boolean.
        w: kernel, shape (kernel rows, kernel columns, channels, outputs), likewise.
        stride: step between positions, an integer or (rows, columns).
        padding: zeros added on each side, an integer or (rows, columns), or "same" (output as large as input / stride).

    Returns:
        Array of shape (batch, out rows, out columns, outputs), of the dtype to which NumPy promotes x and w.

    Raises:
        InputError: shapes that do not fit; a stride or padding that is not as above.

    Example:
        >>> import numpy as np
        >>> conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 2)), padding="same").shape
        (1, 4, 4, 2)
    """
    x, w = arguments.images(x, "conv2d"), arguments.array(w, "conv2d")
    if len(w.shape) != 4 or w.shape[2] != x.shape[3]:
        raise InputError(
            f"conv2d at {user_location()}: a kernel of shape {w.shape} does not fit images of shape {x.shape}; it "
            f"should be (rows, columns, {x.shape[3]}, outputs)"
        )
    steps = arguments.pair(stride, "stride", "conv2d")
    sides = []
    if isinstance(padding, str) and padding == "same":
        for extent, kernel, step in zip(x.shape[1:3], w.shape[:2], steps, strict=True):
            total = max((-(-extent // step) - 1) * step + kernel - extent, 0)
            sides.append((total // 2, total - total // 2))
    elif isinstance(padding, str):
        raise InputError(f"conv2d at {user_location()}: padding is an integer, a pair or 'same', not {padding!r}")
    else:
        sides = [(side, side) for side in arguments.pair(padding, "padding", "conv2d")]
    for extent, kernel, side in zip(x.shape[1:3], w.shape[:2], sides, strict=True):
        if not 0 < kernel <= extent + sum(side):
            raise InputError(
                f"conv2d at {user_location()}: kernel of {kernel} does not fit into {extent} pixels with padding "
                f"{side}; it has 1 to {extent + sum(side)} rows or columns"
            )
    return _conv2d(x, w, stride=steps, padding=tuple(sides))


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
    patches = neural.windows(_padded(x, padding), size=size, stride=stride)
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


def relu(x: Any) -> Any:
    """max(0, x) with derivative 0 at 0.

    Args:
        x: array of any shape, floating, integer or boolean.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: x that is no array of real numbers or booleans.

    Example:
        >>> import numpy as np
        >>> relu(np.array([-1.0, 2.0]))
        array([0., 2.])
    """
    return elementwise.relu(arguments.array(x, "relu"))


def leaky_relu(x: Any, slope: float = 0.1) -> Any:
    """x where x > 0, slope * x elsewhere (derivative ``slope`` at 0).

    Args:
        x: array of any shape, floating, integer or boolean.
        slope: factor on the negative side; a Python number, which leaves the dtype as it is.

    Returns:
        Array of the same shape; same dtype, float64 from integers and booleans.

    Raises:
        InputError: x that is no array of real numbers or booleans.

    Example:
        >>> import numpy as np
        >>> leaky_relu(np.array([-1.0, 2.0]))
        array([-0.1,  2. ])
    """
    x = arguments.floating(x, "leaky_relu")
    return np.where(x > 0, x, slope * x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, alpha * (exp(x) - 1) elsewhere.

    Args:
        x: array of any shape, floating, integer or boolean.
        alpha: minus the limit at minus infinity; a Python number, which leaves the dtype as it is.

    Returns:
        Array of the same shape; same dtype, float64 from integers and booleans.

    Raises:
        InputError: x that is no array of real numbers or booleans.

    Example:
        >>> import numpy as np
        >>> elu(np.array([0.0, 2.0]))
        array([0., 2.])
    """
    x = arguments.floating(x, "elu")
    below = np.where(x > 0, np.zeros((), x.dtype), x)  # keeps exp from overflowing where it is not used
    return np.where(x > 0, x, alpha * np.expm1(below))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) without overflow.

    Args:
        x: array of any shape, floating, integer or boolean.

    Returns:
        Array of the same shape; same dtype, float64 from integers and booleans.

    Raises:
        InputError: x that is no array of real numbers or booleans.

    Example:
        >>> import numpy as np
        >>> sigmoid(np.array([0.0]))
        array([0.5])
    """
    return elementwise.sigmoid(arguments.floating(x, "sigmoid"))


def stop_gradient(x: Any) -> Any:
    """The value of x, treated as a constant by every derivative.

    Args:
        x: array of any shape, floating, integer or boolean.

    Returns:
        Array of the same shape and dtype.

    Raises:
        InputError: x that is no array of real numbers or booleans.

    Example:
        >>> import numpy as np
        >>> stop_gradient(np.array([3.0]))
        array([3.])
    """
    return elementwise.stop_gradient(arguments.array(x, "stop_gradient"))


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
        x: array of any shape, floating, integer or boolean.
        axis: an integer, a tuple of different ones, or None for all.

    Returns:
        Array of the same shape, summing to 1 along ``axis``; same dtype, float64 from integers and booleans.

    Raises:
        InputError: axes that x does not have, or without elements; x that is no array of real numbers or booleans.

    Example:
        >>> import numpy as np
        >>> softmax(np.zeros(4))
        array([0.25, 0.25, 0.25, 0.25])
    """
    x = arguments.floating(x, "softmax")
    return _softmax(x, axes=arguments.axes(axis, x.shape, "softmax"))


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
        x: array of any shape, floating, integer or boolean.
        axis: an integer, a tuple of different ones, or None for all.
        keepdims: whether the reduced axes stay with size 1.

    Returns:
        Array without the reduced axes; same dtype, float64 from integers and booleans.

    Raises:
        InputError: axes that x does not have, or without elements; x that is no array of real numbers or booleans.

    Example:
        >>> import numpy as np
        >>> round(float(logsumexp(np.zeros(4))), 6)
        1.386294
    """
    x = arguments.floating(x, "logsumexp")
    return _logsumexp(x, axes=arguments.axes(axis, x.shape, "logsumexp"), keepdims=bool(keepdims))


@composite("softmax_cross_entropy")
def _softmax_cross_entropy(logits, targets):
    last = (len(logits.shape) - 1,)
    level = _logsumexp(logits, axes=last, keepdims=False)
    return np.mean(level * np.sum(targets, axis=-1) - np.sum(targets * logits, axis=-1))


def softmax_cross_entropy(logits: Any, targets: Any) -> Any:
    """Mean over the rows of -sum(targets * log(softmax(logits))), without overflow.

    Args:
        logits: scores, shape (..., classes), floating, integer or boolean.
        targets: weights of the classes, same shape, likewise; rows need not sum to 1.

    Returns:
        Scalar of the dtype to which NumPy promotes both: float64 unless both are narrower; integers and booleans count
        as float64.

    Raises:
        InputError: shapes that differ; arrays without elements, of which there is no mean.

    Example:
        >>> import numpy as np
        >>> round(float(softmax_cross_entropy(np.zeros((1, 2)), np.array([[1.0, 0.0]]))), 6)
        0.693147
    """
    logits, targets = (arguments.floating(entry, "softmax_cross_entropy") for entry in (logits, targets))
    if logits.shape != targets.shape or not logits.shape:
        raise InputError(
            f"softmax_cross_entropy at {user_location()}: logits of shape {logits.shape} and targets of shape "
            f"{targets.shape} must be equal, (rows, classes); for labels pass np.eye(classes)[labels]"
        )
    if 0 in logits.shape:
        raise InputError(
            f"softmax_cross_entropy at {user_location()} takes the mean over rows; logits of shape {logits.shape} have "
            "none, or no class, so give at least one"
        )
    return _softmax_cross_entropy(logits, targets)


def dropout(x: Any, mask: Any) -> Any:
    """x * mask: the mask (0, or 1 over the share kept) is an argument, so that it can be drawn anew for each call.

    Args:
        x: array of any shape, floating, integer or boolean.
        mask: number or array that broadcasts against x, floating, integer or boolean.

    Returns:
        Array of the broadcast shape, of the dtype to which NumPy promotes x and mask.

    Raises:
        InputError: a mask that does not broadcast against x.

    Example:
        >>> import numpy as np
        >>> dropout(np.ones(3), np.array([0.0, 2.0, 2.0]))
        array([0., 2., 2.])
    """
    x = arguments.array(x, "dropout")
    if not isinstance(mask, int | float):  # Python numbers leave the dtype as it is
        mask = arguments.array(mask, "dropout")
    extents = () if isinstance(mask, int | float) else mask.shape
    try:
        np.broadcast_shapes(x.shape, extents)
    except ValueError:
        raise InputError(
            f"dropout at {user_location()}: a mask of shape {extents} does not broadcast against {x.shape}; draw it in "
            "the shape of x"
        ) from None
    return x * mask
