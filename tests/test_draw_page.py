"""The page of a drawing and the command that makes it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawings import assert_tidy, drawn, edges

import difflab as dl
from difflab.cli import app as cli
from difflab.errors import InputError, StoreError
from difflab.walk.drawing.boxes import Label
from difflab.walk.drawing.coordinates import place

# ---------------------------------------------------------------------------- the page


def test_page_is_whole_and_the_same_each_time(run_command: Any, tmp_path: Path) -> None:
    one, two = drawn("digits-cnn", "small").html, drawn("digits-cnn", "small").html
    assert one == two
    done = run_command(
        "trace", "digits-cnn", "--size", "small", "--html", "cnn.html", PYTHONHASHSEED="7", OPENBLAS_NUM_THREADS="1"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The graph, of 31 equations, is drawn in cnn.html\n"
    again = run_command(
        "trace", "digits-cnn", "--size", "small", "--html", "two.html", PYTHONHASHSEED="8", OPENBLAS_NUM_THREADS="1"
    )
    assert again.returncode == 0
    page = (tmp_path / "cnn.html").read_bytes()
    assert page == (tmp_path / "two.html").read_bytes()
    assert b"Convolutional network on handwritten digits (digits-cnn, small)" in page


def test_page_allows_its_own_style_and_script_and_nothing_else() -> None:
    page = drawn("add-mul").html
    found = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert found is not None
    policy = found[1].replace("&#39;", "'")
    script = page.rsplit("<script>", 1)[1].partition("</script>")[0]
    sheet = page.partition("<style>")[2].partition("</style>")[0]
    for text in (script, sheet):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "style=" not in page


def test_without_a_script_everything_is_there() -> None:
    found = drawn("digits-cnn")
    bare = found.html.partition("<svg")[2].partition("</svg>")[0]
    assert 'class="group"' not in bare, "all groups are open"
    for row in found.graph.walk.rows:
        assert row.formula == "input" or f"<title>{row.name} = " in bare
    for one in found.scene.scenes():
        for item in one.items:
            if isinstance(item.what, Label):
                assert all(f">{text}</text>" in bare for text in (*item.what.value, *item.what.slope))


def test_hostile_names_stay_text() -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    found = dl.trace(lambda p: np.sum(p[hostile] * p["b"]), {hostile: np.ones(3), "b": 2.0}).draw(title=hostile)
    assert "<img" not in found.html
    assert found.html.count("</script>") == 2
    document = found.html.partition('id="dg-data">')[2].partition("</script>")[0]
    assert hostile in json.loads(document)["begin"]


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (lambda x: x, (2.0,)),
        (lambda x: 3.0, (2.0,)),
        (lambda x, y: x * x, (2.0, 1.0)),
        (lambda x, k: np.sum(x[k]), (np.ones(4), np.array([0, 2]))),
        (lambda x: np.sum(x), (np.zeros((0, 3)),)),
        (lambda x: np.sqrt(x) + np.log(x), (-1.0,)),
        (lambda x: np.sum(np.float32(2) * x), (np.full(9, 3e38, np.float32),)),
        (lambda x: np.sum(np.arange(9.0) * x), (np.ones(9),)),
    ],
    ids=["identity", "constant", "unused input", "indices", "empty", "not finite", "overflow", "constant array"],
)
def test_odd_functions_are_drawn(function: Any, arguments: Sequence[Any]) -> None:
    with np.errstate(all="ignore"):
        trace = dl.trace(function, *arguments)
        found = trace.draw()
    assert_tidy(place(found.scene, found.unfolded, down=found.down))
    for number in trace.tape.inputs:
        assert f'id="dg-s{number}"' in found.html
    assert 'id="dg-end"' in found.html


def test_array_needs_a_cotangent_and_the_drawing_shows_it() -> None:
    trace = dl.trace(lambda x: x * x, np.array([1.0, 2.0]))
    with pytest.raises(InputError, match=r"shape \(2,\)"):
        trace.draw()
    found = trace.draw(cotangent=[1.0, 10.0])
    assert edges(found.graph)["y"] == [("v1", [1.0, 4.0], [1.0, 10.0])]
    assert edges(found.graph)["v1"] == [("x", [1.0, 2.0], [1.0, 20.0])] * 2


def test_shapes_without_data_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="made of shapes without data"):
        dl.trace(np.sum, dl.Shape((2, 3))).draw()


def test_drawing_is_saved_and_shown_in_a_notebook(tmp_path: Path) -> None:
    found = dl.trace(lambda x: x * 2.0, 1.0).draw(tmp_path / "graph.html", title="Twice")
    assert (tmp_path / "graph.html").read_text(encoding="utf-8") == found.html
    assert "<h1>Twice</h1>" in found.html
    shown = found._repr_html_()
    assert shown.startswith('<iframe title="Computation graph of Twice" srcdoc=')
    assert "<script" not in shown
    with pytest.raises(StoreError, match="cannot be written to"):
        found.save(tmp_path / "missing" / "graph.html")
    with pytest.raises(StoreError, match="null byte"):
        found.save("graph\0.html")


# ---------------------------------------------------------------------------- the command


def invoke(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["trace", *arguments])
    return 0 if left.value.code is None else int(left.value.code)


def test_command_draws_a_formula(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "graph.html"
    assert invoke("(x+y)*z", "x=-2", "y=5", "z=-4", "--html", str(path)) == 0
    assert capsys.readouterr() == (f"The graph, of 2 equations, is drawn in {path}\n", "")
    assert "<h1>(x+y)*z</h1>" in path.read_text(encoding="utf-8")
    assert invoke("x*y", "x=1", "y=2", "--json", "--html", str(path)) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["html"], document["trace"]["gradient"]) == (str(path), {"x": 2, "y": 1})


def test_command_traces_a_problem_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("scalar-net") == 0
    assert "reverse, read upwards:    df/dw1 = 80  df/dw2 = 120" in capsys.readouterr().out
    assert invoke("xor", "xor=2") == 0
    assert capsys.readouterr().out.startswith("value  is     primal  tangent d/dxor"), "with a value it is a formula"
    assert invoke("digits-mlp", "--size", "tiny", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["problem"], document["size"]) == ("digits-mlp", "tiny")
    assert set(document["trace"]["gradient"]) >= {"w1", "b1", "w2", "b2"}
    assert invoke("baydin", "--code") == 0
    assert 'return v6, {"x1": dx1, "x2": dx2}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits-cn"], "no value for digits, cn; add digits=1 cn=1, for example; or is it the problem 'digits-cnn'"),
        (["digits-cnn", "x=1"], "the problem 'digits-cnn' has its own data and takes no values"),
        (["digits-cn", "--size", "small"], "there is no problem 'digits-cn' (did you mean 'digits-cnn'?)"),
        (["digits-cnn", "--size", "smal"], "problem 'digits-cnn' has no size 'smal' (did you mean 'small'?)"),
        (["x*y", "x=1", "y=1", "--size", "small"], "--size goes with the name of a problem, which takes no values"),
        (["x*x", "x=1", "--html", "/nowhere/graph.html"], "the drawing cannot be written to /nowhere/graph.html: "),
        (["x*x", "x=1", "--html", "a.html", "--code"], "which goes with neither --seed nor --html"),
        (["digits-cnn", "--seed", "k"], "there is no input 'k' to differentiate by (did you mean 'k1'?)"),
    ],
)
def test_command_refuses_with_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("difflab: ")
    assert message in shown.err


def test_help_tells_of_drawings(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "difflab trace digits-cnn --size tiny --html cnn.html" in text
    assert "--html FILE" in text
