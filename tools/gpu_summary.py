"""What ``gpu_check.py`` asks another process: facts of the machine (``--facts``), or what runs have found (``--runs``).

Prints one JSON object; without a GPU ``--facts`` ends with one sentence instead.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "difflab", "numpy", "scipy", "cupy-cuda13x", "cupy-cuda12x", "torch", "triton", "jax", "jaxlib",
    "jax-cuda13-plugin", "nvidia-cublas", "nvidia-cudnn-cu13", "sympy", "python-flint", "optree",
)  # fmt: skip
ASKED = {"float64": 1e-12, "float32": 1e-4}
"""Relative errors, by norm, that gradients stay below."""
QUESTION = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,temperature.gpu,power.draw,ecc.mode.current"


def facts() -> dict[str, Any]:
    """Versions, the machine, and the GPU as its driver describes it.

    Raises:
        UnavailableError: there is no CuPy, or no device.
    """
    from difflab.arrays import import_cupy

    runtime = import_cupy().cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: version for name in PACKAGES if (version := _version(name)) is not None},
        "cuda": {"runtime": runtime.runtimeGetVersion(), "driver": runtime.driverGetVersion()},
        "device": {
            "name": properties["name"].decode(),
            "capability": f"{properties['major']}.{properties['minor']}",
            "multiprocessors": properties["multiProcessorCount"],
            "l2_bytes": properties["l2CacheSize"],
            "bytes": properties["totalGlobalMem"],
        },
        "driver": _driver(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _driver() -> dict[str, str]:
    command = ["nvidia-smi", f"--query-gpu={QUESTION}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as fault:
        return {"error": str(fault)}
    lines = done.stdout.splitlines() or [""]
    return dict(zip(QUESTION.split(","), [part.strip() for part in lines[0].split(",")], strict=False))


def found(folder: str) -> dict[str, Any]:
    """What a run has found so far: outcomes, bars, and the largest errors by dtype."""
    from difflab.errors import DifflabError
    from difflab.harness.results import load
    from difflab.report import bars, cases

    try:
        results = load(folder)
    except DifflabError as fault:
        return {"error": str(fault)}
    rows = cases.read(results.rows)
    outcomes: dict[str, int] = {}
    for row in rows:
        outcomes[row.outcome] = outcomes.get(row.outcome, 0) + 1
    judged = [
        {
            "row": one.place,
            "what": one.title,
            "value": _finite(one.value),
            "asked": one.bar.words,
            "met": one.met,
            "why": one.why,
        }
        for one in bars.judge(rows, bars.bars_of(results.manifest))
    ]
    return {
        "outcomes": outcomes,
        "bars": judged,
        "errors": errors(results.rows),
        "uncaptured": uncaptured(results.rows),
        "rows": _table(results.rows),
    }


def errors(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By dtype: gradients of reverse mode that have a certified reference, the largest error, and what is asked of it.

    Rows whose products were rounded to TF32 are left out.
    """
    answer: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.get("backend") == "reverse" and row.get("rel_error") is not None and not row.get("tf32"):
            asked = ASKED.get(str(row["dtype"]))
            entry = answer.setdefault(str(row["dtype"]), {"rows": 0, "largest": 0.0, "asked": asked})
            entry["rows"] += 1
            entry["largest"] = max(entry["largest"], float(row["rel_error"]))
            entry["met"] = None if asked is None else entry["largest"] < asked
    return answer


def uncaptured(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of reverse mode that ran without a CUDA graph: what bars say of them is not about captured programs."""
    return [
        {"row": f"{row['problem']} {row['size']} {row['dtype']}", "why": str(row["captured"])}
        for row in rows
        if row.get("backend") == "reverse" and row.get("captured") not in (None, "", "yes")
    ]


COLUMNS = (
    "problem", "size", "dtype", "backend", "outcome", "reason", "call_s", "event_s", "enqueue_s", "host_bound",
    "primal_s", "prepare_s", "first_call_s", "peak_bytes", "driver_bytes", "rel_error", "input_copies", "input_cache",
    "captured", "tf32",
)  # fmt: skip


def _table(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: _finite(row.get(key)) for key in COLUMNS if row.get(key) is not None} for row in rows]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: Sequence[str]) -> int:
    """Answer one question."""
    if arguments[:1] == ["--facts"]:
        from difflab.errors import DifflabError

        try:
            answer = facts()
        except DifflabError as fault:
            print(fault, file=sys.stderr)
            return 2
    else:
        answer = {Path(folder).name: found(folder) for folder in arguments[1:]}
    print(json.dumps(answer, default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
