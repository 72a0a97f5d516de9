"""Star colouring: few products H s off which a symmetric matrix is read, each entry from one side of the diagonal.

Columns are vertices, entries off the diagonal edges.  In a star colouring neighbours differ, and every path of four
vertices has three colours or more; so of the two vertices of an edge one has no other neighbour of the colour of the
second, and the entry is read there.  Diagonal entries are read since no neighbour has a vertex's own colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .colour_both import first_fit, separated
from .colouring import VISITS, Csr, by_classes

ROUNDS = 4
"""Rounds over the colours found, whose order often saves one more."""
VISIT = 3
"""An edge here takes the time of so many entries there (measured)."""


def colour_symmetric(matrix: Csr, mirror: np.ndarray) -> np.ndarray:
    """Colours by which each entry h_ij is alone in row i of the product of j's colour, or in row j of that of i's.

    Args:
        matrix: where the symmetric n x n matrix has entries.
        mirror: for each entry (i, j) the number of the entry (j, i).

    Returns:
        (n,) int64: the colour of each column, from 0; -1 for a column that is in no product.

    Methods: Coleman and Moré, "Estimation of sparse Hessian matrices and graph coloring problems" (1984); star
    colouring by the stars that two colours span, Gebremedhin, Tarafdar, Manne and Pothen, "New acyclic and star
    coloring algorithms with application to computing Hessians" (2007).  Then each entry keeps one side, and the columns
    are coloured again for what is read of them.

    Example:
        >>> import numpy as np
        >>> arrow = Csr(np.array([0, 3, 5, 7]), np.array([0, 1, 2, 0, 1, 0, 2]), (3, 3))
        >>> colour_symmetric(arrow, np.array([0, 3, 5, 1, 4, 2, 6])).tolist()
        [0, 1, 1]
    """
    n, rows = matrix.shape[0], matrix.rows
    off = rows != matrix.indices
    degrees = np.bincount(rows[off], minlength=n)
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    edges = Csr(indptr, matrix.indices[off], (n, n))
    graph = edges.lists()
    bound = 1 + bool(off.any())
    if np.any((degrees[rows[off]] > 1) & (degrees[edges.indices] > 1)):
        bound = 3  # a triangle, or a path of four
    used = np.flatnonzero(matrix.counts)
    best, left = np.full(n, -1, np.int64), VISITS
    for attempt in range(2 + ROUNDS if len(used) else 0):
        order = (used, used[np.argsort(-degrees[used], kind="stable")])[attempt] if attempt < 2 else None
        found = _star(by_classes(best, attempt) if order is None else order.tolist(), graph)
        if attempt == 0 or found.max() < best.max():
            best = found
        left -= VISIT * len(edges.indices)
        if best.max() < bound or left < 0:
            break
    if best.max(initial=-1) < bound and np.count_nonzero(~off) == len(used):
        return best  # each column has its diagonal entry to be read, so none goes without a colour
    return _one_sided(matrix, mirror, best)


def _star(order: Sequence[int], graph: list[list[int]]) -> np.ndarray:
    """Each vertex in turn gets the first colour with which no path of four has two colours.

    Bits are colours.  `near`: of a vertex's neighbours; `twice`: of two of them or more.  `across`, of a vertex w: of
    its neighbours x that have another neighbour of w's colour; a neighbour of w that took x's colour would close such
    a path at its end.  One in the middle has two neighbours of one colour, and takes a colour that these see.
    """
    n = len(graph)
    bits, near, twice, across = [0] * n, [0] * n, [0] * n, [0] * n
    first: dict[tuple[int, int], int] = {}  # of a vertex and a colour, the first neighbour of that colour
    for vertex in order:
        others = graph[vertex]
        taken, repeated = near[vertex], twice[vertex]
        for other in others:
            taken |= across[other]
            if bits[other] & repeated:
                taken |= near[other]
        bit = ~taken & (taken + 1)
        bits[vertex] = bit
        for other in others:
            if not near[other] & bit:
                near[other] |= bit
                first[other, bit] = vertex
            else:
                if not twice[other] & bit:
                    twice[other] |= bit
                    across[first[other, bit]] |= bits[other]
                across[vertex] |= bits[other]
            if bits[other] & repeated:
                across[other] |= bit
    return np.asarray([bit.bit_length() - 1 for bit in bits], np.int64)


def _one_sided(matrix: Csr, mirror: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """No more colours than these: each entry read on one side, of its two columns that of more entries if either can.

    What is not read of a column cannot disturb it, and a column of which nothing is read goes without a colour.
    """
    rank = np.empty(matrix.shape[0], np.int64)
    rank[np.argsort(-matrix.counts, kind="stable")] = np.arange(matrix.shape[0])
    for attempt in range(min(ROUNDS, VISITS // (VISIT * max(len(matrix.indices), 1)))):
        here = separated(matrix, colours)
        needed = here & (~here[mirror] | (rank[matrix.indices] <= rank[matrix.rows]))
        colours = first_fit(matrix, needed[mirror], by_classes(colours, attempt))
    return colours
