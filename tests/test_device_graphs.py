"""Steps captured into a graph and replayed: what runs when, in which order, and what happens where a capture fails."""

from __future__ import annotations

import contextlib
import gc
import threading
from typing import Any

import cublas_double
import cuda_double
import cupy_double
import driver_double
import numpy as np
import pytest

from difflab.arrays import to_host
from difflab.execution.device import nodes
from difflab.execution.device.blas import find_blas
from difflab.execution.device.graphs import Replay, find_lane


@pytest.fixture
def cupy(monkeypatch):
    return cupy_double.install(monkeypatch)


class Network:
    """A small program on fixed buffers: a product, a chain and a sum, each step by name."""

    def __init__(self, cupy: Any, **options: Any):
        self.cupy = cupy
        with find_lane():
            self.weights = cupy.asarray(np.arange(6.0).reshape(2, 3) / 7)
        self.x, self.y = cupy.zeros(3), cupy.zeros(2)
        self.loss = cupy.zeros(())
        self.calls = 0
        product = find_blas().prepared(self.weights, self.x, self.y)

        def multiply() -> None:
            product(cupy.cuda.get_current_stream().ptr)
            self.calls += 1

        self.steps = [multiply, lambda: cupy.tanh(self.y, out=self.y), lambda: cupy.sum(self.y, out=self.loss)]
        self.replay = Replay(self.steps, names=["matmul", "tanh", "sum"], **options)

    def __call__(self, x: Any) -> Any:
        with self.replay.lane:
            self.cupy.copyto(self.x, x)
            self.replay.run()
            return self.loss.copy()


@pytest.fixture
def network(cupy, monkeypatch):
    cublas_double.install(monkeypatch, cupy)
    return Network(cupy)


def run(replay: Replay, times: int) -> None:
    for _ in range(times):
        replay.run()


def points(cupy: Any, number: int) -> list[Any]:
    return [cupy.asarray(np.random.default_rng(at).normal(size=3)) for at in range(number)]


def expected(x: Any) -> float:
    return np.tanh(np.arange(6.0).reshape(2, 3) / 7 @ x.held).sum()


def test_the_first_run_is_plain_the_second_captures_and_the_rest_are_launches(cupy, network):
    xs = points(cupy, 5)
    values = [network(xs[0])]
    assert not network.replay.captured
    assert network.replay.reason is None
    assert network.replay.launches == 0
    values += [network(x) for x in xs[1:]]
    assert network.replay.captured
    assert network.replay.launches == 4
    assert network.calls == 2  # once by itself, once into the capture
    np.testing.assert_allclose([to_host(value) for value in values], [expected(x) for x in xs], rtol=1e-15)


def test_a_replay_copies_nothing_between_host_and_device(cupy, network):
    xs = points(cupy, 4)
    network(xs[0])
    cupy.STATE.copies.clear()
    results = [network(x) for x in xs[1:]]
    assert not cupy.STATE.copies
    assert float(to_host(results[-1])) == pytest.approx(expected(xs[-1]))


def test_a_reason_given_keeps_the_steps_uncaptured(cupy, monkeypatch):
    cublas_double.install(monkeypatch, cupy)
    network = Network(cupy, reason="a guard asks the host for its value")
    for x in points(cupy, 4):
        assert float(to_host(network(x))) == pytest.approx(expected(x))
    assert not network.replay.captured
    assert network.calls == 4
    assert network.replay.reason == "a guard asks the host for its value"


REFUSALS = {
    "cublas": (lambda cupy, x: cupy.matmul(x, x), "NotImplementedError: calling cuBLAS API"),  # in CuPy's words
    "synchronised": (lambda cupy, x: cupy.cuda.get_current_stream().synchronize(),
                     "CUDARuntimeError: cudaErrorStreamCaptureUnsupported"),
    "a value": (lambda cupy, x: float(x.sum()), "CUDARuntimeError: cudaErrorStreamCaptureUnsupported"),
    "uploaded": (lambda cupy, x: cupy.asarray(np.ones(3)), "CUDARuntimeError: cudaErrorStreamCaptureUnsupported"),
}  # fmt: skip


@pytest.mark.parametrize("refused", REFUSALS)
@pytest.mark.parametrize("named", [True, False])
def test_a_step_that_cannot_be_captured_is_named_and_the_steps_run_on(cupy, refused, named):
    work, why = REFUSALS[refused]
    x, y = cupy.ones(3), cupy.zeros(3)
    ran: list[int] = []

    def step() -> None:
        ran.append(len(ran))
        work(cupy, x)

    steps = [lambda: cupy.add(x, x, out=y), step, lambda: cupy.add(y, x, out=y)]
    replay = Replay(steps, names=["add", refused, "add"] if named else None)
    for _ in range(4):
        y.fill(0)
        replay.run()
        np.testing.assert_array_equal(y.held, 3 * x.held)
    label = f" ({refused})" if named else ""
    assert replay.reason is not None
    assert replay.reason.startswith(f"step 2 of 3{label} cannot be captured: {why}")
    assert not replay.captured
    assert len(ran) == 5
    assert replay.launches == 0
    stream = replay.lane.capturing_stream()
    assert not stream.is_capturing()
    assert cupy.STATE.capturing is None
    stream.synchronize()
    other = Replay([lambda: cupy.add(x, x, out=y)])
    run(other, 2)
    assert other.captured


