"""What is done with SymPy expressions: differentiate them, count their operations, turn them into Python functions.

Expressions of a loss are graphs in which large parts are shared, and SymPy's own walks visit every path.  Each walk
here visits every node once.  The rules stay SymPy's: each kind of node is differentiated by ``sympy.diff`` with unknown
functions as its arguments, once, and the answer is filled in wherever such a node stands.
"""

from __future__ import annotations

import inspect
import io
import keyword
import math
import tokenize
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .code_out.lines import Lines
from .code_out.scalar_code import INVERSE, scalar_printer
from .own_functions import MEANINGS, definition_of, piecewise


def nodes(roots: Iterable[Any], children: Callable[[Any], Sequence[Any]]) -> list[Any]:
    """All nodes below ``roots``, each once, children before parents."""
    order: dict[Any, None] = {}
    stack = [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if done:
            order[node] = None
        elif node not in order:
            stack.append((node, True))
            stack.extend((child, False) for child in children(node) if child not in order)
    return list(order)


def moving(node: Any) -> Sequence[Any]:
    """The arguments through which a derivative passes: of a ``Piecewise`` its values, not its conditions."""
    return [pair.args[0] for pair in node.args] if node.is_Piecewise else node.args


# ---------------------------------------------------------------------------- derivatives


@dataclass
class Derivatives:
    """Derivatives of expressions by symbols; rules and partial derivatives found once are kept."""

    rules: dict[tuple, tuple] = field(default_factory=dict)
    partials: dict[tuple[Any, int], Any] = field(default_factory=dict)

    def jacobian(self, roots: Sequence[Any], symbols: Sequence[Any]) -> list[list[Any]]:
        """For every root its derivative by every symbol."""
        import sympy

        order = nodes(roots, moving)
        # Which symbols a node depends on, as the bits of an integer.
        bits = {symbol: 1 << position for position, symbol in enumerate(symbols)}
        depends: dict[Any, int] = {}
        users: list[list[Any]] = [[] for _ in symbols]
        for node in order:
            mask = bits.get(node, 0)
            for child in moving(node):
                mask |= depends[child]
            depends[node] = mask
            while mask and node not in bits:
                low = mask & -mask
                users[low.bit_length() - 1].append(node)
                mask ^= low
        columns = []
        zero, one = sympy.S.Zero, sympy.S.One
        for symbol, dependent in zip(symbols, users, strict=True):
            known = {symbol: one}
            for node in dependent:
                known[node] = self._derivative(node, [known.get(child, zero) for child in moving(node)])
            # A loss that is NaN has swallowed its symbols, and its slopes are NaN as well.
            columns.append([root if root is sympy.S.NaN else known.get(root, zero) for root in roots])
        return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in roots]

    def _derivative(self, node: Any, slopes: list[Any]) -> Any:
        """The derivative of one node, given those of its moving arguments."""
        import sympy

        if node.is_Add:
            return sympy.Add(*slopes)
        if node.is_Piecewise:
            conditions = [pair.args[1] for pair in node.args]
            return piecewise(list(zip(slopes, conditions, strict=True))[:-1], slopes[-1])
        if node.is_Function and len(node.args) > 1:
            return sympy.Add(*[slope * self._partial(node, k) for k, slope in enumerate(slopes) if slope != 0])
        # In the rule only what moves is a function, and numbers stay: SymPy knows more of x**2 than of x**y.
        keep = not node.is_Mul
        kinds = tuple(
            "f" if slope != 0 else (argument if keep and argument.is_number else "c")
            for argument, slope in zip(node.args, slopes, strict=True)
        )
        key = (node.func, kinds)
        if key not in self.rules:
            self.rules[key] = _rule(node.func, kinds)
        template, rule, arguments, unknowns = self.rules[key]
        filling = {template: node, **dict(zip(arguments, node.args, strict=True))}
        filling.update((unknown, slope) for unknown, slope in zip(unknowns, slopes, strict=True) if unknown is not None)
        return rule.xreplace(filling)

    def _partial(self, node: Any, position: int) -> Any:
        """``fdiff`` of a function of several arguments: one for all symbols, as each of them may be long."""
        key = (node, position)
        if key not in self.partials:
            self.partials[key] = node.fdiff(position + 1)
        return self.partials[key]


