"""By what factor one sample of times differs from another that was not measured beside it: an exact interval.

The times of a run are compared as one median per process.  Two runs share no blocks, so there are no pairs; what is
left is two independent samples.  If the second is the first times an unknown factor, the interval of the factor comes
from the distribution of the Mann-Whitney statistic, which is the same whatever the distribution of the times is: the
estimate and the interval of Hodges and Lehmann (Annals of Mathematical Statistics 34, 1963), with the interval's ranks
as Bauer gives them (Journal of the American Statistical Association 67, 1972).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from .statistics import CONFIDENCE, Interval, median


@lru_cache(maxsize=64)
def counts(first: int, second: int) -> tuple[int, ...]:
    """In how many orders of two samples the Mann-Whitney statistic has each of its values.

    Args:
        first: the size of one sample.
        second: the size of the other.

    Returns:
        A count for each value from 0 to ``first * second``; together ``comb(first + second, first)``.

    They are the coefficients of the Gaussian binomial (Mann and Whitney, Annals of Mathematical Statistics 18, 1947).

    >>> counts(2, 2)
    (1, 1, 2, 1, 1)
    """
    found = [1] + [0] * (first * second)
    for step in range(1, first + 1):
        for value in range(len(found) - 1, second + step - 1, -1):  # times 1 - q ** (second + step)
            found[value] -= found[value - second - step]
        for value in range(step, len(found)):  # divided by 1 - q ** step
            found[value] += found[value - step]
    return tuple(found)


def rank(first: int, second: int, confidence: float = CONFIDENCE) -> int | None:
    """Which of the ordered differences of two samples, from either end, bound the shift between them.

    Args:
        first: the size of one sample.
        second: the size of the other.
        confidence: the least probability of enclosing the true shift.

    Returns:
        The rank from 1, or ``None`` where not even the extremes enclose it with that confidence.

    >>> rank(6, 6), rank(4, 4), rank(3, 3)
    (6, 1, None)
    """
    total, below, best = math.comb(first + second, first), 0, None
    for position, count in enumerate(counts(first, second), start=1):
        below += count
        if 2 * below > (1 - confidence) * total or 2 * position > first * second + 1:
            break
        best = position
    return best


def factor(
    before: Sequence[float], after: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, Interval | None]:
    """By what factor the times grew, with its interval.

    Args:
        before: one positive number per process.
        after: the same of the other run.
        confidence: the least probability of enclosing the true factor, for samples whose sizes were settled before.

    Returns:
        The median of all quotients ``after / before``, and the interval that covers the factor with at least that
        probability; ``None`` where there are too few processes (four of each suffice).

    >>> round(factor([1.0, 1.1, 1.2, 1.3], [2.0, 2.2, 2.4, 2.6])[0], 6)
    2.0
    """
    logs = sorted(math.log(late) - math.log(early) for late in after for early in before)
    place = rank(len(before), len(after), confidence)
    estimate = math.exp(median(logs))
    if place is None:
        return estimate, None
    return estimate, Interval(math.exp(logs[place - 1]), math.exp(logs[-place]))
