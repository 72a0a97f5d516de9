"""Bounds of finite differences: no point ever leaves them, and what is left is as accurate as the order says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import difflab as dl
from difflab.errors import InputError, UnsupportedError

SCHEMES = ["central", "forward", "backward", "richardson"]


class Watched:
    """A black box that remembers between which values its argument stayed."""

    def __init__(self) -> None:
        self.low, self.high = np.full(3, np.inf), np.full(3, -np.inf)

    def __call__(self, x: Any) -> Any:
        plain = np.array([float(v) for v in x], x.dtype)
        self.low, self.high = np.minimum(self.low, plain), np.maximum(self.high, plain)
        return np.sum(np.exp(plain) * np.array([1.0, -2.0, 0.5], x.dtype)) + plain[0] * plain[1]


def smooth(x: Any) -> Any:
    return np.sum(np.exp(x) * np.array([1.0, -2.0, 0.5])) + x[0] * x[1]


def fenced(x: Any) -> Any:
    """NaN outside the unit cube."""
    return np.where(np.all((x >= 0.0) & (x <= 1.0)), np.sum(np.cos(3.0 * x) * x[::-1]), np.nan)


OPERATORS = {
    "gradient": lambda f, x, v, b: dl.gradient(f, 0, b)(x),
    "jacobian": lambda f, x, v, b: dl.jacobian(f, 0, b)(x),
    "jvp": lambda f, x, v, b: dl.jvp(f, (x,), (v,), b)[1],
    "vjp": lambda f, x, v, b: dl.vjp(f, x, backend=b)[1](1.0)[0],
    "hvp": lambda f, x, v, b: dl.hvp(f, 0, b)(x, v),
    "hessian": lambda f, x, v, b: dl.hessian(f, 0, b)(x),
}


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_no_point_ever_leaves_the_bounds(scheme: str, operator: str, data: Any):
    orders = {"central": (2, 4, 8), "richardson": (4, 8)}.get(scheme, (1, 2, 5))
    order = data.draw(st.sampled_from(orders))
    dtype = data.draw(st.sampled_from(["float64", "float32"]))
    lower = np.array(data.draw(st.lists(st.floats(-3.0, 1.0), min_size=3, max_size=3)), dtype)
    width = np.array(data.draw(st.lists(st.floats(0.01, 4.0), min_size=3, max_size=3)), dtype)
    upper = lower + width
    place = np.array(data.draw(st.lists(st.sampled_from([0.0, 1e-5, 0.01, 0.5, 0.97, 1.0]), min_size=3, max_size=3)))
    x = np.clip((lower + place * width).astype(dtype), lower, upper)
    v = np.array(data.draw(st.lists(st.sampled_from([-2.0, 0.5, 1.0]), min_size=3, max_size=3)), dtype)
    f = Watched()
    backend = dl.Finite(scheme, order=order, bounds=(lower, upper), estimate=data.draw(st.booleans()))
    try:
        OPERATORS[operator](f, x, v, backend)
    except InputError as error:
        if "along the vector" not in str(error):  # a corner may leave no way there
            raise
    assert np.all(lower <= f.low)
    assert np.all(f.high <= upper)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("place", [0.0, 1e-9, 1e-3, 0.3, 1.0 - 1e-4, 1.0])
def test_quotients_at_the_bounds_are_of_the_same_order(operator: str, order: int, place: float):
    x, v = np.array([place, 0.5, 1.0 - place]), np.array([1.0, 1.0, -1.0])
    backend = dl.Finite(order=order, bounds=(0.0, 1.0))
    if place in (0.0, 1.0) or (operator == "hvp" and place < 1e-3):
        v = np.array([1.0, 1.0, -1.0]) if place < 0.5 else np.array([-1.0, 1.0, 1.0])
    found, wanted = (OPERATORS[operator](fenced, x, v, b) for b in (backend, "reverse"))
    second = operator in ("hvp", "hessian")
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3000 * 2.0 ** (-52 * order / (order + 1 + second)))


@pytest.mark.parametrize("scheme", ["richardson", "central"])
def test_extrapolation_and_estimates_at_the_bounds(scheme: str):
    x = np.array([0.0, 1e-4, 1.0])
    backend = dl.Finite(scheme, bounds=(0.0, 1.0), estimate=True)
    prepared = dl.prepare(fenced, x, backend=backend)
    wrong, errors = np.abs(prepared(x) - dl.gradient(fenced)(x)), prepared.error_estimate(x)
    assert np.all(wrong <= 10 * errors)
    assert np.all(wrong < (1e-10 if scheme == "richardson" else 1e-8))


def test_far_bounds_change_nothing():
    x = np.array([0.3, -0.2, 0.9])
    for scheme in SCHEMES:
        free = dl.gradient(smooth, backend=dl.Finite(scheme))(x)
        bound = dl.gradient(smooth, backend=dl.Finite(scheme, bounds=(-10, np.array([10.0, 20.0, np.inf]))))(x)
        np.testing.assert_allclose(bound, free, rtol=1e-9)


def test_a_given_step_is_kept_and_only_its_side_changes():
    f = Watched()
    dl.gradient(f, backend=dl.Finite(step=0.1, bounds=(0.0, 1.0)))(np.array([0.0, 0.05, 0.5]))
    np.testing.assert_allclose(f.high, [0.2, 0.25, 0.6])
    np.testing.assert_allclose(f.low, [0.0, 0.05, 0.4])


def test_steps_shrink_to_the_room_that_there_is():
    f = Watched()
    width = 1e-7
    bounds = (np.array([1.0, 1.0, 1.0]), np.array([1.0 + width, 2.0, 2.0]))
    slope = dl.gradient(f, backend=dl.Finite(bounds=bounds))(np.array([1.0 + 0.5 * width, 1.5, 1.5]))
    assert f.high[0] - f.low[0] == pytest.approx(width, rel=1e-6)
    assert slope[0] == pytest.approx(math.e + 1.5, rel=1e-6)


def test_containers_of_bounds():
    args = {"w": np.array([0.0, 1.0]), "b": 0.5}
    low, high = {"w": np.array([0.0, -1.0]), "b": 0.0}, {"w": 1.0, "b": 1.0}

    def f(p: Any) -> Any:
        return np.where((p["w"][0] < 0) | (p["w"][1] > 1), np.nan, np.sum(p["w"] ** 2) * p["b"])

    found = dl.gradient(f, backend=dl.Finite(bounds=(low, high)))(args)
    np.testing.assert_allclose(found["w"], [0.0, 1.0], atol=1e-8)
    assert found["b"] == pytest.approx(1.0)
    both = dl.gradient(lambda a, b: np.sum(a) * b, (0, 1), dl.Finite(bounds=((0.0, -1.0), (1.0, 1.0))))
    np.testing.assert_allclose(both(np.array([0.0, 1.0]), 1.0)[0], [1.0, 1.0], atol=1e-8)


def test_a_study_file_gives_bounds_as_a_list():
    from difflab.backends import find

    assert find("finite", bounds=[0.0, 1.0]) == dl.Finite(bounds=(0.0, 1.0))


@pytest.mark.parametrize(
    ("bounds", "x", "text"),
    [
        ((0.0, 1.0), [0.5, 1.5], r"coordinate 1 of x is 1.5, which is not between its bounds 0.0 and 1.0"),
        ((0.0, 1.0), [math.nan, 0.5], r"coordinate 0 of x is nan, which is not between"),
        ((0.0, [1.0, 1e-300]), [0.5, 0.0], None),
        ((0.0, [1.0, 0.5 + 1e-15]), [0.5, 0.5 + 1e-15], None),
        (([0.0, 0.5 - 1e-16], [1.0, 0.5 + 2e-16]), [0.5, 0.5], r"no room for the 3 points .* coordinate 1 of x"),
        (([0.0], [1.0]), [0.5, 0.5], None),
        ((np.zeros(3), np.ones(3)), [0.5, 0.5], r"a bound of shape \(3,\) does not fit an array of shape \(2,\)"),
        (({"a": 0.0, "b": 0.0}, 1.0), [0.5, 0.5], r"the bounds hold 2 arrays and the differentiated argument has 1"),
    ],
)
def test_points_without_room_are_a_sentence(bounds: Any, x: Any, text: str | None):
    bounds = tuple(np.array(one) if isinstance(one, list) else one for one in bounds)
    run = lambda: dl.prepare(lambda x: np.sum(x * x), np.array(x), backend=dl.Finite(bounds=bounds))(np.array(x))  # noqa: E731 (short)
    if text is None:
        np.testing.assert_allclose(run(), 2 * np.array(x), rtol=1e-3)
        return
    with pytest.raises(InputError, match=text):
        run()


def test_a_given_step_without_room_is_a_sentence():
    with pytest.raises(InputError, match="there is no room for the 3 points of a quotient around coordinate 0"):
        dl.gradient(smooth, backend=dl.Finite(step=0.6, bounds=(0.0, 1.0)))(np.array([0.5, 0.5, 0.5]))
    with pytest.raises(InputError, match="no room for the 3 points of a quotient along the vector"):
        dl.jvp(smooth, (np.array([0.0, 1.0, 0.5]),), (np.ones(3),), dl.Finite(bounds=(0.0, 1.0)))


def test_complex_variables_have_no_bounds():
    with pytest.raises(UnsupportedError, match="bounds for real variables only, and z is complex"):
        dl.prepare(lambda z: np.abs(z) ** 2, 1 + 1j, backend=dl.Finite(bounds=(0.0, 1.0)))


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (
            ({"w": 0.0, "c": 0.0}, {"w": 2.0, "c": 2.0}),
            r"have a place \['c'\] where the differentiated argument has \['b'\]",
        ),
        (([0.0, 0.0], 2.0), r"have a place \[0\] where the differentiated argument has \['b'\]"),
        ((0.0, (2.0, 2.0)), r"have a place \[0\] where the differentiated argument has \['b'\]"),
    ],
)
def test_bounds_of_another_structure_are_a_sentence(bounds: Any, text: str):
    args = {"w": np.ones(2), "b": 1.0}
    with pytest.raises(InputError, match=text):
        dl.gradient(lambda p: np.sum(p["w"]) * p["b"], backend=dl.Finite(bounds=bounds))(args)


def test_bounds_of_several_arguments_are_a_container_of_theirs():
    def f(p: Any, q: Any) -> Any:
        return p["w"] * p["b"] * q

    args = {"w": 1.0, "b": 1.0}, 1.0
    run = dl.gradient(f, (0, 1), dl.Finite(bounds=(({"w": 0.0, "b": 1.0}, 0.0), 2.0)))
    np.testing.assert_allclose([run(*args)[0]["w"], run(*args)[0]["b"], run(*args)[1]], 1.0, rtol=1e-8)
    with pytest.raises(InputError, match=r"have a place \[0\] where the differentiated argument has \[0\]\['b'\]"):
        dl.gradient(f, (0, 1), dl.Finite(bounds=((0.0, 0.0, 0.0), 2.0)))(*args)
