"""Names of symbols in what is printed: those of the arguments, with indices from 1.

While formulas are made, symbols are called by their places, which cannot meet; they are renamed at the end.
"""

from __future__ import annotations

import builtins
import keyword
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .code_out.lines import Lines
from .expressions import nodes
from .own_functions import MEANINGS

OF_C = """auto char const default do double enum extern float free goto inline int linux long malloc register restrict
    return short signed sizeof static struct switch case typedef typeof union unix unsigned void volatile HUGE_VAL
    INFINITY M_PI NAN NULL RAND_MAX""".split()
# What generated code calls its own; a symbol with such a name gets another.
RESERVED = re.compile(r"(e|pi|inf|nan|xp|math|out|program|[aektpv]\d*|t_\d+)")


def names_of(leaves: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """Names of the entries of all leaves, fit for LaTeX, Python and C, each another.

    Args:
        leaves: names of the leaves, as in ``params['w1']``.
        shapes: of the leaves.

    Example:
        >>> names_of(["q['w']", "exp"], [(2, 1), ()])
        ['w_1_1', 'w_2_1', 'exp_']
    """
    # Python takes letters that look alike for the same.
    words = [re.findall(r"\w+", unicodedata.normalize("NFKC", leaf)) or ["x"] for leaf in leaves]
    lasts = Counter(own[-1] for own in words)
    stems = ["_".join(own[-1:] if lasts[own[-1]] == 1 and own[-1].isidentifier() else own) for own in words]
    taken = {*MEANINGS, *dir(math), *dir(np), *dir(builtins), *keyword.kwlist, *OF_C}
    stems = [f"{stem}_" if stem in taken or RESERVED.fullmatch(stem) else stem for stem in stems]
    names = _entries(stems, shapes)
    # Not so w_1 with 2 entries beside w with 1 by 2, or what no language takes for a name.
    if len(set(names)) < len(names) or not all(map(str.isidentifier, names)):
        names = _entries([f"p{k}" for k in range(len(leaves))], shapes)
    return names


def _entries(stems: Iterable[str], shapes: Iterable[tuple[int, ...]]) -> list[str]:
    pairs = zip(stems, shapes, strict=True)
    return ["_".join([stem, *[str(k + 1) for k in index]]) for stem, shape in pairs for index in np.ndindex(*shape)]


class Renaming:
    """Other symbols in expressions; what the expressions share is made once.

    Args:
        symbols: SymPy symbols.
        names: what each is called.
    """

    def __init__(self, symbols: Sequence[Any], names: Sequence[str]):
        from .symbols import symbol

        self.known: dict[Any, Any] = {old: symbol(new) for old, new in zip(symbols, names, strict=True)}

    def of(self, roots: Sequence[Any]) -> list[Any]:
        """The expressions with the other symbols."""
        for node in nodes([root for root in roots if root not in self.known], lambda node: node.args):
            if node not in self.known:
                self.known[node] = remade(node, [self.known[part] for part in node.args])
        return [self.known[root] for root in roots]

    def lines(self, lines: Lines) -> Lines:
        """A program with the other symbols."""
        shared = list(
            zip([name for name, _ in lines.shared], self.of([value for _, value in lines.shared]), strict=True)
        )
        return Lines(self.of(lines.symbols), shared, self.of(lines.results), lines.note)


def remade(node: Any, parts: list[Any]) -> Any:
    """The same operation on other operands, with nothing decided anew; where they are the same, the node itself.

    Args:
        node: a SymPy expression.
        parts: as many expressions as it has operands.
    """
    if all(new is old for new, old in zip(parts, node.args, strict=True)):
        return node
    unread: dict[str, Any] = {"evaluate": False}
    return node.func(*parts, **unread) if node.is_Relational or node.is_Boolean else node.func(*parts)
