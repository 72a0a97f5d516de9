"""A tape as a graph of expressions, differentiated and compiled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arithmetic import evaluate
from ..derivation import Derivation, Task, flattened
from . import counts
from .arithmetic import SPANS, Nodes
from .code import Program
from .derivatives import jacobian
from .nodes import Graph


def shared(task: Task, leaves: Sequence[Any]) -> Derivation:
    """Expressions as one graph, in which every distinct one is built, differentiated and computed once.

    Args:
        task: what to derive.
        leaves: the data; what is not symbolic enters as exact numbers.

    Returns:
        ``Derivation``; its notes count the operations of the formulas as trees, of the graph, and of the code.

    Raises:
        UnsupportedError: the loss uses what the graph cannot express.
    """
    started = time.perf_counter()
    graph = Graph()
    inputs: list[Any] = [np.asarray(leaf) for leaf in leaves]
    differentiated = sum(inputs[i].size for i in task.wrt)
    names: list[str] = []

    def symbol(name: str) -> Any:
        names.append(name)
        return graph.node("symbol", (), len(names) - 1)

    scalars = task.symbols(inputs, symbol)
    outputs = evaluate(task.unguarded(), inputs, Nodes(graph), SPANS)
    roots = [graph.node_of(entry) for output in outputs for entry in output.ravel().tolist()]
    built = time.perf_counter()
    by = scalars[:differentiated]
    slopes = jacobian(graph, roots, by, task.order)
    # Twice: each derivative is an expression of its own and depends on most symbols, so symbol after symbol.
    flat = flattened(slopes, jacobian(graph, slopes[0], by, "symbol") if task.second else None)
    derived = time.perf_counter()
    everything = Program(graph, scalars, [*roots, *flat])
    compiled = time.perf_counter()
    value = Program(graph, scalars, roots)
    notes = {
        "n_symbols": len(scalars),
        "symbolic_ops_value": counts.written_out(roots),
        "symbolic_ops_gradient": counts.written_out(flat),
        "symbolic_ops_value_dag": counts.distinct(roots),
        "symbolic_ops_dag": counts.distinct([*roots, *flat]),
        "symbolic_ops_cse": everything.operations,
        "build_s": built - started,
        "diff_s": derived - built,
        "compile_s": compiled - derived,
    }

    def formulas() -> tuple[list[Any], list[Any], list[list[Any]]]:
        from .formulas import Formulas

        written = Formulas(names)
        return written.of(scalars), written.of(roots), [written.of(row) for row in slopes]

    return Derivation(value, everything, notes, formulas)
