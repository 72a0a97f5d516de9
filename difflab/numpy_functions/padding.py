"""Padding in NumPy's modes: zeros are a primitive, repeated elements one ``gather`` an axis, the rest is joined on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced
from .common import BIND, arrayed, implements
from .joins import concatenate
from .shapes import broadcast_to

Pairs = list[tuple[Any, Any]]
# What each mode may be told besides the widths.
OPTIONS = {
    "constant": ("constant_values",),
    "edge": (),
    "linear_ramp": ("end_values",),
    "maximum": ("stat_length",),
    "mean": ("stat_length",),
    "minimum": ("stat_length",),
    "reflect": ("reflect_type",),
    "symmetric": ("reflect_type",),
    "wrap": (),
}


@implements(np.pad)
def pad(array, pad_width, mode="constant", **kwargs):
    widths = _widths(array, pad_width)
    if mode not in OPTIONS:
        raise TraceError(
            f"np.pad at {user_location()}: mode {mode!r} is not supported on a traced array; there are "
            f"{', '.join(OPTIONS)}"
        )
    for option in kwargs:
        if option not in OPTIONS[mode]:
            raise TraceError(f"np.pad at {user_location()}: mode {mode!r} takes no argument {option!r}")
    if mode == "constant":
        return _constant(array, widths, kwargs.get("constant_values", 0))
    for axis, width in enumerate(widths):
        if array.shape[axis] == 0 and any(width):
            raise TraceError(f"np.pad at {user_location()}: axis {axis} is empty, which mode {mode!r} cannot extend")
    if array.size == 0:
        return BIND["pad"](array, widths=tuple(widths))
    if mode in ("edge", "wrap") or (mode in ("reflect", "symmetric") and kwargs.get("reflect_type", "even") == "even"):
        return _repeated(array, widths, mode)
    if mode in ("reflect", "symmetric"):
        return _each_axis(array, widths, [mode] * array.ndim, _mirrored)
    if mode == "linear_ramp":
        return _each_axis(array, widths, _pairs(kwargs.get("end_values", 0), array.ndim), _ramps)
    return _each_axis(array, widths, _lengths(kwargs.get("stat_length"), array.ndim), _statistics(mode))


def _widths(array, pad_width) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        chosen: Any = [(0, 0)] * array.ndim
        for axis, width in pad_width.items():
            chosen[axis] = width if isinstance(width, tuple) else (width, width)
        pad_width = chosen
    given = np.asarray(pad_width)
    if given.dtype.kind not in "iu":
        raise TraceError(f"np.pad at {user_location()}: pad_width {pad_width!r} is not made of integers")
    if np.any(given < 0):
        raise TraceError(f"np.pad at {user_location()}: pad_width {pad_width!r} is negative")
    return [(int(low), int(high)) for low, high in _fitted(given, array.ndim, "pad_width")]


def _fitted(given, ndim, what):
    """One pair an axis."""
    try:
        return np.broadcast_to(given, (ndim, 2))
    except ValueError:
        raise TraceError(
            f"np.pad at {user_location()}: {what} of shape {given.shape} do not give a pair for each of {ndim} axes"
        ) from None


def _pairs(values: Any, ndim: int) -> Pairs:
    """A pair of values for each axis, traced or plain."""
    fitted = _fitted(arrayed(values), ndim, "values")
    return [(fitted[axis, 0], fitted[axis, 1]) for axis in range(ndim)]


def _lengths(values: Any, ndim: int) -> Pairs:
    """A pair of lengths for each axis; None means the whole axis."""
    fitted = _fitted(np.asarray(values, object if values is None else None), ndim, "stat_length")
    if values is not None and np.any(fitted < 0):
        raise TraceError(f"np.pad at {user_location()}: stat_length {values!r} is negative")
    return [tuple(pair) for pair in fitted.tolist()]


def _each_axis(array, widths, extras, ends: Callable) -> Any:
    """Join on what ``ends(array, axis, widths, extra)`` gives, axis after axis."""
    for axis, (width, extra) in enumerate(zip(widths, extras, strict=True)):
        if any(width):
            before, after = ends(array, axis, width, extra)
            array = concatenate([before, array, after], axis)
    return array


def _at(axis: int, start: int | None, stop: int | None, step: int = 1) -> tuple:
    return (*(slice(None),) * axis, slice(start, stop, step))


def _constant(array, widths, values):
    values = arrayed(values)
    if not isinstance(values, Traced) and not any(values.tobytes()):  # no -0.0 either
        return BIND["pad"](array, widths=tuple(widths))

    def ends(array, axis, width, pair):
        shapes = [(*array.shape[:axis], size, *array.shape[axis + 1 :]) for size in width]
        return [np.broadcast_to(one.astype(array.dtype), shape) for one, shape in zip(pair, shapes, strict=True)]

    return _each_axis(array, widths, _pairs(values, array.ndim), ends)


def _repeated(array, widths, mode):
    """What NumPy does to an axis it does to the positions along it."""
    for axis, width in enumerate(widths):
        if any(width):
            array = array[(*(slice(None),) * axis, np.pad(np.arange(array.shape[axis]), width, mode))]
    return array


def _mirrored(array, axis, width, mode):
    """The array continued point-symmetrically about its ends, piece by piece where the pad is wider than it."""
    size = array.shape[axis]
    if size == 1:
        return [broadcast_to(array, (*array.shape[:axis], one, *array.shape[axis + 1 :])) for one in width]
    ends = []
    for wanted, flipped in ((width[0], False), (width[1], True)):
        grown = array[_at(axis, None, None, -1)] if flipped else array
        skip = int(mode == "reflect")
        while grown.shape[axis] - size < wanted:
            edge = grown[_at(axis, 0, 1)]
            period = size - skip
            piece = min((grown.shape[axis] - skip) // period * period, wanted - (grown.shape[axis] - size))
            inward = grown[_at(axis, skip, skip + piece)]
            grown = concatenate([2 * edge - inward[_at(axis, None, None, -1)], grown], axis)
        end = grown[_at(axis, 0, wanted)]
        ends.append(end[_at(axis, None, None, -1)] if flipped else end)
    return ends


def _ramps(array, axis, width, pair):
    """From the end value, at the rim, to the edge of the array."""
    edges = array[_at(axis, 0, 1)], array[_at(axis, -1, None)]
    before, after = (
        np.linspace(end, np.squeeze(edge, axis), count, endpoint=False, dtype=array.dtype, axis=axis)
        for end, edge, count in zip(pair, edges, width, strict=True)
    )
    return before, after[_at(axis, None, None, -1)]


def _statistics(mode: str) -> Callable:
    statistic: Any = {"maximum": np.max, "minimum": np.min, "mean": np.mean}[mode]

    def ends(array, axis, width, lengths):
        size = array.shape[axis]
        results = []
        for side, (count, length) in enumerate(zip(width, lengths, strict=True)):
            taken = size if length is None else min(int(length), size)
            if not taken and mode != "mean":
                raise TraceError(f"np.pad at {user_location()}: stat_length of 0 yields no value for padding")
            chunk = array[_at(axis, size - taken, size) if side else _at(axis, 0, taken)]
            value = statistic(chunk, axis=axis, keepdims=True)
            if array.dtype.kind in "iu" and value.dtype.kind == "f":
                value = np.round(value)
            results.append(
                broadcast_to(value.astype(array.dtype), (*array.shape[:axis], count, *array.shape[axis + 1 :]))
            )
        return results

    return ends
