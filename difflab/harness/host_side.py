"""A case on the host: NumPy's arrays, the host's clock, the memory of the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import memory, timing
from .operation import Operation


class HostSide:
    """Where a case is computed: on the processor.  ``gpu_side.DeviceSide`` is the same on a GPU."""

    name = "cpu"

    def __init__(self) -> None:
        self.baseline: int | None = None

    # ------------------------------------------------------------------------- the case

    def configured(self, backend: Any, spec: dict[str, Any]) -> Any:
        """The backend for a case here."""
        del spec
        return backend

    def accept(self, stats: Any, spec: dict[str, Any]) -> None:
        """Refuse what a backend has prepared where it is not what the case says."""
        del stats, spec

    def place(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Arguments where the case is computed."""
        return tuple(arguments)

    def operation(self, operation: Operation, source: Any) -> Operation:
        """An operation with its function and its vectors here."""
        return replace(operation, source=source)

    def primal(self, loss: Callable[..., Any], arguments: Sequence[Any], source: Any) -> Callable[[], Any]:
        """The plain loss at the arguments."""
        del source
        return lambda: loss(*arguments)

    def call(self, operation: Operation, backend: Any, prepared: Any, warm: bool = True) -> Callable[[], Any]:
        """What is timed; on a GPU calls may go round among copies of the inputs."""
        del warm
        return operation.call(backend, prepared)

    def notes(self, stats: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of the case besides, once it is called."""
        return {}

    def described(self) -> dict[str, Any]:
        """What a manifest says of the device."""
        return {}

    def to_host(self, value: Any) -> Any:
        """A value, or the arrays of a result, as NumPy has them."""
        return value

    # ------------------------------------------------------------------------- clocks

    def timed(self, call: Callable[[], Any]) -> tuple[float, Any]:
        """The seconds of one call, and what it returned."""
        return timing.timed(call)

    def calibrate(self, call: Callable[[], object], least: float, step: float) -> tuple[int, float]:
        """Calls per sample, and seconds per call."""
        return timing.calibrate(call, least, step)

    def sample(self, call: Callable[[], object], loops: int) -> dict[str, float | None]:
        """One sample in seconds per call, by the name of its series."""
        return {"samples": timing.sample(call, loops)}

    def warm_up(self, call: Callable[[], object], calls: int, seconds: float) -> int:
        """Run untimed; the calls made."""
        return timing.warm_up(call, calls, seconds)

    # ------------------------------------------------------------------------- memory

    def limit(self, nbytes: int | None) -> str | None:
        """Limit what the case may take; the mechanism."""
        from . import limits

        return limits.limit_memory(nbytes, memory.status("VmData"))

    def begin(self, measured: bool) -> None:
        """What is held now is not the case's."""
        # giving memory back to the system makes later calls take page faults, so never before a clock runs
        self.baseline = memory.resident() if measured else memory.status("VmRSS")

    def peak(self, call: Callable[[], Any]) -> tuple[int | None, Any]:
        """The most bytes that the case holds during a call, and the call's result."""
        return memory.peak_during(call, self.baseline)

    def arrays(self, call: Callable[[], Any]) -> int | None:
        """Bytes of the arrays that a further call makes."""
        return memory.arrays_during(call)

    def taken(self) -> dict[str, Any]:
        """What else is known of memory."""
        return {}
