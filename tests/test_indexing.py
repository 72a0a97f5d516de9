"""Indexing: whatever NumPy takes, with its result; derivatives by where the elements came from; masks and guards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from moved import check, numbers
from samples import same_bits

from difflab import transforms
from difflab.builder import Shape
from difflab.errors import GuardError, TraceError, UnsupportedError
from difflab.execution.arithmetic import apply, evaluate
from difflab.execution.balls import Balls, ball, precision
from difflab.execution.program import Program
from difflab.execution.symbols import Symbols
from difflab.operators import gradient, prepare
from difflab.primitives import REGISTRY
from difflab.tracing import trace_leaves

# ---------------------------------------------------------------------------- any key


class Argument(NamedTuple):
    """Stands in a key for an array that is an argument of the function: traced where the function is."""

    place: int


class Key(NamedTuple):
    """A drawn key, the arrays that are arguments, and the shape it is meant for."""

    shape: tuple[int, ...]
    entries: tuple[Any, ...]
    arrays: tuple[np.ndarray, ...]

    def __call__(self, x: Any, *arrays: Any) -> Any:
        return x[tuple(arrays[one.place] if isinstance(one, Argument) else one for one in self.entries)]


INDEX_SHAPES = [(), (1,), (2,), (2, 1), (3, 2), (0,)]


@st.composite
def keys(draw: Any) -> Key:
    """Integers, slices, None, dots, lists, masks and index arrays, traced or plain, in any order."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4).map(tuple))
    entries: list[Any] = []
    arrays: list[np.ndarray] = []
    bound = st.one_of(st.none(), st.integers(-6, 6))
    steps = st.one_of(st.none(), st.integers(1, 3), st.integers(-3, -1))
    axis = 0

    def given_as(array: np.ndarray) -> Any:
        kind = draw(st.sampled_from(["plain", "traced", "list"]))
        if kind == "traced":
            arrays.append(array)
            return Argument(len(arrays) - 1)
        return array.tolist() if kind == "list" and array.size and array.ndim else array

    while axis < len(shape) and draw(st.integers(0, 5)):
        size = shape[axis]
        kind = draw(st.sampled_from(["slice", "integer", "array", "array", "mask", "wide mask"]))
        if kind == "slice" or (kind in ("integer", "array") and not size):
            entries.append(draw(st.builds(slice, bound, bound, steps)))
        elif kind == "integer":
            number = draw(st.integers(-size, size - 1))
            entries.append(draw(st.sampled_from([number, np.int64(number), np.array(number)])))
        elif kind == "array":
            of = draw(st.sampled_from(INDEX_SHAPES))
            places = [draw(st.integers(-size, size - 1)) for _ in range(int(np.prod(of)))]
            entries.append(given_as(np.array(places, draw(st.sampled_from([np.intp, np.int8]))).reshape(of)))
        else:
            extents = shape[axis : axis + (2 if kind == "wide mask" else 1)]
            holds = [draw(st.booleans()) for _ in range(int(np.prod(extents)))]
            entries.append(given_as(np.array(holds, bool).reshape(extents)))
            axis += len(extents) - 1
        axis += 1
    if draw(st.booleans()):
        entries.insert(draw(st.integers(0, len(entries))), Ellipsis)
    for _ in range(draw(st.integers(0, 2))):
        extra = draw(st.sampled_from([None, None, True, np.False_, "traced"]))
        extra = Argument(len(arrays)) if extra == "traced" else extra
        if isinstance(extra, Argument):
            arrays.append(np.array(draw(st.booleans())))
        entries.insert(draw(st.integers(0, len(entries))), extra)
    return Key(shape, tuple(entries), tuple(arrays))


ZEROTH, FIRST = Argument(0), Argument(1)


@settings(max_examples=400)
@given(keys())
@example(Key((4, 2, 3), (slice(None), [0, 1], Ellipsis, [0, 1]), ()))
@example(Key((4, 2, 3), (0, slice(None), ZEROTH), (np.array([2, 2, -1]),)))
@example(Key((4, 2, 3), (slice(None), None, ZEROTH), (np.ones((2, 3), bool),)))
@example(Key((4, 2, 3), (ZEROTH, FIRST), (np.array([[0], [3]]), np.array([1, 1]))))
@example(Key((2, 3), (ZEROTH, slice(1, None), True), (np.array(1),)))
def test_any_key(key: Key):
    x = numbers(key.shape)
    try:
        key(x, *key.arrays)
    except IndexError:
        with pytest.raises(TraceError):
            trace_leaves(lambda leaves: [key(*leaves)], [x, *key.arrays])
        return
    check(key, x, *key.arrays)


class Place(NamedTuple):
    row: int
    column: Any


def test_a_tuple_of_another_class_is_a_key_and_a_list_is_an_array():
    check(lambda x: x[Place(1, slice(None, None, -1))], numbers((3, 4)))
    check(lambda x: x[Place(1, [0, 0, 3])], numbers((3, 4)))
    check(lambda x: x[[1, 2]], numbers((3, 4)))
    check(lambda x: x[((0, 1), (2, 2))], numbers((3, 4)))
    check(lambda x: x[range(1, 3)] if isinstance(x, np.ndarray) else x[list(range(1, 3))], numbers((3, 4)))


