"""Calls of NumPy's functions: indexing and selection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .moves import packed, pair

ROWS = np.array([2, 0, 2, -1])
largest: Any = np.max

CALLS: dict[str, Callable[..., Any]] = {
    "masks": lambda x, y, v, s: packed(
        x[x > 1],
        x[x[:, 0] > 1],
        x[:, v > 1],
        x[x > 1] * 2,
        x[[True, False, True]],
        x[[True, False, True], 1],
        x[x[:, 0] > 1, [2]],
        x[v[0] > 100],
        x[None, x > 1],
        x[x > 1, None],
        pair(x, y)[1, y > 1],
        pair(x, y)[..., v > 1],
    ),
    "plain masks": lambda x, y, v, s: packed(
        x[True], x[False], x[..., True], s[True], x[np.eye(3, 4, dtype=bool)], v[np.zeros(4, bool)], x[np.True_, 1:]
    ),
    "axes of index arrays": lambda x, y, v, s: packed(
        x[0, ..., [0, 1]],
        pair(x, y)[:, [0, 1], ..., [0, 1]],
        pair(x, y)[0, :, [1, 2]],
        pair(x, y)[[0, 1], None, [1, 2]],
        pair(x, y)[:, 1:, [0, 0]],
        pair(x, y)[None, [1], 1:, [[0], [2]]],
        pair(x, y)[:, True, [0, 2]],
        pair(x, y)[0, :, True],
        x[1:, ROWS, None],
        x[::-1, [[0, 1]]],
        x[[0, 1], ..., None],
    ),
    "kinds of indices": lambda x, y, v, s: packed(
        x[[[0, 1], [2, 2]]],
        x[(0, 1),],
        x[np.argmax(x[:, 0])],
        x[1:, np.argmax(v)],
        x[np.argmax(x[:, 0]), 1:],
        x[np.array(1)],
        x[np.int8(1)],
        x[-1, None],
        x[..., None, 1],
        x[()],
        s[()],
        s[None],
        s[...],
        x[[]],
        x[[], 1:],
        x[: np.argmax(v)],
        x[[np.argmax(x[:, 0]), 1]],
    ),
    "nonzero": lambda x, y, v, s: packed(
        np.nonzero(x > 1)[0] * s,
        x[np.nonzero(x > 1)],
        v[np.flatnonzero(v > 1)],
        np.argwhere(x > 1) * s,
        x[np.where(x > 1)],
        (x > 1).nonzero()[1] * s,
        np.flatnonzero(x - x[0]) * s,
        np.argwhere(s > 1) * s,
    ),
    "compress extract": lambda x, y, v, s: packed(
        np.compress([True, False, True], x, axis=0),
        np.compress(v > 1, x, 1),
        np.compress(v > 1, x),
        np.compress([True], x),
        x.compress([0, 1, 1], axis=0),
        np.extract(x > 1, y),
        np.extract(np.ones((3, 4)), x),
        np.extract(v > 1, [1, 2, 3, 4]) * s,
    ),
    "take modes": lambda x, y, v, s: packed(
        np.take(v, [5, -1], mode="wrap"),
        np.take(v, [9, -9, 2], mode="clip"),
        np.take(x, np.argmax(v) + 7, mode="wrap"),
        np.take(v, np.argmax(x, 0) * 3 - 1, mode="clip"),
        x.take([0, 1], axis=1),
        np.take(v, []),
        np.take(x, [[0, 1], [2, 0]], 0),
        np.take(v, [True, False]),
    ),
    "take_along_axis": lambda x, y, v, s: packed(
        np.take_along_axis(x, np.argmax(x, 1)[:, None], axis=1),
        np.take_along_axis(x, np.argmax(x, 0)[None], 0),
        np.take_along_axis(x, np.array([3, 1]), None),
        np.take_along_axis(x, np.array([[3, 1, 1]]), -1),
    ),
    "choose": lambda x, y, v, s: packed(
        np.choose([0, 1, 1, 0], [v, 2 * v]),
        np.choose(x > 1, [x, y]),
        np.choose([5, -1, 0, 1], [v, s], mode="wrap"),
        np.choose(np.array([5, -1, 0, 1]), (v, s), mode="clip"),
        (x > 1).astype(int).choose([x, v]),
        np.choose([1, 0], pair(s, s)),
    ),
    "unravel": lambda x, y, v, s: packed(
        x[np.unravel_index(np.argmax(x), x.shape)],
        np.unravel_index(np.argmax(x, 0), (2, 2), "F")[1] * s,
        np.ravel_multi_index((np.argmax(x, 0), [0, 1, 2, 3]), (3, 4)) * s,
        np.ravel_multi_index((np.argmax(x, 0) + 2, 7), (3, 4), mode=("wrap", "clip"), order="F") * s,
    ),
    "ix_": lambda x, y, v, s: packed(
        x[np.ix_([0, 2], [1, 3])], x[np.ix_(x[:, 0] > 1, [1, 2])], x[np.ix_(np.argmax(x, 0), [])]
    ),
    "along an axis": lambda x, y, v, s: packed(
        np.apply_along_axis(largest, 0, x),
        np.apply_along_axis(lambda row: row[::-1] * s, 1, x),
        np.apply_along_axis(lambda column: column[:, None] * column, -2, pair(x, y)),
        np.apply_along_axis(largest, 0, v),
        np.apply_over_axes(np.max, pair(x, y), (0, -1)),
        np.apply_over_axes(np.max, x, 1),
    ),
    "array_equal": lambda x, y, v, s: packed(
        np.array_equal(x, y) * s,
        np.array_equal(x, x) * s,
        np.array_equal(x, v),
        np.array_equiv(v, [v, v]) * s,
        np.array_equal(x, x * np.nan, equal_nan=True) * s,
        np.array_equal(x * np.nan, x * np.nan, equal_nan=True) * s,
        np.array_equiv(v, x[:, :3]),
    ),
}
