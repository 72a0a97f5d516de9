"""PyTorch on the same tape: its own functions forward, its own reverse mode back."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ...arrays import copied
from ...errors import UnsupportedError
from ...execution.threads import team
from ...primitives.record import Aval
from ...tape import Tape
from ..deduced import rows
from ..protocol import OPERATORS, Cost, Source
from .forecast import forecast, framework, missing
from .replay import check_guards, replay
from .torch_compiled import compiled, without_compiler
from .torch_graph import Captured, capture_on_cuda


@dataclass(frozen=True)
class Torch:
    """PyTorch where the leaves are, by ``torch.autograd`` and ``torch.func``.

    On a GPU it takes CuPy's arrays as they are, runs on CuPy's current stream and gives its results as such arrays;
    for convolutions it takes what it measures as fastest (``torch.backends.cudnn.benchmark``).
    On the CPU it computes with as many threads as NumPy's BLAS does when it is prepared (``torch.set_num_threads``,
    which holds for the whole process); ``OMP_NUM_THREADS`` limits both.

    Args:
        compile: replay through ``torch.compile``, which needs a C++ compiler and some seconds to prepare.
        graph: replay a CUDA graph of value and gradient, captured when prepared; on a GPU only.
        tf32: whether a GPU may round products of float32 to TF32; switches are put back after a call.

    Example:
        >>> Torch(compile=True)
        Torch(compile=True)
        >>> Torch().family
        'peer'
    """

    compile: bool = False
    graph: bool = False
    tf32: bool = False
    name: str = field(default="torch", init=False, repr=False)
    family: str = field(default="peer", init=False, repr=False)
    capabilities: frozenset[str] = field(default=frozenset((*OPERATORS, "bare")), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.graph:  # a graph is of value and gradient; what else is asked for follows from them or is refused
            object.__setattr__(self, "capabilities", frozenset(("gradient", "value_and_gradient", "bare")))

    def __repr__(self) -> str:
        options = (name for name in ("compile", "graph", "tf32") if getattr(self, name))
        return f"Torch({', '.join(f'{name}=True' for name in options)})"

    def unavailable(self) -> str | None:
        """What is missing, in a sentence; nothing is imported."""
        reason = missing("torch")
        if reason is None and self.compile:
            return without_compiler()
        return reason

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """Operations and bytes of reverse mode; the time is unknown."""
        return forecast(tape, operator, wrt)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedTorch:
        """Write the tape out in PyTorch's functions; compile them if asked.

        Raises:
            UnsupportedError: PyTorch has nothing for a primitive or a dtype of the tape, or no graph on the CPU.
            UnavailableError: the leaves are on a GPU that PyTorch does not see.
        """
        return PreparedTorch(self, source, operator, example)


FORWARD = ("jvp", "jacobian", "hessian")
# PyTorch keeps one level of forward mode for the whole process: two threads in it take it from each other.
ONE_AT_A_TIME = threading.Lock()


def _load_forward_mode() -> None:
    """What it loads when it is first used warns about what it is made of."""
    framework("torch._decomp.decompositions_for_jvp")


@contextmanager
def _forward_mode() -> Iterator[None]:
    """Forward mode for one thread."""
    with ONE_AT_A_TIME:
        _load_forward_mode()
        yield


def _threads() -> int:
    """As many as NumPy's BLAS has, also while blocks of a program of ours limit it for a moment."""
    return team().blas_threads()


