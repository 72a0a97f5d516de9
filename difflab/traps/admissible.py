"""What may be answered honestly at a point: one value, a convex set of them, nothing finite, or an error.

Where a function is differentiable the set is its gradient, given as an expression that is evaluated with 50 digits.
Where it has a kink the set is Clarke's generalised gradient: the convex hull of the limits of gradients at nearby
points (F. H. Clarke, Optimization and Nonsmooth Analysis, 1983, theorem 2.5.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

DIGITS = 50
ADMISSIBLE, NEAR, OUTSIDE, NOT_FINITE = "admissible", "near", "outside", "nan"
NEARNESS = {"float64": 1e-7, "float32": 1e-3, "float16": 5e-2}
"""Relative distance up to which an answer is called near: about half of the digits, all that a difference can give."""


class Admissible(Protocol):
    """A set of answers."""

    @property
    def text(self) -> str:
        """What the set is, for people."""
        ...

    def verdict(self, answer: Sequence[float], arguments: Sequence[Any], dtype: str) -> str:
        """Whether ``answer``, one number per coordinate, is "admissible", "near", "outside" or "nan"."""
        ...


@dataclass(frozen=True)
class Exact:
    """The gradient, where there is one.

    Args:
        derive: ``derive(mp, *arguments)`` gives one number per coordinate, from the arguments as nested lists of
            mpmath numbers, which are exactly those that the function is given.
        text: the same for people.
        ulps: units in the last place of the dtype by which a correctly differentiated program may be off.

    Example:
        >>> Exact(lambda mp, x: [1 / (3 * x)], "1 / (3 x)").verdict([1 / 3], [1.0], "float64")
        'admissible'
    """

    derive: Callable[..., Sequence[Any]]
    text: str
    ulps: float = 4

    def values(self, arguments: Sequence[Any]) -> list[Any]:
        """The gradient as mpmath numbers of ``DIGITS`` digits."""
        import mpmath

        with mpmath.workdps(DIGITS):
            return [mpmath.mpf(one) for one in self.derive(mpmath, *map(high_precision, arguments))]

    def verdict(self, answer: Sequence[float], arguments: Sequence[Any], dtype: str) -> str:
        """See ``Admissible``."""
        if not all(map(math.isfinite, answer)):
            return NOT_FINITE
        values = self.values(arguments)
        if len(values) != len(answer):
            return OUTSIDE
        errors = [abs(value - one) for value, one in zip(values, answer, strict=True)]
        if all(error <= self.ulps * spacing(float(value), dtype) for error, value in zip(errors, values, strict=True)):
            return ADMISSIBLE
        nought = float(np.finfo(dtype).tiny)
        scale = max(map(abs, values))
        scale = scale if scale >= nought else 1  # of a gradient that is nought, no scale is known
        sizes = [abs(value) if abs(value) >= nought else scale for value in values]
        close = all(error <= NEARNESS[dtype] * size for error, size in zip(errors, sizes, strict=True))
        return NEAR if close else OUTSIDE


@dataclass(frozen=True)
class Hull:
    """The convex hull of some gradients, one tuple each.

    Example:
        >>> relu = Hull(((0.0,), (1.0,)), "between 0 and 1")
        >>> [relu.verdict([one], [0.0], "float64") for one in (0.5, 2.0)]
        ['admissible', 'outside']
    """

    vertices: tuple[tuple[float, ...], ...]
    text: str
    ulps: float = 8

    def distance(self, answer: Sequence[float]) -> float:
        """Euclidean distance of a point from the set."""
        from scipy.optimize import nnls

        corners = np.array(self.vertices, float).T - np.array(answer, float)[:, None]
        # With w = s v, s the sum of w and d = |corners v|, the squares below are s^2 d^2 + (1 - s)^2.  Over s they are
        # least at d^2 / (1 + d^2), which grows with d: the w found is a multiple of the weights of the nearest point.
        weights, _ = nnls(np.vstack([corners, np.ones(corners.shape[1])]), np.append(np.zeros(len(corners)), 1.0))
        return float(np.linalg.norm(corners @ (weights / weights.sum())))

    def verdict(self, answer: Sequence[float], arguments: Sequence[Any], dtype: str) -> str:
        """See ``Admissible``."""
        if not all(map(math.isfinite, answer)):
            return NOT_FINITE
        if len(answer) != len(self.vertices[0]):
            return OUTSIDE
        return _by_distance(self.distance(answer), float(np.max(np.abs(self.vertices))), self.ulps, dtype)


@dataclass(frozen=True)
class Ball:
    """All vectors no longer than ``radius``: the generalised gradient of a norm at the origin."""

    size: int
    text: str
    radius: float = 1.0
    ulps: float = 8

    def verdict(self, answer: Sequence[float], arguments: Sequence[Any], dtype: str) -> str:
        """See ``Admissible``."""
        if not all(map(math.isfinite, answer)):
            return NOT_FINITE
        if len(answer) != self.size:
            return OUTSIDE
        return _by_distance(max(0.0, math.hypot(*answer) - self.radius), self.radius, self.ulps, dtype)


@dataclass(frozen=True)
class OneOf:
    """One of several values, each the derivative of a function that the code may be taken to mean."""

    values: tuple[float, ...]
    text: str

    def verdict(self, answer: Sequence[float], arguments: Sequence[Any], dtype: str) -> str:
        """See ``Admissible``."""
        found = [Exact(lambda _mp, *_, v=value: [v], "").verdict(answer, (), dtype) for value in self.values]
        return next(one for one in (ADMISSIBLE, NEAR, NOT_FINITE, OUTSIDE) if one in found)


@dataclass(frozen=True)
class NoDerivative:
    """There is none: an infinite answer or NaN says so; ``limits`` are limits of nearby gradients, also tolerated.

    A finite number other than those hides that something is wrong.
    """

    text: str
    limits: tuple[tuple[float, ...], ...] = ()

    def verdict(self, answer: Sequence[float], arguments: Sequence[Any], dtype: str) -> str:
        """See ``Admissible``."""
        finite = all(map(math.isfinite, answer))
        return ADMISSIBLE if not finite or tuple(answer) in self.limits else OUTSIDE


@dataclass(frozen=True)
class Refusal:
    """An error is the right answer; any number is made up."""

    text: str

    def verdict(self, answer: Sequence[float], arguments: Sequence[Any], dtype: str) -> str:
        """See ``Admissible``."""
        return OUTSIDE if all(map(math.isfinite, answer)) else NOT_FINITE


def spacing(value: float, dtype: str) -> float:
    """The distance of neighbouring numbers of the dtype around ``value``; the smallest subnormal around zero."""
    info = np.finfo(dtype)
    if abs(value) > float(info.max):
        return math.inf
    return float(abs(np.spacing(np.dtype(dtype).type(value)))) or float(info.smallest_subnormal)


def high_precision(argument: Any) -> Any:
    """An argument as (nested lists of) mpmath numbers; whole numbers and truth values stay as they are."""
    import mpmath

    if isinstance(argument, list | tuple):
        return [high_precision(one) for one in argument]
    array = np.asarray(argument)
    if array.dtype.kind != "f":
        return array.tolist()
    if array.ndim == 0:
        return mpmath.mpf(float(array))
    return [high_precision(one) for one in array]


def _by_distance(distance: float, scale: float, ulps: float, dtype: str) -> str:
    if distance <= ulps * float(np.finfo(dtype).eps) * scale:
        return ADMISSIBLE
    return NEAR if distance <= NEARNESS[dtype] * scale else OUTSIDE
