"""Conditions of the graph: what they say of each other is simplified, and no value and no derivative changes by it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab import nn
from difflab.execution.dag import meanings
from difflab.execution.dag.code import Program
from difflab.execution.dag.conditions import NAMES, outcomes
from difflab.execution.dag.nodes import Graph, Node, nodes

NUMBERS = (-1.0, 0.0, 2.0, math.inf, math.nan)


def symbols(graph: Graph, count: int) -> list[Node]:
    return [graph.node("symbol", (), k) for k in range(count)]


def value(node: Any, at: dict[Node, float]) -> Any:
    """A node by the meanings of its operations, one after the other."""
    if isinstance(node, bool):
        return node
    known: dict[Node, Any] = {symbol: np.float64(number) for symbol, number in at.items()}
    for below in nodes([node]):
        if below not in known:
            known[below] = meanings.value_of(below, [known[operand] for operand in below.operands])
    return known[node]


# ---------------------------------------------------------------------------- one by one


def test_comparisons_of_a_pair_are_sets_of_outcomes() -> None:
    graph = Graph()
    x, y = symbols(graph, 2)
    for name, (a, b) in itertools.product(("greater", "greater_equal", "equal", "not_equal"), ((x, y), (y, x))):
        relation = graph.relation(name, a, b)
        assert type(relation) is Node
        for condition in (relation, graph.node("not", (relation,))):
            found = outcomes(condition)
            assert found is not None
            pair, mask = found
            assert pair == (x, y)
            for one, other in itertools.product(NUMBERS, repeat=2):
                outcome = 1 if one < other else 2 if one == other else 4 if one > other else 8
                assert bool(mask & outcome) == value(condition, {x: one, y: other})
    assert sorted(NAMES) == [1, 2, 3, 4, 6, 9, 11, 12, 13, 14]


def test_and_and_or() -> None:
    graph = Graph()
    x, y, z = symbols(graph, 3)
    more, less = graph.relation("greater", x, y), graph.relation("greater", y, x)
    at_least, at_most = graph.relation("greater_equal", x, y), graph.relation("greater_equal", y, x)
    other = graph.relation("greater", z, x)

    def both(*parts: Any) -> Any:
        return graph.join("and", parts)

    def either(*parts: Any) -> Any:
        return graph.join("or", parts)

    assert both(more, more) is more
    assert both(more, less) is False
    assert both(more, at_least) is more
    assert both(at_least, at_most) is graph.relation("equal", x, y)
    assert both(more, graph.opposite(more)) is False
    assert either(more, graph.opposite(more)) is True
    assert either(more, graph.relation("equal", x, y)) is at_least
    assert either(more, less, graph.relation("equal", x, y)).operation == "or"  # NaN is none of the three
    assert both(more, either(more, other)) is more
    assert either(more, both(more, other)) is more
    assert both(other, more, less) is False
    assert both(more, both(other, at_least)) is both(other, more)
    assert graph.opposite(graph.opposite(more)) is more
    assert graph.opposite(more) is not at_most
    assert graph.opposite(graph.relation("equal", x, y)) is graph.relation("not_equal", x, y)
    assert either(graph.relation("equal", x, x), graph.relation("not_equal", x, x)) is True
    assert graph.relation("equal", x, x) is not True


def test_choices_under_the_same_condition() -> None:
    graph = Graph()
    x, y, a, b, d = symbols(graph, 5)
    more, less = graph.relation("greater", x, y), graph.relation("greater", y, x)
    at_least = graph.relation("greater_equal", x, y)

    def select(*parts: Any) -> Node:
        return graph.select(list(zip(parts[:-1:2], parts[1:-1:2], strict=True)), parts[-1])

    plain = select(more, a, d)
    assert select(more, select(more, a, b), d) is plain
    assert select(more, a, select(more, b, d)) is plain
    assert select(more, select(at_least, a, b), d) is plain
    assert select(more, select(less, b, a), d) is plain
    assert select(more, a, less, select(more, b, d), d) is plain
    assert select(graph.opposite(more), d, a) is plain
    assert select(more, a, graph.opposite(more), d, b) is plain
    assert select(more, select(graph.join("or", [more, graph.relation("greater", a, b)]), a, b), d) is plain
    assert select(graph.join("and", [more, graph.relation("greater", a, b)]), select(more, a, b), d).operands[1] is a
    # NaN is neither: of the one being false nothing follows for the other.
    assert select(more, a, select(less, b, d)).operands[2] is select(less, b, d)
    assert select(at_least, a, select(less, b, d)).operands[2] is select(less, b, d)


RELATION = st.sampled_from(["greater", "greater_equal", "equal", "not_equal"])
CONDITION = st.recursive(
    st.tuples(RELATION, st.integers(0, 2), st.integers(0, 2)),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=4)),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=8,
)


def built(graph: Graph, own: list[Node], form: Any) -> Any:
    if form[0] in ("and", "or"):
        return graph.join(form[0], [built(graph, own, part) for part in form[1]])
    if form[0] == "not":
        return graph.opposite(built(graph, own, form[1]))
    return graph.relation(form[0], own[form[1]], own[form[2]])


def meant(numbers: tuple[float, ...], form: Any) -> bool:
    if form[0] in ("and", "or"):
        return (all if form[0] == "and" else any)([meant(numbers, part) for part in form[1]])
    if form[0] == "not":
        return not meant(numbers, form[1])
    return bool(meanings.RELATION[form[0]](numbers[form[1]], numbers[form[2]]))


@settings(max_examples=150, deadline=None)
@given(forms=st.lists(CONDITION, min_size=1, max_size=4), places=st.lists(st.integers(0, 4), min_size=8, max_size=8))
def test_no_simplification_changes_what_is_chosen(forms: list[Any], places: list[int]) -> None:
    graph = Graph()
    own = symbols(graph, 3)
    leaves = [graph.number(k) for k in range(5)]
    conditions = [built(graph, own, form) for form in forms]
    chosen = leaves[places[0]]
    steps = list(zip(conditions, forms, places[1:], strict=False))
    for k, (condition, _, place) in enumerate(steps):
        pairs = [(condition, chosen)] if k % 2 else [(condition, leaves[place])]
        chosen = graph.select(pairs, leaves[place] if k % 2 else chosen)
    for numbers in itertools.product(NUMBERS, repeat=3):
        at = dict(zip(own, numbers, strict=True))
        expected = places[0]
        for k, (condition, form, place) in enumerate(steps):
            holds = meant(numbers, form)
            assert bool(value(condition, at)) == holds
            expected = (expected if holds else place) if k % 2 else (place if holds else expected)
        assert value(chosen, at) == expected


# ---------------------------------------------------------------------------- in losses and formulas

NESTED: list[Callable] = [
    lambda x: np.where(x > 0, np.where(x > 0, x * x, 1 / x), -x),
    lambda x: np.where(x > 0, x, np.where(x > 0, np.log(x), x * x)),
    lambda x: np.where((x > 0) & (x > 0), x * x, np.where(~~(x > 0), np.sqrt(x), 2 * x)),
    lambda x: np.where(x >= 0, np.where(x < 0, np.sqrt(x), x * 3), np.where(x <= 0, x, x * x)),
    lambda x: nn.relu(nn.relu(x)) + nn.relu(x) * np.where(x > 0, x, np.exp(-x)),
    lambda x: np.where(x == 0, 1.0, np.sin(x) / np.where(x == 0, 1.0, x)),
]


@pytest.mark.parametrize("order", ["root", "symbol"])
@pytest.mark.parametrize("number", range(len(NESTED)))
def test_losses_with_nested_choices(number: int, order: str) -> None:
    backend = dl.Symbolic(way="dag", order=order)
    for x in (-2.0, 0.0, 1.5, math.inf):
        with np.errstate(all="ignore"):
            expected = dl.value_and_gradient(NESTED[number])(x)
        found = dl.value_and_gradient(NESTED[number], backend=backend)(x)
        np.testing.assert_allclose(found, expected, rtol=1e-14, err_msg=f"at {x}")


def conditions_of(function: Callable) -> set[str]:
    """All conditions in the derivative of a function of one number."""
    _, _, slopes, *_ = dl.prepare(function, 1.0, backend=dl.Symbolic(way="dag")).expressions()
    slope = slopes[0][0].item()
    return {str(pair.args[1]) for choice in slope.atoms(sympy.Piecewise) for pair in choice.args} - {"True"}


def test_formulas_have_the_conditions_that_are_needed() -> None:
    assert {len(conditions_of(function)) for function in NESTED[:3]} == {1}
    assert len(conditions_of(lambda x: np.where(x > 0, np.where(x > 1, np.sin(x), x * x), x**3))) == 3


@pytest.mark.parametrize("number", range(len(NESTED)))
def test_formulas_say_what_the_program_says(number: int) -> None:
    program = dl.prepare(NESTED[number], 1.0, backend=dl.Symbolic(way="dag"))
    names, values, slopes, *_ = program.expressions()
    for x in (-2.0, -0.25, 0.5, 1.5):
        at = {names[0].item(): sympy.Rational(x)}
        got = [float(formula.subs(at)) for formula in (values[0].item(), slopes[0][0].item())]
        with np.errstate(all="ignore"):
            expected = dl.value_and_gradient(NESTED[number])(x)
        np.testing.assert_allclose(got, expected, rtol=1e-14)


# ---------------------------------------------------------------------------- all together

STEPS: list[Callable[[Any, Any], Any]] = [
    lambda x, y: np.where(x > 0, np.where(x > y, x, y), np.where(x > 0, y, x * y)),
    lambda x, y: np.where((x > y) & (y > 0), x, np.where(~(x > y), y * y, -x)),
    lambda x, y: np.where(x >= y, np.where(y >= x, x * y, x), np.where(x != y, y, 7.0)),
    lambda x, y: np.select([x > 0, x > y, x < 0], [x, y * 2, -x], 0.5),
    lambda x, y: np.where((x > 0) | (y > 0), x, y), lambda x, y: np.minimum(np.maximum(x, y), x),
    lambda x, y: np.clip(x, -0.5, y + 0.5), lambda x, y: np.sign(x) * y, lambda x, y: np.floor(x) * y,
    lambda x, y: nn.stop_gradient(x) * y, lambda x, y: np.abs(np.abs(x) - np.abs(y)), lambda x, y: nn.relu(x) * y,
    lambda x, y: np.max(np.stack([x, y, x * y]), axis=0), lambda x, y: np.min(np.stack([x, y, -y]), axis=0),
    lambda x, y: np.where(np.isfinite(x), x, y), lambda x, y: np.heaviside(x, 0.5) * y, lambda x, y: np.hypot(x, y),
    lambda x, y: nn.softmax(x) + y, lambda x, y: nn.logsumexp(x) * y, lambda x, y: np.linalg.norm(x) - y,
    lambda x, y: np.arctan2(x, 1.25 + y * y), lambda x, y: (np.abs(x) + 0.5) ** y, lambda x, y: np.logaddexp(x, y),
    lambda x, y: x / (1.5 + y * y), lambda x, y: np.tanh(x + y), lambda x, y: x * y - 0.5, lambda x, y: np.prod(x) + y,
    lambda x, y: nn.leaky_relu(x) - nn.elu(y), lambda x, y: x[::-1] * 0.0 + y, lambda x, y: np.cumsum(x) - x,
]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 5)), min_size=1, max_size=7),
    values=st.lists(st.integers(-4, 4), min_size=3, max_size=3),
)
def test_both_orders_are_forward_mode_on_random_losses(steps: list[tuple[int, int]], values: list[int]) -> None:
    def loss(x: Any) -> Any:
        made = [x, x * 0.5 + 0.25]
        for step, other in steps:
            made.append(STEPS[step](made[-1], made[other % len(made)]))
        return np.sum(made[-1] * np.array([1.0, -2.0, 0.5]))

    x = np.array(values) / 4.0
    expected, slopes = dl.value_and_gradient(loss, backend="forward")(x)
    scale = max(1.0, float(abs(expected)), float(np.max(np.abs(slopes))))
    for order, data in itertools.product(("root", "symbol"), ("numbers", "symbols")):
        got, found = dl.value_and_gradient(loss, backend=dl.Symbolic(way="dag", order=order, data=data))(x)
        assert abs(got - expected) <= 1e-12 * scale
        np.testing.assert_allclose(found, slopes, rtol=0, atol=1e-12 * scale)


def test_a_program_of_conditions_is_pythons_own() -> None:
    graph = Graph()
    x, y = symbols(graph, 2)
    neither = graph.opposite(graph.join("or", [graph.relation("greater", x, y), graph.relation("greater", y, x)]))
    program = Program(graph, [x, y], [graph.node_of(neither)])
    assert [program([1.0, b])[0] for b in (0.0, 1.0, math.nan)] == [0.0, 1.0, 1.0]
