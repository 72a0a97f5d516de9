"""Norms of vectors and matrices: every order, along any axes, at every kink; condition numbers and ranks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from derivative_checks import check, drawn, gradient, keeps_float32, near, values

from difflab.errors import TraceError
from difflab.tracing import trace_leaves

KINDS = ["f8", "c16"]
NORM: Any = np.linalg.norm  # whose stub knows fewer orders and axes than NumPy

VECTOR_ORDERS = [None, np.inf, -np.inf, 0, 1, -1, 2, -2, 3, 2.5, 0.5, -0.5]
MATRIX_ORDERS = [None, "fro", "f", "nuc", np.inf, -np.inf, 1, -1, 2, -2]


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("order", VECTOR_ORDERS, ids=str)
def test_norms_of_vectors(order: Any, dtype: str):
    x = drawn("n", (3, 4), dtype)
    x = x + 0.5 * x / np.abs(x)  # away from the kinks at 0
    check(lambda v: NORM(v, order), x[0])
    check(lambda v: NORM(v, order, axis=0, keepdims=True), x)
    check(lambda v: NORM(v, ord=order, axis=(-1,)), x, second=False)
    check(lambda v: np.linalg.vector_norm(v, ord=order or 2, axis=(1, 0), keepdims=True), x, second=False)
    keeps_float32(lambda v: NORM(v, order), x[0])


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("order", MATRIX_ORDERS, ids=str)
def test_norms_of_matrices(order: Any, dtype: str):
    x = drawn("n", (2, 3, 4), dtype)
    check(lambda v: NORM(v, order), x[0])
    check(lambda v: NORM(v, order, axis=(2, 0)), x)
    check(lambda v: NORM(v, order, (0, -1), keepdims=True), x, second=False)
    check(lambda v: np.linalg.matrix_norm(v, ord=order or "fro", keepdims=True), x, second=False)
    keeps_float32(lambda v: NORM(v, order, axis=(1, 2)), x)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0), (0, 0), (1, 1), (2, 1, 2, 1)], ids=str)
def test_norms_of_any_shape(shape: tuple[int, ...]):
    x = drawn("n", shape)
    check(NORM, x)
    check(lambda v: NORM(v, keepdims=True), x)
    if len(shape) == 1:
        check(lambda v: NORM(v, np.inf), x)
    if len(shape) == 2:
        for order in (1, np.inf, "nuc", 2):
            check(lambda v, order=order: NORM(v, order), x)


def test_norms_at_their_kinks():
    zero, tied = np.zeros(3), np.array([2.0, -2.0, 1.0])
    for order in (None, 1, 2, 3, 2.5, 0.5, -1, -2, np.inf, -np.inf, 0):
        assert not np.any(gradient(lambda v, p=order: NORM(v, p), zero)), order
    for order in ("fro", 1, -1, np.inf):
        assert not np.any(gradient(lambda v, p=order: NORM(v, p), np.zeros((2, 3)))), order
    assert np.array_equal(gradient(lambda v: NORM(v, np.inf), tied), [0.5, -0.5, 0.0])
    assert np.array_equal(gradient(lambda v: NORM(v, -np.inf), tied), [0.0, 0.0, 1.0])
    partly = np.array([3.0, 0.0, -4.0])
    for order in (0.5, 1, 1.5, 3):
        found = gradient(lambda v, p=order: NORM(v, p), partly)
        assert np.all(np.isfinite(found))
        assert found[1] == 0
    near(gradient(lambda v: NORM(v, 3), partly[::2]), [9 / 91 ** (2 / 3), -16 / 91 ** (2 / 3)], 1e-14)
    assert values(lambda v: NORM(v, -1), partly) == 0.0


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"], ids=str)
def test_condition_numbers(p: Any):
    check(lambda a: np.linalg.cond(a, p), drawn("a", (2, 3, 3)) + 2 * np.eye(3), tolerance=1e-6)
    singular = np.stack([np.eye(2), np.zeros((2, 2)), np.array([[np.nan, 1.0], [0.0, 1.0]])])
    if p not in (None, 2, -2, "nuc"):
        assert np.array_equal(
            values(lambda a: np.linalg.cond(a, p), singular), np.linalg.cond(singular, p), equal_nan=True
        )
    if p != "nuc":  # for which NumPy raises
        assert np.array_equal(values(lambda a: np.linalg.cond(a, p), singular[:2]), np.linalg.cond(singular[:2], p))


def test_rank_is_live_and_has_no_derivative():
    a = np.stack([np.eye(3), np.diag([1.0, 1e-5, 0.0]), np.zeros((3, 3))])
    cuts = np.array([1e-3, 1e-7, 1.0])
    choices: list[dict[str, Any]] = [{}, {"tol": 1e-3}, {"rtol": 1e-3}, {"hermitian": True}, {"tol": cuts}]
    for options in choices:
        found, expected = (
            values(lambda x, o=options: np.linalg.matrix_rank(x, **o), a),
            np.linalg.matrix_rank(a, **options),
        )
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    assert values(np.linalg.matrix_rank, np.zeros(3)) == 0
    assert not np.any(gradient(lambda x: np.sum(np.linalg.matrix_rank(x) * 1.0), a))


# ---------------------------------------------------------------------------- errors

X = np.ones((2, 3))
REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: np.linalg.cond(x, 1), r"np\.linalg\.cond at .*no stack of square"),
    (lambda x: np.linalg.cond(x[:0]), "an empty array of shape .* has no condition"),
    (lambda x: np.linalg.matrix_rank(x, 1e-3, rtol=1e-3), "tol and rtol cannot both be given"),
    (lambda x: NORM(x[0], "fro"), "ord='fro' is no norm of vectors"),
    (lambda x: NORM(x, 3), "ord=3 is no norm of matrices"),
    (lambda x: NORM(x[None], 2), r"ord=2 over 3 axes; name one axis for norms of vectors or two for"),
    (lambda x: NORM(x, axis=2), "axis 2 is out of bounds for 2 dimensions"),
    (lambda x: NORM(x, 1, axis=(0, 0)), "an axis is named twice"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(k) for k in range(len(REFUSALS))])
def test_what_is_no_norm_says_what_and_where(function: Callable, message: str):
    with pytest.raises(TraceError, match=message) as caught:
        trace_leaves(lambda leaves: [np.sum(function(leaves[0]))], [X])
    assert re.search(r"at test_norms\.py:\d+", str(caught.value))
    with pytest.raises((ValueError, TypeError, np.linalg.LinAlgError)):
        function(X)


@pytest.mark.parametrize("order", ["fro", "nuc", 2, -2, None])
def test_every_norm_of_a_zero_matrix_has_derivative_zero(order: Any):
    stack = np.stack([np.zeros((3, 2)), np.arange(6.0).reshape(3, 2) + np.eye(3, 2)])
    found = gradient(lambda x: np.sum(np.linalg.norm(x, order, (-2, -1))), stack)
    alone = gradient(lambda x: np.linalg.norm(x, order), stack[1])
    assert np.array_equal(found[0], np.zeros((3, 2)))
    np.testing.assert_allclose(found[1], alone, rtol=1e-12)
