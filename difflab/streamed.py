"""A matrix of derivatives, called for by a user, as a stream of rows or columns that stay within a limit of memory."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .arrays import copied
from .backends import by_shape
from .backends.many import one_by_one
from .backends.protocol import Backend, Source, block_bytes
from .backends.streams import KINDS, Products, Stream, lanes_bytes
from .backends.ways import how
from .calls import Bound, describe
from .errors import ForecastError, UnsupportedError
from .execution.amounts import size
from .execution.on_disk import STRIP
from .flat import Function, require_scalar
from .nesting import ready
from .operators import found_outputs, unprepared
from .primitives.complexes import block_dtype
from .tape import Tape

BY = {"rows": "vjp", "columns": "jvp"}
"""The product that gives rows, and the one that gives columns."""
PRODUCTS = {"jacobian": "dl.jvp, dl.vjp or dl.jacobian_operator", "hessian": "dl.hvp or dl.hessian_operator"}
WHOLE = ("jacobian", "hessian")
"""What some backends deduce each product from, so that no product is smaller than the matrix."""
WIDE = 512
"""Numbers of a chunk side by side that fill a page of a file."""
WIDE_BYTES = 1 << 26
"""Bytes that may be taken for them where no limit is given."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of an operator, taken apart."""

    operator: str
    function: Callable
    backend: Backend
    bound: Bound
    made: Source
    flat: Function
    outputs: Sequence[Any]

    @property
    def variables(self) -> list[Any]:
        """Shapes and dtypes of the differentiated leaves."""
        return [self.bound.avals[i] for i in self.bound.wrt]

    @property
    def rows(self) -> Sequence[Any]:
        """Shapes and dtypes of what the rows of the matrix belong to."""
        return self.outputs if self.operator == "jacobian" else self.variables

    @property
    def nbytes(self) -> int:
        """Bytes of all blocks."""
        return block_bytes(self.rows, self.variables)

    @property
    def tape(self) -> Tape | None:
        """The function's tape; a black box does without."""
        try:
            return self.made.tape
        except Exception:
            if "black-box" not in self.backend.capabilities:
                raise
            return None

    @property
    def matrix(self) -> str:
        """What is asked for, in words."""
        height, width = (sum(math.prod(one.shape) for one in side) for side in (self.rows, self.variables))
        return f"the {self.operator} of {describe(self.function)} of {height:,} x {width:,} numbers"

    @property
    def instead(self) -> str:
        """What to do where it does not fit."""
        if self.operator == "hessian":
            return "compress it with sparse=True, or take its products by dl.hvp or dl.hessian_operator"
        return (
            "go through it by dl.jacobian_chunks, compress it with sparse=True, or take its products by "
            "dl.jacobian_operator"
        )


