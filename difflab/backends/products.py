"""The matrix products of a gradient and nothing else: a yardstick for machines, not a way of differentiating.

A study names it as ``difflab.backends.products:Products``.  A gradient that consists of matrix products can be no
faster than these, so the ratio of its time to theirs says which share of the machine's own rate it reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import transforms
from ..arrays import module_of
from ..errors import UnsupportedError
from ..primitives.record import Aval
from ..tape import Equation, Tape
from .protocol import Cost, Source

STREAM = 5  # of the random numbers that are multiplied


@dataclass(frozen=True)
class Products:
    """The matrix products of a gradient by ``matmul`` of NumPy or CuPy, on arrays of their own.

    Its gradient is zero.  Operands are as large as those of the gradient, transposed where they are transposed there,
    and random, for a processor that multiplies zeros draws less power and runs faster.

    Example:
        >>> from difflab.operators import source
        >>> made = source(lambda w, x: np.sum(x @ w), (np.ones((3, 2)), np.ones((4, 3))))
        >>> Products().prepare(made, "gradient", made.example).stats["shapes"]
        '(4, 3) @ (3, 2), (3, 4) @ (4, 2)'
    """

    name: str = field(default="products", init=False, repr=False)
    family: str = field(default="null", init=False, repr=False)
    capabilities: frozenset[str] = field(
        default=frozenset(("gradient", "value_and_gradient", "bare")), init=False, repr=False
    )

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """Operations of the products, and bytes of their operands and results; the time is unknown."""
        work, equations = _products(tape, wrt)
        avals = [work.avals[number] for one in equations for number in (*one.inputs, one.output)]
        flops = sum(_flops(work, one) for one in equations)
        return Cost(flops / max(tape.flops, 1.0), flops, float(sum(aval.nbytes for aval in avals)))

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedProducts:
        """Make the operands.

        Raises:
            UnsupportedError: the gradient has no matrix product.
        """
        return PreparedProducts(source)


class PreparedProducts:
    """The products of one gradient, with their operands in place."""

    def __init__(self, source: Source):
        self._xp = xp = module_of(source.device)
        tape = source.tape
        work, equations = _products(tape, source.wrt)
        if not equations:
            raise UnsupportedError("backend 'products' multiplies matrices, and this gradient has no matrix product")
        made_by = {one.output: one for one in work.equations}
        self._calls = [
            (*[self._operand(work, made_by, number) for number in one.inputs], xp.empty(*_shaped(work, one.output)))
            for one in equations
        ]
        self._likes = [tape.avals[tape.outputs[0]], *[tape.avals[tape.inputs[i]] for i in source.wrt]]
        self.stats: dict[str, Any] = {
            "primal_calls": 0,
            "tape_length": len(equations),
            "flops": float(sum(_flops(work, one) for one in equations)),
            "shapes": ", ".join(f"{a.shape} @ {b.shape}" for a, b, _ in self._calls),
        }

    def _operand(self, tape: Tape, made_by: dict[int, Equation], number: int) -> Any:
        """An array of random numbers, a transposed view where the tape transposes it."""
        equation = made_by.get(number)
        if equation is None or equation.primitive.name != "transpose":
            return self._random(tape, number)
        return self._random(tape, equation.inputs[0]).transpose(equation.params["axes"])

    def _random(self, tape: Tape, number: int) -> Any:
        shape, dtype = _shaped(tape, number)
        drawn = np.random.default_rng([number, STREAM]).standard_normal(shape, np.float32)
        return self._xp.asarray(drawn).astype(dtype, copy=False)

    def _zeros(self, like: Aval) -> Any:
        return self._xp.zeros(like.shape, like.dtype)

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """Zero."""
        return [self._zeros(self._likes[0])]

    def bare(self, leaves: Sequence[Any]) -> Callable[[], None]:
        """The products alone."""
        matmul, calls = self._xp.matmul, self._calls

        def call() -> None:
            for a, b, out in calls:
                matmul(a, b, out=out)

        return call

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """Compute the products, and answer zeros."""
        self.bare(leaves)()
        value, *gradients = map(self._zeros, self._likes)
        return value, gradients


def _products(tape: Tape, wrt: tuple[int, ...]) -> tuple[Tape, list[Equation]]:
    """The gradient's tape, and its matrix products."""
    work = transforms.simplify(transforms.gradient(tape, wrt))
    return work, [one for one in work.equations if one.primitive.name == "matmul"]


def _shaped(tape: Tape, number: int) -> tuple[tuple[int, ...], np.dtype]:
    return tape.avals[number].shape, tape.avals[number].dtype


def _flops(tape: Tape, equation: Equation) -> float:
    avals = [tape.avals[number] for number in equation.inputs]
    return equation.primitive.flops(avals, tape.avals[equation.output], **equation.params)
