"""Arrays moved one coordinate at a time: what is not reached is computed once, and derivatives stay as they were."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab import nn
from difflab.execution import parts as planning
from difflab.execution.parts import Function, Part
from difflab.primitives.record import Aval
from difflab.primitives.spots import pick, put
from difflab.tape import Tape
from difflab.tracing import trace_leaves
from difflab.transforms import jvp
from difflab.transforms.batch import batch_moves
from difflab.transforms.simplify import simplify

GENERATOR = np.random.default_rng(8)


def grid(*shape: int) -> np.ndarray:
    return np.sin(1.0 + np.arange(np.prod(shape, dtype=int)).reshape(shape) * 0.7) + 0.1


def places(axes: Sequence[Sequence[int]], shape: tuple[int, ...]) -> list[np.ndarray]:
    """For every entry of ``Moving.axes`` where all coordinates of an array lie."""
    if not axes:
        return []
    at = np.unravel_index(np.arange(math.prod(shape)), shape)
    return [np.ravel_multi_index([at[a] for a in one], [shape[a] for a in one]) for one in axes]


def moved(tape: Tape, leaves: Sequence[np.ndarray], position: int, values: np.ndarray) -> tuple[list[Any], Tape]:
    """The outputs with each coordinate of one leaf replaced in its own lane, and the tape that does it."""
    shape = leaves[position].shape
    moving = batch_moves(simplify(tape), position, values.size)
    whole = simplify(moving.tape).check()
    return whole.evaluate([*leaves, values, *places(moving.axes, shape)]), whole


def one_by_one(tape: Tape, leaves: Sequence[np.ndarray], position: int, values: np.ndarray) -> list[np.ndarray]:
    rows = []
    for coordinate, value in enumerate(values):
        there = [np.array(leaf) for leaf in leaves]
        there[position].reshape(-1)[coordinate] = value
        rows.append([np.asarray(output) for output in tape.evaluate(there)])
    return [np.stack(column) for column in zip(*rows, strict=True)]


def early_and_late(leaves: Sequence[Any]) -> list[Any]:
    w, b, v = leaves
    h = np.tanh(w @ v + b)
    return [np.sum(np.exp(h) * b), h.T * 2.0, np.max(w, axis=1)]


def both_operands(leaves: Sequence[Any]) -> list[Any]:
    (w,) = leaves
    return [w.T @ w, w + w.T, np.where(w > 0.2, w * w, -w), np.prod(w, axis=0)]


def shapes(leaves: Sequence[Any]) -> list[Any]:
    w, b = leaves
    column = np.reshape(b, (3, 1))
    return [np.reshape(w, (3, 1, 4)) + np.reshape(b, (3, 1, 1)), np.reshape(w, (12,)), column * w, w[1:, ::-1],
            np.cumsum(w, axis=1), np.broadcast_to(b, (2, 3))]  # fmt: skip


def scalars(leaves: Sequence[Any]) -> list[Any]:
    a, b = leaves
    return [a * np.sin(b), b / a + np.array([1.0, 2.0])]


CASES: dict[str, tuple[Callable[[Sequence[Any]], list[Any]], list[np.ndarray]]] = {
    "early and late": (early_and_late, [grid(3, 4), grid(3, 1), grid(4, 2)]),
    "both operands": (both_operands, [grid(3, 3)]),
    "shapes": (shapes, [grid(3, 4), grid(3)]),
    "scalars": (scalars, [np.array(0.7), np.array(-1.2)]),
    "complex": (
        lambda ls: [np.abs(ls[0] @ ls[1]) ** 2, np.real(ls[0]) * 2.0],
        [grid(2, 3) + 1j, grid(3, 2) * (2 - 1j)],
    ),
    "integers beside": (lambda ls: [ls[0] * ls[1].astype(float)], [grid(4), np.arange(4)]),
    "single precision": (lambda ls: [np.tanh(ls[0] @ ls[1])], [grid(2, 3).astype("f4"), grid(3, 2).astype("f4")]),
    "unused": (lambda ls: [np.sum(ls[1] ** 2)], [grid(3), grid(2, 2)]),
}


@pytest.mark.parametrize("name", CASES)
def test_every_lane_is_the_function_with_one_coordinate_moved(name: str) -> None:
    function, leaves = CASES[name]
    tape = trace_leaves(function, leaves)
    for position, leaf in enumerate(leaves):
        if leaf.dtype.kind not in "fc":
            continue
        values = (leaf + leaf.dtype.type(0.125)).reshape(-1)
        found, _ = moved(tape, leaves, position, values)
        rtol = 1e-6 if leaf.dtype == np.float32 else 1e-14
        for got, expected in zip(found, one_by_one(tape, leaves, position, values), strict=True):
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("name", CASES)
def test_tangents_along_unit_vectors(name: str) -> None:
    function, leaves = CASES[name]
    tape = trace_leaves(function, leaves)
    for position, leaf in enumerate(leaves):
        if leaf.dtype.kind not in "fc":
            continue
        tangent = simplify(jvp(tape, (position,)))
        outputs = tuple(range(len(tape.outputs)))
        moving = batch_moves(tangent, len(leaves), leaf.size, tangent=True, single=outputs)
        ones = np.ones(leaf.size, leaf.dtype)
        found = simplify(moving.tape).evaluate([*leaves, ones, *places(moving.axes, leaf.shape)])[len(outputs) :]
        for coordinate in range(leaf.size):
            seed = np.zeros_like(leaf)
            seed.reshape(-1)[coordinate] = 1
            expected = tangent.evaluate([*leaves, seed])[len(outputs) :]
            for lanes, one in zip(found, expected, strict=True):
                np.testing.assert_allclose(lanes[coordinate], one, rtol=1e-6 if leaf.dtype == np.float32 else 1e-13)


@contextlib.contextmanager
def always_alone() -> Iterator[None]:
    """Every array has a program of its own, whatever the forecast says."""

    def alone(tape: Tape, function: Function, variables: Sequence[Aval], *_: Any, **__: Any) -> list[Part]:
        points = 1 if function.tangents else 2
        return [planning._own(tape, function, variables, place, points) for place in range(len(variables))]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "parts_of", alone)
        planning._known.cache_clear()
        yield
    planning._known.cache_clear()


# ------------------------------------------------------------------------------------ what is computed once


def carried(tape: Tape, lanes: int) -> int:
    """Elements that the equations compute for each lane."""
    sizes = [tape.avals[equation.output].size for equation in tape.equations if not equation.primitive.view]
    return sum(size for size in sizes if size >= lanes) // lanes


def network(leaves: Sequence[Any]) -> list[Any]:
    x = grid(8, 30)
    for layer in range(0, len(leaves), 2):
        x = nn.sigmoid(x @ leaves[layer] + leaves[layer + 1])
    return [np.sum(x**2)]


def test_what_a_lane_does_not_reach_is_computed_once() -> None:
    leaves = [grid(30, 32), grid(32), grid(32, 16), grid(16), grid(16, 1), grid(1)]
    tape, lanes = simplify(trace_leaves(network, leaves)), 1000
    counts = []
    for position in range(len(leaves)):
        whole = simplify(batch_moves(tape, position, lanes).tape)
        counts.append(carried(whole, lanes))
        once = [equation for equation in whole.equations if whole.avals[equation.output].shape[:1] != (lanes,)]
        # Of the layers before, and of its own the columns that a lane leaves alone; the last has but one column.
        assert [equation.primitive.name for equation in once].count("sigmoid") == min(position // 2 + 1, 2)
    assert counts[0] > counts[2] > counts[4] > 0
    assert counts[1] > counts[3] > counts[5] > 0
    # A column of the first layer and its place among all 32, and the layers behind it; whole lanes carry 960 more.
    assert counts[0] < 3 * 8 * 32 + 3 * 8 * 16 + 200


def test_guards_hold_in_every_lane_and_the_branch_is_taken_again() -> None:
    x = np.linspace(-1.0, 1.0, 6).reshape(2, 3)

    def loss(w: Any, v: Any) -> Any:
        total = np.sum(w * x)
        return np.sum(np.sin(v)) * total if total > 1.0 else np.sum(v * v) + total

    w, v = np.zeros((2, 3)), np.arange(4.0)
    w[1, 2] = 1.0 - 1e-12  # some of the points lie on the other side
    one = dl.gradient(loss, argnums=(0, 1), backend=dl.Finite(chunk=10, step=1e-3))(w, v)
    with always_alone():
        other = dl.gradient(loss, argnums=(0, 1), backend=dl.Finite(step=1e-3))(w, v)
    for first, second in zip(one, other, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-9, atol=1e-9)


def test_black_boxes_are_asked_for_one_point_after_the_other() -> None:
    asked = []

    def loss(w: Any) -> float:
        asked.append(np.array(w, dtype=float))
        return float(np.asarray(w, dtype=float).ravel() @ np.arange(6.0))

    prepared = dl.prepare(loss, grid(2, 3), backend="finite", operator="gradient")
    asked.clear()
    np.testing.assert_allclose(prepared.gradient(grid(2, 3)), np.arange(6.0).reshape(2, 3), atol=1e-9)
    assert len(asked) == 13
    assert all(np.sum(point != grid(2, 3)) <= 1 for point in asked)


def test_complex_and_integer_leaves() -> None:
    z, n, b = grid(3, 3) + 1j * grid(3, 3).T, np.arange(3), grid(3)

    def loss(z: Any, b: Any) -> Any:
        return np.sum(np.abs(z @ z.T + b * n) ** 2)

    for backend, atol in ((dl.Forward, 1e-11), (dl.Finite, 1e-5)):
        one = dl.gradient(loss, argnums=(0, 1), backend=backend(chunk=21))(z, b)
        with always_alone():
            other = dl.gradient(loss, argnums=(0, 1), backend=backend())(z, b)
        for first, second in zip(one, other, strict=True):
            np.testing.assert_allclose(second, first, rtol=0, atol=atol)


@pytest.mark.parametrize("backend", ["forward", "finite"])
def test_the_forecast_gives_large_arrays_programs_of_their_own(backend: str) -> None:
    leaves = [grid(30, 32), grid(32), grid(32, 1), grid(1)]
    prepared = dl.prepare(
        lambda *ls: network(ls)[0], *leaves, backend=backend, operator="jacobian", argnums=(0, 1, 2, 3)
    )
    assert 0 in prepared.stats["alone"]
    assert prepared.stats["programs"] >= 2
    assert prepared.stats["chunks"] >= prepared.stats["programs"]
    small = dl.prepare(lambda w: np.sum(np.sin(w)), grid(3), backend=backend, operator="gradient")
    assert (small.stats["programs"], small.stats["alone"]) == (1, [])
    expected = dl.gradient(lambda *ls: network(ls)[0], argnums=(0, 1, 2, 3), backend="reverse")(*leaves)
    rows = prepared.jacobian(*leaves)
    _, pull = dl.vjp(lambda *ls: network(ls)[0], *leaves, backend=backend)
    for found, pulled, one in zip(rows, pull(1.0), expected, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-12 if backend == "forward" else 1e-8)
        np.testing.assert_allclose(pulled, one, atol=1e-12 if backend == "forward" else 1e-8)


def test_an_unprepared_call_plans_once_and_sees_new_constants() -> None:
    planning._known.cache_clear()
    weights = [grid(20, 30), 2.0 * grid(20, 30)]
    for weight in weights:
        found = dl.gradient(lambda w, weight=weight: np.sum(np.tanh(grid(8, 20) @ w) @ weight.T), backend="forward")(
            grid(20, 30)
        )
        expected = dl.gradient(lambda w, weight=weight: np.sum(np.tanh(grid(8, 20) @ w) @ weight.T))(grid(20, 30))
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    assert planning._known.cache_info().hits == 1


def test_padded_chunks() -> None:
    """Directions that do not fill the last chunk, in each of the two ways."""
    w = grid(7, 5)
    tape = trace_leaves(lambda leaves: [np.sum(np.sin(leaves[0]), axis=0)], [w])
    for function, points in ((Function(lambda recorded, _: recorded, (0,), False), 2),):
        part = planning._own(tape, function, [Aval(w.shape, w.dtype)], 0, points)
        moving = batch_moves(simplify(tape), 0, 8 * points)
        short = part._replace(tape=simplify(moving.tape), lanes=8, axes=moving.axes)
        section = planning.Section(short, short.tape.evaluate, [Aval(w.shape, w.dtype)], points)
        assert [stop - start for start, stop in section.spans()] == [8, 8, 8, 8, 3]
        assert section.at(32).tolist() == [32, 33, 34, 0, 1, 2, 3, 4]
        for start, stop in section.spans():
            values = np.tile(w.reshape(-1)[section.at(start)] + 1.0, points)
            (found,) = section.run([w, values, *section.indices(start)])
            for lane in range(stop - start):
                there = np.array(w)
                there.reshape(-1)[start + lane] += 1.0
                for point in range(points):
                    np.testing.assert_allclose(found[point * 8 + lane], np.sum(np.sin(there), axis=0), rtol=1e-14)


def test_the_moves_of_lanes() -> None:
    base, index = grid(4, 3), np.array([5, 0, 11])
    part = np.array([10.0, 20.0, 30.0]).reshape(3, 1, 1)
    found = put.evaluate(base, part, index, shape=(4, 3), axes=(0, 1))
    for lane, (place, value) in enumerate(zip(index, part.ravel(), strict=True)):
        expected = np.array(base)
        expected.reshape(-1)[place] = value
        np.testing.assert_array_equal(found[lane], expected)
    assert put.into is not None
    out = np.empty_like(found)
    put.into([Aval(base.shape, base.dtype), Aval(part.shape, part.dtype), Aval(index.shape, index.dtype)],
             shape=(4, 3), axes=(0, 1)).function(base, part, index, out)  # fmt: skip
    np.testing.assert_array_equal(out, found)
    rows = np.array([3, 0, 3])
    np.testing.assert_array_equal(pick.evaluate(base, rows), base[rows])


# ------------------------------------------------------------------------------------ random functions

STEPS: tuple[tuple[str, Callable[[Any, Any], Any]], ...] = (
    ("add", lambda x, leaf: x + leaf),
    ("multiply", lambda x, leaf: leaf * x),
    ("divide", lambda x, leaf: x / (3.0 + leaf)),
    ("sine", lambda x, leaf: np.sin(x)),
    ("square", lambda x, leaf: x * x),
    ("turn", lambda x, leaf: x.T),
    ("choose", lambda x, leaf: np.where(x > leaf, x, 0.5 * leaf)),
    ("row", lambda x, leaf: x + leaf[0]),
    ("reach over", lambda x, leaf: x[::-1] - leaf),
)


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Steps of ``STEPS``, each with the leaf that it reads."""
    return draw(st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 2)), min_size=1, max_size=8))


