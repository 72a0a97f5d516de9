"""What a chart of a page is made of: panels, a legend beside them, a caption, and its data as a table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import numbers
from .cases import Case, Group
from .nouns import noun
from .style import Look
from .svg import Later, Picture, Shown, inline

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Limits:
    """What one case was allowed: seconds of computing and bytes; ``None`` where the study does not say."""

    seconds: float | None = None
    memory: float | None = None


@dataclass(frozen=True)
class Panel:
    """One chart ready for the page; its ``picture`` is drawn, and written out when the page asks for ``svg``."""

    title: str
    picture: Shown

    @property
    def svg(self) -> str:
        """The picture as trusted markup, written anew each time."""
        return self.picture.markup()


@dataclass(frozen=True)
class Chart:
    """A section of the page.  Without panels, ``missing`` says why there is nothing to see."""

    anchor: str
    heading: str
    caption: tuple[str, ...]
    keys: tuple[dict[str, Any], ...] = ()
    panels: tuple[Panel, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    missing: str = ""
    notes: tuple[str, ...] = field(default=())


Draw = Callable[[Group], tuple["Figure", dict[str, str]]]


def missing(anchor: str, heading: str, why: str) -> Chart:
    """A chart that says why it is not there."""
    return Chart(anchor, heading, (), missing=f"This chart is left out: {why}.")


def several(groups: Sequence[Group], growth: bool = False) -> tuple[list[Group], list[Group]]:
    """The groups worth a panel, and those of one size only, or for ``growth`` of one number of parameters."""
    worth = [len({number for _, number in group.sizes} if growth else group.sizes) > 1 for group in groups]
    if not any(worth):
        return list(groups), []
    found = list(zip(groups, worth, strict=True))
    return [group for group, shown in found if shown], [group for group, shown in found if not shown]


def table_only(groups: Sequence[Group]) -> tuple[str, ...]:
    """Notes that name the groups that show no growth, which have no panel."""
    single = [group.title for group in groups if len(group.sizes) < 2]
    level = [group.title for group in groups if len(group.sizes) > 1]
    told = ((single, "one size only"), (level, "the same number of parameters at every size"))
    return tuple(
        f"{numbers.listed(titles)} {'has' if len(titles) == 1 else 'have'} {what}: in the table, not drawn."
        for titles, what in told
        if titles
    )


def drawn(
    groups: Sequence[Group], anchor: str, heading: str, draw: Draw, words: Callable[[Group], str]
) -> tuple[Panel, ...]:
    """A panel per group: what ``draw`` makes of it, described by ``words``, when it is asked for."""

    def picture(number: int, group: Group) -> Picture:
        figure, tips = draw(group)
        return inline(figure, f"{anchor}{number}", f"{heading}, {group.title}", words(group), tips)

    return tuple(
        Panel(group.title, Later(functools.partial(picture, number, group))) for number, group in enumerate(groups)
    )


def shown(groups: Sequence[Group], looks: dict[str, Look], visible: Callable[[Case], bool]) -> list[str]:
    """The backends of which something is to be seen, in the order of the page."""
    there = {case.backend for group in groups for case in group.cases if visible(case)}
    return [name for name in looks if name in there]


def what(groups: Sequence[Group]) -> str:
    """What the cases of a chart compute."""
    return noun(case for group in groups for case in group.cases)


def wrong_words(groups: Sequence[Group]) -> str:
    """The outcome of a wrong case in words."""
    return "wrong gradient" if what(groups) == "gradient" else "wrong result"


def placed(group: Group, case: Case) -> tuple[str, str, str]:
    """The first cells of a row: problem, size and number of parameters."""
    return group.title, case.size, numbers.count(case.n_params)


def interval_note(groups: Sequence[Group]) -> tuple[str, ...]:
    """What bars are, or why there are none."""
    if any(c.call_s_low is not None and c.call_s_high is not None for g in groups for c in g.cases):
        return ("Bars are 95 % intervals over processes; where none is visible, it is narrower than the mark.",)
    if not any(c.call_s for g in groups for c in g.cases):
        return ()
    return ("There are no intervals: each case was timed in too few processes for one.",)


def per_backend(group: Group, words: Callable[[Case], str]) -> str:
    """A sentence per backend for those who do not see a chart: of more than four sizes three."""
    lines = []
    for backend in dict.fromkeys(case.backend for case in group.cases):
        said = [text for case in group.of(backend) if (text := words(case))]
        if len(said) > 4:
            said = [said[0], said[len(said) // 2], said[-1]]
        if said:
            lines.append(f"{backend}: {', '.join(said)}.")
    return " ".join(lines)
