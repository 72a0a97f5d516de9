"""What finite differences say of their own error, and what they make of noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab.backends.noise import SPACINGS, noise_of
from difflab.backends.surroundings import NOISE_CALLS
from difflab.errors import UnsupportedError

# Smooth functions of one number, their derivatives in mpmath, and where to take them.
REGISTRY: dict[str, tuple[Callable, Callable, tuple[float, float]]] = {
    "sin": (np.sin, mpmath.cos, (-6.0, 6.0)),
    "fast sine": (lambda x: np.sin(30 * x), lambda x: 30 * mpmath.cos(30 * x), (-1.0, 1.0)),
    "sine far out": (np.sin, mpmath.cos, (50.0, 300.0)),
    "exp": (np.exp, mpmath.exp, (-4.0, 4.0)),
    "expm1": (np.expm1, mpmath.exp, (-0.01, 0.01)),
    "log": (np.log, lambda x: 1 / x, (0.05, 20.0)),
    "log1p": (np.log1p, lambda x: 1 / (1 + x), (-0.5, 3.0)),
    "sqrt": (np.sqrt, lambda x: 1 / (2 * mpmath.sqrt(x)), (0.05, 20.0)),
    "tanh": (np.tanh, lambda x: mpmath.sech(x) ** 2, (-3.0, 3.0)),
    "arctan": (np.arctan, lambda x: 1 / (1 + x * x), (-5.0, 5.0)),
    "arcsinh": (np.arcsinh, lambda x: 1 / mpmath.sqrt(1 + x * x), (-5.0, 5.0)),
    "cosh": (np.cosh, mpmath.sinh, (-3.0, 3.0)),
    "cube": (lambda x: x**3, lambda x: 3 * x * x, (-10.0, 10.0)),
    "quintic": (lambda x: x**5 - 3 * x**2 + 1, lambda x: 5 * x**4 - 6 * x, (-2.0, 2.0)),
    "quotient": (lambda x: x / (1 + x * x), lambda x: (1 - x * x) / (1 + x * x) ** 2, (-4.0, 4.0)),
    "Runge": (lambda x: 1 / (1 + 25 * x * x), lambda x: -50 * x / (1 + 25 * x * x) ** 2, (-1.0, 1.0)),
    "Gauss": (lambda x: np.exp(-x * x), lambda x: -2 * x * mpmath.exp(-x * x), (-2.0, 2.0)),
    "product": (lambda x: x * np.sin(x), lambda x: mpmath.sin(x) + x * mpmath.cos(x), (-9.0, 9.0)),
    "power": (lambda x: x**1.7, lambda x: mpmath.mpf(1.7) * x ** mpmath.mpf(0.7), (0.2, 5.0)),
    "large": (lambda x: 1e5 + np.cos(x), lambda x: -mpmath.sin(x), (-3.0, 3.0)),
    "tiny": (lambda x: 1e-9 * np.cos(x), lambda x: -mpmath.mpf(1e-9) * mpmath.sin(x), (-3.0, 3.0)),
}
SAMPLES = 24


def shares(backend: dl.Finite, dtype: str) -> dict[str, float]:
    """Of each function the share of points where the true error is at most ten times the estimated one."""
    found = {}
    for label, (function, slope, (low, high)) in REGISTRY.items():
        rng = np.random.default_rng(len(label))
        points = rng.uniform(low, high, SAMPLES).astype(dtype)
        prepared = dl.prepare(function, points.dtype.type(low), backend=backend)
        good = 0
        with mpmath.workdps(40):
            for x in points:
                wrong = abs(mpmath.mpf(float(prepared(x))) - slope(mpmath.mpf(float(x))))
                error = float(prepared.error_estimate(x))
                good += wrong <= 10 * error
        found[label] = good / SAMPLES
    return found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "backend",
    [
        dl.Finite("richardson"),
        dl.Finite("richardson", order=6),
        dl.Finite("richardson", order=4),
        dl.Finite("central", estimate=True),
        dl.Finite("forward", estimate=True),
        dl.Finite("backward", order=2, estimate=True),
    ],
    ids=repr,
)
def test_errors_are_at_most_ten_times_their_estimates(backend: dl.Finite, dtype: str):
    found = shares(backend, dtype)
    assert np.mean(list(found.values())) >= 0.95
    found.pop("sine far out")  # in float32 the first steps are longer than its period, and may agree by chance
    assert min(found.values()) >= 0.9, found


def test_estimates_are_of_use():
    """Not only safe: the median of estimate over error stays within three digits."""
    ratios = []
    for function, slope, (low, high) in REGISTRY.values():
        for x in np.random.default_rng(1).uniform(low, high, 8):
            prepared = dl.prepare(function, np.float64(1.0), backend=dl.Finite("richardson"))
            with mpmath.workdps(40):
                wrong = float(abs(mpmath.mpf(float(prepared(np.float64(x)))) - slope(mpmath.mpf(x))))
            ratios.append(float(prepared.error_estimate(np.float64(x))) / max(wrong, 1e-300))
    assert np.median(ratios) < 1e3


def test_extrapolation_beats_a_single_quotient():
    errors: dict[str, list[float]] = {"central": [], "richardson": []}
    for scheme, found in errors.items():
        for label in ("sin", "exp", "log", "tanh", "Runge", "fast sine", "quotient"):
            function, slope, (low, high) = REGISTRY[label]
            for x in np.random.default_rng(2).uniform(low, high, 10):
                with mpmath.workdps(40):
                    exact = slope(mpmath.mpf(x))
                    value = dl.gradient(function, backend=dl.Finite(scheme))(x)
                    found.append(float(abs((mpmath.mpf(float(value)) - exact) / exact)))
    assert np.median(errors["richardson"]) < 0.02 * np.median(errors["central"])


# ---------------------------------------------------------------------------- where they are reported


def loss(p: Any, x: Any) -> Any:
    return np.sum(np.tanh(x @ p["w"]) ** 2) * p["s"]


POINT = {"w": np.array([0.3, -0.5]), "s": 1.5}
X = np.array([[1.0, 2.0], [0.5, -1.0]])


@pytest.mark.parametrize("backend", [dl.Finite("richardson"), dl.Finite(estimate=True)], ids=repr)
def test_estimates_have_the_structure_of_the_gradient(backend: dl.Finite):
    prepared = dl.prepare(loss, POINT, X, backend=backend)
    assert prepared.stats["error_estimate"] is None
    found, errors = prepared(POINT, X), prepared.error_estimate(POINT, X)
    assert set(errors) == set(found) == {"w", "s"}
    assert errors["w"].shape == (2,)
    assert isinstance(errors["s"], np.float64)
    wanted = dl.gradient(loss)(POINT, X)
    assert np.all(np.abs(found["w"] - wanted["w"]) <= 10 * errors["w"])
    assert np.all(errors["w"] < 1e-8)
    norm = math.hypot(*errors["w"], errors["s"]) / math.hypot(*found["w"], found["s"])
    assert prepared.stats["error_estimate"] == pytest.approx(norm)
    both = dl.prepare(lambda a, b: a * b, 2.0, 3.0, argnums=(0, 1), backend=backend).error_estimate(2.0, 3.0)
    assert isinstance(both, tuple)
    assert len(both) == 2


def test_complex_variables_have_real_estimates():
    prepared = dl.prepare(lambda z: np.abs(z) ** 2 * np.real(z), 1.0 + 2.0j, backend=dl.Finite("richardson"))
    wanted = dl.gradient(lambda z: np.abs(z) ** 2 * np.real(z))(1.0 + 2.0j)
    error = prepared.error_estimate(1.0 + 2.0j)
    assert error.dtype == np.float64
    assert abs(prepared(1.0 + 2.0j) - wanted) <= 10 * error < 1e-9


@pytest.mark.parametrize("backend", ["finite", "reverse", "complex-step"])
def test_who_estimates_nothing_says_so(backend: str):
    prepared = dl.prepare(loss, POINT, X, backend=backend)
    with pytest.raises(UnsupportedError, match=f"backend '{backend}' estimates no errors .*richardson"):
        prepared.error_estimate(POINT, X)
    prepared(POINT, X)
    assert prepared.stats.get("error_estimate") is None
    assert "error-estimate" not in prepared.backend.capabilities
    assert "error-estimate" in dl.Finite("richardson").capabilities & dl.Finite(estimate=True).capabilities


def test_functions_that_are_undefined_nearby_have_infinite_errors():
    prepared = dl.prepare(np.log, 1e-8, backend=dl.Finite("richardson"))
    assert prepared.error_estimate(1e-8) == np.inf
    assert not abs(prepared(1e-8) - 1e8) < 1e7


# ---------------------------------------------------------------------------- noise


@settings(max_examples=25, deadline=None)
@given(st.floats(-12.0, -3.0), st.integers(0, 2**31))
def test_differences_find_the_level_of_noise(power: float, seed: int):
    level = 10.0**power
    rng = np.random.default_rng(seed)
    smooth = 3.0 + level * np.arange(7.0)[:, None] * rng.normal(size=300)
    found = noise_of(smooth + level * rng.standard_normal((7, 300)))
    assert np.mean(np.isfinite(found)) > 0.6
    assert 0.5 * level < np.nanmedian(found) < 2 * level


def test_what_is_no_noise_is_not_taken_for_it():
    lines = 1.0 + np.arange(7.0)[:, None] * np.array([1e-3, 0.1, 0.0])
    found = noise_of(lines)
    assert found[0] < 2e-16  # the rounding of the line itself
    assert np.isnan(found[1:]).all()  # too far apart, and too close together
    assert NOISE_CALLS == 6 * len(SPACINGS) == 18


def noisy(level: float, seed: int = 0) -> Callable:
    rng = np.random.default_rng(seed)

    def f(x: Any) -> Any:
        plain = np.array([float(v) for v in x])
        return 2.0 + np.sum(np.sin(plain)) + plain[0] * plain[1] + level * rng.standard_normal()

    return f


def exact(x: Any) -> Any:
    return np.cos(x) + np.array([x[1], x[0], 0.0])


@pytest.mark.parametrize("scheme", ["central", "forward", "richardson"])
@pytest.mark.parametrize("noise", ["estimate", 1e-6])
def test_noise_sets_the_step(scheme: str, noise: Any):
    x = np.array([0.3, -0.7, 1.1])
    level = 1e-6
    power = {"central": 2 / 3, "forward": 1 / 2, "richardson": 2 / 3}[scheme]
    errors = []
    for seed in range(20):
        found = dl.gradient(noisy(level, seed), backend=dl.Finite(scheme, noise=noise))(x)
        errors.append(np.linalg.norm(found - exact(x)))
    assert np.median(errors) < 4 * level**power
    assert max(errors) < 60 * level**power
    plain = dl.Finite("central" if scheme == "richardson" else scheme)
    usual = [np.linalg.norm(dl.gradient(noisy(level, seed), backend=plain)(x) - exact(x)) for seed in range(20)]
    assert np.median(usual) > 20 * np.median(errors)


def test_noise_on_the_tape():
    def f(x: Any) -> Any:
        return 2.0 + np.sum(np.sin(x)) + 1e-6 * np.sum(np.sin(1e9 * x))

    x = np.array([0.3, -0.7, 1.1])
    prepared = dl.prepare(f, x, backend=dl.Finite(noise="estimate"))
    assert not prepared.stats["black_box"]
    assert np.linalg.norm(prepared(x) - np.cos(x)) < 1e-3
    assert np.linalg.norm(dl.gradient(f, backend="finite")(x) - np.cos(x)) > 1e-2


def test_without_noise_the_estimate_is_the_rounding():
    x = np.array([0.3, -0.7, 1.1])

    def f(x: Any) -> Any:
        return 2.0 + np.sum(np.sin(x))

    np.testing.assert_allclose(dl.gradient(f, backend=dl.Finite(noise="estimate"))(x), np.cos(x), rtol=1e-8)
    flat = dl.gradient(lambda x: np.sum(x * 0.0), backend=dl.Finite(noise="estimate"))(x)
    assert np.array_equal(flat, np.zeros(3))


def test_noise_within_bounds():
    seen = []

    def f(x: Any) -> Any:
        plain = np.array([float(v) for v in x])
        seen.append(plain)
        return float(np.sum(np.sqrt(plain * (1 - plain)))) + 2.0

    x = np.array([1e-3, 0.5, 1.0 - 1e-3])
    dl.gradient(f, backend=dl.Finite(noise="estimate", bounds=(0.0, 1.0)))(x)
    assert len(seen) >= NOISE_CALLS
    assert np.min(seen) >= 0.0
    assert np.max(seen) <= 1.0


def test_noise_inside_another_derivative():
    found = dl.gradient(lambda x: dl.gradient(np.exp, backend=dl.Finite(noise=1e-6))(x) ** 2)(0.5)
    assert found == pytest.approx(2 * math.e, rel=1e-2)
    assert dl.hvp(np.exp, backend=dl.Finite(noise=1e-6))(0.5, 1.0) == pytest.approx(math.exp(0.5), rel=0.05)


@pytest.mark.parametrize("level", [1e-12, 1e-6, 1e-3])
@pytest.mark.parametrize("noise", ["estimate", None])
def test_noise_sets_the_step_where_the_function_is_0(level: float, noise: Any):
    rng = np.random.default_rng(3)

    def f(x: Any) -> Any:
        plain = np.array([float(v) for v in x])
        return np.sum(plain**3 - plain) + level * rng.standard_normal()

    x = np.array([0.0, 1.0, -1.0])
    errors = []
    for _ in range(20):
        found = dl.gradient(f, backend=dl.Finite(noise=noise or level))(x)
        errors.append(np.linalg.norm(found - (3 * x**2 - 1)))
    assert np.median(errors) < 10 * level ** (2 / 3)
    nested = dl.gradient(lambda x: dl.gradient(lambda y: y**3 - y, backend=dl.Finite(noise=level))(x))(1.0)
    assert nested == pytest.approx(6.0, rel=10 * level ** (2 / 3))


# ---------------------------------------------------------------------------- tangents that are no direction


NOWHERE = [[1.0, np.nan, 0.0], [np.inf, 0.0, 0.0], [-np.inf, np.inf, 1.0], [np.nan] * 3]
NO_DIRECTION = [
    dl.Finite(),
    dl.Finite(scheme="forward"),
    dl.Finite(scheme="richardson"),
    dl.Finite(step=1e-3),
    dl.Finite(bounds=(0.0, 9.0)),
    dl.ComplexStep(),
]


@pytest.mark.parametrize("tangent", NOWHERE, ids=str)
@pytest.mark.parametrize("backend", NO_DIRECTION, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tangents_that_are_not_finite_give_no_number(backend: Any, tangent: list[float], dtype: str):
    """What cannot be stepped along is not left out: reverse mode has no finite number there either."""
    x, t = np.array([1.0, 2.0, 3.0], dtype), np.array(tangent, dtype)

    def loss(x):
        return np.sum(np.tanh(x) * x[::-1])

    with np.errstate(all="ignore"):
        for there in (loss, lambda x: x * x[::-1]):
            value, slope = dl.jvp(there, (x,), (t,), backend=backend)
            assert np.array_equal(value, there(x))
            assert np.isnan(slope).all()
            assert slope.dtype == dtype
            exact = dl.jvp(there, (x,), (t,), backend="reverse")[1]
            assert not np.isfinite(exact[0] if np.ndim(exact) else exact)
        assert np.isnan(dl.hvp(loss, backend=backend)(x, t)).all()
        assert not np.isfinite(dl.hvp(loss, backend="reverse")(x, t)).all()


@pytest.mark.parametrize("backend", [dl.Finite(), dl.ComplexStep()], ids=str)
def test_one_argument_that_is_not_finite_is_enough(backend: Any):
    x, y = np.array([1.0, 2.0]), np.array([3.0])
    with np.errstate(all="ignore"):
        slope = dl.jvp(lambda x, y: np.sum(x * y), (x, y), (np.ones(2), np.array([np.nan])), backend=backend)[1]
    assert np.isnan(slope)


def test_a_function_that_branches_is_not_asked_where_nothing_is():
    seen = []

    def loss(x):
        seen.append(np.array(x, float) if isinstance(x, np.ndarray) else None)
        return np.sum(x * x) if np.sum(x) > 0 else -np.sum(x)

    slope = dl.jvp(loss, (np.ones(2),), (np.array([np.nan, 1.0]),), backend="finite")[1]
    assert np.isnan(slope)
    assert all(np.isfinite(one).all() for one in seen if one is not None)
