"""Where the time of a study of expression swell goes: a bar for every case, its phases as shares of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import numbers
from ..figures import Chart, Panel
from ..style import INK, PAPER, SERIES, Look, canvas, key_mark
from ..svg import inline
from .swell_details import sentence, where_time_goes
from .swell_points import PHASES, WAYS, Family, Point

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SLOTS = dict(zip(PHASES, (3, 4, 2, 0), strict=True))
LETTERS = dict(zip(PHASES, "BDCE", strict=True))
ROW = 34.0  # points, one bar with its words above it
ROOM = 0.09  # of the whole, below which a segment has no letter
BARS = 5  # of one way on one problem, evenly from the smallest size to the largest


def phases(found: Sequence[Family]) -> Chart:
    """The chart, for drawing inside ``style.drawing()``.

    Args:
        found: the problems.
    """
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
            shown = _some(own) if way else own
            figure, tips = _bars(shown)
            title = f"{family.title}, {WAYS[way]}" if way else family.title
            picture = inline(figure, f"phases{len(panels)}", f"{heading}, {title}", _bar_words(shown), tips)
            panels.append(Panel(title, picture))
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
    if any(len(family.points(way)) > BARS for family in found for way in WAYS):
        caption += (
            f"Of more than {BARS} sizes as many are drawn, from the smallest to the largest; the table has all.",
        )
    columns = ("Problem", "Case", "Build", "Differentiate", "Compile", "Evaluations", "One evaluation", "One loss")
    goes = where_time_goes(found)
    notes = (sentence(goes),) if goes else ()
    return Chart("phases", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows), notes=notes)


def _some(own: list[tuple[str, Point]]) -> list[tuple[str, Point]]:
    """Evenly from first to last."""
    if len(own) <= BARS:
        return own
    return [own[round(k * (len(own) - 1) / (BARS - 1))] for k in range(BARS)]


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
