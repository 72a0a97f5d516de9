"""Timing calls by turns in one process: the quick look that ``difflab.compare`` takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import statistics, timing
from .gpu_columns import gpu_columns

ROUNDS = 5
SAMPLES = 3
SLOW = 0.3
"""Seconds of a call above which one sample a round is enough, without warming up."""
BUDGET = 5.0
"""Seconds that a slow call may take in all rounds; one that takes longer by itself is not called again."""


def interleave(
    ready: Sequence[tuple[dict[str, Any], Callable[[], Any]]], primal: Callable[[], Callable[[], Any]], side: Any
) -> dict[str, list[list[float]]]:
    """Rounds of samples by turns, in one process.

    Args:
        ready: rows and their calls; a row gets ``call_s`` (the median over all rounds), ``call_s_least`` and
            ``call_s_most`` (the medians of its quickest and slowest round), ``primal_s``, ``work_ratio`` (the median of
            ratios within a round) and, on a GPU, what its clocks say besides.
        primal: makes the call of the plain loss; not asked where nothing is ready.
        side: where they are computed, whose clocks are read.

    Returns:
        Seconds per call by case, as one list: it is one process.
    """
    if not ready:
        return {}
    step = timing.clock_step()
    contestants = [("", primal()), *[(row["case"], call) for row, call in ready]]
    once = {row["case"]: row["first_call_s"] or 0.0 for row, _ in ready}
    slow = {name: seconds for name, seconds in once.items() if seconds > SLOW}
    loops = {name: 1 if name in slow else side.calibrate(call, 1e-3, step)[0] for name, call in contestants}
    taken: dict[str, list[dict[str, list[Any]]]] = {name: [] for name, _ in contestants}
    order = np.random.default_rng(0)
    for turn in range(ROUNDS):
        for k in order.permutation(len(contestants)):
            name, call = contestants[k]
            if slow.get(name, 0.0) > BUDGET and side.name == "cpu":  # its first call, which is all there is
                taken[name] = [{"samples": [slow[name]]}]
                continue
            if turn and (turn + 1) * slow.get(name, 0.0) > BUDGET:
                continue
            if name not in slow:
                side.warm_up(call, 1, 0.002)
            samples = [side.sample(call, loops[name]) for _ in range(1 if name in slow else SAMPLES)]
            taken[name].append({series: [one[series] for one in samples] for series in samples[0]})
    found = {name: [one["samples"] for one in rounds] for name, rounds in taken.items()}
    plain = [statistics.median(one) for one in found.pop("")]
    for row, _ in ready:
        medians = [statistics.median(one) for one in found[row["case"]]]
        row["call_s"] = statistics.median(medians)
        row["primal_s"] = statistics.median(plain)
        row["call_s_least"], row["call_s_most"] = min(medians), max(medians)  # over rounds: no interval, but a spread
        row["work_ratio"] = statistics.median(
            [a / b for a, b in zip(medians, plain, strict=False)]
        )  # a slow one has few
        rounds = gpu_columns(dict(enumerate(taken[row["case"]])), {})
        row |= {key: value for key, value in rounds.items() if not key.startswith("event_s_")}
        row |= {key: value for key, value in side.notes({}).items() if key == "primal_by"}
    return {name: [[value for one in rounds for value in one]] for name, rounds in found.items()}
