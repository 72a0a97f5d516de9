"""Softmax, the logarithm of a sum of exponentials, and the cross-entropy made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, user_location
from ..primitives import arguments, elementwise, reduce, shape
from ..primitives.record import composite


def _shift(x: Any, axes: tuple[int, ...]) -> Any:
    """The largest entry, kept out of the derivative: what is computed with it does not depend on it."""
    top = reduce.spread(reduce.max(x, axes=axes), x.shape, axes)
    return elementwise.stop_gradient(np.where(np.isfinite(top), top, x.dtype.type(0)))


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
