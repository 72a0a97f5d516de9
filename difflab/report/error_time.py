"""Error against time: every backend a point per size, and the front of those that no other beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from . import axes as scales
from . import charts, numbers, pareto
from .cases import ROUNDING, YARDSTICKS, Case, Group, family_of
from .charts import Chart
from .nouns import noun
from .panels import draw_line, draw_mark, has_error, put
from .style import INK, MUTED, Look, canvas, key_mark, ring_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADING = "Error against time"
BENEATH = 5.0  # points by which the marks of yardsticks are larger, so that a mark of the same place does not hide them
AROUND = 5.0  # points by which a ring is wider than its mark
LEVEL = (
    "Half a digit more or less counts as equal, and so do times whose intervals touch (without intervals, times within "
    "a tenth)."
)

Fronts = Mapping[str, Sequence[Case]]


def error_against_time(groups: Sequence[Group], looks: dict[str, Look]) -> Chart:
    """Every backend a point per size: how wrong its gradient is against how long it takes.

    Args:
        groups: the cases, by what may be compared.
        looks: marker, dash and colour per backend.
    """
    drawn = [group for group in groups if any(has_error(case) for case in group.cases)]
    if not drawn:
        return charts.missing("error", HEADING, "no case has both a time and a certified error")
    shown = charts.shown(drawn, looks, has_error)
    drawn, single = charts.several(drawn)
    fronts = {group.title: pareto.efficient(group) for group in (*drawn, *single)}
    what = charts.what(drawn)
    keys = [{"text": name, **key_mark(looks[name])} for name in shown]
    if any(fronts[group.title] for group in drawn):
        keys.append({"text": "ringed: on the front of its size", **ring_mark()})
    if any(not c.ok and has_error(c) for g in drawn for c in g.cases):
        wrong = charts.wrong_words(drawn)
        keys.append({"text": f"hollow: {wrong}", **key_mark(Look(0), hollow=True), "stroke": "muted"})
    caption = (
        "Down and to the left is better. A point is one backend at one size: the larger the mark, the larger the size; "
        "a line joins the sizes of a backend.",
        *_beneath_note(drawn),
        *_front_note(drawn, fronts),
        f"The error is the distance from the certified {what} relative to its length, so 10⁻¹² means about twelve "
        "correct digits.",
        *charts.interval_note(drawn),
    )
    rows = tuple(
        (*charts.placed(g, c), c.backend, *numbers.measured_apart(c.call_s, c.call_s_low, c.call_s_high, "n/a"),
         numbers.scientific(c.rel_error), numbers.digits(c.digits), _placed(c, fronts[g.title]))
        for g in (*drawn, *single) for c in g.cases if has_error(c)
    )  # fmt: skip
    columns = (
        "Problem", "Size", "Parameters", "Backend", f"One {what}", "95 % interval", "Relative error", "Digits",
        "On the front",
    )  # fmt: skip
    made = charts.drawn(
        drawn, "error", HEADING,
        lambda g: panel(g, looks, fronts[g.title], noun(g.cases)), lambda g: _words(g, fronts[g.title]),
    )  # fmt: skip
    lost = [c for g in groups for c in g.cases if c.ok and family_of(c) != "null" and not has_error(c)]
    notes = [f"{numbers.counted(len(lost), 'finished case')} without a certified error: not drawn."] if lost else []
    if any(c.rel_error == 0 and has_error(c) for g in drawn for c in g.cases):
        notes.append("An error of exactly 0 has no place on a logarithmic axis and is drawn at its lower end.")
    notes += charts.table_only(single)
    return Chart("error", HEADING, caption, tuple(keys), made, columns, rows, notes=tuple(notes))


def panel(group: Group, looks: dict[str, Look], front: Fronts, what: str) -> tuple[Figure, dict[str, str]]:
    """Relative error against time of one gradient, both logarithmic, with the front of each size.

    Args:
        group: cases that may be compared.
        looks: marker, dash and colour per backend.
        front: the cases of each size that no other beats, quickest first.
        what: what the cases compute.

    Returns:
        The figure, and for the gid of every mark what it says.
    """
    cases = [case for case in group.cases if has_error(case)]
    floor = min((ROUNDING.get(case.dtype, ROUNDING["float64"]) for case in cases), default=ROUNDING["float64"]) / 8

    def height(case: Case) -> float:
        return max(case.rel_error or 0.0, floor)

    figure, axes = canvas("relative error", f"time of one {what}", bottom=38.0)
    scales.set_time(axes, "x", [value for c in cases for value in (c.call_s, c.call_s_low, c.call_s_high) if value])
    scales.set_error(axes, "y", [height(case) for case in cases])
    ranks = {size: rank for rank, (size, _) in enumerate(group.sizes)}
    by_hand = {case.backend for case in cases if family_of(case) in YARDSTICKS}
    efficient = {id(case) for own in front.values() for case in own}
    for own in front.values():
        _steps(axes, [(case.call_s or 0.0, height(case)) for case in own])
    tips: dict[str, str] = {}
    for name, look in sorted(looks.items(), key=lambda item: item[0] not in by_hand):  # yardsticks lie beneath
        own = [case for case in group.of(name) if has_error(case)]
        draw_line(axes, look, [case.call_s or 0.0 for case in own], [height(case) for case in own])
        for case in own:
            x, y = case.call_s or 0.0, height(case)
            if case.call_s_low and case.call_s_high:
                put(axes, [case.call_s_low, case.call_s_high], [y, y], color=look.colour, linewidth=1.1, zorder=3)
            gid = f"mark-{len(tips)}"
            size = 5.5 + 4.0 * ranks[case.size] / max(3, len(ranks) - 1) + (BENEATH if name in by_hand else 0.0)
            draw_mark(axes, look, x, y, gid, hollow=not case.ok, size=size)
            if id(case) in efficient:
                _ring(axes, x, y, size + AROUND)
            tips[gid] = (
                f"{name}, {case.size}: {numbers.scientific(case.rel_error)} in {numbers.seconds(case.call_s)}"
                f" ({case.outcome_words}{', on the front' if id(case) in efficient else ''})"
            )
    return figure, tips


def _steps(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """The front of one size as a stair from the quickest to the most accurate; one point alone is no stair."""
    if len(points) > 1:
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, color=MUTED, linewidth=0.9, drawstyle="steps-post", zorder=1.8)


def _ring(axes: Axes, x: float, y: float, size: float) -> None:
    axes.plot(
        [x], [y], linestyle="none", marker="o", markersize=size, markerfacecolor="none", markeredgecolor=INK,
        markeredgewidth=0.9, zorder=3.8, clip_on=False,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ words


def _beneath_note(groups: Sequence[Group]) -> tuple[str, ...]:
    if any(family_of(c) == "analytic" and has_error(c) for g in groups for c in g.cases):
        return ("The hand-derived gradient has larger marks, beneath those of the others.",)
    return ()


def _front_note(groups: Sequence[Group], fronts: Mapping[str, Fronts]) -> tuple[str, ...]:
    """What a ring means, and who has one."""
    there = [front for group in groups if (front := fronts[group.title])]
    if not there:
        return ()
    aside = any(family_of(c) in YARDSTICKS and has_error(c) for g in groups for c in g.cases)
    stairs = any(len(own) > 1 for front in there for own in front.values())
    return (
        "A ring marks the Pareto front: no right result of its size is as accurate and quicker, or as quick and more "
        f"accurate{'; thin stairs join the rings of one size' if stairs else ''}. {LEVEL}"
        f"{' The hand-derived gradient, a yardstick, does not compete.' if aside else ''}",
        _named(groups, fronts),
    )


def _named(groups: Sequence[Group], fronts: Mapping[str, Fronts]) -> str:
    """In one sentence which backends are on the front, and at how many of the sizes."""
    places = [own for group in groups for own in fronts[group.title].values()]
    counts: dict[str, int] = {}
    for case in (case for own in places for case in own):
        counts[case.backend] = counts.get(case.backend, 0) + 1
    order = sorted(counts, key=lambda name: -counts[name])
    if len(places) == 1:
        return f"On the front: {numbers.listed(order)}."
    said = [f"{name} at {'all' if counts[name] == len(places) else counts[name]}" for name in order]
    return f"Of {len(places)} sizes, on the front: {numbers.listed(said)}."


def _placed(case: Case, front: Fronts) -> str:
    """Whether a case is on the front; nothing for one that does not compete."""
    if not pareto.competes(case):
        return ""
    return "yes" if any(case is other for other in front.get(case.size, ())) else "no"


def _words(group: Group, front: Fronts) -> str:
    def words(case: Case) -> str:
        if not has_error(case):
            return ""
        wrong = "" if case.ok else f" ({case.outcome_words})"
        return f"{numbers.scientific(case.rel_error)} in {numbers.seconds(case.call_s)} at size {case.size}{wrong}"

    ends = [f"size {size}, {numbers.listed([case.backend for case in own])}" for size, own in front.items()]
    said = f" On the Pareto front: {'; '.join(ends)}." if ends else ""
    return f"Relative error and time of one {noun(group.cases)}. {charts.per_backend(group, words)}{said}"
