"""The charts of a study of storage: memory against depth, and memory against time as ever less is kept."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .. import axes as scales
from .. import numbers
from ..cases import Case
from ..figures import Chart, Panel
from ..style import INK, MUTED, PAPER, Look, canvas, key_mark, looks
from ..svg import inline
from .storage_findings import Line, Point, Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST = 1.3
TALL = 340.0  # points; many lines need room


def charts(found: Sequence[Setting], cases: Sequence[Case]) -> tuple[Chart, ...]:
    """Both charts, within ``style.drawing()``.

    Args:
        found: what was measured.
        cases: all rows of the run, which fix the looks.
    """
    styles = looks(list(cases))
    return _against_depth(found, styles), _against_time(found, styles)


# ------------------------------------------------------------------------------------------------ depth


def _against_depth(found: Sequence[Setting], styles: Mapping[str, Look]) -> Chart:
    heading = "Memory against depth"
    shown = [name for name in styles if any(line.name == name for setting in found for line in setting.lines)]
    keys = [{"text": _named(name, found), **key_mark(styles[name])} for name in shown]
    if any(setting.value for setting in found):
        keys.append({"text": "one value of every layer", **key_mark(None, line="primal")})
    caption = (
        "Both axes are logarithmic; down is better. A level line forgets each layer, a line of slope one (dotted) "
        "keeps something of each.",
        "With k checkpoints at most k values wait at a time, beside those of the layer that goes back: from there on a "
        "line rises with the parameters' gradients alone. Within a limit nothing is computed again until that is met.",
    )
    panels = []
    for number, setting in enumerate(found):
        figure, tips = _depth_panel(setting, styles)
        panels.append(
            Panel(setting.title, inline(figure, f"depth{number}", f"{heading}, {setting.title}", _words(setting), tips))
        )
    depths = [
        (setting, depth)
        for setting in found
        for depth in sorted({point.depth for line in setting.lines for point in line.points})
    ]
    rows = tuple(
        (setting.title, numbers.grouped(depth), *(_cell(setting, name, depth) for name in shown))
        for setting, depth in depths
    )
    return Chart("depth", heading, caption, tuple(keys), tuple(panels), ("Problem", "Layers", *shown), rows)


def _depth_panel(setting: Setting, styles: Mapping[str, Look]) -> tuple[Figure, dict[str, str]]:
    figure, axes = canvas("peak memory", "layers", height=TALL, bottom=38.0)
    points = [point for line in setting.lines for point in line.points]
    depths = sorted({point.depth for point in points})
    scales.set_count(axes, "x", depths)
    _ticks(axes, depths)
    scales.set_bytes(axes, "y", [max(point.peak, 1.0) for point in points])
    if setting.value:
        low, high = axes.get_ylim()
        axes.plot(
            depths, [setting.value * depth for depth in depths], color=MUTED, linewidth=1.1, dashes=(1, 1.6), zorder=1.5
        )
        axes.set_ylim(low, high)
    tips: dict[str, str] = {}
    for line in setting.lines:
        look = styles[line.name]
        _draw(axes, look, line.points, tips)
    return figure, tips


def _ticks(axes: Axes, depths: Sequence[int]) -> None:
    """The depths themselves as ticks, where there are few."""
    from matplotlib.ticker import FixedFormatter, FixedLocator

    if len(depths) <= scales.MOST_SIZES:
        axes.xaxis.set_major_locator(FixedLocator([float(depth) for depth in depths]))
        axes.xaxis.set_major_formatter(FixedFormatter([numbers.grouped(depth) for depth in depths]))


def _draw(axes: Axes, look: Look, points: Sequence[Point], tips: dict[str, str]) -> None:
    (line,) = axes.plot(
        [point.depth for point in points], [max(point.peak, 1.0) for point in points], color=look.colour, zorder=2.4
    )
    if look.dashes:
        line.set_dashes(look.dashes)
    for point in points:
        gid = f"mark-{len(tips)}"
        axes.plot(
            [point.depth], [max(point.peak, 1.0)], linestyle="none", marker=look.marker, color=look.colour,
            markeredgecolor=PAPER, markeredgewidth=0.6, gid=gid, zorder=3.0, clip_on=False,
        )  # fmt: skip
        tips[gid] = f"{point.case.backend}, {numbers.grouped(point.depth)} layers: {numbers.size_in_bytes(point.peak)}"


def _named(name: str, found: Sequence[Setting]) -> str:
    """A contestant's name, and that one pass stands for it where that is so."""
    passing = any(line.name == name for setting in found for line in setting.passing)
    return f"{name} (one pass)" if passing else name


