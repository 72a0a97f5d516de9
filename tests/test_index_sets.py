"""The table of sets against Python's sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difflab.transforms import index_sets
from difflab.transforms.index_sets import FullError, IndexSets
from difflab.transforms.runs import Grown, runs, thin

COUNT = 9


def as_sets(table: IndexSets, ids: Any) -> list[frozenset[int]]:
    return [frozenset(table.members(number).tolist()) for number in np.ravel(ids)]


def union(sets: list[frozenset[int]]) -> frozenset[int]:
    return frozenset().union(*sets)


def filled(table: IndexSets, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """An array of sets of several sizes, empty ones among them."""
    ids = rng.integers(0, table.count + 1, shape).astype(np.int32)
    for _ in range(3):
        ids = np.array(table.elementwise(ids, rng.permutation(ids.ravel()).reshape(shape)))
        ids[rng.random(shape) < 0.3] = 0
    return ids


tables = st.builds(lambda seed: (IndexSets(COUNT), np.random.default_rng(seed)), st.integers(0, 10**6))
quick = settings(max_examples=60, deadline=None, derandomize=True)


@quick
@given(tables, st.sampled_from([((4,), (4,)), ((3, 1), (2,)), ((), (5,)), ((0, 2), (1, 2))]))
def test_elementwise_unions(drawn: Any, shapes: Any):
    table, rng = drawn
    a, b = (filled(table, rng, shape) for shape in shapes)
    found = table.elementwise(a, b)
    wide_a, wide_b = np.broadcast_arrays(a, b)
    pairs = zip(as_sets(table, wide_a), as_sets(table, wide_b), strict=True)
    assert found.shape == wide_a.shape
    assert as_sets(table, found) == [x | y for x, y in pairs]


@quick
@given(tables, st.sampled_from([(), (0,), (1,), (2, 0), (0, 1, 2)]), st.booleans())
def test_unions_along_axes(drawn: Any, axes: tuple[int, ...], keep: bool):
    table, rng = drawn
    ids = filled(table, rng, (3, 4, 2))
    found = table.along(ids, axes, keep)
    assert found.shape == np.sum(ids, axis=axes, keepdims=keep).shape
    numbers = np.arange(24).reshape(ids.shape)
    for place, union_found in zip(np.ndindex(found.shape), as_sets(table, found), strict=True):
        full = place if keep else tuple(np.insert(np.array(place, int), [a - i for i, a in enumerate(sorted(axes))], 0))
        cut = tuple(slice(None) if axis in axes else at for axis, at in enumerate(full))
        assert union_found == union([as_sets(table, ids)[n] for n in np.ravel(numbers[cut])])


@quick
@given(tables)
def test_grouped_unions(drawn: Any):
    table, rng = drawn
    ids, groups = filled(table, rng, (12,)), rng.integers(0, 5, 12)
    found = as_sets(table, table.grouped(groups, ids, 6))
    sets = as_sets(table, ids)
    assert found == [union([s for s, g in zip(sets, groups, strict=True) if g == group]) for group in range(6)]


@quick
@given(tables, st.integers(0, 1), st.booleans())
def test_running_unions(drawn: Any, axis: int, reverse: bool):
    table, rng = drawn
    ids = filled(table, rng, (5, 3))
    found = np.moveaxis(table.running(ids, axis, reverse), axis, 0)
    lines = np.moveaxis(ids, axis, 0)
    for at in range(len(lines)):
        inside = lines[at:] if reverse else lines[: at + 1]
        for column in range(lines.shape[1]):
            assert as_sets(table, found[at, column]) == [union(as_sets(table, inside[:, column]))]


@quick
@given(tables)
def test_equal_sets_have_one_number_and_everything_is_their_union(drawn: Any):
    table, rng = drawn
    arrays = [filled(table, rng, (6,)) for _ in range(3)]
    sets = [frozenset(table.members(number).tolist()) for number in range(len(table))]
    assert len(set(sets)) == len(sets)
    expected = union([s for ids in arrays for s in as_sets(table, ids)])
    assert as_sets(table, table.everything(*arrays)) == [expected]


@quick
@given(tables)
def test_compacting_keeps_what_is_used(drawn: Any):
    table, rng = drawn
    kept = filled(table, rng, (7,))
    filled(table, rng, (40,))
    wide = np.broadcast_to(kept, (3, 7))
    before, size = as_sets(table, kept), table.size
    moved, again = table.compact([kept, wide])
    assert as_sets(table, moved) == before
    assert as_sets(table, again) == 3 * before
    assert table.size <= size
    # Unions made afterwards find the sets that are still there.
    assert np.array_equal(table.elementwise(moved, moved[::-1])[::-1], table.elementwise(moved, moved[::-1]))
    assert table.elementwise(moved, np.zeros_like(moved)).tolist() == moved.tolist()


@quick
@given(st.integers(0, 10**6))
def test_a_hash_that_never_tells_sets_apart_does_no_harm(seed: int):
    table, rng = IndexSets(COUNT), np.random.default_rng(seed)
    table._words[:] = 0
    a, b = filled(table, rng, (30,)), filled(table, rng, (30,))
    pairs = zip(as_sets(table, a), as_sets(table, b), strict=True)
    assert as_sets(table, table.elementwise(a, b)) == [x | y for x, y in pairs]


def test_work_in_small_parts_is_the_same(monkeypatch: pytest.MonkeyPatch):
    found = []
    for chunk in (1 << 20, 3):
        monkeypatch.setattr(index_sets, "CHUNK", chunk)
        table = IndexSets(COUNT)
        ids = filled(table, np.random.default_rng(4), (5, 6))
        found.append([as_sets(table, table.along(ids, axes)) for axes in ((0,), (1,), (0, 1))])
        assert as_sets(table, table.everything(ids)) == found[-1][2]
    assert found[0] == found[1]


def test_a_full_table_says_so_and_still_takes_one_set_of_everything():
    table = IndexSets(50, limit=80)
    singles = np.arange(1, 51, dtype=np.int32)
    with pytest.raises(FullError):
        table.along(np.broadcast_to(singles, (50, 50)) * np.tri(50, dtype=np.int32), (1,))
    assert as_sets(table, table.everything(singles)) == [frozenset(range(50))]


def test_a_scan_that_does_not_fit_takes_the_whole_line_and_says_so():
    table = IndexSets(50, limit=120)
    with pytest.raises(FullError):
        table.running(np.arange(1, 51, dtype=np.int32), 0)
    table.settle = True
    found = table.running(np.arange(1, 51, dtype=np.int32), 0)
    assert as_sets(table, found) == [frozenset(range(50))] * 50
    assert table.notes == ["all that comes before each element is too much to keep apart"]


def test_what_is_repeated_is_worked_on_once():
    shape, (a, b) = thin(np.broadcast_to(np.arange(3), (1000, 3)), np.arange(3))
    assert (shape, a.shape, b.shape) == ((1000, 3), (1, 3), (1, 3))
    table = IndexSets(3)
    wide = np.broadcast_to(np.array([1, 2, 3], np.int32), (10**9, 3))  # 12 GB if it were written out
    assert table.along(wide, (1,)).shape == (10**9,)
    assert len(table) == 5
    assert as_sets(table, table.along(wide, (0,))) == [{0}, {1}, {2}]


def test_runs_and_grown():
    assert runs(np.array([5, 0]), np.array([2, 3])).tolist() == [5, 6, 0, 1, 2]
    assert runs(np.zeros(0, int), np.zeros(0, int)).tolist() == []
    grown = Grown(np.arange(2))
    for _ in range(5):
        grown.extend(np.arange(3))
    assert grown.array.tolist() == [0, 1] + 5 * [0, 1, 2]
