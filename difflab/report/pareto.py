"""The Pareto front of error and time: what no other case of the same size beats, beyond what measuring can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .cases import YARDSTICKS, Case, Group, family_of
from .matches import FEWER_DIGITS, LEVEL_QUICK


@dataclass(frozen=True)
class Point:
    """One case: the seconds of a call, the ends of their interval where there is one, and correct digits."""

    seconds: float
    low: float | None
    high: float | None
    digits: float


def beats(one: Point, other: Point) -> bool:
    """Whether one point is better than another in one thing and no worse in the other.

    It is, where it is quicker beyond doubt and as accurate to half a digit, or more accurate by half a digit or more
    and not slower.  Beyond doubt means that the intervals do not touch; without intervals, that one takes less than
    1 / 1.1 of the time.  Whoever beats another has no larger median, so nobody is beaten in a circle.

    Args:
        one: that may beat.
        other: that may be beaten.

    >>> beats(Point(1.0, 0.9, 1.1, 15.6), Point(2.0, 1.9, 2.1, 15.9)), beats(Point(1, 0.9, 2, 12), Point(2, 1.9, 3, 12))
    (True, False)
    """
    if _quicker(one, other):
        return one.digits > other.digits - FEWER_DIGITS
    return one.seconds <= other.seconds and one.digits >= other.digits + FEWER_DIGITS


def _quicker(one: Point, other: Point) -> bool:
    if one.high is None or other.low is None:
        return one.seconds * LEVEL_QUICK < other.seconds
    return one.high < other.low and one.seconds < other.seconds


def front(points: Sequence[Point]) -> list[bool]:
    """Which points no other beats; of any points, at least one.

    Args:
        points: of one problem and size.

    Source: V. Pareto, Cours d'economie politique (1896), for dominance; the intervals are ours.

    >>> front([Point(1.0, None, None, 8.0), Point(2.0, None, None, 15.0), Point(3.0, None, None, 12.0)])
    [True, True, False]
    """
    return [not any(beats(other, one) for other in points if other is not one) for one in points]


def competes(case: Case) -> bool:
    """Whether a case can be on the front: it is right, has a time and an error, and is a general way."""
    return case.timed and case.digits is not None and family_of(case) not in YARDSTICKS


def efficient(group: Group) -> dict[str, list[Case]]:
    """The cases on the front of each size, quickest first.

    Args:
        group: cases that may be compared.

    Returns:
        By size, small to large; only sizes at which some case competes.
    """
    found = {}
    for size, _ in group.sizes:
        own = sorted((c for c in group.cases if c.size == size and competes(c)), key=lambda c: c.call_s or 0.0)
        if own:
            points = [Point(c.call_s or 0.0, c.call_s_low, c.call_s_high, c.digits or 0.0) for c in own]
            found[size] = [case for case, kept in zip(own, front(points), strict=True) if kept]
    return found
