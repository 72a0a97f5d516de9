"""What a study of expression swell found, size by size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import numbers
from ..cases import Case, Group

WAYS = {
    "tree": "written out",
    "shared": "shared",
    "graph-by-symbol": "graph by symbol",
    "graph": "graph from the root",
    "forward": "forward mode",
    "tape": "reverse mode",
}
MODES = ("forward", "tape")
# Counts of value and gradient, in the order in which they are told and drawn.
COUNTS = {
    "tree": "written out",
    "dag": "each distinct part once",
    "cse": "after sharing",
    "forward": "in forward mode",
    "graph-by-symbol": "graph by symbol",
    "tape": "on the reverse tape",
    "graph": "graph from the root",
}
PHASES = ("build", "differentiate", "compile", "evaluate")


@dataclass(frozen=True)
class Point:
    """What one case found; ``times`` in seconds, none where it was refused or stopped; ``evaluate`` is of them all."""

    case: Case
    way: str
    shape: Mapping[str, int]
    loss: Mapping[str, float]
    gradient: Mapping[str, float]
    forecast: Mapping[str, float]
    times: Mapping[str, float]
    loss_s: float | None
    evaluations: int

    @property
    def finished(self) -> bool:
        """Whether a gradient came out, right or wrong, and every phase was timed."""
        return bool(self.times) and self.case.outcome in ("ok", "invalid")

    @property
    def once(self) -> float:
        """Seconds of one evaluation."""
        return self.times["evaluate"] / self.evaluations

    @property
    def before(self) -> float:
        """Seconds before the first evaluation."""
        return math.fsum(self.times[phase] for phase in PHASES[:-1])

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return self.before + self.times["evaluate"]


@dataclass(frozen=True)
class Size:
    """One size of a problem: ``at`` is its place on the axis, ``points`` the case of every way."""

    name: str
    at: float
    points: Mapping[str, Point]

    def count(self, kind: str) -> float | None:
        """The operations of value and gradient of that kind, from whichever case knows them."""
        return self._known("gradient", kind)

    def loss(self, kind: str) -> float | None:
        """The operations of the loss alone."""
        return self._known("loss", kind)

    @property
    def alone(self) -> float | None:
        """The operations of the gradient without the loss, written out."""
        both, loss = self.count("tree"), self.loss("tree")
        return None if both is None or loss is None else both - loss

    @property
    def forecast(self) -> float | None:
        """The forecast of the operations written out, which a graph has another of."""
        trees = [point for way, point in self.points.items() if way in ("tree", "shared")]
        found = (point.forecast.get("operations") for point in trees)
        return next((value for value in found if value), None)

    def multiple(self, kind: str) -> float | None:
        """The operations of value and gradient over those of the loss: of a graph, those of its own loss."""
        both, loss = self.count(kind), self.loss("graph" if kind.startswith("graph") else "tape")
        return both / loss if both and loss else None

    def written(self) -> bool:
        """Whether the tree was turned into a program, and not only counted on its graph."""
        return "tree" in self.points and self.points["tree"].finished

    def _known(self, part: str, kind: str) -> float | None:
        found = (getattr(point, part).get(kind) for point in self.points.values())
        return next((value for value in found if value is not None), None)


@dataclass(frozen=True)
class Family:
    """A problem whose sizes vary along ``axis`` ("depth" or "width"), small to large; "" where it has one size.

    ``lost``: the cases that ended without findings, by size and way.
    """

    title: str
    axis: str
    sizes: tuple[Size, ...]
    lost: Mapping[tuple[str, str], Case] = field(default_factory=dict)

    def case(self, size: Size, way: str) -> Case | None:
        """The case of a way at a size, with findings or without."""
        return size.points[way].case if way in size.points else self.lost.get((size.name, way))

    def points(self, way: str) -> list[Point]:
        """The cases of a way, small to large."""
        return [size.points[way] for size in self.sizes if way in size.points]

    def last(self, *ways: str) -> Size | None:
        """The largest size at which all these ways finished."""
        there = [s for s in self.sizes if all(way in s.points and s.points[way].finished for way in ways)]
        return there[-1] if there else None

    def place(self, size: Size) -> str:
        """``depth 5``, or the name of the problem where there is one size."""
        return f"{self.axis} {numbers.grouped(size.at)}" if self.axis else self.title


def read(case: Case) -> Point | None:
    """The point of a case, or ``None`` where nothing is known of it."""
    found = case.findings
    if not isinstance(found, Mapping) or found.get("way") not in WAYS or not isinstance(found.get("gradient"), Mapping):
        return None
    evaluations = int(found.get("evaluations") or 1)
    times = dict(found.get("times") or {})
    if times:
        times["evaluate"] *= evaluations
    return Point(
        case, found["way"], found.get("shape") or {}, found.get("loss") or {}, found["gradient"],
        found.get("forecast") or {}, times, found.get("loss_s"), evaluations,
    )  # fmt: skip


def families(groups: Sequence[Group]) -> list[Family]:
    """The problems with their sizes in order, those that grow first."""
    made = []
    every = [case for group in groups for case in group.cases]
    ways = {case.backend: point.way for case in every if (point := read(case)) is not None}
    for group in groups:
        points = [point for case in group.cases if (point := read(case)) is not None]
        if not points:
            continue
        axis = next((key for key in ("depth", "width") if len({point.shape.get(key) for point in points}) > 1), "")
        by_size: dict[str, dict[str, Point]] = {}
        for point in points:
            by_size.setdefault(point.case.size, {})[point.way] = point
        sizes = [Size(name, _at(found, axis), found) for name, found in by_size.items()]
        lost = {
            (case.size, ways[case.backend]): case for case in group.cases if read(case) is None and case.backend in ways
        }
        made.append(Family(group.title, axis, tuple(sorted(sizes, key=lambda size: size.at)), lost))
    return sorted(made, key=lambda family: not family.axis)


def _at(found: Mapping[str, Point], axis: str) -> float:
    shape = next(iter(found.values())).shape
    return float(shape.get(axis) or 1)


def forecasts(found: Sequence[Family]) -> list[float]:
    """By which factor the forecast of operations was too high (below 1: too low), wherever they were counted."""
    sizes = [size for family in found for size in family.sizes]
    return [size.forecast / count for size in sizes if size.forecast and (count := size.count("tree"))]


def summed(points: Sequence[Point], read_one: Callable[[Point], float]) -> float:
    """The sum over all that finished."""
    return math.fsum(read_one(point) for point in points if point.finished)


def plain(found: Any) -> str:
    """A count for prose: grouped below a million, in millions or billions above."""
    return numbers.NOTHING if found is None else numbers.large(float(found))
