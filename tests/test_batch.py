"""Many lanes at once: every primitive under every pattern of flags, compositions, derivatives, guards."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from grouped import by_primitive, one_test_each
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import BINARY, UNARY, Case, Steps, all_cases, compose, is_float, leaves_of, rng_of, tape_of

from difflab import nn, transforms
from difflab.errors import GuardError
from difflab.execution.program import Program
from difflab.primitives import REGISTRY
from difflab.primitives.record import Primitive
from difflab.tape import Tape
from difflab.tracing import trace_leaves

LANES = 3
CASES = all_cases(REGISTRY)
every_case = one_test_each(by_primitive(CASES))
STEPS = st.lists(
    st.tuples(st.integers(0, len(UNARY) + len(BINARY) - 1), st.integers(0, 40), st.integers(0, 40)),
    min_size=1,
    max_size=10,
)


def lanes_of(array: np.ndarray) -> np.ndarray:
    """Three arrays like one: scaled a little, so that they stay in its domain; masks reversed, which keeps counts."""
    if array.dtype.kind == "b":
        return np.stack([array, array[..., ::-1] if array.ndim else array, array])
    if array.dtype.kind not in "fc":
        return np.stack([array, array, array])
    with np.errstate(all="ignore"):
        return np.stack([array, array * array.dtype.type(0.9375), array * array.dtype.type(0.96875)])


def patterns(count: int) -> list[tuple[bool, ...]]:
    """All ways of carrying lanes, but for none; of long lists of operands the first and last few."""
    found = [flags for flags in itertools.product((False, True), repeat=count) if any(flags)]
    return found if len(found) <= 15 else [*found[:4], *found[-4:]]


def assert_same(found: Any, wanted: Any, factor: float = 1.0) -> None:
    """Equal shape and dtype, and values to rounding."""
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    if found.dtype.kind not in "fc":
        assert np.array_equal(found, wanted)
        return
    unit = float(np.finfo(found.dtype).eps)
    scale = float(np.max(np.abs(wanted[np.isfinite(wanted)]), initial=1.0))
    np.testing.assert_allclose(found, wanted, rtol=16 * factor * unit, atol=16 * factor * unit * scale)


def lane(arrays: Sequence[Any], flags: Sequence[bool], number: int) -> list[Any]:
    return [array[number] if flag else array for array, flag in zip(arrays, flags, strict=True)]


def stacked(tape: Tape, arrays: Sequence[Any], flags: Sequence[bool]) -> list[np.ndarray]:
    """The outputs lane by lane, stacked."""
    with np.errstate(all="ignore"):
        rows = [tape.evaluate([np.asarray(a) for a in lane(arrays, flags, number)]) for number in range(LANES)]
    return [np.stack([np.asarray(row[k]) for row in rows]) for k in range(len(tape.outputs))]


def run(tape: Tape, arrays: Sequence[Any]) -> list[np.ndarray]:
    with np.errstate(all="ignore"):
        return [np.asarray(output) for output in tape.evaluate(list(arrays))]


# ---------------------------------------------------------------------------- every primitive


@every_case
def test_every_pattern_of_flags_equals_single_evaluations(case: Case):
    tape = tape_of(case)
    wide = [lanes_of(array) for array in case.arrays]
    for flags in patterns(len(case.arrays)):
        arrays = [w if flag else a for w, a, flag in zip(wide, case.arrays, flags, strict=True)]
        batched = transforms.batch(tape, flags, LANES).check()
        wanted = stacked(tape, arrays, flags)
        assert_same(run(batched, arrays)[0], wanted[0])
        with np.errstate(all="ignore"):
            assert_same(np.asarray(Program(batched).run(arrays)[0]), wanted[0])


def without_rule(case: Case) -> Case:
    return case._replace(primitive=replace(case.primitive, batch=None))


ONE_EACH = list({case.primitive.name: case for case in CASES if case.ordinary}.values())


@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.label)
def test_lane_by_lane_equals_single_evaluations_and_so_do_its_derivatives(case: Case):
    slow = without_rule(case)
    tape = tape_of(slow)
    wide = [lanes_of(array) for array in case.arrays]
    wrt = tuple(position for position, array in enumerate(case.arrays) if is_float(array))
    cotangent = rng_of(case.label).uniform(-1, 1, case.value.shape).astype(case.value.dtype)
    for flags in patterns(len(case.arrays))[-3:]:
        arrays = [w if flag else a for w, a, flag in zip(wide, case.arrays, flags, strict=True)]
        batched = transforms.batch(tape, flags, LANES).check()
        assert [equation.primitive.name for equation in batched.equations] == ["lanes"]
        assert_same(run(batched, arrays)[0], stacked(tape, arrays, flags)[0])
        if not wrt or case.primitive.vjp is None:
            continue
        pulled = transforms.vjp(tape, wrt)
        whole = run(transforms.vjp(batched, wrt).check(), [*arrays, lanes_of(cotangent)])[1:]
        single = stacked(pulled, [*arrays, lanes_of(cotangent)], (*flags, True))[1:]
        for position, found, wanted in zip(wrt, whole, single, strict=True):
            assert_same(found, wanted if flags[position] else np.sum(wanted, axis=0), factor=64)
        tangents = [np.cos(np.arange(a.size)).reshape(a.shape).astype(a.dtype) for a in (arrays[p] for p in wrt)]
        moved = run(transforms.jvp(batched, wrt).check(), [*arrays, *tangents])[1]
        carried = (*flags, *[flags[position] for position in wrt])
        assert_same(moved, stacked(transforms.jvp(tape, wrt), [*arrays, *tangents], carried)[1], factor=64)


def test_lanes_of_lanes_are_lanes():
    slow = replace(REGISTRY["subtract"], batch=None)
    tape = trace_leaves(lambda leaves: [slow(leaves[0], leaves[1])], [np.ones(4), np.ones(4)])
    rng = np.random.default_rng(0)
    for inner, outer in itertools.product(patterns(2), patterns(2)):
        once = transforms.batch(tape, inner, 2)
        twice = transforms.batch(once, outer, 3).check()
        shapes = [(*[3] * over, *[2] * flag, 4) for flag, over in zip(inner, outer, strict=True)]
        a, b = (rng.standard_normal(shape) for shape in shapes)
        wide = [
            np.reshape(x, (3 if over else 1, 2 if flag else 1, 4))
            for x, flag, over in zip((a, b), inner, outer, strict=True)
        ]
        expected = np.broadcast_to(wide[0] - wide[1], (3, 2, 4))
        assert np.array_equal(run(twice, [a, b])[0], expected)


def test_lanes_travel_as_json_and_tell_1_from_1_point_0():
    record: Primitive = replace(REGISTRY["sum"], batch=None)
    tape = trace_leaves(lambda leaves: [record(leaves[0], axes=(1,))], [np.ones((2, 3))])
    batched = transforms.batch(tape, (True,), 2)
    text, arrays = batched.to_json()
    x = np.arange(12.0).reshape(2, 2, 3)
    assert np.array_equal(run(Tape.from_json(text, arrays), [x])[0], x.sum(2))
    scale = Primitive("scale", "general", lambda x, k: x * k, lambda x, k: x, None, None)
    ones = trace_leaves(lambda leaves: [scale(leaves[0], k=1), scale(leaves[0], k=1.0)], [np.ones(2)])
    assert len(transforms.simplify(transforms.batch(ones, (True,), 2))) == 2


def test_how_a_primitive_is_batched():
    assert transforms.how(REGISTRY["tanh"]) == "derived"
    assert transforms.how(REGISTRY["max_pool"]) == "own rule"
    assert transforms.how(replace(REGISTRY["max_pool"], batch=None)) == "lane by lane"
    slow = [record.name for record in REGISTRY if transforms.how(record) == "lane by lane"]
    assert slow == []


# ---------------------------------------------------------------------------- compositions


def drawn(steps: Steps, dtype: str) -> tuple[Tape, list[np.ndarray]]:
    leaves = leaves_of("transforms", dtype)
    with np.errstate(all="ignore"):
        return trace_leaves(lambda inputs: compose(steps, inputs), leaves).check(), leaves


@settings(max_examples=60)
@given(STEPS, st.sampled_from(["float64", "float32"]), st.integers(1, 31))
def test_compositions_equal_single_evaluations(steps, dtype, pattern):
    tape, leaves = drawn(steps, dtype)
    flags = tuple(bool(pattern >> k & 1) for k in range(5))
    arrays = [lanes_of(leaf) if flag else leaf for leaf, flag in zip(leaves, flags, strict=True)]
    for found, wanted in zip(
        run(transforms.batch(tape, flags, LANES).check(), arrays), stacked(tape, arrays, flags), strict=True
    ):
        assert np.array_equal(np.isfinite(found), np.isfinite(wanted))
        assert_same(np.nan_to_num(found, posinf=0, neginf=0), np.nan_to_num(wanted, posinf=0, neginf=0), factor=256)


@pytest.mark.parametrize("flags", [(True, False, False), (True, True, False), (True, True, True)])
def test_batch_then_pull_back_is_pull_back_then_batch(flags):
    def f(leaves):
        x, w, b = leaves
        h = np.tanh(x @ w + b)
        return [nn.logsumexp(h, axis=1), np.sum(np.max(h, axis=0) * np.concatenate([b, b])[:2])]

    rng = np.random.default_rng(1)
    leaves = [rng.standard_normal((4, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)]
    tape = trace_leaves(f, leaves)
    arrays = [lanes_of(leaf) if flag else leaf for leaf, flag in zip(leaves, flags, strict=True)]
    seeds = [rng.standard_normal((LANES, 4)), rng.standard_normal(LANES)]
    outside = transforms.vjp(transforms.batch(tape, flags, LANES), (0, 1, 2)).check()
    inside = transforms.batch(transforms.vjp(tape, (0, 1, 2)), (*flags, True, True), LANES).check()
    a, b = run(outside, [*arrays, *seeds]), run(inside, [*arrays, *seeds])
    for position, (found, wanted) in enumerate(zip(a, b, strict=True)):
        # What all lanes share receives the sum of what each has for it.
        shared = position >= 2 and not flags[position - 2]
        assert_same(found, np.sum(wanted, axis=0) if shared else wanted, factor=16)


def test_lanes_of_derivatives_of_images():
    def f(leaves):
        x, w = leaves
        return [np.sum(nn.max_pool2d(nn.conv2d(x, w, padding="same"), 2, padding=1) ** 2)]

    rng = np.random.default_rng(2)
    leaves = [rng.standard_normal((2, 4, 4, 2)), rng.standard_normal((3, 3, 2, 3))]
    tape = transforms.gradient(trace_leaves(f, leaves), (0, 1))
    for flags in patterns(2):
        arrays = [lanes_of(leaf) if flag else leaf for leaf, flag in zip(leaves, flags, strict=True)]
        found = Program(transforms.batch(tape, flags, LANES)).run(arrays)
        for one, wanted in zip(found, stacked(tape, arrays, flags), strict=True):
            assert_same(np.asarray(one), wanted, factor=256)


# ---------------------------------------------------------------------------- what is not batched, guards, refusals


def test_what_reads_nothing_batched_is_computed_once():
    tape = trace_leaves(lambda leaves: [np.sum(np.exp(leaves[0])) * leaves[1]], [np.ones(5), np.ones(2)])
    batched = transforms.batch(tape, (False, True), 7)
    avals = {e.primitive.name: batched.avals[e.output].shape for e in batched.equations}
    assert avals["exp"] == (5,)
    assert avals["multiply"] == (7, 2)
    once = transforms.batch(
        trace_leaves(lambda leaves: [np.exp(leaves[0]), leaves[1]], [1.0, 2.0]), (False, True), 7, single=(0,)
    )
    assert [once.avals[number].shape for number in once.outputs] == [(), (7,)]


def test_outputs_that_are_the_same_for_all_lanes_are_repeated_and_alias_nothing():
    tape = trace_leaves(lambda leaves: [leaves[0], leaves[0] * 1, leaves[1]], [np.ones(2), np.ones(3)])
    x, y = np.arange(2.0), np.arange(12.0).reshape(4, 3)
    results = Program(transforms.batch(tape, (False, True), 4)).run([x, y])
    assert [result.shape for result in results] == [(4, 2), (4, 2), (4, 3)]
    for position, result in enumerate(results):
        assert result.flags.writeable
        assert not any(np.shares_memory(result, other) for other in [x, y, *results[:position]])
        result += 1  # every lane has memory of its own
    assert np.array_equal(results[0], np.tile(x + 1, (4, 1)))


def branching(leaves):
    x, n = leaves
    for _ in range(n):
        x = x * 2
    return [x + 1 if x > 0 else -x]


def test_guards_hold_for_all_lanes_or_raise():
    tape = trace_leaves(branching, [np.array(1.0), np.array(2)])
    program = Program(transforms.batch(tape, (True, False), 3))
    assert np.array_equal(program.run([np.array([1.0, 2.0, 3.0]), np.array(2)])[0], [5.0, 9.0, 13.0])
    for x, n in (([1.0, -2.0, 3.0], 2), ([1.0, 2.0, 3.0], 1)):
        with pytest.raises(GuardError):
            program.run([np.array(x), np.array(n)])
    false = Program(transforms.batch(trace_leaves(branching, [np.array(-1.0), np.array(0)]), (True, True), 2))
    assert np.array_equal(false.run([np.array([-1.0, -3.0]), np.array([0, 0])])[0], [1.0, 3.0])
    for x, n in (([-1.0, 3.0], [0, 0]), ([-1.0, -3.0], [0, 1])):
        with pytest.raises(GuardError):
            false.run([np.array(x), np.array(n)])


def test_a_guard_on_a_number_means_whether_it_is_zero():
    tape = trace_leaves(lambda leaves: [leaves[0] * 2 if leaves[0] else leaves[0] + 1], [np.array(3.0)])
    program = Program(transforms.batch(tape, (True,), 2))
    assert np.array_equal(program.run([np.array([4.0, np.nan])])[0], [8.0, np.nan], equal_nan=True)
    with pytest.raises(GuardError):
        program.run([np.array([4.0, 0.0])])


def test_derivatives_stay_quiet_and_spans_of_what_is_shared_stay():
    def f(leaves):
        return [np.sum(nn.softmax(leaves[0])) + np.mean(leaves[1]) * np.sum(np.sqrt(leaves[1]))]

    tape = trace_leaves(f, [np.ones(3), np.ones(2)])
    assert {span.name for span in transforms.batch(tape, (False, True), 2).spans} == {"softmax"}
    program = Program(transforms.batch(transforms.gradient(tape, (1,)), (False, True), 2))
    value, slope = program.run([np.ones(3), np.zeros((2, 2))])  # 1 / sqrt(0): warnings are errors here
    assert value.shape == (2,)
    assert np.all(np.isnan(slope))


def test_refusals():
    tape = trace_leaves(lambda leaves: [leaves[0] * 2], [1.0])
    with pytest.raises(ValueError, match="2 flags and 3 lanes for a tape of 1 inputs"):
        transforms.batch(tape, (True, False), 3)
    with pytest.raises(ValueError, match="0 lanes"):
        transforms.batch(tape, (True,), 0)
    with pytest.raises(ValueError, match="output 0 differs between lanes"):
        transforms.batch(tape, (True,), 3, single=(0,))
    wrong = replace(REGISTRY["negative"], batch=lambda size, flags, x: REGISTRY["sum"](x, axes=(0,)))
    with pytest.raises(ValueError, match=r"batching rule of primitive 'negative' gives float64\[\] for 3 lanes"):
        transforms.batch(trace_leaves(lambda leaves: [wrong(leaves[0])], [np.array(1.0)]), (True,), 3)
