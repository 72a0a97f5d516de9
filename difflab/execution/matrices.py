"""Determinants, inverses and solutions of matrices of balls and of symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import UndecidedError
from .arithmetic import filled


def numbers_of(function: Callable[[list[list[Any]]], Any], a: np.ndarray) -> np.ndarray:
    """A number for each matrix of a stack, which is given as a list of its rows."""
    stack = a.shape[:-2]
    return filled(stack, [function(a[place].tolist()) for place in np.ndindex(*stack)])


def matrices_of(function: Callable[[list[list[Any]]], list[list[Any]]], a: np.ndarray) -> np.ndarray:
    """A matrix for each matrix of a stack."""
    result = np.empty(a.shape, dtype=object)
    for place in np.ndindex(*a.shape[:-2]):
        if a.shape[-1]:
            result[place] = np.array(function(a[place].tolist()), dtype=object)
    return result


def ball_determinant(rows: list[list[Any]]) -> Any:
    """By Arb's own algorithm, which encloses zeros as well."""
    from flint import arb, arb_mat

    return arb_mat(rows).det() if rows else arb(1)


def ball_inverse(rows: list[list[Any]]) -> list[list[Any]]:
    """By Arb's own algorithm, which knows whether the matrix is certainly regular."""
    from flint import arb_mat

    try:
        return arb_mat(rows).inv().tolist()
    except ZeroDivisionError:
        raise UndecidedError(
            f"whether a matrix of {len(rows)} rows is regular cannot be decided: its enclosure may hold a singular one"
        ) from None


def symbol_determinant(rows: list[list[Any]]) -> Any:
    """Without divisions, so that no entry needs to be told from zero."""
    import sympy

    return sympy.Matrix(rows).det(method="berkowitz") if rows else sympy.S.One


def symbol_inverse(rows: list[list[Any]]) -> list[list[Any]]:
    """Cofactors over the determinant."""
    import sympy

    matrix = sympy.Matrix(rows)
    cofactors, determinant = matrix.adjugate(method="berkowitz"), symbol_determinant(rows)
    return [[entry / determinant for entry in row] for row in cofactors.tolist()]
