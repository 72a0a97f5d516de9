"""The page of a study of Jacobians that are never to be formed: what forming them takes, and what the product takes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .. import numbers
from ..answer import Answer
from ..cases import ROUNDING, Case, family_of, method
from ..kinds import Listing, Sections
from ..style import drawing, looks
from ..tables import Cell, Table
from . import examined, tensor_words, wall_charts
from .wall_parts import Panel, Part, panels_of, ratio

LECTURE = {"examples": 64, "inputs": 4096, "outputs": 4096}
GLOSSARY = (
    ("Jacobian", "All derivatives of all numbers of an output by all numbers of a variable; here of one layer."),
    ("Formed", "Written out, entry by entry, into an array of shape output + variable (numerator layout)."),
    (
        "Product without it",
        "A cotangent times the Jacobian (vjp) or the Jacobian times a tangent (jvp), computed from the rules of the "
        "layer, so that the Jacobian is never there. Backpropagation needs nothing but the first.",
    ),
    ("Product with it", "The same product as one matrix product with the Jacobian that was formed."),
    (
        "By its shape",
        "The bytes of the entries: all extents of the output times all extents of the variable times the bytes of a "
        "number. Computed, not measured.",
    ),
    *tensor_words.STRUCTURES,
)
METHOD = (
    "Each backend forms the Jacobian by each variable in its own way (reverse mode row by row, forward mode and finite "
    "differences column by column, several at once) as long as its forecast stays within the memory limit of the case, "
    "and multiplies it by a random vector of unit length; beside it the product with the same vector is computed "
    "without the Jacobian. Memory is the peak of the process above what it held before; a time is the middle of a few "
    "runs, or the only run of what takes long, and memory that the process takes for the first time is part of it.",
    "Structure is found from the entries: a pair of axes blocks the Jacobian where every entry with different indices "
    "on them is zero. Zeros are counted in every Jacobian that was formed.",
)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, charts and tables of a study of Jacobians.

    Args:
        cases: all rows of a run, with their findings.
    """
    panels = panels_of(cases)
    if not panels:
        return Sections(examined.nothing(cases, "No layer was examined", examined.caveats(cases)))
    styles = looks(list(cases))
    with drawing():
        charts = (wall_charts.memory(panels, styles), wall_charts.time(panels, styles), wall_charts.zeros(panels))
    tables = (_summary(panels), _structures(panels), _everything(panels))
    return Sections(
        Answer(tuple(_sentences(panels)), (*examined.caveats(cases), *_lecture(panels))),
        charts, tables=tables, glossary=GLOSSARY, method=METHOD,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ the answer


def _sentences(panels: Sequence[Panel]) -> list[str]:
    said = [_largest(panels), _wall(panels), _count(panels), _agreement(panels)]
    return [sentence for sentence in said if sentence]


def _largest(panels: Sequence[Panel]) -> str:
    """The first layer at its largest size: the bytes of its Jacobians, and what the products took there."""
    own = [panel for panel in panels if (panel.layer, panel.dtype) == (panels[0].layer, panels[0].dtype)]
    parts = [panel.main[-1] for panel in own]
    first = parts[0]
    sizes = [f"{part.name} has {numbers.large(part.data['entries'])} entries, {_bytes(part.bytes)}" for part in parts]
    text = f"At {first.where} in {first.case.dtype} the {first.layer.lower()}'s Jacobian {', and '.join(sizes)}"
    if len(parts) > 1 and (times := ratio(parts[-1].bytes, first.bytes)):
        text += f", {numbers.factor(times)} times as much" if times > 1 else f", {numbers.factor(1 / times)} times less"
    formed = [part for part in parts if part.formed]
    if not formed:
        limit = "" if first.limit is None else f" within {numbers.trimmed(numbers.size_in_bytes(first.limit))}"
        who = {1: "it could not", 2: "neither could"}.get(len(parts), "none could")
        text += f"; {who} be formed{limit}"
    else:
        took = [f"{part.name} was formed in {numbers.seconds(part.seconds)}" for part in formed]
        text += f"; {numbers.listed(took)}"
    products = [f"{_took(part.product['bytes'], part.product['seconds'])} for {part.name}" for part in parts]
    return f"{text}. Without the Jacobian the product took {numbers.listed(products)}, by {method(first.case)}."


def _wall(panels: Sequence[Panel]) -> str:
    """The largest Jacobian that was formed at all, and the product beside it."""
    formed = [part for panel in panels for part in panel.parts if part.formed]
    if not formed:
        return ""
    main = {id(part) for panel in panels for part in panel.main}
    part = max(formed, key=lambda one: (one.bytes, id(one) in main))
    text = f"The largest Jacobian that was formed, {part.name} of the {part.layer.lower()} at {part.where} in "
    text += f"{part.case.dtype}, took {_took(part.peak, part.seconds)} by {method(part.case)}"
    times = ratio(part.seconds, part.product["seconds"])
    text += f"; the product without it {_took(part.product['bytes'], part.product['seconds'])}"
    if times is None:
        return f"{text}."
    less = f"{numbers.factor(times)} times less" if times > 1 else f"{numbers.factor(1 / times)} times as much"
    return f"{text}, {less} time."


def _count(panels: Sequence[Panel]) -> str:
    """In how many cases the product was the cheaper way."""
    formed = [part for panel in panels for part in panel.parts if part.formed]
    pairs = [times for part in formed if (times := ratio(part.seconds, part.product["seconds"])) is not None]
    if not pairs:
        return "No Jacobian could be formed, so nothing could be compared with the products." if not formed else ""
    quicker = sum(times > 1 for times in pairs)
    text = f"Of {numbers.counted(len(pairs), 'Jacobian')} formed, the product without it was quicker "
    text += _of(quicker, len(pairs), "")
    middle = median(pairs)
    said = f"{numbers.factor(middle)} times less" if middle > 1 else f"{numbers.factor(1 / middle)} times as much"
    text += f" (in the middle of all it took {said} time)"
    told = [
        (part.product["bytes"], part.peak)
        for part in formed
        if part.peak and part.peak >= numbers.RESOLUTION and part.product["bytes"] is not None
    ]
    smaller = sum(product < peak for product, peak in told)
    if len(told) == 1:
        text += f", and took {'' if smaller else 'no '}less memory in the one whose memory can be told"
    elif told:
        text += f", and took less memory {_of(smaller, len(told), f' of {numbers.grouped(len(told))}')}"
        text += " whose memory can be told"
    return f"{text}."


def _of(number: int, total: int, rest: str) -> str:
    """In how many of a total: all, none, or a number with what is said after it."""
    if number == total:
        return "in all of them" if total > 1 else "there"
    return f"in {'none' if not number else numbers.grouped(number)}{rest}"


def _agreement(panels: Sequence[Panel]) -> str:
    """How well the product with the Jacobian and the product without it agree, by dtype, for rules and differences."""
    formed = [part for panel in panels for part in panel.parts if part.formed]
    if not formed:
        return ""
    if apart := [part for part in formed if part.data["jacobian"]["difference"] > _allowed(part)]:
        worst = max(apart, key=lambda part: part.data["jacobian"]["difference"])
        return (
            f"In {numbers.grouped(len(apart))} of {numbers.counted(len(formed), 'case')} the products with the "
            f"Jacobian and without it do not agree: {method(worst.case)} differs by "
            f"{numbers.scaled(worst.data['jacobian']['difference'])} on {worst.case.place} in {worst.case.dtype}."
        )
    told = []
    for rough in (False, True):
        own = [part for part in formed if (family_of(part.case) == "finite") is rough]
        worst_of = [
            f"{numbers.scaled(most) if most else '0'} in {dtype}"
            for dtype in dict.fromkeys(part.case.dtype for part in own)
            for most in [max(p.data["jacobian"]["difference"] for p in own if p.case.dtype == dtype)]
        ]
        who = numbers.listed(list(dict.fromkeys(method(part.case) for part in own)))
        told += [f"up to {numbers.listed(worst_of)} by {who}"] if own else []
    return f"With the Jacobian and without it the product is the same: {', '.join(told)} (relative, at worst)."


def _allowed(part: Part) -> float:
    """The relative difference that rounding explains; for differences, what their two steps may differ by."""
    eps = ROUNDING.get(part.case.dtype, ROUNDING["float64"])
    return eps ** (1 / 3) if family_of(part.case) == "finite" else 1e3 * eps


def _took(nbytes: float | None, seconds: float | None) -> str:
    if nbytes is None:
        return numbers.seconds(seconds)
    small = "less than 256 KiB" if nbytes < numbers.RESOLUTION else numbers.size_in_bytes(nbytes)
    return f"{small} and {numbers.seconds(seconds)}"


def _bytes(nbytes: float) -> str:
    return numbers.trimmed(numbers.size_in_bytes(nbytes))


def _lecture(panels: Sequence[Panel]) -> tuple[str, ...]:
    """What the lecture says of its layer, where the run holds it."""
    there = [
        part
        for panel in panels
        for part in panel.main
        if dict(part.size) == LECTURE and part.case.dtype == "float32" and part.case.problem.endswith("DENSE")
    ]
    if len(there) != 2:
        return ()
    by_x, by_w = there
    times = numbers.factor(ratio(by_w.bytes, by_x.bytes))
    return (
        f"The lecture gives 256 GB for each of the two Jacobians at {by_x.where} in float32. That is {by_x.name}: "
        f"{by_x.arithmetic} = {_bytes(by_x.bytes)}. The other, {by_w.name}, is {by_w.arithmetic} = "
        f"{_bytes(by_w.bytes)}, {times} times as much.",
    )


# ------------------------------------------------------------------------------------------------ the tables


def _summary(panels: Sequence[Panel]) -> Listing:
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
                    Cell(_bytes(part.bytes), part.bytes, True),
                    Cell(numbers.peak(part.peak) if part.formed else "not formed", part.peak, True),
                    Cell(numbers.seconds(part.seconds), part.seconds, True)
                    if part.formed
                    else Cell("" if late is None else f"forecast {numbers.seconds(late)}", late, True),
                    Cell(numbers.seconds(part.product["seconds"]), part.product["seconds"], True),
                    Cell(numbers.peak(part.product["bytes"]), part.product["bytes"], True),
                    Cell("" if times is None else f"{numbers.factor(times)} {numbers.TIMES}", times, True),
                )
            )
    who = numbers.listed(list(dict.fromkeys(method(part.case) for panel in panels for part in panel.main)))
    text = (
        f"Measured by {who}. By its shape: what the entries take, computed. Formed and In: peak of memory and time of "
        "writing the Jacobian out; where that was not possible, a forecast of the time by operations from the largest "
        "that was formed. Product and Its bytes: the product without the Jacobian. Quicker: by what factor."
    )
    return Listing("wall", "The wall", text, Table(columns, tuple(rows)))


