"""np.linalg: derivatives of every order, singular and complex matrices, stacks, refusals and NumPy's own errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from derivative_checks import check, check_lanes, drawn, gradient, keeps_float32, near, values
from hypothesis import given
from hypothesis import strategies as st
from samples import central

import difflab as dl
from difflab import transforms
from difflab.errors import TraceError
from difflab.execution.program import Program
from difflab.primitives import REGISTRY
from difflab.tracing import trace_leaves
from difflab.transforms.batch import batch

SQUARES = [(0, 0), (1, 1), (3, 3), (2, 2, 2), (0, 2, 2), (2, 1, 3, 3)]
KINDS = ["f8", "c16"]


def regular(shape: tuple[int, ...], dtype: Any = "f8", label: str = "a") -> np.ndarray:
    return drawn(label, shape, dtype) + 2.0 * np.eye(shape[-1])


def positive(a: Any) -> Any:
    """A positive definite matrix made of any other."""
    return a @ np.conjugate(np.swapaxes(a, -1, -2)) + np.eye(a.shape[-1], dtype=a.dtype)


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "logabsdet": lambda a: np.linalg.slogdet(a)[1],
    "sign": lambda a: np.linalg.slogdet(a).sign,
    "cholesky": lambda a: np.linalg.cholesky(positive(a)),
    "cholesky, upper": lambda a: np.linalg.cholesky(positive(a), upper=True),
    "power 3": lambda a: np.linalg.matrix_power(a, 3),
    "power 6": lambda a: np.linalg.matrix_power(a, 6),
    "power -2": lambda a: np.linalg.matrix_power(a, -2),
    "power 0": lambda a: np.linalg.matrix_power(a, 0) + a,
    "pinv": lambda a: np.linalg.pinv(a, rcond=1e-10),
    "pinv, Hermitian": lambda a: np.linalg.pinv(positive(a), hermitian=True),
    "transposed": lambda a: np.linalg.matrix_transpose(a) @ a,
}


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", SQUARES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_square_matrices(name: str, shape: tuple[int, ...], dtype: str):
    check(FUNCTIONS[name], regular(shape, dtype), tolerance=1e-7)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_single_precision_stays(name: str):
    keeps_float32(FUNCTIONS[name], regular((3, 3)))
    keeps_float32(FUNCTIONS[name], regular((2, 2, 2), "c16"))


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("power 0", "transposed")])
def test_integers_become_double(name: str):
    a = np.array([[3, 1], [1, 2]])
    found, expected = values(FUNCTIONS[name], a), np.asarray(FUNCTIONS[name](a))
    assert found.dtype == expected.dtype
    near(found, expected, 1e-14)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_stack_is_a_loop_over_its_matrices(name: str):
    a = regular((4, 3, 3))
    tape = trace_leaves(lambda leaves: [np.sum(np.real(FUNCTIONS[name](leaves[0])))], [a])
    single = trace_leaves(lambda leaves: [np.sum(np.real(FUNCTIONS[name](leaves[0])))], [a[0]])
    found = Program(transforms.gradient(tape, (0,))).run([a])[1]
    program = Program(transforms.gradient(single, (0,)))
    near(found, np.stack([program.run([one])[1] for one in a]), 1e-13)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in ("power 0", "transposed")])
def test_third_derivatives_along_a_line(name: str):
    a, direction, weights = regular((3, 3)), drawn("d", (3, 3)), drawn("w", (3, 3))

    def along(t: Any) -> Any:
        return np.sum(weights * FUNCTIONS[name](a + t * direction))

    second = dl.gradient(dl.gradient(along))
    near(dl.gradient(second)(0.1), central(lambda h: np.asarray(second(0.1 + h))), 1e-7)


# ---------------------------------------------------------------------------- solving

SIDES = [((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (3, 2)), ((3, 3), (2, 3, 1)), ((2, 1, 2, 2), (3, 2, 2)),
         ((2, 2, 2), (2,)), ((0, 0), (0, 2)), ((2, 2), (2, 0)), ((0, 2, 2), (2, 1))]  # fmt: skip


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize(("a", "b"), SIDES)
def test_solve_with_every_kind_of_right_hand_side(a: tuple, b: tuple, dtype: str):
    check(np.linalg.solve, regular(a, dtype), drawn("b", b))
    keeps_float32(np.linalg.solve, regular(a, dtype), drawn("b", b))


def test_solve_with_one_side_plain():
    a, b = regular((3, 3)), drawn("b", (3,))
    check(lambda x: np.linalg.solve(a, x), b)
    check(lambda x: np.linalg.solve(x, b.tolist()), a)
    small = np.eye(3, dtype=np.int8)
    assert values(lambda x: np.linalg.solve(small, x), b.astype("f4")).dtype == np.float64


def test_tensors():
    a = np.reshape(regular((6, 6)), (2, 3, 6))
    check(lambda x: np.linalg.tensorinv(x, ind=2), a)
    check(lambda x: np.linalg.tensorinv(x, ind=1), np.reshape(a, (6, 3, 2)))
    check(lambda x, y: np.linalg.tensorsolve(x, y), a, drawn("b", (2, 3)))
    check(lambda x, y: np.linalg.tensorsolve(x, y, axes=(0,)), np.moveaxis(a, 2, 0), drawn("b", (2, 3)))


TALL = [(4, 2), (3, 3), (2, 4), (2, 3, 2), (0, 3), (1, 1)]


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("shape", TALL, ids=str)
def test_pinv_of_full_rank(shape: tuple[int, ...], dtype: str):
    check(np.linalg.pinv, drawn("p", shape, dtype) + np.eye(shape[-2], shape[-1]), tolerance=1e-7)


@pytest.mark.parametrize("dtype", KINDS)
def test_pinv_of_constant_rank(dtype: str):
    check(lambda x, y: np.linalg.pinv(x @ y, rcond=1e-8), drawn("x", (4, 2), dtype), drawn("y", (2, 3), dtype))
    check(lambda x: np.linalg.pinv(x[:, None] * x, rtol=1e-8), drawn("x", (3,), dtype) + 0.3)


def test_pinv_cuts_where_numpy_does():
    a = np.diag([1.0, 1e-3, 1e-9])
    choices: list[dict[str, Any]] = [{}, {"rcond": 1e-6}, {"rcond": 1e-2}, {"rtol": None}, {"rtol": 1e-6}]
    for options in choices:
        near(values(lambda x, o=options: np.linalg.pinv(x, **o), a), np.linalg.pinv(a, **options), 1e-15)
    stack = np.stack([a, a])
    cuts = np.array([1e-6, 1e-2])
    near(values(lambda x: np.linalg.pinv(x, cuts), stack), np.linalg.pinv(stack, cuts), 1e-15)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize(
    ("a", "b"), [((4, 2), (4,)), ((4, 2), (4, 3)), ((3, 3), (3, 2)), ((2, 3), (2,)), ((2, 3), (2, 2))]
)
def test_least_squares(a: tuple, b: tuple, dtype: str):
    x, y = drawn("x", a, dtype), drawn("y", b, dtype)
    expected = np.linalg.lstsq(x, y)
    for k in range(4):
        found = values(lambda m, r, k=k: np.linalg.lstsq(m, r)[k], x, y)
        assert (found.dtype, found.shape) == (np.asarray(expected[k]).dtype, np.shape(expected[k]))
        near(found, expected[k], 1e-13)
    check(lambda m, r: np.linalg.lstsq(m, r)[0], x, y, tolerance=1e-7)
    if a[0] > a[1]:
        check(lambda m, r: np.linalg.lstsq(m, r, rcond=1e-12)[1], x, y, tolerance=1e-7)


def test_least_squares_without_full_rank_has_no_residuals():
    a, b = np.outer([1.0, 2.0, 3.0], [1.0, 1.0]), np.array([1.0, 0.0, 1.0])
    kinds = []

    def solve(leaves: list[Any]) -> list[Any]:
        x, residuals, rank, s = np.linalg.lstsq(leaves[0], b)
        kinds.append(np.shape(residuals))
        return [x, rank, s]

    tape = trace_leaves(solve, [a])
    assert kinds == [(0,)]
    assert len(tape.guards) == 1
    x, rank, s = tape.evaluate([a])
    near(x, np.linalg.lstsq(a, b)[0], 1e-14)
    assert rank == 1
    assert s.shape == (2,)


# ---------------------------------------------------------------------------- determinants


SINGULAR = {
    "rank 2 of 3": np.arange(9.0).reshape(3, 3),
    "rank 1 of 3": np.outer([1.0, -2.0, 0.5], [1.0, 1.0, 3.0]),
    "rank 0 of 3": np.zeros((3, 3)),
    "rank 2 of 4": np.eye(4)[:, [0, 0, 1, 1]],
    "complex, rank 1 of 2": np.outer([1.0, 1j], [2.0, 1 - 1j]),
    "one by one": np.zeros((1, 1)),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_det_of_singular_matrices_has_derivatives_of_first_and_second_order(name: str):
    check(np.linalg.det, SINGULAR[name])


def test_the_gradient_of_det_is_the_matrix_of_cofactors():
    a = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9.0]])
    near(gradient(np.linalg.det, a), [[-3, 6, -3], [6, -12, 6], [-3, 6, -3]], 1e-14)
    near(gradient(lambda m: np.linalg.det(m) ** 2, np.outer([1.0, 2.0], [3.0, 4.0])), np.zeros((2, 2)), 1e-14)


def test_third_derivative_of_det_at_zero():
    """det is a form of third degree: its third derivative along a, b, c is the sum over permutations of rows."""
    a, b, c = (drawn(label, (3, 3)) for label in "abc")

    def rows(*matrices: Any) -> float:
        return float(np.linalg.det(np.stack([m[k] for k, m in enumerate(matrices)])))

    expected = rows(a, b, c) + rows(a, c, b) + rows(b, a, c) + rows(b, c, a) + rows(c, a, b) + rows(c, b, a)
    tape = trace_leaves(lambda leaves: [np.linalg.det(leaves[0])], [np.zeros((3, 3))])
    tape = transforms.jvp(tape, (0,))  # inputs: point, direction
    tape = transforms.jvp(tape, (0,))
    tape = transforms.jvp(tape, (0,))
    zero = np.zeros((3, 3))
    found = Program(tape).run([zero, a, b, c])[-1]
    near(found, expected, 1e-14)
    near(expected, np.sum(REGISTRY["det_derivative"](zero, a, b) * c), 1e-14)


def test_cofactors_of_what_is_not_finite_are_nan():
    a = np.stack([np.eye(2), np.array([[np.nan, 1.0], [2.0, 1.0]])])
    with np.errstate(invalid="ignore"):  # NumPy's own det says so
        found = gradient(lambda x: np.sum(np.linalg.det(x)), a)
    assert np.array_equal(found[0], np.eye(2))
    assert np.all(np.isnan(found[1]))


def test_cofactors_of_large_matrices_do_not_overflow_on_the_way():
    scales = np.repeat([1e4, 1e-4], 100)
    a = np.diag(scales)
    near(np.diagonal(gradient(np.linalg.det, a)) * scales, np.ones(200), 1e-12)


def test_sign_and_logarithm_of_determinants():
    a = np.stack([np.eye(3), -np.eye(3), np.zeros((3, 3))])
    sign, logarithm = (values(lambda x, k=k: np.linalg.slogdet(x)[k], a) for k in range(2))
    expected = np.linalg.slogdet(a)
    assert np.array_equal(sign, expected.sign)
    assert np.array_equal(logarithm, expected.logabsdet)
    assert not np.any(gradient(lambda x: np.sum(np.linalg.slogdet(x)[0]), a[:2]))
    seen = []
    trace_leaves(lambda leaves: [seen.append(np.linalg.slogdet(leaves[0])) or leaves[0]], [a])
    assert type(seen[0]) is type(expected)


# ---------------------------------------------------------------------------- Cholesky


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_is_differentiated_as_numpy_reads_it(upper: bool, dtype: str):
    """One triangle is read, so that the other one has derivative 0: differences of NumPy's function say the same."""
    a = positive(drawn("c", (3, 3), dtype))
    check(lambda x: np.linalg.cholesky(x, upper=upper), a)
    slope = gradient(lambda x: np.sum(np.real(np.linalg.cholesky(x, upper=upper))), a)
    unread = np.tril(slope, -1) if upper else np.triu(slope, 1)
    assert not np.any(unread)


