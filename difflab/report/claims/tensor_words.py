"""What the pages of Jacobians say alike: shapes and structures as texts, the legend of pictures, the glossary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import numbers
from ..style import key_mark
from ..terms import Term

LAYOUTS = (
    Term("Numerator layout", "The axes of the output first, then those of the variable."),
    Term("Denominator layout", "The axes of the variable first, then those of the output."),
)
STRUCTURES = (
    Term(
        "Block diagonal",
        "Zero but for blocks along the diagonal; of equal blocks it is the identity times one block.",
        ("block-diagonal",),
    ),
    Term(
        "Kronecker product with the identity",
        "Every entry of a block, multiplied by an identity matrix.",
        ("Kronecker products with an identity", "Kronecker", "Kronecker product"),
    ),
    Term(
        "Banded Toeplitz",
        "The same numbers along every diagonal, and only in a band: a convolution as a matrix.",
        ("Toeplitz",),
    ),
)
SQUARE = "M11 2H23V14H11Z"


def shape(extents: Sequence[int]) -> str:
    """A shape as Python writes it.

    >>> shape([3]), shape([2, 3])
    ('(3,)', '(2, 3)')
    """
    return f"({', '.join(map(str, extents))}{',' if len(extents) == 1 else ''})"


def structure(found: dict[str, Any] | None) -> str:
    """The structure of a Jacobian in words, with a sign of multiplication between extents.

    Args:
        found: as the examination stored it; nothing where it was not searched.
    """
    return "not searched: too large" if found is None else found["text"].replace(" x ", f" {numbers.TIMES} ")


def signs() -> tuple[dict[str, Any], ...]:
    """The legend of pictures: the colours of positive and negative entries, and that of arrays without the latter."""
    return tuple(
        {"text": text, **key_mark(None), "fill": role, "stroke": role, "d": SQUARE, "bare": True}
        for text, role in (("positive", "s3"), ("negative", "s1"), ("where none is negative", "ink"))
    )


def in_rows(matrix: Sequence[Sequence[float | None]]) -> list[tuple[str, str]]:
    """The rows of a matrix with their places, as a table has them.

    >>> in_rows([[1.0, None]])
    [('0', '1, not finite')]
    """
    return [
        (str(row), ", ".join("not finite" if entry is None else f"{entry:.3g}" for entry in entries))
        for row, entries in enumerate(matrix)
    ]
