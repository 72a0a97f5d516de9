"""A forecast of a whole study: what every case will cost and whether it will be started. Nothing is run or written.

Two workers take the blocks by turns; one that dies of a case is replaced, and the case is told with how it ended.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import DifflabError
from . import grid, timing
from .checks import SLOTS
from .host_lock import HostLock
from .probe import Probe, read_with
from .process import START_SECONDS, Worker, wait_for
from .request import Request
from .study import Study, Timing
from .study_device import on_device

PATIENCE = 60.0  # seconds for the forecasts of one block
ACCURACY_CALLS, ARRAYS_CALLS = 2.0, 8.0  # calls in whose time a result is judged, and its arrays are traced
STARTS = 3  # workers that start before the first case: one to ask, one to calibrate, one as a sentinel
JUDGED_S = 0.05  # seconds to judge a result at least
CERTIFYING = 3.0  # times the first precision that certifying takes: it is raised, and the result is checked


def run(request: Request, emit: Callable[[dict[str, Any]], None]) -> None:
    """Forecast a study and emit one event ``forecast`` with the document.

    Args:
        request: what is asked; ``out`` plays no part.
        emit: is called with events of progress, and with the document.

    Raises:
        StudyError: the study is wrong.
        DifflabError: no worker can be started here.
    """
    begin = time.monotonic()
    probe = Probe()
    study = on_device(read_with(probe, request.study, emit), request.device)
    blocks = grid.blocks(study, request.seed, request.quick)
    emit({"event": "running", "text": "calibrating the machine", "done": 0, "steps": len(blocks) + 1})
    with contextlib.closing(HostLock(lambda text: emit({"event": "note", "text": text}))) as lock:
        with lock.exclusive():
            speeds, start_s = calibrated(study.timing.threads, probe.kernels.variables)
        survey = Survey(study, blocks, speeds, probe.kernels.variables, emit)
        with lock.shared():
            survey.run()
    outlook = Outlook(study, blocks, survey.found, start_s, request.quick, speeds["seconds"])
    document = outlook.document()
    document |= {"seed": request.seed, "calibration_s": speeds["seconds"], "seconds": time.monotonic() - begin}
    emit({"event": "forecast", "data": document})


def calibrated(threads: int, variables: dict[str, str]) -> tuple[dict[str, Any], float]:
    """The calibration of the machine, and how long a worker takes to start.

    Args:
        threads: those of the study.
        variables: what else is set in the environment of workers.

    Raises:
        DifflabError: the worker that measures did not come to its end.
    """
    start = time.monotonic()
    worker = Worker(threads, variables=variables)
    try:
        worker.send({"do": "measure_speeds"}, START_SECONDS)
        while worker.busy:
            wait_for([worker])
        if worker.answer is None:
            raise DifflabError(f"the machine could not be calibrated: {(worker.verdict or ('', 'no answer'))[1]}")
        return worker.answer, max(0.0, time.monotonic() - start - worker.answer["seconds"])
    finally:
        worker.close()


# ------------------------------------------------------------------------------------------------ asking


@dataclass
class Block:
    """What is known of a block: ``shared`` by its cases, and ``cases`` by their position."""

    shared: dict[str, Any] = field(default_factory=dict)
    cases: dict[int, dict[str, Any]] = field(default_factory=dict)


class Survey:
    """The forecasts of all blocks, from workers that are asked for them.

    Args:
        study: what is asked.
        blocks: its cases.
        speeds: the calibration of the machine.
        variables: what else is set in the environment of workers.
        emit: progress.
    """

    def __init__(
        self,
        study: Study,
        blocks: Sequence[grid.Block],
        speeds: dict[str, Any],
        variables: dict[str, str],
        emit: Callable[[dict[str, Any]], None],
    ) -> None:
        self.study, self.blocks, self.speeds, self.variables, self.emit = study, blocks, speeds, variables, emit
        self.found = [Block() for _ in blocks]

    def run(self) -> None:
        """Ask for everything."""
        waiting = list(range(len(self.blocks)))
        active: dict[int, Worker] = {}
        idle: list[Worker] = []
        try:
            while waiting or active:
                while waiting and len(active) < SLOTS:
                    number = waiting.pop(0)
                    active[number] = idle.pop() if idle else Worker(self.study.timing.threads, variables=self.variables)
                    self._send(active[number], number)
                over = wait_for(list(active.values()))
                for number in [number for number, worker in active.items() if worker in over]:
                    worker = active.pop(number)
                    self._take(number, worker)
                    (idle.append if worker.answer is not None else Worker.close)(worker)
                    if self._missing(number):
                        waiting.insert(0, number)
                    self.emit(
                        {
                            "event": "running",
                            "text": f"forecasting {self.blocks[number].name}",
                            "done": len(self.blocks) - len(waiting) - len(active) + 1,
                            "steps": len(self.blocks) + 1,
                        }
                    )
        finally:
            for worker in (*active.values(), *idle):
                worker.close()

    def _missing(self, number: int) -> list[int]:
        return [k for k in range(len(self.blocks[number].cases)) if k not in self.found[number].cases]

    def _send(self, worker: Worker, number: int) -> None:
        limits = self.study.limits
        specs = [self.blocks[number].cases[k].spec for k in self._missing(number)]
        worker.partial.clear()
        worker.send(
            {"do": "survey", "specs": specs, "speeds": self.speeds, "seconds": limits.seconds, "memory": limits.memory,
             "limited": self.study.timed},
            PATIENCE,
        )  # fmt: skip

    def _take(self, number: int, worker: Worker) -> None:
        """Note what a worker has said; where it died, the case in which it did has an outcome of its own."""
        block, missing = self.found[number], self._missing(number)
        block.shared |= {key: value for key, value in worker.partial.items() if not key.isdecimal()}
        for place, position in enumerate(missing):
            if (found := worker.partial.get(str(place))) is not None:
                block.cases[position] = found
            elif worker.answer is None:
                outcome, reason = worker.verdict or ("lost", "the worker gave no answer")
                lost = missing[place:] if worker.phase in ("start", "build") else [position]
                block.cases |= {k: {"outcome": outcome, "reason": reason} for k in lost}
                return


# ------------------------------------------------------------------------------------------------ adding up


class Outlook:
    """What the forecasts come to: the time of every case, of the references and of the run.

    Args:
        study: what is asked.
        blocks: its cases.
        found: the forecasts.
        start_s: seconds in which a worker starts.
        quick: whether one process per case does everything.
        calibration_s: seconds that a run takes to calibrate the machine.
    """

    def __init__(
        self,
        study: Study,
        blocks: Sequence[grid.Block],
        found: Sequence[Block],
        start_s: float,
        quick: bool,
        calibration_s: float,
    ) -> None:
        self.study, self.blocks, self.found, self.start_s, self.quick = study, blocks, found, start_s, quick
        self.beginning_s = calibration_s + STARTS * start_s

    def document(self) -> dict[str, Any]:
        """All of it as a JSON value: ``cases``, ``references_s``, ``run_s``, ``first_s``, and the limits."""
        rows = list(self._rows())
        pairs = zip(self.blocks, self.found, strict=True)
        truths = {block.truth: found.shared.get("reference_s") for block, found in pairs}
        limit, timed = self.study.limits.reference_seconds, self.study.timed
        wanted = [min(limit, CERTIFYING * seconds) for seconds in truths.values() if seconds is not None]
        references = sum(wanted) if self.study.kind.reference else 0.0
        known = [row for row in rows if row["run_s"] is not None]
        begun = self.beginning_s + references / SLOTS
        first = begun + sum(row["check_s"] + row["process_s"] for row in known)
        every = begun + sum(row["run_s"] for row in known)
        return {
            "study": {"name": self.study.name, "title": self.study.title, "answer": self.study.answer},
            "quick": self.quick,
            "timed": timed,
            "limits": vars(self.study.limits),
            "timing": vars(self.study.timing),
            "cases": rows,
            "references_s": references,
            "first_s": first if timed else None,
            "run_s": (first if self.quick else max(first, min(every, self.study.timing.budget_s))) if timed else None,
        }

    def _rows(self) -> Iterator[dict[str, Any]]:
        for block, found in zip(self.blocks, self.found, strict=True):
            shared = found.shared
            for position, case in enumerate(block.cases):
                known = found.cases[position]
                spec = {key: case.spec[key] for key in ("problem", "size", "dtype", "device", "operator")}
                row = {**spec, "backend": case.label, "case": case.id, "n_params": shared.get("n_params")}
                names = ("calls", "flops", "bytes", "prepare_s", "call_s", "s")
                row |= {f"predicted_{name}": known.get(f"predicted_{name}") for name in names}
                row |= {"primal_s": shared.get("primal_s"), "outcome": known["outcome"], "reason": known["reason"]}
                yield row | self._seconds(row, shared)

    def _seconds(self, row: dict[str, Any], shared: dict[str, Any]) -> dict[str, float | None]:
        """Wall seconds of the check of a case, of one process, and of all that the study asks for."""
        call, prepare, once = row["predicted_call_s"], row["predicted_prepare_s"], row["predicted_s"]
        opened = (self.start_s + shared.get("build_s", 0.0)) / SLOTS
        if not self.study.timed:
            return {"check_s": 0.0, "process_s": 0.0, "run_s": None}
        if row["outcome"] != "runs":  # it is opened, forecast and left
            return {"check_s": 0.0, "process_s": opened, "run_s": opened}
        if call is None or prepare is None or once is None:
            return {"check_s": 0.0, "process_s": 0.0, "run_s": None}
        judged = JUDGED_S + ACCURACY_CALLS * call + (ARRAYS_CALLS * call if call < 1.0 else 0.0)
        process = opened + once + sampling_s(self.study.timing, call, row["primal_s"] or 0.0)
        if self.quick:
            return {"check_s": judged / SLOTS, "process_s": process, "run_s": process + judged / SLOTS}
        check = opened + (once + judged) / SLOTS
        return {"check_s": check, "process_s": process, "run_s": check + self.study.timing.processes * process}


def sampling_s(wanted: Timing, call_s: float, primal_s: float) -> float:
    """Seconds in which one process calibrates and takes its samples.

    Args:
        wanted: how much a study samples.
        call_s: of one call of the derivative.
        primal_s: of one call of the loss.

    >>> round(sampling_s(Timing(samples=9, rounds=3, sample_ms=1.0), 1e-4, 1e-5), 3)
    0.053
    """
    least = max(wanted.sample_ms / 1000, 1e-9)
    loops = max(1, math.ceil(least / max(call_s, 1e-9)))
    plan = timing.plan(call_s, loops, wanted.samples, wanted.rounds)
    calibrating = 2.0 * least if call_s < timing.SLOW_CALL else 0.0
    sample = max(plan.loops * call_s, call_s) + max(least, primal_s) + primal_s + (call_s if plan.loops > 1 else 0.0)
    warming = max(plan.warm_calls * call_s, plan.warm_seconds)
    return calibrating + 2.0 * least + plan.rounds * (warming + plan.samples * sample)
