"""Jacobians and Hessians within a limit of memory, on disk and in chunks."""

import gc
import itertools
import tempfile
import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import difflab as dl
from difflab.backends.protocol import Cost
from difflab.errors import ForecastError, InputError, UnsupportedError
from difflab.execution.amounts import limit_of
from difflab.execution.on_disk import Block, BlockFiles

BACKENDS = ("forward", "reverse", "finite", "complex-step", "symbolic")


def waves(x):
    """4 n outputs; entry (k, j) is cos(u_k) (d_kj m + y_k / n) with u = [x, x, x, x] m + c and m the mean."""
    return np.sin(np.concatenate([x, x, x, x]) * np.mean(x) + np.arange(4.0 * len(x)))


def waves_by_hand(x):
    n = len(x)
    y, mean = np.concatenate([x] * 4), np.mean(x)
    inner = np.tile(np.eye(n) * mean, (4, 1)) + y[:, None] / n
    return np.cos(y * mean + np.arange(4.0 * n))[:, None] * inner


def mixed(p):
    return {"a": np.outer(p["x"], p["x"]) * p["s"], "b": [np.sum(p["x"] ** 3)]}


def mixed_point():
    return {"x": np.array([1.0, -2.0, 0.5]), "s": np.float32(1.5) * np.ones((), np.float32)}


def mixed_by_hand(p):
    x, s = p["x"], float(p["s"])
    eye = np.eye(len(x))
    by_x = s * (eye[:, None, :] * x[None, :, None] + x[:, None, None] * eye[None, :, :])
    return {("a", "x"): by_x, ("a", "s"): np.outer(x, x), ("b", "x"): 3 * x**2, ("b", "s"): np.array(0.0)}


def peak_of(call) -> tuple[Any, int]:
    """What a call returns, and the most bytes that were allocated meanwhile, in a second call."""
    call("first")
    gc.collect()
    tracemalloc.start()
    try:
        result = call("second")
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------------------- memory


WIDE = (dl.Forward(chunk=200), dl.Reverse(chunk=200), dl.Finite(chunk=200), dl.ComplexStep(chunk=200))


@pytest.mark.parametrize("backend", WIDE, ids=str)
def test_the_result_and_its_evaluation_stay_within_the_limit(backend):
    x = np.linspace(-1, 1, 400)
    exact, result = waves_by_hand(x), 8 * 1600 * 400
    limit = result + 300_000
    usual = peak_of(lambda _: dl.jacobian(waves, backend=backend)(x))[1]
    found, peak = peak_of(lambda _: dl.jacobian(waves, backend=backend, memory=limit)(x))
    assert_allclose(found, exact, atol=1e-6)
    assert result < peak <= limit < usual


@pytest.mark.parametrize("backend", ["forward", "reverse"])
def test_a_hessian_within_the_limit(backend):
    x = np.linspace(0.1, 1, 60)

    def loss(x):
        return np.sum(np.outer(x, x) ** 2) + np.sum(x**4)  # (sum x^2)^2 + sum x^4

    exact = 8 * np.outer(x, x) + 4 * np.eye(60) * np.sum(x**2) + np.diag(12 * x**2)
    limit = 8 * 60 * 60 + 500_000
    found, peak = peak_of(lambda _: dl.hessian(loss, backend=backend, memory=limit)(x))
    assert_allclose(found, exact, rtol=1e-9)
    assert peak <= limit


