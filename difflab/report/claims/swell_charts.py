"""The charts of expression swell: operations against depth and width, as multiples of the loss, and the time in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import axes as scales
from .. import numbers
from ..figures import Chart, Panel
from ..panels import draw_line, draw_mark
from ..style import LIMIT, MUTED, canvas, key_mark
from ..svg import inline
from .swell_details import grows, sentence
from .swell_drawing import LOOKS, censored, set_places
from .swell_laue import BAR, details
from .swell_phases import phases
from .swell_points import COUNTS, Family, Size, plain
from .swell_times import totals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GRAPHS = ("graph", "graph-by-symbol")
UNDER = frozenset({"tape", "forward_lean"})  # drawn larger and first, as a graph often has the very same count
LARGE = 11.0
MULTIPLES = {
    "forward": "forward mode, as it runs",
    "forward_lean": "forward mode, without zeros and ones",
    "graph-by-symbol": COUNTS["graph-by-symbol"],
    "tape": COUNTS["tape"],
    "graph": COUNTS["graph"],
}
TALL = 340.0  # points, a chart of many lines
BEYOND = 1e3  # a forecast is drawn at most so far above the largest count


def charts(found: Sequence[Family]) -> list[Chart]:
    """All charts, for drawing inside ``style.drawing()``.

    Args:
        found: the problems.
    """
    growing = [family for family in found if family.axis]
    made = [_operations(growing), *_multiples(growing, found), totals(growing)] if growing else []
    return [*made, phases(found)]


# ------------------------------------------------------------------------------------------------ operations


def _operations(found: Sequence[Family]) -> Chart:
    heading = "Operations against depth and width"
    panels, rows, notes = [], [], []
    for number, family in enumerate(found):
        near = _near(family)
        figure, tips = _counts(near)
        picture = inline(figure, f"operations{number}", f"{heading}, {family.title}", _words(near), tips)
        panels.append(Panel(f"{family.title}, by {family.axis}", picture))
        if near is not family:
            last = near.place(near.sizes[-1])
            notes.append(f"What is beyond {last} of {family.title} is in the table and in the next chart.")
        for size in family.sizes:
            counts = [_said(size, kind) for kind in COUNTS]
            rows.append((family.title, family.place(size), *counts, plain(size.count("equations"))))
    caption = (
        "Value and gradient together. The vertical axis is logarithmic, and so is a horizontal one of width: with "
        "depth, a straight line is a factor for every layer; with width, a power of it.",
        "Where a tree was not written out its operations are still counted on its graph, up to where that ends as "
        "well. A mark inside of one of the reverse tape has the same count, or nearly: the tape as it runs also "
        "multiplies with 1 and adds 0.",
    )
    keys: list[dict[str, Any]] = [{"text": words, **key_mark(LOOKS[kind])} for kind, words in COUNTS.items()]
    if any(size.count("tree") and not size.written() for family in found for size in family.sizes):
        keys.append({"text": "hollow: counted, not written out", **key_mark(LOOKS["tree"], hollow=True, bare=True)})
    if any(_beyond(size) for family in found for size in family.sizes):
        keys.append({"text": "arrow: more than this, by forecast", **key_mark(LOOKS["tree"], hollow=True, upward=True)})
    keys.append({"text": "the loss itself, on its tape", **key_mark(None, line="primal")})
    columns = ("Problem", "Size", *(words.capitalize() for words in COUNTS.values()), "Equations of that tape")
    if any(_beyond(size) and (size.forecast or 0) > _ceiling(family) for family in found for size in family.sizes):
        often = numbers.grouped(BEYOND)
        notes.append(f"A forecast of more than {often} times the largest count is drawn at {often} times that count.")
    notes += [sentence(text) for family in found for text in grows(family)]
    return Chart("operations", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows), notes=tuple(notes))


def _near(family: Family) -> Family:
    """Depths up to twice the deepest tree that was counted: what grows by a factor would be a wall beside the rest."""
    counted = [size.at for size in family.sizes if size.count("tree")]
    if family.axis != "depth" or not counted or family.sizes[-1].at <= 2 * counted[-1]:
        return family
    return replace(family, sizes=tuple(size for size in family.sizes if size.at <= 2 * counted[-1]))


def _said(size: Size, kind: str) -> str:
    value = size.count(kind)
    if value is None:
        return f"forecast {plain(size.forecast)}" if kind == "tree" and size.forecast else ""
    return f"{plain(value)}{'' if kind != 'tree' or size.written() else ' (not written out)'}"


def _beyond(size: Size) -> bool:
    """Whether only a forecast is known of the tree."""
    return size.count("tree") is None and bool(size.forecast)


def _ceiling(family: Family) -> float:
    return BEYOND * max((size.count(kind) or 0 for size in family.sizes for kind in COUNTS), default=1.0)


def _counts(family: Family) -> tuple[Figure, dict[str, str]]:
    """Operations of one problem against its axis."""
    figure, axes = canvas("operations", family.axis, height=TALL, bottom=38.0)
    set_places(axes, family, straight=family.axis == "depth")
    known = [value for size in family.sizes for kind in COUNTS if (value := size.count(kind))]
    heights = [min(size.forecast or 0.0, _ceiling(family)) * 5 for size in family.sizes if _beyond(size)]
    losses = [(size.at, value) for size in family.sizes if (value := size.loss("tape"))]
    scales.set_count(axes, "y", [*known, *heights, *(value for _, value in losses)])
    if len(losses) > 1:
        axes.plot(*zip(*losses, strict=True), color=MUTED, linewidth=1.1, dashes=(1, 1.6), zorder=2)
    tips: dict[str, str] = {}
    for kind, words in COUNTS.items():
        look, own = LOOKS[kind], [size for size in family.sizes if size.count(kind)]
        draw_line(axes, look, [size.at for size in own], [size.count(kind) or 0.0 for size in own])
        for size in own:
            gid = f"mark-{len(tips)}"
            hollow = kind == "tree" and not size.written()
            draw_mark(axes, look, size.at, size.count(kind) or 0.0, gid, hollow=hollow, size=_thick(kind))
            tips[gid] = f"{family.place(size)}: {_said(size, kind)} {words if not hollow else ''}".strip()
    for size in family.sizes:
        if _beyond(size):
            gid, height = f"mark-{len(tips)}", min(size.forecast or 0.0, _ceiling(family))
            censored(axes, LOOKS["tree"], size.at, height, gid)
            tips[gid] = f"{family.place(size)}: forecast {plain(size.forecast)} written out"
    return figure, tips


def _thick(kind: str) -> float:
    return LARGE if kind in UNDER else 6.0


def _multiples(found: Sequence[Family], every: Sequence[Family]) -> list[Chart]:
    """What graphs and modes take as multiples of the loss; nothing where no graph was made."""
    if not any(size.multiple(kind) for family in found for size in family.sizes for kind in GRAPHS):
        return []
    heading = "Value and gradient as multiples of the loss"
    panels, rows = [], []
    for number, family in enumerate(found):
        values = [value for size in family.sizes for kind in MULTIPLES if (value := size.multiple(kind))]
        figure, axes = canvas("times the operations of the loss", family.axis, height=TALL, bottom=38.0)
        set_places(axes, family)
        scales.set_factor(axes, "y", [*values, BAR])
        axes.axhline(BAR, color=LIMIT, linewidth=1.1, dashes=(6, 3), zorder=1.5)
        tips: dict[str, str] = {}
        ends = []
        for kind, words in MULTIPLES.items():
            look, own = LOOKS[kind], [(size, value) for size in family.sizes if (value := size.multiple(kind))]
            draw_line(axes, look, [size.at for size, _ in own], [value for _, value in own])
            for size, value in own:
                gid = f"mark-{len(tips)}"
                draw_mark(axes, look, size.at, value, gid, hollow=kind == "forward_lean", size=_thick(kind))
                tips[gid] = f"{family.place(size)}: {words}, {numbers.factor(value)} times the loss"
            if own:
                ends.append(f"{words}: {numbers.factor(own[0][1])} to {numbers.factor(own[-1][1])}")
        said = f"Operations over those of the loss, against {family.axis}; {'; '.join(ends)}."
        picture = inline(figure, f"multiples{number}", f"{heading}, {family.title}", said, tips)
        panels.append(Panel(f"{family.title}, by {family.axis}", picture))
        for size in family.sizes:
            shown = [size.multiple(kind) for kind in MULTIPLES]
            rows.append((family.title, family.place(size), *("" if v is None else numbers.factor(v) for v in shown)))
    keys = [
        {"text": words, **key_mark(LOOKS[kind], hollow=kind == "forward_lean", bare=kind == "forward_lean")}
        for kind, words in MULTIPLES.items()
    ]
    keys.append({"text": f"{BAR:g} times the loss", **key_mark(None, line="limit")})
    caption = (
        "Both axes are logarithmic: a straight line is a power of depth or width.",
        "Marks inside of larger ones have the same count, or nearly: the graph from the root that of the reverse tape, "
        "the graph by symbol that of forward mode once nothing is counted that multiplies with 0 or 1 or adds 0.",
    )
    columns = ("Problem", "Size", *(f"{words[0].upper()}{words[1:]}" for words in MULTIPLES.values()))
    notes = tuple(sentence(text) for text in details(every))
    return [Chart("multiples", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows), notes=notes)]


def _words(family: Family) -> str:
    said = []
    for kind, words in COUNTS.items():
        own = [size for size in family.sizes if size.count(kind)]
        if own:
            ends = [f"{plain(size.count(kind))} at {family.place(size)}" for size in (own[0], own[-1])]
            said.append(f"{words}: {' to '.join(dict.fromkeys(ends))}")
    said += [f"forecast {plain(s.forecast)} written out at {family.place(s)}" for s in family.sizes if _beyond(s)]
    return f"Operations against {family.axis}; {'; '.join(said)}."
