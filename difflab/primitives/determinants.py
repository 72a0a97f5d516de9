"""Determinants of the matrices in the last two axes, with derivatives of every order, also where they vanish.

The logarithm of a determinant that vanishes has none: its derivative raises NumPy's error for a singular matrix.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np

from . import dependence, examples
from . import exact_matrices as exact
from .batching import stacked
from .complexes import imag, real, real_dtype
from .constructors import general
from .contract import swap
from .elementwise import cast
from .linalg import cubic, filling, grid, inverse, regular
from .packing import check_matrices
from .record import REGISTRY, Aval, broadcast_shapes, unbroadcast


def _number(a):
    check_matrices(a, square=True)
    return Aval(a.shape[:-2], a.dtype)


def _pairing(x, y):
    """The sum of the products of the entries of two matrices."""
    product = x * y
    last = len(product.shape) - 1
    return REGISTRY["sum"](product, axes=(last - 1, last))


def _outward(g):
    """A number per matrix, ready to multiply the matrices."""
    return REGISTRY["reshape"](g, shape=(*g.shape, 1, 1))


def _times_derivative(number, *matrices):
    return _outward(number) * det_derivative(*matrices)


det = general(
    np.linalg.det,
    lambda tangents, y, a: _pairing(det_derivative(a), tangents[0]),
    lambda g, y, a, wanted: (_times_derivative(g, a) if wanted[0] else None,),
    name="det",
    depends=dependence.whole_stack(0, 2),
    abstract=_number,
    into=filling(np.linalg.det),
    device=lambda xp, a: xp.linalg.det(a),
    exact=exact.det,
    flops=cubic(0.67),
    samples=lambda: [((regular(3, 3),), {}), ((grid(2, 2, 2),), {}), ((np.arange(9.0).reshape(3, 3),), {})],
    examples=examples.stack_of(2),
    batch=stacked("det", 2),
)


def _products_of_others(xp, values, count):
    """At each tuple of ``count`` different places the product of the values elsewhere; 0 where places coincide."""
    if count > 1:
        each = xp.where(xp.eye(values.shape[-1], dtype=bool), 1.0, values[..., None, :])
        return _products_of_others(xp, each, count - 1)
    ones = xp.ones((*values.shape[:-1], 1))
    before = xp.cumprod(xp.concatenate([ones, values[..., :-1]], -1), axis=-1)
    after = xp.cumprod(xp.concatenate([ones, values[..., :0:-1]], -1), axis=-1)[..., ::-1]
    return before * after


def _minors(xp, s, count):
    """``_products_of_others`` of singular values, with exponents apart: neither part of a product overflows."""
    mantissa, exponent = xp.frexp(s)
    low = mantissa < 0.7
    mantissa, exponent = xp.where(low, 2.0 * mantissa, mantissa), exponent - low
    products, n = _products_of_others(xp, mantissa, count), s.shape[-1]
    power = xp.sum(exponent, axis=-1).reshape(s.shape[:-1] + (1,) * count)
    places = xp.indices((n,) * count)
    for k in range(count):
        shape = (1,) * k + (n,) + (1,) * (count - 1 - k)
        power = power - exponent.reshape(s.shape[:-1] + shape)
        for other in range(k):
            products = xp.where(places[k] == places[other], 0.0, products)
    return xp.ldexp(products, power)


def _sign_of(permutation):
    return (-1) ** sum(a > b for a, b in itertools.combinations(permutation, 2))


def _det_derivative(xp, a, *directions):
    """The matrix G with <G, X> = the derivative of det along all the directions and X: the cofactors, without any.

    In the bases of its singular vectors the matrix is diagonal, and the derivative a sum over k + 1 different places
    and their permutations, with the product of the singular values elsewhere.  Nothing is divided by, so that it
    holds for singular matrices of any rank.
    """
    finite = xp.all(
        xp.isfinite(a), axis=(-2, -1), keepdims=True
    )  # others have no singular values, but cofactors of NaN
    u, s, vh = xp.linalg.svd(xp.where(finite, a, 0.0).astype(np.result_type(a.dtype, np.float64)))
    left, right, n, k = xp.conj(xp.swapaxes(u, -1, -2)), xp.conj(xp.swapaxes(vh, -1, -2)), s.shape[-1], len(directions)
    turned = [left @ direction @ right for direction in directions]
    minors = _minors(xp, s, k + 1)
    shape = np.broadcast_shapes(s.shape[:-1], *[direction.shape[:-2] for direction in directions])
    result = xp.zeros((*shape, n, n), np.result_type(u.dtype, *[direction.dtype for direction in directions]))
    for permutation in itertools.permutations(range(k + 1)):
        operands: list[Any] = [minors, [..., *range(k + 1)]]
        for m, one in enumerate(turned):
            operands += [one, [..., m, permutation[m]]]
        at: list[Any] = [..., k] if permutation[k] == k else [..., k, permutation[k]]
        term = xp.einsum(*operands, at)
        term = term[..., None] * xp.eye(n) if permutation[k] == k else term
        result = result + _sign_of(permutation) * term
    phase = xp.linalg.slogdet(u)[0] * xp.linalg.slogdet(vh)[0]
    result = phase[..., None, None] * (xp.conj(u) @ result @ xp.conj(vh))
    return xp.where(finite, result, np.nan).astype(a.dtype)


def _det_derivative_abstract(a, *directions):
    check_matrices(a, square=True)
    return Aval(broadcast_shapes(a.shape, *[direction.shape for direction in directions]), a.dtype)


def _det_derivative_jvp(tangents, y, *matrices):
    """Multilinear and symmetric in the directions; one more of them where the matrix itself moves."""
    total = None
    for position, tangent in enumerate(tangents):
        if tangent is None:
            continue
        if position == 0:
            term = det_derivative(*matrices, tangent)
        else:
            term = det_derivative(*matrices[:position], tangent, *matrices[position + 1 :])
        total = term if total is None else total + term
    return total


def _det_derivative_vjp(g, y, *matrices, wanted):
    return tuple(
        unbroadcast(_det_derivative_jvp((*[None] * position, g), y, *matrices), matrix.shape) if want else None
        for position, (matrix, want) in enumerate(zip(matrices, wanted, strict=True))
    )


_det_derivative_of_arrays = functools.partial(_det_derivative, np)
det_derivative = general(
    _det_derivative_of_arrays,
    _det_derivative_jvp,
    _det_derivative_vjp,
    name="det_derivative",
    depends=lambda table, *matrices: dependence.whole_stack(2, *(2,) * len(matrices))(table, *matrices),
    abstract=_det_derivative_abstract,
    into=filling(_det_derivative_of_arrays),
    device=_det_derivative,
    exact=exact.det_derivative,
    flops=cubic(20.0),
    samples=lambda: [
        ((regular(3, 3) / 8.0,), {}),
        ((np.ones((2, 2, 2)), grid(2, 2, 2)), {}),
        ((np.arange(9.0).reshape(3, 3), grid(3, 3), grid(3, 3, seed=4.0)), {}),
    ],
    examples=lambda given: examples.stack_of(*[2] * len(given.axes))(given),
    batch=lambda size, flags, *operands: stacked("det_derivative", *[2] * len(operands))(size, flags, *operands),
)


def _log_slope(tangent, a):
    """The derivative of log det along a tangent."""
    return _pairing(swap(inverse(a)), tangent)


def _logabsdet_jvp(tangents, y, a):
    slope = _log_slope(tangents[0], a)
    return real(slope) if a.dtype.kind == "c" else slope


def _logabsdet_vjp(g, y, a, *, wanted):
    if not wanted[0]:
        return (None,)
    return (_outward(cast(g, dtype=a.dtype.str) if a.dtype.kind == "c" else g) * swap(inverse(a)),)


logabsdet = general(
    lambda a: np.linalg.slogdet(a)[1],
    _logabsdet_jvp,
    _logabsdet_vjp,
    name="logabsdet",
    depends=dependence.whole_stack(0, 2),
    abstract=lambda a: _number(a)._replace(dtype=real_dtype(a.dtype)),
    into=filling(lambda a: np.linalg.slogdet(a)[1]),
    device=lambda xp, a: xp.linalg.slogdet(a)[1],
    exact=exact.logabsdet,
    flops=cubic(0.67),
    samples=lambda: [((regular(3, 3),), {}), ((grid(2, 2, 2),), {})],
    examples=examples.stack_of(2),
    batch=stacked("logabsdet", 2),
)


def _sign_jvp(tangents, y, a):
    return 1j * y * imag(_log_slope(tangents[0], a)) if a.dtype.kind == "c" else None


def _sign_vjp(g, y, a, *, wanted):
    if not wanted[0] or a.dtype.kind != "c":
        return (None,)
    turn = cast(real(1j * (g * y)), dtype=a.dtype.str)
    return (_outward(-1j * turn) * swap(inverse(a)),)


# The phase of a complex determinant moves; the sign of a real one does not.
sign_det = general(
    lambda a: np.linalg.slogdet(a)[0],
    _sign_jvp,
    _sign_vjp,
    name="sign_det",
    depends=dependence.whole_stack(0, 2),
    abstract=_number,
    into=filling(lambda a: np.linalg.slogdet(a)[0]),
    device=lambda xp, a: xp.linalg.slogdet(a)[0],
    exact=exact.sign_det,
    flops=cubic(0.67),
    samples=lambda: [((regular(3, 3),), {}), ((grid(2, 2, 2),), {})],
    examples=examples.stack_of(2),
    batch=stacked("sign_det", 2),
)
