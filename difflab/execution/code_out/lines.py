"""Formulas with their shared parts named, in the order in which they can be computed: what printers print."""

from __future__ import annotations

from typing import Any, NamedTuple

from ...errors import UnsupportedError


class Lines(NamedTuple):
    """A program without branches, of SymPy expressions.

    ``symbols`` are its arguments, ``shared`` names and what they stand for, ``results`` its values; ``note`` says in a
    sentence or two what goes in and comes out.
    """

    symbols: list[Any]
    shared: list[tuple[Any, Any]]
    results: list[Any]
    note: str = ""

    def functions(self) -> set[str]:
        """The names of the functions that are called."""
        import sympy

        found = set()
        for expression in [*[formula for _, formula in self.shared], *self.results]:
            for call in expression.atoms(sympy.Function):
                if not call.is_Piecewise:
                    found.add(call.func.__name__)
        return found

    def has_choices(self) -> bool:
        """Whether a value depends on a condition."""
        import sympy

        return any(e.has(sympy.Piecewise) for e in [*[formula for _, formula in self.shared], *self.results])


def commented(note: str, sign: str) -> list[str]:
    """A note as lines of comment."""
    return [f"{sign}{line}" for line in note.splitlines()]


WIDEST = 50  # terms that stand side by side; parsers nest as deep as a sum is long


def grouped(texts: list[str]) -> str:
    """Terms as one sum, in groups of groups.

    Args:
        texts: of the terms, each as strong as a product or in brackets.

    Example:
        >>> grouped(["a", "-b", "c"])
        'a + (-b) + c'
    """
    terms = [f"({text})" if text.startswith("-") and k else text for k, text in enumerate(texts)]
    while len(terms) > WIDEST:
        terms = [f"({' + '.join(terms[k : k + WIDEST])})" for k in range(0, len(terms), WIDEST)]
    return " + ".join(terms)


def literal(value: Any) -> float:
    """A SymPy rational as a double, rounded once; beyond their range infinity."""
    try:
        return int(value.p) / int(value.q)
    except OverflowError:
        return float("inf") if value.p > 0 else float("-inf")


def refuse(functions: set[str], known: set[str], language: str) -> None:
    """Functions that a language lacks.

    Raises:
        UnsupportedError: with their names.
    """
    missing = sorted(functions - known)
    if missing:
        raise UnsupportedError(
            f"symbolic code for {language} has no function {', '.join(map(repr, missing))}; use "
            "Symbolic(code='python'), which has all of them"
        )
