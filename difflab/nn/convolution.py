"""Convolution and its transpose, as products of rows of patches with kernels. Images are NHWC, kernels HWIO."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError, user_location
from ..primitives import arguments, neural, shape
from ..primitives.record import composite

Pair = tuple[int, int]
Sides = tuple[Pair, Pair]


def padded(x: Any, padding: Sides) -> Any:
    """Images inside a border of zeros.

    Args:
        x: images, shape (batch, rows, columns, channels).
        padding: how many rows before and after, and how many columns.

    Returns:
        The larger images; x itself where there is nothing to add.

    Example:
        >>> padded(np.ones((1, 2, 2, 1)), ((1, 0), (0, 0))).shape
        (1, 3, 2, 1)
    """
    return shape.pad(x, widths=((0, 0), *padding, (0, 0))) if any(map(any, padding)) else x


def _extents(kernel: Any, dilation: Pair) -> Pair:
    """Rows and columns that a dilated kernel reaches over."""
    rows, columns = ((size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True))
    return rows, columns


def _patches(x: Any, kernel: Any, stride: Pair, dilation: Pair) -> Any:
    """The pixels under the kernel at every position, (batch, out rows, out columns, *kernel, channels): a view."""
    patches = neural.windows(x, size=_extents(kernel, dilation), stride=stride)
    return patches if dilation == (1, 1) else patches[:, :, :, :: dilation[0], :: dilation[1]]


@composite("conv2d")
def _conv2d(x, w, *, stride, padding, dilation):
    rows, columns, channels, outputs = w.shape
    patches = _patches(padded(x, padding), (rows, columns), stride, dilation)
    batch, height, width = patches.shape[:3]
    flat = np.reshape(patches, (batch * height * width, rows * columns * channels))
    product = flat @ np.reshape(w, (rows * columns * channels, outputs))
    return np.reshape(product, (batch, height, width, outputs))


@composite("grouped_conv2d")
def _grouped_conv2d(x, w, *, stride, padding, dilation, groups):
    """Channels of a group are images of their own, so that one stack of products does all groups."""
    rows, columns, channels, outputs = w.shape
    batch, *extents, _ = x.shape
    apart = np.moveaxis(np.reshape(x, (batch, *extents, groups, channels)), 3, 0)
    images = padded(np.reshape(apart, (groups * batch, *extents, channels)), padding)
    patches = _patches(images, (rows, columns), stride, dilation)
    height, width = patches.shape[1:3]
    inner, share = rows * columns * channels, outputs // groups
    kernels = np.moveaxis(np.reshape(w, (inner, groups, share)), 1, 0)
    product = np.reshape(patches, (groups, batch * height * width, inner)) @ kernels
    together = np.moveaxis(np.reshape(product, (groups, batch, height, width, share)), 0, 3)
    return np.reshape(together, (batch, height, width, outputs))


def conv2d(x: Any, w: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> Any:
    """Two-dimensional convolution (cross-correlation, as networks use it).

    Args:
        x: images, shape (batch, rows, columns, channels), floating, integer or boolean.
        w: kernel, shape (kernel rows, kernel columns, channels / groups, outputs), likewise.
        stride: step between positions, an integer or (rows, columns).
        padding: zeros added on each side, an integer or (rows, columns), or "same" (output as large as input / stride).
        dilation: step between the pixels under the kernel, an integer or (rows, columns).
        groups: into how many parts channels and outputs are divided, in order; each output sees its own part only.

    Returns:
        Array of shape (batch, out rows, out columns, outputs), of the dtype to which NumPy promotes x and w.

    Raises:
        InputError: shapes that do not fit; a stride, padding, dilation or number of groups that is not as above.

    Example:
        >>> import numpy as np
        >>> conv2d(np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 2)), padding="same").shape
        (1, 4, 4, 2)
    """
    x, w = arguments.images(x, "conv2d"), arguments.array(w, "conv2d")
    parts = _groups(groups, x.shape[3], w.shape[-1] if w.shape else 0)
    if len(w.shape) != 4 or w.shape[2] * parts != x.shape[3]:
        share = f" in {parts} groups" if parts > 1 else ""
        raise InputError(
            f"conv2d at {user_location()}: a kernel of shape {w.shape} does not fit images of shape {x.shape}{share}; "
            f"it should be (rows, columns, {x.shape[3] // parts}, outputs)"
        )
    steps, spread = arguments.pair(stride, "stride", "conv2d"), arguments.pair(dilation, "dilation", "conv2d")
    reach = _extents(w.shape[:2], spread)
    sides = _sides(padding, x.shape[1:3], reach, steps)
    for extent, kernel, over, side in zip(x.shape[1:3], w.shape[:2], reach, sides, strict=True):
        if kernel < 1 or over > extent + sum(side):
            wide = f", {over} with its dilation," if over > kernel else ""
            raise InputError(
                f"conv2d at {user_location()}: kernel of {kernel}{wide} does not fit into {extent} pixels with padding "
                f"{side}; it has 1 to {extent + sum(side)} rows or columns"
            )
    if parts == 1:
        return _conv2d(x, w, stride=steps, padding=sides, dilation=spread)
    return _grouped_conv2d(x, w, stride=steps, padding=sides, dilation=spread, groups=parts)


def _groups(groups: Any, channels: int, outputs: int) -> int:
    count = arguments.whole(groups, "groups", "conv2d")
    if channels % count or outputs % count:
        raise InputError(
            f"conv2d at {user_location()}: {count} groups do not divide {channels} channels and {outputs} outputs; "
            "take a number of groups that divides both"
        )
    return count


def _sides(padding: Any, extents: Any, reach: Pair, steps: Pair) -> Sides:
    """Rows before and after, columns before and after; the odd one of "same" comes after."""
    if isinstance(padding, str) and padding == "same":
        sides = []
        for extent, over, step in zip(extents, reach, steps, strict=True):
            total = max((-(-extent // step) - 1) * step + over - extent, 0)
            sides.append((total // 2, total - total // 2))
        return sides[0], sides[1]
    if isinstance(padding, str):
        raise InputError(f"conv2d at {user_location()}: padding is an integer, a pair or 'same', not {padding!r}")
    down, right = arguments.pair(padding, "padding", "conv2d")
    return (down, down), (right, right)


@composite("conv2d_transpose")
def _conv2d_transpose(x, w, *, stride, padding, output_padding):
    rows, columns, outputs, channels = w.shape
    batch, *extents, _ = x.shape
    whole = [
        (extent - 1) * step + size + more
        for extent, step, size, more in zip(extents, stride, (rows, columns), output_padding, strict=True)
    ]
    matrix = np.transpose(np.reshape(w, (rows * columns * outputs, channels)))
    cells = np.reshape(x, (batch * extents[0] * extents[1], channels)) @ matrix
    patches = np.reshape(cells, (batch, *extents, rows, columns, outputs))
    images = neural.fold(patches, size=(rows, columns), stride=stride, shape=(batch, *whole, outputs))
    down, right = padding
    return images[:, down : whole[0] - down, right : whole[1] - right]


def conv2d_transpose(x: Any, w: Any, stride: Any = 1, padding: Any = 0, output_padding: Any = 0) -> Any:
    """Transposed convolution: every pixel adds its multiple of the kernel to the result.

    It is the linear map that pulls cotangents of ``conv2d(y, w, stride, padding)`` back to the images y, so its kernel
    has the shape of that one's: its outputs stand third and its channels last.

    Args:
        x: images, shape (batch, rows, columns, channels), floating, integer or boolean.
        w: kernel, shape (kernel rows, kernel columns, outputs, channels), likewise.
        stride: step in the result from one pixel of x to the next, an integer or (rows, columns).
        padding: rows and columns cut off on each side of the result, an integer or (rows, columns).
        output_padding: rows and columns added below and to the right, fewer than the stride; an integer or
            (rows, columns).

    Returns:
        Array of shape (batch, out rows, out columns, outputs) with out rows =
        (rows - 1) stride - 2 padding + kernel rows + output_padding, of the dtype to which NumPy promotes x and w.

    Raises:
        InputError: shapes that do not fit; a stride or padding that is not as above, or that leaves nothing over.

    Example:
        >>> import numpy as np
        >>> conv2d_transpose(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1)))[0, :, :, 0]
        array([[1., 2., 1.],
               [2., 4., 2.],
               [1., 2., 1.]])
    """
    layer = "conv2d_transpose"
    x, w = arguments.images(x, layer), arguments.array(w, layer)
    if len(w.shape) != 4 or w.shape[3] != x.shape[3]:
        raise InputError(
            f"{layer} at {user_location()}: a kernel of shape {w.shape} does not fit images of shape {x.shape}; it "
            f"should be (rows, columns, outputs, {x.shape[3]})"
        )
    steps = arguments.pair(stride, "stride", layer)
    cut, more = arguments.pair(padding, "padding", layer), arguments.pair(output_padding, "output_padding", layer)
    if any(extra >= step for extra, step in zip(more, steps, strict=True)):
        raise InputError(f"{layer} at {user_location()}: output_padding {more} must be smaller than the stride {steps}")
    left = [
        (extent - 1) * step + size + extra - 2 * off
        for extent, step, size, extra, off in zip(x.shape[1:3], steps, w.shape[:2], more, cut, strict=True)
    ]
    if min(*x.shape[1:3], *w.shape[:2]) < 1 or min(left) < 1:
        raise InputError(
            f"{layer} at {user_location()}: images of shape {x.shape} and a kernel of shape {w.shape} leave no pixel "
            f"over with padding {cut}; take a smaller padding"
        )
    return _conv2d_transpose(x, w, stride=steps, padding=cut, output_padding=more)
