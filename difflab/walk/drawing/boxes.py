"""What stands in the boxes of a drawing: gates with their symbols, inputs, folded layers, labels of edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...tape import Equation
from .. import gates
from .graph import Graph, Use
from .layers import Group
from .lettering import broken, clipped, told, told_briefly, width

SIZES = {"symbol": 18.0, "title": 13.0, "name": 11.0, "value": 11.5, "slope": 11.5, "role": 11.0, "plain": 11.0}
HEIGHTS = {"symbol": 23.0, "title": 18.0, "name": 16.0, "value": 15.0, "slope": 15.0, "role": 14.0, "plain": 14.0}
SYMBOLS = {"multiply": "\N{MULTIPLICATION SIGN}", "subtract": "\N{MINUS SIGN}"}
WIDEST_FORMULA, WIDEST_ROLE, WIDEST_LIST = 24, 22, 32
PARAMETERS = 4
"""Parameters that a folded layer shows."""
PAD = 7.0
LABEL_GAP = 6.0


class Line(NamedTuple):
    """A line of text; with ``readers`` a gradient, complete when the equations at these positions have sent to it."""

    kind: str
    text: str
    readers: tuple[int, ...] | None = None


class Box(NamedTuple):
    """Lines in a box of a width and a height in pixels; ``tip`` is the whole story."""

    kind: str
    lines: tuple[Line, ...]
    width: float
    height: float
    tip: str


class Label(NamedTuple):
    """What an edge carries: a value forward and a share of its adjoint back; see ``Line`` for ``readers``."""

    value: tuple[str, ...]
    slope: tuple[str, ...]
    made: int  # position of the equation that makes the value, -1 for what is given
    readers: tuple[int, ...]


def box(kind: str, lines: Sequence[Line], tip: str, *, margin: float = 0.0) -> Box:
    """A box that is large enough for its lines."""
    widest = max(width(line.text, SIZES[line.kind], bold=line.kind in ("symbol", "title", "name")) for line in lines)
    high = sum(HEIGHTS[line.kind] for line in lines)
    return Box(kind, tuple(lines), widest + 2 * PAD + margin, high + 2 * PAD - 4, tip)


def slope_name(graph: Graph, number: int) -> str:
    """``dy/dx1``."""
    return f"d{graph.walk.symbol}/d{graph.names[number]}"


def positions(uses: Sequence[Use]) -> tuple[int, ...]:
    """Where a gradient comes from."""
    return tuple(dict.fromkeys(use.position for use in uses if use.contribution is not None))


def gate(graph: Graph, position: int) -> Box:
    """The box of an equation."""
    equation = graph.tape.equations[position]
    row = graph.rows[equation.output]
    name = graph.names[equation.output]
    bare = {"n": equation.params["n"]} if "n" in equation.params else {}
    operands = [graph.names[number] for number in equation.inputs]
    formula = gates.formula(equation.primitive.name, operands, bare)
    lines = [
        Line("symbol", clipped(symbol(graph, equation), 18)),
        Line("name", clipped(f"{name} = {formula}", WIDEST_FORMULA)),
    ]
    role, _, copied = row.gate.partition("; copy adds")
    if role.startswith("copy adds"):
        role, copied = "", role.removeprefix("copy adds")
    lines += [Line("role", text) for text in broken(role, WIDEST_ROLE, 2)]
    uses = graph.readers[equation.output]
    if copied:
        lines.append(Line("role", f"copy adds{copied}"))
    if copied and row.adjoint is not None:
        lines.append(_total(graph, equation.output, uses, row.adjoint))
    kind = "gate" if row.adjoint is not None else "gate still"
    return box(kind, lines, f"{name} = {row.formula}")


def symbol(graph: Graph, equation: Equation) -> str:
    """The sign of a gate, with the numbers that stand in it: ``+``, ``+ 1``, ``log``, ``max(0, .)`` with a raised dot.

    Example:
        >>> from difflab import trace
        >>> from difflab.walk.drawing.graph import graph
        >>> found = trace(lambda x: np.exp(x) + 1.0, 2.0)
        >>> drawn = graph(found.tape, found.values())
        >>> [symbol(drawn, equation) for equation in found.tape.equations]
        ['exp', '+ 1']
    """
    name, static = equation.primitive.name, graph.static
    texts = [graph.names[number] if number in static else "\N{MIDDLE DOT}" for number in equation.inputs]
    moving = [number not in static for number in equation.inputs]
    if name in gates.INFIX:
        sign = SYMBOLS.get(name, gates.INFIX[name])
        if all(moving):
            return sign
        if moving[0] or name in ("add", "multiply"):
            return f"{sign} {texts[0 if moving[1] else 1]}"
        return f"{texts[0]} {sign} {texts[1]}"
    if name == "negative":
        return f"{SYMBOLS['multiply']} \N{MINUS SIGN}1"
    if name in ("square", "integer_power"):
        return f"^ {equation.params.get('n', 2)}"
    short = gates.SHORT.get(name, name)
    return short if all(moving) else f"{short}({', '.join(texts)})"


def source(graph: Graph, number: int, *, parameter: bool) -> Box:
    """The box of an input or of a constant array."""
    row = graph.rows[number]
    uses = graph.readers[number]
    lines = [Line("title", clipped(graph.names[number], WIDEST_FORMULA))]
    if not uses:
        lines.append(Line("plain", "not used"))
    lines += [Line("role", text) for text in broken(row.gate, WIDEST_ROLE, 2)]
    if row.adjoint is not None and uses:
        lines.append(_total(graph, number, uses, row.adjoint))
    kind = "source parameter" if parameter else "source"
    return box(kind, lines, f"{graph.names[number]}: {row.formula}", margin=4.0)


def _total(graph: Graph, number: int, uses: Sequence[Use], adjoint: np.ndarray) -> Line:
    """The whole adjoint of a value."""
    return Line("slope", f"{slope_name(graph, number)} = {told_briefly(adjoint)}", positions(uses))


def end(graph: Graph) -> Box:
    """The box of the result."""
    number = graph.tape.outputs[0]
    name = graph.names[number]
    lines = [Line("title", f"{graph.walk.symbol} = {name}")]
    return box("source end", lines, f"the result, {name}", margin=4.0)


def folded(graph: Graph, group: Group, parameters: Sequence[int]) -> Box:
    """The box of a layer whose inside is not shown."""
    lines = [Line("title", clipped(group.title, WIDEST_LIST))]
    inside = ", ".join(_kinds(graph, group)) or f"{group.stop - group.start} equations"
    lines += [Line("plain", text) for text in broken(inside, WIDEST_LIST, 2)]
    for number in parameters[:PARAMETERS]:
        adjoint = graph.rows[number].adjoint
        lines.append(Line("value", f"{graph.names[number]} = {told_briefly(graph.values[number])}"))
        if adjoint is not None:
            lines.append(_total(graph, number, graph.readers[number], adjoint))
    if len(parameters) > PARAMETERS:
        lines.append(Line("plain", f"and {len(parameters) - PARAMETERS} more parameters"))
    count = group.stop - group.start
    return box("folded", lines, f"{group.title}: {count} equations, folded", margin=22.0)


def _kinds(graph: Graph, group: Group) -> list[str]:
    """What is done in a group, in order."""
    names = []
    for child in group.children:
        if isinstance(child, Group) and child.kind == "part":
            continue
        if isinstance(child, Group):
            names.append(child.title)
        else:
            name = graph.tape.equations[child].primitive.name
            names.append(gates.SHORT.get(name, name))
    return list(dict.fromkeys(names))


def label(graph: Graph, uses: Sequence[Use], made: int) -> Label:
    """What is written on an edge that stands for some uses of one value."""
    number = uses[0].value
    return Label(tuple(told(graph.values[number])), tuple(told(total(uses))), made, positions(uses))


def total(uses: Sequence[Use]) -> np.ndarray | None:
    """What several uses contribute together."""
    parts = [use.contribution for use in uses if use.contribution is not None]
    return sum(parts[1:], parts[0]) if parts else None


def label_size(found: Label, down: bool) -> tuple[float, float]:
    """Width and height of a label: the edge runs through its middle, downwards or to the right."""
    widest = [max((width(text, SIZES["value"]) for text in texts), default=0.0) for texts in (found.value, found.slope)]
    lines = max(len(found.value), len(found.slope))
    if down:
        return 2 * max(widest) + 4 * LABEL_GAP, lines * HEIGHTS["value"] + 4.0
    return max(widest) + LABEL_GAP, 2 * lines * HEIGHTS["value"] + 8.0
