"""Imaginary parts of a function's values beside the real axis, a chunk of directions at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..arrays import as_array, copied, is_device_array, namespace
from ..errors import GuardError, UnsupportedError
from ..execution.cache import Runner
from ..primitives.complexes import complex_dtype
from ..primitives.record import Aval
from ..tape import Tape
from ..transforms.coordinates import Coordinates, Run, diagonal
from .complex_calls import ComplexCalls, narrowest
from .complexify import complexify
from .nearby import Centre, Nearby
from .protocol import Source
from .stencils import plan_of
from .steps import bands, step_for, unit_step
from .surroundings import unit_roundoff
from .sweeps import along, zero_blocks

SMALL = 2.0**-30
"""No coordinate is moved by a larger part of itself: h**2 / x**2 is below the rounding."""
SECOND = plan_of("central", 4, False)
"""The stencil along the vector of a second derivative."""


def refuse_complex_variables(variables: Sequence[Any], names: Sequence[str]) -> None:
    """Complex variables leave no imaginary unit for the step.

    Raises:
        UnsupportedError: there is one, by its name.
    """
    for variable, name in zip(variables, names, strict=True):
        if variable.dtype.kind == "c":
            raise UnsupportedError(
                f"backend 'complex-step' differentiates by real variables only, and {name} is complex; use backend "
                "'forward', 'reverse' or 'finite'"
            )


def sweep_of(variables: Sequence[Any], operator: str) -> tuple[int, int]:
    """Directions, and points for each."""
    directions = 1 if operator == "jvp" else Coordinates(variables).count
    return directions, len(SECOND.stencil.offsets) if operator == "hvp" else 1


def calls_of(variables: Sequence[Any], operator: str) -> int:
    """Evaluations by one call of an operator, the one of the value included."""
    directions, points = sweep_of(variables, operator)
    return directions * points + (operator != "hvp")


def step_of(tape: Tape, step: str | float) -> float:
    """The step for a tape that ``complexify`` made: that of the narrowest numbers on it."""
    dtypes = {aval.dtype for aval in tape.avals if aval.dtype.kind == "c"}
    return narrowest(dtypes, step)


class PreparedComplexStep:
    """Evaluations of the loss beside the real axis."""

    def __init__(self, backend: Any, source: Source, operator: str):
        self._source = source
        self._given = backend.step
        leaves = [as_array(source.example[i]) for i in source.wrt]
        names = [source.names[i] if source.names else f"argument {i}" for i in source.wrt]
        refuse_complex_variables(leaves, names)
        self._variables = [Aval(leaf.shape, leaf.dtype) for leaf in leaves]
        self._coordinates = Coordinates(self._variables, device=source.device)
        beside = [Aval(v.shape, complex_dtype(v.dtype)) for v in self._variables]
        self._complex = Coordinates(beside, device=source.device)
        self._xp = self._coordinates.xp
        self._bands = 1 if operator == "hvp" else None
        self._near = Nearby(
            source, backend.chunk, self._coordinates, "complex-step", lambda tape: complexify(tape, source.wrt)
        )
        self.stats: dict[str, Any] = {"primal_calls": calls_of(self._variables, operator), **self._near.stats}
        if self._near.runner is None:
            self._calls = ComplexCalls(source, backend.step)
            self._step = self._calls.step
            self._calls.check()
            return
        self._along = Runner(
            source.tape, lambda tape: (complexify(tape, source.wrt),), ("complex-step", source.wrt),
            frozen=source.frozen, device=source.device,
        )  # fmt: skip
        self._step = step_of(self._along.programs[0].tape, backend.step)
        if operator != "jvp":
            sweep = self._near.sweep(*sweep_of(self._variables, operator))
            self.stats.update(chunk=sweep.lanes, chunks=sweep.stats["chunks"])

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return self._near.value(leaves)

    def _steps(self, origin: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The step of every coordinate."""
        if self._given != "auto":
            return [self._xp.full(x.shape, self._step) for x in origin]
        found = []
        least = self._step * SMALL * SMALL  # still far above what vanishes
        for x in origin:
            size = np.abs(x).astype(np.float64)
            found.append(np.where(size > 0, np.clip(size * SMALL, least, self._step), self._step))
        return found

    def _at(self, leaves: Sequence[Any]) -> list[Any]:
        return [as_array(leaves[i]) for i in self._source.wrt]

    # -------------------------------------------------------------------- first order

    def _slopes(
        self, leaves: Sequence[Any], centre: Centre, points: int = 1, moved: Sequence[Any] = ()
    ) -> Iterator[tuple[list[Run], int, list[np.ndarray]]]:
        """(runs, lanes of a point, slopes of every output with a leading axis of lanes), chunk by chunk.

        ``moved`` are the variables at further points, with a leading axis of them; by default they are where they are.
        """
        count, (values, state) = self._coordinates.count, centre
        origin = self._coordinates.flat(self._at(leaves))
        steps = self._steps(origin)
        lanes, spans = self._near.spans(count, points)
        xp = self._xp
        matrices: list[Any] = self._complex.matrices(lanes * points)
        for matrix, x, places in zip(matrices, origin, moved or origin, strict=True):
            matrix[...] = xp.repeat(places, lanes, 0) if moved else x
        arrays = self._complex.arrays(matrices)
        for start, stop in spans:
            runs = self._coordinates.runs(start, stop)
            distance = xp.ones(lanes)
            for run in runs:
                distance[run.lanes] = step = steps[run.group][run.coordinates]
                for point in range(points):
                    _imaginary_diagonal(matrices[run.group], run, point * lanes)[...] = step
            parts = self._imaginary(leaves, arrays, lanes, stop - start, state, not moved)
            distance = xp.tile(distance, points)
            with np.errstate(all="ignore"):
                slopes = [part / distance.reshape(-1, *(1,) * (part.ndim - 1)) for part in parts]
            yield runs, lanes, [_where_known(*pair) for pair in zip(slopes, values, strict=True)]
            for run in runs:
                for point in range(points):
                    _imaginary_diagonal(matrices[run.group], run, point * lanes)[...] = 0

    def _imaginary(
        self, leaves: Sequence[Any], moved: Sequence[Any], lanes: int, used: int, state: Any, here: bool
    ) -> list[np.ndarray]:
        """The imaginary parts of the outputs at the rows; of each ``lanes`` rows only the first ``used`` count.

        ``here``: their real parts are where the outputs are known already.
        """
        whole, rows = list(leaves), len(moved[0])
        for position, array in zip(self._source.wrt, moved, strict=True):
            whole[position] = array
        if self._near.runner is not None:
            return self._guarded(self._near.sweep(self._coordinates.count, rows // lanes).run, whole, here)
        results: list[np.ndarray] = []
        for row in range(rows):
            if row % lanes < used:
                for position, array in zip(self._source.wrt, moved, strict=True):
                    whole[position] = copied(array[row, ...])
                parts = self._calls.imaginary(whole, state)
                results = results or [self._xp.zeros((rows, *part.shape), part.dtype) for part in parts]
                for result, output in zip(results, parts, strict=True):
                    result[row] = output
        return results

    @staticmethod
    def _guarded(run: Callable[[Sequence[Any]], list[Any]], whole: Sequence[Any], here: bool) -> list[np.ndarray]:
        """The results of a program; Python's branches are those of the real parts."""
        with np.errstate(all="ignore"):
            try:
                return [as_array(output) for output in run(list(whole))]
            except GuardError:
                if not here:
                    raise
                raise UnsupportedError(
                    "backend 'complex-step': a branch in Python hangs on the last digit of a number, which is another "
                    "one in complex arithmetic; use backend 'forward', 'reverse' or 'finite'"
                ) from None

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients, a chunk of coordinates at a time."""
        centre = self._near.centre(leaves)
        gradients = self._coordinates.vectors()
        for runs, _, slopes in self._slopes(leaves, centre):
            for run in runs:
                self._coordinates.collect(gradients, run, slopes[0][run.lanes])
        return centre.outputs[0], self._coordinates.arrays(gradients)

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks of the Jacobian, a chunk of columns at a time."""
        centre = self._near.centre(leaves)
        blocks = zero_blocks([as_array(value) for value in centre.outputs], self._variables, self._xp)
        for runs, _, slopes in self._slopes(leaves, centre):
            for run in runs:
                for row, slope in zip(blocks, slopes, strict=True):
                    self._coordinates.columns(row, run, slope)
        return centre.outputs, blocks

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """A pullback by one evaluation per input coordinate."""
        kept = [copied(leaf) for leaf in leaves]
        outputs, state = self._near.centre(kept)
        values = [copied(output) for output in outputs]

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            result = self._coordinates.vectors()
            for runs, _, slopes in self._slopes(kept, Centre(values, state)):
                shares = along(slopes, cotangents)
                for run in runs:
                    self._coordinates.collect(result, run, shares[run.lanes])
            return self._coordinates.arrays(result)

        return outputs, pullback

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """One evaluation beside the axis, along the tangent."""
        outputs, state = self._near.centre(leaves)
        values = [as_array(output) for output in outputs]
        size = self._largest(tangents)
        if not is_device_array(size) and size == 0:
            return outputs, [self._xp.zeros_like(value) for value in values]
        h, whole = self._step / size, list(leaves)
        for position, x, t in zip(self._source.wrt, self._at(leaves), tangents, strict=True):
            whole[position] = self._xp.asarray(x + 1j * (h * t.astype(np.float64)), complex_dtype(x.dtype))
        if self._near.runner is None:
            parts = self._calls.imaginary(whole, state)
        else:
            parts = self._guarded(self._along.run, whole, True)
        with np.errstate(all="ignore"):
            slopes = [_where_known(part / h, value) for part, value in zip(parts, values, strict=True)]
        return outputs, [slope.astype(value.dtype) for slope, value in zip(slopes, values, strict=True)]

    def _largest(self, tangents: Sequence[Any]) -> Any:
        """The largest entry of a tangent; on a GPU, where nobody waits to know it, 1 of a tangent of zeros."""
        xp = self._xp
        sizes = [xp.max(xp.abs(t)).astype(np.float64) for t in tangents if t.dtype.kind == "f" and t.size]
        if xp is np or not sizes:
            return float(max(sizes, default=0.0))
        largest = xp.stack(sizes).max()
        return xp.where(largest == 0, 1.0, largest)

    # -------------------------------------------------------------------- second order

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """Central differences along the vector of gradients by the complex step."""
        stencil, points = SECOND.stencil, range(len(SECOND.stencil.offsets))
        origin = self._coordinates.flat(self._at(leaves))

        def steps(x: np.ndarray) -> np.ndarray:
            return step_for(x, unit_step(unit_roundoff(x.dtype), SECOND, 1), "auto")

        centre = Centre([self._xp.zeros(())], self._near.state())
        products = [vector.astype(np.float64) for vector in self._coordinates.vectors()]
        along_each = bands(self._at(leaves), steps, vectors)
        if self._bands not in (None, len(along_each)):  # known after a call only
            self._bands = len(along_each)
            self.stats["primal_calls"] = self._bands * calls_of(self._variables, "hvp")
        for h, part in along_each:
            far = [0.0 if np.isnan(h) else offset * h for offset in stencil.offsets]
            moved = [
                self._xp.stack([x + line.dtype.type(reach) * line for reach in far])
                for x, line in zip(origin, self._coordinates.flat(part()), strict=True)
            ]
            try:
                for runs, lanes, slopes in self._slopes(leaves, centre, len(points), moved):
                    for run in runs:
                        at = [slopes[0][k * lanes :][run.lanes].astype(np.float64) for k in points]
                        total = sum(weight * slope for weight, slope in zip(stencil.weights, at, strict=True))
                        products[run.group][run.coordinates] += total / (stencil.scale * h)
            except GuardError:
                self.value(leaves)  # at the point itself the tape may be another one
                raise UnsupportedError(
                    "backend 'complex-step' takes second derivatives by differences, and Python branches otherwise a "
                    f"step of {h:.1g} away from the point; use backend 'reverse'"
                ) from None
        found = [product.astype(x.dtype) for product, x in zip(products, origin, strict=True)]
        return self._coordinates.arrays(found)


def _imaginary_diagonal(matrix: Any, run: Run, offset: int) -> Any:
    """The imaginary parts of the coordinates along which the lanes of a run go."""
    along_it: Any = diagonal(matrix, run, offset)
    return along_it.imag  # a view


def _where_known(slopes: np.ndarray, value: Any) -> np.ndarray:
    """Slopes, NaN where the value is infinite or no number and they look as if nothing were wrong."""
    value = as_array(value)
    xp = namespace(value)
    if value.dtype.kind != "f" or (xp is np and np.isfinite(value).all()):
        return slopes
    return xp.where(~xp.isfinite(value) & xp.isfinite(slopes), np.nan, slopes)
