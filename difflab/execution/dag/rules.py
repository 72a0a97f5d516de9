"""Derivatives of single operations, as in any table of derivatives.

``through(node, k, weight)`` is the weight times the partial derivative of the node by its operand ``k``, as an
expression of what is in the graph already.  Sums are linear and choices are not in this table: both orders in
``derivatives`` treat them in their own way.
"""

from __future__ import annotations

from collections.abc import Callable

from flint import fmpq

from .functions import apply
from .nodes import CONDITIONS, HALF, Graph, Node

FLAT = frozenset({"floor", "ceil", "stopped", "largest", "shift", "pi", "number", "symbol"}) | CONDITIONS


def moving(node: Node) -> tuple[Node, ...]:
    """The operands through which a derivative passes: of a choice its values, not its conditions."""
    if node.operation == "select":
        return (*node.operands[1:-1:2], node.operands[-1])
    return () if node.operation in FLAT else node.operands


def through(node: Node, k: int, weight: Node) -> Node:
    """The weight times the partial derivative by operand ``k``."""
    return RULES[node.operation](node.graph, node, k, weight)


Rule = Callable[[Graph, Node, int, Node], Node]


def _scale(g: Graph, y: Node, k: int, w: Node) -> Node:
    return g.scale(y.value, w)


def _product(g: Graph, y: Node, k: int, w: Node) -> Node:
    return g.multiply(w, y.operands[1 - k])


def _divide(g: Graph, y: Node, k: int, w: Node) -> Node:
    share = g.divide(w, y.operands[1])
    return share if k == 0 else g.negative(g.multiply(share, y))


def _integer_power(g: Graph, y: Node, k: int, w: Node) -> Node:
    return g.multiply(w, g.scale(fmpq(y.value), g.integer_power(y.operands[0], y.value - 1)))


def _power(g: Graph, y: Node, k: int, w: Node) -> Node:
    """As the kink table says: x**0 does not move with x, and 0**p does not move with p."""
    x, p = y.operands
    if k == 0:
        lower = g.multiply(w, g.multiply(p, apply(g, "power", x, p - g.one)))
        return g.select([(g.relation("equal", p, g.zero), g.zero)], lower)
    return g.select([(g.relation("equal", x, g.zero), g.zero)], g.multiply(w, g.multiply(y, apply(g, "log", x))))


def _sigmoid(g: Graph, y: Node, k: int, w: Node) -> Node:
    return g.multiply(w, g.multiply(y, apply(g, "sigmoid", -y.operands[0])))


def _hypot(g: Graph, y: Node, k: int, w: Node) -> Node:
    """0 where both are 0."""
    quotient = g.multiply(w, g.divide(y.operands[k], y))
    return g.select([(g.relation("equal", y, g.zero), g.zero)], quotient)


def _absolute(g: Graph, y: Node, k: int, w: Node) -> Node:
    """The sign, which is 0 at 0."""
    x = y.operands[0]
    signs = [(g.relation("greater", x, g.zero), g.one), (g.relation("greater", g.zero, x), g.number(-1))]
    return g.multiply(w, g.select(signs, g.zero))


def _arctan2(g: Graph, y: Node, k: int, w: Node) -> Node:
    """The other side over the square of the distance, which may leave the range where the quotient does not."""
    a, b = y.operands
    distance = apply(g, "hypot", a, b)
    share = g.multiply(w, g.divide(g.divide(y.operands[1 - k], distance), distance))
    return share if k == 0 else g.negative(share)


def _logaddexp(g: Graph, y: Node, k: int, w: Node) -> Node:
    a, b = y.operands
    return g.multiply(w, apply(g, "sigmoid", a - b if k == 0 else b - a))


def _by(partial: Callable[[Graph, Node, Node], Node]) -> Rule:
    """A function of one operand x with value y, from its derivative."""
    return lambda g, y, k, w: g.multiply(w, partial(g, y, y.operands[0]))


