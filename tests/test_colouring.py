"""Colourings against their definitions, checked by brute force, and against the least number there is on tiny ones."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from difflab.execution.colour_both import colour_both, first_fit, separated
from difflab.execution.colour_symmetric import colour_symmetric
from difflab.execution.colouring import (
    Csr,
    by_classes,
    by_saturation,
    colour_columns,
    distance_one,
    distinct_rows,
    transposed,
)

DENSITIES = (0.0, 0.1, 0.3, 0.6, 1.0)


def csr(pattern: np.ndarray) -> Csr:
    """Where a boolean array is true."""
    indptr = np.concatenate([[0], np.cumsum(pattern.sum(axis=1))]).astype(np.int64)
    return Csr(indptr, np.nonzero(pattern)[1], pattern.shape)


def band(n: int, *offsets: int) -> np.ndarray:
    return np.isin(np.arange(n)[None, :] - np.arange(n)[:, None], offsets)


@st.composite
def patterns(draw: st.DrawFn, most: int = 12) -> np.ndarray:
    """Boolean arrays, also without rows, columns or entries; some with rows and columns that are full or repeated."""
    m, n = draw(st.integers(0, most)), draw(st.integers(0, most))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    pattern = random.random((m, n)) < draw(st.sampled_from(DENSITIES))
    if m and draw(st.booleans()):
        pattern[random.integers(m)] = True
    if n and draw(st.booleans()):
        pattern[:, random.integers(n)] = True
    if m and draw(st.booleans()):
        pattern = pattern[random.integers(m, size=m)]
    return pattern


@st.composite
def symmetric_patterns(draw: st.DrawFn, most: int = 12) -> np.ndarray:
    """Symmetric boolean arrays with all, some or none of the diagonal, some arrow-shaped."""
    n = draw(st.integers(0, most))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    pattern = random.random((n, n)) < draw(st.sampled_from(DENSITIES))
    pattern |= pattern.T
    if n and draw(st.booleans()):
        at = random.integers(n)
        pattern[at] = pattern[:, at] = True
    share = draw(st.sampled_from((0.0, 0.5, 1.0)))
    pattern[np.diag_indices(n)] = random.random(n) < share
    return pattern


def alone(pattern: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The entries (i, j) with j coloured and no other column of its colour in row i, by the definition."""
    result = np.zeros(pattern.shape, bool)
    for i, j in zip(*np.nonzero(pattern), strict=True):
        same = [k for k in np.flatnonzero(pattern[i]) if colours[k] == colours[j]]
        result[i, j] = colours[j] >= 0 and same == [j]
    return result


# ------------------------------------------------------------------------------------------------ columns


@given(patterns())
def test_no_two_columns_of_a_colour_share_a_row(pattern: np.ndarray):
    colours = colour_columns(csr(pattern))
    assert np.array_equal(colours >= 0, pattern.any(axis=0))
    assert np.array_equal(alone(pattern, colours), pattern)
    assert set(colours.tolist()) - {-1} == set(range(colours.max(initial=-1) + 1))  # no colour is left out
    assert pattern.sum(axis=1).max(initial=0) <= colours.max(initial=-1) + 1 <= pattern.any(axis=0).sum()


@given(patterns())
def test_quick_colours_are_right_too_and_not_fewer(pattern: np.ndarray):
    quick = colour_columns(csr(pattern), quick=True)
    assert np.array_equal(alone(pattern, quick), pattern)
    assert quick.max(initial=-1) >= colour_columns(csr(pattern)).max(initial=-1)


def test_saturation_beats_the_natural_order_on_the_five_point_stencil():
    k = 20
    points = np.arange(k * k)
    x, y = points % k, points // k
    stencil = np.abs(x[:, None] - x) + np.abs(y[:, None] - y) <= 1
    assert colour_columns(csr(stencil), quick=True).max() + 1 > 5
    assert colour_columns(csr(stencil)).max() + 1 == 5  # the bound: entries of a row


def test_a_crown_in_its_worst_order_takes_two_colours():
    # u_i and v_j are neighbours unless i = j: first fit in the order u_0 v_0 u_1 v_1 ... takes n colours.
    n = 8
    edges = [(2 * i, 2 * j + 1) for i, j in itertools.product(range(n), repeat=2) if i != j]
    pattern = np.zeros((len(edges), 2 * n), bool)
    for row, (u, v) in enumerate(edges):
        pattern[row, [u, v]] = True
    assert colour_columns(csr(pattern)).max() + 1 == 2


@given(patterns())
def test_distinct_rows_are_those_of_two_entries_or_more_each_once(pattern: np.ndarray):
    found = distinct_rows(csr(pattern))
    rows = [tuple(row) for row in found.lists()]
    assert len(set(rows)) == len(rows)
    assert set(rows) == {tuple(np.flatnonzero(row)) for row in pattern if row.sum() > 1}


@given(patterns())
def test_rows_whose_marks_agree_by_chance_are_all_kept(pattern: np.ndarray):
    found = distinct_rows(csr(pattern), np.ones(pattern.shape[1], np.uint64))
    assert {tuple(row) for row in found.lists()} == {tuple(np.flatnonzero(row)) for row in pattern if row.sum() > 1}


