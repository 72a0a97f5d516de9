"""Rules for exact arithmetic, in the protocol of ``exact_rules``: special functions by way of those it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import exact_choices, exact_rules

Array = np.ndarray


def bessel(name: str, order: int) -> Callable[..., Array]:
    """A Bessel function of a fixed order."""

    def rule(arithmetic: Any, x: Array) -> Array:
        return arithmetic.scalar(name)(exact_rules._filled((), order), x)

    return rule


def decaying(name: str, order: int) -> Callable[..., Array]:
    """exp(-abs(x)) times one that grows, or exp(x) times one that decays."""

    def rule(arithmetic: Any, x: Array) -> Array:
        exponent = x if name == "kv" else arithmetic.scalar("negative")(exact_rules.absolute(arithmetic, x))
        return arithmetic.scalar("exp")(exponent) * bessel(name, order)(arithmetic, x)

    return rule


def logit(arithmetic: Any, x: Array) -> Array:
    """log(x / (1 - x))."""
    return arithmetic.scalar("log")(x / (arithmetic.number(1) - x))


def log_expit(arithmetic: Any, x: Array) -> Array:
    """-log(1 + exp(-x))."""
    negative = arithmetic.scalar("negative")
    return negative(arithmetic.scalar("logaddexp")(arithmetic.number(0), negative(x)))


def exp10(arithmetic: Any, x: Array) -> Array:
    """10**x."""
    return arithmetic.scalar("power")(arithmetic.number(10), x)


def cosm1(arithmetic: Any, x: Array) -> Array:
    """cos(x) - 1, which is -2 sin(x / 2)**2."""
    half = arithmetic.scalar("sin")(x / arithmetic.number(2))
    return arithmetic.number(-2) * half * half


def sindg(arithmetic: Any, x: Array) -> Array:
    """The sine of an angle in degrees."""
    return arithmetic.scalar("sin")(exact_choices.radians(arithmetic, x))


def cosdg(arithmetic: Any, x: Array) -> Array:
    """The cosine of an angle in degrees."""
    return arithmetic.scalar("cos")(exact_choices.radians(arithmetic, x))


def ndtr(arithmetic: Any, x: Array) -> Array:
    """The normal distribution: half of the complementary error function at -x / sqrt(2)."""
    two = arithmetic.number(2)
    return arithmetic.scalar("erfc")(arithmetic.scalar("negative")(x) / arithmetic.scalar("sqrt")(two)) / two


def beta(arithmetic: Any, a: Array, b: Array) -> Array:
    """gamma(a) gamma(b) / gamma(a + b)."""
    gamma = arithmetic.scalar("gamma")
    return gamma(a) * gamma(b) / gamma(a + b)


def betaln(arithmetic: Any, a: Array, b: Array) -> Array:
    """The logarithm of the beta function."""
    gammaln = arithmetic.scalar("gammaln")
    return gammaln(a) + gammaln(b) - gammaln(a + b)


def huber(arithmetic: Any, delta: Array, r: Array) -> Array:
    """r**2 / 2 up to delta, from there on a line."""
    size, two = exact_rules.absolute(arithmetic, r), arithmetic.number(2)
    return arithmetic.select(
        [arithmetic.compare("greater", size, delta)],
        [delta * (size - delta / two)],
        arithmetic.scalar("square")(r) / two,
    )


def pseudo_huber(arithmetic: Any, delta: Array, r: Array) -> Array:
    """delta**2 (sqrt(1 + (r / delta)**2) - 1)."""
    one, square = arithmetic.number(1), arithmetic.scalar("square")
    return square(delta) * (arithmetic.scalar("sqrt")(one + square(r / delta)) - one)
