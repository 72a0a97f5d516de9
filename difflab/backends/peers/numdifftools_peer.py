"""numdifftools: finite differences at many steps, extrapolated, with an estimate of what is left."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...errors import InputError
from ...tape import Tape
from ..protocol import Cost, Source, Work, block_bytes
from .quotients import Flat, Leaves

METHODS = ("central", "forward", "backward", "complex")
# The steps of its generator for real points, counted with numdifftools 0.11; its complex steps need one, and of fourth
# order on two.
STEPS = 15


@dataclass(frozen=True)
class Numdifftools:
    """numdifftools as a backend: ``Gradient``, ``Jacobian`` and ``Hessian`` with its own steps.

    It calls the user's own function on plain arrays.  A Hessian is of the only order that its method has.  Steps are
    chosen for double precision whatever the dtype of the leaves.

    Args:
        method: "central", "forward", "backward" or "complex", for functions that take complex arrays.
        order: of accuracy; an even number for "central" and "complex".

    Example:
        >>> Numdifftools(order=4)
        Numdifftools(method='central', order=4)
    """

    method: str = "central"
    order: int = 2
    name: str = field(default="numdifftools", init=False, repr=False)
    family: str = field(default="finite", init=False, repr=False)
    capabilities: frozenset[str] = field(
        default=frozenset(
            ("gradient", "value_and_gradient", "jacobian", "hessian", "black-box", "bare", "error-estimate")
        ),
        init=False,
        repr=False,
    )

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"Numdifftools(method={self.method!r}): the methods are {', '.join(map(repr, METHODS))}")
        even = self.method in ("central", "complex")
        if type(self.order) is not int or self.order < 1 or (even and self.order % 2):
            kind = "an even number from 2" if even else "a whole number from 1"
            raise InputError(f"Numdifftools(method={self.method!r}, order={self.order!r}): the order is {kind}")

    def unavailable(self) -> str | None:
        """A sentence where numdifftools is not installed; imports nothing."""
        if find_spec("numdifftools") is not None:
            return None
        return "it needs the package numdifftools, which is not installed; pip install 'difflab[peers]'"

    def calls(self, size: int, operator: str) -> int:
        """Evaluations for so many coordinates, the value itself included.

        Args:
            size: coordinates.
            operator: "hessian", or a first derivative.

        Example:
            >>> Numdifftools().calls(31, "gradient")
            931
        """
        if operator in ("hessian", "hvp"):
            if self.method == "complex":
                return 1 + size * (size + 1)
            each = 2 * size * size if self.method == "central" else size * (size + 3) // 2
            return 1 + STEPS * each
        if self.method == "complex":
            return 1 + size * (1 if self.order < 4 else 2)
        return 1 + STEPS * size * (2 if self.method == "central" else 1)

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """All evaluations, as they were counted."""
        variables = [tape.avals[tape.inputs[i]] for i in wrt]
        outputs = [tape.avals[number] for number in tape.outputs]
        size = sum(variable.size for variable in variables)
        calls = float(self.calls(size, operator))
        # It keeps the quotients of all steps.
        held = 8 * STEPS * size * (size if operator in ("hessian", "hvp") else sum(output.size for output in outputs))
        nbytes = tape.bytes + float(held)
        if operator in ("jacobian", "hessian"):
            nbytes += block_bytes(variables if operator == "hessian" else outputs, variables)
        return Cost(calls, calls * tape.flops, nbytes, works=(Work(tape, calls, plain=True),))

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedNumdifftools:
        """Note the shapes; nothing is compiled."""
        return PreparedNumdifftools(self, source, operator, example)


class PreparedNumdifftools:
    """Calls of numdifftools."""

    def __init__(self, backend: Numdifftools, source: Source, operator: str, example: Sequence[Any]):
        self._library: Any = importlib.import_module("numdifftools")
        self._backend = backend
        self._leaves = Leaves("numdifftools", source, example)
        calls = backend.calls(self._leaves.size, operator)
        self.stats: dict[str, Any] = {"primal_calls": calls, "black_box": True}

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs, by the user's own function."""
        return self._leaves.outputs(leaves)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its quotients."""
        here = self._leaves.at(leaves)
        return here.outputs[0], self._leaves.arrays(self._of("Gradient", here)[0])

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """Outputs and blocks."""
        here = self._leaves.at(leaves)
        shapes = [output.shape for output in here.outputs]
        return here.outputs, self._leaves.blocks(self._of("Jacobian", here)[0], shapes)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """The blocks of the second derivatives."""
        here = self._leaves.at(leaves)
        return self._leaves.blocks(self._of("Hessian", here)[0], self._leaves.shapes)

    def error_estimate(self, leaves: Sequence[Any]) -> list[Any]:
        """What numdifftools estimates the absolute error of every entry of the gradient to be."""
        return self._leaves.arrays(self._of("Gradient", self._leaves.at(leaves))[1])

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """numdifftools' own call on the vector of the variables; it computes the value first."""
        here = self._leaves.at(leaves)
        made = self._made("Gradient", here)

        def call() -> Any:
            with np.errstate(all="ignore"):
                return made(here.x)

        return call

    def _made(self, name: str, here: Flat) -> Any:
        """The derivative of a kind; ``Gradient`` and ``Hessian`` want a number."""

        def number(x: np.ndarray) -> Any:
            return here.function(x)[0]

        order = {} if name == "Hessian" else {"order": self._backend.order}
        function = here.function if name == "Jacobian" else number
        return getattr(self._library, name)(function, method=self._backend.method, full_output=True, **order)

    def _of(self, name: str, here: Flat) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives and their estimated errors, flat."""
        rows = {"Jacobian": sum(output.size for output in here.outputs), "Hessian": here.x.size}.get(name, 1)
        if not here.x.size or not rows:
            return np.zeros(rows * here.x.size), np.zeros(rows * here.x.size)
        with np.errstate(all="ignore"):  # warnings of perturbed points are not the user's
            found = self._made(name, here)(here.x)
        return np.ravel(found.estimate), np.ravel(found.error_estimate)
