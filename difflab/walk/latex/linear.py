"""Named functions that are linear: numbers go in front of them, and ones along a diagonal are the identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .broadcasts import is_ones
from .terms import Call, Number, Term, Zeros

if TYPE_CHECKING:
    from .algebra import Algebra

LINEAR = frozenset(
    {"reshape", "transpose", "unslice", "slice", "fold", "windows", "pad", "scatter_add", "sum", "cumsum"}
)
"""Primitives that are linear in their first operand."""


def shorter(algebra: Algebra, call: Call) -> Term | None:
    """Numbers in front of the operand of a linear function go in front of it; of zeros it is zero."""
    if not call.parts or call.primitive.name not in LINEAR:
        return None
    first = call.parts[0]
    if isinstance(first, Zeros) or (isinstance(first, Number) and first.value == 0):
        return algebra.zeros(call.shape)
    diagonal = _diagonal(algebra, call)
    if diagonal is not None:
        return diagonal
    number, scalars, body = algebra.split(first)
    if body is None or (number == 1 and not scalars):
        return None
    parts = (body, *call.parts[1:])
    inside = algebra.call(Call(call.primitive, call.params, parts, call.avals, call.result))
    return algebra.scaled(number, scalars, inside)


def _diagonal(algebra: Algebra, call: Call) -> Term | None:
    """Ones put back along the diagonal are the identity."""
    inside = call.parts[0]
    if call.primitive.name != "reshape" or len(call.result) != 2 or call.result[0] != call.result[1]:
        return None
    if not isinstance(inside, Call) or inside.primitive.name != "unslice" or not is_ones(inside.parts[0]):
        return None
    size, given = call.result[0], dict(inside.params)
    whole = given["start"] == (0,) and given["step"] == (size + 1,) and inside.avals[0].shape == (size,)
    return algebra.identity(size) if whole else None
