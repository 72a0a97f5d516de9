"""Elementwise functions: kinks and edges, second order, dtypes, mixed operands, refusals."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import central, difference, rng_of, same_bits

import difflab as dl
from difflab import transforms
from difflab.errors import TraceError
from difflab.execution.program import Program
from difflab.operators import gradient, jvp
from difflab.tracing import trace_leaves


def second(function: Callable[[Any], Any], x: float) -> float:
    return float(gradient(lambda t: gradient(function)(t))(x))


# ---------------------------------------------------------------------------- kinks and edges

KINKS: list[tuple[str, Callable[..., Any], tuple[float, ...], tuple[float, ...]]] = [
    ("fmax tie", np.fmax, (2.0, 2.0), (0.5, 0.5)),
    ("fmin tie", np.fmin, (2.0, 2.0), (0.5, 0.5)),
    ("fmax beside NaN", np.fmax, (math.nan, 2.0), (0.0, 1.0)),
    ("fmin beside NaN", np.fmin, (1.0, math.nan), (1.0, 0.0)),
    ("hypot at 0", np.hypot, (0.0, 0.0), (0.0, 0.0)),
    ("hypot of large ones", np.hypot, (3e200, 4e200), (0.6, 0.8)),
    ("arctan2 of small ones", np.arctan2, (0.0, 1e-200), (1e200, 0.0)),
    ("clip between equal bounds", lambda x: np.clip(x, 1.0, 1.0), (1.0,), (0.25,)),
    ("fabs at 0", np.fabs, (0.0,), (0.0,)),
    ("copysign at 0", np.copysign, (0.0, -1.0), (0.0, 0.0)),
    ("copysign", np.copysign, (-2.0, 3.0), (-1.0, 0.0)),
    ("copysign of a negative zero", np.copysign, (2.0, -0.0), (-1.0, 0.0)),
    ("heaviside at 0", np.heaviside, (0.0, 0.3), (0.0, 1.0)),
    ("heaviside elsewhere", np.heaviside, (2.0, 0.3), (0.0, 0.0)),
    ("cbrt at 0", np.cbrt, (0.0,), (math.inf,)),
    ("cbrt of -8", np.cbrt, (-8.0,), (1 / 12,)),
    ("sinc at 0", np.sinc, (0.0,), (0.0,)),
    ("remainder", np.remainder, (-7.0, 3.0), (1.0, 3.0)),
    ("fmod", np.fmod, (-7.0, 3.0), (1.0, 2.0)),
    ("nan_to_num of NaN", lambda x: np.nan_to_num(x * 1.0), (math.nan,), (0.0,)),
    ("nan_to_num of a number", lambda x: np.nan_to_num(x * 1.0), (3.0,), (1.0,)),
    ("0 ** p", lambda p: 0.0**p, (2.0,), (0.0,)),
    ("x ** 0.0 at a subnormal number", lambda x: x**0.0, (1e-320,), (0.0,)),
    ("x ** 0.0 at infinity", lambda x: x**0.0, (math.inf,), (0.0,)),
    ("negative base", lambda x: x**3.0, (-2.0,), (12.0,)),
    ("negative base and exponent", lambda x: np.power(x, -1.0), (-2.0,), (-0.25,)),
    ("logaddexp far apart", np.logaddexp, (1000.0, -1000.0), (1.0, 0.0)),
    ("logaddexp2 far apart", np.logaddexp2, (-2000.0, 1000.0), (0.0, 1.0)),
    ("arcsinh far out", np.arcsinh, (1e200,), (1e-200,)),
    ("rint", np.rint, (0.5,), (0.0,)),
    ("trunc", np.trunc, (-1.5,), (0.0,)),
    ("sign", np.sign, (-3.0,), (0.0,)),
    ("floor_divide", np.floor_divide, (7.5, 2.0), (0.0, 0.0)),
    ("select: the first condition", lambda x: np.select([x > 0, x > -1], [2 * x, 3 * x]), (1.0,), (2.0,)),
    ("where: the taken branch", lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), -x), (-4.0,), (-1.0,)),
    ("piecewise: the function's own elements", lambda x: np.piecewise(x, [x > 0], [np.sqrt, abs]), (-4.0,), (-1.0,)),
]  # fmt: skip


@pytest.mark.parametrize(("function", "point", "slopes"), [k[1:] for k in KINKS], ids=[k[0] for k in KINKS])
def test_kinks_and_edges(function: Callable[..., Any], point: tuple[float, ...], slopes: tuple[float, ...]):
    everything = tuple(range(len(point)))
    with np.errstate(all="ignore"):
        back = tuple(map(float, gradient(function, argnums=everything)(*point)))
        units = [tuple(float(i == j) for j in everything) for i in everything]
        forth = tuple(float(jvp(function, point, unit)[1]) for unit in units)
    for found in (back, forth):
        np.testing.assert_allclose(found, slopes, rtol=1e-14)


@pytest.mark.parametrize(("x", "p"), [(0.0, 2.0), (0.0, 3.0), (2.0, 0.0), (1.5, 1.0), (0.7, 0.0), (2.0, -1.5)])
def test_all_second_derivatives_of_powers(x: float, p: float):
    """Also where the exponent is 0, and where the base is 0 and the power smooth in it."""
    found = gradient(lambda t: gradient(lambda s: s**p)(t))(x)
    assert found == pytest.approx(float(mpmath.diff(lambda s: s**p if p else mpmath.mpf(1), x, 2)), rel=1e-12)
    if x > 0:
        mixed = gradient(lambda q: gradient(lambda s: s**q)(x))(p)
        assert mixed == pytest.approx(float(mpmath.diff(lambda s, q: s**q, (x, p), (1, 1))), rel=1e-12)
        twice = gradient(lambda q: gradient(lambda r: x**r)(q))(p)
        assert twice == pytest.approx(float(mpmath.log(x) ** 2 * mpmath.mpf(x) ** p), rel=1e-12)


@pytest.mark.parametrize("x", [0.0, 1e-300, 1e-9, -1e-4, 0.03, 0.6, -0.99, 1.0, 1.7, -4.2, 30.5])
def test_sinc_and_its_derivatives_near_zero_and_far(x: float):
    def formula(t):
        return mpmath.sincpi(t)

    nest: Callable[[Any], Any] = np.sinc
    for order in range(1, 5):
        nest = (lambda inner: lambda t: gradient(inner)(t))(nest)
        with mpmath.workdps(60):
            step = mpmath.mpf(x) if abs(x) > 1e-8 else mpmath.mpf(1) / 10**9
            truth = float(mpmath.diff(formula, step, order))
        tolerance = 1e-12 if abs(x) > 1e-8 else 1e-7
        assert float(nest(x)) == pytest.approx(truth, rel=tolerance, abs=tolerance)
    assert nest(np.float32(x)).dtype == np.float32


# ---------------------------------------------------------------------------- second order, drawn

SMOOTH: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    name: (getattr(np, name), low, high)
    for low, high, names in [
        (-2.0, 2.0, "exp exp2 expm1 sin cos arctan sinh cosh tanh arcsinh square sinc i0 degrees radians negative"),
        (0.2, 3.0, "sqrt cbrt log log2 log10 log1p reciprocal"),
        (-0.9, 0.9, "arcsin arccos arctanh tan"),
        (1.1, 4.0, "arccosh"),
    ]
    for name in names.split()
}


@pytest.mark.parametrize("name", SMOOTH)
def test_second_and_third_order(name: str):
    function, low, high = SMOOTH[name]
    once = gradient(function)
    twice = gradient(lambda t: once(t))
    thrice = gradient(lambda t: twice(t))
    for x in rng_of(name).uniform(low, high, 3):
        for order, (below, above) in enumerate([(function, once), (once, twice), (twice, thrice)], start=1):
            expected = central(lambda h, f=below, x=x: np.asarray(f(x + h)), 0.1)
            assert float(above(x)) == pytest.approx(float(expected), rel=1e-7, abs=1e-7 * float(1 + abs(expected))), (
                order
            )


BINARY = (
    *("add", "subtract", "multiply", "divide", "power", "float_power", "arctan2", "hypot", "logaddexp", "logaddexp2"),
    *("maximum", "minimum", "fmax", "fmin", "remainder", "fmod", "floor_divide", "copysign", "heaviside"),
)
SIZES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(st.sampled_from(BINARY), SIZES, st.data())
def test_any_shapes_dtypes_and_kinds_of_operands(name: str, shape: tuple[int, ...], data: st.DataObject):
    """NumPy's value, dtype and shape, and the adjoint identity, whatever stands beside the traced operand."""
    function = getattr(np, name)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    kept = tuple(1 if data.draw(st.booleans()) else size for size in shape)[data.draw(st.integers(0, len(shape))) :]
    dtype = data.draw(st.sampled_from(["f8", "f4", "f2"]))
    x = np.asarray(rng.uniform(0.5, 2.0, shape)).astype(dtype)
    other: Any = data.draw(
        st.sampled_from(
            [
                np.asarray(rng.uniform(0.5, 2.0, kept)).astype("f4"),
                np.asarray(rng.integers(1, 4, kept), "i4"),
                np.asarray(rng.uniform(0.5, 2.0, kept)).tolist(),
                1.5,
                2,
                np.float32(1.25),
                np.float64(0.75),
            ]
        )
    )
    if name != "divide" and isinstance(other, list) and not np.size(other):
        other = 1.5
    left = data.draw(st.booleans())

    def call(t):
        return function(t, other) if left else function(other, t)

    expected = np.asarray(call(x))
    tape = trace_leaves(lambda leaves: [call(leaves[0])], [x]).check()
    found = Program(tape).run([x])[0]
    if name == "float_power":
        np.testing.assert_allclose(found, expected, rtol=1e-15)
        assert found.dtype == expected.dtype
    else:
        assert same_bits(found, expected)
    g, t = np.ones(expected.shape, expected.dtype), np.asarray(rng.uniform(-1, 1, shape)).astype(dtype)
    pushed = Program(transforms.jvp(tape, (0,))).run([x, t])[1]
    pulled = Program(transforms.vjp(tape, (0,))).run([x, g])[1]
    assert (pulled.dtype, pulled.shape) == (x.dtype, x.shape)
    assert (pushed.dtype, pushed.shape) == (expected.dtype, expected.shape)
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(
        np.sum(pushed.astype("f8")), np.sum(pulled.astype("f8") * t), rtol=0, atol=200 * eps * (1 + 4 * x.size)
    )


