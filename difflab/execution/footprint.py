"""What programs take of memory when they run: buffers, results, and what set-up makes and keeps of constants.

The bytes of a plan (``Plan.nbytes``) are those of its buffers, from which chunks are sized.  A process also holds a
copy of every constant that is baked in, values that depend on constants alone, and the results of a call; a forecast
that left them out would be short by whatever a function closes over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import as_array
from ..tape import Equation, Tape
from .plan import Passed, Plan, make_plan, padded


class Footprint(NamedTuple):
    """Bytes of one program.

    ``set_up`` while it is set up; ``held`` between calls: copies of constants and what set-up made of them for the
    calls to read; ``buffers``; ``results`` of a call; ``first``, the most during the first call, which touches one
    buffer after the other, and ``later``, the most during any other, which finds them all.
    """

    set_up: int
    held: int
    buffers: int
    results: int
    first: int
    later: int


def footprint(tape: Tape) -> Footprint:
    """The bytes of the program of a tape, before anything is allocated.

    Args:
        tape: simplified, as ``Program`` runs it; constants that are ``Passed`` at every call cost nothing.

    Returns:
        A ``Footprint``.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> closed_over = np.ones(1000)
        >>> found = footprint(trace_leaves(lambda leaves: [leaves[0] * closed_over], [closed_over]))
        >>> found.held, found.buffers, found.results, found.first
        (8000, 0, 8000, 16000)
    """
    plan = make_plan(tape)
    constants = sum(value.nbytes for value in tape.constants.values() if isinstance(value, np.ndarray))
    made, bases = _made(plan)
    read = set(tape.outputs)
    for equation, operands in zip(plan.tape.equations, plan.operands, strict=True):
        if plan.places[equation.output] not in ("fixed", "skipped"):
            read.update(operands)
    stay = {bases.get(number, number) for number in read}
    held = constants + sum(size for number, size in made.items() if number in stay)
    results, first, later = _call(plan)
    set_up = constants + sum(made.values())
    return Footprint(set_up, held, plan.nbytes, results, max(set_up, held + first), held + later)


def _call(plan: Plan) -> tuple[int, int, int]:
    """The bytes of the results, and the most that buffers, results and what lasts for one equation take.

    That is in the first call, in which a buffer takes nothing before it is written, and in a later one.
    """
    avals = plan.tape.avals
    touched: dict[int, int] = {}
    taken = results = first = passing = 0
    for equation in plan.tape.equations:
        out = equation.output
        nbytes, place = avals[out].nbytes, plan.places[out]
        if place == "buffer":
            before = touched.get(plan.slot_of[out], 0)
            touched[plan.slot_of[out]] = max(padded(nbytes), before)
            taken += touched[plan.slot_of[out]] - before
        elif place == "result":
            results += nbytes
        else:
            continue
        # what is no ufunc makes an array of its own and fills the place with it
        own = nbytes if equation.primitive.into is None and not equation.primitive.view else 0
        first = max(first, taken + results + own)
        passing = max(passing, results + own)
    given: set[int] = set()
    for number in plan.tape.outputs:
        if plan.places[number] != "result" or number in given:  # what is not fresh is copied
            results += avals[number].nbytes
        given.add(number)
    return results, max(first, taken + results), plan.nbytes + max(passing, results)


def programs_bytes(tapes: Sequence[Tape]) -> int:
    """The most that programs take that run one after the other, each with the results of those before it.

    Args:
        tapes: simplified.

    Returns:
        Bytes.
    """
    before = most = 0
    copied: set[int] = set()
    for tape in tapes:
        found, constants = footprint(tape), [one for one in tape.constants.values() if isinstance(one, np.ndarray)]
        before -= sum(one.nbytes for one in constants if id(one) in copied)  # programs made together share the copy
        copied.update(map(id, constants))
        most = max(most, before + found.first)
        before += found.held + found.buffers + found.results
    return most


def _made(plan: Plan) -> tuple[Mapping[int, int], Mapping[int, int]]:
    """The bytes of every value that set-up makes of constants, and which value a view of such a one belongs to."""
    avals, made, bases = plan.tape.avals, {}, {}
    whole = {
        number for number, value in plan.tape.constants.items()
        if not isinstance(value, Passed) and as_array(value).flags.c_contiguous
    }  # fmt: skip
    for equation, operands in zip(plan.tape.equations, plan.operands, strict=True):
        out = equation.output
        if plan.places[out] != "fixed":
            continue
        if _copies(equation, operands, whole, plan):
            made[out] = avals[out].nbytes
            whole.add(out)
        else:
            bases[out] = bases.get(operands[0], operands[0])
            if equation.primitive.name in ("reshape", "stop_gradient") and operands[0] in whole:
                whole.add(out)
    return made, bases


def _copies(equation: Equation, operands: Sequence[int], whole: set[int], plan: Plan) -> bool:
    """Whether an equation of constants makes a new array; a reshape does where the old one is strided."""
    if not equation.primitive.view:
        return True
    if equation.primitive.name != "reshape" or operands[0] in whole:
        return False
    old, new = [[size for size in plan.tape.avals[n].shape if size != 1] for n in (operands[0], equation.output)]
    return old != new
