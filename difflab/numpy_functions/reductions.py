"""Sums, extremes, means, norms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import composite
from ..promotion import REDUCTIONS, floating
from .common import BIND, NOTHING, asked, implements, keep, lifted, normal_axes, normal_axis, refuse


def _reduction(name: str) -> Callable:
    def reduce(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
        refuse(name, initial=initial, where=where)
        (a,) = lifted(a)
        if dtype is not None:
            a = a.astype(dtype)
        elif name == "sum" and a.dtype.kind in "bui" and a.dtype.itemsize < 8:
            a = a.astype(np.add.reduce(np.zeros(1, a.dtype)).dtype)  # NumPy sums small integers in the platform's own
        axes = normal_axes(axis, a.ndim, name)
        if not axes:
            return a
        if name != "sum":
            not_empty(a, axes, name)
        return keep(BIND[name](a, axes=axes), a.shape, axes, keepdims)

    return reduce


def not_empty(a: Any, axes: tuple[int, ...], name: str) -> None:
    """An error where there is no largest or smallest element."""
    if any(a.shape[axis] == 0 for axis in axes) and a.size == 0:
        raise TraceError(
            f"np.{name} at {user_location()}: an array of shape {a.shape} has no largest or smallest element"
        )


REDUCTIONS.update({np.add: _reduction("sum"), np.maximum: _reduction("max"), np.minimum: _reduction("min")})


@implements(np.sum)
def sum(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.add](a, axis, dtype, out, keepdims, initial, where)


@implements(np.max, np.amax)
def max(a, axis=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.maximum](a, axis, None, out, keepdims, initial, where)


@implements(np.min, np.amin)
def min(a, axis=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.minimum](a, axis, None, out, keepdims, initial, where)


@composite("mean")
def _mean(a, *, axes, keepdims):
    count = math.prod(a.shape[axis] for axis in axes)
    return keep(BIND["sum"](a, axes=axes), a.shape, axes, keepdims) / count


@implements(np.mean)
def mean(a, axis=None, dtype=None, out=None, keepdims=NOTHING, where=NOTHING):
    refuse("mean", where=where)
    a = floating(lifted(a)[0] if dtype is None else a.astype(dtype))
    axes = normal_axes(axis, a.ndim, "mean")
    return _mean(a, axes=axes, keepdims=asked(keepdims)) if axes else a


@composite("var")
def _var(a, *, axes, ddof, keepdims):
    count = math.prod(a.shape[axis] for axis in axes)
    centred = a - _mean(a, axes=axes, keepdims=True)
    return keep(BIND["sum"](centred * centred, axes=axes), a.shape, axes, keepdims) / (count - ddof)


@implements(np.var)
def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NOTHING, where=NOTHING, mean=NOTHING, correction=NOTHING):
    refuse("var", where=where, mean=mean, correction=correction)
    a = floating(lifted(a)[0] if dtype is None else a.astype(dtype))
    return _var(a, axes=normal_axes(axis, a.ndim, "var"), ddof=ddof, keepdims=asked(keepdims))


@implements(np.std)
def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NOTHING, where=NOTHING, mean=NOTHING, correction=NOTHING):
    refuse("std", where=where, mean=mean, correction=correction)
    return np.sqrt(var(a, axis, dtype, None, ddof, keepdims))


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


@composite("norm")
def _norm(x, *, axes, keepdims):
    total = BIND["sum"](BIND["square"](x), axes=axes)
    # norm'(0) = 0 by the kink table, while sqrt'(0) = inf: at zero the root is taken of one and its value put aside.
    zero = total == 0
    root = np.where(zero, 0.0, np.sqrt(np.where(zero, 1.0, total)))
    return keep(root, x.shape, axes, keepdims)


@implements(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    axes = normal_axes(axis, x.ndim, "linalg.norm")
    if not (ord is None or (ord == 2 and len(axes) == 1) or (ord == "fro" and len(axes) == 2)):
        raise TraceError(
            f"np.linalg.norm at {user_location()}: only the 2-norm and the Frobenius norm are known, not ord={ord!r}"
        )
    return _norm(floating(x), axes=axes, keepdims=bool(keepdims))
