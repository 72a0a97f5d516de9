"""What layers take: arrays of real numbers, pairs for rows and columns, axes; or a sentence on what to give instead."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..arrays import as_array
from ..errors import InputError, user_location
from . import elementwise, reduce
from .record import Traced


def pair(value: Any, name: str, layer: str) -> tuple[int, int]:
    """(rows, columns) from one integer or two, Python's or NumPy's."""
    least = 0 if name.endswith("padding") else 1
    try:
        entries: Any = (value, value) if isinstance(value, Traced) or not np.ndim(value) else value
        rows, columns = [least - 1 if isinstance(entry, bool) else operator.index(entry) for entry in entries]
    except (TypeError, ValueError):
        rows = columns = least - 1
    if min(rows, columns) < least:
        raise InputError(
            f"{name} of {layer} at {user_location()} is an integer or a pair of integers, not {value!r}; give {least} "
            "or more, for example 2 or (2, 1)"
        )
    return rows, columns


def whole(value: Any, name: str, layer: str) -> int:
    """An integer of at least 1, Python's or NumPy's."""
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{name} of {layer} at {user_location()} is an integer of at least 1, not {value!r}")
    return number


def array(x: Any, layer: str) -> Any:
    """A traced array as it is, everything else as a NumPy array of real numbers or booleans."""
    if isinstance(x, Traced):
        return x
    try:
        result = as_array(x)
    except ValueError as error:
        raise InputError(f"{layer} at {user_location()} takes an array; give rows of one length ({error})") from None
    if result.dtype.kind not in "biuf":
        raise InputError(
            f"{layer} at {user_location()} takes real numbers and booleans, not an array of dtype {result.dtype}; "
            "convert it with np.asarray(x, float), or keep real and imaginary parts as two arrays"
        )
    return result


def floating(x: Any, layer: str) -> Any:
    """An array of a floating dtype: integers and booleans become float64, as in NumPy's own functions."""
    x = array(x, layer)
    return x if x.dtype.kind == "f" else elementwise.cast(x, dtype="<f8")


def images(x: Any, layer: str) -> Any:
    """A batch of images."""
    x = array(x, layer)
    if len(x.shape) != 4:
        raise InputError(
            f"{layer} at {user_location()} takes images of shape (batch, rows, columns, channels), got shape "
            f"{x.shape}; for one image pass x[None], for grey ones x[..., None]"
        )
    return x


def axes(axis: Any, extents: tuple[int, ...], layer: str) -> tuple[int, ...]:
    """Sorted non-negative axes along which there is something to reduce."""
    ndim = len(extents)
    try:
        given = axis if isinstance(axis, tuple) else (axis,)
        wanted = tuple(range(ndim)) if axis is None else tuple(map(operator.index, given))
    except TypeError:
        wanted = (ndim,)
    result = tuple(sorted({entry % ndim for entry in wanted if -ndim <= entry < ndim}))
    if len(result) != len(wanted):
        raise InputError(
            f"axis {axis!r} of {layer} at {user_location()} does not fit {ndim} dimensions; give None for all of them"
            + (f", an integer from {-ndim} to {ndim - 1}, or a tuple of different ones" if ndim else "")
        )
    if not reduce.count(extents, result):
        raise InputError(
            f"{layer} at {user_location()} has nothing to reduce along axis {axis!r} of shape {extents}; give an array "
            "with at least one element there"
        )
    return result
