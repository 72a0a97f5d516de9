"""Functions of each element: powers, roundings, quotients with remainders, and what NumPy writes in Python."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from ..builder import CAST
from ..errors import TraceError, user_location
from ..promotion import UFUNCS, apply_ufunc, floating
from ..tracing import TracedArray
from .common import BIND, arrayed, implements, lifted, normal_axis

# Other names and dtypes of what is a primitive already.
UFUNCS.update(
    {
        np.fabs: BIND["absolute"],
        np.rad2deg: BIND["degrees"],
        np.deg2rad: BIND["radians"],
        np.float_power: BIND["power"],
    }
)


@implements(np.power)
def power(x1, x2):
    if type(x2) is int and isinstance(x1, TracedArray) and x1.dtype.kind in "fc":
        if x2 == 2:
            result = BIND["square"](x1)
        elif x2 == 1:
            return x1
        else:
            result = BIND["integer_power"](x1, n=x2)
        return result.weakened() if x1.weak else result
    return apply_ufunc(np.power, (x1, x2))


@implements(np.positive)
def positive(x):
    return x


@implements(np.true_divide)
def true_divide(x1, x2):
    return apply_ufunc(np.divide, (x1, x2))


@implements(np.astype)
def astype(x, dtype, /, *, copy=True, device=None):
    return CAST(x, dtype=np.dtype(dtype).str)


@implements(np.divmod)
def divmod_(x1, x2):
    return np.floor_divide(x1, x2), np.remainder(x1, x2)


@implements(np.modf)
def modf(x):
    if x.dtype.kind != "f":
        x = BIND["cast"](x, dtype="<f8")
    return BIND["fraction"](x), np.trunc(x)


@implements(np.round, np.around)
def round_(a, decimals=0, out=None):
    if a.dtype.kind == "c":
        parts = [np.round(part, decimals) for part in (np.real(a), np.imag(a))]
        return BIND["complex_of"](*parts)
    if a.dtype.kind in "iu":
        if decimals < 0:
            raise TraceError(
                f"np.round at {user_location()}: rounding integers to tens or more is not supported on a traced array; "
                "make them floating first"
            )
        return a
    if decimals == 0:
        return np.rint(a)
    scale = 10.0 ** abs(decimals)
    return np.rint(a * scale) / scale if decimals > 0 else np.rint(a / scale) * scale


@implements(np.fix)
def fix(x, out=None):
    return np.trunc(x)


@implements(np.sinc)
def sinc(x):
    return BIND["sinc"](floating(x), order=0)


@implements(np.i0)
def i0(x):
    return BIND["numpy_i0"](floating(x))


@implements(np.unwrap)
def unwrap(p, discont=None, axis=-1, *, period=6.283185307179586):
    axis = normal_axis(axis, len(p.shape), "unwrap")
    step = np.diff(p, axis=axis)
    discont = period / 2 if discont is None else discont
    exact = p.dtype.kind in "iu" and isinstance(period, int)
    high = period // 2 if exact else period / 2
    turned = np.mod(step + high, period) - high
    if not exact or period % 2 == 0:
        turned = np.where((turned == -high) & (step > 0), high, turned)
    correction = np.where(np.abs(step) < discont, 0, turned - step)
    head = tuple(slice(0, 1) if k == axis else slice(None) for k in range(len(p.shape)))
    tail = tuple(slice(1, None) if k == axis else slice(None) for k in range(len(p.shape)))
    return np.concatenate([p[head], p[tail] + np.cumsum(correction, axis)], axis=axis)


@implements(np.piecewise)
def piecewise(x, condlist, funclist, *args, **kw):
    several = isinstance(condlist, list | tuple) and np.ndim(condlist[0]) == len(x.shape)
    rows = list(condlist) if several or np.ndim(condlist) > len(x.shape) else [condlist]
    conditions = [np.reshape(np.astype(arrayed(row), bool), (-1,)) for row in rows]
    if len(conditions) == len(funclist) - 1:
        conditions.append(~functools.reduce(np.logical_or, conditions))
    if len(conditions) != len(funclist) or any(condition.shape != (x.size,) for condition in conditions):
        raise TraceError(
            f"np.piecewise at {user_location()}: {len(rows)} conditions and {len(funclist)} functions do not fit an "
            f"array of shape {x.shape}; give a function per condition of that shape, and perhaps one for the rest"
        )
    flat = np.reshape(x, (-1,))
    result = np.zeros_like(flat)
    for condition, function in zip(conditions, funclist, strict=True):
        value: Any = function
        if callable(function):  # on the elements of its own only: elsewhere it may have no value
            positions = np.flatnonzero(condition)
            if not positions.shape[0]:
                continue
            value = function(flat[positions], *args, **kw)
            pieces = np.broadcast_to(value, positions.shape)
            (pieces, positions, _) = lifted(pieces, positions, flat)
            pieces = pieces if pieces.dtype == x.dtype else BIND["cast"](pieces, dtype=x.dtype.str)
            value = BIND["scatter_add"](pieces, positions, shape=flat.shape, axes=(0,))
        result = np.where(condition, value, result)
    return np.reshape(result, x.shape)


@implements(np.nan_to_num)
def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    if x.dtype.kind == "c":
        return BIND["complex_of"](*[np.nan_to_num(part, copy, nan, posinf, neginf) for part in (x.real, x.imag)])
    if x.dtype.kind != "f":
        return x
    ends = np.finfo(x.dtype)
    nan, high, low = (
        end if end.dtype == x.dtype else BIND["cast"](end, dtype=x.dtype.str)
        for end in lifted(
            *(np.asarray(end) if isinstance(end, int | float) else end
              for end in (nan, ends.max if posinf is None else posinf, ends.min if neginf is None else neginf)),
            x,
        )[:3]
    )  # fmt: skip
    result = BIND["where"](np.isnan(x), nan, x)
    result = BIND["where"](np.isposinf(x), high, result)
    return BIND["where"](np.isneginf(x), low, result)
