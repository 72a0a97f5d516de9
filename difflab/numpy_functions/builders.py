"""Arrays made from others: filled ones, triangles, grids, even spacings, windows."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced
from ..promotion import ADVICE, innermost
from .common import arrayed, implements, normal_axis
from .indexing import getitem, selected
from .joins import concatenate
from .shapes import broadcast_to, expand_dims, moveaxis, sizes_of


def _target(a, shape):
    return a.shape if shape is None else sizes_of(shape)


@implements(np.zeros_like, np.empty_like)
def zeros_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return np.zeros(_target(a, shape), dtype or a.dtype)


@implements(np.ones_like)
def ones_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return np.ones(_target(a, shape), dtype or a.dtype)


@implements(np.full_like)
def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    target = _target(a, shape)
    fill: Any = arrayed(fill_value)
    if isinstance(fill, Traced):
        return broadcast_to(innermost((fill,)).promoted(fill, np.dtype(dtype or a.dtype)), target)
    return np.full(target, fill, dtype or a.dtype)


IN_PLACE = {
    "np.copyto": "np.where(mask, new, old), or np.broadcast_to(value, shape) for constants (also for np.full_like)",
    "np.put": "np.where with a mask of the positions",
    "np.place": "np.where(mask, new, old)",
    "np.putmask": "np.where(mask, new, old)",
    "np.put_along_axis": "np.where(np.arange(size) == index, new, old)",
    "np.fill_diagonal": "np.where(np.eye(*x.shape, dtype=bool), value, x)",
}
ADVICE.update(
    {
        name: f"writes into an array in place, which cannot be recorded; make the new array with {instead}"
        for name, instead in IN_PLACE.items()
    }
)
ADVICE["np.trim_zeros"] = (
    "gives a shape that depends on where the data are zero; slice with plain bounds, or select with a mask"
)


# ---------------------------------------------------------------------------- triangles


@implements(np.tril)
def tril(m, k=0):
    inside = np.tri(*_last_two(m, "tril"), k=k, dtype=bool)
    return np.where(inside, m, np.zeros(1, m.dtype))


@implements(np.triu)
def triu(m, k=0):
    outside = np.tri(*_last_two(m, "triu"), k=k - 1, dtype=bool)
    return np.where(outside, np.zeros(1, m.dtype), m)


def _last_two(m, name):
    if not m.ndim:
        raise TraceError(f"np.{name} at {user_location()}: 1 dimension or more is needed, got 0")
    return m.shape[-2:]


# ---------------------------------------------------------------------------- grids


@implements(np.meshgrid)
def meshgrid(*xi, copy=True, sparse=False, indexing="xy"):
    if indexing not in ("xy", "ij"):
        raise TraceError(f"np.meshgrid at {user_location()}: indexing is 'xy' or 'ij', not {indexing!r}")
    places = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        places[:2] = 1, 0
    arrays = [arrayed(one) for one in xi]
    grids = [
        np.reshape(one, (1,) * place + (one.size,) + (1,) * (len(xi) - 1 - place))
        for place, one in zip(places, arrays, strict=True)
    ]
    return tuple(grids) if sparse else tuple(np.broadcast_arrays(*grids))


@implements(np.ix_)
def ix_(*args):
    keys = []
    for place, one in enumerate(args):
        index = arrayed(one)
        if index.ndim != 1:
            raise TraceError(f"np.ix_ at {user_location()}: each argument has 1 dimension, got {index.ndim}")
        if isinstance(index, np.ndarray) and not index.size:
            index = index.astype(np.intp)
        if index.dtype.kind == "b":
            index = selected(index)
        keys.append(np.reshape(index, (1,) * place + (index.size,) + (1,) * (len(args) - place - 1)))
    return tuple(keys)


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(x, window_shape, axis=None, *, subok=False, writeable=False):
    windows = sizes_of(window_shape)
    named = range(x.ndim) if axis is None else sizes_of(axis)
    axes = [normal_axis(one, x.ndim, "sliding_window_view") for one in named]
    if len(windows) != len(axes):
        raise TraceError(
            f"np.lib.stride_tricks.sliding_window_view at {user_location()}: {len(windows)} window sizes for "
            f"{len(axes)} axes"
        )
    for size, along in zip(windows, axes, strict=True):
        places = x.shape[along] - size + 1
        if size < 0 or places < 1:
            raise TraceError(
                f"np.lib.stride_tricks.sliding_window_view at {user_location()}: a window of {size} does not fit axis "
                f"{along} of size {x.shape[along]}"
            )
        index = np.arange(places)[:, None] + np.arange(size)
        x = moveaxis(getitem(x, (*(slice(None),) * along, index)), along + 1, -1)
    return x


# ---------------------------------------------------------------------------- even spacings


def _dummy(value: Any) -> Any:
    """Something plain that NumPy promotes as it does the value."""
    if not isinstance(value, Traced):
        return value
    return value.dtype.type(1).item() if value.weak else np.ones(value.shape, value.dtype)


def _count(num: Any, name: str) -> int:
    count = operator.index(num)
    if count < 0:
        raise TraceError(f"np.{name} at {user_location()}: the number of samples, {count}, is negative")
    return count


@implements(np.linspace)
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0, *, device=None):
    count = _count(num, "linspace")
    gaps = count - 1 if endpoint else count
    inner = np.linspace(_dummy(start), _dummy(stop), 0).dtype
    start, stop = arrayed(start), arrayed(stop)
    builder = innermost((start, stop))
    start, stop = builder.promoted(start, inner), builder.promoted(stop, inner)
    delta = stop - start
    ramp = np.arange(count, dtype=inner).reshape(-1, *(1,) * delta.ndim)
    step: Any = delta / inner.type(gaps) if gaps > 0 else np.nan
    values = ramp * (step if gaps > 0 else delta) + start
    if endpoint and count > 1:
        last = expand_dims(broadcast_to(stop, delta.shape), 0)
        values = concatenate([values[:-1], last])
    values = _finished(values, axis, dtype)
    return (values, step) if retstep else values


def _finished(values: Any, axis: Any, dtype: Any) -> Any:
    """The samples along the axis and in the dtype that were asked for; towards integers NumPy rounds down."""
    values = moveaxis(values, 0, axis)
    if dtype is None:
        return values
    if np.issubdtype(dtype, np.integer):
        values = np.floor(values)
    return values.astype(dtype)


@implements(np.logspace)
def logspace(start, stop, num=50, endpoint=True, base=10.0, dtype=None, axis=0):
    given: list[Any] = [start, stop, base]
    start, stop, base = (one if isinstance(one, float | int) else arrayed(one) for one in given)
    if np.ndim(base):
        ndim = max(np.ndim(start), np.ndim(stop), np.ndim(base))
        start, stop, base = (
            np.reshape(one, (1,) * (ndim - np.ndim(one)) + np.shape(one)) for one in (start, stop, base)
        )
        base = np.expand_dims(base, axis)
    exponents = np.linspace(start, stop, num, endpoint=endpoint, axis=axis)
    values = np.power(base, exponents)
    return values if dtype is None else values.astype(dtype)


@implements(np.geomspace)
def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    count = _count(num, "geomspace")
    ends = [arrayed(start), arrayed(stop)]
    if any(one.dtype.kind == "c" for one in ends):
        raise TraceError(
            f"np.geomspace at {user_location()}: complex ends are not supported on a traced array; write "
            "start * (stop / start) ** np.linspace(0, 1, num)"
        )
    if any(isinstance(one, np.ndarray) and np.any(one == 0) for one in ends):
        raise TraceError(f"np.geomspace at {user_location()}: a geometric sequence cannot include zero")
    inner = np.result_type(ends[0].dtype, ends[1].dtype, 1.0, np.zeros((), dtype).dtype)
    builder = innermost(ends)
    first, last = (builder.promoted(one, inner) for one in ends)
    sign = np.sign(first)
    first, last = first / sign, last / sign
    values = logspace(np.log10(first), np.log10(last), num, endpoint)
    if count:
        shape = values.shape[1:]
        pieces = [expand_dims(broadcast_to(first, shape), 0)]
        if count > 1 and endpoint:
            pieces += [values[1:-1], expand_dims(broadcast_to(last, shape), 0)]
        else:
            pieces.append(values[1:])
        values = concatenate(pieces)
    values = moveaxis(values * sign, 0, axis)
    return values if dtype is None else values.astype(dtype)
