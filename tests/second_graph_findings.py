"""Made-up findings of studies of second graphs, true to the claim or against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import made_up_runs as made
from swell_findings import UNTIMED


def finding(
    *, loss: int = 5, same: int | None = None, appended: int = 10, reverse: float = 3.0, forward: float = 2.0,
    error: float = 1e-16, orders: int = 4,
) -> dict[str, Any]:  # fmt: skip
    """One loss of so many equations; every further order has ``reverse`` or ``forward`` times the equations."""
    lengths = {"loss": loss, "whole": loss + appended, "same": loss if same is None else same}
    lengths |= {"flops": 10.0, "whole_flops": 10.0 + 2 * appended}
    names = ["multiply"] * (loss - 1) + ["sum"]
    more = ["broadcast_to"] + ["multiply"] * (appended - 1)
    rates = {"reverse": reverse, "forward": forward}
    return {
        "recorded": lengths,
        "simplified": {**lengths, "kept": loss},
        "read": 2,
        "primitives": {"multiply": loss - 1, "sum": 1},
        "appended": {"broadcast_to": 1, "multiply": appended - 1},
        "drawn": [[name, [place - 1] if place else []] for place, name in enumerate([*names, *more])],
        "orders": [
            {"order": order, **{mode: _derivative(order, appended * rate ** (order - 1), error)
                                for mode, rate in rates.items()}}
            for order in range(1, orders + 1)
        ],
    }  # fmt: skip


def _derivative(order: int, equations: float, error: float) -> dict[str, Any]:
    vector = error if order == 2 else None
    right = order == 1 or error < 1e-12
    lengths = {"equations": round(equations), "flops": 2 * equations}
    return {**lengths, "vector_error": vector, "series_error": error, "right": right, "why": ""}


def row(problem: str, found: Mapping[str, Any] | None, **known: Any) -> dict[str, Any]:
    """One case."""
    at = {"problem": problem, "size": "tiny", "n_params": 3, **UNTIMED}
    return made.row("reverse", **{**at, "findings": found, **known})


def run_of(rows: Sequence[Mapping[str, Any]]) -> made.MadeUpRun:
    """A run of the kind."""
    return made.run(rows, answer="graphs", baseline="", title="T", question="Q?")
