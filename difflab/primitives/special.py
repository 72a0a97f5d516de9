"""Special functions of SciPy, whose ufuncs come to us as NumPy's do; SciPy is imported when one is first used.

Derivatives are those of the NIST Digital Library of Mathematical Functions, chapters 5 to 10; where two terms of a
textbook formula cancel, another form of it is taken.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import namespace, special_function, special_functions
from ..errors import UnsupportedError, user_location
from . import dependence, device_rules, examples
from . import elementwise as e
from . import exact_special as exact
from .choices import equal, greater, logical_and, sign, where
from .complexes import real_dtype
from .constructors import elementwise, general
from .kernel_texts import of_kinds, of_order_zero, with_order
from .record import OUT, Aval, Call, Operand, Primitive, broadcast_shapes, literal

# SciPy's name of a ufunc -> our record.
UFUNCS: dict[str, Primitive] = {"expit": e.sigmoid}
NO_SYMBOL = "neither balls nor symbols know this function here"
POSITIVE, UNIT = (0.3, 3.0), (0.1, 0.9)


def of_ufunc(ufunc: np.ufunc) -> Primitive | None:
    """The record of a ufunc of SciPy, which the caller must have imported."""
    # Some functions are Python's around a ufunc, which stands in the module behind the public one.
    modules = [sys.modules.get(name) for name in ("scipy.special", "scipy.special._ufuncs")]
    known = any(module is not None and getattr(module, ufunc.__name__, None) is ufunc for module in modules)
    return UFUNCS.get(ufunc.__name__) if known else None


def _last_dtype(*avals: Aval) -> Aval:
    return Aval(broadcast_shapes(*[aval.shape for aval in avals]), avals[-1].dtype)


def special(ufunc: str, *partials: Any, name: str = "", flops: float = 30.0, **known: Any) -> Primitive:
    """A ufunc of SciPy as an elementwise primitive; with samples of its own, one that takes integers among others."""
    known = {"inexact": "" if known.get("exact") else NO_SYMBOL, "abstract": _last_dtype, **known}

    def with_orders(*operands: Any) -> Any:
        arrays = [np.asarray(operand) for operand in operands]  # constants may be Python's numbers
        dtype = next(array.dtype for array in arrays if array.dtype.kind in "fc")
        return special_function(ufunc)(*[of_order(array, dtype) for array in arrays])

    def into(avals: Any) -> Call:
        function = with_orders if "samples" in known else special_function(ufunc)
        return Call(function, (*map(Operand, range(len(avals))), OUT))

    known = {"device": on_device(ufunc), **known}
    record = elementwise(
        with_orders if "samples" in known else lambda *operands: special_function(ufunc)(*operands),
        *partials,
        name=name or ufunc,
        flops=flops,
        into=into,
        **known,
    )
    UFUNCS[ufunc] = record
    return record


def of_order(v: Any, dtype: np.dtype) -> Any:
    """An order in the real dtype of the argument: orders may be integers, and the argument complex."""
    return v if v.dtype.kind in "fc" else e.cast(v, dtype=real_dtype(dtype).str)


def on_device(ufunc: str) -> Callable[..., Any]:
    """The rule of a ufunc that CuPy has under SciPy's name; its orders may be integers."""

    def device(xp: Any, *operands: Any) -> Any:
        floats = [operand.dtype for operand in operands if operand.dtype.kind in "fc"]
        dtype = np.result_type(*floats) if floats else np.dtype(float)
        try:
            result = getattr(special_functions(xp), ufunc)(*[of_order(operand, dtype) for operand in operands])
        except TypeError as error:
            raise UnsupportedError(f"CuPy has no {ufunc} of {dtype.name} numbers; use device 'cpu'") from error
        return result.astype(dtype, copy=False)

    return device


def lacking(name: str) -> Callable[..., Any]:
    """The rule of a function that CuPy does not have."""

    def device(xp: Any, *operands: Any) -> Any:
        raise UnsupportedError(f"CuPy has no {name}, so a GPU cannot compute it; use device 'cpu'")

    return device


def refused(name: str, argument: str) -> Callable[..., Any]:
    """A partial derivative that nobody has written down."""

    def partial(*operands: Any) -> Any:
        raise UnsupportedError(
            f"{name} at {user_location()} has no derivative in its {argument}; keep that a plain number or array, "
            "cut it off with dl.nn.stop_gradient, or use backend 'finite'"
        )

    return partial


