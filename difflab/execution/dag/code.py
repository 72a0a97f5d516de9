"""Python code from a graph: straight lines of scalar arithmetic, every node that is used twice in a variable.

Two programs with one meaning.  The fast one computes with Python's floats and ``math``, and raises where those do;
only then the safe one is generated, which computes with NumPy's doubles and answers with infinity and NaN.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import counts, meanings
from .nodes import CONDITIONS, RELATIONS, Graph, Node, nodes

# An expression that would be nested deeper gets a variable; sums of more terms are written in groups.
DEEPEST, WIDEST = 20, 50
SIGNS = {"greater": ">", "greater_equal": ">=", "equal": "==", "not_equal": "!="}
# Variables of a program that is being written: one for every node.
VARIABLE = re.compile(r"\b[te][0-9]+\b")
# Operands that are written more than once.
REPEATED = frozenset({"integer_power", "larger"})


class Program:
    """The values of expressions as a function of the symbols.

    Args:
        graph: of the roots.
        symbols: in the order in which their values are given.
        roots: expressions.

    Example:
        >>> graph = Graph()
        >>> x = graph.node("symbol", (), 0)
        >>> Program(graph, [x], [x * x + 1.0])([3.0])
        [10.0]
    """

    def __init__(self, graph: Graph, symbols: Sequence[Node], roots: Sequence[Node]):
        self._made = (graph, list(symbols), list(roots))
        self._lock = threading.Lock()
        self._safe: Callable | None = None
        writer = Writer(graph, symbols, roots, safe=False)
        self.operations = writer.operations
        self.source = writer.source
        self._fast = writer.function()

    def __call__(self, scalars: Sequence[float]) -> list[float]:
        """All values; overflow is infinity and a pole is infinity or NaN, as in NumPy."""
        try:
            return self._fast(scalars)
        except (ArithmeticError, ValueError):
            with self._lock:
                if self._safe is None:
                    self._safe = Writer(*self._made, safe=True).function()
            with np.errstate(all="ignore"):
                return [float(value) for value in self._safe(list(map(np.float64, scalars)))]
        except BaseException as fault:  # raised again without the program's own frame, which has no lines to print
            raise fault.with_traceback(None) from None


class Writer:
    """One program on its way."""

    def __init__(self, graph: Graph, symbols: Sequence[Node], roots: Sequence[Node], *, safe: bool):
        self.graph, self.safe = graph, safe
        self.names: dict[str, Any] = {"inf": math.inf, "nan": math.nan}
        self.texts: dict[Node, str] = {symbol: f"p{k}" for k, symbol in enumerate(symbols)}
        self.depths: dict[Node, int] = dict.fromkeys(symbols, 0)
        self.lines: list[str] = []
        live = [node for node in nodes(roots) if not node.fixed]
        self.powers = {} if safe else _opposites(live)
        self.uses = self._count(live, roots)
        for node in live:
            if node.operation != "symbol":
                self._write(node)
        results = ", ".join(self._atom(root) for root in roots)
        inputs = ", ".join(f"p{k}" for k in range(len(symbols)))
        entry = [f"({inputs},) = p"] if symbols else []
        body = "\n ".join([*entry, *_reusing([*self.lines, f"return [{results}]"])])
        self.source = f"def program(p):\n {body}\n"
        self.operations = counts.distinct(roots) - 3 * len(self.powers)

    def function(self) -> Callable:
        """The compiled program."""
        names = {name: pair[self.safe] for name, pair in meanings.FUNCTIONS.items()} | self.names
        if self.safe:
            names |= {name: _doubled(names[name]) for name in meanings.FUNCTIONS}
        exec(compile(self.source, "<expressions>", "exec"), names)
        program = names["program"]
        if not self.safe:
            # Who traces allocations asks for the line of each, and finding it takes as long as the program before it.
            program.__code__ = program.__code__.replace(co_linetable=b"")
        return program

    def _count(self, live: Sequence[Node], roots: Sequence[Node]) -> dict[Node, int]:
        """How often each node would be written."""
        uses = dict.fromkeys(live, 0)
        for root in roots:
            if not root.fixed:
                uses[root] += 1
        for node in live:
            times = 2 if node.operation in REPEATED else 1
            for operand in node.operands:
                if not operand.fixed:
                    uses[operand] += times
        for opposite in self.powers:  # it is written without its operand
            uses[opposite.operands[0]] -= 1
        return uses

    # -------------------------------------------------------------------- lines

    def _write(self, node: Node) -> None:
        if self.uses[node] == 0:
            return
        if node.operation == "sigmoid" and not self.safe:
            self._write_sigmoid(node)
            return
        text = self._text(node)
        depth = 1 + max((self.depths.get(operand, 0) for operand in node.operands), default=0)
        if self.uses[node] > 1 or depth > DEEPEST:
            name = f"t{node.place}"
            self.lines.append(f"{name} = {text}")
            text, depth = name, 0
        self.texts[node], self.depths[node] = text, depth

    def _write_sigmoid(self, node: Node) -> None:
        """1 / (1 + exp(-x)); of -x it is that times exp(-x)."""
        if node in self.powers:
            other = self.powers[node]
            e, t = f"e{other.place}", f"t{other.place}"
            text = f"(1.0 if {e} == inf else {e} * {t})"  # an exponential of infinity is no overflow to ``math``
            self.texts[node], self.depths[node] = text, 1
            if self.uses[node] > 1:
                self.lines.append(f"t{node.place} = {text}")
                self.texts[node] = f"t{node.place}"
            return
        x = node.operands[0]
        exponent = self._atom(x.operands[0]) if _is_negated(x) else f"-{self._atom(x)}"
        self.lines.append(f"e{node.place} = exp({exponent})")
        self.lines.append(f"t{node.place} = 1.0 / (1.0 + e{node.place})")
        self.texts[node], self.depths[node] = f"t{node.place}", 0

    def _atom(self, node: Node) -> str:
        """What stands for a node in a formula."""
        return self._literal(node) if node.fixed else self.texts[node]

    def _literal(self, node: Node) -> str:
        if node.operation in CONDITIONS:
            return repr(bool(self.graph.constant(node)))
        return self._number(float(self.graph.constant(node)))

    def _number(self, value: float) -> str:
        """A double; the safe program has NumPy's, by which one may divide."""
        if self.safe:
            name = f"k{len(self.names)}"
            self.names[name] = np.float64(value)
            return name
        return repr(value) if value >= 0 or value != value else f"({value!r})"

    def _text(self, node: Node) -> str:
        """One operation as a formula in brackets."""
        operation, operands = node.operation, node.operands
        if operation == "sum":
            return self._sum(operands)
        if operation == "scale":
            return self._scaled(node)
        parts = [self._atom(operand) for operand in operands]
        if operation == "product":
            return f"({parts[0]} * {parts[1]})"
        if operation == "divide":
            return f"({parts[0]} / {parts[1]})"
        if operation == "integer_power":
            return self._power(parts[0], node.value)
        if operation == "stopped":
            return parts[0]
        if operation == "select":
            choices = "".join(f"{v} if {c} else " for c, v in zip(parts[:-1:2], parts[1:-1:2], strict=True))
            return f"({choices}{parts[-1]})"
        if operation == "larger":
            a, b = parts
            return f"({a} if {a} >= {b} else {b} if {b} > {a} else {a} + {b})"
        if operation in RELATIONS:
            return f"({parts[0]} {SIGNS[operation]} {parts[1]})"
        if operation in ("and", "or"):
            return f"({f' {operation} '.join(parts)})"
        if operation == "not":
            return f"(not {parts[0]})"
        order = [str(node.value)] if operation in meanings.ORDERED else []
        return f"{operation}({', '.join([*order, *parts])})"

    def _sum(self, terms: Sequence[Node]) -> str:
        """Terms with their signs; groups keep the nesting of the parser's tree low."""
        # What is added goes first, so that no sign needs an operation of its own.
        ordered = sorted(terms, key=self._subtracted)
        texts = []
        for k, term in enumerate(ordered):
            if k and self._subtracted(term):
                texts.append(f" - {self._atom(term.operands[0])}")
            else:
                texts.append(f"{' + ' if k else ''}{self._atom(term)}")
        groups = ["".join(texts[k : k + WIDEST]) for k in range(0, len(texts), WIDEST)]
        if len(groups) == 1:
            return f"({groups[0]})"
        # Every further group begins with a sign and is a term by itself.
        signed = [groups[0], *[f"(0.0{group})" if group[1] == "-" else f"({group[3:]})" for group in groups[1:]]]
        return f"({' + '.join(f'({group})' for group in signed)})"

    def _subtracted(self, term: Node) -> bool:
        return _is_negated(term) and self.uses.get(term, 0) == 1 and not term.fixed

    def _scaled(self, node: Node) -> str:
        x = self._atom(node.operands[0])
        if node.value == -1:
            return f"(-{x})"
        p, q = int(node.value.p), int(node.value.q)
        if q != 1 and abs(p) == 1 and q < 2**53 and q & (q - 1):
            return f"({x} / {self._number(float(p * q))})"  # one rounding, where 1 / q would be another
        return f"({self._number(meanings.double(node.value))} * {x})"

    def _power(self, x: str, n: int) -> str:
        if n in (2, 3, 4):
            return f"({' * '.join([x] * n)})"
        if n == -1:
            return f"({self._number(1.0)} / {x})"
        return f"({x} ** {n})" if n > 0 else f"({x} ** ({n}))"


