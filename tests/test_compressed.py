"""Sparse Jacobians and Hessians: results, layouts, patterns of one's own, prepared calls, and faults."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import optree
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jacobian_cases import differences
from scipy.sparse import coo_array, csc_array, csr_array
from sparse_cases import (
    BY,
    CAMERAS,
    HESSIANS,
    JACOBIANS,
    OF,
    POINTS,
    X,
    burgers,
    container,
    convolved,
    dense,
    projected,
)

import difflab as dl
from difflab.errors import ForecastError, InputError, UnsupportedError

Z = X[:6] + 1j * X[6:]


def checked(found: Any, full: Any, *, rtol: float = 1e-13) -> None:
    """Leaf by leaf the same numbers, in the same dtype."""
    matrices, blocks = optree.tree_leaves(found), optree.tree_leaves(full)
    assert optree.tree_structure(found) == optree.tree_structure(full)
    for matrix, block in zip(matrices, map(np.asarray, blocks), strict=True):
        assert isinstance(matrix, csr_array)
        assert matrix.dtype == block.dtype
        matrix.check_format(full_check=True)
        np.testing.assert_allclose(matrix.toarray(), block.reshape(matrix.shape), rtol=rtol, atol=rtol)


# ------------------------------------------------------------------------------- results


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
@pytest.mark.parametrize("case", JACOBIANS)
def test_a_jacobian_is_the_dense_one_in_both_layouts(case: str, layout: str) -> None:
    here = JACOBIANS[case]
    found = dl.jacobian(here.function, here.argnums, layout=layout, sparse=True)(*here.args)
    blocks = dense(here, "jacobian", layout=layout)
    if layout == "numerator":
        checked(found, blocks, rtol=1e-6 if case == "float32" else 1e-13)
    turned = dense(here, "jacobian")
    if case not in ("containers", "projected"):  # one leaf by one leaf
        full = np.asarray(turned)
        full = full.reshape(found.shape if layout == "numerator" else found.shape[::-1])
        np.testing.assert_allclose(found.toarray(), full if layout == "numerator" else full.T, rtol=1e-5)


def test_the_denominator_layout_turns_containers_and_blocks() -> None:
    inputs = {"a": X[:5], "b": X[5:9]}
    found = dl.jacobian(container, layout="denominator", sparse=True)(inputs)
    full = dl.jacobian(container, layout="denominator")(inputs)
    assert found["a"]["steps"].shape == (5, 4)
    assert found["b"]["end"][0].shape == (4, 1)
    checked(found, full)


def test_against_plain_differences() -> None:
    for args, function in [([X], burgers), ([CAMERAS, POINTS], lambda a, b: projected(a, b, BY, OF))]:
        found = dl.jacobian(function, argnums=tuple(range(len(args))), sparse=True)(*args)
        truth = differences(lambda leaves, f=function: [f(*leaves)], args)[0]
        for matrix, block in zip(found, truth, strict=True):
            np.testing.assert_allclose(matrix.toarray(), block.reshape(matrix.shape), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("case", JACOBIANS)
def test_as_few_products_as_the_pattern_allows(case: str) -> None:
    here = JACOBIANS[case]
    prepared = dl.prepare(
        here.function, *here.args, argnums=here.argnums, backend="forward", operator="jacobian", sparse=True
    )
    stats = prepared.stats
    assert stats["products"][1] == 0
    assert stats["products"][0] <= here.products
    assert bool(stats["formed_dense"]) == (case in ("arrow", "scalar out"))  # there none is saved by columns alone


def test_both_kinds_of_products_where_neither_suffices() -> None:
    arrow = JACOBIANS["arrow"]
    prepared = dl.prepare(arrow.function, X, operator="jacobian", sparse=True)
    columns, rows = prepared.stats["products"]
    assert columns + rows <= 4
    assert min(columns, rows) >= 1
    np.testing.assert_allclose(prepared(X).toarray(), dense(arrow, "jacobian"), rtol=1e-14)
    assert dl.prepare(lambda x: np.sum(x), X, operator="jacobian", sparse=True).stats["products"] == (0, 1)


@pytest.mark.parametrize("case", HESSIANS)
def test_a_hessian_is_the_dense_one(case: str) -> None:
    here = HESSIANS[case]
    prepared = dl.prepare(here.function, *here.args, argnums=here.argnums, operator="hessian", sparse=True)
    assert prepared.stats["products"][0] <= here.products
    checked(prepared(*here.args), dense(here, "hessian"))
    checked(prepared.hessian(*here.args), dense(here, "hessian"))


COMPLEX = {
    "holomorphic": (lambda z: z[1:] * z[:-1] ** 2, (Z,), 0),
    "magnitudes": (lambda z: np.abs(z[1:]) * z[:-1].imag, (Z,), 0),
    "conjugates": (lambda z: {"a": np.abs(z) ** 2, "b": z * z}, (Z,), 0),
    "complex of real": (lambda x: np.exp(1j * x[1:]) * x[:-1], (X,), 0),
    "mixed": (lambda x, z: (x[1:] * z, np.abs(z) * x[1:]), (X[:7], Z), (0, 1)),
    "single": (lambda z: z[1:] * z[:-1], (Z.astype(np.complex64),), 0),
}


@pytest.mark.parametrize("backend", [None, "forward", "reverse", "finite"])
@pytest.mark.parametrize("case", COMPLEX)
def test_complex_numbers_as_in_the_dense_jacobian(case: str, backend: Any) -> None:
    function, args, argnums = COMPLEX[case]
    exact = backend != "finite"
    rtol = (1e-12 if exact else 1e-7) if case != "single" else 1e-5 if exact else 2e-2
    checked(
        dl.jacobian(function, argnums, backend, sparse=True)(*args),
        dl.jacobian(function, argnums, backend)(*args),
        rtol=rtol,
    )


@pytest.mark.parametrize("backend", ["forward", "reverse"])
def test_hessians_of_complex_variables_are_not_taken_for_symmetric(backend: str) -> None:
    def loss(z: Any) -> Any:
        return np.sum(np.abs(z[1:]) ** 2 * z[:-1].real) + np.sum(z.imag**3)

    def mixed(x: Any, z: Any) -> Any:
        return np.sum(x[1:] * np.abs(z) ** 2) + np.sum(x**3) + np.sum((z * z).imag)

    for function, args, argnums in [(loss, (Z,), 0), (mixed, (X[:7], Z), (0, 1))]:
        found = dl.hessian(function, argnums, backend, sparse=True)(*args)
        checked(found, dl.hessian(function, argnums, backend)(*args), rtol=1e-12)


DTYPES = st.sampled_from(["float64", "float32", "complex128"])


@settings(max_examples=40, deadline=None)
@given(shape=arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), dtype=DTYPES, data=st.data())
def test_any_shape_and_dtype(shape: tuple[int, ...], dtype: str, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = np.random.default_rng(sum(shape)).uniform(0.5, 1.5, shape).astype(dtype)

    def function(x: Any) -> Any:
        return {"moved": np.roll(x, 1, axis) * x, "sums": np.sum(x * x, axis=axis)}

    backend = data.draw(st.sampled_from([None, "forward", "reverse"]))
    found = dl.jacobian(function, backend=backend, sparse=True)(x)
    checked(found, dl.jacobian(function, backend="reverse")(x), rtol=1e-5 if dtype == "float32" else 1e-12)


def test_integers_among_outputs_have_no_derivative() -> None:
    found = dl.jacobian(lambda x: (np.argsort(x), x * x), sparse=True)(X)
    assert found[0].nnz == 0
    assert found[0].dtype == np.float64
    own = np.ones((24, 12), bool)
    checked(
        dl.jacobian(lambda x: (np.argsort(x), x * x), backend="forward", sparse=own)(X),
        dl.jacobian(lambda x: (np.argsort(x), x * x))(X),
    )


# ------------------------------------------------------------------------------- patterns of one's own


def test_patterns_of_many_kinds_say_the_same() -> None:
    full = dl.jacobian(convolved)(X)
    kinds = [full != 0, csr_array(full != 0), csc_array(full), coo_array(full), dl.sparsity(convolved, X)]
    for pattern in kinds:
        checked(dl.jacobian(convolved, sparse=pattern)(X), full)
        prepared = dl.prepare(convolved, X, operator="jacobian", sparse=pattern)
        checked(prepared(X), full)
        assert prepared.stats["products"] == (3, 0)


def test_what_a_given_pattern_leaves_out_is_folded_into_other_entries() -> None:
    found = dl.jacobian(lambda x: x[1:] * x[:-1], backend="forward", sparse=np.eye(11, 12, dtype=bool))(X)
    folded = X[1:] + X[:-1]
    folded[-1] = X[-1]  # the last column is in no product
    np.testing.assert_allclose(found.toarray(), np.eye(11, 12) * folded[:, None])


def test_half_of_a_hessian_is_enough_of_a_pattern() -> None:
    chain = HESSIANS["chain"]
    full = dense(chain, "hessian")
    checked(dl.hessian(chain.function, sparse=np.triu(full != 0))(X), full)
    checked(dl.hessian(chain.function, sparse=dl.sparsity(chain.function, X, operator="hessian"))(X), full)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (np.ones((3, 4), bool), "as sparse= has shape (3, 4), and the matrix of derivatives has (10, 12)"),
        ("banded", "sparse= takes True, False, what dl.sparsity gives, a SciPy sparse matrix or a boolean array"),
        (None, "and a NoneType was given"),
        (np.full((10, 12), "x"), "it is one of booleans or numbers"),
        (
            dl.sparsity(lambda x: np.sum(x**2), np.ones(3), operator="hessian"),
            "sparse= of a jacobian was given the pattern of a hessian",
        ),
    ],
)  # fmt: skip
def test_patterns_that_are_none(pattern: Any, text: str) -> None:
    with pytest.raises(InputError) as raised:
        dl.jacobian(convolved, sparse=pattern)(X)
    assert text in str(raised.value)
    with pytest.raises(InputError) as raised:
        dl.prepare(convolved, X, operator="jacobian", sparse=pattern)
    assert text in str(raised.value)


# ------------------------------------------------------------------------------- prepared


def test_integers_that_change_have_a_pattern_of_their_own() -> None:
    prepared = dl.prepare(projected, CAMERAS, POINTS, BY, OF, argnums=(0, 1), operator="jacobian", sparse=True)
    assert prepared.stats["patterns"] == 1
    rng = np.random.default_rng(3)
    for count in range(12):
        by, of = rng.integers(0, 3, 7), rng.integers(0, 5, 7)
        for _ in range(2):
            found = prepared(CAMERAS, POINTS, by, of)
            full = dl.jacobian(projected, argnums=(0, 1), backend="forward")(CAMERAS, POINTS, by, of)
            for matrix, block in zip(found, full, strict=True):
                np.testing.assert_array_equal(matrix.toarray(), block.reshape(matrix.shape))
        assert prepared.stats["patterns"] == count + 2
    prepared(CAMERAS + 1.0, POINTS, by, of)
    assert prepared.stats["patterns"] == 13
    assert prepared.stats["traces"] == 1


def test_masks_that_change_and_other_branches_have_their_own() -> None:
    def function(x: Any, mask: Any) -> Any:
        if x[0] > 1.0:
            return np.where(mask, x * x, 1.0)
        return np.where(mask, x * x[::-1], 1.0)

    mask = np.arange(12) % 2 == 0
    prepared = dl.prepare(function, X * 0.1, mask, operator="jacobian", sparse=True)
    for factor in (0.1, 10.0):
        for chosen in (mask, ~mask, np.ones(12, bool)):
            found = prepared(X * factor, chosen)
            checked(found, dl.jacobian(function)(X * factor, chosen))
            assert found.nnz == chosen.sum() * (1 if factor == 10.0 else 2)
    assert prepared.stats["traces"] == 2


def test_results_share_nothing() -> None:
    prepared = dl.prepare(burgers, X, operator="jacobian", sparse=True)
    first, second = prepared(X), prepared(X)
    for name in ("data", "indices", "indptr"):
        mine, other = getattr(first, name), getattr(second, name)
        assert not np.may_share_memory(mine, other)
        mine[...] = 0
        assert mine.flags.writeable
    np.testing.assert_array_equal(prepared(X).toarray(), second.toarray())
    found = dl.jacobian(lambda x: x, sparse=True)(X)
    found.data[...] = 7.0
    assert X.max() < 2.0


def test_other_operators_of_a_sparse_one_are_as_ever() -> None:
    loss = HESSIANS["chain"].function
    prepared = dl.prepare(loss, X, operator="hessian", sparse=True)
    np.testing.assert_allclose(prepared.gradient(X), dl.gradient(loss)(X))
    np.testing.assert_allclose(prepared.hvp(X, X), dl.hvp(loss)(X, X))
    np.testing.assert_allclose(prepared.jacobian(X).toarray()[0], dl.gradient(loss)(X))
    np.testing.assert_allclose(prepared.jvp((X,), (X,))[1], dl.gradient(loss)(X) @ X)
    pushed = dl.prepare(convolved, X, operator="jacobian", sparse=True)
    assert pushed.backend == dl.Forward()
    np.testing.assert_allclose(pushed.vjp(X)[1](X[:10])[0], X[:10] @ dl.jacobian(convolved)(X))
    np.testing.assert_array_equal(pushed.value(X), convolved(X))


def test_its_notes() -> None:
    stats = dl.prepare(burgers, X, operator="jacobian", sparse=True).stats
    assert stats["nonzeros"] == 36
    assert stats["products"] == (3, 0)
    assert stats["primal_calls"] == 3
    assert stats["dense_because"] == ()
    assert min(stats["pattern_s"], stats["colouring_s"]) > 0
    dense_one = dl.prepare(lambda a: np.linalg.inv(a), np.eye(3), operator="jacobian", sparse=True).stats
    assert dense_one["nonzeros"] == 81
    assert dense_one["formed_dense"] == "no product is saved: every entry can be non-zero"
    arrow = dl.prepare(JACOBIANS["arrow"].function, X, operator="jacobian", sparse=True, backend="forward").stats
    assert arrow["formed_dense"] == f"no product is saved: {len(X)} are needed, one for each coordinate"


def test_from_several_threads() -> None:
    prepared = dl.prepare(projected, CAMERAS, POINTS, BY, OF, argnums=(0, 1), operator="jacobian", sparse=True)
    rng = np.random.default_rng(5)
    calls = [(CAMERAS + k, POINTS, rng.integers(0, 3, 7), rng.integers(0, 5, 7)) for k in range(8)]
    wanted = [dl.jacobian(projected, argnums=(0, 1), sparse=True)(*call) for call in calls]
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(5):
            for call, want in zip(calls, wanted, strict=True):
                wrong.extend([1 for a, b in zip(prepared(*call), want, strict=True) if (a != b).nnz])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ------------------------------------------------------------------------------- faults


def test_inside_another_derivative_there_is_no_sparse_one() -> None:
    prepared = dl.prepare(convolved, X, operator="jacobian", sparse=True)
    curved = dl.prepare(HESSIANS["chain"].function, X, operator="hessian", sparse=True)
    text = (
        "a sparse {} cannot be computed inside another derivative, because a SciPy array cannot be traced; take "
        "products with {} there, or leave out sparse="
    )
    for inner, wanted in [
        (dl.jacobian(convolved, sparse=True), text.format("jacobian", "dl.jvp and dl.vjp")),
        (prepared, text.format("jacobian", "dl.jvp and dl.vjp")),
        (dl.hessian(HESSIANS["chain"].function, sparse=True), text.format("hessian", "dl.hvp")),
        (curved, text.format("hessian", "dl.hvp")),
    ]:
        with pytest.raises(UnsupportedError) as raised:
            dl.gradient(lambda x, inner=inner: np.sum(inner(x).data))(X)
        assert str(raised.value) == wanted


def test_only_matrices_are_sparse() -> None:
    with pytest.raises(InputError) as raised:
        dl.prepare(lambda x: np.sum(x), X, sparse=True)
    assert str(raised.value) == (
        "sparse= is for the operators 'jacobian' and 'hessian', and 'gradient' was to be prepared"
    )
    with pytest.raises(InputError, match="needs one output of shape"):
        dl.hessian(convolved, sparse=True)(X)


def test_what_does_not_fit_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    room = [2**10]
    monkeypatch.setattr("difflab.compressed.whole_bytes", lambda: room[0])
    with pytest.raises(ForecastError) as raised:
        dl.jacobian(lambda x: np.sort(x) * 2.0, sparse=True)(np.ones(200))
    text = str(raised.value)
    assert text.startswith("the sparse jacobian of 200 x 200 numbers has 40,000 entries, which need 0 GiB, and this")
    assert "it is taken for dense: gather: where it looks is known only when it runs" in text
    assert text.endswith("dl.jvp or dl.vjp give its products with vectors without it")
    room[0] = 20_000

    def half(x: Any) -> Any:
        return np.concatenate([x[1:100] * x[0], x[100:] ** 2])

    with pytest.raises(ForecastError) as raised:
        dl.jacobian(half, backend="reverse", sparse=True)(np.ones(200))
    assert "is read off 0 products J s and 99 products r J, which need 0 GiB" in str(raised.value)
    assert dl.jacobian(half, sparse=True)(np.ones(200)).nnz == 298


def test_programs_that_are_dropped_leave_nothing_behind() -> None:
    prepared = dl.prepare(lambda x: x * x[::-1], X, operator="jacobian", sparse=True)
    prepared(X[:3])
    first = weakref.ref(prepared._known(prepared._programs[-1][0])[0][1][0])
    for size in range(4, 24):
        prepared(np.ones(size))
    gc.collect()
    assert first() is None
