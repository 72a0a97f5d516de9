"""``difflab compare`` and ``difflab recommend``: files in, tables and answers out, and one sentence for every fault."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from difflab.cli import app as cli
from difflab.cli.loss import read_argnums, read_backends
from difflab.cli.shapes import described, draw, read_shapes
from difflab.errors import DifflabError, InputError
from difflab.harness.amounts import read_duration, read_size

NET = """
import math
import numpy as np

def loss(params, x, y, k=2):
    print("hello from the loss")
    h = np.tanh(x @ params["w"] + params["b"][0])
    return np.mean((h - y) ** k)

def example():
    rng = np.random.default_rng(0)
    return {"w": rng.standard_normal((3, 2)), "b": [0.5]}, rng.standard_normal((8, 3)), rng.standard_normal((8, 2))

def bare(w, x):
    return np.sum(x @ w)

def defaults(w=np.array([1.0, 2.0])):
    return np.sum(w**3)

def shapes(w):
    return np.sum(w[:3] * w)

def vector(w):
    return 2 * w

def black_box(w):
    return math.exp(float(w[0]))

def wrong(w):
    return 1e14 + np.sum(np.sin(w))

def unknown(w):
    return np.sum(np.union1d(w, w))

not_a_function = 3
point = (np.array([0.3, 0.7, 0.2]),)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a file of losses, in which the commands run; what they import is forgotten afterwards."""
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "alone.py").write_text(NET.split("def example")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def invoke(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(list(arguments))
    return int(left.value.code or 0)


# ---------------------------------------------------------------------------- compare


def test_a_loss_with_an_example_is_compared_as_it_stands(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert invoke("compare", "net.py:loss") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split() == ["BACKEND", "OUTCOME", "DIGITS", "ERROR", "TIME", "x", "LOSS", "MEMORY", "PREPARE"]
    assert [line.split()[0] for line in lines[1:5]] == ["finite", "symbolic", "forward", "reverse"]
    assert "Errors are distances from a certified result." in out
    assert "difflab run net.py:loss measures each backend in processes of its own" in out
    assert "hello from the loss" not in out
    assert "hello from the loss" in err


def test_the_page_and_the_document_hold_the_same_rows(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert invoke("compare", "net.py:loss", "--backends", "reverse,finite(scheme=forward)", "--page", "own.html",
                  "--argnum", "0,1", "--json") == 0  # fmt: skip
    found = json.loads(capsys.readouterr().out)["compare"]
    assert [row["backend"] for row in found["rows"]] == ["reverse", "finite"]
    assert {row["n_params"] for row in found["rows"]} == {7 + 24}
    assert found["page"] == "own.html"
    assert found["arguments"] == []
    page = (folder / "own.html").read_text(encoding="utf-8")
    assert "Ways to differentiate loss" in page
    assert found["answer"].split(" was ")[0].split()[0] in page


def test_arguments_are_made_up_from_shapes_and_said(folder: Path, capsys: pytest.CaptureFixture[str]):
    shapes = "params.w=3x2, params.b[0]=(), x=8x3:positive, y=8x2:onehot, k==4"
    assert invoke("compare", "alone.py:loss", "--shapes", shapes, "--seed", "3", "--backends", "reverse") == 0
    out = capsys.readouterr().out
    assert "Arguments made up by --shapes with seed 3:" in out
    assert "  params.w: 3 x 2 float64, standard normal / √2" in out
    assert "  params.b[0]: one number float64, standard normal" in out
    assert "  k: the number 4" in out


def test_a_loss_without_parameters_has_an_empty_gradient_in_every_way(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "squares.py").write_text("import numpy as np\n\n\ndef squares(w):\n    return np.sum(w**2)\n")
    assert invoke("compare", "squares.py:squares", "--shapes", "w=0", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["compare"]["rows"]
    assert {row["backend"]: row["outcome"] for row in rows} == dict.fromkeys(
        ("finite", "symbolic", "forward", "reverse"), "ok"
    )


def test_operators_and_defaults_of_the_loss(folder: Path, capsys: pytest.CaptureFixture[str]):
    (folder / "tiny.py").write_text("import numpy as np\ndef cubes(w=np.array([1.0, 2.0])):\n    return np.sum(w**3)\n")
    assert invoke("compare", "tiny.py:cubes", "--operator", "hessian", "--backends", "reverse", "--json") == 0
    found = json.loads(capsys.readouterr().out)["compare"]
    assert (found["operator"], found["rows"][0]["operator"], found["rows"][0]["outcome"]) == (
        "hessian",
        "hessian",
        "ok",
    )


def test_exit_codes_tell_wrong_gradients_from_nothing_measured(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert invoke("compare", "net.py:wrong", "--at", ":point", "--backends", "finite,reverse") == 1
    out = capsys.readouterr().out
    assert re.search(r"^finite +wrong gradient", out, re.MULTILINE)
    assert re.search(r"^finite: relative error .* is over the tolerance", out, re.MULTILINE)
    assert invoke("compare", "net.py:defaults", "--at", ":point", "--backends", "analytic") == 5
    assert "analytic: backend 'analytic' needs a gradient derived by hand" in capsys.readouterr().out


FAULTS = [
    (("net.py:nothing",), r"net\.py has no 'nothing' \(known: .*"),
    (("net.py:bar",), r"net\.py has no 'bar' \(did you mean 'bare'\?\)"),
    (("gone.py:loss",), r"there is no file gone\.py"),
    (("net.py",), r"'net\.py' does not name anything in a file; write FILE\.py:NAME"),
    (("net.py:not_a_function",), r"net\.py:not_a_function is no function but an int"),
    (("net.py:bare",), r"net\.py:example holds 3 arguments and does not fit `bare`: .*"),
    (("alone.py:loss",), r"nothing says at which arguments to call loss: define `arguments` in alone\.py, a tuple of "
     r"them, or `example`, .* or give --shapes, such as \"params=32x3, x=4, y=4, k=4\"; for instance, with your own "
     r"containers and shapes: def example\(\): rng = np\.random\.default_rng\(0\); return .*"),
    (("net.py:shapes", "--shapes", "w=5"), r"net\.py:21: ValueError: operands could not be broadcast .*"),
    (("net.py:vector", "--shapes", "w=5"), r".*needs one output of shape \(\), and it returns shape \(5,\).*"),
    (("net.py:bare", "--shapes", "w=3"), r"--shapes gives no 'x', which bare needs: add x=SHAPE, such as 32x3"),
    (("net.py:bare", "--shapes", "w=3, z=3"), r"--shapes: bare has no parameter 'z' .*"),
    (("net.py:bare", "--shapes", "w=3, x=4y3"), r"--shapes: at character 8 of 'w=3, x=4y3': expected a shape .*"),
    (("net.py:bare", "--shapes", "w=3, x=8x3", "--at", ":point"), r"--at and --shapes both say .*"),
    (("net.py:defaults", "--at", ":point", "--backends", "revers"), r"unknown backend 'revers' \(did you mean .*"),
    (("net.py:defaults", "--at", ":point", "--backends", "reverse(chunk=0)"), r"Reverse\(chunk=0\): .*"),
    (("net.py:defaults", "--at", ":point", "--backends", "reverse("), r"--backends: at character 9 of 'reverse\('.*"),
    (("net.py:defaults", "--at", ":point", "--argnum", "one"), r"--argnum 'one': give a position, .*"),
    (("net.py:defaults", "--at", ":point", "--argnum", "4"), r".*has 1 positional arguments"),
    (("net.py:defaults", "--at", ":point", "--operator", "div"), r"operator='div': it is one of 'gradient', .*"),
    (("net.py:defaults", "--at", ":point", "--device", "tpu"), r".*tpu.*"),
    (("net.py:unknown", "--at", ":point", "--backends", "reverse"), r".*np\.union1d.* net\.py:33.*"),
]  # fmt: skip


@pytest.mark.parametrize("command", ["compare", "recommend"])
@pytest.mark.parametrize(("arguments", "message"), FAULTS)
def test_faults_of_the_user_are_one_sentence(
    command: str, arguments: tuple[str, ...], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert invoke(command, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    told = [line for line in err.splitlines() if not line.startswith(("hello", "..."))]
    assert len(told) == 1
    assert re.fullmatch(f"difflab: {message}", told[0]), told[0]


def test_a_page_that_cannot_be_written_is_said_before_anything_is_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert invoke("compare", "net.py:loss", "--page", "gone/own.html") == 2
    err = capsys.readouterr().err
    assert err.strip() == "difflab: --page gone/own.html: there is no folder gone"


@pytest.mark.parametrize("command", ["compare", "recommend"])
def test_help_shows_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]):
    assert invoke(command, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"Examples: difflab {command} net.py:loss" in text
    assert "Exit codes: 0" in text
    assert "--shapes makes them up" in text


# ---------------------------------------------------------------------------- recommend


def test_the_recommendation_comes_first_with_its_reason(folder: Path, capsys: pytest.CaptureFixture[str]):
    limits = ("--digits", "8", "--memory", "200 MB", "--time", "1 s", "--calls", "1000")
    assert invoke("recommend", "net.py:loss", *limits) == 0
    out = capsys.readouterr().out
    taken = re.match(r"Take (\S+), .* backends that meet the limits.*: 1\d\.\d certified digits, ", out)
    assert taken is not None
    rows = [line for line in out.splitlines() if " chosen " in line]
    assert len(rows) == 1
    assert rows[0].startswith(taken[1])
    assert f'To use it: dl.prepare(loss, ..., operator="gradient", backend="{taken[1]}")' in out
    assert "hello from the loss" not in out


def test_nothing_that_meets_the_limits_is_exit_code_one_and_what_would_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    asked = ("net.py:loss", "--backends", "finite", "--digits", "15", "--json")
    assert invoke("recommend", *asked) == 1
    found = json.loads(capsys.readouterr().out)["recommend"]
    assert found["backend"] is None
    assert found["value"] is None
    assert found["reason"] == "No backend meets the limits: the digits exclude finite."
    assert re.fullmatch(r"With \d+(\.\d)? digits instead of 15, finite would do\.", found["relaxing"][0])
    assert found["limits"] == {"digits": 15.0, "memory": None, "seconds": None, "calls": 1}
    assert [one["backend"] for one in found["backends"]] == ["finite"]
    assert "certified digits, and 15 are wanted" in found["rejected"]["finite"]


def test_a_black_box_gets_finite_differences_and_is_told_why(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert invoke("recommend", "net.py:black_box", "--at", ":point") == 0
    out = capsys.readouterr().out
    assert out.startswith("Take finite, the only backend with a result: ")
    assert "symbolic, forward and reverse: not supported: float() of a traced value" in out
    assert invoke("recommend", "net.py:defaults", "--at", ":point", "--backends", "analytic") == 5


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--memory", "2 pounds", r"--memory '2 pounds': give a positive amount such as \"200 MB\", \"1 GiB\""),
        ("--memory", "0", r"--memory '0': give a positive amount such as .*"),
        ("--time", "soon", r"--time 'soon': give a positive amount such as \"1ms\", \"200us\", \"0\.5 s\""),
        ("--digits", "-3", r"digits=-3\.0: give a positive number of correct decimal digits, such as 8"),
    ],
)
def test_limits_that_are_none(option: str, value: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]):
    assert invoke("recommend", "net.py:defaults", "--at", ":point", option, value) == 2
    assert re.fullmatch(f"difflab: {message}", capsys.readouterr().err.strip())


# ---------------------------------------------------------------------------- what the options are made of


def test_shapes_build_containers_of_the_right_kinds():
    wanted = read_shapes("p.w=3x4, p.layers[1].b=2:float32, p.layers[0]=(), y=6:int(2,5), z=4x3:onehot, k==-2, r==0.5, "
                         "u=50:uniform(-1,2), q=50:positive, c=2:complex128, s=scalar:float32")  # fmt: skip
    drawn = draw(wanted, np.random.default_rng(0))
    assert drawn["p"]["w"].shape == (3, 4)
    assert isinstance(drawn["p"]["layers"][0], float)
    assert drawn["p"]["layers"][1]["b"].dtype == np.float32
    assert drawn["y"].dtype == np.int64
    assert set(drawn["y"]) <= {2, 3, 4}
    np.testing.assert_array_equal(drawn["z"].sum(axis=1), np.ones(4))
    assert (drawn["k"], drawn["r"]) == (-2, 0.5)
    assert isinstance(drawn["k"], int)
    assert -1 <= drawn["u"].min() < 0 < 1 < drawn["u"].max() < 2
    assert 0.5 <= drawn["q"].min() <= drawn["q"].max() < 1.5
    assert drawn["c"].dtype == np.complex128
    assert type(drawn["s"]) is np.float32
    again = draw(wanted, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn["p"]["w"], again["p"]["w"])
    assert len(described(wanted)) == 11


def test_matrices_are_scaled_as_they_are_said_to_be():
    drawn = draw(read_shapes("w=400x100, v=40000"), np.random.default_rng(0))
    assert np.std(drawn["w"]) == pytest.approx(0.1, rel=0.02)
    assert np.std(drawn["v"]) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x", 2), ("x=", 3), ("1=3", 1), ("x=3,", 5), ("x=3 y=4", 5), ("x=3:flot", 5), ("x=3:int(3,1)", 5),
        ("x=3:int(0.5,2)", 5), ("a=3, a=4", 6), ("a.b=3, a[0]=2", 8), ("y=32:int32", 3), ("y=():onehot", 3),
        ("y=3x0:onehot", 3), ("x=3:float32:float64", 13), ("x=3:normal:positive", 12), ("x=3:int(0,70000):float16", 3),
        ("x=3:uniform(0,1e6):float16", 3), ("x=3:int(0,1e9):float32", 3),
        ("k==x", 4), ("x=1000000x1000000", 3), ("y=3:int(0,99999999999):int32", 3), ("", 1),
        ("k==1e999", 4), (".".join(["a"] * 40) + "=3", 42),
    ],
)  # fmt: skip
def test_faults_of_shapes_have_their_place(text: str, place: int):
    with pytest.raises(InputError, match=rf"^--shapes: at character {place} of "):
        read_shapes(text)


def test_a_list_without_one_of_its_entries_is_said():
    with pytest.raises(InputError, match=r"--shapes: p\.l\[1\] is missing; positions are counted from 0"):
        read_shapes("p.l[0]=3, p.l[2]=4")


@given(st.text("px=3.,:[]()xint 0float32-", max_size=30))
@example("x=9" + "9" * 5000)
@example("l[" + "9" * 5000 + "]=3")
@example("x=3:uniform(1e308,-1e308)")
@example("k==" + "9" * 400)
def test_any_text_is_shapes_or_one_sentence(text: str):
    said = ""
    try:
        assert described(read_shapes(text))
    except InputError as fault:
        said = str(fault)
    assert said == "" or said.startswith("--shapes: ")
    assert "\n" not in said


@given(st.text("finite,reverse()=.:schmu1 '", max_size=30))
@example("finite(step=1e999)")
@example("finite(step=" + "9" * 400 + ")")
def test_any_text_is_backends_or_one_sentence(text: str):
    said = "read"
    try:
        assert read_backends(text)
    except DifflabError as fault:
        said = str(fault)
    assert said


def test_backends_and_positions_are_read():
    found = read_backends('finite(scheme="forward", step=1e-6, estimate=true), complex-step ,symbolic(cse=false)')
    assert [repr(one) for one in found] == [
        "Finite(scheme='forward', step=1e-06, estimate=True)",
        "ComplexStep(step='auto')",
        "Symbolic(way='auto', engine='sympy', cse=False, data='numbers', order='auto', code='python', "
        "time_limit_s=None)",
    ]
    assert (read_argnums(" 2 "), read_argnums("0,-1")) == (2, (0, -1))


def test_amounts_are_read_with_their_units():
    assert [read_size(one) for one in ("1 GiB", "200 MB", "5kB", "1e3", ".5 MiB")] == [2**30, 2e8, 5000, 1000, 2**19]
    known = [read_duration(one) for one in ("200us", "200 µs", "1ms", "2 min", "0.5")]
    assert known == pytest.approx([2e-4, 2e-4, 1e-3, 120.0, 0.5], rel=1e-15)
    for text in ("", "MB", "-1 MB", "1 mb", "1 s s", "1e999", "nan", "1 GiB!"):
        assert read_size(text) is None
        assert read_duration(text) is None
