"""What a run has measured of a case on a GPU, as columns of its row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import statistics
from .gpu_timing import host_bound

LAST = ("input_copies", "input_cache", "captured", "primal_by")


def gpu_columns(epochs: Mapping[int, Mapping[str, Any]], heard: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The columns of ``results.GPU_COLUMNS`` that samples and readings of the clocks give.

    Args:
        epochs: of a case, by number: ``event`` and ``enqueue`` are lists of seconds per call beside ``samples``.
        heard: what was recorded between the slices of an epoch, by number; ``gpu`` holds readings before and after.

    Returns:
        Times as medians of the medians of the processes, with the interval of the event time; nothing for a case on
        the processor.

    >>> gpu_columns({0: {"event": [2e-3, None], "enqueue": [1e-3, 3e-3]}}, {})["host_bound"]
    True
    """
    found: dict[str, Any] = {}
    series = {name: _medians(epochs, name) for name in ("event", "enqueue")}
    if series["event"]:
        found["event_s"] = statistics.median(series["event"])
        if bounds := statistics.interval(series["event"]):
            found |= {"event_s_low": bounds.low, "event_s_high": bounds.high}
    if series["enqueue"]:
        found["enqueue_s"] = statistics.median(series["enqueue"])
        found["host_bound"] = host_bound(found.get("event_s"), found["enqueue_s"])
    for number in sorted(epochs):
        found |= {key: epochs[number][key] for key in LAST if key in epochs[number]}
    return found | _heat([heard[number]["gpu"] for number in epochs if heard.get(number, {}).get("gpu")])


def _medians(epochs: Mapping[int, Mapping[str, Any]], name: str) -> list[float]:
    """The median of each process, where it has any."""
    known = ([one for one in epochs[number].get(name, ()) if one is not None] for number in sorted(epochs))
    return [statistics.median(values) for values in known if values]


def _heat(readings: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The range of the clock, the highest temperature and why clocks were lowered, over all readings."""
    states = [state for one in readings for state in (one.get("before"), one.get("after")) if state]
    clocks = [state["sm_mhz"] for state in states if state.get("sm_mhz") is not None]
    heat = [state["temperature_c"] for state in states if state.get("temperature_c") is not None]
    why = dict.fromkeys(reason for state in states for reason in state.get("slowed") or ())
    found: dict[str, Any] = {"sm_mhz_low": min(clocks), "sm_mhz_high": max(clocks)} if clocks else {}
    found |= {"temperature_c": max(heat)} if heat else {}
    return found | ({"slowed": ", ".join(why)} if any(state.get("slowed") is not None for state in states) else {})
