"""Whole runs of the coordinator with backends that misbehave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness_runs import HEAD, HERE, double, run, write_study

from difflab import lab
from difflab.errors import StoreError, StudyError
from difflab.harness import limits, store
from difflab.harness.results import COLUMNS, Results

# what a case does, the outcome, and a part of the reason
CATALOGUE = {
    "well": ("ok", ""),
    "null": ("ok", ""),
    "hang": ("timeout", "stopped in phase memory: the time limit of 1.5 s was over"),
    "hang in prepare": ("timeout", "stopped in phase prepare: the time limit of 1.5 s was over"),
    "ignore SIGTERM and hang": ("timeout", "in phase memory: the time limit of 1.5 s"),
    "print for ever": ("timeout", "in phase memory: the time limit of 1.5 s"),
    "allocate in NumPy": ("memory_limit", "Unable to allocate 900. MiB"),
    "allocate in Python": ("memory_limit", "MemoryError: the memory limit was reached"),
    "segfault": ("crash", "the worker died of SIGSEGV (segmentation fault) in phase memory (harness_doubles.py:"),
    "kill myself": ("crash", "the worker died of SIGKILL (killed from outside; nothing says by whom) in phase memory"),
    "exit": ("crash", "the worker ended by itself with exit code 7 in phase memory before it had answered"),
    "leave a grandchild": ("crash", "the worker ended by itself with exit code 0 in phase memory"),
    "sys.exit": ("crash", "SystemExit: goodbye"),
    "raise": ("crash", "ValueError: one? MB: zzz"),
    "recurse": ("crash", "RecursionError: maximum recursion depth exceeded"),
    "NaN": ("invalid", "3 of 3 entries of the gradient are NaN or infinite"),
    "wrong shape": ("invalid", "part 0 of the gradient has shape (2,), its variable has (3,)"),
    "complex": ("invalid", "part 0 of the gradient is complex128, its variable is float64"),
    "float32": ("invalid", "part 0 of the gradient is float32, its variable is float64"),
    "no list": ("invalid", "part 0 of the gradient has shape (), its variable has (3,)"),
    "wrong": ("invalid", "relative error 0.5 is over the tolerance 1e-13"),
    "incapable": ("unsupported", "cannot do operator 'gradient'"),
    "unavailable": ("unsupported", "it needs a machine that was never built"),
    "too big": ("skipped_predicted", "the forecast needs 1 GiB; the limit is 300 MiB"),
    "too slow": ("skipped_predicted", "the forecast is 99 s to prepare and run once; the limit is 1.5 s"),
}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("catalogue")
    return run(write_study(folder, "".join(map(double, CATALOGUE))), folder / "run")


@pytest.mark.long
@pytest.mark.parametrize("how", CATALOGUE)
def test_every_way_to_misbehave_is_a_row_with_its_reason(catalogue: Results, how: str) -> None:
    row = next(row for row in catalogue.rows if row["backend"] == how)
    outcome, reason = CATALOGUE[how]
    assert row["outcome"] == outcome
    assert reason in row["reason"]
    assert len(row["reason"]) <= limits.REASON_LENGTH
    assert row["reason"].isprintable()


@pytest.mark.long
def test_the_run_went_on_and_every_case_is_a_row(catalogue: Results) -> None:
    assert catalogue.finished
    assert [row["backend"] for row in catalogue.rows] == list(CATALOGUE)
    assert {row["outcome"] for row in catalogue.rows} <= set(limits.OUTCOMES)
    assert all(row["n_params"] == 3 for row in catalogue.rows if row["outcome"] not in ("unsupported",))


@pytest.mark.long
def test_what_a_failed_case_found_before_is_kept(catalogue: Results) -> None:
    rows = {row["backend"]: row for row in catalogue.rows}
    assert rows["hang"]["prepare_s"] > 0
    assert rows["hang"]["phase"] == "memory"
    assert rows["too big"]["predicted_bytes"] == 2**30
    assert rows["segfault"]["call_s"] is None


@pytest.mark.long
def test_a_case_that_behaves_has_all_its_numbers(catalogue: Results) -> None:
    row = catalogue.rows[0]
    assert row["certified"] == "yes"
    assert row["rel_error"] < 1e-15
    assert row["worst_digits"] > 15
    assert 0 < row["call_s"] < 0.1
    assert row["work_ratio"] == pytest.approx(row["call_s"] / row["primal_s"])
    assert row["threads"] == 1
    assert row["primal_calls"] == 1
    assert row["tape_length"] == 3
    assert row["processes"] == 1
    assert row["call_s_low"] is None
    assert row["verdict"] is None
    if sys.platform == "linux":
        assert row["memory_enforced"] in ("RLIMIT_DATA + watchdog", "RLIMIT_DATA + cgroup v2")
        assert row["peak_bytes"] >= 0
    assert catalogue.rows[1]["certified"] == "no: the null backend returns zeros on purpose"


@pytest.mark.long
def test_the_frame_has_the_columns_of_the_contract(catalogue: Results) -> None:
    frame = catalogue.frame
    assert tuple(frame.columns[: len(COLUMNS)]) == COLUMNS
    assert len(frame) == len(CATALOGUE)
    assert frame["note"].iloc[0] == "a double"
    samples = catalogue.samples[catalogue.rows[0]["case"]]
    assert len(samples) == 1
    assert len(samples[0]) == 3


@pytest.mark.long
def test_the_manifest_says_what_ran_where(catalogue: Results) -> None:
    facts = catalogue.manifest["environment"]
    assert facts["packages"]["numpy"]
    assert facts["threads"] == 1
    assert facts["thread_variables"]["OPENBLAS_NUM_THREADS"] == "1"
    assert facts["blas"][0]["num_threads"] == 1
    assert facts["clock"]["step_s"] < 1e-4
    assert "PATH" not in json.dumps(facts["variables"])
    assert catalogue.study["text"].startswith(HEAD)
    if facts["memory_self_test"]["error"] is not None:
        assert abs(facts["memory_self_test"]["error"]) < 0.05


@pytest.mark.long
def test_a_finished_run_is_not_measured_again(catalogue: Results) -> None:
    before = (catalogue.folder / store.EVENTS).read_bytes()
    again = run(catalogue.folder.parent / "study.toml", catalogue.folder)
    assert again.rows == catalogue.rows
    assert (catalogue.folder / store.EVENTS).read_bytes() == before


def test_a_quick_run_measures_everything_in_one_process_and_claims_no_intervals(tmp_path: Path) -> None:
    backends = "".join(map(double, ("well", "null", "hang", "too big", "segfault", "NaN")))
    found = run(write_study(tmp_path, backends, processes=6), tmp_path / "run", quick=True)
    rows = {row["backend"]: row for row in found.rows}
    assert {how: rows[how]["outcome"] for how in rows} == {how: CATALOGUE[how][0] for how in rows}
    assert rows["hang"]["phase"] == "first"
    assert rows["well"]["processes"] == 1
    assert rows["well"]["rel_error"] < 1e-15
    assert rows["well"]["array_bytes"] > 0
    assert rows["null"]["ratio"] > 0
    assert all(row["call_s_low"] is None and row["verdict"] is None for row in found.rows)
    processes = [event["pass"] for event in store.read(found.folder) if event["kind"] == "started"]
    assert processes == ["time"] * 6


@pytest.mark.parametrize("quick", [False, True])
def test_a_loss_that_is_nan_is_the_fault_of_no_backend(tmp_path: Path, quick: bool) -> None:
    path = write_study(tmp_path, double("well") + double("hang") + double("null"))
    path.write_text(path.read_text().replace("SQUARES", "NAN_SQUARES"))
    found = run(path, tmp_path / "run", quick=quick)
    assert {(row["outcome"], row["reason"]) for row in found.rows} == {
        ("invalid", "the loss is nan at these arguments (argument data contains NaN)")
    }
    assert {row["certified"] for row in found.rows} == {"no: the loss is no finite number"}


# ------------------------------------------------------------------------------- the coordinator itself


def test_the_coordinator_never_imports_numpy(tmp_path: Path) -> None:
    path = write_study(tmp_path, double("well"))
    code = (
        "import sys\nfrom difflab.harness import engine\nfrom difflab.harness.request import Request\n"
        "engine.run(Request(sys.argv[1], sys.argv[2]), lambda event: None)\n"
        "heavy = ('numpy', 'sympy', 'pandas', 'matplotlib', 'flint', 'distributed')\n"
        "print(*[name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


def test_a_wrong_study_is_an_error_of_the_caller_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(HEAD + '[[problem]]\nname = "digit-mlp"\n[[backend]]\nname = "revers"\n')
    with pytest.raises(StudyError) as caught:
        lab.run(path, out=tmp_path / "run")
    assert str(caught.value).splitlines() == [
        f"{path}:5:9: problem[0].name: unknown problem 'digit-mlp' (did you mean 'digits-mlp'?)",
        f"{path}:7:9: backend[0].name: unknown backend 'revers' (did you mean 'reverse'?)",
    ]
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_folder_in_use_or_not_writable_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with store.Store(tmp_path / "busy"), pytest.raises(StoreError, match="is in use by another difflab run"):
        lab.run("digits", out=tmp_path / "busy")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written: Not a directory"):
        lab.run("digits", out=tmp_path / "file" / "run")


def test_loading_what_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no run of difflab"):
        lab.load(tmp_path)
