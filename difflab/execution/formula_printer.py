"""Formulas in LaTeX: choices as cases, indices with commas, numbers of the data as decimals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .code_out.lines import literal

# Fractions of larger whole numbers are data, and read better as decimals.
LARGEST_IN_FRACTION = 1000
INDEXED = re.compile(r"(.+?)((?:_\d+)+)")
FUNCTION = re.compile(r"f(_\{[\d,]+\})?")
NUMBERED = re.compile(r"([A-Za-z]+)(\d+)")
SIGMOID = r"\sigma(a) = \frac{1}{1 + e^{-a}}"


def formula_printer(digits: int | None = None, names: Mapping[str, str] | None = None) -> Any:
    """A printer of SymPy's kind, whose ``doprint`` gives LaTeX.

    Args:
        names: of symbols, in LaTeX; those that are missing are printed by ``symbol_text``.
        digits: significant digits of decimals; by default as many as tell one double from all others.

    Example:
        >>> import sympy
        >>> printer = formula_printer()
        >>> printer.doprint(sympy.Symbol("w1_2_10") * sympy.Rational(0.1) + sympy.Rational(1, 3))
        '0.1 w^{(1)}_{2,10} + \\\\frac{1}{3}'
    """
    from sympy.printing.latex import LatexPrinter

    class FormulaPrinter(LatexPrinter):
        def _print_Choice(self, expr: Any) -> str:
            return self._print_Piecewise(expr)  # SymPy's printers look up functions by their own name only

        def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
            found = None if names is None else names.get(expr.name)
            return symbol_text(expr.name) if found is None else found

        def _print_Rational(self, expr: Any) -> str:
            if max(abs(expr.p), expr.q) <= LARGEST_IN_FRACTION:
                return super()._print_Rational(expr)
            return decimal(literal(expr), digits)

        def _print_Mul(self, expr: Any) -> str:
            number, rest = expr.as_coeff_Mul()
            if number.is_Rational and max(abs(number.p), number.q) > LARGEST_IN_FRACTION and number.q != 1:
                inner = self.parenthesize(rest, 50) if rest.is_Add or rest.is_Piecewise else self._print(rest)
                return f"{decimal(literal(number), digits)} {inner}"
            return super()._print_Mul(expr)

        def _print_sigmoid(self, expr: Any, exp: Any = None) -> str:
            text = rf"\sigma\left({self._print(expr.args[0])}\right)"
            return text if exp is None else rf"{text}^{{{exp}}}"

        def _print_softmax(self, expr: Any, exp: Any = None) -> str:
            place, *rest = expr.args
            text = rf"\operatorname{{softmax}}_{{{int(place) + 1}}}\left({', '.join(map(self._print, rest))}\right)"
            return text if exp is None else rf"{text}^{{{exp}}}"

        def _print_log1p(self, expr: Any, exp: Any = None) -> str:
            text = rf"\log{{\left(1 + {self._print(expr.args[0])} \right)}}"
            return text if exp is None else rf"{text}^{{{exp}}}"

        def _print_expm1(self, expr: Any, exp: Any = None) -> str:
            text = rf"\left(e^{{{self._print(expr.args[0])}}} - 1\right)"
            return text if exp is None else rf"{text}^{{{exp}}}"

        def _print_power(self, expr: Any, exp: Any = None) -> str:
            text = rf"{{{self.parenthesize(expr.args[0], 100)}}}^{{{self._print(expr.args[1])}}}"
            return text if exp is None else rf"\left({text}\right)^{{{exp}}}"

        def _print_stopped(self, expr: Any, exp: Any = None) -> str:
            text = self.parenthesize(expr.args[0], 100)
            return text if exp is None else rf"{text}^{{{exp}}}"

    return FormulaPrinter()


def symbol_texts(names: Sequence[str]) -> dict[str, str]:
    """Names in LaTeX that cannot be taken for one another, nor for the f on the left.

    Args:
        names: as ``symbol_names`` makes them, all different.

    Example:
        >>> print(*symbol_texts(["x1", "x_1", "f", "w"]).values())
        \\mathit{x1} \\mathit{x\\_1} \\mathit{f} w
    """
    texts = {name: symbol_text(name) for name in names}
    count = Counter(texts.values())
    plain = {name: rf"\mathit{{{name.rstrip('_').replace('_', chr(92) + '_')}}}" for name in names}
    return {name: plain[name] if count[text] > 1 or FUNCTION.fullmatch(text) else text for name, text in texts.items()}


def symbol_text(name: str) -> str:
    r"""A name with its indices in LaTeX.

    Args:
        name: as ``symbol_names`` makes them.

    Example:
        >>> [symbol_text(name) for name in ("w_1_12", "w2_1", "x1", "lambda__3", "alpha")]
        ['w_{1,12}', 'w^{(2)}_{1}', 'x_{1}', '\\lambda_{3}', '\\alpha']
    """
    from sympy import Symbol, latex

    found = INDEXED.fullmatch(name)
    stem, indices = (name, "") if found is None else (found[1], found[2].strip("_").replace("_", ","))
    stem = stem.rstrip("_") or stem
    numbered = NUMBERED.fullmatch(stem)
    if indices and numbered is not None:
        return rf"{latex(Symbol(numbered[1]))}^{{({numbered[2]})}}_{{{indices}}}"
    text = latex(Symbol(stem)) if "_" not in stem else rf"\mathit{{{stem.replace('_', chr(92) + '_')}}}"
    return f"{text}_{{{indices}}}" if indices else text


def decimal(value: float, digits: int | None = None) -> str:
    r"""A double in LaTeX.

    Args:
        value: the number.
        digits: significant digits; by default as many as tell it from all others.

    Example:
        >>> decimal(1e-20), decimal(0.1 + 0.2, 3)
        ('1 \\cdot 10^{-20}', '0.3')
    """
    text = repr(value) if digits is None else f"{value:.{digits}g}"
    if text in ("inf", "-inf"):
        return text.replace("inf", r"\infty")
    mantissa, e, exponent = text.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if e else mantissa
