"""Faults of users, for every command: one sentence, its exit code, nothing written; with --json a document."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import command_examples
import pytest
from command_examples import COMMANDS
from conftest import INSTALLED, RunCommand
from test_cli import MINI, invoke

from difflab.cli import codes as cli_codes
from difflab.cli import faults as cli_faults
from difflab.cli import listing as cli_list
from difflab.errors import InputError

NO_NUMBERS = ["many", "", "nan?", "1,5"]


class Wrong(NamedTuple):
    """Arguments of a command, a part of the sentence they deserve, and the exit code."""

    arguments: list[str]
    says: str
    code: int = cli_codes.BAD_INPUT


NO_RUN = [
    Wrong(["gone"], "gone holds no run of difflab"),
    Wrong(["folder"], "folder holds no run of difflab"),
    Wrong([""], "holds no run of difflab"),
    Wrong(["net.py"], "net.py is a file; the folder of a run is wanted"),
    Wrong(["x" * 5000], "... cannot be read: File name too long"),
    Wrong(["damaged"], "events.jsonl:2: this line", cli_codes.STORE),
]
LOSS = [
    Wrong(["gone.py:loss"], "there is no file gone.py"),
    Wrong(["net.py:los"], "net.py has no 'los' (did you mean 'loss'?)"),
    Wrong(["net.py"], "'net.py' does not name anything in a file; write FILE.py:"),
    Wrong([""], "'' does not name anything in a file; write FILE.py:"),
    Wrong(["folder.py:loss"], "folder.py"),
    Wrong(["binary.py:loss"], "binary.py"),
    Wrong(["broken.py:loss"], "broken.py:1: "),
    Wrong(["raises.py:loss"], "raises.py:1: ZeroDivisionError: division by zero"),
    Wrong(["leaves.py:loss"], "leaves.py:2: SystemExit: goodbye"),
    Wrong(["net.py:DATA"], "net.py:DATA is no function but "),
    Wrong(["no_such_module:loss"], "there is no module 'no_such_module'"),
    Wrong(["net.py:loss", "--at", "net.py:exampl"], "net.py has no 'exampl' (did you mean 'example'?)"),
    Wrong(["net.py:loss", "--at", "net.py:few"], "net.py:few holds 1 argument and does not fit `loss`"),
    Wrong(["net.py:loss", "--at", "net.py:misshaped"], "net.py:"),
    Wrong(["net.py:loss", "--device", "tpu"], "unknown device 'tpu'"),
]
SHAPES = [
    Wrong(["net.py:loss", "--shapes", "w=3, x=8x4, y=8"], "net.py:"),
    Wrong(["net.py:loss", "--shapes", "w=3"], "x"),
    Wrong(["net.py:loss", "--shapes", "w=3, x=axb, y=8"], "x"),
    Wrong(["net.py:loss", "--shapes", "w=-3, x=8x3, y=8"], "w"),
    Wrong(["net.py:loss", "--shapes", ""], "--shapes"),
    Wrong(["net.py:loss", "--backends", "revers"], "unknown backend 'revers' (did you mean 'reverse'?)"),
    Wrong(["net.py:loss", "--backends", ""], "--backends"),
    Wrong(["net.py:loss", "--argnum", "7"], "7"),
]
STUDY = [
    Wrong(["digit"], "there is no study 'digit' (did you mean 'digits'?)"),
    Wrong([""], "there is no study ''"),
    Wrong(["gone.toml"], "gone.toml: there is no such study file"),
    Wrong(["folder.toml"], "folder.toml: is a folder"),
    Wrong(["unreadable.toml"], "unreadable.toml: cannot be read: "),
    Wrong(["binary.toml"], "binary.toml:1:10: is not UTF-8 text but holds the byte 0xff"),
    Wrong(["broken.toml"], "broken.toml:1:9: "),
    Wrong(["wrong.toml"], "backend[0].name: unknown backend 'revers' (did you mean 'reverse'?)"),
    Wrong(["net.py:los"], "(did you mean 'loss'?)"),
    Wrong(["gone.py:loss"], "gone.py"),
    Wrong(["mini.toml", "--out", "net.py"], "net.py is a file; --out takes a folder"),
    Wrong(["mini.toml", "--out", "folder"], "folder is not empty and holds no run of difflab"),
    Wrong(["mini.toml", "--out", "run"], "run holds a run of another study or with other settings"),
    Wrong(["mini.toml", "--out", "/proc/difflab/run"], "/proc/difflab/run cannot be written"),
    Wrong(["mini.toml", "--device", "tpu"], "unknown device 'tpu'"),
    Wrong(["mini.toml", "--cluster", "nowhere"], "nowhere"),
    Wrong(["mini.toml", "--dry-run", "--out", "new"], "--dry-run measures and writes nothing: leave out --out"),
]
QUICK_RUNS = [one for one in STUDY if one.arguments in (["digit"], ["wrong.toml"], ["mini.toml", "--out", "run"])]
"""Every other fault of a study starts a coordinator and its workers as well."""
FORMULA = [
    Wrong(["a*"], "column 1: this cannot be read"),
    Wrong([""], "expression"),
    Wrong(["a*b", "a=1"], "no value for b"),
    Wrong(["a*b", "a=1", "b=x("], "b"),
    Wrong(["a*b", "a=1", "c=2"], "c does not occur in the expression"),
    Wrong(["open('x')"], "open"),
    Wrong(["digits-mpl"], "'digits-mlp'"),
    Wrong(["digits-mlp", "--size", "tin"], "(did you mean 'tiny'?)"),
    Wrong(["digits-mlp", "x=1"], "the problem 'digits-mlp' has its own data and takes no values"),
]
FAULTS: dict[str, list[Wrong]] = {
    "run": STUDY,
    "compare": [*LOSS, *SHAPES, Wrong(["net.py:loss", "--page", "folder"], "folder")],
    "recommend": [
        *LOSS,
        *SHAPES,
        Wrong(["net.py:loss", "--backends", "null,reverse"], "backend 'null' returns zeros and is never to be taken"),
        Wrong(["net.py:loss", "--backends", "reverse,reverse"], "backend Reverse() is named twice"),
        Wrong(["net.py:loss", "--memory", "2 pounds"], "2 pounds"),
        Wrong(["net.py:loss", "--time", "soon"], "soon"),
    ],
    "check": [
        *(Wrong([*one.arguments, "--gradient", "net.py:gradient"], one.says) for one in LOSS),
        Wrong(["net.py:loss", "--gradient", "net.py:gradien"], "net.py has no 'gradien' (did you mean 'gradient'?)"),
        Wrong(["net.py:loss", "--gradient", ""], "'' does not name anything in a file"),
        Wrong(["net.py:loss", "--gradient", ":gradient", "--argnum", "7"], "7"),
    ],
    "trace": [
        *FORMULA,
        Wrong(["a*b", "a=1", "b=2", "--html", "folder"], "folder"),
        Wrong(["a*b", "a=1", "b=2", "--html", "/proc/difflab.html"], "/proc/difflab.html"),
        Wrong(["a*b", "a=1", "b=2", "--seed", "c"], "c"),
        Wrong(["a*b", "a=1", "b=2", "--expanded"], "--expanded"),
    ],
    "formulas": [
        *FORMULA,
        Wrong(["a*b", "a=1", "b=2", "--as", "fortran"], "--as fortran: formulas are printed as latex, "),
        Wrong(["a*b", "a=1", "b=2", "--way", "bush"], "bush"),
        Wrong(["a*b", "a=1", "b=2", "--engine", "maple"], "maple"),
    ],
    "report": NO_RUN,
    "diff": [
        *(Wrong([*one.arguments, "run"], one.says, one.code) for one in NO_RUN),
        *(Wrong(["run", *one.arguments], one.says, one.code) for one in NO_RUN),
    ],
    "export": [
        *NO_RUN,
        Wrong(["run", "--to", "cases.xls"], "cases.xls"),
        Wrong(["run", "--to", "folder.csv"], "folder.csv"),
        Wrong(["run", "--to", "there.csv"], "there.csv"),
        Wrong(["run", "--to", "/proc/difflab.csv"], "/proc/difflab.csv"),
        Wrong(["run", "--to", ""], ""),
        Wrong(["run", "--table", "case"], "'case'"),
    ],
    "repair": [
        Wrong(one.arguments, one.arguments[0][:200] + " holds no events of a run" * (len(one.arguments[0]) < 200))
        for one in NO_RUN
        if one.arguments != ["damaged"]
    ],
    "list": [Wrong(["problms"], "(did you mean 'problems'?)"), Wrong([""], "there is no list of ''")],
    "doctor": [],
    "schema": [],
    "completion": [Wrong(["fsh"], "unknown shell 'fsh' (did you mean 'fish'?)"), Wrong([""], "unknown shell ''")],
}
REQUIRED = {"compare": ["net.py:loss"], "recommend": ["net.py:loss"], "trace": ["a"], "formulas": ["a"]}


A_RUN = Path(__file__).parent / "old_runs" / "format-1" / "quick"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with everything that can be in the way, which is the present one."""
    net = command_examples.NET + "\n\nDATA = 3\nfew = (1.0,)\nmisshaped = (np.ones(2), np.ones((8, 3)), np.ones(8))\n"
    files: dict[str, str | bytes] = {
        "net.py": net, "mini.toml": MINI, "broken.toml": "title = oops\n", "binary.toml": b'title = "\xff"\n',
        "wrong.toml": MINI.replace('"reverse"', '"revers"'), "binary.py": b"x = '\xff'\n", "broken.py": "def loss(:\n",
        "raises.py": "1 / 0\n", "leaves.py": "import sys\nsys.exit('goodbye')\n", "there.csv": "mine\n",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for name in ("folder", "folder.py", "folder.toml", "folder.csv"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder" / "thesis.tex").touch()
    (tmp_path / "unreadable.toml").symlink_to("/proc/self/mem")  # which no one reads from its beginning, not even root
    for name in ("run", "damaged"):
        shutil.copytree(A_RUN, tmp_path / name)
    events = tmp_path / "damaged" / "events.jsonl"
    lines = events.read_bytes().split(b"\n")
    events.write_bytes(b"\n".join([lines[0], lines[1].replace(b"1", b"2", 1), *lines[2:]]))
    monkeypatch.chdir(tmp_path)
    with command_examples.forgotten(tmp_path):
        yield tmp_path


def test_no_command_is_left_out() -> None:
    assert set(FAULTS) == set(COMMANDS)
    for name, command in COMMANDS.items():
        assert FAULTS[name] or not any(takes_a_value(one) for one in command.params), name


def takes_a_value(parameter: Any) -> bool:
    return parameter.param_type_name == "argument" or not parameter.is_flag


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """All files with their sizes and times."""
    found = {str(path): path.lstat() for path in folder.rglob("*") if "__pycache__" not in path.parts}
    return {name: (one.st_size, one.st_mtime_ns) for name, one in found.items()}


def sentence(shown: Any) -> str:
    """What was said, if it is one line and no traceback; a formula with a mark under the place may follow."""
    assert "Traceback" not in shown.err
    line, *pointed = shown.err.splitlines()
    assert pointed == [] or (len(pointed), pointed[-1].strip()) == (2, "^")
    return line


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        pytest.param(
            name,
            wrong,
            id=f"{name} {' '.join(wrong.arguments)[:60]}",
            marks=[pytest.mark.long] if name == "run" and wrong not in QUICK_RUNS else [],
        )
        for name, listed in FAULTS.items()
        for wrong in listed
    ],
)
def test_a_fault_is_one_sentence(name: str, wrong: Wrong, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state(here)
    assert invoke(name, *wrong.arguments, "--json") == wrong.code
    both = capsys.readouterr()
    told = sentence(both)
    assert wrong.says in told
    assert len(told) < 2100
    assert told.isprintable()
    assert told.startswith("difflab: ") or ".toml" in told.split(": ")[0]
    error = json.loads(both.out)["error"]
    assert wrong.says.removeprefix("...") in " ".join(error["text"].split())
    assert (error["code"], bool(error["type"])) == (wrong.code, True)
    assert state(here) == before, "nothing is written"
    if wrong in FAULTS[name][:2]:  # once and again without --json, which says the same
        assert invoke(name, *wrong.arguments) == wrong.code
        shown = capsys.readouterr()
        assert (sentence(shown), shown.out) == (told, "")


# ---------------------------------------------------------------------------- what typer finds out


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_corrected(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(name, "--jsn") == 2
    shown = capsys.readouterr()
    assert sentence(shown) == (f"difflab: no such option --jsn (did you mean '--json'?); see difflab {name} --help")
    assert shown.out == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_too_many_arguments_and_missing_ones_are_sentences(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    positional = [one for one in COMMANDS[name].params if one.param_type_name == "argument"]
    if not any(one.nargs == -1 for one in positional):
        assert invoke(name, *["x"] * (len(positional) + 1)) == 2
        assert f"; see difflab {name} --help" in sentence(capsys.readouterr())
    if any(one.required for one in positional):
        assert invoke(name) == 2
        assert sentence(capsys.readouterr()).startswith("difflab: missing argument ")


NUMBERS = [
    (name, one.opts[0], [*NO_NUMBERS, *(["-1"] if one.metavar == "S" or one.opts[0] != "--argnum" else [])])
    for name, command in COMMANDS.items()
    for one in command.params
    if one.param_type_name == "option" and not one.is_flag and one.metavar in ("N", "S", "X")
]


@pytest.mark.parametrize(("name", "option", "values"), NUMBERS)
def test_a_number_that_is_none_is_a_sentence(
    name: str, option: str, values: list[str], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = {"check": ["net.py:loss", "--gradient", ":gradient"], **REQUIRED}.get(name, [])
    before = state(here)
    for value in values:
        assert invoke(name, *needed, option, value) == 2, value
        assert option.lstrip("-") in sentence(capsys.readouterr())
    assert state(here) == before


def test_a_usage_error_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("lst", "--json") == 2
    shown = capsys.readouterr()
    text = "no such command 'lst' (did you mean 'list'?); see difflab --help"
    assert sentence(shown) == f"difflab: {text}"
    assert json.loads(shown.out)["error"] == {"type": "UsageError", "text": text, "code": 2}


def test_json_after_two_dashes_is_no_option() -> None:
    assert not cli_faults.wants_json(["trace", "--", "--json"])


def test_our_own_fault_is_a_document_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(what: object) -> None:
        raise ZeroDivisionError("made up")

    monkeypatch.setattr(cli_list, "catalogue", broken)
    assert invoke("list", "--json") == cli_codes.FAULT
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["type"], error["code"]) == ("ZeroDivisionError", cli_codes.FAULT)


def test_what_is_said_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    cli_faults.say("a\nb\x1b[2J" + "x" * 5000)
    told = sentence(capsys.readouterr())
    assert told.startswith("difflab: a b?[2Jxxx")
    assert len(told) < 2100


def test_ctrl_c_in_any_command_is_code_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(what: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_list, "catalogue", interrupted)
    assert invoke("list", "--json") == cli_codes.INTERRUPTED
    shown = capsys.readouterr()
    assert sentence(shown) == "difflab: interrupted"
    assert json.loads(shown.out)["error"]["code"] == cli_codes.INTERRUPTED


# ---------------------------------------------------------------------------- streams that are closed or full


def in_shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(INSTALLED), "PYTHON": sys.executable}
    return subprocess.run(
        ["bash", "-c", line.replace("difflab", '"$PYTHON" -m difflab')],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (
            "difflab list problems > /dev/full",
            2,
            "difflab: the result cannot be written to stdout: No space left on device\n",
        ),
        ("difflab list problems --json > /dev/full", 2, "difflab: the result cannot be written to stdout: No space "),
        ("difflab list problems >&-", 0, ""),
        ("difflab --version >&-", 0, ""),
        ("difflab --version", 0, ""),
        ("difflab list problms 2>&-", 2, ""),
        ("difflab list problms 2> /dev/full", 2, ""),
        ("difflab list problms --json 2>&- >&-", 2, ""),
        ("difflab list problems | head -n 1; exit ${PIPESTATUS[0]}", 0, ""),
        ("difflab --help | true; exit ${PIPESTATUS[0]}", 0, ""),
        ("difflab list problms --json | true; exit ${PIPESTATUS[0]}", 2, "difflab: there is no list of 'problms'"),
    ],
)
def test_a_stream_that_is_closed_or_full_changes_no_more_than_it_must(
    line: str, code: int, says: str, tmp_path: Path
) -> None:
    done = in_shell(line, tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(says)
    assert len(done.stderr.splitlines()) == bool(says)


def test_bytes_that_are_no_text_are_a_sentence(run_command: RunCommand, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable.encode(), b"-m", b"difflab", b"run", b"\xff\xfe.toml"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(INSTALLED)},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert b"there is no such study file" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_result_that_cannot_be_written_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", full)
        with pytest.raises(InputError, match="No space left on device"):
            cli_faults.show("x" * 10**5)
