"""Matrices recovered from few products, exactly; how many products; prices; faults of the caller."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_colouring import band, csr, patterns, symmetric_patterns

from difflab.errors import InputError
from difflab.execution.compression import Compression, compress, compress_symmetric

WAYS = ((True, True), (True, False), (False, True))


def of(pattern: np.ndarray, **options) -> Compression:
    matrix = csr(pattern)
    return compress(matrix.indptr, matrix.indices, matrix.shape, **options)


def of_symmetric(pattern: np.ndarray) -> Compression:
    matrix = csr(pattern)
    return compress_symmetric(matrix.indptr, matrix.indices, len(pattern))


def arrow(n: int) -> np.ndarray:
    pattern = np.eye(n, dtype=bool)
    pattern[0] = pattern[:, 0] = True
    return pattern


def filled(pattern: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Small integers where the pattern is: sums of them are exact, and no two ways to get one agree by chance."""
    values = np.random.default_rng(pattern.size).integers(1, 1000, pattern.shape).astype(dtype)
    return np.where(pattern, values * 1j if dtype is np.complex128 else values, 0)


def check(compression: Compression, values: np.ndarray, pattern: np.ndarray) -> None:
    """All entries come back exactly, in an array of its own."""
    pushed = (values @ compression.column_seeds(values.dtype).T).T
    pulled = compression.row_seeds(values.dtype) @ values
    found = compression.recover(pushed, pulled)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values[pattern])
    assert not np.shares_memory(found, pushed)
    assert not np.shares_memory(found, pulled)
    contiguous = compression.recover(np.ascontiguousarray(pushed), np.asfortranarray(pulled))
    assert np.array_equal(contiguous, values[pattern])


@given(patterns(), st.sampled_from(WAYS), st.sampled_from([(1.0, 1.0), (1.0, 4.0), (3, 1)]))
def test_every_entry_comes_back_exactly(pattern: np.ndarray, ways: tuple, price: tuple):
    compression = of(pattern, push=ways[0], pull=ways[1], price=price)
    for dtype in (np.float64, np.float32, np.complex128):
        check(compression, filled(pattern, dtype), pattern)
    assert ways[0] or compression.n_columns == 0
    assert ways[1] or compression.n_rows == 0
    assert compression.column_seeds().shape == (compression.n_columns, pattern.shape[1])
    assert compression.row_seeds().shape == (compression.n_rows, pattern.shape[0])


@given(symmetric_patterns())
def test_every_entry_of_a_symmetric_matrix_comes_back_exactly(pattern: np.ndarray):
    compression = of_symmetric(pattern)
    upper = np.triu(filled(pattern))
    check(compression, upper + np.triu(upper, 1).T, pattern)
    assert compression.n_rows == 0
    assert compression.n_columns <= of(pattern, pull=False).n_columns


@given(patterns(), st.sampled_from([(1.0, 1.0), (1.0, 4.0), (3.0, 1.0), (1.0, 100.0)]))
def test_the_cheapest_way_is_taken(pattern: np.ndarray, price: tuple):
    def cost(compression: Compression) -> float:
        return compression.n_columns * price[0] + compression.n_rows * price[1]

    one_way = [cost(of(pattern, push=push, pull=not push, price=price)) for push in (True, False)]
    assert cost(of(pattern, price=price)) <= min(one_way)


@given(patterns())
def test_the_same_pattern_gets_the_same_colours(pattern: np.ndarray):
    first, second = of(pattern), of(pattern)
    for one, two in ((first.column_colours, second.column_colours), (first.row_colours, second.row_colours)):
        assert (one is None) == (two is None)
        assert one is None or two is None or np.array_equal(one, two)
    assert np.array_equal(first.from_pushed.places, second.from_pushed.places)
    assert np.array_equal(first.from_pulled.places, second.from_pulled.places)


