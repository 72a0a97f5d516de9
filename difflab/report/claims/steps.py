"""The page of a study of steps: what the best step leaves of the digits, charts of error against step, tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import numbers
from ..answer import Answer
from ..cases import Case, groups
from ..figures import Chart, Panel
from ..kinds import Listing, Sections
from ..style import FIXED, Look, drawing, key_mark, looks
from ..svg import inline
from ..tables import Cell, Table, cell
from ..terms import Term
from . import curves as vees
from . import examined
from .curves import Curve

BROWN = 11  # the slot of a colour much like that of finite differences
GLOSSARY = (
    Term(
        "Step",
        "How far a coordinate is moved to form a quotient of differences; the sweep moves all by the same step.",
        ("steps",),
    ),
    Term(
        "Truncation",
        "What a quotient misses of the derivative: a power of the step, the order. It makes the right arm of the V, "
        "and a higher order makes that arm steeper.",
    ),
    Term(
        "Rounding",
        "The values of the loss are rounded, and dividing their difference by a small step enlarges that. It makes the "
        "left arm, of slope one in every scheme that subtracts.",
    ),
    Term(
        "Predicted step",
        "Where truncation and rounding together are least if the derivatives of the loss are as large as the loss "
        "itself divided by powers of max(1, |x|) (Gill, Murray & Wright, 1981, section 8.6; Nocedal & Wright, 2006, "
        "section 8.1). Nothing that was measured enters it but the loss and the length of its gradient.",
        ("predicted steps", "predicted"),
    ),
    Term(
        "Automatic step",
        "What the backend chooses itself, for every coordinate its own; the mark is the middle one.",
        ("automatic",),
    ),
    Term(
        "Digits lost",
        "Decimal digits that the dtype holds (15.7 in float64, 6.9 in float32) less those that are right in the whole "
        "gradient (norm-wise).",
        ("loses", "lose"),
    ),
    Term(
        "Machine epsilon",
        "The distance from 1 to the next number of the dtype: rounding is of that size, and less is good luck.",
        ("epsilon",),
    ),
)
METHOD = (
    "At every step of the sweep the gradient is prepared and computed anew, and its distance from the certified "
    "reference, the gradient of the same recorded loss in ball arithmetic with many more digits, is taken relative to "
    "the length of that gradient. In float32 the truth is that of the float64 data, so rounding the data counts too. "
    "The errors in the table of all rows are those with the automatic step.",
)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the chart and the tables of a study of steps.

    Args:
        cases: all rows of a run, with their findings.
    """
    found = vees.panels_of(groups(list(cases)))
    styles = _looks(cases)
    if not found:
        return Sections(
            examined.nothing(cases, "No gradient could be measured", examined.caveats(cases, examined.place_and_dtype))
        )
    with drawing():
        chart = _chart(found, styles)
    return Sections(_answer(found, cases), (chart,), tables=(_summary(found),), glossary=GLOSSARY, method=METHOD)


def _looks(cases: Sequence[Case]) -> dict[str, Look]:
    """The looks of any page; but two browns among curves that cross would be one, so the second is ink where it can."""
    found = looks(list(cases))
    used = {look.slot for look in found.values()}
    free = {BROWN: FIXED["analytic"]} if {FIXED["finite"], BROWN} <= used and FIXED["analytic"] not in used else {}
    return {name: Look(free.get(look.slot, look.slot)) for name, look in found.items()}


# ------------------------------------------------------------------------------------------------ the answer


