"""The charts of a study of Jacobians: bytes and seconds against the size of a layer, and where the zeros are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import axes as scales
from .. import figures, numbers
from ..cases import method
from ..figures import Chart
from ..panels import draw_line, draw_mark, moved_by
from ..pictures import pictures
from ..style import LIMIT, Look, canvas, key_mark
from ..svg import inline
from . import tensor_words, wall_compressed, wall_plan
from .wall_parts import CHUNKED, COMPRESSED, EXPLICIT, IMPLICIT, WAYS, Panel, Part, Way

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDEST = 32  # cells across a picture at least, so that small ones stay small
SPREAD = 6.0  # points between the marks of one size
HOUR, DAY, YEAR = 3600.0, 86_400.0, 31_557_600.0
TICKS = (*(10.0**power for power in range(-9, 3)), 60.0 * 10, HOUR, DAY, 30 * DAY, *(YEAR * 10**k for k in range(8)))
X_LABEL = "numbers in all variables"
LOOKS = {EXPLICIT: Look(1), CHUNKED: Look(2), COMPRESSED: Look(3), IMPLICIT: Look(0)}
KEYS = {
    EXPLICIT: "the Jacobian, formed", CHUNKED: "a product in chunks", COMPRESSED: "the Jacobian, compressed",
    IMPLICIT: "the product without it",
}  # fmt: skip

Read = Callable[[Panel, Way], tuple[float, bool] | None]
Words = Callable[[float | None], str]


def _bytes_of(_: Panel, way: Way) -> tuple[float, bool] | None:
    """The bytes of a way and whether they were measured; otherwise those of the plan."""
    value = way.bytes if way.done else way.plan
    return None if value is None else (max(float(value), numbers.RESOLUTION), way.done)


def _seconds_of(panel: Panel, way: Way) -> tuple[float, bool] | None:
    """The seconds of a way and whether they were measured; otherwise a forecast."""
    value = way.seconds if way.done else panel.forecast(way.part, way.name)
    return None if not value else (value, way.done)


def memory(panels: Sequence[Panel]) -> Chart:
    """Peak of memory of the ways against the size of the layer.

    Args:
        panels: of a run.
    """
    heading = f"Memory: {_ways(panels)} the Jacobian"
    caption = (
        "Both axes are logarithmic. A solid mark is the highest memory of the process above what it held before; a "
        f"hollow one was not measured: it is the plan. {wall_plan.sentence(panels)}".strip(),
        "Peaks below 256 KiB are noise of what the system hands out, and are drawn at 256 KiB.",
    )
    measured = [panel for panel in panels if any(way.bytes for part in panel.parts for way in part.ways.values())]
    if not measured:
        return Chart("memory", heading, (), missing="Nothing to show: this system does not say what a process takes.")
    drawn, notes = _several(measured)
    made = []
    for place, panel in enumerate(drawn):
        figure, axes = canvas("bytes", X_LABEL)
        limit = panel.parts[0].limit
        points = _points(panel, _bytes_of)
        scales.set_sizes(axes, panel.sizes)
        scales.set_bytes(axes, "y", [*_values(points), *([limit] if limit else [])])
        if limit is not None:
            axes.axhline(limit, color=LIMIT, linewidth=1.1, dashes=(6, 3), zorder=1.5)
        tips = _draw(axes, points, numbers.peak, "planned")
        words = _words(panel, points, "bytes", numbers.peak, "planned")
        picture = inline(figure, f"wallmem{place}", f"{heading}: {panel.title}", words, tips)
        made.append(figures.Panel(_titled(panel), picture))
    keys = _keys(drawn, _bytes_of, "the plan")
    if any(panel.parts[0].limit is not None for panel in drawn):
        limit = next(panel.parts[0].limit for panel in drawn if panel.parts[0].limit is not None)
        said = numbers.trimmed(numbers.size_in_bytes(limit))
        keys.append({"text": f"the limit, {said}", **key_mark(None, line="limit")})
    columns = ("Jacobian", "Size", "Backend", "By its shape", *(f"{name.capitalize()}" for name in WAYS))
    rows = tuple(
        (panel.title, part.case.size, part.case.backend, numbers.size_in_bytes(part.bytes),
         *(_told(panel, part, name, _bytes_of, numbers.peak, "planned") for name in WAYS))
        for panel in measured for part in panel.parts
    )  # fmt: skip
    return Chart("memory", heading, caption, tuple(keys), tuple(made), columns, rows, notes=notes)


def time(panels: Sequence[Panel]) -> Chart:
    """Seconds of the ways against the size of the layer.

    Args:
        panels: of a run.
    """
    heading = f"Time: {_ways(panels)} the Jacobian"
    caption = (
        "A hollow mark on a dotted line was not measured: it is the time of the largest that this backend did in the "
        "same way, multiplied by the ratio of the operations that the backend forecasts.",
        "The product without the Jacobian is what the backend gives with the fewest passes: a cotangent times the "
        "Jacobian in reverse mode, the Jacobian times a tangent in forward mode and for differences. That in chunks is "
        "the other one, for which all rows or columns are computed, multiplied and dropped.",
        *(("The time of the compressed Jacobian is without that of finding its pattern and colouring it, which is done "
           "once and stands in the table.",) if any(_compressed(panels)) else ()),
    )  # fmt: skip
    drawn, notes = _several(panels)
    made = []
    for place, panel in enumerate(drawn):
        figure, axes = canvas("seconds", X_LABEL)
        points = _points(panel, _seconds_of)
        scales.set_sizes(axes, panel.sizes)
        set_long_time(axes, _values(points))
        tips = _draw(axes, points, numbers.seconds, "forecast")
        words = _words(panel, points, "seconds", numbers.seconds, "forecast")
        picture = inline(figure, f"walltime{place}", f"{heading}: {panel.title}", words, tips)
        made.append(figures.Panel(_titled(panel), picture))
    names = tuple(name.capitalize() for name in WAYS)
    columns = ("Jacobian", "Size", "Backend", *names, "Product with it, once formed")
    rows = tuple(
        (panel.title, part.case.size, part.case.backend,
         *(_told(panel, part, name, _seconds_of, numbers.seconds, "forecast") for name in WAYS),
         numbers.seconds(part.formed["product_seconds"]) if part.formed else "")
        for panel in panels for part in panel.parts
    )  # fmt: skip
    keys = _keys(drawn, _seconds_of, "a forecast")
    return Chart("time", heading, caption, tuple(keys), tuple(made), columns, rows, notes=notes)


def _compressed(panels: Sequence[Panel]) -> list[Way]:
    """The compressed Jacobians that the run looked at."""
    return [part.ways[COMPRESSED] for panel in panels for part in panel.parts if COMPRESSED in part.ways]


def _ways(panels: Sequence[Panel]) -> str:
    """The ways in a heading."""
    return "formed, in chunks, compressed, and without" if _compressed(panels) else "formed, in chunks, and without"


def _titled(panel: Panel) -> str:
    """The panel's title with who computed what is drawn."""
    who = dict.fromkeys(method(part.case) for part in panel.main)
    return f"{panel.title}, by {numbers.listed(list(who))}"


