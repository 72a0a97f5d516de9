"""Two calls that take turns in one process, so that what slows the machine down slows both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import statistics, timing

FEWEST_PAIRS = 7  # from six on there is an interval
MOST_PAIRS = 101
LEAST_SAMPLE = 1e-3


class Turns(NamedTuple):
    """Medians of a call's ``seconds`` and the ``other_seconds``; their ``ratio`` with its interval, of ``pairs``."""

    seconds: float
    other_seconds: float
    ratio: float
    ratio_low: float | None
    ratio_high: float | None
    pairs: int


def take_turns(call: Callable[[], Any], other: Callable[[], Any], seconds: float) -> Turns:
    """Time two calls by turns for about so many seconds.

    Args:
        call: takes nothing.
        other: likewise.
        seconds: for both together; there are at least ``FEWEST_PAIRS`` pairs, however long they take.

    Returns:
        What was found.

    Example:
        >>> take_turns(lambda: sum(range(2000)), lambda: sum(range(2000)), 0.05).pairs >= FEWEST_PAIRS
        True
    """
    step = timing.clock_step()
    loops, call_s = timing.calibrate(call, LEAST_SAMPLE, step)
    other_loops, other_s = timing.calibrate(other, LEAST_SAMPLE, step)
    turn = 2 * (loops * call_s + other_loops * other_s)
    pairs = int(min(max(seconds / max(turn, 1e-9), FEWEST_PAIRS), MOST_PAIRS))
    calls, others = [], []
    for _ in range(pairs):
        timing.warm_up(call, 1, 0.0)  # each finds the caches as it would leave them itself
        calls.append(timing.sample(call, loops))
        timing.warm_up(other, 1, 0.0)
        others.append(timing.sample(other, other_loops))
    ratios = [one / two for one, two in zip(calls, others, strict=True)]
    bounds = statistics.interval(ratios)
    low, high = (None, None) if bounds is None else bounds
    return Turns(statistics.median(calls), statistics.median(others), statistics.median(ratios), low, high, pairs)