def test_the_symmetric_gradient_of_cholesky_is_the_symmetric_part():
    """Of a function of a symmetric matrix; as if both triangles moved together, which is Murray's convention."""
    a = positive(drawn("c", (3, 3)))
    direction = positive(drawn("d", (3, 3)))
    slope = gradient(lambda x: np.sum(np.linalg.cholesky(x) ** 3), a)
    both = gradient(lambda x: np.sum(np.linalg.cholesky((x + x.T) / 2) ** 3), a)
    near(both, (slope + slope.T) / 2, 1e-14)
    near(np.sum(both * direction), np.sum(slope * direction), 1e-13)


# ---------------------------------------------------------------------------- lanes

OPERANDS = [
    ("inverse", (regular((3, 3)),)),
    ("det", (regular((2, 3, 3)),)),
    ("logabsdet", (regular((3, 3)),)),
    ("sign_det", (regular((3, 3)),)),
    ("cholesky", (positive(drawn("a", (3, 3))),)),
    ("solve", (regular((3, 3)), drawn("b", (2, 3, 1)))),
    ("pinv", (drawn("a", (3, 2)), np.array(1e-12))),
    ("det_derivative", (regular((3, 3)), drawn("b", (3, 3)))),
]


@pytest.mark.parametrize(("name", "arrays"), OPERANDS, ids=[name for name, _ in OPERANDS])
def test_lanes(name: str, arrays: tuple):
    for flags in np.ndindex(*(2,) * len(arrays)):
        if any(flags):
            check_lanes(REGISTRY[name], arrays, tuple(map(bool, flags)), {})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lanes_of_whole_pullbacks(name: str):
    a = regular((2, 2, 2))
    tape = transforms.vjp(trace_leaves(lambda leaves: [FUNCTIONS[name](leaves[0])], [a]), (0,))
    g = drawn("g", tape.avals[tape.inputs[1]].shape)
    points, cotangents = np.stack([a, a + 0.1]), np.stack([g, -g])
    for lanes in ([points, g], [a, cotangents], [points, cotangents]):
        flags = [lane is points or lane is cotangents for lane in lanes]
        found = batch(tape, flags, 2).evaluate(lanes)[1]
        single = [[lane[k] if flag else lane for lane, flag in zip(lanes, flags, strict=True)] for k in range(2)]
        near(found, np.stack([tape.evaluate(one)[1] for one in single]), 1e-13)


