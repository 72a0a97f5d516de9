"""The coordinator: a process of its own, without NumPy, that runs a study and writes its run folder.

``python -m difflab.harness.engine`` reads one request (JSON) from standard input and writes what happens as JSON
lines to standard output.  It ends with 0, or with the exit code of the fault that its last line tells.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import DifflabError, InputError, StoreError, StudyError, UnavailableError
from . import budget, checks, environment, environment_change, forecasts, gpu_run, grid, own_runs, store
from .books import Books
from .cluster import homes
from .cluster.dispatch import Cluster
from .cluster.link import reach
from .interrupts import Stop, finishing
from .ledger import Ledger
from .own_loss import FOLDER_VARIABLE
from .probe import Probe, read_with
from .request import Request
from .study import Study
from .study_device import on_device
from .time_left import TimeLeft

Emit = Callable[[dict[str, Any]], None]


def run(request: Request, emit: Emit, stop: Stop | None = None) -> Path:
    """Run a study, or what is left of it.

    Args:
        request: what is asked.
        emit: is called with each event of progress.
        stop: ends the run when somebody interrupts it.

    Returns:
        The run folder.

    Raises:
        StudyError: the study is wrong; nothing was written.
        UnavailableError: all cases need a GPU, and there is none; nothing was written.
        StoreError: the folder cannot be used; nothing was written, or the run can be resumed.
    """
    begin = time.monotonic()
    probe = Probe()
    checked = on_device(read_with(probe, request.study, emit), request.device)
    seed, quick = request.seed, request.quick
    blocks = grid.blocks(checked, seed, quick)
    key = grid.key(checked, seed, quick, request.device)
    if gpu_run.on_gpu(blocks) and request.cluster is not None:
        raise InputError("cases on a GPU are measured on this machine, one at a time: leave --cluster out")
    folder = own_runs.choose_folder(request, checked, key, emit)
    shown_again = (folder / store.MANIFEST).exists() and store.finished(folder)
    gpu = None if shown_again else gpu_run.find(probe, blocks)
    with reach(request.cluster) as link, store.Store(folder) as target:
        ledger = Ledger.of(target.events)
        if ledger.seconds is not None:
            emit({"event": "run", "folder": str(folder), "title": checked.title, "finished": True})
            return folder
        facts = environment.describe(probe.found, checked.timing.threads)
        facts |= {} if gpu is None else {"gpu": gpu.environment()}
        if (folder / store.MANIFEST).exists():
            environment_change.settle(target, ledger, facts, request.allow_env_change)
        else:
            target.write_manifest(manifest(checked, blocks, key, seed, quick, facts) | own_runs.facts(request, checked))
        (folder / store.BLOBS).mkdir(exist_ok=True)
        began = {"resumed": bool(ledger.begun), "environment": ledger.environment}
        target.append("run_started", pid=os.getpid(), at=environment.now(), **began)
        books = Books(checked, blocks, target, ledger, emit, seed, quick, probe.kernels.variables, gpu, stop)
        if books.lock.missing:
            emit({"event": "note", "text": f"other runs on this machine are not kept apart: {books.lock.missing}"})
        try:
            emit(
                {
                    "event": "run",
                    "folder": str(folder),
                    "title": checked.title,
                    "finished": False,
                    "cases": sum(len(block.cases) for block in blocks),
                    "resumed": len(ledger.ends),
                }
            )
            with books.gpu.alone(books.tell) as waited:
                end = begin + waited + checked.timing.budget_s
                if link is None:
                    books.outlook = TimeLeft(books, end)
                measure(books, end, link and Cluster(books, link, probe.catalogue, facts, end))
        except KeyboardInterrupt:
            target.append("run_interrupted", at=environment.now())
            emit({"event": "interrupted", "folder": str(folder), "at_once": books.stop.at_once})
            raise
        finally:
            books.close()
        target.append("run_finished", at=environment.now(), seconds=round(time.monotonic() - begin, 3))
    emit({"event": "run_finished", "folder": str(folder), "seconds": round(time.monotonic() - begin, 3)})
    return folder


def measure(books: Books, end: float, cluster: Cluster | None = None) -> None:
    """Do what is left of a run and say how every case ended; further samples are begun only before ``end``."""
    _settle_judged(books)
    checks.trace_drawing(books)
    if cluster is not None:
        cluster.run()
    else:
        homes.bring_all(books)
        _measure_here(books, end)
    for block in books.blocks:
        for case in books.live(block):
            books.finish(case, "ok", books.ledger.checks[case.id]["reason"], data=budget.ended(books, case))


def _measure_here(books: Books, end: float) -> None:
    """Do on this machine what is left."""
    if books.study.timed:
        books.calibrate()
    references = checks.reference_jobs(books)
    if not books.study.timed:
        checks.run_jobs(references + checks.examine_jobs(books), books)
    elif books.quick:
        checks.run_jobs(references, books)
        budget.quick(books)
    else:
        checks.run_jobs(references + checks.check_jobs(books), books)
        budget.spend(books, end)


def _settle_judged(books: Books) -> None:
    """Finish what an earlier coordinator had judged in the moment in which it died."""
    for block in books.blocks:
        for case in books.live(block):
            found = books.ledger.checks.get(case.id)
            if found and (books.once or found["outcome"] != "ok"):
                phase = "accuracy" if books.study.timed else "examine"
                books.finish(case, found["outcome"], found["reason"], phase)


def manifest(
    study: Study, blocks: Sequence[grid.Block], key: str, seed: int, quick: bool, facts: dict[str, Any]
) -> dict[str, Any]:
    """All that is known of a run before it starts: the study, the plan, the machine."""
    return {
        "key": key,
        "study": {
            "name": study.name,
            "title": study.title,
            "question": study.question,
            "look_for": study.look_for,
            "answer": study.answer,
            "operator": study.operator,
            "baseline": study.baseline,
            "limits": vars(study.limits),
            "timing": vars(study.timing),
            **({} if study.settings is None else {study.answer: asdict(study.settings)}),
            **({"bars": [bar.plain() for bar in study.bars]} if study.bars else {}),
            **({} if study.drawing is None else {"drawing": asdict(study.drawing)}),
            **({"show": list(study.show)} if study.show else {}),
            "text": study.text,
        },
        "seed": seed,
        "quick": quick,
        "created": environment.now(),
        "blocks": [
            {
                "name": block.name,
                "truth": block.truth,
                "cases": [{"id": case.id, "label": case.label, "spec": case.spec} for case in block.cases],
            }
            for block in blocks
        ],
        "environment": facts,
    }


class Voice:
    """Writes events to standard output, whole lines even if a signal comes in the middle of one."""

    def __init__(self) -> None:
        self._speaking = False
        self._waiting: list[dict[str, Any]] = []

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one event, then what a signal had to say meanwhile.

        Raises:
            KeyboardInterrupt: whoever asked is gone.
        """
        self._waiting.append(event)
        if self._speaking:
            return
        self._speaking = True
        try:
            while self._waiting:
                line = json.dumps(self._waiting.pop(0)).encode() + b"\n"
                while line:
                    line = line[os.write(1, line) :]
        except BrokenPipeError:
            raise KeyboardInterrupt from None
        finally:
            self._speaking = False


def main() -> None:
    """Serve one request; see the module's text."""
    emit = Voice()
    stop = Stop(lambda seconds: emit({"event": "stopping", "seconds": seconds, "text": finishing(seconds)}))
    stop.listen()
    emit({"event": "ready"})
    request = Request.from_json(json.loads(sys.stdin.readline()))
    if request.study.endswith(".toml"):  # files of losses are named from there
        os.environ[FOLDER_VARIABLE] = os.path.dirname(os.path.abspath(request.study))
    try:
        folder = forecasts.run(request, emit) if request.dry_run else run(request, emit, stop)
        emit({"event": "done", "folder": "" if folder is None else str(folder)})
    except KeyboardInterrupt:
        sys.exit(130)
    except (StudyError, StoreError) as fault:
        emit({"event": "fault", "type": type(fault).__name__, "text": str(fault)})
        sys.exit(4 if isinstance(fault, StoreError) else 2)
    except DifflabError as fault:
        kind = type(fault).__name__ if isinstance(fault, UnavailableError | InputError) else "DifflabError"
        emit({"event": "fault", "type": kind, "text": str(fault)})
        sys.exit(2)


if __name__ == "__main__":
    main()
