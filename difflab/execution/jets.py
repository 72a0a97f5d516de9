"""Truncated power series in one variable, as numbers: what a value becomes along a line through the inputs.

A ``Jet`` is a ball and the power series of what it stands for, around it, in flint's own arithmetic of power series.
No derivative rule of difflab takes part: that is what makes the coefficients an independent check of the rules.
Functions that flint knows for balls but not for series get their Taylor coefficients from Cauchy's integral formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from ..errors import UndecidedError, UnsupportedError
from . import taylor
from .balls import PRECISION_LOCK, ball


class Jet:
    """A ball ``value`` and the power series ``series`` around it; plain balls are series without a variable part."""

    __slots__ = ("series", "value")

    def __init__(self, value: Any, series: Any):
        self.value = value
        self.series = series

    def __add__(self, other: Any) -> Any:
        if type(other) is np.ndarray:
            return NotImplemented  # NumPy then takes the array apart
        return Jet(self.value + value_of(other), self.series + series_of(other))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if type(other) is np.ndarray:
            return NotImplemented
        return Jet(self.value - value_of(other), self.series - series_of(other))

    def __rsub__(self, other: Any) -> Jet:
        return Jet(value_of(other) - self.value, series_of(other) - self.series)

    def __mul__(self, other: Any) -> Any:
        if type(other) is np.ndarray:
            return NotImplemented
        return Jet(self.value * value_of(other), self.series * series_of(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if type(other) is np.ndarray:
            return NotImplemented
        if type(other) is Jet:
            return Jet(self.value / other.value, self.series * _inverse(other.series))
        return Jet(self.value / other, self.series * (1 / ball(other)))

    def __rtruediv__(self, other: Any) -> Jet:
        return Jet(other / self.value, _inverse(self.series) * series_of(other))

    def __neg__(self) -> Jet:
        return Jet(-self.value, -self.series)


def value_of(item: Any) -> Any:
    """The ball that an element encloses at the point itself."""
    return item.value if type(item) is Jet else item


def series_of(item: Any) -> Any:
    """The power series of an element."""
    return item.series if type(item) is Jet else constant(item)


def constant(value: Any) -> Any:
    """A number as a power series."""
    from flint import arb_series

    return arb_series([ball(value)])


@contextmanager
def terms(count: int) -> Iterator[None]:
    """Power series cut off after ``count`` terms, for one thread at a time."""
    import flint

    with PRECISION_LOCK:
        before = flint.ctx.cap
        flint.ctx.cap = count
        try:
            yield
        finally:
            flint.ctx.cap = before


def line(point: Any, direction: Any) -> Any:
    """``point + t * direction``; what does not move stays a ball."""
    from flint import arb_series

    here = ball(point)
    if direction == 0:
        return here
    return Jet(here, arb_series([here, ball(direction)]))


def coefficient(item: Any, order: int) -> Any:
    """The ball in front of ``t**order``."""
    if type(item) is Jet:
        return item.series[order]
    return ball(item) if order == 0 else ball(0)


# ---------------------------------------------------------------------------- functions


def _inverse(series: Any) -> Any:
    """1 / series; unknown where the constant term may be zero, for the result may be one that nothing takes."""
    return unknown() if series[0].contains(0) else series.inv()


def unknown() -> Any:
    """A series of which nothing is known."""
    import flint
    from flint import arb, arb_series

    return arb_series([arb("nan")] * flint.ctx.cap)


def _power(base: Any, exponent: Any) -> Any:
    """base**exponent; by squaring for a whole exponent without variable part."""
    if exponent.length() <= 1 and exponent[0].is_exact() and exponent[0].is_integer() and abs(exponent[0]) < 1e4:
        return _whole_power(base, int(exponent[0].unique_fmpz()))
    return (base.log() * exponent).exp()


def _whole_power(base: Any, n: int) -> Any:
    if n < 0:
        return _inverse(_whole_power(base, -n))
    result = constant(1)
    while n:
        if n & 1:
            result = result * base
        n >>= 1
        base = base * base if n else base
    return result


def _odd(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An odd function by its right half, where its formula does not cancel."""
    return lambda x: -function(-x) if x[0] < 0 else function(x)


