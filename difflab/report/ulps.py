"""How wrong each coordinate is, in units of its last place: a histogram per backend, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from . import axes as scales
from . import numbers
from .cases import Case, Group, backends
from .style import GRID, INK, MUTED, PAPER, Look, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGES = (0.0, 0.5, *(2.0**power for power in range(21)))  # as in ``harness.grades``
BINS = len(EDGES) + 2
BEYOND, LOST = BINS - 2, BINS - 1
LEAST_BINS = 8  # so that a chart of good results is no staircase of two steps
ROW, BAR, VISIBLE = 43.0, 22.0, 1.3  # points: a backend, its highest bar, its lowest
TICKS = {0.0: "0", 0.5: "½", 1.0: "1", 4.0: "4", 16.0: "16", 256.0: "256", 4096.0: "4 096", 65536.0: "65 536"}
COLUMNS = (
    "Problem", "Size", "Backend", "Coordinates", "Exact", "To ½ ULP", "To 1", "To 4", "To 64", "To 4 096",
    "Beyond", "Not finite", "Worst", "Middle digits", "Worst digits",
)  # fmt: skip
SHOWN = (0.0, 0.5, 1.0, 4.0, 64.0, 4096.0)


@dataclass(frozen=True)
class Strip:
    """The histograms of one group at the largest size at which there are any.

    ``cases`` are those that have one, in the order of the study; ``absent`` the other backends of the size.
    """

    group: Group
    size: str
    cases: tuple[Case, ...]
    absent: tuple[Case, ...]

    @property
    def used(self) -> int:
        """The number of the last bin that holds a coordinate."""
        return max(number for case in self.cases for number, count in enumerate(case.ulp_histogram) if count)


def strips(groups: Sequence[Group]) -> list[Strip]:
    """What there is to draw, a strip per group.

    Args:
        groups: the cases, by what may be compared.

    Returns:
        Only groups with a histogram.
    """
    found = []
    for group in groups:
        sizes = [size for size, _ in group.sizes if any(_graded(c) for c in group.cases if c.size == size)]
        if sizes:
            here = [case for name in backends(list(group.cases)) if (case := group.at(sizes[-1], name))]
            graded = tuple(case for case in here if _graded(case))
            absent = tuple(case for case in here if not _graded(case) and case.family != "null")
            found.append(Strip(group, sizes[-1], graded, absent))
    return found


def _graded(case: Case) -> bool:
    return len(case.ulp_histogram) == BINS and sum(case.ulp_histogram) > 0


def draw(strip: Strip, looks: dict[str, Look], bins: int) -> tuple[Figure, dict[str, str]]:
    """A row of bars per backend: the share of its coordinates in every bin, the highest as high in every row.

    Args:
        strip: what to draw.
        looks: colour per backend.
        bins: how many bins the axis has, counted from the exact ones.

    Returns:
        The figure, and for the gid of every bar what it says.
    """
    count = len(strip.cases)
    figure, axes = canvas("", "error in units of the last place", height=ROW * count + 48.0, left=8.0, bottom=40.0)
    axes.set_xlim(-0.6, bins - 0.4)
    axes.set_ylim(ROW * count, 0.0)
    axes.set_yticks([])
    axes.grid(False, axis="y")
    _ticks(axes, bins)
    tips: dict[str, str] = {}
    for place, case in enumerate(strip.cases):
        ground, total = ROW * (place + 1) - 1.0, sum(case.ulp_histogram)
        axes.plot([-0.6, bins - 0.4], [ground, ground], color=GRID, linewidth=1.0, zorder=1)
        _heading(axes, case, ground)
        for number, coordinates in enumerate(case.ulp_histogram):
            if coordinates:
                gid, look = f"mark-{len(tips)}", looks[case.backend]
                height = max(VISIBLE, BAR * coordinates / max(case.ulp_histogram))
                axes.bar(
                    number, -height, 0.84, ground, color=look.colour if case.ok else PAPER, gid=gid, zorder=3,
                    edgecolor=look.colour, linewidth=0.0 if case.ok else 1.0,
                )  # fmt: skip
                tips[gid] = f"{case.backend}: {_share(coordinates, total)} of {numbers.grouped(total)} {_words(number)}"
    return figure, tips


def _heading(axes: Axes, case: Case, ground: float) -> None:
    """The name of a row at its left, its middle and worst error at its right."""
    top = ground - BAR - 5.0
    axes.text(-0.6, top, scales.clipped(case.backend, 22), ha="left", va="bottom", color=INK)
    said = f"half {_half(case)}, worst {_worst(case)}"
    axes.text(1.0, top, said, ha="right", va="bottom", color=MUTED, transform=axes.get_yaxis_transform())


def _half(case: Case) -> str:
    """An error that at least half of the coordinates do not exceed, as the bins tell it."""
    total, sums = sum(case.ulp_histogram), accumulate(case.ulp_histogram)
    number = next(number for number, count in enumerate(sums) if 2 * count >= total)
    if number == 0:
        return "exact"
    if number == LOST:
        return "not finite"
    return f"over {_edge(number - 1)}" if number == BEYOND else f"within {_edge(number)}"


def _edge(number: int) -> str:
    return "½" if number == 1 else "10⁶" if number == len(EDGES) - 1 else numbers.grouped(EDGES[number])


def _worst(case: Case) -> str:
    if case.ulps is None:
        return "infinite"
    return numbers.scaled(case.ulps) if case.ulps >= 1e6 else numbers.ulps(case.ulps)


def _ticks(axes: Axes, bins: int) -> None:
    """A label at the upper end of some bins, and beneath the two that have none."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    places = {number + 0.5 * (number > 0): TICKS[edge] for number, edge in enumerate(EDGES) if edge in TICKS}
    places[EDGES.index(2.0**20) + 0.5] = "10⁶"
    places[LOST] = "none"
    kept = {place: text for place, text in places.items() if place <= bins - 0.4}
    axes.xaxis.set_major_locator(FixedLocator(list(kept)))
    axes.xaxis.set_major_formatter(FixedFormatter(list(kept.values())))
    axes.xaxis.set_minor_locator(NullLocator())


