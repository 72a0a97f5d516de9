"""Timing: an epoch of fresh processes of one block, exactly one of them computing at a time.

The workers of a block import side by side; then a token passes in seeded random order.  Its holder prepares, calls
once and calibrates; then the slices of samples are taken in rounds, every round in a new order, so that drift of the
machine hits all contestants alike.  Between the rounds the sentinel says whether the machine moved.  In a quick run
the same processes are judged after their samples.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .books import Books
from .checks import SLOTS
from .grid import Block, Case
from .process import START_SECONDS, Worker, ask, settle, wait_for
from .sentinel import Watch

MARGIN = 10.0
KEPT = (
    "prepare_s",
    "first_call_s",
    "loops",
    "primal_loops",
    "call_s",
    "import_s",
    "blas",
    "busy_s",
    "open_s",
    "gc_runs",
    "gc_s",
    "unsettled",
)
KEPT_OF_GPU = ("input_copies", "input_cache", "captured", "primal_by")
SERIES_OF_GPU = ("event", "enqueue")


@dataclass
class Contestant:
    """One case of an epoch in its worker, and what it has given so far.

    ``others`` are what a GPU's clocks say besides.  ``unsettled``: how many of its turns began although a thread of
    another was still running after 100 ms.
    """

    case: Case
    worker: Worker
    found: dict[str, Any] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)
    samples: list[float] = field(default_factory=list)
    primal: list[float] = field(default_factory=list)
    others: dict[str, list[float | None]] = field(default_factory=dict)
    gc_runs: int = 0
    gc_s: float = 0.0
    unsettled: int = 0


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
        self.heat: Any = None  # of the GPU, before and after
        self.together = uuid.uuid4().hex[:12]  # who was measured side by side: a number may be measured in two goes

    def run(self, cases: Sequence[Case]) -> None:
        """Measure ``cases``; a case that fails has its outcome at once and leaves, the others go on.

        The whole machine is locked meanwhile: no other run of difflab computes while clocks run here.
        """
        outlook = self.books.outlook
        with (
            self.books.lock.exclusive(),
            self.books.stop.round(lambda: None if outlook is None else outlook.round_s()),
        ):
            if outlook is not None:
                outlook.epoch_began(cases)
            self._run(list(cases))
            if outlook is not None:
                outlook.epoch_ended(cases)

    def _run(self, cases: list[Case]) -> None:
        try:
            self._open(cases)
            before = self.books.gpu.heat() if self.block.device != "cpu" else None
            self.watch = Watch()  # its counters leave out the wait for the machine, and workers that import
            for one in self._shuffled():
                self.books.still_running()
                self._prepare(one)
            self._look()
            for number in range(max((one.found["rounds"] for one in self.active), default=0)):
                for one in self._shuffled():
                    if number < one.found["rounds"]:
                        self._slice(one)
                self._look()
            self.heat = {"before": before, "after": self.books.gpu.heat()} if before else None
            self._close_or_judge()
        finally:
            for one in self.active:
                one.worker.kill()
                one.worker.close()

    def _look(self) -> None:
        """Let the sentinel say how fast the machine is now."""
        if self.active:
            settle([one.worker.pid for one in self.active])
            if (found := self.books.sentinel_reading()) is not None:
                self.watch.add(found)

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
                one = Contestant(case, self.books.worker(case))
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
            **{key: known.get(key) for key in ("loops", "call_s", "primal_loops")},
            "gc": study.timing.gc,
            "warm_cache": study.timing.warm_cache,
        }
        if self._ask(one, command, self.books.patience + MARGIN * study.timing.sample_ms / 1000):
            one.found["busy_s"] = time.monotonic() - start

    def _slice(self, one: Contestant) -> None:
        timing, start = self.books.study.timing, time.monotonic()
        command = {"do": "slice", "samples": timing.samples, "rounds": timing.rounds}
        command |= {key: one.found[key] for key in ("call_s", "loops", "primal_loops")}
        seconds = self.books.patience + MARGIN * timing.samples * (one.found["call_s"] + timing.sample_ms / 1000)
        if self._ask(one, command, seconds):
            one.samples += one.found.pop("samples")
            one.primal += one.found.pop("primal")
            for name in SERIES_OF_GPU:
                if name in one.found:
                    one.others.setdefault(name, []).extend(one.found.pop(name))
            one.gc_runs += one.found.pop("gc_runs")
            one.gc_s += one.found.pop("gc_s")
            one.found["busy_s"] += time.monotonic() - start

    def _ask(self, one: Contestant, command: dict[str, Any], seconds: float, limit: float | None = None) -> bool:
        """Pass the token: wait until the others are at rest, then let this one compute."""
        others = [other.worker.pid for other in self.active if other is not one] + self.books.sentinel_pids()
        one.unsettled += not settle(others)
        answer = ask(one.worker, command, seconds, limit)
        if answer is None:
            self._lose(one)
            return False
        one.found |= answer
        return True

    def _close_or_judge(self) -> None:
        if cases := [one.case.id for one in self.active]:  # before the epochs: a kill between must not lose it
            data = self.watch.result() | ({"gpu": self.heat} if self.heat else {})
            self.books.record("sentinel", block=self.block.name, epoch=self.number, cases=cases, data=data)
        for one in self.active:
            one.found |= {"gc_runs": one.gc_runs, "gc_s": one.gc_s, "unsettled": one.unsettled}
            data = {key: one.found[key] for key in KEPT} | {"samples": one.samples, "primal": one.primal}
            data["together"] = self.together
            data |= one.others | {key: one.found[key] for key in KEPT_OF_GPU if key in one.found}
            self.books.record("epoch", case=one.case.id, epoch=self.number, data=data)
        if not self.judge:  # left after all is written: a kill in between would part those measured side by side
            for one in list(self.active):
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
        slots = SLOTS if self.block.device == "cpu" else 1
        while waiting or running:
            while waiting and len(running) < slots:
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
