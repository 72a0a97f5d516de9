"""Ctrl-C in every phase of real runs: the round is finished, the page written, nothing measured twice; and SIGTERM."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness_runs import HERE, PROBLEM, double

from difflab.harness import engine, host_lock, interrupts, results, store
from difflab.harness.interrupts import Stop
from difflab.harness.request import Request

SCRIPT = """
import json, sys
import difflab
def tell(event):
    print(json.dumps(event), flush=True)
try:
    difflab.run(sys.argv[1], out=sys.argv[2], quick="--quick" in sys.argv, progress=tell)
except KeyboardInterrupt:
    sys.exit(130)
"""
STUDY = (
    'title = "T"\nquestion = "Q"\n{answer}'
    + PROBLEM.format(sizes='["tiny"]')
    + "{backends}[limits]\nseconds = {seconds}\n{timing}"
)
TIMING = "[timing]\nprocesses = 2\nmost_processes = 2\nsamples = 3\n"
WELL = double("well") + double("null")


class Run:
    """A run in a Python process of its own, in a session of its own."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        self.folder = folder / "run"
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder / "study.toml"), str(self.folder), *options],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}", **environment},
            start_new_session=True,
            text=True,
        )
        self.events: list[dict[str, Any]] = []

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait for an event."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if holds(self.events[-1]):
                return self.events[-1]
        raise AssertionError(f"ended with {self.process.wait(60)} before that came: {self.events[-3:]}")

    def says(self, word: str) -> dict[str, Any]:
        """Wait until it says a word about what runs."""
        return self.until(lambda event: word in event.get("text", ""))

    def times(self, cases: int) -> None:
        """Wait until so many cases are opened to be timed: their round is under way."""
        events, end = self.folder / store.EVENTS, time.monotonic() + 60
        while not events.exists() or events.read_bytes().count(b'"kind":"started","pass":"time"') < cases:
            assert time.monotonic() < end
            time.sleep(0.01)

    def interrupt(self, group: bool = False, number: int = signal.SIGINT) -> None:
        """A signal to this process, or to all of its group as from a terminal."""
        (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self) -> int:
        """Read on to the end; the exit code. Nobody that it started lives on."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        assert self.process.stdout is not None
        self.events += [json.loads(line) for line in self.process.stdout]
        self.process.stdout.close()
        code = self.process.wait(60)
        psutil.wait_procs(below, 10)
        assert not [one for one in below if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        return code

    def seen(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind that have come."""
        return [one for one in self.events if one["event"] == kind]


def write(folder: Path, backends: str = WELL, seconds: float = 5, answer: str = "", timing: str = TIMING) -> None:
    text = STUDY.format(backends=backends, seconds=seconds, answer=answer, timing=timing)
    (folder / "study.toml").write_text(text)


def stored(folder: Path) -> collections.Counter[tuple[Any, ...]]:
    """What a run folder holds, and how often."""
    of_case = {"checked": ("case",), "epoch": ("case", "epoch"), "finished": ("case",)}
    names = {"calibrated": (), "reference": ("truth",), **of_case}
    return collections.Counter(
        (one["kind"], *[one[name] for name in names[one["kind"]]])
        for one in store.read(folder / "run")
        if one["kind"] in names
    )


@pytest.mark.long
def test_an_interrupt_in_every_phase_loses_nothing_and_nothing_is_measured_twice(tmp_path: Path) -> None:
    write(tmp_path)
    for k, phase in enumerate(("calibrating", "certifying", "checking memory", "process 1")):
        before = stored(tmp_path) if (tmp_path / "run").exists() else collections.Counter()
        run = Run(tmp_path)
        run.says(phase)
        run.interrupt(group=k % 2 == 0)
        assert run.end() == 130
        (stopping,) = run.seen("stopping")
        assert stopping["text"] == interrupts.finishing(stopping["seconds"])
        assert run.seen("interrupted") == [{"event": "interrupted", "folder": str(run.folder), "at_once": False}]
        assert store.read(run.folder)[-1]["kind"] == "run_interrupted"
        assert (run.folder / "index.html").stat().st_size > 10_000
        assert len(run.seen("report")) == 1
        assert len(stored(tmp_path)) > len(before), "the round under way was finished"
    last = Run(tmp_path)
    assert last.end() == 0
    found = stored(tmp_path)
    assert set(found.values()) == {1}, "nothing is there twice"
    assert collections.Counter(kind for kind, *_ in found) == {
        "calibrated": 1, "reference": 1, "checked": 2, "epoch": 4, "finished": 2,
    }  # fmt: skip
    assert [(row["outcome"], row["processes"]) for row in results.load(last.folder).rows] == [("ok", 2)] * 2


@pytest.mark.long
def test_a_second_interrupt_stops_at_once(tmp_path: Path) -> None:
    write(tmp_path, double("well") + double("hang in prepare"), seconds=30)
    run = Run(tmp_path, "--quick")
    run.times(cases=2)  # of which one hangs
    run.interrupt()
    run.until(lambda event: event["event"] == "stopping")
    time.sleep(2 * interrupts.SAME_SECONDS)
    begun = time.monotonic()
    run.interrupt(group=True)
    assert run.end() == 130
    assert time.monotonic() - begun < 30, "it did not wait for the case"
    assert [one["at_once"] for one in run.seen("interrupted")] == [True]
    assert not (run.folder / "index.html").exists()
    assert not [one for one in stored(tmp_path) if one[0] in ("epoch", "finished")]


