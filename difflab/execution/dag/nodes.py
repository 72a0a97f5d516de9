"""The graph: every distinct expression is one node, found again by its operation and its operands.

Numbers are exact rationals and fold exactly, as SymPy's do.  No other rewrite is made that could be seen beyond
rounding: a zero that is data makes its product vanish, equal terms are counted, signs move outwards, and that is all.
What has no symbols and is no rational (``log(2)``) stays an operation and is computed once, when code is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np
from flint import fmpq

from ...errors import UnsupportedError
from . import meanings
from .conditions import OUTCOMES, Facts, merged, pruned

# Beyond so many bits a rational is no longer folded into others: each further product would double them.
LONGEST_BITS = 4096
# Coefficients fold where neither they nor their product can overflow what the operations one by one would not.
SMALLEST, LARGEST = fmpq(1, 2**256), fmpq(2**256)
_place = attrgetter("place")
ZERO, ONE, MINUS_ONE, HALF = fmpq(0), fmpq(1), fmpq(-1), fmpq(1, 2)

# Operations whose derivative, or value, may be infinite or NaN at finite arguments, short of a sum's overflow.
SINGULAR = frozenset(
    "divide exp exp2 expm1 log log2 log10 log1p power sqrt tan sinh cosh arcsin arccos arccosh arctanh "
    "gamma gammaln digamma polygamma cbrt yv kv".split()
)
RELATIONS = frozenset(OUTCOMES)
CONDITIONS = RELATIONS | {"and", "or", "not", "isnan", "isinf", "isfinite"}


class Node:
    """An expression.

    Args:
        graph: where it is known.
        operation: "number", "symbol", or what is applied to ``operands``.
        operands: nodes that are older than this one.
        value: of a number its rational (or a float that is not finite), of a symbol its position, of ``scale`` the
            factor, of a power or a function of fixed order that integer.
        place: how many nodes are older; children have smaller places than their parents.

    ``fixed``: no symbol is below; ``singular``: it may be infinite or NaN where all symbols are finite.
    """

    __slots__ = ("fixed", "graph", "operands", "operation", "place", "singular", "value")
    operation: str
    operands: tuple[Node, ...]
    value: Any

    def __init__(self, graph: Graph, operation: str, operands: tuple[Node, ...], value: Any, place: int):
        self.graph, self.operation, self.operands, self.value, self.place = graph, operation, operands, value, place
        if operands:
            self.fixed = all([operand.fixed for operand in operands])
            self.singular = operation in SINGULAR or any([operand.singular for operand in operands])
        else:
            self.fixed = operation != "symbol"
            self.singular = type(value) is float
        if operation == "integer_power" and value < 0:
            self.singular = True

    def __repr__(self) -> str:
        inside = [repr(operand) if not operand.operands else "..." for operand in self.operands]
        return f"{self.operation}({', '.join([*([] if self.value is None else [str(self.value)]), *inside])})"

    def __bool__(self) -> bool:
        raise UnsupportedError("whether an expression is true depends on its symbols; use np.where instead of `if`")

    # NumPy's loops over object arrays use these; whole arrays are NumPy's own business.

    def __add__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else self.graph.add([*self._both(other)])

    def __sub__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else self.graph.subtract(*self._both(other))

    def __mul__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else self.graph.multiply(*self._both(other))

    def __truediv__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, np.ndarray) else self.graph.divide(*self._both(other))

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Any:
        return self.graph.subtract(*reversed(self._both(other)))

    def __rtruediv__(self, other: Any) -> Any:
        return self.graph.divide(*reversed(self._both(other)))

    def __neg__(self) -> Node:
        return self.graph.negative(self.graph.node_of(self))

    def _both(self, other: Any) -> tuple[Node, Node]:
        return self.graph.node_of(self), self.graph.node_of(other)


class Graph:
    """All nodes of one derivation.

    ``careful``: numbers may be infinite or NaN, as where a loss asks which are; else they are taken to be finite.
    """

    def __init__(self, careful: bool = False) -> None:
        self.known: dict[tuple, Node] = {}
        self.values: dict[Node, float] = {}
        self.careful = careful
        self.zero, self.one = self.number(0), self.number(1)

    def node(self, operation: str, operands: tuple[Node, ...] = (), value: Any = None) -> Node:
        """The one node of that operation on these operands."""
        key = (operation, value, *operands)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = Node(self, operation, operands, value, len(self.known))
        return found

    # -------------------------------------------------------------------- numbers

    def number(self, value: Any) -> Node:
        """An exact number, from Python's or NumPy's."""
        if isinstance(value, np.generic):
            value = value.item()
        if type(value) is float:
            if not math.isfinite(value) or (value == 0 and math.copysign(1.0, value) < 0):
                return self._unlike_rationals(value)
            value = fmpq(*value.as_integer_ratio())
        return self.node("number", (), fmpq(int(value)) if isinstance(value, bool) else fmpq(value))

    def _unlike_rationals(self, value: float) -> Node:
        # NaN is not equal to itself and -0.0 is equal to 0, so the node is known by the name of the value.
        key = ("number", str(value))
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = Node(self, "number", (), value, len(self.known))
        return found

    def node_of(self, value: Any) -> Node:
        """A node as it is, a condition as 1 or 0, anything else as a number."""
        if type(value) is Node:
            return self.select([(value, self.one)], self.zero) if value.operation in CONDITIONS else value
        return self.number(value)

    def constant(self, node: Node) -> float:
        """What a fixed node is in doubles."""
        known = self.values
        if node not in known:
            for below in nodes([node]):
                if below not in known:
                    known[below] = meanings.value_of(below, [known[operand] for operand in below.operands])
        return known[node]

    def folded(self, value: fmpq) -> Node | None:
        """A rational as a node, unless it has become too long."""
        if value.p.bit_length() + value.q.bit_length() > LONGEST_BITS:
            return None
        return self.node("number", (), value)

    # -------------------------------------------------------------------- sums, products, quotients, powers

    def add(self, terms: Sequence[Node]) -> Node:
        """One flat sum; equal terms are counted, numbers are added exactly."""
        constant, kept = ZERO, []
        for term in terms:
            if term.operation == "number" and type(term.value) is fmpq:
                constant += term.value
            elif term.operation != "number" or term.value != 0:  # -0.0
                kept.append(term)
        if len(kept) > 1:
            kept = self._counted(kept)
        if constant != 0:
            number = self.folded(constant)
            kept += [number] if number is not None else [term for term in terms if is_rational(term)]
        if len(kept) < 2:
            return kept[0] if kept else self.zero
        kept.sort(key=_place)
        return self.node("sum", tuple(kept))

    def _counted(self, terms: list[Node]) -> list[Node]:
        """Terms with their coefficients collected; what would cancel is kept, for an infinity does not."""
        cores: dict[Node, list[Node]] = {}
        for term in terms:
            cores.setdefault(term.operands[0] if term.operation == "scale" else term, []).append(term)
        if len(cores) == len(terms):
            return terms
        kept = []
        for core, same in cores.items():
            total = ZERO
            for term in same:
                total += term.value if term.operation == "scale" else ONE
            kept += [self.scale(total, core)] if len(same) > 1 and _moderate(total) else same
        # Terms that cancel are as many as before: a sum of them is still one node.
        return kept

    def negative(self, x: Node) -> Node:
        """-x."""
        return self.scale(MINUS_ONE, x)

    def subtract(self, a: Node, b: Node) -> Node:
        """a - b."""
        return self.add([a, self.negative(b)])

    def scale(self, factor: fmpq, x: Node) -> Node:
        """A rational times x."""
        if factor == 1:
            return x
        if is_rational(x):
            number = self.folded(factor * x.value)
            return number if number is not None else self.node("scale", (x,), factor)
        if factor == 0 and not x.fixed:
            return self.zero
        if x.operation == "scale":
            product = factor * x.value
            if factor == -1 or x.value == -1 or (_moderate(factor) and _moderate(x.value)):
                return self.scale(product, x.operands[0])
        return self.node("scale", (x,), factor)

    def multiply(self, a: Node, b: Node) -> Node:
        """A product of two; a sign of either moves outside."""
        if is_rational(a):
            return self.scale(a.value, b)
        if is_rational(b):
            return self.scale(b.value, a)
        if a.fixed is not b.fixed and is_zero(a if a.fixed else b):
            return self.zero
        sign = ONE
        if a.operation == "scale" and a.value == -1:
            a, sign = a.operands[0], MINUS_ONE
        if b.operation == "scale" and b.value == -1:
            b, sign = b.operands[0], -sign
        if a is b:
            product = self.integer_power(a, 2)
        else:
            product = self.node("product", (a, b) if a.place < b.place else (b, a))
        return product if sign == 1 else self.scale(sign, product)

    def divide(self, a: Node, b: Node) -> Node:
        """A quotient; by a moderate number it is a product."""
        if is_rational(b) and (_moderate(b.value) or (is_rational(a) and b.value != 0)):
            return self.scale(1 / b.value, a)
        if a is self.zero and not b.fixed:
            return a
        if a.operation == "scale" and a.value == -1:
            return self.negative(self.divide(a.operands[0], b))
        if b.operation == "scale" and b.value == -1:
            return self.negative(self.divide(a, b.operands[0]))
        return self.node("divide", (a, b))

    def integer_power(self, x: Node, n: int) -> Node:
        """x**n; x**0 is 1 everywhere."""
        if n == 0:
            return self.one
        if n == 1:
            return x
        if is_rational(x) and (x is not self.zero or n > 0) and x.value.p.bit_length() * abs(n) < LONGEST_BITS:
            number = self.folded(x.value**n)
            if number is not None:
                return number
        if x.operation == "scale" and x.value == -1:
            power = self.integer_power(x.operands[0], n)
            return power if n % 2 == 0 else self.negative(power)
        return self.node("integer_power", (x,), n)

    # -------------------------------------------------------------------- choices

    def relation(self, name: str, a: Node, b: Node) -> Node | bool:
        """A comparison, decided where no symbol is involved."""
        if name in ("less", "less_equal"):
            name, a, b = {"less": "greater", "less_equal": "greater_equal"}[name], b, a
        if is_rational(a) and is_rational(b):
            return COMPARE[name](a.value, b.value)
        if a.fixed and b.fixed:
            return bool(COMPARE[name](self.constant(a), self.constant(b)))
        if a is b and name == "greater":
            return False
        first, second = _opposite(a), _opposite(b)
        if first is not None and second is not None:
            return self.relation(name, second, first)
        if name in ("equal", "not_equal") and a.place > b.place:
            a, b = b, a
        return self.node(name, (a, b))

    def join(self, name: str, parts: Iterable[Node | bool]) -> Node | bool:
        """Conditions joined by "and" or "or"; what is decided folds."""
        absorbing = name == "or"
        kept: dict[Node, None] = {}
        for part in parts:
            if isinstance(part, bool):
                if part is absorbing:
                    return absorbing
            elif part.operation == name:
                kept.update(dict.fromkeys(part.operands))
            else:
                kept[part] = None
        if len(kept) < 2:
            return next(iter(kept), not absorbing)
        left = merged(self, name, list(kept))
        if isinstance(left, bool) or len(left) < 2:
            return left if isinstance(left, bool) else left[0] if left else not absorbing
        return self.node(name, tuple(sorted(left, key=_place)))

    def opposite(self, condition: Node | bool) -> Node | bool:
        """The negation of a condition."""
        if isinstance(condition, bool):
            return not condition
        other = OPPOSITES.get(condition.operation)
        if other is not None:
            return self.node(other, condition.operands)
        return condition.operands[0] if condition.operation == "not" else self.node("not", (condition,))

    def select(self, pairs: Sequence[tuple[Node | bool, Node]], default: Node) -> Node:
        """The value of the first condition that holds; what cannot be taken is left out."""
        kept: list[Node] = []
        for condition, value in pairs:
            if isinstance(condition, bool):
                if condition:
                    default = value
                    break
                continue
            kept += [condition, value]
        if len(kept) > 2 or default.operation == "select" or any([value.operation == "select" for value in kept[1::2]]):
            kept, default = self._simpler(kept, default)
        while kept and kept[-1] is default:
            del kept[-2:]
        if len(kept) == 2 and kept[0].operation == "not":
            kept, default = [kept[0].operands[0], default], kept[1]
        if default is self.zero and len(kept) == 4 and kept[1] is _size_of(kept):
            return self.node("absolute", (kept[1],))
        return self.node("select", (*kept, default)) if kept else default

    def _simpler(self, kept: Sequence[Node], default: Node) -> tuple[list[Node], Node]:
        """Choices without the conditions that earlier ones decide, there and inside of the values."""
        earlier, result = Facts(), []
        for condition, value in zip(kept[::2], kept[1::2], strict=True):
            decision = earlier.decided(condition)
            if decision is False:
                continue
            if decision is True:
                return result, pruned(self, value, earlier)
            if value.operation == "select":
                value = pruned(self, value, earlier.and_also(condition))
            result += [condition, value]
            earlier.learn(condition, False)
        return result, pruned(self, default, earlier)


def is_rational(node: Node) -> bool:
    """Whether it is a finite number."""
    return node.operation == "number" and type(node.value) is fmpq


def is_zero(node: Node) -> bool:
    """Whether it is a zero, of either sign."""
    return node.operation == "number" and node.value == 0


def _size_of(kept: Sequence[Node]) -> Node | None:
    """The x of a choice between x where x > 0 and -x where x < 0."""
    above, x, below, negated = kept
    zero = x.graph.zero
    signs = above.operation == below.operation == "greater"
    matches = signs and above.operands == (x, zero) and below.operands == (zero, x)
    return x if matches and x.graph.negative(x) is negated else None


def _moderate(value: fmpq) -> bool:
    return value != 0 and SMALLEST <= abs(value) <= LARGEST


def _opposite(node: Node) -> Node | None:
    """-x of a node that is written with a sign, or is a number."""
    if is_rational(node):
        return node.graph.scale(MINUS_ONE, node)
    return node.operands[0] if node.operation == "scale" and node.value == -1 else None


OPPOSITES = {"equal": "not_equal", "not_equal": "equal"}
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "greater": lambda a, b: a > b, "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b, "not_equal": lambda a, b: a != b,
}  # fmt: skip


def nodes(roots: Iterable[Node], below: Callable[[Node], Sequence[Node]] | None = None) -> list[Node]:
    """All nodes below ``roots`` and they themselves, each once, children before parents."""
    seen: set[Node] = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        for operand in node.operands if below is None else below(node):
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return sorted(seen, key=_place)