def _points(panel: Panel, read: Read) -> dict[str, list[tuple[Part, float, bool]]]:
    """What is drawn: by way the part, its value, and whether that was measured, small to large."""
    found: dict[str, list[tuple[Part, float, bool]]] = {}
    for name in WAYS:
        own = [(part, read(panel, way)) for part in panel.main if (way := part.ways.get(name)) is not None]
        found[name] = [(part, *value) for part, value in own if value is not None]
    return found


def _values(points: dict[str, list[tuple[Part, float, bool]]]) -> list[float]:
    return [value for own in points.values() for _, value, _ in own]


def _draw(axes: Axes, points: dict[str, list[tuple[Part, float, bool]]], unit: Words, beyond: str) -> dict[str, str]:
    """Solid marks on a line for what was measured, hollow ones on a dotted line for what was not."""
    tips: dict[str, str] = {}
    for place, (name, own) in enumerate(points.items()):
        look, moved = LOOKS[name], moved_by(axes, SPREAD * (place - (len(points) - 1) / 2))
        spots = [(float(part.case.n_params), value, measured) for part, value, measured in own]
        solid = [(x, y) for x, y, measured in spots if measured]
        draw_line(axes, look, [x for x, _ in solid], [y for _, y in solid], moved)
        late = [(x, y) for x, y, measured in spots if not measured]
        if late:
            xs, ys = zip(*([solid[-1]] if solid else []), *late, strict=True)
            axes.plot(xs, ys, color=look.colour, linewidth=1.0, dashes=(1, 1.8), zorder=2, transform=moved)
        for (part, value, measured), (x, y, _) in zip(own, spots, strict=True):
            gid = f"mark-{len(tips)}"
            draw_mark(axes, look, x, y, gid, hollow=not measured, moved=moved)
            tips[gid] = (
                f"{KEYS[name]}, {part.case.size} ({part.where}), {'' if measured else f'{beyond} '}{unit(value)}"
            )
    return tips


def _keys(panels: Sequence[Panel], read: Read, beyond: str) -> list[dict[str, Any]]:
    """A key for each way that is drawn, and for what is not measured."""
    drawn = [_points(panel, read) for panel in panels]
    keys: list[dict[str, Any]] = [
        {"text": KEYS[name], **key_mark(LOOKS[name])} for name in WAYS if any(points[name] for points in drawn)
    ]
    if any(not measured for points in drawn for own in points.values() for _, _, measured in own):
        hollow = key_mark(Look(0), hollow=True, bare=True)
        keys.append({"text": f"hollow: not measured, {beyond}", **hollow, "stroke": "muted", "dashes": ""})
    return keys