def _arctan2(y: Any, x: Any) -> Any:
    """Up to a constant, which the value replaces: the quotient whose denominator is further from zero."""
    if abs(x[0].mid()) >= abs(y[0].mid()):
        return (y * _inverse(x)).atan()
    return -(x * _inverse(y)).atan()


def _gammaln(x: Any) -> Any:
    if x[0] > 0:
        return x.lgamma()
    gamma = x.gamma()
    return (gamma if gamma[0] > 0 else -gamma).log()


def _hypot(a: Any, b: Any) -> Any:
    from flint import arb_series

    total = a * a + b * b
    if total[0].is_zero():  # the kink table: the norm has derivative 0 at 0; of a second one it says nothing
        return arb_series([0, 0, *unknown().coeffs()[2:]])
    return total.sqrt()


def _tanh(x: Any) -> Any:
    if x[0] < 0:
        return -_tanh(-x)
    return constant(1) - _inverse((x + x).exp() + 1) * 2


@cache
def _series_functions() -> dict[str, Callable]:
    """Functions of power series by NumPy's names; their constant terms are replaced by the value's own ball."""
    from flint import arb, arb_series

    one, half = arb(1), arb(1) / 2

    def exp(x: Any) -> Any:
        return x.exp()

    return {
        "divide": lambda a, b: a * _inverse(b),
        "reciprocal": _inverse,
        "square": lambda x: x * x,
        "integer_power": lambda x, n: _whole_power(x, int(n[0].unique_fmpz())),
        "power": _power,
        "sqrt": lambda x: x.sqrt(),
        "cbrt": lambda x: (x.log() / 3).exp(),
        "exp": exp,
        "exp2": lambda x: (x * arb(2).log()).exp(),
        "expm1": exp,
        "log": lambda x: x.log(),
        "log2": lambda x: x.log() * (one / arb(2).log()),
        "log10": lambda x: x.log() * (one / arb(10).log()),
        "log1p": lambda x: (x + one).log(),
        "logaddexp": lambda a, b: a + ((b - a).exp() + one).log(),
        "sin": lambda x: x.sin(),
        "cos": lambda x: x.cos(),
        "tan": lambda x: x.tan(),
        "arcsin": lambda x: x.asin(),
        "arccos": lambda x: x.acos(),
        "arctan": lambda x: x.atan(),
        "arctan2": _arctan2,
        "sinh": lambda x: (x.exp() - (-x).exp()) * half,
        "cosh": lambda x: (x.exp() + (-x).exp()) * half,
        "tanh": _tanh,
        "arcsinh": _odd(lambda x: (x + (x * x + one).sqrt()).log()),
        "arccosh": lambda x: (x + (x * x - one).sqrt()).log(),
        "arctanh": lambda x: ((x + one) * _inverse(one - x)).log() * half,
        "hypot": _hypot,
        "sigmoid": lambda x: _inverse((-x).exp() + one),
        "erf": arb_series.erf,
        "erfc": arb_series.erfc,
        "gamma": arb_series.gamma,
        "gammaln": _gammaln,
        "negative": lambda x: -x,
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
    }


def jet_function(name: str, function: Callable) -> Callable:
    """The function of that name on balls and jets; ``function`` is the one on balls alone."""
    series = _series_functions().get(name)
    if series is None:
        series = taylor.series_function(name)
    if series is None:
        raise UnsupportedError(f"there is no power series of the function {name!r}, so nothing checks its derivative")

    def apply(*operands: Any) -> Any:
        for operand in operands:
            if type(operand) is Jet:
                break
        else:
            return function(*operands)
        value = function(*[value_of(operand) for operand in operands])
        try:
            found = series(*[series_of(operand) for operand in operands])
        except UndecidedError:  # at the edge of its domain, which matters only where the result is taken
            found = unknown()
        return Jet(value, with_first(found, value))

    return apply


def with_first(series: Any, value: Any) -> Any:
    """A series with its constant term replaced, by one that is narrower or right up to a constant."""
    from flint import arb_series

    return arb_series([value, *series.coeffs()[1:]])
