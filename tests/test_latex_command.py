"""``difflab trace --latex``: formulas of an expression and of a problem, and what the flag does not go with."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from difflab.cli.app import app
from difflab.errors import InputError

RUNNER = CliRunner()


def test_an_expression_as_formulas() -> None:
    result = RUNNER.invoke(app, ["trace", "log(x1)+x1*x2-sin(x2)", "x1=2", "x2=5", "--latex"])
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        r"\begin{aligned}",
        r"  L &= \log(x_1) + x_1 x_2 - \sin(x_2) \\",
        r"  \frac{\partial L}{\partial x_1} &= \frac{1}{x_1} + x_2 \\",
        r"  \frac{\partial L}{\partial x_2} &= x_1 - \cos(x_2)",
        r"\end{aligned}",
    ]


def test_greek_letters_are_written_by_their_names() -> None:
    result = RUNNER.invoke(app, ["trace", "β*λ1 + Σ + größe", "β=2", "λ1=3", "Σ=1", "größe=1", "--latex"])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[1] == r"  L &= \beta \lambda_1 + \Sigma + \mathrm{größe} \\"
    assert lines[2] == r"  \frac{\partial L}{\partial \beta} &= \lambda_1 \\"


def test_a_problem_as_formulas() -> None:
    result = RUNNER.invoke(app, ["trace", "least-squares", "--latex"])
    assert result.exit_code == 0
    assert r"\frac{2}{N} X^\top (X w - y)" in result.output


@pytest.mark.parametrize("other", [["--code"], ["--seed", "x"], ["--html", "page.html"]])
def test_formulas_go_with_no_other_form(other: list[str]) -> None:
    result = RUNNER.invoke(app, ["trace", "x*x", "x=2", "--latex", *other])
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("--latex prints formulas")
