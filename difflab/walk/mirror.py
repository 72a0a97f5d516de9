"""Reverse mode with its correspondence kept: which backward equation belongs to which forward one, and whose cotangent.

``transforms.gradient`` appends the same equations and forgets where they came from; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..tape import Equation, Tape
from ..transforms.branches import Share
from ..transforms.inline import depends_on, inline, inputs_like, transform_builder
from ..transforms.reverse import sweep
from ..transforms.simplify import simplify, without_dead_code


@dataclass(frozen=True)
class Mirror:
    """The tape of value and gradient beside the tape that it differentiates.

    ``tape`` is simplified; ``forward`` names its values by numbers of the original; ``cotangents`` says for a value of
    the original which value of ``tape`` is its cotangent; ``stages`` lists, for every equation of the original and in
    reverse order, the backward equations that it adds; ``last`` are those that belong to none.
    """

    original: Tape
    tape: Tape
    forward: dict[int, int]
    cotangents: dict[int, int]
    stages: tuple[tuple[Equation, tuple[Equation, ...]], ...]
    last: tuple[Equation, ...]


def mirror(tape: Tape, wrt: Sequence[int]) -> Mirror:
    """Value and gradient of a tape with one real output of shape (), and what belongs to what.

    Args:
        tape: a function with one scalar output.
        wrt: positions of the inputs to differentiate.

    Returns:
        A ``Mirror``, whose tape computes what ``transforms.simplify(transforms.gradient(tape, wrt))`` does.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> found = mirror(trace_leaves(lambda leaves: [leaves[0] * leaves[1]], [2.0, 3.0]), (0, 1))
        >>> [float(out) for out in found.tape.evaluate([2.0, 3.0])]
        [6.0, 3.0, 2.0]
    """
    builder = transform_builder()
    values = inline(builder, tape, inputs_like(builder, tape))
    output = values[tape.outputs[0]]
    seed = builder.literal(output.dtype.type(1).item(), output.aval._replace(weak=False))
    if builder.quiet_from is None:
        builder.quiet_from = len(builder.equations)
    border = len(builder.equations)
    active = depends_on(tape, wrt)
    shares = {tape.outputs[0]: Share(seed)} if tape.outputs[0] in active else {}
    noted: dict[int, Any] = {}
    ends: list[tuple[Equation, int]] = []

    def note(equation: Equation, share: Share) -> None:
        noted[equation.output] = share.cotangent
        ends.append((equation, len(builder.equations)))

    sweep(tape, values, shares, active, note)
    results = []
    for position in wrt:
        number = tape.inputs[position]
        share = shares.get(number)
        noted[number] = builder.primitive("zeros_like", values[number]) if share is None else share.closed
        results.append(noted[number])
    whole = builder.finish([output, *results, *noted.values()])
    short = simplify(whole)
    count = 1 + len(results)
    cotangents = dict(zip(noted, short.outputs[count:], strict=True))
    done = without_dead_code(replace(short, outputs=short.outputs[:count]))
    return _staged(tape, done, values, cotangents, whole.equations, border, ends)


def _staged(
    tape: Tape,
    done: Tape,
    values: dict[int, Any],
    cotangents: dict[int, int],
    made: Sequence[Equation],
    border: int,
    ends: Sequence[tuple[Equation, int]],
) -> Mirror:
    """Sort the equations that are left by the equation of the original that they belong to."""
    left = {equation.output: equation for equation in done.equations}
    bound = {*left, *done.inputs, *done.constants, *done.literals}
    forward: dict[int, int] = {}
    for number, value in values.items():
        forward.setdefault(value.number, number)
    stages = []
    start = border
    for equation, stop in ends:
        own = tuple(left[one.output] for one in made[start:stop] if one.output in left)
        stages.append((equation, own))
        start = stop
    last = tuple(left[one.output] for one in made[start:] if one.output in left)
    kept = {number: cotangent for number, cotangent in cotangents.items() if cotangent in bound}
    return Mirror(tape, done, forward, kept, tuple(stages), last)
