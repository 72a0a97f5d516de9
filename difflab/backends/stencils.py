"""Stencils of finite differences: weights of any order, and what the options of a scheme come to."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ..arrays import is_device_array
from ..errors import InputError

ORDERS = {
    "forward": (1, 2, 3, 4, 5, 6, 7, 8),
    "backward": (1, 2, 3, 4, 5, 6, 7, 8),
    "central": (2, 4, 6, 8),
    "richardson": (4, 6, 8),
}
SCHEMES = tuple(ORDERS)
EXTRA_LEVELS = 2  # steps of an extrapolation beyond those that its order needs, to choose from


def weights(nodes: Sequence[int | Fraction], derivative: int = 1) -> tuple[Fraction, ...]:
    """The weights of values at ``nodes`` whose sum is a derivative at 0, exact for polynomials through the nodes.

    Fornberg (1988), Mathematics of Computation 51, 699-706, in rational numbers.

    Args:
        nodes: distinct numbers, in any order.
        derivative: which one, less than there are nodes.

    Returns:
        One weight per node.

    Example:
        >>> weights([-1, 0, 1], 2), weights([0, 1])
        ((Fraction(1, 1), Fraction(-2, 1), Fraction(1, 1)), (Fraction(-1, 1), Fraction(1, 1)))
    """
    places = [Fraction(node) for node in nodes]
    table = [[Fraction(0)] * (derivative + 1) for _ in places]
    table[0][0] = Fraction(1)
    before = Fraction(1)
    for new, place in enumerate(places[1:], start=1):
        spread = Fraction(1)
        for old in range(new):
            gap = place - places[old]
            spread *= gap
            if old == new - 1:
                for k in range(derivative, -1, -1):
                    lower = k * table[old][k - 1] if k else Fraction(0)
                    table[new][k] = before * (lower - places[old] * table[old][k]) / spread
            for k in range(derivative, -1, -1):
                lower = k * table[old][k - 1] if k else Fraction(0)
                table[old][k] = (place * table[old][k] - lower) / gap
        before = spread
    return tuple(row[derivative] for row in table)


class Stencil(NamedTuple):
    """A quotient for the first derivative on neighbouring whole steps around 0, the centre itself left out.

    The sum of ``weights`` (whole numbers) times differences from the centre's value is ``scale`` times the step times
    the derivative.  ``paired``: opposite points follow each other with opposite weights, and the centre counts nothing.
    """

    offsets: tuple[int, ...]
    weights: tuple[float, ...]
    scale: float
    paired: bool

    @property
    def noise(self) -> float:
        """The factor by which noise of the values over the step enters the quotient."""
        centre = 0.0 if self.paired else abs(sum(self.weights))
        return (sum(abs(weight) for weight in self.weights) + centre) / self.scale

    @property
    def remainder(self) -> float:
        """(p + 1)! times the factor of h**p f^(p+1) in the error of a stencil of order p."""
        power = len(self.offsets) + 1
        return abs(sum(w * offset**power for w, offset in zip(self.weights, self.offsets, strict=True))) / self.scale


@functools.cache
def window(left: int, right: int) -> Stencil:
    """The stencil on the steps ``-left`` to ``right``, of order ``left + right``.

    Args:
        left: steps below the point.
        right: steps above it.

    Returns:
        A ``Stencil``.

    Example:
        >>> window(2, 2).weights, window(2, 2).offsets, window(2, 2).scale
        ((8.0, -8.0, -1.0, 1.0), (1, -1, 2, -2), 12.0)
    """
    offsets = sorted((k for k in range(-left, right + 1) if k), key=lambda k: (abs(k), -k))
    found = weights([0, *offsets])[1:]
    scale = math.lcm(*[weight.denominator for weight in found])
    return Stencil(tuple(offsets), tuple(float(weight * scale) for weight in found), float(scale), left == right)


class Plan(NamedTuple):
    """What the options of a scheme come to.

    ``stencil`` of one quotient, of accuracy ``order`` and with ``left`` steps below the point; the quotient is taken at
    ``levels`` steps, which are extrapolated ``columns`` times, or compared where ``columns`` is 0.
    """

    order: int
    left: int
    stencil: Stencil
    levels: int
    columns: int
    lowest: bool

    @property
    def points(self) -> int:
        """Values of a quotient of first order, besides the centre's."""
        return self.levels * len(self.stencil.offsets)

    def second(self, bounded: bool) -> tuple[tuple[int, int], ...]:
        """The points of a second quotient, a product of first ones: positions among the offsets, -1 for the centre."""
        ones = [*range(len(self.stencil.offsets)), *([] if self.stencil.paired and not bounded else [-1])]
        return tuple((first, second) for first in ones for second in ones)


