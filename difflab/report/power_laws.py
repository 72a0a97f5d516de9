"""Power laws through measured points: straight lines of least squares on logarithmic axes, with their uncertainty."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..harness import statistics

LEAST = 3  # sizes through which a line is put
SHARE = 2.0
"""What takes this many times as much as at the smallest size of its problem spends half of it on what grows."""


@dataclass(frozen=True)
class Fit:
    """A power law through some sizes: what was measured is ``factor`` times n to the power of ``exponent``.

    ``low`` and ``high`` bound the exponent where every size was timed in six processes; ``sizes`` are the numbers of
    parameters that took part.
    """

    exponent: float
    low: float | None
    high: float | None
    factor: float
    sizes: tuple[int, ...]


def fit(points: Sequence[tuple[int, Sequence[float]]]) -> Fit | None:
    """The power law of least squares through the logarithms, one for each process in turn.

    Processes are independent, and one exponent from each size's k-th process is one independent exponent; the fit is
    their median, with the exact interval of order statistics.  Sizes of fewer than six processes are left out where
    three others remain; otherwise the fit is the exponent of the medians, and has no interval.

    Args:
        points: for each size n and the positive value of each process.

    Returns:
        The fit, or ``None`` with fewer than three different n.

    >>> found = fit([(n, [2.0 * n**1.5] * 6) for n in (10, 100, 1000)])
    >>> round(found.exponent, 6), round(found.low, 6), round(found.factor, 6)
    (1.5, 1.5, 2.0)
    """
    full = [(n, values) for n, values in points if statistics.rank(len(values)) is not None]
    if len({n for n, _ in full}) >= LEAST:
        points = full
    sizes = sorted({n for n, _ in points})
    if len(sizes) < LEAST:
        return None
    xs = [math.log(n) for n, _ in points]
    processes = min(len(values) for _, values in points)
    lines = [least_squares(xs, [math.log(values[k]) for _, values in points]) for k in range(processes)]
    bounds = statistics.interval([slope for slope, _ in lines])
    middles = [math.log(statistics.median(values)) for _, values in points]
    slope, start = least_squares(xs, middles)
    if bounds is None:
        return Fit(slope, None, None, math.exp(start), tuple(sizes))
    slope = statistics.median([one for one, _ in lines])
    middle, height = sum(xs) / len(xs), sum(middles) / len(points)
    return Fit(slope, bounds.low, bounds.high, math.exp(height - slope * middle), tuple(sizes))


def least_squares(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Slope and height at 0 of the straight line of least squares.

    Args:
        xs: at least two different numbers.
        ys: one for each.

    >>> least_squares([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    (2.0, 1.0)
    """
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
    return slope, y - slope * x


def onset(points: Sequence[tuple[int, float]]) -> int | None:
    """The n from which on a value is twice that of the smallest n, or more: where growth has set in.

    Args:
        points: pairs of n and a value.

    >>> onset([(10, 1.0), (100, 1.1), (1000, 3.0), (10000, 30.0)]), onset([(10, 1.0), (100, 1.5)])
    (1000, None)
    """
    found = sorted(points)
    if not found:
        return None
    large = [value >= SHARE * found[0][1] for _, value in found]
    return next((n for k, (n, _) in enumerate(found) if all(large[k:])), None)


def steps(points: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """The least and the largest exponent from one size to the next.

    Args:
        points: pairs of n and a positive value, of two different n at least.

    >>> least, most = steps([(10, 1.0), (100, 10.0), (1000, 1000.0)])
    >>> round(least, 6), round(most, 6)
    (1.0, 2.0)
    """
    pairs = [(a, b) for a, b in itertools.pairwise(sorted(points)) if b[0] > a[0]]
    slopes = [math.log(b[1] / a[1]) / math.log(b[0] / a[0]) for a, b in pairs]
    return min(slopes), max(slopes)
