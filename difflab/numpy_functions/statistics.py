"""Means, variances, averages, covariances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.complexes import real_dtype
from ..primitives.record import composite
from ..primitives.reduce import spread
from ..promotion import floating
from .common import BIND, NOTHING, asked, implements, keep, lifted, normal_axes
from .reductions import masked, operand, partial


def _count(a: Any, axes: tuple[int, ...], where: Any, name: str) -> Any:
    """How many elements one reduced value is made of: a number, or counted where ``where`` holds."""
    if not partial(where):
        return math.prod(a.shape[axis] for axis in axes)
    _, mask = lifted(a, where)
    counted = BIND["cast"](np.broadcast_to(mask, a.shape), dtype=real_dtype(a.dtype).str)
    return BIND["sum"](counted, axes=axes)


def _total(a: Any, axes: tuple[int, ...]) -> Any:
    return BIND["sum"](a, axes=axes) if axes else a


@composite("mean")
def _mean(a, *, axes, keepdims):
    count = math.prod(a.shape[axis] for axis in axes)
    return keep(_total(a, axes), a.shape, axes, keepdims) / count


@implements(np.mean)
def mean(a, axis=None, dtype=None, out=None, keepdims=NOTHING, where=NOTHING):
    a = operand(a, where)
    half = a.dtype == np.float16 and dtype is None  # NumPy adds these up in float32
    wide = floating(a.astype(np.float32) if half else a if dtype is None else a.astype(dtype))
    axes = normal_axes(axis, a.ndim, "mean")
    if partial(where):
        total = _total(masked(wide, where, 0.0, "mean"), axes)
        result = keep(total / _count(wide, axes, where, "mean"), a.shape, axes, keepdims)
    else:
        result = _mean(wide, axes=axes, keepdims=asked(keepdims)) if axes else wide
    return result.astype(np.float16 if half else result.dtype if dtype is None else dtype)


def squared(x: Any) -> Any:
    """``|x|**2``."""
    if x.dtype.kind == "c":
        return np.real(x) * np.real(x) + np.imag(x) * np.imag(x)
    return x * x


@composite("var")
def _var(a, *, axes, ddof, keepdims):
    count = math.prod(a.shape[axis] for axis in axes)
    centred = a - _mean(a, axes=axes, keepdims=True)
    return keep(_total(squared(centred), axes), a.shape, axes, keepdims) / max(count - ddof, 0)


def _freedom(ddof: Any, correction: Any) -> Any:
    if correction is NOTHING:
        return ddof
    if ddof != 0:
        raise TraceError(f"np.var at {user_location()}: ddof and correction are one thing; give one of them")
    return correction


@implements(np.var)
def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NOTHING, where=NOTHING, mean=NOTHING, correction=NOTHING):
    a = operand(a, where)
    ddof = _freedom(ddof, correction)
    wide = floating(a if dtype is None else a.astype(dtype))
    axes = normal_axes(axis, a.ndim, "var")
    if not partial(where) and mean is NOTHING:
        return _var(wide, axes=axes, ddof=ddof, keepdims=asked(keepdims))
    count = _count(wide, axes, where, "var")
    if mean is NOTHING:
        mean = spread(_total(masked(wide, where, 0.0, "var"), axes) / count, a.shape, axes)
    # What is not counted may be NaN or far away: it is left out before it is squared.
    centred = masked(wide - mean, where, 0.0, "var")
    freedom = max(count - ddof, 0) if isinstance(count, int) else np.maximum(count - ddof, 0)
    return keep(_total(squared(centred), axes) / freedom, a.shape, axes, keepdims)


def root(variance: Any) -> Any:
    """The square root with derivative 0 at 0, as for a norm: data that do not vary rise alike in all directions."""
    still = np.equal(variance, 0)
    return np.where(still, 0.0, np.sqrt(np.where(still, 1.0, variance)))


@implements(np.std)
def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NOTHING, where=NOTHING, mean=NOTHING, correction=NOTHING):
    return root(var(a, axis, dtype, None, ddof, keepdims, where, mean, correction))


@implements(np.average)
def average(a, axis=None, weights=None, returned=False, *, keepdims=NOTHING):
    if weights is None:
        (a,) = lifted(a)
        axes = normal_axes(axis, a.ndim, "average")
        result = mean(a, axes, keepdims=keepdims)
        total = math.prod(a.shape[k] for k in axes)
        return (result, np.full(result.shape, total, result.dtype)) if returned else result
    a, weights = lifted(a, weights)
    axes = normal_axes(axis, a.ndim, "average")
    exact = a.dtype.kind in "biu"
    dtype = np.result_type(a.dtype, weights.dtype, "f8") if exact else np.result_type(a.dtype, weights.dtype)
    if weights.shape != a.shape:
        weights = _along(weights, a, axis, axes)
    scale = np.sum(weights, axis=axes, dtype=dtype, keepdims=keepdims)
    result = np.sum(a.astype(dtype) * weights.astype(dtype), axis=axes, keepdims=keepdims) / scale
    return (result, np.broadcast_to(scale, result.shape)) if returned else result


def _along(weights: Any, a: Any, axis: Any, axes: tuple[int, ...]) -> Any:
    """Weights of the reduced axes, in the order in which these are named, ready to multiply."""
    if axis is None:
        raise TraceError(
            f"np.average at {user_location()}: weights of shape {weights.shape} and an array of shape {a.shape} need "
            "an axis; name the one that the weights belong to"
        )
    named = [k % a.ndim for k in (axis if isinstance(axis, tuple | list) else (axis,))]
    if weights.shape != tuple(a.shape[k] for k in named):
        raise TraceError(
            f"np.average at {user_location()}: weights of shape {weights.shape} do not fit axis {axis} of an array of "
            f"shape {a.shape}; give one for each element along it"
        )
    ordered = np.transpose(weights, sorted(range(len(named)), key=named.__getitem__))
    return np.reshape(ordered, tuple(size if k in axes else 1 for k, size in enumerate(a.shape)))


# ---------------------------------------------------------------------------- covariance


def _observations(m: Any, turned: bool) -> Any:
    """One row per variable."""
    if m.ndim > 2:
        raise TraceError(
            f"np.cov at {user_location()}: an array with {m.ndim} axes; variables and observations are two"
        )
    if m.ndim < 2:
        return np.reshape(m, (1, m.size))
    return np.transpose(m) if turned else m


@implements(np.cov)
def cov(m, y=None, rowvar=True, bias=False, ddof=None, fweights=None, aweights=None, *, dtype=None):
    parts = lifted(m) if y is None else lifted(m, y)
    dtype = np.result_type(*[part.dtype for part in parts], np.float64) if dtype is None else np.dtype(dtype)
    x = _observations(parts[0].astype(dtype), not rowvar)
    if y is not None:  # NumPy turns one row of a second array in no case
        other = _observations(parts[1].astype(dtype), not rowvar and parts[1].shape[:1] != (1,))
        x = np.concatenate([x, other], axis=0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = [lifted(x, more)[1].astype(float) for more in (fweights, aweights) if more is not None]
    if not weights:
        centred = x - mean(x, 1, keepdims=True)
        freedom: Any = x.shape[1] - ddof
        return np.squeeze(_products(centred, centred) * (1.0 / freedom if freedom > 0 else np.inf))
    weight = weights[0] if len(weights) == 1 else weights[0] * weights[1]
    centre, totals = average(x, axis=1, weights=weight, returned=True)
    freedom = totals[0]
    if ddof != 0:
        lost = 1.0 if aweights is None else np.sum(weight * weights[-1]) / freedom
        freedom = freedom - ddof * lost
    centred = x - centre[:, None]
    return np.squeeze(_products(centred, centred * weight) * (1 / freedom))


def _products(x: Any, y: Any) -> Any:
    return np.matmul(x, np.conjugate(np.transpose(y)))


@implements(np.corrcoef)
def corrcoef(x, y=None, rowvar=True, *, dtype=None):
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    size = np.arange(c.shape[0])
    spreads = np.sqrt(np.real(BIND["gather"](c, size, size, axes=(0, 1))))
    c = c / spreads[:, None] / spreads[None, :]
    if c.dtype.kind == "c":
        return BIND["complex_of"](np.clip(np.real(c), -1, 1), np.clip(np.imag(c), -1, 1))
    return np.clip(c, -1, 1)
