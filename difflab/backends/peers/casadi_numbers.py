"""Numbers as CasADi's scalar expressions, in the protocol of ``execution.arithmetic``.

CasADi multiplies by zero and compares equal expressions when it builds them, so numbers are taken to be finite: what
depends on a symbol is never NaN to a test, and a choice multiplies the branch not taken by zero in its derivative.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...execution.arithmetic import SpanRule, as_array, elementwise, filled, matrix_products
from ...execution.matrices import matrices_of, numbers_of
from ...tape import Tape
from .casadi_expressions import (
    FUNCTIONS,
    RELATIONS,
    Number,
    binary,
    condition,
    engine,
    entries,
    expression,
    larger,
    matrix,
    number,
    of_rows,
    opposite,
)


class Numbers:
    """Arithmetic of CasADi's scalar expressions.

    ``stopped`` holds what no derivative passes, as a symbol of its own and what it stands for, in order; ``primitive``
    is the name of the one at work, for messages.
    """

    def __init__(self) -> None:
        self.stopped: list[tuple[Any, Any]] = []
        self.primitive = ""

    # -------------------------------------------------------------------- numbers

    def number(self, value: Any) -> Number:
        """A double."""
        return number(value)

    def numbers(self, array: Any) -> np.ndarray:
        """Doubles as expressions; conditions are numbers already, 1 and 0."""
        array = as_array(array)
        return filled(array.shape, map(number, array.ravel().tolist()))

    def integers(self, array: Any) -> np.ndarray:
        """Native integers, where nothing depends on a symbol."""
        array = as_array(array)
        if array.dtype != object:
            return array.astype(np.int64)
        values = list(map(expression, array.ravel().tolist()))
        if not all(value.is_constant() for value in values):
            raise UnsupportedError(
                f"the primitive `{self.primitive}` makes integers of numbers that are symbols to backend 'casadi', and "
                "expressions cannot be indices; use backend 'reverse' or 'forward'"
            )
        return np.array([int(float(value)) for value in values], dtype=np.int64).reshape(array.shape)

    def conditions(self, array: Any) -> np.ndarray:
        """Where numbers are not zero; conditions stay."""
        return elementwise(condition, as_array(array))

    # -------------------------------------------------------------------- functions

    def scalar(self, name: str) -> Callable[..., np.ndarray]:
        """The function of that name, element by element."""
        if name == "stop_gradient":
            return lambda x: elementwise(lambda item: self.hidden(expression(item)), x)
        function = FUNCTIONS.get(name)
        if function is None:
            raise UnsupportedError(
                f"the primitive `{self.primitive}` needs the function {name!r}, which CasADi does not have; use "
                "backend 'reverse', or Symbolic(), which may have it"
            )
        return lambda *operands: elementwise(lambda *values: Number(function(*map(expression, values))), *operands)

    def hidden(self, value: Any) -> Number:
        """A value as a constant to every derivative."""
        if value.is_constant():
            return Number(value)
        name = engine()[0].SX.sym(f"stopped{len(self.stopped)}")
        self.stopped.append((name, value))
        return Number(name)

    def seen(self, expressions: Sequence[Any]) -> list[Any]:
        """The same with what was stopped in its place again."""
        if not self.stopped:
            return list(expressions)
        names, values = zip(*self.stopped, strict=True)
        return engine()[0].substitute_inplace(list(names), list(values), list(expressions), False)[1]

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Products of matrices, by CasADi's own."""

        def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            return entries(engine()[0].mtimes(matrix(left), matrix(right)), (left.shape[0], right.shape[1]))

        return matrix_products(multiply, a, b)

    def determinants(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix."""
        return numbers_of(lambda rows: Number(engine()[0].det(of_rows(rows))) if rows else number(1), a)

    def inverses(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix."""

        def inverse(rows: list[list[Any]]) -> list[list[Any]]:
            return entries(engine()[0].inv(of_rows(rows)), (len(rows), len(rows))).tolist()

        return matrices_of(inverse, a)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum along the first axis."""
        rest = values.shape[1:]
        if not values.size:
            return filled(rest, [number(0) for _ in range(math.prod(rest))])
        return entries(engine()[0].sum1(matrix(values.reshape(len(values), -1))), rest)

    # -------------------------------------------------------------------- choices

    def compare(self, name: str, a: Any, b: Any) -> np.ndarray:
        """Relations, 1 or 0; decided where both sides are numbers."""
        code, swapped = RELATIONS[name]

        def relation(x: Any, y: Any) -> Number:
            x, y = expression(x), expression(y)
            return Number(binary(code, y, x) if swapped else binary(code, x, y))

        return elementwise(relation, a, b)

    def logical(self, name: str, *conditions: Any) -> np.ndarray:
        """Relations combined."""
        parts = [self.conditions(one) for one in conditions]
        if name == "not":
            return elementwise(opposite, *parts)
        code = "AND" if name == "and" else "OR"
        return elementwise(lambda x, y: Number(binary(code, x.of, y.of)), *parts)

    def test(self, name: str, x: Any) -> np.ndarray:
        """What depends on a symbol counts as finite."""
        function = getattr(math, name)

        def holds(value: Any) -> bool:
            value = expression(value)
            return function(float(value)) if value.is_constant() else name == "isfinite"

        return elementwise(holds, x).astype(bool)

    def select(self, conditions: Sequence[Any], values: Sequence[Any], default: Any) -> np.ndarray:
        """CasADi's ``if_else``, nested; branches that cannot be taken are left out."""
        count = len(conditions)

        def choose(*parts: Any) -> Number:
            chosen = expression(parts[-1])
            for relation, value in reversed(list(zip(parts[:count], parts[count:-1], strict=True))):
                holds = condition(relation)
                if holds.of.is_constant():
                    chosen = expression(value) if holds else chosen
                else:
                    taken = binary("IF_ELSE_ZERO", holds.of, expression(value))
                    other = binary("IF_ELSE_ZERO", opposite(holds).of, chosen)
                    chosen = binary("ADD", taken, other)
            return Number(chosen)

        return elementwise(choose, *conditions, *values, default)

    def larger(self, a: Any, b: Any) -> np.ndarray:
        """CasADi's ``fmax``, whose derivative is shared where both are equal."""
        return elementwise(lambda x, y: Number(larger(expression(x), expression(y))), a, b)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The largest; the derivative is shared in equal parts by all that are."""
        return elementwise(lambda *items: self._largest([*map(expression, items)]), *values)

    def _largest(self, items: list[Any]) -> Number:
        if len(items) < 3:
            return Number(functools.reduce(larger, items))
        top = self.hidden(functools.reduce(larger, items)).of
        equal = [binary("LE", top, item) for item in items]
        chosen = [binary("IF_ELSE_ZERO", holds, item) for holds, item in zip(equal, items, strict=True)]
        return sum(map(Number, chosen), number(0)) / sum(map(Number, equal), number(0))

    def at_first_largest(
        self, keys: Sequence[np.ndarray], payloads: Sequence[Sequence[np.ndarray]]
    ) -> list[np.ndarray]:
        """One after the other against the largest so far; of equals the first stays."""
        results = []
        for payload in payloads:
            top, chosen = keys[0], payload[0]
            for key, value in zip(keys[1:], payload[1:], strict=True):
                stays = self.compare("greater_equal", top, key)
                chosen = self.select([stays], [chosen], value)
                top = chosen if payload is keys else self.select([stays], [top], key)
            results.append(self.numbers(chosen))
        return results


_LACKS = "CasADi has no such function, and one minus its `erf` would lose the digits of small values"
_INDEX = "its integers depend on differentiated numbers, and expressions cannot be indices"
# Primitives that are refused, and why; of others that run on no exact numbers their records say why.
REFUSED: dict[str, str] = {
    **dict.fromkeys(("erfc", "ndtr"), _LACKS),
    **dict.fromkeys(
        ("sinc", "polygamma", "psi", "gamma", "gammaln", "loggamma", "beta", "betaln", "jv", "yv", "iv", "kv", "yn",
         "j0", "j1", "y0", "y1", "i0", "i1", "k0", "k1", "i0e", "i1e", "k0e", "k1e", "numpy_i0"),
        "CasADi has no such function"),
    **dict.fromkeys(("argmax", "argmin", "argsort", "searchsorted"), _INDEX),
}  # fmt: skip
# Primitives that answer otherwise than NumPy, and where.
OTHERWISE = {
    "sigmoid": "written as 1 / (1 + exp(-x)), whose derivative is NaN where exp(-x) overflows, below -709",
    "cast": "to float32 nothing is rounded: all is computed in double precision",
}
# Primitives whose rule chooses, and for which CasADi has a function with the same value and derivative everywhere.
OWN = ("absolute", "sign", "cbrt", "scipy_cbrt")


def own_functions(tape: Tape) -> Tape:
    """The tape with CasADi's functions where a rule would write choices."""
    return replace(
        tape,
        equations=tuple(
            e._replace(primitive=replace(e.primitive, exact=e.primitive.name.removeprefix("scipy_")))
            if e.primitive.name in OWN
            else e
            for e in tape.equations
        ),
    )


# ---------------------------------------------------------------------------- composites taken whole


def _softmax(arithmetic: Any, x: np.ndarray, *, axes: tuple[int, ...]) -> np.ndarray:
    powers = arithmetic.scalar("exp")(x - _tops(arithmetic, x, axes))
    return powers / _summed(arithmetic, powers, axes)


def _logsumexp(arithmetic: Any, x: np.ndarray, *, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    top = _tops(arithmetic, x, axes)
    result = arithmetic.scalar("log")(_summed(arithmetic, arithmetic.scalar("exp")(x - top), axes)) + top
    return result if keepdims else result.reshape([n for axis, n in enumerate(x.shape) if axis not in axes])


def _merged(x: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, list[int]]:
    """What ``axes`` hold on one leading axis, and the shape of a reduction that keeps them."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    count = math.prod(x.shape[axis] for axis in axes)
    rows = x.transpose((*axes, *kept)).reshape((count, *[x.shape[axis] for axis in kept]))
    return rows, [1 if axis in axes else n for axis, n in enumerate(x.shape)]


def _tops(arithmetic: Any, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The largest of each group, as a constant to every derivative: what it does cancels out of the value."""
    rows, shape = _merged(x, axes)
    tops = elementwise(lambda *items: arithmetic.hidden(functools.reduce(larger, map(expression, items))), *rows)
    return tops.reshape(shape)


def _summed(arithmetic: Any, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    rows, shape = _merged(x, axes)
    return as_array(arithmetic.sum(rows)).reshape(shape)


# As in difflab's own symbolic engines.
SPANS: dict[str, SpanRule] = {"softmax": _softmax, "logsumexp": _logsumexp}
