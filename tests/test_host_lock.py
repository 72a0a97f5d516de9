"""The lock of the machine: untimed work side by side, timing alone, nothing left behind by the dead."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness_runs import double, run, start, write_study

from difflab.harness import host_lock
from difflab.harness.books import Books
from difflab.harness.host_lock import FOLDER_VARIABLE, HostLock, default_folder
from difflab.harness.ledger import Ledger
from difflab.harness.study import Timing

HOLD = """
import sys, time
from pathlib import Path
from difflab.harness.host_lock import HostLock
with getattr(HostLock(print, Path(sys.argv[1])), sys.argv[2])():
    print("held", flush=True)
    time.sleep(60)
"""


def _holder(folder: Path, how: str) -> subprocess.Popen:
    """A process that holds the lock until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def _end(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.parametrize(
    ("held", "wanted", "waits"),
    [("shared", "shared", False), ("shared", "exclusive", True), ("exclusive", "shared", True)],
)
def test_who_waits_for_whom(tmp_path: Path, held: str, wanted: str, waits: bool) -> None:
    other, told, got = _holder(tmp_path, held), [], threading.Event()

    def take() -> None:
        with getattr(HostLock(told.append, tmp_path), wanted)():
            got.set()

    thread = threading.Thread(target=take)
    thread.start()
    try:
        assert got.wait(1.5) != waits
        assert told == (["waiting for another difflab run on this machine"] if waits else [])
    finally:
        _end(other)  # killed: the kernel lets go of its lock
    assert got.wait(30)
    thread.join()


def test_a_stream_of_untimed_work_does_not_keep_timing_waiting(tmp_path: Path) -> None:
    stop, timed = threading.Event(), threading.Event()

    def untimed() -> None:
        lock = HostLock(print, tmp_path)
        while not stop.is_set():
            with lock.shared():
                time.sleep(0.05)

    threads = [threading.Thread(target=untimed) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        with HostLock(print, tmp_path).exclusive():
            timed.set()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert timed.is_set()


def test_it_is_not_taken_twice_by_mistake(tmp_path: Path) -> None:
    lock = HostLock(print, tmp_path)
    with lock.shared(), pytest.raises(AssertionError, match=r"held already \(shared\)"), lock.exclusive():
        raise RuntimeError("not reached")
    with lock.exclusive(), pytest.raises(AssertionError, match=r"held already \(exclusive\)"), lock.shared():
        raise RuntimeError("not reached")
    with lock.shared():  # neither of them is held any more
        other = HostLock(pytest.fail, tmp_path)
        with other.shared():
            pass


def test_a_folder_that_holds_no_lock_is_told_and_locks_nothing(tmp_path: Path) -> None:
    lock = HostLock(print, tmp_path / "missing")
    assert lock.missing is not None
    assert "difflab-host.turnstile cannot be opened: No such file or directory" in lock.missing
    with lock.exclusive(), HostLock(pytest.fail, tmp_path / "missing").exclusive():
        assert not (tmp_path / "missing").exists()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / "difflab-host.lock").symlink_to(tmp_path / "target")
    assert HostLock(print, tmp_path).missing is not None
    assert (tmp_path / "target").read_text() == "precious"


def test_every_user_may_lock_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        HostLock(print, tmp_path).close()
    finally:
        os.umask(before)
    assert all((tmp_path / name).stat().st_mode & 0o666 == 0o666 for name in os.listdir(tmp_path))


def test_the_folder_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert default_folder() == tmp_path
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert default_folder().is_dir()


def test_who_has_waited_tells_again_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(host_lock, "QUIET_SECONDS", 0.0)
    told: list[str] = []
    study: Any = SimpleNamespace(kind=SimpleNamespace(reference=False), timing=Timing(processes=1), timed=True)
    target: Any = None
    books = Books(study, [], target, Ledger(), lambda event: told.append(event["text"]), 0, False)
    books.running("timing")
    other = _holder(tmp_path, "exclusive")
    thread = threading.Timer(0.5, other.kill)
    thread.start()
    with books.lock.exclusive():
        books.still_running()
    thread.join()
    _end(other)
    books.close()
    assert told == ["timing", "waiting for another difflab run on this machine", "timing"]


@pytest.mark.long
def test_two_runs_do_not_time_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    path = write_study(tmp_path, double("well"))
    other = _holder(tmp_path, "exclusive")
    process, folder = start(path, tmp_path / "run"), tmp_path / "run"
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    assert any("waiting for another difflab run on this machine" in line for line in lines)
    assert not folder.exists()  # not even what there is to choose from is looked up: that loads the machine
    _end(other)
    assert '"event": "done"' in list(lines)[-1]
    process.stdout.close()
    assert process.wait(30) == 0
    assert [row["outcome"] for row in run(path, folder).rows] == ["ok"]
