"""Numbers as SymPy expressions: data as exact rationals, choices as ``Piecewise`` made to follow the kink table.

Zero entries of the data vanish (SymPy's own ``0*x``), constants fold, nothing is simplified.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from . import special_functions
from .arithmetic import SpanRule, as_array, elementwise, filled, matrix_products
from .matrices import matrices_of, numbers_of, symbol_determinant, symbol_inverse
from .own_functions import functions, piecewise


def rational(value: Any) -> Any:
    """A Python or NumPy number as an exact SymPy number; an expression as it is."""
    import sympy

    if isinstance(value, sympy.Basic):
        return _number_of(value) if isinstance(value, sympy.logic.boolalg.Boolean) else value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int):
        return sympy.Integer(int(value))
    if math.isnan(value):
        return sympy.S.NaN
    if math.isinf(value):
        return sympy.S.Infinity if value > 0 else sympy.S.NegativeInfinity
    return sympy.Rational(*value.as_integer_ratio())


def symbol(name: str) -> Any:
    """A SymPy symbol without assumptions: with them every product asks for signs, which costs more than it folds."""
    import sympy

    return sympy.Symbol(name)


class Symbols:
    """Arithmetic of SymPy expressions; it keeps no state."""

    # -------------------------------------------------------------------- numbers

    def number(self, value: Any) -> Any:
        """An exact number."""
        return rational(value)

    def numbers(self, array: Any) -> np.ndarray:
        """Exact numbers; conditions become 1 and 0."""
        array = as_array(array)
        return filled(array.shape, map(_number_of, array.ravel().tolist()))

    def integers(self, array: Any) -> np.ndarray:
        """Native integers, where nothing depends on a symbol."""
        array = as_array(array)
        if array.dtype != object:
            return array.astype(np.int64)
        values = [rational(value) for value in array.ravel().tolist()]
        if not all(value.is_number for value in values):
            raise UnsupportedError(
                "an integer (an index, an argmax, a cast to int) depends on differentiated values, which symbolic "
                "differentiation cannot express; use backend 'reverse' or 'forward'"
            )
        return np.array([int(value) for value in values], dtype=np.int64).reshape(array.shape)

    def conditions(self, array: Any) -> np.ndarray:
        """Where numbers are not zero; conditions stay."""
        array = as_array(array)
        return elementwise(_condition_of, array)

    # -------------------------------------------------------------------- functions

    def scalar(self, name: str) -> Callable[..., np.ndarray]:
        """The function of that name, element by element."""
        functions = _functions()
        if name not in functions:
            raise UnsupportedError(f"SymPy has no function for {name!r} here; it has {', '.join(functions)}")
        function = functions[name]
        nan = _nan()

        def of_numbers(*values: Any) -> Any:
            return nan if any([value is nan for value in values]) else _real(function(*values))

        return lambda *operands: elementwise(of_numbers, *operands)

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Products of matrices, each entry one flat sum."""
        import sympy

        def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            rows, columns = left.tolist(), right.T.tolist()
            entries = (
                sympy.Add(*[x * y for x, y in zip(row, column, strict=True) if x and y])
                for row in rows
                for column in columns
            )
            return filled((len(rows), len(columns)), entries)

        return matrix_products(multiply, a, b)

    def determinants(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix."""
        return numbers_of(symbol_determinant, a)

    def inverses(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix."""
        return matrices_of(symbol_inverse, a)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum along the first axis, each entry one flat sum."""
        import sympy

        rest = values.shape[1:]
        columns = values.reshape(len(values), math.prod(rest)).T.tolist()
        return filled(rest, (sympy.Add(*column) for column in columns))

    # -------------------------------------------------------------------- choices

    def compare(self, name: str, a: Any, b: Any) -> np.ndarray:
        """Relations; True and False where both sides are numbers."""
        return elementwise(lambda x, y: _relation(name, rational(x), rational(y)), a, b)

    def logical(self, name: str, *conditions: Any) -> np.ndarray:
        """Relations combined."""
        import sympy

        function = {"and": sympy.And, "or": sympy.Or, "not": sympy.Not}[name]
        return elementwise(lambda *parts: _joined(function, parts), *map(self.conditions, conditions))

    def test(self, name: str, x: Any) -> np.ndarray:
        """What depends on a symbol counts as finite."""
        return elementwise(lambda value: _TESTS[name](rational(value)), x).astype(bool)

    def select(self, conditions: Sequence[Any], values: Sequence[Any], default: Any) -> np.ndarray:
        """``Piecewise`` in that order; branches that cannot be taken are left out."""
        count = len(conditions)

        def choose(*parts: Any) -> Any:
            pairs = [(rational(value), _condition_of(condition)) for condition, value in
                     zip(parts[:count], parts[count:-1], strict=True)]  # fmt: skip
            return piecewise(pairs, rational(parts[-1]))

        return elementwise(choose, *conditions, *values, default)

    def larger(self, a: Any, b: Any) -> np.ndarray:
        """Half of each where they are equal, so that the derivative is shared."""
        return elementwise(lambda x, y: _largest([rational(x), rational(y)]), a, b)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """Equal parts of all that are largest, so that the derivative is shared."""
        return elementwise(lambda *items: _largest([rational(item) for item in items]), *values)

    def at_first_largest(
        self, keys: Sequence[np.ndarray], payloads: Sequence[Sequence[np.ndarray]]
    ) -> list[np.ndarray]:
        """A tournament: neighbours meet in pairs, of equals the first goes on."""
        results = []
        for payload in payloads:
            same = payload is keys

            def champion(*items: Any, same: bool = same) -> Any:
                entrants = [rational(item) for item in items]
                half = len(entrants) // 2
                return _champion(entrants, None) if same else _champion(entrants[:half], entrants[half:])

            results.append(elementwise(champion, *keys, *([] if same else payload)))
        return results


# ---------------------------------------------------------------------------- pieces


def _champion(keys: list[Any], payload: list[Any] | None) -> Any:
    """The payload (without one, the key itself) of the first largest key."""
    while len(keys) > 1:
        next_keys, next_payload = [], []
        for k in range(0, len(keys) - 1, 2):
            wins = _relation("greater_equal", keys[k], keys[k + 1])
            next_keys.append(piecewise([(keys[k], wins)], keys[k + 1]))
            if payload is not None:
                next_payload.append(piecewise([(payload[k], wins)], payload[k + 1]))
        if len(keys) % 2:
            next_keys.append(keys[-1])
            next_payload += [] if payload is None else payload[-1:]
        keys, payload = next_keys, None if payload is None else next_payload
    return keys[0] if payload is None else payload[0]


def _largest(items: list[Any]) -> Any:
    """One alone, two as three pieces, more as the mean of those that no other exceeds."""
    import sympy

    if len(items) == 1:
        return items[0]
    if len(items) == 2:
        a, b = items
        shared = a if a == b else (a + b) / 2
        return piecewise([(a, _relation("greater", a, b)), (b, _relation("greater", b, a))], shared)
    zero, one = sympy.S.Zero, sympy.S.One
    total, count = [], []
    for position, item in enumerate(items):
        condition = _not_smaller(item, *items[:position], *items[position + 1 :])
        total.append(piecewise([(item, condition)], zero))
        count.append(piecewise([(one, condition)], zero))
    return sympy.Add(*total) / sympy.Add(*count)


def _not_smaller(value: Any, *others: Any) -> Any:
    import sympy

    return _joined(sympy.And, [_relation("greater_equal", rational(value), rational(other)) for other in others])


def _relation(name: str, a: Any, b: Any) -> Any:
    """A relation that is not rewritten; decided where no symbol is involved."""
    import sympy

    if a == b and a is not sympy.S.NaN:
        return sympy.true if name in ("equal", "greater_equal", "less_equal") else sympy.false
    if a is sympy.S.NaN or b is sympy.S.NaN:
        return sympy.true if name == "not_equal" else sympy.false
    kinds: dict[str, Any] = {"greater": sympy.Gt, "greater_equal": sympy.Ge, "less": sympy.Lt, "less_equal": sympy.Le,
             "equal": sympy.Eq, "not_equal": sympy.Ne}  # fmt: skip
    options: dict[str, Any] = {"evaluate": a.is_number and b.is_number}
    return kinds[name](a, b, **options)


def _joined(function: Any, parts: Sequence[Any]) -> Any:
    """And, Or, Not without rewriting; decided parts are folded."""
    import sympy

    parts = [sympy.sympify(part) for part in parts]
    if all(part in (sympy.true, sympy.false) for part in parts):
        return function(*parts)
    if function is sympy.Not:
        return function(parts[0], evaluate=False)
    absorbing = sympy.false if function is sympy.And else sympy.true
    if absorbing in parts:
        return absorbing
    kept = list(dict.fromkeys(part for part in parts if part not in (sympy.true, sympy.false)))
    options: dict[str, Any] = {"evaluate": False}
    return kept[0] if len(kept) == 1 else function(*kept, **options)


def _condition_of(value: Any) -> Any:
    import sympy

    if isinstance(value, bool | np.bool_):
        return sympy.true if value else sympy.false
    if isinstance(value, sympy.logic.boolalg.Boolean) and not value.is_Symbol:
        return value
    return _relation("not_equal", rational(value), sympy.S.Zero)


def _number_of(value: Any) -> Any:
    import sympy

    if isinstance(value, sympy.logic.boolalg.Boolean) and not value.is_Symbol:
        return piecewise([(sympy.S.One, value)], sympy.S.Zero)
    return value if isinstance(value, sympy.Basic) else rational(value)


_TESTS: dict[str, Callable[[Any], bool]] = {
    "isnan": lambda value: value.is_number and value.has(_nan()),
    "isinf": lambda value: value.is_number and value.is_infinite is True,
    "isfinite": lambda value: not value.is_number or (value.is_infinite is not True and not value.has(_nan())),
}


def _nan() -> Any:
    import sympy

    return sympy.S.NaN


def _real(value: Any) -> Any:
    """What NumPy would say of a number that is complex or a pole: NaN."""
    import sympy

    if value is sympy.S.ComplexInfinity or (value.is_number and value.is_real is False and not value.is_infinite):
        return sympy.S.NaN
    return value


def _quotient(a: Any, b: Any) -> Any:
    """As NumPy says, infinite over zero; SymPy's own infinity has no sign and would be complex."""
    import sympy

    return rational(a) * sympy.oo if b == 0 else a / b


@cache
def _functions() -> dict[str, Callable]:
    """Scalar functions by NumPy's names."""
    import sympy
    from sympy.codegen import cfunctions

    own = functions()
    one = sympy.S.One
    return {
        "add": lambda a, b: a + b,
        "subtract": lambda a, b: a - b,
        "multiply": lambda a, b: a * b,
        "divide": _quotient,
        "negative": lambda x: -x,
        "reciprocal": lambda x: _quotient(one, x),
        "square": lambda x: x**2,
        "integer_power": lambda x, n: x ** int(n),
        "power": own.power,
        "sqrt": sympy.sqrt,
        "exp": sympy.exp,
        "exp2": lambda x: sympy.Integer(2) ** x,
        "expm1": cfunctions.expm1,
        "log": lambda x: sympy.S.NegativeInfinity if x == 0 else sympy.log(x),
        "log2": lambda x: sympy.log(x) / sympy.log(2),
        "log10": lambda x: sympy.log(x) / sympy.log(10),
        "log1p": cfunctions.log1p,
        "logaddexp": own.logaddexp,
        "sin": sympy.sin,
        "cos": sympy.cos,
        "tan": sympy.tan,
        "arcsin": sympy.asin,
        "arccos": sympy.acos,
        "arctan": sympy.atan,
        "arctan2": sympy.atan2,
        "sinh": sympy.sinh,
        "cosh": sympy.cosh,
        "tanh": sympy.tanh,
        "arcsinh": sympy.asinh,
        "arccosh": sympy.acosh,
        "arctanh": sympy.atanh,
        "hypot": own.hypot,
        "sigmoid": own.sigmoid,
        "floor": own.floor,
        "ceil": own.ceil,
        "stop_gradient": own.stopped,
        **special_functions.of_symbols(),
    }


# ---------------------------------------------------------------------------- composites taken whole


def _softmax(arithmetic: Any, x: np.ndarray, *, axes: tuple[int, ...]) -> np.ndarray:
    import sympy

    def shares(*items: Any) -> list[Any]:
        return [functions().softmax(sympy.Integer(k), *items) for k in range(len(items))]

    return _along(axes, x, lambda groups: [shares(*group) for group in groups])


def _logsumexp(arithmetic: Any, x: np.ndarray, *, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    total = _along(axes, x, lambda groups: [[functions().logsumexp(*group)] for group in groups])
    return total if keepdims else total.reshape([n for axis, n in enumerate(x.shape) if axis not in axes])


def _along(axes: tuple[int, ...], x: np.ndarray, rule: Callable[[list[list[Any]]], list[list[Any]]]) -> np.ndarray:
    """``rule`` of the groups of elements along ``axes``; each answers with as many elements, or with one."""
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    order = (*kept, *axes)
    count = math.prod(x.shape[axis] for axis in kept)
    together = math.prod(x.shape[axis] for axis in axes)
    groups = [list(map(rational, group)) for group in x.transpose(order).reshape(count, together).tolist()]
    answers = rule(groups)
    reduced = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    whole = not answers or len(answers[0]) == len(groups[0])
    sizes = x.shape if whole else reduced
    flat = filled(tuple(sizes[axis] for axis in order), (item for answer in answers for item in answer))
    return flat.transpose(np.argsort(order))


# Taken whole, because their equations shift by the largest entry: a choice among all entries that cancels out of the
# value and of the derivative.  Overflow is kept away where the node of its own is turned into code.
SPANS: dict[str, SpanRule] = {"softmax": _softmax, "logsumexp": _logsumexp}
