"""Moves of one array: reshape, transpose, broadcast, flip, roll, repeat; and what is known without computing."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced
from ..primitives.shape import infer
from .common import BIND, arrayed, implements, normal_axes, normal_axis


def sizes_of(shape: Any) -> tuple[int, ...]:
    """A shape as NumPy takes it, an integer or a sequence of them, as a tuple of Python integers."""
    if isinstance(shape, tuple | list) or (isinstance(shape, np.ndarray) and shape.ndim):
        return tuple([operator.index(size) for size in shape])
    return (operator.index(shape),)


def known_order(order: str, name: str) -> str:
    """``"C"`` or ``"F"``; how a traced array will lie in memory is not known while it is recorded."""
    order = str(order).upper()
    if order not in ("C", "F"):
        raise TraceError(
            f"np.{name} at {user_location()}: order={order!r} depends on how an array lies in memory, which a traced "
            "array does not know; say order='C' or order='F'"
        )
    return order


@implements(np.reshape)
def reshape(a, /, shape=None, order="C", *, newshape=None, copy=None):
    shape = newshape if shape is None else shape
    target = infer(sizes_of(shape), a.size)
    if math.prod(target) != a.size or any(entry < 0 for entry in target):
        raise TraceError(f"np.reshape at {user_location()}: cannot reshape {a.shape} to {shape}")
    if known_order(order, "reshape") == "F":
        return transpose(reshape(transpose(a), target[::-1]))
    return a if target == a.shape else BIND["reshape"](a, shape=target)


@implements(np.ravel)
def ravel(a, order="C"):
    return reshape(a, (a.size,), known_order(order, "ravel"))


@implements(np.transpose, np.permute_dims)
def transpose(a, axes=None):
    axes = tuple(reversed(range(a.ndim))) if axes is None else tuple(normal_axis(x, a.ndim, "transpose") for x in axes)
    if sorted(axes) != list(range(a.ndim)):
        raise TraceError(f"np.transpose at {user_location()}: axes {axes} do not fit {a.ndim} dimensions")
    return a if axes == tuple(range(a.ndim)) else BIND["transpose"](a, axes=axes)


@implements(np.swapaxes)
def swapaxes(a, axis1, axis2):
    axes = list(range(a.ndim))
    i, j = normal_axis(axis1, a.ndim, "swapaxes"), normal_axis(axis2, a.ndim, "swapaxes")
    axes[i], axes[j] = axes[j], axes[i]
    return transpose(a, axes)


def _listed(axis, ndim, name):
    """Axes in the order given, each once."""
    axes = [normal_axis(one, ndim, name) for one in sizes_of(axis)]
    if len(set(axes)) != len(axes):
        raise TraceError(f"np.{name} at {user_location()}: an axis is named twice in {axis}")
    return axes


@implements(np.moveaxis)
def moveaxis(a, source, destination):
    sources, targets = _listed(source, a.ndim, "moveaxis"), _listed(destination, a.ndim, "moveaxis")
    if len(sources) != len(targets):
        raise TraceError(
            f"np.moveaxis at {user_location()}: {len(sources)} axes to move and {len(targets)} places for them"
        )
    order = [axis for axis in range(a.ndim) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(target, axis)
    return transpose(a, order)


@implements(np.rollaxis)
def rollaxis(a, axis, start=0):
    axis = normal_axis(axis, a.ndim, "rollaxis")
    start = normal_axis(start, a.ndim + 1, "rollaxis") if start >= 0 else normal_axis(start, a.ndim, "rollaxis")
    order = [one for one in range(a.ndim) if one != axis]
    order.insert(start - (axis < start), axis)
    return transpose(a, order)


@implements(np.expand_dims)
def expand_dims(a, axis):
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = a.ndim + len(axes)
    places = normal_axes(tuple(axes), ndim, "expand_dims")
    rest = iter(a.shape)
    return reshape(a, tuple(1 if i in places else next(rest) for i in range(ndim)))


@implements(np.squeeze)
def squeeze(a, axis=None):
    ones = tuple(i for i, size in enumerate(a.shape) if size == 1)
    axes = ones if axis is None else normal_axes(axis, a.ndim, "squeeze")
    if not set(axes) <= set(ones):
        raise TraceError(f"np.squeeze at {user_location()}: axis {axis} of shape {a.shape} is not of size 1")
    return reshape(a, tuple(size for i, size in enumerate(a.shape) if i not in axes))


def _at_least(name, shaped):
    def grown(*arys):
        results = []
        for one in map(arrayed, arys):
            target = shaped(one.shape)
            results.append(one if target == one.shape else np.reshape(one, target))
        return results[0] if len(results) == 1 else tuple(results)

    grown.__name__ = name
    return grown


atleast_1d = implements(np.atleast_1d)(_at_least("atleast_1d", lambda shape: shape or (1,)))
atleast_2d = implements(np.atleast_2d)(_at_least("atleast_2d", lambda shape: (1,) * (2 - len(shape)) + shape))
atleast_3d = implements(np.atleast_3d)(
    _at_least("atleast_3d", lambda shape: ((1,) * (2 - len(shape)) + shape + (1,)) if len(shape) < 3 else shape)
)


@implements(np.broadcast_to)
def broadcast_to(array, shape, subok=False):
    shape = sizes_of(shape)
    fits = len(array.shape) <= len(shape) and all(
        size in (1, target) for size, target in zip(reversed(array.shape), reversed(shape), strict=False)
    )
    if not fits:
        raise TraceError(f"np.broadcast_to at {user_location()}: {array.shape} does not broadcast to {shape}")
    return array if shape == array.shape else BIND["broadcast_to"](array, shape=shape)


@implements(np.broadcast_arrays)
def broadcast_arrays(*args, subok=False):
    arrays = [arrayed(arg) for arg in args]
    shapes = [array.shape for array in arrays]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise TraceError(f"np.broadcast_arrays at {user_location()}: shapes {shapes} do not broadcast") from None
    return tuple(np.broadcast_to(array, shape) for array in arrays)


# ---------------------------------------------------------------------------- backwards and around


@implements(np.flip)
def flip(m, axis=None):
    axes = normal_axes(axis, m.ndim, "flip")
    return m[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(m.ndim))]


def _needs(a, ndim, name):
    if a.ndim < ndim:
        raise TraceError(f"np.{name} at {user_location()}: {ndim} dimensions or more are needed, got {a.ndim}")


@implements(np.fliplr)
def fliplr(m):
    _needs(m, 2, "fliplr")
    return flip(m, 1)


@implements(np.flipud)
def flipud(m):
    _needs(m, 1, "flipud")
    return flip(m, 0)


@implements(np.rot90)
def rot90(m, k=1, axes=(0, 1)):
    axes = tuple(axes)
    if len(axes) != 2:
        raise TraceError(f"np.rot90 at {user_location()}: a turn takes 2 axes, got {axes}")
    first, second = _listed(axes, m.ndim, "rot90")
    turns = operator.index(k) % 4
    if turns == 2:
        return flip(m, (first, second))
    turned = flip(m, second) if turns == 1 else m
    if turns:
        turned = swapaxes(turned, first, second)
    return flip(turned, second) if turns == 3 else turned


@implements(np.roll)
def roll(a, shift, axis=None):
    if axis is None:
        return reshape(_rolled(ravel(a), sum(sizes_of(shift)), 0), a.shape)
    shifts, axes = sizes_of(shift), [normal_axis(one, a.ndim, "roll") for one in sizes_of(axis)]
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        raise TraceError(f"np.roll at {user_location()}: {len(shifts)} shifts do not fit {len(axes)} axes")
    total = dict.fromkeys(axes, 0)
    count = max(len(shifts), len(axes)) if shifts and axes else 0
    for i in range(count):
        total[axes[i % len(axes)]] += shifts[i % len(shifts)]
    for one, by in total.items():
        a = _rolled(a, by, one)
    return a


def _rolled(a, by, axis):
    size = a.shape[axis]
    by = by % size if size else 0
    if not by:
        return a
    before = (slice(None),) * axis
    return BIND["concatenate"](a[(*before, slice(size - by, None))], a[(*before, slice(0, size - by))], axis=axis)


# ---------------------------------------------------------------------------- again and again


@implements(np.tile)
def tile(A, reps):
    times = sizes_of(reps)
    shape = (1,) * (len(times) - A.ndim) + A.shape
    times = (1,) * (len(shape) - len(times)) + times
    if any(count < 0 for count in times):
        raise TraceError(f"np.tile at {user_location()}: {reps!r} holds a negative number of times")
    paired = [(count, size) for count, size in zip(times, shape, strict=True)]
    apart = reshape(A, tuple(part for _, size in paired for part in (1, size)))
    wide = broadcast_to(apart, tuple(part for pair in paired for part in pair))
    return reshape(wide, tuple(count * size for count, size in paired))


@implements(np.repeat)
def repeat(a, repeats, axis=None):
    if isinstance(repeats, Traced):
        raise TraceError(
            f"np.repeat at {user_location()}: how often elements are repeated decides the shape of the result, so the "
            "counts cannot be traced; give a plain integer or array"
        )
    if axis is None:
        a, axis = ravel(a), 0
    axis = normal_axis(axis, a.ndim, "repeat")
    size = a.shape[axis]
    counts = np.asarray(repeats)
    try:
        places = np.repeat(np.arange(size), counts)
    except (TypeError, ValueError) as error:
        raise TraceError(f"np.repeat at {user_location()}: {error}") from None
    if counts.size != 1:
        return a[(*(slice(None),) * axis, places)]
    count = int(counts.ravel()[0])
    before, after = a.shape[:axis], a.shape[axis + 1 :]
    wide = broadcast_to(reshape(a, (*before, size, 1, *after)), (*before, size, count, *after))
    return reshape(wide, (*before, size * count, *after))


@implements(np.resize)
def resize(a, new_shape):
    shape = sizes_of(new_shape)
    if any(size < 0 for size in shape):
        raise TraceError(f"np.resize at {user_location()}: the shape {shape} holds a negative size")
    size = math.prod(shape)
    if not a.size or not size:
        return np.zeros(shape, a.dtype)
    flat = tile(ravel(a), -(-size // a.size)) if size > a.size else ravel(a)
    return reshape(flat[:size], shape)


# ---------------------------------------------------------------------------- what is known without computing


@implements(np.shape)
def shape(a):
    return a.shape


@implements(np.ndim)
def ndim(a):
    return a.ndim


@implements(np.size)
def size(a, axis=None):
    return math.prod(a.shape[one] for one in normal_axes(axis, a.ndim, "size"))


@implements(np.copy)
def copy(a, order="K", subok=False):
    return a
