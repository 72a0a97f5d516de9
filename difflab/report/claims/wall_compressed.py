"""What a study of Jacobians says of compressed ones: in which case they pay, where each way ends, their products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from .. import numbers
from ..cases import method
from ..kinds import Listing
from ..tables import Cell, Table, cell
from ..terms import Term
from .wall_parts import CHUNKED, COMPRESSED, EXPLICIT, Panel, Part, Way, ratio

GLOSSARY = (
    Term(
        "Compressed",
        "The entries of the Jacobian that may differ from zero, in a sparse array (CSR), from few products. Columns "
        "without an entry in the same row share a product, and so do rows without one in the same column.",
        ("compression",),
    ),
    Term(
        "Together",
        "Some entries are read from columns that forward mode pushes, the others from rows that reverse mode pulls. "
        "An arrow, with a full row and a full column, takes three such products, but one for each number without.",
    ),
    Term(
        "Pattern",
        "The places where a Jacobian may differ from zero at any point, found from the equations of the tape alone.",
        ("patterns",),
    ),
    Term(
        "Colouring",
        "The columns (or rows) of a pattern, put into as few groups as possible, so that no two of a group have an "
        "entry in the same row (or column). A group is a colour, and takes one product.",
        ("coloured",),
    ),
)
METHOD = (
    "The compressed Jacobian is a sparse array (CSR) of the entries that the pattern leaves: its pattern is found and "
    "coloured once, and every evaluation takes a product for each colour. It is refused where the plan does not fit "
    "the limit, before anything of its size is allocated. It is multiplied by the same vector as the explicit one.",
)
NOTICED = 1e-3
"""Seconds from which on it matters what forming a Jacobian takes: below, calls of NumPy and SciPy decide."""
ENDS = {EXPLICIT: "formed", CHUNKED: "gone through in chunks", COMPRESSED: "compressed"}


def mains(panels: Sequence[Panel]) -> list[tuple[Part, Way]]:
    """The parts of which the answer speaks, with what came of compressing them.

    Args:
        panels: of a run.
    """
    return [(part, part.ways[COMPRESSED]) for panel in panels for part in panel.main if COMPRESSED in part.ways]


def products(part: Part) -> str:
    """``4 products instead of 1 000``; only for a part that was compressed.

    Args:
        part: one whose colouring is known.
    """
    taken = sum(part.data["compressed"]["products"])
    if not taken:
        return f"as many products as forming it takes, {numbers.grouped(part.passes)}"
    return f"{numbers.counted(taken, 'product')} instead of {numbers.grouped(part.passes)}"


def pictured(part: Part) -> tuple[Mapping[str, Any], str] | None:
    """The colours of a small Jacobian and how many products it takes: together, where one direction saves none.

    Args:
        part: any.
    """
    found = part.data.get("compressed") or {}
    if "colours" in found:
        return found["colours"], products(part)
    both = found.get("both") or {}
    if "colours" not in both:
        return None
    return both["colours"], f"{_named(both['products'])} together instead of {numbers.grouped(part.passes)} products"


def _named(both: Sequence[int]) -> str:
    """``2 columns and 1 row``."""
    pairs = zip(both, ("column", "row"), strict=True)
    return numbers.listed([numbers.counted(count, noun) for count, noun in pairs if count])


def sentence(panels: Sequence[Panel]) -> str:
    """The largest Jacobian that compression gave, what it took, and what it took before.

    Args:
        panels: of a run.
    """
    done = [(part, way) for part, way in mains(panels) if way.done]
    if not done:
        tried = mains(panels)
        return f"Compressed, none of {numbers.counted(len(tried), 'Jacobian')} could be had." if tried else ""
    part, way = max(done, key=lambda one: one[0].bytes)
    text = f"Compressed, {part.the} took {took(way.bytes, way.seconds)}, from {products(part)}"
    if part.formed:
        text += f", where forming it took {took(part.peak, part.seconds)}"
    else:
        text += f", where {numbers.trimmed(numbers.size_in_bytes(part.bytes))} could not be formed"
    prepared = numbers.seconds(part.data["compressed"]["prepare_seconds"])
    return f"{text}; finding its pattern and colouring it took {prepared}, once."


def comparison(panels: Sequence[Panel]) -> str:
    """In how many cases a compressed Jacobian was the cheaper one, how many it gave besides, and where it lost most.

    Args:
        panels: of a run.
    """
    every = [(part, part.ways[COMPRESSED]) for panel in panels for part in panel.parts if COMPRESSED in part.ways]
    done = [(part, way) for part, way in every if way.done]
    pairs = [(times, part) for part, way in done if (times := ratio(part.seconds, way.seconds)) is not None]
    beyond = [part for part, _ in done if not part.formed]
    if not pairs:
        return ""
    quicker = sum(times > 1 for times, _ in pairs)
    text = f"Of {numbers.counted(len(pairs), 'Jacobian')} that were both formed and compressed, the compressed one was "
    text += f"quicker in {_all(quicker, len(pairs))}"
    large = [one for one in pairs if (one[1].seconds or 0.0) >= NOTICED]
    if large:
        middle = median(times for times, _ in large)
        said = f"{numbers.factor(middle)} times less" if middle > 1 else f"{numbers.factor(1 / middle)} times as much"
        text += f", of the {numbers.grouped(len(large))} that take a millisecond or more to form in "
        text += f"{_all(sum(times > 1 for times, _ in large), len(large))} (in the middle of these it took {said} time)"
    told = [(way.bytes, part.peak) for part, way in done if part.peak and part.peak >= numbers.RESOLUTION]
    known = [(least, most) for least, most in told if least is not None]
    if known:
        smaller = sum(least < most for least, most in known)
        text += f"; it took less memory in {_all(smaller, len(known))} of the {numbers.grouped(len(known))} whose "
        text += "memory can be told"
    if beyond:
        text += f"; {numbers.grouped(len(beyond))} more could be compressed, but not formed"
    least, part = min(large or pairs, key=lambda one: one[0])
    if least < 1:
        text += f". It lost most on {part.the}, by {method(part.case)}: {products(part)}, and "
        text += f"{numbers.factor(1 / least)} times the time"
    return f"{text}."


def together(panels: Sequence[Panel]) -> str:
    """Where columns and rows together, or columns, save most beside rows; nothing where that was not looked at.

    Args:
        panels: of a run.
    """
    found = [(part, both) for part, way in mains(panels) if (both := part.data["compressed"].get("both"))]
    done = [(part, both) for part, both in found if both["outcome"] == "ok" and sum(both["products"])]
    if not done:
        return ""
    part, both = max(done, key=lambda one: (min(one[1]["products"]), _alone(one[0]) / sum(one[1]["products"])))
    who = "forward and reverse mode together" if all(both["products"]) else "forward mode instead"
    text = f"By {who}, {part.the} took {took(both['bytes'], both['seconds'])}, from "
    text += f"{_named(both['products'])} instead of {numbers.counted(_alone(part), 'row')}"
    way = part.ways[COMPRESSED]
    return f"{text} in {took(way.bytes, way.seconds)}." if way.done else f"{text}, which could not be had."


def _alone(part: Part) -> int:
    """The products that compression takes in one direction."""
    return sum(part.data["compressed"].get("products") or ()) or part.passes


def ends(panels: Sequence[Panel]) -> str:
    """Where each way dies: how many Jacobians it gave, and the smallest that it could not give.

    Args:
        panels: of a run.
    """
    every = [part for panel in panels for part in panel.main]
    named = [name for name in ENDS if any(name in part.ways for part in every)]
    if COMPRESSED not in named:
        return ""
    told, ended = [], {}
    for name in named:
        ways = [part.ways[name] for part in every if name in part.ways]
        told.append(f"{_all(sum(way.done for way in ways), len(every))} could be {ENDS[name]}")
        if failed := [way for way in ways if not way.done]:
            first = min(failed, key=lambda way: way.part.bytes).part
            size = numbers.trimmed(numbers.size_in_bytes(first.bytes))
            ended.setdefault(f"{first.the} in {first.case.dtype}, {size} by its shape", []).append(ENDS[name])
    who = numbers.listed(list(dict.fromkeys(method(part.case) for part in every)))
    text = f"Within the limits, of {numbers.counted(len(every), 'Jacobian')} by {who} {numbers.listed(told)}"
    said = [
        f"the smallest that could not be {numbers.listed(names, 'or')} is {where}" for where, names in ended.items()
    ]
    return f"{text}; {'; '.join(said)}." if said else f"{text}."


def listing(panels: Sequence[Panel]) -> Listing:
    """What compression found and took, by the backend of which the answer speaks.

    Args:
        panels: of a run.
    """
    columns = (
        "Jacobian", "Size", "Dtype", "In the pattern", "Columns", "Rows", "Both", "Instead of", "Prepare", "Time",
        "Peak", "Formed in", "Quicker", "Why not",
    )  # fmt: skip
    rows = []
    for part, way in mains(panels):
        found = part.data["compressed"]
        pushed, pulled = found.get("products") or (None, None)
        entries, before = found.get("nonzeros"), found.get("prepare_seconds")
        times = ratio(part.seconds, way.seconds) if way.done else None
        both = (found.get("both") or {}).get("products") or (0, 0)
        rows.append(
            (
                Cell(part.name, under=part.layer),
                Cell(f"{part.case.size}: {part.where}", part.case.n_params),
                Cell(part.case.dtype),
                Cell("" if entries is None else numbers.large(entries), entries, True),
                *(Cell("" if one is None else numbers.grouped(one), one, True) for one in (pushed, pulled)),
                Cell(" + ".join(map(numbers.grouped, both)) if sum(both) else "", sum(both) or None, True),
                Cell(numbers.grouped(part.passes), part.passes, True),
                Cell("" if before is None else numbers.seconds(before), before, True),
                Cell(numbers.seconds(way.seconds) if way.done else "", way.seconds, True),
                Cell(numbers.peak(way.bytes) if way.done else "", way.bytes, True),
                Cell(numbers.seconds(part.seconds) if part.formed else "not formed", part.seconds, True),
                cell(times, numbers.times),
                Cell(way.reason),
            )
        )
    text = (
        "In the pattern: the entries that may differ from zero, counted in a few rows where there are far too many. "
        "Columns and Rows: the products that give all of them; where there are none it is formed as a whole, since no "
        "product is saved. Both: columns and rows that forward and reverse mode take together, where these are fewer. "
        "Instead of: the products that forming takes. Prepare: finding the pattern and colouring it, once. Time "
        "and Peak: an evaluation. Quicker: by what factor than forming."
    )
    return Listing("compressed", "Compressed", text, Table(columns, tuple(rows)))


def beside(matrix: Sequence[Sequence[float]], colours: Mapping[str, Any]) -> list[list[float | None]]:
    """A Jacobian, on its right what its column products give, below what its row products give, with a gap between.

    Args:
        matrix: its entries.
        colours: ``columns`` and ``rows``, each a list of a colour per column or row, negative for those in no product.

    Example:
        >>> beside([[1.0, 0.0], [0.0, 2.0]], {"columns": [0, 0], "rows": []})
        [[1.0, 0.0, nan, 1.0], [0.0, 2.0, nan, 2.0]]
    """
    gap = float("nan")
    across, down = colours["columns"] or [], colours["rows"] or []
    right, below = max(across, default=-1) + 1, max(down, default=-1) + 1
    found: list[list[float | None]] = []
    for row in matrix:
        sums = [sum(entry for entry, own in zip(row, across, strict=True) if own == colour) for colour in range(right)]
        found.append([*row, *([gap, *sums] if right else [])])
    if below:
        width, behind = len(matrix[0]), [gap] * (right + bool(right))
        found.append([gap] * (width + len(behind)))
        for colour in range(below):
            own = [row for row, mine in zip(matrix, down, strict=True) if mine == colour]
            found.append([*(sum(entries) for entries in zip(*own, strict=True)), *behind])
    return found


def took(nbytes: float | None, seconds: float | None) -> str:
    """What something took, in bytes where the system says them, and in seconds.

    Args:
        nbytes: the peak.
        seconds: the time.
    """
    if nbytes is None:
        return numbers.seconds(seconds)
    small = "less than 256 KiB" if nbytes < numbers.RESOLUTION else numbers.size_in_bytes(nbytes)
    return f"{small} and {numbers.seconds(seconds)}"


def _all(number: int, total: int) -> str:
    """A number of a total: all, none, or the number."""
    if number == total:
        return "all" if total > 1 else "the one"
    return numbers.grouped(number) if number else "none"
