"""The page of a study of Jacobians that are never to be formed: what forming them takes, and what the product takes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .. import numbers
from ..answer import Answer
from ..cases import ROUNDING, Case, family_of, method
from ..kinds import Sections
from ..style import drawing
from ..terms import Term
from . import examined, tensor_words, wall_charts, wall_compressed, wall_plan, wall_tables
from .wall_compressed import took
from .wall_parts import CHUNKED, COMPRESSED, EXPLICIT, IMPLICIT, WAYS, Panel, Part, panels_of, ratio, small

LECTURE = {"examples": 64, "inputs": 4096, "outputs": 4096}
GLOSSARY = (
    Term(
        "Jacobian",
        "All derivatives of all numbers of an output by all numbers of a variable; here of one layer or map.",
        ("Jacobians",),
    ),
    Term(
        "Formed",
        "Written out, entry by entry, into an array of shape output + variable (numerator layout).",
        ("forming",),
    ),
    Term(
        "Product without it",
        "A cotangent times the Jacobian (vjp) or the Jacobian times a tangent (jvp), computed from the rules of the "
        "equations, so that the Jacobian is never there. Backpropagation needs nothing but the first.",
        ("products without it", "without the Jacobian"),
    ),
    Term(
        "In chunks",
        "Rows or columns of the Jacobian are computed, as many at a time as a chunk holds, multiplied, and dropped. "
        "All of them are computed, as for forming it, but only a chunk has to be in memory, where it can stay in the "
        "cache.",
        ("chunk", "chunks"),
    ),
    Term(
        "Plan",
        "The bytes that a backend forecasts before anything is allocated: what its programs hold, their buffers, the "
        "results, and what is alive beside them.",
        ("plans", "planned"),
    ),
    Term("Product with it", "The same product as one matrix product with the Jacobian that was formed."),
    Term(
        "By its shape",
        "The bytes of the entries: all extents of the output times all extents of the variable times the bytes of a "
        "number. Computed, not measured.",
    ),
    *wall_compressed.GLOSSARY, *tensor_words.STRUCTURES,
)  # fmt: skip
METHOD = (
    "Each backend forms the Jacobian by each variable in its own way (reverse mode row by row, forward mode and finite "
    "differences column by column, several at once) as long as its forecast stays within the memory limit of the case, "
    "and multiplies it by a random vector of unit length; beside it the product with the same vector is computed "
    "without the Jacobian. The product in chunks goes in the other direction, along another such vector: reverse mode "
    "computes rows and multiplies them by a tangent, forward mode and finite differences compute columns and multiply "
    "them by a cotangent; it is checked by u (J v) = (u J) v.",
    *wall_compressed.METHOD,
    "Memory is the peak of the process above what it held before, when it had done everything once with the layer at "
    "its smallest and BLAS had taken its own work memory; what is quick is counted in small pages, in a run of its "
    "own, as huge pages round every large array up to 2 MiB. A time is the middle of a few runs, or the only run of "
    "what takes long, and memory that the process takes for the first time is part of it.",
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
    with drawing():
        charts = (wall_charts.memory(panels), wall_charts.time(panels), wall_charts.zeros(panels))
    tables = [wall_tables.summary(panels), wall_plan.listing(panels), wall_tables.structures(panels),
              wall_tables.everything(panels)]  # fmt: skip
    if wall_compressed.mains(panels):
        tables.insert(1, wall_compressed.listing(panels))
    return Sections(
        Answer(tuple(_sentences(panels)), (*examined.caveats(cases), *_lecture(panels))),
        charts, tables=tuple(tables), glossary=GLOSSARY, method=METHOD,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ the answer


def _sentences(panels: Sequence[Panel]) -> list[str]:
    said = [
        _largest(panels), wall_compressed.sentence(panels), _wall(panels), _chunks(panels),
        wall_compressed.comparison(panels), wall_compressed.together(panels), _count(panels),
        wall_compressed.ends(panels), _agreement(panels),
    ]  # fmt: skip
    return [sentence for sentence in said if sentence]


def _largest(panels: Sequence[Panel]) -> str:
    """The first layer at its largest size: the bytes of its Jacobians, and what the products took there."""
    own = [panel for panel in panels if (panel.layer, panel.dtype) == (panels[0].layer, panels[0].dtype)]
    parts = [panel.main[-1] for panel in own]
    first = parts[0]
    sizes = [f"{part.name} has {numbers.large(part.data['entries'])} entries, {_bytes(part.bytes)}" for part in parts]
    text = f"At {first.where} in {first.case.dtype} the {small(first.layer)}'s Jacobian {', and '.join(sizes)}"
    if len(parts) > 1 and (times := ratio(parts[-1].bytes, first.bytes)):
        text += f", {numbers.factor(times)} times as much" if times > 1 else f", {numbers.factor(1 / times)} times less"
    formed = [part for part in parts if part.formed]
    if not formed:
        limit = "" if first.limit is None else f" within {numbers.trimmed(numbers.size_in_bytes(first.limit))}"
        who = {1: "it could not", 2: "neither could"}.get(len(parts), "none could")
        text += f"; {who} be formed{limit}"
    else:
        told = [f"{part.name} was formed in {numbers.seconds(part.seconds)}" for part in formed]
        text += f"; {numbers.listed(told)}"
    products = [f"{took(part.product['bytes'], part.product['seconds'])} for {part.name}" for part in parts]
    return f"{text}. Without the Jacobian the product took {numbers.listed(products)}, by {method(first.case)}."


def _wall(panels: Sequence[Panel]) -> str:
    """The largest Jacobian that was formed at all, and the product beside it."""
    formed = [part for panel in panels for part in panel.parts if part.formed]
    if not formed:
        return ""
    main = {id(part) for panel in panels for part in panel.main}
    part = max(formed, key=lambda one: (one.bytes, id(one) in main))
    text = f"The largest Jacobian that was formed, {part.the} in "
    text += f"{part.case.dtype}, took {took(part.peak, part.seconds)} by {method(part.case)}"
    times = ratio(part.seconds, part.product["seconds"])
    text += f"; the product without it {took(part.product['bytes'], part.product['seconds'])}"
    if times is None:
        return f"{text}."
    less = f"{numbers.factor(times)} times less" if times > 1 else f"{numbers.factor(1 / times)} times as much"
    return f"{text}, {less} time."


def _chunks(panels: Sequence[Panel]) -> str:
    """What chunks save where the Jacobian was formed, and what they would take at the first layer's largest size."""
    every = [part for panel in panels for part in panel.main]
    both = [part for part in every if part.formed and CHUNKED in part.ways and part.ways[CHUNKED].done]
    if not both:
        return ""
    part = max(both, key=lambda one: one.bytes)
    way = part.ways[CHUNKED]
    most = numbers.counted(way.lanes, "row or column", "rows or columns") if way.lanes else "a few rows or columns"
    text = f"In chunks, with {most} there at a time, {part.the} took "
    text += took(way.bytes, way.seconds)
    if part.peak and way.bytes and part.peak >= numbers.RESOLUTION:
        text += f" instead of {took(part.peak, part.seconds)}"
    beyond = []
    for panel in panels:
        last = panel.main[-1]
        if (panel.layer, panel.dtype) == (panels[0].layer, panels[0].dtype) and (late := last.ways.get(CHUNKED)):
            seconds = panel.forecast(last, CHUNKED)
            if seconds is not None:
                beyond.append(f"{numbers.size_in_bytes(late.plan)} and {numbers.seconds(seconds)} for {last.name}")
    if beyond:
        text += f"; at {panels[0].main[-1].where} the forecast is {numbers.listed(beyond)}"
    return f"{text}."


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
    """How well the products of the three ways agree, by dtype, for rules and differences."""
    every = [way for panel in panels for part in panel.parts for way in part.ways.values()]
    found = [(way.part, way.difference, way.name) for way in every if way.done and way.difference is not None]
    if not found:
        return ""
    if apart := [one for one in found if one[1] > _allowed(one[0])]:
        part, worst, name = max(apart, key=lambda one: one[1])
        which = {EXPLICIT: "with the Jacobian", COMPRESSED: "with the compressed one"}.get(name, name)
        return (
            f"In {numbers.grouped(len(apart))} of {numbers.counted(len(found), 'comparison')} the products {which} and "
            f"without it do not agree: {method(part.case)} differs by {numbers.scaled(worst)} on {part.case.place} in "
            f"{part.case.dtype}."
        )
    told = []
    for rough in (False, True):
        own = [(part, difference) for part, difference, _ in found if (family_of(part.case) == "finite") is rough]
        worst_of = [
            f"{numbers.scaled(most) if most else '0'} in {dtype}"
            for dtype in dict.fromkeys(part.case.dtype for part, _ in own)
            for most in [max(difference for part, difference in own if part.case.dtype == dtype)]
        ]
        who = numbers.listed(list(dict.fromkeys(method(part.case) for part, _ in own)))
        told += [f"up to {numbers.listed(worst_of)} by {who}"] if own else []
    names = {name for *_, name in found} | {IMPLICIT}
    words = [{EXPLICIT: "with the Jacobian"}.get(name, name) for name in WAYS if name in names]
    how = numbers.listed(words)
    how = how[:1].upper() + how[1:]
    return f"{how} the product is the same: {', '.join(told)} (relative, at worst)."


def _allowed(part: Part) -> float:
    """The relative difference that rounding explains; for differences, what their two steps may differ by."""
    eps = ROUNDING.get(part.case.dtype, ROUNDING["float64"])
    return eps ** (1 / 3) if family_of(part.case) == "finite" else 1e3 * eps


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
