"""A made-up run of every kind of study, and what can go wrong with any of them."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import made_up_runs as made

from difflab.harness.study import shipped
from difflab.harness.study_kinds import KINDS
from difflab.report import render

RIGHT_TO_LEFT, EMOJI = (
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "\N{PARTY POPPER}\N{ZERO WIDTH JOINER}\N{FIRE}",
)
SCRIPT = "</script><script>document.title = 'taken'</script>"
IMAGE = '"><img src=x onerror="document.title=\'taken\'">'
NAMES = (RIGHT_TO_LEFT, EMOJI, SCRIPT, IMAGE)
NOTHING = ("prepare_s", "first_call_s", "call_s", "call_s_low", "call_s_high", "primal_s", "work_ratio", "peak_bytes",
           "rel_error", "worst_digits", "processes", "calls_timed")  # fmt: skip


@functools.cache
def of_kinds() -> Mapping[str, made.MadeUpRun]:
    """A run of every kind: that of a shipped study of the kind; a kind without one has no entry."""
    found: dict[str, made.MadeUpRun] = {}
    for study, path in shipped().items():
        kind = tomllib.loads(path.read_text(encoding="utf-8")).get("answer", "compare")
        found.setdefault(kind, importlib.import_module(f"claims.{study.replace('-', '_')}").AGREES)
    return found


def run_of(kind: str) -> made.MadeUpRun:
    """The run of a kind; a fault where a new kind has been given none."""
    assert kind in of_kinds(), f"no made-up run of a study of the kind {kind}: give it one in tests/claims"
    return of_kinds()[kind]


@functools.cache
def page_of(kind: str) -> str:
    """The page of that run."""
    return render(run_of(kind))


def changed(run: made.MadeUpRun, change: Callable[[dict[str, Any]], dict[str, Any]]) -> made.MadeUpRun:
    """The run with every row changed."""
    return dataclasses.replace(run, rows=[change(dict(row)) for row in run.rows])


def ended(run: made.MadeUpRun, outcome: str) -> made.MadeUpRun:
    """The run if every case had ended without a result."""
    nothing = dict.fromkeys(NOTHING) | {"outcome": outcome, "reason": f"made-up reason of {outcome}"}
    return dataclasses.replace(
        changed(run, lambda row: row | nothing | ({"findings": None} if "findings" in row else {})), samples={}
    )


def renamed(run: made.MadeUpRun) -> made.MadeUpRun:
    """The run with hostile, foreign and playful names, each row still telling which it was."""

    def name(row: dict[str, Any]) -> dict[str, Any]:
        for place, key in enumerate(("problem", "size", "backend", "reason")):
            row[key] = f"{row[key]} {NAMES[(len(row[key]) + place) % len(NAMES)]}"
        return row

    study = run.manifest["study"] | dict.fromkeys(("title", "question", "look_for"), " ".join(NAMES))
    return dataclasses.replace(changed(run, name), manifest=run.manifest | {"study": study})


def valued(run: made.MadeUpRun, **values: float) -> made.MadeUpRun:
    """The run with some numbers of all rows that have them replaced."""
    return changed(run, lambda row: row | {key: value for key, value in values.items() if row.get(key) is not None})


def odd(run: made.MadeUpRun) -> dict[str, made.MadeUpRun]:
    """Odd runs made of one, each by its name."""
    times = ("call_s", "call_s_low", "call_s_high", "primal_s", "prepare_s", "first_call_s")
    return {
        "all timed out": ended(run, "timeout"),
        "all refused": ended(run, "skipped_predicted"),
        "all interrupted": ended(run, "interrupted"),
        "one case": dataclasses.replace(run, rows=run.rows[:1]),
        "no case": dataclasses.replace(run, rows=[]),
        "infinite errors": valued(run, rel_error=math.inf),
        "no number": valued(run, **dict.fromkeys((*times, "rel_error", "worst_digits", "peak_bytes"), math.nan)),
        "no time": valued(run, **dict.fromkeys(times, 0.0)),
    }


__all__ = ["IMAGE", "KINDS", "NAMES", "SCRIPT", "changed", "ended", "odd", "of_kinds", "renamed", "run_of", "valued"]
