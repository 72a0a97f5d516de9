"""What a page says of cases on a GPU: which device, how its times were taken, and that it was not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import numbers
from .cases import Case
from .terms import Term

MEASURED = frozenset({"ok", "invalid", "timeout", "memory_limit", "crash", "skipped_predicted"})
"""Outcomes that say something of the device: the others are those of cases that it has not seen."""
UNKNOWN = "not known"
CELSIUS = "\N{DEGREE SIGN}C"


def on_gpu(cases: Sequence[Case]) -> list[Case]:
    """The cases of a page that are computed on a GPU."""
    return [case for case in cases if case.device.startswith("gpu")]


def caveats(manifest: Mapping[str, Any], cases: Sequence[Case]) -> list[str]:
    """What limits an answer from cases on a GPU, in sentences.

    Args:
        manifest: of the run.
        cases: all of the page.

    Returns:
        That the GPU has not been measured, and why; or what its times and errors are not.
    """
    there = on_gpu(cases)
    if not there:
        return []
    if not any(case.outcome in MEASURED for case in there):
        return [f"The GPU has not been measured: {_why(manifest, there)}"]
    found = []
    timed = [case for case in there if case.timed]
    bound = [case for case in timed if case.host_bound == "True"]
    if bound:
        which = "all cases" if len(bound) == len(timed) else f"{len(bound)} of {numbers.counted(len(timed), 'case')}"
        found.append(
            f"On the GPU the host is what limits {which}: handing the work over takes nine tenths of the time on the "
            "device or more, so a faster GPU would not be faster there."
        )
    unseen = [case for case in timed if case.enqueue_s is not None and case.event_s is None]
    if unseen:
        names = ", ".join(dict.fromkeys(case.backend for case in unseen))
        found.append(
            f"Event times of {names} are missing: they compute in streams of their own, which the events do not see."
        )
    if slowed := list(dict.fromkeys(case.slowed for case in timed if case.slowed)):
        found.append(f"The driver lowered the clocks of the GPU meanwhile, because of {', and of '.join(slowed)}.")
    return found


def _why(manifest: Mapping[str, Any], there: Sequence[Case]) -> str:
    """Why no case on a GPU was measured."""
    missing = ((manifest.get("environment") or {}).get("gpu") or {}).get("missing")
    reason = missing or next((case.reason for case in there if case.reason), "the run has not come to it")
    return str(reason).rstrip(".") + "."


def holder(cases: Sequence[Case]) -> str:
    """Whose memory a peak is."""
    there = len(on_gpu(cases))
    if not there:
        return "the worker process"
    return f"the worker process{' on the GPU' if there == len(cases) else ' (on the GPU: of its share of the device)'}"


def small_peaks(cases: Sequence[Case]) -> str:
    """Why a chart draws small peaks where it does: those of processes cannot be told apart."""
    why = "" if on_gpu(cases) else "are noise of what the system hands out, and "
    return f"Peaks below 256 KiB {why}are drawn at 256 KiB."


def peak(case: Case, value: float) -> str:
    """A peak of memory as tables show it: to the byte where an allocator has counted, on a GPU."""
    return numbers.size_in_bytes(value) if case.device.startswith("gpu") else numbers.peak(value)


def clocks(case: Case) -> list[str]:
    """What a cell of the scoreboard says of the clocks of a case on a GPU, besides its wall time."""
    if case.enqueue_s is None:
        return []
    event = "event unseen" if case.event_s is None else f"event {numbers.seconds(case.event_s)}"
    bound = ", host-bound" if case.host_bound == "True" else ""
    return [event, f"enqueue {numbers.seconds(case.enqueue_s)}{bound}"]


def machine(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The GPU of a run, as pairs of a name and a text; of a run that had none, why.

    Args:
        environment: the manifest's description of machine and software.

    >>> machine({"gpu": {"missing": "no CUDA device"}})
    [('GPU', 'none: no CUDA device')]
    """
    gpu = environment.get("gpu")
    if not gpu:
        return []
    if "missing" in gpu:
        return [("GPU", f"none: {gpu['missing']}")]
    size, cache = gpu.get("memory_bytes"), gpu.get("l2_bytes")
    parts = [
        str(gpu.get("name") or UNKNOWN),
        f"memory {numbers.size_in_bytes(size) if size else UNKNOWN}",
        f"{gpu.get('processors') or UNKNOWN} multiprocessors",
        f"L2 cache {numbers.size_in_bytes(cache) if cache else UNKNOWN}",
        f"compute capability {gpu.get('capability') or UNKNOWN}",
    ]
    software = [
        f"driver {gpu.get('driver') or UNKNOWN}",
        f"CUDA {gpu.get('cuda_runtime') or UNKNOWN} (the driver's {gpu.get('cuda_driver') or UNKNOWN})",
        f"CuPy {gpu.get('cupy') or UNKNOWN}",
    ]
    state = [
        f"multiprocessors at {_unit(gpu.get('sm_mhz'), 'MHz')} of {_unit(gpu.get('sm_mhz_most'), 'MHz')}",
        f"memory at {_unit(gpu.get('memory_mhz'), 'MHz')} of {_unit(gpu.get('memory_mhz_most'), 'MHz')}",
        f"temperature {_unit(gpu.get('temperature_c'), CELSIUS)}",
        f"power limit {_unit(gpu.get('power_limit_w'), 'W')}",
        f"error correction {_switch(gpu.get('ecc'))}",
        f"partitions (MIG) {_switch(gpu.get('mig'))}",
    ]
    return [
        ("GPU", ", ".join(parts)),
        ("Software of the GPU", ", ".join(software)),
        ("GPU before the run", ", ".join(state)),
    ]


