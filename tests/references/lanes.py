"""Values of primitives that run others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

INNER: dict[str, Callable[..., Any]] = {
    "divide": np.divide,
    "multiply": np.multiply,
    "sum": lambda x, axes: np.sum(x, axes),
}


def lanes(*arrays: Any, inner: str, params: tuple, flags: tuple[bool, ...], size: int) -> Any:
    options = {key: value for key, value, _ in params}
    return np.array(
        [
            INNER[inner](*[a[i] if flag else a for a, flag in zip(arrays, flags, strict=True)], **options)
            for i in range(size)
        ]
    )


REFERENCES: dict[str, Callable[..., Any]] = {"lanes": lanes}