def _rule(function: Any, kinds: tuple) -> tuple[Any, Any, list[Any], list[Any]]:
    """``sympy.diff`` of a function of unknown functions: the template, its derivative, and what stands for what."""
    import sympy

    t = sympy.Dummy("t")
    arguments, unknowns = [], []
    for position, kind in enumerate(kinds):
        if isinstance(kind, str):
            moves = kind == "f"
            argument = sympy.Function(f"f{position}")(t) if moves else sympy.Dummy(f"c{position}")
            unknowns.append(sympy.Derivative(argument, t) if moves else None)
        else:
            argument = kind
            unknowns.append(None)
        arguments.append(argument)
    template = function(*arguments)
    return template, sympy.diff(template, t), arguments, unknowns


# ---------------------------------------------------------------------------- operations


def count_operations(roots: Iterable[Any]) -> int:
    """``sympy.count_ops`` of the expressions as trees, without walking the trees: every node is counted once."""
    totals: dict[Any, int] = {}
    roots = list(roots)
    for node, (own, below) in _parts(roots).items():
        totals[node] = own + sum(totals[child] for child in below)
    return sum(totals[root] for root in roots)


def count_distinct_operations(roots: Iterable[Any]) -> int:
    """The operations that are left when every distinct subexpression is computed once: those of the graph."""
    return sum(own for own, _ in _parts(roots).values())


def _parts(roots: Iterable[Any]) -> dict[Any, tuple[int, list[Any]]]:
    """For every distinct subexpression its own operations and what is below it, children before parents."""
    parts: dict[Any, tuple[int, list[Any]]] = {}

    def children(node: Any) -> list[Any]:
        if node not in parts:
            parts[node] = _operations(node)
        return parts[node][1]

    return {node: parts[node] for node in nodes(roots, children)}


def _operations(node: Any) -> tuple[int, list[Any]]:
    """The operations of one node and what is left to count, by the rules of ``sympy.count_ops``.

    A function of our own counts as much as its definition in SymPy's functions.
    """
    import sympy
    from sympy.core.function import _coeff_isneg
    from sympy.core.operations import LatticeOp
    from sympy.simplify.radsimp import fraction

    definition = definition_of(node) if node.is_Function else None
    if definition is not None:
        return 0, [definition]
    own = 0
    if node.is_Rational:
        return int(node.p < 0) + int(node.q != 1), []
    if node.is_Mul:
        if _coeff_isneg(node):
            own += 1
            node = node.as_two_terms()[1] if node.args[0] is sympy.S.NegativeOne else -node
        numerator, denominator = fraction(node)
        if numerator.is_Integer:
            return own + 1 + (1 if numerator.is_negative else 0), [denominator]
        if denominator is not sympy.S.One:
            return own + 1, [numerator] if denominator.is_Integer else [denominator, numerator]
    elif node.is_Add:
        signs = [_coeff_isneg(argument) for argument in node.args]
        below = [-argument if sign else argument for argument, sign in zip(node.args, signs, strict=True)]
        return len(below) - 1 + all(signs), below
    if node.is_Pow and node.exp is sympy.S.NegativeOne:
        return own + 1, [node.base]
    if node == sympy.S.Exp1:
        return own + 1, []
    if node.is_Pow and node.base == sympy.S.Exp1:
        return own + 1, [node.exp]
    if node.is_Mul or isinstance(node, LatticeOp):
        own += len(node.args) - 1
    elif node.args and (node.is_Pow or node.is_Function):
        own += 1
    return own, [] if node.is_Symbol else list(node.args)


# ---------------------------------------------------------------------------- Python functions


