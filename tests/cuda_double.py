"""The part of ``cupy.cuda`` that difflab uses, for the stand-in of CuPy: streams, graphs, events, pools, runtime."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import time
import types
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""


class Graph:
    """What was captured: launched as a whole."""

    def __init__(self, actions: list[Any], state: Any):
        self.actions = actions
        self.state = state
        self.launched = 0
        self.uploaded = 0
        self.graph = 0  # the handle; a number once the driver's double knows the graph
        if state.driver is not None:
            self.graph = state.driver.add(actions)

    def launch(self, stream: Any = None) -> None:
        self.state.refuse_capture("a graph is launched while a stream is capturing")
        self.launched += 1
        (stream or current_stream()).work("graph")
        for action in self.actions:
            action()

    def upload(self, stream: Any = None) -> None:
        self.state.refuse_capture("a graph is uploaded while a stream is capturing")
        self.uploaded += 1


LOCAL = threading.local()  # of each thread: the streams that it entered
NUMBERS = itertools.count(16, 16)


class Stream:
    """A stream in which everything runs at once; it knows what is certain to be done before its next work.

    ``state.order`` holds (kind, stream, number of the work, numbers of the work that is certain to be done before).
    """

    state: Any = None

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: Any = None):
        self.null = null
        self.non_blocking = non_blocking
        self.ptr = 0 if null else 2 if ptds else next(NUMBERS)
        self.device_id = 0
        self.before: set[int] = set()

    def work(self, kind: str) -> None:
        number = len(self.state.order)
        self.state.order.append((kind, self, number, frozenset(self.before)))
        self.before.add(number)

    def __enter__(self) -> Stream:
        LOCAL.__dict__.setdefault("streams", []).append(self)
        return self

    def __exit__(self, *args: Any) -> None:
        LOCAL.streams.pop()

    def use(self) -> Stream:
        LOCAL.__dict__.setdefault("streams", [])[-1:] = [self]
        return self

    def begin_capture(self, mode: Any = None) -> None:
        if self.null:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported: the null stream cannot be captured")
        if self.state.capturing is not None:
            raise CUDARuntimeError("cudaErrorIllegalState: a stream is capturing already")
        self.state.capturing, self.state.capturing_stream, self.state.invalid = [], self, False

    def end_capture(self) -> Graph:
        if self.state.capturing is None or self.state.capturing_stream is not self:
            raise CUDARuntimeError("cudaErrorIllegalState: the stream is not capturing")
        actions, self.state.capturing = self.state.capturing, None
        if self.state.invalid:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated: operation failed due to a previous error")
        return Graph(actions, self.state)

    def is_capturing(self) -> bool:
        return self.state.capturing is not None and self.state.capturing_stream is self

    def synchronize(self) -> None:
        self.state.refuse_capture("cudaErrorStreamCaptureUnsupported: synchronisation while capturing")

    def wait_event(self, event: Any) -> None:
        self.before |= event.before
        self.state.events["wait"] += 1

    def record(self, event: Any = None) -> Any:
        event = event or Event()
        event.record(self)
        return event


def current_stream() -> Stream:
    streams = LOCAL.__dict__.get("streams")
    return streams[-1] if streams else Stream.null  # type: ignore[attr-defined] (a class attribute in CuPy)


class Event:
    """A mark in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False):
        self.at = float("nan")
        self.timed = not disable_timing
        self.before: set[int] = set()

    def record(self, stream: Any = None) -> None:
        self.at = time.perf_counter()
        self.before = set((stream or current_stream()).before)
        Stream.state.events["record"] += 1

    def synchronize(self) -> None:
        Stream.state.refuse_capture("cudaErrorStreamCaptureUnsupported: synchronisation while capturing")


def elapsed(start: Event, end: Event) -> float:
    if not (start.timed and end.timed):
        raise CUDARuntimeError("cudaErrorInvalidResourceHandle: an event without timing")
    return 1e3 * (end.at - start.at)


