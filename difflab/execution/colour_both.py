"""Bidirectional colouring: some entries are read from products J s, the others from products r J.

An arrow-shaped matrix has one full row and one full column: n products of either kind alone, three of both.  Rows are
set aside, and every entry of the others is read from columns.  Of the rows aside, what columns happen to separate is
read there too; only the rest has to be read from rows.  Columns j and j' conflict when some row i has entries in both
and (i, j) or (i, j') is to be read from columns: a colour adds up all entries of a row, also those read elsewhere.
Conflicts are between two, so this is a colouring of a graph and greedy rounds over it never need more colours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .colouring import VISITS, Csr, by_classes, colour_columns, transposed

CANDIDATES = 6
"""So many choices of rows or columns set aside are coloured: those that promise to be the cheapest."""
ROUNDS = 4
"""Times that columns and rows are coloured again, each with what the other leaves."""

HOPE = 1.5
"""What costs more than so many times the best so far is not worked on further."""


class Both(NamedTuple):
    """Colours of columns and of rows by which every entry can be read, and the price of all products."""

    columns: np.ndarray
    rows: np.ndarray
    cost: float


def separated(matrix: Csr, colours: np.ndarray) -> np.ndarray:
    """For each entry (i, j), whether j is coloured and no other column of its colour has an entry in row i."""
    kinds = int(colours.max(initial=-1)) + 1
    own = colours[matrix.indices]
    keys = matrix.rows * (kinds + 1) + own + 1  # colour -1 has a place too
    return (own >= 0) & (np.bincount(keys, minlength=matrix.shape[0] * (kinds + 1))[keys] == 1)


def colour_both(matrix: Csr, price: tuple[float, float], below: float) -> Both | None:
    """Colours of columns and rows that together cost less than `below`, where such are found.

    Args:
        matrix: where the m x n matrix has entries.
        price: cost of one product J s and of one product r J.
        below: cost of the best colouring of columns alone or rows alone.

    Returns:
        The cheapest found; None where none costs less.

    Methods: direct bidirectional recovery, Coleman and Verma, "The efficient computation of sparse Jacobian matrices
    using automatic differentiation" (1998), and Hossain and Steihaug, "Computing a sparse Jacobian matrix by rows and
    columns" (1998); as a vertex cover that is coloured, Gebremedhin, Manne and Pothen, "What color is your Jacobian?
    Graph coloring for computing derivatives" (2005).  Rows of the most entries are set aside.

    Example:
        >>> import numpy as np
        >>> arrow = Csr(np.array([0, 4, 6, 8, 10]), np.array([0, 1, 2, 3, 0, 1, 0, 2, 0, 3]), (4, 4))
        >>> both = colour_both(arrow, (1.0, 1.0), 4.0)
        >>> both.columns.tolist(), both.rows.tolist()
        ([1, 0, 0, 0], [0, -1, -1, -1])
    """
    if below <= _least(matrix, price):
        return None
    other, _ = transposed(matrix)
    sides = (matrix, other, price), (other, matrix, (price[1], price[0]))
    promised = []
    for side, (one, _, prices) in enumerate(sides):
        order = np.argsort(-one.counts, kind="stable")
        costs = _promises(one, order, prices)
        for aside in np.argsort(costs, kind="stable")[:CANDIDATES].tolist():
            promised.append((float(costs[aside]), side, aside, order))
    promised.sort(key=lambda each: each[:3])
    affordable = 1 + VISITS // max(2 * ROUNDS * len(matrix.indices), 1)
    tried: list[tuple[float, int]] = []
    for number, (promise, side, aside, order) in enumerate(promised[: min(CANDIDATES, affordable)]):
        if promise < min(below, *(cost for cost, _ in tried), np.inf):
            one, two, prices = sides[side]
            tried.append((_coloured(one, two, prices, order[:aside], below, quick=True).cost, number))
    if not tried or min(tried)[0] > HOPE * below:
        return None
    _, side, aside, order = promised[min(tried)[1]]
    one, two, prices = sides[side]
    best = _coloured(one, two, prices, order[:aside], below, quick=False)
    if best.cost >= below:
        return None
    return best if side == 0 else Both(best.rows, best.columns, best.cost)


def _cost(columns: np.ndarray, rows: np.ndarray, price: tuple[float, float]) -> float:
    """What the products of these colours cost."""
    return price[0] * (int(columns.max(initial=-1)) + 1) + price[1] * (int(rows.max(initial=-1)) + 1)


def _least(matrix: Csr, price: tuple[float, float]) -> float:
    """No colouring of both costs less: p products J s and q products r J are p m + q n numbers, one for each entry."""
    (m, n), entries = matrix.shape, len(matrix.indices)
    q = np.arange(1, entries // max(n, 1) + 2)
    p = np.maximum(-((q * n - entries) // max(m, 1)), 1)
    return float(np.min(price[0] * p + price[1] * q))


def _promises(matrix: Csr, order: np.ndarray, price: tuple[float, float]) -> np.ndarray:
    """What setting the first k rows of the order aside costs at least, for k = 1, 2, ... but the last; at 0 infinity.

    The rows that stay take as many columns' colours as their longest has entries; those aside as many as a column has
    entries in them (not quite at least: what columns separate is not counted, and may be less).
    """
    m = matrix.shape[0]
    costs = np.full(max(m, 1), np.inf)
    if m > 1:
        sorted_rows = matrix.taken(order)
        columns, _ = transposed(sorted_rows)
        nth = np.arange(len(columns.indices)) - np.repeat(columns.indptr[:-1], columns.counts) + 1
        most = np.zeros(m, np.int64)
        np.maximum.at(most, columns.indices, nth)
        costs[1:] = price[0] * sorted_rows.counts[1:] + price[1] * np.maximum.accumulate(most)[:-1]
        costs[1:][sorted_rows.counts[1:] == sorted_rows.counts[:-1]] = np.inf  # better to set none of these aside
    return costs


def _coloured(
    matrix: Csr, other: Csr, price: tuple[float, float], aside: np.ndarray, below: float, *, quick: bool
) -> Both:
    """Colours of columns and rows of a matrix, of which `other` is the transpose, with these rows set aside."""
    stays = np.ones(matrix.shape[0], bool)
    stays[aside] = False
    columns = colour_columns(matrix.taken(np.flatnonzero(stays)), quick=quick)
    rows = first_fit(matrix, ~separated(matrix, columns), np.argsort(-matrix.counts, kind="stable"))
    best = Both(columns, rows, _cost(columns, rows, price))
    for attempt in range(ROUNDS if best.cost <= HOPE * below else 0):
        columns = first_fit(other, ~separated(other, rows), by_classes(columns, attempt))
        rows = first_fit(matrix, ~separated(matrix, columns), by_classes(rows, attempt))
        before, best = best, Both(columns, rows, _cost(columns, rows, price))
        if best.cost == before.cost:
            break
    return best


def first_fit(other: Csr, needed: np.ndarray, order: np.ndarray | list[int]) -> np.ndarray:
    """Colours of the columns from which entries are needed, each in turn the first that is free; of the others -1.

    Args:
        other: where the transpose has entries: a row for each column.
        needed: for each of its entries, whether it is to be read from its column.
        order: the columns, all from which an entry is needed among them.

    Returns:
        (n,) int64: the colours.  In the order of `by_classes`, of a colouring that has these entries readable, there
        are no more than there were.
    """
    n, m = other.shape
    ends = np.concatenate([[0], np.cumsum(needed)])[other.indptr]
    lists, wanted = other.lists(), Csr(ends, other.indices[needed], (n, m)).lists()
    colours, anyone, wanter = [-1] * n, [0] * m, [0] * m  # bits: colours with an entry in a row, with a needed one
    for column in np.asarray(order, np.int64).tolist():
        if wanted[column]:
            taken = 0
            for row in lists[column]:
                taken |= wanter[row]
            for row in wanted[column]:
                taken |= anyone[row]
            bit = ~taken & (taken + 1)
            for row in lists[column]:
                anyone[row] |= bit
            for row in wanted[column]:
                wanter[row] |= bit
            colours[column] = bit.bit_length() - 1
    return np.asarray(colours, np.int64)
