"""A run in the formats of other tools: CSV, Parquet and SQLite, which read back exactly what was measured.

The event file stays the one source of truth; what is exported can be made again at any time.  (SQLite alone changes one
number: it has no negative zero.)
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from ..errors import InputError, StoreError, UnavailableError
from .files import cannot_write, sync_folder, write_atomically
from .results import Results
from .tables import BOOLEAN, INTEGER, JSON, REAL, TEXT, Table, tables

CSV, PARQUET, SQLITE = "csv", "parquet", "sqlite"
SUFFIXES = {".csv": CSV, ".parquet": PARQUET, ".sqlite": SQLITE, ".sqlite3": SQLITE, ".db": SQLITE}
TABLES = ("cases", "samples", "runs")
ELSEWHERE = "Name another file with --to."

_SQL_TYPES = {TEXT: "TEXT", INTEGER: "INTEGER", REAL: "REAL", BOOLEAN: "BOOLEAN", JSON: "TEXT"}
_KEYS = {
    "cases": ', PRIMARY KEY ("case")',
    "samples": ', PRIMARY KEY ("case", "process", "sample"), FOREIGN KEY ("case") REFERENCES "cases" ("case")',
}
VIEWS = {
    "processes": """
        SELECT "case", "process", "samples", "least_s", avg("seconds") AS "median_s"
        FROM (
            SELECT "case", "process", "seconds",
                row_number() OVER (PARTITION BY "case", "process" ORDER BY "seconds") AS "rank",
                count(*) OVER (PARTITION BY "case", "process") AS "samples",
                min("seconds") OVER (PARTITION BY "case", "process") AS "least_s"
            FROM "samples" WHERE "seconds" IS NOT NULL
        )
        WHERE 2 * "rank" BETWEEN "samples" AND "samples" + 2
        GROUP BY "case", "process"
    """,
    "compared": """
        SELECT "problem", "size", "dtype", "operator", "backend", "n_params", "call_s",
            "call_s" / min("call_s") OVER (PARTITION BY "problem", "size", "dtype", "operator") AS "times_the_fastest",
            "work_ratio", "peak_bytes", "digits", "verdict"
        FROM "cases" WHERE "outcome" = 'ok' AND "call_s" IS NOT NULL
    """,
}
"""The views of an SQLite file: the median of each process, and each finished case beside the fastest of its kind."""


def export(results: Results, target: str | Path, table: str | None = None, force: bool = False) -> Path:
    """Write a run to a file whose suffix names the format; whole or not at all.

    Args:
        results: of the run.
        target: ending in ``.csv``, ``.parquet``, ``.sqlite``, ``.sqlite3`` or ``.db``.
        table: ``cases`` (where ``None``), ``samples`` or ``runs``; an SQLite file holds all of them.
        force: replace a file that is there.

    Returns:
        The file.

    Raises:
        InputError: the suffix or the table is unknown, the format has no use for ``table``, or the file is there.
        UnavailableError: Parquet without PyArrow.
        StoreError: the file cannot be written.

    >>> export(results, "run.xlsx")  # doctest: +SKIP
    """
    target = Path(target)
    check(target, table, force)
    found = tables(results)
    kind = SUFFIXES[target.suffix.lower()]
    if kind == SQLITE:
        _write_sqlite(target, found)
    else:
        write_atomically(target, _CONTENT[kind](found[table or "cases"]), ELSEWHERE)
    return target


def check(target: Path, table: str | None = None, force: bool = False) -> None:
    """Raise what ``export`` would raise before it writes, so that of several files none is written."""
    if target.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise InputError(f"{target} ends in no format that difflab writes; name a file ending in one of {known}.")
    if table is not None and table not in TABLES:
        raise InputError(f"there is no table {table!r}; there are {', '.join(TABLES)}.")
    kind = SUFFIXES[target.suffix.lower()]
    if table is not None and kind == SQLITE:
        raise InputError(f"{target} will hold all tables, as every SQLite file does; leave --table out.")
    if target.is_dir() or (target.exists() and not force):
        raise InputError(f"{target} is there already; name another file, or replace it with --force.")
    if kind == PARQUET:
        _pyarrow()


# ---------------------------------------------------------------------------- CSV


def csv_text(table: Table) -> str:
    """A table as CSV: a header, a missing value as nothing between two commas, an empty text as ``""``.

    Floating-point numbers have as many digits as it takes to read back the same bits.

    >>> csv_text(Table("t", {"name": TEXT, "seconds": REAL}, [("a, b", 0.1), ("", None)]))
    'name,seconds\\n"a, b",0.1\\n"",\\n'
    """
    lines = [",".join(map(_cell, table.columns))]
    lines += [",".join(map(_cell, row)) for row in table.rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    bare = value and not set(value) & set(',"\r\n') and value.strip() == value
    return value if bare else _quoted(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _csv(table: Table) -> bytes:
    return csv_text(table).encode()


# ---------------------------------------------------------------------------- Parquet


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UnavailableError(
            "Parquet files are written by PyArrow, which is not installed: pip install 'difflab[export]'. CSV and "
            "SQLite need nothing."
        ) from None
    return pyarrow


def _parquet(table: Table) -> bytes:
    arrow = _pyarrow()
    types = {
        TEXT: arrow.string(), INTEGER: arrow.int64(), REAL: arrow.float64(), BOOLEAN: arrow.bool_(),
        JSON: arrow.string(),
    }  # fmt: skip
    schema = arrow.schema([(name, types[kind]) for name, kind in table.columns.items()])
    columns = [[row[position] for row in table.rows] for position in range(len(table.columns))]
    made = arrow.table(
        [arrow.array(values, field.type) for values, field in zip(columns, schema, strict=True)], schema=schema
    )
    stream = BytesIO()
    arrow.parquet.write_table(made, stream)
    return stream.getvalue()


_CONTENT: Mapping[str, Callable[[Table], bytes]] = {CSV: _csv, PARQUET: _parquet}


# ---------------------------------------------------------------------------- SQLite


def _write_sqlite(target: Path, found: Mapping[str, Table]) -> None:
    """Fill a new database beside the target and put it in its place when it is complete."""
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(temporary)) as database:
            # the file is new and is put in place only when it is whole: a journal would protect nothing
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            for table in found.values():
                _create(database, table)
            for name, query in VIEWS.items():
                database.execute(f'CREATE VIEW "{name}" AS {query}')
            database.commit()
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, target)
        sync_folder(target.parent)
    except (OSError, sqlite3.Error) as fault:
        with contextlib.suppress(OSError):  # the first fault is the one to tell
            temporary.unlink(missing_ok=True)
        if isinstance(fault, OSError):
            raise cannot_write(target, fault, ELSEWHERE) from fault
        raise StoreError(f"{target} cannot be written: {fault}. {ELSEWHERE}") from fault


def _create(database: sqlite3.Connection, table: Table) -> None:
    columns = ", ".join(f"{_quoted(name)} {_SQL_TYPES[kind]}" for name, kind in table.columns.items())
    database.execute(f'CREATE TABLE "{table.name}" ({columns}{_KEYS.get(table.name, "")})')
    places = ", ".join("?" * len(table.columns))
    database.executemany(f'INSERT INTO "{table.name}" VALUES ({places})', table.rows)