def test_a_capture_that_only_its_end_refuses_has_a_reason_too(cupy):
    def swallow() -> None:
        with contextlib.suppress(RuntimeError):
            cupy.cuda.get_current_stream().synchronize()

    replay = Replay([swallow])
    run(replay, 2)
    assert replay.reason == (
        "the graph of 1 steps could not be made: CUDARuntimeError: cudaErrorStreamCaptureInvalidated: operation failed "
        "due to a previous error"
    )


def test_an_interrupt_ends_the_capture_and_is_no_reason(cupy):
    pressed = [False, True, False, False]

    def step() -> None:
        if pressed.pop(0):
            raise KeyboardInterrupt

    replay = Replay([step])
    replay.run()
    with pytest.raises(KeyboardInterrupt):
        replay.run()
    assert cupy.STATE.capturing is None
    assert replay.reason is None
    replay.run()
    assert replay.captured


def test_a_stream_that_stays_in_the_capture_is_not_used_again(cupy, monkeypatch):
    def refuse(self: Any) -> None:
        raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorStreamCaptureUnjoined")

    replay = Replay([lambda: None])
    replay.run()
    old = replay.lane.capturing_stream()
    with monkeypatch.context() as patch:
        patch.setattr(cuda_double.Stream, "end_capture", refuse)
        replay.run()
    assert "cudaErrorStreamCaptureUnjoined" in str(replay.reason)
    assert old.is_capturing()
    assert replay.lane.capturing_stream() is not old
    old.end_capture()
    monkeypatch.setattr(cuda_double.Stream, "is_capturing", refuse)
    replay = Replay([lambda: cupy.cuda.get_current_stream().synchronize()])
    old = replay.lane.capturing_stream()
    run(replay, 2)
    assert replay.lane.capturing_stream() is not old


def test_an_error_of_a_plain_run_is_the_callers(cupy):
    def fail() -> None:
        raise ValueError("a fault of the step itself")

    replay = Replay([fail])
    for _ in range(2):
        with pytest.raises(ValueError, match="a fault of the step itself"):
            replay.run()
    assert replay.reason is None
    assert replay.lane.depth == 0


def test_steps_allocate_from_the_pool_of_the_replay_only_while_captured(cupy):
    seen: list[Any] = []
    replay = Replay([lambda: seen.append(cupy.cuda.get_allocator())])
    before = cupy.cuda.get_allocator()
    run(replay, 3)
    assert seen == [before, replay.pool.malloc]
    assert cupy.cuda.get_allocator() == before
    assert replay.pool is not Replay([]).pool


def test_what_is_left_in_the_pool_of_a_replay_is_freed_with_it(cupy, monkeypatch):
    emptied: list[Any] = []
    monkeypatch.setattr(cupy.cuda.MemoryPool, "free_all_blocks", lambda pool, stream=None: emptied.append(pool))
    replay = Replay([lambda: None])
    run(replay, 3)
    pool = replay.pool
    assert emptied == []
    del replay
    gc.collect()
    assert emptied == [pool]


def test_the_capture_has_a_non_blocking_stream_and_the_launch_that_of_the_caller(cupy):
    streams: list[Any] = []
    replay = Replay([lambda: streams.append(cupy.cuda.get_current_stream())])
    mine = cupy.cuda.Stream()
    with mine:
        for _ in range(3):
            replay.run()
    assert streams[0] is mine
    assert streams[1] is replay.lane.capturing_stream()
    assert streams[1].non_blocking
    assert [stream for kind, stream, _, _ in cupy.STATE.order if kind == "graph"] == [mine, mine]


def in_order(cupy: Any) -> bool:
    """Whether each piece of work is certain to follow all earlier ones."""
    return all(set(range(number)) <= before for _, _, number, before in cupy.STATE.order)


