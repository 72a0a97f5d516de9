"""A tape whose moved inputs are complex: every value that depends on them carries its derivative as imaginary part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..primitives.complexes import complex_dtype
from ..primitives.record import REGISTRY, Aval
from ..tape import Equation, Guard, Tape
from ..tracing import TracedArray
from ..transforms.inline import transform_builder
from .complex_rules import passed, re, refuse_complex

HALF = np.dtype(np.float16)  # there are no complex numbers of that size, so all is done in single precision


def complexify(tape: Tape, wrt: Sequence[int]) -> Tape:
    """The tape that takes complex values for some inputs and returns the imaginary parts of its outputs.

    Guards look at real parts.  What rests stays real.

    Args:
        tape: a function of real numbers.
        wrt: positions of the inputs that move.

    Returns:
        A tape with the same inputs, those in ``wrt`` complex, and one real output for each of ``tape``'s: the
        imaginary part, zeros where nothing moves.

    Raises:
        UnsupportedError: a primitive on the way cannot carry a derivative as an imaginary part.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> cube = trace_leaves(lambda leaves: [leaves[0] ** 3], [2.0])
        >>> float(complexify(cube, (0,)).evaluate([np.asarray(2.0 + 1e-200j)])[0] / 1e-200)
        12.0
    """
    work = _Complexifying(tape)
    for position, number in enumerate(tape.inputs):
        aval = tape.avals[number]
        here = Aval(aval.shape, complex_dtype(aval.dtype)) if position in wrt else aval
        work.bind(number, work.builder.input(here, tape.names.get(number, "")))
    for number, constant in tape.constants.items():
        lifted = isinstance(constant, TracedArray)
        aval = tape.avals[number]
        work.bind(number, work.builder.lift(constant) if lifted else work.builder.constant(constant, aval))
    for number, literal in tape.literals.items():
        aval = tape.avals[number]
        if aval.dtype == HALF:
            aval = aval._replace(dtype=np.dtype(np.float32))
        work.bind(number, work.builder.literal(literal, aval))
    for equation in tape.equations:
        work.bind(equation.output, work.equation(equation))
    outputs = []
    for number in tape.outputs:
        value, aval = work.values[number], tape.avals[number]
        if value.dtype.kind == "c" and aval.dtype.kind == "f":
            outputs.append(REGISTRY["imag"](value))
        else:
            outputs.append(work.builder.primitive("zeros_like", value))
    return replace(work.builder.finish(outputs), quiet_from=0)


class _Complexifying:
    """The tape under construction, and what each old value became."""

    def __init__(self, tape: Tape):
        self.builder = transform_builder()
        self.tape = tape
        self.values: dict[int, Any] = {}
        self.guards: dict[int, list[Any]] = {}
        for guard in tape.guards:
            self.guards.setdefault(guard.value, []).append(guard.observed)

    def bind(self, number: int, value: Any) -> None:
        """Note what a value became, and guard its real part."""
        if value.dtype == HALF:
            value = REGISTRY["cast"](value, dtype="<f4")
        self.values[number] = value
        for observed in self.guards.get(number, ()):
            self.builder.guards.append(Guard(re(value).number, observed))

    def equation(self, equation: Equation) -> Any:
        """The value of one equation."""
        primitive, params = equation.primitive, equation.params
        operands = [self.values[number] for number in equation.inputs]
        if params.get("dtype") == "<f2":
            params = {**params, "dtype": "<f4"}
        avals = self.tape.avals
        pairs = list(zip(equation.inputs, operands, strict=True))
        if not any(value.dtype.kind == "c" and avals[number].dtype.kind != "c" for number, value in pairs):
            return self.builder.bind(primitive, operands, params)  # nothing of it depends on what moves
        if any(avals[number].dtype.kind == "c" for number in (*equation.inputs, equation.output)):
            refuse_complex(primitive.name)
        if primitive.kind == "own":
            raise UnsupportedError(
                f"backend 'complex-step' cannot go through the primitive `{primitive.name}`, of whose complex values "
                "nobody knows; use backend 'forward', 'reverse' or 'finite'"
            )
        return passed(primitive, operands, params)
