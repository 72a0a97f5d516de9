"""Sparsity patterns: against dense Jacobians and Hessians, and against patterns known by hand."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import BINARY, LEAVES, UNARY, Steps, compose, rng_of

import difflab as dl
from difflab import transforms
from difflab.tracing import trace_leaves
from difflab.transforms.sparsity import Pattern, hessian_pattern, jacobian_pattern

MASK = np.array([True, False, True, True])


def as_matrix(pattern: Pattern) -> np.ndarray:
    indptr, indices = pattern.csr()
    assert (indptr.dtype, indices.dtype, len(indices)) == (np.int64, np.int32, pattern.nnz)
    matrix = np.zeros(pattern.shape, bool)
    matrix[np.repeat(np.arange(pattern.shape[0]), np.diff(indptr)), indices] = True
    return matrix


def found(function: Callable, *args: Any, **options: Any) -> np.ndarray:
    return dl.sparsity(function, *args, **options).matrix.toarray()


def banded(rows: int, columns: int, *offsets: int) -> np.ndarray:
    return sum((np.eye(rows, columns, k, dtype=bool) for k in offsets), np.zeros((rows, columns), bool))


# ---------------------------------------------------------------------------- drawn functions

MORE: tuple[Callable[[Any], Any], ...] = (
    lambda x: np.cumsum(x, axis=0) if x.ndim else x,
    lambda x: np.sort(x, axis=-1) if x.ndim else x,
    lambda x: np.diff(x, axis=-1) if x.ndim else x,
    lambda x: np.roll(x, 1, axis=0) if x.ndim else x,
    lambda x: np.fft.fft(x, axis=-1).imag if x.ndim and x.size else x,
    lambda x: np.cumprod(x, axis=-1)[..., ::-1] if x.ndim else x,
    lambda x: np.convolve(np.ravel(x), np.array([1.0, 0.0, -2.0]), "same") if x.size else x,
    lambda x: banded(3, x.shape[0], 0, 2) @ x if x.ndim in (1, 2) else x,
    lambda x: np.where(np.arange(x.shape[-1]) % 2 == 0, x, 1.0) if x.ndim else x,
    lambda x: np.where(x > 0.4, x, x[..., :1]) if x.ndim else x,
    lambda x: x * (np.arange(x.shape[0]) % 2.0).reshape(-1, *(1,) * (x.ndim - 1)) if x.ndim else x,
    lambda x: np.outer(x, x),
    lambda x: np.floor(x) + x,
    lambda x: np.prod(x, axis=0) if x.ndim else x,
    lambda x: x[np.argsort(x[:, 0])] if x.ndim == 2 and x.size else x,
)
NUMBERS = st.integers(0, 40)
STEPS = st.lists(
    st.tuples(st.integers(0, len(UNARY) + len(BINARY) + len(MORE) - 1), NUMBERS, NUMBERS), min_size=1, max_size=8
)
drawing = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def program(steps: Steps, leaves: list[Any]) -> list[Any]:
    """As ``compose``, with more operations."""
    values = list(leaves)
    for operation, first, second in steps:
        if operation >= len(UNARY) + len(BINARY):
            result = MORE[operation - len(UNARY) - len(BINARY)](values[first % len(values)])
            values.append(result if result.size <= 200 else values[0])
        else:
            values = [*values, compose([(operation, first, second)], values)[-1]]
    return values[-3:]


def points(label: str) -> list[np.ndarray]:
    return [np.asarray(rng_of(label).uniform(0.2, 1.0, shape)) for shape in LEAVES]


@drawing
@given(STEPS)
def test_jacobians_of_drawn_functions_lie_inside(steps: Steps):
    tape = trace_leaves(lambda leaves: program(steps, leaves), points("0"))
    wrt = (0, 1, 3)
    pattern = as_matrix(jacobian_pattern(tape, wrt))
    dense = transforms.jacobian(tape, wrt, by="tangents")
    for label in "12":
        with np.errstate(all="ignore"):
            blocks = iter(dense.evaluate(points(label))[len(tape.outputs) :])
        sizes = [tape.avals[number].size for number in tape.outputs]
        rows = [[next(blocks).reshape(m, n) for n in (12, 4, 4)] for m in sizes]
        matrix = np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
        assert np.all(pattern[np.isfinite(matrix) & (matrix != 0)])


@drawing
@given(STEPS)
def test_hessians_of_drawn_functions_lie_inside(steps: Steps):
    def loss(x: Any, y: Any) -> Any:
        return sum(np.sum(value) for value in program(steps, [x, y])) + 0.0 * np.sum(x)

    pattern = found(loss, *points("0")[:2], argnums=(0, 1), operator="hessian")
    assert np.array_equal(pattern, pattern.T)
    for label in "12":
        with np.errstate(all="ignore"):
            blocks = dl.hessian(loss, argnums=(0, 1))(*points(label)[:2])
        matrix = np.block([[b.reshape(m, -1) for b in row] for row, m in zip(blocks, (12, 4), strict=True)])
        assert np.all(pattern[np.isfinite(matrix) & (matrix != 0)])


# ---------------------------------------------------------------------------- known by hand


def burgers(u: Any) -> Any:
    ahead, behind = np.roll(u, -1), np.roll(u, 1)
    return 0.01 * (ahead - 2.0 * u + behind) - u * (ahead - behind)


def test_a_ring_of_cells_is_tridiagonal():
    expected = banded(6, 6, -1, 0, 1)
    expected[0, 5] = expected[5, 0] = True
    assert np.array_equal(found(burgers, np.ones(6)), expected)


def test_no_array_of_outputs_by_inputs_is_ever_made():
    tape = trace_leaves(lambda leaves: [burgers(leaves[0])], [np.ones(30_000)])
    tracemalloc.start()
    pattern = jacobian_pattern(tape, (0,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pattern.nnz == 90_000
    assert peak < 30_000**2 / 8 / 3  # a third of the bits of the matrix


CASES: dict[str, tuple[Callable, np.ndarray]] = {
    "element-wise": (lambda x: np.sin(x) * x, np.eye(4, dtype=bool)),
    "neighbours": (lambda x: x[1:] - x[:-1] ** 2, banded(3, 4, 0, 1)),
    "reversed": (lambda x: x[::-1], np.eye(4, dtype=bool)[::-1]),
    "running sum": (np.cumsum, np.tri(4, dtype=bool)),
    "sum": (np.sum, np.ones((1, 4), bool)),
    "known index": (lambda x: x[[3, 3, 0]], np.eye(4, dtype=bool)[[3, 3, 0]]),
    "assigned": (lambda x: np.concatenate([x[:1], np.zeros(2), x[3:]]), np.diag([True, False, False, True])),
    "known condition": (
        lambda x: np.where(MASK, x, x[0]),
        np.diag(MASK) | np.outer(~MASK, np.arange(4) == 0),
    ),
    "condition of data": (lambda x: np.where(x > 0, x, x[0]), np.eye(4, dtype=bool) | (np.arange(4) == 0)),
    "zeros of a constant": (lambda x: x * MASK.astype(float), np.diag(MASK)),
    "zeros of a matrix": (lambda x: banded(4, 4, 1).astype(float) @ x, banded(4, 4, 1)),
    "zeros to the right": (lambda x: x @ banded(4, 4, 1).astype(float), banded(4, 4, -1)),
    "zeros for a stack": (lambda x: (np.tri(2) @ x.reshape(2, 2)).ravel(), banded(4, 4, 0) | banded(4, 4, -2)),
    "a literal 0": (lambda x: 0.0 * x, np.zeros((4, 4), bool)),
    "cut off": (lambda x: dl.stop_gradient(x) * x, np.eye(4, dtype=bool)),
    "wholly cut off": (lambda x: np.exp(dl.stop_gradient(x)), np.zeros((4, 4), bool)),
    "rounded": (lambda x: x.astype(int).astype(float), np.zeros((4, 4), bool)),
    "compared": (lambda x: (x > 0).astype(float) + np.sign(x), np.zeros((4, 4), bool)),
    "steps": (lambda x: np.argmax(x) * np.ones(4), np.zeros((4, 4), bool)),
    "sorted": (np.sort, np.ones((4, 4), bool)),
    "rows of a transform": (
        lambda x: np.fft.fft(x.reshape(2, 2), axis=1).real.ravel(),
        np.kron(np.eye(2, dtype=bool), np.ones((2, 2), bool)),
    ),
    "solved": (
        lambda x: np.linalg.solve(np.array([[2.0, 1.0], [1.0, 2.0]]), x.reshape(2, 2)).ravel(),
        banded(4, 4, -2, 0, 2),
    ),
    "images": (
        lambda x: dl.nn.max_pool2d(x.reshape(1, 2, 2, 1), (1, 2)).ravel(),
        np.kron(np.eye(2, dtype=bool), np.ones((1, 2), bool)),
    ),
    "constant": (lambda x: np.ones(2), np.zeros((2, 4), bool)),
}


@pytest.mark.parametrize("name", CASES)
def test_patterns_known_by_hand(name: str):
    function, expected = CASES[name]
    assert np.array_equal(found(function, np.arange(1.0, 5.0)), expected)
    # Floating-point data is not looked at.
    assert np.array_equal(found(function, dl.Shape((4,))), expected)


HESSIANS: dict[str, tuple[Callable, np.ndarray]] = {
    "separable": (lambda x: np.sum(np.exp(x)), np.eye(4, dtype=bool)),
    "a chain": (lambda x: np.sum(x[1:] * x[:-1]), banded(4, 4, -1, 1)),
    "linear": (lambda x: np.sum(3.0 * x), np.zeros((4, 4), bool)),
    "kinks": (lambda x: np.sum(dl.nn.relu(x)) + np.sum(np.abs(x)), np.zeros((4, 4), bool)),
    "of a norm": (lambda x: np.sqrt(np.sum(x * x)), np.ones((4, 4), bool)),
    "of some": (lambda x: np.sum(x[np.array([0, 2])] ** 3), np.diag([True, False, True, False])),
    "of windows": (
        lambda x: np.sum(np.prod(np.lib.stride_tricks.sliding_window_view(x, 2), axis=1)),
        banded(4, 4, -1, 1),
    ),
}


@pytest.mark.parametrize("name", HESSIANS)
def test_hessians_known_by_hand(name: str):
    function, expected = HESSIANS[name]
    assert np.array_equal(found(function, np.arange(1.0, 5.0), operator="hessian"), expected)


# ---------------------------------------------------------------------------- what is looked at, what is dense


def test_integers_and_booleans_are_looked_at_and_named():
    def take(x: Any, index: Any, mask: Any, unused: Any) -> Any:
        return np.where(mask, x[index], 0.0) + 0.0 * np.sum(unused)

    args = np.ones(5), np.array([4, 0, 1]), np.array([True, False, True]), np.arange(3)
    pattern = dl.sparsity(take, *args)
    assert pattern.matrix.toarray().nonzero()[1].tolist() == [4, 1]
    assert pattern.looked_at == ("index", "mask")
    assert str(pattern).endswith("It holds for the given values of index, mask only.")
    tape = trace_leaves(lambda leaves: [take(*leaves)], args)
    blind = jacobian_pattern(tape, (0,))
    assert as_matrix(blind).all()
    assert (blind.looked_at, blind.notes) == ((), ("gather: where it looks is known only when it runs",))


def test_constants_that_decide_are_named():
    weights, shift = np.array([1.0, 0.0, 2.0]), np.array([3.0, 4.0, 5.0])
    tape = trace_leaves(lambda leaves: [leaves[0] * weights + shift], [np.ones(3)])
    pattern = jacobian_pattern(tape, (0,))
    assert [tape.constants[number].tolist() for number in pattern.constants] == [[1.0, 0.0, 2.0]]


def test_zeros_of_floating_inputs_are_not_used():
    assert found(lambda x, w: w * x, np.ones(3), np.zeros(3)).nonzero()[0].tolist() == [0, 1, 2]
    assert found(lambda x, w: w @ x, np.ones(3), np.zeros((2, 3))).all()


def test_a_product_with_zeros_too_large_to_look_at_says_so(monkeypatch: pytest.MonkeyPatch):
    from difflab.primitives import contract

    monkeypatch.setattr(contract, "PAIRS", 3)
    pattern = dl.sparsity(lambda x: np.eye(4) @ x, np.ones(4))
    assert pattern.matrix.toarray().all()
    assert pattern.notes == ("matmul: the zeros of the known matrix are too many products to look at",)


def test_what_cannot_be_computed_is_not_known():
    args = np.ones(3), np.arange(3), np.array([0, 2])
    tape = trace_leaves(lambda leaves: [leaves[0][leaves[1][leaves[2]]]], args)
    assert as_matrix(jacobian_pattern(tape, (0,), args)).nonzero()[1].tolist() == [0, 2]
    assert as_matrix(jacobian_pattern(tape, (0,), [*args[:2], np.array([0, 7])])).all()


def test_users_primitives_are_dense_and_say_so():
    @dl.primitive(opaque=True)
    def closed(x: Any) -> Any:
        return x * 2.0

    closed.vjp(lambda cotangent, out, x: (2.0 * cotangent,))

    @dl.primitive
    def rounded(x: Any) -> Any:
        return np.floor(x)

    rounded.jvp(lambda tangents, out, x: tangents[0])
    for own, reason in ((closed, "is opaque"), (rounded, "has derivative rules of the user")):
        pattern = dl.sparsity(lambda x, own=own: own(x)[1:] + x[:-1], np.ones(3))
        assert pattern.matrix.toarray().all()
        assert len(pattern.notes) == 1
        assert reason in pattern.notes[0]


def test_what_does_not_fit_is_one_set_and_says_so():
    tape = trace_leaves(lambda leaves: [np.cumsum(leaves[0]), np.outer(leaves[0], leaves[0]), leaves[0] * 2.0],
                        [np.ones(40)])  # fmt: skip
    exact, coarse = jacobian_pattern(tape, (0,)), jacobian_pattern(tape, (0,), limit=100)
    assert exact.notes == ()
    assert np.all(as_matrix(exact) <= as_matrix(coarse))
    assert coarse.notes == (
        "cumsum: all that comes before each element is too much to keep apart",
        "multiply: the sets of what its elements depend on do not fit into the table",
    )
    assert np.array_equal(as_matrix(coarse)[-40:], np.eye(40, dtype=bool))


def test_a_large_hessian_is_symmetric_without_its_transpose():
    tape = trace_leaves(lambda leaves: [np.prod(leaves[0][:30]) + np.sum(leaves[0][30:])], [np.ones(40)])
    exact, coarse = hessian_pattern(tape, (0,)), hessian_pattern(tape, (0,), limit=100)
    assert np.array_equal(as_matrix(coarse), as_matrix(coarse).T)
    assert np.all(as_matrix(exact) <= as_matrix(coarse))
    assert coarse.nnz == 900
    assert coarse.notes[-1] == "the whole: it has too many entries to put each beside its mirror image"


def test_a_long_tape_fits_once_what_is_dead_is_forgotten():
    def steps(u: Any) -> Any:
        for _ in range(6):
            u = u + 0.1 * burgers(u)
        return u

    tape = trace_leaves(lambda leaves: [steps(leaves[0])], [np.ones(60)])
    exact, tight = jacobian_pattern(tape, (0,)), jacobian_pattern(tape, (0,), limit=60 * 60)
    assert exact.nnz == 60 * 13
    assert tight.notes == ()
    assert np.array_equal(as_matrix(exact), as_matrix(tight))


def test_hessian_pattern_of_a_tape_over_several_inputs():
    tape = trace_leaves(lambda leaves: [np.sum(leaves[0] * leaves[2]) + leaves[1] ** 2], [np.ones(2), 1.0, np.ones(2)])
    expected = np.kron(np.array([[0, 1], [1, 0]]), np.eye(2)) != 0
    assert np.array_equal(as_matrix(hessian_pattern(tape, (0, 2))), expected)
    assert as_matrix(hessian_pattern(tape, (1,))).tolist() == [[True]]
