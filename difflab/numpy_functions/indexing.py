"""Indexing by integers, slices, None and integer arrays."""

from __future__ import annotations

import operator

import numpy as np

from ..builder import aval_of
from ..errors import TraceError, user_location
from ..primitives.record import Traced
from ..promotion import innermost
from .common import BIND, implements, normal_axis
from .shapes import ravel, reshape


@implements(np.ndarray.__getitem__)
def getitem(x, key):
    key = key if isinstance(key, tuple) else (key,)
    key = expanded(key, x.ndim)
    if any(isinstance(k, Traced | np.ndarray | list | bool | np.bool_) for k in key):
        return advanced(x, key)
    return basic(x, key)


def expanded(key: tuple, ndim: int) -> tuple:
    """The key with its ellipsis written out and full slices appended."""
    taken = len([k for k in key if k is not None and k is not Ellipsis])
    if taken > ndim:
        raise TraceError(f"too many indices at {user_location()}: {taken} for {ndim} dimensions")
    fill = (slice(None),) * (ndim - taken)
    places = [i for i, k in enumerate(key) if k is Ellipsis]
    if not places:
        return (*key, *fill)
    return (*key[: places[0]], *fill, *key[places[0] + 1 :])


def basic(x, key):
    """Integers, slices and None: one slice and one reshape."""
    slices: list[tuple[int, int, int]] = []
    target = []
    axis = 0
    for k in key:
        if k is None:
            target.append(1)
            continue
        extent = x.shape[axis]
        if isinstance(k, slice):
            a, b, c = k.indices(extent)
            count = len(range(a, b, c))
            a, b = (a, b) if count else (0, 0)  # an empty slice with a negative start would count from the end
            slices.append((a, b, c))
            target.append(count)
        else:
            i = operator.index(k)
            if not -extent <= i < extent:
                raise TraceError(f"index {i} at {user_location()} is out of bounds for axis {axis} of size {extent}")
            slices.append((i % extent, i % extent + 1, 1))
        axis += 1
    result = x
    if slices != [(0, n, 1) for n in x.shape]:
        start, stop, step = (tuple(one[part] for one in slices) for part in range(3))
        result = BIND["slice"](x, start=start, stop=stop, step=step)
    return reshape(result, tuple(target))


def advanced(x, key):
    """Integer index arrays, with full slices elsewhere; repeated indices are summed in the derivative."""
    builder = innermost((x, *key))
    axes, indices = [], []
    for axis, k in enumerate(key):
        if isinstance(k, slice) and k == slice(None):
            continue
        if k is None or isinstance(k, slice):
            raise TraceError(
                f"indexing at {user_location()} mixes index arrays with slices or None; do it in two steps"
            )
        index = k if isinstance(k, Traced) else np.asarray(k, np.intp if isinstance(k, list) and not k else None)
        if aval_of(index).dtype.kind == "b":
            raise TraceError(
                f"indexing with a boolean mask at {user_location()} gives a shape that depends on data; multiply by "
                "the mask or use np.where"
            )
        if aval_of(index).dtype.kind not in "iu":
            raise TraceError(f"indexing at {user_location()} with an array of dtype {aval_of(index).dtype}")
        extent = x.shape[axis]
        if isinstance(index, np.ndarray) and index.size and not (-extent <= index.min() and index.max() < extent):
            worst = index.max() if index.max() >= extent else index.min()
            raise TraceError(f"index {worst} at {user_location()} is out of bounds for axis {axis} of size {extent}")
        axes.append(axis)
        indices.append(builder.lift(index))
    return builder.bind(BIND["gather"], (builder.lift(x), *indices), {"axes": tuple(axes)})


@implements(np.take)
def take(a, indices, axis=None, out=None, mode="raise"):
    if mode != "raise":
        raise TraceError(f"np.take at {user_location()}: only mode='raise' is supported on a traced array")
    indices = list(indices) if isinstance(indices, tuple) else indices
    if axis is None:
        a, axis = ravel(a), 0
    axis = normal_axis(axis, a.ndim, "take")
    return getitem(a, (*[slice(None)] * axis, indices))