@dataclass(frozen=True)
class Compiled:
    """A function of scalars, generated once: with ``math`` for speed, and with NumPy for what ``math`` refuses."""

    fast: Callable
    safe: Callable
    operations: int

    def __call__(self, scalars: Sequence[float]) -> list[float]:
        """All results as floats; overflow is infinity and a pole is NaN or infinity, as in NumPy."""
        try:
            return [float(value) for value in self.fast(*scalars)]
        except (ArithmeticError, ValueError):
            with np.errstate(all="ignore"):
                return [float(value) for value in self.safe(*map(np.float64, scalars))]


# Up to so many nodes all of ``sympy.cse`` is run.  Its search for common parts of sums and products compares them pair
# by pair (four minutes for 20 000 nodes); beyond, equal subexpressions are shared and that search is left out.
FULL_CSE_NODES = 10_000


def compile_function(symbols: Sequence[Any], roots: Sequence[Any], cse: bool) -> Compiled:
    """``sympy.lambdify`` of expressions, with common subexpressions shared before it or not; functions of scalars."""
    import sympy

    _, shared, reduced, _ = lines_of(symbols, roots, cse)
    operations = count_operations([value for _, value in shared]) + count_operations(reduced)
    fast_names, safe_names = _namespaces()
    # lambdify gets the reduced expressions, for it also looks through those it will not print.
    share: Any = (lambda _: (shared, reduced)) if cse else False
    fast = sympy.lambdify(symbols, reduced, modules=[fast_names], printer=scalar_printer(), cse=share)
    return Compiled(fast, _Safe(fast, safe_names), operations)


class _Safe:
    """The same code with NumPy's functions and with every number a NumPy double, made when it is asked for."""

    def __init__(self, fast: Callable, names: dict[str, Any]):
        self.fast, self.names = fast, names
        self.made: Callable | None = None

    def __call__(self, *scalars: Any) -> list[Any]:
        made = self.made
        if made is None:
            names = {**self.fast.__globals__, **self.names, "double": _double}
            exec(compile(_with_doubles(inspect.getsource(self.fast)), "<expressions>", "exec"), names)
            made = self.made = names[self.fast.__name__]
        return made(*scalars)


def _with_doubles(source: str) -> str:
    """Python's numbers refuse to be divided by zero; the first argument of a function may be its order, and stays."""
    tokens, written = list(tokenize.generate_tokens(io.StringIO(source).readline)), []
    for k, token in enumerate(tokens):
        called = k > 1 and tokens[k - 1].string == "(" and tokens[k - 2].type == tokenize.NAME
        first = called and not keyword.iskeyword(tokens[k - 2].string)
        if token.type == tokenize.NUMBER and not first:
            written += [(tokenize.NAME, "double"), (tokenize.OP, "("), token[:2], (tokenize.OP, ")")]
        else:
            written.append(token[:2])
    return tokenize.untokenize(written)


def _double(value: int | float) -> np.float64:
    """Infinity for whole numbers beyond the range."""
    try:
        return np.float64(value)
    except OverflowError:
        return np.float64(math.inf)  # printed numbers have no sign of their own


def lines_of(symbols: Sequence[Any], roots: Sequence[Any], cse: bool) -> Lines:
    """Expressions as a program, with common subexpressions shared or not."""
    import sympy
    from sympy.simplify.cse_main import tree_cse

    shared: Any = []
    reduced: Any = list(roots)
    if cse:
        names = sympy.numbered_symbols("t_")
        # Without the canonical order: it compares whole trees, and there are thousands of arguments to order.
        if len(nodes(roots, lambda node: node.args)) <= FULL_CSE_NODES:
            shared, reduced = sympy.cse(reduced, symbols=names, order="none")
        else:
            shared, reduced = tree_cse(reduced, names, order="none")
    return Lines(list(symbols), shared, reduced)


def _namespaces() -> tuple[dict[str, Any], dict[str, Any]]:
    """The names that printed code uses, with the meaning of ``math`` and with that of NumPy."""
    same = ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil",
            "hypot")  # fmt: skip
    fast = {name: getattr(math, name) for name in (*same, *INVERSE)}
    safe = {name: getattr(np, INVERSE.get(name, name)) for name in fast}
    both = {"e": math.e, "pi": math.pi, **MEANINGS}
    return {**fast, **both, "power": math.pow}, {**safe, **both, "power": np.power}
