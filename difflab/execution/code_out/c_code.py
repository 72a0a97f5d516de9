"""Formulas as C, printed by SymPy, compiled by the machine's own compiler and loaded: an optional path.

Long programs are cut into functions that share one array of intermediate values, for compilers take time that grows
faster than the length of a function.
"""

from __future__ import annotations

import _ctypes
import ctypes
import math
import os
import shlex
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UnavailableError
from .lines import WIDEST, Lines, commented, grouped, literal, refuse

COMPILERS = ("cc", "gcc", "clang")
# No -ffast-math: it would drop infinities and signed zeros.  No contraction: every operation is rounded.
OPTIONS = ("-std=c99", "-O1", "-ffp-contract=off", "-fPIC", "-shared")
LONGEST = 500  # statements of one function

CALLS = {"exp": "exp", "expm1": "expm1", "log": "log", "log1p": "log1p", "sin": "sin", "cos": "cos", "tan": "tan",
         "asin": "asin", "acos": "acos", "atan": "atan", "atan2": "atan2", "sinh": "sinh", "cosh": "cosh",
         "tanh": "tanh", "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "floor": "floor", "ceil": "ceil",
         "hypot": "hypot", "erf": "erf", "erfc": "erfc", "gamma": "tgamma", "loggamma": "lgamma", "power": "pow",
         "Abs": "fabs", "sigmoid": "sigmoid", "logaddexp": "logaddexp", "stopped": "", "softmax": "softmax",
         "logsumexp": "logsumexp"}  # fmt: skip

HELPERS = {
    "sigmoid": """
static double sigmoid(double x) {
    double small = exp(-fabs(x));
    return (x >= 0.0 ? 1.0 : small) / (1.0 + small);
}
""",
    "logsumexp": """
static double logsumexp(int n, const double *z) {
    int at = 0;
    double rest = 0.0;
    for (int k = 1; k < n; k++)
        if (z[k] > z[at] || z[k] != z[k]) at = k;
    if (isinf(z[at])) return z[at];
    for (int k = 0; k < n; k++)
        if (k != at) rest += exp(z[k] - z[at]);
    return z[at] + log1p(rest);
}
""",
    "logaddexp": """
static double logaddexp(double a, double b) {
    return logsumexp(2, (const double[]){a, b});
}
""",
    "softmax": """
static double softmax(int k, int n, const double *z) {
    double top = z[0], total = 0.0;
    for (int i = 1; i < n; i++)
        if (z[i] > top) top = z[i];
    for (int i = 0; i < n; i++) total += exp(z[i] - top);
    return exp(z[k] - top) / total;
}
""",
}


def compiler() -> list[str] | None:
    """The command of this machine's C compiler: what ``CC`` says, or the first of ``cc``, ``gcc`` and ``clang``."""
    named = shlex.split(os.environ.get("CC", ""))
    if named:
        found = shutil.which(named[0])
        return None if found is None else [found, *named[1:]]
    return next(([found] for found in map(shutil.which, COMPILERS) if found), None)


def no_compiler() -> str | None:
    """A sentence where none is found."""
    if compiler() is not None:
        return None
    named = os.environ.get("CC", "").strip()
    looked = f"CC={named} names none that is there" if named else f"none of {', '.join(COMPILERS)} was found"
    return f"Symbolic(code='c') needs a C compiler, and {looked}; install one, set CC, or use code='python'"


def source(lines: Lines) -> str:
    """The text of a module with ``void program(const double *p, double *out)``.

    Args:
        lines: the program.

    Returns:
        C99; ``p`` are the values of the symbols, ``out`` takes the results.

    Raises:
        UnsupportedError: C has not all functions.

    Example:
        >>> import sympy
        >>> x = sympy.Symbol("x")
        >>> print(source(Lines([x], [], [x**2 + 1])).splitlines()[-2].strip())
        out[0] = (x*x) + 1.0;
    """
    used = lines.functions()
    refuse(used, set(CALLS), "C")
    places = {str(symbol): f"p[{k}]" for k, symbol in enumerate(lines.symbols)}
    statements = len(lines.shared) + len(lines.results)
    scratch = statements > LONGEST
    if scratch:
        places |= {str(name): f"t[{k}]" for k, (name, _) in enumerate(lines.shared)}
        printer = _printer(places)
        text = [f"t[{k}] = {printer.doprint(formula)};" for k, (_, formula) in enumerate(lines.shared)]
    else:
        printer = _printer({})
        text = [f"const double {symbol} = {place};" for symbol, place in places.items()]
        text += [f"const double {name} = {printer.doprint(formula)};" for name, formula in lines.shared]
    text += [f"out[{k}] = {printer.doprint(result)};" for k, result in enumerate(lines.results)]
    helpers = [HELPERS[name].strip() for name in ("sigmoid", "logsumexp", "logaddexp", "softmax")
               if name in used or (name == "logsumexp" and "logaddexp" in used)]  # fmt: skip
    head = "\n".join(
        [*commented(lines.note, "// "), "#include <math.h>", *(["#include <stdlib.h>"] if scratch else [])]
    )
    functions = _functions(text, len(lines.shared) if scratch else 0, len(lines.results))
    return "\n\n".join([head, *helpers, *functions]) + "\n"


