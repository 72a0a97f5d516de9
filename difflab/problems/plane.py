"""``plane``: two classes of points in the plane and a penalty on the weights, whose strength shapes the regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import digits_mlp
from .digits import affine
from .record import Instance, instance, problem

Params = Mapping[str, Any]

FLIPPED = 0.1  # the share of points that carry the label of the other class
STRENGTHS = (1, 10, 100)  # of the penalty in thousandths: those of the lectures


def _sizes() -> dict[str, dict[str, int]]:
    """A linear classifier and a network at every strength; whole numbers only, so the strength is in thousandths."""
    found = {"tiny": {"samples": 6, "layers": 0, "hidden": 0, "l2_thousandths": 10}}
    for kind, layers in (("linear", 0), ("network", 1)):
        for strength in STRENGTHS:
            size = {"samples": 80, "layers": layers, "hidden": 20, "l2_thousandths": strength}
            found[f"{kind}-{strength / 1000:g}"] = size
    return found


def loss(params: Params, x: Any, t: Any, l2: Any) -> Any:
    """Mean softmax cross-entropy behind tanh layers (or none) plus ``l2`` times the sum of all squared weights.

    Args:
        params: ``w1`` (2, H) and ``b1`` (H,), then further layers; the last one gives two logits.
        x: points, shape (N, 2).
        t: one-hot labels, shape (N, 2).
        l2: factor of the penalty, a scalar; biases are not penalised.

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> flat = {"w1": np.ones((2, 2)), "b1": np.zeros(2)}
        >>> round(float(loss(flat, np.zeros((1, 2)), np.eye(2)[:1], 0.5)), 4)
        2.6931
    """
    weights = [params[key] for key in params if key.startswith("w")]
    return digits_mlp.loss(params, x, t) + l2 * sum(np.sum(w**2) for w in weights)


def analytic(params: Params, x: np.ndarray, t: np.ndarray, l2: Any) -> tuple[Any, dict[str, Any]]:
    """The value of ``loss`` and its gradient: that of the network, and 2 l2 w more for every weight.

    Args:
        params: as for ``loss``.
        x: as for ``loss``.
        t: as for ``loss``.
        l2: as for ``loss``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> sorted(analytic(*PLANE.build("linear-0.1", "float64", 0).args)[1])
        ['b1', 'w1']
    """
    value, gradient = digits_mlp.analytic(params, x, t)
    for key, w in params.items():
        if key.startswith("w"):
            value = value + l2 * np.vdot(w, w)
            gradient[key] = gradient[key] + 2 * l2 * w
    return value, gradient


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng([seed, 1])  # another stream than the parameters, which use the seed alone
    x = generator.uniform(-2, 2, (size["samples"], 2))
    labels = x[:, 1] > np.sin(2 * x[:, 0])
    labels ^= generator.uniform(size=len(x)) < FLIPPED
    widths = [2, *[size["hidden"]] * size["layers"], 2]
    stream, params = np.random.default_rng(seed), {}
    for layer in range(1, len(widths)):
        params[f"w{layer}"], params[f"b{layer}"] = affine(stream, widths[layer - 1], widths[layer])
    data = (x, np.eye(2)[labels.astype(int)], size["l2_thousandths"] / 1000)
    return instance(loss, analytic, params, data, dtype)


PLANE = problem(
    "plane",
    "Two classes in the plane, regularised",
    _sizes(),
    _make,
    "Points of two classes on either side of a wave, one in ten with the label of the other; a linear classifier or a "
    "network of 20 tanh units, and a penalty on the squared weights of the strength that the size is named after.",
)
