"""SymPy as its users use it: ``diff`` by one symbol after the other, and ``lambdify`` of all that comes out.

The expressions of the loss are those of ``Symbolic(way="tree")``, in functions that SymPy itself has.  What is timed
is SymPy's: differentiating, sharing common subexpressions, making the function, and the call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import InputError
from ...execution.derivation import Deferred, Task
from ...execution.swell import Swell
from ...tape import Tape
from ..protocol import SECOND_ORDER, Cost, Source
from .scalars import Made, PreparedScalars, Wanted, check_options, cost_of, refuse_what_is_large

MODULES = ("math", "numpy", "scipy")
# Seconds and bytes to differentiate and print one operation.
OPERATION_S = 5e-5
OPERATION_BYTES = 2000.0
MOST_OPERATIONS = 1e6


@dataclass(frozen=True)
class Lambdify:
    """SymPy's ``lambdify`` as a backend.

    It computes with Python's floats; results are cast to the dtype of their leaf.

    Args:
        modules: whose functions the code calls, "math", "numpy" or "scipy".
        cse: share common subexpressions (``lambdify(..., cse=True)``).
        data: "numbers": only the differentiated arguments are symbols, and other data stands in the expressions,
            which are derived anew where it changes; "symbols": every float argument is a symbol.
        most_operations: refuse what is forecast to have more operations.

    Example:
        >>> Lambdify(modules="numpy").unavailable() is None
        True
    """

    modules: str = "math"
    cse: bool = True
    data: str = "numbers"
    most_operations: float = MOST_OPERATIONS
    name: str = field(default="lambdify", init=False, repr=False)
    family: str = field(default="peer", init=False, repr=False)
    capabilities: frozenset[str] = field(
        default=frozenset(("gradient", "value_and_gradient", "jacobian", "hessian", "bare", "live-data")),
        init=False,
        repr=False,
    )

    def __post_init__(self) -> None:
        if self.modules not in MODULES:
            raise InputError(f"Lambdify(modules={self.modules!r}): modules is one of {', '.join(MODULES)}")
        if not isinstance(self.cse, bool):
            raise InputError(f"Lambdify(cse={self.cse!r}): cse is True or False")
        check_options("Lambdify", self.data, self.most_operations)

    def unavailable(self) -> str | None:
        """Always there."""
        return None

    def with_live_data(self) -> Lambdify:
        """The same with data as symbols."""
        return replace(self, data="symbols")

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """``flops``: operations of value and derivatives, written out."""

        def operations(size: Swell) -> float:
            return size.value + size.gradient + (size.curvatures if operator in SECOND_ORDER else 0.0)

        return cost_of(tape, wrt, self.data, ("python", OPERATION_S, OPERATION_BYTES), operations)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedScalars:
        """Write the expressions, differentiate and print them, unless that is forecast to be too large.

        Raises:
            ForecastError: with the figures.
            UnsupportedError: SymPy cannot express a primitive.
        """

        def derive(wanted: Wanted, leaves: Sequence[Any]) -> Made:
            return derived(wanted, leaves, self.modules, self.cse)

        return PreparedScalars(source, operator, example, self.data, derive, self._admit)

    def _admit(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> None:
        count = sum(tape.avals[tape.inputs[i]].size for i in wrt)
        refuse_what_is_large("Lambdify", self.predict(tape, operator, wrt), self.most_operations, count)


class Called:
    """A function that ``lambdify`` made, of one vector."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self._run = run

    def __call__(self, flat: np.ndarray) -> np.ndarray:
        """All results as a fresh vector."""
        return np.array(self._run(*flat.tolist()), np.float64)

    def bare(self, flat: np.ndarray) -> Callable[[], Any]:
        """The function with its arguments in place, as Python's floats."""
        run, arguments = self._run, flat.tolist()
        return lambda: run(*arguments)


def derived(wanted: Wanted, leaves: Sequence[Any], modules: str, cse: bool) -> Made:
    """Expressions of SymPy for these leaves, their derivatives, and functions of them.

    Args:
        wanted: what to derive.
        leaves: host arrays; what is no symbol stands in the expressions as a number.
        modules: whose functions are called.
        cse: whether common subexpressions are shared.

    Returns:
        ``Made``; its notes count operations as trees.

    Raises:
        UnsupportedError: SymPy cannot express a primitive.
    """
    import sympy

    from ...execution import expressions
    from ...execution.arithmetic import evaluate
    from ...execution.exported import Plain
    from ...execution.symbols import SPANS, Symbols, rational, symbol

    started = time.perf_counter()
    task = Task(wanted.tape, wanted.symbolic, wanted.wrt, wanted.second, cse)
    inputs: list[Any] = [np.asarray(leaf) for leaf in leaves]
    count = sum(inputs[i].size for i in wanted.wrt)
    symbols = task.symbols(inputs, symbol)
    outputs = evaluate(task.unguarded(), inputs, Symbols(), SPANS)
    plain = Plain()
    roots = [plain.of(rational(entry)) for output in outputs for entry in output.ravel().tolist()]
    built = time.perf_counter()
    slopes = [sympy.diff(root, one) for root in roots[: wanted.rows] for one in symbols[:count]]
    if wanted.second:
        slopes = [sympy.diff(slope, one) for slope in slopes for one in symbols[:count]]
    differentiated = time.perf_counter()

    def compiled(results: list[Any]) -> Called:
        return Called(sympy.lambdify(symbols, results, modules=modules, cse=cse))

    everything, value = compiled([*roots, *slopes]), Deferred(lambda: compiled(roots))
    notes = {
        "n_symbols": len(symbols),
        "symbolic_ops_value": expressions.count_operations(roots),
        "symbolic_ops_gradient": expressions.count_operations(slopes),
        "symbolic_ops_dag": expressions.count_distinct_operations([*roots, *slopes]),
        "build_s": built - started,
        "diff_s": differentiated - built,
        "compile_s": time.perf_counter() - differentiated,
    }
    return Made(value, everything, notes)
