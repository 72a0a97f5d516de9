"""Forward mode on our own tape: one pass per direction, so as many passes as parameters for a gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import transforms
from ..execution.cache import Runner
from ..execution.plan import make_plan
from ..tape import Tape
from ..transforms.inline import inline, inputs_like, transform_builder
from .deduced import basis, pullback_from_tangents
from .protocol import OPERATORS, Cost, Source, count


@dataclass(frozen=True)
class Forward:
    """Forward-mode automatic differentiation, one direction at a time.

    Example:
        >>> Forward()
        Forward()
    """

    name: str = field(default="forward", init=False, repr=False)
    family: str = field(default="forward", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "nest")), init=False, repr=False)

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """One pass of the tangent tape per coordinate."""
        tangent = transforms.simplify(transforms.jvp(tape, wrt))
        passes = 1 if operator == "jvp" else sum(tape.avals[tape.inputs[i]].size for i in wrt)
        nbytes = make_plan(tangent, bake_constants=True).nbytes
        nbytes += 2 * sum(tape.avals[tape.inputs[i]].nbytes for i in wrt)
        return Cost(float(passes), passes * tangent.flops, nbytes)

    def derivative(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Tape:
        """The tape of the operator's results; a gradient is unrolled, one tangent pass per coordinate."""
        if operator == "jvp":
            return transforms.jvp(tape, wrt)
        if operator == "vjp":
            return transforms.vjp(tape, wrt)
        tangent = transforms.jvp(tape, wrt)
        builder = transform_builder()
        operands = inputs_like(builder, tape)
        leaves = [np.empty(tape.avals[tape.inputs[i]].shape, tape.avals[tape.inputs[i]].dtype) for i in wrt]
        columns: list[list[Any]] = [[] for _ in wrt]
        value = None
        for position, _, unit in basis(leaves):
            values = inline(builder, tangent, [*operands, *[builder.constant(u.copy()) for u in unit]])
            value = values[tangent.outputs[0]]
            columns[position].append(values[tangent.outputs[1]])
        gradients = [
            np.reshape(np.stack(column), leaf.shape) if column else builder.constant(leaf)
            for column, leaf in zip(columns, leaves, strict=True)
        ]
        if value is None:
            value = inline(builder, tape, operands)[tape.outputs[0]]
        return builder.finish([value, *gradients])

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedForward:
        """Transform and compile, or find the compiled program."""
        return PreparedForward(source)


class PreparedForward:
    """The compiled tangent program."""

    def __init__(self, source: Source):
        self._source = source
        wrt = source.wrt
        self._tangent = Runner(
            source.tape, lambda tape: (transforms.jvp(tape, wrt),), ("forward", wrt), frozen=source.frozen
        )
        self._value: Runner | None = None
        n_params = count([source.example[i] for i in wrt])
        self.stats: dict[str, Any] = {"primal_calls": n_params, **self._tangent.stats}

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        if self._value is None:
            self._value = Runner(self._source.tape, lambda tape: (tape,), ("value",), frozen=self._source.frozen)
        return self._value.run(list(leaves))

    def _split(self, results: list[Any]) -> tuple[list[Any], list[Any]]:
        half = len(self._source.tape.outputs)
        return results[:half], results[half:]

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Outputs and tangents in one pass."""
        return self._split(self._tangent.run([*leaves, *tangents]))

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients, one pass per coordinate."""
        at = [leaves[i] for i in self._source.wrt]
        gradients = [np.zeros(np.shape(leaf), leaf.dtype) for leaf in at]
        value = None
        run = self._tangent.run
        for position, index, unit in basis(at):
            value, tangent = run([*leaves, *unit])
            gradients[position][index] = tangent
        if value is None:
            value = self.value(leaves)[0]
        return value, gradients

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """A pullback by one tangent pass per input coordinate."""
        kept = [np.array(leaf) for leaf in leaves]
        at = [kept[i] for i in self._source.wrt]
        return self.value(kept), pullback_from_tangents(lambda unit: self.jvp(kept, unit)[1], at)
