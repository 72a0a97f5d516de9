"""Bad study files: one line per fault with its place, all at once, whatever the file is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
import study_mutations
from bad_studies import CATALOGUE
from bad_study_texts import CHAIN, GOOD, ONCE, STEPS, plain
from conftest import RunCommand
from hypothesis import given, settings
from hypothesis import strategies as st
from study_mutations import KINDS, Fault, Writer

from difflab.errors import StudyError
from difflab.harness import catalogue, study_file, study_text, toml_places
from difflab.harness.probe import Probe

RANDOM = st.integers(0, 2**32).map(Random)
LINE = re.compile(r"^bad\.toml:(\d+):(\d+): \S")


@cache
def _looked(question: str) -> dict[str, Any]:
    return catalogue.look(json.loads(question))


def _describe(asked: Sequence[tuple[str, dict[str, Any]]], problems: Sequence[str]) -> catalogue.Catalogue:
    return catalogue.collect(asked, problems, lambda question: _looked(json.dumps(question, allow_nan=False)))


def _faults(text: str) -> list[str]:
    try:
        study_file.parse(text, "bad.toml", _describe)
    except StudyError as fault:
        return str(fault).split("\n")
    return []


@pytest.mark.parametrize("text", [GOOD, ONCE, STEPS, CHAIN])
def test_the_studies_that_are_changed_are_good(text: str) -> None:
    assert _faults(text) == []


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_fault_of_the_catalogue_is_one_line_with_its_place(name: str) -> None:
    text, places = plain(CATALOGUE[name])
    lines = _faults(text)
    assert [LINE.findall(line) for line in lines] == [[(str(line), str(column))] for line, column in places], lines
    for line, says in zip(lines, CATALOGUE[name].says, strict=True):
        assert says in line
        assert line.isprintable()
        assert len(line) < 1100


def test_the_catalogue_is_large() -> None:
    assert len(CATALOGUE) >= 400
    assert len(set(map(plain_text, CATALOGUE.values()))) == len(CATALOGUE)


def plain_text(bad: Any) -> str:
    return plain(bad)[0]


# ------------------------------------------------------------------------------- generated


def _place(line: str) -> tuple[int, int]:
    ((number, column),) = LINE.findall(line)
    return int(number), int(column)


def _offset(text: str, place: tuple[int, int]) -> int:
    lines = text.split("\n")
    assert 1 <= place[1] <= len(lines[place[0] - 1]) + 1
    return sum(len(line) + 1 for line in lines[: place[0] - 1]) + place[1] - 1


def _expected(fault: Fault, writer: Writer) -> tuple[int, int]:
    """Where the line of a fault may point: from its key to the end of its value; to the table that lacks a key."""
    if fault.says != "is missing":
        return writer.spans[fault.at]
    start = writer.spans[fault.at[:-1]][0] if len(fault.at) > 1 else 0
    return start, start


@settings(max_examples=250, deadline=None)
@given(RANDOM, st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5))
def test_generated_faults_are_all_told_where_they_stand(random: Random, kinds: list[str]) -> None:
    faults = study_mutations.chosen(random, kinds)
    writer = Writer(random)
    text = writer.write(study_mutations.spoilt(faults))
    lines = _faults(text)
    assert len(lines) == len(faults), (text, lines)
    places = [_place(line) for line in lines]
    assert places == sorted(places)
    for fault in faults:
        start, end = _expected(fault, writer)
        key = f": {toml_places.show(fault.at)}: "
        assert [
            line
            for line, place in zip(lines, places, strict=True)
            if start <= _offset(text, place) <= end and key in line and fault.says in line
        ], (text, lines, fault)


@settings(max_examples=50, deadline=None)
@given(RANDOM)
def test_a_good_study_is_good_in_every_style(random: Random) -> None:
    text = Writer(random).write(study_mutations.GOOD)
    assert _faults(text) == []
    assert _faults(text.replace("\n", "\r\n")) == []


PIECES = [
    *"\"'[]{}=.,#\n\\ \t-+",
    '"""',
    "'''",
    "[[",
    "nan",
    "1979-05-27",
    "\x00",
    "\ufeff",
    "é",
    "true",
    "backend",
    "\r",
]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_study_with_any_damage_is_read_or_refused_in_lines_with_places(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([GOOD, ONCE, STEPS, CHAIN, ""]))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        text = text[:position] + data.draw(st.sampled_from(PIECES)) + text[position + cut :]
    lines = _faults(text)
    for line in lines:
        assert LINE.match(line), (text, lines)
        _offset(text, _place(line))


