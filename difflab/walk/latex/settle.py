"""Which quantities keep a name: what is used once and short is put in its place, what repeats is defined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .algebra import Algebra
from .broadcasts import broadcast_vector, is_ones
from .reading import weight
from .terms import (
    SCALAR,
    Add,
    Apply,
    Call,
    Hadamard,
    Indicator,
    Inner,
    Name,
    Ones,
    Product,
    RowWise,
    Scaled,
    Term,
    Transpose,
    ordered,
)

SHORT, CROWDED, REPEATED = 5, 9, 2
"""Symbols of a formula that is used once and put in its place; of the formula that takes it up; symbols that are then
written again where it is used more than once."""
FUNCTIONS = (Apply, RowWise, Indicator)


class Settled:
    """Formulas of outputs, and of the names that they need, in the order in which they can be computed."""

    def __init__(self, algebra: Algebra, outputs: list[Term], origins: Mapping[Term, tuple[int, int]]):
        self.algebra, self.origins = algebra, origins
        self.outputs = outputs
        self.definitions = dict(algebra.definitions)
        algebra.names.clear()  # a name may be given up from here on
        while self._inline():
            pass
        self._drop()
        while self._share():
            self._drop()

    def _drop(self) -> None:
        """Without the definitions that nothing needs."""
        needed = {term for term in ordered(self.outputs) if isinstance(term, Name)}
        for name in reversed(self.definitions):
            if name in needed:
                needed.update(term for term in ordered([self.definitions[name]]) if isinstance(term, Name))
        self.definitions = {name: formula for name, formula in self.definitions.items() if name in needed}

    def _inline(self) -> bool:
        """One pass over all definitions; whether it changed any."""
        self._drop()
        uses, readers, inside, twice = Counter[Name](), dict[Name, Name | int](), set[Name](), set[Name]()
        formulas: list[tuple[Name | int, Term]] = [*self.definitions.items(), *enumerate(self.outputs)]
        for owner, formula in formulas:
            for name, times in _occurrences(formula).items():
                uses[name] += times
                readers[name] = owner
                if times > 1:
                    twice.add(name)
            for term in ordered([formula]):
                if isinstance(term, FUNCTIONS):
                    inside.update(part for part in term.parts if isinstance(part, Name))
        known: dict[Term, int] = {}
        loads = {owner: weight(formula, known) for owner, formula in formulas}
        settled: dict[Term, Term] = {}
        kept: dict[Name, Term] = {}
        for name, formula in self.definitions.items():
            formula = self.replaced(formula, settled)
            heavy = weight(formula, known)
            owner = readers.get(name)
            whole = isinstance(owner, int) and self.outputs[owner] is name and uses[name] == 1
            seen = name in inside, name in twice
            if owner is not None and (whole or self._goes(formula, heavy, uses[name], loads[owner], seen)):
                settled[name] = formula
                loads[owner] += (heavy - 1) * uses[name]
            else:
                kept[name] = formula
        self.outputs = [self.replaced(output, settled) for output in self.outputs]
        self.definitions = kept
        self.algebra.definitions = kept
        return bool(settled)

    def _share(self) -> bool:
        """Give names to what two functions are taken of, as an activation and its slope; whether there was any."""
        readers: dict[Term, set[Term]] = {}
        for term in ordered([*self.definitions.values(), *self.outputs]):
            for part in term.parts if isinstance(term, FUNCTIONS) else ():
                readers.setdefault(part, set()).add(term)
        known: dict[Term, int] = {}
        inside = {part for term in ordered([*self.definitions.values(), *self.outputs]) for part in term.parts}
        shared: dict[Term, Term] = {
            formula: name
            for name, formula in self.definitions.items()
            if formula in inside and weight(formula, known) > 1
        }
        fresh = -1
        wanted = [part for part, terms in readers.items() if len(terms) > 1 and weight(part, known) > 1]
        wanted += [term for term in ordered([*self.definitions.values(), *self.outputs]) if _weights(term)]
        for part in wanted:
            if isinstance(part, Name) or not part.parts or part in self.definitions.values():
                continue
            number, rank = self.origins.get(part, (fresh, len(part.shape) if part.shape != SCALAR else 0))
            fresh -= number == fresh
            shared[part] = self.algebra.name(("value", number), part.shape, rank)
        if not shared:
            return False
        named = {name: part for part, name in shared.items() if isinstance(name, Name) and name not in self.definitions}
        formulas: dict[Name, Term] = {}
        for name, formula in [*self.definitions.items(), *[(None, output) for output in self.outputs]]:
            for term in ordered([formula]):
                one = shared.get(term)
                if isinstance(one, Name) and one in named and one not in formulas:
                    formulas[one] = self.replaced(named[one], {key: to for key, to in shared.items() if to is not one})
            if name is not None:
                formulas[name] = self.replaced(formula, {key: to for key, to in shared.items() if to is not name})
        self.outputs = [self.replaced(output, shared) for output in self.outputs]
        self.definitions = self.algebra.definitions = _in_order(formulas)
        return True

    def _goes(self, formula: Term, heavy: int, uses: int, load: int, known: tuple[bool, bool]) -> bool:
        body = formula.body if isinstance(formula, Scaled | Transpose) else formula
        if body is None or isinstance(body, Name | Ones) or heavy == 0:
            return heavy <= 1 or uses == 1
        if uses == 1:
            return heavy <= SHORT and load + heavy - 1 <= CROWDED
        terms = list(ordered([formula]))
        if (uses - 1) * (heavy - 1) > REPEATED or any(isinstance(term, (*FUNCTIONS, Hadamard)) for term in terms):
            return False
        products = any(isinstance(term, Product) for term in terms)
        if any(isinstance(term, Name) and term.key[0] == "value" for term in terms):
            return isinstance(formula, Add) and not products and heavy <= REPEATED
        return not (products and any(known))

    def replaced(self, formula: Term, settled: dict[Term, Term]) -> Term:
        """A formula with formulas in place of names."""
        if not settled:
            return formula
        done: dict[Term, Term] = {}
        for term in ordered([formula]):
            parts = [done[part] for part in term.parts]
            done[term] = settled[term] if term in settled else self.algebra.remade(term, parts)
        return done[formula]


def _in_order(formulas: dict[Name, Term]) -> dict[Name, Term]:
    """Definitions, each after those that it needs."""
    done: dict[Name, Term] = {}
    for name in formulas:
        waiting = [name]
        while waiting:
            one = waiting[-1]
            needs = [term for term in ordered([formulas[one]]) if isinstance(term, Name) and term in formulas]
            missing = [] if one in done else [need for need in needs if need not in done]
            waiting += missing
            if not missing:
                done.setdefault(waiting.pop(), formulas[one])
    return done


def _weights(term: Term) -> bool:
    """Whether a term is the softmax of something, which always has a name."""
    return isinstance(term, RowWise) and term.function == "softmax"


def _occurrences(formula: Term) -> Counter[Name]:
    """How often each name is written in a formula."""
    counts: Counter[Name] = Counter()
    waiting = [formula]
    while waiting:
        term = waiting.pop()
        if isinstance(term, Name):
            counts[term] += 1
        waiting.extend(term.parts)
    return counts


def for_print(algebra: Algebra, formula: Term, real: bool) -> Term:
    """With diagonal matrices in place of broadcasts and, where all is real, inner products in place of sums."""
    done: dict[Term, Term] = {}
    for term in ordered([formula]):
        done[term] = _shown(algebra, algebra.remade(term, [done[part] for part in term.parts]), real)
    return done[formula]


def _shown(algebra: Algebra, term: Term, real: bool) -> Term:
    if isinstance(term, Product):
        return _inner(algebra, term) if real else term
    if isinstance(term, Scaled):
        powers = [(_shown(algebra, one, real), power) for one, power in term.scalars]
        return algebra.scaled(term.number, powers, term.body)
    if isinstance(term, Hadamard) and len(term.factors) > 1 and len(term.shape) == 2:
        return _diagonals(algebra, term)
    return term


def _inner(algebra: Algebra, term: Product) -> Term:
    """1^T (A * B) 1 is the inner product of A and B, also in a sum of such."""
    middle = _summand(algebra, term)
    square = None if middle is None else _diagonal_of(middle)
    if square is not None:
        return algebra.inner(algebra.identity(square.shape[0]), square)
    if isinstance(middle, Add):
        rows, columns = middle.shape
        ends = algebra.ones((1, rows)), algebra.ones((columns, 1))
        parts = [_shown(algebra, algebra.product(ends[0], part, ends[1]), True) for part in middle.parts]
        if all(any(isinstance(one, Inner) for one in (part, *part.parts)) for part in parts):
            return algebra.add(parts)
    if not isinstance(middle, Hadamard):
        return term
    factor, power = middle.factors[0]
    rest = [*([(factor, power - 1)] if power > 1 else []), *middle.factors[1:]]
    if power < 1 or not rest or any(isinstance(one, Indicator) for one, _ in middle.factors):
        return term
    return algebra.inner(factor, algebra.hadamard(rest))


def _diagonal_of(term: Term) -> Term | None:
    """The square matrix whose diagonal a slice takes."""
    if not isinstance(term, Call) or term.primitive.name != "slice" or not isinstance(term.parts[0], Call):
        return None
    whole, given = term.parts[0], dict(term.params)
    size = term.result[0]
    square = whole.primitive.name == "reshape" and whole.parts[0].shape == (size, size)
    return whole.parts[0] if square and given["start"] == (0,) and given["step"] == (size + 1,) else None


def _summand(algebra: Algebra, term: Product) -> Term | None:
    """What a product sums up, if that is all it does."""
    first, last = term.parts[0], term.parts[-1]
    if term.shape != SCALAR:
        return None
    if len(term.parts) == 3 and is_ones(first) and is_ones(last):
        return term.parts[1]
    if len(term.parts) == 2 and is_ones(first):
        return _summand(algebra, last) if isinstance(last, Product) else last
    return algebra.transpose(first) if len(term.parts) == 2 and is_ones(last) else None


def _diagonals(algebra: Algebra, term: Hadamard) -> Term:
    """(c 1^T) * A is diag(c) A, and A * (1 r) is A diag(r)."""
    sides: dict[str, list[Term]] = {"column": [], "row": [], "": []}
    rest = []
    for factor, power in term.factors:
        kind, vector = broadcast_vector(algebra, factor) if power == 1 else ("", factor)
        if kind:
            sides[kind].append(vector)
        else:
            rest.append((factor, power))
    if len(rest) == len(term.factors) or not rest:
        return term
    body = algebra.hadamard(rest)
    for vector in sides["column"]:
        body = algebra.product(algebra.diagonal(vector), body)
    for vector in sides["row"]:
        body = algebra.product(body, algebra.diagonal(algebra.transpose(vector)))
    return body
