"""``cnn``: the convolutional network by whose rows difflab measures its own speed, on images with blank borders."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .convolutional import analytic, loss, random_params
from .record import Instance, instance, problem

SIZES: dict[str, dict[str, int]] = {
    name: dict(zip(("batch", "side", "colours", "channels1", "channels2", "kernel", "classes"), row, strict=True))
    for name, row in {
        "tiny": (4, 4, 1, 2, 3, 3, 3),
        "8x8x1-8-16": (64, 8, 1, 8, 16, 3, 10),
        "16x16x1-8-16": (64, 16, 1, 8, 16, 3, 10),
        "20x20x2-12-24": (64, 20, 2, 12, 24, 5, 10),
        "28x28x1-16-32": (64, 28, 1, 16, 32, 5, 10),
        "32x32x3-32-64": (64, 32, 3, 32, 64, 3, 10),
        "40x40x3-32-64": (64, 40, 3, 32, 64, 3, 10),
    }.items()
}
LEVELS = 16  # of brightness, as the digits have them
BORDER = 7  # one pixel of border for every so many of a side: an eight by eight digit has two


def random_images(generator: np.random.Generator, count: int, side: int, colours: int) -> np.ndarray:
    """Square images in [0, 1] of few levels, blank along their borders, where windows tie as on real digits.

    Args:
        generator: draws the pixels.
        count: the number of images.
        side: of each, in pixels.
        colours: the number of channels.

    Returns:
        float64 array of shape (count, side, side, colours).

    Example:
        >>> images = random_images(np.random.default_rng(0), 2, 8, 1)
        >>> images.shape, float(images[:, :2].max()), bool(images[:, 2:6, 2:6].max() > 0.9)
        ((2, 8, 8, 1), 0.0, True)
    """
    images = np.zeros((count, side, side, colours))
    blank = -(-side // BORDER)
    inside = slice(blank, side - blank)
    shape = images[:, inside, inside].shape
    images[:, inside, inside] = generator.integers(0, LEVELS + 1, shape) / LEVELS
    return images


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    generator = np.random.default_rng(seed)
    image, channels = (size["side"], size["colours"]), (size["channels1"], size["channels2"])
    params = random_params(generator, image, size["kernel"], channels, size["classes"])
    images = random_images(generator, size["batch"], *image)
    targets = np.eye(size["classes"])[generator.integers(0, size["classes"], size["batch"])]
    return instance(loss, analytic, params, (images, targets), dtype)


CNN = problem(
    "cnn",
    "Two blocks of convolution, relu and max-pooling, and a dense softmax layer, on random images",
    SIZES,
    _make,
    "Sizes are the image, rows x columns x colours, and the channels of both convolutions; a batch has 64 images and "
    "size tiny 4. Kernels are 3 x 3, those of 20x20x2 and 28x28x1 5 x 5. The borders of the images are blank, so that "
    "windows of the pooling tie as they do on real digits; each hands its cotangent to the first of the largest.",
)
