"""Where finite differences look: steps, the points of first and second quotients, and tangents cut into bands."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

SCHEMES = ("central", "forward")
BAND = 10  # coordinates whose steps differ by more than a factor of 2**BAND are not moved together
TINY = float(np.finfo(np.float64).tiny)


class Stencil(NamedTuple):
    """Points of a second quotient: how often the step along either direction is taken, and the weight of the value.

    The weighted sum over ``divisor`` times both steps is the second derivative along both.
    """

    points: tuple[tuple[int, int, int], ...]
    divisor: int


# Abramowitz & Stegun (1964), 25.3.26, and the one-sided formula of Nocedal & Wright (2006), section 8.1.
SECOND = {
    "central": Stencil(((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)), 4),
    "forward": Stencil(((1, 1, 1), (1, 0, -1), (0, 1, -1), (0, 0, 1)), 1),
}


def signs(scheme: str) -> tuple[int, ...]:
    """How the points of a first quotient lie, besides the centre."""
    return (1, -1) if scheme == "central" else (1,)


def exponent(scheme: str, order: int) -> float:
    """The power of the unit roundoff that balances truncation against rounding of a quotient of that order."""
    if scheme == "central":
        return 1 / (2 + order)
    return 1 / (1 + order)


@functools.cache
def unit_step(dtype: np.dtype, scheme: str, order: int) -> Any:
    """The step of a coordinate of size 1, in its dtype."""
    return dtype.type(np.finfo(dtype).eps ** exponent(scheme, order))


def step_for(x: np.ndarray, scheme: str, order: int, step: str | float) -> np.ndarray:
    """The step for each coordinate of a real ``x``, such that x + h is exactly x + h."""
    if step == "auto":
        h = np.maximum(np.abs(x), x.dtype.type(1)) * unit_step(x.dtype, scheme, order)
    else:
        h = np.broadcast_to(np.asarray(step, x.dtype), x.shape)
    with np.errstate(over="ignore", invalid="ignore"):  # no step leads away from infinity: NaN, quietly
        return (x + h) - x


def steps_for(x: Any, scheme: str, order: int, step: str | float) -> tuple[np.ndarray, ...]:
    """The steps along 1, and for complex coordinates those along i."""
    parts = (x.real, x.imag) if x.dtype.kind == "c" else (x,)
    return tuple(step_for(part, scheme, order, step) for part in parts)


def nonzero(distance: Any) -> Any:
    """A distance to divide by.

    A step that rounding swallows moves nothing: the quotient is 0, as for anyone who divides by the nominal step.
    """
    return distance if distance.all() else np.where(distance == 0, 1, distance)


def bands(steps: Sequence[np.ndarray], tangents: Sequence[Any]) -> list[tuple[float, list[np.ndarray]]]:
    """The tangent as a sum of parts whose coordinates agree on the step along it within a factor of 2**BAND.

    Each comes with that step: the largest that takes no coordinate farther than its own one of ``steps``.
    """
    ratios = []
    for step, tangent in zip(steps, tangents, strict=True):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            size = np.abs(np.asarray(tangent)).astype(np.float64)
            ratios.append(np.where(size == 0, np.inf, np.asarray(step, np.float64) / size))
    levels = [np.where(np.isfinite(r) & (r > 0), np.floor(np.log2(np.fmax(r, TINY)) / BAND), np.nan) for r in ratios]
    found = []
    for level in sorted({float(v) for one in levels for v in np.unique(one) if v == v}):
        parts = [np.where(one == level, t, 0).astype(t.dtype) for one, t in zip(levels, tangents, strict=True)]
        h = min(float(np.min(r[one == level], initial=np.inf)) for r, one in zip(ratios, levels, strict=True))
        found.append((h, parts))
    return found
