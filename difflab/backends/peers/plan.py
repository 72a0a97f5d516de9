"""Which functions of a framework compute a tape, and in what order: composites whole, no reshape that costs a call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ...errors import UnsupportedError
from ...primitives.record import Aval
from ...tape import Span, Tape
from .idioms import shortened

Maker = Callable[..., Any]
"""``maker(avals, out, **params)`` is the function of the operands, or ``None`` where the framework has none."""

REDUCTIONS = ("sum", "prod", "max", "min")


class Table(NamedTuple):
    """What a framework has for our primitives and composites.

    ``equations`` and ``spans`` are makers by name; ``constant`` turns a NumPy array into an operand; ``plain`` names
    the primitives whose function takes a Python number beside an operand of the same dtype.  The makers of ``sum``,
    ``prod``, ``max`` and ``min`` take ``keepdims`` besides; functions of the composites ``biased`` take one more
    operand, to be added along the last axis.  ``layouts`` turn images into the framework's own layout and back; a maker
    gives an ``Inner`` function where it works on that.  ``idioms`` are functions for what takes several equations
    (see ``idioms.py``).
    """

    peer: str
    equations: Mapping[str, Maker]
    spans: Mapping[str, Maker]
    constant: Callable[[np.ndarray], Any]
    plain: frozenset[str]
    biased: frozenset[str] = frozenset()
    layouts: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None = None
    idioms: Mapping[str, Callable[..., Any]] = MappingProxyType({})


class Inner(NamedTuple):
    """A function whose first operand and whose result are images as the framework keeps them."""

    function: Callable[..., Any]


Planned = tuple[int, tuple[int, ...], Any]
"""An output, its operands, and a function or the position of an equation."""


class Step(NamedTuple):
    """``output = function(*operands)``; ``literals`` are the positions of operands that are Python numbers."""

    function: Callable[..., Any]
    operands: tuple[int, ...]
    output: int
    literals: tuple[int, ...] = ()


def always(function: Callable[..., Any]) -> Maker:
    """The maker of a function that needs to know nothing of its operands.

    Args:
        function: takes the operands and nothing else.

    Returns:
        A maker that gives this function.

    Example:
        >>> always(np.tanh)((), None) is np.tanh
        True
    """
    return lambda avals, out: function


def steps(tape: Tape, table: Table) -> tuple[list[Step], tuple[str, ...]]:
    """What is to be called.

    Args:
        tape: what is to be computed.
        table: of the framework.

    Returns:
        The steps in order, their values by the tape's numbers or by larger ones, and the composites taken whole.

    Raises:
        UnsupportedError: the framework has nothing for some primitive; with their names.

    Example:
        >>> from difflab.operators import source
        >>> tape = source(np.tanh, (np.ones(3),)).tape
        >>> steps(tape, Table("numpy", {"tanh": always(np.tanh)}, {}, np.asarray, frozenset()))[0]
        [Step(function=<ufunc 'tanh'>, operands=(0,), output=1, literals=())]
    """
    taken = _taken(tape, table)
    found = [span.result for span, _ in taken]
    starts: dict[int, list[tuple[Span, Callable[..., Any]]]] = {}
    for span, function in taken:
        starts.setdefault(span.start, []).append((span, function))
    planned: list[Planned] = []
    for position, equation in enumerate(tape.equations):
        planned += [(span.result, span.arguments, function) for span, function in starts.get(position, ())]
        if equation.output not in found:
            planned.append((equation.output, equation.inputs, position))
    needed = set(tape.outputs)
    live = []
    for output, operands, what in reversed(planned):
        if output in needed:
            needed.update(operands)
            live.append((output, operands, what))
    live.reverse()
    live = _with_biases(tape, live, {span.result for span, _ in taken if span.name in table.biased})
    live = shortened(tape, live, table.idioms)
    kept = _kept(tape, live)
    result: list[Step] = []
    missing: dict[str, int] = {}
    joined = set(kept.values())
    for output, operands, what in live:
        if not isinstance(what, int):
            result.append(Step(what, operands, output))
        elif what not in joined:
            step = _equation(tape, table, kept.get(what, what), output, what in kept)
            if step is None:
                missing.setdefault(tape.equations[kept.get(what, what)].primitive.name, what)
            else:
                result.append(step)
    if missing:
        raise UnsupportedError(
            f"backend {table.peer!r} has no function of its own for {_listed(missing)}; use backend 'reverse', or "
            "write the loss without it"
        )
    names = [span.name for span, _ in taken if span.result in needed]
    return _laid_out(tape, table, result, set(found)), tuple(sorted(names))


def _laid_out(tape: Tape, table: Table, steps: Sequence[Step], composites: set[int]) -> list[Step]:
    """The steps with images kept in the framework's layout from one function of it to the next."""
    if table.layouts is None:
        return list(steps)
    inward, outward = table.layouts
    unary = {e.output for e in tape.equations if e.primitive.kind == "elementwise" and len(e.inputs) == 1} - composites
    inner: dict[int, int] = {}  # the number of a value in the framework's layout
    outer = {*tape.inputs, *tape.constants, *tape.literals}
    result: list[Step] = []

    def moved_in(number: int) -> int:
        if number not in inner:
            inner[number] = len(tape.avals) + len(inner)
            result.append(Step(inward, (number,), inner[number]))
        return inner[number]

    def moved_out(number: int) -> None:
        if number not in outer:
            outer.add(number)
            result.append(Step(outward, (inner[number],), number))

    for step in steps:
        first = step.operands[0]
        own = isinstance(step.function, Inner)
        if own or (step.output in unary and first in inner and first not in outer):
            source, rest = moved_in(first), step.operands[1:]
            for number in rest:
                moved_out(number)
            inner[step.output] = len(tape.avals) + len(inner)
            function = step.function.function if own else step.function
            result.append(Step(function, (source, *rest), inner[step.output], step.literals))
        else:
            for number in step.operands:
                moved_out(number)
            outer.add(step.output)
            result.append(step)
    for number in tape.outputs:
        moved_out(number)
    return result


