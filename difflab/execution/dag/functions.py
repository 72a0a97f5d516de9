"""Functions of nodes by NumPy's names, with the few values that SymPy would know too."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from flint import fmpq

from ...errors import UnsupportedError
from . import meanings
from .nodes import HALF, ONE, ZERO, Graph, Node, is_rational

# Where a function of a rational is a rational: argument, value.
EXACT: dict[str, tuple[fmpq, fmpq]] = {
    **dict.fromkeys(("expm1", "log1p", "sin", "tan", "arcsin", "arctan", "sinh", "tanh", "arcsinh", "arctanh", "erf",
                     "cbrt"), (ZERO, ZERO)),
    **dict.fromkeys(("exp", "exp2", "cos", "cosh", "erfc"), (ZERO, ONE)),
    **dict.fromkeys(("log", "log2", "log10", "arccos", "arccosh", "gammaln"), (ONE, ZERO)),
    "sigmoid": (ZERO, HALF),
    "gamma": (ONE, ONE),
}  # fmt: skip


def apply(graph: Graph, name: str, *operands: Node) -> Node:
    """A function of nodes."""
    function = table().get(name)
    if function is None:
        raise UnsupportedError(f"the graph of expressions has no function {name!r}; it has {', '.join(table())}")
    return function(graph, *operands)


def _plain(name: str) -> Callable[..., Node]:
    """An operation of its own, except where its value is rational."""

    def function(graph: Graph, *operands: Node) -> Node:
        known = EXACT.get(name)
        if known is not None and is_rational(operands[0]) and operands[0].value == known[0]:
            return graph.number(known[1])
        return graph.node(name, operands)

    return function


def _sqrt(graph: Graph, x: Node) -> Node:
    if is_rational(x) and x.value >= 0:
        p, q = int(x.value.p), int(x.value.q)
        roots = math.isqrt(p), math.isqrt(q)
        if roots[0] ** 2 == p and roots[1] ** 2 == q:
            return graph.number(fmpq(*roots))
    return graph.node("sqrt", (x,))


def _power(graph: Graph, x: Node, p: Node) -> Node:
    """By whole numbers and by a half it is simpler; 1 to any power stays 1."""
    if is_rational(p):
        if p.value.q == 1 and abs(p.value.p) < 2**53:
            return graph.integer_power(x, int(p.value.p))
        if p.value == HALF:
            return apply(graph, "sqrt", x)
    return graph.one if x is graph.one else graph.node("power", (x, p))


def _rounded(name: str) -> Callable[..., Node]:
    def function(graph: Graph, x: Node) -> Node:
        if is_rational(x):
            return graph.number(getattr(x.value, name)())
        return graph.node(name, (x,))

    return function


def _stopped(graph: Graph, x: Node) -> Node:
    return x if x.fixed or x.operation == "stopped" else graph.node("stopped", (x,))


def _order(node: Node) -> int | float:
    """The order of a function, which is no variable."""
    if not is_rational(node):
        raise UnsupportedError("the order of a function is a number in symbolic differentiation, not a variable")
    return int(node.value.p) if node.value.q == 1 else meanings.double(node.value)


def _ordered(name: str) -> Callable[..., Node]:
    return lambda graph, order, x: graph.node(name, (x,), _order(order))


def _sinc(graph: Graph, x: Node, order: Node) -> Node:
    return graph.node("sinc", (x,), _order(order))


@cache
def table() -> dict[str, Callable[..., Any]]:
    """Functions of the graph and of nodes, by name."""
    own: dict[str, Callable[..., Any]] = {
        "add": lambda g, a, b: g.add([a, b]),
        "subtract": lambda g, a, b: a - b,
        "multiply": lambda g, a, b: g.multiply(a, b),
        "divide": lambda g, a, b: g.divide(a, b),
        "negative": lambda g, x: g.negative(x),
        "reciprocal": lambda g, x: g.divide(g.one, x),
        "square": lambda g, x: g.integer_power(x, 2),
        "integer_power": lambda g, x, n: g.integer_power(x, int(_order(n))),
        "power": _power,
        "sqrt": _sqrt,
        "floor": _rounded("floor"),
        "ceil": _rounded("ceil"),
        "stop_gradient": _stopped,
        "sinc": _sinc,
        **{name: _ordered(name) for name in ("polygamma", "jv", "yv", "iv", "kv")},
    }
    skipped = {"largest", "shift", "absolute", "isnan", "isinf", "isfinite"}
    plain = {name: _plain(name) for name in meanings.FUNCTIONS if name not in own and name not in skipped}
    return {**own, **plain}
