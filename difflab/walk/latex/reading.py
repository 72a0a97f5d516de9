"""A tape of value and gradient read as matrix formulas, equation by equation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ...primitives.record import Aval, find
from ...tape import Equation, Tape
from .algebra import Algebra
from .broadcasts import broadcast_vector, is_ones
from .terms import (
    SCALAR,
    Apply,
    Call,
    Identity,
    Indicator,
    Name,
    Number,
    Ones,
    RowWise,
    Scaled,
    Term,
    Transpose,
    Zeros,
    matrix_shape,
)

LONG = 8
"""A formula of more symbols than this is given a name."""


def weight(term: Term, known: dict[Term, int]) -> int:
    """How many symbols a formula takes; numbers, ones and transposition are free."""
    if term not in known:
        own = {Name: 1, Apply: 1, RowWise: 1, Call: 2}.get(type(term), 0)
        known[term] = own + sum(weight(part, known) for part in term.parts)
    return known[term]


class Reader:
    """Gives every value of a tape its term; one that is long or used again becomes a name with a definition.

    ``lengths`` are inputs that count elements, ``cotangents`` values of a backward pass, ``stops`` values that are
    constant to differentiation and have to remain so in the terms, and ``again`` values that will be read once more.
    """

    def __init__(
        self,
        tape: Tape,
        lengths: set[int],
        cotangents: set[int],
        stops: frozenset[int] = frozenset(),
        again: Iterable[int] = (),
    ):
        self.tape, self.algebra, self.stops = tape, Algebra(), stops
        self.terms: dict[int, Term] = {}
        self.weights: dict[Term, int] = {}
        self.origins: dict[Term, tuple[int, int]] = {}
        self.uses = Counter(number for equation in tape.equations for number in set(equation.inputs))
        self.uses.update(tape.outputs)
        self.uses.update(again)
        for equation in tape.equations:  # what these read is read again by their slopes, which the rules find
            if equation.primitive.name in ("sigmoid", "tanh"):
                self.uses.update(equation.inputs)
        self.late = self._late(cotangents)
        for place, number in enumerate(tape.inputs):
            kind = "length" if number in lengths else "input"
            self.terms[number] = self.name(kind, place, number)
        for number, constant in tape.constants.items():
            self.terms[number] = self.constant(number, np.asarray(constant, tape.avals[number].dtype))
        for number, literal in tape.literals.items():
            self.terms[number] = self.algebra.number(np.asarray(literal, tape.avals[number].dtype)[()])
        for equation in tape.equations:
            self.terms[equation.output] = self.named(equation.output, self.read(equation))

    def _late(self, cotangents: set[int]) -> set[int]:
        """The sums of contributions to a cotangent, which come in reverse order of what sends them."""
        made = {equation.output: equation for equation in self.tape.equations if equation.primitive.name == "add"}
        late: set[int] = set()
        waiting = [number for number in cotangents if number in made]
        while waiting:
            number = waiting.pop()
            late.add(number)
            first = made[number].inputs[0]
            if first in made and self.uses[first] == 1:
                waiting.append(first)
        return late

    def name(self, kind: str, place: int, number: int) -> Name:
        """A symbol for a value of the tape."""
        shape = self.tape.avals[number].shape
        return self.algebra.name((kind, place), matrix_shape(shape), 0 if matrix_shape(shape) == SCALAR else len(shape))

    def constant(self, number: int, value: np.ndarray) -> Term:
        """Numbers and arrays of equal elements as they are, others by a name."""
        if value.ndim == 2 and value.dtype.kind == "f" and np.array_equal(value, np.eye(len(value))):
            return self.algebra.identity(len(value))
        if value.dtype.kind not in "V" and value.size and value.size == np.count_nonzero(value == value.flat[0]):
            if value.shape == () or value.dtype.kind == "f":
                one = value.flat[0]
                return self.full(self.algebra.number(one if value.dtype.kind in "fc" else int(one)), value.shape)
        return self.name("constant", number, number)

    def named(self, number: int, term: Term) -> Term:
        """The term, or a name for it."""
        first, rank = self.origins.get(term, (number, 9))
        self.origins[term] = first, min(rank, self.name("value", number, number).rank)
        heavy = weight(term, self.weights)
        body = term.body if isinstance(term, Scaled | Transpose) else term
        leaf = body is None or isinstance(body, Name | Ones | Zeros | Number)
        if (heavy <= 1 and leaf) or isinstance(term, Name | Number | Ones | Identity | Zeros | Indicator):
            return term
        if heavy <= LONG and self.uses[number] < 2:
            return term
        before = self.algebra.names.get(term)
        if before is not None:
            return before
        name = self.name("value", number, number)
        self.algebra.define(name, term)
        return name

    # -------------------------------------------------------------------- shapes

    def full(self, scalar: Term, shape: tuple[int, ...]) -> Term:
        """A number in every element."""
        return self.algebra.times(scalar, self.algebra.ones(matrix_shape(shape)))

    def lifted(self, term: Term, shape: tuple[int, ...], target: tuple[int, ...]) -> Term:
        """An operand of array shape ``shape`` broadcast to ``target``; a number stays one."""
        algebra = self.algebra
        if term.shape == SCALAR or (matrix_shape(target) == matrix_shape(shape) == term.shape and len(target) < 2):
            return term
        if len(target) > 2 and matrix_shape(target) != SCALAR:
            return term if shape == target else self.call("broadcast_to", [term], [shape], {"shape": target}, target)
        rows, columns = matrix_shape(target)
        if len(shape) == 1 and len(target) == 2:
            term = algebra.transpose(term)
        if term.shape == (rows, columns):
            return term
        if term.shape[0] == 1:
            return algebra.product(algebra.ones((rows, 1)), term)
        return algebra.product(term, algebra.ones((1, columns)))

    def call(self, name: str, parts: list[Term], shapes: list, params: dict, result: tuple[int, ...]) -> Term:
        """A primitive of the registry as a function of float arrays."""
        avals = tuple([Aval(shape, np.dtype(float)) for shape in shapes])
        return self.algebra.call(Call(find(name), tuple(params.items()), tuple(parts), avals, result))

    # -------------------------------------------------------------------- equations

    def read(self, equation: Equation) -> Term:
        """The term of an equation's output."""
        name, out = equation.primitive.name, self.tape.avals[equation.output]
        terms = [self.terms[number] for number in equation.inputs]
        avals = [self.tape.avals[number] for number in equation.inputs]
        if equation.output in self.stops:
            return self.algebra.apply(name, terms)
        rule = RULES.get(name)
        if equation.output in self.late:
            terms, avals = terms[::-1], avals[::-1]
        if rule is not None:
            found = rule(self, terms, avals, out, equation.params)
            if found is not None:
                return found
        if equation.primitive.kind == "elementwise" and name not in RULES:
            result = self.algebra.apply(name, self.bare(self.level(terms, avals, out)))
            return self.full(result, out.shape) if result.shape == SCALAR else result
        params = tuple(equation.params.items())
        return self.algebra.call(Call(equation.primitive, params, tuple(terms), tuple(avals), out.shape))

    def level(self, terms: list[Term], avals: list[Aval], out: Aval) -> list[Term]:
        """Operands broadcast to the shape of the result, numbers as they are."""
        return [self.lifted(term, aval.shape, out.shape) for term, aval in zip(terms, avals, strict=True)]

    def bare(self, terms: list[Term]) -> list[Term]:
        """Operands of a function, a number in place of a matrix of equal elements beside others."""
        even = [self.algebra.even(term) for term in terms]
        return [term if flat is None else flat for term, flat in zip(terms, even, strict=True)]

    def added(self, terms: list[Term], avals: list[Aval], out: Aval) -> Term:
        """A sum, with numbers times ones."""
        lifted = self.level(terms, avals, out)
        shape = matrix_shape(out.shape)
        return self.algebra.add(
            [self.full(term, out.shape) if term.shape == SCALAR != shape else term for term in lifted]
        )

    def multiplied(self, terms: list[Term], avals: list[Aval], out: Aval, powers: tuple[int, ...]) -> Term:
        """A product of powers, element by element."""
        product = self.algebra.hadamard(zip(self.level(terms, avals, out), powers, strict=True))
        return self.full(product, out.shape) if product.shape == SCALAR else product

    def chosen(self, terms: list[Term], avals: list[Aval], out: Aval) -> Term:
        """One operand where a condition holds, the other elsewhere, as a sum of strongly zero products."""
        algebra = self.algebra
        condition = self.bracket(terms[0])
        other = algebra.complement(condition)
        lifted = []
        for mask, term, aval in ((condition, terms[1], avals[1]), (other, terms[2], avals[2])):
            kept = self.mask(mask, terms[0], avals[0], out)
            lifted.append(self.multiplied([kept, term], [out, aval], out, (1, 1)))
        return algebra.add(lifted)

    def bracket(self, term: Term) -> Term:
        """A condition as an indicator; one that was broadcast as a relation of what is broadcast."""
        algebra = self.algebra
        whole = algebra.look(term)
        if isinstance(whole, Indicator):
            return whole
        if isinstance(whole, Transpose) and isinstance(whole.body, Indicator):
            return algebra.indicator(whole.body.relation, *map(algebra.transpose, whole.body.parts))
        number, scalars, body = algebra.split(whole)
        if number == 1 and len(scalars) == 1 and isinstance(scalars[0][0], Indicator) and body is not None:
            return scalars[0][0] if is_ones(body) else algebra.indicator("holds", term)
        if isinstance(whole, Number | Zeros) or is_ones(whole):
            return algebra.number(whole.value if isinstance(whole, Number) else int(not isinstance(whole, Zeros)))
        kind, vector = broadcast_vector(algebra, whole)
        inner = self.bracket(vector) if kind else whole
        if kind and isinstance(inner, Indicator) and inner.shape == vector.shape and inner.relation != "holds":
            ones = algebra.ones((1, whole.shape[1]) if kind == "column" else (whole.shape[0], 1))
            ends = (lambda part: (part, ones)) if kind == "column" else (lambda part: (ones, part))
            parts = [part if part.shape == SCALAR else algebra.product(*ends(part)) for part in inner.parts]
            return algebra.indicator(inner.relation, *parts)
        return algebra.indicator("holds", term)

    def mask(self, mask: Term, condition: Term, aval: Aval, out: Aval) -> Term:
        """An indicator in the shape of a result: relations are broadcast inside the brackets, to stay brackets."""
        if not isinstance(mask, Indicator) or mask.shape == matrix_shape(out.shape):
            return mask
        parts = [self.lifted(part, aval.shape, out.shape) if part.shape != SCALAR else part for part in mask.parts]
        return self.algebra.indicator(mask.relation, *parts)


