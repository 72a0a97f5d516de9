"""Runs in the formats of other tools: everything is there, with its type, and reads back to the bit."""

from __future__ import annotations

import csv
import io
import json
import math
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from difflab.errors import InputError, StoreError, UnavailableError
from difflab.harness import export, results, statistics, tables
from difflab.harness.results import COLUMNS, MORE_COLUMNS, Results

OLD = Path(__file__).parent / "old_runs" / "format-1"
FROM_CSV = {
    "text": str, "integer": int, "real": float, "boolean": {"true": True, "false": False}.__getitem__, "json": str,
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Results:
    return results.load(OLD / "full")


def _table(name: str = "t") -> tables.Table:
    """Every type with its awkward values."""
    columns = {"words": "text", "count": "integer", "value": "real", "flag": "boolean", "list": "json"}
    rows: list[tuple[Any, ...]] = [
        ('a "quoted", text\nin two lines\r\n', 2**63 - 1, 0.1 + 0.2, True, "[1,null]"),
        ("", -1, 5e-324, False, '{"a":"b,c"}'),
        (" spaces ", 0, -0.0, None, None),
        ("\N{MICRO SIGN}\N{GREEK SMALL LETTER PI}\x00", None, 1.7976931348623157e308, True, "[]"),
        (None, None, None, None, None),
    ]
    return tables.Table(name, columns, rows)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one.hex() == other.hex()
    return type(one) is type(other) and one == other


def _all_same(rows: list[tuple[Any, ...]], others: list[tuple[Any, ...]]) -> bool:
    return len(rows) == len(others) and all(
        _same(one, other) for row, line in zip(rows, others, strict=True) for one, other in zip(row, line, strict=True)
    )


def _read_csv(text: str, columns: dict[str, str]) -> list[tuple[Any, ...]]:
    """The values of a CSV file of which somebody says what its columns hold."""
    lines = list(csv.reader(io.StringIO(text, newline="")))
    assert lines[0] == list(columns)
    kinds = list(columns.values())
    return [
        tuple(
            None if cell == "" and kind != "text" else FROM_CSV[kind](cell)
            for cell, kind in zip(line, kinds, strict=True)
        )
        for line in lines[1:]
    ]


# ---------------------------------------------------------------------------- tables


def test_the_cases_are_the_rows_of_the_frame(found: Results) -> None:
    table = tables.cases(found)
    assert set(COLUMNS) | set(MORE_COLUMNS) <= set(table.columns)
    assert table.columns["call_s"] == "real"
    assert table.columns["peak_bytes"] == table.columns["n_params"] == "integer"
    assert table.columns["ulp_histogram"] == table.columns["medians"] == "json"
    for row, line in zip(found.rows, table.rows, strict=True):
        for (name, kind), value in zip(table.columns.items(), line, strict=True):
            known = row.get(name)
            if kind == "json":
                assert (None if value is None else json.loads(value)) == known
            elif known is None or known != known:
                assert value is None
            else:
                assert value == known
                assert type(value) is {"real": float, "integer": int, "boolean": bool, "text": str}[kind]


def test_every_sample_is_there(found: Results) -> None:
    table = tables.samples(found)
    for case, processes in found.samples.items():
        for number, values in enumerate(processes):
            rows = [row for row in table.rows if row[:2] == (case, number)]
            assert [row[3] for row in rows] == values
            assert [row[4] for row in rows] == found.ledger.epochs[case][number]["primal"]
            assert [row[2] for row in rows] == list(range(len(values)))


def test_the_run_is_described(found: Results) -> None:
    table = tables.runs(found)
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["title"] == found.study["title"]
    assert (row["quick"], row["finished"], row["seed"], row["cases"]) == (False, True, 0, 3)
    assert json.loads(row["manifest"]) == found.manifest


def test_types_follow_the_values_where_nothing_else_says_them() -> None:
    assert tables.type_of("call_s", [None, math.nan]) == "real"
    assert tables.type_of("outcome", []) == "text"
    assert tables.type_of("predicted_bytes", [1, 2**70]) == "real"  # no integer of 64 bits
    assert tables.type_of("extra", ["a", 1]) == "json"
    assert tables.plain(["a", None], "json") == '["a",null]'
    assert tables.plain("half \ud800", "text") == "half ?"


# ---------------------------------------------------------------------------- formats


def test_csv_reads_back_to_the_bit(found: Results) -> None:
    for table in (_table(), *tables.tables(found).values()):
        kinds = list(table.columns.values())
        rows = [
            tuple("" if value is None and kind == "text" else value for value, kind in zip(row, kinds, strict=True))
            for row in table.rows
        ]  # Python's reader does not tell an empty text from nothing
        assert _all_same(_read_csv(export.csv_text(table), dict(table.columns)), rows)
    lines = export.csv_text(_table()).split("\n")
    assert lines[-2] == ",,,,"  # missing
    assert any(line.startswith('"",') for line in lines)  # an empty text


def test_parquet_reads_back_to_the_bit_with_types(found: Results, tmp_path: Path) -> None:
    kinds = {"text": "string", "integer": "int64", "real": "double", "boolean": "bool", "json": "string"}
    for name, table in tables.tables(found).items():
        read = pyarrow.parquet.read_table(export.export(found, tmp_path / f"{name}.parquet", name))
        assert {field.name: str(field.type) for field in read.schema} == {
            column: kinds[kind] for column, kind in table.columns.items()
        }
        assert _all_same([tuple(row.values()) for row in read.to_pylist()], table.rows)


def test_sqlite_reads_back_to_the_bit_with_types_and_views(found: Results, tmp_path: Path) -> None:
    path = export.export(found, tmp_path / "run.sqlite")
    database = sqlite3.connect(path)
    for name, table in tables.tables(found).items():
        read = database.execute(f"SELECT * FROM {name}").fetchall()
        rows = [tuple(int(value) if isinstance(value, bool) else value for value in row) for row in table.rows]
        assert _all_same(read, rows)
        declared = {column: kind for _, column, kind, *_ in database.execute(f"PRAGMA table_info({name})")}
        assert declared["seconds" if name != "cases" else "call_s"] == "REAL"
        assert list(declared) == list(table.columns)
    processes = database.execute('SELECT "case", process, samples, least_s, median_s FROM processes').fetchall()
    assert len(processes) == 12
    for case, number, count, least, median in processes:
        values = found.samples[case][number]
        assert (count, least) == (len(values), min(values))
        assert math.isclose(median, statistics.median(values), rel_tol=1e-15)
    compared = dict(database.execute("SELECT backend, times_the_fastest FROM compared").fetchall())
    assert compared == {"analytic": 1.0, "reverse": found.rows[1]["call_s"] / found.rows[0]["call_s"]}
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def test_awkward_values_survive_every_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: Results) -> None:
    table = _table("cases")
    monkeypatch.setattr(export, "tables", lambda _: {"cases": tables.Table("other", table.columns, table.rows)})
    read = sqlite3.connect(export.export(found, tmp_path / "a.db")).execute("SELECT * FROM other").fetchall()
    expected = [tuple(int(value) if isinstance(value, bool) else value for value in row) for row in table.rows]
    expected[2] = (*expected[2][:2], 0.0, *expected[2][3:])  # SQLite has no negative zero
    assert _all_same(read, expected)
    monkeypatch.setattr(export, "tables", lambda _: {"cases": table})
    parquet = pyarrow.parquet.read_table(export.export(found, tmp_path / "a.parquet"))
    assert _all_same([tuple(row.values()) for row in parquet.to_pylist()], table.rows)


