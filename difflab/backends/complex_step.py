"""The complex step: Im f(x + ih) / h, which subtracts nothing and so needs no balance of errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from ..execution.chunks import check_chunk, chunked, lanes_of, sweep_bytes
from ..tape import Tape
from ..transforms.second_order import avals_of
from .complex_quotients import PreparedComplexStep, calls_of, refuse_complex_variables, sweep_of
from .complex_tapes import complex_tape
from .complexify import complexify
from .nearby import flags_of
from .protocol import Cost, Source, Work
from .steps import positive
from .sweeps import AROUND, result_bytes, shown, sweep_work

OPERATORS = ("gradient", "value_and_gradient", "jvp", "vjp", "jacobian", "hvp")


@dataclass(frozen=True)
class ComplexStep:
    """The complex step, a chunk of coordinates at a time.

    Lyness & Moler (1967), SIAM Journal on Numerical Analysis 4, 202-210; Squire & Trapp (1998), SIAM Review 40,
    110-112.  Truncation is h**2, so the step is so small that nothing of it is left in the real parts: about 1e-200 in
    double precision, 1e-20 in single precision.  On a tape every primitive is analytic, takes the branch of the real
    part, or is refused by name; a function that cannot be traced must take complex numbers and return them, and is held
    against central differences along one line, once, at the point for which it is prepared.  Hessian-vector products
    are central differences of fourth order of complex-step gradients (after Lai & Crassidis, 2008).

    Values on the way that are smaller than about 1e-108 (1e-18 in single precision) lose their derivative, as the
    probabilities in the logarithm of a softmax may be; a larger ``step`` keeps it.

    Args:
        step: "auto", or a positive number used for every coordinate.
        chunk: how many coordinates are moved at once in a function that can be traced, or "auto": as many as fill the
            cache.

    Example:
        >>> ComplexStep()
        ComplexStep(step='auto')
    """

    step: str | float = "auto"
    chunk: str | int = "auto"
    name: str = field(default="complex-step", init=False, repr=False)
    family: str = field(default="complex-step", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "nest", "black-box")), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.step != "auto" and not positive(self.step):
            raise InputError(f"ComplexStep(step={self.step!r}): the step is 'auto' or a positive number")
        check_chunk("ComplexStep", self.chunk)

    def __repr__(self) -> str:
        return shown("ComplexStep", self.chunk, step=self.step)

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """n complex evaluations and one real one for a gradient; four times as many complex ones for a product."""
        variables = avals_of(tape, wrt)
        refuse_complex_variables(variables, [tape.names.get(tape.inputs[i], f"argument {i}") for i in wrt])
        flags, results = flags_of(tape, wrt), result_bytes(tape, operator, wrt)
        directions, points = sweep_of(variables, operator)
        whole = chunked(complexify(tape, wrt), flags, directions, self.chunk, points=points)
        calls = calls_of(variables, operator)
        each = whole.flops / (points * lanes_of(whole, flags, points))
        works = (Work(tape), sweep_work(whole, flags, variables, directions, points, AROUND, width=2))
        nbytes = sweep_bytes(whole, flags, directions, points) + results
        return Cost(float(calls), calls * each, nbytes, works=works)

    def derivative(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Tape:
        """The quotients written out as a tape for use inside another derivative, all coordinates in one batch."""
        return complex_tape(tape, operator, wrt, self.step)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedComplexStep:
        """Make the loss complex and compile it if it can be traced; a black box is called with complex numbers."""
        return PreparedComplexStep(self, source, operator)
