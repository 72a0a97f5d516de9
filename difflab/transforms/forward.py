"""Forward mode: tangents travel with the values, one JVP rule per equation (Griewank & Walther, 2008, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..tape import Tape
from .inline import depends_on, inline, inputs_like, transform_builder


def jvp(tape: Tape, wrt: Sequence[int]) -> Tape:
    """The tape of values and tangents.

    Args:
        tape: the function.
        wrt: positions of the inputs that carry a tangent.

    Returns:
        A tape with one more input per entry of ``wrt`` (its tangent, same shape and dtype) and, after the outputs of
        ``tape``, one tangent per output.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> tape = jvp(trace_leaves(lambda leaves: [np.sin(leaves[0])], [np.array(0.0)]), (0,))
        >>> [float(out) for out in tape.evaluate([np.array(0.0), np.array(2.0)])]
        [0.0, 2.0]
    """
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    seeds = [
        builder.input(
            tape.avals[tape.inputs[position]], f"tangent of {tape.names.get(tape.inputs[position], position)}"
        )
        for position in wrt
    ]
    values = inline(builder, tape, operands)
    if builder.quiet_from is None:
        builder.quiet_from = len(builder.equations)
    active = depends_on(tape, wrt)
    tangents = {tape.inputs[position]: seed for position, seed in zip(wrt, seeds, strict=True)}
    push(tape, values, tangents, active)
    outputs = [values[number] for number in tape.outputs]
    for number in tape.outputs:
        tangent = tangents.get(number)
        outputs.append(builder.primitive("zeros_like", values[number]) if tangent is None else tangent)
    return builder.finish(outputs)


def push(tape: Tape, values: Mapping[int, Any], tangents: dict[int, Any], active: set[int]) -> None:
    """Add the tangents of all values to those of the inputs, equation by equation, on traced values or plain arrays.

    Args:
        tape: the function.
        values: all its values by number.
        tangents: by number; what has none does not move.
        active: the values that depend on a moving input.
    """
    for equation in tape.equations:
        rule = equation.primitive.jvp
        if equation.output not in active or rule is None:
            continue
        directions = tuple([tangents.get(number) for number in equation.inputs])
        if all(direction is None for direction in directions):
            continue  # what came before it has no derivative after all, as x**0
        tangent = rule(
            directions,
            values[equation.output],
            *[values[number] for number in equation.inputs],
            **equation.params,
        )
        if tangent is not None:
            tangents[equation.output] = tangent
