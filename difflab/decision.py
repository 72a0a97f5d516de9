"""Which of several measured ways to take under limits: a pure function of their numbers.

Nothing here measures.  An unknown error or size of memory counts as the worst, and never meets a limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

TIED = 1.10
"""Times of one process whose ratio is below are not told apart, as on the page of a quick run."""
ALIKE_DIGITS = 0.5
"""Digits that make no practical difference."""
ALIKE_MEMORY = 1.10
"""A ratio of sizes that makes no practical difference."""
RULE = "of backends that cannot be told apart in time the most accurate, then the one with the least memory"


@dataclass(frozen=True)
class Wanted:
    """Limits: at least ``digits`` certified, at most ``memory`` bytes and ``seconds`` a call; ``calls`` in all."""

    digits: float | None = None
    memory: float | None = None
    seconds: float | None = None
    calls: int = 1

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return (self.digits, self.memory, self.seconds) != (None, None, None)


@dataclass(frozen=True)
class Candidate:
    """What was measured of one backend.

    ``error`` bounds the norm-wise relative error from above and is ``None`` where nothing is certified; ``digits`` is
    the same in decimal digits.  ``call_s`` is a steady call, ``least_s`` and ``most_s`` those of the quickest and
    slowest round.  ``once_s`` is preparing and the first call, between ``once_least_s`` and ``once_most_s``.
    ``memory`` are bytes of the arrays of a call, ``known_by`` says whence: "measured" or "forecast".
    """

    label: str
    outcome: str = "ok"
    reason: str = ""
    error: float | None = None
    digits: float | None = None
    call_s: float | None = None
    least_s: float | None = None
    most_s: float | None = None
    once_s: float = 0.0
    once_least_s: float | None = None
    once_most_s: float | None = None
    memory: float | None = None
    known_by: str = "measured"

    @property
    def measured(self) -> bool:
        """Whether it gave a right derivative, or one that nothing speaks against, and was timed."""
        return self.outcome == "ok" and self.call_s is not None

    def total_s(self, calls: int) -> float:
        """Seconds of so many calls with preparing; infinite where it was not timed."""
        return math.inf if self.call_s is None else self.once_s + (calls - 1) * self.call_s

    def range_s(self, calls: int) -> tuple[float, float]:
        """The least and the most that these calls may take, as far as the rounds differed."""
        if self.call_s is None:
            return math.inf, math.inf
        first = [self.once_s if one is None else one for one in (self.once_least_s, self.once_most_s)]
        each = [self.call_s if one is None else one for one in (self.least_s, self.most_s)]
        return first[0] + (calls - 1) * each[0], first[1] + (calls - 1) * each[1]


@dataclass(frozen=True)
class Decision:
    """``best`` and those that ``tied`` with it in time, all that ``meet`` the limits, and the Pareto ``front``."""

    best: Candidate | None
    tied: tuple[Candidate, ...]
    meet: tuple[Candidate, ...]
    front: tuple[Candidate, ...]


def decide(candidates: Sequence[Candidate], wanted: Wanted) -> Decision:
    """The quickest over all calls that meets every limit; where several are not told apart, see ``RULE``.

    Args:
        candidates: what was measured.
        wanted: the limits.

    Returns:
        The decision; ``best`` is ``None`` where nothing meets the limits.

    >>> known = [Candidate("quick", digits=6, call_s=1.0), Candidate("exact", digits=15, call_s=2.0)]
    >>> [decide(known, wanted).best.label for wanted in (Wanted(digits=4, calls=3), Wanted(digits=9, calls=3))]
    ['quick', 'exact']
    """
    meet = tuple(one for one in candidates if one.measured and not broken(one, wanted))
    ahead = front([one for one in candidates if one.measured], wanted.calls)
    if not meet:
        return Decision(None, (), (), ahead)
    tied = ties(meet, wanted.calls)
    return Decision(_preferred(tied, wanted.calls), tied, meet, ahead)


def broken(one: Candidate, wanted: Wanted) -> tuple[str, ...]:
    """The limits that a candidate does not meet: of "digits", "memory" and "seconds".

    Args:
        one: a candidate that was measured.
        wanted: the limits.
    """
    found = []
    if wanted.digits is not None and not (one.digits is not None and one.digits >= wanted.digits):
        found.append("digits")
    if wanted.memory is not None and not (one.memory is not None and one.memory <= wanted.memory):
        found.append("memory")
    if wanted.seconds is not None and not (one.call_s is not None and one.call_s <= wanted.seconds):
        found.append("seconds")
    return tuple(found)


def front(candidates: Sequence[Candidate], calls: int) -> tuple[Candidate, ...]:
    """Those than which no other is at least as good in error, time of all calls and memory, and better in one.

    Args:
        candidates: any.
        calls: over which the time is counted.

    Returns:
        The Pareto front, the quickest first.

    >>> a, b = Candidate("a", error=1e-9, call_s=1.0, memory=8), Candidate("b", error=1e-9, call_s=1.0, memory=9)
    >>> [one.label for one in front([a, b], 2)]
    ['a']
    """
    ordered = sorted(candidates, key=lambda one: _point(one, calls))
    kept: list[Candidate] = []
    for one in ordered:  # whatever dominates it comes before it in this order, and something on the front does too
        point = _point(one, calls)
        if not any(_dominates(_point(other, calls), point) for other in kept):
            kept.append(one)
    return tuple(kept)


def _point(one: Candidate, calls: int) -> tuple[float, float, float]:
    """Time, error, memory; infinite where unknown."""
    worst = [math.inf if value is None else value for value in (one.error, one.memory)]
    return (one.total_s(calls), worst[0], worst[1])


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def ties(candidates: Sequence[Candidate], calls: int) -> tuple[Candidate, ...]:
    """The quickest, and all whose time cannot be told from its.

    Args:
        candidates: at least one, all timed.
        calls: over which the time is counted.

    Returns:
        The quickest first.
    """
    ordered = sorted(candidates, key=lambda one: one.total_s(calls))
    best = ordered[0]
    most = max(best.range_s(calls)[1], TIED * best.total_s(calls))
    return tuple(one for one in ordered if one is best or min(one.range_s(calls)[0], one.total_s(calls)) <= most)


def _preferred(tied: Sequence[Candidate], calls: int) -> Candidate:
    """By ``RULE``; of those that are alike in everything, the quickest."""
    digits = max(-1.0 if one.digits is None else one.digits for one in tied)
    exact = [one for one in tied if (-1.0 if one.digits is None else one.digits) >= digits - ALIKE_DIGITS]
    least = min(math.inf if one.memory is None else one.memory for one in exact)
    small = [one for one in exact if (math.inf if one.memory is None else one.memory) <= ALIKE_MEMORY * least]
    return min(small, key=lambda one: one.total_s(calls))


def relaxed(candidates: Sequence[Candidate], wanted: Wanted) -> dict[str, Candidate]:
    """For each limit, what would do if that one alone were relaxed as little as possible.

    Args:
        candidates: what was measured, none of which meets all limits.
        wanted: the limits.

    Returns:
        By the name of the limit the candidate that comes nearest to it among those that break no other.
    """
    found: dict[str, Candidate] = {}
    alone = [(one, broken(one, wanted)[0]) for one in candidates if one.measured and len(broken(one, wanted)) == 1]
    for limit, distance in DISTANCES.items():
        near = [one for one, which in alone if which == limit]
        if near:
            found[limit] = min(near, key=distance)
    return found


DISTANCES = {
    "digits": lambda one: math.inf if one.digits is None else -one.digits,
    "memory": lambda one: math.inf if one.memory is None else one.memory,
    "seconds": lambda one: one.call_s,
}