class Streamed(NamedTuple):
    """A matrix as a stream: what is gone through, its products, how many lanes at a time, and whether all have them."""

    stream: Stream
    products: Products
    lanes: int
    padded: bool

    def chunks(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """(first row or column, behind the last, a fresh matrix with a row for each) of every chunk."""
        return self.stream.chunks(self.products, self.lanes, padded=self.padded)


def called(operator: str, function: Callable, args: Any, kwargs: Any, argnums: Any, backend: Backend | None) -> Call:
    """Take a call apart; what is traced is refused."""
    bound, made, flat, nested = unprepared(function, args, kwargs, argnums, backend)
    if nested:
        raise UnsupportedError(
            f"{operator} of {describe(function)} within a limit of memory, in a file or in chunks gives arrays of "
            f"numbers, and its arguments are traced; inside another derivative use dl.{operator} without memory= and "
            "file=, or products with vectors"
        )
    outputs = found_outputs(made, flat, bound, nested)
    if operator == "hessian":
        require_scalar(outputs, function, "hessian")
    return Call(operator, function, backend or by_shape(made.tape, bound.wrt), bound, made, flat, outputs)


def kind_of(call: Call, by: str | None) -> str:
    """The product that a matrix is gone through by."""
    if call.operator == "hessian":
        return "hvp"
    if by is not None:
        return BY[by]
    family, declared = call.backend.family, call.backend.capabilities
    if family == "reverse" or family in ("forward", "finite", "complex-step"):
        return "vjp" if family == "reverse" else "jvp"
    if ("jvp" in declared) != ("vjp" in declared):
        return "jvp" if "jvp" in declared else "vjp"
    few = sum(math.prod(one.shape) for one in call.variables) <= sum(math.prod(one.shape) for one in call.rows)
    return "jvp" if few else "vjp"


def streamed(call: Call, kind: str, limit: int | None, *, beside: int = 0, wide: bool = False) -> Streamed:
    """The stream of a matrix, with as many lanes as a limit of bytes allows.

    Args:
        call: what was called.
        kind: the product that gives a row or column.
        limit: bytes.
        beside: bytes of the result, where it is in memory as well.
        wide: rather more lanes than fit into the cache: each chunk is written all over a file.
    """
    rows = kind == "vjp" or (kind == "hvp" and all(one.dtype.kind == "f" for one in call.variables))
    moved, rest = (call.rows, call.variables) if rows else (call.variables, call.rows)
    stream = Stream(moved, rest, rows=rows, device=call.bound.device)
    leaves, tape, wrt = [copied(leaf) for leaf in call.bound.leaves], call.tape, call.bound.wrt
    most = max(stream.count, 1)
    if KINDS[kind] in call.backend.capabilities and tape is not None:

        def nbytes(lanes: int) -> float:
            return beside + lanes_bytes(tape, wrt, kind, most, lanes)[1] + lanes * stream.lane_bytes

        usual, needed = lanes_bytes(tape, wrt, kind, most, chunk_of(call.backend))
        if limit is not None and beside + needed + usual * stream.lane_bytes > limit:
            usual = largest(nbytes, usual, limit)
        elif wide and usual < min(WIDE, most) and chunk_of(call.backend) == "auto":
            usual = max(usual, largest(nbytes, min(WIDE, most), WIDE_BYTES if limit is None else limit))
        if limit is not None and not usual:
            raise _too_small(call, stream, nbytes(1), limit, beside)
        prepared = ready(with_chunk(call.backend, usual), call.made, KINDS[kind])
        many = {"jvp": prepared.jvps, "vjp": prepared.pullbacks, "hvp": prepared.hvps}[kind]
        return Streamed(stream, lambda seeds: many(leaves, seeds), usual, True)
    if how(call.backend, kind).source in WHOLE:
        raise UnsupportedError(
            f"backend {call.backend.name!r} forms the whole of {call.matrix} for every product, so that it cannot go "
            "through it in chunks; use another backend, or leave out memory= and file="
        )
    once = beside + (call.backend.predict(tape, kind, wrt).nbytes if tape is not None else 0)
    room = STRIP if limit is None else limit - once
    each = stream.lane_bytes + stream.width * stream.dtype.itemsize  # products before they are a chunk
    lanes = min(int(room // max(each, 1)), most)
    if lanes < 1 and limit is not None:
        raise _too_small(call, stream, once + each, limit, beside)
    prepared = ready(call.backend, call.made, kind)
    if kind == "vjp":
        product = prepared.vjp(leaves)[1]
    else:
        product = (lambda v: prepared.jvp(leaves, v)[1]) if kind == "jvp" else (lambda v: prepared.hvp(leaves, v))
    return Streamed(stream, lambda seeds: one_by_one(product, seeds), max(lanes, 1), False)


def _too_small(call: Call, stream: Stream, needed: float, limit: int, beside: int) -> ForecastError:
    what = f"one {'row' if stream.rows else 'column'} at a time{' beside the result' if beside else ''}"
    return ForecastError(
        f"{call.matrix} needs {size(needed)} for {what}, and memory= allows {size(limit)}; allow more, or take "
        f"products with vectors: {PRODUCTS[call.operator]}"
    )


def chunk_of(backend: Any) -> str | int:
    """The chunk that a backend was given, "auto" where it has no such option."""
    return backend.chunk if has_chunk(backend) else "auto"


def with_chunk(backend: Any, chunk: int) -> Backend:
    """The backend with another chunk, itself where it has no such option."""
    return dataclasses.replace(backend, chunk=chunk) if has_chunk(backend) else backend


def has_chunk(backend: Any) -> bool:
    """Whether a backend has the option ``chunk``."""
    return dataclasses.is_dataclass(backend) and any(one.name == "chunk" for one in dataclasses.fields(backend))


def largest(nbytes: Callable[[int], float], most: int, limit: float) -> int:
    """The largest chunk, up to ``most``, whose bytes stay within a limit; 0 where there is none."""
    whole, one = nbytes(most), nbytes(1)
    if whole <= limit or one > limit:
        return most if whole <= limit else 0
    good, bad = 1, most
    guess = 1 + int((limit - one) / (whole - one) * (most - 1))  # bytes grow with the lanes but for what these share
    while bad - good > max(1, good // 8):
        middle = min(max(guess, good + 1), bad - 1)
        good, bad = (middle, bad) if nbytes(middle) <= limit else (good, middle)
        guess = (good + bad) // 2
    return good


class Part(NamedTuple):
    """A part of a block of the numerator layout, as a matrix of ``shape``."""

    row: int
    column: int
    shape: tuple[int, int]
    rows: slice
    columns: slice
    values: np.ndarray


def parts_of(call: Call, found: Streamed) -> Iterator[Part]:
    """What chunks hold of every block."""
    stream = found.stream
    for start, stop, matrix in found.chunks():
        for k, low, high in stream.parts(start, stop):
            here = slice(low - stream.ends[k], high - stream.ends[k])
            length = stream.ends[k + 1] - stream.ends[k]
            for j, (first, last) in enumerate(itertools.pairwise(stream.marks)):
                values = matrix[low - start : high - start, first:last]
                if values.dtype.kind == "c" and not _complex(call, *((k, j) if stream.rows else (j, k))):
                    values = np.real(values)
                if first == last:
                    continue
                if stream.rows:
                    yield Part(k, j, (length, last - first), here, slice(0, last - first), values)
                else:
                    yield Part(j, k, (last - first, length), slice(0, last - first), here, values.T)


def _complex(call: Call, row: int, column: int) -> bool:
    return block_dtype(call.rows[row], call.variables[column]).kind == "c"
