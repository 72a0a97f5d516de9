"""Reverse mode on our own tape: one pass forward, one back, whatever the number of parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import transforms
from ..execution.cache import Runner
from ..execution.plan import make_plan
from ..tape import Tape
from ..transforms.split import split
from .deduced import tangents_from_pullback
from .protocol import OPERATORS, Cost, Source


@dataclass(frozen=True)
class Reverse:
    """Reverse-mode automatic differentiation.

    Example:
        >>> Reverse()
        Reverse()
    """

    name: str = field(default="reverse", init=False, repr=False)
    family: str = field(default="reverse", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "nest")), init=False, repr=False)

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """Flops of the derivative tape and bytes of its plan."""
        derived = transforms.simplify(self.derivative(tape, operator, wrt))
        results = sum(derived.avals[number].nbytes for number in derived.outputs)
        nbytes = make_plan(derived, bake_constants=True).nbytes + results
        return Cost(derived.flops / max(tape.flops, 1.0), derived.flops, nbytes)

    def derivative(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Tape:
        """The tape of the operator's results."""
        if operator in ("gradient", "value_and_gradient"):
            return transforms.gradient(tape, wrt)
        if operator == "vjp":
            return transforms.vjp(tape, wrt)
        return transforms.jvp(tape, wrt)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedReverse:
        """Transform and compile, or find the compiled program."""
        return PreparedReverse(source, operator)


class PreparedReverse:
    """Compiled programs for the value, the gradient and the pullback, each made when first needed."""

    def __init__(self, source: Source, operator: str):
        self._source = source
        self._runners: dict[str, Runner] = {}
        kind = {"jvp": "vjp", "value_and_gradient": "gradient"}.get(operator, operator)
        runner = self._runner(kind)
        self._gradient = runner.direct() if kind == "gradient" else None
        self.stats: dict[str, Any] = {"primal_calls": 1, **runner.stats}

    def _runner(self, kind: str) -> Runner:
        if kind not in self._runners:
            wrt = self._source.wrt
            build: dict[str, Callable[[Tape], tuple[Tape, ...]]] = {
                "value": lambda tape: (tape,),
                "gradient": lambda tape: (transforms.gradient(tape, wrt),),
                "vjp": lambda tape: split(
                    transforms.simplify(transforms.vjp(tape, wrt)), len(tape.outputs), len(tape.outputs)
                ),
            }
            tape = self._source.tape
            self._runners[kind] = Runner(tape, build[kind], ("reverse", kind, wrt), frozen=self._source.frozen)
        return self._runners[kind]

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return self._runner("value").run(list(leaves))

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        if self._gradient is None:
            self._gradient = self._runner("gradient").direct()
        value, *gradients = self._gradient(leaves)
        return value, gradients

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs and a pullback that owns its residuals."""
        runner = self._runner("vjp")
        n_outputs = len(self._source.tape.outputs)
        results = runner.run(list(leaves))
        outputs, residuals = results[:n_outputs], results[n_outputs:]

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            return runner.run([*residuals, *cotangents], 1)

        return outputs, pullback

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Tangents by one pullback per output coordinate: possible, and the wrong way round for many outputs."""
        outputs, pullback = self.vjp(leaves)
        return outputs, tangents_from_pullback(pullback, outputs, tangents)
