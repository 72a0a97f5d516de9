"""Windows over images and pooling. Images are NHWC, ``size`` and ``stride`` are pairs (rows, columns).

A convolution is ``windows``, reshape, matmul: its two gradients need no rule of their own.  Pooling routes
to the first maximal element of a window, in row-major order, as the kink table says; where a window holds NaN,
its maximum is NaN and the first NaN is that element.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from . import dependence, examples, neural_kernels
from . import exact_rules as exact
from .batching import spread_lanes
from .constructors import general, linear
from .record import OUT, REGISTRY, Aval, Call, Operand, zeros


def output_size(size: tuple[int, int], stride: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of window positions over an image batch of that shape."""
    return (shape[1] - size[0]) // stride[0] + 1, (shape[2] - size[1]) // stride[1] + 1


def _windows(x, *, size, stride):
    rows, columns = output_size(size, stride, x.shape)
    batch, down, right, channel = x.strides
    shape = (x.shape[0], rows, columns, *size, x.shape[3])
    return as_strided(x, shape, (batch, stride[0] * down, stride[1] * right, down, right, channel), writeable=False)


def _windows_abstract(x, size, stride):
    rows, columns = output_size(size, stride, x.shape)
    return Aval((x.shape[0], rows, columns, *size, x.shape[3]), x.dtype)


def _corner(offset, stride, count):
    """The slice that takes ``count`` elements from ``offset`` in steps of ``stride``."""
    return slice(offset, offset + (count - 1) * stride + 1, stride)


def _fold_add(g, out, stride):
    """Add every window entry of ``g`` to the pixel it came from."""
    rows, columns, height, width = g.shape[1:5]
    for i in range(height):
        for j in range(width):
            target = out[:, _corner(i, stride[0], rows), _corner(j, stride[1], columns)]
            np.add(target, g[:, :, :, i, j], out=target)


def _fold(g, *, size, stride, shape):
    out = zeros(shape, g)
    _fold_add(g, out, stride)
    return out


def _fold_depends(table, g, *, size, stride, shape):
    targets = dependence.places(shape)
    inside = _windows(targets, size=size, stride=stride)
    return table.grouped(inside, g.ids, targets.size).reshape(shape)


def _fold_into(avals, *, size, stride, shape):
    def run(g, out):
        out.fill(0)
        _fold_add(g, out, stride)

    return Call(run, (Operand(0), OUT))


