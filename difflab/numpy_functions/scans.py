"""Running sums, products and extremes; ``accumulate`` and ``outer`` of a ufunc."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import as_array
from ..errors import TraceError, user_location
from ..primitives.record import Traced
from ..promotion import METHODS, strong
from .common import BIND, arrayed, implements, lifted, normal_axis, refuse
from .reductions import accumulator


def _running(name: str, a: Any, axis: Any, dtype: Any) -> Any:
    a = accumulator(lifted(a)[0], dtype)
    if axis is None:
        a, axis = np.ravel(a), 0
    a = a if a.ndim else np.reshape(a, (1,))
    return BIND[name](a, axis=normal_axis(axis, a.ndim, name), reverse=False)


@implements(np.cumsum)
def cumsum(a, axis=None, dtype=None, out=None):
    return _running("cumsum", a, axis, dtype)


@implements(np.cumprod)
def cumprod(a, axis=None, dtype=None, out=None):
    return _running("cumprod", a, axis, dtype)


def _cumulative(name: str, neutral: int) -> Callable:
    def run(x, /, *, axis=None, dtype=None, out=None, include_initial=False):
        if axis is None and x.ndim > 1:
            raise TraceError(
                f"np.cumulative_{name[3:]} at {user_location()}: an array with {x.ndim} axes; name one with axis="
            )
        result = _running(name, x, axis, dtype)
        if not include_initial:
            return result
        axis = normal_axis(axis or 0, result.ndim, name)
        first = np.full((*result.shape[:axis], 1, *result.shape[axis + 1 :]), neutral, result.dtype)
        return np.concatenate([first, result], axis=axis)

    return run


implements(np.cumulative_sum)(_cumulative("cumsum", 0))
implements(np.cumulative_prod)(_cumulative("cumprod", 1))

# ---------------------------------------------------------------------------- methods of ufuncs

ACCUMULATED: dict[np.ufunc, Callable] = {
    np.add: lambda a, axis, dtype: _running("cumsum", a, axis, dtype),
    np.multiply: lambda a, axis, dtype: _running("cumprod", a, axis, dtype),
    np.maximum: lambda a, axis, dtype: _extreme("cummax", a, axis, dtype),
    np.minimum: lambda a, axis, dtype: _extreme("cummin", a, axis, dtype),
}


def _extreme(name: str, a: Any, axis: int, dtype: Any) -> Any:
    a = a if dtype is None else a.astype(dtype)
    return BIND[name](a, axis=normal_axis(axis, a.ndim, name))


def accumulate(ufunc: np.ufunc, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> Any:
    """As ``ufunc.accumulate``."""
    if ufunc not in ACCUMULATED:
        known = ", ".join(f"np.{one.__name__}" for one in ACCUMULATED)
        raise TraceError(
            f"np.{ufunc.__name__}.accumulate at {user_location()} has no derivative rule; the ufuncs that have one are "
            f"{known}"
        )
    (array,) = lifted(array)
    if not array.ndim:
        raise TraceError(f"np.{ufunc.__name__}.accumulate at {user_location()}: a scalar has no axis to run along")
    return ACCUMULATED[ufunc](array, axis, dtype)


def outer(ufunc: np.ufunc, a: Any, b: Any, **options: Any) -> Any:
    """As ``ufunc.outer``: every element of ``a`` with every element of ``b``."""
    refuse(f"{ufunc.__name__}.outer", **options)
    # It makes arrays of its operands, so that no number is weak.
    a, b = (strong(one) if isinstance(one, Traced) else arrayed(as_array(one)) for one in (a, b))
    return ufunc(np.reshape(a, (*a.shape, *(1,) * b.ndim)), b)


METHODS["accumulate"] = accumulate
METHODS["outer"] = outer
