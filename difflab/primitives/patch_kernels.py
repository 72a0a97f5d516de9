"""Patches of images as rows of a matrix, and back: what a convolution's matrix products take and give, on a GPU.

A tape has them as ``pad``, ``windows`` and ``reshape``, and as ``reshape``, ``fold`` and ``slice``.  One kernel does
each: the border is not stored, no entry is added to a pixel that is cut off.  ``transforms/on_devices.py`` puts them
in; the primitives are no part of a user's tape.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .copy_kernels import together, word_type
from .neural import fold, output_size, windows
from .neural_kernels import fold_text
from .raw_kernels import Layout, Text, device_primitive, empty, launch, offset, split
from .record import REGISTRY, Aval

Border = tuple[tuple[int, int], tuple[int, int]]


def framed(shape: tuple[int, ...], border: Border) -> tuple[int, ...]:
    """The shape of images with a border of zeros: so many rows above and below, columns left and right.

    Example:
        >>> framed((2, 4, 5, 1), ((1, 1), (0, 2)))
        (2, 6, 7, 1)
    """
    (above, below), (left, right) = border
    return (shape[0], shape[1] + above + below, shape[2] + left + right, shape[3])


def patch_shape(shape: tuple[int, ...], size: Any, stride: Any, border: Border) -> tuple[int, ...]:
    """Batch, rows and columns of windows, size of a window, channels: the axes of all patches.

    Example:
        >>> patch_shape((2, 4, 5, 1), (3, 3), (1, 1), ((1, 1), (1, 1)))
        (2, 4, 5, 3, 3, 1)
    """
    whole = framed(shape, border)
    return (whole[0], *output_size(size, stride, whole), *size, whole[3])


def padded(x: np.ndarray, border: Border) -> np.ndarray:
    """Images in their border, by NumPy."""
    return REGISTRY["pad"](x, widths=((0, 0), *border, (0, 0)))


# ---------------------------------------------------------------------------- patches


def _patches(x: np.ndarray, *, size: Any, stride: Any, border: Border) -> np.ndarray:
    axes = patch_shape(x.shape, size, stride, border)
    return windows(padded(x, border), size=size, stride=stride).reshape(math.prod(axes[:3]), math.prod(axes[3:]))


def _patches_aval(x: Any, size: Any, stride: Any, border: Border) -> Aval:
    axes = patch_shape(x.shape, size, stride, border)
    return Aval((math.prod(axes[:3]), math.prod(axes[3:])), x.dtype)


def _patches_device(xp: Any, x: Any, *, size: Any, stride: Any, border: Border, out: Any = None) -> Any:
    out = empty(xp, out, _patches_aval(x, size, stride, border).shape, x.dtype)
    return launch(xp, "patches", _patches_text, [x], out, size=size, stride=stride, border=border)


def _patches_text(x: Layout, out: Layout, size: Any, stride: Any, border: Border) -> Text:
    axes = patch_shape(x.shape, size, stride, border)
    row, step = out.strides
    batch, down, right, channel = x.strides
    distances = [(0, batch, row), (0, down, row), (0, right, row), (axes[5], channel, step)]
    alignment = min(x.alignment, out.alignment) if out.shape[1] % axes[5] == 0 else 1
    count = together(distances, alignment, x.dtype.itemsize)
    (above, _), (left, _) = border
    bare = not any(map(any, border))
    inside = f"p >= 0 && p < {x.shape[1]} && q >= 0 && q < {x.shape[2]}"
    where = offset(("n", "p", "q", "k"), (batch // count, down // count, right // count, channel if count == 1 else 1))
    width = out.shape[1] // count
    to = "i"
    if (row, step) != (out.shape[1], 1):
        to = offset((f"(I)(i / {width})", f"(I)(i % {width})"), (row // count, step if count == 1 else 1))
    body = f"""
        {split("i", ("n", "r", "c", "a", "b", "k"), (*axes[:5], axes[5] // count))}
        const I p = r * {stride[0]} + a - {above}, q = c * {stride[1]} + b - {left};
        {"" if bare else f"const bool inside = {inside};"}
        ((W*)out)[{to}] = {"" if bare else "!inside ? W() : "}((const W*)x0)[{where}];"""
    return Text(out.size // count, body, word_type(count * x.dtype.itemsize))


# ---------------------------------------------------------------------------- back


def _images_of(g: Any, size: Any, stride: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], *output_size(size, stride, shape), *size, shape[3])


def _from_patches(g: np.ndarray, *, size: Any, stride: Any, shape: Any, border: Border) -> np.ndarray:
    whole = fold(g.reshape(_images_of(g, size, stride, shape)), size=size, stride=stride, shape=shape)
    (above, below), (left, right) = border
    return whole[:, above : shape[1] - below, left : shape[2] - right]


def _from_patches_aval(g: Any, size: Any, stride: Any, shape: Any, border: Border) -> Aval:
    (above, below), (left, right) = border
    return Aval(framed(shape, ((-above, -below), (-left, -right))), g.dtype)


def _from_patches_device(
    xp: Any, g: Any, *, size: Any, stride: Any, shape: Any, border: Border, out: Any = None
) -> Any:
    out = empty(xp, out, _from_patches_aval(g, size, stride, shape, border).shape, g.dtype)
    params = {"size": size, "stride": stride, "shape": shape, "border": border}
    return launch(xp, "from_patches", _from_patches_text, [g], out, **params)


def _from_patches_text(g: Layout, out: Layout, size: Any, stride: Any, shape: Any, border: Border) -> Text:
    axes = _images_of(g, size, stride, shape)
    strides, (row, step) = [], g.strides
    for axis in range(6):
        inner = axes[axis + 1 : 3] if axis < 3 else axes[axis + 1 :]
        strides.append(math.prod(inner) * (row if axis < 3 else step))
    apart = Layout(axes, tuple(strides), g.dtype)
    return fold_text(apart, out, size, stride, shape, corner=(border[0][0], border[1][0]))


patches = device_primitive("patches", _patches, _patches_aval, _patches_device)
from_patches = device_primitive("from_patches", _from_patches, _from_patches_aval, _from_patches_device)
