"""``mlp-activations``: one hidden layer whose activation is chosen by the name of the size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from .digits import affine, cross_entropy, random_batch
from .record import Instance, instance, problem

Params = Mapping[str, Any]
Answer = tuple[Any, dict[str, Any]]


class Activation(NamedTuple):
    """``function(z)`` for arrays and traced arrays; ``by_hand(z)`` gives its values and slopes."""

    function: Callable[[Any], Any]
    by_hand: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _sigmoid(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s' = s (1 - s)."""
    s = 0.5 * np.tanh(0.5 * z) + 0.5
    return s, s * (1 - s)


def _tanh(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """tanh' = 1 - tanh^2."""
    h = np.tanh(z)
    return h, 1 - h * h


def _relu(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[z > 0]."""
    return np.maximum(z, 0), (z > 0).astype(z.dtype)


def _leaky(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 above 0, 0.1 elsewhere."""
    slope = np.where(z > 0, z.dtype.type(1), z.dtype.type(0.1))
    return slope * z, slope


def _elu(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 above 0, exp(z) elsewhere."""
    below = np.minimum(z, 0)
    return np.where(z > 0, z, np.expm1(below)), np.exp(below)


ACTIVATIONS = {
    "sigmoid": Activation(nn.sigmoid, _sigmoid),
    "tanh": Activation(np.tanh, _tanh),
    "relu": Activation(nn.relu, _relu),
    "leaky-relu": Activation(nn.leaky_relu, _leaky),
    "elu": Activation(nn.elu, _elu),
}
MAXOUT = len(ACTIVATIONS)


def _sizes() -> dict[str, dict[str, int]]:
    """Per activation a tiny size and one of its own name; maxout last, because it has twice the weights below."""
    names = [*ACTIVATIONS, "maxout"]
    tiny = {"batch": 4, "inputs": 3, "hidden": 3, "classes": 2}
    full = {"batch": 64, "inputs": 64, "hidden": 32, "classes": 10}
    found = {"tiny" if not i else f"tiny-{name}": {**tiny, "activation": i} for i, name in enumerate(names)}
    return found | {name: {**full, "activation": i} for i, name in enumerate(names)}


def network(activation: Callable[[Any], Any]) -> Callable[[Params, Any, Any], Any]:
    """The loss of a network of two layers with ``activation`` in between.

    Args:
        activation: a function of the scores of the hidden units, element by element.

    Returns:
        ``loss(params, x, t)``, the mean softmax cross-entropy: ``params`` has ``w1`` (D, H), ``b1`` (H,), ``w2`` (H, C)
        and ``b2`` (C,), ``x`` has shape (N, D), and ``t``, the targets, (N, C).

    Example:
        >>> params = {"w1": np.eye(2), "b1": np.ones(2), "w2": np.zeros((2, 2)), "b2": np.zeros(2)}
        >>> round(float(network(np.tanh)(params, np.ones((1, 2)), np.eye(2)[:1])), 6)
        0.693147
    """

    def loss(params: Params, x: Any, t: Any) -> Any:
        h = activation(x @ params["w1"] + params["b1"])
        return nn.softmax_cross_entropy(h @ params["w2"] + params["b2"], t)

    return loss


def network_by_hand(by_hand: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Callable[..., Answer]:
    """The value of ``network`` and its gradient.

    With z = X W1 + b1, h = a(z) and delta = dL/d(h W2 + b2): dW2 = h^T delta, db2 = the sum of delta's rows; then
    delta' = (delta W2^T) * a'(z), dW1 = X^T delta', db1 = the sum of the rows of delta'.

    Args:
        by_hand: the values and slopes of the activation.

    Returns:
        ``analytic(params, x, t)``, which gives ``(value, gradient)``.

    Example:
        >>> one = ACTIVATIONS_MLP.build("tiny", "float64", 0)
        >>> sorted(network_by_hand(ACTIVATIONS["sigmoid"].by_hand)(*one.args)[1])
        ['b1', 'b2', 'w1', 'w2']
    """

    def analytic(params: Params, x: np.ndarray, t: np.ndarray) -> Answer:
        h, slope = by_hand(x @ params["w1"] + params["b1"])
        value, delta = cross_entropy(h @ params["w2"] + params["b2"], t)
        below = (delta @ params["w2"].T) * slope
        return value, {
            "w1": x.T @ below,
            "b1": below.sum(axis=0),
            "w2": h.T @ delta,
            "b2": delta.sum(axis=0),
        }

    return analytic


def maxout(params: Params, x: Any, t: Any) -> Any:
    """Mean softmax cross-entropy behind a layer of maxima of two affine maps.

    Args:
        params: ``w1`` and ``v1`` of shape (D, H), ``b1`` and ``c1`` of shape (H,), ``w2`` (H, C) and ``b2`` (C,).
        x: inputs, shape (N, D).
        t: targets, shape (N, C).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> bool(maxout(*ACTIVATIONS_MLP.build("tiny-maxout", "float64", 0).args) > 0)
        True
    """
    h = np.maximum(x @ params["w1"] + params["b1"], x @ params["v1"] + params["c1"])
    return nn.softmax_cross_entropy(h @ params["w2"] + params["b2"], t)


def maxout_by_hand(params: Params, x: np.ndarray, t: np.ndarray) -> Answer:
    """The value of ``maxout`` and its gradient.

    The cotangent of a hidden unit goes to the larger of its two affine maps whole and to the other not at all; maps
    that tie get half each.  From there on each map is an affine layer of its own.

    Args:
        params: as for ``maxout``.
        x: as for ``maxout``.
        t: as for ``maxout``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> maxout_by_hand(*ACTIVATIONS_MLP.build("tiny-maxout", "float64", 0).args)[1]["v1"].shape
        (3, 3)
    """
    first, second = x @ params["w1"] + params["b1"], x @ params["v1"] + params["c1"]
    h = np.maximum(first, second)
    value, delta = cross_entropy(h @ params["w2"] + params["b2"], t)
    below = delta @ params["w2"].T
    share = 0.5 * (1 + np.sign(first - second))
    left, right = below * share, below * (1 - share)
    return value, {
        "w1": x.T @ left,
        "b1": left.sum(axis=0),
        "v1": x.T @ right,
        "c1": right.sum(axis=0),
        "w2": h.T @ delta,
        "b2": delta.sum(axis=0),
    }


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    params = {}
    params["w1"], params["b1"] = affine(generator, size["inputs"], size["hidden"])
    params["w2"], params["b2"] = affine(generator, size["hidden"], size["classes"])
    x, t = random_batch(generator, size)
    if size["activation"] == MAXOUT:
        params["v1"], params["c1"] = affine(generator, size["inputs"], size["hidden"])
        ordered = {key: params[key] for key in ("w1", "b1", "v1", "c1", "w2", "b2")}
        return instance(maxout, maxout_by_hand, ordered, (x, t), dtype)
    chosen = list(ACTIVATIONS.values())[size["activation"]]
    return instance(network(chosen.function), network_by_hand(chosen.by_hand), params, (x, t), dtype)


ACTIVATIONS_MLP = problem(
    "mlp-activations",
    "Two layers with an activation of choice",
    _sizes(),
    _make,
    "One hidden layer and softmax cross-entropy on random data. The size names the activation: sigmoid (also that of "
    "size tiny), tanh, relu, leaky relu with 0.1, elu with alpha 1, and maxout, the larger of two affine maps.",
)
