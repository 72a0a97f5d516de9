"""Terms in the sentence of an error: as LaTeX in letters of their own, with their shapes."""

from __future__ import annotations

from .printing import Printer
from .terms import Name, Shape, Term, ordered

LETTERS = {"input": "x", "value": "v", "constant": "c", "length": "n", "differential": "d"}
LONGEST = 60
"""Characters of a formula that are quoted."""


def said(term: Term) -> str:
    """A term and its shape.

    Args:
        term: any term; inputs are x, other values v, numbered as on the tape.

    Returns:
        Such as ``x_{0} x_{1} of shape 4 by 2``; what is long is cut.

    Example:
        >>> from difflab.walk.latex.algebra import Algebra
        >>> algebra = Algebra()
        >>> x, w = algebra.name(("input", 0), (4, 3), 2), algebra.name(("input", 1), (3, 2), 2)
        >>> said(algebra.product(x, w))
        'x_{0} x_{1} of shape 4 by 2'
    """
    names = {one: f"{LETTERS[one.key[0]]}_{{{one.key[1]}}}" for one in ordered([term]) if isinstance(one, Name)}
    text = Printer(names, [term]).text(term)
    return f"{text if len(text) <= LONGEST else text[: LONGEST - 3] + '...'} of shape {by(term.shape)}"


def by(shape: Shape) -> str:
    """A shape as people say it."""
    return " by ".join(map(str, shape)) if shape else "()"
