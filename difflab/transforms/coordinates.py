"""Some arrays as one list of scalar directions: unit tangents, perturbed points and columns, chunk by chunk.

Neighbouring arrays of one dtype form a *group*, whose coordinates stand in one flat vector, and for many lanes in one
matrix with a row per lane; the arrays themselves are views of it.  A chunk of consecutive directions is then a few
*runs* along diagonals of such matrices, and n x n numbers never exist at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import module_of
from ..primitives.record import Aval


class Group(NamedTuple):
    """Coordinates ``0 ... size - 1`` of one dtype; directions ``first ...``, one per unit (1, and perhaps i)."""

    dtype: np.dtype
    first: int
    size: int
    units: int


class Place(NamedTuple):
    """Where an array lies: coordinates ``start`` to ``stop`` of its group."""

    group: int
    start: int
    stop: int
    shape: tuple[int, ...]


class Run(NamedTuple):
    """Lanes ``lane ... lane + length - 1`` go along coordinates ``first ...`` of a group, times 1 or i (``unit``)."""

    group: int
    lane: int
    first: int
    length: int
    unit: int

    @property
    def lanes(self) -> slice:
        """The lanes."""
        return slice(self.lane, self.lane + self.length)

    @property
    def coordinates(self) -> slice:
        """The coordinates."""
        return slice(self.first, self.first + self.length)


class Coordinates:
    """The scalar directions of arrays of given shapes and dtypes.

    Args:
        avals: shapes and dtypes; what is neither floating nor complex has coordinates but no directions.
        imaginary: complex coordinates have a second direction, along i.
        device: where vectors and matrices are made: "cpu" or "gpu".

    Example:
        >>> two = Coordinates([Aval((2,), np.dtype("f8")), Aval((), np.dtype("f8"))])
        >>> two.count, [leaf.tolist() for leaf in two.units(1, 3)]
        (3, [[[0.0, 1.0], [0.0, 0.0]], [0.0, 1.0]])
    """

    def __init__(self, avals: Sequence[Aval], *, imaginary: bool = False, device: str = "cpu"):
        self.xp = module_of(device)
        self.places: list[Place] = []
        self.groups: list[Group] = []
        self.count = 0
        for aval in avals:
            if not self.groups or self.groups[-1].dtype != aval.dtype:
                units = 0 if aval.dtype.kind not in "fc" else 2 if imaginary and aval.dtype.kind == "c" else 1
                self.groups.append(Group(aval.dtype, self.count, 0, units))
            group = self.groups[-1]
            self.places.append(Place(len(self.groups) - 1, group.size, group.size + aval.size, aval.shape))
            self.groups[-1] = group._replace(size=group.size + aval.size)
            self.count += group.units * aval.size

    def runs(self, start: int, stop: int) -> list[Run]:
        """The directions ``start`` to ``stop``, one per lane."""
        found = []
        for position, group in enumerate(self.groups):
            for unit in range(group.units):
                first = group.first + unit * group.size
                low, high = max(start, first), min(stop, first + group.size)
                if low < high:
                    found.append(Run(position, low - start, low - first, high - low, unit))
        return found

    def pieces(self, run: Run) -> Iterator[tuple[int, slice, slice]]:
        """A run cut at the ends of the arrays: (array, its flat coordinates, lanes)."""
        for position, place in enumerate(self.places):
            low, high = max(run.first, place.start), min(run.first + run.length, place.stop)
            if place.group == run.group and low < high:
                lane = run.lane + low - run.first
                yield position, slice(low - place.start, high - place.start), slice(lane, lane + high - low)

    def vectors(self) -> list[np.ndarray]:
        """Zeros, one vector per group."""
        return [self.xp.zeros(group.size, group.dtype) for group in self.groups]

    def matrices(self, lanes: int) -> list[np.ndarray]:
        """Zeros, one matrix per group with a row per lane."""
        return [self.xp.zeros((lanes, group.size), group.dtype) for group in self.groups]

    def flat(self, leaves: Sequence[Any]) -> list[np.ndarray]:
        """The arrays as one new vector per group."""
        parts: list[list[np.ndarray]] = [[] for _ in self.groups]
        for place, leaf in zip(self.places, leaves, strict=True):
            parts[place.group].append(leaf)
        return [self.xp.concatenate(part, axis=None) for part in parts]

    def arrays(self, vectors: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The arrays in vectors or, with a leading axis of lanes, in matrices: views that do not overlap."""
        if vectors and vectors[0].ndim == 1:
            return [vectors[place.group][place.start : place.stop].reshape(place.shape) for place in self.places]
        return [
            vectors[place.group][:, place.start : place.stop].reshape((len(vectors[0]), *place.shape))
            for place in self.places
        ]

    def units(self, start: int, stop: int) -> list[np.ndarray]:
        """The unit tangents of some directions, one array of lanes per array."""
        matrices = self.matrices(stop - start)
        for run in self.runs(start, stop):
            diagonal(matrices[run.group], run)[...] = (1, 1j)[run.unit]
        return self.arrays(matrices)

    def collect(self, vectors: Sequence[np.ndarray], run: Run, slopes: Any) -> None:
        """Write slopes of a scalar, one per lane of the run, into a gradient: df/dRe - i df/dIm."""
        vector = vectors[run.group][run.coordinates]
        if run.unit and slopes.dtype.kind == "c":
            return  # a holomorphic function has said everything along 1
        if run.unit:
            vector -= 1j * slopes
        else:
            vector[...] = slopes.real if vector.dtype.kind == "f" else slopes

    def columns(self, blocks: Sequence[np.ndarray], run: Run, lanes: np.ndarray) -> None:
        """Write lanes, each the tangent of an output, into the columns of its blocks, one block per array."""
        for position, coordinates, rows in self.pieces(run):
            size = self._size(position)
            target = blocks[position].reshape(blocks[position].size // size, size)[:, coordinates]
            _write(target, run.unit, lanes[rows].reshape(target.shape[1], target.shape[0]).T)

    def rows(self, blocks: Sequence[np.ndarray], run: Run, lanes: np.ndarray) -> None:
        """Write lanes, each a cotangent of a variable, into the rows of its blocks, one block per array."""
        for position, coordinates, rows in self.pieces(run):
            size = self._size(position)
            target = blocks[position].reshape(size, blocks[position].size // size)[coordinates]
            _write(target, run.unit, lanes[rows].reshape(target.shape))

    def _size(self, position: int) -> int:
        return self.places[position].stop - self.places[position].start


def _write(target: np.ndarray, unit: int, lanes: np.ndarray) -> None:
    """The part along 1, then that along i of what is read of it and is real."""
    if unit == 0:
        target[...] = lanes
    elif lanes.dtype.kind == "f":
        target -= 1j * lanes


def diagonal(matrix: np.ndarray, run: Run, offset: int = 0) -> np.ndarray:
    """The view of a contiguous matrix that holds, for each lane of a run, the coordinate along which it goes."""
    columns = matrix.shape[1]
    start = (offset + run.lane) * columns + run.first
    return matrix.reshape(-1)[start : start + (run.length - 1) * (columns + 1) + 1 : columns + 1]
