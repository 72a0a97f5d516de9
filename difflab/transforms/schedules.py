"""Schedules of checkpoints: how a chain is gone through backwards when only so many of its states may be kept.

A chain of l steps goes from state to state, and its steps are reversed from the last to the first; to reverse a step
one needs the state before it.  The first state is there at any time, s more may be kept at once, and a state that is
not there is computed again from the nearest one before it.  With c = s + 1 and binomial coefficients
b(c, r) = (c + r)! / (c! r!), a chain of b(c, r - 1) < l <= b(c, r) steps takes r l - b(c + 1, r - 1) steps forward
at least, none of its steps more than r times (Griewank & Walther, 2000, Algorithm 799 "revolve"; 2008, chapter 12).
A cut that keeps to this least divides the chain into two that are as many steps long as their own states allow.
"""

from __future__ import annotations

from collections.abc import Callable
from math import comb


def most_steps(states: int, times: int) -> int:
    """The longest chain that is reversed with so many kept states when no step runs forward more often than this.

    Args:
        states: how many may be kept besides the first one, at least 0.
        times: how often a step may run forward, at least -1.

    Example:
        >>> most_steps(3, 2), most_steps(0, 5)
        (15, 6)
    """
    return comb(states + 1 + times, times) if times >= 0 else 0


def most_times(steps: int, states: int) -> int:
    """How often the step that runs most often runs forward in the best schedule.

    Args:
        steps: of the chain.
        states: how many may be kept besides the first one.

    Example:
        >>> most_times(15, 3), most_times(16, 3)
        (2, 3)
    """
    if steps <= 1:
        return 0
    if states <= 0:
        return steps - 1
    times = 1
    while most_steps(states, times) < steps:
        times += 1
    return times


def fewest_advances(steps: int, states: int) -> int:
    """How many steps are run forward at least, the first way through included, to reverse a chain.

    Args:
        steps: of the chain.
        states: how many may be kept besides the first one.

    Example:
        >>> fewest_advances(10, 9), fewest_advances(10, 3), fewest_advances(10, 0)
        (9, 14, 45)
    """
    states = min(states, max(steps - 1, 0))
    times = most_times(steps, states)
    return times * steps - comb(states + 1 + times, times - 1) if times else 0


def first_cuts(steps: int, states: int) -> range:
    """The steps before which the first state may be kept without more steps forward than there have to be.

    Args:
        steps: of the chain, at least 2.
        states: how many may be kept besides the first one, at least 1.

    Example:
        >>> first_cuts(9, 2), first_cuts(10, 1)
        (range(3, 5), range(6, 7))
    """
    states = min(states, steps - 1)
    times = most_times(steps, states)
    low = max(most_steps(states, times - 2), steps - most_steps(states - 1, times), 1)
    high = min(most_steps(states, times - 1), steps - most_steps(states - 1, times - 1), steps - 1)
    return range(low, max(low, high) + 1)


class Reversal:
    """The best schedule as it goes: which states are kept while the steps are reversed from the last to the first.

    Args:
        steps: of the chain, at least 1.
        states: how many may be kept besides the first one.
        price: of keeping the state before a step; among equally good cuts the cheapest is taken.

    Attributes:
        kept: the steps whose states are kept, in order; the first is 0.
        most: so many were kept at once until now, besides the first one.

    Example:
        >>> chain = Reversal(6, 2)
        >>> chain.kept
        [0, 3, 4]
        >>> for step in (4, 3, 2):
        ...     print(chain.go_back_to(step), chain.kept)
        4 [0, 3, 4]
        3 [0, 3]
        0 [0, 1, 2]
    """

    def __init__(self, steps: int, states: int, price: Callable[[int], float] = lambda step: 0.0):
        self.kept = [0]
        self.most = 0
        self._states = states
        self._price = price
        self._cut(steps)

    def go_back_to(self, step: int) -> int:
        """All steps behind this one are reversed; returns the step from which states may have changed."""
        while self.kept[-1] > step:
            self.kept.pop()
        start = self.kept[-1]
        self._cut(step + 1)
        return start

    def _cut(self, end: int) -> None:
        """Keep states on the way from the last that is kept to the last step that is not reversed."""
        while (free := self._states + 1 - len(self.kept)) > 0 and end - self.kept[-1] > 1:
            start = self.kept[-1]
            places = first_cuts(end - start, free)
            # The later of two equals: fewer states are kept at a time.
            self.kept.append(start + min(places, key=lambda place: (self._price(start + place), -place)))
        self.most = max(self.most, len(self.kept) - 1)
