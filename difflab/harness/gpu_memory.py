"""Memory of a GPU: the peak of CuPy's pool from a hook, what other libraries count, the driver's view, and limits.

CuPy takes memory from the driver in large pieces and hands out parts of them, so the driver sees pieces only.  A hook
of CuPy is told of every part, with its size rounded up to 512 bytes; PyTorch and JAX have allocators of their own,
which keep count themselves.  All of them are looked at, because a backend may use any: the sum of their growth is
``peak_bytes`` of a case on a GPU.  ``driver_bytes`` is by how much free memory shrank: with the context's own, with
workspaces of libraries and compiled code.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

LIMIT_VARIABLE = "CUPY_GPU_MEMORY_LIMIT"
SIGNS = (
    "cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY", "CUDA out of memory", "RESOURCE_EXHAUSTED",
    "CUBLAS_STATUS_ALLOC_FAILED", "CUSOLVER_STATUS_ALLOC_FAILED", "CUFFT_ALLOC_FAILED", "NVRTC_ERROR_OUT_OF_MEMORY",
)  # fmt: skip
"""How errors of CUDA and its libraries say that the device has no memory left."""
MECHANISM = "gpu_oom"


def out_of_memory(fault: BaseException) -> bool:
    """Whether an exception says that a device has run out of memory; a plain ``MemoryError`` is the host's.

    >>> out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")), out_of_memory(MemoryError())
    (True, False)
    """
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(fault).__mro__):  # CuPy's and PyTorch's
        return True
    try:
        text = str(fault)
    except BaseException:  # a user's exception may fail to print itself, and in any way
        return False
    return any(sign in text for sign in SIGNS)


# ------------------------------------------------------------------------------------------------ limits


def limit(cupy: Any, nbytes: int | None, modules: Mapping[str, Any] = sys.modules) -> str | None:
    """Limit what allocators of this process may take from the device on top of what they hold.

    Args:
        cupy: the module.
        nbytes: what the case may take; ``None`` for no limit.
        modules: what is imported: the limit of PyTorch is set where it is.

    Returns:
        The mechanisms, as ``pool limit``, or ``None``.
    """
    if nbytes is None:
        return None
    pool = cupy.get_default_memory_pool()
    pool.free_all_blocks()  # what nobody uses would be the case's for nothing
    pool.set_limit(size=pool.total_bytes() + nbytes)
    os.environ[LIMIT_VARIABLE] = str(nbytes)  # a pool that is made later takes its limit from here
    enforced = ["pool limit"]
    torch = modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + nbytes) / total))
        enforced.append("PyTorch's fraction")
    return " + ".join(enforced)


def variables(nbytes: int | None, total: int | None) -> dict[str, str]:
    """What the environment of a worker on a GPU says of memory: JAX must take no more than it needs, nor than it may.

    Args:
        nbytes: what a case may take.
        total: the memory of the device; ``None`` where unknown.

    >>> variables(2**30, 2**32)
    {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false', 'XLA_PYTHON_CLIENT_MEM_FRACTION': '0.2500'}
    """
    found = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if nbytes is not None and total:
        found["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{min(0.95, max(0.0001, nbytes / total)):.4f}"
    return found


# ------------------------------------------------------------------------------------------------ counting


class Meter:
    """Bytes of the device that calls of this process take, each above what was held when the meter was made or reset.

    Args:
        cupy: the module.
        modules: what is imported: PyTorch and JAX are asked where they are.
        trim: give pieces that nobody uses back to the driver first; not before a clock runs, for they are taken again.
    """

    def __init__(self, cupy: Any, modules: Mapping[str, Any] = sys.modules, *, trim: bool = True) -> None:
        self._cupy, self._modules = cupy, modules
        self._hook = _make_hook(cupy)
        self.reset(trim=trim)

    def reset(self, *, trim: bool = True) -> None:
        """What is held now counts no longer."""
        if trim:
            gc.collect()
            self._cupy.get_default_memory_pool().free_all_blocks()  # they would hide later growth from the driver
        self._before = self._held()
        self._driver = self._free()
        self._unpooled = 0

    def peak_during(self, call: Callable[[], Any]) -> tuple[int, Any]:
        """Run ``call`` once.

        Args:
            call: takes nothing.

        Returns:
            The most bytes that were held meanwhile above those at the reset, and the call's result.
        """
        held = self._held()
        inside, torch, result = self._watched(call)
        grown = max(0, held.cupy + self._unpooled - self._before.cupy) + inside.peak
        self._unpooled += max(0, inside.current - (self._held().cupy - held.cupy))  # kept in a pool of somebody's own
        if torch is not None:
            grown += max(0, torch.cuda.max_memory_allocated() - self._before.torch)
        grown += max(0, _jax(self._modules, "peak_bytes_in_use") - self._before.jax)
        return grown, result

    def _watched(self, call: Callable[[], Any]) -> tuple[Any, Any, Any]:
        """The hook that saw a call until the device was at rest, PyTorch if it is there, and the call's result."""
        torch = self._torch()
        if torch is not None:
            torch.cuda.reset_peak_memory_stats()
        inside = self._hook()
        with inside:
            result = call()
            self._cupy.cuda.runtime.deviceSynchronize()
        return inside, torch, result

    def asked_during(self, call: Callable[[], Any]) -> int:
        """Bytes of the arrays that one call makes, at most at one time, as they were asked for.

        Args:
            call: takes nothing; it has been called before.
        """
        before = self._held()
        inside, torch, _ = self._watched(call)
        return inside.asked + (0 if torch is None else max(0, torch.cuda.max_memory_allocated() - before.torch))

    def driver(self) -> int | None:
        """By how much the device's free memory has shrunk since the reset; ``None`` where the driver does not say."""
        now = self._free()
        return None if now is None or self._driver is None else max(0, self._driver - now)

    def _held(self) -> Held:
        torch = self._torch()
        own = int(self._cupy.get_default_memory_pool().used_bytes())
        others = 0 if torch is None else int(torch.cuda.memory_allocated())
        return Held(own, others, _jax(self._modules, "bytes_in_use"))

    def _free(self) -> int | None:
        try:
            return int(self._cupy.cuda.runtime.memGetInfo()[0])
        except self._cupy.cuda.runtime.CUDARuntimeError:
            return None

    def _torch(self) -> Any:
        torch = self._modules.get("torch")
        return torch if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized() else None


@dataclass(frozen=True)
class Held:
    """Bytes that each allocator has given out."""

    cupy: int
    torch: int
    jax: int


def _jax(modules: Mapping[str, Any], key: str) -> int:
    """What JAX says of its memory on the first GPU, if it runs on one; its peak cannot be reset."""
    jax = modules.get("jax")
    if jax is None or jax.default_backend() == "cpu":
        return 0
    return int((jax.local_devices()[0].memory_stats() or {}).get(key, 0))


def _make_hook(cupy: Any) -> Callable[[], Any]:
    """The class of a hook that counts; made here, for its base is CuPy's."""

    class Hook(cupy.cuda.MemoryHook):
        """Bytes given out by pools since it was entered: ``current``, ``peak``, and ``asked``, the peak unrounded."""

        name = "difflab peak"

        def __init__(self) -> None:
            self.current = self.peak = self.asked = 0
            self._asking = 0
            self._sizes: dict[int, int] = {}

        def malloc_postprocess(self, *, size: int, mem_size: int, mem_ptr: int, **_: Any) -> None:
            """A pool has given something out; at address 0 it has failed."""
            if mem_ptr:
                self._sizes[mem_ptr] = size
                self.current += mem_size
                self._asking += size
                self.peak, self.asked = max(self.peak, self.current), max(self.asked, self._asking)

        def free_postprocess(self, *, mem_size: int, mem_ptr: int, **_: Any) -> None:
            """Something goes back; what was given out before the hook was entered is somebody else's to count."""
            if mem_ptr in self._sizes:
                self.current -= mem_size
                self._asking -= self._sizes.pop(mem_ptr)

    return Hook
