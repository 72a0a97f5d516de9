"""A layered drawing of a graph without cycles: which rank a node has, and which place within its rank.

Ranks are longest paths; an edge that passes ranks takes a place in each of them, and so does what is written on it; the
order within the ranks is improved by barycentres and by exchanging neighbours (Sugiyama, Tagawa & Toda, 1981; Gansner
et al., 1993).  Nothing here depends on how large things are, so folding changes coordinates and no order.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SWEEPS = 12


class Edge(NamedTuple):
    """From ``source`` to ``target``, by way of ``label``, all numbers of items; sources are numbered before targets."""

    source: int
    target: int
    label: int | None = None


class Link(NamedTuple):
    """A stretch of an edge between two ranks that follow each other.

    It comes into item ``end`` at the place number ``slot`` of ``slots``, counted across.
    """

    start: int
    end: int
    slot: int
    slots: int


@dataclass(frozen=True)
class Ranked:
    """Items in ranks, in order; ``chains`` are the items that each edge goes by, ``count`` how many items there are.

    Items from the first number that was not given on are places where an edge passes a rank.
    """

    ranks: tuple[tuple[int, ...], ...]
    links: tuple[Link, ...]
    chains: tuple[tuple[int, ...], ...]
    count: int


def arrange(
    count: int, edges: Sequence[Edge], ins: Sequence[int] = (), outs: Sequence[int] = (), *, framed: bool, late: bool
) -> Ranked:
    """Ranks, and an order in each.

    Args:
        count: how many items there are, with those that are labels of edges.
        edges: between them.
        ins: items of the first rank, whose order is fixed.
        outs: items of the last rank.
        framed: whether the first and the last rank hold nothing else, even if they are empty.
        late: whether everything stands as near as possible to what it is used by, else to what it is made of.

    Returns:
        The arrangement; the same for the same arguments.

    Example:
        >>> arrange(4, [Edge(0, 2), Edge(1, 2, 3)], framed=False, late=False).ranks
        ((0, 1), (4, 3), (2,))
    """
    labels = {edge.label for edge in edges if edge.label is not None}
    rank = _ranks([item for item in range(count) if item not in labels], edges, ins, outs, framed, late)
    chains: list[tuple[int, ...]] = []
    for edge in edges:
        chain = [edge.source]
        for at in range(rank[edge.source] + 1, rank[edge.target]):
            if edge.label is not None and at == rank[edge.target] - 1:
                chain.append(edge.label)
            else:
                chain.append(count)
                count += 1
            rank[chain[-1]] = at
        chains.append((*chain, edge.target))
    last = max(rank.values(), default=0)
    order = _Order(last + 1, rank, [pair for chain in chains for pair in itertools.pairwise(chain)], ins)
    order.improve()
    return Ranked(tuple(map(tuple, order.ranks)), tuple(order.links()), tuple(chains), count)


def _ranks(
    nodes: Sequence[int], edges: Sequence[Edge], ins: Sequence[int], outs: Sequence[int], framed: bool, late: bool
) -> dict[int, int]:
    """A rank for every node, so that an edge passes one rank, and two if it has a label."""
    first = 1 if framed else 0
    rank = {node: 0 if node in ins else first for node in nodes}
    length = {edge: 1 if edge.label is None else 2 for edge in edges}
    for edge in sorted(edges, key=lambda edge: edge.source):
        rank[edge.target] = max(rank[edge.target], rank[edge.source] + length[edge])
    height = max((rank[node] for node in nodes if node not in outs), default=0) + 1
    if framed:
        rank.update(dict.fromkeys(outs, max([height, *(rank[out] for out in outs)])))
    if late:
        free: dict[int, int] = {}
        for edge in sorted(edges, key=lambda edge: -edge.source):
            if edge.source not in ins:
                top = free.get(edge.target, rank[edge.target]) - length[edge]
                free[edge.source] = min(free.get(edge.source, top), top)
        rank.update(free)
    return rank


class _Order:
    """The order within ranks, and how many links cross."""

    def __init__(self, height: int, rank: dict[int, int], pairs: list[tuple[int, int]], ins: Sequence[int]):
        self.fixed = list(ins)
        self.below: dict[int, list[int]] = {item: [] for item in rank}
        self.above: dict[int, list[int]] = {item: [] for item in rank}
        for start, end in pairs:
            self.below[start].append(end)
            self.above[end].append(start)
        self.ranks: list[list[int]] = [[] for _ in range(height)]
        for item in self._first_seen(rank):
            self.ranks[rank[item]].append(item)

    def _first_seen(self, rank: dict[int, int]) -> list[int]:
        """Items as they are met on the way from each source, sources in order, and operands before results."""
        seen: dict[int, None] = dict.fromkeys(self.fixed)
        for root in sorted(rank, key=lambda item: (bool(self.above[item]), item)):
            waiting = [root]
            while waiting:
                item = waiting.pop()
                if item in seen and item not in self.fixed:
                    continue
                seen[item] = None
                waiting += [end for end in reversed(self.below[item]) if end not in seen]
        return list(seen)

    def improve(self) -> None:
        """Sweep down and up; the best order that was met stays."""
        best, fewest = [list(items) for items in self.ranks], self.crossings()
        for sweep in range(SWEEPS):
            if not fewest:
                break
            down, ties = sweep % 2 == 0, 1 if sweep % 4 < 2 else -1
            for at in range(1, len(self.ranks)) if down else range(len(self.ranks) - 2, -1, -1):
                self._sort(at, self.above if down else self.below, at - 1 if down else at + 1, ties)
            self._exchange()
            found = self.crossings()
            if found < fewest:
                best, fewest = [list(items) for items in self.ranks], found
        self.ranks = best

    def _sort(self, at: int, near: dict[int, list[int]], other: int, ties: int) -> None:
        """Order a rank by barycentres; what has the same stays in its order, or turns round if ``ties`` is -1."""
        if self.fixed and at == 0:
            return
        place = {item: k for k, item in enumerate(self.ranks[other])}
        own = {item: k for k, item in enumerate(self.ranks[at])}

        def barycentre(item: int) -> float:
            found = [place[one] for one in near[item]]
            return sum(found) / len(found) if found else own[item] * max(len(place), 1) / len(own)

        self.ranks[at].sort(key=lambda item: (barycentre(item), ties * own[item]))

    def _exchange(self) -> None:
        """Neighbours change places where that removes crossings."""
        for at, items in enumerate(self.ranks):
            if self.fixed and at == 0:
                continue
            places = [
                ({one: k for k, one in enumerate(self.ranks[other])}, near)
                for other, near in ((at - 1, self.above), (at + 1, self.below))
                if 0 <= other < len(self.ranks)
            ]
            for k in range(len(items) - 1):
                one, two = items[k], items[k + 1]
                gain = 0
                for place, near in places:
                    first, second = [place[n] for n in near[one]], [place[n] for n in near[two]]
                    gain += sum((a > b) - (a < b) for a in first for b in second)
                if gain > 0:
                    items[k], items[k + 1] = two, one

    def crossings(self) -> int:
        """Pairs of links that cross."""
        total = 0
        for upper, lower in itertools.pairwise(self.ranks):
            place = {item: k for k, item in enumerate(lower)}
            seen: list[int] = []
            for item in upper:
                ends = sorted(place[end] for end in self.below[item])
                total += sum(len(seen) - bisect_left(seen, end + 1) for end in ends)
                for end in ends:
                    insort(seen, end)
        return total

    def links(self) -> list[Link]:
        """All links; those into an item come in the order of where they start."""
        place = {item: k for items in self.ranks for k, item in enumerate(items)}
        found = []
        for items in self.ranks:
            for item in items:
                starts = sorted(self.above[item], key=lambda start: place[start])
                found += [Link(start, item, slot, len(starts)) for slot, start in enumerate(starts)]
        return found
