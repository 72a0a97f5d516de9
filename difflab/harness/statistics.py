"""Medians, exact intervals and verdicts: standard library only, so that the coordinator can use them.

The unit of replication is the *process*: calls in one process share its memory layout, its hash seeds and its mood, so
they say little about the next process.  An interval is built from one median per process, by order statistics; it
assumes nothing about the shape of the distribution and exists from six processes on (five would give 93.75 %).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

CONFIDENCE = 0.95
EQUIVALENT = 0.03
VERDICTS = ("faster", "slower", "equivalent", "ambiguous")


class Interval(NamedTuple):
    """An interval that covers the true median with at least ``CONFIDENCE`` probability."""

    low: float
    high: float


class Ratio(NamedTuple):
    """How a contestant's time compares with the baseline's: ``ratio`` < 1 is faster; ``verdict`` may be ``None``."""

    ratio: float
    low: float | None
    high: float | None
    verdict: str | None
    pairs: int


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones.

    Args:
        values: at least one number.

    Returns:
        The median; ``nan`` for an empty sequence.

    >>> median([3.0, 1.0, 2.0])
    2.0
    """
    ordered = sorted(values)
    if not ordered:
        return math.nan
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def rank(count: int, confidence: float = CONFIDENCE) -> int | None:
    """The largest ``k`` such that the k-th smallest and k-th largest of ``count`` values enclose the median.

    Args:
        count: how many independent values there are.
        confidence: the least probability of enclosing the true median.

    Returns:
        ``k`` (counted from 1), or ``None`` where not even the extremes enclose it with that confidence.

    >>> rank(5), rank(6), rank(9)
    (None, 1, 2)
    """
    best = None
    tail = 0.0
    for k in range(1, count // 2 + 1):
        tail += math.comb(count, k - 1) / 2.0**count
        if 1 - 2 * tail < confidence:
            break
        best = k
    return best


def interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The exact order-statistic interval for the median (binomial), or ``None`` with too few values.

    Args:
        values: one number per process.
        confidence: the least probability of covering the true median.

    Returns:
        The interval, or ``None``.

    >>> interval([5.0, 1.0, 4.0, 2.0, 6.0, 3.0])
    Interval(low=1.0, high=6.0)
    """
    k = rank(len(values), confidence)
    if k is None:
        return None
    ordered = sorted(values)
    return Interval(ordered[k - 1], ordered[-k])


def compare(times: Sequence[float], baselines: Sequence[float], margin: float = EQUIVALENT) -> Ratio:
    """The ratio of two contestants that were measured in the same blocks, and what may be said about it.

    Args:
        times: one per-process median per block, in seconds.
        baselines: the baseline's median of the same block, in the same order.
        margin: ratios within ``1 ± margin`` are no practical difference.

    Returns:
        The median of the paired ratios, its interval, and the verdict *faster*, *slower*, *equivalent* (the interval
        lies within the margin) or *ambiguous*; without an interval the verdict is ``None``.

    >>> compare([1.0] * 6, [2.0] * 6).verdict
    'faster'
    """
    logs = [math.log(a / b) for a, b in zip(times, baselines, strict=True)]
    if not logs:
        return Ratio(math.nan, None, None, None, 0)
    found = interval(logs)
    ratio = math.exp(median(logs))
    if found is None:
        return Ratio(ratio, None, None, None, len(logs))
    return Ratio(ratio, math.exp(found.low), math.exp(found.high), verdict(found, margin), len(logs))


def verdict(logs: Interval, margin: float = EQUIVALENT) -> str:
    """One of ``VERDICTS`` for the interval of a log-ratio.

    >>> verdict(Interval(-0.01, 0.02)), verdict(Interval(-0.01, 0.2))
    ('equivalent', 'ambiguous')
    """
    if math.log(1 - margin) <= logs.low and logs.high <= math.log(1 + margin):
        return "equivalent"
    if logs.high < 0:
        return "faster"
    if logs.low > 0:
        return "slower"
    return "ambiguous"


def outliers(values: Sequence[float]) -> tuple[int, int]:
    """How many values Tukey would call mild and severe outliers; they are counted and never dropped.

    >>> outliers([1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 9.0])
    (0, 1)
    """
    if len(values) < 4:
        return 0, 0
    ordered = sorted(values)
    half = len(ordered) // 2
    lower, upper = median(ordered[:half]), median(ordered[-half:])
    spread = upper - lower
    distance = [max(lower - v, v - upper) for v in ordered]
    severe = sum(d > 3 * spread for d in distance)
    return sum(d > 1.5 * spread for d in distance) - severe, severe
