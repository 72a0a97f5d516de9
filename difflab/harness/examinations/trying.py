"""What examinations do once and carefully: refuse by forecast, try within a limit, time again what is quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...errors import ForecastError
from .. import amounts, limits, timing

SLOW = 0.3  # seconds; what takes longer is timed once


def refused(allowed: int | None, needed: int, seconds: float, settings: Mapping[str, Any]) -> str:
    """Why something is not begun; empty where it is.

    Args:
        allowed: bytes that it may take; ``None`` for no limit.
        needed: bytes that the forecast says.
        seconds: that the forecast says.
        settings: ``seconds`` that it may take.

    Example:
        >>> refused(1024, 4096, 0.0, {"seconds": 1.0})
        'the forecast needs 4 KiB; the limit is 1 KiB'
    """
    if allowed is not None and needed > allowed:
        return f"the forecast needs {amounts.size(needed)}; the limit is {amounts.size(allowed)}"
    if seconds > settings["seconds"]:
        return f"the forecast is {amounts.duration(seconds)}; the limit is {amounts.duration(settings['seconds'])}"
    return ""


def tried(work: Callable[[], dict[str, Any]], why_not: str = "") -> dict[str, Any]:
    """What came of some work, or why nothing did.

    Args:
        work: gives what is known of it then.
        why_not: why it is not begun; empty where it is.

    Example:
        >>> tried(dict, "too large")
        {'outcome': 'skipped_predicted', 'reason': 'too large'}
    """
    if why_not:
        return {"outcome": "skipped_predicted", "reason": why_not}
    try:
        return {"outcome": "ok", "reason": "", **work()}
    except ForecastError as fault:
        return {"outcome": "skipped_predicted", "reason": limits.shorten(str(fault))}
    except MemoryError as fault:
        why = limits.shorten(str(fault)) or "MemoryError: the memory limit was reached"
        return {"outcome": "memory_limit", "reason": why}


def again(call: Callable[[], Any], first: float, repeats: int) -> tuple[float, Any]:
    """The middle of the seconds of a few calls, of one only where that takes long, and the last result.

    Args:
        call: takes nothing.
        first: seconds of a call before, from which it is known whether it takes long; its result should be dropped.
        repeats: how many.

    Example:
        >>> again(lambda: 42, 0.0, 3)[1]
        42
    """
    spent, result = [], None
    for _ in range(repeats if first < SLOW else 1):
        result = None  # so that two of them never take memory at once
        seconds, result = timing.timed(call)
        spent.append(seconds)
    return float(np.median(spent)), result
