"""Norms of vectors and matrices, condition and rank: every order that NumPy has, along any axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.record import composite
from ..promotion import floating
from .common import BIND, arrayed, implements, keep, lifted, normal_axes, normal_axis
from .linalg import matrices, square
from .statistics import root

INFINITE = (math.inf, -math.inf)


def _squares(x):
    """|x|**2 without a root, so that it has a derivative at 0."""
    return BIND["square"](np.real(x)) + BIND["square"](np.imag(x)) if x.dtype.kind == "c" else BIND["square"](x)


@composite("norm")
def _norm(x, *, axes, keepdims):
    total = BIND["sum"](_squares(x), axes=axes)
    return keep(root(total), x.shape, axes, keepdims)  # norm'(0) = 0 by the kink table, while sqrt'(0) = inf


def _power_norm(x, axes: tuple[int, ...], order: Any):
    """(sum |x|**p)**(1/p) with derivative 0 in zero elements, and everywhere where the sum itself is on the edge."""
    size = np.absolute(x)
    order = float(order)
    edge = 0.0 if order > 0 else math.inf  # what a zero adds to the sum
    zero = size == 0
    total = BIND["sum"](np.where(zero, edge, np.where(zero, 1.0, size) ** order), axes=axes)
    flat = total == edge
    return np.where(flat, 0.0, np.where(flat, 1.0, total) ** (1.0 / order))


def _largest(values, axes: tuple[int, ...]):
    """The maximum of what is not negative; 0 where there is nothing."""
    if any(values.shape[axis] == 0 for axis in axes):
        return BIND["sum"](values, axes=axes)
    return BIND["max"](values, axes=axes)


def _vector(x, axis: int, order: Any):
    if order == math.inf:
        return _largest(np.absolute(x), (axis,))
    if order == -math.inf:
        return np.min(np.absolute(x), axis=axis)
    if order == 0:
        return BIND["sum"]((x != 0).astype(np.real(x).dtype), axes=(axis,))
    if order == 1:
        return BIND["sum"](np.absolute(x), axes=(axis,))
    if isinstance(order, str):
        raise TraceError(f"np.linalg.norm at {user_location()}: ord={order!r} is no norm of vectors")
    return _power_norm(x, (axis,), order)


def _matrix(x, rows: int, columns: int, order: Any):
    """A norm of the matrices in two axes, which the result no longer has."""
    if order in (2, -2, "nuc"):
        stack = np.moveaxis(x, (rows, columns), (-2, -1))
        # norm'(0) = 0 by the kink table: a zero matrix gives way to the identity, whose norm is put aside.
        zero = BIND["max"](np.absolute(stack), axes=(stack.ndim - 2, stack.ndim - 1)) == 0 if stack.size else None
        if zero is not None:
            stack = np.where(zero[..., None, None], np.eye(*stack.shape[-2:], dtype=stack.dtype), stack)
        values = np.linalg.svd(stack, compute_uv=False)
        last = values.ndim - 1
        if order == "nuc":
            result = BIND["sum"](values, axes=(last,))
        else:
            result = _largest(values, (last,)) if order == 2 else np.min(values, axis=last)
        return result if zero is None else np.where(zero, np.zeros((), result.dtype), result)
    if order in (1, -1, *INFINITE):
        summed, left = (rows, columns) if order in (1, -1) else (columns, rows)
        sums = BIND["sum"](np.absolute(x), axes=(summed,))
        left -= left > summed
        return _largest(sums, (left,)) if order > 0 else np.min(sums, axis=left)
    raise TraceError(f"np.linalg.norm at {user_location()}: ord={order!r} is no norm of matrices")


@implements(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    x = floating(lifted(x)[0])
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        axes = tuple(normal_axis(a, x.ndim, "linalg.norm") for a in (axis if isinstance(axis, tuple) else (axis,)))
    if ord is None and (axis is None or len(axes) <= 2):
        return _norm(x, axes=normal_axes(axes, x.ndim, "linalg.norm"), keepdims=bool(keepdims))
    if len(axes) not in (1, 2):
        raise TraceError(
            f"np.linalg.norm at {user_location()}: ord={ord!r} over {len(axes)} axes; name one axis for norms of "
            "vectors or two for norms of matrices"
        )
    both = normal_axes(axes, x.ndim, "linalg.norm")
    if (len(axes) == 1 and ord == 2) or (len(axes) == 2 and ord in ("fro", "f")):
        return _norm(x, axes=both, keepdims=bool(keepdims))
    result = _vector(x, axes[0], ord) if len(axes) == 1 else _matrix(x, axes[0], axes[1], ord)
    return keep(result, x.shape, both, keepdims)


@implements(np.linalg.matrix_norm)
def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    return norm(x, ord, (-2, -1), keepdims)


@implements(np.linalg.vector_norm)
def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    axes = normal_axes(axis, x.ndim, "linalg.vector_norm")
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    count = math.prod(x.shape[i] for i in axes)
    merged = np.reshape(np.transpose(x, (*axes, *rest)), (count, *[x.shape[i] for i in rest]))
    return keep(norm(merged, ord, 0), x.shape, axes, keepdims)


# ---------------------------------------------------------------------------- from singular values


@implements(np.linalg.cond)
def cond(x, p=None):
    x = floating(x)
    if not x.size:
        raise TraceError(f"np.linalg.cond at {user_location()}: an empty array of shape {x.shape} has no condition")
    if p is None or p in (2, -2):
        s = np.linalg.svd(x, compute_uv=False)
        top, bottom = (s[..., -1], s[..., 0]) if p == -2 else (s[..., 0], s[..., -1])
        return np.where(bottom == 0, np.inf, top / np.where(bottom == 0, 1.0, bottom))
    inverse = BIND["inverse"](square("cond", *matrices("cond", x)), lenient=True)
    singular = np.isnan(inverse[..., 0, 0]) & ~np.isnan(norm(x, p, (-2, -1)))
    return np.where(singular, np.inf, norm(x, p, (-2, -1)) * norm(inverse, p, (-2, -1)))


@implements(np.linalg.matrix_rank)
def matrix_rank(A, tol=None, hermitian=False, *, rtol=None):
    if tol is not None and rtol is not None:
        raise TraceError(f"np.linalg.matrix_rank at {user_location()}: tol and rtol cannot both be given")
    (A,) = lifted(A)
    if A.ndim < 2:
        return np.any(A != 0).astype(np.int64)
    A = floating(A)
    s = np.absolute(np.linalg.eigvalsh(A)) if hermitian else np.linalg.svd(A, compute_uv=False)
    if tol is None:
        relative = max(A.shape[-2:]) * np.finfo(s.dtype).eps if rtol is None else arrayed(rtol)[..., None]
        last = s.ndim - 1
        tol = keep(_largest(s, (last,)), s.shape, (last,), True) * relative
    else:
        tol = arrayed(tol)[..., None]
    return np.sum(s > tol, axis=-1)
