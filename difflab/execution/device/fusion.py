"""Which equations of a tape run as one kernel: chains that act on each element, and reductions with what feeds them.

Every value gets a level: how many launches at least stand between it and the end of the tape.  An element-wise
equation has the level of its readers if they loop over the same shape, and one more if they do not.  Equations of one
level and shape may share a kernel, since whoever passes through another kernel on the way comes out at another level:
so no order of the kernels ever closes a cycle, and every value is computed as late, and stored as rarely, as it can be.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ...tape import Equation, Tape
from .language import REDUCTIONS, element_text, read_operands, typed

OPERANDS = 60
"""Arrays that one kernel reads and writes at most."""
ARGUMENT_BYTES = 4096 - 256
"""CUDA takes 4 KB of arguments everywhere; some are left for the shape of the loop."""
LINES = 200
"""Equations of one kernel at most: registers run out and compilers slow down in texts without an end."""
SMALL = 1 << 18
"""Elements below which unrelated chains share a kernel: its launch would cost more than the work that it does."""
CHEAP = 4.0
"""Operations that a kernel, which waits for memory, does for nothing: a value of a smaller shape that takes no more is
computed anew for every element rather than by a kernel of its own."""
RECOMPUTED = 1 << 22
"""Operations, over all elements, up to which that also holds for dearer ones: about as long as a launch takes."""


class Group(NamedTuple):
    """Equations that run together.

    ``kind`` is ``"elements"`` (one kernel over ``shape``), ``"reduction"`` (one over ``shape``, whose last equation
    reduces ``axes`` of it) or ``"single"`` (any other equation, or a view).  ``positions`` are those of the equations
    in the tape, in its order.  ``inputs`` are the values that the kernel reads, each once: what stands in the tape
    before views which only repeat elements (``broadcast_to``), and no literals, which are part of the kernel's text; of
    a single they are the operands of its equation.  ``outputs`` are the values that others read.  ``sources`` is
    ``seen_through(tape)``.
    """

    kind: str
    positions: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shape: tuple[int, ...]
    axes: tuple[int, ...] = ()
    sources: Mapping[int, int] = MappingProxyType({})


def grouped(tape: Tape) -> list[Group]:
    """The equations of a tape in groups, in an order in which every group finds what it reads.

    Args:
        tape: any tape; a simplified one has fewer equations.

    Returns:
        Every equation in exactly one group.

    Example:
        >>> import numpy as np
        >>> from difflab.primitives import REGISTRY
        >>> from difflab.tracing import trace_leaves
        >>> total = REGISTRY["sum"]
        >>> tape = trace_leaves(lambda leaves: [total(np.tanh(leaves[0]) * 2, axes=(0, 1))], [np.ones((3, 4))])
        >>> [(group.kind, group.positions) for group in grouped(tape)]
        [('reduction', (0, 1, 2))]
    """
    return _Grouping(tape).groups()


def seen_through(tape: Tape) -> dict[int, int]:
    """For every view that only repeats elements the value whose elements they are.

    Args:
        tape: any tape.

    Returns:
        Source by view; what is no such view is not in it.

    Example:
        >>> import numpy as np
        >>> from difflab.primitives import REGISTRY
        >>> from difflab.tracing import trace_leaves
        >>> repeat = REGISTRY["broadcast_to"]
        >>> tape = trace_leaves(lambda leaves: [repeat(leaves[0], shape=(2, 3))], [np.ones(3)])
        >>> seen_through(tape) == {tape.outputs[0]: tape.inputs[0]}
        True
    """
    sources: dict[int, int] = {}
    for equation in tape.equations:
        if equation.primitive.view and _text(tape, equation) == "{0}":
            sources[equation.output] = sources.get(equation.inputs[0], equation.inputs[0])
    return sources


def _text(tape: Tape, equation: Equation) -> str:
    return element_text(equation.primitive, [tape.avals[number] for number in equation.inputs], equation.params)


class _Draft:
    """A group that still grows, from the last of its members to the first."""

    __slots__ = ("axes", "kind", "level", "members", "shape")

    def __init__(self, kind: str, shape: tuple[int, ...], level: int, axes: tuple[int, ...] = ()):
        self.kind, self.shape, self.level, self.axes = kind, shape, level, axes
        self.members: list[int] = []


class _Grouping:
    """One tape on its way into groups; ``reads`` holds what each equation reads in a kernel, and no literals."""

    def __init__(self, tape: Tape):
        self.tape = tape
        self.sources = seen_through(tape)
        self.needed = {*tape.outputs, *[guard.value for guard in tape.guards]}
        self.maker = {equation.output: position for position, equation in enumerate(tape.equations)}
        self.kinds: list[str] = []
        self.reads: list[tuple[int, ...]] = []
        for equation in tape.equations:
            kind, reads = self._kind(equation)
            self.kinds.append(kind)
            self.reads.append(reads)
        self.hidden = self._hidden()
        self.readers: dict[int, list[int]] = {}
        for position, numbers in enumerate(self.reads):
            if position not in self.hidden:
                for number in numbers:
                    self.readers.setdefault(number, []).append(position)
        self.drafts: dict[int, _Draft] = {}
        self.buckets: dict[tuple[int, tuple[int, ...]], _Draft] = {}

    def _kind(self, equation: Equation) -> tuple[str, tuple[int, ...]]:
        """Which kind of group an equation begins, and what it reads there: all but views looks through views."""
        tape, text = self.tape, _text(self.tape, equation)
        if self._reduces(equation):
            kind, mentioned = "reduction", [0]
        elif text and not equation.primitive.view and typed(tape.avals[equation.output].dtype):
            kind, mentioned = "elements", read_operands(text, len(equation.inputs))
        else:
            return "single", tuple(dict.fromkeys(equation.inputs))
        numbers = [self.sources.get(equation.inputs[i], equation.inputs[i]) for i in mentioned]
        return kind, tuple(dict.fromkeys([number for number in numbers if number not in tape.literals]))

    def _reduces(self, equation: Equation) -> bool:
        reduction = REDUCTIONS.get(equation.primitive.name)
        if reduction is None or not equation.params["axes"]:
            return False
        operand, result = self.tape.avals[equation.inputs[0]], self.tape.avals[equation.output]
        source = self.sources.get(equation.inputs[0], equation.inputs[0])
        numbers = operand.dtype == result.dtype and operand.size > 0 and source not in self.tape.literals
        return numbers and reduction.takes(operand)

    def _hidden(self) -> set[int]:
        """Positions of views that nobody needs as arrays, since all their readers look through them."""
        hidden: set[int] = set()
        read: set[int] = set()
        wanted = set(self.needed)
        for position in reversed(range(len(self.reads))):
            equation = self.tape.equations[position]
            if equation.output in self.sources and equation.output in read and equation.output not in wanted:
                hidden.add(position)
            elif self.kinds[position] == "single":
                wanted.update(equation.inputs)
            read.update(equation.inputs)
        return hidden

    # ---------------------------------------------------------------- from the last equation to the first

    def groups(self) -> list[Group]:
        """Drafts, cut to size, in an order in which they can run."""
        for position in reversed(range(len(self.reads))):
            if position not in self.hidden:
                draft = self._draft(position)
                draft.members.append(position)
                self.drafts[position] = draft
        found: list[Group] = []
        for draft in dict.fromkeys(self.drafts.values()):
            members = draft.members[::-1]
            if draft.kind == "elements":
                for part in self._parts(draft, members):
                    found += self._cut(draft.shape, part)
            else:
                found.append(self._group(draft.kind, members, draft.shape, draft.axes))
        return _ordered(self._with_views(found))

    def _draft(self, position: int) -> _Draft:
        """The group that an equation begins or joins."""
        equation = self.tape.equations[position]
        aval, kind = self.tape.avals[equation.output], self.kinds[position]
        after = list(dict.fromkeys([self.drafts[reader] for reader in self.readers.get(equation.output, ())]))
        above = max([draft.level for draft in after], default=-1) + 1
        if kind == "single":
            return _Draft(kind, aval.shape, above)
        if kind == "reduction":
            return _Draft(kind, self.tape.avals[equation.inputs[0]].shape, above, equation.params["axes"])
        if len(after) == 1 and equation.output not in self.needed and self._may_join(after[0], position):
            return after[0]
        level = max([self._level_before(draft, aval.shape) for draft in after], default=0)
        if (level, aval.shape) not in self.buckets:
            self.buckets[level, aval.shape] = _Draft("elements", aval.shape, level)
        return self.buckets[level, aval.shape]

    @staticmethod
    def _level_before(draft: _Draft, shape: tuple[int, ...]) -> int:
        return draft.level if draft.kind == "elements" and draft.shape == shape else draft.level + 1

    def _may_join(self, draft: _Draft, position: int) -> bool:
        """Whether a value becomes part of its only reader, a reduction or a loop over more elements than it has."""
        equation = self.tape.equations[position]
        aval = self.tape.avals[equation.output]
        if draft.kind == "single" or len(draft.members) >= LINES:
            return False
        if draft.kind == "elements" and draft.shape == aval.shape:
            return False  # the bucket of its level is this draft
        if aval.shape != draft.shape:
            work = equation.primitive.flops([self.tape.avals[i] for i in equation.inputs], aval, **equation.params)
            each = work / max(aval.size, 1)
            if each > CHEAP and each * math.prod(draft.shape) > RECOMPUTED:
                return False
        if draft.kind == "elements":
            return True  # it is cut to size in the end
        return len(self._inputs([*draft.members, position])) < _most_operands(len(draft.shape))

    # ---------------------------------------------------------------- groups of a size that CUDA takes

    def _parts(self, draft: _Draft, members: list[int]) -> list[list[int]]:
        """The members of a draft, parted into chains that have nothing to do with each other where those are long."""
        if math.prod(draft.shape) <= SMALL:
            return [members]
        root = {position: position for position in members}

        def top(position: int) -> int:
            while root[position] != position:
                root[position] = position = root[root[position]]
            return position

        first: dict[int, int] = {}  # whoever computes a value, or is the first to read it in full size
        for position in members:
            for number in self.reads[position]:
                if number in first:
                    root[top(position)] = top(first[number])
                elif self.tape.avals[number].shape == draft.shape:
                    first[number] = position
            first[self.tape.equations[position].output] = position
        parts: dict[int, list[int]] = {}
        for position in members:
            parts.setdefault(top(position), []).append(position)
        return list(parts.values())

    def _cut(self, shape: tuple[int, ...], members: list[int]) -> list[Group]:
        """A chain in pieces that are as long as they may be."""
        groups = []
        while members:
            length = self._longest(shape, members)
            own = shape
            if length == 0:  # a value of a smaller shape whose readers are too far away
                length, own = 1, self.tape.avals[self.tape.equations[members[0]].output].shape
            groups.append(self._group("elements", members[:length], own))
            members = members[length:]
        return groups

    def _longest(self, shape: tuple[int, ...], members: list[int]) -> int:
        """How many of the first members may be one kernel."""
        best, inputs, inside = 0, set(), set()
        waiting: dict[int, int] = {}  # by value computed inside: readers outside so far
        small = 0  # values of a smaller shape among them
        for count, position in enumerate(members[:LINES], 1):
            output = self.tape.equations[position].output
            for number in self.reads[position]:
                if number not in inside:
                    inputs.add(number)
                elif number in waiting:
                    waiting[number] -= 1
                    if waiting[number] == 0:
                        small -= self.tape.avals[number].shape != shape
                        del waiting[number]
            inside.add(output)
            outside = len(self.readers.get(output, ())) + (output in self.needed or output not in self.readers)
            if outside:
                waiting[output] = outside
                small += self.tape.avals[output].shape != shape
            if not small and len(inputs) + len(waiting) <= _most_operands(len(shape)):
                best = count
        return best

    def _inputs(self, members: Sequence[int]) -> tuple[int, ...]:
        made = {self.tape.equations[position].output for position in members}
        read = [number for position in members for number in self.reads[position] if number not in made]
        return tuple(dict.fromkeys(read))

    def _group(self, kind: str, members: Sequence[int], shape: tuple[int, ...], axes: tuple[int, ...] = ()) -> Group:
        inside = set(members)
        outputs = []
        for position in members:
            number = self.tape.equations[position].output
            readers = self.readers.get(number, ())
            if number in self.needed or not inside.issuperset(readers) or not readers:
                outputs.append(number)
        inputs = self._inputs(members) if kind != "single" else self.tape.equations[members[0]].inputs
        return Group(kind, tuple(members), tuple(dict.fromkeys(inputs)), tuple(outputs), shape, axes, self.sources)

    def _with_views(self, groups: list[Group]) -> list[Group]:
        """Hidden views beside the first equation that looks through them."""
        home: dict[int, int] = {}
        for position, equation in enumerate(self.tape.equations):
            if position not in self.hidden:
                pending = list(equation.inputs)
                while pending:
                    view = self.maker.get(pending.pop())
                    if view in self.hidden and view not in home:
                        home[view] = position
                        pending += self.tape.equations[view].inputs
        beside: dict[int, list[int]] = {}
        for view, position in home.items():
            beside.setdefault(position, []).append(view)
        result = []
        for group in groups:
            views = [view for position in group.positions for view in beside.get(position, ())]
            result.append(group._replace(positions=tuple(sorted([*group.positions, *views]))) if views else group)
        return result


def _most_operands(ndim: int) -> int:
    """How many arrays fit into the arguments: CuPy hands over pointer, size, shape and strides of each."""
    return min(OPERANDS, ARGUMENT_BYTES // (16 + 16 * ndim))


def _ordered(groups: list[Group]) -> list[Group]:
    """The groups so that each finds what it reads, and otherwise near to where they stand in the tape."""
    home = {number: index for index, group in enumerate(groups) for number in group.outputs}
    waits: list[int] = []
    next_ones: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        before = {home[number] for number in group.inputs if number in home}
        waits.append(len(before))
        for other in before:
            next_ones.setdefault(other, []).append(index)
    ready = [(group.positions[-1], index) for index, group in enumerate(groups) if waits[index] == 0]
    heapq.heapify(ready)
    result = []
    while ready:
        _, index = heapq.heappop(ready)
        result.append(groups[index])
        for other in next_ones.get(index, ()):
            waits[other] -= 1
            if waits[other] == 0:
                heapq.heappush(ready, (groups[other].positions[-1], other))
    return result
