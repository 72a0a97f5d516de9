"""What the convolutional networks share: blocks of convolution, relu and max-pooling, then a dense softmax layer.

The loss, and its gradient derived by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import nn
from .digits import affine, cross_entropy

CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # the elements of a 2 x 2 window in row-major order


def loss(params: Mapping[str, Any], x: Any, t: Any) -> Any:
    """Mean softmax cross-entropy of blocks of convolution, relu and max-pooling, then a dense layer.

    Args:
        params: per block ``k1`` of shape (K, K, inputs, outputs) and ``b1`` of shape (outputs,); then the dense layer,
            ``w`` of shape (D, C) and ``b`` of shape (C,).
        x: images, shape (N, rows, columns, channels); rows and columns halve with every block.
        t: targets, one row per image, shape (N, C).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> from difflab.problems import find
        >>> args = find("digits-cnn").build("tiny", "float64", 0).args
        >>> 0.5 < float(loss(*args)) < 2.0
        True
    """
    h = x
    for block in range(1, len(params) // 2):
        h = nn.relu(nn.conv2d(h, params[f"k{block}"], padding="same") + params[f"b{block}"])
        h = nn.max_pool2d(h, 2)
    return nn.softmax_cross_entropy(h.reshape(h.shape[0], -1) @ params["w"] + params["b"], t)


def analytic(params: Mapping[str, Any], x: np.ndarray, t: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """The value of ``loss`` and its gradient, derived by hand.

    A convolution is a product of rows of patches with the kernel as a matrix, so its derivatives are those of a
    dense layer, with the patches' cotangents added up where patches overlap.  Pooling sends its cotangent to the
    first maximal element of each window.  relu is applied after pooling: both are monotone, so values and
    derivatives are those of ``loss`` with a quarter of the work.

    Args:
        params: as for ``loss``.
        x: as for ``loss``.
        t: as for ``loss``.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> from difflab.problems import find
        >>> value, gradient = analytic(*find("digits-cnn").build("tiny", "float64", 0).args)
        >>> gradient["k1"].shape
        (3, 3, 1, 2)
    """
    blocks = range(1, len(params) // 2)
    kept = []
    h = x
    for block in blocks:
        kernel = params[f"k{block}"]
        patches = im2col(h, kernel.shape[0])
        z = patches @ kernel.reshape(-1, kernel.shape[3])
        z += params[f"b{block}"]
        z = z.reshape(*h.shape[:3], -1)
        top = pool(z)
        kept.append((patches, z, top))
        h = np.maximum(top, 0)
    flat = h.reshape(len(h), -1)
    logits = flat @ params["w"]
    logits += params["b"]
    value, delta = cross_entropy(logits, t)

    gradient: dict[str, Any] = {"w": flat.T @ delta, "b": delta.sum(axis=0)}
    g = (delta @ params["w"].T).reshape(h.shape)
    for block in reversed(blocks):
        patches, z, top = kept[block - 1]
        g *= top > 0
        dz = route(g, z, top).reshape(len(patches), -1)
        kernel = params[f"k{block}"]
        gradient[f"k{block}"] = (patches.T @ dz).reshape(kernel.shape)
        gradient[f"b{block}"] = dz.sum(axis=0)
        if block > 1:
            inside = (*z.shape[:3], kernel.shape[2])
            g = col2im(dz @ kernel.reshape(-1, kernel.shape[3]).T, inside, kernel.shape[0])
    return value, {key: gradient[key] for key in params}


def im2col(x: np.ndarray, size: int) -> np.ndarray:
    """For every pixel its size x size neighbourhood, zero outside, as a row ``(N H W, size size C)``."""
    n, height, width, channels = x.shape
    before = (size - 1) // 2
    padded = np.zeros((n, height + size - 1, width + size - 1, channels), x.dtype)
    padded[:, before : before + height, before : before + width] = x
    windows = sliding_window_view(padded, (size, size), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(n * height * width, -1)


def col2im(g: np.ndarray, shape: tuple[int, ...], size: int) -> np.ndarray:
    """The transpose of ``im2col``: the cotangent of every pixel, summed over the patches it is in."""
    n, height, width, channels = shape
    before = (size - 1) // 2
    padded = np.zeros((n, height + size - 1, width + size - 1, channels), g.dtype)
    parts = g.reshape(n, height, width, size, size, channels)
    for i in range(size):
        for j in range(size):
            padded[:, i : i + height, j : j + width] += parts[:, :, :, i, j]
    return padded[:, before : before + height, before : before + width]


def pool(z: np.ndarray) -> np.ndarray:
    """The maxima of 2 x 2 windows ``(N, H/2, W/2, C)``."""
    upper = np.maximum(z[:, 0::2, 0::2], z[:, 0::2, 1::2])
    lower = np.maximum(z[:, 1::2, 0::2], z[:, 1::2, 1::2])
    return np.maximum(upper, lower, out=upper)


def route(g: np.ndarray, z: np.ndarray, top: np.ndarray) -> np.ndarray:
    """The transpose of ``pool`` at ``z``: each cotangent goes to the first element equal to the maximum."""
    dz = np.empty_like(z)
    free = np.ones(top.shape, bool)
    for i, j in CORNERS:
        first = z[:, i::2, j::2] == top
        first &= free
        free ^= first
        np.multiply(g, first, out=dz[:, i::2, j::2])
    return dz


def random_params(
    generator: np.random.Generator, image: tuple[int, int], kernel: int, channels: tuple[int, ...], classes: int
) -> dict[str, np.ndarray]:
    """Random parameters of ``loss``: a block for each of ``channels``, for images of ``(side, channels)``."""
    params = {}
    side, inputs = image
    for block, outputs in enumerate(channels, start=1):
        params[f"k{block}"], params[f"b{block}"] = affine(generator, kernel, kernel, inputs, outputs)
        side, inputs = side // 2, outputs
    params["w"], params["b"] = affine(generator, side * side * inputs, classes)
    return params
