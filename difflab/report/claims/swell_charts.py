"""The charts of expression swell: operations against depth and width, the shares of the phases, the time in all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import axes as scales
from .. import numbers
from ..figures import Chart, Panel
from ..panels import _line, _mark
from ..style import INK, MUTED, PAPER, SERIES, Look, arrow, canvas, key_mark
from ..svg import inline
from .swell_points import COUNTS, PHASES, WAYS, Family, Point, Size, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOOKS = {"tree": Look(2), "dag": Look(4), "cse": Look(6), "tape": Look(0), "shared": Look(6)}
SLOTS = dict(zip(PHASES, (3, 4, 2, 0), strict=True))
LETTERS = dict(zip(PHASES, "BDCE", strict=True))
ROW = 34.0  # points, one bar with its words above it
ROOM = 0.09  # of the whole, below which a segment has no letter
BEYOND = 1e3  # a forecast is drawn at most so far above the largest count


def charts(found: Sequence[Family]) -> list[Chart]:
    """All charts, for drawing inside ``style.drawing()``.

    Args:
        found: the problems.
    """
    growing = [family for family in found if family.axis]
    made = [_operations(growing), _totals(growing)] if growing else []
    return [*made, _phases(found)]


# ------------------------------------------------------------------------------------------------ operations


def _operations(found: Sequence[Family]) -> Chart:
    heading = "Operations against depth and width"
    panels, rows = [], []
    for number, family in enumerate(found):
        figure, tips = _counts(family)
        svg = inline(figure, f"operations{number}", f"{heading}, {family.title}", _words(family), tips)
        panels.append(Panel(f"{family.title}, by {family.axis}", svg))
        for size in family.sizes:
            counts = [_said(size, kind) for kind in COUNTS]
            rows.append((family.title, family.place(size), *counts, plain(size.count("equations"))))
    caption = (
        "Value and gradient together. The vertical axis is logarithmic, and so is a horizontal one of width: with "
        "depth, a straight line is a factor for every layer; with width, a power of it.",
        "Where a tree was not written out its operations are still counted on its graph, up to where that ends as "
        "well.",
    )
    keys: list[dict[str, Any]] = [{"text": words, **key_mark(LOOKS[kind])} for kind, words in COUNTS.items()]
    if any(size.count("tree") and not size.written() for family in found for size in family.sizes):
        keys.append({"text": "hollow: counted, not written out", **key_mark(LOOKS["tree"], hollow=True, bare=True)})
    if any(_beyond(size) for family in found for size in family.sizes):
        keys.append({"text": "arrow: more than this, by forecast", **key_mark(LOOKS["tree"], hollow=True, upward=True)})
    keys.append({"text": "the loss itself, on its tape", **key_mark(None, line="primal")})
    columns = ("Problem", "Size", *(words.capitalize() for words in COUNTS.values()), "Equations of that tape")
    notes = ()
    if any(_beyond(size) and (size.forecast or 0) > _ceiling(family) for family in found for size in family.sizes):
        often = numbers.grouped(BEYOND)
        notes = (f"A forecast of more than {often} times the largest count is drawn at {often} times that count.",)
    return Chart("operations", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows), notes=notes)


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
    figure, axes = canvas("operations", family.axis, height=318.0, bottom=38.0)
    _set_places(axes, family)
    known = [value for size in family.sizes for kind in COUNTS if (value := size.count(kind))]
    heights = [min(size.forecast or 0.0, _ceiling(family)) * 5 for size in family.sizes if _beyond(size)]
    losses = [(size.at, value) for size in family.sizes if (value := size.loss("tape"))]
    scales.set_count(axes, "y", [*known, *heights, *(value for _, value in losses)])
    if len(losses) > 1:
        axes.plot(*zip(*losses, strict=True), color=MUTED, linewidth=1.1, dashes=(1, 1.6), zorder=2)
    tips: dict[str, str] = {}
    for kind, words in COUNTS.items():
        look, own = LOOKS[kind], [size for size in family.sizes if size.count(kind)]
        _line(axes, look, [size.at for size in own], [size.count(kind) or 0.0 for size in own])
        for size in own:
            gid = f"mark-{len(tips)}"
            hollow = kind == "tree" and not size.written()
            _mark(axes, look, size.at, size.count(kind) or 0.0, gid, hollow=hollow)
            tips[gid] = f"{family.place(size)}: {_said(size, kind)} {words if not hollow else ''}".strip()
    for size in family.sizes:
        if _beyond(size):
            gid, height = f"mark-{len(tips)}", min(size.forecast or 0.0, _ceiling(family))
            _censored(axes, LOOKS["tree"], size.at, height, gid)
            tips[gid] = f"{family.place(size)}: forecast {plain(size.forecast)} written out"
    return figure, tips


def _set_places(axes: Axes, family: Family) -> None:
    """The horizontal axis: depth as it is, width logarithmic, the sizes of the study as ticks where there is room."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    places = [size.at for size in family.sizes]
    low, high = min(places), max(places)
    if family.axis == "depth":
        room = 0.06 * (high - low or 1.0)
        axes.set_xlim(low - room, high + room)
    else:
        axes.set_xscale("log")
        room = (high / low) ** 0.06 if high > low else 2.0
        axes.set_xlim(low / room, high * room)
    width = axes.get_window_extent().width
    shown: list[float] = []
    for place in places:
        x = axes.transData.transform((place, 1.0))[0]
        if not shown or x - axes.transData.transform((shown[-1], 1.0))[0] > 0.07 * width:
            shown.append(place)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(FixedFormatter([numbers.grouped(place) for place in shown]))
    axes.xaxis.set_minor_locator(NullLocator())


