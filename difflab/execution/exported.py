"""Formulas of a loss and its derivatives, to be printed, counted or taken elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import ForecastError
from ..primitives.record import Aval
from .arithmetic import filled
from .derivation import Derivation, Places
from .formula_printer import SIGMOID, formula_printer, symbol_texts
from .own_functions import definition_of
from .symbol_names import Renaming, remade

# Text of more operations than this would fill gigabytes.
LONGEST_TEXT = 1_000_000


class Formulas(NamedTuple):
    """SymPy expressions.

    ``symbols``: one object array for each symbolic leaf; ``values``: one for each output; ``derivatives``: for every
    output one for each differentiated leaf, of the shape of the output followed by that of the leaf.

    Example:
        >>> import difflab as dl
        >>> found = dl.prepare(lambda x: x[0] * np.sin(x[1]), np.ones(2), backend="symbolic").expressions()
        >>> print(found.latex())
        f = x_{1} \\sin{\\left(x_{2} \\right)}
        \\frac{\\partial f}{\\partial x_{1}} = \\sin{\\left(x_{2} \\right)}
        \\frac{\\partial f}{\\partial x_{2}} = x_{1} \\cos{\\left(x_{2} \\right)}
        >>> found.operations()
        {'values': 2, 'derivatives': 3}
    """

    symbols: list[Any]
    values: list[Any]
    derivatives: list[list[Any]]

    def named(self) -> Iterator[tuple[str, Any, Any]]:
        """Every expression with the name of its output in LaTeX and, of a derivative, its symbol."""
        several = sum(value.size for value in self.values) > 1
        count = itertools.count(1)
        for value, row in zip(self.values, self.derivatives, strict=True):
            blocks = [block.reshape(value.size, -1) for block in row]
            for k, entry in enumerate(value.ravel()):
                output = f"f_{{{next(count)}}}" if several else "f"
                yield output, None, entry
                for symbols, block in zip(self.symbols, blocks, strict=False):
                    for symbol, slope in zip(symbols.ravel(), block[k], strict=True):
                        yield output, symbol, slope

    def latex(self, *, digits: int | None = None) -> str:
        """One equation on a line, in LaTeX; the last says what sigma is, where it is used.

        Args:
            digits: significant digits of numbers that are no short fractions; by default as many as tell one double
                from all others.

        Raises:
            ForecastError: written out, the formulas are too long to print.
        """
        self._refuse_what_is_too_long()
        texts = symbol_texts([symbol.name for own in self.symbols for symbol in own.ravel()])
        printer, lines = formula_printer(digits, texts), []
        for output, symbol, formula in self.named():
            left = output if symbol is None else rf"\frac{{\partial {output}}}{{\partial {texts[symbol.name]}}}"
            lines.append(f"{left} = {printer.doprint(formula)}")
        lines += [SIGMOID] if any(r"\sigma" in line for line in lines) else []
        return "\n".join(lines)

    def srepr(self) -> str:
        """SymPy's own text of all expressions, a dict of lists of values and of derivatives.

        All is said in SymPy's own functions, so that SymPy reads it back: ``sigmoid`` as 1/(1 + exp(-x)), choices as
        ``Piecewise``, a stopped gradient as the value.

        Raises:
            ForecastError: written out, the formulas are too long to print.
        """
        from sympy.printing.repr import ReprPrinter

        class Printer(ReprPrinter):
            def _print_ExprCondPair(self, expr: Any) -> str:
                return f"Tuple({', '.join(map(self._print, expr.args))})"

        self._refuse_what_is_too_long()
        plain, printer = Plain(), Printer()
        values = [printer.doprint(plain.of(entry)) for value in self.values for entry in value.ravel()]
        slopes = [
            printer.doprint(plain.of(entry)) for row in self.derivatives for block in row for entry in block.ravel()
        ]
        return f"{{'values': [{', '.join(values)}], 'derivatives': [{', '.join(slopes)}]}}"

    def _refuse_what_is_too_long(self) -> None:
        count = sum(self.operations().values())
        if count > LONGEST_TEXT:
            raise ForecastError(
                f"written out, these formulas have {count:,} operations, and text is printed of up to "
                f"{LONGEST_TEXT:,}; print them as code, which shares what is equal, or take a smaller problem"
            )

    def operations(self) -> dict[str, int]:
        """How many operations they have written out, as SymPy counts them."""
        from .expressions import count_operations

        values = [entry for value in self.values for entry in np.ravel(value)]
        slopes = [entry for row in self.derivatives for block in row for entry in np.ravel(block)]
        return {"values": count_operations(values), "derivatives": count_operations(slopes)}


def formulas_of(
    derivation: Derivation,
    names: Sequence[str],
    inputs: Sequence[Aval],
    outputs: Sequence[Aval],
    variables: Sequence[Aval],
) -> Formulas:
    """What was derived, in the shapes of its leaves.

    Args:
        derivation: with the expressions.
        names: of all symbols.
        inputs: shapes of the leaves whose entries are symbols.
        outputs: of the values.
        variables: of the leaves by which is differentiated.
    """
    symbols, roots, rows = derivation.formulas()
    renaming = Renaming(symbols, names)
    symbols, roots, rows = renaming.of(symbols), renaming.of(roots), [renaming.of(row) for row in rows]
    derivatives, at = [], 0
    for output in outputs:
        own, blocks = rows[at : at + output.size], []
        for (columns, *_), aval in zip(Places(variables).parts, variables, strict=True):
            entries = [entry for row in own for entry in row[columns]]
            blocks.append(filled((*output.shape, *aval.shape), entries))
        derivatives.append(blocks)
        at += output.size
    return Formulas(_parted(symbols, inputs), _parted(roots, outputs), derivatives)


def _parted(entries: list[Any], avals: Sequence[Aval]) -> list[np.ndarray]:
    """Entries of several arrays, one behind the other, as those arrays."""
    return [filled(aval.shape, entries[part]) for (part, *_), aval in zip(Places(avals).parts, avals, strict=True)]


class Plain:
    """Expressions in SymPy's own functions; what they share is made once.

    >>> import sympy
    >>> Plain().of(sympy.sin(sympy.Symbol("x")))
    sin(x)
    """

    def __init__(self) -> None:
        self.known: dict[Any, Any] = {}

    def of(self, root: Any) -> Any:
        """The same expression without functions of difflab's own."""
        from .expressions import nodes

        for node in nodes([root], lambda node: node.args):
            if node not in self.known:
                self.known[node] = self._of(node, [self.known[part] for part in node.args])
        return self.known[root]

    def _of(self, node: Any, parts: list[Any]) -> Any:
        import sympy

        name, unread = node.func.__name__, {"evaluate": False}
        if name in ("Choice", "Piecewise"):
            return sympy.Piecewise(*parts, **unread)
        if name in ("Pair", "ExprCondPair"):
            return sympy.Tuple(*parts)
        if name == "stopped":
            return parts[0]
        if name in ("floor", "ceil"):
            return {"floor": sympy.floor, "ceil": sympy.ceiling}[name](*parts)
        if name in ("expm1", "log1p"):  # which ``from sympy import *`` does not give
            return sympy.exp(parts[0]) - 1 if name == "expm1" else sympy.log(1 + parts[0])
        if name == "sincpi":
            t = sympy.Dummy("t")
            return sympy.diff(sympy.sin(sympy.pi * t) / (sympy.pi * t), t, parts[0]).subs(t, parts[1])
        definition = definition_of(node) if node.is_Function else None
        if definition is not None:
            return self.of(definition)
        return remade(node, parts)
