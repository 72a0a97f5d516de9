"""Independent values of primitives: scans, order, sliding products."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def _scanned(step: Callable[[Any, Any], Any]) -> Callable[..., np.ndarray]:
    """A scan in Python, line by line."""

    def run(x, *, axis, reverse=False):
        result = np.array(x)
        for line in result if axis else result.T:  # samples have two axes
            view = line[::-1] if reverse else line
            for i in range(1, len(view)):
                view[i] = step(view[i - 1], view[i])
        return result

    return run


def _recurrence(a, b, *, axis, reverse):
    """The triangular system it solves: ``s[i] - a[i] s[i-1] = b[i]``."""
    result = np.empty_like(b)
    for lane in range(b.shape[1 - axis]):
        factors, right = (np.take(part, lane, 1 - axis).astype("f8") for part in (a, b))
        size = len(right)
        matrix = np.eye(size)
        for i in range(1, size):
            row, before = (size - 1 - i, size - i) if reverse else (i, i - 1)
            matrix[row, before] = -factors[row]
        place = (slice(None), lane) if axis == 0 else (lane, slice(None))
        result[place] = np.linalg.solve(matrix, right)
    return result


def _prod(x, *, axes):
    moved = np.moveaxis(x, axes, range(len(axes))).reshape(-1, *[n for i, n in enumerate(x.shape) if i not in axes])
    return np.array(np.vectorize(lambda *c: math.prod(c), otypes="d")(*moved)).astype(x.dtype)


def _order(x, *, axis, **params):
    lines = np.moveaxis(x, axis, -1)
    ranked = [sorted(range(len(line)), key=line.__getitem__) for line in lines.tolist()]
    return np.moveaxis(np.array(ranked), -1, axis)


def _slide(a, v):
    return np.array([sum(a[k + j] * v[j] for j in range(len(v))) for k in range(len(a) - len(v) + 1)], a.dtype)


REFERENCES: dict[str, Callable[..., Any]] = {
    "prod": _prod,
    "cumsum": _scanned(lambda before, here: before + here),
    "cumprod": _scanned(lambda before, here: before * here),
    "cummax": _scanned(max),
    "cummin": _scanned(min),
    "recurrence": _recurrence,
    "slide": _slide,
    "argsort": _order,
    "argpartition": lambda x, axis, kth: np.argpartition(x, kth, axis),
    "partition_order": lambda x, axis, kth: _order_of(x, np.partition(x, kth, axis), axis),
    "searchsorted": lambda a, v, side: np.sum(a < v[..., None] if side == "left" else a <= v[..., None], -1),
}


def _order_of(x, arranged, axis):
    """Where each element of ``arranged`` stands in ``x``; all are different."""
    pairs = zip(np.moveaxis(x, axis, -1).tolist(), np.moveaxis(arranged, axis, -1).tolist(), strict=True)
    return np.moveaxis(np.array([[line.index(entry) for entry in other] for line, other in pairs]), -1, axis)
