"""What the command line prints on stdout: tables as text, documents as JSON."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from . import __version__

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


def print_json(document: dict[str, Any]) -> None:
    """One JSON document on stdout; what is not a finite number is null."""
    print(json.dumps({"schema": SCHEMA, "difflab": __version__, **_plain(document)}, indent=1, allow_nan=False))


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


# ---------------------------------------------------------------------------- difflab list


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Problems with sizes and numbers of parameters, studies with their questions, backends with what they can do."""
    from . import backends
    from .errors import DifflabError
    from .harness.study import shipped
    from .problems import PROBLEMS

    found: dict[str, list[dict[str, Any]]] = {"problems": [], "studies": [], "backends": []}
    for problem in PROBLEMS.values():
        sizes = {size: problem.build(size, "float64", 0).n_params for size in problem.sizes}
        found["problems"].append({"name": problem.name, "title": problem.title, "sizes": sizes})
    for name, path in shipped().items():
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        found["studies"].append({"name": name, "title": document["title"], "question": document["question"]})
    for name in backends.names():
        try:
            backend = backends.find(name)
        except DifflabError as error:
            row = {"name": name, "family": None, "operators": [], "available": False, "reason": str(error)}
        else:
            operators = sorted(backend.capabilities)
            row = {"name": name, "family": backend.family, "operators": operators, "available": True, "reason": None}
        found["backends"].append(row)
    return found


def print_catalogue(found: dict[str, list[dict[str, Any]]]) -> None:
    """What ``catalogue`` found, as three tables."""
    sizes = [
        [one["name"], ", ".join(f"{size} ({count:,})".replace(",", " ") for size, count in one["sizes"].items())]
        for one in found["problems"]
    ]
    print(table(["PROBLEM", "SIZES (PARAMETERS)"], sizes))
    print()
    print(table(["STUDY", "QUESTION"], [[one["name"], " ".join(one["question"].split())] for one in found["studies"]]))
    print()
    able = [
        [one["name"], one["family"] or MISSING, ", ".join(one["operators"]) if one["available"] else one["reason"]]
        for one in found["backends"]
    ]
    print(table(["BACKEND", "FAMILY", "OPERATORS, OR WHY IT IS UNAVAILABLE"], able))


# ---------------------------------------------------------------------------- difflab run, difflab report


def results_document(results: Any) -> dict[str, Any]:
    """What ``difflab run --json`` prints: the study, where it is stored, one object per row."""
    study = {key: results.study[key] for key in ("name", "title", "question")}
    return {
        "study": study,
        "answer": _answer(results),
        "folder": results.folder,
        "page": results.folder / "index.html",
        "finished": results.finished,
        "rows": results.rows,
    }


def print_results(results: Any) -> None:
    """The rows as a table, the answer in a sentence, and where the page is."""
    from .report import cases, numbers

    found = cases.read(results.rows)
    several = len({case.dtype for case in found}) > 1
    header = ["PROBLEM", "PARAMETERS", "BACKEND", "OUTCOME", "DIGITS", "TIME", "95% INTERVAL", "x LOSS", "MEMORY"]
    rows = [
        [
            f"{case.place} {case.dtype}" if several else case.place,
            numbers.count(case.n_params),
            case.backend,
            case.outcome_words,
            _shown(case.digits, numbers.digits),
            _shown(case.call_s, numbers.seconds),
            numbers.interval(case.call_s_low, case.call_s_high) or MISSING,
            _shown(case.work_ratio, numbers.factor),
            _shown(case.peak_bytes, numbers.size_in_bytes),
        ]
        for case in found
    ]
    print(table(header, rows, right=(1, 4, 5, 7, 8)))
    print(f"\n{_answer(results)}\n\nPage: {results.folder / 'index.html'}")


def _shown(value: float | None, show: Callable[[float | None], str]) -> str:
    return MISSING if value is None else show(value)
