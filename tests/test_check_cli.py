"""``difflab check``: files in, report out, exit codes, and one sentence for every fault of these files."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import RunCommand

from difflab.cli import app as cli

NET = """
import numpy as np

def loss(w, x, y):
    p = 1 / (1 + np.exp(-(x @ w)))
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

def gradient(w, x, y):
    p = 1 / (1 + np.exp(-(x @ w)))
    return x.T @ (p - y) / len(x)

def summed(w, x, y):
    return len(x) * gradient(w, x, y)

def broken(w, x, y):
    return x.T @ (x @ w - y[:3])

def leaves(w, x, y):
    raise SystemExit(3)

def by_x(w, x, y):
    p = 1 / (1 + np.exp(-(x @ w)))
    return np.outer(p - y, w) / len(x)

def arguments():
    rng = np.random.default_rng(0)
    return rng.standard_normal(3), rng.standard_normal((8, 3)), (rng.random(8) < 0.5) * 1.0

named = dict(zip(("w", "x", "y"), arguments()))
too_few = arguments()[:2]
nothing = (np.zeros(3) + np.nan, *arguments()[1:])
"""

DEFAULTS = """
import numpy as np
print("hello from the file")

def loss(x=np.array([1.0, 2.0])):
    return np.sum(x**2)

def gradient(x=None):
    print("hello from the gradient")
    return 2 * x
"""

PARSES = """
import argparse
options = argparse.ArgumentParser()
options.add_argument("--power", type=int, default=2)
power = options.parse_args().power

def loss(x=1.5):
    return x**power

