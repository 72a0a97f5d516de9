"""SciPy's finite differences: ``scipy.optimize._numdiff.approx_derivative``, which its optimisers call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import InputError
from ...tape import Tape
from ..protocol import Cost, Source, Work, block_bytes
from .quotients import Flat, Leaves

# Evaluations for every coordinate.
POINTS = {"2-point": 1, "3-point": 2, "cs": 1}


@dataclass(frozen=True)
class Scipy:
    """SciPy's ``approx_derivative`` as a backend.

    It calls the user's own function on plain arrays, one perturbed coordinate after the other, with SciPy's own steps:
    those of the shorter of the dtypes of variables and outputs.

    Args:
        method: "2-point" (forward differences), "3-point" (central ones) or "cs": complex steps, for functions that
            are analytic and take complex arrays.

    Example:
        >>> Scipy()
        Scipy(method='3-point')
    """

    method: str = "3-point"
    name: str = field(default="scipy", init=False, repr=False)
    family: str = field(default="finite", init=False, repr=False)
    capabilities: frozenset[str] = field(
        default=frozenset(("gradient", "value_and_gradient", "jacobian", "black-box", "bare")), init=False, repr=False
    )

    def __post_init__(self) -> None:
        if self.method not in POINTS:
            raise InputError(f"Scipy(method={self.method!r}): the methods are {', '.join(map(repr, POINTS))}")

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """The value itself and one or two evaluations for every coordinate."""
        variables = [tape.avals[tape.inputs[i]] for i in wrt]
        outputs = [tape.avals[number] for number in tape.outputs]
        calls = 1 + POINTS[self.method] * sum(variable.size for variable in variables)
        nbytes = tape.bytes + sum(variable.nbytes for variable in variables)
        if operator == "jacobian":
            nbytes += block_bytes(outputs, variables)
        return Cost(float(calls), calls * tape.flops, nbytes, works=(Work(tape, float(calls), plain=True),))

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedScipy:
        """Note the shapes; nothing is compiled."""
        return PreparedScipy(source, example, self.method)


class PreparedScipy:
    """Calls of ``approx_derivative``."""

    def __init__(self, source: Source, example: Sequence[Any], method: str):
        from scipy.optimize._numdiff import approx_derivative

        self._approximate: Callable[..., Any] = approx_derivative
        self._source, self._method = source, method
        self._leaves = Leaves("scipy", source, example)
        self.stats: dict[str, Any] = {"primal_calls": 1 + POINTS[method] * self._leaves.size, "black_box": True}

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs, by the user's own function."""
        return self._leaves.outputs(leaves)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its quotients."""
        here = self._leaves.at(leaves)
        return here.outputs[0], self._leaves.arrays(self._quotients(here).ravel())

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """Outputs and blocks."""
        here = self._leaves.at(leaves)
        shapes = [output.shape for output in here.outputs]
        return here.outputs, self._leaves.blocks(self._quotients(here), shapes)

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """SciPy's own call on the vector of the variables, with the value that it would compute first."""
        here = self._leaves.at(leaves)

        def call() -> tuple[Any, Any]:
            with np.errstate(all="ignore"):
                value = here.function(here.x)
                return value, self._approximate(here.function, here.x, method=self._method, f0=value)

        return call

    def _quotients(self, here: Flat) -> np.ndarray:
        rows = sum(output.size for output in here.outputs)
        if not here.x.size or not rows:
            return np.zeros((rows, here.x.size))
        with np.errstate(all="ignore"):  # warnings of perturbed points are not the user's
            value = np.concatenate([output.ravel() for output in here.outputs])
            value = value if value.dtype.kind == "f" else value.astype(np.float64)
            return np.asarray(self._approximate(here.function, here.x, method=self._method, f0=value))
