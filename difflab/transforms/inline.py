"""Replaying a tape onto a tape under construction, with its spans, guards and literals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..builder import Builder
from ..tape import Guard, Span, Tape
from ..tracing import TracedArray


def transform_builder() -> Builder:
    """A tape under construction for rules, whose Python floats are part of the rule's text."""
    return Builder(TracedArray, static_floats=True)


def inputs_like(builder: Builder, tape: Tape) -> list[Any]:
    """Arguments on ``builder`` with the shapes, dtypes and names of the tape's."""
    return [builder.input(tape.avals[number], tape.names.get(number, "")) for number in tape.inputs]


def inline(builder: Builder, tape: Tape, operands: Sequence[Any]) -> dict[int, Any]:
    """Append the tape's equations to ``builder`` and return what each of its value numbers became.

    Spans and guards are carried along under the new numbers.
    """
    values: dict[int, Any] = dict(zip(tape.inputs, operands, strict=True))
    for number, constant in tape.constants.items():
        # A value of an enclosing trace is itself there; anything else is a constant.
        values[number] = (
            builder.lift(constant)
            if isinstance(constant, TracedArray)
            else builder.constant(constant, tape.avals[number])
        )
    for number, literal in tape.literals.items():
        values[number] = builder.literal(literal, tape.avals[number])
    # Where each equation of the tape begins on the builder, to place the spans.
    places = []
    for equation in tape.equations:
        if tape.quiet_from is not None and builder.quiet_from is None and len(places) == tape.quiet_from:
            builder.quiet_from = len(builder.equations)
        places.append(len(builder.equations))
        operands_here = [values[number] for number in equation.inputs]
        values[equation.output] = builder.bind(equation.primitive, operands_here, equation.params)
    places.append(len(builder.equations))
    for span in tape.spans:
        arguments = tuple(values[number].number for number in span.arguments)
        result = values[span.result].number
        builder.spans.append(Span(span.name, places[span.start], places[span.stop], arguments, result, span.params))
    for guard in tape.guards:
        builder.guards.append(Guard(values[guard.value].number, guard.observed))
    return values


def depends_on(tape: Tape, wrt: Sequence[int]) -> set[int]:
    """The value numbers that depend on the inputs at positions ``wrt`` through primitives that have a derivative."""
    active = {tape.inputs[position] for position in wrt}
    for equation in tape.equations:
        primitive = equation.primitive
        if primitive.jvp is not None and any(number in active for number in equation.inputs):
            active.add(equation.output)
    return active
