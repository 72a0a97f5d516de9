"""What mathematicians do silently: the same formula, shorter.

Numbers are collected in front, (A^T)^T is A, a product with the ones of a broadcast is the vector that was broadcast,
equal terms are added up.  Every rule is an identity of real numbers; none is used to compute, only to print.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ...primitives.record import identity
from . import elementwise, linear, recognise, sums
from .broadcasts import is_ones
from .saying import said
from .terms import (
    SCALAR,
    Add,
    Apply,
    Call,
    Diagonal,
    Hadamard,
    Identity,
    Indicator,
    Inner,
    Inverse,
    Name,
    Number,
    Ones,
    Product,
    RowWise,
    Scaled,
    Shape,
    Special,
    Term,
    Transpose,
    Zeros,
)

Scalars = Sequence[tuple[Term, int]]
COMPLEMENTS = {"greater": "less_equal", "greater_equal": "less", "equal": "not_equal", "holds": "fails"}
COMPLEMENTS |= {other: one for one, other in COMPLEMENTS.items()}
"""Relations and those that hold where they do not, NaN aside."""
KNOWN: dict[str, Callable[..., bool]] = {
    "greater": operator.gt, "greater_equal": operator.ge, "less": operator.lt, "less_equal": operator.le,
    "equal": operator.eq, "not_equal": operator.ne, "holds": bool, "fails": operator.not_,
}  # fmt: skip
"""Relations of numbers."""
DENOMINATOR, WRITTEN = 1000, 12
"""A float of more characters is taken for a fraction, if one of so small a denominator is rounded to it."""


class Algebra:
    """Makes terms in their shortest form, and each of them once.

    ``definitions`` holds the formulas of names, through which the rules look where it shortens something.
    """

    def __init__(self) -> None:
        self.known: dict[Any, Any] = {}
        self.definitions: dict[Name, Term] = {}
        self.names: dict[Term, Name] = {}

    def made(self, key: Any, make: Callable[[], Term]) -> Any:
        """The term under a key, made the first time."""
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = make()
        return found

    def look(self, term: Term) -> Term:
        """What a name stands for, any other term as it is."""
        while isinstance(term, Name) and term in self.definitions:
            term = self.definitions[term]
        return term

    def name_of(self, term: Term) -> Term:
        """The name whose formula a term is, or the term."""
        return self.names.get(term, term)

    def define(self, name: Name, formula: Term) -> None:
        """Give a name its formula."""
        self.definitions[name] = formula
        self.names.setdefault(formula, name)

    # -------------------------------------------------------------------- leaves

    def name(self, key: tuple[str, int], shape: Shape, rank: int) -> Name:
        """A symbol."""
        return self.made(("name", key), lambda: Name(key, shape, rank))

    def number(self, value: Any) -> Term:
        """A number; floats by their shortest decimal text, so that 0.1 is a tenth, or as a fraction that is as short.

        What no one would write as a decimal, as 0.3333333333333333, was computed as 1/3.
        """
        if isinstance(value, complex | np.complexfloating) and value.imag == 0:
            value = value.real
        if isinstance(value, complex | np.complexfloating) or not math.isfinite(value):
            return self.made(("special", repr(complex(value))), lambda: Special(complex(value)))
        if isinstance(value, float):
            near = Fraction(value).limit_denominator(DENOMINATOR)
            if near.denominator > 1 and float(near) == value and len(repr(float(value))) > WRITTEN:
                return self.made(("number", near), lambda: Number(near))
        if isinstance(value, np.floating):
            value = np.format_float_scientific(value, unique=True, trim="0")
        if isinstance(value, bool | np.bool_ | np.integer):
            value = int(value)
        exact = Fraction(repr(value) if isinstance(value, float) else value)
        return self.made(("number", exact), lambda: Number(exact))

    def ones(self, shape: Shape) -> Term:
        """Ones of any shape: a matrix of them is a product of two vectors."""
        if shape == SCALAR:
            return self.number(1)
        if len(shape) != 2 or shape[1] == 1:
            return self.made(("ones", shape), lambda: Ones(shape))
        if shape[0] == 1:
            return self.transpose(self.ones((shape[1], 1)))
        return self.product(self.ones((shape[0], 1)), self.ones((1, shape[1])))

    def identity(self, size: int) -> Term:
        """The identity matrix."""
        return self.made(("identity", size), lambda: Identity(size)) if size > 1 else self.number(1)

    def zeros(self, shape: Shape) -> Term:
        """Zeros of any shape."""
        return self.number(0) if shape == SCALAR else self.made(("zeros", shape), lambda: Zeros(shape))

    # -------------------------------------------------------------------- numbers in front

    def split(self, term: Term) -> tuple[Fraction, Scalars, Term | None]:
        """A term as a number, powers of scalar terms and the rest, which is ``None`` where all is scalar."""
        if isinstance(term, Number):
            return term.value, (), None
        if isinstance(term, Scaled):
            return term.number, term.scalars, term.body
        return (Fraction(1), ((term, 1),), None) if term.shape == SCALAR else (Fraction(1), (), term)

    def scaled(self, number: Fraction | int, scalars: Scalars, body: Term | None = None) -> Term:
        """``number * scalars * body``."""
        number = Fraction(number)
        powers: dict[Term, int] = {}
        waiting = list(reversed(scalars))
        while waiting:
            term, power = waiting.pop()
            factor, inside, _ = self.split(term)
            if factor == 0 and power < 0:
                factor, inside = Fraction(1), ((self.number(math.inf), 1),)
                power = 1
            number *= factor**power
            if len(inside) == 1 and inside[0] == (term, 1):
                powers[term] = powers.get(term, 0) + power
            else:
                waiting.extend((one, own * power) for one, own in reversed(inside))
        if body is not None and (body.shape == SCALAR or isinstance(body, Scaled)):
            factor, inside, rest = self.split(body)
            return self.scaled(number * factor, [*powers.items(), *inside], rest)
        if number == 0 or isinstance(body, Zeros):
            return self.zeros(SCALAR if body is None else body.shape)
        recognise.slopes(self, powers)
        body = recognise.vector_softmax(self, powers, body)
        if isinstance(body, Scaled):
            return self.scaled(number, list(powers.items()), body)
        pairs = tuple([(term, power) for term, power in elementwise.bounded(powers) if power])
        if any(isinstance(term, Scaled | Number) for term, _ in pairs):
            return self.scaled(number, pairs, body)
        if not pairs and number == 1 and body is not None:
            return body
        if body is None and not pairs:
            return self.number(number)
        if body is None and number == 1 and len(pairs) == 1 and pairs[0][1] == 1:
            return pairs[0][0]
        return self.made(("scaled", number, frozenset(pairs), body), lambda: Scaled(number, pairs, body))

    def negative(self, term: Term) -> Term:
        """``-term``."""
        return self.times(self.number(-1), term)

    def times(self, scalar: Term, term: Term) -> Term:
        """A scalar times anything."""
        number, scalars, _ = self.split(scalar)
        return self.scaled(number, scalars, term)

    # -------------------------------------------------------------------- sums

    def add(self, terms: Iterable[Term]) -> Term:
        """The sum of terms of one shape, equal ones collected and common factors in front."""
        return sums.added(self, list(terms))

    # -------------------------------------------------------------------- products

    def transpose(self, term: Term) -> Term:
        """The transpose, pushed into products."""
        if term.shape == SCALAR or isinstance(term, Diagonal | Identity):
            return term
        if isinstance(term, Scaled) and term.body is not None:
            return self.scaled(term.number, term.scalars, self.transpose(term.body))
        if isinstance(term, Transpose):
            return term.body
        if isinstance(term, Zeros):
            return self.zeros((term.shape[1], term.shape[0]))
        if isinstance(term, Product):
            return self._chain([self.transpose(part) for part in reversed(term.parts)])
        return self.made(("transpose", term), lambda: Transpose(term))

    def inverse(self, term: Term) -> Term:
        """The inverse; that of a transpose is the transpose of the inverse."""
        if isinstance(term, Transpose):
            return self.transpose(self.inverse(term.body))
        if term.shape == SCALAR:
            return self.scaled(1, [(term, -1)])
        return self.made(("inverse", term), lambda: Inverse(term))

    def product(self, *terms: Term) -> Term:
        """The product of matrices, numbers among them in front."""
        result = terms[0]
        for term in terms[1:]:
            result = self._times(result, term)
        return result

    def _times(self, a: Term, b: Term) -> Term:
        number, scalars, left = self.split(a)
        factor, others, right = self.split(b)
        if left is not None and right is not None and left.shape[1] != right.shape[0]:
            raise ValueError(f"a product of {said(a)} and {said(b)}, whose shapes do not fit")
        if left is None or right is None:
            return self.scaled(number * factor, [*scalars, *others], right if left is None else left)
        if isinstance(left, Zeros) or isinstance(right, Zeros):
            return self.zeros((left.shape[0], right.shape[1]))
        if isinstance(left, Identity) or isinstance(right, Identity):
            return self.scaled(number * factor, [*scalars, *others], right if isinstance(left, Identity) else left)
        short = self._summed(left, right)
        if short is None:
            chain = [*(left.parts if isinstance(left, Product) else (left,))]
            chain += right.parts if isinstance(right, Product) else (right,)
            short = self._chain(chain)
        return self.scaled(number * factor, [*scalars, *others], short)

    def _summed(self, left: Term, right: Term) -> Term | None:
        """A product with ones, where it is shorter as something else."""
        if isinstance(right, Ones):
            return recognise.row_sums(self, left)
        if isinstance(left, Transpose) and isinstance(left.body, Ones):
            found = recognise.row_sums(self, self.transpose(right))
            return None if found is None else self.transpose(found)
        return None

    def _chain(self, factors: list[Term]) -> Term:
        """A product of factors that are none; a part of it that is a number goes in front."""
        if len(factors) == 1:
            return factors[0]
        for start, first in enumerate(factors):
            if first.shape[0] != 1:
                continue
            for stop in range(start + 1, len(factors) + 1):
                if factors[stop - 1].shape[1] == 1 and stop - start < len(factors):
                    scalar = self.product(*factors[start:stop])
                    rest = factors[:start] + factors[stop:]
                    return self.times(scalar, self.product(*rest))
        if len(factors) == 2 and factors[0].shape[0] == 1 and isinstance(factors[1], Ones) and factors[1].shape[1] == 1:
            if factors[0] is self.transpose(factors[1]):
                return self.number(factors[1].shape[0])
        parts = tuple(factors)
        if parts[0].shape[0] == parts[-1].shape[1] == 1:  # a number is its own transpose
            other = tuple([self.transpose(part) for part in reversed(parts)])
            turned = [sum(isinstance(part, Transpose) for part in one) for one in (parts, other)]
            kept = other if turned[1] < turned[0] else parts
            key = ("product", frozenset((parts, other)))
            return self.made(key, lambda: Product(kept))
        return self.made(("product", parts), lambda: Product(parts))

    # -------------------------------------------------------------------- element by element

    def hadamard(self, factors: Iterable[tuple[Term, int]]) -> Term:
        """The element-wise product of powers; numbers go in front, broadcast vectors are multiplied as vectors."""
        return elementwise.hadamard(self, list(factors))

    def apply(self, function: str, parts: Sequence[Term], params: tuple[tuple[str, Any], ...] = ()) -> Term:
        """A function element by element."""
        short = recognise.logsumexp(self, function, parts)
        if short is not None:
            return short
        if elementwise.all_turned(self, parts):
            return self.transpose(self.apply(function, [self.transpose(part) for part in parts], params))
        shape = next((part.shape for part in parts if part.shape != SCALAR), SCALAR)
        even = [self.even(part) for part in parts] if shape != SCALAR else []
        if even and all(one is not None for one in even):
            return self.times(self.apply(function, [one for one in even if one is not None], params), self.ones(shape))
        kept = tuple(parts)
        return self.made(("apply", function, kept, params), lambda: Apply(function, kept, params))

    def even(self, term: Term) -> Term | None:
        """The number that is in all elements of a term, if it is one for certain."""
        number, scalars, body = self.split(term)
        if isinstance(body, Zeros):
            return self.number(0)
        return self.scaled(number, scalars) if body is None or is_ones(body) else None

    def indicator(self, relation: str, *parts: Term) -> Term:
        """1 where a relation holds; of numbers that is known, and a bracket of a bracket is the bracket."""
        if relation in KNOWN and all(isinstance(part, Number) for part in parts):
            return self.number(int(KNOWN[relation](*[part.value for part in parts if isinstance(part, Number)])))
        if relation == "holds" and isinstance(parts[0], Indicator) and parts[0].relation != "step":
            return parts[0]
        return self.made(("indicator", relation, parts), lambda: Indicator(relation, parts))

    def complement(self, term: Term) -> Term:
        """1 where an indicator is 0."""
        if isinstance(term, Indicator) and term.relation in COMPLEMENTS:
            return self.indicator(COMPLEMENTS[term.relation], *term.parts)
        if isinstance(term, Number):
            return self.number(1 - term.value)
        return self.indicator("fails", term)

    # -------------------------------------------------------------------- rows, calls and what is for print alone

    def row_wise(self, function: str, body: Term, axis: int) -> Term:
        """softmax or logsumexp of rows (axis 1) or columns."""
        return self.made((function, body, axis), lambda: RowWise(function, body, axis))

    def call(self, call: Call) -> Term:
        """A primitive as a named function."""
        short = linear.shorter(self, call)
        if short is not None:
            return short
        key = ("call", call.primitive, identity(dict(call.params)), call.parts, call.avals, call.result)
        return self.made(key, lambda: call)

    def diagonal(self, body: Term) -> Term:
        """The diagonal matrix of a vector."""
        return self.made(("diagonal", body), lambda: Diagonal(body))

    def inner(self, a: Term, b: Term) -> Term:
        """The inner product."""
        return self.made(("inner", frozenset((a, b))), lambda: Inner((a, b)))

    def remade(self, term: Term, parts: Sequence[Term]) -> Term:
        """The same operation on other parts."""
        if not term.parts or all(one is other for one, other in zip(term.parts, parts, strict=True)):
            return term
        match term:
            case Scaled():
                powers = [(part, power) for part, (_, power) in zip(parts, term.scalars, strict=False)]
                return self.scaled(term.number, powers, None if term.body is None else parts[-1])
            case Add():
                return self.add(parts)
            case Product():
                return self.product(*parts)
            case Transpose():
                return self.transpose(parts[0])
            case Inverse():
                return self.inverse(parts[0])
            case Hadamard():
                return self.hadamard([(part, power) for part, (_, power) in zip(parts, term.factors, strict=True)])
            case Apply():
                return self.apply(term.function, parts, term.params)
            case Indicator():
                return self.indicator(term.relation, *parts)
            case RowWise():
                return self.row_wise(term.function, parts[0], term.axis)
            case Diagonal():
                return self.diagonal(parts[0])
            case Inner():
                return self.inner(parts[0], parts[1])
            case Call():
                return self.call(Call(term.primitive, term.params, tuple(parts), term.avals, term.result))
        raise TypeError(f"{type(term).__name__} has no parts")
