"""One chart each: drawn from one group of cases, returned as a matplotlib figure with a tip for every mark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import axes as scales
from . import numbers
from .cases import Case, Group, family_of
from .growth_fits import Guide
from .style import GRID, INK, LIMIT, MUTED, PAPER, Look, arrow, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

STEP, SPREAD = 6.0, 36.0  # points between the marks of two backends at one size, and between the outermost
SHARE = 0.7  # of the distance of two sizes, for the marks of one
GUIDE = (7.0, 2.0, 1.5, 2.0)  # dashes of a line of theory
Unit = Callable[[float | None], str]
APART = 10.0  # points between hollow marks at one size, whose arrows need room
BEYOND = (
    30.0  # forecasts further over the limit than this factor are drawn at its end, or the axis would hold little else
)


@dataclass(frozen=True)
class Censored:
    """Which cases have a value, and what is known of those without one.

    ``column`` is the measured quantity, ``limit`` what a case was allowed of it, ``stopped`` the outcomes that mean the
    limit was met, ``forecast`` the column of the prediction, ``floor`` the smallest value that can be seen.
    ``fallback``: whether a refused case without any forecast counts as refused for this quantity; ``meaning``: what the
    forecast is a forecast of.
    """

    column: str
    limit: float | None
    stopped: frozenset[str]
    forecast: str
    floor: float = 0.0
    fallback: bool = False
    meaning: str = "forecast"

    def value(self, case: Case) -> float | None:
        """The measured value of a case that finished, as it is drawn."""
        found = getattr(case, self.column)
        if not case.ok or found is None or max(found, self.floor) <= 0:
            return None
        return max(found, self.floor)

    def bound(self, case: Case) -> float | None:
        """What a case without a result is known to exceed, by the limit it met or by its forecast."""
        if case.outcome in self.stopped:
            return self.limit
        if case.outcome != "skipped_predicted":
            return None
        forecast = _forecast(self, case)
        if forecast is None:
            return self.limit if self.fallback and case.predicted_bytes is None else None
        return forecast if forecast > (self.limit or 0.0) else None

    def refused(self, case: Case) -> bool:
        """Whether the bound of a case is a forecast."""
        return case.outcome not in self.stopped and self.bound(case) is not None and _forecast(self, case) is not None

    def words(self, case: Case, bound: str) -> str:
        """The bound of a case in words: ``more than 10 s``, or what was forecast."""
        return f"{self.meaning}: {bound}" if self.refused(case) else f"more than {bound}"

    def shows(self, case: Case) -> bool:
        """Whether the case has a place in the chart."""
        return self.value(case) is not None or self.bound(case) is not None

    def drawn(self, bound: float) -> float:
        """Where a bound is drawn: a forecast far beyond the limit stays near it."""
        return bound if self.limit is None else min(bound, self.limit * BEYOND)

    def near_limit(self, group: Group) -> bool:
        """Whether the limit belongs into the chart: something met it or came within a factor of ten."""
        if self.limit is None:
            return False
        values = [value for case in group.cases if (value := self.value(case)) is not None]
        return any(self.bound(case) is not None for case in group.cases) or max(values, default=0) > self.limit / 10


@dataclass(frozen=True)
class Kind:
    """One thing that is counted in the chart of operations; ``read`` finds it for a group and a size."""

    words: str
    look: Look
    read: Callable[[Group, str], float | None]


def _forecast(plan: Censored, case: Case) -> float | None:
    return getattr(case, plan.forecast)


def is_symbolic(case: Case) -> bool:
    """Whether the case differentiates symbolically."""
    return family_of(case) == "symbolic"


def has_error(case: Case) -> bool:
    """Whether the case has a place in the chart of error against time."""
    error, time = case.rel_error, case.call_s
    return error is not None and error != float("inf") and time is not None and time > 0 and family_of(case) != "null"


def has_operations(case: Case) -> bool:
    """Whether symbolic operations were counted."""
    return case.symbolic_ops_gradient is not None or case.symbolic_ops_value is not None


def _symbolic(column: str) -> Callable[[Group, str], float | None]:
    def read(group: Group, size: str) -> float | None:
        found = (getattr(c, column) for c in group.cases if c.size == size and has_operations(c))
        return next((value for value in found if value), None)

    return read


def _tape(group: Group, size: str) -> float | None:
    """The tape of reverse mode where there is one, otherwise any."""
    cases = [case for case in group.cases if case.size == size and case.tape_length]
    cases.sort(key=lambda case: (family_of(case) != "reverse", not is_symbolic(case)))
    return cases[0].tape_length if cases else None


KINDS = (
    Kind("steps on the tape", Look(0), _tape),
    Kind("operations of the loss", Look(4), _symbolic("symbolic_ops_value")),
    Kind("operations of the gradient", Look(2), _symbolic("symbolic_ops_gradient")),
    Kind("operations after sharing", Look(6), _symbolic("symbolic_ops_cse")),
)


def growth(
    group: Group,
    looks: dict[str, Look],
    plan: Censored,
    y_label: str,
    set_axis: Callable[[Axes, str, Sequence[float]], None],
    unit: Unit,
    guides: Sequence[Guide] = (),
) -> tuple[Figure, dict[str, str]]:
    """A quantity against the number of parameters, with limits and censored cases.

    Args:
        group: cases that may be compared.
        looks: marker, dash and colour per backend.
        plan: which values, limits and forecasts are drawn.
        y_label: the quantity in words.
        set_axis: gives the y axis its scale and ticks.
        unit: writes a value with its unit.
        guides: lines of theory.

    Returns:
        The figure, and for the gid of every mark what it says.
    """
    figure, axes = canvas(y_label, "parameters")
    primal = _primal(group) if plan.column == "call_s" else []
    sizes = [(size, number) for size, number in group.sizes if number or len(group.sizes) == 1]
    gap = scales.set_sizes(axes, sizes)
    set_axis(axes, "y", list(_heights(group, plan, [y for _, y in primal])))
    if plan.limit is not None and plan.near_limit(group):
        axes.axhline(plan.limit, color=LIMIT, linewidth=1.1, dashes=(6, 3), zorder=1.5)
    if primal:
        xs, ys = zip(*primal, strict=True)
        if len(primal) == 1:  # a line through one size is one across the panel
            xs, ys = (0, 1), ys * 2
        across = axes.get_yaxis_transform() if len(primal) == 1 else axes.transData
        axes.plot(xs, ys, color=MUTED, linewidth=1.1, dashes=(1, 1.6), zorder=2, transform=across)
    tips: dict[str, str] = {}
    for guide in guides:
        tips[f"guide-{len(tips)}"] = guide.text
        _guide(axes, guide, f"guide-{len(tips) - 1}")
    names = [name for name in looks if any(plan.shows(case) for case in group.of(name))]
    step = min(STEP, min(SPREAD, SHARE * gap) / max(1, len(names) - 1))
    for place, name in enumerate(names):
        look, own = looks[name], [(case, value) for case in group.of(name) if (value := plan.value(case)) is not None]
        moved = moved_by(axes, step * (place - (len(names) - 1) / 2))
        draw_line(axes, look, [_x(case) for case, _ in own], [value for _, value in own], moved)
        for case, value in own:
            if plan.column == "call_s" and case.call_s_low and case.call_s_high:
                bounds = [case.call_s_low, case.call_s_high]
                put(axes, [_x(case)] * 2, bounds, color=look.colour, linewidth=1.1, transform=moved)
            gid = f"mark-{len(tips)}"
            draw_mark(axes, look, _x(case), value, gid, moved=moved)
            tips[gid] = f"{name}, {case.size}: {unit(getattr(case, plan.column))}"
    for case, bound, points in _spread(axes, group, names, plan):
        gid = f"mark-{len(tips)}"
        _censored(axes, looks[case.backend], _x(case), plan.drawn(bound), gid, moved_by(axes, points))
        tips[gid] = f"{case.backend}, {case.size}: {case.outcome_words}, {plan.words(case, unit(bound))}"
    return figure, tips


def _guide(axes: Axes, guide: Guide, gid: str) -> None:
    xs, ys = zip(guide.first, guide.last, strict=True)
    axes.plot(xs, ys, color=MUTED, linewidth=1.0, dashes=GUIDE, zorder=2.2, gid=gid)


def _spread(axes: Axes, group: Group, names: Sequence[str], plan: Censored) -> Iterable[tuple[Case, float, float]]:
    """Cases without a result, their bounds, and by how many points each stands aside so that none hides another."""
    width = axes.get_window_extent().width
    low, high = axes.get_xlim()
    places = [math.log(max(1, number) / low) / math.log(high / low) * width for _, number in group.sizes]
    for rank, (size, _) in enumerate(group.sizes):
        here = [case for name in names if (case := group.at(size, name)) and plan.bound(case) is not None]
        gaps = [abs(places[rank] - place) for other, place in enumerate(places) if other != rank]
        step = min(APART, SHARE * min(gaps, default=width) / max(1, len(here) - 1))
        for place, case in enumerate(here):
            yield case, plan.bound(case) or 0.0, step * (place - (len(here) - 1) / 2)


def swell(group: Group, kinds: Sequence[Kind], state: Callable[[Group, str], str]) -> tuple[Figure, dict[str, str]]:
    """A row per size and a mark per kind of count, on one logarithmic axis.

    Args:
        group: the cases of one problem.
        kinds: what is counted.
        state: how symbolic differentiation ended at a size, in words.

    Returns:
        The figure, and for the gid of every mark what it says.
    """
    rows = [(size, n, [(kind, kind.read(group, size)) for kind in kinds]) for size, n in group.sizes]
    rows = [row for row in rows if any(value for _, value in row[2])]
    figure, axes = canvas("", "count", height=64.0 + 38.0 * len(rows), left=8.0)
    scales.set_count(axes, "x", [value for _, _, counts in rows for _, value in counts if value])
    axes.set_ylim(len(rows) - 0.5, -0.72)
    axes.set_yticks([])
    axes.grid(False, axis="y")
    tips: dict[str, str] = {}
    for place, (size, n, counts) in enumerate(rows):
        words = f"{scales.clipped(size, 24)}, {numbers.parameters(n)}" if size else numbers.parameters(n)
        how = state(group, size)
        label = words if how == "finished" else f"{words}: symbolic {how}"
        axes.annotate(
            label, (0, place), xycoords=("axes fraction", "data"), xytext=(0, 8), textcoords="offset points", color=INK
        )
        present = [value for _, value in counts if value]
        axes.plot([min(present), max(present)], [place, place], color=GRID, linewidth=2.5, zorder=1)
        for kind, value in counts:
            if value:
                gid = f"mark-{len(tips)}"
                draw_mark(axes, kind.look, value, place, gid, size=7)
                tips[gid] = f"{size}: {numbers.count(value)} {kind.words}"
    return figure, tips


# ------------------------------------------------------------------------------------------------ pieces


def _x(case: Case) -> float:
    return float(max(1, case.n_params))


def moved_by(axes: Axes, points: float) -> Transform:
    """The axes' own coordinates, a few points to the right, so that marks of one size stand side by side."""
    from matplotlib.transforms import ScaledTranslation

    figure: Any = axes.get_figure(root=True)
    return axes.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def put(axes: Axes, xs: Sequence[float], ys: Sequence[float], **style: Any) -> None:
    """A line or mark on axes whose limits are set: what ``axes.plot`` does, without looking for new limits."""
    from matplotlib.lines import Line2D

    axes.add_artist(Line2D(xs, ys, **style))


