"""Symengine as its users use it: ``diff`` by one symbol after the other, and ``Lambdify`` of all that comes out.

The expressions are those of ``Symbolic(engine="symengine", way="tree")``: difflab reads the tape into a graph and
writes the graph in symengine's functions, by which it says what symengine has none for.  What is symengine's own here
is all that is timed: differentiating, sharing common subexpressions, compiling, and the call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...errors import ForecastError, InputError, UnsupportedError
from ...execution.derivation import Deferred, Task
from ...execution.swell import Swell
from ...tape import Tape
from ..protocol import SECOND_ORDER, Cost, Source
from .scalars import Made, PreparedScalars, Wanted, check_options, cost_of, refuse_what_is_large

CODES = ("auto", "llvm", "lambda")
# Seconds and bytes to write, differentiate and compile one operation of the code.
OPERATION_S = 1e-4
OPERATION_BYTES = 2000.0
MOST_OPERATIONS = 1e5


@dataclass(frozen=True)
class Symengine:
    """Symengine as a backend.

    It computes in double precision; results are cast to the dtype of their leaf.  Numbers are taken to be finite, and
    symengine folds what cancels.

    Args:
        code: "llvm", "lambda" (its interpreter), or "auto": LLVM where symengine was built with it.
        cse: share common subexpressions before code is made.
        data: "symbols": every float argument is a symbol; "numbers": only the differentiated ones are, and other data
            stands in the expressions, which are derived anew where it changes.
        most_operations: refuse what is forecast to have more operations, and what has more when common subexpressions
            are shared: symengine shares nothing inside a choice, so that choices of choices grow.

    Example:
        >>> Symengine(cse=False)
        Symengine(code='auto', cse=False, data='symbols', most_operations=100000.0)
    """

    code: str = "auto"
    cse: bool = True
    data: str = "symbols"
    most_operations: float = MOST_OPERATIONS
    name: str = field(default="symengine", init=False, repr=False)
    family: str = field(default="peer", init=False, repr=False)
    capabilities: frozenset[str] = field(
        default=frozenset(("gradient", "value_and_gradient", "jacobian", "hessian", "bare", "live-data")),
        init=False,
        repr=False,
    )

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise InputError(f"Symengine(code={self.code!r}): code is one of {', '.join(CODES)}")
        if not isinstance(self.cse, bool):
            raise InputError(f"Symengine(cse={self.cse!r}): cse is True or False")
        check_options("Symengine", self.data, self.most_operations)

    def unavailable(self) -> str | None:
        """A sentence where symengine is not installed; imports nothing."""
        if find_spec("symengine") is not None:
            return None
        return "it needs the package symengine, which is not installed; pip install 'difflab[peers]'"

    def with_live_data(self) -> Symengine:
        """The same with data as symbols."""
        return replace(self, data="symbols")

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """``flops``: operations of value and derivatives where what is equal is computed once."""

        def operations(size: Swell) -> float:
            first = size.nodes + size.slopes
            if not self.cse:
                first = size.value + size.gradient
            return first + (size.curvatures if operator in SECOND_ORDER else 0.0)

        return cost_of(tape, wrt, self.data, ("symengine", OPERATION_S, OPERATION_BYTES), operations)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedScalars:
        """Write the expressions, differentiate and compile them, unless that is forecast to be too large.

        Raises:
            ForecastError: with the figures.
            UnsupportedError: symengine cannot express a primitive, or has no code for a function.
        """

        def derive(wanted: Wanted, leaves: Sequence[Any]) -> Made:
            return derived(wanted, leaves, self)

        return PreparedScalars(source, operator, example, self.data, derive, self._admit)

    def _admit(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> None:
        count = sum(tape.avals[tape.inputs[i]].size for i in wrt)
        refuse_what_is_large("Symengine", self.predict(tape, operator, wrt), self.most_operations, count)


class Called:
    """A program of ``symengine.Lambdify`` of one vector, called without its checks of types and shapes.

    Args:
        made: the program.
        count: of results.
        locked: whether intermediate values are kept in the program itself, as its interpreter does.
    """

    def __init__(self, made: Any, count: int, locked: bool):
        self._run: Callable[[np.ndarray, np.ndarray], None] = made.unsafe_real
        self._count = count
        self._lock = threading.Lock() if locked else None

    def __call__(self, flat: np.ndarray) -> np.ndarray:
        """All results as a fresh vector."""
        out = np.empty(self._count)
        if self._lock is None:
            self._run(flat, out)
        else:
            with self._lock:
                self._run(flat, out)
        return out

    def bare(self, flat: np.ndarray) -> Callable[[], Any]:
        """The program with its argument and its result in place."""
        run, out = self._run, np.empty(self._count)

        def call() -> np.ndarray:
            run(flat, out)
            return out

        return call


class Constant:
    """Results that depend on no symbol, or none at all: for those symengine makes no program.

    Args:
        values: all results.
    """

    def __init__(self, values: np.ndarray):
        self._values = values

    def __call__(self, flat: np.ndarray) -> np.ndarray:
        """All results as a fresh vector."""
        return self._values.copy()

    def bare(self, flat: np.ndarray) -> Callable[[], Any]:
        """The results as they are."""
        return lambda: self._values


def derived(wanted: Wanted, leaves: Sequence[Any], options: Symengine) -> Made:
    """Expressions of symengine for these leaves, their derivatives, and programs of them.

    Args:
        wanted: what to derive.
        leaves: host arrays; what is no symbol stands in the expressions as a number.
        options: the backend.

    Returns:
        ``Made``; its notes count operations as trees, of the graph and of the code.

    Raises:
        ForecastError: the code would have too many operations.
        UnsupportedError: symengine cannot express a primitive, or has no code for a function.
    """
    import symengine

    from ...execution.code_out.symengine_code import Expressions, count_operations, count_shared_operations
    from ...execution.dag.derivation import Loss

    started = time.perf_counter()
    task = Task(wanted.tape, wanted.symbolic, wanted.wrt, wanted.second, options.cse, engine="symengine")
    loss = Loss(task, leaves)
    hidden = Expressions(loss.names, opaque=True)
    roots = hidden.of(loss.roots)
    by = hidden.symbols[: len(loss.by)]
    built = time.perf_counter()
    slopes = [root.diff(symbol) for root in roots[: wanted.rows] for symbol in by]
    if wanted.second:
        slopes = [slope.diff(symbol) for slope in slopes for symbol in by]
    flat, seen = hidden.seen(slopes), hidden.seen(roots)
    derived_at = time.perf_counter()
    results = [*seen, *flat]
    written = count_shared_operations(results) if options.cse else count_operations(results, distinct=False)
    if written > options.most_operations:
        raise ForecastError(
            f"symengine's code of value and derivatives has {written} operations, for what is inside a choice is not "
            f"shared; the limit is {options.most_operations:.2g}. Use backend 'reverse', Symbolic(), or "
            "Symengine(most_operations=...)"
        )
    shared_at = time.perf_counter()
    llvm = symengine.have_llvm if options.code == "auto" else options.code == "llvm"

    def compiled(results: list[Any]) -> Called | Constant:
        if not hidden.symbols or not results:
            return Constant(np.array([float(result) for result in results], dtype=np.float64))
        try:
            made = symengine.Lambdify(hidden.symbols, results, cse=options.cse, backend="llvm" if llvm else "lambda")
        except (RuntimeError, ValueError) as fault:
            raise UnsupportedError(
                f"symengine cannot compile {fault}; use Symbolic(), which has all functions"
            ) from None
        return Called(made, len(results), not llvm)

    everything, value = compiled(results), Deferred(lambda: compiled(seen))
    notes = {
        "n_symbols": len(hidden.symbols),
        "symbolic_ops_value": count_operations(seen, distinct=False),
        "symbolic_ops_gradient": count_operations(flat, distinct=False),
        "symbolic_ops_dag": count_operations(results, distinct=True),
        "symbolic_ops_cse": written if options.cse else None,
        "build_s": built - started,
        "diff_s": derived_at - built,
        "compile_s": time.perf_counter() - shared_at,
    }
    return Made(value, everything, notes)
