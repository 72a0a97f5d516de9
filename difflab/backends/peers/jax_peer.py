"""JAX on the same tape: its own functions, its own transformations, compiled by XLA or not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...arrays import copied
from ...errors import InputError, UnsupportedError
from ...primitives.record import Aval
from ...tape import Tape
from ..deduced import rows
from ..protocol import OPERATORS, Cost, Source
from .forecast import forecast, framework, missing
from .replay import check_guards, replay

MODES = ("reverse", "forward")


@dataclass(frozen=True)
class Jax:
    """JAX where the leaves are, in 64 bits where the loss is, whatever ``jax_enable_x64`` says elsewhere.

    On a GPU it takes CuPy's arrays as they are and gives its results as such.  On the CPU XLA takes its threads when
    JAX makes its client, once per process: as many as the process may use processors (``taskset`` limits them), or as
    many as the environment variable ``PJRT_NPROC`` or ``NPROC`` said before.

    Args:
        jit: compile by ``jax.jit`` when prepared; otherwise every function is dispatched by itself.
        mode: how a gradient is computed, "reverse" (``jax.value_and_grad``) or "forward" (``jax.jacfwd``).
        tf32: whether a GPU may round products of float32 to TF32 (``jax.default_matmul_precision``).

    Example:
        >>> Jax(jit=False)
        Jax(jit=False, mode='reverse')
        >>> Jax().family
        'peer'
    """

    jit: bool = True
    mode: str = "reverse"
    tf32: bool = False
    name: str = field(default="jax", init=False, repr=False)
    family: str = field(default="peer", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "bare")), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"Jax(mode={self.mode!r}): mode is one of {', '.join(MODES)}")

    def __repr__(self) -> str:
        return f"Jax(jit={self.jit}, mode={self.mode!r}{', tf32=True' if self.tf32 else ''})"

    def unavailable(self) -> str | None:
        """What is missing, in a sentence; nothing is imported."""
        return missing("jax")

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """Operations and bytes of reverse mode; the time is unknown."""
        return forecast(tape, operator, wrt)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedJax:
        """Write the tape out in JAX's functions, and compile the operator.

        Raises:
            UnsupportedError: JAX has nothing for a primitive or a dtype of the tape.
        """
        return PreparedJax(self, source, operator, example)


class PreparedJax:
    """The replayed loss and JAX's transformations of it, each compiled when it is first needed."""

    def __init__(self, backend: Jax, source: Source, operator: str, example: Sequence[Any]):
        from .jax_arrays import arrays_on
        from .jax_table import table

        self._jax = framework("jax", "jax.numpy", "jax.scipy.special", "jax.dlpack")
        self._side = arrays_on(self._jax, source.device, backend.tf32)
        self._jit, self._mode = backend.jit, backend.mode
        self._tape, self._wrt = source.tape, source.wrt
        for aval in self._tape.avals:
            if aval.dtype.char in "gG":
                raise UnsupportedError("backend 'jax' has no longdouble; use float64 or float32, or backend 'reverse'")
        self._variables = [self._tape.avals[self._tape.inputs[i]] for i in self._wrt]
        self._outputs = [self._tape.avals[number] for number in self._tape.outputs]
        self._complex = any(aval.dtype.kind == "c" for aval in (*self._variables, *self._outputs))
        with self._jax.enable_x64(True):
            written = replay(self._tape, table())
        self._run = written.function
        self._constants = [self._array(constant) for constant in written.constants]
        self._compiled: dict[str, Callable[..., Any]] = {}
        self._lock = threading.Lock()
        self.stats: dict[str, Any] = {
            "primal_calls": 1,
            "tape_length": len(self._tape),
            "calls": written.steps,
            "taken_whole": list(written.whole),
        }
        self._ahead = source.device == "gpu"
        if self._ahead:
            self.stats |= {"device": "gpu", "tf32": backend.tf32}
        kind = {"gradient": "value_and_gradient"}.get(operator, operator)
        leaves = self._arrays(example)
        more = {"jvp": self._variables, "hvp": self._variables}.get(kind, [])
        self._program(kind, [*leaves, *[self._array(np.zeros(aval.shape, aval.dtype)) for aval in more]])

    # -------------------------------------------------------------------- conversion

    def _array(self, array: Any) -> Any:
        """An array as JAX's, which nobody changes while a call runs."""
        with self._jax.enable_x64(True):
            return self._side.given(array)

    def _arrays(self, leaves: Sequence[Any]) -> list[Any]:
        check_guards(self._tape, leaves)
        return [*map(self._array, leaves), *self._constants]

    def _results(self, arrays: Sequence[Any], likes: Sequence[Aval], given: Sequence[Any] = ()) -> list[Any]:
        return self._side.results(arrays, likes, [*given, *self._constants])

    # -------------------------------------------------------------------- programs

    def _at(self, everything: Sequence[Any]) -> list[Any]:
        return [everything[i] for i in self._wrt]

    def _of_variables(self, everything: Sequence[Any]) -> Callable[..., tuple[Any, ...]]:
        """The outputs as a function of the variables alone."""

        def run(*variables: Any) -> tuple[Any, ...]:
            arguments = list(everything)
            for i, variable in zip(self._wrt, variables, strict=True):
                arguments[i] = variable
            return self._run(*arguments)

        return run

    def _scalar(self, everything: Sequence[Any]) -> Callable[..., Any]:
        run = self._of_variables(everything)
        return lambda *variables: run(*variables)[0]

    def _split(self, arguments: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        count = len(self._tape.inputs) + len(self._constants)
        return arguments[:count], arguments[count:]

    def _transformed(self, kind: str) -> Callable[..., Any]:
        """A function of leaves, constants and what the operator takes besides."""
        jax, positions = self._jax, tuple(range(len(self._wrt)))

        def value_and_gradient(*everything: Any) -> Any:
            if self._mode == "forward":
                loss = self._scalar(everything)
                slopes = jax.jacfwd(lambda *variables: [loss(*variables)] * 2, positions, has_aux=True)
                gradients, value = slopes(*self._at(everything))
                return value, gradients
            return jax.value_and_grad(self._scalar(everything), positions)(*self._at(everything))

        def jvp(*arguments: Any) -> Any:
            everything, tangents = self._split(arguments)
            return jax.jvp(self._of_variables(everything), self._at(everything), list(tangents))

        def vjp(*everything: Any) -> Any:
            return jax.vjp(self._of_variables(everything), *self._at(everything))

        def jacobian(*everything: Any) -> Any:
            columns, lines = (sum(aval.size for aval in avals) for avals in (self._variables, self._outputs))
            by = jax.jacfwd if columns <= lines else jax.jacrev
            run = self._of_variables(everything)
            return run(*self._at(everything)), by(run, positions)(*self._at(everything))

        def hvp(*arguments: Any) -> Any:
            everything, vectors = self._split(arguments)
            slope = jax.grad(self._scalar(everything), positions)
            return jax.jvp(slope, self._at(everything), list(vectors))[1]

        def hessian(*everything: Any) -> Any:
            return jax.hessian(self._scalar(everything), positions)(*self._at(everything))

        kinds = (value_and_gradient, jvp, vjp, jacobian, hvp, hessian)
        return {"value": self._run, **{function.__name__: function for function in kinds}}[kind]

    def _program(self, kind: str, arguments: Sequence[Any]) -> Callable[..., Any]:
        """An operator, compiled for these arguments; what is compiled no longer asks how wide a number is."""
        with self._lock:
            if kind not in self._compiled:
                function = self._transformed(kind)
                if self._jit and not (self._complex and kind in ("jacobian", "hessian")):
                    with self._jax.enable_x64(True), self._side.precision():
                        self._compiled[kind] = self._jax.jit(function).lower(*arguments).compile()
                else:
                    self._compiled[kind] = self._wide(function)
            return self._compiled[kind]

    def _wide(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that runs in 64 bits, and makes its own arrays where the leaves are."""

        def run(*arguments: Any) -> Any:
            jax = self._jax
            with jax.enable_x64(True), jax.default_device(self._side.device), self._side.precision():
                return function(*arguments)

        return run

    def _call(self, kind: str, arguments: Sequence[Any]) -> Any:
        return self._program(kind, arguments)(*arguments)

    # -------------------------------------------------------------------- operators

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        arrays = self._arrays(leaves)
        return self._results(self._call("value", arrays), self._outputs, arrays)

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """Value and gradients as JAX's arrays, from JAX's arrays.

        They are waited for; on a GPU, where whoever times waits for the device, a call waits for the call before.
        """
        arrays, wait = self._arrays(leaves), self._jax.block_until_ready
        program = self._program("value_and_gradient", arrays)
        if not self._ahead:
            return lambda: wait(program(*arrays))
        before: Any = ()

        def call() -> Any:
            nonlocal before
            now = program(*arrays)
            wait(before)
            before = now
            return now

        return call

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        arrays = self._arrays(leaves)
        value, gradients = self._call("value_and_gradient", arrays)
        value, *gradients = self._results([value, *gradients], [*self._outputs, *self._variables], arrays)
        return value, gradients

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs and their tangents."""
        arrays = [*self._arrays(leaves), *map(self._array, tangents)]
        values, moved = self._call("jvp", arrays)
        found = self._results([*values, *moved], [*self._outputs, *self._outputs], arrays)
        return found[: len(values)], found[len(values) :]

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs and JAX's pullback."""
        arrays = self._arrays([*map(copied, leaves)])  # the pullback looks at them again
        values, pull = self._call("vjp", arrays)
        along = self._wide(lambda cotangents: pull(tuple(cotangents)))

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            given = [*map(self._array, cotangents)]
            return self._results(along(given), self._variables, [*arrays, *given])

        return self._results(values, self._outputs, arrays), pullback

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks: by columns where there are fewer of them, by rows otherwise."""
        if self._complex:
            values, pullback = self.vjp(leaves)
            return values, rows(pullback, self._outputs, self._variables)
        arrays = self._arrays(leaves)
        values, blocks = self._call("jacobian", arrays)
        shaped = [self._blocks(row, output, arrays) for row, output in zip(blocks, self._outputs, strict=True)]
        return self._results(values, self._outputs, arrays), shaped

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """Forward mode over reverse mode."""
        arrays = [*self._arrays(leaves), *map(self._array, vectors)]
        return self._results(self._call("hvp", arrays), self._variables, arrays)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """Forward mode over reverse mode, all columns."""
        if self._complex:
            raise UnsupportedError("backend 'jax' does 'hessian' by real variables only; use backend 'reverse'")
        arrays = self._arrays(leaves)
        blocks = self._call("hessian", arrays)
        return [self._blocks(row, variable, arrays) for row, variable in zip(blocks, self._variables, strict=True)]

    def _blocks(self, row: Sequence[Any], above: Aval, arrays: Sequence[Any]) -> list[Any]:
        return self._results(row, [Aval((*above.shape, *aval.shape), aval.dtype) for aval in self._variables], arrays)
