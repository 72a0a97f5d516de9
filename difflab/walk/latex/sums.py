"""Sums: equal terms are collected, what cancels is dropped, and what all terms share is written once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from . import recognise
from .broadcasts import broadcast_vector, factors_of, is_ones
from .terms import SCALAR, Add, Call, Hadamard, Name, Ones, Product, Term, Zeros

if TYPE_CHECKING:
    from .algebra import Algebra, Scalars

COLLECTED = frozenset({"unslice", "scatter_add"})
"""Those whose sums are taken inside."""


def added(algebra: Algebra, waiting: list[Term]) -> Term:
    """The sum of terms of one shape, equal ones collected and common factors in front."""
    shape = waiting[0].shape
    waiting.reverse()
    hidden = _hidden(algebra, waiting)
    sums: dict[tuple, tuple[Fraction, Scalars, Term | None]] = {}
    while waiting:
        number, scalars, body = algebra.split(waiting.pop())
        plain, opened = _insides(algebra, scalars, body)
        if opened and abs(number) == 1:
            minus = [(_key(algebra, part), -number * algebra.split(part)[0]) for part in opened]
            cancels = any(sums.get(key, (0,))[0] == own or (key, own) in hidden for key, own in minus)
            if cancels or plain:
                waiting.extend(algebra.times(algebra.number(number), part) for part in reversed(opened))
                continue
        key = (frozenset(scalars), body)
        sums[key] = (number + (sums[key][0] if key in sums else 0), scalars, body)
    left = [term for term in sums.values() if term[0] and not isinstance(term[2], Zeros)]
    found = [algebra.scaled(*term) for term in left]
    if not found:
        return algebra.zeros(shape)
    found = recognise.tanh_slope(algebra, recognise.halves(algebra, found))
    if len(found) == 1:
        return found[0]
    return _with_common_factors(algebra, found)


def _insides(algebra: Algebra, scalars: Scalars, body: Term | None) -> tuple[bool, Sequence[Term]]:
    """Whether a term, without its number, is a sum that stands there; and the parts that it has or could have."""
    inner = body if body is not None else scalars[0][0] if len(scalars) == 1 and scalars[0][1] == 1 else None
    plain = isinstance(inner, Add) and (body is None or not scalars)
    return plain, inner.parts if plain and inner is not None else _opened(algebra, inner, body, scalars)


def _hidden(algebra: Algebra, terms: Sequence[Term]) -> set[tuple]:
    """The parts of the sums behind names and broadcasts, which may cancel with each other once both are opened."""
    found = set()
    for term in terms if len(terms) > 1 else ():
        number, scalars, body = algebra.split(term)
        if abs(number) == 1:
            for part in _insides(algebra, scalars, body)[1]:
                found.add((_key(algebra, part), number * algebra.split(part)[0]))
    return found


def _opened(algebra: Algebra, inner: Term | None, body: Term | None, scalars: Scalars) -> Sequence[Term]:
    """The parts of a sum that has a name, or that stands in front of ones; none of anything else."""
    if isinstance(inner, Name) and (body is None or not scalars):
        whole = algebra.definitions.get(inner)
        return whole.parts if isinstance(whole, Add) else ()
    if body is None:
        return ()
    if is_ones(body) and len(scalars) == 1 and scalars[0][1] == 1:
        front = scalars[0][0]
        return [algebra.times(part, body) for part in front.parts] if isinstance(front, Add) else ()
    kind, vector = broadcast_vector(algebra, body)
    if scalars or not isinstance(vector, Add) or not kind:
        return ()
    ones = algebra.ones((1, body.shape[1])) if kind == "column" else algebra.ones((body.shape[0], 1))
    return [algebra.product(part, ones) if kind == "column" else algebra.product(ones, part) for part in vector.parts]


def _key(algebra: Algebra, term: Term) -> tuple:
    _, scalars, body = algebra.split(term)
    return frozenset(scalars), body


def _with_common_factors(algebra: Algebra, terms: list[Term]) -> Term:
    """A sum of different terms, with what all of them share in front, or behind."""
    terms = _joined(algebra, terms)
    if len(terms) == 1:
        return terms[0]
    plain: Term = algebra.made(("add", frozenset(terms)), lambda: Add(tuple(terms)))
    if plain.shape == SCALAR:
        return plain
    splits = [algebra.split(term) for term in terms]
    common = [pair for pair in splits[0][1] if all(pair in scalars for _, scalars, _ in splits)]
    alike = all(set(scalars) == set(common) for _, scalars, _ in splits)
    common = common if alike else [pair for pair in common if pair[1] < 0]
    numbers = [number for number, _, _ in splits]
    number = abs(numbers[0]) if alike and len({abs(number) for number in numbers}) == 1 else Fraction(1)
    if alike and all(number < 0 for number in numbers):
        number = -number
    if number != 1 or common:
        rest = [
            algebra.scaled(own / number, [pair for pair in scalars if pair not in common], body)
            for own, scalars, body in splits
        ]
        return algebra.scaled(number, common, algebra.add(rest))
    return _divided(algebra, terms) or plain


def _joined(algebra: Algebra, terms: list[Term]) -> list[Term]:
    """X^T S - X^T T is X^T (S - T); a part put back among zeros twice is put back once."""
    for pick in (_first, _last, _collected):
        groups: dict[object, list[Term]] = {}
        for term in terms:
            key = pick(algebra, term)
            groups.setdefault(term if key is None else key, []).append(term)
        if len(groups) < len(terms):
            return [_taken_together(algebra, pick, group) for group in groups.values()]
    return terms


def _first(algebra: Algebra, term: Term) -> object:
    number, scalars, body = algebra.split(term)
    if not isinstance(body, Product) or _ones(body.parts[0]) or _ones(body.parts[-1]):
        return None
    return "first", abs(number), frozenset(scalars), body.parts[0]


def _last(algebra: Algebra, term: Term) -> object:
    number, scalars, body = algebra.split(term)
    if not isinstance(body, Product) or _ones(body.parts[0]) or _ones(body.parts[-1]):
        return None
    return "last", abs(number), frozenset(scalars), body.parts[-1]


def _collected(algebra: Algebra, term: Term) -> object:
    _, scalars, body = algebra.split(term)
    if not isinstance(body, Call) or body.primitive.name not in COLLECTED or scalars:
        return None
    return body.primitive, body.params, body.parts[1:]


def _ones(term: Term) -> bool:
    return isinstance(term, Ones) or any(isinstance(part, Ones) for part in term.parts if len(term.parts) == 1)


def _taken_together(algebra: Algebra, pick: Callable, group: list[Term]) -> Term:
    """The terms of a group as one."""
    if len(group) == 1:
        return group[0]
    splits = [algebra.split(term) for term in group]
    if pick is _collected:
        calls = [body for _, _, body in splits if isinstance(body, Call)]
        one = calls[0]
        numbers = [number for number, _, _ in splits]
        inside = algebra.add([algebra.scaled(n, (), call.parts[0]) for n, call in zip(numbers, calls, strict=True)])
        return algebra.call(Call(one.primitive, one.params, (inside, *one.parts[1:]), one.avals, one.result))
    number, scalars, _ = splits[0]
    factor = abs(number)
    chains = [body.parts for _, _, body in splits if isinstance(body, Product)]
    cut = slice(1, None) if pick is _first else slice(None, -1)
    signs = [own / factor for own, _, _ in splits]
    rest = [algebra.scaled(sign, (), algebra.product(*chain[cut])) for sign, chain in zip(signs, chains, strict=True)]
    total = algebra.add(rest)
    whole = algebra.product(chains[0][0], total) if pick is _first else algebra.product(total, chains[0][-1])
    return algebra.scaled(factor, scalars, whole)


def _divided(algebra: Algebra, terms: list[Term]) -> Term | None:
    """A sum in which all rows, or all columns, are divided by the same numbers."""
    for side in ("column", "row"):
        shares = [_divisors(algebra, term, side) for term in terms]
        common = {one: power for one, power in shares[0].items() if all(share.get(one) == power for share in shares)}
        if not common:
            continue
        rows, columns = terms[0].shape
        ones = algebra.ones((1, columns) if side == "column" else (rows, 1))
        vectors = [algebra.hadamard([(one, sign * power) for one, power in common.items()]) for sign in (1, -1)]
        divisor, factor = [algebra.product(*((v, ones) if side == "column" else (ones, v))) for v in vectors]
        rest = algebra.add([algebra.hadamard([(term, 1), (factor, 1)]) for term in terms])
        return algebra.hadamard([(divisor, 1), (rest, 1)])
    return None


def _divisors(algebra: Algebra, term: Term, side: str) -> dict[Term, int]:
    """The vectors by whose elements the rows (columns) of a term are divided."""
    _, _, body = algebra.split(term)
    found: dict[Term, int] = {}
    for factor, power in body.factors if isinstance(body, Hadamard) else ((body, 1),) if body is not None else ():
        kind, vector = broadcast_vector(algebra, factor)
        if kind == side and power == 1:
            for one, own in factors_of(algebra, vector):
                if own < 0:
                    found[one] = own
    return found
