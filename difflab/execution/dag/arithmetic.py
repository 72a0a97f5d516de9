"""Numbers as nodes of a graph, in the protocol of ``execution.arithmetic``: what ``symbols.py`` is to SymPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ..arithmetic import SpanRule, as_array, elementwise, filled, matrix_products
from ..matrices import matrices_of, numbers_of
from .functions import apply, table
from .minors import Minors
from .nodes import CONDITIONS, Graph, Node, is_rational


class Nodes:
    """Arithmetic of the nodes of one graph.

    Args:
        graph: where they are made.

    Example:
        >>> from difflab.execution.arithmetic import evaluate
        >>> from difflab.tracing import trace_leaves
        >>> graph = Graph()
        >>> tape = trace_leaves(lambda leaves: [leaves[0] * 0.5 + np.exp(leaves[0] - leaves[0] * 1.0)], [1.0])
        >>> evaluate(tape, [filled((), [graph.node("symbol", (), 0)])], Nodes(graph))[0].item()
        sum(..., ...)
    """

    def __init__(self, graph: Graph):
        self.graph = graph

    # -------------------------------------------------------------------- numbers

    def number(self, value: Any) -> Node:
        """An exact number."""
        return self.graph.node_of(value)

    def numbers(self, array: Any) -> np.ndarray:
        """Exact numbers; conditions become 1 and 0."""
        array = as_array(array)
        return filled(array.shape, map(self.graph.node_of, array.ravel().tolist()))

    def integers(self, array: Any) -> np.ndarray:
        """Native integers, where nothing depends on a symbol."""
        array = as_array(array)
        if array.dtype != object:
            return array.astype(np.int64)
        values = [self.graph.node_of(value) for value in array.ravel().tolist()]
        if not all(value.fixed for value in values):
            raise UnsupportedError(
                "an integer (an index, an argmax, a cast to int) depends on differentiated values, which symbolic "
                "differentiation cannot express; use backend 'reverse' or 'forward'"
            )
        return np.array([int(self.graph.constant(value)) for value in values], dtype=np.int64).reshape(array.shape)

    def conditions(self, array: Any) -> np.ndarray:
        """Where numbers are not zero; conditions stay, and are native where all are decided."""
        found = elementwise(self._condition, as_array(array))
        return found if any(type(condition) is Node for condition in found.ravel()) else found.astype(bool)

    # -------------------------------------------------------------------- functions

    def scalar(self, name: str) -> Callable[..., np.ndarray]:
        """The function of that name, element by element."""
        graph = self.graph
        function = table().get(name)
        if function is None:
            raise UnsupportedError(f"the graph of expressions has no function {name!r}; it has {', '.join(table())}")
        return lambda *operands: elementwise(
            lambda *values: function(graph, *map(graph.node_of, values)), *operands
        )  # fmt: skip

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Products of matrices, each entry one flat sum."""
        graph, zero = self.graph, self.graph.zero

        def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            rows = [[(k, x) for k, x in enumerate(row) if x is not zero] for row in self.numbers(left).tolist()]
            columns = self.numbers(right.T).tolist()
            entries = (
                graph.add([graph.multiply(x, column[k]) for k, x in row if column[k] is not zero])
                for row in rows
                for column in columns
            )
            return filled((len(rows), len(columns)), entries)

        return matrix_products(multiply, a, b)

    def determinants(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix."""
        return numbers_of(lambda rows: Minors(self.graph, rows).determinant(), self.numbers(a))

    def inverses(self, a: np.ndarray) -> np.ndarray:
        """One for each matrix."""
        return matrices_of(lambda rows: Minors(self.graph, rows).inverse(), self.numbers(a))

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The sum along the first axis, each entry one flat sum."""
        rest = values.shape[1:]
        columns = values.reshape(len(values), math.prod(rest)).T.tolist()
        return filled(rest, (self.graph.add([*map(self.graph.node_of, column)]) for column in columns))

    # -------------------------------------------------------------------- choices

    def compare(self, name: str, a: Any, b: Any) -> np.ndarray:
        """Relations; True and False where no symbol is involved."""
        graph = self.graph
        return elementwise(lambda x, y: graph.relation(name, graph.node_of(x), graph.node_of(y)), a, b)

    def logical(self, name: str, *conditions: Any) -> np.ndarray:
        """Relations combined."""
        graph = self.graph
        if name == "not":
            return elementwise(graph.opposite, *map(self.conditions, conditions))
        return elementwise(lambda *parts: graph.join(name, parts), *map(self.conditions, conditions))

    def test(self, name: str, x: Any) -> np.ndarray:
        """Asked when the program runs, unless no symbol is involved."""
        return elementwise(lambda value: self._test(name, self.graph.node_of(value)), x)

    def select(self, conditions: Sequence[Any], values: Sequence[Any], default: Any) -> np.ndarray:
        """Choices in that order; what cannot be taken is left out."""
        count, graph = len(conditions), self.graph

        def choose(*parts: Any) -> Node:
            pairs = [
                (self._condition(condition), graph.node_of(value))
                for condition, value in zip(parts[:count], parts[count:-1], strict=True)
            ]
            return graph.select(pairs, graph.node_of(parts[-1]))

        return elementwise(choose, *conditions, *values, default)

    def larger(self, a: Any, b: Any) -> np.ndarray:
        """The larger of two; the derivative is shared where they are equal."""
        return elementwise(lambda x, y: larger(self.graph, self.graph.node_of(x), self.graph.node_of(y)), a, b)

    def largest(self, values: np.ndarray) -> np.ndarray:
        """The largest; the derivative is shared in equal parts by all that are."""
        return elementwise(lambda *items: self._largest([*map(self.graph.node_of, items)]), *values)

    def at_first_largest(
        self, keys: Sequence[np.ndarray], payloads: Sequence[Sequence[np.ndarray]]
    ) -> list[np.ndarray]:
        """A tournament: neighbours meet in pairs, of equals the first goes on."""
        results, count = [], len(keys)
        for payload in payloads:

            def champion(*items: Any) -> Node:
                entrants = [*map(self.graph.node_of, items)]
                return self._champion(entrants[:count], entrants[count:])

            results.append(elementwise(champion, *keys, *payload))
        return results

    # -------------------------------------------------------------------- pieces

    def _condition(self, value: Any) -> Node | bool:
        if isinstance(value, bool | np.bool_):
            return bool(value)
        if type(value) is Node and value.operation in CONDITIONS:
            return value
        return self.graph.relation("not_equal", self.graph.node_of(value), self.graph.zero)

    def _test(self, name: str, value: Node) -> Node | bool:
        if value.fixed:
            return bool(getattr(np, name)(self.graph.constant(value)))
        self.graph.careful = True
        return self.graph.node(name, (value,))

    def _champion(self, keys: list[Node], payload: list[Node]) -> Node:
        """The payload that stands where the first largest key stands."""
        graph = self.graph
        while len(keys) > 1:
            pairs = range(0, len(keys) - 1, 2)
            wins = [self._wins(keys[k], keys[k + 1]) for k in pairs]
            rest = slice(len(keys) - len(keys) % 2, None)
            keys, payload = (
                [graph.select([(won, row[k])], row[k + 1]) for k, won in zip(pairs, wins, strict=True)] + row[rest]
                for row in (keys, payload)
            )
        return payload[0]

    def _wins(self, a: Node, b: Node) -> Node | bool:
        """Whether the first of two goes on; NaN does, where it may come."""
        wins = self.graph.relation("greater_equal", a, b)
        return self.graph.join("or", [wins, self.graph.relation("not_equal", a, a)]) if self.graph.careful else wins

    def _largest(self, items: list[Node]) -> Node:
        """One alone, of two the larger; of more the mean of those that equal the largest."""
        graph = self.graph
        if len(items) < 3:
            return larger(graph, *items) if len(items) == 2 else items[0]
        if all(map(is_rational, items)):
            return max(items, key=lambda item: item.value)
        top = graph.node("largest", tuple(sorted(dict.fromkeys(items), key=lambda item: item.place)))
        conditions = [graph.relation("greater_equal", item, top) for item in items]
        chosen = zip(conditions, items, strict=True)
        total = graph.add([graph.select([(condition, item)], graph.zero) for condition, item in chosen])
        count = graph.add([graph.select([(condition, graph.one)], graph.zero) for condition in conditions])
        return graph.divide(total, count)


def larger(graph: Graph, a: Node, b: Node) -> Node:
    """The larger of two; its derivative is shared where they are equal."""
    if a is b:
        return a
    if is_rational(a) and is_rational(b):
        return a if a.value >= b.value else b
    return graph.node("larger", (a, b))


# ---------------------------------------------------------------------------- composites taken whole


def _shifted(graph: Graph, items: list[Node]) -> tuple[Node, list[Node], Node]:
    """The largest, or 0 where that is infinite, the exponentials of what all are above it, and their sum.

    The largest is no operand of any derivative: all it does cancels out of the value.
    """
    top = graph.node("shift", tuple(items))
    powers = [apply(graph, "exp", item - top) for item in items]
    return top, powers, graph.add(powers)


def _softmax(arithmetic: Any, x: np.ndarray, *, axes: tuple[int, ...]) -> np.ndarray:
    graph = arithmetic.graph

    def shares(group: list[Node]) -> list[Node]:
        if len(group) == 1:
            return [graph.one]
        _, powers, total = _shifted(graph, group)
        return [graph.divide(power, total) for power in powers]

    return _along(arithmetic, axes, x, shares)


def _logsumexp(arithmetic: Any, x: np.ndarray, *, axes: tuple[int, ...], keepdims: bool) -> np.ndarray:
    graph = arithmetic.graph

    def logarithm(group: list[Node]) -> list[Node]:
        if len(group) == 1:
            return group
        top, _, total = _shifted(graph, group)
        return [top + apply(graph, "log", total)]

    result = _along(arithmetic, axes, x, logarithm)
    return result if keepdims else result.reshape([n for axis, n in enumerate(x.shape) if axis not in axes])


def _along(
    arithmetic: Any, axes: tuple[int, ...], x: np.ndarray, rule: Callable[[list[Node]], list[Node]]
) -> np.ndarray:
    """``rule`` of each group of elements along ``axes``, which answers with as many elements, or with one."""
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    order = (*kept, *axes)
    count = math.prod(x.shape[axis] for axis in kept)
    together = math.prod(x.shape[axis] for axis in axes)
    groups = arithmetic.numbers(x).transpose(order).reshape(count, together).tolist()
    answers = [rule(group) for group in groups]
    whole = not answers or len(answers[0]) == len(groups[0])
    sizes = x.shape if whole else [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    flat = filled(tuple(sizes[axis] for axis in order), (item for answer in answers for item in answer))
    return flat.transpose(np.argsort(order))


# As in ``symbols``: their equations shift by the largest entry, which is no business of the derivative.
SPANS: dict[str, SpanRule] = {"softmax": _softmax, "logsumexp": _logsumexp}
