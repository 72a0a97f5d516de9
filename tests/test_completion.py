"""Shell completion: what bash really offers, and what each parameter of each command completes to."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import typer
from conftest import INSTALLED
from test_cli import invoke

from difflab import backends
from difflab.cli import app as cli
from difflab.cli import completion as cli_completion
from difflab.cli import formulas as cli_formulas
from difflab.cli import listing as cli_list
from difflab.harness import export, study_device, study_kinds
from difflab.harness.study import shipped
from difflab.problems import PROBLEMS

LEFT_TO_THE_SHELL = {
    "FILE", "FILE.html", "DIR", "FILE.py:FUNCTION", "FILE.py:LOSS", "FILE.py:NAME", "NAME=VALUE...", "NAME", "N", "X",
    "S", "TEXT", "TIME", "BYTES", "ADDRESS",
}  # fmt: skip
"""Metavars of files and folders, which a shell completes better, and of what cannot be listed."""

COMMAND: Any = typer.main.get_command(cli.app)  # a group, which Typer calls a command
Complete = Callable[..., list[str]]


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Complete:
    """What bash offers at the end of a line in a folder with a run, a study file and a Python file."""
    folder = tmp_path_factory.mktemp("typed")
    for path in ("reports/digits/events.jsonl", "first run/events.jsonl", "mine.toml", "net.py"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    command = folder / "bin" / "difflab"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m difflab "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(INSTALLED), "PATH": f"{command.parent}:{os.environ['PATH']}"}
    shell = shutil.which("bash")
    assert shell is not None
    once = subprocess.run([command, "completion", "bash"], env=environment, capture_output=True, text=True, check=True)
    (folder / "bin" / "completion.bash").write_text(once.stdout)

    def complete(*words: str) -> list[str]:
        line = " ".join(map(shlex.quote, ("difflab", *words)))
        script = (
            ". bin/completion.bash\n"
            "complete -p difflab >&2\n"
            f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; COMPREPLY=()\n"
            '_difflab difflab "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"\n'
            "(( ${#COMPREPLY[@]} )) && printf '%s\\n' \"${COMPREPLY[@]}\" || true\n"
        )
        done = subprocess.run(
            [shell, "--norc", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == "complete -o bashdefault -o default -F _difflab difflab\n"
        return done.stdout.splitlines()

    return complete


def test_bash_completes_commands(bash: Complete) -> None:
    assert bash("re") == [name for name in COMMAND.commands if name.startswith("re")]
    assert bash("--v") == ["--version"]


def test_bash_completes_options_of_the_command_that_are_not_given_yet(bash: Complete) -> None:
    assert bash("run", "digits", "--quick", "--") == [one for one in cli_completion_options("run") if one != "--quick"]


def test_bash_completes_names(bash: Complete) -> None:
    assert bash("run", "sec") == ["second-graph", "second-order"]
    assert bash("run", "mi") == ["mine.toml"]
    assert bash("trace", "digits-") == ["digits-mlp", "digits-cnn"]
    assert bash("trace", "digits-cnn", "--size", "") == list(PROBLEMS["digits-cnn"].sizes)
    assert bash("run", "--device=g") == ["--device=gpu"]


def test_bash_completes_run_folders_and_leaves_files_to_the_shell(bash: Complete) -> None:
    assert bash("report", "") == ["first run", "reports/digits"]
    assert bash("diff", "reports/digits", "f") == ["first run"]
    assert bash("check", "n") == []  # no candidates: bash falls back to files by itself


def cli_completion_options(name: str) -> list[str]:
    return [value for value, _ in cli_completion.candidates(COMMAND, [name], "--")]


def offered(*words: str) -> list[str]:
    *before, current = words
    return [value for value, _ in cli_completion.candidates(COMMAND, before, current)]


def test_candidates_are_what_there_is() -> None:
    assert offered("run", "") == list(shipped())
    assert offered("export", "x", "--table", "") == list(export.TABLES)
    assert offered("list", "") == list(cli_list.PARTS)
    assert offered("completion", "") == list(cli_completion.SCRIPTS)
    assert offered("run", "--device", "") == list(study_device.DEVICES)
    assert offered("formulas", "xor", "--as", "") == list(cli_formulas.TEXTS)
    assert offered("compare", "net.py:loss", "--backends", "") == backends.names()
    assert offered("compare", "net.py:loss", "--backends", "reverse,fo") == ["reverse,forward"]
    assert sorted(offered("compare", "net.py:loss", "--operator", "")) == sorted(study_kinds.OPERATORS)


def test_nothing_is_offered_where_nothing_fits() -> None:
    assert offered("no-such-command", "") == []
    assert offered("run", "digits", "") == []  # it takes one study
    assert offered("trace", "x", "--size", "") == []
    assert offered("trace", "--", "--") == []
    assert offered("export", "x", "--to", "") == []


def test_an_option_that_may_be_repeated_is_offered_again() -> None:
    assert "--to" in offered("export", "x", "--to", "a.csv", "--")


def test_every_parameter_completes_or_is_left_to_the_shell_on_purpose() -> None:
    for name, command in COMMAND.commands.items():
        for one in command.params:
            if one.param_type_name == "option" and one.is_flag:
                continue
            words = cli_completion.words_of(one)
            assert words, f"{name} {one.name} has no metavar"
            assert set(words) <= set(cli_completion.VALUES) | LEFT_TO_THE_SHELL, f"{name} {one.name}: {words}"


@pytest.mark.parametrize("shell", cli_completion.SCRIPTS)
def test_scripts_are_printed_and_ask_difflab(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("completion", shell) == 0
    assert f" completion {cli_completion.OF} " in capsys.readouterr().out


def test_an_unknown_shell_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("completion", "fsh") == 2
    assert capsys.readouterr().err == "difflab: unknown shell 'fsh' (did you mean 'fish'?)\n"


def test_completing_says_nothing_of_its_own_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("completion", cli_completion.OF) == 0
    assert invoke("completion", cli_completion.OF, "no-such-command", "") == 0
    assert capsys.readouterr().err == ""


def test_fish_puts_two_dashes_before_the_last_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("completion", cli_completion.OF, "run", "--", "dig") == 0
    assert capsys.readouterr().out.partition("\t")[0] == "digits"
