"""What a study of the crossover answers: where the modes cross, what the wrong choice costs, and the passes counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import numbers
from ..cases import METHODS, Case
from . import timed
from .crossings import PASSES, Crossing, Diagonal, Duel, Point, Shape, unshaped


def sentences(found: Sequence[Diagonal]) -> tuple[str, ...]:
    """The answer, sentence by sentence.

    Args:
        found: the diagonals of a run, at least one of them with a case that was timed.
    """
    said = [_where(found), _ends(found), _counted(found), *_growth(found)]
    return tuple(f"{text[0].upper()}{text[1:]}." for text in said if text)


def _where(found: Sequence[Diagonal]) -> str:
    """Where the first backends of both modes cross, and how far from theory."""
    pairs = [(one, one.duels[0]) for one in found if one.duels and len(one.duels[0].points) > 1]
    if not pairs:
        return "forward and reverse mode were not both timed at two shapes or more, so no crossing can be told"
    there = [(one, place) for one, duel in pairs if (place := duel.crossing) and place.expected]
    back = [one for one, duel in pairs if (place := duel.crossing) and not place.expected]
    parts = []
    if there:
        places = [f"{_place(place, not k)}{_with(one, pairs)}" for k, (one, place) in enumerate(there)]
        parts.append(f"forward and reverse mode cross at {numbers.listed(places)}")
        parts.append(_distance([place for _, place in there]))
    if back:
        whose = numbers.listed([_with(one, pairs) for one in back]).replace("  ", " ")
        quicker = "forward mode is the quicker where inputs outnumber outputs"
        parts.append(f"the curves cross the wrong way round{whose}: {quicker}")
    parts += [_apart(duel, _with(one, pairs)) for one, duel in pairs if duel.crossing is None]
    return "; ".join(parts)


def _with(one: Diagonal, pairs: Sequence[tuple[Diagonal, Duel]]) -> str:
    """Which Jacobians are meant, where there are several."""
    if len(pairs) < 2:
        return ""
    entries = numbers.counted(one.entries, "entry", "entries")
    several = len({other.title for other, _ in pairs}) > 1
    return f" for {one.title} with {entries}" if several else f" for Jacobians of {entries}"


def _place(found: Crossing, first: bool) -> str:
    ends = bounds(found)
    unit = " outputs per input" if first else ""
    notes = [f"the middle of {found.times} crossings"] if found.times > 1 else []
    notes += [f"95 % interval {ends}"] if ends else []
    return f"{numbers.factor(found.at)}{unit}{f' ({numbers.listed(notes)})' if notes else ''}"


def bounds(found: Crossing) -> str:
    """The interval of a crossing; its ends may lie beyond the shapes that were measured."""
    if found.low is None or found.high is None:
        return ""
    low = "less than the least measured" if found.low == 0 else numbers.factor(found.low)
    high = "more than the most measured" if math.isinf(found.high) else numbers.factor(found.high)
    return f"{low} to {high}"


def _distance(places: Sequence[Crossing]) -> str:
    off = max(place.off for place in places)
    text = f"theory has them cross at 1, {'at most ' if len(places) > 1 else ''}a factor of {numbers.factor(off)} away"
    known = [place for place in places if place.low is not None and place.high is not None]
    if len(known) < len(places):
        return text
    inside = sum((place.low or 0.0) <= 1 <= (place.high or math.inf) for place in known)
    which = "the interval" if len(known) == 1 else f"{inside} of {len(known)} intervals"
    return f"{text} and {'inside' if len(known) > 1 or inside else 'outside'} {which}"


def _apart(duel: Duel, which: str) -> str:
    ratios = [point.ratio for point in duel.points]
    quicker = "reverse" if ratios[0] > 1 else "forward"
    factors = sorted(ratios if ratios[0] > 1 else [1 / ratio for ratio in ratios])
    quick = f"{METHODS[quicker]} is {timed.between(factors[0], factors[-1])} times as quick"
    ends = f"from {duel.points[0].shape.size} to {duel.points[-1].shape.size}"
    return f"forward and reverse mode do not cross{which}: {quick} at every shape {ends}"


def _ends(found: Sequence[Diagonal]) -> str:
    """What the slower mode costs at the outermost shapes, as a multiple of the other's time."""
    costs: dict[str, list[str]] = {}
    for one in found:
        points = one.duels[0].points if one.duels else ()
        for point in (points[0], points[-1]) if len(points) > 1 else ():
            slower, quicker = ("forward", "reverse") if point.ratio > 1 else ("reverse", "forward")
            passes = numbers.counted(PASSES[slower](point.shape), "pass", "passes")
            passes += f" against {numbers.grouped(PASSES[quicker](point.shape))}"
            factor = _factor(point)
            long = " times as long" if slower not in costs else ""
            told = f"{factor}{long} at {point.shape.size} ({passes})"
            costs.setdefault(slower, []).append(told)
    parts = [f"{METHODS[slower]} takes {numbers.listed(told)}" for slower, told in costs.items()]
    return f"where the other mode is the better choice, {' and '.join(parts)}" if parts else ""