def _of_reals(name: str, x: Any) -> None:
    if x.dtype.kind == "c":
        refused(name, "complex argument")()


def _pi(x):
    return 4.0 * e.arctan(literal(1.0, x))


def _two_over_root_pi(x):
    return 2.0 / e.sqrt(_pi(x))


def _root_two_pi(x):
    return e.sqrt(2.0 * _pi(x))


# ---------------------------------------------------------------------------- error functions, normal distribution

erf = special("erf", lambda y, x: _two_over_root_pi(x) * e.exp(-x * x), exact="erf", kernel=of_kinds("erf({0})"))
erfc = special("erfc", lambda y, x: -_two_over_root_pi(x) * e.exp(-x * x), exact="erfc", kernel=of_kinds("erfc({0})"))
erfcx = special("erfcx", lambda y, x: 2.0 * x * y - _two_over_root_pi(x), kernel=of_kinds("erfcx({0})"))
erfinv = special(
    "erfinv", lambda y, x: e.exp(y * y) / _two_over_root_pi(x), domain=(-0.9, 0.9), kernel=of_kinds("erfinv({0})")
)
erfcinv = special(
    "erfcinv", lambda y, x: -e.exp(y * y) / _two_over_root_pi(x), domain=(0.1, 1.9), kernel=of_kinds("erfcinv({0})")
)
dawsn = special("dawsn", lambda y, x: 1.0 - 2.0 * x * y, device=device_rules.dawsn)
ndtr = special(
    "ndtr", lambda y, x: e.exp(-0.5 * x * x) / _root_two_pi(x), exact=exact.ndtr, kernel=of_kinds("normcdf({0})")
)
# The density over the distribution: both vanish far to the left, their ratio does not.
log_ndtr = special(
    "log_ndtr",
    lambda y, x: e.sqrt(2.0 / _pi(x)) / erfcx(-x / e.sqrt(literal(2.0, x))),
    special=(-30.0, 30.0),
    kernel=of_kinds("log_normal_cdf({0})"),
)
ndtri = special(
    "ndtri", lambda y, x: _root_two_pi(x) * e.exp(0.5 * y * y), domain=UNIT, kernel=of_kinds("normcdfinv({0})")
)
logit = special(
    "logit", lambda y, x: 1.0 / (x * (1.0 - x)), exact=exact.logit, domain=UNIT, kernel=of_kinds("logit_of({0})")
)
log_expit = special(
    "log_expit",
    lambda y, x: e.sigmoid(-x),
    exact=exact.log_expit,
    special=(1000.0, -1000.0),
    kernel=of_kinds("log_sigmoid({0})"),
)

# ---------------------------------------------------------------------------- SciPy's own elementary functions

scipy_expm1 = special(
    "expm1",
    lambda y, x: y + 1.0,
    name="scipy_expm1",
    device=lambda xp, x: device_rules.expm1(xp, x) if x.dtype.kind == "c" else special_functions(xp).expm1(x),
    exact="expm1",
    kernel=of_kinds("expm1({0})", complex="complex_expm1({0})"),
)
scipy_log1p = special(
    "log1p",
    lambda y, x: 1.0 / (1.0 + x),
    name="scipy_log1p",
    exact="log1p",
    domain=(-0.9, 3.0),
    kernel=of_kinds("log1p({0})", complex="complex_log1p({0})"),
)
scipy_exp2 = special(
    "exp2", lambda y, x: e.log(literal(2.0, x)) * y, name="scipy_exp2", exact="exp2", kernel=of_kinds("exp2({0})")
)
scipy_cbrt = special(
    "cbrt",
    lambda y, x: 1.0 / (3.0 * y * y),
    name="scipy_cbrt",
    exact=e.cbrt.exact,
    domain=POSITIVE,
    kernel=of_kinds("cbrt({0})"),
)
exp10 = special("exp10", lambda y, x: e.log(literal(10.0, x)) * y, exact=exact.exp10, kernel=of_kinds("exp10({0})"))
cosm1 = special("cosm1", lambda y, x: -e.sin(x), exact=exact.cosm1, kernel=of_kinds("cosine_less_one({0})"))
sindg = special(
    "sindg",
    lambda y, x: cosdg(x) * e.radians(literal(1.0, x)),
    exact=exact.sindg,
    kernel=of_kinds("sine_of_degrees({0})"),
)
cosdg = special(
    "cosdg",
    lambda y, x: -sindg(x) * e.radians(literal(1.0, x)),
    exact=exact.cosdg,
    kernel=of_kinds("cosine_of_degrees({0})"),
)

