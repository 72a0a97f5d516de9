"""Symbolic differentiation in a graph: right on every problem, both orders, shares, kinks, code, formulas."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import all_cases

import difflab as dl
import difflab.execution.dag as package
from difflab import nn, transforms
from difflab.containers import flatten, unflatten
from difflab.errors import GuardError, InputError, UnsupportedError
from difflab.execution.arithmetic import evaluate
from difflab.execution.dag import counts
from difflab.execution.dag.arithmetic import SPANS, Nodes
from difflab.execution.dag.code import Program
from difflab.execution.dag.derivatives import jacobian
from difflab.execution.dag.nodes import Graph, Node, nodes
from difflab.execution.expressions import compile_function
from difflab.harness.examinations.swell import operations
from difflab.primitives import REGISTRY
from difflab.problems import PROBLEMS, find
from difflab.tracing import trace_leaves

RNG = np.random.default_rng(23)
DAG = dl.Symbolic(way="dag")


def symbols(graph: Graph, count: int) -> list[Node]:
    return [graph.node("symbol", (), k) for k in range(count)]


def relative(found: Any, expected: Any) -> float:
    pairs = zip(flatten(found)[0], flatten(expected)[0], strict=True)
    a, b = (np.concatenate([np.ravel(part) for part in parts]) for parts in zip(*pairs, strict=True))
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-300))


# ---------------------------------------------------------------------------- right


@pytest.mark.parametrize("data", ["numbers", "symbols"])
@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_every_problem_is_what_reverse_mode_gives(name: str, data: str) -> None:
    instance = find(name).build("tiny", "float64", 0)
    value, expected = dl.value_and_gradient(instance.loss)(*instance.args)
    got, found = dl.value_and_gradient(instance.loss, backend=dl.Symbolic(way="dag", data=data))(*instance.args)
    assert float(got) == pytest.approx(float(value), rel=1e-13)
    assert relative(found, expected) < 1e-13


CASES = [case for case in all_cases(REGISTRY, ("float64",)) if case.ordinary and not case.primitive.inexact]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_every_primitive_as_nodes(case: Any) -> None:
    graph = Graph()
    tape = trace_leaves(lambda leaves: [case.primitive(*leaves, **case.params)], list(case.arrays))
    (result,) = evaluate(tape, list(case.arrays), Nodes(graph), SPANS)
    values = [graph.constant(graph.node_of(value)) for value in result.ravel().tolist()]
    assert result.shape == case.value.shape
    np.testing.assert_allclose(np.reshape(values, result.shape), case.value, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", ["xor-corners", "mlp", "plane", "toeplitz-cnn", "hinge"])
def test_second_derivatives(name: str) -> None:
    instance = find(name).build("tiny", "float64", 0)
    found = dl.hessian(instance.loss, backend=DAG)(*instance.args)
    assert relative(found, dl.hessian(instance.loss)(*instance.args)) < 1e-13


@pytest.mark.parametrize("order", ["root", "symbol"])
def test_both_orders_on_choices_shapes_and_functions(order: str) -> None:
    def outputs(a: Any, b: Any) -> Any:
        pooled = nn.max_pool2d(np.reshape(a @ b, (1, 4, 4, 1)), 2)
        rows = [np.sum(nn.softmax(pooled[0, :, :, 0]) * 3.0), np.max(a, axis=0)[1] * np.linalg.det(b[:3, :3])]
        return np.stack([*rows, np.sum(np.where(a > 0, np.sqrt(np.abs(a)), np.exp(a) / (1 + b)))])

    a, b = RNG.normal(size=(4, 4)), RNG.normal(size=(4, 4)) + 3
    backend = dl.Symbolic(way="dag", order=order)
    found = dl.jacobian(outputs, argnums=(0, 1), backend=backend)(a, b)
    assert relative(found, dl.jacobian(outputs, argnums=(0, 1), backend="reverse")(a, b)) < 1e-13


STEPS: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x - 2.5 * y, lambda x, y: x / (1.5 + y * y),
    lambda x, y: np.sin(x), lambda x, y: np.tanh(x + y), lambda x, y: nn.sigmoid(x) * y, lambda x, y: nn.relu(x),
    lambda x, y: np.maximum(x, y), lambda x, y: np.minimum(x, 0.25), lambda x, y: np.abs(x) + y,
    lambda x, y: np.where(x > y, x * x, -y), lambda x, y: nn.softmax(x), lambda x, y: np.log1p(x * x),
    lambda x, y: x[::-1] * 0.0 + y, lambda x, y: np.cumsum(x) - x, lambda x, y: nn.logsumexp(x) * y,
    lambda x, y: np.hypot(x, y), lambda x, y: np.exp(-x * x), lambda x, y: x**3 - y**2, lambda x, y: np.max(x) - y,
]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(range(len(STEPS))), st.integers(0, 5)), min_size=1, max_size=10),
    values=st.lists(st.integers(-8, 8), min_size=3, max_size=3),
    order=st.sampled_from(["root", "symbol"]),
)
def test_random_losses_at_points_with_many_ties(steps: list[tuple[int, int]], values: list[int], order: str) -> None:
    def loss(x: Any) -> Any:
        made = [x, x * 0.5 + 0.25]
        for step, other in steps:
            made.append(STEPS[step](made[-1], made[other % len(made)]))
        return np.sum(made[-1] * np.array([1.0, -2.0, 0.5]))

    x = np.array(values) / 4.0
    value, expected = dl.value_and_gradient(loss)(x)
    got, found = dl.value_and_gradient(loss, backend=dl.Symbolic(way="dag", order=order))(x)
    scale = max(1.0, float(np.max(np.abs(expected))))
    assert float(got) == pytest.approx(float(value), rel=1e-11, abs=1e-11)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * scale)


# ---------------------------------------------------------------------------- no zero meets an infinity


@pytest.mark.parametrize(
    ("function", "point", "slope"),
    [
        (lambda x: np.where(x > 0, np.sqrt(x), 0.0), 0.0, 0.0),
        (lambda x: np.where(x > 0, np.sqrt(x), 0.0) + np.where(x > 1, np.sqrt(x), 3.0 * x), 0.0, 3.0),
        (lambda x: 2.0 * nn.relu(np.log(x) * 1.0), 1e-320, 0.0),
        (lambda x: np.where(x < 5.0, x, np.exp(np.exp(x))), 10.0, math.inf),
        (lambda x: np.where(x < 20.0, x, 0.0) + np.where(x < 0.0, np.exp(x * x), x), 40.0, 1.0),
        (lambda x: np.maximum(np.sqrt(x), 1.0), 0.0, 0.0),
        (lambda x: np.where(x != 0, 1.0 / x, 0.0) * 5.0, 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("order", ["root", "symbol"])
def test_a_branch_that_is_not_taken_has_no_say(function: Callable, point: float, slope: float, order: str) -> None:
    found = dl.gradient(function, backend=dl.Symbolic(way="dag", order=order))(point)
    assert float(found) == slope


def test_an_honest_infinity_stays() -> None:
    assert dl.gradient(lambda x: np.sqrt(x) * 2.0, backend=DAG)(0.0) == math.inf
    assert np.isnan(dl.gradient(lambda x: np.sqrt(x) * x * 0.5 / np.sqrt(x), backend=DAG)(0.0))
    assert dl.gradient(lambda x: np.cbrt(x), backend=DAG)(0.0) == math.inf


def test_tests_for_nan_are_asked_when_the_program_runs() -> None:
    def loss(x: Any) -> Any:
        return np.sum(np.where(np.isnan(x) | np.isinf(x), 0.0, x * x))

    program = dl.prepare(loss, np.ones(3), backend=DAG)
    np.testing.assert_array_equal(program.gradient(np.array([2.0, math.nan, math.inf])), [4.0, 0.0, 0.0])


def test_guards_are_checked_with_numbers() -> None:
    program = dl.prepare(lambda x: x * x if x > 0 else -3.0 * x, 2.0, backend=DAG)
    assert [float(program.gradient(x)) for x in (2.0, -1.0, 5.0)] == [4.0, -3.0, 10.0]
    graph = Graph()
    with pytest.raises(UnsupportedError, match=r"use np\.where instead of `if`"):
        bool(symbols(graph, 1)[0])
    tape = trace_leaves(lambda leaves: [leaves[0] * (2.0 if leaves[1] > 0 else 3.0)], [1.0, 1.0])
    x = np.array(symbols(graph, 1)[0], dtype=object)
    with pytest.raises(GuardError):
        evaluate(tape, [x, np.float64(-1.0)], Nodes(graph))


# ---------------------------------------------------------------------------- the graph


def test_every_distinct_expression_is_one_node() -> None:
    graph = Graph()
    x, y = symbols(graph, 2)
    assert (x + y) * 2.0 is 2.0 * (y + x)
    assert x * y is y * x
    assert (-x) * y is -(x * y)
    assert x + x is x * 2.0
    assert x * 0.0 is graph.zero
    assert x * x is graph.integer_power(x, 2)
    assert repr(graph.number(0.1) + 0.2) == f"number({sum(map(sympy.Rational, (0.1, 0.2)))})"


def test_no_rewrite_is_seen_beyond_rounding() -> None:
    graph = Graph()
    (x,) = symbols(graph, 1)
    difference, product = x - x, (x * 1e200) * 1e200
    (found,) = Program(graph, [x], [difference])([math.inf])
    assert math.isnan(found)
    assert Program(graph, [x], [product])([1e-300]) == [1e-300 * 1e200 * 1e200]
    assert Program(graph, [x], [(x * 1e-200) * 1e-200 * 1e200])([1e200]) == [pytest.approx(1.0)]
    assert Program(graph, [x], [x / 3.0])([0.7]) == [0.7 / 3.0]


def test_rationals_that_would_not_end_are_left_as_operations() -> None:
    def loss(w: Any, x: Any) -> Any:
        for _ in range(60):
            x = 3.7 * x * (1.0 - x)
        return w * x

    assert dl.gradient(loss, backend=DAG)(1.0, 0.3) == pytest.approx(0.5, abs=0.5)


def test_determinants_and_inverses_have_every_minor_once() -> None:
    graph = Graph()
    n = 6
    entries = symbols(graph, n * n)
    matrix = np.array(entries, dtype=object).reshape(n, n)
    arithmetic = Nodes(graph)
    determinant = arithmetic.determinants(matrix[None])[0]
    assert counts.distinct([determinant]) < 2**n * n
    numbers = RNG.normal(size=(n, n))
    inverse = arithmetic.inverses(matrix).ravel().tolist()
    found = Program(graph, entries, [determinant, *inverse])(numbers.ravel().tolist())
    assert found[0] == pytest.approx(np.linalg.det(numbers), rel=1e-12)
    np.testing.assert_allclose(np.reshape(found[1:], (n, n)), np.linalg.inv(numbers), rtol=1e-10, atol=1e-12)


def test_it_knows_of_no_tapes_and_no_modes() -> None:
    """Symbolic differentiation in its own right: only the build reads a tape, and nothing reads ``transforms``."""
    for path in Path(package.__path__[0]).glob("*.py"):
        imported = [
            (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom | ast.Import)
            for alias in node.names
        ]
        assert not any("transforms" in name or "tape" in name for name in imported), path


# ---------------------------------------------------------------------------- the swell


@pytest.mark.parametrize("size", list(find("deep-mlp").sizes))
def test_operations_are_a_few_times_those_of_the_loss_at_every_depth(size: str) -> None:
    instance = find("deep-mlp").build(size, "float64", 0)
    stats = dl.prepare(instance.loss, *instance.args, backend=DAG).stats
    assert stats["symbolic_ops_dag"] < 4 * stats["symbolic_ops_value_dag"]


def test_one_symbol_after_the_other_loses_the_shares_along_the_depth() -> None:
    def ratio(size: str, order: str) -> float:
        instance = find("deep-mlp").build(size, "float64", 0)
        stats = dl.prepare(instance.loss, *instance.args, backend=dl.Symbolic(way="dag", order=order)).stats
        return stats["symbolic_ops_dag"] / stats["symbolic_ops_value_dag"]

    assert ratio("depth-16", "symbol") > 1.7 * ratio("depth-8", "symbol") > 2.5 * ratio("tiny", "symbol")
    assert ratio("depth-16", "root") < 1.1 * ratio("depth-8", "root")


@pytest.mark.parametrize(
    ("name", "size"), [("deep-mlp", "tiny"), ("deep-mlp", "depth-8"), ("deep-mlp", "depth-16"), ("wide-mlp", "width-8")]
)
def test_the_graph_from_the_root_is_reverse_mode_operation_by_operation(name: str, size: str) -> None:
    """Laue's claim, where no datum is zero: all that the tape has more is the product with the seed."""
    instance = find(name).build(size, "float64", 0)
    leaves, tree = flatten(instance.args)
    tape = trace_leaves(lambda inputs: [instance.loss(*unflatten(tree, inputs))], leaves)
    both = transforms.simplify(transforms.gradient(tape, tuple(range(len(flatten(instance.args[0])[0])))))
    stats = dl.prepare(instance.loss, *instance.args, backend=DAG).stats
    assert stats["symbolic_ops_value_dag"] == operations(tape)
    assert stats["symbolic_ops_dag"] == operations(both) - 1


