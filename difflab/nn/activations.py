"""Activations, element by element, and what cuts gradients off or thins units out."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, user_location
from ..primitives import arguments, elementwise
from ..primitives.record import composite


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
    below = np.where(x > 0, x.dtype.type(0), x)  # keeps exp from overflowing where it is not used
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


@composite("maxout")
def _maxout(*maps):
    return np.max(np.stack(maps), axis=0)


def maxout(*maps: Any) -> Any:
    """The largest of several maps, unit by unit; equal ones share its derivative.

    Args:
        maps: two or more arrays of one shape, floating, integer or boolean: affine maps of a layer's input.

    Returns:
        Array of that shape, of the dtype to which NumPy promotes them.

    Raises:
        InputError: fewer than two maps, or maps of different shapes.

    Source:
        Goodfellow et al., Maxout networks (2013).

    Example:
        >>> import numpy as np
        >>> maxout(np.array([1.0, -2.0]), np.array([0.0, 3.0]))
        array([1., 3.])
    """
    arrays = [arguments.array(one, "maxout") for one in maps]
    if len({one.shape for one in arrays}) != 1 or len(arrays) < 2:
        shapes = ", ".join(str(one.shape) for one in arrays) or "none"
        raise InputError(
            f"maxout at {user_location()} takes two or more arrays of one shape, not arrays of shapes {shapes}; give "
            "one array for each affine map"
        )
    return _maxout(*arrays)


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
