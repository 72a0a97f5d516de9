"""Matrix factorizations: gradients of losses that no choice of LAPACK changes, both orders, shapes, ties, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import central, drawn, in_precision, pairing, rng_of

from difflab import transforms
from difflab.builder import Shape
from difflab.errors import TraceError
from difflab.execution.program import Program
from difflab.operators import gradient
from difflab.primitives import REGISTRY
from difflab.tracing import trace_leaves

L: Any = np.linalg
MIX = drawn(rng_of("mix"), (5, 5), "D")


def mixed(x: Any) -> Any:
    """A real number that depends on every element."""
    rows, columns = x.shape[-2:]
    weights = MIX[:rows, :columns].astype(np.result_type(x.dtype, "F"))
    return np.sum(np.real(weights * x))


def adjoint(x: Any) -> Any:
    return np.conj(np.swapaxes(x, -1, -2))


def counted(values: Any) -> Any:
    """A sum that treats the values differently."""
    return np.sum(np.sin(values) * np.arange(1, values.shape[-1] + 1).astype(values.dtype))


def eigh_loss(a: Any, uplo: str = "L") -> Any:
    w, v = L.eigh(a, uplo)
    return counted(w) + mixed(np.abs(v)) + mixed((v * np.sin(w)[..., None, :]) @ adjoint(v))


def svd_loss(a: Any) -> Any:
    u, s, vh = L.svd(a, full_matrices=False)
    return counted(s) + mixed(np.abs(u)) + mixed(np.abs(vh)) + mixed((u * np.cos(s)[..., None, :]) @ vh)


def full_svd_loss(a: Any) -> Any:
    u, s, vh = L.svd(a)
    k = s.shape[-1]
    left, right = u[..., k:], vh[..., k:, :]
    return svd_part(u[..., :k], s, vh[..., :k, :]) + mixed(left @ adjoint(left)) + mixed(adjoint(right) @ right)


def svd_part(u: Any, s: Any, vh: Any) -> Any:
    return counted(s) + mixed(u * s[..., None, :] ** 2 @ vh)


def qr_loss(a: Any) -> Any:
    q, r = L.qr(a)
    return mixed(q) + mixed(r) + mixed(L.qr(a, mode="r") ** 2)


def complete_qr_loss(a: Any) -> Any:
    q, r = L.qr(a, mode="complete")
    k = min(a.shape[-2:])
    rest = q[..., k:]
    return mixed(q[..., :k]) + mixed(np.sin(r)) + mixed(rest @ adjoint(rest))


def eig_loss(a: Any) -> Any:
    w, v = L.eig(a)
    return counted(np.real(w)) + mixed(np.sin(w)[..., None, :]) + mixed(v)


def values_loss(a: Any) -> Any:
    return counted(L.eigvalsh(a, UPLO="U")) + counted(np.abs(L.eigvals(a))) + counted(L.svdvals(a))


LOSSES: list[tuple[str, Callable[[Any], Any], tuple[int, ...]]] = [
    ("eigh", eigh_loss, (3, 3)),
    ("eigh of the upper triangle", lambda a: eigh_loss(a, "U"), (2, 3, 3)),
    ("eigh, 1 by 1", eigh_loss, (1, 1)),
    ("svd, square", svd_loss, (3, 3)),
    ("svd, tall", svd_loss, (4, 2)),
    ("svd, wide", svd_loss, (2, 2, 3)),
    ("svd, one column", svd_loss, (3, 1)),
    ("full svd, square", full_svd_loss, (2, 2)),
    ("full svd, tall", full_svd_loss, (4, 2)),
    ("full svd, wide", full_svd_loss, (2, 1, 3)),
    ("qr, square", qr_loss, (3, 3)),
    ("qr, tall", qr_loss, (2, 4, 2)),
    ("qr, wide", qr_loss, (2, 4)),
    ("complete qr, tall", complete_qr_loss, (4, 2)),
    ("complete qr, wide", complete_qr_loss, (2, 2, 3)),
    ("eig", eig_loss, (3, 3)),
    ("eig of a stack", eig_loss, (2, 2, 2)),
    ("values", values_loss, (2, 3, 3)),
]
each_loss = pytest.mark.parametrize(("loss", "shape"), [line[1:] for line in LOSSES], ids=[line[0] for line in LOSSES])
each_dtype = pytest.mark.parametrize("dtype", ["d", "D"])


def matrix(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Random numbers whose eigenvalues and singular values lie apart."""
    a = drawn(rng_of(f"matrix {shape}"), shape, dtype)
    return a + np.diag([0.0, 3.0, -2.0, 5.0])[: shape[-2], : shape[-1]].astype(dtype)


