"""Reductions, scans and what is sampled: any axes and dtypes, zeros and ties, second order, refusals."""

from __future__ import annotations

import itertools
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_checks import drawn, right_in_both_modes, right_twice, same_as_numpy, slopes
from samples import cases_of, central, rng_of

import difflab as dl
from difflab.errors import TraceError
from difflab.operators import gradient, jvp
from difflab.primitives import REGISTRY
from difflab.tracing import trace_leaves

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
WITH_EMPTY = st.lists(st.integers(0, 3), min_size=0, max_size=3).map(tuple)

# ---------------------------------------------------------------------------- drawn shapes, axes, masks

SMOOTH: dict[str, Callable[..., Any]] = {
    "sum": np.sum, "prod": np.prod, "mean": np.mean, "var": np.var, "std": np.std, "max": np.max, "min": np.min,
    "ptp": np.ptp, "nansum": np.nansum, "nanprod": np.nanprod, "nanmax": np.nanmax, "nanmin": np.nanmin,
    "nanmean": np.nanmean, "nanvar": np.nanvar, "median": np.median, "nanmedian": np.nanmedian,
}  # fmt: skip
MASKED: dict[str, dict[str, Any]] = {
    "sum": {}, "prod": {"initial": 1.5}, "mean": {}, "var": {}, "std": {}, "max": {"initial": -9.0},
    "min": {"initial": 9.0}, "nansum": {"initial": 2.0}, "nanmax": {"initial": -9.0}, "nanmean": {}, "nanvar": {},
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
@settings(max_examples=15)
@given(st.data(), SIZES, st.booleans())
def test_any_axes(name: str, data: st.DataObject, shape: tuple[int, ...], keepdims: bool):
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    axis = data.draw(st.sampled_from([None, axes, axes[0], axes[0] - len(shape)]))
    x = drawn(shape)
    if name == "std" and np.any(np.var(x, axis=axis) == 0):
        same_as_numpy(lambda z: np.std(z, axis=axis, keepdims=keepdims), x)  # a kink, see below
    else:
        right_in_both_modes(lambda z: SMOOTH[name](z, axis=axis, keepdims=keepdims), x)


@pytest.mark.parametrize("name", MASKED)
@settings(max_examples=15)
@given(st.data(), SIZES)
def test_any_mask(name: str, data: st.DataObject, shape: tuple[int, ...]):
    bits = data.draw(st.lists(st.booleans(), min_size=math.prod(shape), max_size=math.prod(shape)))
    mask = np.array(bits).reshape(shape)
    mask[..., 0] = True
    axis = data.draw(st.sampled_from([None, -1]))
    x = drawn(shape)
    if name == "std":
        mask[..., -1] = True
        if shape[-1] == 1:
            return
    right_in_both_modes(lambda z: SMOOTH[name](z, axis=axis, where=mask, **MASKED[name]), x)


@pytest.mark.parametrize(
    "name", ["sum", "prod", "mean", "var", "std", "any", "all", "count_nonzero", "nansum", "cumsum"]
)
@given(st.data(), WITH_EMPTY)
def test_empty_and_scalar_arrays(name: str, data: st.DataObject, shape: tuple[int, ...]):
    axis = data.draw(st.sampled_from([None, *range(len(shape))]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's own, about means of nothing
        same_as_numpy(lambda z: getattr(np, name)(z, axis=axis), drawn(shape))


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.maximum, np.minimum], ids=lambda ufunc: ufunc.__name__)
@given(st.data(), SIZES)
def test_any_accumulation(ufunc: np.ufunc, data: st.DataObject, shape: tuple[int, ...]):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    right_in_both_modes(lambda z: ufunc.accumulate(z, axis=axis), drawn(shape))


@given(st.data(), SIZES)
def test_any_difference_and_integral(data: st.DataObject, shape: tuple[int, ...]):
    axis, n = data.draw(st.integers(-len(shape), len(shape) - 1)), data.draw(st.integers(0, 3))
    x = drawn(shape)
    right_in_both_modes(lambda z: np.diff(z, n, axis), x)
    right_in_both_modes(lambda z: np.trapezoid(z, axis=axis), x)
    right_in_both_modes(lambda z: np.trapezoid(z, np.arange(shape[axis]) ** 2.0, axis=axis), x)
    if shape[axis] > 2:
        orders: tuple[Any, ...] = (1, 2)
        for order in orders:
            places = np.cumsum(np.abs(drawn((shape[axis],), "places")) + 0.1)
            right_in_both_modes(lambda z, p, k=order: np.gradient(z, p, axis=axis, edge_order=k), x, places)


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from(["full", "same", "valid"]))
def test_any_convolution(n: int, m: int, mode: Any):
    a, v = drawn((n,), "a"), drawn((m,), "v")
    right_in_both_modes(lambda a, v: np.convolve(a, v, mode), a, v)
    right_in_both_modes(lambda a, v: np.correlate(a, v, mode), a, v)


