"""Moves: reshape, transpose, join, pad; and what is known without computing."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.shape import infer
from ..tracing import TracedArray
from .common import BIND, implements, normal_axes, normal_axis, promoted, refuse


@implements(np.reshape)
def reshape(a, /, shape=None, order="C", *, newshape=None, copy=None):
    if order != "C":
        raise TraceError(f"np.reshape at {user_location()}: only order='C' is supported on a traced array")
    shape = newshape if shape is None else shape
    sizes: Any = shape if isinstance(shape, tuple | list) else (shape,)
    target = tuple(operator.index(size) for size in sizes)
    target = infer(target, a.size)
    if math.prod(target) != a.size or any(entry < 0 for entry in target):
        raise TraceError(f"np.reshape at {user_location()}: cannot reshape {a.shape} to {shape}")
    return a if target == a.shape else BIND["reshape"](a, shape=target)


@implements(np.ravel)
def ravel(a, order="C"):
    return reshape(a, (-1,) if a.size else (0,), order)


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


@implements(np.moveaxis)
def moveaxis(a, source, destination):
    sources = [normal_axis(s, a.ndim, "moveaxis") for s in (source if isinstance(source, tuple | list) else [source])]
    targets = destination if isinstance(destination, tuple | list) else [destination]
    order = [axis for axis in range(a.ndim) if axis not in sources]
    for target, axis in sorted(zip([normal_axis(t, a.ndim, "moveaxis") for t in targets], sources, strict=True)):
        order.insert(target, axis)
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


@implements(np.broadcast_to)
def broadcast_to(array, shape, subok=False):
    shape = tuple(map(operator.index, shape)) if isinstance(shape, tuple | list) else (operator.index(shape),)
    fits = len(array.shape) <= len(shape) and all(
        size in (1, target) for size, target in zip(reversed(array.shape), reversed(shape), strict=False)
    )
    if not fits:
        raise TraceError(f"np.broadcast_to at {user_location()}: {array.shape} does not broadcast to {shape}")
    return array if shape == array.shape else BIND["broadcast_to"](array, shape=shape)


@implements(np.concatenate)
def concatenate(arrays, axis=0, out=None, *, dtype=None, casting=None):
    refuse("concatenate", dtype=dtype, casting=casting)
    values = promoted(list(arrays))
    if axis is None:
        values, axis = [ravel(value) for value in values], 0
    axis = normal_axis(axis, values[0].ndim, "concatenate")
    rests = {value.shape[:axis] + value.shape[axis + 1 :] for value in values}
    if len(rests) != 1:
        raise TraceError(
            f"np.concatenate at {user_location()}: shapes {[v.shape for v in values]} differ beside axis {axis}"
        )
    return values[0] if len(values) == 1 else BIND["concatenate"](*values, axis=axis)


@implements(np.stack)
def stack(arrays, axis=0, out=None, *, dtype=None, casting=None):
    refuse("stack", dtype=dtype, casting=casting)
    values = promoted(list(arrays))
    if len({value.shape for value in values}) != 1:
        raise TraceError(f"np.stack at {user_location()}: shapes {[value.shape for value in values]} differ")
    axis = normal_axis(axis, values[0].ndim + 1, "stack")
    return concatenate([expand_dims(value, axis) for value in values], axis)


@implements(np.vstack)
def vstack(tup, *, dtype=None, casting=None):
    refuse("vstack", dtype=dtype, casting=casting)
    return concatenate([v if v.ndim > 1 else reshape(v, (1, v.size)) for v in promoted(list(tup))], 0)


@implements(np.hstack)
def hstack(tup, *, dtype=None, casting=None):
    refuse("hstack", dtype=dtype, casting=casting)
    values = [v if v.ndim else reshape(v, (1,)) for v in promoted(list(tup))]
    return concatenate(values, 0 if values[0].ndim == 1 else 1)


@implements(np.pad)
def pad(array, pad_width, mode="constant", **kwargs):
    if mode != "constant" or kwargs.get("constant_values", 0) != 0:
        raise TraceError(f"np.pad at {user_location()}: only mode='constant' with zeros is supported on a traced array")
    pairs = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2))
    if np.any(pairs < 0):
        raise TraceError(f"np.pad at {user_location()}: pad_width {pad_width!r} is negative")
    return BIND["pad"](array, widths=tuple((int(low), int(high)) for low, high in pairs))


@implements(np.flip)
def flip(m, axis=None):
    axes = normal_axes(axis, m.ndim, "flip")
    return m[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(m.ndim))]


# ---------------------------------------------------------------------------- what is known without computing


@implements(np.shape)
def shape(a):
    return a.shape


@implements(np.ndim)
def ndim(a):
    return a.ndim


@implements(np.size)
def size(a, axis=None):
    return a.size if axis is None else a.shape[axis]


@implements(np.zeros_like)
def zeros_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return np.zeros(a.shape if shape is None else shape, dtype or a.dtype)


@implements(np.ones_like)
def ones_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return np.ones(a.shape if shape is None else shape, dtype or a.dtype)


@implements(np.full_like)
def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    target = tuple(a.shape if shape is None else shape)
    if isinstance(fill_value, TracedArray):
        return broadcast_to(fill_value.astype(dtype or a.dtype), target)
    return np.full(target, fill_value, dtype or a.dtype)


@implements(np.copy)
def copy(a, order="K", subok=False):
    return a
