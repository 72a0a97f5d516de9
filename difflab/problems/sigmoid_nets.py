"""Sigmoid networks: ``xor`` and ``two-layer-numpy`` of the lectures, and ``sigmoid-net``, wider, on random data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import nn
from .digits import affine
from .record import Instance, instance, problem

Params = Mapping[str, Any]
Answer = tuple[Any, dict[str, Any]]

# the corners of the unit square and the same four half-way to its centre; opposite ones are of one class
POINTS = ((0, 0), (1, 1), (0, 1), (1, 0), (0.25, 0.25), (0.75, 0.75), (0.25, 0.75), (0.75, 0.25))
LABELS = (0, 0, 1, 1, 0, 0, 1, 1)

XOR_SIZES = {"tiny": {"batch": 8, "inputs": 2, "hidden1": 4, "hidden2": 3, "outputs": 1}}
NET_SIZES = {
    "tiny": {"batch": 8, "inputs": 2, "hidden1": 4, "hidden2": 3, "outputs": 1},
    "31-32-1": {"batch": 8, "inputs": 31, "hidden": 32, "outputs": 1},
    "64-64-1": {"batch": 8, "inputs": 64, "hidden": 64, "outputs": 1},
    "128-128-1": {"batch": 8, "inputs": 128, "hidden": 128, "outputs": 1},
    "320-312-1": {"batch": 8, "inputs": 320, "hidden": 312, "outputs": 1},
}
NUMPY_SIZES = {
    "tiny": {"batch": 4, "inputs": 5, "hidden": 3, "outputs": 2},
    "small": {"batch": 16, "inputs": 16, "hidden": 8, "outputs": 4},
    "medium": {"batch": 32, "inputs": 100, "hidden": 20, "outputs": 10},
    "large": {"batch": 64, "inputs": 400, "hidden": 50, "outputs": 10},
    "full": {"batch": 64, "inputs": 1000, "hidden": 100, "outputs": 10},
}


def xor(params: Params, x: Any, y: Any) -> Any:
    """Squared error ``||o - y||^2`` of a network of sigmoid layers, the last one included.

    Args:
        params: ``w1`` (D, H), ``b1`` (H,), then ``w2``, ``b2`` and so on, one pair for each layer.
        x: inputs, shape (N, D).
        y: targets in [0, 1], shape (N, C).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> float(xor({"w1": np.zeros((2, 1)), "b1": np.zeros(1)}, np.array(POINTS), np.ones((8, 1))))
        2.0
    """
    o = x
    for layer in range(1, len(params) // 2 + 1):
        o = nn.sigmoid(o @ params[f"w{layer}"] + params[f"b{layer}"])
    return np.sum((o - y) ** 2)


def xor_by_hand(params: Params, x: np.ndarray, y: np.ndarray) -> Answer:
    """The value of ``xor`` and its gradient, layer by layer.

    With A_l = O_{l-1} W_l + b_l, O_l = s(A_l) and s' = s (1 - s): the last Delta = s'(A) * 2 (O - y), one layer down
    Delta_l = s'(A_l) * (Delta_{l+1} W_{l+1}^T); dW_l = O_{l-1}^T Delta_l and db_l = Delta_l^T 1.

    Args:
        params: as for ``xor``.
        x: as for ``xor``.
        y: as for ``xor``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> value, gradient = xor_by_hand(*XOR.build("tiny", "float64", 0).args)
        >>> [part.shape for part in gradient.values()]
        [(2, 4), (4,), (4, 3), (3,), (3, 1), (1,)]
    """
    last = len(params) // 2
    outputs = [x]
    for layer in range(1, last + 1):
        outputs.append(_sigmoid(outputs[-1] @ params[f"w{layer}"] + params[f"b{layer}"]))
    error = outputs[last] - y
    gradient: dict[str, Any] = {}
    back = 2 * error
    for layer in range(last, 0, -1):
        o = outputs[layer]
        delta = o * (1 - o) * back
        gradient[f"w{layer}"] = outputs[layer - 1].T @ delta
        gradient[f"b{layer}"] = delta.sum(axis=0)
        back = delta @ params[f"w{layer}"].T
    return np.vdot(error, error), {key: gradient[key] for key in params}


def two_layer_numpy(params: Params, x: Any, y: Any) -> Any:
    """Summed squares ``sum((sigmoid(X W1) W2 - y)^2)``, without biases.

    Args:
        params: ``w1`` of shape (D, H) and ``w2`` of shape (H, C).
        x: inputs, shape (N, D).
        y: targets, shape (N, C).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> float(two_layer_numpy({"w1": np.zeros((2, 4)), "w2": np.ones((4, 1))}, np.ones((3, 2)), np.ones((3, 1))))
        3.0
    """
    return np.sum((nn.sigmoid(x @ params["w1"]) @ params["w2"] - y) ** 2)


def two_layer_numpy_by_hand(params: Params, x: np.ndarray, y: np.ndarray) -> Answer:
    """The value of ``two_layer_numpy`` and its gradient.

    With h = s(X W1), yhat = h W2 and g = 2 (yhat - y): dW2 = h^T g, dh = g W2^T, dW1 = X^T (dh * h (1 - h)).

    Args:
        params: as for ``two_layer_numpy``.
        x: as for ``two_layer_numpy``.
        y: as for ``two_layer_numpy``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> two_layer_numpy_by_hand(*TWO_LAYER_NUMPY.build("tiny", "float64", 0).args)[1]["w1"].shape
        (5, 3)
    """
    h = _sigmoid(x @ params["w1"])
    error = h @ params["w2"] - y
    g = 2 * error
    dh = g @ params["w2"].T
    return np.vdot(error, error), {"w1": x.T @ (dh * h * (1 - h)), "w2": h.T @ g}


def _sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)) without an exponential that overflows."""
    return 0.5 * np.tanh(0.5 * z) + 0.5


