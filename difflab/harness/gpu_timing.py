"""Clocks on a GPU: events around the region, what the host needs to enqueue it, and wall time with synchronisation.

The host enqueues work and the device does it later, so one clock tells half.  A sample is ``loops`` calls between two
events on CuPy's stream: ``event`` is what passes on the device between them, ``enqueue`` what the host takes to hand
the calls over, and ``wall`` ends when the whole device is at rest; that is ``call_s``.  A case is bound by its host
where handing over takes nine tenths of the event time or more: a faster device would not help it.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from . import timing

Result = TypeVar("Result")
EVENT_STEP = 5e-7
"""Seconds: how finely events tell the time."""
HOST_BOUND = 0.9
BEYOND = 0.1
"""The part of a sample that may be left when its last event is over; with more of it, events did not see the work."""
CACHES = 2.0
"""How many times the L2 cache the copies of the inputs fill together."""
MOST_COPIES = 256
MEMORY_SHARE = 0.25
"""The part of the free memory of the device that copies of inputs may take."""


class Sample(NamedTuple):
    """Seconds per call on three clocks; ``event`` is ``None`` where the events did not enclose the work."""

    wall: float
    event: float | None
    enqueue: float


class DeviceClock:
    """The clocks of the current device.

    Args:
        cupy: the module.
    """

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._start, self._stop = (cupy.cuda.Event() for _ in range(2))

    def rest(self) -> None:
        """Wait until the whole device is at rest, whoever's stream it is."""
        self._cupy.cuda.runtime.deviceSynchronize()

    def timed(self, call: Callable[[], Result]) -> tuple[float, Result]:
        """The seconds of one call until the device is at rest, and what it returned."""
        self.rest()
        start = time.perf_counter_ns()
        result = call()
        self.rest()
        return (time.perf_counter_ns() - start) * 1e-9, result

    def sample(self, call: Callable[[], object], loops: int) -> Sample:
        """One sample of ``loops`` calls."""
        repeat, stream = range(loops), self._cupy.cuda.get_current_stream()
        self.rest()
        begin = time.perf_counter_ns()
        self._start.record(stream)
        for _ in repeat:
            call()
        handed = time.perf_counter_ns()
        self._stop.record(stream)
        self._stop.synchronize()
        seen = time.perf_counter_ns()
        self.rest()
        end = time.perf_counter_ns()
        event = self._cupy.cuda.get_elapsed_time(self._start, self._stop) * 1e-3
        unseen = (end - seen) * 1e-9 > max(BEYOND * (end - begin) * 1e-9, 20 * EVENT_STEP)
        scale = 1e-9 / loops
        return Sample((end - begin) * scale, None if unseen else event / loops, (handed - begin) * scale)

    def wall(self, call: Callable[[], object], loops: int) -> float:
        """Seconds per call of one sample, by the wall."""
        return self.sample(call, loops).wall

    def calibrate(self, call: Callable[[], object], least: float, step: float | None = None) -> tuple[int, float]:
        """How many calls make a sample of at least ``least`` seconds, and the seconds per call found on the way."""
        return timing.calibrate(call, max(least, timing.STEP_FACTOR * EVENT_STEP), step, self.wall)

    def warm_up(self, call: Callable[[], object], calls: int, seconds: float) -> int:
        """Run untimed until both are over and the device is at rest; the host waits after each call, or it runs away.

        Args:
            call: takes nothing.
            calls: at least so many.
            seconds: at least so long.

        Returns:
            The calls made.
        """

        def complete() -> None:
            call()
            self.rest()

        return timing.warm_up(complete, calls, seconds)


def host_bound(event_s: float | None, enqueue_s: float | None) -> bool | None:
    """Whether the host is what a call waits for; ``None`` where one of the two is not known.

    >>> host_bound(1e-3, 9.5e-4), host_bound(1e-3, 1e-4), host_bound(None, 1e-4)
    (True, False, None)
    """
    return None if event_s is None or enqueue_s is None else enqueue_s >= HOST_BOUND * event_s


# ------------------------------------------------------------------------------------------------ rotation


@dataclass(frozen=True)
class Rotation:
    """Copies of the inputs that calls go round among.

    ``copies`` counts them with the originals; ``nbytes`` is what one holds; ``cold``: together they exceed the L2 cache
    so far that a call finds nothing there of what it reads.
    """

    copies: int
    nbytes: int
    cold: bool


def rotation(nbytes: int, l2_bytes: int | None, free_bytes: int, warm: bool = False) -> Rotation:
    """How many copies of its inputs a case goes round among.

    Args:
        nbytes: of the inputs.
        l2_bytes: the size of the cache; ``None`` where it is not known.
        free_bytes: of the device.
        warm: the study wants them where the call before left them.

    >>> rotation(2**20, 4 * 2**20, 2**30)
    Rotation(copies=9, nbytes=1048576, cold=True)
    >>> rotation(2**30, 4 * 2**20, 2**40).copies, rotation(64, 2**20, 2**30).cold
    (1, False)
    """
    wanted = CACHES * (l2_bytes or 0)
    if warm or nbytes <= 0 or not l2_bytes:
        return Rotation(1, nbytes, False)
    # one more than fill it: of what a call reads, the last reading is a whole round ago
    copies = 1 if nbytes > wanted else min(MOST_COPIES, math.floor(wanted / nbytes) + 1)
    copies = max(1, min(copies, 1 + int(MEMORY_SHARE * free_bytes / nbytes)))
    return Rotation(copies, nbytes, copies * nbytes > wanted)


def going_round(calls: Sequence[Callable[[], object]]) -> Callable[[], object]:
    """A call of each in turn.

    >>> step = going_round([lambda: 1, lambda: 2])
    >>> step(), step(), step()
    (1, 2, 1)
    """
    if len(calls) == 1:
        return calls[0]
    following = itertools.cycle(calls).__next__
    return lambda: following()()
