"""Sums, products, extremes and counts along axes, and the same as ``reduce`` of a ufunc."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import nn
from ..errors import TraceError, user_location
from ..promotion import REDUCTIONS
from .common import BIND, NOTHING, asked, implements, keep, lifted, normal_axes, normal_axis, refuse

BOOL, INTEGER = np.dtype(bool), np.dtype(np.int64)


def given(argument: Any) -> bool:
    """Whether ``initial=`` says anything."""
    return argument is not NOTHING and argument is not None


def partial(where: Any) -> bool:
    """Whether ``where=`` says anything."""
    return given(where) and where is not True


def operand(a: Any, where: Any) -> Any:
    """The operand as a traced array; perhaps only ``where`` is one."""
    return lifted(a, where)[0] if partial(where) else lifted(a)[0]


def masked(a: Any, where: Any, fill: Any, name: str) -> Any:
    """``a`` with ``fill`` where it is not to be counted."""
    if not partial(where):
        return a
    _, mask = lifted(a, where)
    if np.broadcast_shapes(mask.shape, a.shape) != a.shape:
        raise TraceError(
            f"np.{name} at {user_location()}: where of shape {mask.shape} does not broadcast to {a.shape}; give both "
            "one shape with np.broadcast_to"
        )
    return np.where(mask, a, fill)


def lowest(dtype: np.dtype) -> Any:
    """What is below every element."""
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).min)
    return False if dtype.kind == "b" else -np.inf


def highest(dtype: np.dtype) -> Any:
    """What is above every element."""
    if dtype.kind in "iu":
        return int(np.iinfo(dtype).max)
    return True if dtype.kind == "b" else np.inf


def accumulator(a: Any, dtype: Any) -> Any:
    """``a`` in the dtype in which NumPy adds and multiplies it up: small integers in the platform's own."""
    if dtype is not None:
        return a.astype(dtype)
    if a.dtype.kind in "bui" and a.dtype.itemsize < 8:
        return a.astype(np.add.reduce(np.zeros(1, a.dtype)).dtype)
    return a


# ---------------------------------------------------------------------------- sums and products


