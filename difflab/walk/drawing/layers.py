"""A tape in layers: its equations in nested groups, each a stretch of the tape, so that a drawing of it can be folded.

The order of the tape is an order of computation, so no path leaves a stretch and comes back: what is folded has no
cycles, whatever else is folded.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from ...tape import Equation, Tape

MOST = 30
"""Children that a group may have; more are cut into parts."""
PART = 20
LAYERED = 8
"""Tapes of at most so many equations are not cut into layers."""
NAMED = 4
"""Parameters that are named in the title of a layer."""
VIEWS = frozenset({"reshape", "transpose", "broadcast_to", "cast", "copy"})
LINEAR = frozenset({"matmul"})


@dataclass(frozen=True)
class Group:
    """The equations from ``start`` up to ``stop``; children are positions of equations and smaller groups, in order.

    ``kind`` is "whole", "layer", "composite", or "part" of what has too many children.
    """

    kind: str
    title: str
    start: int
    stop: int
    children: tuple[int | Group, ...]

    def groups(self) -> list[Group]:
        """The group itself and all groups in it, outer ones first."""
        found: list[Group] = [self]
        for child in self.children:
            if isinstance(child, Group):
                found += child.groups()
        return found


def layered(tape: Tape, names: Mapping[int, str] | None = None) -> Group:
    """Group the equations of a tape.

    Composites become groups.  Around them, a layer begins where a matrix product or a convolution first uses an array
    that nothing has computed, such as its weights; the last layer ends where data come in again, such as targets of a
    loss.  What has too many children is cut into parts.

    Args:
        tape: the tape, with the names of its inputs in their containers: what is in one is taken for a parameter.
        names: what inputs and constant arrays are called in titles; as on the tape by default.

    Returns:
        The whole tape as a group.

    Example:
        >>> import numpy as np
        >>> from difflab import nn, trace
        >>> p = {"w1": np.ones((3, 4)), "b1": np.ones(4), "w2": np.ones((4, 2))}
        >>> tape = trace(lambda p, x, y: np.mean((nn.relu(x @ p["w1"] + p["b1"]) @ p["w2"] - y) ** 2, axis=0).sum(),
        ...              p, np.ones((5, 3)), np.ones((5, 2))).tape
        >>> [child.title if isinstance(child, Group) else child for child in layered(tape).children]
        ["layer p['w1'], p['b1']", 3, 'loss against y']
    """
    return _Grouping(tape, names or {}).whole()


def parameters(tape: Tape) -> set[int]:
    """Inputs that came in a container, such as ``params["w1"]``; none if there are no containers.

    Args:
        tape: a tape with the names of its inputs.

    Example:
        >>> from difflab import trace
        >>> parameters(trace(lambda p, x: p["w"] * x, {"w": 1.0}, 2.0).tape)
        {0}
    """
    return {number for number in tape.inputs if not tape.names.get(number, "x").isidentifier()}


class _Grouping:
    """What is known of one tape while it is cut."""

    def __init__(self, tape: Tape, names: Mapping[int, str]):
        self.tape = tape
        arrays = [number for number in tape.constants if tape.avals[number].shape]
        self.given = set(tape.inputs) | set(arrays)
        self.names = {number: tape.names.get(number, f"x{at}") for at, number in enumerate(tape.inputs, 1)}
        self.names |= {number: f"c{at}" for at, number in enumerate(arrays, 1)} | dict(names)
        self.parameters = parameters(tape) or self.given
        self.origin = {number: number for number in self.given}  # values that are a given one in another shape
        for equation in tape.equations:
            if equation.primitive.name in VIEWS and equation.inputs[0] in self.origin:
                self.origin[equation.output] = self.origin[equation.inputs[0]]

    def whole(self) -> Group:
        count = len(self.tape)
        spans = self._spans()
        children = self._nested(0, count, spans)
        if count > LAYERED:
            children = self._layers(children)
        return _parted(Group("whole", "the whole function", 0, count, children))

    # -------------------------------------------------------------------- composites

    def _spans(self) -> list[Group]:
        """Composites of two equations or more that nest, outer ones first; of equal ones the outermost."""
        found: dict[tuple[int, int], Group] = {}
        for span in self.tape.spans:  # an outer one is written down after those in it
            if 2 <= span.stop - span.start < len(self.tape):
                found[span.start, span.stop] = Group("composite", span.name, span.start, span.stop, ())
        kept: list[Group] = []
        for span in sorted(found.values(), key=lambda span: (span.start, -span.stop)):
            if all(span.start >= other.stop or span.stop <= other.stop for other in kept):
                kept.append(span)
        return kept

    def _nested(self, start: int, stop: int, spans: list[Group]) -> tuple[int | Group, ...]:
        children: list[int | Group] = []
        at = start
        while at < stop:
            span = next((s for s in spans if s.start == at and s.stop <= stop), None)
            if span is None:
                children.append(at)
                at += 1
                continue
            inner = [other for other in spans if other is not span]
            below = self._nested(span.start, span.stop, inner)
            children.append(Group(span.kind, span.title, span.start, span.stop, below))
            at = span.stop
        return tuple(children)

    # -------------------------------------------------------------------- layers

    def _equations(self, child: int | Group) -> tuple[Equation, ...]:
        start, stop = _ends((child,))
        return self.tape.equations[start:stop]

    def _weights(self, child: int | Group) -> set[int]:
        """Given arrays that go into a product of matrices here."""
        linear = [one for one in self._equations(child) if one.primitive.name in LINEAR]
        return {self.origin[number] for one in linear for number in one.inputs if number in self.origin}

    def _layers(self, children: tuple[int | Group, ...]) -> tuple[int | Group, ...]:
        """Children gathered into layers, if there are two or more."""
        starts: list[int] = []
        used: set[int] = set()
        for at, child in enumerate(children):
            fresh = self._weights(child) - used
            if fresh:
                first = at
                while starts and first > starts[-1] + 1 and self._is_view(children[first - 1]):
                    first -= 1
                starts.append(first if starts else 0)
            used |= self._weights(child)
        tail = self._tail(children, starts[-1]) if starts else None
        if tail is not None:
            starts.append(tail)
        if len(starts) < 2:
            return children
        result: list[int | Group] = []
        seen: set[int] = set()
        for start, stop in zip(starts, [*starts[1:], len(children)], strict=True):
            inside = children[start:stop]
            reads = [n for child in inside for one in self._equations(child) for n in one.inputs if n in self.given]
            fresh = [number for number in dict.fromkeys(reads) if number not in seen]
            seen.update(fresh)
            result.append(self._layer(inside, fresh, last=start == tail))
        return tuple(result)

    def _layer(self, inside: tuple[int | Group, ...], fresh: list[int], last: bool) -> int | Group:
        if len(inside) == 1:
            return inside[0]
        parameters = [number for number in fresh if number in self.parameters]
        names = [self.names[number] for number in (fresh if last else parameters)]
        listed = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        scalar = not self.tape.avals[self.tape.outputs[0]].shape
        title = f"{'loss against' if scalar else 'output with'} {listed}" if last else f"layer {listed}".strip()
        return Group("layer", title, *_ends(inside), inside)

    def _is_view(self, child: int | Group) -> bool:
        return not isinstance(child, Group) and self.tape.equations[child].primitive.name in VIEWS

    def _tail(self, children: tuple[int | Group, ...], last: int) -> int | None:
        """Where, in the last layer, data come in: the first child that reads some and all after it."""
        used = {number for child in children[: last + 1] for one in self._equations(child) for number in one.inputs}
        weights = {number for child in children for number in self._weights(child)}
        for at in range(last + 1, len(children)):
            for one in self._equations(children[at]):
                for number in one.inputs:
                    if number in self.given - used - weights and self._is_data(number, one):
                        return at
        return None

    def _is_data(self, number: int, equation: Equation) -> bool:
        """Not a parameter; where nothing tells, not a bias, which is spread over the examples."""
        if self.parameters != self.given:
            return number not in self.parameters
        return len(self.tape.avals[number].shape) >= len(self.tape.avals[equation.output].shape)


def _parted(group: Group) -> Group:
    """The group with at most ``MOST`` children in it and in all groups below."""
    children = tuple(_parted(child) if isinstance(child, Group) else child for child in group.children)
    while len(children) > MOST:
        count = -(-len(children) // PART)
        cuts = [len(children) * k // count for k in range(count + 1)]
        children = tuple(
            Group("part", "equations {} to {}".format(*_counted(children[a:b])), *_ends(children[a:b]), children[a:b])
            for a, b in itertools.pairwise(cuts)
        )
    return Group(group.kind, group.title, group.start, group.stop, children)


def _counted(children: tuple[int | Group, ...]) -> tuple[int, int]:
    """The first and the last equation as people count them."""
    start, stop = _ends(children)
    return start + 1, stop


def _ends(children: tuple[int | Group, ...]) -> tuple[int, int]:
    """Where neighbours begin and end on the tape."""
    first, last = children[0], children[-1]
    return first.start if isinstance(first, Group) else first, last.stop if isinstance(last, Group) else last + 1