class Memory:
    """Memory that no pool holds."""

    def __init__(self, size: int):
        self.held = np.empty(size + 256, np.uint8)
        self.ptr = self.held.ctypes.data + -self.held.ctypes.data % 256
        self.size = size


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
    LOCAL.__dict__.setdefault("allocators", []).append(allocator)
    try:
        yield
    finally:
        LOCAL.allocators.pop()


def allocator(pool: MemoryPool) -> Any:
    allocators = LOCAL.__dict__.get("allocators")
    return allocators[-1] if allocators else pool.malloc


def watch(state: Any) -> None:
    """Let the state know which stream works, and that a refusal of CUDA's invalidates the capture."""
    refuse, launch = (functools.partial(getattr(type(state), name), state) for name in ("refuse_capture", "launch"))

    def refuse_capture(why: str, error: type[Exception] | None = None) -> None:
        state.invalid = state.invalid or error in (None, CUDARuntimeError)
        refuse(why, error)

    def launched(action: Any) -> None:
        if state.capturing is None:
            current_stream().work("kernel")
        launch(action)

    state.refuse_capture, state.launch = refuse_capture, launched


class PooledPinnedMemory:
    """Pinned memory, which knows its pool as long as there is one."""

    def __init__(self, pool: Any):
        self.pool = weakref.ref(pool)


class PinnedMemoryPool:
    """A pool of memory for uploads that counts."""

    def __init__(self) -> None:
        self.allocations = 0

    def malloc(self, size: int) -> Any:
        self.allocations += 1
        return types.SimpleNamespace(mem=PooledPinnedMemory(self), ptr=0)


class Pinned:
    """Where pinned memory comes from: one allocator for all threads."""

    def __init__(self) -> None:
        self.pool = PinnedMemoryPool()
        self.allocator = self.pool.malloc

    def use(self, allocator: Any = None) -> None:
        self.allocator = allocator or (lambda size: types.SimpleNamespace(mem=object(), ptr=0))


PROPERTIES = {
    "name": b"Stand-in", "totalGlobalMem": 1 << 30, "multiProcessorCount": 4, "l2CacheSize": 1 << 22, "major": 9,
    "minor": 0, "ECCEnabled": 1, "clockRate": 1_000_000, "memoryClockRate": 1_000_000, "memoryBusWidth": 1024,
    "sharedMemPerBlock": 49152, "maxThreadsPerBlock": 1024, "warpSize": 32, "pciBusID": 1, "pciDeviceID": 0,
    "pciDomainID": 0, "uuid": b"0123456789abcdef",
}  # fmt: skip


def install(cuda: Any, cupy: Any, state: Any) -> None:
    """Fill ``cupy.cuda``."""
    state.hooks, state.order, state.events = [], [], Counter()
    state.invalid, state.capturing_stream, state.driver = False, None, None
    LOCAL.__dict__.clear()
    watch(state)
    state.runtime_error = CUDARuntimeError
    Stream.state = state
    pool = MemoryPool()
    cuda.Stream, cuda.Event, cuda.MemoryPool, cuda.MemoryHook, cuda.Graph = Stream, Event, MemoryPool, MemoryHook, Graph
    cuda.Memory = Memory
    Stream.null = Stream(null=True)  # type: ignore[attr-defined] (a class attribute in CuPy)
    cuda.get_current_stream = current_stream
    cuda.get_elapsed_time = elapsed
    cuda.using_allocator = using_allocator
    cuda.get_allocator = lambda: allocator(pool)
    cuda.Device = lambda *args: types.SimpleNamespace(
        id=0,
        synchronize=Stream.null.synchronize,  # type: ignore[attr-defined] (as above)
        compute_capability="90",
        mem_info=(1 << 29, 1 << 30),
    )
    pinned = Pinned()
    cuda.alloc_pinned_memory, cuda.set_pinned_memory_allocator = lambda size: pinned.allocator(size), pinned.use
    cuda.pinned_memory = types.SimpleNamespace(PooledPinnedMemory=PooledPinnedMemory)
    cupy.get_default_pinned_memory_pool = lambda: pinned.pool
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
