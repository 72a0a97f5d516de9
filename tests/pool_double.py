"""Pools that count, for the stand-in of CuPy: what its arrays hold, hooks that are told, limits, the driver's view."""

from __future__ import annotations

import types
import weakref
from typing import Any, ClassVar

import cupy_double
import numpy as np

UNIT = 512
TOTAL = 1 << 30
CONTEXT = 1 << 26


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


class Pool:
    """The default pool: it counts every array that owns its numbers."""

    def __init__(self, hooks: list[Any]):
        self.hooks, self.used, self.held_back, self.limit = hooks, 0, 0, 0
        self.known: set[int] = set()

    def used_bytes(self) -> int:
        return self.used

    def total_bytes(self) -> int:
        return self.used + self.held_back

    def free_all_blocks(self, stream: Any = None) -> None:
        self.held_back = 0

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        self.limit = int(size if size is not None else (fraction or 0.0) * TOTAL)

    def get_limit(self) -> int:
        return self.limit

    def malloc(self, size: int) -> Any:
        return types.SimpleNamespace(ptr=0, mem=types.SimpleNamespace(size=size))

    def hold(self, array: np.ndarray) -> None:
        """An array on the device is made; it goes back to the pool when nobody holds it any more."""
        if array.base is not None or array.nbytes == 0 or id(array) in self.known:
            return
        size, rounded, at = array.nbytes, -(-array.nbytes // UNIT) * UNIT, array.ctypes.data
        if self.limit and self.used + max(rounded, self.held_back) > self.limit:
            raise OutOfMemoryError(
                f"Out of memory allocating {rounded:,} bytes (allocated so far: {self.used:,} bytes, limit set to: "
                f"{self.limit:,} bytes)."
            )
        self.held_back = max(0, self.held_back - rounded)
        self.used += rounded
        for hook in self.hooks:
            hook.malloc_preprocess(device_id=0, size=size, mem_size=rounded)
            hook.malloc_postprocess(device_id=0, size=size, mem_size=rounded, mem_ptr=at, pmem_id=at)
        self.known.add(id(array))
        weakref.finalize(array, self._give_back, id(array), rounded, at)

    def _give_back(self, known: int, rounded: int, at: int) -> None:
        self.known.discard(known)
        self.used -= rounded
        self.held_back += rounded
        for hook in self.hooks:
            hook.free_preprocess(device_id=0, mem_size=rounded, mem_ptr=at, pmem_id=at)
            hook.free_postprocess(device_id=0, mem_size=rounded, mem_ptr=at, pmem_id=at)


class MemoryHook:
    """Base of what is told of allocations; told of all that it does not listen to as well."""

    name = "MemoryHook"
    registered: ClassVar[list[Any]] = []

    def __enter__(self) -> Any:
        if any(hook.name == self.name for hook in self.registered):
            raise KeyError(f"memory hook {self.name} already exists")
        self.registered.append(self)
        return self

    def __exit__(self, *_: Any) -> None:
        self.registered.remove(self)

    def malloc_preprocess(self, **kwargs: Any) -> None:
        return None

    def malloc_postprocess(self, **kwargs: Any) -> None:
        return None

    def free_preprocess(self, **kwargs: Any) -> None:
        return None

    def free_postprocess(self, **kwargs: Any) -> None:
        return None


def install(patch: Any) -> Any:
    """CuPy's stand-in with pools that count, importable as ``cupy``; ``patch`` is pytest's monkeypatch or like it."""
    cupy = cupy_double.install(patch)
    hooks: list[Any] = []
    hook = type("MemoryHook", (MemoryHook,), {"registered": hooks})
    pool = Pool(hooks)
    cupy.cuda.MemoryHook, cupy.get_default_memory_pool, cupy.POOL = hook, lambda: pool, pool
    cupy.cuda.runtime.memGetInfo = lambda: (TOTAL - CONTEXT - pool.total_bytes(), TOTAL)
    made = cupy_double.ndarray.__init__

    def initialise(self: Any, shape: Any, dtype: Any = float, *, held: np.ndarray | None = None) -> None:
        made(self, shape, dtype, held=held)
        pool.hold(self.held)

    patch.setattr(cupy_double.ndarray, "__init__", initialise)
    return cupy
