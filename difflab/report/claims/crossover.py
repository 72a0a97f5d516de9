"""The page of a study of the crossover: who is quicker at which shape, where they cross, and what a pass costs."""

from __future__ import annotations

from collections.abc import Sequence

from .. import numbers
from ..answer import Answer
from ..cases import Case, groups
from ..figures import Chart, Panel
from ..kinds import Listing, Sections
from ..style import Look, drawing, key_mark, looks
from ..svg import inline
from ..tables import Cell, Table, cell
from ..terms import Term
from . import crossover_answer as answers
from . import crossover_panels as drawn
from . import timed
from .crossings import PASSES, Diagonal, diagonals

GLOSSARY = (
    Term("Map", "A function from n numbers, its inputs, to m numbers, its outputs.", ("maps",)),
    Term(
        "Jacobian",
        "All slopes of a map: a row per output, a column per input. Of a loss it is one row, the gradient.",
        ("Jacobians",),
    ),
    Term(
        "Pass",
        "One run through the map and its derivative along a direction: forward mode finds a column of the Jacobian in "
        "a pass, reverse mode a row. Passes can run side by side, in the lanes of larger arrays: that saves starting a "
        "NumPy call for each, and a matrix product does the work of many products with vectors.",
        ("passes",),
    ),
    Term(
        "Crossing",
        "The shape at which both modes take the same time, interpolated between shapes on logarithmic axes. If a pass "
        "cost the same in both, it would be where there are as many outputs as inputs.",
        ("crossings", "cross"),
    ),
    Term(
        "Outputs per input",
        "The number of outputs divided by that of inputs. On one chart the product of both is the same everywhere, so "
        "that all Jacobians have as many entries and only the shape differs.",
    ),
    Term(
        "Work ratio",
        "The time of one Jacobian, with the value, divided by that of the map alone as the user wrote it.",
        ("work ratios",),
    ),
    Term(
        "95 % interval",
        "Covers the true median in at least 95 of 100 repetitions; from medians of separate processes.",
        ("95 % intervals", "interval", "intervals", numbers.PLUS_MINUS),
    ),
)
METHOD = (
    "The time of forward mode is divided by that of reverse mode process by process, for those of one epoch were "
    "measured by turns; the interval of that ratio is read from the order of the processes. The interval of a crossing "
    "is the stretch of shapes at which the interval of the ratio holds 1.",
)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the charts and the tables of a study of the crossover.

    Args:
        cases: all rows of a run.
    """
    found = [one for one in diagonals(groups(list(cases))) if any(one.cases(name) for name in one.backends)]
    if not found:
        return Sections(Answer((timed.nothing(cases),), answers.caveats(cases, found)))
    wide = [one for one in found if len(one.shapes) > 1]
    styles = looks(list(cases))
    with drawing():
        charts = _charts(wide or found, styles)
    answer = Answer(answers.sentences(found), answers.caveats(cases, found))
    tables = (_crossings(found), _passes(found))
    return Sections(answer, charts, tables, glossary=GLOSSARY, method=METHOD)


# ------------------------------------------------------------------------------------------------ charts


def _charts(found: Sequence[Diagonal], styles: dict[str, Look]) -> tuple[Chart, ...]:
    names = [name for name in styles if any(one.cases(name) for one in found)]
    keys = [{"text": name, **key_mark(styles[name])} for name in names]
    return (_shapes(found, styles, names, keys), _lanes(found, styles, names, keys))


def _title(one: Diagonal) -> str:
    return f"{one.title}, {numbers.counted(one.entries, 'entry', 'entries')}"


def _shapes(found: Sequence[Diagonal], styles: dict[str, Look], names: list[str], keys: list[dict]) -> Chart:
    heading = "Work ratio against shape"
    keys = [*keys, {"text": "where theory has them cross", **key_mark(None, line="primal")}]
    if any(duel.crossing for one in found for duel in one.duels):
        keys.append({"text": "hollow: where they cross", **key_mark(drawn.MEETING, hollow=True, bare=True)})
        keys[-1] |= {"stroke": "ink", "dashes": ""}
    caption = (
        "Down is better. Left, many inputs and few outputs, as in a loss; right, few inputs and many outputs. All "
        "Jacobians of a chart have the same number of entries. Both axes are logarithmic.",
        "Bars are 95 % intervals over processes, beside a crossing those of its place; where none is visible, it is "
        "narrower than the mark."
        if any(case.call_s_low is not None for one in found for name in names for _, case in one.cases(name))
        else "There are no intervals: each case was timed in too few processes for one.",
    )
    panels = []
    for number, one in enumerate(found):
        figure, tips = drawn.shapes(one, styles)
        panels.append(Panel(_title(one), inline(figure, f"shapes{number}", heading, drawn.shape_words(one), tips)))
    rows = tuple(
        (one.title, shape.size, name, *numbers.measured_apart(case.call_s, case.call_s_low, case.call_s_high, "n/a"),
         numbers.seconds(case.primal_s), numbers.factor(case.work_ratio))
        for one in found for name in names for shape, case in one.cases(name)
    )  # fmt: skip
    columns = ("Problem", "Shape", "Backend", "One Jacobian", "95 % interval", "The map", "Work ratio")
    return Chart("shapes", heading, caption, tuple(keys), tuple(panels), columns, rows)


def _lanes(found: Sequence[Diagonal], styles: dict[str, Look], names: list[str], keys: list[dict]) -> Chart:
    heading = "What one pass costs"
    caption = (
        "The time of the Jacobian divided by the passes that were counted, in evaluations of the map. A level line "
        "means that n passes take n times as long as one; a falling one, that passes side by side share the start of "
        "their NumPy calls and their matrices.",
    )
    panels = []
    for number, one in enumerate(found):
        figure, tips = drawn.passes(one, styles)
        panels.append(Panel(_title(one), inline(figure, f"passes{number}", heading, drawn.pass_words(one), tips)))
    rows = tuple(
        (one.title, shape.size, name, numbers.count(case.primal_calls), numbers.count(case.chunks),
         numbers.seconds(drawn.pass_s(case)), numbers.factor(drawn.per_pass(case)))
        for one in found for name in names for shape, case in one.cases(name) if case.primal_calls
    )  # fmt: skip
    columns = ("Problem", "Shape", "Backend", "Passes", "Batches", "Time of a pass", "Work ratio of a pass")
    return Chart("lanes", heading, caption, tuple(keys), tuple(panels), columns, rows)


# ------------------------------------------------------------------------------------------------ tables


def _crossings(found: Sequence[Diagonal]) -> Listing:
    columns = ("Pair", "Entries", "Crossing", "95 % interval", "Theory", "Off by", "Most inputs", "Most outputs")
    rows = []
    for one in found:
        for duel in one.duels:
            place = duel.crossing
            first, last = duel.points[0], duel.points[-1]
            rows.append(
                (
                    Cell(f"{duel.forward} / {duel.reverse}", under=one.title),
                    cell(one.entries, numbers.grouped),
                    Cell("none" if place is None else numbers.factor(place.at), place and place.at, True),
                    Cell("" if place is None else answers.bounds(place)),
                    Cell("1", 1.0, True),
                    cell(place.off if place and place.expected else None, numbers.times),
                    cell(first.ratio, lambda value, at=first: f"{numbers.times(value)} at {at.shape.size}"),
                    cell(last.ratio, lambda value, at=last: f"{numbers.times(value)} at {at.shape.size}"),
                )
            )
    text = (
        "Crossing: in outputs per input, with the place where theory has it and the factor between. The last columns: "
        "the time of the forward mode of the pair over that of its reverse mode at the outermost shapes."
    )
    return Listing("crossings", "Measured and theoretical crossing", text, Table(columns, tuple(rows)))


def _passes(found: Sequence[Diagonal]) -> Listing:
    columns = ("Backend", "Shape", "Passes", "In theory", "Batches", "One Jacobian", "One pass", "In evaluations")
    rows = []
    for one in found:
        for name in one.backends:
            theory = PASSES.get(one.family(name))
            for shape, case in one.cases(name):
                each = drawn.per_pass(case)
                rows.append(
                    (
                        Cell(name, under=one.title),
                        Cell(shape.size, shape.place),
                        cell(case.primal_calls, numbers.grouped),
                        cell(theory(shape) if theory else None, numbers.grouped),
                        cell(case.chunks, numbers.grouped),
                        cell(case.call_s, numbers.seconds),
                        cell(drawn.pass_s(case), numbers.seconds),
                        cell(each, numbers.times),
                    )
                )
    text = (
        "Passes, or evaluations where there are quotients, as the backend counted them, beside those of theory; "
        "batches: in how many runs through the compiled program they were made. In evaluations: the time of one pass "
        "over that of the map alone."
    )
    return Listing("passes", "Passes, counted and timed", text, Table(columns, tuple(rows)))
