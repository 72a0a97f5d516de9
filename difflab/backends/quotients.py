"""Finite differences written out as a tape, for use inside another derivative: all coordinates in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..primitives.elementwise import stop_gradient
from ..primitives.record import Aval
from ..tape import Tape
from ..transforms.batch import batch
from ..transforms.coordinates import Coordinates
from ..transforms.inline import inline, inputs_like, transform_builder
from ..transforms.second_order import Table, avals_of, needs_both, outputs_of
from ..transforms.simplify import simplify
from .stencils import SECOND, exponent, signs


def quotient_tape(tape: Tape, operator: str, wrt: Sequence[int], scheme: str, step: str | float) -> Tape:
    """The tape of an operator's results by finite differences.

    The steps follow the magnitude of the traced values and are constants to any derivative of this tape.

    Args:
        tape: the function.
        operator: any operator.
        wrt: positions of the inputs to differentiate.
        scheme: "central" or "forward".
        step: "auto" or a number.

    Returns:
        A tape with the inputs and outputs of the operator.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> square = trace_leaves(lambda leaves: [leaves[0] * leaves[0]], [1.0])
        >>> [float(out) for out in quotient_tape(square, "gradient", (0,), "central", 0.5).evaluate([3.0])]
        [9.0, 6.0]
    """
    if operator == "hessian":
        return _hessian(tape, wrt, scheme, step)
    work = _Quotients(tape, wrt, scheme, step)
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


def _hessian(tape: Tape, wrt: Sequence[int], scheme: str, step: str | float) -> Tape:
    """Products with all unit vectors in one batch."""
    product = simplify(quotient_tape(tape, "hvp", wrt, scheme, step))
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

    def __init__(self, tape: Tape, wrt: Sequence[int], scheme: str, step: str | float):
        self.builder = transform_builder()
        self.tape = tape
        self.wrt = wrt
        self.scheme = scheme
        self.step = step
        self.variables = avals_of(tape, wrt)
        self.operands = inputs_like(self.builder, tape)
        self.coordinates = Coordinates(self.variables, imaginary=True)
        self.units = self.coordinates.units(0, self.coordinates.count)
        flags = [position in wrt for position in range(len(tape.inputs))]
        self.lanes = batch(simplify(tape), flags, self.coordinates.count) if self.coordinates.count else None

    def steps(self, order: int) -> list[Any]:
        """For every variable the steps of all lanes: zero but for the coordinate that is moved."""
        found = []
        for position, unit in zip(self.wrt, self.units, strict=True):
            x = stop_gradient(self.operands[position])
            if x.dtype.kind == "c":
                along, across = self._size(np.real(x), order), self._size(np.imag(x), order)
                found.append(along * np.real(unit) + 1j * (across * np.imag(unit)))
            else:
                found.append(self._size(x, order) * unit)
        return found

    def _size(self, x: Any, order: int) -> Any:
        """``step_for`` of a traced value."""
        if self.step == "auto":
            return float(np.finfo(x.dtype).eps) ** exponent(self.scheme, order) * np.maximum(1, np.abs(x))
        return float(self.step)

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
        steps = self.steps(1)
        ahead, ahead_by = self.at(steps), self._distance(steps)
        behind, behind_by = outputs, 0.0
        if len(signs(self.scheme)) == 2:
            back = [-step for step in steps]
            behind, behind_by = self.at(back), self._distance(back)
        distance = ahead_by - behind_by
        return [
            (a - b) / np.reshape(distance, (-1, *(1,) * (a.ndim - 1))) if a.dtype.kind in "fc" else None
            for a, b in zip(ahead, behind, strict=True)
        ]

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
        stencil, steps = SECOND[self.scheme], self.steps(2)
        h = self._vector_step(vectors)
        total: Any = 0.0
        for first, second, weight in stencil.points:
            moves = [first * step + second * (h * v) for step, v in zip(steps, vectors, strict=True)]
            total = total + float(weight) * self.at(moves)[0]
        sizes: Any = 0.0
        for step, unit in zip(steps, self.units, strict=True):
            sizes = sizes + self._inner(step, unit)
        return total / (float(stencil.divisor) * h * sizes)

    def _vector_step(self, vectors: Sequence[Any]) -> Any:
        """The largest step along the vector that takes no coordinate farther than its own step."""
        ratio: Any = None
        for position, vector in zip(self.wrt, vectors, strict=True):
            if 0 not in vector.shape:
                x = np.abs(stop_gradient(self.operands[position]))
                here = np.max(np.abs(stop_gradient(vector)) / self._size(x, 2))
                ratio = here if ratio is None else np.maximum(ratio, here)
        return 1.0 / np.where(ratio == 0, 1.0, ratio)
