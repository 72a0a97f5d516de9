"""Where forward and reverse mode cross: shapes of maps, ratios of their times pair by pair, and the place between."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...harness import statistics
from ..cases import Case, Group, family_of

SHAPE = re.compile(r"(\d+)x(\d+)")
PASSES: dict[str, Callable[[Shape], int]] = {
    "forward": lambda shape: shape.inputs,
    "reverse": lambda shape: shape.outputs,
}
"""What theory says of the passes that a Jacobian takes."""


@dataclass(frozen=True)
class Shape:
    """A map by its size: how many inputs and outputs it has."""

    size: str
    inputs: int
    outputs: int

    @property
    def place(self) -> float:
        """Outputs per input, the horizontal axis: theory has the crossing at 1."""
        return self.outputs / self.inputs


@dataclass(frozen=True)
class Point:
    """The time of forward mode over that of reverse mode at one shape; an interval where there are six processes."""

    shape: Shape
    ratio: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Crossing:
    """Where two curves cross, in outputs per input, interpolated on logarithmic axes.

    ``low`` and ``high`` bound the places at which the interval of the ratio holds 1; an end that lies beyond the shapes
    measured is 0 or infinite, and both are ``None`` without intervals.  ``times``: how often they cross.  ``expected``:
    whether forward mode is the quicker where outputs outnumber inputs.
    """

    at: float
    low: float | None
    high: float | None
    times: int
    expected: bool

    @property
    def off(self) -> float:
        """The factor between this place and that of theory, 1."""
        return max(self.at, 1 / self.at)


@dataclass(frozen=True)
class Duel:
    """One backend of forward and one of reverse mode on maps with the same number of entries of the Jacobian."""

    forward: str
    reverse: str
    points: tuple[Point, ...]

    @property
    def crossing(self) -> Crossing | None:
        """Where they cross, or ``None`` where one of them is the quicker at every shape."""
        return crossing(self.points)


@dataclass(frozen=True)
class Diagonal:
    """The maps of one problem and dtype whose Jacobians have the same number of entries, most inputs first."""

    title: str
    entries: int
    group: Group
    shapes: tuple[Shape, ...]

    def cases(self, backend: str) -> list[tuple[Shape, Case]]:
        """The cases of a backend that finished and were timed."""
        found = [(shape, self.group.at(shape.size, backend)) for shape in self.shapes]
        return [(shape, case) for shape, case in found if case is not None and case.timed]

    @property
    def backends(self) -> list[str]:
        """Labels in order of appearance."""
        names = {shape.size for shape in self.shapes}
        return list(dict.fromkeys(case.backend for case in self.group.cases if case.size in names))

    def family(self, backend: str) -> str:
        """The family of a backend."""
        return family_of(self.group.of(backend)[0])

    @property
    def duels(self) -> list[Duel]:
        """The first backend of forward mode against the first of reverse mode, the second against the second."""
        ways = [[name for name in self.backends if self.family(name) == family] for family in PASSES]
        found = [Duel(a, b, self._points(a, b)) for a, b in zip(*ways, strict=False)]
        return [duel for duel in found if duel.points]

    def _points(self, forward: str, reverse: str) -> tuple[Point, ...]:
        others = dict(self.cases(reverse))
        return tuple(_point(shape, case, others[shape]) for shape, case in self.cases(forward) if shape in others)


def shape_of(size: str, cases: Sequence[Case]) -> Shape | None:
    """The shape that a size names, ``256x1``; otherwise the passes that were counted, one per input or output.

    Args:
        size: the name of the size.
        cases: those of that size.
    """
    if found := SHAPE.fullmatch(size):
        inputs, outputs = int(found[1]), int(found[2])
    else:
        counts = {family_of(case): int(case.primal_calls) for case in cases if case.ok and case.primal_calls}
        inputs, outputs = counts.get("forward", 0), counts.get("reverse", 0)
    return Shape(size, inputs, outputs) if inputs and outputs else None


def diagonals(groups: Sequence[Group]) -> list[Diagonal]:
    """The shapes of each group by the number of entries of the Jacobian, small to large.

    Args:
        groups: the cases, by what may be compared.
    """
    made = []
    for group in groups:
        found: dict[int, list[Shape]] = {}
        for size, _ in group.sizes:
            if shape := shape_of(size, [case for case in group.cases if case.size == size]):
                found.setdefault(shape.inputs * shape.outputs, []).append(shape)
        for entries, shapes in sorted(found.items()):
            shapes.sort(key=lambda shape: shape.place)
            made.append(Diagonal(group.title, entries, group, tuple(shapes)))
    return made


def unshaped(cases: Sequence[Case]) -> list[str]:
    """The places whose numbers of inputs and outputs nobody knows.

    Args:
        cases: all rows of a run.
    """
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.place, []).append(case)
    return [place for place, own in found.items() if shape_of(own[0].size, own) is None]


def paired(case: Case, other: Case) -> list[float]:
    """The time of a case over that of another in each epoch in which both took turns; none where nobody knows."""
    there = {epoch: seconds for epoch, (seconds, _) in zip(other.epochs, other.medians, strict=False)}
    return [a / there[epoch] for epoch, (a, _) in zip(case.epochs, case.medians, strict=False) if epoch in there]


def _point(shape: Shape, case: Case, other: Case) -> Point:
    logs = [math.log(ratio) for ratio in paired(case, other)]
    if not logs:
        return Point(shape, (case.call_s or 0.0) / (other.call_s or 1.0), None, None)
    bounds = statistics.interval(logs)
    low, high = (None, None) if bounds is None else (math.exp(bounds.low), math.exp(bounds.high))
    return Point(shape, math.exp(statistics.median(logs)), low, high)


# ------------------------------------------------------------------------------------------------ the place


def crossing(points: Sequence[Point]) -> Crossing | None:
    """Where a ratio is 1, by straight lines between its logarithms over those of outputs per input.

    Args:
        points: by rising outputs per input.

    Returns:
        The crossing, in the middle of all where there are several; ``None`` where the ratio is on one side of 1
        everywhere.

    >>> def at(outputs, inputs, ratio): return Point(Shape("", inputs, outputs), ratio, None, None)
    >>> crossing([at(1, 4, 8.0), at(2, 2, 2.0), at(4, 1, 0.5)]).at
    2.0
    """
    places = [math.log(point.shape.place) for point in points]
    found = zeros(places, [math.log(point.ratio) for point in points])
    if not found:
        return None
    low = high = None
    bounds = [(point.low, point.high) for point in points if point.low is not None and point.high is not None]
    if len(bounds) == len(points):
        ends = [zeros(places, [math.log(pair[side]) for pair in bounds]) for side in (0, 1)]
        every = sorted([*ends[0], *ends[1], *found])
        falling = points[0].ratio > points[-1].ratio
        first, last = ends if falling else reversed(ends)
        low = math.exp(every[0]) if first else 0.0
        high = math.exp(every[-1]) if last else math.inf
    middle = math.exp((found[0] + found[-1]) / 2)
    return Crossing(middle, low, high, len(found), points[0].ratio >= 1 >= points[-1].ratio)


def zeros(xs: Sequence[float], ys: Sequence[float]) -> list[float]:
    """Where straight lines through points meet the axis, by rising ``xs``.

    Args:
        xs: rising.
        ys: one for each.

    >>> zeros([0.0, 2.0, 4.0], [1.0, -1.0, -3.0])
    [1.0]
    """
    found = [x for x, y in zip(xs, ys, strict=True) if y == 0]
    for (x0, y0), (x1, y1) in itertools.pairwise(zip(xs, ys, strict=True)):
        if y0 * y1 < 0:
            found.append(x0 + (x1 - x0) * y0 / (y0 - y1))
    return sorted(found)


def height(points: Sequence[tuple[float, float]], at: float) -> float:
    """The height of a curve between two of its points, on logarithmic axes.

    Args:
        points: places and heights, by rising place.
        at: a place between the first and the last.

    >>> round(height([(1.0, 2.0), (4.0, 8.0)], 2.0), 9)
    4.0
    """
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x0 <= at <= x1:
            share = math.log(at / x0) / math.log(x1 / x0)
            return y0 ** (1 - share) * y1**share
    return min(points, key=lambda point: abs(math.log(point[0] / at)))[1]
