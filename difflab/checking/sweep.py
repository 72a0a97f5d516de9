"""The tape read as numbers: values forward, adjoints back, tangents along directions, and any equation's rule replaced.

A slip in a hand-written gradient is a wrong rule at one equation, or at all equations of one line.  ``Sweep`` computes
the gradient that such a slip would give.  One forward and one backward reading also say, for every equation at once,
how much it contributes to the derivative along a direction: the adjoint of its output times the tangent there.  So
thousands of equations are looked at for the price of a few gradients, and only what fits is computed in full.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..primitives import REGISTRY
from ..primitives.record import Primitive
from ..tape import Equation, Tape
from ..transforms.inline import depends_on

WIDE = {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}

# What a rule hands back: contributions to the adjoints of values, by number.
Contributions = dict[int, Any]
Rule = Callable[["Sweep", Equation, Any], Contributions]


def wide(array: Any) -> np.ndarray:
    """Floating-point numbers in double precision, others as they are."""
    array = np.asarray(array)
    return array.astype(WIDE[array.dtype.kind], copy=False) if array.dtype.kind in WIDE else array


def widened(tape: Tape) -> Tape:
    """The tape in double precision throughout; the tape itself where a primitive insists on its dtype."""

    def equation(one: Equation) -> Equation:
        dtype = np.dtype(one.params["dtype"]) if one.primitive.name == "cast" else None
        if dtype is None or dtype.kind not in WIDE:
            return one
        return one._replace(params={**one.params, "dtype": WIDE[dtype.kind].str})

    result = replace(
        tape,
        avals=tuple(aval._replace(dtype=WIDE.get(aval.dtype.kind, aval.dtype)) for aval in tape.avals),
        constants={number: wide(value) for number, value in tape.constants.items()},
        equations=tuple(equation(one) for one in tape.equations),
    )
    try:
        return result.check()
    except ValueError:
        return tape


class Sweep:
    """One tape at one point.

    Args:
        tape: a function with one output of shape ().
        leaves: one array per input.
        wrt: positions of the inputs to differentiate.
        base: rules in place of the true ones by position, in all that follows.
    """

    def __init__(self, tape: Tape, leaves: Sequence[Any], wrt: Sequence[int], base: Mapping[int, Rule] | None = None):
        self.tape = tape
        self.base = dict(base or {})
        self.wrt = tuple(tape.inputs[position] for position in wrt)
        numbers = [*tape.inputs, *tape.constants, *tape.literals, *[one.output for one in tape.equations]]
        inputs = [np.asarray(leaf, tape.avals[number].dtype) for leaf, number in zip(leaves, tape.inputs, strict=True)]
        with np.errstate(all="ignore"):
            found = tape.replay_all(inputs, _value, None, numbers)
        self.values: dict[int, Any] = dict(zip(numbers, map(np.asarray, found), strict=True))
        self.producers = {equation.output: position for position, equation in enumerate(tape.equations)}
        self.active = depends_on(tape, wrt)
        self.pulled: dict[int, Contributions] = {}  # by position of the equation: what it handed to its operands
        self.adjoints = self.backward(pulled=self.pulled)
        self.truth = self._of_inputs(self.adjoints)

    def producer(self, number: int) -> Equation | None:
        """The equation that makes a value."""
        position = self.producers.get(number)
        return None if position is None else self.tape.equations[position]

    def operands(self, equation: Equation) -> list[Any]:
        """The values of an equation's operands."""
        return [self.values[number] for number in equation.inputs]

    def pull(self, equation: Equation, adjoint: Any) -> Contributions:
        """What the true rule makes of an adjoint."""
        return gathered(equation, self.pull_each(equation, adjoint))

    def pull_each(self, equation: Equation, adjoint: Any, y: Any = None, operands: Sequence[Any] | None = None) -> list:
        """Contributions operand by operand, ``None`` for those that do not count; other values may be put in."""
        wanted = tuple(number in self.active for number in equation.inputs)
        rule = equation.primitive.vjp
        if rule is None or not any(wanted):
            return [None] * len(equation.inputs)
        y = self.values[equation.output] if y is None else y
        parts = rule(adjoint, y, *(operands or self.operands(equation)), wanted=wanted, **equation.params)
        return [part if want else None for part, want in zip(parts, wanted, strict=True)]

    def backward(
        self, rules: Mapping[int, Rule] | None = None, pulled: dict[int, Contributions] | None = None
    ) -> dict[int, Any]:
        """All adjoints by number, with ``rules`` in place of the true ones at these positions.

        ``pulled`` is filled with what every equation handed to its operands.
        """
        rules = {**self.base, **(rules or {})}
        output = self.tape.outputs[0]
        adjoints: dict[int, Any] = {output: np.ones((), self.values[output].dtype)}
        with np.errstate(all="ignore"):
            for position in range(len(self.tape.equations) - 1, -1, -1):
                equation = self.tape.equations[position]
                adjoint = adjoints.get(equation.output)
                if adjoint is None or equation.output not in self.active:
                    continue
                rule = rules.get(position)
                parts = self.pull(equation, adjoint) if rule is None else rule(self, equation, adjoint)
                if pulled is not None:
                    pulled[position] = parts
                for number, part in parts.items():
                    before = adjoints.get(number)
                    adjoints[number] = part if before is None else before + part
        return adjoints

    def gradient(self, rules: Mapping[int, Rule] | None = None) -> list[np.ndarray]:
        """One gradient per differentiated input, with ``rules`` in place of the true ones at these positions."""
        return self._of_inputs(self.backward(rules))

    def _of_inputs(self, adjoints: Mapping[int, Any]) -> list[np.ndarray]:
        return [np.asarray(adjoints.get(number, np.zeros_like(self.values[number]))) for number in self.wrt]

    def tangents(self, direction: Sequence[Any], without: Collection[int] = ()) -> dict[int, Any]:
        """How every active value moves along a direction, one array per differentiated input; no entry: not at all.

        Nothing passes through the equations ``without``.
        """
        moved: dict[int, Any] = dict(zip(self.wrt, direction, strict=True))
        with np.errstate(all="ignore"):
            for position, equation in enumerate(self.tape.equations):
                rule = equation.primitive.jvp
                if equation.output not in self.active or rule is None or position in without:
                    continue
                given = tuple(moved.get(number) for number in equation.inputs)
                if all(one is None for one in given):
                    continue
                y = self.values[equation.output]
                tangent = rule(given, y, *self.operands(equation), **equation.params)
                if tangent is not None:
                    moved[equation.output] = tangent
        return moved


def _value(primitive: Primitive, operands: list, params: dict) -> Any:
    return primitive.evaluate(*operands, **params)


def gathered(equation: Equation, parts: Sequence[Any]) -> Contributions:
    """Contributions by number; an operand that comes twice receives both."""
    result: Contributions = {}
    for number, part in zip(equation.inputs, parts, strict=True):
        if part is not None:
            result[number] = part if number not in result else result[number] + part
    return result


def dot(a: Any, b: Any) -> float:
    """The pairing of an adjoint with a tangent: real, also where both are complex."""
    with np.errstate(all="ignore"):
        return float(np.real(np.sum(np.asarray(a) * np.asarray(b))))


def evaluated(name: str, *operands: Any, **params: Any) -> Any:
    """A primitive by name on plain arrays."""
    return REGISTRY[name].evaluate(*operands, **params)