@given(st.integers(1, 5), st.integers(0, 3), st.booleans())
def test_any_interpolation(knots: int, points: int, outside: bool):
    xp = np.cumsum(np.abs(drawn((knots,), "xp")) + 0.2)
    x = np.linspace(xp[0] - 0.9, xp[-1] + 0.77, 7)[:points] if outside else xp[:points] + 0.05
    right_in_both_modes(np.interp, np.asarray(x), xp, drawn((knots,), "fp"))


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_other_dtypes_keep_theirs(dtype: str):
    x = drawn((3, 4), dtype="float64").astype(dtype) + (0.5j if dtype == "complex128" else 0)
    for function in (np.prod, np.mean, np.var, np.std, np.cumprod, np.trapezoid, np.diff, np.trace, np.average):
        same_as_numpy(function, x)
    same_as_numpy(lambda z: np.convolve(z[0], z[1]), x)
    same_as_numpy(lambda z: np.correlate(z[0, :2], z[1], "full"), x)
    same_as_numpy(np.cov, x)
    same_as_numpy(np.corrcoef, x)


INTEGERS: list[Callable[[Any], Any]] = [
    np.sum, np.prod, np.max, np.min, np.ptp, np.mean, np.var, np.std, np.any, np.all, np.count_nonzero, np.cumsum,
    np.cumprod, np.nansum, np.nanmax, np.nanmean, np.nanstd, np.diff, np.ediff1d, np.trace, np.trapezoid, np.average,
    np.maximum.accumulate, np.cov, np.logaddexp.reduce, lambda x: np.add.outer(x, 2.0), lambda x: np.polyval(x[0], x),
    lambda x: np.convolve(x[0], x[1]), lambda x: np.mean(x, dtype=int), lambda x: np.sum(x, initial=2),
    lambda x: np.max(x, initial=1, where=x > 1), lambda x: np.prod(x, 0, where=[True, False, True]),
    lambda x: np.vander(x[0]), lambda x: np.bincount(np.ravel(x)), lambda x: np.interp(x, [0, 1], [3, 4]),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool", "float16"])
@pytest.mark.parametrize("number", range(len(INTEGERS)))
def test_live_integers_and_booleans_have_the_dtypes_of_numpy(number: int, dtype: str):
    x = np.array([[1, 0, 2], [2, 3, 1], [2, 1, 0]]).astype(dtype)
    function = INTEGERS[number]
    try:
        expected = np.asarray(function(x))
    except TypeError:  # booleans cannot be subtracted, halves are no indices
        with pytest.raises(TraceError):
            trace_leaves(lambda leaves: [function(leaves[0])], [x])
        return
    if expected.dtype == np.float16:
        found = trace_leaves(lambda leaves: [function(leaves[0])], [x]).evaluate([x])[0]
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        np.testing.assert_allclose(found, expected, rtol=4e-3)
    else:
        same_as_numpy(function, x)


# ---------------------------------------------------------------------------- zeros, ties, NaN


@pytest.mark.parametrize("zeros", [(), (1,), (1, 3), (0, 1, 2)])
def test_products_are_right_at_zeros(zeros: tuple[int, ...]):
    x = drawn((4,), "factors")
    x[list(zeros)] = 0.0
    others = [math.prod(x[j] for j in range(4) if j != i) for i in range(4)]
    np.testing.assert_allclose(gradient(np.prod)(x), others, rtol=1e-15)
    np.testing.assert_allclose(gradient(lambda z: np.cumprod(z)[-1])(x), others, rtol=1e-15)
    for function in (np.prod, lambda z: np.cumprod(z)[-1]):
        rows = [gradient(lambda z, i=i, f=function: gradient(f)(z)[i])(x) for i in range(4)]
        for i, j in itertools.product(range(4), repeat=2):
            expected = 0.0 if i == j else math.prod(x[k] for k in range(4) if k not in (i, j))
            assert math.isclose(rows[i][j], expected, rel_tol=1e-14, abs_tol=0.0)
    third = gradient(lambda z: gradient(lambda y: gradient(np.prod)(y)[0])(z)[1])(x)
    np.testing.assert_allclose(third, [0.0, 0.0, x[3], x[2]], rtol=1e-14)


KINKS: list[tuple[str, Callable[[Any], Any], Any, Any]] = [
    ("running maximum shares", lambda x: np.maximum.accumulate(x)[2], [2.0, 1.0, 2.0], [0.5, 0.0, 0.5]),
    ("before the tie it does not", lambda x: np.maximum.accumulate(x)[1], [2.0, 1.0, 2.0], [1.0, 0.0, 0.0]),
    ("running minimum shares", lambda x: np.minimum.accumulate(x)[3], [1.0, 0.5, 0.5, 0.5], [0.0, *[1 / 3] * 3]),
    ("the initial value ties", lambda x: np.max(x, initial=2.0), [2.0, 1.0], [0.5, 0.0]),
    ("what is masked does not", lambda x: np.max(x, initial=2.0, where=x > 1.5), [2.0, 1.0, 2.0], [1 / 3, 0.0, 1 / 3]),
    ("fmax of a tie", lambda x: np.fmax.reduce(x), [2.0, math.nan, 2.0], [0.5, 0.0, 0.5]),
    ("nanmin of a tie", np.nanmin, [1.0, 1.0, math.nan, 3.0], [0.5, 0.5, 0.0, 0.0]),
    ("nothing but NaN", np.nanmax, [math.nan, math.nan], [0.0, 0.0]),
    ("ptp of equal numbers", np.ptp, [3.0, 3.0], [0.0, 0.0]),
    ("std of equal numbers", np.std, [3.0, 3.0, 3.0], [0.0, 0.0, 0.0]),
    ("nanstd of one number", np.nanstd, [3.0, math.nan], [0.0, 0.0]),
    ("NaN is passed over", np.nansum, [1.0, math.nan, 2.0], [1.0, 0.0, 1.0]),
    ("also in a product", np.nanprod, [2.0, math.nan, 0.0], [0.0, 0.0, 2.0]),
    ("also in a mean", np.nanmean, [2.0, math.nan, 0.0], [0.5, 0.0, 0.5]),
    ("also in a scan", lambda x: np.nancumsum(x)[2], [2.0, math.nan, 0.0], [1.0, 0.0, 1.0]),
    ("interp at a knot", lambda x: np.interp(x[0], [0.0, 1.0, 2.0], [0.0, 1.0, 5.0]), [1.0], [4.0]),
    ("interp at the last knot", lambda x: np.interp(x[0], [0.0, 1.0], [0.0, 1.0]), [1.0], [0.0]),
    ("logaddexp of nothing likely", np.logaddexp.reduce, [-math.inf, 0.0], [0.0, 1.0]),
    ("logaddexp far away", np.logaddexp.reduce, [1e4, 1e4], [0.5, 0.5]),
]


@pytest.mark.parametrize(("function", "point", "expected"), [k[1:] for k in KINKS], ids=[k[0] for k in KINKS])
def test_kinks_and_holes(function: Callable[[Any], Any], point: Any, expected: Any):
    assert slopes(function, point) == expected


def test_a_running_maximum_past_nan_keeps_the_derivative_before_it():
    x = np.array([1.0, math.nan, 2.0])
    assert gradient(lambda z: np.maximum.accumulate(z)[0])(x).tolist() == [1.0, 0.0, 0.0]


# ---------------------------------------------------------------------------- second order

TWICE: dict[str, Callable[[Any], Any]] = {
    "prod": lambda x: np.prod(x, axis=0),
    "prod of part": lambda x: np.prod(x, where=np.eye(3, dtype=bool)),
    "cumprod": lambda x: np.cumprod(x, axis=1),
    "running maximum": lambda x: np.maximum.accumulate(np.sin(x), axis=1),
    "max": lambda x: np.max(x**2, axis=1, initial=0.1),
    "var": lambda x: np.var(x, ddof=1),
    "std": lambda x: np.std(x, axis=0),
    "std of part": lambda x: np.nanstd(np.where(np.eye(3) > 0, np.nan, x), axis=1),
    "average": lambda x: np.average(x[0], weights=x[1] ** 2),
    "cov": lambda x: np.cov(x, aweights=x[0] ** 2),
    "corrcoef": lambda x: np.corrcoef(x)[0, 1:],
    "logaddexp": lambda x: np.logaddexp.reduce(x, axis=1),
    "convolve": lambda x: np.convolve(x[0], x[1], "same"),
    "gradient": lambda x: np.gradient(x[0], np.cumsum(np.exp(x[1]))),
    "trapezoid": lambda x: np.trapezoid(x, np.exp(x)),
    "interp": lambda x: np.interp(x[0], np.cumsum(np.exp(x[1])) - 2, x[2]),
    "polyval": lambda x: np.polyval(x[0], x[1]),
    "vander": lambda x: np.vander(x[0], 4),
    "median": lambda x: np.median(x**3, axis=0),
    "quantile of q": lambda x: np.quantile(x[0], 1 / (1 + np.exp(x[1]))),
    "sort": lambda x: np.sort(x, axis=0) * np.sort(x, axis=1),
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_second_order(name: str):
    right_twice(TWICE[name], drawn((3, 3), "twice"))


# ---------------------------------------------------------------------------- complex numbers

COMPLEX: dict[str, Callable[[Any], Any]] = {
    "prod": lambda z: np.real(np.prod(z)),
    "cumprod": lambda z: np.sum(np.imag(np.cumprod(z, axis=0))),
    "var": np.var,
    "std of part": lambda z: np.std(z, where=np.eye(3) > 0),
    "convolve": lambda z: np.sum(np.real(np.convolve(z[0], z[1]) ** 2)),
    "correlate": lambda z: np.sum(np.imag(np.correlate(z[0], z[1], "full") ** 2)),
    "cov": lambda z: np.sum(np.abs(np.cov(z)) ** 2),
    "corrcoef": lambda z: np.real(np.corrcoef(z)[0, 1]),
    "sort": lambda z: np.imag(np.sum(np.sort(z, axis=0) * np.arange(9.0).reshape(3, 3))),
    "average": lambda z: np.imag(np.average(z[0], weights=z[1])),
    "interp": lambda z: np.imag(np.sum(np.interp([0.3, 1.2], [0.0, 1.0, 2.0], z[0]) ** 2)),
    "polyval": lambda z: np.imag(np.sum(np.polyval(z[0], z[1]))),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers_by_real_and_imaginary_differences(name: str):
    function = COMPLEX[name]
    z = drawn((3, 3), "real") + 1j * drawn((3, 3), "imaginary")
    found = gradient(function)(z)
    for place in np.ndindex(z.shape):
        unit = np.zeros((3, 3))
        unit[place] = 1.0
        along, across = (central(lambda h, u=part * unit: function(z + h * u)) for part in (1.0, 1j))
        expected = along - 1j * across
        assert abs(found[place] - expected) <= 1e-7 * (1 + abs(expected))


# ---------------------------------------------------------------------------- lanes

LANES = (
    "sum", "prod", "max", "min", "argmax", "argmin", "cumsum", "cumprod", "cummax", "cummin", "recurrence", "slide",
    "argsort", "argpartition", "partition_order", "searchsorted",
)  # fmt: skip


@pytest.mark.parametrize("name", LANES)
def test_many_lanes_at_once_are_each_lane_on_its_own(name: str):
    primitive = REGISTRY[name]
    rng = rng_of(name)
    for case in cases_of(primitive):
        for flags in itertools.product((True, False), repeat=len(case.arrays)):
            if not any(flags):
                continue
            lanes = [
                np.stack([np.sort(a) if name == "searchsorted" and a.ndim == 1 else a for a in draws])
                for array in case.arrays
                for draws in [[array + rng.standard_normal(array.shape) for _ in range(3)]]
            ]
            operands = [lane if flag else array for lane, array, flag in zip(lanes, case.arrays, flags, strict=True)]
            assert primitive.batch is not None
            found = primitive.batch(3, flags, *operands, **case.params)
            for k in range(3):
                one = [operand[k] if flag else operand for operand, flag in zip(operands, flags, strict=True)]
                expected = np.asarray(primitive.evaluate(*one, **case.params))
                assert (found[k].dtype, found[k].shape) == (expected.dtype, expected.shape)
                np.testing.assert_allclose(found[k], expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", ["cumprod", "running maximum", "median", "convolve", "interp", "sort", "std"])
def test_jacobians_of_all_lanes_at_once(name: str):
    x = drawn((3, 3), "twice")
    found = dl.jacobian(TWICE[name])(x)
    for place in np.ndindex(x.shape):
        unit = np.zeros((3, 3))
        unit[place] = 1.0
        np.testing.assert_allclose(
            found[..., place[0], place[1]], jvp(TWICE[name], (x,), (unit,))[1], rtol=1e-12, atol=1e-13
        )


# ---------------------------------------------------------------------------- refusals

THREE: Any = 3
HALF: Any = "half"
REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (
        lambda x: np.max(x, where=x > 1),
        r"np\.max at test_reductions\.py:\d+: with where= nothing may be left.*initial=",
    ),
    (
        lambda x: np.sum(x, where=np.ones((2, 3), bool)),
        r"np\.sum at .*where of shape \(2, 3\) does not broadcast to \(3,\)",
    ),
    (lambda x: np.max(x[:0]), r"np\.max at .*no largest or smallest element"),
    (lambda x: np.logical_or.reduce(x, dtype=float) * x, r"np\.logical_or\.reduce at .*'dtype' is not supported"),
    (
        lambda x: np.logaddexp.accumulate(x),
        r"np\.logaddexp\.accumulate at .*the ufuncs that have one are np\.add, np\.mul",
    ),
    (lambda x: np.add.accumulate(x[0]), r"np\.add\.accumulate at .*a scalar has no axis"),
    (lambda x: np.multiply.outer(x, x, dtype="f4"), r"np\.multiply\.outer at .*'dtype' is not supported"),
    (lambda x: np.add.reduceat(x, [0, 1]), r"np\.add\.reduceat at .*accumulate, outer and reduce of"),
    (lambda x: np.average(x[None], weights=[1.0, 2.0]), r"np\.average at .*need an axis; name the one"),
    (
        lambda x: np.average(x, axis=0, weights=[1.0, 2.0]),
        r"np\.average at .*weights of shape \(2,\) do not fit axis 0",
    ),
    (lambda x: np.var(x, ddof=1, correction=1), "ddof and correction are one thing"),
    (lambda x: np.cov(x[None, None]), r"np\.cov at .*an array with 3 axes"),
    (lambda x: np.cumulative_sum(x[None]), r"np\.cumulative_sum at .*an array with 2 axes; name one with axis="),
    (lambda x: np.diff(x, -1), r"np\.diff at .*order -1 is negative"),
    (lambda x: np.gradient(x, edge_order=THREE), "edge_order is 1 or 2, not 3"),
    (lambda x: np.gradient(x[:1]), "1 elements along axis 0 are too few"),
    (lambda x: np.gradient(x, 1.0, 2.0), "2 spacings for 1 axes"),
    (lambda x: np.gradient(x, [0.0, 1.0]), r"coordinates of shape \(2,\) along axis 0 of size 3"),
    (lambda x: np.interp(x, [1.0, 2.0], [1.0]), r"np\.interp at .*knots of shape \(2,\) and values of shape \(1,\)"),
    (lambda x: np.interp(x, x, x, left=0.0, period=2.0), "'left' is not supported"),
    (lambda x: np.convolve(x, x[:0]), r"np\.convolve at .*both are sequences"),
    (lambda x: np.convolve(x, x, HALF), "mode is 'full', 'same' or 'valid'"),
    (lambda x: np.polyder(x, -1), r"np\.polyder at .*order -1 is negative"),
    (lambda x: np.polyint(x, 2, k=[1.0, 2.0, 3.0][:0]), "0 constants for 2 integrations; give 2"),
    (lambda x: np.polyfit(x, x, 1, full=True), "only the coefficients for one degree are known"),
    (lambda x: np.vander(x[None]), "the points are a sequence"),
    (lambda x: np.bincount(x), r"np\.bincount at .*takes a sequence of integers"),
    (
        lambda x: np.histogram(x)[0],
        r"np\.histogram \(called at test_\w+\.py:\d+\) counts, and counts have no derivative; .*kernel",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_what_cannot_be_recorded_says_what_where_and_what_to_do(function: Callable, message: str):
    with pytest.raises(TraceError) as caught:
        gradient(lambda x: np.sum(function(x)))(np.array([1.0, 2.0, 0.5]))
    assert re.search(message, str(caught.value))


def test_how_many_bins_there_are_is_guarded():
    prepared = dl.prepare(lambda w, k: np.sum(np.bincount(k, w) ** 2), np.ones(3), np.array([0, 1, 1]))
    assert prepared(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1])).tolist() == [2.0, 10.0, 10.0]
    assert prepared(np.array([1.0, 2.0, 3.0]), np.array([0, 5, 0])).tolist() == [8.0, 4.0, 8.0]
