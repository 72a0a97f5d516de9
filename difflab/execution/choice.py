"""Whether a derivative program goes through its batch in blocks, in how many and on how many threads.

A forecast decides (``block_costs.py``), before anything is allocated, unless a number of blocks was asked for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import InputError
from ..tape import Tape
from ..transforms.checkpoints import Recomputed
from ..transforms.simplify import simplify
from .block_costs import NEAR, Amounts, Forecast, of_blocks, of_tape
from .blocks import Blocked
from .division import Division
from .examples import Mixed, divide
from .plan import make_plan
from .program import Program
from .threads import processors, team

SMALL = 300e-6
"""Programs that take no longer than so many seconds are not looked at: taking them apart would take as long."""
CANDIDATES = 6
"""So many leaves and axes are tried as the one that carries the examples."""
GAIN = 0.75
"""Blocks have to be forecast to take at most this share of the time in one piece; forecasts err by a quarter."""
ALIKE = 1.06
"""Forecasts so close say nothing."""
SHARE = 0.4
"""Blocks have to do so much of the work; what happens outside of them gains nothing."""


@dataclass(frozen=True)
class Blocking:
    """What was asked for: a number of blocks and of threads, or "auto" for either."""

    blocks: str | int = "auto"
    threads: str | int = "auto"


def check_blocking(owner: str, blocks: Any, threads: Any) -> None:
    """Both are "auto" or a whole number of at least 1.

    Raises:
        InputError: one is something else.
    """
    for name, value, what in (
        ("blocks", blocks, "in how many blocks a batch is computed (1: in one piece)"),
        ("threads", threads, "on how many threads"),
    ):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value != "auto" and not (whole and value >= 1):
            raise InputError(f"{owner}({name}={value!r}): {name} is 'auto' or a whole number of at least 1, {what}")


class Choice(NamedTuple):
    """What will run: a division in blocks on threads, or the tape in one piece; and why."""

    because: str
    division: Division | None = None
    blocks: int = 1
    threads: int = 1


def build(
    tape: Tape | Recomputed, copies: dict[int, Any] | None, *, asked: Blocking, wrt: Sequence[int]
) -> Program | Blocked:
    """The program of a derivative tape, in one piece or in blocks.

    Args:
        tape: value and gradients.
        copies: of constants, by the ids of the originals, which programs that are made together share.
        asked: the number of blocks and threads.
        wrt: positions of the inputs that are differentiated.

    Returns:
        The program; its ``stats`` say what was chosen, and why.
    """
    if isinstance(tape, Recomputed):
        return _noted(Program(tape, copies), "it computes values twice")
    tape = simplify(tape)
    choice = choose(tape, asked, wrt)
    if choice.division is None:
        return _noted(Program(tape, copies, simplified=True), choice.because)
    most = None if asked.threads == "auto" else choice.threads
    made = Blocked(choice.division, blocks=choice.blocks, threads=choice.threads, at_once=most, copies=copies)
    made.stats["blocked_because"] = choice.because
    return made


def _noted(program: Program, because: str) -> Program:
    program.stats.update(blocks=1, threads=1, whole_because=because)
    return program


def choose(tape: Tape, asked: Blocking, wrt: Sequence[int]) -> Choice:
    """What to run.

    Args:
        tape: simplified.
        asked: the number of blocks and threads.
        wrt: positions of the inputs that are differentiated.

    Returns:
        The choice.
    """
    if asked.blocks == 1:
        return Choice("it was asked for")
    whole = of_tape(tape)
    if asked.blocks == "auto" and whole.seconds(1, NEAR) < SMALL:
        return Choice("it is small")
    try:
        division, body = find(tape, [tape.inputs[position] for position in wrt], SHARE * whole.filled)
    except Mixed as why:
        return Choice(str(why))
    threads = min(processors(), team().blas_threads()) if asked.threads == "auto" else int(asked.threads)
    if asked.blocks != "auto":
        blocks = min(int(asked.blocks), division.count)
        return Choice("it was asked for", division, blocks, min(threads, blocks))
    return _cheapest(division, whole, body, threads)


def find(tape: Tape, moving: Sequence[int], least: float) -> tuple[Division, Amounts]:
    """The first division that gives enough of the work to blocks.

    Args:
        tape: simplified.
        moving: numbers of the inputs that are differentiated.
        least: seconds that the work in blocks has to take, without the starts of calls.

    Returns:
        The division, and what its blocks take.

    Raises:
        Mixed: there is none; says why the most promising leaf gives none.
    """
    reason: Mixed | None = None
    for seed, axis in itertools.islice(_leaves(tape, frozenset(moving)), CANDIDATES):
        try:
            division = divide(tape, seed, axis, moving)
        except Mixed as why:
            reason = reason or why
            continue
        body = of_blocks(division)
        if body.filled >= least:
            return division, body
        reason = reason or Mixed("much of the work is the same for all examples")
    raise reason or Mixed("nothing has an axis of examples")


def _leaves(tape: Tape, moving: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Leaves and axes that may carry examples, the likeliest first: axis 0, of large ones before small ones.

    Data come before parameters, and only of data is the last axis tried: blocks of a parameter's columns would do for
    some losses that mix examples, and would not be blocks of examples.
    """
    leaves = [number for number in (*tape.inputs, *tape.constants) if tape.avals[number].size > 1]
    leaves.sort(key=lambda number: (number in moving, -tape.avals[number].size))
    for number in leaves:
        if tape.avals[number].shape[0] > 1:
            yield number, 0
    for number in leaves:
        shape = tape.avals[number].shape
        if len(shape) > 1 and shape[-1] > 1 and number not in moving:
            yield number, len(shape) - 1


def _cheapest(division: Division, whole: Amounts, body: Amounts, threads: int) -> Choice:
    """The number of blocks that the forecast likes best, or one piece."""
    forecast = Forecast(division, whole, body, make_plan(division.tape).nbytes, threads)
    at_once = forecast.in_one()
    times = {blocks: forecast.in_blocks(blocks) for blocks in _numbers(division.count, max(threads, 2))}
    seconds = min(times.values(), default=math.inf)
    if seconds > GAIN * at_once:
        return Choice(f"one piece is forecast to take {_text(at_once)}, blocks {_text(seconds)}")
    # Among equals the one whose arrays are the smallest.
    best = max(blocks for blocks, found in times.items() if found <= ALIKE * seconds)
    because = f"{best} blocks are forecast to take {_text(times[best])}, one piece {_text(at_once)}"
    return Choice(because, division, best, min(threads, best))


def _numbers(count: int, first: int) -> list[int]:
    """Numbers of blocks to look at, each about twice the one before; where possible they divide the examples evenly."""
    found: list[int] = []
    wanted = first
    while wanted <= count:
        near = [one for one in range(wanted, min(wanted + wanted // 2, count) + 1) if one % first == 0]
        found.append(next((one for one in near if count % one == 0), wanted))
        wanted *= 2
    return found


def _text(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds < math.inf else "for ever"