@given(patterns())
def test_the_transpose_and_the_numbers_of_its_entries(pattern: np.ndarray):
    matrix = csr(pattern)
    other, numbers = transposed(matrix)
    wanted = csr(pattern.T)
    assert np.array_equal(other.indptr, wanted.indptr)
    assert np.array_equal(other.indices, wanted.indices)
    assert np.array_equal(matrix.indices[numbers], other.rows)
    assert np.array_equal(matrix.rows[numbers], other.indices)


def test_an_order_by_classes_keeps_every_class_together():
    colours = np.array([2, 0, -1, 1, 0, 2, 2, 1])
    for attempt in range(9):
        order = by_classes(colours, attempt)
        assert sorted(order) == [0, 1, 3, 4, 5, 6, 7]
        assert len(list(itertools.groupby(order, key=lambda vertex: colours[vertex]))) == 3


def test_saturation_visits_every_vertex_once_and_stays_by_what_it_has_coloured():
    order = by_saturation(csr(band(9, -1, 1)).lists(), list(range(9)))
    assert sorted(order) == list(range(9))
    assert all(min(abs(vertex - before) for before in order[:k]) == 1 for k, vertex in enumerate(order) if k)


# ------------------------------------------------------------------------------------------------ both ways


@given(patterns())
def test_separated_is_its_definition(pattern: np.ndarray):
    colours = np.random.default_rng(pattern.size).integers(-1, 4, pattern.shape[1])
    matrix = csr(pattern)
    assert np.array_equal(separated(matrix, colours), alone(pattern, colours)[matrix.rows, matrix.indices])


@given(patterns(), st.sampled_from([(1.0, 1.0), (3.0, 1.0), (1.0, 2.5)]))
def test_every_entry_is_alone_in_its_column_colour_or_in_its_row_colour(pattern: np.ndarray, price: tuple):
    both = colour_both(csr(pattern), price, np.inf)
    if both is not None:
        assert np.array_equal(alone(pattern, both.columns) | alone(pattern.T, both.rows).T, pattern)
        assert both.cost == price[0] * (both.columns.max(initial=-1) + 1) + price[1] * (both.rows.max(initial=-1) + 1)
        assert colour_both(csr(pattern), price, both.cost) is None  # not below what it costs


@given(patterns(), st.integers(0, 10**6))
def test_first_fit_reads_what_is_needed_whatever_the_order(pattern: np.ndarray, seed: int):
    random = np.random.default_rng(seed)
    matrix = csr(pattern)
    needed = random.random(len(matrix.indices)) < 0.5
    colours = first_fit(matrix, needed, random.permutation(matrix.shape[0]))  # of rows: the transpose's columns
    read = alone(pattern.T, colours).T[matrix.rows, matrix.indices]
    assert np.all(read[needed])
    assert np.array_equal(np.flatnonzero(colours >= 0), np.unique(matrix.rows[needed]))


# ------------------------------------------------------------------------------------------------ symmetric


@given(symmetric_patterns())
def test_every_entry_of_a_symmetric_matrix_is_alone_on_one_side(pattern: np.ndarray):
    matrix = csr(pattern)
    colours = colour_symmetric(matrix, transposed(matrix)[1])
    read = alone(pattern, colours)
    assert np.array_equal(read | read.T, pattern)
    assert set(colours.tolist()) - {-1} == set(range(colours.max(initial=-1) + 1))


@given(symmetric_patterns(9))
def test_with_a_full_diagonal_every_path_of_four_has_three_colours(pattern: np.ndarray):
    n = len(pattern)
    pattern[np.diag_indices(n)] = True
    matrix = csr(pattern)
    colours = colour_symmetric(matrix, transposed(matrix)[1])
    edges = pattern & ~np.eye(n, dtype=bool)
    assert all(colours[i] != colours[j] for i, j in zip(*np.nonzero(edges), strict=True))
    for a, b, c, d in itertools.permutations(range(n), 4):
        if edges[a, b] and edges[b, c] and edges[c, d]:
            assert len({colours[each] for each in (a, b, c, d)}) >= 3


@given(symmetric_patterns())
def test_distance_one_reads_the_diagonal(pattern: np.ndarray):
    n = len(pattern)
    matrix = csr(pattern)
    colours = distance_one(matrix.indptr, matrix.indices, n)
    assert np.array_equal(colours >= 0, np.diag(pattern))
    values = np.random.default_rng(n).integers(1, 99, (n, n)) * pattern
    for colour in range(colours.max(initial=-1) + 1):
        group = np.flatnonzero(colours == colour)
        assert np.array_equal((values @ (colours == colour))[group], np.diag(values)[group])


