"""What the command line shows: tables as text, documents as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__

if TYPE_CHECKING:
    from ..report.cases import Case

SCHEMA = 1
MISSING = "-"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Columns side by side, two spaces apart, never wrapped, so that it can be piped and searched.

    Args:
        header: one title per column.
        rows: one text per column each.
        right: positions of the columns to be aligned to the right.

    >>> print(table(["name", "n"], [["tiny", "63"], ["small", "1 210"]], right=[1]))
    name       n
    tiny      63
    small  1 210
    """
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    to_right = set(right)
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in to_right else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def json_text(document: dict[str, Any]) -> str:
    """The document as JSON with the versions of its format and of difflab; what is not a finite number is null."""
    return json.dumps({"schema": SCHEMA, "difflab": __version__, **_plain(document)}, indent=1, allow_nan=False)


def _plain(value: Any) -> Any:
    """The value with plain Python types only, as JSON knows them."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str | int | bool) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    number = value.item() if callable(getattr(value, "item", None)) else value
    if isinstance(number, float) and not math.isfinite(number):
        return None
    return number if isinstance(number, str | int | float | bool) else None


# ---------------------------------------------------------------------------- difflab run, difflab report


def results_document(results: Any) -> dict[str, Any]:
    """What ``difflab run --json`` prints: the study, where it is stored, one object per row."""
    from ..report import answer

    study = {key: results.study[key] for key in ("name", "title", "question")}
    found = answer(results)
    return {
        "study": study,
        "answer": found.text,
        "details": found.details,
        "caveats": found.caveats,
        "folder": results.folder,
        "page": results.folder / "index.html",
        "finished": results.finished,
        "rows": results.rows,
    }


def results_text(results: Any) -> str:
    """The rows as a table, the answer in a sentence, and where the page is."""
    from ..report import answer, cases, kinds

    found = cases.read(results.rows)
    kind = kinds.kind_of(results.manifest)
    own = {"compare": _compared_table, "steps": _steps_table, "traps": _traps_table}.get(kind)
    shown = own(found) if own else _listed_table(kinds.sections(kind, found))
    said = answer(results)
    sentences = "\n".join([said.text, *said.details, *said.caveats])
    return f"{shown}\n\n{sentences}\n\nPage: {results.folder / 'index.html'}"


def _compared_table(found: Sequence[Case]) -> str:
    from ..report import devices, numbers

    several, there = len({case.dtype for case in found}) > 1, devices.on_gpu(found)
    header = ["PROBLEM", "PARAMETERS", "BACKEND", "OUTCOME", "DIGITS", "x LOSS", "MEMORY", "TIME", "95% INTERVAL"]
    rows = [
        [
            " ".join([case.place, *[case.dtype] * several, *[case.device] * bool(there)]),
            numbers.count(case.n_params),
            case.backend,
            case.outcome_words,
            _shown(case.digits, numbers.digits),
            _shown(case.work_ratio, numbers.factor),
            MISSING if case.peak_bytes is None else devices.peak(case, case.peak_bytes),
            *(text or MISSING for text in _measured(case)),
        ]
        for case in found
    ]
    if all(row[-1] == MISSING for row in rows):  # a quick run has no intervals
        header, rows = header[:-1], [row[:-1] for row in rows]
    if any(case.enqueue_s is not None for case in there):
        header += ["EVENT", "ENQUEUE", "HOST-BOUND"]
        bound = {"True": "yes", "False": "no"}
        for row, case in zip(rows, found, strict=True):
            clocks = [_shown(time, numbers.seconds) for time in (case.event_s, case.enqueue_s)]
            row += [*clocks, bound.get(case.host_bound, MISSING)]
    return table(header, rows, right=(1, 4, 5, 6, 7))


def _measured(case: Case) -> tuple[str, str]:
    """The time of a case and its uncertainty, to the same place."""
    from ..report import numbers

    if case.call_s is None:
        return "", ""
    return numbers.measured_apart(case.call_s, case.call_s_low, case.call_s_high)


def _steps_table(found: Sequence[Case]) -> str:
    """What each case of a study of steps lost at its best step, and what theory and the automatic step made of it."""
    from ..report import numbers
    from ..report.claims import curves

    header = ["PROBLEM", "DTYPE", "BACKEND", "OUTCOME", "DIGITS LOST", "BEST STEP", "ERROR", "PREDICTED", "AUTO ERROR"]
    rows = []
    for case in found:
        curve = curves.read(case)
        numbers_of = [] if curve is None else [
            _shown(curve.lost, numbers.digits),
            *(
                _shown(value, numbers.scientific)
                for value in (curve.best.step, curve.best.error, curve.predicted.step, curve.default.error)
            ),
        ]  # fmt: skip
        rows.append([case.place, case.dtype, case.backend, case.outcome_words, *(numbers_of or [MISSING] * 5)])
    return table(header, rows, right=range(4, len(header)))


def _traps_table(found: Sequence[Case]) -> str:
    """Whether each backend answered each trap honestly; a family that it did not get through is a row of its own."""
    labels = list(dict.fromkeys(case.backend for case in found))
    rows: dict[str, dict[str, str]] = {}
    for case in found:
        if case.findings:
            for one in case.findings["traps"]:
                rows.setdefault(one["name"], {})[case.backend] = one["verdict"]
        else:
            rows.setdefault(f"all of {case.size}", {})[case.backend] = case.outcome_words
    shown = [[name, *[said.get(label, MISSING) for label in labels]] for name, said in rows.items()]
    return table(["TRAP", *labels], shown)


def _listed_table(sections: Any) -> str:
    """The first table of a page, as it stands there; a run without findings has none."""
    if not sections.tables:
        return "(no case has findings)"
    shown = sections.tables[0].table
    rows = [[f"{cell.text} {cell.under}".strip() for cell in row] for row in shown.rows]
    right = [k for k in range(len(shown.columns)) if rows and all(row[k].numeric for row in shown.rows)]
    return table([name.upper() for name in shown.columns], rows, right=right)


def _shown(value: float | None, show: Callable[[float | None], str]) -> str:
    return MISSING if value is None else show(value)
