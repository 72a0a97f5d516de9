"""The page of a study of expression swell: how operations grow with depth and width, and where the time goes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import numbers
from ..answer import Answer
from ..cases import Case, groups
from ..kinds import Listing, Sections
from ..numbers import TIMES
from ..style import drawing
from ..tables import Cell, Table
from . import examined, swell_charts
from .swell_points import (
    COUNTS,
    PHASES,
    WAYS,
    Family,
    Growth,
    Point,
    Size,
    families,
    forecasts,
    growth,
    plain,
    read,
    summed,
)

SWOLLEN = 10.0  # times the operations of the reverse tape, written out; below nobody would speak of swelling
TOLD = (423, 40_999)  # operations of an XOR network and of its gradient, as they are often quoted
NEAR = 0.05  # relative difference up to which counts are called near each other
REFUSED = frozenset({"skipped_predicted"})  # the answer tells where a forecast ended it
LEFT = 3.0  # times the operations of the reverse tape that sharing leaves; below it is as good
GLOSSARY = (
    (
        "Operation",
        "A sum, product, quotient, sign or function of one or two numbers, as SymPy counts them, also on the tape; of "
        "an expression, data that are fractions count as quotients.",
    ),
    (
        "Written out",
        "The derivative as a formula: what is used twice is written, and computed, twice. The operations of a tree.",
    ),
    ("As a graph", "Every distinct subexpression of value and gradient counted once, however often it is used."),
    (
        "After sharing",
        "What is left after SymPy's search for common subexpressions (cse), which also finds common parts of sums and "
        "products; beyond 10 000 subexpressions only equal ones are shared.",
    ),
    ("Reverse tape", "The equations of value and gradient that reverse mode records, operation by operation."),
    ("Build", "To make expressions of the loss; in reverse mode, to record its tape."),
    ("Differentiate", "To derive by every parameter; in reverse mode, to append the adjoint equations."),
    ("Compile", "To share subexpressions, where that is asked for, and to turn the result into a Python function."),
)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the charts and the tables of a study of expression swell.

    Args:
        cases: all rows of a run, with their findings.
    """
    found = families(groups(list(cases)))
    if not found:
        return Sections(
            examined.nothing(cases, "Nothing could be counted", examined.caveats(cases, told_elsewhere=REFUSED))
        )
    with drawing():
        charts = swell_charts.charts(found)
    tables = tuple(one for one in (_growths(found), _counts(found)) if one.table.rows)
    return Sections(
        _answer(found, cases), tuple(charts), tables=tables, glossary=GLOSSARY,
        method=_method(found),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ the answer


def _answer(found: Sequence[Family], cases: Sequence[Case]) -> Answer:
    said = [text for family in found if family.axis for text in _grows(family)]
    if not said:
        said = [_single(family) for family in found]
    said += [_exact(found), _where_time_goes(found), _ends(found, all(map(read, cases))), _beside(found)]
    sentences = tuple(f"{text[0].upper()}{text[1:]}." for text in said if text)
    return Answer(sentences, examined.caveats(cases, told_elsewhere=REFUSED))


def _grows(family: Family) -> list[str]:
    """How the operations of one problem grow, written out and shared, beside reverse mode."""
    counted = [size for size in family.sizes if size.count("tree") and size.count("tape")]
    if not counted:
        return []
    first, last = counted[0], counted[-1]
    tree, tape = last.count("tree") or 0.0, last.count("tape") or 1.0
    law = growth(family, "tree")
    verb = "swell" if tree / tape >= SWOLLEN else "do not swell"
    starts = f"{plain(first.count('tree'))} operations"
    if first is not last:
        starts += f" at {family.place(first)} and {plain(tree)}"
    text = (
        f"with {family.axis}, expressions that are written out {verb}: value and gradient of {family.title} take "
        f"{starts} at {family.place(last)}, {_times(tree / tape)} times those of the reverse tape"
    )
    if law is not None:
        text += f"; they grow {law.words(family.axis)} ({law.rests})"
    return [text, *_shares(family, last, law, tree / tape)]


def _times(value: float) -> str:
    """A factor that may be huge."""
    return numbers.factor(value) if value < 1e6 else numbers.large(value)


def _shares(family: Family, last: Size, law: Growth | None, ratio: float) -> list[str]:
    """What sharing makes of that growth, and what it leaves beside reverse mode."""
    kind = "cse" if last.count("cse") else "dag"
    left, shared, reverse = last.count(kind), growth(family, "dag"), growth(family, "tape")
    tape = last.count("tape") or 1.0
    if left is None or shared is None:
        return []
    if law is not None and law.exponential:
        gone = "sharing does not take that away" if shared.exponential else "sharing takes the exponential away"
    elif ratio < SWOLLEN:
        gone = "there is little for sharing to take away"
    else:
        gone = f"sharing takes {'most' if left / tape < ratio / SWOLLEN else 'little'} of that away"
    distinct = f"{plain(last.count('dag'))} operations are distinct at {family.place(last)}, "
    distinct += f"growing {shared.words(family.axis)}"
    program = f", and {plain(left)} are left in the program" if kind == "cse" else ""
    grows = f", growing {reverse.words(family.axis)}" if reverse is not None else ""
    if left / tape >= LEFT:
        beside = f"sharing still leaves {_times(left / tape)} times as many"
    else:
        beside = f"sharing comes within a factor of {numbers.factor(left / tape)} of it"
    return [f"{gone}: {distinct}{program}; the reverse tape has {plain(tape)}{grows}, so {beside}"]


def _single(family: Family) -> str:
    size = family.sizes[0]
    if size.alone is None:
        return ""
    loss = plain(size.loss("tree"))
    return f"on {family.title} a loss of {loss} operations has a gradient of {plain(size.alone)} written out"


def _exact(found: Sequence[Family]) -> str:
    """How wrong the symbolic gradients are, and those of reverse mode."""
    points = [point for family in found for size in family.sizes for point in size.points.values()]
    symbolic = [p.case for p in points if p.way != "tape" and p.case.rel_error is not None]
    reverse = [p.case for p in points if p.way == "tape" and p.case.rel_error is not None]
    if not symbolic:
        return "no symbolic gradient could be held against a certified one"
    worst = max(case.rel_error or 0.0 for case in symbolic)
    wrong, count = [case for case in symbolic if not case.ok], numbers.counted(len(symbolic), "gradient")
    if wrong:
        some = f"{numbers.grouped(len(wrong))} of {count} {'are' if len(wrong) > 1 else 'is'}"
        text = f"symbolic differentiation is not exact here: {some} wrong, by up to "
    else:
        which = f"all {count} that came out" if len(symbolic) > 1 else "the one gradient that came out"
        text = f"symbolic differentiation is exact up to rounding in {which}: the worst relative error is "
    text += numbers.scaled(worst)
    if reverse:
        text += f" (reverse mode: {numbers.scaled(max(case.rel_error or 0.0 for case in reverse))})"
    return text


def _where_time_goes(found: Sequence[Family]) -> str:
    """The shares of the phases, over all cases that finished."""
    parts = []
    for way in ("tree", "shared"):
        points = [point for family in found for point in family.points(way) if point.finished]
        total = summed(points, lambda point: point.total)
        if not total:
            continue
        shares = _percents([summed(points, lambda point, p=phase: point.times[p]) / total for phase in PHASES])
        doing = ("building", "differentiating", "compiling", numbers.counted(points[0].evaluations, "evaluation"))
        listed = numbers.listed([f"{share} into {what}" for share, what in zip(shares, doing, strict=True)])
        parts.append(f"{WAYS[way]}, {listed.replace(' into', ' of the time goes into', 1)}")
    return "; ".join(parts)


def _percents(shares: Sequence[float]) -> list[str]:
    """Shares of a whole in whole per cent that add up to 100: those with the largest remainders are rounded up."""
    floors = [math.floor(100 * share) for share in shares]
    order = sorted(range(len(shares)), key=lambda k: floors[k] - 100 * shares[k])
    for k in order[: 100 - sum(floors)]:
        floors[k] += 1
    return [f"{floor} %" if floor else "less than 1 %" for floor in floors]


def _ends(found: Sequence[Family], whole: bool) -> str:
    """Where each way ends, with the forecast or the limit that ended it."""
    ways = [way for way in WAYS if any(family.points(way) for family in found)]
    ends = {way: [end for family in found if (end := _end(family, way))] for way in ways}
    where = "at every size" if whole else "at every size that was examined"
    if not any(ends.values()):
        return f"all of them finish {where}" if len(ways) > 1 else ""
    parts = [f"{_what(way)} ends {numbers.listed(own)}" for way, own in ends.items() if own]
    there = [_what(way) for way, own in ends.items() if not own]
    if there:
        parts.append(f"{numbers.listed(there)} {'finishes' if len(there) == 1 else 'finish'} {where}")
    return "; ".join(parts)


def _end(family: Family, way: str) -> str:
    """``at depth 6 (forecast 25.5 s)``: the first size at which a way did not finish, and why."""
    for size in family.sizes:
        case, point = family.case(size, way), size.points.get(way)
        if case is None or case.outcome == "interrupted" or (point is not None and point.finished):
            continue
        why, seconds = case.outcome_words, None if point is None else point.forecast.get("seconds")
        if seconds and case.outcome == "skipped_predicted":
            why = f"forecast {numbers.seconds(seconds)}"
        return f"at {family.place(size)} ({why})"
    return ""


def _what(way: str) -> str:
    return WAYS[way] if way == "tape" else f"{WAYS[way]} it"


def _beside(found: Sequence[Family]) -> str:
    """The three ways on the largest loss that all of them finished."""
    for family in found:
        size = family.last("tree", "shared", "tape")
        if size is None:
            continue
        points = [size.points[way] for way in WAYS]
        once = numbers.listed([f"{numbers.seconds(p.once)} {_how(p)}" for p in points])
        before = numbers.listed([numbers.seconds(p.before) for p in points])
        where = f"at {family.place(size)} of {family.title}" if family.axis else f"on {family.title}"
        largest = ", the largest that all finished," if family.axis else ""
        return f"{where}{largest} one gradient takes {once}, after {before} of preparing"
    return ""


def _how(point: Point) -> str:
    return "in reverse mode" if point.way == "tape" else WAYS[point.way]


# ------------------------------------------------------------------------------------------------ tables


def _growths(found: Sequence[Family]) -> Listing:
    """How every count grows."""
    columns = ("Operations", "Least", "Most", "Growth", "Last step", "Rests on", "Off by")
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
                    _count(known[0][1]),
                    _count(known[-1][1]),
                    Cell("" if law is None else _short(law, family.axis)),
                    Cell("" if step is None else f"{TIMES} {numbers.factor(step)}", step, numeric=True),
                    Cell("" if law is None else law.rests),
                    Cell("", None, True) if law is None else Cell(f"{numbers.factor(law.off)} {TIMES}", law.off, True),
                )
            )
    text = (
        "Operations of value and gradient together. The growth is that of the larger half of the sizes, as a factor "
        "for each unit of depth or width or as a power of it, whichever fits better; off by: the largest factor "
        "between that law and a count. Last step: the factor for each unit between the two largest sizes."
    )
    return Listing("growth", "How the operations grow", text, Table(columns, tuple(rows)))


