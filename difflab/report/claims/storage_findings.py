"""What a study of storage found, by problem and contestant: points of memory and time against depth, and growth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..cases import Case, family_of, groups

GROWS = 1.5  # a line grows where its last point is so many times its first


@dataclass(frozen=True)
class Point:
    """One case: bytes of its peak, of its arrays and as planned, and its time in evaluations of the loss.

    ``of`` is what was measured: "gradient", "pass" or "loss"; ``checkpoints`` is how many states were kept at a time,
    ``None`` where everything is kept, ``again`` the equations computed again, and ``limit`` the bytes that were allowed
    where the number of checkpoints followed from that.
    """

    case: Case
    depth: int
    of: str
    passes: float
    peak: float
    arrays: float | None
    planned: float | None
    ratio: float | None
    low: float | None
    high: float | None
    seconds: float | None
    checkpoints: int | None
    again: int | None
    limit: float | None = None

    @property
    def off(self) -> float | None:
        """Measured by planned bytes."""
        return self.peak / self.planned if self.planned and self.peak else None


@dataclass(frozen=True)
class Line:
    """A contestant's points from the shallowest to the deepest."""

    name: str
    points: tuple[Point, ...]

    def at(self, depth: int) -> Point | None:
        """The point of a depth."""
        return next((point for point in self.points if point.depth == depth), None)

    @property
    def limit(self) -> float | None:
        """The bytes it was allowed, where there was such a limit."""
        return self.points[0].limit

    @property
    def grows(self) -> bool:
        """Whether its memory grows with depth."""
        return len(self.points) > 1 and self.points[-1].peak >= GROWS * max(self.points[0].peak, 1.0)

    @cached_property
    def per_layer(self) -> float:
        """Bytes by which a layer adds to the peak: the slope of the least-squares line; 0 for one point."""
        return _slope([(point.depth, point.peak) for point in self.points]) or 0.0

    @cached_property
    def exponent(self) -> float | None:
        """The slope on logarithmic axes over the deeper half of the points, or ``None`` where they are too few."""
        deep = [point for point in self.points[len(self.points) // 2 :] if point.peak > 0]
        return _slope([(math.log(point.depth), math.log(point.peak)) for point in deep])


@dataclass(frozen=True)
class Setting:
    """The lines of one problem and dtype; ``value`` is the bytes of the largest value that its loss computes."""

    title: str
    lines: tuple[Line, ...]
    value: float

    @property
    def deepest(self) -> int:
        """The greatest depth that was measured without checkpoints, or at all."""
        base = self.reverse
        points = base.points if base else tuple(itertools.chain(*(line.points for line in self.lines)))
        return max(point.depth for point in points)

    @cached_property
    def loss(self) -> Line | None:
        """The line of the loss itself."""
        return next((line for line in self.lines if line.points[0].of == "loss"), None)

    @cached_property
    def reverse(self) -> Line | None:
        """The line of reverse mode that keeps everything."""
        return next(
            (
                line
                for line in self.lines
                if family_of(line.points[0].case) == "reverse"
                and line.points[0].checkpoints is None
                and line.limit is None
            ),
            None,
        )

    @cached_property
    def checkpointed(self) -> tuple[Line, ...]:
        """The lines with so many checkpoints at every depth, the fewest first."""
        found = [line for line in self.lines if line.points[0].checkpoints is not None and line.limit is None]
        return tuple(sorted(found, key=lambda line: line.points[-1].checkpoints or 0))

    @cached_property
    def limited(self) -> tuple[Line, ...]:
        """The lines within so many bytes at every depth, the fewest first."""
        return tuple(sorted((line for line in self.lines if line.limit is not None), key=lambda line: line.limit or 0))

    @cached_property
    def passing(self) -> tuple[Line, ...]:
        """The lines of which only a pass was measured, where a gradient takes more."""
        return tuple(line for line in self.lines if any(point.of == "pass" for point in line.points))


def read(cases: Sequence[Case]) -> list[Setting]:
    """The settings of a run in their order, with what was measured of each.

    Args:
        cases: all rows of a run, with their findings.
    """
    found = []
    for group in groups(list(cases)):
        lines: dict[str, list[Point]] = {}
        for case in group.cases:
            point = _point(case)
            if point is not None:
                lines.setdefault(case.backend, []).append(point)
        if lines:
            ordered = (Line(name, tuple(sorted(own, key=lambda p: p.depth))) for name, own in lines.items())
            values = [case.findings.get("value_bytes") or 0 for case in group.cases if _found(case)]
            dtype = group.cases[0].dtype
            title = group.title if dtype in group.title else f"{group.title} in {dtype}"
            found.append(Setting(title, tuple(ordered), max(values)))
    return found


def _found(case: Case) -> bool:
    return case.ok and isinstance(case.findings, Mapping)


def _point(case: Case) -> Point | None:
    """What was measured of a case; the peak of the process where the system tells it, else that of the arrays."""
    if not _found(case):
        return None
    data: Mapping[str, Any] = case.findings
    peak = data.get("peak_bytes")
    peak = data.get("array_bytes") if peak is None else peak
    if peak is None or not data.get("depth"):
        return None
    return Point(
        case, int(data["depth"]), str(data.get("of", "gradient")), float(data.get("passes") or 1), float(peak),
        data.get("array_bytes"), data.get("planned_bytes"), data.get("ratio"), data.get("ratio_low"),
        data.get("ratio_high"), data.get("seconds"), data.get("checkpoints"), data.get("recomputed_equations"),
        data.get("memory_limit"),
    )  # fmt: skip


def _slope(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The slope of the least-squares line, or ``None`` where there are no two places.

    >>> _slope([(1.0, 5.0), (2.0, 7.0), (3.0, 9.0)])
    2.0
    """
    if len({x for x, _ in pairs}) < 2:
        return None
    mean_x, mean_y = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    across = sum((x - mean_x) ** 2 for x, _ in pairs)
    return sum((x - mean_x) * (y - mean_y) for x, y in pairs) / across