def _censored(axes: Axes, look: Look, x: float, y: float, gid: str) -> None:
    """A hollow mark with an arrow: more than this."""
    axes.plot(
        [x], [y], linestyle="none", marker=arrow(1), markersize=22, markerfacecolor="none", zorder=3.5,
        markeredgecolor=look.colour, markeredgewidth=1.2, clip_on=False,
    )  # fmt: skip
    _mark(axes, look, x, y, gid, hollow=True)


def _words(family: Family) -> str:
    said = []
    for kind, words in COUNTS.items():
        own = [size for size in family.sizes if size.count(kind)]
        if own:
            ends = [f"{plain(size.count(kind))} at {family.place(size)}" for size in (own[0], own[-1])]
            said.append(f"{words}: {' to '.join(dict.fromkeys(ends))}")
    said += [f"forecast {plain(s.forecast)} written out at {family.place(s)}" for s in family.sizes if _beyond(s)]
    return f"Operations against {family.axis}; {'; '.join(said)}."


# ------------------------------------------------------------------------------------------------ times


def _totals(found: Sequence[Family]) -> Chart:
    heading = "Time until the gradient has been evaluated many times"
    panels, rows = [], []
    for number, family in enumerate(found):
        points = [point for way in WAYS for point in family.points(way) if point.finished]
        if not points:
            continue
        figure, tips = _times(family, points)
        words = "; ".join(
            f"{WAYS[way]}: {numbers.seconds(own[0].total)} to {numbers.seconds(own[-1].total)}"
            for way in WAYS
            if (own := [point for point in points if point.way == way])
        )
        svg = inline(
            figure, f"totals{number}", f"{heading}, {family.title}", f"Time against {family.axis}; {words}.", tips
        )
        panels.append(Panel(f"{family.title}, by {family.axis}", svg))
        for size in family.sizes:
            shown = [size.points.get(way) for way in WAYS]
            rows.append((family.title, family.place(size), *(_state(point) for point in shown)))
    if not panels:
        return Chart("totals", heading, (), missing="no case was timed")
    evaluations = next(p.evaluations for family in found for size in family.sizes for p in size.points.values())
    caption = (
        f"To build, to differentiate, to compile, and to evaluate {numbers.counted(evaluations, 'time')}: what a run "
        "with that many steps would pay.",
    )
    if any(_refused(family) for family in found):
        caption += (
            "A mark with an arrow was refused: it stands at its forecast, to prepare it alone, or at ten times the "
            "longest time of its panel where that is less.",
        )
    keys = [{"text": words, **key_mark(LOOKS[way])} for way, words in WAYS.items()]
    columns = ("Problem", "Size", *(words.capitalize() for words in WAYS.values()))
    return Chart("totals", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows))


def _state(point: Point | None) -> str:
    if point is None:
        return ""
    if point.finished:
        return numbers.seconds(point.total)
    seconds = point.forecast.get("seconds")
    return f"{point.case.outcome_words}{f' ({numbers.trimmed(numbers.seconds(seconds))})' if seconds else ''}"


def _refused(family: Family) -> list[tuple[float, Point]]:
    """The cases that a forecast of their time refused, with their places."""
    return [
        (size.at, point)
        for size in family.sizes
        for point in size.points.values()
        if point.case.outcome == "skipped_predicted" and point.forecast.get("seconds")
    ]