def _is_negated(node: Node) -> bool:
    return node.operation == "scale" and node.value == -1


def _opposites(live: Sequence[Node]) -> dict[Node, Node]:
    """Of every pair of ``sigmoid(x)`` and ``sigmoid(-x)`` the younger, and with it the older."""
    sigmoids = {node.operands[0]: node for node in live if node.operation == "sigmoid"}
    pairs = [(node, sigmoids.get(x.operands[0])) for x, node in sigmoids.items() if _is_negated(x)]
    both = [sorted((a, b), key=lambda node: node.place) for a, b in pairs if b is not None]
    return {younger: older for older, younger in both}


def _reusing(lines: Sequence[str]) -> list[str]:
    """The same lines with variables that take the place of others no longer read.

    A function reaches its first 256 variables faster than others, and few are in the cache of a processor.
    """
    read = [VARIABLE.findall(line) for line in lines]
    last = {name: at for at, names in enumerate(read) for name in names}
    places: dict[str, str] = {}
    free: list[str] = []
    count, renamed = 0, []
    for at, (line, names) in enumerate(zip(lines, read, strict=True)):
        target, equals, formula = line.partition(" = ")
        if not equals:
            renamed.append(VARIABLE.sub(lambda found: places[found.group()], line))
            continue
        formula = VARIABLE.sub(lambda found: places[found.group()], formula)
        free += [places[name] for name in dict.fromkeys(names[1:]) if last[name] == at]
        if not free:
            free.append(f"v{count}")
            count += 1
        places[target] = free.pop()
        renamed.append(f"{places[target]} = {formula}")
    return renamed


def _doubled(function: Callable) -> Callable:
    """Results as NumPy's doubles, truth values as they are."""

    def doubled(*operands: Any) -> Any:
        result = function(*operands)
        return result if isinstance(result, bool | np.bool_) else np.float64(result)

    return doubled
