"""Matrix formulas as LaTeX: one ``aligned`` environment of amsmath."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .collected import Formulas
from .legend import legend
from .printing import Printer
from .symbols import symbols
from .terms import Name, Term

SMALL, WIDE = 8, 8
"""Closed-over arrays of at most so many elements are written out, if none takes so many characters."""


def latex_text(made: Formulas, *, shapes: bool = False) -> str:
    """Loss and gradient as text.

    Args:
        made: the formulas.
        shapes: whether the first lines say of which shape every argument is.

    Returns:
        An ``aligned`` environment: lengths and constants, the quantities of the forward pass, the loss, those of the
        backward pass, the gradient by each argument in that argument's own shape, and what functions mean.

    Example:
        >>> from difflab import trace
        >>> print(trace(lambda x: np.sum(np.sin(x)), np.ones(3)).to_latex())
        \\begin{aligned}
          L &= \\mathbf{1}^\\top \\sin(x) \\\\
          \\frac{\\partial L}{\\partial x} &= \\cos(x)
        \\end{aligned}
    """
    names, loss = symbols(made)
    printer = Printer(names, [made.loss, *made.definitions.values(), *[formula for _, formula in made.gradient]])
    lines: list[tuple[str, str, str]] = []
    if shapes:
        lines += [(names[name], r"\in", _space("R", name)) for name in made.arguments]
    lines += [(names[name], "=", str(size)) for name, size in made.lengths.items()]
    lines += [_constant(name, value, names) for name, value in made.constants.items()]
    lines += _defined(made, printer, names, backward=False)
    lines.append((loss, "=", printer.line(made.loss, False)))
    lines += _defined(made, printer, names, backward=True)
    for name, formula in made.gradient:
        lines.append((rf"\frac{{\partial {loss}}}{{\partial {names[name]}}}", "=", printer.line(formula, False)))
    lines += legend(printer)
    rows = [f"  {left} &{sign} {right}" for left, sign, right in lines]
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"


def _defined(made: Formulas, printer: Printer, names: Mapping[Name, str], backward: bool) -> list[tuple[str, str, str]]:
    return [
        (names[name], "=", printer.line(formula, True))
        for name, formula in made.definitions.items()
        if (name in made.late) == backward
    ]


def _space(letter: str, name: Name | Term) -> str:
    """The set of arrays of a shape."""
    sizes = name.shape[:1] if name.shape[-1] == 1 and len(name.shape) == 2 else name.shape
    field = r"\{0, 1\}" if letter == "B" else rf"\mathbb{{{letter}}}"
    by = r" \times ".join(map(str, sizes))
    return field if name.shape == (1, 1) else f"{field}^{{{by}}}"


def _constant(name: Name, value: np.ndarray, names: Mapping[Name, str]) -> tuple[str, str, str]:
    """A closed-over array: written out if it is small, else where it lies."""
    rows = [[_entry(entry) for entry in row] for row in value.reshape(name.shape)] if value.size <= SMALL else []
    if rows and value.ndim < 3 and value.dtype.kind in "biuf" and max(len(text) for row in rows for text in row) < WIDE:
        if name.shape[1] == 1:
            return names[name], "=", rf"({', '.join(row[0] for row in rows)})^\top"
        body = r" \\ ".join(" & ".join(row) for row in rows)
        return names[name], "=", rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"
    letter = {"b": "B", "i": "Z", "u": "Z", "c": "C"}.get(value.dtype.kind, "R")
    return names[name], r"\in", rf"{_space(letter, name)} \text{{ (constant)}}"


def _entry(value: np.generic) -> str:
    return repr(value.item() if value.dtype.kind != "b" else int(value))
