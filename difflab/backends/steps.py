"""How far finite differences look: steps per coordinate, bounds that no point may leave, tangents cut into bands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..arrays import is_device_array, namespace, to_host
from .stencils import Plan, Stencil, window

BAND = 10  # coordinates whose steps differ by more than a factor of 2**BAND are not moved together
TINY = float(np.finfo(np.float64).tiny)
LARGEST = 0.25  # no automatic step is a larger part of max(1, |x|)
PIECE = 1 << 14  # coordinates of which the bands are found at once
NOWHERE = -128  # no band: a coordinate along which nothing moves
ASTRAY = 127  # no band either: a coordinate of a tangent that is infinite or no number
FINEST = 64.0  # a step within bounds is at least so many units of the last place, or nothing of the slope is left


def unit_step(noise: Any, plan: Plan, derivative: int) -> Any:
    """The step of a coordinate of size 1 that balances truncation against noise.

    For the lowest order of a scheme the classic noise**(1 / (p + k)); for the others the constants of their stencil
    count, with f^(p+1) taken for (p + 1)! |f| / L^(p+1), as if the nearest singularity were L = max(1, |x|) away.

    Args:
        noise: of the function's values, relative to their size; a number or traced.
        plan: of the scheme.
        derivative: 1 or 2.

    Returns:
        A number up to ``LARGEST``.

    Example:
        >>> from difflab.backends.stencils import plan_of
        >>> round(unit_step(2.0**-52, plan_of("central", None, False), 1), 9)
        6.055e-06
    """
    if not plan.lowest:
        noise = noise * (plan.stencil.noise / (plan.order * plan.stencil.remainder))
    return _at_most(noise ** (1 / (plan.order + derivative)))


def _at_most(step: Any) -> Any:
    """A step, or ``LARGEST``."""
    return min(step, LARGEST) if isinstance(step, float) else np.minimum(step, LARGEST)


def ladder(noise: Any, plan: Plan, derivative: int, given: bool) -> tuple[Any, tuple[Any, ...]]:
    """The largest step of a coordinate of size 1, and all steps relative to it.

    Steps to extrapolate from go down from the best one for the highest order to the best one for a single quotient; a
    given step is halved again and again.

    Example:
        >>> from difflab.backends.stencils import plan_of
        >>> ladder(1e-16, plan_of("richardson", 4, False), 1, True)[1]
        (1.0, 0.5, 0.25, 0.125)
    """
    last = unit_step(noise, plan, derivative)
    if given or not plan.columns:
        return last, tuple(0.5**level for level in range(plan.levels))
    first = _at_most(noise ** (1 / (2 * plan.columns + 2 + derivative)))
    ratio = (last / first) ** (1 / (plan.levels - 1))
    return first, tuple(ratio**level for level in range(plan.levels))


def positive(value: Any) -> bool:
    """Whether a value is a positive, finite number."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(0 < value < np.inf)


def step_for(x: np.ndarray, unit: float, step: str | float) -> np.ndarray:
    """The step for each coordinate of a real ``x``, such that x + h is exactly x + h."""
    if step == "auto":
        h = np.maximum(np.abs(x), x.dtype.type(1)) * x.dtype.type(unit)
    else:
        h = namespace(x).full(x.shape, float(step), x.dtype)
    return representable(x, h)


def representable(x: np.ndarray, h: Any) -> np.ndarray:
    """The step that is really taken where h is added to x."""
    with np.errstate(over="ignore", invalid="ignore"):  # no step leads away from infinity: NaN, quietly
        return (x + h) - x


def nonzero(distance: Any) -> Any:
    """A distance to divide by.

    A step that rounding swallows moves nothing: the quotient is 0, as for anyone who divides by the nominal step.
    """
    if is_device_array(distance):  # where nobody waits for an answer
        return namespace(distance).where(distance == 0, 1, distance)
    return distance if distance.all() else np.where(distance == 0, 1, distance)


class Moves(NamedTuple):
    """How some coordinates are moved: exact ``steps`` per level, and per level how ``far`` for every point.

    ``weights`` hold one entry per point: numbers for all, or arrays with one entry per coordinate where bounds give
    each its own stencil, as ``scale`` and ``skew`` then are (see ``Stencil``); ``skew`` says which are one-sided though
    the scheme is not.
    """

    steps: tuple[Any, ...]
    far: tuple[tuple[Any, ...], ...]
    weights: tuple[Any, ...]
    scale: Any
    skew: Any
    paired: bool

    def weight(self, point: int, where: Any = ...) -> Any:
        """The weight of a point; -1 is the centre."""
        weight: Any = self.weights[point] if point >= 0 else -sum(self.weights)
        return weight[where] if isinstance(weight, np.ndarray) or is_device_array(weight) else weight

    @property
    def gain(self) -> Any:
        """The factor by which noise of the values enters the weighted sum."""
        centre = 0.0 if self.paired else abs(sum(self.weights))
        return sum(abs(weight) for weight in self.weights) + centre


