"""Where the examples of a batch are on a tape, and what of it can be computed block by block.

Every value is one of four things.  It carries the examples along an axis, so that a block of examples is a slice of it.
It is a sum over examples, to which every block contributes.  It reads such sums, so that it has to wait for the last
block (the tail).  Or it is none of these and the same for all examples: then it is computed once (the head), and where
it meets a value that carries examples and has their axis, a slice of it is taken.  One leaf is chosen as the one that
carries examples; the rest follows by the rules of the primitives, in one pass.  Where examples meet what is known only
after the last of them, or a primitive mixes them, there is no such division, and the reason is given instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..primitives.examples import Given, Split
from ..tape import Equation, Tape
from ..transforms.simplify import without_dead_code
from .division import Division, Key, Step, ancestors, selected
from .plan import Passed

VIEWS = frozenset({"reshape", "transpose"})
JOINED = frozenset({"add", *VIEWS})
"""What a block may do to its contribution: sums of contributions are one contribution, and one array."""


class Mixed(Exception):
    """There is no division; says why."""


def divide(tape: Tape, seed: int, axis: int, moving: Iterable[int]) -> Division:
    """The division of a derivative tape by the examples that lie along an axis of one leaf.

    Args:
        tape: simplified.
        seed: the number of an input or constant.
        axis: the axis of it that carries the examples, which are as many as it is long.
        moving: numbers of the inputs that are differentiated.

    Returns:
        The division.

    Raises:
        Mixed: there is none; says why.
    """
    return _Dividing(tape, seed, axis, frozenset(moving)).division()


class _Dividing:
    """The labels of all values, then the parts, found backwards from the outputs."""

    def __init__(self, tape: Tape, seed: int, axis: int, moving: frozenset[int]):
        self.tape = tape
        self.count = tape.avals[seed].shape[axis]
        self.axes: dict[int, int] = {seed: axis}
        self.splits: dict[int, Split] = {}
        self.sums: set[int] = set()
        self.late: set[int] = set()
        # What needs no differentiated input may be computed for all examples at once wherever that is needed.
        self.moving = set(moving)
        self.baked = {number for number, value in tape.constants.items() if not isinstance(value, Passed)}
        self.fixed = set(self.baked)  # known at set-up, from constants
        self.literal = set(tape.literals)
        self.made = {equation.output: position for position, equation in enumerate(tape.equations)}
        for equation in tape.equations:
            self.label(equation)
        self.result = Division(tape, self.count)
        self.wanted: dict[int, dict[Key, None]] = {}
        self.before: dict[int, None] = {}  # values that the head returns
        self.leaves: dict[Key, None] = {}
        self.held: dict[int, None] = {}

    # -------------------------------------------------------------------- labels

    def label(self, equation: Equation) -> None:
        """What the value of one equation is."""
        inputs, out = equation.inputs, equation.output
        if any(number in self.moving for number in inputs):
            self.moving.add(out)
        elif inputs and all(number in self.literal for number in inputs):
            self.literal.add(out)
        elif all(number in self.fixed or number in self.literal for number in inputs):
            self.fixed.add(out)
        carried = [number for number in inputs if number in self.axes]
        waiting = [number for number in inputs if number in self.sums or number in self.late]
        if waiting:
            if self.moving.intersection(carried):
                raise Mixed(f"{equation.primitive.name} brings what all examples gave together back to each of them")
            summed = all(number in self.sums for number in inputs) and equation.primitive.name in JOINED
            avals = self.tape.avals
            if summed and all(avals[number].size == avals[out].size for number in inputs):
                self.sums.add(out)
            else:
                self.late.add(out)
        elif carried:
            self.carry(equation)

    def carry(self, equation: Equation) -> None:
        """The label of an equation that reads values which carry examples."""
        out = equation.output
        split = self.split(equation, tuple([self.axes.get(number) for number in equation.inputs]))
        if isinstance(split, str) or split.axis is None:
            if out not in self.moving:
                return  # found for all examples at once
            if isinstance(split, str):
                raise Mixed(f"{equation.primitive.name} {split}")
            self.sums.add(out)
        else:
            self.axes[out] = split.axis
        self.splits[out] = split

    def split(self, equation: Equation, axes: tuple[int | None, ...]) -> Split | str:
        """What the rule of a primitive says."""
        rule = equation.primitive.examples
        if rule is None:
            return "has no rule for examples"
        if isinstance(rule, str):
            return rule
        avals = tuple([self.tape.avals[number] for number in equation.inputs])
        values = tuple([self.tape.constants[n] if n in self.baked else None for n in equation.inputs])
        return rule(Given(self.count, axes, avals, values), **equation.params)

    # -------------------------------------------------------------------- parts

    def division(self) -> Division:
        """Head, blocks and tail."""
        tape, result = self.tape, self.result
        guards = [guard.value for guard in tape.guards]
        whole = [number for number in guards if number not in self.late and number not in self.sums]
        if self.moving.intersection(whole).intersection(self.axes):
            raise Mixed("Python looks at single examples")
        own = any(equation.primitive.kind == "own" for equation in tape.equations)
        if own and tape.guards:  # its code must not run where a guard turns the call away
            raise Mixed("Python branches, and a primitive of the user's own is called")
        for number in whole:
            self.before[number] = None
        behind: set[int] = set()
        for number in (*tape.outputs, *guards):
            if number in self.sums:
                self.finish(number)
            elif number in self.axes and number in self.moving and number in tape.outputs:
                result.slices[number] = self.axes[number]
                self.want(Key(number, self.axes[number]))
        for equation in tape.equations:
            if equation.output in self.late:
                behind.update(number for number in equation.inputs if number in self.sums)
        for number in behind:
            if number not in result.sums:
                result.sums.append(number)
            self.want(Key(number))
        if not result.sums and not result.slices:
            raise Mixed("no result depends on the examples one by one")
        for position in range(len(tape.equations) - 1, -1, -1):
            for key in self.wanted.get(tape.equations[position].output, ()):
                self.make(position, key)
        result.steps.sort(key=lambda step: step.position)
        result.inputs, result.constants = list(self.leaves), list(self.held)
        read = {key.number for key in self.leaves} | set(self.held)
        result.fixed = tuple(number for number in read if number in self.fixed and number in self.made)
        self.frame(whole)
        return result

    def finish(self, number: int) -> None:
        """A sum that is a result; views of it are made when it is complete."""
        chain: list[Equation] = []
        first = number
        while True:
            equation = self.tape.equations[self.made[first]]
            if equation.primitive.name not in VIEWS or equation.inputs[0] not in self.sums:
                break
            chain.append(equation)
            first = equation.inputs[0]
        self.result.views[number] = chain[::-1]
        if first not in self.result.sums:
            self.result.sums.append(first)
        self.want(Key(first))

    def want(self, key: Key) -> None:
        """A block reads this."""
        number = key.number
        if number in self.made:
            self.wanted.setdefault(number, {})[key] = None
        elif number in self.tape.literals:
            return
        elif number in self.baked and key.axis is None:
            self.held[number] = None
        else:
            self.leaves[key] = None

    def make(self, position: int, key: Key) -> None:
        """How a block gets a value that an equation binds."""
        equation = self.tape.equations[position]
        number, axis = key.number, key.axis
        carried = number in self.splits and axis is not None
        if number in self.sums or (carried and axis == self.axes[number] and number not in self.fixed):
            self.step(position, key, self.splits.get(number))
        elif number in self.fixed:
            if axis is None:
                self.held[number] = None
            else:
                self.leaves[key] = None
        elif axis is not None:
            self.sink(position, key)
        elif number not in self.axes and (number in self.literal or equation.primitive.view):
            self.step(position, key, None)
        else:
            self.before[number] = None
            self.leaves[key] = None

    def step(self, position: int, key: Key, split: Split | None) -> None:
        """An equation of the block; without a split it reads whole values."""
        equation = self.tape.equations[position]
        needs = (None,) * len(equation.inputs) if split is None else split.needs
        first = () if split is None else split.first
        operands = tuple(
            [
                Key(number, axis, axis is not None and (key.first or at in first))
                for at, (number, axis) in enumerate(zip(equation.inputs, needs, strict=True))
            ]
        )
        self.result.steps.append(Step(position, equation, operands, key, () if split is None else split.scaled))
        for operand in operands:
            self.want(operand)

    def sink(self, position: int, key: Key) -> None:
        """A slice of what is the same for all examples: made in the block where that can be done, else cut."""
        equation = self.tape.equations[position]
        split = self.fresh_axis(equation, key)
        if split is None:
            split = self.by_a_slice(equation, key)
        if split is None:
            self.before[key.number] = None
            self.leaves[key] = None
        else:
            self.step(position, key, split)

    def fresh_axis(self, equation: Equation, key: Key) -> Split | None:
        """A broadcast whose operand has no such axis needs but another shape."""
        assert key.axis is not None
        if equation.primitive.name != "broadcast_to":
            return None
        source = self.tape.avals[equation.inputs[0]].shape
        at = key.axis - (len(equation.params["shape"]) - len(source))
        return Split(key.axis, (None,), ("shape",)) if at < 0 or source[at] == 1 else None

    def by_a_slice(self, equation: Equation, key: Key) -> Split | None:
        """The slice of operands that gives this slice, by the primitive's rule."""
        inputs, avals = equation.inputs, self.tape.avals
        for at, number in enumerate(inputs):
            for axis, length in enumerate(avals[number].shape):
                if length % self.count == 0 and length:
                    trial = self.split(equation, tuple([axis if i == at else None for i in range(len(inputs))]))
                    if isinstance(trial, Split) and trial.axis == key.axis:
                        return trial
        return None

    # -------------------------------------------------------------------- head and tail

    def frame(self, guarded: Sequence[int]) -> None:
        """The tapes that run once: before the blocks, and behind them."""
        tape, result = self.tape, self.result
        inside = ancestors(tape, self.before)
        done = (*result.sums, *[number for number in self.before if number in self.made])
        early = [guard for guard in tape.guards if guard.value in guarded]
        rest = [guard for guard in tape.guards if guard.value not in guarded]
        outputs = [n for n in tape.outputs if n not in result.views and n not in result.slices]
        needed: dict[int, None] = dict.fromkeys([*outputs, *[guard.value for guard in rest]])
        kept: list[bool] = []
        for equation in reversed(tape.equations):
            out = equation.output
            wanted = out in needed and out not in done
            if wanted and out in inside:
                self.before[out] = None
                wanted = False
            kept.append(wanted)
            if wanted:
                needed.update(dict.fromkeys(equation.inputs))
        kept.reverse()
        before = tuple([number for number in self.before if number in self.made])
        if before or early:
            head = replace(tape, outputs=before, guards=tuple(early), spans=())
            result.head = without_dead_code(head)
        if outputs or rest:
            result.tail = selected(tape, kept, (*result.sums, *before), tuple(dict.fromkeys(outputs)), tuple(rest))