class PreparedTorch:
    """The replayed loss, and PyTorch's derivatives of it."""

    def __init__(self, backend: Torch, source: Source, operator: str, example: Sequence[Any]):
        from .torch_table import table
        from .torch_tensors import tensors_on

        if backend.graph and source.device == "cpu":
            raise UnsupportedError("Torch(graph=True) captures a CUDA graph: give it CuPy's arrays, or device 'gpu'")
        self._torch = torch = framework("torch")
        self._side = tensors_on(torch, source.device, backend.tf32)
        if operator in FORWARD:
            _load_forward_mode()
        torch.set_num_threads(_threads())
        self._tape, self._wrt = source.tape, source.wrt
        self._variables = [self._tape.avals[self._tape.inputs[i]] for i in self._wrt]
        self._outputs = [self._tape.avals[number] for number in self._tape.outputs]
        self._tensor = self._side.given
        written = replay(self._tape, table()._replace(constant=self._tensor))
        self._run = written.function
        self._constants = [self._tensor(copied(constant)) for constant in written.constants]
        self.stats: dict[str, Any] = {
            "primal_calls": 1,
            "tape_length": len(self._tape),
            "calls": written.steps,
            "taken_whole": list(written.whole),
            "threads": torch.get_num_threads(),
        }
        if source.device == "gpu":
            self.stats |= {"device": "gpu", "tf32": backend.tf32, "captured": backend.graph}
        self._captured: Captured | None = None
        if backend.compile:
            self._run = compiled(written.function, source.device)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what PyTorch has to say of its own parts
                first = operator in ("gradient", "value_and_gradient")
                self.value_and_gradient(example) if first else self.value(example)
        if backend.graph:
            with self._side.computing():
                leaves = self._tensors(example, moving=True)[: len(self._tape.inputs)]
                self._captured = Captured(
                    torch, lambda given: self._derived([*given, *self._constants]), leaves, capture_on_cuda(torch)
                )

    # -------------------------------------------------------------------- conversion

    def _tensors(self, leaves: Sequence[Any], moving: bool = False) -> list[Any]:
        """The leaves as tensors, those to differentiate with ``requires_grad`` where they are ``moving``."""
        check_guards(self._tape, leaves)
        tensors = [self._tensor(leaf) for leaf in leaves]
        if moving:
            for i in self._wrt:
                tensors[i].requires_grad_()
        return [*tensors, *self._constants]

    def _gradients(
        self, outputs: Sequence[Any], cotangents: Sequence[Any] | None, at: Sequence[Any], **how: Any
    ) -> Any:
        """One gradient per variable in PyTorch's convention, zeros where nothing depends on it."""
        moving = [i for i, output in enumerate(outputs) if output.requires_grad]
        if not moving:
            return [self._torch.zeros_like(variable) for variable in at]
        along = None if cotangents is None else [cotangents[i] for i in moving]
        return self._torch.autograd.grad([outputs[i] for i in moving], at, along, materialize_grads=True, **how)

    def _function(self, tensors: Sequence[Any]) -> Callable[..., tuple[Any, ...]]:
        """The outputs as a function of the variables alone."""

        def run(*variables: Any) -> tuple[Any, ...]:
            everything = list(tensors)
            for i, variable in zip(self._wrt, variables, strict=True):
                everything[i] = variable
            return self._run(*everything)

        return run

    def _results(self, tensors: Sequence[Any], likes: Sequence[Any], given: Sequence[Any]) -> list[Any]:
        return self._side.results(tensors, likes, given)

    def _derived(self, tensors: Sequence[Any]) -> list[Any]:
        """The loss and its gradients, in our convention."""
        outputs = self._run(*tensors)
        return [*outputs, *[one.conj() for one in self._gradients(outputs, None, [tensors[i] for i in self._wrt])]]

    # -------------------------------------------------------------------- operators

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        with self._side.computing(), self._torch.no_grad():
            tensors = self._tensors(leaves)
            return self._results(self._run(*tensors), self._outputs, tensors)

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """Value and gradients as tensors, from tensors; on the stream that is CuPy's current one now."""
        computing = self._side.computing
        with computing():
            tensors = self._tensors(leaves, moving=True)
            at, run, grad = [tensors[i] for i in self._wrt], self._run, self._torch.autograd.grad
            if self._captured is not None:
                captured, leaves = self._captured, tensors[: len(self._tape.inputs)]
                return self._side.bound(lambda: captured(leaves), rounds=False)  # its kernels are chosen
            if not run(*tensors)[0].requires_grad:
                zeros = [self._torch.zeros_like(variable) for variable in at]
                return self._side.bound(lambda: (run(*tensors)[0], zeros))

        def call() -> tuple[Any, Any]:
            (value,) = run(*tensors)
            return value, grad(value, at, materialize_grads=True)

        return self._side.bound(call)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        with self._side.computing():
            tensors = self._tensors(leaves, moving=True)
            if self._captured is None:
                found = self._derived(tensors)
            else:
                found = self._captured(tensors[: len(self._tape.inputs)])
            value, *gradients = self._results(found, [*self._outputs, *self._variables], tensors)
            return value, gradients

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs and their tangents, by ``torch.func.jvp``."""
        with self._side.computing():
            tensors = self._tensors(leaves)
            at, along = tuple([tensors[i] for i in self._wrt]), tuple(map(self._tensor, tangents))
            with _forward_mode():
                values, moved = self._torch.func.jvp(self._function(tensors), at, along)
            found = self._results([*values, *moved], [*self._outputs, *self._outputs], [*tensors, *along])
            return found[: len(values)], found[len(values) :]

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """The outputs and a pullback through the graph, which is kept."""
        with self._side.computing():
            tensors = self._tensors([*map(copied, leaves)], moving=True)  # the pullback looks at them again
            at = [tensors[i] for i in self._wrt]
            outputs = self._run(*tensors)

            def pullback(cotangents: Sequence[Any]) -> list[Any]:
                with self._side.computing():
                    along = [self._tensor(one).conj() for one in cotangents]
                    found = self._gradients(outputs, along, at, retain_graph=True)
                    return self._results([one.conj() for one in found], self._variables, [*tensors, *along])

            return self._results(outputs, self._outputs, tensors), pullback

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """The outputs and the blocks, by ``torch.func.jacfwd`` where there are fewer columns, else ``jacrev``."""
        if any(aval.dtype.kind == "c" for aval in (*self._variables, *self._outputs)):
            values, pullback = self.vjp(leaves)
            return values, rows(pullback, self._outputs, self._variables)
        with self._side.computing():
            tensors = self._tensors(leaves)
            columns, lines = (sum(aval.size for aval in avals) for avals in (self._variables, self._outputs))
            by = self._torch.func.jacfwd if columns <= lines else self._torch.func.jacrev
            at, run = [tensors[i] for i in self._wrt], self._function(tensors)
            with _forward_mode():
                blocks = by(run, tuple(range(len(at))))(*at)
            shaped = [self._blocks(row, output, tensors) for row, output in zip(blocks, self._outputs, strict=True)]
            return self._results(run(*at), self._outputs, tensors), shaped

    def hvp(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        """Reverse mode over reverse mode: the gradient's product with the vectors, differentiated."""
        with self._side.computing():
            tensors = self._tensors(leaves, moving=True)
            at, along = [tensors[i] for i in self._wrt], list(map(self._tensor, vectors))
            slopes = self._gradients(self._run(*tensors), None, at, create_graph=True)
            found = [one.conj() for one in self._gradients(slopes, along, at)]
            return self._results(found, self._variables, [*tensors, *along])

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """``torch.func.hessian``: forward mode over reverse mode, all columns at once."""
        if any(aval.dtype.kind == "c" for aval in self._variables):
            raise UnsupportedError("backend 'torch' does 'hessian' by real variables only; use backend 'reverse'")
        with self._side.computing():
            tensors = self._tensors(leaves)
            at, run = [tensors[i] for i in self._wrt], self._function(tensors)
            with _forward_mode():
                blocks = self._torch.func.hessian(lambda *variables: run(*variables)[0], tuple(range(len(at))))(*at)
            return [self._blocks(row, one, tensors) for row, one in zip(blocks, self._variables, strict=True)]

    def _blocks(self, row: Sequence[Any], above: Aval, tensors: Sequence[Any]) -> list[Any]:
        return self._results(row, [Aval((*above.shape, *aval.shape), aval.dtype) for aval in self._variables], tensors)
