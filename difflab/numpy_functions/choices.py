"""Choices between values, comparisons, and logic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced
from ..promotion import UFUNCS, apply_ufunc, innermost, kind_of
from .common import BIND, NOTHING, arrayed, implements, refuse

BOOL = np.dtype(bool)


def _alike(values: Sequence[Any]) -> np.dtype:
    """The dtype of a choice between values, among which Python numbers are weak."""
    if not any(isinstance(value, Traced) for value in values):
        return np.result_type(*values)
    return np.result_type(*[kind(0) if isinstance(kind, type) else kind for kind in map(kind_of, values)])


@implements(np.where)
def where(condition, x=NOTHING, y=NOTHING):
    if x is NOTHING and y is NOTHING:
        return np.nonzero(condition)
    if x is NOTHING or y is NOTHING:
        raise TraceError(f"np.where at {user_location()} takes both values to choose from, or none")
    builder = innermost((condition, x, y))
    x, y = (value if isinstance(value, int | float | complex) else arrayed(value) for value in (x, y))
    dtype = _alike((x, y))
    condition = builder.promoted(condition, BOOL)
    return builder.bind(BIND["where"], (condition, builder.promoted(x, dtype), builder.promoted(y, dtype)), {})


@implements(np.select)
def select(condlist, choicelist, default=0):
    if len(condlist) != len(choicelist) or not condlist:
        raise TraceError(
            f"np.select at {user_location()} takes as many conditions as values, at least one, not {len(condlist)} and "
            f"{len(choicelist)}"
        )
    values = [v if isinstance(v, int | float | complex) else arrayed(v) for v in (*choicelist, default)]
    builder = innermost((*condlist, *values))
    dtype = _alike(values)
    *choices, result = [builder.promoted(value, dtype) for value in values]
    for condition, value in reversed(list(zip(condlist, choices, strict=True))):
        condition = arrayed(condition)
        if condition.dtype != BOOL:
            raise TraceError(f"np.select at {user_location()} takes boolean conditions, not {condition.dtype}")
        result = builder.bind(BIND["where"], (builder.lift(condition), value, result), {})
    return result


@implements(np.clip)
def clip(a, a_min=NOTHING, a_max=NOTHING, out=None, *, min=NOTHING, max=NOTHING, **kwargs):
    # NumPy's own composition: where both bounds are one number, each of them takes half of the derivative.
    refuse("clip", **kwargs)
    a = arrayed(a)  # as in NumPy a number to be clipped is not weak
    low: Any = min if a_min is NOTHING else a_min
    high: Any = max if a_max is NOTHING else a_max
    if low is not None and low is not NOTHING:
        a = np.maximum(a, low)
    if high is not None and high is not NOTHING:
        a = np.minimum(a, high)
    return a


@implements(np.sign)
def sign(x):
    if x.dtype.kind != "c":
        return apply_ufunc(np.sign, (x,))
    size = np.absolute(x)
    return x / np.where(size == 0, 1, size)


# ---------------------------------------------------------------------------- logic


def _condition(operand: Any) -> Any:
    """Where an operand is not zero."""
    if type(operand) is bool:
        return operand
    operand = arrayed(operand)
    return operand if operand.dtype == BOOL else operand != 0


def _logical(ufunc: np.ufunc) -> Callable:
    def logical(*operands):
        operands = [_condition(operand) for operand in operands]
        builder = innermost(operands)
        return builder.bind(UFUNCS[ufunc], [builder.lift(operand) for operand in operands], {})

    return logical


def _bitwise(ufunc: np.ufunc, logical: np.ufunc) -> Callable:
    def bitwise(*operands):
        kinds = [kind_of(operand) for operand in operands]
        if all(kind == BOOL for kind in kinds):
            return logical(*operands)
        if any(np.dtype(kind).kind not in "iub" for kind in kinds):
            raise TraceError(
                f"np.{ufunc.__name__} at {user_location()}: only boolean arrays can be combined, and integers bit by "
                "bit; of other numbers compare with something first"
            )
        return apply_ufunc(ufunc, operands)

    return bitwise


for _bits, _logic in (
    (np.bitwise_and, np.logical_and),
    (np.bitwise_or, np.logical_or),
    (np.bitwise_xor, np.logical_xor),
    (np.invert, np.logical_not),
):
    implements(_logic)(_logical(_logic))
    implements(_bits)(_bitwise(_bits, _logic))


# ---------------------------------------------------------------------------- tests of values


@implements(np.isposinf)
def isposinf(x, out=None):
    return np.isinf(x) & ~np.signbit(x)


@implements(np.isneginf)
def isneginf(x, out=None):
    return np.isinf(x) & np.signbit(x)


@implements(np.isclose)
def isclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    near = np.less_equal(np.absolute(np.subtract(a, b)), atol + rtol * np.absolute(b))
    result = (near & np.isfinite(b)) | np.equal(a, b)
    return result | (np.isnan(a) & np.isnan(b)) if equal_nan else result


@implements(np.allclose)
def allclose(a, b, rtol=1e-05, atol=1e-08, equal_nan=False):
    return np.all(np.isclose(a, b, rtol, atol, equal_nan))