def _share(count: int, total: int) -> str:
    """A share in per cent with two digits, never 0 % or 100 % where some are in and some are out."""
    share = 100 * count / total
    if 0 < share < 0.1:
        return "under 0.1 %"
    if 99.9 < share < 100:
        return "over 99.9 %"
    return f"{numbers.significant(share, 2 if share < 99.5 else 3)} %"


def _words(number: int) -> str:
    """What a bin holds: ``are 1 to 2 ULP off``."""
    if number in (0, LOST):
        return "are exact" if number == 0 else "are NaN or infinite"
    if number == BEYOND:
        return f"are more than {numbers.grouped(EDGES[-1])} ULP off"
    ends = "½", *map(numbers.grouped, EDGES[2:])
    return f"are {ends[number - 2]} to {ends[number - 1]} ULP off" if number > 1 else "are at most ½ ULP off"


# ------------------------------------------------------------------------------------------------ words


def bins_of(found: Sequence[Strip]) -> int:
    """How many bins the axes need, the same for all strips so that they can be compared.

    Args:
        found: all strips of a page.

    Returns:
        Up to the last that is used.
    """
    return max(LEAST_BINS, 1 + max(strip.used for strip in found))


def caption(found: Sequence[Strip]) -> tuple[str, ...]:
    """How to read the chart.

    Args:
        found: all strips of a page.

    Returns:
        Sentences.
    """
    wider: dict[str, set[str]] = {}
    for case in (case for strip in found for case in strip.cases):
        if (kind := case.computed_in.partition(",")[0]) and kind != case.dtype:
            wider.setdefault(kind, set()).add(case.backend)
    return (
        "Each row is one backend at the largest size with a certified reference, each bar the share of coordinates "
        "whose error lies in that range; the highest bar is as high in every row. Further left is better.",
        "One unit of the last place (ULP) is the distance of two neighbouring numbers of the dtype at the true value: "
        "what is rounded correctly is at most ½ off. Errors double from bar to bar from 1 on, so ten bars are three "
        "digits.",
        *(
            f"{numbers.listed(sorted(names))} {'computes' if len(names) == 1 else 'compute'} in {kind} and "
            f"{'rounds' if len(names) == 1 else 'round'} the result."
            for kind, names in wider.items()
        ),
    )


def notes(found: Sequence[Strip]) -> tuple[str, ...]:
    """Which backends have no row, and why.

    Args:
        found: all strips of a page.

    Returns:
        Sentences.
    """
    missing: dict[tuple[str, str], list[str]] = {}
    for strip in found:
        for case in strip.absent:
            place = f"{strip.group.title} {strip.size}".strip()
            missing.setdefault((case.backend, case.outcome_words), []).append(place)
    return tuple(
        f"{backend} has no row in {numbers.listed(places) if len(places) < len(found) else 'any panel'}: "
        f"{words if words != 'finished' else 'not graded'}."
        for (backend, words), places in missing.items()
    )


def rows(found: Sequence[Strip]) -> tuple[tuple[str, ...], ...]:
    """The numbers of the chart: shares up to some errors, and the worst coordinate.

    Args:
        found: all strips of a page.

    Returns:
        A row per backend and panel, see ``COLUMNS``.
    """
    made = []
    for strip in found:
        for case in strip.cases:
            total, sums = sum(case.ulp_histogram), list(accumulate(case.ulp_histogram))
            upto = [_share(sums[EDGES.index(edge)], total) for edge in SHOWN]
            beyond, lost = sums[BEYOND] - sums[EDGES.index(SHOWN[-1])], case.ulp_histogram[LOST]
            made.append(
                (
                    strip.group.title, strip.size, case.backend, numbers.grouped(total), *upto, _share(beyond, total),
                    _share(lost, total), numbers.ulps(case.ulps) if case.ulps is not None else "infinite",
                    numbers.digits(case.median_digits), numbers.digits(case.worst_digits),
                )
            )  # fmt: skip
    return tuple(made)


def words(strip: Strip) -> str:
    """The chart for those who do not see it.

    Args:
        strip: what is drawn.

    Returns:
        Sentences with its numbers.
    """
    said = [f"Errors of coordinates in units of the last place at size {strip.size}."]
    for case in strip.cases:
        right = _share(sum(case.ulp_histogram[:2]), sum(case.ulp_histogram))
        said.append(f"{case.backend}: {right} rounded correctly, half {_half(case)}, the worst {_worst(case)}.")
    return " ".join(said)
