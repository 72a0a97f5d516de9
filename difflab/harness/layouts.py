"""How NumPy goes through strided arrays: the strides of views, and how many inner loops a pass over them takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..primitives.record import Aval

Strides = tuple[int, ...]


def row_major(shape: Sequence[int]) -> Strides:
    """The strides, in elements, of an array in row-major order.

    >>> row_major((2, 3, 4))
    (12, 4, 1)
    """
    found, step = [], 1
    for size in reversed(shape):
        found.append(step)
        step *= max(size, 1)
    return tuple(reversed(found))


def strides_of_view(name: str, params: Mapping[str, Any], source: Aval, strides: Strides, out: Aval) -> Strides:
    """The strides of a view.

    Args:
        name: of the primitive that makes it.
        params: its metadata.
        source: what is viewed.
        strides: of ``source``, in elements.
        out: the view; one that NumPy would have to copy is in row-major order.

    Returns:
        Strides in elements.

    >>> import numpy as np
    >>> square, row = Aval((3, 4), np.dtype("f8")), Aval((4, 3), np.dtype("f8"))
    >>> strides_of_view("transpose", {"axes": (1, 0)}, square, (4, 1), row)
    (1, 4)
    """
    if name == "transpose":
        return tuple(strides[axis] for axis in params["axes"])
    if name == "slice":
        return tuple(stride * step for stride, step in zip(strides, params["step"], strict=True))
    if name == "broadcast_to":
        return aligned(source.shape, strides, out.shape)
    if name == "windows":
        batch, down, right, channel = strides
        rows, columns = params["stride"]
        return (batch, rows * down, columns * right, down, right, channel)
    if out.shape == source.shape:
        return strides
    return row_major(out.shape)


def aligned(shape: Sequence[int], strides: Strides, target: Sequence[int]) -> Strides:
    """The strides with which an array takes part in a pass over ``target``: 0 along axes that it is broadcast over."""
    missing = len(target) - len(shape)
    own = [0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True)]
    return (*[0] * missing, *own)


def inner_loops(shape: Sequence[int], operands: Sequence[Strides]) -> tuple[int, int]:
    """How many inner loops a pass takes, and how many axes it goes through.

    Axes that can be gone through as one are merged, and the fastest is innermost.

    Args:
        shape: of the pass.
        operands: the strides of each array, one per axis; the first array orders the axes.

    Returns:
        1 and 1 where everything is one loop.

    >>> inner_loops((8, 4), [(4, 1), (4, 1)]), inner_loops((8, 4), [(4, 1), (0, 1)])
    ((1, 1), (8, 2))
    """
    if 0 in shape:
        return 1, 1
    order = sorted(range(len(shape)), key=lambda axis: [abs(one[axis]) for one in operands], reverse=True)
    axes = [(shape[axis], [one[axis] for one in operands]) for axis in order if shape[axis] != 1]
    if not axes:
        return 1, 1
    merged = [axes[-1]]
    for size, strides in reversed(axes[:-1]):
        inner, steps = merged[-1]
        if all(stride == step * inner for stride, step in zip(strides, steps, strict=True)):
            merged[-1] = inner * size, steps
        else:
            merged.append((size, strides))
    return math.prod(shape) // merged[0][0], len(merged)
