"""``difflab repair``, ``export`` and ``diff``: what can be done with run folders, as text and as JSON documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import StoreError
from ..harness.amounts import counted
from .codes import BAD_INPUT, NOTHING, OK, STORE
from .faults import AsJson, Left, show

if TYPE_CHECKING:
    from ..harness.difference import CaseChange, Difference, Times
    from ..harness.repair import Repair
    from ..harness.tables import Table

REGRESSED = 1
REPAIR_EPILOG = """
\b
Examples:
  difflab repair reports/digits --dry-run
  difflab repair reports/digits

Afterwards the run can be shown with difflab report, and the command that began it goes on with it. The damaged file is
kept beside the new one as events.damaged-1.jsonl.

Exit codes: 0 the run is whole, or repaired; 2 no run there; 4 the run is in use, or beyond repair.
"""
EXPORT_EPILOG = """
\b
Examples:
  difflab export reports/digits > cases.csv
  difflab export reports/digits --to digits.sqlite --to digits.parquet
  difflab export reports/digits --table samples --to samples.csv --force

Tables: cases (one row per case, all columns of Results.frame), samples (one row per sample, in seconds per call) and
runs (one row: study, settings, machine). An SQLite file holds all three, and views over them. Parquet needs the extra
difflab[export]. For pandas, read_csv takes a label such as null for a missing value unless it is told
keep_default_na=False, na_values=[""].

Exit codes: 0 written; 2 bad input, or a file that cannot be written; 4 the run is damaged.
"""
DIFF_EPILOG = """
\b
Examples:
  difflab diff reports/digits reports/digits-2
  difflab diff reports/digits reports/digits-2 --across-machines --json

A time has regressed where its 95% interval lies wholly beyond 1.03 times the earlier one; memory, where the peak grew
by more than 10 per cent and 256 KiB; accuracy, where more than half a digit is lost.

