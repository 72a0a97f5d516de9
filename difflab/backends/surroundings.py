"""What finite differences know around a point before they look: its value, the noise, and how to move from it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import as_array, copied, namespace, placed, to_host
from ..primitives.complexes import real_dtype
from ..primitives.record import Aval
from ..transforms.coordinates import Coordinates
from .limits import Limits, smallest
from .nearby import Centre, Nearby
from .noise import POINTS, SEEN, SPACINGS, direction, largest
from .protocol import Source
from .richardson import extrapolate, halved
from .steps import (
    FINEST,
    Moves,
    bands,
    fitted,
    ladder,
    moves_by,
    moves_by_each,
    moves_for,
    moves_within,
    spacing,
    step_for,
)

NOISE_CALLS = len(SPACINGS) * (POINTS - 1)
"""Evaluations that an estimate of the noise costs: one end of every line is the point itself."""


@functools.cache
def unit_roundoff(dtype: np.dtype) -> float:
    """The spacing of the dtype at 1; 0 of what is not floating."""
    return float(np.finfo(dtype).eps) if dtype.kind in "fc" else 0.0


class Around(NamedTuple):
    """A point, and how to move from it: ``moves[group][unit]``, each with a step per level, ``scales`` of the first.

    ``noise`` holds the level of every element of every output where errors are estimated, ``relative`` the largest
    relative to the outputs; ``rooms`` is what bounds leave of each group.
    """

    leaves: Sequence[Any]
    centre: Centre
    origin: list[Any]
    moves: list[tuple[Moves, ...]]
    scales: tuple[float, ...]
    noise: list[Any]
    relative: float
    rooms: list[tuple[Any, Any]] | None
    derivative: int


class Surroundings:
    """Points around a point, for the options of a backend.

    Args:
        backend: has ``plan``, ``step``, ``bounds``, ``noise`` and ``chunk``.
        source: the function.
        variables: shapes and dtypes of what is moved.
    """

    def __init__(self, backend: Any, source: Source, variables: Sequence[Aval]):
        self.plan = backend.plan
        self.device = source.device
        self.coordinates = Coordinates(variables, imaginary=True, device=source.device)
        self.nearby = Nearby(source, backend.chunk, self.coordinates)
        self.limits: Limits | None = None
        if backend.bounds is not None:
            names = [source.names[i] if source.names else f"argument {i}" for i in source.wrt]
            places = None if source.places is None else source.places()
            self.limits = Limits(backend.bounds, variables, names, places, source.device)
        self._ladders: dict[tuple[np.dtype, float, int], tuple[float, tuple[float, ...]]] = {}
        self._step = backend.step
        self._noise = backend.noise
        self._wrt = source.wrt
        self._coarsest = max((unit_roundoff(variable.dtype) for variable in variables), default=0.0)

    def around(self, leaves: Sequence[Any], derivative: int = 1, *, moves: bool = True) -> Around:
        """The point, evaluated, with the steps for quotients of that order; the moves of each coordinate if asked."""
        centre = self.nearby.centre(leaves)
        moves = moves or self.limits is not None  # every coordinate has to stay within its bounds
        flat = moves or self._noise == "estimate"
        origin: list[Any] = self.coordinates.flat([leaves[i] for i in self._wrt]) if flat else []
        rooms = None if self.limits is None else self.limits.room(origin, 1 / derivative)
        noise, relative = self._levels(leaves, centre, origin)
        each: list[tuple[Moves, ...]] = []
        scales: tuple[float, ...] = ()
        for group, kind in enumerate(self.coordinates.groups):
            unit, scales = self._ladder(kind.dtype, relative, derivative)
            if kind.dtype.kind not in "fc" or not moves:
                each.append(())
                continue
            x = origin[group]
            if rooms is not None and self.limits is not None:
                tell = functools.partial(self.limits.no_room, group, self.plan.order + 1)
                each.append((moves_within(x, self.plan, unit, scales, self._step, rooms[group], tell),))
            else:
                parts = (x.real, x.imag) if x.dtype.kind == "c" else (x,)
                each.append(tuple([moves_for(part, self.plan, unit, scales, self._step) for part in parts]))
        return Around(leaves, centre, origin, each, scales, noise, relative, rooms, derivative)

    def _ladder(self, dtype: np.dtype, relative: float, derivative: int) -> tuple[float, tuple[float, ...]]:
        """The largest step of a coordinate of size 1 in a dtype, and all steps relative to it."""
        known = self._ladders.get((dtype, relative, derivative))
        if known is None:
            own = self._coarsest if self.plan.columns else unit_roundoff(dtype)
            known = ladder(max(own, relative), self.plan, derivative, self._step != "auto")
            if self._noise is None:  # otherwise a new one at every point
                self._ladders[dtype, relative, derivative] = known
        return known

    # -------------------------------------------------------------------- noise

    def _levels(self, leaves: Sequence[Any], centre: Centre, origin: list[np.ndarray]) -> tuple[list[Any], float]:
        """The noise of every element of the outputs, and the largest relative to the outputs."""
        outputs = [output if type(output) is np.ndarray else as_array(output) for output in centre.outputs]
        rounding = max([unit_roundoff(output.dtype) for output in outputs], default=0.0)
        if self._noise is None:
            if self.plan.levels == 1:
                return [], rounding
            return [unit_roundoff(output.dtype) * abs(output) for output in outputs], rounding
        # How large the steps are is a number of Python's: where noise is given, a GPU is asked for values.
        outputs = [to_host(output) for output in outputs if output.dtype.kind in "fc"]
        sizes = [float(np.max(abs(output), initial=0.0)) for output in outputs]
        levels: list[Any] = [np.full(output.shape, self._noise) for output in outputs if self._noise != "estimate"]
        if self._noise == "estimate":
            found = iter(self._measured(leaves, centre, origin))
            levels = [np.fmax(next(found), unit_roundoff(output.dtype) * abs(output)) for output in outputs]
        size = max((size for size in sizes if np.isfinite(size)), default=0.0)
        level = max((float(np.max(one, initial=0.0)) for one in levels), default=0.0)
        relative = level / size if size > SEEN * level else level
        every = iter(levels if self.device == "cpu" else [placed(one, self.device) for one in levels])
        kinds = [as_array(output).dtype.kind for output in centre.outputs]
        return [next(every) if kind in "fc" else 0.0 for kind in kinds], max(rounding, min(relative, 1.0))

    def _measured(self, leaves: Sequence[Any], centre: Centre, origin: list[np.ndarray]) -> list[np.ndarray]:
        """The noise of the floating outputs along lines that begin at the point; NaN where none is seen."""
        tables: list[list[np.ndarray]] = []
        for power in SPACINGS:
            lines = self._lines(origin, self._coarsest**power)
            values = [centre.outputs]
            for k in range(1, POINTS):
                moved = list(leaves)
                places = self.coordinates.arrays([x + k * line for x, line in zip(origin, lines, strict=True)])
                for position, place in zip(self._wrt, places, strict=True):
                    moved[position] = copied(place)
                values.append([as_array(output) for output in self.nearby.at(moved, centre.state)])
            columns: list[Any] = [np.array([to_host(one) for one in column]) for column in zip(*values, strict=True)]
            tables.append([column.real.astype(np.float64) for column in columns if column.dtype.kind in "fc"])
        return [
            largest([column.reshape(POINTS, -1) for column in columns]).reshape(columns[0].shape[1:])
            for columns in zip(*tables, strict=True)
        ]

    def _lines(self, origin: list[np.ndarray], apart: float) -> list[np.ndarray]:
        """The distance between neighbours on a line, coordinate by coordinate; within the bounds."""
        lines = []
        rooms = None if self.limits is None else self.limits.room(origin)
        for group, x in enumerate(origin):
            if x.dtype.kind not in "fc":
                lines.append(x * 0)
                continue
            xp = namespace(x)
            line = placed(direction(x.size), self.device) * apart * xp.maximum(abs(x), 1)
            if rooms is not None:
                below, above = rooms[group]
                line = xp.where((line > 0) == (above >= below), line, -line)
                line = xp.clip(line, -below / POINTS, above / POINTS)
            lines.append(line.astype(x.dtype))
        return lines

    # -------------------------------------------------------------------- along vectors

    def size(self, leaf: Any) -> Any:
        """The powers of two below the sizes of the automatic steps, max(|x|, 1); a given step has ones."""
        x = as_array(leaf)
        return magnitude(x) if self._step == "auto" else namespace(x).ones(x.shape, real_dtype(x.dtype))

    def bands(self, around: Around, vectors: Sequence[Any]) -> list[Callable[[], tuple[Moves, list[np.ndarray]]]]:
        """The vectors in parts whose coordinates need steps of about one size: how to move along each, and the part.

        They are made when asked for, so that one part is there at a time.
        """

        def steps(x: np.ndarray) -> np.ndarray:
            unit, _ = self._ladder(x.dtype, around.relative, around.derivative)
            return step_for(np.abs(x) if x.dtype.kind == "c" else x, unit, self._step)

        def band(h: float, part: Callable[[], list[np.ndarray]]) -> tuple[Moves, list[np.ndarray]]:
            parts = part()
            return self._along(around, parts, h), parts

        leaves = [as_array(around.leaves[i]) for i in self._wrt]
        return [functools.partial(band, h, part) for h, part in bands(leaves, steps, vectors)]

    def _along(self, around: Around, parts: Sequence[np.ndarray], h: float) -> Moves:
        """How to move along a vector by the step h; where that is NaN, nowhere, with quotients that are NaN as well."""
        if np.isnan(h):
            still = moves_by_each([np.zeros(())] * len(around.scales), self.plan, np.asarray(self.plan.left))
            return self._beside(still._replace(scale=np.asarray(np.nan)))
        if around.rooms is None or self.limits is None:
            return moves_by([h * scale for scale in around.scales], self.plan.stencil)
        tangents = self.coordinates.flat(parts)
        room = self.limits.ways(around.rooms, tangents)
        step, left = fitted(np.asarray(h), self.plan, room, self._step != "auto")
        with np.errstate(divide="ignore"):
            least = min(
                smallest(FINEST * spacing(np.abs(x)) / np.abs(tangent).astype(np.float64))
                for x, tangent in zip(around.origin, tangents, strict=True)
                if x.dtype.kind == "f"
            )
        if step < least:
            raise self.limits.no_room_along(self.plan.order + 1)
        return self._beside(moves_by_each([np.asarray(step * scale) for scale in around.scales], self.plan, left))

    def _beside(self, moves: Moves) -> Moves:
        """Moves along a vector, whose stencil is to meet values where those are: how far is a number of Python's."""
        if self.device == "cpu":
            return moves
        far = tuple([tuple(map(float, level)) for level in moves.far])
        weights = tuple([placed(weight, self.device) for weight in moves.weights])
        scale, skew = (placed(one, self.device) for one in (moves.scale, moves.skew))
        return Moves(tuple(map(float, moves.steps)), far, weights, scale, skew, moves.paired)

    # -------------------------------------------------------------------- results

    def settled(
        self, around: Around, quotients: Sequence[Any], gains: Sequence[Any], noise: Any, skew: Any
    ) -> tuple[Any, Any]:
        """The quotient that the levels come to, and its estimated error, ``None`` where there is one level only.

        ``gains`` are the factors by which noise enters each level; they and ``skew`` broadcast against the quotients.
        """
        if len(quotients) == 1:
            return quotients[0], None
        floors = [gain * noise for gain in gains]
        if not self.plan.columns:
            return halved(quotients, floors, self.plan.order)
        ratio = around.scales[0] / around.scales[1]
        return extrapolate(quotients, floors, ratio, skew, self.plan.columns)


def magnitude(leaf: Any) -> Any:
    """The powers of two below max(|x|, 1), by which numbers are scaled without rounding."""
    x = as_array(leaf)
    xp = namespace(x)
    size = xp.fmax(xp.abs(x), 1)
    return xp.exp2(xp.floor(xp.log2(xp.where(xp.isfinite(size), size, 1)))).astype(real_dtype(x.dtype))
