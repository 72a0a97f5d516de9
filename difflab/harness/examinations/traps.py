"""One backend, or one library of others, at every trap of a family: what it answers and whether that is honest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import limits

if TYPE_CHECKING:
    from ..session import Session


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Ask the open case's backend for the gradient at each trap of the family that is its size.

    Args:
        session: with a case of ``difflab.traps:PROBLEM`` open.
        command: nothing that matters here.

    Returns:
        ``outcome``, ``reason``, ``certified`` and ``findings``: ``library`` (a peer's name and version, else empty)
        and ``traps``, a list in the order of the family.  Each holds ``name``, ``title``, ``sentence``, ``thread``,
        ``url``, ``dtype`` and ``admissible`` of the trap, and ``answer`` (numbers, or texts where JSON has none, or
        ``None``), ``text``, ``verdict``, ``table`` and ``why`` of what was answered.
    """
    from ...traps import FAMILIES
    from ...traps.judge import Difflab, ask, why
    from ...traps.peers import PEERS

    peer = isinstance(session.backend, PEERS)
    library = session.backend if peer else Difflab(session.backend)
    found = []
    for trap in FAMILIES[session.spec["size"]]:
        answer = ask(library, trap)
        found.append(
            {
                "name": trap.name,
                "title": trap.title,
                "sentence": trap.sentence,
                "thread": trap.thread,
                "url": trap.url,
                "dtype": trap.dtype,
                "admissible": trap.admissible.text,
                "answer": None if answer.numbers is None else [_plain(one) for one in answer.numbers],
                "text": answer.text,
                "verdict": answer.verdict,
                "table": answer.table,
                "why": limits.shorten(why(trap, answer, session.backend)),
            }
        )
    library = f"{session.backend.name} {session.backend.version()}" if peer else ""
    findings = {"library": library, "traps": found}
    return {"outcome": "ok", "reason": "", "certified": "each trap has a truth of its own", "findings": findings}


def _plain(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)
