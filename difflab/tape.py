"""The tape: a Wengert list as plain, checked data.

A tape is what a function *did*, written down: every value has a number; ``inputs`` are the numbers of the
arguments, ``constants`` the arrays the function closed over, ``literals`` the static numbers that stood in
its text; each equation applies one primitive to values that already exist and binds one new value
(single assignment).  Everything downstream (derivatives, compiled programs, exact arithmetic, peers,
pictures) is a different reading of this one list, which is why "the same loss" is a fact here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .arrays import as_array, to_host
from .errors import GuardError
from .primitives.record import Aval, Primitive, Traced, find
from .primitives.values import value_of


class Equation(NamedTuple):
    """``output = primitive(*inputs, **params)``, all values by number."""

    primitive: Primitive
    inputs: tuple[int, ...]
    params: dict[str, Any]
    output: int


class Span(NamedTuple):
    """A composite as the user wrote it: equations ``start`` up to ``stop`` compute ``name(*arguments)``."""

    name: str
    start: int
    stop: int
    arguments: tuple[int, ...]
    result: int
    params: dict[str, Any]


class Guard(NamedTuple):
    """Python saw ``observed`` when it looked at ``value``; a replay must see the same."""

    value: int
    observed: Any


@dataclass(frozen=True)
class Tape:
    """A function's recording; see the module's text.

    ``quiet_from``: equations from that position on belong to derivatives and raise no floating-point warnings.
    """

    avals: tuple[Aval, ...]
    inputs: tuple[int, ...]
    constants: Mapping[int, Any]
    literals: Mapping[int, Any]
    equations: tuple[Equation, ...]
    outputs: tuple[int, ...]
    spans: tuple[Span, ...] = ()
    guards: tuple[Guard, ...] = ()
    quiet_from: int | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.equations)

    def check(self) -> Tape:
        """Return the tape itself after checking that it is well formed; ``ValueError`` says what is not."""
        bound: set[int] = set()
        for number in (*self.inputs, *self.constants, *self.literals):
            if number in bound:
                raise ValueError(f"value {number} is bound twice")
            bound.add(number)
        for position, equation in enumerate(self.equations):
            where = f"equation {position} ({equation.primitive.name})"
            for number in equation.inputs:
                if number not in bound:
                    raise ValueError(f"{where} uses value {number} before it is bound")
            if equation.output in bound:
                raise ValueError(f"{where} binds value {equation.output} a second time")
            primitive = equation.primitive
            if primitive.kind == "elementwise" and len(equation.inputs) != primitive.arity:
                raise ValueError(f"{where} has {len(equation.inputs)} operands; it takes {primitive.arity}")
            expected = primitive.abstract(*[self.avals[i] for i in equation.inputs], **equation.params)
            found = self.avals[equation.output]
            if (expected.shape, expected.dtype) != (found.shape, found.dtype):
                raise ValueError(f"{where} gives {show(expected)} but its value is noted as {show(found)}")
            bound.add(equation.output)
        for number in (*self.outputs, *[guard.value for guard in self.guards]):
            if number not in bound:
                raise ValueError(f"output or guard refers to value {number}, which nothing binds")
        return self

    def evaluate(self, inputs: Sequence[Any], constants: Mapping[int, Any] | None = None) -> list[Any]:
        """The outputs at ``inputs``, equation by equation, with each primitive's own value."""
        return self.replay(inputs, _value_of_any, constants)

    def audit(self, inputs: Sequence[Any], constants: Mapping[int, Any] | None = None) -> list[Any]:
        """The outputs at ``inputs``; ``ValueError`` where a value has not the shape and dtype noted for it.

        CuPy's own choice of a dtype is not held against it: a program on a GPU casts to the one that is noted.
        """
        position = 0

        def visit(primitive: Primitive, operands: list, params: dict) -> Any:
            nonlocal position
            noted = self.avals[self.equations[position].output]
            dtype = None if primitive.kind == "own" else noted.dtype
            result = as_array(value_of(primitive, operands, params, dtype))
            if (result.shape, result.dtype) != (noted.shape, noted.dtype):
                raise ValueError(
                    f"equation {position} ({primitive.name}) is noted as {show(noted)} and gives "
                    f"{show(Aval(result.shape, result.dtype))}"
                )
            position += 1
            return result

        return self.replay(inputs, visit, constants)

    def follows(self, inputs: Sequence[Any]) -> bool:
        """Whether Python would branch at ``inputs`` as it did when the tape was recorded."""
        if not self.guards:
            return True
        try:
            seen = self.replay_all([as_array(one) for one in inputs], value_of, None, [g.value for g in self.guards])
        except GuardError:  # a mask selects another number of elements
            return False
        return all(type(g.observed)(value) == g.observed for g, value in zip(self.guards, seen, strict=True))

    def replay(
        self,
        inputs: Sequence[Any],
        visit: Callable[[Primitive, list, dict], Any],
        constants: Mapping[int, Any] | None = None,
    ) -> list[Any]:
        """Run the tape with ``visit(primitive, operands, params)`` as the meaning of every equation."""
        return self.replay_all(inputs, visit, constants, self.outputs)

    def replay_all(
        self,
        inputs: Sequence[Any],
        visit: Callable[[Primitive, list, dict], Any],
        constants: Mapping[int, Any] | None,
        wanted: Sequence[int],
    ) -> list[Any]:
        """Like ``replay`` but returns the values numbered in ``wanted``; others are dropped after their last use."""
        if len(inputs) != len(self.inputs):
            raise ValueError(f"the tape takes {len(self.inputs)} inputs, got {len(inputs)}")
        values: dict[int, Any] = dict(zip(self.inputs, inputs, strict=True))
        values.update(self.constants if constants is None else constants)
        for number, literal in self.literals.items():
            values[number] = literal_array(literal, self.avals[number])
        last = self.last_uses(wanted)
        for position, equation in enumerate(self.equations):
            operands = [values[number] for number in equation.inputs]
            values[equation.output] = visit(equation.primitive, operands, equation.params)
            for number in set(equation.inputs):
                if last[number] == position:
                    del values[number]
        return [values[number] for number in wanted]

    def last_uses(self, wanted: Sequence[int]) -> dict[int, int]:
        """For every value the position of the last equation that reads it; past the end for ``wanted`` ones."""
        last: dict[int, int] = {}
        for position, equation in enumerate(self.equations):
            for number in equation.inputs:
                last[number] = position
        for number in wanted:
            last[number] = len(self.equations)
        return last

    @property
    def flops(self) -> float:
        """Floating-point operations of one evaluation, by the primitives' own counts."""
        return sum(
            e.primitive.flops([self.avals[i] for i in e.inputs], self.avals[e.output], **e.params)
            for e in self.equations
        )

    @property
    def bytes(self) -> int:
        """Bytes of all values the equations bind, if none were reused."""
        return sum(self.avals[e.output].nbytes for e in self.equations if not e.primitive.view)

    def pretty(self) -> str:
        """One line per equation, for people."""
        lines = []
        for number in self.inputs:
            lines.append(f"v{number:<4} {show(self.avals[number]):<18} input {self.names.get(number, '')}".rstrip())
        for number in self.constants:
            lines.append(f"v{number:<4} {show(self.avals[number]):<18} constant")
        for number, value in self.literals.items():
            lines.append(f"v{number:<4} {show(self.avals[number]):<18} literal {value!r}")
        for e in self.equations:
            params = "".join(f", {key}={value!r}" for key, value in e.params.items())
            operands = ", ".join(f"v{i}" for i in e.inputs)
            lines.append(f"v{e.output:<4} {show(self.avals[e.output]):<18} {e.primitive.name}({operands}{params})")
        lines.append("outputs " + ", ".join(f"v{i}" for i in self.outputs))
        return "\n".join(lines)

    # -------------------------------------------------------------------- exchange format

    def to_json(self) -> tuple[str, dict[str, np.ndarray]]:
        """The tape as JSON text, and its constants as arrays by name (to be kept as ``.npy``, never pickled)."""
        arrays = {f"c{number}": to_host(value) for number, value in self.constants.items()}
        document = {
            "version": 1,
            "avals": [[list(a.shape), a.dtype.str, a.weak] for a in self.avals],
            "inputs": list(self.inputs),
            "constants": list(self.constants),
            "literals": [[number, _literal_to_json(value)] for number, value in self.literals.items()],
            "equations": [[e.primitive.name, list(e.inputs), e.params, e.output] for e in self.equations],
            "outputs": list(self.outputs),
            "spans": [[s.name, s.start, s.stop, list(s.arguments), s.result, s.params] for s in self.spans],
            "guards": [[g.value, _literal_to_json(g.observed)] for g in self.guards],
            "quiet_from": self.quiet_from,
            "names": [[number, name] for number, name in self.names.items()],
        }
        return json.dumps(document), arrays

    @staticmethod
    def from_json(text: str, arrays: Mapping[str, np.ndarray]) -> Tape:
        """The tape that ``to_json`` wrote; checked before it is returned, as its numbers become names in programs."""
        document = json.loads(text)
        if document.get("version") != 1:
            raise ValueError(f"tape format {document.get('version')!r} is not known here (this is version 1)")
        tape = Tape(
            avals=tuple(_aval_from_json(*one) for one in document["avals"]),
            inputs=tuple(document["inputs"]),
            constants={number: arrays[f"c{number}"] for number in document["constants"]},
            literals={number: _literal_from_json(value) for number, value in document["literals"]},
            equations=tuple(
                Equation(find(name), tuple(inputs), {k: _tuples(v) for k, v in params.items()}, output)
                for name, inputs, params, output in document["equations"]
            ),
            outputs=tuple(document["outputs"]),
            spans=tuple(
                Span(name, start, stop, tuple(arguments), result, {k: _tuples(v) for k, v in params.items()})
                for name, start, stop, arguments, result, params in document["spans"]
            ),
            guards=tuple(Guard(value, _literal_from_json(observed)) for value, observed in document["guards"]),
            quiet_from=document["quiet_from"],
            names=dict(map(tuple, document["names"])),
        )
        return _numbered(tape).check()


