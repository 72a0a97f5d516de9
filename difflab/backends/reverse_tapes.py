"""The tapes that reverse mode runs for gradients and pullbacks, with all values kept or some computed again."""

from __future__ import annotations

from dataclasses import dataclass

from .. import transforms
from ..errors import ForecastError
from ..execution.amounts import count
from ..execution.blocks import blocked_bytes
from ..execution.choice import Blocking, choose
from ..execution.fitting import fewest_checkpoints, fit
from ..execution.footprint import programs_bytes
from ..tape import Tape
from ..transforms.checkpoints import Recomputed, Recomputing, recompute_split, unchanged
from ..transforms.convolutions import pool_before_relu, rearranged
from ..transforms.schedules import fewest_advances
from ..transforms.split import split

MOST_EQUATIONS = 300_000
"""More copies than that take minutes to compile, and gigabytes."""


@dataclass(frozen=True)
class Keeping:
    """What waits for the backward part: everything, so many states at a time, or what fits in so many bytes."""

    checkpoints: int | None = None
    memory: int | None = None


EVERYTHING = Keeping()


def gradient_tape(
    tape: Tape, wrt: tuple[int, ...], keeping: Keeping, blocking: Blocking, device: str = "cpu"
) -> Tape | Recomputed:
    """The tape of value and gradients; where everything is kept, it may need simplification.

    Args:
        tape: of the loss.
        wrt: positions of the inputs to differentiate.
        keeping: what waits for the backward part.
        blocking: in how many blocks the batch may go where everything is kept.
        device: "cpu" or "gpu".

    Raises:
        ForecastError: nothing fits in the memory, or so few checkpoints take too many copies.
    """
    derived = transforms.gradient(pool_before_relu(tape), wrt)
    # The order of patches that suits NumPy's loops does not suit a GPU, whose programs have kernels for them.
    if device == "cpu" and any(equation.primitive.name == "windows" for equation in derived.equations):
        derived = rearranged(transforms.simplify(derived))
    if keeping == EVERYTHING:
        return derived
    derived = transforms.simplify(derived)
    if keeping.memory is None:
        return _with_checkpoints(derived, 1, keeping)
    if _usual_bytes(derived, wrt, blocking, device) <= keeping.memory:
        return derived
    if programs_bytes([derived]) <= keeping.memory:  # where the blocks' threads together take more
        return unchanged(derived)
    return fit(derived, 1, keeping.memory)[0]


def vjp_tapes(tape: Tape, wrt: tuple[int, ...], keeping: Keeping) -> tuple[Tape | Recomputed, ...]:
    """The tape that gives outputs and residuals, and that of the pullback.

    Args:
        tape: of the function.
        wrt: positions of the inputs to differentiate.
        keeping: what waits for the pullback.

    Raises:
        ForecastError: nothing fits in the memory, or so few checkpoints take too many copies.
    """
    derived, outputs = transforms.simplify(transforms.vjp(tape, wrt)), len(tape.outputs)

    def finish(plan: Recomputed) -> tuple[Recomputed, ...]:
        return recompute_split(plan, outputs, outputs)

    if keeping.checkpoints is not None:
        return finish(_with_checkpoints(derived, outputs, keeping))
    usual = split(derived, outputs, outputs)
    if keeping.memory is None or programs_bytes(usual) <= keeping.memory:
        return usual
    return fit(derived, outputs, keeping.memory, finish)


def _with_checkpoints(derived: Tape, values: int, keeping: Keeping) -> Recomputed:
    """The tape that keeps so many states, unless it had far too many copies."""
    checkpoints = keeping.checkpoints or 0
    tape = Recomputing(derived, values)
    copies = fewest_advances(tape.steps, checkpoints) * tape.forward.length / tape.steps
    if copies > MOST_EQUATIONS:
        raise ForecastError(
            f"Reverse(checkpoints={checkpoints}) would compute some {count(copies)} equations again for a loss of "
            f"{count(tape.forward.length)}: take {fewest_checkpoints(tape.steps)} checkpoints or more, or memory="
        )
    return tape.keeping(checkpoints)


def _usual_bytes(derived: Tape, wrt: tuple[int, ...], blocking: Blocking, device: str) -> int:
    """What the program takes that keeps everything, in blocks or in one piece."""
    if device == "cpu":
        choice = choose(derived, blocking, wrt)
        if choice.division is not None:
            return blocked_bytes(choice.division, choice.blocks, choice.threads)
    return programs_bytes([derived])
