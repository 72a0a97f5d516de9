"""Special functions on balls and on symbols, by the names that primitives give them as ``exact``.

SymPy has most of them; what its printer writes is given the meaning of SciPy's ufuncs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..arrays import special_function
from ..primitives.record import REGISTRY


def _factorial(n: int) -> Any:
    from flint import arb

    return (arb(n) + 1).gamma()


def _polygamma_ball(n: int, x: Any) -> Any:
    """(-1)**(n + 1) n! times Hurwitz' zeta function of n + 1."""
    from flint import arb

    size = _factorial(n) * arb(n + 1).zeta(x)
    return size if n % 2 else -size


def _sinc_ball(x: Any, order: int) -> Any:
    """A derivative of sin(pi x) / (pi x): by recurrence, and at 0 by its series."""
    from flint import arb

    pi = arb.pi()
    if x.is_zero():
        sign = -1 if order % 4 == 2 else 1
        return arb(0) if order % 2 else sign * pi**order / (order + 1)
    t = x * pi
    waves = (t.sin(), t.cos(), -t.sin(), -t.cos())
    result = t.sinc() if order == 0 else waves[0] / t
    for n in range(1, order + 1):
        result = (waves[n % 4] - n * result) / t
    return pi**order * result


@cache
def of_balls() -> dict[str, Callable]:
    """Scalar functions of balls."""
    from flint import arb

    return {
        "cbrt": lambda x: x.root(3),
        "erf": arb.erf,
        "erfc": arb.erfc,
        "gamma": arb.gamma,
        "gammaln": lambda x: x.lgamma() if x > 0 else abs(x.gamma()).log(),
        "digamma": arb.digamma,
        "polygamma": _polygamma_ball,
        "jv": lambda v, x: x.bessel_j(v),
        "yv": lambda v, x: x.bessel_y(v),
        "iv": lambda v, x: x.bessel_i(v),
        "kv": lambda v, x: x.bessel_k(v),
        "sinc": _sinc_ball,
    }


@cache
def of_symbols() -> dict[str, Callable]:
    """Scalar functions of SymPy expressions."""
    import sympy
    from mpmath.libmp import prec_to_dps

    class sincpi(sympy.Function):  # printed code calls it by this name
        """The derivative of that order of sin(pi x) / (pi x); SymPy's own has quotients that cancel near 0."""

        nargs = 2

        @classmethod
        def eval(cls, order: Any, x: Any) -> Any:
            if x.is_zero:
                sign = -1 if order % 4 == 2 else 1
                return sympy.S.Zero if order % 2 else sign * sympy.pi**order / (order + 1)
            return None

        def fdiff(self, argindex: int = 1) -> Any:
            arguments: Any = self.args
            return sincpi(arguments[0] + 1, arguments[1])

        def _eval_evalf(self, prec: int) -> Any:
            order, x = self.args
            t = sympy.Dummy("t")
            formula = sympy.diff(sympy.sin(sympy.pi * t) / (sympy.pi * t), t, order)
            return sympy.N(formula.subs(t, x), prec_to_dps(prec))

    return {
        "cbrt": sympy.cbrt,
        "erf": sympy.erf,
        "erfc": sympy.erfc,
        "gamma": sympy.gamma,
        "gammaln": sympy.loggamma,
        "digamma": lambda x: sympy.polygamma(0, x),
        "polygamma": lambda n, x: sympy.polygamma(int(n), x),
        "jv": sympy.besselj,
        "yv": sympy.bessely,
        "iv": sympy.besseli,
        "kv": sympy.besselk,
        "sinc": lambda x, order: sincpi(sympy.Integer(int(order)), x),
    }


def _by_scipy(name: str) -> Callable[..., float]:
    def meaning(*operands: Any) -> float:
        return float(special_function(name)(*operands))

    return meaning


def _sinc(order: Any, x: Any) -> float:
    with np.errstate(all="ignore"):  # of infinity NumPy's sine is NaN, with a warning
        return float(REGISTRY["sinc"].evaluate(np.float64(x), order=int(order)))


# What printed code means by SymPy's names.
MEANINGS: dict[str, Callable] = {
    "erf": _by_scipy("erf"),
    "erfc": _by_scipy("erfc"),
    "gamma": _by_scipy("gamma"),
    "lgamma": _by_scipy("gammaln"),
    "loggamma": _by_scipy("gammaln"),
    "polygamma": _by_scipy("polygamma"),
    "besselj": _by_scipy("jv"),
    "bessely": _by_scipy("yv"),
    "besseli": _by_scipy("iv"),
    "besselk": _by_scipy("kv"),
    "sincpi": _sinc,
}
