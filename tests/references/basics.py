"""Independent values of primitives: sums, moves, indexing, windows and pooling, written out or in other NumPy calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _placed(x, size, stride):
    rows, columns = (x.shape[1] - size[0]) // stride[0] + 1, (x.shape[2] - size[1]) // stride[1] + 1
    for i in range(rows):
        for j in range(columns):
            a, b = i * stride[0], j * stride[1]
            yield (i, j), (slice(None), slice(a, a + size[0]), slice(b, b + size[1]))


def _windows(x, *, size, stride):
    patches = {at: x[where] for at, where in _placed(x, size, stride)}
    rows, columns = max(patches)
    return np.stack([np.stack([patches[i, j] for j in range(columns + 1)], 1) for i in range(rows + 1)], 1)


def _fold(g, *, size, stride, shape):
    out = np.zeros(shape, g.dtype)
    for (i, j), where in _placed(out, size, stride):
        out[where] += g[:, i, j]
    return out


def _firsts(x, size, stride):
    """(position in the pooled array, position in x) of the first maximum of each window and channel."""
    for (i, j), where in _placed(x, size, stride):
        patch = x[where]
        for n in range(x.shape[0]):
            for c in range(x.shape[3]):
                r, s = np.unravel_index(np.argmax(patch[n, :, :, c]), size)
                yield (n, i, j, c), (n, i * stride[0] + r, j * stride[1] + s, c)


def _pool(t, x, y, *, size, stride):
    out = np.zeros_like(y)
    for pooled, at in _firsts(x, size, stride):
        out[pooled] = t[at]
    return out


def _route(g, x, y, *, size, stride):
    out = np.zeros_like(x)
    for pooled, at in _firsts(x, size, stride):
        out[at] += g[pooled]
    return out


def _unslice(g, *, start, stop, step, shape):
    out = np.zeros(shape, g.dtype)
    out[np.ix_(*[range(a, b, c) for a, b, c in zip(start, stop, step, strict=True)])] = g
    return out


def _scatter(g, *indices, shape, axes):
    """The transpose of NumPy's own indexing, column by column."""
    out = np.zeros(shape, g.dtype)
    for at in np.ndindex(*shape):
        unit = np.zeros(shape)
        unit[at] = 1
        out[at] = np.sum(g * _gather(unit, *indices, axes=axes))
    return out


def _gather(x, *indices, axes):
    return x[tuple(indices[axes.index(axis)] if axis in axes else slice(None) for axis in range(x.ndim))]


REFERENCES: dict[str, Callable[..., Any]] = {
    "sigmoid": lambda x: (1 / (1 + np.exp(-x.astype(np.longdouble)))).astype(x.dtype),
    "relu": lambda x: np.where(np.isnan(x), x, np.where(x > 0, x, np.zeros_like(x))),
    "integer_power": lambda x, n: np.power(x, np.asarray(n, x.dtype)),
    "where": np.where,
    "cast": lambda x, dtype: x.astype(dtype),
    "zeros_like": lambda x: 0 * x,
    "copy": np.array,
    "stop_gradient": np.array,
    "sum": lambda x, axes: np.sum(x, axes),
    "max": lambda x, axes: np.max(x, axes),
    "min": lambda x, axes: np.min(x, axes),
    "argmax": lambda x, axis: np.argmax(x, axis),
    "argmin": lambda x, axis: np.argmin(x, axis),
    "reshape": lambda x, shape: np.array(list(x.ravel())).astype(x.dtype).reshape(shape),
    "transpose": lambda x, axes: np.einsum(x, list(range(x.ndim)), list(axes)),
    "broadcast_to": lambda x, shape: np.ones(shape, x.dtype) * x,
    "concatenate": lambda *xs, axis: np.moveaxis(np.array([r for x in xs for r in np.moveaxis(x, axis, 0)]), 0, axis),
    "pad": lambda x, widths: np.pad(x, widths),
    "slice": lambda x, start, stop, step: x[np.ix_(*map(range, start, stop, step))],
    "unslice": _unslice,
    "gather": _gather,
    "scatter_add": _scatter,
    "matmul": lambda a, b: np.sum(a[..., :, :, None] * b[..., None, :, :], axis=-2),
    "windows": _windows,
    "fold": _fold,
    "max_pool": lambda x, size, stride: _windows(x, size=size, stride=stride).max(axis=(3, 4)),
    "pool_select": _pool,
    "pool_route": _route,
}
