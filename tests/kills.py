"""Sixty SIGKILLs of coordinators at random moments of real runs: the next one goes on, nothing is lost or twice.

    python tests/kills.py [--kills N] [--seed N]

Every run is killed again and again until it comes to its end; then another begins.  At least ten kills must hit while
a worker is in its timing phase.  Afterwards every run is compared with an undisturbed one: the same case ids, as many
``ok``, every case finished once and every epoch there once, and no process of difflab left over.
"""

from __future__ import annotations

import argparse
import collections
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from harness_runs import start

from difflab.harness import results, store
from difflab.harness.ledger import Ledger

PROCESSES = 4  # of every case
STUDY = f"""
title = "Killed again and again"
question = "Is anything lost?"
[[problem]]
name = "xor"
sizes = ["tiny"]
[[problem]]
name = "two-layer"
sizes = ["small"]
[[backend]]
name = "reverse"
[[backend]]
name = "complex-step"
[timing]
processes = {PROCESSES}
most_processes = {PROCESSES}
samples = 3
"""
LONGEST = 2.0  # seconds until a kill, at most, where a run takes three times as long or less
TIMED_AT_LEAST = 10


def _end(process: Any) -> None:
    assert process.stdout is not None
    process.stdout.close()
    process.wait(60)


def _lives(process: psutil.Process) -> bool:
    """Whether it runs; whoever adopts an orphan may take seconds to reap it, and a run need not wait for that."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.is_running()
    except psutil.NoSuchProcess:
        return False


def kill_once(path: Path, folder: Path, seconds: float) -> str | None:
    """Start or resume a run and kill its coordinator after a while; what it was doing, ``None`` if it had ended."""
    process = start(path, folder)
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.005)
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    _end(process)
    if process.returncode == 0:
        return None
    assert process.returncode == -9, f"the coordinator ended with exit code {process.returncode}"
    end = time.monotonic() + 10
    while any(_lives(one) for one in below):
        assert time.monotonic() < end, "a worker lives on"
        time.sleep(0.005)
    if not (folder / store.EVENTS).exists():
        return "starting"
    ledger = Ledger.of(store.read(folder))
    passes = {ledger.begun[case] for case in ledger.active}
    return "timing" if "time" in passes else "checking" if passes else "between"


def run_to_its_end(path: Path, folder: Path) -> dict[str, str]:
    """Resume a run until it is finished; its outcomes by case id."""
    process = start(path, folder)
    assert process.stdout is not None
    process.stdout.read()
    _end(process)
    assert process.returncode == 0, f"the coordinator ended with exit code {process.returncode}"
    return judged(folder)


def judged(folder: Path) -> dict[str, str]:
    """The outcomes of a finished run by case id, after checking that nothing in it is there twice."""
    events = store.read(folder)
    for kind, key in (("finished", ("case",)), ("epoch", ("case", "epoch")), ("reference", ("truth",))):
        seen = [tuple(event[name] for name in key) for event in events if event["kind"] == kind]
        assert len(seen) == len(set(seen)), f"{kind} is there twice in {folder}"
    found = results.load(folder)
    assert found.finished, f"{folder} is not finished"
    assert all(row["processes"] == PROCESSES for row in found.rows if row["outcome"] == "ok")
    return {row["case"]: row["outcome"] for row in found.rows}


def main() -> int:
    """Kill, resume, compare, and print what the kills hit."""
    parser = argparse.ArgumentParser(description="Kill coordinators at random moments.")
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    chosen: Any = parser.parse_args()
    generator, hits, killed = random.Random(chosen.seed), collections.Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="difflab-kills-") as name:
        work = Path(name)
        path = work / "study.toml"
        path.write_text(STUDY)
        begin = time.monotonic()
        calm = run_to_its_end(path, work / "calm")
        longest = max(LONGEST, (time.monotonic() - begin) / 3)  # on a slow machine a run must still get on
        assert set(calm.values()) == {"ok"}, calm
        runs = 0
        while killed < chosen.kills:
            folder = work / f"run-{runs}"
            hit = kill_once(path, folder, generator.uniform(0.0, longest))
            if hit is None:
                assert judged(folder) == calm, f"{folder} differs from the undisturbed run"
                runs += 1
            else:
                killed += 1
                hits[hit] += 1
        assert run_to_its_end(path, work / f"run-{runs}") == calm, "the last run differs from the undisturbed one"
    print(f"{killed} kills of {runs + 1} runs: " + ", ".join(f"{count} {what}" for what, count in hits.most_common()))
    print(f"after each run the same {len(calm)} case ids, {len(calm)} ok, none lost, none twice")
    if hits["timing"] < min(TIMED_AT_LEAST, chosen.kills // 6):
        print(f"too few kills hit a worker in its timing phase; at least {TIMED_AT_LEAST} are wanted")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
