"""What a study of the cheap gradient answers: whether it holds, how the others grow, and the evaluations counted."""

from __future__ import annotations

from collections.abc import Sequence

from ...harness import statistics
from .. import numbers
from ..cases import Group, method
from . import cost_laws, timed
from . import ratio_panels as drawn
from .crossings import paired
from .exponents import BOUND, Fit, Growth, formula, line, threshold

GROWS = 0.2  # an exponent beyond which a price that should be constant is said to grow
WIDE = 10  # by which the numbers of parameters differ at least where anything is said of all of them


def sentences(found: Sequence[tuple[Group, list[Growth]]]) -> tuple[str, ...]:
    """The answer, sentence by sentence.

    Args:
        found: for each problem its cases and the growth of its backends.
    """
    every = [growth for _, own in found for growth in own]
    said = [_cheap(every), _by_hand(every), _others(found), _counted(every), _twice(every)]
    return tuple(f"{text[0].upper()}{text[1:]}." for text in said if text)


def _of(every: Sequence[Growth], family: str) -> list[Growth]:
    """The growths of the first backend of a family, one per problem."""
    own = [growth for growth in every if growth.family == family]
    return [growth for growth in own if growth.backend == own[0].backend]


def _range(own: Sequence[Growth]) -> str:
    """What a backend costs, problem by problem."""
    parts = []
    for growth in own:
        ends = [choose(growth.points, key=lambda point: point.ratio) for choose in (min, max)]
        told = [numbers.measured_factor(end.ratio, *timed.bounds(end.case), brackets=True) for end in ends]
        losses = "" if parts else " losses"
        parts.append(f"{' to '.join(dict.fromkeys(told))}{losses} on {growth.title}")
    return numbers.listed(parts)


def _cheap(every: Sequence[Growth]) -> str:
    """Whether a gradient by reverse mode is a small multiple of the loss, whatever n."""
    own = _of(every, "reverse")
    if not own:
        return "reverse mode gave no gradient, so nothing can be said about the cheap gradient"
    points = [point for growth in own for point in growth.points]
    least, most = min(point.n for point in points), max(point.n for point in points)
    text = f"a gradient by {_method(own[0])} costs {_range(own)}"
    text += f", for {timed.between(least, most, numbers.grouped)} parameters"
    parts = [
        f"{drawn.power(fit)} on {growth.title}{'' if growth.beyond else ' over all sizes'}"
        for growth in own if (fit := growth.fit)
    ]  # fmt: skip
    if parts:
        text += f". Its exponent is {numbers.listed(parts)}, where theory has 0"
    if most < WIDE * least:
        return f"{text}: too narrow a range of n to tell whether it is cheap whatever n"
    worst = max(points, key=lambda point: point.ratio)
    grows = [growth for growth in own if (fit := growth.fit) and fit.exponent > GROWS]
    if worst.ratio <= BOUND and not grows:
        return f"the cheap gradient holds: {text} and at most {BOUND:g} losses"
    if worst.ratio <= BOUND:
        where = numbers.listed([growth.title for growth in grows])
        return f"a gradient costs at most {BOUND:g} losses here, but its price grows with n on {where}: {text}"
    where = f"{numbers.factor(worst.ratio)} losses at {numbers.parameters(worst.n)}"
    if grows or not parts:
        return f"the cheap gradient does not hold: {text}; {where} are more than the {BOUND:g} of theory"
    return f"the gradient is no small multiple of the loss, but a constant one: {text}; {where} are more than {BOUND:g}"


def _by_hand(every: Sequence[Growth]) -> str:
    own = _of(every, "analytic")
    return f"derived by hand, it costs {_range(own)}" if own else ""


