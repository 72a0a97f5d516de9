"""One equation on a GPU, as CuPy computes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...primitives.record import Aval, Primitive
from ...primitives.values import device_value


def evaluate(xp: Any, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any], aval: Aval) -> Any:
    """The value of a primitive of device arrays, in its own shape and dtype.

    Args:
        xp: ``cupy``.
        primitive: what to compute.
        operands: arrays on the device.
        params: metadata of the equation.
        aval: shape and dtype that the tape notes for the result.

    Returns:
        An array on the device; it may be a view of an operand.

    Example:
        >>> import numpy as np
        >>> from difflab.primitives import REGISTRY
        >>> evaluate(np, REGISTRY["add"], [np.ones(2), np.ones(2)], {}, Aval((2,), np.dtype(float)))
        array([2., 2.])
    """
    value = device_value(xp, primitive, operands, params)
    return value if value.dtype == aval.dtype else value.astype(aval.dtype)
