"""How work ratios grow with the number of parameters: exponents by least squares, with intervals over processes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...harness import statistics
from .. import power_laws
from ..cases import Case, Group, family_of
from ..power_laws import Fit, onset
from .timed import works

BOUND = 5.0
"""Operations of a gradient over those of its loss, at most (Baur & Strassen, 1983; Griewank & Walther, 2008)."""
THEORY = {"reverse": 0.0, "analytic": 0.0, "forward": 1.0, "finite": 1.0, "complex-step": 1.0}


@dataclass(frozen=True)
class Point:
    """One size: its number of parameters, the work ratio of each process, and the time of the loss."""

    n: int
    works: tuple[float, ...]
    primal_s: float
    case: Case

    @property
    def ratio(self) -> float:
        """The work ratio, the median over processes."""
        return statistics.median(self.works)


@dataclass(frozen=True)
class Growth:
    """What one backend costs on one problem, small to large.

    ``whole``: the fit through all sizes; ``beyond``: that through the sizes at which more than half of the loss is
    arithmetic; ``None`` with fewer than three sizes.
    """

    backend: str
    family: str
    title: str
    points: tuple[Point, ...]
    whole: Fit | None
    beyond: Fit | None

    @property
    def fit(self) -> Fit | None:
        """The fit of which the answer speaks."""
        return self.beyond or self.whole

    @property
    def theory(self) -> float | None:
        """The exponent in theory; symbolic differentiation has none."""
        return THEORY.get(self.family)

    @property
    def counts(self) -> tuple[int, int] | None:
        """The pair (a, b) for which the evaluations counted are a n + b at every size; ``None`` where none fits."""
        return line([(point.n, int(point.case.primal_calls)) for point in self.points if point.case.primal_calls])


def growths(group: Group) -> list[Growth]:
    """The growth of every backend of a problem, in order of appearance.

    Args:
        group: the cases of one problem that may be compared.
    """
    first = threshold(group)
    made = []
    for name in dict.fromkeys(case.backend for case in group.cases):
        own = [case for case in group.of(name) if case.ok and works(case) and case.primal_s and case.n_params]
        points = tuple(Point(case.n_params, tuple(works(case)), case.primal_s or 0.0, case) for case in own)
        if points and family_of(own[0]) != "null":
            beyond = [point for point in points if first is not None and point.n >= first]
            made.append(Growth(name, family_of(own[0]), group.title, points, fit(points), fit(beyond)))
    return made


def threshold(group: Group) -> int | None:
    """The number of parameters from which on the loss takes twice its time at the smallest size, or longer.

    What a loss takes at its smallest size is mostly the starting of NumPy calls, which is the same at all sizes.

    Args:
        group: the cases of one problem.
    """
    times: dict[int, list[float]] = {}
    for case in group.cases:
        if case.primal_s and case.n_params:
            times.setdefault(case.n_params, []).append(case.primal_s)
    return onset([(n, statistics.median(own)) for n, own in times.items()])


def fit(points: Sequence[Point]) -> Fit | None:
    """The power law of work ratios, see ``power_laws.fit``.

    Args:
        points: one per size.

    Returns:
        The fit, or ``None`` with fewer than three different numbers of parameters.
    """
    return power_laws.fit([(point.n, point.works) for point in points])


def line(points: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """Whole numbers a and b with y = a x + b at every point, or ``None``.

    Args:
        points: pairs of whole numbers.

    >>> line([(3, 7), (10, 21), (100, 201)]), line([(3, 7), (10, 30), (100, 201)])
    ((2, 1), None)
    """
    found = sorted(set(points))
    if len({x for x, _ in found}) < 2:
        return None
    (x0, y0), (x1, y1) = found[0], found[-1]
    slope, rest = divmod(y1 - y0, x1 - x0)
    height = y0 - slope * x0
    return (slope, height) if not rest and all(y == slope * x + height for x, y in found) else None


def formula(counts: tuple[int, int]) -> str:
    """A count as people write it.

    >>> formula((2, 1)), formula((1, 0)), formula((0, 1)), formula((1, -1))
    ('2n + 1', 'n', '1', 'n - 1')
    """
    slope, height = counts
    if not slope:
        return str(height)
    start = "n" if slope == 1 else f"{slope}n"
    return start if not height else f"{start} {'+' if height > 0 else '-'} {abs(height)}"


def local(points: Sequence[Point]) -> list[float | None]:
    """The exponent from each size to the next, ``None`` for the first.

    Args:
        points: by rising number of parameters.
    """
    found: list[float | None] = [None] * min(1, len(points))
    for before, after in itertools.pairwise(points):
        apart = math.log(after.n / before.n)
        found.append(math.log(after.ratio / before.ratio) / apart if apart else None)
    return found
