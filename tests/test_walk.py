"""The evaluation trace: what every line holds, in numbers and in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab import nn
from difflab.errors import InputError
from difflab.walk.columns import walk
from difflab.walk.expression import parse
from difflab.walk.rows import Row, Walk

BAYDIN = "log(x1)+x1*x2-sin(x2)"
NEURON = "1/(1+exp(-(w0*x0+w1*x1+w2)))"
AT = {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0}


def walked(text: str, seed: str | None = None, /, **values: float) -> Walk:
    found = parse(text)
    return walk(found.function, *[values[name] for name in found.names], tangent=seed)


def by_name(found: Walk) -> dict[str, Row]:
    return {row.name: row for row in found.rows}


def gates(text: str, **values: float) -> list[str]:
    return [row.gate for row in walked(text, **values).rows if row.formula != "input"]


# ---------------------------------------------------------------------------- the lecture's tables


def test_baydin_is_the_table_of_the_lecture_line_by_line() -> None:
    found = walked(BAYDIN, x1=2.0, x2=5.0)
    assert [(row.name, row.formula) for row in found.rows] == [
        ("x1", "input"),
        ("x2", "input"),
        ("v1", "log(x1)"),
        ("v2", "x1 * x2"),
        ("v3", "sin(x2)"),
        ("v4", "v1 + v2"),
        ("v5", "v4 - v3"),
    ]
    ln, sine, cosine = math.log(2), math.sin(5), math.cos(5)
    assert [row.primal.item() for row in found.rows] == pytest.approx([2, 5, ln, 10, sine, ln + 10, ln + 10 - sine])
    assert [row.tangent.item() for row in found.rows if row.tangent is not None] == [1, 0, 0.5, 5, 0, 5.5, 5.5]
    adjoints = [row.adjoint.item() for row in found.rows if row.adjoint is not None]
    assert adjoints == pytest.approx([5.5, 2 - cosine, 1, 1, -1, 1, 1])
    assert found.value.round(3) == 11.652
    assert found.gradient["x2"].round(3) == 1.716


def test_baydin_seeded_by_the_other_input() -> None:
    found = walked(BAYDIN, "x2", x1=2.0, x2=5.0)
    tangents = [row.tangent.item() for row in found.rows if row.tangent is not None]
    cosine = math.cos(5)
    assert tangents == pytest.approx([0, 1, 0, 2, cosine, 2, 2 - cosine])
    assert found.slope == pytest.approx(found.gradient["x2"])


def test_neuron_as_elementary_gates_and_as_one_gate_gives_the_same_numbers() -> None:
    gradients = {"w0": -0.197, "x0": 0.393, "w1": -0.393, "x1": -0.590, "w2": 0.197}
    elementary, single = walked(NEURON, **AT), walked("sigmoid(w0*x0+w1*x1+w2)", **AT)
    for found in (elementary, single):
        assert found.value.round(3) == 0.731
        assert {name: slope.round(3) for name, slope in found.gradient.items()} == gradients
    lines = by_name(elementary)
    assert [lines[f"v{k}"].formula for k in range(1, 9)] == [
        "w0 * x0", "w1 * x1", "v1 + v2", "v3 + w2", "-v4", "exp(v5)", "1 + v6", "1 / v7",
    ]  # fmt: skip
    upward = [row.adjoint.round(2) for row in reversed(elementary.rows) if row.adjoint is not None][:5]
    assert upward == [1.0, -0.53, -0.53, -0.2, 0.2]


def test_one_neuron_network_reuses_its_intermediate_results() -> None:
    found = walked("1/2*(w2*max(0,w1*x)-y)^2", w1=3.0, x=5.0, w2=2.0, y=22.0)
    assert found.symbol == "f", "an input is called y"
    lines = {row.formula: row for row in found.rows}
    adjoints = {what: lines[what].adjoint for what in ("w2 * v2", "max(0, v1)", "w1 * x")}
    assert (found.value, adjoints) == (32, {"w2 * v2": 8, "max(0, v1)": 16, "w1 * x": 16})
    assert (found.gradient["w1"], found.gradient["w2"]) == (80, 120)
    assert "max routes to v1" in str(found)


def test_gates_of_sum_and_product() -> None:
    found = walked("(x+y)*z", x=-2.0, y=5.0, z=-4.0)
    assert (found.value, found.gradient) == (-12, {"x": -4, "y": -4, "z": 3})
    assert gates("(x+y)*z", x=-2.0, y=5.0, z=-4.0) == ["add distributes", "multiply swaps"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x*3", "scales by 3"),
        ("3-x", "scales by -1"),
        ("x+3", "passes on"),
        ("x*x", "multiply swaps"),
        ("x/3", "scales by 1/3"),
        ("x^3", "scales by 3 x ** 2"),
        ("2^x", "scales by v1 log(2)"),
        ("max(x,1)", "max routes to x"),
        ("min(x,1)", "min routes to 1"),
        ("max(x,2)", "max routes: a tie, both get half"),
        ("relu(x)", "relu routes: passes"),
        ("relu(-x)", "relu routes: stops"),
        ("exp(x)", "scales by v1"),
    ],
)
def test_what_a_gate_does_is_said_in_words(text: str, said: str) -> None:
    assert gates(text, x=2.0)[-1] == said


def test_gates_that_only_move_numbers_say_where_gradients_go() -> None:
    image = np.arange(16.0).reshape(1, 4, 4, 1)
    cases = {
        "adds where windows overlap": lambda x: nn.conv2d(x, np.ones((3, 3, 1, 1))).sum(),
        "routes to the part that was cut out": lambda x: x[0, 1:3].sum(),
    }
    for said, function in cases.items():
        found = {row.gate for row in walk(function, image).rows}
        assert said in found
        assert "scales by its slope" not in found


def test_value_that_is_read_twice_adds() -> None:
    found = walked("sin(x)*sin(x)+x", x=1.0)
    assert by_name(found)["x"].gate == "copy adds (3 uses)"
    assert found.gradient["x"] == pytest.approx(2 * math.sin(1) * math.cos(1) + 1)


SLOPES = [
    "log(x)", "exp(x)", "log1p(x)", "expm1(x)", "sqrt(x)", "abs(-x)", "sin(x)", "cos(x)", "tan(x)", "arcsin(x)",
    "arccos(x)", "arctan(x)", "sinh(x)", "cosh(x)", "tanh(x)", "sigmoid(x)", "x^2", "x**-3", "1/x", "-x", "x^0.5",
]  # fmt: skip


@pytest.mark.parametrize("text", SLOPES)
def test_slope_that_a_gate_names_is_the_one_that_it_has(text: str) -> None:
    found = walked(text, x=0.6)
    row = found.rows[-1]
    before = {one.name: one for one in found.rows}
    said = row.gate.removeprefix("scales by ")
    # What is said is itself a formula once its products are written with *.
    said = said.replace(" (1 -", "*(1 -").replace("2 v", "2*v").replace("2 x", "2*x").replace("-3 x", "-3*x")
    said = said.replace("0.5 x", "0.5*x").replace("sign(v1)", "v1/abs(v1)")
    formula = parse(said.replace("--", "-(-"))
    if formula.names:
        slope = float(formula.function(*[before[name].primal for name in formula.names]))
    else:
        slope = float(formula.function())
    inner = by_name(found)["v1"].tangent if len(found.rows) > 2 else np.array(1.0)
    assert inner is not None
    assert row.tangent == pytest.approx(slope * inner)
    assert found.gradient["x"] == pytest.approx(found.slope)


# ---------------------------------------------------------------------------- functions of arrays


def test_relu_with_a_cotangent_from_above() -> None:
    found = walk(dl.nn.relu, np.array([1.0, -2.0, 3.0, -1.0]), cotangent=[4, -1, 5, 9])
    assert found.gradient["x"].tolist() == [4, 0, 5, 0]
    assert found.rows[-1].gate == "relu routes: 2 of 4 pass"


def test_columns_agree_with_the_gradient_of_the_package() -> None:
    rng = np.random.default_rng(1)
    data, wanted, weights = rng.standard_normal((4, 3)), rng.standard_normal(4), rng.standard_normal(3)

    def loss(w: np.ndarray) -> Any:
        return np.mean(np.tanh(data @ w - wanted) ** 2)

    found = walk(loss, weights)
    np.testing.assert_allclose(found.gradient["w"], dl.gradient(loss)(weights), rtol=1e-13)
    assert found.slope == pytest.approx(found.gradient["w"].sum())
    assert [row.name for row in found.rows if row.formula == "constant"] == ["c1", "c2"]


def test_branch_that_was_not_taken_sends_nothing_back() -> None:
    found = walk(lambda x: np.where(x > 0, np.log(x), 2 * x), 0.0)
    assert found.gradient["x"] == 2
    assert [row.tangent is None for row in found.rows if ">" in row.formula or "<" in row.formula] == [True]


def test_trace_has_columns() -> None:
    shown = dl.trace(lambda a, b: a * b, 2.0, 3.0).columns(tangent="b").splitlines()
    assert shown[0].split() == ["value", "is", "primal", "tangent", "d/db", "adjoint", "dy/dv", "gate"]
    assert shown[3].split()[:7] == ["v1", "a", "*", "b", "6", "2", "1"]
    assert shown[-1] == "reverse, read upwards:    dy/da = 3  dy/db = 2"
    with pytest.raises(ValueError, match="made of shapes without data"):
        dl.trace(np.sum, dl.Shape((3,), "float64")).columns()


def test_names_of_the_user_are_never_given_to_a_line() -> None:
    found = walked("v1*v2+y*f", v1=1.0, v2=2.0, y=3.0, f=4.0)
    assert [row.name for row in found.rows] == ["v1", "v2", "y", "f", "v_1", "v_2", "v_3"]
    assert found.symbol == "z"


def test_function_that_is_its_own_input() -> None:
    found = walked("x", x=3.0)
    assert (found.output, found.gradient["x"], found.slope) == ("x", 1, 1)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((np.ones(2),), {}, r"shape \(2,\) and a gradient needs one number; take its sum"),
        ((np.ones(2),), {"cotangent": [1, 2, 3]}, r"cotangent has shape \(3,\) and the result \(2,\)"),
        ((1.0,), {"tangent": "w"}, r"no input 'w' to differentiate by \(known: x\)"),
        ((np.array([1, 2]),), {}, "no argument is a floating-point number"),
        ((dl.Shape((2,), "float64"),), {}, "a walk needs values"),
    ],
)
def test_walk_that_cannot_be_made_says_why(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        walk(lambda x: x * 2, *arguments, **options)
