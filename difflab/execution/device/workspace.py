"""The arrays of one program on a GPU and the steps that run on them.

Set-up allocates everything that the program ever writes: copies of its inputs, buffers, results.  A step is a function
without arguments that launches kernels on those arrays, so that the steps may be captured once and replayed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...arrays import shares_memory
from ...errors import UnavailableError
from ...primitives.copy_kernels import copy
from ...primitives.record import Primitive
from ...tape import Equation, Tape
from .blas import find_blas, takes
from .evaluate import evaluate
from .fusion import Group
from .graphs import Replay
from .kernels import element_kernel, reduction_kernel
from .layout import Layout, Spot

Step = Callable[[], None]
BLAS_DTYPES = "efdFD"
PLANNED = frozenset({"fft", "rfft", "irfft"})
"""Primitives of cuFFT."""


class Workspace:
    """Arrays and steps of a program.

    Args:
        xp: ``cupy``, with the device current.
        tape: simplified.
        layout: of its values.
        given: literals and constants, on the device.
        passed: numbers of the constants that come with each call.
        tf32: whether products of float32 matrices may be rounded to TF32.
    """

    def __init__(
        self, xp: Any, tape: Tape, layout: Layout, given: Mapping[int, Any], passed: Sequence[int], *, tf32: bool
    ):
        self._xp, self._tape, self._layout, self._tf32 = xp, tape, layout, tf32
        self._without_blas: str | None = None
        self.values: dict[int, Any] = dict(given)
        self.arguments = [self._empty(number) for number in (*tape.inputs, *passed)]
        self.values.update(zip((*tape.inputs, *passed), self.arguments, strict=True))
        self._slots = [xp.empty(nbytes, "u1") for nbytes in layout.slots]
        self.blocks = [xp.empty(nbytes, "u1") for nbytes in layout.blocks]
        self._steps: list[Step] = []
        self._names: list[str] = []
        for group in layout.groups:
            self._add(group)
        for number, spot in layout.copies:
            out = self.result(self.blocks, number, spot)
            self._step("copy", functools.partial(copy, xp, self.values[number], out=out))
        self.replay = Replay(self._steps, names=self._names, reason=_reason(tape) or self._without_blas)

    @property
    def steps(self) -> int:
        """How many steps a run has."""
        return len(self._steps)

    def result(self, blocks: Sequence[Any], number: int, spot: Spot) -> Any:
        """A result as it lies in blocks, these or a copy of them."""
        aval = self._tape.avals[number]
        return self._xp.ndarray(aval.shape, aval.dtype, blocks[spot.block].data + spot.offset)

    # -------------------------------------------------------------------- arrays

    def _empty(self, number: int) -> Any:
        aval = self._tape.avals[number]
        return self._xp.empty(aval.shape, aval.dtype)

    def _made(self, number: int) -> Any:
        """The array that a group fills."""
        layout, aval = self._layout, self._tape.avals[number]
        if number in layout.results:
            return self.result(self.blocks, number, layout.results[number])
        if number in layout.slot_of:
            return self._slots[layout.slot_of[number]][: aval.nbytes].view(aval.dtype).reshape(aval.shape)
        return self._empty(number)

    # -------------------------------------------------------------------- steps

    def _step(self, name: str, step: Step) -> None:
        self._names.append(name)
        self._steps.append(step)

    def _add(self, group: Group) -> None:
        """The step of a group; what is fixed is computed right here, and views need none."""
        steps = len(self._steps)
        self._bind(group)
        if any(self._layout.places[number] == "fixed" for number in group.outputs):
            for step in self._steps[steps:]:
                step()
            del self._steps[steps:], self._names[steps:]

    def _bind(self, group: Group) -> None:
        equations = [self._tape.equations[position] for position in group.positions]
        if group.kind == "single" and self._layout.places[equations[0].output] == "view":
            equation = equations[0]
            seen = self._evaluated(equation)
            if shares_memory(seen, self.values[equation.inputs[0]]):
                self.values[equation.output] = seen
                return
            # CuPy had to copy: the copy is made again in every run.
            self.values[equation.output] = seen
            self._step(equation.primitive.name, self._copied_again(equation, seen))
            return
        for number in group.outputs:
            self.values[number] = self._made(number)
        name = ", ".join([equation.primitive.name for equation in equations])
        if group.kind == "single":
            self._step(name, self._single(equations[0]))
            return
        make = element_kernel if group.kind == "elements" else reduction_kernel
        arrays = [self.values[number] for number in (*group.inputs, *group.outputs)]
        self._step(name, functools.partial(make(self._xp, self._tape, group), *arrays))

    def _operands(self, equation: Equation) -> list[Any]:
        return [self.values[number] for number in equation.inputs]

    def _evaluated(self, equation: Equation) -> Any:
        aval = self._tape.avals[equation.output]
        return evaluate(self._xp, equation.primitive, self._operands(equation), equation.params, aval)

    def _copied_again(self, equation: Equation, out: Any) -> Step:
        return lambda: self._xp.copyto(out, self._evaluated(equation))

    def _single(self, equation: Equation) -> Step:
        """The step of an equation that runs by itself."""
        xp, primitive, out = self._xp, equation.primitive, self.values[equation.output]
        operands = self._operands(equation)
        if primitive.name == "matmul" and out.dtype.char in BLAS_DTYPES:
            return self._product(operands[0], operands[1], out)
        if primitive.name in ("reshape", "stop_gradient"):  # of what lies in another order: a copy, in the order read
            return functools.partial(copy, xp, operands[0], out=out)
        if _fills(primitive):
            assert primitive.device is not None
            return functools.partial(primitive.device, xp, *operands, out=out, **equation.params)
        return self._copied_again(equation, out)

    def _product(self, a: Any, b: Any, out: Any) -> Step:
        """A product of matrices, by cuBLAS itself; operands that it cannot take are copied first, in each run."""
        try:
            blas = find_blas()
        except UnavailableError as error:  # CuPy has its own way to it, which cannot be captured
            self._without_blas = str(error)
            return functools.partial(self._xp.matmul, a, b, out=out)
        copies: list[tuple[Any, Any]] = []
        if not takes(a, b, out):
            # Rows that lie whole are always taken, so often one copy is enough.
            twins = [self._xp.empty(one.shape, one.dtype) for one in (a, b)]
            chosen = next(
                (first, second)
                for first, second in ((twins[0], b), (a, twins[1]), (twins[0], twins[1]))
                if takes(first, second, out)
            )
            copies = [(twin, one) for twin, one in zip(chosen, (a, b), strict=True) if twin is not one]
            a, b = chosen
        xp = self._xp
        launch, current = blas.prepared(a, b, out, tf32=self._tf32), self._xp.cuda.get_current_stream

        def run() -> None:
            for twin, one in copies:
                copy(xp, one, out=twin)
            launch(current().ptr)

        return run


def _reason(tape: Tape) -> str | None:
    """Why the host has to take part, as far as the tape tells; what else a capture refuses is found by trying."""
    if guards := len(tape.guards):
        return f"the host compares what Python saw in {guards} branch{'es' * (guards > 1)}"
    transforms = [equation.primitive.name for equation in tape.equations if equation.primitive.name in PLANNED]
    if transforms:  # CuPy lets them be captured, and may later give the memory of their plans to somebody else
        return f"{transforms[0]} works in memory that belongs to CuPy's plans and not to this program"
    return None


@functools.lru_cache(maxsize=1024)
def _fills(primitive: Primitive) -> bool:
    """Whether the rule for GPUs fills a given array."""
    return primitive.device is not None and "out" in inspect.signature(primitive.device).parameters