def moves_by(steps: Sequence[Any], stencil: Stencil) -> Moves:
    """The moves of one stencil for all coordinates."""
    offsets = stencil.offsets
    far = tuple([tuple([times(offset, step) for offset in offsets]) for step in steps])
    return Moves(tuple(steps), far, stencil.weights, stencil.scale, False, stencil.paired)


def times(offset: int, step: Any) -> Any:
    """A whole number of steps."""
    return step if offset == 1 else -step if offset == -1 else float(offset) * step


def moves_for(x: np.ndarray, plan: Plan, unit: float, scales: Sequence[float], step: str | float) -> Moves:
    """How the coordinates of a real ``x`` are moved where nothing bounds them."""
    first = step_for(x, unit, step)
    return moves_by([first, *[representable(x, first * x.dtype.type(scale)) for scale in scales[1:]]], plan.stencil)


def moves_within(
    x: np.ndarray,
    plan: Plan,
    unit: float,
    scales: Sequence[float],
    step: str | float,
    room: tuple[Any, Any],
    tell: Callable[[int], Exception],
) -> Moves:
    """How the coordinates of a real ``x`` are moved where ``room`` is left for each below and above it.

    Raises:
        Exception: there is too little; ``tell`` makes the error that names the coordinate.
    """
    first, left = fitted(step_for(x, unit, step), plan, room, step != "auto")
    least = FINEST * spacing(np.abs(x))
    enough = (first >= least) | ~np.isfinite(least)
    if not enough.all():
        raise tell(int(to_host(enough).argmin()))
    return moves_by_each([first * x.dtype.type(scale) for scale in scales], plan, left)


def spacing(x: Any) -> Any:
    """The distance from each number to the next larger one; CuPy has no ``spacing``."""
    if is_device_array(x):
        xp = namespace(x)
        return xp.nextafter(x, x.dtype.type(np.inf)) - x
    return np.spacing(x)


def fitted(step: np.ndarray, plan: Plan, room: tuple[Any, Any], given: bool) -> tuple[np.ndarray, np.ndarray]:
    """Steps that fit into the room, and how many of the stencil's steps go below each coordinate.

    Of the stencils that fit, the one most like the scheme's own; where none does, the one with the largest step, which
    is 0 where the step is given.
    """
    below, above = room
    xp = namespace(step)
    chosen = xp.full(step.shape, -1)
    largest, widest = xp.full(step.shape, -1.0), xp.zeros(step.shape, int)
    for left in sorted(range(plan.order + 1), key=lambda left: abs(left - plan.left)):
        right = plan.order - left
        fits = below / left if not right else above / right if not left else xp.minimum(below / left, above / right)
        chosen = xp.where((chosen < 0) & (fits >= step), left, chosen)
        widest = xp.where(fits > largest, left, widest)
        largest = xp.maximum(fits, largest)
    tight = chosen < 0
    small = xp.zeros_like(step) if given else largest.astype(step.dtype)
    return xp.where(tight, small, step), xp.where(tight, widest, chosen)


def moves_by_each(steps: Sequence[Any], plan: Plan, left: np.ndarray) -> Moves:
    """The moves of coordinates with a stencil each, of which ``left`` steps go below."""
    stencils: list[Stencil] = [window(one, plan.order - one) for one in range(plan.order + 1)]
    points = range(plan.order)
    offsets = _chosen([stencil.offsets for stencil in stencils], left)
    factors = _chosen([stencil.weights for stencil in stencils], left)
    scale = _chosen([stencil.scale for stencil in stencils], left)
    far = tuple([tuple([(offsets[..., k] * step).astype(step.dtype) for k in points]) for step in steps])
    skew = left != plan.left if plan.stencil.paired else namespace(left).zeros(left.shape, bool)
    skew = skew if is_device_array(skew) else np.asarray(skew)
    return Moves(tuple(steps), far, tuple(factors[..., k] for k in points), scale, skew, False)


