"""Runs of studies of steps: what is stored, limits and deaths, and that they stop and go on as others do."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness_runs import double, run, start

from difflab.errors import StudyError
from difflab.harness import grid, results, store, study, study_file
from difflab.harness.catalogue import Catalogue

pytestmark = pytest.mark.long  # real runs of studies

HEAD = 'title = "T"\nquestion = "Q"\nanswer = "steps"\n'
MLP = '[[problem]]\nname = "digits-mlp"\nsizes = ["tiny"]\n'
FINITE = '[[backend]]\nname = "finite"\n'


def _parse(text: str) -> study.Study:
    known = Catalogue({"digits-mlp": ["tiny"]}, {"finite": "finite"}, {"finite": []})
    return study_file.parse(text, "v.toml", lambda asked, problems: known)


def _write(folder: Path, backends: str, more: str = "", sizes: str = '["tiny"]') -> Path:
    path = folder / "v.toml"
    problem = f'[[problem]]\nname = "harness_doubles:SQUARES"\nsizes = {sizes}\n'
    path.write_text(f'{HEAD}{problem}{backends}[limits]\nseconds = 2\nmemory = "300 MiB"\n{more}')
    return path


def test_what_cases_found_is_stored_and_comes_back(tmp_path: Path) -> None:
    backends = f'{FINITE}[[backend]]\nname = "reverse"\n'
    text = f'{HEAD}{MLP}dtypes = ["float64", "float32"]\n{backends}[steps]\nper_decade = 1\n'
    (tmp_path / "v.toml").write_text(text)
    found = run(tmp_path / "v.toml", tmp_path / "run")
    assert found.finished
    assert [row["outcome"] for row in found.rows] == ["ok"] * 4
    assert [len(row["findings"]["steps"]) for row in found.rows] == [16, 0, 8, 0]
    assert all(row["findings"] for row in found.rows)
    assert "findings" not in found.frame  # one number or word per cell
    assert all(row["call_s"] is None and row["peak_bytes"] is None for row in found.rows)
    assert found.rows[0]["n_params"] == 63
    assert found.manifest["study"]["steps"]["per_decade"] == 1
    kinds = [event["kind"] for event in store.read(tmp_path / "run")]
    assert kinds.count("checked") == kinds.count("finished") == 4
    assert kinds.count("reference") == 1
    assert "epoch" not in kinds


MISBEHAVING = {
    "well": ("ok", ""),
    "hang": ("timeout", "stopped in phase examine: the time limit of 2 s was over"),
    "hang in prepare": ("timeout", "stopped in phase examine: the time limit of 2 s was over"),
    "allocate in NumPy": ("memory_limit", "Unable to allocate 900. MiB"),
    "segfault": ("crash", "the worker died of SIGSEGV (segmentation fault) in phase examine (harness_doubles.py:"),
    "exit": ("crash", "the worker ended by itself with exit code 7 in phase examine before it had answered"),
    "raise": ("crash", "ValueError: one? MB: zzz"),
    "wrong shape": ("invalid", "part 0 of the gradient has shape (2,), its variable has (3,)"),
    "wrong": ("ok", ""),  # how wrong it is is the finding
    "NaN": ("ok", ""),
    "unavailable": ("unsupported", "it needs a machine that was never built"),
}


def test_limits_and_deaths_are_rows_as_in_other_studies(tmp_path: Path) -> None:
    found = run(_write(tmp_path, "".join(map(double, MISBEHAVING))), tmp_path / "run")
    rows = {row["backend"]: row for row in found.rows}
    for how, (outcome, reason) in MISBEHAVING.items():
        assert rows[how]["outcome"] == outcome, rows[how]["reason"]
        assert reason in rows[how]["reason"]
    assert rows["wrong"]["findings"]["best"]["error"] == pytest.approx(0.5)
    assert rows["NaN"]["findings"]["best"]["error"] is None
    assert rows["hang"]["findings"] is None


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = _write(tmp_path, double("well") + double("hang") + double("wrong"))
    out = tmp_path / "run"
    process = start(path, out)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "case":
            process.terminate()
            break
    process.stdout.close()
    assert process.wait(30) == 130
    before = results.load(out)
    assert not before.finished
    assert "interrupted" in {row["outcome"] for row in before.rows}
    assert all(row["findings"] is None for row in before.rows if row["outcome"] == "interrupted")
    done = [row["case"] for row in before.rows if row["outcome"] != "interrupted"]
    assert done
    after = run(path, out)
    assert [row["outcome"] for row in after.rows] == ["ok", "timeout", "ok"]
    events = store.read(out)
    for case in done:
        assert sum(event["kind"] == "started" and event["case"] == case for event in events) == 1


def test_a_killed_coordinator_loses_no_finding(tmp_path: Path) -> None:
    """A case that was examined but not yet finished when the coordinator died is finished, not examined again."""
    path = _write(tmp_path, double("well"))
    out = tmp_path / "run"
    first = run(path, out)
    kept = [event for event in store.read(out) if event["kind"] in ("run_started", "reference", "started", "checked")]
    (out / store.EVENTS).write_bytes(b"".join(store.encode(seq, event) for seq, event in enumerate(kept)))
    again = run(path, out)
    assert again.finished
    assert again.rows[0]["findings"] == first.rows[0]["findings"]
    assert sum(event["kind"] == "started" for event in store.read(out)) == 1


def test_a_quick_run_tries_fewer_steps_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "v.toml").write_text(HEAD + MLP + FINITE + "[steps]\nper_decade = 4\n")
    found = run(tmp_path / "v.toml", tmp_path / "run", quick=True)
    assert found.rows[0]["outcome"] == "ok"
    assert len(found.rows[0]["findings"]["steps"]) == 16


def test_progress_counts_references_and_cases(tmp_path: Path) -> None:
    path = _write(tmp_path, double("well") + double("wrong"))
    process = start(path, tmp_path / "run")
    assert process.stdout is not None
    events = [json.loads(line) for line in process.stdout]
    process.stdout.close()
    assert process.wait(30) == 0
    told = [event for event in events if event["event"] == "running"]
    assert {event["steps"] for event in told} == {3}
    assert [event["done"] for event in told] == sorted(event["done"] for event in told)
    assert any(event["text"] == "examining harness_doubles:SQUARES tiny float64 well" for event in told)
    assert [event["outcome"] for event in events if event["event"] == "case"] == ["ok", "ok"]


def test_traps_need_no_reference(tmp_path: Path) -> None:
    from difflab.harness.books import Books
    from difflab.harness.ledger import Ledger

    known = Catalogue({"zoo:TRAPS": ["kinks"]}, {"finite": "finite"}, {"finite": []}, traps=["zoo:TRAPS"])
    zoo = '[[problem]]\nname = "zoo:TRAPS"\nsizes = ["kinks"]\n'
    made = study_file.parse(HEAD.replace("steps", "traps") + zoo + FINITE, "v.toml", lambda asked, problems: known)
    target: Any = SimpleNamespace(folder=tmp_path, append=lambda kind, **data: None)
    books = Books(made, grid.blocks(made), target, Ledger(), lambda event: None, 0, False)
    assert books.truths == {}
    assert books.once
    assert books.examine(books.blocks[0]) == {"do": "examine", "kind": "traps", "reference": None, "why": None}


def test_traps_and_other_problems_are_not_mixed_up() -> None:
    known = Catalogue(
        {"zoo:TRAPS": ["kinks"], "digits-mlp": ["tiny"]}, {"finite": "finite"}, {"finite": []}, traps=["zoo:TRAPS"]
    )
    zoo = '[[problem]]\nname = "zoo:TRAPS"\nsizes = ["kinks"]\n'
    with pytest.raises(StudyError, match=r"v\.toml:\d+:\d+: problem\[0\]\.name: 'zoo:TRAPS' is a zoo"):
        study_file.parse(HEAD + zoo + FINITE, "v.toml", lambda asked, problems: known)
    with pytest.raises(StudyError, match=r"'digits-mlp' holds no traps; a study with answer = \"traps\" asks at"):
        study_file.parse(HEAD.replace("steps", "traps") + MLP + FINITE, "v.toml", lambda asked, problems: known)
