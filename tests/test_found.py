"""What a review with other people's functions found: each a case that went wrong once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.special

import difflab as dl
from difflab.errors import TraceError, UnsupportedError

X = np.array([0.31, 1.22, 2.13])
Y = np.array([0.52, 0.83, 1.91])


def quotients(function: Callable, x: np.ndarray) -> np.ndarray:
    """The gradient by central differences of the plain function."""
    steps = 1e-6 * np.eye(x.size).reshape(-1, *x.shape)
    return np.array([(function(x + step) - function(x - step)) / 2e-6 for step in steps]).reshape(x.shape)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.asarray(x).mean(),
        lambda x: np.mean(np.asarray(x) ** 2),
        lambda x: np.std(np.asarray(x)),
        lambda x: np.asarray(x).var(ddof=1),
        lambda x: np.average(np.asarray(x), weights=Y),
        lambda x: np.mean([x[0] ** 2, x[1], x[0] * x[2]]),
        lambda x: np.array([x[0] * x[1], 1.0, x[2]]).mean(),
        lambda x: np.mean([1.0, x[1] ** 2]),
        lambda x: np.std([x[0] * x[1], x[2], x[0]]),
        lambda x: np.var(np.array([x[0] * x[1], x[2]]), ddof=1),
        lambda x: np.mean((np.tanh(np.asarray(x)) - 1) ** 2),
    ],
)
def test_means_of_an_array_that_numpy_made_of_traced_values(function):
    """NumPy's own mean, var and std make a plain number of whatever has a dtype."""
    np.testing.assert_allclose(dl.gradient(function)(X), quotients(function, X), atol=1e-8)
    np.testing.assert_allclose(dl.value_and_gradient(function)(X)[0], function(X))
    assert dl.gradient(function)(X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("reduce", [np.mean, np.std, np.var])
def test_their_count_does_not_widen_the_dtype(reduce):
    x = X.astype(np.float32)
    for function in (lambda x: reduce(np.asarray(x)), lambda x: reduce([x[0] * x[1], x[2]])):
        value, _ = dl.value_and_gradient(function)(x)
        assert value.dtype == function(x).dtype == np.float32


@pytest.mark.parametrize("reduce", [np.sum, np.mean, np.prod, np.var, np.std])
def test_only_where_depends_on_the_variable(reduce):
    def function(x):
        return np.sum(x) * reduce(Y, where=x > 1)

    np.testing.assert_allclose(dl.gradient(function)(X), np.full(3, reduce(Y, where=X > 1)))
    np.testing.assert_allclose(dl.prepare(function, X).gradient(X + 1), np.full(3, reduce(Y)))


@pytest.mark.parametrize("reduce", [np.max, np.fmax.reduce, np.logaddexp.reduce])
def test_only_where_of_a_choice_depends_on_the_variable(reduce):
    function = lambda x: np.sum(x) * reduce(Y, where=x < 2, initial=0.1)  # noqa: E731 (one expression)
    np.testing.assert_allclose(dl.gradient(function)(X), np.full(3, reduce(Y, where=X < 2, initial=0.1)))


@pytest.mark.parametrize("name", ["quantile", "percentile", "nanquantile", "nanpercentile"])
def test_only_the_place_of_a_quantile_depends_on_the_variable(name):
    def function(q):
        return np.sum(getattr(np, name)(Y, q) ** 2)

    q = np.array([0.2, 0.7])
    np.testing.assert_allclose(dl.gradient(function)(q), quotients(function, q), rtol=1e-6)


def test_only_the_weights_of_a_fit_depend_on_the_variable():
    def function(w):
        return np.sum(np.polyfit(X, Y, 1, w=w) ** 2)

    np.testing.assert_allclose(dl.gradient(function)(Y), quotients(function, Y), rtol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.clip(1.0, x, 2.0),
        lambda x: np.clip(2, x, None),
        lambda x: np.polyfit([0.3, 0.5, 2.0], x, 1, w=[1.0, 2.0, 3.0]),
        lambda x: dl.special.logsumexp(x, b=Y),
        lambda x: dl.special.multigammaln(x + 3, 2),
        lambda x: dl.special.multigammaln(x, 1),
    ],
)
def test_float32_is_widened_where_numpy_and_scipy_do(function):
    x = X.astype(np.float32)
    expected = function(x)
    value, _ = dl.jvp(function, (x,), (x,))
    assert value.dtype == expected.dtype
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    dl.prepare(lambda x: np.sum(function(x)), x)  # compares the values to rounding


def test_zeta_of_a_number_fails_in_one_sentence():
    with pytest.raises(UnsupportedError, match="no derivative in its exponent"):
        dl.prepare(lambda x: np.sum(scipy.special.zeta(x + 1.2, 2.0)), X).gradient(X)
    assert np.isfinite(dl.prepare(lambda x: np.sum(scipy.special.zeta(3.0, x)), X).value(X))


@pytest.mark.parametrize("operator", [dl.gradient, dl.jacobian, dl.hessian])
def test_no_warning_from_a_step_away_from_infinity(operator):
    found = operator(lambda x: np.sum(np.exp(-x)), backend="finite")(np.array([np.inf, 1.0]))
    assert np.isfinite(found.ravel()[-1])
    assert np.isnan(found.ravel()[0])


def test_object_arrays_of_complex_values_are_refused():
    for function in (
        lambda t: np.sum(np.imag(np.array([t * (1 + 2j), t * 1j])) * 1.0) + t**2,
        lambda t: np.abs(np.real(np.array([t * (1 + 2j)]))).sum(),
    ):
        with pytest.raises(TraceError, match=r"object array of complex traced values .*np\.stack"):
            dl.gradient(function)(0.5)
    assert dl.gradient(lambda t: np.sum(np.imag(np.stack([t * (1 + 2j), t * 1j]))) + t**2)(0.5) == 4.0


def test_positions_may_become_integers_under_a_guard():
    prepared = dl.prepare(lambda x: x[int(np.argmax(x))] ** 2 + list(x)[int(np.argmin(x))], np.array([1.0, 3.0, 2.0]))
    assert np.array_equal(prepared.gradient(np.array([1.0, 3.0, 2.0])), [1.0, 6.0, 0.0])
    assert np.array_equal(prepared.gradient(np.array([4.0, 3.0, 2.0])), [8.0, 0.0, 1.0])


def test_lists_of_traced_values_with_numbers_say_what_to_do():
    for function in (lambda t: np.hypot([t, 1.0], 2.0).sum(), lambda t: np.arctan2([t, 1.0], 2.0).sum()):
        with pytest.raises(TraceError, match=r"NumPy or another library is given an object array .*np\.stack"):
            dl.gradient(function)(0.5)


def test_rounding_of_float32_on_the_way_is_no_hidden_state():
    x = np.array([0.3, 1.2, 2.1], "f4")
    prepared = dl.prepare(lambda x: np.sum(np.nanquantile(x, x * 0.3) * np.cos(np.arange(3.0))), x)
    assert prepared.gradient(x).dtype == "float32"