# ---------------------------------------------------------------------------- faults


def test_a_file_that_is_there_stays_unless_force_says_otherwise(found: Results, tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("precious")
    with pytest.raises(InputError, match=r"run\.csv is there already; name another file, or replace it with --force"):
        export.export(found, path)
    assert path.read_text() == "precious"
    export.export(found, path, force=True)
    assert path.read_text().startswith("case,problem,")


@pytest.mark.parametrize("name", ["run.csv", "run.sqlite", "run.parquet"])
def test_a_file_that_cannot_be_written_leaves_the_old_one(name: str, found: Results, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be written: .*Name another file with --to\."):
        export.export(found, tmp_path / "nowhere" / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["run.csv", "run.sqlite", "run.parquet"])
def test_a_full_disk_leaves_the_old_file(
    name: str, found: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export.os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot be written: No space left on device\. Free some space\."):
        export.export(found, path, force=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_options_that_do_not_apply_are_faults(found: Results, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.xlsx ends in no format .* \.csv, \.parquet, \.sqlite"):
        export.export(found, tmp_path / "run.xlsx")
    with pytest.raises(InputError, match="there is no table 'case'; there are cases, samples, runs"):
        export.export(found, tmp_path / "run.csv", "case")
    with pytest.raises(InputError, match="will hold all tables, as every SQLite file does; leave --table out"):
        export.export(found, tmp_path / "run.sqlite", "cases")


def test_without_pyarrow_parquet_says_what_to_install(
    found: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnavailableError, match=r"pip install 'difflab\[export\]'\. CSV and SQLite need nothing"):
        export.export(found, tmp_path / "run.parquet")
    assert export.export(found, tmp_path / "run.csv").exists()
