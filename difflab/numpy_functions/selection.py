"""Selecting elements by function: take, nonzero, compress, choose, diagonals, and a function along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced
from ..promotion import innermost
from .common import BIND, arrayed, implements, lifted, normal_axis
from .indexing import getitem, selected
from .shapes import broadcast_arrays, moveaxis, ravel, reshape, sizes_of, transpose

MODES = ("raise", "wrap", "clip")


def _within(index: Any, size: int, mode: str, name: str) -> Any:
    """Indices brought into ``range(size)`` in NumPy's way."""
    if mode not in MODES:
        raise TraceError(f"np.{name} at {user_location()}: mode {mode!r} is none of {', '.join(MODES)}")
    if mode == "raise":
        return index
    if isinstance(index, Traced):
        return BIND["ravel_multi_index"](index, shape=(size,), mode=mode, order="C")
    return np.ravel_multi_index((index,), (size,), mode=mode)


def _integers(index: Any, name: str) -> Any:
    """Indices as an array of integers; booleans count as 0 and 1."""
    index = arrayed(index)
    if isinstance(index, np.ndarray) and not index.size:
        index = index.astype(np.intp)
    if index.dtype.kind not in "biu":
        raise TraceError(f"np.{name} at {user_location()}: indices are integers, got {index.dtype}")
    return index.astype(np.intp) if index.dtype.kind == "b" else index


@implements(np.take)
def take(a, indices, axis=None, out=None, mode="raise"):
    index = _integers(indices, "take")
    a = innermost((a, index)).lift(arrayed(a))
    if axis is None:
        a, axis = ravel(a), 0
    axis = normal_axis(axis, a.ndim, "take")
    index = _within(index, a.shape[axis], mode, "take")
    return getitem(a, (*[slice(None)] * axis, index))


@implements(np.take_along_axis)
def take_along_axis(arr, indices, axis=-1):
    index = _integers(indices, "take_along_axis")
    arr = innermost((arr, index)).lift(arrayed(arr))
    if axis is None:
        arr, axis = ravel(arr), 0
    axis = normal_axis(axis, arr.ndim, "take_along_axis")
    if index.ndim != arr.ndim:
        raise TraceError(
            f"np.take_along_axis at {user_location()}: indices have {index.ndim} dimensions, the array {arr.ndim}"
        )
    return getitem(arr, _grid(arr.shape, axis, index))


def _grid(shape, axis, index):
    """A key that takes ``index`` along one axis and keeps the place along all others."""
    key = [np.arange(size).reshape((-1,) + (1,) * (len(shape) - 1 - i)) for i, size in enumerate(shape)]
    return (*key[:axis], index, *key[axis + 1 :])


@implements(np.choose)
def choose(a, choices, out=None, mode="raise"):
    listed = list(choices) if isinstance(choices, list | tuple) else [choices[i] for i in range(len(choices))]
    index = _within(_integers(a, "choose"), len(listed), mode, "choose")
    index, *arrays = broadcast_arrays(index, *listed)
    stacked = np.stack(arrays)
    return getitem(innermost((stacked, index)).lift(stacked), _grid((len(arrays), *index.shape), 0, index[None]))[0]


# ---------------------------------------------------------------------------- where a condition holds


@implements(np.flatnonzero)
def flatnonzero(a):
    return selected(a)


@implements(np.nonzero)
def nonzero(a):
    if not a.ndim:
        raise TraceError(f"np.nonzero at {user_location()}: an array without axes has no positions; use np.atleast_1d")
    flat = selected(a)
    if a.ndim == 1:
        return (flat,)
    return tuple(BIND["unravel_index"](flat, shape=a.shape, order="C", axis=axis) for axis in range(a.ndim))


@implements(np.argwhere)
def argwhere(a):
    if not a.ndim:
        return np.zeros((selected(a).size, 0), np.intp)
    return np.stack(nonzero(a), 1)


@implements(np.compress)
def compress(condition, a, axis=None, out=None):
    condition = arrayed(condition)
    if condition.ndim != 1:
        raise TraceError(f"np.compress at {user_location()}: the condition has {condition.ndim} dimensions, not 1")
    return take(a, selected(condition), axis)


@implements(np.extract)
def extract(condition, arr):
    return take(arr, selected(arrayed(condition)))


