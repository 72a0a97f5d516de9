"""What a slip is: a wrong rule at one equation, and the ways in which rules are made from the true one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..primitives.record import unbroadcast
from ..tape import Equation
from .sweep import Contributions, Rule, Sweep, gathered

# Linear moves and sums, whose derivative nobody takes at a wrong place.
PLAIN = frozenset(
    {"negative", "cast", "copy", "add", "subtract", "reshape", "transpose", "broadcast_to", "sum", "slice"}
)


@dataclass(frozen=True)
class Slip:
    """A wrong rule for the equation at ``position``: the derivative of ``subject`` and that equation is ``words``."""

    position: int
    label: str
    words: str
    rule: Rule
    subject: str = ""


def telling(value: Any) -> bool:
    """Whether an array has different entries; a constant taken for another array explains nothing."""
    return np.size(value) > 1 and bool(np.any(value != np.ravel(value)[0]))


def others(sweep: Sweep, number: int) -> list[int]:
    """Values of the same shape with which a value might be confused, the nearest first."""
    shape = sweep.values[number].shape
    if not shape:
        return []
    found = [
        other
        for other, value in sweep.values.items()
        if other != number and value.shape == shape and value.dtype.kind == "f" and telling(value)
    ]  # fmt: skip
    return sorted(found, key=lambda other: (other in sweep.tape.constants, abs(other - number)))


def with_values(operands: Callable[[Sweep, Equation, Any], tuple[Any, Sequence[Any]]]) -> Rule:
    """The true rule with other values put into it; ``operands`` gives the result and the operands."""

    def rule(sweep: Sweep, equation: Equation, adjoint: Any) -> Contributions:
        y, given = operands(sweep, equation, adjoint)
        return gathered(equation, sweep.pull_each(equation, adjoint, y, given))

    return rule


def only(index: int, part: Callable[[Sweep, Equation, Any], Any]) -> Rule:
    """The true rule, but for the contribution to one operand."""

    def rule(sweep: Sweep, equation: Equation, adjoint: Any) -> Contributions:
        parts = sweep.pull_each(equation, adjoint)
        if parts[index] is not None:
            shape = sweep.values[equation.inputs[index]].shape
            parts[index] = unbroadcast(np.asarray(part(sweep, equation, adjoint)), shape)
        return gathered(equation, parts)

    return rule