def test_the_xor_network_in_figures() -> None:
    instance = find("xor").build("tiny", "float64", 0)
    stats = dl.prepare(instance.loss, *instance.args, backend=DAG).stats
    tree = dl.Symbolic(way="tree", time_limit_s=100.0)
    assert stats["n_symbols"] == 31
    assert stats["symbolic_ops_value_dag"] == 579
    assert stats["symbolic_ops_dag"] == 1556
    assert stats["symbolic_ops_cse"] == 1364  # sigmoid(-x) is made of the exponential of sigmoid(x)
    assert stats["symbolic_ops_gradient"] > 100 * stats["symbolic_ops_dag"]
    assert dl.Symbolic().resolved_way() == "dag"
    assert tree.resolved_way() == "tree"
    assert dl.Symbolic(cse=False).resolved_way() == "tree"


@pytest.mark.parametrize(("name", "size"), [("xor", "tiny"), ("digits-cnn", "tiny"), ("two-layer", "small")])
@pytest.mark.parametrize("operator", ["gradient", "hessian"])
def test_the_forecast_is_of_the_right_order(name: str, size: str, operator: str) -> None:
    if (size, operator) == ("small", "hessian"):
        size = "tiny"
    instance = find(name).build(size, "float64", 0)
    prepared = dl.prepare(instance.loss, *instance.args, backend=DAG, operator=operator)
    leaves, tree = flatten(instance.args)
    wrt = tuple(range(len(flatten(instance.args[0])[0])))
    tape = trace_leaves(lambda inputs: [instance.loss(*unflatten(tree, inputs))], leaves)
    forecast = DAG.predict(tape, operator, wrt)
    assert 0.3 < forecast.flops / prepared.stats["symbolic_ops_dag"] < 4