# ---------------------------------------------------------------------------- entropies; 0 * log(0) is 0


def _quotient(x, y):
    """x / y, and 0 for 0 / 0."""
    return x / where(logical_and(equal(x, 0.0), equal(y, 0.0)), 1.0, y)


xlogy = special(
    "xlogy",
    lambda z, x, y: e.log(y),
    lambda z, x, y: _quotient(x, y),
    domain=((-2.0, 2.0), POSITIVE),
    special=((0.0, 0.0),),
    kernel=of_kinds("times_log({0}, {1})"),
)
xlog1py = special(
    "xlog1py",
    lambda z, x, y: e.log1p(y),
    lambda z, x, y: _quotient(x, 1.0 + y),
    domain=((-2.0, 2.0), (-0.6, 2.0)),
    special=((0.0, -1.0),),
    device=lambda xp, x, y: xp.where(xp.isnan(y), y, special_functions(xp).xlog1py(x, y)).astype(x.dtype, copy=False),
    kernel=of_kinds("times_log1p({0}, {1})"),
)
entr = special(
    "entr", lambda y, x: -(e.log(x) + 1.0), domain=POSITIVE, special=(0.0, -1.0), kernel=of_kinds("entropy({0})")
)
rel_entr = special(
    "rel_entr",
    lambda z, x, y: e.log(x / y) + 1.0,
    lambda z, x, y: -_quotient(x, y),
    domain=(POSITIVE, POSITIVE),
    special=((0.0, 1.0),),
    kernel=of_kinds("relative_entropy({0}, {1})"),
)
kl_div = special(
    "kl_div",
    lambda z, x, y: e.log(x / y),
    lambda z, x, y: 1.0 - _quotient(x, y),
    domain=(POSITIVE, POSITIVE),
    special=((0.0, 1.0),),
    kernel=of_kinds("divergence({0}, {1})"),
)


def _linear_part(delta, r):
    return greater(e.absolute(r), delta)


huber = special(
    "huber",
    lambda y, delta, r: where(_linear_part(delta, r), e.absolute(r) - delta, 0.0),
    lambda y, delta, r: where(_linear_part(delta, r), delta * sign(r), r),
    exact=exact.huber,
    domain=((0.4, 0.6), (0.7, 2.0)),
    special=((1.0, 1.0),),
    kernel=of_kinds("huber_loss({0}, {1})"),
)
pseudo_huber = special(
    "pseudo_huber",
    lambda y, delta, r: 2.0 * y / delta - r * r / (delta * e.hypot(r / delta, literal(1.0, r))),
    lambda y, delta, r: r / e.hypot(r / delta, literal(1.0, r)),
    exact=exact.pseudo_huber,
    domain=(POSITIVE, (-2.0, 2.0)),
    kernel=of_kinds("pseudo_huber_loss({0}, {1})"),
)
boxcox = special(
    "boxcox",
    lambda y, x, p: e.power(x, of_order(p, x.dtype) - 1.0),
    refused("boxcox", "exponent"),
    samples=lambda: [((np.array([0.5, 1.5, 2.0]), np.array([0, 1, 2], np.int16)), {})],
    abstract=lambda x, p: Aval(broadcast_shapes(x.shape, p.shape), x.dtype),
    kernel=with_order("box_cox({0}, {1})"),
)
inv_boxcox = special(
    "inv_boxcox",
    lambda y, x, p: e.power(y, 1.0 - of_order(p, x.dtype)),
    refused("inv_boxcox", "exponent"),
    samples=lambda: [((np.array([0.5, 1.5, 2.0]), np.array([0, 1, 2], np.int16)), {})],
    abstract=lambda x, p: Aval(broadcast_shapes(x.shape, p.shape), x.dtype),
    kernel=with_order("inverse_box_cox({0}, {1})"),
)

# ---------------------------------------------------------------------------- a function and its derivatives at once


