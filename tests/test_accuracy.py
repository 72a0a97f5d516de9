"""Judging results: a tolerance for everything there is, form before numbers, and the truth of each dtype."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab.backends import find, listing
from difflab.backends.protocol import OPERATORS
from difflab.harness import accuracy, catalogue
from difflab.harness.operation import Operation
from difflab.harness.reference import Direction, Reference
from difflab.operators import source
from difflab.problems import PROBLEMS
from difflab.problems.record import DTYPES
from difflab.report.nouns import NOUNS


def reference(*arrays: Any, **known: Any) -> Reference:
    high = [np.asarray(array, float) for array in arrays]
    zeros = [np.zeros(array.shape) for array in high]
    return Reference(high, zeros, zeros, 0.0, 160, 0, True, "", checked=True, **known)


# ---------------------------------------------------------------------------- tolerances


def test_there_is_a_tolerance_for_every_dtype_family_and_operator() -> None:
    families = {found.family for found in listing() if found.unavailable is None} | {"peer", "complex-step"}
    assert tuple(catalogue.DTYPES) == tuple(DTYPES) == ("float16", "float32", "float64")
    for dtype in (*DTYPES, "complex64", "complex128"):
        for family in families - {"null"}:
            for operator in OPERATORS:
                bound = accuracy.tolerance(family, dtype, operator)
                assert bound is not None
                assert 0 < bound <= 0.5, "the answer zero has the error 1"
    assert set(OPERATORS) == set(accuracy.ORDERS) == set(accuracy.NOUNS)
    assert {name: accuracy.NOUNS[name] for name in NOUNS} == NOUNS


def test_tolerances_grow_with_the_roundoff_and_the_order() -> None:
    for family in ("reverse", "finite", "complex-step"):
        for first, second in (("gradient", "hvp"), ("jvp", "hessian")):
            bounds = [accuracy.tolerance(family, dtype, first) for dtype in reversed(DTYPES)]
            assert bounds == sorted(bounds, key=lambda bound: bound or 0.0)
            for dtype in DTYPES:
                bounds = [accuracy.tolerance(family, dtype, operator) or 0.0 for operator in (first, second)]
                assert 0.0 < bounds[0] <= bounds[1]
    assert accuracy.tolerance("complex-step", "float32") == accuracy.tolerance("reverse", "float32")
    second = [accuracy.tolerance(family, "float64", "hvp") for family in ("reverse", "complex-step", "finite")]
    assert second == [1e-12, 2e-9, 0.05]
    assert accuracy.tolerance("finite", "complex64") == accuracy.tolerance("finite", "float32")
    assert accuracy.tolerance("null", "float16", "hvp") is None


@pytest.mark.parametrize("operator", ["gradient", "hvp"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_tolerances_hold_for_the_shipped_problems(dtype: str, operator: str) -> None:
    for name in ("digits-mlp", "mlp", "two-layer"):
        spec = {"problem": name, "size": "tiny", "seed": 0, "operator": operator}
        wide = PROBLEMS[name].build("tiny", "float64", 0)
        made = source(wide.loss, wide.args)
        truth, why = accuracy.truth_of(made.tape, Operation.drawn(operator, made, spec["seed"]), 60.0)
        assert truth is not None, why
        narrow = PROBLEMS[name].build("tiny", dtype, 0)
        own = Operation.drawn(operator, source(narrow.loss, narrow.args), spec["seed"])
        for backend in ("forward", "reverse"):
            result = own.result(own.prepare(find(backend)))
            found = accuracy.judge(result, own.expected, backend, dtype, truth, operator=operator)
            assert (found["outcome"], found["certified"]) == ("ok", "yes")
            # several tens of the tolerance are left for larger problems; float64 is its own truth
            assert found["rel_error"] < found["tolerance"] / 30
            assert sum(found["ulp_histogram"]) == sum(array.size for array in own.expected)


# ---------------------------------------------------------------------------- form


@pytest.mark.parametrize(
    ("operator", "text"),
    [
        ("jvp", "part 0 of the Jacobian-vector product has shape (3,), its output has (2,)"),
        ("vjp", "part 0 of the vector-Jacobian product has shape (3,), its variable has (2,)"),
        ("hvp", "part 0 of the Hessian-vector product has shape (3,), its variable has (2,)"),
        ("jacobian", "part 0 of the Jacobian has shape (3,), its output and variable has (2,)"),
        ("hessian", "part 0 of the Hessian has shape (3,), its pair of variables has (2,)"),
    ],
)
def test_form_is_told_in_the_words_of_the_operator(operator: str, text: str) -> None:
    assert accuracy.fault_of_form([np.zeros(3)], [np.zeros(2)], operator) == text
    assert accuracy.fault_of_form([np.zeros(2)], [np.zeros(2)], operator) is None
    narrow = accuracy.fault_of_form([np.zeros(2, "f4")], [np.zeros(2)], operator)
    assert narrow is not None
    assert narrow.endswith("is float64")


def test_what_is_not_finite_is_graded_all_the_same() -> None:
    found = accuracy.judge([np.array([1.0, np.nan])], [np.ones(2)], "reverse", "float64", reference([1.0, 1.0]))
    assert found["outcome"] == "invalid"
    assert found["reason"] == "1 of 2 entries of the gradient are NaN or infinite"
    assert (found["ulp_histogram"][0], found["ulp_histogram"][-1]) == (1, 1)
    assert found["rel_error"] is None, "infinity is no JSON"


def test_a_sample_is_judged_by_its_coordinates_and_by_its_directions() -> None:
    known = [np.array([True, False])]
    directions = [Direction([np.array([1.0, 1.0])], 3.0, 0.0, 0.0)]
    truth = reference([1.0, np.nan], known=known, sampled=(1, 2), directions=directions)
    leaf = [np.ones(2)]
    right = accuracy.judge([np.array([1.0, 2.0])], leaf, "reverse", "float64", truth)
    assert (right["outcome"], right["certified"], right["direction_error"]) == ("ok", "sampled 1 of 2", 0.0)
    hidden = accuracy.judge([np.array([1.0, 2.1])], leaf, "reverse", "float64", truth)
    assert hidden["outcome"] == "invalid"
    assert hidden["reason"] == "relative error 0.033 along a random direction is over 10 times the tolerance 1e-13"
    seen = accuracy.judge([np.array([1.5, 1.5])], leaf, "reverse", "float64", truth)
    assert seen["reason"] == "relative error 0.5 is over the tolerance 1e-13"


# ---------------------------------------------------------------------------- truth


@pytest.mark.parametrize(("dtype", "eps"), [("float32", 2.0**-23), ("float16", 2.0**-10)])
def test_rounding_a_constant_counts_as_error_of_the_dtype(dtype: str, eps: float) -> None:
    found = dl.compare(lambda x: np.sum(0.1 * x), np.ones(4, dtype), backends=["reverse", "forward"])
    rounding = abs(float(np.asarray(0.1, dtype)) - 0.1) / 0.1
    assert 0 < rounding < eps
    for row in found.rows:
        assert row["rel_error"] == pytest.approx(rounding, rel=1e-6)
        assert row["ulp_histogram"][1] == 4


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rounding_the_data_counts_as_error_of_the_dtype(dtype: str, tmp_path: Path) -> None:
    """d/dW sum((W x)^2) = 2 W x x^T: at rounded data, the exact gradient itself is off by rounding."""
    spec = {"problem": "norm-squared", "size": "tiny", "seed": 0, "operator": "gradient"}
    facts = accuracy.make_reference(spec, str(tmp_path / "r.npz"), 60.0)
    assert facts["checked"]
    truth = Reference.load(tmp_path / "r.npz")
    narrow = PROBLEMS["norm-squared"].build("tiny", dtype, 0)
    params = {key: array.astype(np.float64) for key, array in narrow.args[0].items()}
    q = params["W"] @ params["x"]
    exact = [np.outer(2 * q, params["x"]), 2 * params["W"].T @ q]
    off = accuracy.judge(exact, exact, "reverse", "float64", truth)["rel_error"]
    eps = float(np.finfo(dtype).eps)
    assert eps / 30 < off < 3 * eps
    made = source(narrow.loss, narrow.args)
    own = Operation.drawn("gradient", made, 0)
    found = accuracy.judge(own.result(own.prepare(find("reverse"))), own.expected, "reverse", dtype, truth)
    assert found["outcome"] == "ok"
    assert eps / 30 < found["rel_error"] < 5 * eps


def test_a_reference_of_a_product_has_the_vectors_of_the_seed(tmp_path: Path) -> None:
    spec = {"problem": "digits-mlp", "size": "tiny", "seed": 3, "operator": "hvp"}
    assert accuracy.make_reference(spec, str(tmp_path / "r.npz"), 60.0)["narrow"]
    one = PROBLEMS["digits-mlp"].build("tiny", "float64", 3)
    made = source(one.loss, one.args)
    for seed, close in ((3, True), (4, False)):
        operation = Operation.drawn("hvp", made, seed)
        result = operation.result(operation.prepare(find("forward")))
        pairs = zip(result, Reference.load(tmp_path / "r.npz").high, strict=True)
        assert all(np.allclose(a, b, rtol=1e-10, atol=1e-14) for a, b in pairs) is close
