"""Descent with every backend: the lecture's rule to stop, mini-batches, what it returns and what it leaves alone."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab.errors import InputError
from difflab.problems import find
from difflab.problems.sigmoid_nets import LABELS, POINTS

EXACT = ("reverse", "forward", "symbolic", "complex-step", "analytic")
BACKENDS: dict[str, Any] = {
    **{name: name for name in EXACT},
    "finite (forward)": dl.Finite(scheme="forward"),
    "finite (central)": dl.Finite(),
}


def xor():
    return find("xor").build("tiny", "float64", 0)


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one[key], other[key]) for key in one) and list(one) == list(other)


# ---------------------------------------------------------------------------- the rule to stop


@pytest.mark.parametrize("precision", [1e-2, 1e-6])
def test_it_stops_where_the_loop_of_the_lectures_stops(precision: float) -> None:
    x, step, count = 3.0, 1.0, 0
    while step > precision and count < 10_000:
        before = x
        x = x - 0.01 * (2 * (x + 5))
        step, count = abs(x - before), count + 1
    found = dl.descend(
        lambda x: (x + 5) ** 2, 3.0, rate=0.01, precision=precision, backend="analytic",
        analytic=lambda x: ((x + 5) ** 2, 2 * (x + 5)),
    )  # fmt: skip
    assert (found.params, found.steps, found.stopped) == (x, count, "precision")
    assert found.losses[-1] == (x + 5) ** 2
    assert found.losses[0] == 64.0


def test_a_step_is_as_long_as_all_parameters_together() -> None:
    loss, start = (lambda p: 0.5 * (np.sum(p["a"] ** 2) + p["b"] ** 2)), {"a": np.array([3.0, 0.0]), "b": 4.0}
    assert dl.descend(loss, start, rate=0.5, precision=2.5).steps == 1  # half of (3, 0, 4)
    assert dl.descend(loss, start, rate=0.5, precision=2.4).steps == 2


def test_max_iters_are_the_most_steps_and_may_be_none() -> None:
    found = dl.descend(lambda x: x * x, 1.0, rate=0.25, max_iters=3, precision=0)
    assert found.stopped == "max_iters"
    assert found.losses.tolist() == [1.0, 0.25, 0.0625, 0.015625]
    nothing = dl.descend(lambda x: x * x, 1.0, rate=0.25, max_iters=0)
    assert (nothing.params, nothing.steps, nothing.loss, nothing.stopped) == (1.0, 0, 1.0, "max_iters")
    assert repr(found) == "<Descent: 3 steps, loss 0.0156, stopped by max_iters>"


def test_a_minimum_that_is_reached_ends_it_even_at_precision_nought() -> None:
    found = dl.descend(lambda x: x * x, 1.0, rate=0.5, precision=0)
    assert (found.params, found.steps, found.stopped) == (0.0, 2, "precision")


def test_a_small_step_in_float16_is_not_taken_for_none() -> None:
    start = np.array([1e-3, 1e-3], np.float16)  # the squares of its steps vanish in float16
    found = dl.descend(lambda x: np.sum(x * x), start, rate=0.125, precision=0, max_iters=5)
    assert found.stopped == "max_iters"
    assert found.params.dtype == np.float16


def test_huge_steps_have_a_length() -> None:
    found = dl.descend(lambda x: np.sum(x), np.full(2, 3e200), rate=1e200, precision=0, max_iters=2)
    assert found.stopped == "max_iters"
    np.testing.assert_allclose(found.params, 1e200)


def test_the_clock_ends_it_and_does_not_count_who_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    seen = []
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    quiet = dl.descend(lambda x: x * x, 1.0, rate=0.1, seconds=10.0)
    assert quiet.stopped == "seconds"
    assert quiet.seconds[-2] < 10.0 <= quiet.seconds[-1]
    assert np.all(np.diff(quiet.seconds) == 1.0)

    def watch(step: int, loss: float, x: float) -> None:
        seen.append((step, loss, x))
        for _ in range(100):
            time.perf_counter()

    watched = dl.descend(lambda x: x * x, 1.0, rate=0.1, seconds=10.0, watch=watch)
    # the two looks at the clock around every watch are all that it adds
    assert np.all(np.diff(watched.seconds) == 2.0)
    assert [step for step, _, _ in seen] == list(range(watched.steps + 1))
    assert [loss for _, loss, _ in seen] == watched.losses.tolist()
    assert [x * x for _, _, x in seen] == watched.losses.tolist()


# ---------------------------------------------------------------------------- divergence


def test_a_loss_that_is_not_finite_is_said_with_its_step() -> None:
    found = dl.descend(lambda x: np.sum(x**4), np.array([2.0]), rate=1.0)
    k = found.steps
    assert found.stopped == f"diverged: the loss is inf at step {k}"
    assert np.all(np.isfinite(found.losses[:-1]))
    assert len(found.losses) == len(found.seconds) == k + 1
    at_once = dl.descend(lambda x: np.log(x), -1.0, rate=1.0, backend=dl.Finite())
    assert at_once.stopped == "diverged: the loss is nan at step 0"


def test_a_gradient_that_is_not_finite_is_said_before_it_is_followed() -> None:
    found = dl.descend(lambda x: np.sum(np.sqrt(x)), np.array([1.0, 0.0]), rate=0.1)
    assert found.stopped == "diverged: the gradient is not finite at step 0"
    assert found.params.tolist() == [1.0, 0.0]
    assert found.losses.tolist() == [1.0]


# ---------------------------------------------------------------------------- every backend


@pytest.mark.parametrize("name", BACKENDS)
def test_every_backend_descends_the_same_way(name: str) -> None:
    one = xor()
    found = dl.descend(one.loss, *one.args, rate=0.5, max_iters=120, backend=BACKENDS[name], analytic=one.analytic)
    params, *data = one.args
    losses = []
    for _ in range(120):
        value, gradient = one.analytic(params, *data)
        losses.append(float(value))
        params = {key: params[key] - 0.5 * gradient[key] for key in params}
    losses.append(float(one.loss(params, *data)))
    tolerance = {"finite (forward)": 1e-6, "finite (central)": 1e-9}.get(name, 1e-13)
    np.testing.assert_allclose(found.losses, losses, rtol=tolerance)
    for key, expected in params.items():
        np.testing.assert_allclose(found.params[key], expected, atol=tolerance)
    assert found.steps == 120


def test_the_loss_is_prepared_once_and_replayed() -> None:
    calls = []

    def loss(p: dict[str, Any], x: Any) -> Any:
        calls.append(1)
        return np.sum((x @ p["w"] - p["b"]) ** 2) * 0.01

    x = np.random.default_rng(0).standard_normal((6, 3))
    start = {"w": np.ones(3), "b": 0.5}
    dl.descend(loss, start, x, rate=0.1, max_iters=1, precision=0)
    once = len(calls)
    dl.descend(loss, start, x, rate=0.1, max_iters=50, precision=0, batch=2, momentum=0.5)
    assert len(calls) == 2 * once


def test_two_layers_give_the_bits_of_the_lines_written_by_hand() -> None:
    one = find("two-layer-numpy").build("small", "float64", 0)
    params, x, y = one.args
    w1, w2 = params["w1"].copy(), params["w2"].copy()
    losses = []
    for _ in range(200):
        h = 0.5 * np.tanh(0.5 * (x @ w1)) + 0.5
        error = h @ w2 - y
        losses.append(np.vdot(error, error))
        g = 2 * error
        dw2 = h.T @ g
        dh = g @ w2.T
        dw1 = x.T @ (dh * h * (1 - h))
        w1 -= 1e-4 * dw1
        w2 -= 1e-4 * dw2
    options: dict[str, Any] = {"rate": 1e-4, "max_iters": 200, "precision": 0}
    found = dl.descend(one.loss, *one.args, backend="analytic", analytic=one.analytic, **options)
    assert same(found.params, {"w1": w1, "w2": w2})
    assert found.losses[:-1].tolist() == losses
    by_reverse = dl.descend(one.loss, *one.args, **options)
    np.testing.assert_allclose(by_reverse.losses[:-1], losses, rtol=1e-12)
    assert losses[-1] < losses[0]


def test_xor_is_trained_until_the_eight_points_are_parted() -> None:
    one = xor()
    found = dl.descend(one.loss, *one.args, rate=0.5, max_iters=3000)
    h = np.array(POINTS, float)
    for layer in (1, 2, 3):
        h = 1 / (1 + np.exp(-(h @ found.params[f"w{layer}"] + found.params[f"b{layer}"])))
    assert ((h[:, 0] > 0.5) == np.array(LABELS)).all()
    assert np.abs(h[:, 0] - LABELS).max() < 0.05
    start = np.array(POINTS, float)
    for layer in (1, 2, 3):
        start = 1 / (1 + np.exp(-(start @ one.args[0][f"w{layer}"] + one.args[0][f"b{layer}"])))
    assert ((start[:, 0] > 0.5) != np.array(LABELS)).any()


# ---------------------------------------------------------------------------- mini-batches and momentum


def test_every_epoch_sees_every_row_once_in_an_order_that_the_seed_decides() -> None:
    rows = np.arange(10.0)

    def order(seed: int) -> list[float]:
        backend = dl.Analytic(lambda w, x: (x[0] + 0.0 * w, 1.0))
        options: dict[str, Any] = {"rate": 0.1, "max_iters": 19, "batch": 1, "seed": seed, "backend": backend}
        return dl.descend(lambda w, x: x[0] + 0.0 * w, 1.0, rows, **options).losses.tolist()

    first, again, other = order(3), order(3), order(4)
    assert first == again != other
    assert sorted(first[:10]) == sorted(first[10:]) == rows.tolist()
    assert first[:10] != first[10:]


def test_rows_left_over_wait_for_the_next_epoch() -> None:
    rows = 2.0 ** np.arange(7)  # a sum says which rows it is of

    def drawn(w: Any, x: Any) -> Any:
        return np.sum(x) + 0.0 * w

    backend = dl.Analytic(lambda w, x: (drawn(w, x), 1.0))
    found = dl.descend(drawn, 1.0, rows, rate=0.1, max_iters=39, batch=3, backend=backend)
    batches = [{k for k in range(7) if int(total) >> k & 1} for total in found.losses]
    assert {len(one) for one in batches} == {3}
    assert all(not first & second for first, second in zip(batches[::2], batches[1::2], strict=True))
    assert set().union(*batches) == set(range(7))


def test_data_is_split_by_rows_and_numbers_stay_whole() -> None:
    x, t = np.arange(12.0).reshape(6, 2), {"label": np.arange(6.0)}
    seen = []

    def analytic(w: Any, x: Any, t: Any, scale: Any) -> Any:
        seen.append((x.shape, t["label"].tolist(), x[:, 0].tolist(), float(scale)))
        return np.sum(w) * scale, np.full(1, 1.0)

    dl.descend(
        lambda w, x, t, scale: np.sum(w) * scale, np.ones(1), x, t, 0.5, rate=0.1, batch=2, max_iters=4,
        backend="analytic", analytic=analytic,
    )  # fmt: skip
    for shape, labels, first, scale in seen:
        assert (shape, scale) == ((2, 2), 0.5)
        assert first == [2 * label for label in labels]


def test_symbolic_differentiation_takes_batches_as_symbols_or_as_numbers() -> None:
    one = find("logistic").build("tiny", "float64", 0)
    x, y, l2 = one.args[1:]
    options: dict[str, Any] = {"rate": 0.1, "batch": 2, "max_iters": 5, "precision": 0}
    expected = dl.descend(one.loss, one.args[0], x, y, l2, **options)
    for data in ("symbols", "numbers"):
        found = dl.descend(one.loss, one.args[0], x, y, l2, backend=dl.Symbolic(data=data), **options)
        np.testing.assert_allclose(found.losses, expected.losses, rtol=1e-13)


def test_momentum_is_that_of_polyak() -> None:
    one = xor()
    found = dl.descend(
        one.loss, *one.args, rate=0.1, momentum=0.9, max_iters=60, backend="analytic", analytic=one.analytic
    )
    params, *data = one.args
    velocity = {key: 0.0 for key in params}
    for _ in range(60):
        gradient = one.analytic(params, *data)[1]
        velocity = {key: 0.9 * velocity[key] + gradient[key] for key in params}
        params = {key: params[key] - 0.1 * velocity[key] for key in params}
    assert same(found.params, params)


# ---------------------------------------------------------------------------- what goes in and comes out


@dataclass(frozen=True)
class Model:
    weights: list[np.ndarray]
    bias: float


def test_parameters_come_back_as_what_they_were() -> None:
    start = {"model": Model([np.ones(2, np.float32), np.zeros((), np.float64)], 2.0), "scalar": np.float32(3.0)}

    def loss(p: Any) -> Any:
        model = p["model"]
        return np.sum(model.weights[0] ** 2) + model.weights[1] ** 2 + model.bias**2 + p["scalar"] ** 2

    found = dl.descend(loss, start, rate=0.1, max_iters=3).params
    assert type(found["model"]) is Model
    assert type(found["model"].bias) is float
    assert type(found["scalar"]) is np.float32
    assert [(w.shape, w.dtype, type(w)) for w in found["model"].weights] == [
        ((2,), np.float32, np.ndarray), ((), np.float64, np.ndarray),
    ]  # fmt: skip
    assert start["model"].weights[0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("number", [float, np.float32, np.float64])
def test_no_number_among_the_settings_widens_parameters(number: Callable[[float], Any]) -> None:
    start = np.ones(3, np.float32)
    seen = []
    settings: dict[str, Any] = {"rate": number(0.125), "momentum": number(0.5), "max_iters": 2}
    found = dl.descend(lambda w: np.sum(w**2), start, watch=lambda _k, _loss, w: seen.append(w.dtype), **settings)
    assert {*seen, found.params.dtype} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", BACKENDS)
def test_nothing_of_the_callers_is_written_to(name: str) -> None:
    one = find("logistic").build("tiny", "float64", 0)
    params, x, y, l2 = one.args
    before = {key: value.copy() for key, value in params.items()}
    for array in (*params.values(), x, y, l2):
        array.flags.writeable = False
    options: dict[str, Any] = {"rate": 0.5, "backend": BACKENDS[name], "analytic": one.analytic}
    found = dl.descend(one.loss, params, x, y, l2, batch=2, max_iters=2, **options)
    assert same(params, before)
    assert not same(found.params, before)
    unmoved = dl.descend(one.loss, params, x, y, l2, max_iters=0, **options)
    assert same(unmoved.params, before)
    for left in (found, unmoved):
        assert not any(np.shares_memory(left.params[key], params[key]) for key in params)


def test_data_is_live() -> None:
    target = np.zeros(2)

    def move(step: int, _loss: float, _params: Any) -> None:
        if step == 50:
            target[:] = 1.0

    found = dl.descend(
        lambda w, t: np.sum((w - t) ** 2), np.ones(2) * 3, target, rate=0.25, max_iters=100, watch=move, precision=0
    )
    np.testing.assert_allclose(found.params, 1.0, atol=1e-12)
    assert found.losses[50] < 1e-12 < found.losses[51]


def test_complex_parameters_go_along_the_conjugate() -> None:
    found = dl.descend(lambda z: np.sum(np.abs(z - (2 + 1j)) ** 2), np.array([0j, 1 - 3j]), rate=0.1)
    assert found.stopped == "precision"
    np.testing.assert_allclose(found.params, 2 + 1j, atol=1e-5)
    assert np.all(np.diff(found.losses) < 0)


# ---------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rate": 0.0}, "rate=0.0 is to be a positive finite number"),
        ({"rate": math.inf}, "rate=inf is to be a positive finite number"),
        ({"rate": "fast"}, "rate='fast' is to be a positive"),
        ({"rate": 10**400}, "rate=1000"),
        ({"precision": -1.0}, "precision=-1.0 is to be a finite number, not below 0"),
        ({"precision": math.nan}, "precision=nan"),
        ({"max_iters": 2.5}, "max_iters=2.5 is to be a whole number"),
        ({"max_iters": True}, "max_iters=True"),
        ({"seconds": 0}, "seconds=0 is to be a positive number of seconds, or None"),
        ({"momentum": 1.0}, "momentum=1.0 is to be a number from 0 to below 1"),
        ({"batch": 0}, "batch=0 is a whole number from 1 to the 4 rows of the data"),
        ({"batch": 5}, "batch=5 is a whole number from 1 to the 4 rows"),
        ({"batch": 2, "seed": -1}, "seed=-1 is a whole number, not below 0"),
    ],
)
def test_settings_out_of_range_are_said(settings: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"rate": 0.1, **settings}
    with pytest.raises(InputError, match=f"descend of `loss`: {said}"):
        dl.descend(loss, np.ones(4), np.ones(4), **given)


def loss(w: Any, x: Any) -> Any:
    return np.sum(w * x)


def test_data_that_cannot_be_split_is_said() -> None:
    with pytest.raises(InputError, match=r"batch=2 splits arrays, and no array was given as data"):
        dl.descend(lambda w, c: w * c, 1.0, 2.0, rate=0.1, batch=2)
    with pytest.raises(InputError, match=r"their lengths differ: 3, 4; what is to stay whole can be closed over"):
        dl.descend(lambda w, x, y: np.sum(w * x[0] * y[0]), 1.0, np.ones(3), np.ones(4), rate=0.1, batch=2)


def test_parameters_that_have_no_gradient_are_said_as_by_prepare() -> None:
    with pytest.raises(InputError, match="cannot differentiate `loss` with respect to w"):
        dl.descend(loss, np.arange(3), np.ones(3), rate=0.1)
