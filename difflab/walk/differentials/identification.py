"""From the differential of a loss to its gradients: df = tr(G^T dX) for all dX means that G is the gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..latex.reading import LONG, weight
from ..latex.saying import said
from ..latex.terms import SCALAR, Name, Number, Ones, Scaled, Term, Transpose, Zeros
from .links import transposed
from .rules import Rules


class Identified:
    """The gradients of a scalar term, and names for the factors in front of differentials.

    The differentials of defined names are put into that of the loss, the last name first.  What then stands in front of
    dV is the sum of what every formula that reads V has added.

    ``gradients`` are in the order of ``wrt``; ``names`` are those of factors, defined in the algebra; ``factors`` maps
    them to the quantity in front of whose differential they stand, if that has a name itself.

    Args:
        rules: of differentials, which know what moves.
        loss: 1 by 1.
        wrt: the names by which is differentiated.
        definitions: formulas of other names, each after those that it needs.
        first: names of factors are ("value", first), ("value", first + 1) and so on.

    Raises:
        UnsupportedError: a function without a rule.
        ValueError: the loss is no number.
    """

    def __init__(self, rules: Rules, loss: Term, wrt: Sequence[Name], definitions: Mapping[Name, Term], first: int):
        if loss.shape != SCALAR:
            raise ValueError(f"only a number has a gradient, and the loss is {said(loss)}")
        self.rules, self.algebra, self.first = rules, rules.algebra, first
        self.names: list[Name] = []
        self.factors: dict[Name, Name] = {}
        self._sums: dict[Name, list[list[Term]]] = {}
        self._known: dict[Term, int] = {}
        needed = _below(loss, definitions)
        order = [name for name in definitions if name in needed]
        for name in order:
            rules.declare(name, definitions[name])
        self._put_in(self.algebra.number(1), loss, None)
        for name in reversed(order):
            if name in self._sums:
                self._put_in(self._total(name), definitions[name], name)
        self.gradients = [self._total(name) for name in wrt]

    def _put_in(self, factor: Term, formula: Term, of: Name | None) -> None:
        """tr(G^T dV) with dV as a sum of chains of dX: to each X goes the transposed chain of G.

        Chains that begin alike are transposed alike: where they part, what they have in common gets a name.
        """
        own: dict[Name, list[Term]] = {}
        waiting: list[tuple[Term, Term, Name | None]] = [(factor, formula, of)]
        while waiting:
            factor, term, of = waiting.pop()
            if isinstance(term, Name):
                if self.rules.moves(term):
                    own.setdefault(term, []).append(factor)
                continue
            summands = list(self.rules.step(term))
            factor = self._named(factor, len(summands), of, term)
            for chain, part in reversed(summands):
                waiting.append((transposed(self.algebra, chain, factor), part, None))
        for name, terms in own.items():
            self._sums.setdefault(name, []).append(terms)

    def _named(self, factor: Term, uses: int, of: Name | None, term: Term) -> Term:
        """A factor, or a name for it if it is long or stands in several summands, and is more than a name."""
        body = factor.body if isinstance(factor, Scaled | Transpose) else factor
        heavy = weight(factor, self._known)
        plain = body is None or isinstance(body, Name | Number | Ones | Zeros)
        if (plain and heavy <= 1) or (uses < 2 and heavy <= LONG) or isinstance(factor, Name):
            return factor
        known = self.algebra.names.get(factor)
        if known is not None:
            return known
        rank = of.rank if of is not None else 0 if factor.shape == SCALAR else 1 if factor.shape[-1] == 1 else 2
        name = self.algebra.name(("value", self.first + len(self.names)), factor.shape, rank)
        self.names.append(name)
        if of is not None:
            self.factors[name] = of
        self.algebra.define(name, factor)
        return name

    def _total(self, name: Name) -> Term:
        """What the formulas that read a name have added to the factor in front of it, in the order of the loss."""
        groups = self._sums.get(name, [])
        if not groups:
            return self.algebra.zeros(name.shape)
        total = self.algebra.add([term for group in reversed(groups) for term in group])
        if total.shape != name.shape:
            raise ValueError(f"the gradient by {said(name)} is {said(total)}, which differ in shape")
        return total


def _below(loss: Term, definitions: Mapping[Name, Term]) -> set[Name]:
    """The defined names that a loss needs."""
    found: set[Name] = set()
    seen: set[Term] = set()
    waiting = [loss]
    while waiting:
        term = waiting.pop()
        if term not in seen:
            seen.add(term)
            waiting.extend(term.parts)
            if isinstance(term, Name) and term in definitions:
                found.add(term)
                waiting.append(definitions[term])
    return found
