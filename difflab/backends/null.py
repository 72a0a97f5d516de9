"""A backend that answers zero: what it costs is what the interface and the harness cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..arrays import module_of
from ..tape import Tape
from .protocol import OPERATORS, Cost, Scalars, Source, block_bytes
from .sweeps import zero_blocks


@dataclass(frozen=True)
class Null:
    """Zeros of the right shapes.

    Example:
        >>> Null()
        Null()
    """

    name: str = field(default="null", init=False, repr=False)
    family: str = field(default="null", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset(OPERATORS), init=False, repr=False)

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """Only the results themselves."""
        variables = [tape.avals[tape.inputs[i]] for i in wrt]
        outputs = [tape.avals[number] for number in tape.outputs]
        if operator == "hessian":
            outputs = variables
        elif operator != "jacobian":
            return Cost(0.0, 0.0, sum(variable.nbytes for variable in variables), works=(Scalars(0.0, 0.0),))
        return Cost(0.0, 0.0, block_bytes(outputs, variables), works=(Scalars(0.0, 0.0),))

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedNull:
        """Note the shapes of the outputs."""
        return PreparedNull(source)


class PreparedNull:
    """Zeros of the right shapes."""

    def __init__(self, source: Source):
        self._source = source
        self._xp = module_of(source.device)
        tape = source.tape
        self._outputs = [tape.avals[number] for number in tape.outputs]
        self.stats: dict[str, Any] = {"primal_calls": 0, "tape_length": 0}

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """Zeros."""
        return [self._xp.zeros(aval.shape, aval.dtype) for aval in self._outputs]

    def _zeros(self, leaves: Sequence[Any]) -> list[Any]:
        return [self._xp.zeros(leaves[i].shape, leaves[i].dtype) for i in self._source.wrt]

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Zeros."""
        return self.value(leaves)[0], self._zeros(leaves)

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Zeros."""
        return self.value(leaves), self.value(leaves)

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """Zeros."""
        return self.value(leaves), lambda cotangents: self._zeros(leaves)

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """Zeros."""
        return self.value(leaves), self._blocks(self._outputs, leaves)

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """Zeros."""
        return self._zeros(leaves)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """Zeros."""
        return self._blocks(self._zeros(leaves), leaves)

    def _blocks(self, outputs: Sequence[Any], leaves: Sequence[Any]) -> list[list[Any]]:
        return zero_blocks(outputs, self._zeros(leaves), self._xp)
