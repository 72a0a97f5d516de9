"""Primitives that act on each element: one partial derivative per argument, both modes derived from it.

Operands of one equation have one dtype (the tracer inserts ``cast`` where NumPy promotes) and broadcast as in NumPy.
"""

from __future__ import annotations

import math

import numpy as np

from ..arrays import special_function
from . import exact_rules as exact
from .batching import broadcasting
from .constructors import elementwise, general, linear
from .record import OUT, REGISTRY, Aval, Call, Operand, boolean, literal, same_dtype, unbroadcast

POSITIVE = (0.1, 3.0)

# ---------------------------------------------------------------------------- arithmetic

add = elementwise(np.add, 1, 1)
subtract = elementwise(np.subtract, 1, -1)
multiply = elementwise(np.multiply, lambda y, a, b: b, lambda y, a, b: a)
divide = elementwise(
    np.divide,
    lambda y, a, b: 1.0 / b,
    lambda y, a, b: -(y / b),
    exact=exact.divide,
    domain=((-2.0, 2.0), (0.3, 3.0)),
)
negative = elementwise(np.negative, -1)
reciprocal = elementwise(np.reciprocal, lambda y, x: -(y * y), exact=exact.reciprocal, domain=(0.3, 3.0))
square = elementwise(np.square, lambda y, x: 2.0 * x, exact=exact.square, special=(0.0, -0.0, math.inf))


def _power_base(y, x, p):
    slope = p * power(x, p - 1.0)
    return where(equal(p, 0.0), 0.0, slope)


def _power_exponent(y, x, p):
    return where(equal(x, 0.0), 0.0, y * log(where(equal(x, 0.0), 1.0, x)))


power = elementwise(np.power, _power_base, _power_exponent, exact=exact.power, flops=20, domain=(POSITIVE, (-2.0, 2.0)))


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
    batch=broadcasting("integer_power"),
    abstract=lambda x, n: Aval(x.shape, x.dtype),
    into=_integer_power_into,
    exact=exact.integer_power,
    flops=lambda avals, out, n: 10.0 * out.size,
    samples=lambda: [((np.array([-1.5, 0.3, 2.0]),), {"n": n}) for n in (3, 0, 1, -1, -2, 5)],
)

# ---------------------------------------------------------------------------- exponentials, roots, logarithms

sqrt = elementwise(np.sqrt, lambda y, x: 0.5 / y, exact=exact.sqrt, flops=4, domain=POSITIVE, special=(0.0, math.inf))
exp = elementwise(np.exp, lambda y, x: y, exact="exp", flops=8, special=(0.0, -800.0))
exp2 = elementwise(np.exp2, lambda y, x: log(literal(2.0, x)) * y, exact="exp2", flops=8)
expm1 = elementwise(np.expm1, lambda y, x: y + 1.0, exact="expm1", flops=10, special=(0.0, 1e-18))
log = elementwise(np.log, lambda y, x: 1.0 / x, exact="log", flops=8, domain=POSITIVE, special=(1.0, math.inf))
log2 = elementwise(np.log2, lambda y, x: 1.0 / (log(literal(2.0, x)) * x), exact="log2", flops=8, domain=POSITIVE)
log10 = elementwise(np.log10, lambda y, x: 1.0 / (log(literal(10.0, x)) * x), exact="log10", flops=8, domain=POSITIVE)
log1p = elementwise(np.log1p, lambda y, x: 1.0 / (1.0 + x), exact="log1p", flops=10, domain=(-0.9, 3.0), special=(0.0,))
logaddexp = elementwise(
    np.logaddexp,
    lambda y, a, b: sigmoid(a - b),
    lambda y, a, b: sigmoid(b - a),
    exact=exact.logaddexp,
    flops=20,
    special=((1e4, -1e4),),
)

# ---------------------------------------------------------------------------- trigonometric and hyperbolic