def _words(setting: Setting) -> str:
    said = []
    for line in setting.lines:
        first, last = line.points[0], line.points[-1]
        said.append(
            f"{line.name}: {numbers.size_in_bytes(first.peak)} at {numbers.counted(first.depth, 'layer')}, "
            f"{numbers.size_in_bytes(last.peak)} at {numbers.grouped(last.depth)}."
        )
    return "Peak memory against the number of layers. " + " ".join(said)


def _cell(setting: Setting, name: str, depth: int) -> str:
    line = next((line for line in setting.lines if line.name == name), None)
    point = line.at(depth) if line else None
    return "" if point is None else numbers.size_in_bytes(point.peak)


# ------------------------------------------------------------------------------------------------ time


def _against_time(found: Sequence[Setting], styles: Mapping[str, Look]) -> Chart:
    heading = "Memory against time"
    drawn = [setting for setting in found if len(_trade(setting)) > 1]
    if not drawn:
        why = "no two of reverse mode and its checkpoints were both measured and timed"
        return Chart("trade", heading, (), missing=f"This chart is left out: {why}.")
    marked = [line.name for setting in drawn for line in _trade_lines(setting)]
    keys = [{"text": name, **key_mark(styles[name], bare=True)} for name in styles if name in marked]
    caption = (
        "At the greatest depth; down and to the left is better. The line follows reverse mode from all values kept to "
        "ever less memory, and the numbers beside its marks say how many states are kept at a time. Time counts in "
        "evaluations of the plain loss.",
        "Bars are 95 % intervals; where none is visible, it is narrower than the mark.",
    )
    panels, rows = [], []
    for number, setting in enumerate(drawn):
        figure, tips = _time_panel(setting, styles)
        title = f"{setting.title}, {numbers.counted(setting.deepest, 'layer')}"
        picture = inline(figure, f"trade{number}", f"{heading}, {title}", _trade_words(setting), tips)
        panels.append(Panel(title, picture))
        for point in _everything(setting):
            rows.append(
                (
                    title, point.case.backend, "" if point.checkpoints is None else str(point.checkpoints),
                    numbers.size_in_bytes(point.peak), f"{point.ratio or 0.0:.2f}", numbers.seconds(point.seconds),
                )
            )  # fmt: skip
    columns = ("Problem", "Contestant", "States kept", "Peak", "Evaluations of the loss", "Time")
    return Chart("trade", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows))


def _trade(setting: Setting) -> list[Point]:
    """Reverse mode at the greatest depth, from the most memory to the least."""
    lines = [*([setting.reverse] if setting.reverse else []), *setting.checkpointed, *setting.limited]
    points = [point for line in lines if (point := line.at(setting.deepest)) is not None and point.ratio and point.peak]
    return sorted(points, key=lambda point: -point.peak)


def _everything(setting: Setting) -> list[Point]:
    """The points of the chart: the loss as well, where it was measured there."""
    loss = setting.loss.at(setting.deepest) if setting.loss else None
    return [*([loss] if loss is not None and loss.ratio and loss.peak else []), *_trade(setting)]


def _trade_lines(setting: Setting) -> list[Line]:
    names = {point.case.backend for point in _everything(setting)}
    return [line for line in setting.lines if line.name in names]


