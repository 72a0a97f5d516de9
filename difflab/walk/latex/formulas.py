"""A scalar loss and its gradient as matrix formulas: from a tape to terms with names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...calls import Bound, describe, leaf_names
from ...errors import UnsupportedError
from ...flat import require_scalar
from ...tape import Tape
from ..mirror import Mirror, mirror
from .lengths import with_lengths
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


def formulas(function: Callable, tape: Tape, bound: Bound) -> Formulas:
    """The matrix formulas of a traced loss and of its gradient.

    Args:
        function: the user's function.
        tape: its trace.
        bound: its arguments, taken apart with those to differentiate.

    Returns:
        ``Formulas``; ``latex.written`` prints them.

    Raises:
        InputError: the function has not one real output of shape ().
        UnsupportedError: Python branched on a traced value.

    Example:
        >>> from difflab.calls import bind
        >>> from difflab.tracing import trace_leaves
        >>> loss, w = (lambda w: (w @ w) / 2.0), np.array([3.0, 4.0])
        >>> made = formulas(loss, trace_leaves(lambda leaves: [loss(*leaves)], [w]), bind(loss, (w,), {}, 0))
        >>> value, gradient = made.evaluate([w])
        >>> value, gradient[0].ravel().tolist()
        (12.5, [3.0, 4.0])
    """
    require_scalar(tape, function)
    if tape.guards:
        raise UnsupportedError(
            f"formulas of {describe(function)} would freeze a branch that Python chose by a traced value; choose with "
            "np.where instead, or use dl.value_and_gradient"
        )
    longer, lengths = with_lengths(tape)
    found = mirror(longer, bound.wrt)
    numbers = dict(zip(found.tape.inputs, longer.inputs, strict=True))
    sizes = {length.number: length.size for length in lengths}
    measures = {number for number, before in numbers.items() if before in sizes}
    reader = Reader(found.tape, measures, set(found.cotangents.values()) - set(found.forward))
    algebra = reader.algebra
    real = not any(aval.dtype.kind == "c" for aval in found.tape.avals)
    settled = Settled(algebra, [reader.terms[number] for number in found.tape.outputs], reader.origins)
    outputs = [for_print(algebra, output, real) for output in settled.outputs]
    definitions = {name: for_print(algebra, formula, real) for name, formula in settled.definitions.items()}
    needed = [*outputs, *definitions.values()]
    symbols = {term for term in ordered(needed) if isinstance(term, Name)}
    names = leaf_names(function, bound)
    arguments, measured, constants = {}, {}, {}
    for place, number in enumerate(found.tape.inputs):
        term = reader.terms[number]
        if isinstance(term, Name) and (term in symbols or place in bound.wrt):
            if term.key[0] == "length":
                measured[term] = sizes[numbers[number]]
            else:
                arguments[term] = names[place]
    for number, constant in found.tape.constants.items():
        term = reader.terms[number]
        if isinstance(term, Name) and term in symbols:
            constants[term] = np.asarray(constant)
    wrt = [reader.terms[found.tape.inputs[place]] for place in bound.wrt]
    cotangents = _roles(found, definitions)
    late = set(definitions) - _needed(outputs[0], definitions)
    adjoint = frozenset(name for name in late if name.key[1] not in found.forward)
    pairs = [(name, output) for name, output in zip(wrt, outputs[1:], strict=True) if isinstance(name, Name)]
    return Formulas(
        arguments, measured, constants, definitions, cotangents, outputs[0], pairs, frozenset(late), adjoint
    )


def _roles(found: Mirror, definitions: Mapping[Name, Term]) -> dict[Name, Name]:
    """Of which named quantity each named cotangent is the derivative."""
    at = {number: value for value, number in found.forward.items()}
    known = {name.key[1]: name for name in definitions}
    cotangents: dict[Name, Name] = {}
    for number, cotangent in found.cotangents.items():
        name, of = known.get(cotangent), known.get(at.get(number, -1))
        if name is not None and of is not None and cotangent not in found.forward:
            cotangents.setdefault(name, of)
    return cotangents


def _needed(formula: Term, definitions: dict[Name, Term]) -> set[Name]:
    """The names that a formula goes back to."""
    needed = {term for term in ordered([formula]) if isinstance(term, Name)}
    for name in reversed(definitions):
        if name in needed:
            needed.update(term for term in ordered([definitions[name]]) if isinstance(term, Name))
    return needed
