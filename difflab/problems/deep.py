"""Networks to watch expressions grow: ``deep-mlp`` by layers, ``wide-mlp`` by units, and XOR at its four corners."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from .record import Instance, Problem, instance, problem
from .sigmoid_nets import XOR, XOR_SIZES, xor, xor_by_hand

Params = Mapping[str, Any]
Answer = tuple[Any, dict[str, Any]]

INPUTS = 2
DEPTHS = (1, 2, 3, 4, 5, 6, 8, 12, 16, 32, 64, 128)
WIDTHS = (2, 3, 4, 6, 8, 12, 16, 32, 96)
DEEP_SIZES = {"tiny" if depth == 1 else f"depth-{depth}": {"depth": depth, "width": 3} for depth in DEPTHS}
WIDE_SIZES = {"tiny" if width == 2 else f"width-{width}": {"depth": 2, "width": width} for width in WIDTHS}
CORNERS = ((0, 0), (1, 1), (0, 1), (1, 0))
CORNER_LABELS = (0, 0, 1, 1)


def deep(params: Params, x: Any, y: Any) -> Any:
    """Squared error ``||o - y||^2`` behind any number of tanh layers and a linear one.

    Args:
        params: ``w1`` (D, H), ``b1`` (H,), then ``w2``, ``b2`` and so on, one pair for each layer; the last is linear.
        x: inputs, shape (N, D).
        y: targets, shape (N, C).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> float(deep({"w1": np.ones((2, 1)), "b1": np.zeros(1)}, np.ones((1, 2)), np.zeros((1, 1))))
        4.0
    """
    o, last = x, len(params) // 2
    for layer in range(1, last):
        o = np.tanh(o @ params[f"w{layer}"] + params[f"b{layer}"])
    return np.sum((o @ params[f"w{last}"] + params[f"b{last}"] - y) ** 2)


def deep_by_hand(params: Params, x: np.ndarray, y: np.ndarray) -> Answer:
    """The value of ``deep`` and its gradient, layer by layer.

    The last Delta = 2 (o - y), one layer down Delta_l = (1 - O_l^2) * (Delta_{l+1} W_{l+1}^T); dW_l = O_{l-1}^T Delta_l
    and db_l = Delta_l^T 1.

    Args:
        params: as for ``deep``.
        x: as for ``deep``.
        y: as for ``deep``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> sorted(deep_by_hand(*DEEP_MLP.build("tiny", "float64", 0).args)[1])
        ['b1', 'b2', 'w1', 'w2']
    """
    last = len(params) // 2
    outputs = [x]
    for layer in range(1, last):
        outputs.append(np.tanh(outputs[-1] @ params[f"w{layer}"] + params[f"b{layer}"]))
    error = outputs[-1] @ params[f"w{last}"] + params[f"b{last}"] - y
    gradient: dict[str, Any] = {}
    delta = 2 * error
    for layer in range(last, 0, -1):
        o = outputs[layer - 1]
        gradient[f"w{layer}"] = o.T @ delta
        gradient[f"b{layer}"] = delta.sum(axis=0)
        delta = (1 - o * o) * (delta @ params[f"w{layer}"].T)
    return np.vdot(error, error), {key: gradient[key] for key in params}


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    widths = [INPUTS, *[size["width"]] * size["depth"], 1]
    params = {}
    for layer, (before, after) in enumerate(itertools.pairwise(widths), start=1):
        # scaled so that no layer is saturated, however many come before it
        params[f"w{layer}"] = generator.standard_normal((before, after)) / np.sqrt(before)
        params[f"b{layer}"] = 0.1 * generator.standard_normal(after)
    x, y = generator.standard_normal((1, INPUTS)), generator.standard_normal((1, 1))
    return instance(deep, deep_by_hand, params, (x, y), dtype)


def _make_corners(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    params = XOR.build("tiny", dtype.name, seed).args[0]
    return instance(xor, xor_by_hand, params, (CORNERS, [[label] for label in CORNER_LABELS]), dtype)


def _growing(name: str, title: str, sizes: Mapping[str, Mapping[str, int]], text: str) -> Problem:
    shape = f"Tanh layers of two inputs, then a linear one; squared error of one example. {text}"
    return problem(name, title, sizes, _make, shape)


DEEP_MLP = _growing(
    "deep-mlp",
    "A network that grows in depth",
    DEEP_SIZES,
    "Size depth-k has k hidden layers of three units, size tiny has one.",
)

WIDE_MLP = _growing(
    "wide-mlp",
    "A network that grows in width",
    WIDE_SIZES,
    "Size width-k has two hidden layers of k units each, size tiny has layers of two.",
)

XOR_CORNERS = problem(
    "xor-corners",
    "Exclusive or at the four corners",
    {"tiny": {**XOR_SIZES["tiny"], "batch": len(CORNERS)}},
    _make_corners,
    "The network of problem xor on the corners of the unit square alone. Its data are zeros and ones, so where they "
    "are written into expressions as numbers, half of the products with them vanish.",
)
