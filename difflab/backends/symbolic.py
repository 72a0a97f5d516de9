"""Symbolic differentiation: the loss as one expression, its derivative by every parameter, then code.

Two ways.  Written out, with SymPy: exact, and as long as the expressions are, for the derivative of a product has two
terms for every one of the product, and a network is a deep composition of sums of products.  As a graph in which every
distinct expression stands once: then each is differentiated once, and the gradient has a few times the operations of
the loss.  ``stats`` counts the operations of both, as trees, as graphs and in the code.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from ..arrays import import_cupy, is_device_array, namespace, to_host
from ..errors import ForecastError, GuardError, InputError, UnsupportedError
from ..execution.amounts import duration
from ..execution.chunks import machine_bytes
from ..execution.code_out import c_code, symengine_code
from ..execution.code_out.lines import Lines
from ..execution.code_out.programs import CODES, joined, text
from ..execution.derivation import Derivation, Places, Task, cast, written_out
from ..execution.exported import Formulas, formulas_of
from ..execution.swell_costs import SLOWER, of_graph, of_trees
from ..execution.symbol_names import Renaming, names_of
from ..primitives.record import Aval
from ..tape import Tape
from .protocol import OPERATORS, SECOND_ORDER, Cost, Scalars, Source

DEFAULT_LIMIT_S = 60.0
KEPT_DERIVATIONS = 4

CHOICES = {
    "way": ("auto", "dag", "tree"),
    "engine": ("sympy", "symengine"),
    "data": ("numbers", "symbols"),
    "order": ("auto", "root", "symbol"),
    "code": CODES,
}


@dataclass(frozen=True)
class Symbolic:
    """Symbolic differentiation.

    Infinities and NaN are treated as in NumPy by a graph's own program; SymPy's and symengine's expressions fold
    factors (``x / x``, ``1e300 * 1e300 * x``) and take numbers for finite, so ``way="tree"`` may differ there.

    Args:
        way: "tree": expressions of SymPy, differentiated by one symbol after the other; "dag": a graph in which every
            distinct expression stands once; "auto": "dag", or "tree" with ``cse=False``.
        engine: "sympy", or "symengine" if it is installed, which compiles expressions by LLVM and, with ``way="tree"``,
            differentiates them; ``way="dag"`` differentiates a graph of its own with both.
        cse: share common subexpressions (``sympy.cse``) before code is generated; a graph always does.
        data: "numbers": only the differentiated arguments are symbols and all else is exact numbers, so that zeros in
            the data vanish, and other data is derived anew; "symbols": every float argument is a symbol.
        order: in which a graph is differentiated: "root", all symbols at once from the root of the loss down,
            "symbol", one symbol after the other, or "auto", whichever takes fewer passes.
        code: what the formulas are turned into: "python" (scalars), "numpy" (``sympy.lambdify``), "c" (SymPy's
            printer and the C compiler of the machine, if there is one) or "cupy", which "python" becomes where the
            arguments are CuPy's arrays; symengine makes its own.
        time_limit_s: refuse what is forecast to take longer to prepare; ``None`` for 60 seconds.

    Example:
        >>> Symbolic(cse=False)
        Symbolic(way='auto', engine='sympy', cse=False, data='numbers', order='auto', code='python', \
time_limit_s=None)
        >>> Symbolic(cse=False).resolved_way()
        'tree'
    """

    way: str = "auto"
    engine: str = "sympy"
    cse: bool = True
    data: str = "numbers"
    order: str = "auto"
    code: str = "python"
    time_limit_s: float | None = None
    name: str = field(default="symbolic", init=False, repr=False)
    family: str = field(default="symbolic", init=False, repr=False)
    # A product with the Hessian is deduced from it.
    capabilities: frozenset[str] = field(
        default=frozenset((*OPERATORS, "bare", "live-data")) - {"hvp"}, init=False, repr=False
    )

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"Symbolic({name}={getattr(self, name)!r}): {name} is one of {', '.join(choices)}")
        if self.way == "dag" and not self.cse:
            raise InputError(
                "Symbolic(way='dag', cse=False): a graph shares by nature; use way='tree' to share nothing"
            )
        if self.order != "auto" and self.resolved_way() == "tree":
            raise InputError("Symbolic(order=...): only way='dag' has a choice of orders")
        if not isinstance(self.cse, bool):
            raise InputError(f"Symbolic(cse={self.cse!r}): cse is True or False")
        if self.engine == "symengine" and self.code != "python":
            raise InputError(f"Symbolic(engine='symengine', code={self.code!r}): symengine makes its own code")
        limit = self.time_limit_s
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0):
            raise InputError(f"Symbolic(time_limit_s={limit!r}): the limit is a positive number of seconds or None")

    def unavailable(self) -> str | None:
        """A sentence where symengine, a C compiler or CuPy is asked for and not there; SymPy always is."""
        if self.engine == "symengine":
            return symengine_code.missing()
        if self.code == "c":
            return c_code.no_compiler()
        if self.code == "cupy" and find_spec("cupy") is None:
            return "Symbolic(code='cupy') needs the package cupy, which is not installed; pip install 'difflab[gpu]'"
        return None

    def resolved_way(self) -> str:
        """The way that is taken: "dag" or "tree"."""
        return self.way if self.way != "auto" else ("dag" if self.cse else "tree")

    def with_live_data(self) -> Symbolic:
        """The same with data as symbols."""
        return replace(self, data="symbols")

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """``flops``: operations of the derivatives, of trees or of the graph; ``seconds``: to derive and compile."""
        graph = self.resolved_way() == "dag"
        leaves = self.symbolic_leaves(tape, wrt)
        twice = operator in SECOND_ORDER
        found = of_graph(tape, leaves, wrt, self.order, twice) if graph else of_trees(tape, leaves, self.cse, twice)
        slower = 1.0 if self.engine == "symengine" else SLOWER[self.code]
        results = sum(tape.avals[tape.inputs[i]].size for i in wrt) ** (2 if twice else 1)
        numbers = results + sum(tape.avals[tape.inputs[i]].size for i in leaves)
        code = "symengine" if self.engine == "symengine" else self.code
        works = (Scalars(found.compiled, numbers, code),)
        return Cost(0.0, found.operations, found.nbytes, found.seconds * slower, works)

    def symbolic_leaves(self, tape: Tape, wrt: tuple[int, ...]) -> tuple[int, ...]:
        """Positions of the inputs whose entries become symbols."""
        if self.data == "numbers":
            return tuple(wrt)
        others = [i for i, number in enumerate(tape.inputs) if tape.avals[number].dtype.kind == "f" and i not in wrt]
        return (*wrt, *others)

    def prepare(self, source: Source, operator: str, example: Sequence[Any]) -> PreparedSymbolic:
        """Derive and compile, unless that is forecast to take too long.

        Raises:
            ForecastError: with the figures.
            UnsupportedError: the loss uses what SymPy cannot express.
        """
        tape = source.tape
        if source.device == "gpu" and (self.code in ("numpy", "c") or self.engine == "symengine"):
            option = "engine='symengine'" if self.engine == "symengine" else f"code={self.code!r}"
            raise UnsupportedError(
                f"backend 'symbolic' with {option} computes on the host, and the arguments are on the GPU; use "
                "code='cupy', or arguments that .get() has fetched"
            )
        for i in source.wrt:
            if tape.avals[tape.inputs[i]].dtype.kind != "f":
                raise UnsupportedError("backend 'symbolic' differentiates by real numbers only; use backend 'reverse'")
        self.refuse_what_takes_long(tape, operator, source.wrt)
        return PreparedSymbolic(self, source, operator, example)

    def refuse_what_takes_long(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> None:
        """Hold the forecast against the limits of time and memory.

        Raises:
            ForecastError: with the figures.
        """
        cost = self.predict(tape, operator, wrt)
        limit, room = DEFAULT_LIMIT_S if self.time_limit_s is None else self.time_limit_s, machine_bytes() / 2
        if cost.seconds <= limit and cost.nbytes <= room:
            return
        count = sum(tape.avals[tape.inputs[i]].size for i in wrt)
        shares = {"dag": "that share what they can", "tree": "before common subexpressions are shared"}
        takes = f"take {duration(cost.seconds)}; the limit is {duration(limit)}"
        if cost.seconds <= limit:
            takes = f"need {cost.nbytes / 2**30:.3g} GiB; half of this machine's memory is {room / 2**30:.3g} GiB"
        raise ForecastError(
            f"symbolic differentiation{', twice,' if operator in SECOND_ORDER else ''} by {count} symbols gives "
            f"about {cost.flops:.2g} operations {shares[self.resolved_way()]}, and is forecast to {takes}. Use "
            "backend 'reverse', a smaller problem, or Symbolic(time_limit_s=...)"
        )


class PreparedSymbolic:
    """Compiled expressions; data that differs from what was derived is derived anew, and counted in ``stats``."""

    def __init__(self, backend: Symbolic, source: Source, operator: str, example: Sequence[Any]):
        self._backend = backend
        self._tape = source.tape
        self._wrt = source.wrt
        self._names = tuple(source.names)
        self._symbolic = backend.symbolic_leaves(source.tape, source.wrt)
        self._numeric = tuple(i for i in range(len(source.tape.inputs)) if i not in self._symbolic)
        self._outputs = [source.tape.avals[number] for number in source.tape.outputs]
        self._variables = [source.tape.avals[source.tape.inputs[i]] for i in source.wrt]
        ends = [0, *accumulate(aval.size for aval in self._variables)]
        self._columns = [slice(start, stop) for start, stop in pairwise(ends)]
        self._values, self._slopes = Places(self._outputs), Places(self._variables)
        self._together = Places([*self._outputs[:1], *self._variables])
        self._derivations: OrderedDict[tuple, Derivation] = OrderedDict()
        self._order = 2 if operator in SECOND_ORDER else 1
        self._code = "cupy" if source.device == "gpu" else backend.code
        self._lists = self._code == "python" and backend.engine == "sympy"
        self._lock = threading.Lock()
        self.stats: dict[str, Any] = {"tape_length": len(source.tape), "primal_calls": 0, "derivations": 0}
        self.stats["computed_in"] = "float64, results cast to the dtype of their leaf"
        self.stats.update(self._derivation(example, self._order).notes)

    # -------------------------------------------------------------------- derivation

    def _derivation(self, leaves: Sequence[Any], order: int = 1) -> Derivation:
        """The compiled expressions for this data, and their derivatives of that order."""
        key = (order, *[to_host(leaves[i]).tobytes() for i in self._numeric])
        if order > self._order:
            self._backend.refuse_what_takes_long(self._tape, "hessian", self._wrt)
            self._order = order
        with self._lock:
            found = self._derivations.get(key)
            if found is None:
                try:
                    found = self._derivations[key] = self._derive(leaves, order)
                except RecursionError:
                    raise ForecastError(
                        "symbolic differentiation met an expression nested too deeply for SymPy's recursive functions "
                        "(a long loop in the loss makes such expressions); use backend 'reverse', or fewer steps"
                    ) from None
                self.stats["derivations"] += 1
                if len(self._derivations) > KEPT_DERIVATIONS:
                    self._derivations.popitem(last=False)
            else:
                self._derivations.move_to_end(key)
        return found

    def _derive(self, leaves: Sequence[Any], order: int) -> Derivation:
        backend = self._backend
        constants = {number: to_host(value) for number, value in self._tape.constants.items()}
        task = Task(
            replace(self._tape, constants=constants), self._symbolic, self._wrt, order == 2, backend.cse,
            backend.order, self._code, backend.engine,
        )  # fmt: skip
        leaves = [to_host(leaf) for leaf in leaves]  # numbers in formulas are Python's
        if backend.resolved_way() == "tree" and backend.engine == "sympy":
            return written_out(task, leaves)
        from ..execution.dag.derivation import by_symengine, shared

        return (shared if backend.resolved_way() == "dag" else by_symengine)(task, leaves)

    def _last(self, leaves: Sequence[Any] | None) -> Derivation:
        """What was derived for this data, or what was used last."""
        if self._tape.guards:
            raise UnsupportedError(
                "formulas would freeze a branch that Python chose by a traced value; choose with np.where instead"
            )
        with self._lock:
            last = next(reversed(self._derivations.values()))
        return last if leaves is None else self._derivation(leaves)

    def expressions(self, leaves: Sequence[Any] | None = None) -> Formulas:
        """The formulas as SymPy expressions, for LaTeX, ``srepr`` or a look.

        Args:
            leaves: the data whose numbers stand in the formulas; by default what was used last.

        Returns:
            The symbols of every symbolic leaf, the outputs, and for every output its first derivatives by every
            differentiated leaf: object arrays, the last of the shape of the output followed by that of the leaf.
        """
        derivation, inputs = self._last(leaves), self._inputs()
        return formulas_of(derivation, self._entries(inputs), inputs, self._outputs, self._variables)

    def _inputs(self) -> list[Aval]:
        return [self._tape.avals[self._tape.inputs[i]] for i in self._symbolic]

    def _entries(self, inputs: Sequence[Aval]) -> list[str]:
        leaves = [self._names[i] if self._names else f"p{i}" for i in self._symbolic]
        return names_of(leaves, [aval.shape for aval in inputs])

    def code(self, leaves: Sequence[Any] | None = None, language: str | None = None) -> str:
        """Outputs and first derivatives as the text of a module with a function ``program`` of the symbols.

        Args:
            leaves: the data whose numbers stand in the formulas; by default what was used last.
            language: "python", "numpy", "cupy" or "c"; by default that of the backend.

        Raises:
            InputError: there is no such language.
            UnsupportedError: the language has not all functions, or Python branches in the loss.
        """
        language = self._code if language is None else language
        if language not in CODES:
            raise InputError(f"code in {language!r}: the languages are {', '.join(CODES)}")
        lines, inputs = self._last(leaves).lines(), self._inputs()
        lines = Renaming(lines.symbols, self._entries(inputs)).lines(lines)
        return text(lines._replace(note=self._note(lines)), language)

    def _note(self, lines: Lines) -> str:
        """What goes into a program and what comes out."""
        values = sum(aval.size for aval in self._outputs)
        by = sum(aval.size for aval in self._variables)
        names = [str(symbol) for symbol in lines.symbols]
        taken = ", ".join(names if len(names) < 9 else [*names[:4], "...", names[-1]])
        each = "the value" if values == 1 else f"{values} values"
        of = "its derivatives" if values == 1 else f"the {by} derivatives of each"
        return f"In: {taken}.\nOut: {each}, then {of} by {taken if by == len(names) else f'the first {by} of them'}."

    # -------------------------------------------------------------------- calls

    def _arguments(self, leaves: Sequence[Any]) -> Any:
        """What a program takes: of Python a list of all symbols' numbers, of others a vector."""
        if self._lists:
            scalars: list[float] = []
            for i in self._symbolic:
                scalars += np.asarray(leaves[i]).ravel().tolist()
            return scalars
        return joined(np if self._code != "cupy" else import_cupy(), [leaves[i] for i in self._symbolic])

    def _evaluated(self, program: Callable[[Any], Any], leaves: Sequence[Any]) -> Any:
        """The values of a program: of Python a list, of others a vector, on the device if an argument is there."""
        self._check_guards(leaves)
        flat = program(self._arguments(leaves))
        return to_host(flat) if self._code == "cupy" and not any(map(is_device_array, leaves)) else flat

    def _check_guards(self, leaves: Sequence[Any]) -> None:
        if not self._tape.follows(leaves):
            raise GuardError("Python would take another branch at these arguments than when the loss was recorded")

    def _jacobian(self, leaves: Sequence[Any]) -> tuple[list[np.ndarray], np.ndarray]:
        """The outputs, and the derivative of every output entry by every differentiated entry."""
        flat = self._evaluated(self._derivation(leaves).everything, leaves)
        rows = sum(aval.size for aval in self._outputs)
        columns = sum(aval.size for aval in self._variables)
        slopes = namespace(flat).asarray(flat[rows:], dtype=np.float64)
        return self._values.arrays(flat[:rows]), slopes.reshape(rows, columns)

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs, from their own expressions."""
        return self._values.arrays(self._evaluated(self._derivation(leaves).value, leaves))

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        flat = self._evaluated(self._derivation(leaves).everything, leaves)
        value, *slopes = self._together.arrays(flat)
        return value, slopes

    def bare(self, leaves: Sequence[Any]) -> Callable[[], Any]:
        """Value and gradients by the program alone, on the numbers that it takes."""
        self._check_guards(leaves)
        program, scalars = self._derivation(leaves).everything, self._arguments(leaves)
        return lambda: program(scalars)

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """Outputs and blocks."""
        values, slopes = self._jacobian(leaves)
        return values, self._blocks(slopes, values)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """The second derivatives, each computed once."""
        flat = self._evaluated(self._derivation(leaves, 2).everything, leaves)
        count = sum(aval.size for aval in self._variables)
        xp = namespace(flat)
        matrix = xp.zeros((count, count))
        above = xp.triu_indices(count)
        matrix[above] = matrix.T[above] = xp.asarray(flat[1:], dtype=np.float64)
        return self._blocks(matrix, self._variables)

    def _blocks(self, matrix: np.ndarray, rows: Sequence[Any]) -> list[list[np.ndarray]]:
        """A matrix as one block per leaf of its rows and differentiated leaf."""
        found, at = [], 0
        for row in rows:
            parts = [matrix[at : at + row.size, columns] for columns in self._columns]
            pairs = zip(parts, self._variables, strict=True)
            found.append([cast(part.reshape((*row.shape, *aval.shape)), aval.dtype) for part, aval in pairs])
            at += row.size
        return found

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Outputs and the Jacobian's product with the tangents."""
        values, slopes = self._jacobian(leaves)
        direction = joined(namespace(slopes), tangents)
        with np.errstate(over="ignore", invalid="ignore"):  # an infinite slope times a zero
            product = slopes @ direction
        return values, self._values.arrays(product)

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """Outputs and the product of cotangents with the Jacobian."""
        values, slopes = self._jacobian(leaves)

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            weights = joined(namespace(slopes), cotangents)
            with np.errstate(over="ignore", invalid="ignore"):
                product = weights @ slopes
            return self._slopes.arrays(product)

        return values, pullback
