"""A run as three flat tables with typed columns: its cases, its raw samples, and the run itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from .journal import canonical
from .results import COLUMNS, MORE_COLUMNS, Results

TEXT, INTEGER, REAL, BOOLEAN, JSON = "text", "integer", "real", "boolean", "json"
"""What a column holds: ``JSON`` is a list or a mapping, written as JSON text."""

LARGEST = 2**63 - 1

WHOLE = frozenset(
    {
        "n_params", "peak_bytes", "array_bytes", "predicted_bytes", "prepare_peak_bytes", "tape_length", "processes",
        "noisy_processes", "calls_timed", "outliers_mild", "outliers_severe", "threads", "gc_runs", "environment",
        "input_copies", "driver_bytes",
    }
)  # fmt: skip
WORDS = frozenset(
    {
        "case", "problem", "size", "dtype", "device", "backend", "operator", "outcome", "reason", "certified", "family",
        "verdict", "memory_enforced", "phase", "stopped", "input_cache", "captured", "primal_by", "mechanism", "slowed",
    }
)  # fmt: skip
FLAGS = frozenset({"tf32", "host_bound"})
LISTS = frozenset({"ulp_histogram", "medians", "epochs", "findings"})
"""Columns whose type is known without their values; all others of a run are ``REAL`` where no value says more."""


@dataclass(frozen=True)
class Table:
    """Rows of plain values: ``columns`` gives the type of each by its name, ``rows`` are tuples in that order.

    ``None`` is a missing value; there is no NaN.
    """

    name: str
    columns: Mapping[str, str]
    rows: list[tuple[Any, ...]]


def tables(results: Results) -> dict[str, Table]:
    """All tables of a run.

    Args:
        results: of the run.

    Returns:
        ``cases``: the columns of ``Results.frame``.  ``samples``: one row per sample with ``case``, ``process`` (from
        0), ``sample`` (from 0, in the order of measuring), ``seconds`` per call of the derivative and
        ``primal_seconds`` per call of the loss; of a run on a GPU ``event_seconds`` and ``enqueue_seconds`` too, and
        ``seconds`` are by the wall.  ``runs``: one row with what is known of the run.
    """
    return {one.name: one for one in (cases(results), samples(results), runs(results))}


def cases(results: Results) -> Table:
    """One row per case, in the order of the study."""
    rows = results.rows
    extra = sorted({key for row in rows for key in row} - {*COLUMNS, *MORE_COLUMNS})
    names = ["case", *(name for name in (*COLUMNS, *MORE_COLUMNS, *extra) if name != "case")]
    columns = {name: type_of(name, (row.get(name) for row in rows)) for name in names}
    filled = [tuple(plain(row.get(name), kind) for name, kind in columns.items()) for row in rows]
    return Table("cases", columns, filled)


def samples(results: Results) -> Table:
    """One row per sample; nothing is left out."""
    columns = {"case": TEXT, "process": INTEGER, "sample": INTEGER}
    series = {"seconds": "samples", "primal_seconds": "primal"}
    if any("event" in data for epochs in results.ledger.epochs.values() for data in epochs.values()):
        series |= {"event_seconds": "event", "enqueue_seconds": "enqueue"}
    rows = list(_samples(results, list(series.values())))
    return Table("samples", columns | dict.fromkeys(series, REAL), rows)


def _samples(results: Results, series: list[str]) -> Iterator[tuple[Any, ...]]:
    for row in results.rows:
        for process, data in sorted(results.ledger.epochs.get(row["case"], {}).items()):
            together = zip_longest(*(data.get(name, ()) for name in series))
            yield from ((row["case"], process, number, *values) for number, values in enumerate(together))


def runs(results: Results) -> Table:
    """The one row of the run: study, settings and machine; the whole manifest as JSON text beside them."""
    manifest, study = results.manifest, results.study
    machine = manifest.get("environment") or {}
    git = machine.get("git") or {}
    found: dict[str, tuple[str, Any]] = {
        "study": (TEXT, study.get("name")),
        "title": (TEXT, study.get("title")),
        "question": (TEXT, study.get("question")),
        "answer": (TEXT, study.get("answer")),
        "operator": (TEXT, study.get("operator")),
        "baseline": (TEXT, study.get("baseline")),
        "key": (TEXT, manifest.get("key")),
        "seed": (INTEGER if manifest.get("seed", 0) <= LARGEST else TEXT, manifest.get("seed")),
        "quick": (BOOLEAN, manifest.get("quick")),
        "created": (TEXT, manifest.get("created")),
        "finished": (BOOLEAN, results.finished),
        "seconds": (REAL, results.ledger.seconds),
        "cases": (INTEGER, len(results.rows)),
        "events_lost": (INTEGER, results.ledger.lost),
        "cpu": (TEXT, machine.get("cpu")),
        "cores": (INTEGER, machine.get("cores")),
        "memory_bytes": (INTEGER, machine.get("memory_bytes")),
        "threads": (INTEGER, machine.get("threads")),
        "gpu": (TEXT, (machine.get("gpu") or {}).get("name")),
        "platform": (TEXT, machine.get("platform")),
        "python": (TEXT, machine.get("python")),
        "difflab": (TEXT, (machine.get("packages") or {}).get("difflab")),
        "git_commit": (TEXT, git.get("commit")),
        "git_changed": (BOOLEAN, git.get("changed")),
        "references": (JSON, results.reference),
        "manifest": (JSON, manifest),
    }
    row = tuple(plain(value, kind) for kind, value in found.values())
    return Table("runs", {name: kind for name, (kind, _) in found.items()}, [row])


def type_of(name: str, values: Iterable[Any]) -> str:
    """The type of a column: what its values say, or where there are none, its name.

    Args:
        name: of the column.
        values: all of it.

    >>> type_of("n_params", [None]), type_of("seen", [True, None]), type_of("seen", [1, 2.5]), type_of("seen", [[1], 2])
    ('integer', 'boolean', 'real', 'json')
    """
    known = [value for value in values if value is not None and value == value]
    kinds = {_kind(value) for value in known}
    if not kinds:
        if name in FLAGS:
            return BOOLEAN
        return INTEGER if name in WHOLE else TEXT if name in WORDS else JSON if name in LISTS else REAL
    if len(kinds) == 1:
        kind = kinds.pop()
        floating = kind == INTEGER and name not in WHOLE and name in (*COLUMNS, *MORE_COLUMNS)
        large = kind == INTEGER and any(abs(value) > LARGEST for value in known)
        return REAL if floating or large else kind
    return REAL if kinds == {INTEGER, REAL} else JSON


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, int):
        return INTEGER
    return REAL if isinstance(value, float) else TEXT if isinstance(value, str) else JSON


def plain(value: Any, kind: str) -> Any:
    """A value as a column of a kind holds it; NaN and ``None`` are both missing."""
    if value is None or (isinstance(value, float) and value != value):
        return None
    if kind == JSON:
        return canonical(value)
    if kind == TEXT:
        return str(value).encode("utf-8", "replace").decode()  # half a surrogate pair is no text that can be stored
    return float(value) if kind == REAL else value
