"""What a case does in its call to the harness: each by a name that a study gives to ``harness_doubles:Double``."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

LONG = 60
MIB = 2**20


def allocate_in_lapack(_: Path) -> None:
    n = 10_900  # a matrix of 906 MiB, of which the caller holds one number; the copy for LAPACK is work memory
    np.linalg.solve(np.broadcast_to(1.0, (n, n)), np.ones(n))


def allocate_in_children(_: Path) -> None:
    for _child in range(5):
        if os.fork() == 0:
            kept = np.ones(180 * MIB // 8)
            time.sleep(LONG)
            os._exit(int(kept[0]))
    time.sleep(LONG)


def share_with_children(_: Path) -> None:
    """250 MiB that five processes see: below the limit, though the resident sizes add up to far more."""
    kept = np.ones(250 * MIB // 8)
    case, children = os.getpid(), []
    for _child in range(4):
        children.append(os.fork())
        if os.getpid() != case:
            time.sleep(0.5)
            os._exit(int(kept[0]) - 1)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4


def share_a_mapping(_: Path) -> None:
    block = mmap.mmap(-1, 900 * MIB)
    for offset in range(0, len(block), mmap.PAGESIZE):
        block[offset] = 1
    time.sleep(LONG)


def detach(notes: Path) -> None:
    """A grandchild in a session of its own that no process of the case knows any more."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            with notes.open("a") as file:
                file.write(f"{os.getpid()}\n")
            time.sleep(LONG)
        os._exit(0)
    os.wait()
    while not notes.exists() or not notes.read_text().endswith("\n"):
        time.sleep(0.001)


def detach_and_hang(notes: Path) -> None:
    detach(notes)
    time.sleep(LONG)


def detach_and_crash(notes: Path) -> None:
    detach(notes)
    ctypes.string_at(0)


def detach_and_kill_the_guardian(notes: Path) -> None:
    detach(notes)
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(LONG)


def stop_the_guardian(notes: Path) -> None:
    detach(notes)
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(LONG)


def run_away(_: Path) -> None:
    """A process that forks and ends for ever, always with another number."""
    if os.fork() == 0:
        while True:
            if os.fork():
                os._exit(0)
            os.setsid()


def stop_myself(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def signal_my_group(_: Path) -> None:
    os.killpg(0, signal.SIGKILL)


def _flood(text: bytes) -> None:
    """Write for ever into every pipe this process has, its own messages among them."""
    pipes = [int(name) for name in os.listdir("/proc/self/fd") if _is_pipe(name)]
    while True:
        for pipe in pipes:
            try:
                os.write(pipe, text)
            except OSError:
                continue  # the end for reading


def _is_pipe(name: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{name}").startswith("pipe:")
    except OSError:
        return False


def flood_with_garbage(_: Path) -> None:
    _flood(b"{]\n" * 20_000)


def flood_without_an_end(_: Path) -> None:
    _flood(b"[" * 60_000)


def flood_with_brackets(_: Path) -> None:
    _flood(b"[" * 60_000 + b"\n")


def flood_with_messages(_: Path) -> None:
    _flood(json.dumps({"kind": "phase", "phase": "flood"}).encode() + b"\n")


def answer_nonsense(_: Path) -> None:
    _flood(json.dumps({"kind": "answer", "data": [1, 2]}).encode() + b"\n")


def overflow_the_stack(_: Path) -> None:
    ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(4096), b"(" * 2_000_000, 1)  # recursion of the C library


def leave_threads(_: Path) -> None:
    for _thread in range(4):
        threading.Thread(target=lambda: [time.sleep(0.01) for _second in range(100 * LONG)]).start()


def close_everything(_: Path) -> None:
    os.closerange(0, 256)


def close_everything_and_hang(_: Path) -> None:
    os.closerange(0, 256)
    time.sleep(LONG)


class Own(BaseException):
    """Not an ``Exception``."""


class MuteError(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


class ChattyError(Exception):
    """Says too much."""

    def __str__(self) -> str:
        return "w" * MIB


def _raises(fault: type[BaseException]) -> Callable[[Path], None]:
    def raise_it(_: Path) -> None:
        raise fault

    return raise_it


MISDEEDS: dict[str, Callable[[Path], None]] = {
    "allocate in LAPACK": allocate_in_lapack,
    "allocate in children": allocate_in_children,
    "share with children": share_with_children,
    "share a mapping": share_a_mapping,
    "detach": detach,
    "detach and hang": detach_and_hang,
    "detach and crash": detach_and_crash,
    "detach and kill the guardian": detach_and_kill_the_guardian,
    "stop the guardian": stop_the_guardian,
    "run away": run_away,
    "stop myself": stop_myself,
    "signal my group": signal_my_group,
    "flood with garbage": flood_with_garbage,
    "flood without an end": flood_without_an_end,
    "flood with brackets": flood_with_brackets,
    "flood with messages": flood_with_messages,
    "answer nonsense": answer_nonsense,
    "overflow the stack": overflow_the_stack,
    "leave threads": leave_threads,
    "close everything": close_everything,
    "close everything and hang": close_everything_and_hang,
    "mute": _raises(MuteError),
    "chatty": _raises(ChattyError),
    "KeyboardInterrupt": _raises(KeyboardInterrupt),
    "GeneratorExit": _raises(GeneratorExit),
    "BaseException": _raises(Own),
}


if __name__ == "__main__":  # a worker that never says anything
    time.sleep(LONG)
