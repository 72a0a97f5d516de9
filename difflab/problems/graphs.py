"""The small graphs of the lectures, whose numbers can be followed with a pencil.

All but ``two-layer`` are fixed points: the seed changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .record import Instance, Problem, instance, problem

Params = Mapping[str, Any]
Answer = tuple[Any, dict[str, Any]]


def baydin(params: Params) -> Any:
    """``ln x1 + x1 x2 - sin x2`` of two numbers, the example of Baydin and others' survey.

    Example:
        >>> round(float(baydin({"x1": 2.0, "x2": 5.0})), 3)
        11.652
    """
    x1, x2 = params["x1"], params["x2"]
    return np.log(x1) + x1 * x2 - np.sin(x2)


def _baydin_by_hand(params: Params) -> Answer:
    """d/dx1 = 1/x1 + x2, d/dx2 = x1 - cos x2."""
    x1, x2 = params["x1"], params["x2"]
    return baydin(params), _like(params, {"x1": 1 / x1 + x2, "x2": x1 - np.cos(x2)})


def add_mul(params: Params) -> Any:
    """``(x + y) z`` of three numbers.

    Example:
        >>> add_mul({"x": -2.0, "y": 5.0, "z": -4.0})
        -12.0
    """
    return (params["x"] + params["y"]) * params["z"]


def _add_mul_by_hand(params: Params) -> Answer:
    """The product swaps its factors, the sum hands on what it gets."""
    total, z = params["x"] + params["y"], params["z"]
    return total * z, _like(params, {"x": z, "y": z, "z": total})


def sigmoid_neuron(params: Params) -> Any:
    """``1 / (1 + exp(-(w0 x0 + w1 x1 + w2)))`` of five numbers, one elementary gate at a time.

    Example:
        >>> round(float(sigmoid_neuron({"w0": 2.0, "w1": -3.0, "w2": -3.0, "x0": -1.0, "x1": -2.0})), 3)
        0.731
    """
    score = params["w0"] * params["x0"] + params["w1"] * params["x1"] + params["w2"]
    return 1.0 / (1.0 + np.exp(-score))


def _sigmoid_neuron_by_hand(params: Params) -> Answer:
    """s' = s (1 - s), then the products swap: dw_i = s' x_i, dx_i = s' w_i, dw2 = s'."""
    s = sigmoid_neuron(params)
    slope = s * (1 - s)
    swapped = {"w0": "x0", "w1": "x1", "x0": "w0", "x1": "w1"}
    return s, _like(params, {"w2": slope, **{key: slope * params[other] for key, other in swapped.items()}})


def scalar_net(params: Params, x: Any, y: Any) -> Any:
    """``1/2 (w2 max(0, w1 x) - y)^2``: two weights, one example.

    Example:
        >>> float(scalar_net({"w1": 3.0, "w2": 2.0}, 5.0, 22.0))
        32.0
    """
    return 0.5 * (params["w2"] * np.maximum(0.0, params["w1"] * x) - y) ** 2


def _scalar_net_by_hand(params: Params, x: Any, y: Any) -> Answer:
    """With f = w1 x, g = max(0, f), r = w2 g - y: dw2 = r g, dw1 = r w2 [f > 0] x."""
    f = params["w1"] * x
    g = np.maximum(0.0, f)
    r = params["w2"] * g - y
    return 0.5 * r * r, _like(params, {"w1": r * params["w2"] * (f > 0) * x, "w2": r * g})


def norm_squared(params: Params) -> Any:
    """``sum((W x)^2)`` of a matrix ``(M, N)`` and a vector ``(N,)``.

    Example:
        >>> float(norm_squared({"W": np.eye(2), "x": np.array([3.0, 4.0])}))
        25.0
    """
    return np.sum((params["W"] @ params["x"]) ** 2)


def _norm_squared_by_hand(params: Params) -> Answer:
    """With q = W x: dW = 2 q x^T, dx = 2 W^T q."""
    q = params["W"] @ params["x"]
    return q @ q, {"W": np.outer(2 * q, params["x"]), "x": 2 * (params["W"].T @ q)}


def two_layer(params: Params, x: Any) -> Any:
    """``sum((relu(X W1) W2)^2)``: ``x (N, D)``, ``W1 (D, H)``, ``W2 (H, C)``.

    Example:
        >>> float(two_layer({"W1": np.eye(2), "W2": np.ones((2, 1))}, np.array([[3.0, -4.0]])))
        9.0
    """
    return np.sum((np.maximum(0.0, x @ params["W1"]) @ params["W2"]) ** 2)


def _two_layer_by_hand(params: Params, x: Any) -> Answer:
    """dW2 = 2 h^T yhat, dW1 = X^T ((2 yhat W2^T) [z > 0])."""
    z = x @ params["W1"]
    h = np.maximum(0.0, z)
    yhat = h @ params["W2"]
    dh = 2 * (yhat @ params["W2"].T)
    return np.vdot(yhat, yhat), {"W1": x.T @ (dh * (z > 0)), "W2": 2 * (h.T @ yhat)}


def _like(params: Params, gradient: Params) -> dict[str, Any]:
    """Scalar results as 0-d arrays of the parameters' dtype, in the parameters' order."""
    return {key: np.asarray(gradient[key], value.dtype) for key, value in params.items()}


def _fixed(
    name: str, title: str, loss: Callable, analytic: Callable, params: Params, data: tuple, description: str
) -> Problem:
    """A problem with one size and fixed numbers."""
    inputs = sum(int(np.size(value)) for value in params.values())
    return problem(
        name,
        title,
        {"tiny": {"inputs": inputs}},
        lambda size, dtype, seed: instance(loss, analytic, params, data, dtype),
        description,
    )


BAYDIN = _fixed(
    "baydin",
    "Baydin's example",
    baydin,
    _baydin_by_hand,
    {"x1": 2.0, "x2": 5.0},
    (),
    "ln x1 + x1 x2 - sin x2 at (2, 5): the value is 11.652, the gradient (5.5, 2 - cos 5).",
)

ADD_MUL = _fixed(
    "add-mul",
    "A sum and a product",
    add_mul,
    _add_mul_by_hand,
    {"x": -2.0, "y": 5.0, "z": -4.0},
    (),
    "(x + y) z at (-2, 5, -4): the value is -12, the gradient (-4, -4, 3).",
)

SIGMOID_NEURON = _fixed(
    "sigmoid-neuron",
    "One sigmoid neuron",
    sigmoid_neuron,
    _sigmoid_neuron_by_hand,
    {"w0": 2.0, "w1": -3.0, "w2": -3.0, "x0": -1.0, "x1": -2.0},
    (),
    "1 / (1 + exp(-(w0 x0 + w1 x1 + w2))) gate by gate: the value is 0.731.",
)

SCALAR_NET = _fixed(
    "scalar-net",
    "A network of two weights",
    scalar_net,
    _scalar_net_by_hand,
    {"w1": 3.0, "w2": 2.0},
    (5.0, 22.0),
    "1/2 (w2 max(0, w1 x) - y)^2 at w1 = 3, w2 = 2, x = 5, y = 22: the loss is 32, the gradient (80, 120).",
)

NORM_SQUARED = _fixed(
    "norm-squared",
    "Squared norm of a product",
    norm_squared,
    _norm_squared_by_hand,
    {"W": ((0.1, 0.5), (-0.3, 0.8)), "x": (0.2, 0.4)},
    (),
    "sum((W x)^2) of a 2 x 2 matrix and a vector: the value is 0.116.",
)


def _make_two_layer(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    w1 = generator.standard_normal((size["inputs"], size["hidden"])) / np.sqrt(size["inputs"])
    w2 = generator.standard_normal((size["hidden"], size["outputs"])) / np.sqrt(size["hidden"])
    x = generator.standard_normal((size["batch"], size["inputs"]))
    return instance(two_layer, _two_layer_by_hand, {"W1": w1, "W2": w2}, (x,), dtype)


TWO_LAYER = problem(
    "two-layer",
    "Two layers and squared sums",
    {
        "tiny": {"batch": 4, "inputs": 3, "hidden": 3, "outputs": 2},
        "small": {"batch": 16, "inputs": 16, "hidden": 16, "outputs": 4},
    },
    _make_two_layer,
    "sum((relu(X W1) W2)^2) of random matrices: the network that the lectures differentiate by hand.",
)
