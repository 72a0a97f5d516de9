"""Layers of networks as functions whose output is an array: alone, to form their Jacobians, and in pairs, for chains.

A study names the layers as ``difflab.maps_layers:DENSE``, ``:CONVOLUTION`` and ``:SIGMOID``; what stands for their
loss is the layer itself, and their hand-derived answer holds whole Jacobians, so it is for small sizes only.
``difflab.maps_layers:CHAIN`` has pairs of layers for sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from . import nn
from .problems.record import Instance, Problem, instance, problem

Arrays = Mapping[str, Any]
Shape = tuple[int, ...]
FULL = {"examples": 64, "inputs": 4096, "outputs": 4096}
"""The lectures' layer, of which they say that its Jacobians would fill the memory."""

DENSE_SIZES = {
    "tiny": {"examples": 3, "inputs": 4, "outputs": 5},
    "small": {"examples": 8, "inputs": 32, "outputs": 32},
    "medium": {"examples": 16, "inputs": 128, "outputs": 128},
    "large": {"examples": 32, "inputs": 256, "outputs": 256},
    "xlarge": {"examples": 64, "inputs": 512, "outputs": 512},
    "huge": {"examples": 64, "inputs": 1024, "outputs": 1024},
    "full": FULL,
}
CONVOLUTION_SIZES = {
    "tiny": {"examples": 2, "side": 4, "kernel": 3, "channels": 1, "outputs": 1},
    "small": {"examples": 4, "side": 8, "kernel": 3, "channels": 2, "outputs": 4},
    "medium": {"examples": 8, "side": 12, "kernel": 3, "channels": 4, "outputs": 8},
    "large": {"examples": 8, "side": 12, "kernel": 3, "channels": 8, "outputs": 16},
    "full": {"examples": 64, "side": 32, "kernel": 3, "channels": 64, "outputs": 64},
}
SIGMOID_SIZES = {
    "tiny": {"examples": 3, "inputs": 4},
    "small": {"examples": 8, "inputs": 64},
    "medium": {"examples": 16, "inputs": 256},
    "large": {"examples": 32, "inputs": 512},
    "full": {"examples": 64, "inputs": 4096},
}

# ------------------------------------------------------------------------------------------------ layers alone


def _jacobians(params: Arrays, layer: Callable[[Arrays], Any], slopes: Callable[[Arrays], dict[str, Any]]) -> Any:
    return layer(params), slopes(params)


def _dense(params: Arrays) -> Any:
    return params["x"] @ params["W"]


def _dense_slopes(params: Arrays) -> dict[str, Any]:
    """Entry (n, m) has W[d, m] by x[n, d] of its own example, and x[n, d] by W[d, m] of its own output."""
    x, w = params["x"], params["W"]
    rows, columns = np.eye(len(x)), np.eye(w.shape[1])
    return {"x": np.einsum("nk,dm->nmkd", rows, w), "W": np.einsum("nd,mk->nmdk", x, columns)}


def _convolution(params: Arrays) -> Any:
    return nn.conv2d(params["x"], params["k"], padding="same")


