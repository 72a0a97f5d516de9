"""What ``--help`` says is true: every example of every command is run, and every command speaks JSON."""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import command_examples
import pytest
from command_examples import COMMANDS
from conftest import INSTALLED, ROOT, RunCommand
from test_cli import invoke

import difflab
from difflab.cli import app as cli
from difflab.harness import doctor
from difflab.harness.checkup.finding import Finding

EXAMPLES = [line for name in COMMANDS for line in command_examples.of_command(name)]
CHEAP = list(dict.fromkeys(map(command_examples.made_cheap, EXAMPLES)))
FOR_THE_SHELL = re.compile(r"[>|$]")


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Shell = Callable[[str], Done]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples name."""
    folder = tmp_path_factory.mktemp("furnished")
    command_examples.furnish(folder)
    return folder


@pytest.fixture(scope="module")
def examined() -> Callable[..., list[Finding]]:
    """An examination of this machine that is made once."""
    return functools.cache(doctor.examine)


@pytest.fixture
def shell(
    furnished: Path,
    examined: Callable[..., list[Finding]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    """Runs a line in a copy of that folder: in this process, or in bash where it redirects or substitutes something."""
    folder, command = tmp_path / "here", tmp_path / "bin" / "difflab"
    shutil.copytree(furnished, folder)
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m difflab "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(INSTALLED))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(doctor, "examine", lambda folder, say: examined(folder))
    monkeypatch.chdir(folder)

    def run(line: str) -> Done:
        if FOR_THE_SHELL.search(line):
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300)
            return Done(done.returncode, done.stdout, done.stderr)
        name, *arguments = shlex.split(line)
        assert name == "difflab"
        code, shown = invoke(*arguments), capsys.readouterr()
        return Done(code, shown.out, shown.err)

    with command_examples.forgotten(folder):
        yield run


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_of_itself_and_says_its_exit_codes(name: str) -> None:
    examples = command_examples.of_command(name)
    assert examples, f"the epilog of {name} needs lines under Examples:"
    assert all(f"difflab {name}" in line for line in examples)
    assert "Exit codes: " in str(COMMANDS[name].epilog)


@pytest.mark.long
@pytest.mark.parametrize("line", CHEAP)
def test_the_example_does_what_it_says(line: str, shell: Shell) -> None:
    done = shell(line)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if "--json" in line:
        found = json.loads(done.stdout)
        assert (found["schema"], found["difflab"]) == (1, difflab.__version__)
        assert "error" not in found


SILENT = [name for name in COMMANDS if not any("--json" in line for line in command_examples.of_command(name))]


@pytest.mark.long
@pytest.mark.parametrize("name", SILENT)
def test_the_commands_without_such_an_example_print_one_json_document_too(name: str, shell: Shell) -> None:
    lines = [line for line in command_examples.of_command(name) if line.startswith("difflab")]
    done = shell(f"{command_examples.made_cheap(lines[0].partition(' > ')[0])} --json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["$schema" if name == "schema" else "difflab"]


def test_help_names_the_commands_in_the_order_of_their_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(COMMANDS) == list(cli.ORDER)
    assert invoke("--help") == 0
    text = capsys.readouterr().out
    listed = [line.split()[0] for line in text.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()]
    assert listed == list(cli.ORDER)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_terminal_but_for_its_examples(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert invoke(name, "--help") == 0
    text = capsys.readouterr().out
    assert "``" not in text
    assert all(len(line) <= 80 for line in text.splitlines() if line.strip() not in EXAMPLES)


def test_help_loads_nothing_that_computes(modules_after: Callable[[str], set[str]]) -> None:
    statement = "from difflab.cli import app as cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass"
    heavy = {"numpy", "sympy", "pandas", "matplotlib", "scipy", "rich", "psutil", "jinja2", "difflab.backends"}
    assert not heavy & modules_after(statement)


def test_the_version_is_told_without_the_command_line(modules_after: Callable[[str], set[str]]) -> None:
    statement = (
        "import sys\nsys.argv = ['difflab', '--version']\nfrom difflab.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass"
    )
    assert not {"typer", "difflab.cli.app", "numpy"} & modules_after(statement)


# ---------------------------------------------------------------------------- python -m difflab


def test_the_module_is_the_command(run_command: RunCommand) -> None:
    for arguments in (["--help"], ["run", "--help"]):
        done = run_command(*arguments)
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: difflab {'run ' if len(arguments) == 2 else ''}[OPTIONS]")
    wrong = run_command("list", "x")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("difflab: there is no list of 'x' (known: ")


def test_the_installed_command_is_the_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"difflab": "difflab.__main__:main"}
