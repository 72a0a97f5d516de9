"""The differential of a term: one rule for each kind of term, and chains of links down to the names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from ...errors import UnsupportedError
from ..latex.algebra import Algebra
from ..latex.terms import (
    SCALAR,
    Add,
    Apply,
    Call,
    Diagonal,
    Hadamard,
    Indicator,
    Inner,
    Inverse,
    Name,
    Product,
    RowWise,
    Scaled,
    Term,
    Transpose,
)
from . import calls
from .links import Chain, along, left, right, row_sums, softmax_slope, turned, weighted
from .slopes import slopes


class Summand(NamedTuple):
    """One summand of a differential: a chain of links, applied to the differential of a part, or of a name."""

    chain: Chain
    of: Term


class Rules:
    """The rules of differentials, for terms of one algebra.

    ``moving`` are the names whose differentials are not zero; ``where`` says in words where a term comes from.
    """

    def __init__(self, algebra: Algebra, moving: Collection[Name], where: Callable[[Term], str]):
        self.algebra, self.where = algebra, where
        self._moving: dict[Term, bool] = dict.fromkeys(moving, True)

    def moves(self, term: Term) -> bool:
        """Whether a term has a differential other than zero."""
        waiting = [term]
        while waiting:
            one = waiting[-1]
            below = [part for part in one.parts if part not in self._moving]
            if one in self._moving or not below:
                self._moving.setdefault(one, any(self._moving[part] for part in one.parts))
                waiting.pop()
            else:
                waiting += below
        return self._moving[term]

    def declare(self, name: Name, formula: Term) -> None:
        """A defined name moves if its formula does."""
        self._moving[name] = self.moves(formula)

    def differential(self, term: Term) -> list[Summand]:
        """The differential of a formula as a sum of chains in those of the names in it.

        Args:
            term: a formula.

        Returns:
            Summands whose ``of`` are names.

        Raises:
            UnsupportedError: a function without a rule, of something that moves.
        """
        found = []
        waiting = [Summand((), term)]
        while waiting:
            chain, one = waiting.pop()
            if isinstance(one, Name):
                found += [Summand(chain, one)] if self.moves(one) else []
            else:
                waiting += [Summand(chain + more, part) for more, part in reversed(list(self.step(one)))]
        return found

    def step(self, term: Term) -> Iterator[Summand]:
        """The differential of a term in those of its parts, without those that do not move."""
        if not self.moves(term):
            return
        moving = [self.moves(part) for part in term.parts]
        for place, chain in RULES[type(term)](self, term, moving):
            yield Summand(chain, term.parts[place])

    def refused(self, term: Apply | Call) -> UnsupportedError:
        """What has no rule, where it is, and what to do."""
        name = term.function if isinstance(term, Apply) else term.primitive.name
        return UnsupportedError(
            f"the method of differentials has no rule for {name}, {self.where(term)}; use "
            "to_latex(by='reverse'), whose formulas come from reverse mode and know every primitive"
        )


Found = Iterator[tuple[int, Chain]]
"""Places of parts, with the chains of their differentials."""


def _scaled(rules: Rules, term: Scaled, moving: Sequence[bool]) -> Found:
    algebra = rules.algebra
    for place, (scalar, power) in enumerate(term.scalars):
        if moving[place]:
            others = [pair for k, pair in enumerate(term.scalars) if k != place]
            rest = algebra.scaled(term.number * power, [*others, (scalar, power - 1)], term.body)
            yield place, (weighted(rest, SCALAR, term.shape),)
    if term.body is not None and moving[-1]:
        front = algebra.scaled(term.number, term.scalars)
        yield len(term.scalars), (weighted(front, term.shape, term.shape),)


def _added(rules: Rules, term: Add, moving: Sequence[bool]) -> Found:
    for place in _places(moving):
        yield place, ()


def _product(rules: Rules, term: Product, moving: Sequence[bool]) -> Found:
    """d(ABC) = dA BC + A dB C + AB dC."""
    for place in _places(moving):
        before, after = term.parts[:place], term.parts[place + 1 :]
        chain: Chain = ()
        shape = term.parts[place].shape
        if before:
            chain = (left(rules.algebra.product(*before), shape),)
            shape = chain[0].gives
        if after:
            chain = (right(rules.algebra.product(*after), shape), *chain)
        yield place, chain


def _transpose(rules: Rules, term: Transpose, moving: Sequence[bool]) -> Found:
    yield 0, (turned(term.body.shape),)


def _inverse(rules: Rules, term: Inverse, moving: Sequence[bool]) -> Found:
    """d A^-1 = -A^-1 dA A^-1."""
    shape, minus = term.shape, rules.algebra.number(-1)
    inverse = rules.algebra.name_of(term)
    yield 0, (weighted(minus, shape, shape), left(inverse, shape), right(inverse, shape))


def _hadamard(rules: Rules, term: Hadamard, moving: Sequence[bool]) -> Found:
    """d(A^p o B) = p A^(p-1) o B o dA + A^p o dB."""
    algebra = rules.algebra
    for place in _places(moving):
        factor, power = term.factors[place]
        others = [pair for k, pair in enumerate(term.factors) if k != place]
        kept = [*others, (factor, power - 1)] if power != 1 else others
        rest = algebra.hadamard(kept) if kept else algebra.number(1)
        yield place, (weighted(algebra.times(algebra.number(power), rest), term.shape, term.shape),)


def _apply(rules: Rules, term: Apply, moving: Sequence[bool]) -> Found:
    """d f(A) = f'(A) o dA."""
    found = slopes(rules.algebra, term)
    if found is None:
        raise rules.refused(term)
    for place, slope in enumerate(found):
        if moving[place]:
            yield place, (weighted(slope, term.parts[place].shape, term.shape),)


