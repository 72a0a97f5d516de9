"""From a wrong gradient to what is wrong with it: every explanation tried in turn, each verified before it is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..calls import bind
from ..errors import DifflabError
from ..flat import Function
from .answer import listed
from .case import Case, Explanation, Point
from .closures import captured, same_data, substitutions
from .constants import Constants, shown
from .factors import constant_factors, exchanged, moves, parts, sums, zeros
from .mutations import SECONDS, Search
from .places import Places
from .precision import imprecise
from .record import Finding
from .regularisers import regularisers, scaled
from .subject import Subject
from .sweep import Rule, Sweep, wide, widened

# What one wrong rule on the tape can do to blocks.
LOCATED = frozenset({"factor", "zeros", "regulariser", "shape"})


def diagnose(subject: Subject, case: Case) -> list[Finding]:
    """Findings, the best explanation first; the last one says so if nothing explains a block."""
    stale, sure = _stale(subject, case)
    if sure:
        case.explained |= set(case.wrong)
        return stale
    constants = subject.constants()
    simple: list[Explanation] = []
    for slips in (
        lambda: zeros(case),
        lambda: exchanged(case),
        lambda: constant_factors(case, constants),
        lambda: moves(case, constants),
        lambda: sums(case),
        lambda: regularisers(case),
    ):
        found = slips()
        case.explain(found)
        simple += found
    findings = _sorted(simple)
    stopped = False
    places = subject.places() if not stale and _worth_a_search(case, simple) else None
    if places is not None:
        located, stopped = _search(case, places, constants, simple, time.monotonic() + SECONDS)
        findings = _merged(simple, located)
        findings += _besides(case, places, constants, simple)
    if stale:
        findings += stale
        case.explained |= set(case.wrong)
    for slips in (scaled, parts):
        findings += case.explain(slips(case, constants))
    findings += imprecise(case, subject.call)
    if stopped:
        findings.append(Finding("search", f"The search for a wrong equation was stopped after {SECONDS:g} s."))
    # Of what has another shape there is a finding of form.
    if left := [k for k in case.left() if k in case.shaped]:
        names, singular = case.subject(left)
        verb = "is" if singular else "are"
        sentence = f"No usual slip explains {names.replace('Every', 'every')}, which {verb} wrong."
        findings.append(Finding("unknown", sentence, listed([case.names[k] for k in left])))
    return findings


def _besides(case: Case, places: Places, constants: Constants, simple: Sequence[Explanation]) -> list[Finding]:
    """Where several blocks have one constant: what is wrong with the rest once it is divided by that constant."""
    common = max(
        (one for one in simple if one.finding.kind == "factor" and len(one.covers) > 1 and one.finding.factor),
        key=lambda one: len(one.covers),
        default=None,
    )
    left = [k for k in case.left() if k in case.shaped]
    if common is None or not left or common.finding.factor is None:
        return []
    factor = common.finding.factor
    rest = replace(
        case,
        points=[replace(point, given=[part / factor for part in point.given]) for point in case.points],
        wrong=[k for k in case.wrong if k not in common.covers],
        explained={k for k in case.wrong if k not in left},
    )
    found = [*regularisers(rest)]
    rest.explain(found)
    if remaining := rest.left():
        search = Search(rest, places, constants, remaining, time.monotonic() + SECONDS)
        found += search.run()[:1]
    case.explain(found)
    beyond = f"Besides the factor {shown(factor)}: "
    return [replace(one.finding, sentence=f"{beyond}{one.finding.sentence}") for one in found]


def _merged(simple: Sequence[Explanation], located: Sequence[Explanation]) -> list[Finding]:
    """What a slip on the tape explains as well is not said of the blocks once more."""
    if not located:
        return _sorted(simple)
    first = located[0]
    same = [
        one
        for one in simple
        if one.covers <= first.covers and one.finding.kind in ("factor", "zeros")
        and (one.finding.factor == first.finding.factor or one.finding.kind == "zeros")
    ]  # fmt: skip
    if len(same) == 1 == len(simple) and same[0].covers == first.covers:
        return [same[0].finding, *[one.finding for one in located]]
    rest = [one for one in simple if one not in same]
    if len(rest) == 1 == len(simple) and rest[0].covers == first.covers:
        return [rest[0].finding, *[one.finding for one in located]]
    return [*[one.finding for one in located], *_sorted(rest)]


def _sorted(found: Sequence[Explanation]) -> list[Finding]:
    return [one.finding for one in sorted(found, key=lambda one: (-len(one.covers), one.rank))]


# ---------------------------------------------------------------------------- the tape


def _worth_a_search(case: Case, simple: Sequence[Explanation]) -> bool:
    """Unless every block is off by one constant, or each is explained in a way that no single equation can cause."""
    if any(k in case.shaped for k in case.left()):
        return True
    if not simple or any(one.finding.kind not in LOCATED for one in simple):
        return False
    if len(simple) > 1 or simple[0].finding.kind in ("regulariser", "shape"):
        return True
    # One constant for one block or for all says everything; for some blocks the tape says where it comes from.
    return 1 < len(simple[0].covers) < len(case.names)


def _search(
    case: Case, places: Places, constants: Constants, simple: Sequence[Explanation], deadline: float
) -> tuple[list[Explanation], bool]:
    """One slip for all wrong blocks; failing that one for those without explanation; failing that block by block."""
    possible = [k for k in case.wrong if k in case.shaped and (k in case.left() or _located(simple, k))]
    left = [k for k in case.left() if k in case.shaped]
    stopped = False
    for blocks in dict.fromkeys((tuple(possible), tuple(left))):
        if not blocks:
            continue
        search = Search(case, places, constants, list(blocks), deadline)
        found = search.run()
        stopped |= search.stopped
        if found:
            case.explain(found[:2])
            return found[:2], stopped
    if len(left) < 2 or stopped:
        return [], stopped
    return _one_by_one(case, places, constants, left, deadline)


def _one_by_one(
    case: Case, places: Places, constants: Constants, left: list[int], deadline: float
) -> tuple[list[Explanation], bool]:
    """Several slips: from the loss backwards, each on top of those that were found before it."""
    found: list[Explanation] = []
    base: dict[int, Rule] = {}
    stopped = False
    for k in sorted(left, key=lambda k: -_first_use(case, k)):
        if k in case.explained:
            continue
        search = Search(case, places, constants, [k], deadline, base)
        one = search.run()[:1]
        stopped |= search.stopped
        if one:
            rules = one[0].rules
            also = search.covered(rules, [j for j in left if j not in case.explained])
            one = Search(case, places, constants, also, deadline, base).run()[:1] or one
            case.explain(one)
            found += one
            base = {**base, **rules}
    return found, stopped


def _first_use(case: Case, k: int) -> int:
    """Where the tape first reads a block: blocks that it reads late are near the loss."""
    sweep = case.points[0].sweep
    assert sweep is not None
    number = sweep.wrt[k]
    uses = (at for at, equation in enumerate(sweep.tape.equations) if number in equation.inputs)
    return min(uses, default=-1)


def _located(simple: Sequence[Explanation], k: int) -> bool:
    return any(k in one.covers and one.finding.kind in LOCATED for one in simple)


# ---------------------------------------------------------------------------- stale variables


def _stale(subject: Subject, case: Case) -> tuple[list[Finding], bool]:
    """The gradient is the true one of the loss with another value of a variable; whether that one has the same name."""
    usable = [k for k in case.wrong if k not in case.explained]
    if not usable or any(k not in case.shaped for k in usable):
        return [], False
    for one in substitutions(subject.loss, subject.gradient):
        if _matches(case, [_truth_of(subject, one.loss, point) for point in case.points]):
            names = ", ".join(f"`{name}`" for name in one.names)
            sentence = f"A stale closure: {one.words}; with the gradient's {names} the loss has exactly this gradient."
            return [Finding("closure", sentence)], one.sure
    found = _stale_argument(subject, case)
    return found, bool(found)


def _stale_argument(subject: Subject, case: Case) -> list[Finding]:
    """The gradient uses a variable that it closes over in place of an argument."""
    if case.points[0].sweep is None:
        return []
    for name, held in captured(subject.gradient).items():
        for position, leaf in enumerate(subject.bound.leaves):
            if not isinstance(held, np.ndarray | float) or np.shape(held) != np.shape(leaf) or same_data(held, leaf):
                continue
            truths = [
                _swept(point, [held if i == position else one for i, one in enumerate(point.leaves)], subject.bound.wrt)
                for point in case.points
            ]
            if _matches(case, truths):
                argument = case.leaf_names[position]
                words = (
                    f"A stale closure: the gradient does not use its argument {argument} but a variable `{name}`, "
                    f"which holds something else; with that in place of {argument} the loss has exactly this gradient."
                )
                return [Finding("closure", words)]
    return []


def _swept(point: Point, leaves: Sequence[Any], wrt: Sequence[int]) -> list[np.ndarray] | None:
    assert point.sweep is not None
    return Sweep(point.sweep.tape, leaves, wrt).truth


def _truth_of(subject: Subject, loss: Callable, point: Point) -> list[np.ndarray] | None:
    """The gradient of a changed loss by its own tape; ``None`` where it has none."""
    args, kwargs = subject.bound.rebuild(subject.bound.plain(point.leaves))
    try:
        bound = bind(loss, args, kwargs, subject.argnums)
        tape = Function(loss, bound).trace()
        return [wide(one) for one in Sweep(widened(tape), bound.leaves, bound.wrt).truth]
    except (DifflabError, ValueError, TypeError, IndexError, KeyError, ArithmeticError):
        return None  # a value that does not fit there


def _matches(case: Case, truths: Sequence[list[np.ndarray] | None]) -> bool:
    for number, (point, found) in enumerate(zip(case.points, truths, strict=True)):
        if found is None:
            return False
        for k in range(len(case.names)):
            if k in case.explained:
                continue
            if not case.near(k, found[k], point.given[k]):
                return False
            if number == 0 and k in case.wrong and not case.fits(k, found[k], point):
                return False
    return True
