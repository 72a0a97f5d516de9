"""Made-up findings of studies of expression swell, with whatever law of growth a test wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import made_up_runs as made

from difflab.report import cases, kinds

LABELS = {
    "tree": "symbolic, written out", "shared": "symbolic, shared", "graph-by-symbol": "symbolic graph, by symbol",
    "graph": "symbolic graph, from the root", "forward": "forward", "tape": "reverse",
}  # fmt: skip
FAMILIES = {"forward": "forward", "tape": "reverse"}
MODES = frozenset(FAMILIES)
UNTIMED = dict.fromkeys(
    ("prepare_s", "first_call_s", "call_s", "call_s_low", "call_s_high", "primal_s", "work_ratio", "peak_bytes",
     "array_bytes", "predicted_bytes", "tape_length", "primal_calls", "processes", "calls_timed")
)  # fmt: skip
Law = Callable[[int], float]


def row(way: str, found: Mapping[str, Any] | None, **known: Any) -> dict[str, Any]:
    """One case of a way, with its findings."""
    family = FAMILIES.get(way, "symbolic")
    return made.row(LABELS[way], **{**UNTIMED, "family": family, "findings": found, **known})


def finding(way: str, shape: Mapping[str, int], counts: Mapping[str, float], *, ended: bool = False) -> dict[str, Any]:
    """What one case finds; ``counts``: of value and gradient by kind; what ended knows its tape and a forecast."""
    quarter = {kind: value / 4 for kind, value in counts.items()}
    gradient = {"equations": counts["tape"] / 5, "tape": counts["tape"]}
    gradient["tape_lean"] = counts.get("tape_lean", counts["tape"] - 1)
    loss = {"equations": 3, "tape": quarter["tape"]}
    found: dict[str, Any] = {"way": way, "shape": dict(shape), "evaluations": 1000, "loss": loss, "gradient": gradient}
    if way not in MODES:
        forecast = counts[way if way.startswith("graph") else "tree"] / 2
        found["forecast"] = {"operations": forecast, "seconds": 99.0}
    if ended:
        return found
    scale = counts[{"shared": "cse"}.get(way, way)]
    found["times"] = {"build": 1e-3, "differentiate": 1e-3, "compile": 1e-5 * scale, "evaluate": 1e-8 * scale}
    if way in ("tree", "shared"):
        loss |= {"tree": quarter["tree"], "dag": quarter["dag"]}
        gradient |= {"tree": counts["tree"], "dag": counts["dag"], "cse": counts["cse"] if way == "shared" else None}
    elif way == "forward":
        gradient |= {"forward": counts["forward"], "forward_lean": counts.get("forward_lean", counts["forward"] / 4)}
    elif way != "tape":
        loss["graph"] = counts.get("loss", quarter["tape"])
        gradient[way] = counts[way]
    return {**found, "loss_s": 1e-6}


def growing(
    problem: str,
    axis: str,
    places: Sequence[int],
    laws: Mapping[str, Law],
    *,
    last: Mapping[str, int] | None = None,
    error: float = 2e-16,
) -> list[dict[str, Any]]:
    """All cases of a problem that grows along ``axis`` by ``laws``; ``last``: where a way ends."""
    rows = []
    for place in places:
        counts = {kind: float(round(law(place))) for kind, law in laws.items()}
        at = {"problem": problem, "size": f"{axis}-{place}", "n_params": 10 * place}
        for way in LABELS:
            ended = place > (last or {}).get(way, place)
            found = finding(way, {"depth": 2, "width": 3, axis: place}, counts, ended=ended)
            if ended:
                end = {"outcome": "skipped_predicted", "reason": "forecast to take 99 s", "rel_error": None}
                rows.append(row(way, found, **at, **end))
            else:
                exact = way in MODES or error < 1e-12
                end = {"outcome": "ok" if exact else "invalid", "reason": "" if exact else "relative error"}
                rows.append(row(way, found, **at, **end, rel_error=2e-16 if way in MODES else error))
    return rows


def run_of(rows: Sequence[Mapping[str, Any]]) -> made.MadeUpRun:
    """A run of the kind."""
    return made.run(rows, answer="swell", baseline="", title="T", question="Q?")


EXPONENTIAL: dict[str, Law] = {
    "tree": lambda n: 100 * 3.0**n,
    "dag": lambda n: 60 * n**2,
    "cse": lambda n: 50 * n**2,
    "forward": lambda n: 80 * n**2,
    "graph-by-symbol": lambda n: 20 * n**2,
    "tape": lambda n: 40 * n,
    "graph": lambda n: 40 * n - 1,
}
FACTORS = {"tree": 60, "dag": 55, "cse": 50, "forward": 160, "graph-by-symbol": 90, "tape": 40, "graph": 400}
MILD: dict[str, Law] = {kind: (lambda n, factor=factor: factor * n) for kind, factor in FACTORS.items()}
DEEP = [
    *growing("deep-mlp", "depth", (1, 2, 3, 4, 5, 6, 8, 12), EXPONENTIAL, last={"tree": 5, "shared": 8}),
    *growing("xor", "batch", (8,), EXPONENTIAL),
]


def page_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What stands beside every chart and table of a page, and how it was measured."""
    whole = kinds.sections("swell", cases.read(list(map(dict, rows))))
    said = {chart.anchor: " ".join((*chart.caption, *chart.notes)) for chart in whole.charts}
    return said | {one.anchor: one.text for one in whole.tables} | {"method": " ".join(whole.method)}
