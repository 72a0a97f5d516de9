"""Jacobians and Hessians as a stream of rows or columns: products along unit vectors, a chunk of them at a time.

Forward and reverse mode take a chunk through one batched program.  Every other backend has one product after the
other, from what it declares.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import transforms
from ..arrays import module_of
from ..execution.chunks import chunked, lanes_of, sweep_bytes
from ..primitives.complexes import block_dtype
from ..tape import Tape
from ..transforms.second_order import avals_of, outputs_of

KINDS = {"jvp": "jvps", "vjp": "pullbacks", "hvp": "hvps"}
"""Of each product what it is called for many directions at once."""
Products = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]
"""From directions, one array of lanes per leaf, to lanes of their products."""


def lanes_bytes(tape: Tape, wrt: tuple[int, ...], kind: str, directions: int, chunk: str | int) -> tuple[int, int]:
    """How many lanes a chunk has, and the bytes of going through all directions of one kind of product.

    Args:
        tape: the recorded function.
        wrt: positions of the differentiated inputs.
        kind: "jvp", "vjp" or "hvp".
        directions: how many there are in all.
        chunk: "auto", or how many at once.

    Returns:
        Both; the bytes are without the matrix that the products are written to.
    """
    outputs = outputs_of(tape)
    moved = outputs if kind == "vjp" else avals_of(tape, wrt)
    if kind == "hvp":
        lane = transforms.hvp(tape, wrt)
    else:
        lane = transforms.jvp(tape, wrt) if kind == "jvp" else transforms.vjp(tape, wrt)
        lane = replace(lane, outputs=lane.outputs[len(outputs) :])
    flags = [*[False] * len(tape.inputs), *[True] * len(moved)]
    whole = chunked(lane, flags, directions, chunk)
    return lanes_of(whole, flags), sweep_bytes(whole, flags, directions)


class Stream:
    """All rows, or all columns, of a matrix of derivatives.

    Args:
        moved: shapes and dtypes of what unit vectors lie in: the outputs for rows, the variables for columns.
        rest: those of the products.
        rows: whether ``moved`` counts the rows of the matrix.
        device: where they are.

    Example:
        >>> from difflab.primitives.record import Aval
        >>> pair = Aval((2,), np.dtype("f8"))
        >>> matrix = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> stream = Stream([pair], [pair], rows=False)
        >>> [chunk.tolist() for _, _, chunk in stream.chunks(lambda seeds: [seeds[0] @ matrix.T], 1)]
        [[[1.0, 3.0]], [[2.0, 4.0]]]
    """

    def __init__(self, moved: Sequence[Any], rest: Sequence[Any], *, rows: bool, device: str = "cpu"):
        self.moved, self.rest, self.rows, self._xp = list(moved), list(rest), rows, module_of(device)
        self.ends = [0, *itertools.accumulate(math.prod(one.shape) for one in moved)]
        self.marks = [0, *itertools.accumulate(math.prod(one.shape) for one in rest)]
        pairs = [(one, other) if rows else (other, one) for one in moved for other in rest]
        found = [block_dtype(output, variable) for output, variable in pairs]
        self.dtype = np.result_type(*found) if found else np.dtype(np.float64)
        self.count, self.width = self.ends[-1], self.marks[-1]

    @property
    def lane_bytes(self) -> int:
        """Bytes of a row or column, and of the unit vector that it belongs to."""
        return self.width * self.dtype.itemsize + sum(math.prod(one.shape) * one.dtype.itemsize for one in self.moved)

    def chunks(self, products: Products, lanes: int, *, padded: bool = False) -> Iterator[tuple[int, int, np.ndarray]]:
        """Go through the matrix, some rows or columns at a time.

        Args:
            products: from directions to their products.
            lanes: rows or columns at a time.
            padded: give the last chunk as many directions as the others, so that one program serves all.

        Yields:
            The first row or column, the one behind the last, and a fresh matrix with a row for each of them.
        """
        for start in range(0, self.count, lanes):
            stop = min(start + lanes, self.count)
            yield start, stop, self._chunk(products, lanes if padded else stop - start, start, stop)

    def _chunk(self, products: Products, lanes: int, start: int, stop: int) -> np.ndarray:
        block = self._xp.zeros((stop - start, self.width), self.dtype)
        for factor, moving, others in ((1, "fc", "fc"), (1j, "c", "f")):
            # Complex coordinates go along i as well; a holomorphic product has said everything along 1.
            parts = list(self.parts(start, stop, moving))
            targets = [k for k, one in enumerate(self.rest) if one.dtype.kind in others]
            if not parts or not targets:
                continue
            found = products(self._seeds(lanes, start, parts, factor))
            for k in targets:
                product = found[k].reshape(lanes, self.marks[k + 1] - self.marks[k])
                columns = slice(self.marks[k], self.marks[k + 1])
                for _, low, high in parts:
                    here = slice(low - start, high - start)
                    if factor == 1:
                        block[here, columns] = product[here]
                    else:
                        block[here, columns] -= 1j * product[here]
        return block

    def parts(self, start: int, stop: int, kinds: str = "biufc") -> Iterator[tuple[int, int, int]]:
        """The leaves of some kinds of dtype that a chunk touches: (which, its first coordinate, behind its last)."""
        for k, (first, last) in enumerate(itertools.pairwise(self.ends)):
            if max(start, first) < min(stop, last) and self.moved[k].dtype.kind in kinds:
                yield k, max(start, first), min(stop, last)

    def _seeds(self, lanes: int, start: int, parts: Sequence[tuple[int, int, int]], factor: complex) -> list[Any]:
        """Unit vectors times 1 or i."""
        arange = self._xp.arange
        seeds = [self._xp.zeros((lanes, math.prod(one.shape)), one.dtype) for one in self.moved]
        for k, low, high in parts:
            first = self.ends[k]
            seeds[k][arange(low - start, high - start), arange(low - first, high - first)] = factor
        return [seed.reshape(lanes, *one.shape) for seed, one in zip(seeds, self.moved, strict=True)]
