"""Second differences: products of two first quotients, along coordinates and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..primitives.complexes import real_dtype
from ..transforms.coordinates import diagonal
from .protocol import Source
from .steps import Moves, nonzero
from .surroundings import Around, Surroundings
from .sweeps import Pairs, zero_blocks


class SecondQuotients:
    """Second derivatives of a scalar function from its values at perturbed points.

    Args:
        around: the points around a point.
        source: the function.
        variables: shapes and dtypes of what is moved.
    """

    def __init__(self, around: Surroundings, source: Source, variables: Sequence[Any]):
        self._around = around
        self._source = source
        self._variables = variables
        self._points = around.plan.second(around.limits is not None)
        self._xp = around.coordinates.xp

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> tuple[list[Any], int]:
        """Second differences along a coordinate and the vector, a chunk of coordinates at a time.

        With them comes how many sizes of steps the vector needed, one after the other.
        """
        coordinates, nearby, points = self._around.coordinates, self._around.nearby, self._points
        levels, xp = range(self._around.plan.levels), self._xp
        around = self._around.around(leaves, 2)
        result = coordinates.vectors()
        sweep = (coordinates.count, len(levels) * len(points))
        bands = self._around.bands(around, vectors)
        for band in bands:
            moves, parts = band()
            lanes, spans = nearby.spans(*sweep)
            vector = coordinates.flat(parts)
            products = coordinates.vectors()
            for start, stop in spans:
                matrices = [
                    xp.concatenate([xp.tile(x + _times(v, moves, level, second), (lanes, 1))
                                    for level in levels for _, second in points])
                    for x, v in zip(around.origin, vector, strict=True)
                ]  # fmt: skip
                runs = coordinates.runs(start, stop)
                steps = [xp.zeros(stop - start) for _ in levels]
                stencils = []
                for run in runs:
                    where, first = run.coordinates, around.moves[run.group][run.unit]
                    stencils.append((run.lanes, first, where, moves, ...))
                    for level in levels:
                        steps[level][run.lanes] = first.steps[level][where] * moves.steps[level]
                        for number, (point, _) in enumerate(points):
                            if point >= 0:
                                move = first.far[level][point][where]
                                row = (level * len(points) + number) * lanes
                                diagonal(matrices[run.group], run, row)[...] += 1j * move if run.unit else move
                values = self._values(around, sweep, matrices, lanes, stop - start)
                slopes = self._curvatures(around, values, lanes, steps, stencils)
                for run in runs:
                    coordinates.collect(products, run, slopes[run.lanes])
            result = [total + product for total, product in zip(result, products, strict=True)]
        return coordinates.arrays(result), len(bands)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """Second differences along pairs of coordinates, each pair of real ones once."""
        pairs, nearby, points = Pairs(self._variables, self._source.device), self._around.nearby, self._points
        levels, xp = range(self._around.plan.levels), self._xp
        around = self._around.around(leaves, 2)
        blocks = zero_blocks(self._variables, self._variables, xp)
        sweep = (pairs.count, len(levels) * len(points))
        lanes, spans = nearby.spans(*sweep)
        for start, stop in spans:
            matrices = [xp.tile(vector, (lanes * sweep[1], 1)) for vector in around.origin]
            rows = pairs.between(start, stop)
            steps = [xp.zeros(stop - start) for _ in levels]
            stencils = []
            for row in rows:
                run, at, where = row.run, row.at, row.run.coordinates
                here, there = around.moves[row.group][row.unit], around.moves[run.group][run.unit]
                stencils.append((run.lanes, here, at, there, where))
                for level in levels:
                    steps[level][run.lanes] = here.steps[level][at] * there.steps[level][where]
                    for number, (first, second) in enumerate(points):
                        begin = (level * len(points) + number) * lanes
                        if first >= 0:
                            move = here.far[level][first][at]
                            column = slice(begin + run.lane, begin + run.lane + run.length)
                            matrices[row.group][column, at] += 1j * move if row.unit else move
                        if second >= 0:
                            moves = there.far[level][second][where]
                            diagonal(matrices[run.group], run, begin)[...] += 1j * moves if run.unit else moves
            values = self._values(around, sweep, matrices, lanes, stop - start)
            slopes = self._curvatures(around, values, lanes, steps, stencils)
            for row in rows:
                pairs.write(blocks, row, slopes)
        return blocks

    def _values(
        self, around: Around, sweep: tuple[int, int], matrices: list[np.ndarray], lanes: int, used: int
    ) -> np.ndarray:
        """The values of the function at the rows of the matrices."""
        if self._around.limits is not None:
            matrices = [self._around.limits.inside(group, slice(None), m) for group, m in enumerate(matrices)]
        moved = self._around.coordinates.arrays(matrices)
        with np.errstate(all="ignore"):
            return self._around.nearby.rows(sweep, around.leaves, moved, lanes, used, around.centre.state)[0]

    def _curvatures(
        self,
        around: Around,
        values: np.ndarray,
        lanes: int,
        steps: Sequence[np.ndarray],
        stencils: Sequence[tuple[slice, Moves, Any, Moves, Any]],
    ) -> np.ndarray:
        """Second quotients; ``steps`` are the products of both steps by level."""
        used, points = len(steps[0]), self._points
        factors, scale, skew = self._factors(used, stencils)
        quotients, gains = [], []
        wide = skew is not False or self._around.plan.order > 2
        dtype = np.result_type(values.dtype, np.float64) if wide else values.dtype
        with np.errstate(all="ignore"):
            for level, products in enumerate(steps):
                total = self._xp.zeros(used, dtype)
                for number, factor in enumerate(factors):
                    begin = (level * len(points) + number) * lanes
                    total += factor * values[begin : begin + used]
                distance = nonzero(scale * products)
                quotients.append(total / distance)
                if len(steps) > 1:
                    gains.append(sum(abs(factor) for factor in factors) / abs(distance))
            noise = around.noise[0].reshape(-1)[0] if gains else None
            return self._around.settled(around, quotients, gains, noise, skew)[0]

    def _factors(
        self, used: int, stencils: Sequence[tuple[slice, Moves, Any, Moves, Any]]
    ) -> tuple[list[Any], Any, Any]:
        """The weights of the points, what their sum is a multiple of, and which quotients are one-sided.

        ``stencils`` are lanes, the moves along the first direction and which of them, those along the second likewise.
        """
        if self._around.limits is None:
            _, one, _, other, _ = stencils[0]
            return [one.weight(i) * other.weight(j) for i, j in self._points], one.scale * other.scale, False
        xp = self._xp
        factors = [xp.zeros(used) for _ in self._points]
        scale, skew = xp.ones(used), xp.zeros(used, bool)
        for lanes, one, at, other, there in stencils:
            for factor, (i, j) in zip(factors, self._points, strict=True):
                factor[lanes] = one.weight(i, at) * other.weight(j, there)
            scale[lanes] = one.scale[at] * other.scale[there]
            skew[lanes] = one.skew[at] | other.skew[there]
        return factors, scale, skew


def _times(vector: np.ndarray, moves: Moves, level: int, point: int) -> Any:
    """A vector as often as a point takes it; -1 is the centre."""
    return vector * real_dtype(vector.dtype).type(moves.far[level][point] if point >= 0 else 0.0)
