"""``digits-cnn``: a convolutional network that tells handwritten digits apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .convolutional import analytic, loss, random_params
from .digits import batch
from .record import Instance, instance, problem

SIZES = {
    "tiny": {"side": 4, "blocks": 1, "channels": 2, "kernel": 3, "classes": 3, "batch": 4},
    "small": {"side": 8, "blocks": 1, "channels": 4, "kernel": 3, "classes": 10, "batch": 16},
    "medium": {"side": 8, "blocks": 2, "channels": 8, "kernel": 3, "classes": 10, "batch": 64},
    "large": {"side": 8, "blocks": 2, "channels": 32, "kernel": 3, "classes": 10, "batch": 128},
    "xlarge": {"side": 8, "blocks": 2, "channels": 128, "kernel": 3, "classes": 10, "batch": 128},
}


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    images, targets = batch(size["side"], size["classes"], size["batch"], seed)
    channels = tuple(size["channels"] * 2**block for block in range(size["blocks"]))
    params = random_params(np.random.default_rng(seed), (size["side"], 1), size["kernel"], channels, size["classes"])
    return instance(loss, analytic, params, (images[..., None], targets), dtype)


DIGITS_CNN = problem(
    "digits-cnn",
    "Convolutional network on handwritten digits",
    SIZES,
    _make,
    "Real 8 x 8 handwritten digits through one or two blocks of convolution, relu and 2 x 2 max-pooling (the second "
    "with twice the channels) and a dense softmax layer; the loss is the mean cross-entropy over a batch. "
    "Size tiny sees the central 4 x 4 pixels of the digits 0, 1 and 2.",
)
