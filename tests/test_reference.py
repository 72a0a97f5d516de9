"""The certified reference gradient: errors measured against it, and its file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from difflab import numpy_functions as numpy_functions  # fills the table of NumPy functions
from difflab.errors import InputError, StoreError
from difflab.harness.accuracy import judge
from difflab.harness.certify import certified
from difflab.harness.grades import errors
from difflab.harness.reference import Reference
from difflab.tracing import trace_leaves


def network(w: Any, x: Any) -> Any:
    return np.sum(np.tanh(x @ w) ** 2)


@pytest.fixture
def reference() -> Reference:
    w, x = np.random.default_rng(3).normal(size=(4, 2)), np.random.default_rng(4).normal(size=(5, 4))
    tape = trace_leaves(lambda inputs: [network(*inputs)], [w, x])
    return certified(tape, [w, x], (0,))


def test_errors_below_the_roundoff_of_a_double_are_seen(reference: Reference) -> None:
    rounded = errors(reference.high, reference)
    assert 1e-18 < rounded["rel_error"] < 1.2e-16
    assert rounded["ulps"] <= 0.5
    assert rounded["worst_digits"] >= 15.6
    assert rounded["certified"]
    assert rounded["radius"] < 1e-30


def test_one_wrong_coordinate_is_found(reference: Reference) -> None:
    wrong = reference.high[0].copy()
    wrong[2, 1] *= 1 + 1e-6
    found = errors([wrong], reference)
    assert found["worst"] == (0, (2, 1))
    assert found["worst_digits"] == pytest.approx(6.0, abs=1e-6)
    expected = abs(wrong - reference.high[0]).max() / np.linalg.norm(reference.high[0])
    assert found["rel_error"] == pytest.approx(expected, rel=1e-6)


def test_float32_is_measured_in_its_own_units(reference: Reference) -> None:
    found = errors([reference.high[0].astype(np.float32)], reference)
    assert 1e-9 < found["rel_error"] < 6e-8
    assert found["ulps"] <= 0.5
    assert found["worst_digits"] <= 6.93


def test_exact_zeros_and_infinities_count() -> None:
    truth = Reference([np.array([1.0, 0.0])], [np.zeros(2)], [np.zeros(2)], 0.0, 160, 0, True, "", checked=True)
    perfect = errors([np.array([1.0, 0.0])], truth)
    assert (perfect["rel_error"], perfect["ulps"], perfect["worst_digits"]) == (
        0.0,
        0.0,
        pytest.approx(15.65, abs=0.01),
    )
    off = errors([np.array([1.0, 1e-10])], truth)
    assert off["worst"] == (0, (1,))
    assert off["worst_digits"] == 0.0
    assert errors([np.array([1.0, math.nan])], truth)["rel_error"] == math.inf
    nothing = Reference([np.zeros(2)], [np.zeros(2)], [np.zeros(2)], 0.0, 160, 0, True, "", checked=True)
    assert errors([np.zeros(2)], nothing)["rel_error"] == 0.0
    assert errors([np.array([0.0, 1e-300])], nothing)["rel_error"] == math.inf


def test_gradients_that_do_not_fit_are_refused(reference: Reference) -> None:
    with pytest.raises(InputError, match="2 leaves does not fit a reference of 1"):
        errors([np.zeros((4, 2)), np.zeros(1)], reference)
    with pytest.raises(InputError, match=r"leaf 0 of the gradient is float64\(2, 4\), not of shape \(4, 2\)"):
        errors([np.zeros((2, 4))], reference)


def test_a_reference_is_saved_and_loaded_without_pickle(reference: Reference, tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    reference.save(path)
    again = Reference.load(path)
    for part in ("high", "low", "radius"):
        for a, b in zip(getattr(reference, part), getattr(again, part), strict=True):
            np.testing.assert_array_equal(a, b)
    assert (again.value, again.bits, again.ties, again.narrow) == (
        reference.value, reference.bits, reference.ties, reference.narrow,
    )  # fmt: skip
    assert [entry.name for entry in tmp_path.iterdir()] == ["reference.npz"]


def test_an_unreadable_reference_says_so(tmp_path: Path, reference: Reference) -> None:
    (tmp_path / "broken.npz").write_bytes(b"PK nonsense")
    with pytest.raises(StoreError, match="is not a readable reference gradient"):
        Reference.load(tmp_path / "broken.npz")
    with pytest.raises(StoreError, match="is not a readable reference gradient"):
        Reference.load(tmp_path / "missing.npz")
    with pytest.raises(StoreError, match="cannot be written"):
        reference.save(tmp_path / "no such folder" / "reference.npz")


def test_a_gradient_that_cannot_be_judged_still_says_what_the_reference_is() -> None:
    truth = Reference([np.ones(2)], [np.zeros(2)], [np.zeros(2)], 0.0, 160, 0, True, "", checked=True)
    trusted = Reference(
        [np.ones(2)], [np.zeros(2)], [np.zeros(2)], 0.0, 1280, 0, True, "3 comparisons met", 3, checked=True
    )
    leaf = [np.zeros(2)]
    for gradient in ([np.array([1.0, math.nan])], [np.ones(3)], [np.ones(2)], [np.zeros(2)], "nothing"):
        assert judge(gradient, leaf, "reverse", "float64", truth)["certified"] == "yes"
        assert judge(gradient, leaf, "reverse", "float64", trusted)["certified"] == "no: 3 comparisons met"
        assert judge(gradient, leaf, "reverse", "float64", None, "kink")["certified"] == "no: kink"
        assert judge(gradient, leaf, "null", "float64", truth)["certified"].startswith("no: the null backend")
    assert not trusted.certified
    lost = judge([np.array([1.0, math.nan])], leaf, "reverse", "float64", truth)
    assert (lost["outcome"], lost["reason"]) == ("invalid", "1 of 2 entries of the gradient are NaN or infinite")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_wrong_gradients_of_any_size_are_measured_without_a_warning(dtype: str) -> None:
    numbers = (0.0, 1e-320, 1e-300, 1e-40, 1.0, 1e38, 1e300, 1.7e308, math.inf, -math.inf, math.nan)
    for true in (0.0, 5e-324, 1e-300, 1.0, -1.7e308):
        truth = Reference([np.array([true])], [np.zeros(1)], [np.zeros(1)], 0.0, 160, 0, True, "", checked=True)
        for number in numbers:
            with np.errstate(over="ignore"):
                computed = np.array([number]).astype(dtype)
            found = errors([computed], truth)
            assert found["worst_digits"] >= 0.0
            assert found["rel_error"] >= 0.0
            assert math.isfinite(found["ulps"]) or found["ulps"] == math.inf
            assert judge([computed], [computed], "reverse", dtype, truth)["certified"] == "yes"


def test_trust_survives_the_file(tmp_path: Path) -> None:
    trusted = Reference([np.ones(2)], [np.zeros(2)], [np.zeros(2)], 0.0, 1280, 0, True, "why", 3, checked=True)
    trusted.save(tmp_path / "reference.npz")
    again = Reference.load(tmp_path / "reference.npz")
    assert (again.unproven, again.certified) == (3, False)
