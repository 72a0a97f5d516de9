"""The points of first quotients and the values there, chunk by chunk: whole points, or the moved coordinates alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import as_array, copied, namespace
from ..errors import GuardError
from ..execution.chunks import KEPT
from ..execution.parts import Parts, Section
from ..transforms.coordinates import Coordinates, Run, diagonal
from .nearby import Nearby
from .steps import Moves
from .surroundings import Around


class Spread(NamedTuple):
    """Points of some coordinates, level by level, how far they went, and with which weights they count."""

    places: list[np.ndarray]
    distances: list[np.ndarray]
    moves: Moves


class Values(NamedTuple):
    """A chunk: its runs, the outputs at its points (each ``lanes`` rows, point after point), and their stencils."""

    runs: list[Run]
    outputs: list[np.ndarray]
    lanes: int
    stencils: Spread


class Points:
    """Where a function is evaluated for first quotients along all coordinates.

    Args:
        nearby: the function.
        parts: its programs; ``None`` for a black box, which is asked for one point after the other.
        coordinates: of the variables.
        wrt: positions of the variables among the leaves.
        points: along each direction.
    """

    def __init__(self, nearby: Nearby, parts: Parts | None, coordinates: Coordinates, wrt: Sequence[int], points: int):
        self._nearby = nearby
        self._parts = parts
        self._coordinates = coordinates
        self._wrt = tuple(wrt)
        self._points = points
        self._idle: dict[int, list[_Rows]] = {}

    @property
    def notes(self) -> dict[str, Any]:
        """What ``stats`` say of the programs and their chunks."""
        return {} if self._parts is None else self._parts.notes

    def values(self, around: Around, spread: Sequence[Sequence[Spread]]) -> Iterator[Values]:
        """The outputs at all points, chunk by chunk.

        Args:
            around: the point in the middle.
            spread: for every group of coordinates and every unit where its points are.

        Yields:
            ``Values``; use them before the next.
        """
        if self._parts is None:
            yield from self._asked(around, spread)
            return
        for number, section in enumerate(self._parts.sections):
            if section.alone:
                yield from self._alone(around, spread, section)
            else:
                yield from self._whole(around, spread, section, number)

    def _whole(
        self, around: Around, spread: Sequence[Sequence[Spread]], section: Section, number: int
    ) -> Iterator[Values]:
        """Whole points of the variables of a part."""
        wrt = [self._wrt[place] for place in section.part.places]
        origin = around.origin
        if len(wrt) < len(self._wrt):
            origin = section.coordinates.flat([around.leaves[position] for position in wrt])
        try:
            rows = self._idle[number].pop()  # atomic, as threads may share this
        except (KeyError, IndexError):
            rows = _Rows(section, self._points)
        for matrix, x in zip(rows.matrices, origin, strict=True):
            matrix[...] = x
        whole = list(around.leaves)
        for position, array in zip(wrt, rows.moved, strict=True):
            whole[position] = array

        def row(lane: int) -> list[Any]:
            leaves = list(around.leaves)
            for position, array in zip(wrt, rows.moved, strict=True):
                leaves[position] = copied(array[lane, ...])
            return leaves

        for start, stop in section.spans():
            moved = rows.runs(start, stop)
            stencils = [(run, spread[run.group][run.unit]) for run, _ in moved]
            for (_, diagonals), (run, there) in zip(moved, stencils, strict=True):
                for moving, place in zip(diagonals, there.places, strict=True):
                    moving[...] = place[run.coordinates]
            outputs = self._outputs(section, whole, row, stop - start, around)
            yield Values([run for run, _ in moved], outputs, section.lanes, _joined(stencils))
            outputs.clear()  # nothing holds on to them while the next are made
            if stop < section.directions:
                for run, diagonals in moved:
                    for moving in diagonals:
                        moving[...] = around.origin[run.group][run.coordinates]
        if rows.nbytes <= KEPT:
            self._idle.setdefault(number, []).append(rows)

    def _alone(self, around: Around, spread: Sequence[Sequence[Spread]], section: Section) -> Iterator[Values]:
        """The moved coordinates of one variable, and where they are."""
        position = self._wrt[section.part.places[0]]
        leaf = np.asarray(around.leaves[position])
        lanes = section.lanes
        moved = np.empty((self._points, lanes), leaf.dtype)
        for start, stop in section.spans():
            runs = section.runs(start, stop)
            stencils = [(run, spread[run.group][run.unit]) for run in runs]
            for run, there in stencils:
                for coordinates, place in zip(moved, there.places, strict=True):
                    coordinates[run.lanes] = place[run.coordinates]
            at = section.at(start)
            if stop - start < lanes:  # lanes that do not count stay where they are
                moved[:, stop - start :] = leaf.reshape(-1)[at[stop - start :]]
            flat = moved.reshape(-1)

            def row(lane: int, at: np.ndarray = at, flat: np.ndarray = flat) -> list[Any]:
                leaves = list(around.leaves)
                leaves[position] = np.array(leaf)
                leaves[position].reshape(-1)[at[lane % lanes]] = flat[lane]
                return leaves

            inputs = [*around.leaves, flat, *section.indices(start)]
            outputs = self._outputs(section, inputs, row, stop - start, around)
            yield Values(runs, outputs, lanes, _joined(stencils))
            outputs.clear()  # nothing holds on to them while the next are made

    def _asked(self, around: Around, spread: Sequence[Sequence[Spread]]) -> Iterator[Values]:
        """A black box, one direction after the other."""
        for direction in range(self._coordinates.count):
            runs = self._coordinates.runs(direction, direction + 1)
            (run,) = runs
            there = spread[run.group][run.unit]
            origin = [copied(x) for x in around.origin]
            results: list[list[np.ndarray]] = []
            for place in there.places:
                origin[run.group][run.coordinates] = place[run.coordinates]
                leaves = list(around.leaves)
                for position, array in zip(self._wrt, self._coordinates.arrays(origin), strict=True):
                    leaves[position] = copied(array)
                results.append([as_array(output) for output in self._nearby.at(leaves, around.centre.state)])
            outputs = [namespace(*column).stack(column) for column in zip(*results, strict=True)]
            yield Values(runs, outputs, 1, _joined([(run, there)]))

    def _outputs(
        self, section: Section, inputs: list[Any], row: Callable[[int], list[Any]], used: int, around: Around
    ) -> list[np.ndarray]:
        """The outputs of a chunk; where Python would branch otherwise at some of its points, one after the other."""
        try:
            with np.errstate(all="ignore"):
                return section.run(inputs)
        except GuardError:
            return self._nearby.singly(row, section.lanes, self._points, used, around.centre.state)


class _Rows:
    """Matrices with one row per point, point by point for all directions of a chunk, and the arrays in them.

    Args:
        section: of which program.
        points: along each direction.
    """

    def __init__(self, section: Section, points: int):
        self.matrices = section.coordinates.matrices(section.lanes * points)
        self.moved = section.coordinates.arrays(self.matrices)
        self.nbytes = sum(matrix.nbytes for matrix in self.matrices)
        self._section = section
        self._points = points
        self._whole: list[tuple[Run, list[np.ndarray]]] = []

    def runs(self, start: int, stop: int) -> list[tuple[Run, list[np.ndarray]]]:
        """The directions of a chunk as runs, each with the coordinates in the rows of every point that it moves."""
        if self._whole:
            return self._whole
        section = self._section
        found = []
        for own, run in section.placed(section.coordinates.runs(start, stop)):
            matrix = self.matrices[own.group]
            found.append((run, [diagonal(matrix, own, point * section.lanes) for point in range(self._points)]))
        if stop - start == section.directions:  # one chunk holds all directions, so they are always the same
            self._whole = found
        return found


def _joined(parts: Sequence[tuple[Run, Spread]]) -> Spread:
    """What belongs to the lanes of a chunk, run after run; the points are in their places already."""
    run, spread = parts[0]
    xp = namespace(*spread.distances)
    first, distances = spread.moves, [distance[run.coordinates] for distance in spread.distances]
    if len(parts) > 1:
        columns = zip(*[[far[run.coordinates] for far in there.distances] for run, there in parts], strict=True)
        distances = [xp.concatenate(column) for column in columns]
    if first.skew is False:
        return Spread([], distances, first)
    columns = zip(*[[far[run.coordinates] for far in there.moves.weights] for run, there in parts], strict=True)
    weights = tuple([xp.concatenate(column) for column in columns])
    skew = xp.concatenate([there.moves.skew[run.coordinates] for run, there in parts])
    return Spread([], distances, first._replace(weights=weights, skew=skew))
