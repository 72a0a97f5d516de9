"""The chart of times of a study of expression swell: all phases together, and what a forecast refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import axes as scales
from .. import numbers
from ..figures import Chart, Panel
from ..panels import draw_line, draw_mark
from ..style import INK, canvas, key_mark
from ..svg import inline
from .swell_details import beside, finishing, sentence
from .swell_drawing import LOOKS, censored, set_places
from .swell_points import WAYS, Family, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Box = tuple[float, float, float, float]  # left, lower, right, upper
FONT = 9.0  # points, the forecasts beside refused marks
LETTER = 5.6  # points, what one of their letters takes at most on average


def totals(found: Sequence[Family]) -> Chart:
    """What all phases take, against the sizes, for drawing inside ``style.drawing()``.

    Args:
        found: the problems that grow.
    """
    heading = "Time until the gradient has been evaluated many times"
    panels, rows, unlabelled = [], [], False
    for number, family in enumerate(found):
        points = [point for way in WAYS for point in family.points(way) if point.finished]
        if not points:
            continue
        figure, tips, whole = _times(family, points)
        unlabelled |= not whole
        words = "; ".join(
            f"{WAYS[way]}: {numbers.seconds(own[0].total)} to {numbers.seconds(own[-1].total)}"
            for way in WAYS
            if (own := [point for point in points if point.way == way])
        )
        picture = inline(
            figure, f"totals{number}", f"{heading}, {family.title}", f"Time against {family.axis}; {words}.", tips
        )
        panels.append(Panel(f"{family.title}, by {family.axis}", picture))
        for size in family.sizes:
            shown = [size.points.get(way) for way in WAYS]
            rows.append((family.title, family.place(size), *(_state(point) for point in shown)))
    if not panels:
        return Chart("totals", heading, (), missing="no case was timed")
    evaluations = next(p.evaluations for family in found for size in family.sizes for p in size.points.values())
    caption = (
        f"To build, to differentiate, to compile, and to evaluate {numbers.counted(evaluations, 'time')}: what a run "
        "with that many steps would pay. Both axes are logarithmic.",
    )
    if any(_refused(family) for family in found):
        caption += (
            "A hollow mark with an arrow was refused; the time beside it is how long preparing it was forecast to "
            "take, which may lie far above the chart.",
        )
    keys: list[dict[str, Any]] = [{"text": words, **key_mark(LOOKS[way])} for way, words in WAYS.items()]
    if any(_refused(family) for family in found):
        mark = key_mark(LOOKS["tree"], hollow=True, upward=True) | {"stroke": "muted", "dashes": ""}
        keys.append({"text": "hollow with an arrow: refused, with its forecast", **mark})
    columns = ("Problem", "Size", *(words.capitalize() for words in WAYS.values()))
    notes = [sentence(text) for text in (beside(found), finishing(found)) if text]
    if unlabelled:
        notes.insert(0, "Where marks are too near to each other for that time, the table has it.")
    return Chart("totals", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows), notes=tuple(notes))


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


def _times(family: Family, points: Sequence[Point]) -> tuple[Figure, dict[str, str], bool]:
    """The chart, its tips, and whether every refused mark has its forecast beside it."""
    figure, axes = canvas("time", family.axis, bottom=38.0)
    set_places(axes, family)
    longest = 10 * max(one.total for one in points)
    refused = [(at, point, min(point.forecast["seconds"], longest)) for at, point in _refused(family)]
    scales.set_time(axes, "y", [*(point.total for point in points), *(8 * height for _, _, height in refused)])
    places = {size.name: size.at for size in family.sizes}
    tips: dict[str, str] = {}
    for way, words in WAYS.items():
        own = [point for point in points if point.way == way]
        draw_line(axes, LOOKS[way], [places[point.case.size] for point in own], [point.total for point in own])
        for point in own:
            gid = f"mark-{len(tips)}"
            draw_mark(axes, LOOKS[way], places[point.case.size], point.total, gid)
            tips[gid] = f"{words}, {family.axis} {places[point.case.size]:g}: {numbers.seconds(point.total)}"
    for at, point, height in refused:
        gid = f"mark-{len(tips)}"
        censored(axes, LOOKS[point.way], at, height, gid)
        tips[gid] = f"{WAYS[point.way]}, {family.axis} {at:g}: forecast {_wait(point)} to prepare"
    drawn = [(places[point.case.size], point.total) for point in points]
    marks = [(at, height, _wait(point)) for at, point, height in refused]
    return figure, tips, _label(axes, drawn, marks)


def _label(axes: Axes, drawn: Sequence[tuple[float, float]], marks: Sequence[tuple[float, float, str]]) -> bool:
    """Forecasts left of, right of, above or below their marks, wherever there is room; whether all found some."""
    where = [axes.transData.transform(one) for one in (*drawn, *((x, y) for x, y, _ in marks))]
    taken = [(x - 5.0, y - 5.0, x + 5.0, y + 5.0) for x, y in where]
    edge = axes.get_window_extent()
    taken += [(x - 5.0, y, x + 5.0, y + 18.0) for x, y in where[len(drawn) :]]  # the arrows
    count = 0
    for x, y, text in marks:
        at_x, at_y = axes.transData.transform((x, y))
        wide, high = LETTER * len(text), FONT
        places = ((-9.0, 0.0, "right"), (9.0, 0.0, "left"), (0.0, 24.0, "center"), (0.0, -14.0, "center"))
        for right, up, side in places:
            left = at_x + right - {"right": wide, "left": 0.0, "center": wide / 2}[side]
            box = (left, at_y + up - high / 2, left + wide, at_y + up + high / 2)
            inside = box[0] >= edge.x0 and box[2] <= edge.x1 + 10.0
            if inside and not any(_meet(box, other) for other in taken):
                axes.annotate(
                    text, (x, y), xytext=(right, up), textcoords="offset points", ha=side, va="center",
                    color=INK, fontsize=FONT, annotation_clip=False,
                )  # fmt: skip
                taken.append(box)
                count += 1
                break
    return count == len(marks)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _wait(point: Point) -> str:
    return numbers.trimmed(numbers.seconds(point.forecast["seconds"]))
