"""The script that does everything on a GPU in one call, with stand-ins for its parts: failures, hangs, limits."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from claims import peers

ROOT = Path(__file__).resolve().parent.parent


def loaded(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


CHECK, SUMMARY = loaded("gpu_check"), loaded("gpu_summary")
PASSES = "print('tests/test_a.py::test_one PASSED [ 50%]'); print('[gw1] [100%] PASSED tests/test_a.py::test_two[x y]')"
FAILS = f"{PASSES}; print('tests/test_b.py::test_bad FAILED                [ 99%]'); import sys; sys.exit(1)"
HANGS = f"{PASSES}; import sys, time; sys.stdout.flush(); time.sleep(600)"


def part(name: str, program: str, most: float = 60.0, least: float = 1.0, study: str | None = None) -> Any:
    return CHECK.Part(name, [sys.executable, "-u", "-c", program], most, least, study)


def checked(tmp_path: Path, parts: list[Any], *more: str) -> tuple[int, dict[str, Any]]:
    out = tmp_path / "out"
    code = CHECK.main(["--out", str(out), *more], parts)
    return code, json.loads((out / "summary.json").read_text("utf-8"))


def test_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, summary = checked(tmp_path, [part("tests", PASSES), part("study", "print('measured')")], "--pack")
    assert code == summary["code"] == 0
    assert summary["tests"] == {"passed": 2, "failures": []}
    assert [one["outcome"] for one in summary["parts"]] == ["ended", "ended"]
    assert (tmp_path / "out" / "study.log").read_text("utf-8") == "measured\n"
    with tarfile.open(tmp_path / "out" / "everything.tar.gz") as archive:
        assert archive.getnames() == ["study.log", "summary.json", "tests.log"]
    assert "tests: 2 passed" in capsys.readouterr().out


def test_a_failed_test_is_named_and_the_parts_after_it_still_run(tmp_path: Path) -> None:
    code, summary = checked(tmp_path, [part("tests", FAILS), part("study", "print('measured')")])
    assert code == 1
    assert summary["tests"] == {"passed": 2, "failed": 1, "failures": ["tests/test_b.py::test_bad"]}
    assert [one["outcome"] for one in summary["parts"]] == ["failed", "ended"]


def test_a_test_run_that_could_not_begin_is_a_failure(tmp_path: Path) -> None:
    code, summary = checked(tmp_path, [part("tests", "import sys; sys.exit(4)")])
    assert code == 1
    assert summary["parts"][0]["code"] == 4


@pytest.mark.long
def test_what_hangs_is_cut_and_what_it_found_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CHECK, "GRACE", 1.0)
    begin = time.monotonic()
    code, summary = checked(tmp_path, [part("tests", HANGS, most=4.0), part("study", "print('measured')")])
    assert time.monotonic() - begin < 60.0
    assert code == 3
    assert summary["tests"] == {"passed": 2, "failures": []}
    assert [one["outcome"] for one in summary["parts"]] == ["cut", "ended"]


@pytest.mark.long
def test_what_ignores_an_interrupt_is_ended_with_all_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CHECK, "GRACE", 1.0)
    deaf = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid)\n"
        "time.sleep(600)\n"
    )
    code, summary = checked(tmp_path, [part("study", deaf, most=4.0)])
    assert code == 3
    assert summary["parts"][0]["outcome"] == "cut"
    assert summary["parts"][0]["code"] is None
    child = int((tmp_path / "out" / "study.log").read_text("utf-8"))
    end = time.monotonic() + 20.0
    while _runs(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    """Whether a process is there and no mere entry that nobody has read."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.long
def test_later_parts_keep_their_least_and_what_there_is_no_time_for_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CHECK, "GRACE", 1.0)
    monkeypatch.setattr(CHECK, "LAST", 1.0)
    measured = "print('measured')"
    parts = [part("tests", HANGS, most=600.0), part("study", measured, least=20.0)]
    code, summary = checked(tmp_path, parts, "--seconds", "26")
    assert code == 3
    assert [one["outcome"] for one in summary["parts"]] == ["cut", "ended"]
    parts = [part("study", measured), part("more", measured, most=9.0, least=9e9)]
    code, summary = checked(tmp_path, parts, "--seconds", "26")
    assert code == 3
    assert [one["outcome"] for one in summary["parts"]] == ["not begun", "ended"]


def test_a_study_that_ends_with_a_missed_tolerance_has_ended(tmp_path: Path) -> None:
    code, summary = checked(tmp_path, [part("gpu", "import sys; sys.exit(1)", study="gpu")])
    assert code == 0
    assert summary["parts"][0]["code"] == 1
    code, _ = checked(tmp_path, [part("gpu", "import sys; sys.exit(3)", study="gpu")])
    assert code == 3


