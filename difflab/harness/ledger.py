"""What a run knows so far, rebuilt from its events: the one reading that the coordinator and the results share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ledger:
    """The state of a run, by case id (``truths``: by the key of the reference).

    ``checks`` holds what the pass for memory and accuracy found, ``epochs`` the timing of each process by its number,
    ``ends`` the final outcome; ``begun`` the pass in which a case was last seen, ``active`` the cases that were in one
    when the last coordinator stopped.
    """

    truths: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    epochs: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    active: set[str] = field(default_factory=set)
    seconds: float | None = None

    @staticmethod
    def of(events: Iterable[dict[str, Any]]) -> Ledger:
        """The state after ``events``."""
        ledger = Ledger()
        for event in events:
            ledger.apply(event)
        return ledger

    def apply(self, event: dict[str, Any]) -> None:
        """Take in one event; kinds that say nothing of cases are passed over."""
        kind, case = event["kind"], event.get("case", "")
        if kind == "run_started":
            self.active.clear()  # whatever an earlier coordinator had begun ended with it
        elif kind in ("checked", "epoch", "finished"):
            self.active.discard(case)
        if kind == "reference":
            self.truths[event["truth"]] = event["data"]
        elif kind == "started":
            self.begun[case] = event["pass"]
            self.active.add(case)
        elif kind == "checked":
            self.checks[case] = event["data"]
        elif kind == "epoch":
            self.epochs.setdefault(case, {})[event["epoch"]] = event["data"]
        elif kind == "finished":
            self.ends[case] = event
        elif kind == "run_finished":
            self.seconds = event["seconds"]

    def samples(self, case: str) -> list[list[float]]:
        """The raw samples of a case in seconds per call, one list per process."""
        return [data["samples"] for _, data in sorted(self.epochs.get(case, {}).items())]
