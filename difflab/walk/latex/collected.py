"""What matrix formulas of a loss and its gradient consist of, whatever way of differentiating made them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...calls import Bound, describe, leaf_names
from ...errors import UnsupportedError
from ...tape import Tape
from .reading import Reader
from .settle import Settled, for_print
from .term_values import evaluate
from .terms import Name, Term, ordered


@dataclass(frozen=True)
class Formulas:
    """A loss and its gradient, and what they are made of.

    ``arguments`` maps symbols of inputs to the user's names for them; ``lengths`` and ``constants`` map symbols to
    numbers of elements and to arrays; ``definitions`` are formulas of intermediate quantities, each after those that it
    needs; ``cotangents`` says of which quantity a defined one is the derivative of the loss.  ``gradient`` has one pair
    per differentiated argument.  ``late`` are the defined quantities that the loss does not need, ``adjoint`` those of
    them that the backward pass makes.
    """

    arguments: Mapping[Name, str]
    lengths: Mapping[Name, int]
    constants: Mapping[Name, np.ndarray]
    definitions: Mapping[Name, Term]
    cotangents: Mapping[Name, Name]
    loss: Term
    gradient: Sequence[tuple[Name, Term]]
    late: frozenset[Name]
    adjoint: frozenset[Name]

    def evaluate(self, leaves: Sequence[Any]) -> tuple[float, list[np.ndarray]]:
        """Loss and gradient by the very formulas that are printed, at the leaves of the arguments.

        Args:
            leaves: arrays, one per live argument of the traced function.

        Returns:
            The loss, and for each entry of ``gradient`` an array of the shape of its formula.
        """
        values: dict[Name, Any] = {name: leaves[name.key[1]] for name in self.arguments}
        values.update(self.lengths)
        values.update(self.constants)
        found = evaluate([self.loss, *[formula for _, formula in self.gradient]], values, self.definitions)
        return found[0].item(), found[1:]


def expect_no_branches(function: Callable, tape: Tape) -> None:
    """Refuse a trace in which Python chose a branch by a traced value."""
    if tape.guards:
        raise UnsupportedError(
            f"formulas of {describe(function)} would freeze a branch that Python chose by a traced value; choose with "
            "np.where instead, or use dl.value_and_gradient"
        )


def collected(
    function: Callable,
    bound: Bound,
    reader: Reader,
    outputs: Sequence[Term],
    sizes: Mapping[int, int],
    forward: Callable[[int], bool],
    roles: Callable[[Mapping[Name, Term]], dict[Name, Name]],
) -> Formulas:
    """Formulas with names where they help a reader, and everything that the names stand for.

    Args:
        function: the user's function.
        bound: its arguments.
        reader: the terms of the tape that was read, whose inputs are those of ``bound``, and lengths after them.
        outputs: the terms of the loss and of the gradient by each differentiated argument.
        sizes: numbers of elements by the tape's numbers of those lengths.
        forward: whether a value of the tape, or a name of that number, belongs to the loss.
        roles: for the definitions that are left, which of them is the derivative by which other one.

    Returns:
        ``Formulas``.
    """
    tape, algebra = reader.tape, reader.algebra
    real = not any(aval.dtype.kind == "c" for aval in tape.avals)
    settled = Settled(algebra, list(outputs), reader.origins)
    shown = [for_print(algebra, output, real) for output in settled.outputs]
    definitions = {name: for_print(algebra, formula, real) for name, formula in settled.definitions.items()}
    symbols = {term for term in ordered([*shown, *definitions.values()]) if isinstance(term, Name)}
    names = leaf_names(function, bound)
    arguments, measured, constants = {}, {}, {}
    for place, number in enumerate(tape.inputs):
        term = reader.terms[number]
        if isinstance(term, Name) and (term in symbols or place in bound.wrt):
            if term.key[0] == "length":
                measured[term] = sizes[number]
            else:
                arguments[term] = names[place]
    for number, constant in tape.constants.items():
        term = reader.terms[number]
        if isinstance(term, Name) and term in symbols:
            constants[term] = np.asarray(constant)
    wrt = [reader.terms[tape.inputs[place]] for place in bound.wrt]
    late = set(definitions) - _needed(shown[0], definitions)
    adjoint = frozenset(name for name in late if not forward(name.key[1]))
    pairs = [(name, output) for name, output in zip(wrt, shown[1:], strict=True) if isinstance(name, Name)]
    cotangents = roles(definitions)
    return Formulas(arguments, measured, constants, definitions, cotangents, shown[0], pairs, frozenset(late), adjoint)


def _needed(formula: Term, definitions: dict[Name, Term]) -> set[Name]:
    """The names that a formula goes back to."""
    needed = {term for term in ordered([formula]) if isinstance(term, Name)}
    for name in reversed(definitions):
        if name in needed:
            needed.update(term for term in ordered([definitions[name]]) if isinstance(term, Name))
    return needed
