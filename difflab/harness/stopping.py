"""When a case has been timed in enough processes: its interval is narrow, it no longer improves, or there are enough.

The rules look at how *wide* the interval is and never at where it lies, so looking again after every process does not
make a false "faster" more likely.  An order-statistic interval improves in steps (after the sixth process at the
ninth, the twelfth, ...), so "no longer improving" is judged over several of them (the idea of watching the noise and
not only the target is nvbench's, ``stdrel`` criterion).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import statistics

INTERVAL = "interval"
STEADY = "no longer improving"
MOST = "most processes"
BUDGET = "budget"
WORDS = {
    INTERVAL: "the interval is narrow enough",
    STEADY: "the interval no longer improves",
    MOST: "the study allows no more processes",
    BUDGET: "the study's time was over",
}
FEWEST = 6  # without six processes there is no interval, and so nothing to judge by
PATIENCE = 6  # processes over which the width must improve; at least one rank of the order statistics lies in them
IMPROVES = 0.95


def half_width(times: Sequence[float]) -> float:
    """Half the width of the interval of the median, relative to the median; infinite where there is none.

    >>> half_width([1.0, 1.0, 1.0, 1.0, 1.0, 1.02])
    0.01
    """
    found = statistics.interval(times)
    middle = statistics.median(times)
    if found is None or not middle > 0:
        return math.inf
    return round((found.high - found.low) / 2 / middle, 12)


def rule(times: Sequence[float], fewest: int, most: int, target: float) -> str | None:
    """The rule by which a case has enough processes, or ``None`` while it wants more.

    Args:
        times: the median of each process in seconds, in the order in which they ran.
        fewest: the number of processes that every case gets.
        most: the largest number of processes.
        target: the half width of the interval, relative to the median, that is narrow enough.

    >>> rule([1.0] * 5, 6, 15, 0.02), rule([1.0] * 6, 6, 15, 0.02), rule([1.0, 2.0] * 3, 6, 6, 0.02)
    (None, 'interval', 'most processes')
    """
    count = len(times)
    if count < fewest:
        return None
    if count >= FEWEST and half_width(times) <= target:
        return INTERVAL
    if count >= most or fewest < FEWEST:
        return MOST
    if count >= FEWEST + PATIENCE:
        before = min(half_width(times[:early]) for early in range(FEWEST, count - PATIENCE + 1))
        if half_width(times) > IMPROVES * before:
            return STEADY
    return None
