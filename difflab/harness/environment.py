"""The machine and the software of a run, for the manifest: stable facts by name, never the whole environment."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from .limits import thread_environment
from .timing import clock_step

PACKAGES = ("difflab", "numpy", "scipy", "sympy", "python-flint", "optree", "pandas", "matplotlib", "threadpoolctl")
VARIABLES = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_VERBOSE",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "MKL_DEBUG_CPU_TYPE",
    "CUDA_VISIBLE_DEVICES",
    "MALLOC_ARENA_MAX",
)


def now() -> str:
    """The time in UTC, to the second.

    >>> now().endswith("Z")
    True
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def describe(probe: dict[str, Any], threads: int) -> dict[str, Any]:
    """What the manifest says of the machine.

    Args:
        probe: what a worker found (``blas``, ``memory_self_test``).
        threads: the thread count that workers are given.
    """
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": versions(),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_bytes": memory_bytes(),
        "memory_limit_bytes": container_limit(),
        "threads": threads,
        "thread_variables": thread_environment(threads),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "clock": {"name": "perf_counter_ns", "step_s": clock_step(), "resolution_s": _resolution()},
        "git": git_state(Path(__file__).resolve().parents[2]),
        **probe,
    }


def versions() -> dict[str, str | None]:
    """The installed version of each package that matters, ``None`` where it is missing."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    if found["difflab"] is None:  # run from the source tree
        from .. import __version__

        found["difflab"] = __version__
    return found


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    for line in _lines("/proc/cpuinfo"):
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown"


def memory_bytes() -> int | None:
    """The physical memory in bytes, or ``None`` where unknown."""
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def container_limit() -> int | None:
    """The memory limit of the control group in bytes, or ``None`` where there is none."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        for line in _lines(path):
            if line.strip().isdigit() and int(line) < 2**60:
                return int(line)
    return None


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and cleanness of the source tree difflab runs from, or ``None`` for an installed package."""
    if not (folder / ".git").exists():
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed": None if changed is None else bool(changed)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _resolution() -> float:
    return time.get_clock_info("perf_counter").resolution
