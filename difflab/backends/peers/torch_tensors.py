"""Arrays to PyTorch and back: copied on the CPU, on a GPU handed over in place by DLPack, and on CuPy's stream."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from ...arrays import import_cupy, to_device
from ...errors import UnavailableError
from ...primitives.record import Aval
from .torch_table import dtype_of, tensor


class HostTensors:
    """NumPy's arrays as tensors on the CPU, copied both ways."""

    def given(self, array: Any) -> Any:
        """A tensor with a copy of an array."""
        return tensor(array)

    def results(self, tensors: Sequence[Any], likes: Sequence[Aval], given: Sequence[Any]) -> list[Any]:
        """Fresh arrays with the tensors' numbers, in the dtypes of ``likes``."""
        found = [np.array(one.detach().resolve_conj().resolve_neg().numpy()) for one in tensors]
        return [one.astype(like.dtype, copy=False) for one, like in zip(found, likes, strict=True)]

    def computing(self) -> AbstractContextManager[Any]:
        """What calls run in: nothing here."""
        return nullcontext()

    def bound(self, call: Callable[[], Any], rounds: bool = True) -> Callable[[], Any]:
        """A call to be timed, as it is."""
        return call


class DeviceTensors:
    """CuPy's arrays as tensors of the same memory, and back.

    What PyTorch computes runs on CuPy's current stream, so that neither waits for the other and CUDA's events see it.

    Args:
        torch: the module.
        upload: an array of the host or of the device as one of the device.
        export: a tensor as an array of the device that shares its memory.
        stream: a context in which PyTorch computes on CuPy's current stream.
        precision: how it is to round.
    """

    def __init__(
        self,
        torch: Any,
        upload: Callable[[Any], Any],
        export: Callable[[Any], Any],
        stream: Callable[[], AbstractContextManager[Any]],
        precision: Precision,
    ):
        self._torch, self._upload, self._export = torch, upload, export
        self._stream, self._precision = stream, precision

    def given(self, array: Any) -> Any:
        """A tensor that shares the memory of an array; only what does not lie in one piece is copied."""
        array = self._upload(array)
        dtype_of(array.dtype)
        return self._torch.from_dlpack(array if array.flags.c_contiguous else array.copy())

    def results(self, tensors: Sequence[Any], likes: Sequence[Aval], given: Sequence[Any]) -> list[Any]:
        """The tensors' memory as arrays of their own, in the dtypes of ``likes``; what others hold too is copied."""
        held = {one.untyped_storage().data_ptr() for one in given} - {0}
        found = []
        for one, like in zip(tensors, likes, strict=True):
            one = one.detach().resolve_conj().resolve_neg()
            repeated = any(step == 0 and n > 1 for step, n in zip(one.stride(), one.shape, strict=True))
            if repeated or one.untyped_storage().data_ptr() in held:
                one = one.clone(memory_format=self._torch.contiguous_format)
            held |= {one.untyped_storage().data_ptr()} - {0}
            found.append(self._export(one).astype(like.dtype, copy=False))
        return found

    @contextmanager
    def computing(self) -> Iterator[None]:
        """On CuPy's stream, rounding as asked."""
        with self._stream(), self._precision():
            yield

    def bound(self, call: Callable[[], Any], rounds: bool = True) -> Callable[[], Any]:
        """A call to be timed, on the stream that is current now; it leaves the switches as it wants them."""
        stream, precision = self._stream, self._precision

        def rounding() -> Any:
            if not precision.right():
                precision.set()
            return call()

        here = rounding if rounds else call
        if isinstance(stream(), nullcontext):
            return here

        def there() -> Any:
            with stream():
                return here()

        return there


def tensors_on(torch: Any, device: str, tf32: bool) -> HostTensors | DeviceTensors:
    """How tensors come about where the leaves are.

    Args:
        torch: the module.
        device: "cpu" or "gpu", as ``Source.device`` says.
        tf32: whether products of float32 may be rounded to TF32 on a GPU.

    Returns:
        What converts.

    Raises:
        UnavailableError: PyTorch sees no GPU.
    """
    if device == "cpu":
        return HostTensors()
    cupy = import_cupy()
    if not torch.cuda.is_available():
        raise UnavailableError(
            f"backend 'torch' on device 'gpu' needs a PyTorch that sees the GPU, and version {torch.__version__} sees "
            "none; install PyTorch for CUDA (pytorch.org), or use device 'cpu'"
        )
    precision = Precision(torch, tf32)
    wake(torch)

    def stream() -> AbstractContextManager[Any]:
        pointer = cupy.cuda.get_current_stream().ptr
        if pointer == torch.cuda.current_stream().cuda_stream:
            return nullcontext()
        return torch.cuda.stream(torch.cuda.ExternalStream(pointer) if pointer else torch.cuda.default_stream())

    return DeviceTensors(torch, to_device, cupy.from_dlpack, stream, precision)


def wake(torch: Any) -> None:
    """Let PyTorch's thread for derivatives make its context on the GPU, of which it warns when it first multiplies.

    Args:
        torch: the module, which sees a GPU.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        x = torch.ones((2, 2), device="cuda", requires_grad=True)
        torch.autograd.grad((x @ x).sum(), x)


class Precision:
    """How PyTorch computes in float32 on a GPU: with or without TF32, convolutions by whatever it measures as fastest.

    The switches hold for the whole process; a context puts them back as it found them.

    Args:
        torch: the module.
        tf32: whether products may be rounded to TF32.
    """

    def __init__(self, torch: Any, tf32: bool):
        self._matmul, self._cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        self._wanted = (tf32, tf32, True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch says once that it has newer switches beside these
            self.set(self._now())

    def _now(self) -> tuple[bool, bool, bool]:
        return self._matmul.allow_tf32, self._cudnn.allow_tf32, self._cudnn.benchmark

    def right(self) -> bool:
        """Whether all switches are as wanted."""
        return self._now() == self._wanted

    def set(self, switches: tuple[bool, bool, bool] | None = None) -> None:
        """Set the switches, as wanted where nothing else is said."""
        self._matmul.allow_tf32, self._cudnn.allow_tf32, self._cudnn.benchmark = switches or self._wanted

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The switches as wanted, and afterwards as they were."""
        before = self._now()
        self.set()
        try:
            yield
        finally:
            self.set(before)
