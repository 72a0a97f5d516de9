"""``difflab repair``, ``export`` and ``diff``: what is printed, and the exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from difflab.cli import app as cli
from difflab.harness import results, store

OLD = Path(__file__).parent / "old_runs" / "format-1"


def invoke(*arguments: object) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main([str(argument) for argument in arguments])
    return 0 if left.value.code is None else int(left.value.code)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD / "full", tmp_path / "run"))


@pytest.fixture
def damaged(folder: Path) -> Path:
    lines = (folder / store.EVENTS).read_bytes().split(b"\n")
    lines[12] = lines[12][:300] + b"\x00" + lines[12][301:]
    del lines[4]
    (folder / store.EVENTS).write_bytes(b"\n".join(lines))
    return folder


@pytest.mark.parametrize("command", ["repair", "export", "diff"])
def test_every_command_has_a_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(command, "--help") == 0
    assert f"difflab {command} reports/digits" in capsys.readouterr().out.partition("Example")[2]


# ---------------------------------------------------------------------------- repair


def test_repair_says_what_it_would_do_and_then_does_it(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = (damaged / store.EVENTS).read_bytes()
    assert invoke("repair", damaged, "--dry-run") == 0
    dry = capsys.readouterr().out
    assert "Nothing was written (--dry-run)." in dry
    assert (damaged / store.EVENTS).read_bytes() == raw
    assert invoke("repair", damaged) == 0
    text = capsys.readouterr().out
    assert text.partition("\n\n")[0] == dry.partition("\n\n")[0]
    assert "line 12 is not an event of difflab (it seems to be of kind epoch of case 81ce07b7ac35): dropped." in text
    assert "1 event withdrawn: its check is lost." in text
    assert "31 events kept, 2 lost." in text
    lines = [line.split() for line in text.splitlines() if line.startswith("two-layer tiny float64")]
    assert [" ".join(line[3:]) for line in lines] == [
        "analytic yes 5 - process 1 to be timed again",
        "reverse - 6 - to be checked again",
        "finite (step 1) yes - invalid stands",
    ]
    assert "the damaged file is kept as events.damaged-1.jsonl" in text
    assert "goes on with 2 cases" in text
    assert invoke("repair", damaged) == 0
    assert "is whole: 34 events, nothing to repair." in capsys.readouterr().out
    assert invoke("report", damaged) == 0


def test_a_damaged_run_names_the_command_that_repairs_it(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("report", damaged), ("export", damaged), ("diff", OLD / "full", damaged)):
        assert invoke(*arguments) == 4
        assert f"`difflab repair {damaged}` keeps what is whole" in capsys.readouterr().err


def test_what_cannot_be_repaired_ends_with_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / store.MANIFEST).unlink()
    assert invoke("repair", folder) == 4
    assert "restore manifest.json from a backup. Nothing was changed." in capsys.readouterr().err
    assert invoke("repair", folder / "blobs") == 2
    assert "holds no events of a run" in capsys.readouterr().err


def test_repair_as_json(damaged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("repair", damaged, "--dry-run", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["needed"], found["done"]) == (True, False)
    assert [case["again"] for case in found["cases"]] == ["process 1 to be timed again", "to be checked again", ""]


# ---------------------------------------------------------------------------- export


def test_export_writes_what_is_asked_for(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = [tmp_path / f"run.{suffix}" for suffix in ("csv", "parquet", "sqlite")]
    assert invoke("export", folder, *(part for path in targets for part in ("--to", path))) == 0
    assert capsys.readouterr().out.splitlines() == [f"wrote {path}" for path in targets]
    assert all(path.exists() for path in targets)
    targets[0].unlink()
    assert invoke("export", folder, *(part for path in targets for part in ("--to", path))) == 2
    assert "run.parquet is there already" in capsys.readouterr().err
    assert not targets[0].exists()  # all or none
    assert invoke("export", folder, "--to", targets[1], "--force") == 0


def test_a_file_that_cannot_be_written_or_is_named_twice_is_bad_input(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke("export", folder, "--to", tmp_path / "nowhere" / "run.csv") == 2
    assert "run.csv cannot be written: No such file or directory. Name another" in capsys.readouterr().err
    target = tmp_path / "run.csv"
    assert invoke("export", folder, "--to", target, "--to", target) == 2
    assert "run.csv is named twice; name each file once." in capsys.readouterr().err
    assert not target.exists()


def test_export_prints_csv_where_no_file_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("export", folder, "--table", "samples") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "case,process,sample,seconds,primal_seconds"
    count = sum(len(part) for parts in results.load(folder).samples.values() for part in parts)
    assert len(lines) == 1 + count
    assert invoke("export", folder, "--table", "sample") == 2
    assert "there is no table 'sample'" in capsys.readouterr().err
    assert invoke("export", folder, "--force") == 2
    assert "--force replaces files, and no file was named" in capsys.readouterr().err


# ---------------------------------------------------------------------------- diff


def _slower(folder: Path, factor: float) -> None:
    events = store.read(folder)
    for event in events:
        if event["kind"] == "epoch":
            event["data"]["samples"] = [factor * value for value in event["data"]["samples"]]
    (folder / store.EVENTS).write_bytes(b"".join(store.encode(number, event) for number, event in enumerate(events)))


def test_diff_says_what_is_worse_and_ends_with_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("diff", OLD / "full", folder) == 0
    text = capsys.readouterr().out
    assert f"None of 3 cases regressed from {OLD / 'full'} to {folder}." in text
    _slower(folder, 10.0)
    assert invoke("diff", OLD / "full", folder) == 1
    text = capsys.readouterr().out
    assert "* reverse" in text
    assert "2 of 3 cases regressed" in text
    assert "two-layer tiny float64 reverse: 10.00 times as long (" in text
    assert "the runs were not interleaved" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines() if str(folder) not in line) <= 100
    assert invoke("diff", folder, OLD / "full") == 0  # faster is not worse
    assert "faster" in capsys.readouterr().out


def test_diff_prints_other_machines_first_and_does_not_compare_times(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _slower(folder, 10.0)
    manifest = json.loads((folder / store.MANIFEST).read_text())
    manifest["environment"]["cpu"] = "Another Processor"
    (folder / store.MANIFEST).write_text(json.dumps(manifest))
    assert invoke("diff", OLD / "full", folder) == 0
    text = capsys.readouterr().out
    assert text.startswith("Machine and versions differ:\n  processor: AMD EPYC -> Another Processor\n")
    assert text.count("not compared") >= 3
    assert "10.00" not in text
    assert invoke("diff", OLD / "full", folder, "--across-machines") == 1
    assert "10.00" in capsys.readouterr().out


def test_diff_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _slower(folder, 10.0)
    assert invoke("diff", OLD / "full", folder, "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["regressed"] == 2
    case = found["cases"][1]
    assert case["backend"] == "reverse"
    assert case["call"]["interval"]["low"] > 1.03
    assert case["call"]["verdict"] == "slower"


def test_diff_of_what_is_no_run_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("diff", OLD / "full", tmp_path) == 2
    assert "holds no run of difflab" in capsys.readouterr().err


def test_runs_without_a_case_in_common_are_not_called_well(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((folder / store.MANIFEST).read_text())
    for case in manifest["blocks"][0]["cases"]:
        case["id"] = case["id"][::-1]
        case["spec"]["problem"] = "another"
    (folder / store.MANIFEST).write_text(json.dumps(manifest))
    assert invoke("diff", OLD / "full", folder) == 5
    text = capsys.readouterr().out
    assert text.endswith("No case is in both runs, so nothing was compared.\n")
    assert "regressed" not in text


@pytest.mark.parametrize("command", ["repair", "export", "report"])
def test_a_path_that_no_file_can_have_is_one_sentence(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(command, "a" * 300) == 2
    assert capsys.readouterr().err.endswith("cannot be read: File name too long.\n")
