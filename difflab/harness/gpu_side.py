"""A case on a GPU: CuPy's arrays, the device's clocks, the device's memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from .. import arrays
from ..containers import flatten, unflatten
from ..errors import UnsupportedError
from ..execution.notes import settled
from . import gpu_facts, gpu_memory, gpu_timing
from .operation import Operation


class DeviceSide:
    """Where a case is computed: on the current CUDA device.

    Raises:
        UnavailableError: there is no CuPy, or no device.
    """

    name = "gpu"

    def __init__(self) -> None:
        self._cupy = arrays.import_cupy()
        self._clock = gpu_timing.DeviceClock(self._cupy)
        self._meter: gpu_memory.Meter | None = None
        self._rotation: gpu_timing.Rotation | None = None
        self._primal_by = ""

    # ------------------------------------------------------------------------- the case

    def configured(self, backend: Any, spec: dict[str, Any]) -> Any:
        """The backend for a case here: one that asks for ``device`` or ``tf32`` is told, unless the study says it."""
        if not is_dataclass(backend) or isinstance(backend, type):
            return backend
        known = {one.name for one in fields(backend) if one.init}
        told = {"device": "gpu", "tf32": bool(spec.get("tf32"))}
        return replace(backend, **{key: told[key] for key in told if key in known and key not in spec["options"]})

    def accept(self, stats: Any, spec: dict[str, Any]) -> None:
        """Refuse what a backend has prepared where it is not what the case says.

        Raises:
            UnsupportedError: it rounds to TF32 and should not, or the other way round.
        """
        wanted, found = bool(spec.get("tf32")), stats.get("tf32")
        if found is not None and bool(found) is not wanted:
            how = "without TF32, which was asked for" if wanted else "with TF32, which was not asked for"
            raise UnsupportedError(f"backend {spec['backend']!r} computes {how}")

    def place(self, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Arguments with their arrays on the device."""
        return tuple(upload(argument) for argument in arguments)

    def operation(self, operation: Operation, source: Any) -> Operation:
        """An operation with its function and its vectors on the device."""
        return replace(operation, source=source, vectors=[arrays.to_device(vector) for vector in operation.vectors])

    def primal(self, loss: Callable[..., Any], arguments: Sequence[Any], source: Any) -> Callable[[], Any]:
        """The plain loss as CuPy runs it through NumPy's protocols, or as a program where these do not reach."""
        try:
            loss(*arguments)
        except Exception as fault:
            if gpu_memory.out_of_memory(fault):
                raise
            from ..execution.cache import Runner

            runner = Runner(source.tape, lambda tape: (tape,), "value", frozen=True, device="gpu")
            self._primal_by = "program"
            return lambda: runner.run(source.example)[0]
        self._primal_by = "CuPy"
        return lambda: loss(*arguments)

    def call(self, operation: Operation, backend: Any, prepared: Any, warm: bool = True) -> Callable[[], Any]:
        """What is timed: calls that go round among copies of the inputs, unless the cache is to be ``warm``."""
        original = operation.call(backend, prepared)
        leaves = operation.source.example
        nbytes = sum(leaf.nbytes for leaf in leaves if arrays.is_device_array(leaf))
        runtime = self._cupy.cuda.runtime
        l2_bytes = runtime.getDeviceProperties(runtime.getDevice()).get("l2CacheSize")
        made = gpu_timing.rotation(nbytes, l2_bytes, int(runtime.memGetInfo()[0]), warm)
        if made.copies > 1:
            pool = self._cupy.get_default_memory_pool()
            if pool.get_limit():  # the copies are ours and not the case's
                pool.set_limit(size=pool.get_limit() + (made.copies - 1) * (nbytes + 512 * len(leaves)))
        calls = [original]
        for _ in range(made.copies - 1):
            copied = [arrays.copied(leaf) for leaf in leaves]
            calls.append(replace(operation, source=replace(operation.source, example=copied)).call(backend, prepared))
        self._rotation = made
        return gpu_timing.going_round(calls)

    def notes(self, stats: Mapping[str, Any]) -> dict[str, Any]:
        """Who runs the plain loss, among how many copies of the inputs calls went round, and what was captured."""
        found: dict[str, Any] = {"primal_by": self._primal_by} if self._primal_by else {}
        if self._rotation is not None:
            cache = "cold" if self._rotation.cold else "warm"
            found |= {"input_copies": self._rotation.copies, "input_cache": cache}
        known = settled(stats)
        if "captured" in known:
            found["captured"] = "yes" if known["captured"] else f"no: {known.get('not_captured', 'called once')}"
        return found

    def described(self) -> dict[str, Any]:
        """What a manifest says of the device."""
        return {"gpu": gpu_facts.facts()}

    def to_host(self, value: Any) -> Any:
        """A value, or the arrays of a result, as NumPy has them."""
        if isinstance(value, list | tuple):
            return [self.to_host(one) for one in value]
        return arrays.to_host(value) if arrays.is_device_array(value) else value

    # ------------------------------------------------------------------------- clocks

    def timed(self, call: Callable[[], Any]) -> tuple[float, Any]:
        """The seconds of one call until the device is at rest, and what it returned."""
        return self._clock.timed(call)

    def calibrate(self, call: Callable[[], object], least: float, step: float) -> tuple[int, float]:
        """Calls per sample, and seconds per call."""
        return self._clock.calibrate(call, least, step)

    def sample(self, call: Callable[[], object], loops: int) -> dict[str, float | None]:
        """One sample in seconds per call, by the name of its series."""
        found = self._clock.sample(call, loops)
        return {"samples": found.wall, "event": found.event, "enqueue": found.enqueue}

    def warm_up(self, call: Callable[[], object], calls: int, seconds: float) -> int:
        """Run untimed until the device is at rest; the calls made."""
        return self._clock.warm_up(call, calls, seconds)

    # ------------------------------------------------------------------------- memory

    def limit(self, nbytes: int | None) -> str | None:
        """Limit what the case may take of the device; no limit of the process, for CUDA reserves huge addresses."""
        return gpu_memory.limit(self._cupy, nbytes)

    def begin(self, measured: bool) -> None:
        """What is held now is not the case's."""
        self._rotation = None
        self._meter = gpu_memory.Meter(self._cupy, trim=measured)

    def peak(self, call: Callable[[], Any]) -> tuple[int | None, Any]:
        """The most bytes of the device that the case holds during a call, and the call's result."""
        assert self._meter is not None
        return self._meter.peak_during(call)

    def arrays(self, call: Callable[[], Any]) -> int | None:
        """Bytes of the arrays that a further call makes on the device."""
        assert self._meter is not None
        return self._meter.asked_during(call)

    def taken(self) -> dict[str, Any]:
        """What else is known of memory: by how much the driver's free memory shrank."""
        return {} if self._meter is None else {"driver_bytes": self._meter.driver()}


