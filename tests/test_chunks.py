"""Finite, forward and reverse a chunk of lanes at a time: chunk sizes, second order, complex numbers, forecasts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from samples import no_aliases

from difflab import transforms
from difflab.backends.finite import Finite
from difflab.backends.forward import Forward
from difflab.backends.protocol import Source
from difflab.backends.reverse import Reverse
from difflab.builder import Shape
from difflab.tracing import trace_leaves

BACKENDS = {"finite": Finite, "forward": Forward, "reverse": Reverse, "one-sided": lambda **o: Finite("forward", **o)}
every_backend = pytest.mark.parametrize("name", BACKENDS)
OPERATORS = ("gradient", "vjp", "jacobian", "hvp", "hessian", "jvp")


def made(function: Any, leaves: Sequence[Any], wrt: Sequence[int] | None = None, *, frozen: bool = True) -> Source:
    leaves = [np.asarray(leaf) for leaf in leaves]
    return Source(
        lambda at: [np.asarray(output) for output in function(at)],
        lambda: trace_leaves(function, leaves),
        list(leaves),
        tuple(range(len(leaves)) if wrt is None else wrt),
        frozen=frozen,
    )


def bound(name: str, order: int, dtype: Any = "f8") -> float:
    """Relative error to expect of an operator of that order."""
    unit = float(np.finfo(dtype).eps)
    if name in ("forward", "reverse"):
        return 200 * unit
    power = {("finite", 1): 2 / 3, ("finite", 2): 1 / 2, ("one-sided", 1): 1 / 2, ("one-sided", 2): 1 / 3}
    return 60 * unit ** power[name, order]


def assert_close(found: Any, wanted: Any, tolerance: float) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0.0)))
    assert np.max(np.abs(found - wanted), initial=0.0) <= tolerance * scale


# A quadratic form and more, with derivatives by hand: f(x, s) = s sum(a * sin(x)) + (sum x)^2 / 2.
X, S, A = np.array([0.3, -1.2, 0.8]), np.array(1.5), np.array([1.0, 2.0, -0.5])


def scalar(leaves):
    x, s = leaves
    return [s * np.sum(A * np.sin(x)) + 0.5 * np.sum(x) ** 2]


GRADIENT = [S * A * np.cos(X) + np.sum(X), np.sum(A * np.sin(X))]
HESSIAN = [
    [np.diag(-S * A * np.sin(X)) + 1, A * np.cos(X)],
    [A * np.cos(X), np.zeros(())],
]


def vector(leaves):
    x, s = leaves
    return [s * x[:2] * x[1:], np.sum(x), np.argmax(x), np.stack([x, x * x])]


JACOBIAN = [
    [S * np.array([[X[1], X[0], 0], [0, X[2], X[1]]]), X[:2] * X[1:]],
    [np.ones(3), np.zeros(())],
    [np.zeros(3), np.zeros(())],
    [np.stack([np.eye(3), np.diag(2 * X)]), np.zeros((2, 3))],
]


@every_backend
@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, "auto"])
@pytest.mark.parametrize("frozen", [True, False])
class TestEveryChunkSize:
    def test_gradient(self, name: str, chunk: Any, frozen: bool):
        prepared = BACKENDS[name](chunk=chunk).prepare(made(scalar, [X, S], frozen=frozen), "gradient", [X, S])
        value, slopes = prepared.value_and_gradient([X, S])
        assert value == scalar([X, S])[0]
        for found, wanted in zip(slopes, GRADIENT, strict=True):
            assert_close(found, wanted, bound(name, 1))
        no_aliases([value, *slopes], [X, S])
        if name != "reverse":
            assert prepared.stats["chunk"] == (4 if chunk == "auto" else min(chunk, 4))

    def test_jacobian(self, name: str, chunk: Any, frozen: bool):
        prepared = BACKENDS[name](chunk=chunk).prepare(made(vector, [X, S], frozen=frozen), "jacobian", [X, S])
        outputs, blocks = prepared.jacobian([X, S])
        for output, wanted in zip(outputs, vector([X, S]), strict=True):
            assert np.array_equal(output, wanted)
        for row, hand in zip(blocks, JACOBIAN, strict=True):
            for found, wanted in zip(row, hand, strict=True):
                assert_close(found, wanted, bound(name, 1))
                assert found.dtype == np.float64
        no_aliases([*outputs, *itertools.chain(*blocks)], [X, S])

    def test_pullback_and_tangents(self, name: str, chunk: Any, frozen: bool):
        prepared = BACKENDS[name](chunk=chunk).prepare(made(vector, [X, S], frozen=frozen), "vjp", [X, S])
        outputs, pullback = prepared.vjp([X, S])
        cotangents = [np.cos(np.arange(np.size(output))).reshape(np.shape(output)) for output in outputs]
        for _ in range(2):
            for position, found in enumerate(pullback(cotangents)):
                parts = [
                    np.tensordot(c, row[position], np.ndim(c)) for c, row in zip(cotangents, JACOBIAN, strict=True)
                ]
                assert_close(found, sum(parts), bound(name, 1))
        tangents = [np.array([1.0, -2.0, 0.5]), np.array(0.25)]
        for found, row in zip(prepared.jvp([X, S], tangents)[1], JACOBIAN, strict=True):
            wanted = sum(np.tensordot(b, t, np.ndim(t)) for b, t in zip(row, tangents, strict=True))
            assert_close(found, wanted, bound(name, 1))

    def test_second_order(self, name: str, chunk: Any, frozen: bool):
        prepared = BACKENDS[name](chunk=chunk).prepare(made(scalar, [X, S], frozen=frozen), "hvp", [X, S])
        vectors = [np.array([1.0, -2.0, 0.5]), np.array(0.25)]
        products = prepared.hvp([X, S], vectors)
        blocks = prepared.hessian([X, S])
        for product, row, hand in zip(products, blocks, HESSIAN, strict=True):
            wanted = sum(np.tensordot(h, v, np.ndim(v)) for h, v in zip(hand, vectors, strict=True))
            assert_close(product, wanted, bound(name, 2))
            for found, block in zip(row, hand, strict=True):
                assert_close(found, block, bound(name, 2))
        no_aliases([*products, *itertools.chain(*blocks)], [X, S, *vectors])


@every_backend
def test_float32_stays_float32(name: str):
    x, s = X.astype("f4"), S.astype("f4")

    def f(leaves):
        return [leaves[1] * np.sum(np.float32(2.0) * np.sin(leaves[0])) + np.sum(leaves[0]) ** 2]

    prepared = BACKENDS[name]().prepare(made(f, [x, s]), "hessian", [x, s])
    value, slopes = prepared.value_and_gradient([x, s])
    results = [value, *slopes, *prepared.hvp([x, s], [x, s]), *itertools.chain(*prepared.hessian([x, s]))]
    assert {np.asarray(result).dtype for result in results} == {np.dtype("f4")}
    assert_close(slopes[0], 2 * S * np.cos(X) + 2 * np.sum(X), bound(name, 1, "f4"))
    assert_close(prepared.hessian([x, s])[0][0], np.diag(-2 * S * np.sin(X)) + 2, bound(name, 2, "f4"))


@every_backend
def test_leaves_of_two_dtypes_and_without_elements(name: str):
    def f(leaves):
        x, y, none = leaves
        return [np.sum(x * x) * np.sum(y.astype("f8") ** 3) + np.sum(none)]

    leaves = [np.array([1.0, 2.0]), np.array([0.5, 1.5], "f4"), np.zeros((0, 2))]
    prepared = BACKENDS[name](chunk=3).prepare(made(f, leaves), "gradient", leaves)
    slopes = prepared.value_and_gradient(leaves)[1]
    assert [slope.dtype.name for slope in slopes] == ["float64", "float32", "float64"]
    assert_close(slopes[0], 2 * leaves[0] * 3.5, bound(name, 1))
    assert_close(slopes[1], 15 * leaves[1] ** 2, bound(name, 1, "f4"))
    blocks = prepared.hessian(leaves)
    assert [[block.shape for block in row] for row in blocks] == [
        [(2, 2), (2, 2), (2, 0, 2)],
        [(2, 2), (2, 2), (2, 0, 2)],
        [(0, 2, 2), (0, 2, 2), (0, 2, 0, 2)],
    ]
    assert_close(blocks[0][1], np.outer(2 * leaves[0], 3 * leaves[1] ** 2), bound(name, 2, "f4"))
    empty = BACKENDS[name]().prepare(made(lambda at: [np.sum(at[0]) + 1.0], [leaves[2]]), "gradient", [leaves[2]])
    value, (slope,) = empty.value_and_gradient([leaves[2]])
    assert (value, slope.shape) == (1.0, (0, 2))


# ---------------------------------------------------------------------------- complex numbers


Z: Any = np.array([0.5 + 0.25j, -1.0 + 0.75j])


@every_backend
@pytest.mark.parametrize("chunk", [1, 3, "auto"])
def test_complex_variables(name: str, chunk: Any):
    def loss(leaves):
        z, x = leaves
        return [np.sum(np.real(z) ** 2 * x + 3 * np.imag(z) * np.real(z))]

    def holomorphic(leaves):
        return [np.exp(leaves[0]) * leaves[1], np.abs(leaves[0]) ** 2]

    x = np.array([2.0, -1.0])
    a, b = Z.real, Z.imag
    prepared = BACKENDS[name](chunk=chunk).prepare(made(loss, [Z, x]), "gradient", [Z, x])
    slopes = prepared.value_and_gradient([Z, x])[1]
    assert_close(slopes[0], 2 * a * x + 3 * b - 3j * a, bound(name, 1))
    assert_close(slopes[1], a**2, bound(name, 1))
    vectors: list[Any] = [np.array([1.0 - 2.0j, 0.5j]), np.array([0.25, 1.0])]
    dz, dx = vectors
    products = prepared.hvp([Z, x], vectors)
    assert_close(products[0], 2 * dz.real * x + 2 * a * dx + 3 * dz.imag - 3j * dz.real, bound(name, 2))
    assert_close(products[1], 2 * a * dz.real, bound(name, 2))
    blocks = prepared.hessian([Z, x])
    assert_close(blocks[0][0], np.diag(2 * x - 3j), bound(name, 2))
    assert_close(blocks[0][1], np.diag(2 * a + 0j), bound(name, 2))
    assert_close(blocks[1][0], np.diag(2 * a + 0j), bound(name, 2))
    rows = BACKENDS[name](chunk=chunk).prepare(made(holomorphic, [Z, x]), "jacobian", [Z, x]).jacobian([Z, x])[1]
    assert_close(rows[0][0], np.diag(np.exp(Z) * x), bound(name, 1))
    assert_close(rows[0][1], np.diag(np.exp(Z)), bound(name, 1))
    assert_close(rows[1][0], np.diag(2 * a - 2j * b), bound(name, 1))
    assert not np.any(rows[1][1])
    assert [[block.dtype.kind for block in row] for row in rows] == [["c", "c"], ["c", "f"]]


# ---------------------------------------------------------------------------- tapes for nesting


def done(prepared: Any, operator: str, vectors: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
    """What a prepared derivative gives for an operator, without the outputs of the function."""
    if operator == "gradient":
        return prepared.value_and_gradient([X, S])[1]
    if operator == "vjp":
        return prepared.vjp([X, S])[1](cotangents)
    if operator == "jvp":
        return prepared.jvp([X, S], vectors)[1]
    if operator == "hvp":
        return prepared.hvp([X, S], vectors)
    blocks = prepared.jacobian([X, S])[1] if operator == "jacobian" else prepared.hessian([X, S])
    return list(itertools.chain(*blocks))


@every_backend
def test_derivative_tapes_equal_what_is_prepared(name: str):
    backend = BACKENDS[name]()
    vectors = [np.array([1.0, -2.0, 0.5]), np.array(0.25)]
    for function in (scalar, vector):
        source = made(function, [X, S])
        for operator in OPERATORS:
            if function is vector and operator in ("gradient", "hvp", "hessian"):
                continue
            prepared = backend.prepare(source, operator, [X, S])
            count = len(source.tape.outputs)
            cotangents = [np.ones(np.shape(output), np.asarray(output).dtype) for output in function([X, S])]
            extra = {"jvp": vectors, "hvp": vectors, "vjp": cotangents}.get(operator, [])
            tape = backend.derivative(source.tape, operator, source.wrt).check()
            results = tape.evaluate([X, S, *extra])
            wanted = done(prepared, operator, vectors, cotangents)
            results = results if operator in ("hvp", "hessian") else results[count:]
            order = 2 if operator in ("hvp", "hessian") else 1
            assert len(results) == len(wanted)
            for found, expected in zip(results, wanted, strict=True):
                assert_close(found, expected, bound(name, order))
                assert found.dtype == np.asarray(expected).dtype


@every_backend
def test_derivative_tapes_can_be_differentiated_again(name: str):
    backend = BACKENDS[name]()
    tape = trace_leaves(lambda leaves: [np.sum(leaves[0] ** 3)], [X])
    once = backend.derivative(tape, "gradient", (0,))
    again = transforms.jvp(once, (0,))
    (_, _, _, moved) = again.evaluate([X, np.ones(3)])
    assert_close(moved, 6 * X, bound(name, 1))
    empty = backend.derivative(trace_leaves(lambda leaves: [np.sum(leaves[0])], [np.zeros(0)]), "hessian", (0,))
    assert empty.evaluate([np.zeros(0)])[0].shape == (0, 0)


# ---------------------------------------------------------------------------- black boxes and branches


def test_lanes_that_branch_otherwise_go_their_own_ways():
    def f(leaves):
        (x,) = leaves
        return [np.sum(x * x) if x[0] > 1.0 else 3.0 * np.sum(x)]

    at = np.array([1.0 + 1e-9, 2.0])  # behind it, the other branch
    prepared = Finite(step=1e-6).prepare(made(f, [at]), "gradient", [at])
    slope = prepared.value_and_gradient([at])[1][0]
    move = np.array([1e-6, 0.0])
    assert slope[0] == pytest.approx((f([at + move])[0] - f([at - move])[0]) / 2e-6, rel=1e-6)
    assert slope[1] == pytest.approx(4.0, rel=1e-6)


def test_black_boxes_are_asked_for_one_point_after_the_other():
    calls = []

    def f(leaves):
        calls.append(1)
        return [np.asarray(math.sin(leaves[0][0]) * float(leaves[0][1]) ** 2)]

    at = np.array([0.5, 2.0])
    for scheme, tolerance in (("central", 1e-6), ("forward", 1e-3)):
        prepared = Finite(scheme).prepare(made(f, [at]), "gradient", [at])
        assert prepared.stats["black_box"]
        calls.clear()
        slope = prepared.value_and_gradient([at])[1][0]
        assert len(calls) == (5 if scheme == "central" else 3)
        np.testing.assert_allclose(slope, [4 * math.cos(0.5), 4 * math.sin(0.5)], rtol=tolerance)
        wanted = np.array([[-4 * math.sin(0.5), 4 * math.cos(0.5)], [4 * math.cos(0.5), 2 * math.sin(0.5)]])
        np.testing.assert_allclose(prepared.hessian([at])[0][0], wanted, rtol=50 * tolerance)
        np.testing.assert_allclose(
            prepared.hvp([at], [np.array([1.0, 2.0])])[0], wanted @ [1.0, 2.0], rtol=50 * tolerance
        )
        np.testing.assert_allclose(prepared.jacobian([at])[1][0][0], slope, rtol=1e-12)


def test_random_black_boxes_draw_the_same_numbers_at_all_points():
    def f(leaves):
        return [np.asarray(float(leaves[0][0]) ** 2 + np.random.normal())]  # noqa: NPY002 (what users draw from)

    prepared = Finite().prepare(made(f, [np.array([3.0])]), "gradient", [np.array([3.0])])
    assert prepared.value_and_gradient([np.array([3.0])])[1][0] == pytest.approx(6.0, abs=1e-7)


def test_products_along_vectors_of_very_different_size():
    def f(leaves):
        return [np.sum(leaves[0] ** 2 * np.array([1.0, 3.0]))]

    x = np.array([1.0, 1.0])
    found = Finite().prepare(made(f, [x]), "hvp", [x]).hvp([x], [np.array([1.0, 1e12])])[0]
    np.testing.assert_allclose(found, [2.0, 6e12], rtol=1e-5)
    assert not np.any(Finite().prepare(made(f, [x]), "hvp", [x]).hvp([x], [np.zeros(2)])[0])


# ---------------------------------------------------------------------------- forecasts


@every_backend
def test_forecasts_count_an_explicit_jacobian_before_anything_is_allocated(name: str):
    shape = Shape((64, 4096), "float32")
    tape = trace_leaves(lambda leaves: [np.tanh(leaves[0])], [shape])
    cost = BACKENDS[name]().predict(tape, "jacobian", (0,))
    assert 2**38 <= cost.nbytes < 1.1 * 2**38
    loss = trace_leaves(lambda leaves: [np.sum(np.tanh(leaves[0]))], [shape])
    assert BACKENDS[name]().predict(loss, "hessian", (0,)).nbytes >= 2**38
    assert BACKENDS[name]().predict(loss, "hvp", (0,)).nbytes < 2**32


@every_backend
def test_forecasts_of_every_operator(name: str):
    source = made(scalar, [X, S])
    costs = {operator: BACKENDS[name]().predict(source.tape, operator, source.wrt) for operator in OPERATORS}
    assert all(cost.flops > 0 and cost.nbytes > 0 for cost in costs.values())
    assert costs["hessian"].flops > costs["hvp"].flops > costs["gradient"].flops
    if name == "reverse":
        assert costs["hvp"].primal_calls < 10
