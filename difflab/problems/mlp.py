"""``mlp``: the multilayer perceptron by whose rows difflab measures its own speed, written as anyone would write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .digits import affine, cross_entropy, random_batch
from .record import Instance, problem

SIZES: dict[str, dict[str, int]] = {
    name: dict(zip(("batch", "inputs", "hidden", "classes"), row, strict=True))
    for name, row in {
        "tiny": (1, 2, 4, 2),
        "8x2-4-2": (8, 2, 4, 2),
        "64x64-32-10": (64, 64, 32, 10),
        "24x100-50-10": (24, 100, 50, 10),
        "64x64-100-10": (64, 64, 100, 10),
        "128x784-256-10": (128, 784, 256, 10),
        "256x784-1024-10": (256, 784, 1024, 10),
        "512x784-1024-10": (512, 784, 1024, 10),
        "4096x4096-4096-4096": (4096, 4096, 4096, 4096),
    }.items()
}


def loss(params: Mapping[str, Any], x: Any, t: Any) -> Any:
    """Mean softmax cross-entropy behind two tanh layers, its log-sum-exp shifted by hand.

    Args:
        params: ``w1`` (D, H), ``b1`` (H,), ``w2`` (H, H), ``b2`` (H,), ``w3`` (H, C), ``b3`` (C,).
        x: inputs, shape (N, D).
        t: targets, shape (N, C).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> bool(loss(*MLP.build("tiny", "float64", 0).args) > 0)
        True
    """
    h = np.tanh(x @ params["w1"] + params["b1"])
    h = np.tanh(h @ params["w2"] + params["b2"])
    z = h @ params["w3"] + params["b3"]
    z = z - np.max(z, axis=1, keepdims=True)
    log_softmax = z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))
    return -np.sum(t * log_softmax) / x.shape[0]


def analytic(params: Mapping[str, Any], x: np.ndarray, t: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """The value of ``loss`` and its gradient as one writes it by hand in NumPy.

    Args:
        params: as for ``loss``.
        x: as for ``loss``.
        t: as for ``loss``; rows need not sum to 1.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> sorted(analytic(*MLP.build("tiny", "float64", 0).args)[1])
        ['b1', 'b2', 'b3', 'w1', 'w2', 'w3']
    """
    h1 = np.tanh(x @ params["w1"] + params["b1"])
    h2 = np.tanh(h1 @ params["w2"] + params["b2"])
    value, d3 = cross_entropy(h2 @ params["w3"] + params["b3"], t)
    d2 = (d3 @ params["w3"].T) * (1 - h2 * h2)
    d1 = (d2 @ params["w2"].T) * (1 - h1 * h1)
    return value, {
        "w1": x.T @ d1,
        "b1": d1.sum(axis=0),
        "w2": h1.T @ d2,
        "b2": d2.sum(axis=0),
        "w3": h2.T @ d3,
        "b3": d3.sum(axis=0),
    }


def shapes(size: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shapes of all parameters of a size, by which they are counted without being made.

    Args:
        size: its dimensions.

    Returns:
        Shapes by name, in the order in which the parameters are drawn.

    Example:
        >>> shapes(SIZES["tiny"])["w2"]
        (4, 4)
    """
    widths = [size["inputs"], size["hidden"], size["hidden"], size["classes"]]
    found: dict[str, tuple[int, ...]] = {}
    for layer in (1, 2, 3):
        found[f"w{layer}"], found[f"b{layer}"] = (widths[layer - 1], widths[layer]), (widths[layer],)
    return found


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    params = {}
    for layer in (1, 2, 3):
        w, b = affine(generator, *shapes(size)[f"w{layer}"])
        params[f"w{layer}"], params[f"b{layer}"] = w.astype(dtype), b.astype(dtype)  # at once: the largest have 134 MB
    x, t = (part.astype(dtype, copy=False) for part in random_batch(generator, size))
    return Instance(loss, (params, x, t), analytic, sum(part.size for part in params.values()))


MLP = problem(
    "mlp",
    "Two tanh layers and softmax cross-entropy on random data",
    SIZES,
    _make,
    "Sizes are batch x inputs-hidden-classes; size tiny is 1x2-4-2. The log-sum-exp is shifted by its row maximum in "
    "the loss itself, and the derivative goes through that maximum like through everything else. The largest, "
    "4096x4096-4096-4096, is for machines that do 10^12 operations in a blink.",
    shapes,
)
