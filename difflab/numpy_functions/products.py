"""Products of vectors, matrices and tensors: all become one kind of matmul."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from .common import BIND, implements, normal_axis, promoted
from .shapes import ravel, reshape, transpose


@implements(np.matmul)
def matmul(x1, x2):
    a, b = promoted((x1, x2))
    if not a.ndim or not b.ndim:
        raise TraceError(f"matmul at {user_location()}: a scalar operand; use * instead")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise TraceError(f"matmul at {user_location()}: shapes {a.shape} and {b.shape} do not fit")
    left = a if a.ndim > 1 else reshape(a, (1, a.size))
    right = b if b.ndim > 1 else reshape(b, (b.size, 1))
    if right.ndim == 2 and left.ndim > 2:  # one large product instead of many small ones
        rows = reshape(left, (math.prod(left.shape[:-1]), left.shape[-1]))
        result = reshape(BIND["matmul"](rows, right), (*left.shape[:-1], right.shape[-1]))
    else:
        result = BIND["matmul"](left, right)
    rows_out = result.shape[-2:-1] if a.ndim > 1 else ()
    columns_out = result.shape[-1:] if b.ndim > 1 else ()
    return reshape(result, (*result.shape[:-2], *rows_out, *columns_out))


@implements(np.dot)
def dot(a, b, out=None):
    a, b = promoted((a, b))
    if not a.ndim or not b.ndim:
        return a * b
    if b.ndim <= 2:
        return matmul(a, b)
    return np.tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 2,)))


@implements(np.tensordot)
def tensordot(a, b, axes: Any = 2):
    a, b = promoted((a, b))
    if isinstance(axes, int):
        first, second = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        left, right = axes
        first: Any = tuple(left) if isinstance(left, tuple | list) else (left,)
        second: Any = tuple(right) if isinstance(right, tuple | list) else (right,)
    first = tuple(normal_axis(x, a.ndim, "tensordot") for x in first)
    second = tuple(normal_axis(x, b.ndim, "tensordot") for x in second)
    if [a.shape[i] for i in first] != [b.shape[i] for i in second]:
        raise TraceError(f"np.tensordot at {user_location()}: shapes {a.shape}, {b.shape} do not fit over {axes}")
    free_a = [i for i in range(a.ndim) if i not in first]
    free_b = [i for i in range(b.ndim) if i not in second]
    inner = math.prod(a.shape[i] for i in first)
    rows, columns = math.prod(a.shape[i] for i in free_a), math.prod(b.shape[i] for i in free_b)
    left = reshape(transpose(a, (*free_a, *first)), (rows, inner))
    right = reshape(transpose(b, (*second, *free_b)), (inner, columns))
    return reshape(BIND["matmul"](left, right), (*[a.shape[i] for i in free_a], *[b.shape[i] for i in free_b]))


@implements(np.inner)
def inner(a, b):
    a, b = promoted((a, b))
    return a * b if not a.ndim or not b.ndim else tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 1,)))


@implements(np.vdot)
def vdot(a, b):
    a, b = promoted((a, b))
    return matmul(ravel(a), ravel(b))


@implements(np.outer)
def outer(a, b, out=None):
    a, b = [ravel(value) for value in promoted((a, b))]
    return reshape(a, (a.size, 1)) * reshape(b, (1, b.size))
