"""Loss and gradient as matrix formulas by the method of differentials, from the tape of the loss alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...calls import Bound, describe
from ...errors import UnsupportedError
from ...flat import require_scalar
from ...tape import Tape
from ..latex.collected import Formulas, collected, expect_no_branches
from ..latex.lengths import with_lengths
from ..latex.reading import Reader
from ..latex.terms import Name, Term
from .identification import Identified
from .rules import Rules

LINEAR = frozenset(
    ("add", "subtract", "negative", "cast", "copy", "reshape", "transpose", "broadcast_to", "sum", "slice", "unslice",
     "gather", "scatter_add", "concatenate")
)  # fmt: skip
BILINEAR = frozenset({"multiply", "matmul"})
OWN_SLOPE = frozenset({"exp", "sqrt"})
"""Primitives in whose differentials their operands do not stand; each stands beside that of the other; the result."""


def matrix_formulas(function: Callable, tape: Tape, bound: Bound) -> Formulas:
    """The matrix formulas of a traced loss and of its gradient, by the method of differentials.

    Args:
        function: the user's function.
        tape: its trace.
        bound: its arguments, taken apart with those to differentiate.

    Returns:
        ``Formulas``, as ``latex.formulas`` makes them of reverse mode's tape; ``latex.text`` prints them.

    Raises:
        InputError: the function has not one real output of shape ().
        UnsupportedError: Python branched on a traced value, values are complex, or a function has no rule.

    Example:
        >>> import numpy as np
        >>> from difflab.calls import bind
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.walk.latex.text import latex_text
        >>> loss, w = (lambda w, a: np.sum((w - a) ** 2)), np.array([3.0, 4.0])
        >>> tape = trace_leaves(lambda leaves: [loss(*leaves)], [w, np.ones(2)])
        >>> made = matrix_formulas(loss, tape, bind(loss, (w, np.ones(2)), {}, 0))
        >>> made.evaluate([w, np.ones(2)])[1][0].ravel().tolist()
        [4.0, 6.0]
        >>> print(latex_text(made))
        \\begin{aligned}
          L &= \\lVert w - a \\rVert^2 \\\\
          \\frac{\\partial L}{\\partial w} &= 2 (w - a)
        \\end{aligned}
    """
    require_scalar(tape, function)
    expect_no_branches(function, tape)
    if any(aval.dtype.kind == "c" for aval in tape.avals):
        raise UnsupportedError(
            f"the method of differentials is for real matrices, and {describe(function)} computes with complex ones; "
            "use to_latex(by='reverse')"
        )
    longer, lengths = with_lengths(tape)
    sizes = {length.number: length.size for length in lengths}
    moving, stops = _moving(longer, bound)
    reader = Reader(longer, set(sizes), set(), stops, _read_again(longer, moving))
    algebra = reader.algebra
    terms = [reader.terms[longer.inputs[place]] for place in bound.wrt]
    wrt = [term for term in terms if isinstance(term, Name)]
    definitions = dict(algebra.definitions)
    rules = Rules(algebra, wrt, lambda term: _where(reader, term))
    loss = reader.terms[longer.outputs[0]]
    count = len(longer.avals)
    found = Identified(rules, loss, wrt, definitions, count)
    for name in found.names:
        reader.origins.setdefault(algebra.definitions[name], (name.key[1], name.rank))

    def roles(made: Mapping[Name, Term]) -> dict[Name, Name]:
        return {name: of for name, of in found.factors.items() if name in made and of in made}

    return collected(function, bound, reader, [loss, *found.gradients], sizes, lambda n: 0 <= n < count, roles)


def _moving(tape: Tape, bound: Bound) -> tuple[set[int], frozenset[int]]:
    """The values that move with what is differentiated, and those that ``stop_gradient`` holds fast."""
    moving = {tape.inputs[place] for place in bound.wrt}
    stops = set()
    for equation in tape.equations:
        if moving.intersection(equation.inputs):
            if equation.primitive.name == "stop_gradient":
                stops.add(equation.output)
            else:
                moving.add(equation.output)
    return moving, frozenset(stops)


def _read_again(tape: Tape, moving: set[int]) -> list[int]:
    """The values that stand in differentials: of a product the other factor, of a function what it is taken of."""
    found = []
    for equation in tape.equations:
        if equation.output in moving and equation.primitive.name in OWN_SLOPE:
            found.append(equation.output)
        elif equation.output in moving and equation.primitive.name not in LINEAR:
            for place, number in enumerate(equation.inputs):
                others = [other for k, other in enumerate(equation.inputs) if k != place]
                if equation.primitive.name not in BILINEAR or moving.intersection(others):
                    found.append(number)
    return found


def _where(reader: Reader, term: Term) -> str:
    """The equation that a term was read from, in words."""
    number = reader.origins.get(term, (-1, 0))[0]
    tape = reader.tape
    for place, equation in enumerate(tape.equations, start=1):
        if equation.output == number:
            spans = [span for span in tape.spans if span.start < place <= span.stop]
            inside = f" inside {min(spans, key=lambda span: span.stop - span.start).name}" if spans else ""
            operands = ", ".join(f"v{one}" for one in equation.inputs)
            return f"in v{number} = {equation.primitive.name}({operands}){inside}, equation {place} of the trace"
    return "in a part of the loss"
