"""Timing calls by turns in one process: the quick look that ``difflab.compare`` takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import statistics, timing
from .gpu_columns import gpu_columns

ROUNDS = 5
SAMPLES = 3


def interleave(
    ready: Sequence[tuple[dict[str, Any], Callable[[], Any]]], primal: Callable[[], Callable[[], Any]], side: Any
) -> dict[str, list[list[float]]]:
    """Rounds of samples by turns, in one process.

    Args:
        ready: rows and their calls; a row gets ``call_s`` (the median over all rounds), ``primal_s``, ``work_ratio``
            (the median of ratios within a round) and, on a GPU, what its clocks say besides.
        primal: makes the call of the plain loss; not asked where nothing is ready.
        side: where they are computed, whose clocks are read.

    Returns:
        Seconds per call by case, as one list: it is one process.
    """
    if not ready:
        return {}
    step = timing.clock_step()
    contestants = [("", primal()), *[(row["case"], call) for row, call in ready]]
    loops = {name: side.calibrate(call, 1e-3, step)[0] for name, call in contestants}
    taken: dict[str, list[dict[str, list[Any]]]] = {name: [] for name, _ in contestants}
    order = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for k in order.permutation(len(contestants)):
            name, call = contestants[k]
            side.warm_up(call, 1, 0.002)
            samples = [side.sample(call, loops[name]) for _ in range(SAMPLES)]
            taken[name].append({series: [one[series] for one in samples] for series in samples[0]})
    found = {name: [one["samples"] for one in rounds] for name, rounds in taken.items()}
    plain = [statistics.median(one) for one in found.pop("")]
    for row, _ in ready:
        medians = [statistics.median(one) for one in found[row["case"]]]
        row["call_s"] = statistics.median(medians)
        row["primal_s"] = statistics.median(plain)
        row["work_ratio"] = statistics.median([a / b for a, b in zip(medians, plain, strict=True)])
        rounds = gpu_columns(dict(enumerate(taken[row["case"]])), {})
        row |= {key: value for key, value in rounds.items() if not key.startswith("event_s_")}
        row |= {key: value for key, value in side.notes({}).items() if key == "primal_by"}
    return {name: [[value for one in rounds for value in one]] for name, rounds in found.items()}
