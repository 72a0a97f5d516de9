"""Singular values and QR: ``svd`` and ``qr`` pack their factors, ``svdvals`` has the singular values alone.

The rules follow Townsend (2016, "Differentiating the singular value decomposition") and Walter & Lehmann (2010,
"Algorithmic differentiation of linear algebra functions with application in optimum experimental design"), for
complex, wide and tall matrices.  Each VJP is the transpose of the JVP above it in the inner product
Re(trace(G^H dX)); a cotangent is the conjugate of its G.

Where a factor is determined only up to a rotation - the phases of complex singular vectors, the columns of a full U,
V or Q beyond those that carry the matrix - its tangent has no part within what may rotate.  A loss that does not
depend on the choice has its right derivative; for another one there is none to speak of.
"""

from __future__ import annotations

import numpy as np

from . import dependence, examples
from .batching import stacked
from .complexes import real_dtype
from .constructors import general
from .contract import swap
from .linalg import solve
from .packing import (
    WHY_INEXACT,
    adjoint,
    below,
    check_matrices,
    column,
    columns,
    conj,
    cut,
    diagonal,
    gaps,
    off_diagonal_ratio,
    pack,
    ratio,
    re,
    row,
    upper,
    wider,
    with_diagonal,
)
from .record import Aval


def _grid(*shape):
    return np.sin(np.arange(1.0, 1.0 + np.prod(shape)) ** 2).reshape(shape)


# ---------------------------------------------------------------------------- columns that complete a basis


def _completed(tangent, basis):
    """The tangent of all columns of a basis from that of the first: the others only keep orthogonal to them."""
    first = tangent.shape[-1]
    rest = columns(basis, first, basis.shape[-1])
    follow = -columns(basis, 0, first) @ (adjoint(tangent) @ rest)
    return np.concatenate([tangent, follow], axis=-1)


def _completed_transpose(g, basis, first):
    rest = columns(basis, first, basis.shape[-1])
    follow = columns(g, first, basis.shape[-1])
    return columns(g, 0, first) - rest @ (adjoint(follow) @ columns(basis, 0, first))


# ---------------------------------------------------------------------------- singular values


def _svd_shapes(shape, full):
    *_, m, n = shape
    k = min(m, n)
    return ((k,), (m, m), (n, n)) if full else ((k,), (m, k), (k, n))


def _svd(a, *, full):
    return _svd_with(np, a, full=full)


def _svd_with(xp, a, *, full):
    u, s, vh = xp.linalg.svd(a, full_matrices=full)
    return pack(a.dtype, a.shape[:-2], s, u, vh)


def _svd_abstract(a, *, full):
    check_matrices(a)
    return Aval((*a.shape[:-2], sum(int(np.prod(shape)) for shape in _svd_shapes(a.shape, full))), a.dtype)


def _svd_parts(y, a, full):
    """U and V of all columns, then of the first min(m, n), and the singular values."""
    s, u, vh = cut(y, *_svd_shapes(a.shape, full))
    k = min(a.shape[-2:])
    v = adjoint(vh)
    return u, v, columns(u, 0, k), columns(v, 0, k), re(s)


def _svd_jvp(tangents, y, a, *, full):
    # With U^H dU = (E + D)/2 and V^H dV = (E - D)/2 on the first columns, U^H dA V = turn gives
    # E_ij (s_j - s_i) = (turn + turn^H)_ij and D_ij (s_j + s_i) = (turn - turn^H)_ij.
    all_u, all_v, u, v, s = _svd_parts(y, a, full)
    k = s.shape[-1]
    m, n = a.shape[-2:]
    right, left = tangents[0] @ v, adjoint(tangents[0]) @ u
    turn = adjoint(u) @ right
    even = off_diagonal_ratio(turn + adjoint(turn), gaps(s))
    odd = ratio(turn - adjoint(turn), row(s) + column(s))
    du, dv = u @ (0.5 * (even + odd)), v @ (0.5 * (even - odd))
    if m > k:
        du = du + ratio(right - u @ turn, row(s))
    if n > k:
        dv = dv + ratio(left - v @ adjoint(turn), row(s))
    if full and m > k:
        du = _completed(du, all_u)
    if full and n > k:
        dv = _completed(dv, all_v)
    return pack(y.dtype, a.shape[:-2], re(diagonal(turn)), du, adjoint(dv))


def _svd_vjp(cotangent, y, a, *, wanted, full):
    all_u, all_v, u, v, s = _svd_parts(y, a, full)
    k = s.shape[-1]
    m, n = a.shape[-2:]
    gs, gu, gvh = cut(conj(cotangent), *_svd_shapes(a.shape, full))
    gv = adjoint(gvh)
    if full and m > k:
        gu = _completed_transpose(gu, all_u, k)
    if full and n > k:
        gv = _completed_transpose(gv, all_v, k)
    on_u, on_v = adjoint(u) @ gu, adjoint(v) @ gv
    even = off_diagonal_ratio(0.5 * (on_u + on_v), gaps(s))
    odd = ratio(0.5 * (on_u - on_v), row(s) + column(s))
    turn = even + adjoint(even) + odd - adjoint(odd)
    turn = with_diagonal(turn, diagonal(turn) + re(gs))
    g = u @ turn @ adjoint(v)
    if m > k:
        g = g + ratio(gu - u @ on_u, row(s)) @ adjoint(v)
    if n > k:
        g = g + u @ adjoint(ratio(gv - v @ on_v, row(s)))
    return (conj(g),)


