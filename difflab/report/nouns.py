"""What the operators compute, in the words of the page: a gradient, a Hessian-vector product, and so on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .terms import Term

if TYPE_CHECKING:
    from .cases import Case

NOUNS = {
    "gradient": "gradient",
    "jacobian": "Jacobian",
    "jvp": "Jacobian-vector product",
    "vjp": "vector-Jacobian product",
    "hvp": "Hessian-vector product",
    "hessian": "Hessian",
}
MEANINGS = {
    "jacobian": "All slopes of all outputs: a row per output, a column per parameter. Of a loss it is one row.",
    "jvp": "How the outputs change when the parameters move along a given direction: the Jacobian times that vector.",
    "vjp": "The slopes of a weighted sum of the outputs: a row of given weights times the Jacobian.",
    "hvp": "How the gradient changes when the parameters move along a given direction: the matrix of second "
    "derivatives (the Hessian) times that vector.",
    "hessian": "The matrix of second derivatives: how each slope changes with each parameter.",
}
DIRECTED = ("jvp", "vjp", "hvp")


def noun(cases: Iterable[Case]) -> str:
    """What the cases compute: ``gradient`` and its like, or ``derivative`` where they differ.

    Args:
        cases: of one page or one chart.

    Returns:
        The noun, which takes the article "a".
    """
    operators = {case.operator or "gradient" for case in cases}
    if not operators:
        return "gradient"
    return NOUNS.get(operators.pop(), "derivative") if len(operators) == 1 else "derivative"


def meanings() -> list[Term]:
    """The terms of what operators compute; a page explains those that it uses."""
    return [
        Term(NOUNS[name][0].upper() + NOUNS[name][1:], text, (f"{NOUNS[name]}s", name))
        for name, text in MEANINGS.items()
    ]
