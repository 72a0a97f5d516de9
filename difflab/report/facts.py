"""What computed: machine and software, as the manifest of a run says it; and what makes the run again."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from . import numbers, self_tests
from .cases import Case

LIBRARIES = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS"}
VECTORS = ("avx512f", "avx2", "avx", "sse4_2")  # of the flags of a processor, the widest is worth a word


def machine(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What computed, as pairs of a name and a text; what the manifest does not say is left out.

    Args:
        environment: the manifest's description of machine and software.
    """
    packages = environment.get("packages") or {}
    memory = environment.get("memory_bytes")
    kernels = environment.get("kernels") or {}
    git = environment.get("git") or {}
    commit = str(git.get("commit") or "")[:12]
    python = [str(environment[key]) for key in ("implementation", "python") if environment.get(key)]
    set_here = environment.get("variables") or {}
    found = [
        ("Processor", _processor(environment)),
        ("Processors usable", _usable(environment)),
        ("Caches", _caches(environment.get("caches") or ())),
        ("Clock rate", _frequency(environment.get("frequency"))),
        ("Memory", _memory(memory, environment.get("memory_limit_bytes"))),
        ("Self-test of memory", self_tests.row(environment)),
        ("System", _system(environment)),
        ("Load before the run", _load(environment.get("at_start") or {})),
        ("Timer", _timer(environment.get("clock") or {})),
        ("Python", " ".join(python)),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items() if version)),
        ("Numerical libraries", ", ".join(dict.fromkeys(map(_library, environment.get("blas") or ())))),
        ("Kernels of OpenBLAS", f"{kernels['used']}, set by difflab: {kernels['why']}" if kernels.get("used") else ""),
        ("Threads per worker", _words(environment.get("threads"))),
        ("Variables set", ", ".join(f"{name}={value}" for name, value in sorted(set_here.items()))),
        ("Source", f"commit {commit}{', with local changes' if git.get('changed') else ''}" if commit else ""),
    ]
    return [(name, text) for name, text in found if text]


def command(manifest: Mapping[str, Any], name: str, cases: Sequence[Case]) -> str:
    """What was typed to make a run, as far as it changes what is measured.

    Args:
        manifest: of the run.
        name: of its study.
        cases: all rows.

    >>> command({"quick": True, "seed": 3}, "digits", [])
    'difflab run digits --quick --seed 3'
    """
    if manifest.get("command"):  # not every page comes from a study
        return str(manifest["command"])
    parts = ["difflab", "run", shlex.quote(manifest.get("target", name))]
    if manifest.get("quick"):
        parts.append("--quick")
    if manifest.get("seed"):
        parts += ["--seed", str(manifest["seed"])]
    if device := _forced(str((manifest.get("study") or {}).get("text") or ""), cases):
        parts += ["--device", device]
    return " ".join(parts)


def _forced(text: str, cases: Sequence[Case]) -> str:
    """The device on which everything ran although the text of the study says otherwise."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return ""
    problems = [one for one in document.get("problem") or () if isinstance(one, dict)]
    asked = {str(one.get("device", document.get("device", "cpu"))) for one in problems}
    ran = {case.device.partition(" ")[0] for case in cases if case.device}
    return ran.pop() if asked and len(ran) == 1 and asked != ran else ""


def _processor(environment: Mapping[str, Any]) -> str:
    """Its name, and with it the vectors that it computes with."""
    found = environment.get("processor") or {}
    widest = next((name for name in VECTORS if name in (found.get("flags") or ())), "")
    return ", ".join(part for part in (_words(environment.get("cpu")), widest) if part)


def _usable(environment: Mapping[str, Any]) -> str:
    """How many processors a process may use, and whether they are cores of their own."""
    number, threads = environment.get("cores"), (environment.get("processor") or {}).get("threads_per_core")
    share = environment.get("processor_limit")
    parts = ["" if number is None else str(number)]
    if number is not None and threads:
        parts.append("a core each" if threads == 1 else f"{threads} of them to a core")
    if share:
        parts.append(f"limited to the time of {share:g}")
    return ", ".join(part for part in parts if part)


def _caches(caches: Sequence[Mapping[str, Any]]) -> str:
    """``L1 32 KiB of data, L2 1 MiB, L3 32 MiB``: those that hold data."""
    parts = []
    for one in caches:
        if one.get("type") != "Instruction" and one.get("bytes"):
            size = numbers.trimmed(numbers.size_in_bytes(one["bytes"]))
            parts.append(f"L{one.get('level')} {size}{' of data' if one.get('type') == 'Data' else ''}")
    return ", ".join(parts)


def _frequency(found: Mapping[str, Any] | None) -> str:
    """The governor and its range; that the system hides them is a fact too."""
    if found is None:
        return ""
    low, high = found.get("lowest_khz"), found.get("highest_khz")
    turbo = found.get("turbo")
    parts = [
        f"governor {found['governor']}" if found.get("governor") else "",
        f"driver {found['driver']}" if found.get("driver") else "",
        f"{low / 1e6:.1f} to {high / 1e6:.1f} GHz" if low and high else "",
        "" if turbo is None else f"turbo {'on' if turbo else 'off'}",
    ]
    return ", ".join(part for part in parts if part) or "the system does not tell governor, range or turbo"


def _memory(size: float | None, limit: float | None) -> str:
    text = numbers.size_in_bytes(size) if size else ""
    return f"{text}, limited to {numbers.size_in_bytes(limit)}" if text and limit else text


def _system(environment: Mapping[str, Any]) -> str:
    """The system, and what it runs inside."""
    within = environment.get("inside") or {}
    virtual = within.get("virtual_machine")
    parts = [
        _words(environment.get("platform")),
        f"in a container ({within['container']})" if within.get("container") else "",
        f"in a virtual machine{'' if virtual == 'unknown kind' else f' ({virtual})'}" if virtual else "",
    ]
    return ", ".join(part for part in parts if part)


def _load(found: Mapping[str, Any]) -> str:
    """How busy the machine was before the run began."""
    means = found.get("load") or ()
    return f"{means[0]:.2f} processes over the last minute" if means else ""


def _timer(clock: Mapping[str, Any]) -> str:
    """The clock that times, and the least step that it was seen to make."""
    if not clock.get("name"):
        return ""
    parts = [
        str(clock["name"]),
        f"steps of {numbers.seconds(clock['step_s'])}" if clock.get("step_s") else "",
        f"source {clock['source']}" if clock.get("source") else "",
    ]
    return ", ".join(part for part in parts if part)


def _library(one: Mapping[str, Any]) -> str:
    """``OpenBLAS 0.3.31 of numpy, kernels SkylakeX, 1 thread``."""
    name = str(one.get("internal_api") or one.get("user_api") or "")
    threads = one.get("num_threads")
    parts = [
        " ".join(str(part) for part in (LIBRARIES.get(name, name), one.get("version")) if part),
        f"kernels {one['architecture']}" if one.get("architecture") else "",
        numbers.counted(threads, "thread") if threads else "",
    ]
    text = ", ".join(part for part in parts if part)
    return f"{text} (of {one['of']})" if one.get("of") else text


def _words(value: Any) -> str:
    return "" if value is None else str(value)
