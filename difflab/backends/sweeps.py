"""What backends that go through directions chunk by chunk share: pairs of directions, and bytes of results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import namespace
from ..execution.chunks import KEPT, Chunked, lanes_of, sweep_bytes
from ..execution.footprint import footprint
from ..execution.parts import Part, Section
from ..primitives.complexes import block_dtype
from ..primitives.record import Aval
from ..tape import Tape
from ..transforms.coordinates import Coordinates, Run, diagonal
from ..transforms.second_order import avals_of, needs_both, outputs_of
from ..transforms.spots import INDEX
from .protocol import Work, block_bytes


class Row(NamedTuple):
    """Lanes that share their first direction: coordinate ``at`` of a group, times 1 or i; the second go along a run."""

    group: int
    at: int
    unit: int
    run: Run


class Pairs:
    """Pairs of directions: all rows against all columns, or only those on and above the diagonal.

    Args:
        variables: the arrays whose directions are meant.
        device: where they are.

    Second derivatives of real variables are symmetric and computed once.  Rows of complex ones go along 1 and i
    (df/dRe - i df/dIm); their columns as well where a row belongs to a real variable.
    """

    def __init__(self, variables: Sequence[Any], device: str = "cpu"):
        self.rows = Coordinates(variables, imaginary=True, device=device)
        self.columns = Coordinates(variables, imaginary=needs_both(variables, variables), device=device)
        self.symmetric = all(variable.dtype.kind != "c" for variable in variables)
        across = self.columns.count
        lengths = np.arange(across, 0, -1) if self.symmetric else np.full(self.rows.count, across)
        self._ends = np.concatenate([[0], np.cumsum(lengths)])
        self.count = int(self._ends[-1])

    def between(self, start: int, stop: int) -> list[Row]:
        """The pairs ``start`` to ``stop``, one per lane, row by row."""
        found = []
        row = int(np.searchsorted(self._ends, start, "right")) - 1
        at = start
        while at < stop:
            end = min(stop, int(self._ends[row + 1]))
            first = at - int(self._ends[row]) + (row if self.symmetric else 0)
            (direction,) = self.rows.runs(row, row + 1)
            for run in self.columns.runs(first, first + end - at):
                shifted = run._replace(lane=run.lane + at - start)
                found.append(Row(direction.group, direction.first, direction.unit, shifted))
            at, row = end, row + 1
        return found

    def write(self, blocks: Sequence[Sequence[np.ndarray]], row: Row, values: Any) -> None:
        """Write second derivatives, one per lane, into the blocks of a Hessian, and below the diagonal as well."""
        ((i, here, _),) = self.rows.pieces(Run(row.group, 0, row.at, 1, row.unit))
        for j, there, lanes in self.columns.pieces(row.run):
            sizes = [place.stop - place.start for place in (self.rows.places[i], self.rows.places[j])]
            target = blocks[i][j].reshape(sizes)[here.start, there]
            if row.run.unit and self.rows.groups[row.group].units == 2:
                continue  # a gradient of a complex variable is taken for holomorphic
            if row.unit == row.run.unit == 0:
                target[...] = values[lanes].real if target.dtype.kind == "f" else values[lanes]
            elif values.dtype.kind == "f":
                target -= 1j * values[lanes]
            if self.symmetric:
                blocks[j][i].reshape(sizes[::-1])[there, here.start] = target


def zero_blocks(outputs: Sequence[Any], variables: Sequence[Any], xp: Any = np) -> list[list[np.ndarray]]:
    """Zeros for every output (of a Hessian: every variable) and every variable; ``xp`` is ``numpy`` or ``cupy``."""
    return [[xp.zeros((*o.shape, *v.shape), block_dtype(o, v)) for v in variables] for o in outputs]


def result_bytes(tape: Tape, operator: str, wrt: Sequence[int]) -> int:
    """Bytes of an operator's results, known before anything is computed."""
    variables, outputs = avals_of(tape, wrt), outputs_of(tape)
    values = sum(output.nbytes for output in outputs)
    if operator == "jvp":
        return 2 * values
    if operator == "jacobian":
        return values + block_bytes(outputs, variables)
    if operator == "hessian":
        return block_bytes(variables, variables)
    return sum(variable.nbytes for variable in variables) + values


AROUND = 24.0
"""NumPy calls of a quotient besides the function's: the steps before, the differences after (measured)."""
DIRECTING = 4.0
"""NumPy calls that point a chunk into its directions: views of diagonals, written and cleared (measured)."""


