"""``digits-mlp``: a network of tanh layers that tells handwritten digits apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import nn
from .digits import affine, batch, cross_entropy
from .record import Instance, instance, problem

SIZES = {
    "tiny": {"side": 4, "layers": 1, "hidden": 3, "classes": 3, "batch": 4},
    "small": {"side": 8, "layers": 1, "hidden": 8, "classes": 10, "batch": 16},
    "medium": {"side": 8, "layers": 1, "hidden": 32, "classes": 10, "batch": 64},
    "large": {"side": 8, "layers": 1, "hidden": 128, "classes": 10, "batch": 128},
    "xlarge": {"side": 8, "layers": 2, "hidden": 512, "classes": 10, "batch": 128},
}


def loss(params: Mapping[str, Any], x: Any, t: Any) -> Any:
    """Mean softmax cross-entropy of a multilayer perceptron with tanh layers.

    Args:
        params: ``w1`` of shape (D, H) and ``b1`` of shape (H,), then further layers; the last one gives C logits.
        x: pixels in [0, 1], shape (N, D).
        t: targets, one row per image, shape (N, C).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> args = DIGITS_MLP.build("tiny", "float64", 0).args
        >>> 0.5 < float(loss(*args)) < 2.0
        True
    """
    last = len(params) // 2
    h = x
    for layer in range(1, last):
        h = np.tanh(h @ params[f"w{layer}"] + params[f"b{layer}"])
    return nn.softmax_cross_entropy(h @ params[f"w{last}"] + params[f"b{last}"], t)


def analytic(params: Mapping[str, Any], x: np.ndarray, t: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """The value of ``loss`` and its gradient, derived by hand.

    With z = h w + b and delta = dL/dz: dw = h^T delta, db = the sum of delta's rows, and one layer down, where
    h = tanh(z'), delta' = (delta w^T) (1 - h^2).

    Args:
        params: as for ``loss``.
        x: as for ``loss``.
        t: as for ``loss``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> value, gradient = analytic(*DIGITS_MLP.build("tiny", "float64", 0).args)
        >>> gradient["w1"].shape
        (16, 3)
    """
    last = len(params) // 2
    inputs = [x]
    for layer in range(1, last):
        h = inputs[-1] @ params[f"w{layer}"]
        h += params[f"b{layer}"]
        inputs.append(np.tanh(h, out=h))
    logits = inputs[-1] @ params[f"w{last}"]
    logits += params[f"b{last}"]
    value, delta = cross_entropy(logits, t)

    gradient: dict[str, Any] = {}
    for layer in range(last, 0, -1):
        h = inputs[layer - 1]
        gradient[f"w{layer}"] = h.T @ delta
        gradient[f"b{layer}"] = delta.sum(axis=0)
        if layer > 1:
            delta = delta @ params[f"w{layer}"].T
            delta *= 1 - h * h
    return value, {key: gradient[key] for key in params}


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    images, targets = batch(size["side"], size["classes"], size["batch"], seed)
    widths = [size["side"] ** 2, *[size["hidden"]] * size["layers"], size["classes"]]
    generator = np.random.default_rng(seed)
    params = {}
    for layer in range(1, len(widths)):
        params[f"w{layer}"], params[f"b{layer}"] = affine(generator, widths[layer - 1], widths[layer])
    return instance(loss, analytic, params, (images.reshape(len(images), -1), targets), dtype)


DIGITS_MLP = problem(
    "digits-mlp",
    "Multilayer perceptron on handwritten digits",
    SIZES,
    _make,
    "Real 8 x 8 handwritten digits through one or two tanh layers and a softmax layer; the loss is the mean "
    "cross-entropy over a batch. Size tiny sees the central 4 x 4 pixels of the digits 0, 1 and 2.",
)
