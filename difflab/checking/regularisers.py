"""Forgotten and superfluous regularisers: what is wrong is a multiple of the parameters, or of their signs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .answer import listed
from .case import Case, Explanation, Point, largest, ratio
from .constants import Constants, round_off, shown
from .record import Finding

Shape = Callable[[np.ndarray], np.ndarray]


def _unit(w: np.ndarray) -> np.ndarray:
    size = float(np.sqrt(np.sum(np.abs(w) ** 2)))
    return w / size if size else np.zeros_like(w)


CORNERED = "{c} * sum(|w|)"
# The derivative's form, and the term it comes from, where {c} is the constant in front.
TERMS: tuple[tuple[Shape, float, str], ...] = (
    (lambda w: w, 0.5, "{c} * sum(w**2)"),
    (np.sign, 1.0, CORNERED),
    (np.ones_like, 1.0, "{c} * sum(w)"),
    (_unit, 1.0, "{c} * norm(w)"),
)


def regularisers(case: Case) -> list[Explanation]:
    """Blocks whose error is a constant times a regulariser's derivative, those with one constant together."""
    groups: dict[tuple[int, str], tuple[float, list[int]]] = {}
    for k in case.left():
        if k not in case.shaped:
            continue
        for number, (form, share, _) in enumerate(TERMS):
            factor = _constant(case, k, form)
            if factor is not None:
                known = groups.setdefault((number, f"{share * factor:.6g}"), (factor, []))
                known[1].append(k)
                break
    return [_explanation(case, number, factor, blocks) for (number, _), (factor, blocks) in groups.items()]


def _constant(case: Case, k: int, form: Shape) -> float | None:
    """The constant c for which given = true + c * form(w) holds at every point."""

    def term(point: Point) -> np.ndarray:
        return form(np.asarray(point.leaves[case.variables[k]]).astype(point.true[k].dtype))

    first = case.points[0]
    error = first.given[k] - first.true[k]
    factor = ratio(error, term(first))
    if (
        factor is None
        or not case.telling(k, math.nan)
        or not case.confirmed(k, lambda point: point.true[k] + factor * term(point))
    ):
        return None
    moved = [largest(point.given[k] - point.true[k] - factor * term(point)) for point in case.points]
    return factor if max(moved) <= 1e-3 * largest(error) else None


def _one_sign(case: Case, k: int) -> bool:
    """Whether a block has entries of one sign only, for which the slope of |w| is a constant."""
    return (
        len({float(sign) for point in case.points for sign in np.ravel(np.sign(point.leaves[case.variables[k]]))}) < 2
    )


def scaled(case: Case, constants: Constants) -> list[Explanation]:
    """Blocks that are off by a constant and a regulariser at once."""
    return [one for k in case.left() if k in case.shaped and (one := _scaled(case, constants, k)) is not None]


def _scaled(case: Case, constants: Constants, k: int) -> Explanation | None:
    first = case.points[0]
    if len(case.points) < 2 or first.true[k].size <= 2:
        return None
    for form, share, text in TERMS[:2]:

        def term(point: Point, form=form) -> np.ndarray:
            return form(np.asarray(point.leaves[case.variables[k]]).astype(point.true[k].dtype))

        both = np.stack([np.ravel(first.true[k]), np.ravel(term(first))], axis=1)
        factor, rest = (float(one) for one in np.real(np.linalg.lstsq(both, np.ravel(first.given[k]))[0]))

        def predicted(point: Point, term=term, factor=factor, rest=rest) -> np.ndarray:
            return factor * point.true[k] + rest * term(point)

        # Two constants fit more than one: the factor has to be one that means something.
        names = constants.named(factor, case.slack[k])
        if not (names or abs(factor + 1) <= 1e-6) or not case.confirmed(k, predicted):
            continue
        size = share * rest / factor
        lacks = "lacks" if size < 0 else "has too much"
        reading = f": {names[0]}" if names else ""
        sentence = (
            f"{case.names[k]} is {shown(factor)} times the true gradient{reading}; and besides it {lacks} the share "
            f"of a regulariser, {text.format(c=f'{abs(size):.6g}')} (w: the block)."
        )
        return Explanation(Finding("regulariser", sentence, case.names[k], round_off(factor)), frozenset([k]), 2)
    return None


def _explanation(case: Case, number: int, factor: float, blocks: list[int]) -> Explanation:
    _, share, text = TERMS[number]
    term = text.format(c=f"{share * abs(factor):.6g}")
    who, singular = case.subject(blocks)
    if factor < 0:
        verb = "lacks" if singular else "lack"
        what = f"{who} {verb} the share of a regulariser: as if the term {term} were forgotten"
    else:
        verb = "has" if singular else "have"
        what = f"{who} {verb} the share of a regulariser too much: as if {term} were in the loss"
    if text == CORNERED and all(_one_sign(case, k) for k in blocks):
        what += ", or a constant in every entry"
    names = [case.names[k] for k in blocks]
    finding = Finding("regulariser", f"{what} (w: the block).", listed(names), round_off(factor))
    return Explanation(finding, frozenset(blocks), 1)
