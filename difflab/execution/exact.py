"""Certified values: a tape in ball arithmetic, the precision doubled until every enclosure is narrow.

The result encloses what the tape computes in real numbers, at the inputs and constants as given.  An error measured
against it is a statement, not a comparison between two programs.  Where balls that look the same meet in a choice, the
tape runs again with ``provenance.py``, which proves them equal if they were computed alike; others are given the chance
to part at a higher precision, and at the last one are taken for ties, which the result then says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import UndecidedError
from ..primitives.record import Aval, Primitive
from ..tape import Equation, Tape
from .arithmetic import MOVES, elementwise, evaluate
from .balls import Balls, ball, precision
from .provenance import Provenance


class Certified(NamedTuple):
    """Enclosures of the outputs of a tape: output ``k`` lies within ``radius[k]`` of ``high[k] + low[k]``.

    ``high``, ``low``, ``radius``: lists of float64 arrays, one per output; the sum is not to be rounded to float64.
    ``bits``: the working precision that was needed.  ``ties``: how often a choice met balls certainly equal.
    ``narrow``: whether every radius met the target.  ``unproven``: how often balls only looked equal, at the last
    precision, and were taken for ties: the enclosures hold if those ties are real.  ``balls``: the enclosures
    themselves, object arrays.  ``provenance``, ``trusting``: how ties were settled, see ``certify``.
    ``open``: whether the function's value hangs on a comparison of equal numbers, or on a rounding at a jump.
    """

    high: list[np.ndarray]
    low: list[np.ndarray]
    radius: list[np.ndarray]
    bits: int
    ties: int
    narrow: bool
    unproven: int = 0
    balls: list[np.ndarray] = []  # noqa: RUF012 (the default of a named tuple, never written to)
    provenance: bool = False
    trusting: bool = False
    open: bool = False

    @property
    def reason(self) -> str:
        """What a reader of the certificate should know besides the numbers; empty where there is nothing."""
        remarks = []
        if self.ties:
            remarks.append(f"{self.ties} comparisons met a tie, settled by the kink table")
        if self.open:
            remarks.append(
                "the function itself compares equal numbers or rounds at a jump, of which the table says nothing"
            )
        if self.unproven:
            remarks.append(
                f"{self.unproven} comparisons met numbers that agree in all of {self.bits} bits without proof that "
                "they are equal; they were taken for ties"
            )
        if not self.narrow:
            remarks.append(f"enclosures are wider than asked for at {self.bits} bits")
        return "; ".join(remarks)


def certify(
    tape: Tape,
    leaves: Sequence[Any],
    bits: int = 160,
    target: float = 1e-30,
    max_bits: int = 1280,
    deadline_s: float | None = None,
    wrt: Sequence[int] | None = None,
) -> Certified:
    """Enclose the outputs of a tape.

    Args:
        tape: any tape of primitives with exact rules; not simplified, for folded literals are already rounded.
        leaves: one array or number per input, taken exactly.
        bits: first working precision.
        target: largest radius wanted, relative to the largest entry of the same output.
        max_bits: last working precision; each try doubles it.
        deadline_s: seconds after which to give up, or None.
        wrt: the inputs that a derivative lets move, by default all: Python may branch where others are equal.

    Returns:
        ``Certified``.

    Raises:
        UndecidedError: at ``max_bits`` a choice is still undecided (a kink) or a value is not enclosed at all.
        UnsupportedError: a primitive without exact rule.
        TimeoutError: the deadline passed.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> third = certify(trace_leaves(lambda leaves: [leaves[0] / 3.0], [1.0]), [1.0])
        >>> float(third.high[0]), float(third.low[0])
        (0.3333333333333333, 1.850371707708594e-17)
    """
    started = time.monotonic()

    def before(primitive: Primitive) -> None:
        if deadline_s is not None and time.monotonic() - started > deadline_s:
            raise TimeoutError(f"no certificate within {deadline_s:g} s (at `{primitive.name}`, {bits} bits)")

    provenance, trusting = False, False
    while True:
        balls = Balls(trusting=trusting)
        try:
            watch = _Guarded(tape, balls, Provenance() if provenance else None, wrt)
            result = _enclosed(tape, leaves, bits, target, balls, before, watch)
        except UndecidedError as error:
            if balls.unproven and not provenance:
                # Balls that look the same: perhaps they were computed alike, which is a proof.
                provenance = True
                continue
            if 2 * bits > max_bits:
                if not balls.unproven or trusting:
                    raise UndecidedError(f"{error} (at {bits} bits, the last precision tried)") from None
                trusting = True
                continue
        else:
            if result.narrow or 2 * bits > max_bits:
                return result._replace(provenance=provenance, trusting=trusting)
        bits *= 2


def _enclosed(
    tape: Tape, leaves: Sequence[Any], bits: int, target: float, balls: Balls, before: Any, watch: _Guarded
) -> Certified:
    """One try at one precision."""
    parts: tuple[list, list, list] = ([], [], [])
    with precision(bits):
        outputs = evaluate(tape, leaves, balls, before=before, after=watch)
        watch.check()
        for output in outputs:
            columns = list(zip(*[split(value) for value in output.ravel().tolist()], strict=True)) or [(), (), ()]
            for part, column in zip(parts, columns, strict=True):
                part.append(np.array(column, dtype=np.float64).reshape(output.shape))
    high, low, radius = parts
    if any(not np.isfinite(array).all() for array in radius):
        raise UndecidedError(
            "a value has no finite enclosure: it is infinite, not a number, or at the edge of a function's domain"
        )
    sizes = [float(np.max(np.abs(array), initial=0.0)) for array in high]
    widths = [float(np.max(array, initial=0.0)) for array in radius]
    largest = max(sizes, default=0.0)
    # What cancels to zero never becomes narrow relative to itself; it is compared with what there is besides.
    narrow = all(
        width <= target * size or (size <= width and width <= target * target * largest)
        for size, width in zip(sizes, widths, strict=True)
    )
    return Certified(high, low, radius, bits, balls.ties - balls.unproven, narrow, balls.unproven, outputs,
        open=watch.undone,
    )  # fmt: skip


class _Guarded:
    """Refuses a Python branch that was decided where two numbers are equal, or at the edge of a step.

    A branch that is taken at a point of equality only, ``if x == 0``, says nothing of the points beside it, so the
    derivative of what was recorded need not be that of the function.  What was decided there is open, and so is all
    that is made of it; an element that was gathered by it is not, for a sorted array or a maximum has no jump at a tie.
    Asking of what was chosen at a tie itself, ``if abs(x) > tol`` at 0, is as open.
    What does not move, and what comes in steps away from their edges, is fixed: it may be equal to anything.
    """

    def __init__(self, tape: Tape, balls: Balls, after: Any, wrt: Sequence[int] | None) -> None:
        self.tape, self.balls, self.after = tape, balls, after
        self.equations = enumerate(tape.equations)
        self.own = len(tape) if tape.quiet_from is None else tape.quiet_from
        self.known = balls.touched
        moving = tape.inputs if wrt is None else [tape.inputs[position] for position in wrt]
        self.moving = {number for number in moving if tape.avals[number].dtype.kind not in "biu"}
        self.open: set[int] = set()
        self.tied: set[int] = set()

    def __call__(self, primitive: Primitive, arrays: Sequence[Any], params: Any, result: Any) -> Any:
        position, equation = next(self.equations)
        met, self.known = self.balls.touched - self.known, self.balls.touched
        # Rules of derivatives ask for equality to find ties; what the function itself asks is another matter.
        if self.tape.guards or position < self.own:
            self._note(equation, arrays, met > 0)
        return result if self.after is None else self.after(primitive, arrays, params, result)

    def _note(self, equation: Equation, arrays: Sequence[Any], touched: bool) -> None:
        numbers, name = equation.inputs, equation.primitive.name
        moves = not self.moving.isdisjoint(numbers)
        if name == "gather" and numbers[0] in self.moving:
            numbers = numbers[:1]
        kind = self.tape.avals[equation.output].dtype.kind
        steps = equation.primitive.jvp is None or kind in "biu"
        edge = _at_an_edge(name, kind, arrays) if name in ROUNDINGS else steps and touched
        if not self.open.isdisjoint(numbers) or (moves and edge) or (steps and not self.tied.isdisjoint(numbers)):
            self.open.add(equation.output)
        elif moves and not steps:
            self.moving.add(equation.output)
            if touched:
                self.tied.add(equation.output)

    @property
    def undone(self) -> bool:
        """Whether the function's own value hangs on what is open."""
        own = {equation.output for equation in self.tape.equations[: self.own]}
        values = own.intersection(self.tape.outputs) or {e.output for e in self.tape.equations[: self.own][-1:]}
        return not self.open.isdisjoint(values)

    def check(self) -> None:
        """Raise where Python saw what is open."""
        # The truth of a number is false at 0 only.
        false = [guard.value for guard in self.tape.guards if guard.observed is False]
        if not self.open.isdisjoint([guard.value for guard in self.tape.guards]) or not self.moving.isdisjoint(false):
            raise UndecidedError(
                "Python took a branch where two numbers are equal, so the derivative of what was recorded need "
                "not be that of the function"
            )