# Shapes with a known count: (pattern, products J s, products r J) at price (1, 1) and, at the end, by columns alone.
PATTERNS = {
    "nothing": (np.zeros((4, 5), bool), 0, 0, 0),
    "no rows": (np.zeros((0, 5), bool), 0, 0, 0),
    "no columns": (np.zeros((5, 0), bool), 0, 0, 0),
    "one row": (np.ones((1, 6), bool), 0, 1, 6),
    "one column": (np.ones((6, 1), bool), 1, 0, 1),
    "full, wide": (np.ones((4, 7), bool), 0, 4, 7),
    "full, tall": (np.ones((7, 4), bool), 4, 0, 4),
    "diagonal": (band(30, 0), 1, 0, 1),
    "bidiagonal": (band(30, 0, 1), 2, 0, 2),
    "tridiagonal": (band(30, -1, 0, 1), 3, 0, 3),
    "seven diagonals": (band(30, *range(-2, 5)), 7, 0, 7),
    "periodic": (band(30, -29, -1, 0, 1, 29), 3, 0, 3),
    "3 x 5 blocks": (np.kron(np.eye(6), np.ones((3, 5))) > 0, 0, 3, 5),
    "5 x 3 blocks": (np.kron(np.eye(6), np.ones((5, 3))) > 0, 3, 0, 3),
    "upper triangle": (np.triu(np.ones((6, 6), bool)), 6, 0, 6),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_counts_of_known_shapes(name: str):
    pattern, columns, rows, alone = PATTERNS[name]
    compression = of(pattern)
    assert (compression.n_columns, compression.n_rows) == (columns, rows)
    assert of(pattern, pull=False).n_columns == alone
    check(compression, filled(pattern), pattern)


@pytest.mark.parametrize("down", [1, -1])
@pytest.mark.parametrize("along", [1, -1])
@pytest.mark.parametrize("n", [5, 40])
def test_an_arrow_takes_three_products_of_both_kinds(n: int, down: int, along: int):
    pattern = arrow(n)[::down, ::along]
    compression = of(pattern)
    assert compression.n_columns + compression.n_rows == 3  # 3 n - 2 entries, and a product shows n
    assert min(compression.n_columns, compression.n_rows) == 1
    assert of(pattern, pull=False).n_columns == of(pattern, push=False).n_rows == n
    check(compression, filled(pattern), pattern)


def test_a_wide_arrow_hidden_by_permutations():
    n, random = 60, np.random.default_rng(2)
    pattern = band(n, -1, 0, 1)
    pattern[:3] = pattern[:, :3] = True
    pattern = pattern[random.permutation(n)][:, random.permutation(n)]
    compression = of(pattern)
    assert compression.n_columns + compression.n_rows <= 9  # three full rows, three full columns, three diagonals
    check(compression, filled(pattern), pattern)


def test_wide_and_tall_blocks_in_one_matrix():
    pattern = np.zeros((22, 22), bool)
    pattern[:2, :20] = pattern[2:, 20:] = True
    compression = of(pattern)
    assert (compression.n_columns, compression.n_rows) == (2, 2)
    check(compression, filled(pattern), pattern)


def test_the_price_decides():
    square = np.ones((4, 4), bool)
    assert of(square, price=(1.0, 1.0)).n_columns == 4  # equal costs: columns
    assert of(square, price=(1.0, 0.9)).n_rows == 4
    tall = np.ones((7, 4), bool)
    assert of(tall, price=(2.0, 1.0)).n_rows == 7
    assert of(tall, price=(1.5, 1.0)).n_columns == 4
    assert of(arrow(9), price=(1.0, 5.0)).n_rows == 1  # 2 + 5 < 9
    assert of(arrow(9), price=(1.0, 8.0)).n_rows == 0  # 9 < 2 + 8


SYMMETRIC = {
    "nothing": (np.zeros((4, 4), bool), 0),
    "no rows": (np.zeros((0, 0), bool), 0),
    "diagonal": (band(30, 0), 1),
    "tridiagonal": (band(30, -1, 0, 1), 3),
    "arrow": (arrow(30), 2),
    "arrow without a diagonal": (arrow(30) & ~np.eye(30, dtype=bool), 1),
    "pairs without a diagonal": (np.kron(np.eye(5), [[0, 1], [1, 0]]) > 0, 1),
    "full": (np.ones((5, 5), bool), 5),
    "blocks": (np.kron(np.eye(6), np.ones((4, 4))) > 0, 4),
}


@pytest.mark.parametrize("name", SYMMETRIC)
def test_counts_of_known_symmetric_shapes(name: str):
    pattern, products = SYMMETRIC[name]
    assert of_symmetric(pattern).n_columns == products


def test_columns_and_rows_without_entries_are_in_no_product():
    pattern = np.zeros((4, 5), bool)
    pattern[[0, 0, 3], [1, 2, 2]] = True
    columns, rows = of(pattern, pull=False), of(pattern, push=False)
    assert columns.column_colours is not None
    assert columns.row_colours is None
    assert columns.column_colours.tolist() == [-1, 0, 1, -1, -1]
    assert rows.column_colours is None
    assert rows.row_colours is not None
    assert rows.row_colours.tolist() == [0, -1, -1, 1]


def test_large_patterns_of_few_colours():
    n = 20_000
    rows = np.arange(n)[:, None] + np.array([-1, 0, 1])
    inside = (rows >= 0) & (rows < n)
    indptr = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
    tridiagonal = compress(indptr, rows[inside], (n, n))
    assert (tridiagonal.n_columns, tridiagonal.n_rows) == (3, 0)
    # Camera i (9 parameters) sees point j (3 parameters) in two rows, as in bundle adjustment.
    random = np.random.default_rng(1)
    camera, point = random.integers(0, 20, 4000), random.integers(0, 1500, 4000)
    columns = np.concatenate([9 * camera[:, None] + np.arange(9), 180 + 3 * point[:, None] + np.arange(3)], axis=1)
    indices = np.repeat(columns, 2, axis=0)
    bundle = compress(np.arange(0, indices.size + 1, 12), indices.ravel(), (8000, 180 + 4500))
    assert (bundle.n_columns, bundle.n_rows) == (12, 0)


def test_products_of_two_dtypes_give_the_one_that_holds_both():
    compression = of(arrow(6))
    values = filled(arrow(6), np.float32)
    pushed = compression.column_seeds(np.float32) @ values.T
    pulled = (compression.row_seeds(np.float64) @ values).astype(np.float64)
    found = compression.recover(pushed, pulled)
    assert found.dtype == np.float64
    assert np.array_equal(found, values[arrow(6)])


def test_what_was_given_may_change_afterwards():
    matrix = csr(band(6, 0, 1))
    indptr, indices = matrix.indptr.copy(), matrix.indices.copy()
    compression = compress(indptr, indices, matrix.shape)
    indptr[:] = indices[:] = 0
    assert np.array_equal(compression.indptr, matrix.indptr)
    assert np.array_equal(compression.indices, matrix.indices)


GOOD = (np.array([0, 2, 3]), np.array([0, 2, 1]), (2, 3))
BAD = {
    r"compress\(indptr\): 4 integers that rise from 0 to the number of entries are needed": (GOOD[0], GOOD[1], (3, 3)),
    r"compress\(indptr\): 3 integers that rise": (np.array([0, 4, 3]), GOOD[1], (2, 3)),
    r"compress\(indices\): one axis of column numbers from 0 to 1 is needed": (GOOD[0], GOOD[1], (2, 2)),
    r"compress\(indices\): one axis": (GOOD[0], GOOD[1][:, None], (2, 3)),
    r"compress\(indices\): the columns of a row increase, each once; sort them first": (
        GOOD[0],
        np.array([2, 0, 1]),
        (2, 3),
    ),
    r"compress: indptr and indices are integers, not int64 and float64": (GOOD[0], GOOD[1] * 1.0, (2, 3)),
}


@pytest.mark.parametrize("text", BAD)
def test_patterns_that_are_none(text: str):
    with pytest.raises(InputError, match=text):
        compress(*BAD[text])


def test_a_repeated_column_is_refused_but_rows_may_start_anywhere():
    with pytest.raises(InputError, match="each once"):
        compress(np.array([0, 2]), np.array([1, 1]), (1, 2))
    for counts in itertools.product((0, 1, 2), repeat=3):
        indices = np.concatenate([np.arange(count) for count in counts])
        compression = compress(np.concatenate([[0], np.cumsum(counts)]), indices.astype(int), (3, 2))
        assert compression.n_columns + compression.n_rows >= bool(sum(counts))


def test_faults_of_the_caller():
    with pytest.raises(InputError, match=r"push=False, pull=False\): no product is possible; allow one kind at least"):
        compress(*GOOD, push=False, pull=False)
    for price in ((0.0, 1.0), (1.0, -1.0), (np.nan, 1.0), (np.inf, 1.0)):
        with pytest.raises(InputError, match=r"price of a product is a finite number above 0"):
            compress(*GOOD, price=price)
    with pytest.raises(InputError, match="the pattern is not symmetric; give its union with its transpose"):
        compress_symmetric(np.array([0, 2, 3]), np.array([0, 1, 1]), 2)
    compression = of(band(4, 0, 1))
    with pytest.raises(InputError, match=r"recover\(pushed=None\): this matrix is read off 2 such products"):
        compression.recover(None, None)
    with pytest.raises(
        InputError, match=r"recover\(pushed\): shape \(4, 2\) was given, the products have shape \(2, 4"
    ):
        compression.recover(np.zeros((4, 2)), None)
