"""The charts of a page as matplotlib figures for people: real colours, a title, and the legend inside."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..harness import study_kinds
from . import cases as readings
from . import figures as drawn
from . import forecasts, kinds, style
from .figures import Chart, Panel

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.path import Path

TITLE, LINE, GAP = 12.0, 14.0, 6.0  # points: letters of the title, one line of it, room around
WIDEST, WIDEST_TITLE = 56, 44  # letters of one line of the legend, and of the title
KEY = (34.0, 16.0)  # the box in which ``style.key_mark`` draws
SCALE = 0.75  # of that box, in points
COLOURS = (
    "color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor",
)  # fmt: skip


class Run(Protocol):
    """What figures need of a run."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One mapping per case."""
        ...

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Study, settings and machine."""
        ...


def figures(results: Run) -> dict[str, Figure]:
    """Every panel of the charts of a page as a figure.

    Args:
        results: of a run, or a comparison.

    Returns:
        Figures by the anchor of their chart, such as "time"; where a chart has several panels, by anchor and title of
        the panel, such as "time mlp".  They are the caller's own and belong to no window.
    """
    found: dict[str, Figure] = {}
    for chart in charts(results):
        for panel in chart.panels:
            name = chart.anchor if len(chart.panels) == 1 else f"{chart.anchor} {panel.title}"
            found[_free(name, found)] = figure_of(chart, panel)
    return found


def charts(results: Run) -> list[Chart]:
    """All charts of a page with all their panels, also those for which a page has no room.

    Args:
        results: of a run, or a comparison.
    """
    manifest, cases = results.manifest, readings.read(results.rows)
    groups, looks = readings.groups(cases), style.looks(cases)
    kind = kinds.kind_of(manifest)
    timed = kind not in kinds.KINDS or study_kinds.KINDS[kind].timed
    if kind in kinds.KINDS:
        found = list(kinds.sections(kind, cases).charts)
    else:
        limits = (manifest.get("study") or {}).get("limits") or {}
        found = drawn.charts(groups, looks, drawn.Limits(limits.get("seconds"), limits.get("memory")))
    if timed and (chart := forecasts.measured_over_forecast(groups, looks)) is not None:
        found.append(chart)
    return found


def figure_of(chart: Chart, panel: Panel) -> Figure:
    """One panel as a figure, with the heading of its chart above and the legend below.

    Args:
        chart: whose heading and legend it gets.
        panel: one of the chart; its picture is used up.
    """
    with style.drawing():
        figure = panel.picture.drawn()
        _framed(figure, chart.heading, panel.title, chart.keys)
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            axis.get_majorticklabels()  # which makes them, with our fonts
        _coloured(figure)
    return figure


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """The name, with a number behind it where it is taken."""
    return name if name not in taken else next(n for k in range(2, len(taken) + 3) if (n := f"{name} {k}") not in taken)


# ------------------------------------------------------------------------------------------------ title and legend


@dataclass(frozen=True)
class Key:
    """An entry of a legend as ``style.key_mark`` describes it; the artist that draws itself in the legend's box."""

    mark: Mapping[str, Any]

    def artists(self, handlebox: Any) -> list[Artist]:
        """The line, the arrow and the marker of the entry, in the box of the legend."""
        from matplotlib.patches import PathPatch
        from matplotlib.transforms import Affine2D

        mark = self.mark
        place = Affine2D().translate(0, -KEY[1]).scale(SCALE, -SCALE) + handlebox.get_transform()
        line = "M1 8H33"

        def stroke(d: str, colour: str, width: float, dashes: str = "") -> Artist:
            pattern = [SCALE * float(part) for part in dashes.split()]
            dash: Any = (0, pattern) if pattern else "-"
            return PathPatch(
                path_of(d), facecolor="none", edgecolor=colour, linewidth=SCALE * width, linestyle=dash,
                capstyle="butt", transform=place,
            )  # fmt: skip

        if mark["line"]:
            limit = mark["line"] == "limit"
            return [stroke(line, style.LIMIT if limit else style.MUTED, 1.8, "8 4" if limit else "1.8 2.6")]
        colours = {role: colour for colour, role in style.ROLES.items()}
        own, hollow = colours[mark["stroke"]], mark["fill"] == "paper"
        found = []
        if not (mark["arrow"] or mark["bare"] or hollow):
            found.append(stroke(line, own, 1.8, mark["dashes"]))
        if mark["arrow"]:
            found.append(stroke("M17 9V1M14 4.2L17 1L20 4.2", own, 1.5))
            place = Affine2D().scale(0.75).translate(4.25, 4) + place
        if mark["d"]:
            found.append(
                PathPatch(
                    path_of(mark["d"]), facecolor=colours[mark["fill"]] if mark["fill"] else "none",
                    edgecolor=own if hollow else style.PAPER, linewidth=SCALE * (1.5 if hollow else 0.6),
                    transform=place,
                )
            )  # fmt: skip
        return found


class _Handler:
    """Draws keys for a legend, which asks for it by this one method."""

    def legend_artist(self, legend: Any, key: Key, fontsize: float, handlebox: Any) -> Artist:
        del legend, fontsize
        made = key.artists(handlebox)
        for artist in made:
            handlebox.add_artist(artist)
        return made[-1]


