"""Where the values of a program lie on a GPU: which share memory, which are views, which the caller gets.

A value is ``given`` (an input, a constant or a literal, in memory of its own), ``fixed`` (computed once at set-up, as
it depends on constants alone), a ``view`` of another value, a ``buffer`` in a slot that values share which are not
alive together, or a ``result``.  Small results lie in blocks, so that a call hands out many of them by one copy;
numbers have a block of their own, lest who keeps the value of every step keeps the gradients too.  Kernels of one
stream run one after the other, so a slot is free as soon as the last kernel that reads it is in the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ...primitives.record import Aval
from ...tape import Tape
from ..plan import Free, Passed, Plan
from .fusion import Group

ALIGNMENT = 256
"""Bytes: what CUDA's own allocations are aligned to, so that loads of vectors are possible everywhere."""


LARGE = 1 << 20
"""Bytes from which a result is handed out alone."""


def aligned(nbytes: int) -> int:
    """A size rounded up so that neighbours are aligned."""
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT


class Spot(NamedTuple):
    """A place in a block of results; block 0 holds numbers, block 1 small arrays, every other one large array."""

    block: int
    offset: int


@dataclass
class Layout:
    """Places of the values of a tape.

    ``slots`` are bytes of each slot, ``slot_of`` the slot of a buffer, ``blocks`` bytes of each block of results,
    ``results`` the spot of each value that is computed right there; ``copies`` are outputs that have to be copied to
    their spot at the end, and ``spots`` says where each output of the tape lies.
    """

    groups: Sequence[Group]
    places: dict[int, str] = field(default_factory=dict)
    slots: list[int] = field(default_factory=list)
    slot_of: dict[int, int] = field(default_factory=dict)
    blocks: list[int] = field(default_factory=lambda: [0, 0])
    results: dict[int, Spot] = field(default_factory=dict)
    copies: list[tuple[int, Spot]] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    inplace: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of buffers and results."""
        return sum(self.slots) + sum(self.blocks)


def lay_out(tape: Tape, groups: Sequence[Group]) -> Layout:
    """Give every value its place and every buffer its slot.

    Args:
        tape: simplified.
        groups: its equations in the order in which they run.

    Returns:
        A ``Layout``.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.execution.device.fusion import grouped
        >>> tape = trace_leaves(lambda leaves: [np.tanh(leaves[0]) @ leaves[0]], [np.ones((2, 2))])
        >>> found = lay_out(tape, grouped(tape))
        >>> len(found.slots), len(found.results), found.blocks
        (1, 1, [0, 256])
    """
    layout = Layout(groups)
    contiguous = dict.fromkeys((*tape.inputs, *tape.constants, *tape.literals), True)
    layout.places = dict.fromkeys(contiguous, "given")
    roots: dict[int, int] = {}
    wanted = set(tape.outputs)
    passed = {number for number, value in tape.constants.items() if isinstance(value, Passed)}
    fixed = {*tape.constants, *tape.literals} - passed
    for group in groups:
        if fixed.issuperset(group.inputs):
            layout.places.update(dict.fromkeys(group.outputs, "fixed"))
            contiguous.update(dict.fromkeys(group.outputs, False))
            fixed.update(group.outputs)
            continue
        for number in group.outputs:
            source = view_of(group, contiguous, tape)
            if source is not None:
                layout.places[number] = "view"
                roots[number] = roots.get(source, source)
                reshaped = tape.equations[group.positions[0]].primitive.name in ("reshape", "stop_gradient")
                contiguous[number] = reshaped and contiguous[source]
            else:
                layout.places[number] = "result" if number in wanted else "buffer"
                contiguous[number] = True
    for number in tape.outputs:
        spot = _spot(layout, tape.avals[number])
        layout.spots.append(spot)
        if layout.places[number] == "result" and number not in layout.results:
            layout.results[number] = spot
        else:  # no buffer of its own, or returned twice: each result is an array of its own
            layout.copies.append((number, spot))
    _share(tape, layout, roots)
    return layout


def _spot(layout: Layout, aval: Aval) -> Spot:
    """Room for a result."""
    if aval.nbytes >= LARGE:
        layout.blocks.append(aligned(aval.nbytes))
        return Spot(len(layout.blocks) - 1, 0)
    block = 0 if aval.shape == () else 1
    spot = Spot(block, layout.blocks[block])
    layout.blocks[block] += aligned(aval.nbytes)
    return spot


def view_of(group: Group, contiguous: dict[int, bool], tape: Tape) -> int | None:
    """The value that a group's only result is a view of; ``None`` where it is computed or copied."""
    equation = tape.equations[group.positions[0]]
    if group.kind != "single" or not equation.primitive.view:
        return None
    source = equation.inputs[0]
    if equation.primitive.name != "reshape" or contiguous[source]:
        return source
    ones = [[size for size in tape.avals[number].shape if size != 1] for number in (source, equation.output)]
    return source if ones[0] == ones[1] else None


def _share(tape: Tape, layout: Layout, roots: dict[int, int]) -> None:
    """Linear scan over the groups: a slot is free again behind the last group that reads its value or a view of it."""
    last: dict[int, int] = {}
    for position, group in enumerate(layout.groups):
        for number in group.inputs:
            last[roots.get(number, number)] = position
    for number in (*tape.outputs, *[guard.value for guard in tape.guards]):
        last[roots.get(number, number)] = len(layout.groups)
    free = Free(Plan(tape, frozenset(), slots=layout.slots))
    for position, group in enumerate(layout.groups):
        ending = {roots.get(number, number) for number in group.inputs}
        dying = {root for root in ending if last[root] == position and root in layout.slot_of}
        for number in group.outputs:
            if layout.places[number] != "buffer":
                continue
            taken = _twin(tape, group, number, dying, roots)
            if taken is None:
                layout.slot_of[number] = free.take(aligned(tape.avals[number].nbytes))
            else:
                layout.slot_of[number] = layout.slot_of[taken]
                layout.inplace += 1
                dying.discard(taken)
        unread = {number for number in group.outputs if number in layout.slot_of and number not in last}
        for slot in {layout.slot_of[root] for root in dying | unread}:
            free.give(slot)


def _twin(tape: Tape, group: Group, number: int, dying: set[int], roots: dict[int, int]) -> int | None:
    """An operand that dies in an element-wise kernel and may be overwritten by its result, element by element."""
    if group.kind != "elements":
        return None
    for operand in group.inputs:
        # Seen through a view as well, it would be read in another order than it is written.
        views = [other for other in group.inputs if other != operand and roots.get(other, other) == operand]
        if operand in dying and not views and tape.avals[operand][:2] == tape.avals[number][:2]:
            return operand
    return None
