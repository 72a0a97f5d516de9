"""Normalisation: of channels over a batch, and of a pixel over its neighbouring channels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, user_location
from ..primitives import arguments, shape
from ..primitives.record import composite


@composite("batch_norm")
def _batch_norm(x, scale, shift, *, epsilon):
    axes = tuple(range(len(x.shape) - 1))
    centred = x - np.mean(x, axis=axes)
    return scale * (centred / np.sqrt(np.mean(centred * centred, axis=axes) + epsilon)) + shift


@composite("batch_norm_given")
def _batch_norm_given(x, scale, shift, mean, variance, *, epsilon):
    return scale * ((x - mean) / np.sqrt(variance + epsilon)) + shift


def batch_norm(x: Any, scale: Any, shift: Any, mean: Any = None, variance: Any = None, epsilon: float = 1e-5) -> Any:
    """Batch normalisation, scale (x - mean) / sqrt(variance + epsilon) + shift, channel by channel.

    In training, mean and variance are those of the batch, over all axes but the last, and the derivative goes through
    them; the variance is the mean of squares.  In evaluation they are given, as averages that training kept.

    Args:
        x: array of shape (..., channels), floating, integer or boolean; images or rows of a dense layer.
        scale: factor of each channel, shape (channels,).
        shift: summand of each channel, shape (channels,).
        mean: shape (channels,) in evaluation; ``None`` in training.
        variance: likewise.
        epsilon: keeps the root away from 0; a positive Python number.

    Returns:
        Array of the shape of x, of the dtype to which NumPy promotes the arrays; integers and booleans count as
        float64.

    Raises:
        InputError: shapes that do not fit; one of mean and variance without the other; an epsilon that is not
            positive.

    Source:
        Ioffe and Szegedy, Batch normalization (2015), algorithm 1.

    Example:
        >>> import numpy as np
        >>> batch_norm(np.array([[1.0], [3.0]]), np.array([10.0]), np.array([0.5]), epsilon=1e-12).ravel().round(6)
        array([-9.5, 10.5])
    """
    layer = "batch_norm"
    if (mean is None) != (variance is None):
        raise InputError(
            f"{layer} at {user_location()} has one of mean and variance; give both (evaluation) or neither (training)"
        )
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < float("inf"):
        raise InputError(f"epsilon of {layer} at {user_location()} is a positive number, not {epsilon!r}")
    x = arguments.floating(x, layer)
    given = [scale, shift] if mean is None else [scale, shift, mean, variance]
    channels = [arguments.floating(one, layer) for one in given]
    if not x.shape or any(one.shape != x.shape[-1:] for one in channels):
        raise InputError(
            f"{layer} at {user_location()}: arrays of shapes {', '.join(str(one.shape) for one in channels)} do not "
            f"fit x of shape {x.shape}; each needs one number per channel, the last axis of x"
        )
    if mean is not None:
        return _batch_norm_given(x, *channels, epsilon=float(epsilon))
    if len(x.shape) < 2 or 0 in x.shape[:-1]:
        raise InputError(
            f"{layer} at {user_location()} takes statistics over the batch, and x of shape {x.shape} has none; give at "
            "least one row, or mean and variance"
        )
    return _batch_norm(x, *channels, epsilon=float(epsilon))


@composite("local_response_norm")
def _local_response_norm(x, *, size, alpha, beta, bias):
    channels, half = x.shape[-1], size // 2
    squares = shape.pad(x * x, widths=(*((0, 0),) * (len(x.shape) - 1), (half, half)))
    total = squares[..., :channels]
    for start in range(1, size):
        total = total + squares[..., start : start + channels]
    return x / (bias + alpha * total) ** beta


def local_response_norm(x: Any, size: int = 5, alpha: float = 1e-4, beta: float = 0.75, bias: float = 2.0) -> Any:
    """x / (bias + alpha * sum of x^2 over ``size`` neighbouring channels)^beta; fewer where channels end.

    Args:
        x: array of shape (..., channels), floating, integer or boolean.
        size: how many channels take part, the channel itself in their middle; odd.
        alpha: factor of the sum; not divided by ``size``.
        beta: the exponent.
        bias: what a pixel without activity is divided by, to the power of beta; positive.

    Returns:
        Array of the same shape; same dtype, float64 from integers and booleans.

    Raises:
        InputError: a size that is not odd, a bias that is not positive, factors that are no Python numbers.

    Source:
        Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks (2012),
        section 3.3; its constants are the defaults.

    Example:
        >>> import numpy as np
        >>> local_response_norm(np.array([[3.0, 4.0]]), size=3, alpha=1.0, beta=1.0, bias=5.0)
        array([[0.1       , 0.13333333]])
    """
    layer = "local_response_norm"
    x = arguments.floating(x, layer)
    neighbours = arguments.whole(size, "size", layer)
    numbers = {"alpha": alpha, "beta": beta, "bias": bias}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
            raise InputError(f"{name} of {layer} at {user_location()} is a Python number, not {value!r}")
    if neighbours % 2 == 0 or alpha < 0 or not bias > 0 or not x.shape:
        raise InputError(
            f"{layer} at {user_location()} takes an array with channels as its last axis, an odd size, alpha of at "
            f"least 0 and a positive bias, not shape {x.shape}, size {neighbours}, alpha {alpha} and bias {bias}"
        )
    return _local_response_norm(x, size=neighbours, **{name: float(value) for name, value in numbers.items()})
