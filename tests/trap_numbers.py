"""What stands for ``numpy`` in a trap's function when the traps are checked: real numbers of many digits, no rules.

Arrays are NumPy's, of mpmath numbers; what chooses compares exactly.  The gradient is a difference quotient with so
small a step and so many digits that it is right to 20 of them, and shares nothing with what it checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mpmath
import numpy as np

DIGITS = 90
STEP = mpmath.mpf(10) ** -40


def _each(function: Callable[..., Any]) -> Callable[..., Any]:
    whole = np.frompyfunc(function, 1, 1)
    return lambda x: whole(x)


def _where(condition: Any, x: Any, y: Any) -> Any:
    chosen = np.where(condition, np.asarray(x, object), np.asarray(y, object))
    return chosen.item() if chosen.ndim == 0 else chosen


def _mean(x: Any) -> Any:
    return sum(x) / len(x)


class Linalg:
    """What the traps use of ``numpy.linalg``."""

    @staticmethod
    def norm(x: Any) -> Any:
        return mpmath.sqrt(sum(one * one for one in x))


class Exactly:
    """The names that the traps use, for mpmath numbers and object arrays of them."""

    linalg = Linalg
    abs = staticmethod(_each(abs))
    arccos = staticmethod(mpmath.acos)
    argmax = staticmethod(lambda x: int(np.argmax(x)))
    argsort = staticmethod(lambda x: np.argsort(x, kind="stable"))
    array = staticmethod(lambda x: np.array(x, object))
    clip = staticmethod(lambda x, low, high: min(max(x, mpmath.mpf(low)), mpmath.mpf(high)))
    cos, sin, exp, log = (staticmethod(_each(one)) for one in (mpmath.cos, mpmath.sin, mpmath.exp, mpmath.log))
    expm1, log1p, sqrt, floor = (
        staticmethod(_each(one)) for one in (mpmath.expm1, mpmath.log1p, mpmath.sqrt, mpmath.floor)
    )
    hypot = staticmethod(mpmath.hypot)
    isnan = staticmethod(lambda x: np.array([mpmath.isnan(one) for one in x]))
    logaddexp = staticmethod(lambda x, y: mpmath.log(mpmath.exp(x) + mpmath.exp(y)))
    max = staticmethod(lambda x: max(x))
    maximum = staticmethod(lambda x, y: max(mpmath.mpf(x), mpmath.mpf(y)))
    mean, sum, sort = staticmethod(_mean), staticmethod(np.sum), staticmethod(np.sort)
    median = staticmethod(lambda x: sorted(x)[len(x) // 2])
    prod, cumprod = staticmethod(np.prod), staticmethod(np.cumprod)
    sign, tanh = staticmethod(_each(mpmath.sign)), staticmethod(mpmath.tanh)
    std = staticmethod(lambda x: mpmath.sqrt(_mean([(one - _mean(x)) ** 2 for one in x])))
    where = staticmethod(_where)
    zeros = staticmethod(lambda size: np.array([mpmath.mpf(0)] * size))
    relu = staticmethod(lambda x: max(x, mpmath.mpf(0)))
    max_pool2d = staticmethod(lambda x: np.max(x))

    @staticmethod
    def arctan2(y: Any, x: Any) -> Any:
        return np.frompyfunc(mpmath.atan2, 2, 1)(y, x)


def exact(argument: Any) -> Any:
    """An argument in mpmath numbers: a number, or an object array; whole numbers and truth values stay."""
    array = np.asarray(argument)
    if array.dtype.kind != "f":
        return array if array.ndim else array.item()
    if not array.ndim:
        return mpmath.mpf(float(array))
    many = np.empty(array.shape, object)
    for index, one in np.ndenumerate(array):
        many[index] = mpmath.mpf(float(one))
    return many


def gradient(function: Callable[..., Any], arguments: Sequence[Any], wrt: Sequence[int]) -> list[Any]:
    """The gradient at exact arguments, coordinate by coordinate, by a central difference of ``DIGITS`` digits."""
    with mpmath.workdps(DIGITS), np.errstate(all="ignore"):
        found = []
        for position in wrt:
            for index in np.ndindex(np.shape(arguments[position])):
                values = []
                here = np.asarray(arguments[position], object)[index]
                size = STEP * (abs(here) or 1)  # relative, for points near the smallest number of a dtype
                for step in (size, -size):
                    moved = [np.array(one) if np.ndim(one) else one for one in arguments]
                    if index:
                        moved[position][index] += step
                    else:
                        moved[position] = moved[position] + step
                    values.append(function(Exactly, *moved))
                found.append((values[0] - values[1]) / (2 * size))
        return found


def nearby(arguments: Sequence[Any], wrt: Sequence[int], distance: Any, rng: np.random.Generator) -> list[Any]:
    """The arguments, those to differentiate moved by ``distance`` in a random direction."""
    with mpmath.workdps(DIGITS):
        moved = list(arguments)
        for position in wrt:
            where = np.shape(arguments[position])
            direction = rng.standard_normal(where)
            shift = np.frompyfunc(lambda one: distance * mpmath.mpf(float(one)), 1, 1)(direction)
            moved[position] = arguments[position] + (shift if where else mpmath.mpf(shift))
        return moved
