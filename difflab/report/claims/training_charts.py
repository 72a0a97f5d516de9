"""The curves of a study of training: loss against steps and seconds, and how far the paths part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .. import axes as scales
from .. import numbers
from ..figures import Chart, Panel
from ..panels import draw_line, draw_mark
from ..style import Look, canvas, key_mark
from ..svg import inline
from .training_runs import Field, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = 2.0**-54  # where a departure of exactly nought is drawn
HEIGHT = 300.0
MOST_ROWS = 14  # of each panel in the table beneath a chart
WIDE = 4.5  # points: the reference is drawn beneath the others, broad enough to be seen
Points = Callable[[Field, Run], list[tuple[float, float]]]


def charts(found: Sequence[Field], styles: Mapping[str, Look]) -> list[Chart]:
    """Loss against steps, loss against seconds, departure against steps where something departs.

    Args:
        found: the runs, by what may be compared.
        styles: marker, dash and colour per backend.
    """
    made = [_against_steps(found, styles), _against_seconds(found, styles)]
    if any(len(field.runs) > 1 for field in found):
        made.append(_departures(found, styles))
    return made


def loss_words(value: float) -> str:
    """A loss in three digits: ``0.0123``, and with a power of ten where that would be long."""
    return numbers.significant(value) if value == 0 or 1e-4 <= abs(value) < 1e5 else numbers.scaled(value)


def _against_steps(found: Sequence[Field], styles: Mapping[str, Look]) -> Chart:
    def points(_: Field, run: Run) -> list[tuple[float, float]]:
        both = zip(run.steps, run.losses, strict=True)
        return [(float(step), loss) for step, loss in both if step and loss is not None and loss > 0]

    caption = (
        "Both axes are logarithmic; down is better. A curve ends where its time or its steps were over, with its mark.",
        "The broad pale curve is the one from which departures are taken; the others lie on it where the path is one.",
    )
    rows, names = [], _names(found, styles)
    for field in found:
        steps = sorted({step for run in field.runs for step in run.steps})
        for step in _thinned(steps):
            rows.append((field.place, numbers.grouped(step), *_losses(field, names, lambda run, k=step: run.at(k))))
    return _chart("steps", "Loss against steps", caption, found, styles, points, scales.set_count, "steps", rows)


def _against_seconds(found: Sequence[Field], styles: Mapping[str, Look]) -> Chart:
    def points(_: Field, run: Run) -> list[tuple[float, float]]:
        both = zip(run.seconds, run.losses, strict=True)
        return [(time, loss) for time, loss in both if time > 0 and loss is not None and loss > 0]

    caption = (
        "The same losses by the clock. A curve begins where preparing is over: recording, differentiating, compiling.",
        "What stands far to the right for the same loss is that much slower.",
    )
    rows, names = [], _names(found, styles)
    for field in found:
        every = [time for run in field.runs for time in run.seconds if time > 0]
        for time in scales.decimal_ticks(min(every), 1.0001 * max(max(every), 4 * min(every)), 9):
            losses = _losses(field, names, lambda run, t=time: _by_then(run, t))
            rows.append((field.place, numbers.trimmed(numbers.seconds(time)), *losses))
    heading = "Loss against seconds"
    return _chart("seconds", heading, caption, found, styles, points, scales.set_time, "time", rows)


def _departures(found: Sequence[Field], styles: Mapping[str, Look]) -> Chart:
    found = [field for field in found if len(field.runs) > 1]

    def points(field: Field, run: Run) -> list[tuple[float, float]]:
        if run is field.reference:
            return []
        return [(float(step), max(departure, FLOOR)) for step, departure in field.departures(run) if step]

    references = list(dict.fromkeys(field.reference.case.backend for field in found))
    caption = (
        f"By how much the loss at equal steps differs from that of {numbers.listed(references)}, as a share of it. "
        "Exact gradients begin at rounding, differences of function values at the digits that they lose.",
        "Where a curve climbs steeply the path amplifies whatever difference there is, be it rounding.",
        "No difference at all is drawn at the lower end.",
    )
    rows, every = [], _names(found, styles)
    for field in found:
        known = {run.case.backend: dict(field.departures(run)) for run in field.runs if run is not field.reference}
        for step in _thinned(sorted({step for one in known.values() for step in one})):
            found_there = [known.get(name, {}).get(step) for name in every]
            cells = ["" if departure is None else numbers.scientific(departure) for departure in found_there]
            rows.append((field.place, numbers.grouped(step), *cells))
    heading = "Where the paths part"
    return _chart("parting", heading, caption, found, styles, points, scales.set_count, "steps", rows, error=True)


# ------------------------------------------------------------------------------------------------ pieces


def _chart(
    anchor: str, heading: str, caption: tuple[str, ...], found: Sequence[Field], styles: Mapping[str, Look],
    points: Points, set_x: Callable[[Axes, str, Sequence[float]], None], x_label: str,
    rows: Sequence[tuple[str, ...]], error: bool = False,
) -> Chart:  # fmt: skip
    panels: list[Panel] = []
    shown: set[str] = set()
    for field in found:
        drawn = {run.case.backend: own for run in field.runs if (own := points(field, run))}
        if drawn:
            figure, tips = _panel(field, drawn, styles, set_x, x_label, error)
            text, title = _words(field, drawn, x_label, error), f"{heading}, {field.place}"
            panels.append(Panel(field.place, inline(figure, f"{anchor}{len(panels)}", title, text, tips)))
            shown |= set(drawn)
    names = _names(found, styles)
    keys = tuple({"text": name, **key_mark(styles[name])} for name in names if name in shown)
    columns = ("Problem", "Steps" if x_label == "steps" else "Time", *names)
    return Chart(anchor, heading, caption, keys, tuple(panels), columns, tuple(rows))


def _panel(
    field: Field, drawn: Mapping[str, list[tuple[float, float]]], styles: Mapping[str, Look],
    set_x: Callable[[Axes, str, Sequence[float]], None], x_label: str, error: bool,
) -> tuple[Figure, dict[str, str]]:  # fmt: skip
    broad = x_label == "steps" and not error and len(field.runs) > 1
    figure, axes = canvas("departure" if error else "loss", x_label, height=HEIGHT, bottom=38.0)
    every = [point for own in drawn.values() for point in own]
    set_x(axes, "x", [x for x, _ in every])
    heights = [y for _, y in every]
    if error:
        scales.set_error(axes, "y", heights)
    else:
        set_loss(axes, heights)
    tips: dict[str, str] = {}
    for name, own in drawn.items():
        look = styles[name]
        xs, ys = [x for x, _ in own], [y for _, y in own]
        if broad and name == field.reference.case.backend:
            axes.plot(xs, ys, color=look.colour, linewidth=WIDE, alpha=0.35, zorder=2, solid_capstyle="round")
        else:
            draw_line(axes, look, xs, ys)
        gid = f"mark-{len(tips)}"
        draw_mark(axes, look, *own[-1], gid)
        where = f"{numbers.grouped(own[-1][0])} steps" if x_label == "steps" else numbers.seconds(own[-1][0])
        tips[gid] = f"{name}: {_value(own[-1][1], error)} after {where}"
    return figure, tips


def set_loss(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic y axis of losses: round numbers, powers of ten where there is no room for more."""
    low, high = scales._around(values)
    ticks = scales.decimal_ticks(low, high, scales.MOST_TICKS["y"])
    scales._apply(axes, "y", low, high, ticks, _tick)


