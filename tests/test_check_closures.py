"""Stale closures: variables of the gradient that do not hold what those of the loss hold."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import difflab as dl
from difflab.checking.closures import captured, substituted

W = np.array([0.5, -1.25, 2.0])
LAM = 0.1
OLD = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, -1.0]])


def make(lam: float, x: np.ndarray) -> tuple[Callable, Callable]:
    """A loss and its gradient that close over a number and data."""

    def penalty(w: Any) -> Any:
        return lam * np.sum(w**2)

    def loss(w: Any) -> Any:
        return np.sum(np.tanh(x @ w)) + penalty(w)

    def gradient(w: Any) -> Any:
        return x.T @ (1 - np.tanh(x @ w) ** 2) + 2 * lam * w

    return loss, gradient


def closure(found: Any) -> str:
    assert not found.ok
    assert [one.kind for one in found.findings] == ["closure"], str(found)
    return found.findings[0].sentence


def test_closed_over_numbers_and_arrays() -> None:
    x = OLD + 0.5
    loss, gradient = make(0.1, x)
    assert dl.check(gradient, loss, W).ok
    sentence = closure(dl.check(make(0.2, x)[1], loss, W))
    assert "`lam` is 0.1 in the loss and 0.2 in the gradient" in sentence
    sentence = closure(dl.check(make(0.1, OLD)[1], loss, W))
    assert "`x` is an array of shape (2, 3) (1.5 2.5 1 ...) in the loss and an array of shape (2, 3)" in sentence
    sentence = closure(dl.check(make(0.2, OLD)[1], loss, W))
    assert "do not hold in the gradient what they hold in the loss" in sentence
    assert "`lam`" in sentence
    assert "`x`" in sentence


def with_default(w: Any, scale: float = 2.0) -> Any:
    return np.sum(np.cos(scale * w)) + LAM * np.sum(w**2)


def default_gradient(w: Any, scale: float = 3.0) -> Any:
    return -scale * np.sin(scale * w) + 2 * LAM * w


def keyword_gradient(w: Any, *, scale: float = 2.0, LAM: float = 0.3) -> Any:
    return -scale * np.sin(scale * w) + 2 * LAM * w


def test_defaults_globals_and_keywords() -> None:
    assert "`scale` is 2 in the loss and 3 in the gradient" in closure(dl.check(default_gradient, with_default, W))
    assert "`LAM` is 0.1 in the loss and 0.3 in the gradient" in closure(dl.check(keyword_gradient, with_default, W))


class Model:
    """A model whose regulariser is an attribute."""

    def __init__(self, lam: float):
        self.lam = lam

    def loss(self, w: Any) -> Any:
        return np.sum(np.sin(w)) + self.lam * np.sum(w**2)

    def gradient(self, w: Any) -> Any:
        return np.cos(w) + 2 * self.lam * w


def of_two(lam: float, w: Any) -> Any:
    return np.sum(np.sin(w)) + lam * np.sum(w**2)


def gradient_of_two(lam: float, w: Any) -> Any:
    return np.cos(w) + 2 * lam * w


def test_methods_and_partials() -> None:
    assert "`lam` is 0.1" in closure(dl.check(Model(0.2).gradient, Model(0.1).loss, W))
    stale = functools.partial(gradient_of_two, 0.3)
    assert "`lam` is 0.1" in closure(dl.check(stale, functools.partial(of_two, 0.1), W))


def uses_old(w: Any, x: Any) -> Any:
    return 2 * OLD.T @ (OLD @ w)


def test_a_variable_in_place_of_an_argument() -> None:
    sentence = closure(dl.check(uses_old, lambda w, x: np.sum((x @ w) ** 2), W, OLD + 1))
    assert "does not use its argument x but a variable `OLD`" in sentence


def test_variables_of_other_names_and_numbers_in_the_code() -> None:
    target = np.arange(3.0)
    previous = target + 1
    found = dl.check(lambda w: 3 * (w - previous) ** 2, lambda w: np.sum((w - target) ** 3), W)
    assert "(`previous`)" in closure(found)
    found = dl.check(lambda w: np.cos(w) + 2 * 0.01 * w, Model(0.1).loss, W)
    assert [one.kind for one in found.findings] == ["regulariser", "closure"]
    assert "the gradient uses 0.01 (0.02 in its code)" in found.findings[1].sentence


def test_a_difference_that_explains_nothing_is_not_named() -> None:
    loss, _ = make(0.1, OLD)

    def unrelated(lam: float, x: np.ndarray) -> Callable:
        return lambda w: np.exp(w) + 0 * lam * x.sum()

    found = dl.check(unrelated(0.7, OLD + 3), loss, W)
    assert "closure" not in {one.kind for one in found.findings}


def test_what_is_closed_over_is_found_and_put_in_everywhere() -> None:
    loss, _ = make(0.1, OLD)
    held = captured(loss)
    assert held["lam"] == 0.1
    assert held["x"] is OLD
    # The helper's own cell is changed, that of the original is not.
    assert substituted(loss, {"lam": 5.0})(W) == pytest.approx(loss(W) + 4.9 * np.sum(W**2))
    assert captured(loss)["lam"] == 0.1
    model = Model(0.1)
    assert substituted(model.loss, {"lam": 1.0})(W) == pytest.approx(Model(1.0).loss(W))
    assert model.lam == 0.1
    assert captured(np.tanh) == {}
