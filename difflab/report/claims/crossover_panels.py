"""The charts of the crossover: work ratio against shape, and what one pass costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .. import axes as scales
from .. import numbers
from ..cases import Case
from ..panels import draw_line, draw_mark
from ..style import INK, MUTED, PAPER, Look, canvas
from . import timed
from .crossings import Diagonal, Shape, height

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEETING = Look(3)  # a diamond
HEIGHT = 318.0  # points
Curve = Sequence[tuple[Shape, Case]]


def shapes(one: Diagonal, looks: Mapping[str, Look]) -> tuple[Figure, dict[str, str]]:
    """Work ratio against outputs per input, theory's crossing, and the crossings that were measured.

    Args:
        one: the maps of one panel.
        looks: marker, dash and colour per backend.

    Returns:
        The figure, and for the gid of every mark what it says.
    """
    curves = _curves(one, looks)
    figure, axes = canvas("work ratio of a Jacobian", "inputs x outputs, by outputs per input", height=HEIGHT)
    scales.set_named(axes, [(shape.place, shape.size) for shape in one.shapes])
    scales.set_factor(axes, "y", [case.work_ratio or 1.0 for curve in curves.values() for _, case in curve] or [1.0])
    axes.axvline(1.0, color=MUTED, linewidth=1.1, dashes=(1, 1.6), zorder=1.5)
    tips: dict[str, str] = {}
    for name, curve in curves.items():
        points = [(shape.place, case.work_ratio or 0.0) for shape, case in curve]
        draw_line(axes, looks[name], [x for x, _ in points], [y for _, y in points])
        for (shape, case), (x, y) in zip(curve, points, strict=True):
            _bar(axes, looks[name], case, x)
            gid = f"mark-{len(tips)}"
            draw_mark(axes, looks[name], x, y, gid)
            tips[gid] = f"{name}, {shape.size}: {numbers.factor(y)} times the map ({numbers.seconds(case.call_s)})"
    for duel in one.duels:
        place = duel.crossing
        if place is None or len(curves.get(duel.forward, ())) < 2:
            continue
        y = height([(shape.place, case.work_ratio or 1.0) for shape, case in curves[duel.forward]], place.at)
        low, high = axes.get_xlim()
        if place.low is not None and place.high is not None:
            ends = [max(place.low, low), min(place.high, high)]
            axes.plot(ends, [y, y], color=INK, linewidth=1.2, zorder=4.2)
        gid = f"mark-{len(tips)}"
        axes.plot(
            [place.at], [y], linestyle="none", marker=MEETING.marker, markersize=8, markerfacecolor=PAPER,
            markeredgecolor=INK, markeredgewidth=1.2, gid=gid, zorder=4.5,
        )  # fmt: skip
        tips[gid] = f"{duel.forward} and {duel.reverse} cross at {numbers.factor(place.at)} outputs per input"
    return figure, tips


def passes(one: Diagonal, looks: Mapping[str, Look]) -> tuple[Figure, dict[str, str]]:
    """The work ratio of one pass against the number of passes.

    Args:
        one: the maps of one panel.
        looks: marker, dash and colour per backend.

    Returns:
        The figure, and for the gid of every mark what it says.
    """
    curves = _curves(one, looks)
    figure, axes = canvas("evaluations that one pass costs", "passes", height=HEIGHT, bottom=38.0)
    every = [(case.primal_calls or 1.0, per_pass(case) or 1.0) for curve in curves.values() for _, case in curve]
    scales.set_count(axes, "x", [x for x, _ in every] or [1.0])
    scales.set_factor(axes, "y", [y for _, y in every] or [1.0])
    tips: dict[str, str] = {}
    for name, curve in curves.items():
        points = sorted(
            (case.primal_calls, each, shape.size)
            for shape, case in curve
            if case.primal_calls and (each := per_pass(case))
        )
        draw_line(axes, looks[name], [x for x, *_ in points], [y for _, y, _ in points])
        for x, y, size in points:
            gid = f"mark-{len(tips)}"
            draw_mark(axes, looks[name], x, y, gid)
            many = numbers.counted(int(x), "pass", "passes")
            tips[gid] = f"{name}, {size}: {many} of {numbers.factor(y)} evaluations each"
    return figure, tips


def per_pass(case: Case) -> float | None:
    """The time of one pass in evaluations of the map."""
    return case.work_ratio / case.primal_calls if case.work_ratio and case.primal_calls else None


def pass_s(case: Case) -> float | None:
    """Seconds of one pass."""
    return case.call_s / case.primal_calls if case.call_s and case.primal_calls else None


def shape_words(one: Diagonal) -> str:
    """What a panel of shapes shows, for those who do not see it."""
    said = ["Work ratio of a Jacobian by shape; theory has forward and reverse mode cross at one output per input."]
    for name in one.backends:
        ends = [f"{numbers.factor(case.work_ratio)} at {shape.size}" for shape, case in one.cases(name)]
        if len(ends) > 3:
            ends = [ends[0], ends[len(ends) // 2], ends[-1]]
        if ends:
            said.append(f"{name}: {', '.join(ends)}.")
    for duel in one.duels:
        place = duel.crossing
        where = "do not cross" if place is None else f"cross at {numbers.factor(place.at)} outputs per input"
        said.append(f"{duel.forward} and {duel.reverse} {where}.")
    return " ".join(said)


def pass_words(one: Diagonal) -> str:
    """What a panel of passes shows, for those who do not see it."""
    said = ["Evaluations of the map that one pass costs, by the number of passes."]
    for name in one.backends:
        found = sorted((case.primal_calls, each) for _, case in one.cases(name) if (each := per_pass(case)))
        if found:
            ends = [found[0], found[-1]] if len(found) > 1 else found
            parts = [f"{numbers.factor(each)} in {numbers.counted(int(n or 0), 'pass', 'passes')}" for n, each in ends]
            said.append(f"{name}: {', '.join(parts)}.")
    return " ".join(said)


def _curves(one: Diagonal, looks: Mapping[str, Look]) -> dict[str, Curve]:
    found = {name: [pair for pair in one.cases(name) if pair[1].work_ratio] for name in looks}
    return {name: curve for name, curve in found.items() if curve}


def _bar(axes: Axes, look: Look, case: Case, x: float) -> None:
    """The interval of the time, in evaluations of the map."""
    low, high = timed.bounds(case)
    if low is not None and high is not None:
        axes.plot([x, x], [low, high], color=look.colour, linewidth=1.1, zorder=3)
