"""What ``difflab doctor`` tries in a worker: a limit of memory that must stop an allocation, and steady work."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

from . import limits, memory, timing
from .sentinel import moved, reading, spin
from .statistics import median

ALLOWED = 64 * 2**20
TAKEN = 256 * 2**20
TURNS = 20_000
READINGS = 7
WAKINGS = 7
RESTED_S = 0.1
BUSY_S = 0.05


def trial(command: Mapping[str, Any]) -> dict[str, Any]:
    """Do what ``try`` names: ``memory_limit``, which stays in force, ``noise`` for ``seconds``, or ``waking``."""
    if command["try"] == "waking":
        return waking()
    return limited() if command["try"] == "memory_limit" else noise(command["seconds"])


def limited() -> dict[str, Any]:
    """Limit this process, take more than is allowed, and say whether that was refused.

    Returns:
        ``mechanism``: what limits, ``None`` where nothing does; ``stopped``: whether it did; ``allowed`` and ``taken``
        in bytes.
    """
    mechanism = limits.limit_memory(ALLOWED, memory.status("VmData"))
    stopped = False
    if mechanism is not None:
        try:
            bytearray(TAKEN)
        except MemoryError:
            stopped = True
    return {"mechanism": mechanism, "stopped": stopped, "allowed": ALLOWED, "taken": TAKEN}


def noise(seconds: float) -> dict[str, Any]:
    """Time the same piece of work again and again.

    Args:
        seconds: for how long.

    Returns:
        ``samples``: how many; ``median_s``; ``half``: by which fraction of the median the middle half of them
        differs; ``late``: by which fraction of the median the slowest twentieth is slower at least; ``quiet``: by which
        fraction the quickest twentieth is quicker; ``moved``: by which fraction the readings of the sentinel differ.
    """
    readings = [reading() for _ in range(READINGS)] if seconds else []
    end, work = time.monotonic() + seconds, functools.partial(spin, TURNS)
    found: list[float] = []
    while time.monotonic() < end or len(found) < 20:
        found.append(timing.sample(work, 1))
    found.sort()
    middle, count = median(found), len(found)
    return {
        "samples": count,
        "median_s": middle,
        "half": (found[3 * count // 4] - found[count // 4]) / middle,
        "late": found[count - 1 - count // 20] / middle - 1,
        "quiet": 1 - found[count // 20] / middle,
        "moved": moved(readings),
    }


def waking() -> dict[str, Any]:
    """Time the same piece of work when the processor has rested, and when it has not.

    Returns:
        ``rested_s`` and ``busy_s``: the medians.
    """
    work = functools.partial(spin, TURNS // 4)
    rested, busy = [], []
    for _ in range(WAKINGS):
        time.sleep(RESTED_S)
        rested.append(timing.sample(work, 1))
        timing.warm_up(work, 4, BUSY_S)
        busy.append(timing.sample(work, 1))
    return {"rested_s": median(rested), "busy_s": median(busy)}
