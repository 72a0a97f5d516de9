"""The graph's expressions in symengine: differentiated by it, and compiled by its LLVM or interpreted by it.

Its rules are its own: it expands numbers over sums, folds ``x/x`` and ``sqrt(x)**2``, and knows few functions; what
it lacks is written in those that it has, so that nothing cancels where the graph's own program would not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ..dag.meanings import double
from ..dag.nodes import Node, nodes

# Operations that a derivative does not pass.
OPAQUE = frozenset({"floor", "ceil", "largest", "shift", "stopped"})
MOST = 1.7976931348623157e308
# Classes whose names tell what has no operations.
CONDITIONS = frozenset({"StrictLessThan", "LessThan", "Equality", "Unequality", "Not", "Piecewise"})
RELATIONS = {"greater": "Gt", "greater_equal": "Ge", "equal": "Eq", "not_equal": "Ne"}
SAME = {"exp": "exp", "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos", "log": "log",
        "arctan": "atan", "arctan2": "atan2", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "arcsinh": "asinh",
        "arccosh": "acosh", "arctanh": "atanh", "erf": "erf", "erfc": "erfc", "gamma": "gamma",
        "gammaln": "loggamma", "sqrt": "sqrt", "floor": "floor", "ceil": "ceiling"}  # fmt: skip


def missing() -> str | None:
    """A sentence where symengine is not installed; imports nothing."""
    from importlib.util import find_spec

    if find_spec("symengine") is not None:
        return None
    return "Symbolic(engine='symengine') needs the package symengine, which is not installed; pip install symengine"


class Expressions:
    """Nodes as symengine's expressions.

    Args:
        names: of the symbols, by their positions.
        opaque: whether what a derivative does not pass becomes a symbol of its own; ``seen`` puts it back.
    """

    def __init__(self, names: Sequence[str], *, opaque: bool):
        import symengine

        self.engine, self.opaque = symengine, opaque
        self.symbols = [symengine.Symbol(name) for name in names]
        self.known: dict[Node, Any] = {}
        self.hidden: dict[Any, Any] = {}

    def of(self, roots: Sequence[Node]) -> list[Any]:
        """The expressions of these nodes."""
        for node in nodes(roots):
            if node not in self.known:
                made = self._of(node, [self.known[operand] for operand in node.operands])
                if self.opaque and node.operation in OPAQUE:
                    name = self.engine.Symbol(f"_{node.operation}{node.place}")
                    self.hidden[name] = made
                    made = name
                self.known[node] = made
        return [self.known[root] for root in roots]

    def seen(self, expressions: Sequence[Any]) -> list[Any]:
        """The same with what was hidden in its place again, outermost first."""
        for name, formula in reversed(self.hidden.items()):
            expressions = [expression.subs({name: formula}) for expression in expressions]
        return list(expressions)

    def _of(self, node: Node, parts: list[Any]) -> Any:
        engine, operation, value = self.engine, node.operation, node.value
        if operation == "symbol":
            return self.symbols[int(value)]
        if operation == "number":
            return self._number(value)
        if operation == "pi":
            return engine.pi
        if operation == "sum":
            return engine.Add(*parts)
        if operation == "scale":
            return self._number(value) * parts[0]
        if operation == "product":
            return parts[0] * parts[1]
        if operation == "divide":
            return parts[0] / parts[1]
        if operation == "integer_power":
            return parts[0] ** value
        if operation == "power":
            return parts[0] ** parts[1]
        if operation == "stopped":
            return parts[0]
        if operation in RELATIONS:
            return getattr(engine, RELATIONS[operation])(*parts)
        if operation in ("and", "or", "not"):
            return getattr(engine, operation.title())(*parts)
        if operation == "select":
            choices = list(zip(parts[1:-1:2], parts[:-1:2], strict=True))
            return engine.Piecewise(*choices, (parts[-1], True))
        if operation in SAME and not (self.opaque and operation == "arctan2"):
            return getattr(engine, SAME[operation])(*parts)
        return self._written(operation, parts)

    def _written(self, operation: str, parts: list[Any]) -> Any:
        """What symengine has no function for."""
        engine = self.engine
        choose, x, half = engine.Piecewise, parts[0], engine.Rational(1, 2)
        if operation == "larger":
            a, b = parts
            return choose((a, engine.Gt(a, b)), (b, engine.Gt(b, a)), ((a + b) * half, True))
        if operation in ("largest", "shift"):
            for item in parts[1:]:
                x = choose((x, engine.Ge(x, item)), (item, True))
            if operation == "largest":
                return x
            finite = engine.And(engine.Ge(x, -engine.RealDouble(MOST)), engine.Le(x, engine.RealDouble(MOST)))
            return choose((x, finite), (engine.Integer(0), True))
        if operation == "absolute":
            zero = engine.Integer(0)
            # At 0 a zero that does not move, and NaN for NaN.
            return choose((x, engine.Gt(x, zero)), (-x, engine.Lt(x, zero)), (x**2, True))
        if operation == "sigmoid":
            return 1 / (1 + engine.exp(-x))
        if operation == "logaddexp":
            a, b = parts
            return choose((a + self._log1p(engine.exp(b - a)), engine.Ge(a, b)),
                          (b + self._log1p(engine.exp(a - b)), True))  # fmt: skip
        if operation == "arctan2":  # its own derivative leaves that of a sign standing
            a, b = parts
            zero, right = engine.Integer(0), engine.pi * half
            return choose((engine.atan(a / b), engine.Gt(b, zero)), (right - engine.atan(b / a), engine.Gt(a, zero)),
                          (-right - engine.atan(b / a), engine.Lt(a, zero)),
                          (engine.atan(a / b) + engine.pi, True))  # fmt: skip
        if operation == "hypot":
            return engine.sqrt(x**2 + parts[1] ** 2)
        if operation == "log1p":
            return self._log1p(x)
        if operation == "expm1":
            small = engine.tanh(x * half)
            return choose((2 * small / (1 - small), self._small(x)), (engine.exp(x) - 1, True))
        if operation in ("log2", "log10"):
            return engine.log(x) / engine.log(int(operation[3:]))
        if operation == "exp2":
            return engine.exp(x * engine.log(2))
        raise UnsupportedError(
            f"symengine's programs have no function {operation!r}; use Symbolic(engine='sympy'), which has it"
        )

    def _log1p(self, x: Any) -> Any:
        near = 2 * self.engine.atanh(x / (2 + x))
        return self.engine.Piecewise((near, self._small(x)), (self.engine.log(1 + x), True))

    def _small(self, x: Any) -> Any:
        engine = self.engine
        half = engine.Rational(1, 2)
        return engine.And(engine.Gt(x, -half), engine.Lt(x, half))

    def _number(self, value: Any) -> Any:
        if type(value) is not float and value.q == 1:
            return self.engine.Integer(int(value.p))
        return self.engine.RealDouble(double(value))


class SymengineProgram:
    """The values of expressions as a function of the symbols.

    Args:
        symbols: symengine's, in the order in which their values are given.
        roots: symengine's expressions.
        cse: whether common subexpressions are shared before code is made.

    Raises:
        UnsupportedError: it has no code for a function or for a derivative that it left standing.
    """

    def __init__(self, symbols: Sequence[Any], roots: Sequence[Any], cse: bool):
        import symengine

        self.count = len(roots)
        # LLVM's lowest level: the others take two to five times as long to compile and save a tenth of a call.
        llvm = {"backend": "llvm", "opt_level": 0} if symengine.have_llvm else {"backend": "lambda"}
        try:
            made = symengine.Lambdify(list(symbols), list(roots), cse=cse, **llvm)
        except RuntimeError as fault:
            raise UnsupportedError(
                f"symengine cannot compile {fault}; use Symbolic(engine='sympy'), which has all functions"
            ) from None
        self._run: Callable[[np.ndarray, np.ndarray], None] = made.unsafe_real
        # Its interpreter keeps intermediate values in the program itself.
        self._lock = None if symengine.have_llvm else threading.Lock()

    def __call__(self, scalars: Sequence[float]) -> np.ndarray:
        """All values as an array."""
        given, out = np.asarray(scalars, dtype=np.float64), np.empty(self.count)
        if self._lock is None:
            self._run(given, out)
        else:
            with self._lock:
                self._run(given, out)
        return out


def count_operations(roots: Iterable[Any], *, distinct: bool) -> int:
    """Operations of symengine's expressions: as trees without walking the trees, or of distinct subexpressions.

    A sum or product of n has n - 1, a sign is one, a power or function one; numbers and relations have none.
    """
    roots = list(roots)
    totals: dict[Any, int] = {}
    owns = 0
    stack = [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if node in totals:
            continue
        parts = node.args
        if done:
            own = _own(node, parts)
            owns += own
            totals[node] = own + sum(totals[part] for part in parts)
        else:
            stack.append((node, True))
            stack.extend((part, False) for part in parts)
    return owns if distinct else sum(totals[root] for root in roots)


def _own(node: Any, parts: Sequence[Any]) -> int:
    if not parts or type(node).__name__ in CONDITIONS:
        return 0
    return len(parts) - 1 if node.is_Add or node.is_Mul else 1


def count_shared_operations(roots: Sequence[Any]) -> int:
    """Operations that are left when symengine's common subexpressions have names."""
    import symengine

    shared, reduced = symengine.cse(list(roots))
    return count_operations([*[formula for _, formula in shared], *reduced], distinct=False)


def of_sympy(expressions: Sequence[Any]) -> list[Any]:
    """Symengine's expressions as SymPy's; what they share is converted once."""
    import sympy

    return [sympy.sympify(expression) for expression in expressions]