def test_a_loop_too_long_for_sympy() -> None:
    def loss(x: Any) -> Any:
        for _ in range(3000):
            x = np.sin(x) + 0.5
        return x

    assert dl.gradient(loss, backend=DAG)(1.0) == pytest.approx(float(dl.gradient(loss)(1.0)), rel=1e-12)


# ---------------------------------------------------------------------------- code and formulas


def test_long_sums_are_written_in_groups() -> None:
    graph = Graph()
    own = symbols(graph, 1000)
    terms = [x if k % 3 else -(x * own[k - 1]) for k, x in enumerate(own)]
    program = Program(graph, own, [graph.add(terms)])
    x = RNG.normal(size=1000)
    expected = math.fsum(x[k] if k % 3 else -x[k] * x[k - 1] for k in range(1000))
    assert program(x.tolist())[0] == pytest.approx(expected, rel=1e-12)


def test_the_code_computes_what_is_used_twice_once() -> None:
    graph = Graph()
    (x,) = symbols(graph, 1)
    y = graph.node("exp", (x,))
    program = Program(graph, [x], [y * y + y])
    assert program.source.count("exp(") == 1
    assert program.operations == 3
    assert program([0.5]) == [math.exp(0.5) ** 2 + math.exp(0.5)]


def test_a_pair_of_sigmoids_has_one_exponential_in_either_order() -> None:
    graph = Graph()
    (x,) = symbols(graph, 1)
    for first, second in ((x, -x), (-x * 2.0, x * 2.0)):
        program = Program(graph, [x], [graph.node("sigmoid", (first,)), graph.node("sigmoid", (second,))])
        for value in (0.3, -36.0, 700.0, -700.0, 1e5, -1e5):
            expected = [nn.sigmoid(graph_value * value) for graph_value in _signs(first, second)]
            np.testing.assert_allclose(program([value]), expected, rtol=1e-15)


