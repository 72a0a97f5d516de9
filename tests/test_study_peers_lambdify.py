"""SymPy's ``lambdify`` as its users call it, as a backend: its values, its own call in place, its options."""

from __future__ import annotations

import numpy as np
import pytest

import difflab as dl
from difflab import nn
from difflab.backends.peers.lambdify_peer import Lambdify
from difflab.errors import ForecastError, InputError
from difflab.harness.session import source_of
from difflab.problems import find


def small(w: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A loss with a choice, a maximum and a composite of ours."""
    h = nn.relu(x @ w) + np.maximum(w[0], 0.25)
    return np.sum(nn.logsumexp(h, axis=1)) + np.sum(np.where(w > 0, w**3, np.exp(w)))


@pytest.mark.parametrize("options", [{}, {"modules": "numpy"}, {"cse": False}, {"data": "symbols"}])
def test_gradients_are_those_of_reverse_mode(options: dict) -> None:
    draw = np.random.default_rng(0)
    w, x = draw.standard_normal((2, 3)), draw.standard_normal((4, 2))
    found = dl.gradient(small, backend=Lambdify(**options))(w, x)
    np.testing.assert_allclose(found, dl.gradient(small)(w, x), rtol=1e-12, atol=1e-14)


def test_second_derivatives_are_those_of_reverse_mode() -> None:
    def loss(w: np.ndarray) -> np.ndarray:
        return np.sum(nn.sigmoid(w) ** 2) + w[0] * w[1] ** 2

    w = np.array([0.3, -0.7])
    np.testing.assert_allclose(dl.hessian(loss, backend=Lambdify())(w), dl.hessian(loss)(w), rtol=1e-11, atol=1e-13)


@pytest.mark.long
def test_what_is_timed_is_the_function_of_floats_that_sympy_made() -> None:
    one = find("sigmoid-net").build("tiny", "float64", 0)
    source = source_of(one)
    prepared = Lambdify().prepare(source, "value_and_gradient", source.example)
    value, *slopes = prepared.bare(source.example)()
    expected_value, expected = one.analytic(*one.args)
    assert all(type(part) is float for part in (value, *slopes))
    assert value == pytest.approx(float(expected_value), rel=1e-14)
    flat = np.concatenate([expected[key].ravel() for key in sorted(expected)])
    np.testing.assert_allclose(slopes, flat, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(("options", "says"), [
    ({"modules": "jax"}, "modules is one of math, numpy, scipy"), ({"cse": 1}, "cse is True or False"),
    ({"data": "none"}, "data is one of"), ({"most_operations": 0}, "a positive number"),
])  # fmt: skip
def test_options_that_are_none_are_told(options: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Lambdify(**options)


def test_what_is_too_large_is_refused_before_it_is_written() -> None:
    one = find("mlp").build("64x64-32-10", "float64", 0)
    with pytest.raises(ForecastError, match="forecast to have about"):
        dl.gradient(one.loss, backend=Lambdify())(*one.args)
