"""Reductions that pass over NaN, which has no derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..promotion import REDUCTIONS
from . import reductions, scans, statistics
from .common import NOTHING, implements, lifted


def _present(a: Any, where: Any) -> Any:
    """What is counted: no NaN, and ``where`` holds."""
    there = np.logical_not(np.isnan(a))
    return np.logical_and(there, lifted(a, where)[1]) if reductions.partial(where) else there


def _without(a: Any, fill: float) -> Any:
    """``a`` with ``fill`` in place of NaN."""
    (a,) = lifted(a)
    return np.where(np.isnan(a), fill, a) if a.dtype.kind in "fc" else a


@implements(np.nansum)
def nansum(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return reductions.sum(_without(a, 0.0), axis, dtype, None, keepdims, initial, where)


@implements(np.nanprod)
def nanprod(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return reductions.prod(_without(a, 1.0), axis, dtype, None, keepdims, initial, where)


@implements(np.nanmax)
def nanmax(a, axis=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.fmax](a, axis, None, None, keepdims, initial, where)


@implements(np.nanmin)
def nanmin(a, axis=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.fmin](a, axis, None, None, keepdims, initial, where)


@implements(np.nancumsum)
def nancumsum(a, axis=None, dtype=None, out=None):
    return scans.cumsum(_without(a, 0.0), axis, dtype)


@implements(np.nancumprod)
def nancumprod(a, axis=None, dtype=None, out=None):
    return scans.cumprod(_without(a, 1.0), axis, dtype)


def _arg(function: Callable, fill: Callable) -> Callable:
    def arg(a, axis=None, out=None, *, keepdims=NOTHING):
        return function(_without(a, fill(a.dtype)), axis=axis, keepdims=keepdims)

    return arg


implements(np.nanargmax)(_arg(np.argmax, reductions.lowest))
implements(np.nanargmin)(_arg(np.argmin, reductions.highest))


@implements(np.nanmean)
def nanmean(a, axis=None, dtype=None, out=None, keepdims=NOTHING, *, where=NOTHING):
    (a,) = lifted(a)
    if a.dtype.kind not in "fc":
        return statistics.mean(a, axis, dtype, None, keepdims, where)
    return statistics.mean(_without(a, 0.0), axis, dtype, None, keepdims, _present(a, where))


def _spread_around(function: Callable) -> Callable:
    def run(
        a, axis=None, dtype=None, out=None, ddof=0, keepdims=NOTHING, *, where=NOTHING, mean=NOTHING, correction=NOTHING
    ):
        (a,) = lifted(a)
        if a.dtype.kind in "fc":
            where = _present(a, where)
            a = _without(a, 0.0)
        return function(a, axis, dtype, None, ddof, keepdims, where, mean, correction)

    return run


implements(np.nanvar)(_spread_around(statistics.var))
implements(np.nanstd)(_spread_around(statistics.std))
