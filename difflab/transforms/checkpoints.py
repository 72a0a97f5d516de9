"""Checkpoints: keep few values of the forward part, and compute the others again when the backward part asks for them.

Reverse mode reads the values of the forward part in reverse order, so all of them wait for it.  Here the forward part
is cut in places, only what lives across a cut is kept, and what the backward part reads of a segment is recomputed from
there just before it is first read, by copies of the forward equations (Griewank & Walther, 2008, chapter 12; Chen, Xu,
Zhang & Guestrin, 2016).  The segment before the backward part is not recomputed.  The result is an ordinary tape: that
a dropped value's memory is free in between is read off it by the plan, as for any tape.

Every copy rounds as its original does, so derivatives are the same to the last bit.  Three kinds of values are kept
whatever the cuts: what the tape returns, what a user's opaque primitive gave (nobody knows what its code costs or does
besides), and sums of kept values, which are small and whose rounding depends on how their operand lies in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from ..errors import InputError
from ..tape import Equation, Span, Tape
from .split import split

SLACK = 0.25
"""A cut may lie so much of a segment away from its even place, where less lives across it."""


@dataclass(frozen=True)
class Recomputed:
    """A tape that computes some values twice; simplifying it would merge them again.

    ``loud`` are the copies of equations of the plain function, by output: they run the very calls of their originals,
    although they stand among derivative equations.  ``checkpoints`` are the cuts there are, ``kept_bytes`` the bytes
    of the values kept because of them, ``equations`` how many are computed a second time.
    """

    tape: Tape
    loud: frozenset[int]
    checkpoints: int
    kept_bytes: int
    equations: int

    @property
    def notes(self) -> dict[str, int]:
        """What it did, for statistics."""
        return {
            "checkpoints": self.checkpoints,
            "kept_bytes": self.kept_bytes,
            "recomputed_equations": self.equations,
        }


def check_checkpoints(owner: str, checkpoints: Any) -> None:
    """Checkpoints are ``None`` or a whole number of at least 0.

    Raises:
        InputError: they are something else.
    """
    whole = isinstance(checkpoints, int) and not isinstance(checkpoints, bool)
    if checkpoints is not None and not (whole and checkpoints >= 0):
        raise InputError(
            f"{owner}(checkpoints={checkpoints!r}): checkpoints are None or a whole number of at least 0, in how many "
            "places the forward pass is cut"
        )


def recompute(tape: Tape, checkpoints: int, values: int = 1) -> Recomputed:
    """A derivative tape that keeps what lives across ``checkpoints`` cuts of its forward part.

    The segments between the cuts hold about equally many bytes that the backward part reads.

    Args:
        tape: a simplified tape from ``gradient`` or ``vjp``.
        checkpoints: how many cuts; fewer are made where the forward part has not so many places for them.
        values: how many of the first outputs are those of the function itself.

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
        >>> found = recompute(tape, 1)
        >>> found.notes
        {'checkpoints': 1, 'kept_bytes': 24, 'recomputed_equations': 2}
        >>> bool(np.all(found.tape.evaluate([np.ones(3)])[1] == tape.evaluate([np.ones(3)])[1]))
        True
    """
    forward = Forward(tape, values)
    cuts = forward.cuts(checkpoints)
    kept = forward.kept(cuts)
    again = _Copies(tape, forward, kept)
    equations = list(tape.equations[: forward.length])
    places = list(range(forward.length))
    for equation in tape.equations[forward.length :]:
        places.append(len(equations))
        equations += again.needed(equation.inputs)
        equations.append(equation._replace(inputs=again.renamed(equation.inputs)))
    places.append(len(equations))
    quiet = tape.quiet_from
    across = forward.across(cuts) & forward.read_again(again.copies)
    return Recomputed(
        tape=replace(
            tape,
            avals=tuple(again.avals),
            equations=tuple(equations),
            spans=tuple(_moved(span, places) for span in tape.spans),
            quiet_from=None if quiet is None else places[quiet],
        ),
        loud=frozenset(again.copies[n] for n in again.copies if quiet is None or forward.position[n] < quiet),
        checkpoints=len(cuts),
        kept_bytes=sum(tape.avals[number].nbytes for number in {forward.root(number) for number in across}),
        equations=len(again.copies),
    )


def recompute_split(tape: Tape, checkpoints: int, late: int, values: int) -> tuple[Recomputed, Recomputed]:
    """A tape from ``vjp`` in two, the second of which recomputes what the first did not hand over.

    Args:
        tape: as for ``recompute``.
        checkpoints: as for ``recompute``.
        late: how many inputs, counted from the end, only the second tape gets.
        values: how many outputs, counted from the front, the first tape gives.

    Returns:
        ``(first, second)`` as from ``split``.
    """
    whole = recompute(tape, checkpoints, values)
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


class Forward:
    """The part of a derivative tape that computes the function's values, and who reads what of it.

    ``length`` is how many equations it has, ``position`` where a value of it is bound.
    """

    def __init__(self, tape: Tape, values: int):
        self.tape = tape
        self.length = _border(tape, values)
        equations = tape.equations[: self.length]
        self.position = {equation.output: place for place, equation in enumerate(equations)}
        self.last = {number: place for place, equation in enumerate(equations) for number in equation.inputs}
        self.read_back = {number for equation in tape.equations[self.length :] for number in equation.inputs}
        self.roots: dict[int, int] = {}
        for equation in equations:
            if _is_view(equation, self.roots):
                self.roots[equation.output] = self.root(equation.inputs[0])
        # Made once and for all, or returned: in memory in any case.
        self.lasting = set(tape.constants) | set(tape.literals)
        for equation in equations:
            if equation.inputs and self.lasting.issuperset(equation.inputs):
                self.lasting.add(equation.output)
        self.lasting |= {*tape.inputs, *tape.outputs}

    def root(self, number: int) -> int:
        """The value whose memory a view shows."""
        return self.roots.get(number, number)

    def cuts(self, checkpoints: int) -> list[int]:
        """Positions before which the forward part is cut, in order."""
        stored = [0] * self.length
        for number in {self.root(number) for number in self.read_back if number in self.position}:
            if number in self.position and number not in self.lasting:
                stored[self.position[number]] = self.tape.avals[number].nbytes
        before = [0, *accumulate(stored)]
        total = before[-1]
        if not total:
            return []
        checkpoints = min(checkpoints, self.length)
        costs = self._costs()
        slack = SLACK * total / (checkpoints + 1)
        found = set()
        for part in range(1, checkpoints + 1):
            goal = part * total / (checkpoints + 1)
            low, high = bisect_left(before, goal - slack), bisect_right(before, goal + slack)
            if low >= high:  # one value is more than the room there is: on one side of it or the other
                low, high = bisect_left(before, before[high - 1]), bisect_right(before, before[high])
            places = range(max(low, 1), min(high, self.length))
            if places:
                found.add(min(places, key=lambda place: (costs[place], abs(before[place] - goal), place)))
        return sorted(found)

    def _costs(self) -> list[int]:
        """Bytes that live across each place; those count twice that the backward part would not need otherwise."""
        ends: dict[int, int] = {}
        for number, last in self.last.items():
            root = self.root(number)
            ends[root] = max(last, ends.get(root, 0))
        wanted = {self.root(number) for number in self.read_back}
        change = [0] * (self.length + 2)
        for root, end in ends.items():
            if root in self.position and root not in self.lasting:
                nbytes = self.tape.avals[root].nbytes * (1 if root in wanted else 2)
                change[self.position[root] + 1] += nbytes
                change[end + 1] -= nbytes
        return list(accumulate(change))

    def across(self, cuts: Sequence[int]) -> set[int]:
        """The values bound before a cut that the forward part reads behind it."""
        found = set()
        for number, place in self.position.items():
            following = bisect_right(cuts, place)
            if following < len(cuts) and cuts[following] <= self.last.get(number, -1):
                found.add(number)
        return found - self.lasting

    def kept(self, cuts: Sequence[int]) -> set[int]:
        """The values that are there when the backward part begins."""
        kept = self.across(cuts) | self.lasting
        last = cuts[-1] if cuts else 0
        for equation in self.tape.equations[: self.length]:
            number, primitive = equation.output, equation.primitive
            opaque = primitive.kind == "own" and primitive.inexact
            shown = number in self.roots or primitive.name == "sum"
            if self.position[number] >= last or opaque or (shown and equation.inputs[0] in kept):
                kept.add(number)
        return kept

    def read_again(self, copies: dict[int, int]) -> set[int]:
        """The values from which copies of equations start, and those that the backward part reads as they are."""
        starts = {number for copied in copies for number in self.tape.equations[self.position[copied]].inputs}
        return (starts | self.read_back) - set(copies)


class _Copies:
    """The copies made so far of forward equations; ``copies`` says which value stands for which."""

    def __init__(self, tape: Tape, forward: Forward, kept: set[int]):
        self.tape = tape
        self.forward = forward
        self.kept = kept
        self.avals = list(tape.avals)
        self.copies: dict[int, int] = {}

    def needed(self, wanted: Sequence[int]) -> list[Equation]:
        """The copies to make before an equation with these inputs, in their order."""
        position = self.forward.position
        missing: set[int] = set()
        pending = list(wanted)
        while pending:
            number = pending.pop()
            if number in position and number not in self.kept and number not in self.copies and number not in missing:
                missing.add(number)
                pending += self.tape.equations[position[number]].inputs
        made = []
        for number in sorted(missing, key=position.__getitem__):
            original = self.tape.equations[position[number]]
            self.copies[number] = len(self.avals)
            self.avals.append(self.tape.avals[number])
            made.append(original._replace(inputs=self.renamed(original.inputs), output=self.copies[number]))
        return made

    def renamed(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """The values that stand for these now."""
        return tuple([self.copies.get(number, number) for number in numbers])


def _border(tape: Tape, values: int) -> int:
    """How many equations the forward part has: up to the last of the function's own outputs and guards."""
    own = {*tape.outputs[:values], *[guard.value for guard in tape.guards]}
    return 1 + max((place for place, equation in enumerate(tape.equations) if equation.output in own), default=-1)


def _is_view(equation: Equation, roots: dict[int, int]) -> bool:
    """Whether a value surely needs no memory of its own; a reshape of a view may have to copy."""
    return equation.primitive.view and not (equation.primitive.name == "reshape" and equation.inputs[0] in roots)


def _moved(span: Span, places: Sequence[int]) -> Span:
    return span._replace(start=places[span.start], stop=places[span.stop])
