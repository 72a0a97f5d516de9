"""Sorting, searching, distinct values: positions are live data without derivative, elements carry theirs along."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced
from .common import BIND, implements, lifted, normal_axis, promoted, refuse
from .selection import flatnonzero, take_along_axis

KINDS = {None: "quicksort", "quicksort": "quicksort", "heapsort": "heapsort", "mergesort": "stable", "stable": "stable"}


def _line(a: Any, axis: Any, name: str) -> tuple[Any, int]:
    """The array and the axis along which it is put in order; flat where none is named."""
    (a,) = lifted(a)
    if axis is None:
        a, axis = np.ravel(a), 0
    return a, normal_axis(axis, a.ndim, name)


def in_order(a: Any, axis: int = -1) -> Any:
    """Where the elements along an axis are to be taken from; of equal ones the first stays first."""
    return BIND["argsort"](a, axis=axis % a.ndim, kind="stable")


@implements(np.sort)
def sort(a, axis=-1, kind=None, order=None, *, stable=None):
    refuse("sort", order=order)
    a, axis = _line(a, axis, "sort")
    return take_along_axis(a, in_order(a, axis), axis)


@implements(np.sort_complex)
def sort_complex(a):
    (a,) = lifted(a)
    result = sort(a)
    if a.dtype.kind == "c":
        return result
    return result.astype(np.complex64 if a.dtype.char in "bhBH" else np.complex128)


@implements(np.argsort)
def argsort(a, axis=-1, kind=None, order=None, *, stable=None):
    refuse("argsort", order=order)
    a, axis = _line(a, axis, "argsort")
    if kind not in KINDS:
        raise TraceError(f"np.argsort at {user_location()}: kind {kind!r} is none of {', '.join(map(str, KINDS))}")
    return BIND["argsort"](a, axis=axis, kind="stable" if stable else KINDS[kind])


def _kth(kth: Any) -> tuple[int, ...]:
    if isinstance(kth, Traced):
        raise TraceError(f"np.partition at {user_location()}: kth is traced; give Python integers, or use np.sort")
    return tuple(int(k) for k in np.ravel(kth))


@implements(np.partition)
def partition(a, kth, axis=-1, kind="introselect", order=None):
    refuse("partition", order=order)
    a, axis = _line(a, axis, "partition")
    return take_along_axis(a, BIND["partition_order"](a, axis=axis, kth=_kth(kth)), axis)


@implements(np.argpartition)
def argpartition(a, kth, axis=-1, kind="introselect", order=None):
    refuse("argpartition", order=order)
    a, axis = _line(a, axis, "argpartition")
    return BIND["argpartition"](a, axis=axis, kth=_kth(kth))


# ---------------------------------------------------------------------------- searching


@implements(np.searchsorted)
def searchsorted(a, v, side="left", sorter=None):
    if side not in ("left", "right"):
        raise TraceError(f"np.searchsorted at {user_location()}: side is 'left' or 'right', not {side!r}")
    a, v = promoted((a, v))
    if a.ndim != 1:
        raise TraceError(f"np.searchsorted at {user_location()}: the sorted array has {a.ndim} axes, not one")
    if sorter is not None:
        a = np.take(a, sorter)
    return BIND["searchsorted"](a, v, side=side)


@implements(np.digitize)
def digitize(x, bins, right=False):
    x, bins = lifted(x, bins)
    side = "left" if right else "right"
    if bins.size < 2 or bins[0] <= bins[-1]:
        return searchsorted(bins, x, side)
    return bins.size - searchsorted(np.flip(bins), x, "right" if right else "left")


# ---------------------------------------------------------------------------- distinct values


def _first_of_each(line: Any, equal_nan: bool) -> Any:
    """Where a sorted array begins another value."""
    before, here = line[:-1], line[1:]
    differs = here != before
    if equal_nan and line.dtype.kind in "fc":
        differs = np.logical_and(differs, np.logical_not(np.logical_and(np.isnan(before), np.isnan(here))))
    return np.concatenate([np.ones(min(line.size, 1), bool), differs])


@implements(np.unique)
def unique(
    ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True, sorted=True
):
    """How many there are is guarded: other data with another number of them trace again."""
    (ar,) = lifted(ar)
    refuse("unique", sorted=sorted)
    if axis is not None and (ar.ndim != 1 or operator.index(axis) not in (0, -1)):
        raise TraceError(
            f"np.unique at {user_location()}: distinct slices along axis {axis} are not supported on a traced array; "
            "leave axis out for distinct elements"
        )
    flat = np.ravel(ar)
    order = in_order(flat)
    line = np.take(flat, order)
    first = _first_of_each(line, equal_nan)
    starts = flatnonzero(first)
    results = [np.take(line, starts)]
    if return_index:
        results.append(np.take(order, starts))
    if return_inverse:
        group = BIND["cumsum"](first.astype(np.int64), axis=0, reverse=False) - 1
        results.append(np.reshape(np.take(group, in_order(order)), ar.shape))
    if return_counts:
        results.append(np.concatenate([starts[1:], np.full(min(flat.size, 1), flat.size)]) - starts)
    return tuple(results) if len(results) > 1 else results[0]
