"""Programs for numbers that are not finite, derived only when such numbers are met.

Of a choice only one branch counts, and the derivative of the other is multiplied by zero.  That is cheap, and right as
long as both are finite; to keep zeros from meeting infinities, and NaN from being compared, takes a condition at every
product.  So a loss that chooses is derived for finite numbers, and once more, with care, where others turn up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arithmetic import elementwise
from .nodes import Graph

CHOICES = frozenset({"select", "larger", "largest", "shift", "absolute"})


def chooses(graph: Graph) -> bool:
    """Whether infinities and NaN need care: in a graph that has a choice, and was not built with care already."""
    return not graph.careful and any(node.operation in CHOICES for node in graph.known.values())


def unlike_itself(graph: Graph, array: Any) -> np.ndarray:
    """Which nodes are NaN: asked of data always, and of what depends on symbols with care."""

    def condition(value: Any) -> Any:
        node = graph.node_of(value)
        return graph.relation("not_equal", node, node) if node.fixed or graph.careful else False

    found = elementwise(condition, array)
    return found if graph.careful else found.astype(bool)


class Watched:
    """A program of finite numbers, and another that takes over where an argument or a result is not finite.

    Args:
        quick: the one that is right where all is finite.
        derive: makes the other one, once.

    Example:
        >>> import math
        >>> Watched(lambda p: [0.0 * p[0]], lambda: lambda p: [0.0])([math.inf])
        [0.0]
    """

    def __init__(self, quick: Callable[[Any], Any], derive: Callable[[], Callable[[Any], list[float]]]):
        self.quick = quick
        self._derive = derive
        self._careful: Callable[[Any], list[float]] | None = None
        self._lock = threading.Lock()

    def __call__(self, scalars: Any) -> Any:
        """All values."""
        found = self.quick(scalars)
        total = sum(found, sum(scalars)) if type(found) is list else np.sum(found) + np.sum(scalars)
        if total - total == 0.0:  # of finite numbers only; that their sum overflows costs time and no more
            return found
        with self._lock:
            if self._careful is None:
                self._careful = self._derive()
        return self._careful(scalars)
