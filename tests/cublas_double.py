"""A stand-in for the loaded cuBLAS: C entry points that multiply host memory in column-major order.

They are C functions to the caller (their prototypes are written down here once more), refuse what cuBLAS refuses, and
join the capture of the stand-in for CuPy.
"""

from __future__ import annotations

import ctypes
import time
from ctypes import CFUNCTYPE, POINTER, c_int, c_int64, c_longlong, c_size_t, c_void_p
from typing import Any, NamedTuple

import numpy as np
import pytest

from difflab.execution.device import blas

TYPES = {0: np.float32, 1: np.float64, 2: np.float16, 4: np.complex64, 5: np.complex128}
COMPUTE = {0: (68, 77), 1: (70,), 2: (68,), 4: (68, 77), 5: (70,)}
NOT_INITIALIZED, INVALID_VALUE, NOT_SUPPORTED = 1, 7, 15


class Product(NamedTuple):
    """One call of a GEMM."""

    name: str
    sizes: tuple[int, int, int]
    count: int
    stream: int
    compute: int


class Library:
    """What ``load_library`` returns instead."""

    def __init__(self, state: Any):
        self.state = state
        self.products: list[Product] = []
        self.answer = 0  # a status that every product is to answer instead of computing
        self.handles = 0
        self.pause = 0.0  # after a change of the stream, in seconds
        self.stream: int | None = None
        self.workspace: int | None = None
        self.workspaces: dict[int, int] = {}  # of streams
        self.modes: dict[str, int] = {}
        size = c_int
        scalar, matrix, step = c_void_p, [c_void_p, c_int], c_longlong
        entries = {
            "cublasCreate_v2": (self._create, [POINTER(c_void_p)]),
            "cublasSetStream_v2": (self._set_stream, [c_void_p, c_void_p]),
            "cublasSetWorkspace_v2": (self._set_workspace, [c_void_p, c_void_p, c_size_t]),
            "cublasSetMathMode": (self._set_math, [c_void_p, c_int]),
            "cublasSetPointerMode_v2": (self._set_pointers, [c_void_p, c_int]),
        }
        for suffix, size in (("", c_int), ("_64", c_int64)):
            head = [c_void_p, c_int, c_int, size, size, size, scalar]
            entries[f"cublasGemmEx{suffix}"] = (
                self._named(self._gemm, f"cublasGemmEx{suffix}"),
                [*head, *matrix, size, *matrix, size, scalar, *matrix, size, c_int, c_int],
            )
            entries[f"cublasGemmStridedBatchedEx{suffix}"] = (
                self._named(self._batched, f"cublasGemmStridedBatchedEx{suffix}"),
                [*head, *matrix, size, step, *matrix, size, step, scalar, *matrix, size, step, size, c_int, c_int],
            )
        for name, (function, types) in entries.items():
            setattr(self, name, CFUNCTYPE(c_int, *types)(function))

    def _named(self, function: Any, name: str) -> Any:
        return lambda *arguments: function(name, *arguments)

    def _create(self, handle: Any) -> int:
        self.handles += 1
        handle[0] = 4096 + self.handles
        return 0

    def _set_stream(self, handle: int, stream: int | None) -> int:
        self.stream, self.workspace = stream or 0, None  # the library's own workspaces again
        time.sleep(self.pause)
        return 0 if handle else NOT_INITIALIZED

    def _set_workspace(self, handle: int, pointer: int, size: int) -> int:
        if not handle or pointer % 256:
            return NOT_INITIALIZED if not handle else INVALID_VALUE
        self.workspace = self.workspaces[self.stream or 0] = pointer
        ctypes.memset(pointer, 7, size)  # it must be there
        return 0

    def _set_math(self, handle: int, mode: int) -> int:
        self.modes["math"] = mode
        return 0 if handle else NOT_INITIALIZED

    def _set_pointers(self, handle: int, mode: int) -> int:
        self.modes["pointers"] = mode
        return 0 if handle else NOT_INITIALIZED

    def _gemm(self, name: str, handle: Any, ta: int, tb: int, m: int, n: int, k: int, alpha: int, *rest: Any) -> int:
        a, a_type, lda, b, b_type, ldb, beta, c, c_type, ldc, compute, algorithm = rest
        return self._batched(
            name, handle, ta, tb, m, n, k, alpha, a, a_type, lda, 0, b, b_type, ldb, 0, beta, c, c_type, ldc, 0, 1,
            compute, algorithm,
        )  # fmt: skip

    def _batched(
        self, name: str, handle: Any, ta: int, tb: int, m: int, n: int, k: int, alpha: int,
        a: int, a_type: int, lda: int, step_a: int, b: int, b_type: int, ldb: int, step_b: int,
        beta: int, c: int, c_type: int, ldc: int, step_c: int, count: int, compute: int, algorithm: int,
    ) -> int:  # fmt: skip
        self.products.append(Product(name, (m, n, k), count, self.stream or 0, compute))
        if not handle or self.workspace is None:
            return NOT_INITIALIZED
        if self.answer:
            return self.answer
        if not a_type == b_type == c_type or compute not in COMPUTE.get(c_type, ()) or algorithm != -1:
            return NOT_SUPPORTED
        rows = (k if ta else m), (n if tb else k), m
        if min(m, n, k, count) < 0 or any(ld < max(1, row) for ld, row in zip((lda, ldb, ldc), rows, strict=True)):
            return INVALID_VALUE
        if ta not in (0, 1, 2) or tb not in (0, 1, 2) or (count > 1 and abs(step_c) < (m if n == 1 else 1)):
            return INVALID_VALUE
        dtype = np.dtype(TYPES[c_type])
        sums = np.dtype(np.float32) if dtype == np.float16 else dtype
        scale, keep = (np.frombuffer(ctypes.string_at(at, sums.itemsize), sums)[0] for at in (alpha, beta))
        shapes = ((k, m) if ta else (m, k)), ((n, k) if tb else (k, n)), (m, n)

        def multiply() -> None:
            places = zip((a, b, c), shapes, (lda, ldb, ldc), (step_a, step_b, step_c), strict=True)
            first, second, result = (_view(dtype, count, *place) for place in places)
            product = scale * (_read(first, ta, sums) @ _read(second, tb, sums))
            result[...] = product + keep * result if keep else product

        self.state.launch(multiply)
        return 0


def _view(dtype: Any, count: int, pointer: int, shape: tuple[int, int], leading: int, step: int) -> np.ndarray:
    """Matrices as the library sees them: (count, rows, columns), by columns."""
    if 0 in shape:
        return np.empty((count, *shape), dtype)
    needed = step * (count - 1) + leading * (shape[1] - 1) + shape[0]
    memory = (ctypes.c_char * (needed * dtype.itemsize)).from_address(pointer)
    strides = tuple(dtype.itemsize * stride for stride in (step, 1, leading))
    return np.lib.stride_tricks.as_strided(np.frombuffer(memory, dtype), (count, *shape), strides)


def _read(matrices: np.ndarray, operation: int, dtype: Any) -> np.ndarray:
    read = matrices.astype(dtype)
    if operation:
        read = read.swapaxes(1, 2)
    return read.conj() if operation == 2 else read


def install(monkeypatch: pytest.MonkeyPatch, cupy: Any) -> Library:
    """The double as the library that difflab loads, until the test ends."""
    library = Library(cupy.STATE)
    monkeypatch.setattr(blas, "load_library", lambda majors=(): library)
    return library
