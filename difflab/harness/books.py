"""The books of a run: every fact goes to the store first, then to the ledger, then to whoever watches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .gpu_run import Gpu
from .grid import Block, Case
from .host_lock import HostLock
from .interrupts import Stop
from .ledger import Ledger
from .pace import Pace
from .process import START_SECONDS, Worker, ask
from .store import BLOBS, Store
from .study import Study

if TYPE_CHECKING:
    from .time_left import TimeLeft


def like(case: Case) -> list[str]:
    """By which names it is known how long the like of a case takes, the most telling first."""
    return [f"{case.spec['problem']} {case.label}", case.label]


class Books:
    """What the passes of a run share.

    Args:
        study: what is asked.
        blocks: its cases.
        target: where everything is appended.
        ledger: what is known already; kept up to date.
        emit: progress.
        seed: the seed of the order.
        quick: whether one process per case does everything, or a coarser sweep where nothing is timed.
        variables: what is set in the environment of every worker, such as the kernels of the BLAS.
        gpu: the GPU of the run, where some case needs one.
        stop: ends the run when somebody interrupts it.

    ``pace`` is how long its steps take, ``outlook`` how long it will take yet, where somebody asks.
    """

    def __init__(
        self,
        study: Study,
        blocks: list[Block],
        target: Store,
        ledger: Ledger,
        emit: Callable[[dict[str, Any]], None],
        seed: int,
        quick: bool,
        variables: dict[str, str] | None = None,
        gpu: Gpu | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.study, self.blocks, self.target, self.ledger = study, blocks, target, ledger
        self.emit, self.seed, self.quick, self.variables = emit, seed, quick, variables or {}
        self.gpu, self.stop, self.pace = gpu or Gpu(), stop or Stop(), Pace()
        self.outlook: TimeLeft | None = None
        self.lock = HostLock(self.tell)
        self._sentinel: Worker | None = None
        self.cases = {case.id: case for block in blocks for case in block.cases}
        self.truths = {block.truth: block for block in reversed(blocks)} if study.kind.reference else {}
        per_case = 1 if self.once else 1 + study.timing.processes
        self._text = "starting"
        self._steps = len(self.cases) * per_case + len(self.truths)

    def worker(self, case: Case | None = None) -> Worker:
        """A new worker, with the threads that the study asks for and what a case on a GPU needs."""
        more = {} if case is None else self.gpu.variables(case, self.study.limits.memory)
        return Worker(self.study.timing.threads, variables={**self.variables, **more})

    def close(self) -> None:
        """Let go of what the run holds beside its folder."""
        if self._sentinel is not None:
            self._sentinel.close()
        self.lock.close()

    def sentinel_reading(self) -> dict[str, float] | None:
        """How long the sentinel's work takes now; ``None`` if its worker does not answer."""
        if self._sentinel is None or self._sentinel.verdict is not None:
            if self._sentinel is not None:
                self._sentinel.close()
            self._sentinel = Worker(variables=self.variables)
        return ask(self._sentinel, {"do": "sentinel"}, START_SECONDS)

    def sentinel_pids(self) -> list[int]:
        """The sentinel's process, if there is one."""
        return [] if self._sentinel is None else [self._sentinel.pid]

    @property
    def once(self) -> bool:
        """Whether one process per case does everything, so that what it found is final."""
        return self.quick or not self.study.timed

    # ------------------------------------------------------------------------- facts

    def record(self, kind: str, **data: Any) -> None:
        """Store one fact and take it into the ledger; what is measured bears the number of its environment."""
        if kind in ("checked", "epoch") and self.ledger.environment:
            data.setdefault("environment", self.ledger.environment)
        self.target.append(kind, **data)
        self.ledger.apply({"kind": kind, **data})

    def calibrate(self) -> None:
        """Measure what NumPy calls cost here, once per run and machine; without it a forecast knows no such times."""
        if self.ledger.speeds is not None or all(block.device != "cpu" for block in self.blocks):
            return
        self.running("calibrating the machine")
        with self.lock.exclusive(), self.stop.round(lambda: None):
            begun = time.monotonic()
            with contextlib.closing(self.worker()) as worker:
                answer = ask(worker, {"do": "measure_speeds"}, START_SECONDS)
            if answer is not None:
                self.pace.took("start", [""], max(0.0, time.monotonic() - begun - answer["seconds"]))
                self.record("calibrated", data=answer)

    def begin(self, case: Case, name: str) -> None:
        """A case enters a pass."""
        self.record("started", **{"case": case.id, "pass": name})

    def finish(
        self,
        case: Case,
        outcome: str,
        reason: str,
        phase: str = "",
        data: dict[str, Any] | None = None,
        **where: Any,
    ) -> None:
        """A case has its outcome; ``data`` is what it found before it failed, ``where`` the node that says so."""
        self.record("finished", case=case.id, outcome=outcome, reason=reason, phase=phase, data=data or {}, **where)
        event = {"event": "case", "case": case.short, "outcome": outcome, "reason": reason}
        self.emit({**event, "done": len(self.ledger.ends), "cases": len(self.cases)})

    def fail(self, case: Case, worker: Worker) -> None:
        """A case has failed in the way its worker tells."""
        outcome, reason = worker.verdict or ("lost", "the worker gave no answer")
        self.finish(case, outcome, reason, worker.phase, worker.partial)

    def live(self, block: Block) -> list[Case]:
        """The cases of a block that have no outcome yet."""
        return [case for case in block.cases if case.id not in self.ledger.ends]

    # ------------------------------------------------------------------------- progress

    def running(self, text: str) -> None:
        """Tell what runs now, and how far the run is."""
        self._text = text
        self.tell(text)

    def still_running(self) -> None:
        """Tell it again: a sign of life in a long step."""
        self.tell(self._text)

    def tell(self, text: str) -> None:
        """Tell what goes on, and how far the run is."""
        left = None if self.outlook is None else self.outlook.left()
        event = {"event": "running", "text": text, "done": self._done(), "steps": self._steps}
        known = {} if left is None else {"left_s": round(left.seconds, 1), "left_at_most": left.bound}
        self.emit(event | known)

    def _done(self) -> int:
        ledger, per_case = self.ledger, self._steps - len(self.truths)
        per_case //= max(1, len(self.cases))
        count = len(ledger.truths)
        for case in self.cases:
            steps = (case in ledger.checks and not self.once) + len(ledger.epochs.get(case, {}))
            count += per_case if case in ledger.ends else min(steps, per_case)
        return count

    # ------------------------------------------------------------------------- commands that several passes give

    @property
    def patience(self) -> float:
        """Seconds for a step that is bounded by its own design."""
        return self.study.limits.seconds + 20.0

    def open(self, case: Case) -> dict[str, Any]:
        """Open a case in a worker."""
        return {"do": "open", "spec": case.spec, "memory": self.study.limits.memory}

    def forecast(self) -> dict[str, Any]:
        """Forecast the case that is open."""
        limits = self.study.limits
        return {"do": "forecast", "memory": limits.memory, "seconds": limits.seconds, "speeds": self.ledger.speeds}

    def accuracy(self, block: Block) -> dict[str, Any]:
        """Judge the gradient of the case that is open."""
        return {"do": "accuracy", **self._truth(block)}

    def examine(self, block: Block) -> dict[str, Any]:
        """Examine the case that is open in the way of a study that times nothing."""
        options = self.study.options(block.dtype, self.quick)
        return {"do": "examine", "kind": self.study.answer, **options, **self._truth(block)}

    def _truth(self, block: Block) -> dict[str, Any]:
        """Where the reference of a block is, or why there is none."""
        truth = self.ledger.truths.get(block.truth, {})
        file = truth.get("file")
        path = str((self.target.folder / file).resolve()) if file else None
        known = {"sha256": truth["sha256"]} if "sha256" in truth else {}  # older records hold no sum
        return {"reference": path, "why": truth.get("why"), **known}

    def reference_file(self, block: Block) -> str:
        """Where the reference of a block is kept, relative to the run folder."""
        return f"{BLOBS}/reference-{block.truth}.npz"