@pytest.mark.parametrize("layout", ["numerator", "denominator"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_trees_and_dtypes_are_those_without_a_limit(backend, layout, tmp_path):
    p = mixed_point()
    plain = dl.jacobian(mixed, backend=backend, layout=layout)(p)
    limited = dl.jacobian(mixed, backend=backend, layout=layout, memory="2 MB")(p)
    filed = dl.jacobian(mixed, backend=backend, layout=layout, memory="2 MB", file=tmp_path / "j")(p)
    for (out, var), exact in mixed_by_hand(p).items():
        inner = len(p[var].shape)
        leaves = []
        for tree in (plain, limited, filed):
            one, two = (out, var) if layout == "numerator" else (var, out)
            leaf = tree[one][0] if one == "b" else tree[one]
            leaves.append(leaf[two][0] if two == "b" else leaf[two])
        if layout == "denominator" and inner:
            exact = np.moveaxis(exact, -1, 0)
        for leaf in leaves:
            assert_allclose(leaf, exact, rtol=1e-5, atol=1e-6)
            assert (leaf.shape, leaf.dtype) == (exact.shape, p[var].dtype)
        assert type(leaves[2]) is np.memmap
        assert not leaves[2].flags.writeable
    order = ("a", "x") if layout == "numerator" else ("x", "a")
    assert len(list((tmp_path / "j").iterdir())) == 4
    assert (tmp_path / "j" / f"{order[0]}-by-{order[1]}.npy").is_file()


@dataclass(frozen=True)
class RowByRow:
    """A backend that has pullbacks only, and whose whole Jacobian is forecast to take much."""

    name: str = "row-by-row"
    family: str = "peer"
    capabilities: frozenset[str] = frozenset({"vjp"})

    def unavailable(self):
        return None

    def predict(self, tape, operator, wrt):
        return Cost(1.0, 1.0, 1e9 if operator == "jacobian" else 1000)

    def prepare(self, source, operator, example):
        return dl.Reverse().prepare(source, operator, example)


def test_what_cannot_be_done_at_once_is_done_row_by_row(tmp_path):
    x = np.array([0.5, -1.0, 2.0, 0.1, 1.0])
    assert_allclose(dl.jacobian(waves, backend=RowByRow(), memory=2040)(x), waves_by_hand(x))
    assert_allclose(dl.jacobian(waves, backend=RowByRow(), memory=2040, file=tmp_path / "j.npy")(x), waves_by_hand(x))
    with pytest.raises(
        ForecastError, match=r"needs 1\.99 KiB for one row at a time beside the result, and memory= allows 1\.76 KiB"
    ):
        dl.jacobian(waves, backend=RowByRow(), memory=1800)(x)


def test_a_black_box_needs_room_for_the_result():
    def box(x):
        return np.array([float(x[0]) ** 2, float(x[1])])

    x = np.array([3.0, 1.0])
    assert_allclose(dl.jacobian(box, backend="finite", memory=100)(x), [[6, 0], [0, 1]], atol=1e-6)
    with pytest.raises(ForecastError, match="takes 32 B and memory= allows 31 B"):
        dl.jacobian(box, backend="finite", memory=31)(x)


# ---------------------------------------------------------------------------- files


@pytest.mark.parametrize("backend", ["forward", "reverse"])
def test_a_file_is_larger_than_the_limit(backend, tmp_path):
    x = np.linspace(-1, 1, 1414)

    def jacobian(name):
        return dl.jacobian(waves, backend=backend, memory="8 MB", file=tmp_path / f"{name}.npy")(x)

    found, peak = peak_of(jacobian)
    assert (tmp_path / "second.npy").stat().st_size > 63_900_000
    assert peak <= 8_000_000
    assert found.shape == (5656, 1414)
    assert_allclose(found[::57], waves_by_hand(x)[::57], atol=1e-12)
    assert_allclose(found[:, ::57], waves_by_hand(x)[:, ::57], atol=1e-12)


def test_a_hessian_on_disk(tmp_path):
    x = np.linspace(0, 1, 50)
    found = dl.hessian(lambda x: np.sum(x**2) ** 2, file=tmp_path / "h.npy", memory="1 MB")(x)
    assert_allclose(found, 8 * np.outer(x, x) + 4 * np.eye(50) * np.sum(x**2), atol=1e-12)
    tree = dl.hessian(lambda p: p["w"][0] ** 2 * p["b"], file=tmp_path / "h")({"w": np.array([3.0, 1.0]), "b": 2.0})
    assert_array_equal(tree["w"]["w"], [[4, 0], [0, 0]])
    assert_array_equal(tree["w"]["b"], [6, 0])
    assert sorted(one.name for one in (tmp_path / "h").iterdir()) == [
        "b-by-b.npy",
        "b-by-w.npy",
        "w-by-b.npy",
        "w-by-w.npy",
    ]


def test_complex_blocks_on_disk(tmp_path):
    z = np.array([1.0 + 2.0j, -0.5j])
    tree = dl.jacobian(lambda z, s: (np.exp(z) * s, np.abs(z) ** 2 + s), argnums=(0, 1), file=tmp_path / "j")(z, 0.5)
    assert_allclose(tree[0][0], np.diag(np.exp(z) * 0.5))
    assert_allclose(tree[0][1], np.exp(z))
    assert_allclose(tree[1][0], np.diag(2 * z.conj()))  # df/dRe - i df/dIm
    assert_array_equal(tree[1][1], [1.0, 1.0])
    assert [block.dtype.kind for row in tree for block in row] == ["c", "c", "c", "f"]


def test_single_precision_and_nothing_at_all(tmp_path):
    x = np.ones((2, 3), np.float32)
    found = dl.jacobian(lambda x: np.sin(x), file=tmp_path / "a.npy")(x)
    assert (found.dtype, found.shape) == (np.float32, (2, 3, 2, 3))
    empty = dl.jacobian(lambda x: x[:0], file=tmp_path / "b.npy", memory="1 kB")(np.ones(3))
    assert empty.shape == (0, 3)
    number = dl.jacobian(lambda x: x * x, file=tmp_path / "c.npy")(3.0)
    assert (number.shape, float(number)) == ((), 6.0)
    assert dl.jacobian(lambda x: np.sum(x), memory="1 kB")(np.ones(0)).shape == (0,)


def test_what_is_there_stays(tmp_path):
    path = tmp_path / "j.npy"
    path.write_text("precious")
    with pytest.raises(InputError, match=r"j\.npy' is there already, and is left as it is; remove it or choose"):
        dl.jacobian(waves, file=path)(np.ones(2))
    assert path.read_text() == "precious"
    assert [one.name for one in tmp_path.iterdir()] == ["j.npy"]


@pytest.mark.parametrize("leaves", [1, 2])
def test_a_failure_half_way_leaves_nothing(leaves, tmp_path):
    calls = []

    def box(x):
        calls.append(1)
        if len(calls) > 12:
            raise ArithmeticError("enough")
        rows = np.array([float(one) ** 2 for one in x])
        return rows if leaves == 1 else (rows, rows)

    with pytest.raises(ArithmeticError, match="enough"):
        dl.jacobian(box, backend="finite", file=tmp_path / ("j.npy" if leaves == 1 else "j"))(np.ones(20))
    assert len(calls) > 12
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_comes_meanwhile_is_not_overwritten(tmp_path):
    files = BlockFiles(tmp_path / "j.npy", [Block("", (2,), np.dtype("f8"), 1)])
    (tmp_path / "j.npy").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        files.finish()
    files.discard()
    assert [one.name for one in tmp_path.iterdir()] == ["j.npy"]


def test_a_full_disk_is_forecast(tmp_path):
    with pytest.raises(ForecastError, match=r"needs 1 000 000 TiB, and the disk has .* free; choose another disk"):
        BlockFiles(tmp_path / "j.npy", [Block("", (1 << 37, 10**6), np.dtype("f8"), 1)])
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 7), st.integers(1, 9), st.data())
def test_blocks_are_written_in_any_pieces(height, width, data):
    whole = np.random.default_rng(height * 10 + width).normal(size=(height, width))
    with tempfile.TemporaryDirectory() as folder:
        files = BlockFiles(f"{folder}/a.npy", [Block("", (height, width), np.dtype("f8"), 1)])
        rows = sorted({0, height, *data.draw(st.lists(st.integers(0, height)))})
        columns = sorted({0, width, *data.draw(st.lists(st.integers(0, width)))})
        for first, last in itertools.pairwise(rows):
            for left, right in itertools.pairwise(columns):
                files.write(0, slice(first, last), slice(left, right), whole[first:last, left:right])
        assert_array_equal(files.finish()[0], whole)