def _told(panel: Panel, part: Part, name: str, read: Read, unit: Words, beyond: str) -> str:
    """A cell: what was measured, or what was planned or forecast."""
    way = part.ways.get(name)
    found = None if way is None else read(panel, way)
    if way is None or found is None:
        return "" if way is None or way.done else "not done"
    value, measured = found
    return unit(value) if measured else f"{beyond} {unit(value)}"


def _words(panel: Panel, points: dict[str, list[tuple[Part, float, bool]]], what: str, unit: Words, beyond: str) -> str:
    """What a panel shows, for those who do not see it."""
    said = [f"{panel.title}: {what} against the size of the layer."]
    for name, own in points.items():
        told = [f"{part.case.size} {'' if measured else f'{beyond} '}{unit(value)}" for part, value, measured in own]
        said += [f"{KEYS[name].capitalize()}: {', '.join(told)}."] if told else []
    return " ".join(said)


def _several(panels: Sequence[Panel]) -> tuple[list[Panel], tuple[str, ...]]:
    """Panels of more than one size, and a note on the others; all of them where no panel has several sizes."""
    several = [panel for panel in panels if len(panel.sizes) > 1]
    if not several or len(several) == len(panels):
        return list(panels), ()
    single = [panel.title for panel in panels if panel not in several]
    return several, (f"At one size only, and so in the table only: {numbers.listed(single)}.",)


def set_long_time(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis of seconds whose ticks are times that people say, from microseconds to thousands of years."""
    from matplotlib.ticker import FixedFormatter, FixedLocator

    scales.set_time(axes, "y", values)
    low, high = axes.get_ylim()
    if high < HOUR:
        return
    known = [tick for tick in TICKS if low <= tick <= high]
    if not known:
        return
    room = math.log(high / low) / scales.MOST_TICKS["y"]
    ticks = [known[-1]]
    for tick in reversed(known[:-1]):
        if math.log(ticks[-1] / tick) > 0.8 * room:
            ticks.append(tick)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter([_time_of(tick) for tick in ticks]))


def _time_of(tick: float) -> str:
    """``1 h`` and ``1 day`` for one of them, which other texts do not write."""
    names = {HOUR: "1 hour", DAY: "1 day", YEAR: "1 year"}
    return names.get(tick) or numbers.trimmed(numbers.seconds(tick))


def zeros(panels: Sequence[Panel]) -> Chart:
    """Small Jacobians as pictures: rows are the numbers of the output, columns those of the variable."""
    heading = "Where the zeros are"
    found: dict[tuple[str, str], Part] = {}
    for panel in panels:
        for part in panel.main:
            if part.formed and "matrix" in part.formed:
                found.setdefault((panel.layer, panel.name), part)
    if not found:
        return Chart("zeros", heading, (), missing="Nothing to show: no Jacobian was small enough for a picture.")
    made = []
    for place, part in enumerate(found.values()):
        jacobian = part.data["jacobian"]
        text = tensor_words.structure(jacobian.get("structure"))
        title = f"{part.layer}, {part.name}, {part.where}"
        described = f"{jacobian['zeros']} of {part.data['entries']} entries are zero; {text}."
        matrix: Any = jacobian["matrix"]
        most = max((abs(entry) for row in matrix for entry in row), default=0.0)  # sums of many entries may be larger
        if (coloured := wall_compressed.pictured(part)) is not None:
            colours, said = coloured
            matrix = wall_compressed.beside(matrix, colours)
            text, described = f"{text}; {said}", f"{described} Compressed, it takes {said}, which stand beside it."
        picture = pictures([matrix], f"wallzeros{place}", title, described, limit=most, least=WIDEST, tips=[described])
        made.append(figures.Panel(f"{title}: {text}", picture))
    caption = (
        "A row is a number of the output and a column a number of the variable, both in the order of memory: the "
        "Jacobian in numerator layout, made a matrix. Positive entries have one colour and negative ones another, and "
        "the larger, the fuller; what is left empty is zero.",
        *(("Beside the Jacobian, behind a gap, is what the compressed one is read from: each column on the right is a "
           "product that gives many columns at once, each row below one that gives many rows. An entry is read "
           "where no other falls on the same place.",)
          if any(wall_compressed.pictured(part) for part in found.values()) else ()),
    )  # fmt: skip
    columns = ("Jacobian", "Size", "Row", "Entries")
    rows = tuple(
        (f"{part.layer}, {part.name}", part.where, *texts)
        for part in found.values()
        for texts in tensor_words.in_rows(part.data["jacobian"]["matrix"])
    )
    return Chart("zeros", heading, caption, tensor_words.signs(), tuple(made), columns, rows)
