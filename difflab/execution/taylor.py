"""Taylor coefficients of functions that flint has for balls only: Cauchy's formula with a certified remainder.

The mean of f(z) (z - x)**-k over n points of a circle around x is the coefficient c_k and the later ones c_(k + n),
c_(k + 2n), ... times powers of the radius; these are bounded by the maximum of f on a larger circle (L. N. Trefethen
and J. A. C. Weideman, The exponentially convergent trapezoidal rule, SIAM Review 56(3), 2014, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import UndecidedError

# z, then the order of the function.
Complex = Callable[[Any, Any], Any]
FUNCTIONS: dict[str, Complex] = {
    "jv": lambda z, order: z.bessel_j(order),
    "yv": lambda z, order: z.bessel_y(order),
    "iv": lambda z, order: z.bessel_i(order),
    "kv": lambda z, order: z.bessel_k(order),
    "polygamma": lambda z, order: z.polygamma(order),
}
ENTIRE = frozenset({"jv", "iv"})  # for whole orders


def series_function(name: str) -> Callable | None:
    """The function of power series of that name, or ``None``."""
    if name == "digamma":
        return lambda x: _polygamma(0, x)
    if name == "polygamma":
        return lambda order, x: _polygamma(int(order[0].unique_fmpz()), x)
    if name == "sinc":
        return lambda x, order: _sinc(x, int(order[0].unique_fmpz()))
    if name in FUNCTIONS:
        return lambda order, x: composed(_bessel(name, order[0], x), x)
    return None


def composed(coefficients: list[Any], series: Any) -> Any:
    """The function with these Taylor coefficients, at the first term of a series, of that series."""
    from flint import arb_series

    around = arb_series([0, *series.coeffs()[1:]])
    result = arb_series([coefficients[-1]])
    for known in reversed(coefficients[:-1]):
        result = result * around + known
    return result


def count() -> int:
    """Terms of the series at work."""
    import flint

    return flint.ctx.cap


def cauchy(function: Callable[[Any], Any], x: Any, outer: Any) -> list[Any]:
    """Taylor coefficients of a function at a ball.

    Args:
        function: of complex balls; real on the real line, and analytic within ``outer`` of ``x``.
        x: a ball.
        outer: a radius, a ball.
    """
    import flint
    from flint import acb, arb

    radius, points = outer / 4, 2 * (flint.ctx.prec // 4 + 8)
    bound = _largest(function, x, outer)
    # Points come in conjugate pairs, whose values are conjugate: half of them will do.
    angles = [2 * arb(j) / points for j in range(points // 2 + 1)]
    weights = [1 if j in (0, points // 2) else 2 for j in range(points // 2 + 1)]
    values = [function(x + radius * (acb(0, 1) * angle * arb.pi()).exp()) for angle in angles]
    found = []
    for k in range(count()):
        turned = [value * (acb(0, -k) * angle * arb.pi()).exp() for value, angle in zip(values, angles, strict=True)]
        total = sum((weight * item.real for weight, item in zip(weights, turned, strict=True)), start=arb(0))
        ratio = (radius / outer) ** points
        remainder = (bound * ratio / (1 - ratio) / outer**k).abs_upper()
        found.append(total / points / radius**k + arb(0, remainder))
    return found


def _largest(function: Callable[[Any], Any], x: Any, radius: Any) -> Any:
    """A bound of the magnitude of a function on a circle, from balls that cover it."""
    from flint import acb, arb

    arcs = 64
    found = arb(0)
    for j in range(arcs // 2 + 1):
        centre = x + radius * (acb(0, 1) * (2 * arb(j) / arcs) * arb.pi()).exp()
        # Half an arc is shorter than pi / arcs times the radius.
        reach = arb(0, (radius * arb.pi() / arcs).abs_upper())
        found = found.max(arb(function(centre + acb(reach, reach)).abs_upper()))
    if not found.is_finite():
        raise UndecidedError(f"a function cannot be bounded around {x.str(12)}, so its power series is not enclosed")
    return found


def _bessel(name: str, order: Any, x: Any) -> list[Any]:
    from flint import acb, arb

    whole = order.is_exact() and order.is_integer()
    if name in ENTIRE and whole:
        return cauchy(lambda z: FUNCTIONS[name](z, acb(order)), x[0], arb(1))
    if not x[0] > 0:
        raise UndecidedError(f"the function {name!r} of order {order.str(6)} has no power series at {x[0].str(12)}")
    return cauchy(lambda z: FUNCTIONS[name](z, acb(order)), x[0], x[0].mid() / 2)


def _polygamma(order: int, x: Any) -> Any:
    """From the series of the logarithm of the gamma function where that is real, else from Cauchy's formula."""
    import flint
    from flint import acb, arb, arb_series

    terms = count()
    if x[0] > 0:
        flint.ctx.cap = terms + order + 1
        try:
            known = arb_series([x[0], 1]).lgamma()
        finally:
            flint.ctx.cap = terms
        coefficients = [known[k + order + 1] * arb(k + 1).rising(order + 1) for k in range(terms)]
    else:
        near = min(abs(x[0].mid() - arb(n)) for n in range(int(x[0].mid().floor().unique_fmpz()), 1))
        coefficients = cauchy(lambda z: z.polygamma(acb(order)), x[0], near / 2)
    return composed(coefficients, x)


def _sinc(x: Any, order: int) -> Any:
    """A derivative of sin(pi x) / (pi x), from the series of the function itself."""
    import flint
    from flint import arb

    terms = count()
    flint.ctx.cap = terms + order
    try:
        known = cauchy(lambda z: z.sinc_pi(), x[0], arb(1))
    finally:
        flint.ctx.cap = terms
    return composed([known[k + order] * arb(k + 1).rising(order) for k in range(terms)], x)