# ---------------------------------------------------------------------------- chunks


def collected(chunks):
    chunks = list(chunks)
    whole = np.full(
        (max(c.rows.stop for c in chunks), max(c.columns.stop for c in chunks)), np.nan, chunks[0].block.dtype
    )
    for chunk in chunks:
        assert chunk.block.shape == (chunk.rows.stop - chunk.rows.start, chunk.columns.stop - chunk.columns.start)
        whole[chunk.rows, chunk.columns] = chunk.block
    return whole


@pytest.mark.parametrize("by", ["rows", "columns", None])
@pytest.mark.parametrize("backend", [None, *BACKENDS])
def test_chunks_have_all_leaves_in_order(backend, by):
    p = mixed_point()
    whole = collected(dl.jacobian_chunks(mixed, backend=backend, by=by)(p))
    exact = mixed_by_hand(p)  # leaves in the order of their keys: s before x
    assert_allclose(whole[:9, 0], exact["a", "s"].ravel(), rtol=1e-5)
    assert_allclose(whole[:9, 1:], exact["a", "x"].reshape(9, 3), rtol=1e-5, atol=1e-6)
    assert_allclose(whole[9], [0, *exact["b", "x"]], rtol=1e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from(["f4", "f8"]), st.sampled_from(["rows", "columns"]),
       st.integers(1, 7))  # fmt: skip
