"""Jacobians and Hessians within a limit of memory, written to disk, or as a stream of chunks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .arrays import module_of
from .backends import resolve
from .backends.protocol import Backend
from .backends.sweeps import zero_blocks
from .backends.ways import require
from .containers import paths, unflatten
from .errors import ForecastError, InputError, UnsupportedError
from .execution.amounts import limit_of, size
from .execution.on_disk import Block, BlockFiles, checked
from .nesting import ready
from .operators import require_argnums
from .primitives.complexes import block_dtype
from .streamed import BY, Call, Streamed, called, has_chunk, kind_of, largest, parts_of, streamed, with_chunk
from .trees import by_variable, hessian_tree, jacobian_tree

MOST = 64
"""Where the usual chunk is too large, at most so many directions at a time."""


class JacobianChunk(NamedTuple):
    """Some rows or columns of a Jacobian as a matrix.

    Args:
        rows: which rows ``block`` holds: coordinates of all outputs, one leaf behind the other, each in C order.
        columns: which columns: coordinates of all differentiated leaves, likewise.
        block: a fresh matrix of shape (rows, columns).

    Example:
        >>> next(jacobian_chunks(lambda x: 3.0 * x)(np.array([1.0])))
        JacobianChunk(rows=slice(0, 1, None), columns=slice(0, 1, None), block=array([[3.]]))
    """

    rows: slice
    columns: slice
    block: np.ndarray


def within(
    operator: str, function: Callable, argnums: Any, backend: Backend | None, memory: Any, file: Any,
    layout: str = "numerator",
) -> Callable[..., Any]:  # fmt: skip
    """A Jacobian or Hessian within a limit of memory, in memory or in a file: what ``memory=`` and ``file=`` ask for.

    Args:
        operator: "jacobian" or "hessian".
        function: the user's.
        argnums: position or positions to differentiate.
        backend: chosen by shape where ``None``.
        memory: at most so many bytes of arrays, as bytes or as a text; ``None``: what the usual chunk takes, or 64 MiB
            where that lets more of a file be written at once.
        file: path of a new ``.npy``, or of a new folder; ``None``: the result is in memory.
        layout: of a Jacobian.

    Returns:
        A function of the same arguments.
    """
    limit = limit_of("memory", memory)

    def run(*args: Any, **kwargs: Any) -> Any:
        call = called(operator, function, args, kwargs, argnums, backend)
        if file is not None:
            return _filed(call, limit, file, layout)
        assert limit is not None
        blocks = _blocks(call, limit, turned=layout != "numerator")
        if operator == "hessian":
            return hessian_tree(call.bound, blocks)
        return jacobian_tree(call.flat, call.bound, call.outputs, blocks, layout)

    return run


def jacobian_chunks(
    function: Callable,
    argnums: Any = 0,
    backend: str | Backend | None = None,
    *,
    memory: str | int = "64 MB",
    by: str | None = None,
) -> Callable[..., Iterator[JacobianChunk]]:
    """A Jacobian in chunks of rows or columns, for sums over them: the whole is never there.

    Args:
        function: plain NumPy function; arguments and outputs may be containers of arrays of any shape.
        argnums: position of the argument to differentiate, or a tuple of positions.
        backend: a name or a backend value; ``None``: "reverse" for rows and "forward" for columns.
        memory: at most so many bytes of arrays at a time, the chunk included: bytes, or a text such as "200 MB".
        by: "rows", "columns", or ``None`` for what the backend is good at, without one for what takes fewer passes.

    Returns:
        A function of the same arguments that returns an iterator of ``JacobianChunk(rows, columns, block)``.  Rows
        count the coordinates of all outputs, one leaf behind the other, each in C order, columns those of all
        differentiated leaves.  ``block`` is a fresh matrix in the dtype of the variables, complex where an output is.

    Raises:
        InputError, TraceError, UnsupportedError: when it is called, in a sentence.
        ForecastError: not even one row or column is forecast to fit.

    Example:
        >>> x = np.array([1.0, 2.0, 3.0])
        >>> chunks = jacobian_chunks(lambda x: x[1:] * x[:-1], by="rows")(x)
        >>> sum(chunk.block.T @ chunk.block for chunk in chunks)  # J^T J
        array([[ 4.,  2.,  0.],
               [ 2., 10.,  6.],
               [ 0.,  6.,  4.]])
    """
    if by is not None and by not in BY:
        raise InputError(f"by={by!r}: a Jacobian is gone through by 'rows' or by 'columns'")
    limit = limit_of("memory", memory)
    if backend is None and by is not None:
        backend = {"rows": "reverse", "columns": "forward"}[by]
    chosen = None if backend is None else resolve(backend)
    if chosen is not None:
        require(chosen, "jacobian")
    require_argnums(argnums, function, "jacobian_chunks")

    def run(*args: Any, **kwargs: Any) -> Iterator[JacobianChunk]:
        call = called("jacobian", function, args, kwargs, argnums, chosen)
        return _chunks(streamed(call, kind_of(call, by), limit))

    return run


def _chunks(found: Streamed) -> Iterator[JacobianChunk]:
    everything = slice(0, found.stream.width)
    for start, stop, block in found.chunks():
        if found.stream.rows:
            yield JacobianChunk(slice(start, stop), everything, block)
        else:
            yield JacobianChunk(everything, slice(start, stop), block.T)


def _blocks(call: Call, limit: int, *, turned: bool) -> Sequence[Sequence[Any]]:
    """The blocks of a matrix, made in chunks that leave them room; ``turned``: each will be copied once more."""
    result = call.nbytes * (2 if turned else 1)
    if result > limit:
        raise ForecastError(
            f"{call.matrix} takes {size(call.nbytes)}{', as does a copy of it,' if turned else ''} and memory= allows "
            f"{size(limit)}; write it to disk with file=, {call.instead}"
        )
    chosen = call.backend if call.tape is None else _fitting(call, limit, result - call.nbytes)
    if chosen is not None:
        prepared, leaves = ready(chosen, call.made, call.operator), call.bound.leaves
        return prepared.jacobian(leaves)[1] if call.operator == "jacobian" else prepared.hessian(leaves)
    found = streamed(call, kind_of(call, None), limit, beside=result)
    blocks = zero_blocks(call.rows, call.variables, module_of(call.bound.device))
    for part in parts_of(call, found):
        matrix = blocks[part.row][part.column].reshape(part.shape)
        matrix[part.rows, part.columns] = part.values
    return blocks


def _fitting(call: Call, limit: int, copies: int) -> Backend | None:
    """The backend with a chunk for which the whole is forecast to fit; ``None``: one row after the other, if at all."""
    backend, tape, wrt = call.backend, call.made.tape, call.bound.wrt

    def nbytes(chunk: int) -> float:
        return copies + with_chunk(backend, chunk).predict(tape, call.operator, wrt).nbytes

    if copies + backend.predict(tape, call.operator, wrt).nbytes <= limit:
        return backend
    if not has_chunk(backend):
        return None
    chunk = largest(nbytes, MOST, limit)
    if not chunk:
        raise ForecastError(
            f"{call.matrix} takes {size(nbytes(1))} with the arrays of one direction at a time, and memory= allows "
            f"{size(limit)}; allow more, write it to disk with file=, {call.instead}"
        )
    return with_chunk(backend, chunk)


def _filed(call: Call, limit: int | None, file: Any, layout: str) -> Any:
    """The matrix on disk, as a tree of read-only memory maps."""
    if call.bound.device != "cpu":
        raise UnsupportedError(
            f"{call.matrix} is on a GPU and cannot be written to file=; fetch the arguments with .get()"
        )
    variables, numerator = call.variables, layout == "numerator"
    names = _names(call, numerator)
    blocks = [
        Block(names[i][j], (*row.shape, *one.shape) if numerator else (*one.shape, *row.shape), block_dtype(row, one),
              len(row.shape) if numerator else len(one.shape))
        for i, row in enumerate(call.rows) for j, one in enumerate(variables)
    ]  # fmt: skip
    checked(file, single=len(blocks) == 1)  # before anything is computed
    kind = kind_of(call, None)
    found = streamed(call, kind, limit, wide=(kind == "vjp") != numerator and kind != "hvp")
    files = BlockFiles(file, blocks)
    try:
        for part in parts_of(call, found):
            number = part.row * len(variables) + part.column
            if numerator:
                files.write(number, part.rows, part.columns, part.values)
            else:
                files.write(number, part.columns, part.rows, part.values.T)
        maps = iter(files.finish())
    except BaseException:
        files.discard()
        raise
    table = [[next(maps) for _ in variables] for _ in call.rows]
    if call.operator == "hessian":
        return by_variable(call.bound, [by_variable(call.bound, row) for row in table])
    assert call.flat.structure is not None
    if numerator:
        return unflatten(call.flat.structure, [by_variable(call.bound, row) for row in table])
    turned = [unflatten(call.flat.structure, [row[j] for row in table]) for j in range(len(variables))]
    return by_variable(call.bound, turned)


def _names(call: Call, numerator: bool) -> list[list[str]]:
    """The names of the files of all blocks, from where their leaves lie: "loss-by-w1", "w1-by-b[0]"."""
    inner = call.bound.places
    if call.operator == "hessian":
        outer = inner
    else:
        assert call.flat.structure is not None
        outer = paths(call.flat.structure, "")
    table, taken = [], set()
    for row in outer:
        table.append([])
        for column in inner:
            pair = [_plain(row), _plain(column)]
            name = "-by-".join(pair if numerator else pair[::-1])
            number = 1
            while name.casefold() in taken:  # two leaves may differ in what a name cannot show
                number += 1
                name = f"{'-by-'.join(pair if numerator else pair[::-1])}-{number}"
            taken.add(name.casefold())
            table[-1].append(name)
    return table


def _plain(place: str) -> str:
    """A place such as ``['w1'][0]`` in letters, digits and dots."""
    return re.sub(r"[^\w]+", ".", place).strip(".") or "all"
