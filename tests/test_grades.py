"""Grades: norms, digits, units of the last place and their histogram, by hand and by hypothesis."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difflab.harness.grades import BINS, EDGES, errors, ulp_bin
from difflab.harness.reference import Direction, Reference

EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10}


def reference(*arrays, low=None, radius=None, **known) -> Reference:
    """A certified reference of the given values."""
    high = [np.asarray(array) for array in arrays]
    zeros = [np.zeros(array.shape) for array in high]
    return Reference(high, low or zeros, radius or zeros, 0.0, 160, 0, True, "", checked=True, **known)


# ---------------------------------------------------------------------------- by hand


@pytest.mark.parametrize("dtype", EPS)
def test_three_coordinates_by_hand(dtype: str) -> None:
    eps = EPS[dtype]
    computed = np.array([1.0, 1.0 + eps, 4.0 + 12 * eps], dtype)  # above 4 the last place is four times as far
    found = errors([computed], reference([1.0, 1.0, 4.0]))
    assert found["ulps"] == 3.0
    assert found["worst"] == (0, (2,))
    assert found["worst_rel_error"] == 3 * eps
    assert found["rel_error"] == pytest.approx(eps * math.sqrt(145 / 18), rel=1e-12)
    assert found["digits"] == pytest.approx(-math.log10(found["rel_error"]))
    assert found["worst_digits"] == pytest.approx(-math.log10(3 * eps))
    assert found["median_digits"] == pytest.approx(-math.log10(eps))
    expected = [0] * BINS
    expected[0] = expected[2] = 1  # exact, and one unit: the end of the bin from 1/2 to 1
    expected[4] = 1  # three units: from 2 to 4
    assert found["ulp_histogram"] == expected
    assert found["direction_error"] is None
    assert json.loads(json.dumps(found["ulp_histogram"])) == expected


CAPS = [("float64", 15.65, 15.95), ("float32", 6.92, 7.22), ("float16", 3.01, 3.31)]


@pytest.mark.parametrize(("dtype", "cap", "by_norm"), CAPS)
def test_digits_end_with_those_of_the_dtype(dtype: str, cap: float, by_norm: float) -> None:
    found = errors([np.array([3.0, -0.5], dtype)], reference([3.0, -0.5]))
    assert found["digits"] == pytest.approx(by_norm, abs=0.006)
    assert found["worst_digits"] == found["median_digits"] == pytest.approx(cap, abs=0.006)
    assert (found["rel_error"], found["worst_rel_error"], found["ulps"]) == (0.0, 0.0, 0.0)


def test_correct_rounding_is_at_most_half_a_unit_in_every_dtype() -> None:
    true = np.random.default_rng(7).standard_normal(300)
    for dtype in EPS:
        found = errors([true.astype(dtype)], reference(true))
        assert found["ulps"] <= 0.5
        assert found["ulp_histogram"][0] + found["ulp_histogram"][1] == 300
        assert 0 < found["ulp_histogram"][1] or dtype == "float64"


def test_below_normal_numbers_the_unit_is_the_smallest_one() -> None:
    tiny = 2.0**-24  # of float16
    found = errors([np.array([3 * tiny], "float16")], reference([tiny]))
    assert found["ulps"] == 2.0


def test_a_zero_is_asked_to_come_out_as_one() -> None:
    exact = errors([np.array([1.0, 0.0])], reference([1.0, 0.0]))
    assert exact["ulp_histogram"][0] == 2
    off = errors([np.array([1.0, 1e-12])], reference([1.0, 0.0]))
    assert off["worst_digits"] == 0.0
    assert off["ulp_histogram"][BINS - 2] == 1
    assert off["rel_error"] == 1e-12


def test_what_is_not_finite_has_a_bin_of_its_own() -> None:
    found = errors([np.array([1.0, math.nan, -math.inf, 1e300])], reference([1.0, 1.0, 1.0, 1e-300]))
    assert found["ulp_histogram"][0] == 1
    assert found["ulp_histogram"][BINS - 2 :] == [1, 2]
    assert found["rel_error"] == found["worst_rel_error"] == found["ulps"] == math.inf
    assert (found["digits"], found["worst_digits"]) == (0.0, 0.0)


def test_the_parts_of_a_complex_number_are_two_coordinates() -> None:
    true = np.array([1.0 + 2.0j, 3.0 - 1.0j])
    computed = true.copy()
    computed[1] += 2.0**-52 * 4j
    found = errors([computed], reference(true))
    assert found["worst"] == (0, (1,))
    assert found["ulps"] == 4.0
    assert sum(found["ulp_histogram"]) == 4
    assert found["rel_error"] == pytest.approx(4 * 2.0**-52 / math.sqrt(15), rel=1e-12)
    narrow = errors([true.astype(np.complex64)], reference(true))
    assert (narrow["ulps"], narrow["worst_digits"]) == (0.0, pytest.approx(6.92, abs=0.006))
    real_truth = errors([np.array([1.0 + 0.5j])], reference([1.0]))
    assert real_truth["rel_error"] == 0.5


def test_the_width_of_the_truth_is_told() -> None:
    found = errors([np.array([1.0, 0.0])], reference([1.0, 0.0], radius=[np.array([3e-20, 4e-20])]))
    assert found["radius"] == pytest.approx(5e-20)


def test_bins_are_named_and_in_order() -> None:
    assert [ulp_bin(number) for number in range(5)] == ["exact", "up to 1/2", "1/2 to 1", "1 to 2", "2 to 4"]
    assert ulp_bin(BINS - 3) == "524288 to 1048576"
    assert len({ulp_bin(number) for number in range(BINS)}) == BINS
    assert list(EDGES) == sorted(EDGES)


# ---------------------------------------------------------------------------- samples


def sampled(**more) -> Reference:
    known = [np.array([True, False, True])]
    return reference(
        np.array([1.0, math.nan, 2.0]), low=[np.array([0.0, math.nan, 0.0])],
        radius=[np.array([0.0, math.inf, 0.0])], known=known, sampled=(2, 3), **more,
    )  # fmt: skip


def test_only_what_is_known_is_graded() -> None:
    found = errors([np.array([1.0, 1e9, 2.0 + 2.0**-50])], sampled())
    assert sum(found["ulp_histogram"]) == 2
    assert (found["ulps"], found["worst"]) == (2.0, (0, (2,)))
    assert found["rel_error"] == pytest.approx(2.0**-50 / math.sqrt(5))
    assert found["radius"] == 0.0


def test_directions_see_the_coordinates_that_are_not_known() -> None:
    vectors = [np.array([1.0, -1.0, 0.5])], [np.array([1.0, 1.0, 0.0])]
    truth = np.array([1.0, 5.0, 2.0])
    directions = [Direction(list(v), float(np.dot(v[0], truth)), 0.0, 0.0) for v in vectors]
    right = errors([truth], sampled(directions=directions))
    assert right["direction_error"] == 0.0
    wrong = errors([truth * [1.0, 1.5, 1.0]], sampled(directions=directions))
    assert wrong["rel_error"] == 0.0
    # 2.5 too much in both products, -3 and 6, relative to |(1, 7.5, 2)| |(1, 1, 0)| / sqrt(3), which is more
    assert wrong["direction_error"] == pytest.approx(2.5 / math.sqrt(61.25 * 2 / 3))
    lost = errors([np.array([1.0, math.nan, 2.0])], sampled(directions=directions))
    assert lost["direction_error"] == math.inf


def test_products_with_directions_do_not_round() -> None:
    vector = [np.array([1e16, 1.0, -1e16])]
    truth = [Direction(vector, 3.0, 0.0, 0.0)]
    assert errors([np.array([1.0, 3.0, 1.0])], reference([1.0, 3.0, 1.0], directions=truth))["direction_error"] == 0.0
    third = [Direction([np.array([1 / 3])], 1 / 9, float(np.spacing(1 / 9)), 0.0)]
    found = errors([np.array([1 / 3])], reference([1 / 3], directions=third))["direction_error"]
    assert 0 < found < 2.0**-51


def test_a_sample_without_coordinates_has_no_norm() -> None:
    nothing = reference(np.full(2, math.nan), known=[np.zeros(2, bool)], sampled=(0, 2))
    found = errors([np.ones(2)], nothing)
    for figure in ("rel_error", "worst_rel_error", "digits", "worst_digits", "median_digits", "ulps"):
        assert math.isnan(found[figure]), figure
    assert sum(found["ulp_histogram"]) == 0


def test_a_gradient_of_nothing_is_right() -> None:
    found = errors([np.zeros((0, 3))], reference(np.zeros((0, 3))))
    assert (found["rel_error"], found["ulps"], found["digits"]) == (0.0, 0.0, math.inf)


# ---------------------------------------------------------------------------- by hypothesis

NUMBERS = st.tuples(st.integers(0, 2**9 - 1), st.integers(-4, 4), st.sampled_from((-1.0, 1.0)))


@given(
    st.lists(NUMBERS, min_size=1, max_size=12), st.integers(0, 11), st.integers(1, 2**9), st.sampled_from(sorted(EPS))
)
def test_moving_a_coordinate_by_k_units_is_found_as_k(
    numbers: list[tuple[int, int, float]], place: int, k: int, dtype: str
) -> None:
    # 1 + j eps with j and k below 2**9 stays below 2, so the last place keeps its size in all dtypes.
    true = np.array([sign * 2.0**e * (1 + j * EPS[dtype]) for j, e, sign in numbers])
    at = place % len(true)
    moved = true.copy()
    moved[at] += math.copysign(k * EPS[dtype] * 2.0 ** numbers[at][1], true[at])
    found = errors([moved.astype(dtype)], reference(true))
    assert (found["ulps"], found["worst"]) == (k, (0, (at,)))
    assert found["ulp_histogram"][0] == len(true) - 1
    filled = [number for number in range(1, BINS) if found["ulp_histogram"][number]]
    assert filled == [int(np.searchsorted(EDGES, k))]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=20), st.sampled_from(sorted(EPS)))
def test_a_histogram_counts_every_coordinate_once(values: list[float], dtype: str) -> None:
    with np.errstate(over="ignore"):
        computed = np.array(values).astype(dtype)
    found = errors([computed], reference(np.linspace(-1.0, 1.0, len(values))))
    assert sum(found["ulp_histogram"]) == len(values)
    assert found["ulp_histogram"][BINS - 1] == np.count_nonzero(~np.isfinite(computed))
