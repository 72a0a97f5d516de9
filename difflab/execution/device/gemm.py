"""Matrix products of strided arrays as calls of a column-major GEMM: arithmetic of shapes and strides, no library.

``plan(a, b, out)`` takes the layouts (shapes and strides in elements) of the operands of ``np.matmul`` and of its
result and returns the ``Call`` records that compute it without a copy, or ``None`` where no such calls exist.  Operands
and results that are contiguous by rows always have a plan.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from ...errors import InputError


class Strided(NamedTuple):
    """Where the elements of an array lie.

    Args:
        shape: extents.
        strides: distances in elements.

    Example:
        >>> import numpy as np
        >>> strided(np.zeros((2, 3)).T)
        Strided(shape=(3, 2), strides=(1, 3))
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Call(NamedTuple):
    """One (strided, batched) GEMM in the order in which a column-major library reads it.

    Args:
        swapped: whether the first factor is ``b``: a result stored by rows is the transpose of one stored by columns,
            and out^T = b^T a^T.
        transposed: whether the first and the second factor are read transposed.
        sizes: rows and columns of the result as the library sees it, and the length of the sums.
        offsets: of the first element of the two factors and of the result, in elements.
        leading: leading dimensions of the two factors and of the result.
        strides: from one matrix of the batch to the next, of the two factors and of the result; 0 repeats a factor.
        count: matrices in the batch.

    Example:
        >>> plan(Strided((2, 3), (3, 1)), Strided((3, 4), (4, 1)), Strided((2, 4), (4, 1)))[0].sizes
        (4, 2, 3)
    """

    swapped: bool
    transposed: tuple[bool, bool]
    sizes: tuple[int, int, int]
    offsets: tuple[int, int, int]
    leading: tuple[int, int, int]
    strides: tuple[int, int, int]
    count: int


class _Matrix(NamedTuple):
    rows: int
    columns: int
    down: int  # stride from one row to the next
    across: int  # stride from one column to the next


