"""Vectors that were broadcast: c 1^T has a column c in every column, 1 r a row r in every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .terms import Hadamard, Ones, Product, Term, Transpose

if TYPE_CHECKING:
    from .algebra import Algebra


def is_ones(term: Term) -> bool:
    """Whether all elements are 1."""
    if isinstance(term, Product):
        return len(term.parts) == 2 and all(map(is_ones, term.parts))
    return isinstance(term.body if isinstance(term, Transpose) else term, Ones)


def broadcast_vector(algebra: Algebra, term: Term) -> tuple[str, Term]:
    """ "column" and c of a product c 1^T, "row" and r of 1 r, "" and the term itself of any other."""
    if isinstance(term, Product):
        first, last = term.parts[0], term.parts[-1]
        if is_ones(last) and last.shape[0] == 1:
            return "column", algebra._chain(list(term.parts[:-1]))
        if is_ones(first) and first.shape[1] == 1:
            return "row", algebra._chain(list(term.parts[1:]))
    return "", term


def factors_of(algebra: Algebra, vector: Term) -> Sequence[tuple[Term, int]]:
    """What a vector is an element-wise product of; of a row, with each factor transposed."""
    if isinstance(vector, Transpose) and isinstance(vector.body, Hadamard):
        return [(algebra.transpose(term), power) for term, power in vector.body.factors]
    return vector.factors if isinstance(vector, Hadamard) else ((vector, 1),)
