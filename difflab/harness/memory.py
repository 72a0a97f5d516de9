"""Memory of one call: peak of the process, bytes of arrays, and a self-test that reads back a known amount.

``peak_bytes`` is the highest resident size of the process (``VmHWM``, reset by writing 5 to
``/proc/self/clear_refs``) during one call, minus the resident size before the backend prepared.  So it holds what the
backend keeps (compiled programs, buffers) and what a call adds, NumPy's and BLAS's work memory included, and not the
interpreter, the libraries or the data. ``array_bytes`` is the peak that tracemalloc sees in a further, separate call:
exact for NumPy arrays, blind for native work memory, and slow, so it is never in a timed run.  Where ``/proc`` is
missing, the column is ``None``.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import tracemalloc
from collections.abc import Callable
from pathlib import Path

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
SELF_TEST_BYTES = 80 * 2**20


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


def peak_during(call: Callable[[], object], baseline: int | None) -> tuple[int | None, object]:
    """Run ``call`` once and find the highest resident size above ``baseline``.

    Args:
        call: takes nothing.
        baseline: the resident size to subtract, in bytes; ``None`` where it is not known.

    Returns:
        The bytes (never negative), or ``None`` where the system cannot say, and the call's result.
    """
    trim()
    able = baseline is not None and reset_peak()
    result = call()
    peak = status("VmHWM") if able else None
    if peak is None or baseline is None:
        return None, result
    return max(0, peak - baseline), result


def arrays_during(call: Callable[[], object]) -> int:
    """The peak of traced allocations (Python objects and NumPy arrays) during one call, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def self_test(nbytes: int = SELF_TEST_BYTES) -> dict[str, int | float | None]:
    """Write to a known amount of memory and read the peak back.

    Args:
        nbytes: how much to allocate, in bytes.

    Returns:
        ``expected`` and ``measured`` in bytes and their ``error`` as a fraction; ``None`` where the system cannot say.
    """

    def allocate() -> None:
        with mmap.mmap(-1, nbytes) as block:
            for offset in range(0, nbytes, mmap.PAGESIZE):
                block[offset] = 1

    measured, _ = peak_during(allocate, resident())
    error = None if measured is None else measured / nbytes - 1
    return {"expected": nbytes, "measured": measured, "error": error}
