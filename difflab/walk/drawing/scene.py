"""The drawing as nested scenes: what stands in each group, in which order, connected how; no coordinates yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from . import boxes
from .boxes import Box, Label
from .graph import Graph, Use
from .layers import Group
from .layout import Edge, Ranked, arrange

STREAM = 16.0
"""What flows downwards is to be straight; what is given on its way stands beside it."""


class Item(NamedTuple):
    """Something with a place: a box, the label of an edge, a group, or a port where an edge comes through the frame."""

    key: str
    what: Box | Label | Scene | None
    width: float
    height: float


class Joint(NamedTuple):
    """A link between two ranks: it leaves ``start`` at place ``out`` of ``outs`` and comes into ``end`` likewise.

    ``weight`` says how much it matters that it is straight.
    """

    start: int
    end: int
    out: int
    outs: int
    into: int
    ins: int
    weight: float


class Way(NamedTuple):
    """An edge: the items that it goes by, the uses for which it stands, and which equation made its value, or -1."""

    key: str
    chain: tuple[int, ...]
    uses: tuple[Use, ...]
    made: int


@dataclass(frozen=True)
class Scene:
    """A group: its items in ranks with the joints between them; ``box`` is what it looks like when folded.

    ``children`` are the keys of its equations and groups in the order of computation; ``ins`` and ``outs`` are the
    values that come through the frame, in the order of the first and the last rank; ``given`` are the inputs and
    constant arrays that stand in it.
    """

    key: str
    group: Group
    box: Box
    items: tuple[Item, ...]
    ranked: Ranked
    joints: tuple[Joint, ...]
    ways: tuple[Way, ...]
    children: tuple[str, ...]
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    given: tuple[int, ...]

    @property
    def framed(self) -> bool:
        """Whether it is a group in another."""
        return self.key != "g0"

    def inner(self) -> dict[int, Scene]:
        """The scenes in it by item."""
        return {at: item.what for at, item in enumerate(self.items) if isinstance(item.what, Scene)}

    def order(self) -> list[int]:
        """Positions of all equations in it in the order of the steps."""
        inner = {scene.key: scene for scene in self.inner().values()}
        found: list[int] = []
        for key in self.children:
            found += inner[key].order() if key in inner else [int(key[1:])]
        return found

    def scenes(self) -> Iterator[Scene]:
        """The scene itself and all in it, outer ones first."""
        yield self
        for scene in self.inner().values():
            yield from scene.scenes()


def scene(graph: Graph, root: Group, parameters: set[int], *, down: bool) -> Scene:
    """The scene of a whole graph.

    Args:
        graph: of a tape.
        root: its equations in groups.
        parameters: inputs that stand inside the group that uses them; others stand outside all groups.
        down: whether values flow downwards, else to the right.

    Returns:
        The outermost scene.

    Example:
        >>> import numpy as np
        >>> from difflab import trace
        >>> from difflab.walk.drawing.graph import graph
        >>> from difflab.walk.drawing.layers import layered
        >>> found = trace(lambda x: np.log(x) * x, 2.0)
        >>> drawn = scene(graph(found.tape, found.values()), layered(found.tape), set(), down=False)
        >>> [item.key for item in drawn.items]
        ['s0', 'e0', 'l0', 'e1', 'l1', 'l2', 'end', 'l3', '', '']
    """
    return _Builder(graph, root, parameters, down).build(root, ())


@dataclass
class _Draft:
    """Items and edges of a scene while it is built: per edge the value that it carries, and the uses."""

    items: list[Item] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    values: list[int] = field(default_factory=list)
    uses: list[tuple[Use, ...]] = field(default_factory=list)

    def item(self, key: str, what: Box | None) -> int:
        self.items.append(Item(key, what, 0.0, 0.0))
        return len(self.items) - 1

    def box(self, key: str, box: Box) -> int:
        self.items.append(Item(key, box, box.width, box.height))
        return len(self.items) - 1

    def edge(self, source: int, target: int, value: int, uses: tuple[Use, ...], label: Item | None) -> None:
        if label is not None:
            self.items.append(label)
        self.edges.append(Edge(source, target, None if label is None else len(self.items) - 1))
        self.values.append(value)
        self.uses.append(uses)


class _Builder:
    def __init__(self, graph: Graph, root: Group, parameters: set[int], down: bool):
        self.graph, self.down, self.parameters = graph, down, parameters
        self.makers = {equation.output: at for at, equation in enumerate(graph.tape.equations)}
        self.keys = {id(group): f"g{at}" for at, group in enumerate(root.groups())}
        self.owned: dict[int, list[int]] = {id(group): [] for group in root.groups()}
        for number in graph.rows:
            if number not in self.makers:
                self.owned[id(self._owner(root, number))].append(number)
        self.labels = self.ways = 0

    def _owner(self, root: Group, number: int) -> Group:
        """The group in which a given array stands: the smallest that holds all its uses, if it is a parameter."""
        places = [use.position for use in self.graph.readers[number]]
        fixed = number in self.parameters or number in self.graph.tape.constants
        owner = root
        while fixed and places:
            inner = [
                child
                for child in owner.children
                if isinstance(child, Group) and all(child.start <= at < child.stop for at in places)
            ]
            if not inner:
                break
            owner = inner[0]
        return owner

    def _inside(self, group: Group) -> list[int]:
        """Given arrays that stand in a group or in one of its groups."""
        return [number for one in group.groups() for number in self.owned[id(one)]]

    def _reads(self, child: int | Group) -> list[tuple[Use, ...]]:
        """What comes into a child, together what is one edge: a group reads a value once, a gate for each operand."""
        if not isinstance(child, Group):
            return [(use,) for use in self.graph.operands[child] if use.value in self.graph.rows]
        inside = set(self._inside(child))
        gathered: dict[int, list[Use]] = {}
        for position in range(child.start, child.stop):
            for use in self.graph.operands[position]:
                made = self.makers.get(use.value, -1)
                if use.value in self.graph.rows and not child.start <= made < child.stop and use.value not in inside:
                    gathered.setdefault(use.value, []).append(use)
        return [tuple(uses) for uses in gathered.values()]

    def _outs(self, group: Group) -> list[int]:
        """Values that are made in a group and used outside."""
        made = [equation.output for equation in self.graph.tape.equations[group.start : group.stop]]
        return [
            number
            for number in made
            if any(not group.start <= use.position < group.stop for use in self.graph.readers[number])
        ]

    # -------------------------------------------------------------------- one group

    def build(self, group: Group, ins: tuple[int, ...]) -> Scene:
        """The scene of a group into which the values ``ins`` come in that order."""
        draft = _Draft()
        framed = self.keys[id(group)] != "g0"
        ports = {number: draft.item("", None) for number in ins}
        providers = dict(ports)
        for number in self.owned[id(group)]:
            found = boxes.source(self.graph, number, parameter=number in self.parameters)
            providers[number] = draft.box(f"s{number}", found)
        entering = {child: self._reads(child) for child in group.children}
        read = [uses[0].value for edges in entering.values() for uses in edges]
        children: dict[int, int | Group] = {}
        for child, edges in entering.items():
            if isinstance(child, Group):
                at = draft.item(self.keys[id(child)], None)
                providers.update(dict.fromkeys(self._outs(child), at))
            else:
                at = draft.box(f"e{child}", boxes.gate(self.graph, child))
                providers[self.graph.tape.equations[child].output] = at
            children[at] = child
            for uses in edges:
                number = uses[0].value
                # What comes through the frame for one reader has its label outside.
                alone = number in ports and read.count(number) == 1
                draft.edge(providers[number], at, number, uses, None if alone else self._label(uses))
        outs = self._outs(group) if framed else []
        leaving = [draft.item("", None) for _ in outs]
        for number, port in zip(outs, leaving, strict=True):
            outside = [use for use in self.graph.readers[number] if not group.start <= use.position < group.stop]
            draft.edge(providers[number], port, number, tuple(outside), None)
        if not framed:
            at = draft.box("end", boxes.end(self.graph))
            for use in self.graph.operands[len(self.graph.tape)]:
                if use.value in providers:
                    draft.edge(providers[use.value], at, use.value, (use,), self._label((use,)))
        ranked = arrange(len(draft.items), draft.edges, list(ports.values()), leaving, framed=framed, late=self.down)
        return self._finished(group, draft, ranked, children, ins, tuple(outs))

    def _label(self, uses: tuple[Use, ...]) -> Item:
        self.labels += 1
        found = boxes.label(self.graph, uses, self.makers.get(uses[0].value, -1))
        return Item(f"l{self.labels - 1}", found, *boxes.label_size(found, self.down))

    def _finished(
        self,
        group: Group,
        draft: _Draft,
        ranked: Ranked,
        children: dict[int, int | Group],
        ins: tuple[int, ...],
        outs: tuple[int, ...],
    ) -> Scene:
        """The scene with its joints and the scenes in it."""
        carried: dict[tuple[int, int], int] = {}
        weights: dict[tuple[int, int], float] = {}
        for chain, number in zip(ranked.chains, draft.values, strict=True):
            given = draft.items[chain[0]].key.startswith("s")
            for pair in itertools.pairwise(chain):
                carried[pair] = number
                weights[pair] = 1.0 if given or not self.down else STREAM
        inner: dict[int, Scene] = {}
        for at, child in children.items():
            if isinstance(child, Group):
                entering = sorted((link for link in ranked.links if link.end == at), key=lambda link: link.slot)
                inner[at] = self.build(child, tuple(carried[link.start, at] for link in entering))
        joints = []
        for link in ranked.links:
            ports = inner[link.start].outs if link.start in inner else ()
            out = ports.index(carried[link.start, link.end]) if ports else 0
            pair = (link.start, link.end)
            joints.append(Joint(*pair, out, len(ports) or 1, link.slot, link.slots, weights[pair]))
        items = [
            item if at not in inner else Item(item.key, inner[at], inner[at].box.width, inner[at].box.height)
            for at, item in enumerate(draft.items)
        ]
        items += [Item("", None, 0.0, 0.0)] * (ranked.count - len(items))
        ways = []
        for chain, uses, number in zip(ranked.chains, draft.uses, draft.values, strict=True):
            ways.append(Way(f"w{self.ways}", chain, uses, self.makers.get(number, -1)))
            self.ways += 1
        inside = tuple(self._inside(group))
        return Scene(
            key=self.keys[id(group)],
            group=group,
            box=boxes.folded(self.graph, group, inside),
            items=tuple(items),
            ranked=ranked,
            joints=tuple(joints),
            ways=tuple(ways),
            children=tuple(draft.items[at].key for at in _by_depth(children, draft.edges)),
            ins=ins,
            outs=outs,
            given=inside,
        )


def _by_depth(children: Iterable[int], edges: Sequence[Edge]) -> list[int]:
    """Items in the order in which they could be computed if all that are ready were done at once, as in the table."""
    depth = dict.fromkeys(children, 0)
    for edge in sorted(edges, key=lambda edge: edge.source):
        if edge.source in depth and edge.target in depth:
            depth[edge.target] = max(depth[edge.target], depth[edge.source] + 1)
    return sorted(depth, key=lambda item: depth[item])
