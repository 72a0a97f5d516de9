"""The parts of a page between its answer and the table of all rows: those that a study wants, in its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BARS, BOARDS, MATRIX, CHART = "bars", "boards", "matrix", "chart"
GRAPH, LISTING, MISSING = "graph", "listing", "missing"
HEADINGS = {"bars": "Bars", "scoreboard": "Scoreboard", "graph": "The graph"}
WHY = {
    "bars": "The study sets no bars.",
    "forecast": "No case has both a forecast and a measured time.",
    "graph": "The study has no table [drawing], so no graph was drawn.",
    "first": "No bar of the study is about times, so first calls are not put beside each other.",
}
NOTHING = "This run holds nothing to show here."


@dataclass(frozen=True)
class Part:
    """A section: ``what`` kind of one, the ``item`` it shows, and its place in the list of contents.

    ``empty`` are sections without anything to see, which say why and are not in the list of contents.
    """

    what: str
    anchor: str
    heading: str
    item: Any = None
    empty: bool = False


def parts(shown: Mapping[str, Any], wanted: Sequence[str]) -> list[Part]:
    """The sections of a page in their order.

    Args:
        shown: the contents of the page.
        wanted: the anchors that the study asks for; without any, all of the kind come in the order of their kind.

    Returns:
        Of what is asked for and has no data, a section that says why.
    """
    found = {part.anchor: part for part in _all(shown)}
    if not wanted or shown["refused"]:
        return list(found.values())
    return [found[name] if name in found else _nothing(name) for name in wanted]


def _all(shown: Mapping[str, Any]) -> Iterable[Part]:
    if shown["bars"]:
        yield Part(BARS, "bars", HEADINGS["bars"])
    if shown["boards"]:
        yield Part(BOARDS, "scoreboard", HEADINGS["scoreboard"])
    if shown["matrix"]:
        yield Part(MATRIX, "matrix", shown["matrix"]["caption"])
    for chart in shown["charts"]:
        yield Part(CHART, chart.anchor, chart.heading, chart, bool(chart.missing))
    if shown["graph"]:
        yield Part(GRAPH, "graph", shown["graph"].heading, None, bool(shown["graph"].missing))
    for listing in shown["listings"]:
        yield Part(LISTING, listing.anchor, listing.heading, listing)


def _nothing(anchor: str) -> Part:
    """A section for what a study asks for and its run does not hold."""
    heading = HEADINGS.get(anchor, anchor[0].upper() + anchor[1:].replace("-", " "))
    return Part(MISSING, anchor, heading, WHY.get(anchor, NOTHING), empty=True)
