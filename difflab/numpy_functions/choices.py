"""Choices, powers, logic and casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..builder import CAST
from ..errors import TraceError, user_location
from ..primitives.record import Traced
from ..promotion import UFUNCS, apply_ufunc, innermost, kind_of
from ..tracing import TracedArray
from .common import BIND, NOTHING, implements, refuse


@implements(np.where)
def where(condition, x=NOTHING, y=NOTHING):
    if x is NOTHING or y is NOTHING:
        raise TraceError(
            f"np.where with one argument at {user_location()} has a result whose shape depends on data; "
            "give it both values to choose from"
        )
    builder = innermost((condition, x, y))
    condition = builder.promoted(condition, np.dtype(bool))
    if not isinstance(x, Traced) and not isinstance(y, Traced):
        x, y = np.asarray(x), np.asarray(y)
        dtype = np.result_type(x, y)
    else:
        dtype = np.result_type(*[k(0) if isinstance(k, type) else k for k in (kind_of(x), kind_of(y))])
    return builder.bind(BIND["where"], (condition, builder.promoted(x, dtype), builder.promoted(y, dtype)), {})


@implements(np.clip)
def clip(a, a_min=NOTHING, a_max=NOTHING, out=None, *, min=NOTHING, max=NOTHING, **kwargs):
    refuse("clip", **kwargs)
    low: Any = min if a_min is NOTHING else a_min
    high: Any = max if a_max is NOTHING else a_max
    if low is not None and low is not NOTHING:
        a = np.maximum(a, low)
    if high is not None and high is not NOTHING:
        a = np.minimum(a, high)
    return a


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


def _logical(name: str) -> Callable:
    def logical(*operands):
        builder = innermost(operands)
        if any(kind_of(operand) != np.dtype(bool) for operand in operands):
            raise TraceError(f"np.{name} at {user_location()}: only boolean arrays can be combined on a traced array")
        return builder.bind(UFUNCS[getattr(np, name)], [builder.lift(operand) for operand in operands], {})

    return logical


implements(np.bitwise_and, np.logical_and)(_logical("logical_and"))
implements(np.bitwise_or, np.logical_or)(_logical("logical_or"))
implements(np.invert, np.logical_not)(_logical("logical_not"))


@implements(np.true_divide)
def true_divide(x1, x2):
    return apply_ufunc(np.divide, (x1, x2))


@implements(np.astype)
def astype(x, dtype, /, *, copy=True, device=None):
    return CAST(x, dtype=np.dtype(dtype).str)
