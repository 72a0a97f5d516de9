"""Schemes of finite differences: weights, order of convergence, number of evaluations, dtypes, options."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab.backends.protocol import OPERATORS
from difflab.backends.stencils import ORDERS, plan_of, weights, window
from difflab.errors import InputError, UnsupportedError
from difflab.operators import source

PLAIN = [(scheme, order) for scheme in ("forward", "backward", "central") for order in ORDERS[scheme]]
EVERY = [*PLAIN, *[("richardson", order) for order in ORDERS["richardson"]]]
schemes = pytest.mark.parametrize(("scheme", "order"), EVERY)


def loss(p: Any, x: Any) -> Any:
    return np.mean(np.tanh(x @ p["w"] + p["b"]) ** 2) * p["s"]


RNG = np.random.default_rng(5)
POINT = {"w": RNG.normal(size=3), "b": np.array(0.3), "s": 1.5}
X = RNG.normal(size=(4, 3))
DIRECTION = {"w": np.array([0.5, -1.0, 2.0]), "b": np.array(1.0), "s": -0.5}


class Box:
    """A function that cannot be traced, and counts its calls and keeps its arguments."""

    def __init__(self, function: Callable):
        self.function = function
        self.points: list[np.ndarray] = []

    def __call__(self, x: Any) -> Any:
        plain = np.array([float(v) for v in x], x.dtype)
        self.points.append(plain)
        return self.function(plain)


def smooth(x: Any) -> Any:
    return np.sum(np.sin(x) * x[::-1]) + np.exp(-np.sum(x * x))


# ---------------------------------------------------------------------------- weights


@given(st.sets(st.integers(-8, 8), min_size=2, max_size=9), st.integers(1, 4))
def test_weights_are_exact_for_polynomials_through_the_nodes(nodes: set[int], derivative: int):
    assume(derivative < len(nodes))
    found = weights(sorted(nodes), derivative)
    for power in range(len(nodes)):
        total = sum(weight * Fraction(node) ** power for weight, node in zip(found, sorted(nodes), strict=True))
        assert total == (math.factorial(derivative) if power == derivative else 0)


def test_weights_are_those_of_the_tables():
    # Abramowitz & Stegun (1964), table 25.2; Fornberg (1988), tables 1 and 3
    assert weights([-2, -1, 0, 1, 2]) == tuple(Fraction(n, 12) for n in (1, -8, 0, 8, -1))
    assert weights([0, 1, 2, 3]) == tuple(Fraction(n, 6) for n in (-11, 18, -9, 2))
    assert window(4, 4).weights[::2] == (672.0, -168.0, 32.0, -3.0)
    assert window(4, 4).scale == 840.0
    assert window(1, 1)[:3] == ((1, -1), (1.0, -1.0), 2.0)


# ---------------------------------------------------------------------------- accuracy


@pytest.mark.parametrize(("scheme", "order"), [one for one in PLAIN if one[0] == "central" or one[1] < 5])
@settings(max_examples=8, deadline=None)
@given(x=st.floats(-2.0, 2.0), w=st.floats(0.8, 1.2), phase=st.floats(0.0, 6.0))
def test_the_error_falls_with_the_power_that_the_order_says(scheme: str, order: int, x: float, w: float, phase: float):
    def high(k: int) -> float:
        return w**k * math.sin(w * x + phase + k * math.pi / 2)

    assume(abs(high(order + 1)) > 0.6)
    first = 0.05 if scheme != "central" else 0.2 if order < 6 else 0.8  # a decade above the rounding
    errors = []
    for h in (first, first / 10):
        found = dl.gradient(lambda x: np.sin(w * x + phase), backend=dl.Finite(scheme, h, order=order))(x)
        errors.append(abs(found - high(1)))
    assert math.log10(errors[0] / errors[1]) == pytest.approx(order, abs=0.06 * order + 0.2)


@pytest.mark.parametrize(("scheme", "order"), PLAIN)
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_polynomials_up_to_the_order_are_exact_and_the_next_power_is_not(scheme: str, order: int, data: Any):
    factors = data.draw(st.lists(st.floats(-2.0, 2.0), min_size=order + 1, max_size=order + 1))
    at, last = data.draw(st.floats(-1.0, 1.0)), data.draw(st.floats(0.5, 2.0))

    def polynomial(x: Any, *, top: float) -> Any:
        return sum((factor * (x - at) ** (k + 1) for k, factor in enumerate([*factors[:-1], top])), 0.0)

    errors = []
    for h in (0.5, 0.05):
        backend = dl.Finite(scheme, h, order=order)
        exact = dl.gradient(lambda x: polynomial(x, top=0.0), backend=backend)(at)
        assert exact == pytest.approx(factors[0], abs=1e-9)
        errors.append(abs(dl.gradient(lambda x: polynomial(x, top=last), backend=backend)(at) - factors[0]))
    remainder = window(*{"forward": (0, order), "backward": (order, 0)}.get(scheme, (order // 2,) * 2)).remainder
    np.testing.assert_allclose(errors, [last * remainder * h**order for h in (0.5, 0.05)], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("scheme", "order"), EVERY)
@pytest.mark.parametrize("black", [False, True])
def test_gradients_with_the_automatic_step(scheme: str, order: int, black: bool):
    x = np.array([0.3, -1.2, 0.8, 2.0])
    backend = dl.Finite(scheme, order=order)
    found = dl.gradient(Box(smooth) if black else smooth, backend=backend)(x)
    power = order / (order + 1) if scheme != "richardson" else 0.75
    np.testing.assert_allclose(found, dl.gradient(smooth)(x), rtol=0, atol=200 * np.finfo(float).eps ** power)


def test_a_higher_order_is_more_accurate():
    x = np.array([0.3, -1.2, 0.8, 2.0])
    wanted = dl.gradient(smooth)(x)
    for scheme in ("forward", "backward", "central"):
        errors = [
            np.linalg.norm(dl.gradient(smooth, backend=dl.Finite(scheme, order=order))(x) - wanted)
            for order in ORDERS[scheme][::2]
        ]
        assert errors[0] > 10 * errors[1] > 0
        assert errors[-1] < 1e-11


@schemes
@pytest.mark.parametrize("operator", ["jacobian", "jvp", "vjp", "hvp", "hessian"])
def test_other_operators(scheme: str, order: int, operator: str):
    backend = dl.Finite(scheme, order=order)
    x, v = np.array([0.3, -1.2, 0.8]), np.array([1.0, -2.0, 0.5])

    def run(backend: Any) -> Any:
        if operator == "jvp":
            return dl.jvp(np.sin, (x,), (v,), backend)[1]
        if operator == "vjp":
            return dl.vjp(np.sin, x, backend=backend)[1](v)[0]
        if operator == "jacobian":
            return dl.jacobian(np.sin, 0, backend)(x)
        return getattr(dl, operator)(smooth, 0, backend)(*[x, v][: 2 if operator == "hvp" else 1])

    second = operator in ("hvp", "hessian")
    power = (order if scheme != "richardson" else 4) / ((order if scheme != "richardson" else 4) + 1 + second)
    atol = max(2000 * np.finfo(float).eps ** power, 1e-8 if second else 0.0)
    np.testing.assert_allclose(run(backend), run("reverse"), rtol=0, atol=atol)


@schemes
def test_chunks_and_single_points_agree(scheme: str, order: int):
    x = np.linspace(-1.0, 2.0, 7)
    backends = [dl.Finite(scheme, order=order, chunk=chunk) for chunk in (1, 3, "auto")]
    found = [dl.gradient(smooth, backend=one)(x) for one in backends]
    found += [dl.gradient(Box(smooth), backend=backends[0])(x)]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-6)
    found = [dl.hessian(smooth, backend=one)(x) for one in backends]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-4)


@schemes
def test_inside_another_derivative(scheme: str, order: int):
    x = np.array([0.4, 0.9])
    backend = dl.Finite(scheme, order=order)
    found = dl.gradient(lambda x: np.sum(dl.gradient(lambda y: np.sum(np.sin(y) * y**2), backend=backend)(x) ** 2))(x)
    wanted = dl.gradient(lambda x: np.sum(dl.gradient(lambda y: np.sum(np.sin(y) * y**2))(x) ** 2))(x)
    lowest = scheme != "central" and order == 1
    np.testing.assert_allclose(found, wanted, rtol=1e-5 if lowest else 1e-6)
    product = dl.gradient(lambda x: np.sum(dl.hvp(lambda y: np.sum(y**4), backend=backend)(x, x)))(x)
    np.testing.assert_allclose(product, 36 * x**2, rtol=1e-2 if lowest else 1e-4)


# ---------------------------------------------------------------------------- evaluations


@pytest.mark.parametrize(("scheme", "order"), [*EVERY, ("central", None), ("forward", None), ("richardson", None)])
@pytest.mark.parametrize("more", [{}, {"estimate": True}, {"noise": "estimate"}, {"bounds": (-5.0, 5.0)}])
@pytest.mark.parametrize("operator", ["gradient", "hvp", "hessian"])
def test_forecast_and_report_are_the_evaluations_made(scheme: str, order: int | None, more: dict, operator: str):
    x, v = np.array([0.3, -1.2, 0.8]), np.array([1.0, 2.0, 1.5])
    box = Box(smooth)
    backend = dl.Finite(scheme, order=order, **more)
    prepared = dl.prepare(box, x, backend=backend, operator=operator)
    box.points.clear()
    assert prepared(*[x, v][: 2 if operator == "hvp" else 1]) is not None
    made = source(smooth, (x,))
    assert len(box.points) == prepared.stats["primal_calls"]
    assert len(box.points) == backend.predict(made.tape, operator, made.wrt).primal_calls
    if operator == "gradient" and not more:
        points = {"richardson": 2 * ((order or 8) // 2 + 2)}.get(scheme, order or {"central": 2}.get(scheme, 1))
        assert len(box.points) == 3 * points + 1


@pytest.mark.parametrize("scheme", ["central", "backward", "richardson"])
def test_other_forecasts(scheme: str):
    backend = dl.Finite(scheme)
    made = source(loss, (POINT, X))
    for operator in OPERATORS:
        prepared = backend.prepare(made, operator, made.example)
        assert prepared.stats["primal_calls"] == backend.predict(made.tape, operator, made.wrt).primal_calls
        assert backend.predict(made.tape, operator, made.wrt).flops > made.tape.flops


# ---------------------------------------------------------------------------- dtypes


@schemes
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_small_dtypes_stay_what_they_are(scheme: str, order: int, dtype: str):
    p = {key: np.asarray(value, dtype) for key, value in POINT.items()}
    wide = dl.gradient(loss)(*_as(p, X.astype(dtype), "float64"))
    for black in (False, True):
        f = (lambda p, x: loss({**p, "s": p["s"] * _opaque(p["s"])}, x)) if black else loss
        backend = dl.Finite(scheme, order=order, estimate=scheme != "richardson")
        prepared = dl.prepare(f, p, X.astype(dtype), backend=backend)
        found, errors = prepared(p, X.astype(dtype)), prepared.error_estimate(p, X.astype(dtype))
        assert prepared.stats["black_box"] is black
        for key in p:
            assert found[key].dtype == errors[key].dtype == np.dtype(dtype)
        # in half precision several one-sided steps are a long way, and the estimate says so
        far = dtype == "float16" and scheme in ("forward", "backward") and order > 2
        tolerance = 3 * np.finfo(dtype).eps ** (0.45 if order == 1 else 0.6)
        for key in p:
            wrong = np.abs(np.asarray(found[key], float) - wide[key])
            assert np.all(wrong <= (3 * np.asarray(errors[key], float) if far else tolerance))


def _as(p: Any, x: Any, dtype: str) -> tuple[Any, Any]:
    return {key: np.asarray(value, dtype) for key, value in p.items()}, np.asarray(x, dtype)


def _opaque(s: Any) -> Any:
    return s.dtype.type(math.copysign(1.0, float(s)))


@pytest.mark.parametrize("scheme", ["forward", "central", "richardson"])
@pytest.mark.parametrize("x", [6e-5, 1.0, 300.0, 60000.0, 65504.0])
def test_float16_does_not_warn_at_its_ends(scheme: str, x: float):
    found = dl.gradient(lambda x: x * np.float16(0.5), backend=dl.Finite(scheme))(np.float16(x))
    assert found.dtype == np.float16
    if x < 6e4:
        assert found == pytest.approx(0.5, rel=0.02)


def test_a_loss_that_rounds_more_than_its_argument_gets_larger_steps():
    def f(x: Any) -> Any:
        return np.sum(np.sin(x).astype(np.float32) ** 2)

    x = np.array([0.3, 1.1])
    found = dl.gradient(f, backend="finite")(x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, np.sin(2 * x), rtol=1e-4)


# ---------------------------------------------------------------------------- options


def test_today_is_the_default():
    assert dl.Finite() == dl.Finite("central", "auto", "auto", None, None, None, False)
    assert repr(dl.Finite(order=4, noise=1e-3, chunk=2)) == (
        "Finite(scheme='central', step='auto', order=4, noise=0.001, chunk=2)"
    )
    x = np.array([0.3, -1.2])
    assert np.array_equal(dl.gradient(smooth, backend=dl.Finite(order=2))(x), dl.gradient(smooth, backend="finite")(x))
    assert plan_of("forward", 1, False) == plan_of("forward", None, False)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"scheme": "centre"}, "the schemes are 'forward', 'backward', 'central', 'richardson'"),
        ({"order": 3}, "the orders of scheme 'central' are 2, 4, 6, 8"),
        ({"order": 10}, "the orders of scheme 'central' are 2, 4, 6, 8"),
        ({"scheme": "richardson", "order": 2}, "the orders of scheme 'richardson' are 4, 6, 8"),
        ({"scheme": "forward", "order": 0}, "the orders of scheme 'forward' are 1, 2, 3, 4, 5, 6, 7, 8"),
        ({"scheme": "backward", "order": 2.0}, "the orders of scheme 'backward' are"),
        ({"order": True}, "the orders of scheme 'central' are"),
        ({"order": [4]}, "the orders of scheme 'central' are"),
        ({"scheme": ["central"]}, "the schemes are 'forward', 'backward', 'central', 'richardson'"),
        ({"noise": 0.0}, "the noise is None, 'estimate' or a positive number"),
        ({"noise": -1e-6}, "the noise is None, 'estimate' or a positive number"),
        ({"noise": math.inf}, "the noise is None, 'estimate' or a positive number"),
        ({"noise": "guess"}, "the noise is None, 'estimate' or a positive number"),
        ({"noise": 1e-6, "step": 1e-3}, "the noise chooses the step, and the step is given"),
        ({"estimate": 1}, "estimate is True or False"),
        ({"bounds": 1.0}, "the bounds are None or a pair"),
        ({"bounds": (0.0,)}, "the bounds are None or a pair"),
        ({"bounds": (0.0, "one")}, "the bounds are None or a pair"),
        ({"bounds": (1.0, 0.0)}, "each lower bound is a number below its upper bound"),
        ({"bounds": (math.nan, 1.0)}, "each lower bound is a number below its upper bound"),
        ({"bounds": (np.zeros(2), np.ones(3))}, "the bounds are None or a pair"),
    ],
)
def test_bad_options_are_a_sentence(options: dict[str, Any], text: str):
    with pytest.raises(InputError, match=text) as caught:
        dl.Finite(**options)
    assert str(caught.value).startswith("Finite(")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("options", "text"), [({"bounds": (0.0, 1.0)}, "bounds"), ({"noise": "estimate"}, "noise=")])
def test_what_needs_numbers_does_not_nest(options: dict[str, Any], text: str):
    backend = dl.Finite(**options)
    with pytest.raises(UnsupportedError, match=f"backend 'finite' with {text}.* cannot be used inside another"):
        dl.gradient(lambda x: dl.gradient(lambda y: y * y, backend=backend)(x))(0.5)


@pytest.mark.parametrize("scheme", ["central", "richardson"])
@pytest.mark.parametrize(("x", "bands"), [([1.0, 1.0, 1.0], 1), ([1.0, 1e6, 1e-3], 2), ([1.0, 1e6, 1e12], 3)])
def test_vectors_that_need_steps_of_several_sizes_report_all_their_calls(scheme: str, x: list[float], bands: int):
    calls = []

    def box(x: Any) -> Any:
        calls.append(1)
        return sum(value * value for value in map(float, x))

    at, v = np.array(x), np.ones(3)
    for operator in ("jvp", "hvp"):
        prepared = dl.prepare(box, at, backend=dl.Finite(scheme), operator=operator)
        least = prepared.stats["primal_calls"]
        calls.clear()
        _ = prepared.jvp((at,), (v,)) if operator == "jvp" else prepared.hvp(at, v)
        assert prepared.stats["primal_calls"] == len(calls) == 1 + bands * (least - 1)


def test_a_kink_within_the_reach_of_a_high_order_is_told_and_richardson_goes_around_it():
    def f(x: Any) -> Any:
        return np.sum(np.abs(x - 1.0) + np.sin(x))

    x = np.array([1.001, 0.3])
    wanted = np.cos(x) + np.sign(x - 1.0)
    high = dl.prepare(f, x, backend=dl.Finite(order=8, estimate=True))
    assert abs(high(x) - wanted)[0] > 0.1 < high.error_estimate(x)[0]
    np.testing.assert_allclose(dl.gradient(f, backend=dl.Finite("richardson"))(x), wanted, rtol=1e-11)
