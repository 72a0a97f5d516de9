"""Functions with as many inputs and outputs as one likes, for studies of what their derivatives cost.

A study names them as ``difflab.maps:TANH_MAP``.  They are no losses of ``difflab.problems``: the first gives an array,
the second exists for its many sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from .problems.record import Instance, instance, problem

HIDDEN, LAYERS = 128, 4
"""Width of the hidden layers of ``tanh_map``, and how many matrices lie between them."""
BATCH = 256
"""Rows of data of ``square_layer``."""

SHAPES = {
    "256x1": (256, 1), "128x2": (128, 2), "64x4": (64, 4), "32x8": (32, 8), "16x16": (16, 16), "8x32": (8, 32),
    "4x64": (4, 64), "2x128": (2, 128), "1x256": (1, 256),
    "1024x1": (1024, 1), "256x4": (256, 4), "64x16": (64, 16), "32x32": (32, 32), "16x64": (16, 64), "4x256": (4, 256),
    "1x1024": (1, 1024),
}  # fmt: skip
WIDTHS = (4, 8, 16, 32, 48, 64, 128, 256, 512)


# ------------------------------------------------------------------------------------------------ n inputs, m outputs


def tanh_map(params: Mapping[str, Any], *weights: Any) -> Any:
    """A tanh network from n inputs to m outputs through hidden layers of one width.

    Args:
        params: ``x`` (n,), the point.
        weights: matrices from the first (H, n) over (H, H) to the last (m, H), which has no tanh behind it.

    Returns:
        Shape (m,), of the dtype of the arguments.

    Example:
        >>> made = TANH_MAP.build("4x64")
        >>> tanh_map(*made.args).shape
        (64,)
    """
    y = params["x"]
    for weight in weights[:-1]:
        y = np.tanh(weight @ y)
    return weights[-1] @ y


def tanh_jacobian(params: Mapping[str, Any], *weights: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The value of ``tanh_map`` and its Jacobian as one writes it by hand, from whichever side is the shorter.

    Args:
        params: as for ``tanh_map``.
        weights: as for ``tanh_map``.

    Returns:
        ``(value, {"x": Jacobian})``, of shapes (m,) and (m, n).

    Example:
        >>> made = TANH_MAP.build("4x64")
        >>> tanh_jacobian(*made.args)[1]["x"].shape
        (64, 4)
    """
    y, layers = params["x"], []
    for weight in weights[:-1]:
        y = np.tanh(weight @ y)
        layers.append((1 - y * y)[:, None] * weight)
    factors = [*layers, weights[-1]]
    if weights[-1].shape[0] < params["x"].size:
        jacobian = factors.pop()
        while factors:
            jacobian = jacobian @ factors.pop()
    else:
        jacobian = factors.pop(0)
        while factors:
            jacobian = factors.pop(0) @ jacobian
    return weights[-1] @ y, {"x": jacobian}


def _make_map(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    widths = [size["inputs"], *[size["hidden"]] * (size["layers"] + 1), size["outputs"]]
    weights = tuple(
        generator.standard_normal((after, before)) / np.sqrt(before) for before, after in itertools.pairwise(widths)
    )
    return instance(tanh_map, tanh_jacobian, {"x": generator.standard_normal(size["inputs"])}, weights, dtype)


TANH_MAP = problem(
    "tanh-map",
    "A tanh network of fixed width with chosen numbers of inputs and outputs",
    {
        name: {"inputs": inputs, "outputs": outputs, "hidden": HIDDEN, "layers": LAYERS}
        for name, (inputs, outputs) in SHAPES.items()
    },
    _make_map,
    "Sizes are inputs x outputs. The products between five hidden layers of 128 tanh units are the least that an "
    "evaluation costs; 256 inputs or outputs add half of that, 1 024 of them twice as much.",
)


# ------------------------------------------------------------------------------------------------ n inputs, one output


def square_layer(params: Mapping[str, Any], x: Any, t: Any) -> Any:
    """Half the mean squared error of the row sums of one tanh layer.

    Args:
        params: ``w`` (H - 1, H) and ``b`` (H,): H squared numbers.
        x: inputs, shape (N, H - 1).
        t: targets, shape (N,).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> made = SQUARE_LAYER.build("16")
        >>> made.n_params, square_layer(*made.args).shape
        (16, ())
    """
    y = np.tanh(x @ params["w"] + params["b"])
    return np.sum((np.sum(y, axis=1) - t) ** 2) / (2 * x.shape[0])


def square_gradient(params: Mapping[str, Any], x: np.ndarray, t: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """The value of ``square_layer`` and its gradient derived by hand.

    Args:
        params: as for ``square_layer``.
        x: as for ``square_layer``.
        t: as for ``square_layer``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> made = SQUARE_LAYER.build("16")
        >>> sorted(square_gradient(*made.args)[1])
        ['b', 'w']
    """
    y = np.tanh(x @ params["w"] + params["b"])
    r = np.sum(y, axis=1) - t
    d = (r / x.shape[0])[:, None] * (1 - y * y)
    return np.sum(r**2) / (2 * x.shape[0]), {"w": x.T @ d, "b": np.sum(d, axis=0)}


def _make_layer(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    width, batch = size["hidden"], size["batch"]
    w = generator.standard_normal((width - 1, width)) / np.sqrt(width)
    b = generator.standard_normal(width) / 4
    x, t = generator.standard_normal((batch, width - 1)), generator.standard_normal(batch)
    return instance(square_layer, square_gradient, {"w": w, "b": b}, (x, t), dtype)


SQUARE_LAYER = problem(
    "square-layer",
    "One tanh layer whose number of parameters is a square, with half squared error",
    {str(width * width): {"hidden": width, "batch": BATCH} for width in WIDTHS},
    _make_layer,
    "The size is the number of parameters. With 256 rows of data even small layers spend their time on arithmetic and "
    "not on starting NumPy calls, so what grows with the parameters shows early.",
)