def path_of(d: str) -> Path:
    """The path of a ``d`` attribute: lines, curves and closings, as keys use them.

    Args:
        d: with the commands M, L, H, V, Q, C and Z, or small letters for steps from where the pen is.

    Example:
        >>> path_of("M1 2h3v-1z").vertices.tolist()
        [[1.0, 2.0], [4.0, 2.0], [4.0, 1.0], [1.0, 2.0]]
    """
    from matplotlib.path import Path

    codes = {"M": (Path.MOVETO, 1), "L": (Path.LINETO, 1), "Q": (Path.CURVE3, 2), "C": (Path.CURVE4, 3)}
    points: list[tuple[float, float]] = []
    kinds_: list[int] = []
    pen = start = (0.0, 0.0)
    for letter, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", d):
        values = [float(number) for number in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", text)]
        command, base = letter.upper(), pen if letter.islower() else (0.0, 0.0)
        if command == "Z":
            points.append(start)
            kinds_.append(int(Path.CLOSEPOLY))
            pen = start
        elif command in "HV":
            for value in values:
                pen = (value + base[0], pen[1]) if command == "H" else (pen[0], value + base[1])
                base = pen if letter.islower() else base
                points.append(pen)
                kinds_.append(int(Path.LINETO))
        else:
            code, count = codes[command]
            for first in range(0, len(values), 2 * count):
                part = values[first : first + 2 * count]
                made = [(x + base[0], y + base[1]) for x, y in zip(part[::2], part[1::2], strict=True)]
                points += made
                kinds_ += [int(code)] * count
                pen, base = made[-1], made[-1] if letter.islower() else base
                if command == "M":
                    start, code = pen, Path.LINETO
    return Path(points, kinds_)


def _framed(figure: Figure, heading: str, title: str, keys: Sequence[Mapping[str, Any]]) -> None:
    """Make room above for the title and below for the legend, and put both there."""
    width, height = (72 * float(side) for side in figure.get_size_inches())
    lines, above = textwrap.wrap(heading, WIDEST_TITLE), textwrap.wrap(title, WIDEST)
    titled = GAP + 1.3 * TITLE * len(lines)
    top = titled + LINE * len(above)
    below = _legend(figure, keys) + GAP if keys else 0.0
    total = top + height + below
    boxes = [(axes, axes.get_position()) for axes in figure.axes]
    figure.set_figheight(total / 72)
    for text in figure.texts:
        text.set_y((text.get_position()[1] * height + below) / total)
    for axes, box in boxes:
        axes.set_position((box.x0, (box.y0 * height + below) / total, box.width, box.height * height / total))
    at = 3 / width
    figure.suptitle(
        "\n".join(lines), x=at, y=1 - GAP / 2 / total, ha="left", va="top", color=style.INK, fontsize=TITLE,
        fontweight="bold",
    )  # fmt: skip
    for place, line in enumerate(above):
        y = 1 - (titled + LINE * place) / total
        figure.text(at, y, line, ha="left", va="top", color=style.INK)
    figure.patch.set_facecolor(style.PAPER)


def _legend(figure: Figure, keys: Sequence[Mapping[str, Any]]) -> float:
    """The legend in as many columns as fit, in the lower left corner; its height in points."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    made: list[Any] = [Key(key) for key in keys]  # the legend draws what its handlers know, artists or not
    texts = [textwrap.fill(str(key["text"]), WIDEST) for key in keys]
    room, renderer = figure.get_window_extent().width, FigureCanvasAgg(figure).get_renderer()
    for columns in range(min(4, len(keys)), 0, -1):
        legend = figure.legend(
            made, texts, loc="lower left", bbox_to_anchor=(0, 0), ncols=columns, frameon=False, fontsize=9,
            handlelength=KEY[0] * SCALE / 9, handleheight=KEY[1] * SCALE / 9, handletextpad=0.5, columnspacing=1.2,
            borderaxespad=0.3, borderpad=0.2, labelspacing=0.25, labelcolor=style.INK, handler_map={Key: _Handler()},
        )  # fmt: skip
        extent = legend.get_window_extent(renderer)
        if columns == 1 or extent.width <= room:
            return 72 * extent.height / figure.dpi
        legend.remove()
    return 0.0


# ------------------------------------------------------------------------------------------------ colours


def _coloured(figure: Figure) -> None:
    """Every placeholder becomes the colour that the light page gives it, on white paper."""
    from matplotlib.text import Annotation

    palette = {**style.palettes()["light"], "paper": "#ffffff"}
    wanted = {placeholder: palette[role] for placeholder, role in style.ROLES.items()}
    artists = figure.findobj()
    artists += [one.arrow_patch for one in artists if isinstance(one, Annotation) and one.arrow_patch is not None]
    for artist in artists:
        for name in COLOURS:
            read, write = (getattr(artist, f"{way}_{name}", None) for way in ("get", "set"))
            if read is not None and write is not None:
                _replace(read(), write, wanted, artist)
    for axes in figure.axes:
        axes.tick_params(color=palette["muted"], labelcolor=palette["ink"])


def _replace(colour: Any, write: Any, wanted: Mapping[str, str], artist: Any) -> None:
    """Write the real colour over a placeholder; what is transparent or has a colour of its own stays."""
    from matplotlib.colors import to_hex, to_rgba

    several = not isinstance(colour, str) and getattr(colour, "ndim", 0) == 2  # of a collection
    found = list(colour) if several else [colour]
    made = []
    for one in found:
        known = None if isinstance(one, str) and one in ("none", "auto", "inherit") else wanted.get(to_hex(one))
        made.append(one if known is None else (*to_rgba(known)[:3], to_rgba(one)[3]))
    if any(new is not old for new, old in zip(made, found, strict=True)):
        write(made if several else made[0])
