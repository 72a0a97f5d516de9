"""Whole runs of the coordinator with backends that behave: intervals, budgets, all families; the shipped studies."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness_runs import double, run, write_study

from difflab.harness import catalogue, study, study_file
from difflab.harness.engine import Probe

pytestmark = pytest.mark.long  # real runs of studies


def test_six_processes_give_intervals_and_verdicts(tmp_path: Path) -> None:
    slow = '[[backend]]\nname = "harness_doubles:Slow"\nlabel = "slow"\nmilliseconds = 4\n'
    twin = slow.replace('"slow"', '"twin"').replace("= 4", "= 4.0")
    quick = slow.replace('"slow"', '"quick"').replace("= 4", "= 1")
    found = run(write_study(tmp_path, slow + twin + quick, processes=6), tmp_path / "run")
    rows = {row["backend"]: row for row in found.rows}
    for row in rows.values():
        assert row["processes"] == 6
        assert row["call_s_low"] <= row["call_s"] <= row["call_s_high"]
    assert rows["quick"]["verdict"] == "faster"
    assert rows["quick"]["ratio_high"] < 0.6
    assert rows["twin"]["verdict"] in ("equivalent", "ambiguous")
    assert rows["slow"]["verdict"] is None  # the baseline is not compared with itself


def test_a_budget_that_is_gone_still_gives_every_case_one_process(tmp_path: Path) -> None:
    found = run(write_study(tmp_path, double("well") + double("null"), processes=6, budget=0), tmp_path / "run")
    assert [row["processes"] for row in found.rows] == [1, 1]
    assert {row["outcome"] for row in found.rows} == {"ok"}


REAL = """
title = "T"
question = "Q"
look_for = "L"
[[problem]]
name = "digits-mlp"
sizes = ["tiny"]
dtypes = ["float64", "float32"]
[[problem]]
name = "digits-cnn"
sizes = ["tiny"]
[[backend]]
name = "analytic"
[[backend]]
name = "reverse"
[[backend]]
name = "forward"
[[backend]]
name = "symbolic"
[[backend]]
name = "finite"
[[backend]]
name = "finite"
scheme = "forward"
[[backend]]
name = "null"
"""


def test_at_size_tiny_all_families_end_ok_and_are_as_accurate_as_theory_says(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text(REAL)
    found = run(tmp_path / "real.toml", tmp_path / "run", quick=True)
    assert [(row["backend"], row["outcome"], row["reason"]) for row in found.rows if row["outcome"] != "ok"] == []
    bounds = {"finite": (1e-8, 0.1), "finite(scheme=forward)": (1e-5, 0.2)}
    for row in found.rows:
        if row["backend"] == "null":
            continue
        assert (row["certified"], row["reason"]) == ("yes", "")
        bound = bounds.get(row["backend"], (1e-13, 1e-5))[row["dtype"] == "float32"]
        assert row["rel_error"] < bound, row
        assert row["n_params"] == {"digits-mlp": 63, "digits-cnn": 47}[row["problem"]]
        if row["backend"] == "symbolic":
            assert row["symbolic_ops_gradient"] > row["symbolic_ops_value"] > 0
    assert {key: entry["narrow"] for key, entry in found.reference.items()} == {
        "digits-mlp-tiny": True,
        "digits-cnn-tiny": True,
    }


@pytest.mark.parametrize("name", study.shipped())
def test_every_shipped_study_is_a_good_one(name: str) -> None:
    # asked of this process: a worker for each of them takes half a second
    assert study_file.read_study(name, catalogue.collect).problems


def test_a_worker_finds_what_this_process_finds() -> None:
    assert study_file.read_study("digits", Probe()) == study_file.read_study("digits", catalogue.collect)
