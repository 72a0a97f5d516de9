"""A tape along a line through its inputs, in truncated power series: what derivative rules are checked against.

The tape of the loss itself runs here, in the arithmetic of ``jets.py``; the coefficient of ``t`` is the derivative
along the line, that of ``t**2`` half the second one.  What chooses looks at the values alone, as balls do; where it
meets a tie, the branches share as the kink table says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..primitives.record import Primitive
from ..tape import Tape
from .arithmetic import as_array, elementwise, evaluate, filled
from .balls import Balls, ball, ball_function, precision
from .jets import Jet, coefficient, jet_function, line, terms, value_of, with_first
from .matrices import matrices_of, numbers_of
from .provenance import Provenance


@dataclass
class Series:
    """Arithmetic of balls and jets; ``balls`` makes the decisions, on values."""

    balls: Balls = field(default_factory=Balls)

    def number(self, value: Any) -> Any:
        """A ball of radius zero, or a jet as it is."""
        return value if type(value) is Jet else ball(value)

    def numbers(self, array: Any) -> np.ndarray:
        """Numbers from anything."""
        array = as_array(array)
        return filled(array.shape, map(self.number, array.ravel().tolist()))

    def integers(self, array: Any) -> np.ndarray:
        """The integers of the values."""
        return self.balls.integers(values_of(array))

    def conditions(self, array: Any) -> np.ndarray:
        """Where the values are certainly not zero."""
        return self.balls.conditions(values_of(array))

    def scalar(self, name: str) -> Callable[..., np.ndarray]:
        """The function of that name, element by element."""
        if name in ("floor", "ceil", "stop_gradient"):  # constants to every derivative
            function = self.balls.scalar(name)
            return lambda *operands: function(*map(values_of, operands))
        function = self._negate if name == "negative" else jet_function(name, ball_function(name))
        return lambda *operands: elementwise(function, *operands)

    def _negate(self, item: Any) -> Any:
        """As balls do it: minus equal values are equal values, so that a smallest one has the ties of a largest."""
        return Jet(self.balls._negate(item.value), -item.series) if type(item) is Jet else self.balls._negate(item)

    def compare(self, name: str, a: Any, b: Any) -> np.ndarray:
        """Decided on values."""
        return self.balls.compare(name, values_of(a), values_of(b))

    def logical(self, name: str, *conditions: Any) -> np.ndarray:
        """NumPy's own, on decided conditions."""
        return self.balls.logical(name, *[self.conditions(condition) for condition in conditions])

    def test(self, name: str, x: Any) -> np.ndarray:
        """Decided on values."""
        return self.balls.test(name, values_of(x))

    def select(self, conditions: Sequence[Any], values: Sequence[Any], default: Any) -> np.ndarray:
        """Whole jets of the taken branches."""
        return self.balls.select(conditions, values, default)

    def larger(self, a: Any, b: Any) -> np.ndarray:
        """The maximum; of a tie the mean, so that both share the derivative."""
        return elementwise(lambda x, y: self._shared([x, y]), a, b)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The maximum along the first axis; of ties the mean."""
        return elementwise(lambda *items: self._shared(items), *[values[k, ...] for k in range(len(values))])

    def _shared(self, items: Sequence[Any]) -> Any:
        best = [items[0]]
        for item in items[1:]:
            if self.balls.beats(value_of(item), value_of(best[0])):
                best = [item]
            elif not self.balls.beats(value_of(best[0]), value_of(item)):
                best.append(item)
        if len(best) == 1:
            return best[0]
        mean = sum(best[1:], start=best[0]) / len(best)
        value = value_of(best[0])  # the mean of equal numbers, without a rounding that would hide later ties
        return Jet(value, with_first(mean.series, value)) if type(mean) is Jet else value

    def at_first_largest(
        self, keys: Sequence[np.ndarray], payloads: Sequence[Sequence[np.ndarray]]
    ) -> list[np.ndarray]:
        """What stands where the first of the largest values stands."""
        return self.balls.at_first_largest([values_of(key) for key in keys], payloads)

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Products of matrices, coefficient by coefficient, by Arb's own algorithm."""
        import flint

        left, right = _orders(a, flint.ctx.cap), _orders(b, flint.ctx.cap)
        products: dict[int, np.ndarray] = {}
        for i, one in left.items():
            for j, other in right.items():
                if i + j < flint.ctx.cap:
                    part = self.balls.matmul(one, other)
                    products[i + j] = products[i + j] + part if i + j in products else part
        return _jets(products)

    def determinants(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix."""
        return numbers_of(_determinant, a)

    def inverses(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix: of its values first, then term by term."""
        return matrices_of(self._inverse, a)

    def _inverse(self, rows: list[list[Any]]) -> list[list[Any]]:
        import flint

        matrix = np.empty((len(rows), len(rows)), dtype=object)
        matrix[...] = rows
        orders = _orders(matrix, flint.ctx.cap)
        first = self.balls.inverses(orders.pop(0))
        found = {0: first}
        for n in range(1, flint.ctx.cap if orders else 1):
            parts = [self.balls.matmul(orders[k], found[n - k]) for k in orders if k <= n and n - k in found]
            if parts:
                found[n] = -self.balls.matmul(first, sum(parts[1:], start=parts[0]))
        return _jets(found).tolist()

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum along the first axis."""
        if len(values) == 0:
            return self.numbers(np.zeros(values.shape[1:]))
        return as_array(np.add.reduce(values, axis=0))


def values_of(array: Any) -> np.ndarray:
    """The balls at the point itself; native arrays as they are."""
    array = as_array(array)
    if array.dtype != object:
        return array
    return filled(array.shape, map(value_of, array.ravel().tolist()))


def coefficients_of(array: np.ndarray) -> np.ndarray | None:
    """The coefficients of the first power, or ``None`` where nothing moves."""
    items = array.ravel().tolist()
    if not any(type(item) is Jet for item in items):
        return None
    return filled(array.shape, [coefficient(item, 1) for item in items])


def _orders(array: np.ndarray, count: int) -> dict[int, np.ndarray]:
    """The coefficients of an array of jets, order by order; without those that are not there."""
    items = array.ravel().tolist()
    found = {0: values_of(array)}
    if any(type(item) is Jet for item in items):
        for order in range(1, count):
            found[order] = filled(array.shape, [coefficient(item, order) for item in items])
    return found


def _jets(orders: dict[int, np.ndarray]) -> np.ndarray:
    """The array with these coefficients."""
    from flint import arb_series

    if set(orders) == {0}:
        return orders[0]
    count, zero = max(orders) + 1, ball(0)
    columns = [orders[k].ravel().tolist() if k in orders else [zero] * orders[0].size for k in range(count)]
    return filled(orders[0].shape, [Jet(row[0], arb_series(list(row))) for row in zip(*columns, strict=True)])


def _determinant(rows: list[list[Any]]) -> Any:
    """By the recurrence of Faddeev and LeVerrier, which divides by whole numbers only."""
    n = len(rows)
    if n == 0:
        return ball(1)
    arithmetic = Series()
    matrix = np.empty((n, n), dtype=object)
    matrix[...] = rows
    unit = arithmetic.numbers(np.eye(n))
    product, last = matrix, ball(0)
    for k in range(1, n + 1):
        last = sum((product[i, i] for i in range(1, n)), start=product[0, 0]) / ball(-k)
        if k < n:
            product = arithmetic.matmul(matrix, product + unit * last)
    return last if n % 2 == 0 else -last


# ---------------------------------------------------------------------------- along a line


def along(
    tape: Tape,
    leaves: Sequence[Any],
    wrt: Sequence[int],
    direction: Sequence[Any],
    order: int,
    bits: int,
    provenance: bool = False,
    trusting: bool = False,
    before: Callable[[Primitive], None] = lambda primitive: None,
    watch: Callable[..., Any] | None = None,
) -> list[list[np.ndarray]]:
    """The coefficients of the outputs of a tape along a line.

    Args:
        tape: any tape of primitives with exact rules; not simplified, for folded literals are already rounded.
        leaves: one array or number per input, taken exactly.
        wrt: the inputs that move.
        direction: one array per input that moves, of its shape.
        order: the highest power of the line's parameter.
        bits: working precision.
        provenance: whether to prove ties by how values were computed, see ``provenance.py``.
        trusting: whether balls that only look the same are ties.
        before: called before every equation; may raise to stop.
        watch: called after every equation, as ``after`` in ``arithmetic.evaluate``.

    Returns:
        For every output an object array of balls per power, from 0 on.

    Raises:
        UndecidedError, UnsupportedError, GuardError: as ``arithmetic.evaluate``.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> tape = trace_leaves(lambda leaves: [leaves[0] * leaves[0]], [3.0])
        >>> [float(part.item()) for part in along(tape, [3.0], (0,), [2.0], 2, 160)[0]]
        [9.0, 12.0, 4.0]
    """
    inputs = list(leaves)
    with precision(bits), terms(order + 1):
        for position, part in zip(wrt, direction, strict=True):
            point = np.asarray(inputs[position])
            moves = np.broadcast_to(np.asarray(part), point.shape).ravel().tolist()
            inputs[position] = filled(point.shape, map(line, point.ravel().tolist(), moves))
        after = _canonical(Provenance(), watch) if provenance else watch
        outputs = evaluate(tape, inputs, Series(Balls(trusting=trusting)), before=before, after=after)
        return [
            [elementwise(lambda item, k=k: coefficient(item, k), output) for k in range(order + 1)]
            for output in outputs
        ]


def _canonical(provenance: Provenance, watch: Callable[..., Any] | None) -> Callable[..., np.ndarray]:
    """Value numbering for jets: of their values, for what a line does to equal values may differ."""

    def after(primitive: Primitive, arrays: Sequence[np.ndarray], params: Any, result: np.ndarray) -> np.ndarray:
        if watch is not None:
            watch(primitive, arrays, params, result)
        if result.dtype != object or not result.size:
            return result
        values = provenance(primitive, [values_of(array) for array in arrays], params, values_of(result))
        items = [
            item if value is value_of(item) else Jet(value, item.series) if type(item) is Jet else value
            for item, value in zip(result.ravel().tolist(), values.ravel().tolist(), strict=True)
        ]
        return filled(result.shape, items)

    return after
