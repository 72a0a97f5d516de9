"""Forgotten and superfluous regularisers: what is wrong is a multiple of the parameters, or of their signs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .answer import listed
from .case import Case, Explanation, Point, largest, ratio
from .constants import round_off
from .record import Finding

Shape = Callable[[np.ndarray], np.ndarray]


def _unit(w: np.ndarray) -> np.ndarray:
    size = float(np.sqrt(np.sum(np.abs(w) ** 2)))
    return w / size if size else np.zeros_like(w)


# The derivative's form, and the term it comes from, where {c} is the constant in front.
TERMS: tuple[tuple[Shape, float, str], ...] = (
    (lambda w: w, 0.5, "{c} * sum(w**2)"),
    (np.sign, 1.0, "{c} * sum(|w|)"),
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
    names = [case.names[k] for k in blocks]
    finding = Finding("regulariser", f"{what} (w: the block).", listed(names), round_off(factor))
    return Explanation(finding, frozenset(blocks), 1)
