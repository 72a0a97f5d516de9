"""Which equations share a kernel: the partition is complete, ordered and without cycles, and changes no bit."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cupy_double
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab.execution.device import fusion
from difflab.execution.device.evaluate import evaluate
from difflab.execution.device.fusion import Group, grouped
from difflab.execution.device.kernels import element_kernel, reduction_kernel
from difflab.primitives import REGISTRY as P
from difflab.tape import Guard, Tape, literal_array
from difflab.tracing import trace_leaves
from difflab.transforms.simplify import simplify

SHAPES = [(), (3,), (4, 3), (4, 1), (1, 3)]


def run_grouped(cupy: Any, tape: Tape, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The outputs, group by group, with the kernels that difflab would launch."""
    values = {number: cupy.asarray(value) for number, value in zip(tape.inputs, inputs, strict=True)}
    values.update({number: cupy.asarray(value) for number, value in tape.constants.items()})
    for number, value in tape.literals.items():
        values[number] = cupy.asarray(literal_array(value, tape.avals[number]))
    for group in grouped(tape):
        if group.kind == "single":
            equation = tape.equations[group.positions[0]]
            operands = [values[number] for number in equation.inputs]
            if equation.primitive.name == "matmul":
                values[equation.output] = operands[0] @ operands[1]
                continue
            aval = tape.avals[equation.output]
            values[equation.output] = evaluate(cupy, equation.primitive, operands, equation.params, aval)
            continue
        made = [cupy.empty(tape.avals[number].shape, tape.avals[number].dtype) for number in group.outputs]
        make = element_kernel if group.kind == "elements" else reduction_kernel
        make(cupy, tape, group)(*[values[number] for number in group.inputs], *made)
        values.update(zip(group.outputs, made, strict=True))
    return [values[number].get() for number in tape.outputs]


def check_partition(tape: Tape, groups: list[Group]) -> None:
    """Complete, ordered (hence without cycles), and within the limits."""
    assert sorted(position for group in groups for position in group.positions) == list(range(len(tape)))
    sources = fusion.seen_through(tape)
    bound = {*tape.inputs, *tape.constants, *tape.literals}
    for group in groups:
        assert bound.issuperset(group.inputs)
        equations = [tape.equations[position] for position in group.positions]
        assert list(group.positions) == sorted(group.positions)
        assert len(group.inputs) + len(group.outputs) <= fusion.OPERANDS
        inside = set(group.inputs) | set(tape.literals) if group.kind != "single" else bound
        for equation in equations:
            if equation.output not in sources:
                read = {sources.get(number, number) for number in equation.inputs}
                assert inside.issuperset(read) or equation.primitive.name == "zeros_like" or group.kind == "single"
            inside = inside | {equation.output}
        for number in group.outputs:
            shape = tape.avals[number].shape
            assert number in {equation.output for equation in equations}
            assert shape == group.shape or group.kind != "elements"
        bound.update(group.outputs)
    assert bound.issuperset([*tape.outputs, *[guard.value for guard in tape.guards]])


UNARY = ["tanh", "negative", "square", "exp", "sign", "zeros_like", "stop_gradient", "copy"]
BINARY = ["add", "subtract", "multiply", "maximum"]


