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

from ..errors import ForecastError, TraceError, UnavailableError, UnsupportedError
from . import limits
from .finite_loss import LossError
from .session import Session, blas


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


def describe(command: dict[str, Any]) -> dict[str, Any]:
    """What there is to choose from, what computes, and whether memory can be measured."""
    from . import catalogue, memory

    found = catalogue.collect([tuple(one) for one in command["backends"]], command["problems"])
    return {"catalogue": found.to_json(), "blas": blas(), "memory_self_test": memory.self_test()}


def truth(channel: Channel, command: dict[str, Any]) -> dict[str, Any]:
    """Compute the reference of a problem and write it to a file."""
    channel.phase("reference")
    from . import accuracy

    return accuracy.make_reference(command["spec"], command["path"], command["seconds"])


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Examine the open case in the way of the study's kind: ``outcome``, ``reason`` and ``findings``, a JSON value."""
    session.channel.phase("examine")
    way = importlib.import_module(f".examinations.{command['kind']}", __package__)
    return way.examine(session, command)


def verdict(fault: BaseException) -> tuple[str, str]:
    """The outcome and reason of an exception that a case raised."""
    text = limits.shorten(_message(fault))
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
    except Exception:  # a user's exception may fail to print itself
        return ""


def serve(channel: Channel, granted: dict[str, bool]) -> None:
    """Answer commands until there are no more; ``granted`` is what ``limits.settle`` was allowed."""
    session = Session(channel)
    steps: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "describe": lambda command: {**describe(command), "worker_limits": granted},
        "reference": lambda command: truth(channel, command),
        "open": session.open,
        "forecast": session.forecast,
        "prepare": session.prepare,
        "first": session.first,
        "calibrate": session.calibrate,
        "slice": session.slice,
        "memory": session.memory,
        "arrays": session.arrays,
        "accuracy": session.accuracy,
        "examine": lambda command: examine(session, command),
    }
    while (command := channel.next()) is not None:
        try:
            answer = steps[command["do"]](command)
            channel.say("answer", data=answer)
        except (Exception, SystemExit, KeyboardInterrupt) as fault:
            outcome, reason = verdict(fault)
            del fault
            channel.say("verdict", outcome=outcome, reason=reason)


def main() -> None:
    """Run as ``python -m difflab.harness.worker COMMANDS MESSAGES PARENT``: two descriptors and a process id."""
    commands, messages, parent = (int(argument) for argument in sys.argv[1:4])
    granted = limits.settle(parent)
    sys.path.append(os.getcwd())  # last: a study's own modules are found and cannot shadow any other
    serve(Channel(commands, messages), granted)
    os._exit(0)  # nothing to tidy: libraries' exit handlers only take time


if __name__ == "__main__":
    main()