def tape_of(loss: Callable[[Any], Any], a: Any) -> Any:
    return trace_leaves(lambda leaves: [loss(leaves[0])], [a]).check()


def slope(loss: Callable[[Any], Any], a: np.ndarray) -> np.ndarray:
    return Program(transforms.gradient(tape_of(loss, a), (0,))).run([a])[1]


@each_dtype
@each_loss
def test_gradient_against_differences_of_each_part_of_each_element(loss: Callable, shape: tuple, dtype: str):
    a = matrix(shape, dtype)
    found = slope(loss, a)
    assert (found.dtype, found.shape) == (a.dtype, a.shape)
    for at in np.ndindex(*shape):
        for unit in (1.0, 1j) if dtype == "D" else (1.0,):
            move = np.zeros_like(a)
            move[at] = unit
            expected = central(lambda h, move=move: np.asarray(loss(a + h * move)))
            assert abs(np.real(found[at] * unit) - expected) < 1e-7 * (1 + np.max(np.abs(found)))


@each_dtype
@each_loss
def test_second_order_forward_and_reverse_against_differences(loss: Callable, shape: tuple, dtype: str):
    a = matrix(shape, dtype)
    once = transforms.gradient(tape_of(loss, a), (0,))
    first = Program(once)
    t, u = drawn(rng_of("t"), shape, dtype), drawn(rng_of("u"), shape, dtype)
    moved = central(lambda h: first.run([a + h * t])[1])
    pushed = Program(transforms.jvp(once, (0,))).run([a, t])[3]
    scale = 1 + np.max(np.abs(moved))
    assert np.max(np.abs(pushed - moved)) < 1e-6 * scale
    zero, seed = np.zeros(()), u
    pulled = Program(transforms.vjp(once, (0,))).run([a, zero, seed])[2]  # the Hessian is symmetric
    assert abs(pairing(pulled, t) - pairing(u, moved)) < 1e-6 * scale


@each_loss
def test_float32_is_kept_and_nearly_right(loss: Callable, shape: tuple):
    for narrow, wide in (("f", "d"), ("F", "D")):
        a = matrix(shape, wide).astype(narrow)
        found, expected = slope(loss, a), slope(loss, a.astype(wide))
        assert found.dtype == a.dtype
        assert np.max(np.abs(found - expected)) < 2e-4 * (1 + np.max(np.abs(expected)))


@each_dtype
@pytest.mark.parametrize("name", ["eigh", "eigvalsh", "eig", "eigvals", "svd", "svdvals", "qr"])
def test_a_stack_is_a_loop_and_so_are_lanes(name: str, dtype: str):
    primitive: Any = REGISTRY[name]
    params = primitive.samples()[0][1]
    one = matrix((3, 3), dtype)
    a = np.stack([one, one @ one, np.diag([1.0, 2.0, 4.0]).astype(dtype)])
    each = [primitive.evaluate(one, **params) for one in a]
    assert np.array_equal(primitive.evaluate(a, **params), each)
    assert np.array_equal(primitive.batch(3, (True,), a, **params), each)
    y = np.stack(each)
    t, g = drawn(rng_of("t"), a.shape, dtype), drawn(rng_of("g"), y.shape, y.dtype)
    pushed = primitive.jvp((t,), y, a, **params)
    (pulled,) = primitive.vjp(g, y, a, wanted=(True,), **params)
    for i in range(3):
        np.testing.assert_allclose(pushed[i], primitive.jvp((t[i],), y[i], a[i], **params), rtol=1e-12, atol=1e-13)
        (one,) = primitive.vjp(g[i], y[i], a[i], wanted=(True,), **params)
        np.testing.assert_allclose(pulled[i], one, rtol=1e-12, atol=1e-13)


SHAPES = st.tuples(st.sampled_from([(), (2,), (0,), (1, 2)]), st.integers(0, 4), st.integers(0, 4))


