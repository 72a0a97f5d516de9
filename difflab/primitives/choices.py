"""Primitives that choose or round, element by element; at kinks they follow the table of the semantics.

Comparisons, tests and roundings are live equations without derivative.
"""

from __future__ import annotations

import numpy as np

from . import device_rules, exact_choices, examples
from . import exact_rules as exact
from .batching import broadcasting
from .casts import cast
from .constructors import elementwise, general
from .kernel_texts import choice_text, of_kinds, truths
from .record import OUT, REGISTRY, Aval, Call, Operand, boolean, literal, same_dtype, unbroadcast

FLAT = "piecewise constant: its derivative is zero wherever it exists"
SIGN_OF_ZERO = "it asks for the sign of zero, which exact numbers do not have"


def _of_reals(x):
    if x.dtype.kind == "c":
        raise ValueError("this rule is one for real numbers; of complex ones take np.abs, np.real or np.imag first")
    return same_dtype(x)


def _sign_fill(x, out):
    """NumPy's sign takes a branch for every element; comparisons do not."""
    if np.isnan(x).any():
        np.sign(x, out)
        return
    above, below = np.greater(x, 0), np.less(x, 0)
    np.copyto(out, np.subtract(above.view(np.int8), below.view(np.int8)))


def _sign_into(avals):
    compared = avals[0].dtype.kind == "f" and avals[0].shape
    return Call(_sign_fill if compared else np.sign, (Operand(0), OUT))


sign = elementwise(
    np.sign,
    None,
    exact=exact.sign,
    special=(0.0, 2.0, -2.0),
    abstract=_of_reals,
    into=_sign_into,
    excuse=FLAT,
    kernel=of_kinds("sign({0})", whole="sign({0})"),
)
absolute = elementwise(
    np.absolute,
    lambda y, x: sign(x),
    exact=exact.absolute,
    special=(0.0,),
    abstract=_of_reals,
    kernel=of_kinds("fabs({0})", whole="whole_size({0})", boolean="{0}"),
)


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
    kernel=of_kinds("larger({0}, {1})", whole="larger({0}, {1})", boolean="either({0}, {1})"),
)
minimum = elementwise(
    np.minimum,
    lambda y, a, b: _share(False, a, b),
    lambda y, a, b: _share(False, b, a),
    exact=exact.minimum,
    special=((1.0, 1.0),),
    kernel=of_kinds("smaller({0}, {1})", whole="smaller({0}, {1})", boolean="both({0}, {1})"),
)


def _share_beside_nan(larger, a, b):
    """As ``_share``, but a NaN loses against a number."""
    return where(isnan(b), 1.0, where(isnan(a), 0.0, _share(larger, a, b)))


fmax = elementwise(
    np.fmax,
    lambda y, a, b: _share_beside_nan(True, a, b),
    lambda y, a, b: _share_beside_nan(True, b, a),
    exact=exact_choices.fmax,
    special=((1.0, 1.0),),
    kernel=of_kinds("larger_number({0}, {1})", whole="larger({0}, {1})", boolean="either({0}, {1})"),
)
fmin = elementwise(
    np.fmin,
    lambda y, a, b: _share_beside_nan(False, a, b),
    lambda y, a, b: _share_beside_nan(False, b, a),
    exact=exact_choices.fmin,
    special=((1.0, 1.0),),
    kernel=of_kinds("smaller_number({0}, {1})", whole="smaller({0}, {1})", boolean="both({0}, {1})"),
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
    device=lambda xp, x: xp.maximum(x, xp.zeros((), dtype=x.dtype)),
    kernel=of_kinds("larger({0}, {T}(0))", whole="larger({0}, {T}(0))"),
)

