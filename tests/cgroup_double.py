"""A folder that looks like a cgroup v2 hierarchy to a reader, and a stand-in for the kernel behind it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FILES = {
    "cgroup.procs": "",
    "cgroup.controllers": "cpu memory pids\n",
    "cgroup.subtree_control": "",
    "cgroup.kill": "",
    "memory.current": "150000000\n",
    "memory.stat": "anon 90000000\nfile 50000000\nshmem 10000000\n",
    "memory.max": "max\n",
    "memory.swap.max": "max\n",
    "memory.oom.group": "0\n",
    "memory.events": "low 0\nhigh 0\nmax 4\noom 1\noom_kill 0\noom_group_kill 0\n",
}


class Hierarchy:
    """A hierarchy mounted at ``root``, with this process in the group ``place``.

    Args:
        folder: where it is made.
        patch: stands in for the kernel when groups are made, removed and written to.
        place: the path of the group within the hierarchy, beginning with a slash.
        processes: who is in the group.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, place: str, processes: list[int]) -> None:
        self.root = folder / "cgroup"
        self.own = self.root / place.lstrip("/")
        self.mounts, self.membership = folder / "mountinfo", folder / "membership"
        options = "rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
        self.mounts.write_text(f"24 1 0:22 / /proc rw - proc proc rw\n31 24 0:26 / {self.root} {options}\n")
        self.membership.write_text(f"0::{place}\n")
        self.written: list[tuple[str, str]] = []
        self._make, self._write, self._remove = Path.mkdir, os.write, os.rmdir
        group = self.root
        self._fill(group)
        for part in place.strip("/").split("/"):
            if part:
                group = group / part
                self._fill(group)
        (self.own / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in processes))
        patch.setattr(Path, "mkdir", lambda path, **options: self._mkdir(path, **options))
        patch.setattr(os, "rmdir", self._rmdir)
        patch.setattr(os, "write", lambda descriptor, data: self._put(descriptor, data))

    def _fill(self, group: Path) -> None:
        self._make(group, exist_ok=True)
        for name, text in FILES.items():
            (group / name).write_text(text)

    def _mkdir(self, path: Path, **options: bool) -> None:
        if self.root in path.parents and not path.exists():
            self._fill(path)
        else:
            self._make(path, **options)

    def _rmdir(self, path: Path) -> None:
        """The files of a group go with it, unless it holds processes."""
        if (path / "cgroup.procs").read_text():
            raise OSError(16, "Device or resource busy")
        for name in FILES:
            (path / name).unlink()
        self._remove(path)

    def _put(self, descriptor: int, data: bytes) -> int:
        """What the kernel does when something is written: a group that holds processes hands nothing down."""
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if self.root not in path.parents:
            return self._write(descriptor, data)
        text = data.decode()
        self.written.append((str(path.relative_to(self.root)), text))
        if path.name == "cgroup.procs":
            for procs in self.root.rglob("cgroup.procs"):
                procs.write_text("".join(f"{pid}\n" for pid in procs.read_text().split() if pid != text))
            path.write_text(path.read_text() + f"{text}\n")
        elif path.name == "cgroup.subtree_control":
            if path.parent != self.root and (path.parent / "cgroup.procs").read_text():
                raise OSError(16, "Device or resource busy")
            path.write_text(text.replace("+", "") + "\n")
        elif path.name == "cgroup.kill":
            (path.parent / "cgroup.procs").write_text("")
        else:
            path.write_text(f"{text}\n")
        return len(data)
