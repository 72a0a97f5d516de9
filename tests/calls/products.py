"""Calls of NumPy's functions: products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def positive(x: Any) -> Any:
    """A positive definite matrix of three rows."""
    return x @ x.T + 2.0 * np.eye(3, dtype=x.dtype)


def regular(x: Any) -> Any:
    """A regular matrix of three rows."""
    return x[:, :3] + 3.0 * np.eye(3, dtype=x.dtype)


def pair(x: Any, y: Any) -> Any:
    """A stack of two regular matrices."""
    return np.stack([regular(x), regular(y)])


NP: Any = np  # whose stubs know fewer forms of arguments than NumPy
ROW: Any = [1.0, 2.0, 0.5, 1.5]

CALLS: dict[str, Callable[..., Any]] = {
    # products
    "~matmul of stacks": lambda x, y, v, s: np.matmul(np.stack([x, y]), x.T[None]) + pair(x, y) @ regular(y),
    "~matmul of lists": lambda x, y, v, s: np.matmul(x, ROW) + ROW @ y.T + np.arange(4) @ x.T + [1, 2, 3] @ x[:, :3],
    "~matmul of integers": lambda x, y, v, s: (x > 1).astype(int) @ (y.T > 1).astype(int) * s,
    "~dot of ranks": lambda x, y, v, s: np.dot(np.stack([x, y]), np.stack([x.T, y.T])) + np.dot(3, s) + v.dot(v),
    "~dot of vectors and tensors": lambda x, y, v, s: np.dot(v, np.stack([x.T, y.T])) + np.dot(np.stack([x, y]), v),
    "~inner": lambda x, y, v, s: np.inner(np.stack([x, y]), v) + np.inner(x[:2], y)[:, :3] + np.inner(v, 2.0)[:3],
    "~vdot": lambda x, y, v, s: np.vdot(x, y) + np.vdot(x, np.ones((4, 3), x.dtype)) + np.vdot(s, s) + np.vdot(v, v),
    "~vecdot": lambda x, y, v, s: NP.vecdot(x, v) + NP.vecdot(v, v) + NP.linalg.vecdot(x.T, y.T, axis=0),
    "~matvec vecmat": lambda x, y, v, s: NP.matvec(np.stack([x, y]), v) + NP.vecmat(v, np.stack([x.T, y.T])),
    "outer": lambda x, y, v, s: (
        np.outer(x, v) + np.outer([2, 1, 1] * 4, v) + np.outer(s, v)[0] + np.linalg.outer(v, v)[0]
    ),
    "kron": lambda x, y, v, s: np.kron(x, y)[::4, ::5] * np.kron(s, 2.0) + np.kron(v, x)[0, 0] + np.kron([1, 2], s)[1],
    "kron of ranks": lambda x, y, v, s: np.kron(np.stack([x, y]), v) + np.kron(v, np.stack([x, y])),
    "~tensordot of forms": lambda x, y, v, s: (
        np.tensordot(x, y, axes=([-2, -1], [0, 1])) + NP.tensordot(x, v, [[1], [0]])[0]
    ),
    "~tensordot by position": lambda x, y, v, s: np.tensordot(x, y, (1, 1)) + np.linalg.tensordot(x, y.T, axes=1),
    "~tensordot of everything": lambda x, y, v, s: np.tensordot(x, y, axes=2) + np.tensordot(s, x, 0),
    "cross": lambda x, y, v, s: np.cross(x.T, y.T) + np.cross(x, y, axis=0).T + np.cross([1, 2, 3], x.T),
    "cross by axes": lambda x, y, v, s: np.cross(x, y.T, axisa=0, axisb=-1, axisc=0) + np.linalg.cross(x, y, axis=0),
    "~multi_dot": lambda x, y, v, s: np.linalg.multi_dot([x, y.T, x, y.T]) + np.linalg.multi_dot([v, x.T, y, v]),
    "~multi_dot of two": lambda x, y, v, s: (
        np.linalg.multi_dot([x, v]) + np.linalg.multi_dot((np.ones(3, x.dtype), x, y.T))
    ),
    # einsum
    "~einsum": lambda x, y, v, s: np.einsum("ij,kj->ik", x, y) + np.einsum("ij,j", x, v) + np.einsum("ij->i", y),
    "~einsum of diagonals": lambda x, y, v, s: np.einsum("ii", regular(x)) + np.einsum("ii->i", regular(y)) * s,
    "~einsum of an ellipsis": lambda x, y, v, s: (
        np.einsum("...j,j->...", np.stack([x, y]), v) + np.einsum("...i->i...", x)[0, 0]
    ),
    "~einsum of three": lambda x, y, v, s: np.einsum("ij,kj,j->ik", x, y, v) + np.einsum("aB,cB,cd,d->a", x, y, x, v),
    "~einsum of lists": lambda x, y, v, s: np.einsum(x, [0, 1], y, [2, 1], [0, 2]) + np.einsum(v, [5], ROW, [5]),
    "~einsum by paths": lambda x, y, v, s: (
        np.einsum("ij,kj,k->i", x, y, x[:, 0], optimize=True)
        + np.einsum("ij,kj,k->i", x, y, x[:, 0], optimize=["einsum_path", (1, 2), (0, 1)])
        + np.einsum("ij,kj,k->i", x, y, x[:, 0], optimize="optimal", dtype=x.dtype)
    ),
    # linear algebra
    "~inv": lambda x, y, v, s: (
        np.linalg.inv(regular(x)) + np.linalg.inv(pair(x, y)) + np.linalg.inv([[2, 0, 1]] * 0 or s * np.eye(3))
    ),
    "~solve": lambda x, y, v, s: (
        np.linalg.solve(regular(x), y) + np.linalg.solve(pair(x, y), y)[1] + np.linalg.solve(regular(y), v[:3])[:, None]
    ),
    "~solve plain": lambda x, y, v, s: (
        np.linalg.solve(np.eye(3) * 2, y) + np.linalg.solve(regular(x), np.arange(3))[:, None]
    ),
    "~det": lambda x, y, v, s: (
        np.linalg.det(regular(x)) + np.linalg.det(pair(x, y)) + np.linalg.det(np.ones((2, 2), x.dtype) * s)
    ),
    "~slogdet": lambda x, y, v, s: (
        np.linalg.slogdet(regular(x))[1]
        + np.linalg.slogdet(pair(x, -y)).logabsdet
        + np.linalg.slogdet(-regular(x)).sign * s
    ),
    "~cholesky": lambda x, y, v, s: np.linalg.cholesky(positive(x)) @ np.linalg.cholesky(positive(y), upper=True),
    "~matrix_power": lambda x, y, v, s: (
        np.linalg.matrix_power(regular(x), 3)
        + np.linalg.matrix_power(pair(x, y), 5)
        + np.linalg.matrix_power(regular(x), -2)
        + np.linalg.matrix_power(regular(y), 0)
        + np.linalg.matrix_power(regular(x), 1)
    ),
    "~pinv": lambda x, y, v, s: (
        np.linalg.pinv(x) + np.linalg.pinv(np.stack([x, y]), rcond=1e-10)[1] + NP.linalg.pinv(y, rtol=None)
    ),
    "~pinv of Hermitian": lambda x, y, v, s: np.linalg.pinv(positive(x), hermitian=True),
    "~tensorsolve": lambda x, y, v, s: np.linalg.tensorsolve(np.reshape(regular(x), (3, 1, 3)), y[:, :1]),
    "~tensorsolve along axes": lambda x, y, v, s: np.linalg.tensorsolve(regular(x), v[:3], axes=(0,)),
    "~tensorinv": lambda x, y, v, s: np.linalg.tensorinv(np.reshape(regular(x), (3, 1, 3)), ind=2) * s,
    "~traces": lambda x, y, v, s: np.linalg.trace(pair(x, y), offset=1) + np.linalg.diagonal(pair(x, y), offset=-1),
    "matrix_transpose": lambda x, y, v, s: np.linalg.matrix_transpose(x) + np.matrix_transpose(np.stack([x, y])),
    "~linalg.matmul": lambda x, y, v, s: np.linalg.matmul(x, y.T),
    # norms
    "~norms of vectors": lambda x, y, v, s: np.stack(
        [np.linalg.norm(v - 1, ord=p) for p in (np.inf, -np.inf, 0, 1, -1, 2, -2, 3, 0.5)]
    ),
    "~norms along an axis": lambda x, y, v, s: (
        np.linalg.norm(x, 1, 0)
        + np.linalg.norm(y, np.inf, axis=-2, keepdims=True)
        + np.linalg.norm(x, 3.5, axis=(0,))
        + np.linalg.norm(np.stack([x, y]), axis=(0, 1))
    ),
    "~norms of matrices": lambda x, y, v, s: np.stack(
        [NP.linalg.norm(x - y, p) for p in ("fro", "f", 1, -1, np.inf, -np.inf, None)]
    ),
    "~norms of stacks": lambda x, y, v, s: (
        np.linalg.norm(np.stack([x, y]), 1, axis=(2, 1))
        + np.linalg.norm(np.stack([x, y]), -np.inf, axis=(-1, 0), keepdims=True)[0, :2, 0]
        + np.linalg.norm(s)
    ),
    "~matrix_norm": lambda x, y, v, s: (
        np.linalg.matrix_norm(np.stack([x, y])) + np.linalg.matrix_norm(x, ord=np.inf, keepdims=True)
    ),
    "~vector_norm": lambda x, y, v, s: (
        np.linalg.vector_norm(x)
        + np.linalg.vector_norm(x, axis=(0, 1), keepdims=True)
        + np.linalg.vector_norm(y, axis=0, ord=1)
    ),
    # from singular values
    "~norms of singular values": lambda x, y, v, s: np.stack([np.linalg.norm(x, p) for p in (2, -2, "nuc")]),
    "~norms of stacked singular values": lambda x, y, v, s: (
        np.linalg.norm(np.stack([x, y]), "nuc", axis=(1, 2))
        + np.linalg.norm(np.stack([x, y]), 2, axis=(2, 1), keepdims=True)[:, 0, 0]
        + np.linalg.matrix_norm(x, ord=2)
    ),
    "~cond": lambda x, y, v, s: (
        np.linalg.cond(x) + np.linalg.cond(regular(x), 1) + np.linalg.cond(pair(x, y), "fro") + np.linalg.cond(y, -2)
    ),
    "~matrix_rank": lambda x, y, v, s: (
        np.linalg.matrix_rank(x) * s + np.linalg.matrix_rank(v) + np.linalg.matrix_rank(y, tol=1e-3)
    ),
    "~lstsq": lambda x, y, v, s: (
        np.linalg.lstsq(x.T, v)[0] + np.linalg.lstsq(x.T, y.T)[1] + np.linalg.lstsq(x.T, v, rcond=-1)[3] * s
    ),
    "~lstsq of few rows": lambda x, y, v, s: np.linalg.lstsq(x, y)[0] * np.linalg.lstsq(x, y[:, 0])[2],
}