def test_static_keys_are_views_and_one_equation():
    x = numbers((3, 4))
    for key in [1, (1, 2), slice(2), (slice(None, None, -1), 0), (None, 1), np.array(2), (Ellipsis, np.int8(1))]:
        tape = trace_leaves(lambda leaves, key=key: [leaves[0][key]], [x])
        assert {equation.primitive.name for equation in tape.equations} <= {"slice", "reshape"}
        assert np.shares_memory(tape.evaluate([x])[0], x)
    assert len(trace_leaves(lambda leaves: [leaves[0][...], leaves[0][()]], [x]).equations) == 0


def test_a_plain_mask_leaves_no_guard_and_a_traced_one_does():
    x = numbers((3, 4))
    plain = trace_leaves(lambda leaves: [leaves[0][np.eye(3, 4, dtype=bool)]], [x])
    traced = trace_leaves(lambda leaves: [leaves[0][leaves[0] > 3]], [x])
    assert plain.guards == ()
    assert [guard.observed for guard in traced.guards] == [9]


# ---------------------------------------------------------------------------- masks that depend on data


def squares_above_one(x: Any) -> Any:
    return np.sum(x[x > 1] ** 2)


def expected_gradient(x: np.ndarray) -> np.ndarray:
    return np.where(x > 1, 2 * x, 0.0)


def test_another_count_traces_again_and_is_right():
    points = [
        np.array(p) for p in ([0.5, 2.0, 3.0], [4.0, 0.5, 3.0], [2.0, 3.0, 4.0], [0.0, 0.0, 0.0], [9.0, 0.1, 1.5])
    ]
    prepared = prepare(squares_above_one, points[0])
    for point in points:
        assert np.array_equal(prepared.gradient(point), expected_gradient(point))
        assert np.array_equal(gradient(squares_above_one)(point), expected_gradient(point))
    assert prepared.stats["traces"] == 3  # two, three and no elements


SELECTIONS: list[Callable[[Any], Any]] = [
    lambda x: x[np.nonzero(x > 1)],
    lambda x: np.take(x, np.flatnonzero(x > 1)),
    lambda x: x[np.argwhere(x > 1)[:, 0]],
    lambda x: np.compress(x > 1, x),
    lambda x: x.compress(x > 1),
    lambda x: np.extract(x > 1, x),
    lambda x: x[np.where(x > 1)],
    lambda x: x[(x > 1).nonzero()],
    lambda x: x[np.ix_(x > 1)],
]


@pytest.mark.parametrize("select", SELECTIONS, ids=[str(i) for i in range(len(SELECTIONS))])
def test_every_way_to_select_guards_on_the_count(select: Callable[[Any], Any]):
    prepared = prepare(lambda x: np.sum(select(x) ** 2), np.array([0.5, 2.0, 3.0]))
    for point in ([2.0, 3.0, 0.5], [2.0, 3.0, 4.0], [0.5, 0.25, 3.0]):
        assert np.array_equal(prepared.gradient(np.array(point)), expected_gradient(np.array(point)))
    assert prepared.stats["traces"] == 3


def test_masks_as_arguments():
    x = numbers((3, 4))
    wide, rows = x % 3 == 0, np.array([True, False, True])
    check(lambda x, mask: x[mask], x, wide)
    check(lambda x, mask: x[mask, 1:], x, rows)
    check(lambda x, mask, column: x[mask, column], x, rows, np.array([1, 1]))
    check(lambda x, mask: x[~mask][None], x, wide)


def test_the_second_derivative_of_what_a_mask_selects():
    x = np.array([0.5, 2.0, 3.0])
    tape = trace_leaves(lambda leaves: [np.sum(leaves[0][leaves[0] > 1] ** 3)], [x])
    second = transforms.jvp(transforms.gradient(tape, (0,)), (0,))
    found = Program(second).run([x, np.array([1.0, 10.0, 100.0])])
    assert np.array_equal(found[-1], [0.0, 120.0, 1800.0])


def test_a_mask_without_data_says_what_to_do():
    with pytest.raises(TraceError, match=r"test_indexing\.py:\d+ Python asks for the value.*shapes without data"):
        trace_leaves(lambda leaves: [leaves[0][leaves[0] > 1]], [Shape((3,))])


def test_replaying_another_count_is_an_error_of_its_own():
    x = np.array([0.5, 2.0, 3.0])
    tape = trace_leaves(lambda leaves: [leaves[0][leaves[0] > 1]], [x])
    with pytest.raises(GuardError, match="another number of elements than the 2"):
        tape.evaluate([x + 9])
    with pytest.raises(GuardError):
        Program(tape).run([x + 9])


