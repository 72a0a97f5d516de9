"""Messages of a worker as the coordinator takes them in: bounded, checked, and believed only in form.

A case runs in the process that sends them, so anything may come: garbage, a line without end, a flood.  The coordinator
reads a bounded amount at a time, so that it always comes back to its clock, and a bounded amount in all.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from typing import Any

from .limits import OUTCOMES, shorten

CHUNK_BYTES = 1 << 16
AT_ONCE_BYTES = 1 << 20
MOST_BYTES = 64 << 20
PHASE_LENGTH = 40


class UnreadableError(Exception):
    """What came is no message; the text says in which way."""


class Inbox:
    """The reading end of a worker's messages.

    Args:
        descriptor: a pipe, set so that reading does not wait.
        most: the bytes that may come in answer to one command; less only in tests.
    """

    def __init__(self, descriptor: int, most: int = MOST_BYTES) -> None:
        self.descriptor, self.most = descriptor, most
        self.closed = False
        self._line = bytearray()
        self._received = 0

    def expect_answer(self) -> None:
        """A new command is given: the count of bytes begins again."""
        self._received = 0

    def take(self) -> Iterator[dict[str, Any]]:
        """The messages that have come, checked, but not all of a flood; ``closed`` is set when the other end is.

        Raises:
            UnreadableError: something came that is no message, or too much came.
        """
        for _ in range(AT_ONCE_BYTES // CHUNK_BYTES):
            chunk = read(self.descriptor)
            if not chunk:
                self.closed = chunk is not None
                return
            self._received += len(chunk)
            if self._received > self.most:
                raise UnreadableError(f"more than {self.most >> 20} MiB of messages")
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                line = bytes(self._line + end)
                self._line.clear()
                yield checked(line)
            self._line += rest


def checked(line: bytes) -> dict[str, Any]:
    """One message, which has the fields of its kind in the types they must have.

    Raises:
        UnreadableError: it is no message.

    >>> checked(b'{"kind": "phase", "phase": "first"}')
    {'kind': 'phase', 'phase': 'first'}
    """
    try:
        message = json.loads(line, parse_constant=_refuse, parse_float=_finite)
        kind = message["kind"]
        if kind == "phase":
            return {"kind": kind, "phase": shorten(str(message["phase"]), PHASE_LENGTH)}
        if kind == "hello":
            return {"kind": kind, "pid": int(message["pid"])}
        if kind in ("partial", "answer"):
            return {"kind": kind, "data": {**message["data"]}}
        if kind == "verdict" and message["outcome"] in OUTCOMES:
            return {"kind": kind, "outcome": message["outcome"], "reason": shorten(str(message["reason"]))}
    except (ValueError, KeyError, TypeError, RecursionError):  # the last by brackets without end
        raise UnreadableError("something unreadable") from None
    raise UnreadableError("a message of an unknown kind")


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text} is too large")  # the store would refuse it
    return value


def read(descriptor: int) -> bytes | None:
    """What a descriptor holds; empty at its end, ``None`` when there is nothing yet."""
    try:
        return os.read(descriptor, CHUNK_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
