"""Which symbol every quantity of a formula gets."""

from __future__ import annotations

from .collected import Formulas
from .letters import Symbol, family, lower, symbol_of
from .terms import Add, Apply, Call, Hadamard, Indicator, Name, Product, RowWise, Scaled, Term, Transpose, ordered


def symbols(made: Formulas) -> tuple[dict[Name, str], str]:
    """A symbol for every name, each only once, and one for the loss.

    Args:
        made: the formulas.

    Returns:
        LaTeX by name, and the letter of the loss.
    """
    found: dict[Name, Symbol] = {}
    for name, path in made.arguments.items():
        symbol = symbol_of(path, name.rank if len(name.shape) == 2 else 3)
        texts = {str(one) for one in found.values()}
        root = path.split("[")[0].split(".")[0]
        if str(symbol) in texts and root != path:
            symbol = Symbol(symbol.base, [*symbol.subscripts, rf"\mathrm{{{root}}}".replace("_", r"\_")], symbol.accent)
        while str(symbol) in texts:
            symbol = Symbol(symbol.base + "'", symbol.subscripts, symbol.accent)
        found[name] = symbol
    taken = {symbol.base for symbol in found.values()}
    loss = family("loss", taken)
    taken.add(loss)
    for kind, names in (("length", made.lengths), ("constant", made.constants)):
        for place, name in enumerate(names, start=1):
            base = family(kind, taken)
            if kind == "length":
                taken.add(base)
                found[name] = Symbol(base)
            else:
                found[name] = Symbol(base if name.rank > 1 else lower(base), [str(place)])
    if made.constants:
        taken.add(family("constant", taken))
    for name, (base, index) in _derived(made, taken).items():
        found[name] = Symbol(base, [str(index)] if index else [])
    for name, of in made.cotangents.items():
        if found[name].base == "bar":
            found[name] = Symbol(found[of].base, found[of].subscripts, "bar")
    return {name: str(symbol) for name, symbol in found.items()}, loss


def _derived(made: Formulas, taken: set[str]) -> dict[Name, tuple[str, int]]:
    """Letters and indices of defined quantities; "bar" for the cotangent of one that has no letter of its own."""
    kinds = {name: _kind(name, formula, made) for name, formula in made.definitions.items()}
    letters: dict[str, str] = {}
    for kind in sorted(set(kinds.values()) - {"bar"}):
        letters[kind] = family(kind, taken)
        taken.add(letters[kind])
    indices: dict[Name, int] = {}
    for name, kind in kinds.items():
        if kind == "bar":
            continue
        used = {indices[one] for one in indices if kinds[one] == kind}
        of = made.cotangents.get(name) if kind == "cotangent" else _argument(made.definitions[name])
        index = indices.get(of, 0) if of is not None else 0
        if not index or index in used:
            index = max(used, default=0) + 1
        indices[name] = index
    numbered = any(index > 1 for index in indices.values())
    result = {}
    for name, kind in kinds.items():
        if kind == "bar":
            result[name] = ("bar", 0)
            continue
        alone = kind not in LAYERED and list(kinds.values()).count(kind) == 1
        letter = letters[kind] if name.rank > 1 else lower(letters[kind])
        result[name] = (letter, indices[name] if numbered and not alone else 0)
    return result


def _argument(formula: Term) -> Name | None:
    """The named quantity that a function is taken of."""
    names = [part for part in formula.parts if isinstance(part, Name)] if isinstance(formula, Apply | RowWise) else []
    return names[0] if len(names) == 1 else None


def _kind(name: Name, formula: Term, made: Formulas) -> str:
    if isinstance(formula, RowWise) and formula.function == "softmax":
        return "softmax"
    of = made.cotangents.get(name)
    if of is not None:
        return "cotangent" if _kind(of, made.definitions[of], made) == "affine" else "bar"
    if name in made.adjoint:
        return "backward"
    while isinstance(formula, Scaled | Transpose) and formula.body is not None:
        formula = formula.body
    if isinstance(formula, Apply | Indicator | RowWise):
        return "output"
    terms = list(ordered([formula]))
    own = isinstance(formula, Call) and not _reshaped(formula)
    if own or any(isinstance(term, Indicator) for term in terms):
        return "output"
    if isinstance(formula, Add) and any(map(_subtracted, formula.parts)):
        return "difference"
    if any(isinstance(term, Product) for term in terms) and not isinstance(formula, Hadamard):
        return "affine"
    return "other"


def _subtracted(part: Term) -> bool:
    """Whether a term of a sum is minus an argument."""
    if not isinstance(part, Scaled) or part.number != -1:
        return False
    bare = part.body if part.body is not None else part.scalars[0][0]
    return isinstance(bare, Name) and bare.key[0] == "input" and len(part.parts) == 1


LAYERED = ("affine", "output", "cotangent")
"""Kinds that are numbered alike, layer by layer."""


def _reshaped(formula: Term) -> bool:
    """Whether a product of matrices is seen as an array of more axes."""
    return isinstance(formula, Call) and formula.primitive.name == "reshape" and isinstance(formula.parts[0], Product)
