"""The value of a primitive on whatever arrays there are: NumPy's or CuPy's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..arrays import is_device_array, namespace, to_device
from .record import Primitive

NUMBERS = (bool, int, float, complex)
"""Python's, which give way to the dtypes of arrays."""


def value_of(
    primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any], dtype: np.dtype | None = None
) -> Any:
    """The value where the operands are: on the GPU if one of them is there, to which the others are uploaded then.

    Args:
        primitive: what to compute.
        operands: arrays, none of them traced.
        params: metadata of the equation.
        dtype: of the result on a GPU, where CuPy may choose another one than NumPy; ``None`` for CuPy's.

    Returns:
        What the primitive gives; an array on the GPU where an operand is one.

    Example:
        >>> from difflab.primitives import REGISTRY
        >>> value_of(REGISTRY["add"], [np.ones(2), np.ones(2)], {})
        array([2., 2.])
    """
    for operand in operands:
        if type(operand) is not np.ndarray and is_device_array(operand):
            value = device_value(namespace(operand), primitive, _uploaded(operands), params)
            return value if dtype is None or value.dtype == dtype else value.astype(dtype)
    return primitive.evaluate(*operands, **params)


def _uploaded(operands: Sequence[Any]) -> list[Any]:
    """All operands on the device; Python's numbers in the dtype to which NumPy would promote them and the others."""
    known = [one.dtype for one in operands if type(one) not in NUMBERS]
    return [
        namespace(*operands).full((), one, np.result_type(*known, one)) if type(one) in NUMBERS else to_device(one)
        for one in operands
    ]


def device_value(xp: Any, primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """The value of a primitive of device arrays, which may be a view of an operand.

    Args:
        xp: ``cupy``.
        primitive: what to compute.
        operands: arrays on the device.
        params: metadata of the equation.

    Returns:
        An array on the device, in the dtype that CuPy gives it.

    Example:
        >>> from difflab.primitives import REGISTRY
        >>> device_value(np, REGISTRY["add"], [np.ones(2), np.ones(2)], {})
        array([2., 2.])
    """
    if primitive.device is not None:
        return primitive.device(xp, *operands, **params)
    evaluate = primitive.evaluate
    if isinstance(evaluate, np.ufunc) and evaluate is getattr(np, evaluate.__name__, None):
        return getattr(xp, evaluate.__name__)(*operands, **params)
    return evaluate(*operands, **params)
