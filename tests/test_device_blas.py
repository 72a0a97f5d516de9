"""Products by a cuBLAS of difflab's own: against NumPy's, on every layout that needs no copy."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import cublas_double
import cupy_double
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from difflab.errors import DifflabError, InputError, UnavailableError, UnsupportedError
from difflab.execution.device import blas
from difflab.execution.device.gemm import Strided, plan

DTYPES = ["float16", "float32", "float64", "complex64", "complex128"]
HELD = cupy_double.ndarray
load_library = blas.load_library  # the real one: the fixture puts a double in its place


@pytest.fixture(scope="module")
def device():
    """The two doubles, installed once: the examples of a property share them."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        cupy = cupy_double.install(monkeypatch)
        library = cublas_double.install(monkeypatch, cupy)
        yield SimpleNamespace(cupy=cupy, library=library, blas=blas.find_blas())


def on_device(array: np.ndarray) -> Any:
    return HELD((), held=array)


def plain(shape: tuple[int, ...], dtype: str = "float64", start: int = 0) -> Any:
    return on_device(((np.arange(np.prod(shape, dtype=int)) + start) % 7 - 3).astype(dtype).reshape(shape))


@st.composite
def laid_out(draw: st.DrawFn, shape: tuple[int, ...], dtype: str, *, own_places: bool = False) -> np.ndarray:
    """An array of a shape, as a view with axes in some order, gaps, steps, reversals and repeated axes."""
    if draw(st.integers(0, 2)) == 0:
        return plain(shape, dtype, draw(st.integers(0, 6))).held
    if draw(st.booleans()) and len(shape) > 1:  # the two axes of each matrix exchanged, in rows that go on beyond it
        rows, columns = shape[-1], shape[-2]
        return plain((*shape[:-2], rows, columns + draw(st.integers(0, 2))), dtype).held[..., :columns].swapaxes(-1, -2)
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 1, 1, 2, -1])) for _ in shape]
    gaps = [draw(st.sampled_from([0, 0, 0, 1, 3])) for _ in shape]
    repeated = [not own_places and draw(st.integers(0, 9)) == 0 for _ in shape]
    extents = [1 if again else size * abs(step) + gap
               for size, step, gap, again in zip(shape, steps, gaps, repeated, strict=True)]  # fmt: skip
    seed = draw(st.integers(0, 6))
    whole = plain(tuple(extents[axis] for axis in order), dtype, seed).held.transpose(np.argsort(order))
    cut = whole[(..., *(slice(None, size * abs(step), abs(step)) if not again else slice(None)
                        for size, step, again in zip(shape, steps, repeated, strict=True)))]  # fmt: skip
    cut = cut[(..., *(slice(None, None, -1 if step < 0 else 1) for step in steps))]
    return np.broadcast_to(cut, shape) if any(repeated) else cut


