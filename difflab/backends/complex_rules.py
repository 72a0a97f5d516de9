"""What each primitive does to numbers x + ih whose tiny imaginary part is a derivative: analytic functions carry it on.

Where a primitive chooses or folds, the real part decides, and the imaginary part goes through the branch that is taken
(ties follow the table of the semantics).  What is not analytic, or has no complex version, is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from ..errors import UnsupportedError
from ..primitives import REGISTRY
from ..primitives.complexes import complex_dtype, complex_of
from ..primitives.record import Primitive

ANALYTIC = frozenset({
    "add", "subtract", "multiply", "negative", "square", "exp", "exp2", "expm1", "sin", "cos",
    "tan", "sinh", "cosh", "tanh", "arctan", "arcsinh", "erfc", "erfcx", "dawsn", "ndtr", "scipy_expm1", "matmul",
    "inverse", "solve", "det", "prod", "cumprod", "recurrence", "slide", "integer_power",
})  # fmt: skip
"""NumPy's and SciPy's own complex versions are right in both parts."""

PRODUCTS = {"multiply": 2, "matmul": 2, "square": 1, "integer_power": 1, "prod": 1, "cumprod": 1, "slide": 2}
"""Real parts of products lose the square of the step, which in single precision shows beside 0: from so many factors
that move, the real part is taken from the real version there."""

IMAGINARY = frozenset({"log1p", "scipy_log1p", "erf", "psi", "gamma", "loggamma", "log_ndtr", "exp1"})
"""Complex versions whose imaginary part is right; the real part is taken from the real version."""

CHOICES = frozenset({
    "absolute", "maximum", "minimum", "fmax", "fmin", "relu", "remainder", "fmod", "fraction", "copysign", "heaviside",
    "max", "min", "cummax", "cummin", "max_pool", "ldexp",
})  # fmt: skip
"""Linear on every branch, so that a branch does to the imaginary part what it does to a tangent."""

COMPLEX = frozenset({"fft", "rfft", "irfft", "real", "imag", "conjugate", "complex_of", "complex_abs"})
"""Linear over the reals only."""

Rule = Callable[[Primitive, Sequence[Any], dict[str, Any]], Any]


def re(value: Any) -> Any:
    """The real part of a moved value; any other as it is."""
    return REGISTRY["real"](value) if value.dtype.kind == "c" else value


def im(value: Any) -> Any:
    """The imaginary part of a moved value; ``None`` of any other."""
    return REGISTRY["imag"](value) if value.dtype.kind == "c" else None


def raised(operands: Sequence[Any]) -> list[Any]:
    """Floating operands as complex numbers of one dtype; integers and truth values as they are."""
    dtypes = [complex_dtype(operand.dtype) for operand in operands if operand.dtype.kind in "fc"]
    dtype = np.result_type(*dtypes)
    found = []
    for operand in operands:
        different = operand.dtype.kind in "fc" and operand.dtype != dtype
        found.append(REGISTRY["cast"](operand, dtype=dtype.str) if different else operand)
    return found


def refuse_complex(name: str) -> NoReturn:
    """Say which primitive makes or takes complex numbers of the function's own.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(
        f"backend 'complex-step' cannot go through `{name}`: the function has complex numbers of its own there, and "
        "the step needs the imaginary unit for itself; use backend 'forward', 'reverse' or 'finite'"
    )


