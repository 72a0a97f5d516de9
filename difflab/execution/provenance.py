"""What is provably equal because it was computed alike: value numbering of the elements of a tape.

Two inexact balls that look the same may enclose different numbers, so looking the same is no proof of a tie.  The same
primitive applied to equal operands is one.  Here every element that is computed from equal operands by the same
primitive is replaced by the first such element, so that elements are proven equal where they are the same object.
Operands are equal where they are the same object or the same exact number.  What is not recognised costs a proof, never
a wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..primitives.record import Primitive

# So many remembered elements are kept, some hundred bytes each; then all are forgotten.
REMEMBERED = 1_000_000
REDUCTIONS = frozenset({"sum", "max", "min"})


@dataclass
class Provenance:
    """Elements seen so far, for one evaluation."""

    seen: dict[tuple, dict[tuple, Any]] = field(default_factory=dict)
    groups: dict[tuple, int] = field(default_factory=dict)
    # Keys contain ids, which mean something as long as their objects live.
    alive: list[np.ndarray] = field(default_factory=list)
    count: int = 0

    def __call__(
        self, primitive: Primitive, arrays: Sequence[np.ndarray], params: Mapping[str, Any], result: np.ndarray
    ) -> np.ndarray:
        """``result`` with every element that was computed before, from equal operands, as that very object."""
        if result.dtype != object or not result.size:
            return result
        name, keys = primitive.name, None
        if primitive.kind == "elementwise" or name == "integer_power":
            keys = zip(*[_keys(np.broadcast_to(array, result.shape)) for array in arrays], strict=True)
        elif name in REDUCTIONS:
            keys = _groups(arrays[0], params["axes"])
        elif name == "matmul":
            keys = self._products(arrays[0], arrays[1], result.shape)
        if keys is None:
            return result
        if self.count > REMEMBERED:
            self.seen.clear()
            self.groups.clear()
            self.alive.clear()
            self.count = 0
        known = self.seen.setdefault((name, *params.get("axes", ()), params.get("n")), {})
        before = len(known)
        items = [known.setdefault(key, value) for key, value in zip(keys, result.ravel().tolist(), strict=True)]
        self.count += len(known) - before
        self.alive += arrays
        return np.fromiter(items, dtype=object, count=len(items)).reshape(result.shape)

    def _products(self, a: np.ndarray, b: np.ndarray, shape: tuple[int, ...]) -> Iterable[tuple]:
        """For every entry of a matrix product the numbers of its row and of its column."""
        rows = np.broadcast_to(a, (*shape[:-2], *a.shape[-2:]))
        columns = np.broadcast_to(b, (*shape[:-2], *b.shape[-2:])).swapaxes(-1, -2)
        left, right = self._numbered(rows), self._numbered(columns)
        height, width = shape[-2:]
        for k in range(len(left) // height):
            for row in left[k * height : (k + 1) * height]:
                for column in right[k * width : (k + 1) * width]:
                    yield row, column

    def _numbered(self, rows: np.ndarray) -> list[int]:
        """A number for every row of the last axis; equal rows have equal numbers."""
        inner, keys = rows.shape[-1], _keys(rows)
        parts = [tuple(keys[at * inner : (at + 1) * inner]) for at in range(math.prod(rows.shape[:-1]))]
        return [self.groups.setdefault(part, len(self.groups)) for part in parts]


def _keys(array: np.ndarray) -> list[Any]:
    """What elements are known by: exact numbers by their value, all else as objects."""
    items = array.ravel().tolist()
    if array.dtype != object:
        return [(item,) for item in items]
    return [item.man_exp() if item.is_finite() and item.is_exact() else id(item) for item in items]


def _groups(x: np.ndarray, axes: tuple[int, ...]) -> Iterable[tuple]:
    """The keys of the elements that each entry of a reduction is made of."""
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    keys = _keys(x.transpose((*kept, *axes)))
    size = math.prod(x.shape[axis] for axis in axes)
    return [tuple(keys[k * size : (k + 1) * size]) for k in range(math.prod(x.shape[axis] for axis in kept))]
