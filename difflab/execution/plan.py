"""The plan of a program: which values share memory, which are views, which are made once.

Every value of a tape is put into one of these places:

``argument``  given at every call (inputs, and constants that are not held for good)
``fixed``     made once when the program is set up: literals, baked constants, and all that depends on them alone
``buffer``    a preallocated array, overwritten at every call, shared by values that are not alive together
``view``      a view of a buffer or fixed value, made once at set-up
``passing``   a view of an argument or of a result, made at every call (views cost no copy)
``result``    a fresh array at every call, because the caller keeps it

A plan also says in which order the equations run: that of the tape, or one in which equations of derivatives come as
early as they can.  A tangent next to its value lets the value go, while all values wait for a tangent pass behind them.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from ..primitives.record import Aval
from ..tape import Equation, Tape

SET_UP = frozenset({"fixed", "buffer", "view"})
ALIGNMENT = 64
WORTH = 1 << 20
"""Buffers of so many bytes are worth a look at another order; in it warnings are switched off and on more often."""
GAIN = 0.125
"""The share of the bytes that another order has to save."""


@dataclass
class Plan:
    """Places, storage slots and notes; see the module's text.

    ``tape`` has the equations in the order in which they run, and ``quiet`` are the outputs of those that belong to
    derivatives; ``slots`` are sizes in bytes; ``slot_of`` says which slot a buffer lives in; ``operands`` replaces an
    equation's operands by the values that generated code reads (broadcasts that the ufunc does itself are skipped).
    """

    tape: Tape
    quiet: frozenset[int]
    places: dict[int, str] = field(default_factory=dict)
    slots: list[int] = field(default_factory=list)
    slot_of: dict[int, int] = field(default_factory=dict)
    operands: list[tuple[int, ...]] = field(default_factory=list)
    contiguous: dict[int, bool] = field(default_factory=dict)
    inplace: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers together."""
        return sum(self.slots)


def padded(nbytes: int) -> int:
    """A slot's size, rounded up so that neighbours are aligned."""
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT


class Passed(NamedTuple):
    """Stands on a tape for the constant at that position among those given at every call; others are held for good."""

    position: int


def make_plan(tape: Tape) -> Plan:
    """Give every value of the tape its place and every buffer its slot, in the order that needs fewer bytes."""
    behind = tape.equations[len(tape) if tape.quiet_from is None else tape.quiet_from :]
    quiet = frozenset([equation.output for equation in behind])
    plan = _planned(tape, quiet)
    if plan.nbytes < WORTH or not quiet:
        return plan
    early = _early(tape, quiet)
    if early is None:
        return plan
    other = _planned(early, quiet)
    return other if plan.nbytes - other.nbytes >= GAIN * plan.nbytes else plan


def _early(tape: Tape, quiet: frozenset[int]) -> Tape | None:
    """The tape with every derivative equation as early as it can be; ``None`` where most have to wait for the last."""
    waiting: dict[int, list[int]] = {}
    missing: dict[int, int] = {}
    equations = tape.equations
    bound = {*tape.inputs, *tape.constants, *tape.literals}
    guarded = {guard.value for guard in tape.guards} - quiet
    ready: list[int] = []  # positions of derivative equations, a heap
    for position, equation in enumerate(equations):
        if equation.output in quiet:
            # A user's own rule may raise where a guard would have turned the call away.
            needed = {*equation.inputs, *(guarded if equation.primitive.kind == "own" else ())} - bound
            missing[position] = len(needed)
            for number in needed:
                waiting.setdefault(number, []).append(position)
            if not needed:
                heapq.heappush(ready, position)
    order: list[int] = []

    def run(position: int) -> None:
        order.append(position)
        for other in waiting.get(equations[position].output, ()):
            missing[other] -= 1
            if not missing[other]:
                heapq.heappush(ready, other)

    before = 0
    for position in range(len(equations) - len(quiet)):
        before = len(order)
        run(position)
        while ready:
            run(heapq.heappop(ready))
    if 2 * before < len(equations):
        return None
    return replace(tape, equations=tuple([equations[position] for position in order]), spans=(), quiet_from=None)


def _planned(tape: Tape, quiet: frozenset[int]) -> Plan:
    """Places and slots for one order of the equations."""
    plan = Plan(tape, quiet)
    places, contiguous = plan.places, plan.contiguous
    for number in tape.inputs:
        places[number] = "argument"
    for number, value in tape.constants.items():
        places[number] = "argument" if isinstance(value, Passed) else "fixed"
        contiguous[number] = False
    for number in tape.literals:
        places[number] = "fixed"
        contiguous[number] = True
    results = set(tape.outputs)
    roots: dict[int, int] = {}
    skipped: dict[int, int] = {}
    for equation in tape.equations:
        _place(equation, tape.avals, plan, results, roots, skipped)
    _skip_unused_broadcasts(tape, plan, skipped)
    _share_slots(tape, plan, roots)
    return plan