def _time_panel(setting: Setting, styles: Mapping[str, Look]) -> tuple[Figure, dict[str, str]]:
    figure, axes = canvas("peak memory", "evaluations of the loss", bottom=38.0)
    points, path = _everything(setting), _trade(setting)
    ratios = [point.ratio or 1.0 for point in points]
    ends = [end for point in points for end in (point.low, point.high) if end]
    room = 0.12 * (max(ratios) - min(ratios)) or 0.5
    widest = WIDEST * max(ratios)  # a bar that is longer says enough where it is cut off
    axes.set_xlim(max(0.0, min([*ratios, *ends]) - room), min(widest, max([*ratios, *ends])) + room)
    scales.set_bytes(axes, "y", [point.peak for point in points])
    axes.plot([p.ratio or 1.0 for p in path], [p.peak for p in path], color=MUTED, linewidth=1.0, zorder=2.0)
    tips: dict[str, str] = {}
    for point in points:
        look = styles[point.case.backend]
        gid = f"mark-{len(tips)}"
        if point.low is not None and point.high is not None:
            axes.plot([point.low, point.high], [point.peak] * 2, color=look.colour, linewidth=1.1, zorder=2.6)
        axes.plot(
            [point.ratio or 1.0], [point.peak], linestyle="none", marker=look.marker, color=look.colour, markersize=7.5,
            markeredgecolor=PAPER, markeredgewidth=0.6, gid=gid, zorder=3.0, clip_on=False,
        )  # fmt: skip
        tips[gid] = f"{point.case.backend}: {numbers.size_in_bytes(point.peak)}, {point.ratio or 0.0:.2f} evaluations"
    _number(axes, points, path)
    return figure, tips


def _number(axes: Axes, points: Sequence[Point], path: Sequence[Point]) -> None:
    """The numbers of states kept beside their marks, each where it is farthest from all that is drawn."""
    low, high = axes.get_xlim()
    unit = axes.figure.dpi / 72.0  # pixels in a point

    def spot(x: float, y: float) -> complex:
        return complex(*axes.transData.transform((min(max(x, low), high), y)))

    def between(start: complex, end: complex) -> list[complex]:
        count = 2 + int(abs(end - start) / (4 * unit))
        return [start + (end - start) * k / (count - 1) for k in range(count)]

    drawn = [spot(point.ratio or 1.0, point.peak) for point in points]
    for point in points:
        if point.low is not None and point.high is not None:
            drawn += between(spot(point.low, point.peak), spot(point.high, point.peak))
    for one, other in itertools.pairwise(path):
        drawn += between(spot(one.ratio or 1.0, one.peak), spot(other.ratio or 1.0, other.peak))
    for point in path:
        at = [point.ratio or 1.0, point.low or point.ratio or 1.0, point.high or point.ratio or 1.0]
        mark, left, right = (spot(x, point.peak) for x in at)
        places = [mark + unit * complex(x, y) for x, y in ((-9, -10), (9, -10), (-9, 10), (9, 10), (0, -13), (0, 13))]
        places += [left - 11 * unit, right + 11 * unit]
        inside = axes.get_window_extent()
        places = [place for place in places if inside.x0 < place.real < inside.x1 and inside.y0 < place.imag]
        best = max(places, key=lambda place: min(abs(place - other) for other in drawn))
        drawn.append(best)
        offset = (best - mark) / unit
        said = "all" if point.checkpoints is None else numbers.grouped(point.checkpoints)
        axes.annotate(
            said, (point.ratio or 1.0, point.peak), textcoords="offset points", xytext=(offset.real, offset.imag),
            ha="center", va="center", color=INK, fontsize=9, zorder=4.0,
        )  # fmt: skip


def _trade_words(setting: Setting) -> str:
    said = [
        f"{point.case.backend}: {numbers.size_in_bytes(point.peak)}, {point.ratio or 0.0:.2f} evaluations of the loss."
        for point in _everything(setting)
    ]
    return "Peak memory against the time of one gradient. " + " ".join(said)