def _value_of_any(primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """The value of an equation, recorded where an operand is traced."""
    if any(isinstance(operand, Traced) for operand in operands):
        return primitive(*operands, **params)
    return value_of(primitive, operands, params)


def show(aval: Aval) -> str:
    """``float64[3,4]``: dtype and shape as error messages print them."""
    return f"{aval.dtype.name}[{','.join(map(str, aval.shape))}]"


def literal_array(value: Any, aval: Aval) -> np.ndarray:
    """A literal as a 0-d array of its noted dtype."""
    return np.asarray(value, dtype=aval.dtype)


def _aval_from_json(shape: list, dtype: str, weak: bool) -> Aval:
    found = np.dtype(dtype)
    if found.kind not in "biufc" or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"a value of dtype {dtype!r} and shape {shape!r} is no array of numbers")
    return Aval(tuple(shape), found, bool(weak))


def _numbered(tape: Tape) -> Tape:
    """The tape itself, if all that refers to a value or to an equation is a number of one."""
    equations = [number for equation in tape.equations for number in (*equation.inputs, equation.output)]
    spans = [number for span in tape.spans for number in (*span.arguments, span.result)]
    guards = [guard.value for guard in tape.guards]
    known = (*tape.inputs, *tape.constants, *tape.literals, *tape.outputs, *tape.names)
    places = [place for span in tape.spans for place in (span.start, span.stop)]
    places += [] if tape.quiet_from is None else [tape.quiet_from]
    for what, numbers, end in (
        ("value", (*known, *equations, *spans, *guards), len(tape.avals)),
        ("position", places, len(tape.equations) + 1),
    ):
        for number in numbers:
            if type(number) is not int or not 0 <= number < end:
                raise ValueError(f"the tape refers to {what} {number!r}, and it has {end} of them, by number from 0")
    return tape


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _literal_to_json(value: Any) -> list:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, float):
        return ["float", value.hex()]
    if isinstance(value, complex):
        return ["complex", [value.real.hex(), value.imag.hex()]]
    if isinstance(value, tuple):
        return ["tuple", [_literal_to_json(item) for item in value]]
    raise TypeError(f"a literal of type {type(value).__name__} cannot be written to JSON")


def _literal_from_json(pair: list) -> Any:
    kind, value = pair
    if kind == "bool":
        return bool(value)
    if kind == "int":
        return int(value)
    if kind == "float":
        return float.fromhex(value)
    if kind == "complex":
        return complex(float.fromhex(value[0]), float.fromhex(value[1]))
    if kind == "tuple":
        return tuple(_literal_from_json(item) for item in value)
    raise ValueError(f"unknown kind of literal {kind!r} in a tape")
