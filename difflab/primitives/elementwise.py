"""Primitives that act on each element: one partial derivative per argument, both modes derived from it.

Operands of one equation have one dtype (the tracer inserts ``cast`` where NumPy promotes) and broadcast as in NumPy.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import special_function, special_functions
from . import dependence, device_rules, exact_choices, examples
from . import exact_rules as exact
from .batching import broadcasting
from .casts import cast as cast
from .casts import copy as copy
from .casts import stop_gradient as stop_gradient
from .casts import zeros_like as zeros_like
from .choices import absolute as absolute
from .choices import equal as equal
from .choices import isfinite as isfinite
from .choices import less as less
from .choices import logical_and as logical_and
from .choices import maximum as maximum
from .choices import minimum as minimum
from .choices import relu as relu
from .choices import sign as sign
from .choices import where as where
from .constructors import elementwise, general
from .kernel_texts import integer_power_text, of_kinds
from .record import OUT, REGISTRY, Aval, Call, Operand, literal

POSITIVE = (0.1, 3.0)

# ---------------------------------------------------------------------------- arithmetic

add = elementwise(np.add, 1, 1, kernel="{0} + {1}")
subtract = elementwise(np.subtract, 1, -1, kernel="{0} - {1}")


def _multiply_depends(table, a, b):
    """A factor that is known to be 0 leaves nothing of the other, whose derivative there is 0 in exact arithmetic."""
    parts = [x.ids if other.nonzero is None else np.where(other.nonzero, x.ids, 0) for x, other in ((a, b), (b, a))]
    return table.elementwise(*parts)


multiply = elementwise(np.multiply, lambda y, a, b: b, lambda y, a, b: a, kernel="{0} * {1}", depends=_multiply_depends)
divide = elementwise(
    np.divide,
    lambda y, a, b: 1.0 / b,
    lambda y, a, b: -(y / b),
    exact=exact.divide,
    domain=((-2.0, 2.0), (0.3, 3.0)),
    kernel=of_kinds("{0} / {1}", complex="{0} / {1}"),
)
negative = elementwise(np.negative, -1, kernel="-{0}")
reciprocal = elementwise(
    np.reciprocal,
    lambda y, x: -(y * y),
    exact=exact.reciprocal,
    domain=(0.3, 3.0),
    kernel=of_kinds("{T}(1) / {0}", complex="{T}(1) / {0}"),
)
square = elementwise(
    np.square, lambda y, x: 2.0 * x, exact=exact.square, special=(0.0, -0.0, math.inf), kernel="{0} * {0}"
)


def _power_base(y, x, p):
    # Of x**0 nothing moves, also where x**-1 is infinite; there another exponent stands in, so that no NaN arises.
    size = REGISTRY["complex_abs" if x.dtype.kind == "c" else "absolute"](x)
    flat = logical_and(equal(p, 0.0), less(size, float(np.finfo(x.dtype).tiny)))
    return p * power(x, where(flat, 1.0, p) - 1.0)


def _power_exponent(y, x, p):
    return where(equal(x, 0.0), 0.0, y * log(where(equal(x, 0.0), 1.0, x)))


power = elementwise(
    np.power,
    _power_base,
    _power_exponent,
    exact=exact.power,
    flops=20,
    domain=(POSITIVE, (-2.0, 2.0)),
    device=device_rules.power,
    kernel=of_kinds("pow({0}, {1})", whole="whole_power({0}, {1})", complex="complex_power({0}, {1})"),
)


def _integer_power(x, *, n):
    return x**n if n in (-1, 0, 1, 2) else np.power(x, n)


def _integer_power_slope(x, n):
    if n == 0:
        return None
    if n == 1:
        return 1
    return float(n) * (x if n == 2 else integer_power(x, n=n - 1))


def _integer_power_jvp(tangents, y, x, *, n):
    slope = _integer_power_slope(x, n)
    if tangents[0] is None or slope is None:
        return None
    return tangents[0] if n == 1 else tangents[0] * slope


def _integer_power_vjp(cotangent, y, x, *, wanted, n):
    return (_integer_power_jvp((cotangent,), y, x, n=n) if wanted[0] else None,)


def _integer_power_into(avals, *, n):
    exponent = np.asarray(n, avals[0].dtype)
    return Call(np.power, (Operand(0), exponent, OUT))


integer_power = general(
    _integer_power,
    _integer_power_jvp,
    _integer_power_vjp,
    name="integer_power",
    depends=lambda table, x, n: x.ids if n else dependence.nothing(),
    examples=examples.aligned,
    batch=broadcasting("integer_power"),
    abstract=lambda x, n: Aval(x.shape, x.dtype),
    into=_integer_power_into,
    exact=exact.integer_power,
    device=device_rules.integer_power,
    kernel=integer_power_text,
    flops=lambda avals, out, n: 10.0 * out.size,
    samples=lambda: [((np.array([-1.5, 0.3, 2.0]),), {"n": n}) for n in (3, 0, 1, -1, -2, 5)],
)

# ---------------------------------------------------------------------------- exponentials, roots, logarithms

sqrt = elementwise(
    np.sqrt,
    lambda y, x: 0.5 / y,
    exact=exact.sqrt,
    kernel=of_kinds("sqrt({0})", complex="sqrt({0})"),
    flops=4,
    domain=POSITIVE,
    special=(0.0, math.inf),
)
exp = elementwise(
    np.exp, lambda y, x: y, exact="exp", kernel=of_kinds("exp({0})", complex="exp({0})"), flops=8, special=(0.0, -800.0)
)
exp2 = elementwise(
    np.exp2,
    lambda y, x: log(literal(2.0, x)) * y,
    exact="exp2",
    kernel=of_kinds("exp2({0})", complex="complex_exp2({0})"),
    flops=8,
)
expm1 = elementwise(
    np.expm1,
    lambda y, x: y + 1.0,
    exact="expm1",
    device=device_rules.expm1,
    kernel=of_kinds("expm1({0})", complex="complex_expm1({0})"),
    flops=10,
    special=(0.0, 1e-18),
)
cbrt = elementwise(
    np.cbrt,
    lambda y, x: 1.0 / (3.0 * y * y),
    exact=exact_choices.cbrt,
    kernel=of_kinds("cbrt({0})"),
    flops=12,
    domain=POSITIVE,
)
log = elementwise(
    np.log,
    lambda y, x: 1.0 / x,
    exact="log",
    kernel=of_kinds("log({0})", complex="log({0})"),
    flops=8,
    domain=POSITIVE,
    special=(1.0, math.inf),
)
log2 = elementwise(
    np.log2,
    lambda y, x: 1.0 / (log(literal(2.0, x)) * x),
    exact="log2",
    kernel=of_kinds("log2({0})", complex="complex_log2({0})"),
    flops=8,
    domain=POSITIVE,
)
log10 = elementwise(
    np.log10,
    lambda y, x: 1.0 / (log(literal(10.0, x)) * x),
    exact="log10",
    kernel=of_kinds("log10({0})", complex="log10({0})"),
    flops=8,
    domain=POSITIVE,
)
log1p = elementwise(
    np.log1p,
    lambda y, x: 1.0 / (1.0 + x),
    exact="log1p",
    kernel=of_kinds("log1p({0})", complex="complex_log1p({0})"),
    flops=10,
    domain=(-0.9, 3.0),
    special=(0.0,),
)
logaddexp = elementwise(
    np.logaddexp,
    lambda y, a, b: sigmoid(a - b),
    lambda y, a, b: sigmoid(b - a),
    exact=exact.logaddexp,
    kernel=of_kinds("log_add_exp({0}, {1})"),
    flops=20,
    special=((1e4, -1e4),),
)

logaddexp2 = elementwise(
    np.logaddexp2,
    lambda y, a, b: sigmoid((a - b) * log(literal(2.0, a))),
    lambda y, a, b: sigmoid((b - a) * log(literal(2.0, a))),
    exact=exact_choices.logaddexp2,
    kernel=of_kinds("log_add_exp2({0}, {1})"),
    flops=20,
    special=((1e4, -1e4),),
)

# ---------------------------------------------------------------------------- trigonometric and hyperbolic

sin = elementwise(np.sin, lambda y, x: cos(x), exact="sin", kernel=of_kinds("sin({0})", complex="sin({0})"), flops=10)
cos = elementwise(np.cos, lambda y, x: -sin(x), exact="cos", kernel=of_kinds("cos({0})", complex="cos({0})"), flops=10)
tan = elementwise(
    np.tan,
    lambda y, x: 1.0 + y * y,
    exact="tan",
    kernel=of_kinds("tan({0})", complex="tan({0})"),
    flops=12,
    domain=(-1.2, 1.2),
)
# (1 - x) * (1 + x) is as good as the dtype also near the ends of the interval, where 1 - x * x cancels.
arcsin = elementwise(
    np.arcsin,
    lambda y, x: 1.0 / sqrt((1.0 - x) * (1.0 + x)),
    exact="arcsin",
    kernel=of_kinds("asin({0})", complex="asin({0})"),
    flops=12,
    domain=(-0.9, 0.9),
)
arccos = elementwise(
    np.arccos,
    lambda y, x: -1.0 / sqrt((1.0 - x) * (1.0 + x)),
    exact="arccos",
    kernel=of_kinds("acos({0})", complex="acos({0})"),
    flops=12,
    domain=(-0.9, 0.9),
)
arctan = elementwise(
    np.arctan,
    lambda y, x: 1.0 / (1.0 + x * x),
    exact="arctan",
    kernel=of_kinds("atan({0})", complex="atan({0})"),
    flops=12,
)
arctan2 = elementwise(
    np.arctan2,
    lambda y, a, b: _over_square(b, hypot(a, b)),
    lambda y, a, b: -_over_square(a, hypot(a, b)),
    exact=exact.arctan2,
    kernel=of_kinds("atan2({0}, {1})"),
    flops=20,
    domain=(POSITIVE, POSITIVE),
)
sinh = elementwise(
    np.sinh, lambda y, x: cosh(x), exact="sinh", kernel=of_kinds("sinh({0})", complex="sinh({0})"), flops=12
)
cosh = elementwise(
    np.cosh, lambda y, x: sinh(x), exact="cosh", kernel=of_kinds("cosh({0})", complex="cosh({0})"), flops=12
)
tanh = elementwise(
    np.tanh,
    lambda y, x: 1.0 - y * y,
    exact="tanh",
    kernel=of_kinds("tanh({0})", complex="tanh({0})"),
    flops=8,
    domain=(-3, 3),
    special=(0.0, 1000.0),
)
arcsinh = elementwise(
    np.arcsinh,
    lambda y, x: 1.0 / _root_of_square_plus_one(x),
    exact="arcsinh",
    kernel=of_kinds("asinh({0})", complex="asinh({0})"),
    flops=12,
)
# Two roots: their product is on the branch of the complex function, the root of the product is not.
arccosh = elementwise(
    np.arccosh,
    lambda y, x: 1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0)),
    exact="arccosh",
    kernel=of_kinds("acosh({0})", complex="acosh({0})"),
    flops=12,
    domain=(1.2, 3.0),
)
arctanh = elementwise(
    np.arctanh,
    lambda y, x: 1.0 / ((1.0 - x) * (1.0 + x)),
    exact="arctanh",
    kernel=of_kinds("atanh({0})", complex="atanh({0})"),
    flops=12,
    domain=(-0.9, 0.9),
)
hypot = elementwise(
    np.hypot,
    lambda y, a, b: a / where(equal(y, 0.0), 1.0, y),
    lambda y, a, b: b / where(equal(y, 0.0), 1.0, y),
    exact=exact.hypot,
    kernel=of_kinds("hypot({0}, {1})"),
    flops=12,
    domain=(POSITIVE, POSITIVE),
)


def _over_square(a, length):
    """a / length**2 without overflow."""
    return a / length / length


def _root_of_square_plus_one(x):
    return sqrt(x * x + 1.0) if x.dtype.kind == "c" else hypot(x, literal(1.0, x))


# A quarter of pi is the arctangent of 1, in every kind of number.
degrees = elementwise(
    np.degrees,
    lambda y, x: literal(45.0, x) / arctan(literal(1.0, x)),
    exact=exact_choices.degrees,
    kernel=of_kinds("{0} * ({T}(180) / {T}(3.141592653589793))"),
    domain=(-3, 3),
)
radians = elementwise(
    np.radians,
    lambda y, x: arctan(literal(1.0, x)) / literal(45.0, x),
    exact=exact_choices.radians,
    kernel=of_kinds("{0} * ({T}(3.141592653589793) / {T}(180))"),
    domain=(-200, 200),
)


def _sigmoid(x):
    return special_function("expit")(x).astype(x.dtype, copy=False)  # it has no loop of its own for float16


sigmoid = elementwise(
    _sigmoid,
    lambda y, x: y * (1.0 - y),
    name="sigmoid",
    exact=exact.sigmoid,
    kernel=of_kinds("sigmoid({0})"),
    flops=10,
    special=(0.0, 1000.0, -1000.0),
    into=lambda avals: Call(special_function("expit"), (Operand(0), OUT)),
    device=lambda xp, x: special_functions(xp).expit(x).astype(x.dtype, copy=False),
)
