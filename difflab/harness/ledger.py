"""What a run knows so far, rebuilt from its events: the one reading that the coordinator and the results share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ledger:
    """The state of a run, by case id (``truths``: by the key of the reference).

    ``checks`` holds what the pass for memory and accuracy found, ``epochs`` the timing of each process by its number,
    ``sentinels`` what the noise sentinel said meanwhile, ``ends`` the final outcome; ``begun`` the pass in which a case
    was last seen, ``active`` the cases that were in one when the last coordinator stopped.  ``lost`` counts the events
    that damage has taken, ``speeds`` is the calibration of the machine.  ``environment`` is the number of the present
    environment, from 0, and ``environments`` says in which one a case was measured last; after a change of machine or
    versions, what is not finished is measured afresh, so every case is of one environment.  ``nodes`` are the numbers
    of the environments that nodes of a cluster are, by their identity.  ``drawing`` says where the tape is that the
    page draws, or why there is none.
    """

    truths: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    epochs: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    begun: dict[str, str] = field(default_factory=dict)
    active: set[str] = field(default_factory=set)
    sentinels: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    seconds: float | None = None
    speeds: dict[str, Any] | None = None
    lost: int = 0
    environment: int = 0
    environments: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    drawing: dict[str, Any] | None = None

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
            if (number := event.get("environment", self.environment)) != self.environment:
                self._change_environment(number)  # the event that said so is lost
        elif kind in ("checked", "epoch", "finished"):
            self.active.discard(case)
            present = self.environments.get(case, self.environment) if kind == "finished" else self.environment
            self.environments[case] = event.get("environment", present)  # a node's own, in a run on a cluster
        if kind == "reference":
            self.truths[event["truth"]] = event["data"]
        elif kind == "started":
            self.begun[case] = event["pass"]
            self.active.add(case)
        elif kind == "checked":
            self.checks[case] = event["data"]
        elif kind == "epoch":
            self.epochs.setdefault(case, {})[event["epoch"]] = event["data"]
        elif kind == "sentinel":
            for one in event["cases"]:
                self.sentinels.setdefault(one, {})[event["epoch"]] = event["data"]
        elif kind == "finished":
            self.ends[case] = event
        elif kind == "calibrated":
            self.speeds = event["data"]
        elif kind == "drawing":
            self.drawing = event["data"]
        elif kind == "node":
            self.nodes[event["identity"]] = event
        elif kind == "block_moved":
            self._forget(event["cases"])
        elif kind == "environment_changed":
            self._change_environment(event["number"])
        elif kind == "lost":  # by damage, and marked by a repair: it may have been the end of what seems active
            self.lost += event["last"] - event["first"] + 1
            self.active.clear()
        elif kind == "run_finished":
            self.seconds = event["seconds"]

    def _change_environment(self, number: int) -> None:
        """Go on in another environment: what it did not see finished is as if it had never been measured."""
        self.environment, self.speeds = number, None
        for measured in (self.checks, self.epochs, self.sentinels, self.environments):
            for case in [case for case in measured if case not in self.ends]:
                del measured[case]

    def _forget(self, cases: Iterable[str]) -> None:
        """Cases that go on on another machine are as if they had never been measured."""
        for case in cases:
            for measured in (self.checks, self.epochs, self.sentinels, self.environments, self.ends, self.begun):
                measured.pop(case, None)
            self.active.discard(case)

    @property
    def next_environment(self) -> int:
        """A number that no environment has yet."""
        numbers = [one["number"] for one in self.nodes.values()]
        return 1 + max([self.environment, *numbers, *self.environments.values()])

    def samples(self, case: str) -> list[list[float]]:
        """The raw samples of a case in seconds per call, one list per process."""
        return [data["samples"] for _, data in sorted(self.epochs.get(case, {}).items())]
