"""The charts of a study of Jacobians: bytes and seconds against the size of a layer, and where the zeros are."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .. import axes as scales
from .. import figures, numbers
from ..figures import Chart
from ..panels import _line, _mark, _moved
from ..pictures import pictures
from ..style import LIMIT, MUTED, Look, canvas, key_mark
from ..svg import inline
from . import tensor_words
from .wall_parts import Panel, Part

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDEST = 32  # cells across a picture at least, so that small ones stay small
SPREAD = 7.0  # points between the marks of one size
HOUR, DAY, YEAR = 3600.0, 86_400.0, 31_557_600.0
TICKS = (*(10.0**power for power in range(-9, 3)), 60.0 * 10, HOUR, DAY, 30 * DAY, *(YEAR * 10**k for k in range(8)))
X_LABEL = "numbers in the layer's input and weights"


def memory(panels: Sequence[Panel], looks: dict[str, Look]) -> Chart:
    """Peak of memory of forming a Jacobian and of the product without it, against the size of the layer."""
    heading = "Memory: the Jacobian and the product without it"

    def formed(part: Part) -> float | None:
        return None if part.peak is None else max(part.peak, numbers.RESOLUTION)

    def product(part: Part) -> float | None:
        return None if part.product["bytes"] is None else max(part.product["bytes"], numbers.RESOLUTION)

    caption = (
        "Both axes are logarithmic. A mark is the highest memory of the process above what it held before. The dotted "
        "line is no measurement: it is the product of the two shapes and the bytes of a number.",
        "Peaks below 256 KiB are noise of what the system hands out, and are drawn at 256 KiB.",
    )
    known = [panel for panel in panels if any(formed(part) or product(part) for part in panel.parts)]
    if not known:
        return Chart("memory", heading, (), missing="Nothing to show: this system does not say what a process takes.")
    drawn, notes = _several(known)
    made = []
    for place, panel in enumerate(drawn):
        figure, axes = canvas("bytes", X_LABEL)
        scales.set_sizes(axes, panel.sizes)
        promised = [(float(part.case.n_params), float(part.bytes)) for part in panel.main]
        limit = panel.parts[0].limit
        values = [value for part in panel.parts for value in (formed(part), product(part)) if value]
        scales.set_bytes(axes, "y", [*values, *(y for _, y in promised), *([limit] if limit else [])])
        axes.plot(*zip(*promised, strict=True), color=MUTED, linewidth=1.3, dashes=(1, 1.6), zorder=2)
        if limit is not None:
            axes.axhline(limit, color=LIMIT, linewidth=1.1, dashes=(6, 3), zorder=1.5)
        tips = _marks(axes, panel, looks, formed, product, numbers.peak)
        svg = inline(figure, f"wallmem{place}", f"{heading}: {panel.title}", _words(panel, "bytes", numbers.peak), tips)
        made.append(figures.Panel(panel.title, svg))
    keys = [*_keys(panels, looks), {"text": "bytes of the Jacobian by its shape", **key_mark(None, line="primal")}]
    if any(panel.parts[0].limit is not None for panel in drawn):
        limit = next(panel.parts[0].limit for panel in drawn if panel.parts[0].limit is not None)
        said = numbers.trimmed(numbers.size_in_bytes(limit))
        keys.append({"text": f"the limit, {said}", **key_mark(None, line="limit")})
    columns = ("Jacobian", "Size", "Backend", "By its shape", "Plan of the backend", "Formed", "Product without it")
    rows = tuple(
        (panel.title, part.case.size, part.case.backend, numbers.size_in_bytes(part.bytes),
         numbers.size_in_bytes(part.data["plan_bytes"]), numbers.peak(part.peak) if part.formed else "not formed",
         numbers.peak(part.product["bytes"]))
        for panel in known for part in panel.parts
    )  # fmt: skip
    return Chart("memory", heading, caption, tuple(keys), tuple(made), columns, rows, notes=notes)


def time(panels: Sequence[Panel], looks: dict[str, Look]) -> Chart:
    """Seconds of forming a Jacobian and of the product without it, against the size of the layer."""
    heading = "Time: the Jacobian and the product without it"
    caption = (
        "A thin dotted line goes on where nothing was formed: the time of the largest Jacobian that this backend "
        "formed, multiplied by the ratio of the operations that the backend forecasts.",
        "The product is what the backend gives with the fewest passes: a cotangent times the Jacobian in reverse mode, "
        "the Jacobian times a tangent in forward mode and for differences.",
    )

    def formed(part: Part) -> float | None:
        return part.seconds

    def product(part: Part) -> float | None:
        return part.product["seconds"]

    drawn, notes = _several(panels)
    made = []
    for place, panel in enumerate(drawn):
        figure, axes = canvas("seconds", X_LABEL)
        scales.set_sizes(axes, panel.sizes)
        beyond = {name: _beyond(panel, name) for name in looks}
        values = [value for part in panel.parts for value in (formed(part), product(part)) if value]
        values += [seconds for points in beyond.values() for _, seconds in points]
        set_long_time(axes, values)
        for name, points in beyond.items():
            if points:
                colour = looks[name].colour
                axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.0, dashes=(1, 1.8), zorder=2)
        tips = _marks(axes, panel, looks, formed, product, numbers.seconds)
        words = _words(panel, "seconds", numbers.seconds)
        svg = inline(figure, f"walltime{place}", f"{heading}: {panel.title}", words, tips)
        made.append(figures.Panel(panel.title, svg))
    columns = ("Jacobian", "Size", "Backend", "Formed", "Forecast", "Product without it", "Product with it")
    rows = tuple(
        (panel.title, part.case.size, part.case.backend, numbers.seconds(part.seconds) if part.formed else "not formed",
         "" if (seconds := panel.forecast(part)) is None else numbers.seconds(seconds),
         numbers.seconds(part.product["seconds"]),
         numbers.seconds(part.formed["product_seconds"]) if part.formed else "")
        for panel in panels for part in panel.parts
    )  # fmt: skip
    keys = _keys(panels, looks)
    if any(_beyond(panel, name) for panel in panels for name in looks):
        keys.append({"text": "thin and dotted: forecast", **key_mark(None, line="primal")})
    return Chart("time", heading, caption, tuple(keys), tuple(made), columns, rows, notes=notes)


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


def _beyond(panel: Panel, backend: str) -> list[tuple[float, float]]:
    """The points of a forecast in seconds: from the largest that was formed."""
    own = panel.of(backend)
    found = [(float(part.case.n_params), seconds) for part in own if (seconds := panel.forecast(part)) is not None]
    formed = [part for part in own if part.formed]
    if not found or not formed:
        return []
    last = max(formed, key=lambda part: part.case.n_params)
    return [(float(last.case.n_params), last.seconds or 0.0), *(pair for pair in found if pair[0] > last.case.n_params)]


def _marks(
    axes: Axes, panel: Panel, looks: dict[str, Look], formed: Callable[[Part], float | None],
    product: Callable[[Part], float | None], unit: Callable[[float | None], str],
) -> dict[str, str]:  # fmt: skip
    """Filled marks for Jacobians and hollow ones for products, each backend a little aside of the others."""
    tips: dict[str, str] = {}
    names = [name for name in looks if panel.of(name)]
    for place, name in enumerate(names):
        moved = _moved(axes, SPREAD * (place - (len(names) - 1) / 2))
        for read, hollow, words in ((formed, False, "formed"), (product, True, "product without it")):
            points = [(part, value) for part in panel.of(name) if (value := read(part)) is not None]
            _line(axes, looks[name], [float(part.case.n_params) for part, _ in points], [v for _, v in points], moved)
            for part, value in points:
                gid = f"mark-{len(tips)}"
                _mark(axes, looks[name], float(part.case.n_params), value, gid, hollow=hollow, moved=moved)
                tips[gid] = f"{name}, {part.case.size} ({part.where}), {words}: {unit(value)}"
    return tips


def _keys(panels: Sequence[Panel], looks: dict[str, Look]) -> list[dict[str, Any]]:
    shown = [name for name in looks if any(panel.of(name) for panel in panels)]
    keys: list[dict[str, Any]] = [{"text": name, **key_mark(looks[name])} for name in shown]
    neutral = {"stroke": "muted", "dashes": ""}
    if any(part.formed for panel in panels for part in panel.parts):
        filled = key_mark(Look(0), bare=True) | {"fill": "muted"}
        keys.append({"text": "filled: the Jacobian, formed", **filled, **neutral})
    keys.append({"text": "hollow: the product without it", **key_mark(Look(0), hollow=True), **neutral})
    return keys


def _words(panel: Panel, what: str, unit: Callable[[float | None], str]) -> str:
    """What a panel shows, for those who do not see it."""
    said = [f"{panel.title}: {what} against the size of the layer."]
    for part in panel.parts:
        value = (part.peak if what == "bytes" else part.seconds) if part.formed else None
        formed = f"formed {unit(value)}" if part.formed else "not formed"
        said.append(f"{part.case.backend} at {part.case.size}: {formed}, product {unit(part.product[what])}.")
    return " ".join(said)


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
        svg = pictures([jacobian["matrix"]], f"wallzeros{place}", title, described, least=WIDEST, tips=[described])
        made.append(figures.Panel(f"{title}: {text}", svg))
    caption = (
        "A row is a number of the output and a column a number of the variable, both in the order of memory: the "
        "Jacobian in numerator layout, made a matrix. Positive entries have one colour and negative ones another, and "
        "the larger, the fuller; what is left empty is zero.",
    )
    columns = ("Jacobian", "Size", "Row", "Entries")
    rows = tuple(
        (f"{part.layer}, {part.name}", part.where, *texts)
        for part in found.values()
        for texts in tensor_words.in_rows(part.data["jacobian"]["matrix"])
    )
    return Chart("zeros", heading, caption, tensor_words.signs(), tuple(made), columns, rows)
