"""The choice between NumPy and CuPy, host copies, synchronisation; the only file that may import cupy."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from .errors import UnavailableError


def is_device_array(value: Any) -> bool:
    """Whether ``value`` is a CuPy array; never imports CuPy to find out."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(value, cupy.ndarray)


def namespace(*values: Any) -> Any:
    """The module, ``numpy`` or ``cupy``, whose functions fit the given arrays."""
    if any(is_device_array(value) for value in values):
        return sys.modules["cupy"]
    return np


def as_array(value: Any) -> Any:
    """A number or list as a NumPy array; arrays stay what and where they are."""
    return value if is_device_array(value) else np.asarray(value)


def copied(value: Any) -> Any:
    """A fresh array with the same content, on the same side."""
    return value.copy() if is_device_array(value) else np.array(value)


def shares_memory(view: Any, array: Any) -> bool:
    """Whether the first element of an array on a device lies in the memory of another one."""
    reaches = [(size - 1) * step for size, step in zip(array.shape, array.strides, strict=True) if size]
    low, high = sum(min(reach, 0) for reach in reaches), sum(max(reach, 0) for reach in reaches)
    return low <= view.data.ptr - array.data.ptr <= high if array.size else view.size == 0


def to_host(value: Any) -> np.ndarray:
    """A NumPy array with the same content."""
    if is_device_array(value):
        return value.get()
    return np.asarray(value)


def to_device(value: Any) -> Any:
    """A CuPy array with the same content; one that is there already stays itself.

    A single number is filled in by a kernel, which takes no copy from the host and no waiting for it.
    """
    if is_device_array(value):
        return value
    array = np.asarray(value)
    cupy = import_cupy()
    return cupy.asarray(array) if array.ndim else cupy.full((), array.item(), array.dtype)


def device_of(values: Iterable[Any]) -> str:
    """Where arrays are: "gpu" if one of them is CuPy's, else "cpu"."""
    return "gpu" if any(map(is_device_array, values)) else "cpu"


def module_of(device: str) -> Any:
    """The module of the arrays of a device: ``numpy`` of "cpu", ``cupy`` of "gpu"."""
    return np if device == "cpu" else import_cupy()


def placed(value: Any, device: str) -> Any:
    """An array, number or list as an array on a device; one that is there already stays itself."""
    return to_device(value) if device == "gpu" else as_array(value)


def free_bytes() -> int:
    """Bytes of the GPU's memory that nobody has taken."""
    return int(import_cupy().cuda.runtime.memGetInfo()[0])


def device_bytes() -> int:
    """Bytes of the GPU's memory in all."""
    return int(import_cupy().cuda.runtime.memGetInfo()[1])


def rounds_to_tf32() -> bool:
    """Whether products of float32 matrices may be rounded to TF32: by CuPy's own switch, ``CUPY_TF32=1``."""
    return os.environ.get("CUPY_TF32", "0") not in ("", "0")


def synchronise(*values: Any) -> None:
    """Wait until pending work on the device of the given arrays is done."""
    if any(is_device_array(value) for value in values):
        sys.modules["cupy"].cuda.get_current_stream().synchronize()


def import_cupy() -> Any:
    """CuPy, or one sentence on what was looked for and what to install."""
    try:
        import cupy  # type: ignore[import-not-found] (an extra, which a machine without a GPU lacks)
    except ImportError as error:
        raise UnavailableError(
            "device 'gpu' needs the package cupy, which is not installed; pip install 'difflab[gpu]' on a machine "
            "with an NVIDIA GPU, or use device 'cpu'"
        ) from error
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise UnavailableError(
            f"device 'gpu' needs a CUDA device, and the driver reports none ({error}); use device 'cpu'"
        ) from error
    return cupy


def special_function(name: str) -> Any:
    """A ufunc of ``scipy.special``, imported when first used."""
    import scipy.special

    return getattr(scipy.special, name)


def special_functions(xp: Any) -> Any:
    """The module ``special`` that goes with ``numpy`` or ``cupy``, imported when first used."""
    if xp is np:
        import scipy.special as functions
    else:
        import cupyx.scipy.special as functions  # type: ignore[import-not-found] (comes with cupy, an extra)
    return functions


def linalg_errors(xp: Any) -> Any:
    """A context in which linear algebra raises for a failed factorisation, as NumPy always does and CuPy if told so."""
    if xp is np:
        return contextlib.nullcontext()
    import cupyx  # type: ignore[import-not-found] (comes with cupy, an extra)

    return cupyx.errstate(linalg="raise")