def family(
    name: str, ufunc: str, value: Callable, exact: Any = None, domain: tuple = (-2.0, 2.0), kernel: Any = None
) -> Primitive:
    """``value(x, order)``: a function and its derivatives, each computed on its own, so that none cancels."""

    def evaluate(x, *, order=0):
        return value(x, order)

    def jvp(tangents, y, x, *, order=0):
        return tangents[0] * record(x, order=order + 1)

    def vjp(cotangent, y, x, *, wanted, order=0):
        return (cotangent * record(x, order=order + 1) if wanted[0] else None,)

    def batch(size, flags, x, *, order=0):
        return record(x, order=order)

    points = np.linspace(domain[0], domain[1], 7)
    record = general(
        evaluate,
        jvp,
        vjp,
        name=name,
        depends=dependence.same,
        device=lambda xp, x, *, order=0: evaluate(x, order=order),
        abstract=lambda x, order=0: Aval(x.shape, x.dtype),
        exact=exact,
        inexact="" if exact else NO_SYMBOL,
        flops=lambda avals, out, order=0: 30.0 * out.size,
        samples=lambda: [((points,), {"order": order}) for order in (0, 1, 2)],
        examples=examples.aligned,
        batch=batch,
        kernel=kernel,
    )
    if ufunc:
        UFUNCS[ufunc] = record
    return record


def power_series(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A polynomial by Horner's rule, constant term first."""
    total = np.zeros_like(x)
    for coefficient in coefficients[::-1]:
        total = total * x + coefficient
    return total


def by_parts(x: np.ndarray, order: int, first: np.ndarray, waves: Callable, series: Callable) -> np.ndarray:
    """Derivatives of f = w / x by x f_n + n f_(n-1) = w_n where that is stable, by a series elsewhere."""
    near = np.abs(x) < order + 1.0
    safe = np.where(near, 1.0, x)
    result = first
    for n in range(1, order + 1):
        result = (waves(safe, n) - n * result) / safe
    return np.where(near, series(np.where(near, x, 0.0)), result)


def _factorials(count: int) -> np.ndarray:
    return np.cumprod(np.maximum(np.arange(count, dtype=float), 1.0))


def _sinc(x, order):
    if order == 0:
        return np.sinc(x)
    t = np.pi * x.astype(np.result_type(x.dtype, np.float64))
    # sin(t)/t is the sum of (-1)**j t**(2j) / (2j + 1)!; its derivative of that order has every second power.
    powers = np.arange(order + 1.0 + 30.0 + 3.0 * order).astype(int)
    signs = np.where((powers + order) % 2 == 0, (-1.0) ** ((powers + order) // 2), 0.0)
    coefficients = signs / ((powers + order + 1) * _factorials(len(powers)))

    def waves(t, n):
        return (np.sin(t), np.cos(t), -np.sin(t), -np.cos(t))[n % 4]

    with np.errstate(all="ignore"):
        first = np.sin(t) / np.where(t == 0, 1.0, t)
        result = by_parts(t, order, first, waves, lambda near: power_series(coefficients, near))
    return (np.pi**order * result).astype(x.dtype)


def _exprel(x, order):
    if order == 0:
        return special_functions(namespace(x)).exprel(x).astype(x.dtype, copy=False)
    t = x.astype(np.float64)
    # The derivative is the integral of s**order exp(t s) over [0, 1]; to the left of 0 in Kummer's form, so that all
    # terms of the series are positive.
    terms = np.arange(60 + 4 * order)
    right = 1.0 / (_factorials(len(terms)) * (terms + order + 1))
    left = 1.0 / np.cumprod(order + 1.0 + terms)

    def series(near):
        size = np.abs(near)
        return np.where(near < 0, np.exp(near) * power_series(left, size), power_series(right, size))

    with np.errstate(all="ignore"):
        first = special_functions(namespace(t)).exprel(t)
        result = by_parts(t, order, first, lambda safe, n: np.exp(safe), series)
    return result.astype(x.dtype)


sinc = family("sinc", "", _sinc, e.exact_choices.sinc, domain=(-2.1, 2.0), kernel=of_order_zero("sinc_of({0})"))
exprel = family("exprel", "exprel", _exprel, domain=(-4.0, 3.1), kernel=of_order_zero("relative_exp({0})"))
