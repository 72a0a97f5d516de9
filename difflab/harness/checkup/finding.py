"""One line of what ``difflab doctor`` says, and a worker that is asked one thing."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..process import START_SECONDS, Worker, ask

OK, NOTE, PROBLEM = "ok", "note", "problem"
REINSTALL = "This is a fault of difflab or of its installation: install it afresh, and report it if that does not help."


class Finding(NamedTuple):
    """One line: ``what`` was looked at, its ``state`` (ok, note, problem), a ``figure``, and the ``advice``, if any."""

    what: str
    state: str
    figure: str
    advice: str = ""


def answer_of(worker: Worker, command: dict[str, Any]) -> dict[str, Any] | str:
    """The answer of a worker that is ended afterwards, or why there is none."""
    try:
        answer = ask(worker, command, START_SECONDS)
        return answer if answer is not None else (worker.verdict or ("", "no answer"))[1]
    finally:
        worker.close()