def test_run_folders_are_summed_up(tmp_path: Path) -> None:
    """A run that is kept for another test stands for one of a GPU."""
    out = tmp_path / "out"
    out.mkdir()
    shutil.copytree(ROOT / "tests" / "old_runs" / "format-1" / "full", out / "gpu")
    code, summary = checked(tmp_path, [part("gpu", "print('measured')", study="gpu")])
    assert code == 0
    study = summary["studies"]["gpu"]
    assert study["outcomes"]["ok"] > 0
    assert study["bars"] == []
    assert study["errors"]["float64"]["largest"] < 1e-12
    assert len(study["rows"]) == sum(study["outcomes"].values())
    assert all({"problem", "size", "dtype", "backend", "outcome"} <= set(row) for row in study["rows"])


def test_bars_of_a_run_are_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for run, met in ((peers.AGREES, {True}), (peers.OPPOSES, {True, False})):
        monkeypatch.setattr("difflab.harness.results.load", lambda folder, run=run: run)
        bars = SUMMARY.found(str(tmp_path))["bars"]
        assert len(bars) == 13
        assert {bar["met"] for bar in bars} == met
        assert all(set(bar) == {"row", "what", "value", "asked", "met", "why"} for bar in bars)
        assert any(bar["what"] == "reverse / torch" and bar["asked"] == "< 0.9" for bar in bars)
        json.dumps(bars, allow_nan=False)


def test_a_folder_without_a_run_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "out" / "gpu").mkdir(parents=True)
    _, summary = checked(tmp_path, [part("gpu", "print('nothing')", study="gpu")])
    assert "error" in summary["studies"]["gpu"]


def test_the_parts_are_the_marked_tests_and_the_studies_that_are_shipped(tmp_path: Path) -> None:
    tests, *studies = CHECK.parts_of(tmp_path, True, ())
    assert tests.command[1:6] == ["-m", "pytest", "-v", "-m", "gpu"]
    assert "tests/test_gpu_real.py" in tests.command
    assert all((ROOT / name).is_file() for name in tests.command if name.startswith("tests/"))
    for one in studies:
        assert (ROOT / "studies" / f"{one.name}.toml").is_file()
        assert one.command[1:5] == ["-m", "difflab", "run", one.name]
        assert "--quick" in one.command
    assert [one.name for one in CHECK.parts_of(tmp_path, False, ["gpu"])] == ["gpu"]
    assert "--quick" not in CHECK.parts_of(tmp_path, False, ["gpu"])[0].command
    leasts = sum(one.least for one in (tests, *studies))
    assert leasts + CHECK.LAST < 470


def wheel(folder: Path, name: str) -> None:
    """The least that pip takes for a wheel."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as made:
        made.writestr(f"{name}.py", "WORD = 'from a wheel'\n")
        made.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        made.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        made.writestr(f"{info}/RECORD", "")


def test_wheels_of_a_folder_are_there_for_the_parts_and_nowhere_else(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel(wheels, "only_in_a_wheel")
    program = "import only_in_a_wheel, difflab; print(only_in_a_wheel.WORD)"
    code, _ = checked(tmp_path, [part("study", program)], "--wheels", str(wheels))
    assert code == 0
    assert (tmp_path / "out" / "study.log").read_text("utf-8") == "from a wheel\n"
    assert importlib.util.find_spec("only_in_a_wheel") is None


def test_wheels_that_cannot_be_installed_end_it_with_a_sentence(tmp_path: Path, capsys: Any) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "broken-1.0-py3-none-any.whl").write_bytes(b"no wheel")
    assert CHECK.main(["--out", str(tmp_path / "out"), "--wheels", str(wheels)], [part("study", "1")]) == 2
    assert "pip cannot install the wheels" in capsys.readouterr().err


def test_without_cupy_it_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    """``cupy`` as an empty module that cannot be imported, as where it is not installed."""
    (tmp_path / "cupy.py").write_text("raise ImportError('none here')\n", "utf-8")
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "gpu_check.py"), "--out", str(tmp_path / "out"), "--quick"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert not (tmp_path / "out").exists()
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("device 'gpu' needs the package cupy, which is not installed")


def test_facts_and_errors_are_plain() -> None:
    rows = [
        {"backend": "reverse", "dtype": "float64", "rel_error": 1e-15},
        {"backend": "reverse", "dtype": "float64", "rel_error": 3e-15},
        {"backend": "reverse", "dtype": "float32", "rel_error": None},
        {"backend": "torch", "dtype": "float64", "rel_error": 1.0},
    ]
    kept = {"float64": {"rows": 2, "largest": 3e-15, "asked": 1e-12, "met": True}}
    assert SUMMARY.errors(rows) == kept
    rough = {"backend": "reverse", "dtype": "float32", "rel_error": 1e-3}
    assert SUMMARY.errors([*rows, rough])["float32"]["met"] is False
    assert SUMMARY.errors([*rows, rough | {"tf32": True}]) == kept


def test_programs_that_were_not_captured_are_named() -> None:
    place = {"backend": "reverse", "problem": "mlp", "size": "tiny", "dtype": "float64"}
    rows = [place | {"captured": "yes"}, place | {"captured": "no: a branch"}, place, place | {"backend": "torch"}]
    assert SUMMARY.uncaptured(rows) == [{"row": "mlp tiny float64", "why": "no: a branch"}]
