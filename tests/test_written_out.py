"""Entries of a gradient written out beside the matrix formula: names, numbers, counts, and text of bounded length."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser
from typer.testing import CliRunner

import difflab as dl
from difflab.backends.symbolic import Symbolic
from difflab.calls import bind
from difflab.cli.app import app
from difflab.containers import flatten
from difflab.errors import ForecastError, InputError
from difflab.execution.expressions import count_operations
from difflab.problems import PROBLEMS
from difflab.walk.differentials.formulas import matrix_formulas
from difflab.walk.latex.symbols import symbols
from difflab.walk.shortened import DOTS, WIDEST, shortened
from difflab.walk.written_out import Entries, entries, entry_names

RUNNER = CliRunner()


def written(loss: Any, args: tuple, argnums: Any = 0) -> tuple[list[Entries], dict[str, float]]:
    """The entries, and the number that every symbol stands for."""
    trace, bound = dl.trace(loss, *args), bind(loss, args, {}, argnums)
    made = matrix_formulas(loss, trace.tape, bound)
    names = {name.key[1]: text for name, text in symbols(made)[0].items() if name.key[0] == "input"}
    values: dict[str, float] = {}
    for place, leaf in enumerate(bound.leaves):
        if place in names:
            values |= dict(zip(entry_names(names[place], np.shape(leaf)), np.ravel(leaf).tolist(), strict=True))
    return entries(loss, trace.tape, bound, bound.leaves, made), values


def number_of(node: Any, values: dict[str, float], known: dict[Any, float]) -> float:
    """The number that an expression stands for, every distinct part of it computed once."""
    if node not in known:
        if node.is_Symbol:
            known[node] = values[node.name]
        elif node.is_Piecewise:
            for value, condition in node.args:
                sides = [sympy.Float(number_of(side, values, known)) for side in condition.args]
                if condition == sympy.true or bool(condition.func(*sides)):
                    known[node] = number_of(value, values, known)
                    break
        elif node.args:
            parts = [sympy.Float(number_of(part, values, known)) for part in node.args]
            known[node] = float(node.func(*parts).evalf())
        else:
            known[node] = float(node)
    return known[node]


@pytest.mark.parametrize(
    "name", ["least-squares", "two-layer", "logistic", "hinge", "norm-squared", "deep-mlp", "plane"]
)
def test_the_expansion_is_the_gradient(name: str) -> None:
    instance = PROBLEMS[name].build("tiny", "float64", 0)
    found, values = written(instance.loss, instance.args)
    gradient = flatten(dl.gradient(instance.loss)(*instance.args))[0]
    for own, expected in zip(found, gradient, strict=True):
        assert len(own.names) == np.size(expected)
        for entry, derivative in zip(np.ravel(expected), own.derivatives, strict=True):
            assert number_of(derivative, values, {}) == pytest.approx(entry, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("name", ["least-squares", "xor", "two-layer", "mlp"])
def test_operations_are_those_that_the_symbolic_backend_counts(name: str) -> None:
    instance = PROBLEMS[name].build("tiny", "float64", 0)
    found, _ = written(instance.loss, instance.args)
    prepared = dl.prepare(instance.loss, *instance.args, backend=Symbolic(way="tree", data="symbols"))
    total = sum(count_operations(own.derivatives) for own in found)
    assert total == prepared.stats["symbolic_ops_gradient"]
    said = dl.trace(instance.loss, *instance.args).to_expanded_latex()
    numbers = [int(text.replace(",", "")) for text in re.findall(r"(?:entries: |\()([\d,]+) operations[^;]*?\)", said)]
    assert sum(numbers) == total


def test_least_squares_word_for_word() -> None:
    loss = lambda w, X, y: np.mean((X @ w - y) ** 2)  # noqa: E731 (one line)
    text = dl.trace(loss, np.ones(2), np.ones((3, 2)), np.ones(3)).to_expanded_latex()
    formulas, derivation, entry = text.split("\n\n")
    assert formulas == dl.trace(loss, np.ones(2), np.ones((3, 2)), np.ones(3)).to_latex(by="differentials")
    assert derivation.splitlines()[1] == r"  \mathrm{d}L &= \frac{2}{N} (X w - y)^\top X \mathrm{d}w"
    inside = [rf"w_{{1}} x_{{{k},1}} + w_{{2}} x_{{{k},2}} - y_{{{k}}}" for k in (1, 2, 3)]
    summands = [rf"\frac{{2 x_{{{k},1}} \left({inner}\right)}}{{3}}" for k, inner in enumerate(inside, start=1)]
    assert entry.splitlines() == [
        r"\begin{aligned}",
        r"  \frac{\partial L}{\partial w} &= \frac{2}{N} X^\top (X w - y) \\",
        rf"  \frac{{\partial L}}{{\partial w_{{1}}}} &= {' + '.join(summands)} \\",
        r"  &\quad \text{(23 operations; all 2 entries: 46 operations)}",
        r"\end{aligned}",
    ]


def test_another_entry_and_another_argument() -> None:
    trace = dl.trace(lambda w, a: np.sum((w - a) ** 2), np.ones(2), np.ones(2))
    assert r"\frac{\partial L}{\partial w_{2}} &= - 2 a_{2} + 2 w_{2}" in trace.to_expanded_latex(entry=1)
    both = trace.to_expanded_latex(argnums=(0, 1), entry=99)
    assert r"\partial w_{2}} &= - 2 a_{2} + 2 w_{2}" in both
    assert r"\partial a_{2}} &= 2 a_{2} - 2 w_{2}" in both
    assert both.count(r"\begin{aligned}") == 4
    with pytest.raises(InputError, match="entry=-1: entries are counted from 0"):
        trace.to_expanded_latex(entry=-1)


@pytest.mark.parametrize("name", ["least-squares", "xor", "logistic", "mlp-activations", "norm-squared", "deep-mlp"])
def test_every_line_can_be_set(name: str) -> None:
    """Matplotlib reads the mathematics of LaTeX, all but cases and the signs of norms."""
    instance = PROBLEMS[name].build("tiny", "float64", 0)
    parser = MathTextParser("path")
    for line in dl.trace(instance.loss, *instance.args).to_expanded_latex().splitlines():
        if "aligned" not in line and line:
            plain = (
                line.strip().removesuffix(r"\\").replace("&", "").replace(r"\lVert", r"\|").replace(r"\rVert", r"\|")
            )
            parser.parse(f"${plain}$")


@pytest.mark.parametrize("name", ["xor", "mlp", "hinge", "digits-mlp", "mlp-activations"])
def test_long_entries_are_cut_with_dots(name: str) -> None:
    instance = PROBLEMS[name].build("tiny", "float64", 0)
    text = dl.trace(instance.loss, *instance.args).to_expanded_latex()
    rows = [line for line in text.splitlines() if re.search(r"\\partial [a-z](\^\{.*?\})?_\{\d", line)]
    assert rows
    for row in rows:
        right = row.split("&= ", 1)[1].removesuffix(r" \\")
        assert len(right) <= WIDEST
        assert right.count("{") == right.count("}")
        assert right.count(r"\left") == right.count(r"\right")
        assert right != DOTS
    assert sum(DOTS in row for row in rows) == text.count("not all of them printed")
    assert any(DOTS in row for row in rows)


x = sympy.symbols("x_1:6")
leaves = st.sampled_from([*x, sympy.Integer(2), sympy.Rational(1, 3), sympy.Rational(1, 2**40)])
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=5).map(lambda parts: sympy.Add(*parts)),
        st.lists(inner, min_size=2, max_size=4).map(lambda parts: sympy.Mul(*parts)),
        inner.map(sympy.sin),
        inner.map(lambda part: part**2),
    ),
    max_leaves=60,
)


@settings(max_examples=100, deadline=None)
@given(trees, st.integers(20, 200))
def test_text_is_never_longer_than_asked_and_its_braces_match(tree: Any, widest: int) -> None:
    text, cut = shortened(tree, widest)
    assert len(text) <= widest
    assert cut == (DOTS in text)
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")


def test_names_of_entries() -> None:
    assert entry_names("W_{1,2}", (1, 2)) == ["w^{(1,2)}_{1,1}", "w^{(1,2)}_{1,2}"]
    assert entry_names(r"W_{\mathrm{out}}", (1,)) == [r"w^{(\mathrm{out})}_{1}"]
    assert entry_names(r"\Delta", (1, 1)) == [r"\delta_{1,1}"]
    assert entry_names(r"\hat{Y}", (2,)) == [r"\hat{y}_{1}", r"\hat{y}_{2}"]
    assert entry_names("X'", (1,)) == ["x'_{1}"]


def test_arguments_keep_apart_though_their_letters_are_one() -> None:
    """x and X are both matrices: the letters of the second get a mark."""
    loss = lambda p: np.sum(p["x"] @ p["X"])  # noqa: E731 (one line)
    found, _ = written(loss, ({"x": np.ones((2, 2)), "X": np.ones((2, 2))},))
    names = [name for own in found for name in own.names]
    assert len(set(names)) == len(names) == 8


def test_integers_are_numbers_and_need_data() -> None:
    loss = lambda w, k: np.sum(w[k] ** 2)  # noqa: E731 (one line)
    text = dl.trace(loss, np.ones(3), np.array([2, 2])).to_expanded_latex(entry=2)
    assert r"\frac{\partial L}{\partial w_{3}} &= 4 w_{3}" in text
    with pytest.raises(InputError, match="integers, whose values"):
        dl.trace(loss, np.ones(3), dl.Shape((2,), "int64")).to_expanded_latex()


def test_shapes_without_data_are_enough_for_floats() -> None:
    loss = lambda w, a: np.sum(np.sin(w * a))  # noqa: E731 (one line)
    shape = dl.Shape((2,), "float64")
    assert (
        dl.trace(loss, shape, shape).to_expanded_latex() == dl.trace(loss, np.ones(2), np.ones(2)).to_expanded_latex()
    )


def test_what_would_not_end_is_refused_with_the_figure() -> None:
    instance = PROBLEMS["digits-mlp"].build("medium", "float64", 0)
    with pytest.raises(ForecastError, match=r"2410 symbols gives about .* operations"):
        dl.trace(instance.loss, *instance.args).to_expanded_latex()


# ---------------------------------------------------------------------------- the command


def test_the_command_prints_formulas_differentials_and_entries() -> None:
    result = RUNNER.invoke(app, ["trace", "xor", "--latex", "--expanded"])
    assert result.exit_code == 0
    assert r"\Delta_2 &= \sigma'(A_2) \odot (\Delta_3 W_3^\top)" in result.output
    assert r"\mathrm{d}A_2 &= \mathrm{d}O_1 W_2 + O_1 \mathrm{d}W_2 + \mathbf{1} \mathrm{d}b_2^\top" in result.output
    assert r"\frac{\partial L}{\partial w^{(1)}_{1,1}} &= " in result.output
    assert re.search(r"[\d,]+ operations, not all of them printed; all 8 entries: [\d,]+ operations", result.output)


def test_an_expression_beside_itself() -> None:
    result = RUNNER.invoke(app, ["trace", "x1*x2+sin(x1)", "x1=2", "x2=3", "--latex", "--expanded"])
    assert r"\frac{\partial L}{\partial x_1} &= x_{2} + \cos{\left(x_{1} \right)}" in result.output


def test_expanded_goes_with_latex_only() -> None:
    result = RUNNER.invoke(app, ["trace", "x*x", "x=2", "--expanded"])
    assert isinstance(result.exception, InputError)
    assert "give both" in str(result.exception)
