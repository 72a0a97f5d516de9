"""Where elements are: positions of what a mask selects, positions in a flattened array; integers all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import GuardError, UnsupportedError
from . import examples
from .batching import broadcasting
from .constructors import general
from .record import REGISTRY, Aval, broadcast_shapes

INTEGER = np.dtype(np.intp)
EXCUSE = "positions are integers, which do not move with the data"


def _nonzero(mask, *, count):
    found = np.nonzero(mask)[-1]
    if np.any(np.count_nonzero(mask, axis=-1) != count):
        raise GuardError(f"a mask selects another number of elements than the {count} it did when it was recorded")
    return found.reshape(*mask.shape[:-1], count)


def _nonzero_device(xp, mask, *, count):
    """As ``_nonzero``; whether the count is still the same is asked of the GPU, which the host waits for."""
    if bool(xp.any(xp.count_nonzero(mask, axis=-1) != count)):
        raise GuardError(f"a mask selects another number of elements than the {count} it did when it was recorded")
    return xp.argsort(xp.logical_not(mask), axis=-1)[..., :count].copy()  # stable: what is selected, in its order


def _nonzero_exact(arithmetic: Any, mask: Any, *, count: int) -> np.ndarray:
    conditions = arithmetic.conditions(mask)
    if conditions.dtype == object:
        raise UnsupportedError(
            "a mask selects elements, and which ones depends on symbols; use np.where, or a numerical backend"
        )
    return _nonzero(conditions, count=count)


nonzero = general(
    _nonzero,
    None,
    None,
    name="nonzero",
    abstract=lambda mask, count: Aval((*mask.shape[:-1], count), INTEGER),
    exact=_nonzero_exact,
    examples="finds the positions of a fixed number of elements",
    batch=lambda size, flags, mask, count: REGISTRY["nonzero"](mask, count=count),
    flops=lambda avals, out, **params: float(avals[0].size),
    samples=lambda: [
        ((np.array([True, False, True, True]),), {"count": 3}),
        ((np.array([[False, True, False], [True, False, False]]),), {"count": 1}),
        ((np.array([False, False]),), {"count": 0}),
    ],
    excuse=EXCUSE,
    device=_nonzero_device,
)


def _strides(shape, order):
    """How many places one step along each axis is in an array of that shape."""
    if order == "C":
        return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return [math.prod(shape[:axis]) for axis in range(len(shape))]


def _unravel_device(xp, positions, *, shape, order, axis):
    # CuPy's own waits for the GPU, to raise for a position out of range; here it is as undefined as in its indexing.
    return positions // _strides(shape, order)[axis] % shape[axis]


def _ravel_device(xp, *indices, shape, mode, order):
    modes = (mode,) * len(shape) if isinstance(mode, str) else mode
    total = 0
    for index, size, step, how in zip(indices, shape, _strides(shape, order), modes, strict=True):
        inside = index % size if how == "wrap" else xp.clip(index, 0, size - 1) if how == "clip" else index
        total = total + step * inside.astype(INTEGER)
    return total


unravel_index = general(
    lambda positions, *, shape, order, axis: np.unravel_index(positions, shape, order)[axis],
    None,
    None,
    name="unravel_index",
    abstract=lambda positions, **params: Aval(positions.shape, INTEGER),
    examples=examples.aligned,
    batch=broadcasting("unravel_index"),
    samples=lambda: [
        ((np.array([[0, 7], [11, 4]]),), {"shape": (3, 4), "order": order, "axis": axis})
        for order, axis in (("C", 0), ("F", 1))
    ],
    excuse=EXCUSE,
    device=_unravel_device,
)

ravel_multi_index = general(
    lambda *indices, shape, mode, order: np.ravel_multi_index(indices, shape, mode=mode, order=order),
    None,
    None,
    name="ravel_multi_index",
    abstract=lambda *indices, **params: Aval(broadcast_shapes(*[index.shape for index in indices]), INTEGER),
    examples=examples.aligned,
    batch=broadcasting("ravel_multi_index"),
    samples=lambda: [
        ((np.array([0, 2, 1]), np.array([[3], [0]])), {"shape": (3, 4), "mode": "raise", "order": "C"}),
        ((np.array([-1, 7]), np.array([9, -9])), {"shape": (3, 4), "mode": ("wrap", "clip"), "order": "F"}),
    ],
    excuse=EXCUSE,
    device=_ravel_device,
)