def _more_images(name):
    """The batching rule of what treats each image by itself: lanes of images are more images."""

    def batch(count, flags, /, *operands, **params):
        together = []
        for operand, flag in zip(operands, flags, strict=True):
            lanes = spread_lanes(count, flag, operand)
            together.append(REGISTRY["reshape"](lanes, shape=(count * lanes.shape[1], *lanes.shape[2:])))
        if "shape" in params:
            params["shape"] = (count * params["shape"][0], *params["shape"][1:])
        result = REGISTRY[name](*together, **params)
        return REGISTRY["reshape"](result, shape=(count, result.shape[0] // count, *result.shape[1:]))

    return batch


def _images(*shape):
    return np.sin(1.3 * np.arange(1.0, 1.0 + np.prod(shape))).reshape(shape)


WINDOWS = [((2, 2), (2, 2)), ((3, 3), (1, 1)), ((2, 3), (2, 1)), ((1, 1), (2, 2))]

windows = linear(
    _windows,
    lambda cotangent, x, wanted, size, stride: (
        fold(cotangent, size=size, stride=stride, shape=x.shape) if wanted[0] else None,
    ),
    name="windows",
    examples=examples.images(5),
    batch=_more_images("windows"),
    device=neural_kernels.windows,
    abstract=_windows_abstract,
    view=True,
    samples=lambda: [((_images(2, 4, 5, 2),), {"size": size, "stride": stride}) for size, stride in WINDOWS],
)

fold = linear(
    _fold,
    lambda cotangent, g, wanted, size, stride, shape: (
        windows(cotangent, size=size, stride=stride) if wanted[0] else None,
    ),
    name="fold",
    depends=_fold_depends,
    examples=examples.images(3, "shape"),
    batch=_more_images("fold"),
    device=neural_kernels.fold,
    abstract=lambda g, size, stride, shape: Aval(shape, g.dtype),
    into=_fold_into,
    flops=lambda avals, out, **params: float(avals[0].size),
    samples=lambda: [
        (
            (_images(2, *output_size(size, stride, (2, 4, 5, 2)), *size, 2),),
            {"size": size, "stride": stride, "shape": (2, 4, 5, 2)},
        )
        for size, stride in WINDOWS
    ],
)


def bordered(x, padding):
    """Images with their outermost rows and columns repeated, the padding of a maximum; at most size - 1 on a side.

    A window over the border then holds repeats of pixels that are in it, in row-major order. Its maximum, the first
    element that is maximal, and NaN are those of its pixels alone, in every dtype, and cotangents return to pixels.
    """
    for axis, (before, after) in zip((1, 2), padding, strict=True):
        if before or after:
            last = x.shape[axis] - 1
            edges = [_edge(x, axis, 0)] * before, [_edge(x, axis, last)] * after
            x = REGISTRY["concatenate"](*edges[0], x, *edges[1], axis=axis)
    return x


def _edge(x, axis, at):
    """The row or column at a position, as an image of its own."""
    start = tuple(at if i == axis else 0 for i in range(4))
    stop = tuple(at + 1 if i == axis else n for i, n in enumerate(x.shape))
    return REGISTRY["slice"](x, start=start, stop=stop, step=(1, 1, 1, 1))


def _cells(x, size, stride):
    """The strided views of ``x`` that hold the first, second, ... element of every window, in row-major order."""
    rows, columns = output_size(size, stride, x.shape)
    for i in range(size[0]):
        for j in range(size[1]):
            yield x[:, _corner(i, stride[0], rows), _corner(j, stride[1], columns)]


def _max_pool_fill(x, out, size, stride):
    cells = _cells(x, size, stride)
    first = next(cells)
    second = next(cells, None)
    if second is None:
        np.copyto(out, first)
        return
    np.maximum(first, second, out=out)
    for cell in cells:
        np.maximum(out, cell, out=out)


def _max_pool(x, *, size, stride):
    rows, columns = output_size(size, stride, x.shape)
    out = np.empty((x.shape[0], rows, columns, x.shape[3]), dtype=x.dtype, like=x)
    _max_pool_fill(x, out, size, stride)
    return out


def _firsts(x, y, size, stride):
    """For every cell the mask of windows whose first maximal element it is."""
    free = None
    lost = y.dtype.kind == "f" and y.size > 0 and np.isnan(y.max())  # one NaN spoils the maximum of all
    for cell in _cells(x, size, stride):
        hit = np.equal(cell, y)
        if lost:  # NaN equals nothing, and is the maximum of every window that holds it
            np.logical_or(hit, np.isnan(cell), out=hit)
        if free is None:
            free = ~hit
        else:
            np.logical_and(hit, free, out=hit)
            np.logical_xor(free, hit, out=free)
        yield hit


MASKED = {"f2": np.int16, "f4": np.int32, "f8": np.int64}
"""Integers as long as a floating number."""


def _pool_select_fill(t, x, y, out, size, stride):
    out.fill(0)
    for cell, hit in zip(_cells(t, size, stride), _firsts(x, y, size, stride), strict=True):
        np.copyto(out, cell, where=hit)


def _pool_route_fill(g, x, y, out, size, stride):
    disjoint = stride[0] >= size[0] and stride[1] >= size[1]
    tiled = size == stride and x.shape[1] % size[0] == 0 and x.shape[2] % size[1] == 0
    if not (tiled and disjoint):
        out.fill(0)
    words = MASKED.get(g.dtype.str[1:]) if disjoint else None
    for cell, hit in zip(_cells(out, size, stride), _firsts(x, y, size, stride), strict=True):
        if words is not None:  # the bits of g and 0 or all ones: quicker than a choice, and as exact
            mask = np.negative(hit.view(np.int8)).astype(words)
            np.bitwise_and(g.view(words), mask, out=cell.view(words))
        elif disjoint:
            np.copyto(cell, np.where(hit, g, 0))
        else:
            np.add(cell, g, out=cell, where=hit)


def _pool_select(t, x, y, *, size, stride):
    out = np.zeros_like(y)
    _pool_select_fill(t, x, y, out, size, stride)
    return out


def _pool_route(g, x, y, *, size, stride):
    out = np.zeros_like(x)
    _pool_route_fill(g, x, y, out, size, stride)
    return out


def _filling(function, count):
    def into(avals, *, size, stride):
        def run(*arrays):
            function(*arrays, size, stride)

        return Call(run, (*map(Operand, range(count)), OUT))

    return into


def _max_pool_abstract(x, size, stride):
    rows, columns = output_size(size, stride, x.shape)
    return Aval((x.shape[0], rows, columns, x.shape[3]), x.dtype)


def _pool_samples():
    x = np.round(2 * _images(2, 4, 5, 2))  # rounding makes ties
    return [((x,), {"size": size, "stride": stride}) for size, stride in WINDOWS]


def _linear_pool_samples(shaped_like):
    result = []
    for (x,), params in _pool_samples():
        y = _max_pool(x, **params)
        moving = _images(*(x if shaped_like == "x" else y).shape)
        result.append(((moving, x, y), params))
    return result


def _max_pool_depends(table, x, *, size, stride):
    return table.along(_windows(x.ids, size=size, stride=stride), (3, 4))


def _pool_select_depends(table, t, x, y, *, size, stride):
    """Which element of a window it takes is not looked up."""
    return _max_pool_depends(table, t, size=size, stride=stride)


def _pool_route_depends(table, g, x, y, *, size, stride):
    """Each element gets what any window that holds it may hand to it."""
    targets = dependence.places(x.ids.shape)
    inside = _windows(targets, size=size, stride=stride)
    ids = np.broadcast_to(g.ids[:, :, :, None, None], inside.shape)
    return table.grouped(inside, ids, targets.size).reshape(targets.shape)


max_pool = general(
    _max_pool,
    lambda tangents, y, x, size, stride: pool_select(tangents[0], x, y, size=size, stride=stride),
    lambda cotangent, y, x, wanted, size, stride: (
        pool_route(cotangent, x, y, size=size, stride=stride) if wanted[0] else None,
    ),
    name="max_pool",
    depends=_max_pool_depends,
    examples=examples.images(3),
    batch=_more_images("max_pool"),
    device=neural_kernels.max_pool,
    abstract=_max_pool_abstract,
    into=_filling(_max_pool_fill, 1),
    exact=exact.max_pool,
    flops=lambda avals, out, size, stride: float(out.size * size[0] * size[1]),
    samples=_pool_samples,
)

pool_select = linear(
    _pool_select,
    lambda cotangent, t, x, y, wanted, size, stride: (
        pool_route(cotangent, x, y, size=size, stride=stride) if wanted[0] else None,
        None,
        None,
    ),
    name="pool_select",
    depends=_pool_select_depends,
    examples=examples.images(3),
    batch=_more_images("pool_select"),
    device=neural_kernels.pool_select,
    abstract=lambda t, x, y, size, stride: Aval(y.shape, t.dtype),
    into=_filling(_pool_select_fill, 3),
    exact=exact.pool_select,
    samples=lambda: _linear_pool_samples("x"),
    moving=1,
)

pool_route = linear(
    _pool_route,
    lambda cotangent, g, x, y, wanted, size, stride: (
        pool_select(cotangent, x, y, size=size, stride=stride) if wanted[0] else None,
        None,
        None,
    ),
    name="pool_route",
    depends=_pool_route_depends,
    examples=examples.images(3),
    batch=_more_images("pool_route"),
    device=neural_kernels.pool_route,
    abstract=lambda g, x, y, size, stride: Aval(x.shape, g.dtype),
    into=_filling(_pool_route_fill, 3),
    exact=exact.pool_route,
    samples=lambda: _linear_pool_samples("y"),
    moving=1,
)
