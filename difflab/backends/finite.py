"""Finite differences: quotients of nearby values. Works on black boxes, and pays for it in accuracy and calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import InputError
from ..execution.chunks import check_chunk, chunk_bytes, chunked
from ..tape import Tape
from ..transforms.second_order import avals_of
from .perturbed import PreparedFinite, flags_of, sweep_of
from .protocol import OPERATORS, Cost, Source
from .quotients import quotient_tape
from .stencils import SCHEMES
from .sweeps import result_bytes, shown


@dataclass(frozen=True)
class Finite:
    """Finite differences, a chunk of coordinates at a time.

    The automatic step balances truncation against rounding (Nocedal & Wright, 2006, section 8.1): with the unit
    roundoff u of the dtype, sqrt(u) for forward and u**(1/3) for central differences, times max(1, |x|).  Second
    derivatives are second differences of the function (Abramowitz & Stegun, 1964, 25.3.26) with steps of u**(1/3) and
    u**(1/4): their error, of order u**(1/2) for central ones, is less than that of differences of such gradients.

    Args:
        scheme: "central", (f(x+h) - f(x-h)) / 2h, or "forward", (f(x+h) - f(x)) / h.
        step: "auto", or a positive number used for every coordinate.
        chunk: how many coordinates are moved at once in a function that can be traced, or "auto": as many as fill the
            cache.

    Example:
        >>> Finite(scheme="forward")
        Finite(scheme='forward', step='auto')
    """

    scheme: str = "central"
    step: str | float = "auto"
    chunk: str | int = "auto"
    name: str = field(default="finite", init=False, repr=False)
    family: str = field(default="finite", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "nest", "black-box")), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InputError(f"Finite(scheme={self.scheme!r}): the schemes are {', '.join(map(repr, SCHEMES))}")
        number = isinstance(self.step, int | float | np.number) and not isinstance(self.step, bool)
        if self.step != "auto" and not (number and 0 < self.step < np.inf):  # type: ignore[operator] (a number)
            raise InputError(f"Finite(step={self.step!r}): the step is 'auto' or a positive number")
        check_chunk("Finite", self.chunk)

    def __repr__(self) -> str:
        return shown("Finite", self.chunk, scheme=self.scheme, step=self.step)

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """2n evaluations (central) or n + 1 (forward) for a gradient, four for every second derivative."""
        directions, points = sweep_of(avals_of(tape, wrt), operator, self.scheme)
        calls = points * directions
        if operator not in ("hvp", "hessian"):
            calls += self.scheme == "forward" or operator != "gradient"
        flags = flags_of(tape, wrt)
        whole = chunked(tape, flags, directions, self.chunk, points=points)
        return Cost(float(calls), calls * tape.flops, chunk_bytes(whole, flags) + result_bytes(tape, operator, wrt))

    def derivative(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Tape:
        """The quotients written out as a tape for use inside another derivative, all coordinates in one batch.

        The steps follow the magnitude of the traced values and are constants to that other derivative.
        """
        return quotient_tape(tape, operator, wrt, self.scheme, self.step)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedFinite:
        """Compile the loss itself if it can be traced; a black box is called as it is."""
        return PreparedFinite(self, source, operator)
