"""The page of a study of the cheap gradient: what gradients cost in losses, and how that grows with the parameters."""

from __future__ import annotations

from collections.abc import Sequence

from .. import numbers
from ..answer import Answer
from ..cases import Case, Group, groups
from ..figures import Chart, Panel
from ..kinds import Listing, Sections
from ..power_laws import LEAST
from ..style import Look, drawing, key_mark, looks
from ..svg import inline
from ..tables import Cell, Table, cell
from ..terms import Term
from . import cost_laws, timed
from . import ratio_panels as drawn
from .exponents import BOUND, Growth, formula, growths, local, threshold
from .ratio_answer import sentences

GLOSSARY = (
    Term("Parameters", "The numbers that training changes; their count is n.", ("parameter",)),
    Term(
        "Work ratio",
        "The time of one gradient, which includes the value, divided by the time of the loss alone, which runs as the "
        "user wrote it: below 1, what is compiled is quicker than the plain loss.",
        ("work ratios", "times the loss", "in losses"),
    ),
    Term(
        "Cheap gradient",
        "In operations a gradient costs at most about five times what its loss costs, however many parameters there "
        "are (Baur & Strassen, 1983), three to four times by finer counts (Griewank & Walther, 2008). Times need not "
        "keep to what operations do.",
        ("cheap",),
    ),
    Term(
        "Exponent",
        "The slope of the work ratio on logarithmic axes, by least squares: a price that grows as n^1 doubles with "
        "twice the parameters, one that grows as n^0 stays.",
        ("exponents",),
    ),
    Term(
        "Overhead",
        "What NumPy needs to start its calls, whatever the size of their arrays. Where it is most of the loss, n "
        "shows neither in the loss nor in what is compared with it.",
    ),
    Term(
        "Evaluations counted",
        "How often the backend ran the loss, or passed through it with a derivative, as it counted itself; many of "
        "them go side by side in the lanes of larger arrays, so they take less time than as many calls.",
    ),
    Term(
        "95 % interval",
        "Covers the true median in at least 95 of 100 repetitions; from medians of separate processes.",
        ("95 % intervals", "interval", "intervals", numbers.PLUS_MINUS),
    ),
)
METHOD = (
    "An exponent is a straight line of least squares through the logarithms of work ratios and numbers of parameters, "
    "one for the first process of each size, one for the second, and so on. Processes are independent, so these "
    "exponents are too: their median is shown, and its interval is read from their order. It needs six processes at "
    "each size: others are left out if three sizes remain, or else the line goes through the medians and has no "
    "interval. The interval says how well the line is known, not whether a line fits: the exponents from size to size "
    "tell that.",
    "Beyond the overhead are the sizes at which the loss takes at least twice as long as at the smallest size of its "
    "problem: what it takes there is mostly the starting of NumPy calls, so that beyond more than half is arithmetic.",
)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the charts and the tables of a study of the cheap gradient.

    Args:
        cases: all rows of a run.
    """
    found = [(group, own) for group in groups(list(cases)) if (own := growths(group))]
    if not found:
        return Sections(Answer((timed.nothing(cases),), timed.caveats(cases)))
    styles = looks(list(cases))
    with drawing():
        charts = (_work(found, styles), *_exponents(found, styles))
    answer = Answer(sentences(found), timed.caveats(cases))
    every = [growth for _, own in found for growth in own]
    tables = (_table(found), cost_laws.listing(every))
    return Sections(answer, charts, tables, glossary=GLOSSARY, method=METHOD)


# ------------------------------------------------------------------------------------------------ charts


def _work(found: Sequence[tuple[Group, list[Growth]]], styles: dict[str, Look]) -> Chart:
    heading = "Work ratio against the number of parameters"
    every = [growth for _, own in found for growth in own]
    names = [name for name in styles if any(growth.backend == name for growth in every)]
    keys = [{"text": name, **key_mark(styles[name])} for name in names]
    keys.append({"text": "hollow: mostly overhead", **key_mark(Look(0), hollow=True, bare=True)})
    keys[-1] |= {"stroke": "muted", "dashes": ""}
    keys.append({"text": "n evaluations", **key_mark(None, line="primal")})
    keys.append({"text": f"theory's bound for reverse mode, {BOUND:g}", **key_mark(None, line="limit")})
    caption = (
        "Down is better. Both axes are logarithmic: a straight line is a power law, and its slope the exponent. Level "
        "is the cheap gradient; below the dotted line, n evaluations take less time than n calls of the loss.",
        "Bars are 95 % intervals over processes; where none is visible, it is narrower than the mark."
        if any(timed.bounds(point.case)[0] is not None for growth in every for point in growth.points)
        else "There are no intervals: each case was timed in too few processes for one.",
    )
    panels, rows = [], []
    for number, (group, own) in enumerate(found):
        figure, tips = drawn.work(own, threshold(group), styles)
        picture = inline(figure, f"work{number}", f"{heading}, {own[0].title}", drawn.work_words(own), tips)
        panels.append(Panel(own[0].title, picture))
        for growth in own:
            for point, slope in zip(growth.points, local(growth.points), strict=True):
                bounds = timed.between(*timed.bounds(point.case))
                rows.append(
                    (growth.title, point.case.size, numbers.grouped(point.n), growth.backend,
                     numbers.factor(point.ratio), bounds or numbers.NOTHING, numbers.seconds(point.primal_s),
                     "" if slope is None else drawn.exponent(slope))
                )  # fmt: skip
    columns = (
        "Problem", "Size", "Parameters", "Backend", "Work ratio", "95 % interval", "The loss", "Exponent from the last",
    )  # fmt: skip
    return Chart("work", heading, caption, tuple(keys), tuple(panels), columns, tuple(rows))


def _exponents(found: Sequence[tuple[Group, list[Growth]]], styles: dict[str, Look]) -> tuple[Chart, ...]:
    heading = "Exponents"
    panels, rows = [], []
    for number, (_, every) in enumerate(found):
        own = [growth for growth in every if growth.fit is not None]
        if not own:
            continue
        figure, tips = drawn.exponents(own, styles)
        picture = inline(figure, f"exponents{number}", f"{heading}, {own[0].title}", drawn.exponent_words(own), tips)
        panels.append(Panel(own[0].title, picture))
        rows += [
            (growth.title, growth.backend, "" if growth.beyond is None else drawn.power(growth.beyond),
             "" if growth.whole is None else drawn.power(growth.whole))
            for growth in own
        ]  # fmt: skip
    if not panels:
        why = f"no backend finished at {LEAST} sizes of a problem, which a line needs"
        return (Chart("exponents", heading, (), missing=f"This chart is left out: {why}."),)
    known = any(fit is not None and fit.low is not None for _, own in found for g in own for fit in (g.whole, g.beyond))
    neutral = {"stroke": "muted", "dashes": ""}
    keys = (
        {"text": "filled: beyond the overhead", **key_mark(Look(0), bare=True), "fill": "muted", **neutral},
        {"text": "hollow: all sizes", **key_mark(Look(0), hollow=True, bare=True), **neutral},
        {"text": "theory: 0 or 1", **key_mark(None, line="primal")},
    )
    caption = (
        "The power of n with which the work ratio grows. Theory has 0 for reverse mode and for gradients derived by "
        "hand, 1 for one pass or evaluation per parameter.",
        "Bars are 95 % intervals over processes; an exponent without one has none. A line through fewer than three "
        "sizes is not drawn."
        if known
        else "There are no intervals: too few processes. A line through fewer than three sizes is not drawn.",
    )
    columns = ("Problem", "Backend", "Beyond the overhead", "All sizes")
    return (Chart("exponents", heading, caption, keys, tuple(panels), columns, tuple(rows)),)


# ------------------------------------------------------------------------------------------------ table


def _table(found: Sequence[tuple[Group, list[Growth]]]) -> Listing:
    columns = (
        "Backend", "Least work ratio", "Most", "Per parameter", "Exponent", "95 % interval", "Fitted from",
        "All sizes", "Interval of all", "Theory", "Evaluations",
    )  # fmt: skip
    rows = tuple(_row(growth) for _, own in found for growth in own)
    kept = [k for k in range(len(columns)) if any(row[k].text for row in rows)]
    text = (
        "Exponent: of the sizes beyond the overhead, from the number of parameters in the next column but one; all "
        "sizes: with the small ones, where NumPy's overhead hides n. Per parameter: the work ratio at the largest size "
        "divided by n. Evaluations: as the backend counted them, as a formula in n where one holds at every size."
    )
    table = Table(tuple(columns[k] for k in kept), tuple(tuple(row[k] for k in kept) for row in rows))
    return Listing("growth", "What a gradient costs, and how that grows", text, table)


def _row(growth: Growth) -> tuple[Cell, ...]:
    ratios = sorted(point.ratio for point in growth.points)
    last, beyond, whole = growth.points[-1], growth.beyond, growth.whole
    counts = growth.counts
    return (
        Cell(growth.backend, under=growth.title),
        cell(ratios[0], numbers.times),
        cell(ratios[-1], numbers.times),
        cell(last.ratio / last.n, lambda value: (numbers.factor if value >= 0.01 else numbers.scaled)(value)),
        cell(beyond.exponent if beyond else None, drawn.exponent),
        Cell(drawn.interval(beyond) if beyond else ""),
        cell(beyond.sizes[0] if beyond else None, numbers.grouped),
        cell(whole.exponent if whole else None, drawn.exponent),
        Cell(drawn.interval(whole) if whole else ""),
        cell(growth.theory, lambda value: f"{value:g}"),
        Cell(formula(counts) if counts else ""),
    )
