"""SymPy expressions: their derivatives against ``sympy.diff``, their operations against ``count_ops``, their code."""

from __future__ import annotations

import doctest
import importlib
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy

from difflab import nn
from difflab import numpy_functions as numpy_functions  # fills the table of NumPy functions
from difflab.execution.arithmetic import evaluate, filled, taken_whole
from difflab.execution.expressions import FULL_CSE_NODES, Derivatives, compile_function, count_operations, nodes
from difflab.execution.own_functions import definition_of, functions, piecewise
from difflab.execution.symbols import SPANS, Symbols, rational, symbol
from difflab.tracing import trace_leaves

RNG = np.random.default_rng(11)
X, Y = sympy.symbols("x y")

# ---------------------------------------------------------------------------- derivatives


def test_derivatives_are_the_very_expressions_that_sympy_diff_gives() -> None:
    expressions = [
        X**3 * sympy.sin(Y) / (1 + sympy.exp(-X)),
        sympy.log(sympy.exp(X) + sympy.exp(Y * X)) * sympy.sqrt(X**2 + 1),
        sympy.tanh(X * Y) ** Y,
        sympy.atan2(X, Y) + 2**X,
    ]
    rows = Derivatives().jacobian(expressions, [X, Y])
    assert rows == [[sympy.diff(expression, s) for s in (X, Y)] for expression in expressions]


def test_each_kind_of_node_is_differentiated_once() -> None:
    derivatives = Derivatives()
    derivatives.jacobian([sum(sympy.tanh(k * X) for k in range(2, 50))], [X])
    assert len(derivatives.rules) == 2  # a number times what moves, and tanh


# ---------------------------------------------------------------------------- pieces and composites


def test_conditions_on_symbols_become_pieces_and_on_numbers_are_decided() -> None:
    arithmetic = Symbols()
    (decided,) = arithmetic.compare("greater", np.array([rational(2.0)]), rational(1.5))
    assert decided is sympy.true
    assert piecewise([(X, sympy.true), (Y, X > 0)], Y) == X
    assert piecewise([(X, sympy.false)], Y) == Y
    (masked,) = arithmetic.select([np.array([True])], [np.array([X])], Y)
    assert masked == X


def test_a_span_from_which_something_escapes_is_not_taken_whole() -> None:
    tape = trace_leaves(lambda v: [nn.logsumexp(v[0])], [np.ones(3)])
    inner = next(e.output for e in tape.equations if e.primitive.name == "exp")
    assert [e.primitive.name for e in taken_whole(tape, SPANS).equations] == ["whole logsumexp"]
    escaping = replace(tape, outputs=(*tape.outputs, inner))
    assert len(taken_whole(escaping, SPANS)) == len(escaping)


# ---------------------------------------------------------------------------- code


def test_many_expressions_share_without_the_pairwise_search(monkeypatch: pytest.MonkeyPatch) -> None:
    roots = [sympy.exp(X * Y) + sympy.sin(X * Y), X * Y * sympy.exp(X * Y)]
    full = compile_function([X, Y], roots, cse=True)
    monkeypatch.setattr("difflab.execution.expressions.FULL_CSE_NODES", 0)
    plain = compile_function([X, Y], roots, cse=True)
    assert full([0.5, 2.0]) == pytest.approx(plain([0.5, 2.0]), rel=1e-15)
    assert full([0.5, 2.0]) == pytest.approx([math.e + math.sin(1.0), math.e])
    assert plain.operations < count_operations(roots)
    assert FULL_CSE_NODES > 1000


# ---------------------------------------------------------------------------- counting


COUNTED = [
    X, -X, X + Y, X - Y, -X - Y, -X + Y, 3 * X / 4, -3 * X / (4 * Y), 1 / X, -1 / (X + Y), sympy.exp(-X), sympy.E,
    X**Y / 2, sympy.Rational(-1, 3), sympy.sqrt(X) - 2 * Y**3, sympy.sin(X) ** 2 / (1 + sympy.cos(Y)), X * (X + Y) * -1,
    piecewise([(X, sympy.Gt(X, Y)), (-Y, sympy.And(X > 0, Y < 1))], X * Y), 2 ** (X + 1), sympy.log(X) * X - X,
]  # fmt: skip


@pytest.mark.parametrize("expression", COUNTED, ids=str)
def test_operations_are_counted_as_sympy_counts_them(expression: Any) -> None:
    assert count_operations([expression]) == sympy.count_ops(expression)


def test_operations_of_a_loss_and_its_derivatives_are_those_of_the_trees() -> None:
    w = filled((3, 2), [symbol(f"w{k}") for k in range(6)])
    x = np.round(RNG.normal(size=(2, 3)), 2)
    tape = trace_leaves(lambda v: [np.sum(np.tanh(v[1] @ v[0]) ** 3 / np.exp(v[1] @ v[0]))], [np.ones((3, 2)), x])
    (loss,) = evaluate(tape, [w, x], Symbols(), SPANS)
    slopes = Derivatives().jacobian([loss.item()], w.ravel().tolist())[0]
    assert count_operations([loss.item()]) == sympy.count_ops(loss.item())
    assert count_operations(slopes) == sum(map(sympy.count_ops, slopes))


@pytest.mark.parametrize(
    ("name", "arguments", "operations"),
    [
        ("sigmoid", (X,), 4),
        ("logaddexp", (X, Y), 4),
        ("logsumexp", (X, Y, 2 * X), 7),
        ("softmax", (1, X, Y), 5),
        ("hypot", (X, Y), 5),
        ("power", (X, Y), 1),
    ],
)
def test_a_function_of_our_own_counts_as_its_definition(name: str, arguments: tuple, operations: int) -> None:
    node = getattr(functions(), name)(*arguments)
    definition = definition_of(node)
    assert count_operations([node]) == operations == sympy.count_ops(definition)
    assert count_operations([3 * sympy.sin(node)]) == operations + 2
    slopes = Derivatives().jacobian([node], [X, Y])[0]
    at = {X: sympy.Rational(1, 3), Y: sympy.Rational(5, 7)}
    found = compile_function([X, Y], [node, *slopes], cse=False)([1 / 3, 5 / 7])
    expected = [definition, sympy.diff(definition, X), sympy.diff(definition, Y)]
    assert found == pytest.approx([float(sympy.N(item.subs(at), 30)) for item in expected], rel=1e-14)


def test_a_graph_with_astronomic_tree_is_counted_and_differentiated() -> None:
    expression = X
    for _ in range(100):
        expression = sympy.sin(expression) + sympy.cos(expression)
    assert count_operations([expression]) > 2**100
    assert len(nodes([expression], lambda node: node.args)) == 301
    ((slope,),) = Derivatives().jacobian([expression], [X])
    compiled = compile_function([X], [slope], cse=True)
    value, tangent = 0.3, 1.0
    for _ in range(100):
        value, tangent = math.sin(value) + math.cos(value), (math.cos(value) - math.sin(value)) * tangent
    assert compiled([0.3])[0] == pytest.approx(tangent, rel=1e-12)


@pytest.mark.parametrize("name", ["arithmetic", "exact", "swell"])
def test_the_examples_in_the_documentation_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"difflab.execution.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
