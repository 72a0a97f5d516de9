"""Names for what is on a tape: the line that made an equation, the variable that a value was assigned to."""

from __future__ import annotations

import ast
import inspect
import linecache
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..builder import Builder, Shape, aval_of
from ..calls import ARRAY, Bound, leaf_names
from ..errors import user_location
from ..flat import Function
from ..primitives.record import Aval
from ..tape import Equation, Tape
from ..tracing import TracedArray

UNKNOWN = "unknown place"


@dataclass
class Places:
    """``lines``: for every value number the ``file:line`` at which it was made; ``texts``: what stands there."""

    tape: Tape
    lines: dict[int, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.positions = {equation.output: at for at, equation in enumerate(self.tape.equations)}
        self.assigned = self._assigned()

    def _assigned(self) -> dict[int, str]:
        """The variable to which the last value of each line was assigned."""
        last: dict[str, list[int]] = {}
        previous = None
        for equation in self.tape.equations:
            line = self.lines.get(equation.output, "")
            ends = last.setdefault(line, [])
            if ends and previous == line:
                ends[-1] = equation.output
            else:
                ends.append(equation.output)
            previous = line
        found: dict[int, str] = {}
        for line, outputs in last.items():
            name = _target(self.texts.get(line, ""))
            # What a line makes several times, in a loop or in a helper, has no name of its own.
            if name and len(outputs) == 1:
                found[outputs[0]] = name
        return found

    def line(self, position: int) -> str:
        """``file:line: text`` of an equation, as far as it is known."""
        line = self.group(position)
        text = self.texts.get(line, "")
        return f"{line}: {text}" if text else line

    def group(self, position: int) -> str:
        """``file:line`` of an equation; empty if unknown."""
        return self.lines.get(self.tape.equations[position].output, "")

    def equation(self, position: int) -> str:
        """An equation in words: its primitive, position, shape and line."""
        equation = self.tape.equations[position]
        facts = [f"equation {position} of the tape", f"shape {self.tape.avals[equation.output].shape}"]
        facts += [line] if (line := self.group(position)) else []
        return f"`{equation.primitive.name}` ({', '.join(facts)})"

    def short(self, position: int) -> str:
        """An equation in fewer words."""
        line = self.group(position)
        name = self.tape.equations[position].primitive.name
        return f"`{name}` (equation {position}{f', {line}' if line else ''})"

    def value(self, number: int) -> str:
        """A value in words: an argument's name, the variable it is assigned to, or the equation that makes it."""
        if number in self.tape.names:
            return self.tape.names[number]
        if number in self.assigned:
            return f"`{self.assigned[number]}`"
        if number in self.positions:
            return f"the result of {self.short(self.positions[number])}"
        if number in self.tape.literals:
            return f"{self.tape.literals[number]!r}"
        return f"a constant of shape {self.tape.avals[number].shape}"

    def operand(self, equation: Equation, index: int) -> str:
        """Which operand: its name if it has one."""
        return self.value(equation.inputs[index])


def located(flat: Function, bound: Bound) -> Places:
    """The tape of a function, traced once more with an eye on where every equation comes from."""
    lines: dict[int, str] = {}

    def noting(builder: Builder, number: int, aval: Aval) -> TracedArray:
        if number not in lines and number not in builder.constants and number not in builder.literals:
            lines[number] = user_location()
        return TracedArray(builder, number, aval)

    builder = Builder(noting)
    names = leaf_names(flat.function, bound)
    inputs = []
    for position, leaf in enumerate(_examples(bound)):
        example = None if isinstance(leaf, Shape) else leaf
        inputs.append(builder.input(aval_of(leaf), names[position], example))
    lines.clear()
    outputs = [builder.lift(output) for output in flat.outputs(inputs)]
    tape = builder.finish(outputs)
    known = {number: line for number, line in lines.items() if line != UNKNOWN}
    return Places(tape, known, _texts(flat.function, set(known.values())))


def _examples(bound: Bound) -> list[Any]:
    """Leaves for tracing: Python numbers as they came, so that they stay weak."""
    return [
        leaf if kind is ARRAY else bound.all_leaves[at]
        for leaf, kind, at in zip(bound.leaves, bound.kinds, bound.live, strict=True)
    ]


def _texts(function: Callable, lines: Iterable[str]) -> dict[str, str]:
    """The text at lines of the file in which a function stands."""
    try:
        path = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:  # an object that can be called
        return {}
    if path is None:
        return {}
    found = {}
    for line in lines:
        name, _, number = line.rpartition(":")
        if name == os.path.basename(path) and (text := linecache.getline(path, int(number)).strip()):
            found[line] = text
    return found


def _target(text: str) -> str:
    """The name on the left of an assignment."""
    try:
        statement = ast.parse(text).body
    except SyntaxError:  # a line of a longer statement
        return ""
    match statement:
        case [ast.Assign(targets=[ast.Name(id=name)])]:
            return name
        case [ast.AugAssign(target=ast.Name(id=name))]:
            return name
    return ""