@given(SHAPES, st.sampled_from("fdFD"), st.sampled_from(["svd", "full", "qr", "complete", "eigh", "eig"]))
def test_any_shape_and_dtype(shape: tuple, dtype: str, name: str):
    stack, m, n = shape
    a = drawn(rng_of(f"any {shape}"), (*stack, m, m if name.startswith("eig") else n), dtype)
    factorize: Callable[[Any], Any] = {
        "svd": lambda x: L.svd(x, full_matrices=False),
        "full": L.svd,
        "qr": L.qr,
        "complete": lambda x: L.qr(x, "complete"),
        "eigh": L.eigh,
        "eig": L.eig,
    }[name]
    expected = factorize(a)
    fields: list[tuple] = []

    def parts(leaves: list[Any]) -> list[Any]:
        result = factorize(leaves[0])
        fields.append((type(result), result._fields))
        return list(result)

    tape = trace_leaves(parts, [a]).check()
    found = Program(tape).run([a])
    assert fields == [(type(expected), expected._fields)]
    for part, other in zip(found, expected, strict=True):
        assert (part.dtype, part.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(part, other, rtol=1e-4 if dtype in "fF" else 1e-12, atol=1e-5)
    g = [drawn(rng_of("g"), part.shape, part.dtype) for part in found]
    t = drawn(rng_of("t"), a.shape, dtype)
    pushed = Program(transforms.jvp(tape, (0,))).run([a, t])[len(found) :]
    pulled = Program(transforms.vjp(tape, (0,))).run([a, *g])[-1]
    assert (pulled.dtype, pulled.shape) == (a.dtype, a.shape)
    assert [part.dtype for part in pushed] == [part.dtype for part in found]
    left, right = sum(pairing(*pair) for pair in zip(g, pushed, strict=True)), pairing(pulled, t)
    size = sum(float(np.sum(np.abs(in_precision(x, "f8")))) for x in (*pushed, pulled))
    assert abs(left - right) <= (1e-3 if dtype in "fF" else 1e-10) * (1 + size)


# ---------------------------------------------------------------------------- what NumPy reads, and its own names


def test_eigh_reads_one_triangle_and_so_does_its_gradient():
    a = matrix((3, 3), "D")
    for uplo, unread in (("L", np.triu_indices(3, 1)), ("u", np.tril_indices(3, -1))):
        for loss in (lambda x, uplo=uplo: eigh_loss(x, uplo), lambda x, uplo=uplo: counted(L.eigvalsh(x, uplo))):
            g: Any = slope(loss, a)
            assert np.all(g[unread] == 0)
            assert np.all(np.imag(np.diag(g)) == 0)
            assert np.count_nonzero(g) == 6


@each_dtype
def test_eigenvalues_alone_may_come_in_another_order_than_with_vectors(dtype: str):
    """As LAPACK gives them for large matrices: the rules follow the order of the value."""
    eigvals: Any = REGISTRY["eigvals"]
    a = np.stack([matrix((4, 4), dtype), 2.0 * np.eye(4, dtype=dtype)])
    y, t = eigvals.evaluate(a), drawn(rng_of("t"), a.shape, dtype)
    order = np.array([2, 0, 3, 1])
    g = drawn(rng_of("g"), y.shape, y.dtype)
    pushed = eigvals.jvp((t,), y, a)
    assert np.array_equal(eigvals.jvp((t,), y[:, order], a)[0], pushed[0, order])
    assert np.array_equal(np.sort(eigvals.jvp((t,), y[:, order], a)[1]), np.sort(pushed[1]))  # each once, though tied
    (pulled,) = eigvals.vjp(g, y, a, wanted=(True,))
    (again,) = eigvals.vjp(g[:, order], y[:, order], a, wanted=(True,))
    np.testing.assert_allclose(again[0], pulled[0], rtol=1e-13, atol=1e-14)
    (tied,) = eigvals.vjp(np.ones_like(g), y + 1e-9 * g, a, wanted=(True,))
    np.testing.assert_allclose(tied[1], np.eye(4), atol=1e-13)


def test_whether_eigenvalues_are_real_is_seen_in_the_data_and_guarded():
    def loss(a):
        w = L.eigvals(a)
        kinds.append(w.dtype.kind)
        return np.sum(np.real(w) ** 2) + np.sum(np.imag(L.eig(a)[0]) ** 2)

    kinds: list[str] = []
    turning, still = np.array([[1.0, 2.0], [-2.0, 1.0]]), np.array([[1.0, 2.0], [0.5, 4.0]])
    slopes = gradient(loss)
    for a in (turning, still, turning):
        expected = np.zeros((2, 2))
        for at in np.ndindex(2, 2):
            move = np.zeros((2, 2))
            move[at] = 1.0
            expected[at] = central(lambda h, a=a, move=move: np.asarray(loss(a + h * move)))
        kinds.clear()
        np.testing.assert_allclose(slopes(a), expected, atol=1e-7)
        assert set(kinds) <= {"c" if a is turning else "f"}


# ---------------------------------------------------------------------------- ties and rank


def test_losses_of_tied_values_alone_stay_finite_and_right():
    eye = np.eye(3)
    for values in (L.eigvalsh, lambda a: L.eigh(a).eigenvalues, L.svdvals, lambda a: L.svd(a).S, L.eigvals):
        tape = tape_of(lambda a, f=values: np.sum(np.real(f(a)) ** 2), 2.0 * eye)
        assert np.allclose(Program(transforms.gradient(tape, (0,))).run([2.0 * eye])[1], 4.0 * eye)
        assert np.allclose(Program(transforms.jvp(tape, (0,))).run([2.0 * eye, np.ones((3, 3))])[1], 12.0)
    nuclear = slope(lambda a: np.sum(L.svd(a, full_matrices=False)[1]), np.ones((3, 2)))
    u, s, vh = L.svd(np.ones((3, 2)), full_matrices=False)
    assert np.allclose(nuclear, u @ vh)
    assert s[1] < 1e-15


def test_a_tie_that_a_loss_of_vectors_divides_by_is_never_passed_over_in_silence():
    """At a tie V sin(w) V^T has a derivative, but its vectors have none: a number would be the wrong one."""
    assert not np.any(np.isfinite(slope(lambda a: mixed(L.eigh(a)[1]), np.eye(2))[1, :1]))
    one_tie = np.diag([1.0, 1.0, 3.0])
    parted = slope(lambda a: mixed(L.eigh(a)[1][:, 2:]), one_tie)  # looks at no tied vector
    assert np.all(np.isfinite(parted))
    expected = central(lambda h: np.asarray(mixed(L.eigh(one_tie + h * np.eye(3)[[2, 1, 0]])[1][:, 2:])))
    assert abs(np.sum(parted * np.eye(3)[[2, 1, 0]]) - expected) < 1e-7


def test_no_singular_value_of_zero_is_divided_by_unless_a_loss_looks_at_its_vectors():
    a = np.diag([2.0, 0.0])[:, :1] @ np.ones((1, 1))
    wide = np.concatenate([a, np.zeros((2, 1))], axis=1)  # singular values 2 and 0, exactly
    g = slope(lambda x: L.svd(x)[1][0] + np.sum(L.svd(x).U[:, 0] ** 2), wide)
    assert np.allclose(g, np.diag([1.0, 0.0]))


# ---------------------------------------------------------------------------- refusals

REFUSALS: list[tuple[Callable[[Any], Any], str]] = [
    (lambda x: L.eigh(x, UPLO="X")[0], r"np\.linalg\.eigh at test_\w+\.py:\d+: UPLO must be 'L' or 'U', not 'X'"),
    (lambda x: L.eigvalsh(x, 1), r"np\.linalg\.eigvalsh at .*UPLO must be 'L' or 'U', not 1"),
    (lambda x: L.eigh(x[:2])[0], r"`eigh` at test_\w+\.py:\d+: square matrices are needed, not .* shape \(2, 3\)"),
    (lambda x: L.eig(x[:2])[0], r"`eig` at .*square matrices are needed"),
    (lambda x: L.eigvals(x[0]), r"`eigvals` at .*a matrix or a stack of matrices is needed, not .*\(3,\)"),
    (lambda x: L.svdvals(x[0]), r"`svdvals` at .*a matrix or a stack"),
    (lambda x: L.svd(x[0])[1], r"`svd` at .*a matrix or a stack"),
    (lambda x: L.qr(x[0])[1], r"`qr` at .*a matrix or a stack"),
    (lambda x: L.svd(x, hermitian=True)[1], r"np\.linalg\.svd at .*hermitian=True is not .*np\.linalg\.eigh"),
    (lambda x: L.qr(x, mode="raw")[1], r"np\.linalg\.qr at .*mode 'raw' is not .*'reduced', 'complete' or 'r'"),
    (lambda x: L.qr(x.astype("f2"))[1], r"np\.linalg\.qr at .*no matrices of dtype float16; cast to float32"),
]


@pytest.mark.parametrize(("function", "message"), REFUSALS, ids=[str(i) for i in range(len(REFUSALS))])
def test_refusals_say_what_where_and_what_to_do(function: Callable, message: str):
    with pytest.raises(TraceError, match=message):
        slope(lambda x: np.sum(function(x)), np.eye(3))


def test_without_data_only_eig_needs_them():
    shape = Shape((3, 3))
    for factorize in (L.eigh, L.svd, L.qr):
        outputs = trace_leaves(lambda leaves, f=factorize: list(f(leaves[0])), [shape]).outputs
        assert len(outputs) in (2, 3)
    with pytest.raises(TraceError, match="the trace was given shapes without data; pass arrays"):
        trace_leaves(lambda leaves: [L.eigvals(leaves[0])], [shape])
