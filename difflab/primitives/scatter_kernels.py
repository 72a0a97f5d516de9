"""Additions to places given by index arrays, on a GPU and in a fixed order: entry after entry, as NumPy adds.

Several entries may meet in one place, and atomic additions would meet in any order.  So the entries are sorted by
their places, those of one place in their own order, by ``target_runs`` and a few ``merge_runs``; ``add_runs`` then has
every element of the result walk its own entries.  Where index arrays are constants of a tape, all but the last is done
once (``transforms/on_devices.py``).  Few entries are not sorted at all: every element of the result looks at each.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .index_kernels import index_axes, places, read_index
from .raw_kernels import Layout, Text, c_type, device_primitive, empty, launch, offset, split, working
from .record import Aval, broadcast_shapes
from .sorting_kernels import RUN, entries, flat_place, merge_runs, target_runs, widths
from .values import device_value

WALKED = 2**24
"""Comparisons up to which every element of the result looks at each entry (not yet measured)."""
LONG = 64
"""Entries for each place from which several threads share a place's sum (not yet measured)."""
ENOUGH = 2**16
"""Threads that keep a GPU busy (not yet measured)."""


def is_walked(count: int, size: int) -> bool:
    """Whether every element of a result looks at each of so many entries.

    Args:
        count: entries.
        size: elements of the result.

    Returns:
        Whether that is quicker than sorting them.

    Example:
        >>> is_walked(10, 1000), is_walked(10**6, 10**6)
        (True, False)
    """
    return count <= RUN or count * size <= WALKED