def passed(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """What becomes of an equation some of whose operands are moved.

    Args:
        primitive: of the equation.
        operands: traced values; the moved ones are complex.
        params: of the equation.

    Returns:
        The traced result, complex where it moves.

    Raises:
        UnsupportedError: the primitive is no analytic function and no choice among such.
    """
    name = primitive.name
    if name in RULES:
        return RULES[name](primitive, operands, params)
    if primitive.jvp is None:  # piecewise constant
        return primitive(*[re(operand) for operand in operands], **params)
    if name in CHOICES:
        return _choice(primitive, operands, params)
    if name in COMPLEX:
        refuse_complex(name)
    if name in PRODUCTS and sum(operand.dtype.kind == "c" for operand in operands) >= PRODUCTS[name]:
        return _product(primitive, operands, params)
    if name in ANALYTIC or primitive.kind == "linear":
        return primitive(*raised(operands), **params)
    if name in IMAGINARY:
        (z,) = operands
        return complex_of(primitive(re(z)), im(primitive(z)))
    raise UnsupportedError(
        f"backend 'complex-step' cannot go through `{name}`, which has no complex version that is its analytic "
        "continuation; use backend 'forward', 'reverse' or 'finite'"
    )


def _choice(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """The branch that the real parts take, for both parts."""
    rule = primitive.jvp
    assert rule is not None  # of the choices, each has one
    parts = [re(operand) for operand in operands]
    value = primitive(*parts, **params)
    tangent = rule(tuple([im(operand) for operand in operands]), value, *parts, **params)
    return value if tangent is None else complex_of(value, tangent)


def _product(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """A product; in double precision the square of the step is nothing."""
    product = primitive(*raised(operands), **params)
    if product.dtype != np.complex64:
        return product
    return complex_of(primitive(*[re(operand) for operand in operands], **params), im(product))


def _resting(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Value and tangent by the rule of the primitive, at the edge of its domain; what does not move has no tangent."""
    rule = primitive.jvp
    assert rule is not None  # nothing else comes here
    parts = [re(operand) for operand in operands]
    value = primitive(*parts, **params)
    tangent: Any = None
    for position, operand in enumerate(operands):
        moving = im(operand)
        if moving is not None:
            alone = tuple([moving if other == position else None for other in range(len(operands))])
            slope = rule(alone, value, *parts, **params)
            slope = REGISTRY["where"](moving == 0.0, 0.0, slope)
            tangent = slope if tangent is None else tangent + slope
    return complex_of(value, tangent)


def _within(inside: Callable[[Any], Any]) -> Rule:
    """The rule of an analytic function that is real on a part of the axis only."""

    def rule(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        (z,) = operands
        return REGISTRY["where"](inside(re(z)), primitive(z), _resting(primitive, operands, params))

    return rule


# ------------------------------------------------------------------------------------ rules by name


def _cast(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    dtype = np.dtype(params["dtype"])
    if dtype.kind != "f":
        return primitive(re(operands[0]), **params)
    return primitive(operands[0], dtype=complex_dtype(dtype).str)


def _where(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    condition, *branches = operands
    return primitive(re(condition), *raised(branches))


def _power(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Of a negative base the power of its opposite, up to the sign that a whole exponent gives it."""
    where = REGISTRY["where"]
    base, exponent = raised(operands)
    x, p = re(base), re(exponent)
    below = x < 0.0
    sign = where(p == REGISTRY["floor"](p), 1.0 - 2.0 * REGISTRY["remainder"](p, _like(p, 2.0)), np.nan)
    still = where(im(exponent) == 0.0, _like(p, 1.0), np.nan)  # of a negative base only the base moves
    factor = where(below, sign * still, 1.0)
    main = primitive(where(below, -base, base), exponent) * REGISTRY["cast"](factor, dtype=base.dtype.str)
    return where(x == 0.0, _resting(primitive, operands, params), main)


def _like(x: Any, value: float) -> Any:
    return x.literal(value)


def _quotient(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """Over what moves the real version's real part: beside 0 that is infinite, and choices go by it."""
    quotient = primitive(*raised(operands), **params)
    if operands[-1].dtype.kind != "c":
        return quotient
    return complex_of(primitive(*[re(operand) for operand in operands], **params), im(quotient))


def _sigmoid(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (z,) = operands
    below = re(z) < 0.0
    small = REGISTRY["exp"](REGISTRY["where"](below, z, -z))
    return REGISTRY["where"](below, small / (1.0 + small), 1.0 / (1.0 + small))


def _log_expit(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (z,) = operands
    below = re(z) < 0.0
    tail = REGISTRY["log1p"](REGISTRY["exp"](REGISTRY["where"](below, z, -z)))
    return complex_of(primitive(re(z)), im(REGISTRY["where"](below, z - tail, -tail)))


def _logit(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (z,) = operands
    x = re(z)
    main = REGISTRY["log"](z / (1.0 - z))
    inside = (x > 0.0) & (x < 1.0)
    resting = _resting(primitive, operands, params)
    return REGISTRY["where"](inside, complex_of(primitive(x), im(main)), resting)


def _log_sum(exp: str, log: str) -> Rule:
    """logaddexp to a base: nothing overflows after the larger real part is taken out."""

    def rule(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        a, b = raised(operands)
        x, y = re(a), re(b)
        top = REGISTRY["maximum"](x, y)
        top = REGISTRY["cast"](REGISTRY["where"](REGISTRY["isfinite"](top), top, 0.0), dtype=a.dtype.str)
        total = REGISTRY[log](REGISTRY[exp](a - top) + REGISTRY[exp](b - top))
        return complex_of(primitive(x, y), im(total))

    return rule


def _cbrt(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    (z,) = operands
    below = re(z) < 0.0
    root = REGISTRY["exp"](REGISTRY["log"](REGISTRY["where"](below, -z, z)) / 3.0)
    moved = complex_of(primitive(re(z)), im(REGISTRY["where"](below, -root, root)))
    return REGISTRY["where"](re(z) == 0.0, _resting(primitive, operands, params), moved)


def _arctan2(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """The arctangent of the quotient whose denominator is the larger; the quadrant is the real version's."""
    where = REGISTRY["where"]
    y, x = raised(operands)
    steep = abs(re(y)) > abs(re(x))
    above, below = where(steep, -x, y), where(steep, y, x)
    origin = (re(y) == 0.0) & (re(x) == 0.0)
    angle = REGISTRY["arctan"](above / where(origin, 1.0, below))
    moved = complex_of(primitive(re(y), re(x)), im(angle))
    return where(origin, _resting(primitive, operands, params), moved)


def _hypot(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """A root of squares that neither overflow nor vanish; at the origin the table's answer."""
    where = REGISTRY["where"]
    a, b = raised(operands)
    size = REGISTRY["maximum"](abs(re(a)), abs(re(b)))
    usual = (size > 0.0) & REGISTRY["isfinite"](size)
    scale = REGISTRY["cast"](where(usual, size, 1.0), dtype=a.dtype.str)
    root = REGISTRY["sqrt"](REGISTRY["square"](a / scale) + REGISTRY["square"](b / scale)) * scale
    return where(usual, complex_of(primitive(re(a), re(b)), im(root)), _resting(primitive, operands, params))


def _logabsdet(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    """The argument of the determinant, which is small, is its sine."""
    (a,) = operands
    turned = REGISTRY["sign_det"](a) * REGISTRY["cast"](REGISTRY["sign_det"](re(a)), dtype=a.dtype.str)
    return complex_of(primitive(re(a), **params), im(turned))


def _real_sign(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    return primitive(re(operands[0]), **params)


def _times(factor: float) -> Rule:
    def rule(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        (z,) = operands
        return complex_of(primitive(re(z)), im(z) * factor)

    return rule


def _power_of(base: float) -> Rule:
    def rule(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        (z,) = operands
        return complex_of(primitive(re(z)), im(REGISTRY["exp"](z * float(np.log(base)))))

    return rule


def _x_log(log: str, inside: float) -> Rule:
    """xlogy and xlog1py: nothing where the factor is nothing."""

    def rule(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        x, y = raised(operands)
        known = re(y) > inside
        main = complex_of(primitive(re(x), re(y)), im(x * REGISTRY[log](REGISTRY["where"](known, y, 1.0))))
        return REGISTRY["where"](known, main, _resting(primitive, operands, params))

    return rule


RULES: dict[str, Rule] = {
    "cast": _cast,
    "where": _where,
    "power": _power,
    "divide": _quotient,
    "reciprocal": _quotient,
    "sqrt": _within(lambda x: x > 0.0),
    "log": _within(lambda x: x > 0.0),
    "log2": _within(lambda x: x > 0.0),
    "log10": _within(lambda x: x > 0.0),
    "arcsin": _within(lambda x: abs(x) < 1.0),
    "arccos": _within(lambda x: abs(x) < 1.0),
    "arctanh": _within(lambda x: abs(x) < 1.0),
    "arccosh": _within(lambda x: x > 1.0),
    "sigmoid": _sigmoid,
    "log_expit": _log_expit,
    "logit": _logit,
    "logaddexp": _log_sum("exp", "log"),
    "logaddexp2": _log_sum("exp2", "log2"),
    "cbrt": _cbrt,
    "scipy_cbrt": _cbrt,
    "arctan2": _arctan2,
    "hypot": _hypot,
    "logabsdet": _logabsdet,
    "sign_det": _real_sign,
    "degrees": _times(180.0 / np.pi),
    "radians": _times(np.pi / 180.0),
    "exp10": _power_of(10.0),
    "scipy_exp2": _power_of(2.0),
    "xlogy": _x_log("log", 0.0),
    "xlog1py": _x_log("log1p", -1.0),
}
