"""Extrapolation of quotients to the step 0, and how far each is from the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..primitives.elementwise import stop_gradient


def extrapolate(
    quotients: Sequence[Any], floors: Sequence[Any], ratio: Any, skew: Any, columns: int
) -> tuple[Any, Any]:
    """The entry of a tableau of extrapolated quotients with the least estimated error, element by element.

    Richardson's extrapolation in Neville's scheme (Romberg, 1955), which Ridders (1982), Advances in Engineering
    Software 4, 75-76, ends where the error grows: that of an entry is the larger of its distances from the two entries
    it was made of, here plus the noise of the values that comes through.  In a row these distances hardly differ from
    column to column while the entries improve, so each column counts half of the one before when entries are compared.

    Args:
        quotients: central ones of second order, at steps that fall by the same ratio; arrays or traced arrays.
        floors: for each the error that noise of the function's values makes in it.
        ratio: of a step to the next.
        skew: ``False``, or truth values: which quotients are one-sided, so that their error has odd powers of the step.
        columns: how many powers are removed.

    Returns:
        The chosen values and their estimated errors; what is not finite is chosen last, and its error is infinite.

    Example:
        >>> slopes = [(np.exp(h) - np.exp(-h)) / (2 * h) for h in (0.4, 0.2, 0.1, 0.05)]
        >>> value, error = extrapolate(slopes, [1e-16] * 4, 2.0, False, 2)
        >>> bool(abs(value - 1) < error < 1e-5)
        True
    """
    entries, noises = [quotients[0]], [floors[0]]
    best: Any = None
    least: Any = None
    rank: Any = None
    for level in range(1, len(quotients)):
        row, noise = [quotients[level]], [floors[level]]
        candidates = [(row[0], _distance(row[0], entries[0]) + noise[0])]
        for column in range(1, min(level, columns) + 1):
            factor = ratio ** (2 * column)
            if skew is not False:
                factor = np.where(skew, ratio ** (column + 1), factor)
            row.append(row[-1] + (row[-1] - entries[column - 1]) / (factor - 1.0))
            noise.append(noise[-1] + (noise[-1] + noises[column - 1]) / (factor - 1.0))
            spread = np.maximum(_distance(row[-1], row[-2]), _distance(row[-1], entries[column - 1]))
            candidates.append((row[-1], spread + noise[-1]))
        for column, (value, error) in enumerate(candidates):
            error = np.where(np.isfinite(error), error, np.inf)
            merit = error * 0.5**column
            if best is None:
                best, least, rank = value, error, merit
            else:
                better = (merit < rank) | (np.isinf(rank) & np.isinf(merit))
                best, least = np.where(better, value, best), np.where(better, error, least)
                rank = np.where(better, merit, rank)
        entries, noises = row, noise
    return best, least


def halved(quotients: Sequence[Any], floors: Sequence[Any], order: int) -> tuple[Any, Any]:
    """A quotient and its estimated error, from the quotient at half the step.

    Args:
        quotients: at a step and at half of it.
        floors: for each the error that noise of the function's values makes in it.
        order: of accuracy.

    Returns:
        The first quotient, and its error: truncation that falls as h**p, and noise.

    Example:
        >>> halved([1.25, 1.0625], [0.0, 0.0], 2)
        (1.25, 0.25)
    """
    error = _distance(quotients[0], quotients[1]) / (1.0 - 0.5**order) + floors[0]
    return quotients[0], error if isinstance(error, float) else np.where(np.isfinite(error), error, np.inf)


def _distance(first: Any, second: Any) -> Any:
    return abs(stop_gradient(first) - stop_gradient(second))
