"""A worker: one fresh interpreter that opens one case and answers one command at a time.

Commands and answers are JSON lines on two private pipes, so nothing that a case prints can disturb them.  Nothing is
imported before it is needed: a worker's modules are those of its problem and its backend.  Every failure of a case
becomes a verdict (an outcome and a reason); what kills the worker outright is judged by the coordinator.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from ..errors import ForecastError, StoreError, TraceError, UnavailableError, UnsupportedError
from . import gpu_memory, limits, sentinel
from .finite_loss import LossError
from .guardian import guard
from .session import Session


class Channel:
    """The worker's end of the two pipes."""

    def __init__(self, commands: int, messages: int) -> None:
        for descriptor in (commands, messages):
            os.set_inheritable(descriptor, False)
        self._commands = open(commands, "rb")
        self._messages = messages

    def next(self) -> dict[str, Any] | None:
        """The next command, or ``None`` when the coordinator has no more."""
        line = self._commands.readline()
        return json.loads(line) if line else None

    def say(self, kind: str, **data: Any) -> None:
        """Send one message."""
        line = json.dumps({"kind": kind, **data}, allow_nan=False).encode() + b"\n"
        while line:
            line = line[os.write(self._messages, line) :]

    def phase(self, name: str) -> None:
        """Announce what begins now, so that a death is known by its phase."""
        self.say("phase", phase=name)


def describe() -> dict[str, Any]:
    """What computes, and whether memory can be measured."""
    import numpy  # noqa: F401  # its BLAS is what computes

    from . import kernels, memory

    tested = {**memory.self_test(), "arrays": memory.array_self_test()}
    return {"blas": kernels.loaded(), "memory_self_test": tested}


def look(channel: Channel, question: dict[str, Any]) -> dict[str, Any]:
    """What there is to choose from: one question, which may import a module of the study."""
    channel.phase("look-up")
    from . import catalogue

    return catalogue.look(question)


def inspect_kernels(command: dict[str, Any]) -> dict[str, Any]:
    """Which kernels compute, whether they do so rightly, and how fast."""
    from . import kernels

    return kernels.inspect(command)


def trial(command: dict[str, Any]) -> dict[str, Any]:
    """Try what ``difflab doctor`` asks for."""
    from . import trials

    return trials.trial(command)


def truth(channel: Channel, command: dict[str, Any]) -> dict[str, Any]:
    """Compute the reference of a problem and write it to a file; ``unwritten`` says why that could not be written."""
    channel.phase("reference")
    from . import accuracy

    try:
        return accuracy.make_reference(command["spec"], command["path"], command["seconds"])
    except StoreError as fault:
        return {"unwritten": str(fault)}


def record_drawing(channel: Channel, command: dict[str, Any]) -> dict[str, Any]:
    """Record the loss that the page draws and write its tape to a file; ``unwritten`` says why that could not be."""
    channel.phase("trace")
    from . import drawings

    return drawings.record(command["spec"], command["path"])


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Examine the open case in the way of the study's kind: ``outcome``, ``reason`` and ``findings``, a JSON value."""
    session.channel.phase("examine")
    way = importlib.import_module(f".examinations.{command['kind']}", __package__)
    return way.examine(session, command)


def describe_gpu(channel: Channel) -> dict[str, Any]:
    """The GPU that cases of this run would be computed on."""
    channel.phase("look for a GPU")
    from . import gpu_facts

    return gpu_facts.facts()


def measure_speeds(channel: Channel) -> dict[str, Any]:
    """A calibration of this machine, for forecasts of times."""
    channel.phase("calibrate")
    from . import calibration

    return calibration.measure()


def survey(channel: Channel, command: dict[str, Any]) -> dict[str, Any]:
    """Forecasts of the cases of a block."""
    from . import survey as block

    return block.survey(channel, command, verdict)


def verdict(fault: BaseException) -> tuple[str, str]:
    """The outcome and reason of an exception that a case raised."""
    text = limits.shorten(_message(fault))
    if gpu_memory.out_of_memory(fault):
        return "memory_limit", limits.shorten(f"{gpu_memory.MECHANISM}: the device has no more memory: {text}")
    if isinstance(fault, ForecastError):
        return "skipped_predicted", text
    if isinstance(fault, LossError):
        return "invalid", text
    if isinstance(fault, MemoryError):
        return "memory_limit", text or "MemoryError: the memory limit was reached"
    wanting = UnsupportedError | UnavailableError | TraceError
    if isinstance(fault, wanting | NotImplementedError):  # JAX and autograd raise the latter for want of a rule
        return "unsupported", text
    frames = [frame for frame in traceback.extract_tb(fault.__traceback__)]
    where = f" (at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return "crash", f"{type(fault).__name__}: {text}{where}" if text else f"{type(fault).__name__}{where}"


def _message(fault: BaseException) -> str:
    try:
        return str(fault)
    except BaseException:  # a user's exception may fail to print itself, and in any way
        return ""


def serve(channel: Channel, granted: dict[str, bool]) -> None:
    """Answer commands until there are no more; ``granted`` is what ``limits.settle`` was allowed."""
    session = Session(channel)
    steps: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "gpu": lambda _: describe_gpu(channel),
        "describe": lambda _: {**describe(), "worker_limits": granted},
        "look": lambda command: look(channel, command["question"]),
        "reference": lambda command: truth(channel, command),
        "drawing": lambda command: record_drawing(channel, command),
        "open": session.open,
        "forecast": session.forecast,
        "measure_speeds": lambda _: measure_speeds(channel),
        "survey": lambda command: survey(channel, command),
        "prepare": session.prepare,
        "first": session.first,
        "calibrate": session.calibrate,
        "slice": session.slice,
        "memory": session.memory,
        "arrays": session.arrays,
        "accuracy": session.accuracy,
        "kernels": inspect_kernels,
        "trial": trial,
        "sentinel": lambda _: sentinel.reading(),
        "examine": lambda command: examine(session, command),
    }
    while (command := channel.next()) is not None:
        try:
            answer = steps[command["do"]](command)
            channel.say("answer", data=answer)
        except BaseException as fault:  # whatever a case raises is a verdict on it
            outcome, reason = verdict(fault)
            if gpu_memory.out_of_memory(fault):
                channel.say("partial", data={"mechanism": gpu_memory.MECHANISM})
            del fault
            channel.say("verdict", outcome=outcome, reason=reason)


def main() -> None:
    """Run as ``python -m difflab.harness.worker COMMANDS MESSAGES PARENT``: two descriptors and a process id."""
    commands, messages, parent = (int(argument) for argument in sys.argv[1:4])
    guarded = guard(parent, (commands, messages))
    granted = {**limits.settle(os.getppid() if guarded else parent), "guarded": guarded}
    sys.path.append(os.getcwd())  # last: a study's own modules are found and cannot shadow any other
    channel = Channel(commands, messages)
    channel.say("hello", pid=os.getpid())
    serve(channel, granted)
    os._exit(0)  # nothing to tidy: libraries' exit handlers only take time


if __name__ == "__main__":
    main()
