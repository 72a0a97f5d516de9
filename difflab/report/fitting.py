"""A page made to fit its budget: what has no room is left out with a sentence that says where to find it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import numbers, raster
from .budget import MARKS, PAGE, PANELS, ROWS_OF_A_TABLE
from .charts import Chart, Panel
from .kinds import Listing
from .svg import Later, Picture

EXPORT = "difflab export RUN writes all of them"
LEFT_OUT = ("boards", "bars", "listings", "charts", "references")


def charts(found: Sequence[Chart], said: Sequence[str]) -> list[Chart]:
    """The charts with as many panels, and as many rows in their tables, as a page has room for.

    Args:
        found: all charts of a page, with all their panels.
        said: the sentences of the answer; the panels that they name are kept.
    """
    return [_fitted(chart, " ".join(said)) for chart in found]


def _fitted(chart: Chart, said: str) -> Chart:
    shown, notes = _panels(chart, said), list(chart.notes)
    if len(shown) < len(chart.panels):
        spoken = " and those of which the answer speaks" if any(_named(panel, said) for panel in shown) else ""
        notes.append(
            f"{len(shown)} of {numbers.counted(len(chart.panels), 'panel')} are drawn, the first ones{spoken}. The "
            'others are drawn by difflab.load("RUN").figures(), and by the page of a study of fewer problems.'
        )
    rows = chart.rows
    if len(rows) > ROWS_OF_A_TABLE:
        titles = {panel.title for panel in shown}
        rows = ([row for row in rows if row[0] in titles] or rows)[:ROWS_OF_A_TABLE]
        notes.append(f"{_some(len(rows), len(chart.rows))} stand under The numbers of this chart; {EXPORT}.")
    if dense := [panel for panel in shown if _dense(panel)]:
        have = f"{numbers.counted(len(dense), 'panel')} {'has' if len(dense) == 1 else 'have'}"
        more = f"{have} more than {numbers.grouped(MARKS)} marks, which are"
        notes.append(f"{more} drawn as pixels and have no tips; their numbers are in the table.")
    return replace(chart, panels=tuple(shown), rows=tuple(rows), notes=tuple(notes))


def _dense(panel: Panel) -> bool:
    return isinstance(panel.picture, Picture | Later) and raster.dense(panel.picture.drawn())


def _panels(chart: Chart, said: str) -> list[Panel]:
    if len(chart.panels) <= PANELS:
        return list(chart.panels)
    order = sorted(range(len(chart.panels)), key=lambda k: (not _named(chart.panels[k], said), k))
    return [chart.panels[k] for k in sorted(order[:PANELS])]


def _named(panel: Panel, said: str) -> bool:
    """Whether the answer names what a panel shows, as a word of its own."""
    return bool(panel.title) and re.search(rf"(?<![\w-]){re.escape(panel.title)}(?![\w-])", said) is not None


def listings(found: Sequence[Listing]) -> list[Listing]:
    """The further tables, those without a row left out, with as many rows as a page has room for.

    Args:
        found: all further tables of a page.
    """
    kept = []
    for one in found:
        rows = one.table.rows
        if len(rows) > ROWS_OF_A_TABLE:
            shown = rows[:ROWS_OF_A_TABLE]
            text = f"{one.text} {_some(len(shown), len(rows))} are shown, the first ones; {EXPORT}."
            one = replace(one, text=text, table=replace(one.table, rows=shown))
        if rows:
            kept.append(one)
    return kept


def _some(shown: int, whole: int) -> str:
    return f"{numbers.grouped(shown)} of {numbers.counted(whole, 'row')}"


def refusal(size: int) -> str:
    """Why a page is not written whole, and what to do; nothing of a page that is small enough.

    Args:
        size: of the page in bytes.

    >>> refusal(2_000_000)
    ''
    >>> refusal(23_400_000).partition(":")[0]
    'The whole page would take 23.4 MB, more than the 10 MB that a browser opens at once'
    """
    if size <= PAGE:
        return ""
    return (
        f"The whole page would take {size / 1e6:.1f} MB, more than the {PAGE / 1e6:g} MB that a browser opens at once: "
        "only its answer is shown. Run a study of fewer problems, sizes or backends, or get every number with "
        "difflab export RUN."
    )


def short(shown: Mapping[str, Any], why: str) -> dict[str, Any]:
    """The contents of a page without its charts and tables.

    Args:
        shown: the contents of the whole page.
        why: what is said instead.
    """
    return {
        **shown,
        **{name: () for name in LEFT_OUT},
        "matrix": None,
        "processes": None,
        "table": replace(shown["table"], rows=()),
        "details": None,
        "refused": why,
    }
