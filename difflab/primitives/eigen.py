"""Eigenvalues and eigenvectors: ``eigh`` and ``eig`` pack both, ``eigvalsh`` and ``eigvals`` have the values alone.

The rules are those of Giles (2008, "An extended collection of matrix derivative results for forward and reverse mode
algorithmic differentiation", section 3.1) for complex matrices.  Each VJP is the transpose of the JVP above it,
taken in the inner product Re(trace(G^H dX)); a cotangent is the conjugate of its G, so it is conjugated on the way in
and out.

Eigenvectors are determined up to a factor.  ``eigh``: of real matrices up to a sign, which stays; of complex ones up
to a phase, and the rule takes the tangent without a part along the vector itself, so that only what does not depend
on the phases has a derivative to speak of.  ``eig``: LAPACK makes each vector of length 1 with a real largest
component, and the rule differentiates that as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dependence, examples
from .batching import spread_lanes, stacked
from .complexes import complex_dtype, real_dtype
from .constructors import general
from .contract import swap
from .linalg import solve
from .packing import (
    WHY_INEXACT,
    adjoint,
    below,
    check_matrices,
    column,
    conj,
    cut,
    diagonal,
    gaps,
    im,
    off_diagonal_ratio,
    pack,
    re,
    row,
    wider,
    with_diagonal,
)
from .record import Aval

# ---------------------------------------------------------------------------- Hermitian matrices


def _triangle(lower: bool) -> Any:
    return "L" if lower else "U"


def _hermitian(t, lower):
    """The Hermitian matrix of which NumPy reads one triangle and the real part of the diagonal."""
    strict = below(t if lower else adjoint(t))
    return with_diagonal(strict + adjoint(strict), re(diagonal(t)))


def _read(g, lower):
    """The transpose of ``_hermitian``."""
    folded = with_diagonal(below(g + adjoint(g)), re(diagonal(g)))
    return folded if lower else adjoint(folded)


def _eigh(a, *, lower):
    return _eigh_with(np, a, lower=lower)


def _eigh_with(xp, a, *, lower):
    w, v = xp.linalg.eigh(a, _triangle(lower))
    return pack(a.dtype, a.shape[:-2], w, v)


def _packed_abstract(a, *, lower):
    check_matrices(a, square=True)
    n = a.shape[-1]
    return Aval((*a.shape[:-2], n + n * n), a.dtype)


def _eigh_parts(y, a):
    n = a.shape[-1]
    w, v = cut(y, (n,), (n, n))
    return re(w), v


def _eigh_jvp(tangents, y, a, *, lower):
    w, v = _eigh_parts(y, a)
    turn = adjoint(v) @ _hermitian(tangents[0], lower) @ v
    return pack(y.dtype, a.shape[:-2], re(diagonal(turn)), v @ off_diagonal_ratio(turn, gaps(w)))


def _eigh_vjp(cotangent, y, a, *, wanted, lower):
    w, v = _eigh_parts(y, a)
    n = a.shape[-1]
    gw, gv = cut(conj(cotangent), (n,), (n, n))
    turn = with_diagonal(off_diagonal_ratio(adjoint(v) @ gv, gaps(w)), re(gw))
    return (conj(_read(v @ turn @ adjoint(v), lower)),)


def _symmetric_samples():
    # The upper triangle is another matrix: who reads both halves is found out.
    a = np.array([[2.0, 0.4, -0.7], [0.3, -1.0, 0.9], [-0.5, 0.8, 0.5]])
    return [((a,), {"lower": True}), ((np.stack([a, a.T @ a]),), {"lower": False}), ((a[:1, :1],), {"lower": True})]


eigh = general(
    _eigh,
    _eigh_jvp,
    _eigh_vjp,
    name="eigh",
    depends=dependence.whole_stack(1, 2),
    abstract=_packed_abstract,
    flops=lambda avals, out, lower: 9.0 * avals[0].size * avals[0].shape[-1],
    samples=_symmetric_samples,
    examples=examples.stack_of(2),
    batch=stacked("eigh", 2),
    device=_eigh_with,
    inexact=WHY_INEXACT,
)


def _vectors(a, lower):
    n = a.shape[-1]
    return cut(eigh(a, lower=lower), (n,), (n, n))[1]


def _eigvalsh_jvp(tangents, y, a, *, lower):
    v = _vectors(a, lower)
    return re(np.sum(conj(v) * (_hermitian(tangents[0], lower) @ v), axis=-2))


def _eigvalsh_vjp(cotangent, y, a, *, wanted, lower):
    v = _vectors(a, lower)
    return (conj(_read((v * row(cotangent)) @ adjoint(v), lower)),)


eigvalsh = general(
    lambda a, *, lower: np.linalg.eigvalsh(a, _triangle(lower)),
    _eigvalsh_jvp,
    _eigvalsh_vjp,
    name="eigvalsh",
    depends=dependence.whole_stack(1, 2),
    abstract=lambda a, lower: Aval(_packed_abstract(a, lower=lower).shape[:-1] + a.shape[-1:], real_dtype(a.dtype)),
    flops=lambda avals, out, lower: 1.5 * avals[0].size * avals[0].shape[-1],
    samples=_symmetric_samples,
    examples=examples.stack_of(2),
    batch=stacked("eigvalsh", 2),
    device=lambda xp, a, *, lower: xp.linalg.eigvalsh(a, _triangle(lower)),
    inexact=WHY_INEXACT,
)

# ---------------------------------------------------------------------------- general matrices


def _eig(a):
    return _eig_with(np, a)


def _eig_with(xp, a):
    w, v = xp.linalg.eig(a)
    return pack(complex_dtype(a.dtype), a.shape[:-2], w, v)


def _eig_abstract(a):
    check_matrices(a, square=True)
    n = a.shape[-1]
    return Aval((*a.shape[:-2], n + n * n), complex_dtype(a.dtype))


def _eig_parts(y, a):
    n = a.shape[-1]
    return cut(y, (n,), (n, n))


def _largest(v):
    """True at the component of each vector that LAPACK makes real."""
    # A row of zeros below is never chosen, and lets matrices of size 0 pass.
    chosen = np.argmax(swap(wider(swap(np.abs(v)), 1)), axis=-2)
    return np.equal(row(chosen), np.arange(v.shape[-2])[:, None])


def _at(chosen, x):
    return np.sum(np.where(chosen, x, 0.0), axis=-2)


def _eig_jvp(tangents, y, a):
    w, v = _eig_parts(y, a)
    turn = solve(v, tangents[0] @ v)
    free = v @ off_diagonal_ratio(turn, gaps(w))
    chosen = _largest(v)
    length = re(np.sum(conj(v) * free, axis=-2))
    phase = im(_at(chosen, free) / _at(chosen, v))
    return pack(y.dtype, a.shape[:-2], diagonal(turn), free - v * row(length) - 1j * v * row(phase))


def _eig_vjp(cotangent, y, a, *, wanted):
    w, v = _eig_parts(y, a)
    gw, gv = _eig_parts(conj(cotangent), a)
    along = np.sum(conj(v) * gv, axis=-2)
    chosen = _largest(v)
    phase = 1j * im(along) / conj(_at(chosen, v))
    gv = gv - v * row(re(along)) - np.where(chosen, row(phase), 0.0)
    turn = with_diagonal(off_diagonal_ratio(adjoint(v) @ gv, conj(gaps(w))), gw)
    return (_like(conj(solve(adjoint(v), turn @ adjoint(v))), a),)


def _like(g, a):
    return g if a.dtype.kind == "c" else re(g)


def _general_samples():
    a = np.array([[1.0, 2.0, -0.5], [0.3, -1.0, 0.4], [0.2, 0.6, 3.0]])
    b = np.array([[0.3, 2.0, 0.4], [-1.5, 0.1, 0.2], [0.5, -0.3, 1.0]])  # two of its eigenvalues are complex
    return [((a,), {}), ((np.stack([a, b]),), {}), ((a[:1, :1],), {})]


eig = general(
    _eig,
    _eig_jvp,
    _eig_vjp,
    name="eig",
    depends=dependence.whole_stack(1, 2),
    abstract=_eig_abstract,
    flops=lambda avals, out: 25.0 * avals[0].size * avals[0].shape[-1],
    samples=_general_samples,
    examples=examples.stack_of(2),
    batch=stacked("eig", 2),
    device=_eig_with,
    inexact=WHY_INEXACT,
)


def _partners(w, others):
    """For each of ``others`` the place of its own partner in ``w``: the nearest that is not yet taken."""
    if w.ndim > 1:
        return np.array([_partners(*pair) for pair in zip(w, others, strict=True)], np.int64).reshape(w.shape)
    distance = np.abs(w[:, None] - others[None, :])
    places = np.empty(w.shape, np.int64)
    for place in range(len(w)):
        places[place] = np.argmin(distance[:, place])
        distance[places[place]] = np.inf
    return places


def _partners_on_device(xp, w, others):
    """As ``_partners``, all stacks at once and without the host."""
    n = w.shape[-1]
    distance = xp.abs(w[..., :, None] - others[..., None, :])
    rows = xp.arange(n)
    places = xp.zeros(w.shape, dtype=np.int64)
    for place in range(n):
        nearest = xp.argmin(distance[..., place], axis=-1)
        places[..., place] = nearest
        distance = xp.where((rows == nearest[..., None])[..., None], np.inf, distance)
    return places


# LAPACK may find the eigenvalues in another order when nobody asks for the vectors.
pairing = general(
    _partners,
    None,
    None,
    name="pairing",
    abstract=lambda w, others: Aval(w.shape, np.dtype(np.int64)),
    flops=lambda avals, out: 4.0 * avals[0].size * avals[0].shape[-1],
    samples=lambda: [
        ((np.array([1.0, 2.0, 2.0, -1.0]), np.array([2.0, -1.0, 1.0, 2.0])), {}),
        ((np.array([[0.5, 3.0], [3.0, 0.5]]), np.array([[3.1, 0.4], [3.1, 0.4]])), {}),
    ],
    examples=examples.stack_of(1, 1),
    batch=lambda size, flags, w, others: pairing(spread_lanes(size, flags[0], w), spread_lanes(size, flags[1], others)),
    device=_partners_on_device,
    excuse="a permutation: its derivative is zero wherever it exists",
    inexact=WHY_INEXACT,
)


def _paired(y, a):
    """Eigenvectors, and the permutation matrix that carries their eigenvalues to those of ``eigvals``."""
    w, v = _eig_parts(eig(a), a)
    order = np.equal(row(pairing(w, y)), np.arange(a.shape[-1])[:, None])
    return v, order.astype(real_dtype(a.dtype))


def _eigvals_jvp(tangents, y, a):
    v, order = _paired(y, a)
    moved = diagonal(solve(v, tangents[0] @ v))
    return np.sum(column(moved) * order, axis=-2)


def _eigvals_vjp(cotangent, y, a, *, wanted):
    v, order = _paired(y, a)
    g = np.sum(row(cotangent) * order, axis=-1)
    # The transpose of dw = diag(V^-1 dA V): linear over the complex numbers, so no conjugates.
    return (_like(solve(swap(v), swap(v * row(g))), a),)


eigvals = general(
    lambda a: np.linalg.eigvals(a).astype(complex_dtype(a.dtype), copy=False),
    _eigvals_jvp,
    _eigvals_vjp,
    name="eigvals",
    depends=dependence.whole_stack(1, 2),
    abstract=lambda a: Aval(_eig_abstract(a).shape[:-1] + a.shape[-1:], complex_dtype(a.dtype)),
    flops=lambda avals, out: 10.0 * avals[0].size * avals[0].shape[-1],
    samples=_general_samples,
    examples=examples.stack_of(2),
    batch=stacked("eigvals", 2),
    device=lambda xp, a: xp.linalg.eigvals(a),
    inexact=WHY_INEXACT,
)
