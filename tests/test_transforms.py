"""Tapes and what is made of them: simplify, forward, reverse, compositions, split, checks, the exchange format."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import BINARY, UNARY, Steps, compose, leaves_of, rng_of, same_bits

from difflab import nn, transforms
from difflab.builder import Shape
from difflab.primitives import REGISTRY
from difflab.primitives.record import Aval
from difflab.tape import Equation, Guard, Span, Tape
from difflab.tracing import trace_leaves
from difflab.transforms.split import split

STEPS = st.lists(
    st.tuples(st.integers(0, len(UNARY) + len(BINARY) - 1), st.integers(0, 40), st.integers(0, 40)),
    min_size=1,
    max_size=14,
)
DTYPE = st.sampled_from(["float64", "float32"])
F8 = np.dtype("f8")


def drawn(steps: Steps, dtype: str) -> tuple[Tape, list[np.ndarray]]:
    leaves = leaves_of("transforms", dtype)
    with np.errstate(all="ignore"):
        return trace_leaves(lambda inputs: compose(steps, inputs), leaves).check(), leaves


def quietly(tape: Tape, leaves: list[Any]) -> list[Any]:
    with np.errstate(all="ignore"):
        return tape.evaluate(leaves)


# ---------------------------------------------------------------------------- simplify


@settings(max_examples=80)
@given(STEPS, DTYPE)
def test_simplify_keeps_every_bit(steps, dtype):
    tape, leaves = drawn(steps, dtype)
    shorter = transforms.simplify(tape).check()
    assert len(shorter) <= len(tape)
    assert len(transforms.simplify(shorter)) == len(shorter)
    leaves[0][0, 0], leaves[0][1, 1], leaves[1][2] = np.nan, -0.0, np.inf
    for a, b in zip(quietly(tape, leaves), quietly(shorter, leaves), strict=True):
        assert same_bits(a, b)


@settings(max_examples=40)
@given(STEPS)
def test_simplify_keeps_every_bit_of_derivatives(steps):
    tape, leaves = drawn(steps, "float64")
    derived = transforms.vjp(tape, (0, 1, 2)).check()
    seeds = [rng_of(f"g{i}").standard_normal(tape.avals[n].shape) for i, n in enumerate(tape.outputs)]
    seeds = [np.asarray(seed).astype(tape.avals[n].dtype) for seed, n in zip(seeds, tape.outputs, strict=True)]
    shorter = transforms.simplify(derived).check()
    for a, b in zip(quietly(derived, [*leaves, *seeds]), quietly(shorter, [*leaves, *seeds]), strict=True):
        assert same_bits(a, b)


def names(tape: Tape) -> list[str]:
    return [equation.primitive.name for equation in tape.equations]


def simplified(function, *leaves) -> list[str]:
    return names(transforms.simplify(trace_leaves(lambda inputs: [function(*inputs)], leaves)))


def test_simplify_removes_what_is_done_twice_or_for_nothing():
    x = np.ones((2, 3))
    assert simplified(lambda x: np.sin(x) + np.sin(x), x) == ["sin", "add"]
    assert simplified(lambda x: (np.exp(x), x * 1)[1], x) == []
    assert simplified(lambda x: np.reshape(np.reshape(x, (6,)), (3, 2)), x) == ["reshape"]
    assert simplified(lambda x: np.transpose(np.transpose(x[None], (1, 2, 0)), (2, 0, 1)), x) == ["reshape"]
    assert simplified(lambda x: x.T.T, x) == []


def test_simplify_does_not_touch_what_could_change_a_bit():
    x = np.array([-0.0, np.nan, np.inf])
    assert simplified(lambda x: x + 0, x) == ["add"]  # -0 + 0 is +0
    assert simplified(lambda x: x * 0, x) == ["multiply"]  # nan and inf give nan
    assert simplified(lambda x: x - x, x) == ["subtract"]
    assert simplified(lambda x: x / x, x) == ["divide"]
    assert simplified(lambda x: np.negative(-x), x) == ["negative", "negative"]
    assert simplified(lambda x: 1 / x, x) == ["divide"]


def test_simplify_never_reads_a_constant():
    ones = np.ones(3)
    assert simplified(lambda x: x * ones, np.ones(3)) == ["multiply"]
    assert simplified(lambda x: x * 1.0, np.ones(3)) == ["multiply"]  # a float in the text is data


def test_equal_parameters_of_another_kind_are_not_the_same_expression():
    assert simplified(lambda x: (x**3) * (x**-3), np.ones(2)) == ["integer_power", "integer_power", "multiply"]
    assert simplified(lambda x: np.sum(x, 0) + np.sum(x, 1), np.ones((2, 2))) == ["sum", "sum", "add"]


# ---------------------------------------------------------------------------- spans and guards


def test_spans_survive_transforms_and_point_at_their_equations():
    def loss(inputs):
        x, w = inputs
        unused = np.exp(x)  # removed, so that positions move
        h = nn.softmax(x @ w, axis=-1)
        return [np.mean(h) + 0 * np.sum(unused[0, 0]) * 0 + np.var(h)]

    leaves = [np.ones((2, 3)), np.ones((3, 2))]
    tape = trace_leaves(loss, leaves)
    for derived in (tape, transforms.simplify(tape), transforms.simplify(transforms.gradient(tape, (0, 1)))):
        found = {span.name: span for span in derived.spans}
        assert {"softmax", "mean", "var"} <= set(found)
        softmax = found["softmax"]
        made = [equation.output for equation in derived.equations[softmax.start : softmax.stop]]
        assert softmax.result in made
        inside = names(derived)[softmax.start : softmax.stop]
        assert inside[0] == "max"
        assert inside.count("exp") == 1
        read = {n for e in derived.equations[softmax.start : softmax.stop] for n in e.inputs} - set(made)
        assert read - set(derived.literals) - set(derived.constants) == set(softmax.arguments)
        assert softmax.params == {"axes": (1,)}


def test_guards_survive_transforms():
    tape = trace_leaves(lambda inputs: [inputs[0] * 2 if inputs[0] > 0 else inputs[0]], [np.array(3.0)])
    assert [guard.observed for guard in tape.guards] == [True]
    for derived in (transforms.simplify(tape), transforms.gradient(tape, (0,)), transforms.jvp(tape, (0,))):
        derived = transforms.simplify(derived)
        (guard,) = derived.guards
        (greater,) = [e.output for e in derived.equations if e.primitive.name == "greater"]
        assert guard == Guard(greater, True)


def test_a_truth_value_and_an_integer_of_one_value_are_both_guarded():
    def f(inputs):
        n, x = inputs
        for _ in range(n + 0):
            x = x * 2
        if n + 0:
            x = x + 1
        return [x]

    guards = transforms.simplify(trace_leaves(f, [np.array(1), np.array(3.0)])).guards
    assert any(type(guard.observed) is int and guard.observed == 1 for guard in guards)


# ---------------------------------------------------------------------------- derivatives


@settings(max_examples=60)
@given(STEPS)
def test_forward_and_reverse_are_transposes_of_each_other(steps):
    smooth = [step for step in steps if UNARY[step[0] % len(UNARY)] is not np.sqrt] or [(0, 0, 0)]
    tape, leaves = drawn(smooth, "float64")
    wrt = (0, 1, 2, 3)
    tangents = [rng_of(f"t{i}").standard_normal(leaves[i].shape) for i in wrt]
    pushed = quietly(transforms.jvp(tape, wrt), [*leaves, *tangents])[len(tape.outputs) :]
    seeds = [np.asarray(rng_of(f"g{i}").standard_normal(p.shape)).astype(p.dtype) for i, p in enumerate(pushed)]
    pulled = quietly(transforms.vjp(tape, wrt), [*leaves, *seeds])[len(tape.outputs) :]
    left = [np.sum(g.astype("f8") * p) for g, p in zip(seeds, pushed, strict=True)]
    right = [np.sum(p * t) for p, t in zip(pulled, tangents, strict=True)]
    assert [p.shape for p in pulled] == [leaves[i].shape for i in wrt]
    assert all(p.dtype == np.float64 for p in pulled)
    if np.all(np.isfinite(left)) and np.all(np.isfinite(right)):
        sizes = [np.sum(np.abs(g * p)) for g, p in zip(seeds, pushed, strict=True)]
        single = any(tape.avals[e.output].dtype == np.float32 for e in tape.equations)
        assert abs(sum(left) - sum(right)) <= (1e-4 if single else 1e-10) * (1 + sum(sizes))


def test_an_output_that_is_an_input_or_depends_on_nothing():
    tape = trace_leaves(lambda v: [v[0], v[0], np.floor(v[0]), v[1] * 1.0], [np.ones(2), np.ones(3)])
    x, y, t = np.array([1.5, 2.0]), np.ones(3), np.array([3.0, 4.0])
    pushed = transforms.jvp(tape, (0,)).evaluate([x, y, t])[4:]
    assert [p.tolist() for p in pushed] == [[3.0, 4.0], [3.0, 4.0], [0.0, 0.0], [0.0, 0.0, 0.0]]
    pulled = transforms.vjp(tape, (0, 1)).evaluate([x, y, t, 2 * t, t, y])[4:]
    assert [p.tolist() for p in pulled] == [[9.0, 12.0], [1.0, 1.0, 1.0]]


def test_what_has_no_derivative_after_all_stops_the_tangent():
    x = np.array([1.5, 2.5])
    for function in (lambda v: np.max(v**0) * v, lambda v: v * v.astype(int), lambda v: v.astype(int).max() * v):
        tape = trace_leaves(lambda v, f=function: [f(v[0])], [x])
        _, pushed = transforms.jvp(tape, (0,)).evaluate([x, np.array([2.0, 4.0])])
        _, pulled = transforms.vjp(tape, (0,)).evaluate([x, np.ones(2)])
        assert np.array_equal(pushed, pulled * [2.0, 4.0])


THIRD = [
    (np.sin, lambda x: -math.cos(x)),
    (np.exp, math.exp),
    (lambda x: x**5, lambda x: 60 * x**2),
    (lambda x: 1 / x, lambda x: -6 / x**4),
    (np.log, lambda x: 2 / x**3),
    (np.sqrt, lambda x: 0.375 * x**-2.5),
    (np.tanh, lambda x: (4 * math.sinh(x) ** 2 - 2) / math.cosh(x) ** 4),
    (lambda x: x**2.5, lambda x: 1.875 * x**-0.5),
    (lambda x: np.sum(x * np.ones(3)) ** 3, lambda x: 162.0),
    (lambda x: np.linalg.norm(np.stack([x, 2 * x])), lambda x: 0.0),
]


@pytest.mark.parametrize("modes", ["rrr", "fff", "frf", "rfr"])
@pytest.mark.parametrize(("function", "third"), THIRD, ids=[str(i) for i in range(len(THIRD))])
def test_third_derivative_by_composition(function, third, modes):
    point = np.array(0.7)
    tape = trace_leaves(lambda v: [function(v[0])], [point])
    for mode in modes:
        if mode == "r":
            derived = transforms.gradient(tape, (0,))
            tape = replaced(derived, derived.outputs[1:])
        else:
            derived = transforms.jvp(tape, (0,))
            whole = derived
            inner = trace_leaves(lambda v, w=whole: [onto(w, [v[0], 0 * v[0] + 1])[-1]], [point])
            tape = inner
        tape = transforms.simplify(tape).check()
    np.testing.assert_allclose(tape.evaluate([point])[0], third(0.7), rtol=1e-11, atol=1e-12)


def replaced(tape: Tape, outputs: tuple[int, ...]) -> Tape:
    fields = {name: getattr(tape, name) for name in tape.__dataclass_fields__}
    return Tape(**{**fields, "outputs": tuple(outputs)})


def onto(tape: Tape, operands: list[Any]) -> list[Any]:
    values = transforms.inline(operands[0].builder, tape, operands)
    return [values[number] for number in tape.outputs]


# ---------------------------------------------------------------------------- split


@settings(max_examples=30)
@given(STEPS)
def test_split_is_the_whole_in_two_steps(steps):
    tape, leaves = drawn(steps, "float64")
    count = len(tape.outputs)
    whole = transforms.simplify(transforms.vjp(tape, (0, 1)))
    first, second = split(whole, count, count)
    for part in (first, second):
        part.check()
    assert len(first) + len(second) == len(whole)
    seeds = [np.ones(tape.avals[number].shape, tape.avals[number].dtype) for number in tape.outputs]
    early = quietly(first, leaves)
    late = quietly(second, [*early[count:], *seeds])
    for a, b in zip(quietly(whole, [*leaves, *seeds]), [*early[:count], *late], strict=True):
        assert same_bits(a, b)


# ---------------------------------------------------------------------------- malformed tapes


def tape_with(**changes: Any) -> Tape:
    one = Aval((2,), F8)
    fields: dict[str, Any] = dict(
        avals=(one, one, one),
        inputs=(0,),
        constants={1: np.ones(2)},
        literals={},
        equations=(Equation(REGISTRY["add"], (0, 1), {}, 2),),
        outputs=(2,),
    )
    return Tape(**{**fields, **changes})


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"inputs": (0, 1)}, "value 1 is bound twice"),
    ({"literals": {0: 1.0}}, "value 0 is bound twice"),
    ({"constants": {}}, r"equation 0 \(add\) uses value 1 before it is bound"),
    ({"equations": (Equation(REGISTRY["add"], (0, 1), {}, 1),)}, r"equation 0 \(add\) binds value 1 a second time"),
    ({"avals": (Aval((2,), F8),) * 2 + (Aval((3,), F8),)}, r"float64\[2\] but its value is noted as float64\[3\]"),
    ({"avals": (Aval((2,), F8),) * 2 + (Aval((2,), np.dtype("f4")),)}, r"float64\[2\] but .* noted as float32\[2\]"),
    ({"outputs": (7,)}, "output or guard refers to value 7, which nothing binds"),
    ({"guards": (Guard(9, True),)}, "output or guard refers to value 9"),
    ({"equations": (Equation(REGISTRY["add"], (0, 2), {}, 2),)}, "uses value 2 before it is bound"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS, ids=[message for _, message in FAULTS])
def test_check_finds_a_malformed_tape(changes, message):
    assert len(tape_with().check()) == 1
    with pytest.raises(ValueError, match=message):
        tape_with(**changes).check()


def test_a_tape_wants_as_many_inputs_as_it_has():
    with pytest.raises(ValueError, match="the tape takes 1 inputs, got 2"):
        tape_with().evaluate([np.ones(2), np.ones(2)])


# ---------------------------------------------------------------------------- exchange format


def round_trip(tape: Tape) -> Tape:
    text, arrays = tape.to_json()
    return Tape.from_json(text, {name: np.array(array) for name, array in arrays.items()})


def assert_equal_tapes(a: Tape, b: Tape) -> None:
    for name in ("avals", "inputs", "outputs", "spans", "guards", "quiet_from", "names", "equations"):
        assert getattr(a, name) == getattr(b, name), name
    assert [type(guard.observed) for guard in a.guards] == [type(guard.observed) for guard in b.guards]
    first, second = ([(n, type(v), repr(v)) for n, v in tape.literals.items()] for tape in (a, b))
    assert first == second
    assert list(a.constants) == list(b.constants)
    assert all(same_bits(a.constants[n], b.constants[n]) for n in a.constants)


@settings(max_examples=40)
@given(STEPS, DTYPE)
def test_json_round_trip_of_drawn_tapes(steps, dtype):
    tape, leaves = drawn(steps, dtype)
    again = round_trip(tape)
    assert_equal_tapes(tape, again)
    for a, b in zip(quietly(tape, leaves), quietly(again, leaves), strict=True):
        assert same_bits(a, b)


def test_json_round_trip_of_everything_else():
    def f(inputs):
        n, x, w = inputs
        if np.sum(x) > 0:
            x = nn.conv2d(x, w, padding="same")
        for _ in range(n):
            x = nn.max_pool2d(x, 2, 1) * -0.0 + np.broadcast_to(x, tuple(np.array((1, *x.shape))))[0, :, :-1, :-1]
        x = np.where(np.isnan(x), math.nan, x) + 1e-320 + math.inf * 0.5
        return [np.mean(nn.softmax(x)) + np.var(x, axis=(0, -1), ddof=1)[0, 0], x[::-1, ::2], np.argmax(x, 1)]

    leaves = [np.array(2), np.ones((1, 5, 5, 1)), np.ones((3, 3, 1, 1))]
    tape = trace_leaves(f, leaves, ("n", "x", "w"))
    derived = transforms.gradient(replaced(tape, tape.outputs[:1]), (1, 2))
    for each in (tape, derived, transforms.simplify(derived)):
        again = round_trip(each)
        assert_equal_tapes(each, again)
        assert all(same_bits(a, b) for a, b in zip(quietly(each, leaves), quietly(again, leaves), strict=True))
    assert isinstance(tape.spans[0], Span)
    assert tape.pretty().splitlines()[0] == "v0    int64[]            input n"


def test_json_of_another_version_or_a_broken_tape_is_refused():
    text, arrays = tape_with().to_json()
    with pytest.raises(ValueError, match="tape format 2 is not known here"):
        Tape.from_json(text.replace('"version": 1', '"version": 2'), arrays)
    with pytest.raises(ValueError, match="refers to value 5"):
        Tape.from_json(text.replace('"outputs": [2]', '"outputs": [5]'), arrays)
    with pytest.raises(KeyError, match="no primitive is called 'frobnicate'"):
        Tape.from_json(text.replace('"add"', '"frobnicate"'), arrays)


def test_a_tape_needs_no_data():
    shapes = [Shape((64, 4096), "float32"), Shape((4096, 9), "float32")]
    tape = trace_leaves(lambda v: [np.sum(np.tanh(v[0] @ v[1]))], shapes)
    assert transforms.gradient(tape, (1,)).check().avals[tape.outputs[0]].dtype == np.float32
    assert tape.flops > 2 * 64 * 4096 * 9
    assert tape.bytes == 4 * (2 * 64 * 9 + 1)


def test_check_counts_operands():
    tape = trace_leaves(lambda v: [v[0] + v[1]], [1.0, 2.0])
    (equation,) = tape.equations
    broken = replace(tape, equations=(equation._replace(inputs=(0, 1, 1)),))
    with pytest.raises(ValueError, match=r"equation 0 \(add\) has 3 operands; it takes 2"):
        broken.check()
