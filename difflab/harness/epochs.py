"""Timing: epochs of fresh processes per block, exactly one of them computing at a time, and how a budget is spent.

The workers of a block import side by side; then a token passes in seeded random order.  Its holder prepares, calls
once and calibrates; then the slices of samples are taken in rounds, every round in a new order, so that drift of the
machine hits all contestants alike.  A quick run has one epoch, and the same processes are judged after their samples.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .amounts import counted
from .books import Books
from .checks import SLOTS
from .grid import Block, Case
from .process import START_SECONDS, Worker, ask, settle, wait_for

EXPENSIVE = 1.0
MARGIN = 10.0


@dataclass
class Contestant:
    """One case of an epoch in its worker, and what it has given so far."""

    case: Case
    worker: Worker
    found: dict[str, Any] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)
    samples: list[float] = field(default_factory=list)
    primal: list[float] = field(default_factory=list)


class Epoch:
    """One epoch of one block.

    Args:
        books: the run.
        block: whose cases are compared.
        number: the epoch's number, from 0.
        judge: whether the same processes are also judged (a quick run).
    """

    def __init__(self, books: Books, block: Block, number: int, judge: bool = False) -> None:
        self.books, self.block, self.number, self.judge = books, block, number, judge
        self.order = random.Random(f"{books.seed}:{block.name}:{number}")
        self.active: list[Contestant] = []

    def run(self, cases: Sequence[Case]) -> None:
        """Measure ``cases``; a case that fails has its outcome at once and leaves, the others go on."""
        try:
            self._open(list(cases))
            for one in self._shuffled():
                self.books.still_running()
                self._prepare(one)
            for number in range(max((one.found["rounds"] for one in self.active), default=0)):
                for one in self._shuffled():
                    if number < one.found["rounds"]:
                        self._slice(one)
            self._close_or_judge()
        finally:
            for one in self.active:
                one.worker.kill()
                one.worker.close()

    def _shuffled(self) -> list[Contestant]:
        return self.order.sample(self.active, len(self.active))

    def _open(self, cases: list[Case]) -> None:
        """Start a worker per case, at most ``SLOTS`` importing at once; one that cannot start is tried once more."""
        waiting = [(case, False) for case in cases]
        opening: list[tuple[Contestant, bool]] = []
        self.order.shuffle(waiting)
        while waiting or opening:
            while waiting and len(opening) < SLOTS:
                case, again = waiting.pop(0)
                if not again:
                    self.books.begin(case, "time")
                one = Contestant(case, Worker(self.books.study.timing.threads))
                self.active.append(one)
                opening.append((one, again))
                one.worker.send(self.books.open(case), START_SECONDS)
            wait_for([one.worker for one, _ in opening])
            for one, again in [pair for pair in opening if not pair[0].worker.busy]:
                opening.remove((one, again))
                if one.worker.answer is not None:
                    one.found |= one.worker.answer | {"open_s": time.monotonic() - one.begun}
                elif not again and (one.worker.verdict or ("lost",))[0] == "lost":
                    self._leave(one)
                    waiting.append((one.case, True))
                else:
                    self._lose(one)

    def _prepare(self, one: Contestant) -> None:
        """The token's first round: forecast (if nothing did it before), prepare, first call, calibration."""
        study, start = self.books.study, time.monotonic()
        if self.judge and not self._ask(one, self.books.forecast(), self.books.patience):
            return
        limit = study.limits.seconds
        before = time.monotonic()
        if not self._ask(one, {"do": "prepare"}, limit):
            return
        if not self._ask(one, {"do": "first"}, max(0.1, limit - (time.monotonic() - before)), limit):
            return
        earlier = self.books.ledger.epochs.get(one.case.id, {})
        known = next(iter(earlier.values()), {})
        command = {
            "do": "calibrate",
            "least": study.timing.sample_ms / 1000,
            "samples": study.timing.samples,
            "rounds": study.timing.rounds,
            "loops": known.get("loops"),
            "primal_loops": known.get("primal_loops"),
        }
        if self._ask(one, command, self.books.patience):
            one.found["busy_s"] = time.monotonic() - start

    def _slice(self, one: Contestant) -> None:
        timing, start = self.books.study.timing, time.monotonic()
        command = {"do": "slice", "samples": timing.samples, "rounds": timing.rounds}
        command |= {key: one.found[key] for key in ("call_s", "loops", "primal_loops")}
        seconds = self.books.patience + MARGIN * timing.samples * (one.found["call_s"] + timing.sample_ms / 1000)
        if self._ask(one, command, seconds):
            one.samples += one.found.pop("samples")
            one.primal += one.found.pop("primal")
            one.found["busy_s"] += time.monotonic() - start

    def _ask(self, one: Contestant, command: dict[str, Any], seconds: float, limit: float | None = None) -> bool:
        """Pass the token: wait until the others are at rest, then let this one compute."""
        settle([other.worker.pid for other in self.active if other is not one])
        answer = ask(one.worker, command, seconds, limit)
        if answer is None:
            self._lose(one)
            return False
        one.found |= answer
        return True

    def _close_or_judge(self) -> None:
        for one in list(self.active):
            kept = (
                "prepare_s",
                "first_call_s",
                "loops",
                "primal_loops",
                "call_s",
                "import_s",
                "blas",
                "busy_s",
                "open_s",
            )
            data = {key: one.found[key] for key in kept} | {"samples": one.samples, "primal": one.primal}
            self.books.record("epoch", case=one.case.id, epoch=self.number, data=data)
            if not self.judge:
                self._leave(one)
        steps = [({"do": "memory"}, self.books.patience), (self.books.accuracy(self.block), self.books.patience)]
        for command, seconds in [*steps, ({"do": "arrays"}, self.books.patience)]:
            self._all(command, seconds)
        for one in list(self.active):
            self._leave(one)
            self.books.record("checked", case=one.case.id, data=one.found)
            self.books.finish(one.case, one.found["outcome"], one.found["reason"], "accuracy")

    def _all(self, command: dict[str, Any], seconds: float) -> None:
        """Let every contestant do the same, ``SLOTS`` at once: nothing is timed any more."""
        waiting, running = list(self.active), []
        while waiting or running:
            while waiting and len(running) < SLOTS:
                running.append(waiting.pop(0))
                running[-1].worker.send(command, seconds)
            wait_for([one.worker for one in running])
            for one in [one for one in running if not one.worker.busy]:
                running.remove(one)
                if one.worker.answer is None:
                    self._lose(one)
                else:
                    one.found |= one.worker.answer

    def _lose(self, one: Contestant) -> None:
        self._leave(one)
        self.books.fail(one.case, one.worker)

    def _leave(self, one: Contestant) -> None:
        self.active.remove(one)
        one.worker.close()


