"""Operators that a backend does not have, from one that it has: J t from pullbacks, J^T c from tangents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np


def basis(leaves: Sequence[Any]) -> Iterator[tuple[int, tuple[int, ...], list[np.ndarray]]]:
    """(leaf, index, unit tangents) for every coordinate; the tangents are reused, so use them before the next."""
    unit = [np.zeros(np.shape(leaf), leaf.dtype) for leaf in leaves]
    for position, direction in enumerate(unit):
        for index in np.ndindex(direction.shape):
            direction[index] = 1
            yield position, index, unit
            direction[index] = 0


def pullback_from_tangents(
    tangents_of: Callable[[list[np.ndarray]], list[Any]], leaves: Sequence[Any]
) -> Callable[[Sequence[Any]], list[Any]]:
    """A pullback computed with one tangent pass per coordinate of the differentiated ``leaves``."""

    def pullback(cotangents: Sequence[Any]) -> list[Any]:
        result = [np.zeros(np.shape(leaf), leaf.dtype) for leaf in leaves]
        for position, index, unit in basis(leaves):
            tangents = tangents_of(unit)
            result[position][index] = sum(np.sum(np.multiply(c, t)) for c, t in zip(cotangents, tangents, strict=True))
        return result

    return pullback


def tangents_from_pullback(
    pullback: Callable[[Sequence[Any]], list[Any]], outputs: Sequence[Any], tangents: Sequence[Any]
) -> list[Any]:
    """Tangents computed with one pullback per coordinate of the ``outputs``."""
    outputs = [np.asarray(output) for output in outputs]
    result = [np.zeros(output.shape, output.dtype) for output in outputs]
    for position, index, unit in basis(outputs):
        gradients = pullback(unit)
        result[position][index] = sum(np.sum(np.multiply(g, t)) for g, t in zip(gradients, tangents, strict=True))
    return result
