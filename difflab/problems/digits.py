"""What problems share: batches of real images and of random rows, affine layers, softmax cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import digits


def batch(side: int, classes: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``count`` different images drawn by ``seed`` from the digits below ``classes``, and their one-hot targets.

    Images are float64 ``(count, side, side)`` in [0, 1], the central ``side`` x ``side`` pixels of the 8 x 8;
    targets are float64 ``(count, classes)``.
    """
    images, labels = digits()
    generator = np.random.default_rng([seed, 1])  # another stream than the parameters, which use the seed alone
    chosen = generator.choice(np.flatnonzero(labels < classes), count, replace=False)
    first = (images.shape[1] - side) // 2
    crop = slice(first, first + side)
    return images[chosen, crop, crop] / 16.0, np.eye(classes)[labels[chosen]]


def random_batch(generator: np.random.Generator, size: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of standard normal inputs ``(batch, inputs)`` and random one-hot targets ``(batch, classes)``, float64."""
    x = generator.standard_normal((size["batch"], size["inputs"]))
    return x, np.eye(size["classes"])[generator.integers(0, size["classes"], size["batch"])]


def affine(generator: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Random weights of ``shape``, scaled by 1/sqrt(fan-in), and random biases, one per last axis.

    The biases are random because zero ones put blank pixels exactly on the kink of relu.
    """
    weights = generator.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
    return weights, 0.1 * generator.standard_normal(shape[-1])


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> tuple[np.floating, np.ndarray]:
    """The mean over rows of ``logsumexp(z) sum(t) - sum(t z)``, and its derivative with respect to ``z``.

    d/dz = (softmax(z) sum(t) - t) / rows.  The sum of a target row is kept because it need not be 1.  A shift of a
    row of z by its maximum leaves the value as it is: it adds and subtracts ``sum(t)`` times the shift.
    """
    rows = len(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)
    powers = np.exp(shifted)
    totals = powers.sum(axis=1, keepdims=True)
    weights = targets.sum(axis=1, keepdims=True)
    value = (np.vdot(np.log(totals), weights) - np.vdot(targets, shifted)) / rows
    totals *= rows
    powers *= weights / totals
    powers -= targets / rows
    return value, powers
