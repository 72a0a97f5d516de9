"""Formulas as functions of arrays, by ``sympy.lambdify``: every symbol a number or an array of points, NumPy or CuPy.

Both branches of a choice are computed everywhere and ``where`` picks, so a choice costs as much as all its branches;
what overflows in the branch that is not taken does no harm to values that are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...arrays import is_device_array, special_functions
from ...primitives.record import REGISTRY
from .lines import WIDEST, Lines, commented, grouped, literal, refuse
from .scalar_code import INVERSE

# Other names than SymPy's in both array modules.
RENAMED = {**INVERSE, "Abs": "abs", "stopped": "stopped"}
SAME = ("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil", "hypot",
        "logaddexp", "sign")  # fmt: skip
# SymPy's names, and those of ``scipy.special`` and ``cupyx.scipy.special``.
SPECIAL = {"erf": "erf", "erfc": "erfc", "gamma": "gamma", "loggamma": "gammaln", "polygamma": "polygamma",
           "besselj": "jv", "bessely": "yv", "besseli": "iv", "besselk": "kv"}  # fmt: skip
OWN = ("sigmoid", "logsumexp", "softmax", "power", "sincpi", "stopped")

# Module text of what no array module has; ``xp`` is the module.
HELPERS = {
    "sigmoid": """
def sigmoid(x):
    small = xp.exp(-abs(x))
    return xp.where(x >= 0, 1.0, small) / (1.0 + small)
""",
    "logsumexp": """
def logsumexp(*z):
    top, first = z[0], z[0] == z[0]
    for item in z[1:]:
        top = xp.maximum(top, item)
    shift = xp.where(xp.isfinite(top), top, 0.0)
    rest = 0.0
    for item in z:
        rest = rest + xp.where(first & (item == top), 0.0, xp.exp(item - shift))
        first = first & (item != top)
    return xp.where(xp.isfinite(top), shift + xp.log1p(rest), top)
""",
    "softmax": """
def softmax(k, *z):
    top = z[0]
    for item in z[1:]:
        top = xp.maximum(top, item)
    total = 0.0
    for item in z:
        total = total + xp.exp(item - top)
    return xp.exp(z[k] - top) / total
""",
    "stopped": """
def stopped(x):
    return x
""",
    "power": """
