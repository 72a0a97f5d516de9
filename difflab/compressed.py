"""Sparse Jacobians and Hessians: of a known pattern, read off few products with seeds, on any backend.

Columns that share no row go into one product J s, rows that share no column into one product r J (Curtis, Powell and
Reid, 1974); of a Hessian fewer products still are enough, because it is symmetric (Coleman and Moré, 1984).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .arrays import to_host
from .backends import by_shape, find
from .backends.deduced import Deduced
from .backends.many import Products, products_of
from .backends.protocol import MANY, Backend, Source
from .backends.seeded import Seeded
from .backends.substituted import Later, Substituted
from .backends.ways import require_device
from .calls import Bound, describe
from .containers import unflatten
from .errors import ForecastError, GuardError, InputError, UnsupportedError
from .execution.chunks import whole_bytes
from .execution.compression import Compression, compress, compress_symmetric
from .execution.csr_blocks import blocks_of
from .flat import Function
from .nesting import complete, ready
from .primitives.record import Aval
from .structure import Sparsity, pattern_of
from .transforms.sparsity import Pattern, hessian_pattern, jacobian_pattern, symmetric, unstopped
from .trees import by_variable

if TYPE_CHECKING:
    from scipy.sparse import csr_array

PRICES = (1.0, 1.5)
"""What a product J s and a product r J cost by forward and by reverse mode, relative to each other."""
ENTRY = 40
"""Bytes of an entry while the matrix is made: its number, its column, its place among the products (measured)."""
PATTERNS = 8
"""A prepared program keeps its matrices for so many values of the integers on which the pattern depends."""


class Matrix:
    """A sparse Jacobian or Hessian of one program, ready to be computed many times.

    Args:
        backend: what computes; ``None``: products J s by forward mode and r J by reverse mode, whichever are fewer.
        source: the function.
        pattern: which entries there are.
        operator: "jacobian" or "hessian".
        prepared: what the backend prepared before, if it did.
    """

    def __init__(
        self, backend: Backend | None, source: Source, pattern: Pattern, operator: str, prepared: Deduced | None = None
    ):
        began = time.perf_counter()
        self.pattern = pattern
        self._source = source
        self._operator = operator
        _require_room(operator, pattern.shape, f"has {pattern.nnz:,} entries", pattern.nnz * ENTRY, pattern.notes)
        indptr, indices = pattern.csr()
        kinds = Products("jvps", "pullbacks", "hvps") if backend is None else products_of(backend)
        found, because = _compressed(pattern, indptr, indices, operator, kinds, backend)
        self._blocks = blocks_of(pattern, indptr, indices)
        self._seeded = None if found is None else Seeded(pattern, found, operator, source.device)
        self.products = (0, 0) if found is None else (found.n_columns, found.n_rows)
        done = time.perf_counter()
        self._push, self._pull = self._prepared(backend, kinds, prepared)
        main = self._pull or self._push
        assert isinstance(main, Deduced)
        self.main = main
        self.stats: dict[str, Any] = {
            "nonzeros": len(indices),
            "products": self.products,
            "dense_because": pattern.notes,
            "formed_dense": because,
            "colouring_s": done - began,
        }

    def _prepared(
        self, backend: Backend | None, kinds: Products, prepared: Deduced | None
    ) -> tuple[Deduced | Substituted | None, Deduced | None]:
        """What pushes, and what pulls; what forms the whole matrix stands in the place of what pushes."""
        source, operator = self._source, self._operator
        substituted = self._seeded is not None and operator == "jacobian" and kinds.push == "jacobian"
        if prepared is not None and not substituted:
            return prepared, prepared
        if self._seeded is None:
            return ready(backend or by_shape(source.tape, source.wrt), source, operator), None
        if substituted and backend is not None:
            colours = self._seeded.compression.column_colours
            assert colours is not None
            pusher = Substituted(backend, source, colours, self.products[0])
            later = Later(source, lambda: backend.prepare(source, operator, source.example), pusher.stats)
            return pusher, complete(backend, source, later)
        if backend is not None:
            kind = kinds.curve if operator == "hessian" else kinds.push if self.products[0] else kinds.pull
            one = _ready(backend, source, kind or kinds.push or operator)
            return one, one
        push, pull = self.products
        pusher = _ready(find("forward"), source, "jvps") if push or not pull else None
        return pusher, _ready(find("reverse"), source, "pullbacks") if pull else None

    # -------------------------------------------------------------------- numbers

    def filled(self, leaves: Sequence[Any], *, turned: bool = False) -> list[list[csr_array]]:
        """The blocks at a point, transposed or not."""
        seeded = self._seeded
        data = self._dense(leaves) if seeded is None else seeded.entries(leaves, self._push, self._pull)
        return [[(block.turned() if turned else block).filled(data) for block in row] for row in self._blocks]

    def _dense(self, leaves: Sequence[Any]) -> np.ndarray:
        """The entries of the pattern in a matrix that the backend forms as a whole."""
        assert isinstance(self._push, Deduced)
        found = self._push.hessian(leaves) if self._operator == "hessian" else self._push.jacobian(leaves)[1]
        everything = [block for row in self._blocks for block in row]
        data = np.empty(self.stats["nonzeros"], np.result_type(*[block.dtype for block in everything], np.float16))
        for block, dense in zip(everything, [one for row in found for one in row], strict=True):
            rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
            values = to_host(dense).reshape(block.shape)[rows, block.indices]
            data[... if block.take is None else block.take] = values
        return data


def _ready(backend: Backend, source: Source, operator: str) -> Deduced:
    """All operators of a backend that is prepared for an operator, or for one of many directions."""
    if operator not in MANY:
        return ready(backend, source, operator)
    require_device(backend, source.device)
    return complete(backend, source, backend.prepare(source, operator, source.example))


def _compressed(
    pattern: Pattern, indptr: np.ndarray, indices: np.ndarray, operator: str, kinds: Products, backend: Backend | None
) -> tuple[Compression | None, str]:
    """The colours; without them why the matrix is formed as a whole."""
    (m, n), name = pattern.shape, "" if backend is None else f"backend {backend.name!r} "
    if len(indices) == m * n and min(m, n) > 1:
        return None, "no product is saved: every entry can be non-zero"
    if operator == "hessian":
        if kinds.curve is None:
            return None, f"{name}gives no products with a Hessian but through the whole of it"
        if any(variable.dtype.kind == "c" for variable in pattern.variables):  # those are not symmetric
            found = compress(indptr, indices, (n, n), pull=False)
        else:
            found = compress_symmetric(indptr, indices, n)
    else:
        if kinds.push == "jacobian" and any(one.dtype.kind == "c" for one in (*pattern.outputs, *pattern.variables)):
            return None, f"{name}forms Jacobians of functions of few numbers, and here numbers are complex"
        if kinds.push is None and kinds.pull is None:
            return None, f"{name}gives no products with a Jacobian but through the whole of it"
        push, pull = kinds.push is not None, kinds.pull is not None
        if push and pull and _both_complex(pattern):
            push, pull = n <= m, n > m  # they differ where an output is not holomorphic: one of them, as when dense
        found = compress(indptr, indices, (m, n), push=push, pull=pull, price=PRICES)
    if (found.n_columns >= n > 1 and not found.n_rows) or (found.n_rows >= m > 1 and not found.n_columns):
        return None, f"no product is saved: {n if found.n_columns else m} are needed, one for each coordinate"
    what = f"is read off {found.n_columns:,} products J s and {found.n_rows:,} products r J"
    widest = max([aval.dtype.itemsize for aval in (*pattern.outputs, *pattern.variables)])
    _require_room(operator, (m, n), what, (found.n_columns * m + found.n_rows * n) * widest, pattern.notes)
    return found, ""


def _both_complex(pattern: Pattern) -> bool:
    return all(any(one.dtype.kind == "c" for one in avals) for avals in (pattern.outputs, pattern.variables))


def _require_room(operator: str, shape: tuple[int, int], what: str, nbytes: int, notes: Sequence[str]) -> None:
    """Refuse what cannot fit into the memory before any of it is computed."""
    if nbytes > whole_bytes():
        why = f" (it is taken for dense: {'; '.join(notes)})" if notes else ""
        instead = "dl.hvp gives" if operator == "hessian" else "dl.jvp or dl.vjp give"
        raise ForecastError(
            f"the sparse {operator} of {shape[0]:,} x {shape[1]:,} numbers {what}, which need {nbytes / 2**30:,.0f} "
            f"GiB, and this machine has {whole_bytes() / 2**30:.0f} GiB{why}; {instead} its products with vectors "
            "without it"
        )


# ------------------------------------------------------------------------------------ patterns


def found_pattern(
    backend: Backend | None, source: Source, flat: Function, leaves: Sequence[Any], given: Any, operator: str
) -> Pattern:
    """The user's own pattern, or the one that the tape has at these leaves.

    Raises:
        UnsupportedError: a black box has no pattern but its user's.
        InputError: that is of another shape, or none.
    """
    if given is True:
        try:
            tape = source.tape
        except Exception as error:  # whatever a black box does not like about traced arrays
            raise UnsupportedError(
                f"{describe(flat.function)} cannot be traced (dl.sparsity says why), so that the pattern of its "
                f"{operator} is not known; give your own, as in sparse=scipy.sparse.csr_array(...)"
            ) from error
        if backend is not None and "black-box" in backend.capabilities:
            tape = unstopped(tape)  # it sees no rules of differentiation
        return (hessian_pattern if operator == "hessian" else jacobian_pattern)(tape, source.wrt, leaves)
    if isinstance(given, Sparsity):
        _require_same(given, leaves, operator)
    if not flat.found:
        flat.call(leaves)
    variables = [Aval(source.example[i].shape, source.example[i].dtype) for i in source.wrt]
    if operator == "hessian":
        return symmetric(pattern_of(given, variables, variables))
    return pattern_of(given, flat.found, variables)


def _require_same(given: Sparsity, leaves: Sequence[Any], operator: str) -> None:
    """A pattern that was found is that of the same operator and of the same integers.

    Raises:
        InputError: it is another.
    """
    if given.operator != operator:
        raise InputError(f"sparse= of a {operator} was given the pattern of a {given.operator}")
    for place, name, value in zip(given.pattern.looked_at, given.looked_at, given.values, strict=True):
        if not np.array_equal(to_host(leaves[place]), value):
            raise InputError(
                f"the pattern given as sparse= was found for other values of {name}; find it again with dl.sparsity, "
                "or write sparse=True"
            )


def sparse_tree(flat: Function, bound: Bound, blocks: Sequence[Sequence[Any]], operator: str, layout: str) -> Any:
    """Sparse blocks as trees, whose structures are those of the dense ones."""
    if operator == "hessian":
        return by_variable(bound, [by_variable(bound, row) for row in blocks])
    assert flat.structure is not None
    if layout == "numerator":
        return unflatten(flat.structure, [by_variable(bound, row) for row in blocks])
    columns = [[row[i] for row in blocks] for i in range(len(bound.wrt))]
    return by_variable(bound, [unflatten(flat.structure, column) for column in columns])


def refuse_traced(operator: str) -> None:
    """A SciPy array cannot hold what is traced.

    Raises:
        UnsupportedError: always.
    """
    instead = "dl.hvp" if operator == "hessian" else "dl.jvp and dl.vjp"
    raise UnsupportedError(
        f"a sparse {operator} cannot be computed inside another derivative, because a SciPy array cannot be traced; "
        f"take products with {instead} there, or leave out sparse="
    )


def sparse_derivative(
    backend: Backend | None,
    source: Source,
    flat: Function,
    bound: Bound,
    nested: bool,
    given: Any,
    operator: str,
    layout: str = "numerator",
) -> Any:
    """A sparse Jacobian or Hessian at the arguments of one call, as a tree.

    Args:
        backend: what computes, ``None`` for what fits.
        source: the function.
        flat: the same on flat leaves.
        bound: the arguments.
        nested: inside another trace.
        given: ``True``, or the user's own pattern.
        operator: "jacobian" or "hessian".
        layout: "denominator" transposes the blocks of a Jacobian.

    Raises:
        UnsupportedError: inside another trace, or for a black box without a pattern.
    """
    if nested:
        refuse_traced(operator)
    pattern = found_pattern(backend, source, flat, bound.leaves, given, operator)
    matrix = Matrix(backend, source, pattern, operator)
    blocks = matrix.filled(bound.leaves, turned=layout == "denominator")
    if flat.structure is None:
        flat.call(bound.leaves)
    return sparse_tree(flat, bound, blocks, operator, layout)


# ------------------------------------------------------------------------------------ prepared


class Kept(NamedTuple):
    """A matrix, and the integers for which it has its pattern."""

    operator: str
    seen: list[np.ndarray]
    matrix: Matrix

    def fits(self, operator: str, leaves: Sequence[Any]) -> bool:
        """Whether the pattern holds at these leaves."""
        places = self.matrix.pattern.looked_at
        return self.operator == operator and all(
            np.array_equal(to_host(leaves[place]), value) for place, value in zip(places, self.seen, strict=True)
        )


class Matrices:
    """The sparse matrices of a prepared function, one for each program and each pattern.

    Args:
        backend: as the user gave it.
        given: ``True``, or the user's own pattern of ``operator``.
        operator: what was prepared.
    """

    def __init__(self, backend: Backend | None, given: Any, operator: str):
        self._backend = backend
        self._given = given
        self._operator = operator
        self._lock = threading.Lock()
        self._patterns = 0
        self._first: tuple[Matrix, float] | None = None

    def prepared(self, source: Source, flat: Function) -> Deduced:
        """What the backend prepares for a program, whose pattern is found and coloured."""
        kept, seconds = self._made(self._operator, source, flat, source.example, None)
        main = kept.matrix.main
        with self._lock:
            self._first = self._first or (kept.matrix, seconds)
            main.beside["matrices"] = source, flat, [kept]
        return main

    def tree(self, operator: str, prepared: Deduced, flat: Function, bound: Bound, leaves: Sequence[Any]) -> Any:
        """A matrix at a point, in the structures of the outputs and the arguments."""
        return sparse_tree(flat, bound, self._blocks(operator, prepared, leaves), operator, "numerator")

    def _blocks(self, operator: str, prepared: Deduced, leaves: Sequence[Any]) -> list[list[csr_array]]:
        if "matrices" not in prepared.beside:
            refuse_traced(operator)
        source, flat, known = prepared.beside["matrices"]
        for kept in known:
            if kept.fits(operator, leaves):
                return kept.matrix.filled(leaves)
        if source.failure is None and not source.tape.follows(leaves):
            raise GuardError("Python would branch otherwise at these arguments")
        kept, _ = self._made(operator, source, flat, leaves, prepared)
        with self._lock:
            prepared.beside["matrices"] = source, flat, [kept, *prepared.beside["matrices"][2]][:PATTERNS]
        return kept.matrix.filled(leaves)

    def _made(
        self, operator: str, source: Source, flat: Function, leaves: Sequence[Any], prepared: Deduced | None
    ) -> tuple[Kept, float]:
        """A matrix with its pattern at the leaves, and the seconds that took."""
        began = time.perf_counter()
        given = self._given if operator == self._operator else True
        pattern = found_pattern(self._backend, source, flat, leaves, given, operator)
        seconds = time.perf_counter() - began
        other = prepared if operator == self._operator or self._backend is not None else None
        matrix = Matrix(self._backend, source, pattern, operator, other)
        with self._lock:
            self._patterns += 1
        return Kept(operator, [np.array(to_host(leaves[place])) for place in pattern.looked_at], matrix), seconds

    @property
    def stats(self) -> dict[str, Any]:
        """What is known of the first program's matrix, and how many patterns there were."""
        assert self._first is not None
        matrix, seconds = self._first
        calls = matrix.main.stats.get("primal_calls")
        return {
            **({} if calls is None or matrix.products == (0, 0) else {"primal_calls": calls * sum(matrix.products)}),
            **matrix.stats,
            "pattern_s": seconds,
            "patterns": self._patterns,
        }