sin = elementwise(np.sin, lambda y, x: cos(x), exact="sin", flops=10)
cos = elementwise(np.cos, lambda y, x: -sin(x), exact="cos", flops=10)
tan = elementwise(np.tan, lambda y, x: 1.0 + y * y, exact="tan", flops=12, domain=(-1.2, 1.2))
arcsin = elementwise(np.arcsin, lambda y, x: 1.0 / sqrt(1.0 - x * x), exact="arcsin", flops=12, domain=(-0.9, 0.9))
arccos = elementwise(np.arccos, lambda y, x: -1.0 / sqrt(1.0 - x * x), exact="arccos", flops=12, domain=(-0.9, 0.9))
arctan = elementwise(np.arctan, lambda y, x: 1.0 / (1.0 + x * x), exact="arctan", flops=12)
arctan2 = elementwise(
    np.arctan2,
    lambda y, a, b: b / (a * a + b * b),
    lambda y, a, b: -a / (a * a + b * b),
    exact=exact.arctan2,
    flops=20,
    domain=(POSITIVE, POSITIVE),
)
sinh = elementwise(np.sinh, lambda y, x: cosh(x), exact="sinh", flops=12)
cosh = elementwise(np.cosh, lambda y, x: sinh(x), exact="cosh", flops=12)
tanh = elementwise(np.tanh, lambda y, x: 1.0 - y * y, exact="tanh", flops=8, domain=(-3, 3), special=(0.0, 1000.0))
arcsinh = elementwise(np.arcsinh, lambda y, x: 1.0 / sqrt(x * x + 1.0), exact="arcsinh", flops=12)
arccosh = elementwise(np.arccosh, lambda y, x: 1.0 / sqrt(x * x - 1.0), exact="arccosh", flops=12, domain=(1.2, 3.0))
arctanh = elementwise(np.arctanh, lambda y, x: 1.0 / (1.0 - x * x), exact="arctanh", flops=12, domain=(-0.9, 0.9))
hypot = elementwise(
    np.hypot, lambda y, a, b: a / y, lambda y, a, b: b / y, exact=exact.hypot, flops=12, domain=(POSITIVE, POSITIVE)
)


def _sigmoid(x):
    return special_function("expit")(x).astype(x.dtype, copy=False)  # it has no loop of its own for float16


sigmoid = elementwise(
    _sigmoid,
    lambda y, x: y * (1.0 - y),
    name="sigmoid",
    exact=exact.sigmoid,
    flops=10,
    special=(0.0, 1000.0, -1000.0),
    into=lambda avals: Call(special_function("expit"), (Operand(0), OUT)),
)

# ---------------------------------------------------------------------------- choices (kinks: see semantics)

FLAT = "piecewise constant: its derivative is zero wherever it exists"
sign = elementwise(np.sign, None, exact=exact.sign, special=(0.0, 2.0, -2.0), excuse=FLAT)
absolute = elementwise(np.absolute, lambda y, x: sign(x), exact=exact.absolute, special=(0.0,))


def _share(larger, a, b):
    """1 where a wins, 1/2 at a tie, 0 where b wins."""
    if larger:
        return 0.5 * (cast(greater(a, b), dtype=a.dtype.str) + cast(greater_equal(a, b), dtype=a.dtype.str))
    return 0.5 * (cast(less(a, b), dtype=a.dtype.str) + cast(less_equal(a, b), dtype=a.dtype.str))


maximum = elementwise(
    np.maximum,
    lambda y, a, b: _share(True, a, b),
    lambda y, a, b: _share(True, b, a),
    exact=exact.maximum,
    special=((1.0, 1.0),),
)
minimum = elementwise(
    np.minimum,
    lambda y, a, b: _share(False, a, b),
    lambda y, a, b: _share(False, b, a),
    exact=exact.minimum,
    special=((1.0, 1.0),),
)


def _relu(x):
    return np.maximum(x, np.zeros((), x.dtype))


relu = elementwise(
    _relu,
    lambda y, x: sign(y),  # y >= 0, so this is 1 where x > 0 and 0 at the kink
    name="relu",
    exact=exact.relu,
    special=(0.0, -0.0),
    into=lambda avals: Call(np.maximum, (Operand(0), np.zeros((), avals[0].dtype), OUT), keyword=True),
)

greater = elementwise(np.greater, None, None, abstract=boolean, exact=exact.greater, excuse=FLAT)
greater_equal = elementwise(np.greater_equal, None, None, abstract=boolean, exact=exact.greater_equal, excuse=FLAT)
less = elementwise(np.less, None, None, abstract=boolean, exact=exact.less, excuse=FLAT)
less_equal = elementwise(np.less_equal, None, None, abstract=boolean, exact=exact.less_equal, excuse=FLAT)
equal = elementwise(np.equal, None, None, abstract=boolean, exact=exact.equal, excuse=FLAT)
not_equal = elementwise(np.not_equal, None, None, abstract=boolean, exact=exact.not_equal, excuse=FLAT)
logical_and = elementwise(np.logical_and, None, None, abstract=boolean, exact=exact.logical_and, excuse=FLAT)
logical_or = elementwise(np.logical_or, None, None, abstract=boolean, exact=exact.logical_or, excuse=FLAT)
logical_not = elementwise(np.logical_not, None, abstract=boolean, exact=exact.logical_not, excuse=FLAT)
isnan = elementwise(np.isnan, None, abstract=boolean, exact=exact.isnan, excuse=FLAT)
isinf = elementwise(np.isinf, None, abstract=boolean, exact=exact.isinf, excuse=FLAT)
isfinite = elementwise(np.isfinite, None, abstract=boolean, exact=exact.isfinite, excuse=FLAT)
floor = elementwise(np.floor, None, exact=exact.floor, excuse=FLAT)
ceil = elementwise(np.ceil, None, exact=exact.ceil, excuse=FLAT)


