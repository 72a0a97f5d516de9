"""Jacobians, Hessians and Gauss-Newton matrices as SciPy's linear operators."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse.linalg import LinearOperator, cg, eigsh, gmres, lsmr

import difflab as dl
from difflab.errors import InputError, UnsupportedError

# What SciPy's operators return depends on what they meet, which types cannot say
gauss_newton_operator: Any = dl.gauss_newton_operator
hessian_operator: Any = dl.hessian_operator
jacobian_operator: Any = dl.jacobian_operator
BACKENDS = (None, "forward", "reverse", "finite", "complex-step", "symbolic")
MATRIX = np.random.default_rng(5).normal(size=(6, 4))


def bent(x):
    return np.sin(MATRIX @ x)


def bent_by_hand(x):
    return np.cos(MATRIX @ x)[:, None] * MATRIX


def tolerance(backend) -> Any:
    return {"rtol": 1e-5, "atol": 1e-6} if backend in ("finite", "complex-step") else {"rtol": 1e-12, "atol": 1e-12}


# ---------------------------------------------------------------------------- the Jacobian


@pytest.mark.parametrize("backend", BACKENDS)
def test_products_with_vectors_and_matrices(backend):
    x, rng = np.array([0.3, -1.2, 0.7, 2.0]), np.random.default_rng(0)
    operator, matrix, near = jacobian_operator(bent, x, backend=backend), bent_by_hand(x), tolerance(backend)
    assert isinstance(jacobian_operator(bent, x, backend=backend), LinearOperator)
    assert (operator.shape, operator.dtype) == ((6, 4), np.float64)
    for shape in [(4,), (4, 1), (4, 3), (4, 0)]:
        v = rng.normal(size=shape)
        assert_allclose(operator @ v, matrix @ v, **near)
    for shape in [(6,), (6, 1), (6, 3), (6, 0)]:
        u = rng.normal(size=shape)
        assert_allclose(operator.H @ u, matrix.T @ u, **near)
        assert_allclose(operator.T @ u, matrix.T @ u, **near)
    u, v = rng.normal(size=6), rng.normal(size=4)
    assert_allclose(u @ (operator @ v), (operator.H @ u) @ v, **near)
    assert_allclose(operator @ (v + 2j * v), matrix @ (v + 2j * v), **near)


def holomorphic(z, s):
    """A complex output and a real one, of complex and real variables."""
    return np.exp(z) * s, np.abs(z) ** 2 * s**2


def holomorphic_by_hand(z, s):
    above = np.hstack([np.diag(np.exp(z) * s), np.exp(z)[:, None]])
    below = np.hstack([np.diag(2 * z.conj() * s**2), 2 * s * np.abs(z)[:, None] ** 2])  # df/dRe - i df/dIm
    return np.vstack([above, below])


@pytest.mark.parametrize("backend", [None, "forward", "reverse"])
def test_a_complex_jacobian_and_its_adjoint(backend):
    z, s, rng = np.array([1.0 + 0.5j, -0.3j, 0.7]), 1.3, np.random.default_rng(1)
    operator = jacobian_operator(holomorphic, z, s, argnums=(0, 1), backend=backend)
    matrix = holomorphic_by_hand(z, s)
    assert (operator.shape, operator.dtype) == ((6, 4), np.complex128)
    for columns in [(), (2,)]:
        for imaginary in (0, 1j):
            v = rng.normal(size=(4, *columns)) + imaginary * rng.normal(size=(4, *columns))
            u = rng.normal(size=(6, *columns)) + imaginary * rng.normal(size=(6, *columns))
            assert_allclose(operator @ v, matrix @ v)
            assert_allclose(operator.H @ u, matrix.conj().T @ u)
            assert_allclose(operator.T @ u, matrix.T @ u)
            assert_allclose(np.sum(np.conj(u) * (operator @ v)), np.sum(np.conj(operator.H @ u) * v))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), st.integers(0, 5), st.sampled_from(["f4", "f8", "c8", "c16"]), st.integers(0, 3))
def test_shapes_and_dtypes(m, n, dtype, columns):
    rng = np.random.default_rng(m * 6 + n)
    matrix = rng.normal(size=(m, n)).astype(dtype)
    operator = jacobian_operator(lambda x: matrix @ x * 2, np.ones(n, dtype))
    v, u = rng.normal(size=(n, columns)).astype(dtype), rng.normal(size=(m, columns)).astype(dtype)
    pushed, pulled = operator @ v, operator.H @ u
    assert (operator.shape, operator.dtype) == ((m, n), np.dtype(dtype))
    assert (pushed.dtype, pulled.dtype) == (np.dtype(dtype), np.dtype(dtype))
    assert_allclose(pushed, 2 * matrix @ v, rtol=1e-4, atol=1e-5)
    assert_allclose(pulled, 2 * matrix.conj().T @ u, rtol=1e-4, atol=1e-5)


def test_leaves_stand_one_behind_the_other():
    def outputs(p, k):
        return {"low": p["b"] * k, "high": [np.sum(p["a"]) * p["b"], p["a"].T]}

    p = {"b": 2.0, "a": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])}
    operator = jacobian_operator(outputs, p, k=3)  # keys in order: a before b, high before low
    exact = np.zeros((8, 7))
    exact[0] = [2, 2, 2, 2, 2, 2, 21]
    exact[1:7, :6] = np.eye(6)[[0, 3, 1, 4, 2, 5]]
    exact[7, 6] = 3
    assert_allclose(operator @ np.eye(7), exact)
    assert_allclose(operator.H @ np.eye(8), exact.T)


def test_it_stays_at_its_point_and_gives_fresh_arrays():
    x, scale = np.ones(3), np.array([2.0])
    operator = jacobian_operator(lambda x: x**2 * scale, x)
    x[:], scale[:] = 5.0, 7.0
    v = np.ones(3)
    first = operator @ v
    first[:] = -1.0
    assert_array_equal(operator @ v, [4, 4, 4])
    assert_array_equal(operator.H @ v, [4, 4, 4])
    assert_array_equal(operator @ np.eye(3), 4 * np.eye(3))
    assert_array_equal(v, 1.0)


def test_a_black_box():
    def box(x):
        return np.array([float(x[0]) ** 2, float(x[1]), 1.0])

    operator = jacobian_operator(box, np.array([3.0, 1.0]), backend="finite")
    assert_allclose(operator @ np.eye(2), [[6, 0], [0, 1], [0, 0]], atol=1e-6)
    assert_allclose(operator.H @ np.eye(3), [[6, 0, 0], [0, 1, 0]], atol=1e-6)


# ---------------------------------------------------------------------------- in SciPy's solvers


def test_gauss_newton_by_lsmr_fits_a_curve():
    t = np.linspace(0, 2, 30)
    true = {"rate": np.array(1.3), "height": np.array([2.0, -0.5])}

    def model(p):
        return p["height"][0] * np.exp(-p["rate"] * t) + p["height"][1]

    def residual(p):
        return model(p) - model(true)

    p = {"rate": np.array(1.0), "height": np.array([1.0, 0.0])}
    for _ in range(12):
        step = lsmr(jacobian_operator(residual, p), -residual(p), atol=1e-14, btol=1e-14)[0]
        p = {"height": p["height"] + step[:2], "rate": p["rate"] + step[2]}  # keys in order
    assert_allclose(p["rate"], true["rate"], rtol=1e-9)
    assert_allclose(p["height"], true["height"], rtol=1e-9)


def rosenbrock(x):
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_newton_by_cg_and_by_gmres():
    for solve in (cg, gmres):
        x = np.full(6, 1.1)
        for _ in range(12):
            slope = dl.gradient(rosenbrock)(x)
            if not slope.any():
                break
            x = x - solve(hessian_operator(rosenbrock, x), slope, rtol=1e-12)[0]
        assert_allclose(x, 1.0, rtol=1e-9)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_the_hessian_and_its_eigenvalues(backend):
    x = np.linspace(-1, 1, 8)
    exact = np.zeros((8, 8))
    for i in range(7):
        exact[i, i] += 1200 * x[i] ** 2 - 400 * x[i + 1] + 2
        exact[i + 1, i + 1] += 200
        exact[i, i + 1] = exact[i + 1, i] = -400 * x[i]
    operator, rough = hessian_operator(rosenbrock, x, backend=backend), backend in ("finite", "complex-step")
    assert (operator.shape, operator.dtype) == ((8, 8), np.float64)
    assert_allclose(operator @ np.eye(8), exact, rtol=1e-4, atol=0.02 if rough else 1e-9)
    assert_allclose(operator.H @ np.ones(8), exact.sum(0), rtol=1e-4, atol=0.02)
    found = eigsh(operator, k=3, return_eigenvectors=False, v0=np.ones(8), which="LA")
    assert_allclose(np.sort(found), np.linalg.eigvalsh(exact)[-3:], rtol=1e-4 if rough else 1e-9)


def test_a_hessian_of_a_tree():
    p = {"w": np.ones((2, 2), np.float32), "b": np.float32(2.0)}
    operator = hessian_operator(lambda p: np.sum(p["w"] ** 2) * p["b"], p)
    exact = np.block([[np.zeros((1, 1)), np.full((1, 4), 2.0)], [np.full((4, 1), 2.0), 4 * np.eye(4)]])
    assert operator.dtype == np.float32
    assert_allclose(operator @ np.eye(5, dtype=np.float32), exact)
    assert (operator @ np.ones(5, np.float32)).dtype == np.float32


@pytest.mark.parametrize("backend", BACKENDS[1:])
@pytest.mark.parametrize("loss", [None, lambda y: np.sum(np.cosh(y))])
def test_gauss_newton_matrices(backend, loss):
    x = np.array([0.3, -1.2, 0.7, 2.0])
    jacobian, weights = bent_by_hand(x), np.cosh(bent(x)) if loss else np.ones(6)
    exact = jacobian.T @ (weights[:, None] * jacobian)
    operator, near = gauss_newton_operator(bent, x, loss=loss, backend=backend), tolerance(backend)
    assert_allclose(operator @ np.eye(4), exact, **near)
    assert_allclose(operator @ np.ones(4), exact.sum(1), **near)
    assert_allclose(operator.H @ np.eye(4), exact, **near)
    assert_allclose(operator @ np.ones(4), dl.gauss_newton(bent, loss=loss)(x, np.ones(4)), **near)
    assert_allclose(cg(operator, exact @ [1, 2, 3, 4], rtol=1e-12)[0], [1, 2, 3, 4], rtol=1e-3)


def test_gauss_newton_of_containers():
    def outputs(p):
        return {"near": p["a"] * np.array([1.0, 2.0]), "far": (p["b"] ** 2,)}

    p = {"a": 2.0, "b": 3.0}
    operator = gauss_newton_operator(outputs, p, loss=lambda y: np.sum(y["near"] ** 2) + y["far"][0] ** 3)
    assert_allclose(operator @ np.eye(2), [[10, 0], [0, 36 * 54]])


# ---------------------------------------------------------------------------- faults


def test_traced_arguments_are_refused():
    for make in (jacobian_operator, gauss_newton_operator):
        with pytest.raises(UnsupportedError, match="makes an operator of SciPy, which takes no traced arrays"):
            dl.gradient(lambda x, make=make: np.sum(make(bent, x) @ np.ones(4)))(np.ones(4))
    with pytest.raises(UnsupportedError, match=r"dl\.hessian_operator of `rosenbrock` makes an operator of SciPy"):
        dl.gradient(lambda x: np.sum(hessian_operator(rosenbrock, x) @ x))(np.ones(4))


def test_faults_are_sentences():
    with pytest.raises(InputError, match=r"hessian_operator of `bent` needs one output of shape \(\)"):
        hessian_operator(bent, np.ones(4))
    with pytest.raises(InputError, match=r"dl\.jacobian_operator takes a function, and a ndarray was given"):
        jacobian_operator(np.ones(4), np.ones(4))
    with pytest.raises(InputError, match="the call has 1 positional arguments"):
        jacobian_operator(bent, np.ones(4), argnums=1)
    with pytest.raises(
        UnsupportedError, match="needs real arguments: by complex ones its products are linear over the"
    ):
        hessian_operator(lambda z: np.sum(np.abs(z) ** 2), np.ones(2) * 1j)
    with pytest.raises(UnsupportedError, match=r"dl\.gauss_newton_operator of `<lambda>` needs real arguments"):
        gauss_newton_operator(lambda z: z, np.ones(2) * 1j)
