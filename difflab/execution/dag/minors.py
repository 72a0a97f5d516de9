"""Determinants and inverses of matrices of nodes by Laplace's expansion, every minor made once."""

from __future__ import annotations

from .nodes import Graph, Node


class Minors:
    """The minors of one square matrix: no divisions, and 2**n of them instead of n! products."""

    def __init__(self, graph: Graph, rows: list[list[Node]]):
        self.graph, self.rows = graph, rows
        self.known: dict[tuple[tuple[int, ...], tuple[int, ...]], Node] = {}

    def minor(self, rows: tuple[int, ...], columns: tuple[int, ...]) -> Node:
        """The determinant of some rows and columns, expanded by the first of the rows."""
        if not rows:
            return self.graph.one
        key = (rows, columns)
        if key not in self.known:
            first, terms = self.rows[rows[0]], []
            for k, column in enumerate(columns):
                if first[column] is not self.graph.zero:
                    rest = self.minor(rows[1:], columns[:k] + columns[k + 1 :])
                    term = self.graph.multiply(first[column], rest)
                    terms.append(self.graph.negative(term) if k % 2 else term)
            self.known[key] = self.graph.add(terms)
        return self.known[key]

    def determinant(self) -> Node:
        """Of the whole matrix."""
        every = tuple(range(len(self.rows)))
        return self.minor(every, every)

    def inverse(self) -> list[list[Node]]:
        """Cofactors over the determinant."""
        graph, n, determinant = self.graph, len(self.rows), self.determinant()

        def entry(i: int, j: int) -> Node:
            kept = [tuple(k for k in range(n) if k != left_out) for left_out in (j, i)]
            cofactor = self.minor(kept[0], kept[1])
            return graph.divide(graph.negative(cofactor) if (i + j) % 2 else cofactor, determinant)

        return [[entry(i, j) for j in range(n)] for i in range(n)]
