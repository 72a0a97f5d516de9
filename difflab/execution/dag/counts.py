"""How many operations expressions of a graph have: as trees, and as the graph."""

from __future__ import annotations

from collections.abc import Iterable

from ..swell import WRITTEN
from .nodes import Node, nodes

NONE = frozenset({"number", "symbol", "pi", "stopped", "greater", "greater_equal", "equal", "not_equal", "not",
                  "isnan", "isinf", "isfinite"})  # fmt: skip


def own(node: Node) -> int:
    """The operations of one node: a sum of n terms has n - 1, a sign inside of a sum is none of its own."""
    operation = node.operation
    if operation in NONE:
        return 0
    if operation in ("sum", "and", "or", "largest", "shift"):
        return len(node.operands) - 1
    return WRITTEN.get(operation, 1)


def _signs(node: Node) -> int:
    """Terms of a sum that are subtracted, which saves their sign."""
    if node.operation != "sum":
        return 0
    return sum(term.operation == "scale" and term.value == -1 for term in node.operands)


def distinct(roots: Iterable[Node]) -> int:
    """Operations when every distinct node is computed once."""
    below = nodes(roots)
    subtracted = {term for node in below if node.operation == "sum" for term in node.operands if _is_sign(term)}
    return sum(own(node) for node in below) - len(subtracted)


def _is_sign(node: Node) -> bool:
    return node.operation == "scale" and node.value == -1


def written_out(roots: Iterable[Node]) -> int:
    """Operations of the expressions as trees, without walking the trees."""
    roots = list(roots)
    totals: dict[Node, int] = {}
    for node in nodes(roots):
        totals[node] = own(node) - _signs(node) + sum(totals[operand] for operand in node.operands)
    return sum(totals[root] for root in roots)