Exit codes: 0 nothing regressed; 1 something did; 2 bad input; 4 a run is damaged; 5 no case is in both runs.
"""
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, such as reports/digits.")]


def attach(app: typer.Typer) -> None:
    """Add the commands to the command line.

    Args:
        app: the command line.
    """

    @app.command(epilog=REPAIR_EPILOG)
    def repair(
        folder: Run,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and write nothing.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Make a damaged run folder loadable and resumable again.

        Every line whose checksum holds is kept; what is lost, and what was concluded from it, is measured again when
        the run is resumed.
        """
        from ..harness.repair import repair as repair_run

        found = _stored(lambda: repair_run(folder, dry_run))
        show(_json(asdict(found)) if as_json else repair_text(found))

    @app.command(epilog=EXPORT_EPILOG)
    def export(
        folder: Run,
        to: Annotated[
            list[Path] | None,
            typer.Option("--to", metavar="FILE", help="A file ending in .csv, .parquet or .sqlite; may be repeated."),
        ] = None,
        table: Annotated[
            str | None, typer.Option("--table", metavar="TABLE", help="cases (the default), samples or runs.")
        ] = None,
        force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Write a run as CSV, Parquet or SQLite; without --to as CSV on stdout.

        Numbers read back to the last bit. What is missing is an empty field, or NULL.
        """
        show(_stored(lambda: export_text(folder, to or [], table, force, as_json)))

    @app.command(epilog=DIFF_EPILOG)
    def diff(
        before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The folder of the earlier run.")],
        after: Annotated[Path, typer.Argument(metavar="AFTER", help="The folder of the later run.")],
        across_machines: Annotated[
            bool,
            typer.Option("--across-machines", help="Compare times although the machine or versions differ."),
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Say what changed between two runs, and what is worse."""
        from ..harness.difference import diff_runs

        found = _stored(lambda: diff_runs(before, after, across_machines=across_machines))
        show(_json(difference_document(found)) if as_json else difference_text(found))
        raise typer.Exit(REGRESSED if found.regressed else OK if found.cases else NOTHING)


def _stored(work: Callable[[], Any]) -> Any:
    """What some work on run folders gives; a fault of the store ends the command with its exit code."""
    from ..harness.store import FolderError

    try:
        return work()
    except StoreError as error:
        code = BAD_INPUT if isinstance(error, FolderError) else STORE
        raise Left(str(error), code, type(error).__name__) from None


def _json(document: dict[str, Any]) -> str:
    from .tables import json_text

    return json_text(document)


# ---------------------------------------------------------------------------- difflab repair


def repair_text(found: Repair) -> str:
    """What a repair found and did, for people."""
    from .tables import MISSING, table

    if not found.needed:
        return f"{found.folder} is whole: {counted(found.lines, 'event')}, nothing to repair."
    parts = []
    if found.manifest is not None:
        parts.append(f"manifest.json {found.manifest}: taken from the copy among the events.")
    parts += [f"{_place(part)} {part.fault}{_hint(part)}: dropped." for part in found.dropped]
    if found.moved:
        moved = counted(found.moved, "event")
        parts.append(f"{moved} found twice, glued to another or out of place: kept once, in order.")
    by_reason: dict[str, list[int]] = {}
    for number, why in found.withdrawn.items():
        by_reason.setdefault(why, []).append(number)
    parts += [f"{counted(len(those), 'event')} withdrawn: {why}." for why, those in by_reason.items()]
    lost = sum(number not in found.withdrawn for first, last in found.lost for number in range(first, last + 1))
    parts.append(f"{counted(found.lines, 'event')} kept, {lost} lost.")
    rows = [
        [
            case.name,
            "yes" if case.checked else MISSING,
            str(case.processes or MISSING),
            case.outcome or MISSING,
            case.again or "stands",
        ]
        for case in found.cases
    ]
    shown = table(["CASE", "CHECKED", "PROCESSES", "OUTCOME", "NEXT"], rows, right=[2])
    open_ones = sum(bool(case.again) for case in found.cases)
    if found.done:
        end = f"Repaired; the damaged file is kept as {' and '.join(found.copy)}."
    else:
        end = "Nothing was written (--dry-run)."
    if open_ones:
        end += f" The command that began the run goes on with {counted(open_ones, 'case')}."
    return "\n".join(parts) + f"\n\n{shown}\n\n{end}"


def _place(part: Any) -> str:
    return f"line {part.line}" if part.line else "two lines:"


def _hint(part: Any) -> str:
    """What a damaged line still shows of itself."""
    words = [part.kind and f"of kind {part.kind}", part.case and f"of case {part.case[:12]}"]
    known = [word for word in words if word]
    return f" (it seems to be {' '.join(known)})" if known else ""


# ---------------------------------------------------------------------------- difflab export


def export_text(folder: Path, targets: Sequence[Path], table: str | None, force: bool, as_json: bool = False) -> str:
    """Write a run to each of the targets; returns what to print, the table itself if there are none."""
    from ..errors import InputError
    from ..harness import export, results
    from ..harness.tables import tables

    found = results.load(folder)
    if not targets:
        if table is not None and table not in export.TABLES:
            raise InputError(f"there is no table {table!r}; there are {', '.join(export.TABLES)}.")
        if force:
            raise InputError("--force replaces files, and no file was named with --to.")
        chosen = tables(found)[table or "cases"]
        if as_json:
            return _json({"table": chosen.name, "rows": [_record(chosen, row) for row in chosen.rows]})
        return export.csv_text(chosen).removesuffix("\n")
    for target in targets:
        export.check(target, table, force)
    if twice := [target for number, target in enumerate(targets) if target in targets[:number]]:
        raise InputError(f"{twice[0]} is named twice; name each file once.")
    try:
        written = [export.export(found, target, table, force) for target in targets]
    except StoreError as fault:  # of the file named, and nothing is wrong with the run
        raise InputError(str(fault)) from fault
    return _json({"written": written}) if as_json else "\n".join(f"wrote {path}" for path in written)


def _record(table: Table, row: Sequence[Any]) -> dict[str, Any]:
    """A row by the names of its columns; what a table holds as JSON text is a value again."""
    import json

    from ..harness.tables import JSON

    pairs = zip(table.columns.items(), row, strict=True)
    return {
        name: json.loads(value) if kind == JSON and isinstance(value, str) else value for (name, kind), value in pairs
    }


# ---------------------------------------------------------------------------- difflab diff


def difference_document(found: Difference) -> dict[str, Any]:
    """A difference as a JSON value."""
    document = asdict(found)
    document["machine"] = [change._asdict() for change in found.machine]
    document["settings"] = [change._asdict() for change in found.settings]
    for shown, case in zip(document["cases"], found.cases, strict=True):
        for name, times in (("call", case.call), ("prepare", case.prepare)):
            if times is not None and times.interval is not None:
                shown[name]["interval"] = times.interval._asdict()
    return {**document, "regressed": len(found.regressed)}


def difference_text(found: Difference) -> str:
    """A difference for people, at most 100 columns wide where the names of the cases allow it."""
    from .tables import table

    parts = []
    if found.machine:
        differing = "\n".join(f"  {change}" for change in found.machine)
        parts.append(f"Machine and versions differ:\n{differing}")
    if found.settings:
        differing = "\n".join(f"  {change.name}: {change.before} -> {change.after}" for change in found.settings)
        parts.append(f"Settings differ:\n{differing}")
    header = ["CASE", "OUTCOME", "TIME", "95% INTERVAL", "VERDICT", "PREPARE", "MEMORY", "DIGITS"]
    rows: list[list[str]] = []
    for position, case in enumerate(found.cases):
        if position == 0 or case.block != found.cases[position - 1].block:
            rows.append([case.block, *[""] * (len(header) - 1)])
        rows.append(_difference_row(case, found.comparable))
    if rows:
        parts.append(table(header, rows, right=(2, 3, 5, 6, 7)))
        parts.append(
            "TIME, PREPARE and MEMORY: how many times as much as before; peaks within 256 KiB are alike.\n"
            "DIGITS: correct digits gained or lost. *: regressed."
        )
    parts += [f"{title}: {', '.join(names)}" for title, names in _one_sided(found) if names]
    if found.notes:
        parts.append("\n".join(_wrapped(f"Note: {note}.") for note in found.notes))
    worse = [_wrapped(f"  {case.block} {case.backend}: {'; '.join(case.regressions)}") for case in found.regressed]
    total = counted(len(found.cases), "case")
    if not found.cases:
        return "\n\n".join([*parts, "No case is in both runs, so nothing was compared."])
    if worse:
        parts.append("\n".join([f"{len(worse)} of {total} regressed from {found.before} to {found.after}:", *worse]))
    else:
        parts.append(f"None of {total} regressed from {found.before} to {found.after}.")
    return "\n\n".join(parts)


def _one_sided(found: Difference) -> list[tuple[str, list[str]]]:
    return [(f"Only in {found.before}", found.gone), (f"Only in {found.after}", found.new)]


def _wrapped(text: str) -> str:
    import textwrap

    return textwrap.fill(text, 100, initial_indent=text[: len(text) - len(text.lstrip())], subsequent_indent="    ")


def _difference_row(case: CaseChange, comparable: bool) -> list[str]:
    from ..harness.difference import RESOLUTION
    from .tables import MISSING

    was, now = case.outcome
    first, last = case.peak_bytes
    memory = last / first if first and last is not None and abs(last - first) > RESOLUTION else None
    correct = case.digits
    digits = None if correct[0] is None or correct[1] is None else correct[1] - correct[0]
    mark = "* " if case.regressions else "  "
    interval = case.call and case.call.interval
    return [
        mark + case.backend,
        _short(now) if was == now else f"{_short(was)} -> {_short(now)}",
        _ratio(case.call),
        f"{interval.low:.2f} to {interval.high:.2f}" if interval else MISSING,
        _verdict(case.call, comparable),
        _ratio(case.prepare),
        MISSING if memory is None else f"{memory:.2f}",
        MISSING if digits is None else f"{digits:+.1f}".replace("-0.0", "0.0").replace("+0.0", "0.0"),
    ]


def _short(outcome: str) -> str:
    """An outcome in one word, for a narrow column."""
    return {"skipped_predicted": "skipped", "memory_limit": "memory"}.get(outcome, outcome)


def _ratio(times: Times | None) -> str:
    return "-" if times is None else f"{times.factor:.2f}"


def _verdict(call: Times | None, comparable: bool) -> str:
    if not comparable:
        return "not compared"
    return (call.verdict if call else None) or "-"
