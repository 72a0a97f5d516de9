"""SymPy expressions as LaTeX of bounded length: what does not fit is dots, and the braces still match."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ..execution.expressions import nodes

WIDEST = 400
"""Characters of LaTeX."""
BUDGETS = (100, 70, 50, 40, 32, 26, 21, 17, 14, 11, 9, 7, 5, 4, 3, 2, 1)
"""Symbols and numbers that are left, tried one after the other."""
DOTS = r"\cdots"
FEW = 4
"""Terms of no more symbols and numbers are ordered by these."""
LONG_FRACTION = 10**6
"""A fraction of larger numbers is printed as the float that it is."""


def shortened(expression: Any, widest: int = WIDEST, *, sigma: str = r"\sigma", euler: bool = True) -> tuple[str, bool]:
    """An expression as LaTeX.

    Args:
        expression: of SymPy.
        widest: the number of characters that it may have.
        sigma: what the logistic function is called.
        euler: whether e stands for Euler's number, and for nothing else.

    Returns:
        The text, and whether something is left out, for which there are dots.

    Example:
        >>> import sympy
        >>> x, y = sympy.symbols("x y")
        >>> shortened(x * y + 1)
        ('x y + 1', False)
        >>> shortened(sympy.sin(x) + sympy.cos(y) + sympy.tan(x), 40)
        ('\\\\cos{\\\\left(y \\\\right)} + \\\\cdots', True)
    """
    import sympy

    printed = _printer(sigma, euler)
    sizes: dict[Any, int] = {}
    for node in nodes([expression], lambda node: node.args):
        sizes[node] = sum(sizes[part] for part in node.args) or 1
    if sizes[expression] <= BUDGETS[0]:
        text = printed(expression, "lex")
        if len(text) <= widest:
            return text, False
    dots = sympy.Symbol(DOTS)
    for budget in BUDGETS:
        if budget < sizes[expression]:
            text = printed(_pruned(expression, budget, sizes, dots), "none")
            if len(text) <= widest:
                return text, True
    return DOTS, True


def _printer(sigma: str, euler: bool) -> Callable[[Any, str], str]:
    """SymPy's LaTeX, with signs for functions of our own and fractions of long numbers as floats."""
    import sympy
    from sympy.printing.latex import LatexPrinter

    class EntryPrinter(LatexPrinter):
        """Choices as cases, the logistic function by its letter."""

        def _print_Choice(self, expr: Any) -> str:
            return self._print_Piecewise(expr)

        def _print_sigmoid(self, expr: Any, exp: Any = None) -> str:
            text = rf"{sigma}{{\left({self._print(expr.args[0])} \right)}}"
            return text if exp is None else rf"\left({text}\right)^{{{exp}}}"

        def _print_softmax(self, expr: Any, exp: Any = None) -> str:
            inside = ", ".join(self._print(part) for part in expr.args[1:])
            text = rf"\operatorname{{softmax}}_{{{int(expr.args[0]) + 1}}}{{\left({inside} \right)}}"
            return text if exp is None else rf"\left({text}\right)^{{{exp}}}"

        def _print_ExpBase(self, expr: Any, exp: Any = None) -> str:
            inside = self._print(expr.args[0])
            text = f"e^{{{inside}}}" if euler else rf"\exp{{\left({inside} \right)}}"
            return self._do_exponent(text, exp)

        _print_exp = _print_ExpBase

    def printed(expression: Any, order: str) -> str:
        long = {
            number: sympy.Float(float(number), 6)
            for number in expression.atoms(sympy.Rational)
            if max(abs(number.p), number.q) > LONG_FRACTION
        }
        return EntryPrinter({"order": order}).doprint(expression.xreplace(long) if long else expression)

    return printed


def _pruned(node: Any, budget: int, sizes: dict[Any, int], dots: Any) -> Any:
    """A node with no more than so many symbols and numbers, and dots in place of the others."""
    if sizes[node] <= budget:
        return node
    if budget < 1:
        return dots
    if node.is_Piecewise:
        return _cases(node, budget, sizes, dots)
    if not (node.is_Add or node.is_Mul or node.is_Pow or node.is_Function):
        return dots
    if node.is_Add or node.is_Mul:
        arguments = sorted(node.args, key=lambda part: (sizes[part], _natural(part) if sizes[part] <= FEW else []))
        return node.func(*_first(arguments, budget, sizes, dots), evaluate=False)
    if node.is_Pow:
        return node.func(_pruned(node.base, budget, sizes, dots), node.exp, evaluate=False)
    if node.func.__name__ == "softmax":  # the first argument is no part of the formula but says which entry it is
        share = max(budget // (len(node.args) - 1), 1)
        return node.func(node.args[0], *[_pruned(part, share, sizes, dots) for part in node.args[1:]], evaluate=False)
    share = max(budget // len(node.args), 1)
    return node.func(*[_pruned(part, share, sizes, dots) for part in node.args], evaluate=False)


def _natural(node: Any) -> list[Any]:
    """A key by which x_{2} comes before x_{10}."""
    return [(0, int(word)) if word.isdigit() else (1, word) for word in re.findall(r"\d+|\D+", str(node))]


def _cases(node: Any, budget: int, sizes: dict[Any, int], dots: Any) -> Any:
    """Cases, their values and conditions shortened."""
    share = budget // (2 * len(node.args))
    if share < 1:
        return dots
    pairs = []
    for value, condition in node.args:
        short = condition
        if sizes[condition] > share:
            sides = [_pruned(side, share // 2, sizes, dots) for side in condition.args]
            short = condition.func(*sides, evaluate=False) if condition.is_Relational else dots
        pairs.append((_pruned(value, share, sizes, dots), short))
    return node.func(*pairs)


def _first(arguments: Sequence[Any], budget: int, sizes: dict[Any, int], dots: Any) -> list[Any]:
    """The arguments that fit, a part of the next one where none does, and dots for the rest."""
    kept = []
    for place, part in enumerate(arguments):
        if sizes[part] <= budget:
            kept.append(part)
            budget -= sizes[part]
            continue
        cut = _pruned(part, budget, sizes, dots)
        kept.append(cut)
        if cut != dots and place + 1 < len(arguments):
            kept.append(dots)
        break
    return kept