def sweep_work(
    whole: Tape,
    flags: Sequence[bool],
    variables: Sequence[Any],
    directions: int,
    points: int = 1,
    calls: float = 2.0,
    width: int = 1,
) -> Work:
    """What going through all directions runs, for a forecast of its time.

    Args:
        whole: batched for one chunk.
        flags: per input, whether it carries lanes.
        variables: shapes and dtypes of what is moved.
        directions: how many there are in all.
        points: lanes per direction.
        calls: NumPy calls beside those of the program for every chunk, where one chunk holds all directions.
        width: how many times wider than the variables their moved copies are.

    Returns:
        A ``Work``; the rows of a chunk are filled once a call.
    """
    lanes = lanes_of(whole, flags, points)
    chunks = max(1, -(-directions // lanes))
    rows = lanes * points * width * sum(variable.nbytes for variable in variables)
    return Work(whole, chunks, calls + (DIRECTING * points if chunks > 1 else 0.0), rows / chunks, batched=True)


def part_work(part: Part, variables: Sequence[Any], points: int = 1, calls: float = 2.0) -> Work:
    """What a part of a sweep runs, as ``sweep_work`` says; an array that moves alone has no whole points."""
    moved: Sequence[Any] = [variables[place] for place in part.places]
    if part.axes is not None:
        moved = [Aval((), moved[0].dtype), *[Aval((), INDEX)] * len(part.axes)]
    return sweep_work(part.tape, part.flags, moved, part.directions, points, calls)


def parts_bytes(parts: Sequence[Part], points: int = 1, *, extra: tuple[float, float] = (0.0, 1.0)) -> int:
    """Bytes that the parts of a sweep take, one after the other: what a program has it keeps for the next call."""
    before = most = 0
    for part in parts:
        kept = part.index_bytes(points)
        kept = kept if kept <= KEPT else 0
        most = max(most, before + kept + sweep_bytes(part.tape, part.flags, part.directions, points, extra=extra))
        found = footprint(part.tape)
        before += kept + found.held + found.buffers
    return most


def along(tangents: Sequence[Any], cotangents: Sequence[Any]) -> np.ndarray:
    """Re<cotangent, tangent> for every lane."""
    xp, total = namespace(*tangents), None
    for tangent, cotangent in zip(tangents, cotangents, strict=True):
        if tangent.dtype.kind in "fc":
            part = xp.tensordot(tangent, cotangent, cotangent.ndim).real
            total = part if total is None else total + part
    return xp.zeros(len(tangents[0])) if total is None else xp.broadcast_to(total, (len(tangents[0]),))


def unit_chunks(coordinates: Coordinates, sweep: Chunked | Section) -> Iterator[tuple[list[Run], list[np.ndarray]]]:
    """(runs, unit vectors) of every chunk; the vectors are reused, so use them before the next.

    Where one chunk holds all directions, they are made once and kept with the program.
    """
    if sweep.lanes == coordinates.count and sum(group.size for group in coordinates.groups) * sweep.lanes * 16 <= KEPT:
        if not sweep.kept:
            sweep.kept.append((coordinates.runs(0, sweep.lanes), coordinates.units(0, sweep.lanes)))
        yield sweep.kept[0]
        return
    matrices = coordinates.matrices(sweep.lanes)
    seeds = coordinates.arrays(matrices)
    for start, stop in sweep.spans():
        runs = coordinates.runs(start, stop)
        for run in runs:
            diagonal(matrices[run.group], run)[...] = 1j if run.unit else 1
        yield runs, seeds
        for run in runs:
            diagonal(matrices[run.group], run)[...] = 0


def unit_moves(section: Section, start: int, stop: int) -> tuple[list[Run], list[np.ndarray]]:
    """The runs of a chunk in which one array moves alone, and its seeds: 1 or i per lane, and the place of each."""
    runs = section.coordinates.runs(start, stop)
    dtype = section.coordinates.groups[0].dtype
    ones = np.ones(section.lanes, dtype)
    for run in runs:
        if run.unit:
            ones[run.lanes] = 1j
    return [run for _, run in section.placed(runs)], [ones, *section.indices(start)]


def shown(kind: str, chunk: str | int, **options: Any) -> str:
    """A backend as one writes it; that its chunk is the usual one goes without saying."""
    options = options if chunk == "auto" else {**options, "chunk": chunk}
    return f"{kind}({', '.join(f'{name}={value!r}' for name, value in options.items())})"
