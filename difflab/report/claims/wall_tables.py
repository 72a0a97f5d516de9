"""The tables of a study of Jacobians: the wall, zeros and structure, and every way of every backend."""

from __future__ import annotations

from collections.abc import Sequence

from .. import numbers
from ..cases import method
from ..kinds import Listing
from ..tables import Cell, Table, cell
from . import tensor_words
from .wall_parts import Panel, ratio


def summary(panels: Sequence[Panel]) -> Listing:
    """The wall, by the backend of which the answer speaks.

    Args:
        panels: of a run.
    """
    columns = (
        "Jacobian", "Size", "Dtype", "Entries", "By its shape", "Formed", "In", "Product", "Its bytes", "Quicker",
    )  # fmt: skip
    rows = []
    for panel in panels:
        for part in panel.main:
            times = ratio(part.seconds, part.product["seconds"])
            late = panel.forecast(part)
            rows.append(
                (
                    Cell(f"{part.name}", under=part.layer),
                    Cell(f"{part.case.size}: {part.where}", part.case.n_params),
                    Cell(part.case.dtype),
                    Cell(numbers.large(part.data["entries"]), part.data["entries"], True),
                    Cell(numbers.trimmed(numbers.size_in_bytes(part.bytes)), part.bytes, True),
                    Cell(numbers.peak(part.peak) if part.formed else "not formed", part.peak, True),
                    Cell(numbers.seconds(part.seconds), part.seconds, True)
                    if part.formed
                    else Cell("" if late is None else f"forecast {numbers.seconds(late)}", late, True),
                    Cell(numbers.seconds(part.product["seconds"]), part.product["seconds"], True),
                    Cell(numbers.peak(part.product["bytes"]), part.product["bytes"], True),
                    cell(times, numbers.times),
                )
            )
    who = numbers.listed(list(dict.fromkeys(method(part.case) for panel in panels for part in panel.main)))
    text = (
        f"Measured by {who}. By its shape: what the entries take, computed. Formed and In: peak of memory and time of "
        "writing the Jacobian out; where that was not possible, a forecast of the time by operations from the largest "
        "that was formed. Product and Its bytes: the product without the Jacobian. Quicker: by what factor."
    )
    return Listing("wall", "The wall", text, Table(columns, tuple(rows)))


def structures(panels: Sequence[Panel]) -> Listing:
    """What was counted and found in the Jacobians that were formed.

    Args:
        panels: of a run.
    """
    columns = ("Jacobian", "Size", "Shape", "Entries", "Not zero", "Zeros", "Structure")
    rows = []
    for panel in panels:
        if any(other.layer == panel.layer and other.name == panel.name for other in panels[: panels.index(panel)]):
            continue  # in another dtype the zeros are the same
        for part in panel.main:
            if part.formed:
                entries, zeros = part.data["entries"], part.formed["zeros"]
                shape = f"{tensor_words.shape(part.data['out'])} + {tensor_words.shape(part.data['into'])}"
                text = tensor_words.structure(part.formed.get("structure"))
                rows.append(
                    (
                        Cell(part.name, under=part.layer),
                        Cell(f"{part.case.size}: {part.where}", part.case.n_params),
                        Cell(shape),
                        Cell(numbers.grouped(entries), entries, True),
                        Cell(numbers.grouped(entries - zeros), entries - zeros, True),
                        Cell(_share(zeros, entries), zeros / entries, True),
                        Cell(text),
                    )
                )
    text = "What was counted and found in the Jacobians that were formed: shape of the output + shape of the variable."
    return Listing("structure", "Zeros and structure", text, Table(columns, tuple(rows)))


def _share(zeros: int, entries: int) -> str:
    """A share with as many digits as tell it from all."""
    rest = 1 - zeros / entries
    return f"{100 * zeros / entries:.{2 if rest > 1e-3 else 4}f} %" if zeros < entries or not rest else "100 %"


def everything(panels: Sequence[Panel]) -> Listing:
    """A row for every way of every backend at every size.

    Args:
        panels: of a run.
    """
    columns = (
        "Jacobian", "Way", "Backend", "Size", "Dtype", "Plan", "Peak", "Plan / peak", "Time", "Rows or columns",
        "Difference", "Why not",
    )  # fmt: skip
    rows = []
    for panel in panels:
        for part in panel.parts:
            for way in part.ways.values():
                late = panel.forecast(part, way.name)
                told = way.share is not None and (way.bytes or 0.0) >= numbers.RESOLUTION
                time = numbers.seconds(way.seconds) if way.done else ""
                rows.append(
                    (
                        Cell(part.name, under=part.layer),
                        Cell(way.name),
                        Cell(part.case.backend),
                        Cell(f"{part.case.size}: {part.where}", part.case.n_params),
                        Cell(part.case.dtype),
                        Cell("" if way.plan is None else numbers.size_in_bytes(way.plan), way.plan, True),
                        Cell(numbers.peak(way.bytes) if way.done else "", way.bytes, True),
                        Cell(numbers.factor(way.share) if told else "", way.share if told else None, True),
                        Cell(time if late is None else f"forecast {numbers.seconds(late)}", way.seconds or late, True),
                        Cell("" if way.lanes is None else numbers.grouped(way.lanes), way.lanes, True),
                        Cell(
                            "" if way.difference is None else numbers.scientific(way.difference), way.difference, True
                        ),
                        Cell(way.reason),
                    )
                )
    text = (
        "Plan: the bytes that the backend forecasts. Peak: those measured. Rows or columns: how many are computed at a "
        "time, where they are. Difference: of the product with the Jacobian that was formed from the product without "
        "it, and of u (J v) in chunks from (u J) v without it, each relative to its length."
    )
    return Listing("every", "Every way and backend", text, Table(columns, tuple(rows)))
