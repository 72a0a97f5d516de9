"""A sparse matrix over several outputs and variables, cut into one CSR matrix for each of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..primitives.complexes import block_dtype
from ..transforms.sparsity import Pattern

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Block(NamedTuple):
    """The part of the matrix that belongs to one output and one variable, as a CSR matrix of its own.

    ``take``: where its entries are among those of the whole matrix; ``None``: they are all of them.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    indptr: np.ndarray
    indices: np.ndarray
    take: np.ndarray | None

    def filled(self, data: np.ndarray) -> csr_array:
        """The matrix with the entries that it takes; all arrays are its own."""
        from scipy.sparse import csr_array

        data = data if self.take is None else data.take(self.take)
        if self.dtype.kind != "c" and data.dtype.kind == "c":
            data = np.real(data)
        parts = (np.ascontiguousarray(data, self.dtype), self.indices.copy(), self.indptr.copy())
        matrix = csr_array(parts, shape=self.shape)
        matrix.has_canonical_format = True  # nobody has to look through the indices to find out
        return matrix

    def turned(self) -> Block:
        """The transposed matrix, by rows again."""
        from scipy.sparse import csr_array

        numbers = np.arange(len(self.indices))
        other = csr_array((numbers, self.indices, self.indptr), shape=self.shape).T.tocsr()
        other.sort_indices()
        take = other.data if self.take is None else self.take[other.data]
        return Block((self.shape[1], self.shape[0]), self.dtype, other.indptr, other.indices, take)


def blocks_of(pattern: Pattern, indptr: np.ndarray, indices: np.ndarray) -> list[list[Block]]:
    """The blocks of a matrix in CSR form, for each output and each variable."""
    kind: Any = np.int32 if max(len(indices), *pattern.shape) < 2**31 else np.int64
    columns = np.cumsum([0, *[variable.size for variable in pattern.variables]])
    table, top = [], 0
    for output in pattern.outputs:
        starts = indptr[top : top + output.size + 1]
        first, last = int(starts[0]), int(starts[-1])
        here, row = indices[first:last], []
        owners = np.repeat(np.arange(output.size), np.diff(starts))
        for left, right, variable in zip(columns, columns[1:], pattern.variables, strict=False):
            shape, dtype = (output.size, variable.size), _stored(block_dtype(output, variable))
            if shape == pattern.shape:
                row.append(Block(shape, dtype, indptr.astype(kind), indices.astype(kind), None))
                continue
            inside = np.flatnonzero((here >= left) & (here < right))
            ends = np.searchsorted(owners[inside], np.arange(output.size + 1))
            row.append(Block(shape, dtype, ends.astype(kind), (here[inside] - left).astype(kind), inside + first))
        table.append(row)
        top += output.size
    return table


def _stored(dtype: np.dtype) -> np.dtype:
    """The dtype in which SciPy holds such entries: it has no matrices of float16."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype
