"""How well the plans foretold the bytes that a study of Jacobians measured, in a table and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .. import numbers
from ..cases import method
from ..kinds import Listing
from ..tables import Cell, Table
from .wall_parts import COMPRESSED, WAYS, Panel, Way, small

COMPARED = 8 * 2**20
"""Bytes from which on a plan is compared: the allocator and BLAS keep up to 3/4 MiB beside arrays, a tenth of that."""
WITHIN = 0.1
"""How far a plan may be from what was measured, as a fraction of that."""


def known(panels: Sequence[Panel]) -> list[Way]:
    """All ways of all parts for which both a plan and a measurement exist.

    Args:
        panels: of a run.
    """
    every = [way for panel in panels for part in panel.parts for way in part.ways.values()]
    return [way for way in every if way.share is not None]


def sentence(panels: Sequence[Panel]) -> str:
    """How far the plans are from what was measured, with the worst of all; empty where nothing can be compared.

    Args:
        panels: of a run.
    """
    both = [way for way in known(panels) if way.name != COMPRESSED]
    large = [way for way in both if (way.bytes or 0.0) >= COMPARED]
    least = numbers.trimmed(numbers.size_in_bytes(COMPARED))
    if not large:
        return _rougher(panels)
    worst = max(large, key=_off)
    apart = sum(_off(way) > WITHIN for way in large)
    what = f"Of {numbers.counted(len(large), 'product')} that took {least} or more, the bytes of the plan "
    if apart:
        text = f"{what}are not within 10 % of those measured in {numbers.grouped(apart)}"
    else:
        text = f"{what}are within 10 % of those measured in {'every one' if len(large) > 1 else 'that one'}"
    text += f"; the worst is {numbers.factor(worst.share)} times the measured, {_called(worst)}."
    small = [abs((way.plan or 0) - (way.bytes or 0.0)) for way in both if (way.bytes or 0.0) < COMPARED]
    if small:
        text += (
            f" The {numbers.grouped(len(small))} smaller ones are not compared by ratio, as the allocator and BLAS "
            f"keep up to 3/4 MiB beside the arrays; plan and measurement are at most "
            f"{numbers.size_in_bytes(max(small))} apart."
        )
    return f"{text} {_rougher(panels)}".strip()


def _rougher(panels: Sequence[Panel]) -> str:
    """What is said of the plans of compressed Jacobians, which count pages that are never touched."""
    every = [way for way in known(panels) if way.name == COMPRESSED and (way.bytes or 0.0) >= COMPARED]
    shares = [way.share for way in every if way.share]
    if not shares:
        return ""
    ends = f"{numbers.factor(min(shares))} to {numbers.factor(max(shares))}" if len(shares) > 1 else f"{shares[0]:.2f}"
    return (
        f"Those of {numbers.counted(len(shares), 'compressed Jacobian')} are rougher, {ends} times the measured: they "
        "count the seeds of all products, most of which are zeros that are never written."
    )


def listing(panels: Sequence[Panel]) -> Listing:
    """The ratio of plan to measurement by Jacobian, way and backend.

    Args:
        panels: of a run.
    """
    columns = ("Jacobian", "Dtype", "Way", "Backend", "Compared", "Least", "Middle", "Most", "Smaller, apart at most")
    rows = []
    for panel in panels:
        for name in WAYS:
            for backend in dict.fromkeys(part.case.backend for part in panel.parts):
                own = [way for way in known([panel]) if way.name == name and way.part.case.backend == backend]
                shares = [way.share or 0.0 for way in own if (way.bytes or 0.0) >= COMPARED]
                small = [abs((way.plan or 0) - (way.bytes or 0.0)) for way in own if (way.bytes or 0.0) < COMPARED]
                found = (min(shares), median(shares), max(shares)) if shares else (None, None, None)
                apart = max(small, default=None)
                if own:
                    rows.append(
                        (
                            Cell(panel.name, under=panel.layer), Cell(panel.dtype), Cell(name), Cell(backend),
                            Cell(numbers.grouped(len(shares)) if shares else "", len(shares), True),
                            *(Cell("" if one is None else f"{one:.3f}", one, True) for one in found),
                            Cell("" if apart is None else numbers.size_in_bytes(apart), apart, True),
                        )
                    )  # fmt: skip
    text = (
        "The bytes that the backend planned before anything was allocated, divided by the peak that was measured, for "
        f"all sizes at which both exist. {sentence(panels)}"
    )
    return Listing("plan", "Plan and measurement", text.strip(), Table(columns, tuple(rows)))


def _off(way: Way) -> float:
    """How far a plan is from what was measured, as a fraction of that."""
    return abs((way.share or 0.0) - 1)


def _called(way: Way) -> str:
    part = way.part
    where = f"at {part.where} in {part.case.dtype}"
    return f"{part.name} of the {small(part.layer)} {way.name} {where} by {method(part.case)}"
