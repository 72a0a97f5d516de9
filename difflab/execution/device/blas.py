"""cuBLAS without CuPy in between, so that products can be part of a CUDA graph (CuPy refuses cuBLAS in a capture).

For programs: ``find_blas().prepared(a, b, out, tf32=False)`` gives ``launch(stream_pointer)``, which computes
``out = a @ b`` on arrays that stay where they are (the arguments of the calls are made once);
``Blas.product(a, b, out, stream_pointer=..., tf32=False)`` does both at once; ``takes(a, b, out)`` says whether their
strides need no copy, which operands and results that are contiguous by rows never do.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from ...arrays import import_cupy
from ...errors import DifflabError, UnavailableError, UnsupportedError
from .gemm import Call, plan, strided

MAJORS = (13, 12)
INT32 = 2**31 - 1
STATUS = {
    1: "CUBLAS_STATUS_NOT_INITIALIZED", 3: "CUBLAS_STATUS_ALLOC_FAILED", 7: "CUBLAS_STATUS_INVALID_VALUE",
    8: "CUBLAS_STATUS_ARCH_MISMATCH", 11: "CUBLAS_STATUS_MAPPING_ERROR", 13: "CUBLAS_STATUS_EXECUTION_FAILED",
    14: "CUBLAS_STATUS_INTERNAL_ERROR", 15: "CUBLAS_STATUS_NOT_SUPPORTED", 16: "CUBLAS_STATUS_LICENSE_ERROR",
}  # fmt: skip
DEFAULT_MATH = HOST_POINTERS = 0
DEFAULT_ALGORITHM = -1
COMPUTE_32F_FAST_TF32 = 77


class _Kind(NamedTuple):
    code: int  # cudaDataType of the elements
    compute: int  # cublasComputeType_t of the sums
    scalar: Any  # type of alpha and beta; complex ones are two of it


KINDS = {
    "e": _Kind(2, 68, ctypes.c_float), "f": _Kind(0, 68, ctypes.c_float), "d": _Kind(1, 70, ctypes.c_double),
    "F": _Kind(4, 68, ctypes.c_float), "D": _Kind(5, 70, ctypes.c_double),
}  # fmt: skip

_POINTER, _ENUM = ctypes.c_void_p, ctypes.c_int


def _signatures() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {
        "cublasCreate_v2": [ctypes.POINTER(_POINTER)],
        "cublasSetStream_v2": [_POINTER, _POINTER],
        "cublasSetWorkspace_v2": [_POINTER, _POINTER, ctypes.c_size_t],
        "cublasSetMathMode": [_POINTER, _ENUM],
        "cublasSetPointerMode_v2": [_POINTER, _ENUM],
    }
    for suffix, size in (("", ctypes.c_int), ("_64", ctypes.c_int64)):
        matrix, step = [_POINTER, _ENUM, size], [ctypes.c_longlong]
        head, tail = [_POINTER, _ENUM, _ENUM, size, size, size, _POINTER], [_ENUM, _ENUM]
        found[f"cublasGemmEx{suffix}"] = [*head, *matrix, *matrix, _POINTER, *matrix, *tail]
        found[f"cublasGemmStridedBatchedEx{suffix}"] = [
            *head, *matrix, *step, *matrix, *step, _POINTER, *matrix, *step, size, *tail,
        ]  # fmt: skip
    return found


SIGNATURES = _signatures()


def takes(a: Any, b: Any, out: Any) -> bool:
    """Whether cuBLAS computes ``out = a @ b`` without a copy of any of them.

    Args:
        a: anything with a shape, strides and a dtype: (..., n, k) or (k,).
        b: (..., k, m) or (k,).
        out: of the shape of the product.

    Returns:
        False for dtypes that cuBLAS does not multiply, for mixed ones, and for strides that no leading dimension and
        batch stride describe.

    Raises:
        InputError: the shapes do not fit.

    Example:
        >>> import numpy as np
        >>> x = np.ones((4, 6), dtype=np.float32)
        >>> takes(x, x.T, np.empty((4, 4), dtype=np.float32)), takes(x[:, ::2], x[:3], np.empty((4, 6), np.float32))
        (True, False)
    """
    return _calls(a, b, out) is not None


def _calls(a: Any, b: Any, out: Any) -> tuple[Call, ...] | None:
    if not (a.dtype == b.dtype == out.dtype and out.dtype.char in KINDS and out.dtype.isnative):
        return None
    left, right, result = strided(a), strided(b), strided(out)
    if left is None or right is None or result is None:
        return None
    return plan(left, right, result)


class Blas:
    """A handle of cuBLAS with workspaces of its own, for one device.

    Args:
        library: the loaded cuBLAS.
        xp: ``cupy``, with the device current that the handle is for.
    """

    def __init__(self, library: Any, xp: Any):
        self._xp = xp
        self._library = library
        self._functions: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._bound: int | None = None
        self._workspaces: dict[int, Any] = {}
        # NVIDIA recommends 32 MiB from Hopper on and 4 MiB before.
        self._workspace_bytes = (32 if int(xp.cuda.Device().compute_capability) >= 90 else 4) << 20
        handle = _POINTER()
        self._checked("cublasCreate_v2", ctypes.byref(handle))
        # Never destroyed: at the end of a process the context may be gone before the handle.
        self._handle = handle
        self._checked("cublasSetMathMode", handle, DEFAULT_MATH)
        self._checked("cublasSetPointerMode_v2", handle, HOST_POINTERS)

    def product(self, a: Any, b: Any, out: Any, *, stream_pointer: int, tf32: bool = False) -> None:
        """Enqueue ``out = a @ b``.

        Args:
            a: device array (..., n, k) or (k,) of dtype float16, float32, float64, complex64 or complex128.
            b: device array (..., k, m) or (k,) of the same dtype.
            out: device array of the shape of the product and the same dtype, which overlaps neither.
            stream_pointer: ``ptr`` of the current stream.
            tf32: whether factors of 32 bits may be rounded to TensorFloat-32.

        Raises:
            UnsupportedError: ``takes(a, b, out)`` is false.
            InputError: the shapes do not fit.
            DifflabError: cuBLAS refused; the message names its status.
        """
        self.prepared(a, b, out, tf32=tf32)(stream_pointer)

    def prepared(self, a: Any, b: Any, out: Any, *, tf32: bool = False) -> Callable[[int], None]:
        """What ``product`` does, to be enqueued many times on the same arrays.

        Args:
            a: as for ``product``; kept alive by what is returned, as are the others.
            b: as for ``product``.
            out: as for ``product``.
            tf32: as for ``product``.

        Returns:
            A function of the pointer of the current stream.  A product without elements to sum is filled with zeros.

        Raises:
            UnsupportedError: ``takes(a, b, out)`` is false.
            InputError: the shapes do not fit.
        """
        calls = _calls(a, b, out)
        if calls is None:
            raise UnsupportedError(
                f"cuBLAS cannot multiply {a.dtype} of shape {a.shape} and strides {a.strides} by {b.dtype} of shape "
                f"{b.shape} and strides {b.strides} into {out.dtype} of strides {out.strides}; copy them to contiguous "
                "arrays of one floating-point dtype"
            )
        if not calls:
            return lambda _: out.fill(0) if out.size else None
        kind = KINDS[out.dtype.char]
        one, zero = (kind.scalar * 2)(1, 0), (kind.scalar * 2)(0, 0)
        compute = COMPUTE_32F_FAST_TF32 if tf32 and out.dtype.char in "fF" else kind.compute
        ready = [self._arguments(call, (a, b, out), kind, compute, one, zero) for call in calls]
        return functools.partial(self._launch, ready, (a, b, out))

    def _launch(self, ready: list[tuple[str, list[Any]]], kept: tuple[Any, ...], stream_pointer: int) -> None:
        """Enqueue calls; ``kept`` are the arrays whose memory their pointers name, alive as long as the calls are."""
        with self._lock:
            self._bind(stream_pointer)
            for name, arguments in ready:
                self._checked(name, *arguments)

    def _arguments(
        self, call: Call, arrays: tuple[Any, Any, Any], kind: _Kind, compute: int, one: Any, zero: Any
    ) -> tuple[str, list[Any]]:
        """Name and arguments of the entry point; sizes beyond 32 bits have entry points of their own."""
        size = arrays[2].dtype.itemsize
        order = (1, 0, 2) if call.swapped else (0, 1, 2)
        pointers = [arrays[at].data.ptr + size * offset for at, offset in zip(order, call.offsets, strict=True)]
        matrices = [[pointer, kind.code, leading] for pointer, leading in zip(pointers, call.leading, strict=True)]
        batched = call.count > 1
        if batched:
            matrices = [[*matrix, stride] for matrix, stride in zip(matrices, call.strides, strict=True)]
        wide = max(*call.sizes, *call.leading, call.count) > INT32
        name = f"cublasGemm{'StridedBatched' * batched}Ex{'_64' * wide}"
        operations = [int(transposed) for transposed in call.transposed]
        return name, [
            self._handle, *operations, *call.sizes, one, *matrices[0], *matrices[1], zero, *matrices[2],
            *[call.count] * batched, compute, DEFAULT_ALGORITHM,
        ]  # fmt: skip

    def _bind(self, stream_pointer: int) -> None:
        """Let the handle work on a stream, with a workspace that no other stream uses at the same time."""
        if self._bound == stream_pointer:
            return
        self._bound = None
        self._checked("cublasSetStream_v2", self._handle, stream_pointer)
        if stream_pointer not in self._workspaces:
            # Not from CuPy's current allocator: within a capture that is a pool which dies with its graph, while
            # the workspace serves later graphs too.
            self._workspaces[stream_pointer] = self._xp.cuda.Memory(self._workspace_bytes)
        # Setting the stream puts the library's own workspaces back, and with those each capture allocates anew and
        # results depend on what runs beside: the workspace is set after every change of the stream.
        memory = self._workspaces[stream_pointer]
        self._checked("cublasSetWorkspace_v2", self._handle, memory.ptr, self._workspace_bytes)
        self._bound = stream_pointer

    def _checked(self, name: str, *arguments: Any) -> None:
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = _entry(self._library, name)
        status = function(*arguments)
        if status:
            raise DifflabError(f"cuBLAS refused {name} with {STATUS.get(status, f'status {status}')}")


def _entry(library: Any, name: str) -> Any:
    try:
        function = getattr(library, name)
    except AttributeError as error:
        raise UnavailableError(f"cuBLAS has no {name}; install cuBLAS 12 or newer") from error
    function.argtypes, function.restype = SIGNATURES[name], ctypes.c_int
    return function


def load_library(majors: tuple[int, ...] = MAJORS) -> Any:
    """The cuBLAS that CuPy uses: the one in the process, else where CuPy's own finder or the loader finds one.

    Args:
        majors: versions to look for, the preferred one first.

    Returns:
        A ``ctypes.CDLL``.

    Raises:
        UnavailableError: there is none; the message says what was looked for.
    """
    names = [f"libcublas.so.{major}" for major in majors]
    found = _opened(names, os.RTLD_NOLOAD | os.RTLD_NOW)
    if found is None:
        # CuPy 14 finds its libraries with this package of NVIDIA's; older versions link to what the loader finds.
        try:
            from cuda import pathfinder  # type: ignore[import-not-found] (comes with cupy, an extra)

            path = pathfinder.load_nvidia_dynamic_lib("cublas").abs_path
        except (ImportError, RuntimeError):
            path = None
        found = _opened([*([path] if path else []), *names], os.RTLD_NOW)
    if found is None:
        raise UnavailableError(
            f"device 'gpu' needs cuBLAS, and none of {', '.join(names)} could be loaded; install the CUDA "
            "toolkit's libraries, for instance with pip install 'cupy-cuda13x[ctk]'"
        )
    return found


def _opened(names: list[str], mode: int) -> Any:
    for name in names:
        try:
            return ctypes.CDLL(name, mode=mode)
        except OSError:
            continue
    return None


_FOUND: dict[tuple[Any, int], Blas] = {}  # by CuPy, of which a test may bring its own, and device
_FOUND_LOCK = threading.Lock()


def find_blas() -> Blas:
    """cuBLAS for the current device: one handle a process and device, made when first asked for.

    Raises:
        UnavailableError: there is no CuPy, no device or no cuBLAS.
    """
    xp = import_cupy()
    key = (xp, xp.cuda.runtime.getDevice())
    with _FOUND_LOCK:
        if key not in _FOUND:
            own = xp.cuda.runtime.runtimeGetVersion() // 1000
            majors = (own, *[major for major in MAJORS if major != own])
            _FOUND[key] = Blas(load_library(majors), xp)
        return _FOUND[key]
