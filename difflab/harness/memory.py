"""Memory of one call: peak of the process, bytes of arrays, and a self-test of both that reads back a known amount.

``peak_bytes`` is the highest resident size of the process (``VmHWM``, reset by writing 5 to
``/proc/self/clear_refs``) during one call, minus the resident size before the backend prepared.  So it holds what the
backend keeps (compiled programs, buffers) and what a call adds, NumPy's and BLAS's work memory included, and not the
interpreter, the libraries or the data. ``array_bytes`` is the peak that tracemalloc sees in a further, separate call:
exact for NumPy arrays, blind for native work memory, and slow, so it is never in a timed run.

A process that measures tests itself first, once: what it allocates must be read back within ``TOLERANCE``.  Where it is
not, or where ``/proc`` is missing, the number is ``None``: some systems keep ``VmHWM`` for good or round it, and some
versions of NumPy report every array to tracemalloc twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import mmap
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import amounts

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
SELF_TEST_BYTES = 80 * 2**20
ARRAY_TEST_BYTES = 8 * 2**20
PR_SET_THP_DISABLE, PR_GET_THP_DISABLE = 41, 42
TOLERANCE = 0.02
"""How far what is read back may be from what was allocated, as a fraction."""


def status(field: str, path: Path = STATUS) -> int | None:
    """A size such as ``VmRSS`` or ``VmHWM`` from ``/proc/self/status`` in bytes, or ``None`` where there is none."""
    try:
        text = path.read_text()
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return None


def reset_peak() -> bool:
    """Let the peak start again from the present resident size; says whether the system allowed it."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return False
    return True


def trim() -> None:
    """Give freed memory back to the system, so that memory taken again later is seen as growth."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        return  # not glibc: nothing to give back, the baseline is a little higher


def resident() -> int | None:
    """The resident size now, in bytes, after freed memory has been given back."""
    trim()
    return status("VmRSS")


def peak_during(call: Callable[[], Any], baseline: int | None) -> tuple[int | None, Any]:
    """Run ``call`` once and find the highest resident size above ``baseline``.

    Args:
        call: takes nothing.
        baseline: the resident size to subtract, in bytes; ``None`` where it is not known.

    Returns:
        The bytes (never negative), or ``None`` where the system cannot say or failed the self-test, and the call's
        result.
    """
    return _peak(call, baseline if not peaks_refused() else None)


def _peak(call: Callable[[], Any], baseline: int | None) -> tuple[int | None, Any]:
    trim()
    able = baseline is not None and reset_peak()
    result = call()
    peak = status("VmHWM") if able else None
    if peak is None or baseline is None:
        return None, result
    return max(0, peak - baseline), result


@contextlib.contextmanager
def small_pages() -> Iterator[None]:
    """Let the system hand out no huge pages meanwhile.

    NumPy asks for pages of 2 MiB for large arrays, and then a peak is that much too large for every such array.  Calls
    are slower without them, so what is counted like this is not timed.
    """
    try:
        control = ctypes.CDLL(None).prctl
        before = control(PR_GET_THP_DISABLE, 0, 0, 0, 0)
        control(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    except (AttributeError, OSError):  # not Linux, where sizes of pages are not known to matter
        yield
        return
    try:
        yield
    finally:
        control(PR_SET_THP_DISABLE, max(before, 0), 0, 0, 0)


def arrays_during(call: Callable[[], object]) -> int | None:
    """The peak of traced allocations (Python objects and NumPy arrays) during one call.

    Args:
        call: takes nothing.

    Returns:
        Bytes, or ``None`` where the self-test failed: the call is made all the same.

    Example:
        >>> import numpy as np
        >>> arrays_during(lambda: np.ones(10**6)) >= 8 * 10**6
        True
    """
    refused = arrays_refused()
    found = _arrays(call)
    return None if refused else found


def _arrays(call: Callable[[], object]) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Phases:
    """Peaks of this process phase by phase, each above what was resident when the phase began.

    Args:
        on: whether to measure at all: giving memory back to the system between phases disturbs clocks.

    Example:
        >>> phases = Phases(on=False)
        >>> phases.begin("import")
        >>> phases.end(), phases.found
        (None, {})
    """

    def __init__(self, on: bool) -> None:
        self._on = on and not peaks_refused()
        self._name = ""
        self._before: int | None = None
        self.found: dict[str, int] = {}

    def begin(self, name: str) -> None:
        """A phase begins; the one before it ends."""
        self.end()
        if self._on:
            self._name, self._before = name, resident()
            reset_peak()

    def end(self) -> None:
        """The phase is over."""
        peak = status("VmHWM") if self._name else None
        if peak is not None and self._before is not None:
            self.found[self._name] = max(0, peak - self._before)
        self._name = ""


# ------------------------------------------------------------------------------------------------ the self-tests


def self_test(nbytes: int = SELF_TEST_BYTES) -> dict[str, Any]:
    """Write to a known amount of memory and read the peak back.

    Args:
        nbytes: how much to allocate, in bytes.

    Returns:
        ``expected`` and ``measured`` in bytes and their ``error`` as a fraction, ``None`` where the system cannot say;
        ``reason``: why peaks are not to be trusted, empty where they are.
    """

    def allocate() -> None:
        with mmap.mmap(-1, nbytes) as block:
            for offset in range(0, nbytes, mmap.PAGESIZE):
                block[offset] = 1

    try:
        measured = _peak(allocate, resident())[0]
    except OSError as fault:
        return _judged(nbytes, None, f"no memory could be had for the self-test: {fault}")
    return _judged(nbytes, measured, "this system does not say how much memory a process has taken at most")


def array_self_test(nbytes: int = ARRAY_TEST_BYTES) -> dict[str, Any]:
    """Make a NumPy array of a known size and read it back from tracemalloc, touching none of it.

    Args:
        nbytes: of the array.

    Returns:
        As from ``self_test``.
    """
    import numpy as np

    try:
        return _judged(nbytes, _arrays(lambda: np.empty(nbytes, np.uint8)), "")
    except MemoryError as fault:
        return _judged(nbytes, None, f"no memory could be had for the self-test: {fault}")


def _judged(expected: int, measured: int | None, unknown: str) -> dict[str, Any]:
    """A self-test with its error, and in a sentence why it failed."""
    error = None if measured is None else measured / expected - 1
    reason = unknown if error is None else ""
    if measured is not None and error is not None and abs(error) > TOLERANCE:
        reason = f"of {amounts.size(expected)} that were allocated {amounts.size(measured)} were read back"
    return {"expected": expected, "measured": measured, "error": error, "reason": reason}


@functools.cache
def peaks_refused() -> str:
    """Why this process does not trust its peaks, found once; empty where it does."""
    return self_test()["reason"]


@functools.cache
def arrays_refused() -> str:
    """Why this process does not trust tracemalloc, found once; empty where it does."""
    return array_self_test()["reason"]
