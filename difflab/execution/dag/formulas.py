"""Nodes of the graph as SymPy expressions, for printing and for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...primitives import exact_rules
from ..code_out.lines import Lines
from ..symbols import Symbols, symbol
from .nodes import CONDITIONS, RELATIONS, Node, nodes

TURNED = {"greater": "less", "greater_equal": "less_equal", "equal": "equal", "not_equal": "not_equal"}
# Operations that repeat an operand where they are written with SymPy's functions.
REPEATED = frozenset({"larger", "absolute", "select"})


class Formulas:
    """SymPy expressions of nodes; what nodes share, the expressions share.

    Args:
        names: of the symbols, by their positions.

    Example:
        >>> from difflab.execution.dag.nodes import Graph
        >>> graph = Graph()
        >>> x = graph.node("symbol", (), 0)
        >>> Formulas(["x"]).of([x * x + 0.5])
        [x**2 + 1/2]
    """

    def __init__(self, names: Sequence[str]):
        self.names, self.symbols = names, Symbols()
        self.known: dict[Node, Any] = {}
        self.asks = False

    def of(self, roots: Sequence[Node]) -> list[Any]:
        """The expressions of these nodes."""
        for node in nodes(roots):
            if node not in self.known:
                self.known[node] = self._of(node, [self.known[operand] for operand in node.operands])
        return [self.known[root] for root in roots]

    def lines(self, symbols: Sequence[Node], roots: Sequence[Node]) -> Lines:
        """The nodes as a program: what is used more than once has a name.

        Args:
            symbols: in the order in which their values are given.
            roots: expressions.
        """
        self.asks = True
        below = nodes(roots)
        uses = dict.fromkeys(below, 0)
        for node in below:
            for operand in node.operands:
                uses[operand] += 2 if node.operation in REPEATED else 1
        shared: list[tuple[Any, Any]] = []
        for node in below:
            self.known[node] = made = self._of(node, [self.known[operand] for operand in node.operands])
            if uses[node] > 1 and node.operands and node.operation not in CONDITIONS:
                self.known[node] = symbol(f"t{node.place}")
                shared.append((self.known[node], made))
        return Lines(self.of(symbols), shared, [self.known[root] for root in roots])

    def _of(self, node: Node, operands: list[Any]) -> Any:
        import sympy

        operation, value = node.operation, node.value
        if operation == "symbol":
            return symbol(self.names[int(value)])
        if operation == "number":
            return self.symbols.number(value) if type(value) is float else _rational(value)
        if operation == "pi":
            return sympy.pi
        if operation == "sum":
            return sympy.Add(*operands)
        if operation == "scale":
            return _rational(value) * operands[0]
        if operation == "product":
            return operands[0] * operands[1]
        if operation in ("divide", "integer_power"):
            return self._call(operation, *operands, *([] if value is None else [value]))
        if operation == "select":
            conditions, values = operands[:-1:2], operands[1:-1:2]
            return self.symbols.select(conditions, values, operands[-1]).item()
        if operation == "larger":
            return self.symbols.larger(*operands).item()
        if operation == "absolute":
            return exact_rules.absolute(self.symbols, operands[0]).item()
        if operation in ("largest", "shift"):
            return sympy.Max(*operands, evaluate=False)
        if operation in RELATIONS:
            if operands[0].is_number and not operands[1].is_number:  # x < 0 reads better than 0 > x
                return self.symbols.compare(TURNED[operation], *reversed(operands)).item()
            return self.symbols.compare(operation, *operands).item()
        if operation in ("and", "or", "not"):
            return self.symbols.logical(operation, *operands).item()
        if operation in ("isnan", "isinf", "isfinite"):
            return self._asked(operation, operands[0])
        if operation == "stopped":
            return self._call("stop_gradient", *operands)
        if operation == "sinc":
            return self._call("sinc", *operands, value)
        return self._call(operation, *([] if value is None else [value]), *operands)

    def _asked(self, operation: str, x: Any) -> Any:
        """Of formulas nothing but finite numbers is thought, as in SymPy's way; programs find out by comparing."""
        import sympy

        if not self.asks:
            return sympy.true if operation == "isfinite" else sympy.false
        unread: dict[str, Any] = {"evaluate": False}
        if operation == "isnan":
            return sympy.Ne(x, x, **unread)
        if operation == "isinf":
            ends: list[Any] = [sympy.Eq(x, sympy.oo, **unread), sympy.Eq(x, -sympy.oo, **unread)]
            return sympy.Or(*ends, **unread)
        return sympy.And(sympy.Lt(x, sympy.oo, **unread), sympy.Gt(x, -sympy.oo, **unread), **unread)

    def _call(self, name: str, *operands: Any) -> Any:
        return self.symbols.scalar(name)(*operands).item()


def _rational(value: Any) -> Any:
    import sympy

    return sympy.Rational(int(value.p), int(value.q))
