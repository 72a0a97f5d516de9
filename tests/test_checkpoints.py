"""Reverse mode with checkpoints: the same bits from fewer bytes, whatever the tape, and notes that are true."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab.execution.plan import make_plan
from difflab.execution.program import Program
from difflab.problems import PROBLEMS, find
from difflab.tape import Tape
from difflab.tracing import trace_leaves
from difflab.transforms import gradient, simplify, vjp
from difflab.transforms.checkpoints import recompute, recompute_split
from difflab.transforms.schedules import fewest_advances

COUNTS = (1, 2, 5, 40)
SMALL = [(problem.name, size) for problem in PROBLEMS.values() for size in problem.sizes if size in ("tiny", "small")]


def bits(tree: Any) -> list[tuple[tuple[int, ...], str, bytes]]:
    """What two results must have in common: shapes, dtypes and every bit."""
    leaves = tree if isinstance(tree, list | tuple) else list(tree.values()) if isinstance(tree, dict) else [tree]
    found = []
    for leaf in leaves:
        if isinstance(leaf, list | tuple | dict):
            found += bits(leaf)
        else:
            array = np.asarray(leaf)
            found.append((array.shape, array.dtype.str, array.tobytes()))
    return found


def chain(leaves: list[Any]) -> list[Any]:
    x, w = leaves
    for _ in range(24):
        x = np.tanh(x @ w)
    return [np.sum(x)]


def chain_tape() -> tuple[Tape, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((40, 8)), rng.standard_normal((8, 8)) / 3]
    return simplify(gradient(trace_leaves(chain, arrays), (0, 1))), arrays


# ---------------------------------------------------------------------------- the same bits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "size"), SMALL)
def test_every_problem_has_the_same_gradient_to_the_last_bit(name: str, size: str, dtype: str) -> None:
    one = find(name).build(size, dtype, 0)
    expected = bits(dl.value_and_gradient(one.loss)(*one.args))
    for count in COUNTS:
        backend = dl.Reverse(checkpoints=count)
        assert bits(dl.value_and_gradient(one.loss, backend=backend)(*one.args)) == expected
        prepared = dl.prepare(one.loss, *one.args, backend=backend)
        assert bits(prepared.value_and_gradient(*one.args)) == expected
        assert bits(prepared.value_and_gradient(*one.args)) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "size"), [case for case in SMALL if case[1] == "tiny"])
def test_every_problem_pulls_back_the_same_bits(name: str, size: str, dtype: str) -> None:
    one = find(name).build(size, dtype, 0)
    value, pullback = dl.vjp(one.loss, *one.args)
    expected = bits([value, pullback(np.asarray(0.75, value.dtype))])
    for count in COUNTS:
        again, pulled = dl.vjp(one.loss, *one.args, backend=dl.Reverse(checkpoints=count))
        assert bits([again, pulled(np.asarray(0.75, value.dtype))]) == expected
        assert bits([again, pulled(np.asarray(0.75, value.dtype))]) == expected


UNARY: dict[str, Callable] = {
    "tanh": np.tanh,
    "sin": np.sin,
    "log1p": lambda x: np.log1p(x * x),
    "relu": lambda x: np.maximum(x, 0),
    "where": lambda x: np.where(x > 0.1, x * x, np.cos(x)),
    "transpose": np.transpose,
    "reshaped": lambda x: np.reshape(np.reshape(x, (-1,)), x.shape[::-1]),
    "product": lambda x: x @ (x.T @ x) / 100,
    "row": lambda x: x - np.mean(x, axis=0),
    "column": lambda x: x / (1 + np.sum(x * x, axis=1, keepdims=True)),
    "softmax": lambda x: dl.nn.softmax(x, axis=0),
    "flipped": lambda x: x[::-1] * x[:1],
    "constant": lambda x: x * np.linspace(0.5, 1.5, x.shape[0])[:, None],
}
BINARY: dict[str, Callable] = {"add": np.add, "multiply": np.multiply, "maximum": np.maximum, "quotient": np.arctan2}
programs = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(sorted(UNARY)), st.integers(0, 9), st.just(0)),
        st.tuples(st.sampled_from(sorted(BINARY)), st.integers(0, 9), st.integers(0, 9)),
    ),
    min_size=1,
    max_size=12,
)


def written(program: list[tuple[str, int, int]], outputs: int) -> Callable:
    """A function of one matrix from drawn steps; each takes values made before, late ones more often."""

    def function(x: Any) -> Any:
        values = [x, x * 0.5 + 0.25]
        for name, i, j in program:
            a, b = values[-1 - i % min(4, len(values))], values[j % len(values)]
            if name in UNARY:
                values.append(UNARY[name](a))
            else:
                values.append(BINARY[name](a, b if b.shape == a.shape else b.T))
        if outputs == 1:
            return np.sum(values[-1] * 0.5)
        return values[-1] * 1.0, values[len(values) // 2], np.sum(values[-1], axis=0)

    return function


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.integers(0, 12), st.sampled_from(["float64", "float32"]), st.sampled_from([(3, 5), (20, 16)]))
def test_random_losses_have_the_same_bits(program: list, count: int, dtype: str, shape: tuple[int, int]) -> None:
    loss, x = written(program, 1), np.random.default_rng(1).standard_normal(shape).astype(dtype)
    expected = bits(dl.value_and_gradient(loss)(x))
    backend = dl.Reverse(checkpoints=count)
    assert bits(dl.value_and_gradient(loss, backend=backend)(x)) == expected
    assert bits(dl.prepare(loss, x, backend=backend).value_and_gradient(x)) == expected


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.integers(0, 12), st.sampled_from(["float64", "float32"]), st.sampled_from([(3, 5), (20, 16)]))
def test_random_functions_pull_back_the_same_bits(program: list, count: int, dtype: str, shape: tuple) -> None:
    function, x = written(program, 3), np.random.default_rng(2).standard_normal(shape).astype(dtype)
    value, pullback = dl.vjp(function, x)
    cotangents = tuple(np.random.default_rng(3).standard_normal(one.shape).astype(dtype) for one in value)
    again, pulled = dl.vjp(function, x, backend=dl.Reverse(checkpoints=count))
    assert bits([again, pulled(cotangents)]) == bits([value, pullback(cotangents)])


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "transposed": np.asfortranarray,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "every other": lambda a: np.repeat(np.repeat(a, 2, axis=0), 2, axis=1)[::2, ::2],
}


def weighted(w: Any, x: Any) -> Any:
    h = np.tanh(x)
    for _ in range(4):
        h = dl.nn.softmax(h, axis=0) * dl.nn.softmax(h, axis=1) + np.var(h, axis=1, keepdims=True)
    return h @ w


def multiplied(w: Any, x: Any) -> Any:
    for _ in range(6):
        x = np.tanh(x @ w)
    return x


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("function", "rows", "columns"), [(weighted, 64, 64), (multiplied, 1, 7)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_arguments_may_lie_in_memory_as_they_like(
    layout: str, function: Callable, rows: int, columns: int, dtype: str
) -> None:
    """Products and sums round by how their operands lie, so residuals and copies have to lie alike."""
    rng = np.random.default_rng(0)
    w = LAYOUTS[layout](rng.standard_normal((columns, columns)).astype(dtype) / 2)
    x = LAYOUTS[layout](rng.standard_normal((rows, columns)).astype(dtype))
    value, pullback = dl.vjp(function, w, x)
    cotangent = rng.standard_normal(value.shape).astype(dtype)
    for count in COUNTS:
        again, pulled = dl.vjp(function, w, x, backend=dl.Reverse(checkpoints=count))
        assert bits([again, pulled(cotangent)]) == bits([value, pullback(cotangent)])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs, st.integers(0, 12))
def test_the_tapes_are_well_formed(program: list, count: int) -> None:
    x = np.random.default_rng(1).standard_normal((3, 5))
    loss = trace_leaves(lambda leaves: [written(program, 1)(leaves[0])], [x])
    tape = simplify(gradient(loss, (0,)))
    found = recompute(tape, count)
    found.tape.check()
    assert len(found.tape) == len(tape) + found.equations
    assert len(simplify(found.tape)) == len(tape)  # the copies are copies: merged again, nothing is left of them
    assert bits(found.tape.evaluate([x])) == bits(tape.evaluate([x]))
    many = trace_leaves(lambda leaves: list(written(program, 3)(leaves[0])), [x])
    first, second = recompute_split(recompute(simplify(vjp(many, (0,))), count, 3), 3, 3)
    first.tape.check()
    second.tape.check()


# ---------------------------------------------------------------------------- the bytes


def test_a_chain_needs_the_memory_and_the_steps_that_theory_says() -> None:
    tape, arrays = chain_tape()
    value = arrays[0].nbytes
    assert make_plan(tape).nbytes >= 24 * value
    for count in range(24):
        found = recompute(tape, count)
        assert found.checkpoints == count
        assert found.kept_bytes == count * value
        assert make_plan(found.tape).nbytes <= (count + 5) * value
        # a state is the very value that goes back, so that a step need not run again to be reversed
        assert found.equations <= 2 * (fewest_advances(24, count) - 23)
    assert found.equations == 0
    assert recompute(tape, 5).levels == 1
    assert recompute(tape, 2).levels == 3


def test_steps_with_values_of_their_own_run_once_more_to_be_reversed() -> None:
    def wide(leaves: list[Any]) -> list[Any]:
        x = leaves[0]
        for _ in range(30):
            x = np.sum(np.sin(np.outer(x, x)) * 0.1, axis=0)
        return [np.sum(x * x)]

    x = np.linspace(0.1, 1.0, 40)
    tape = simplify(gradient(trace_leaves(wide, [x]), (0,)))
    plain = make_plan(tape).nbytes
    for count in (1, 3, 6, 12, 29):
        found = recompute(tape, count)
        assert found.steps in (30, 31)
        assert found.tape.evaluate([x])[1].tobytes() == tape.evaluate([x])[1].tobytes()
        assert found.share <= fewest_advances(found.steps, count) / 29
        assert make_plan(found.tape).nbytes <= 0.2 * plain


def test_all_states_kept_is_no_step_again_and_more_are_as_many_as_there_are() -> None:
    tape, _ = chain_tape()
    most = recompute(tape, 10_000)
    assert most.tape == tape
    assert most.checkpoints == 23
    assert most.equations == 0
    assert recompute(tape, 10**15).notes == most.notes  # at once, not after as many steps


def test_values_that_live_across_a_cut_are_kept_once() -> None:
    def skips(leaves: list[Any]) -> list[Any]:
        first = np.tanh(leaves[0])
        x = first
        for _ in range(12):
            x = np.tanh(x * first)
        return [np.sum(x)]

    x = np.linspace(0.1, 1.0, 50)
    tape = simplify(gradient(trace_leaves(skips, [x]), (0,)))
    found = recompute(tape, 3)
    assert found.kept_bytes == 4 * x.nbytes  # three states, and `first`, which is read in every step
    assert found.again[tape.equations[0].output] == 0


def test_copies_take_the_calls_of_their_originals() -> None:
    def loss(x: Any, w: Any) -> Any:
        for _ in range(6):
            x = np.tanh(x @ w)
        return np.sum(x)

    rng = np.random.default_rng(0)
    args = rng.standard_normal((1, 7)), rng.standard_normal((7, 7))
    tape = simplify(gradient(trace_leaves(lambda leaves: [loss(*leaves)], list(args)), (0, 1)))
    plain, found = Program(tape).text, Program(recompute(tape, 2)).text
    assert plain.count("matmul_") == 6
    # what the derivative multiplies by np.dot it still does, and every copy by np.matmul as in the loss
    assert found.count("dot_") == plain.count("dot_")
    again = recompute(tape, 2).again
    assert found.count("matmul_") == 6 + sum(again[e.output] for e in tape.equations if e.primitive.name == "matmul")
