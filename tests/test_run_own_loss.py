"""``difflab run FILE.py:FUNCTION``: a study of the user's own loss, and the faults of a user's file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import RunCommand

from difflab.errors import InputError, StudyError
from difflab.harness import grid, own_loss, store, study_file
from difflab.harness.catalogue import Catalogue, collect, look, problem_of

NET = """
import numpy as np

sizes = [4, 30]


def example(n):
    rng = np.random.default_rng(0)
    return {"w": rng.standard_normal((n, 2)), "b": np.zeros(2)}, rng.standard_normal((3, n)), np.ones((3, 2))


def net(params, x, y):
    return np.mean((np.tanh(x @ params["w"] + params["b"]) - y) ** 2)


def net_gradient(params, x, y):
    h = np.tanh(x @ params["w"] + params["b"])
    d = 2 * (h - y) / h.size * (1 - h * h)
    return {"w": x.T @ d, "b": d.sum(0)}


def rows(params, x, y):
    return np.tanh(x @ params["w"])
"""
FAULTS = {
    "no file": ("gone.py:f", "", "gone.py: there is no such file"),
    "no function named": (
        "it.py",
        "def f(x): return x",
        "it.py is a file; name the loss in it as it.py:FUNCTION (there: f)",
    ),
    "an empty name": ("it.py:", "def f(x): return x", "'it.py:' does not name a function; write it.py:FUNCTION"),
    "a wrong name": ("it.py:lost", "def loss(x): return x", "it.py has no function 'lost' (did you mean 'loss'?)"),
    "no function": ("it.py:f", "f = 3", "it.py:f is no function but int 3"),
    "no example": ("it.py:f", "def f(x): return x", "nothing says at which arguments to differentiate f: define"),
    "an example that raises": (
        "it.py:f",
        "def f(x): return x\ndef example(): raise ValueError('no data')",
        "it.py:2: ValueError: no data",
    ),
    "a loss that raises": ("it.py:f", "example = (1.0,)\ndef f(x): return x.y", "it.py:2: AttributeError: "),
    "a loss of many numbers": (
        "it.py:f",
        "import numpy as np\nexample = (np.ones(3),)\ndef f(x): return x * 2",
        "it.py:f: the loss returns an array of shape (3,), and a gradient needs a single number",
    ),
    "a loss of nothing": (
        "it.py:f",
        "example = (1.0,)\ndef f(x): pass",
        "it.py:f returns NoneType; f must return a number",
    ),
    "a loss that is NaN": (
        "it.py:f",
        "example = (1.0,)\ndef f(x): return x * float('nan')",
        "it.py:f: the loss is nan",
    ),
    "a loss that writes into its arguments": (
        "it.py:f",
        "import numpy as np\nexample = (np.ones(3),)\ndef f(x):\n    x += 1\n    return np.sum(x)",
        "it.py:f: f writes into its own arguments; let it work on a copy",
    ),
    "a command line of its own": (
        "it.py:f",
        "import argparse\nknown = argparse.ArgumentParser()\nknown.add_argument('n')\nknown.parse_args()",
        "it.py:4: SystemExit: 2",
    ),
    "whole numbers": (
        "it.py:f",
        "example = (3,)\ndef f(x): return x * x",
        "only floating-point numbers and arrays have",
    ),
    "too many arguments": (
        "it.py:f",
        "example = (3.0, 4.0)\ndef f(x): return x * x",
        "it.py:example holds 2 arguments",
    ),
    "sizes that are missing": (
        "it.py:f",
        "def example(n): return (float(n),)\ndef f(x): return x * x",
        "it.py:example takes a size, and it.py does not say which there are; write a list",
    ),
    "sizes that are none": (
        "it.py:f",
        "sizes = 3\ndef example(n): return (float(n),)\ndef f(x): return x * x",
        "it.py: sizes must be a list, such as [10, 100, 1000]",
    ),
    "a size twice": (
        "it.py:f",
        "sizes = [3, '3']\ndef example(n): return (float(n),)\ndef f(x): return x * x",
        "it.py: a size is listed twice",
    ),
    "no Python": ("it.py:f", "def f(:", "it.py:1: invalid syntax"),
    "data drawn in every call": (
        "it.py:f",
        "import numpy as np\ndef example(): return (np.random.rand(2),)\ndef f(x): return np.sum(x)",
        "it.py: the arguments of f come out differently each time, so no two backends would be given the same; draw",
    ),
}


@pytest.mark.parametrize(("target", "text", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_in_a_users_file_is_one_sentence(
    target: str, text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "it.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        study_file.read_study(target, collect)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A loss with sizes in the working directory."""
    (tmp_path / "net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    return "net.py:net"


def test_the_study_of_a_function_is_a_toml_file_that_says_the_same(net: str, tmp_path: Path) -> None:
    made = study_file.read_study(net, collect)
    assert (made.name, made.title, made.baseline) == ("net", "net of net.py", "reverse")
    assert [one.name for one in made.backends] == ["finite", "symbolic", "forward", "reverse", "analytic"]
    assert tomllib.loads(made.text)["problem"] == [{"name": "net.py:net"}]
    (tmp_path / "net.toml").write_text(made.text)
    read = study_file.read_study("net.toml", collect)
    assert read == made
    assert grid.key(read, 0, True) == grid.key(made, 0, True)
    assert [block.name for block in grid.blocks(made)] == ["net.py:net 4 float64", "net.py:net 30 float64"]


def test_the_key_depends_on_the_text_of_the_file_and_on_its_data(net: str, tmp_path: Path) -> None:
    before = study_file.read_study(net, collect)
    (tmp_path / "net.py").write_text(NET.replace("sizes = [4, 30]", "sizes = [4, 31]"))
    found = look({"what": "problem", "name": "net.py:net"})["own"]
    assert found["sizes"] == ["4", "30"]  # it is loaded once in a process
    catalogue = Catalogue({net: ["4", "30"]}, {name: "" for name in ("finite", "symbolic", "forward", "reverse")})
    keys = set()
    for source, data in (("a", "1"), ("b", "1"), ("a", "2")):
        own = {"sizes": ["4"], "dtype": "float32", "source": source, "data": {"4": data}, "vector": ""}
        one = study_file.parse(before.text, "net.toml", lambda *_, own=own: known(catalogue, net, own))
        assert one.problems[0].dtypes == ("float32",)
        keys.add(grid.key(one, 0, False))
    assert len(keys) == 3


def known(catalogue: Catalogue, name: str, own: dict) -> Catalogue:
    """A catalogue that knows one loss."""
    families = dict.fromkeys([*catalogue.backends, "analytic"], "")
    return Catalogue({name: own["sizes"]}, families, {one: [] for one in families}, own={name: own})


def test_a_file_that_changed_since_is_not_measured_as_if_it_had_not(net: str) -> None:
    source = own_loss.load(net).source
    assert problem_of({"problem": net, "source": source}).sizes == {"4": {"sizes": 4}, "30": {"sizes": 30}}
    with pytest.raises(Exception, match=r"net\.py has changed since the run began"):
        problem_of({"problem": net, "source": "0" * 64})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_instance_has_the_dtype_asked_for_and_its_own_gradient(net: str, dtype: str) -> None:
    made = own_loss.load(net).build("30", dtype)
    params, x, _ = made.args
    assert {params["w"].dtype, x.dtype} == {np.dtype(dtype)}
    assert made.n_params == 62
    value, gradient = made.analytic(*made.args)
    assert value == made.loss(*made.args)
    assert gradient["w"].shape == (30, 2)


def test_sizes_that_belong_to_something_else_are_no_sizes_of_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "layers.py").write_text("sizes = [784, 10]\ndef example(): return (2.0,)\ndef f(x): return x * x\n")
    monkeypatch.chdir(tmp_path)
    assert list(own_loss.load("layers.py:f").sizes) == ["example"]
    assert own_loss.load("layers.py:f").build("example", "float32").args[0].dtype == np.float32


