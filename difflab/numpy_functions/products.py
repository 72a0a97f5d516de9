"""Products of vectors, matrices and tensors: all become one kind of matmul."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.packing import conj
from .common import BIND, implements, normal_axis, promoted, refuse
from .shapes import moveaxis, ravel, reshape, transpose


def generalised(ufunc: np.ufunc, *cores: int) -> Callable[[Callable], Callable]:
    """Register a function for a ufunc of vectors and matrices, with the keywords that say where those lie.

    ``cores`` counts the axes of its own of each operand and of the result.
    """

    def register(ours: Callable) -> Callable:
        def run(x1, x2, /, *, axes=None, axis=None, keepdims=False, dtype=None, **others):
            refuse(ufunc.__name__, **others)
            if axes is None and axis is None and dtype is None and not keepdims:
                return ours(x1, x2)
            values = [value if dtype is None else value.astype(dtype) for value in promoted((x1, x2))]
            places = axes if axis is None else [axis, axis]
            if places is None:
                places = [tuple(range(-min(core, v.ndim), 0)) for core, v in zip(cores[:2], values, strict=True)]
            places = [(place,) if isinstance(place, int) else tuple(place) for place in places]
            ends = [tuple(range(-len(place), 0)) for place in places]
            result = ours(*[moveaxis(v, place, end) for v, place, end in zip(values, places, ends, strict=False)])
            if keepdims:
                return np.expand_dims(result, places[0])
            return moveaxis(result, ends[2], places[2]) if len(places) > 2 else result

        implements(ufunc)(run)
        return ours

    return register


@generalised(np.matmul, 2, 2, 2)
def matmul(x1, x2):
    a, b = promoted((x1, x2))
    if len(a.shape) == len(b.shape) == 2 and a.shape[1] == b.shape[0]:
        return BIND["matmul"](a, b)
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
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise TraceError(f"np.dot at {user_location()}: shapes {a.shape} and {b.shape} do not fit")
    if b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 2,)))


def _axes_of(axes: Any, ndim: int) -> tuple[int, ...]:
    """One axis or several, as a tuple."""
    try:
        entries = (operator.index(axes),)
    except TypeError:
        entries = tuple(axes)
    return tuple(normal_axis(axis, ndim, "tensordot") for axis in entries)


@implements(np.tensordot)
def tensordot(a, b, axes: Any = 2):
    a, b = promoted((a, b))
    try:
        count = operator.index(axes)
        chosen = (range(a.ndim - count, a.ndim) if count else (), range(count))
    except TypeError:
        chosen = axes
    first, second = _axes_of(chosen[0], a.ndim), _axes_of(chosen[1], b.ndim)
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
    if not a.ndim or not b.ndim:
        return a * b
    if a.shape[-1] != b.shape[-1]:
        raise TraceError(f"np.inner at {user_location()}: the last axes of shapes {a.shape} and {b.shape} do not fit")
    return tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 1,)))


@implements(np.vdot)
def vdot(a, b):
    a, b = (ravel(value) for value in promoted((a, b)))
    if a.size != b.size:
        raise TraceError(f"np.vdot at {user_location()}: {a.size} elements against {b.size}")
    return matmul(conj(a), b)


@generalised(np.vecdot, 1, 1, 0)
def vecdot(x1, x2):
    a, b = _vectors("vecdot", x1, x2, (1, 1))
    return _dropped(matmul(_row(conj(a)), _column(b)), -1, -2)


@generalised(np.matvec, 2, 1, 1)
def matvec(x1, x2):
    a, b = _vectors("matvec", x1, x2, (2, 1))
    return _dropped(matmul(a, _column(b)), -1)


@generalised(np.vecmat, 1, 2, 1)
def vecmat(x1, x2):
    a, b = _vectors("vecmat", x1, x2, (1, 2))
    return _dropped(matmul(_row(conj(a)), b), -2)


def _vectors(name: str, x1: Any, x2: Any, cores: tuple[int, int]) -> list[Any]:
    """Both operands, with the axes that the product needs."""
    values = promoted((x1, x2))
    for value, core in zip(values, cores, strict=True):
        if value.ndim < core:
            what = "vectors" if core == 1 else "matrices"
            raise TraceError(f"np.{name} at {user_location()}: an operand of shape {value.shape} holds no {what}")
    if values[0].shape[-1] != values[1].shape[-cores[1]]:
        raise TraceError(f"np.{name} at {user_location()}: shapes {values[0].shape} and {values[1].shape} do not fit")
    return values


def _row(a: Any) -> Any:
    return reshape(a, (*a.shape[:-1], 1, a.shape[-1]))


def _column(a: Any) -> Any:
    return reshape(a, (*a.shape, 1))


def _dropped(a: Any, *axes: int) -> Any:
    """Without some axes of size 1."""
    places = [axis % a.ndim for axis in axes]
    return reshape(a, tuple(size for axis, size in enumerate(a.shape) if axis not in places))


@implements(np.outer)
def outer(a, b, out=None):
    a, b = [ravel(value) for value in promoted((a, b))]
    return reshape(a, (a.size, 1)) * reshape(b, (1, b.size))


@implements(np.kron)
def kron(a, b):
    a, b = promoted((a, b))
    ndim = max(a.ndim, b.ndim)
    rows, columns = ((1,) * (ndim - value.ndim) + value.shape for value in (a, b))
    left = reshape(a, tuple(size for extent in rows for size in (extent, 1)))
    right = reshape(b, tuple(size for extent in columns for size in (1, extent)))
    return reshape(left * right, tuple(m * n for m, n in zip(rows, columns, strict=True)))


@implements(np.cross)
def cross(a, b, axisa=-1, axisb=-1, axisc=-1, axis=None):
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = promoted((a, b))
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        raise TraceError(
            f"np.cross at {user_location()}: vectors of {a.shape[-1]} and {b.shape[-1]} components; a cross product "
            "needs 2 or 3"
        )
    a0, a1, *a2 = (a[..., i] for i in range(a.shape[-1]))
    b0, b1, *b2 = (b[..., i] for i in range(b.shape[-1]))
    last = a0 * b1 - a1 * b0
    if not a2 and not b2:
        return last
    # A component that is not there is zero: its products are left out, as in NumPy.
    if not a2:
        parts = [a1 * b2[0], -(a0 * b2[0]), last]
    elif not b2:
        parts = [-(a2[0] * b1), a2[0] * b0, last]
    else:
        parts = [a1 * b2[0] - a2[0] * b1, a2[0] * b0 - a0 * b2[0], last]
    return moveaxis(np.stack(parts, -1), -1, axisc)


# ---------------------------------------------------------------------------- chains


@implements(np.linalg.multi_dot)
def multi_dot(arrays, *, out=None):
    values = promoted(list(arrays))
    if len(values) < 2:
        raise TraceError(f"np.linalg.multi_dot at {user_location()}: a chain of two arrays or more is expected")
    for position, value in enumerate(values):
        if value.ndim != 2 and not (value.ndim == 1 and position in (0, len(values) - 1)):
            raise TraceError(
                f"np.linalg.multi_dot at {user_location()}: array {position} has shape {value.shape}; a chain is of "
                "matrices, and of vectors at its ends"
            )
    first, last = values[0].ndim == 1, values[-1].ndim == 1
    if first:
        values[0] = _row(values[0])
    if last:
        values[-1] = _column(values[-1])
    result = _chain(values, _splits([value.shape[0] for value in values] + [values[-1].shape[1]]), 0, len(values) - 1)
    return _dropped(result, *[0] * first, *[1] * last)


def _splits(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to divide each part of a chain of matrices, for the fewest multiplications (dynamic programming)."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    split = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            costs = [cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
            cost[i, j] = min(costs)
            split[i, j] = i + costs.index(cost[i, j])
    return split


def _chain(values: list[Any], split: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return values[i]
    k = split[i, j]
    return matmul(_chain(values, split, i, k), _chain(values, split, k + 1, j))
