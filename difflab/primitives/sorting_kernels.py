"""Entries sorted by the places that index arrays give them, on a GPU; those of one place keep their order.

``target_runs`` sorts runs of ``RUN`` entries, one thread each; ``merge_runs`` makes one run of every two, of which each
entry looks up how many in the other one stand before it.  Nothing is allocated on the way and the host waits for
nothing, unlike in CuPy's own sorting, so that it can be captured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .index_kernels import places, read_index
from .raw_kernels import Layout, Text, c_type, device_primitive, empty, launch, split
from .record import Aval, broadcast_shapes

RUN = 32
"""Entries that one thread sorts."""


def entries(indices: Any) -> int:
    """How many entries index arrays place."""
    return math.prod(broadcast_shapes(*[index.shape for index in indices]))


def widths(count: int) -> list[int]:
    """How long sorted runs are before each merging, until one holds all.

    Example:
        >>> widths(100)
        [32, 64]
    """
    found = []
    while (RUN << len(found)) < count:
        found.append(RUN << len(found))
    return found


def number_type(count: int, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.dtype:
    """The integers that count entries and places.

    Example:
        >>> number_type(10, (3,), (0,)).name
        'int32'
    """
    most = max(count, math.prod(shape[axis] for axis in axes))
    return np.dtype(np.int32 if most < 2**31 - 1 else np.int64)


def flat_place(shape: tuple[int, ...], axes: tuple[int, ...], names: Sequence[str]) -> str:
    """The place among the indexed axes, as in a flat array of them."""
    terms, stride = [], 1
    for axis, name in reversed(list(zip(axes, names, strict=True))):
        terms.append(f"{name} * {stride}")
        stride *= shape[axis]
    return " + ".join(terms)


def _keys(indices: Any, shape: Any, axes: Any) -> np.ndarray:
    """Every entry's place among the indexed axes; one past the last for those out of range."""
    arrays = [np.asarray(index, np.int64) for index in indices]
    wrapped = [np.where(index < 0, index + shape[axis], index) for index, axis in zip(arrays, axes, strict=True)]
    flat: Any = np.int64(0)
    inside: Any = np.True_
    for index, axis in zip(wrapped, axes, strict=True):
        flat = flat * shape[axis] + index
        inside = inside & (index >= 0) & (index < shape[axis])
    return np.where(inside, flat, math.prod(shape[axis] for axis in axes)).ravel()


def sorted_runs(indices: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    """All entries sorted by their places, as ``target_runs`` and ``merge_runs`` leave them, by NumPy.

    Args:
        indices: integer arrays, one for each indexed axis.
        shape: of the result.
        axes: those that are indexed.

    Returns:
        An array of shape (2, entries): places, and the numbers of the entries.

    Example:
        >>> sorted_runs([np.array([2, 0, 2])], (3,), (0,)).tolist()
        [[0, 2, 2], [1, 0, 2]]
    """
    keys = _keys(indices, shape, axes)
    order = np.argsort(keys, kind="stable")
    return np.stack([keys[order], order]).astype(number_type(keys.size, shape, axes))


def _runs_of(pairs: np.ndarray, width: int) -> np.ndarray:
    """Pairs with each run of that many sorted."""
    starts = range(0, pairs.shape[1], width)
    orders = [start + np.argsort(pairs[0, start : start + width], kind="stable") for start in starts]
    return pairs[:, np.concatenate([np.zeros(0, int), *orders])]


def _target_runs(*indices: Any, shape: Any, axes: Any) -> np.ndarray:
    keys = _keys(indices, shape, axes)
    return _runs_of(np.stack([keys, np.arange(keys.size)]).astype(number_type(keys.size, shape, axes)), RUN)


def _runs_aval(indices: Any, shape: Any, axes: Any) -> Aval:
    count = entries(indices)
    return Aval((2, count), number_type(count, shape, axes))


def _target_runs_device(xp: Any, *indices: Any, shape: Any, axes: Any, out: Any = None) -> Any:
    aval = _runs_aval(indices, shape, axes)
    out = empty(xp, out, aval.shape, aval.dtype)
    return launch(xp, "target_runs", _target_runs_text, indices, out, shape=shape, axes=axes)


def _target_runs_text(*layouts: Layout, shape: Any, axes: Any) -> Text:
    *indices, out = layouts
    index_shape = broadcast_shapes(*[index.shape for index in indices])
    count, own = math.prod(index_shape), places("e", index_shape)
    # Texts count their operands from 0, and the first index array is one of them here.
    read = "".join(
        read_index(position, index, own, shape[axis])
        for position, (index, axis) in enumerate(zip(indices, axes, strict=True))
    )
    number, (row, step) = c_type(out.dtype), out.strides
    key = flat_place(shape, axes, [f"t{position}" for position in range(len(indices))])
    body = f"""
        const U start = i * {RUN};
        const U end = start + {RUN} < {count} ? start + {RUN} : {count};
        for (U e = start; e < end; ++e) {{
            {split("e", own, index_shape)}
            bool inside = true;
            {read}
            const {number} key = ({number})(inside ? {key} : {math.prod(shape[axis] for axis in axes)});
            U at = e;
            for (; at > start && out[(I)(at - 1) * {step}] > key; --at) {{
                out[(I)at * {step}] = out[(I)(at - 1) * {step}];
                out[{row} + (I)at * {step}] = out[{row} + (I)(at - 1) * {step}];
            }}
            out[(I)at * {step}] = key;
            out[{row} + (I)at * {step}] = ({number})e;
        }}"""
    return Text(-(-count // RUN), body)


def _merge_runs_device(xp: Any, pairs: Any, *, width: int, out: Any = None) -> Any:
    return launch(xp, "merge_runs", _merge_text, [pairs], empty(xp, out, pairs.shape, pairs.dtype), width=width)


def _merge_text(pairs: Layout, out: Layout, width: int) -> Text:
    count, (row, step), (row_out, step_out) = pairs.shape[1], pairs.strides, out.strides
    number = c_type(pairs.dtype)
    body = f"""
        const U base = i / {2 * width} * {2 * width};
        const U middle = base + {width} < {count} ? base + {width} : {count};
        const U end = base + {2 * width} < {count} ? base + {2 * width} : {count};
        const {number} key = x0[(I)i * {step}];
        const bool left = i < middle;
        U low = left ? middle : base, high = left ? end : middle;
        const U from = low;
        while (low < high) {{ // of equal keys those in the left run come first
            const U probe = low + (high - low) / 2;
            const {number} other = x0[(I)probe * {step}];
            if (left ? other < key : other <= key) low = probe + 1; else high = probe;
        }}
        const U at = base + (i - (left ? base : middle)) + (low - from);
        out[(I)at * {step_out}] = key;
        out[{row_out} + (I)at * {step_out}] = x0[{row} + (I)i * {step}];"""
    return Text(count, body)


target_runs = device_primitive(
    "target_runs", _target_runs, lambda *avals, shape, axes: _runs_aval(avals, shape, axes), _target_runs_device
)
merge_runs = device_primitive(
    "merge_runs",
    lambda pairs, width: _runs_of(pairs, 2 * width),
    lambda pairs, width: Aval(pairs.shape, pairs.dtype),
    _merge_runs_device,
)