def apply(choice: int, a: Any, b: Any) -> Any:
    """One instruction of a random program."""
    kind = choice % 9
    if kind == 0:
        return P[UNARY[choice // 9 % len(UNARY)]](a)
    if kind in (1, 2, 3):
        return P[BINARY[choice // 9 % len(BINARY)]](a, b)
    if kind == 4 and a.shape:
        axes = tuple(range(len(a.shape)))[choice // 9 % len(a.shape) :]
        return P[["sum", "max", "prod"][choice // 27 % 3]](a, axes=axes)
    if kind == 5:
        return P["broadcast_to"](a, shape=np.broadcast_shapes(a.shape, (4, 3)) if a.shape[-1:] != (4,) else a.shape)
    if kind == 6:
        return P["where"](P["less"](a, b), a, b)
    if kind == 7 and len(a.shape) < 2:
        return P["reshape"](a, shape=(1, *a.shape))
    if kind == 7 and len(a.shape) == 2:
        return P["transpose"](P["reshape"](a, shape=(a.shape[0], a.shape[1], 1)), axes=(0, 2, 1))
    return P["cast"](P["cast"](a, dtype="<f4"), dtype="<f8")


@st.composite
def programs(draw: Any) -> tuple[Tape, list[np.ndarray]]:
    """Random tapes over small shapes, some values of which are outputs and some guarded."""
    steps = draw(
        st.lists(st.tuples(st.integers(0, 999), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=25)
    )
    ends = draw(st.lists(st.integers(0, 99), min_size=1, max_size=4))
    inputs = [np.linspace(-1.0, 1.3, math.prod(shape)).reshape(shape) for shape in SHAPES]

    def build(leaves: list[Any]) -> list[Any]:
        values = list(leaves)
        for choice, first, second in steps:
            a, b = values[-1 - first % len(values)], values[-1 - second % len(values)]
            try:
                np.broadcast_shapes(a.shape, b.shape)
            except ValueError:
                b = a
            values.append(apply(choice, a, b))
        return [values[-1 - end % len(values)] for end in ends]

    tape = trace_leaves(build, inputs)
    scalars = [equation.output for equation in tape.equations if tape.avals[equation.output].shape == ()]
    if scalars and draw(st.booleans()):
        tape = dataclasses.replace(tape, guards=(Guard(scalars[len(scalars) // 2], 1.0),))
    return tape, inputs


@settings(max_examples=150, deadline=None)
@given(programs())
def test_the_partition_is_complete_and_ordered(program):
    tape, _ = program
    check_partition(tape, grouped(tape))
    check_partition(simplify(tape), grouped(simplify(tape)))


@settings(max_examples=100, deadline=None)
@given(programs())
def test_groups_compute_the_bits_of_equations(program):
    tape, inputs = program
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        cupy = cupy_double.install(patch)
        found = run_grouped(cupy, tape, inputs)
        for ours, plain in zip(found, tape.evaluate(inputs), strict=True):
            assert ours.dtype == plain.dtype
            np.testing.assert_array_equal(ours, plain)


@settings(max_examples=60, deadline=None)
@given(programs(), st.integers(5, 12), st.integers(1, 6))
def test_small_kernels_are_cut_from_long_chains(program, operands, lines):
    tape, inputs = program
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(fusion, "OPERANDS", operands)
        patch.setattr(fusion, "LINES", lines)
        patch.setattr(fusion, "SMALL", 2)
        groups = grouped(tape)
        check_partition(tape, groups)
        assert all(sum(tape.equations[p].output not in fusion.seen_through(tape) for p in group.positions) <= lines + 1
                   for group in groups)  # fmt: skip
        found = run_grouped(cupy_double.install(patch), tape, inputs)
        for ours, plain in zip(found, tape.evaluate(inputs), strict=True):
            np.testing.assert_array_equal(ours, plain)


# ---------------------------------------------------------------------------- what fuses


def traced(function: Any, *inputs: np.ndarray) -> Tape:
    return simplify(trace_leaves(lambda leaves: list(function(*leaves)), list(inputs)))


def names(tape: Tape) -> list[tuple[str, ...]]:
    return [tuple(tape.equations[position].primitive.name for position in group.positions) for group in grouped(tape)]


X, W, B = np.ones((8, 5)), np.ones((5, 6)), np.ones(6)


def test_what_stands_between_two_products_is_one_kernel():
    tape = traced(lambda x, w, b: [np.tanh(x @ w + b) @ w.T], X, W, B)
    assert names(tape) == [("matmul",), ("add", "tanh"), ("transpose",), ("matmul",)]


def test_a_reduction_takes_what_feeds_it():
    tape = traced(lambda x: [np.sum(np.exp(x) * x, axis=0)], X)
    assert names(tape) == [("exp", "multiply", "sum")]
    (group,) = grouped(tape)
    assert (group.kind, group.shape, group.axes, group.inputs) == ("reduction", (8, 5), (0,), tape.inputs)


def test_what_a_reduction_and_another_read_is_stored():
    tape = traced(lambda x: [np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)], X)
    assert names(tape) == [("exp",), ("sum",), ("reshape",), ("divide",)]


def test_a_derivative_waits_for_its_reader_and_is_not_stored():
    def loss(x, w):
        return np.sum(np.tanh(x @ w))

    tape = simplify(trace_leaves(lambda leaves: [dl.gradient(lambda w: loss(leaves[0], w))(leaves[1])], [X, W]))
    chains = [group for group in grouped(tape) if group.kind == "elements"]
    assert len(chains) == 1, names(tape)
    assert len(chains[0].outputs) == 1


def test_repeated_elements_are_not_stored():
    tape = traced(lambda x, b: [P["broadcast_to"](b, shape=(8, 6)) * P["broadcast_to"](x[:, :1], shape=(8, 6))], X, B)
    group = next(group for group in grouped(tape) if group.kind == "elements")
    assert [tape.equations[p].primitive.name for p in group.positions] == ["broadcast_to", "broadcast_to", "multiply"]
    assert {tape.avals[number].shape for number in group.inputs} == {(6,), (8, 1)}


def test_axes_put_before_the_others_are_seen_through_and_those_behind_are_not():
    tape = traced(lambda x, b: [x * np.reshape(b, (1, 6)), np.reshape(b, (6, 1)) * x.T], np.ones((8, 6)), B)
    first, second = [group for group in grouped(tape) if group.kind == "elements"]
    assert tape.inputs[1] in first.inputs
    assert tape.inputs[1] not in second.inputs


def test_a_view_that_a_product_reads_stays_a_view():
    tape = traced(lambda x, b: [P["broadcast_to"](b, shape=(5, 6)) * 2.0, x @ P["broadcast_to"](b, shape=(5, 6))], X, B)
    kinds = {tape.equations[group.positions[0]].primitive.name: group.kind for group in grouped(tape)}
    assert kinds["broadcast_to"] == "single"


def test_a_cheap_number_is_computed_in_the_loop_that_reads_it():
    tape = traced(lambda x, s: [x * (s + s)], X, np.array(2.0))
    assert names(tape) == [("add", "multiply")]


def test_a_dear_number_is_computed_once_for_a_long_loop():
    many = np.broadcast_to(np.array(1.0), (1 << 12, 1 << 12))
    tape = traced(lambda x, s: [x * np.tanh(s)], many, np.array(2.0))
    assert names(tape) == [("tanh",), ("multiply",)]


def test_unrelated_short_chains_share_a_kernel_and_long_ones_do_not():
    def both(a, b):
        return [a * a, b + b]

    assert len(grouped(traced(both, X, X))) == 1
    many = np.broadcast_to(np.array(1.0), (1 << 10, 1 << 10))
    assert len(grouped(traced(both, many, many))) == 2


def test_guarded_values_are_outputs():
    tape = traced(lambda x: [np.tanh(x) * 2.0], np.array(0.5))
    guarded = dataclasses.replace(tape, guards=(Guard(tape.equations[0].output, 0.1),))
    (group,) = grouped(guarded)
    assert tape.equations[0].output in group.outputs


def test_no_chain_leads_out_of_a_kernel_and_back():
    tape = traced(lambda x: [(np.tanh(x) + (np.tanh(x) @ np.ones((5, 5)))) * x], X)
    assert names(tape) == [("tanh",), ("matmul",), ("add", "multiply")]


def test_a_kernel_has_no_more_operands_than_arguments_fit():
    inputs = [np.ones(3) for _ in range(100)]
    tape = traced(lambda *xs: [sum(xs[1:], xs[0])], *inputs)
    groups = grouped(tape)
    check_partition(tape, groups)
    assert len(groups) == 2
    wide = traced(lambda *xs: [sum(xs[1:], xs[0])], *[np.ones((1, 2, 1, 2)) for _ in range(100)])
    assert max(len(group.inputs) + len(group.outputs) for group in grouped(wide)) <= 48


def test_groups_run_near_to_where_they_stand():
    """A weight's gradient is not put off to the end of the tape, which would keep all activations alive."""

    def loss(ws):
        h = X
        for w in ws:
            h = np.tanh(h @ w)
        return np.sum(h * h)

    ws = [np.ones((5, 5)) for _ in range(4)]
    tape = simplify(trace_leaves(lambda leaves: list(dl.gradient(loss)(list(leaves))), ws))
    groups = grouped(tape)
    products = [group.positions[0] for group in groups if tape.equations[group.positions[0]].primitive.name == "matmul"]
    assert products == sorted(products)
