"""How large the expressions of a loss and its gradient become, from shapes alone.

Each value of the tape is represented by an average entry: how many operations its expression has as a tree, and on how
many of the symbols it depends.  One pass over the equations, nothing as large as the data.
"""

from __future__ import annotations

from typing import NamedTuple

from ..primitives.record import Aval, Primitive
from ..tape import Equation, Tape
from .arithmetic import taken_whole
from .symbols import SPANS


class Entry(NamedTuple):
    """An average entry of a value: operations of its tree, symbols it depends on."""

    operations: float
    symbols: float


class Swell(NamedTuple):
    """Sizes of expressions.

    ``value``: operations of the outputs as trees; ``nodes``: operations with everything shared; ``slopes``: partial
    derivatives of single operations that are needed, one for each symbol that the operation depends on; ``gradient``:
    operations of all derivatives as trees.
    """

    value: float
    nodes: float
    slopes: float
    gradient: float
    symbols: int


# Operations that SymPy writes for one application, where it is not one; choices repeat their operands in conditions.
WRITTEN = {"sigmoid": 4, "square": 1, "hypot": 4, "logaddexp": 4, "log2": 2, "log10": 2, "reciprocal": 1, "negative": 1}
REPEATED = {"relu": 2, "absolute": 4, "sign": 2, "maximum": 3, "minimum": 3}
FREE = frozenset({"cast", "copy", "stop_gradient", "zeros_like"})
# A derivative tree is about half as large again as the value it belongs to (measured: 1.4 on both digits networks).
DERIVATIVE_PER_VALUE = 1.5


def forecast(tape: Tape, symbolic: tuple[int, ...]) -> Swell:
    """Sizes for the inputs at positions ``symbolic`` as symbols and all else as numbers.

    Args:
        tape: the function.
        symbolic: positions of the inputs whose entries become symbols.

    Returns:
        ``Swell``.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> forecast(trace_leaves(lambda leaves: [np.exp(leaves[0]) + leaves[0]], [1.0]), (0,)).value
        2.0
    """
    whole = taken_whole(tape, SPANS)
    count = sum(tape.avals[tape.inputs[i]].size for i in symbolic)
    constant = Entry(0.0, 0.0)
    entries = {number: constant for number in (*tape.inputs, *tape.constants, *tape.literals)}
    entries.update((tape.inputs[i], Entry(0.0, 1.0)) for i in symbolic)
    nodes = slopes = 0.0
    for equation in whole.equations:
        entry, made = _entry(equation, tape, [entries[number] for number in equation.inputs])
        entry = Entry(entry.operations, min(entry.symbols, float(count))) if entry.symbols else constant
        entries[equation.output] = entry
        if entry.symbols:
            nodes += made
            slopes += made * entry.symbols
    value = sum(tape.avals[number].size * entries[number].operations for number in tape.outputs)
    outputs = sum(tape.avals[number].size * entries[number].symbols > 0 for number in tape.outputs)
    return Swell(value, nodes, slopes, DERIVATIVE_PER_VALUE * value * count * (outputs > 0), count)


def _entry(equation: Equation, tape: Tape, operands: list[Entry]) -> tuple[Entry, float]:
    """The average entry of an equation's value, and how many operations it adds when everything is shared."""
    primitive = equation.primitive
    out = tape.avals[equation.output]
    avals = [tape.avals[number] for number in equation.inputs]
    symbols = sum(entry.symbols for entry in operands)
    operations = sum(entry.operations for entry in operands)
    name = primitive.name
    if name == "matmul":
        inner = avals[0].shape[-1]
        return Entry(inner * (operations + 2) - 1, inner * symbols), float(2 * inner * out.size)
    if name.startswith("whole "):
        summed = _group(avals[0], equation.params["axes"])
        below = summed * (operations + 2)
        if name == "whole softmax":
            return Entry(below + operations + 2, summed * symbols), 3.0 * out.size
        return Entry(below + 1, summed * symbols), 2.0 * avals[0].size
    if name in ("sum", "max", "min", "argmax", "argmin", "max_pool"):
        group = avals[0].size / max(1, out.size) if name != "max_pool" else _window(equation)
        # Pooling is a tournament: every operand stands in as many conditions as there are operands.
        copies = group if name == "sum" else group * group
        return Entry(copies * (operations + 1), group * symbols), float(group * out.size)
    if primitive.kind == "elementwise" or name in ("where", "integer_power"):
        repeated = REPEATED.get(name, 1)
        return Entry(repeated * operations + repeated - 1 + WRITTEN.get(name, 1), symbols), float(out.size)
    if name in FREE or primitive.view or name in ("gather", "concatenate"):
        biggest = max(operands, key=lambda entry: entry.symbols, default=Entry(0.0, 0.0))
        return biggest, 0.0
    return _moved(primitive, avals, out, operations, symbols)


def _moved(
    primitive: Primitive, avals: list[Aval], out: Aval, operations: float, symbols: float
) -> tuple[Entry, float]:
    """Linear moves between sizes: paddings thin the entries out, folds add them up."""
    ratio = avals[0].size / max(1, out.size)
    return Entry(ratio * (operations + 1), ratio * symbols), float(max(0, avals[0].size - out.size))


def _group(aval: Aval, axes: tuple[int, ...]) -> int:
    size = 1
    for axis in axes:
        size *= aval.shape[axis]
    return size


def _window(equation: Equation) -> int:
    rows, columns = equation.params["size"]
    return rows * columns
