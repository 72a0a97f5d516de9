"""One line of what ``difflab doctor`` says, and a worker that is asked one thing."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..process import START_SECONDS, Worker, ask

OK, NOTE, PROBLEM, OPTION = "ok", "note", "problem", "option"
"""A problem keeps difflab from measuring rightly, a note makes measuring worse, an option is not installed."""

REINSTALL = "This is a fault of difflab or of its installation: install it afresh, and report it if that does not help."


class Finding(NamedTuple):
    """One thing that was looked at.

    ``what`` it is, its ``state`` (ok, note, problem, option), a ``figure``, the ``advice`` if there is something to
    change, and what that would ``gain`` as far as it could be measured here.
    """

    what: str
    state: str
    figure: str
    advice: str = ""
    gain: str = ""


def answer_of(worker: Worker, command: dict[str, Any]) -> dict[str, Any] | str:
    """The answer of a worker that is ended afterwards, or why there is none."""
    try:
        answer = ask(worker, command, START_SECONDS)
        return answer if answer is not None else (worker.verdict or ("", "no answer"))[1]
    finally:
        worker.close()
