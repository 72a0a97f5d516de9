"""Indexing with everything that NumPy takes: integers, slices, None, dots, integer arrays, masks, and mixtures.

What is static (integers, slices, None) becomes one ``slice`` and one ``reshape``.  Index arrays become one ``gather``,
whose transpose adds up where an element was taken twice.  A mask becomes the positions that it selects: their number
is what Python must know, so it is a guard, and the positions themselves are live.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..arrays import is_device_array, to_host
from ..errors import TraceError, user_location
from ..primitives.index import is_adjacent
from ..primitives.record import Traced
from ..promotion import innermost
from .common import BIND, arrayed, implements
from .shapes import reshape

Key = tuple[Any, ...]


@implements(np.ndarray.__getitem__)
def getitem(x: Any, key: Any) -> Any:
    given = tuple(map(_entry, key)) if isinstance(key, tuple) else (_entry(key),)
    entries = expanded(given, x.shape)
    if not any(_is_array(entry) for entry in entries):
        return basic(x, entries)
    picks = [i for i, entry in enumerate(given) if not (entry is None or entry is Ellipsis or isinstance(entry, slice))]
    return advanced(x, entries, adjacent=picks == list(range(picks[0], picks[-1] + 1)))


def _is_array(entry: Any) -> bool:
    return isinstance(entry, Traced | np.ndarray)


def _entry(entry: Any) -> Any:
    """One entry of a key as None, dots, a slice, a Python integer, a plain array, or a traced array."""
    if type(entry) is int:
        return entry
    if entry is None or entry is Ellipsis or isinstance(entry, slice | Traced):
        return entry
    if is_device_array(entry):
        entry = to_host(entry)  # positions are looked at while tracing, as any other constant index
    if isinstance(entry, bool | np.bool_):
        return np.asarray(entry)
    if isinstance(entry, list | tuple | np.ndarray):
        array = _from_list(entry)
        if isinstance(array, np.ndarray) and not array.size and not isinstance(entry, np.ndarray):
            return array.astype(np.intp)
        return operator.index(array.item()) if array.shape == () and _is_plain_integer(array) else array
    try:
        return operator.index(entry)
    except TypeError:
        raise TraceError(
            f"indexing at {user_location()} with {entry!r}: an index is an integer, a slice, `...`, None, or an array "
            "of integers or booleans"
        ) from None


def _from_list(entry: Any) -> Any:
    """A list as an array; one with traced integers in it, which NumPy would ask for their values, is stacked."""
    if isinstance(entry, list | tuple) and _holds_traced(entry):
        return np.stack([_from_list(one) for one in entry])
    return arrayed(entry)


def _holds_traced(entry: Any) -> bool:
    if isinstance(entry, list | tuple):
        return any(map(_holds_traced, entry))
    return isinstance(entry, Traced)


def _is_plain_integer(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind in "iu"


def _consumed(entry: Any) -> int:
    """How many axes an entry of a key speaks of."""
    if entry is None or entry is Ellipsis:
        return 0
    return entry.ndim if _is_array(entry) and entry.dtype.kind == "b" else 1


def expanded(key: Key, shape: tuple[int, ...]) -> Key:
    """The key with its dots written out and full slices appended."""
    taken = sum(map(_consumed, key))
    places = [i for i, entry in enumerate(key) if entry is Ellipsis]
    if taken > len(shape):
        raise TraceError(f"too many indices at {user_location()}: {taken} for {len(shape)} dimensions")
    if len(places) > 1:
        raise TraceError(f"indexing at {user_location()}: an index can have only one ellipsis ('...')")
    fill = (slice(None),) * (len(shape) - taken)
    if not places:
        return (*key, *fill)
    return (*key[: places[0]], *fill, *key[places[0] + 1 :])


def basic(x: Any, key: Key) -> Any:
    """Integers, slices and None: one slice and one reshape."""
    slices: list[tuple[int, int, int]] = []
    target = []
    axis = 0
    for entry in key:
        if entry is None:
            target.append(1)
            continue
        extent = x.shape[axis]
        if isinstance(entry, slice):
            a, b, c = _ends(entry, extent)
            count = len(range(a, b, c))
            a, b = (a, b) if count else (0, 0)  # an empty slice with a negative start would count from the end
            slices.append((a, b, c))
            target.append(count)
        else:
            _check_bounds(entry, entry, axis, extent)
            slices.append((entry % extent, entry % extent + 1, 1))
        axis += 1
    if slices != [(0, n, 1) for n in x.shape]:
        start, stop, step = zip(*slices, strict=True)
        x = BIND["slice"](x, start=start, stop=stop, step=step)
    return x if x.shape == (shape := tuple(target)) else BIND["reshape"](x, shape=shape)


def _ends(entry: slice, extent: int) -> tuple[int, int, int]:
    try:
        return entry.indices(extent)
    except (TypeError, ValueError) as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"indexing at {user_location()} with {entry}: {error}") from None


def _check_bounds(low: int, high: int, axis: int, extent: int) -> None:
    if not -extent <= low <= high < extent:
        worst = high if high >= extent else low
        raise TraceError(f"index {worst} at {user_location()} is out of bounds for axis {axis} of size {extent}")


def advanced(x: Any, key: Key, *, adjacent: bool) -> Any:
    """Index arrays among other entries; repeated indices are summed in the derivative.

    Slices are taken first. Then each entry of the key is to speak of exactly one axis: None and a mask without axes
    get one of size 1, and the axes of a larger mask are merged. What is left are index arrays and full slices.
    """
    sliced = []
    for entry in key:
        if isinstance(entry, slice):
            sliced.append(entry)
        elif entry is not None:
            sliced.extend([slice(None)] * _consumed(entry))
    y = basic(innermost((x, *key)).lift(x), tuple(sliced))
    shape: list[int] = []
    axes, indices = [], []
    axis = 0
    for entry in key:
        extents = y.shape[axis : axis + _consumed(entry)]
        if not (entry is None or isinstance(entry, slice)):
            axes.append(len(shape))
            indices.append(_index(entry, axis, extents))
        shape.append(int(np.prod(extents, dtype=np.intp)))
        axis += len(extents)
    y = reshape(y, tuple(shape))
    builder = innermost((y, *indices))
    result = builder.bind(
        BIND["gather"], (builder.lift(y), *[builder.lift(index) for index in indices]), {"axes": tuple(axes)}
    )
    if is_adjacent(tuple(axes)) and not adjacent:  # apart by dots that stand for no axes: NumPy puts the index first
        ndim = max(np.ndim(index) for index in indices)
        order = (*range(axes[0], axes[0] + ndim), *range(axes[0]), *range(axes[0] + ndim, result.ndim))
        result = np.transpose(result, order)
    return result


def _index(entry: Any, axis: int, extents: tuple[int, ...]) -> Any:
    """An entry as an array of integers that index one axis (of a mask: of the merged axes)."""
    index = np.asarray(entry) if isinstance(entry, int) else entry
    if index.dtype.kind == "b":
        if index.shape != extents:
            raise TraceError(
                f"indexing at {user_location()} with a mask of shape {index.shape}, where the array indexed has "
                f"{extents} from axis {axis} on"
            )
        return selected(index)
    if index.dtype.kind not in "iu":
        raise TraceError(f"indexing at {user_location()} with an array of dtype {index.dtype}")
    if isinstance(index, np.ndarray) and index.size:
        _check_bounds(index.min(), index.max(), axis, extents[0])
    return index


def selected(mask: Any) -> Any:
    """Positions in the flattened mask where it holds; of a traced one, their number is a guard."""
    if not isinstance(mask, Traced):
        return np.flatnonzero(mask)
    holds: Any = mask
    if mask.dtype.kind != "b":
        holds = np.not_equal(holds, 0)
    holds = np.ravel(holds)
    return BIND["nonzero"](holds, count=operator.index(np.sum(holds)))