def _where_into(condition, a, b, out):
    np.copyto(out, b)
    np.copyto(out, a, where=condition)


def _where_abstract(condition, a, b):
    return Aval(np.broadcast_shapes(condition.shape, a.shape, b.shape), a.dtype)


def _where_jvp(tangents, y, condition, a, b):
    _, ta, tb = tangents
    if ta is None and tb is None:
        return None
    tangent = where(condition, 0.0 if ta is None else ta, 0.0 if tb is None else tb)
    return tangent if tangent.shape == y.shape else REGISTRY["broadcast_to"](tangent, shape=y.shape)


def _where_vjp(cotangent, y, condition, a, b, *, wanted):
    return (
        None,
        unbroadcast(where(condition, cotangent, 0.0), a.shape) if wanted[1] else None,
        unbroadcast(where(condition, 0.0, cotangent), b.shape) if wanted[2] else None,
    )


where = general(
    np.where,
    _where_jvp,
    _where_vjp,
    name="where",
    batch=broadcasting("where"),
    abstract=_where_abstract,
    into=lambda avals: Call(_where_into, (Operand(0), Operand(1), Operand(2), OUT)),
    exact=exact.where,
    samples=lambda: [
        ((np.array([True, False, True]), np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])), {}),
        ((np.array([[True], [False]]), np.array([1.0, 2.0, 3.0]), np.array(0.5)), {}),
    ],
)

# ---------------------------------------------------------------------------- copies, casts and stops


def _cast(x, *, dtype):
    return np.asarray(x).astype(dtype)


def _cast_into(x, out):
    np.copyto(out, x, casting="unsafe")


def _cast_transpose(cotangent, x, *, wanted, dtype):
    if not wanted[0] or x.dtype.kind not in "fc" or np.dtype(dtype).kind not in "fc":
        return (None,)
    if x.dtype.kind == "f" and cotangent.dtype.kind == "c":  # the other part belongs to nothing that x can move
        cotangent = REGISTRY["real"](cotangent)
    return (cotangent if cotangent.dtype == x.dtype else cast(cotangent, dtype=x.dtype.str),)


def _cast_abstract(x, *, dtype):
    target = np.dtype(dtype)
    if x.dtype.kind == "c" and target.kind not in "cb":
        raise ValueError(
            f"a complex array is to become {target.name}, which would drop its imaginary part; take np.real or np.abs"
        )
    return Aval(x.shape, target)


cast = linear(
    _cast,
    _cast_transpose,
    name="cast",
    batch=broadcasting("cast"),
    abstract=_cast_abstract,
    into=lambda avals, dtype: (
        Call(np.copyto, (OUT, Operand(0)))
        if np.can_cast(avals[0].dtype, dtype, "same_kind")
        else Call(_cast_into, (Operand(0), OUT))
    ),
    exact=exact.cast,
    samples=lambda: [((np.array([1.5, -2.0]),), {"dtype": "<f4"}), ((np.array([1.5, -2.0], "f4"),), {"dtype": "<f8"})],
)
zeros_like = linear(
    lambda x: np.zeros_like(x),
    lambda cotangent, x, wanted: (None,),
    name="zeros_like",
    batch=broadcasting("zeros_like"),
    abstract=same_dtype,
    into=lambda avals: Call(_fill_zero, (OUT,)),
    exact=exact.zeros_like,
    samples=lambda: [((np.array([1.5, -2.0]),), {})],
)
copy = linear(
    lambda x: np.array(x),
    lambda cotangent, x, wanted: (cotangent,),
    name="copy",
    batch=broadcasting("copy"),
    abstract=same_dtype,
    into=lambda avals: Call(_cast_into, (Operand(0), OUT)),
    samples=lambda: [((np.array([1.5, -2.0]),), {})],
)
stop_gradient = general(
    lambda x: x,
    None,
    None,
    name="stop_gradient",
    batch=broadcasting("stop_gradient"),
    abstract=same_dtype,
    view=True,
    exact=exact.stop_gradient,
    samples=lambda: [((np.array([1.5, -2.0]),), {})],
    excuse="its derivative is zero by definition",
)


def _fill_zero(out):
    out.fill(0)
