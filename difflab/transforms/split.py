"""Cutting a tape in two: what can be computed before some of its inputs are known, and the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from ..tape import Equation, Tape


def split(tape: Tape, late: int, outputs: int, early: Set[int] | None = None) -> tuple[Tape, Tape]:
    """A first tape without the last ``late`` inputs, and a second one that finishes.

    Args:
        tape: the whole.
        late: how many inputs, counted from the end, only the second tape gets.
        outputs: how many outputs, counted from the front, the first tape already gives.
        early: the values that the first tape computes; all that need no late input, if it is not given.

    Returns:
        ``(first, second)``.  ``first`` returns those outputs and then the residuals, ``second`` takes the residuals and
        the late inputs and returns the other outputs.  Constants and views of them are no residuals: both tapes have
        those that they read, so that nobody copies them at every call.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> whole = trace_leaves(lambda leaves: [np.sin(leaves[0]), np.cos(leaves[0]) * leaves[1]], [1.0, 1.0])
        >>> first, second = split(whole, 1, 1)
        >>> len(first), len(second)
        (2, 1)
    """
    early_inputs = tape.inputs[: len(tape.inputs) - late]
    late_inputs = tape.inputs[len(tape.inputs) - late :]
    unknown = set(late_inputs)
    before: list[Equation] = []
    after: list[Equation] = []
    loud = 0
    for position, equation in enumerate(tape.equations):
        if unknown.isdisjoint(equation.inputs) and (early is None or equation.output in early):
            before.append(equation)
            loud += tape.quiet_from is None or position < tape.quiet_from
        else:
            unknown.add(equation.output)
            after.append(equation)
    made_late = {equation.output for equation in after} | set(late_inputs)
    read = [number for equation in after for number in equation.inputs] + list(tape.outputs[outputs:])
    views = _views(tape)
    needed = _needed(views, read)
    shared = [equation for equation in before if equation.output in needed]
    constants = {number: constant for number, constant in tape.constants.items() if number in needed}
    own = made_late | set(tape.literals) | set(constants) | {equation.output for equation in shared}
    residuals = tuple(dict.fromkeys(number for number in read if number not in own))
    first = Tape(
        avals=tape.avals,
        inputs=early_inputs,
        constants=tape.constants,
        literals=tape.literals,
        equations=tuple(before),
        outputs=(*tape.outputs[:outputs], *residuals),
        guards=tape.guards,
        quiet_from=None if tape.quiet_from is None else loud,
        names=tape.names,
    )
    second = Tape(
        avals=tape.avals,
        inputs=(*residuals, *late_inputs),
        constants=constants,
        literals=tape.literals,
        equations=(*shared, *after),
        outputs=tape.outputs[outputs:],
        quiet_from=0,
        names=tape.names,
    )
    return first, second


def _views(tape: Tape) -> dict[int, int | None]:
    """Constants, and views of constants with what they are views of."""
    found: dict[int, int | None] = dict.fromkeys(tape.constants)
    for equation in tape.equations:
        if equation.primitive.view and equation.inputs[0] in found:
            found[equation.output] = equation.inputs[0]
    return found


def _needed(views: Mapping[int, int | None], read: Iterable[int]) -> set[int]:
    """The constants and views that are read, with all that they are views of."""
    needed: set[int] = set()
    for number in read:
        here: int | None = number if number in views else None
        while here is not None:
            needed.add(here)
            here = views[here]
    return needed
