"""What the zeros of a Jacobian say: found from the entries alone, and never where one entry speaks against it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difflab.harness.examinations.block_structure import KINDS, count_zeros, structure, to_json


def block(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


TOEPLITZ = np.array([[1.0, 2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 2.0, 0.0]])
CASES = {
    "zero": (np.zeros((2, 3)), 1, "zero"),
    "identity": (np.eye(4), 1, "identity of 4"),
    "identity of a matrix": (np.einsum("ik,jl->ijkl", np.eye(2), np.eye(3)), 2, "identity of 6"),
    "minus the identity": (-np.eye(4), 1, "-1 times the identity of 4"),
    "diagonal": (np.diag([1.0, 0.0, 3.0]), 1, "diagonal of 3"),
    "transpose": (np.einsum("il,jk->ijkl", np.eye(2), np.eye(3)), 2, "permutation of 6"),
    "turned diagonal": (
        np.einsum("ij,il,jk->ijkl", block(2, 3), np.eye(2), np.eye(3)), 2, "diagonal of 6, in another order",
    ),
    "equal blocks": (np.einsum("nk,dm->nmkd", np.eye(3), block(4, 5)), 2, "block diagonal: 3 equal blocks of 5 x 4"),
    "other blocks": (
        np.einsum("nmd,nk->nmkd", block(3, 5, 4), np.eye(3)), 2, "block diagonal: 3 different blocks of 5 x 4",
    ),
    "kronecker": (
        np.einsum("nd,mk->nmdk", block(3, 4), np.eye(5)), 2,
        "Kronecker product of a 3 x 4 block with the identity of 5",
    ),
    "interleaved": (np.einsum("nmd,mk->nmdk", block(3, 5, 4), np.eye(5)), 2, "blocks of 3 x 4, 5 of them interleaved"),
    "toeplitz": (TOEPLITZ, 1, "banded Toeplitz, 3 x 5"),
    "blocks of bands": (
        np.einsum("nk,ij->nikj", np.eye(2), TOEPLITZ), 2,
        "block diagonal: 2 equal blocks of 3 x 5, each banded Toeplitz",
    ),
    "few diagonals": (np.diag([1.0, 2, 3, 4, 5]) + np.diag([7.0, 8, 9], 2), 1, "zero but for 2 diagonals: 5 x 5"),
    "many diagonals": (np.diag([1.0, 2, 3]) + np.diag([7.0, 8], 1), 1, "zeros, but no blocks: 3 x 3"),
    "sparse": (np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 5.0]]), 1, "zeros, but no blocks: 2 x 3"),
    "full": (block(3, 4), 1, "full: 3 x 4"),
    "of a number": (block(3, 4), 0, "full: 1 x 12"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_structure_is_named_with_its_numbers(name: str) -> None:
    jacobian, rank, text = CASES[name]
    found = structure(jacobian, rank)
    assert found.text == text
    assert found.kind in KINDS


def test_every_kind_is_met() -> None:
    assert {structure(jacobian, rank).kind for jacobian, rank, _ in CASES.values()} == set(KINDS)


@pytest.mark.parametrize("name", ["identity", "diagonal", "transpose", "equal blocks", "kronecker", "interleaved"])
def test_one_entry_out_of_place_breaks_the_blocks(name: str) -> None:
    jacobian, rank, text = CASES[name]
    where = next(
        place
        for place in itertools.product(*map(range, jacobian.shape))
        if jacobian[place] == 0
        and all(place[p.outer] != place[rank + p.inner] for p in structure(jacobian, rank).pairs)
    )
    spoilt = jacobian.copy()
    spoilt[where] = 1e-300
    assert structure(spoilt, rank).text != text
    assert structure(spoilt, rank).pairs == ()


def test_a_block_that_differs_by_more_than_the_tolerance_is_another_block() -> None:
    jacobian = np.einsum("nk,dm->nmkd", np.eye(3), block(4, 5))
    jacobian[1, 0, 1, 0] += 1e-6
    assert "equal" in structure(jacobian, 2, 1e-5).text
    assert "different" in structure(jacobian, 2, 1e-8).text


def test_a_constant_along_all_diagonals_is_no_band() -> None:
    assert structure(np.ones((4, 6)), 1).toeplitz == ()
    assert structure(np.ones((4, 6)), 1).kind == "full"


def test_axes_of_one_index_say_nothing() -> None:
    assert structure(block(1, 3, 1, 4), 2).pairs == ()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 4), min_size=1, max_size=2), st.integers(1, 3), st.integers(2, 3), st.booleans())
def test_a_kronecker_product_is_found_wherever_its_axes_stand(
    paired: list[int], rows: int, columns: int, leading: bool
) -> None:
    """The axes of identities stand before or behind those of the block; it is the matrix that numpy.kron makes."""
    own = block(rows, columns, seed=rows)
    count = math.prod(paired)
    identity = np.eye(count).reshape(*paired, *paired)
    jacobian = np.multiply.outer(identity, own) if leading else np.multiply.outer(own, identity)
    rank = len(paired)
    axes = [*range(rank), 2 * rank, *range(rank, 2 * rank), 2 * rank + 1] if leading else [
        0, *range(2, 2 + rank), 1, *range(2 + rank, 2 + 2 * rank),
    ]  # fmt: skip
    jacobian = np.transpose(jacobian, axes)
    matrix = jacobian.reshape(rows * count, columns * count)
    assert np.array_equal(matrix, np.kron(np.eye(count), own) if leading else np.kron(own, np.eye(count)))
    found = structure(jacobian, rank + 1)
    assert (found.blocks, found.block) == (count, (rows, columns))
    assert all(pair.equal for pair in found.pairs)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 99))
def test_zeros_are_counted(rows: int, columns: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).integers(-1, 2, (rows, columns)).astype(float)
    assert count_zeros(matrix) == int(np.sum(matrix == 0))


def test_a_structure_as_json() -> None:
    found = to_json(structure(CASES["blocks of bands"][0], 2))
    assert found["pairs"] == [[0, 0, True]]
    assert found["toeplitz"] == [[1, 1]]
    assert (found["blocks"], found["block"]) == (2, [3, 5])
