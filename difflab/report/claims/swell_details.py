"""What stands beside the charts of expression swell: the growth of every problem, and where the time goes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import numbers
from .swell_growth import Growth, growth
from .swell_points import MODES, PHASES, WAYS, Family, Point, Size, plain

SWOLLEN = 10.0  # times the operations of the reverse tape, written out; below nobody would speak of swelling
LEFT = 3.0  # times the operations of the reverse tape that sharing leaves; below it is as good


def ends_of(family: Family) -> tuple[Size, Size] | None:
    """The least and the largest size whose tree and tape were counted; the same where there is one."""
    counted = [size for size in family.sizes if size.count("tree") and size.count("tape")]
    return (counted[0], counted[-1]) if counted else None


def starts(family: Family) -> str:
    """``576 operations at depth 1 and 31.2 million at depth 8``, written out."""
    first, last = ends_of(family) or (family.sizes[0], family.sizes[-1])
    text = f"{plain(first.count('tree'))} operations at {family.place(first)}"
    return text if first is last else f"{text} and {plain(last.count('tree'))} at {family.place(last)}"


def swollen(size: Size) -> float:
    """The operations of a tree over those of the reverse tape."""
    return (size.count("tree") or 0.0) / (size.count("tape") or 1.0)


def gone(family: Family, last: Size, shared: Growth) -> str:
    """What sharing makes of the growth: takes it away, most of it, little of it, or has little to take."""
    law, ratio, tape = growth(family, "tree"), swollen(last), last.count("tape") or 1.0
    if law is not None and law.exponential:
        return "sharing does not take that away" if shared.exponential else "sharing takes the exponential away"
    if ratio < SWOLLEN:
        return "there is little for sharing to take away"
    left = last.count(left_by(last)) or 0.0
    return f"sharing takes {'most' if left / tape < ratio / SWOLLEN else 'little'} of that away"


def sharing(family: Family, last: Size) -> Growth | None:
    """How what sharing leaves grows, or the distinct operations where too few programs were made."""
    return growth(family, left_by(last)) or growth(family, "dag")


def left_by(size: Size) -> str:
    """The count of what sharing leaves: that of the program where it was made."""
    return "cse" if size.count("cse") else "dag"


def grows(family: Family) -> list[str]:
    """How the operations of one problem grow, written out and shared, beside reverse mode.

    Args:
        family: a problem that varies along an axis.
    """
    ends = ends_of(family)
    if ends is None:
        return []
    last, law = ends[1], growth(family, "tree")
    verb = "swell" if swollen(last) >= SWOLLEN else "do not swell"
    text = (
        f"with {family.axis}, expressions that are written out {verb}: value and gradient of {family.title} take "
        f"{starts(family)}, {factor(swollen(last))} times those of the reverse tape"
    )
    if law is not None:
        text += (
            f"; they grow {law.words(family.axis)} (95 % interval {law.interval}, over {law.rests}: of the fitted "
            "slope, as the counts are exact)"
        )
    return [text, *_shares(family, last)]


def factor(value: float) -> str:
    """A factor that may be huge."""
    return numbers.factor(value) if value < 1e6 else numbers.large(value)


def _shares(family: Family, last: Size) -> list[str]:
    """What sharing makes of that growth, and what it leaves beside reverse mode."""
    kind = left_by(last)
    left, shared, reverse = last.count(kind), growth(family, "dag"), growth(family, "tape")
    tape = last.count("tape") or 1.0
    if left is None or shared is None:
        return []
    distinct = f"{plain(last.count('dag'))} operations are distinct at {family.place(last)}, "
    distinct += f"growing {shared.words(family.axis)}"
    program = f", and {plain(left)} are left in the program" if kind == "cse" else ""
    rival = f", growing {reverse.words(family.axis)}" if reverse is not None else ""
    if left / tape >= LEFT:
        beside = f"sharing still leaves {factor(left / tape)} times as many"
    else:
        beside = f"sharing comes within a factor of {numbers.factor(left / tape)} of it"
    made = gone(family, last, sharing(family, last) or shared)
    return [f"{made}: {distinct}{program}; the reverse tape has {plain(tape)}{rival}, so {beside}"]


def place_of_all(found: Sequence[Family]) -> tuple[str, str, list[Point]] | None:
    """The largest loss that all ways finished: how it is named, what kind of place it is, its cases by way."""
    there = [way for way in WAYS if any(family.points(way) for family in found)]
    for family in found:
        size = family.last(*there)
        if size is not None:
            where = f"at {family.place(size)} of {family.title}" if family.axis else f"on {family.title}"
            which = "all finished" if len(there) > 1 else "finished"
            largest = f", the largest that {which}" if family.axis else ""
            return where, largest, [size.points[way] for way in there]
    return None


def where_time_goes(found: Sequence[Family]) -> str:
    """The shares of the phases of every symbolic way, on the largest loss that all ways finished.

    Args:
        found: the problems.
    """
    place = place_of_all(found)
    parts = []
    for point in place[2] if place else ():
        if point.way in MODES or not point.total:
            continue
        shares = percents([point.times[phase] / point.total for phase in PHASES])
        if not parts:
            doing = ("building", "differentiating", "compiling", numbers.counted(point.evaluations, "evaluation"))
            shares = [f"{share} into {what}" for share, what in zip(shares, doing, strict=True)]
            parts.append(f"{WAYS[point.way]}, {numbers.listed(shares).replace(' into', ' of the time goes into', 1)}")
        else:
            parts.append(f"{WAYS[point.way]}, {numbers.listed(shares)}")
    return f"{place[0]}{place[1]}: {'; '.join(parts)}" if place and parts else ""


def percents(shares: Sequence[float]) -> list[str]:
    """Shares of a whole in whole per cent that add up to 100: those with the largest remainders are rounded up.

    Args:
        shares: of 1.
    """
    floors = [math.floor(100 * share) for share in shares]
    order = sorted(range(len(shares)), key=lambda k: floors[k] - 100 * shares[k])
    for k in order[: 100 - sum(floors)]:
        floors[k] += 1
    return [f"{floor} %" if floor else "less than 1 %" for floor in floors]


def beside(found: Sequence[Family]) -> str:
    """All ways on the largest loss that all of them finished.

    Args:
        found: the problems.
    """
    place = place_of_all(found)
    if place is None or len(place[2]) < 2:
        return ""
    where, largest, points = place
    once = numbers.listed([f"{numbers.seconds(p.once)} {_how(p)}" for p in points])
    before = numbers.listed([numbers.seconds(p.before) for p in points])
    return f"{where}{largest}{',' if largest else ''} one gradient takes {once}, after {before} of preparing"


def exact(found: Sequence[Family], *, full: bool = False) -> str:
    """How wrong the symbolic gradients are; in ``full`` also those of both modes.

    Args:
        found: the problems.
        full: whether to tell of the modes.
    """
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
        text = f"symbolic differentiation is exact up to rounding in {which}, worst relative error "
    text += numbers.scaled(worst)
    if modes and full:
        text += f" ({', '.join(f'{mode}: {numbers.scaled(error)}' for mode, error in modes.items())})"
    return text


def endings(found: Sequence[Family]) -> tuple[list[str], dict[str, list[str]]]:
    """The ways of a run, and where those that did not finish everywhere end.

    Args:
        found: the problems.
    """
    ways = [way for way in WAYS if any(family.points(way) for family in found)]
    ends = {way: [end for family in found if (end := _end(family, way))] for way in ways}
    return ways, {way: own for way, own in ends.items() if own}


def finishing(found: Sequence[Family]) -> str:
    """Which ways finished every size, where others did not.

    Args:
        found: the problems.
    """
    ways, ends = endings(found)
    there = [
        WAYS[way] if way in MODES or way in ("tree", "shared") else f"the {WAYS[way]}"
        for way in ways
        if way not in ends
    ]
    return f"at every size there are times of {numbers.listed(there)}" if ends and there else ""


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


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def _how(point: Point) -> str:
    if point.way in MODES:
        return f"in {WAYS[point.way]}"
    return f"as a {WAYS[point.way]}" if point.way.startswith("graph") else WAYS[point.way]
