"""What conditions say of each other.

Two numbers are less, equal, greater or, with NaN, none of these; a comparison is a set of these outcomes, so that
"and" of two comparisons of the same pair is an intersection, "or" a union and "not" a complement.  Nothing here is
true of numbers only: what is decided is decided for NaN as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .nodes import Graph, Node

LESS, EQUAL, GREATER, UNORDERED = 1, 2, 4, 8
OUTCOMES = {"greater": GREATER, "greater_equal": GREATER | EQUAL, "equal": EQUAL, "not_equal": 15 - EQUAL}
# A comparison, or the opposite of one, for a set of outcomes: whether it is the opposite, its name, its order.
NAMES = {
    (15 - mask if opposite else mask): (opposite, name, order)
    for opposite in (True, False)
    for name, masks in (("greater", (GREATER, LESS)), ("greater_equal", (GREATER | EQUAL, LESS | EQUAL)),
                        ("equal", (EQUAL,)), ("not_equal", (15 - EQUAL,)))
    for order, mask in enumerate(masks)
}  # fmt: skip


def outcomes(condition: Node) -> tuple[tuple[Node, Node], int] | None:
    """Of a comparison, or of the opposite of one, the pair, the older first, and the outcomes where it holds."""
    relation = condition.operands[0] if condition.operation == "not" else condition
    found = OUTCOMES.get(relation.operation)
    if found is None:
        return None
    a, b = relation.operands
    if a.place > b.place:
        a, b = b, a
        found = found & (EQUAL | UNORDERED) | (found & LESS) << 2 | (found & GREATER) >> 2
    if relation is not condition:
        found = 15 - found
    return (a, b), found


def possible(pair: tuple[Node, Node]) -> int:
    """All outcomes; what is compared with itself is equal, or NaN."""
    return EQUAL | UNORDERED if pair[0] is pair[1] else 15


def merged(graph: Graph, name: str, parts: Sequence[Node]) -> list[Node] | bool:
    """Parts of an "and" or an "or" without those that say nothing more; a truth value where they contradict."""
    other = "or" if name == "and" else "and"
    known = set(parts)
    kept, pairs = [], {}
    for part in parts:
        if part.operation == "not" and part.operands[0] in known:
            return name == "or"
        # a and (a or b) is a, and so is a or (a and b).
        if part.operation == other and any(operand in known for operand in part.operands):
            continue
        found = outcomes(part)
        if found is None:
            kept.append(part)
        else:
            pairs.setdefault(found[0], []).append((part, found[1]))
    for pair, comparisons in pairs.items():
        every, mask = possible(pair), comparisons[0][1]
        for _, held in comparisons[1:]:
            mask = mask & held if name == "and" else mask | held
        mask &= every
        if mask in (0, every):
            if mask == (0 if name == "and" else every):
                return name == "or"
            continue
        short = _comparison(graph, pair, mask) if len(comparisons) > 1 else None
        kept += [part for part, _ in comparisons] if short is None else [short]
    return kept


def _comparison(graph: Graph, pair: tuple[Node, Node], mask: int) -> Node | None:
    """The one comparison, or opposite of one, that holds at these outcomes."""
    if mask not in NAMES:
        return None
    opposite, name, order = NAMES[mask]
    condition = graph.node(name, pair[::-1] if order else pair)
    return graph.node("not", (condition,)) if opposite else condition


class Facts:
    """What is known of conditions on the way to a branch."""

    def __init__(self) -> None:
        self.known: dict[Node, bool] = {}
        self.pairs: dict[tuple[Node, Node], int] = {}

    def and_also(self, condition: Node) -> Facts:
        """These facts where this condition holds too."""
        more = Facts()
        more.known, more.pairs = dict(self.known), dict(self.pairs)
        more.learn(condition, True)
        return more

    def learn(self, condition: Node, holds: bool) -> None:
        """It holds here, or it does not."""
        if condition.operation == "not":
            self.learn(condition.operands[0], not holds)
            return
        self.known[condition] = holds
        if condition.operation == ("and" if holds else "or"):
            for operand in condition.operands:
                self.learn(operand, holds)
        found = outcomes(condition)
        if found is not None:
            pair, mask = found
            self.pairs[pair] = self.pairs.get(pair, possible(pair)) & (mask if holds else 15 - mask)

    def decided(self, condition: Node) -> bool | None:
        """Whether it holds here, if that is known."""
        if condition in self.known:
            return self.known[condition]
        operation = condition.operation
        if operation in ("and", "or"):
            return self._joined(operation == "or", map(self.decided, condition.operands))
        if operation == "not" and outcomes(condition) is None:
            inner = self.decided(condition.operands[0])
            return None if inner is None else not inner
        found = outcomes(condition)
        if found is None or found[0] not in self.pairs:
            return None
        held = self.pairs[found[0]]
        return True if held & ~found[1] == 0 else False if held & found[1] == 0 else None

    @staticmethod
    def _joined(absorbing: bool, parts: Iterable[bool | None]) -> bool | None:
        seen = list(parts)
        return absorbing if absorbing in seen else None if None in seen else not absorbing


def pruned(graph: Graph, value: Node, facts: Facts) -> Node:
    """A value of a branch without the choices that are made on the way to it."""
    while value.operation == "select":
        conditions = value.operands[:-1:2]
        decisions = [facts.decided(condition) for condition in conditions]
        if all(decision is None for decision in decisions):
            return value
        pairs = [
            (condition if decision is None else decision, chosen)
            for condition, decision, chosen in zip(conditions, decisions, value.operands[1:-1:2], strict=True)
        ]
        value = graph.select(pairs, value.operands[-1])
    return value
