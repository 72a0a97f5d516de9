"""Exact rules of running products and extremes, of sorting and of searching: see ``exact_rules`` for what they ask.

What sorts compares elements one pair at a time and so decides or reports ``undecided``; equal ones are ties, which
stay in the order in which they stand.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .exact_rules import _candidates

Array = np.ndarray


def prod(arithmetic: Any, x: Array, *, axes: tuple[int, ...]) -> Array:
    """The product along ``axes``; 1 where there is nothing to multiply."""
    return arithmetic.numbers(np.multiply.reduce(_candidates(x, axes), axis=0)) if axes else x


def cumprod(arithmetic: Any, x: Array, *, axis: int, reverse: bool) -> Array:
    """Products of all elements up to each along ``axis``."""
    turned = np.flip(x, axis) if reverse else x
    result = np.multiply.accumulate(turned, axis)
    return np.flip(result, axis) if reverse else result


def recurrence(arithmetic: Any, a: Array, b: Array, *, axis: int, reverse: bool) -> Array:
    """``s[i] = a[i] s[i-1] + b[i]``."""
    factors, rows = np.moveaxis(a, axis, 0), list(np.moveaxis(b, axis, 0))
    step = -1 if reverse else 1
    for i in range(len(rows))[::step][1:]:
        rows[i] = factors[i] * rows[i - step] + rows[i]
    return _stacked(rows, b, axis)


def cummax(arithmetic: Any, x: Array, *, axis: int) -> Array:
    """The largest of all elements up to each; ties share the derivative equally."""
    rows = np.moveaxis(x, axis, 0)
    return _stacked([arithmetic.largest(rows[: i + 1]) for i in range(len(rows))], x, axis)


def cummin(arithmetic: Any, x: Array, *, axis: int) -> Array:
    """The smallest of all elements up to each; ties share the derivative equally."""
    negative = arithmetic.scalar("negative")
    return negative(cummax(arithmetic, negative(x), axis=axis))


def _stacked(rows: list, like: Array, axis: int) -> Array:
    result = np.empty(like.shape, dtype=object)
    for place, row in zip(np.moveaxis(result, axis, 0)[..., None], rows, strict=True):
        place[..., 0] = row
    return result


def slide(arithmetic: Any, a: Array, v: Array) -> Array:
    """Sums of products of ``v`` with every window of ``a``."""
    windows = a[np.arange(len(a) - len(v) + 1)[:, None] + np.arange(len(v))]
    return arithmetic.matmul(windows, v[:, None])[:, 0]


# ---------------------------------------------------------------------------- order


def argsort(arithmetic: Any, x: Array, *, axis: int, kind: str) -> Array:
    """The stable order along ``axis``, whichever ``kind`` was asked for."""

    def compare(a: tuple[int, Any], b: tuple[int, Any]) -> int:
        # Of two that are equal only one question is asked, from the side of the first: `later < earlier`.
        if a[0] < b[0]:
            return 1 if _holds(arithmetic, "less", b[1], a[1]) else -1
        return -1 if _holds(arithmetic, "less", a[1], b[1]) else 1

    lines = np.moveaxis(x, axis, -1)
    result = np.empty(lines.shape, dtype=np.int64)
    for place in np.ndindex(*lines.shape[:-1]):
        ranked = sorted(enumerate(lines[place].tolist()), key=functools.cmp_to_key(compare))
        result[place] = [position for position, _ in ranked]
    return np.moveaxis(result, -1, axis)


def searchsorted(arithmetic: Any, a: Array, v: Array, *, side: str) -> Array:
    """How many elements of ``a`` stand before each of ``v``."""
    relation = "less" if side == "left" else "less_equal"
    before = [_count(arithmetic, arithmetic.compare(relation, element, v)) for element in a.tolist()]
    return functools.reduce(np.add, before, np.zeros(v.shape, dtype=np.int64))


def _count(arithmetic: Any, conditions: Array) -> Array:
    return arithmetic.integers(arithmetic.numbers(conditions))


def _holds(arithmetic: Any, relation: str, a: Any, b: Any) -> bool:
    return bool(_count(arithmetic, arithmetic.compare(relation, a, b)).item())
