"""What sparse derivatives must agree on with dense ones where a pattern could mislead."""

from __future__ import annotations

import numpy as np
import pytest

import difflab as dl
from difflab.errors import InputError

X = np.array([-0.70193143, -1.224359, 0.4])


@pytest.mark.parametrize("backend", ["finite", "complex-step"])
def test_who_only_evaluates_sees_through_stop_gradient(backend: str) -> None:
    def stopped(x):
        return dl.stop_gradient(np.roll(x, 1)) * x

    dense = dl.jacobian(stopped, backend=backend)(X)
    np.testing.assert_allclose(dl.jacobian(stopped, backend=backend, sparse=True)(X).toarray(), dense, rtol=1e-6)
    prepared = dl.prepare(stopped, X, operator="jacobian", backend=backend, sparse=True)
    np.testing.assert_allclose(prepared(X).toarray(), dense, rtol=1e-6)
    assert dl.jacobian(stopped, backend="reverse", sparse=True)(X).nnz == 3
    assert dl.sparsity(stopped, X).nnz == 3


@pytest.mark.parametrize("backend", ["finite", "complex-step", "reverse"])
def test_second_derivatives_through_stop_gradient(backend: str) -> None:
    def loss(x):
        return np.sum(dl.stop_gradient(x[::-1]) ** 2 * x**2)

    dense = dl.hessian(loss, backend=backend)(X)
    sparse = dl.hessian(loss, backend=backend, sparse=True)(X).toarray()
    np.testing.assert_allclose(sparse, dense, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(dl.hessian_diagonal(loss, backend=backend)(X), np.diag(dense), rtol=1e-4, atol=1e-4)


def test_of_functions_that_are_not_holomorphic_one_mode_alone_is_taken() -> None:
    def mixed(z):
        return np.concatenate([np.sum(np.conj(z) ** 2).reshape(1), np.conj(z[1:]) * z[0]])

    z = np.linspace(0.1, 1.0, 12) + 1j * np.linspace(1.0, 0.2, 12)
    np.testing.assert_allclose(dl.jacobian(mixed, sparse=True)(z).toarray(), dl.jacobian(mixed)(z), rtol=1e-14)
    products = dl.prepare(mixed, z, operator="jacobian", sparse=True).stats["products"]
    assert 0 in products


def test_a_pattern_is_the_callers_own() -> None:
    found = dl.sparsity(lambda x: x[1:] * x[:-1], X)
    changed = found.matrix
    changed.indptr[:] = 0
    changed.indices[:] = 0
    assert found.matrix.nnz == 4
    assert found.matrix.toarray().tolist() == [[True, True, False], [False, True, True]]


def test_a_pattern_found_for_other_integers_is_refused() -> None:
    def chosen(x, places):
        return x[places] ** 2

    pattern = dl.sparsity(chosen, X, np.array([0, 1]))
    right = dl.jacobian(chosen, sparse=pattern)(X, np.array([0, 1]))
    np.testing.assert_allclose(right.toarray(), dl.jacobian(chosen)(X, np.array([0, 1])))
    with pytest.raises(InputError, match=r"was found for other values of places; find it again with dl\.sparsity"):
        dl.jacobian(chosen, sparse=pattern)(X, np.array([2, 1]))
    prepared = dl.prepare(chosen, X, np.array([0, 1]), operator="jacobian", sparse=pattern)
    with pytest.raises(InputError, match="was found for other values of places"):
        prepared(X, np.array([2, 2]))


def test_what_scipy_has_no_dtype_for_comes_in_the_next_one() -> None:
    found = dl.jacobian(lambda x: x * x, sparse=True)(X.astype(np.float16))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.toarray(), np.diag(2 * X.astype(np.float16)).astype(np.float32))


def test_a_matrix_without_zeros_is_formed_at_once() -> None:
    def loss(x):
        return np.sum(x) ** 3

    prepared = dl.prepare(loss, np.ones(40), operator="hessian", sparse=True)
    assert prepared.stats["formed_dense"] == "no product is saved: every entry can be non-zero"
    np.testing.assert_allclose(prepared(np.ones(40)).toarray(), np.full((40, 40), 240.0))


def test_why_a_function_cannot_be_traced_is_said() -> None:
    with pytest.raises(dl.DifflabError, match=r"cannot be traced \(dl\.sparsity says why\), so that the pattern"):
        dl.jacobian(lambda x: np.array([float(v) for v in x]), backend="finite", sparse=True)(X)
