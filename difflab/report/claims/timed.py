"""What the pages of timed studies with a claim share: what limits their answers, work ratios, intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...harness import statistics
from .. import numbers
from ..cases import Case, tally_words
from ..nouns import noun

MOST_NAMED = 4


def nothing(cases: Sequence[Case]) -> str:
    """Why there is no answer, where no case was timed.

    Args:
        cases: all rows of a run.
    """
    if not cases:
        return "This run holds no case, so there is no answer."
    return f"No {noun(cases)} was timed: of {numbers.counted(len(cases), 'case')}, {tally_words(list(cases))}."


def caveats(cases: Sequence[Case]) -> tuple[str, ...]:
    """What the answer does not rest on: cases without a result, by backend and outcome, and missing intervals.

    Args:
        cases: all rows of a run.
    """
    said = []
    if still := sum(case.outcome == "interrupted" for case in cases):
        done = f"{numbers.grouped(len(cases) - still)} of {numbers.counted(len(cases), 'case')}"
        said.append(f"Unfinished: {done} measured so far.")
    timed = [case for case in cases if case.timed]
    bare = sum(case.call_s_low is None for case in timed)
    if bare and bare == len(timed):
        said.append(
            "Each case was timed in fewer than six processes: there are no intervals, so differences of some ten per "
            "cent mean nothing."
        )
    elif bare:
        which = f"{numbers.grouped(bare)} of {numbers.counted(len(timed), 'case')}"
        said.append(f"Timed in fewer than six processes, so without an interval: {which}.")
    ended: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if not case.ok and case.outcome != "interrupted":
            ended.setdefault((case.backend, case.outcome_words), []).append(case)
    for (backend, outcome), own in list(ended.items())[:MOST_NAMED]:
        where = own[0].place
        where = where if len(own) == 1 else f"{numbers.grouped(len(own))} sizes, the first {where}"
        why = f" ({own[0].reason.rstrip('.')})" if own[0].reason else ""
        said.append(f"{backend}: {outcome} at {where}{why}.")
    if len(ended) > MOST_NAMED:
        rest = sum(len(own) for own in list(ended.values())[MOST_NAMED:])
        said.append(f"{numbers.counted(rest, 'further case')} ended without a result.")
    return tuple(said)


def works(case: Case) -> list[float]:
    """The work ratio of each process in turn; the one of the case where nothing is known of its processes."""
    found = [call / primal for call, primal in case.medians if call > 0 and primal > 0]
    return found or ([case.work_ratio] if case.work_ratio else [])


def bounds(case: Case) -> tuple[float, float] | tuple[None, None]:
    """The interval of the work ratio, from six processes on."""
    found = statistics.interval(works(case))
    return (None, None) if found is None else (found.low, found.high)


def between(low: float | None, high: float | None, write: Callable[[float], str] = numbers.factor) -> str:
    """``0.95 to 1.1``, or one number where both ends read the same; empty where there is no interval."""
    if low is None or high is None:
        return ""
    ends = write(low), write(high)
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
