"""Made-up findings of a study of training: a loss that falls, at whatever pace and with whatever error a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import made_up_runs as made

BUDGET = {"steps": 6000, "seconds": 4.0}
UNTIMED = dict.fromkeys(("call_s", "call_s_low", "call_s_high", "work_ratio", "peak_bytes", "prepare_s", "primal_s"))


def trained(
    step_s: float, *, error: float = 0.0, steps: int = 6000, prepare_s: float = 0.01, **more: Any
) -> dict[str, Any]:
    """A loss of 2/(1 + step/50), ``error`` of it too large, for as many steps as the budget has room for."""
    done = min(steps, int((BUDGET["seconds"] - prepare_s) / step_s) + 1)
    seen, k = [], 0
    while k < done:
        seen.append(k)
        k = max(k + 1, -int(-1.06 * k // 1))
    seen.append(done)
    return {
        "steps": seen,
        "loss": [2.0 / (1 + k / 50) * (1 + (error if k else 0.0)) for k in seen],
        "seconds": [prepare_s + step_s * k for k in seen],
        "done": done,
        "stopped": "max_iters" if done == steps else "seconds",
        "prepare_s": prepare_s,
        "step_s": step_s,
        "rate": 0.5,
        "momentum": 0.0,
        "batch": 16,
        "of": "all 1 498 training digits",
        "budget": BUDGET,
        "score": {"what": "held-out digits", "right": min(299, 200 + done // 60), "of": 299},
        **more,
    }


def regions(rows: Sequence[str]) -> dict[str, Any]:
    """Decision regions with a point of each class."""
    return {"box": [-2.0, 2.0], "rows": list(rows), "points": [[-1.0, -1.0, 0], [1.0, 1.0, 1]]}


def row(backend: str, found: Mapping[str, Any] | None, **known: Any) -> dict[str, Any]:
    """One row of a study of training."""
    return made.row(backend, **{**UNTIMED, "rel_error": None, "worst_digits": None, "findings": found, **known})


def run_of(rows: Sequence[Mapping[str, Any]], **changed: Any) -> made.MadeUpRun:
    """A run of a study of training with these rows."""
    return made.run(rows, answer="training", baseline="", **changed)
