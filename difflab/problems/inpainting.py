"""``inpainting``: a multilayer perceptron that completes handwritten digits in which a block of pixels is hidden.

To train it: ``examples`` gives images and masks, as many as wanted; ``Instance.loss`` and ``Instance.analytic`` take
``(params, images, masks)`` of any batch, so mini-batches are slices of both along the first axis; ``forward`` gives the
completed images, known pixels as they are and hidden ones from the network, in the shape of the images, to be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import nn
from .digits import affine, batch
from .record import Instance, instance, problem

Params = Mapping[str, Any]

CLASSES = 10
SIZES = {  # anywhere: 0 hides the middle of every image, 1 a block at a random place
    "tiny": {"side": 4, "hole": 2, "anywhere": 0, "layers": 1, "hidden": 3, "batch": 4},
    "small": {"side": 8, "hole": 4, "anywhere": 0, "layers": 1, "hidden": 16, "batch": 16},
    "medium": {"side": 8, "hole": 4, "anywhere": 1, "layers": 1, "hidden": 64, "batch": 64},
    "large": {"side": 8, "hole": 4, "anywhere": 1, "layers": 2, "hidden": 256, "batch": 256},
}


def examples(side: int, hole: int, anywhere: bool, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Different images of digits in random order, and for each a mask with a square block of hidden pixels.

    Args:
        side: rows and columns of the images, the central ones of the 8 x 8.
        hole: rows and columns of the block.
        anywhere: whether blocks are at random places; otherwise in the middle.
        count: how many, at most the 1 797 that there are.
        seed: of the choice and the places.

    Returns:
        Images in [0, 1] and masks, 1 where a pixel is hidden and 0 elsewhere; float64, shape (count, side, side).

    Example:
        >>> images, masks = examples(8, 4, True, 1797, 0)
        >>> images.shape, masks.sum(axis=(1, 2)).tolist() == [16.0] * 1797
        ((1797, 8, 8), True)
    """
    images, _ = batch(side, CLASSES, count, seed)
    generator = np.random.default_rng([seed, 2])  # another stream than the images and the parameters
    places = generator.integers(0, side - hole + 1, (2, count)) if anywhere else np.full((2, count), (side - hole) // 2)
    offsets = np.arange(side) - places[:, :, None]
    rows, columns = (offsets >= 0) & (offsets < hole)
    return images, (rows[:, :, None] & columns[:, None, :]).astype(np.float64)


def forward(params: Params, images: Any, masks: Any) -> Any:
    """The completed images: what is not hidden as it is, what is hidden from the network.

    The network sees the images with zeros in place of hidden pixels, and the masks; relu layers, then an affine one.

    Args:
        params: ``w1`` of shape (2 side^2, H) and ``b1`` (H,), then further layers; the last gives side^2 pixels.
        images: shape (N, side, side); hidden pixels have no influence.
        masks: 1 where hidden, 0 elsewhere, of that shape.

    Returns:
        Array of that shape.

    Example:
        >>> params, images, masks = INPAINTING.build("tiny", "float64", 0).args
        >>> completed = forward(params, images, masks)
        >>> bool(np.all((completed == images)[masks == 0]))
        True
    """
    known = images * (1 - masks)
    rows = images.shape[0]
    h = np.concatenate([known.reshape(rows, -1), masks.reshape(rows, -1)], axis=1)
    last = len(params) // 2
    for layer in range(1, last):
        h = nn.relu(h @ params[f"w{layer}"] + params[f"b{layer}"])
    painted = h @ params[f"w{last}"] + params[f"b{last}"]
    return known + masks * painted.reshape(images.shape)


def loss(params: Params, images: Any, masks: Any) -> Any:
    """Half squared error of the completed images, the mean over images of 1/2 sum((completed - image)^2).

    Args:
        params: as for ``forward``.
        images: as for ``forward``; the hidden pixels are the targets.
        masks: as for ``forward``.

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> nothing = {"w1": np.zeros((2, 1)), "b1": np.zeros(1)}
        >>> float(loss(nothing, np.full((1, 1, 1), 3.0), np.ones((1, 1, 1))))
        4.5
    """
    return 0.5 * np.sum((forward(params, images, masks) - images) ** 2) / images.shape[0]


def analytic(params: Params, images: np.ndarray, masks: np.ndarray) -> tuple[Any, dict[str, Any]]:
    """The value of ``loss`` and its gradient, derived by hand.

    With o = h W + b and e = mask * (o - image): dL/do = e / N, because a mask of zeros and ones is its own square;
    dW = h^T delta, db = the sum of delta's rows, and one layer down delta' = (delta W^T) [h > 0].

    Args:
        params: as for ``loss``.
        images: as for ``loss``.
        masks: as for ``loss``; zeros and ones.

    Returns:
        ``(value, gradient)``, the gradient with the keys, shapes and dtype of ``params``.

    Example:
        >>> analytic(*INPAINTING.build("tiny", "float64", 0).args)[1]["w1"].shape
        (32, 3)
    """
    rows = len(images)
    target, hidden = images.reshape(rows, -1), masks.reshape(rows, -1)
    last = len(params) // 2
    inputs = [np.concatenate([target * (1 - hidden), hidden], axis=1)]
    for layer in range(1, last):
        inputs.append(np.maximum(inputs[-1] @ params[f"w{layer}"] + params[f"b{layer}"], 0))
    error = hidden * (inputs[-1] @ params[f"w{last}"] + params[f"b{last}"] - target)
    delta = error / rows
    gradient: dict[str, Any] = {}
    for layer in range(last, 0, -1):
        gradient[f"w{layer}"], gradient[f"b{layer}"] = inputs[layer - 1].T @ delta, delta.sum(axis=0)
        if layer > 1:
            delta = (delta @ params[f"w{layer}"].T) * (inputs[layer - 1] > 0)
    return 0.5 * np.vdot(error, error) / rows, {key: gradient[key] for key in params}


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    pixels = size["side"] ** 2
    widths = [2 * pixels, *[size["hidden"]] * size["layers"], pixels]
    generator = np.random.default_rng(seed)
    params = {}
    for layer in range(1, len(widths)):
        params[f"w{layer}"], params[f"b{layer}"] = affine(generator, widths[layer - 1], widths[layer])
    data = examples(size["side"], size["hole"], bool(size["anywhere"]), size["batch"], seed)
    return instance(loss, analytic, params, data, dtype)


INPAINTING = problem(
    "inpainting",
    "Completing handwritten digits with hidden pixels",
    SIZES,
    _make,
    "A network of relu layers sees real 8 x 8 handwritten digits with a quarter of the pixels hidden, and the masks, "
    "and paints what is hidden; the loss is half the squared error of an image, the mean over a batch. Sizes tiny (the "
    "central 4 x 4 pixels) and small hide the middle, medium and large a block at a random place.",
)
