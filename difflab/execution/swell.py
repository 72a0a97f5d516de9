"""How large the expressions of a loss and its gradient become, from shapes alone.

Each value of the tape is represented by an average entry: how many operations its expression has as a tree, and on how
many of the symbols it depends.  One pass over the equations, nothing as large as the data.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..tape import Equation, Tape
from .arithmetic import taken_whole
from .symbols import SPANS


class Entry(NamedTuple):
    """An average entry of a value: operations of its tree, symbols it depends on."""

    operations: float
    symbols: float


class Swell(NamedTuple):
    """Sizes of expressions.

    ``value``: operations of the outputs as trees; ``nodes``: distinct subexpressions of the outputs; ``slopes``: their
    partial derivatives, one for each symbol that a subexpression depends on; ``gradient``: operations of all
    derivatives as trees; ``curvatures`` and ``hessian``: the same of second derivatives, of which half are others'.
    """

    value: float
    nodes: float
    slopes: float
    gradient: float
    curvatures: float
    hessian: float


# Operations that SymPy writes for one application, where it is not one; choices repeat their operands in conditions.
WRITTEN = {"sigmoid": 4, "hypot": 4, "logaddexp": 4, "log2": 2, "log10": 2}
REPEATED = {"relu": 2, "absolute": 4, "sign": 2, "maximum": 3, "minimum": 3}
FREE = frozenset({"cast", "copy", "stop_gradient", "zeros_like", "gather", "concatenate"})
DETERMINANTS = frozenset({"det", "det_derivative", "logabsdet", "sign_det", "inverse", "solve", "cholesky"})
REDUCTIONS = frozenset({"sum", "max", "min", "argmax", "argmin", "max_pool"})
# A derivative tree is about twice as large as the value it belongs to (measured: 2.4 and 2.0 on the digits networks).
DERIVATIVE_PER_VALUE = 2.2


def forecast(tape: Tape, symbolic: tuple[int, ...], *, shared_minors: bool = False) -> Swell:
    """Sizes with the inputs at positions ``symbolic`` as symbols and all else as numbers.

    Args:
        tape: the function.
        symbolic: positions of the inputs whose entries become symbols.
        shared_minors: whether determinants are expanded with every minor made once.

    Returns:
        ``Swell``.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> forecast(trace_leaves(lambda leaves: [np.exp(leaves[0]) + leaves[0]], [1.0]), (0,)).value
        2.0
    """
    count = float(sum(tape.avals[tape.inputs[i]].size for i in symbolic))
    constant = Entry(0.0, 0.0)
    entries = {number: constant for number in (*tape.inputs, *tape.constants, *tape.literals)}
    entries.update((tape.inputs[i], Entry(0.0, 1.0)) for i in symbolic)
    nodes = slopes = curvatures = 0.0
    for equation in taken_whole(tape, SPANS).equations:
        operands = [entries[number] for number in equation.inputs]
        if not any(entry.symbols for entry in operands):
            entries[equation.output] = constant
            continue
        entry, made = _entry(equation, tape, operands, shared_minors)
        entries[equation.output] = Entry(entry.operations, min(entry.symbols, count))
        nodes += sum(number for number, _ in made)
        slopes += sum(number * min(symbols, count) for number, symbols in made)
        curvatures += sum(number * min(symbols, count) ** 2 for number, symbols in made)
    value = sum(tape.avals[number].size * entries[number].operations for number in tape.outputs)
    gradient = DERIVATIVE_PER_VALUE * value * count if any(entries[n].symbols for n in tape.outputs) else 0.0
    return Swell(value, nodes, slopes, gradient, curvatures, DERIVATIVE_PER_VALUE * gradient * count / 2)


def _entry(
    equation: Equation, tape: Tape, operands: list[Entry], shared_minors: bool
) -> tuple[Entry, list[tuple[float, float]]]:
    """The average entry of an equation's value, and the subexpressions it makes: (how many, symbols of each)."""
    primitive, name = equation.primitive, equation.primitive.name
    avals = [tape.avals[number] for number in equation.inputs]
    size, first = tape.avals[equation.output].size, avals[0].size
    symbols = sum(entry.symbols for entry in operands)
    operations = sum(entry.operations for entry in operands)
    if name == "matmul":
        inner = avals[0].shape[-1]
        made = [(float(inner * size), symbols), (float(size), inner * symbols)]
        return Entry(inner * (operations + 2) - 1, inner * symbols), made
    if name in DETERMINANTS:
        n = avals[0].shape[-1]
        # Measured, without divisions: 17, 134, 1 022, 10 418 operations for 3 to 6 rows.
        tree = math.exp(min(600.0, math.lgamma(n + 1))) * n * n / 2.5
        # One product for every column of every minor of the last rows; an inverse has such minors without each row.
        minors = math.exp(min(600.0, n * math.log(2.0))) * n * (n if size > 1 else 1) / 2
        made = minors * max(1.0, size / max(1, first)) if shared_minors else size * tree
        return Entry(tree * (operations + 1), n * n * symbols), [(made, n * n * symbols)]
    if name in ("whole softmax", "whole logsumexp"):
        group = math.prod(avals[0].shape[axis] for axis in equation.params["axes"])
        last = 2.0 * size if name == "whole softmax" else 1.0 * size
        made = [(float(first), symbols), (first / group, group * symbols), (last, group * symbols)]
        extra = operations + 3 if name == "whole softmax" else 1
        return Entry(group * (operations + 2) + extra, group * symbols), made
    if name in REDUCTIONS:
        group = math.prod(equation.params["size"]) if name == "max_pool" else first / max(1, size)
        # A maximum is a tournament: every operand stands in as many conditions as there are operands.
        copies = group if name == "sum" else group * group
        made = [(float(size * (1 if name == "sum" else group)), group * symbols)]
        return Entry(copies * (operations + 1), group * symbols), made
    if primitive.kind == "elementwise" or name in ("where", "integer_power"):
        repeated = REPEATED.get(name, 1)
        written = repeated - 1 + WRITTEN.get(name, 1)
        return Entry(repeated * operations + written, symbols), [(float(size * written), symbols)]
    if name in FREE or primitive.view:
        return max(operands, key=lambda entry: entry.symbols), []
    # Linear moves between sizes: paddings thin the entries out, folds add them up.
    ratio = first / max(1, size)
    return Entry(ratio * (operations + 1), ratio * symbols), [(float(max(0, first - size)), ratio * symbols)]