def test_chunks_of_any_size(m, n, dtype, by, lanes):
    matrix = np.random.default_rng(m * 7 + n).normal(size=(m, n)).astype(dtype)
    backend = dl.Reverse(chunk=lanes) if by == "rows" else dl.Forward(chunk=lanes)
    chunks = list(dl.jacobian_chunks(lambda x: np.tanh(matrix @ x), backend=backend)(np.zeros(n, dtype)))
    assert len(chunks) == -(-(m if by == "rows" else n) // min(lanes, m if by == "rows" else n))
    assert {chunk.block.dtype for chunk in chunks} == {np.dtype(dtype)}
    assert_allclose(collected(chunks), matrix, rtol=1e-5)


def test_a_sum_over_chunks_stays_within_the_limit():
    x = np.linspace(-1, 1, 500)

    def squares(_):
        return sum(c.block.T @ c.block for c in dl.jacobian_chunks(waves, memory="1 MB", by="rows")(x))

    found, peak = peak_of(squares)
    exact = waves_by_hand(x)
    assert_allclose(found, exact.T @ exact, atol=1e-9)
    assert peak < 1_000_000 + 3 * found.nbytes < exact.nbytes + found.nbytes


def test_chunks_are_of_the_point_at_the_call():
    x = np.ones(6)
    chunks = dl.jacobian_chunks(lambda x: x**2, backend=dl.Reverse(chunk=2))(x)
    first = next(chunks)
    x[:] = 100.0
    first.block[:] = -1.0
    assert_array_equal(collected([*chunks])[2:], 2 * np.eye(6)[2:])


# ---------------------------------------------------------------------------- faults


def test_limits_are_amounts():
    assert [limit_of("memory", one) for one in ("1 GiB", "200 MB", 5, np.int64(7))] == [2**30, 200_000_000, 5, 7]
    wrong: Any
    for wrong in ("much", -1, 0, 2.5, True, "2 pounds"):
        with pytest.raises(InputError, match="give bytes, or a text such as '200 MB' or '1 GiB'"):
            dl.jacobian(waves, memory=wrong)


def test_what_does_not_fit_is_forecast_with_what_to_do():
    x = np.ones(100)
    with pytest.raises(ForecastError) as caught:
        dl.jacobian(waves, memory="100 kB")(x)
    assert str(caught.value) == (
        "the jacobian of `waves` of 400 x 100 numbers takes 312 KiB and memory= allows 97.7 KiB; write it to disk with "
        "file=, go through it by dl.jacobian_chunks, compress it with sparse=True, or take its products by "
        "dl.jacobian_operator"
    )
    with pytest.raises(ForecastError, match=r"takes 78\.1 KiB and memory= allows .* dl\.hvp or dl\.hessian_operator"):
        dl.hessian(lambda x: np.sum(x**2), memory="50 kB")(x)
    with pytest.raises(ForecastError, match="with the arrays of one direction at a time, and memory= allows"):
        dl.jacobian(waves, memory=320_001)(x)
    with pytest.raises(ForecastError, match=r"takes 312 KiB, as does a copy of it, and memory= allows 391 KiB"):
        dl.jacobian(waves, layout="denominator", memory="400 kB")(x)
    with pytest.raises(
        ForecastError, match=r"for one row at a time, and memory= allows 0\.977 KiB; allow more, or take"
    ):
        next(dl.jacobian_chunks(waves, by="rows", memory="1 kB")(x))


def test_paths_are_checked_before_anything_is_computed(tmp_path):
    with pytest.raises(InputError, match=r"the result is one array, so the path ends in \.npy"):
        dl.jacobian(waves, file=tmp_path / "j.txt")(np.ones(2))
    with pytest.raises(InputError, match="has several arrays or none, so the path is that of a folder"):
        dl.jacobian(mixed, file=tmp_path / "j.npy")(mixed_point())
    with pytest.raises(InputError, match=r"there is no folder .*; make it first"):
        dl.jacobian(waves, file=tmp_path / "no" / "j.npy")(np.ones(2))
    with pytest.raises(InputError, match=r"file=3: it is the path of a \.npy file"):
        dl.jacobian(waves, file=3)(np.ones(2))


def test_options_that_do_not_go_together():
    for operator in (dl.jacobian, dl.hessian):
        with pytest.raises(InputError, match="sparse= stands without memory= and file="):
            operator(waves, sparse=True, memory="1 MB")
    with pytest.raises(InputError, match="by='diagonals': a Jacobian is gone through by 'rows' or by 'columns'"):
        dl.jacobian_chunks(waves, by="diagonals")


def test_traced_arguments_are_refused():
    for inner in (
        lambda x: np.sum(dl.jacobian(waves, memory="1 MB")(x)),
        lambda x: np.sum(dl.hessian(lambda y: np.sum(y**3), file="h.npy")(x)),
        lambda x: sum(np.sum(chunk.block) for chunk in dl.jacobian_chunks(waves)(x)),
    ):
        with pytest.raises(UnsupportedError, match="gives arrays of numbers, and its arguments are traced"):
            dl.gradient(inner)(np.ones(3))


def test_functions_of_several_outputs_have_no_hessian():
    with pytest.raises(InputError, match="hessian of `waves` needs one output of shape"):
        dl.hessian(waves, memory="1 MB")(np.ones(2))
