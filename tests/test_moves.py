"""Moves, joins, builders: NumPy's result at any shape, derivatives by where the elements came from, views, refusals."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moved import check, numbers
from samples import same_bits

from difflab import transforms
from difflab.errors import TraceError
from difflab.execution.program import Program
from difflab.operators import gradient
from difflab.tracing import trace_leaves

windows = np.lib.stride_tricks.sliding_window_view
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
AXED = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)
FULL = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
PLANES = st.lists(st.integers(0, 4), min_size=2, max_size=3).map(tuple)


def axis_of(data: st.DataObject, shape: tuple[int, ...]) -> int:
    return data.draw(st.integers(-len(shape), len(shape) - 1))


# ---------------------------------------------------------------------------- any shape


@given(st.data(), SHAPES)
def test_any_order_of_elements(data: st.DataObject, shape: tuple[int, ...]):
    order: Any = data.draw(st.sampled_from("CF"))
    x = numbers(shape)
    target = tuple(data.draw(st.permutations(shape)))
    check(lambda x: np.reshape(x, target, order=order), x)
    check(lambda x: x.reshape((-1, *target[1:]) if x.size and target else target, order=order), x)
    check(lambda x: np.ravel(x, order), x)
    check(lambda x: x.flatten(order), x)


@given(st.data(), AXED)
def test_any_roll_and_turn(data: st.DataObject, shape: tuple[int, ...]):
    x = numbers(shape)
    axes = [axis_of(data, shape) for _ in range(data.draw(st.integers(1, 3)))]
    shifts: Any = [data.draw(st.integers(-9, 9)) for _ in axes]
    check(lambda x: np.roll(x, shifts[0]), x)
    check(lambda x: np.roll(x, shifts, axes), x)
    check(lambda x: np.roll(x, shifts[0], tuple(axes)), x)
    check(lambda x: np.roll(x, tuple(shifts), axes[0]), x)
    start = data.draw(st.integers(-len(shape), len(shape)))
    check(lambda x: np.rollaxis(x, axes[0], start), x)
    if len(shape) > 1:
        pair: Any = tuple(data.draw(st.permutations(range(len(shape))))[:2])
        turns = data.draw(st.integers(-5, 5))
        check(lambda x: np.rot90(x, turns, pair), x)


@given(st.data(), SHAPES)
def test_any_repetition(data: st.DataObject, shape: tuple[int, ...]):
    x = numbers(shape)
    reps = data.draw(st.one_of(st.integers(0, 3), st.lists(st.integers(0, 3), max_size=4).map(tuple)))
    check(lambda x: np.tile(x, reps), x)
    check(lambda x: np.repeat(x, 2), x)
    target = data.draw(st.lists(st.integers(0, 5), max_size=3).map(tuple))
    if x.size or not np.prod(target):
        check(lambda x: np.resize(x, target), x)
    if shape:
        axis = axis_of(data, shape)
        counts: Any = np.array([data.draw(st.integers(0, 3)) for _ in range(shape[axis])], int)
        check(lambda x: x.repeat(counts, axis), x)
        check(lambda x: np.repeat(x, np.array([3]), axis=axis), x)


@given(st.data(), AXED)
def test_any_split_joins_again(data: st.DataObject, shape: tuple[int, ...]):
    x, axis = numbers(shape), axis_of(data, shape)
    sections: Any = data.draw(st.one_of(st.integers(1, 5), st.lists(st.integers(-5, 5), max_size=3)))
    parts = len(np.array_split(x, sections, axis))
    for k in range(parts):
        check(lambda x, k=k: np.array_split(x, sections, axis)[k], x)
    check(lambda x: np.concatenate(np.array_split(x, 3, axis)[::-1], axis), x)
    for k in range(shape[axis]):
        check(lambda x, k=k: np.unstack(x, axis=axis)[k], x)
    check(lambda x: np.concatenate([x, x], axis=None), x)
    check(lambda x: np.stack([x, x[::-1]], axis), x)
    check(lambda x: np.block([x, x]), x)


@given(st.data(), AXED)
def test_any_positions_taken_out_or_put_in(data: st.DataObject, shape: tuple[int, ...]):
    x, axis = numbers(shape), axis_of(data, shape)
    size = shape[axis]
    bound = st.one_of(st.none(), st.integers(-5, 5))
    which: list[Any] = [data.draw(st.builds(slice, bound, bound, st.sampled_from([None, 2, -1])))]
    if size:
        which += [
            data.draw(st.integers(-size, size - 1)),
            data.draw(st.lists(st.integers(-size, size - 1), max_size=3)),
        ]
    for positions in which:
        check(lambda x, positions=positions: np.delete(x, positions, axis), x)
    if size:
        position = data.draw(st.integers(-size, size))
        several: Any = data.draw(st.lists(st.integers(-size, size), min_size=2, max_size=3))
        check(lambda x: np.insert(x, several, x.take([0], axis), axis), x)
        check(lambda x: np.insert(x, position, x.take(0, axis), axis), x)


@given(st.data(), PLANES)
def test_any_diagonal_and_triangle(data: st.DataObject, shape: tuple[int, ...]):
    x, k = numbers(shape), data.draw(st.integers(-5, 5))
    first, second = data.draw(st.permutations(range(len(shape))))[:2]
    check(lambda x: np.diagonal(x, k, first, second - len(shape)), x)
    check(lambda x: np.diagflat(x, k)[np.nonzero(np.diagflat(np.ones(shape), k))], x)
    keep = np.tri(shape[-2], shape[-1], k, dtype=bool)
    check(lambda x: np.tril(x, k)[..., keep], x)
    check(lambda x: np.triu(x, k + 1)[..., ~keep], x)


@given(st.integers(0, 4), st.integers(-5, 5))
def test_diag_makes_matrices_and_takes_them_apart(size: int, k: int):
    x = numbers((size,))
    check(lambda x: np.diag(np.diag(x, k), k), x)
    zeros = np.diag(np.ones(size), k) == 0
    tape = trace_leaves(lambda leaves: [np.diag(leaves[0], k), np.tril(leaves[0][None], k)], [x])
    found, triangle = Program(tape).run([x])
    assert same_bits(found, np.diag(x, k))
    assert not np.any(found[zeros])
    assert same_bits(triangle, np.tril(x[None], k))


@given(st.data(), FULL)
def test_any_windows(data: st.DataObject, shape: tuple[int, ...]):
    x = numbers(shape)
    sizes = tuple(data.draw(st.integers(1, size)) for size in shape)
    check(lambda x: windows(x, sizes), x)
    axis = axis_of(data, shape)
    check(lambda x: windows(x, sizes[axis], axis), x)
    if shape[axis] > 1:
        check(lambda x: windows(x, (2, 1), (axis, axis)), x)


def test_the_transpose_of_overlapping_windows_adds_up():
    assert np.array_equal(gradient(lambda x: np.sum(windows(x, 3)))(np.ones(5)), [1, 2, 3, 2, 1])
    assert np.array_equal(gradient(lambda x: np.sum(np.pad(x, 2, "edge")))(np.ones(3)), [3, 1, 3])


@given(st.data(), SHAPES)
def test_any_broadcast_of_several(data: st.DataObject, shape: tuple[int, ...]):
    x = numbers(shape)
    lead = data.draw(st.integers(0, 3))
    check(lambda x: np.broadcast_arrays(x, np.zeros((lead, *shape)))[0], x)
    if len(shape) < 2:
        indexing: Any = data.draw(st.sampled_from(["ij", "xy"]))
        check(lambda x: np.meshgrid(x, [1, 2, 3], indexing=indexing)[0], x)
        check(lambda x: np.meshgrid([1, 2], x, [3], sparse=True, indexing=indexing)[1], x)
    check(lambda x: np.atleast_3d(np.atleast_2d(np.atleast_1d(x))), x)
    check(lambda x: np.atleast_3d(x, 1.0)[0], x)


# ---------------------------------------------------------------------------- dtypes, views, order


MOVES: list[Callable[[Any], Any]] = [
    lambda x: np.roll(x, 1, 0),
    lambda x: np.rot90(x),
    lambda x: np.reshape(x, (4, 3), order="F"),
    lambda x: np.tile(x, 2),
    lambda x: np.repeat(x, [1, 0, 2], 0),
    lambda x: np.pad(x, 1),
    lambda x: np.pad(x, 1, constant_values=1),
    lambda x: np.pad(x, 2, "reflect"),
    lambda x: np.concatenate([x, x[:1]]),
    lambda x: np.dstack([x, x]),
    lambda x: np.block([[x], [x]]),
    lambda x: np.insert(x, 1, x[0], axis=0),
    lambda x: np.delete(x, 1, 1),
    lambda x: np.diagonal(x, 1),
    lambda x: np.diag(x[0]),
    lambda x: np.tril(x),
    lambda x: np.full_like(x, x[0]),
    lambda x: np.take_along_axis(x, np.array([[1], [0], [3]]), 1),
    lambda x: np.choose([0, 1, 0, 2], x),
    lambda x: x[np.eye(3, 4, dtype=bool)],
    lambda x: x[[0, 0], ..., None],
    lambda x: windows(x, 2, 1),
    lambda x: np.resize(x, 7),
    lambda x: np.apply_along_axis(lambda row: row[::-1], 1, x),
]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8", "c16", "i1", "u2", "i8", "?"])
def test_any_dtype_passes_untouched(dtype: str):
    x = (np.arange(12).reshape(3, 4) - 5).astype(dtype)
    if x.dtype.kind == "c":
        x = x + x.dtype.type(2j)
    for move in MOVES:
        tape = trace_leaves(lambda leaves, move=move: [move(leaves[0])], [x]).check()
        (found,) = Program(tape).run([x])
        expected = move(x)
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("move", MOVES, ids=[str(i) for i in range(len(MOVES))])
def test_second_order_through_moves(move: Callable[[Any], Any]):
    """The product of the Hessian of sum(move(x)**3) with a vector, from where the elements came from."""
    x, vector = numbers((3, 4)), numbers((3, 4), -4)
    tape = trace_leaves(lambda leaves: [np.sum(move(leaves[0]) ** 3)], [x])
    found = Program(transforms.jvp(transforms.gradient(tape, (0,)), (0,))).run([x, vector])[-1]
    moved = move(vector) - move(np.zeros((3, 4)))  # without the numbers that some moves put in
    places = move(np.arange(12).reshape(3, 4) + 1000)
    taken = places >= 1000  # not put in
    expected = np.zeros(12)
    np.add.at(expected, places[taken] - 1000, (6 * move(x) * moved)[taken])
    np.testing.assert_array_equal(found, expected.reshape(3, 4))


VIEWS: list[Callable[[Any], Any]] = [
    lambda x: np.diagonal(x, 1),
    lambda x: np.split(x, [1])[1],
    lambda x: np.flipud(x),
    lambda x: np.rot90(x),
    lambda x: np.moveaxis(x, 0, 1),
    lambda x: np.atleast_3d(x),
    lambda x: np.broadcast_arrays(x, np.zeros((2, 3, 4)))[0],
    lambda x: np.unstack(x, axis=1)[2],
    lambda x: x.mT,
    lambda x: x.flat[3:5],
]


@pytest.mark.parametrize("view", VIEWS, ids=[str(i) for i in range(len(VIEWS))])
def test_what_is_a_view_in_numpy_is_one(view: Callable[[Any], Any]):
    x = numbers((3, 4))
    tape = trace_leaves(lambda leaves: [view(leaves[0])], [x])
    assert all(equation.primitive.view for equation in tape.equations)
    assert np.shares_memory(tape.evaluate([x])[0], x)


def test_no_warning_is_new():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = np.array([1.0, np.nan, np.inf, -0.0])
        for move in (np.tril, lambda x: np.pad(x, 3, "wrap"), lambda x: x[x > 0], lambda x: np.repeat(x, 2)):
            tape = trace_leaves(lambda leaves, move=move: [move(leaves[0])], [x])
            assert same_bits(Program(tape).run([x])[0], move(x))


def test_what_python_asks_for_is_a_guard():
    x = np.array([1.0, 3.0, 2.0])
    tape = trace_leaves(lambda leaves: [np.roll(leaves[0], np.argmax(leaves[0]))], [x])
    assert [guard.observed for guard in tape.guards] == [1]
    assert len(trace_leaves(lambda leaves: [leaves[0] * len(leaves[0])], [x]).guards) == 0


# ---------------------------------------------------------------------------- refusals

untyped: Any = np  # for calls that its types rule out


def refused(name: str, rest: str) -> str:
    return rf"{name} \(called at test_moves\.py:\d+\) {rest}"


REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: np.copyto(np.zeros(3), x), refused(r"np\.copyto", r"writes into an array in place.*np\.where\(mask")),
    (lambda x: np.copyto(x, np.zeros(3)), r"np\.broadcast_to\(value, shape\)"),
    (lambda x: np.put(x, [0], 1.0), refused(r"np\.put", "writes into an array in place")),
    (lambda x: np.place(x, x > 1, [1.0]), refused(r"np\.place", r"writes .*np\.where\(mask, new, old\)")),
    (lambda x: np.putmask(x, x > 1, 0.0), refused(r"np\.putmask", "writes")),
    (lambda x: np.put_along_axis(x, np.array([0]), 1.0, 0), refused(r"np\.put_along_axis", r"writes .*== index")),
    (lambda x: np.fill_diagonal(x[None], 1.0), refused(r"np\.fill_diagonal", r"writes .*np\.eye\(\*x\.shape")),
    (lambda x: np.trim_zeros(x), refused(r"np\.trim_zeros", "gives a shape that depends on where the data are zero")),
    (lambda x: np.repeat(x, (x > 1).astype(int)), r"np\.repeat at test_moves\.py:\d+: how often .* cannot be traced"),
    (lambda x: np.repeat(x, [1, 2]), r"np\.repeat at .*could not be broadcast"),
    (lambda x: np.repeat(x, -1), r"np\.repeat at .*negative"),
    (lambda x: np.tile(x, -1), r"np\.tile at .*negative number of times"),
    (lambda x: np.ravel(x, "K"), r"np\.ravel at .*order='K' depends on how an array lies in memory.*say order='C'"),
    (lambda x: np.reshape(x, 3, order="A"), r"np\.reshape at .*order='A' depends"),
    (lambda x: np.roll(x, (1, 2), (0, 0, 0)), r"np\.roll at .*2 shifts do not fit 3 axes"),
    (lambda x: np.fliplr(x), r"np\.fliplr at .*2 dimensions or more are needed, got 1"),
    (lambda x: np.rot90(x[None], 1, (0, 0)), "an axis is named twice"),
    (lambda x: untyped.rot90(x[None], 1, (0, 1, 1)), "a turn takes 2 axes"),
    (lambda x: np.moveaxis(x, (0,), (0, 0)), "named twice"),
    (lambda x: np.moveaxis(x[None], (0, 1), 0), "2 axes to move and 1 places"),
    (lambda x: np.broadcast_arrays(x, np.zeros(2)), r"np\.broadcast_arrays at .*shapes \[\(3,\), \(2,\)\] do not"),
    (lambda x: np.resize(x, -1), "holds a negative size"),
    (lambda x: np.concatenate([x, x[0]]), r"np\.concatenate at .*differ beside axis 0"),
    (lambda x: np.concatenate([x, x], dtype=int), "cannot cast float64 to int64 with casting='same_kind'"),
    (lambda x: np.stack([x, x], dtype="f4", casting="safe"), "cannot cast float64 to float32 with casting='safe'"),
    (lambda x: np.block([[x], x]), r"np\.block at .*nested to the same depth"),
    (lambda x: np.block([x, []]), "nested to the same depth"),
    (lambda x: np.block([x, (x, x)]), "only lists may be nested"),
    (lambda x: np.split(x, 2), r"np\.split at .*3 elements do not give 2 equal parts"),
    (lambda x: np.array_split(x, 0), "must be larger than 0"),
    (lambda x: np.dsplit(x, 1), r"np\.dsplit at .*3 dimensions or more are needed, got 1"),
    (lambda x: np.unstack(x[0]), "1 dimension or more is needed"),
    (lambda x: np.delete(x, 5), r"np\.delete at .*index 5 is out of bounds"),
    (lambda x: np.delete(x, np.argmax(x)), r"np\.delete at .*positions cannot be traced.*select with a mask"),
    (lambda x: np.insert(x, 7, 0.0), r"np\.insert at .*index 7 is out of bounds"),
    (lambda x: np.insert(x, np.argmax(x), 0.0), r"np\.insert at .*positions cannot be traced"),
    (lambda x: np.pad(x, 1, mode="empty"), r"np\.pad at .*mode 'empty' is not supported .*constant, edge"),
    (lambda x: np.pad(x, 1, mode=lambda *a: None), "is not supported on a traced array"),
    (lambda x: np.pad(x, 1, "edge", constant_values=1), "mode 'edge' takes no argument 'constant_values'"),
    (lambda x: untyped.pad(x, 1.5), "is not made of integers"),
    (lambda x: np.pad(x, ((1, 1), (2, 2))), "do not give a pair for each of 1 axes"),
    (lambda x: np.pad(x[:0], 1, "edge"), "axis 0 is empty, which mode 'edge' cannot extend"),
    (lambda x: np.pad(x, 1, "maximum", stat_length=0), "stat_length of 0 yields no value"),
    (lambda x: np.pad(x, 1, "mean", stat_length=-1), "stat_length -1 is negative"),
    (lambda x: np.diag(x[None, None]), r"np\.diag at .*1 or 2 dimensions are needed, got 3"),
    (lambda x: np.diagonal(x), r"np\.diagonal at .*2 dimensions or more"),
    (lambda x: np.diagonal(x[None], 0, 1, -1), "are the same axis"),
    (lambda x: np.tril(x[0]), r"np\.tril at .*1 dimension or more"),
    (lambda x: untyped.meshgrid(x, x, indexing="yx"), "indexing is 'xy' or 'ij', not 'yx'"),
    (lambda x: windows(x, 4), "a window of 4 does not fit axis 0 of size 3"),
    (lambda x: windows(x, (1, 1)), "2 window sizes for 1 axes"),
    (lambda x: np.linspace(x, 1.0, -1), "the number of samples, -1, is negative"),
    (lambda x: np.geomspace(x, 0.0, 3), "cannot include zero"),
    (lambda x: np.geomspace(x, 1j, 3), "complex ends are not supported"),
    (lambda x: untyped.apply_along_axis(np.sum, 0, x[:, None][:, :0]), "there are no slices to apply the function to"),
    (lambda x: np.apply_over_axes(lambda a, axis: a[0, 0], x[None], 0), "does not keep the dimensions"),
    (lambda x: np.arange(x[0]), r"at test_moves\.py:\d+"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_what_cannot_be_done_says_what_where_and_what_to_do(function: Callable[[Any], Any], message: str):
    with pytest.raises(TraceError, match=message):
        trace_leaves(lambda leaves: [function(leaves[0])], [np.array([1.0, 2.0, 0.5])])
