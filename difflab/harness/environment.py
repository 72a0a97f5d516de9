"""The machine and the software of a run, for the manifest: stable facts by name, never the whole environment."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from . import hardware
from .limits import thread_environment
from .timing import clock_step

PACKAGES = (
    "difflab", "numpy", "scipy", "sympy", "python-flint", "optree", "pandas", "matplotlib", "threadpoolctl", "psutil",
    "typer", "jinja2",
)  # fmt: skip
OPTIONAL = (
    "torch", "jax", "jaxlib", "autograd", "casadi", "symengine", "numdifftools", "cupy-cuda12x", "cupy-cuda13x", "cupy",
    "distributed", "pyarrow",
)  # fmt: skip
VARIABLES = (
    "OPENBLAS_CORETYPE", "OPENBLAS_VERBOSE", "OMP_PROC_BIND", "OMP_WAIT_POLICY", "MKL_DEBUG_CPU_TYPE", "MKL_CBWR",
    "GOTO_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "MALLOC_ARENA_MAX", "NPY_DISABLE_CPU_FEATURES", "PYTHONHASHSEED",
    "CUDA_DEVICE_ORDER", "CUPY_ACCELERATORS", "CUPY_TF32", "NVIDIA_TF32_OVERRIDE",
)  # fmt: skip
PYTHON_FLAGS = ("debug", "optimize", "dev_mode", "hash_randomization", "no_user_site", "safe_path", "utf8_mode")


def now() -> str:
    """The time in UTC, to the second.

    >>> now().endswith("Z")
    True
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def describe(probe: dict[str, Any], threads: int, root: Path = hardware.ROOT) -> dict[str, Any]:
    """What the manifest says of the machine.

    Args:
        probe: what a worker found (``blas``, ``memory_self_test``) and what was decided from it (``kernels``).
        threads: the thread count that workers are given.
        root: where the system's files are.
    """
    processor = hardware.processor(root)
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "python_build": python_build(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "system": f"{platform.system()} {platform.machine()}",
        "kernel": platform.release(),
        "packages": versions(),
        "cpu": processor.pop("model"),
        "processor": processor,
        "caches": hardware.caches(root),
        "frequency": hardware.frequency(root),
        "cores": usable_cores(),
        **hardware.memory(root),
        **hardware.limits(root),
        "inside": hardware.inside(root),
        "gpus": hardware.gpus(),
        "threads": threads,
        "thread_variables": thread_environment(threads),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "clock": {
            "name": "perf_counter_ns",
            "step_s": clock_step(),
            "resolution_s": time.get_clock_info("perf_counter").resolution,
            "source": hardware.clock_source(root),
        },
        "at_start": hardware.load(root),
        "git": git_state(Path(__file__).resolve().parents[2]),
        **probe,
    }


def versions() -> dict[str, str | None]:
    """The version of each package that matters, ``None`` where it is missing."""
    found = {name: version_of(name) for name in (*PACKAGES, *OPTIONAL)}
    if found["difflab"] is None:  # run from the source tree
        from .. import __version__

        found["difflab"] = __version__
    return found


def version_of(package: str) -> str | None:
    """The installed version of a package, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def python_build() -> dict[str, Any]:
    """How this Python was made, and the flags it runs with that change results or times."""
    configured = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    return {
        "compiler": platform.python_compiler(),
        "built": " ".join(platform.python_build()),
        "debug": bool(sysconfig.get_config_var("Py_DEBUG")),
        "free_threading": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "profile_guided": "--enable-optimizations" in configured,
        "link_time_optimised": "--with-lto" in configured,
        "flags": {name: int(getattr(sys.flags, name)) for name in PYTHON_FLAGS},
    }


def usable_cores() -> int | None:
    """The processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()


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
