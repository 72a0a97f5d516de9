"""A guard against copies from the host while kernels are captured into a CUDA graph: CuPy refuses not all of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def uploads_refused(xp: Any) -> Iterator[None]:
    """Let uploads of this thread raise ``RuntimeError`` for the time being.

    CuPy copies an array from the host by way of pinned memory, which it keeps until an event is done.  In a capture
    that event is never done: the graph would read the staging memory at every launch, and CuPy, which gives staging
    memory back in the order of its use, would keep that of all later uploads.  So the memory is refused before anything
    is enqueued.  The allocator is one for all threads; others are served as before.

    Args:
        xp: ``cupy``.

    Example:
        >>> from types import SimpleNamespace as Module
        >>> cuda = Module(alloc_pinned_memory=lambda size: Module(mem=b"of the user's"))
        >>> cuda.pinned_memory = Module(PooledPinnedMemory=int)
        >>> with uploads_refused(Module(cuda=cuda)):
        ...     print("an allocator that cannot be put back is left alone")
        an allocator that cannot be put back is left alone
    """
    memory = xp.cuda.alloc_pinned_memory(1).mem
    pool = memory.pool() if isinstance(memory, xp.cuda.pinned_memory.PooledPinnedMemory) else None
    if pool is None:  # an allocator of the user's, which CuPy offers no way to ask for and so to put back
        yield
        return
    refused = threading.get_ident()

    def allocate(size: int) -> Any:
        if threading.get_ident() == refused:
            raise RuntimeError("it copies an array from the host")
        return pool.malloc(size)

    xp.cuda.set_pinned_memory_allocator(allocate)
    try:
        yield
    finally:
        xp.cuda.set_pinned_memory_allocator(pool.malloc)