@given(st.integers(1, 4), st.lists(st.integers(0, 3), max_size=2), st.integers(0, 3), st.sampled_from(KINDS))
def test_any_stack_of_equations(n: int, stack: list[int], columns: int, dtype: str):
    a, b = regular((*stack, n, n), dtype), drawn("b", (n, columns), dtype)
    check(lambda x, y: np.linalg.solve(x, y) + 0 * np.linalg.det(x)[..., None, None], a, b, second=False)
    check(lambda x: np.linalg.inv(x) @ np.linalg.pinv(x), a, second=False, tolerance=1e-6)


# ---------------------------------------------------------------------------- errors

X = np.ones((2, 3))
REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (np.linalg.inv, r"np\.linalg\.inv at .*shape \(2, 3\) is no stack of square matrices; its last"),
    (np.linalg.det, r"np\.linalg\.det at .*shape \(2, 3\) is no stack of square"),
    (lambda x: np.linalg.det(x[0]), r"np\.linalg\.det at .*shape \(3,\) is no stack of square"),
    (np.linalg.slogdet, r"np\.linalg\.slogdet at .*no stack of square"),
    (np.linalg.cholesky, r"np\.linalg\.cholesky at .*no stack of square"),
    (lambda x: np.linalg.matrix_power(x, 2), r"np\.linalg\.matrix_power at .*no stack of square"),
    (lambda x: np.linalg.solve(x, x), r"np\.linalg\.solve at .*no stack of square"),
    (lambda x: np.linalg.solve(np.eye(3), x), r"matrices of shape \(3, 3\) do not fit right-hand sides of shape \(2"),
    (lambda x: np.linalg.solve(np.eye(2), x[0, 0]), r"do not fit right-hand sides of shape \(\)"),
    (lambda x: np.linalg.pinv(x[0]), r"np\.linalg\.pinv at .*shape \(3,\) holds no matrices"),
    (lambda x: np.linalg.pinv(x, 1e-3, rtol=1e-3), "rcond and rtol cannot both be given"),
    (lambda x: np.linalg.lstsq(x, np.ones(3)), r"a matrix of shape \(2, 3\) does not fit right-hand sides of shape"),
    (lambda x: np.linalg.tensorinv(x, 0), "ind=0 must be positive"),
    (lambda x: np.linalg.tensorsolve(x, np.ones(2)), r"shape \(2, 3\) does not fit a right-hand side of shape \(2,\)"),
    (lambda x: np.linalg.inv(x.astype("f2")[:, :2]), "NumPy has no linear algebra for dtype float16; convert to"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(k) for k in range(len(REFUSALS))])
