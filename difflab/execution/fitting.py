"""Reverse mode within so many bytes: the checkpoints whose program is forecast to stay below, with least recomputation.

Two things are chosen.  How many states are kept at a time: the more, the fewer steps run forward again, so the largest
number that fits is looked for.  And which values are kept besides in the room that is left, and in other plans with
fewer states and more room: those first whose recomputation saves most flops per byte, so that what is cheap to compute
and large goes first.  Of all plans tried that fit, the one with the fewest flops is taken.  Every plan is judged by the
bytes of its program, those of a forecast, and not by a model of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import ForecastError
from ..tape import Tape
from ..transforms.checkpoints import Recomputed, Recomputing
from ..transforms.schedules import fewest_advances
from .amounts import count, size
from .footprint import programs_bytes

MOST_AGAIN = 12
"""No plan computes the forward part more often again: its program would be long, and other ways would be quicker."""
GUESSES = 8
"""So many numbers of checkpoints are tried, each with a program that is planned but not compiled."""
FILLS = 5
"""So many sets of values to keep besides are tried for a number of checkpoints."""
BASES = 4
"""For so many numbers of checkpoints at most."""
NEAR = 0.98
"""A plan that takes this share of the memory is near enough."""
EFFORT = 30_000
"""So many equations of plans that may not be wanted are looked at: on long tapes fewer plans are tried."""

Finish = Callable[[Recomputed], tuple[Recomputed, ...]]


class Fitted(NamedTuple):
    """A plan, the programs' tapes made of it, and their bytes."""

    plan: Recomputed
    tapes: tuple[Recomputed, ...]
    nbytes: int