def _totals(name: str, neutral: int, combine: Callable) -> Callable:
    def reduce(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
        a = accumulator(operand(a, where), dtype)
        a = masked(a, where, neutral, name)
        axes = normal_axes(axis, a.ndim, name)
        result = keep(BIND[name](a, axes=axes), a.shape, axes, keepdims) if axes else a
        return combine(initial, result).astype(a.dtype) if given(initial) else result

    return reduce


REDUCTIONS[np.add] = _totals("sum", 0, np.add)
REDUCTIONS[np.multiply] = _totals("prod", 1, np.multiply)


@implements(np.sum)
def sum(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.add](a, axis, dtype, out, keepdims, initial, where)


@implements(np.prod)
def prod(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.multiply](a, axis, dtype, out, keepdims, initial, where)


# ---------------------------------------------------------------------------- extremes


def not_empty(a: Any, axes: tuple[int, ...], name: str) -> None:
    """An error where there is no largest or smallest element."""
    if any_empty(a, axes) and a.size == 0:
        raise TraceError(
            f"np.{name} at {user_location()}: an array of shape {a.shape} has no largest or smallest element"
        )


def any_empty(a: Any, axes: tuple[int, ...]) -> bool:
    """Whether there is nothing along some of the axes."""
    return 0 in [a.shape[axis] for axis in axes]


def merged(a: Any, axes: tuple[int, ...]) -> Any:
    """``a`` with the axes as one last one."""
    kept = [axis for axis in range(a.ndim) if axis not in axes]
    moved = np.transpose(a, (*kept, *axes))
    rest = tuple(a.shape[axis] for axis in kept)
    return BIND["reshape"](moved, shape=(*rest, math.prod(a.shape[axis] for axis in axes)))


def _extremes(name: str, fill: Callable[[np.dtype], Any]) -> Callable:
    def reduce(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
        a = operand(a, where)
        a = a if dtype is None else a.astype(dtype)
        axes = normal_axes(axis, a.ndim, name)
        if partial(where) and not given(initial):
            raise TraceError(
                f"np.{name} at {user_location()}: with where= nothing may be left to choose from; give initial=, too"
            )
        line = masked(a, where, fill(a.dtype), name)
        if given(initial):  # one more element to choose from, which ties with the others
            line = merged(line, axes)
            first = np.broadcast_to(lifted(initial, a)[0].astype(a.dtype), (*line.shape[:-1], 1))
            result = BIND[name](np.concatenate([first, line], axis=-1), axes=(line.ndim - 1,))
        elif axes:
            not_empty(a, axes, name)
            result = BIND[name](line, axes=axes)
        else:
            return line
        return keep(result, a.shape, axes, keepdims)

    return reduce


REDUCTIONS[np.maximum] = _extremes("max", lowest)
REDUCTIONS[np.minimum] = _extremes("min", highest)


@implements(np.max, np.amax)
def max(a, axis=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.maximum](a, axis, None, out, keepdims, initial, where)


@implements(np.min, np.amin)
def min(a, axis=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.minimum](a, axis, None, out, keepdims, initial, where)


@implements(np.ptp)
def ptp(a, axis=None, out=None, keepdims=NOTHING):
    return max(a, axis, None, keepdims) - min(a, axis, None, keepdims)


def _extremes_but_nan(ufunc: np.ufunc, fill: Callable[[np.dtype], Any]) -> Callable:
    """NaN gives way to every other element, and has no derivative; it stays where there is nothing else."""

    def reduce(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
        a = operand(a, where)
        a = a if dtype is None else a.astype(dtype)
        if a.dtype.kind not in "fc":
            return REDUCTIONS[ufunc](a, axis, None, None, keepdims, initial, where)
        nothing = np.isnan(a)
        result = REDUCTIONS[ufunc](np.where(nothing, fill(a.dtype), a), axis, None, None, keepdims, initial, where)
        if given(initial):
            return result
        return np.where(np.all(nothing, axis=axis, keepdims=asked(keepdims)), np.nan, result)

    return reduce


REDUCTIONS[np.fmax] = _extremes_but_nan(np.maximum, lowest)
REDUCTIONS[np.fmin] = _extremes_but_nan(np.minimum, highest)


def _arg(name: str) -> Callable:
    def arg(a, axis=None, out=None, *, keepdims=NOTHING):
        if axis is None:
            not_empty(a, tuple(range(a.ndim)), name)
            flat = np.ravel(a)
            return keep(BIND[name](flat, axis=0), a.shape, tuple(range(a.ndim)), keepdims)
        axis = normal_axis(axis, a.ndim, name)
        not_empty(a, (axis,), name)
        return keep(BIND[name](a, axis=axis), a.shape, (axis,), keepdims)

    return arg


implements(np.argmax)(_arg("argmax"))
implements(np.argmin)(_arg("argmin"))

# ---------------------------------------------------------------------------- conditions: live, without derivative


def _number_of(hits: Any, axis: Any, keepdims: Any, where: Any, name: str) -> Any:
    """How many conditions hold."""
    axes = normal_axes(axis, hits.ndim, name)
    hits = masked(hits, where, False, name).astype(INTEGER)
    return keep(BIND["sum"](hits, axes=axes), hits.shape, axes, keepdims) if axes else hits


@implements(np.count_nonzero)
def count_nonzero(a, axis=None, *, keepdims=False):
    return _number_of(a != 0, axis, keepdims, NOTHING, "count_nonzero")


@implements(np.any)
def any(a, axis=None, out=None, keepdims=NOTHING, *, where=NOTHING):
    return _number_of(a != 0, axis, keepdims, where, "any") > 0


@implements(np.all)
def all(a, axis=None, out=None, keepdims=NOTHING, *, where=NOTHING):
    return np.equal(_number_of(np.equal(a, 0), axis, keepdims, where, "all"), 0)


def _conditions(function: Callable, ufunc: np.ufunc) -> Callable:
    def reduce(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial: Any = NOTHING, where=NOTHING):
        refuse(f"{ufunc.__name__}.reduce", dtype=None if dtype in (None, bool, BOOL) else dtype)
        result = function(a, axis, None, keepdims, where=where)
        return ufunc(result, np.not_equal(initial, 0)) if given(initial) else result

    return reduce


REDUCTIONS[np.logical_or] = _conditions(any, np.logical_or)
REDUCTIONS[np.logical_and] = _conditions(all, np.logical_and)

# ---------------------------------------------------------------------------- log of a sum of powers


def _logaddexp(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial: Any = NOTHING, where=NOTHING):
    a = operand(a, where)
    a = a if dtype is None else a.astype(dtype)
    if a.dtype.kind == "c":
        raise TraceError(f"np.logaddexp.reduce at {user_location()}: complex numbers have no logaddexp; use np.log")
    a = a.astype(np.logaddexp.resolve_dtypes((a.dtype, a.dtype, None))[2])
    axes = normal_axes(axis, a.ndim, "logaddexp.reduce")
    line = masked(a, where, -np.inf, "logaddexp.reduce")
    if not axes:
        result = line
    elif any_empty(a, axes):  # the logarithm of nothing; sums of what is not there give its shape
        result = keep(BIND["sum"](a, axes=axes), a.shape, axes, keepdims) - np.inf
    else:
        result = nn.logsumexp(line, axis=axes, keepdims=asked(keepdims))
    return np.logaddexp(result, initial).astype(a.dtype) if given(initial) else result


REDUCTIONS[np.logaddexp] = _logaddexp