# ------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'a = 1\nquestion = "\xe4"\n', r":2:13: is not UTF-8 text but holds the byte 0xe4; save it as UTF-8"),
        ("é\n\té = ".encode() + b"\xff", r":2:6: is not UTF-8 text but holds the byte 0xff"),
        ("title = 1".encode("utf-16"), r":1:1: is not UTF-8 text but holds UTF-16; save it as UTF-8"),
        (b"\xef\xbb\xbftitle = \xff", r":1:9: is not UTF-8 text but holds the byte 0xff"),
        (b"\xef\xbb\xbftitle = 3\n", r":1:9: title: must be a text, got 3"),
        (b"title = 3\r\nquestion = 4\r\n", r":2:12: question: must be a text, got 4"),
        (b"# " + b"x" * 2**20, r": cannot be read: it is larger than 1 MiB, which no study needs"),
        (b"\x00" * 1000, r":1:1: Invalid statement"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_study_is_told_with_its_place(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(data)
    with pytest.raises(StudyError, match=r"bad\.toml" + says):
        study_file.read_study(path, _describe)


def test_a_large_file_is_read_in_full() -> None:
    count = 10_000
    text = GOOD.split("[[backend]]")[0] + '[[backend]]\nname = "revers"\ny = 1\n' * count
    assert 2**18 < len(text) < study_text.LARGEST_FILE
    assert len(_faults(text)) == 2 * count - 1  # all unknown, and all but the first listed already


# ------------------------------------------------------------------------------- through the command line

HEAD = 'title = "T"\nquestion = "Q"\n[[problem]]\nname = "digits-mlp"\nsizes = ["tiny"]\n'
USED = "'{}:X' cannot be used: "
MODULES = {  # the text of a module, and why no backend and no problem can be had from it
    "wrong": ("def f(:\n", USED + "SyntaxError: invalid syntax (wrong.py, line 1)"),
    "leaves": ("import sys\nsys.exit('goodbye')\n", USED + "SystemExit: goodbye (at leaves.py:2)"),
    "wants": ("import no_such_thing\n", "module 'wants' of '{}:X' cannot be imported: No module named 'no_such_thing'"),
    "raises": ("raise ValueError('a\\nb\\x1b[2J' * 9)\n", USED + "ValueError: a b?[2Ja b?[2J"),
    "interrupts": ("raise KeyboardInterrupt\n", USED + "KeyboardInterrupt (at interrupts.py:1)"),
    "ends": ("import os\nos._exit(0)\n", USED + "the worker ended by itself with exit code 0 in phase look-up"),
    "faults": (
        "import ctypes\nctypes.string_at(0)\n",
        USED + "the worker died of SIGSEGV (segmentation fault) in phase lo",
    ),
    "prints": ("for _ in range(9):\n    print('x' * 10**5)\nX = 3\n", USED + "TypeError: 'int' object is not callable"),
    "lists": ("X = []\n", USED + "TypeError: 'list' object is not callable"),
    "slow": ("import time\ntime.sleep(60)\n", USED + "stopped in phase look-up: the time limit of 3 s was over"),
}


def _modules(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        (folder / f"{name}.py").write_text(MODULES[name][0])
    path = folder / "bad.toml"
    path.write_text(HEAD + "".join(f'[[backend]]\nname = "{name}:X"\n' for name in names))
    return path


def test_modules_that_cannot_be_used_are_lines_and_exit_code_2(run_command: RunCommand, tmp_path: Path) -> None:
    names = [name for name in MODULES if name != "slow"]
    path = _modules(tmp_path, names)
    with path.open("a") as file:
        file.write('[[problem]]\nname = "ends:X"\n[[problem]]\nname = "lists:X"\n')
    before = sorted(tmp_path.glob("*.*"))
    done = run_command("run", "bad.toml")
    assert (done.returncode, done.stdout) == (2, "")
    lines = [line for line in done.stderr.splitlines() if line.startswith("bad.toml:")]
    assert len(lines) == len(names) + 2, done.stderr
    for position, (name, line) in enumerate(zip(names, lines, strict=False)):
        assert line.startswith(
            f"bad.toml:{7 + 2 * position}:9: backend[{position}].name: {MODULES[name][1].format(name)}"
        ), line
    assert "problem[1].name: 'ends:X' cannot be used: the worker ended by itself" in lines[-2]
    assert "problem[2].name: 'lists:X' is no problem, which has a name, sizes and a build" in lines[-1]
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.glob("*.*")) == before


def test_a_module_that_hangs_is_a_line_and_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = _modules(tmp_path, ["slow", "lists"])
    path.write_text(path.read_text() + '[[problem]]\nname = "slow:Y"\n')
    with pytest.raises(StudyError) as caught:
        study_file.read_study(path, Probe(seconds=3))
    slow, lists, again = str(caught.value).splitlines()
    assert f":7:9: backend[0].name: {MODULES['slow'][1].format('slow')}" in slow
    assert f":9:9: backend[1].name: {MODULES['lists'][1].format('lists')}" in lists
    assert ":11:9: problem[1].name: 'slow:Y' cannot be used: stopped in phase look-up: the time limit" in again


COMMANDS = (
    "top: empty",
    "table: problems of mixed types",
    "backend: options that are refused",
    "backend: option of 100000 bits",
    "syntax: a long text without an end",
    "syntax: a key of many dots",
    "syntax: brackets in brackets",
)


def test_the_command_line_tells_the_faults_and_writes_nothing(run_command: RunCommand, tmp_path: Path) -> None:
    for number, name in enumerate(COMMANDS):
        (tmp_path / f"{number}.toml").write_text(plain(CATALOGUE[name])[0])
    (tmp_path / "new\nline.toml").write_text("title = 3")
    asked = [*(f"{number}.toml" for number in range(len(COMMANDS))), "new\nline.toml", "x" * 5000 + ".toml"]
    before = sorted(tmp_path.iterdir())
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(lambda file: run_command("run", file), asked))
    for file, done in zip(asked, told, strict=True):
        assert (done.returncode, done.stdout) == (2, ""), (file, done.stderr)
        assert "Traceback" not in done.stderr
    for number, name in enumerate(COMMANDS):
        _, places = plain(CATALOGUE[name])
        lines = [line for line in told[number].stderr.splitlines() if line.startswith(f"{number}.toml:")]
        assert [line.split(": ")[0] for line in lines] == [f"{number}.toml:{line}:{column}" for line, column in places]
    assert "new?line.toml:1:9: title: must be a text, got 3" in told[-2].stderr
    assert "there is no such study file" in told[-1].stderr
    assert len(told[-1].stderr) < 1000
    assert sorted(tmp_path.iterdir()) == before


def test_names_of_no_file_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    for name, says in (
        (f"{tmp_path}/folder.toml", r"folder\.toml: is a folder"),
        (f"{tmp_path}/no.toml", r"no\.toml: there is no such study file \(shipped studies: accuracy, "),
        ("x" * 10**5 + ".toml", r"^x{397}\.\.\.: there is no such study file"),
        ("digts", r"there is no study 'digts' \(did you mean 'digits'\?\)"),
        ("a\x1b[2J\nb", r"there is no study 'a\?\[2J b' \(known: "),
    ):
        with pytest.raises(StudyError, match=says):
            study_file.read_study(name, _describe)
