"""Independent values of primitives: products and linear algebra, from their definitions."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np


def _sign(permutation):
    return (-1) ** sum(a > b for a, b in itertools.combinations(permutation, 2))


def _det(a):
    """The sum over permutations."""
    n = a.shape[-1]
    wide = a.astype(np.longdouble)
    total = np.zeros(a.shape[:-2], np.longdouble)
    for columns in itertools.permutations(range(n)):
        total = total + _sign(columns) * np.prod([wide[..., i, j] for i, j in enumerate(columns)], axis=0)
    return total


def _cofactors(a):
    n = a.shape[-1]
    result = np.empty(a.shape, np.longdouble)
    for i, j in np.ndindex(n, n):
        minor = np.delete(np.delete(a, i, axis=-2), j, axis=-1)
        result[..., i, j] = (-1) ** (i + j) * _det(minor)
    return result


def _inverse(a):
    return np.swapaxes(_cofactors(a), -1, -2) / _det(a)[..., None, None] if a.size else a.astype(np.longdouble)


def _solve(a, b):
    return np.sum(_inverse(a)[..., :, :, None] * b[..., None, :, :], axis=-2)


def _det_derivative(a, *directions):
    """The coefficient of the product of all steps in the cofactors of a + the sum of step times direction."""
    if not directions:
        return _cofactors(a)
    n, count = a.shape[-1], len(directions)
    wide = [np.broadcast_to(m, np.broadcast_shapes(a.shape, *[d.shape for d in directions])) for m in (a, *directions)]
    result = np.zeros(wide[0].shape, np.longdouble)
    for i, j in np.ndindex(n, n):
        minors = [np.delete(np.delete(m, i, axis=-2), j, axis=-1) for m in wide]
        for rows in itertools.permutations(range(n - 1), count):
            mixed = np.array(minors[0])
            for row, minor in zip(rows, minors[1:], strict=True):
                mixed[..., row, :] = minor[..., row, :]
            result[..., i, j] += (-1) ** (i + j) * _det(mixed)
    return result


def _cholesky(a):
    result = np.zeros(a.shape, np.longdouble)
    for j in range(a.shape[-1]):
        for i in range(j, a.shape[-1]):
            rest = a[..., i, j] - np.sum(result[..., i, :j] * result[..., j, :j], axis=-1)
            result[..., i, j] = np.sqrt(rest) if i == j else rest / result[..., j, j]
    return result


def _pinv(a, rcond):
    """Of full rank."""
    turned = np.swapaxes(a, -1, -2)
    if a.shape[-2] < a.shape[-1]:
        return np.swapaxes(_pinv(turned, rcond), -1, -2)
    return _solve(np.sum(turned[..., :, :, None] * a[..., None, :, :], axis=-2, dtype=np.longdouble), turned)


def _in_dtype(function):
    """Computed in long double, given back in the dtype of the first operand."""
    return lambda a, *rest, **params: np.asarray(function(a, *rest, **params)).astype(a.dtype)


REFERENCES: dict[str, Callable[..., Any]] = {
    "inverse": _in_dtype(lambda a, lenient=False: _inverse(a)),
    "solve": _in_dtype(_solve),
    "det": _in_dtype(_det),
    "det_derivative": _in_dtype(_det_derivative),
    "logabsdet": _in_dtype(lambda a: np.log(np.abs(_det(a)))),
    "sign_det": _in_dtype(lambda a: np.sign(_det(a))),
    "cholesky": _in_dtype(_cholesky),
    "pinv": _in_dtype(_pinv),
}
