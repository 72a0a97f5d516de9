"""What is answered at traps: honest by reverse mode and wrong by JAX, or the other way round."""

from __future__ import annotations

import made_up_runs as made

from difflab.traps import FAMILIES
from difflab.traps.record import Trap


def _answer(trap: Trap, verdict: str) -> dict[str, object]:
    told = ("name", "title", "sentence", "thread", "url", "dtype")
    said = {"admissible": trap.admissible.text, "answer": None, "text": "1", "verdict": verdict}
    return {name: getattr(trap, name) for name in told} | said | {"table": None, "why": ""}


def _run(reverse: str, jax: str) -> made.MadeUpRun:
    rows = []
    for label, verdict, library in (("reverse", reverse, ""), ("JAX", jax, "JAX 0.4")):
        answers = [_answer(trap, verdict) for trap in FAMILIES["kinks"]]
        place = {"problem": "difflab.traps:PROBLEM", "size": "kinks"}
        rows.append(made.row(label, findings={"library": library, "traps": answers}, **place))
    return made.run(rows, answer="traps", baseline="")


COUNT = len(FAMILIES["kinks"])
AGREES = _run("admissible", "outside")
OPPOSES = _run("outside", "admissible")
SAYS = rf"reverse mode answers {COUNT} honestly and JAX 0\..*nobody would notice: {COUNT} from JAX"
SAYS_INSTEAD = rf"JAX answers {COUNT} honestly and reverse mode 0\..*nobody would notice: {COUNT} from reverse mode"
