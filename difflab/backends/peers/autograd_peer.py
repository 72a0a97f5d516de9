"""HIPS autograd on the same tape: NumPy wrapped function by function, a new graph in every call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...primitives.record import Aval
from ...tape import Tape
from ..protocol import Cost, Source
from .forecast import forecast, framework, missing
from .replay import check_guards, replay


@dataclass(frozen=True)
class Autograd:
    """HIPS autograd, by ``autograd.value_and_grad`` and ``make_vjp``; nothing is compiled.

    It computes with NumPy, and so with the threads of NumPy's BLAS.

    Example:
        >>> Autograd()
        Autograd()
        >>> Autograd().family
        'peer'
    """

    name: str = field(default="autograd", init=False, repr=False)
    family: str = field(default="peer", init=False, repr=False)
    # Forward mode has no rules for many functions there; it is deduced from pullbacks, as Jacobians are.
    capabilities: frozenset[str] = field(
        default=frozenset(("gradient", "value_and_gradient", "vjp", "hvp", "bare")), init=False, repr=False
    )

    def unavailable(self) -> str | None:
        """What is missing, in a sentence; nothing is imported."""
        return missing("autograd")

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """Operations and bytes of reverse mode; the time is unknown."""
        return forecast(tape, operator, wrt)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedAutograd:
        """Write the tape out in functions of ``autograd.numpy``.

        Raises:
            UnsupportedError: autograd has nothing for a primitive of the tape.
        """
        return PreparedAutograd(source)


class PreparedAutograd:
    """The replayed loss, and autograd's derivatives of it."""

    def __init__(self, source: Source):
        from .autograd_table import table

        self._autograd = framework("autograd", "autograd.numpy.numpy_vjps", "autograd.scipy.special")
        self._core, self._sequence = framework("autograd.core"), framework("autograd.builtins").tuple
        self._tape, self._wrt = source.tape, source.wrt
        self._variables = [self._tape.avals[self._tape.inputs[i]] for i in self._wrt]
        self._outputs = [self._tape.avals[number] for number in self._tape.outputs]
        written = replay(self._tape, table())
        run = self._run = written.function
        self._constants = list(written.constants)
        self._both = self._autograd.value_and_grad(lambda *arguments: run(*arguments)[0], self._wrt)
        self.stats: dict[str, Any] = {
            "primal_calls": 1,
            "tape_length": len(self._tape),
            "calls": written.steps,
            "taken_whole": list(written.whole),
        }

    def _arrays(self, leaves: Sequence[Any]) -> list[Any]:
        check_guards(self._tape, leaves)
        return [*[np.array(leaf) for leaf in leaves], *self._constants]

    def _results(self, arrays: Sequence[Any], likes: Sequence[Aval]) -> list[Any]:
        return [_part(one, like) for one, like in zip(arrays, likes, strict=True)]

    def _of_variables(self, everything: Sequence[Any]) -> Callable[[Any], Any]:
        """The outputs as a function of the tuple of variables."""

        def run(variables: Any) -> Any:
            arguments = list(everything)
            for position, i in enumerate(self._wrt):
                arguments[i] = variables[position]
            return self._sequence(self._run(*arguments))

        return run

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return self._results(self._run(*self._arrays(leaves)), self._outputs)

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """Value and gradients as autograd returns them."""
        arrays, both = self._arrays(leaves), self._both
        return lambda: both(*arrays)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        value, gradients = self._both(*self._arrays(leaves))
        return self._results([value], self._outputs)[0], self._results(gradients, self._variables)

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs and a pullback through the graph, which is kept."""
        everything = self._arrays(leaves)
        at = tuple([everything[i] for i in self._wrt])
        pull, values = self._core.make_vjp(self._of_variables(everything), at)

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            along = tuple([np.array(one) for one in cotangents])
            return self._results(pull(along), self._variables)

        return self._results(values, self._outputs), pullback

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """Reverse mode over reverse mode: the pullback of the gradient."""
        if any(aval.dtype.kind == "c" for aval in self._variables):
            raise UnsupportedError("backend 'autograd' does 'hvp' by real variables only; use backend 'reverse'")
        everything = self._arrays(leaves)
        at = tuple([everything[i] for i in self._wrt])
        run = self._of_variables(everything)
        slopes = self._autograd.grad(lambda variables: run(variables)[0])
        pull, _ = self._core.make_vjp(slopes, at)
        return self._results(pull(tuple([np.array(one) for one in vectors])), self._variables)


def _part(one: Any, like: Aval) -> np.ndarray:
    """A fresh array; the real part where the variable is real."""
    array = np.asarray(one)
    if array.dtype.kind == "c" and like.dtype.kind != "c":
        array = np.real(array)
    return np.array(array, like.dtype).reshape(like.shape)