def plan_of(scheme: str, order: int | None, estimate: bool) -> Plan:
    """The plan of a scheme.

    Args:
        scheme: one of ``SCHEMES``.
        order: of accuracy; by default the lowest, of an extrapolation the highest.
        estimate: take every quotient at half the step as well.

    Returns:
        A ``Plan``.

    Raises:
        InputError: there is no such scheme, or not of that order.

    Example:
        >>> plan_of("backward", 2, False).stencil.offsets, plan_of("richardson", None, False).points
        ((-1, -2), 12)
    """
    if not isinstance(scheme, str) or scheme not in ORDERS:
        raise InputError(f"Finite(scheme={scheme!r}): the schemes are {', '.join(map(repr, SCHEMES))}")
    known = ORDERS[scheme]
    whole = isinstance(order, int | np.integer) and not isinstance(order, bool)
    if order is not None and not (whole and order in known):
        raise InputError(
            f"Finite(scheme={scheme!r}, order={order!r}): the orders of scheme {scheme!r} are "
            f"{', '.join(map(str, known))}"
        )
    return _plan(scheme, int(order or known[-1 if scheme == "richardson" else 0]), estimate)


@functools.cache
def _plan(scheme: str, chosen: int, estimate: bool) -> Plan:
    """The plan of a scheme of an order that it has."""
    if scheme == "richardson":
        columns = chosen // 2 - 1
        return Plan(2, 1, window(1, 1), columns + 1 + EXTRA_LEVELS, columns, True)
    left = {"forward": 0, "backward": chosen, "central": chosen // 2}[scheme]
    return Plan(chosen, left, window(left, chosen - left), 1 + estimate, 0, chosen == ORDERS[scheme][0])


def combined(parts: Sequence[Any], factors: Sequence[Any], centre: Any, paired: bool) -> Any:
    """The weighted sum of differences from the centre; of opposite points, of their differences.

    Args:
        parts: one array per point.
        factors: their weights: numbers, or arrays that broadcast.
        centre: the array in the middle; not looked at where points are paired.
        paired: whether opposite points follow each other with opposite weights.

    Returns:
        An array; a single difference in the dtype of its parts, a sum of several in double precision at least.

    Example:
        >>> float(combined([9.0, 1.0], (1.0, -1.0), 4.0, True)), float(combined([9.0, 1.0], (1.0, -1.0), 4.0, False))
        (8.0, 8.0)
    """
    if paired and len(parts) == 2:
        return parts[0] - parts[1]
    if len(parts) == 1 and type(factors[0]) is float:
        return parts[0] - centre if factors[0] == 1 else centre - parts[0]
    parts = [_wide(part) for part in parts]
    if paired:
        pairs = zip(parts[::2], parts[1::2], factors[::2], strict=True)
        differences = [factor * (ahead - behind) for ahead, behind, factor in pairs]
    else:
        middle = _wide(centre)
        differences = [factor * (part - middle) for part, factor in zip(parts, factors, strict=True)]
    return functools.reduce(lambda total, difference: total + difference, differences)


def _wide(value: Any) -> Any:
    """A value in double precision at least."""
    held = isinstance(value, np.ndarray | np.generic) or is_device_array(value)
    dtype = np.result_type(value.dtype, np.float64) if held else None
    return value if dtype is None or dtype == value.dtype else value.astype(dtype)