@pytest.mark.parametrize(
    ("pattern", "colours"),
    [
        (band(9, 0), 1),
        (band(9, -1, 0, 1), 2),
        (band(9, *range(-3, 4)), 4),
        (band(10, -9, -1, 0, 1, 9), 2),
        (band(9, -8, -1, 0, 1, 8), 3),
        (np.ones((5, 5), bool), 5),
        (np.zeros((4, 4), bool), 0),
    ],
)
def test_colours_by_which_diagonals_are_read(pattern: np.ndarray, colours: int):
    matrix = csr(pattern)
    assert distance_one(matrix.indptr, matrix.indices, len(pattern)).max() + 1 == colours


def test_bipartite_graphs_take_two_colours_in_a_bad_order():
    n = 16
    i, j = np.indices((n, n))
    pattern = ((i + j) % 2 == 1) & (i // 2 != j // 2) | np.eye(n, dtype=bool)  # the crown of above
    matrix = csr(pattern)
    assert distance_one(matrix.indptr, matrix.indices, n).max() + 1 == 2


# ------------------------------------------------------------------------------------------------ the least there is


@functools.cache
def all_colourings(n: int) -> list[tuple[int, ...]]:
    """All colourings of n things, some without a colour, up to the names of colours."""
    found: list[tuple[int, ...]] = [()]
    for _ in range(n):
        found = [(*each, colour) for each in found for colour in range(-1, max(each, default=-1) + 2)]
    return found


def readable(pattern: np.ndarray) -> dict[bytes, int]:
    """Sets of entries that column products can show, each with the fewest products that do."""
    fewest: dict[bytes, int] = {}
    for each in all_colourings(pattern.shape[1]):
        colours = np.array(each, int)
        products = colours.max(initial=-1) + 1
        together = (pattern[:, None, :] & (colours == np.arange(max(products, 1))[:, None])).sum(axis=2)
        shown = pattern & (colours >= 0) & (together[:, np.maximum(colours, 0)] == 1)
        fewest[shown.tobytes()] = min(products, fewest.get(shown.tobytes(), products))
    return fewest


def least_both(pattern: np.ndarray) -> int:
    """The fewest products of both kinds off which every entry can be read directly."""
    by_columns = [(np.frombuffer(key, bool).reshape(pattern.shape), k) for key, k in readable(pattern).items()]
    turned = pattern.T.copy()
    by_rows = [(np.frombuffer(key, bool).reshape(turned.shape).T, k) for key, k in readable(turned).items()]
    columns = np.array([shown[pattern] for shown, _ in by_columns])
    rows = np.array([shown[pattern] for shown, _ in by_rows])
    enough = ~np.any(~columns[:, None] & ~rows[None], axis=2)
    return int(np.add.outer([k for _, k in by_columns], [k for _, k in by_rows])[enough].min())


def least_symmetric(pattern: np.ndarray) -> int:
    """The fewest products H s off which every entry can be read directly, on either side of the diagonal."""
    shown = ((np.frombuffer(key, bool).reshape(pattern.shape), k) for key, k in readable(pattern).items())
    return min(k for each, k in shown if np.array_equal(each | each.T, pattern))


def test_tiny_matrices_get_the_fewest_products_of_both_kinds():
    random, found = np.random.default_rng(5), []
    for _ in range(60):
        pattern = random.random(random.integers(1, 5, 2)) < random.choice([0.3, 0.5, 0.7])
        columns, rows = (colour_columns(csr(each)).max(initial=-1) + 1 for each in (pattern, pattern.T))
        both = colour_both(csr(pattern), (1.0, 1.0), min(columns, rows))
        found.append((min(columns, rows) if both is None else int(both.cost)) - least_both(pattern))
    assert min(found) == 0
    assert max(found) <= 1
    assert found.count(0) >= 0.95 * len(found)


def test_tiny_symmetric_matrices_get_the_fewest_products():
    random, found = np.random.default_rng(6), []
    for number in range(60):
        n = int(random.integers(1, 6))
        pattern = random.random((n, n)) < random.choice([0.2, 0.4])
        pattern |= pattern.T
        pattern[np.diag_indices(n)] |= number % 3 > 0
        matrix = csr(pattern)
        star = colour_symmetric(matrix, transposed(matrix)[1]).max(initial=-1) + 1
        found.append(min(star, colour_columns(matrix).max(initial=-1) + 1) - least_symmetric(pattern))
    assert min(found) == 0
    assert max(found) <= 1
    assert found.count(0) >= 0.9 * len(found)


def test_one_way_the_fewest_colours_of_tiny_matrices():
    random, found = np.random.default_rng(7), []
    for _ in range(60):
        pattern = random.random(random.integers(1, 6, 2)) < random.choice([0.3, 0.5])
        least = readable(pattern)[pattern.tobytes()]
        found.append(colour_columns(csr(pattern)).max(initial=-1) + 1 - least)
    assert min(found) == 0
    assert max(found) == 0


@given(hnp.arrays(np.int64, st.integers(0, 9), elements=st.integers(0, 7)))
def test_nested_rows_take_as_many_colours_as_the_longest_has_entries(lengths: np.ndarray):
    pattern = np.arange(8) < lengths[:, None]
    assert colour_columns(csr(pattern)).max(initial=-1) + 1 == lengths.max(initial=0)