def quick(books: Books) -> None:
    """One epoch per block, judged in the same processes."""
    for block in books.blocks:
        if cases := books.live(block):
            books.running(f"{block.name}: {counted(len(cases), 'case')}")
            Epoch(books, block, 0, judge=True).run(cases)


def spend(books: Books, end: float) -> None:
    """Every block gets its first epoch; further ones follow in turn for all cases that can be brought to the end.

    Args:
        books: the run.
        end: the time on the monotonic clock after which nothing more is begun.
    """
    for block in books.blocks:
        if due := [case for case in books.live(block) if not books.ledger.epochs.get(case.id)]:
            _run(books, block, due)
    while chosen := affordable(books, end - time.monotonic()):
        block = min(chosen, key=lambda one: (_done(books, chosen[one]), books.blocks.index(one)))
        _run(books, block, chosen[block])


def _run(books: Books, block: Block, cases: Sequence[Case]) -> None:
    number = _done(books, cases)
    books.running(f"timing {block.name}: process {number + 1} of {books.study.timing.processes}")
    due = [case for case in cases if number not in books.ledger.epochs.get(case.id, {})]
    Epoch(books, block, number).run(due)


def _done(books: Books, cases: Sequence[Case]) -> int:
    """The number of the first epoch that one of the cases lacks."""
    number = 0
    while all(number in books.ledger.epochs.get(case.id, {}) for case in cases):
        number += 1
    return number


def affordable(books: Books, left: float) -> dict[Block, list[Case]]:
    """The cases, by block, that ``left`` seconds bring to their full number of processes: as many as possible.

    The cheap cases of a block go together, for they are compared with each other; a case that costs more than a
    second per process stands for itself.  What needs least is chosen first, so a short budget gives few complete
    blocks and not many halves.
    """
    units: list[tuple[float, Block, list[Case], bool]] = []
    for block in books.blocks:
        due = [case for case in books.live(block) if missing(books, case)]
        cheap = [case for case in due if cost(books, case) <= EXPENSIVE]
        for cases in [cheap, *[[case] for case in due if case not in cheap]]:
            if cases:
                need = sum(cost(books, case) * missing(books, case) for case in cases)
                units.append((need, block, cases, cases is cheap))
    chosen: dict[Block, list[Case]] = {}
    late: set[Block] = set()
    # cheap cases first: an expensive one without the others of its block has nothing to be compared with
    for need, block, cases, cheap in sorted(units, key=lambda unit: (not unit[3], unit[0])):
        if need <= left and block not in late:
            left -= need
            chosen.setdefault(block, []).extend(cases)
        elif cheap:
            late.add(block)
    return chosen


def missing(books: Books, case: Case) -> int:
    """How many processes a case lacks."""
    return max(0, books.study.timing.processes - len(books.ledger.epochs.get(case.id, {})))


def cost(books: Books, case: Case) -> float:
    """Wall seconds that one more process of a case takes, from its last one."""
    earlier = books.ledger.epochs[case.id]
    last = earlier[max(earlier)]
    return last["busy_s"] + last["open_s"] / SLOTS
