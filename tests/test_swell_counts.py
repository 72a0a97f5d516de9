"""Operations of tapes, whole and without those on zeros and ones, and those of the passes of forward mode."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy
from swell_sessions import SETTINGS, session

from difflab import nn, transforms
from difflab.execution import expressions
from difflab.execution.arithmetic import evaluate, filled
from difflab.execution.symbols import SPANS, Symbols
from difflab.harness.examinations.swell import examine
from difflab.harness.examinations.swell_counts import Passes, lean_operations, operations
from difflab.tracing import trace_leaves

RNG = np.random.default_rng(5)


def test_operations_of_a_graph_count_what_is_shared_once() -> None:
    x, y = sympy.symbols("x y")
    shared = sympy.sin(x * y)
    roots = [shared * x, shared * y + sympy.cos(shared)]
    # x*y, sin, times x; times y, cos, plus
    assert expressions.count_distinct_operations(roots) == 6
    assert expressions.count_operations(roots) == 2 + 1 + (2 + 1) + (2 + 1) + 1
    assert expressions.count_operations(roots) == sum(sympy.count_ops(root) for root in roots)
    assert expressions.count_distinct_operations([]) == 0


def test_operations_of_a_tape_are_those_of_its_expressions() -> None:
    def loss(leaves: Any) -> Any:
        x, w = leaves
        return [np.sum(np.tanh(x @ w) * 3.0)]

    # a product of 2x3 and 3x4: 3 products and 2 sums for each of 8; tanh and factor for each; a sum of 8
    assert operations(trace_leaves(loss, [np.ones((2, 3)), np.ones((3, 4))])) == 8 * 5 + 16 + 7
    moves = trace_leaves(lambda leaves: [np.transpose(leaves[0]).reshape(6)[:4]], [np.ones((2, 3))])
    assert len(moves) > 1
    assert operations(moves) == 0


def test_tape_and_graph_agree_where_data_are_symbols() -> None:
    def loss(leaves: Any) -> Any:
        x, w = leaves
        return [np.sum(np.tanh(x @ w) ** 2)]

    tape = trace_leaves(loss, [np.ones((2, 3)), np.ones((3, 2))])
    leaves = [filled((2, 3), sympy.symbols("x0:6")), filled((3, 2), sympy.symbols("w0:6"))]
    (root,) = evaluate(tape, leaves, Symbols(), SPANS)
    assert expressions.count_distinct_operations([root.item()]) == operations(tape)


def lean(function: Any, *leaves: Any) -> tuple[int, int]:
    tape = trace_leaves(lambda inputs: [function(*inputs)], list(leaves))
    return operations(tape), lean_operations(tape, leaves)


def test_products_with_zero_and_one_and_sums_with_zero_are_left_out() -> None:
    a, b = np.array([0.0, 1.0, 2.0, 3.0]), np.array([5.0, 5.0, 0.0, 5.0])
    assert lean(lambda x, y: x * y, a, b) == (4, 1)
    assert lean(lambda x, y: x + y, a, b) == (4, 2)
    assert lean(lambda x, y: x - y, a, b) == (4, 2)
    assert lean(np.sum, a) == (3, 2)
    assert lean(np.sum, np.zeros(4)) == (3, 0)
    assert lean(np.tanh, a) == (4, 3)
    assert lean(nn.sigmoid, a) == (16, 16)
    assert lean(lambda x: x.reshape(2, 2).T[1], a) == (0, 0)
    # rows [0 1] and [2 3]: with [5 5] 0+5 is none; 2*5 + 3*5 are three
    assert lean(lambda x, y: x @ y, a.reshape(2, 2), np.array([5.0, 5.0])) == (6, 3)
    assert lean(lambda x: np.max(x), a) == (3, 3)


def test_counts_of_full_arrays_are_whole() -> None:
    x, w = RNG.normal(size=(3, 4)) + 5.0, RNG.normal(size=(4, 2)) + 5.0
    whole, rest = lean(lambda x, w: np.sum(np.tanh(x @ w) ** 2 / (2.5 + np.exp(x @ w))), x, w)
    assert whole == rest > 40


@pytest.mark.parametrize(("problem", "size"), [("deep-mlp", "depth-3"), ("wide-mlp", "width-4")])
def test_the_passes_are_those_of_the_program(problem: str, size: str) -> None:
    opened = session("forward", problem, size)
    prepared = opened.backend.prepare(opened.source, "value_and_gradient", opened.leaves)
    passes = Passes(opened.source, prepared.stats["chunk"])
    assert passes.count == prepared.stats["chunks"]
    assert len(passes.tape) == prepared.stats["tape_length"]


def test_a_pass_more_computes_the_loss_once_more_and_a_lean_count_does_not() -> None:
    opened = session("forward", "deep-mlp", "depth-2")
    whole, halves, odd = (Passes(opened.source, lanes) for lanes in (25, 13, 7))
    assert [passes.count for passes in (whole, halves, odd)] == [1, 2, 4]
    assert whole.operations() < halves.operations() < odd.operations()
    assert len({passes.lean_operations(opened.leaves) for passes in (whole, halves, odd)}) == 1
    loss = operations(transforms.simplify(opened.source.tape))
    tangents = (whole.operations() - loss) / 25
    # 26 and 28 lanes run, those to spare as well
    assert halves.operations() == pytest.approx(2 * loss + 26 * tangents, rel=0.1)
    assert odd.operations() == pytest.approx(4 * loss + 28 * tangents, rel=0.2)


def test_the_operations_of_a_gradient_by_hand() -> None:
    """Of ``sum((x w)^2)``: 2 products, 2 squares and a sum; 2 x w once; a product with each tangent, no other sums."""
    x, w = np.array([3.0, 5.0]), np.array([2.0, 7.0])
    source: Any = SimpleNamespace(tape=trace_leaves(lambda leaves: [np.sum((leaves[0] * x) ** 2)], [w]), wrt=(0,))
    passes = Passes(source, 2)
    assert passes.lean_operations([w]) == 5 + 2 + 2
    # as it runs, each of 2 lanes: 2 products with x, 2 with 2 x w, a sum
    assert passes.operations() == 5 + 2 + 2 * 5


@pytest.mark.parametrize(
    ("problem", "size"),
    [
        ("deep-mlp", "tiny"),
        ("deep-mlp", "depth-3"),
        ("deep-mlp", "depth-8"),
        ("wide-mlp", "tiny"),
        ("wide-mlp", "width-8"),
    ],
)
def test_both_orders_of_a_graph_are_both_modes_operation_by_operation(problem: str, size: str) -> None:
    """Laue's claim, on networks whose data and rules leave no other difference."""
    command = {**SETTINGS, "reference": None, "why": "counted alone"}
    found: dict[str, Any] = {}
    for backend, options in (
        ("symbolic", {"way": "dag", "order": "root"}), ("symbolic", {"way": "dag", "order": "symbol"}), ("forward", {}),
    ):  # fmt: skip
        found |= examine(session(backend, problem, size, **options), command)["findings"]["gradient"]
    assert found["graph"] == found["tape_lean"]
    assert found["graph-by-symbol"] == found["forward_lean"]
    assert found["forward"] > found["forward_lean"] > found["tape_lean"]
