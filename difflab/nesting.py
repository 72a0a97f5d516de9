"""A derivative inside an enclosing trace: its tape is replayed there, and nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .backends.protocol import Backend
from .errors import UnsupportedError
from .primitives.record import Traced
from .promotion import innermost
from .tape import Tape
from .transforms.inline import inline


def replay(backend: Backend, tape: Tape, operator: str, wrt: tuple[int, ...], operands: Sequence[Any]) -> list[Any]:
    """Run the derivative tape of ``operator`` inside the innermost trace among the operands.

    Raises:
        UnsupportedError: the backend does not nest.
    """
    if "nest" not in backend.capabilities:
        raise UnsupportedError(f"backend {backend.name!r} cannot be used inside another derivative")
    derived = backend.derivative(tape, operator, wrt)  # type: ignore[attr-defined] (declared by "nest")
    return replay_tape(derived, operands, tape.constants.values())


def replay_tape(tape: Tape, operands: Sequence[Any], others: Any = ()) -> list[Any]:
    """Run a tape inside the innermost trace among the operands and its constants."""
    outer = innermost([*operands, *tape.constants.values(), *others])
    # A 0-d array that was a number is a constant like any other.
    lifted = [outer.lift(x if isinstance(x, Traced) else np.asarray(x)) for x in operands]
    values = inline(outer, tape, lifted)
    return [values[number] for number in tape.outputs]


class Nested:
    """What a backend prepares, for use inside another trace: leaves, tangents or cotangents may be traced."""

    def __init__(self, backend: Backend, tape: Tape, wrt: tuple[int, ...]):
        self._backend = backend
        self._tape = tape
        self._wrt = wrt
        self.stats: dict[str, Any] = {}

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return replay_tape(self._tape, leaves)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        value, *gradients = replay(self._backend, self._tape, "gradient", self._wrt, leaves)
        return value, gradients

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs and their tangents."""
        results = replay(self._backend, self._tape, "jvp", self._wrt, [*leaves, *tangents])
        half = len(self._tape.outputs)
        return results[:half], results[half:]

    def pullback(self, leaves: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the leaves."""
        results = replay(self._backend, self._tape, "vjp", self._wrt, [*leaves, *cotangents])
        return results[len(self._tape.outputs) :]

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs and a pullback."""
        return self.value(leaves), lambda cotangents: self.pullback(leaves, cotangents)


def example(leaf: Any, plain: Any) -> Any:
    """A leaf as the user's function would get it: a traced one at its example, as a number where it is one."""
    if not isinstance(leaf, Traced):
        return plain
    value = np.array(leaf.builder.concrete(leaf.number))
    return value.item() if leaf.weak else value
