"""Operations of tapes on single numbers, counted as SymPy counts those of expressions.

One for a sum, a product, a quotient or a function of two numbers or one; moving and copying are none.  A tape computes
with whatever its arrays hold, also with the zeros and the one of a unit tangent, where an expression has nothing: a
lean count leaves those out, so that both may be held against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import transforms
from ...execution.chunks import chunked
from ...execution.swell import FREE, WRITTEN
from ...tape import Equation, Tape
from ...transforms.coordinates import Coordinates
from ...transforms.inline import depends_on

if TYPE_CHECKING:
    from ...backends.protocol import Source
    from ...primitives.record import Primitive


def operations(tape: Tape) -> int:
    """The operations of a tape on single numbers, counted as in expressions.

    Args:
        tape: of any function.

    Returns:
        How many; what only moves numbers counts nothing.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> operations(trace_leaves(lambda leaves: [np.sum(np.tanh(leaves[0] @ leaves[0]))], [np.ones((2, 2))]))
        19
    """
    return sum(_operations(tape, equation) for equation in tape.equations)


def _operations(tape: Tape, equation: Equation) -> int:
    primitive, name = equation.primitive, equation.primitive.name
    first, size = tape.avals[equation.inputs[0]] if equation.inputs else None, tape.avals[equation.output].size
    if first is None or name in FREE or primitive.view:
        return 0
    if name == "matmul":
        return size * (2 * first.shape[-1] - 1)
    if name in ("sum", "max", "min"):
        return first.size - size
    if primitive.kind == "elementwise" or name == "integer_power":
        return size * WRITTEN.get(name, 1)
    avals = [tape.avals[number] for number in equation.inputs]
    return round(primitive.flops(avals, tape.avals[equation.output], **equation.params))


def lean_operations(tape: Tape, inputs: Sequence[Any], only: frozenset[int] | None = None) -> int:
    """The operations of a tape, less products with 0 or 1, sums with 0 and functions whose value is 0.

    Args:
        tape: of any function.
        inputs: the arrays at which it is counted; zeros that are no accident are zeros there.
        only: numbers of the values whose equations are counted; ``None`` for all.

    Returns:
        How many of ``operations``.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> tape = trace_leaves(lambda leaves: [leaves[0] @ leaves[0]], [np.eye(2)])
        >>> operations(tape), lean_operations(tape, [2.0 * np.eye(2)]), lean_operations(tape, [np.eye(2)])
        (12, 2, 0)
    """
    position, total = 0, 0

    def visit(primitive: Primitive, operands: list, params: dict) -> Any:
        nonlocal position, total
        equation = tape.equations[position]
        position += 1
        result = primitive.evaluate(*operands, **params)
        if only is None or equation.output in only:
            whole = _operations(tape, equation)
            total += min(whole, _lean(primitive, operands, params, np.asarray(result), whole)) if whole else 0
        return result

    with np.errstate(all="ignore"):  # what the numbers are is another's business
        tape.replay(inputs, visit)
    return total


def _lean(primitive: Primitive, operands: list, params: dict, result: np.ndarray, whole: int) -> int:
    """What is left of one equation, which has ``whole`` operations."""
    arrays = [np.asarray(operand) for operand in operands]
    if primitive.name == "matmul":
        terms = _there(arrays[0]) @ _there(arrays[1])
        return round(np.sum(_busy(arrays[0]) @ _busy(arrays[1])) + np.sum(np.maximum(terms - 1.0, 0.0)))
    if primitive.name == "sum":
        return round(np.sum(np.maximum(primitive.evaluate(_there(arrays[0]), **params) - 1.0, 0.0)))
    if primitive.name in ("add", "subtract", "multiply"):
        left, right = map(_busy if primitive.name == "multiply" else _there, arrays)
        return round(np.sum(left * right * np.ones(result.shape)))
    if primitive.kind == "elementwise" or primitive.name == "integer_power":
        return int(np.count_nonzero(result)) * WRITTEN.get(primitive.name, 1)
    return whole


def _there(array: np.ndarray) -> np.ndarray:
    """1.0 where a number is not 0."""
    return (array != 0).astype(np.float64)


def _busy(array: np.ndarray) -> np.ndarray:
    """1.0 where a number is neither 0 nor 1."""
    return ((array != 0) & (array != 1)).astype(np.float64)


class Passes:
    """The passes through the batched tangent tape by which forward mode finds a gradient.

    Args:
        source: of the loss.
        lanes: directions of one pass, as the prepared program has it.
    """

    def __init__(self, source: Source, lanes: int):
        tape, wrt = source.tape, source.wrt
        self._lanes = lanes
        self._coordinates = Coordinates([tape.avals[tape.inputs[i]] for i in wrt], imaginary=True)
        flags = [False] * len(tape.inputs) + [True] * len(wrt)
        outputs = range(len(tape.outputs))
        directions = self._coordinates.count
        tangent = transforms.jvp(tape, wrt)
        self.tape = transforms.simplify(chunked(tangent, flags, directions, lanes, single=tuple(outputs)))
        self._moved = [position for position, flag in enumerate(flags) if flag]

    @property
    def count(self) -> int:
        """How many passes there are; the last may have lanes to spare."""
        return -(-self._coordinates.count // self._lanes)

    def operations(self) -> int:
        """The operations of all passes as they run: every pass computes the loss once and every lane a tangent."""
        return self.count * operations(self.tape)

    def lean_operations(self, leaves: Sequence[Any]) -> int:
        """The same without those on zeros and ones, and with the loss computed once for all passes.

        Args:
            leaves: the arguments of the loss.
        """
        everything, moving = None, frozenset(depends_on(self.tape, self._moved))
        total = 0
        for number, seeds in enumerate(self._seeds()):
            total += lean_operations(self.tape, [*leaves, *seeds], moving if number else everything)
        return total

    def _seeds(self) -> Iterator[list[np.ndarray]]:
        """Unit tangents pass by pass, zeros in the lanes to spare."""
        for start in range(0, self._coordinates.count, self._lanes):
            units = self._coordinates.units(start, min(start + self._lanes, self._coordinates.count))
            spare = self._lanes - len(units[0])
            yield [np.concatenate([unit, np.zeros((spare, *unit.shape[1:]), unit.dtype)]) for unit in units]
