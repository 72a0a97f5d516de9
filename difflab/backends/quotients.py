"""Finite differences written out as a tape, for use inside another derivative: all coordinates in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..primitives.elementwise import stop_gradient
from ..primitives.record import Aval
from ..tape import Tape
from ..transforms.batch import batch
from ..transforms.coordinates import Coordinates
from ..transforms.inline import inline, inputs_like, transform_builder
from ..transforms.second_order import Table, avals_of, needs_both, outputs_of
from ..transforms.simplify import simplify
from .nearby import flags_of
from .noise import SEEN
from .richardson import extrapolate
from .stencils import Plan, Stencil, combined, plan_of
from .steps import ladder, times
from .surroundings import unit_roundoff


def quotient_tape(tape: Tape, operator: str, wrt: Sequence[int], backend: Any) -> Tape:
    """The tape of an operator's results by finite differences.

    The steps follow the magnitude of the traced values and are constants to any derivative of this tape.

    Args:
        tape: the function.
        operator: any operator.
        wrt: positions of the inputs to differentiate.
        backend: has ``scheme``, ``order``, ``step``, ``bounds`` and ``noise``.

    Returns:
        A tape with the inputs and outputs of the operator.

    Raises:
        UnsupportedError: an option needs numbers that a tape does not have.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> square = trace_leaves(lambda leaves: [leaves[0] * leaves[0]], [1.0])
        >>> from difflab.backends.finite import Finite
        >>> [float(out) for out in quotient_tape(square, "gradient", (0,), Finite(step=0.5)).evaluate([3.0])]
        [9.0, 6.0]
    """
    if backend.bounds is not None or backend.noise == "estimate":
        option = "bounds" if backend.bounds is not None else "noise='estimate'"
        raise UnsupportedError(
            f"backend 'finite' with {option} cannot be used inside another derivative, where it is written out before "
            "its values are known"
        )
    if operator == "hessian":
        return _hessian(tape, wrt, backend)
    work = _Quotients(tape, wrt, backend)
    builder, outs = work.builder, outputs_of(tape)
    if operator == "hvp":
        vectors = [builder.input(variable) for variable in work.variables]
        return builder.finish(work.table([Aval((), outs[0].dtype)], [work.curvatures(vectors)]))
    values = inline(builder, tape, work.operands)
    outputs = [values[number] for number in tape.outputs]
    late = []
    if operator in ("jvp", "vjp"):
        late = [builder.input(aval._replace(weak=False)) for aval in (work.variables if operator == "jvp" else outs)]
    slopes = work.slopes(outputs)
    if operator == "jvp":
        return builder.finish([*outputs, *work.along(late, outputs, slopes)])
    if operator == "vjp":
        return builder.finish([*outputs, *work.pulled_back(late, slopes)])
    return builder.finish([*outputs, *work.table(outs, slopes)])


def _hessian(tape: Tape, wrt: Sequence[int], backend: Any) -> Tape:
    """Products with all unit vectors in one batch."""
    product = simplify(quotient_tape(tape, "hvp", wrt, backend))
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    variables = avals_of(tape, wrt)
    coordinates = Coordinates(variables, imaginary=needs_both(variables, variables))
    table = Table(builder, variables, variables, coordinates, by="tangents")
    count = coordinates.count
    if not count:
        return builder.finish(table.blocks([None] * len(wrt)))
    units = [builder.constant(unit) for unit in coordinates.units(0, count)]
    lanes = batch(product, [False] * len(operands) + [True] * len(units), count)
    values = inline(builder, lanes, [*operands, *units])
    return builder.finish(table.blocks([values[number] for number in lanes.outputs]))


class _Quotients:
    """The inputs on a tape under construction, and quotients of the function there, one lane per direction."""

    def __init__(self, tape: Tape, wrt: Sequence[int], backend: Any):
        self.builder = transform_builder()
        self.tape = tape
        self.wrt = wrt
        self.plan: Plan = plan_of(backend.scheme, backend.order, False)
        self.step = backend.step
        self.level = backend.noise
        self.variables = avals_of(tape, wrt)
        self.operands = inputs_like(self.builder, tape)
        self.coordinates = Coordinates(self.variables, imaginary=True)
        self.units = self.coordinates.units(0, self.coordinates.count)
        self.lanes = (
            batch(simplify(tape), flags_of(tape, wrt), self.coordinates.count) if self.coordinates.count else None
        )
        self.rounding = max([unit_roundoff(out.dtype) for out in outputs_of(tape)], default=0.0)
        self.coarsest = max([unit_roundoff(variable.dtype) for variable in self.variables], default=0.0)

    def relative(self, outputs: Sequence[Any]) -> Any:
        """The noise of the outputs relative to the largest of them: a number, or traced where noise is given."""
        if self.level is None or self.step != "auto":
            return self.rounding
        size: Any = None
        for output in outputs:
            if output.dtype.kind in "fc" and 0 not in output.shape:
                here = np.max(np.abs(stop_gradient(output)))
                size = here if size is None else np.maximum(size, here)
        if size is None:
            return 1.0
        size = np.where(size > SEEN * self.level, size, 1.0)
        return np.maximum(np.minimum(self.level / size, 1.0), self.rounding)

    def ladder(self, dtype: np.dtype, relative: Any, derivative: int) -> tuple[Any, Sequence[Any]]:
        """The largest step of a coordinate of size 1, and all steps relative to it."""
        own = self.coarsest if self.plan.columns else unit_roundoff(dtype)
        noise = max(relative, own) if isinstance(relative, float) else np.maximum(relative, own)
        return ladder(noise, self.plan, derivative, self.step != "auto")

    def steps(self, relative: Any, derivative: int, level: int) -> list[Any]:
        """For every variable the steps of all lanes: zero but for the coordinate that is moved."""
        found = []
        for position, unit in zip(self.wrt, self.units, strict=True):
            x = stop_gradient(self.operands[position])
            if x.dtype.kind == "c":
                along, across = [self.size(part, relative, derivative, level) for part in (np.real(x), np.imag(x))]
                found.append(along * np.real(unit) + 1j * (across * np.imag(unit)))
            else:
                found.append(self.size(x, relative, derivative, level) * unit)
        return found

    def size(self, x: Any, relative: Any, derivative: int, level: int) -> Any:
        """``step_for`` of a traced value."""
        largest, scales = self.ladder(x.dtype, relative, derivative)
        if self.step == "auto":
            size = largest * scales[level] * np.maximum(1, np.abs(x))
            return size if size.dtype == x.dtype else size.astype(x.dtype)
        return float(self.step) * scales[level]

    def at(self, moves: Sequence[Any]) -> list[Any]:
        """The outputs with the variables moved, lane by lane."""
        assert self.lanes is not None
        moved: list[Any] = []
        for position, operand in enumerate(self.operands):
            moved.append(operand + moves[self.wrt.index(position)] if position in self.wrt else operand)
        values = inline(self.builder, self.lanes, moved)
        return [values[number] for number in self.lanes.outputs]

    def slopes(self, outputs: Sequence[Any]) -> list[Any]:
        """Quotients of every output; ``None`` for those that choose, and where there is nothing to move."""
        if self.lanes is None:
            return [None] * len(outputs)
        stencil, relative = self.plan.stencil, self.relative(outputs)
        levels: list[list[Any]] = []
        distances = []
        for level in range(self.plan.levels):
            steps = self.steps(relative, 1, level)
            moves = [[times(offset, step) for step in steps] for offset in stencil.offsets]
            levels.append(list(zip(*[self.at(move) for move in moves], strict=True)))
            gone = [self._distance(move) for move in moves]
            distances.append(combined(gone, stencil.weights, 0.0, stencil.paired))
        found: list[Any] = []
        for number, output in enumerate(outputs):
            if output.dtype.kind not in "fc":
                found.append(None)
                continue
            shape = (-1, *(1,) * len(output.shape))
            across = [np.reshape(distance, shape) for distance in distances]
            quotients = [
                combined(values[number], stencil.weights, output, stencil.paired) / distance
                for values, distance in zip(levels, across, strict=True)
            ]
            gains = [stencil.noise * stencil.scale / np.abs(distance) for distance in across]
            found.append(self.settled(quotients, gains, output, self.ladder(output.dtype, relative, 1)[1]))
        return found

    def settled(self, quotients: Sequence[Any], gains: Sequence[Any], output: Any, scales: Sequence[Any]) -> Any:
        """The quotient that all levels come to."""
        if len(quotients) == 1:
            return quotients[0]
        noise = unit_roundoff(output.dtype) * np.abs(stop_gradient(output)) if self.level is None else self.level
        floors = [noise * stop_gradient(gain) for gain in gains]
        return extrapolate(quotients, floors, scales[0] / scales[1], False, self.plan.columns)[0]

    def _distance(self, moves: Sequence[Any]) -> Any:
        """How far each lane went along its unit, after rounding."""
        total: Any = 0.0
        for position, move, unit in zip(self.wrt, moves, self.units, strict=True):
            x = stop_gradient(self.operands[position])
            total = total + self._inner((x + move) - x, unit)
        return total

    @staticmethod
    def _inner(x: Any, unit: np.ndarray) -> Any:
        """Re<unit, x> lane by lane."""
        axes = tuple(range(1, unit.ndim))
        if unit.dtype.kind == "c":
            return np.sum(np.real(x * unit.conj()), axis=axes)
        return np.sum(x * unit, axis=axes)

    def table(self, outs: Sequence[Aval], slopes: Sequence[Any]) -> list[Any]:
        """The slopes as the blocks of a Jacobian."""
        return Table(self.builder, outs, self.variables, self.coordinates, by="tangents").blocks(slopes)

    def along(self, tangents: Sequence[Any], outputs: Sequence[Any], slopes: Sequence[Any]) -> list[Any]:
        """The tangents of the outputs: the slopes times the tangent's share in their directions."""
        shares: Any = 0.0
        if self.lanes is not None:
            for tangent, unit in zip(tangents, self.units, strict=True):
                shares = shares + self._inner(tangent, unit)
        found = []
        for output, slope in zip(outputs, slopes, strict=True):
            if slope is None:
                found.append(self.builder.primitive("zeros_like", output))
                continue
            total = np.sum(np.reshape(shares, (-1, *(1,) * (slope.ndim - 1))) * slope, axis=0)
            found.append(total if total.dtype == output.dtype else total.astype(output.dtype))
        return found

    def pulled_back(self, cotangents: Sequence[Any], slopes: Sequence[Any]) -> list[Any]:
        """The cotangents of the variables: Re<cotangent, slope> in each direction."""
        total: Any = None
        for cotangent, slope in zip(cotangents, slopes, strict=True):
            if slope is not None:
                product = cotangent * slope
                part = np.sum(np.real(product), axis=tuple(range(1, product.ndim)))
                total = part if total is None else total + part
        real = np.dtype("f8") if total is None else total.dtype
        return self.table([Aval((), real)], [total])

    def curvatures(self, vectors: Sequence[Any]) -> Any:
        """Second quotients of the scalar output along each direction and the vectors."""
        if self.lanes is None:
            return None
        output = None
        if self.level is not None or self.plan.levels > 1:
            values = inline(self.builder, self.tape, self.operands)
            output = values[self.tape.outputs[0]]
        relative = self.relative([] if output is None else [output]) if self.level is not None else self.rounding
        stencil = self.plan.stencil
        divisor = stencil.scale * stencil.scale
        quotients, gains = [], []
        scales = self.ladder(np.dtype(np.float64), relative, 2)[1]
        for level in range(self.plan.levels):
            steps = self.steps(relative, 2, level)
            h = self._vector_step(vectors, relative, level)
            total: Any = 0.0
            for first, second in self.plan.second(False):
                ones = [times(stencil.offsets[first] if first >= 0 else 0, step) for step in steps]
                others = stencil.offsets[second] if second >= 0 else 0
                moves = [one + others * (h * v) for one, v in zip(ones, vectors, strict=True)]
                total = total + _weight(stencil, first) * _weight(stencil, second) * self.at(moves)[0]
            sizes: Any = 0.0
            for step, unit in zip(steps, self.units, strict=True):
                sizes = sizes + self._inner(step, unit)
            distance = divisor * h * sizes
            quotients.append(total / distance)
            gains.append((stencil.noise * stencil.scale) ** 2 / np.abs(distance))
        return quotients[0] if output is None else self.settled(quotients, gains, output, scales)

    def _vector_step(self, vectors: Sequence[Any], relative: Any, level: int) -> Any:
        """The largest step along the vector that takes no coordinate farther than its own step."""
        ratio: Any = None
        for position, vector in zip(self.wrt, vectors, strict=True):
            if 0 not in vector.shape:
                x = np.abs(stop_gradient(self.operands[position]))
                here = np.max(np.abs(stop_gradient(vector)) / self.size(x, relative, 2, level))
                ratio = here if ratio is None else np.maximum(ratio, here)
        return 1.0 / np.where(ratio == 0, 1.0, ratio)


def _weight(stencil: Stencil, point: int) -> float:
    """The weight of a point; -1 is the centre."""
    return stencil.weights[point] if point >= 0 else -sum(stencil.weights)