def strided(array: Any) -> Strided | None:
    """The layout of an array; ``None`` if its strides are no multiples of its items."""
    size = array.dtype.itemsize
    if any(stride % size for stride in array.strides):
        return None
    return Strided(tuple(array.shape), tuple([stride // size for stride in array.strides]))


def plan(a: Strided, b: Strided, out: Strided) -> tuple[Call, ...] | None:
    """The calls that compute ``out = a @ b`` without copying anything.

    Batch axes along which one factor does not vary are folded into the rows or columns of the other where its layout
    allows it: one large product instead of many small ones.

    Args:
        a: (..., n, k) or (k,).
        b: (..., k, m) or (k,).
        out: the shape that ``np.matmul`` gives; every element must have its own place.

    Returns:
        Calls with sizes of at least 1; none for an empty result and for k = 0, where the result is zero.  ``None``: an
        operand has to be copied first.

    Raises:
        InputError: the shapes do not fit each other.

    Example:
        >>> batch = plan(Strided((5, 2, 3), (6, 3, 1)), Strided((3, 4), (4, 1)), Strided((5, 2, 4), (8, 4, 1)))
        >>> [(call.sizes, call.count) for call in batch]
        [((4, 10, 3), 1)]
    """
    first, second, result, axes = _matched(a, b, out)
    if first.columns == 0 or 0 in out.shape:
        return ()
    axes = _collapsed(axes)
    if any(there == 0 for _, _, _, there in axes):
        return None
    for axis in reversed(axes):
        first, second, result, folded = _folded(first, second, result, axis)
        if folded:
            axes = [other for other in axes if other is not axis]
    layouts = [_leading(matrix) for matrix in (first, second, result)]
    if None in layouts:
        return None
    batch = max(axes, default=(1, 0, 0, 0))
    loops = [axis for axis in axes if axis is not batch]
    steps = itertools.product(*[range(size) for size, *_ in loops])
    return tuple([_call(first, second, layouts, loops, batch, step) for step in steps])


def _matched(a: Strided, b: Strided, out: Strided) -> tuple[_Matrix, _Matrix, _Matrix, list[tuple[int, int, int, int]]]:
    """The three matrices and, for each batch axis, its size and the strides of the three along it."""
    (a_shape, a_strides), (b_shape, b_strides), (shape, strides) = a, b, out
    if not a_shape or not b_shape:
        raise InputError("a matrix product takes arrays of at least one axis; multiply by a number instead")
    if len(b_shape) == 1:
        b_shape, b_strides, shape, strides = (*b_shape, 1), (*b_strides, 0), (*shape, 1), (*strides, 0)
    if len(a_shape) == 1:
        a_shape, a_strides = (1, *a_shape), (0, *a_strides)
        shape, strides = (*shape[:-1], 1, *shape[-1:]), (*strides[:-1], 0, *strides[-1:])
    lead = _broadcast(a_shape[:-2], b_shape[:-2])
    if a_shape[-1] != b_shape[-2] or lead is None or shape != (*lead, a_shape[-2], b_shape[-1]):
        raise InputError(f"shapes {a.shape} and {b.shape} have no matrix product of shape {out.shape}")
    matrices = [
        _Matrix(*sizes[-2:], *along[-2:])
        for sizes, along in ((a_shape, a_strides), (b_shape, b_strides), (shape, strides))
    ]
    wide = [_along(sizes[:-2], along[:-2], len(lead)) for sizes, along in ((a_shape, a_strides), (b_shape, b_strides))]
    axes = list(zip(lead, *wide, strides[: len(lead)], strict=True))
    return matrices[0], matrices[1], matrices[2], [axis for axis in axes if axis[0] != 1]


def _broadcast(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...] | None:
    pairs = list(itertools.zip_longest(reversed(one), reversed(other), fillvalue=1))
    if any(left != right and 1 not in (left, right) for left, right in pairs):
        return None
    return tuple([right if left == 1 else left for left, right in reversed(pairs)])


def _along(shape: Sequence[int], strides: Sequence[int], rank: int) -> list[int]:
    """Strides along the batch axes of the result; 0 where the operand has one matrix for all."""
    given = [0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True)]
    return [0] * (rank - len(given)) + given


def _collapsed(axes: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Neighbouring batch axes as one where all three operands step through both evenly; large strides first."""
    merged: list[tuple[int, int, int, int]] = []
    for axis in sorted(axes, key=lambda one: -abs(one[3])):
        if merged and all(outer == inner * axis[0] for outer, inner in zip(merged[-1][1:], axis[1:], strict=True)):
            merged[-1] = (merged[-1][0] * axis[0], *axis[1:])
        else:
            merged.append(axis)
    return merged


def _folded(
    first: _Matrix, second: _Matrix, result: _Matrix, axis: tuple[int, int, int, int]
) -> tuple[_Matrix, _Matrix, _Matrix, bool]:
    """The matrices with a batch axis as part of their rows or columns, if one factor is the same all along it."""
    size, along_first, along_second, along_result = axis
    if along_second == 0:
        tall, high = _taller(first, size, along_first), _taller(result, size, along_result)
        if tall is not None and high is not None:
            return tall, second, high, True
    if along_first == 0:
        wide, broad = _taller(_turned(second), size, along_second), _taller(_turned(result), size, along_result)
        if wide is not None and broad is not None:
            return first, _turned(wide), _turned(broad), True
    return first, second, result, False


def _taller(matrix: _Matrix, size: int, stride: int) -> _Matrix | None:
    """``size`` matrices below each other; ``None`` if they do not lie so, or no leading dimension describes it."""
    if matrix.rows != 1 and stride != matrix.rows * matrix.down:
        return None
    down = stride if matrix.rows == 1 else matrix.down
    stacked = matrix._replace(rows=matrix.rows * size, down=down)
    return None if _leading(stacked) is None else stacked


def _turned(matrix: _Matrix) -> _Matrix:
    return _Matrix(matrix.columns, matrix.rows, matrix.across, matrix.down)


def _leading(matrix: _Matrix) -> tuple[bool, int] | None:
    """Whether a matrix lies by rows, and its leading dimension; strides along an extent of 1 mean nothing.

    A vector is both: it is read along its elements, so that its leading dimension is its length and not 1.
    """
    for by_rows in (matrix.rows <= matrix.columns, matrix.rows > matrix.columns):
        outer, inner, step, unit = matrix if by_rows else _turned(matrix)
        leading = inner if outer == 1 else step
        if (unit == 1 or inner == 1) and leading >= inner:
            return by_rows, leading
    return None


def _call(
    first: _Matrix, second: _Matrix, layouts: Sequence[Any], loops: Sequence[Any], batch: Sequence[int], step: Any
) -> Call:
    of_a, of_b, of_out = [
        sum(at * axis[operand] for at, axis in zip(step, loops, strict=True)) for operand in (1, 2, 3)
    ]  # fmt: skip
    (a_by_rows, a_leading), (b_by_rows, b_leading), (by_rows, leading) = layouts
    count, along_a, along_b, along_out = batch
    n, k, m = first.rows, first.columns, second.columns
    if not by_rows:
        return Call(False, (a_by_rows, b_by_rows), (n, m, k), (of_a, of_b, of_out), (a_leading, b_leading, leading),
                    (along_a, along_b, along_out), count)  # fmt: skip
    # What lies by rows is its own transpose to a library that reads by columns: the factors change places.
    return Call(True, (not b_by_rows, not a_by_rows), (m, n, k), (of_b, of_a, of_out), (b_leading, a_leading, leading),
                (along_b, along_a, along_out), count)  # fmt: skip