def test_exact_arithmetic_follows_a_mask_and_symbols_refuse_it():
    x = np.array([0.5, 2.0, 3.0])
    tape = trace_leaves(lambda leaves: [leaves[0][leaves[0] > 1] / 3.0], [x])
    with precision(160):
        (found,) = evaluate(tape, [x], Balls())
        assert all(value.overlaps(ball(top) / 3) for value, top in zip(found.tolist(), (2, 3), strict=True))
        with pytest.raises(GuardError):
            evaluate(tape, [x + 9], Balls())
    import sympy

    symbols = np.array(sympy.symbols("a b c"), dtype=object)
    with pytest.raises(UnsupportedError, match="depends on differentiated values"):
        evaluate(tape, [symbols], Symbols())
    with pytest.raises(UnsupportedError, match=r"which ones depends on symbols; use np\.where"):
        apply(Symbols(), REGISTRY["nonzero"], [Symbols().compare("greater", symbols, 1)], {"count": 1})


# ---------------------------------------------------------------------------- lanes

PLACES = [
    ((0, 2), [(), (2,)]), ((0, 2), [(2, 3), (3,)]), ((1, 2), [(2, 1), (3,)]), ((1,), [(2, 2)]), ((2,), [()]),
    ((0, 1, 2), [(2,), (2,), ()]), ((0, 2), [(), ()]), ((0,), [(0,)]),
]  # fmt: skip


@pytest.mark.parametrize("flags", [(True, False), (False, True), (True, True)], ids=str)
@pytest.mark.parametrize(("axes", "shapes"), PLACES, ids=str)
def test_lanes_of_gather_and_scatter(axes: tuple[int, ...], shapes: list[tuple[int, ...]], flags: tuple[bool, bool]):
    x, size = numbers((3, 4, 5)), 2
    rng = np.random.default_rng(3)
    lane = [x] + [rng.integers(-x.shape[axis], x.shape[axis], shape) for axis, shape in zip(axes, shapes, strict=True)]
    batched = (flags[0], *[flags[1]] * len(axes))
    several = [np.stack([one, np.flip(one)]) if flag else one for one, flag in zip(lane, batched, strict=True)]
    each = [[one[k] if flag else one for one, flag in zip(several, batched, strict=True)] for k in range(size)]
    gather, scatter = REGISTRY["gather"], REGISTRY["scatter_add"]
    assert gather.batch is not None
    assert scatter.batch is not None
    expected = np.stack([gather(*one, axes=axes) for one in each])
    assert same_bits(gather.batch(size, batched, *several, axes=axes), expected)
    cotangent = numbers(expected.shape if flags[0] else expected.shape[1:])
    sums = [
        scatter(cotangent[k] if flags[0] else cotangent, *each[k][1:], shape=x.shape, axes=axes) for k in range(size)
    ]
    found = scatter.batch(size, batched, cotangent, *several[1:], shape=x.shape, axes=axes)
    assert same_bits(found, np.stack(sums))


# ---------------------------------------------------------------------------- refusals

untyped: Any = np  # for calls that its types rule out

REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: x[0, 0, 0], r"too many indices at test_indexing\.py:\d+: 3 for 2 dimensions"),
    (lambda x: x[np.ones((3, 4), bool), 0], "too many indices"),
    (lambda x: x[3], r"index 3 at .* is out of bounds for axis 0 of size 3"),
    (lambda x: x[:, [-5, 0]], r"index -5 at .* is out of bounds for axis 1 of size 4"),
    (lambda x: x[1.0], r"indexing at .* with 1\.0: an index is an integer, a slice, `\.\.\.`, None, or an array"),
    (lambda x: x["a"], r"with 'a': an index is"),
    (lambda x: x[np.array([0.5])], "with an array of dtype float64"),
    (lambda x: x[x], "with an array of dtype float64"),
    (lambda x: x[..., 0, ...], r"only one ellipsis"),
    (lambda x: x[:1.5], r"indexing at .* with slice\(None, 1\.5, None\): slice indices must be integers"),
    (lambda x: x[::0], r"slice step cannot be zero"),
    (lambda x: x[x[:2] > 1], r"with a mask of shape \(2, 4\), where the array indexed has \(3, 4\) from axis 0 on"),
    (lambda x: x[:, [True, False]], r"with a mask of shape \(2,\), where .* \(4,\) from axis 1 on"),
    (lambda x: x[[0, 1], [0, 1, 2]], r"`gather` at .*shape mismatch"),
    (lambda x: untyped.take(x, 0.5), r"np\.take at .*indices are integers, got float64"),
    (lambda x: untyped.take(x, 0, mode="over"), r"mode 'over' is none of raise, wrap, clip"),
    (lambda x: np.take_along_axis(x, np.array([0]), 0), "indices have 1 dimensions, the array 2"),
    (lambda x: np.nonzero(x[0, 0]), r"np\.nonzero at .*without axes has no positions; use np\.atleast_1d"),
    (lambda x: np.compress(x > 1, x), "the condition has 2 dimensions, not 1"),
    (lambda x: np.ix_(x > 1), "each argument has 1 dimension, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_what_cannot_be_an_index_says_so(function: Callable[[Any], Any], message: str):
    with pytest.raises(TraceError, match=message):
        gradient(lambda x: np.sum(function(x)))(numbers((3, 4)))
