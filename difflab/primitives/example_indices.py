"""Where examples are once arrays were indexed: rules of ``gather`` and ``scatter_add`` (``examples.py``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .examples import TWO, Given, Split, aligned_needs, together
from .record import broadcast_shapes

UNKNOWN = "picks examples by an index that is not known to count them"


def _rest(axes: tuple[int, ...], ndim: int) -> list[int]:
    return [axis for axis in range(ndim) if axis not in axes]


def _place(axes: tuple[int, ...]) -> int:
    return axes[0] if tuple(axes) == tuple(range(axes[0], axes[0] + len(axes))) else 0


def _index_needs(given: Given, place: int) -> tuple[int | None, ...]:
    """Slices of index arrays, which broadcast, along one axis of theirs."""
    shapes = [aval.shape for aval in given.avals]
    shape = broadcast_shapes(*shapes)
    return aligned_needs(given.avals, [len(one) - len(shape) for one in shapes], place, shape[place])


def _counts_examples(value: Any, count: int, ndim: int) -> int | None:
    """The index axis along which an index array counts 0, 1, ..., and nothing else happens in it."""
    if value is None or value.size != count:
        return None
    longest = [axis for axis, size in enumerate(value.shape) if size == count]
    if not longest or not np.array_equal(value.ravel(), np.arange(count)):
        return None
    return longest[0] + ndim - value.ndim


def _indexed(given: Given, x_axis: int | None, axes: tuple[int, ...]) -> tuple[int, tuple, tuple] | str:
    """Index axis, slices of the indices, and the index that counts examples; ``given`` is that of the indices."""
    shape = broadcast_shapes(*[aval.shape for aval in given.avals])
    places = [
        None if axis is None else axis + len(shape) - len(aval.shape)
        for axis, aval in zip(given.axes, given.avals, strict=True)
    ]
    if x_axis is None:
        place = together(places)
        return place if isinstance(place, str) else (place, _index_needs(given, place), ())
    which = axes.index(x_axis)
    value = given.values[which] if given.values else None
    place = _counts_examples(value, given.count, len(shape))
    if place is None or any(found not in (None, place) for found in places):
        return UNKNOWN
    return place, _index_needs(given, place), (which + 1,)


def gathered(given: Given, *, axes: tuple[int, ...]) -> Split | str:
    """The rule of ``gather``: examples beside the indexed axes, along the indices, or counted by one of them."""
    x, *_ = given.axes
    indices = Given(given.count, given.axes[1:], given.avals[1:], given.values[1:])
    shape = broadcast_shapes(*[aval.shape for aval in indices.avals])
    at = _place(axes)
    if x is not None and x not in axes:
        if any(axis is not None for axis in indices.axes):
            return TWO
        place = _rest(axes, len(given.avals[0].shape)).index(x)
        return Split(place if place < at else place + len(shape), (x, *[None] * len(axes)))
    if x is not None and given.avals[0].shape[x] != given.count:
        return UNKNOWN
    found = _indexed(indices, x, axes)
    return found if isinstance(found, str) else Split(at + found[0], (x, *found[1]), (), found[2])


def scattered(given: Given, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> Split | str:
    """The rule of ``scatter_add``, the transpose of ``gather``; along the indices it sums over examples."""
    g, *_ = given.axes
    indices = Given(given.count, given.axes[1:], given.avals[1:], given.values[1:])
    ndim = len(broadcast_shapes(*[aval.shape for aval in indices.avals]))
    at = _place(axes)
    if g is not None and not at <= g < at + ndim:
        if any(axis is not None for axis in indices.axes):
            return TWO
        return Split(_rest(axes, len(shape))[g if g < at else g - ndim], (g, *[None] * len(axes)), ("shape",))
    places = [
        None if axis is None else axis + ndim - len(aval.shape)
        for axis, aval in zip(indices.axes, indices.avals, strict=True)
    ]
    place = together([*places, None if g is None else g - at])
    if isinstance(place, str):
        return place
    needs = (at + place, *_index_needs(indices, place))
    for which, value in enumerate(indices.values):
        counted = shape[axes[which]] == given.count
        if counted and _counts_examples(value, given.count, ndim) == place:
            return Split(axes[which], needs, ("shape",), (which + 1,))
    return Split(None, needs)
