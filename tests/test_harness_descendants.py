"""What processes start and how it is ended, the watchdog's sums, and messages that are none."""

from __future__ import annotations

import itertools
import json
import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from difflab.harness import descendants, inbox
from difflab.harness.inbox import Inbox, UnreadableError, checked
from difflab.harness.watchdog import Watchdog, proportional, resident

TREE = """
import ctypes, os, signal, sys, threading, time
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER: orphans stay in this tree
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for depth in range(3):
    if os.fork():
        break
    os.setsid()
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
else:
    print(flush=True)
time.sleep(60)
"""
LEADERLESS = """
import ctypes, threading, time
threading.Thread(target=lambda: (print(flush=True), time.sleep(60))).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.fixture
def tree() -> Iterator[subprocess.Popen]:
    """A process with a child, a grandchild and a great-grandchild that ignore what can be ignored."""
    with subprocess.Popen([sys.executable, "-c", TREE], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process
        descendants.end_descendants(process.pid, 5)
        process.kill()


def test_all_that_a_process_started_is_found_each_after_its_parent(tree: subprocess.Popen) -> None:
    found = descendants.descendants(tree.pid)
    assert len(found) == 3
    assert [descendants.children(pid) for pid in [tree.pid, *found]] == [[pid] for pid in found] + [[]]
    assert tree.pid in descendants.children(os.getpid())


def test_a_kernel_without_lists_of_children_is_asked_otherwise(
    tree: subprocess.Popen, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = descendants.descendants(tree.pid)

    def missing(path: str, mode: str) -> object:
        if path.endswith("/children"):
            raise FileNotFoundError(path)
        return open(path, mode)

    monkeypatch.setattr(descendants, "open", missing, raising=False)
    assert descendants.descendants(tree.pid) == found


def test_all_of_it_is_ended_and_the_root_stays(tree: subprocess.Popen) -> None:
    found = descendants.descendants(tree.pid)
    assert descendants.end_descendants(tree.pid, 5)
    assert [pid for pid in found if descendants.alive(pid)] == []
    assert tree.poll() is None


def test_an_orphan_that_moves_while_it_is_looked_for_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    root, parent, orphan = (2**22 + number for number in (1, 2, 3))
    living, below = {root, parent, orphan}, {root: [parent], parent: [orphan], orphan: []}

    def children(pid: int) -> list[int]:
        if pid == parent and parent in living:  # it ends between the look at the root and the look at it
            living.discard(parent)
            below.update({root: [orphan], parent: []})
        return below[pid]

    def signalled(pids: set[int], number: signal.Signals) -> None:
        living.difference_update(pids if number == signal.SIGKILL else ())

    monkeypatch.setattr(descendants, "children", children)
    monkeypatch.setattr(descendants, "alive", living.__contains__)
    monkeypatch.setattr(descendants, "_signal", signalled)
    assert descendants.end_descendants(root, 5)
    assert living == {root}


def test_what_cannot_be_ended_is_told(tree: subprocess.Popen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    assert not descendants.end_descendants(tree.pid, 0.05)
    assert not descendants.end_marked(_mark(tree), 0.05)
    monkeypatch.undo()


def test_what_forks_faster_than_it_is_stopped_cannot_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[signal.Signals, set[int]] = {signal.SIGSTOP: set(), signal.SIGKILL: set()}
    fresh = itertools.count(2**22 + 1)
    monkeypatch.setattr(descendants, "descendants", lambda pid: [next(fresh)])
    monkeypatch.setattr(descendants, "_signal", lambda pids, number: sent[number].update(pids))
    assert not descendants.end_descendants(os.getpid(), 0.05)
    assert sent[signal.SIGSTOP] == sent[signal.SIGKILL] != set()  # nothing is left stopped


def _mark(process: subprocess.Popen) -> bytes:
    """An entry of the environment that only this test's processes have: ``pytest`` names the test there."""
    entries = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    return next(entry for entry in entries if entry.startswith(b"PYTEST_CURRENT_TEST="))


def test_processes_are_found_by_their_mark_wherever_they_hang(tree: subprocess.Popen) -> None:
    found = [tree.pid, *descendants.descendants(tree.pid)]
    mark = _mark(tree)
    assert sorted(descendants.marked(mark)) == sorted(found)
    assert descendants.marked(mark[:-1]) == []
    assert descendants.end_marked(mark, 5)
    assert tree.wait(5) == -signal.SIGKILL


def test_a_process_whose_first_thread_has_ended_is_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", LEADERLESS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.001)
        assert descendants.alive(process.pid)
        process.kill()
        while len(os.listdir(f"/proc/{process.pid}/task")) > 1:
            time.sleep(0.001)
        assert not descendants.alive(process.pid)  # a zombie, as nobody has waited for it
    assert not descendants.alive(process.pid)


# ------------------------------------------------------------------------------- the watchdog