def _signs(*operands: Node) -> list[float]:
    return [float(sympy.Rational(str(operand.value))) if operand.operation == "scale" else 1.0 for operand in operands]


def test_the_formulas_are_sympys_own() -> None:
    def loss(w: Any, x: Any) -> Any:
        return np.sum(np.tanh(x * w[0]) ** 2 / (1.0 + np.exp(w[1]))) + np.maximum(w[0], w[1]) + nn.relu(w[0])

    w, x = np.array([0.5, -0.25]), np.array([1.0, 3.0])
    for way in ("dag", "tree"):
        (names,), (value,), ((slopes,),) = dl.prepare(loss, w, x, backend=dl.Symbolic(way=way)).expressions(w, x)
        a, b = names.tolist()
        assert [str(name) for name in (a, b)] == ["w_1", "w_2"]
        computed = compile_function([a, b], [value.item(), *slopes], cse=False)(w.tolist())
        np.testing.assert_allclose(computed, [loss(w, x), *dl.gradient(loss)(w, x)], rtol=1e-13)
        assert r"\tanh" in sympy.latex(value.item())
        assert sympy.sympify(sympy.srepr(sympy.tanh(a))) == sympy.tanh(a)


def test_an_expression_of_every_kind_has_a_formula() -> None:
    def loss(x: Any) -> Any:
        parts = [nn.softmax(x) * x, np.abs(x), np.hypot(x, 2.0), np.sort(x * 0.0 + 1.0), np.log2(x), nn.sigmoid(x)]
        chosen = np.where((x > 1) & ~(x > 2) | np.isnan(x), x**2.5, nn.stop_gradient(x) * np.sinc(x))
        return sum(np.sum(part) for part in parts) + np.sum(chosen) + np.max(x) + np.max(x[:2])

    x = np.array([0.5, 1.5, 2.5])
    (names,), (value,), ((slopes,),) = dl.prepare(loss, x, backend=DAG).expressions(x)
    computed = compile_function(names.tolist(), [value.item(), *slopes], cse=True)(x.tolist())
    np.testing.assert_allclose(computed, [loss(x), *dl.gradient(loss)(x)], rtol=1e-12)
    kinds = {node.operation for node in nodes(_roots_of(loss, x))}
    assert {"larger", "largest", "select", "sinc", "stopped", "and", "or", "not", "isnan", "absolute"} <= kinds


def _roots_of(loss: Callable, x: np.ndarray) -> list[Node]:
    graph = Graph()
    own = symbols(graph, x.size)
    tape = trace_leaves(lambda leaves: [loss(leaves[0])], [x])
    return evaluate(tape, [np.array(own, dtype=object)], Nodes(graph), SPANS)[0].ravel().tolist()


def test_a_root_that_stands_twice_is_differentiated_once() -> None:
    graph = Graph()
    x, y = symbols(graph, 2)
    rows = jacobian(graph, [x * y, x * y, graph.one], [x, y])
    assert rows == [[y, x], [y, x], [graph.zero, graph.zero]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"way": "matrix"}, "way is one of auto, dag, tree"),
        ({"order": "leaf"}, "order is one of auto, root, symbol"),
        ({"way": "dag", "cse": False}, "a graph shares by nature"),
        ({"way": "tree", "order": "root"}, "only way='dag' has a choice of orders"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dl.Symbolic(**options)
