"""Diagonals of Hessians and products with Gauss-Newton matrices, against matrices made by hand."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import difflab as dl
from difflab.backends.reverse import PreparedReverse
from difflab.errors import InputError, UnsupportedError

BACKENDS = ("reverse", "forward", "finite", "complex-step", "symbolic")
MATRIX = np.random.default_rng(3).normal(size=(6, 4))


def separable(x):
    return np.sum(np.sin(x) + x**4)


def chain(x):
    return np.sum((x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)  # Rosenbrock's function


def chain_by_hand(x):
    diagonal = np.zeros_like(x)
    diagonal[:-1] = 12 * x[:-1] ** 2 - 4 * x[1:] + 2
    diagonal[1:] += 2
    return diagonal


def dense(x):
    return np.sum(np.tanh(MATRIX[:, : len(x)] @ x))


def dense_by_hand(x):
    t = np.tanh(MATRIX[:, : len(x)] @ x)
    return (-2 * t * (1 - t**2)) @ MATRIX[:, : len(x)] ** 2


@pytest.fixture
def products(monkeypatch):
    """How many Hessian-vector products were asked of reverse mode, call by call."""
    counts, own = [], PreparedReverse.hvps

    def hvps(self, leaves, vectors):
        counts.append(len(vectors[0]))
        return own(self, leaves, vectors)

    monkeypatch.setattr(PreparedReverse, "hvps", hvps)
    return counts


# ---------------------------------------------------------------------------- the diagonal


@pytest.mark.parametrize(
    ("function", "by_hand", "colours"),
    [(separable, lambda x: -np.sin(x) + 12 * x**2, 1), (chain, chain_by_hand, 2), (dense, dense_by_hand, 4)],
)
def test_as_many_products_as_colours(function, by_hand, colours, products):
    x = np.array([0.3, -1.2, 0.7, 2.0])
    assert_allclose(dl.hessian_diagonal(function)(x), by_hand(x))
    assert_allclose(dl.hessian_diagonal(function)(2 * x), by_hand(2 * x))  # colours are known by now
    assert products == [colours] * 2


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("function", "by_hand"), [(chain, chain_by_hand), (dense, dense_by_hand)])
def test_every_backend(function, by_hand, backend):
    x = np.array([0.3, -1.2, 0.7, 2.0])
    rough = backend in ("finite", "complex-step")
    assert_allclose(dl.hessian_diagonal(function, backend=backend)(x), by_hand(x), rtol=1e-4 if rough else 1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 12), st.integers(0, 3), st.sampled_from(["f4", "f8"]), st.integers(0, 99))
def test_the_diagonal_of_the_dense_hessian(n, links, dtype, seed):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, max(n, 1), (links, 2)) if n else np.zeros((0, 2), int)
    x = rng.normal(size=n).astype(dtype)

    def function(x):
        return np.sum(np.exp(x)) + sum(x[i] ** 2 * x[j] for i, j in pairs) * np.float32(0.5)

    found = dl.hessian_diagonal(function)(x)
    assert (found.dtype, found.shape) == (x.dtype, (n,))
    assert_allclose(found, np.diagonal(dl.hessian(function)(x)), rtol=1e-5, atol=1e-6)


def test_trees_scalars_and_several_arguments():
    p = {"w": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.float32(2.0) * np.ones((), np.float32)}

    def function(p, y, k):
        return np.sum(p["w"] ** 3) * p["b"] ** 2 + y**k

    by_p, by_y = dl.hessian_diagonal(function, argnums=(0, 1))(p, 5.0, 4)
    assert_allclose(by_p["w"], 6 * p["w"] * 4)
    assert_allclose(by_p["b"], 2 * np.sum(p["w"] ** 3))
    assert (by_p["b"].dtype, by_y, type(by_y)) == (np.float32, 12 * 25.0, np.float64)


def test_what_is_looked_at_is_looked_at_anew():
    def function(x, pick):
        return np.sum(x[pick] * x[::-1][pick]) + np.sum(x**2)

    x, diagonal = np.ones(4), dl.hessian_diagonal(function)
    assert_array_equal(diagonal(x, np.array([0, 1])), [2, 2, 2, 2])
    assert_array_equal(diagonal(x, np.array([3])), [2, 2, 2, 2])
    odd = dl.hessian_diagonal(lambda x, pick: np.sum(x[pick] * x[0]))
    assert_array_equal(odd(x, np.array([1, 2])), [0, 0, 0, 0])
    assert_array_equal(odd(x, np.array([0, 0])), [4, 0, 0, 0])


def test_a_complex_diagonal_is_that_of_the_hessian():
    p = {"z": np.array([1.0 + 2.0j, -0.5j]), "s": np.array([0.5])}

    def function(p):
        return np.sum(np.abs(p["z"] ** 2) ** 2) * p["s"][0] ** 2

    whole, found = dl.hessian(function)(p), dl.hessian_diagonal(function)(p)
    assert_allclose(found["z"], np.diagonal(whole["z"]["z"]))
    assert_allclose(found["s"], np.diagonal(whole["s"]["s"]))


def test_a_black_box_is_taken_for_dense():
    def box(x):
        return float(x[0]) ** 2 * float(x[1]) ** 3

    assert_allclose(dl.hessian_diagonal(box, backend="finite")(np.array([1.0, 2.0])), [16, 12], rtol=1e-4)


def test_many_coordinates_go_some_at_a_time(monkeypatch, products):
    monkeypatch.setattr("difflab.curvature.SEEDS", 3 * 8 * 8)
    x = np.linspace(-1, 1, 8)
    found = dl.hessian_diagonal(lambda x: np.sum(x**2) ** 2)(x)
    assert_allclose(found, 8 * x**2 + 4 * np.sum(x**2))
    assert products == [3, 3, 3]


@pytest.mark.parametrize(("entries", "n"), [(1, 41), (1 << 24, 42)])  # each of a structure that has no colours yet
def test_a_large_hessian_is_coloured_only_where_it_is_sparse(entries, n, monkeypatch, products):
    monkeypatch.setattr("difflab.curvature.SMALL", 0)
    monkeypatch.setattr("difflab.curvature.ENTRIES", entries)
    x = np.linspace(-1, 1, n)
    assert_allclose(dl.hessian_diagonal(chain)(x), chain_by_hand(x))
    assert products == ([n] if entries == 1 else [2])


def test_a_large_dense_hessian_is_never_there():
    x = np.linspace(-1, 1, 3000)
    tracemalloc.start()
    try:
        found = dl.hessian_diagonal(lambda x: np.sum(x**2) ** 2)(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert_allclose(found, 8 * x**2 + 4 * np.sum(x**2))
    assert peak < 3000 * 3000 * 8 * 0.75


def test_inside_another_derivative():
    x = np.array([0.3, -1.2, 0.7, 2.0])
    slopes = np.zeros((4, 4))
    slopes[range(3), range(3)] = 24 * x[:-1]
    slopes[range(3), range(1, 4)] = -4
    assert_allclose(dl.jacobian(dl.hessian_diagonal(chain))(x), slopes, atol=1e-12)
    scaled = dl.gradient(lambda s: np.sum(dl.hessian_diagonal(lambda x: s * chain(x))(x)))
    assert_allclose(scaled(3.0), np.sum(chain_by_hand(x)))
    with pytest.raises(UnsupportedError, match="'scipy' cannot"):
        dl.gradient(lambda x: np.sum(dl.hessian_diagonal(chain, backend="scipy")(x)))(x)


def test_faults_of_the_diagonal():
    with pytest.raises(InputError, match="hessian_diagonal of `<lambda>` needs one output of shape"):
        dl.hessian_diagonal(lambda x: x * 2)(np.ones(2))
    with pytest.raises(InputError, match="argnums of `chain` is an integer"):
        dl.hessian_diagonal(chain, np.ones(2))


# ---------------------------------------------------------------------------- Gauss-Newton


def residual(x):
    return np.sin(MATRIX @ x)


def residual_by_hand(x):
    return np.cos(MATRIX @ x)[:, None] * MATRIX


def cosh_loss(y):
    return np.sum(np.cosh(y))


@pytest.mark.parametrize("backend", BACKENDS)
def test_gauss_newton_is_three_products(backend):
    x, v = np.array([0.3, -1.2, 0.7, 2.0]), np.array([1.0, 2.0, -1.0, 0.5])
    jacobian = residual_by_hand(x)
    tolerance = 1e-4 if backend in ("finite", "complex-step") else 1e-12
    assert_allclose(dl.gauss_newton(residual, backend=backend)(x, v), jacobian.T @ jacobian @ v, rtol=tolerance)
    weighted = jacobian.T @ (np.cosh(residual(x)) * (jacobian @ v))
    assert_allclose(dl.gauss_newton(residual, loss=cosh_loss, backend=backend)(x, v), weighted, rtol=tolerance)


def test_with_a_linear_residual_it_is_the_hessian():
    x, v = np.array([0.3, -1.2, 0.7, 2.0]), np.array([1.0, 2.0, -1.0, 0.5])
    found = dl.gauss_newton(lambda x: MATRIX @ x, loss=cosh_loss)(x, v)
    assert_allclose(found, dl.hvp(lambda x: cosh_loss(MATRIX @ x))(x, v))


def test_containers_on_both_sides():
    def outputs(p, t):
        return {"near": p["a"] * t, "far": (p["b"] ** 2, p["a"] * p["b"])}

    def loss(y):
        return np.sum(y["near"] ** 2) * 1.5 + y["far"][0] ** 2 + y["far"][0] * y["far"][1]

    t, p, v = np.array([1.0, 2.0]), {"a": 2.0, "b": np.float32(3.0)}, {"a": 1.0, "b": np.float32(-1.0)}
    jacobian = np.array([[1, 0], [2, 0], [0, 6], [3, 2]])
    weights = np.array([[3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 2, 1], [0, 0, 1, 0]])
    exact = jacobian.T @ weights @ jacobian @ [1, -1]
    found = dl.gauss_newton(outputs, loss=loss)(p, t, v)
    assert_allclose([found["a"], found["b"]], exact)
    assert type(found["b"]) is np.float32
    pair = dl.gauss_newton(lambda a, b: a * b, argnums=(0, 1))(2.0, 3.0, (1.0, 0.0))
    assert pair == (9.0, 6.0)


def test_complex_outputs_of_real_arguments():
    matrix = MATRIX + 1j * MATRIX[::-1]
    x, v = np.ones(4), np.array([1.0, 2.0, -1.0, 0.5])
    found = dl.gauss_newton(lambda x: matrix @ x)(x, v)
    assert_allclose(found, (matrix.conj().T @ matrix @ v).real)
    by_loss = dl.gauss_newton(lambda x: matrix @ x, loss=lambda y: np.sum(np.abs(y) ** 2) / 2)(x, v)
    assert_allclose(found, by_loss)


def test_gauss_newton_inside_another_derivative():
    x, v = np.array([0.3, -1.2, 0.7, 2.0]), np.array([1.0, 2.0, -1.0, 0.5])
    found = dl.jacobian(lambda x: dl.gauss_newton(residual, loss=cosh_loss)(x, v))(x)
    h = 1e-5
    for column, unit in zip(found.T, np.eye(4), strict=True):
        ends = []
        for point in (x + h * unit, x - h * unit):
            jacobian = residual_by_hand(point)
            ends.append(jacobian.T @ (np.cosh(residual(point)) * (jacobian @ v)))
        assert_allclose(column, (ends[0] - ends[1]) / (2 * h), rtol=1e-6, atol=1e-8)
    jacobian = residual_by_hand(x)
    along = dl.jacobian(lambda v: dl.gauss_newton(residual)(x, v))(v)  # only the vector is traced
    assert_allclose(along, jacobian.T @ jacobian)


def test_results_are_fresh():
    x, v = np.ones(3), np.ones(3)
    found = dl.gauss_newton(lambda x: x)(x, v)
    found[:] = 7.0
    assert_array_equal(v, 1.0)
    assert_array_equal(x, 1.0)


def test_faults_of_gauss_newton():
    with pytest.raises(InputError, match="gauss_newton of `residual` takes the positional arguments of `residual` and"):
        dl.gauss_newton(residual)(np.ones(4))
    with pytest.raises(InputError, match=r"gauss_newton of `residual`: the vector of shape \(3,\) belongs to"):
        dl.gauss_newton(residual)(np.ones(4), np.ones(3))
    with pytest.raises(InputError, match="hvp of `<lambda>` needs one output of shape"):
        dl.gauss_newton(residual, loss=lambda y: y)(np.ones(4), np.ones(4))
    assert dl.gauss_newton(lambda x: x)(np.ones(0), np.ones(0)).shape == (0,)
