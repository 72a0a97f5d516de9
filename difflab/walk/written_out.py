"""What a matrix formula stands for, entry by entry: partial derivatives as SymPy writes them out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..backends.symbolic import Symbolic
from ..builder import Shape
from ..calls import Bound, describe
from ..errors import InputError, UnsupportedError
from ..execution import expressions
from ..execution.arithmetic import evaluate, filled
from ..flat import require_scalar
from ..tape import Tape
from .latex.collected import Formulas, expect_no_branches
from .latex.printing import Printer
from .latex.symbols import symbols
from .shortened import shortened


@dataclass(frozen=True)
class Entries:
    """The partial derivatives of a loss by the entries of one argument.

    ``names`` are the entries in LaTeX, in the order of ``derivatives``, which are SymPy expressions.
    """

    names: Sequence[str]
    derivatives: Sequence[Any]


def entry_names(symbol: str, shape: tuple[int, ...]) -> list[str]:
    """The entries of an array: lower case, with indices from 1, and what stood below its letter above.

    Args:
        symbol: the array in LaTeX, as ``W_1``.
        shape: of the array.

    Returns:
        One name for each entry, row by row.

    Example:
        >>> entry_names("W_1", (2, 2))
        ['w^{(1)}_{1,1}', 'w^{(1)}_{1,2}', 'w^{(1)}_{2,1}', 'w^{(1)}_{2,2}']
        >>> entry_names("y", (2,)), entry_names(r"\\\\lambda", ())
        (['y_{1}', 'y_{2}'], ['\\\\\\\\lambda'])
    """
    if not shape:
        return [symbol]
    parts = re.fullmatch(r"(?P<base>.*?)(?:_(?P<below>\{.*\}|[^{}]))?(?P<primes>'*)", symbol)
    base, below, primes = parts.group("base", "below", "primes") if parts else (symbol, None, "")
    above = "" if below is None else f"^{{({below.strip('{}') if '{' not in below[1:] else below[1:-1]})}}"
    stem = f"{base.lower()}{primes}{above}"
    return [f"{stem}_{{{','.join(str(k + 1) for k in index)}}}" for index in np.ndindex(*shape)]


def entries(function: Callable, tape: Tape, bound: Bound, leaves: Sequence[Any], made: Formulas) -> list[Entries]:
    """The partial derivatives of a loss by every entry of its differentiated arguments, written out.

    Every float argument is symbols, other arguments are their numbers, and closed-over arrays are exact numbers.

    Args:
        function: the user's function.
        tape: its trace.
        bound: its arguments, taken apart with those to differentiate.
        leaves: arrays, or ``Shape`` where a float argument has no data.
        made: the matrix formulas, whose symbols the entries take over.

    Returns:
        One ``Entries`` for each differentiated argument.

    Raises:
        InputError: the function has not one real output of shape (), or an integer argument has no data.
        ForecastError: the expansion is too long to be made.
        UnsupportedError: Python branched on a traced value, or SymPy cannot express something.

    Example:
        >>> from difflab.calls import bind
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.walk.differentials.formulas import matrix_formulas
        >>> loss, given = (lambda w, a: np.sum(w * w * a)), (np.ones(2), np.ones(2))
        >>> tape, bound = trace_leaves(lambda leaves: [loss(*leaves)], given), bind(loss, given, {}, 0)
        >>> entries(loss, tape, bound, given, matrix_formulas(loss, tape, bound))
        [Entries(names=['w_{1}', 'w_{2}'], derivatives=[2*a_{1}*w_{1}, 2*a_{2}*w_{2}])]
    """
    from ..execution.symbols import SPANS, Symbols, rational, symbol

    require_scalar(tape, function)
    expect_no_branches(function, tape)
    backend = Symbolic(way="tree", data="symbols")
    for place in bound.wrt:
        if tape.avals[tape.inputs[place]].dtype.kind != "f":
            raise UnsupportedError(f"the scalar expansion of {describe(function)} is by real arguments only")
    backend.refuse_what_takes_long(tape, "gradient", bound.wrt)
    given = {name.key[1]: text for name, text in symbols(made)[0].items() if name.key[0] == "input"}
    inputs: list[Any] = []
    own: dict[int, list[Any]] = {}
    taken: set[str] = set()
    for place, leaf in enumerate(leaves):
        aval = tape.avals[tape.inputs[place]]
        if aval.dtype.kind == "f":
            own[place] = [symbol(name) for name in _distinct(given.get(place, f"p_{place}"), aval.shape, taken)]
            inputs.append(filled(aval.shape, own[place]))
        elif isinstance(leaf, Shape):
            raise InputError(f"argument {place} of {describe(function)} is integers, whose values an expansion needs")
        else:
            inputs.append(np.asarray(leaf))
    by = [entry for place in bound.wrt for entry in own[place]]
    root = rational(evaluate(replace(tape, guards=()), inputs, Symbols(), SPANS)[0].item())
    slopes = iter(expressions.Derivatives().jacobian([root], by)[0])
    found = [(own[place], [next(slopes) for _ in own[place]]) for place in bound.wrt]
    return [Entries([entry.name for entry in names], derivatives) for names, derivatives in found]


def _distinct(symbol: str, shape: tuple[int, ...], taken: set[str]) -> list[str]:
    """Names of entries that no other argument has."""
    names = entry_names(symbol, shape)
    while taken.intersection(names):
        names = [rf"{{{name}}}'" for name in names]
    taken.update(names)
    return names


def expansion_text(made: Formulas, written: Sequence[Entries], *, entry: int = 0) -> str:
    """For each differentiated argument its matrix formula, and below it one of its entries written out.

    Args:
        made: the matrix formulas.
        written: what ``entries`` gave for the same arguments.
        entry: which entry is shown, counted row by row; the last one where there are fewer.

    Returns:
        An ``aligned`` environment for each argument, with numbers of operations as SymPy counts them.  An entry of more
        than 400 characters is cut, and what is left out is dots.

    Raises:
        InputError: ``entry`` is negative.

    Example:
        >>> from difflab.calls import bind
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.walk.differentials.formulas import matrix_formulas
        >>> loss, given = (lambda w, a: np.sum(w * w * a)), (np.ones(2), np.ones(2))
        >>> tape, bound = trace_leaves(lambda leaves: [loss(*leaves)], given), bind(loss, given, {}, 0)
        >>> made = matrix_formulas(loss, tape, bound)
        >>> print(expansion_text(made, entries(loss, tape, bound, given, made)))
        \\begin{aligned}
          \\frac{\\partial L}{\\partial w} &= 2 a \\odot w \\\\
          \\frac{\\partial L}{\\partial w_{1}} &= 2 a_{1} w_{1} \\\\
          &\\quad \\text{(2 operations; all 2 entries: 4 operations)}
        \\end{aligned}
    """
    if entry < 0:
        raise InputError(f"entry={entry}: entries are counted from 0, row by row")
    names, loss = symbols(made)
    printer = Printer(names, [formula for _, formula in made.gradient])
    blocks = []
    for (name, formula), own in zip(made.gradient, written, strict=True):
        rows = [f"{_partial(loss, names[name])} &= {printer.line(formula, False)}"]
        if own.names:
            rows += _rows(loss, printer, own, min(entry, len(own.names) - 1))
        body = " \\\\\n".join(f"  {row}" for row in rows)
        blocks.append(f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}")
    return "\n\n".join(blocks)


def _rows(loss: str, printer: Printer, own: Entries, place: int) -> list[str]:
    """One entry, and what it and all of them take."""
    count = expressions.count_operations([own.derivatives[place]])
    total = expressions.count_operations(own.derivatives)
    text, cut = shortened(own.derivatives[place], sigma=printer.sigma, euler=printer.euler)
    said = f"{_operations(count)}{', not all of them printed' if cut else ''}"
    if len(own.names) > 1:
        said += f"; all {len(own.names):,} entries: {_operations(total)}"
    return [f"{_partial(loss, own.names[place])} &= {text}", rf"&\quad \text{{({said})}}"]


def _operations(count: int) -> str:
    return f"{count:,} operation{'' if count == 1 else 's'}"


def _partial(loss: str, by: str) -> str:
    return rf"\frac{{\partial {loss}}}{{\partial {by}}}"
