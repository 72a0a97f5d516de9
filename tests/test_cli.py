"""The command line: as a user's process, and called within this one."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from conftest import INSTALLED, RunCommand, command_in

import difflab
from difflab.cli import app as cli
from difflab.cli import codes as cli_codes
from difflab.cli import listing as cli_list
from difflab.problems import PROBLEMS

MINI = """
title = "Two ways on a tiny network"
question = "Does reverse mode agree with central differences?"
look_for = "Reverse mode has more correct digits."

[[problem]]
name = "digits-mlp"
sizes = ["tiny"]

[[backend]]
name = "reverse"

[[backend]]
name = "finite"
"""


def invoke(*arguments: str) -> int:
    """The exit code of the command line, called in this process."""
    with pytest.raises(SystemExit) as left:
        cli.main(list(arguments))
    return 0 if left.value.code is None else int(left.value.code)


@pytest.fixture
def mini(tmp_path: Path) -> str:
    """A study that is done in two seconds, in the folder where ``run_command`` runs."""
    (tmp_path / "mini.toml").write_text(MINI, encoding="utf-8")
    return "mini.toml"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of a quick run of that study, and what the command said."""
    folder = tmp_path_factory.mktemp("mini")
    (folder / "mini.toml").write_text(MINI, encoding="utf-8")
    return folder / "here", command_in(folder)("run", "mini.toml", "--quick", "--out", "here")


