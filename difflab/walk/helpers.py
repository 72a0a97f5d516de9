"""Source of the small functions that flat code calls where NumPy has none: plain NumPy, printed as it stands here."""

from __future__ import annotations

SOURCES: dict[str, str] = {
    "complex_of": '''
def complex_of(re, im):
    """Complex numbers from their parts."""
    out = np.empty(np.broadcast_shapes(np.shape(re), np.shape(im)), np.result_type(re.dtype, np.complex64))
    out.real, out.imag = re, im
    return out
''',
    "pad": '''
def pad(x, widths):
    """Zeros around an array."""
    out = np.zeros(tuple(low + size + high for (low, high), size in zip(widths, x.shape)), x.dtype)
    out[tuple(slice(low, low + size) for (low, _), size in zip(widths, x.shape))] = x
    return out
''',
    "unslice": '''
def unslice(g, region, shape):
    """The transpose of x[region]: zeros but for what was taken."""
    out = np.zeros(shape, g.dtype)
    out[region] = g
    return out
''',
    "scatter_add": '''
def scatter_add(g, position, shape):
    """The transpose of x[position]: every element goes back to where it was taken from."""
    out = np.zeros(shape, g.dtype)
    np.add.at(out, position, g)
    return out
''',
    "corner": '''
def corner(offset, stride, count):
    """The slice that takes count elements from an offset."""
    return slice(offset, offset + (count - 1) * stride + 1, stride)
''',
    "positions": '''
def positions(size, stride, shape):
    """How many windows fit into the rows and columns of images."""
    return (shape[1] - size[0]) // stride[0] + 1, (shape[2] - size[1]) // stride[1] + 1
''',
    "windows": '''
def windows(x, size, stride):
    """im2col: every window over the images (batch, rows, columns, channels), as a view."""
    rows, columns = positions(size, stride, x.shape)
    batch, down, right, channel = x.strides
    steps = (batch, stride[0] * down, stride[1] * right, down, right, channel)
    shape = (x.shape[0], rows, columns, *size, x.shape[3])
    return np.lib.stride_tricks.as_strided(x, shape, steps, writeable=False)
''',
    "fold": '''
def fold(g, size, stride, shape):
    """col2im, the transpose of windows: every window's entries are added to the pixels that they came from."""
    out = np.zeros(shape, g.dtype)
    rows, columns, height, width = g.shape[1:5]
    for i in range(height):
        for j in range(width):
            out[:, corner(i, stride[0], rows), corner(j, stride[1], columns)] += g[:, :, :, i, j]
    return out
''',
    "cells": '''
def cells(x, size, stride):
    """The first, second, ... element of every window, in row-major order, as views."""
    rows, columns = positions(size, stride, x.shape)
    for i in range(size[0]):
        for j in range(size[1]):
            yield x[:, corner(i, stride[0], rows), corner(j, stride[1], columns)]
''',
    "max_pool": '''
def max_pool(x, size, stride):
    """The greatest element of every window."""
    first, *others = cells(x, size, stride)
    out = np.array(first, order="C")
    for cell in others:
        np.maximum(out, cell, out=out)
    return out
''',
    "firsts": '''
def firsts(x, y, size, stride):
    """For every element of a window, where it is the first that attains the maximum; NaN is one."""
    free = np.ones(y.shape, bool)
    for cell in cells(x, size, stride):
        hit = free & ((cell == y) | (np.isnan(cell) & np.isnan(y)))
        free &= ~hit
        yield hit
''',
    "pool_select": '''
def pool_select(t, x, y, size, stride):
    """Of every window the element of t that stands where x is greatest."""
    out = np.zeros_like(y)
    for cell, hit in zip(cells(t, size, stride), firsts(x, y, size, stride)):
        np.copyto(out, cell, where=hit)
    return out
''',
    "pool_route": '''
def pool_route(g, x, y, size, stride):
    """The transpose of a maximum: every cotangent goes to the first element that attained it."""
    out = np.zeros_like(x)
    apart = stride[0] >= size[0] and stride[1] >= size[1]
    for cell, hit in zip(cells(out, size, stride), firsts(x, y, size, stride)):
        np.copyto(cell, g if apart else cell + g, where=hit)
    return out
''',
    "recurrence": '''
def recurrence(a, b, axis, reverse):
    """s[i] = a[i] s[i-1] + b[i] along an axis."""
    s = np.array(b)
    a, line = np.moveaxis(a, axis, 0), np.moveaxis(s, axis, 0)
    step = -1 if reverse else 1
    for i in range(len(line))[::step][1:]:
        line[i] += a[i] * line[i - step]
    return s
''',
}

# A primitive -> its helpers, each after those that it calls.
HELPERS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in ("complex_of", "pad", "unslice", "scatter_add", "recurrence")},
    "windows": ("positions", "windows"),
    "fold": ("corner", "fold"),
    "max_pool": ("corner", "positions", "cells", "max_pool"),
    "pool_select": ("corner", "positions", "cells", "firsts", "pool_select"),
    "pool_route": ("corner", "positions", "cells", "firsts", "pool_route"),
}
