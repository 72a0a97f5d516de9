"""The page of a study of expression swell: how operations grow with depth and width, and where the time goes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import numbers
from ..answer import Answer
from ..cases import Case, groups
from ..kinds import Sections
from ..style import drawing
from . import examined, swell_charts
from . import swell_laue as laue
from .swell_growth import Growth, growth
from .swell_points import MODES, PHASES, WAYS, Family, Point, Size, families, forecasts, plain, read, summed
from .swell_tables import counts, growths

SWOLLEN = 10.0  # times the operations of the reverse tape, written out; below nobody would speak of swelling
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
    (
        "Each distinct part once",
        "Of the same expressions of SymPy every distinct subexpression counted once, however often it is used.",
    ),
    (
        "After sharing",
        "What is left after SymPy's search for common subexpressions (cse), which also finds common parts of sums and "
        "products; beyond 10 000 subexpressions only equal ones are shared.",
    ),
    (
        "Graph",
        "Expressions of the laboratory's own in which every distinct one stands once from the beginning, so that it is "
        "also differentiated once: by one symbol after the other, or by all of them at once from the root, the loss, "
        "down.",
    ),
    ("Forward mode", "All passes of its program, each of which computes the loss and a tangent of it for every lane."),
    ("Reverse tape", "The equations of value and gradient that reverse mode records, operation by operation."),
    ("Build", "To make expressions of the loss; in forward and reverse mode, to record its tape."),
    ("Differentiate", "To derive by every parameter; in both modes, to append the tangent or adjoint equations."),
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
    tables = tuple(one for one in (growths(found), laue.table(found), counts(found)) if one.table.rows)
    return Sections(
        _answer(found, cases), tuple(charts), tables=tables, glossary=GLOSSARY,
        method=_method(found),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ the answer


def _answer(found: Sequence[Family], cases: Sequence[Case]) -> Answer:
    said = [text for family in found if family.axis for text in _grows(family)]
    if not said:
        said = [_single(family) for family in found]
    said += laue.sentences(found)
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
        text += (
            f"; they grow {law.words(family.axis)} (95 % interval {law.interval}, over {law.rests}: of the fitted "
            "slope, as the counts are exact)"
        )
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
    """How wrong the symbolic gradients are, and those of both modes."""
    points = [point for family in found for size in family.sizes for point in size.points.values()]
    symbolic = [p.case for p in points if p.way not in MODES and p.case.rel_error is not None]
    modes = {
        WAYS[mode]: max(errors)
        for mode in MODES
        if (errors := [p.case.rel_error for p in points if p.way == mode and p.case.rel_error is not None])
    }
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
    if modes:
        text += f" ({', '.join(f'{mode}: {numbers.scaled(error)}' for mode, error in modes.items())})"
    return text


def _where_time_goes(found: Sequence[Family]) -> str:
    """The shares of the phases, over all cases that finished, of every symbolic way."""
    parts = []
    for way in (way for way in WAYS if way not in MODES):
        points = [point for family in found for point in family.points(way) if point.finished]
        total = summed(points, lambda point: point.total)
        if not total:
            continue
        shares = _percents([summed(points, lambda point, p=phase: point.times[p]) / total for phase in PHASES])
        if not parts:
            doing = ("building", "differentiating", "compiling", numbers.counted(points[0].evaluations, "evaluation"))
            shares = [f"{share} into {what}" for share, what in zip(shares, doing, strict=True)]
            parts.append(f"{WAYS[way]}, {numbers.listed(shares).replace(' into', ' of the time goes into', 1)}")
        else:
            parts.append(f"{WAYS[way]}, {numbers.listed(shares)}")
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
    if way in MODES:
        return WAYS[way]
    return f"the {WAYS[way]}" if way.startswith("graph") else f"{WAYS[way]} it"


def _beside(found: Sequence[Family]) -> str:
    """All ways on the largest loss that all of them finished."""
    there = [way for way in WAYS if any(family.points(way) for family in found)]
    for family in found:
        size = family.last(*there)
        if size is None or len(there) < 2:
            continue
        points = [size.points[way] for way in there]
        once = numbers.listed([f"{numbers.seconds(p.once)} {_how(p)}" for p in points])
        before = numbers.listed([numbers.seconds(p.before) for p in points])
        where = f"at {family.place(size)} of {family.title}" if family.axis else f"on {family.title}"
        largest = ", the largest that all finished," if family.axis else ""
        return f"{where}{largest} one gradient takes {once}, after {before} of preparing"
    return ""


def _how(point: Point) -> str:
    if point.way in MODES:
        return f"in {WAYS[point.way]}"
    return f"as a {WAYS[point.way]}" if point.way.startswith("graph") else WAYS[point.way]


def _method(found: Sequence[Family]) -> tuple[str, ...]:
    said = [
        "Building, differentiating and compiling are timed once, as they are needed once; an evaluation is the middle "
        "of five samples of at least 2 ms each. Operations of trees are counted on their graphs, each node once, so "
        "they are known also where the tree itself could not be written."
    ]
    if any(size.count("forward") for family in found for size in family.sizes):
        said.append(
            "Of forward mode the operations of every pass of its program are counted, each with the loss. Without "
            "zeros and ones, what multiplies with 0 or 1 or adds 0 at the numbers of the case is left out of both "
            "modes, and the loss is counted once."
        )
    if off := forecasts(found):
        said.append(
            f"The forecast of operations by which a case is refused was between {numbers.factor(min(off))} and "
            f"{numbers.factor(max(off))} times what was counted, over {numbers.counted(len(off), 'size')}."
        )
    return tuple(said)