svd = general(
    _svd,
    _svd_jvp,
    _svd_vjp,
    name="svd",
    depends=dependence.whole_stack(1, 2),
    abstract=_svd_abstract,
    flops=lambda avals, out, full: 20.0 * avals[0].size * min(avals[0].shape[-2:]),
    samples=lambda: [
        ((_grid(3, 3),), {"full": True}),
        ((_grid(2, 4, 3),), {"full": False}),
        ((_grid(2, 4),), {"full": False}),
    ],
    examples=examples.stack_of(2),
    batch=stacked("svd", 2),
    device=_svd_with,
    inexact=WHY_INEXACT,
)


def _vectors(a):
    _, _, u, v, _ = _svd_parts(svd(a, full=False), a, False)
    return u, v


def _svdvals_jvp(tangents, y, a):
    u, v = _vectors(a)
    return re(np.sum(conj(u) * (tangents[0] @ v), axis=-2))


def _svdvals_vjp(cotangent, y, a, *, wanted):
    u, v = _vectors(a)
    return (conj((u * row(cotangent)) @ adjoint(v)),)


def _svdvals_abstract(a):
    check_matrices(a)
    return Aval((*a.shape[:-2], min(a.shape[-2:])), real_dtype(a.dtype))


svdvals = general(
    lambda a: np.linalg.svd(a, compute_uv=False),
    _svdvals_jvp,
    _svdvals_vjp,
    name="svdvals",
    depends=dependence.whole_stack(1, 2),
    abstract=_svdvals_abstract,
    flops=lambda avals, out: 4.0 * avals[0].size * min(avals[0].shape[-2:]),
    samples=lambda: [((_grid(3, 3),), {}), ((_grid(2, 4, 3),), {}), ((_grid(2, 4),), {})],
    examples=examples.stack_of(2),
    batch=stacked("svdvals", 2),
    device=lambda xp, a: xp.linalg.svd(a, compute_uv=False),
    inexact=WHY_INEXACT,
)

# ---------------------------------------------------------------------------- QR


def _qr_shapes(shape, complete):
    *_, m, n = shape
    k = m if complete else min(m, n)
    return (m, k), (k, n)


def _qr(a, *, complete):
    return _qr_with(np, a, complete=complete)


def _qr_with(xp, a, *, complete):
    q, r = xp.linalg.qr(a, "complete" if complete else "reduced")
    return pack(a.dtype, a.shape[:-2], q, r)


def _qr_abstract(a, *, complete):
    check_matrices(a)
    return Aval((*a.shape[:-2], sum(rows * cols for rows, cols in _qr_shapes(a.shape, complete))), a.dtype)


def _qr_parts(y, a, complete):
    """Q of all columns, and Q and R of the first min(m, n) columns and rows."""
    q, r = cut(y, *_qr_shapes(a.shape, complete))
    k = min(a.shape[-2:])
    return q, columns(q, 0, k), swap(columns(swap(r), 0, k))


def _skew(x):
    """The skew-Hermitian matrix with ``x`` below its diagonal and the imaginary part of ``x`` on it."""
    strict = below(x)
    return with_diagonal(strict - adjoint(strict), diagonal(0.5 * (x - conj(x))))


def _skew_transpose(g):
    return with_diagonal(below(g - adjoint(g)), diagonal(0.5 * (g - conj(g))))


def _qr_jvp(tangents, y, a, *, complete):
    # R keeps its real diagonal, so Q^H dQ = skew(Q^H dX X^-1 Q) with X the first columns of the matrix.
    every, q, r = _qr_parts(y, a, complete)
    m, k = q.shape[-2:]
    moved = swap(solve(swap(columns(r, 0, k)), swap(columns(tangents[0], 0, k))))
    turn = adjoint(q) @ moved
    skew = _skew(turn)
    dq = q @ skew
    dr = upper(adjoint(q) @ tangents[0] - skew @ r)
    if m > k:
        dq = dq + (moved - q @ turn)
    if complete and m > k:
        dq = _completed(dq, every)
        dr = swap(wider(swap(dr), m - k))
    return pack(y.dtype, a.shape[:-2], dq, dr)


def _qr_vjp(cotangent, y, a, *, wanted, complete):
    every, q, r = _qr_parts(y, a, complete)
    m, n = a.shape[-2:]
    k = q.shape[-1]
    gq, gr = cut(conj(cotangent), *_qr_shapes(a.shape, complete))
    gr = upper(swap(columns(swap(gr), 0, k)))
    if complete and m > k:
        gq = _completed_transpose(gq, every, k)
    inside = adjoint(q) @ gq
    moved = q @ _skew_transpose(inside - gr @ adjoint(r))
    if m > k:
        moved = moved + (gq - q @ inside)
    first = adjoint(solve(columns(r, 0, k), adjoint(moved)))
    return (conj(q @ gr + wider(first, n - k)),)


qr = general(
    _qr,
    _qr_jvp,
    _qr_vjp,
    name="qr",
    depends=dependence.whole_stack(1, 2),
    abstract=_qr_abstract,
    flops=lambda avals, out, complete: 4.0 * avals[0].size * min(avals[0].shape[-2:]),
    samples=lambda: [
        ((_grid(3, 3),), {"complete": True}),
        ((_grid(2, 4, 3),), {"complete": False}),
        ((_grid(2, 4),), {"complete": False}),
    ],
    examples=examples.stack_of(2),
    batch=stacked("qr", 2),
    device=_qr_with,
    inexact=WHY_INEXACT,
)