ROUNDINGS = frozenset({"rint", "floor", "ceil", "trunc", "cast", "floor_divide", "remainder", "fmod", "fraction"})


def _at_an_edge(name: str, kind: str, arrays: Sequence[Any]) -> bool:
    """Whether a rounding, whose result is of that kind of dtype, stands where it jumps."""
    if name == "rint":
        return any(_whole(item + item) and not _whole(item) for item in arrays[0].ravel().tolist())
    if name in ("floor", "ceil"):
        return any(map(_whole, arrays[0].ravel().tolist()))
    if name == "cast" and kind == "b":
        return any(map(_zero, arrays[0].ravel().tolist()))
    if name in ("trunc", "fraction") or (name == "cast" and kind in "iu"):
        return any(_whole(item) and not _zero(item) for item in arrays[0].ravel().tolist())
    if name in ("floor_divide", "remainder", "fmod"):
        return any(map(_whole, elementwise(lambda a, b: ball(a) / ball(b), *arrays).ravel().tolist()))
    return False


def _whole(item: Any) -> bool:
    return ball(item).is_exact() and ball(item).is_integer()


def _zero(item: Any) -> bool:
    return ball(item).is_zero()


def split(value: Any) -> tuple[float, float, float]:
    """A ball as (high, low, radius) in doubles, the radius rounded up; infinite where there is no enclosure."""
    value = ball(value)
    high = float(value.mid())
    if not value.is_finite() or not math.isfinite(high):
        return math.nan, math.nan, math.inf
    rest = value - ball(high)
    low = float(rest.mid())
    radius = float((rest - ball(low)).abs_upper())
    return high, low, math.nextafter(radius, math.inf) if radius or not (rest - ball(low)).is_zero() else 0.0


