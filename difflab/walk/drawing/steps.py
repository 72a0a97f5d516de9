"""What happens at a step of the drawing, in a sentence: values going forward, gradients coming back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...tape import Tape
from ...transforms.branches import Share, pulled_back
from .. import gates
from .boxes import slope_name, total
from .graph import Graph
from .lettering import in_line
from .scene import Scene

POWERS = ("power", "square", "integer_power", "negative")
SHARES = 4
"""Shares of an adjoint that are written out."""


def counted(tape: Tape) -> str:
    """How many equations there are."""
    return f"{len(tape)} equation{'' if len(tape) == 1 else 's'}"


def begin(graph: Graph) -> str:
    """Before the first step: the inputs."""
    given = [number for number in graph.rows if number in graph.tape.inputs]
    return "Given: " + "; ".join(f"{graph.names[number]} = {in_line(graph.values[number])}" for number in given) + "."


def turn(graph: Graph) -> str:
    """Between forward and backward: what comes back to the result."""
    use = graph.uses[-1]
    symbol, name = graph.walk.symbol, graph.walk.output
    seed = "no gradient" if use.contribution is None else in_line(use.contribution)
    value = in_line(graph.walk.value)
    return f"The result is {symbol} = {name} = {value}. The way back begins with d{symbol}/d{name} = {seed}."


def forward(graph: Graph, position: int) -> str:
    """What an equation computes.

    Example:
        >>> from difflab import trace
        >>> from difflab.walk.drawing.graph import graph
        >>> found = trace(lambda x1, x2: x1 * x2, 2.0, 5.0)
        >>> forward(graph(found.tape, found.values()), 0)
        'v1 = x1 * x2 = 2 * 5 = 10'
    """
    equation = graph.tape.equations[position]
    row = graph.rows[equation.output]
    parts = [graph.names[equation.output], row.formula]
    operands = [graph.values[number] for number in equation.inputs]
    if operands and all(operand.ndim == 0 for operand in operands):
        name = equation.primitive.name
        parts.append(gates.formula(name, _numbers(name, operands), equation.params))
    parts.append(in_line(row.primal))
    return " = ".join(part for at, part in enumerate(parts) if not at or part != parts[at - 1])


def backward(graph: Graph, position: int, turns: Mapping[int, int]) -> str:
    """What an equation sends back; empty if nothing.  ``turns`` says which step an equation is, by position.

    Example:
        >>> from difflab import trace
        >>> from difflab.walk.drawing.graph import graph
        >>> found = trace(lambda x1, x2: x1 * x2, 2.0, 5.0)
        >>> backward(graph(found.tape, found.values()), 0, {0: 0, 1: 1})
        'multiply swaps: dy/dx1 += 1 * 5 = 5; dy/dx2 += 1 * 2 = 2'
    """
    row = graph.rows[graph.tape.equations[position].output]
    uses = [use for use in graph.operands[position] if use.contribution is not None]
    if not uses:
        return ""
    slopes = _slopes(graph, position)
    parts = []
    for use in uses:
        product = ""
        if use.operand in slopes and row.adjoint is not None:
            product = f"{_signed(row.adjoint)} * {_signed(slopes[use.operand])} = "
        parts.append(f"{slope_name(graph, use.value)} += {product}{in_line(use.contribution)}")
    role = row.gate.partition("; ")[0]
    said = graph.tape.equations[position].primitive.name if role.startswith("copy adds") else role
    for number in dict.fromkeys(use.value for use in uses):
        parts += _completed(graph, number, range(position, position + 1), turns)
    return f"{said}: {'; '.join(parts)}"


def forward_of_group(graph: Graph, scene: Scene) -> str:
    """What a folded group computes."""
    made = [f"{graph.names[number]} = {in_line(graph.values[number])}" for number in _results(graph, scene)]
    return f"{scene.group.title}: {'; '.join(made) or 'nothing that is used'}"


def backward_of_group(graph: Graph, scene: Scene, turns: Mapping[int, int]) -> str:
    """What a folded group sends back, and the gradients by its parameters; empty if nothing."""
    start, stop = scene.group.start, scene.group.stop
    inside = {equation.output for equation in graph.tape.equations[start:stop]} | set(scene.given)
    own_uses = [use for position in range(start, stop) for use in graph.operands[position]]
    read = dict.fromkeys(use.value for use in own_uses if use.contribution is not None)
    parts = []
    for number in read:
        if number in inside:
            continue
        uses = [use for use in graph.readers[number] if use.contribution is not None]
        own = [use for use in uses if start <= use.position < stop]
        parts.append(f"{slope_name(graph, number)} {'=' if own == uses else '+='} {in_line(total(own))}")
        parts += _completed(graph, number, range(start, stop), turns) if own != uses else []
    for number in scene.given:
        adjoint = graph.rows[number].adjoint
        if adjoint is not None:
            parts.append(f"{slope_name(graph, number)} = {in_line(adjoint)}")
    return f"{scene.group.title}: {'; '.join(parts)}" if parts else ""


def _results(graph: Graph, scene: Scene) -> list[int]:
    last = scene.group.stop == len(graph.tape)
    return [*scene.outs] or (list(graph.tape.outputs) if last else [])


def _completed(graph: Graph, number: int, positions: range, turns: Mapping[int, int]) -> list[str]:
    """The adjoint of a value with several uses, if these equations add the last share: here the copy adds up."""
    uses = [use for use in graph.readers[number] if use.contribution is not None]
    uses.sort(key=lambda use: -turns[use.position])
    if len(uses) < 2 or uses[-1].position not in positions:
        return []
    shares = [use.contribution for use in uses if use.contribution is not None and use.contribution.ndim == 0]
    terms = " + ".join(map(_signed, shares)) if len(shares) == len(uses) <= SHARES else f"the sum of {len(uses)}"
    whole = in_line(graph.rows[number].adjoint)
    return [f"the copy of {graph.names[number]} adds: {slope_name(graph, number)} = {terms} = {whole}"]


def _slopes(graph: Graph, position: int) -> dict[int, np.ndarray]:
    """The derivative of a number by each of the numbers that it is made of, by operand."""
    equation = graph.tape.equations[position]
    operands = [graph.values[number] for number in equation.inputs]
    out = graph.values[equation.output]
    if equation.primitive.vjp is None or any(one.ndim for one in (out, *operands)):
        return {}
    wanted = tuple(number in graph.rows and graph.rows[number].adjoint is not None for number in equation.inputs)
    with np.errstate(all="ignore"):
        parts = pulled_back(equation.primitive, Share(np.ones_like(out)), out, operands, wanted, equation.params)
        return {at: np.asarray(part.closed) for at, part in enumerate(parts) if part is not None and wanted[at]}


def _numbers(primitive: str, operands: Sequence[np.ndarray]) -> list[str]:
    """Operands as numbers in a formula, negative ones in brackets where they stand behind a sign or under a power."""
    if primitive not in (*gates.INFIX, *POWERS):
        return [in_line(operand) for operand in operands]
    first = _signed(operands[0]) if primitive in POWERS else in_line(operands[0])
    return [first, *[_signed(operand) for operand in operands[1:]]]


def _signed(number: np.ndarray) -> str:
    """A number as a factor or a term; a negative one in brackets."""
    text = in_line(number)
    return f"({text})" if text.startswith("-") else text