def _chosen(rows: Sequence[Any], which: Any) -> Any:
    """The row of a small table that each coordinate takes; on a GPU without a table that would have to be uploaded."""
    table = np.array(rows)
    if not is_device_array(which):
        return table[which]
    xp = namespace(which)
    columns = []
    for column in table.reshape(len(table), -1).T.tolist():
        values = xp.full(which.shape, column[0], table.dtype)
        for row, value in enumerate(column[1:], start=1):
            values = xp.where(which == row, value, values)
        columns.append(values)
    return xp.stack(columns, -1) if table.ndim > 1 else columns[0]


def bands(
    points: Sequence[np.ndarray], steps: Callable[[np.ndarray], np.ndarray], tangents: Sequence[Any]
) -> list[tuple[float, Callable[[], list[np.ndarray]]]]:
    """The tangent as a sum of parts whose coordinates agree on the step along it within a factor of 2**BAND.

    Each is made when asked for, so that one is there at a time, and comes with that step: the largest that takes no
    coordinate farther than its own one, which ``steps`` gives for coordinates of a point, piece by piece.  No step
    leads along a tangent that is infinite or no number somewhere: then there is one part, zero, and its step is NaN.
    """
    if any(map(is_device_array, tangents)):
        return _bands_there(points, steps, tangents)
    levels, least = [], {}
    for point, tangent in zip(points, tangents, strict=True):
        x, t = np.ravel(point), np.ravel(np.asarray(tangent))
        if not np.isfinite(t).all():
            return [(np.nan, lambda: [np.zeros_like(np.asarray(one)) for one in tangents])]
        level = np.full(t.size, NOWHERE, np.int8)
        for start in range(0, t.size, PIECE):
            here = slice(start, start + PIECE)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                size = np.abs(t[here]).astype(np.float64)
                ratio = np.where(size == 0, np.inf, np.asarray(steps(x[here]), np.float64) / size)
            known = np.isfinite(ratio) & (ratio > 0)
            ratio, size = ratio[known], np.floor(np.log2(np.fmax(ratio[known], TINY)) / BAND).astype(np.int8)
            level[here][known] = size
            for one in map(int, np.unique(size)):
                least[one] = min(float(np.min(ratio[size == one])), least.get(one, np.inf))
        levels.append(level.reshape(np.shape(tangent)))

    def part(one: int) -> list[np.ndarray]:
        return [_part(tangent, level, one) for tangent, level in zip(tangents, levels, strict=True)]

    return [(least[one], functools.partial(part, one)) for one in sorted(least)]


def _bands_there(points: Sequence[Any], steps: Callable[[Any], Any], tangents: Sequence[Any]) -> list[Any]:
    """The same on a GPU, of which only the bands that there are and their steps come to the host."""
    xp = namespace(*tangents)
    levels, ratios = [], []
    for point, tangent in zip(points, tangents, strict=True):
        size = xp.abs(tangent).astype(np.float64)
        ratio = xp.where(size == 0, np.inf, steps(point).astype(np.float64) / size)
        known = xp.isfinite(ratio) & (ratio > 0)
        level = xp.floor(xp.log2(xp.fmax(xp.where(known, ratio, 1.0), TINY)) / BAND)
        level = xp.where(known, level, NOWHERE)
        levels.append(xp.where(xp.isfinite(tangent), level, ASTRAY).astype(np.int8))
        ratios.append(ratio)
    everywhere, each = xp.concatenate(levels, axis=None), xp.concatenate(ratios, axis=None)
    present = xp.zeros(256, bool)
    present[everywhere.astype(np.int64) - NOWHERE] = True
    there = [one + NOWHERE for one in np.flatnonzero(to_host(present)).tolist() if one]
    if ASTRAY in there:
        return [(np.nan, lambda: [xp.zeros_like(one) for one in tangents])]
    if not there:
        return []
    least = to_host(xp.stack([xp.where(everywhere == one, each, np.inf).min() for one in there])).tolist()

    def part(one: int) -> list[Any]:
        pairs = zip(tangents, levels, strict=True)
        return [xp.where(level == one, tangent, tangent.dtype.type(0)) for tangent, level in pairs]

    return [(step, functools.partial(part, one)) for one, step in zip(there, least, strict=True)]


def _part(tangent: Any, levels: np.ndarray, level: int) -> np.ndarray:
    """A tangent with zeros at all coordinates of another level; piece by piece, as a whole mask is large."""
    tangent = np.asarray(tangent)
    part = np.zeros(tangent.size, tangent.dtype)
    flat, which = np.ravel(tangent), np.ravel(levels)
    for start in range(0, tangent.size, PIECE):
        here = slice(start, start + PIECE)
        np.copyto(part[here], flat[here], where=which[here] == level)
    return part.reshape(tangent.shape)