power = xp.power
""",
}


class ArrayProgram:
    """The values of formulas as a function of the symbols.

    Args:
        lines: the program.
        xp: ``numpy`` or ``cupy``.

    Raises:
        UnsupportedError: the module has not all functions.

    Example:
        >>> import sympy
        >>> x = sympy.Symbol("x")
        >>> ArrayProgram(Lines([x], [], [x**2, sympy.exp(x)]), np)([np.array([0.0, 3.0])])[0]
        array([0., 9.])
    """

    def __init__(self, lines: Lines, xp: Any):
        import sympy

        self.xp = xp
        share: Any = lambda _: (lines.shared, lines.results)  # noqa: E731 (typed Any: SymPy's own types know no function)
        names = _names(xp, lines.functions())
        self.run = sympy.lambdify(lines.symbols, lines.results, modules=[names], printer=_printer(), cse=share)

    def __call__(self, points: Sequence[Any]) -> list[Any]:
        """All values; overflow is infinity and a pole is infinity or NaN."""
        with np.errstate(all="ignore"):
            return self.run(*points)


def flat_program(program: ArrayProgram) -> Callable[[Any], Any]:
    """The program as a function of one vector, which gives one vector."""
    xp = program.xp
    kept: list[tuple[Any, Any]] = []  # the results that are plain numbers, and the places of the others

    def run(vector: Any) -> Any:
        results = program(xp.asarray(vector, dtype=xp.float64))
        moving = [is_device_array(result) for result in results]
        if all(moving) or xp is np:
            return xp.stack([xp.asarray(result, dtype=xp.float64) for result in results]) if results else xp.zeros(0)
        if not kept:  # plain numbers depend on nothing, so they are uploaded once
            numbers = [0.0 if there else float(result) for result, there in zip(results, moving, strict=True)]
            kept.append((xp.asarray(np.array(numbers)), xp.asarray(np.flatnonzero(moving))))
        whole, places = kept[0][0].copy(), kept[0][1]
        if any(moving):
            whole[places] = xp.stack([result for result, there in zip(results, moving, strict=True) if there])
        return whole

    return run


def source(lines: Lines, module: str) -> str:
    """The text of a module with a function ``program`` of the symbols.

    Args:
        lines: the program.
        module: "numpy" or "cupy".

    Raises:
        UnsupportedError: there is no text for a function.
    """
    used = lines.functions()
    language = {"numpy": "NumPy", "cupy": "CuPy"}[module]
    refuse(used, {*RENAMED, *SAME, *SPECIAL, *HELPERS}, f"{language} as text")
    printer = _printer()
    body = [f"{name} = {printer.doprint(formula)}" for name, formula in lines.shared]
    body.append(f"return [{', '.join(map(printer.doprint, lines.results))}]")
    text = "\n    ".join(body)
    needed = sorted(
        ({RENAMED.get(name, name) for name in used} | _operators(text)) - set(HELPERS) - set(SPECIAL) - {"abs"}
    )
    head = [f"import {module} as xp"]
    special = sorted(used & set(SPECIAL))
    if special:
        head.append(f"from {'scipy' if module == 'numpy' else 'cupyx.scipy'} import special")
    head += [f"{name} = xp.{name}" for name in needed]
    head += [f"{name} = special.{SPECIAL[name]}" for name in special]
    head += ["inf, nan, pi = xp.inf, xp.nan, xp.pi"]
    helpers = [HELPERS[name].strip() for name in OWN if name in used or (f"{name}(" in text and name == "power")]
    arguments = ", ".join(str(symbol) for symbol in lines.symbols)
    program = f"def program({arguments}):\n    {text}"
    return "\n\n\n".join(["\n".join([*commented(lines.note, "# "), *head]), *helpers, program]) + "\n"


def _operators(text: str) -> set[str]:
    return {name for name in ("where", "logical_and", "logical_or", "logical_not", "maximum", "sqrt")
            if f"{name}(" in text}  # fmt: skip


def _names(xp: Any, used: set[str]) -> dict[str, Any]:
    """What the printed names mean."""
    names: dict[str, Any] = {name: getattr(xp, name) for name in (
        *SAME, *[name for name in RENAMED.values() if name not in ("abs", "stopped")],
        "where", "logical_and", "logical_or", "logical_not", "maximum", "sqrt", "inf", "nan", "pi",
    )}  # fmt: skip
    names["abs"] = abs
    own: dict[str, Any] = {"xp": xp}
    for text in HELPERS.values():
        exec(text, own)
    names |= {name: own[name] for name in HELPERS}
    names["sincpi"] = lambda order, x: REGISTRY["sinc"].evaluate(x, order=int(order))
    wanted = used & set(SPECIAL)
    if wanted:
        functions = special_functions(xp)
        names |= {name: getattr(functions, SPECIAL[name]) for name in wanted if SPECIAL[name] in dir(functions)}
    refuse(used, {*names, *RENAMED}, xp.__name__)
    return names


def _printer() -> Any:
    """NumPy's names with no module before them, and choices as ``where``, which arrays of CuPy have as well."""
    from sympy.printing.numpy import NumPyPrinter

    class ArrayPrinter(NumPyPrinter):
        def _print_Add(self, expr: Any, order: Any = None) -> str:
            if len(expr.args) <= WIDEST:
                return super()._print_Add(expr, order)
            return grouped([self._print(term) for term in self._as_ordered_terms(expr, order=order)])

        def _print_Piecewise(self, expr: Any) -> str:
            *choices, (last, _) = expr.args
            text = self._print(last)
            for value, condition in reversed(choices):
                text = f"where({self._print(condition)}, {self._print(value)}, {text})"
            return text

        def _pairwise(self, name: str, arguments: Sequence[Any]) -> str:
            text = self._print(arguments[-1])
            for argument in reversed(arguments[:-1]):
                text = f"{name}({self._print(argument)}, {text})"
            return text

        def _print_And(self, expr: Any) -> str:
            return self._pairwise("logical_and", expr.args)

        def _print_Or(self, expr: Any) -> str:
            return self._pairwise("logical_or", expr.args)

        def _print_Not(self, expr: Any) -> str:
            return f"logical_not({self._print(expr.args[0])})"

        def _print_Max(self, expr: Any) -> str:
            return self._pairwise("maximum", expr.args)

        def _print_Relational(self, expr: Any) -> str:
            return f"({self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)})"

        _print_Equality = _print_Unequality = _print_GreaterThan = _print_LessThan = _print_Relational
        _print_StrictGreaterThan = _print_StrictLessThan = _print_Relational

        def _print_Rational(self, expr: Any) -> str:
            return self._double(expr)

        def _print_Integer(self, expr: Any) -> str:
            return str(expr.p) if abs(expr.p) < 2**53 else self._double(expr)

        def _double(self, expr: Any) -> str:
            text = repr(literal(expr))
            return f"({text})" if text.startswith("-") else text

        def _print_Pow(self, expr: Any, rational: bool = False) -> str:
            from sympy import Rational

            base = self.parenthesize(expr.base, 100)
            if expr.exp == -1:
                return f"(1.0 / {base})"
            if expr.exp.is_Integer:
                return f"{base}**{int(expr.exp)}" if expr.exp > 0 else f"(1.0 / {base}**{-int(expr.exp)})"
            if expr.exp == Rational(1, 2):
                return f"sqrt({self._print(expr.base)})"
            if expr.exp == Rational(-1, 2):
                return f"(1.0 / sqrt({self._print(expr.base)}))"
            return f"power({self._print(expr.base)}, {self._print(expr.exp)})"

        def _print_Infinity(self, expr: Any) -> str:
            return "inf"

        def _print_NegativeInfinity(self, expr: Any) -> str:
            return "(-inf)"

        def _print_NaN(self, expr: Any) -> str:
            return "nan"

        def _print_Pi(self, expr: Any) -> str:
            return "pi"

        def _print_Exp1(self, expr: Any) -> str:
            return repr(float(np.e))

        def _print_Function(self, expr: Any) -> str:
            name = expr.func.__name__
            return f"{RENAMED.get(name, name)}({', '.join(map(self._print, expr.args))})"

        _print_Choice = _print_Piecewise  # SymPy's printers look up functions by their own name only

        def emptyPrinter(self, expr: Any) -> str:
            return self._print_Function(expr) if expr.is_Function else super().emptyPrinter(expr)

    for name in (*RENAMED, *SAME, *SPECIAL, *OWN):
        setattr(ArrayPrinter, f"_print_{name}", ArrayPrinter._print_Function)
    return ArrayPrinter({"fully_qualified_modules": False, "allow_unknown_functions": True, "inline": True})
