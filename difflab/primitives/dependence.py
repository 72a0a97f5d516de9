"""Which elements of a result may move with which elements of the operands: rules by which sparsity is found.

A rule is ``depends(table, *operands, **params)``.  Of every operand it sees numbers in place of its elements: each
number stands for a set of input coordinates, 0 for none, and ``table`` makes unions of such sets.  What only moves
elements moves their numbers.  The result broadcasts to the shape of the value.  A rule never leaves out a
coordinate on which an element may depend; to name one too many is right, and costs time only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from .record import Aval

Axes = Sequence[int]


class Table(Protocol):
    """What rules ask of the table of sets."""

    def elementwise(self, *ids: np.ndarray) -> np.ndarray:
        """Unions of arrays of sets, element by element, broadcast."""
        ...

    def along(self, ids: np.ndarray, axes: Axes, keep: bool = False) -> np.ndarray:
        """Unions along axes, which the result no longer has, or has with length 1."""
        ...

    def grouped(self, groups: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
        """Union number ``g`` is that of the elements of ``ids`` where ``groups`` is ``g``, for ``g < count``."""
        ...

    def running(self, ids: np.ndarray, axis: int, reverse: bool = False) -> np.ndarray:
        """Unions of each element with all before it along an axis, or with all after it."""
        ...

    def note(self, reason: str) -> None:
        """Say that more was taken than needed, and why."""
        ...


class Seen:
    """An operand as a rule sees it: the sets of its elements, and its value where that is known without the inputs.

    Known are constants, literals, integer and boolean inputs, and what is computed from nothing else.
    """

    __slots__ = ("_value", "aval", "ids", "looked")

    def __init__(self, ids: np.ndarray, value: Any, aval: Aval):
        self.ids = ids
        self.aval = aval
        self.looked = False
        self._value = value

    @property
    def value(self) -> Any:
        """The value, ``None`` where it is not known; from here on the pattern holds for this value only."""
        self.looked = self._value is not None
        return self._value

    def lane(self, number: int) -> Seen:
        """One of the operands that lie along the first axis."""
        value = None if self.value is None else self.value[number]
        return Seen(self.ids[number], value, self.aval._replace(shape=self.aval.shape[1:]))

    @property
    def nonzero(self) -> np.ndarray | None:
        """Where the known value is not 0; ``None`` where it is not known or 0 nowhere."""
        if self._value is None or self.aval.dtype.kind not in "biufc":
            return None
        found = np.asarray(self._value) != 0
        if found.all():
            return None
        self.looked = True
        return found


Rule = Callable[..., np.ndarray]


def nothing(ndim: int = 0) -> np.ndarray:
    """The number of the empty set, ready to broadcast."""
    return np.zeros((1,) * ndim, np.int32)


def independent(table: Table, *operands: Seen, **params: Any) -> np.ndarray:
    """The rule of what has no derivative: it depends on nothing."""
    return nothing()


def same(table: Table, x: Seen, *others: Seen, **params: Any) -> np.ndarray:
    """The rule of what acts on each element of its first operand and keeps the shape."""
    return x.ids


def of_operands(*moving: bool) -> Rule:
    """The rule of what acts on each element, operands broadcast; ``moving`` says which of them have a derivative."""

    def rule(table: Table, *operands: Seen, **params: Any) -> np.ndarray:
        live = [operand.ids for operand, moves in zip(operands, moving, strict=True) if moves]
        return table.elementwise(*live) if live else nothing()

    return rule


def moved(evaluate: Callable) -> Rule:
    """The rule of what moves elements or leaves 0 in their place: it moves their numbers."""

    def rule(table: Table, *operands: Seen, **params: Any) -> np.ndarray:
        return evaluate(*[operand.ids for operand in operands], **params)

    return rule


def over_axes(table: Table, x: Seen, *, axes: Axes, **params: Any) -> np.ndarray:
    """The rule of what reduces its operand along ``axes``."""
    return table.along(x.ids, axes)


def mixing_axes(table: Table, x: Seen, *, axes: Axes, **params: Any) -> np.ndarray:
    """The rule of what mixes all elements along ``axes`` and keeps them."""
    return table.along(x.ids, axes, keep=True)


def mixing_axis(table: Table, x: Seen, *, axis: int, **params: Any) -> np.ndarray:
    """The rule of what mixes all elements along one axis, whose length may change."""
    return table.along(x.ids, (axis,), keep=True)


def running(table: Table, x: Seen, *, axis: int, reverse: bool = False, **params: Any) -> np.ndarray:
    """The rule of a scan: each element depends on those before it."""
    return table.running(x.ids, axis, reverse)


def whole_stack(result: int, *cores: int) -> Rule:
    """The rule of what NumPy applies to a stack and mixes all of each item: operand ``i`` ends in ``cores[i]`` axes.

    ``result`` is how many axes follow those of the stack.
    """

    def rule(table: Table, *operands: Seen, **params: Any) -> np.ndarray:
        unions = []
        for operand, core in zip(operands, cores, strict=True):
            ndim = operand.ids.ndim
            unions.append(table.along(operand.ids, range(ndim - core, ndim)))
        union = table.elementwise(*unions)
        return union.reshape((*union.shape, *(1,) * result))

    return rule


def places(shape: tuple[int, ...]) -> np.ndarray:
    """The position of each element of an array of that shape, in C order: a transposed move goes back to it."""
    return np.arange(math.prod(shape)).reshape(shape)