def _place(
    equation: Equation,
    avals: Sequence[Aval],
    plan: Plan,
    results: set[int],
    roots: dict[int, int],
    skipped: dict[int, int],
) -> None:
    primitive, out = equation.primitive, equation.output
    operands = equation.inputs
    if primitive.kind == "elementwise" or primitive.name == "broadcast_to":
        operands = tuple([skipped.get(number, number) for number in operands])
    plan.operands.append(operands)
    single = primitive.name == "reshape" and avals[out].size == 1 and avals[operands[0]].shape == ()
    if primitive.name == "broadcast_to" or single:
        skipped[out] = skipped.get(operands[0], operands[0])
    sources = [plan.places[number] for number in operands]
    if sources and all(place == "fixed" for place in sources):
        plan.places[out] = "fixed"
        plan.contiguous[out] = False
        return
    if primitive.view and sources[0] in ("argument", "passing", "result"):
        plan.places[out] = "passing"
        roots[out] = roots.get(operands[0], operands[0])
    elif primitive.view and _is_view(equation, avals, plan):
        plan.places[out] = "view"
        plan.contiguous[out] = primitive.name in ("reshape", "stop_gradient") and plan.contiguous[operands[0]]
        roots[out] = roots.get(operands[0], operands[0])
    else:
        plan.places[out] = "result" if out in results else "buffer"
        plan.contiguous[out] = True


def _is_view(equation: Equation, avals: Sequence[Aval], plan: Plan) -> bool:
    """Whether NumPy gives a view of a set-up value; a reshape of a strided one is a copy."""
    source = equation.inputs[0]
    if equation.primitive.name != "reshape" or plan.contiguous[source]:
        return True
    ones = [[size for size in avals[number].shape if size != 1] for number in (source, equation.output)]
    return ones[0] == ones[1]


def _skip_unused_broadcasts(tape: Tape, plan: Plan, skipped: dict[int, int]) -> None:
    """A broadcast that only element-wise equations read is theirs to do; it needs no place."""
    read = {number for numbers in plan.operands for number in numbers} | set(tape.outputs)
    read |= {guard.value for guard in tape.guards}
    for number in skipped:
        if number not in read:
            plan.places[number] = "skipped"


def _share_slots(tape: Tape, plan: Plan, roots: dict[int, int]) -> None:
    """Linear scan: a slot is free again after the last reading of its value or of any view of it."""
    last: dict[int, int] = {}
    for position, numbers in enumerate(plan.operands):
        if plan.places[tape.equations[position].output] == "skipped":
            continue
        for number in numbers:
            last[roots.get(number, number)] = position
    end = len(tape.equations)
    for number in (*tape.outputs, *[guard.value for guard in tape.guards]):
        last[roots.get(number, number)] = end
    free = Free(plan)
    for position, equation in enumerate(tape.equations):
        out = equation.output
        dying = {
            roots.get(number, number)
            for number in plan.operands[position]
            if last.get(roots.get(number, number)) == position and roots.get(number, number) in plan.slot_of
        }
        if plan.places[out] == "buffer":
            taken = _dying_twin(equation, tape.avals, plan, dying, position)
            if taken is not None:
                plan.slot_of[out] = plan.slot_of[taken]
                plan.inplace += 1
                dying.discard(taken)
            else:
                plan.slot_of[out] = free.take(padded(tape.avals[out].nbytes))
        if plan.places[out] == "buffer" and out not in last:
            dying.add(out)
        for slot in {plan.slot_of[root] for root in dying}:
            free.give(slot)


def _dying_twin(equation: Equation, avals: Sequence[Aval], plan: Plan, dying: set[int], position: int) -> int | None:
    """An operand that dies here and may be overwritten while it is read: same shape, dtype and layout."""
    if not equation.primitive.inplace:
        return None
    for number in plan.operands[position]:
        if number in dying and avals[number][:2] == avals[equation.output][:2]:
            # Another operand may be a strided view of the same memory, read in another order.
            others = [n for n in plan.operands[position] if n != number and plan.places[n] == "view"]
            if not others:
                return number
    return None


class Free:
    """Slots that hold nothing at the moment, by their size."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.sizes: list[int] = []  # sorted; few are distinct, however many slots there are
        self.slots: dict[int, list[int]] = {}

    def give(self, slot: int) -> None:
        """A slot is free again."""
        nbytes = self.plan.slots[slot]
        if nbytes not in self.slots:
            insort(self.sizes, nbytes)
            self.slots[nbytes] = []
        self.slots[nbytes].append(slot)

    def take(self, nbytes: int) -> int:
        """The smallest free slot that is large enough, else the largest free one made larger, else a new one."""
        plan = self.plan
        if not self.sizes:
            plan.slots.append(nbytes)
            return len(plan.slots) - 1
        found = self.sizes[min(bisect_left(self.sizes, nbytes), len(self.sizes) - 1)]
        slot = self.slots[found].pop()
        if not self.slots[found]:
            del self.slots[found]
            self.sizes.remove(found)
        plan.slots[slot] = max(found, nbytes)
        return slot
