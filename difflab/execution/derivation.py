"""What symbolic differentiation makes of a tape and one set of data: expressions, derivatives, compiled functions."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..arrays import namespace
from ..primitives.record import Aval
from ..tape import Tape
from .arithmetic import evaluate, filled
from .code_out.lines import Lines
from .code_out.programs import compiled
from .not_numbers import kept


class Task(NamedTuple):
    """What to derive.

    ``symbolic``: positions of the inputs whose entries become symbols, those of ``wrt`` first, by which is
    differentiated; ``second``: whether twice; ``cse``: whether the code shares common subexpressions; ``order``: of
    differentiation in a graph; ``code``: what the formulas are turned into; ``engine``: whose expressions they are.
    """

    tape: Tape
    symbolic: tuple[int, ...]
    wrt: tuple[int, ...]
    second: bool
    cse: bool
    order: str = "auto"
    code: str = "python"
    engine: str = "sympy"

    def symbols(self, inputs: list[Any], make: Callable[[str], Any]) -> list[Any]:
        """New symbols, which also replace the symbolic inputs in ``inputs``."""
        scalars: list[Any] = []
        for i in self.symbolic:
            own = [make(f"p{i}_{k}") for k in range(inputs[i].size)]
            inputs[i] = filled(inputs[i].shape, own)
            scalars.extend(own)
        return scalars

    def unguarded(self) -> Tape:
        """Guards are checked with numbers at every call; here they would be questions about symbols."""
        return replace(self.tape, guards=())


@dataclass(frozen=True)
class Derivation:
    """The expressions of one set of data, compiled: outputs, and outputs followed by their derivatives.

    The derivatives are the rows of the Jacobian, or of the Hessian what stands on and above its diagonal.
    ``formulas`` gives SymPy expressions: the symbols, the outputs, the rows of the Jacobian; ``lines`` outputs and
    rows as a program.
    """

    value: Callable[[Any], Any]
    everything: Callable[[Any], Any]
    notes: dict[str, Any]
    formulas: Callable[[], tuple[list[Any], list[Any], list[list[Any]]]]
    lines: Callable[[], Lines]


class Deferred:
    """A program that is compiled when it is first called: who wants derivatives seldom asks for values alone.

    Args:
        make: compiles it.

    Example:
        >>> Deferred(lambda: abs)(-2.0)
        2.0
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]]):
        self._make = make
        self._made: Callable[[Any], Any] | None = None
        self._lock = threading.Lock()

    def __call__(self, scalars: Any) -> Any:
        """All values."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return self._made(scalars)


def written_out(task: Task, leaves: Sequence[Any]) -> Derivation:
    """Expressions of SymPy, differentiated by one symbol after the other.

    Args:
        task: what to derive.
        leaves: the data; what is not symbolic enters as exact numbers.

    Returns:
        ``Derivation``.

    Raises:
        RecursionError: an expression is nested too deeply for SymPy.
        UnsupportedError: the loss uses what SymPy cannot express.
    """
    from . import expressions
    from .symbols import SPANS, Symbols, rational, symbol

    started = time.perf_counter()
    inputs: list[Any] = [np.asarray(leaf) for leaf in leaves]
    differentiated = sum(inputs[i].size for i in task.wrt)
    scalars = task.symbols(inputs, symbol)
    arithmetic = Symbols()
    after = kept(arithmetic, lambda array: arithmetic.compare("not_equal", array, array).astype(bool))
    outputs = evaluate(task.unguarded(), inputs, arithmetic, SPANS, after=after)
    roots = [rational(entry) for output in outputs for entry in output.ravel().tolist()]
    built = time.perf_counter()
    derivatives = expressions.Derivatives()
    by = scalars[:differentiated]
    slopes = derivatives.jacobian(roots, by)
    flat = flattened(slopes, derivatives.jacobian(slopes[0], by) if task.second else None)
    derived = time.perf_counter()
    everything, shared_operations = _program(task, scalars, [*roots, *flat])
    value = Deferred(lambda: _program(task, scalars, roots)[0])
    finished = time.perf_counter()
    notes = {
        "n_symbols": len(scalars),
        "symbolic_ops_value": expressions.count_operations(roots),
        "symbolic_ops_gradient": expressions.count_operations(flat),
        "symbolic_ops_value_dag": expressions.count_distinct_operations(roots),
        "symbolic_ops_dag": expressions.count_distinct_operations([*roots, *flat]),
        "symbolic_ops_cse": shared_operations if task.cse else None,
        "build_s": built - started,
        "diff_s": derived - built,
        "compile_s": finished - derived,
    }
    return Derivation(
        value, everything, notes, lambda: (scalars, roots, slopes),
        lambda: expressions.lines_of(scalars, [*roots, *flattened(slopes)], task.cse),
    )  # fmt: skip


def _program(task: Task, scalars: list[Any], results: list[Any]) -> tuple[Callable[[Any], Any], int]:
    """A program of expressions, and how many operations it has."""
    from . import expressions

    if task.code == "python":
        program = expressions.compile_function(scalars, results, task.cse)
        return program, program.operations
    lines = expressions.lines_of(scalars, results, task.cse)
    left = expressions.count_operations([*[formula for _, formula in lines.shared], *lines.results])
    return compiled(lines, task.code), left


def flattened(slopes: list[list[Any]], twice: list[list[Any]] | None = None) -> list[Any]:
    """The rows of the Jacobian, or the half of a symmetric matrix of second derivatives."""
    if twice is not None:
        return [entry for i, row in enumerate(twice) for entry in row[i:]]
    return [slope for row in slopes for slope in row]


class Places:
    """Where arrays stand in a row of numbers, one behind the other."""

    def __init__(self, avals: Sequence[Aval]):
        ends = [0, *itertools.accumulate(aval.size for aval in avals)]
        self.parts = [
            (slice(*ends), None if aval.ndim == 1 else aval.shape, None if aval.dtype == np.float64 else aval.dtype)
            for ends, aval in zip(itertools.pairwise(ends), avals, strict=True)
        ]

    def arrays(self, flat: Any) -> list[np.ndarray]:
        """The arrays, in their shapes and dtypes."""
        if type(flat) is list:
            entries = np.fromiter(flat, np.float64, len(flat))
        else:
            entries = namespace(flat).asarray(flat, dtype=np.float64)
        found = [(entries[part] if shape is None else entries[part].reshape(shape), dtype)
                 for part, shape, dtype in self.parts]  # fmt: skip
        return [array if dtype is None else cast(array, dtype) for array, dtype in found]


def cast(array: Any, dtype: np.dtype) -> Any:
    """Infinity beyond the range of the dtype, without a warning: derivative equations add none."""
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(dtype)
