"""The scoreboard of a page: a table per problem with a cell per backend and size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from . import axes, devices, numbers
from .cases import NOT_BEGUN, YARDSTICKS, Case, Group, backends, family_of, method

SENTENCE = 48  # characters of a reason that a cell of the scoreboard shows
DENSE = 3  # more sizes than this are set smaller
FORECAST = re.compile(
    r"^the forecast (?:is|needs) ([\d ]+(?:\.\d+)?) ?([KMGT]?i?B|[mnu\N{MICRO SIGN}]?s|hours|days|years)\b"
    r"(?:[^;(]*\(([\d ]+) evaluations of ([^)]*)\))?"
)


@dataclass(frozen=True)
class Score:
    """One cell of the scoreboard; ``state`` is ok, bad or none, ``lines`` come below the headline, ``tip`` a reason.

    ``icon``: the sign of the outcome in the headline; ``case``: the id of the case.
    """

    state: str
    headline: str
    lines: tuple[str, ...] = ()
    chip: str = ""
    tip: str = ""
    icon: str = ""
    case: str = ""


@dataclass(frozen=True)
class Board:
    """The scoreboard of one problem: sizes across, backends down."""

    title: str
    sizes: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, str, tuple[Score, ...]], ...]

    @property
    def dense(self) -> bool:
        """Whether there are so many sizes that the cells are set smaller."""
        return len(self.sizes) > DENSE


def scoreboard(groups: Sequence[Group]) -> list[Board]:
    """One board per problem (and dtype, device and operator, where they vary).

    Args:
        groups: the cases, by what may be compared.
    """
    boards = []
    for group in groups:
        chips = {size: _chip(group, size) for size, _ in group.sizes}
        rows = []
        for name in backends(list(group.cases)):
            cells = [group.at(size, name) for size, _ in group.sizes]
            said = method(group.of(name)[0])
            scores = tuple(_placed(_score(case, chips), case) for case in cells)
            rows.append((name, "" if said == name else said, scores))
        sizes = tuple((size, numbers.parameters(number)) for size, number in group.sizes)
        boards.append(Board(group.title, sizes, tuple(rows)))
    return boards


def _chip(group: Group, size: str) -> tuple[Case, str] | None:
    """The quickest general way at a size, or the only one of several that finished there."""
    general = [c for c in group.cases if c.size == size and family_of(c) not in YARDSTICKS]
    there = [c for c in general if c.timed]
    if len(there) == 1:
        over = len(general) > 1 and not any(case.outcome == "interrupted" for case in general)
        return (there[0], "only one") if over else None
    return (min(there, key=lambda case: case.call_s or 0.0), "quickest") if there else None


def _placed(score: Score, case: Case | None) -> Score:
    """The cell with its case, and the sign of an outcome that is said in words."""
    if case is None:
        return score
    return replace(score, case=case.case, icon=case.icon if score.headline == case.outcome_words else score.icon)


def _score(case: Case | None, chips: Mapping[str, tuple[Case, str] | None]) -> Score:
    if case is None:
        return Score("none", "not in the study")
    if case.outcome_words == NOT_BEGUN:
        return Score("none", NOT_BEGUN)
    if not case.ok:
        return Score("bad", case.outcome_words, _brief(case.reason), tip=case.reason)
    time, around = numbers.measured_apart(case.call_s, case.call_s_low, case.call_s_high)
    lines = [around] if around else []
    lines += devices.clocks(case)
    if case.digits is not None:
        lines.append(f"{numbers.digits(case.digits)} digits")
    if case.work_ratio is not None:
        lines.append(f"{numbers.factor(case.work_ratio)} {numbers.TIMES} the loss")
    if case.peak_bytes is not None:
        lines.append(f"{devices.peak(case, case.peak_bytes)} peak")
    elif case.held_bytes is not None:
        lines.append(f"{numbers.size_in_bytes(case.held_bytes)} of arrays")
    headline = time if case.call_s else "finished, not timed"
    chip = chips[case.size]
    return Score("ok", headline, tuple(lines), chip[1] if chip is not None and chip[0] is case else "")


def _brief(reason: str) -> tuple[str, ...]:
    """What a cell has room for; all of it is the cell's tip and a column of the table."""
    if found := FORECAST.match(reason):
        product = (f"{found[3]} {numbers.TIMES} {found[4]}",) if found[3] else ()
        return (f"forecast {found[1].strip()} {found[2]}", *product)
    return (axes.clipped(reason, SENTENCE),) if reason else ()
