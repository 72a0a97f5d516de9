"""One case inside a worker, step by step; every step returns what is to be stored."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ForecastError, UnavailableError, UnsupportedError
from . import limits
from .finite_loss import LossError, fault_of_loss

if TYPE_CHECKING:
    from .gpu_side import DeviceSide
    from .host_side import HostSide

FAST_CALL = 1.0
CERTIFIED_LENGTH = 80


class Speaker(Protocol):
    """What a session needs of the channel to the coordinator."""

    def say(self, kind: str, **data: Any) -> None:
        """Send one message."""
        ...

    def phase(self, name: str) -> None:
        """Announce what begins now."""
        ...


class Session:
    """The case that this worker has opened, step by step; every step returns what is to be stored."""

    def __init__(self, channel: Speaker) -> None:
        self.channel = channel
        self.spec: dict[str, Any] = {}
        self.call_s = 0.0
        self.allowed_bytes: int | None = None

    # ------------------------------------------------------------------------- opening

    def open(self, command: dict[str, Any]) -> dict[str, Any]:
        """Import what the case needs, build its problem, and set the memory limit."""
        self.channel.phase("import")
        self.spec = spec = command["spec"]
        self.allowed_bytes = command.get("memory")
        from . import memory

        start = time.perf_counter()
        # what is kept by phase are peaks of the process, which say nothing of a device
        self.phases = memory.Phases(on=bool(command.get("phases")) and spec.get("device", "cpu") == "cpu")
        self.phases.begin("import")
        self.side = side_of(spec)
        from ..backends.ways import how
        from . import catalogue
        from .operation import Operation

        self.backend = self.side.configured(catalogue.find_backend(spec["backend"], spec["options"]), spec)
        if (missing := self.backend.unavailable()) is not None:
            raise UnavailableError(missing)
        if (way := how(self.backend, spec["operator"])).kind == "refused":
            why = f"cannot do operator {spec['operator']!r}: {way.reason}"
            raise UnsupportedError(f"backend {spec['backend']!r} {why}")
        warm_up(self.backend, spec["operator"], self.side)
        imported = time.perf_counter() - start
        self.channel.phase("build")
        self.phases.begin("build")
        problem = catalogue.problem_of(spec)
        self.instance = problem.build(spec["size"], spec["dtype"], spec["seed"])
        here = source_of(self.instance)
        self.leaves = list(here.example)
        self.arguments = self.side.place(self.instance.args)
        self.source = here if self.side.name == "cpu" else self._source()
        # The same vectors in all dtypes but for rounding, and the same for all backends.
        self.operation = self.side.operation(Operation.drawn(spec["operator"], here, spec["seed"]), self.source)
        self._timed_call: Callable[[], Any] | None = None
        self._loss: Callable[[], Any] | None = None
        self.phases.end()
        mechanism = self.side.limit(command.get("memory"))
        data = {
            "n_params": self.instance.n_params,
            "family": self.backend.family,
            "import_s": imported,
            "memory_enforced": mechanism,
            "blas": blas(),
            "threads": max((one["num_threads"] for one in blas()), default=None),
        }
        self.channel.say("partial", data=data)
        return data

    def forecast(self, command: dict[str, Any]) -> dict[str, Any]:
        """Say what the case will cost, and refuse it where that is over a limit."""
        self.channel.phase("forecast")
        from .durations import Durations
        from .foreseen import foresee, over_limit
        from .operation import Operation

        primal = self._primal()
        value, operator = self.side.to_host(self.side.timed(primal)[1]), self.spec["operator"]
        if (fault := fault_of_loss(value, self.leaves, self.source.names, operator)) is not None:
            self.channel.say("partial", data={"certified": "no: the loss is no finite number"})
            raise LossError(fault)
        primal_s = min(self.side.timed(primal)[0] for _ in range(3))
        speeds = command.get("speeds") if self.side.name == "cpu" else None  # they are the processor's
        prices = Durations(speeds) if speeds else None
        # of a recording of its own, so that preparing has its own to make whether there was a forecast or not
        operation = Operation(operator, self._source(), self.operation.vectors)
        found = foresee(operation, self.backend, prices, primal_s)
        data = {key: value for key, value in found.items() if key != "evaluation_s"} | {"primal_s": primal_s}
        self.channel.say("partial", data=data)
        if (why := over_limit(found, command.get("seconds"), command.get("memory"))) is not None:
            raise ForecastError(why)
        return data

    # ------------------------------------------------------------------------- running

    def prepare(self, command: dict[str, Any]) -> dict[str, Any]:
        """Prepare the derivative, timed; what it needs at most is measured when ``memory`` is asked for."""
        self.channel.phase("prepare")
        self.side.begin(bool(command.get("memory")))

        def work() -> Any:
            return self.operation.prepare(self.backend)

        peak = None
        if command.get("memory"):
            self.phases.begin("prepare")
            peak, (seconds, prepared) = self.side.peak(lambda: self.side.timed(work))
            self.phases.end()
        else:
            seconds, prepared = self.side.timed(work)
        self.prepared: Any = prepared
        self.side.accept(prepared.stats, self.spec)
        data = {"prepare_s": seconds, "prepare_peak_bytes": peak, "stats": _plain(self.prepared.stats)}
        self.channel.say("partial", data=data)
        return data

    def first(self, _: dict[str, Any]) -> dict[str, Any]:
        """The first call, timed."""
        self.channel.phase("first")
        # the result is let go: an array kept at the top of the heap halved the speed of every later call that was timed
        self.call_s = self.side.timed(self._call())[0]
        data = {"first_call_s": self.call_s}
        self.channel.say("partial", data=data)
        return data

    def calibrate(self, command: dict[str, Any]) -> dict[str, Any]:
        """How many calls make a sample, of the derivative and of the plain loss; ``loops`` where that is known already.

        What is known stays, so that all processes of a case sample alike.
        """
        self.channel.phase("calibrate")
        import gc

        from . import timing

        least, step = command["least"], timing.clock_step()
        gc.collect()
        gc.freeze()  # the collector stays on, unless the study says otherwise: its work on new objects is a cost
        if command.get("gc") is False:
            gc.disable()
        loops, call_s = command.get("loops"), command.get("call_s")
        self._timed_call = self.side.call(
            self.operation, self.backend, self.prepared, warm=bool(command.get("warm_cache"))
        )
        if loops is None or call_s is None:  # never from the first call, which may have compiled something
            loops, call_s = self.side.calibrate(self._timed_call, least, step)
        primal_loops = command.get("primal_loops") or self.side.calibrate(self._primal(), least, step)[0]
        plan = timing.plan(call_s, loops, command["samples"], command["rounds"])
        found = {"loops": loops, "primal_loops": primal_loops, "call_s": call_s, "rounds": plan.rounds}
        return found | self.side.notes(self.prepared.stats)

    def slice(self, command: dict[str, Any]) -> dict[str, Any]:
        """One round: untimed calls, then samples of the derivative and of the plain loss by turns.

        On a GPU there are ``event`` and ``enqueue`` beside ``samples``, which are by the wall.
        """
        self.channel.phase("sample")
        from . import timing

        side, call, primal = self.side, self._timed_call or self._call(), self._primal()
        plan = timing.plan(command["call_s"], command["loops"], command["samples"], command["rounds"])
        side.warm_up(call, plan.warm_calls, plan.warm_seconds)
        taken, primals = [], []
        with timing.collections() as garbage:
            for _ in range(plan.samples):
                taken.append(side.sample(call, plan.loops))
                side.warm_up(primal, 1, 0.0)
                primals.append(side.sample(primal, command["primal_loops"])["samples"])
                if plan.loops > 1:  # back from the plain loss
                    side.warm_up(call, 1, 0.0)
        series = {name: [one[name] for one in taken] for name in taken[0]}
        return {**series, "primal": primals, **garbage}

    # ------------------------------------------------------------------------- judging

    def memory(self, _: dict[str, Any]) -> dict[str, Any]:
        """Peak of the process, or of what it holds of a GPU, during one call."""
        self.channel.phase("memory")
        self._timed_call = None  # copies of the inputs are not the case's
        self.phases.begin("first")
        peak, (self.call_s, _) = self.side.peak(lambda: self.side.timed(self._call()))
        self.phases.end()
        return {"peak_bytes": peak, "phase_bytes": self.phases.found, **self.side.taken()}

    def arrays(self, _: dict[str, Any]) -> dict[str, Any]:
        """Bytes of arrays in a further call, unless tracing it would take too long (it slows calls several times)."""
        self.channel.phase("memory")
        if self.call_s >= FAST_CALL:
            return {"array_bytes": None}
        call = self._call()
        self.phases.begin("call")
        call()
        self.phases.end()
        return {"array_bytes": self.side.arrays(call), "phase_bytes": self.phases.found}

    def accuracy(self, command: dict[str, Any]) -> dict[str, Any]:
        """The grades of the result, against the reference if there is one."""
        self.channel.phase("accuracy")
        from . import accuracy

        operation, truth = self.operation, None
        result = self.side.to_host(operation.result(self.prepared))
        if command.get("reference"):
            from .reference import Reference

            truth = Reference.load(command["reference"], command.get("sha256"))
        family, dtype = self.backend.family, self.spec["dtype"]
        why, rounded = command.get("why"), bool(self.spec.get("tf32"))
        found = accuracy.judge(
            result, operation.expected, family, dtype, truth, why, operator=operation.operator, tf32=rounded
        )
        if found["outcome"] == "ok":
            found["reason"] = ""  # how the reference met its ties is stored once, with the reference
        estimate = _plain(self.prepared.stats).get("error_estimate")  # known after a call only
        found["error_estimate"] = None if estimate is None else _finite(estimate)
        return {**found, "certified": limits.shorten(found["certified"], CERTIFIED_LENGTH)}

    def _call(self) -> Callable[[], Any]:
        return self.operation.call(self.backend, self.prepared)

    def _primal(self) -> Callable[[], Any]:
        loss = self._loss or self.side.primal(self.instance.loss, self.arguments, self.source)
        self._loss = loss
        return loss

    def _source(self) -> Any:
        """The function at the case's arguments, not recorded yet."""
        return _source(self.instance.loss, self.arguments, self.instance.analytic)


