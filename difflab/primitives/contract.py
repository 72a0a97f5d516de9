"""Products of matrices. Every dot, inner and tensordot becomes ``matmul`` of operands with two axes or more."""

from __future__ import annotations

import math

import numpy as np

from . import exact_rules as exact
from . import examples
from .batching import stacked
from .constructors import general
from .record import OUT, REGISTRY, Aval, Call, Operand, unbroadcast


def swap(x):
    """The last two axes exchanged: a view."""
    axes = (*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2)
    return REGISTRY["transpose"](x, axes=axes)


def _abstract(a, b):
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(f"matmul of shapes {a.shape} and {b.shape}: {a.shape[-1]} columns against {b.shape[-2]} rows")
    if len(a.shape) == len(b.shape) == 2:
        return Aval((a.shape[0], b.shape[1]), a.dtype)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return Aval((*batch, a.shape[-2], b.shape[-1]), a.dtype)


def _jvp(tangents, y, a, b):
    ta, tb = tangents
    left = None if ta is None else matmul(ta, b)
    right = None if tb is None else matmul(a, tb)
    if left is None or right is None:
        return right if left is None else left
    return left + right


def _vjp(cotangent, y, a, b, *, wanted):
    return (
        unbroadcast(matmul(cotangent, swap(b)), a.shape) if wanted[0] else None,
        unbroadcast(matmul(swap(a), cotangent), b.shape) if wanted[1] else None,
    )


def _batch(size, flags, a, b):
    """Lanes of rows against one matrix are one large product; everything else is a stack of products."""
    if flags == (True, False) and len(b.shape) == 2:
        return _merged(a, b)
    if flags == (False, True) and len(a.shape) == 2 and b.shape[-1] == 1:  # one matrix against lanes of vectors
        return swap(_merged(swap(b), swap(a)))
    return STACKED(size, flags, a, b)


def _merged(rows, matrix):
    """A stack of matrices times one matrix, as one product of two."""
    *lead, inner = rows.shape
    product = matmul(REGISTRY["reshape"](rows, shape=(math.prod(lead), inner)), matrix)
    return REGISTRY["reshape"](product, shape=(*lead, matrix.shape[-1]))


PAIRS = 1 << 23
"""Products of known numbers and others that a pattern looks at one by one, 200 MB of work space at most."""


def _depends(table, a, b):
    """Each row by each column; where one matrix is known, only by its numbers that are not 0."""
    left, right = a.nonzero, b.nonzero
    if left is not None and _by_nonzeros(table, left, b.ids):
        return _products(table, left, b.ids)
    if right is not None and _by_nonzeros(table, np.swapaxes(right, -1, -2), a.ids):
        return np.swapaxes(_products(table, np.swapaxes(right, -1, -2), np.swapaxes(a.ids, -1, -2)), -1, -2)
    rows = table.along(a.ids, (a.ids.ndim - 1,), keep=True)
    return table.elementwise(rows, table.along(b.ids, (b.ids.ndim - 2,), keep=True))


def _by_nonzeros(table, mask, ids):
    """Whether there are few enough products to look at each."""
    stack = math.prod(np.broadcast_shapes(mask.shape[:-2], ids.shape[:-2]))
    few = np.count_nonzero(mask) * ids.shape[-1] * stack <= PAIRS * math.prod(mask.shape[:-2])
    if not few:
        table.note("the zeros of the known matrix are too many products to look at")
    return few


def _products(table, mask, ids):
    """Element (i, j) is the union of the ids (k, j) where (i, k) is not 0."""
    stack = np.broadcast_shapes(mask.shape[:-2], ids.shape[:-2])
    mask = np.broadcast_to(mask, (*stack, *mask.shape[-2:])).reshape(-1, *mask.shape[-2:])
    ids = np.broadcast_to(ids, (*stack, *ids.shape[-2:])).reshape(-1, *ids.shape[-2:])
    item, row, inner = np.nonzero(mask)
    count = ids.shape[-1]
    groups = (item * mask.shape[1] + row)[:, None] * count + np.arange(count)
    union = table.grouped(groups, ids[item, inner], len(mask) * mask.shape[1] * count)
    return union.reshape(*stack, mask.shape[1], count)


def _samples():
    def grid(*shape):
        return np.sin(np.arange(1.0, 1.0 + np.prod(shape))).reshape(shape)

    return [
        ((grid(2, 3), grid(3, 4)), {}),
        ((grid(5, 2, 3), grid(3, 2)), {}),
        ((grid(4, 1, 2, 3), grid(5, 3, 2)), {}),
        ((grid(2, 0), grid(0, 3)), {}),
    ]


matmul = general(
    np.matmul,
    _jvp,
    _vjp,
    name="matmul",
    depends=_depends,
    abstract=_abstract,
    into=lambda avals: Call(np.matmul, (Operand(0), Operand(1), OUT)),
    exact=exact.matmul,
    flops=lambda avals, out: 2.0 * out.size * avals[0].shape[-1],
    samples=_samples,
    examples=examples.product,
    batch=_batch,
)
STACKED = stacked("matmul", 2, 2)
