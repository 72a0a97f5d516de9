"""How counts of operations grow with depth or width: a law by least squares, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .. import numbers
from .swell_points import Family

STEPS = {"depth": "layer", "width": "unit of width"}
FEWEST = 3  # sizes that a growth rests on at least
CONFIDENCE = 0.95
FINEST = 3  # decimals of a bound at most
SAME = 5e-4  # bounds that are nearer to each other are told with one decimal
GREAT = 100.0  # a factor that has no decimals


@dataclass(frozen=True)
class Slope:
    """The slope of a line of least squares, its bounds, and how far the farthest point is from the line."""

    value: float
    low: float
    high: float
    miss: float


@dataclass(frozen=True)
class Growth:
    """How a count grows: ``factor`` for each step of the axis, ``power`` of it, and by which ``off`` the better fits.

    ``places`` are those that it rests on; ``off`` is the largest factor between the law and a count; ``low`` and
    ``high`` bound the factor where the growth is ``exponential``, otherwise the power.
    """

    places: tuple[float, ...]
    factor: float
    power: float
    exponential: bool
    off: float
    low: float
    high: float

    def words(self, axis: str) -> str:
        """``3.6-fold with every further layer`` or ``like width to the power 2.1``, as finely as the interval."""
        if self.exponential:
            return f"{self._told(self.factor)}-fold with every further {STEPS[axis]}"
        return f"like {axis} to the power {self._told(self.power)}"

    @property
    def short(self) -> str:
        """The factor or the power alone."""
        return self._told(self.factor if self.exponential else self.power)

    @property
    def interval(self) -> str:
        """``4.08 to 4.31``."""
        return f"{self._told(self.low)} to {self._told(self.high)}"

    def _told(self, value: float) -> str:
        """With as many decimals as tell the bounds apart, at least one and no more than three."""
        if self.factor >= GREAT and self.exponential:
            return numbers.factor(value)
        apart = self.high - self.low
        fine = FINEST if apart < 10**-FINEST else math.ceil(-math.log10(apart / 4))
        return f"{value:.{1 if apart < SAME else max(1, min(FINEST, fine))}f}"

    @property
    def rests(self) -> str:
        """``5 sizes from 5 to 16``."""
        first, last = numbers.grouped(self.places[0]), numbers.grouped(self.places[-1])
        return f"{numbers.counted(len(self.places), 'size')} from {first} to {last}"


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
    rate, power = slope(places, logs), slope([math.log(at) for at in places], logs)
    better = min(rate, power, key=lambda one: one.miss)
    low, high = (math.exp(rate.low), math.exp(rate.high)) if better is rate else (power.low, power.high)
    return Growth(
        tuple(places), math.exp(rate.value), power.value, better is rate, math.exp(better.miss), low, high,
    )  # fmt: skip


def slope(xs: Sequence[float], ys: Sequence[float]) -> Slope:
    """The line of least squares and the 95 % interval of its slope by Student's t.

    What is counted is exact, so the interval says how well a straight line fits, not how well anything was measured.

    Args:
        xs: at least three different numbers.
        ys: one for each.

    Example:
        >>> slope([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
        Slope(value=2.0, low=2.0, high=2.0, miss=0.0)
    """
    from scipy.special import stdtrit

    x_mean, y_mean = fmean(xs), fmean(ys)
    square = math.fsum((x - x_mean) ** 2 for x in xs)
    value = math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / square
    rests = [y - y_mean - value * (x - x_mean) for x, y in zip(xs, ys, strict=True)]
    free = len(xs) - 2
    error = math.sqrt(math.fsum(rest * rest for rest in rests) / free / square)
    apart = float(stdtrit(free, (1.0 + CONFIDENCE) / 2)) * error
    return Slope(value, value - apart, value + apart, max(map(abs, rests)))
