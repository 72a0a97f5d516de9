"""Joining arrays and taking them apart: concatenate, stack, block, insert, delete, split."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced
from ..promotion import innermost
from .common import BIND, arrayed, implements, normal_axis
from .shapes import atleast_1d, atleast_2d, atleast_3d, expand_dims, moveaxis, ravel, reshape, transpose


def cast_alike(values: Sequence[Any], name: str, dtype: Any = None, casting: str | None = None) -> list[Any]:
    """The arrays to join as traced ones of one dtype: the common one, or the one that was asked for."""
    first = values[0] if values else None
    if dtype is None and isinstance(first, Traced):
        builder = first.builder
        if all(isinstance(v, Traced) and v.builder is builder and v.dtype == first.dtype for v in values):
            return list(values)
    arrays = [arrayed(value) for value in values]
    builder = innermost(arrays)
    target = np.result_type(*[array.dtype for array in arrays]) if dtype is None else np.dtype(dtype)
    rule: Any = casting or "same_kind"
    for array in arrays:
        if not np.can_cast(array.dtype, target, rule):
            raise TraceError(
                f"np.{name} at {user_location()}: cannot cast {array.dtype} to {target} with casting={rule!r}"
            )
    return [builder.promoted(array, target) for array in arrays]


@implements(np.concatenate)
def concatenate(arrays, axis=0, out=None, *, dtype=None, casting=None):
    values = cast_alike(list(arrays), "concatenate", dtype, casting)
    if axis is None:
        values, axis = [ravel(value) for value in values], 0
    axis = normal_axis(axis, values[0].ndim, "concatenate")
    rests = {value.shape[:axis] + value.shape[axis + 1 :] for value in values}
    if len(rests) != 1 or any(value.ndim != values[0].ndim for value in values):
        raise TraceError(
            f"np.concatenate at {user_location()}: shapes {[v.shape for v in values]} differ beside axis {axis}"
        )
    return values[0] if len(values) == 1 else BIND["concatenate"](*values, axis=axis)


@implements(np.stack)
def stack(arrays, axis=0, out=None, *, dtype=None, casting=None):
    values = cast_alike(list(arrays), "stack", dtype, casting)
    if len({value.shape for value in values}) != 1:
        raise TraceError(f"np.stack at {user_location()}: shapes {[value.shape for value in values]} differ")
    axis = normal_axis(axis, values[0].ndim + 1, "stack")
    return concatenate([expand_dims(value, axis) for value in values], axis)


@implements(np.vstack)
def vstack(tup, *, dtype=None, casting=None):
    return concatenate([atleast_2d(v) for v in cast_alike(list(tup), "vstack", dtype, casting)], 0)


@implements(np.hstack)
def hstack(tup, *, dtype=None, casting=None):
    values = [atleast_1d(v) for v in cast_alike(list(tup), "hstack", dtype, casting)]
    return concatenate(values, 0 if values[0].ndim == 1 else 1)


@implements(np.dstack)
def dstack(tup):
    return concatenate([atleast_3d(v) for v in cast_alike(list(tup), "dstack")], 2)


@implements(np.column_stack)
def column_stack(tup):
    values = cast_alike(list(tup), "column_stack")
    return concatenate([v if v.ndim > 1 else transpose(atleast_2d(v)) for v in values], 1)


@implements(np.append)
def append(arr, values, axis=None):
    return concatenate([arr, values], axis)


@implements(np.block)
def block(arrays):
    depth = _depth(arrays)
    leaves: list[Any] = []
    _collect(arrays, depth, leaves)
    ndim = max(depth, *[leaf.ndim for leaf in leaves])
    rest = iter(cast_alike(leaves, "block"))
    return _joined(arrays, depth, ndim, rest)


def _depth(arrays):
    """How deep the lists are nested, by the first ones."""
    depth = 0
    while isinstance(arrays, list):
        if not arrays:
            raise TraceError(f"np.block at {user_location()}: a list is empty")
        arrays, depth = arrays[0], depth + 1
    return depth


def _collect(arrays, depth, leaves):
    """The arrays in the lists, in order."""
    if isinstance(arrays, tuple):
        raise TraceError(f"np.block at {user_location()}: only lists may be nested, got a tuple")
    if isinstance(arrays, list) != (depth > 0) or (depth and not arrays):
        raise TraceError(f"np.block at {user_location()}: all lists must be nested to the same depth and hold arrays")
    if depth:
        for one in arrays:
            _collect(one, depth - 1, leaves)
    else:
        leaves.append(arrayed(arrays))


def _joined(arrays, depth, ndim, leaves):
    if not depth:
        leaf = next(leaves)
        return reshape(leaf, (1,) * (ndim - leaf.ndim) + leaf.shape)
    return concatenate([_joined(one, depth - 1, ndim, leaves) for one in arrays], -depth)


# ---------------------------------------------------------------------------- apart


@implements(np.array_split)
def array_split(ary, indices_or_sections, axis=0):
    return _split(ary, indices_or_sections, axis, "array_split")


@implements(np.split)
def split(ary, indices_or_sections, axis=0):
    return _split(ary, indices_or_sections, axis, "split", equal=True)


def _split(ary, sections: Any, axis, name, equal=False):
    axis = normal_axis(axis, ary.ndim, name)
    size = ary.shape[axis]
    if np.ndim(sections):
        ends = [0, *[operator.index(point) for point in sections], size]
    else:
        count = operator.index(sections)
        if count <= 0:
            raise TraceError(f"np.{name} at {user_location()}: the number of parts must be larger than 0")
        each, longer = divmod(size, count)
        if equal and longer:
            raise TraceError(f"np.split at {user_location()}: {size} elements do not give {count} equal parts")
        ends = [0]
        for i in range(count):
            ends.append(ends[-1] + each + (i < longer))
    before = (slice(None),) * axis
    return [ary[(*before, slice(start, stop))] for start, stop in itertools.pairwise(ends)]


def _splitting(name, least, axis_of):
    def parts(ary, indices_or_sections):
        if ary.ndim < least:
            raise TraceError(f"np.{name} at {user_location()}: {least} dimensions or more are needed, got {ary.ndim}")
        return _split(ary, indices_or_sections, axis_of(ary.ndim), name, equal=True)

    parts.__name__ = name
    return parts


implements(np.hsplit)(_splitting("hsplit", 1, lambda ndim: int(ndim > 1)))
implements(np.vsplit)(_splitting("vsplit", 2, lambda ndim: 0))
implements(np.dsplit)(_splitting("dsplit", 3, lambda ndim: 2))


@implements(np.unstack)
def unstack(x, /, *, axis=0):
    if not x.ndim:
        raise TraceError(f"np.unstack at {user_location()}: 1 dimension or more is needed, got 0")
    return tuple(moveaxis(x, axis, 0))


# ---------------------------------------------------------------------------- in between


def _plain_positions(obj, name):
    if isinstance(obj, Traced):
        raise TraceError(
            f"np.{name} at {user_location()}: the positions cannot be traced, for the shape of the result may depend "
            "on them; give plain integers or a slice, or select with a mask"
        )
    return obj


@implements(np.delete)
def delete(arr, obj, axis=None):
    if axis is None:
        arr, axis = ravel(arr), 0
    axis = normal_axis(axis, arr.ndim, "delete")
    try:
        kept = np.delete(np.arange(arr.shape[axis]), _plain_positions(obj, "delete"))
    except (IndexError, ValueError) as error:
        raise TraceError(f"np.delete at {user_location()}: {error}") from None
    return arr[(*(slice(None),) * axis, kept)]


@implements(np.insert)
def insert(arr, obj, values, axis=None):
    arr, values = arrayed(arr), arrayed(values)
    builder = innermost((arr, values))
    arr = builder.lift(arr)
    if axis is None:
        arr, axis = ravel(arr), 0
    axis = normal_axis(axis, arr.ndim, "insert")
    size = arr.shape[axis]
    single = np.ndim(_plain_positions(obj, "insert")) == 0 and not isinstance(obj, slice)
    places = np.arange(*obj.indices(size)) if isinstance(obj, slice) else np.asarray(obj)
    if places.dtype == bool:
        places = np.flatnonzero(places)
        single = False
    values = builder.promoted(values, arr.dtype)
    before = (slice(None),) * axis
    if places.size == 1:
        values = reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
        if single:
            values = moveaxis(values, 0, axis)
        count = values.shape[axis]
    else:
        count = places.size
    target = (*arr.shape[:axis], count, *arr.shape[axis + 1 :])
    values = np.broadcast_to(values, target)
    try:
        # What NumPy does to places it does to our numbers: those from ``size`` on say which new element comes there.
        where = places.ravel()[0] if places.size == 1 else places
        order = np.insert(np.arange(size), where, np.arange(size, size + count))
    except (IndexError, TypeError, ValueError) as error:
        raise TraceError(f"np.insert at {user_location()}: {error}") from None
    return concatenate([arr, values], axis)[(*before, order)]
