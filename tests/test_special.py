"""Special functions: SciPy's values, derivatives against mpmath, edges, refusals; and those of ``difflab.special``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import scipy.special as sp
from hypothesis import given
from hypothesis import strategies as st
from samples import central, rng_of, same_bits

import difflab as dl
from difflab import special, transforms
from difflab.errors import InputError, TraceError, UnsupportedError
from difflab.execution.exact import certify
from difflab.operators import gradient, jvp
from difflab.primitives.special import UFUNCS
from difflab.tracing import trace_leaves


def normal(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


# SciPy's function of one argument, the same for mpmath, and where to try it.
KNOWN: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], tuple[float, ...]]] = {
    "erf": (sp.erf, mp.erf, (-1.3, 0.0, 0.4, 3.0)),
    "erfc": (sp.erfc, mp.erfc, (-1.3, 0.4, 5.0)),
    "erfcx": (sp.erfcx, lambda x: mp.exp(x**2) * mp.erfc(x), (-1.0, 0.4, 5.0)),
    "erfinv": (sp.erfinv, mp.erfinv, (-0.8, 0.1, 0.95)),
    "erfcinv": (sp.erfcinv, lambda x: mp.erfinv(1 - x), (0.2, 1.0, 1.9)),
    "dawsn": (sp.dawsn, lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-(x**2)) * mp.erfi(x), (-1.0, 0.3, 2.0)),
    "ndtr": (sp.ndtr, normal, (-2.0, 0.0, 1.5)),
    "log_ndtr": (sp.log_ndtr, lambda x: mp.log(normal(x)), (-20.0, -1.0, 2.0)),
    "ndtri": (sp.ndtri, lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1), (0.1, 0.5, 0.9)),
    "expit": (sp.expit, lambda x: 1 / (1 + mp.exp(-x)), (-3.0, 0.2)),
    "logit": (sp.logit, lambda x: mp.log(x / (1 - x)), (0.1, 0.8)),
    "log_expit": (sp.log_expit, lambda x: -mp.log1p(mp.exp(-x)), (-3.0, 2.0)),
    "expm1": (sp.expm1, mp.expm1, (-1e-8, 0.5)),
    "log1p": (sp.log1p, mp.log1p, (-1e-8, 0.5)),
    "exp2": (sp.exp2, lambda x: mp.mpf(2) ** x, (-1.5, 0.5)),
    "exp10": (sp.exp10, lambda x: mp.mpf(10) ** x, (-1.5, 0.5)),
    "cbrt": (sp.cbrt, mp.cbrt, (0.3, 2.0)),
    "cosm1": (sp.cosm1, lambda x: mp.cos(x) - 1, (-1e-8, 0.5)),
    "sindg": (sp.sindg, lambda x: mp.sin(x * mp.pi / 180), (20.0, -200.0)),
    "cosdg": (sp.cosdg, lambda x: mp.cos(x * mp.pi / 180), (20.0, -200.0)),
    "entr": (sp.entr, lambda x: -x * mp.log(x), (0.1, 2.0)),
    "exprel": (sp.exprel, lambda x: mp.expm1(x) / x, (-30.0, -1.7, -0.1, 1e-3, 0.7, 9.0)),
    "psi": (sp.psi, mp.digamma, (-0.4, 0.3, 4.0)),
    "gamma": (sp.gamma, mp.gamma, (-0.4, 0.3, 4.0)),
    "gammaln": (sp.gammaln, lambda x: mp.log(abs(mp.gamma(x))), (-0.4, 0.3, 4.0)),
    "loggamma": (sp.loggamma, mp.loggamma, (0.3, 4.0)),
    "j0": (sp.j0, mp.j0, (-1.2, 0.0, 5.5)),
    "j1": (sp.j1, mp.j1, (-1.2, 1e-8, 5.5)),
    "y0": (sp.y0, lambda x: mp.bessely(0, x), (0.4, 5.5)),
    "y1": (sp.y1, lambda x: mp.bessely(1, x), (0.4,)),
    "i0": (sp.i0, lambda x: mp.besseli(0, x), (-1.2, 0.0, 3.0)),
    "i1": (sp.i1, lambda x: mp.besseli(1, x), (-1.2, 1e-8, 3.0)),
    "k0": (sp.k0, lambda x: mp.besselk(0, x), (0.4, 3.0)),
    "k1": (sp.k1, lambda x: mp.besselk(1, x), (0.4,)),
    "i0e": (sp.i0e, lambda x: mp.exp(-abs(x)) * mp.besseli(0, x), (-1.2, 3.0)),
    "i1e": (sp.i1e, lambda x: mp.exp(-abs(x)) * mp.besseli(1, x), (-1.2, 3.0)),
    "k0e": (sp.k0e, lambda x: mp.exp(x) * mp.besselk(0, x), (0.4, 3.0)),
    "k1e": (sp.k1e, lambda x: mp.exp(x) * mp.besselk(1, x), (0.4,)),
    "jv": (lambda x: sp.jv(1.5, x), lambda x: mp.besselj(1.5, x), (0.4, 5.5)),
    "jn": (lambda x: sp.jn(3, x), lambda x: mp.besselj(3, x), (0.4, 5.5)),
    "yv": (lambda x: sp.yv(0.5, x), lambda x: mp.bessely(0.5, x), (0.4, 5.5)),
    "yn": (lambda x: sp.yn(2, x), lambda x: mp.bessely(2, x), (0.4, 5.5)),
    "iv": (lambda x: sp.iv(2, x), lambda x: mp.besseli(2, x), (0.4, 3.0)),
    "kv": (lambda x: sp.kv(2.5, x), lambda x: mp.besselk(2.5, x), (0.4, 3.0)),
    "ive": (lambda x: sp.ive(2, x), lambda x: mp.exp(-x) * mp.besseli(2, x), (0.4, 3.0)),
    "kve": (lambda x: sp.kve(1, x), lambda x: mp.exp(x) * mp.besselk(1, x), (0.4,)),
    "gammainc": (lambda x: sp.gammainc(2.5, x), lambda x: mp.gammainc(2.5, 0, x, regularized=True), (0.3, 4.0)),
    "gammaincc": (lambda x: sp.gammaincc(0.5, x), lambda x: mp.gammainc(0.5, x, mp.inf, regularized=True), (0.3, 4.0)),
    "betainc": (lambda x: sp.betainc(2, 3.5, x), lambda x: mp.betainc(2, 3.5, 0, x, regularized=True), (0.2, 0.7)),
    "boxcox": (lambda x: sp.boxcox(x, 0.3), lambda x: (x ** mp.mpf(0.3) - 1) / mp.mpf(0.3), (0.5, 2.0)),
    "inv_boxcox": (lambda x: sp.inv_boxcox(x, 2), lambda x: (2 * x + 1) ** mp.mpf(0.5), (0.5, 2.0)),
    "expi": (sp.expi, mp.ei, (0.4, 3.0)),
    "exp1": (sp.exp1, mp.e1, (0.4, 3.0)),
    "expn": (lambda x: sp.expn(2, x), lambda x: mp.expint(2, x), (0.4, 3.0)),
    "expn of order 0": (lambda x: sp.expn(0, x), lambda x: mp.exp(-x) / x, (0.4, 3.0)),
    "huber": (lambda x: sp.huber(1.0, x), lambda x: x**2 / 2 if abs(x) < 1 else abs(x) - mp.mpf(0.5), (-0.4, 3.0)),
    "pseudo_huber": (
        lambda x: sp.pseudo_huber(1.5, x),
        lambda x: 2.25 * (mp.sqrt(1 + (x / 1.5) ** 2) - 1),
        (-0.4, 3.0),
    ),
    "xlogy in x": (lambda x: sp.xlogy(x, 2.5), lambda x: x * mp.log(2.5), (-0.4, 0.0, 3.0)),
    "polygamma": (lambda x: special.polygamma(2, x), lambda x: mp.polygamma(2, x), (0.4, 3.0)),
    "scipy's zeta": (lambda q: sp.zeta(3, q), lambda q: mp.zeta(3, q), (0.4, 3.0)),
    "zeta": (lambda q: special.zeta(2.5, q), lambda q: mp.zeta(2.5, q), (0.4, 3.0)),
    "multigammaln": (
        lambda a: special.multigammaln(a, 2),
        lambda a: mp.log(mp.pi) / 2 + mp.loggamma(a) + mp.loggamma(a - 0.5),
        (0.9, 3.0),
    ),
    "softplus": (special.softplus, lambda x: mp.log1p(mp.exp(x)), (-3.0, 2.0)),
}
BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "beta": (sp.beta, mp.beta),
    "betaln": (sp.betaln, lambda a, b: mp.log(mp.beta(a, b))),
    "xlogy": (sp.xlogy, lambda x, y: x * mp.log(y)),
    "xlog1py": (sp.xlog1py, lambda x, y: x * mp.log1p(y)),
    "rel_entr": (sp.rel_entr, lambda x, y: x * mp.log(x / y)),
    "kl_div": (sp.kl_div, lambda x, y: x * mp.log(x / y) - x + y),
    "pseudo_huber": (sp.pseudo_huber, lambda d, r: d**2 * (mp.sqrt(1 + (r / d) ** 2) - 1)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_value_and_two_derivatives_against_mpmath(name: str):
    function, truth, points = KNOWN[name]
    once = gradient(function)
    twice = gradient(lambda t: once(t))
    for x in points:
        value, slope = jvp(function, (x,), (1.0,))
        assert same_bits(value, np.asarray(function(x))[()])
        assert slope == pytest.approx(float(once(x)), rel=1e-14, abs=1e-300)
        with mp.workdps(40):
            expected = [float(mp.diff(truth, mp.mpf(x), order, h=mp.mpf(10) ** -12)) for order in (1, 2)]
        assert float(once(x)) == pytest.approx(expected[0], rel=2e-12, abs=1e-14)
        assert float(twice(x)) == pytest.approx(expected[1], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", BINARY)
def test_partial_derivatives_of_both_orders_against_mpmath(name: str):
    function, truth = BINARY[name]
    for a, b in ((0.6, 1.7), (2.2, 0.4)):
        first = gradient(function, argnums=(0, 1))(a, b)
        for k, orders in enumerate([(1, 0), (0, 1)]):
            assert float(first[k]) == pytest.approx(float(mp.diff(truth, (a, b), orders)), rel=1e-10)
            second = gradient(lambda x, y, k=k: gradient(function, argnums=k)(x, y), argnums=(0, 1))(a, b)
            for other in (0, 1):
                both = tuple(n + (position == other) for position, n in enumerate(orders))
                assert float(second[other]) == pytest.approx(float(mp.diff(truth, (a, b), both)), rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", sorted(name for name in UFUNCS if name[0] != "_"))
def test_values_are_scipys_bit_for_bit_and_single_precision_stays(name: str, dtype: str):
    ufunc = getattr(sp, name)
    x = np.array([[0.25, 0.5, 0.75]], dtype)
    orders: tuple[Any, ...] = {1: (), 2: (2,), 3: (2, 3)}[ufunc.nin]

    def call(t):
        return ufunc(t, 2) if name.endswith("boxcox") else ufunc(*orders, t)

    tape = trace_leaves(lambda leaves: [call(leaves[0])], [x]).check()
    expected = call(x)
    assert same_bits(tape.evaluate([x])[0], expected)
    found = gradient(lambda t: np.sum(call(t)))(x)
    assert found.dtype == dtype
    wide = x.astype("f8")
    slopes = central(lambda h: call(wide + h * 0.1)) * 10
    np.testing.assert_allclose(
        found, slopes, rtol=2e-3 if dtype == "f4" else 1e-8, atol=1e-5 if dtype == "f4" else 1e-9
    )


EDGES: list[tuple[str, Callable[..., Any], tuple[float, ...], tuple[float, ...]]] = [
    ("xlogy at (0, 0)", sp.xlogy, (0.0, 0.0), (-math.inf, 0.0)),
    ("xlogy at (0, 2)", sp.xlogy, (0.0, 2.0), (math.log(2.0), 0.0)),
    ("xlog1py at (0, -1)", sp.xlog1py, (0.0, -1.0), (-math.inf, 0.0)),
    ("entr at 0", sp.entr, (0.0,), (math.inf,)),
    ("kl_div of equals", sp.kl_div, (0.7, 0.7), (0.0, 0.0)),
    ("rel_entr at 0", sp.rel_entr, (0.0, 2.0), (-math.inf, 0.0)),
    ("log_ndtr far left", sp.log_ndtr, (-1e8,), (1e8,)),
    ("log_ndtr far right", sp.log_ndtr, (50.0,), (0.0,)),
    ("log_expit far left", sp.log_expit, (-1e3,), (1.0,)),
    ("gammainc of 1 at 0", lambda x: sp.gammainc(1.0, x), (0.0,), (1.0,)),
    ("i0e at 0", sp.i0e, (0.0,), (0.0,)),
    ("exprel at 0", sp.exprel, (0.0,), (0.5,)),
    ("j1 at 0", sp.j1, (0.0,), (0.5,)),
    ("huber at its bend", sp.huber, (1.0, -1.0), (0.0, -1.0)),
]


@pytest.mark.parametrize(("function", "point", "slopes"), [e[1:] for e in EDGES], ids=[e[0] for e in EDGES])
def test_edges(function: Callable[..., Any], point: tuple[float, ...], slopes: tuple[float, ...]):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = gradient(function, argnums=tuple(range(len(point))))(*point)
    np.testing.assert_allclose(found, slopes, rtol=1e-12)


def test_derivatives_of_exprel_to_any_order_are_moments():
    """The n-th derivative is the integral of s**n exp(x s) over [0, 1]."""
    function: Callable[[Any], Any] = sp.exprel
    for order in range(1, 6):
        function = (lambda inner: lambda t: gradient(inner)(t))(function)
        for x in (-40.0, -6.0, -1e-9, 0.0, 2.0, 7.3):
            truth: Any = mp.quad(lambda s, n=order, x=x: s**n * mp.exp(x * s), [0, 1])
            assert float(function(x)) == pytest.approx(float(truth), rel=1e-12)


def test_orders_and_shapes_broadcast_as_arrays():
    x = np.array([0.4, 1.1, 2.0])
    orders = np.arange(3)[:, None]
    found = gradient(lambda t: np.sum(sp.jv(orders, t)))(x)
    np.testing.assert_allclose(found, np.sum(sp.jvp(orders, x), axis=0), rtol=1e-12)
    several = gradient(lambda t: np.sum(special.polygamma(orders, t)))(x)
    np.testing.assert_allclose(several, np.sum(sp.polygamma(orders + 1, x), axis=0), rtol=1e-12)


# ---------------------------------------------------------------------------- exact arithmetic

EXACT = (
    "erf erfc expm1 log1p exp2 cbrt psi gamma gammaln jv yv iv kv polygamma j0 i1 i0e k0e logit log_expit exp10 cosm1 "
    "sindg cosdg ndtr huber pseudo_huber"
).split()


@pytest.mark.parametrize("name", EXACT)
def test_balls_and_symbols_know_the_same_function(name: str):
    function, truth, points = KNOWN[name]
    x = points[-1]
    tape = trace_leaves(lambda leaves: [function(leaves[0])], [x])
    found = certify(transforms.gradient(tape, (0,)), [x])
    with mp.workdps(60):
        for output, expected in enumerate([truth(mp.mpf(x)), mp.diff(truth, mp.mpf(x))]):
            computed = mp.mpf(float(found.high[output])) + mp.mpf(float(found.low[output]))
            assert abs(computed - expected) <= abs(expected) * mp.mpf(10) ** -25
    slope = gradient(function, backend="symbolic")(x)
    assert float(slope) == pytest.approx(float(gradient(function)(x)), rel=1e-12)


def test_sinc_in_exact_arithmetic_also_at_zero():
    for x in (0.0, 0.3, -1.7):
        tape = trace_leaves(lambda leaves: [np.sinc(leaves[0])], [x])
        found = certify(transforms.gradient(tape, (0,)), [x])
        with mp.workdps(40):
            slope = float(mp.diff(mp.sincpi, mp.mpf(x))) if x else 0.0
        assert float(found.high[1]) == pytest.approx(slope, rel=1e-15)
        assert float(gradient(np.sinc, backend="symbolic")(x)) == pytest.approx(slope, rel=1e-13, abs=1e-15)


def test_what_exact_arithmetic_does_not_know_is_refused():
    with pytest.raises(UnsupportedError, match="`erfcx` does not run in exact arithmetic: neither balls nor"):
        gradient(sp.erfcx, backend="symbolic")(0.3)


# ---------------------------------------------------------------------------- difflab.special

SIZES = st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple)


@given(SIZES, st.data())
def test_logsumexp_in_every_way_of_calling(shape: tuple[int, ...], data: st.DataObject):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    a = np.asarray(rng.uniform(-3, 3, shape))
    axis: Any = data.draw(
        st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1), st.just(tuple(range(len(shape)))))
    )
    keepdims, sign = data.draw(st.booleans()), data.draw(st.booleans())
    b = data.draw(
        st.sampled_from([None, 2.0, np.asarray(rng.uniform(-2, 2, shape)), np.asarray(rng.uniform(0.1, 2, shape[-1:]))])
    )

    def call(t):
        result = special.logsumexp(t, axis, b=b, keepdims=keepdims, return_sign=sign)
        return result if sign else (result, result)

    tape = trace_leaves(lambda leaves: list(call(leaves[0])), [a]).check()
    for found, expected in zip(tape.evaluate([a]), call(a), strict=True):
        assert (np.shape(found), found.dtype) == (np.shape(expected), np.asarray(expected).dtype)
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    # d log|sum(b exp a)| is b exp(a) over the sum.
    weights = (1.0 if b is None else b) * np.exp(a)
    total = np.sum(weights, axis=axis, keepdims=True)
    if sign or np.all(total > 0):
        np.testing.assert_allclose(gradient(lambda t: np.sum(call(t)[0]))(a), weights / total, rtol=1e-9, atol=1e-9)


def test_logsumexp_with_weights_at_the_edges():
    a = np.array([1000.0, np.inf, -np.inf, 1000.0])
    b = np.array([0.5, 0.0, 1.0, 0.5])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dl.prepare(lambda t: special.logsumexp(t, b=b), a).value(a) == sp.logsumexp(a, b=b) == 1000.0
        np.testing.assert_allclose(gradient(lambda t: special.logsumexp(t, b=b))(a), [0.5, 0.0, 0.0, 0.5])
        np.testing.assert_allclose(
            gradient(lambda t: special.logsumexp(np.zeros(2), b=t))(np.array([1.0, 3.0])), [0.25] * 2
        )
        zero = dl.prepare(lambda t: special.logsumexp(t, b=[1.0, -1.0], return_sign=True)[0], np.zeros(2))
        assert zero.value(np.zeros(2)) == -np.inf
        assert np.isnan(dl.prepare(lambda t: special.logsumexp(t, b=-1.0), a[:1]).value(a[:1]))
    narrow = gradient(lambda t: special.logsumexp(t, b=np.ones(2, "f4")))(np.zeros(2, "f4"))
    assert narrow.dtype == np.float32


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_softmax_and_its_logarithm(axis: Any):
    x = rng_of("softmax").normal(size=(3, 4))
    weights = rng_of("weights").normal(size=(3, 4))
    for ours, scipys in ((special.softmax, sp.softmax), (special.log_softmax, sp.log_softmax)):
        assert same_bits(ours(x, axis), scipys(x, axis))
        prepared = dl.prepare(lambda t, f=ours: np.sum(weights * f(t, axis=axis)), x)
        np.testing.assert_allclose(prepared.value(x), np.sum(weights * scipys(x, axis=axis)), rtol=1e-13)
        t = rng_of("t").normal(size=(3, 4))
        expected = central(lambda h, f=scipys, t=t: np.sum(weights * f(x + h * t, axis=axis)))
        np.testing.assert_allclose(np.sum(prepared.gradient(x) * t), expected, rtol=1e-8)


def test_plain_arrays_get_scipys_own_values():
    x = np.array([0.3, 2.0])
    assert same_bits(special.polygamma([1, 2], x), sp.polygamma([1, 2], x))
    assert same_bits(special.zeta(x + 1), sp.zeta(x + 1))
    assert same_bits(special.multigammaln(x + 1, 3), sp.multigammaln(x + 1, 3))  # pyright: ignore[reportAttributeAccessIssue] (its stubs miss it)
    assert same_bits(special.logsumexp(x, b=[1, 2]), sp.logsumexp(x, b=[1, 2]))
    assert same_bits(special.erf(x), sp.erf(x))
    assert {"erf", "jv", "logsumexp"} <= set(dir(special))


def test_dtypes_are_scipys():
    x = np.array([1.3, 2.0], "f4")
    for call in (
        lambda t: special.polygamma(1, t),
        lambda t: special.zeta(2.0, t),
        special.softplus,
        special.log_softmax,
    ):
        (found,) = trace_leaves(lambda leaves, f=call: [f(leaves[0])], [x]).evaluate([x])
        assert found.dtype == np.asarray(call(x)).dtype
        np.testing.assert_allclose(found, call(x), rtol=1e-6)


# ---------------------------------------------------------------------------- refusals

HALVES: Any = 1.5

REFUSALS: list[tuple[Callable[[Any], Any], type[Exception], str]] = [
    (lambda x: sp.ellipk(x), TraceError, r"ellipk \(called at test_special\.py:\d+\) has no derivative rule"),
    (lambda x: sp.hyp1f1(1, 2, x), TraceError, r"hyp1f1 \(called at .*has no derivative rule"),
    (lambda x: sp.jv(x, 2.0), UnsupportedError, r"jv at .*has no derivative in its order; keep that a plain number"),
    (lambda x: sp.gammainc(x, 2.0), UnsupportedError, r"gammainc at .*has no derivative in its shape"),
    (lambda x: sp.expn(x, 2.0), UnsupportedError, r"expn at .*has no derivative in its order"),
    (lambda x: special.polygamma(x, 2.0), InputError, r"order of polygamma at test_special\.py:\d+ is a plain integer"),
    (lambda x: special.polygamma(-1, x), InputError, r"order of polygamma at .*not -1"),
    (lambda x: special.polygamma(0.5, x), InputError, r"order of polygamma at .*not 0\.5"),
    (lambda x: special.zeta(x), InputError, r"zeta at test_special\.py:\d+ is differentiated in its second argument"),
    (lambda x: special.multigammaln(x, 0), InputError, r"multigammaln at .*a dimension from 1 on, not 0"),
    (lambda x: special.multigammaln(x, HALVES), InputError, r"multigammaln at .*a dimension from 1 on, not 1\.5"),
    (lambda x: special.softmax(x, axis=3), InputError, r"axis 3 of softmax at .*does not fit 1 dimensions"),
    (lambda x: special.ellipk(x), AttributeError, r"difflab\.special has no 'ellipk'; it has .*SciPy's ufuncs"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "kind", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_what_is_not_known_says_so(function: Callable[[Any], Any], kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        gradient(lambda x: np.sum(function(x)))(np.array([0.5, 0.25]))


def test_an_order_that_is_cut_off_is_no_reason_to_refuse():
    found = gradient(lambda v, x: sp.jv(dl.nn.stop_gradient(v), x), argnums=1)(1.0, 0.7)
    assert found == pytest.approx(sp.jvp(1, 0.7))
