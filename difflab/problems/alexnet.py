"""``alexnet``: the network of two groups that won the ImageNet challenge of 2012, and two small ones of its make.

Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks (2012): five
convolutions, the second, fourth and fifth in two groups (one for each of the authors' two processors), three dense
layers, relu behind all but the last, local response normalisation behind the first two, overlapping max-pooling behind
the first, second and fifth.  Images have 227 x 227 pixels: the paper says 224, from which its 55 x 55 positions do
not follow.  Dropout, which has no parameters and is for training alone, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import nn
from . import layers
from .digits import cross_entropy
from .record import Instance, problem

Params = Mapping[str, Any]
Answer = tuple[Any, dict[str, Any]]

CONVOLUTIONS = (1, 2, 3, 4, 5)
GROUPED = (2, 4, 5)
NORMALISED = (1, 2)
POOLED = (1, 2, 5)
HIDDEN, LAST = (6, 7), 8
RAISED = ("b2", "b4", "b5", "b6", "b7")  # biases that begin near 1, as the paper's do: relu gets positive scores

SIZES = {
    "tiny": {
        "batch": 1, "side": 11, "colours": 3, "kernel1": 3, "stride1": 2, "kernel2": 3, "window": 2, "step": 1,
        "maps1": 2, "maps2": 2, "maps3": 4, "maps4": 4, "maps5": 2, "hidden": 4, "classes": 3,
    },
    "small": {
        "batch": 1, "side": 67, "colours": 3, "kernel1": 11, "stride1": 4, "kernel2": 5, "window": 3, "step": 2,
        "maps1": 4, "maps2": 8, "maps3": 12, "maps4": 12, "maps5": 8, "hidden": 16, "classes": 10,
    },
    "full": {
        "batch": 1, "side": 227, "colours": 3, "kernel1": 11, "stride1": 4, "kernel2": 5, "window": 3, "step": 2,
        "maps1": 96, "maps2": 256, "maps3": 384, "maps4": 384, "maps5": 256, "hidden": 4096, "classes": 1000,
    },
}  # fmt: skip
SIZES["full-128"] = SIZES["full"] | {"batch": 128}


class Geometry(NamedTuple):
    """What the shapes of the parameters do not tell: the stride of the first convolution, and the pooling windows."""

    stride: int
    window: int
    step: int


def geometry(size: Mapping[str, int]) -> Geometry:
    """The geometry of a size.

    Args:
        size: its dimensions.

    Returns:
        Strides and windows.

    Example:
        >>> geometry(SIZES["full"])
        Geometry(stride=4, window=3, step=2)
    """
    return Geometry(size["stride1"], size["window"], size["step"])


def shapes(size: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shapes of all parameters of a size, by which they are counted without being made.

    Args:
        size: its dimensions.

    Returns:
        Shapes by name: kernels ``k1`` to ``k5``, matrices ``w6`` to ``w8``, and the biases of all.

    Example:
        >>> shapes(SIZES["full"])["k2"], shapes(SIZES["full"])["w6"]
        ((5, 5, 48, 256), (9216, 4096))
    """
    found: dict[str, tuple[int, ...]] = {}
    side, channels = size["side"], size["colours"]
    for layer in CONVOLUTIONS:
        kernel = size.get(f"kernel{layer}", 3)
        maps = size[f"maps{layer}"]
        found[f"k{layer}"] = (kernel, kernel, channels // (2 if layer in GROUPED else 1), maps)
        found[f"b{layer}"] = (maps,)
        if layer == 1:
            side = (side - kernel) // size["stride1"] + 1
        if layer in POOLED:
            side = (side - size["window"]) // size["step"] + 1
        channels = maps
    widths = [side * side * channels, size["hidden"], size["hidden"], size["classes"]]
    for layer, inputs, outputs in zip((*HIDDEN, LAST), widths[:-1], widths[1:], strict=True):
        found[f"w{layer}"], found[f"b{layer}"] = (inputs, outputs), (outputs,)
    return found


def activities(params: Params, x: Any, how: Geometry) -> list[Any]:
    """What the units of the eight layers hold: the neurons by which the paper counts its network.

    Args:
        params: arrays of the shapes that ``shapes`` tells.
        x: images, shape (N, side, side, colours).
        how: strides and windows.

    Returns:
        Eight arrays: behind relu five of images and two of hidden units, and the scores of the classes, shape (N, C).

    Example:
        >>> params, x, _ = ALEXNET.build("tiny", "float64", 0).args
        >>> [layer.shape[1:] for layer in activities(params, x, geometry(SIZES["tiny"]))]
        [(5, 5, 2), (4, 4, 2), (3, 3, 4), (3, 3, 4), (3, 3, 2), (4,), (4,), (3,)]
    """
    found = []
    h = x
    for layer in CONVOLUTIONS:
        w = params[f"k{layer}"]
        stride, padding = (how.stride, 0) if layer == 1 else (1, w.shape[0] // 2)
        h = nn.conv2d(h, w, stride, padding, groups=2 if layer in GROUPED else 1)
        h = nn.relu(h + params[f"b{layer}"])
        found.append(h)
        if layer in NORMALISED:
            h = nn.local_response_norm(h)
        if layer in POOLED:
            h = nn.max_pool2d(h, how.window, how.step)
    h = h.reshape(h.shape[0], -1)
    for layer in HIDDEN:
        h = nn.relu(h @ params[f"w{layer}"] + params[f"b{layer}"])
        found.append(h)
    return [*found, h @ params[f"w{LAST}"] + params[f"b{LAST}"]]


def network(how: Geometry) -> Callable[[Params, Any, Any], Any]:
    """The loss of the network, for a geometry.

    Args:
        how: strides and windows.

    Returns:
        ``loss(params, x, t)``, the mean softmax cross-entropy: params and ``x`` as for ``activities``, and ``t``, the
        targets, of shape (N, C).

    Example:
        >>> args = ALEXNET.build("tiny", "float64", 0).args
        >>> 0.5 < float(network(geometry(SIZES["tiny"]))(*args)) < 2.5
        True
    """

    def loss(params: Params, x: Any, t: Any) -> Any:
        return nn.softmax_cross_entropy(activities(params, x, how)[-1], t)

    return loss


def network_by_hand(how: Geometry) -> Callable[..., Answer]:
    """The value of ``network`` and its gradient, layer by layer backwards with the functions of ``layers``.

    Dense layers: with z = h W + b and delta = dL/dz, dW = h^T delta, db = the sum of delta's rows, dL/dh = delta W^T.
    relu: delta = dL/dh [h > 0].  Convolutions, normalisation and pooling: see ``layers``.

    Args:
        how: strides and windows.

    Returns:
        ``analytic(params, x, t)``, which gives ``(value, gradient)`` with the keys, shapes and dtype of the parameters.

    Example:
        >>> one = ALEXNET.build("tiny", "float64", 0)
        >>> network_by_hand(geometry(SIZES["tiny"]))(*one.args)[1]["k2"].shape
        (3, 3, 1, 2)
    """

    def analytic(params: Params, x: np.ndarray, t: np.ndarray) -> Answer:
        kept: dict[int, _Kept] = {}
        h = x
        for layer in CONVOLUTIONS:
            kept[layer] = step = _forward(params, h, layer, how)
            h = step.y
        images = h
        inputs = {HIDDEN[0]: images.reshape(len(x), -1)}
        for layer in HIDDEN:
            inputs[layer + 1] = np.maximum(inputs[layer] @ params[f"w{layer}"] + params[f"b{layer}"], 0)
        value, delta = cross_entropy(inputs[LAST] @ params[f"w{LAST}"] + params[f"b{LAST}"], t)

        gradient: dict[str, Any] = {}
        for layer in (LAST, *reversed(HIDDEN)):
            gradient[f"w{layer}"], gradient[f"b{layer}"] = inputs[layer].T @ delta, delta.sum(axis=0)
            delta = delta @ params[f"w{layer}"].T
            if layer != HIDDEN[0]:
                delta *= inputs[layer] > 0
        g = delta.reshape(images.shape)
        for layer in reversed(CONVOLUTIONS):
            g = _backward(params, g, layer, how, kept.pop(layer), gradient)
        return value, {key: gradient[key] for key in params}

    return analytic


class _Kept(NamedTuple):
    """What a convolutional layer keeps: images, patches, behind relu, behind normalisation with its s, and result."""

    x: np.ndarray
    patches: list[np.ndarray]
    h: np.ndarray
    normal: np.ndarray
    s: np.ndarray
    y: np.ndarray


def _forward(params: Params, x: np.ndarray, layer: int, how: Geometry) -> _Kept:
    w = params[f"k{layer}"]
    stride, padding, groups = _steps(w, layer, how)
    z, patches = layers.convolve(x, w, stride, padding, groups)
    h = np.maximum(z + params[f"b{layer}"], 0)
    normal, s = layers.normalise(h) if layer in NORMALISED else (h, h)
    y = layers.pool(normal, how.window, how.step) if layer in POOLED else normal
    return _Kept(x, patches, h, normal, s, y)


def _backward(params: Params, g: Any, layer: int, how: Geometry, kept: _Kept, gradient: dict[str, Any]) -> Any:
    """dL/dx of a convolutional layer from dL/dy; the slopes of its kernel and biases go into ``gradient``."""
    w = params[f"k{layer}"]
    if layer in POOLED:
        g = layers.pool_back(g, kept.normal, kept.y, how.window, how.step)
    if layer in NORMALISED:
        g = layers.normalise_back(g, kept.h, kept.s)
    g = g * (kept.h > 0)
    gradient[f"k{layer}"] = layers.kernel_slope(g, kept.patches, w)
    gradient[f"b{layer}"] = g.sum(axis=(0, 1, 2))
    return layers.convolve_back(g, w, kept.x, *_steps(w, layer, how)) if layer > 1 else None


def _steps(w: np.ndarray, layer: int, how: Geometry) -> tuple[int, int, int]:
    """Stride, padding and groups of a convolution."""
    stride, padding = (how.stride, 0) if layer == 1 else (1, w.shape[0] // 2)
    return stride, padding, 2 if layer in GROUPED else 1


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    params = {}
    for key, shape in shapes(size).items():
        scale = 0.1 if len(shape) == 1 else 1 / np.sqrt(np.prod(shape[:-1]))
        start = 1.0 if key in RAISED else 0.0
        values = start + scale * generator.standard_normal(shape)
        params[key] = values.astype(dtype)  # at once: all in float64 would take 488 MB
    data = np.random.default_rng([seed, 1])  # another stream, so that data do not depend on the parameters
    x = data.standard_normal((size["batch"], size["side"], size["side"], size["colours"])).astype(dtype, copy=False)
    t = np.eye(size["classes"], dtype=dtype)[data.integers(0, size["classes"], size["batch"])]
    how, count = geometry(size), sum(array.size for array in params.values())
    return Instance(network(how), (params, x, t), network_by_hand(how), count)


ALEXNET = problem(
    "alexnet",
    "AlexNet, the two-group network of 2012",
    SIZES,
    _make,
    "Five convolutions (three of them in two groups), local response normalisation, overlapping max-pooling, three "
    "dense layers and softmax cross-entropy, on random images. Size full is the network of Krizhevsky, Sutskever and "
    "Hinton at batch 1: 60 965 224 parameters and 659 272 units, of which the paper says 60 million and 650 000; "
    "full-128 is the same at batch 128, as the paper trains it; tiny and small have fewer and smaller layers of the "
    "same make.",
    shapes,
)
