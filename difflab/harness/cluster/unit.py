"""A unit of work of a run, done on a node of a cluster in the way a run on one machine does it.

``python -m difflab.harness.cluster.unit`` is started by a Dask worker (``remote.py``).  It reads one JSON object, keeps
books of its own in a temporary run folder, does the unit, and writes JSON lines: signs of life, then the result.  Like
the coordinator it never imports NumPy; each case runs in its own limited process.  When its input ends, it ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import budget, checks, environment, forecasts, grid, study_file
from ..books import Books
from ..host_lock import HostLock
from ..ledger import Ledger
from ..probe import Probe
from ..store import BLOBS, Store
from ..study import Study
from .nodes import host, packed, unpacked

END_SECONDS = 10.0


def describe(asked: dict[str, Any]) -> dict[str, Any]:
    """What this machine is and has, for the ``backends`` and ``problems`` of a study.

    Args:
        asked: ``backends`` (names with options), ``problems`` (names), ``threads``, ``timed`` (whether to calibrate).
    """
    lock = HostLock(lambda text: say("running", text=text))
    probe = Probe()
    with lock.shared():
        catalogue = probe([(name, options) for name, options in asked["backends"]], asked["problems"])
    facts = environment.describe(probe.found, asked["threads"])
    speeds = None
    if asked["timed"]:
        with lock.exclusive():
            speeds, _ = forecasts.calibrated(asked["threads"], probe.kernels.variables)
    return {
        "catalogue": packed(catalogue),
        "environment": facts,
        "variables": probe.kernels.variables,
        "host": host(),
        "lock_missing": lock.missing,
        "speeds": speeds,
    }


def study_of(asked: dict[str, Any]) -> Study:
    """The study that the coordinator has read, from its text."""
    catalogue = unpacked(asked["catalogue"])
    return study_file.parse(asked["text"], f"{asked['name']}.toml", lambda *_: catalogue)


def work(asked: dict[str, Any]) -> dict[str, Any]:
    """Do a unit of work.

    Args:
        asked: ``do`` (``reference``, ``check``, ``examine``, ``quick`` or ``epoch``), ``study``, ``seed``, ``quick``,
            ``block`` (its name), ``cases`` (their ids), ``events`` (what is known of them), ``variables`` (of the
            workers' environment), ``folder`` (an empty one but for blobs).

    Returns:
        ``events``, in order, and ``files``: the names of new blobs in the folder.
    """
    study = study_of(asked["study"])
    whole = next(one for one in grid.blocks(study, asked["seed"], asked["quick"]) if one.name == asked["block"])
    block = replace(whole, cases=tuple(case for case in whole.cases if case.id in asked["cases"]))
    folder = Path(asked["folder"])
    (folder / BLOBS).mkdir(exist_ok=True)
    given = set(_files(folder))
    with Store(folder) as target:
        for event in asked["events"]:
            target.append(**event)
        known = len(target.events)
        books = Books(
            study, [block], target, Ledger.of(target.events), _emit, asked["seed"], asked["quick"], asked["variables"]
        )
        try:
            _do(asked["do"], books, block)
        finally:
            books.close()
        return {"events": target.events[known:], "files": sorted(set(_files(folder)) - given)}


def _do(what: str, books: Books, block: grid.Block) -> None:
    if what == "reference":
        checks.run_jobs(checks.reference_jobs(books), books)
    elif what == "check":
        checks.run_jobs(checks.check_jobs(books), books)
    elif what == "examine":
        checks.run_jobs(checks.examine_jobs(books), books)
    elif what == "quick":
        budget.quick(books)
    else:
        budget.run_epoch(books, block, list(block.cases))


def _files(folder: Path) -> list[str]:
    return [f"{BLOBS}/{path.name}" for path in (folder / BLOBS).iterdir()]


def _emit(event: dict[str, Any]) -> None:
    if event["event"] == "running":
        say("running", text=event["text"])


def say(event: str, **data: Any) -> None:
    """Write one line for the Dask worker."""
    print(json.dumps({"event": event, **data}), flush=True)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _end_with_input() -> None:
    """When the Dask worker closes the input or dies, end in good order; if that takes long, end."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(END_SECONDS)
    os._exit(1)


def main() -> None:
    """Serve one unit; see the module's text."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        asked = json.loads(sys.stdin.buffer.readline())
        threading.Thread(target=_end_with_input, daemon=True).start()
        say("result", data=describe(asked) if asked["do"] == "describe" else work(asked))
        code = 0
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    os._exit(code)  # at once: the other thread still reads


if __name__ == "__main__":
    main()
