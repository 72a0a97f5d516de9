"""The derivatives of functions of each element, as terms; at kinks those of difflab's table.

The table: relu'(0) = 0, a maximum or minimum shares equally among those that tie, abs'(0) = 0, the derivative of x^0
is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..latex.algebra import Algebra
from ..latex.terms import SCALAR, Apply, Number, Term

FLAT = frozenset(
    ("sign", "floor", "ceil", "trunc", "rint", "signbit", "stop_gradient", "greater", "greater_equal",
     "less", "less_equal", "equal", "not_equal", "isnan", "isinf", "isfinite", "logical_and", "logical_or",
     "logical_not", "logical_xor")
)  # fmt: skip
"""Functions whose derivative is 0 wherever they have one."""


class Elements:
    """Arithmetic element by element with terms of one shape and numbers."""

    def __init__(self, algebra: Algebra, term: Apply):
        self.algebra, self.shape, self.term = algebra, term.shape, term

    def __call__(self, function: str, *parts: Term) -> Term:
        """A function."""
        return self.algebra.apply(function, parts)

    def itself(self) -> Term:
        """The value of the function, by its name if it has one."""
        return self.algebra.name_of(self.term)

    def times(self, *factors: Term | float | tuple[Term, int]) -> Term:
        """A product of numbers, terms, and powers of terms."""
        pairs = [factor if isinstance(factor, tuple) else (self.term_of(factor), 1) for factor in factors]
        return self.algebra.hadamard(pairs)

    def plus(self, *terms: Term | float) -> Term:
        """A sum, in which numbers go with every element."""
        made = [self.term_of(term) for term in terms]
        shape = next((term.shape for term in made if term.shape != SCALAR), SCALAR)
        return self.algebra.add(
            [self.algebra.times(one, self.algebra.ones(shape)) if one.shape != shape else one for one in made]
        )

    def minus(self, a: Term | float, b: Term | float) -> Term:
        """A difference."""
        return self.plus(a, self.algebra.negative(self.term_of(b)))

    def term_of(self, value: Term | float) -> Term:
        """A Python number as a term."""
        return self.algebra.number(value) if isinstance(value, int | float) else value

    def step(self, a: Term, b: Term) -> Term:
        """1 where a > b, one half where both are equal."""
        return self.algebra.indicator("step", a, b)


def _power(e: Elements, base: Term, exponent: Term) -> list[Term]:
    less = e.minus(exponent, 1)
    whole = isinstance(less, Number) and less.value.denominator == 1
    below = e.times((base, int(less.value))) if isinstance(less, Number) and whole else e("power", base, less)
    moves = [] if isinstance(exponent, Number) else [e.algebra.indicator("not_equal", exponent, e.term_of(0))]
    there = e.algebra.indicator("not_equal", base, e.term_of(0))
    return [e.times(*moves, exponent, below), e.times(there, e.itself(), e("log", base))]


def _sigmoid_slope(e: Elements, x: Term) -> list[Term]:
    return [e.times(e.itself(), e.minus(1, e.times(2, e("sigmoid", x))))]


def _logarithm(base: int) -> Callable[[Elements, Term], list[Term]]:
    return lambda e, x: [e.times((x, -1), (e("log", e.term_of(base)), -1))]


def _root(e: Elements, inside: Term) -> Term:
    return e.times((e("sqrt", inside), -1))


def _squares(e: Elements, a: Term, b: Term) -> Term:
    return e.plus(e.times((a, 2)), e.times((b, 2)))


def _sigmoids(e: Elements, a: Term, b: Term) -> list[Term]:
    return [e("sigmoid", e.minus(a, b)), e("sigmoid", e.minus(b, a))]


def _sigmoids_of_two(e: Elements, a: Term, b: Term) -> list[Term]:
    half = e("log", e.term_of(2))
    return [e("sigmoid", e.times(half, e.minus(a, b))), e("sigmoid", e.times(half, e.minus(b, a)))]


def _larger(e: Elements, a: Term, b: Term) -> list[Term]:
    return [e.step(a, b), e.step(b, a)]


SLOPES: dict[str, Callable[..., list[Term]]] = {
    "exp": lambda e, x: [e.itself()],
    "expm1": lambda e, x: [e("exp", x)],
    "exp2": lambda e, x: [e.times(e("log", e.term_of(2)), e.itself())],
    "exp10": lambda e, x: [e.times(e("log", e.term_of(10)), e.itself())],
    "log": lambda e, x: [e.times((x, -1))],
    "log1p": lambda e, x: [e.times((e.plus(1, x), -1))],
    "log2": _logarithm(2),
    "log10": _logarithm(10),
    "sqrt": lambda e, x: [e.times(0.5, (e.itself(), -1))],
    "cbrt": lambda e, x: [e.times((e.itself(), -2), (e.term_of(3), -1))],
    "power": _power,
    "sin": lambda e, x: [e("cos", x)],
    "cos": lambda e, x: [e.times(-1, e("sin", x))],
    "tan": lambda e, x: [e.plus(1, e.times((e.itself(), 2)))],
    "arcsin": lambda e, x: [_root(e, e.minus(1, e.times((x, 2))))],
    "arccos": lambda e, x: [e.times(-1, _root(e, e.minus(1, e.times((x, 2)))))],
    "arctan": lambda e, x: [e.times((e.plus(1, e.times((x, 2))), -1))],
    "sinh": lambda e, x: [e("cosh", x)],
    "cosh": lambda e, x: [e("sinh", x)],
    "tanh": lambda e, x: [e("tanh'", x)],
    "tanh'": lambda e, x: [e.times(-2, e("tanh", x), e.itself())],
    "arcsinh": lambda e, x: [_root(e, e.plus(1, e.times((x, 2))))],
    "arccosh": lambda e, x: [e.times(_root(e, e.plus(x, 1)), _root(e, e.minus(x, 1)))],
    "arctanh": lambda e, x: [e.times((e.minus(1, e.times((x, 2))), -1))],
    "sigmoid": lambda e, x: [e("sigmoid'", x)],
    "sigmoid'": _sigmoid_slope,
    "log_expit": lambda e, x: [e("sigmoid", e.times(-1, x))],
    "logit": lambda e, x: [e.times((x, -1), (e.minus(1, x), -1))],
    "erf": lambda e, x: [e.times(2 / math.sqrt(math.pi), e("exp", e.times(-1, (x, 2))))],
    "erfc": lambda e, x: [e.times(-2 / math.sqrt(math.pi), e("exp", e.times(-1, (x, 2))))],
    "relu": lambda e, x: [e.algebra.indicator("greater", x, e.algebra.number(0))],
    "absolute": lambda e, x: [e("sign", x)],
    "maximum": _larger,
    "minimum": lambda e, a, b: _larger(e, b, a),
    "fmax": _larger,
    "fmin": lambda e, a, b: _larger(e, b, a),
    "logaddexp": _sigmoids,
    "logaddexp2": _sigmoids_of_two,
    "heaviside": lambda e, x, half: [e.term_of(0), e.algebra.indicator("equal", x, e.term_of(0))],
    "xlogy": lambda e, x, y: [e("log", y), e.times(e.algebra.indicator("not_equal", x, e.term_of(0)), x, (y, -1))],
    "hypot": lambda e, a, b: [e.times(a, (e.itself(), -1)), e.times(b, (e.itself(), -1))],
    "arctan2": lambda e, a, b: [e.times(b, (_squares(e, a, b), -1)), e.times(-1, a, (_squares(e, a, b), -1))],
    "degrees": lambda e, x: [e.term_of(180 / math.pi)],
    "radians": lambda e, x: [e.term_of(math.pi / 180)],
}  # fmt: skip
"""For every function the derivative by each operand, each a term of the function's shape or a number."""


def slopes(algebra: Algebra, term: Apply) -> Sequence[Term] | None:
    """The derivatives of a function by each of its operands, element by element.

    Args:
        algebra: makes the terms.
        term: the function of its operands.

    Returns:
        A term for each operand; none at all where all are 0; ``None`` if the function has no rule here.

    Example:
        >>> from difflab.walk.latex.saying import said
        >>> algebra = Algebra()
        >>> x = algebra.name(("input", 0), (3, 1), 1)
        >>> said(slopes(algebra, algebra.apply("cos", [x]))[0])
        '-\\\\sin(x_{0}) of shape 3 by 1'
    """
    if term.function in FLAT:
        return ()
    rule: Any = SLOPES.get(term.function)
    return None if rule is None or term.params else rule(Elements(algebra, term), *term.parts)