def _over(divisor: Callable[[Graph, Node, Node], Node]) -> Rule:
    """Likewise, from one over its derivative."""
    return lambda g, y, k, w: g.divide(w, divisor(g, y, y.operands[0]))


def _root_of_one_minus_square(g: Graph, x: Node) -> Node:
    return apply(g, "sqrt", g.multiply(g.one - x, g.one + x))


def _gauss(g: Graph, x: Node) -> Node:
    """2 / sqrt(pi) exp(-x**2)."""
    factor = g.divide(g.number(2), apply(g, "sqrt", g.node("pi")))
    return g.multiply(factor, apply(g, "exp", g.negative(g.integer_power(x, 2))))


def _bessel(sign: int, first: int) -> Rule:
    """Half the sum or difference of the neighbours of that order."""

    def rule(g: Graph, y: Node, k: int, w: Node) -> Node:
        below, above = (g.node(y.operation, y.operands, y.value + step) for step in (-1, 1))
        both = g.add([below, g.scale(fmpq(sign), above)])
        return g.multiply(w, g.scale(first * HALF, both))

    return rule


RULES: dict[str, Rule] = {
    "scale": _scale,
    "product": _product,
    "divide": _divide,
    "integer_power": _integer_power,
    "power": _power,
    "sqrt": _over(lambda g, y, x: g.scale(fmpq(2), y)),
    "cbrt": _over(lambda g, y, x: g.scale(fmpq(3), g.integer_power(y, 2))),
    "exp": _by(lambda g, y, x: y),
    "exp2": _by(lambda g, y, x: g.multiply(y, apply(g, "log", g.number(2)))),
    "expm1": _by(lambda g, y, x: y + g.one),
    "log": _over(lambda g, y, x: x),
    "log2": _over(lambda g, y, x: g.multiply(x, apply(g, "log", g.number(2)))),
    "log10": _over(lambda g, y, x: g.multiply(x, apply(g, "log", g.number(10)))),
    "log1p": _over(lambda g, y, x: g.one + x),
    "sin": _by(lambda g, y, x: apply(g, "cos", x)),
    "cos": _by(lambda g, y, x: -apply(g, "sin", x)),
    "tan": _by(lambda g, y, x: g.one + g.integer_power(y, 2)),
    "arcsin": _over(lambda g, y, x: _root_of_one_minus_square(g, x)),
    "arccos": _over(lambda g, y, x: -_root_of_one_minus_square(g, x)),
    "arctan": _over(lambda g, y, x: g.one + g.integer_power(x, 2)),
    "arctan2": _arctan2,
    "sinh": _by(lambda g, y, x: apply(g, "cosh", x)),
    "cosh": _by(lambda g, y, x: apply(g, "sinh", x)),
    "tanh": _by(lambda g, y, x: g.one - g.integer_power(y, 2)),
    "arcsinh": _over(lambda g, y, x: apply(g, "hypot", x, g.one)),
    "arccosh": _over(lambda g, y, x: g.multiply(apply(g, "sqrt", x - g.one), apply(g, "sqrt", x + g.one))),
    "arctanh": _over(lambda g, y, x: g.multiply(g.one - x, g.one + x)),
    "absolute": _absolute,
    "hypot": _hypot,
    "sigmoid": _sigmoid,
    "logaddexp": _logaddexp,
    "erf": _by(lambda g, y, x: _gauss(g, x)),
    "erfc": _by(lambda g, y, x: -_gauss(g, x)),
    "gamma": _by(lambda g, y, x: g.multiply(y, apply(g, "digamma", x))),
    "gammaln": _by(lambda g, y, x: apply(g, "digamma", x)),
    "digamma": _by(lambda g, y, x: g.node("polygamma", (x,), 1)),
    "polygamma": _by(lambda g, y, x: g.node("polygamma", (x,), y.value + 1)),
    "sinc": _by(lambda g, y, x: g.node("sinc", (x,), y.value + 1)),
    "jv": _bessel(-1, 1),
    "yv": _bessel(-1, 1),
    "iv": _bessel(1, 1),
    "kv": _bessel(1, -1),
}