UNARY16 = (
    "sqrt cbrt exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh sinc degrees"
)


@pytest.mark.parametrize("dtype", ["f4", "f2"])
@pytest.mark.parametrize("name", [*UNARY16.split(), "arctanh", "absolute", "square", "reciprocal", "fabs", "i0"])
def test_narrow_dtypes_stay_narrow(name: str, dtype: str):
    x = np.array([0.25, 0.5], dtype)
    tape = trace_leaves(lambda leaves: [getattr(np, name)(leaves[0])], [x])
    assert all(tape.avals[equation.output].dtype == dtype for equation in tape.equations)
    for derived in (transforms.vjp(tape, (0,)), transforms.jvp(tape, (0,))):
        assert {derived.avals[e.output].dtype for e in derived.equations} <= {np.dtype(dtype), np.dtype(bool)}
    twice = gradient(lambda t: np.sum(gradient(lambda u: np.sum(getattr(np, name)(u)))(t)))(x)
    assert twice.dtype == dtype
    assert np.all(np.isfinite(twice))


def test_no_warning_that_plain_numpy_does_not_give():
    x = np.array([0.0, -1.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for function in (np.hypot, np.arctan2, lambda a, b: np.where(a > 0, a, b) ** 0.0, np.copysign, np.heaviside):
            gradient(lambda t, f=function: np.sum(f(t, x)))(x)
        gradient(lambda t: np.sum(np.cbrt(t)))(x)


# ---------------------------------------------------------------------------- functions written with others


def test_values_without_derivative_are_live():
    mask = dl.prepare(lambda x: np.sum(x * np.isclose(x, 1.0) + x * np.signbit(x)), np.array([1.0, -2.0]))
    assert np.array_equal(mask.gradient(np.array([1.0, -2.0])), [1.0, 1.0])
    assert np.array_equal(mask.gradient(np.array([5.0, 1.0])), [0.0, 1.0])


def test_integers_compute_as_in_numpy():
    def loss(x, n):
        return np.sum(x * (((n & 6) | 1) ^ (n << 1) + np.gcd(n, 4) - np.lcm(n, 3) + ~n + n // 2 - n % 3))

    x, n = np.ones(4), np.array([1, 4, 6, 7])
    np.testing.assert_array_equal(
        gradient(loss)(x, n), (((n & 6) | 1) ^ (n << 1) + np.gcd(n, 4) - np.lcm(n, 3) + ~n + n // 2 - n % 3)
    )


def test_piecewise_asks_each_function_about_its_own_elements_only():
    def f(x):
        return np.sum(np.piecewise(x, [x < 0, x > 0], [lambda t: t * t, np.log]))

    x = np.array([-2.0, 0.0, 4.0])
    np.testing.assert_allclose(gradient(f)(x), [-4.0, 0.0, 0.25])
    np.testing.assert_allclose(gradient(lambda t: np.sum(gradient(f)(t)))(x), [2.0, 0.0, -1 / 16])


def test_vectorize_works_through_plain_python():
    f = np.vectorize(lambda t, k: t * t if k else -t, otypes=[object])
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(gradient(lambda t: np.sum(f(t, np.array([1, 0, 1]))))(x), [2.0, -1.0, 6.0])


def test_unwrap_shifts_and_its_derivative_is_that_of_its_argument():
    x = np.cumsum(np.array([0.5, 3.0, 2.9, 3.3, -4.0]))
    wrapped = np.angle(np.exp(1j * x))
    weights = np.arange(5.0)
    np.testing.assert_allclose(gradient(lambda t: np.sum(weights * np.unwrap(t)))(wrapped), weights)


def test_derivatives_of_remainders_against_differences():
    x, m = np.array([5.3, -5.3, 0.4]), np.array([1.7, 2.1, 0.9])
    for function in (np.remainder, np.fmod):
        found = gradient(lambda a, b, f=function: np.sum(f(a, b)), argnums=(0, 1))(x, m)
        for k in (0, 1):
            unit: list[Any] = [None, None]
            unit[k] = np.ones(3)
            expected = difference(function, [x, m], unit)
            np.testing.assert_allclose(found[k], expected, atol=1e-9)


# ---------------------------------------------------------------------------- refusals

THREE: list[Any] = [1, 2, 3]

REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: np.frexp(x)[0], r"np\.frexp \(called at test_elementwise\.py:\d+\) .*derivative"),
    (lambda x: np.nextafter(x, 1.0), r"np\.nextafter \(called at test_elementwise\.py:\d+\) .*derivative"),
    (lambda x: np.spacing(x), r"np\.spacing \(called at test_elementwise\.py:\d+\) .*derivative"),
    (lambda x: np.sin(x, where=x > 0), r"np\.sin at .*the argument 'where' is not supported"),
    (lambda x: np.clip(x, 0, 1, casting="unsafe"), r"np\.clip at .*the argument 'casting' is not supported"),
    (lambda x: np.where(x > 0, x), r"np\.where at test_elementwise\.py:\d+ takes both values to choose from, or none"),
    (lambda x: np.select([x > 0], [x, x]), r"np\.select at .*as many conditions as values, at least one, not 1 and 2"),
    (lambda x: np.select([x], [x]), r"np\.select at .*takes boolean conditions, not float64"),
    (lambda x: np.piecewise(x, [x > 0], THREE), r"np\.piecewise at .*1 conditions and 3 functions do not fit"),
    (lambda x: x & 1, r"np\.bitwise_and at .*only boolean arrays can be combined, and integers bit by bit"),
    (lambda x: np.gcd(x, 2), r"np\.gcd at .*did not contain a loop"),
    (lambda x: np.round((10 * x).astype(int), -1) * x, r"np\.round at .*rounding integers to tens"),
    (lambda x: np.floor(x + 1j), r"np\.floor at .*not supported for the input types"),
    (lambda x: np.sign(x + 1j).astype(float), r"a complex array is to become float64, .*; take np\.real or np\.abs"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_what_is_not_supported_says_so(function: Callable[[Any], Any], message: str):
    with pytest.raises(TraceError, match=message):
        gradient(lambda x: np.sum(function(x)))(np.array([1.0, 2.0, 0.5]))
