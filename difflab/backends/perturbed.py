"""A function at perturbed points, many at a time, and quotients of its values there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import GuardError
from ..execution.cache import Runner
from ..execution.chunks import KEPT, Chunked
from ..primitives.record import Aval
from ..tape import Tape
from ..transforms.coordinates import Coordinates, Run, diagonal
from .protocol import Source
from .stencils import SECOND, bands, nonzero, signs, step_for, steps_for
from .sweeps import Pairs, along, zero_blocks


def flags_of(tape: Tape, wrt: Sequence[int]) -> list[bool]:
    """Which inputs are moved."""
    return [position in wrt for position in range(len(tape.inputs))]


def sweep_of(variables: Sequence[Any], operator: str, scheme: str) -> tuple[int, int]:
    """Directions, and points for each."""
    if operator == "hessian":
        return Pairs(variables).count, len(SECOND[scheme].points)
    if operator == "jvp":
        return 1, len(signs(scheme))
    points = len(SECOND[scheme].points if operator == "hvp" else signs(scheme))
    return Coordinates(variables, imaginary=True).count, points


class PreparedFinite:
    """Evaluations of the loss at perturbed points."""

    def __init__(self, backend: Any, source: Source, operator: str):
        self._backend = backend
        self._source = source
        self._runner: Runner | None = None
        self._sweeps: dict[str, Chunked] = {}
        self._idle: list[tuple[list[np.ndarray], list[np.ndarray]]] = []
        leaves = [np.asarray(source.example[i]) for i in source.wrt]
        self._variables = [Aval(leaf.shape, leaf.dtype) for leaf in leaves]
        self._coordinates = Coordinates(self._variables, imaginary=True)
        directions, points = sweep_of(self._variables, operator, backend.scheme)
        self.stats: dict[str, Any] = {"primal_calls": directions * points + 1, "black_box": False}
        try:
            tape = source.tape
        except Exception as error:  # whatever a black box does not like about traced arrays
            self.stats.update(black_box=True, black_box_reason=f"{type(error).__name__}: {error}")
            return
        self._runner = Runner(tape, lambda tape: (tape,), ("value",), frozen=source.frozen)
        self.stats.update(self._runner.stats)
        if operator != "jvp":
            sweep = self._sweep(operator)
            self.stats.update(chunk=sweep.lanes, chunks=sweep.stats["chunks"])

    def _sweep(self, operator: str) -> Chunked:
        """The batched loss and its chunks."""
        kind = operator if operator in ("hvp", "hessian") else "gradient"
        if kind not in self._sweeps:
            source = self._source
            directions, points = sweep_of(self._variables, kind, self._backend.scheme)
            self._sweeps[kind] = Chunked(
                source.tape, lambda tape: tape, ("batch", source.wrt, directions, points),
                flags_of(source.tape, source.wrt), directions, self._backend.chunk, points=points, frozen=source.frozen,
            )  # fmt: skip
        return self._sweeps[kind]

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        if self._runner is None:
            return self._source.call(leaves)
        return self._runner.run(list(leaves))

    def _centre(self, leaves: Sequence[Any]) -> tuple[list[Any], Any]:
        """The outputs, and for a black box the state of the global generator before it could draw from it."""
        state = np.random.get_state() if self._runner is None else None  # noqa: NPY002 (the one that users draw from)
        return self.value(leaves), state

    def _nearby(self, leaves: Sequence[Any], state: Any) -> list[Any]:
        """The outputs at a perturbed point, where Python may branch otherwise and NumPy's warnings are ours."""
        if state is not None:  # a quotient of two different draws would mean nothing
            np.random.set_state(state)  # noqa: NPY002
        with np.errstate(all="ignore"):
            try:
                return self.value(leaves)
            except GuardError:
                return self._source.call(leaves)

    # -------------------------------------------------------------------- many points at once

    def _spans(self, operator: str, directions: int) -> tuple[int, Iterable[tuple[int, int]]]:
        """Directions in a chunk, and the chunks; a black box is asked for one after the other."""
        if self._runner is None:
            return 1, ((start, start + 1) for start in range(directions))
        sweep = self._sweep(operator)
        return sweep.lanes, sweep.spans()

    def _points(
        self, operator: str, leaves: Sequence[Any], moved: Sequence[Any], lanes: int, used: int, state: Any
    ) -> list[np.ndarray]:
        """The outputs at the rows of ``moved``; of each ``lanes`` rows only the first ``used`` count.

        Where Python would branch otherwise at some of them, they are evaluated one by one.
        """
        whole = list(leaves)
        for position, array in zip(self._source.wrt, moved, strict=True):
            whole[position] = array
        if self._runner is not None:
            try:
                return self._sweep(operator).run(whole)
            except GuardError:
                pass  # each row goes its own way, below
        rows = len(moved[0])
        results: list[np.ndarray] = []
        for row in range(rows):
            if row % lanes >= used:
                continue
            for position, array in zip(self._source.wrt, moved, strict=True):
                whole[position] = np.array(array[row, ...])
            here = [np.asarray(output) for output in self._nearby(whole, state)]
            if not results:
                results = [np.zeros((rows, *output.shape), output.dtype) for output in here]
            for result, output in zip(results, here, strict=True):
                result[row] = output
        return results

    def _steps(self, origin: Sequence[np.ndarray], order: int) -> list[tuple[np.ndarray, ...]]:
        return [steps_for(x, self._backend.scheme, order, self._backend.step) for x in origin]

    def _at(self, leaves: Sequence[Any]) -> list[Any]:
        return [leaves[i] for i in self._source.wrt]

    def _slopes(
        self, leaves: Sequence[Any], centre: Sequence[Any], state: Any
    ) -> Iterator[tuple[list[Run], list[np.ndarray]]]:
        """(runs, quotients of every output with a leading axis of directions), chunk by chunk."""
        coordinates, points = self._coordinates, len(signs(self._backend.scheme))
        origin = coordinates.flat(self._at(leaves))
        steps = self._steps(origin, 1)
        lanes, spans = self._spans("gradient", coordinates.count)
        matrices, moved = self._workspace(lanes * points)
        for matrix, x in zip(matrices, origin, strict=True):
            matrix[...] = x
        for start, stop in spans:
            runs = coordinates.runs(start, stop)
            distance = np.empty(stop - start)
            for run in runs:
                x, step = origin[run.group][run.coordinates], steps[run.group][run.unit][run.coordinates]
                step = 1j * step if run.unit else step
                ahead, behind = x + step, x
                diagonal(matrices[run.group], run)[...] = ahead
                if points == 2:
                    behind = x - step
                    diagonal(matrices[run.group], run, lanes)[...] = behind
                gone = ahead - behind
                distance[run.lanes] = np.imag(gone) if run.unit else np.real(gone)
            if self._backend.step != "auto":
                distance = nonzero(distance)
            with np.errstate(all="ignore"):
                values = self._points("gradient", leaves, moved, lanes, stop - start, state)
                quotients = [_quotient(v, c, lanes, distance) for v, c in zip(values, centre, strict=True)]
            yield runs, quotients
            if stop == coordinates.count:
                break
            for run in runs:
                for point in range(points):
                    diagonal(matrices[run.group], run, point * lanes)[...] = origin[run.group][run.coordinates]
        if sum(matrix.nbytes for matrix in matrices) <= KEPT:
            self._idle.append((matrices, moved))

    def _workspace(self, rows: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Matrices for so many points and the arrays in them, from an earlier call where there was one."""
        try:
            return self._idle.pop()  # atomic, as threads may share this
        except IndexError:
            matrices = self._coordinates.matrices(rows)
            return matrices, self._coordinates.arrays(matrices)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients, a chunk of coordinates at a time."""
        centre, state = self._centre(leaves)
        gradients = self._coordinates.vectors()
        for runs, quotients in self._slopes(leaves, centre, state):
            for run in runs:
                self._coordinates.collect(gradients, run, quotients[0][run.lanes])
        return centre[0], self._coordinates.arrays(gradients)

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks of the Jacobian, a chunk of columns at a time."""
        centre, state = self._centre(leaves)
        blocks = zero_blocks([np.asarray(output) for output in centre], self._variables)
        for runs, quotients in self._slopes(leaves, centre, state):
            for run in runs:
                for row, quotient in zip(blocks, quotients, strict=True):
                    self._coordinates.columns(row, run, quotient)
        return centre, blocks

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """A pullback by one quotient per input coordinate, each with its own step."""
        kept = [np.array(leaf) for leaf in leaves]
        outputs, state = self._centre(kept)
        values = [np.array(output) for output in outputs]

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            result = self._coordinates.vectors()
            for runs, quotients in self._slopes(kept, values, state):
                shares = along(quotients, cotangents)
                for run in runs:
                    self._coordinates.collect(result, run, shares[run.lanes])
            return self._coordinates.arrays(result)

        return outputs, pullback

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """One quotient along the tangent, or a few where its coordinates need steps of very different size."""
        centre, state = self._centre(leaves)
        slopes = [np.zeros_like(np.asarray(c)) for c in centre]
        for h, parts in self._bands(leaves, tangents, 1):
            moved, values = list(leaves), []
            for way in signs(self._backend.scheme):
                for i, part in zip(self._source.wrt, parts, strict=True):
                    moved[i] = np.asarray(leaves[i] + np.asarray(way * h, part.real.dtype) * part)
                values.append([np.asarray(output) for output in self._nearby(moved, state)])
            distance = len(values) * h or 1.0
            for slope, ahead, behind in zip(slopes, values[0], values[1] if values[1:] else centre, strict=True):
                if slope.dtype.kind in "fc":  # choices have no derivative
                    with np.errstate(all="ignore"):
                        slope += np.asarray((ahead - behind) / distance, slope.dtype)
        return centre, slopes

    def _bands(self, leaves: Sequence[Any], tangents: Sequence[Any], order: int) -> list[tuple[float, list[Any]]]:
        scheme, step = self._backend.scheme, self._backend.step
        steps = [step_for(np.abs(leaf) if leaf.dtype.kind == "c" else np.asarray(leaf), scheme, order, step)
                 for leaf in self._at(leaves)]  # fmt: skip
        return bands(steps, tangents)

    # -------------------------------------------------------------------- second differences

    def _curvatures(self, values: np.ndarray, lanes: int, products: Any) -> np.ndarray:
        """Second quotients of a scalar output; ``products`` of both steps, one per used lane."""
        stencil = SECOND[self._backend.scheme]
        with np.errstate(all="ignore"):
            total = np.zeros(len(products), values.dtype)
            for point, (_, _, weight) in enumerate(stencil.points):
                total += weight * values[point * lanes : point * lanes + len(products)]
            return total / nonzero(stencil.divisor * products)

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """Second differences along a coordinate and the vector, a chunk of coordinates at a time."""
        coordinates, stencil = self._coordinates, SECOND[self._backend.scheme]
        state = self._centre(leaves)[1]
        origin = coordinates.flat(self._at(leaves))
        steps = self._steps(origin, 2)
        result = coordinates.vectors()
        for h, parts in self._bands(leaves, vectors, 2):
            lanes, spans = self._spans("hvp", coordinates.count)
            along_vector = [part * np.real(part).dtype.type(h) for part in coordinates.flat(parts)]
            products = coordinates.vectors()
            for start, stop in spans:
                matrices = [np.concatenate([np.tile(x + second * move, (lanes, 1)) for _, second, _ in stencil.points])
                            for x, move in zip(origin, along_vector, strict=True)]  # fmt: skip
                runs = coordinates.runs(start, stop)
                distance = np.zeros(stop - start)
                for run in runs:
                    step = steps[run.group][run.unit][run.coordinates]
                    distance[run.lanes] = step
                    for point, (first, _, _) in enumerate(stencil.points):
                        diagonal(matrices[run.group], run, point * lanes)[...] += first * (1j if run.unit else 1) * step
                with np.errstate(all="ignore"):
                    values = self._points("hvp", leaves, coordinates.arrays(matrices), lanes, stop - start, state)[0]
                slopes = self._curvatures(values, lanes, distance * h)
                for run in runs:
                    coordinates.collect(products, run, slopes[run.lanes])
            result = [total + part for total, part in zip(result, products, strict=True)]
        return coordinates.arrays(result)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """Second differences along pairs of coordinates, each pair of real ones once."""
        pairs, stencil = Pairs(self._variables), SECOND[self._backend.scheme]
        state = self._centre(leaves)[1]
        origin = pairs.columns.flat(self._at(leaves))
        steps = self._steps(origin, 2)
        blocks = zero_blocks(self._variables, self._variables)
        lanes, spans = self._spans("hessian", pairs.count)
        for start, stop in spans:
            matrices = _repeated(origin, lanes * len(stencil.points))
            rows = pairs.between(start, stop)
            products = np.zeros(stop - start)
            for row in rows:
                run = row.run
                here, there = steps[row.group][row.unit][row.at], steps[run.group][run.unit][run.coordinates]
                products[run.lanes] = here * there
                for point, (first, second, _) in enumerate(stencil.points):
                    where = slice(point * lanes + run.lane, point * lanes + run.lane + run.length)
                    matrices[row.group][where, row.at] += first * (1j if row.unit else 1) * here
                    diagonal(matrices[run.group], run, point * lanes)[...] += second * (1j if run.unit else 1) * there
            moved = pairs.columns.arrays(matrices)
            with np.errstate(all="ignore"):
                values = self._points("hessian", leaves, moved, lanes, stop - start, state)[0]
            slopes = self._curvatures(values, lanes, products)
            for row in rows:
                pairs.write(blocks, row, slopes)
        return blocks


def _repeated(vectors: Sequence[np.ndarray], rows: int) -> list[np.ndarray]:
    """Each vector as all rows of a matrix."""
    return [np.tile(vector, (rows, 1)) for vector in vectors]


def _quotient(values: np.ndarray, centre: Any, lanes: int, distance: np.ndarray) -> np.ndarray:
    """First quotients of one output: ahead and behind of it, or ahead and the centre."""
    used = len(distance)
    if values.dtype.kind not in "fc":
        return np.zeros((used, *values.shape[1:]))  # choices have no derivative
    difference = values[:used] - (values[lanes : lanes + used] if len(values) > lanes else centre)
    return difference / (distance.reshape(used, *(1,) * (values.ndim - 1)) if values.ndim > 1 else distance)
