"""Clocks, noise, other runs and the disk."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .. import amounts, environment, hardware, host_lock, sentinel, statistics, timing
from ..process import START_SECONDS, Worker, ask
from .finding import NOTE, OK, PROBLEM, REINSTALL, Finding, answer_of

NOISE_SECONDS = 2.0
QUIET = 0.05
SYNCS = 20
SLOW_SYNC = 0.02
LEAST_DISK = 2**30
COARSE_STEP = 1e-6
BUSY = 0.7
"""Load for each processor above which others are in the way."""

WAKES = 1.1
RESTED_WORK = "quarter of a millisecond of work"


def clock() -> Finding:
    """The step of the clock, and what it is read from."""
    step, source = timing.clock_step(), hardware.clock_source()
    figure = f"smallest step {amounts.duration(step)}{f', read from {source}' if source else ''}"
    if step > COARSE_STEP:
        advice = "Samples last a thousand steps, so quick calls are timed in longer samples than elsewhere."
        return Finding("clock", NOTE, figure, advice)
    return Finding("clock", OK, figure)


def frequency(root: Path = hardware.ROOT, wakes: float | None = None) -> Finding:
    """Governor and turbo of the processor.

    Args:
        root: where the system's files are.
        wakes: how many times as long work takes after a rest, where that was measured.
    """
    found, where = hardware.frequency(root), hardware.inside(root)
    turbo = {True: ", turbo on", False: ", turbo off", None: ""}[found["turbo"]]
    woken = ""
    if wakes is not None:
        woken = f"; the first {RESTED_WORK} after a rest takes {wakes:.2f} times as long as later ones"
    if found["governor"] is None:
        host = "; the host of this virtual machine decides" if where["virtual_machine"] else ""
        return Finding("clock speed", OK, f"governor not visible{turbo}{host}{woken}")
    figure = f"governor {found['governor']} ({found['driver']}){turbo}{woken}"
    if found["governor"] == "performance":
        return Finding("clock speed", OK, figure)
    gain = "" if wakes is None or wakes < WAKES else f"first calls that are up to {wakes:.2f} times as fast"
    return Finding("clock speed", NOTE, figure, "For steadier times: sudo cpupower frequency-set -g performance", gain)


def waking() -> float | None:
    """How many times as long a quarter of a millisecond of work takes after a rest, or ``None`` if a worker failed."""
    found = answer_of(Worker(), {"do": "trial", "try": "waking"})
    return None if isinstance(found, str) else found["rested_s"] / found["busy_s"]


def processors(root: Path = hardware.ROOT) -> Finding:
    """How many processors there are for a run, what limits them, and who else uses them."""
    what, cores = "processors", os.cpu_count() or 1
    usable, chip = environment.usable_cores() or cores, hardware.processor(root)
    quota, load = hardware.limits(root)["processor_limit"], hardware.load(root)["load"]
    figure = f"{usable} of {cores} can be used" if usable < cores else f"{cores}"
    figure += f", {chip['threads_per_core']} threads on a core" if (chip["threads_per_core"] or 1) > 1 else ""
    figure += "" if load is None else f"; load average {load[0]:.2f}"
    if quota is not None and quota < usable:
        advice = "Allow the container all of them (docker run without --cpus), and pin it instead: --cpuset-cpus."
        gain = f"up to {usable / quota:.1f} times as much time of processors, and no pauses where the quota is spent"
        return Finding(what, NOTE, f"{figure}; the container may use {quota:g} of them", advice, gain)
    if load is not None and load[0] > BUSY * usable:
        advice = "Something computes already: end it before anything is timed (top shows it)."
        return Finding(what, NOTE, figure, advice)
    return Finding(what, OK, figure)


def other_run(folder: Path | None = None) -> tuple[Finding, bool]:
    """Whether another run of difflab holds the lock of this machine, as a finding and as a truth value.

    Args:
        folder: where the files of the lock are, if not where runs have them.
    """
    what = "other runs"
    path = (host_lock.default_folder() if folder is None else folder) / host_lock.NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return Finding(what, OK, "none: no run has held the lock of this machine yet"), False
    except OSError as fault:
        advice = f"Set {host_lock.FOLDER_VARIABLE} to a folder that all users of difflab here may write to."
        return Finding(what, NOTE, f"{path} cannot be opened: {fault.strerror}", advice), False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        advice = "Wait for it: a second run on the same machine waits too before it times anything."
        return Finding(what, NOTE, f"another run of difflab computes on this machine ({path})", advice), True
    finally:
        os.close(descriptor)
    return Finding(what, OK, f"none holds {path}"), False


def noise(seconds: float = NOISE_SECONDS) -> Finding:
    """How steady the machine is: the same work again and again, and what the kernel counted meanwhile."""
    worker = Worker()
    try:
        begun = ask(worker, {"do": "trial", "try": "noise", "seconds": 0.0}, START_SECONDS)  # it has started then
        before, start = sentinel.counters(), time.monotonic()
        found = begun and ask(worker, {"do": "trial", "try": "noise", "seconds": seconds}, START_SECONDS)
        after, elapsed = sentinel.counters(), time.monotonic() - start
    finally:
        worker.close()
    if not found:
        why = (worker.verdict or ("", "no answer"))[1]
        return Finding("noise", PROBLEM, f"the worker that should be timed failed: {why}", REINSTALL)
    shares = {key: (after[key] - before[key]) / elapsed for key in after if key in before}
    stolen = shares.get("steal_s", 0.0) / (os.cpu_count() or 1)
    figure = (
        f"the same {amounts.duration(found['median_s'])} of work {amounts.count(found['samples'])} times: the middle "
        f"half spans {100 * found['half']:.1f} % of the median, the slowest twentieth is {100 * found['late']:.1f} % "
        f"late or more"
    )
    if "steal_s" in shares:
        figure += f"; the host took {100 * stolen:.1f} % of the processors' time"
    if "waiting_s" in shares:
        figure += f"; something waited for a processor {100 * shares['waiting_s']:.0f} % of the time"
    if found["moved"] is not None:
        figure += f"; the sentinel moved by {100 * found['moved']:.1f} % (beyond {100 * sentinel.NOISY:.0f} % is noisy)"
    if found["late"] > QUIET or stolen > QUIET / 5 or (found["moved"] or 0.0) > sentinel.NOISY:
        advice = "Close other programs, or run when the machine is quiet: intervals get wider and verdicts fewer."
        gain = f"times that are {100 * found['quiet']:.1f} % shorter, as those of the quietest twentieth are"
        return Finding("noise", NOTE, figure, advice, gain)
    return Finding("noise", OK, figure)


def disk(folder: Path) -> Iterator[Finding]:
    """Whether the run folder's file system can be written, how long a sync takes, and what is free."""
    home = folder
    while not home.exists() and home != home.parent:
        home = home.parent
    try:
        syncs = sync_times(home)
    except OSError as fault:
        advice = "Go to a folder that you may write to, or name one with --out DIR."
        yield Finding("disk", PROBLEM, f"{home} cannot be written: {fault.strerror}", advice)
        return
    typical, slowest = statistics.median(syncs), max(syncs)
    figure = f"{amounts.duration(typical)} to sync an event to {home}, {amounts.duration(slowest)} at most"
    if typical > SLOW_SYNC:
        advice = "Every event is synced: name a folder on a faster disk with --out DIR."
        yield Finding("disk", NOTE, figure, advice, _faster(typical))
    else:
        yield Finding("disk", OK, figure)
    free = shutil.disk_usage(home).free
    if free < LEAST_DISK:
        yield Finding("free disk", PROBLEM, amounts.size(free), "Free some space, or name another disk with --out DIR.")
    else:
        yield Finding("free disk", OK, amounts.size(free))


def _faster(typical: float) -> str:
    """What another disk of this machine would gain, if it is another one and faster."""
    elsewhere = Path(tempfile.gettempdir())
    try:
        there = statistics.median(sync_times(elsewhere))
    except OSError:
        return ""
    return f"{amounts.duration(there)} for a sync in {elsewhere}" if there < typical / 2 else ""


def sync_times(folder: Path, count: int = SYNCS) -> list[float]:
    """Seconds of writing and syncing one short line, in a file that is gone afterwards."""
    found = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(count):
            begin = time.perf_counter()
            file.write(b"x" * 200)
            file.flush()
            os.fsync(file.fileno())
            found.append(time.perf_counter() - begin)
    return found