@pytest.fixture
def there(first: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A copy of that run as ``here`` in the folder where ``run_command`` runs, and what the command said."""
    folder, done = first
    shutil.copytree(folder, tmp_path / "here")
    return done


# ---------------------------------------------------------------------------- help, version, typos


def test_version(run_command: RunCommand) -> None:
    done = run_command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"difflab {difflab.__version__}\n", "")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_all_commands_and_exit_codes(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(flag) == 0
    text = capsys.readouterr().out
    for word in ("run", "report", "list", "Exit codes: 0 all well"):
        assert word in text


@pytest.mark.parametrize("command", ["run", "report", "list"])
def test_help_of_every_command_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(command, "-h") == 0
    text = capsys.readouterr().out
    assert f"difflab {command}" in text.partition("Example")[2]


def test_help_of_run_says_how_to_resume(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("run", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "To resume an interrupted run, give the same command again" in text
    assert "Without --out a run goes to reports/STUDY" in text
    assert "Exit codes: 0 all well" in text


def test_misspelt_command_is_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("lst") == 2
    assert "no such command 'lst' (did you mean 'list'?)" in capsys.readouterr().err


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke() == 2
    shown = capsys.readouterr()
    assert "Usage: difflab" in shown.out + shown.err


# ---------------------------------------------------------------------------- list


def test_list_as_json_is_what_there_is(run_command: RunCommand) -> None:
    done = run_command("list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["difflab"] == difflab.__version__
    assert [one["name"] for one in found["problems"]] == list(PROBLEMS)
    mlp = found["problems"][0]
    assert mlp["sizes"]["tiny"] == PROBLEMS["digits-mlp"].build("tiny", "float64", 0).n_params
    backends = {one["name"]: one for one in found["backends"]}
    assert {"finite", "symbolic", "forward", "reverse", "analytic", "null"} <= set(backends)
    assert backends["reverse"]["unavailable"] is None
    assert "gradient" in backends["reverse"]["operators"]
    studies = {one["name"]: one["question"] for one in found["studies"]}
    assert studies["digits"].endswith("?")


def test_list_as_text_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("list") == 0
    text = capsys.readouterr().out
    lines = {line.partition(" ")[0]: line for line in reversed(text.splitlines())}  # a study may be called the same
    for problem in PROBLEMS.values():
        below = " ".join(text[text.index(lines[problem.name]) :].split())  # a long title goes on in the next line
        before, found, _ = below.partition(problem.title)
        assert found
        assert before.strip() == problem.name
    for name in (*PROBLEMS, "tiny (63)", "difflab run STUDY", "symbolic", "value_and_gradient", "deduces"):
        assert name in text


def test_unavailable_backend_is_listed_with_its_reason() -> None:
    row = {"name": "torch", "family": "", "operators": [], "unavailable": "backend 'torch' cannot be used: no torch"}
    text = cli_list.catalogue_text({"problems": [], "studies": [], "backends": [row]})
    assert text.endswith("torch    -       no\nNot there are torch: no torch.")


def test_reader_who_has_had_enough_is_no_fault(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "difflab", "list"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(INSTALLED)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(timeout=60) == 0


def test_terminal_without_a_character_gets_a_question_mark(run_command: RunCommand) -> None:
    done = run_command("list", PYTHONIOENCODING="ascii:strict")
    assert (done.returncode, done.stderr) == (0, "")


# ---------------------------------------------------------------------------- run and report, end to end


def test_quick_run_then_report_then_the_same_run_again(
    run_command: RunCommand, mini: str, there: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    done = there
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[0] == "Two ways on a tiny network: 2 cases, stored in here"
    cases = {"digits-mlp tiny float64 reverse: finished", "digits-mlp tiny float64 finite: finished"}
    assert {line.partition("] ")[2] for line in lines if line.startswith("[")} == cases
    assert lines[1].startswith("... calibrating the machine (step 0 of ")
    assert re.fullmatch(r"measured in (\d\.\d|\d\d+) s", lines[-1])
    assert "\x1b" not in done.stderr
    table = [line.split() for line in done.stdout.splitlines()]
    assert [row[:5] for row in table[1:3]] == [
        ["digits-mlp", "tiny", "63", "reverse", "finished"],
        ["digits-mlp", "tiny", "63", "finite", "finished"],
    ]
    assert done.stdout.endswith(f"Page: {Path('here') / 'index.html'}\n")
    answer = difflab.load(tmp_path / "here").study["title"]
    assert answer == "Two ways on a tiny network"

    page = tmp_path / "here" / "index.html"
    first = page.read_bytes()
    page.unlink()
    again = run_command("report", "here")
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert page.read_bytes() == first

    repeated = run_command("run", mini, "--quick", "--out", "here", "--json")
    assert repeated.returncode == 0
    assert repeated.stderr == "here holds this run already, finished; nothing is measured again\n"
    document = json.loads(repeated.stdout)
    assert document["finished"] is True
    assert [(row["backend"], row["outcome"]) for row in document["rows"]] == [("reverse", "ok"), ("finite", "ok")]
    assert document["rows"][0]["rel_error"] < 1e-13 < document["rows"][1]["rel_error"] < 1e-7
    assert document["answer"] in done.stdout
    assert document["rows"][0]["call_s_low"] is None


def test_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    slow = MINI.replace('["tiny"]', '["tiny", "small", "medium"]') + "\n[timing]\nsamples = 50\nsample_ms = 50\n"
    (tmp_path / "slow study.toml").write_text(slow, encoding="utf-8")
    command = [sys.executable, "-m", "difflab", "run", "slow study.toml", "--out", "here", "--seed", "3"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(INSTALLED)}, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline().endswith("6 cases, stored in here\n")
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    again = "difflab run 'slow study.toml' --out here --seed 3"
    assert rest.splitlines()[-1] == (
        f"difflab: Interrupted; what is measured is stored. Page of what there is: {Path('here') / 'index.html'}. "
        f"To go on: {again}"
    )
    assert not difflab.load(tmp_path / "here").finished


# ---------------------------------------------------------------------------- faults of users, never a traceback

FAULTS = {
    "unknown study": (
        ["run", "digit", "--out", "new"],
        "there is no study 'digit' (did you mean 'digits'?); a path must end in .toml",
    ),
    "missing file": (["run", "gone.toml", "--out", "new"], "gone.toml: there is no such study file"),
    "broken TOML": (["run", "broken.toml", "--out", "new"], "broken.toml:1:"),
    "wrong backend": (
        ["run", "wrong.toml", "--out", "new"],
        "backend[0].name: unknown backend 'revers' (did you mean 'reverse'?)",
    ),
    "a file in the way": (["run", "mini.toml", "--out", "mini.toml"], "difflab: mini.toml is a file"),
    "a folder in the way": (["run", "mini.toml", "--out", "full"], "difflab: full is not empty and holds no run"),
    "unwritable": (["run", "mini.toml", "--out", "/proc/difflab/run"], "/proc/difflab/run cannot be written"),
    "no run": (["report", "full"], "difflab: full holds no run of difflab"),
    "a file of a run": (
        ["report", "full/thesis.tex"],
        f"difflab: {Path('full') / 'thesis.tex'} is a file; the folder of a run is wanted, such as full.",
    ),
    "another folder's study": (["run", str(Path("full") / "broken.toml")], f"{Path('full') / 'broken.toml'}:1:9: "),
    "bad seed": (["run", "--seed", "-1"], "invalid value for '--seed'"),
    "bad option": (["run", "--quik"], "no such option --quik (did you mean '--quick'?)"),
}


@pytest.mark.parametrize(("arguments", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_fault_of_a_user_is_one_message_and_code_2(
    arguments: list[str], message: str, run_command: RunCommand, mini: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.toml").write_text("title = oops\n", encoding="utf-8")
    wrong = (tmp_path / mini).read_text(encoding="utf-8").replace('"reverse"', '"revers"')
    (tmp_path / "wrong.toml").write_text(wrong, encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    (tmp_path / "full" / "broken.toml").write_text("title = oops\n", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    done = run_command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.rglob("*")) == before, "nothing half-written"


@pytest.mark.usefixtures("there")
def test_folder_of_another_run_is_code_2(run_command: RunCommand, mini: str, tmp_path: Path) -> None:
    before = (tmp_path / "here" / "events.jsonl").read_bytes()
    done = run_command("run", mini, "--quick", "--seed", "1", "--out", "here")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("difflab: here holds a run of another study or with other settings")
    assert (tmp_path / "here" / "events.jsonl").read_bytes() == before


@pytest.mark.usefixtures("there")
def test_damaged_store_is_code_4(run_command: RunCommand, mini: str, tmp_path: Path) -> None:
    events = tmp_path / "here" / "events.jsonl"
    lines = events.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b"1", b"2", 1)
    events.write_bytes(b"\n".join(lines))
    for command in (["report", "here"], ["run", mini, "--quick", "--out", "here"]):
        done = run_command(*command)
        assert (done.returncode, done.stdout) == (4, "")
        assert "events.jsonl:2: this line" in done.stderr
        assert "Traceback" not in done.stderr


# ---------------------------------------------------------------------------- exit codes and our own faults


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        (["ok", "ok"], 0),
        (["ok", "timeout", "memory_limit", "skipped_predicted", "unsupported"], 0),
        (["ok", "invalid"], 1),
        (["invalid", "crash"], 3),
        (["ok", "lost"], 3),
        (["timeout", "skipped_predicted"], 5),
        ([], 5),
    ],
)
def test_exit_code_of_outcomes(outcomes: list[str], code: int) -> None:
    assert cli_codes.code_of([{"outcome": outcome} for outcome in outcomes]) == code


def test_our_own_fault_shows_a_traceback_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(what: str | None) -> NoReturn:
        raise ZeroDivisionError("made up")

    monkeypatch.setattr(cli_list, "catalogue", broken)
    assert invoke("list") == cli_codes.FAULT
    error = capsys.readouterr().err
    assert "ZeroDivisionError: made up" in error
    assert error.endswith("difflab: this is a fault of difflab and not yours; please report it with the lines above.\n")
