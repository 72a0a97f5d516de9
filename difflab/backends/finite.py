"""Finite differences: quotients of nearby values. Works on black boxes, and pays for it in accuracy and calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from ..execution.chunks import check_chunk, chunked, sweep_bytes
from ..execution.parts import parts_of
from ..tape import Tape
from ..transforms.second_order import avals_of
from .limits import check_bounds
from .nearby import flags_of
from .perturbed import PreparedFinite, around_bytes, calls_of, function_of, quotients_of, sweep_of
from .protocol import OPERATORS, SECOND_ORDER, Cost, Source, Work
from .quotients import quotient_tape
from .stencils import Plan, plan_of
from .steps import positive
from .sweeps import AROUND, part_work, parts_bytes, result_bytes, shown, sweep_work


@dataclass(frozen=True)
class Finite:
    """Finite differences, a chunk of coordinates at a time.

    The automatic step balances truncation against rounding (Nocedal & Wright, 2006, section 8.1): noise**(1 / (p + 1))
    for a scheme of order p, times max(1, |x|).  Second derivatives are products of two such quotients, with steps of
    noise**(1 / (p + 2)); of second order that is Abramowitz & Stegun (1964), 25.3.26.  The weights are Fornberg's
    (1988).  Richardson's extrapolation takes central quotients at ``order / 2 + 2`` steps that fall geometrically, and
    of each coordinate the entry of the tableau with the least estimated error (Ridders, 1982).

    High orders owe their accuracy to wide stencils, which at order 8 reach 0.03 max(1, |x|) to both sides, and lose it
    where a kink or half a period is nearer than that.  ``estimate`` tells so, and "richardson" has shorter steps to
    choose from.

    Args:
        scheme: "central", "forward", "backward" or "richardson".
        step: "auto", or a positive number used for every coordinate; "richardson" halves it.
        chunk: how many coordinates are moved at once in a function that can be traced, or "auto": as many as fill the
            cache.
        order: of accuracy; even numbers from 2 ("richardson": 4) to 8, "forward" and "backward" 1 to 8; by default
            the lowest, for "richardson" 8.
        bounds: ``None`` or a pair (lower, upper), each a number or a container like the differentiated argument, which
            no point ever leaves: near them quotients become one-sided, of the same order.
        noise: ``None`` for the rounding of the dtype, the absolute noise of the function's values as a positive number,
            or "estimate" (Moré & Wild, 2011) at the cost of 18 evaluations.
        estimate: estimate the error of every coordinate from quotients at half the step, at twice the cost;
            "richardson" always does.

    Example:
        >>> Finite(scheme="forward"), Finite(order=4, bounds=(0.0, 1.0))
        (Finite(scheme='forward', step='auto'), Finite(scheme='central', step='auto', order=4, bounds=(0.0, 1.0)))
    """

    scheme: str = "central"
    step: str | float = "auto"
    chunk: str | int = "auto"
    order: int | None = None
    bounds: tuple[Any, Any] | None = None
    noise: str | float | None = None
    estimate: bool = False
    name: str = field(default="finite", init=False, repr=False)
    family: str = field(default="finite", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "nest", "black-box")), init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.estimate, bool):
            raise InputError(f"Finite(estimate={self.estimate!r}): estimate is True or False")
        plan_of(self.scheme, self.order, self.estimate)
        if self.step != "auto" and not positive(self.step):
            raise InputError(f"Finite(step={self.step!r}): the step is 'auto' or a positive number")
        if self.noise is not None and self.noise != "estimate" and not positive(self.noise):
            raise InputError(f"Finite(noise={self.noise!r}): the noise is None, 'estimate' or a positive number")
        if self.noise is not None and self.step != "auto" and not self.plan.columns and not self.estimate:
            raise InputError(
                f"Finite(step={self.step!r}, noise={self.noise!r}): the noise chooses the step, and the step is given; "
                "leave out one of the two, or ask for estimate=True"
            )
        object.__setattr__(self, "bounds", check_bounds(self.bounds))
        if self.plan.levels > 1:
            object.__setattr__(self, "capabilities", self.capabilities | {"error-estimate"})
        if self.bounds is None:  # near a bound each coordinate has to find its own way
            object.__setattr__(self, "capabilities", self.capabilities | {"sizes"})
        check_chunk("Finite", self.chunk)

    def __repr__(self) -> str:
        usual = {"order": None, "bounds": None, "noise": None, "estimate": False}
        others = {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) is not value}
        return shown("Finite", self.chunk, scheme=self.scheme, step=self.step, **others)

    @property
    def plan(self) -> Plan:
        """What scheme, order and estimate come to."""
        return plan_of(self.scheme, self.order, self.estimate)

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """All evaluations: of a gradient by n coordinates 2n + 1 (central) or n + 1 (forward)."""
        variables, flags = avals_of(tape, wrt), flags_of(tape, wrt)
        calls = calls_of(variables, operator, self)
        directions, points = sweep_of(variables, operator, self.plan, self.bounds is not None)
        nbytes = around_bytes(tape, operator, wrt, self.plan)
        works = [Work(tape, 1.0 + (points if operator == "jvp" else 0), AROUND)]
        if operator != "jvp":
            nbytes += result_bytes(tape, operator, wrt)
            if operator in SECOND_ORDER:
                whole = chunked(tape, flags, directions, self.chunk, points=points)
                nbytes += sweep_bytes(whole, flags, directions, points, extra=quotients_of(points, second=True))
                works.append(sweep_work(whole, flags, variables, directions, points, AROUND))
            else:
                parts = parts_of(tape, function_of(wrt), variables, self.chunk, points)
                nbytes += parts_bytes(parts, points, extra=quotients_of(points))
                works.extend([part_work(part, variables, points, AROUND) for part in parts])
        return Cost(float(calls), calls * tape.flops, nbytes, works=tuple(works))

    def derivative(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Tape:
        """The quotients written out as a tape for use inside another derivative, all coordinates in one batch.

        The steps follow the magnitude of the traced values and are constants to that other derivative.
        """
        return quotient_tape(tape, operator, wrt, self)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedFinite:
        """Compile the loss itself if it can be traced; a black box is called as it is."""
        return PreparedFinite(self, source, operator)
