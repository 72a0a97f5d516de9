"""The method of differentials: gradients of matrix expressions, found without reverse mode and equal to its."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from differential_answers import expect_reverse, found_for, lines
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from latex_reader import computed
from matrix_losses import loss_of, programs
from test_latex_formulas import SIZES, expect_text, near

import difflab as dl
from difflab import nn
from difflab.calls import bind
from difflab.containers import flatten
from difflab.errors import InputError, UnsupportedError
from difflab.problems import PROBLEMS
from difflab.walk.differentials.derivation import derivation_text
from difflab.walk.differentials.formulas import matrix_formulas
from difflab.walk.differentials.links import chained
from difflab.walk.differentials.rules import Rules
from difflab.walk.latex.algebra import Algebra
from difflab.walk.latex.collected import Formulas
from difflab.walk.latex.formulas import formulas
from difflab.walk.latex.symbols import symbols
from difflab.walk.latex.term_values import evaluate
from difflab.walk.latex.terms import Name, ordered
from difflab.walk.latex.text import latex_text

EXCUSED = {
    "cnn": "max_pool",
    "digits-cnn": "max_pool",
    "toeplitz-cnn": "windows",
    "alexnet": "max_pool",
}
"""Problems that are no matrix expressions, for they convolve and pool, with the primitive that is refused."""
MATRICES = [(name, size) for name, size in SIZES if name not in EXCUSED]
IN_WORDS = {"toeplitz-matrices", "inpainting"}
"""Problems whose formulas index, reshape and join arrays by functions with a name, which the reader of LaTeX lacks."""


def problem_lines(name: str, size: str = "tiny") -> list[str]:
    instance = PROBLEMS[name].build(size, "float64", 0)
    return lines(instance.loss, *instance.args)


# ---------------------------------------------------------------------------- every problem


@pytest.mark.parametrize(("name", "size"), MATRICES)
def test_the_formulas_of_every_matrix_problem_are_its_gradient(name: str, size: str) -> None:
    instance = PROBLEMS[name].build(size, "float64", 1)
    made = expect_reverse(instance.loss, instance.args)
    _, leaves = found_for(instance.loss, instance.args)
    if name in IN_WORDS:
        with pytest.raises(ValueError, match="meaning"):
            expect_text(made, leaves)
    else:
        expect_text(made, leaves)


@pytest.mark.parametrize(("name", "size"), MATRICES)
def test_and_the_gradient_derived_by_hand(name: str, size: str) -> None:
    instance = PROBLEMS[name].build(size, "float64", 2)
    assert instance.analytic is not None
    value, gradient = instance.analytic(*instance.args)
    made, leaves = found_for(instance.loss, instance.args)
    found, slopes = made.evaluate(leaves)
    assert near(np.asarray(found), value)
    assert all(near(slope, expected) for slope, expected in zip(slopes, flatten(gradient)[0], strict=True))


@pytest.mark.parametrize("name", EXCUSED)
def test_what_is_no_matrix_expression_is_refused_in_a_sentence(name: str) -> None:
    instance = PROBLEMS[name].build("tiny", "float64", 0)
    sentence = rf"no rule for {EXCUSED[name]}, in v\d+ = {EXCUSED[name]}\(.*equation \d+ of the trace; use to_latex\(by"
    with pytest.raises(UnsupportedError, match=sentence):
        dl.trace(instance.loss, *instance.args).to_latex(by="differentials")


def test_only_the_two_ways_exist() -> None:
    with pytest.raises(InputError, match=r"by='adjoint'.*'reverse' or 'differentials'"):
        dl.trace(lambda x: x * x, 2.0).to_latex(by="adjoint")


# ---------------------------------------------------------------------------- the texts of the issue


RANDOM = np.random.default_rng(0)
X, Y, W, T = (RANDOM.normal(size=shape) for shape in ((97, 4), (97,), (4, 3), (97, 3)))


def test_least_squares() -> None:
    assert lines(lambda w, X, y: np.mean((X @ w - y) ** 2), np.ones(4), X, Y) == [
        "N = 97",
        r"L = \frac{1}{N} \lVert X w - y \rVert^2",
        r"\frac{\partial L}{\partial w} = \frac{2}{N} X^\top (X w - y)",
    ]


def test_two_layers() -> None:
    assert problem_lines("two-layer")[-3:] == [
        r"\frac{\partial L}{\partial W_1} = 2 X^\top ((A_2 W_2^\top) \odot [A_1 > 0])",
        r"\frac{\partial L}{\partial W_2} = 2 O_1^\top A_2",
        r"[a > b] = \tfrac{1}{2} \text{ where } a = b",
    ]


def test_softmax_regression() -> None:
    loss = lambda W, X, T: np.mean(nn.logsumexp(X @ W, axis=1) - np.sum(T * (X @ W), axis=1))  # noqa: E731 (one line)
    assert lines(loss, W, X, T)[3:] == [
        r"S = \operatorname{softmax}(A)",
        r"\frac{\partial L}{\partial W} = \frac{1}{N} X^\top (S - T)",
        r"\operatorname{softmax}, \operatorname{logsumexp} : \text{of each row}",
    ]


def test_the_deltas_of_xor() -> None:
    assert problem_lines("xor")[7:16] == [
        r"\Delta_3 = 2 \sigma'(A_3) \odot R",
        r"\Delta_2 = \sigma'(A_2) \odot (\Delta_3 W_3^\top)",
        r"\Delta_1 = \sigma'(A_1) \odot (\Delta_2 W_2^\top)",
        *[rf"\frac{{\partial L}}{{\partial b_{k}}} = \Delta_{k}^\top \mathbf{{1}}" for k in (1, 2, 3)],
        r"\frac{\partial L}{\partial W_1} = X^\top \Delta_1",
        r"\frac{\partial L}{\partial W_2} = O_1^\top \Delta_2",
        r"\frac{\partial L}{\partial W_3} = O_2^\top \Delta_3",
    ]


@pytest.mark.parametrize(
    ("loss", "args", "gradient"),
    [
        (lambda w, A, c: 0.5 * w @ A @ w - c @ w, (W[:3, 0], W[:3], W[0]), r"\frac{1}{2} (A + A^\top) w - c"),
        (lambda W, A: np.trace(W.T @ A @ W), (W, np.ones((4, 4))), r"(A + A^\top) W"),
        (
            lambda A, c: c @ np.linalg.solve(A, c),
            (np.eye(3) * 2, np.ones(3)),
            r"-A^{-\top} c c^\top A^{-\top}",
        ),
        (lambda A: np.linalg.slogdet(A)[1], (np.eye(3) * 2,), r"A^{-\top}"),
        (lambda A: np.linalg.det(A), (W[:3],), r"\operatorname{det-derivative}(A)"),
        (
            lambda w, A, c: c @ nn.softmax(A @ w),
            (W[0], np.eye(3), W[1]),
            r"A^\top (s \odot (c - s^\top c \mathbf{1}))",
        ),
    ],
)
def test_gradients_of_the_matrix_cookbook(loss: Callable[..., Any], args: tuple, gradient: str) -> None:
    expect_reverse(loss, args)
    (found,) = [line for line in lines(loss, *args) if r"\partial" in line]
    assert found.split(" = ", 1)[1] == gradient


# ---------------------------------------------------------------------------- random expressions


def random_arguments(rows: int, columns: int, seed: int) -> tuple[np.ndarray, ...]:
    """Arguments of a random loss, of shapes down to one element."""
    random = np.random.default_rng(seed)
    shapes = (columns,), (columns, columns), (rows, columns), (rows,), ()
    return tuple([np.asarray(random.normal(size=shape)) for shape in shapes])


@settings(max_examples=200, deadline=None)
@given(programs, st.integers(1, 4), st.integers(1, 4), st.integers(0, 5))
@example([("along", 11, 1, 0), ("one", 6, 2, 0)], 4, 3, 0)
def test_random_expressions_of_random_shapes(steps: list, rows: int, columns: int, seed: int) -> None:
    """Against forward mode: the derivative along a direction is the inner product with the gradient."""
    loss, args = loss_of(steps), random_arguments(rows, columns, seed)
    tangents = random_arguments(rows, columns, seed + 100)
    with np.errstate(all="ignore"):
        value, slope = dl.jvp(loss, args, tangents)
    assume(np.isfinite(value) and abs(slope) < 1e6)
    made, leaves = found_for(loss, args, (0, 1, 2, 3, 4))
    found, gradient = made.evaluate(leaves)
    assume(all(np.max(np.abs(part), initial=0.0) < 1e6 for part in gradient))
    assert near(np.asarray(found), value, 1e-11)
    along_it = sum(float(part.ravel() @ tangent.ravel()) for part, tangent in zip(gradient, tangents, strict=True))
    scale = sum(float(np.sum(np.abs(part.ravel() * t.ravel()))) for part, t in zip(gradient, tangents, strict=True))
    assert abs(along_it - slope) <= 1e-10 * max(1.0, scale)
    if r"\operatorname{max}" not in latex_text(made):  # of an array, which the reader of LaTeX does not know
        expect_text(made, leaves, 1e-10)


@settings(max_examples=100, deadline=None)
@given(programs, st.integers(0, 5))
def test_the_differential_itself_is_the_derivative_along_a_direction(steps: list, seed: int) -> None:
    """Before anything is identified: numbers for the dX in the chains of every formula, one after the other."""
    loss, args = loss_of(steps), random_arguments(4, 3, seed)
    tangents = random_arguments(4, 3, seed + 100)
    with np.errstate(all="ignore"):
        value, slope = dl.jvp(loss, args, tangents)
    assume(np.isfinite(value) and abs(slope) < 1e6)
    made, leaves = found_for(loss, args, (0, 1, 2, 3, 4))
    algebra = Algebra()
    rules = Rules(algebra, made.arguments, lambda term: "in a test")
    values: dict[Name, Any] = {name: leaves[name.key[1]] for name in made.arguments}
    moved = {name: np.reshape(tangents[name.key[1]], name.shape) for name in made.arguments}
    values |= {**made.lengths, **made.constants}
    total = np.zeros((1, 1))
    for name, formula in [*made.definitions.items(), (None, made.loss)]:
        if name in made.late:
            continue
        total = np.zeros(formula.shape)
        for chain, of in rules.differential(formula):
            assert isinstance(of, Name)
            d = algebra.name(("differential", len(algebra.known)), of.shape, of.rank)
            total = total + evaluate([chained(algebra, chain, d)], {**values, d: moved[of]}, {})[0]
        if name is not None:
            rules.declare(name, formula)
            moved[name], values[name] = total, evaluate([formula], values, {})[0]
    assert abs(total.item() - slope) <= 1e-9 * max(1.0, abs(slope), *[float(np.max(np.abs(m))) for m in moved.values()])


IN_SIGNS = [name for name in PROBLEMS if name not in {*EXCUSED, *IN_WORDS, "mlp-activations"}]


@pytest.mark.parametrize("name", IN_SIGNS)
def test_the_differentials_that_are_printed_are_the_derivative_along_a_direction(name: str) -> None:
    """The LaTeX is read again: first the formulas, then the differentials of what they define."""
    instance = PROBLEMS[name].build("tiny", "float64", 0)
    made, leaves = found_for(instance.loss, instance.args)
    names, loss = symbols(made)
    random = np.random.default_rng(1)
    tangents = {one: random.normal(size=np.shape(leaves[one.key[1]])) for one, _ in made.gradient}
    given_values = {names[one]: leaves[one.key[1]] for one in made.arguments}
    values = computed(latex_text(made), given_values | {names[one]: value for one, value in made.constants.items()})
    text = re.sub(r"\\mathrm\{d\}(\\[a-z]+|[A-Za-z])", r"\\mathrm{d\1}", derivation_text(made))
    moved = {re.sub(r"^(\\[a-z]+|[A-Za-z])", r"\\mathrm{d\1}", names[one]): t for one, t in tangents.items()}
    found = computed(text, values | moved)[rf"\mathrm{{d{loss}}}"]
    _, gradient = made.evaluate(leaves)
    expected = sum(
        float(np.sum(part * np.reshape(tangents[one], part.shape)))
        for (one, _), part in zip(made.gradient, gradient, strict=True)
    )
    assert found.item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_what_does_not_move_has_the_differential_zero() -> None:
    made, _ = found_for(lambda x, y: np.sum(y), (np.ones(2), np.ones(3)))
    assert derivation_text(made).splitlines()[1] == r"  \mathrm{d}L &= 0"


@pytest.mark.parametrize(("name", "size"), MATRICES)
def test_every_name_is_defined_before_it_is_used(name: str, size: str) -> None:
    instance = PROBLEMS[name].build(size, "float64", 0)
    made, _ = found_for(instance.loss, instance.args)
    known = {*made.arguments, *made.lengths, *made.constants}
    for one, formula in made.definitions.items():
        assert {term for term in ordered([formula]) if isinstance(term, Name)} <= known, one
        known.add(one)
    assert {term for term in ordered([made.loss]) if isinstance(term, Name)} <= known - made.late
    for _, formula in made.gradient:
        assert {term for term in ordered([formula]) if isinstance(term, Name)} <= known
    shown = symbols(made)[0]
    assert len(set(shown.values())) == len(shown)


def test_single_precision_has_the_same_formulas() -> None:
    for name in ("two-layer", "digits-mlp"):
        narrow, wide = (PROBLEMS[name].build("tiny", dtype, 0) for dtype in ("float32", "float64"))
        texts = [dl.trace(one.loss, *one.args).to_latex(by="differentials") for one in (narrow, wide)]
        assert texts[0] == texts[1]


# ---------------------------------------------------------------------------- how much it takes, and from where


def size_of(made: Formulas) -> int:
    """Terms in all formulas together."""
    formulas = (made.loss, *made.definitions.values(), *[formula for _, formula in made.gradient])
    return sum(len(list(ordered([formula]))) for formula in formulas)


@pytest.mark.parametrize(("name", "depths"), [("deep-mlp", (4, 6, 8, 16, 32)), ("deep-layers", (4, 8, 16, 32, 64))])
def test_formulas_grow_linearly_over_depth(name: str, depths: tuple[int, ...]) -> None:
    sizes = []
    for depth in depths:
        instance = PROBLEMS[name].build(f"depth-{depth}", "float64", 0)
        sizes.append(size_of(found_for(instance.loss, instance.args)[0]))
    each = (sizes[1] - sizes[0]) / (depths[1] - depths[0])
    assert sizes == [sizes[0] + each * (depth - depths[0]) for depth in depths]


def test_a_value_that_is_used_twice_everywhere_is_no_tree() -> None:
    """h = tanh(h) + h h: two ways through each step, 2^k of them through k."""

    def loss(x: Any, steps: int) -> Any:
        for _ in range(steps):
            x = np.tanh(x) + x * x / 4.0
        return np.sum(x)

    sizes = [size_of(found_for(lambda x, k=k: loss(x, k), (np.array([0.1, 0.2, 0.3]),))[0]) for k in (4, 8, 16, 32)]
    assert sizes[3] - sizes[2] <= 2.2 * (sizes[2] - sizes[1])
    expect_reverse(lambda x: loss(x, 32), (np.array([0.1, 0.2, 0.3]),))


PACKAGE = Path(dl.__file__).parent


def imported(path: Path) -> set[str]:
    """The modules that a file imports, by their names from the package on."""
    found = set()
    base = path.relative_to(PACKAGE).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            start = base[: len(base) - node.level] if node.level else ("",)
            module = (*start, *(node.module or "").split(".")) if node.module else start
            found.add(".".join(filter(None, module)))
            found |= {".".join([*filter(None, module), alias.name]) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_module_of_it_knows_the_transforms() -> None:
    """Nor does any module of ``walk`` that it uses: the files are read, one import after the other."""
    waiting = sorted((PACKAGE / "walk" / "differentials").glob("*.py"))
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in imported(path):
            parts = name.split(".")
            assert parts[0] != "transforms", (path, name)
            assert parts[:2] != ["walk", "mirror"], (path, name)
            file = PACKAGE.joinpath(*parts).with_suffix(".py")
            if parts[0] == "walk" and file.exists():
                waiting.append(file)
    assert {"links.py", "rules.py", "reading.py", "algebra.py"} <= {path.name for path in seen}


def test_it_needs_neither_reverse_mode_nor_any_rule_of_a_primitive(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the sweep of reverse mode and all pullbacks and tangents of primitives broken, the formulas are the same."""
    instance = PROBLEMS["xor"].build("tiny", "float64", 0)
    tape = dl.trace(instance.loss, *instance.args).tape
    bound = bind(instance.loss, instance.args, {}, 0)
    before = latex_text(matrix_formulas(instance.loss, tape, bound))

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a rule was asked")

    equations = [one._replace(primitive=replace(one.primitive, vjp=broken, jvp=broken)) for one in tape.equations]
    ruleless = replace(tape, equations=tuple(equations))
    with pytest.raises(AssertionError, match="a rule was asked"):
        formulas(instance.loss, ruleless, bound)
    for module in ("difflab.transforms.reverse", "difflab.walk.mirror"):
        monkeypatch.setattr(f"{module}.sweep", broken)
    with pytest.raises(AssertionError, match="a rule was asked"):
        formulas(instance.loss, tape, bound)
    assert latex_text(matrix_formulas(instance.loss, ruleless, bound)) == before
