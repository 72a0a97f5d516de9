"""More rules for exact arithmetic, in the protocol of ``exact_rules``: roundings, remainders, choices beside NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import exact_rules

Array = np.ndarray


def fmax(arithmetic: Any, a: Array, b: Array) -> Array:
    """The larger one, or the one that is a number; ties share the derivative equally."""
    conditions = [arithmetic.test("isnan", b), arithmetic.test("isnan", a)]
    return arithmetic.select(conditions, [a, b], arithmetic.larger(a, b))


def fmin(arithmetic: Any, a: Array, b: Array) -> Array:
    """The smaller one, or the one that is a number; ties share the derivative equally."""
    negative = arithmetic.scalar("negative")
    return negative(fmax(arithmetic, negative(a), negative(b)))


def logical_xor(arithmetic: Any, a: Array, b: Array) -> Array:
    """One condition of two."""
    only_a = arithmetic.logical("and", a, arithmetic.logical("not", b))
    only_b = arithmetic.logical("and", b, arithmetic.logical("not", a))
    return arithmetic.logical("or", only_a, only_b)


def trunc(arithmetic: Any, x: Array) -> Array:
    """The next integer towards zero; derivative 0."""
    negative, floor = arithmetic.scalar("negative"), arithmetic.scalar("floor")
    below = arithmetic.compare("less", x, arithmetic.number(0))
    return arithmetic.select([below], [negative(floor(negative(x)))], floor(x))


def rint(arithmetic: Any, x: Array) -> Array:
    """The nearest integer, of two the even one; derivative 0."""
    half, one, two = map(arithmetic.number, (0.5, 1, 2))
    floor = arithmetic.scalar("floor")
    up = floor(x + half)
    middle = arithmetic.compare("equal", up - x, half)
    odd = arithmetic.compare("not_equal", two * floor(up / two), up)
    return arithmetic.select([arithmetic.logical("and", middle, odd)], [up - one], up)


def floor_divide(arithmetic: Any, a: Array, b: Array) -> Array:
    """The quotient rounded down; derivative 0."""
    return arithmetic.scalar("floor")(arithmetic.scalar("divide")(a, b))


def remainder(arithmetic: Any, a: Array, b: Array) -> Array:
    """What is left of a after whole multiples of b, with the sign of b."""
    return a - b * floor_divide(arithmetic, a, b)


def fmod(arithmetic: Any, a: Array, b: Array) -> Array:
    """What is left of a after whole multiples of b, with the sign of a."""
    return a - b * trunc(arithmetic, arithmetic.scalar("divide")(a, b))


def fraction(arithmetic: Any, x: Array) -> Array:
    """What is left of x without its integer part."""
    return x - trunc(arithmetic, x)


def heaviside(arithmetic: Any, x: Array, h: Array) -> Array:
    """0, 1, or h where x is 0."""
    zero, one = map(arithmetic.number, (0, 1))
    conditions = [arithmetic.compare("less", x, zero), arithmetic.compare("greater", x, zero)]
    return arithmetic.select(conditions, [zero, one], h)


def cbrt(arithmetic: Any, x: Array) -> Array:
    """The real cube root; infinite derivative at 0."""
    negative, root = arithmetic.scalar("negative"), arithmetic.scalar("cbrt")
    below = arithmetic.compare("less", x, arithmetic.number(0))
    return arithmetic.select([below], [negative(root(exact_rules.absolute(arithmetic, x)))], root(x))


def logaddexp2(arithmetic: Any, a: Array, b: Array) -> Array:
    """log2(2**a + 2**b)."""
    log2 = arithmetic.scalar("log")(arithmetic.number(2))
    return arithmetic.scalar("logaddexp")(a * log2, b * log2) / log2


def degrees(arithmetic: Any, x: Array) -> Array:
    """x * 180 / pi."""
    return x * arithmetic.number(45) / arithmetic.scalar("arctan")(arithmetic.number(1))


def radians(arithmetic: Any, x: Array) -> Array:
    """x * pi / 180."""
    return x * arithmetic.scalar("arctan")(arithmetic.number(1)) / arithmetic.number(45)


def sinc(arithmetic: Any, x: Array, *, order: int) -> Array:
    """A derivative of sin(pi x) / (pi x)."""
    return arithmetic.scalar("sinc")(x, exact_rules._filled((), order))


def polygamma(arithmetic: Any, x: Array, *, order: int) -> Array:
    """A derivative of the digamma function."""
    if order == 0:
        return arithmetic.scalar("digamma")(x)
    return arithmetic.scalar("polygamma")(exact_rules._filled((), order), x)
