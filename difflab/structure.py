"""Which entries of a Jacobian or Hessian can be non-zero: ``dl.sparsity``, and patterns that users bring."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import to_host
from .calls import Bound, bind
from .containers import Structure, unflatten
from .errors import InputError
from .execution.compression import compress, compress_symmetric
from .flat import make_source, require_scalar
from .primitives.record import Aval
from .transforms.sparsity import Pattern, hessian_pattern, jacobian_pattern
from .trees import by_variable

if TYPE_CHECKING:
    from scipy.sparse import csr_array

OPERATORS = ("jacobian", "hessian")
LINES, COLUMNS = 20, 40
COLOURED = 1 << 25
"""Entries of a matrix up to which its text says how many products give it, which takes many seconds there."""
SHADES = "·░▒▓█"


@dataclass(frozen=True, eq=False, repr=False)
class Sparsity:
    """Which entries of a matrix of derivatives can be non-zero; made by ``dl.sparsity``.

    Rows are all outputs (for a Hessian all variables), columns all variables, flat, in C order, one leaf behind the
    other.

    Args:
        pattern: row by row.
        operator: "jacobian" or "hessian".
        bound: the call for which it was found.
        structure: containers of the outputs, of a Hessian's rows those of the arguments.
        names: of all arguments that are arrays or floating-point numbers.
        values: of the arguments that are ``looked_at``.

    Example:
        >>> import difflab as dl
        >>> pattern = dl.sparsity(lambda x: np.concatenate([x[:1], x[:-1] + x[1:]]), np.ones(3))
        >>> pattern.nnz, pattern.passes
        (5, 2)
        >>> pattern.matrix.toarray().astype(int)
        array([[1, 0, 0],
               [1, 1, 0],
               [0, 1, 1]])
    """

    pattern: Pattern
    operator: str
    bound: Bound
    structure: Structure | None
    names: tuple[str, ...] = ()
    values: tuple[np.ndarray, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.pattern.shape

    @functools.cached_property
    def nnz(self) -> int:
        """How many entries can be non-zero."""
        return self.pattern.nnz

    @property
    def density(self) -> float:
        """The share of entries that can be non-zero; 0 of a matrix without any."""
        rows, columns = self.shape
        return self.nnz / (rows * columns) if rows and columns else 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """Where more than needed was taken, and why."""
        return self.pattern.notes

    @property
    def looked_at(self) -> tuple[str, ...]:
        """Names of the integer and boolean arguments for whose values alone the pattern holds."""
        return tuple(self.names[position] for position in self.pattern.looked_at)

    @functools.cached_property
    def _csr(self) -> tuple[np.ndarray, np.ndarray]:
        return self.pattern.csr()

    @property
    def matrix(self) -> csr_array:
        """The whole of it as a new boolean ``scipy.sparse.csr_array``."""
        from scipy.sparse import csr_array

        indptr, indices = self._csr
        return csr_array((np.ones(len(indices), bool), indices.copy(), indptr.copy()), shape=self.shape)

    @property
    def blocks(self) -> Any:
        """As ``matrix``, leaf by leaf: containers as of the Jacobian or Hessian, of arrays (out.size, in.size)."""
        matrix, rows = self.matrix, []
        columns = np.cumsum([0, *[aval.size for aval in self.pattern.variables]])
        ends = np.cumsum([0, *[aval.size for aval in self.pattern.outputs]])
        for start, stop in itertools.pairwise(ends):
            band = matrix[start:stop].tocsc()
            parts = [band[:, low:high].tocsr() for low, high in itertools.pairwise(columns)]
            rows.append(by_variable(self.bound, parts))
        return by_variable(self.bound, rows) if self.structure is None else unflatten(self.structure, rows)

    @property
    def _full(self) -> bool:
        """Nothing is known to be zero, so that nothing has to be looked at one by one."""
        return self.nnz == self.shape[0] * self.shape[1]

    @functools.cached_property
    def columns(self) -> int:
        """How many products with the matrix give all of it: directions pushed forward, or products with a Hessian."""
        if self._full:
            return self.shape[1]
        if self.operator == "hessian":
            return compress_symmetric(*self._csr, self.shape[0]).n_columns
        return compress(*self._csr, self.shape, pull=False).n_columns

    @functools.cached_property
    def rows(self) -> int:
        """How many products of row vectors with the matrix give all of it; for a Hessian as many as ``columns``."""
        if self.operator == "hessian":
            return self.columns
        return self.shape[0] if self._full else compress(*self._csr, self.shape, push=False).n_rows

    @functools.cached_property
    def passes(self) -> int:
        """How few products of both kinds together give all of it."""
        if self.operator == "hessian" or self._full:
            return min(self.columns, self.rows)
        both = compress(*self._csr, self.shape)
        return min(self.columns, self.rows, both.n_columns + both.n_rows)

    def __repr__(self) -> str:
        rows, columns = self.shape
        return f"<Sparsity of a {self.operator.capitalize()} of {rows} x {columns}: {self.nnz} entries can be non-zero>"

    def __str__(self) -> str:
        rows, columns = self.shape
        text = (
            f"{self.operator.capitalize()} of {rows} x {columns}: {self.nnz} entries can be non-zero "
            f"({_percent(self.density)})"
        )
        if self.nnz <= COLOURED or self._full:
            text += f"; {_products(self.passes)} instead of {min(rows, columns)}"
        lines = [f"{text}.", *self._picture()]
        lines.extend(f"Taken for dense: {note}." for note in self.notes)
        if self.looked_at:
            lines.append(f"It holds for the given values of {', '.join(self.looked_at)} only.")
        return "\n".join(lines)

    def _picture(self) -> list[str]:
        """One character per entry of a small matrix, per block of a large one: the more non-zeros, the darker."""
        rows, columns = self.shape
        if not rows or not columns:
            return []
        pattern = self.pattern
        height, width = min(rows, LINES), min(columns, COLUMNS)
        tops = np.arange(height + 1) * rows // height
        lefts = np.arange(width + 1) * columns // width
        lines = []
        for top, bottom in itertools.pairwise(tops):
            sets, repeats = np.unique(pattern.rows[top:bottom], return_counts=True)
            each = replace(pattern, rows=sets).csr()[1]
            weights = np.repeat(repeats, np.diff(pattern.indptr)[sets])
            counts = np.bincount(np.searchsorted(lefts, each, "right") - 1, weights, minlength=width)
            shares = counts / ((bottom - top) * np.diff(lefts))
            lines.append("".join(SHADES[level] for level in np.ceil(shares * (len(SHADES) - 1)).astype(int)))
        return lines


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def _products(count: int) -> str:
    return "1 product" if count == 1 else f"{count} products"


def sparsity(function: Callable, *args: Any, argnums: Any = 0, operator: str = "jacobian", **kwargs: Any) -> Sparsity:
    """Which entries of the Jacobian or Hessian can be non-zero, found without computing it.

    Sets of input coordinates are pushed along the traced function (Griewank and Walther, 2008, section 7.1).
    Floating-point values of the arguments are never looked at, so the pattern holds at every point where Python
    takes the branches that it takes here.  Of constants of the function zeros are used: in a product, and in a matrix
    product, 0 times x has derivative 0, also where x has an infinite one (there the dense Jacobian holds NaN).
    Integers and booleans, as in an index array or a mask, are used as they are; ``looked_at`` names them.  An entry
    may be zero all the same: the pattern never leaves one out that is not.

    Args:
        function: plain NumPy function; arguments and outputs may be containers of arrays of any shape.
        args: example arguments; a ``dl.Shape`` may stand for an array, as floating-point data is not needed.
        argnums: position of the argument to differentiate, or a tuple of positions.
        operator: "jacobian", or "hessian" for a function with one real output of shape ().
        kwargs: keyword arguments of the function, never differentiated.

    Returns:
        A ``Sparsity``; printed, it is a small picture.

    Raises:
        InputError, TraceError: in a sentence; also of a function that cannot be traced.

    Example:
        >>> print(sparsity(lambda x: x[1:] * x[:-1], np.ones(5)))
        Jacobian of 4 x 5: 8 entries can be non-zero (40 %); 2 products instead of 4.
        ██···
        ·██··
        ··██·
        ···██
    """
    if not callable(function):
        raise InputError(f"dl.sparsity takes a function, and a {type(function).__name__} was given")
    if operator not in OPERATORS:
        raise InputError(f"operator={operator!r}: dl.sparsity knows {' and '.join(map(repr, OPERATORS))}")
    bound = bind(function, args, kwargs, argnums)
    made, flat = make_source(function, bound, frozen=False)
    tape, names = made.tape, tuple(flat.names)
    call = replace(bound, leaves=[], all_leaves=())  # whose data nobody needs any more
    if operator == "hessian":
        require_scalar(flat.found, function, "hessian")
        pattern = hessian_pattern(tape, bound.wrt, bound.leaves)
        return Sparsity(pattern, operator, call, None, names, _looked_at(pattern, bound.leaves))
    pattern = jacobian_pattern(tape, bound.wrt, bound.leaves)
    return Sparsity(pattern, operator, call, flat.structure, names, _looked_at(pattern, bound.leaves))


def _looked_at(pattern: Pattern, leaves: Sequence[Any]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(to_host(leaves[place])) for place in pattern.looked_at)


def pattern_of(given: Any, outputs: Sequence[Aval], variables: Sequence[Aval]) -> Pattern:
    """A user's own pattern, trusted for what it says.

    Args:
        given: a ``Sparsity``, a sparse matrix or array of SciPy's, whose stored entries count whatever they hold, or
            an array of booleans or numbers, of shape (coordinates of outputs, coordinates of variables).
        outputs: shapes and dtypes.
        variables: likewise.

    Returns:
        The pattern.

    Raises:
        InputError: it has another shape, or is something else.

    Example:
        >>> flat = Aval((2,), np.dtype(float))
        >>> pattern_of(np.eye(2), [flat], [flat]).nnz
        2
    """
    from scipy.sparse import csr_array, issparse

    shape = (sum(aval.size for aval in outputs), sum(aval.size for aval in variables))
    if not isinstance(given, Sparsity) and not issparse(given) and not isinstance(given, np.ndarray):
        raise InputError(
            "sparse= takes True, False, what dl.sparsity gives, a SciPy sparse matrix or a boolean array, and a "
            f"{type(given).__name__} was given"
        )
    if given.shape != shape:
        raise InputError(
            f"the pattern given as sparse= has shape {given.shape}, and the matrix of derivatives has {shape}: one row "
            "per number in the outputs, one column per number in the differentiated arguments"
        )
    if isinstance(given, Sparsity):
        return replace(given.pattern, outputs=tuple(outputs), variables=tuple(variables))
    if isinstance(given, np.ndarray):
        if given.dtype.kind not in "biufc":
            raise InputError(f"the pattern given as sparse= has dtype {given.dtype}; it is one of booleans or numbers")
        found = csr_array(given != 0)
    else:
        found = csr_array(given, copy=True)
        found.sum_duplicates()
    return Pattern(
        shape=shape,
        rows=np.arange(1, shape[0] + 1, dtype=np.int32),
        indptr=np.concatenate([[0], found.indptr]).astype(np.int64),
        indices=found.indices.astype(np.int32),
        outputs=tuple(outputs),
        variables=tuple(variables),
    )


__all__ = ["Sparsity", "pattern_of", "sparsity"]
