"""np.linalg: inverse, solution, determinant, factors, powers. Stacks of matrices throughout."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.complexes import real_dtype
from ..promotion import floating, innermost
from .common import BIND, NOTHING, arrayed, implements, lifted, promoted
from .products import matmul


def matrices(name: str, *values: Any) -> list[Any]:
    """The operands as arrays of the one floating dtype that NumPy's linear algebra gives them."""
    arrays = [floating(arrayed(value)) for value in values]
    for array in arrays:
        if array.dtype.char not in "fdFD":
            raise TraceError(
                f"np.linalg.{name} at {user_location()}: NumPy has no linear algebra for dtype {array.dtype}; "
                "convert to float64 or float32 first"
            )
    return promoted(arrays)


def square(name: str, a: Any) -> Any:
    """A stack of square matrices, or an error."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise TraceError(
            f"np.linalg.{name} at {user_location()}: an array of shape {a.shape} is no stack of square matrices; its "
            "last two axes must be equal"
        )
    return a


def adjoint(a: Any) -> Any:
    """The conjugate transpose of each matrix."""
    return np.conjugate(np.swapaxes(a, -1, -2)) if a.dtype.kind == "c" else np.swapaxes(a, -1, -2)


def mirrored(a: Any) -> Any:
    """The Hermitian matrices whose lower triangles are given: what NumPy sees of a matrix called Hermitian."""
    n = a.shape[-1]
    below = np.where(np.tri(n, k=-1, dtype=bool), a, 0)
    return below + adjoint(below) + np.where(np.eye(n, dtype=bool), np.real(a), 0)


@implements(np.linalg.inv)
def inv(a):
    return BIND["inverse"](square("inv", *matrices("inv", a)))


@implements(np.linalg.solve)
def solve(a, b):
    a, b = matrices("solve", a, b)
    square("solve", a)
    right = np.expand_dims(b, -1) if b.ndim == 1 else b
    if right.ndim < 2 or right.shape[-2] != a.shape[-1]:
        raise TraceError(
            f"np.linalg.solve at {user_location()}: matrices of shape {a.shape} do not fit right-hand sides of shape "
            f"{b.shape}"
        )
    result = BIND["solve"](a, right)
    return np.squeeze(result, -1) if b.ndim == 1 else result


@implements(np.linalg.det)
def det(a):
    return BIND["det"](square("det", *matrices("det", a)))


@functools.cache
def names_of_parts(function: Any) -> Any:
    """The named tuple that NumPy returns."""
    return type(function(np.eye(1)))


@implements(np.linalg.slogdet)
def slogdet(a):
    a = square("slogdet", *matrices("slogdet", a))
    return names_of_parts(np.linalg.slogdet)(BIND["sign_det"](a), BIND["logabsdet"](a))


@implements(np.linalg.cholesky)
def cholesky(a, /, *, upper=False):
    a = square("cholesky", *matrices("cholesky", a))
    return adjoint(BIND["cholesky"](adjoint(a))) if upper else BIND["cholesky"](a)


@implements(np.linalg.matrix_power)
def matrix_power(a, n):
    (a,) = lifted(a)
    square("matrix_power", a)
    n = operator.index(n)
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    power, n = (inv(a), -n) if n < 0 else (a, n)
    if n == 3:  # as NumPy, which keeps this order
        return matmul(matmul(power, power), power)
    result = None
    while True:
        if n % 2:
            result = power if result is None else matmul(result, power)
        n //= 2
        if not n:
            return result
        power = matmul(power, power)


# ---------------------------------------------------------------------------- pseudo-inverse and least squares


@implements(np.linalg.pinv)
def pinv(a, rcond=None, hermitian=False, *, rtol=NOTHING):
    if rcond is not None and rtol is not NOTHING:
        raise TraceError(f"np.linalg.pinv at {user_location()}: rcond and rtol cannot both be given")
    (a,) = matrices("pinv", a)
    stacked("pinv", a)
    if rcond is None:
        rcond = 1e-15 if rtol is NOTHING else rtol
    if rcond is None:
        rcond = max(a.shape[-2:]) * np.finfo(a.dtype).eps
    if hermitian:
        a = mirrored(square("pinv", a))
    return _pinv(a, rcond)


def stacked(name: str, a: Any) -> Any:
    """A stack of matrices of any shape, or an error."""
    if a.ndim < 2:
        raise TraceError(f"np.linalg.{name} at {user_location()}: an array of shape {a.shape} holds no matrices")
    return a


def _pinv(a: Any, rcond: Any) -> Any:
    if not a.size:
        return np.swapaxes(a, -1, -2)
    builder = innermost((a,))
    return BIND["pinv"](a, builder.promoted(builder.lift(np.asarray(rcond)), real_dtype(a.dtype)))


@implements(np.linalg.lstsq)
def lstsq(a, b, rcond=None):
    a, b = matrices("lstsq", a, b)
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise TraceError(
            f"np.linalg.lstsq at {user_location()}: a matrix of shape {a.shape} does not fit right-hand sides of "
            f"shape {b.shape}"
        )
    rows, columns = a.shape
    eps = float(np.finfo(np.float64).eps)  # NumPy's for float32 as well, which it solves in float64
    rcond = eps * max(rows, columns) if rcond is None else rcond if rcond >= 0 else eps
    x = matmul(_pinv(a, rcond), b)
    s = np.linalg.svd(a, compute_uv=False)
    rank = np.sum(s > rcond * s[:1]).astype(np.int32)
    nothing = np.zeros(0, s.dtype)
    # NumPy gives residuals only where the rank is full, which Python must know: a guard.
    if rows <= columns or bool(rank != columns):
        return x, nothing, rank, s
    missing = np.absolute(b - matmul(a, x))
    residuals = np.sum(missing * missing, axis=0)
    return x, np.reshape(residuals, (1,)) if b.ndim == 1 else residuals, rank, s


# ---------------------------------------------------------------------------- tensors


@implements(np.linalg.tensorinv)
def tensorinv(a, ind=2):
    if ind <= 0:
        raise TraceError(f"np.linalg.tensorinv at {user_location()}: ind={ind} must be positive")
    (a,) = lifted(a)
    rows, columns = a.shape[:ind], a.shape[ind:]
    flat = np.reshape(a, (math.prod(rows), math.prod(columns)))
    return np.reshape(inv(flat), (*columns, *rows))


@implements(np.linalg.tensorsolve)
def tensorsolve(a, b, axes=None):
    a, b = matrices("tensorsolve", a, b)
    if axes is not None:
        order = list(range(a.ndim))
        for axis in axes:
            order.remove(axis)
            order.insert(a.ndim, axis)
        a = np.transpose(a, order)
    shape = a.shape[b.ndim :]
    count = math.prod(shape)
    if a.size != count * count or b.size != count:
        raise TraceError(
            f"np.linalg.tensorsolve at {user_location()}: an array of shape {a.shape} does not fit a right-hand side "
            f"of shape {b.shape}"
        )
    return np.reshape(solve(np.reshape(a, (count, count)), np.ravel(b)), shape)


# ---------------------------------------------------------------------------- functions of the main namespace


@implements(np.linalg.trace)
def trace(x, /, *, offset=0, dtype=None):
    return np.trace(x, offset, axis1=-2, axis2=-1, dtype=dtype)


@implements(np.linalg.diagonal)
def diagonal(x, /, *, offset=0):
    return np.diagonal(x, offset, axis1=-2, axis2=-1)


@implements(np.linalg.matrix_transpose, np.matrix_transpose)
def matrix_transpose(x, /):
    return np.swapaxes(x, -1, -2)


@implements(np.linalg.matmul)
def linalg_matmul(x1, x2, /):
    return np.matmul(x1, x2)


@implements(np.linalg.outer)
def linalg_outer(x1, x2, /):
    for x in (x1, x2):
        if np.ndim(x) != 1:
            raise TraceError(
                f"np.linalg.outer at {user_location()}: an operand of shape {np.shape(x)} is no vector; np.outer "
                "flattens it"
            )
    return np.outer(x1, x2)


@implements(np.linalg.tensordot)
def linalg_tensordot(x1, x2, /, *, axes=2):
    return np.tensordot(x1, x2, axes)


@implements(np.linalg.vecdot)
def linalg_vecdot(x1, x2, /, *, axis=-1):
    a, b = promoted((x1, x2))
    return np.vecdot(np.moveaxis(a, axis, -1), np.moveaxis(b, axis, -1))


@implements(np.linalg.cross)
def linalg_cross(x1, x2, /, *, axis=-1):
    for x in (x1, x2):
        if np.shape(x)[axis] != 3:
            raise TraceError(
                f"np.linalg.cross at {user_location()}: an operand of shape {np.shape(x)} holds no vectors of three "
                f"components along axis {axis}"
            )
    return np.cross(x1, x2, axis=axis)
