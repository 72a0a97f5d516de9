"""The lectures' losses and layers, line by line, through the public operators and against the formulas shown."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from samples import rng_of

import difflab as dl
from difflab import nn
from difflab.problems import find

MODES = ["reverse", "forward"]


def numbers(shape: tuple[int, ...], label: str) -> np.ndarray:
    return rng_of(label).standard_normal(shape)


# ---------------------------------------------------------------------------- small graphs


def test_the_neuron_has_seven_elementary_gates() -> None:
    """Two products, the sum of three (two additions on a tape), the negative, exp, + 1, and 1 / ...: seven gates."""

    def neuron(w0: Any, x0: Any, w1: Any, x1: Any, w2: Any) -> Any:
        return 1 / (1 + np.exp(-(w0 * x0 + w1 * x1 + w2)))

    trace = dl.trace(neuron, 2.0, -1.0, -3.0, -2.0, -3.0)
    names = [equation.primitive.name for equation in trace.tape.equations]
    assert names[:4] == ["multiply", "multiply", "add", "add"]
    assert names[4:7] == ["negative", "exp", "add"]
    assert len(names) - 1 == 7
    slopes = dl.gradient(neuron, argnums=(0, 1, 2, 3, 4))(2.0, -1.0, -3.0, -2.0, -3.0)
    assert slopes == pytest.approx((-0.197, 0.393, -0.393, -0.590, 0.197), abs=5e-4)


@pytest.mark.parametrize("slope", [1.0, 5.0, 10.0, 19.0])
def test_numbers_with_two_decimals_give_the_quotient_ten_whatever_the_slope(slope: float) -> None:
    """L(w) = 12.79 and L(w + 0.001) = 12.80 to two decimals: (12.80 - 12.79) / 0.001 is 10 for slopes from 0 to 20."""
    start = 12.795 - slope * 0.0005
    rounded = [round(start, 2), round(start + slope * 0.001, 2)]
    assert rounded == [12.79, 12.8]
    assert (rounded[1] - rounded[0]) / 0.001 == pytest.approx(10, rel=1e-9)


def test_two_layer_is_coded_and_differentiated_as_the_lectures_code_it() -> None:
    one = find("two-layer").build("small", "float64", 0)
    params, x = one.args
    w1, w2 = params.values()
    z = x @ w1
    h = np.maximum(z, 0)
    yhat = h @ w2
    value, gradient = dl.value_and_gradient(one.loss)(params, x)
    assert value == pytest.approx(np.sum(yhat**2), rel=1e-13)
    dw1, dw2 = gradient.values()
    np.testing.assert_allclose(dw2, 2 * h.T @ yhat, rtol=1e-12)
    np.testing.assert_allclose(dw1, x.T @ ((2 * yhat @ w2.T) * (z > 0)), rtol=1e-12)


# ---------------------------------------------------------------------------- losses

X, W, B = numbers((5, 4), "x"), numbers((4, 3), "w"), numbers((3,), "b")
LABELS = np.array([0, 2, 1, 1, 0])
T = np.eye(3)[LABELS]
SIGNS = np.array([1.0, -1.0, -1.0, 1.0, 1.0])
Y = numbers((5,), "y")


def softmax(s: np.ndarray) -> np.ndarray:
    return np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)


def hinge_slope(s: np.ndarray) -> np.ndarray:
    slope = np.zeros_like(s)
    for i, j in itertools.product(range(5), range(3)):
        if j != LABELS[i] and s[i, j] - s[i, LABELS[i]] + 1 > 0:
            slope[i, j] += 1
            slope[i, LABELS[i]] -= 1
    return slope


# each with its value as the lectures write it and its slope in the scores s = X W + b
LOSSES: dict[str, tuple[Callable, Callable, Callable]] = {
    "least squares": (
        lambda s: np.mean((s[:, 0] - Y) ** 2),
        lambda s: sum((s[i, 0] - Y[i]) ** 2 for i in range(5)) / 5,
        lambda s: np.stack([2 / 5 * (s[:, 0] - Y), *np.zeros((2, 5))], axis=1),
    ),
    "half squared error": (
        lambda s: 0.5 * np.sum((s[:, 0] - Y) ** 2),
        lambda s: sum((s[i, 0] - Y[i]) ** 2 / 2 for i in range(5)),
        lambda s: np.stack([s[:, 0] - Y, *np.zeros((2, 5))], axis=1),
    ),
    "logistic": (
        lambda s: np.mean(np.log(1 + np.exp(-SIGNS * s[:, 0]))),
        lambda s: sum(np.log1p(np.exp(-y * f)) for y, f in zip(SIGNS, s[:, 0], strict=True)) / 5,
        lambda s: np.stack([-SIGNS / (1 + np.exp(SIGNS * s[:, 0])) / 5, *np.zeros((2, 5))], axis=1),
    ),
    "hinge": (
        lambda s: np.sum(np.maximum(0, s - np.sum(s * T, axis=1)[:, None] + 1) * (1 - T)),
        lambda s: sum(max(0.0, s[i, j] - s[i, LABELS[i]] + 1) for i in range(5) for j in range(3) if j != LABELS[i]),
        hinge_slope,
    ),
    "softmax cross-entropy": (
        lambda s: nn.softmax_cross_entropy(s, T),
        lambda s: -np.mean(np.log(softmax(s)[np.arange(5), LABELS])),
        lambda s: (softmax(s) - T) / 5,
    ),
}


@pytest.mark.parametrize("backend", MODES)
@pytest.mark.parametrize("penalty", [0.0, 0.001, 0.01, 0.1])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_linear_scores_with_and_without_regularisation(name: str, penalty: float, backend: str) -> None:
    loss, formula, slope = LOSSES[name]

    def regularised(w: Any, b: Any) -> Any:
        return loss(X @ w + b) + penalty * np.sum(w**2)

    value, (dw, db) = dl.value_and_gradient(regularised, argnums=(0, 1), backend=backend)(W, B)
    s = X @ W + B
    assert value == pytest.approx(formula(s) + penalty * sum(w**2 for w in W.ravel()), rel=1e-13)
    np.testing.assert_allclose(dw, X.T @ slope(s) + 2 * penalty * W, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(db, slope(s).sum(axis=0), rtol=1e-11, atol=1e-14)


# ---------------------------------------------------------------------------- multilayer perceptrons

ACTIVATIONS: dict[str, tuple[Callable, Callable, Callable]] = {
    "sigmoid": (nn.sigmoid, lambda z: 1 / (1 + np.exp(-z)), lambda z, h: h * (1 - h)),
    "tanh": (np.tanh, np.tanh, lambda z, h: 1 - h**2),
    "relu": (nn.relu, lambda z: np.where(z > 0, z, 0), lambda z, h: np.where(z > 0, 1.0, 0.0)),
    "leaky relu": (nn.leaky_relu, lambda z: np.where(z > 0, z, 0.1 * z), lambda z, h: np.where(z > 0, 1.0, 0.1)),
    "elu": (nn.elu, lambda z: np.where(z > 0, z, np.exp(z) - 1), lambda z, h: np.where(z > 0, 1.0, np.exp(z))),
}


@pytest.mark.parametrize("backend", MODES)
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_perceptrons_of_two_and_three_layers_with_biases(name: str, layers: int, backend: str) -> None:
    activation, plain, slope = ACTIVATIONS[name]
    widths = [4, *[5] * (layers - 1), 3]
    params = [
        (numbers((m, n), f"w{m}{n}{k}"), numbers((n,), f"b{n}{k}"))
        for k, (m, n) in enumerate(itertools.pairwise(widths))
    ]

    def loss(params: Any) -> Any:
        h = X
        for w, b in params[:-1]:
            h = activation(h @ w + b)
        return nn.softmax_cross_entropy(h @ params[-1][0] + params[-1][1], T)

    kept, h = [], X
    for w, b in params:
        z = h @ w + b
        kept.append((h, z))
        h = plain(z)
    delta = (softmax(kept[-1][1]) - T) / 5
    found = dl.gradient(loss, backend=backend)(params)
    for layer in reversed(range(layers)):
        h = kept[layer][0]
        np.testing.assert_allclose(found[layer][0], h.T @ delta, rtol=1e-10, atol=1e-14)
        np.testing.assert_allclose(found[layer][1], delta.sum(axis=0), rtol=1e-10, atol=1e-14)
        if layer:
            delta = (delta @ params[layer][0].T) * slope(kept[layer - 1][1], h)


@pytest.mark.parametrize("backend", MODES)
def test_maxout_of_two_affine_maps(backend: str) -> None:
    params = {"w": W, "b": B, "v": numbers((4, 3), "v"), "c": numbers((3,), "c")}

    def loss(p: Any) -> Any:
        return np.sum(nn.maxout(X @ p["w"] + p["b"], X @ p["v"] + p["c"]) ** 2)

    left, right = X @ W + B, X @ params["v"] + params["c"]
    h = np.maximum(left, right)
    delta = 2 * h
    value, found = dl.value_and_gradient(loss, backend=backend)(params)
    assert value == pytest.approx(np.sum(h**2), rel=1e-13)
    for (weight, bias), chosen in ((("w", "b"), left > right), (("v", "c"), left < right)):
        np.testing.assert_allclose(found[weight], X.T @ (delta * chosen), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(found[bias], (delta * chosen).sum(axis=0), rtol=1e-12, atol=1e-13)
    assert 0 < np.count_nonzero(left > right) < left.size


# ---------------------------------------------------------------------------- the digits


def test_tiny_digits_are_small_enough_for_every_family() -> None:
    """That every family finishes there, test_float16 shows for all problems."""
    mlp, cnn = (dict(find(name).sizes["tiny"]) for name in ("digits-mlp", "digits-cnn"))
    assert (mlp["side"], mlp["hidden"], mlp["batch"]) == (4, 3, 4)
    assert (cnn["side"], cnn["channels"], cnn["batch"]) == (4, 2, 4)