def _indicator(rules: Rules, term: Indicator, moving: Sequence[bool]) -> Found:
    """Constant wherever it has a derivative."""
    yield from ()


def _row_wise(rules: Rules, term: RowWise, moving: Sequence[bool]) -> Found:
    """d softmax(A) = S o (dA - (S o dA) 1 1^T), d logsumexp(A) = (S o dA) 1, for each row."""
    algebra, shape = rules.algebra, term.body.shape
    weights = algebra.name_of(algebra.row_wise("softmax", term.body, term.axis))
    if term.function == "softmax":
        yield 0, (softmax_slope(weights, term.axis),)
    else:
        yield 0, (row_sums(term.axis, shape), weighted(weights, shape, shape))


def _call(rules: Rules, term: Call, moving: Sequence[bool]) -> Found:
    for place in _places(moving):
        if term.primitive.name in calls.FLAT:
            continue
        chain = calls.links_of(rules.algebra, term, place)
        if chain is None:
            raise rules.refused(term)
        yield place, chain


def _diagonal(rules: Rules, term: Diagonal, moving: Sequence[bool]) -> Found:
    """d diag(a) = I o (da 1^T)."""
    size = term.body.shape[0]
    identity = rules.algebra.identity(size)
    ones = rules.algebra.ones((1, size))
    yield 0, (weighted(identity, term.shape, term.shape), right(ones, term.body.shape))


def _inner(rules: Rules, term: Inner, moving: Sequence[bool]) -> Found:
    for place in _places(moving):
        yield place, (along(term.parts[1 - place]),)


def _places(moving: Sequence[bool]) -> list[int]:
    return [place for place, moves in enumerate(moving) if moves]


RULES: dict[type, Callable[..., Found]] = {
    Scaled: _scaled,
    Add: _added,
    Product: _product,
    Transpose: _transpose,
    Inverse: _inverse,
    Hadamard: _hadamard,
    Apply: _apply,
    Indicator: _indicator,
    RowWise: _row_wise,
    Call: _call,
    Diagonal: _diagonal,
    Inner: _inner,
}
"""One rule for every kind of term that has parts; the others are names and constants."""