def gradient(x=1.5):
    return power * x ** (power - 1)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with files, in which the commands run; what they import is forgotten afterwards."""
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "defaults.py").write_text(DEFAULTS, encoding="utf-8")
    (tmp_path / "typo.py").write_text("import numpy as np\ndef loss(x:\n", encoding="utf-8")
    (tmp_path / "raises.py").write_text("import numpy as np\nsize = 1 / 0\n", encoding="utf-8")
    (tmp_path / "empty.py").write_text("", encoding="utf-8")
    (tmp_path / "nul.py").write_bytes(b"x = 0\0")
    (tmp_path / "relative.py").write_text("from . import net\n", encoding="utf-8")
    (tmp_path / "parses.py").write_text(PARSES, encoding="utf-8")
    (tmp_path / "other.py").write_text("from net import gradient as found\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if (sys.modules[name].__dict__.get("__file__") or "").startswith(str(tmp_path)):
            del sys.modules[name]


def invoke(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["check", *arguments])
    return 0 if left.value.code is None else int(left.value.code)


def test_right_is_0_and_wrong_is_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("net.py:loss", "--gradient", "net.py:gradient") == 0
    assert capsys.readouterr().out.startswith("`gradient` is the gradient of `loss`: ")
    assert invoke("net.py:loss", "--gradient", ":summed") == 1
    out, err = capsys.readouterr()
    assert "w is 8 times the true gradient: a missing 1/N (x has 8 rows)" in out
    assert err == ""


@pytest.mark.parametrize("more", [["--at", "net.py:arguments"], ["--at", ":named"], ["--at", "net:arguments"]])
def test_arguments_are_a_tuple_a_dict_or_a_function(more: list[str], folder: Path) -> None:
    assert invoke("net.py:loss", "--gradient", "other.py:found", *more) == 0
    assert invoke("net:loss", "--gradient", "net:gradient", *more) == 0


def test_argnum_and_tolerance(folder: Path) -> None:
    assert invoke("net.py:loss", "--gradient", ":by_x", "--argnum", "1") == 0
    assert invoke("net.py:loss", "--gradient", ":by_x", "--argnum", "0") == 1
    assert invoke("net.py:loss", "--gradient", ":summed", "--tolerance", "10") == 0


def test_a_file_that_reads_a_command_line_sees_none(folder: Path) -> None:
    before = list(sys.argv)
    assert invoke("parses.py:loss", "--gradient", ":gradient") == 0
    assert sys.argv == before


def test_defaults_serve_and_prints_do_not_disturb(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("defaults.py:loss", "--gradient", ":gradient", "--json") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["check"]["ok"] is True
    assert document["check"]["certified"] == "yes"
    assert "hello from the file" in err
    assert "hello from the gradient" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.py:loss", "--gradient", ":gradiant"], r"net\.py has no 'gradiant' \(did you mean 'gradient'\?\)"),
        (["net.py:loss", "--gradient", ":named"], r":named is no function but a dict"),
        (["missing.py:loss", "--gradient", ":g"], r"there is no file missing\.py"),
        (["nowhere:loss", "--gradient", ":g"], r"there is no module 'nowhere'"),
        (["loss", "--gradient", ":g"], r"'loss' does not name anything in a file; write FILE\.py:NAME"),
        (["typo.py:loss", "--gradient", ":g"], r"typo\.py:2: "),
        (["nul.py:loss", "--gradient", ":g"], r"nul\.py: source code"),
        (["empty.py:loss", "--gradient", ":g"], r"empty\.py has no 'loss'$"),
        (["relative.py:loss", "--gradient", ":g"], r"relative\.py:1: ImportError: .*name it as package\.module:NAME"),
        (["net.py:loss", "--gradient", ":gradient", "--at", "net.py"], r"'net\.py' does not name anything in a file"),
        (["raises.py:loss", "--gradient", ":g"], r"raises\.py:2: ZeroDivisionError: division by zero"),
        (["net.py:loss", "--gradient", ":broken"], r"net\.py:\d+: ValueError: operands could not be broadcast"),
        (["net.py:loss", "--gradient", ":leaves"], r"net\.py:\d+: SystemExit: 3"),
        (
            ["net.py:loss", "--gradient", ":gradient", "--at", ":too_few"],
            r":too_few holds 2 arguments and does not fit",
        ),
        (["net.py:loss", "--gradient", ":gradient", "--at", ":nothing"], r"nothing can be checked: the loss is nan"),
        (["net.py:loss", "--gradient", ":gradient", "--argnum", "7"], r"argnums=7"),
        (["defaults.py:loss", "--gradient", "net.py:gradient"], r"`gradient` cannot be called with the arguments"),
        (["net.py:gradient", "--gradient", ":gradient"], r"gradient of `gradient` needs one output of shape \(\)"),
    ],
)
def test_faults_of_the_user_are_one_sentence(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    told = [line for line in err.splitlines() if not line.startswith("hello")]
    assert len(told) == 1
    assert re.match(f"difflab: {message}", told[0]), told


def test_without_arguments_it_says_where_to_put_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bare.py").write_text("def loss(x):\n    return x\n", encoding="utf-8")
    assert invoke("bare.py:loss", "--gradient", ":loss") == 2
    assert "define `arguments` in bare.py" in capsys.readouterr().err


def test_help_shows_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Examples: difflab check net.py:loss --gradient net.py:gradient" in text
    assert "Exit codes: 0 the gradient is right; 1 it is wrong; 2 bad input" in text


def test_as_a_process(folder: Path, run_command: RunCommand) -> None:
    done = run_command("check", "net.py:loss", "--gradient", ":summed")
    assert (done.returncode, done.stderr) == (1, "")
    assert "w is 8 times the true gradient" in done.stdout


def test_an_example_that_takes_a_size_is_asked_for_the_first_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loss = "import numpy as np\ndef loss(w):\n    return np.sum(w * w)\n"
    loss += "def slope(w):\n    assert len(w) == 7\n    return 2 * w\n"
    example = "def example(n):\n    return (np.ones(n),)\n"
    (tmp_path / "sized.py").write_text(f"{loss}{example}sizes = [7, 70]\n", encoding="utf-8")
    (tmp_path / "unsized.py").write_text(f"{loss}{example}", encoding="utf-8")
    assert invoke(f"{tmp_path}/sized.py:loss", "--gradient", ":slope") == 0
    capsys.readouterr()
    assert invoke(f"{tmp_path}/unsized.py:loss", "--gradient", ":slope") == 2
    assert "example takes a size, and " in capsys.readouterr().err
