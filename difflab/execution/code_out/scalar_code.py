"""Formulas as plain Python: numbers of ``math``, one after the other."""

from __future__ import annotations

import inspect
import math
import re
from typing import Any

from .. import own_functions
from .lines import WIDEST, Lines, commented, grouped, literal, refuse

OF_MATH = frozenset("exp expm1 log log1p sqrt sin cos tan sinh cosh tanh asin acos atan atan2 asinh acosh atanh floor "
                    "ceil hypot erf erfc gamma lgamma".split())  # fmt: skip
OF_SCIPY = {"polygamma": "polygamma", "besselj": "jv", "bessely": "yv", "besseli": "iv", "besselk": "kv"}
NOT_IN_NUMPY = {"erf": "erf", "erfc": "erfc", "gamma": "gamma", "lgamma": "gammaln"}
NAMED = {"Abs": "abs", "loggamma": "lgamma", "stopped": ""}
# SymPy's names, and those of NumPy and CuPy.
INVERSE = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh",
           "acosh": "arccosh", "atanh": "arctanh"}  # fmt: skip
OWN = ("sigmoid", "logsumexp", "softmax")


def source(lines: Lines) -> str:
    """The text of a module with a function ``program`` of the symbols.

    Args:
        lines: the program.

    Raises:
        UnsupportedError: there is no text for a function.

    Example:
        >>> import sympy
        >>> x = sympy.Symbol("x")
        >>> print(source(Lines([x], [], [sympy.exp(x) + 1])))
        from math import exp, inf, nan, pi
        <BLANKLINE>
        <BLANKLINE>
        def program(x):
            return [exp(x) + 1]
        <BLANKLINE>
    """
    used = lines.functions()
    refuse(used, {*OF_MATH, *OF_SCIPY, *NAMED, *OWN, "logaddexp", "power"}, "Python as text")
    printer = scalar_printer(decimals=True)
    body = [f"{name} = {printer.doprint(formula)}" for name, formula in lines.shared]
    body.append(f"return [{', '.join(map(printer.doprint, lines.results))}]")
    text = "\n    ".join(body)
    own = [name for name in OWN if name in used or (name == "logsumexp" and "logaddexp" in used)]
    helpers = [inspect.getsource(getattr(own_functions, name)) for name in own]
    called = {NAMED.get(name, name) for name in used} | ({"sqrt"} if "sqrt(" in text else set())
    parts = [re.sub(r"(: Any| -> Any|: int)", "", helper).strip() for helper in helpers]
    parts += ["logaddexp = logsumexp"] if "logaddexp" in used else []
    wanted = (called & OF_MATH) | {"inf", "nan", "pi"} | ({"e"} if re.search(r"\be\b", text) else set())
    head = commented(lines.note, "# ") + (["import math"] if own else [])
    if lines.has_choices():
        # What is shared is computed whichever branch is taken, and one may be infinite or NaN: ``math`` would raise.
        special = wanted & set(NOT_IN_NUMPY)
        head.append(f"from numpy import errstate, float64, {', '.join(map(_of_numpy, sorted(wanted - special)))}")
        head += ["from numpy import power"] if "power(" in text else []
        head += [_imported(NOT_IN_NUMPY[name], name) for name in sorted(special)]
    else:
        head.append(f"from math import {', '.join(sorted(wanted))}")
        head += ["from math import pow as power"] if "power(" in text else []
    head += [_imported(OF_SCIPY[name], name) for name in sorted(used & set(OF_SCIPY))]
    arguments = ", ".join(str(symbol) for symbol in lines.symbols)
    return "\n\n\n".join(["\n".join(head), *parts, _function(arguments, text, lines.has_choices())]) + "\n"


def _of_numpy(name: str) -> str:
    """``asin`` as ``arcsin as asin``."""
    return f"{INVERSE[name]} as {name}" if name in INVERSE else name


def _imported(there: str, name: str) -> str:
    return f"from scipy.special import {there}" + ("" if there == name else f" as {name}")


def _function(arguments: str, text: str, careful: bool) -> str:
    if not careful:
        return f"def program({arguments}):\n    {text}"
    some = f"({arguments})" if "," in arguments else f"({arguments},)"
    convert = f"{some} = map(float64, {some})\n    " if arguments else ""
    body = (convert + text).replace("\n    ", "\n        ")
    return f"def program({arguments}):\n    with errstate(all='ignore'):\n        {body}"


def scalar_printer(*, decimals: bool = False) -> Any:
    """Python code in which no power of a negative number turns complex; with fractions, or the doubles they are."""
    from sympy import Rational
    from sympy.printing.pycode import PythonCodePrinter

    class ScalarPrinter(PythonCodePrinter):
        """Powers that are not whole go through ``power``; our own functions have their names."""

        def _print_Pow(self, expr: Any, rational: bool = False) -> str:
            if expr.exp.is_Integer or abs(expr.exp) == Rational(1, 2):
                return self._hprint_Pow(expr, rational=rational, sqrt="sqrt")
            return f"power({self._print(expr.base)}, {self._print(expr.exp)})"

        def _print_Add(self, expr: Any, order: Any = None) -> str:
            if len(expr.args) <= WIDEST:
                return super()._print_Add(expr, order)
            return grouped([self._print(term) for term in self._as_ordered_terms(expr, order=order)])

        def _print_Rational(self, expr: Any) -> str:
            value = literal(expr)
            if not decimals or max(abs(expr.p), expr.q) < 1000 or math.isinf(value):
                return super()._print_Rational(expr)
            return repr(value) if value >= 0 else f"({value!r})"

        def _print_stopped(self, expr: Any) -> str:
            return f"({self._print(expr.args[0])})"

        def _print_own(self, expr: Any) -> str:
            return f"{expr.func.__name__}({', '.join(map(self._print, expr.args))})"

        def _print_Choice(self, expr: Any) -> str:
            return self._print_Piecewise(expr)  # SymPy's printers look up functions by their own name only

        _print_floor = _print_ceil = _print_sigmoid = _print_logaddexp = _print_own
        _print_logsumexp = _print_softmax = _print_hypot = _print_power = _print_own

    settings = {"fully_qualified_modules": False, "inline": True, "allow_unknown_functions": True}
    return ScalarPrinter(settings)
