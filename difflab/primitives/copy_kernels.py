"""Copies of strided views on a GPU, in words as long as the layouts allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .raw_kernels import Layout, Text, empty, launch, offset, split


def copy(xp: Any, x: Any, *, out: Any = None) -> Any:
    """A copy of a strided view in one kernel, in words of up to 16 bytes where runs of elements allow it.

    Args:
        xp: ``cupy``.
        x: any view, as overlapping windows are.
        out: the array to fill, of the shape of x or of another shape with as many elements, then in C order.

    Returns:
        ``out``, or a fresh array in C order.

    Raises:
        ValueError: an ``out`` of another shape that is not in C order.
    """
    out = empty(xp, out, x.shape, x.dtype)
    if out.shape != x.shape and not out.flags.c_contiguous:
        raise ValueError(f"a copy of shape {x.shape} fills an array of shape {out.shape} only if that is in C order")
    launch(xp, "copy", _copy_text, [x], out if out.shape == x.shape else out.reshape(x.shape))
    return out


def concatenate(xp: Any, *arrays: Any, axis: int, out: Any = None) -> Any:
    """Arrays behind each other along an axis, each by a copy of its own where an array is given to fill.

    CuPy's own function uploads the addresses of more than eight small arrays, which no captured graph may do.

    Args:
        xp: ``cupy``.
        arrays: of one dtype, and of one shape but for that axis.
        axis: along which, counted from the front.
        out: the array to fill.

    Returns:
        ``out``, or a fresh array.

    Example:
        >>> import numpy as np
        >>> concatenate(np, np.zeros(2), np.ones(1), axis=0)
        array([0., 0., 1.])
    """
    if out is None:
        return xp.concat(arrays, axis=axis)
    begin = 0
    for array in arrays:
        end = begin + array.shape[axis]
        copy(xp, array, out=out[(slice(None),) * axis + (slice(begin, end),)])
        begin = end
    return out


def _merged(x: Layout, out: Layout) -> list[tuple[int, int, int]]:
    """Axes as (size, stride there, stride here), with those made one that both arrays run through in one go."""
    axes: list[tuple[int, int, int]] = []
    for size, there, here in zip(x.shape, x.strides, out.strides, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1:] == (size * there, size * here):
            axes[-1] = (axes[-1][0] * size, there, here)
        else:
            axes.append((size, there, here))
    return axes or [(1, 1, 1)]


def _copy_text(x: Layout, out: Layout) -> Text:
    axes = _merged(x, out)
    count = together(axes, min(x.alignment, out.alignment), x.dtype.itemsize)
    if count > 1:
        outer = [(size, there // count, here // count) for size, there, here in axes[:-1]]
        axes = [*outer, (axes[-1][0] // count, 1, 1)]
    word = count * x.dtype.itemsize
    names = [f"a{position}" for position in range(len(axes))]
    body = f"""
        {split("i", names, [size for size, _, _ in axes])}
        ((W*)out)[{offset(names, [here for _, _, here in axes])}]
            = ((const W*)x0)[{offset(names, [there for _, there, _ in axes])}];"""
    return Text(x.size // count, body, word_type(word))


def word_type(nbytes: int) -> str:
    """The definition of ``W``, a type of so many bytes: 1, 2, 4, 8 or 16."""
    words = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long long"}
    if nbytes in words:
        return f"typedef {words[nbytes]} W;"
    return "struct __align__(16) W { unsigned long long low, high; };"


def together(axes: Sequence[tuple[int, int, int]], alignment: int, itemsize: int) -> int:
    """How many elements make a word: as many as divide the inner run and every distance, up to 16 bytes.

    Args:
        axes: (size, stride in one array, stride in the other), in elements.
        alignment: bytes by which both arrays are aligned.
        itemsize: bytes of an element.

    Returns:
        A power of two.

    Example:
        >>> together([(3, 16, 8), (8, 1, 1)], 16, 4), together([(3, 16, 8), (8, 2, 1)], 16, 4)
        (4, 1)
    """
    *others, (size, there, here) = axes
    count = 1
    while there == here == 1 and 2 * count * itemsize <= alignment:
        if size % (2 * count) or any(a % (2 * count) or b % (2 * count) for _, a, b in others):
            break
        count *= 2
    return count
