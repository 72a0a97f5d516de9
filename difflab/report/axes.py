"""Logarithmic axes with few, round, labelled ticks in SI units."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from . import numbers
from .style import taller

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_TICKS = {"x": 5, "y": 7}
MOST_SIZES = 8
LONGEST = 9  # letters of a name below an axis
LINE = 12.0  # points from one line of a label to the next
LETTER = 6.4  # points, a little more than the mean width of a letter
STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))


def set_time(axes: Axes, which: str, values: Sequence[float]) -> None:
    """A logarithmic axis of seconds around ``values``; ``which`` is ``"x"`` or ``"y"``."""
    low, high = _around(values)
    _apply(axes, which, low, high, decimal_ticks(low, high, MOST_TICKS[which]), _short_seconds)


def set_count(axes: Axes, which: str, values: Sequence[float]) -> None:
    """A logarithmic axis of whole numbers."""
    low, high = _around(values)
    _apply(axes, which, low, high, decimal_ticks(low, high, MOST_TICKS[which]), _short_count)


def set_factor(axes: Axes, which: str, values: Sequence[float]) -> None:
    """A logarithmic axis of ratios."""
    low, high = _around(values)
    _apply(axes, which, low, high, decimal_ticks(low, high, MOST_TICKS[which]), _short_factor)


def set_bytes(axes: Axes, which: str, values: Sequence[float]) -> None:
    """A logarithmic axis of bytes with ticks at powers of two."""
    low, high = _around(values)
    first, last = math.ceil(math.log2(low)), math.floor(math.log2(high))
    step = next(step for step in (1, 2, 5, 10, 20, 40) if (last - first) / step < MOST_TICKS[which])
    ticks = [2.0**power for power in range(first, last + 1) if power % step == 0]
    _apply(axes, which, low, high, ticks, _short_bytes)


def set_error(axes: Axes, which: str, values: Sequence[float]) -> None:
    """A logarithmic axis of relative errors with powers of ten."""
    low, high = _around(values, least=100.0)
    _apply(axes, which, low, high, decimal_ticks(low, high, MOST_TICKS[which], only_powers=True), _power)


def set_sizes(axes: Axes, sizes: Sequence[tuple[str, int]]) -> float:
    """The x axis of parameters with the study's own sizes by name, as many as there is room for.

    Args:
        axes: where to set it.
        sizes: names with numbers of parameters, small to large.

    Returns:
        The least distance of two sizes in points; sizes of as many parameters share a place and their label.
    """
    names: dict[float, list[str]] = {}
    for name, number in sizes:
        names.setdefault(float(max(1, number)), []).append(name)
    values = list(names)
    low, high = _around(values, margin=0.14)
    scale = axes.get_window_extent().width / math.log(high / low)
    gap = min((math.log(b / a) * scale for a, b in itertools.pairwise(values)), default=math.inf)
    if len(values) > MOST_SIZES:
        set_count(axes, "x", values)
        return gap
    labels = {value: f"{numbers.grouped(value)}\n{clipped(', '.join(own), 9)}" for value, own in names.items()}
    widths = {value: LETTER * max(map(len, label.split("\n"))) for value, label in labels.items()}
    ticks, lower = values[-1:], list[float]()

    def fits(value: float, others: Sequence[float]) -> bool:
        return all(abs(math.log(value / o)) * scale > (widths[value] + widths[o]) / 2 + 3 for o in others if o != value)

    for value in values[
        :-1
    ]:  # the largest size is always named; the others where they touch no other, or one row lower
        if fits(value, [ticks[-1], values[-1]]):
            ticks.append(value)
        elif fits(value, lower[-1:]) and value not in ticks:
            lower.append(value)
    labels |= {value: f"\n\n{labels[value]}" for value in lower}
    _apply(axes, "x", low, high, sorted({*ticks, *lower}), labels.__getitem__)
    if lower:
        taller(axes, 2 * LINE)
    return gap


def set_named(axes: Axes, places: Sequence[tuple[float, str]]) -> None:
    """A logarithmic x axis of named places, with as many names as fit: those of the ends and the middle first.

    Args:
        axes: where to set it.
        places: positions with names, by rising position.
    """
    low, high = _around([place for place, _ in places], margin=0.05)
    scale = axes.get_window_extent().width / math.log(high / low)
    middle = min(range(len(places)), key=lambda k: abs(math.log(places[k][0])))
    ends = [places[0], places[-1], places[middle], *places]
    shown: dict[float, str] = {}
    for place, name in ((place, clipped(name, LONGEST)) for place, name in ends):
        room = [LETTER * (len(name) + len(other)) / 2 + 2 for other in shown.values()]
        gaps = [abs(math.log(place / other)) * scale for other in shown]
        if all(gap > width for gap, width in zip(gaps, room, strict=True)):
            shown[place] = name
    _apply(axes, "x", low, high, sorted(shown), shown.__getitem__)


def clipped(text: str, length: int) -> str:
    """A text of at most ``length`` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1] + "…"


def decimal_ticks(low: float, high: float, most: int, only_powers: bool = False) -> list[float]:
    """Round numbers between two limits: powers of ten, fewer or more as the range asks for, at most ``most``.

    >>> decimal_ticks(0.5, 2e3, 5)
    [1.0, 10.0, 100.0, 1000.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    best: list[float] = []
    for steps in STEPS[:1] if only_powers else STEPS:
        found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
        found = [value for value in found if low <= value <= high]
        if len(found) > most:
            break
        best = found
    stride = 2
    while not best:
        powers = [power for power in range(first, last + 1) if power % stride == 0]
        inside = [10.0**power for power in powers if low <= 10.0**power <= high]
        if len(inside) <= most:
            best = inside or [math.sqrt(low * high)]
        stride += 1
    return best


def _around(values: Sequence[float], margin: float = 0.07, least: float = 4.0) -> tuple[float, float]:
    """Limits a little outside the values, and at least a factor ``least`` apart."""
    low, high = min(values), max(values)
    if high / low < least:
        middle = math.sqrt(low * high)
        low, high = min(low, middle / math.sqrt(least)), max(high, middle * math.sqrt(least))
    room = (high / low) ** margin
    return low / room, high * room


def _apply(
    axes: Axes, which: str, low: float, high: float, ticks: Sequence[float], label: Callable[[float], str]
) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    labels = [label(tick) for tick in ticks]
    if which == "x":
        axes.set_xscale("log")
        axes.set_xlim(low, high)
    else:
        axes.set_yscale("log")
        axes.set_ylim(low, high)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FixedFormatter(labels))
    axis.set_minor_locator(NullLocator())


def _short_seconds(value: float) -> str:
    """``100 ms``, ``10 000 s``: ticks are round in seconds, so they are never told in hours or days."""
    return f"{_short_count(value)} s" if value >= 1000.0 else numbers.trimmed(numbers.seconds(value))


def _short_count(value: float) -> str:
    """``100 000``, but ``10⁸`` and ``300 M``, which do not hang over the end of the axis."""
    power = round(math.log10(value))
    if value < 1e6:
        return numbers.grouped(value)
    return numbers.power_of_ten(power) if math.isclose(value, 10.0**power) else f"{numbers.grouped(value / 1e6)} M"


def _short_factor(value: float) -> str:
    return f"{value:g}" if value < 10 else _short_count(value)


def _short_bytes(value: float) -> str:
    return numbers.trimmed(numbers.size_in_bytes(value))


def _power(value: float) -> str:
    return numbers.power_of_ten(round(math.log10(value)))