Rule = Callable[[Reader, list[Term], list[Aval], Aval, dict[str, Any]], Term | None]
RELATIONS = ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "isfinite", "isnan", "isinf")


def _flat(*avals: Aval) -> bool:
    """Whether all are matrices, vectors or numbers."""
    return all(len(matrix_shape(aval.shape)) == 2 for aval in avals)


def _relation(name: str) -> Rule:
    def rule(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term:
        return reader.algebra.indicator(name, *reader.level(terms, avals, out))

    return rule


def _and(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term:
    holding = [reader.mask(reader.bracket(t), t, aval, out) for t, aval in zip(terms, avals, strict=True)]
    product = reader.algebra.hadamard([(term, 1) for term in holding])
    return reader.full(product, out.shape) if product.shape == SCALAR else product


def _or(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term:
    """The larger of two brackets."""
    holding = [reader.mask(reader.bracket(t), t, aval, out) for t, aval in zip(terms, avals, strict=True)]
    return reader.algebra.apply("maximum", holding)


def _sum(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term | None:
    if not _flat(avals[0]):
        return None
    algebra, term, axes, rank = reader.algebra, terms[0], params["axes"], avals[0].ndim
    if term.shape == SCALAR:
        return term
    if len(axes) == rank:
        rows, columns = term.shape
        return algebra.product(algebra.ones((1, rows)), algebra.product(term, algebra.ones((columns, 1))))
    if axes == (1,):
        return algebra.product(term, algebra.ones((term.shape[1], 1)))
    if axes == (0,):
        return algebra.product(algebra.transpose(term), algebra.ones((term.shape[0], 1)))
    return None if axes else term


def _reshape(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term | None:
    term, target = terms[0], matrix_shape(out.shape)
    if term.shape == SCALAR or avals[0].shape == out.shape:
        return term
    if len(target) == len(term.shape) == 2 and 1 in term.shape and 1 in target:
        return term if term.shape == target else reader.algebra.transpose(term)
    if isinstance(term, Scaled | Ones) and isinstance(term.body if isinstance(term, Scaled) else term, Ones):
        return reader.full(reader.algebra.scaled(*reader.algebra.split(term)[:2]), out.shape)
    return None


def _broadcast(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term:
    term = reader.lifted(terms[0], avals[0].shape, out.shape)
    return reader.full(term, out.shape) if term.shape == SCALAR else term


def _matmul(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term | None:
    if avals[0].ndim != 2 or avals[1].ndim != 2:
        return None
    return reader.algebra.product(*terms)


def _transpose(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term | None:
    return reader.algebra.transpose(terms[0]) if params["axes"] == (1, 0) else None


def _solve(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term | None:
    if avals[0].ndim != 2 or avals[1].ndim != 2:
        return None
    return reader.algebra.product(reader.algebra.inverse(terms[0]), terms[1])


def _inverse(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term | None:
    return reader.algebra.inverse(terms[0]) if avals[0].ndim == 2 else None


def _cast(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term | None:
    order = "biufc"
    widening = order.index(avals[0].dtype.kind) <= order.index(out.dtype.kind)
    return terms[0] if widening else None


def _sign(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term:
    whole = reader.algebra.look(terms[0])
    if isinstance(whole, Apply) and whole.function == "relu":
        return reader.algebra.indicator("greater", whole.parts[0], reader.algebra.number(0))
    return reader.algebra.apply("sign", terms)


def _power(reader: Reader, terms: list[Term], avals: list[Aval], out: Aval, params: dict) -> Term | None:
    exponent = reader.bare(terms)[1]
    if isinstance(exponent, Number) and exponent.value.denominator == 1:
        return reader.multiplied(terms[:1], avals[:1], out, (int(exponent.value),))
    result = reader.algebra.apply("power", reader.bare(reader.level(terms, avals, out)))
    return reader.full(result, out.shape) if result.shape == SCALAR else result


RULES: dict[str, Rule] = {
    "add": lambda reader, terms, avals, out, params: reader.added(terms, avals, out),
    "subtract": lambda reader, terms, avals, out, params: reader.added(
        [terms[0], reader.algebra.negative(terms[1])], avals, out
    ),
    "multiply": lambda reader, terms, avals, out, params: reader.multiplied(terms, avals, out, (1, 1)),
    "divide": lambda reader, terms, avals, out, params: reader.multiplied(terms, avals, out, (1, -1)),
    "negative": lambda reader, terms, avals, out, params: reader.algebra.negative(terms[0]),
    "square": lambda reader, terms, avals, out, params: reader.multiplied(terms, avals, out, (2,)),
    "reciprocal": lambda reader, terms, avals, out, params: reader.multiplied(terms, avals, out, (-1,)),
    "integer_power": lambda reader, terms, avals, out, params: reader.multiplied(terms, avals, out, (params["n"],)),
    "power": _power,
    "where": lambda reader, terms, avals, out, params: reader.chosen(terms, avals, out),
    "logical_and": _and,
    "logical_or": _or,
    "logical_not": lambda reader, terms, avals, out, params: reader.algebra.complement(terms[0]),
    "copy": lambda reader, terms, avals, out, params: terms[0],
    "stop_gradient": lambda reader, terms, avals, out, params: terms[0],
    "zeros_like": lambda reader, terms, avals, out, params: reader.algebra.zeros(matrix_shape(out.shape)),
    "sign": _sign,
    "cast": _cast,
    "sum": _sum,
    "reshape": _reshape,
    "broadcast_to": _broadcast,
    "matmul": _matmul,
    "transpose": _transpose,
    "solve": _solve,
    "inverse": _inverse,
    **{name: _relation(name) for name in RELATIONS},
}
"""Primitives that are more than a function with a name; a rule returns ``None`` where that is what is left."""
