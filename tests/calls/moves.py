"""Calls of NumPy's functions: moves, joins, builders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

windows = np.lib.stride_tricks.sliding_window_view


def leaves(result: Any) -> Iterator[Any]:
    if isinstance(result, list | tuple):
        for one in result:
            yield from leaves(one)
    else:
        yield result


def packed(*results: Any) -> Any:
    """All elements of several arrays in one row, and their shapes as numbers."""
    parts = [np.asarray(one) if isinstance(one, bool) else one for one in leaves(results)]
    sizes = [np.array(np.shape(part), np.float32) for part in parts]
    return np.concatenate([np.ravel(part) for part in parts] + sizes)


def pair(x: Any, y: Any) -> Any:
    return np.stack([x, y])


CALLS: dict[str, Callable[..., Any]] = {
    # one array
    "reshape F": lambda x, y, v, s: packed(
        np.reshape(x, (4, 3), order="F"), y.reshape(2, -1, order="F"), x.reshape(-1)
    ),
    "ravel F": lambda x, y, v, s: np.ravel(x, "F") + y.flatten("F") + x.ravel(order="F") + np.ravel(y, order="C"),
    "matrix_transpose": lambda x, y, v, s: np.matrix_transpose(x) + np.linalg.matrix_transpose(y[None])[0] + x[None].mT,
    "rollaxis": lambda x, y, v, s: packed(
        [np.rollaxis(pair(x, y), a, b) for a, b in ((2, 0), (0, 3), (-1, 1), (1, -1))]
    ),
    "moveaxis swapaxes": lambda x, y, v, s: packed(
        np.moveaxis(pair(x, y), (0, 1), (-1, 0)), np.swapaxes(x[None], 0, -1)
    ),
    "roll": lambda x, y, v, s: np.roll(x, 1) + np.roll(y, -1, 0) + np.roll(x, (1, 2), (0, 1)) + np.roll(y, 2, (0, -1)),
    "roll more": lambda x, y, v, s: np.roll(x, [5], axis=-1) + np.roll(x, (1, 1), 1) + np.roll(s, 3) + np.roll(y, 12),
    "fliplr flipud": lambda x, y, v, s: np.fliplr(x) + np.flipud(y) + np.flipud(v) + np.flip(x, (0, -1)) + np.flip(s),
    "rot90": lambda x, y, v, s: packed([np.rot90(x, k) for k in range(-1, 4)], np.rot90(pair(x, y), 3, axes=(2, 0))),
    "expand_dims squeeze": lambda x, y, v, s: packed(
        np.expand_dims(x, (0, 3)), np.squeeze(x[None]), np.expand_dims(s, 0)
    ),
    "atleast": lambda x, y, v, s: packed(
        np.atleast_1d(s),
        np.atleast_2d(s, v, x, 1.0),
        np.atleast_3d(v),
        np.atleast_3d(s, x, x[None]),
        np.atleast_1d([s]),
    ),
    "broadcast": lambda x, y, v, s: packed(
        np.broadcast_arrays(x, v, 1.0), np.broadcast_to(s, ()), np.broadcast_to(v, 4)
    ),
    "tile": lambda x, y, v, s: packed(
        np.tile(v, 3),
        np.tile(x, (2, 1)),
        np.tile(v, (2, 2)),
        np.tile(y, (2, 1, 2)),
        np.tile(s, 3),
        np.tile(v, ()),
        np.tile(x, 0),
    ),
    "repeat": lambda x, y, v, s: packed(
        np.repeat(x, 2),
        np.repeat(x, 2, 1),
        y.repeat(3, axis=0),
        np.repeat(x, [1, 0, 2], 0),
        np.repeat(v, [2]),
        np.repeat(s, 3),
        np.repeat(v, 0),
        np.repeat(x, (1, 2, 3, 0), axis=-1),
        v.repeat(np.array(2)),
    ),
    "resize": lambda x, y, v, s: packed(np.resize(v, (2, 3)), np.resize(x, 5), np.resize(v, 0), np.resize(x, (4, 7))),
    "size of axes": lambda x, y, v, s: x * np.size(x, (0, -1)) + np.shape(pair(x, y))[1] * len(x) * np.ndim(s[None]),
    "elements": lambda x, y, v, s: sum(x[i, j] * i for i, j in np.ndindex(3, 4)) + x.flat[3] + sum(y.flat) + len(v) * s,
    "unpacking": lambda x, y, v, s: (lambda a, b, *rest: a * b + rest[0] * v)(*x),
    # joining and taking apart
    "concatenate ways": lambda x, y, v, s: packed(
        np.concatenate([x, y], axis=None),
        np.concat((x, y), -1),
        np.concatenate([x, [[1, 2, 3, 4]]]),
        np.concatenate(x),
        np.concatenate([v, np.arange(3)], dtype=np.float64, casting="unsafe"),
        np.concatenate([v[:0], v, [s]]),
    ),
    "stack ways": lambda x, y, v, s: packed(
        np.stack([x, y], -1),
        np.stack(x),
        np.stack([v, [1, 2, 3, 4]]),
        np.stack((v, v), dtype="f8"),
        np.vstack([v, v]),
        np.vstack((x, v)),
        np.hstack([s, v]),
        np.hstack((x, y), dtype="f8"),
        np.vstack([x], casting="no"),
    ),
    "dstack column_stack": lambda x, y, v, s: packed(
        np.dstack([v, v]),
        np.dstack((x, y)),
        np.column_stack([v, v]),
        np.column_stack((x.T, v)),
        np.column_stack([s, 2.0]),
    ),
    "append": lambda x, y, v, s: packed(
        np.append(x, y),
        np.append(v, 1.0),
        np.append(x, y, 0),
        np.append(x, [[1], [2], [3]], axis=1),
        np.append([1, 2], v),
    ),
    "block": lambda x, y, v, s: packed(
        np.block([[x, y], [y, x]]),
        np.block([v, v]),
        np.block([s, 1.0]),
        np.block([[x], [v]]),
        np.block(x),
        np.block([[s, v[:3]], [v]]),
        np.block([[[x]], [[y]]]),
    ),
    "split": lambda x, y, v, s: packed(
        np.split(v, 2),
        np.split(x, [1, 2]),
        np.array_split(v, 3),
        np.split(x, 2, axis=-1),
        np.array_split(x, [1, 9, 2], 1),
        np.split(v, []),
        np.split(v, np.array([2, -1])),
        np.array_split(x[:0], 2),
    ),
    "hsplit": lambda x, y, v, s: packed(
        np.hsplit(x, 2),
        np.hsplit(v, [1]),
        np.vsplit(x, 3),
        np.dsplit(x[None], 2),
        np.unstack(x),
        np.unstack(x, axis=-1),
    ),
    "insert": lambda x, y, v, s: packed(
        np.insert(v, 1, s),
        np.insert(x, 1, v, axis=0),
        np.insert(v, [1, 3], [s, 2.0]),
        np.insert(v, [2, 0], s),
        np.insert(x, -1, 5.0, axis=1),
        np.insert(v, slice(0, 3), v[:3]),
        np.insert(x, [1], [[1.0], [2.0], [3.0]], axis=1),
        np.insert(x, 2, np.array([1, 2, 3]), axis=1),
        np.insert(x, 1, s),
        np.insert(np.ones(3, x.dtype), 1, s),
        np.insert(v, 4, [1, 2]),
        np.insert(v, np.array([True, False, True, False]), s),
    ),
    "delete": lambda x, y, v, s: packed(
        np.delete(v, 1),
        np.delete(x, [0, 2], axis=1),
        np.delete(x, slice(None, None, 2), 0),
        np.delete(x, -1),
        np.delete(v, [True, False, False, True]),
        np.delete(v, []),
    ),
    "pad values": lambda x, y, v, s: packed(
        np.pad(x, 1, constant_values=2.0),
        np.pad(x, ((1, 2), (0, 1)), constant_values=((1, 2), (3, 4))),
        np.pad(v, (1, 2), constant_values=s),
        np.pad(x, 1, constant_values=(s, 0)),
        np.pad(x, 1, constant_values=v[:2]),
        np.pad(v, 2, constant_values=-0.0),
        np.pad(s, 3),
        np.pad(x, {0: 1, -1: (2, 3)}),
        np.pad(x, [[1], [2]]),
    ),
    "pad repeats": lambda x, y, v, s: packed(
        np.pad(x, 2, "edge"),
        np.pad(x, (1, 7), "edge"),
        np.pad(x, 5, "reflect"),
        np.pad(x, 5, mode="symmetric"),
        np.pad(x, (5, 9), "wrap"),
        np.pad(x, ((0, 0), (2, 3)), mode="reflect"),
        np.pad(x[:1], 2, "reflect"),
        np.pad(x[:0], ((0, 0), (1, 2)), "edge"),
    ),
    "~pad odd": lambda x, y, v, s: packed(
        np.pad(x, 5, "reflect", reflect_type="odd"),
        np.pad(v, (3, 17), "symmetric", reflect_type="odd"),
        np.pad(x[:1], 2, "reflect", reflect_type="odd"),
        np.pad(v, (11, 1), "reflect", reflect_type="odd"),
    ),
    "~pad ramps": lambda x, y, v, s: packed(
        np.pad(x, 2, "linear_ramp"),
        np.pad(x, (1, 3), "linear_ramp", end_values=(1, s)),
        np.pad(v, 3, "linear_ramp"),
    ),
    "~pad statistics": lambda x, y, v, s: packed(
        np.pad(x, 2, "mean"),
        np.pad(x, 2, "maximum"),
        np.pad(y, 2, "minimum", stat_length=2),
        np.pad(x, ((1, 2), (0, 1)), "mean", stat_length=((1, 2), (3, 1))),
        np.pad(v, 1, "mean", stat_length=(2, 3)),
    ),
    # builders
    "diag": lambda x, y, v, s: packed(
        np.diag(v),
        np.diag(v, 1),
        np.diag(v, k=-2),
        np.diag(x),
        np.diag(x, 1),
        np.diag(x, -1),
        np.diag(x, 9),
        np.diagflat(x),
        np.diagflat(v, -1),
        np.diag(v[:0], 2),
        np.diag(v[:0]),
    ),
    "diagonal": lambda x, y, v, s: packed(
        np.diagonal(x),
        x.diagonal(1),
        np.diagonal(pair(x, y), 0, 1, 2),
        np.diagonal(x, offset=-5),
        np.diagonal(pair(x, y), axis1=-1, axis2=0, offset=-1),
    ),
    "triangles": lambda x, y, v, s: packed(
        np.tril(x), np.triu(x, 1), np.tril(y, k=-1), np.triu(pair(x, y), -1), np.tril(v), np.triu(v)
    ),
    "filled": lambda x, y, v, s: packed(
        np.full_like(x, s),
        np.full_like(x, v),
        np.zeros_like(x),
        np.ones_like(x, shape=(2,)),
        np.empty_like(x, shape=0),
        np.full_like(v, s, shape=(2, 4)),
        np.full_like(x, [s, s, s, s]),
        np.full_like(v, 7),
        np.full((2, 4), v) * s,
    ),
    "meshgrid": lambda x, y, v, s: packed(
        np.meshgrid(v, v[:3], indexing="ij"),
        np.meshgrid(v, np.arange(3.0)),
        np.meshgrid(v, v[:2], v[:1], sparse=True),
        np.meshgrid(v),
        np.meshgrid(s, v, copy=False),
        np.meshgrid(v[:0], v),
    ),
    "linspace": lambda x, y, v, s: packed(
        np.linspace(s, 2.0, 5),
        np.linspace(0, s, 5, endpoint=False),
        np.linspace(v, 2 * v, 4, axis=-1),
        np.linspace(s, v, 3),
        np.linspace(s, s + 1, 1),
        np.linspace(s, 2, 0),
        np.linspace(s, s * 3, num=4, dtype=int),
        np.linspace(x, s, 2, dtype="f8"),
        np.linspace(s, 2.0, 5, retstep=True),
        np.linspace(v, s, num=0, endpoint=False),
    ),
    "~logspace": lambda x, y, v, s: packed(
        np.logspace(s, 2.0, 5),
        np.logspace(v, s, 3, base=2.0, axis=-1),
        np.logspace(0, 1, 4, base=s),
        np.logspace(0, s, 3, base=v, endpoint=False),
        np.logspace(s, 2, 3, dtype="f8"),
    ),
    "~geomspace": lambda x, y, v, s: packed(
        np.geomspace(s, 5.0, 5),
        np.geomspace(1, s, 4, endpoint=False),
        np.geomspace(v, 2 * v, 3, axis=-1),
        np.geomspace(-s, -3.0, 4),
        np.geomspace(s, 9.0, 1),
        np.geomspace(s, 100, 4, dtype="f8"),
        np.geomspace(s, 2, 0),
    ),
    "sliding windows": lambda x, y, v, s: packed(
        windows(v, 2), windows(x, (2, 3)), windows(x, 2, axis=1), windows(x, (2, 2), axis=(-1, 1)), windows(v, (4,))
    ),
}
