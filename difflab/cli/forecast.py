"""The command ``run --dry-run``: what a study would cost, as text or JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from ..report import numbers
from ..report.cases import OUTCOMES, title
from .progress import progress_on
from .tables import MISSING, json_text, table

HEADER = ["PROBLEM", "PARAMETERS", "BACKEND", "CALLS", "FLOPS", "BYTES", "PREPARE", "ONE CALL", "THE CASE", "VERDICT"]
HUGE = 2.0**50  # bytes that no unit makes short
NOTE = (
    "CALLS: evaluations of the loss, or passes of comparable cost. THE CASE: wall time of all that the study asks of "
    "it, measuring included."
)


def forecast_alone(
    study: str, quick: bool, seed: int, as_json: bool, device: str | None, others: Mapping[str, Any]
) -> tuple[str, bool]:
    """The same where nothing else is asked for.

    Args:
        study, quick, seed, as_json, device: as for ``forecast_text``.
        others: options that make no sense beside it, by name.

    Raises:
        InputError: one of them was given.
    """
    if given := [name for name, value in others.items() if value]:
        raise InputError(f"--dry-run measures and writes nothing: leave out {' and '.join(given)}")
    return forecast_text(study, quick, seed, as_json, device)


def forecast_text(study: str, quick: bool, seed: int, as_json: bool, device: str | None = None) -> tuple[str, bool]:
    """What ``difflab run --dry-run`` prints; progress goes to standard error.

    Args:
        study: the name of a shipped study, or the path of a study file.
        quick: forecast a quick run.
        seed: of parameters and data.
        as_json: one JSON document instead of text.
        device: "cpu" or "gpu" for all problems; ``None`` for what the study says.

    Returns:
        The text, and whether any case would be started.
    """
    from ..lab import forecast_document

    with progress_on(sys.stderr) as progress:
        found = forecast_document(study, quick=quick, seed=seed, progress=progress, device=device)
    runs = any(case["outcome"] == "runs" for case in found["cases"])
    return json_text(found) if as_json else as_text(found), runs


def as_text(found: Mapping[str, Any]) -> str:
    """A forecast as a table, with sentences about the whole of it.

    Args:
        found: the document of a forecast.
    """
    cases = found["cases"]
    several = len({case["dtype"] for case in cases}) > 1
    rows = [
        [
            f"{title(case['problem'])} {case['size']}" + (f" {case['dtype']}" if several else ""),
            numbers.count(case["n_params"]),
            case["backend"],
            _shown(case["predicted_calls"], numbers.count),
            _shown(case["predicted_flops"], _flops),
            _shown(case["predicted_bytes"], _bytes),
            _shown(case["predicted_prepare_s"], numbers.seconds),
            _shown(case["predicted_call_s"], numbers.seconds),
            _shown(case["run_s"], numbers.seconds),
            _verdict(case),
        ]
        for case in cases
    ]
    shown = table(HEADER, rows, right=range(3, 9) if rows else ())
    return "\n".join([shown, "", NOTE, *_whole(found)])


def _whole(found: Mapping[str, Any]) -> list[str]:
    """What the run as a whole comes to."""
    cases = found["cases"]
    starts = sum(case["outcome"] == "runs" for case in cases)
    refused = sum(case["outcome"] == "skipped_predicted" for case in cases)
    said = f"{numbers.counted(len(cases), 'case')}: {numbers.grouped(starts)} would run"
    said += f", {numbers.grouped(refused)} would be refused by forecast" if refused else ""
    rest = len(cases) - starts - refused
    said += f", {numbers.grouped(rest)} cannot be done" if rest else ""
    lines = [f"{said}."]
    if there := sum(case["device"] == "gpu" for case in cases):
        needed = f"{numbers.counted(there, 'case')} {'needs' if there == 1 else 'need'} a GPU"
        lines.append(f"{needed}, which a forecast does not look for; its times are unknown and count as nothing below.")
    if found["references_s"]:
        lines.append(f"Certified references: about {numbers.seconds(found['references_s'])} of computing.")
    if found["run_s"] is None:
        lines.append("How long its examinations take is not forecast.")
    else:
        budget = found["timing"]["budget_s"]
        text = f"The whole run: about {numbers.seconds(found['run_s'])}"
        if found["first_s"] > budget and not found["quick"]:
            text += f", more than its budget of {numbers.seconds(budget)}: each case is timed in one process at least"
        elif not found["quick"]:
            text += f", within its budget of {numbers.seconds(budget)}; one process per case takes "
            text += f"{numbers.seconds(found['first_s'])}"
        lines.append(f"{text}.")
    lines.append(f"Forecast in {numbers.seconds(found['seconds'])}; nothing was run and nothing written.")
    return lines


def _verdict(case: Mapping[str, Any]) -> str:
    if case["outcome"] == "runs":
        return "runs"
    return f"{OUTCOMES.get(case['outcome'], (case['outcome'],))[0]}: {case['reason']}"


def _flops(value: float | None) -> str:
    return numbers.scaled(value) if value is not None and value >= 1e6 else numbers.count(value)


def _bytes(value: float | None) -> str:
    return f"{numbers.scientific(value)} B" if value is not None and value >= HUGE else numbers.size_in_bytes(value)


def _shown(value: float | None, show: Any) -> str:
    return MISSING if value is None else show(value)
