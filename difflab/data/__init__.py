"""Real data that ships with the package; where it comes from is written beside it in ``DIGITS.md``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import numpy as np


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1 797 handwritten digits of the UCI Optical Recognition test set, read once per process.

    Returns:
        ``(images, labels)``, both read-only: images uint8 of shape (1797, 8, 8) counting ink from 0 to 16, labels
        int64 of shape (1797,) from 0 to 9.

    Example:
        >>> images, labels = digits()
        >>> images.shape, int(images.max()), int(labels[0])
        ((1797, 8, 8), 16, 0)
    """
    with files("difflab.data").joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"].astype(np.int64)
    images.flags.writeable = False
    labels.flags.writeable = False
    return images, labels
