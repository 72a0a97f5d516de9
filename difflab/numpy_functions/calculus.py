"""Differences, slopes, integrals and interpolation of sampled functions."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..promotion import floating
from .common import BIND, NOTHING, arrayed, implements, lifted, normal_axes, normal_axis, promoted, refuse
from .reductions import accumulator


def _part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    """A slice along one axis."""
    return x[(*[slice(None)] * axis, slice(start, stop))]


@implements(np.trace)
def trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    diagonal = accumulator(np.diagonal(a, offset, axis1, axis2), dtype)
    return BIND["sum"](diagonal, axes=(diagonal.ndim - 1,))


# ---------------------------------------------------------------------------- differences


@implements(np.diff)
def diff(a, n=1, axis=-1, prepend=NOTHING, append=NOTHING):
    ends = [end for end in (prepend, append) if end is not NOTHING]
    a, *ends = lifted(a, *ends)
    axis = normal_axis(axis, a.ndim, "diff")
    if operator.index(n) < 0:
        raise TraceError(f"np.diff at {user_location()}: order {n} is negative")
    if n == 0:
        return a
    ends = [e if e.ndim else np.broadcast_to(e, (*a.shape[:axis], 1, *a.shape[axis + 1 :])) for e in ends]
    front = ends[:1] if prepend is not NOTHING else []
    if ends:
        a = np.concatenate([*front, a, *ends[len(front) :]], axis=axis)
    for _ in range(n):
        high, low = _part(a, axis, 1, None), _part(a, axis, None, -1)
        a = np.not_equal(high, low) if a.dtype.kind == "b" else high - low
    return a


@implements(np.ediff1d)
def ediff1d(ary, to_end=None, to_begin=None):
    ary, *ends = lifted(ary, *[end for end in (to_begin, to_end) if end is not None])
    flat = np.ravel(ary)
    ends = [np.ravel(end).astype(ary.dtype) for end in ends]
    front = ends[:1] if to_begin is not None else []
    middle = flat[1:] - flat[:-1]
    return np.concatenate([*front, middle, *ends[len(front) :]]) if ends else middle


def _spacings(varargs: tuple, shape: tuple[int, ...], axes: tuple[int, ...]) -> list[Any]:
    """One per axis: a number, or the steps between coordinates."""
    given = list(varargs) or [1.0]
    if len(given) == 1 and not np.ndim(given[0]):
        given *= len(axes)
    if len(given) != len(axes):
        raise TraceError(f"np.gradient at {user_location()}: {len(given)} spacings for {len(axes)} axes; give one each")
    result = []
    for one, axis in zip(given, axes, strict=True):
        if not np.ndim(one):
            result.append(one)
            continue
        if np.shape(one) != (shape[axis],):
            raise TraceError(
                f"np.gradient at {user_location()}: coordinates of shape {np.shape(one)} along axis {axis} of size "
                f"{shape[axis]}; give one for each element"
            )
        steps = np.diff(floating(one))
        uniform = isinstance(steps, np.ndarray) and bool((steps == steps[0]).all())
        result.append(steps[0] if uniform else steps)
    return result


def _slope(f: Any, step: Any, axis: int, edge_order: int) -> Any:
    """Second-order differences inside; at the ends of first or of second order."""
    n = f.shape[axis]

    def at(k: int) -> Any:
        return _part(f, axis, k % n, k % n + 1)

    if not np.ndim(step):
        inside = (_part(f, axis, 2, None) - _part(f, axis, None, -2)) / (2.0 * step)
        if edge_order == 1:
            return np.concatenate([(at(1) - at(0)) / step, inside, (at(-1) - at(-2)) / step], axis=axis)
        a, b, c = -1.5 / step, 2.0 / step, -0.5 / step
        first = a * at(0) + b * at(1) + c * at(2)
        last = -c * at(-3) - b * at(-2) - a * at(-1)
        return np.concatenate([first, inside, last], axis=axis)
    before, after = (np.reshape(d, [-1 if k == axis else 1 for k in range(f.ndim)]) for d in (step[:-1], step[1:]))
    inside = (
        -after / (before * (before + after)) * _part(f, axis, None, -2)
        + (after - before) / (before * after) * _part(f, axis, 1, -1)
        + before / (after * (before + after)) * _part(f, axis, 2, None)
    )
    if edge_order == 1:
        return np.concatenate([(at(1) - at(0)) / step[0], inside, (at(-1) - at(-2)) / step[-1]], axis=axis)
    d, e = step[0], step[1]
    first = -(2.0 * d + e) / (d * (d + e)) * at(0) + (d + e) / (d * e) * at(1) - d / (e * (d + e)) * at(2)
    d, e = step[-2], step[-1]
    last = e / (d * (d + e)) * at(-3) - (e + d) / (d * e) * at(-2) + (2.0 * e + d) / (e * (d + e)) * at(-1)
    return np.concatenate([first, inside, last], axis=axis)


@implements(np.gradient)
def gradient(f, *varargs, axis=None, edge_order=1):
    f = floating(lifted(f, *varargs)[0])
    varargs = tuple(arrayed(one) if np.ndim(one) else one for one in varargs)
    if edge_order not in (1, 2):
        raise TraceError(f"np.gradient at {user_location()}: edge_order is 1 or 2, not {edge_order}")
    named = range(f.ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(normal_axis(k, f.ndim, "gradient") for k in named)
    normal_axes(axes, f.ndim, "gradient")  # none twice
    for k in axes:
        if f.shape[k] < edge_order + 1:
            raise TraceError(
                f"np.gradient at {user_location()}: {f.shape[k]} elements along axis {k} are too few for edges of "
                f"order {edge_order}; it takes {edge_order + 1}"
            )
    slopes = tuple(
        _slope(f, step, k, edge_order).astype(f.dtype)
        for k, step in zip(axes, _spacings(varargs, f.shape, axes), strict=True)
    )
    return slopes[0] if len(slopes) == 1 else slopes


@implements(np.trapezoid)
def trapezoid(y, x=None, dx=1.0, axis=-1):
    (y,) = lifted(y) if x is None else lifted(y, x)[:1]
    axis = normal_axis(axis, y.ndim, "trapezoid")
    if x is None:
        d = dx
    else:
        (x,) = lifted(y, x)[1:]
        if x.ndim == 1:
            d = np.reshape(np.diff(x), [-1 if k == axis else 1 for k in range(y.ndim)])
        else:
            d = np.diff(x, axis=axis)
    return np.sum(d * (_part(y, axis, 1, None) + _part(y, axis, None, -1)) / 2.0, axis=axis)


# ---------------------------------------------------------------------------- interpolation


@implements(np.interp)
def interp(x, xp, fp, left=None, right=None, period=None):
    """At a knot the slope is that of the interval to its right; from the last knot on the value is constant."""
    x, xp, fp = (floating(one) for one in lifted(x, xp, fp))
    complex_values = fp.dtype.kind == "c"
    x, xp, fp = x.astype(float), xp.astype(float), fp.astype(complex if complex_values else float)
    if xp.ndim != 1 or fp.shape != xp.shape or not xp.size:
        raise TraceError(
            f"np.interp at {user_location()}: knots of shape {xp.shape} and values of shape {fp.shape}; both are "
            "one-dimensional, of one length, and not empty"
        )
    if period is not None:
        refuse("interp with a period", left=left, right=right)
        period = abs(period)
        x, xp = np.remainder(x, period), np.remainder(xp, period)
        order = BIND["argsort"](xp, axis=0, kind="quicksort")
        xp, fp = np.take(xp, order), np.take(fp, order)
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    low = fp[0] if left is None else left
    high = fp[-1] if right is None else right
    last = xp.size - 1
    if last == 0:
        return np.where(x < xp[0], low, np.where(x > xp[0], high, fp[0]))
    place = np.minimum(np.maximum(BIND["searchsorted"](xp, x, side="right") - 1, 0), last - 1)
    slopes = (fp[1:] - fp[:-1]) / (xp[1:] - xp[:-1])
    inside = np.take(slopes, place) * (x - np.take(xp, place)) + np.take(fp, place)
    beyond = np.where(x > xp[-1], high, np.where(x < xp[0], low, fp[-1]))
    between = np.logical_and(x >= xp[0], x < xp[-1])
    return np.where(np.logical_or(between, np.isnan(x)), inside, beyond)


# ---------------------------------------------------------------------------- sliding products


def _sliding(a: Any, v: Any, mode: str, name: str) -> Any:
    """Products of ``v`` with the windows of ``a``, in NumPy's three modes; the longer operand stands still."""
    if a.ndim > 1 or v.ndim > 1 or not a.size or not v.size:
        raise TraceError(
            f"np.{name} at {user_location()}: shapes {a.shape} and {v.shape}; both are sequences, not empty"
        )
    if mode not in ("full", "same", "valid"):
        raise TraceError(f"np.{name} at {user_location()}: mode is 'full', 'same' or 'valid', not {mode!r}")
    m = v.size
    edges = {"full": (m - 1, m - 1), "same": (m // 2, m - 1 - m // 2), "valid": (0, 0)}[mode]
    if edges != (0, 0):
        a = BIND["pad"](a, widths=(edges,))
    return BIND["slide"](a, v)


@implements(np.convolve)
def convolve(a, v, mode="full"):
    a, v = promoted([a, v])
    a, v = (np.reshape(one, (1,)) if not one.ndim else one for one in (a, v))
    if v.size > a.size:
        a, v = v, a
    return _sliding(a, np.flip(v), mode, "convolve")


@implements(np.correlate)
def correlate(a, v, mode="valid"):
    a, v = promoted([a, v])
    a, v = (np.reshape(one, (1,)) if not one.ndim else one for one in (a, v))
    v = np.conjugate(v) if v.dtype.kind == "c" else v
    if v.size > a.size:  # turned round, as is what comes of it
        return np.flip(_sliding(v, a, mode, "correlate"))
    return _sliding(a, v, mode, "correlate")
