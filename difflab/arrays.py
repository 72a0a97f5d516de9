"""The choice between NumPy and CuPy, host copies, synchronisation; the only file that may import cupy."""

from __future__ import annotations

import sys
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


def to_host(value: Any) -> np.ndarray:
    """A NumPy array with the same content."""
    if is_device_array(value):
        return value.get()
    return np.asarray(value)


def to_device(value: Any) -> Any:
    """A CuPy array with the same content; one that is there already stays itself."""
    return value if is_device_array(value) else import_cupy().asarray(value)


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