def _short(law: Growth, axis: str) -> str:
    return f"{TIMES} {numbers.factor(law.factor)} per unit" if law.exponential else f"{axis}^{law.power:.2f}"


def _count(value: float | None) -> Cell:
    return Cell("" if value is None else plain(value), value, numeric=True)


def _counts(found: Sequence[Family]) -> Listing:
    """The loss beside its gradient, at every size at which expressions were made."""
    columns = ("Problem", "Loss written out", "Gradient written out", "Both as a graph", "Both after sharing",
               "Loss on the tape", "Both on the reverse tape", "Equations, loss", "Equations, both")  # fmt: skip
    rows = tuple(
        (
            Cell(family.title, under=family.place(size) if family.axis else ""),
            _count(size.loss("tree")), _count(size.alone), _count(size.count("dag")),
            _count(size.count("cse")), _count(size.loss("tape")), _count(size.count("tape")),
            _count(size.loss("equations")), _count(size.count("equations")),
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


def _method(found: Sequence[Family]) -> tuple[str, ...]:
    said = [
        "Building, differentiating and compiling are timed once, as they are needed once; an evaluation is the middle "
        "of five samples of at least 2 ms each. Operations of trees are counted on their graphs, each node once, so "
        "they are known also where the tree itself could not be written."
    ]
    if off := forecasts(found):
        said.append(
            f"The forecast of operations by which a case is refused was between {numbers.factor(min(off))} and "
            f"{numbers.factor(max(off))} times what was counted, over {numbers.counted(len(off), 'size')}."
        )
    return tuple(said)
