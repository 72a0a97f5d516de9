"""Independent values of primitives: moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _nonzero(mask: Any, count: int) -> Any:
    rows = [[place for place, holds in enumerate(row) if holds] for row in mask.reshape(-1, mask.shape[-1])]
    return np.array(rows, np.intp).reshape(*mask.shape[:-1], count)


def _strides(shape: tuple[int, ...], order: str) -> list[int]:
    sizes = shape if order == "F" else shape[::-1]
    strides = [1]
    for size in sizes[:-1]:
        strides.append(strides[-1] * size)
    return strides if order == "F" else strides[::-1]


def _unravel(positions: Any, shape: tuple[int, ...], order: str, axis: int) -> Any:
    return positions // _strides(shape, order)[axis] % shape[axis]


def _ravel(*indices: Any, shape: tuple[int, ...], mode: Any, order: str) -> Any:
    modes = (mode,) * len(shape) if isinstance(mode, str) else mode
    total: Any = 0
    for index, size, stride, one in zip(indices, shape, _strides(shape, order), modes, strict=True):
        inside = index % size if one == "wrap" else np.clip(index, 0, size - 1) if one == "clip" else index
        total = total + inside * stride
    return total


REFERENCES: dict[str, Callable[..., Any]] = {
    "nonzero": _nonzero,
    "unravel_index": _unravel,
    "ravel_multi_index": _ravel,
}
