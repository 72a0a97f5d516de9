"""What rests on what in the events of a run: which of them must not stand when others are lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .journal import LOST
from .ledger import Ledger
from .store import NAMING
from .study_kinds import KINDS

JUDGED = ("accuracy", "examine")
"""The phases in which a case is given its outcome by what was found, and not by how its worker died."""

Events = Mapping[int, dict[str, Any]]


def unfounded(
    manifest: Mapping[str, Any], events: Events, fault_of_file: Callable[[dict[str, Any]], str | None]
) -> dict[int, str]:
    """The events that must not stand any more.

    A reference needs its file, and so does what the page draws.  The outcome of a case that was judged needs its check,
    its reference, and, where it was timed, its processes without a gap: as many as the study asks for, or all, if
    nothing before it is lost.  What made its worker fail needs nothing.  In a quick run one process is timed and
    judged, so neither stands without the other.  The end of the run needs an outcome for every case, every reference,
    and what its page draws.

    Args:
        manifest: of the run.
        events: by their numbers; what is missing is lost.
        fault_of_file: what is wrong with the file that a record names, or ``None``.

    Returns:
        Why, by the number of the event.
    """
    plan = _Plan(manifest)
    withdrawn: dict[int, str] = {}
    for number, event in events.items():
        if event["kind"] in NAMING and (fault := fault_of_file(event["data"])) is not None:
            withdrawn[number] = f"its file {event['data']['file']} {fault}"
    withdrawn |= _measured_before_a_lost_change(events, plan.once)
    if plan.once and plan.timed:
        withdrawn |= _halves({number: event for number, event in events.items() if number not in withdrawn})
    ledger, gap, expected, ends = Ledger(), False, 0, []
    for number, event in sorted(events.items()):
        gap = gap or number > expected or event["kind"] == LOST
        expected = number + 1
        if number in withdrawn:
            gap = True
        elif event["kind"] == "finished" and (why := plan.lacking(event, ledger, gap)):
            withdrawn[number] = why
        elif event["kind"] == "run_finished":
            ends.append(number)
        else:
            ledger.apply(event)
    withdrawn |= _of_unknown_environments(events, ledger)
    if why := plan.open(ledger):
        withdrawn |= dict.fromkeys(ends, why)
    return dict(sorted(withdrawn.items()))


class _Plan:
    """What the manifest says a run has to have."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        kind = KINDS[manifest["study"].get("answer", "compare")]
        self.timed = kind.timed
        self.once = bool(manifest.get("quick")) or not kind.timed
        self.processes = (manifest["study"].get("timing") or {}).get("processes", 1)
        self.truths = {
            case["id"]: block["truth"] for block in manifest["blocks"] for case in block["cases"] if kind.reference
        }
        self.draws = manifest["study"].get("drawing") is not None
        self.cases = [case["id"] for block in manifest["blocks"] for case in block["cases"]]

    def lacking(self, end: Mapping[str, Any], ledger: Ledger, gap: bool) -> str | None:
        """What the outcome of a case rests on and is not there; ``gap``: whether anything before it is lost."""
        case = end["case"]
        epochs = ledger.epochs.get(case, {})
        judged = end["outcome"] == "ok" or (end["phase"] in JUDGED and not end["data"])
        timing = self.timed and not self.once and (bool(epochs) or ledger.begun.get(case) == "time")
        if (judged or timing) and case not in ledger.checks:
            return "its check is lost"
        if not judged:
            return None
        if case in self.truths and self.truths[case] not in ledger.truths:
            return "its reference is lost"
        if not self.timed or (end["outcome"] != "ok" and not self.once):
            return None
        needed = 1 if self.once else self.processes
        if set(epochs) != set(range(len(epochs))) or (gap and len(epochs) < needed):
            return "some of its processes are lost"
        return None

    def open(self, ledger: Ledger) -> str | None:
        """Why the run is not at its end."""
        if any(case not in ledger.ends for case in self.cases):
            return "not every case has its outcome"
        if any(truth not in ledger.truths for truth in self.truths.values()):
            return "a reference is lost"
        if self.draws and ledger.drawing is None:
            return "what the page draws is lost"
        return None


def _halves(events: Events) -> dict[int, str]:
    """The checks of a quick run whose timing, by the same process, is lost."""
    timed = {event["case"] for event in events.values() if event["kind"] == "epoch"}
    checks = {number: event for number, event in events.items() if event["kind"] == "checked"}
    return {number: "its timing is lost" for number, event in checks.items() if event["case"] not in timed}


def _measured_before_a_lost_change(events: Events, once: bool) -> dict[int, str]:
    """Measurements that were made afresh later: the change of environment between them is lost, the old ones go.

    Elsewhere nothing is measured twice, but for what a quick run was killed in.  Where the new ones are lost in part,
    the number of the environment tells the rest from the old ones.
    """
    found: dict[int, str] = {}
    seen: dict[tuple[str, Any], int] = {}
    measured: dict[str, list[int]] = {}
    places: dict[str, int] = {}
    gaps: list[int] = []
    expected = 0
    for number, event in sorted(events.items()):
        if number > expected or event["kind"] == LOST:
            gaps.append(number)
        expected = number + 1
        if event["kind"] in ("environment_changed", "block_moved"):
            for case in event.get("cases", list(measured)):
                measured.pop(case, None)
                places.pop(case, None)
        if once or event["kind"] not in ("checked", "epoch"):
            continue
        case, key = event["case"], (event["case"], event.get("epoch"))
        gap = max((place for place in gaps if place <= number), default=-1)
        again = seen.get(key) in measured.get(case, ()) and seen[key] < gap
        place = event.get("environment", 0)
        if again or places.get(case, place) != place:
            found |= dict.fromkeys([one for one in measured[case] if one < gap], "it was measured again later")
        seen[key], places[case] = number, place
        measured.setdefault(case, []).append(number)
    return found


def _of_unknown_environments(events: Events, ledger: Ledger) -> dict[int, str]:
    """Measurements of open cases in an environment of which nothing is known any more: none can be added to them."""
    kinds = ("environment_changed", "node")
    described = {0, *(event["number"] for event in events.values() if event["kind"] in kinds)}
    return {
        number: "the description of its environment is lost"
        for number, event in events.items()
        if event["kind"] in ("checked", "epoch")
        and event.get("environment", 0) not in described
        and event["case"] not in ledger.ends
    }
