"""Runs of studies of storage: bytes and times are measured, and what cannot be measured is a row that says why."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from harness_doubles import SQUARES
from harness_runs import double, run

from difflab.harness import study_kinds

pytestmark = pytest.mark.long  # real runs of studies

SQUARES_OF_ONE_LAYER = SimpleNamespace(name="squares", sizes={"tiny": {"depth": 1}}, build=SQUARES.build)
HEAD = 'title = "T"\nquestion = "Q"\nlook_for = "L"\nanswer = "storage"\n[storage]\nseconds = 0.05\n'
CHAIN = '[[problem]]\nname = "deep-layers"\nsizes = {sizes}\n'
CONTESTANTS = (
    '[[backend]]\nname = "null"\nlabel = "loss"\n[[backend]]\nname = "reverse"\nblocks = 1\nlabel = "reverse"\n'
    '[[backend]]\nname = "reverse"\ncheckpoints = 3\nlabel = "k3"\n[[backend]]\nname = "forward"\n'
    '[[backend]]\nname = "reverse"\nmemory = "4 MB"\nblocks = 1\nlabel = "within"\n'
)
LIMITS = '[limits]\nseconds = 20\nmemory = "{memory}"\n'


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("storage")
    sizes = CHAIN.format(sizes='["depth-4", "depth-32"]')
    (folder / "s.toml").write_text(HEAD + sizes + CONTESTANTS + LIMITS.format(memory="1 GiB"))
    rows = run(folder / "s.toml", folder / "run").rows
    assert [row["outcome"] for row in rows] == ["ok"] * 10
    assert all(row["array_bytes"] == row["findings"]["array_bytes"] for row in rows)
    assert all(row["predicted_bytes"] == row["findings"]["planned_bytes"] for row in rows)
    return {(row["backend"], row["findings"]["depth"]): row["findings"] for row in rows}


def test_what_is_measured_is_said(found) -> None:
    assert {key: one["of"] for key, one in found.items() if key[1] == 32} == {
        ("loss", 32): "loss", ("reverse", 32): "gradient", ("k3", 32): "gradient", ("forward", 32): "pass",
        ("within", 32): "gradient",
    }  # fmt: skip
    assert found["forward", 32]["passes"] == 32 * 17 * 16
    assert all(one["value_bytes"] == 2048 * 16 * 8 for one in found.values())


def test_arrays_are_what_the_plan_said(found) -> None:
    for (backend, depth), one in found.items():
        if backend == "loss":
            assert one["planned_bytes"] is None
        elif depth == 32:
            assert one["array_bytes"] == pytest.approx(one["planned_bytes"], rel=0.2, abs=2**17)


def test_reverse_mode_keeps_a_value_of_each_layer_and_checkpoints_do_not(found) -> None:
    value = 2048 * 16 * 8
    kept = {name: found[name, 32]["array_bytes"] - found[name, 4]["array_bytes"] for name in ("loss", "reverse", "k3")}
    assert kept["loss"] < value
    assert kept["reverse"] == pytest.approx(28 * value, rel=0.1)
    assert kept["k3"] < 0.4 * kept["reverse"]
    assert found["forward", 32]["array_bytes"] < 6 * value


def test_peaks_of_the_process_hold_the_arrays(found) -> None:
    for one in found.values():
        if one["peak_bytes"] is not None:
            assert one["peak_bytes"] > 0.7 * one["array_bytes"]


def test_times_are_ratios_to_the_loss(found) -> None:
    for one in found.values():
        assert one["pairs"] >= 7
        assert one["ratio_low"] <= one["ratio"] <= one["ratio_high"]
        assert one["seconds"] > 0
        assert one["loss_seconds"] > 0


def test_notes_of_checkpoints_come_along(found) -> None:
    assert found["k3", 32]["checkpoints"] == 3
    assert found["k3", 32]["kept_bytes"] == 3 * 2048 * 16 * 8
    assert found["k3", 32]["recomputed_equations"] > 0
    assert "checkpoints" not in found["reverse", 32]
    assert found["within", 4]["memory_limit"] == found["within", 32]["memory_limit"] == 4_000_000
    assert "checkpoints" not in found["within", 4]  # everything fits, so that everything is kept
    assert found["within", 32]["checkpoints"] > 3
    assert found["within", 32]["planned_bytes"] <= 4_000_000


def test_a_problem_without_depth_and_a_limit_are_rows(tmp_path: Path) -> None:
    found = []
    # What the first imports takes some MiB, more on some machines than on others.
    problems = (
        ('[[problem]]\nname = "digits-mlp"\nsizes = ["tiny"]\n', "1 GiB"),
        (CHAIN.format(sizes='["depth-32"]'), "4 MiB"),
    )
    for number, (problem, memory) in enumerate(problems):
        text = HEAD + problem + '[[backend]]\nname = "reverse"\n' + LIMITS.format(memory=memory)
        (tmp_path / "s.toml").write_text(text)
        found += run(tmp_path / "s.toml", tmp_path / f"run{number}").rows
    assert [row["outcome"] for row in found] == ["unsupported", "memory_limit"]
    assert found[0]["reason"] == "size 'tiny' of problem 'digits-mlp' has no number called 'depth'"
    assert found[1]["findings"] is None


def test_misbehaving_backends_are_rows(tmp_path: Path) -> None:
    problem = '[[problem]]\nname = "test_storage_runs:SQUARES_OF_ONE_LAYER"\nsizes = ["tiny"]\n'
    text = HEAD + problem + double("raise") + double("hang") + '[limits]\nseconds = 2\nmemory = "300 MiB"\n'
    (tmp_path / "s.toml").write_text(text)
    rows = run(tmp_path / "s.toml", tmp_path / "run").rows
    assert [row["outcome"] for row in rows] == ["crash", "timeout"]


def test_a_quick_run_takes_less_time_for_the_same(tmp_path: Path) -> None:
    text = HEAD + "passes = 1000000000\n" + CHAIN.format(sizes='["tiny"]') + '[[backend]]\nname = "finite"\n'
    (tmp_path / "s.toml").write_text(text + LIMITS.format(memory="1 GiB"))
    (row,) = run(tmp_path / "s.toml", tmp_path / "run", quick=True).rows
    assert row["findings"]["of"] == "gradient"  # so many passes are allowed
    assert study_kinds.KINDS["storage"].alone