@st.composite
def products(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dtype = draw(st.sampled_from(DTYPES))
    size = st.sampled_from([2, 3, 1, 4, 1, 5, 0])
    n, k, m = draw(size), draw(size), draw(size)
    lead = tuple(draw(st.lists(st.sampled_from([2, 3, 1]), max_size=3)))
    leads = [tuple(draw(st.sampled_from([extent, extent, 1])) for extent in lead) for _ in range(2)]
    leads = [one[draw(st.sampled_from([0, 0, len(one) // 2, len(one)])) :] for one in leads]
    a_shape = draw(st.sampled_from([(*leads[0], n, k), (*leads[0], n, k), (k,)]))
    b_shape = draw(st.sampled_from([(*leads[1], k, m), (*leads[1], k, m), (k,)]))
    a, b = draw(laid_out(a_shape, dtype)), draw(laid_out(b_shape, dtype))
    return a, b, draw(laid_out(np.matmul(a, b).shape, dtype, own_places=True))


@given(products())
def test_a_product_without_a_copy_is_that_of_numpy(device, case):
    a, b, out = case
    expected = np.matmul(a, b)
    root = out
    while root.base is not None:
        root = root.base
    before = root.copy()
    arrays = [on_device(array) for array in case]
    if not blas.takes(*arrays):
        with pytest.raises(UnsupportedError, match="copy them to contiguous"):
            device.blas.product(*arrays, stream_pointer=0)
        arrays = [on_device(np.ascontiguousarray(array).reshape(array.shape)) for array in case]
        assert blas.takes(*arrays)
    device.blas.product(*arrays, stream_pointer=0)
    np.testing.assert_array_equal(arrays[2].held, expected)
    if arrays[2].held is out:
        out[...] = 0
        kept = root.copy()
        root[...] = before
        out[...] = 0
        np.testing.assert_array_equal(root, kept)  # nothing beside the result was written


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turn", ["", "a", "b", "out", "a b", "a b out"])
def test_transposes_slices_and_broadcasts_need_no_copy(device, dtype, turn):
    a, b = plain((3, 4, 5), dtype).held, plain((5, 2), dtype).held
    out = np.empty((3, 4, 2), dtype)
    if "a" in turn.split():
        a = plain((3, 5, 9), dtype).held[:, :, 2:6].swapaxes(1, 2)
    if "b" in turn:
        b = plain((7, 6), dtype).held[1:3, 1:].T
    if "out" in turn:
        out = np.empty((3, 2, 6), dtype)[:, :, :4].swapaxes(1, 2)
    arrays = [on_device(array) for array in (a, b, out)]
    assert blas.takes(*arrays)
    device.blas.product(*arrays, stream_pointer=0)
    np.testing.assert_array_equal(out, a @ b)


def calls_of(device, a: Any, b: Any, out: Any, **options: Any) -> list[cublas_double.Product]:
    del device.library.products[:]
    device.blas.product(a, b, out, stream_pointer=0, **options)
    np.testing.assert_array_equal(out.held, a.held @ b.held)
    return device.library.products


def test_a_batch_with_one_shared_matrix_is_one_large_product(device):
    (call,) = calls_of(device, plain((4, 3, 5)), plain((5, 2)), plain((4, 3, 2)))
    assert call.name == "cublasGemmEx"
    assert sorted(call.sizes) == [2, 5, 12]
    (call,) = calls_of(device, plain((4, 1, 5)), plain((5, 2)), plain((4, 1, 2)))
    assert sorted(call.sizes) == [2, 4, 5]
    wide = on_device(np.empty((2, 6, 4)).transpose(1, 0, 2))  # six products of a (2, 3) beside each other
    (call,) = calls_of(device, plain((2, 3)), on_device(plain((3, 6, 4)).held.transpose(1, 0, 2)), wide)
    assert call.name == "cublasGemmEx"
    assert sorted(call.sizes) == [2, 3, 24]


def test_batches_with_even_steps_are_one_call_and_others_are_a_loop(device):
    (call,) = calls_of(device, plain((2, 3, 4, 5)), plain((2, 3, 5, 2)), plain((2, 3, 4, 2)))
    assert call.count == 6
    assert call.name == "cublasGemmStridedBatchedEx"
    calls = calls_of(device, plain((2, 1, 4, 5)), plain((1, 3, 5, 2)), plain((2, 3, 4, 2)))
    assert [call.count for call in calls] == [3, 3]
    (call,) = calls_of(device, plain((5,)), plain((3, 5, 2)), plain((3, 2)))
    assert call.count == 3


def test_batch_axes_in_another_order_are_one_batch_all_the_same(device):
    a, b, out = (on_device(plain((2, 3, *sizes)).held.swapaxes(0, 1)) for sizes in ((4, 5), (5, 2), (4, 2)))
    (call,) = calls_of(device, a, b, out)
    assert call.count == 6


def test_a_vector_is_read_along_its_elements():
    row, column, scalar = Strided((1, 64), (7, 1)), Strided((64, 1), (1, 7)), Strided((1, 1), (0, 0))
    assert [call.leading for call in plan(row, column, scalar) or ()] == [(64, 64, 1)]
    calls = plan(Strided((64,), (3,)), Strided((64, 5), (5, 1)), Strided((5,), (1,)))
    assert [call.leading for call in calls or ()] == [(5, 3, 5)]


def test_windows_that_overlap_are_taken_where_a_leading_dimension_describes_them(device):
    windows = np.lib.stride_tricks.sliding_window_view(plain((9,)).held, 4)
    assert not blas.takes(on_device(windows), plain((4, 2)), plain((6, 2)))
    spread = np.lib.stride_tricks.sliding_window_view(plain((30,)).held, 4)[::5]
    assert len(calls_of(device, on_device(spread), plain((4, 2)), plain((6, 2)))) == 1


def test_empty_products_call_nothing_and_sums_of_nothing_are_zero(device):
    del device.library.products[:]
    for n, k, m in ((0, 3, 2), (2, 3, 0), (0, 0, 0)):
        device.blas.product(plain((n, k)), plain((k, m)), plain((n, m)), stream_pointer=0)
    out = plain((2, 3), start=1)
    device.blas.product(plain((2, 0)), plain((0, 3)), out, stream_pointer=0)
    assert not out.held.any()
    assert not device.library.products


def test_tensor_float_only_when_asked_for_and_only_for_32_bits(device):
    for dtype, asked, compute in [("float32", False, 68), ("float32", True, 77), ("complex64", True, 77),
                                  ("float64", True, 70), ("float16", True, 68), ("float16", False, 68)]:  # fmt: skip
        (call,) = calls_of(device, plain((2, 3), dtype), plain((3, 2), dtype), plain((2, 2), dtype), tf32=asked)
        assert call.compute == compute
    assert device.library.modes == {"math": 0, "pointers": 0}


def test_half_precision_sums_in_single(device):
    ones = on_device(np.full((1, 2200), 1.0, np.float16))
    out = plain((1, 1), "float16")
    device.blas.product(ones, on_device(ones.held.T), out, stream_pointer=0)
    assert out.held.item() == 2200  # a sum in float16 stops at 2048


def test_shapes_that_do_not_fit_and_dtypes_that_cublas_lacks(device):
    with pytest.raises(InputError, match=r"shapes \(2, 3\) and \(2, 3\) have no matrix product"):
        device.blas.product(plain((2, 3)), plain((2, 3)), plain((2, 3)), stream_pointer=0)
    with pytest.raises(InputError, match="of shape"):
        device.blas.product(plain((2, 3)), plain((3, 2)), plain((2, 3)), stream_pointer=0)
    with pytest.raises(InputError, match="have no matrix product"):
        plan(Strided((2, 1, 3), (3, 3, 1)), Strided((4, 3, 1), (3, 1, 1)), Strided((4, 1, 1), (1, 1, 1)))
    with pytest.raises(InputError, match="at least one axis"):
        blas.takes(plain(()), plain((3,)), plain((3,)))
    for kinds in (("int64",) * 3, ("float32", "float32", "float64"), ("float64", "float32", "float64"), (">f8",) * 3):
        assert not blas.takes(*[plain((2, 2), kind) for kind in kinds])


def test_a_field_of_records_is_not_taken_where_its_stride_is_no_number_of_items(device):
    records = np.zeros((3, 2), [("value", np.float64), ("flag", np.int16)])["value"]
    assert not blas.takes(on_device(records), plain((2, 2)), plain((3, 2)))


def test_results_that_share_places_are_refused(device):
    shared = on_device(np.broadcast_to(np.zeros((2, 2)), (3, 2, 2)))
    assert not blas.takes(plain((3, 2, 4)), plain((3, 4, 2)), shared)


def test_a_refusal_of_cublas_is_a_sentence_with_its_status(device, monkeypatch):
    monkeypatch.setattr(device.library, "answer", 13)
    with pytest.raises(DifflabError, match="cuBLAS refused cublasGemmEx with CUBLAS_STATUS_EXECUTION_FAILED"):
        device.blas.product(plain((2, 3)), plain((3, 2)), plain((2, 2)), stream_pointer=0)
    monkeypatch.setattr(device.library, "answer", 99)
    with pytest.raises(DifflabError, match="with status 99"):
        device.blas.product(plain((2, 3)), plain((3, 2)), plain((2, 2)), stream_pointer=0)


def huge(shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """An array that is too large to be there."""
    itemstrides = tuple(8 * stride for stride in strides)
    return SimpleNamespace(shape=shape, strides=itemstrides, dtype=np.dtype(float), size=np.prod(shape),
                           data=SimpleNamespace(ptr=4096))  # fmt: skip


@pytest.mark.parametrize(
    ("a", "b", "out", "name"),
    [
        (huge((2, 3), (2**31, 1)), huge((3, 2), (2, 1)), huge((2, 2), (2, 1)), "cublasGemmEx_64"),
        (huge((2**31, 3), (3, 1)), huge((3, 2), (2, 1)), huge((2**31, 2), (2, 1)), "cublasGemmEx_64"),
        (huge((2, 3), (2**31 - 1, 1)), huge((3, 2), (2, 1)), huge((2, 2), (2, 1)), "cublasGemmEx"),
        (huge((2**31, 2, 3), (6, 3, 1)), huge((2**31, 3, 2), (6, 2, 1)), huge((2**31, 2, 2), (4, 2, 1)),
         "cublasGemmStridedBatchedEx_64"),
        (huge((2, 2, 3), (2**40, 3, 1)), huge((2, 3, 2), (6, 2, 1)), huge((2, 2, 2), (4, 2, 1)),
         "cublasGemmStridedBatchedEx"),
    ],
)  # fmt: skip
def test_sizes_beyond_32_bits_have_entry_points_of_their_own(device, monkeypatch, a, b, out, name):
    monkeypatch.setattr(device.library, "answer", 15)
    del device.library.products[:]
    with pytest.raises(DifflabError, match="CUBLAS_STATUS_NOT_SUPPORTED"):
        device.blas.product(a, b, out, stream_pointer=0)
    (call,) = device.library.products
    assert call.name == name
    assert set(call.sizes) <= {a.shape[-2], 3, 2}


def test_each_stream_has_a_workspace_and_it_is_set_after_every_change(device):
    a, b, out = plain((2, 3)), plain((3, 2)), plain((2, 2))
    launch = device.blas.prepared(a, b, out)
    del device.library.products[:]
    for stream in (0, 32, 32, 0, 48):  # the double refuses products on the library's own workspace
        launch(stream)
    assert [call.stream for call in device.library.products] == [0, 32, 32, 0, 48]
    assert len({device.library.workspaces[stream] for stream in (0, 32, 48)}) == 3
    assert device.blas._workspace_bytes == 32 << 20


def test_a_prepared_product_reads_its_arrays_anew_and_keeps_them(device):
    a, b, out = plain((2, 3)), plain((3, 2)), plain((2, 2))
    launch = device.blas.prepared(a, b, out)
    launch(0)
    a.held[...] += 1
    launch(0)
    np.testing.assert_array_equal(out.held, a.held @ b.held)
    assert launch.args[1] == (a, b, out)


def test_a_product_joins_a_capture_where_that_of_cupy_refuses(device):
    a, b, out = plain((2, 3)), plain((3, 2)), on_device(np.zeros((2, 2)))
    stream = device.cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        with pytest.raises(NotImplementedError, match="cuBLAS"):
            device.cupy.matmul(a, b)
        device.blas.product(a, b, out, stream_pointer=stream.ptr)
        assert not out.held.any()
        graph = stream.end_capture()
    a.held[...] += 1
    graph.launch()
    np.testing.assert_array_equal(out.held, a.held @ b.held)


def test_threads_share_the_handle_in_turns(device, monkeypatch):
    del device.library.products[:]
    monkeypatch.setattr(device.library, "pause", 1e-5)  # in which another thread may meddle
    cases = [(plain((8, 9), start=at), plain((9, 8), start=at), plain((8, 8))) for at in range(8)]

    def work(case: Any, stream: int) -> None:
        for _ in range(20):
            device.blas.product(*case, stream_pointer=stream)

    threads = [threading.Thread(target=work, args=(case, 16 * at)) for at, case in enumerate(cases)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b, out in cases:
        np.testing.assert_array_equal(out.held, a.held @ b.held)
    assert Counter(call.stream for call in device.library.products) == {16 * at: 20 for at in range(8)}
    assert device.library.handles == 1


def test_one_handle_a_process_and_device(device):
    assert blas.find_blas() is device.blas
    assert device.library.handles == 1


def test_an_old_cublas_is_named_by_what_it_lacks():
    library = SimpleNamespace()
    xp = SimpleNamespace(cuda=SimpleNamespace(Device=lambda: SimpleNamespace(compute_capability="80")))
    with pytest.raises(UnavailableError, match="cuBLAS has no cublasCreate_v2; install cuBLAS 12"):
        blas.Blas(library, xp)


def test_the_library_is_looked_for_in_the_process_then_by_the_finder_then_by_name(monkeypatch):
    tried: list[tuple[str, bool]] = []

    def open_library(name: str, mode: int = 0) -> str:
        tried.append((name, bool(mode & 4)))  # RTLD_NOLOAD
        if (name, len(tried)) not in allowed:
            raise OSError(f"{name}: cannot open shared object file")
        return name

    finder = SimpleNamespace(load_nvidia_dynamic_lib=lambda name: SimpleNamespace(abs_path="/opt/libcublas.so.13.1"))
    monkeypatch.setattr(ctypes, "CDLL", open_library)
    monkeypatch.setitem(sys.modules, "cuda", SimpleNamespace(pathfinder=finder))
    allowed: Any = {("libcublas.so.12", 2)}
    assert load_library() == "libcublas.so.12"
    assert tried == [("libcublas.so.13", True), ("libcublas.so.12", True)]
    del tried[:]
    allowed = {("/opt/libcublas.so.13.1", 3)}
    assert load_library() == "/opt/libcublas.so.13.1"
    assert tried[-1] == ("/opt/libcublas.so.13.1", False)
    del tried[:]
    allowed = set()
    monkeypatch.setitem(sys.modules, "cuda", None)
    with pytest.raises(UnavailableError, match=r"none of libcublas.so.13, libcublas.so.12 could be loaded"):
        load_library()
    assert [load for _, load in tried] == [True, True, False, False]
