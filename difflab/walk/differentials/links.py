"""Links: the linear maps of which the chains of a differential consist, and their transposes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..latex.algebra import Algebra
from ..latex.saying import by, said
from ..latex.terms import SCALAR, Shape, Term

Map = Callable[[Algebra, Term], Term]


@dataclass(frozen=True)
class Link:
    """A linear map of matrices of shape ``takes`` to those of shape ``gives``.

    ``applied`` is the map; ``transposed`` the one with <G, applied(M)> = <transposed(G), M> for all M and G, where
    <A, B> = tr(A^T B). ``what`` says in words what is done, for errors; ``factor`` is the term that does it, if any.
    """

    what: str
    takes: Shape
    gives: Shape
    applied: Map
    transposed: Map
    factor: Term | None = None

    def of(self, algebra: Algebra, term: Term) -> Term:
        """The map of a term."""
        return self._mapped(algebra, term, self.applied, self.takes, self.gives)

    def back(self, algebra: Algebra, term: Term) -> Term:
        """The transposed map of a term."""
        return self._mapped(algebra, term, self.transposed, self.gives, self.takes)

    def _mapped(self, algebra: Algebra, term: Term, mapping: Map, wanted: Shape, expected: Shape) -> Term:
        if term.shape != wanted:
            factor = "" if self.factor is None else f" by {said(self.factor)}"
            raise ValueError(f"{self.what}{factor} goes with shape {by(wanted)}, and is given {said(term)}")
        found = mapping(algebra, term)
        if found.shape != expected:
            raise ValueError(f"{self.what} of {said(term)} gives {said(found)} instead of shape {by(expected)}")
        return found


Chain = tuple[Link, ...]
"""Links, the one that is applied first at the end, as factors are written."""


def left(factor: Term, takes: Shape) -> Link:
    """A dX."""
    if len(takes) != 2 or len(factor.shape) != 2 or factor.shape[1] != takes[0]:
        raise ValueError(f"a product of {said(factor)} and a differential of shape {by(takes)} does not exist")
    return Link(
        "multiplication from the left", takes, (factor.shape[0], takes[1]),
        lambda algebra, term: algebra.product(factor, term),
        lambda algebra, term: algebra.product(algebra.transpose(factor), term),
        factor,
    )  # fmt: skip


def right(factor: Term, takes: Shape) -> Link:
    """dX B."""
    if len(takes) != 2 or len(factor.shape) != 2 or factor.shape[0] != takes[1]:
        raise ValueError(f"a product of a differential of shape {by(takes)} and {said(factor)} does not exist")
    return Link(
        "multiplication from the right", takes, (takes[0], factor.shape[1]),
        lambda algebra, term: algebra.product(term, factor),
        lambda algebra, term: algebra.product(term, algebra.transpose(factor)),
        factor,
    )  # fmt: skip


def weighted(factor: Term, takes: Shape, gives: Shape) -> Link:
    """H o dX; a number for H scales, and for dX it scales H."""
    if takes == gives and factor.shape in (SCALAR, takes):
        scale: Map = lambda algebra, term: algebra.hadamard([(term, 1), (factor, 1)])  # noqa: E731 (used twice below)
        return Link("multiplication element by element", takes, gives, scale, scale, factor)
    if takes != SCALAR or factor.shape not in (SCALAR, gives):
        raise ValueError(
            f"{said(factor)} element by element with a differential of shape {by(takes)} has no shape {by(gives)}"
        )

    def spread(algebra: Algebra) -> Term:
        return factor if factor.shape == gives else algebra.times(factor, algebra.ones(gives))

    return Link(
        "multiplication by a number", takes, gives,
        lambda algebra, term: algebra.times(term, spread(algebra)),
        lambda algebra, term: against(algebra, spread(algebra), term),
        factor,
    )  # fmt: skip


def along(factor: Term) -> Link:
    """<T, dX>."""
    return Link(
        "the inner product", factor.shape, SCALAR,
        lambda algebra, term: against(algebra, factor, term),
        lambda algebra, term: algebra.times(term, factor),
        factor,
    )  # fmt: skip


def turned(takes: Shape) -> Link:
    """dX^T."""
    turn: Map = lambda algebra, term: algebra.transpose(term)  # noqa: E731 (used twice below)
    return Link("transposition", takes, (takes[1], takes[0]), turn, turn)


def row_sums(axis: int, takes: Shape) -> Link:
    """dX 1, or 1^T dX for axis 0; the transpose puts vectors into all columns, or rows."""
    ones = (1, takes[1]) if axis == 1 else (takes[0], 1)

    def total(algebra: Algebra, term: Term) -> Term:
        summing = algebra.transpose(algebra.ones(ones))
        return algebra.product(term, summing) if axis == 1 else algebra.product(summing, term)

    def spread(algebra: Algebra, term: Term) -> Term:
        return algebra.product(term, algebra.ones(ones)) if axis == 1 else algebra.product(algebra.ones(ones), term)

    gives = (takes[0], 1) if axis == 1 else (1, takes[1])
    return Link("summation along an axis", takes, gives, total, spread)


def softmax_slope(weights: Term, axis: int) -> Link:
    """S o (dX - (S o dX) 1 1^T), which is its own transpose; ``weights`` is S."""
    sums = row_sums(axis, weights.shape)

    def slope(algebra: Algebra, term: Term) -> Term:
        means = sums.back(algebra, sums.of(algebra, algebra.hadamard([(weights, 1), (term, 1)])))
        return algebra.hadamard([(weights, 1), (algebra.add([term, algebra.negative(means)]), 1)])

    return Link("the slope of softmax", weights.shape, weights.shape, slope, slope, weights)


def against(algebra: Algebra, one: Term, other: Term) -> Term:
    """The inner product of two terms of one shape."""
    if one.shape != other.shape:
        raise ValueError(f"an inner product of {said(one)} and {said(other)} does not exist")
    if one.shape == SCALAR:
        return algebra.times(one, other)
    if len(one.shape) != 2:
        return algebra.inner(one, other)
    if one.shape[1] == 1 and algebra.even(one) is None:
        return algebra.product(algebra.transpose(one), other)
    if one.shape[1] == 1:
        return algebra.product(algebra.transpose(other), one)
    rows, columns = one.shape
    both = algebra.hadamard([(one, 1), (other, 1)])
    return algebra.product(algebra.ones((1, rows)), algebra.product(both, algebra.ones((columns, 1))))


def chained(algebra: Algebra, chain: Sequence[Link], term: Term) -> Term:
    """A chain of a term."""
    for link in reversed(chain):
        term = link.of(algebra, term)
    return term


def transposed(algebra: Algebra, chain: Sequence[Link], term: Term) -> Term:
    """The transposed chain of a term."""
    for link in chain:
        term = link.back(algebra, term)
    return term
