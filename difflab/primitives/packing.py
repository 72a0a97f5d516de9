"""What rules of linear algebra share: several results packed into one array, adjoints, triangles, quotients at ties.

A factorization of a stack of matrices is one value: the parts of each matrix, flattened and laid one after the
other on the last axis.  ``pack`` and ``cut`` translate.  All functions act on the last two axes, on plain and on
traced arrays alike, and take real matrices for the special case that they are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import elementwise
from .contract import swap
from .record import REGISTRY, Aval

WHY_INEXACT = "found by iteration or with roots of data, which neither balls nor symbols follow"


def pack(dtype: np.dtype, stack: tuple[int, ...], *parts: Any) -> Any:
    """The parts, each (*stack, ...), flattened and side by side: (*stack, total)."""
    flat = []
    for part in parts:
        size = math.prod(part.shape[len(stack) :])
        part = REGISTRY["reshape"](part, shape=(*stack, size))
        flat.append(part if part.dtype == dtype else elementwise.cast(part, dtype=dtype.str))
    return REGISTRY["concatenate"](*flat, axis=len(stack))


def cut(packed: Any, *shapes: tuple[int, ...]) -> list[Any]:
    """The parts of these shapes, each with the stack before it."""
    stack = packed.shape[:-1]
    parts = []
    at = 0
    for shape in shapes:
        stop = at + math.prod(shape)
        part = REGISTRY["slice"](
            packed, start=(*(0,) * len(stack), at), stop=(*stack, stop), step=(1,) * (len(stack) + 1)
        )
        parts.append(REGISTRY["reshape"](part, shape=(*stack, *shape)))
        at = stop
    return parts


def columns(x: Any, start: int, stop: int) -> Any:
    """Columns ``start`` to ``stop`` of each matrix."""
    *stack, rows, _ = x.shape
    return REGISTRY["slice"](
        x, start=(*(0,) * len(stack), 0, start), stop=(*stack, rows, stop), step=(1,) * (len(stack) + 2)
    )


def wider(x: Any, after: int) -> Any:
    """Each matrix with ``after`` columns of zeros at its end."""
    return REGISTRY["pad"](x, widths=(*((0, 0),) * (len(x.shape) - 1), (0, after))) if after else x


def check_matrices(x: Aval, square: bool = False) -> None:
    """An error where there is no matrix, or none that is square."""
    if len(x.shape) < 2:
        raise ValueError(f"a matrix or a stack of matrices is needed, not an array of shape {x.shape}")
    if square and x.shape[-1] != x.shape[-2]:
        raise ValueError(f"square matrices are needed, not an array of shape {x.shape}")


# ---------------------------------------------------------------------------- complex numbers, transposes


def conj(x: Any) -> Any:
    """The conjugate; a real array as it is."""
    return REGISTRY["conjugate"](x) if x.dtype.kind == "c" else x


def re(x: Any) -> Any:
    """The real part."""
    return REGISTRY["real"](x) if x.dtype.kind == "c" else x


def im(x: Any) -> Any:
    """The imaginary part of a complex array."""
    return REGISTRY["imag"](x)


def adjoint(x: Any) -> Any:
    """The conjugate transpose of each matrix."""
    return conj(swap(x))


def row(x: Any) -> Any:
    """Vectors as rows, so that they scale columns."""
    return REGISTRY["reshape"](x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def column(x: Any) -> Any:
    """Vectors as columns, so that they scale rows."""
    return REGISTRY["reshape"](x, shape=(*x.shape, 1))


# ---------------------------------------------------------------------------- diagonals and triangles


def diagonal(x: Any) -> Any:
    """The diagonal of each square matrix."""
    return np.sum(np.where(np.eye(x.shape[-1], dtype=bool), x, 0.0), axis=-1)


def with_diagonal(x: Any, values: Any) -> Any:
    """Each square matrix with another diagonal."""
    return np.where(np.eye(x.shape[-1], dtype=bool), row(values), x)


def _strict(x: Any) -> np.ndarray:
    return np.tri(x.shape[-2], x.shape[-1], -1, dtype=bool)


def below(x: Any) -> Any:
    """What lies below the diagonal, zeros elsewhere."""
    return np.where(_strict(x), x, 0.0)


def upper(x: Any) -> Any:
    """The diagonal and what lies above it, zeros elsewhere."""
    return np.where(_strict(x), 0.0, x)


def ratio(x: Any, gap: Any, settled: Any = False) -> Any:
    """``x / gap``, and 0 where ``settled`` or where both are exactly 0.

    A gap of exactly 0 is a tie: a derivative of the vectors does not exist there.  A loss that does not look at them
    has exactly zero to divide and stays finite; for all others the quotient is infinite, which says so.
    """
    nothing = np.logical_and(np.equal(gap, 0), np.equal(x, 0))
    settled = np.logical_or(settled, nothing)
    return np.where(settled, 0.0, x / np.where(settled, 1.0, gap))


def gaps(values: Any) -> Any:
    """``values[j] - values[i]`` at (i, j)."""
    return row(values) - column(values)


def off_diagonal_ratio(x: Any, gap: Any) -> Any:
    """``x / gap`` beside the diagonal (see ``ratio``), 0 on it."""
    return ratio(x, gap, np.eye(x.shape[-1], dtype=bool))
