"""The examples in the help of every command, and a folder in which each of them can be run."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from conftest import command_in
from test_cli import MINI

from difflab.cli import app as cli

GROUP: Any = typer.main.get_command(cli.app)  # which Typer calls a command
COMMANDS = GROUP.commands
NET = """\
import numpy as np


def example():
    rng = np.random.default_rng(0)
    return rng.standard_normal(3), rng.standard_normal((8, 3)), rng.standard_normal(8)


def loss(w, x, y):
    return np.sum((x @ w - y) ** 2)


def gradient(w, x, y):
    return 2 * x.T @ (x @ w - y)
"""
DATA = """\
import numpy as np
from net import example


def batch():
    w, x, y = example()
    return np.ones_like(w), x[:4], y[:4]
"""


def of_command(name: str) -> list[str]:
    """The examples in the help of a command, each a line for the shell."""
    text = str(COMMANDS[name].epilog or "").replace("\b", "")
    block = re.search(r"^\s*Examples?:\n((?:  \S.*\n)+)", text, re.MULTILINE)
    return [line.strip() for line in block[1].splitlines()] if block else []


def made_cheap(line: str) -> str:
    """The same command on a study of two seconds, and on the run of it, where it would run a shipped study."""
    words = shlex.split(line)
    if words[:2] != ["difflab", "run"]:
        return line
    study = next((word for word in words[2:] if not word.startswith("-")), "")
    if ":" not in study:
        words = [*words[:2], "mini.toml", *words[3 if study else 2 :]]
        words += [] if {"--dry-run", "--out"} & set(words) else ["--out", "reports/digits"]
    return shlex.join(words if {"--dry-run", "--quick"} & set(words) else [*words, "--quick"])


def furnish(folder: Path) -> None:
    """Lay out a loss, a study and two runs, as a user might have them."""
    (folder / "net.py").write_text(NET, encoding="utf-8")
    (folder / "data.py").write_text(DATA, encoding="utf-8")
    (folder / "mini.toml").write_text(MINI, encoding="utf-8")
    done = command_in(folder)("run", "mini.toml", "--quick")
    assert done.returncode == 0, done.stderr
    (folder / "reports" / "mini").rename(folder / "reports" / "digits")
    shutil.copytree(folder / "reports" / "digits", folder / "reports" / "digits-2")


@contextlib.contextmanager
def forgotten(folder: Path) -> Iterator[None]:
    """What is imported from a folder meanwhile, and that it is searched, is forgotten afterwards."""
    path, known = list(sys.path), set(sys.modules)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - known:
            if str(getattr(sys.modules[name], "__file__", None)).startswith(str(folder)):
                del sys.modules[name]