def _make_xor(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    widths = _widths(size)
    params = {}
    for layer in range(1, len(widths)):  # of order 1: with smaller ones the sigmoids are all but straight
        params[f"w{layer}"] = generator.standard_normal((widths[layer - 1], widths[layer]))
        params[f"b{layer}"] = generator.standard_normal(widths[layer])
    return instance(xor, xor_by_hand, params, (POINTS, [[label] for label in LABELS]), dtype)


def _make_net(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    widths = _widths(size)
    params = {}
    for layer in range(1, len(widths)):
        params[f"w{layer}"], params[f"b{layer}"] = affine(generator, widths[layer - 1], widths[layer])
    x = generator.standard_normal((size["batch"], size["inputs"]))
    return instance(xor, xor_by_hand, params, (x, generator.uniform(size=(size["batch"], size["outputs"]))), dtype)


def _widths(size: Mapping[str, int]) -> list[int]:
    """The widths of the layers in their order, that of the inputs first."""
    return [width for name, width in size.items() if name != "batch"]


def _make_two_layer_numpy(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    w1 = generator.standard_normal((size["inputs"], size["hidden"]))
    w2 = generator.standard_normal((size["hidden"], size["outputs"]))
    x = generator.standard_normal((size["batch"], size["inputs"]))
    y = generator.standard_normal((size["batch"], size["outputs"]))
    return instance(two_layer_numpy, two_layer_numpy_by_hand, {"w1": w1, "w2": w2}, (x, y), dtype)


XOR = problem(
    "xor",
    "Exclusive or in the plane",
    XOR_SIZES,
    _make_xor,
    "Eight points in the plane, two classes in opposite corners, through sigmoid layers of 4, 3 and 1; the loss is "
    "||o - y||^2. The seed decides the weights alone.",
)

SIGMOID_NET = problem(
    "sigmoid-net",
    "Sigmoid networks of 31 to 100 465 parameters",
    NET_SIZES,
    _make_net,
    "Eight random examples through the network of xor (2-4-3-1, size tiny), and through 31-32-1, 64-64-1, 128-128-1 "
    "and 320-312-1; the loss is ||o - y||^2. One evaluation takes some ten calls of NumPy at every size, while the "
    "parameters grow from 31 to 1 057, 4 225, 16 641 and 100 465: what a gradient costs is the number of evaluations "
    "or passes that it takes.",
)

TWO_LAYER_NUMPY = problem(
    "two-layer-numpy",
    "Two layers in twenty lines of NumPy",
    NUMPY_SIZES,
    _make_two_layer_numpy,
    "sum((sigmoid(X W1) W2 - y)^2) of standard normal matrices, the yardstick for speed; size full is that of the "
    "lectures: 64 examples of 1000 inputs, 100 hidden units, 10 outputs.",
)