def upload(argument: Any) -> Any:
    """A container with its NumPy arrays on the device; numbers and all else stay what they are.

    Args:
        argument: an array or a container of arrays, numbers and others.

    Returns:
        The same structure.
    """
    leaves, structure = flatten(argument)
    return unflatten(structure, [arrays.to_device(one) if isinstance(one, np.ndarray) else one for one in leaves])


def computed_there(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose arguments are brought to the device, and whose result is brought back.

    What it writes into its arguments is brought back as well, so that whoever looks at them sees it.

    Args:
        function: takes containers of CuPy's arrays.

    Returns:
        The same for containers of NumPy's.

    Raises:
        UnavailableError: there is no CuPy, or no device.
    """
    arrays.import_cupy()

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        brought = upload([args, kwargs])
        answer = downloaded(function(*brought[0], **brought[1]))
        for here, there in zip(flatten([args, kwargs])[0], flatten(brought)[0], strict=True):
            if isinstance(here, np.ndarray):
                now = arrays.to_host(there)
                if not np.array_equal(here, now, equal_nan=now.dtype.kind in "fc"):
                    here[...] = now
        return answer

    return called


def downloaded(value: Any) -> Any:
    """A container with its arrays on the host.

    Args:
        value: an array or a container of arrays, on whichever side.

    Returns:
        The same structure.
    """
    leaves, structure = flatten(value)
    return unflatten(structure, [arrays.to_host(one) if arrays.is_device_array(one) else one for one in leaves])
