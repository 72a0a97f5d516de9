"""Gamma, beta and Bessel functions, and integrals of exponentials, of SciPy.

Source: NIST Digital Library of Mathematical Functions, sections 5.2, 5.12, 6.2, 8.8, 8.17, 10.6, 10.29 and 25.11.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..arrays import is_device_array, namespace, special_function, special_functions
from . import elementwise as e
from . import exact_special as exact
from .choices import greater, maximum, sign, where
from .kernel_texts import of_kinds
from .record import OUT, Aval, Call, Operand, broadcast_shapes, literal
from .special import (
    NO_SYMBOL,
    POSITIVE,
    UFUNCS,
    UNIT,
    _of_reals,
    family,
    lacking,
    of_order,
    on_device,
    refused,
    special,
    xlog1py,
    xlogy,
)

# ---------------------------------------------------------------------------- gamma and beta


def _polygamma(x, order):
    if order == 0:
        return special_functions(namespace(x)).psi(x).astype(x.dtype, copy=False)
    if is_device_array(x):  # CuPy's takes no order that is a plain number
        known = special_functions(namespace(x)).zeta(order + 1.0, x.astype(np.float64))
        return (-1.0) ** (order + 1) * math.gamma(order + 1.0) * known
    return np.asarray(special_function("polygamma")(order, x), x.dtype)


def _psi_slope(y, x):
    _of_reals("psi", x)
    return polygamma(x, order=1)


# Of order n: the derivative of psi of order n.
polygamma = family("polygamma", "", _polygamma, e.exact_choices.polygamma, domain=POSITIVE)
psi = special("psi", _psi_slope, exact="digamma", domain=POSITIVE)
gamma = special("gamma", lambda y, x: y * psi(x), exact="gamma", domain=POSITIVE, kernel=of_kinds("tgamma({0})"))
gammaln = special("gammaln", lambda y, x: psi(x), exact="gammaln", domain=POSITIVE, kernel=of_kinds("lgamma({0})"))
loggamma = special("loggamma", lambda y, x: psi(x), exact="gammaln", domain=POSITIVE)
beta = special(
    "beta",
    lambda y, a, b: y * (psi(a) - psi(a + b)),
    lambda y, a, b: y * (psi(b) - psi(a + b)),
    exact=exact.beta,
    domain=(POSITIVE, POSITIVE),
)
betaln = special(
    "betaln",
    lambda y, a, b: psi(a) - psi(a + b),
    lambda y, a, b: psi(b) - psi(a + b),
    exact=exact.betaln,
    domain=(POSITIVE, POSITIVE),
)


def _gamma_density(a, x):
    a = of_order(a, x.dtype)
    return e.exp(xlogy(a - 1.0, x) - x - gammaln(a))


def _beta_density(a, b, x):
    a, b = of_order(a, x.dtype), of_order(b, x.dtype)
    return e.exp(xlogy(a - 1.0, x) + xlog1py(b - 1.0, -x) - betaln(a, b))


def _shapes_and(*points: float):
    return lambda: [((np.array([[1], [2]], np.int16), np.array(points)), {})]


gammainc = special(
    "gammainc",
    refused("gammainc", "shape"),
    lambda y, a, x: _gamma_density(a, x),
    samples=_shapes_and(0.3, 1.0, 2.5),
)
gammaincc = special(
    "gammaincc",
    refused("gammaincc", "shape"),
    lambda y, a, x: -_gamma_density(a, x),
    samples=_shapes_and(0.3, 1.0, 2.5),
)
gammaincinv = special(
    "gammaincinv",
    refused("gammaincinv", "shape"),
    lambda y, a, p: 1.0 / _gamma_density(a, y),
    samples=_shapes_and(0.2, 0.5, 0.8),
)
betainc = special(
    "betainc",
    refused("betainc", "shape"),
    refused("betainc", "shape"),
    lambda y, a, b, x: _beta_density(a, b, x),
    domain=(POSITIVE, POSITIVE, UNIT),
    samples=lambda: [((np.array([[1], [2]], np.int16), np.array(3, np.int16), np.array([0.2, 0.5, 0.8])), {})],
)


def _zeta(s, q):
    return np.asarray(special_function("zeta")(s, q), np.asarray(q).dtype)


def _zeta_into(s, q, out):
    special_function("zeta")(s, q, out)


zeta = e.elementwise(
    _zeta,
    refused("zeta", "exponent"),
    lambda y, s, q: -of_order(s, q.dtype) * zeta(of_order(s, q.dtype) + 1.0, q),
    name="zeta",
    abstract=lambda s, q: Aval(broadcast_shapes(s.shape, q.shape), q.dtype),
    into=lambda avals: Call(_zeta_into, (Operand(0), Operand(1), OUT)),
    device=lambda xp, s, q: special_functions(xp).zeta(of_order(s, q.dtype), q),
    samples=lambda: [((np.array([[2], [3]], np.int16), np.array([0.5, 1.0, 2.5])), {})],
    inexact=NO_SYMBOL,
)

UFUNCS["_zeta"] = zeta

# ---------------------------------------------------------------------------- Bessel functions


def _bessel(name: str, slope: Any, exact: str | None = None, **known: Any) -> Any:
    """A family of Bessel functions; ``slope(lower, upper, y, x)`` is the derivative by the neighbouring orders."""

    def partial(y, v, x):
        v = of_order(v, x.dtype)
        return slope(record(v - 1.0, x), record(v + 1.0, x), y, x)

    record = special(
        name,
        refused(name, "order"),
        partial,
        exact=exact,
        domain=((0.0, 3.0), POSITIVE),
        samples=lambda: [((np.array([[0], [1], [3]], np.int16), np.array([0.5, 1.0, 2.5])), {})],
        **{"device": lacking(f"Bessel function {name} of any order"), **known},
    )
    return record


def _minus_growth(x):
    """The derivative of -abs(real part): of what SciPy scales its exponentially scaled functions with."""
    _of_reals("ive", x)
    return -sign(x)


jv = _bessel("jv", lambda lower, upper, y, x: 0.5 * (lower - upper), exact="jv")
yv = _bessel("yv", lambda lower, upper, y, x: 0.5 * (lower - upper), exact="yv")
iv = _bessel("iv", lambda lower, upper, y, x: 0.5 * (lower + upper), exact="iv")
kv = _bessel("kv", lambda lower, upper, y, x: -0.5 * (lower + upper), exact="kv")
yn = _bessel("yn", lambda lower, upper, y, x: 0.5 * (lower - upper), exact="yv", device=on_device("yn"))
ive = _bessel("ive", lambda lower, upper, y, x: 0.5 * (lower + upper) + _minus_growth(x) * y)
kve = _bessel("kve", lambda lower, upper, y, x: y - 0.5 * (lower + upper))


def _scaled(name: str, order: int) -> Any:
    """The rule of an exponentially scaled function: CuPy multiplies two factors, of which one overflows in the end.

    Source: NIST Digital Library of Mathematical Functions, 10.40.1 and 10.40.2, with 16 terms beyond 60.
    """
    terms = [1.0]
    for k in range(1, 16):
        terms.append(terms[-1] * (4.0 * order * order - (2.0 * k - 1.0) ** 2) / (8.0 * k))

    def device(xp: Any, x: Any) -> Any:
        large = xp.maximum(xp.absolute(x), 60.0)
        step = (-1.0 if name[0] == "i" else 1.0) / large
        total = terms[-1]
        for term in terms[-2::-1]:
            total = total * step + term
        scale = xp.sqrt(0.5 / (math.pi * large) if name[0] == "i" else 0.5 * math.pi / large)
        far = total * scale * xp.sign(x) ** order
        near = getattr(special_functions(xp), name)(x)
        return xp.where((xp.absolute(x) if name[0] == "i" else x) > 60.0, far, near).astype(x.dtype, copy=False)

    return device


def _second(family, x):
    return family(literal(2.0, x), x)


j0 = special("j0", lambda y, x: -j1(x), exact=exact.bessel("jv", 0), kernel=of_kinds("j0({0})"))
j1 = special("j1", lambda y, x: 0.5 * (j0(x) - _second(jv, x)), exact=exact.bessel("jv", 1), kernel=of_kinds("j1({0})"))
y0 = special("y0", lambda y, x: -y1(x), exact=exact.bessel("yv", 0), domain=POSITIVE, kernel=of_kinds("y0({0})"))
y1 = special(
    "y1",
    lambda y, x: 0.5 * (y0(x) - _second(yv, x)),
    exact=exact.bessel("yv", 1),
    domain=POSITIVE,
    kernel=of_kinds("y1({0})"),
)
i0 = special("i0", lambda y, x: i1(x), exact=exact.bessel("iv", 0), kernel=of_kinds("cyl_bessel_i0({0})"))
i1 = special(
    "i1",
    lambda y, x: 0.5 * (i0(x) + _second(iv, x)),
    exact=exact.bessel("iv", 1),
    kernel=of_kinds("cyl_bessel_i1({0})"),
)
k0 = special("k0", lambda y, x: -k1(x), exact=exact.bessel("kv", 0), domain=POSITIVE)
k1 = special("k1", lambda y, x: -0.5 * (k0(x) + _second(kv, x)), exact=exact.bessel("kv", 1), domain=POSITIVE)
i0e = special("i0e", lambda y, x: i1e(x) - sign(x) * y, exact=exact.decaying("iv", 0), device=_scaled("i0e", 0))
i1e = special(
    "i1e",
    lambda y, x: 0.5 * (i0e(x) + _second(ive, x)) - sign(x) * y,
    exact=exact.decaying("iv", 1),
    device=_scaled("i1e", 1),
)
k0e = special("k0e", lambda y, x: y - k1e(x), exact=exact.decaying("kv", 0), domain=POSITIVE, device=_scaled("k0e", 0))
k1e = special(
    "k1e",
    lambda y, x: y - 0.5 * (k0e(x) + _second(kve, x)),
    exact=exact.decaying("kv", 1),
    domain=POSITIVE,
    device=_scaled("k1e", 1),
)


def _numpy_i0_into(x, out):
    np.copyto(out, np.i0(x))


# NumPy's own, which rounds otherwise than SciPy's.
numpy_i0 = e.elementwise(
    lambda x: np.asarray(np.i0(x)),
    lambda y, x: i1(x),
    name="numpy_i0",
    flops=30.0,
    into=lambda avals: Call(_numpy_i0_into, (Operand(0), OUT)),
    exact=exact.bessel("iv", 0),
    device=lambda xp, x: xp.i0(x),
    kernel=of_kinds("cyl_bessel_i0({0})"),
)

# ---------------------------------------------------------------------------- integrals of exponentials


def _expn_slope(y, n, x):
    n = of_order(n, x.dtype)
    return -where(greater(n, 0.0), expn(maximum(n - 1.0, literal(0.0, x)), x), e.exp(-x) * (1.0 + x) / (x * x))


expi = special("expi", lambda y, x: e.exp(x) / x, domain=POSITIVE)
exp1 = special("exp1", lambda y, x: -e.exp(-x) / x, domain=POSITIVE)
expn = special(
    "expn",
    refused("expn", "order"),
    _expn_slope,
    samples=lambda: [((np.array([[0], [1], [3]], np.int16), np.array([0.5, 1.0, 2.5])), {})],
)