def draw_line(axes: Axes, look: Look, xs: Sequence[float], ys: Sequence[float], moved: Transform | None = None) -> None:
    """The line of a backend in its colour and dashes, if it has two points."""
    if len(xs) > 1:
        (line,) = axes.plot(
            xs,
            ys,
            color=look.colour,
            linewidth=1.2,
            zorder=2.5,
            solid_joinstyle="round",
            transform=moved or axes.transData,
        )
        if look.dashes:
            line.set_dashes(look.dashes)


def draw_mark(
    axes: Axes, look: Look, x: float, y: float, gid: str, *,
    hollow: bool = False, size: float = 6.0, moved: Transform | None = None,
) -> None:  # fmt: skip
    """The mark of a backend, under a ``gid`` by which its tip is found; a hollow one has no measured value."""
    fill = PAPER if hollow else look.colour
    edge = look.colour if hollow else PAPER
    scale = 1.25 if look.marker in "*XP^v" else 1.0  # as much ink as a circle
    put(
        axes, [x], [y], linestyle="none", marker=look.marker, markersize=size * scale, markerfacecolor=fill,
        markeredgecolor=edge, markeredgewidth=1.2 if hollow else 0.7, gid=gid, zorder=4,
        transform=moved or axes.transData, clip_on=False,
    )  # fmt: skip


