"""What a table of sets is made of: runs of numbers in long arrays, arrays that grow, arrays that only repeat."""

from __future__ import annotations

import numpy as np


class Grown:
    """An array that grows at its end, doubled when it is full."""

    def __init__(self, start: np.ndarray):
        self._buffer = start
        self.size = len(start)

    @property
    def array(self) -> np.ndarray:
        """What it holds."""
        return self._buffer[: self.size]

    def extend(self, more: np.ndarray) -> None:
        """Put more behind it."""
        size = self.size + len(more)
        if size > len(self._buffer):
            buffer = np.empty(max(size, 3 * len(self._buffer) // 2), self._buffer.dtype)
            buffer[: self.size] = self.array
            self._buffer = buffer
        self._buffer[self.size : size] = more
        self.size = size


def runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """``starts[0], starts[0] + 1, ...`` for ``lengths[0]`` numbers, then the next run."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total)


def thin(*arrays: np.ndarray) -> tuple[tuple[int, ...], list[np.ndarray]]:
    """The shape to which arrays broadcast, and the arrays without the axes along which all of them only repeat."""
    shape = np.broadcast_shapes(*[array.shape for array in arrays])
    wide = [np.broadcast_to(array, shape) for array in arrays]
    cut = tuple(
        slice(0, 1) if all(array.strides[axis] == 0 for array in wide) else slice(None) for axis in range(len(shape))
    )
    return shape, [array[cut] for array in wide]


def equal_runs(a: np.ndarray, at: np.ndarray, b: np.ndarray, to: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Whether runs of two arrays hold the same numbers; no run is empty."""
    if not len(lengths):
        return np.zeros(0, bool)
    differ = a[runs(at, lengths)] != b[runs(to, lengths)]
    return ~np.logical_or.reduceat(differ, np.cumsum(lengths) - lengths)
