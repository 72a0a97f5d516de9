"""The noise of a function, read from a table of differences of its values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

POINTS = 7
"""Values in a table: the authors' recommendation."""
SPACINGS = (0.75, 0.55, 0.35)
"""Powers of the unit roundoff: one table for each such spacing, so that noise finer than one is not overlooked."""
ALIKE = 4.0
"""Levels of three orders that agree within this factor are noise: they no longer fall with the order."""
SEEN = 10.0
"""A value that is not so many times its noise says nothing of the function's size, which is then taken for 1."""


def noise_of(values: np.ndarray) -> np.ndarray:
    """The noise level of values at equally spaced points, column by column.

    Moré & Wild (2011), Estimating computational noise, SIAM Journal on Scientific Computing 33(3), 1292-1314, section
    4: differences of order k of noise with standard deviation s have variance (2k)! / (k!)^2 s^2, those of what is
    smooth vanish with k.  The first order whose level agrees with the next two within a factor of 4, and whose
    differences have both signs, gives s.

    Args:
        values: of shape (points, columns).

    Returns:
        One level per column; NaN where the points are too far apart (the values differ by more than a tenth, and not
        by noise alone), too close together (half of the neighbours are equal), or no level stands out.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> values = 1.0 + 1e-3 * np.arange(7.0)[:, None] + 1e-6 * rng.standard_normal((7, 1))
        >>> bool(3e-7 < noise_of(values)[0] < 3e-6)
        True
    """
    count = len(values)
    lowest, highest = values.min(0), values.max(0)
    far = highest - lowest > 0.1 * np.maximum(np.abs(lowest), np.abs(highest))
    table, levels, mixed = values, [], []
    for order in range(1, count):
        table = np.diff(table, axis=0)
        if order == 1:
            close = np.sum(table == 0, 0) >= count / 2
        factor = math.factorial(order) ** 2 / math.factorial(2 * order)
        levels.append(np.sqrt(factor * np.mean(table**2, axis=0)))
        mixed.append((table.min(0) < 0) & (table.max(0) > 0))
    found = np.full(values.shape[1:], np.nan)
    for order in range(count - 4, -1, -1):
        three = np.array(levels[order : order + 3])
        known = (three.max(0) <= ALIKE * three.min(0)) & mixed[order] & (~far if order else True)
        found = np.where(known, levels[order], found)
    return np.where(close, np.nan, found)


def direction(size: int) -> np.ndarray:
    """Numbers of both signs between 1/2 and 3/2 in absolute value: a line along which no symmetry hides the noise."""
    spread = np.modf(np.arange(1, size + 1) * (math.sqrt(5.0) - 1.0) / 2.0)[0]
    return (0.5 + spread) * np.where(np.arange(size) % 2, -1.0, 1.0)


def largest(tables: Sequence[np.ndarray]) -> np.ndarray:
    """The largest level that a table shows, column by column; NaN where none does.

    What is smooth at a close spacing may be noise at the distance of a step, and there it counts.

    Args:
        tables: values of shape (points, columns), one for each spacing.

    Returns:
        One level per column.

    Example:
        >>> largest([np.zeros((7, 1))])
        array([nan])
    """
    with np.errstate(all="ignore"):
        return np.fmax.reduce([noise_of(table) for table in tables])