def test_turns_on_different_streams_follow_each_other(cupy, network):
    null, *others = cupy.cuda.Stream.null, *(cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    path = [null, others[0], others[1], null, others[1], others[1], others[0], null, null]
    other = Replay([lambda: cupy.add(network.x, network.x, out=network.x)])
    for stream, x in zip(path, points(cupy, len(path)), strict=True):
        with stream:
            value = network(x)
            other.run()
        assert float(value.held) == pytest.approx(expected(x))
    assert in_order(cupy)
    assert {stream for _, stream, _, _ in cupy.STATE.order} == {null, *others}


def test_one_stream_needs_no_event_where_it_is_the_default_one(cupy, network):
    for x in points(cupy, 6):
        network(x)
    assert not cupy.STATE.events
    assert in_order(cupy)


def test_default_streams_of_threads_share_a_handle_and_are_told_apart(cupy):
    replay = Replay([lambda: cupy.add(x, x, out=x)])
    x = cupy.ones(3)
    del cupy.STATE.order[:]

    def run() -> None:
        with cupy.cuda.Stream(ptds=True):
            replay.run()

    for _ in range(4):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert len(cupy.STATE.order) == 4
    assert in_order(cupy)


def test_threads_take_turns(cupy, network):
    xs = points(cupy, 24)
    values: dict[int, float] = {}

    def work(first: int) -> None:
        with cupy.cuda.Stream(non_blocking=True):
            for at in range(first, len(xs), 4):
                values[at] = float(network(xs[at]).held)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == pytest.approx({at: expected(x) for at, x in enumerate(xs)})
    assert network.replay.launches == 23
    assert in_order(cupy)


def test_a_turn_that_fails_leaves_the_lane_to_others(cupy, monkeypatch):
    lane = find_lane()
    with pytest.raises(ValueError, match="inside"), lane:
        raise ValueError("inside")
    with monkeypatch.context() as patch:
        patch.setattr(cupy.cuda, "get_current_stream", None)
        with pytest.raises(TypeError):
            lane.__enter__()
    taken = threading.Thread(target=lambda: lane.__enter__().__exit__(), daemon=True)
    taken.start()
    taken.join(10)
    assert not taken.is_alive()
    assert lane.depth == 0
    assert find_lane() is lane


def copied(cupy: Any, *node: int) -> Any:
    """A step that copies, as the driver sees it."""

    def action() -> None:
        return None

    action.node = node
    return lambda: cupy.STATE.launch(action)


def test_the_nodes_of_a_graph_are_counted_by_kind(cupy, monkeypatch):
    driver = driver_double.install(monkeypatch, cupy)
    x = cupy.ones(3)
    steps = [lambda: cupy.add(x, x, out=x), copied(cupy, 1, driver.DEVICE, driver.DEVICE), copied(cupy, 2),
             copied(cupy, 1, driver.UNIFIED, driver.DEVICE, 4096), copied(cupy, 14)]  # fmt: skip
    replay = Replay(steps)
    run(replay, 2)
    assert replay.nodes == {"kernel": 1, "device to device": 2, "memset": 1, "kind 14": 1}
    assert replay.captured


@pytest.mark.parametrize(
    ("node", "what"),
    [
        ((1, 1, 2), "host to device"),
        ((1, 2, 1), "device to host"),
        ((1, 4, 2, driver_double.Driver.PINNED), "host to device"),
        ((1, 4, 2, driver_double.Driver.PAGEABLE), "host to device"),
        ((3,), "host"),
    ],
)
def test_a_graph_in_which_the_host_takes_part_is_thrown_away(cupy, monkeypatch, node, what):
    driver_double.install(monkeypatch, cupy)
    replay = Replay([copied(cupy, *node)])
    for _ in range(3):
        replay.run()
    assert replay.reason == f"the captured graph holds what only the host can repeat ({what})"
    assert not replay.captured
    assert replay.launches == 0


def test_a_driver_that_does_not_answer_leaves_the_nodes_unknown(cupy, monkeypatch):
    driver = driver_double.install(monkeypatch, cupy)
    driver.answer = 1
    replay = Replay([lambda: cupy.STATE.launch(lambda: None)])
    run(replay, 2)
    assert replay.captured
    assert replay.nodes is None
    monkeypatch.setattr(nodes, "load_driver", lambda: None)
    assert nodes.count_nodes(1) is None


def test_uploads_are_refused_before_anything_is_enqueued_and_other_threads_may_go_on(cupy):
    pool = cupy.get_default_pinned_memory_pool()
    served: list[Any] = []

    def upload() -> None:
        served.append(cupy.cuda.alloc_pinned_memory(8))

    def upload_elsewhere() -> None:
        thread = threading.Thread(target=upload)
        thread.start()
        thread.join()

    replay = Replay([upload_elsewhere, upload], names=["other", "take"])
    run(replay, 2)
    assert replay.reason == "step 2 of 2 (take) cannot be captured: RuntimeError: it copies an array from the host"
    assert len(served) == 2 + 1 + 2  # all of the first run, the thread's of the capture, all of the run after it
    upload()
    assert len(served) == 6
    assert pool.allocations == 6 + 1


def test_an_allocator_of_the_users_stays(cupy):
    cupy.cuda.set_pinned_memory_allocator(None)
    replay = Replay([lambda: cupy.cuda.alloc_pinned_memory(8)])
    run(replay, 2)
    assert replay.captured
    assert not cupy.get_default_pinned_memory_pool().allocations