def _structures(panels: Sequence[Panel]) -> Listing:
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


def _everything(panels: Sequence[Panel]) -> Listing:
    columns = (
        "Jacobian", "Backend", "Size", "Dtype", "Plan", "Peak", "Peak to plan", "Formed in", "Product with it", "Way",
        "Product without it", "Its bytes", "Difference", "Why not",
    )  # fmt: skip
    rows = []
    for panel in panels:
        for part in panel.parts:
            formed, plan = part.formed, part.data["plan_bytes"]
            told = formed is not None and part.peak is not None and part.peak >= numbers.RESOLUTION
            share = ratio(part.peak, plan) if told else None
            rows.append(
                (
                    Cell(part.name, under=part.layer),
                    Cell(part.case.backend),
                    Cell(f"{part.case.size}: {part.where}", part.case.n_params),
                    Cell(part.case.dtype),
                    Cell(numbers.size_in_bytes(plan), plan, True),
                    Cell(numbers.peak(part.peak) if formed else "", part.peak, True),
                    Cell("" if share is None else numbers.factor(share), share, True),
                    Cell(numbers.seconds(part.seconds) if formed else "", part.seconds, True),
                    Cell(numbers.seconds(formed["product_seconds"]) if formed else "",
                         formed["product_seconds"] if formed else None, True),
                    Cell(part.data["way"]),
                    Cell(numbers.seconds(part.product["seconds"]), part.product["seconds"], True),
                    Cell(numbers.peak(part.product["bytes"]), part.product["bytes"], True),
                    Cell(numbers.scientific(formed["difference"]) if formed else "",
                         formed["difference"] if formed else None, True),
                    Cell(part.data["jacobian"]["reason"]),
                )
            )  # fmt: skip
    text = (
        "Every backend. Plan: the bytes that the backend forecasts for forming it, its work space included. "
        "Difference: of the products with the Jacobian and without it, relative."
    )
    return Listing("every", "Every backend", text, Table(columns, tuple(rows)))