def fit(tape: Tape, values: int, limit: int, finish: Finish = lambda plan: (plan,)) -> tuple[Recomputed, ...]:
    """The tapes of the plan with the least recomputation whose programs take at most so many bytes.

    Args:
        tape: a simplified tape from ``gradient`` or ``vjp``.
        values: how many of the first outputs are those of the function itself.
        limit: bytes.
        finish: makes the tapes of the programs of a recomputing tape.

    Returns:
        What ``finish`` made of it.

    Raises:
        ForecastError: no plan stays below the limit.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.transforms import gradient, simplify
        >>> def loss(leaves):
        ...     x = leaves[0]
        ...     for _ in range(30):
        ...         x = np.sin(x)
        ...     return [np.sum(x)]
        >>> tape = simplify(gradient(trace_leaves(loss, [np.ones(1000)]), (0,)))
        >>> programs_bytes([tape])
        248008
        >>> (found,) = fit(tape, 1, 120_000)
        >>> programs_bytes([found.tape]) <= 120_000, found.levels
        (True, 1)
    """
    best: Fitted | None = None
    least = math.inf
    for every in (False, True):
        found = _Plans(Recomputing(tape, values, every=every), limit, finish)
        taken = found.fewest_flops()
        if taken is not None and (best is None or taken.plan.share < best.plan.share):
            best = taken
        least = min(least, *(one.nbytes for one in found.known.values()))
        if best is not None and (best.plan.share <= 1.0 or len(tape) > EFFORT // GUESSES):
            break  # single equations as steps would hardly do better
    if best is None:
        raise ForecastError(
            f"Reverse(memory={limit}): reverse mode is forecast to take at least {count(math.ceil(least))} bytes "
            f"({size(least)}) here, however much is computed again"
        )
    return best.tapes


@dataclass(frozen=True)
class _Kept:
    """What is kept: so many states at a time, and values besides."""

    checkpoints: int
    besides: frozenset[int] = frozenset()


class _Plans:
    """The plans of one tape with one choice of steps."""

    def __init__(self, tape: Recomputing, limit: int, finish: Finish):
        self.tape = tape
        self.limit = limit
        self.finish = finish
        self.known: dict[_Kept, Fitted] = {}

    def made(self, kept: _Kept) -> Fitted:
        """The plan that keeps this."""
        if kept not in self.known:
            plan = self.tape.keeping(kept.checkpoints, kept.besides)
            tapes = self.finish(plan)
            self.known[kept] = Fitted(plan, tapes, programs_bytes([one.tape for one in tapes]))
        return self.known[kept]

    def fits(self, kept: _Kept) -> bool:
        """Whether it stays below the limit."""
        return self.made(kept).nbytes <= self.limit

    def fewest_flops(self) -> Fitted | None:
        """The plan with the least recomputation of those that were tried and fit; ``None`` where none does."""
        for checkpoints in self._bases():
            self._fill(_Kept(checkpoints))
        fitting = [one for one in self.known.values() if one.nbytes <= self.limit]
        return min(fitting, key=lambda one: (one.plan.share, one.nbytes), default=None)

    def _most_checkpoints(self) -> int | None:
        """The largest number of checkpoints that was found to fit: by secants, between one that does and one not."""
        steps = self.tape.steps
        low, high = fewest_checkpoints(steps), steps - 1
        if self.fits(_Kept(high)):
            return high
        state = max(self.made(_Kept(high)).nbytes / max(steps, 1), 1.0)  # bytes, a first guess
        guess, fitting, above = high, None, high
        for _ in range(GUESSES):
            excess = self.made(_Kept(guess)).nbytes - NEAR * self.limit
            step = round(excess / state)
            guess = guess - (step if step else (1 if excess > 0 else -1))
            least = low if fitting is None else fitting + 1
            guess = min(max(guess, least), above - 1)
            if guess < least:
                break
            if self.fits(_Kept(guess)):
                fitting = guess
                if self.made(_Kept(guess)).nbytes >= (2 * NEAR - 1) * self.limit:
                    break
            else:
                above = guess
                if guess == low:
                    break
            ends = self.made(_Kept(above)).nbytes, self.made(_Kept(guess if fitting is None else fitting)).nbytes
            if fitting is not None:
                state = max((ends[0] - ends[1]) / (above - fitting), 1.0)
        return fitting

    def _bases(self) -> list[int]:
        """Numbers of checkpoints in whose plans values are kept besides; the fewer of them, the more room there is."""
        steps, length = self.tape.steps, len(self.tape.tape)
        fewest = fewest_checkpoints(steps)
        if (steps - fewest) * length <= EFFORT:  # all of them, in case fewer should need more bytes
            found = [one for one in range(steps - 1, fewest - 1, -1) if self.fits(_Kept(one))]
            found = found[:: max(1, -(-len(found) // BASES))]
        else:
            most = self._most_checkpoints()
            found = [] if most is None else [most >> k for k in range(BASES) if most >> k >= fewest]
        return found[: max(1, EFFORT // (FILLS * length))]

    def _fill(self, kept: _Kept) -> None:
        """Keep values besides, as many as fit, those first that save most flops per byte."""
        base = self.made(kept)
        if not base.plan.share or base.nbytes > self.limit:
            return
        worth = self._worth(base.plan)
        low, high = 0.0, float(sum(nbytes for _, nbytes in worth))
        room = float(self.limit - base.nbytes)
        for _ in range(FILLS):
            chosen = frozenset(_packed(worth, min(room, high)))
            if not chosen:
                return
            filled = self.made(_Kept(kept.checkpoints, chosen))
            if filled.nbytes <= self.limit:
                low = room
                if room >= high or filled.nbytes >= NEAR * self.limit:
                    return
                room = min(max(room + self.limit - filled.nbytes, 1.1 * room), (room + high) / 2)
            else:
                high = room
                room = (low + room) / 2

    def _worth(self, plan: Recomputed) -> list[tuple[int, int]]:
        """Values that are computed again, with their bytes, those first whose keeping saves most flops per byte."""
        forward, flops = self.tape.forward, self.tape.flops
        costs: dict[int, float] = {}
        ranked = []
        for equation in self.tape.tape.equations[: forward.length]:
            number = equation.output
            if not plan.again[number]:
                continue
            # What only this value needs is saved with it.
            below = sum(costs.get(operand, 0.0) for operand in set(equation.inputs) - forward.read_back)
            costs[number] = flops[number] + below
            nbytes = self.tape.tape.avals[forward.root(number)].nbytes
            if number in forward.read_back and nbytes:
                ranked.append((plan.again[number] * costs[number] / nbytes, number, nbytes))
        ranked.sort(key=lambda one: (-one[0], one[1]))
        return [(number, nbytes) for _, number, nbytes in ranked]


def _packed(worth: list[tuple[int, int]], room: float) -> Iterator[int]:
    """The values that find room, one after the other."""
    for number, nbytes in worth:
        if nbytes <= room:
            room -= nbytes
            yield number


def fewest_checkpoints(steps: int) -> int:
    """The fewest checkpoints with which no more of a chain is computed again than ``MOST_AGAIN`` allows.

    Args:
        steps: of the chain.

    Example:
        >>> fewest_checkpoints(1000), fewest_checkpoints(10)
        (2, 0)
    """
    low, high = 0, max(steps - 1, 0)
    while low < high:
        middle = (low + high) // 2
        if fewest_advances(steps, middle) <= (MOST_AGAIN + 1) * steps:
            high = middle
        else:
            low = middle + 1
    return low