def _factor(point: Point) -> str:
    """How many times as long the slower mode takes, with its interval."""
    if point.low is None or point.high is None:
        return numbers.factor(max(point.ratio, 1 / point.ratio))
    sign = 1 if point.ratio > 1 else -1
    return numbers.measured_factor(point.ratio**sign, point.low**sign, point.high**sign, brackets=True)


def _counted(found: Sequence[Diagonal]) -> str:
    """Whether the passes that were counted are those of theory."""
    right, wrong = set[str](), list[str]()
    for one in found:
        for name in one.backends:
            family = one.family(name)
            for shape, case in one.cases(name) if family in PASSES else ():
                if case.primal_calls is None:
                    continue
                if case.primal_calls == (theory := PASSES[family](shape)):
                    right.add(family)
                else:
                    made = numbers.counted(int(case.primal_calls), "pass", "passes")
                    wrong.append(f"{name} at {shape.size} {made} instead of {numbers.grouped(theory)}")
    if wrong:
        rest = len(wrong) - timed.MOST_NAMED
        more = [f"{numbers.grouped(rest)} more"] if rest > 0 else []
        return f"the passes are not those of theory: {numbers.listed([*wrong[: timed.MOST_NAMED], *more])}"
    made = {"forward": "forward mode made a pass for each input", "reverse": "reverse mode one for each output"}
    if right == {"reverse"}:
        made["reverse"] = "reverse mode made a pass for each output"
    told = " and ".join(made[family] for family in PASSES if family in right)
    return f"counted, {told}, at every shape" if told else ""


def _growth(found: Sequence[Diagonal]) -> list[str]:
    """By how much the time of each backend of the two modes grows from its fewest passes to its most."""
    one = found[-1]
    parts: dict[tuple[int, int], list[str]] = {}
    for name in one.backends:
        ends = sorted((PASSES[one.family(name)](shape), case) for shape, case in _modes(one, name))
        if len(ends) > 1 and ends[0][0] < ends[-1][0]:
            (few, first), (many, last) = ends[0], ends[-1]
            factor = (last.work_ratio or 0.0) / (first.work_ratio or 1.0)
            parts.setdefault((few, many), []).append(f"{numbers.factor(factor)} for {name}")
    return [
        f"from {numbers.counted(few, 'pass', 'passes')} to {numbers.grouped(many)} the work ratio is multiplied by "
        f"{numbers.listed(told)}, where passes that cost the same each would multiply it by "
        f"{numbers.factor(many / few) if many % few else numbers.grouped(many / few)}"
        for (few, many), told in parts.items()
    ]


def _modes(one: Diagonal, name: str) -> list[tuple[Shape, Case]]:
    """The cases of a backend of one of the two modes that have a work ratio."""
    return [pair for pair in one.cases(name) if pair[1].work_ratio] if one.family(name) in PASSES else []


def caveats(cases: Sequence[Case], found: Sequence[Diagonal]) -> tuple[str, ...]:
    """What the answer does not rest on.

    Args:
        cases: all rows of a run.
        found: their diagonals.
    """
    said = list(timed.caveats(cases))
    if places := unshaped([case for case in cases if case.ok]):
        said.append(f"Left out, for nobody knows their inputs and outputs: {numbers.listed(places)}.")
    if single := [one.shapes[0].size for one in found if len(one.shapes) == 1 and len(found) > 1]:
        said.append(f"Not drawn, for no other shape has as many entries: {numbers.listed(single)}.")
    return tuple(said)