def test_a_vector_is_a_loss_where_the_operator_takes_one(net: str) -> None:
    text = own_loss.study_text("net.py:rows")
    with pytest.raises(StudyError, match=r"net\.toml:5:\d+: problem\[0\]\.name: 'net.py:rows': the loss returns"):
        study_file.parse(text, "net.toml", collect)
    made = study_file.parse(text.replace("[[problem]]", 'operator = "jacobian"\n[[problem]]', 1), "net.toml", collect)
    assert made.operator == "jacobian"


def test_data_that_differ_between_processes_are_refused_before_anything_is_written(
    run_command: RunCommand, tmp_path: Path
) -> None:
    text = "import numpy as np\nexample = (np.random.rand(2),)\ndef f(x): return np.sum(x)\n"
    (tmp_path / "it.py").write_text(text)
    done = run_command("run", "it.py:f")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("difflab: it.py: the arguments of f come out differently each time, so no two")
    assert not (tmp_path / "reports").exists()


@pytest.mark.long
def test_a_run_says_that_a_file_has_changed(net: str, run_command: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET.replace("sizes = [4, 30]", "sizes = [4]"))
    done = run_command("run", net, "--quick")
    assert done.returncode == 0, done.stderr
    assert "net of net.py: 5 cases, stored in reports/net" in done.stderr
    page = (tmp_path / "reports" / "net" / "index.html").read_text()
    assert "<pre>difflab run net.py:net --quick</pre>" in page
    manifest = store.read_manifest(tmp_path / "reports" / "net")
    assert manifest["losses"][net]["source"] == own_loss.load(net).source

    (tmp_path / "net.toml").write_text(manifest["study"]["text"])
    again = run_command("run", "net.toml", "--quick", "--out", "reports/net", "--json")
    assert "holds this run already, finished" in again.stderr
    rows = json.loads(again.stdout)["rows"]
    assert {row["outcome"] for row in rows} == {"ok"}
    assert all(row["rel_error"] < 1e-14 for row in rows if row["backend"] != "finite")

    events = tmp_path / "reports" / "net" / store.EVENTS
    events.write_bytes(b"".join(events.read_bytes().splitlines(keepends=True)[:-1]))  # as if it had not come to its end
    (tmp_path / "net.py").write_text(NET.replace("sizes = [4, 30]", "sizes = [4]") + "# a word\n")
    refused = run_command("run", net, "--quick", "--out", "reports/net")
    assert refused.returncode == 2
    assert "reports/net holds a run of net.py as it was before it was changed" in refused.stderr
    forecast = run_command("run", net, "--quick", "--dry-run", "--json")
    assert [case["outcome"] for case in json.loads(forecast.stdout)["cases"]] == ["runs"] * 5
