"""The noise sentinel: a fixed piece of work, timed between the rounds of a block, that tells whether the machine moved.

What it takes says nothing of any contestant; that it takes longer in one round than in another says that the clock
speed, a neighbour or the host changed under all of them.  It runs in a worker of its own: a small matrix product (BLAS
and the first caches) and a loop of Python (the interpreter).  Beside it stand what the kernel counted meanwhile: time
stolen by the host and time in which processes waited for a processor.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

NOISY = 0.05
KERNELS = ("matmul_s", "python_s")
SIZE = 96
PRODUCTS = 16
TURNS = 12_000
REPEATS = 5
PROC = Path("/proc")


def reading() -> dict[str, float]:
    """Time both kernels, after they have run once untimed: the best of a few, in seconds each."""
    import numpy as np

    from . import timing

    matrix = np.full((SIZE, SIZE), 0.5)

    def products() -> None:
        for _ in range(PRODUCTS):
            np.matmul(matrix, matrix)

    found = {}
    for name, kernel in (("matmul_s", products), ("python_s", functools.partial(spin, TURNS))):
        timing.warm_up(kernel, 2, 0.002)
        found[name] = min(timing.sample(kernel, 1) for _ in range(REPEATS))
    return found


def spin(turns: int) -> int:
    """A loop of Python that nothing can shorten, for clocks.

    Args:
        turns: how many times round.

    >>> spin(8)
    12
    """
    total = 0
    for number in range(turns):
        total += number & 3
    return total


def moved(readings: Sequence[Mapping[str, float]]) -> float | None:
    """By which fraction the slowest reading is above the fastest one, of the kernel that moved more.

    Args:
        readings: what ``reading`` gave, in order.

    >>> moved([{"matmul_s": 1.0, "python_s": 2.0}, {"matmul_s": 1.02, "python_s": 2.2}])
    0.1
    """
    if len(readings) < 2:
        return None
    spans = []
    for name in KERNELS:
        values = [one[name] for one in readings]
        spans.append(max(values) / min(values) - 1)
    return round(max(spans), 6)


def counters(proc: Path = PROC) -> dict[str, float]:
    """Seconds since the start of the machine: ``steal_s`` by the host, ``waiting_s`` for a processor, where known."""
    found = {
        "steal_s": _number(proc / "stat", lambda line: int(line.split()[8]) / os.sysconf("SC_CLK_TCK")),
        "waiting_s": _number(proc / "pressure" / "cpu", lambda line: int(line.rpartition("total=")[2]) * 1e-6),
    }
    return {name: value for name, value in found.items() if value is not None}


def _number(path: Path, read: Callable[[str], float]) -> float | None:
    """What the first line of a file of the kernel says; ``None`` where the kernel does not count it."""
    try:
        return read(path.read_text().splitlines()[0])
    except (OSError, IndexError, ValueError):
        return None


class Watch:
    """The readings of one epoch.

    >>> watch = Watch()
    >>> watch.add({"matmul_s": 1.0, "python_s": 1.0})
    >>> watch.add({"matmul_s": 1.0, "python_s": 1.01})
    >>> watch.result()["noisy"]
    False
    """

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._counters = counters()
        self._readings: list[dict[str, float]] = []

    def add(self, found: Mapping[str, float]) -> None:
        """Take in one reading."""
        self._readings.append({"at_s": round(time.monotonic() - self._begin, 4), **found})

    def result(self) -> dict[str, Any]:
        """What is stored: the readings, by which fraction they ``moved``, whether that is ``noisy``, and the counters.

        ``steal_s`` and ``waiting_s`` are those since the watch began, over all processors; ``None`` where the system is
        silent.
        """
        now = counters()
        span = moved(self._readings)
        noisy = None if span is None else span > NOISY
        data: dict[str, Any] = {"readings": self._readings, "moved": span, "noisy": noisy}
        for name in ("steal_s", "waiting_s"):
            known = name in now and name in self._counters
            data[name] = round(now[name] - self._counters[name], 6) if known else None
        return data