def _convolution_slopes(params: Arrays) -> dict[str, Any]:
    """The image with zeros around it: an output at (r, c) meets the pixel at (r + i, c + j) by kernel entry (i, j)."""
    x, k = params["x"], params["k"]
    count, height, width, _ = x.shape
    rows, columns, _, outputs = k.shape
    before = ((rows - 1) // 2, (columns - 1) // 2)
    widths = ((0, 0), (before[0], rows - 1 - before[0]), (before[1], columns - 1 - before[1]), (0, 0))
    padded = np.pad(x, widths)
    by_x = np.zeros((count, height, width, outputs, *padded.shape))
    for n, r, c in np.ndindex(count, height, width):
        by_x[n, r, c, :, n, r : r + rows, c : c + columns, :] = np.moveaxis(k, 3, 0)
    inside = by_x[..., before[0] : before[0] + height, before[1] : before[1] + width, :]
    windows = np.lib.stride_tricks.sliding_window_view(padded, (rows, columns), axis=(1, 2))
    return {"x": inside, "k": np.einsum("nrcxij,op->nrcoijxp", windows, np.eye(outputs))}


def _sigmoid(params: Arrays) -> Any:
    return nn.sigmoid(params["x"])


def _sigmoid_slopes(params: Arrays) -> dict[str, Any]:
    x = params["x"]
    y = 1 / (1 + np.exp(-x))
    return {"x": np.einsum("nd,nk,dl->ndkl", y * (1 - y), np.eye(x.shape[0]), np.eye(x.shape[1]))}


def _layer(
    name: str,
    title: str,
    sizes: Mapping[str, Mapping[str, int]],
    layer: Callable[[Arrays], Any],
    slopes: Callable[[Arrays], dict[str, Any]],
    shapes: Callable[[Mapping[str, int]], dict[str, Shape]],
) -> Problem:
    def make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
        generator = np.random.default_rng(seed)
        drawn = {key: generator.standard_normal(shape, np.float32) for key, shape in shapes(size).items()}
        return instance(layer, lambda params: _jacobians(params, layer, slopes), drawn, (), dtype)

    return problem(name, title, sizes, make, f"{title} as a function of its input and its weights, without a loss.")


DENSE = _layer(
    "dense-layer", "Dense layer", DENSE_SIZES, _dense, _dense_slopes,
    lambda size: {"x": (size["examples"], size["inputs"]), "W": (size["inputs"], size["outputs"])},
)  # fmt: skip
CONVOLUTION = _layer(
    "convolutional-layer", "Convolutional layer", CONVOLUTION_SIZES, _convolution, _convolution_slopes,
    lambda size: {
        "x": (size["examples"], size["side"], size["side"], size["channels"]),
        "k": (size["kernel"], size["kernel"], size["channels"], size["outputs"]),
    },
)  # fmt: skip
SIGMOID = _layer(
    "sigmoid-layer", "Element-wise layer (sigmoid)", SIGMOID_SIZES, _sigmoid, _sigmoid_slopes,
    lambda size: {"x": (size["examples"], size["inputs"])},
)  # fmt: skip

# ------------------------------------------------------------------------------------------------ layers in pairs


@dataclass(frozen=True)
class Layer:
    """A layer of a chain: ``weights(shape, size)`` gives the shapes of its weights for an input of a shape.

    ``call(weights, h)`` is the layer, ``back(weights, h, y, delta)`` its pullback derived by hand: from the cotangent
    of its output y to those of its weights, by name, and of its input h.  ``formula`` is what people read.
    """

    name: str
    formula: str
    weights: Callable[[Shape, Mapping[str, int]], dict[str, Shape]]
    call: Callable[[Arrays, Any], Any]
    back: Callable[[Arrays, Any, Any, Any], tuple[dict[str, Any], Any]]


def _flat(h: Any) -> Any:
    return h.reshape(h.shape[0], -1)


def _sequence(h: Any) -> Any:
    """Rows as images of one column: of one channel, or of as many as the last axis has."""
    return h.reshape(h.shape[0], h.shape[1], 1, h.shape[2] if len(h.shape) == 3 else 1)


def _dense_back(weights: Arrays, h: Any, y: Any, delta: Any) -> tuple[dict[str, Any], Any]:
    return {"W": _flat(h).T @ delta}, (delta @ weights["W"].T).reshape(h.shape)


def _conv(weights: Arrays, h: Any) -> Any:
    y = nn.conv2d(_sequence(h), weights["k"][:, None])
    return y.reshape(y.shape[0], y.shape[1], y.shape[3])


def _conv_back(weights: Arrays, h: Any, y: Any, delta: Any) -> tuple[dict[str, Any], Any]:
    """Kernel entry i meets the input shifted by i; the input gets back from every window that it is in."""
    k, x = weights["k"], _sequence(h)[:, :, 0]
    length, below = delta.shape[1], np.zeros(x.shape, x.dtype)
    slope = np.stack([np.einsum("nlc,nlo->co", x[:, i : i + length], delta) for i in range(len(k))])
    for i, tap in enumerate(k):
        below[:, i : i + length] += delta @ tap.T
    return {"k": slope}, below.reshape(h.shape)


def _softmax_back(weights: Arrays, h: Any, y: Any, delta: Any) -> tuple[dict[str, Any], Any]:
    return {}, y * (delta - np.sum(y * delta, axis=-1, keepdims=True))


LAYERS: Mapping[str, Layer] = MappingProxyType(
    {
        "dense": Layer(
            "dense", "h W",
            lambda shape, size: {"W": (int(np.prod(shape[1:])), size["units"])},
            lambda weights, h: _flat(h) @ weights["W"], _dense_back,
        ),
        "bias": Layer(
            "bias", "h + b",
            lambda shape, size: {"b": shape[1:]},
            lambda weights, h: h + weights["b"],
            lambda weights, h, y, delta: ({"b": delta.sum(axis=0)}, delta),
        ),
        "conv": Layer(
            "conv", "h convolved with k",
            lambda shape, size: {"k": (size["kernel"], shape[2] if len(shape) == 3 else 1, size["channels"])},
            _conv, _conv_back,
        ),
        "relu": Layer(
            "relu", "max(0, h)", lambda shape, size: {},
            lambda weights, h: nn.relu(h), lambda weights, h, y, delta: ({}, delta * (h > 0)),
        ),
        "sigmoid": Layer(
            "sigmoid", "1 / (1 + exp(-h))", lambda shape, size: {},
            lambda weights, h: nn.sigmoid(h), lambda weights, h, y, delta: ({}, delta * y * (1 - y)),
        ),
        "softmax": Layer(
            "softmax", "exp(h) / sum exp(h)", lambda shape, size: {},
            lambda weights, h: nn.softmax(h, axis=-1), _softmax_back,
        ),
    }
)  # fmt: skip
CHAIN_SIZE = {"examples": 3, "inputs": 6, "units": 4, "kernel": 3, "channels": 2}


@dataclass(frozen=True)
class Chain:
    """Two layers one after the other, with half the squared length of what comes out for a loss.

    ``x`` is the input, ``weights`` are those of the first and of the second layer.
    """

    layers: tuple[Layer, Layer]
    x: np.ndarray
    weights: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]

    def loss(self, params: Arrays, x: Any) -> Any:
        """Half the squared length of the output of the second layer.

        Args:
            params: the weights of both layers by ``name + "1"`` and ``name + "2"``.
            x: the input of the first layer.

        Returns:
            Scalar.

        Example:
            >>> made = chain("bias-relu", CHAIN_SIZE, "float64", 0)
            >>> bool(made.loss(made.params, -made.params["b1"]) == 0)
            True
        """
        y = x
        for place, layer in enumerate(self.layers, 1):
            y = layer.call({name: params[f"{name}{place}"] for name in self.weights[place - 1]}, y)
        return half_square(y)

    @property
    def params(self) -> dict[str, np.ndarray]:
        """The weights of both layers by ``name + "1"`` and ``name + "2"``."""
        return {f"{name}{place}": array for place, own in enumerate(self.weights, 1) for name, array in own.items()}

    def analytic(self, params: Arrays, x: np.ndarray) -> tuple[Any, dict[str, Any]]:
        """Loss and gradient derived by hand: the pullbacks of the layers, the last first.

        Args:
            params: as for ``loss``.
            x: as for ``loss``.

        Returns:
            The value, and the gradient by the names of ``params``.

        Example:
            >>> made = chain("bias-relu", CHAIN_SIZE, "float64", 0)
            >>> made.analytic(made.params, made.x)[1]["b1"].shape
            (6,)
        """
        own = [{name: params[f"{name}{place}"] for name in self.weights[place - 1]} for place in (1, 2)]
        first = self.layers[0].call(own[0], x)
        second = self.layers[1].call(own[1], first)
        slopes, below = self.layers[1].back(own[1], first, second, second)
        found = {f"{name}2": slope for name, slope in slopes.items()}
        slopes, _ = self.layers[0].back(own[0], x, first, below)
        return half_square(second), {f"{name}1": slope for name, slope in slopes.items()} | found