def _listed(missing: Mapping[str, int]) -> str:
    noun = "the primitive" if len(missing) == 1 else "the primitives"
    return f"{noun} {', '.join(f'{name!r} (equation {position})' for name, position in missing.items())}"


def _taken(tape: Tape, table: Table) -> list[tuple[Span, Callable[..., Any]]]:
    """The outermost composites that the framework has, with its functions."""
    bound = {equation.output: position for position, equation in enumerate(tape.equations)}
    result, inside = [], set()
    # The outer of two composites ends later or begins earlier; what begins and ends together was left last.
    for span in sorted(reversed(tape.spans), key=lambda span: (span.start, -span.stop)):
        maker = table.spans.get(span.name)
        if maker is None or any(span.start >= start and span.stop <= stop for start, stop in inside):
            continue
        early = all(bound.get(number, -1) < span.start for number in span.arguments)
        if not early or not span.start <= bound.get(span.result, -1) < span.stop:
            continue  # what it computes was there already
        function = maker([tape.avals[n] for n in span.arguments], tape.avals[span.result], **span.params)
        if function is not None and not any(number in tape.literals for number in span.arguments):
            result.append((span, function))
            inside.add((span.start, span.stop))
    return result


def _with_biases(tape: Tape, live: Sequence[Planned], results: set[int]) -> list[Planned]:
    """Composites to whose result nothing happens but that a vector is added along its last axis: with that."""
    uses = Counter(number for _, operands, _ in live for number in operands)
    uses.update(tape.outputs)
    merged: dict[int, Planned] = {}  # by the composite's result
    for output, operands, what in live:
        if not isinstance(what, int) or tape.equations[what].primitive.name != "add":
            continue
        for result, bias in (operands, operands[::-1]):
            fits = tape.avals[bias].shape == tape.avals[result].shape[-1:] and bias not in tape.literals
            if result in results and uses[result] == 1 and fits and bias not in results:
                merged[result] = (output, (bias,), what)
    if not merged:
        return list(live)
    outputs = {output for output, _, _ in merged.values()}
    found: list[Planned] = []
    waiting: dict[int, Planned] = {}
    for output, operands, what in live:
        if output in merged:
            waiting[merged[output][0]] = (output, operands, what)
        elif output in outputs:
            _, composite, function = waiting[output]
            (bias,) = merged[waiting[output][0]][1]
            found.append((output, (*composite, bias), function))
        else:
            found.append((output, operands, what))
    return found


def _kept(tape: Tape, live: Sequence[Planned]) -> dict[int, int]:
    """Reshapes that only put size-1 axes back where a reduction took them, and that reduction: by their positions."""
    uses = Counter(number for _, operands, _ in live for number in operands)
    uses.update(tape.outputs)
    at = {output: what for output, _, what in live if isinstance(what, int)}
    result = {}
    for output, operands, what in live:
        source = at.get(operands[0]) if operands else None
        if source is None or not isinstance(what, int) or tape.equations[what].primitive.name != "reshape":
            continue
        reduction = tape.equations[source]
        if uses[operands[0]] == 1 and reduction.primitive.name in REDUCTIONS:
            axes, shape = reduction.params["axes"], tape.avals[reduction.inputs[0]].shape
            if tape.avals[output].shape == tuple(1 if i in axes else n for i, n in enumerate(shape)):
                result[what] = source
    return result


def _equation(tape: Tape, table: Table, position: int, output: int, keepdims: bool) -> Step | None:
    """The step of an equation; of a reduction whose axes a reshape puts back the one of both."""
    equation = tape.equations[position]
    maker = table.equations.get(equation.primitive.name)
    avals = [tape.avals[number] for number in equation.inputs]
    more = {"keepdims": True} if keepdims else {}
    function = maker(avals, tape.avals[output], **equation.params, **more) if maker is not None else None
    if function is None:
        return None
    literals = _literals(tape, equation.inputs, avals) if equation.primitive.name in table.plain else ()
    return Step(function, equation.inputs, output, literals)


def _literals(tape: Tape, numbers: Sequence[int], avals: Sequence[Aval]) -> tuple[int, ...]:
    """Positions of single numbers beside an array of their dtype, which settles the dtype of the result."""
    single = [is_number(tape, number) for number in numbers]
    arrays = {aval.dtype for aval, alone in zip(avals, single, strict=True) if not alone}
    return tuple([i for i, alone in enumerate(single) if alone and avals[i].dtype in arrays])


def is_number(tape: Tape, number: int) -> bool:
    """Whether a value is a number that stood in the text of the loss or that it closed over.

    Args:
        tape: of the loss.
        number: of the value.

    Returns:
        Whether functions may take it as a Python number.

    Example:
        >>> from difflab.operators import source
        >>> tape = source(lambda x: 2.0 * x, (np.ones(3),)).tape
        >>> [is_number(tape, number) for number in sorted(tape.equations[0].inputs)]
        [False, True]
    """
    return number in tape.literals or (number in tape.constants and tape.avals[number].shape == ())
