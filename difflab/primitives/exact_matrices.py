"""Linear algebra in exact arithmetic, in the protocol of ``exact_rules``; stacks of matrices throughout.

Of ``arithmetic`` it asks two things more: ``determinants(a)`` and ``inverses(a)``.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from . import exact_rules

Array = np.ndarray


def inverse(arithmetic: Any, a: Array, *, lenient: bool = False) -> Array:
    """The inverse; of a matrix that may be singular there is none."""
    return arithmetic.inverses(a)


def solve(arithmetic: Any, a: Array, b: Array) -> Array:
    """The solution of ``a @ x = b``."""
    return arithmetic.matmul(arithmetic.inverses(a), b)


def det(arithmetic: Any, a: Array) -> Array:
    """The determinant."""
    return arithmetic.determinants(a)


def det_derivative(arithmetic: Any, a: Array, *directions: Array) -> Array:
    """Row by row, of which the determinant is linear: one row from each direction, one a unit vector."""
    n = a.shape[-1]
    matrices = np.broadcast_arrays(a, *directions)
    shape = matrices[0].shape
    result = arithmetic.numbers(np.zeros(shape))
    units = arithmetic.numbers(np.eye(n))
    for rows in itertools.permutations(range(n), len(matrices)):
        for column in range(n):
            mixed = matrices[0].astype(object)
            for row, direction in zip(rows[1:], matrices[1:], strict=True):
                mixed[..., row, :] = direction[..., row, :]
            mixed[..., rows[0], :] = units[column]
            result[..., rows[0], column] = result[..., rows[0], column] + arithmetic.determinants(mixed)
    return result


def logabsdet(arithmetic: Any, a: Array) -> Array:
    """The logarithm of the magnitude of the determinant."""
    return arithmetic.scalar("log")(exact_rules.absolute(arithmetic, arithmetic.determinants(a)))


def sign_det(arithmetic: Any, a: Array) -> Array:
    """The sign of the determinant."""
    return exact_rules.sign(arithmetic, arithmetic.determinants(a))


def cholesky(arithmetic: Any, a: Array) -> Array:
    """Column by column, from the lower triangle alone."""
    root, divide, subtract = (arithmetic.scalar(name) for name in ("sqrt", "divide", "subtract"))
    n = a.shape[-1]
    result = arithmetic.numbers(np.zeros(a.shape))
    for column in range(n):
        for row in range(column, n):
            left, right = result[..., row, :column], result[..., column, :column]
            known = arithmetic.matmul(left[..., None, :], right[..., None])[..., 0, 0]
            rest = subtract(a[..., row, column], known)
            result[..., row, column] = root(rest) if row == column else divide(rest, result[..., column, column])
    return result
