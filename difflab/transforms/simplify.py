"""Common subexpressions, dead code, constants: rewrites that keep every bit, NaN and signed zero included.

Values of constants and inputs are never looked at, only those of literals, so a simplified tape is right for
whatever its inputs and constants will hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..primitives.record import Aval, identity
from ..tape import Equation, Guard, Span, Tape, literal_array

FOLDED = frozenset({"cast", "negative", "add", "subtract", "multiply", "divide", "sqrt", "square", "reciprocal", "log"})


def simplify(tape: Tape) -> Tape:
    """The same function, bit for bit, with fewer equations.

    Args:
        tape: any tape.

    Returns:
        A tape with the same inputs, constants and outputs.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> len(simplify(trace_leaves(lambda leaves: [np.sin(leaves[0]) + np.sin(leaves[0])], [1.0])))
        2
    """
    return without_dead_code(_forward_pass(tape))


def _forward_pass(tape: Tape) -> Tape:
    """One sweep: rename duplicates, drop moves that move nothing, fold literals."""
    avals = list(tape.avals)
    literals = dict(tape.literals)
    known_literals = {(type(v), repr(v), avals[n].dtype): n for n, v in literals.items()}
    renamed: dict[int, int] = {}
    seen: dict[tuple, int] = {}
    made: dict[int, Equation] = {}
    equations: list[Equation | None] = []
    for equation in tape.equations:
        inputs = tuple([renamed.get(number, number) for number in equation.inputs])
        params = equation.params
        shortcut = _shortcut(equation, inputs, avals, literals, made)
        if isinstance(shortcut, int):
            renamed[equation.output] = shortcut
            equations.append(None)
            continue
        if isinstance(shortcut, Equation):
            inputs, params = shortcut.inputs, shortcut.params
        name = equation.primitive.name
        if name in FOLDED and all(number in literals for number in inputs):
            number = _fold(equation, inputs, avals, literals, known_literals)
            if number is not None:
                renamed[equation.output] = number
                equations.append(None)
                continue
        statics = params.items() if equation.primitive.kind != "own" else identity(params)
        key = (equation.primitive, inputs, *statics)
        if key in seen:
            renamed[equation.output] = seen[key]
            equations.append(None)
            continue
        seen[key] = equation.output
        made[equation.output] = Equation(equation.primitive, inputs, params, equation.output)
        equations.append(made[equation.output])
    return _rebuilt(tape, tuple(avals), literals, equations, renamed)


def _shortcut(
    equation: Equation, inputs: tuple[int, ...], avals: list[Aval], literals: dict[int, Any], made: dict[int, Equation]
) -> int | Equation | None:
    """A value that already is the result, or the same equation on an earlier operand."""
    name = equation.primitive.name
    out = avals[equation.output]
    first = inputs[0] if inputs else -1
    if name in ("reshape", "broadcast_to", "cast", "transpose", "sum", "max", "min"):
        source = avals[first]
        if name == "transpose":
            axes = equation.params["axes"]
            if axes == tuple(range(len(axes))):
                return first
            before = made.get(first)
            if before is not None and before.primitive.name == "transpose":
                composed = tuple(before.params["axes"][axis] for axis in axes)
                if composed == tuple(range(len(composed))):
                    return before.inputs[0]
                return Equation(equation.primitive, before.inputs, {"axes": composed}, equation.output)
            return None
        if name in ("sum", "max", "min"):
            return first if not equation.params["axes"] else None
        if source.shape == out.shape and source.dtype == out.dtype and not source.weak:
            return first
        if name == "reshape":
            before = made.get(first)
            if before is not None and before.primitive.name == "reshape":
                if avals[before.inputs[0]].shape == out.shape:
                    return before.inputs[0]
                return Equation(equation.primitive, before.inputs, equation.params, equation.output)
        return None
    if name in ("multiply", "divide"):
        # x * 1 and x / 1 are x in every bit; 1 * x likewise. Adding 0 is not: -0 + 0 is +0.
        for one, other in ((inputs[1], inputs[0]), (inputs[0], inputs[1])):
            if one in literals and literals[one] == 1 and avals[other].shape == out.shape and not avals[other].weak:
                if avals[other].dtype == out.dtype:
                    return other
            if name == "divide":
                break
    return None


def _fold(
    equation: Equation, inputs: tuple[int, ...], avals: list[Aval], literals: dict[int, Any], known: dict[tuple, int]
) -> int | None:
    """The literal that an equation of literals computes, in the dtype and rounding of the equation."""
    out = avals[equation.output]
    if out.shape != ():
        return None
    with np.errstate(all="ignore"):
        operands = [literal_array(literals[number], avals[number]) for number in inputs]
        value = np.asarray(equation.primitive.evaluate(*operands, **equation.params), out.dtype).item()
    key = (type(value), repr(value), out.dtype)
    if key not in known:
        known[key] = len(avals)
        literals[len(avals)] = value
        avals.append(Aval((), out.dtype))
    return known[key]


def without_dead_code(tape: Tape) -> Tape:
    """Without the equations, constants and literals that no output, guard or kept span needs."""
    needed = {*tape.outputs, *[guard.value for guard in tape.guards]}
    for equation in reversed(tape.equations):
        if equation.output in needed:
            needed.update(equation.inputs)
    kept = [equation if equation.output in needed else None for equation in tape.equations]
    literals = {number: value for number, value in tape.literals.items() if number in needed}
    return _rebuilt(tape, tape.avals, literals, kept, {})


def _rebuilt(
    tape: Tape,
    avals: tuple[Aval, ...],
    literals: dict[int, Any],
    equations: list[Equation | None],
    renamed: dict[int, int],
) -> Tape:
    """A tape without the equations that are ``None``, with spans and guards moved along."""
    places = [0]
    for equation in equations:
        places.append(places[-1] + (equation is not None))
    kept = tuple(equation for equation in equations if equation is not None)
    bound = {*tape.inputs, *tape.constants, *literals, *[equation.output for equation in kept]}
    spans = []
    for span in tape.spans:
        arguments = tuple(renamed.get(number, number) for number in span.arguments)
        result = renamed.get(span.result, span.result)
        if result in bound and bound.issuperset(arguments) and places[span.start] < places[span.stop]:
            spans.append(Span(span.name, places[span.start], places[span.stop], arguments, result, span.params))
    # By type too: True and 1 are equal, yet a truth value allows what an integer does not.
    moved = [Guard(renamed.get(guard.value, guard.value), guard.observed) for guard in tape.guards]
    guards = {(guard.value, type(guard.observed), guard.observed): guard for guard in moved}
    return Tape(
        avals=avals,
        inputs=tape.inputs,
        constants=tape.constants,
        literals=literals,
        equations=kept,
        outputs=tuple(renamed.get(number, number) for number in tape.outputs),
        spans=tuple(spans),
        guards=tuple(guards.values()),
        quiet_from=None if tape.quiet_from is None else places[tape.quiet_from],
        names=tape.names,
    )
