"""Control groups (cgroup v2) of workers, where the system has delegated one to us: the kernel's own limit of memory.

A group counts everything its processes hold, page tables and files of ``tmpfs`` included, its limit cannot be
overshot, it says whether the kernel ended a process for want of memory, and it ends all its processes at once.
"Delegated" means more than "may be written": a service manager owns the groups it has made, except those it has
given away (``systemd-run --user --scope -p Delegate=yes difflab run STUDY``).
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from .descendants import alive, descendants

MOUNTS = Path("/proc/self/mountinfo")
MEMBERSHIP = Path("/proc/self/cgroup")
LEAF = "difflab-coordinator"
PREFIX = "difflab-worker-"
GIVEN = (("user.delegate", b"1"), ("trusted.delegate", b"1"))
EMPTY_SECONDS = 2.0


def delegated(mounts: Path = MOUNTS, membership: Path = MEMBERSHIP) -> Path | None:
    """The group in which groups for workers can be made with a limit of memory, or ``None``.

    A group that holds processes cannot hand its controllers down.  So where the coordinator sits in a delegated group
    with nobody but the processes above and below it, all of them move into a group ``difflab-coordinator`` in it.

    Args:
        mounts: the list of mounts; another only in tests.
        membership: the groups this process is in; another only in tests.
    """
    own = own_group(mounts, membership)
    if own is None:
        return None
    if own.name == LEAF and _hands_down_memory(own.parent) and _writable(own.parent):
        return own.parent  # an earlier worker of this coordinator, or an earlier run in this scope, has arranged it
    if not _given(own) or not _writable(own) or "memory" not in _words(own / "cgroup.controllers"):
        return None
    if not _hands_down_memory(own):
        _arrange(own)
    return own if _hands_down_memory(own) else None


def own_group(mounts: Path = MOUNTS, membership: Path = MEMBERSHIP, controller: str = "") -> Path | None:
    """The folder of the control group this process is in, or ``None`` where there is no such hierarchy.

    Args:
        mounts: the list of mounts; another only in tests.
        membership: the groups this process is in; another only in tests.
        controller: empty for cgroup v2; ``memory``, say, for that hierarchy of version 1.
    """
    entries = (line.split(":", 2) for line in _lines(membership))
    place = next((entry[2] for entry in entries if controller in entry[1].split(",")), None)
    if place is None or "/.." in place:
        return None  # no such hierarchy, or a group outside the part of it that is visible here
    for line in _lines(mounts):
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == ("cgroup" if controller else "cgroup2") and (not controller or controller in options.split(",")):
            root, point = before.split()[3:5]
            inside = os.path.relpath(place, root)
            if not inside.startswith(".."):
                return Path(os.path.normpath(os.path.join(point.replace("\\040", " "), inside)))
    return None


class Group:
    """One worker's group.

    Args:
        parent: a group from ``delegated``.
        pid: the worker, which moves in; what it starts from now on is in the group too.

    Raises:
        OSError: the system does not allow it.
    """

    def __init__(self, parent: Path, pid: int) -> None:
        _sweep(parent)
        self.folder = parent / f"{PREFIX}{os.getpid()}-{pid}"
        self.folder.mkdir()
        self.add(pid)

    def add(self, pid: int) -> None:
        """Move a process in."""
        _write(self.folder / "cgroup.procs", str(pid))

    def limit(self, nbytes: int) -> int:
        """Allow so many bytes on top of what is in use now, without swap; returns the total.

        What the group has read from files is in the kernel's count, but not in ours: it is given up when there is need.
        """
        stat = dict(line.split() for line in _lines(self.folder / "memory.stat"))
        cached = int(stat.get("file", 0)) - int(stat.get("shmem", 0))
        total = int((self.folder / "memory.current").read_text()) - max(0, cached) + nbytes
        if (self.folder / "memory.swap.max").exists():  # not so where the kernel has no swap
            _write(self.folder / "memory.swap.max", "0")
        _write(self.folder / "memory.oom.group", "1")
        _write(self.folder / "memory.max", str(total))
        return total

    def oom_kills(self) -> int:
        """How many processes of the group the kernel has ended for want of memory."""
        events = dict(line.split() for line in _lines(self.folder / "memory.events"))
        return int(events.get("oom_kill", 0))

    def kill(self) -> None:
        """End all processes of the group at once."""
        try:
            _write(self.folder / "cgroup.kill", "1")
        except OSError:
            return  # before Linux 5.14; the guardian ends them

    def remove(self) -> bool:
        """Remove the group, waiting until its last process is gone; returns whether that has come about."""
        end = time.monotonic() + EMPTY_SECONDS
        while True:
            try:
                os.rmdir(self.folder)
            except FileNotFoundError:
                return True
            except OSError:
                if time.monotonic() > end:
                    return False
                time.sleep(0.001)
            else:
                return True


def _sweep(parent: Path) -> None:
    """Remove the groups of coordinators that were killed before they could."""
    for folder in parent.glob(f"{PREFIX}*"):
        coordinator = folder.name.removeprefix(PREFIX).partition("-")[0]
        if coordinator.isdigit() and not alive(int(coordinator)):
            with contextlib.suppress(OSError):  # its processes are still ending: the next coordinator's turn
                os.rmdir(folder)


def _given(group: Path) -> bool:
    """Whether a group has been given away by whoever manages the groups above it."""
    if not (group.parent / "cgroup.procs").exists():
        return True  # the root of what is visible: a container's, or a system's without a manager
    for name, value in GIVEN:
        try:
            if os.getxattr(group, name) == value:
                return True
        except OSError:
            continue
    return os.geteuid() != 0 and not os.access(group.parent, os.W_OK)


def _writable(group: Path) -> bool:
    return all(os.access(group / name, os.W_OK) for name in ("", "cgroup.procs", "cgroup.subtree_control"))


def _hands_down_memory(group: Path) -> bool:
    return "memory" in _words(group / "cgroup.subtree_control")


def _arrange(own: Path) -> None:
    """Turn memory on for groups below ``own``, which the root may do as it is and others only when they are empty."""
    try:
        _write(own / "cgroup.subtree_control", "+memory")
        return
    except OSError:  # it holds processes
        family = {*_above(os.getpid()), *descendants(os.getpid()), os.getpid()}
    present = {int(pid) for pid in _words(own / "cgroup.procs")}
    if not present <= family:
        return  # somebody else's processes: not ours to move
    try:
        (own / LEAF).mkdir(exist_ok=True)
        for pid in present:
            _write(own / LEAF / "cgroup.procs", str(pid))
        _write(own / "cgroup.subtree_control", "+memory")
    except OSError:
        return  # whoever calls looks whether it has come about


def _above(pid: int) -> list[int]:
    """The parents of a process, up to the first."""
    found = []
    while pid > 1:
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
