"""``difflab formulas``: what it prints, and what it says to bad input."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from difflab.cli.app import app
from difflab.cli.formulas import TEXTS
from difflab.errors import InputError


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["formulas", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_formula_in_latex() -> None:
    assert printed("x*y + sin(x)", "x=1", "y=2").splitlines() == [
        r"f = x y + \sin{\left(x \right)}",
        r"\frac{\partial f}{\partial x} = y + \cos{\left(x \right)}",
        r"\frac{\partial f}{\partial y} = x",
    ]


@pytest.mark.parametrize("way", ["dag", "tree"])
@pytest.mark.parametrize("form", TEXTS)
def test_every_form_of_every_way_of_a_problem(form: str, way: str) -> None:
    text = printed("logistic", "--as", form, "--way", way)
    assert {"latex": r"\frac{\partial f}{\partial w_{1}}", "srepr": "Symbol('w_1')", "c": "void program("}.get(
        form, "def program(b, w_1, w_2, w_3"
    ) in text


def test_json_has_counts_and_times() -> None:
    found = json.loads(printed("xor", "--way", "tree", "--as", "python", "--json"))
    assert (found["problem"], found["as"], found["n_symbols"]) == ("xor", "python", 31)
    assert found["symbolic_ops_value"] == 1059
    assert found["symbolic_ops_gradient"] == 113_789
    assert {"build_s", "diff_s", "compile_s"} <= set(found)
    assert "def program(" in found["text"]


def test_data_as_symbols_stand_in_the_formula() -> None:
    assert "x_{1,1}" in printed("least-squares", "--data", "symbols").lower()
    assert "x_{1,1}" not in printed("least-squares").lower()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x", "x=1", "--as", "fortran"], "--as fortran: formulas are printed as latex, srepr, python"),
        (["x", "x=1", "--way", "twig"], "way is one of auto, dag, tree"),
        (["x", "x=1", "--data", "guesses"], "data is one of numbers, symbols"),
        (["x +", "x=1"], "x +"),
        (["xor", "--size", "enormous"], "enormous"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["formulas", *arguments])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
