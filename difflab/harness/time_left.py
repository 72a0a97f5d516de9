"""The time that a run will take yet: from forecasts of its cases, what its rounds took so far, and its budget.

What is told counts down.  It follows a better estimate downwards by halves and upwards only where the difference is
large, so that it does not jump about; near the end it is as good as the last rounds were like those before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import budget, stopping
from .books import Books, like
from .checks import SLOTS
from .forecasts import CERTIFYING, JUDGED_S, sampling_s
from .grid import Block, Case

START_S = 0.5  # to start a worker that imports what a case needs, before any was seen
OPENING = 1.5  # times the start of a bare worker
CHECK_S = 1.5  # the check of a small case, in a process of its own
JUDGING_S = 0.2  # memory, accuracy and arrays of a case in a quick run, side by side with those of others
GROWTH = 1.3  # how much longer a case takes than the one before it, at the size before, that is known of it
BESIDE = 1.3  # times the forecast of its processes that the first epoch takes
FURTHER = 3  # processes that a case wants after the first ones, before its interval is known: the next step of its rank
NOTICED, SMALL = 1.2, 2.0  # upwards only beyond this factor and these seconds
NEAR_END = 0.1  # of its estimate is left to a round that takes longer
LATE, LATE_S = 3.0, 5.0  # a round that takes this many times its estimate and so much more: nothing is known of its end


class Left(NamedTuple):
    """Seconds that a run will take yet; ``bound`` if that is all it may take and not what is expected."""

    seconds: float
    bound: bool


class TimeLeft:
    """The outlook of a run.

    Args:
        books: of the run.
        end: the time after which no further samples are begun, on the same clock.
        clock: seconds.
    """

    def __init__(self, books: Books, end: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.books, self.end, self.clock = books, end, clock
        self._round: tuple[float, float] | None = None  # when the epoch under way began, and its estimate
        self._told: tuple[float, float] | None = None  # when something was told, and what

    # ------------------------------------------------------------------------- rounds

    def epoch_began(self, cases: Sequence[Case]) -> None:
        """An epoch begins."""
        self._round = self.clock(), self.epoch_s(cases)

    def epoch_ended(self, cases: Sequence[Case]) -> None:
        """It is over: what it took beside the work of its processes tells of the next."""
        pace, work = self.books.pace, 0.0
        for case in cases:
            if earlier := self.books.ledger.epochs.get(case.id):
                cost = budget.cost(self.books, case)
                pace.took("open", like(case), earlier[max(earlier)]["open_s"] / SLOTS)
                pace.took("process", like(case), cost)
                work += cost
        if self._round is not None and work > 0:
            pace.took("factor", [""], (self.clock() - self._round[0]) / work)
        self._round = None

    def round_s(self) -> float | None:
        """Seconds that the epoch under way will take yet, ``None`` without one."""
        if self._round is None:
            return None
        began, expected = self._round
        return max(NEAR_END * expected, expected - (self.clock() - began))

    def jobs_s(self) -> float | None:
        """Seconds that the jobs under way may take yet, ``None`` where none has come to its end."""
        return self.books.pace.longest("check", "examine")

    def epoch_s(self, cases: Sequence[Case]) -> float:
        """Wall seconds of one epoch of some cases."""
        return self._factor * sum(self._process_s(case) for case in cases)

    @property
    def _factor(self) -> float:
        """What an epoch takes for each second of work of its processes."""
        return self.books.pace.expected("factor", [""], 1.0 if self.books.quick else BESIDE)

    # ------------------------------------------------------------------------- cases

    def _process_s(self, case: Case) -> float:
        """One more process of a case: as its last one, as its forecast, or as the like of it."""
        books, pace = self.books, self.books.pace
        if books.ledger.epochs.get(case.id):
            return budget.cost(books, case)
        opening = pace.expected("open", like(case), OPENING * pace.expected("start", [""], START_S) / SLOTS)
        found = books.ledger.checks.get(case.id, {})
        call, once = found.get("predicted_call_s"), found.get("predicted_s")
        if call is not None and once is not None:
            return opening + once + sampling_s(books.study.timing, call, found.get("primal_s") or 0.0)
        least = opening + JUDGED_S + sampling_s(books.study.timing, 1e-4, 1e-5) + JUDGING_S * books.quick
        return GROWTH * pace.expected("process", like(case), least / GROWTH)

    def _references_s(self) -> float:
        """All references that are not certified yet, side by side."""
        ledger, limit = self.books.ledger, 1.5 * self.books.study.limits.reference_seconds
        total, last = 0.0, {}
        for block in self.books.blocks:
            data = ledger.truths.get(block.truth)
            if data is not None:
                last[block.problem] = data.get("seconds") or 0.0
        for truth, block in self.books.truths.items():
            if truth not in ledger.truths:
                total += START_S + min(limit, CERTIFYING * last.get(block.problem, START_S))
        return total / SLOTS

    def _jobs_s(self, kind: str, cases: Sequence[Case]) -> float | None:
        """Checks or examinations of cases, as many at once as the study allows; ``None`` where nothing is known."""
        slots = 1 if self.books.study.kind.alone else SLOTS
        known = [self.books.pace.expected(kind, like(case), None) for case in cases]
        return sum(one for one in known if one is not None) / slots if None not in known else None

    # ------------------------------------------------------------------------- the whole

    def estimate(self) -> Left | None:
        """What is expected now; ``None`` where there is nothing to go by."""
        books = self.books
        live = [case for block in books.blocks for case in books.live(block)]
        begun = self._references_s()
        if not books.study.timed:
            seconds = self._jobs_s("examine", live)
            return None if seconds is None else Left(begun + seconds, False)
        spent = 0.0
        if self._round is not None:
            began, expected = self._round
            spent = min(self.clock() - began, (1 - NEAR_END) * expected)
        if books.quick:
            return Left(max(0.0, begun + self.epoch_s(live) - spent), False)
        unchecked = [case for case in live if case.id not in books.ledger.checks]
        begun += self._jobs_s("check", unchecked) or CHECK_S * len(unchecked) / SLOTS
        factor = self._factor
        first = sum(self._process_s(case) for case in live if not books.ledger.epochs.get(case.id))
        every = sum(self._process_s(case) * self._wanted(case) for block in books.blocks for case in self._due(block))
        allowed = max(0.0, self.end - self.clock() - begun)
        expected = max(0.0, factor * every - spent)
        seconds = max(factor * first - spent, min(expected, allowed))
        return Left(max(0.0, begun + seconds), seconds < expected)

    def _due(self, block: Block) -> Sequence[Case]:
        """The cases of a block that get more processes: with one that wants them go those that keep it company."""
        live = self.books.live(block)
        return live if any(self._own(case) > 0 for case in live) else []

    def _own(self, case: Case) -> float:
        """How many more processes a case will want for itself: an interval narrows with the root of their number."""
        books = self.books
        known, timing = len(books.ledger.epochs.get(case.id, {})), books.study.timing
        lacking = max(0, timing.processes - known)
        if lacking and timing.processes >= stopping.FEWEST:
            return lacking + min(FURTHER, timing.most_processes - timing.processes)
        if lacking or timing.processes < stopping.FEWEST or budget.stopped(books, case) is not None:
            return lacking
        width = stopping.half_width(budget.medians(books, case))
        wanted = known * min(4.0, (width / timing.target) ** 2)
        return max(1.0, min(timing.most_processes, wanted) - known)

    def _wanted(self, case: Case) -> float:
        """How many more processes a case will get."""
        return max(self._own(case), 1.0 if self.books.ledger.epochs.get(case.id) else 0.0)

    @property
    def late(self) -> bool:
        """Whether the epoch under way takes so much longer than expected that an estimate would be a guess."""
        if self._round is None:
            return False
        began, expected = self._round
        return self.clock() - began > LATE * expected + LATE_S

    def left(self) -> Left | None:
        """What is to be told now."""
        found, now = self.estimate(), self.clock()
        if found is None or self.late:
            return None
        seconds = found.seconds
        if self._told is not None:
            before, told = self._told
            expected = max(0.0, told - (now - before))
            if expected < seconds <= NOTICED * expected + SMALL:
                seconds = expected
            elif seconds < expected:
                seconds = (seconds + expected) / 2
        self._told = now, seconds
        return Left(seconds, found.bound)
