"""Calls of NumPy's functions that look at dtypes and shapes only, or at membership."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

CALLS: dict[str, Callable[..., Any]] = {
    "result_type": lambda x, y, v, s: x.astype(np.result_type(x, np.float32, 1.0)) * np.can_cast(x, "f8"),
    "common_type": lambda x, y, v, s: x * np.ones(4, np.common_type(x, v)),
    "memory": lambda x, y, v, s: x + len(np.array_repr(x) + np.array_str(x)) * 0,
    "text": lambda x, y, v, s: x * bool(np.array2string(v)),
    "indices of a shape": lambda x, y, v, s: x[np.tril_indices_from(x)] + y[np.triu_indices_from(x)][:6].sum(),
    "diagonal indices": lambda x, y, v, s: x[:3, :3][np.diag_indices_from(x[:3, :3])] * v[:3],
    "einsum_path": lambda x, y, v, s: x * len(np.einsum_path("ij,j->i", x, v)[0]),
    "isin": lambda x, y, v, s: x * np.isin(np.arange(4), np.argsort(v)[:2]) + np.isin(x, x[0], invert=True) * y,
    "bitwise_count": lambda x, y, v, s: v * np.bitwise_count(np.argsort(v)) + np.bitwise_count(-np.argsort(v)),
}
