"""What a captured CUDA graph consists of, asked of the driver: kernels, copies, and whether the host takes part."""

from __future__ import annotations

import ctypes
from collections import Counter
from typing import Any

KINDS = (
    "kernel", "memcpy", "memset", "host", "graph", "empty", "wait event", "event record", "signal", "wait",
    "allocation", "free", "memory operation", "conditional",
)  # fmt: skip
HOST_SIDE = frozenset({"host to device", "device to host", "host"})
HOST_MEMORY, ANY_MEMORY = 1, 4
MEMORY_TYPE = 2  # attribute of a pointer


class _End(ctypes.Structure):
    _fields_ = [
        ("x", ctypes.c_size_t), ("y", ctypes.c_size_t), ("z", ctypes.c_size_t), ("level", ctypes.c_size_t),
        ("memory", ctypes.c_int), ("host", ctypes.c_void_p), ("device", ctypes.c_void_p), ("array", ctypes.c_void_p),
        ("reserved", ctypes.c_void_p), ("pitch", ctypes.c_size_t), ("height", ctypes.c_size_t),
    ]  # fmt: skip


class CopyParameters(ctypes.Structure):
    """``CUDA_MEMCPY3D`` of the driver's interface."""

    _fields_ = [
        ("source", _End), ("target", _End), ("width", ctypes.c_size_t), ("height", ctypes.c_size_t),
        ("depth", ctypes.c_size_t),
    ]  # fmt: skip


def load_driver() -> Any:
    """The CUDA driver, which any process with a CUDA context has loaded; ``None`` if it cannot be found by name."""
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None


def count_nodes(graph: int) -> dict[str, int] | None:
    """How many nodes of which kind a graph has.

    Args:
        graph: handle of the graph, as an integer; 0 stands for none.

    Returns:
        Counts by kind: ``kernel``, ``memset``, ``host`` and the rest of ``KINDS``, and for copies ``host to device``,
        ``device to host`` or ``device to device``.  ``None`` where the driver does not say.

    Example:
        >>> count_nodes(0) is None
        True
    """
    driver = load_driver() if graph else None
    if driver is None:
        return None
    number = ctypes.c_size_t()
    if driver.cuGraphGetNodes(ctypes.c_void_p(graph), None, ctypes.byref(number)):
        return None
    nodes = (ctypes.c_void_p * number.value)()
    if number.value and driver.cuGraphGetNodes(ctypes.c_void_p(graph), nodes, ctypes.byref(number)):
        return None
    kinds = [_kind(driver, ctypes.c_void_p(node)) for node in nodes]
    return None if None in kinds else dict(Counter(map(str, kinds)))


def _kind(driver: Any, node: ctypes.c_void_p) -> str | None:
    code = ctypes.c_int()
    if driver.cuGraphNodeGetType(node, ctypes.byref(code)):
        return None
    kind = KINDS[code.value] if code.value < len(KINDS) else f"kind {code.value}"
    if kind != "memcpy":
        return kind
    copy = CopyParameters()
    if driver.cuGraphMemcpyNodeGetParams(node, ctypes.byref(copy)):
        return None
    return " to ".join("host" if _on_host(driver, end) else "device" for end in (copy.source, copy.target))


def _on_host(driver: Any, end: _End) -> bool:
    """Where one end of a copy lies; the driver is asked about addresses that may be anywhere."""
    memory = ctypes.c_uint(end.memory)
    if end.memory == ANY_MEMORY:
        # Pageable memory has no attributes: the driver knows nothing of it, which an error says.
        if driver.cuPointerGetAttribute(ctypes.byref(memory), MEMORY_TYPE, ctypes.c_void_p(end.device)):
            return True
    return memory.value == HOST_MEMORY
