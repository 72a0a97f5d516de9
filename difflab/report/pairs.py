"""The ratio of two cases' times, from the epochs in which both took turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..harness import statistics
from . import numbers
from .cases import Case


def paired(case: Case, other: Case) -> statistics.Ratio:
    """The times of a case over those of another, in the epochs in which both took turns; NaN where there are none.

    Args:
        case: on top of the ratio.
        other: below it.

    Returns:
        The median of the paired ratios, from six epochs on with its interval and verdict.
    """
    there = {epoch: seconds for epoch, (seconds, _) in zip(other.epochs, other.medians, strict=False)}
    here = {epoch: seconds for epoch, (seconds, _) in zip(case.epochs, case.medians, strict=False)}
    shared = [epoch for epoch in here if epoch in there]
    return statistics.compare([here[epoch] for epoch in shared], [there[epoch] for epoch in shared])


def ratio(case: Case, other: Case) -> statistics.Ratio:
    """``paired``; else what the run stores if the other is its baseline, or the quotient of both times.

    Args:
        case: on top of the ratio; timed.
        other: below it; timed.
    """
    found = paired(case, other)
    if found.pairs:
        return found
    if case.ratio is not None and other.ratio is None:  # a baseline has no ratio to itself
        return statistics.Ratio(case.ratio, case.ratio_low, case.ratio_high, case.verdict or None, 0)
    return statistics.Ratio((case.call_s or 0.0) / (other.call_s or 1.0), None, None, None, 0)


def written(found: statistics.Ratio) -> str:
    """A ratio with its interval in running text: ``39.2 ± 2.1``."""
    return numbers.measured_factor(found.ratio, found.low, found.high, brackets=True)


def span(found: Sequence[statistics.Ratio], write: Callable[[statistics.Ratio], str] = written) -> str:
    """``2.29 ± 0.10 to 4 513 ± 92``: the least and the largest of some ratios, or one where both read the same.

    Args:
        found: one ratio at least.
        write: what writes one of them.
    """
    ends = write(min(found, key=lambda one: one.ratio)), write(max(found, key=lambda one: one.ratio))
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
