"""Measured over forecast: how far the times and bytes of a run were from what was forecast before it started."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..harness import statistics
from . import axes as scales
from . import numbers
from .cases import Case, Group, family_of
from .figures import Chart, Panel
from .nouns import noun
from .panels import draw_mark
from .style import GRID, MUTED, Look, canvas, drawing, key_mark
from .svg import inline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR = 2.0
"""A forecast of a time is called near if it is wrong by no more than this factor."""
ROW, APART = 26.0, 0.1  # points of a row, and how far the marks of one row stand from its middle at most
LETTER = 6.2  # points that a letter of a row's name takes
SEEN = 2.0**20
"""Bytes from which on arrays are more than the pages that programs and their text take."""
HEADING = "Measured over forecast"


@dataclass(frozen=True)
class Quantity:
    """Something that was forecast and measured; where neither is above ``least``, their ratio says nothing."""

    title: str
    measured: Callable[[Case], float | None]
    forecast: Callable[[Case], float | None]
    unit: Callable[[float | None], str]
    least: float = 0.0

    def ratio(self, case: Case) -> float | None:
        """Measured over forecast, where both are known of a case that was measured."""
        measured, forecast = self.measured(case), self.forecast(case)
        if measured is None or forecast is None or not (forecast > 0 and measured > 0):
            return None
        return measured / forecast if max(measured, forecast) >= self.least else None

    def words(self, case: Case) -> str:
        """``1.3 (45 ms over 35 ms)``, empty where one of the two is missing."""
        ratio = self.ratio(case)
        if ratio is None:
            return ""
        return f"{numbers.factor(ratio)} ({self.unit(self.measured(case))} over {self.unit(self.forecast(case))})"


def _most_bytes(case: Case) -> float | None:
    """The highest memory of a case, while it was prepared or called."""
    peaks = (case.peak_bytes, case.prepare_peak_bytes, case.first_peak_bytes, case.call_peak_bytes)
    return max([nbytes for nbytes in peaks if nbytes is not None], default=None)


QUANTITIES = (
    Quantity("seconds per call", lambda c: c.call_s, lambda c: c.predicted_call_s, numbers.seconds),
    Quantity("seconds to prepare", lambda c: c.prepare_s, lambda c: c.predicted_prepare_s, numbers.seconds),
    Quantity(
        "bytes", _most_bytes, lambda c: c.predicted_bytes, numbers.size_in_bytes, SEEN
    ),
)  # fmt: skip


def measured_over_forecast(groups: Sequence[Group], looks: dict[str, Look]) -> Chart | None:
    """A row per backend with a mark for every case, for each quantity.

    Args:
        groups: the cases, by what may be compared.
        looks: marker, dash and colour per backend.

    Returns:
        The chart; ``None`` where nothing was forecast from a calibration.
    """
    cases = [case for group in groups for case in group.cases if family_of(case) != "null"]
    if not any(QUANTITIES[0].ratio(case) is not None for case in cases):
        return None
    shown = [quantity for quantity in QUANTITIES if any(quantity.ratio(case) is not None for case in cases)]
    panels = []
    with drawing():
        for number, quantity in enumerate(shown):
            figure, tips = _draw(quantity, cases, looks)
            title = f"{HEADING}, {quantity.title}"
            picture = inline(figure, f"forecast{number}", title, _words(quantity, cases), tips)
            panels.append(Panel(quantity.title, picture))
    drawn = {case.backend for case in cases if any(quantity.ratio(case) is not None for quantity in shown)}
    keys = (
        *({"text": name, **key_mark(look, bare=True)} for name, look in looks.items() if name in drawn),
        {"text": "as forecast", **key_mark(None, line="primal")},
    )
    caption = (
        "Each mark is a case. Right of the dotted line a case took more than was forecast, left of it less; the shaded "
        f"band is a factor of {NEAR:g} to both sides. The axis is logarithmic.",
        "Times are forecast from the recorded loss and one calibration of the machine, before anything is run: what a "
        f"NumPy call, an element, a product and a byte cost here. Bytes are those of a {noun(cases)}'s arrays; they "
        "are compared with the peak of the process where one of the two is 1 MiB or more.",
    )
    rows = tuple(
        (group.title, case.size, case.backend, *(quantity.words(case) for quantity in shown))
        for group in groups for case in group.cases
        if any(quantity.ratio(case) is not None for quantity in shown) and family_of(case) != "null"
    )  # fmt: skip
    columns = ("Problem", "Size", "Backend", *(quantity.title.capitalize() for quantity in shown))
    notes = tuple(_summary(quantity, cases) for quantity in shown)
    return Chart("forecast", HEADING, caption, keys, tuple(panels), columns, rows, notes=notes)


def _draw(quantity: Quantity, cases: Sequence[Case], looks: dict[str, Look]) -> tuple[Figure, dict[str, str]]:
    found = [(case, ratio) for case in cases if (ratio := quantity.ratio(case)) is not None]
    names = [name for name in looks if any(case.backend == name for case, _ in found)]
    left = 14.0 + LETTER * max(map(len, names))
    height = 50.0 + ROW * len(names)
    figure, axes = canvas("", "measured over forecast", height=height, left=left, bottom=38.0)
    scales.set_factor(axes, "x", [*(ratio for _, ratio in found), 1 / NEAR, NEAR])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.grid(False, axis="y")
    axes.axvspan(1 / NEAR, NEAR, color=GRID, alpha=0.5, linewidth=0, zorder=0.5)
    axes.axvline(1.0, color=MUTED, linewidth=1.1, dashes=(1, 1.6), zorder=1.5)
    tips: dict[str, str] = {}
    for row, name in enumerate(names):
        own = sorted(((ratio, case) for case, ratio in found if case.backend == name), key=lambda pair: pair[0])
        for place, (ratio, case) in enumerate(own):
            gid = f"mark-{len(tips)}"
            draw_mark(axes, looks[name], ratio, row + APART * (0, -1, 1)[place % 3], gid)
            tips[gid] = f"{name}, {case.place}: {quantity.words(case)}"
    return figure, tips


def _summary(quantity: Quantity, cases: Sequence[Case]) -> str:
    """How near the forecasts of a quantity were, and which was the worst."""
    found = [(ratio, case) for case in cases if (ratio := quantity.ratio(case)) is not None]
    off, worst = max(((max(ratio, 1 / ratio), case) for ratio, case in found), key=lambda pair: pair[0])
    near = sum(1 / NEAR <= ratio <= NEAR for ratio, _ in found)
    middle = statistics.median([ratio for ratio, _ in found])
    ratio = quantity.ratio(worst) or 1.0
    which = "more" if ratio > 1 else "less"
    return (
        f"{quantity.title.capitalize()}: {numbers.grouped(near)} of {numbers.counted(len(found), 'case')} within a "
        f"factor of {NEAR:g}, half of all below and half above {numbers.factor(middle)} {numbers.TIMES} the forecast; "
        f"the worst is {worst.backend} on {worst.place}, which took {numbers.factor(off)} times {which} "
        f"({quantity.unit(quantity.measured(worst))} over {quantity.unit(quantity.forecast(worst))})."
    )


def _words(quantity: Quantity, cases: Sequence[Case]) -> str:
    """What a panel shows, for those who do not see it."""
    said = [f"Measured over forecast of {quantity.title}."]
    for name in dict.fromkeys(case.backend for case in cases):
        own = sorted(ratio for case in cases if case.backend == name and (ratio := quantity.ratio(case)) is not None)
        if own:
            middle = numbers.factor(statistics.median(own))
            said.append(f"{name}: {numbers.factor(own[0])} to {numbers.factor(own[-1])}, {middle} in the middle.")
    return " ".join(said)