greater = elementwise(
    np.greater,
    None,
    None,
    abstract=boolean,
    exact=exact.greater,
    excuse=FLAT,
    kernel=of_kinds("{0} > {1}", whole="{0} > {1}", boolean="{0} > {1}"),
)
greater_equal = elementwise(
    np.greater_equal,
    None,
    None,
    abstract=boolean,
    exact=exact.greater_equal,
    excuse=FLAT,
    kernel=of_kinds("{0} >= {1}", whole="{0} >= {1}", boolean="{0} >= {1}"),
)
less = elementwise(
    np.less,
    None,
    None,
    abstract=boolean,
    exact=exact.less,
    excuse=FLAT,
    kernel=of_kinds("{0} < {1}", whole="{0} < {1}", boolean="{0} < {1}"),
)
less_equal = elementwise(
    np.less_equal,
    None,
    None,
    abstract=boolean,
    exact=exact.less_equal,
    excuse=FLAT,
    kernel=of_kinds("{0} <= {1}", whole="{0} <= {1}", boolean="{0} <= {1}"),
)
equal = elementwise(np.equal, None, None, abstract=boolean, exact=exact.equal, excuse=FLAT, kernel="{0} == {1}")
not_equal = elementwise(
    np.not_equal, None, None, abstract=boolean, exact=exact.not_equal, excuse=FLAT, kernel="{0} != {1}"
)
logical_and = elementwise(
    np.logical_and,
    None,
    None,
    abstract=boolean,
    exact=exact.logical_and,
    device=device_rules.truth("logical_and"),
    excuse=FLAT,
    kernel=truths("both({0}, {1})"),
)
logical_or = elementwise(
    np.logical_or,
    None,
    None,
    abstract=boolean,
    exact=exact.logical_or,
    device=device_rules.truth("logical_or"),
    excuse=FLAT,
    kernel=truths("either({0}, {1})"),
)
logical_not = elementwise(
    np.logical_not,
    None,
    abstract=boolean,
    exact=exact.logical_not,
    device=device_rules.truth("logical_not"),
    excuse=FLAT,
    kernel=truths("no({0})"),
)
isnan = elementwise(
    np.isnan,
    None,
    abstract=boolean,
    exact=exact.isnan,
    excuse=FLAT,
    kernel=of_kinds(
        "isnan({0})", whole="bool(0)", boolean="bool(0)", complex="either(isnan(real_part({0})), isnan(imag_part({0})))"
    ),
)
isinf = elementwise(
    np.isinf,
    None,
    abstract=boolean,
    exact=exact.isinf,
    excuse=FLAT,
    kernel=of_kinds(
        "isinf({0})", whole="bool(0)", boolean="bool(0)", complex="either(isinf(real_part({0})), isinf(imag_part({0})))"
    ),
)
isfinite = elementwise(
    np.isfinite,
    None,
    abstract=boolean,
    exact=exact.isfinite,
    excuse=FLAT,
    kernel=of_kinds(
        "isfinite({0})",
        whole="bool(1)",
        boolean="bool(1)",
        complex="both(isfinite(real_part({0})), isfinite(imag_part({0})))",
    ),
)
signbit = elementwise(
    np.signbit, None, abstract=boolean, excuse=FLAT, inexact=SIGN_OF_ZERO, kernel=of_kinds("signbit({0})")
)
logical_xor = elementwise(
    np.logical_xor,
    None,
    None,
    abstract=boolean,
    exact=exact_choices.logical_xor,
    device=device_rules.truth("logical_xor"),
    excuse=FLAT,
    kernel=truths("{0} != {1}"),
)

# ---------------------------------------------------------------------------- rounding, quotients, remainders

DIVISION = ((2.1, 2.85), (0.97, 1.03))  # the quotient stays away from whole numbers
floor = elementwise(
    np.floor, None, exact=exact.floor, excuse=FLAT, kernel=of_kinds("floor({0})", whole="{0}", boolean="{0}")
)
ceil = elementwise(
    np.ceil, None, exact=exact.ceil, excuse=FLAT, kernel=of_kinds("ceil({0})", whole="{0}", boolean="{0}")
)
trunc = elementwise(
    np.trunc, None, exact=exact_choices.trunc, excuse=FLAT, kernel=of_kinds("trunc({0})", whole="{0}", boolean="{0}")
)
rint = elementwise(np.rint, None, exact=exact_choices.rint, excuse=FLAT, kernel=of_kinds("rint({0})"))
floor_divide = elementwise(
    np.floor_divide,
    None,
    None,
    exact=exact_choices.floor_divide,
    domain=DIVISION,
    excuse=FLAT,
    flops=4,
    device=device_rules.floor_divide,
    kernel=of_kinds("floor_quotient({0}, {1})", whole="whole_quotient({0}, {1})"),
)
remainder = elementwise(
    np.remainder,
    1,
    lambda y, a, b: -floor_divide(a, b),
    exact=exact_choices.remainder,
    domain=DIVISION,
    flops=4,
    device=device_rules.remainder,
    kernel=of_kinds("modulo({0}, {1})", whole="whole_modulo({0}, {1})"),
)
fmod = elementwise(
    np.fmod,
    1,
    lambda y, a, b: -trunc(a / b),
    exact=exact_choices.fmod,
    domain=DIVISION,
    flops=4,
    kernel=of_kinds("fmod({0}, {1})", whole="whole_remainder({0}, {1})"),
)


def _fraction_into(x, out):
    np.modf(x, out, np.empty_like(out))


fraction = elementwise(
    lambda x: np.modf(x)[0],
    1,
    name="fraction",
    exact=exact_choices.fraction,
    into=lambda avals: Call(_fraction_into, (Operand(0), OUT)),
    device=lambda xp, x: xp.modf(x)[0],
    kernel=of_kinds("fraction({0})"),
)
heaviside = elementwise(
    np.heaviside,
    None,
    lambda y, x, h: cast(equal(x, 0.0), dtype=x.dtype.str),
    exact=exact_choices.heaviside,
    special=((0.0, 0.3),),
    kernel=of_kinds("heaviside({0}, {1})"),
)
copysign = elementwise(
    np.copysign,
    lambda y, a, b: sign(a) * copysign(literal(1.0, b), b),
    None,
    inexact=SIGN_OF_ZERO,
    kernel=of_kinds("copysign({0}, {1})"),
)


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


def _where_depends(table, condition, a, b):
    chosen = condition.value
    return table.elementwise(a.ids, b.ids) if chosen is None else np.where(chosen, a.ids, b.ids)


where = general(
    np.where,
    _where_jvp,
    _where_vjp,
    name="where",
    depends=_where_depends,
    examples=examples.aligned,
    batch=broadcasting("where"),
    abstract=_where_abstract,
    into=lambda avals: Call(_where_into, (Operand(0), Operand(1), Operand(2), OUT)),
    exact=exact.where,
    device=lambda xp, condition, a, b: xp.where(condition, a, b),
    samples=lambda: [
        ((np.array([True, False, True]), np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])), {}),
        ((np.array([[True], [False]]), np.array([1.0, 2.0, 3.0]), np.array(0.5)), {}),
    ],
    kernel=choice_text,
)
