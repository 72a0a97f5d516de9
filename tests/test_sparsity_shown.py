"""``dl.sparsity`` as users see it: blocks, colours, text, errors; and patterns that they bring."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from test_sparsity import as_matrix

import difflab as dl
from difflab.errors import InputError, TraceError
from difflab.primitives.record import Aval
from difflab.structure import pattern_of

FLOAT = np.dtype(float)


def test_blocks_are_trees_of_the_parts_of_the_matrix():
    def function(p: Any, s: Any) -> Any:
        return {"y": p["w"] @ np.ones(2) + p["b"], "z": (s * np.sum(p["b"]),)}

    args = {"w": np.ones((3, 2)), "b": np.ones(3)}, 2.0
    pattern = dl.sparsity(function, *args, argnums=(0, 1))
    (y, z) = pattern.blocks["y"], pattern.blocks["z"][0]
    assert np.array_equal(y[0]["w"].toarray(), np.kron(np.eye(3), np.ones(2)) != 0)
    assert np.array_equal(y[0]["b"].toarray(), np.eye(3) != 0)
    assert (y[1].shape, y[1].nnz, z[1].toarray().tolist()) == ((3, 1), 0, [[True]])
    assert (z[0]["w"].nnz, z[0]["b"].nnz, pattern.shape, pattern.nnz) == (0, 3, (4, 10), 13)
    assert sum(block.nnz for tree in (y, z) for block in (*tree[0].values(), tree[1])) == pattern.nnz
    hessian = dl.sparsity(lambda p: np.sum(p["w"]) * p["b"][0], args[0], operator="hessian")
    assert np.array_equal(hessian.blocks["w"]["b"].toarray(), hessian.blocks["b"]["w"].toarray().T)
    assert hessian.blocks["w"]["b"].nnz == 6
    assert isinstance(pattern.matrix, scipy.sparse.csr_array)


CONVOLVED = np.array([1.0, 2.0, 3.0])
COLOURS: dict[str, tuple[Callable, Any, int]] = {
    "element-wise": (np.tanh, np.ones(50), 1),
    "bidiagonal": (lambda x: x[1:] * x[:-1], np.ones(50), 2),
    "convolution": (lambda x: np.convolve(x, CONVOLVED, "valid"), np.ones(50), 3),
    "batch of blocks": (lambda x: np.sum(x**2, axis=1, keepdims=True) * x, np.ones((30, 4)), 4),
}


@pytest.mark.parametrize("name", COLOURS)
def test_few_products_give_all_of_it(name: str):
    function, x, expected = COLOURS[name]
    pattern = dl.sparsity(function, x)
    assert pattern.columns == pattern.passes == expected
    assert pattern.rows <= expected


def test_an_arrow_needs_products_of_both_kinds():
    def arrow(x: Any) -> Any:
        return np.concatenate([np.sum(x, keepdims=True), x[1:] * x[0]])

    pattern = dl.sparsity(arrow, np.ones(30))
    assert (pattern.columns, pattern.rows) == (30, 30)
    assert pattern.passes <= 4


def test_text():
    pattern = dl.sparsity(lambda x: x[1:] * x[:-1], np.ones(100))
    lines = str(pattern).splitlines()
    assert lines[0] == "Jacobian of 99 x 100: 198 entries can be non-zero (2 %); 2 products instead of 99."
    assert [len(line) for line in lines[1:]] == [40] * 20
    assert repr(pattern) == "<Sparsity of a Jacobian of 99 x 100: 198 entries can be non-zero>"
    dense = dl.sparsity(np.sort, np.ones(3))
    assert str(dense) == (
        "Jacobian of 3 x 3: 9 entries can be non-zero (100 %); 3 products instead of 3.\n███\n███\n███\n"
        "Taken for dense: gather: where it looks is known only when it runs."
    )
    hessian = dl.sparsity(lambda x: np.sum(x**3), np.ones(3), operator="hessian")
    assert str(hessian) == (
        "Hessian of 3 x 3: 3 entries can be non-zero (33 %); 1 product instead of 3.\n█··\n·█·\n··█"
    )
    nothing = dl.sparsity(lambda x: x, np.ones(0))
    assert (str(nothing).count("\n"), nothing.density) == (0, 0.0)


def test_a_dense_matrix_of_any_size_has_a_text():
    large = dl.sparsity(lambda x: np.sum(x) * np.ones(10**6), np.ones(10**6))
    assert str(large).startswith(
        "Jacobian of 1000000 x 1000000: 1000000000000 entries can be non-zero (100 %); 1000000 products instead of "
    )
    half = dl.sparsity(lambda x: np.sum(x[:400]) * np.ones(10**6), np.ones(10**6))
    assert str(half).startswith("Jacobian of 1000000 x 1000000: 400000000 entries can be non-zero (0.04 %).\n░·")


def test_errors():
    with pytest.raises(InputError, match=re.escape("operator='gradient': dl.sparsity knows 'jacobian' and 'hessian'")):
        dl.sparsity(np.sin, np.ones(2), operator="gradient")
    with pytest.raises(InputError, match=re.escape("dl.sparsity takes a function, and a float was given")):
        dl.sparsity(3.0, np.ones(2))  # pyright: ignore[reportArgumentType]  the mistake
    with pytest.raises(InputError, match=r"needs one output of shape \(\)"):
        dl.sparsity(np.sin, np.ones(2), operator="hessian")
    with pytest.raises(TraceError):
        dl.sparsity(lambda x: float(x[0]) * x, dl.Shape((2,)))


def test_patterns_that_users_bring():
    flat, out = [Aval((2, 2), FLOAT)], [Aval((3,), FLOAT)]
    expected = np.array([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]], bool)
    shuffled = scipy.sparse.coo_matrix((np.ones(4), ([0, 2, 0, 0], [3, 1, 0, 0])), shape=(3, 4))
    stored = scipy.sparse.csr_array((np.zeros(3), ([0, 0, 2], [0, 3, 1])), shape=(3, 4))
    own = dl.sparsity(lambda x: np.stack([x[0, 0] * x[1, 1], 1.0, x[0, 1]]), np.ones((2, 2)))
    for given_pattern in (expected, expected.astype(float), shuffled, stored, own):
        pattern = pattern_of(given_pattern, out, flat)
        assert np.array_equal(as_matrix(pattern), expected)
        assert (pattern.outputs, pattern.variables) == (tuple(out), tuple(flat))
        assert np.diff(pattern.indptr)[0] == 0
    with pytest.raises(InputError, match=r"has shape \(4, 3\), and the matrix of derivatives has \(3, 4\)"):
        pattern_of(expected.T, out, flat)
    with pytest.raises(InputError, match=r"has shape \(2, 2\)"):
        pattern_of(dl.sparsity(np.sin, np.ones(2)), out, flat)
    with pytest.raises(InputError, match="dtype object; it is one of booleans or numbers"):
        pattern_of(expected.astype(object), out, flat)
    with pytest.raises(InputError, match="a SciPy sparse matrix or a boolean array, and a list was given"):
        pattern_of([[1]], out, flat)
