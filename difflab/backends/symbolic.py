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
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ForecastError, GuardError, InputError, UnsupportedError
from ..execution.arithmetic import filled
from ..execution.derivation import Derivation, Places, Task, written_out
from ..tape import Tape
from .protocol import OPERATORS, Cost, Source

SECOND_ORDER = ("hvp", "hessian")
DEFAULT_LIMIT_S = 60.0
KEPT_DERIVATIONS = 4

# Seconds, measured with SymPy 1.14 on one x86-64 core: to start, to build or differentiate one subexpression, to share
# and compile one, to do all of that with a second derivative, and to print and compile one operation of a tree when
# nothing is shared; bytes, likewise.
START_S = 0.4
NODE_S = 1.2e-5
SHARED_S = 5e-5
CURVATURE_S = 3.5e-4
TREE_S = 2.5e-5
NODE_BYTES = 400
TREE_BYTES = 400
# Of a graph: operations of value and derivatives for every subexpression of the loss (measured: 0.7 to 4), and for
# every one and symbol; seconds and bytes to build, differentiate and compile one of them.
GRAPH_START_S = 0.001
ROOTED = 2.5
PER_SYMBOL = 1.5
GRAPH_S = 1.5e-5
GRAPH_BYTES = 1500


@dataclass(frozen=True)
class Symbolic:
    """Symbolic differentiation.

    Args:
        way: "tree": expressions of SymPy, differentiated by one symbol after the other; "dag": a graph in which every
            distinct expression stands once; "auto": "dag", or "tree" with ``cse=False``.
        engine: "sympy".
        cse: share common subexpressions (``sympy.cse``) before code is generated; a graph always does.
        data: "numbers": only the differentiated arguments are symbols and all else is exact numbers, so that zeros in
            the data vanish, and other data is derived anew; "symbols": every float argument is a symbol.
        order: in which a graph is differentiated: "root", all symbols at once from the root of the loss down,
            "symbol", one symbol after the other, or "auto", whichever takes fewer passes.
        time_limit_s: refuse what is forecast to take longer to prepare; ``None`` for 60 seconds.

    Example:
        >>> Symbolic(cse=False)
        Symbolic(way='auto', engine='sympy', cse=False, data='numbers', order='auto', time_limit_s=None)
        >>> Symbolic(cse=False).resolved_way()
        'tree'
    """

    way: str = "auto"
    engine: str = "sympy"
    cse: bool = True
    data: str = "numbers"
    order: str = "auto"
    time_limit_s: float | None = None
    name: str = field(default="symbolic", init=False, repr=False)
    family: str = field(default="symbolic", init=False, repr=False)
    # A product with the Hessian is deduced from it.
    capabilities: frozenset[str] = field(default=frozenset(OPERATORS) - {"hvp"}, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, choices in (("way", ("auto", "dag", "tree")), ("order", ("auto", "root", "symbol"))):
            if getattr(self, name) not in choices:
                raise InputError(f"Symbolic({name}={getattr(self, name)!r}): {name} is one of {', '.join(choices)}")
        if self.way == "dag" and not self.cse:
            raise InputError(
                "Symbolic(way='dag', cse=False): a graph shares by nature; use way='tree' to share nothing"
            )
        if self.order != "auto" and self.resolved_way() == "tree":
            raise InputError("Symbolic(order=...): only way='dag' has a choice of orders")
        if self.engine != "sympy":
            raise InputError(f"Symbolic(engine={self.engine!r}): the engine is 'sympy'")
        if self.data not in ("numbers", "symbols"):
            raise InputError(f"Symbolic(data={self.data!r}): data is 'numbers' or 'symbols'")
        limit = self.time_limit_s
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0):
            raise InputError(f"Symbolic(time_limit_s={limit!r}): the limit is a positive number of seconds or None")

    def unavailable(self) -> str | None:
        """SymPy is a dependency, so always there."""
        return None

    def resolved_way(self) -> str:
        """The way that is taken: "dag" or "tree"."""
        return self.way if self.way != "auto" else ("dag" if self.cse else "tree")

    def predict(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> Cost:
        """``flops``: operations of the derivatives, of trees or of the graph; ``seconds``: to derive and compile."""
        from ..execution.swell import forecast

        graph = self.resolved_way() == "dag"
        size = forecast(tape, self.symbolic_leaves(tape, wrt), shared_minors=graph)
        if graph:
            rooted = ROOTED * size.nodes * sum(tape.avals[number].size for number in tape.outputs)
            forward = PER_SYMBOL * size.slopes + size.nodes
            operations = min(rooted, forward) if self.order == "auto" else rooted if self.order == "root" else forward
            if operator in SECOND_ORDER:  # below the root of the loss everything depends on every symbol
                operations += size.nodes * sum(tape.avals[tape.inputs[i]].size for i in wrt)
            return Cost(0.0, operations, GRAPH_BYTES * operations, GRAPH_START_S + GRAPH_S * operations)
        nodes, trees = size.nodes + size.slopes, size.value + size.gradient
        twice = size.curvatures if operator in SECOND_ORDER else 0.0
        trees += size.hessian if twice else 0.0
        seconds = START_S + NODE_S * nodes
        seconds += SHARED_S * nodes + CURVATURE_S * twice if self.cse else NODE_S * twice + TREE_S * trees
        nbytes = NODE_BYTES * (nodes + twice) + (0.0 if self.cse else TREE_BYTES * trees)
        return Cost(0.0, trees, nbytes, seconds)

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
        for i in source.wrt:
            if tape.avals[tape.inputs[i]].dtype.kind != "f":
                raise UnsupportedError("backend 'symbolic' differentiates by real numbers only; use backend 'reverse'")
        self.refuse_what_takes_long(tape, operator, source.wrt)
        return PreparedSymbolic(self, source, operator, example)

    def refuse_what_takes_long(self, tape: Tape, operator: str, wrt: tuple[int, ...]) -> None:
        """Hold the forecast against the limit.

        Raises:
            ForecastError: with the figures.
        """
        cost = self.predict(tape, operator, wrt)
        limit = DEFAULT_LIMIT_S if self.time_limit_s is None else self.time_limit_s
        if cost.seconds > limit:
            count = sum(tape.avals[tape.inputs[i]].size for i in wrt)
            shares = {"dag": "that share what they can", "tree": "before common subexpressions are shared"}
            raise ForecastError(
                f"symbolic differentiation{', twice,' if operator in SECOND_ORDER else ''} by {count} symbols gives "
                f"about {cost.flops:.2g} operations {shares[self.resolved_way()]}, and is forecast to take "
                f"{_duration(cost.seconds)}; the limit is "
                f"{_duration(limit)}. Use backend 'reverse', a smaller problem, or Symbolic(time_limit_s=...)"
            )


def _duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    for unit, size in (("years", 3.15e7), ("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.3g} s"


class PreparedSymbolic:
    """Compiled expressions; data that differs from what was derived is derived anew, and counted in ``stats``."""

    def __init__(self, backend: Symbolic, source: Source, operator: str, example: Sequence[Any]):
        self._backend = backend
        self._tape = source.tape
        self._wrt = source.wrt
        self._symbolic = backend.symbolic_leaves(source.tape, source.wrt)
        self._numeric = tuple(i for i in range(len(source.tape.inputs)) if i not in self._symbolic)
        self._outputs = [source.tape.avals[number] for number in source.tape.outputs]
        self._variables = [source.tape.avals[source.tape.inputs[i]] for i in source.wrt]
        self._values, self._slopes = Places(self._outputs), Places(self._variables)
        self._together = Places([*self._outputs[:1], *self._variables])
        self._derivations: OrderedDict[tuple, Derivation] = OrderedDict()
        self._order = 2 if operator in SECOND_ORDER else 1
        self._lock = threading.Lock()
        self.stats: dict[str, Any] = {"tape_length": len(source.tape), "primal_calls": 0, "derivations": 0}
        self.stats["computed_in"] = "float64, results cast to the dtype of their leaf"
        self.stats.update(self._derivation(example, self._order).notes)

    # -------------------------------------------------------------------- derivation

    def _derivation(self, leaves: Sequence[Any], order: int = 1) -> Derivation:
        """The compiled expressions for this data, and their derivatives of that order."""
        key = (order, *[np.asarray(leaves[i]).tobytes() for i in self._numeric])
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
        task = Task(self._tape, self._symbolic, self._wrt, order == 2, backend.cse, backend.order)
        if backend.resolved_way() == "tree":
            return written_out(task, leaves)
        from ..execution.dag.derivation import shared

        return shared(task, leaves)

    def expressions(self, leaves: Sequence[Any] | None = None) -> tuple[list[Any], list[Any], list[list[Any]]]:
        """The formulas as SymPy expressions, for LaTeX, ``srepr`` or a look.

        Args:
            leaves: the data whose numbers stand in the formulas; by default what was used last.

        Returns:
            The symbols of every symbolic leaf, the outputs, and for every output its derivatives by every
            differentiated leaf: object arrays, the last of the shape of the output followed by that of the leaf.
        """
        with self._lock:
            last = next(reversed(self._derivations.values()))
        symbols, roots, rows = (last if leaves is None else self._derivation(leaves)).formulas()
        names, at = [], 0
        for i in self._symbolic:
            aval = self._tape.avals[self._tape.inputs[i]]
            names.append(filled(aval.shape, symbols[at : at + aval.size]))
            at += aval.size
        values, derivatives, at = [], [], 0
        by = [self._tape.avals[self._tape.inputs[i]] for i in self._wrt]
        for output in self._outputs:
            values.append(filled(output.shape, roots[at : at + output.size]))
            own, first, blocks = rows[at : at + output.size], 0, []
            for aval in by:
                entries = [entry for row in own for entry in row[first : first + aval.size]]
                blocks.append(filled((*output.shape, *aval.shape), entries))
                first += aval.size
            derivatives.append(blocks)
            at += output.size
        return names, values, derivatives

    # -------------------------------------------------------------------- calls

    def _scalars(self, leaves: Sequence[Any]) -> list[float]:
        self._check_guards(leaves)
        scalars: list[float] = []
        for i in self._symbolic:
            scalars += np.asarray(leaves[i]).ravel().tolist()
        return scalars

    def _check_guards(self, leaves: Sequence[Any]) -> None:
        guards = self._tape.guards
        if not guards:
            return
        seen = self._tape.replay_all(
            [np.asarray(leaf) for leaf in leaves],
            lambda primitive, operands, params: primitive.evaluate(*operands, **params),
            None,
            [guard.value for guard in guards],
        )
        if any(type(guard.observed)(value) != guard.observed for guard, value in zip(guards, seen, strict=True)):
            raise GuardError("Python would take another branch at these arguments than when the loss was recorded")

    def _jacobian(self, leaves: Sequence[Any]) -> tuple[list[np.ndarray], np.ndarray]:
        """The outputs, and the derivative of every output entry by every differentiated entry."""
        flat = self._derivation(leaves).everything(self._scalars(leaves))
        rows = sum(aval.size for aval in self._outputs)
        columns = sum(aval.size for aval in self._variables)
        return self._values.arrays(flat[:rows]), np.array(flat[rows:], dtype=np.float64).reshape(rows, columns)

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs, from their own expressions."""
        return self._values.arrays(self._derivation(leaves).value(self._scalars(leaves)))

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """The loss and its gradients."""
        flat = self._derivation(leaves).everything(self._scalars(leaves))
        value, *slopes = self._together.arrays(flat)
        return value, slopes

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """Outputs and blocks."""
        values, slopes = self._jacobian(leaves)
        blocks, at = [], 0
        for output in values:
            blocks.append(self._columns(slopes[at : at + output.size], output.shape))
            at += output.size
        return values, blocks

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """The second derivatives, each computed once."""
        flat = self._derivation(leaves, 2).everything(self._scalars(leaves))
        count = sum(aval.size for aval in self._variables)
        matrix = np.zeros((count, count))
        above = np.triu_indices(count)
        matrix[above] = flat[1:]
        matrix.T[above] = flat[1:]
        rows, at = [], 0
        for aval in self._variables:
            rows.append(self._columns(matrix[at : at + aval.size], aval.shape))
            at += aval.size
        return rows

    def _columns(self, rows: np.ndarray, shape: tuple[int, ...]) -> list[np.ndarray]:
        """Some rows of a matrix as one block per differentiated leaf."""
        result, at = [], 0
        for aval in self._variables:
            block = rows[:, at : at + aval.size].reshape((*shape, *aval.shape))
            result.append(block.astype(aval.dtype))
            at += aval.size
        return result

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Outputs and the Jacobian's product with the tangents."""
        values, slopes = self._jacobian(leaves)
        direction = np.concatenate([np.zeros(0), *[np.ravel(tangent) for tangent in tangents]])
        return values, self._values.arrays(slopes @ direction)

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """Outputs and the product of cotangents with the Jacobian."""
        values, slopes = self._jacobian(leaves)

        def pullback(cotangents: Sequence[Any]) -> list[Any]:
            weights = np.concatenate([np.zeros(0), *[np.ravel(cotangent) for cotangent in cotangents]])
            return self._slopes.arrays(weights @ slopes)

        return values, pullback
