"""Batching: one tape that computes many lanes at once (as ``vmap`` of JAX; Bradbury et al., 2018).

An equation that reads nothing batched stays as it is and is computed once, whatever the number of lanes; the others
are rewritten by the batching rule of their primitive, or run lane by lane where it has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..builder import Builder
from ..primitives import REGISTRY
from ..primitives.batching import spread_lanes
from ..primitives.record import Aval, Primitive
from ..tape import Equation, Guard, Span, Tape, show
from ..tracing import TracedArray
from .inline import transform_builder
from .inner import lane_by_lane
from .spots import Spot, Spots


def batch(tape: Tape, flags: Sequence[bool], size: int, *, single: Sequence[int] = ()) -> Tape:
    """The tape that computes ``size`` lanes at once.

    Guards look at all lanes: a run in which Python would have branched otherwise in any of them raises ``GuardError``.
    Spans of what is the same for all lanes are kept, the others dropped, for their parameters name other axes now.

    Args:
        tape: the function of one lane.
        flags: per input, whether it carries the lanes on a leading axis or is the same for all.
        size: how many lanes, at least 1.
        single: positions of outputs that are the same for all lanes and are to be returned once.

    Returns:
        A tape whose outputs carry the lanes on a leading axis, except those in ``single``.

    Raises:
        ValueError: the flags do not fit the tape, there is no lane, or an output in ``single`` differs between lanes.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> dot = trace_leaves(lambda leaves: [np.sum(leaves[0] * leaves[1])], [np.ones(2), np.ones(2)])
        >>> batch(dot, (True, False), 3).evaluate([np.arange(6.0).reshape(3, 2), np.ones(2)])[0]
        array([1., 5., 9.])
    """
    if len(flags) != len(tape.inputs) or size < 1:
        raise ValueError(f"{len(flags)} flags and {size} lanes for a tape of {len(tape.inputs)} inputs")
    work = _Batching(transform_builder(), tape, size)
    for number, flag in zip(tape.inputs, flags, strict=True):
        aval = tape.avals[number]
        here = Aval((size, *aval.shape), aval.dtype) if flag else aval
        work.bind(number, work.builder.input(here, tape.names.get(number, "")), flag)
    work.values_at_rest()
    work.equations()
    return work.finished(single)


class Moving(NamedTuple):
    """A tape of many lanes, each of which moves one coordinate of one array.

    Its inputs are those of the tape of one lane (without the array, where that is a tangent), then per lane the value
    of the coordinate, then for each entry of ``axes`` its place along those axes of the array, as in a flat array.
    """

    tape: Tape
    axes: tuple[tuple[int, ...], ...]


def batch_moves(tape: Tape, position: int, size: int, *, tangent: bool = False, single: Sequence[int] = ()) -> Moving:
    """The tape that computes ``size`` lanes at once, each of which has one coordinate of one input moved.

    What a lane does not reach is computed once, see ``spots.py``; so is what does not depend on the input at all.

    Args:
        tape: the function of one lane.
        position: of the input that moves.
        size: how many lanes, at least 1.
        tangent: of the input nothing but the moved coordinate is there: it is a tangent along a unit vector.
        single: positions of outputs that are the same for all lanes and are to be returned once.

    Returns:
        A ``Moving``.

    Raises:
        ValueError: an output in ``single`` differs between lanes.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> dot = trace_leaves(lambda leaves: [np.sum(leaves[0] * leaves[1])], [np.ones(2), np.ones(2)])
        >>> moving = batch_moves(dot, 0, 3)
        >>> moving.axes, moving.tape.evaluate([np.ones(2), np.ones(2), np.array([2.0, 3.0, 4.0]), np.array([0, 1, 1])])
        (((0,),), [array([3., 4., 5.])])
    """
    work = _Batching(transform_builder(), tape, size)
    at = tape.inputs[position]
    aval = tape.avals[at]
    builder, names = work.builder, tape.names
    given = [number for number in tape.inputs if number != at or not tangent]
    operands = {number: builder.input(tape.avals[number], names.get(number, "")) for number in given}
    work.spots = Spots(builder, size, aval.shape)
    operands[at] = work.spots.seed(operands.get(at), builder.input(Aval((size,), aval.dtype)))
    for number in tape.inputs:
        work.bind(number, operands[number], number == at)
    work.values_at_rest()
    work.equations()
    return Moving(work.finished(single), tuple(work.spots.indices))


def how(primitive: Primitive) -> str:
    """How a primitive is batched: "derived" (from being element-wise), "own rule", or "lane by lane"."""
    if primitive.batch is None:
        return "lane by lane"
    return "derived" if primitive.kind == "elementwise" else "own rule"


class _Batching:
    """The tape under construction, what each old value became, and which of them carry lanes."""

    def __init__(self, builder: Builder, tape: Tape, size: int):
        self.builder = builder
        self.tape = tape
        self.size = size
        self.values: dict[int, Any] = {}
        self.batched: set[int] = set()
        self.spots: Spots | None = None  # where each lane moves one coordinate alone
        self.guards: dict[int, list[Any]] = {}
        for guard in tape.guards:
            self.guards.setdefault(guard.value, []).append(guard.observed)

    def bind(self, number: int, value: Any, flag: bool) -> None:
        """Note what a value became, and guard it."""
        self.values[number] = value
        if flag:
            self.batched.add(number)
        for observed in self.guards.get(number, ()):
            if flag:
                self.builder.guards.append(Guard(self.alike(self.whole(number), observed).number, True))
            else:
                self.builder.guards.append(Guard(value.number, observed))

    def values_at_rest(self) -> None:
        """Constants and literals, as ``inline`` brings them."""
        for number, constant in self.tape.constants.items():
            # A value of an enclosing trace is itself there; anything else is a constant.
            lifted = isinstance(constant, TracedArray)
            here = self.builder.lift(constant) if lifted else self.builder.constant(constant, self.tape.avals[number])
            self.bind(number, here, False)
        for number, literal in self.tape.literals.items():
            self.bind(number, self.builder.literal(literal, self.tape.avals[number]), False)

    def equations(self) -> None:
        """All equations in their order, with the spans of those that carry no lanes."""
        tape, builder = self.tape, self.builder
        places = []
        for position, equation in enumerate(tape.equations):
            if position == tape.quiet_from and builder.quiet_from is None:
                builder.quiet_from = len(builder.equations)
            places.append(len(builder.equations))
            self.bind(equation.output, *self.equation(equation))
        places.append(len(builder.equations))
        for span in tape.spans:
            inside = [equation.output for equation in tape.equations[span.start : span.stop]]
            if self.batched.isdisjoint((*span.arguments, *inside)):
                arguments = tuple(self.values[number].number for number in span.arguments)
                result = self.values[span.result].number
                builder.spans.append(
                    Span(span.name, places[span.start], places[span.stop], arguments, result, span.params)
                )

    def equation(self, equation: Equation) -> tuple[Any, bool]:
        """The value of one equation, and whether it carries lanes."""
        primitive, params = equation.primitive, equation.params
        operands = [self.values[number] for number in equation.inputs]
        flags = tuple(number in self.batched for number in equation.inputs)
        if not any(flags):
            return self.builder.bind(primitive, operands, params), False
        if self.spots is not None:
            if all(isinstance(operand, Spot) for operand, flag in zip(operands, flags, strict=True) if flag):
                avals = [self.tape.avals[number] for number in equation.inputs]
                found = self.spots.equation(equation, operands, avals, self.tape.avals[equation.output])
                if found is not None:
                    return found, True
            operands = [self.whole(number) for number in equation.inputs]
        if primitive.batch is not None:
            value = primitive.batch(self.size, flags, *operands, **params)
        else:
            lanes = REGISTRY["lanes"]
            value = self.builder.bind(lanes, operands, lane_by_lane(primitive, params, flags, self.size))
        aval = self.tape.avals[equation.output]
        if (value.shape, value.dtype) != ((self.size, *aval.shape), aval.dtype):
            raise ValueError(
                f"the batching rule of primitive {primitive.name!r} gives {show(value.aval)} for {self.size} lanes of "
                f"{show(aval)}"
            )
        return value, True

    def whole(self, number: int) -> Any:
        """What a value became, with whole lanes where it has any."""
        value = self.values[number]
        if self.spots is not None and isinstance(value, Spot):
            return self.spots.narrowed(value, {}, self.tape.avals[number].shape)
        return value

    def finished(self, single: Sequence[int]) -> Tape:
        """The tape, with lanes on all outputs but those in ``single``."""
        outputs = []
        for position, number in enumerate(self.tape.outputs):
            flag = number in self.batched
            if position in single and flag:
                raise ValueError(f"output {position} differs between lanes; it cannot be returned once")
            value = self.whole(number)
            outputs.append(value if position in single else spread_lanes(self.size, flag, value))
        return self.builder.finish(outputs)

    def alike(self, value: Any, observed: Any) -> Any:
        """Whether Python would see in all lanes what it saw in the one that was traced."""
        if isinstance(observed, bool):
            seen = value if value.dtype.kind == "b" else REGISTRY["not_equal"](value, value.literal(0))
            seen = seen if observed else REGISTRY["logical_not"](seen)
        else:
            seen = REGISTRY["equal"](value, value.literal(observed))
        flat = REGISTRY["reshape"](seen, shape=(seen.size,))
        return REGISTRY["min"](flat, axes=(0,))
