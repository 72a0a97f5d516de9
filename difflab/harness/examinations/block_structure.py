"""What the zeros of a Jacobian tensor say: identity, diagonal, equal blocks, a Kronecker product, a Toeplitz band.

Nothing is taken from the layer: two axes are paired where every entry with different indices on them is zero, so the
Jacobian falls into one block per index; a Toeplitz pair is one along which the entries depend on the difference of the
indices only.  Axes of extent 1 say nothing and are never paired.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = (
    "zero", "identity", "diagonal", "permutation", "block diagonal", "Kronecker product", "banded Toeplitz",
    "diagonals", "sparse", "full",
)  # fmt: skip
BY = " x "
FEW = 1 / 3
"""The share of the diagonals of a matrix that are few."""


@dataclass(frozen=True)
class Pair:
    """An axis of the output and one of the variable, both counted from 0; ``equal``: the same block for every index."""

    outer: int
    inner: int
    equal: bool


@dataclass(frozen=True)
class Structure:
    """What a Jacobian looks like.

    ``kind`` is one of ``KINDS``, ``text`` says it with numbers; ``pairs`` are the axes that block it, ``toeplitz``
    the pairs of axes along which it is Toeplitz within a block; ``blocks`` counts the blocks of shape ``block``.
    """

    kind: str
    text: str
    pairs: tuple[Pair, ...]
    toeplitz: tuple[tuple[int, int], ...]
    blocks: int
    block: tuple[int, int]


def count_zeros(matrix: np.ndarray) -> int:
    """How many entries are zero, without an array of that size.

    Args:
        matrix: two axes.

    Returns:
        The number of zeros.

    Example:
        >>> count_zeros(np.eye(3))
        6
    """
    return matrix.size - sum(int(np.count_nonzero(row != 0)) for row in matrix)


def structure(jacobian: np.ndarray, rank: int, tolerance: float = 0.0) -> Structure:
    """Find the structure of a Jacobian in numerator layout.

    Args:
        jacobian: shape out + in, any real dtype.
        rank: of the output: how many of the axes are its own.
        tolerance: up to which difference, relative to the largest entry, two entries are the same number; a zero is a
            zero.

    Returns:
        What was found.

    Example:
        >>> w = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        >>> structure(np.einsum("nk,dm->nmkd", np.eye(4), w), 2).text
        'block diagonal: 4 equal blocks of 3 x 2'
    """
    outer, inner = jacobian.shape[:rank], jacobian.shape[rank:]
    largest = float(np.max(np.abs(jacobian), initial=0.0))
    if largest == 0.0:
        return Structure("zero", "zero", (), (), 1, (math.prod(outer), math.prod(inner)))
    slack = tolerance * largest
    pairs, block = _pairs(jacobian, rank, slack)
    left = _left(rank, [pair.outer for pair in pairs]), _left(len(inner), [pair.inner for pair in pairs])
    toeplitz = _toeplitz(block, *left, slack)
    blocks = math.prod(outer[pair.outer] for pair in pairs)
    shape = (math.prod(outer) // blocks, math.prod(inner) // blocks)
    kind, text = _named(jacobian, rank, pairs, bool(toeplitz), blocks, shape, slack)
    return Structure(kind, text, pairs, toeplitz, blocks, shape)


def to_json(found: Structure) -> dict[str, Any]:
    """A structure as a JSON value.

    Args:
        found: what ``structure`` returned.

    Returns:
        Its fields; pairs as lists.

    Example:
        >>> to_json(structure(np.eye(3), 1))["text"]
        'identity of 3'
    """
    pairs = [[pair.outer, pair.inner, pair.equal] for pair in found.pairs]
    toeplitz = [list(pair) for pair in found.toeplitz]
    more = {"pairs": pairs, "toeplitz": toeplitz, "blocks": found.blocks, "block": list(found.block)}
    return {"kind": found.kind, "text": found.text, **more}


def _left(rank: int, taken: Sequence[int]) -> list[int]:
    return [axis for axis in range(rank) if axis not in taken]


def _pairs(jacobian: np.ndarray, rank: int, slack: float) -> tuple[tuple[Pair, ...], np.ndarray]:
    """The paired axes, and the first of the blocks that are left of the array."""
    found: list[Pair] = []
    block = jacobian
    outer, inner = list(range(rank)), list(range(jacobian.ndim - rank))
    for axis in range(rank):
        for other in list(inner):
            place, across = outer.index(axis), len(outer) + inner.index(other)
            if block.shape[place] != block.shape[across] or block.shape[place] == 1:
                continue
            moved = np.moveaxis(block, (place, across), (0, 1))
            apart = ~np.eye(len(moved), dtype=bool)
            if np.any(moved[apart]):
                continue
            diagonal = moved[~apart]
            found.append(Pair(axis, other, bool(np.all(np.abs(diagonal - diagonal[0]) <= slack))))
            # a block that is zero would hide what the others look like, so the one with the largest entry is kept
            sizes = np.max(np.abs(diagonal.reshape(len(diagonal), -1)), axis=1)
            block = diagonal[int(np.argmax(sizes))]
            outer.remove(axis)
            inner.remove(other)
            break
    return tuple(found), block


def _toeplitz(
    block: np.ndarray, outer: Sequence[int], inner: Sequence[int], slack: float
) -> tuple[tuple[int, int], ...]:
    """Pairs of axes of a block along which the entries depend on the difference of the indices, and form a band."""
    found: list[tuple[int, int]] = []
    for place, axis in enumerate(outer):
        for across, other in enumerate(inner):
            if any(other == known for _, known in found):
                continue
            moved = np.moveaxis(block, (place, len(outer) + across), (0, 1))
            rows, columns = moved.shape[:2]
            if min(rows, columns) < 3 or np.any(np.abs(moved[1:, 1:] - moved[:-1, :-1]) > slack):
                continue
            used = np.any(moved.reshape(rows, columns, -1), axis=2)
            offsets = {int(column - row) for row, column in zip(*np.nonzero(used), strict=True)}
            if len(offsets) < rows + columns - 1:
                found.append((axis, other))
                break
    return tuple(found)


def _named(
    jacobian: np.ndarray, rank: int, pairs: Sequence[Pair], toeplitz: bool, blocks: int, block: tuple[int, int],
    slack: float,
) -> tuple[str, str]:  # fmt: skip
    """The kind of a structure and a text with its numbers."""
    size, equal = f"{block[0]}{BY}{block[1]}", all(pair.equal for pair in pairs)
    band = ", each banded Toeplitz" if toeplitz else ""
    if not pairs:
        if toeplitz:
            return "banded Toeplitz", f"banded Toeplitz, {size}"
        zeros = bool(np.any(jacobian == 0))
        if zeros and (count := _diagonals(jacobian, rank)) is not None:
            return "diagonals", f"zero but for {count} diagonals: {size}"
        return ("sparse", f"zeros, but no blocks: {size}") if zeros else ("full", f"full: {size}")
    if block == (1, 1):
        ordered = all(one.inner < two.inner for one, two in itertools.pairwise(pairs))
        if not equal:
            return "diagonal", f"diagonal of {blocks}" if ordered else f"diagonal of {blocks}, in another order"
        entry = float(jacobian.reshape(blocks, -1)[0, _first(jacobian, blocks)])
        if not ordered:
            times = "" if abs(entry - 1) <= slack else f"{entry:.3g} times a "
            return "permutation", f"{times}permutation of {blocks}"
        if abs(entry - 1) <= slack:
            return "identity", f"identity of {blocks}"
        return "diagonal", f"{entry:.3g} times the identity of {blocks}"
    if _trailing(pairs, jacobian, rank):
        if equal:
            return "Kronecker product", f"Kronecker product of a {size} block with the identity of {blocks}"
        return "block diagonal", f"blocks of {size}, {blocks} of them interleaved{band}"
    how = "equal" if equal else "different"
    return "block diagonal", f"block diagonal: {blocks} {how} blocks of {size}{band}"


def _diagonals(jacobian: np.ndarray, rank: int) -> int | None:
    """On how many diagonals of the matrix all its entries are, where these are few of them."""
    rows, columns = math.prod(jacobian.shape[:rank]), math.prod(jacobian.shape[rank:])
    places = np.nonzero(jacobian.reshape(rows, columns))
    count = len(np.unique(places[1] - places[0]))
    return count if 1 < count <= FEW * (rows + columns - 1) else None


def _first(jacobian: np.ndarray, rows: int) -> int:
    """The column of the entry of the first row that is not zero."""
    return int(np.argmax(np.abs(jacobian.reshape(rows, -1)[0])))


def _trailing(pairs: Sequence[Pair], jacobian: np.ndarray, rank: int) -> bool:
    """Whether an axis that is left stands before a paired one: then the blocks are not in one piece in the matrix."""
    inner = jacobian.ndim - rank
    firsts = [axis for axis in _left(rank, [pair.outer for pair in pairs]) if jacobian.shape[axis] > 1]
    seconds = [axis for axis in _left(inner, [pair.inner for pair in pairs]) if jacobian.shape[rank + axis] > 1]
    late_outer, late_inner = max(pair.outer for pair in pairs), max(pair.inner for pair in pairs)
    return any(axis < late_outer for axis in firsts) or any(axis < late_inner for axis in seconds)
