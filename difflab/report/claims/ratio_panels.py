"""The charts of the cheap gradient: work ratio against the number of parameters, and exponents with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .. import axes as scales
from .. import numbers
from ..panels import draw_line, draw_mark
from ..style import LIMIT, MUTED, Look, canvas
from . import timed
from .exponents import BOUND, Fit, Growth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 318.0  # points
LONGEST = 24  # letters of a row's name
LETTER = 6.2  # points that a letter of a row's name takes


def work(found: Sequence[Growth], first: int | None, looks: Mapping[str, Look]) -> tuple[Figure, dict[str, str]]:
    """Work ratio against the number of parameters, both logarithmic, beside n and the bound of theory.

    Args:
        found: the backends of one problem.
        first: the number of parameters from which on more than half of the loss is arithmetic; smaller sizes are
            hollow, all of them where it is ``None``.
        looks: marker, dash and colour per backend.

    Returns:
        The figure, and for the gid of every mark what it says.
    """
    figure, axes = canvas("work ratio of a gradient", "parameters", height=HEIGHT)
    sizes = sorted({(point.n, point.case.size) for growth in found for point in growth.points})
    scales.set_sizes(axes, [("" if size == str(n) else size, n) for n, size in sizes])
    ratios = [point.ratio for growth in found for point in growth.points]
    scales.set_factor(axes, "y", [*ratios, BOUND])
    low, high = axes.get_ylim()
    ends = [max(1.0, low), min(sizes[-1][0], high)]
    if ends[0] < ends[1]:
        axes.plot(ends, ends, color=MUTED, linewidth=1.1, dashes=(1, 1.6), zorder=1.5)
    axes.axhline(BOUND, color=LIMIT, linewidth=1.1, dashes=(6, 3), zorder=1.5)
    tips: dict[str, str] = {}
    for growth in found:
        look = looks[growth.backend]
        draw_line(axes, look, [point.n for point in growth.points], [point.ratio for point in growth.points])
        for point in growth.points:
            bounds = timed.bounds(point.case)
            if bounds[0] is not None:
                axes.plot([point.n, point.n], bounds, color=look.colour, linewidth=1.1, zorder=3)
            gid = f"mark-{len(tips)}"
            draw_mark(axes, look, point.n, point.ratio, gid, hollow=first is None or point.n < first)
            each = f"{numbers.factor(point.ratio)} times the loss of {numbers.seconds(point.primal_s)}"
            tips[gid] = f"{growth.backend}, {numbers.parameters(point.n)}: {each}"
    return figure, tips


def exponents(found: Sequence[Growth], looks: Mapping[str, Look]) -> tuple[Figure, dict[str, str]]:
    """A row per backend: its exponents with their intervals, between those of theory.

    Args:
        found: the backends of one problem that have an exponent.
        looks: marker, dash and colour per backend.

    Returns:
        The figure, and for the gid of every mark what it says.
    """
    names = [scales.clipped(growth.backend, LONGEST) for growth in found]
    left = 14.0 + LETTER * max(map(len, names))
    figure, axes = canvas("", "exponent of n", height=56.0 + 26.0 * len(found), left=left, bottom=38.0)
    ends = [end for growth in found for fit in _fits(growth) for end in (fit.exponent, fit.low, fit.high)]
    known = [end for end in ends if end is not None]
    axes.set_xlim(min(-0.2, *known) - 0.1, max(1.2, *known) + 0.1)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_yticks(range(len(found)), names)
    axes.grid(False, axis="y")
    for value in (0.0, 1.0):
        axes.axvline(value, color=MUTED, linewidth=1.1, dashes=(1, 1.6), zorder=1.5)
    tips: dict[str, str] = {}
    for row, growth in enumerate(found):
        for fit, hollow, shift in ((growth.whole, True, 0.16), (growth.beyond, False, -0.16)):
            if fit is not None:
                _exponent(axes, looks[growth.backend], fit, row + shift, f"mark-{len(tips)}", hollow)
                where = "all sizes" if hollow else "beyond the overhead"
                tips[f"mark-{len(tips)}"] = f"{growth.backend}, {where}: {power(fit)}"
    return figure, tips


def _fits(growth: Growth) -> list[Fit]:
    return [fit for fit in (growth.whole, growth.beyond) if fit is not None]


def _exponent(axes: Axes, look: Look, fit: Fit, y: float, gid: str, hollow: bool) -> None:
    if fit.low is not None and fit.high is not None:
        axes.plot([fit.low, fit.high], [y, y], color=look.colour, linewidth=1.4, zorder=3)
    draw_mark(axes, look, fit.exponent, y, gid, hollow=hollow)


def exponent(value: float) -> str:
    """An exponent with two decimals; less than half of the last one is 0."""
    return numbers.signed(f"{value + 0.0:.2f}".replace("-0.00", "0.00"))


def interval(fit: Fit) -> str:
    """``0.93 to 0.98``, empty where there is no interval."""
    return "" if fit.low is None or fit.high is None else f"{exponent(fit.low)} to {exponent(fit.high)}"


def power(fit: Fit) -> str:
    """``0.97 (95 % interval 0.93 to 0.98)``, or without the interval where there is none."""
    bounds = interval(fit)
    return exponent(fit.exponent) + (f" (95 % interval {bounds})" if bounds else "")


def work_words(found: Sequence[Growth]) -> str:
    """What a panel of work ratios shows, for those who do not see it."""
    said = [f"Work ratio of a gradient; theory bounds that of reverse mode by {BOUND:g}."]
    for growth in found:
        points = growth.points
        shown = points if len(points) < 4 else (points[0], points[len(points) // 2], points[-1])
        parts = [f"{numbers.factor(point.ratio)} at {numbers.parameters(point.n)}" for point in shown]
        said.append(f"{growth.backend}: {', '.join(parts)}.")
    return " ".join(said)


def exponent_words(found: Sequence[Growth]) -> str:
    """What a panel of exponents shows, for those who do not see it."""
    said = ["Exponents of the work ratio in the number of parameters; theory has 0 or 1."]
    for growth in found:
        parts = [f"{power(growth.whole)} over all sizes"] if growth.whole else []
        parts += [f"{power(growth.beyond)} beyond the overhead"] if growth.beyond else []
        said.append(f"{growth.backend}: {', '.join(parts)}.")
    return " ".join(said)