def _unit(value: Any, unit: str) -> str:
    return UNKNOWN if value is None else f"{value:.0f} {unit}"


def _switch(value: bool | None) -> str:
    return UNKNOWN if value is None else "on" if value else "off"


GLOSSARY: tuple[Term, ...] = (
    Term(
        "Event, enqueue, wall",
        "Three clocks on a GPU. Event: what passes on the device between two marks around the calls. Enqueue: what the "
        "host takes to hand the calls over. Wall: what passes until the device is at rest, which is the time that all "
        "comparisons use. Bound by the host: enqueueing takes nine tenths of the event time or more.",
        ("event", "enqueue", "bound by the host", "host-bound"),
    ),
    Term(
        "TF32",
        "A format of NVIDIA's tensor cores: what goes into a product of float32 matrices is rounded to 11 significant "
        "bits. Faster, and as rough as float16. It is off, for all libraries, unless the study asks for it.",
    ),
    Term(
        "Inputs in the cache",
        "Cold: calls go round among copies of the inputs that together exceed twice the L2 cache, so that it holds "
        "none of them. Warm: the inputs are small, or the study wants them there.",
        ("warm", "cold"),
    ),
    Term(
        "Peak on a GPU",
        "Bytes of the device that allocators have given out at most, above those before preparing: CuPy's pools by a "
        "hook, PyTorch and JAX by their own counts. Driver: by how much free memory shrank, with workspaces of "
        "libraries and compiled code.",
    ),
)


def glossary(cases: Sequence[Case]) -> list[Term]:
    """The words that a page with cases on a GPU uses besides."""
    return list(GLOSSARY) if on_gpu(cases) else []


def method(manifest: Mapping[str, Any], cases: Sequence[Case]) -> list[str]:
    """How numbers on a GPU were made, in sentences.

    Args:
        manifest: of the run.
        cases: all of the page.
    """
    there = on_gpu(cases)
    if not there or not any(case.outcome in MEASURED for case in there):
        return []
    roughly = sum(case.device.endswith("TF32") for case in there)
    which = "off in all cases" if not roughly else "on in all cases" if roughly == len(there) else "as the tables say"
    found = [
        "On the GPU the arguments are uploaded once, before anything is timed; one process computes at a time, and the "
        "device is locked against other runs of difflab. The certified reference is the processor's.",
        f"TF32 is {which}. Where it is on, a gradient counts as right by the bounds of float16.",
        "A sample is as many calls between two events as last a millisecond at least; preparing and the first call are "
        "timed apart, until the device is at rest.",
    ]
    if ((manifest.get("study") or {}).get("timing") or {}).get("warm_cache"):
        found.append("Every call finds its inputs where the call before left them: the L2 cache is warm, as asked for.")
    if any(case.primal_by == "program" for case in there):
        found.append(
            "Where CuPy cannot run the loss as it is written, the time of the loss is that of its tape as a program."
        )
    return found
