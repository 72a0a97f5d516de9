"""What a process has started, directly or not, and how to end all of it.

A process that forks twice or opens a session of its own leaves its process group, but not the tree of processes as
long as the root of the tree adopts orphans (``guardian.py``).  So the tree, read from ``/proc``, is complete.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator

PAUSE_SECONDS = 0.001


def children(pid: int) -> list[int]:
    """The children of a process, of whichever of its threads; empty if there is no such process.

    >>> children(2**22 + 1)
    []
    """
    found: list[int] = []
    for task in _tasks(pid):
        try:
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
        except FileNotFoundError:
            if os.path.exists(f"/proc/{pid}/task/{task}"):  # a kernel that has no such files
                return [child for child in _numbers() if _stat(child)[1] == pid]
        except ProcessLookupError:
            continue  # the thread has just ended
    return found


def descendants(pid: int) -> list[int]:
    """All processes below a process that are alive, each after its parent; the process itself is not among them."""
    found, waiting = [], [pid]
    while waiting:
        below = children(waiting.pop())
        found += below
        waiting += below
    return [one for one in found if alive(one)]


def alive(pid: int) -> bool:
    """Whether there is a process of this number that still runs: a zombie does not.

    >>> import os
    >>> alive(os.getpid())
    True
    """
    state = _stat(pid)[0]
    # the first thread of a process may have ended while others run on
    return state not in ("", "Z", "X") or (state == "Z" and len(_tasks(pid)) > 1)


def end_descendants(pid: int, seconds: float) -> bool:
    """End all processes below a process, which itself stays.

    All are stopped before any is killed: what is stopped cannot fork, nor reap a child whose number somebody else
    would then get.

    Args:
        pid: the root.  It must be one that adopts orphans, or some may be missed.
        seconds: the time after which it gives up; a process inside an uncooperative device driver cannot be ended.

    Returns:
        Whether nothing is left.
    """
    end = time.monotonic() + seconds
    quiet = False
    while True:
        stopped: set[int] = set()
        while fresh := set(descendants(pid)) - stopped:
            _signal(fresh, signal.SIGSTOP)
            stopped |= fresh
            if time.monotonic() > end:  # they fork faster than they can be stopped
                break
        if not stopped:
            # one look is no proof: what ends while it is under way hands its children to a root already looked at
            if quiet:
                return True
            quiet = True
            continue
        quiet = False
        _signal(stopped, signal.SIGKILL)
        if time.monotonic() > end:
            return False
        time.sleep(PAUSE_SECONDS)


def marked(mark: bytes) -> list[int]:
    """The processes whose environment, as it was when they began, has this text as one entry; the caller is left out.

    >>> marked(b"NO_SUCH_VARIABLE=1")
    []
    """
    return [pid for pid in _numbers() if pid != os.getpid() and mark in _environment(pid) and alive(pid)]


def end_marked(mark: bytes, seconds: float) -> bool:
    """End the processes that ``marked`` finds, again until there are none; returns whether nothing is left."""
    end = time.monotonic() + seconds
    while found := marked(mark):
        if time.monotonic() > end:
            return False
        _signal(found, signal.SIGSTOP)
        _signal(found, signal.SIGKILL)
        time.sleep(PAUSE_SECONDS)
    return True


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []  # it has ended, or belongs to somebody else


def _signal(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue  # it has ended, or has become somebody else's: the next look tells


def _numbers() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _stat(pid: int) -> tuple[str, int]:
    """The state letter of a process and the number of its parent; an empty letter if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent, *_ = file.read().rpartition(b")")[2].split(None, 2)
    except OSError:
        return "", 0
    return state.decode(), int(parent)
