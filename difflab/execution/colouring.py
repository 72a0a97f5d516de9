"""Greedy colourings: columns that may share one product, and neighbours in a graph that may not share a colour.

A colour is a product: the columns of one colour are added up in one seed.  The least number of colours is NP-hard to
find (Coleman and Moré, "Estimation of sparse Jacobian matrices and graph coloring problems", 1983), so columns are
coloured one after the other, each with the first colour that is still free, in several orders; the best is kept.
What is already used is an integer per row whose bits are colours, so that a column costs one "or" for each entry.

No array of all rows times all columns is ever made, and the same pattern always gets the same colours.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

VISITS = 3_000_000
"""Entries, or edges of the graph of conflicts, that attempts after the first may visit in all: about a second."""
ROUNDS = 6
"""Rounds over the colours found: the first few bring the most (measured)."""
SEED = 20_1974
"""Of the numbers that tell rows apart; they decide nothing but the time it takes."""


class Csr(NamedTuple):
    """Where a matrix has entries: row i has the columns indices[indptr[i]:indptr[i + 1]], in increasing order."""

    indptr: np.ndarray
    indices: np.ndarray
    shape: tuple[int, int]

    @property
    def counts(self) -> np.ndarray:
        """Entries of each row."""
        return np.diff(self.indptr)

    @property
    def rows(self) -> np.ndarray:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0]), self.counts)

    def lists(self) -> list[list[int]]:
        """The columns of each row, as Python lists: these are what a loop reads fastest."""
        flat, ends = self.indices.tolist(), self.indptr.tolist()
        return [flat[a:b] for a, b in pairwise(ends)]

    def taken(self, rows: np.ndarray) -> Csr:
        """Only the given rows, in the given order."""
        counts = self.counts[rows]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        at = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], counts)
        return Csr(indptr, self.indices[at], (len(rows), self.shape[1]))


def transposed(matrix: Csr) -> tuple[Csr, np.ndarray]:
    """The transpose, and for each of its entries the number of the same entry of `matrix`."""
    m, n = matrix.shape
    order = np.argsort(matrix.indices.astype(np.int64) * max(m, 1) + matrix.rows)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(matrix.indices, minlength=n))])
    return Csr(indptr, matrix.rows[order], (n, m)), order


def distinct_rows(matrix: Csr, marks: np.ndarray | None = None) -> Csr:
    """The rows that say something about columns: those of two entries or more, each pattern once.

    Rows whose sums of `marks` (random: one number for each column) agree are compared.
    """
    matrix = matrix.taken(np.flatnonzero(matrix.counts > 1))
    if not len(matrix.counts):
        return matrix
    if marks is None:
        marks = np.random.default_rng(SEED).integers(2**63, size=matrix.shape[1], dtype=np.uint64)
    sums = np.add.reduceat(marks[matrix.indices], matrix.indptr[:-1])  # equal for equal rows
    _, first, which = np.unique(sums, return_index=True, return_inverse=True)
    same = first[which]  # of each row the first one that may equal it: now they are compared
    equal = matrix.counts[same] == matrix.counts
    checked = np.flatnonzero(equal)
    ours, theirs = matrix.taken(checked), matrix.taken(same[checked])
    equal[checked] = np.logical_and.reduceat(ours.indices == theirs.indices, ours.indptr[:-1])
    return matrix.taken(np.flatnonzero((same == np.arange(len(same))) | ~equal))


def colour_columns(matrix: Csr, *, quick: bool = False) -> np.ndarray:
    """Colours of columns such that no two columns of one colour have an entry in the same row.

    Args:
        matrix: where the m x n matrix has entries.
        quick: two orders and no more.

    Returns:
        (n,) int64: the colour of each column, from 0; -1 for a column without entries.

    Methods: Curtis, Powell and Reid, "On the estimation of sparse Jacobian matrices" (1974); largest first of
    Coleman and Moré (1983); by saturation, Brélaz, "New methods to color the vertices of a graph" (1979);
    rounds over the colours found, Culberson and Luo, "Exploring the k-colorable landscape with iterated greedy" (1996).

    Example:
        >>> import numpy as np
        >>> colour_columns(Csr(np.array([0, 2, 4]), np.array([0, 1, 1, 2]), (2, 4))).tolist()
        [0, 1, 0, -1]
    """
    n = matrix.shape[1]
    colours = np.full(n, -1, np.int64)
    used = np.flatnonzero(np.bincount(matrix.indices, minlength=n))
    if not len(used):
        return colours
    bound = int(matrix.counts.max())  # the columns of one row all differ
    if bound == len(used):
        colours[used] = np.arange(len(used))
        return colours
    told = distinct_rows(matrix)
    columns, _ = transposed(told)
    free = used[columns.counts[used] == 0]
    colours[free] = 0  # alone in all their rows
    active = used[columns.counts[used] > 0]
    if len(active):
        colours[active] = _best(told, columns, active, bound, quick)[active]
    return colours


def _best(told: Csr, columns: Csr, active: np.ndarray, bound: int, quick: bool) -> np.ndarray:
    """The colours of the best of several orders; -1 where a column is not active."""
    lists, m = columns.lists(), told.shape[0]
    best, fewest, left = None, 0, VISITS
    for order in _orders(told, columns, active, quick):
        found = _first_fit(order, lists, m)
        if best is None or max(found) + 1 < fewest:
            best, fewest = found, max(found) + 1
        left -= len(columns.indices)
        if fewest <= bound or left < 0:
            break
    assert best is not None
    for attempt in range(0 if quick else ROUNDS):
        if fewest <= bound or left < 0:
            break
        best = _first_fit(by_classes(np.asarray(best), attempt), lists, m)  # never more colours than before
        fewest = max(best) + 1
        left -= len(columns.indices)
    return np.asarray(best, np.int64)


def _orders(told: Csr, columns: Csr, active: np.ndarray, quick: bool) -> Iterator[list[int]]:
    """Natural; most conflicts first; by saturation where the graph of conflicts is small enough to be made."""
    yield active.tolist()
    weights = np.add.reduceat(told.counts[columns.indices] - 1, columns.indptr[active])  # only active ones have entries
    yield active[np.argsort(-weights, kind="stable")].tolist()
    if not quick and int(np.sum(told.counts.astype(float) ** 2)) <= VISITS:
        graph = _neighbours(told)
        yield by_saturation(graph, active.tolist())


def _neighbours(matrix: Csr) -> list[list[int]]:
    """Of each column the others with which it shares a row."""
    from scipy.sparse import csr_array

    ones = csr_array((np.ones(len(matrix.indices), np.int32), matrix.indices, matrix.indptr), shape=matrix.shape)
    graph = (ones.T @ ones).tocsr()
    graph.setdiag(0)
    graph.eliminate_zeros()
    return Csr(graph.indptr, graph.indices, graph.shape).lists()


def _first_fit(order: Sequence[int], lists: list[list[int]], m: int) -> list[int]:
    """Each column in turn gets the first colour that none of its rows has."""
    masks, colours = [0] * m, [-1] * len(lists)
    for column in order:
        rows = lists[column]
        taken = 0
        for row in rows:
            taken |= masks[row]
        bit = ~taken & (taken + 1)
        for row in rows:
            masks[row] |= bit
        colours[column] = bit.bit_length() - 1
    return colours


def by_classes(colours: np.ndarray, attempt: int) -> list[int]:
    """An order in which vertices of one colour stand together: by it first fit needs no more colours than there are."""
    kinds = int(colours.max()) + 1
    sizes = np.bincount(colours[colours >= 0], minlength=kinds)
    if attempt % 3 == 0:
        rank = np.arange(kinds)[::-1]
    elif attempt % 3 == 1:
        rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    else:
        rank = np.random.default_rng(attempt).permutation(kinds)
    there = np.flatnonzero(colours >= 0)
    return there[np.argsort(rank[colours[there]], kind="stable")].tolist()


def by_saturation(graph: list[list[int]], vertices: list[int]) -> list[int]:
    """Next comes the vertex whose neighbours have the most colours (Brélaz 1979)."""
    degrees = [len(others) for others in graph]
    seen, done, order = [0] * len(graph), [False] * len(graph), []
    queue = [(0, -degrees[vertex], vertex) for vertex in vertices]
    heapq.heapify(queue)
    while queue:
        colours, _, vertex = heapq.heappop(queue)
        if done[vertex] or -colours != seen[vertex].bit_count():
            continue
        done[vertex] = True
        order.append(vertex)
        bit = ~seen[vertex] & (seen[vertex] + 1)
        for other in graph[vertex]:
            if not done[other] and not seen[other] & bit:
                seen[other] |= bit
                heapq.heappush(queue, (-seen[other].bit_count(), -degrees[other], other))
    return order


def distance_one(indptr: np.ndarray, indices: np.ndarray, n: int) -> np.ndarray:
    """Colours by which the diagonal of a symmetric matrix is read: h_ii is entry i of H s, s the ones of i's colour.

    Args:
        indptr: (n + 1,) integers, where the rows of the pattern start.
        indices: (nnz,) integers, the columns of the entries, increasing in each row; the pattern is symmetric.
        n: rows and columns.

    Returns:
        (n,) int64: the colour of each row; -1 where the pattern has no diagonal entry, which is 0 then.  As many
        products as there are colours, that is the largest colour plus 1.

    Example:
        >>> import numpy as np
        >>> distance_one(np.array([0, 2, 5, 7]), np.array([0, 1, 0, 1, 2, 1, 2]), 3).tolist()
        [0, 1, 0]
    """
    matrix = Csr(np.asarray(indptr), np.asarray(indices), (n, n))
    rows = matrix.rows
    there = np.zeros(n, bool)
    there[rows[rows == matrix.indices]] = True
    colours = np.full(n, -1, np.int64)
    vertices = np.flatnonzero(there).tolist()
    if not vertices:
        return colours
    edges = (rows != matrix.indices) & there[rows] & there[matrix.indices]
    ends = [0, *accumulate(np.bincount(rows[edges], minlength=n).tolist())]
    graph = Csr(np.asarray(ends), matrix.indices[edges], (n, n)).lists()
    best, fewest, left = None, 0, VISITS
    for order in _graph_orders(graph, vertices):
        found = _proper(order, graph)
        if best is None or max(found) + 1 < fewest:
            best, fewest = found, max(found) + 1
        left -= ends[-1]
        if fewest <= (2 if ends[-1] else 1) or left < 0:
            break
    return np.asarray(best, np.int64)


def _graph_orders(graph: list[list[int]], vertices: list[int]) -> Iterator[list[int]]:
    """Natural, most neighbours first, by saturation."""
    yield vertices
    yield sorted(vertices, key=lambda vertex: -len(graph[vertex]))
    yield by_saturation(graph, vertices)


def _proper(order: Sequence[int], graph: list[list[int]]) -> list[int]:
    """Each vertex in turn gets the first colour that no neighbour has."""
    taken, colours = [0] * len(graph), [-1] * len(graph)
    for vertex in order:
        mask = taken[vertex]
        bit = ~mask & (mask + 1)
        for other in graph[vertex]:
            taken[other] |= bit
        colours[vertex] = bit.bit_length() - 1
    return colours