# ---------------------------------------------------------------------------- forecast

# Seconds per scalar at 160 bits, measured with python-flint 0.9 on one x86-64 core and rounded up.
ENTRY_S = 1e-6
RESULT_S = 4e-6
MOVE_S = 2e-8
ARITHMETIC_S = 2e-7
CHOICE_S = 8e-7
FUNCTION_S = 1.5e-6
PRODUCT_S = 1.5e-8
CHEAP = frozenset({"divide", "reciprocal", "square", "integer_power", "cast", "where", "zeros_like"})


def forecast_seconds(tape: Tape) -> float:
    """A rough time for ``certify`` at its first precision.

    Args:
        tape: what would be certified.

    Returns:
        Seconds on one core.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> forecast_seconds(trace_leaves(lambda leaves: [leaves[0] / 3.0], [1.0])) < 0.001
        True
    """
    total = ENTRY_S * sum(tape.avals[number].size for number in (*tape.inputs, *tape.constants))
    total += RESULT_S * sum(tape.avals[number].size for number in tape.outputs)
    for equation in tape.equations:
        operands = [tape.avals[number] for number in equation.inputs]
        total += _equation_seconds(equation.primitive, operands, tape.avals[equation.output])
    return total


def _equation_seconds(primitive: Primitive, operands: list[Aval], out: Aval) -> float:
    scalars = max([out.size, *[aval.size for aval in operands]])
    if primitive.view:
        return MOVE_S
    if primitive.name == "matmul":
        return PRODUCT_S * out.size * operands[0].shape[-1] + ARITHMETIC_S * (out.size + sum(a.size for a in operands))
    if primitive.name in CHEAP or primitive.exact is None:
        return (ARITHMETIC_S if primitive.name not in MOVES or primitive.kind == "elementwise" else MOVE_S) * scalars
    return (FUNCTION_S if isinstance(primitive.exact, str) else CHOICE_S) * scalars
