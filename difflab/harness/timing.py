"""Clocks: calibrated samples, untimed warm-up before each slice, and how much sampling a call deserves.

A sample is ``loops`` calls between two readings of ``perf_counter_ns``, long enough that the clock's step is below a
thousandth of it.  Slices of samples of the contestants of a block are interleaved by the coordinator; before its
slice a contestant runs untimed until its data is back in the caches (at least four calls and ten milliseconds, if it
is fast).
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")
STEP_FACTOR = 1000
WARM_CALLS = 4
WARM_SECONDS = 0.01
SLOW_CALL = 0.01
ONE_SAMPLE = 0.3
MAXIMUM_LOOPS = 1 << 20


@dataclass(frozen=True)
class Plan:
    """How one process samples one case: ``rounds`` slices of ``samples`` samples of ``loops`` calls each."""

    loops: int
    rounds: int
    samples: int
    warm_calls: int
    warm_seconds: float

    @property
    def calls(self) -> int:
        """How many timed calls the plan asks for."""
        return self.loops * self.rounds * self.samples


def clock_step(readings: int = 200) -> float:
    """The smallest difference, in seconds, that the clock shows between readings that differ."""
    best = None
    previous = time.perf_counter_ns()
    while readings:
        now = time.perf_counter_ns()
        if now != previous:
            best = now - previous if best is None else min(best, now - previous)
            previous = now
            readings -= 1
    return (best or 1) * 1e-9


def sample(call: Callable[[], object], loops: int) -> float:
    """Seconds per call, over ``loops`` calls between two readings of the clock."""
    repeat = range(loops)
    start = time.perf_counter_ns()
    for _ in repeat:
        call()
    return (time.perf_counter_ns() - start) * 1e-9 / loops


def calibrate(
    call: Callable[[], object],
    least: float,
    step: float | None = None,
    take: Callable[[Callable[[], object], int], float] = sample,
) -> tuple[int, float]:
    """Double the calls per sample until a sample lasts long enough.

    A trial that something interrupts looks long, so what seems enough must be so twice, unless calls are too slow for
    that to matter.

    Args:
        call: what is to be timed; takes nothing.
        least: the shortest admissible sample, in seconds.
        step: the clock's step in seconds; measured when not given.
        take: takes a sample of so many calls, in seconds per call; on a GPU another clock does.

    Returns:
        The number of calls per sample, and the seconds per call found on the way.

    >>> calibrate(lambda: time.sleep(0.002), 0.001)[0]
    1
    """
    least = max(least, STEP_FACTOR * (clock_step() if step is None else step))
    loops = 1
    while True:
        seconds = take(call, loops)
        if seconds * loops >= least and seconds <= ONE_SAMPLE:
            seconds = min(seconds, take(call, loops))
        if seconds * loops >= least or loops >= MAXIMUM_LOOPS:
            return loops, seconds
        # jump to 80 % of what is missing: few trials for fast calls, and never far too many loops
        loops = min(MAXIMUM_LOOPS, max(2 * loops, int(0.8 * least / max(seconds, 1e-9))))


def plan(call_s: float, loops: int, samples: int, rounds: int = 3) -> Plan:
    """How much sampling a call of ``call_s`` seconds deserves in one process.

    Fast calls get all ``samples`` in interleaved rounds; calls over 5 ms one sample per round. Each round begins with
    four untimed calls and ten milliseconds of them at least; over 50 ms, where what was cold is a small part, with one
    untimed call. Calls over 0.3 s get one sample after their first.

    >>> plan(1e-5, 100, 9), plan(2.0, 1, 9).calls
    (Plan(loops=100, rounds=3, samples=3, warm_calls=4, warm_seconds=0.01), 1)
    """
    if call_s > ONE_SAMPLE:
        return Plan(loops, 1, 1, 0, 0.0)
    if call_s > SLOW_CALL:
        return Plan(loops, rounds, 1, WARM_CALLS if call_s < 5 * SLOW_CALL else 1, WARM_SECONDS)
    per_round = 1 if call_s > SLOW_CALL / 2 else max(1, round(samples / rounds))
    return Plan(loops, rounds, per_round, WARM_CALLS, WARM_SECONDS)


def warm_up(call: Callable[[], object], calls: int, seconds: float) -> int:
    """Run untimed until both ``calls`` calls and ``seconds`` seconds are over; returns the calls made."""
    end = time.perf_counter_ns() + int(seconds * 1e9)
    made = 0
    while made < calls or time.perf_counter_ns() < end:
        call()
        made += 1
    return made


@contextlib.contextmanager
def collections() -> Iterator[dict[str, float]]:
    """Count what Python's collector of garbage does meanwhile: ``gc_runs``, and the ``gc_s`` seconds they took.

    >>> with collections() as found:
    ...     _ = gc.collect()
    >>> found["gc_runs"]
    1
    """
    found: dict[str, float] = {"gc_runs": 0, "gc_s": 0.0}
    begun = 0

    def note(phase: str, _: dict[str, int]) -> None:
        nonlocal begun
        if phase == "start":
            begun = time.perf_counter_ns()
        else:
            found["gc_runs"] += 1
            found["gc_s"] += (time.perf_counter_ns() - begun) * 1e-9

    gc.callbacks.append(note)
    try:
        yield found
    finally:
        gc.callbacks.remove(note)


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """The seconds of one call, and what it returned."""
    start = time.perf_counter_ns()
    result = call()
    return (time.perf_counter_ns() - start) * 1e-9, result