def test_what_does_not_fit_says_what_and_where(function: Callable, message: str):
    with pytest.raises(TraceError, match=message) as caught:
        trace_leaves(lambda leaves: [np.sum(function(leaves[0]))], [X])
    assert re.search(r"at test_linalg\.py:\d+", str(caught.value))
    with pytest.raises((ValueError, TypeError, np.linalg.LinAlgError)):
        function(X)


SINGULAR_CALLS: list[tuple[Callable[[Any], Any], Any, str]] = [
    (np.linalg.inv, np.ones((2, 2)), "Singular matrix"),
    (lambda x: np.linalg.solve(x, x), np.zeros((2, 2)), "Singular matrix"),
    (np.linalg.cholesky, -np.eye(2), "Matrix is not positive definite"),
    (lambda x: np.linalg.matrix_power(x, -1), np.zeros((1, 2, 2)), "Singular matrix"),
]


@pytest.mark.parametrize(("function", "x", "message"), SINGULAR_CALLS, ids=["inv", "solve", "cholesky", "power"])
def test_errors_of_numbers_are_those_of_numpy_when_the_tape_runs(function: Callable, x: np.ndarray, message: str):
    tape = trace_leaves(lambda leaves: [function(leaves[0])], [np.eye(2) if x.ndim == 2 else np.eye(2)[None]])
    for run in (tape.evaluate, Program(tape).run, lambda leaves: [function(leaves[0])]):
        with pytest.raises(np.linalg.LinAlgError, match=message):
            run([x])
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):  # log |det| has none there
        gradient(lambda v: np.linalg.slogdet(v)[1], np.zeros((2, 2)))
