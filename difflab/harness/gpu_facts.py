"""The GPU that CuPy computes on, as CUDA and the driver describe it; asked in a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..arrays import import_cupy
from ..errors import UnavailableError
from . import gpu_query

PROPERTIES = {
    "memory_bytes": "totalGlobalMem", "processors": "multiProcessorCount", "l2_bytes": "l2CacheSize",
    "ecc": "ECCEnabled", "bus_bits": "memoryBusWidth",
}  # fmt: skip
CLOCKS = {"sm_mhz_most": ("clockRate", 13), "memory_mhz_most": ("memoryClockRate", 36)}
"""In kilohertz: the property, which CUDA 13 has no longer, and the number of the attribute, which it still has."""


def facts(cards: Callable[[], list[dict[str, Any]]] = gpu_query.query) -> dict[str, Any]:
    """What is known of the current device, once a kernel has run on it.

    Args:
        cards: what the driver's tool says of the GPUs of the machine.

    Returns:
        A JSON value: ``name``, ``uuid``, ``pci``, ``capability``, ``memory_bytes``, ``memory_free_bytes``,
        ``processors`` (SMs), ``l2_bytes``, ``bus_bits``, ``ecc``, ``mig``, ``cuda`` (runtime and driver), ``cupy``,
        ``driver``, clocks in MHz now and at most, ``temperature_c``, ``power_limit_w``; ``None`` for what is not known.

    Raises:
        UnavailableError: there is no CuPy, no CUDA device, or none that computes.
    """
    cupy = import_cupy()
    runtime = cupy.cuda.runtime
    _try_out(cupy)
    number = runtime.getDevice()
    properties = runtime.getDeviceProperties(number)
    own: dict[str, Any] = {
        "name": _text(properties.get("name")),
        "uuid": uuid_text(properties.get("uuid")),
        "pci": _asked(lambda: runtime.deviceGetPCIBusId(number)),
        "capability": f"{properties.get('major')}.{properties.get('minor')}",
        "cuda_runtime": version_text(_asked(runtime.runtimeGetVersion)),
        "cuda_driver": version_text(_asked(runtime.driverGetVersion)),
        "cupy": cupy.__version__,
        "memory_free_bytes": _asked(lambda: int(runtime.memGetInfo()[0])),
    }
    own |= {key: properties.get(name) for key, name in PROPERTIES.items()}
    own["ecc"] = None if own["ecc"] is None else bool(own["ecc"])
    for key, (name, attribute) in CLOCKS.items():
        kilohertz = properties.get(name) or _asked(lambda wanted=attribute: runtime.deviceGetAttribute(wanted, number))
        own[key] = kilohertz / 1000 if kilohertz else None
    told = gpu_query.match(cards(), own["uuid"], own["pci"], own["name"]) or dict.fromkeys(gpu_query.FIELDS)
    return {**told, **{key: value for key, value in own.items() if value is not None or key not in told}}


def _try_out(cupy: Any) -> None:
    """Let the device compute something: one that is listed may still be closed, full or broken."""
    try:
        found = int((cupy.arange(5) + 1).sum().get())
    except MemoryError as fault:
        raise UnavailableError(f"device 'gpu' has no memory left for a sum of five numbers ({fault})") from fault
    except Exception as fault:  # CUDA, its compiler and its libraries each have errors of their own
        why = f"{type(fault).__name__}: {fault}"
        raise UnavailableError(f"device 'gpu' is there, and CuPy cannot compute on it ({why})") from fault
    if found != 15:
        raise UnavailableError(f"device 'gpu' is broken: the sum of 1 to 5 came out as {found}")


def missing() -> str | None:
    """Why nothing can be computed on a GPU here, in a sentence, or ``None``."""
    try:
        _try_out(import_cupy())
    except UnavailableError as fault:
        return str(fault)
    return None


def uuid_text(raw: Any) -> str | None:
    """A UUID as the driver's tools write it.

    >>> uuid_text(bytes(range(16)))
    'GPU-00010203-0405-0607-0809-0a0b0c0d0e0f'
    """
    if isinstance(raw, str):
        raw = raw.encode("latin-1", "replace")
    if not isinstance(raw, bytes | bytearray) or len(raw) != 16:
        return None  # some versions of CuPy end the bytes at the first zero
    digits = bytes(raw).hex()
    return "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def version_text(number: int | None) -> str | None:
    """``13.0`` for CUDA's 13000.

    >>> version_text(12080)
    '12.8'
    """
    return None if not number else f"{number // 1000}.{number % 1000 // 10}"


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace").strip("\0 ")
    return None if value is None else str(value)


def _asked(question: Callable[[], Any]) -> Any:
    """An answer of the runtime, or ``None`` where it has none."""
    try:
        return question()
    except Exception:  # whatever one figure costs, the others are still worth having
        return None