def _tick(value: float) -> str:
    return f"{value:g}" if 1e-3 <= value < 1e4 else numbers.scaled(value)


def _value(value: float, error: bool) -> str:
    return numbers.scientific(value) if error else loss_words(value)


def _words(field: Field, drawn: Mapping[str, list[tuple[float, float]]], x_label: str, error: bool) -> str:
    said = []
    for name, own in drawn.items():
        shown = [
            f"{_value(y, error)} at {numbers.seconds(x) if x_label == 'time' else f'{numbers.grouped(x)} steps'}"
            for x, y in (own[0], own[-1])
        ]
        said.append(f"{name}: from {shown[0]} to {shown[1]}.")
    what = "Departure of the loss" if error else f"Loss over {field.example.more.get('of', 'the data')}"
    return f"{what} against {'steps' if x_label == 'steps' else 'seconds'}. " + " ".join(said)


def _names(found: Sequence[Field], styles: Mapping[str, Look]) -> list[str]:
    """The backends with a run in any of the fields, in the order of the study."""
    there = {run.case.backend for field in found for run in field.runs}
    return [name for name in styles if name in there]


def _losses(field: Field, names: Sequence[str], loss: Callable[[Run], float | None]) -> list[str]:
    own = {run.case.backend: loss(run) for run in field.runs}
    return ["" if (value := own.get(name)) is None else loss_words(value) for name in names]


def _by_then(run: Run, time: float) -> float | None:
    """The last loss that was known at a time."""
    known = [loss for at, loss in zip(run.seconds, run.losses, strict=True) if at <= time]
    return known[-1] if known else None


def _thinned(steps: Sequence[int]) -> list[int]:
    """A few of the steps, evenly among them, with the first and the last."""
    if len(steps) <= MOST_ROWS:
        return list(steps)
    places = {round(k * (len(steps) - 1) / (MOST_ROWS - 1)) for k in range(MOST_ROWS)}
    return [steps[place] for place in sorted(places)]