@pytest.mark.long
def test_a_termination_stops_at_once_and_ends_the_process_by_its_signal(tmp_path: Path) -> None:
    write(tmp_path, double("well") + double("hang in prepare"), seconds=30)
    run = Run(tmp_path, "--quick")
    run.times(cases=2)
    run.interrupt(number=signal.SIGTERM)
    assert run.end() == -signal.SIGTERM
    assert store.read(run.folder)[-1]["kind"] == "run_interrupted"
    assert not run.seen("stopping")


@pytest.mark.long
def test_an_interrupt_while_cases_are_examined_or_the_page_is_written(tmp_path: Path) -> None:
    text = (
        'title = "T"\nquestion = "Q"\nanswer = "steps"\n[[problem]]\nname = "xor"\nsizes = ["tiny"]\n'
        '[[problem]]\nname = "two-layer"\nsizes = ["small"]\n[[backend]]\nname = "finite"\n'
        '[[backend]]\nname = "complex-step"\n'
    )
    (tmp_path / "study.toml").write_text(text)
    run = Run(tmp_path, "--quick")
    run.says("examining")
    run.interrupt()
    assert run.end() == 130
    examined = stored(tmp_path)
    assert 1 <= len([one for one in examined if one[0] == "finished"]) < 4
    again = Run(tmp_path, "--quick")
    again.says("writing the page")
    again.interrupt(group=True)
    assert again.end() == 130
    found = stored(tmp_path)
    assert set(found.values()) == {1}
    assert len([one for one in found if one[0] == "finished"]) == 4
    assert Run(tmp_path, "--quick").end() == 0
    assert stored(tmp_path) == found
    assert (tmp_path / "run" / "index.html").exists()


@pytest.mark.long
def test_an_interrupt_while_the_machine_is_somebody_elses_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path)
    with host_lock.HostLock(print, tmp_path).exclusive():
        run = Run(tmp_path, **{host_lock.FOLDER_VARIABLE: str(tmp_path)})
        run.says("waiting for another difflab run on this machine")
        run.interrupt()
        assert run.end() == 130
    assert not run.folder.exists()
    assert not run.seen("stopping")


@pytest.mark.long
def test_an_interrupt_as_soon_as_the_run_is_told_of_is_an_end_like_any_other(tmp_path: Path) -> None:
    text = 'title = "T"\nquestion = "Q"\n[[problem]]\nname = "xor"\nsizes = ["tiny"]\n[[backend]]\nname = "reverse"\n'
    (tmp_path / "study.toml").write_text(text)
    told: list[dict[str, Any]] = []

    def tell(event: dict[str, Any]) -> None:
        told.append(event)
        if event["event"] == "run":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.run(Request(str(tmp_path / "study.toml"), str(tmp_path / "run"), quick=True), tell, Stop())
    assert told[-1] == {"event": "interrupted", "folder": str(tmp_path / "run"), "at_once": False}
    assert store.read(tmp_path / "run")[-1]["kind"] == "run_interrupted"


@pytest.mark.long
def test_the_command_line_says_how_to_go_on_in_a_document_too(tmp_path: Path) -> None:
    write(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "difflab", "run", "study.toml", "--out", "here", "--seed", "3", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "2 cases, stored in here" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    again = "difflab run study.toml --out here --seed 3"
    assert rest.splitlines()[-1] == f"difflab: Interrupted. To go on: {again}"
    document = json.loads(out)
    assert (document["interrupted"], document["resume"], document["finished"]) == (True, again, False)
    assert [row["outcome"] for row in document["rows"]] == ["interrupted"] * 2


# ---------------------------------------------------------------------------- the rules, without processes


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times that rounds were given."""
    given: list[float] = []
    monkeypatch.setattr(interrupts.signal, "setitimer", lambda _, seconds: given.append(seconds))
    return given


def test_outside_of_a_round_every_signal_stops_at_once(alarms: list[float]) -> None:
    stop = Stop()
    with pytest.raises(KeyboardInterrupt):
        stop.signalled(signal.SIGINT, None)
    assert (stop.requested, stop.at_once, alarms) == (True, False, [])


def _round(stop: Stop, left: float | None, work: Callable[[], object]) -> None:
    with stop.round(lambda: left):
        work()


def test_a_round_comes_to_its_end_within_the_time_that_was_told(alarms: list[float]) -> None:
    told: list[float] = []
    stop, done = Stop(told.append), []

    def work() -> None:
        stop.signalled(signal.SIGINT, None)
        stop.signalled(signal.SIGINT, None)  # the same Ctrl-C, passed on by the process above
        done.append("the rest of the round")

    with pytest.raises(KeyboardInterrupt):
        _round(stop, 4.0, work)
    assert (done, told, alarms, stop.at_once) == (["the rest of the round"], [8], [8, 0], False)


@pytest.mark.parametrize(("number", "at_once"), [(signal.SIGALRM, False), (signal.SIGTERM, True)])
def test_a_round_that_takes_too_long_is_cut_off(alarms: list[float], number: int, at_once: bool) -> None:
    stop, done = Stop(), []

    def work() -> None:
        stop.signalled(signal.SIGINT, None)
        done.append("begun")
        stop.signalled(number, None)
        done.append("finished")

    with pytest.raises(KeyboardInterrupt):
        _round(stop, None, work)
    assert (done, alarms, stop.at_once) == (["begun"], [interrupts.UNKNOWN, 0], at_once)


def test_a_fault_in_a_round_is_not_hidden_by_an_interrupt(alarms: list[float]) -> None:
    stop = Stop()

    def work() -> None:
        stop.signalled(signal.SIGINT, None)
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        _round(stop, 1e6, work)
    assert alarms == [interrupts.MOST, 0]
