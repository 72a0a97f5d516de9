"""Symbols for the quantities of a formula: the user's own letters, and letters for what has no name yet.

Matrices are upper case, vectors and numbers stay as the user wrote them: ``params["w1"]`` is W_1 if it is a matrix and
w_1 if it is a vector.  ``lam`` and other Greek names become Greek letters, ``yhat`` gets its hat, and longer names stay
words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

GREEK = frozenset(
    ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
     "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega")
)  # fmt: skip
CAPITAL = {"gamma", "delta", "theta", "lambda", "xi", "pi", "sigma", "phi", "psi", "omega"}
CUSTOMARY = {"lam": "lambda", "lamda": "lambda", "eps": "epsilon"}
ACCENTS = {"hat": "hat", "bar": "bar", "tilde": "tilde"}
FAMILIES = {
    "affine": ("A", "Z", "B", "P"),
    "output": ("O", "H", "U", "F"),
    "difference": ("R", "E", "D", "Q"),
    "softmax": ("S", "P", "H", "Q"),
    "other": ("V", "U", "Q", "H"),
    "cotangent": (r"\Delta", r"\Gamma", r"\Lambda", r"\Theta"),
    "backward": ("G", "F", "J", "K"),
    "length": ("N", "M", "K", "D"),
    "constant": ("C", "B", "J", "K"),
    "loss": ("L", r"\ell", r"\mathcal{L}", r"\mathcal{E}"),
}
"""What a quantity is, and letters for it in the order of preference."""


class Symbol:
    """A letter with an accent and subscripts."""

    def __init__(self, base: str, subscripts: Iterable[str] = (), accent: str = ""):
        self.base, self.subscripts, self.accent = base, tuple(subscripts), accent

    def __str__(self) -> str:
        letter = rf"\{self.accent}{{{self.base}}}" if self.accent else self.base
        below = ",".join(self.subscripts)
        return letter if not below else f"{letter}_{below}" if len(below) == 1 else f"{letter}_{{{below}}}"


def letter(stem: str, rank: int) -> tuple[str, str]:
    """The base and accent of a name without its digits."""
    for accent in ACCENTS:
        if stem.endswith(accent) and len(stem) == len(accent) + 1:
            return letter(stem[0], rank)[0], ACCENTS[accent]
    stem = _in_letters(stem)
    word = CUSTOMARY.get(stem.lower(), stem.lower())
    if word in GREEK:
        capital = word in CAPITAL and (rank > 1 or stem[0].isupper())
        return "\\" + (word.capitalize() if capital else word), ""
    if len(stem) == 1:
        return (stem.upper() if rank > 1 else r"\ell" if stem == "l" else stem), ""
    return rf"\mathrm{{{stem}}}", ""


def _in_letters(stem: str) -> str:
    """A Greek letter by its name: LaTeX without further packages knows no other."""
    if len(stem) != 1:
        return stem
    found = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)", unicodedata.name(stem, ""))
    if found is None:
        return stem
    return found[2].capitalize() if found[1] == "CAPITAL" else found[2].lower()


def symbol_of(path: str, rank: int) -> Symbol:
    """The symbol of an argument.

    Args:
        path: where it lies, as in ``params['w1']``.
        rank: its number of axes.

    Returns:
        A symbol; two paths may have the same.

    Example:
        >>> [str(symbol_of(path, 2)) for path in ("params['w1']", "x", "layers[0]['w']", "w_out", "yhat", "gamma")]
        ['W_1', 'X', 'W_0', 'W_{\\\\mathrm{out}}', '\\\\hat{Y}', '\\\\Gamma']
        >>> [str(symbol_of(path, 0)) for path in ("lam", "l2", "weights[3][1]")]
        ['\\\\lambda', '\\\\ell_2', '\\\\mathrm{weights}_{3,1}']
    """
    pieces = re.findall(r"[^\W\d]\w*|\d+", path)
    words = [place for place, piece in enumerate(pieces) if not piece.isdigit()]
    at = words[-1] if words else 0
    stem, *rest = [part for part in pieces[at].split("_") if part] or ["x"]
    numbers = [piece for piece in pieces[words[0] + 1 if words else 0 :] if piece.isdigit()] if words else pieces
    digits = re.fullmatch(r"(.*?[^\d])(\d+)", stem)
    if digits:
        stem, rest = digits[1], [digits[2], *rest]
    base, accent = letter(stem if not stem.isdigit() else "x", rank)
    below = [part if part.isdigit() or len(part) == 1 else rf"\mathrm{{{part}}}" for part in rest]
    return Symbol(base, [*below, *numbers], accent)


def family(kind: str, taken: set[str]) -> str:
    """The letter of a kind of quantity that nothing has yet, in both cases."""
    for choice in FAMILIES[kind]:
        if choice not in taken and lower(choice) not in taken:
            return choice
    return FAMILIES[kind][0] + "'"


def lower(choice: str) -> str:
    """The same letter for a vector or number."""
    return choice.lower() if not choice.startswith(r"\mathcal") else choice
