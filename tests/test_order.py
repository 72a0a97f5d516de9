"""Sorting, searching, quantiles, distinct values: any axes and ties, live positions, exact choices, refusals."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy_checks import drawn, right_in_both_modes, same_as_numpy, slopes

import difflab as dl
from difflab.errors import TraceError, UndecidedError, UnsupportedError
from difflab.execution.exact import certify
from difflab.operators import gradient
from difflab.tracing import trace_leaves
from difflab.transforms import reverse

SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)
METHODS = (
    "inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull",
    "linear", "median_unbiased", "normal_unbiased", "lower", "higher", "midpoint", "nearest",
)  # fmt: skip


@given(st.data(), SIZES)
def test_any_order(data: st.DataObject, shape: tuple[int, ...]):
    axis = data.draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    x = drawn(shape)
    size = x.size if axis is None else shape[axis]
    kth = data.draw(st.one_of(st.integers(-size, size - 1), st.lists(st.integers(0, size - 1), min_size=1)))
    right_in_both_modes(lambda z: np.sort(z, axis=axis), x)
    right_in_both_modes(lambda z: np.partition(z, kth, axis=axis), x)
    same_as_numpy(lambda z: np.argsort(z, axis=axis), x)
    same_as_numpy(lambda z: np.argpartition(z, kth, axis=axis), x)


@given(st.lists(st.sampled_from([0.0, -1.0, 2.5, math.nan, math.inf, -0.0]), max_size=12), st.integers(0, 11))
def test_ties_infinities_and_nan_stand_where_numpy_puts_them(values: list[float], kth: int):
    x = np.array(values, float)
    for function in (np.sort, np.argsort, lambda z: np.argsort(z, kind="stable"), np.unique):
        same_as_numpy(function, x)
    sides: tuple[Any, ...] = ("left", "right")
    for side in sides:
        same_as_numpy(lambda z, s=side: np.searchsorted(np.sort(z), [-1.0, 0.0, math.nan, 9.0], s), x)
    if kth < len(values):
        same_as_numpy(lambda z: np.partition(z, kth), x)
        same_as_numpy(lambda z: np.argpartition(z, kth), x)
    if values:
        same_as_numpy(np.median, x)
        same_as_numpy(lambda z: np.percentile(z, [0.0, 37.0, 100.0], method="lower"), x)


@pytest.mark.parametrize("n", [20, 300])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_long_partitions_are_those_of_numpy(n: int, dtype: str):
    x = np.round(10 * drawn((n,), "long")).astype(dtype)
    for kth in (0, n // 3, n - 1):
        same_as_numpy(lambda z, k=kth: np.partition(z, k), x)
        same_as_numpy(lambda z, k=kth: np.argpartition(z, k), x)
    same_as_numpy(np.argsort, x)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=12)
@given(st.data(), SIZES)
def test_any_quantile(method: Any, data: st.DataObject, shape: tuple[int, ...]):
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1)))
    axis = data.draw(st.sampled_from([None, axes, axes[0]]))
    q = data.draw(
        st.one_of(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=1, max_size=3), st.sampled_from([0, 1]))
    )
    keepdims = data.draw(st.booleans())
    right_in_both_modes(lambda z: np.quantile(z, q, axis=axis, method=method, keepdims=keepdims), drawn(shape))
    holes = np.where(np.cos(np.arange(math.prod(shape)).reshape(shape) * 2.0) > 0.8, math.nan, drawn(shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's own, about lines of nothing but NaN
        same_as_numpy(lambda z: np.nanquantile(z, q, axis=axis, method=method, keepdims=keepdims), holes)
        same_as_numpy(lambda z: np.nanmedian(z, axis=axis, keepdims=keepdims), holes)


@pytest.mark.parametrize("method", ["linear", "hazen", "weibull", "median_unbiased", "interpolated_inverted_cdf"])
def test_quantiles_move_with_a_live_q(method: Any):
    x, q = drawn((5, 3)), np.array([0.31, 0.55, 0.83])
    right_in_both_modes(lambda x, q: np.quantile(x, q, axis=0, method=method), x, q)
    right_in_both_modes(lambda x, q: np.percentile(x[:, 0], 100 * q[1], method=method), x, q)
    right_in_both_modes(lambda x, q: np.nanquantile(np.where(x > 1, np.nan, x), q, axis=0, method=method), x, q)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_q_is_weak_and_an_array_is_not(dtype: str):
    x = drawn((7,), dtype=dtype)
    qs: tuple[Any, ...] = (0.3, np.float64(0.3), [0.3, 0.9], np.float32(0.3), 1, 0)
    for q in qs:
        same_as_numpy(lambda z, q=q: np.quantile(z, q), x)
        same_as_numpy(lambda z, q=q: np.percentile(z, q, method="nearest"), x)
        same_as_numpy(lambda z, q=q: np.quantile(z, q), np.arange(5, dtype="i4"))


# ---------------------------------------------------------------------------- the kink table: first of a tie


KINKS: list[tuple[str, Callable[[Any], Any], list[float], list[float]]] = [
    ("sort keeps the first first", lambda x: np.sort(x)[0], [1.0, 1.0, 1.0], [1, 0, 0]),
    ("and the last last", lambda x: np.sort(x)[2], [1.0, 1.0, 1.0], [0, 0, 1]),
    ("zeros of both signs tie", lambda x: np.sort(x)[0], [0.0, -0.0], [1, 0]),
    ("partition", lambda x: np.partition(x, 1)[1], [2.0, 1.0, 2.0], [1, 0, 0]),
    ("median of a tie", np.median, [2.0, 2.0, 2.0], [0, 1, 0]),
    ("median between a tie", np.median, [1.0, 2.0, 2.0, 3.0], [0, 0.5, 0.5, 0]),
    ("quantile", lambda x: np.quantile(x, 0.25), [5.0, 5.0, 5.0], [0.5, 0.5, 0]),
    ("nanmedian", np.nanmedian, [math.nan, 4.0, 4.0, math.nan], [0, 0.5, 0.5, 0]),
    ("median with NaN", np.median, [math.nan, 4.0, 4.0], [1, 0, 0]),
    ("unique", lambda x: np.unique(x)[0], [2.0, 1.0, 1.0], [0, 1, 0]),
    ("positions have none", lambda x: np.sum(np.argsort(x) * 1.0) + 0 * x[0], [2.0, 1.0, 1.0], [0, 0, 0]),
]


@pytest.mark.parametrize(("function", "point", "expected"), [k[1:] for k in KINKS], ids=[k[0] for k in KINKS])
def test_ties_go_to_the_first(function: Callable[[Any], Any], point: list[float], expected: list[float]):
    assert slopes(function, point) == expected


# ---------------------------------------------------------------------------- distinct values


@given(st.lists(st.sampled_from([0.5, -1.0, 2.5, math.nan]), max_size=8), st.booleans())
def test_distinct_values_with_all_they_come_with(values: list[float], equal_nan: bool):
    x = np.array(values, float)
    expected = np.unique(x, True, True, True, equal_nan=equal_nan)
    tape = trace_leaves(lambda leaves: list(np.unique(leaves[0], True, True, True, equal_nan=equal_nan)), [x]).check()
    for found, wanted in zip(tape.evaluate([x]), expected, strict=True):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_array_equal(found, wanted)


def test_how_many_distinct_values_there_are_is_guarded():
    prepared = dl.prepare(lambda x: np.sum(np.unique(x) ** 2), np.array([3.0, 1.0, 3.0]))
    assert prepared(np.array([3.0, 1.0, 3.0])).tolist() == [6.0, 2.0, 0.0]
    assert prepared(np.array([1.0, 5.0, 5.0])).tolist() == [2.0, 10.0, 0.0]
    assert prepared(np.array([1.0, 5.0, 4.0])).tolist() == [2.0, 10.0, 8.0]


def test_the_direction_of_live_bins_is_guarded():
    prepared = dl.prepare(lambda x, b: np.sum(x * np.digitize(x, b)), np.ones(2), np.array([0.0, 2.0]))
    x = np.array([1.0, 3.0])
    assert prepared(x, np.array([0.0, 2.0])).tolist() == np.digitize(x, [0.0, 2.0]).tolist()
    assert prepared(x, np.array([2.0, 0.0])).tolist() == np.digitize(x, [2.0, 0.0]).tolist()


# ---------------------------------------------------------------------------- exact arithmetic


def certified(function: Callable, *leaves: Any, **options: Any) -> Any:
    tape = trace_leaves(lambda inputs: [function(*inputs)], list(leaves))
    return certify(reverse.gradient(tape, (0,)), list(leaves), **options)


EXACT: dict[str, Callable[[Any], Any]] = {
    "sort": lambda x: np.sum(np.sort(np.sin(x)) * np.arange(6.0)),
    "median": lambda x: np.median(np.exp(x)) ** 2,
    "quantile": lambda x: np.sum(np.quantile(x, [0.2, 0.7], method="hazen") ** 2),
    "prod": lambda x: np.prod(x) + np.prod(np.reshape(x, (2, 3)), axis=0)[1],
    "cumprod": lambda x: np.sum(np.cumprod(x) ** 2),
    "running extremes": lambda x: np.sum(np.maximum.accumulate(x) * np.minimum.accumulate(x)),
    "interp": lambda x: np.sum(np.interp(x, [-2.0, 0.1, 2.3], [1.0, 0.0, 3.0]) ** 2),
    "convolve": lambda x: np.sum(np.convolve(x, x[:3]) ** 2),
    "std": lambda x: np.std(x),
    "logaddexp": lambda x: np.logaddexp.reduce(x),
}


@pytest.mark.parametrize("name", EXACT)
def test_choices_and_scans_are_certified(name: str):
    x = np.array([0.5, -1.25, 2.0, 0.75, -0.3, 1.1])
    found = certified(EXACT[name], x)
    np.testing.assert_allclose(found.high[1], gradient(EXACT[name])(x), rtol=1e-13, atol=1e-14)
    assert np.max(found.radius[1]) < 1e-30


def test_ties_are_counted_and_what_cannot_be_told_apart_is_undecided():
    tied = certified(lambda x: np.sort(x)[0] * 3, np.array([2.0, 1.0, 1.0]))
    assert tied.high[1].tolist() == [0.0, 3.0, 0.0]
    assert tied.ties > 0
    with pytest.raises(UndecidedError, match="cannot be decided"):
        certified(lambda x: np.sort(np.stack([np.sqrt(x) ** 2, x]))[0], 2.0)
    with pytest.raises(UndecidedError, match="cannot be decided"):
        certified(lambda x: x * np.searchsorted([1.0, 2.0, 3.0], np.sqrt(x) ** 2), 2.0)


def test_a_partition_is_not_certified_and_says_what_to_do():
    with pytest.raises(UnsupportedError, match="partition"):
        certified(lambda x: np.partition(x, 1)[1], np.array([3.0, 1.0, 2.0]))


def test_a_symbolic_sort_is_refused():
    with pytest.raises(UnsupportedError, match="depends on differentiated values"):
        gradient(lambda x: np.sort(x)[0], backend="symbolic")(np.array([2.0, 1.0]))


# ---------------------------------------------------------------------------- refusals

UNKNOWN: Any = "other"
REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: np.sort(x, order="a"), r"np\.sort at test_order\.py:\d+: the argument 'order' is not supported"),
    (lambda x: np.argsort(x, kind=UNKNOWN), r"np\.argsort at .*'other' is none of"),
    (lambda x: np.sort(x, 1), "axis 1 is out of bounds for 1 dimensions"),
    (lambda x: x.sort(), r"\.sort\(\) at test_order\.py:\d+ changes a traced array in place.*use np\.sort\(x\)"),
    (lambda x: np.partition(x, np.argmax(x)), r"np\.partition at .*kth is traced"),
    (lambda x: np.searchsorted(x[None], x), r"np\.searchsorted at .*has 2 axes, not one"),
    (lambda x: np.searchsorted(x, x, UNKNOWN), "'left' or 'right', not 'other'"),
    (lambda x: np.unique(x[None], axis=0), r"np\.unique at .*distinct slices along axis 0 are not supported"),
    (lambda x: np.unique(x, sorted=False), "'sorted' is not supported"),
    (lambda x: np.quantile(x, 1.5), r"np\.quantile at .*q is to lie between 0 and 1"),
    (lambda x: np.percentile(x, [-3, 20]), r"np\.percentile at .*q is to lie between 0 and 100"),
    (lambda x: np.quantile(x, 0.5, method=UNKNOWN), "'other' is none of inverted_cdf"),
    (lambda x: np.quantile(x, 0.5, method="inverted_cdf", weights=x), "'weights' is not supported"),
    (lambda x: np.quantile(x + 1j, 0.5), r"np\.quantile at .*nothing lies between complex numbers"),
]


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_what_cannot_be_recorded_says_what_where_and_what_to_do(function: Callable, message: str):
    with pytest.raises(TraceError) as caught:
        gradient(lambda x: np.sum(function(x)))(np.array([1.0, 2.0, 0.5]))
    assert re.search(message, str(caught.value))
