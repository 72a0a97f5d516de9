"""References, checks of memory and accuracy, examinations: without a clock that matters, two workers side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import StoreError
from .books import Books, like
from .grid import Block, Case
from .process import START_SECONDS, Worker, wait_for
from .store import BLOBS

SLOTS = 2
BEAT_SECONDS = 5.0


class Order(NamedTuple):
    """A command, the seconds it may take, and the limit of which they are what is left."""

    command: dict[str, Any]
    seconds: float
    limit: float | None = None


Script = Generator[Order, dict[str, Any], dict[str, Any]]


@dataclass
class Job:
    """Work for one worker: ``make`` gives a script that yields commands and seconds and returns data for ``done``.

    A worker that is lost (it could not even start) is replaced once.  ``case`` is what it opens; on a GPU one does so
    at a time; ``like`` are the names of such work, by which it is known how long it takes.
    """

    make: Callable[[], Script]
    begin: Callable[[], None]
    ready: Callable[[], bool]
    done: Callable[[dict[str, Any]], None]
    failed: Callable[[Worker], None]
    case: Case | None = None
    worker: Worker | None = None
    script: Script | None = None
    again: bool = False
    like: list[str] = field(default_factory=list)
    begun: float = 0.0

    @property
    def on_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.case is not None and self.case.spec["device"] != "cpu"

    def start(self, worker: Worker) -> None:
        """Give the first command to a new worker."""
        self.worker, self.script, self.begun = worker, self.make(), time.monotonic()
        self.worker.send(*next(self.script))

    def close(self) -> None:
        """End the worker, wherever it is."""
        if self.script is not None:
            self.script.close()
        if self.worker is not None:
            self.worker.close()


def reference_jobs(books: Books) -> list[Job]:
    """One job per problem and size whose truth is not known yet, small ones first."""
    known = books.ledger.truths
    return [_reference(books, block) for key, block in reversed(books.truths.items()) if key not in known]


def check_jobs(books: Books) -> list[Job]:
    """One job per case that has not been checked."""
    return [
        _check(books, block, case)
        for block in books.blocks
        for case in books.live(block)
        if case.id not in books.ledger.checks
    ]


def examine_jobs(books: Books) -> list[Job]:
    """One job per case of a study that times nothing."""
    return [_examine(books, block, case) for block in books.blocks for case in books.live(block)]


def trace_drawing(books: Books) -> None:
    """Record what the page of the study draws, once per run; that it cannot be drawn is a fact like any other."""
    chosen = books.study.drawing
    if chosen is None or books.ledger.drawing is not None:
        return
    spec = {"problem": chosen.problem, "size": chosen.size, "dtype": chosen.dtype, "seed": books.seed}
    file = f"{BLOBS}/drawing.npz"

    def script() -> Script:
        path = str((books.target.folder / file).resolve())
        order = Order({"do": "drawing", "spec": spec, "path": path}, START_SECONDS + books.study.limits.seconds)
        data = yield order
        if "unwritten" in data:
            raise StoreError(data["unwritten"])
        return {**data, "file": file}

    def done(data: dict[str, Any]) -> None:
        books.record("drawing", data=data)

    def failed(worker: Worker) -> None:
        why = (worker.verdict or ("lost", "the worker gave no answer"))[1]
        done({"file": None, "why": why})
        books.emit({"event": "note", "text": f"the graph of {chosen.problem} {chosen.size} is not drawn: {why}"})

    def begin() -> None:
        books.running(f"recording the graph of {chosen.problem} {chosen.size}")

    with books.lock.shared(), books.stop.round(lambda: None):
        _run([Job(script, begin, lambda: True, done, failed)], books, 1)


def _reference(books: Books, block: Block) -> Job:
    seconds = books.study.limits.reference_seconds
    file = books.reference_file(block)

    def script() -> Script:
        spec = {**block.cases[0].spec, "dtype": "float64"}
        path = str((books.target.folder / file).resolve())
        # it keeps its own time and falls back to less; the wall behind it is for what cannot stop itself
        data = yield Order(
            {"do": "reference", "spec": spec, "path": path, "seconds": seconds}, START_SECONDS + 1.5 * seconds
        )
        if "unwritten" in data:  # a fault of the disk says nothing of the problem: the run stops, and resumes here
            raise StoreError(f"{data['unwritten']}. Free some space and run again: the run resumes.")
        return {**data, "file": None if "why" in data else file}

    def done(data: dict[str, Any]) -> None:
        books.record("reference", truth=block.truth, data=data)

    def failed(worker: Worker) -> None:
        outcome, reason = worker.verdict or ("lost", "no answer")
        done({"file": None, "why": f"the reference ended as {outcome}: {reason}"})

    def begin() -> None:
        books.running(f"certifying the reference of {block.problem} {block.size}")

    return Job(script, begin, lambda: True, done, failed)


def _check(books: Books, block: Block, case: Case) -> Job:
    limit = books.study.limits.seconds

    def script() -> Script:
        opened = yield Order({**books.open(case), "phases": True}, START_SECONDS)
        forecast = yield Order(books.forecast(), books.patience)
        start = time.monotonic()
        prepared = yield Order({"do": "prepare", "memory": True}, limit)
        peak = yield Order({"do": "memory"}, max(0.1, limit - (time.monotonic() - start)), limit)
        judged = yield Order(books.accuracy(block), books.patience)
        arrays = yield Order({"do": "arrays"}, books.patience)
        return opened | forecast | prepared | peak | judged | arrays

    def done(data: dict[str, Any]) -> None:
        books.record("checked", case=case.id, data=data)
        if data["outcome"] != "ok":
            books.finish(case, data["outcome"], data["reason"], "accuracy")

    def failed(worker: Worker) -> None:
        books.fail(case, worker)

    def begin() -> None:
        books.begin(case, "check")
        books.running(f"checking memory and accuracy of {case.short}")

    return Job(script, begin, lambda: block.truth in books.ledger.truths, done, failed, case, like=like(case))


def _examine(books: Books, block: Block, case: Case) -> Job:
    def script() -> Script:
        opened = yield Order(books.open(case), START_SECONDS)
        found = yield Order(books.examine(block), books.study.limits.seconds)
        return opened | found

    def done(data: dict[str, Any]) -> None:
        books.record("checked", case=case.id, data=data)
        books.finish(case, data["outcome"], data["reason"], "examine")

    def failed(worker: Worker) -> None:
        books.fail(case, worker)

    def begin() -> None:
        books.begin(case, "examine")
        books.running(f"examining {case.short}")

    def ready() -> bool:
        return not books.truths or block.truth in books.ledger.truths

    return Job(script, begin, ready, done, failed, like=like(case))


def run_jobs(jobs: Iterable[Job], books: Books) -> None:
    """Run jobs as soon as they are ready, ``SLOTS`` at once unless the study's kind needs the machine for each.

    A long silence is broken by a sign of life.
    """
    alone = books.study.kind.alone
    outlook = books.outlook
    with (
        books.lock.exclusive() if alone else books.lock.shared(),
        books.stop.round(lambda: None if outlook is None else outlook.jobs_s()),
    ):
        _run(list(jobs), books, 1 if alone else SLOTS)


def _run(waiting: list[Job], books: Books, slots: int) -> None:
    active: list[Job] = []
    told = time.monotonic()
    try:
        while active or (waiting and not books.stop.requested):
            while not books.stop.requested and len(active) < slots and (job := _next(waiting, active)):
                waiting.remove(job)
                job.begin()
                active.append(job)
                job.start(books.worker(job.case))
            if time.monotonic() - told >= BEAT_SECONDS:
                books.still_running()
                told = time.monotonic()
            over = wait_for([job.worker for job in active if job.worker])
            active = [job for job in active if job.worker not in over or _advance(job, books)]
    finally:
        for job in active:
            job.close()


def _next(waiting: list[Job], active: list[Job]) -> Job | None:
    """The next job that can begin: not a second one on a GPU."""
    taken = any(job.on_gpu for job in active)
    return next((one for one in waiting if one.ready() and not (taken and one.on_gpu)), None)


def _advance(job: Job, books: Books) -> bool:
    """Hand a job its answer; returns whether it goes on."""
    worker, script = job.worker, job.script
    assert worker is not None
    assert script is not None
    try:
        if worker.answer is not None:
            worker.send(*script.send(worker.answer))
            return True
        if not job.again and worker.verdict and worker.verdict[0] == "lost":
            job.close()
            job.again = True
            job.start(books.worker(job.case))
            return True
        job.failed(worker)
    except StopIteration as end:
        job.done(end.value)
    if job.like:
        books.pace.took("check" if books.study.timed else "examine", job.like, time.monotonic() - job.begun)
    job.close()
    return False
