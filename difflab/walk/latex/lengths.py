"""The lengths of axes that a loss divides by: made arguments of the tape, so that a mean keeps its 1/N."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ...tape import Equation, Tape

AMBIGUOUS = 2
"""An axis of so many elements or fewer does not make a division a mean: 1/2 is a factor that people write."""


@dataclass(frozen=True)
class Length:
    """A number of elements, as an input of the tape."""

    number: int
    size: int


def with_lengths(tape: Tape) -> tuple[Tape, list[Length]]:
    """A tape with one more input for each number of elements that it divides a sum by.

    That is the divisor inside ``np.mean``, and any other whole number by which a sum is divided that is the number of
    its elements, or the length of one of its axes.

    Args:
        tape: any tape.

    Returns:
        The tape, and what its inputs after the first ``len(tape.inputs)`` are.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> [length.size for length in with_lengths(trace_leaves(lambda x: [np.mean(x[0])], [np.ones(7)]))[1]]
        [7]
    """
    made = {equation.output: equation for equation in tape.equations}
    means = [range(span.start, span.stop) for span in tape.spans if span.name == "mean"]
    avals = list(tape.avals)
    lengths: dict[tuple[int, str], Length] = {}
    equations = []
    for place, equation in enumerate(tape.equations):
        literal = tape.literals.get(equation.inputs[-1]) if equation.primitive.name == "divide" else None
        counts = _counts(tape, made, equation) if isinstance(literal, int) else set()
        known = any(place in span for span in means)
        if isinstance(literal, int) and literal in counts and (known or literal > AMBIGUOUS):
            aval = tape.avals[equation.inputs[-1]]._replace(weak=False)
            key = (literal, aval.dtype.str)
            if key not in lengths:
                lengths[key] = Length(len(avals), literal)
                avals.append(aval)
            equation = equation._replace(inputs=(equation.inputs[0], lengths[key].number))
        equations.append(equation)
    found = list(lengths.values())
    inputs = (*tape.inputs, *[length.number for length in found])
    return replace(tape, avals=tuple(avals), inputs=inputs, equations=tuple(equations)), found


def _counts(tape: Tape, made: dict[int, Equation], divide: Equation) -> set[int]:
    """Numbers of elements that the numerator of a division sums up."""
    before = made.get(divide.inputs[0])
    while before is not None and before.primitive.name in ("reshape", "negative", "cast"):
        before = made.get(before.inputs[0])
    if before is None or before.primitive.name != "sum":
        return set()
    shape = tape.avals[before.inputs[0]].shape
    summed = [shape[axis] for axis in before.params["axes"]]
    counts = {math.prod(summed), *summed}
    return counts
