"""Cases that try to break the harness: each gets its outcome and reason, nothing of it survives, the run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from harness_misdeeds import MISDEEDS
from harness_runs import HERE, run, start, write_study

from difflab.harness import limits, oom, store
from difflab.harness.descendants import alive, marked
from difflab.harness.process import Worker, ask, wait_for
from difflab.harness.results import Results
from difflab.harness.watchdog import Watchdog

pytestmark = pytest.mark.long

MARK = "DIFFLAB_TEST_OF_LIMITS"
UNREADABLE = "the worker sent something unreadable in phase memory"
KILLED = "the worker died of SIGKILL (killed from outside; nothing says by whom) in phase "
TIME = "the time limit of 3 s was over"

# what a case does, the outcome, and a part of the reason
EXPECTED = {
    "allocate in LAPACK": ("memory_limit", "MemoryError: the memory limit was reached"),
    "allocate in children": ("memory_limit", "stopped by the watchdog in phase memory: the 6 processes of the case"),
    "share with children": ("ok", ""),
    "share a mapping": ("memory_limit", "stopped by the watchdog in phase memory: the worker held "),
    "detach": ("ok", ""),
    "detach and hang": ("timeout", f"stopped in phase memory: {TIME}"),
    "detach and crash": ("crash", "the worker died of SIGSEGV (segmentation fault) in phase memory (harness_misdeeds"),
    "detach and kill the guardian": ("crash", f"{KILLED}memory"),
    "stop the guardian": ("timeout", f"stopped in phase memory: {TIME}"),
    "run away": ("ok", ""),
    "stop myself": ("timeout", f"stopped in phase memory: {TIME}"),
    "signal my group": ("crash", f"{KILLED}memory"),
    "flood with garbage": ("lost", UNREADABLE),
    "flood without an end": ("lost", "the worker sent more than 64 MiB of messages in phase memory"),
    "flood with brackets": ("lost", UNREADABLE),
    "flood with messages": ("timeout", f"stopped in phase flood: {TIME}"),
    "answer nonsense": ("lost", UNREADABLE),
    "overflow the stack": ("crash", "the worker died of SIGSEGV (segmentation fault) in phase memory (harness_misdeed"),
    "leave threads": ("ok", ""),
    "close everything": ("crash", "the worker ended by itself with exit code 1 in phase memory before it had answered"),
    "close everything and hang": ("lost", "the worker closed its channel in phase memory without an answer"),
    "mute": ("crash", "MuteError (at harness_misdeeds.py:"),
    "chatty": ("crash", "ChattyError: wwwwww"),
    "KeyboardInterrupt": ("crash", "KeyboardInterrupt (at harness_misdeeds.py:"),
    "GeneratorExit": ("crash", "GeneratorExit (at harness_misdeeds.py:"),
    "BaseException": ("crash", "Own (at harness_misdeeds.py:"),
}


class Found(NamedTuple):
    """A run, what it left running, and the numbers of the processes that its cases had detached."""

    results: Results
    left: list[int]
    detached: list[int]


def _misdeed(how: str, notes: Path) -> str:
    name = "harness_doubles:Double"
    return f'[[backend]]\nname = "{name}"\nlabel = "{how}"\nhow = "{how}"\nnotes = "{notes}"\n'


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    folder = tmp_path_factory.mktemp("limits")
    notes = folder / "notes"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, folder.name)
        path = write_study(folder, "".join(_misdeed(how, notes) for how in [*MISDEEDS, "well"]))
        path.write_text(path.read_text().replace("seconds = 1.5", "seconds = 3"))  # some work with many processes
        results = run(path, folder / "run")
        left = marked(f"{MARK}={folder.name}".encode())
        detached = [int(line) for line in notes.read_text().split()]
        yield Found(results, left, detached)


def test_every_misdeed_is_expected_to_have_an_outcome() -> None:
    assert list(EXPECTED) == list(MISDEEDS)


@pytest.mark.parametrize("how", EXPECTED)
def test_every_misdeed_gets_its_outcome_and_its_reason(found: Found, how: str) -> None:
    row = next(row for row in found.results.rows if row["backend"] == how)
    outcome, reason = EXPECTED[how]
    assert (row["outcome"], row["reason"][: len(reason)]) == (outcome, reason)
    assert len(row["reason"]) <= limits.REASON_LENGTH
    assert row["reason"].isprintable()


def test_the_watchdog_tells_the_figure_and_the_limit(found: Found) -> None:
    rows = {row["backend"]: row for row in found.results.rows}
    for how in ("allocate in children", "share a mapping"):
        assert rows[how]["reason"].endswith("of memory more than before the case began; the limit is 300 MiB")
        assert rows[how]["phase"] == "memory"
    assert rows["well"]["memory_enforced"] in ("RLIMIT_DATA + watchdog", "RLIMIT_DATA + cgroup v2")


def test_the_run_went_on_after_each(found: Found) -> None:
    assert found.results.finished
    assert [row["backend"] for row in found.results.rows] == [*EXPECTED, "well"]
    assert found.results.rows[-1]["outcome"] == "ok"
    assert found.results.rows[-1]["processes"] == 1


def test_nothing_that_a_case_started_outlives_the_run(found: Found) -> None:
    assert found.left == []
    # what is detached in the last moment may be ended before it has told its number
    assert len(found.detached) >= 3
    assert [pid for pid in found.detached if alive(pid)] == []


def test_nothing_outlives_a_coordinator_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, tmp_path.name)
    path = write_study(tmp_path, _misdeed("detach and hang", tmp_path / "notes"))
    path.write_text(path.read_text().replace("seconds = 1.5", "seconds = 60"))
    process = start(path, tmp_path / "run")
    _wait_until(lambda: (tmp_path / "notes").exists() and (tmp_path / "notes").read_text().endswith("\n"))
    process.kill()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()
    _wait_until(lambda: not marked(f"{MARK}={tmp_path.name}".encode()))
    assert not alive(int((tmp_path / "notes").read_text()))
    assert store.read(tmp_path / "run")[-1]["kind"] == "started"


def _wait_until(true: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


# ------------------------------------------------------------------------------- one worker


SPEC = {
    "problem": "harness_doubles:SQUARES",
    "size": "tiny",
    "dtype": "float64",
    "operator": "gradient",
    "backend": "harness_doubles:Double",
    "options": {},
    "seed": 0,
}


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(variables={"PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"})
    yield made
    made.close()


def _open(worker: Worker, how: str, memory: int | None = 300 * 2**20) -> dict[str, Any]:
    command = {"do": "open", "spec": {**SPEC, "options": {"how": how}}, "memory": memory}
    answer = ask(worker, command, 30)
    assert answer is not None, worker.verdict
    assert ask(worker, {"do": "prepare", "memory": True}, 30) is not None, worker.verdict
    return answer


@pytest.mark.parametrize(
    ("problem", "command", "outcome"),
    [
        ("NEVER_BUILT", "open", ("timeout", "stopped in phase build: the time limit of 2 s was over")),
        ("NEVER_BUILT", "reference", ("timeout", "stopped in phase reference: the time limit of 2 s was over")),
        ("DIES", "open", ("crash", f"{KILLED}build")),
        ("DIES", "reference", ("crash", f"{KILLED}reference")),
    ],
)
def test_the_phase_is_told_of_references_and_builds_too(
    worker: Worker, tmp_path: Path, problem: str, command: str, outcome: tuple[str, str]
) -> None:
    spec = {**SPEC, "problem": f"harness_doubles:{problem}"}
    order = {"do": command, "spec": spec, "path": str(tmp_path / "reference.npz"), "seconds": 30}
    limit = 2 if outcome[0] == "timeout" else 30
    assert ask(worker, order, limit) is None
    assert worker.verdict is not None
    assert (worker.verdict[0], worker.verdict[1][: len(outcome[1])]) == outcome
    assert worker.phase == {"open": "build"}.get(command, command)


@pytest.mark.parametrize("nbytes", [0, 1 << 20], ids=["short command", "command that no pipe holds"])
def test_a_worker_that_never_reads_nor_speaks_is_ended_by_the_clock(nbytes: int) -> None:
    worker = Worker(module="harness_misdeeds", variables={"PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"})
    try:
        assert ask(worker, {"do": "describe", "more": "x" * nbytes}, 0.5) is None
        assert worker.verdict == ("timeout", "stopped in phase start: the time limit of 0.5 s was over")
        assert not alive(worker.process.pid)
    finally:
        worker.close()


@pytest.mark.parametrize(("risen", "outcome"), [(0, "crash"), (2, "memory_limit")])
def test_a_kill_is_put_down_to_memory_only_if_the_kernel_counted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, risen: int, outcome: str
) -> None:
    counter = oom.Counter(tmp_path / "vmstat", "on this machine")
    counter.path.write_text("pgmajfault 3\noom_kill 7\n")
    monkeypatch.setattr(oom, "counter", lambda: counter)
    worker = Worker(variables={"PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"})
    try:
        _open(worker, "hang")
        worker.send({"do": "memory"}, 30)
        while worker.phase != "memory":
            wait_for([worker])
        counter.path.write_text(f"pgmajfault 9\noom_kill {7 + risen}\n")
        os.kill(worker.pid, signal.SIGKILL)
        while not wait_for([worker]):
            continue
        count = "the kernel's count of processes it has ended for want of memory on this machine rose by 2 meanwhile"
        reason = f"the worker died of SIGKILL in phase memory, and {count}" if risen else f"{KILLED}memory"
        assert worker.verdict == (outcome, reason)
    finally:
        worker.close()


def test_without_a_limit_nothing_is_enforced_and_nobody_watches(worker: Worker) -> None:
    assert _open(worker, "share a mapping", None)["memory_enforced"] is None
    assert ask(worker, {"do": "memory"}, 1.0) is None
    assert worker.verdict == ("timeout", "stopped in phase memory: the time limit of 1 s was over")


def test_the_watchdog_does_not_look_while_samples_are_taken() -> None:
    watchdog = Watchdog(os.getpid(), 2**20)
    assert [phase for phase in ("memory", "calibrate", "sample", "first") if watchdog.due(phase)] == ["memory", "first"]


def test_the_peak_of_a_case_knows_nothing_of_a_fat_coordinator() -> None:
    code = (
        "import os, sys, mmap\n"
        "ballast = mmap.mmap(-1, 2**30)\n"
        "for offset in range(0, 2**30, mmap.PAGESIZE): ballast[offset] = 1\n"
        "from difflab.harness.process import Worker, ask\n"
        "from test_harness_limits import _open\n"
        "from difflab.harness.watchdog import resident\n"
        "worker = Worker()\n"
        "_open(worker, 'well')\n"
        "print(resident(os.getpid()) >> 20, ask(worker, {'do': 'memory'}, 30)['peak_bytes'] >> 20)\n"
        "worker.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    coordinator, peak = map(int, done.stdout.split())
    assert coordinator > 1000
    assert peak < 20
