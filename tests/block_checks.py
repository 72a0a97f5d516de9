"""Helpers of the tests of blocks: a loss in one piece and in blocks, and how far apart the two are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from difflab import Reverse, prepare


def gradients(loss: Callable, args: Sequence[Any], argnums: Any = 0, **options: Any) -> tuple[list[np.ndarray], Any]:
    """Value and gradients of a prepared loss as a flat list, and the notes of what ran."""
    prepared = prepare(loss, *args, argnums=argnums, backend=Reverse(**options), operator="value_and_gradient")
    value, gradient = prepared(*args)
    leaves = list(gradient) if isinstance(gradient, tuple | list) else [gradient]
    return [np.asarray(value), *map(np.asarray, leaves)], prepared.stats


def distance(found: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> float:
    """The largest difference, relative to the largest number of each array; NaN and infinities must agree."""
    worst = 0.0
    for one, other in zip(found, wanted, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        assert np.array_equal(np.isfinite(one), np.isfinite(other))
        assert np.array_equal(one[~np.isfinite(one)], other[~np.isfinite(other)], equal_nan=True)
        kept = np.isfinite(other)
        scale = max(float(np.max(np.abs(other[kept]), initial=0.0)), 1e-300)
        worst = max(worst, float(np.max(np.abs(one[kept] - other[kept]), initial=0.0)) / scale)
    return worst


def both(loss: Callable, args: Sequence[Any], argnums: Any = 0, blocks: int = 3, threads: int = 1) -> Any:
    """The notes of a blocked run after comparing it with one in one piece."""
    wanted, _ = gradients(loss, args, argnums, blocks=1)
    found, stats = gradients(loss, args, argnums, blocks=blocks, threads=threads)
    assert distance(found, wanted) < 1e-12
    return stats
