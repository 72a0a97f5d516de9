"""What cases take, in seconds: the programs that a backend runs, priced by a calibration of the machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..backends.protocol import Cost, Scalars, Work
from ..execution.plan import make_plan
from ..tape import Tape
from ..transforms.simplify import simplify
from .equation_prices import Prices, Reading

PREPARING = 250
"""Python calls that preparing takes at least."""
ENGINES = {"python": 1.0, "numpy": 1.0, "cupy": 1.0, "c": 0.05, "symengine": 0.2, "casadi": 0.2}
"""Seconds per operation of a program of single numbers, as a multiple of those of Python."""


class Spent(NamedTuple):
    """Seconds to prepare, of the first call, and of every later one."""

    prepare: float
    first: float
    call: float


class Durations:
    """Seconds of programs on one machine.

    Args:
        speeds: what ``calibration.measure`` found there.
    """

    def __init__(self, speeds: Mapping[str, Any]):
        self.prices = Prices(speeds)

    # -------------------------------------------------------------------- a whole case

    def spent(self, cost: Cost, tape: Tape) -> Spent | None:
        """What a case will take.

        Args:
            cost: the forecast of its backend.
            tape: the recorded loss.

        Returns:
            Seconds; ``None`` where the backend does not say what it runs.
        """
        if not cost.works:
            return None
        prepare = PREPARING * self.prices.calls["python"] + (0.0 if math.isnan(cost.seconds) else cost.seconds)
        if not all(isinstance(work, Work) and work.plain for work in cost.works):
            prepare += self._made("record", len(tape))
        cold = call = 0.0
        for work in cost.works:
            if isinstance(work, Scalars):
                call += self._scalars(work)
                continue
            runs = work.tape if work.kept or work.plain else simplify(work.tape)
            once = self.plain(runs, ours=False) if work.plain else self.program(runs)
            call += work.runs * (once + work.calls * self.prices.calls["reduce"] + self._moved(work.nbytes))
            cold += self._made("set_up", len(runs))
            if not work.plain:
                prepare += self._made("batch" if work.batched else "derive", len(runs))
                cold += make_plan(runs).nbytes * self.prices.touch_s
        return Spent(prepare, call + cold, call)

    def _made(self, name: str, equations: int) -> float:
        return self.prices.compiling[f"{name}_start"] + equations * self.prices.compiling[name]

    def _scalars(self, work: Scalars) -> float:
        each = self.prices.python["operation"] * ENGINES[work.code]
        return work.runs * (
            work.operations * each + work.numbers * self.prices.python["number"] + self.prices.calls["linalg"]
        )

    def _moved(self, nbytes: float) -> float:
        return nbytes * self.prices.byte_s(nbytes)

    # -------------------------------------------------------------------- one program

    def program(self, tape: Tape) -> float:
        """Seconds of one run of a compiled program.

        Args:
            tape: what it computes, simplified.
        """
        plan = make_plan(tape)
        tape = plan.tape
        held = plan.nbytes + sum(tape.avals[number].nbytes for number in {*tape.inputs, *tape.outputs, *tape.constants})
        reading = Reading(self.prices, plan, self.prices.byte_s(held))
        quiet = [equation.output in plan.quiet for equation in tape.equations]
        switches = sum(here and not before for before, here in zip([False, *quiet], quiet, strict=False))
        total = self.prices.compiling["run"] + switches * self.prices.calls["quiet"]
        for position, equation in enumerate(tape.equations):
            total += reading.seconds(equation, plan.operands[position], quiet[position])
        return total + sum(self.prices.calls["copy"] for number in tape.outputs if plan.places[number] != "result")

    def plain(self, tape: Tape, ours: bool = True) -> float:
        """Seconds of the plain function that a tape records, which makes a new array in every step.

        Args:
            tape: the recording.
            ours: whether it calls functions of difflab, which look for traced arrays; otherwise it is NumPy alone.
        """
        plan = make_plan(tape)
        reading = Reading(self.prices, plan, self.prices.byte_s(tape.bytes))
        each = self.prices.compiling["plain"] if ours else self.prices.calls["fresh"]
        total = 0.0
        for position, equation in enumerate(plan.tape.equations):
            total += each + reading.seconds(equation, plan.operands[position], False)
        return total