def _others(found: Sequence[tuple[Group, list[Growth]]]) -> str:
    """How the other backends grow on the problem that tells most of them, and from where on."""

    def telling(own: Sequence[Growth]) -> tuple[int, int]:
        others = [growth for growth in own if growth.theory == 1.0]
        return sum(growth.beyond is not None for growth in others), sum(growth.fit is not None for growth in others)

    group, own = max(found, key=lambda pair: telling(pair[1]))
    there = [growth for growth in own if growth.theory == 1.0 and growth.fit is not None]
    if not there:
        return ""
    title, first = there[0].title, numbers.parameters(threshold(group) or 0)
    wheres = {
        True: f"on {title} from {first} on, where more than half of the loss is arithmetic, the work ratio grows as ",
        False: f"over all sizes of {title}, the overhead of small ones included, the work ratio grows as ",
    }
    parts = []
    for where, words in wheres.items():
        powers = [f"{_fitted(one.fit)} for {_method(one)}" for one in there if (one.beyond is not None) is where]
        if powers:
            parts.append(words + numbers.listed(powers))
    off = max(abs(fit.exponent - 1.0) for growth in there if (fit := growth.fit))
    theory = f"theory has n^1 for {'all' if len(there) > 1 else 'it'}, and is off by {drawn.exponent(off)} at most"
    if elsewhere := [text for _, others in found if others is not own and (text := _range_of_powers(others))]:
        theory += f" there; elsewhere the work ratios of such ways grow as {numbers.listed(elsewhere)}"
    return "; ".join([*parts, theory])


def _range_of_powers(own: Sequence[Growth]) -> str:
    """The exponents on one problem of what theory says grows as n, from the least to the largest."""
    fits = [fit for growth in own if growth.theory == 1.0 and (fit := growth.fit)]
    if not fits:
        return ""
    powers = [fit.exponent for fit in fits]
    ends = timed.between(min(powers), max(powers), lambda power: f"n^{drawn.exponent(power)}")
    whole = any(growth.beyond is None for growth in own if growth.theory == 1.0 and growth.fit)
    return f"{ends} on {own[0].title}{' over all sizes' if whole else ''}"


def _method(growth: Growth) -> str:
    return method(growth.points[0].case)


def _fitted(fit: Fit | None) -> str:
    return "" if fit is None else f"n^{drawn.power(fit)}"


def _counted(every: Sequence[Growth]) -> str:
    """How many evaluations each backend counted, as a formula where one holds at every size."""
    parts, odd = [], []
    for name in dict.fromkeys(growth.backend for growth in every):
        if (found := _counts(every, name)) is not None:
            parts.append(f"{name} {formula(found)}")
        elif len(own := _pairs(every, name)) > 1:
            rates = sorted(count / n for n, count in own)
            odd.append(f"{name} {timed.between(rates[0], rates[-1])} per parameter")
    text = f"evaluations counted at every size: {numbers.listed(parts)}" if parts else ""
    if odd:
        text += f"; {numbers.listed(odd)}" if text else f"evaluations counted: {numbers.listed(odd)}"
    law = cost_laws.sentence(every)
    return f"{text}; {law}" if text and law else text


def _pairs(every: Sequence[Growth], name: str) -> list[tuple[int, int]]:
    own = [point for growth in every if growth.backend == name for point in growth.points]
    return [(point.n, int(point.case.primal_calls)) for point in own if point.case.primal_calls]


def _counts(every: Sequence[Growth], name: str) -> tuple[int, int] | None:
    """The formula of a backend over all problems."""
    return line(_pairs(every, name))


def _twice(every: Sequence[Growth]) -> str:
    """2n evaluations against n, in time: quotients of two evaluations for each parameter against those of one."""
    names = list(dict.fromkeys(growth.backend for growth in every if growth.family == "finite"))
    rates = {name: found[0] for name in names if (found := _counts(every, name)) is not None}
    more = next((name for name in names if rates.get(name) == 2), None)
    less = next((name for name in names if rates.get(name) == 1), None)
    if more is None or less is None:
        return ""
    own = {(growth.title, point.n): point for growth in every if growth.backend == less for point in growth.points}
    ratios = sorted(
        statistics.median(times) if (times := paired(point.case, own[place].case)) else point.ratio / own[place].ratio
        for growth in every if growth.backend == more
        for point in growth.points if (place := (growth.title, point.n)) in own
    )  # fmt: skip
    if not ratios:
        return ""
    ends = timed.between(ratios[0], ratios[-1])
    middle = ""
    if len(ratios) > 2 and " to " in ends:
        middle = f", {numbers.factor(statistics.median(ratios))} in the middle of the sizes,"
    return f"the 2n evaluations of {more} take {ends} times{middle} as long as the n of {less}"
