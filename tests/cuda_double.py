"""The part of ``cupy.cuda`` that difflab uses, for the stand-in of CuPy: streams, graphs, events, pools, the runtime."""

from __future__ import annotations

import contextlib
import time
import types
from collections.abc import Iterator
from typing import Any


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""


class Graph:
    """What was captured: launched as a whole."""

    def __init__(self, actions: list[Any], state: Any):
        self.actions = actions
        self.state = state
        self.launched = 0

    def launch(self, stream: Any = None) -> None:
        self.state.refuse_capture("a graph is launched while a stream is capturing")
        self.launched += 1
        for action in self.actions:
            action()

    def upload(self, stream: Any = None) -> None:
        self.state.refuse_capture("a graph is uploaded while a stream is capturing")


class Stream:
    """A stream in which everything runs at once."""

    state: Any = None
    ptr = 7

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None):
        self.null = null

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *args: Any) -> None:
        return None

    def begin_capture(self, mode: Any = None) -> None:
        if self.null:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: the null stream cannot be captured")
        self.state.capturing = []

    def end_capture(self) -> Graph:
        actions, self.state.capturing = self.state.capturing, None
        if actions is None:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is not capturing")
        return Graph(actions, self.state)

    def is_capturing(self) -> bool:
        return self.state.capturing is not None

    def synchronize(self) -> None:
        self.state.refuse_capture("cudaErrorStreamCaptureUnsupported: synchronisation while capturing")

    def wait_event(self, event: Any) -> None:
        return None

    def record(self, event: Any = None) -> Any:
        return event or Event()


class Event:
    """A mark in a stream."""

    def __init__(self, *args: Any, **kwargs: Any):
        self.at = float("nan")

    def record(self, stream: Any = None) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        Stream.state.refuse_capture("cudaErrorStreamCaptureUnsupported: synchronisation while capturing")


class MemoryHook:
    """Base of what is told of allocations."""

    def __enter__(self) -> Any:
        Stream.state.hooks.append(self)
        return self

    def __exit__(self, *args: Any) -> None:
        Stream.state.hooks.remove(self)


class MemoryPool:
    """A pool that counts."""

    def __init__(self, allocator: Any = None):
        self.limit = 0

    def malloc(self, size: int) -> Any:
        return types.SimpleNamespace(size=size)

    def used_bytes(self) -> int:
        return 0

    def total_bytes(self) -> int:
        return 0

    def free_all_blocks(self, stream: Any = None) -> None:
        return None


@contextlib.contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    yield


PROPERTIES = {
    "name": b"Stand-in", "totalGlobalMem": 1 << 30, "multiProcessorCount": 4, "l2CacheSize": 1 << 22, "major": 9,
    "minor": 0, "ECCEnabled": 1, "clockRate": 1_000_000, "memoryClockRate": 1_000_000, "memoryBusWidth": 1024,
    "sharedMemPerBlock": 49152, "maxThreadsPerBlock": 1024, "warpSize": 32, "pciBusID": 1, "pciDeviceID": 0,
    "pciDomainID": 0, "uuid": b"0123456789abcdef",
}  # fmt: skip


def install(cuda: Any, cupy: Any, state: Any) -> None:
    """Fill ``cupy.cuda``."""
    state.hooks = []
    state.runtime_error = CUDARuntimeError
    Stream.state = state
    pool = MemoryPool()
    cuda.Stream, cuda.Event, cuda.MemoryPool, cuda.MemoryHook, cuda.Graph = Stream, Event, MemoryPool, MemoryHook, Graph
    Stream.null = Stream(null=True)  # type: ignore[attr-defined] (a class attribute in CuPy)
    cuda.get_current_stream = lambda: Stream.null  # type: ignore[attr-defined] (as above)
    cuda.get_elapsed_time = lambda start, end: 1e3 * (end.at - start.at)
    cuda.using_allocator = using_allocator
    cuda.get_allocator = lambda: pool.malloc
    cuda.Device = lambda *args: types.SimpleNamespace(
        id=0, synchronize=Stream.null.synchronize, compute_capability="90", mem_info=(1 << 29, 1 << 30)  # type: ignore[attr-defined] (as above)
    )
    cuda.runtime = types.SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError,
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        getDeviceProperties=lambda device: dict(PROPERTIES),
        memGetInfo=lambda: (1 << 29, 1 << 30),
        runtimeGetVersion=lambda: 13000,
        driverGetVersion=lambda: 13000,
        deviceSynchronize=lambda: state.refuse_capture("cudaErrorStreamCaptureUnsupported"),
        is_hip=False,
    )
    cupy.get_default_memory_pool = lambda: pool
