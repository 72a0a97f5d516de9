"""Derivatives of expressions in a graph, every distinct node differentiated once.

The derivative of an expression by a symbol is the sum, over all paths in the graph from the one to the other, of the
products of the derivatives of the operations on the way.  There are as many paths as the tree has leaves; what makes
the sum short is the order in which common factors are taken out of it, and there are two.

* ``by_symbol``: with respect to one symbol after the other, the derivative of every node from those of its operands,
  kept in a table.  This is what a book on calculus does, with a memory.  Each symbol has its own copy of the chain.
* ``by_root``: for one expression after the other, its derivative by every node from those by the nodes that use it.
  One pass serves all symbols.

S. Laue, "On the equivalence of automatic and symbolic differentiation" (arXiv 1904.02990), says that the first is
forward mode and the second is reverse mode, operation by operation, once expressions may share.  Nothing here knows
of tapes or of modes, so the claim can be put to the test by counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .nodes import HALF, Graph, Node, nodes
from .rules import moving, through


def jacobian(graph: Graph, roots: Sequence[Node], symbols: Sequence[Node], order: str = "auto") -> list[list[Node]]:
    """For every root its derivative by every symbol.

    Args:
        graph: of the roots.
        roots: expressions.
        symbols: by which to differentiate.
        order: "root", "symbol", or "auto" for the one with fewer passes.

    Returns:
        Rows as ``roots``, columns as ``symbols``.

    Example:
        >>> graph = Graph()
        >>> x = graph.node("symbol", (), 0)
        >>> jacobian(graph, [x * x], [x])
        [[scale(2, symbol(0))]]
    """
    if order == "root" or (order == "auto" and len(set(roots)) <= len(symbols)):
        known: dict[Node, list[Node]] = {}
        for root in roots:
            if root not in known:
                known[root] = by_root(graph, root, symbols)
        return [list(known[root]) for root in roots]
    return by_symbol(graph, roots, symbols)


# ---------------------------------------------------------------------------- one symbol after the other


def by_symbol(graph: Graph, roots: Sequence[Node], symbols: Sequence[Node]) -> list[list[Node]]:
    """The rows of the Jacobian, column by column; only nodes that depend on a symbol are differentiated by it."""
    bits = {symbol: 1 << position for position, symbol in enumerate(symbols)}
    depends: dict[Node, int] = {}
    users: list[list[Node]] = [[] for _ in symbols]
    for node in nodes(roots, moving):
        mask = bits.get(node, 0)
        for operand in moving(node):
            mask |= depends[operand]
        depends[node] = mask
        while mask and node not in bits:
            low = mask & -mask
            users[low.bit_length() - 1].append(node)
            mask ^= low
    columns = []
    for symbol, dependent in zip(symbols, users, strict=True):
        slopes = {symbol: graph.one}
        for node in dependent:
            slopes[node] = _slope(graph, node, [slopes.get(operand, graph.zero) for operand in moving(node)])
        columns.append([slopes.get(root, graph.zero) for root in roots])
    return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in roots]


def _slope(graph: Graph, node: Node, slopes: list[Node]) -> Node:
    """The derivative of one node, given those of its moving operands."""
    if node.operation == "sum":
        return graph.add(slopes)
    if node.operation == "select":
        return graph.select(list(zip(node.operands[:-1:2], slopes, strict=False)), slopes[-1])
    if node.operation == "larger":
        a, b = node.operands
        halves = graph.add([graph.scale(HALF, slope) for slope in slopes])
        sides = [(graph.relation("greater", a, b), slopes[0]), (graph.relation("greater", b, a), slopes[1])]
        sides.sort(key=lambda side: side[1] is graph.zero)
        return graph.select([sides[0], (graph.relation("equal", a, b), halves), sides[1]], graph.zero)
    parts = [through(node, k, slope) for k, slope in enumerate(slopes) if slope is not graph.zero]
    return parts[0] if len(parts) == 1 else graph.add(parts)


# ---------------------------------------------------------------------------- all symbols at once


class Share(NamedTuple):
    """A part of the derivative of the root by a node.

    ``where`` is the condition under which the part counts (``True``: always), as paths lead through the branches of
    choices.  Elsewhere it is zero, whatever ``weight`` may be, unless ``masked`` says that the weight is zero there.
    """

    weight: Node
    where: Node | bool = True
    masked: bool = True


def by_root(graph: Graph, root: Node, symbols: Sequence[Node]) -> list[Node]:
    """The derivative of one expression by every symbol, from the root down."""
    order = nodes([root], moving)
    wanted = set(symbols)
    for node in order:
        if any(operand in wanted for operand in moving(node)):
            wanted.add(node)
    if root not in wanted:
        return [graph.zero] * len(symbols)
    parts: dict[Node, list[Share]] = {root: [Share(graph.one)]}
    slopes: dict[Node, Node] = {}
    for node in reversed(order):
        if node not in parts:
            continue
        share = _together(graph, parts.pop(node))
        if node.operation == "symbol":
            slopes[node] = _masked(graph, share)
            continue
        for operand, part in _passed_on(graph, node, share, wanted):
            if part.weight is not graph.zero:
                parts.setdefault(operand, []).append(part)
    return [slopes.get(symbol, graph.zero) for symbol in symbols]


def _together(graph: Graph, parts: list[Share]) -> Share:
    """The sum of parts, each zero where it does not count."""
    first = parts[0]
    if all(part.where is first.where for part in parts):
        weight = graph.add([part.weight for part in parts]) if len(parts) > 1 else first.weight
        return Share(weight, first.where, all(part.masked for part in parts))
    where = graph.join("or", [part.where for part in parts])
    return Share(graph.add([_masked(graph, part) for part in parts]), where, True)


def _masked(graph: Graph, part: Share) -> Node:
    """The weight, zero where it does not count."""
    return part.weight if part.masked else graph.select([(part.where, part.weight)], graph.zero)


def _passed_on(graph: Graph, node: Node, share: Share, wanted: set[Node]) -> list[tuple[Node, Share]]:
    """What every operand that matters gets of the share of a node."""
    if node.operation == "select":
        return _to_branches(graph, node, share, wanted)
    if node.operation == "larger":
        return _to_sides(graph, node, share, wanted)
    # From here on the weight is used more than once, so it is masked here, once; but a derivative that may be
    # infinite where the part does not count must not meet that zero, and the mask comes after it.
    masked = _masked(graph, share)
    if node.operation == "sum":
        return [(operand, Share(masked, share.where)) for operand in node.operands if operand in wanted]
    passed = []
    for k, operand in enumerate(node.operands):
        if operand in wanted:
            if share.where is True or (not graph.careful and not through(node, k, graph.one).singular):
                passed.append((operand, Share(through(node, k, masked), share.where)))
            else:
                passed.append((operand, Share(through(node, k, share.weight), share.where, False)))
    return passed


def _to_branches(graph: Graph, node: Node, share: Share, wanted: set[Node]) -> list[tuple[Node, Share]]:
    """Every branch counts where its condition holds and none before it does."""
    passed, before = [], [share.where]
    for condition, value in zip([*node.operands[:-1:2], True], moving(node), strict=True):
        if value in wanted:
            passed.append((value, Share(share.weight, graph.join("and", [*before, condition]), False)))
        if condition is not True:
            before.append(graph.opposite(condition))
    return passed


def _to_sides(graph: Graph, node: Node, share: Share, wanted: set[Node]) -> list[tuple[Node, Share]]:
    """The larger side takes all, of equal ones each takes half."""
    passed = []
    for side, other in (node.operands, node.operands[::-1]):
        if side in wanted:
            more, same = graph.relation("greater", side, other), graph.relation("equal", side, other)
            half = graph.scale(HALF, share.weight)
            weight = graph.select([(more, share.weight), (same, half)], graph.zero)
            where = graph.join("and", [share.where, graph.relation("greater_equal", side, other)])
            passed.append((side, Share(weight, where, share.masked)))
    return passed