HOLD = """
import mmap, os, sys, time
block = mmap.mmap(-1, int(sys.argv[1]), flags=mmap.MAP_SHARED if sys.argv[2] == "shared" else mmap.MAP_PRIVATE)
for offset in range(0, len(block), mmap.PAGESIZE):
    block[offset] = 1
for _child in range(int(sys.argv[3])):
    if os.fork() == 0:
        time.sleep(60)
print(flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["shared", "private"])
@pytest.mark.parametrize("children", [0, 3])
def test_the_watchdog_counts_memory_once_however_many_share_it(kind: str, children: int) -> None:
    size = 64 * 2**20
    watchdogs = [Watchdog(os.getpid(), 2 * size), Watchdog(os.getpid(), size // 2)]
    command = [sys.executable, "-c", HOLD, str(size), kind, str(children)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            generous, strict = (watchdog.excess() for watchdog in watchdogs)
            assert generous is None
            assert strict is not None
            assert strict.endswith("of memory more than before the case began; the limit is 32 MiB")
            who = "the 4 processes of the case held " if children else "the worker held "
            assert strict.startswith(who)
            assert 64 <= float(strict.removeprefix(who).split()[0]) < 110
        finally:
            descendants.end_descendants(process.pid, 5)
            process.kill()


def test_after_a_look_the_watchdog_rests() -> None:
    watchdog = Watchdog(os.getpid(), 2**30)
    assert watchdog.due("memory")
    assert watchdog.excess() is None
    assert not watchdog.due("memory")
    watchdog.next_look -= 60.0
    assert watchdog.due("memory")


def test_sizes_of_a_process_that_is_not_there_are_nought() -> None:
    assert resident(2**22 + 1) == proportional(2**22 + 1) == 0
    with mmap.mmap(-1, 2**24) as block:
        before = resident(os.getpid())
        for offset in range(0, 2**24, mmap.PAGESIZE):
            block[offset] = 1
        assert resident(os.getpid()) - before > 2**23


# ------------------------------------------------------------------------------- messages


@pytest.fixture
def pipe() -> Iterator[tuple[Inbox, int]]:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield Inbox(reading, 2**20), writing
    os.close(reading)
    os.close(writing)


def test_messages_arrive_whole_however_they_are_cut(pipe: tuple[Inbox, int]) -> None:
    inbox, writing = pipe
    text = b"".join(json.dumps({"kind": "phase", "phase": f"p{i}"}).encode() + b"\n" for i in range(3))
    found = []
    for i in range(len(text)):
        os.write(writing, text[i : i + 1])
        found += inbox.take()
    assert [message["phase"] for message in found] == ["p0", "p1", "p2"]
    assert not inbox.closed


def test_a_flood_is_read_a_bounded_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    line = json.dumps({"kind": "phase", "phase": "x"}).encode() + b"\n"
    chunk = line * (inbox.CHUNK_BYTES // len(line))
    monkeypatch.setattr(inbox, "read", lambda descriptor: chunk)  # a pipe that is never empty
    flooded = Inbox(0, 2**21)
    assert len(list(flooded.take())) == len(chunk) // len(line) * (inbox.AT_ONCE_BYTES // inbox.CHUNK_BYTES)
    assert list(flooded.take())
    with pytest.raises(UnreadableError, match="more than 2 MiB of messages"):
        list(flooded.take())


def test_a_line_without_end_is_refused_when_it_is_too_long(pipe: tuple[Inbox, int]) -> None:
    inbox, writing = pipe
    for _ in range(2**20 // 2**16):
        os.write(writing, b"[" * 2**16)
        assert list(inbox.take()) == []
    os.write(writing, b"[")
    with pytest.raises(UnreadableError, match="more than 1 MiB of messages"):
        list(inbox.take())
    inbox.expect_answer()
    assert list(inbox.take()) == []


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[]",
        b"3",
        b"null",
        b"[" * 100_000,
        b'{"kind": "unknown"}',
        b'{"kind": "answer"}',
        b'{"kind": "answer", "data": [1]}',
        b'{"kind": "answer", "data": {"call_s": NaN}}',
        b'{"kind": "answer", "data": {"call_s": -Infinity}}',
        b'{"kind": "partial", "data": 3}',
        b'{"kind": "verdict", "outcome": "splendid", "reason": ""}',
        b'{"kind": "verdict", "outcome": [], "reason": ""}',
        b'{"kind": "answer", "data": {"call_s": 1e999}}',
        b'{"kind": "hello", "pid": "x"}',
        b'{"kind": "hello", "pid": 1e999}',
        b'{"kind": ["phase"], "phase": "x"}',
        b"9" * 10_000,
    ],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(UnreadableError):
        checked(line)


def test_texts_of_messages_are_short_and_printable() -> None:
    assert checked(json.dumps({"kind": "phase", "phase": "a\n\x1b" + "b" * 100}).encode()) == {
        "kind": "phase",
        "phase": "a ?" + "b" * 34 + "...",
    }
    found = checked(json.dumps({"kind": "verdict", "outcome": "crash", "reason": "\ud800" * 10**6}).encode())
    assert len(found["reason"]) == 400
