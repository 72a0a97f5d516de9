"""Polynomials given by their coefficients, highest first; powers; counts with weights."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import Traced
from .common import BIND, implements, lifted, promoted


def _row(p: Any) -> Any:
    return np.reshape(p, (1,)) if not p.ndim else p


@implements(np.polyval)
def polyval(p, x):
    p, x = lifted(p, x)
    y = np.zeros_like(x)
    for k in range(p.shape[0]):
        y = y * x + p[k]
    return y


def _order(m: Any, name: str) -> int:
    m = operator.index(m)
    if m < 0:
        raise TraceError(f"np.{name} at {user_location()}: order {m} is negative")
    return m


@implements(np.polyder)
def polyder(p, m=1):
    (p,) = lifted(p)
    for _ in range(_order(m, "polyder")):
        p = p[:-1] * np.arange(p.size - 1, 0, -1)
    return p


@implements(np.polyint)
def polyint(p, m=1, k=None):
    m = _order(m, "polyint")
    given = [] if k is None else [k]
    p, *given = lifted(p, *given)
    constants = _row(given[0]) if given else np.zeros(m)
    if constants.size == 1 and m > 1:
        constants = np.broadcast_to(constants, (m,))
    if constants.size < m:
        raise TraceError(f"np.polyint at {user_location()}: {constants.size} constants for {m} integrations; give {m}")
    for step in range(m):
        p = np.concatenate([p / np.arange(p.size, 0, -1), constants[step : step + 1]])
    return p


def _aligned(a1: Any, a2: Any) -> list[Any]:
    """Two rows of coefficients of one length, zeros in front."""
    rows = [_row(one) for one in lifted(a1, a2)]
    size = max(row.size for row in rows)
    return [row if row.size == size else np.concatenate([np.zeros(size - row.size, row.dtype), row]) for row in rows]


@implements(np.polyadd)
def polyadd(a1, a2):
    first, second = _aligned(a1, a2)
    return first + second


@implements(np.polysub)
def polysub(a1, a2):
    first, second = _aligned(a1, a2)
    return first - second


def _trimmed(p: Any) -> Any:
    """Without leading zeros, as NumPy drops them here: how many there are is guarded."""
    while p.size > 1 and not p[0] != 0:
        p = p[1:]
    return p


@implements(np.polymul)
def polymul(a1, a2):
    first, second = (_trimmed(_row(one)) for one in promoted([a1, a2]))
    return np.convolve(first, second)


@implements(np.vander)
def vander(x, N=None, increasing=False):
    (x,) = lifted(x)
    if x.ndim != 1:
        raise TraceError(f"np.vander at {user_location()}: an array with {x.ndim} axes; the points are a sequence")
    count = x.size if N is None else operator.index(N)
    x = x.astype(np.promote_types(x.dtype, int))
    ones = np.ones((x.size, min(count, 1)), x.dtype)
    if count < 2:
        return BIND["zeros_like"](ones * x[:, None]) + ones
    powers = BIND["cumprod"](np.broadcast_to(x[:, None], (x.size, count - 1)), axis=1, reverse=False)
    result = np.concatenate([ones, powers], axis=1)
    return result if increasing else np.flip(result, 1)


@implements(np.polyfit)
def polyfit(x, y, deg, rcond=None, full=False, w=None, cov=False):
    if full or cov or np.ndim(deg):
        raise TraceError(
            f"np.polyfit at {user_location()}: on a traced array only the coefficients for one degree are known; leave "
            "full and cov out"
        )
    x, y, *rest = (one + 0.0 for one in (lifted(x, y) if w is None else lifted(x, y, w)))
    columns = np.vander(x, operator.index(deg) + 1)
    for w in rest:  # NumPy weights them in place, in their own dtype
        columns = (columns * w[:, None]).astype(columns.dtype)
        y = (y * (w[:, None] if y.ndim == 2 else w)).astype(y.dtype)
    rcond = x.size * float(np.finfo(x.dtype).eps) if rcond is None else rcond
    scale = np.sqrt(np.sum(columns * columns, axis=0))
    found = np.linalg.lstsq(columns / scale, y, rcond)[0]
    return np.transpose(np.transpose(found) / scale)


# ---------------------------------------------------------------------------- counts


@implements(np.bincount)
def bincount(x, /, weights=None, minlength=0):
    """Linear in the weights; where ``x`` is traced, how many bins there are is guarded."""
    known: Any = x if isinstance(x, Traced) else np.asarray(x)
    x, *rest = lifted(x) if weights is None else lifted(x, weights)
    if x.ndim != 1 or x.dtype.kind not in "iub":
        raise TraceError(f"np.bincount at {user_location()}: takes a sequence of integers, not {x!r}")
    bins = max(operator.index(np.max(known.astype(np.int64))) + 1 if x.size else 0, operator.index(minlength))
    counted = rest[0].astype(float) if rest else np.ones(x.size, np.int64)
    return BIND["scatter_add"](counted, x.astype(np.int64), shape=(bins,), axes=(0,))
