"""What a study of expression swell found, size by size, and how its counts grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from .. import numbers
from ..cases import Case, Group

WAYS = {"tree": "written out", "shared": "shared", "tape": "reverse mode"}
COUNTS = {"tree": "written out", "dag": "as a graph", "cse": "after sharing", "tape": "on the reverse tape"}
PHASES = ("build", "differentiate", "compile", "evaluate")
STEPS = {"depth": "layer", "width": "unit of width"}
FEWEST = 3  # sizes that a growth rests on at least


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
        """The forecast of the operations written out."""
        found = (point.forecast.get("operations") for point in self.points.values())
        return next((value for value in found if value), None)

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


@dataclass(frozen=True)
class Growth:
    """How a count grows: ``factor`` for each step of the axis, ``power`` of it, and by which ``off`` each fits.

    ``places`` are those that it rests on; ``off`` is the largest factor between the law and a count.
    """

    places: tuple[float, ...]
    factor: float
    power: float
    exponential: bool
    off: float

    def words(self, axis: str) -> str:
        """``3.6-fold with every further layer`` or ``like width to the power 2.1``."""
        if self.exponential:
            return f"{numbers.factor(self.factor)}-fold with every further {STEPS[axis]}"
        return f"like {axis} to the power {self.power:.1f}"

    @property
    def rests(self) -> str:
        """``5 sizes from 5 to 16``."""
        first, last = numbers.grouped(self.places[0]), numbers.grouped(self.places[-1])
        return f"{numbers.counted(len(self.places), 'size')} from {first} to {last}"


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


def growth(family: Family, kind: str) -> Growth | None:
    """How a count grows over the larger half of the sizes, at least three; ``None`` for fewer.

    Args:
        family: a problem that varies along an axis.
        kind: one of ``COUNTS``.
    """
    known = [(size.at, value) for size in family.sizes if (value := size.count(kind))]
    if not family.axis or len(known) < FEWEST:
        return None
    used = known[-max(FEWEST, (len(known) + 1) // 2) :]
    places, logs = [at for at, _ in used], [math.log(value) for _, value in used]
    rate, miss = _line(places, logs)
    power, other = _line([math.log(at) for at in places], logs)
    return Growth(tuple(places), math.exp(rate), power, miss < other, math.exp(min(miss, other)))


def _line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """The slope of the line of least squares, and how far the farthest point is from it."""
    x_mean, y_mean = fmean(xs), fmean(ys)
    square = math.fsum((x - x_mean) ** 2 for x in xs)
    slope = math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / square
    return slope, max(abs(y - y_mean - slope * (x - x_mean)) for x, y in zip(xs, ys, strict=True))


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
