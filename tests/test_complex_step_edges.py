"""The complex step where it is tempted to answer wrongly: zeros, choices on the last digit, lost imaginary parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab.errors import UnsupportedError


def gradient(function: Callable, x: Any) -> Any:
    return dl.gradient(function, backend="complex-step")(x)


# ---------------------------------------------------------------------------- on the tape


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("square", [
    lambda x: x * x, np.square, lambda x: x**2, lambda x: np.stack([x @ x - 1, x @ x]), lambda x: x / np.max(x) * x,
    lambda x: np.cumprod(np.stack([x, x]), axis=0)[1],
])  # fmt: skip
def test_real_parts_of_products_with_0_are_those_of_real_numbers(square: Callable, dtype: str):
    x = np.array([0.0, 1.0], dtype)
    assert gradient(lambda x: np.sum(np.where(square(x) >= 0, x, -x)), x).tolist() == [1, 1]
    assert gradient(lambda x: np.sum(x) * (2 if np.all(square(x) >= 0) else 1), x).tolist() == [2, 2]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("inverse", [np.reciprocal, lambda x: 1 / x, lambda x: (x + 1) / x])
def test_choices_over_a_quotient_by_0_are_those_of_real_numbers(inverse: Callable, dtype: str):
    with np.errstate(all="ignore"):
        found = gradient(lambda x: np.sum(np.where(inverse(x) > 5, x, -x)), np.array([0.0, 1.0], dtype))
    assert found.tolist() == [1, -1]


@pytest.mark.parametrize("function", [lambda x: np.power(-2.0, x), lambda x: x**x])
def test_exponents_of_negative_bases_that_move_have_no_derivative(function: Callable):
    assert np.isnan(gradient(function, -2.0))


def test_branches_that_hang_on_the_last_digit_are_refused():
    def f(x: Any) -> Any:
        third = x * np.float16(0.1)
        return x * x if third * third == third**2 + x * np.float16(1e-4) - x * np.float16(1e-4) else x

    refused = 0
    for x in np.arange(2.9, 3.1, 2e-3).astype(np.float16):
        try:
            assert gradient(f, x) == pytest.approx(dl.gradient(f)(x), rel=1e-3)
        except UnsupportedError as error:
            refused += "a branch in Python hangs on the last digit" in str(error)
    assert refused > 0


def test_second_derivatives_on_another_branch_trace_again():
    prepared = dl.prepare(lambda x: x**3 if x > 1.0 else x**2, 2.0, backend="complex-step")
    assert [prepared.hvp(x, 1.0) for x in (2.0, 0.5, 3.0)] == pytest.approx([12.0, 2.0, 18.0])


def test_a_larger_step_keeps_derivatives_of_tiny_values():
    def f(z: Any) -> Any:
        p = np.exp(z - np.max(z))
        return -np.log(p[0] / np.sum(p))

    z = np.array([0.5, 600.0])
    np.testing.assert_allclose(dl.gradient(f, backend=dl.ComplexStep(1e-20))(z), [-1.0, 1.0], rtol=1e-12)


def test_second_order_reports_the_calls_of_all_columns_and_sizes_of_steps():
    x = np.array([0.3, 0.4, 0.5])
    prepared = dl.prepare(lambda x: np.sum(np.exp(x)), x, backend="complex-step", operator="hessian")
    prepared(x)
    assert prepared.stats["primal_calls"] == 36
    product = dl.prepare(lambda x: np.sum(np.exp(x)), x, backend="complex-step", operator="hvp")
    for vector, calls in (([1e-8, 1.0, 1e8], 36), ([1.0, 1.0, 1.0], 12)):
        product(x, np.array(vector))
        assert product.stats["primal_calls"] == calls


# ---------------------------------------------------------------------------- black boxes


def opaque(function: Callable) -> Callable:
    """A black box: it asks for the numbers one by one."""

    def run(x: Any) -> Any:
        x.tolist()
        return np.asarray(function(np.array(x.tolist())))

    return run


@pytest.mark.parametrize("function", [
    lambda x: 1e4 * x[0] ** 2 + 2 * np.abs(x[1]), lambda x: x[0] ** 2 + 1e-4 * np.abs(x[1]),
    lambda x: np.stack([1e5 * x[0], x[1] + np.abs(x[1])]), lambda x: 1e-20 * (x[0] + np.abs(x[1])),
])  # fmt: skip
def test_small_parts_that_are_lost_are_found(function: Callable):
    with pytest.raises(UnsupportedError, match="along a line the function's imaginary part says"):
        dl.jacobian(opaque(function), backend="complex-step")(np.array([1.0, 1.0]))


@pytest.mark.parametrize("function", [
    lambda x: np.nansum(np.sqrt(x)), lambda x: np.sum(np.where(np.isnan(np.log(x)), 0.0, np.log(x))),
])  # fmt: skip
def test_where_a_black_box_is_no_real_number_it_has_no_derivative(function: Callable):
    prepared = dl.prepare(opaque(function), np.array([1.0, 2.0]), backend="complex-step")
    with np.errstate(all="ignore"):
        assert np.isnan(prepared(np.array([-1.0, 2.0]))).all()


@pytest.mark.parametrize("seed", range(20))
def test_rounding_is_no_reason_to_refuse(seed: int):
    x = np.random.default_rng(seed).normal(size=3)
    found = gradient(opaque(lambda x: np.sum((1e3 + x) ** 2) - np.sum(1e6 + 2e3 * x)), x)
    np.testing.assert_allclose(found, 2 * x, atol=1e-9)