def side_of(spec: dict[str, Any]) -> HostSide | DeviceSide:
    """Where a case is computed.

    Raises:
        UnavailableError: its device is not to be had.
    """
    if spec.get("device", "cpu") == "gpu":
        from .gpu_side import DeviceSide

        return DeviceSide()
    from .host_side import HostSide

    return HostSide()


def blas() -> list[dict[str, Any]]:
    """What threadpoolctl says of the numerical libraries that are loaded; no paths."""
    from threadpoolctl import threadpool_info

    keys = ("user_api", "internal_api", "version", "num_threads", "threading_layer", "architecture")
    return [{key: one[key] for key in keys if key in one} for one in threadpool_info()]


def source_of(instance: Any) -> Any:
    """The function of a problem at its data, not recorded yet."""
    return _source(instance.loss, instance.args, instance.analytic)


def _source(loss: Callable[..., Any], arguments: tuple[Any, ...], analytic: Callable[..., Any] | None) -> Any:
    from ..operators import source

    return source(loss, arguments, {}, 0, analytic)


def warm_up(backend: Any, operator: str, side: HostSide | DeviceSide) -> None:
    """Differentiate a loss of one equation, so that imports and first-time costs are not charged to the case.

    Args:
        backend: what is about to be measured.
        operator: what it will be asked for.
        side: where it computes.
    """
    import numpy as np

    from .operation import Operation

    def loss(x: Any) -> Any:
        return np.sum(x * x)

    def analytic(x: Any) -> Any:
        return np.sum(x * x), 2 * x

    with contextlib.suppress(Exception):  # what fails here fails in its own phase, and is reported there
        here = _source(loss, (np.ones(2),), analytic)
        there = here if side.name == "cpu" else _source(loss, side.place((np.ones(2),)), analytic)
        operation = side.operation(Operation.drawn(operator, here, 0), there)
        operation.result(operation.prepare(backend))


def _finite(value: float) -> float | None:
    value = float(value)
    return value if abs(value) < float("inf") else None


def _plain(stats: Any) -> dict[str, Any]:
    """The numbers and texts among a backend's statistics."""
    from ..execution.notes import settled  # with NumPy, after the limits are set

    kept: dict[str, Any] = {}
    for key, value in settled(stats).items():
        if isinstance(value, str):
            kept[str(key)] = limits.shorten(value)
        elif isinstance(value, bool | int):
            kept[str(key)] = int(value) if not isinstance(value, bool) else value
        elif isinstance(value, float):
            kept[str(key)] = _finite(value)
    return kept