def half_square(y: Any) -> Any:
    """The loss of a chain.

    Args:
        y: array of any shape.

    Returns:
        Scalar, half the sum of the squares; its derivative is y itself.

    Example:
        >>> half_square(np.array([3.0, 4.0]))
        np.float64(12.5)
    """
    return np.sum(y * y) / 2


def chain(pair: str, size: Mapping[str, int], dtype: str | np.dtype, seed: int) -> Chain:
    """The chain of a pair of layers, with a random point.

    Args:
        pair: two names of ``LAYERS`` with a hyphen between.
        size: ``examples`` and ``inputs`` (the shape of x), ``units`` of a dense layer, ``kernel`` and ``channels`` of
            a convolution.
        dtype: of all arrays.
        seed: of the point.

    Returns:
        The chain.

    Example:
        >>> made = chain("conv-dense", CHAIN_SIZE, "float64", 0)
        >>> {name: array.shape for name, array in made.params.items()}
        {'k1': (3, 1, 2), 'W2': (8, 4)}
    """
    first, second = (LAYERS[name] for name in pair.split("-"))
    generator = np.random.default_rng(seed)

    def drawn(shape: Shape) -> np.ndarray:
        return np.asarray(generator.standard_normal(shape), dtype)

    x = drawn((size["examples"], size["inputs"]))
    weights, h = [], x
    for layer in (first, second):
        own = {name: drawn(shape) for name, shape in layer.weights(h.shape, size).items()}
        h = layer.call(own, h)
        weights.append(own)
    return Chain((first, second), x, (weights[0], weights[1]))


PAIRS = tuple(f"{first}-{second}" for first, second in itertools.product(("dense", "bias", "conv"), LAYERS))
"""The pairs whose first layer has weights, so that the chain reaches through both."""


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    made = chain(PAIRS[size["pair"]], size, dtype, seed)
    return instance(made.loss, made.analytic, made.params, (made.x,), dtype)


CHAIN = problem(
    "layer-pair",
    "Two layers, one after the other",
    {pair: {**CHAIN_SIZE, "pair": place} for place, pair in enumerate(PAIRS)},
    _make,
    "Half the squared length of what comes out of two layers; a size is a pair of layers.",
)
