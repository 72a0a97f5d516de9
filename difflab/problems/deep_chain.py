"""``deep-layers``: a network of many equal tanh layers, wide batches and narrow layers, for memory against depth.

A value of a layer has N D entries, its weights have D D: with many more examples than units nearly all that a
derivative has to hold are values of layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .digits import affine
from .record import Instance, instance, problem

DEPTHS = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
SIZES: dict[str, dict[str, int]] = {
    "tiny": {"batch": 4, "width": 3, "depth": 3},
    **{f"depth-{depth}": {"batch": 2048, "width": 16, "depth": depth} for depth in DEPTHS},
}


def loss(params: Mapping[str, Any], x: Any, t: Any) -> Any:
    """Half the mean squared error, ||h_L - t||^2 / 2 N, of h_l = tanh(h_(l-1) W_l + b_l) with h_0 = x.

    Args:
        params: ``w1``, ``b1``, ``w2``, ... up to layer L; every ``w`` (D, D), every ``b`` (D,).
        x: inputs, shape (N, D).
        t: targets, shape (N, D).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> params = {"w1": np.zeros((1, 1)), "b1": np.zeros(1)}
        >>> float(loss(params, np.ones((1, 1)), np.array([[3.0]])))
        4.5
    """
    h = x
    for layer in range(1, len(params) // 2 + 1):
        h = np.tanh(h @ params[f"w{layer}"] + params[f"b{layer}"])
    return 0.5 * np.sum((h - t) ** 2) / x.shape[0]


def analytic(params: Mapping[str, Any], x: np.ndarray, t: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """The value of ``loss`` and its gradient, all values kept: G_L = (h_L - t) / N, and layer by layer downwards.

    D_l = G_l * (1 - h_l^2), dW_l = h_(l-1)^T D_l, db_l = D_l^T 1 and G_(l-1) = D_l W_l^T.

    Args:
        params: as for ``loss``.
        x: as for ``loss``.
        t: as for ``loss``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> params = {"w1": np.zeros((1, 1)), "b1": np.zeros(1)}
        >>> float(analytic(params, np.ones((1, 1)), np.array([[3.0]]))[1]["w1"][0, 0])
        -3.0
    """
    values = [x]
    for layer in range(1, len(params) // 2 + 1):
        values.append(np.tanh(values[-1] @ params[f"w{layer}"] + params[f"b{layer}"]))
    rest = values[-1] - t
    value = 0.5 * np.sum(rest**2) / x.shape[0]
    gradient = {}
    back = rest / x.shape[0]
    for layer in range(len(values) - 1, 0, -1):
        delta = back * (1 - values[layer] ** 2)
        gradient[f"w{layer}"] = values[layer - 1].T @ delta
        gradient[f"b{layer}"] = delta.sum(axis=0)
        back = delta @ params[f"w{layer}"].T
    return value, {key: gradient[key] for key in params}


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    width = size["width"]
    params = {}
    for layer in range(1, size["depth"] + 1):
        params[f"w{layer}"], params[f"b{layer}"] = affine(generator, width, width)
    x, t = generator.standard_normal((2, size["batch"], width))
    return instance(loss, analytic, params, (x, t), dtype)


DEEP_LAYERS = problem(
    "deep-layers",
    "Many equal tanh layers",
    SIZES,
    _make,
    "Sizes are named after their depth; batch and width are the same for all but tiny (2048 x 16), so that each layer "
    "adds one value of 2048 x 16 and parameters of 16 x 16 + 16.",
)
