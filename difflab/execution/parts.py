"""Which directions go through which program: all of them through one, or those of large arrays through their own.

On a GPU one program takes all: what a forecast of NumPy's calls prefers says nothing there.

In a program of its own an array is moved one coordinate at a time, and what that does not reach is computed once for
all lanes (``transforms.batch_moves``); the other arrays share a program of whole lanes.  A forecast decides: a call of
NumPy takes ``CALL``, and each program has to be started for each of its chunks.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ..primitives.record import Aval
from ..tape import Tape
from ..transforms.batch import batch_moves
from ..transforms.coordinates import Coordinates, Run
from ..transforms.simplify import simplify
from ..transforms.spots import INDEX
from .cache import Runner, structure
from .chunks import KEPT, TRIAL, chunked, lane_bytes, lanes_of, lanes_per_chunk
from .plan import Passed

CALL = 0.8e-6
"""Seconds to start a call of NumPy."""
START = 15e-6
"""Seconds around every chunk besides its program: its points or seeds, and what is made of its results (measured)."""
ELEMENT = 0.4e-9
"""Seconds to read and write an element."""
OPERATION = 0.4e-9
"""Seconds of an operation on an element; of one in a product of matrices a tenth."""
STACKED = 0.15e-6
"""Seconds to start one product of a stack."""
MOST = 6
"""Arrays that may have programs of their own: each takes its time to compile."""


class Function(NamedTuple):
    """What is swept: ``lane`` gives the tape of one lane in which the given ones of the variables move.

    ``tangents``: that tape has their tangents as its last inputs; otherwise the variables themselves, at ``wrt``, move.
    ``single``: outputs that are the same for all lanes.
    """

    lane: Callable[[Tape, tuple[int, ...]], Tape]
    wrt: tuple[int, ...]
    tangents: bool
    single: tuple[int, ...] = ()


class Part(NamedTuple):
    """Directions that go through one program.

    ``places`` are positions among the variables; ``tape`` is batched for a chunk of ``lanes`` directions; ``flags``
    which of its inputs carry lanes; ``axes`` is ``None`` for whole lanes, otherwise as in ``Moving``.
    """

    places: tuple[int, ...]
    tape: Tape
    flags: tuple[bool, ...]
    directions: int
    lanes: int
    axes: tuple[tuple[int, ...], ...] | None

    @property
    def chunks(self) -> int:
        """How often the program runs."""
        return -(-self.directions // self.lanes)

    def index_bytes(self, points: int) -> int:
        """Bytes of what says where all lanes of all chunks move."""
        return len(self.axes or ()) * self.chunks * self.lanes * points * INDEX.itemsize

    @property
    def seconds(self) -> float:
        """A rough time of all chunks."""
        return self.chunks * (START + seconds_of(self.tape))


def seconds_of(tape: Tape) -> float:
    """A rough time of one run of a tape."""
    total = 0.0
    for equation in tape.equations:
        primitive, out = equation.primitive, tape.avals[equation.output]
        if primitive.view:
            continue
        avals = [tape.avals[number] for number in equation.inputs]
        each = OPERATION
        if primitive.name == "matmul":
            each *= 0.1
            total += STACKED * math.prod(out.shape[:-2])
        total += CALL + ELEMENT * out.size + each * primitive.flops(avals, out, **equation.params)
    return total


def parts_of(
    tape: Tape,
    function: Function,
    variables: Sequence[Aval],
    chunk: str | int = "auto",
    points: int = 1,
    device: str = "cpu",
) -> list[Part]:
    """The parts of a sweep along all directions of some variables.

    Args:
        tape: the recorded function.
        function: what is swept.
        variables: shapes and dtypes of what is moved.
        chunk: "auto", or how many directions to run at once, then in one part.
        points: lanes per direction.
        device: "cpu", or "gpu" for one part.

    Returns:
        At least one part; together they have all directions.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> x, w = np.ones((8, 50)), np.ones((50, 50))
        >>> tape = trace_leaves(lambda leaves: [np.sum(np.tanh(x @ leaves[0]))], [w])
        >>> function = Function(lambda recorded, places: recorded, (0,), False)
        >>> [(part.directions, part.lanes, part.axes) for part in parts_of(tape, function, [Aval(w.shape, w.dtype)])]
        [(2500, 500, ((1,), (0,)))]
    """
    everything = tuple(range(len(variables)))
    whole = _whole(tape, function, variables, everything, chunk, points, device)
    if chunk != "auto" or device == "gpu" or not whole.directions:
        return [whole]
    counts = [Coordinates([variable], imaginary=True).count for variable in variables]
    each = whole.seconds / whole.directions
    own: list[Part] = []
    for place in sorted(everything, key=lambda one: -counts[one])[:MOST]:
        if counts[place] * each > START + CALL * len(tape):
            part = _own(tape, function, variables, place, points)
            if part.seconds < counts[place] * each:
                own.append(part)
    if not own:
        return [whole]
    taken = {part.places[0] for part in own}
    rest = tuple(place for place in everything if place not in taken and counts[place])
    others = [_whole(tape, function, variables, rest, chunk, points)] if rest else []
    parts = [*own, *others]
    return parts if sum(part.seconds for part in parts) < whole.seconds else [whole]


def _whole(
    tape: Tape,
    function: Function,
    variables: Sequence[Aval],
    places: tuple[int, ...],
    chunk: str | int,
    points: int,
    device: str = "cpu",
) -> Part:
    """Whole lanes of some of the variables."""
    lane = function.lane(tape, places)
    if function.tangents:
        flags = (*[False] * (len(lane.inputs) - len(places)), *[True] * len(places))
    else:
        moved = {function.wrt[place] for place in places}
        flags = tuple(position in moved for position in range(len(lane.inputs)))
    directions = Coordinates([variables[place] for place in places], imaginary=True).count
    made = chunked(lane, flags, directions, chunk, points=points, single=function.single, device=device)
    return Part(places, made, flags, directions, lanes_of(made, flags, points), None)


def _own(tape: Tape, function: Function, variables: Sequence[Aval], place: int, points: int) -> Part:
    """One variable, moved one coordinate at a time."""
    lane = simplify(function.lane(tape, (place,)))
    position = len(lane.inputs) - 1 if function.tangents else function.wrt[place]
    directions = Coordinates([variables[place]], imaginary=True).count

    def made(lanes: int) -> tuple[Tape, tuple[tuple[int, ...], ...]]:
        moving = batch_moves(lane, position, lanes * points, tangent=function.tangents, single=function.single)
        return simplify(moving.tape), moving.axes

    trial = min(directions, TRIAL)
    batched, axes = made(trial)
    fixed = len(batched.inputs) - 1 - len(axes)
    flags = (*[False] * fixed, *[True] * (1 + len(axes)))
    lanes = lanes_per_chunk(lane_bytes(batched, flags, trial), directions)
    if lanes != trial:
        batched, axes = made(lanes)
    return Part((place,), batched, flags, directions, lanes, axes)


@functools.lru_cache(maxsize=128)
def _known(key: tuple) -> list[list[Part]]:
    """A place for the parts of a structure, once they are known."""
    return []


class Section:
    """A part that is compiled: its program, and its chunks as directions of all variables.

    Args:
        part: what it runs.
        run: its program.
        variables: shapes and dtypes of all variables.
        points: lanes per direction.
        device: where it runs.
    """

    def __init__(
        self,
        part: Part,
        run: Callable[[Sequence[Any]], list[Any]],
        variables: Sequence[Aval],
        points: int,
        device: str = "cpu",
    ):
        self.part = part
        self.run = run
        self.alone = part.axes is not None
        self.directions = part.directions
        self.lanes = part.lanes
        self.points = points
        self.coordinates = Coordinates([variables[place] for place in part.places], imaginary=True, device=device)
        self.kept: list[Any] = []  # what a backend keeps for the next call
        self._everything = len(part.places) == len(variables)
        self._places = [Coordinates(variables, imaginary=True).places[place] for place in part.places]
        self._shape = variables[part.places[0]].shape if self.alone else ()
        self._kept_tables: list[np.ndarray] = []

    def spans(self) -> Iterator[tuple[int, int]]:
        """The first direction of every chunk, and the one behind its last."""
        for start in range(0, self.directions, self.lanes):
            yield start, min(start + self.lanes, self.directions)

    def placed(self, runs: Sequence[Run]) -> list[tuple[Run, Run]]:
        """Runs among the coordinates of the part, cut so that each is one among those of all variables as well."""
        if self._everything:
            return [(run, run) for run in runs]
        found = []
        for run in runs:
            for position, here, lanes in self.coordinates.pieces(run):
                own, place = self.coordinates.places[position], self._places[position]
                length = here.stop - here.start
                local = Run(run.group, lanes.start, own.start + here.start, length, run.unit)
                found.append((local, Run(place.group, lanes.start, place.start + here.start, length, run.unit)))
        return found

    def runs(self, start: int, stop: int) -> list[Run]:
        """The directions of a chunk as runs among the coordinates of all variables."""
        return [run for _, run in self.placed(self.coordinates.runs(start, stop))]

    def at(self, start: int, chunks: int = 1) -> np.ndarray:
        """The coordinates of all lanes of chunks in which one array moves alone; behind the last come the first."""
        return np.arange(start, start + chunks * self.lanes) % max(math.prod(self._shape), 1)

    def indices(self, start: int) -> list[np.ndarray]:
        """Where the lanes of such a chunk move along the axes that the program asks for, point after point."""
        if not self.part.axes:
            return []
        if self.part.index_bytes(self.points) > KEPT:
            return [table[0] for table in self._tables(start, 1)]
        if not self._kept_tables:
            self._kept_tables[:] = self._tables(0, self.part.chunks)
        return [table[start // self.lanes] for table in self._kept_tables]

    def _tables(self, start: int, chunks: int) -> list[np.ndarray]:
        """For each entry of ``axes`` a row of indices per chunk."""
        at = np.unravel_index(self.at(start, chunks), self._shape)
        tables = []
        for axes in self.part.axes or ():
            places = np.ravel_multi_index([at[axis] for axis in axes], [self._shape[axis] for axis in axes])
            rows = np.broadcast_to(places.reshape(chunks, 1, self.lanes), (chunks, self.points, self.lanes))
            tables.append(rows.reshape(chunks, self.points * self.lanes))
        return tables


class Parts:
    """The compiled programs of a sweep.

    Args:
        tape: the recorded function.
        function: what is swept.
        key: names it.
        variables: shapes and dtypes of what is moved.
        chunk: "auto", or how many directions to run at once.
        points: lanes per direction.
        frozen: bake the constants in.
        device: "cpu" or "gpu".
    """

    def __init__(
        self,
        tape: Tape,
        function: Function,
        key: tuple,
        variables: Sequence[Aval],
        chunk: str | int,
        *,
        points: int = 1,
        frozen: bool,
        device: str = "cpu",
    ):
        if frozen:
            parts = parts_of(tape, function, variables, chunk, points, device)
        else:  # an unprepared call plans what it has not planned before
            known = _known((*key, chunk, points, device, structure(tape)))
            if not known:
                bare = replace(tape, constants={n: Passed(position) for position, n in enumerate(tape.constants)})
                known[:] = [parts_of(bare, function, variables, chunk, points, device)]
            parts = known[0]
        tapes = tuple([part.tape for part in parts])
        runner = Runner(tape, lambda recorded: tapes, ("parts", *key, chunk, points), frozen=frozen, device=device)
        runs = [runner.direct(), *[functools.partial(runner.run, which=which) for which in range(1, len(parts))]]
        self.sections = [Section(part, run, variables, points, device) for part, run in zip(parts, runs, strict=True)]
        self.directions = sum(part.directions for part in parts)
        self.notes: dict[str, Any] = {
            "chunk": max(part.lanes for part in parts),
            "chunks": sum(part.chunks for part in parts),
            "programs": len(parts),
            "alone": [part.places[0] for part in parts if part.axes is not None],
        }
        if device == "gpu":
            self.notes["programs_because"] = "a GPU takes all directions in one program"
        self.stats = {**runner.stats, **self.notes}