def _answer(found: Sequence[tuple[str, list[Curve]]], cases: Sequence[Case]) -> Answer:
    """What the first panel shows of the usual quotient and the others beside it, then the other panels in short."""
    own = found[0][1]
    main, where = _main(own), _where(own)
    if main is None:
        parts = [f"{curve.case.backend} errs by {numbers.scaled(curve.best.error)}" for curve in own]
        return Answer(
            (f"On {where} no backend found a best step: {numbers.listed(parts)}.",),
            examined.caveats(cases, examined.place_and_dtype),
        )
    name = main.case.backend
    first = f"On {where}, {name} loses {_lost(main)} of the {numbers.digits(main.held)} digits even at its best step, "
    first += numbers.scaled(main.best.step)
    others = [one for one in own if one is not main and one.lost is not None]
    others.sort(key=lambda one: -(one.lost or 0.0))
    if others:
        first += f"; {numbers.listed([f'{one.case.backend} loses {_lost(one)}' for one in others])}"
    second = "; ".join(part for part in (_prediction(main), _costs(main)) if part)
    third = [text for _, curves in found[1:] if (text := _elsewhere(curves, name))]
    third = [f"elsewhere {name} loses {numbers.listed(third)}"] if third else []
    sentences = [f"{text[0].upper()}{text[1:]}." for text in (first, second, *third, _farthest(found)) if text]
    return Answer(tuple(sentences), examined.caveats(cases, examined.place_and_dtype))


def _main(curves: Sequence[Curve]) -> Curve | None:
    """The curve of which the answer speaks: the usual quotient of order two, else the first with a best step."""
    there = [curve for curve in curves if curve.best.drawn]
    return next((curve for curve in there if curve.order == 2 and not curve.flat), next(iter(there), None))


def _where(curves: Sequence[Curve]) -> str:
    case = curves[0].case
    return f"{case.place} in {case.dtype}"


def _lost(curve: Curve) -> str:
    """Digits lost at the best step; less than a twentieth is none."""
    return "none" if curve.lost is None or curve.lost < 0.05 else numbers.digits(curve.lost)


def _prediction(main: Curve) -> str:
    if main.off is None:
        return ""
    best = f"theory put the best step of {main.case.backend} at {numbers.scaled(main.predicted.step)}"
    return f"{best}, a factor of {numbers.factor(main.off)} away"


