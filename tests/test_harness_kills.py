"""Coordinators that are killed or interrupted, and what the next one makes of it."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness_runs import double, kill_when, run, start, write_study

from difflab.harness import results, store
from difflab.harness.results import Results

pytestmark = pytest.mark.long


def _measured(found: Results) -> dict[str, Any]:
    return {row["case"]: (row["outcome"], row["processes"]) for row in found.rows}


def test_killed_again_and_again_it_ends_with_the_same_cases_none_twice(tmp_path: Path) -> None:
    backends = "".join(map(double, ("well", "null", "wrong")))
    path = write_study(tmp_path, backends, '["tiny", "small"]', processes=3)
    undisturbed = run(path, tmp_path / "calm")
    folder, killed = tmp_path / "killed", 0
    for lines in (1, 4, 9, 15, 20, 27):
        killed += kill_when(start(path, folder), folder, lines)
    assert killed >= 4
    partial = results.load(folder)
    assert not partial.finished
    open_rows = [row for row in partial.rows if row["outcome"] == "interrupted"]
    assert open_rows
    assert all("run it again to go on" in row["reason"] for row in open_rows)
    being = [row for row in open_rows if "while this case was being measured" in row["reason"]]
    assert len(being) <= 3  # those of one block at most
    found = run(path, folder)
    assert _measured(found) == _measured(undisturbed)
    ends = [event["case"] for event in store.read(folder) if event["kind"] == "finished"]
    assert sorted(ends) == sorted(set(ends))
    epochs = [(event["case"], event["epoch"]) for event in store.read(folder) if event["kind"] == "epoch"]
    assert sorted(epochs) == sorted(set(epochs))


def test_workers_do_not_outlive_a_killed_coordinator(tmp_path: Path) -> None:
    path = write_study(tmp_path, double("hang"))
    process = start(path, tmp_path / "run")
    children: list[int] = []
    end = time.monotonic() + 20
    while time.monotonic() < end and not children:
        if (tmp_path / "run" / store.EVENTS).exists():
            children = [child.pid for child in psutil.Process(process.pid).children()]
        time.sleep(0.01)
    assert kill_when(process, tmp_path / "run", 0)
    assert children
    end = time.monotonic() + 5
    while time.monotonic() < end and any(_alive(pid) for pid in children):
        time.sleep(0.01)
    assert not any(_alive(pid) for pid in children)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_interrupt_is_recorded_and_resumed(tmp_path: Path) -> None:
    path = write_study(tmp_path, double("well") + double("hang in prepare"))
    process = start(path, tmp_path / "run")
    events, end = tmp_path / "run" / store.EVENTS, time.monotonic() + 20
    while time.monotonic() < end and not (events.exists() and events.read_bytes().count(b"\n") >= 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert process.stdout is not None
    process.stdout.close()
    assert store.read(tmp_path / "run")[-1]["kind"] == "run_interrupted"
    assert [row["outcome"] for row in run(path, tmp_path / "run").rows] == ["ok", "timeout"]
