"""Quotients of a function's values at perturbed points, a chunk of directions at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..arrays import as_array, copied, is_device_array
from ..execution.footprint import footprint
from ..execution.parts import Function, Parts
from ..primitives.complexes import real_dtype
from ..primitives.record import Aval
from ..tape import Tape
from ..transforms.coordinates import Coordinates, Run
from ..transforms.second_order import avals_of, outputs_of
from ..transforms.simplify import simplify
from .points import Points, Spread
from .protocol import SECOND_ORDER, Source
from .second import SecondQuotients
from .stencils import Plan, combined
from .steps import Moves, nonzero
from .surroundings import NOISE_CALLS, Around, Surroundings, unit_roundoff
from .sweeps import Pairs, along, zero_blocks


def sweep_of(variables: Sequence[Any], operator: str, plan: Plan, bounded: bool) -> tuple[int, int]:
    """Directions, and points for each."""
    seconds = plan.levels * len(plan.second(bounded))
    if operator == "hessian":
        return Pairs(variables).count, seconds
    if operator == "jvp":
        return 1, plan.points
    return Coordinates(variables, imaginary=True).count, seconds if operator == "hvp" else plan.points


def calls_of(variables: Sequence[Any], operator: str, backend: Any) -> int:
    """Evaluations of the function by one call of an operator, the one at the point itself and for the noise included.

    Vectors whose parts need steps of very different sizes (jvp, hvp) cost as much again for every further size: that is
    known after a call only, as ``stats["primal_calls"]``.
    """
    directions, points = sweep_of(variables, operator, backend.plan, backend.bounds is not None)
    return directions * points + 1 + (NOISE_CALLS if backend.noise == "estimate" else 0)


def around_bytes(tape: Tape, operator: str, wrt: Sequence[int], plan: Plan) -> int:
    """Bytes of what is known around a point: its value there and, but for jvp, how each coordinate moves."""
    variables, outputs = avals_of(tape, wrt), outputs_of(tape)
    numbers = sum(variable.nbytes for variable in variables)
    values = sum(output.nbytes for output in outputs)
    found = footprint(simplify(tape))
    if operator == "jvp":
        # the part of the vector that is followed, a byte per coordinate that says so, and one moved copy of the point;
        # or, when that is gone, values at all points, their difference and the quotient; besides both value and slopes
        there = numbers + sum(variable.size for variable in variables) + (1 + plan.points) * values
        return max(found.set_up, found.later + there + numbers, found.held + found.buffers + there + 3 * values)
    # the point itself, for every value of a quotient how far it went and where that is, and the distances
    nbytes = found.first + (1 + 2 * plan.points + plan.levels) * numbers
    if operator == "vjp":  # the pullback keeps copies of all leaves and of the outputs
        nbytes += values + sum(tape.avals[number].nbytes for number in tape.inputs)
    return nbytes


def quotients_of(points: int, *, second: bool = False) -> tuple[float, float]:
    """What is alive beside a chunk's values, as multiples of them, in the only chunk and in one of several.

    First quotients are made in the place of their numerators, when those of the chunk before are still there but its
    values are gone.  Second ones are made beside their numerators, and values of the chunk before go when the new ones
    are there.
    """
    return (2 / points, max(1 + 1 / points, 3 / points)) if second else (1 / points, 2 / points)


def function_of(wrt: Sequence[int]) -> Function:
    """What is swept for first quotients: the function itself."""
    return Function(lambda recorded, places: recorded, tuple(wrt), False)


class PreparedFinite:
    """Evaluations of the loss at perturbed points."""

    def __init__(self, backend: Any, source: Source, operator: str):
        self._backend = backend
        self._source = source
        leaves = [as_array(source.example[i]) for i in source.wrt]
        self._variables = [Aval(leaf.shape, leaf.dtype) for leaf in leaves]
        self._around = Surroundings(backend, source, self._variables)
        self._nearby = self._around.nearby
        self._coordinates = self._around.coordinates
        self._xp = self._coordinates.xp
        self._second = SecondQuotients(self._around, source, self._variables)
        self._first: Points | None = None
        self._operator, self._calls = operator, calls_of(self._variables, operator, backend)
        self.stats: dict[str, Any] = {"primal_calls": self._calls, "error_estimate": None, **self._nearby.stats}
        self.value = self._nearby.value
        directions, points = sweep_of(self._variables, operator, backend.plan, backend.bounds is not None)
        self._further = directions * points
        if self.stats["black_box"] or operator == "jvp":
            return
        if operator in SECOND_ORDER:
            sweep = self._nearby.sweep(directions, points)
            self.stats.update(chunk=sweep.lanes, chunks=sweep.stats["chunks"])
        else:
            self.stats.update(self._points().notes)

    # -------------------------------------------------------------------- first order

    def _slopes(self, around: Around) -> Iterator[tuple[list[Run], Sequence[np.ndarray], Sequence[Any]]]:
        """(runs, quotients of every output with a leading axis of directions, their errors), chunk by chunk."""
        for runs, values, lanes, stencils in self._points().values(around, self._spread(around)):
            with np.errstate(all="ignore"):
                found = [self._quotient(around, k, value, lanes, stencils) for k, value in enumerate(values)]
            del values  # those of the next chunk may take their place
            quotients, errors = zip(*found, strict=True)
            yield runs, quotients, errors

    def _points(self) -> Points:
        """Where first quotients are evaluated."""
        if self._first is None:
            parts, source, plan = None, self._source, self._backend.plan
            if not self.stats["black_box"]:
                parts = Parts(
                    source.tape, function_of(source.wrt), ("nearby", source.wrt), self._variables,
                    self._backend.chunk, points=plan.points, frozen=source.frozen, device=source.device,
                )  # fmt: skip
            self._first = Points(self._nearby, parts, self._coordinates, source.wrt, plan.points)
        return self._first

    def _spread(self, around: Around) -> list[list[Spread]]:
        """For every group and unit the points of all coordinates, and how far they went after rounding."""
        limits, given = self._around.limits, self._backend.step != "auto"
        found = []
        for group, (x, units) in enumerate(zip(around.origin, around.moves, strict=True)):
            here = []
            for unit, moves in enumerate(units):
                places, distances = [], []
                for far in moves.far:
                    level = [x + 1j * move if unit else x + move for move in far]
                    if limits is not None:
                        level = [limits.inside(group, slice(None), place) for place in level]
                    gone = combined(level, moves.weights, x, moves.paired)
                    gone = gone if x.dtype.kind == "f" else gone.imag if unit else gone.real
                    distances.append(nonzero(gone) if given else gone)
                    places.extend(level)
                here.append(Spread(places, distances, moves))
            found.append(here)
        return found

    def _quotient(
        self, around: Around, number: int, values: np.ndarray, lanes: int, stencils: Spread
    ) -> tuple[np.ndarray, Any]:
        """The quotients of one output, and their estimated errors."""
        centre = around.centre.outputs[number]
        distances, moves = stencils.distances, stencils.moves
        used, ndim = len(distances[0]), values.ndim
        if values.dtype.kind not in "fc":
            return self._xp.zeros((used, *values.shape[1:])), 0.0  # choices have no derivative
        factors, skew, width = moves.weights, moves.skew, len(moves.weights) * lanes
        if len(distances) == 1 and skew is False:  # the usual case, in a loop that is called often
            parts = [values[at : at + used] for at in range(0, width, lanes)]
            numerators, distance = combined(parts, factors, centre, moves.paired), _outer(distances[0], ndim)
            place = numerators if numerators.dtype == np.result_type(numerators.dtype, distance.dtype) else None
            return self._xp.divide(numerators, distance, out=place), None
        gain = moves.gain
        if ndim > 1 and skew is not False:
            factors, gain, skew = [_outer(f, ndim) for f in factors], _outer(gain, ndim), _outer(skew, ndim)
        quotients, gains = [], []
        for level, distance in enumerate(distances):
            parts = [values[at : at + used] for at in range(level * width, (level + 1) * width, lanes)]
            distance = _outer(distance, ndim)
            quotients.append(combined(parts, factors, centre, moves.paired) / distance)
            gains.append(gain / abs(distance))
        noise = around.noise[number] if len(quotients) > 1 else None
        return self._around.settled(around, quotients, gains, noise, skew)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients, a chunk of coordinates at a time."""
        value, gradients, errors = self._gradients(leaves)
        if errors is not None:
            self.stats["error_estimate"] = _relative(errors, gradients, self._xp)
        return value, self._coordinates.arrays(gradients)

    def error_estimate(self, leaves: Sequence[Any]) -> list[Any]:
        """The estimated error of every entry of the gradient; of complex ones that of the larger part."""
        return self._coordinates.arrays(self._gradients(leaves)[2] or [])

    def _gradients(self, leaves: Sequence[Any]) -> tuple[Any, list[np.ndarray], list[np.ndarray] | None]:
        """The loss, its gradient in one vector per group, and the estimated errors of that."""
        around = self._around.around(leaves)
        gradients = self._coordinates.vectors()
        errors = None
        if self._around.plan.levels > 1:
            errors = [self._xp.zeros(vector.size, real_dtype(vector.dtype)) for vector in gradients]
        for runs, quotients, estimates in self._slopes(around):
            for run in runs:
                self._coordinates.collect(gradients, run, quotients[0][run.lanes])
                if errors is not None and errors[run.group].dtype.kind == "f":
                    part, xp = errors[run.group][run.coordinates], self._xp
                    each = xp.broadcast_to(xp.asarray(estimates[0]), (len(quotients[0]),))
                    xp.maximum(part, each[run.lanes], out=part)
        if errors is not None:
            for error, vector in zip(errors, gradients, strict=True):
                if vector.dtype.kind in "fc":  # what is stored is rounded
                    error += unit_roundoff(vector.dtype) * np.abs(vector)
                    error[...] = self._xp.where(self._xp.isnan(error), np.inf, error)
        return around.centre.outputs[0], gradients, errors

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks of the Jacobian, a chunk of columns at a time."""
        around = self._around.around(leaves)
        outputs = around.centre.outputs
        blocks = zero_blocks([as_array(output) for output in outputs], self._variables, self._xp)
        for runs, quotients, _ in self._slopes(around):
            for run in runs:
                for row, quotient in zip(blocks, quotients, strict=True):
                    self._coordinates.columns(row, run, quotient)
        return outputs, blocks

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """A pullback by one quotient per input coordinate, each with its own step."""
        kept = [copied(leaf) for leaf in leaves]
        around = self._around.around(kept)
        outputs = around.centre.outputs
        own = around._replace(centre=around.centre._replace(outputs=[copied(output) for output in outputs]))

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            result = self._coordinates.vectors()
            for runs, quotients, _ in self._slopes(own):
                shares = along(quotients, cotangents)
                for run in runs:
                    self._coordinates.collect(result, run, shares[run.lanes])
            return self._coordinates.arrays(result)

        return outputs, pullback

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """One quotient along the tangent, or a few where its coordinates need steps of very different size."""
        around = self._around.around(leaves, moves=False)
        slopes = [self._xp.zeros_like(as_array(output)) for output in around.centre.outputs]
        bands = self._around.bands(around, tangents)
        self._count("jvp", len(bands))
        for band in bands:
            self._add(slopes, around, *band())
        return around.centre.outputs, slopes

    def sizes(self, leaves: Sequence[Any]) -> list[Any]:
        """How far each coordinate is to go along a vector that moves many: as its own step does, to a power of two."""
        return [self._around.size(leaves[i]) for i in self._source.wrt]

    def _add(self, slopes: Sequence[np.ndarray], around: Around, moves: Moves, parts: Sequence[np.ndarray]) -> None:
        """Add the quotients along the parts of a tangent."""
        levels = []
        for level in range(self._around.plan.levels):
            values = [self._moved(around, parts, far) for far in moves.far[level]]
            levels.append(list(zip(*values, strict=True)))
        for number, slope in enumerate(slopes):
            if slope.dtype.kind in "fc":  # choices have no derivative
                with np.errstate(all="ignore"):
                    slope += self._along(around, moves, [level[number] for level in levels], number)

    def _moved(self, around: Around, parts: Sequence[Any], far: Any) -> list[np.ndarray]:
        """The outputs so far along the parts of a tangent."""
        moved = list(around.leaves)
        for i, part in zip(self._source.wrt, parts, strict=True):
            moved[i] = as_array(around.leaves[i] + part.real.dtype.type(far) * part)
        if self._around.limits is not None:
            flat = self._coordinates.flat([moved[i] for i in self._source.wrt])
            inside = [self._around.limits.inside(group, slice(None), x) for group, x in enumerate(flat)]
            for i, array in zip(self._source.wrt, self._coordinates.arrays(inside), strict=True):
                moved[i] = array
        return [as_array(output) for output in self._nearby.at(moved, around.centre.state)]

    def _along(self, around: Around, moves: Moves, levels: Sequence[Sequence[Any]], number: int) -> Any:
        """The quotient of one output along a tangent."""
        centre = as_array(around.centre.outputs[number])
        distances = [moves.scale * step for step in moves.steps]
        distances = [nonzero(one) if is_device_array(one) else one or 1.0 for one in distances]
        quotients = [
            combined(parts, moves.weights, centre, moves.paired) / distance
            for parts, distance in zip(levels, distances, strict=True)
        ]
        gains = [moves.gain / abs(distance) for distance in distances]
        noise = around.noise[number] if len(quotients) > 1 else None
        return self._xp.asarray(self._around.settled(around, quotients, gains, noise, moves.skew)[0], centre.dtype)

    def _count(self, operator: str, bands: int) -> None:
        """Note what a call cost whose vectors need steps of so many sizes."""
        if operator == self._operator:
            self.stats["primal_calls"] = self._calls + (bands - 1) * self._further

    # -------------------------------------------------------------------- second order

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """Second differences along a coordinate and the vector."""
        result, bands = self._second.hvp(leaves, vectors)
        self._count("hvp", bands)
        return result

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """Second differences along pairs of coordinates."""
        return self._second.hessian(leaves)


def _outer(lanes: Any, ndim: int) -> Any:
    """Something of each lane, to broadcast against their outputs."""
    held = isinstance(lanes, np.ndarray) or is_device_array(lanes)
    return lanes.reshape(-1, *(1,) * (ndim - 1)) if ndim > 1 and held else lanes


def _relative(errors: Sequence[Any], gradients: Sequence[Any], xp: Any) -> Any:
    """The norm of the errors over that of the gradients; on a GPU an array of shape (), for which nobody has waited."""
    error, size = _norm(errors, xp), _norm(gradients, xp)
    if is_device_array(size):
        return xp.where(error == 0, 0.0, error / size)
    return float(error / size) if size else 0.0 if not error else np.inf


def _norm(vectors: Sequence[Any], xp: Any) -> Any:
    """The Euclidean norm of everything in some vectors."""
    floating = [xp.abs(vector).astype(np.float64) for vector in vectors if vector.dtype.kind in "fc"]
    return xp.linalg.norm(xp.concatenate(floating)) if floating else 0.0
