"""A matrix of known pattern from few products: which columns and rows share one, and where each entry is read.

An entry (i, j) can be read from the product of j's colour, at i, when no other column of that colour has an entry in
row i -- all entries of row i count, also those that are read elsewhere, since all of them are added up there.  Likewise
from the product of i's colour, at j, when no other row of that colour has an entry in column j.  A colouring is right
when every entry can be read one way or the other; columns and rows of colour -1 are in no product and disturb nothing.
For a symmetric matrix the second way is (colour of i, row j) of the same products, since h_ij is h_ji.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError
from .colour_both import colour_both, separated
from .colour_symmetric import colour_symmetric
from .colouring import Csr, colour_columns, transposed


@dataclass(frozen=True, eq=False)
class Reading:
    """Which entries are read from products of one kind, and where.

    Attributes:
        entries: positions among all entries in CSR order; None: all of them.
        places: for each of these, its place in the products, flat in C order.
    """

    entries: np.ndarray | None
    places: np.ndarray


@dataclass(frozen=True, eq=False)
class Compression:
    """How an m x n matrix of known pattern is read off few products with seeds of ones and zeros.

    Attributes:
        shape: (m, n).
        indptr: (m + 1,) where the rows start, as in a CSR matrix.
        indices: (nnz,) the columns of the entries, increasing in each row.
        column_colours: (n,) the product J s each column is in, -1: in none.  None: no columns are pushed.
        row_colours: (m,) the product r J each row is in, -1: in none.  None: no rows are pulled.
        n_columns: number of products J s.
        n_rows: number of products r J.
        from_pushed: what is read from the products J s.
        from_pulled: what is read from the products r J.
    """

    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray
    column_colours: np.ndarray | None
    row_colours: np.ndarray | None
    n_columns: int
    n_rows: int
    from_pushed: Reading = field(repr=False)
    from_pulled: Reading = field(repr=False)

    def recover(self, pushed: np.ndarray | None, pulled: np.ndarray | None) -> np.ndarray:
        """The entries in CSR order, from the products.

        Args:
            pushed: (n_columns, m), row k is J times row k of `column_seeds`; None where there are none.
            pulled: (n_rows, n), row k is row k of `row_seeds` times J; None where there are none.

        Returns:
            (nnz,) a fresh array of the products' dtype (of both, the dtype that holds both).

        Raises:
            InputError: products are missing or of another shape.

        Example:
            >>> import numpy as np
            >>> diagonal = compress(np.array([0, 1, 2]), np.array([0, 1]), (2, 2))
            >>> diagonal.recover(np.array([[3.0, 4.0]]), None)
            array([3., 4.])
        """
        m, n = self.shape
        self._check("pushed", pushed, (self.n_columns, m))
        self._check("pulled", pulled, (self.n_rows, n))
        given = [products for products in (pushed, pulled) if products is not None]
        if pushed is not None and self.from_pushed.entries is None:
            return pushed.reshape(-1).take(self.from_pushed.places).astype(np.result_type(*given), copy=False)
        if pulled is not None and self.from_pulled.entries is None:
            return pulled.reshape(-1).take(self.from_pulled.places).astype(np.result_type(*given), copy=False)
        data = np.empty(len(self.indices), np.result_type(*given) if given else np.float64)
        for products, reading in ((pushed, self.from_pushed), (pulled, self.from_pulled)):
            if products is not None and reading.entries is not None:
                data[reading.entries] = products.reshape(-1).take(reading.places)
        return data

    def _check(self, name: str, products: np.ndarray | None, shape: tuple[int, int]) -> None:
        """Products of the right shape, or none where none are needed."""
        if products is None and shape[0]:
            raise InputError(f"recover({name}=None): this matrix is read off {shape[0]} such products; give {shape}")
        if products is not None and products.shape != shape:
            raise InputError(f"recover({name}): shape {products.shape} was given, the products have shape {shape}")

    def column_seeds(self, dtype: Any = np.float64) -> np.ndarray:
        """The seeds of the products J s: (n_columns, n), 1 where a column is of the colour, else 0."""
        return _seeds(self.column_colours, self.n_columns, self.shape[1], dtype)

    def row_seeds(self, dtype: Any = np.float64) -> np.ndarray:
        """The seeds of the products r J: (n_rows, m), 1 where a row is of the colour, else 0."""
        return _seeds(self.row_colours, self.n_rows, self.shape[0], dtype)


def _seeds(colours: np.ndarray | None, products: int, size: int, dtype: Any) -> np.ndarray:
    """One row of ones and zeros for each colour."""
    seeds = np.zeros((products, size), dtype)
    if colours is not None:
        members = np.flatnonzero(colours >= 0)
        seeds[colours[members], members] = 1
    return seeds


def compress(
    indptr: np.ndarray,
    indices: np.ndarray,
    shape: tuple[int, int],
    *,
    push: bool = True,
    pull: bool = True,
    price: tuple[float, float] = (1.0, 1.0),
) -> Compression:
    """The cheapest way found to read a matrix of that pattern off products with seeds.

    Args:
        indptr: (m + 1,) integers, where the rows of the pattern start.
        indices: (nnz,) integers, the columns of the entries, increasing in each row.
        shape: (m, n).
        push: products J s are possible.
        pull: products r J are possible; where both are, entries may be read from either kind.
        price: cost of one product J s and of one product r J, in any unit, both above 0.

    Returns:
        The colours, the number of products and where each entry is read.

    Raises:
        InputError: the pattern is not a CSR pattern of that shape, a price is not above 0, or neither kind of product
            is possible.

    Methods: see `colour_columns` and `colour_both`.

    Example:
        >>> import numpy as np
        >>> bidiagonal = compress(np.array([0, 2, 4, 5]), np.array([0, 1, 1, 2, 2]), (3, 3))
        >>> bidiagonal.n_columns, bidiagonal.n_rows, bidiagonal.column_seeds()
        (2, 0, array([[1., 0., 1.],
               [0., 1., 0.]]))
    """
    matrix = _checked("compress", indptr, indices, shape)
    if not (push or pull):
        raise InputError("compress(push=False, pull=False): no product is possible; allow one kind at least")
    if not all(np.isfinite(each) and each > 0 for each in price):
        raise InputError(f"compress(price={price!r}): the price of a product is a finite number above 0")
    longest = matrix.counts.max(initial=0), np.bincount(matrix.indices, minlength=1).max()
    cost, columns, rows = np.inf, None, None
    # First the kind that may turn out to be the cheaper one: the other is often ruled out by it.
    for kind in sorted((0, 1), key=lambda each: (longest[each] * price[each], each)):
        if (push, pull)[kind] and longest[kind] * price[kind] < cost:
            found = colour_columns(matrix if kind == 0 else transposed(matrix)[0])
            total = (int(found.max(initial=-1)) + 1) * price[kind]
            if total < cost or (total == cost and kind == 0):
                cost, columns, rows = (total, found, None) if kind == 0 else (total, None, found)
    both = colour_both(matrix, price, cost) if push and pull else None
    if both is not None:
        columns, rows = both.columns, both.rows
    return _compression(matrix, columns, rows)


def compress_symmetric(indptr: np.ndarray, indices: np.ndarray, n: int) -> Compression:
    """Few products H s off which a symmetric matrix of that pattern is read.

    Args:
        indptr: (n + 1,) integers, where the rows of the pattern start.
        indices: (nnz,) integers, the columns of the entries, increasing in each row; the pattern is symmetric.
        n: rows and columns.

    Returns:
        The colours, the number of products and where each entry is read; no rows are pulled.

    Raises:
        InputError: the pattern is not a CSR pattern of n rows and columns, or not symmetric.

    Methods: see `colour_symmetric`; where colouring columns alone takes fewer products, that is taken.

    Example:
        >>> import numpy as np
        >>> arrow = compress_symmetric(np.array([0, 4, 6, 8, 10]), np.array([0, 1, 2, 3, 0, 1, 0, 2, 0, 3]), 4)
        >>> arrow.n_columns, arrow.column_colours
        (2, array([0, 1, 1, 1]))
    """
    matrix = _checked("compress_symmetric", indptr, indices, (n, n))
    other, mirror = transposed(matrix)
    if not (np.array_equal(other.indptr, matrix.indptr) and np.array_equal(other.indices, matrix.indices)):
        raise InputError("compress_symmetric: the pattern is not symmetric; give its union with its transpose")
    colours = colour_symmetric(matrix, mirror)
    plain = colour_columns(matrix) if colours.max(initial=-1) + 1 > matrix.counts.max(initial=0) else colours
    if plain.max(initial=-1) < colours.max(initial=-1):
        return _compression(matrix, plain, None)
    own = colours[matrix.indices] * n + matrix.rows
    places = np.where(separated(matrix, colours), own, own[mirror])
    none = Reading(np.zeros(0, np.int64), np.zeros(0, np.int64))
    products = int(colours.max(initial=-1)) + 1
    return Compression(
        matrix.shape, matrix.indptr, matrix.indices, colours, None, products, 0, Reading(None, places), none
    )


def _compression(matrix: Csr, columns: np.ndarray | None, rows: np.ndarray | None) -> Compression:
    """The compression with these colours: every entry is read from a column where it can be, else from a row."""
    m, n = matrix.shape
    n_columns = 0 if columns is None else int(columns.max(initial=-1)) + 1
    n_rows = 0 if rows is None else int(rows.max(initial=-1)) + 1
    none = Reading(np.zeros(0, np.int64), np.zeros(0, np.int64))
    pushed = pulled = none
    if rows is None:
        assert columns is not None
        pushed = Reading(None, columns[matrix.indices] * m + matrix.rows)
    elif columns is None:
        pulled = Reading(None, rows[matrix.rows] * n + matrix.indices)
    else:
        here = separated(matrix, columns)
        for_columns, for_rows = np.flatnonzero(here), np.flatnonzero(~here)
        pushed = Reading(for_columns, (columns[matrix.indices] * m + matrix.rows)[for_columns])
        pulled = Reading(for_rows, (rows[matrix.rows] * n + matrix.indices)[for_rows])
    return Compression(matrix.shape, matrix.indptr, matrix.indices, columns, rows, n_columns, n_rows, pushed, pulled)


def _checked(owner: str, indptr: np.ndarray, indices: np.ndarray, shape: tuple[int, int]) -> Csr:
    """The pattern, where it is one of that shape.

    Raises:
        InputError: it is not.
    """
    indptr, indices = np.array(indptr), np.array(indices)  # copies: they stay what they are
    m, n = shape
    if indptr.dtype.kind not in "iu" or (indices.size and indices.dtype.kind not in "iu"):
        raise InputError(f"{owner}: indptr and indices are integers, not {indptr.dtype} and {indices.dtype}")
    if indptr.shape != (m + 1,) or indptr[0] != 0 or indptr[-1] != indices.size or np.any(indptr[1:] < indptr[:-1]):
        raise InputError(f"{owner}(indptr): {m + 1} integers that rise from 0 to the number of entries are needed")
    if indices.ndim != 1 or (indices.size and not 0 <= indices.min() <= indices.max() < n):
        raise InputError(f"{owner}(indices): one axis of column numbers from 0 to {n - 1} is needed")
    falls = indices[1:] <= indices[:-1]
    falls[indptr[1:-1][(indptr[1:-1] > 0) & (indptr[1:-1] < indices.size)] - 1] = False  # a new row starts after these
    if falls.any():
        raise InputError(f"{owner}(indices): the columns of a row increase, each once; sort them first")
    return Csr(indptr, indices, (m, n))
