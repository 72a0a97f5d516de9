"""A tape taken apart by examples: what runs once before all blocks, for every block, and once behind them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from ..primitives.record import Aval
from ..tape import Equation, Tape
from ..transforms.simplify import without_dead_code


class Key(NamedTuple):
    """A value as a block reads it: whole (``axis`` is ``None``), or its slice; ``first``: that of the first block."""

    number: int
    axis: int | None = None
    first: bool = False


class Step(NamedTuple):
    """One equation of a block, at a position of the whole tape."""

    position: int
    equation: Equation
    operands: tuple[Key, ...]
    result: Key
    scaled: tuple[str, ...] = ()


@dataclass
class Division:
    """A tape taken apart: once before the blocks, for every block, once behind them.

    ``inputs`` are what a block reads, in order; ``constants`` are values of a block that never change; ``sums`` are
    accumulated over blocks; ``slices`` are outputs that carry examples; ``views`` makes outputs of finished sums.
    """

    tape: Tape
    count: int
    steps: list[Step] = field(default_factory=list)
    inputs: list[Key] = field(default_factory=list)
    constants: list[int] = field(default_factory=list)
    sums: list[int] = field(default_factory=list)
    slices: dict[int, int] = field(default_factory=dict)
    views: dict[int, list[Equation]] = field(default_factory=dict)
    head: Tape | None = None
    tail: Tape | None = None
    fixed: tuple[int, ...] = ()

    def aval(self, key: Key, size: int) -> Aval:
        """What a block of ``size`` examples has of a value."""
        aval = self.tape.avals[key.number]
        return aval if key.axis is None else scaled(aval, key.axis, self.count, size)

    def body(self, size: int, constants: dict[int, Any]) -> Tape:
        """The tape of a block of ``size`` examples; ``constants`` are the values of those it holds."""
        whole = self.tape
        avals: list[Aval] = []
        numbers: dict[Key, int] = {}

        def bind(key: Key) -> int:
            numbers[key] = len(avals)
            avals.append(self.aval(key, size))
            return numbers[key]

        inputs = tuple([bind(key) for key in self.inputs])
        held = {bind(Key(number)): constants[number] for number in self.constants}
        literals: dict[int, Any] = {}
        equations: list[Equation] = []
        for step in self.steps:
            for key in step.operands:
                if key not in numbers:
                    literals[bind(key)] = whole.literals[key.number]
            params = step.equation.params
            if step.scaled:
                axis = step.result.axis
                assert axis is not None
                params = {**params, **{name: resized(params[name], axis, self.count, size) for name in step.scaled}}
            operands = tuple([numbers[key] for key in step.operands])
            equations.append(Equation(step.equation.primitive, operands, params, bind(step.result)))
        results = [Key(number) for number in self.sums] + [Key(*pair) for pair in self.slices.items()]
        quiet = whole.quiet_from
        return Tape(
            avals=tuple(avals),
            inputs=inputs,
            constants=held,
            literals=literals,
            equations=tuple(equations),
            outputs=tuple([numbers[key] for key in results]),
            quiet_from=None if quiet is None else sum(step.position < quiet for step in self.steps),
        )


def scaled(aval: Aval, axis: int, count: int, size: int) -> Aval:
    """The shape of ``size`` of ``count`` examples."""
    return Aval(resized(aval.shape, axis, count, size), aval.dtype, aval.weak)


def resized(lengths: tuple[int, ...], axis: int, count: int, size: int) -> tuple[int, ...]:
    """Lengths with that of the examples' axis made one of a block."""
    return (*lengths[:axis], lengths[axis] // count * size, *lengths[axis + 1 :])


def ancestors(tape: Tape, numbers: Iterable[int]) -> set[int]:
    """The values that equations bind on the way to these, themselves included."""
    found = set(numbers)
    for equation in reversed(tape.equations):
        if equation.output in found:
            found.update(equation.inputs)
    return found.intersection([equation.output for equation in tape.equations])


def selected(tape: Tape, kept: list[bool], given: tuple[int, ...], outputs: tuple[int, ...], guards: tuple) -> Tape:
    """The chosen equations as a tape that is given the values of ``given`` besides its inputs."""
    quiet = tape.quiet_from
    part = replace(
        tape,
        inputs=(*tape.inputs, *given),
        equations=tuple([equation for equation, keep in zip(tape.equations, kept, strict=True) if keep]),
        outputs=outputs,
        guards=guards,
        spans=(),
        quiet_from=None if quiet is None else sum(kept[:quiet]),
    )
    return without_dead_code(part)
