"""Arrays to JAX and back: copied on the CPU, on a GPU handed over in place by DLPack."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from ...arrays import import_cupy, to_device
from ...errors import UnavailableError
from ...primitives.record import Aval

PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"


class HostArrays:
    """NumPy's arrays as JAX's on the CPU, copied both ways, also on a machine where JAX would take its GPU.

    Args:
        jax: the module.
    """

    def __init__(self, jax: Any):
        with sharing_memory():
            self.device = jax.devices("cpu")[0]
        self._put = jax.device_put

    def given(self, array: Any) -> Any:
        """A copy of an array, which JAX may keep as it is."""
        return self._put(np.array(array), self.device)

    def results(self, arrays: Sequence[Any], likes: Sequence[Aval], given: Sequence[Any]) -> list[Any]:
        """Fresh arrays of the shapes and dtypes of ``likes``."""
        return [np.array(one, like.dtype).reshape(like.shape) for one, like in zip(arrays, likes, strict=True)]

    def precision(self) -> AbstractContextManager[Any]:
        """How products are rounded: the CPU knows one way."""
        return nullcontext()


class DeviceArrays:
    """CuPy's arrays as JAX's of the same memory, and back; the streams wait for each other by DLPack's rules.

    Args:
        jax: the module, with ``jax.dlpack``.
        device: of JAX.
        upload: an array of the host or of the device as one of the device.
        export: an array of JAX's as one of the device that shares its memory.
        precision: the precision of products, as ``jax.default_matmul_precision`` takes it.
    """

    def __init__(
        self, jax: Any, device: Any, upload: Callable[[Any], Any], export: Callable[[Any], Any], precision: str
    ):
        self.device = device
        self._jax, self._upload, self._export, self._named = jax, upload, export, precision

    def given(self, array: Any) -> Any:
        """An array of JAX's with the memory of another; only what does not lie in one piece is copied."""
        array = self._upload(array)
        if not array.size:  # there is no memory to share
            return self._jax.device_put(np.zeros(array.shape, array.dtype), self.device)
        return self._jax.dlpack.from_dlpack(array if array.flags.c_contiguous else array.copy())

    def results(self, arrays: Sequence[Any], likes: Sequence[Aval], given: Sequence[Any]) -> list[Any]:
        """The arrays' memory in the shapes and dtypes of ``likes``; what others hold too is copied."""
        held = {one.unsafe_buffer_pointer() for one in given if one.size}
        found = []
        for one, like in zip(arrays, likes, strict=True):
            one = self._jax.numpy.asarray(one)
            if not one.size:
                found.append(self._upload(np.zeros(like.shape, like.dtype)))
                continue
            shared = one.unsafe_buffer_pointer() in held
            held.add(one.unsafe_buffer_pointer())
            found.append(self._export(one).astype(like.dtype, copy=shared).reshape(like.shape))
        return found

    def precision(self) -> AbstractContextManager[Any]:
        """How products are rounded while something is traced and compiled."""
        return self._jax.default_matmul_precision(self._named)


def arrays_on(jax: Any, device: str, tf32: bool) -> HostArrays | DeviceArrays:
    """How arrays come about where the leaves are.

    Args:
        jax: the module.
        device: "cpu" or "gpu", as ``Source.device`` says.
        tf32: whether products of float32 may be rounded to TF32 on a GPU.

    Returns:
        What converts.

    Raises:
        UnavailableError: JAX sees no GPU.
    """
    if device == "cpu":
        return HostArrays(jax)
    cupy = import_cupy()
    try:
        with sharing_memory():
            found = jax.devices("cuda")[0]
    except RuntimeError as error:
        raise UnavailableError(
            f"backend 'jax' on device 'gpu' needs a JAX that sees the GPU, and version {jax.__version__} sees none; "
            "pip install 'jax[cuda13]', or use device 'cpu'"
        ) from error
    return DeviceArrays(jax, found, to_device, cupy.from_dlpack, "tensorfloat32" if tf32 else "highest")


@contextmanager
def sharing_memory() -> Iterator[None]:
    """While JAX first looks for devices: it leaves memory to others, unless the user has said what it takes."""
    before = os.environ.get(PREALLOCATE)
    os.environ[PREALLOCATE] = before or "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[PREALLOCATE]
        else:
            os.environ[PREALLOCATE] = before