def _functions(text: Sequence[str], scratch: int, results: int) -> list[str]:
    """One function, or several with scratch space between them."""
    if not scratch:
        body = "\n    ".join(text)
        return [f"void program(const double *p, double *out) {{\n    {body}\n}}"]
    parts = [text[k : k + LONGEST] for k in range(0, len(text), LONGEST)]
    made = []
    for k, part in enumerate(parts):
        body = "\n    ".join(part)
        made.append(f"static void part{k}(const double *p, double *t, double *out) {{\n    {body}\n}}")
    calls = "\n    ".join(f"part{k}(p, t, out);" for k in range(len(parts)))
    # What cannot be computed is NaN, never memory that nobody wrote.
    made.append(
        "void program(const double *p, double *out) {\n"
        f"    double *t = malloc({scratch} * sizeof(double));\n"
        "    if (t == NULL) {\n"
        f"        for (int k = 0; k < {results}; k++) out[k] = NAN;\n"
        "        return;\n    }\n"
        f"    {calls}\n    free(t);\n}}"
    )
    return made


class CProgram:
    """The values of formulas as a function of the symbols, in machine code.

    Args:
        lines: the program.

    Raises:
        UnavailableError: there is no compiler, or it fails.
        UnsupportedError: C has not all functions.
    """

    def __init__(self, lines: Lines):
        found = compiler()
        if found is None:
            raise UnavailableError(no_compiler() or "")
        self.count = len(lines.results)
        self.source = source(lines)
        with tempfile.TemporaryDirectory(prefix="difflab-") as folder:
            written, library = Path(folder, "program.c"), Path(folder, "program.so")
            written.write_text(self.source, encoding="utf-8")
            command = [*found, *OPTIONS, str(written), "-o", str(library), "-lm"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                said = done.stderr.strip().splitlines() or ["nothing was said"]
                fault = next((line for line in said if "error" in line), said[0])
                raise UnavailableError(
                    f"the C compiler {shlex.join(found)} failed on the formulas ({fault}); use Symbolic(code='python')"
                )
            loaded = ctypes.CDLL(str(library))  # stays when its file is gone, and goes with this object
        weakref.finalize(self, _ctypes.dlclose, loaded._handle)
        self._run = loaded.program
        self._run.argtypes, self._run.restype = [ctypes.c_void_p, ctypes.c_void_p], None

    def __call__(self, scalars: Sequence[float]) -> np.ndarray:
        """All values as an array."""
        given, out = np.asarray(scalars, dtype=np.float64), np.empty(self.count)
        self._run(given.ctypes.data, out.ctypes.data)
        return out


def _printer(places: dict[str, str]) -> Any:
    """C99 with our own functions; symbols at their places in arrays, where they have some."""
    from sympy import Rational
    from sympy.printing.c import C99CodePrinter

    class CPrinter(C99CodePrinter):
        def _print_Add(self, expr: Any, order: Any = None) -> str:
            if len(expr.args) <= WIDEST:
                return super()._print_Add(expr, order)
            return grouped([self._print(term) for term in self._as_ordered_terms(expr, order=order)])

        def _print_Symbol(self, expr: Any) -> Any:
            return places.get(expr.name, expr.name)

        def _print_Rational(self, expr: Any) -> str:
            value = literal(expr)
            if value in (float("inf"), float("-inf")):
                return "INFINITY" if value > 0 else "(-INFINITY)"
            return repr(value) if value >= 0 else f"({value!r})"

        _print_Integer = _print_Rational

        def _print_Pi(self, expr: Any) -> str:
            return repr(math.pi)  # strict C has no M_PI

        def _print_Exp1(self, expr: Any) -> str:
            return repr(math.e)

        def _print_BooleanTrue(self, expr: Any) -> str:
            return "1"

        def _print_BooleanFalse(self, expr: Any) -> str:
            return "0"

        def _print_Pow(self, expr: Any) -> str:
            base = self.parenthesize(expr.base, 100)
            if expr.exp.is_Integer and 0 < abs(expr.exp) <= 4:
                product = "*".join([base] * abs(int(expr.exp)))
                return f"({product})" if expr.exp > 0 else f"(1.0/({product}))"
            if expr.exp in (Rational(1, 2), Rational(-1, 2)):
                root = f"sqrt({self._print(expr.base)})"
                return root if expr.exp > 0 else f"(1.0/{root})"
            return f"pow({self._print(expr.base)}, {self._print(expr.exp)})"

        def _print_Function(self, expr: Any) -> str:
            name, arguments = expr.func.__name__, list(expr.args)
            if name == "softmax":
                rest = ", ".join(map(self._print, arguments[1:]))
                return f"softmax({int(arguments[0])}, {len(arguments) - 1}, (const double[]){{{rest}}})"
            if name == "logsumexp":
                rest = ", ".join(map(self._print, arguments))
                return f"logsumexp({len(arguments)}, (const double[]){{{rest}}})"
            return f"{CALLS[name]}({', '.join(map(self._print, arguments))})"

        def _print_Piecewise(self, expr: Any) -> str:
            *choices, (last, _) = expr.args
            text = self._print(last)
            for value, condition in reversed(choices):
                text = f"({self._print(condition)} ? {self._print(value)} : {text})"
            return text

        _print_Choice = _print_Piecewise  # SymPy looks up functions by their own name only

    for name in CALLS:
        setattr(CPrinter, f"_print_{name}", CPrinter._print_Function)
    return CPrinter({"contract": False, "math_macros": {}})  # strict C has no M_PI
