"""Whether memory can be measured and limited, and what becomes of a worker when it runs out."""

from __future__ import annotations

import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import amounts, cgroups, hardware
from ..process import Worker
from .finding import NOTE, OK, PROBLEM, REINSTALL, Finding, answer_of

SELF_TEST_ERROR = 0.02
RLIMITS = {"RLIMIT_AS": "-v", "RLIMIT_DATA": "-d"}
"""Limits of memory, each with the option of the shell's ``ulimit`` that sets it."""

SYSTEMD = Path("/run/systemd/system")


def self_test(found: Mapping[str, Any]) -> Finding:
    """Whether a known amount of memory is read back."""
    error = found["error"]
    if error is None:
        advice = "The column peak_bytes stays empty; bytes of arrays and forecasts are there."
        return Finding("memory self-test", NOTE, "this system does not tell the peak of a process", advice)
    figure = f"{amounts.size(found['expected'])} written, read back with an error of {100 * error:+.1f} %"
    if abs(error) <= SELF_TEST_ERROR:
        return Finding("memory self-test", OK, figure)
    return Finding("memory self-test", PROBLEM, figure, "Do not trust the column peak_bytes of runs on this machine.")


def amount() -> Finding:
    """Physical memory, swap, and what the control groups leave of it."""
    found = hardware.memory() | hardware.limits()
    total, limit = found["memory_bytes"], found["memory_limit_bytes"]
    if total is None:
        return Finding("memory", NOTE, "this system does not tell how much there is")
    text = f"{amounts.size(total)}, swap {amounts.size(found['swap_bytes'] or 0)}"
    if limit is not None and limit < total:
        text += f"; the container allows {amounts.size(limit)}"
    if found["swap_bytes"]:
        advice = "A case that swaps is slow and not refused: limit memory below the total, or sudo swapoff -a."
        return Finding("memory", NOTE, text, advice)
    return Finding("memory", OK, text)


def shell_limits() -> Finding:
    """Limits that the shell has set, which every process of a run inherits."""
    what = "shell limits"
    set_ones = {}
    for name, option in RLIMITS.items():
        soft, _ = resource.getrlimit(getattr(resource, name))
        if soft != resource.RLIM_INFINITY:
            set_ones[option] = soft
    if not set_ones:
        return Finding(what, OK, "none on memory")
    figure = ", ".join(f"ulimit {option} is {amounts.size(soft)}" for option, soft in set_ones.items())
    advice = "Lift them before a run: " + "; ".join(f"ulimit {option} unlimited" for option in set_ones)
    total = hardware.memory()["memory_bytes"]
    least = min(set_ones.values())
    gain = f"cases of up to {amounts.size(total)} instead of {amounts.size(least)}" if total and least < total else ""
    return Finding(what, NOTE, figure, advice, gain)


def limits(granted: Mapping[str, bool]) -> Iterator[Finding]:
    """Whether cases can be held to their limits."""
    tried = answer_of(Worker(), {"do": "trial", "try": "memory_limit"})
    what = "memory limit"
    if isinstance(tried, str):
        yield Finding(what, PROBLEM, f"the worker that was limited failed: {tried}", REINSTALL)
    elif tried["stopped"]:
        taken, allowed = amounts.size(tried["taken"]), amounts.size(tried["allowed"])
        yield Finding(what, OK, f"{tried['mechanism']}: {taken} were refused to a worker that may take {allowed}")
    else:
        mechanism = tried["mechanism"]
        figure = f"{mechanism} stops no allocation here" if mechanism else "no limit of memory can be set here"
        yield Finding(what, PROBLEM, figure, "Choose sizes that fit: a case may take all memory of this machine.")
    yield _control_groups()
    if granted.get("oom_first"):
        yield Finding("out of memory", OK, "the kernel ends a worker first, and not the coordinator")
    else:
        yield Finding("out of memory", NOTE, "the kernel may end any process, the coordinator too: no oom_score_adj")
    if granted.get("dies_with_parent"):
        yield Finding("orphans", OK, "workers end with their coordinator, whatever ends it")
    else:
        yield Finding("orphans", NOTE, "workers may outlive a coordinator that is killed: no PR_SET_PDEATHSIG")


def _control_groups() -> Finding:
    if cgroups.delegated() is not None:
        return Finding("control groups", OK, "delegated: the kernel limits a case with all its processes")
    figure = "none delegated to you; RLIMIT_DATA and a watchdog limit cases"
    if not SYSTEMD.exists():
        return Finding("control groups", OK, figure)
    advice = "systemd-run --user --scope -p Delegate=yes difflab run STUDY"
    return Finding("control groups", NOTE, figure, advice, "limits that hold for a case with all its processes")
