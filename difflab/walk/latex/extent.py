"""Whether a formula tells how long its vectors of ones are: 1 b^T + A does, 1 b^T alone does not."""

from __future__ import annotations

from itertools import pairwise

from .terms import (
    SCALAR,
    Add,
    Apply,
    Call,
    Diagonal,
    Hadamard,
    Identity,
    Indicator,
    Inner,
    Ones,
    Product,
    RowWise,
    Scaled,
    Term,
    Transpose,
    ordered,
)

Free = tuple[bool, bool]


def needs_lengths(formula: Term, whole: bool) -> bool:
    """Whether the ones in a formula must say how many they are.

    Args:
        formula: any term.
        whole: whether its own shape must follow from it.

    Returns:
        True if an axis is as long as some ones, and nothing else in the formula is.

    Example:
        >>> from difflab.walk.latex.algebra import Algebra
        >>> algebra = Algebra()
        >>> needs_lengths(algebra.ones((4, 3)), whole=True), needs_lengths(algebra.number(2), whole=True)
        (True, False)
    """
    free: dict[Term, Free] = {}
    unknown = False
    for term in ordered([formula]):
        free[term], lost = _free(term, free)
        unknown = unknown or lost
    return unknown or (whole and any(free[formula]))


def _free(term: Term, free: dict[Term, Free]) -> tuple[Free, bool]:
    """Which of rows and columns are as many as what they meet, and whether such an axis was summed up."""
    match term:
        case Ones():
            return (True, False), False
        case Identity():
            return (True, True), False
        case Transpose():
            rows, columns = free[term.body]
            return (columns, rows), False
        case Scaled():
            return (free[term.body] if term.body is not None else (False, False)), False
        case Diagonal():
            rows, _ = free[term.body]
            return (rows, rows), False
        case Product():
            sides = [free[part] for part in term.parts]
            lost = any(one[1] and other[0] for one, other in pairwise(sides))
            return (sides[0][0], sides[-1][1]), lost
        case Add() | Hadamard() | Apply() | Indicator():
            return _shared(term, free), False
        case Call():
            return (False, False), any(any(free[part]) for part in term.parts)
        case Inner():
            return (False, False), any(_shared(term, free))
        case RowWise():
            rows, columns = free[term.body]
            lost = columns if term.axis == 1 else rows
            kept = (rows, False) if term.axis == 1 else (False, columns)
            return (free[term.body] if term.function == "softmax" else kept), lost
    return (False, False), False


def _shared(term: Term, free: dict[Term, Free]) -> Free:
    sides = [free[part] for part in term.parts if part.shape != SCALAR]
    return all(rows for rows, _ in sides) and bool(sides), all(columns for _, columns in sides) and bool(sides)
