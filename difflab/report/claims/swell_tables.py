"""The tables of expression swell: how each count grows, and the loss beside its gradient."""

from __future__ import annotations

from collections.abc import Sequence

from .. import numbers
from ..kinds import Listing
from ..numbers import TIMES
from ..tables import Cell, Table, cell
from .swell_growth import Growth, growth
from .swell_points import COUNTS, Family, Size, plain

TOLD = (423, 40_999)  # operations of an XOR network and of its gradient, as they are often quoted
NEAR = 0.05  # relative difference up to which counts are called near each other


def growths(found: Sequence[Family]) -> Listing:
    """How every count grows.

    Args:
        found: the problems.
    """
    columns = ("Operations", "Least", "Most", "Growth", "95 % interval", "Last step", "Rests on", "Off by")
    rows = []
    for family in found:
        for kind, words in COUNTS.items():
            known = [(size.at, value) for size in family.sizes if (value := size.count(kind)) is not None]
            if not known or not family.axis:
                continue
            law = growth(family, kind)
            (before, low), (at, high) = known[-2] if len(known) > 1 else known[-1], known[-1]
            step = (high / low) ** (1 / (at - before)) if at > before and low else None
            rows.append(
                (
                    Cell(words, under=family.title),
                    cell(known[0][1], plain),
                    cell(known[-1][1], plain),
                    Cell("" if law is None else _short(law, family.axis)),
                    Cell("" if law is None else law.interval),
                    cell(step, lambda value: f"{TIMES} {numbers.factor(value)}"),
                    Cell("" if law is None else law.rests),
                    cell(None if law is None else law.off, numbers.times),
                )
            )
    text = (
        "Operations of value and gradient together. The growth is that of the larger half of the sizes, as a factor "
        "for each unit of depth or width or as a power of it, whichever fits better; off by: the largest factor "
        "between that law and a count. Last step: the factor for each unit between the two largest sizes. The interval "
        "is that of the slope of a straight line of least squares, by Student's t: the counts themselves are exact."
    )
    return Listing("growth", "How the operations grow", text, Table(columns, tuple(rows)))


def _short(law: Growth, axis: str) -> str:
    return f"{TIMES} {law.short} per unit" if law.exponential else f"{axis} to the {law.short}"


def counts(found: Sequence[Family]) -> Listing:
    """The loss beside its gradient, at every size.

    Args:
        found: the problems.
    """
    columns = ("Problem", "Loss written out", "Gradient written out", "Both, distinct parts", "Both after sharing",
               "Loss on the tape", "Both on the reverse tape", "Equations, loss", "Equations, both")  # fmt: skip
    rows = tuple(
        (
            Cell(family.title, under=family.place(size) if family.axis else ""),
            cell(size.loss("tree"), plain), cell(size.alone, plain), cell(size.count("dag"), plain),
            cell(size.count("cse"), plain), cell(size.loss("tape"), plain), cell(size.count("tape"), plain),
            cell(size.loss("equations"), plain), cell(size.count("equations"), plain),
        )
        for family in found for size in family.sizes
    )  # fmt: skip
    text = "Counts hang on the data: in the expressions they are exact numbers, and a product with a zero vanishes."
    text += _corners({family.title: family.sizes[0] for family in found if not family.axis})
    return Listing("counts", "Loss and gradient, operation by operation", text, Table(columns, rows))


def _corners(sizes: dict[str, Size]) -> str:
    """What a table with the XOR network at eight points and at the corners shows, if it does."""
    points, corners = sizes.get("xor"), sizes.get("xor-corners")
    if points is None or corners is None or points.alone is None or corners.alone is None:
        return ""
    if corners.alone >= points.alone:
        return ""
    text = (
        " That is why the XOR network has fewer operations at the corners of the square, whose coordinates are 0 and "
        "1, than at eight points."
    )
    found = (corners.loss("tree") or 0.0, corners.alone)
    if all(abs(count / told - 1) <= NEAR for count, told in zip(found, TOLD, strict=True)):
        quoted = f"{plain(TOLD[0])} operations that become {plain(TOLD[1])}"
        text += f" The often quoted {quoted} are near those at the corners."
    return text
