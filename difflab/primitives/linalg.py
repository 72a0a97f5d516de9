"""Inverse, solution, Cholesky factor and pseudo-inverse of the matrices in the last two axes.

Each runs on stacks of matrices.  Pullbacks are complex-linear: for a holomorphic function they hold plain transposes.
The pseudo-inverse and the Cholesky factor are not holomorphic; there ``adjoint`` is the conjugate transpose, and the
rules are those for the conjugate of the cotangent.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import linalg_errors
from . import dependence, examples
from . import exact_matrices as exact
from .batching import spread_lanes, stacked
from .complexes import real_dtype
from .constructors import general
from .contract import matmul, swap
from .packing import adjoint, check_matrices, conj
from .record import OUT, Aval, Call, Operand, broadcast_shapes, unbroadcast


def filling(function):
    """Filling a buffer for what NumPy always gives in an array of its own."""

    def rule(avals, **params):
        def run(*arrays):
            np.copyto(arrays[-1], function(*arrays[:-1], **params))

        return Call(run, (*map(Operand, range(len(avals))), OUT))

    return rule


def _same(a, **params):
    check_matrices(a, square=True)
    return Aval(a.shape, a.dtype)


def cubic(factor):
    """Operations of an algorithm of the third order."""
    return lambda avals, out, **params: factor * avals[0].size * avals[0].shape[-1]


def grid(*shape, seed=1.0):
    """Matrices to try things on."""
    return np.sin(seed + np.arange(math.prod(shape))).reshape(shape)


def regular(*shape, seed=1.0):
    """Matrices that are far from singular."""
    return grid(*shape, seed=seed) + 3.0 * np.eye(shape[-1])


# ---------------------------------------------------------------------------- inverse and solution


SINGULAR = "Singular matrix"


def _raising(solver, message):
    """The rule of a solver of CuPy that raises for a matrix without a factorisation, as NumPy does.

    Whether there is one is asked of the GPU, for which the host waits.
    """

    def device(xp, *arrays):
        try:
            with linalg_errors(xp):
                return solver(xp, *arrays)
        except np.linalg.LinAlgError as error:
            raise np.linalg.LinAlgError(message) from error

    return device


_inverse_or_error = _raising(lambda xp, a: xp.linalg.inv(a), SINGULAR)


def _inverse_device(xp, a, *, lenient=False):
    if not lenient:
        return _inverse_or_error(xp, a)
    regular = xp.linalg.slogdet(a)[0] != 0
    return xp.where(regular[..., None, None], xp.linalg.inv(a), np.nan)


def _inverse(a, *, lenient=False):
    """NumPy's inverse; ``lenient`` gives NaN for a singular matrix instead of NumPy's error."""
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        if not lenient:
            raise
        if a.ndim == 2:
            return np.full_like(a, np.nan)
        return np.stack([_inverse(one, lenient=True) for one in a])


inverse = general(
    _inverse,
    lambda tangents, y, a, **params: -matmul(matmul(y, tangents[0]), y),
    lambda g, y, a, wanted, **params: (-matmul(matmul(swap(y), g), swap(y)) if wanted[0] else None,),
    name="inverse",
    depends=dependence.whole_stack(2, 2),
    abstract=_same,
    into=filling(_inverse),
    device=_inverse_device,
    exact=exact.inverse,
    flops=cubic(2.0),
    samples=lambda: [((regular(3, 3),), {}), ((regular(2, 2, 2),), {"lenient": True}), ((np.zeros((0, 0)),), {})],
    examples=examples.stack_of(2),
    batch=stacked("inverse", 2),
)


def _solve_abstract(a, b):
    check_matrices(a, square=True)
    if len(b.shape) < 2 or b.shape[-2] != a.shape[-1]:
        raise ValueError(f"matrices of shape {a.shape} do not fit right-hand sides of shape {b.shape}")
    return Aval((*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), a.dtype)


def _solve_jvp(tangents, y, a, b):
    ta, tb = tangents
    if ta is None:
        return solve(a, tb)
    moved = matmul(ta, y)
    return solve(a, -moved if tb is None else tb - moved)


def _solve_vjp(g, y, a, b, *, wanted):
    pulled = solve(swap(a), g)
    return (
        unbroadcast(-matmul(pulled, swap(y)), a.shape) if wanted[0] else None,
        unbroadcast(pulled, b.shape) if wanted[1] else None,
    )


def _solve_on_device(xp, a, b):
    """CuPy does not repeat matrices or right-hand sides over a stack."""
    stack = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = a if a.shape[:-2] == stack else xp.broadcast_to(a, (*stack, *a.shape[-2:]))
    return xp.linalg.solve(a, b if b.shape[:-2] == stack else xp.broadcast_to(b, (*stack, *b.shape[-2:])))


def _solve_depends(table, a, b):
    """Each column of the result depends on the matrix and on its own right-hand side."""
    ndim = b.ids.ndim
    matrices = table.along(a.ids, (a.ids.ndim - 2, a.ids.ndim - 1), keep=True)
    return table.elementwise(matrices, table.along(b.ids, (ndim - 2,), keep=True))


solve = general(
    np.linalg.solve,
    _solve_jvp,
    _solve_vjp,
    name="solve",
    depends=_solve_depends,
    abstract=_solve_abstract,
    into=filling(np.linalg.solve),
    device=_raising(_solve_on_device, SINGULAR),
    exact=exact.solve,
    flops=lambda avals, out: 2.0 * out.size * avals[0].shape[-1] + 0.67 * avals[0].size * avals[0].shape[-1],
    samples=lambda: [
        ((regular(3, 3), grid(3, 2)), {}),
        ((regular(2, 2), grid(3, 2, 1)), {}),
        ((regular(2, 1, 2, 2), grid(3, 2, 2)), {}),
    ],
    examples=examples.stack_of(2, 2),
    batch=stacked("solve", 2, 2),
)

# ---------------------------------------------------------------------------- Cholesky factor


def _lower_half(x):
    """The lower triangle with half the diagonal."""
    return x * (np.tril(np.ones(x.shape[-2:])) - 0.5 * np.eye(x.shape[-1])).astype(real_dtype(x.dtype))


def _cholesky_jvp(tangents, y, a):
    """NumPy reads the lower triangle, which moves the upper one along (Murray 2016, section 3.1)."""
    low = _lower_half(tangents[0])
    moved = low + adjoint(low)
    return matmul(y, _lower_half(solve(y, adjoint(solve(y, moved)))))


def _cholesky_vjp(g, y, a, *, wanted):
    if not wanted[0]:
        return (None,)
    inner = _lower_half(matmul(adjoint(y), conj(g)))
    part = solve(adjoint(y), adjoint(solve(adjoint(y), adjoint(inner))))
    return (conj(_lower_half(part + adjoint(part))),)


def _positive(*shape):
    x = grid(*shape)
    return x @ np.swapaxes(x, -1, -2) + 2.0 * np.eye(shape[-1])


# NumPy reads one triangle, so that the other has derivative 0, as differences of NumPy's function say as well.  Where
# both triangles of a symmetric matrix move together (Murray's convention), the gradient is the symmetric part of ours.
cholesky = general(
    np.linalg.cholesky,
    _cholesky_jvp,
    _cholesky_vjp,
    name="cholesky",
    depends=dependence.whole_stack(2, 2),
    abstract=_same,
    into=filling(np.linalg.cholesky),
    device=_raising(lambda xp, a: xp.linalg.cholesky(a), "Matrix is not positive definite"),
    exact=exact.cholesky,
    flops=cubic(0.33),
    samples=lambda: [((_positive(3, 3),), {}), ((_positive(2, 2, 2),), {})],
    examples=examples.stack_of(2),
    batch=stacked("cholesky", 2),
)

# ---------------------------------------------------------------------------- pseudo-inverse


def _pinv_abstract(a, rcond):
    return Aval((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)


def _missing(product):
    """One minus a projection."""
    return np.eye(product.shape[-1], dtype=product.dtype) - product


def _pinv_jvp(tangents, y, a, rcond):
    """The derivative among matrices of one rank (Golub and Pereyra 1973, theorem 4.3)."""
    if tangents[0] is None:
        return None  # only the cut moves
    moved = adjoint(tangents[0])
    inside = matmul(matmul(y, tangents[0]), y)
    rows = matmul(matmul(matmul(y, adjoint(y)), moved), _missing(matmul(a, y)))
    columns = matmul(matmul(_missing(matmul(y, a)), moved), matmul(adjoint(y), y))
    return rows + columns - inside


def _pinv_vjp(g, y, a, rcond, *, wanted):
    if not wanted[0]:
        return (None, None)
    inside = matmul(matmul(swap(y), g), swap(y))
    rows = matmul(matmul(_missing(matmul(a, y)), swap(g)), matmul(y, adjoint(y)))
    columns = matmul(matmul(matmul(adjoint(y), y), swap(g)), _missing(matmul(y, a)))
    return conj(rows + columns) - inside, None


def _pinv_on_device(xp, a, rcond):
    """NumPy's, without the wait for a mask's size that is in CuPy's."""
    if not a.size:
        return xp.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), dtype=a.dtype)
    u, s, vh = xp.linalg.svd(xp.conj(a), full_matrices=False)
    small = s <= rcond[..., None] * xp.max(s, axis=-1, keepdims=True)
    inverses = xp.where(small, 0.0, 1.0 / xp.where(small, 1.0, s))
    return xp.swapaxes(vh, -1, -2) @ (inverses[..., None] * xp.swapaxes(u, -1, -2))


def _pinv_batch(size, flags, a, rcond):
    """NumPy does not repeat a matrix for several cuts."""
    return stacked("pinv", 2, 0)(size, (True, flags[1]), spread_lanes(size, flags[0], a), rcond)


def _pinv_depends(table, a, rcond):
    """The cut has no derivative."""
    return dependence.whole_stack(2, 2)(table, a)


pinv = general(
    np.linalg.pinv,
    _pinv_jvp,
    _pinv_vjp,
    name="pinv",
    depends=_pinv_depends,
    abstract=_pinv_abstract,
    into=filling(np.linalg.pinv),
    device=_pinv_on_device,
    inexact="which singular values count as zero is a matter of rounding; with full rank write inv(a.T @ a) @ a.T",
    flops=cubic(20.0),
    samples=lambda: [
        ((grid(4, 2), np.array(1e-12)), {}),
        ((grid(2, 3), np.array(1e-12)), {}),
        ((_positive(2, 2, 2), np.array([1e-12, 1e-13])), {}),
    ],
    examples=examples.stack_of(2, 0),
    batch=_pinv_batch,
)
