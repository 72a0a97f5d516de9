"""Reverse mode: a second list of equations appended to the first.

Reading a tape backwards, every equation turns the cotangent of its output into contributions to the cotangents of
its inputs, and a value that was used twice receives the sum of both (copy adds).  Here that reading is done once,
by appending the equations it would execute to the tape itself.  Nothing walks a graph when the gradient is run;
what remains is one straight list, in which common subexpressions and dead code can be removed like in any other,
and which can be differentiated again (Linnainmaa, 1976; Griewank & Walther, 2008, section 3.2).

Only values on a path from a differentiated input to an output take part: the gradient of a loss with respect to
its data is never computed unless it is asked for.  What a ``where`` or an index did not take is cut off
(``branches.py``): its slope may be infinite, and 0 times infinity is no derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..builder import Builder
from ..tape import Equation, Tape
from .branches import Share, pulled_back
from .inline import depends_on, inline, inputs_like, transform_builder


def gradient(tape: Tape, wrt: Sequence[int]) -> Tape:
    """The tape of the value and its gradient.

    Args:
        tape: a function with one scalar output.
        wrt: positions of the inputs to differentiate.

    Returns:
        A tape with the same inputs whose outputs are the value and one gradient per entry of ``wrt``.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> tape = gradient(trace_leaves(lambda leaves: [leaves[0] * leaves[1]], [2.0, 3.0]), (0, 1))
        >>> [float(out) for out in tape.evaluate([2.0, 3.0])]
        [6.0, 3.0, 2.0]
    """
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    values = inline(builder, tape, operands)
    output = values[tape.outputs[0]]
    seed = builder.literal(output.dtype.type(1).item(), output.aval._replace(weak=False))
    cotangents = backward(builder, tape, values, {tape.outputs[0]: seed}, wrt)
    return builder.finish([output, *cotangents])


def vjp(tape: Tape, wrt: Sequence[int]) -> Tape:
    """The tape of values and pulled-back cotangents.

    Args:
        tape: the function.
        wrt: positions of the inputs to differentiate.

    Returns:
        A tape with one more input per output of ``tape`` (its cotangent) and, after those outputs, one cotangent
        per entry of ``wrt``.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> tape = vjp(trace_leaves(lambda leaves: [np.exp(leaves[0])], [np.zeros(2)]), (0,))
        >>> tape.evaluate([np.zeros(2), np.array([1.0, 5.0])])[1]
        array([1., 5.])
    """
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    seeds = [
        builder.input(tape.avals[number]._replace(weak=False), f"cotangent {position}")
        for position, number in enumerate(tape.outputs)
    ]
    values = inline(builder, tape, operands)
    given: dict[int, Any] = {}
    if builder.quiet_from is None:
        builder.quiet_from = len(builder.equations)
    for number, seed in zip(tape.outputs, seeds, strict=True):
        given[number] = seed if number not in given else given[number] + seed
    cotangents = backward(builder, tape, values, given, wrt)
    return builder.finish([*[values[number] for number in tape.outputs], *cotangents])


def backward(
    builder: Builder, tape: Tape, values: dict[int, Any], cotangents: dict[int, Any], wrt: Sequence[int]
) -> list[Any]:
    """Append the adjoint equations of ``tape``, whose values on ``builder`` are ``values``; a cotangent per ``wrt``."""
    if builder.quiet_from is None:
        builder.quiet_from = len(builder.equations)
    active = depends_on(tape, wrt)
    shares = {number: Share(cotangent) for number, cotangent in cotangents.items() if number in active}
    sweep(tape, values, shares, active)
    result = []
    for position in wrt:
        number = tape.inputs[position]
        share = shares.get(number)
        result.append(builder.primitive("zeros_like", values[number]) if share is None else share.closed)
    return result


def sweep(
    tape: Tape,
    values: Mapping[int, Any],
    shares: dict[int, Share],
    active: set[int],
    done: Callable[[Equation, Share], None] = lambda equation, share: None,
) -> None:
    """Read a tape backwards, equation by equation, on traced values or on plain arrays.

    Args:
        tape: the function.
        values: all its values by number.
        shares: the cotangents of the outputs; afterwards those of the inputs and of what has no derivative rule.
        active: the values that depend on a differentiated input.
        done: called with every equation and its output's cotangent, after it was pulled back.
    """
    for equation in reversed(tape.equations):
        if equation.output not in shares or equation.primitive.vjp is None:
            continue
        # After this equation no earlier one can contribute: its output's cotangent is complete.
        share = shares.pop(equation.output)
        contributions = pulled_back(
            equation.primitive,
            share,
            values[equation.output],
            [values[number] for number in equation.inputs],
            tuple(number in active for number in equation.inputs),
            equation.params,
        )
        for number, contribution in zip(equation.inputs, contributions, strict=True):
            if contribution is None or number not in active:
                continue
            before = shares.get(number)
            shares[number] = contribution if before is None else before + contribution
        done(equation, share)
