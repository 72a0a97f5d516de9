"""Products element by element: powers collected, numbers in front, broadcast vectors multiplied as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from . import recognise
from .broadcasts import broadcast_vector, factors_of, is_ones
from .terms import SCALAR, Hadamard, Indicator, Product, Scaled, Term, Transpose, Zeros

if TYPE_CHECKING:
    from .algebra import Algebra


def hadamard(algebra: Algebra, waiting: list[tuple[Term, int]]) -> Term:
    """The element-wise product of powers; numbers go in front, broadcast vectors are multiplied as vectors."""
    shape = next((term.shape for term, _ in waiting if term.shape != SCALAR), SCALAR)
    if shape == SCALAR:
        return algebra.scaled(1, waiting)
    if all_turned(algebra, [term for term, _ in waiting]):
        return algebra.transpose(algebra.hadamard([(algebra.transpose(term), power) for term, power in waiting]))
    number, scalars = Fraction(1), list[tuple[Term, int]]()
    columns, rows, plain = dict[Term, int](), dict[Term, int](), dict[Term, int]()
    waiting.reverse()
    while waiting:
        term, power = waiting.pop()
        factor, inside, body = algebra.split(term)
        number *= factor**power
        scalars += [(one, own * power) for one, own in inside]
        if isinstance(body, Hadamard):
            waiting.extend((one, own * power) for one, own in reversed(body.factors))
        elif isinstance(body, Zeros) and power > 0:
            return algebra.zeros(shape)
        elif body is not None and not is_ones(body):
            kind, vector = broadcast_vector(algebra, body)
            into = {"column": columns, "row": rows, "": plain}[kind]
            for one, own in factors_of(algebra, vector):
                into[one] = into.get(one, 0) + own * power
    recognise.slopes(algebra, plain)
    recognise.softmax(algebra, plain, columns, 1)
    recognise.softmax(algebra, plain, rows, 0)
    left = algebra.hadamard(columns.items()) if columns else algebra.number(1)
    right = algebra.hadamard(rows.items()) if rows else algebra.number(1)
    pairs = [(term, power) for term, power in bounded(plain) if power]
    if any(isinstance(term, Scaled | Hadamard) for term, _ in pairs):
        pairs += [(algebra.product(left, algebra.ones((1, shape[1]))), 1)] if columns else []
        pairs += [(algebra.product(algebra.ones((shape[0], 1)), right), 1)] if rows else []
        return algebra.scaled(number, scalars, algebra.hadamard(pairs))
    for vector, side in ((left, 0), (right, 1)):
        factor, inside, body = algebra.split(vector)
        number, scalars = number * factor, [*scalars, *inside]
        if body is not None and pairs:
            spread = (body, algebra.ones((1, shape[1]))) if side == 0 else (algebra.ones((shape[0], 1)), body)
            factor, inside, body = algebra.split(algebra.product(*spread))
            number, scalars = number * factor, [*scalars, *inside]
            pairs += [] if body is None else [(body, 1)]
        left, right = (body or algebra.number(1), right) if side == 0 else (left, body or algebra.number(1))
    if not pairs:
        left = algebra.ones((shape[0], 1)) if left.shape == SCALAR and len(shape) == 2 else left
        right = algebra.ones((1, shape[1])) if right.shape == SCALAR and len(shape) == 2 else right
        body = algebra.product(left, right) if len(shape) == 2 else algebra.ones(shape)
    elif len(pairs) == 1 and pairs[0][1] == 1:
        body = pairs[0][0]
    else:
        kept = tuple(pairs)
        body = algebra.made(("hadamard", frozenset(kept)), lambda: Hadamard(kept))
    return algebra.scaled(number, scalars, body)


def all_turned(algebra: Algebra, terms: Sequence[Term]) -> bool:
    """Whether all are rows that are columns transposed, so that what is done to them is done to the columns."""
    rows = [algebra.split(term)[2] for term in terms if term.shape != SCALAR]
    if any(row is None or row.shape[:1] != (1,) or not isinstance(row, Transpose | Product) for row in rows):
        return False
    return any(isinstance(row, Transpose) for row in rows)


def bounded(powers: dict[Term, int]) -> list[tuple[Term, int]]:
    """Brackets are 0 or 1, and their powers are themselves."""
    return [
        (term, min(power, 1) if isinstance(term, Indicator) and term.relation != "step" else power)
        for term, power in powers.items()
    ]
