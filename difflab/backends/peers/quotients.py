"""What peers of finite differences share: the differentiated leaves as one flat vector, the function as it is called.

They see a black box: the user's own function on plain arrays, once for every point that they ask for.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ...arrays import to_host
from ...errors import UnsupportedError
from ..protocol import Source


class Flat(NamedTuple):
    """A function at one place.

    ``function`` of a vector like ``x`` gives all outputs as one vector; ``x`` holds the differentiated leaves;
    ``outputs`` are those at ``x``, and ``counted`` is the list of one number that counts calls.
    """

    function: Callable[[np.ndarray], np.ndarray]
    x: np.ndarray
    outputs: list[np.ndarray]
    counted: list[int]


class Leaves:
    """Where the differentiated leaves of a function lie in one vector.

    Args:
        name: of the backend, for messages.
        source: the function.
        example: its leaves.

    Raises:
        UnsupportedError: a leaf is not real.
    """

    def __init__(self, name: str, source: Source, example: Sequence[Any]):
        leaves = [np.asarray(to_host(example[i])) for i in source.wrt]
        if any(leaf.dtype.kind != "f" for leaf in leaves):
            raise UnsupportedError(f"backend {name!r} differentiates by real numbers only; use backend 'reverse'")
        self._name, self._source = name, source
        self.shapes = [leaf.shape for leaf in leaves]
        self.dtypes = [leaf.dtype for leaf in leaves]
        ends = [0, *itertools.accumulate(leaf.size for leaf in leaves)]
        self.parts = [slice(*ends) for ends in itertools.pairwise(ends)]
        self.size = ends[-1]
        self.dtype = np.result_type(np.float32, *self.dtypes) if leaves else np.dtype(np.float64)

    def at(self, leaves: Sequence[Any]) -> Flat:
        """The function of the differentiated leaves, at these.

        Raises:
            UnsupportedError: an output is complex.
        """
        whole = list(map(to_host, leaves))
        parts = [np.asarray(whole[i]).ravel() for i in self._source.wrt]
        x = np.concatenate(parts).astype(self.dtype) if parts else np.zeros(0, self.dtype)
        outputs = self.outputs(whole)
        counted = [1]

        def function(moved: np.ndarray) -> np.ndarray:
            counted[0] += 1
            here = list(whole)
            for i, leaf in zip(self._source.wrt, self._leaves(moved), strict=True):
                here[i] = leaf
            return joined_outputs(self._source.call(here))

        return Flat(function, x, outputs, counted)

    def outputs(self, leaves: Sequence[Any]) -> list[np.ndarray]:
        """The outputs at some leaves.

        Raises:
            UnsupportedError: an output is complex.
        """
        outputs = [np.array(output) for output in self._source.call(list(leaves))]
        if any(output.dtype.kind == "c" for output in outputs):
            raise UnsupportedError(f"backend {self._name!r} differentiates real outputs only; use backend 'reverse'")
        return outputs

    def _leaves(self, moved: np.ndarray) -> list[np.ndarray]:
        """A vector as leaves; numbers moved along the imaginary axis stay complex."""
        return [
            moved[part].reshape(shape).astype(
                np.result_type(dtype, np.complex64) if moved.dtype.kind == "c" else dtype, copy=False
            )
            for part, shape, dtype in zip(self.parts, self.shapes, self.dtypes, strict=True)
        ]  # fmt: skip

    def arrays(self, flat: Any) -> list[np.ndarray]:
        """A vector as one fresh array per leaf, in its shape and dtype."""
        flat = np.asarray(flat)
        return [
            np.array(flat[part].reshape(shape), dtype)
            for part, shape, dtype in zip(self.parts, self.shapes, self.dtypes, strict=True)
        ]

    def blocks(self, matrix: Any, shapes: Sequence[tuple[int, ...]]) -> list[list[np.ndarray]]:
        """A matrix as blocks: rows belong to arrays of these shapes, columns to the leaves."""
        ends = [0, *itertools.accumulate(int(np.prod(shape)) for shape in shapes)]
        matrix = np.asarray(matrix).reshape(ends[-1], self.size)
        return [
            [
                np.array(matrix[rows, part].reshape((*above, *shape)), dtype)
                for part, shape, dtype in zip(self.parts, self.shapes, self.dtypes, strict=True)
            ]
            for rows, above in zip([slice(*ends) for ends in itertools.pairwise(ends)], shapes, strict=True)
        ]


def joined_outputs(outputs: Sequence[Any]) -> np.ndarray:
    """All outputs as one vector; a choice counts as a number."""
    parts = [np.ravel(output) for output in outputs]
    flat = np.concatenate(parts) if parts else np.zeros(0)
    return flat if flat.dtype.kind in "fc" else flat.astype(np.float64)