def _farthest(found: Sequence[tuple[str, list[Curve]]]) -> str:
    """Over all curves: how far theory was off at most, and where the automatic step cost most."""
    every = [curve for _, curves in found for curve in curves]
    off = [(curve.off, curve) for curve in every if curve.off is not None]
    costs = [(curve.automatic, curve) for curve in every if curve.automatic is not None]
    parts = []
    if len(off) > 1:
        factor, curve = max(off, key=lambda pair: pair[0])
        near = numbers.factor(sorted(one for one, _ in off)[len(off) // 2])
        parts.append(
            f"of {numbers.grouped(len(off))} predicted steps half lie within a factor of {near} of the best and the "
            f"farthest is off by {numbers.factor(factor)} ({curve.case.backend} on {_where([curve])})"
        )
    if len(costs) > 1:
        cost, curve = max(costs, key=lambda pair: pair[0])
        where = f"{curve.case.backend} on {_where([curve])}"
        parts.append(f"the automatic step costs {numbers.digits(cost)} digits at most ({where})")
    return "; ".join(parts)


def _costs(main: Curve) -> str:
    """What a wrong step and the automatic one cost, in digits."""
    parts = []
    for factor, words in ((0.1, "a step ten times too small"), (10.0, "one ten times too large")):
        if (cost := main.beside(factor)) is not None:
            parts.append(f"{words} costs {numbers.digits(cost)}{' more digits' if not parts else ''}")
    if (cost := main.automatic) is not None:
        parts.append(f"the automatic step costs {numbers.digits(cost) if cost >= 0.05 else 'none'}")
    return numbers.listed(parts)


def _elsewhere(curves: Sequence[Curve], name: str) -> str:
    own = next((one for one in curves if one.case.backend == name and one.best.drawn), None)
    return "" if own is None else f"{_lost(own)} of {numbers.digits(own.held)} on {_where(curves)}"


# ------------------------------------------------------------------------------------------------ chart and tables


def _chart(found: Sequence[tuple[str, list[Curve]]], styles: dict[str, Look]) -> Chart:
    heading = "Error against step"
    found = [(title, vees.visible(curves)) for title, curves in found]
    every = [curve for _, curves in found for curve in curves]
    shown = [name for name in styles if any(curve.case.backend == name for curve in every)]
    keys: list[dict[str, Any]] = []
    for name in shown:
        bare = not any(curve.points for curve in every if curve.case.backend == name)
        keys.append({"text": f"{name} (no step)" if bare else name, **key_mark(styles[name])})
        if bare:
            keys[-1]["d"] = ""
    neutral = {"stroke": "muted", "dashes": ""}
    if any(curve.points for curve in every):
        keys.append({"text": "filled: the best step tried", **key_mark(Look(0), bare=True), "fill": "muted", **neutral})
    if any(curve.predicted.drawn for curve in every):
        keys.append({"text": "hollow: predicted best step", **key_mark(Look(0), hollow=True), **neutral})
    if any(curve.default.drawn for curve in every):
        keys.append({"text": "upright stroke: the automatic step", **key_mark(None), "d": "M17 1V15", "fill": "paper"})
        keys[-1]["stroke"] = "muted"
    keys.append({"text": "machine epsilon", **key_mark(None, line="primal")})
    caption = (
        "Both axes are logarithmic; down is better. To the right of its lowest point a curve is truncation, whose "
        "slope is the order of the scheme; to the left it is rounding, which every smaller step enlarges.",
        "A backend without a step is a horizontal line.",
    )
    panels = []
    for number, (title, curves) in enumerate(found):
        figure, tips = vees.panel(curves, styles)
        panels.append(Panel(title, inline(figure, f"steps{number}", f"{heading}, {title}", vees.words(curves), tips)))
    rows = tuple(
        (title, numbers.scientific(step), *(_at(curves, name, step) for name in shown))
        for title, curves in found
        for step in sorted({spot.step for curve in curves for spot in curve.points if spot.step}, reverse=True)
    )
    notes = ()
    if any(spot.error is not None and spot.error > vees.HIGHEST for curve in every for spot in curve.points):
        notes = (f"Relative errors beyond {vees.HIGHEST:g} are drawn there: nothing is right in either.",)
    return Chart("steps", heading, caption, tuple(keys), tuple(panels), ("Problem", "Step", *shown), rows, notes=notes)


def _at(curves: Sequence[Curve], name: str, step: float) -> str:
    for curve in curves:
        if curve.case.backend == name:
            if not curve.points:
                return numbers.scientific(curve.best.error)
            spot = next((spot for spot in curve.points if spot.step == step), None)
            return "" if spot is None else "not finite" if spot.error is None else numbers.scientific(spot.error)
    return ""


def _summary(found: Sequence[tuple[str, list[Curve]]]) -> Listing:
    columns = (
        "Scheme", "Digits lost", "Best step", "Error there", "Worst digits", "Predicted step", "Predicted error",
        "Off by", "Automatic step", "Error with it", "Ten times smaller", "Ten times larger",
    )  # fmt: skip
    rows = tuple(_row(title, curve) for title, curves in found for curve in curves)
    kept = [k for k in range(len(columns)) if any(row[k].text for row in rows)]
    text = (
        "Digits lost are those that the dtype holds less those right at the best step tried. Worst digits: correct "
        "digits of the worst coordinate there. Off by: the factor between the predicted step and the best. The last "
        "columns: further digits that a step ten times smaller or larger than the best one costs."
    )
    table = Table(tuple(columns[k] for k in kept), tuple(tuple(row[k] for k in kept) for row in rows))
    return Listing("optimum", "Best, predicted and automatic step", text, table)


def _row(title: str, curve: Curve) -> tuple[Cell, ...]:
    place = next((k for k, spot in enumerate(curve.points) if spot.step == curve.best.step), None)
    worst = curve.worst[place] if place is not None else curve.case.worst_digits
    return (
        Cell(curve.case.backend, under=title),
        cell(curve.lost, numbers.digits),
        cell(curve.best.step, numbers.scientific),
        cell(curve.best.error, numbers.scientific),
        cell(worst, numbers.digits),
        Cell(f"below {numbers.scientific(curve.predicted.step)}", curve.predicted.step, True)
        if curve.flat
        else cell(curve.predicted.step, numbers.scientific),
        cell(curve.predicted.error, numbers.scientific),
        cell(curve.off, numbers.times),
        cell(curve.default.step, numbers.scientific),
        cell(curve.default.error, numbers.scientific),
        cell(curve.beside(0.1), numbers.digits),
        cell(curve.beside(10.0), numbers.digits),
    )
