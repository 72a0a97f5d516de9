"""The forward part of a derivative tape: what of it the backward part reads, and when, and where it may be cut.

A chain of layers is cut between layers, where few values live; what is between two such places is a step.  While the
backward part runs, it reads values of ever earlier steps, but for few that it reads out of turn.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, pairwise

from ..tape import Equation, Tape


class Forward:
    """The part of a derivative tape that computes the function's values, and who reads what of it.

    Args:
        tape: a simplified tape from ``gradient`` or ``vjp``.
        values: how many of its first outputs are those of the function itself.

    Attributes:
        length: how many equations it has.
        position: where each of its values is bound.
        read_back: what the backward part reads.
        lasting: what is there for the whole call: arguments, constants, results.
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

    def shown(self) -> dict[int, int]:
        """Views and sums, with what they are of: they are there whenever that is.

        Sums are small, and how they round depends on how their operand lies in memory.
        """
        equations = self.tape.equations[: self.length]
        return {
            equation.output: equation.inputs[0]
            for equation in equations
            if equation.output in self.roots or equation.primitive.name == "sum"
        }

    def opaque(self) -> set[int]:
        """What a user's opaque primitives gave: nobody knows what their code costs or does besides."""
        equations = self.tape.equations[: self.length]
        return {one.output for one in equations if one.primitive.kind == "own" and one.primitive.inexact}

    def places(self, *, every: bool = False) -> list[int]:
        """Positions before which steps begin, the first of them 0: where the fewest bytes live around, or every one.

        That is where fewer live than before and behind, and where no more live than at the place before: what a network
        keeps for later may fall from layer to layer.
        """
        costs = self.costs()
        # A step without work of its own is none.
        work = [0, *accumulate(self._works(equation) for equation in self.tape.equations[: self.length])]
        found = [0]

        def begin(place: int) -> bool:
            if work[found[-1]] < work[place] < work[-1]:
                found.append(place)
                return True
            return False

        if every:
            for place in range(1, self.length):
                begin(place)
            return found
        runs = [(cost, list(own)) for cost, own in groupby(range(1, self.length), key=costs.__getitem__)]
        heights = [math.inf, *[cost for cost, _ in runs], math.inf]
        lowest = math.inf
        for k, (cost, run) in enumerate(runs):
            if heights[k] > cost < heights[k + 2]:
                for place in run:
                    begin(place)
                lowest = cost
            elif k and heights[k] > cost <= lowest and any(begin(place) for place in run):
                lowest = cost
        return found

    def _works(self, equation: Equation) -> bool:
        return equation.output not in self.roots and equation.output not in self.lasting

    def costs(self) -> list[int]:
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


class Steps:
    """The steps of a forward part, and how the backward part goes through them.

    Args:
        forward: the forward part.
        places: where its steps begin.
        permanent: values that are there at any time, whatever is cut.

    Attributes:
        count: how many steps there are.
        of: the step of every value.
        reads: the steps that read a value or whose reversal does, in order.
        fronts: for every equation of the backward part, the step that is being reversed.
        late: values that are read after their step was reversed.
    """

    def __init__(self, forward: Forward, places: Sequence[int], permanent: set[int]):
        self.count = len(places)
        self.of = {number: bisect_right(places, place) - 1 for number, place in forward.position.items()}
        read_in: dict[int, set[int]] = {number: set() for number in self.of}
        for place, equation in enumerate(forward.tape.equations[: forward.length]):
            step = bisect_right(places, place) - 1
            for number in equation.inputs:
                if number in self.of:
                    read_in[number].add(step)
        backward = forward.tape.equations[forward.length :]
        reads = [[n for n in equation.inputs if n in self.of and n not in permanent] for equation in backward]
        self.fronts = falling(list(self._told(reads, read_in)))
        self.late: set[int] = set()
        for numbers, front in zip(reads, self.fronts, strict=True):
            for number in numbers:
                read_in[number].add(front)
                if self.of[number] > front:
                    self.late.add(number)
        self.reads = {number: sorted(steps) for number, steps in read_in.items()}

    def _told(self, reads: Iterable[Sequence[int]], read_in: Mapping[int, Iterable[int]]) -> Iterator[int]:
        """The step that each equation of the backward part seems to belong to: one that uses all that it reads."""
        until = {number: max(steps, default=self.of[number]) for number, steps in read_in.items()}
        here = self.count - 1
        for numbers in reads:
            if numbers:
                low = max(self.of[number] for number in numbers)
                high = min(until[number] for number in numbers)
                here = max(low, min(here, high))
            yield here

    def crosses(self, number: int, cuts: Sequence[int], front: int) -> bool:
        """Whether a value is read behind a cut that is behind its own step, in a step that is not reversed yet."""
        following = bisect_right(cuts, self.of[number])
        return following < len(cuts) and self._is_read(number, cuts[following], front)

    def belongs(self, number: int, front: int) -> bool:
        """Whether the step that is being reversed binds a value or reads it."""
        return self.of[number] == front or self._is_read(number, front, front)

    def _is_read(self, number: int, first: int, last: int) -> bool:
        steps = self.reads[number]
        where = bisect_left(steps, first)
        return where < len(steps) and steps[where] <= last


def falling(steps: Sequence[int]) -> list[int]:
    """The steps in an order that never rises, as near as can be: equal stretches of a mean (pool adjacent violators).

    Args:
        steps: in the order in which they are read.

    Example:
        >>> falling([3, 3, 2, 3, 2, 1, 0, 0])
        [3, 3, 3, 3, 2, 1, 0, 0]
        >>> falling([9, 8, 7, 6, 5, 4, 3, 2, 1, 9])
        [9, 8, 7, 6, 5, 4, 4, 4, 4, 4]
    """
    blocks: list[tuple[int, int, int, int]] = []  # sum, length, least, most
    for step in steps:
        block = (step, 1, step, step)
        while blocks and blocks[-1][0] * block[1] < block[0] * blocks[-1][1]:
            total, length, least, most = blocks.pop()
            block = (total + block[0], length + block[1], min(least, block[2]), max(most, block[3]))
        blocks.append(block)
    levels = [most if most - least <= 2 else -(-total // length) for total, length, least, most in blocks]
    for k, (level, following) in reversed(list(enumerate(pairwise(levels)))):
        levels[k] = max(level, following)
    found = []
    for level, (_, length, _, _) in zip(levels, blocks, strict=True):
        found += [level] * length
    return found


def _border(tape: Tape, values: int) -> int:
    """How many equations the forward part has: up to the last of the function's own outputs and guards."""
    own = {*tape.outputs[:values], *[guard.value for guard in tape.guards]}
    return 1 + max((place for place, equation in enumerate(tape.equations) if equation.output in own), default=-1)


def _is_view(equation: Equation, roots: dict[int, int]) -> bool:
    """Whether a value surely needs no memory of its own; a reshape of a view may have to copy."""
    return equation.primitive.view and not (equation.primitive.name == "reshape" and equation.inputs[0] in roots)