def pieces(count: int, shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """Into how many sums of its own the sum of each place is cut, so that enough threads have something to do.

    Args:
        count: entries.
        shape: of the result.
        axes: those that are indexed.

    Returns:
        A power of two; 1 keeps NumPy's order of additions.

    Example:
        >>> pieces(10**6, (10,), (0,)), pieces(10**6, (10**6,), (0,))
        (1024, 1)
    """
    size, targets = math.prod(shape), math.prod(shape[axis] for axis in axes)
    if not size or count < LONG * targets or size >= ENOUGH:
        return 1
    wanted = min(2 * count // (LONG * targets), 2 * ENOUGH // size, 1024)
    return 1 << max(wanted.bit_length() - 1, 0)


def scatter_add(xp: Any, g: Any, *indices: Any, shape: Any, axes: tuple[int, ...], out: Any = None) -> Any:
    """Entries added to the places that index arrays give.

    Args:
        xp: ``cupy``.
        g: entries, of the shape that ``gather`` gives.
        indices: integers, one array for each indexed axis; they broadcast.
        shape: of the result.
        axes: those that are indexed.
        out: the array to fill.

    Returns:
        An array of that shape; the bits of NumPy's where ``pieces`` is 1.
    """
    count = entries(indices)
    if is_walked(count, math.prod(shape)):
        out = empty(xp, out, shape, g.dtype)
        return launch(xp, "scatter_add", _walk_text, [g, *indices], out, shape=shape, axes=axes)
    runs = device_value(xp, target_runs, indices, {"shape": shape, "axes": axes})
    for width in widths(count):
        runs = device_value(xp, merge_runs, [runs], {"width": width})
    parts = pieces(count, shape, axes)
    index_shape = broadcast_shapes(*[index.shape for index in indices])
    params = {"shape": shape, "axes": axes, "index_shape": index_shape, "parts": parts}
    if parts == 1:
        out = None if out is None else out.reshape(1, *shape)
        return _add_runs_device(xp, g, runs, out=out, **params).reshape(shape)
    return xp.sum(_add_runs_device(xp, g, runs, **params), axis=0, out=out)


def _sides(shape: Any, axes: Any, index_ndim: int, names: list[str]) -> list[str]:
    """The positions in an entry: those along the index arrays' axes, and those of the result along the others."""
    rest = [name for axis, name in enumerate(names) if axis not in axes]
    at = index_axes(axes)
    return [*rest[:at], *[f"e{axis}" for axis in range(index_ndim)], *rest[at:]]


def _adding(dtype: np.dtype, entry: str) -> str:
    kind, stored = working(dtype), c_type(dtype)
    return f"sum = ({kind})({stored})(sum + ({kind})x0[{entry}]);"


def _walk_text(g: Layout, *others: Layout, shape: Any, axes: tuple[int, ...]) -> Text:
    *indices, out = others
    names = places("p", shape)
    index_shape = broadcast_shapes(*[index.shape for index in indices])
    own = places("e", index_shape)
    read = "".join(
        read_index(position, index, own, shape[axis])
        for position, (index, axis) in enumerate(zip(indices, axes, strict=True), 1)
    )
    mine = " && ".join(f"t{position} == {names[axis]}" for position, axis in enumerate(axes, 1))
    entry = offset(_sides(shape, axes, len(index_shape), names), g.strides)
    body = f"""
        {split("i", names, shape)}
        {working(g.dtype)} sum = ({working(g.dtype)})0;
        for (U e = 0; e < {math.prod(index_shape)}; ++e) {{
            {split("e", own, index_shape)}
            bool inside = true;
            {read}
            if (inside && {mine}) {_adding(g.dtype, entry)}
        }}
        out[{offset(names, out.strides)}] = ({c_type(g.dtype)})sum;"""
    return Text(out.size, body)


# ---------------------------------------------------------------------------- adding them


def _add_runs(g: Any, pairs: Any, *, shape: Any, axes: Any, index_shape: Any, parts: int) -> np.ndarray:
    keys, order = np.asarray(pairs)
    out = np.zeros((parts, *shape), g.dtype)
    targets = math.prod(shape[axis] for axis in axes)
    low, high = np.searchsorted(keys, np.arange(targets)), np.searchsorted(keys, np.arange(targets), "right")
    share = np.maximum(-(-(high - low) // parts), 1)
    keep = keys < targets
    keys, order, at = keys[keep], order[keep], np.arange(keys.size)[keep]
    part = (at - low[keys]) // share[keys]
    at_axes = index_axes(axes)
    front = np.moveaxis(g, range(at_axes, at_axes + len(index_shape)), range(len(index_shape)))
    rows = front.reshape(-1, *front.shape[len(index_shape) :])[order]
    rest = [axis + 1 for axis in range(len(shape)) if axis not in axes]
    view = np.transpose(out, (0, *[axis + 1 for axis in axes], *rest))
    np.add.at(view, (part, *np.unravel_index(keys, [shape[axis] for axis in axes])), rows)
    return out


def _add_runs_device(
    xp: Any, g: Any, pairs: Any, *, shape: Any, axes: Any, index_shape: Any, parts: int, out: Any = None
) -> Any:
    params = {"shape": shape, "axes": axes, "index_shape": index_shape, "parts": parts}
    return launch(xp, "add_runs", _add_text, [g, pairs], empty(xp, out, (parts, *shape), g.dtype), **params)


def _add_text(g: Layout, pairs: Layout, out: Layout, shape: Any, axes: Any, index_shape: Any, parts: int) -> Text:
    names = places("p", shape)
    count, (row, step) = pairs.shape[1], pairs.strides
    entry = offset(_sides(shape, axes, len(index_shape), names), g.strides)
    target = flat_place(shape, axes, [f"(long long){names[axis]}" for axis in axes])
    share = f"""
        U stop = low;
        for (U high = {count}; stop < high;) {{
            const U probe = stop + (high - stop) / 2;
            if (x1[(I)probe * {step}] <= target) stop = probe + 1; else high = probe;
        }}
        const U share = (stop - low + {parts - 1}) / {parts};
        low += (U)piece * share;
        const U end = stop < low + share ? stop : low + share;"""
    body = f"""
        {split("i", ["piece", *names], (parts, *shape))}
        const {c_type(pairs.dtype)} target = ({c_type(pairs.dtype)})({target});
        U low = 0;
        for (U high = {count}; low < high;) {{
            const U probe = low + (high - low) / 2;
            if (x1[(I)probe * {step}] < target) low = probe + 1; else high = probe;
        }}
        {share if parts > 1 else f"const U end = {count};"}
        {working(g.dtype)} sum = ({working(g.dtype)})0;
        for (; low < end && x1[(I)low * {step}] == target; ++low) {{
            const U e = (U)x1[{row} + (I)low * {step}];
            {split("e", places("e", index_shape), index_shape)}
            {_adding(g.dtype, entry)}
        }}
        out[{offset(["piece", *names], out.strides)}] = ({c_type(g.dtype)})sum;"""
    return Text(out.size, body)


add_runs = device_primitive(
    "add_runs",
    _add_runs,
    lambda g, pairs, shape, axes, index_shape, parts: Aval((parts, *shape), g.dtype),
    _add_runs_device,
)