def written(steps: list[tuple[int, int]]) -> Callable[[Sequence[Any]], list[Any]]:
    def function(leaves: Sequence[Any]) -> list[Any]:
        x = leaves[steps[0][1]]
        for step, which in steps:
            x = STEPS[step][1](x, leaves[which])
        return [x]

    return function


@settings(max_examples=60, deadline=None)
@given(programs(), st.permutations(range(3)))
def test_elementwise_functions_keep_every_bit(steps: list[tuple[int, int]], order: list[int]) -> None:
    leaves = [(grid(3, 3) + 0.3 * k)[list(order)] for k in range(3)]
    tape = trace_leaves(written(steps), leaves)
    for position in range(3):
        values = leaves[position].reshape(-1) * (1 + 1e-6)
        (found,), _ = moved(tape, leaves, position, values)
        np.testing.assert_array_equal(found, one_by_one(tape, leaves, position, values)[0])


@settings(max_examples=40, deadline=None)
@given(programs(), st.booleans())
def test_parts_and_whole_lanes_agree(steps: list[tuple[int, int]], product: bool) -> None:
    leaves = [grid(3, 3), grid(3, 3) + 0.2, 0.5 * grid(3, 3)]

    def loss(*given: Any) -> Any:
        (x,) = written(steps)(given)
        return np.sum(x @ given[1] if product else x)

    whole = dl.gradient(loss, argnums=(0, 1, 2), backend=dl.Forward(chunk=27))(*leaves)
    quotients = dl.gradient(loss, argnums=(0, 1, 2), backend=dl.Finite(chunk=27))(*leaves)
    with always_alone():
        tangents = dl.gradient(loss, argnums=(0, 1, 2), backend="forward")(*leaves)
        moves = dl.gradient(loss, argnums=(0, 1, 2), backend="finite")(*leaves)
    size = max(float(np.max(np.abs(one))) for one in whole) + abs(float(loss(*leaves))) + 1
    for first, second, third, fourth in zip(whole, tangents, quotients, moves, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-12, atol=1e-12 * size)
        np.testing.assert_allclose(fourth, third, rtol=0, atol=1e-9 * size)