@implements(np.unravel_index)
def unravel_index(indices, shape, order="C"):
    shape = sizes_of(shape)
    return tuple(BIND["unravel_index"](indices, shape=shape, order=order, axis=axis) for axis in range(len(shape)))


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index, dims, mode="raise", order="C"):
    mode = mode if isinstance(mode, str) else tuple(mode)
    return BIND["ravel_multi_index"](*lifted(*multi_index), shape=sizes_of(dims), mode=mode, order=order)


# ---------------------------------------------------------------------------- diagonals


@implements(np.diagonal)
def diagonal(a, offset=0, axis1=0, axis2=1):
    if a.ndim < 2:
        raise TraceError(f"np.diagonal at {user_location()}: 2 dimensions or more are needed, got {a.ndim}")
    first, second = normal_axis(axis1, a.ndim, "diagonal"), normal_axis(axis2, a.ndim, "diagonal")
    if first == second:
        raise TraceError(f"np.diagonal at {user_location()}: axis1 and axis2 are the same axis")
    rest = [axis for axis in range(a.ndim) if axis not in (first, second)]
    last = transpose(a, (*rest, first, second))
    rows, columns = last.shape[-2:]
    # In the flattened matrix the diagonal is every (columns + 1)-th element: a view, and a cheap transpose.
    flat = reshape(last, (*last.shape[:-2], rows * columns))
    start, count = diagonal_span(offset, rows, columns)
    return flat[..., start : start + count * (columns + 1) : columns + 1] if count else flat[..., :0]


def diagonal_span(offset: int, rows: int, columns: int) -> tuple[int, int]:
    """Where in a flattened matrix a diagonal starts, and how long it is."""
    start = offset if offset >= 0 else -offset * columns
    return start, max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))


@implements(np.diag)
def diag(v, k=0):
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise TraceError(f"np.diag at {user_location()}: 1 or 2 dimensions are needed, got {v.ndim}")
    size = v.size + abs(k)
    start, count = diagonal_span(k, size, size)
    if not count:
        return np.zeros((size, size), v.dtype)
    stop = start + (count - 1) * (size + 1) + 1
    flat = BIND["unslice"](v, start=(start,), stop=(stop,), step=(size + 1,), shape=(size * size,))
    return reshape(flat, (size, size))


@implements(np.diagflat)
def diagflat(v, k=0):
    return diag(ravel(v), k)


# ---------------------------------------------------------------------------- a function along an axis


@implements(np.apply_along_axis)
def apply_along_axis(func1d, axis, arr, *args, **kwargs):
    axis = normal_axis(axis, arr.ndim, "apply_along_axis")
    last = moveaxis(arr, axis, -1)
    lead = last.shape[:-1]
    if 0 in lead:
        raise TraceError(f"np.apply_along_axis at {user_location()}: there are no slices to apply the function to")
    results = [arrayed(func1d(last[at], *args, **kwargs)) for at in np.ndindex(*lead)]
    stacked = np.reshape(np.stack(results), (*lead, *results[0].shape))
    own = range(len(lead), stacked.ndim)
    return np.transpose(stacked, (*range(axis), *own, *range(axis, len(lead))))


@implements(np.apply_over_axes)
def apply_over_axes(func, a, axes):
    result = a
    for axis in sizes_of(axes):
        axis = normal_axis(axis, a.ndim, "apply_over_axes")
        smaller = func(result, axis)
        result = smaller if smaller.ndim == a.ndim else np.expand_dims(smaller, axis)
        if result.ndim != a.ndim:
            raise TraceError(f"np.apply_over_axes at {user_location()}: the function does not keep the dimensions")
    return result


# ---------------------------------------------------------------------------- equal or not


@implements(np.array_equal)
def array_equal(a1, a2, equal_nan=False):
    one, other = arrayed(a1), arrayed(a2)
    if one.shape != other.shape:
        return False
    same = np.equal(one, other)
    if equal_nan:
        same = same | (np.not_equal(one, one) & np.not_equal(other, other))
    return np.equal(np.sum(same), same.size)


@implements(np.array_equiv)
def array_equiv(a1, a2):
    one, other = arrayed(a1), arrayed(a2)
    try:
        np.broadcast_shapes(one.shape, other.shape)
    except ValueError:
        return False
    same = np.equal(one, other)
    return np.equal(np.sum(same), same.size)