def _times(family: Family, points: Sequence[Point]) -> tuple[Figure, dict[str, str]]:
    figure, axes = canvas("time", family.axis, bottom=38.0)
    _set_places(axes, family)
    longest = 10 * max(one.total for one in points)
    refused = [(at, point, min(point.forecast["seconds"], longest)) for at, point in _refused(family)]
    scales.set_time(axes, "y", [*(point.total for point in points), *(5 * height for _, _, height in refused)])
    places = {size.name: size.at for size in family.sizes}
    tips: dict[str, str] = {}
    for way, words in WAYS.items():
        own = [point for point in points if point.way == way]
        _line(axes, LOOKS[way], [places[point.case.size] for point in own], [point.total for point in own])
        for point in own:
            gid = f"mark-{len(tips)}"
            _mark(axes, LOOKS[way], places[point.case.size], point.total, gid)
            tips[gid] = f"{words}, {family.axis} {places[point.case.size]:g}: {numbers.seconds(point.total)}"
    for at, point, height in refused:
        gid = f"mark-{len(tips)}"
        _censored(axes, LOOKS[point.way], at, height, gid)
        wait = numbers.trimmed(numbers.seconds(point.forecast["seconds"]))
        tips[gid] = f"{WAYS[point.way]}, {family.axis} {at:g}: forecast {wait} to prepare"
    return figure, tips


# ------------------------------------------------------------------------------------------------ phases


def _phases(found: Sequence[Family]) -> Chart:
    heading = "Where the time goes"
    panels, rows = [], []
    for family in found:
        ways = list(WAYS) if family.axis else [""]
        for way in ways:
            own = [
                (f"{family.place(size)}" if way else WAYS[point.way], point)
                for size in family.sizes
                for point in size.points.values()
                if point.finished and way in ("", point.way)
            ]
            if not own:
                continue
            figure, tips = _bars(own)
            title = f"{family.title}, {WAYS[way]}" if way else family.title
            svg = inline(figure, f"phases{len(panels)}", f"{heading}, {title}", _bar_words(own), tips)
            panels.append(Panel(title, svg))
            for name, point in own:
                times = [numbers.seconds(point.times[phase]) for phase in PHASES]
                rows.append((title, name, *times, numbers.seconds(point.once), numbers.seconds(point.loss_s)))
    if not panels:
        return Chart("phases", heading, (), missing="no case was timed")
    evaluations = next(p.evaluations for family in found for size in family.sizes for p in size.points.values())
    words = {"build": "B: build", "differentiate": "D: differentiate", "compile": "C: compile"}
    words["evaluate"] = f"E: {numbers.counted(evaluations, 'evaluation')}"
    keys = []
    for phase in PHASES:
        look = Look(SLOTS[phase])
        keys.append({"text": words[phase], **key_mark(look, bare=True), "d": "M9 1H25V15H9Z", "fill": look.role})
    caption = ("Each bar is the whole time of one case, which stands above it, and its parts are shares of it.",)
    columns = ("Problem", "Case", "Build", "Differentiate", "Compile", "Evaluations", "One evaluation", "One loss")
    return Chart("phases", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows))


def _bars(own: Sequence[tuple[str, Point]]) -> tuple[Figure, dict[str, str]]:
    """A bar for every case, all of one length."""
    figure, axes = canvas("", "share of the time", height=56.0 + ROW * len(own), left=8.0, bottom=38.0)
    axes.set_xlim(0.0, 1.035)  # room for the last label
    axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.set_ylim(len(own) - 0.6, -0.8)
    axes.set_yticks([])
    axes.grid(False, axis="y")
    tips: dict[str, str] = {}
    for place, (name, point) in enumerate(own):
        axes.annotate(
            f"{name}: {numbers.seconds(point.total)}", (0, place), xycoords=("axes fraction", "data"), xytext=(0, 9.5),
            textcoords="offset points", color=INK,
        )  # fmt: skip
        left = 0.0
        for phase in PHASES:
            share = point.times[phase] / point.total
            gid = f"mark-{len(tips)}"
            axes.barh(
                [place], [share], left=left, height=0.36, color=SERIES[SLOTS[phase]], edgecolor=PAPER, linewidth=0.8,
                gid=gid,
            )  # fmt: skip
            axes.patches[-1].set_gid(gid)
            tips[gid] = f"{name}, {phase}: {numbers.seconds(point.times[phase])}, {numbers.factor(100 * share)} %"
            if share >= ROOM:
                axes.annotate(
                    LETTERS[phase],
                    (left + share / 2, place),
                    ha="center",
                    va="center_baseline",
                    color=PAPER,
                    fontsize=9,
                )
            left += share
    return figure, tips


def _bar_words(own: Sequence[tuple[str, Point]]) -> str:
    said = []
    for name, point in own:
        shares = ", ".join(f"{phase} {100 * point.times[phase] / point.total:.0f} %" for phase in PHASES)
        said.append(f"{name}: {numbers.seconds(point.total)}, {shares}")
    return "; ".join(said) + "."