def _primal(group: Group) -> list[tuple[float, float]]:
    """The time of the loss itself per size: the middle of what the backends measured beside their own."""
    points = []
    for size, number in group.sizes:
        times = sorted(case.primal_s for case in group.cases if case.size == size and case.primal_s)
        if times:
            points.append((float(max(1, number)), times[len(times) // 2]))
    return points


def _heights(group: Group, plan: Censored, others: Iterable[float]) -> Iterable[float]:
    """Everything that the y axis must hold, with room for arrows."""
    yield from others
    for case in group.cases:
        if (value := plan.value(case)) is not None:
            yield value
            if plan.column == "call_s":
                yield from (bound for bound in (case.call_s_low, case.call_s_high) if bound)
        if (bound := plan.bound(case)) is not None:
            yield from (plan.drawn(bound) / 3, plan.drawn(bound) * 4)
    if plan.limit is not None and plan.near_limit(group):
        yield from (plan.limit / 1.5, plan.limit * 1.5)


def _censored(axes: Axes, look: Look, x: float, y: float, gid: str, moved: Transform) -> None:
    """A hollow mark with an arrow: the value is more than this."""
    axes.plot(
        [x], [y], linestyle="none", marker=arrow(1), markersize=22, markerfacecolor="none", zorder=3.5,
        markeredgecolor=look.colour, markeredgewidth=1.2, transform=moved, clip_on=False,
    )  # fmt: skip
    draw_mark(axes, look, x, y, gid, hollow=True, moved=moved)
