"""What the charts of expression swell share: the looks of counts and ways, the sizes as ticks, refused marks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import numbers
from ..panels import draw_mark
from ..style import Look, arrow
from .swell_points import Family

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOOKS = {
    "tree": Look(2), "dag": Look(4), "cse": Look(6), "shared": Look(6), "graph-by-symbol": Look(7), "graph": Look(9),
    "forward": Look(3), "forward_lean": Look(3), "tape": Look(0),
}  # fmt: skip


def set_places(axes: Axes, family: Family, *, straight: bool = False) -> None:
    """The horizontal axis, logarithmic unless ``straight``, the sizes of the study as ticks where there is room.

    Args:
        axes: of the chart.
        family: the problem, whose sizes these are.
        straight: whether the axis is linear.
    """
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    places = [size.at for size in family.sizes]
    low, high = min(places), max(places)
    if straight:
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


def censored(axes: Axes, look: Look, x: float, y: float, gid: str) -> None:
    """A hollow mark with an arrow: more than this.

    Args:
        axes: of the chart.
        look: of what was refused.
        x: its size.
        y: the height of the mark.
        gid: the name of the mark, for its tip.
    """
    axes.plot(
        [x], [y], linestyle="none", marker=arrow(1), markersize=22, markerfacecolor="none", zorder=3.5,
        markeredgecolor=look.colour, markeredgewidth=1.2, clip_on=False,
    )  # fmt: skip
    draw_mark(axes, look, x, y, gid, hollow=True)
