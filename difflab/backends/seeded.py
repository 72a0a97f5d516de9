"""The entries of a sparse Jacobian or Hessian, read off products with seeds: vectors of ones where a colour is.

As in ``deduced``, a complex variable of a real output has df/dRe - i df/dIm, for which its columns are pushed along 1
and along i, and rows of a complex output are pulled twice where a variable is real.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import placed, to_host
from ..execution.chunks import KEPT
from ..execution.compression import Compression
from ..primitives.record import Aval
from ..transforms.second_order import needs_both
from ..transforms.sparsity import Pattern
from .deduced import Deduced
from .substituted import Substituted


class Seeded:
    """How to compute the entries of a matrix whose pattern is coloured.

    Args:
        pattern: which entries there are.
        compression: in which product each of them is read.
        operator: "jacobian" or "hessian".
        device: where products are computed; their entries are fetched to the host.
    """

    def __init__(self, pattern: Pattern, compression: Compression, operator: str, device: str):
        self.pattern = pattern
        self.compression = compression
        self._operator = operator
        self._device = device
        self._kept: dict[tuple[bool, complex], list[Any]] = {}

    def entries(self, leaves: Sequence[Any], push: Deduced | Substituted | None, pull: Deduced | None) -> np.ndarray:
        """The entries in CSR order at a point, by what pushes and by what pulls."""
        compression = self.compression
        pushed = pulled = sizes = None
        if compression.n_columns and push is not None:
            pushed, sizes = self._pushed(leaves, push)
        if compression.n_rows and pull is not None:
            pulled = self._pulled(leaves, pull)
        data = compression.recover(pushed, pulled)
        return data if sizes is None else data / sizes.take(self._moved())

    def _pushed(self, leaves: Sequence[Any], push: Deduced | Substituted) -> tuple[np.ndarray, np.ndarray | None]:
        """All products J s or H s, and how far each coordinate went where that was not 1."""
        variables, outputs, sizes = self.pattern.variables, self.pattern.outputs, push.sizes(leaves)
        product = push.hvps if self._operator == "hessian" and isinstance(push, Deduced) else push.jvps
        parts = product(leaves, _scaled(self._seeds(True, 1), sizes))
        if needs_both(variables, outputs):
            others = product(leaves, _scaled(self._seeds(True, 1j), sizes))
            pairs = zip(parts, others, outputs, strict=True)
            parts = [a - 1j * b if output.dtype.kind == "f" else a for a, b, output in pairs]
        gone = None if sizes is None else np.concatenate([to_host(one).ravel() for one in sizes])
        return _joined(parts, outputs), gone

    def _moved(self) -> np.ndarray:
        """The coordinate that moved where an entry is read: its column, but its row where h_ji stands for h_ij."""
        found = self.compression
        rows = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
        return np.where(found.from_pushed.places % found.shape[0] == rows, found.indices, rows)

    def _pulled(self, leaves: Sequence[Any], pull: Deduced) -> np.ndarray:
        """All products r J."""
        variables, outputs = self.pattern.variables, self.pattern.outputs
        parts = pull.pullbacks(leaves, self._seeds(False, 1))
        if needs_both(outputs, variables):
            others = pull.pullbacks(leaves, self._seeds(False, -1j))
            pairs = zip(parts, others, variables, strict=True)
            parts = [a + 1j * b if variable.dtype.kind == "f" else a for a, b, variable in pairs]
        return _joined(parts, variables)

    def _seeds(self, of_columns: bool, unit: complex) -> list[Any]:
        """One lane per colour with a unit wherever that colour is; only complex numbers go along i."""
        if (of_columns, unit) in self._kept:
            return self._kept[of_columns, unit]
        compression = self.compression
        colours = compression.column_colours if of_columns else compression.row_colours
        lanes = compression.n_columns if of_columns else compression.n_rows
        assert colours is not None
        seeds, start = [], 0
        for aval in self.pattern.variables if of_columns else self.pattern.outputs:
            seed = np.zeros((lanes, aval.size), aval.dtype)
            here = colours[start : start + aval.size]
            if aval.dtype.kind == "c" or (unit == 1 and aval.dtype.kind == "f"):
                (members,) = np.nonzero(here >= 0)
                seed[here[members], members] = unit
            seeds.append(placed(seed.reshape(lanes, *aval.shape), self._device))
            start += aval.size
        if sum(seed.nbytes for seed in seeds) <= KEPT:
            self._kept[of_columns, unit] = seeds
        return seeds


def _scaled(seeds: Sequence[Any], sizes: Sequence[Any] | None) -> list[Any]:
    """Seeds times how far each coordinate is to go."""
    if sizes is None:
        return list(seeds)
    return [seed * size for seed, size in zip(seeds, sizes, strict=True)]


def _joined(parts: Sequence[Any], avals: Sequence[Aval]) -> np.ndarray:
    """Products side by side on the host, a row per lane; what is no floating-point number has no derivative."""
    rows = [to_host(part).reshape(len(part), -1) for part in parts]
    pairs = zip(rows, avals, strict=True)
    rows = [row if aval.dtype.kind in "fc" else np.zeros(row.shape, np.float16) for row, aval in pairs]
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)
