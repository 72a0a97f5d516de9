"""The differentials of formulas as LaTeX: what is known before anything is identified."""

from __future__ import annotations

from ..latex.algebra import Algebra
from ..latex.collected import Formulas
from ..latex.printing import Printer
from ..latex.settle import for_print
from ..latex.symbols import symbols
from ..latex.terms import Name, Term
from .links import chained
from .rules import Rules


def derivation_text(made: Formulas) -> str:
    """The differential of every quantity of the loss, in those of what it is made of; dX Y is (dX) Y.

    Args:
        made: the formulas of a loss, however its gradient was found.

    Returns:
        An ``aligned`` environment with a line for each quantity that moves with the differentiated arguments, the loss
        last.

    Raises:
        UnsupportedError: a function without a rule.

    Example:
        >>> import numpy as np
        >>> from difflab.calls import bind
        >>> from difflab.tracing import trace_leaves
        >>> from difflab.walk.differentials.formulas import matrix_formulas
        >>> loss, given = (lambda W, x: np.sum(np.tanh(W @ x))), (np.ones((2, 3)), np.ones(3))
        >>> tape = trace_leaves(lambda leaves: [loss(*leaves)], given)
        >>> print(derivation_text(matrix_formulas(loss, tape, bind(loss, given, {}, 0))))
        \\begin{aligned}
          \\mathrm{d}a &= \\mathrm{d}W x \\\\
          \\mathrm{d}L &= \\mathrm{d}a^\\top \\tanh'(a)
        \\end{aligned}
    """
    names, loss = symbols(made)
    algebra = Algebra()
    rules = Rules(algebra, [name for name, _ in made.gradient], lambda term: "in the loss")
    d: dict[Name, Name] = {}
    lines: list[tuple[str, Term]] = []
    for name, formula in [*made.definitions.items(), (None, made.loss)]:
        if name is not None:
            if name in made.late:
                continue
            rules.declare(name, formula)
        terms = []
        for chain, of in rules.differential(formula):
            if isinstance(of, Name):
                if of not in d:
                    d[of] = algebra.name(("differential", len(d)), of.shape, of.rank)
                terms.append(chained(algebra, chain, d[of]))
        if terms or name is None:
            terms = terms or [algebra.zeros(formula.shape)]
            lines.append((names[name] if name is not None else loss, algebra.add(terms)))
    shown = [(left, for_print(algebra, term, True)) for left, term in lines]
    signs = {**names, **{own: rf"\mathrm{{d}}{names[name]}" for name, own in d.items()}}
    printer = Printer(signs, [term for _, term in shown])
    rows = [rf"  \mathrm{{d}}{left} &= {printer.line(term, True)}" for left, term in shown]
    return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"
