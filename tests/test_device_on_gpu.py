"""What only a GPU can tell of products and graphs: cuBLAS itself, captures by CUDA, and what the driver counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from test_device_blas import products

from difflab.arrays import import_cupy
from difflab.execution.device.blas import find_blas, takes
from difflab.execution.device.graphs import Replay

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def cupy() -> Any:
    return import_cupy()


def on_device(cupy: Any, view: np.ndarray) -> Any:
    """The same view of the same memory, on the device."""
    root = view
    while root.base is not None:
        root = root.base
    if not view.size:
        return cupy.empty(view.shape, view.dtype)
    offset = view.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return cupy.ndarray(view.shape, view.dtype, cupy.asarray(root).data + offset, view.strides)


@given(products())
def test_cublas_multiplies_every_layout_that_is_taken(cupy, case):
    arrays = [on_device(cupy, array) for array in case]
    if not takes(*arrays):
        arrays = [cupy.ascontiguousarray(array).reshape(array.shape) for array in arrays]
    find_blas().product(*arrays, stream_pointer=cupy.cuda.get_current_stream().ptr)
    np.testing.assert_array_equal(arrays[2].get(), np.matmul(case[0], case[1]))


def small_program(cupy: Any) -> tuple[Any, Any, Any, Replay]:
    random = np.random.default_rng(0)
    weights, x = cupy.asarray(random.normal(size=(64, 48))), cupy.asarray(random.normal(size=(48, 32)))
    hidden, loss = cupy.empty((64, 32)), cupy.empty(())
    launch, current = find_blas().prepared(weights, x, hidden), cupy.cuda.get_current_stream
    steps = [
        lambda: launch(current().ptr),
        lambda: cupy.tanh(hidden, out=hidden),
        lambda: cupy.multiply(hidden, hidden + 1.0, out=hidden),
        lambda: cupy.sum(hidden, out=loss),
    ]
    return weights, x, loss, Replay(steps, names=["matmul", "tanh", "multiply", "sum"])


def expected(weights: Any, x: np.ndarray) -> float:
    hidden = np.tanh(weights.get() @ x)
    return float((hidden * (hidden + 1.0)).sum())


def test_a_captured_program_gives_the_same_on_any_stream_and_asks_nothing_of_the_host(cupy):
    weights, x, loss, replay = small_program(cupy)
    streams = [cupy.cuda.Stream.null, cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream()]
    for at in range(12):
        point = np.random.default_rng(at).normal(size=x.shape)
        with streams[at % 3 if at > 3 else 0]:
            given = cupy.asarray(point)
            with replay.lane:
                cupy.copyto(x, given)
                replay.run()
                value = loss.copy()
            assert float(value.get()) == pytest.approx(expected(weights, point), rel=1e-12)
    assert replay.reason is None
    assert replay.launches == 11
    assert replay.nodes is not None
    assert replay.nodes["kernel"] >= 4
    assert not {"host to device", "device to host", "host"} & set(replay.nodes)


def test_replays_are_bitwise_equal(cupy):
    *_, loss, replay = small_program(cupy)
    values = []
    for _ in range(20):
        replay.run()
        values.append(loss.copy())
    assert len({value.get().tobytes() for value in values[1:]}) == 1


@pytest.mark.parametrize("refused", ["a value", "cublas", "synchronised", "uploaded"])
def test_what_cannot_be_captured_runs_step_by_step_and_the_next_program_is_captured(cupy, refused):
    x, total = cupy.ones((8, 8)), cupy.zeros((8, 8))
    work = {
        "a value": lambda: float(x.sum()),
        "cublas": lambda: cupy.matmul(x, x),
        "synchronised": lambda: cupy.cuda.get_current_stream().synchronize(),
        "uploaded": lambda: cupy.asarray(np.arange(3.0)),
    }[refused]
    replay = Replay([lambda: cupy.add(x, x, out=total), work, lambda: cupy.add(total, x, out=total)])
    for _ in range(4):
        total.fill(0)
        replay.run()
        assert float(total.sum()) == 3 * 64
    assert not replay.captured
    assert str(replay.reason).startswith("step 2 of 3 cannot be captured: ")
    *_, other = small_program(cupy)
    other.run()
    other.run()
    assert other.captured
