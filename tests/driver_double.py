"""A stand-in for the CUDA driver: it tells what the graphs of the stand-in for CuPy consist of, as C functions do."""

from __future__ import annotations

import ctypes
import functools
import struct
from typing import Any

import pytest

from difflab.execution.device import nodes


class Driver:
    """The part of the CUDA driver that tells what a graph consists of, as C functions.

    Captured work is a kernel, unless the action says otherwise in an attribute ``node``: the code of its kind, and for
    a copy the types of memory at its two ends, which the driver's structure holds at fixed places.
    """

    HOST, DEVICE, UNIFIED = 1, 2, 4
    PINNED, PAGEABLE = 1 << 20, 2 << 20  # addresses of unified memory whose side must be asked for

    def __init__(self) -> None:
        self.graphs: dict[int, list[tuple[int, ...]]] = {}
        self.nodes: list[tuple[int, ...]] = [()]
        pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
        function = functools.partial(ctypes.CFUNCTYPE, number)
        self.cuGraphGetNodes = function(pointer, ctypes.POINTER(pointer), ctypes.POINTER(size))(self._get_nodes)
        self.cuGraphNodeGetType = function(pointer, ctypes.POINTER(number))(self._get_type)
        self.cuGraphMemcpyNodeGetParams = function(pointer, pointer)(self._get_copy)
        self.cuPointerGetAttribute = function(ctypes.POINTER(ctypes.c_uint), number, pointer)(self._get_attribute)
        self.answer = 0

    def add(self, actions: list[Any]) -> int:
        self.graphs[len(self.graphs) + 1] = [getattr(action, "node", (0,)) for action in actions]
        return len(self.graphs)

    def _get_nodes(self, graph: int, room: Any, number: Any) -> int:
        kinds = self.graphs[graph]
        if room:
            for at, kind in enumerate(kinds[: number[0]]):
                room[at] = len(self.nodes)
                self.nodes.append(kind)
        number[0] = len(kinds)
        return self.answer

    def _get_type(self, node: int, kind: Any) -> int:
        kind[0] = self.nodes[node][0]
        return 0

    def _get_copy(self, node: int, parameters: int) -> int:
        _, source, target, *addresses = self.nodes[node]
        held = (ctypes.c_char * 200).from_address(parameters)
        struct.pack_into("i", held, 32, source)
        struct.pack_into("i", held, 120, target)
        if addresses:
            struct.pack_into("Q", held, 48, addresses[0])
        return 0

    def _get_attribute(self, value: Any, attribute: int, address: int) -> int:
        if attribute != 2 or address == self.PAGEABLE:
            return 1
        value[0] = self.HOST if address == self.PINNED else self.DEVICE
        return 0


def install(monkeypatch: pytest.MonkeyPatch, cupy: Any) -> Driver:
    """Let difflab ask this double for what the graphs of the double of CuPy consist of."""
    cupy.STATE.driver = driver = Driver()
    monkeypatch.setattr(nodes, "load_driver", lambda: driver)
    return driver
