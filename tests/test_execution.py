"""Compiled programs: the tape's values bit for bit, no aliasing, any layout, any thread, guards, structure."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from samples import BINARY, CUBE, MEAN, UNARY, agree, compose, leaves_of, nearly, no_aliases, rng_of, strided, traced

from difflab import nn, transforms
from difflab.errors import GuardError
from difflab.execution.plan import Passed, make_plan
from difflab.execution.program import Program
from difflab.operators import gradient, prepare

STEPS = st.lists(
    st.tuples(st.integers(0, len(UNARY) + len(BINARY) - 1), st.integers(0, 40), st.integers(0, 40)),
    min_size=1,
    max_size=16,
)
DTYPE = st.sampled_from(["float64", "float32"])
INEXACT = (np.sin, np.sqrt, np.exp, np.divide)
EXACT = [i for i, f in enumerate([*UNARY, *BINARY]) if f not in INEXACT and i not in (MEAN, CUBE)]


def numbers(shape: tuple[int, ...], label: str = "execution", dtype: str = "float64") -> np.ndarray:
    return np.asarray(rng_of(label).standard_normal(shape)).astype(dtype)


# ---------------------------------------------------------------------------- the same bits


@settings(max_examples=120)
@given(STEPS, DTYPE)
def test_compiled_programs_give_the_bits_of_the_tape(steps, dtype):
    leaves = leaves_of("execution", dtype)
    with np.errstate(all="ignore"):
        tape = traced(lambda *inputs: compose(steps, inputs), *leaves).check()
        program = Program(tape)
        kept = [leaf.copy() for leaf in leaves]
        expected = tape.evaluate(leaves)
        first = program.run(leaves)
        assert agree(first, expected)
        assert agree(leaves, kept)
        no_aliases(first, leaves)
        other = leaves_of("other", dtype)
        assert agree(program.run(other), tape.evaluate(other))
        assert agree(first, expected)  # the second run did not touch the results of the first
        assert agree(program.run(leaves), expected)


@settings(max_examples=80)
@given(st.lists(st.tuples(st.sampled_from(EXACT), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=7))
def test_any_layout_of_the_inputs(steps):
    # Small integers, so that sums are exact in any order of summation.
    leaves = [np.round(leaf) for leaf in leaves_of("execution")]
    tape = traced(lambda *inputs: compose(steps, inputs), *leaves)
    expected = tape.evaluate(leaves)
    assume(all(np.max(np.abs(value), initial=0.0) < 2.0**26 for value in expected))
    program = Program(tape)
    for change in (strided, lambda a: np.array(a, order="F"), lambda a: np.broadcast_to(a, (2, *a.shape))[1]):
        views = [change(leaf) for leaf in leaves]
        assert all(np.array_equal(a, b) for a, b in zip(program.run(views), expected, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(views, leaves, strict=True))


@settings(max_examples=80)
@given(STEPS, DTYPE)
def test_compiled_derivatives_are_those_of_the_tape(steps, dtype):
    leaves = leaves_of("execution", dtype)
    with np.errstate(all="ignore"):
        tape = traced(lambda *inputs: compose(steps, inputs), *leaves)
        seeds = [np.ones(tape.avals[number].shape, tape.avals[number].dtype) for number in tape.outputs]
        pull, push = transforms.vjp(tape, range(5)), transforms.jvp(tape, range(5))
        tangents = [np.ones_like(leaf) for leaf in leaves]
        pulled, pushed = Program(pull).run([*leaves, *seeds]), Program(push).run([*leaves, *tangents])
        assert nearly(pulled, pull.evaluate([*leaves, *seeds]))
        assert nearly(pushed, push.evaluate([*leaves, *tangents]))
        no_aliases(pulled, [*leaves, *seeds])
        no_aliases(pushed, [*leaves, *tangents])


def test_results_never_alias_buffers_inputs_constants_or_each_other():
    constant = np.arange(3.0)
    x = np.ones((2, 3))

    def f(x):
        y = np.exp(x)
        z = y * 2.0
        return [x, x, x.T, y, y, y[0], y.T, z.reshape(6), np.broadcast_to(constant, (2, 3)), constant * 1, x[::-1]]

    tape = traced(f, x)
    passed = replace(tape, constants={number: Passed(place) for place, number in enumerate(tape.constants)})
    for program in (Program(tape), Program(passed)):
        constants = list(tape.constants.values())
        first = program.run([x], constants)
        no_aliases(first, [x, constant, *tape.constants.values()])
        saved = [np.array(result) for result in first]
        for result in first:
            result[...] = -7.0
        assert agree(program.run([x], constants), saved)
    assert np.array_equal(constant, [0.0, 1.0, 2.0])
    assert np.array_equal(x, np.ones((2, 3)))


def test_inputs_are_not_written_to_even_where_they_die_first():
    x = np.ones(4)
    x.flags.writeable = False

    def f(x):
        return np.sin(x) * np.sin(x) + x * x - x

    assert np.array_equal(Program(traced(f, x)).run([x])[0], f(x))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (1,), (1, 1), (1, 0, 1), ()])
def test_empty_and_single_dimensions(shape):
    def f(x):
        y = np.exp(x * 2.0) - x
        total = np.sum(y, axis=-1 if y.ndim else None, keepdims=True)
        return [np.sum(y), total, y.T, np.reshape(y, (*y.shape, 1)), y @ y.T if y.ndim == 2 else y]

    x = numbers(shape)
    tape = traced(f, x)
    assert agree(Program(tape).run([x]), tape.evaluate([x]))
    assert np.array_equal(gradient(lambda x: np.sum(x * x))(x), 2 * x)


def test_a_slice_of_no_axes_is_a_view_of_its_buffer():
    # The derivative of a padding of nothing: a copy made at set-up would hold whatever the buffer held then.
    prepared = prepare(lambda x: np.sin(np.pad(x * 3.0, 1)) * 2.0, np.array(0.5))
    assert [prepared.gradient(np.array(p)) for p in (0.5, 0.1)] == [6 * np.cos(1.5), 6 * np.cos(0.1 * 3.0)]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layout", ["plain", "fortran", "strided", "backwards", "broadcast"])
def test_layouts_of_inputs_of_a_network(layout, dtype):
    x, w = numbers((8, 12), "x", dtype), numbers((12, 5), "w", dtype)
    change = {
        "plain": np.array,
        "fortran": np.asfortranarray,
        "strided": lambda a: np.repeat(np.repeat(a, 2, 0), 3, 1)[::2, ::3],
        "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
        "broadcast": lambda a: np.broadcast_to(a, (2, *a.shape))[1],
    }[layout]

    def loss(w, x):
        return np.mean(np.tanh(x @ w) ** 2) + np.sum(np.max(w, axis=0)) + np.sum(w[::2, 1:] * 0.5)

    expected = prepare(loss, w, x).value_and_gradient(w, x)
    found = prepare(loss, w, x).value_and_gradient(change(w), change(x))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-7)
    assert found[1].dtype == dtype


# ---------------------------------------------------------------------------- the plan


def test_buffers_are_reused():
    def f(x):
        for k in range(40):
            x = np.sin(x) @ np.ones((32, 32)) + float(k)
        return np.sum(x)

    tape = transforms.simplify(traced(f, np.ones((32, 32))))
    plan = make_plan(tape)
    assert plan.nbytes <= 3 * 32 * 32 * 8 < tape.bytes / 30
    program = Program(tape)
    assert program.stats["buffer_bytes"] == plan.nbytes
    assert program.stats["in_place"] > 30
    derived = transforms.simplify(transforms.gradient(tape, (0,)))
    assert make_plan(derived).nbytes < derived.bytes


IN_PLACE = {
    "twice": lambda x: [np.sin(y := x * 2.0) * np.sin(y), (np.exp(x) - np.exp(x)) + 1],
    "the same operand": lambda x: [(y := x * 2.0) * y + (z := np.cos(x)) / z],
    "a live view": lambda x: [(y := x * 2.0) + 1.0, np.sum(y.T, axis=0)],
    "its own transpose": lambda x: [(y := x * 2.0) - y.T],
    "its own transpose first": lambda x: [(y := x * 2.0).T - y],
    "reversed": lambda x: [(y := np.exp(x)) + y[::-1]],
    "reversed twice": lambda x: [(y := np.exp(x))[::-1] + y[:, ::-1]],
    "a row against the whole": lambda x: [(y := np.exp(x)) - y[0], (z := np.exp(x)) * z[:, :1]],
    "a broadcast of itself": lambda x: [(y := np.exp(x)) * np.broadcast_to(np.sum(y, axis=0), (3, 3)) + y],
    "a view that outlives": lambda x: [v := (y := x * 2.0).T, (y + 1.0) * 3.0, v * 2.0],
    "a reshape that copies": lambda x: [np.reshape((y := x * 2.0).T, 9) * 2.0, y * 3.0],
    "a chain": lambda x: [np.abs(-np.exp(np.sin(x * 2.0) + 1.0) * 3.0) + 2.0],
    "to another dtype and back": lambda x: [(x * 2.0).astype("f4").astype("f8") + (x * 2.0 > 1) * x],
    "shifted windows": lambda x: [(y := x * 2.0)[1:] * y[:-1] + y[1:]],
    "a sum and what was summed": lambda x: [(y := np.exp(x)) / np.sum(y, axis=1, keepdims=True)],
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_work_never_overwrites_what_is_still_read(name):
    def f(x):  # nothing is a result of its own, so that all of it lives in buffers
        return [np.sum(np.sin(y) * numbers(y.shape, f"w{i}")) for i, y in enumerate(IN_PLACE[name](x))]

    x = numbers((3, 3))
    for function in (f, IN_PLACE[name]):
        tape = traced(function, x)
        assert agree([np.asarray(y) for y in function(x)], tape.evaluate([x]))
        expected = tape.evaluate([x])
        program = Program(tape)
        assert agree(program.run([x]), expected)
        assert agree(program.run([x]), expected)


# ---------------------------------------------------------------------------- threads


def test_eight_threads_share_one_program():
    def loss(w, x):
        return np.mean(nn.softmax(np.tanh(x @ w) @ w.T) ** 2)

    w = numbers((6, 7), "w")
    points = [numbers((5, 6), f"x{i}") for i in range(8)]
    prepared = prepare(loss, w, points[0])
    expected = [prepared.value_and_gradient(w, x) for x in points]
    wrong: list[int] = []
    start = threading.Barrier(8)

    def work(i: int) -> None:
        start.wait()
        for k in range(60):
            j = (i + k) % 8
            value, slope = prepared.value_and_gradient(w, points[j])
            if value != expected[j][0] or not np.array_equal(slope, expected[j][1]):
                wrong.append(j)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert prepared.stats["traces"] == 1


# ---------------------------------------------------------------------------- guards


def branching(x):
    return 2 * x if x > 0 else -x


def test_a_program_refuses_another_branch():
    program = Program(traced(branching, np.array(3.0)))
    assert program.run([np.array(5.0)])[0] == 10.0
    with pytest.raises(GuardError):
        program.run([np.array(-5.0)])
    assert program.run([np.array(1.0)])[0] == 2.0  # and is none the worse for it


def test_prepared_traces_each_branch_once():
    prepared = prepare(branching, 3.0)
    assert [prepared.gradient(p) for p in (1.0, -1.0, 2.0, -2.0, 3.0)] == [2.0, -1.0, 2.0, -1.0, 2.0]
    assert prepared.stats["traces"] == 2


def loops(n, x):
    if n + 0:
        x = x + 1.0
    for _ in range(n + 0):
        x = x * x
    if n + 0:
        x = x + 1.0
    return np.sum(x)


def test_an_integer_is_guarded_by_its_value_also_where_it_was_a_truth_value():
    x = np.array([0.5, 2.0])
    prepared = prepare(loops, np.array(1), x, argnums=1)
    for n in (1, 3, 2, 0):
        assert np.allclose(prepared.gradient(np.array(n), x), 2**n * (x + bool(n)) ** (2**n - 1), rtol=1e-14)
    assert prepared.stats["traces"] == 4


def test_warnings_are_those_of_the_plain_loss():
    x = np.array([0.0, 1.0])
    assert np.array_equal(gradient(lambda x: np.sum(np.sqrt(x)))(x), [np.inf, 0.5])  # 1/0, without a word
    with pytest.warns(RuntimeWarning, match="divide by zero encountered in log"):
        gradient(lambda x: np.sum(np.log(x)))(x)


def test_sums_by_product_are_noted_and_right():
    x = numbers((40, 30))
    tape = traced(lambda x: np.sum(np.exp(x), axis=0), x)
    program = Program(tape)
    assert program.stats["sums_by_product"] == 1
    np.testing.assert_allclose(program.run([x])[0], np.sum(np.exp(x), axis=0), rtol=1e-14)
    assert Program(traced(lambda x: np.sum(np.exp(x), axis=0), x[:2, :2])).stats["sums_by_product"] == 0
