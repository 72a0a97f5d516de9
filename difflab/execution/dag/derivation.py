"""A tape as a graph of expressions, differentiated and compiled."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arithmetic import evaluate
from ..code_out.lines import Lines
from ..code_out.programs import compiled
from ..derivation import Deferred, Derivation, Task, flattened
from ..expressions import lines_of
from ..not_numbers import kept
from . import counts
from .arithmetic import SPANS, Nodes
from .careful import Watched, chooses, unlike_itself
from .code import Program
from .derivatives import jacobian
from .formulas import Formulas
from .nodes import Graph, Node


class Loss:
    """The graph of a loss.

    Args:
        task: what to derive.
        leaves: the data; what is not symbolic enters as exact numbers.
        careful: whether numbers may be infinite or NaN.

    Raises:
        UnsupportedError: the loss uses what the graph cannot express.
    """

    def __init__(self, task: Task, leaves: Sequence[Any], careful: bool = False):
        self.graph = graph = Graph(careful)
        self.names: list[str] = []
        inputs: list[Any] = [np.asarray(leaf) for leaf in leaves]
        differentiated = sum(inputs[i].size for i in task.wrt)

        def symbol(name: str) -> Node:
            self.names.append(name)
            return graph.node("symbol", (), len(self.names) - 1)

        self.symbols = task.symbols(inputs, symbol)
        self.by = self.symbols[:differentiated]
        arithmetic = Nodes(graph)
        after = kept(arithmetic, lambda array: unlike_itself(graph, array))
        outputs = evaluate(task.unguarded(), inputs, arithmetic, SPANS, after=after)
        self.roots = [graph.node_of(entry) for output in outputs for entry in output.ravel().tolist()]

    def lines(self, roots: Sequence[Node]) -> Lines:
        """Some of its nodes as a program of SymPy expressions."""
        return Formulas(self.names).lines(self.symbols, roots)

    def formulas(self, rows: Sequence[Sequence[Node]]) -> tuple[list[Any], list[Any], list[list[Any]]]:
        """Symbols, outputs and the rows of the Jacobian as SymPy expressions."""
        written = Formulas(self.names)
        return written.of(self.symbols), written.of(self.roots), [written.of(row) for row in rows]


def shared(task: Task, leaves: Sequence[Any]) -> Derivation:
    """Expressions as one graph, in which every distinct one is built, differentiated and computed once.

    Args:
        task: what to derive.
        leaves: the data; what is not symbolic enters as exact numbers.

    Returns:
        ``Derivation``; its notes count the operations of the formulas as trees, of the graph, and of the code.

    Raises:
        UnavailableError: the code that is asked for cannot be made on this machine.
        UnsupportedError: the loss uses what the graph or the code cannot express.
    """
    started = time.perf_counter()
    loss = Loss(task, leaves)
    roots = loss.roots
    built = time.perf_counter()
    slopes, flat = _derivatives(task, loss)
    derived = time.perf_counter()
    compile_roots = _compiler(task, loss)
    everything, value = compile_roots([*roots, *flat]), Deferred(lambda: compile_roots(roots))
    finished = time.perf_counter()
    distinct = counts.distinct([*roots, *flat])
    notes = {
        "n_symbols": len(loss.symbols),
        "symbolic_ops_value": counts.written_out(roots),
        "symbolic_ops_gradient": counts.written_out(flat),
        "symbolic_ops_value_dag": counts.distinct(roots),
        "symbolic_ops_dag": distinct,
        "symbolic_ops_cse": everything.operations if isinstance(everything, Program) else distinct,
        "build_s": built - started,
        "diff_s": derived - built,
        "compile_s": finished - derived,
    }
    value, everything = _watched(task, loss, leaves, value, everything)
    return Derivation(
        value, everything, notes, lambda: loss.formulas(slopes), lambda: loss.lines([*roots, *flattened(slopes)])
    )  # fmt: skip


def _derivatives(task: Task, loss: Loss) -> tuple[list[list[Node]], list[Node]]:
    """The rows of the Jacobian, and what is asked for of them or of their own derivatives."""
    slopes = jacobian(loss.graph, loss.roots, loss.by, task.order)
    # Twice: each derivative is an expression of its own and depends on most symbols, so symbol after symbol.
    return slopes, flattened(slopes, jacobian(loss.graph, slopes[0], loss.by, "symbol") if task.second else None)


def _watched(task: Task, loss: Loss, leaves: Sequence[Any], value: Any, everything: Any) -> tuple[Any, Any]:
    """Both programs, with what takes over where numbers are not finite."""
    if task.code == "cupy" or not chooses(loss.graph):  # on a device nobody looks at numbers
        return value, everything
    data = [np.array(leaf) for leaf in leaves]  # the caller's own may have changed by then

    def careful(of: Callable[[Loss], list[Node]]) -> Callable[[], Program]:
        def derive() -> Program:
            again = Loss(task, data, careful=True)
            return Program(again.graph, again.symbols, [*again.roots, *of(again)])

        return derive

    return Watched(value, careful(lambda _: [])), Watched(everything, careful(lambda own: _derivatives(task, own)[1]))


def _compiler(task: Task, loss: Loss) -> Callable[[Sequence[Node]], Callable[[Any], Any]]:
    """What turns roots into a program."""
    if task.engine == "symengine":
        from ..code_out.symengine_code import Expressions, SymengineProgram

        written = Expressions(loss.names, opaque=False)
        return lambda roots: SymengineProgram(written.symbols, written.of(roots), True)
    if task.code == "python":
        return lambda roots: Program(loss.graph, loss.symbols, roots)
    return lambda roots: compiled(loss.lines(roots), task.code)


def by_symengine(task: Task, leaves: Sequence[Any]) -> Derivation:
    """Expressions of symengine, differentiated by it, by one symbol after the other.

    Args:
        task: what to derive.
        leaves: the data; what is not symbolic enters as exact numbers.

    Returns:
        ``Derivation``; its notes count operations of symengine's expressions.

    Raises:
        UnsupportedError: the loss uses what symengine cannot express.
    """
    from ..code_out import symengine_code as engine

    started = time.perf_counter()
    loss = Loss(task, leaves)
    hidden = engine.Expressions(loss.names, opaque=True)
    roots = hidden.of(loss.roots)
    built = time.perf_counter()
    by = hidden.symbols[: len(loss.by)]
    slopes = [[root.diff(symbol) for symbol in by] for root in roots]
    first = hidden.seen([slope for row in slopes for slope in row])
    seen = hidden.seen(roots)
    flat = first
    if task.second:
        flat = hidden.seen([slope.diff(by[j]) for i, slope in enumerate(slopes[0]) for j in range(i, len(by))])
    derived = time.perf_counter()
    everything = engine.SymengineProgram(hidden.symbols, [*seen, *flat], task.cse)
    value = Deferred(lambda: engine.SymengineProgram(hidden.symbols, seen, task.cse))
    finished = time.perf_counter()
    shared_operations = engine.count_shared_operations([*seen, *flat]) if task.cse else None
    notes = {
        "n_symbols": len(loss.symbols),
        "symbolic_ops_value": engine.count_operations(seen, distinct=False),
        "symbolic_ops_gradient": engine.count_operations(flat, distinct=False),
        "symbolic_ops_value_dag": engine.count_operations(seen, distinct=True),
        "symbolic_ops_dag": engine.count_operations([*seen, *flat], distinct=True),
        "symbolic_ops_cse": shared_operations,
        "build_s": built - started,
        "diff_s": derived - built,
        "compile_s": finished - derived,
    }

    def formulas() -> tuple[list[Any], list[Any], list[list[Any]]]:
        rows = [first[k : k + len(by)] for k in range(0, len(first), len(by))] if by else [[] for _ in roots]
        return engine.of_sympy(hidden.symbols), engine.of_sympy(seen), [engine.of_sympy(row) for row in rows]

    def lines() -> Lines:
        return lines_of(engine.of_sympy(hidden.symbols), engine.of_sympy([*seen, *first]), task.cse)

    return Derivation(value, everything, notes, formulas, lines)
