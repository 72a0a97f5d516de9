"""Run folders that earlier versions wrote: they load to the same rows for ever.

``old_runs/format-1`` was written by the first version that is to be read: a full run, a quick one and one whose
coordinator was killed.  Nothing in these folders is ever changed; a new format gets a folder of its own beside them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from difflab.errors import StoreError
from difflab.harness import export, repair, results, store, tables
from difflab.report import write

OLD = Path(__file__).parent / "old_runs"
RUNS = sorted(path.parent for path in OLD.glob("format-*/*/manifest.json"))
NAMES = [f"{run.parent.name}-{run.name}" for run in RUNS]


def test_the_runs_are_there_and_small() -> None:
    assert {"format-1-full", "format-1-quick", "format-1-interrupted"} <= set(NAMES)
    nbytes = sum(path.stat().st_size for run in RUNS for path in run.rglob("*") if path.is_file())
    assert nbytes < 60_000 * len({run.parent for run in RUNS})


@pytest.mark.parametrize("run", RUNS, ids=NAMES)
def test_the_rows_are_what_they_were(run: Path) -> None:
    rows = results.load(run).rows
    stored = json.loads((run.parent / f"{run.name}.rows.json").read_text())
    # later versions have more columns; those of that time say what they said, to the bit
    assert [{name: row[name] for name in old} for row, old in zip(rows, stored, strict=True)] == stored


@pytest.mark.parametrize("run", RUNS, ids=NAMES)
def test_everything_that_reads_runs_reads_them(run: Path, tmp_path: Path) -> None:
    found = results.load(run)
    page = write(found, tmp_path)
    assert found.study["title"] in page.read_text(encoding="utf-8")
    assert export.export(found, tmp_path / "run.sqlite").exists()
    assert len(tables.samples(found).rows) == sum(len(part) for parts in found.samples.values() for part in parts)
    assert not repair.repair(run, dry_run=True).needed


@pytest.mark.parametrize("run", RUNS, ids=NAMES)
def test_what_is_written_into_them_now_follows_what_was_there(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    raw = (folder / store.EVENTS).read_bytes()
    with store.Store(folder) as target:
        assert target.append("note", text="new") == len(target.events) - 1
    assert (folder / store.EVENTS).read_bytes().startswith(raw)
    assert results.load(folder).ledger == results.load(run).ledger


def test_a_format_of_the_future_is_refused_with_a_sentence(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(OLD / "format-1" / "full", tmp_path / "run"))
    manifest = json.loads((folder / store.MANIFEST).read_text())
    (folder / store.MANIFEST).write_text(json.dumps({**manifest, "version": 2}))
    for work in (lambda: results.load(folder), lambda: repair.repair(folder)):
        with pytest.raises(StoreError, match=r"another format than .* \(format 1\)\. Read the run with the difflab"):
            work()
