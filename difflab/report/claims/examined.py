"""What the pages of examined studies share: what is said where nothing was found, and what limits an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import numbers
from ..answer import Answer
from ..cases import Case, tally_words

MOST_NAMED = 4
MOST_LABELS = 3


def nothing(cases: Sequence[Case], said: str, caveats: tuple[str, ...]) -> Answer:
    """The answer of a run in which no case has findings.

    Args:
        cases: all rows of a run.
        said: what could not be done, ``No layer was examined``.
        caveats: what limits it.
    """
    if not cases:
        return Answer(("This run holds no case, so there is no answer.",), caveats)
    return Answer((f"{said}: of {numbers.counted(len(cases), 'case')}, {tally_words(list(cases))}.",), caveats)


def by_name(cases: Sequence[Case], key: str) -> dict[str, Mapping[str, Any]]:
    """What ``findings[key]`` lists, by its ``name`` and in the order of the cases; of equal names the last one's."""
    return {one["name"]: one for case in cases if case.findings for one in case.findings[key]}


def place(case: Case) -> str:
    """``reverse on xor tiny``."""
    return f"{case.backend} on {case.place}"


def place_and_dtype(case: Case) -> str:
    """``reverse on xor tiny in float32``."""
    return f"{place(case)} in {case.dtype}"


def size(case: Case) -> str:
    """``reverse on dense-relu``, where the sizes of the one problem have names that speak for themselves."""
    return f"{case.backend} on {case.size}"


def backend(case: Case) -> str:
    """``reverse``."""
    return case.backend


def caveats(
    cases: Sequence[Case], label: Callable[[Case], str] = place, told_elsewhere: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """How far an unfinished run is, and who ended without findings: each outcome and reason once.

    Args:
        cases: all rows of a run.
        label: what a case is called.
        told_elsewhere: outcomes that the answer tells.
    """
    said = []
    if still := sum(case.outcome == "interrupted" for case in cases):
        done = f"{numbers.grouped(len(cases) - still)} of {numbers.counted(len(cases), 'case')}"
        said.append(f"Unfinished: {done} examined so far.")
    ended: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        if not case.ok and case.outcome not in ("interrupted", *told_elsewhere):
            ended.setdefault((case.outcome_words, case.reason), []).append(label(case))
    for (outcome, reason), labels in list(ended.items())[:MOST_NAMED]:
        names = list(dict.fromkeys(labels))
        many = f"{numbers.counted(len(labels), 'case')} ({names[0]}, ...)"
        who = numbers.listed(names) if len(names) <= MOST_LABELS else many
        said.append(f"{who}: {outcome}{f', {reason}' if reason else ''}".rstrip(".") + ".")
    if rest := sum(len(labels) for labels in list(ended.values())[MOST_NAMED:]):
        said.append(f"{numbers.counted(rest, 'further case')} ended without findings.")
    return tuple(said)
