"""Checkpoints: keep few values of the forward part, and compute the others again when the backward part asks for them.

Reverse mode reads the values of the forward part in reverse order, so all of them wait for it.  Here the forward part
is cut between its steps, only what lives across a cut is kept, and what the backward part reads of a step is recomputed
from the nearest cut just before it is first read, by copies of the forward equations.  On the way there, values across
further cuts are kept as long as fewer than ``checkpoints`` of them are; which, is what ``schedules.py`` says, so that a
chain takes as few steps forward as can be (Griewank & Walther, 2000; 2008, chapter 12).  What is neither across a cut
nor of the step that is being reversed is forgotten: whoever reads it later gets another copy.  The result is an
ordinary tape: that the memory of a forgotten value is free is read off it by the plan, as for any tape.

Every copy rounds as its original does, so derivatives are the same to the last bit.  Some values are kept whatever the
cuts: what the tape returns, what a user's opaque primitive gave (nobody knows what its code costs or does besides),
sums of kept values, which are small and whose rounding depends on how their operand lies in memory, and what the
backward part reads out of turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..tape import Equation, Span, Tape
from .forward_part import Forward, Steps
from .schedules import Reversal
from .split import split


@dataclass(frozen=True)
class Recomputed:
    """A tape that computes some values more than once; simplifying it would merge them again.

    Attributes:
        tape: what to run.
        loud: the copies of equations of the plain function, by output: they run the very calls of their originals,
            although they stand among derivative equations.
        checkpoints: how many states are kept at most at a time; ``None``: everything is.
        kept_bytes: the bytes of the values kept because of them when the backward part begins.
        again: how often each value is computed again.
        steps: how many steps there were to cut between.
        share: the flops of the copies by those of the forward part.
    """

    tape: Tape
    loud: frozenset[int]
    checkpoints: int | None
    kept_bytes: int
    again: Counter[int]
    steps: int
    share: float

    @property
    def equations(self) -> int:
        """How many copies of equations there are."""
        return self.again.total()

    @property
    def levels(self) -> int:
        """How often the value is computed again that is so most often."""
        return max(self.again.values(), default=0)

    @property
    def notes(self) -> dict[str, float | None]:
        """What it did, for statistics."""
        return {
            "checkpoints": self.checkpoints,
            "levels": self.levels,
            "kept_bytes": self.kept_bytes,
            "recomputed_equations": self.equations,
            "recomputed_share": round(self.share, 6),
        }


NOTHING_AGAIN: dict[str, float | None] = {
    "checkpoints": None, "levels": 0, "kept_bytes": 0, "recomputed_equations": 0, "recomputed_share": 0.0
}  # fmt: skip
"""The notes of a program that computes nothing twice although it might have."""


def check_checkpoints(owner: str, checkpoints: Any) -> None:
    """Checkpoints are ``None`` or a whole number of at least 0.

    Raises:
        InputError: they are something else.
    """
    whole = isinstance(checkpoints, int | np.integer) and not isinstance(checkpoints, bool)
    if checkpoints is not None and not (whole and checkpoints >= 0):
        raise InputError(
            f"{owner}(checkpoints={checkpoints!r}): checkpoints are None or a whole number of at least 0, how many "
            "states of the forward pass are kept at most at a time"
        )


def recompute(
    tape: Tape, checkpoints: int, values: int = 1, *, every: bool = False, besides: Set[int] = frozenset()
) -> Recomputed:
    """A derivative tape that keeps at most ``checkpoints`` states of its forward part, and computes the rest again.

    A state is what lives between two steps, and steps lie between the places where the fewest bytes live around.

    Args:
        tape: a simplified tape from ``gradient`` or ``vjp``.
        checkpoints: how many states are kept at most at a time, beside the step that is being reversed.
        values: how many of the first outputs are those of the function itself.
        every: a step is a single equation, which needs less memory where steps are large.
        besides: values that are kept, whatever the cuts.

    Returns:
        The tape with copies of equations, and notes; outputs are the same, bit for bit.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.transforms import gradient, simplify
        >>> def loss(leaves):
        ...     x = leaves[0]
        ...     for _ in range(8):
        ...         x = np.sin(x)
        ...     return [np.sum(x)]
        >>> tape = simplify(gradient(trace_leaves(loss, [np.ones(3)]), (0,)))
        >>> found = recompute(tape, 3)
        >>> found.checkpoints, found.levels, found.equations
        (3, 1, 3)
        >>> bool(np.all(found.tape.evaluate([np.ones(3)])[1] == tape.evaluate([np.ones(3)])[1]))
        True
    """
    return Recomputing(tape, values, every=every).keeping(checkpoints, besides)


def unchanged(tape: Tape) -> Recomputed:
    """The tape itself, which computes nothing again and is not to be simplified."""
    return Recomputed(tape, frozenset(), None, 0, Counter(), 0, 0.0)


class Recomputing:
    """One derivative tape, of which programs with different checkpoints are made.

    Args:
        tape: as for ``recompute``.
        values: as for ``recompute``.
        every: as for ``recompute``.
    """

    def __init__(self, tape: Tape, values: int = 1, *, every: bool = False):
        self.tape = tape
        self.forward = Forward(tape, values)
        self.places = self.forward.places(every=every)
        self.costs = self.forward.costs()
        self.shown = self.forward.shown()
        self.flops = {e.output: _flops(e, tape) for e in tape.equations[: self.forward.length]}
        self._permanent = self._with_shown(self.forward.lasting | self.forward.opaque())
        self._steps = Steps(self.forward, self.places, self._permanent)

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return len(self.places)

    def keeping(self, checkpoints: int, besides: Set[int] = frozenset()) -> Recomputed:
        """The tape that keeps so many states at a time, and these values besides."""
        tape, forward, steps = self.tape, self.forward, self._steps
        permanent = self._with_shown(self._permanent | steps.late | besides)
        chain = Reversal(steps.count, checkpoints, lambda step: self.costs[self.places[step]])
        copies = _Copies(tape, forward, steps, chain, permanent, self.shown)
        first, cuts = set(copies.current), list(chain.kept)
        equations = list(tape.equations[: forward.length])
        places = list(range(forward.length))
        for equation, front in zip(tape.equations[forward.length :], steps.fronts, strict=True):
            copies.go_back_to(front)
            places.append(len(equations))
            made = copies.needed(equation.inputs)
            equations += made
            equations.append(equation._replace(inputs=copies.renamed(equation.inputs)))
            copies.settle()
        places.append(len(equations))
        quiet = tape.quiet_from
        starts = {n for copied in copies.again for n in tape.equations[forward.position[copied]].inputs}
        across = {number for number in first if steps.crosses(number, cuts, steps.count - 1)} | set(besides)
        kept = {forward.root(number) for number in across & (starts | forward.read_back)} - forward.lasting
        total = sum(self.flops.values())
        return Recomputed(
            tape=replace(
                tape,
                avals=tuple(copies.avals),
                equations=tuple(equations),
                spans=tuple(_moved(span, places) for span in tape.spans),
                quiet_from=None if quiet is None else places[quiet],
            ),
            loud=frozenset(n for n, old in copies.made.items() if quiet is None or forward.position[old] < quiet),
            checkpoints=chain.most,
            kept_bytes=sum(tape.avals[number].nbytes for number in kept),
            again=copies.again,
            steps=steps.count,
            share=sum(count * self.flops[number] for number, count in copies.again.items()) / max(total, 1.0),
        )

    def _with_shown(self, numbers: Iterable[int]) -> set[int]:
        """These values, and the views and sums of them."""
        found = set(numbers)
        for number, operand in self.shown.items():
            if operand in found:
                found.add(number)
        return found


def recompute_split(whole: Recomputed, late: int, values: int) -> tuple[Recomputed, Recomputed]:
    """A recomputing tape from ``vjp`` in two, the second of which recomputes what the first did not hand over.

    Args:
        whole: from ``recompute`` of a tape from ``vjp``.
        late: how many inputs, counted from the end, only the second tape gets.
        values: how many outputs, counted from the front, the first tape gives.

    Returns:
        ``(first, second)`` as from ``split``.
    """
    equations = whole.tape.equations
    border = Forward(whole.tape, values).length
    first, second = split(whole.tape, late, values, _early(equations, border))
    return replace(whole, tape=first, loud=frozenset()), replace(whole, tape=second)


def _early(equations: Sequence[Equation], border: int) -> set[int]:
    """What the first of two tapes computes: the forward part, and sums of its values that the backward part takes."""
    early = {equation.output for equation in equations[:border]}
    views: dict[int, Equation] = {}
    for equation in equations[border:]:
        if not equation.inputs or not (equation.inputs[0] in early or equation.inputs[0] in views):
            continue
        if equation.primitive.view:
            views[equation.output] = equation
        elif equation.primitive.name == "sum":
            early.add(equation.output)
            number = equation.inputs[0]
            while number not in early:
                early.add(number)
                number = views[number].inputs[0]
    return early


class _Copies:
    """The copies of forward equations, and which of them stands for a value at the moment.

    ``current`` says what stands for a value that is not permanent, itself or a copy; ``made`` of which value a copy is,
    and ``again`` how many copies a value has.
    """

    def __init__(
        self, tape: Tape, forward: Forward, steps: Steps, chain: Reversal, permanent: set[int], shown: dict[int, int]
    ):
        self.tape = tape
        self.position = forward.position
        self.steps = steps
        self.chain = chain
        self.permanent = permanent
        self.shown = shown
        self.avals = list(tape.avals)
        self.made: dict[int, int] = {}
        self.again: Counter[int] = Counter()
        self.current: dict[int, int] = {}
        self._front = steps.count - 1
        self._of_step: dict[int, set[int]] = {}  # the values in `current` by their step
        self._read_in: dict[int, list[int]] = {}
        for number, reading in steps.reads.items():
            for step in reading:
                self._read_in.setdefault(step, []).append(number)
        self._new = [number for number in self.position if number not in permanent]
        self.current.update(zip(self._new, self._new, strict=True))
        self.settle()

    def go_back_to(self, front: int) -> None:
        """The steps behind this one are reversed: forget what is no longer kept."""
        if front == self._front:
            return
        start = self.chain.go_back_to(front)
        behind, self._front = self._front, front
        # What lies before `start` and is not read behind `front` is kept because of cuts that remain.
        for step in range(start, behind + 1):
            self._new += self._of_step.pop(step, ())
        for step in range(front + 1, behind + 1):
            for number in self._read_in.get(step, ()):
                if number in self._of_step.get(self.steps.of[number], ()):
                    self._of_step[self.steps.of[number]].remove(number)
                    self._new.append(number)
        self.settle()

    def settle(self) -> None:
        """Forget the values just made that are not to be kept."""
        for number in self._new:
            if self._stays(number):
                self._of_step.setdefault(self.steps.of[number], set()).add(number)
            else:
                del self.current[number]
        self._new = []

    def _stays(self, number: int) -> bool:
        """Whether a value is of the step being reversed, is read in it, or lives across a cut."""
        if self.steps.of[number] > self._front:
            return False
        here: int | None = number
        while here in self.steps.of:
            if self.steps.belongs(here, self._front) or self.steps.crosses(here, self.chain.kept, self._front):
                return True
            here = self.shown.get(here)  # a view or a sum is there as long as what it is of
        return False

    def needed(self, wanted: Sequence[int]) -> list[Equation]:
        """The copies to make before an equation with these inputs, in their order."""
        missing: set[int] = set()
        pending = list(wanted)
        while pending:
            number = pending.pop()
            there = number not in self.position or number in self.permanent or number in self.current
            if not there and number not in missing:
                missing.add(number)
                pending += self.tape.equations[self.position[number]].inputs
        found = []
        for number in sorted(missing, key=self.position.__getitem__):
            original = self.tape.equations[self.position[number]]
            copy = len(self.avals)
            self.avals.append(self.tape.avals[number])
            self.made[copy] = number
            self.again[number] += 1
            found.append(original._replace(inputs=self.renamed(original.inputs), output=copy))
            self.current[number] = copy
            self._new.append(number)
        return found

    def renamed(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """The values that stand for these now."""
        return tuple([self.current.get(number, number) for number in numbers])


def _flops(equation: Equation, tape: Tape) -> float:
    operands = [tape.avals[number] for number in equation.inputs]
    return equation.primitive.flops(operands, tape.avals[equation.output], **equation.params)


def _moved(span: Span, places: Sequence[int]) -> Span:
    return span._replace(start=places[span.start], stop=places[span.stop])
