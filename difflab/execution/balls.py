"""Numbers as balls: a midpoint and a radius that certainly enclose the true value (Arb, through python-flint).

Every operation returns a ball that contains all results its operands allow, so rounding is accounted for instead of
forgotten.  What is asked of a ball, ``a > b``, has three answers: certainly yes, certainly no, or not known at this
precision; the last is an ``UndecidedError``, after which the caller raises the precision.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from ..errors import UndecidedError, UnsupportedError
from . import special_functions
from .arithmetic import as_array, elementwise, filled, matrix_products
from .matrices import ball_determinant, ball_inverse, matrices_of, numbers_of

# Arb's working precision belongs to the whole process.
PRECISION_LOCK = threading.RLock()


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """Ball arithmetic at ``bits`` bits, for one thread at a time; the previous precision comes back afterwards."""
    import flint

    with PRECISION_LOCK:
        before = flint.ctx.prec
        flint.ctx.prec = bits
        try:
            yield
        finally:
            flint.ctx.prec = before


def ball(value: Any) -> Any:
    """A ball of radius zero around a Python or NumPy number; a ball as it is."""
    from flint import arb

    if isinstance(value, arb):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    return arb(int(value)) if isinstance(value, bool) else arb(value)


@dataclass
class Balls:
    """Ball arithmetic at the precision set by ``precision``.

    Balls are a tie where they enclose one number for certain: the same object, or the same ball of radius zero.
    ``ties`` counts those that a choice met, ``unproven`` the balls that only look the same: equal in midpoint and
    radius, and computed in different ways.  The latter are undecided, unless ``trusting`` takes them for ties.
    ``touched`` counts all comparisons of equal numbers, those included that ask for equality.
    """

    ties: int = field(default=0)
    unproven: int = field(default=0)
    trusting: bool = field(default=False)
    touched: int = field(default=0)
    negatives: dict[int, tuple[Any, Any]] = field(default_factory=dict, repr=False)

    def same(self, a: Any, b: Any) -> bool:
        """Whether two balls enclose one number for certain."""
        if a is b:
            self.touched += 1
            return True
        if a.mid() != b.mid() or a.rad() != b.rad():
            return False
        if a.is_exact():
            self.touched += 1
            return True
        if a.rel_accuracy_bits() <= 40:  # two wide enclosures of zero are the same ball without any reason
            return False
        self.unproven += 1
        self.touched += self.trusting
        return self.trusting

    # -------------------------------------------------------------------- numbers

    def number(self, value: Any) -> Any:
        """A ball of radius zero."""
        return ball(value)

    def numbers(self, array: Any) -> np.ndarray:
        """Balls of radius zero around the entries."""
        array = as_array(array)
        return filled(array.shape, map(ball, array.ravel().tolist()))

    def integers(self, array: Any) -> np.ndarray:
        """The integers that the balls enclose, rounded towards zero."""
        array = as_array(array)
        if array.dtype != object:
            return array.astype(np.int64)
        values = [value if isinstance(value, int) else _truncated(value) for value in array.ravel().tolist()]
        return np.array(values, dtype=np.int64).reshape(array.shape)

    def conditions(self, array: Any) -> np.ndarray:
        """Where the balls are certainly not zero."""
        array = as_array(array)
        return array.astype(bool) if array.dtype != object else self.compare("not_equal", array, ball(0))

    # -------------------------------------------------------------------- functions

    def scalar(self, name: str) -> Callable[..., np.ndarray]:
        """The function of that name, element by element."""
        function = self._negate if name == "negative" else ball_function(name)
        return lambda *operands: elementwise(function, *operands)

    def _negate(self, value: Any) -> Any:
        """Minus a ball: one object for one ball, and the ball itself again for minus its negative."""
        known = self.negatives.get(id(value))
        if known is not None:
            return known[1]
        result = -value
        self.negatives[id(value)] = (value, result)
        self.negatives[id(result)] = (result, value)
        return result

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Products of matrices by Arb's own algorithm."""
        from flint import arb_mat

        def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            rows, inner, columns = *left.shape, right.shape[1]
            if rows * inner * columns == 0:
                return filled((rows, columns), [ball(0)] * (rows * columns))
            product = arb_mat(rows, inner, left.ravel().tolist()) * arb_mat(inner, columns, right.ravel().tolist())
            return filled((rows, columns), product.entries())

        return matrix_products(multiply, a, b)

    def determinants(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix."""
        return numbers_of(ball_determinant, a)

    def inverses(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix."""
        return matrices_of(ball_inverse, a)

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum along the first axis."""
        if len(values) == 0:
            return self.numbers(np.zeros(values.shape[1:]))
        return as_array(np.add.reduce(values, axis=0))

    # -------------------------------------------------------------------- choices

    def compare(self, name: str, a: Any, b: Any) -> np.ndarray:
        """Certain answers only, as a native array of booleans."""
        decide = _DECISIONS[name]
        return elementwise(lambda x, y: decide(self, ball(x), ball(y)), a, b).astype(bool)

    def logical(self, name: str, *conditions: Any) -> np.ndarray:
        """NumPy's own, on decided conditions."""
        function = {"and": np.logical_and, "or": np.logical_or, "not": np.logical_not}[name]
        return function(*[self.conditions(condition) for condition in conditions])

    def test(self, name: str, x: Any) -> np.ndarray:
        """What kind of number a ball is; a ball of unbounded radius is none in particular."""
        return elementwise(lambda value: _TESTS[name](_classified(ball(value))), x).astype(bool)

    def select(self, conditions: Sequence[Any], values: Sequence[Any], default: Any) -> np.ndarray:
        """Whole balls of the taken branches; the others are not looked at."""
        parts = [as_array(part) for part in (*conditions, *values, default)]
        shape = np.broadcast_shapes(*[part.shape for part in parts])
        parts = [np.broadcast_to(part, shape) for part in parts]
        taken = len(conditions)
        result = parts[-1].astype(object)
        for condition, value in reversed(list(zip(parts[:taken], parts[taken:-1], strict=True))):
            chosen = condition.astype(bool)
            result[chosen] = value[chosen]
        return result

    def larger(self, a: Any, b: Any) -> np.ndarray:
        """The certain maximum; of equal ones the first."""
        return elementwise(self._larger, a, b)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The certain maximum along the first axis."""
        result = values[0]
        for value in values[1:]:
            result = self.larger(result, value)
        return as_array(result)

    def at_first_largest(
        self, keys: Sequence[np.ndarray], payloads: Sequence[Sequence[np.ndarray]]
    ) -> list[np.ndarray]:
        """What each list of payloads holds where the first certainly largest key stands."""
        best = as_array(keys[0])
        results = [as_array(payload[0]) for payload in payloads]
        for position, key in enumerate(keys[1:], start=1):
            better = elementwise(self.beats, key, best).astype(bool)
            best = self.select([better], [key], best)
            results = [
                self.select([better], [payload[position]], result)
                for payload, result in zip(payloads, results, strict=True)
            ]
        return results

    def beats(self, a: Any, b: Any) -> bool:
        """Whether a is certainly larger; a tie is counted and lost."""
        return _greater(self, ball(a), ball(b))

    def _larger(self, a: Any, b: Any) -> Any:
        return b if self.beats(b, a) else a


# ---------------------------------------------------------------------------- decisions


def _undecided(a: Any, b: Any, relation: str) -> UndecidedError:
    return UndecidedError(
        f"whether {a.str(12)} {relation} {b.str(12)} cannot be decided: the enclosures overlap, and nothing proves "
        "them equal"
    )


def _greater(balls: Balls, a: Any, b: Any) -> bool:
    if a > b:
        return True
    if a < b:
        return False
    if a.is_nan() or b.is_nan():
        return _unordered(a, b)
    if balls.same(a, b):
        balls.ties += 1
        return False
    if a <= b:
        return False
    raise _undecided(a, b, ">")


def _greater_equal(balls: Balls, a: Any, b: Any) -> bool:
    if a.is_nan() or b.is_nan():
        return _unordered(a, b)
    return not _greater(balls, b, a)


def _equal(balls: Balls, a: Any, b: Any) -> bool:
    if a.is_nan() or b.is_nan():
        return _unordered(a, b)
    if balls.same(a, b):
        return True
    if not a.overlaps(b):
        return False
    raise _undecided(a, b, "=")


def _unordered(a: Any, b: Any) -> bool:
    """A comparison with NaN is false where NaN is given; a NaN that arose says that the domain is not certain."""
    for value in (a, b):
        if value.is_nan() and _classified(value) != "nan":
            raise _undecided(a, b, ">")
    return False


def _classified(value: Any) -> str:
    if value.is_finite():
        return "finite"
    if value.is_nan():
        # A NaN of radius zero was given as data; operations outside their domain return one of infinite radius.
        return "nan" if value.rad().is_zero() else "unknown"
    return "infinite" if value.is_exact() else "unknown"


def _certain(kind: str, wanted: str) -> bool:
    if kind == "unknown":
        raise UndecidedError("whether a value is finite cannot be decided: its enclosure is unbounded")
    return kind == wanted


_TESTS: dict[str, Callable[[str], bool]] = {
    "isnan": lambda kind: _certain(kind, "nan"),
    "isinf": lambda kind: _certain(kind, "infinite"),
    "isfinite": lambda kind: _certain(kind, "finite"),
}
_DECISIONS: dict[str, Callable[[Balls, Any, Any], bool]] = {
    "greater": _greater,
    "less": lambda balls, a, b: _greater(balls, b, a),
    "greater_equal": _greater_equal,
    "less_equal": lambda balls, a, b: _greater_equal(balls, b, a),
    "equal": _equal,
    "not_equal": lambda balls, a, b: not _equal(balls, a, b),
}


def _rounded(x: Any, name: str) -> Any:
    """floor or ceil, where the ball leaves no doubt."""
    integer = getattr(x, name)().unique_fmpz()
    if integer is None:
        raise UndecidedError(f"the {name} of {x.str(12)} cannot be decided: the enclosure contains an integer")
    return ball(int(integer))


def _truncated(x: Any) -> int:
    name = "ceil" if x < 0 else "floor"
    return int(_rounded(x, name).unique_fmpz())


def _square(x: Any) -> Any:
    return (x * x).nonnegative_part()


def _integer_power(x: Any, n: int) -> Any:
    """By squaring: Arb's own power takes a logarithm, and so loses a ball whose middle is zero."""
    if n < 0:
        return ball(1) / _integer_power(x, -n)
    result = ball(1)
    while n:
        if n & 1:
            result = result * x
        n >>= 1
        x = _square(x) if n else x
    return result


def _power(x: Any, y: Any) -> Any:
    if y.is_exact() and y.is_integer() and abs(y) < 1e4:
        return _integer_power(x, int(y.unique_fmpz()))
    return x**y


def ball_function(name: str) -> Callable:
    """The function of balls of that name."""
    functions = _functions()
    if name not in functions:
        raise UnsupportedError(f"ball arithmetic has no function called {name!r}; it knows {', '.join(functions)}")
    return functions[name]


@cache
def _functions() -> dict[str, Callable]:
    """Scalar functions by NumPy's names."""
    from flint import arb

    one, two = arb(1), arb(2)
    return {
        "add": operator.add,
        "subtract": operator.sub,
        "multiply": operator.mul,
        "divide": operator.truediv,
        "negative": operator.neg,
        "reciprocal": lambda x: one / x,
        "square": _square,
        "integer_power": _integer_power,
        "power": _power,
        "sqrt": arb.sqrt,
        "exp": arb.exp,
        "exp2": lambda x: two**x,
        "expm1": arb.expm1,
        "log": arb.log,
        "log2": lambda x: x.log() / two.log(),
        "log10": lambda x: x.log() / arb(10).log(),
        "log1p": arb.log1p,
        "logaddexp": lambda a, b: a + (b - a).exp().log1p(),
        "sin": arb.sin,
        "cos": arb.cos,
        "tan": arb.tan,
        "arcsin": arb.asin,
        "arccos": arb.acos,
        "arctan": arb.atan,
        "arctan2": arb.atan2,
        "sinh": arb.sinh,
        "cosh": arb.cosh,
        "tanh": arb.tanh,
        "arcsinh": arb.asinh,
        "arccosh": arb.acosh,
        "arctanh": arb.atanh,
        "hypot": lambda a, b: (_square(a) + _square(b)).sqrt(),
        "sigmoid": lambda x: one / (one + (-x).exp()),
        "floor": lambda x: _rounded(x, "floor"),
        "ceil": lambda x: _rounded(x, "ceil"),
        "stop_gradient": lambda x: x,
        **special_functions.of_balls(),
    }
