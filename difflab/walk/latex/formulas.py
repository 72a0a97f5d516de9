"""A scalar loss and its gradient as matrix formulas: from a tape to terms with names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...calls import Bound
from ...flat import require_scalar
from ...tape import Tape
from ..mirror import Mirror, mirror
from .collected import Formulas, collected, expect_no_branches
from .lengths import with_lengths
from .reading import Reader
from .terms import Name, Term


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
        >>> import numpy as np
        >>> from difflab.calls import bind
        >>> from difflab.tracing import trace_leaves
        >>> loss, w = (lambda w: (w @ w) / 2.0), np.array([3.0, 4.0])
        >>> made = formulas(loss, trace_leaves(lambda leaves: [loss(*leaves)], [w]), bind(loss, (w,), {}, 0))
        >>> value, gradient = made.evaluate([w])
        >>> value, gradient[0].ravel().tolist()
        (12.5, [3.0, 4.0])
    """
    require_scalar(tape, function)
    expect_no_branches(function, tape)
    longer, lengths = with_lengths(tape)
    found = mirror(longer, bound.wrt)
    sizes = {length.number: length.size for length in lengths}
    numbers = dict(zip(found.tape.inputs, longer.inputs, strict=True))
    measures = {number: sizes[before] for number, before in numbers.items() if before in sizes}
    reader = Reader(found.tape, set(measures), set(found.cotangents.values()) - set(found.forward))
    outputs = [reader.terms[number] for number in found.tape.outputs]
    forward = found.forward.__contains__
    return collected(function, bound, reader, outputs, measures, forward, lambda made: _roles(found, made))


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
