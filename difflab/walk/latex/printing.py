"""One formula as LaTeX: signs, fractions, parentheses where they are needed and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from .extent import needs_lengths
from .terms import (
    SCALAR,
    Add,
    Apply,
    Call,
    Diagonal,
    Hadamard,
    Identity,
    Indicator,
    Inner,
    Inverse,
    Name,
    Number,
    Ones,
    Product,
    RowWise,
    Scaled,
    Special,
    Term,
    Transpose,
    Zeros,
    ordered,
)

SUM, PRODUCT, POWER, ATOM = range(4)
"""How tightly a text holds together."""
RELATIONS = {"greater": ">", "greater_equal": r"\geq", "less": "<", "less_equal": r"\leq"}
RELATIONS |= {"equal": "=", "not_equal": r"\ne"}
NAMED = {
    "sigmoid": r"\sigma", "sigmoid'": r"\sigma'", "tanh'": r"\tanh'", "arcsin": r"\arcsin", "arccos": r"\arccos",
    "arctan": r"\arctan", "gamma": r"\Gamma", "sign": r"\operatorname{sign}",
    **{name: rf"\{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log")},
}  # fmt: skip
"""Functions that have a sign of their own; others are printed by the primitive's name."""
PLAIN_CALLS = {"det": r"\det({})", "logabsdet": r"\log(\lvert \det({}) \rvert)"}
LONGEST = 10**6
"""Numerators and denominators are below this; a longer fraction is printed as the float that it is."""
STRICT = frozenset({"greater", "less", "greater_equal", "less_equal"})


class Text(NamedTuple):
    """LaTeX, how tightly it holds together, and whether a minus belongs in front."""

    text: str
    level: int
    negative: bool = False


class Printer:
    """Prints terms; remembers which functions it used, for the legend."""

    def __init__(self, names: Mapping[Name, str], formulas: Sequence[Term]):
        self.names = names
        terms = list(ordered(list(formulas)))
        relations = {term.relation for term in terms if isinstance(term, Indicator)}
        self.half = "step" in relations and not relations & STRICT
        letters = {name.split("_")[0] for name in names.values()}
        self.sigma = r"\sigma" if r"\sigma" not in letters else r"\operatorname{sigmoid}"
        self.euler = "e" not in letters  # e^x would be a power of the user's e
        self.unit = "I" if "I" not in letters else r"\mathrm{Id}"
        self.used: dict[str, Apply | RowWise | Indicator | Call] = {}
        self.calls: dict[tuple, str] = {}
        self.said: set[str] = set()
        self.lengths = False
        variants: dict[str, list] = {}
        for term in terms:
            if isinstance(term, Call) and (key := (term.primitive, term.params)) not in self.calls:
                self.calls[key] = ""
                variants.setdefault(word(term.primitive.name), []).append(key)
        for name, keys in variants.items():
            for place, key in enumerate(keys, start=1):
                self.calls[key] = rf"\operatorname{{{name}}}" + (f"_{{{place}}}" if len(keys) > 1 else "")

    def line(self, term: Term, whole: bool) -> str:
        """A formula; ``whole``: its own shape must follow from it."""
        self.lengths = needs_lengths(term, whole)
        text = self.text(term)
        self.lengths = False
        return text

    def text(self, term: Term) -> str:
        """A formula as a part of another."""
        return self.signed(self.of(term))

    def counted(self, sign: str, size: int) -> Text:
        """Ones or the identity, with their number where nothing else tells it."""
        return Text(f"{sign}_{superscript(str(size))}" if self.lengths else sign, ATOM)

    def signed(self, text: Text) -> str:
        """With its minus."""
        return f"-{text.text}" if text.negative else text.text

    def tight(self, term: Term, level: int) -> str:
        """A formula as a part of another one, in parentheses if it holds together less tightly than ``level``."""
        text = self.of(term)
        return text.text if text.level >= level and not text.negative else f"({self.signed(text)})"

    def of(self, term: Term) -> Text:
        """A term's text."""
        return PRINTED[type(term)](self, term)

    # -------------------------------------------------------------------- numbers in front

    def scaled(self, term: Scaled) -> Text:
        """Numbers and powers of scalars as one fraction, what is longer behind it."""
        number = abs(term.number)
        above, behind, below = list[str](), list[str](), list[str]()
        divided = any(power < 0 for _, power in term.scalars)
        for scalar, power in term.scalars:
            short = isinstance(scalar, Name | Special) and (divided or number.denominator == 1)
            alone = abs(power) == 1 and power < 0 and len(term.scalars) == 1 and number.denominator == 1
            text = self.powered(scalar, abs(power), SUM if alone else PRODUCT)
            if isinstance(scalar, Product) and power == 1 and term.body is not None:
                text = f"({text})"
            (below if power < 0 else above if short else behind).append(text)
        body = [] if term.body is None else [self.tight(term.body, PRODUCT)]
        top, bottom = number_texts(number, bool(above) or (not below and bool(behind or body)))
        if below or bottom:
            fraction = rf"\frac{{{' '.join([*top, *above]) or '1'}}}{{{' '.join([*bottom, *below])}}}"
            return Text(" ".join([fraction, *behind, *body]), PRODUCT, term.number < 0)
        parts = [*top, *above, *behind, *body]
        level = PRODUCT if len(parts) > 1 else POWER
        return Text(" ".join(parts), level, term.number < 0)

    def powered(self, term: Term, power: int, level: int = PRODUCT) -> str:
        """A power of a scalar."""
        if power == 1:
            return self.tight(term, level)
        if isinstance(term, Apply) and term.function in NAMED and NAMED[term.function].startswith("\\") and power > 1:
            return f"({self.text(term)})^{superscript(str(power))}"
        return f"{self.tight(term, ATOM)}^{superscript(str(power))}"

    # -------------------------------------------------------------------- sums and products

    def added(self, term: Add) -> Text:
        """A sum that begins with a positive term, if there is one."""
        texts = [self.of(part) for part in term.parts]
        first = next((place for place, text in enumerate(texts) if not text.negative), 0)
        texts.insert(0, texts.pop(first))
        joined = self.signed(texts[0])
        for text in texts[1:]:
            inside = text.text if text.level > SUM or not text.negative else f"({text.text})"
            joined += f" {'-' if text.negative else '+'} {inside}"
        return Text(joined, SUM)

    def product(self, term: Product) -> Text:
        """Matrices side by side."""
        return Text(" ".join(self.factor(part) for part in term.parts), PRODUCT)

    def factor(self, part: Term) -> str:
        """A factor of a matrix product: element-wise products need parentheses there."""
        loose = isinstance(part, Hadamard) and len(part.factors) > 1
        return f"({self.text(part)})" if loose else self.tight(part, PRODUCT)

    def transpose(self, term: Transpose) -> Text:
        """The sign behind."""
        if isinstance(term.body, Inverse):
            return Text(rf"{self.tight(term.body.body, ATOM)}^{{-\top}}", POWER)
        return Text(rf"{self.tight(term.body, ATOM)}^\top", POWER)

    def hadamard(self, term: Hadamard) -> Text:
        """Slopes first, then names, products, and brackets last."""
        ranked = sorted(term.factors, key=lambda pair: _place(pair[0]))
        texts = []
        for factor, power in ranked:
            if power == 1:
                texts.append(self.tight(factor, PRODUCT) if _alone(factor) else f"({self.text(factor)})")
            else:
                texts.append(rf"{self.tight(factor, ATOM)}^{{\circ {power if power > 0 else f'({power})'}}}")
        return Text(r" \odot ".join(texts), PRODUCT if len(texts) > 1 else POWER)

    # -------------------------------------------------------------------- functions

    def apply(self, term: Apply) -> Text:
        """A function by its customary sign."""
        self.used.setdefault(term.function, term)
        special = SPECIAL.get(term.function)
        if special is not None:
            return special(self, term)
        name = NAMED.get(term.function, rf"\operatorname{{{word(term.function)}}}")
        if term.function.startswith("sigmoid"):
            name = self.sigma + ("'" if term.function.endswith("'") else "")
        return Text(f"{name}({', '.join(map(self.text, term.parts))})", ATOM)

    def indicator(self, term: Indicator) -> Text:
        """Iverson's brackets."""
        parts = [self.text(part) for part in term.parts]
        if term.relation == "step":
            self.used.setdefault("step", term)
            if self.half:
                return Text(f"[{parts[0]} > {parts[1]}]", ATOM)
            return Text(rf"\tfrac{{1}}{{2}} ([{parts[0]} > {parts[1]}] + [{parts[0]} \geq {parts[1]}])", PRODUCT)
        if term.relation in RELATIONS:
            return Text(f"[{f' {RELATIONS[term.relation]} '.join(parts)}]", ATOM)
        marks = {"holds": "[{}]", "fails": r"[\lnot {}]", "isfinite": r"[\lvert {} \rvert < \infty]"}
        marks |= {"isinf": r"[\lvert {} \rvert = \infty]", "isnan": r"[{} = \mathrm{{NaN}}]"}
        return Text(marks[term.relation].format(parts[0]), ATOM)

    def row_wise(self, term: RowWise) -> Text:
        """softmax and logsumexp."""
        name = term.function
        if min(term.body.shape) > 1:
            self.used.setdefault(f"{name} {term.axis}", term)
            name = name if term.axis == 1 else f"{name}_columns"
        head, _, below = name.partition("_")
        mark = rf"\operatorname{{{head}}}" + (rf"_{{\mathrm{{{below}}}}}" if below else "")
        return Text(f"{mark}({self.text(term.body)})", ATOM)

    def call(self, term: Call) -> Text:
        """A primitive as a function with a name."""
        if term.primitive.name == "broadcast_to" and term.result[len(term.result) - len(term.avals[0].shape) :] == (
            term.avals[0].shape
        ):
            return Text(rf"\mathbf{{1}} \otimes {self.tight(term.parts[0], POWER)}", PRODUCT)
        if term.primitive.name == "reshape":
            sizes = r" \times ".join(map(str, term.result))
            return Text(rf"\operatorname{{reshape}}_{{{sizes}}}({self.text(term.parts[0])})", ATOM)
        if term.primitive.name == "gather" and len(term.parts) == term.avals[0].ndim + 1:
            return Text(f"{self.tight(term.parts[0], ATOM)}[{', '.join(map(self.text, term.parts[1:]))}]", ATOM)
        known = PLAIN_CALLS.get(term.primitive.name)
        if known is not None:
            return Text(known.format(self.text(term.parts[0])), POWER)
        if term.primitive.name in ("slice", "unslice") and len(dict(term.params)["start"]) == 1:
            given = dict(term.params)
            size = given["shape"][0] if "shape" in given else term.avals[0].shape[0]
            cut = cut_text(given["start"][0], given["stop"][0], given["step"][0], size)
            if term.primitive.name == "slice":
                return Text(f"{self.tight(term.parts[0], ATOM)}[{cut}]", ATOM)
            self.used.setdefault("into", term)
            return Text(rf"\operatorname{{into}}_{{[{cut}]}}({self.text(term.parts[0])})", ATOM)
        symbol = self.calls[term.primitive, term.params]
        self.said.add(symbol)
        return Text(f"{symbol}({', '.join(map(self.text, term.parts))})", ATOM)

    def inner(self, term: Inner) -> Text:
        """Norms, products of vectors, and brackets for matrices."""
        one, other = term.parts
        if isinstance(one, Identity):
            return Text(rf"\operatorname{{tr}}({self.text(other)})", ATOM)
        vector = len(one.shape) == 2 and one.shape[1] == 1
        if one is other:
            frobenius = "_F" if len(one.shape) == 2 and min(one.shape) > 1 else ""
            return Text(rf"\lVert {self.text(one)} \rVert{frobenius}^2", POWER)
        if vector:
            return Text(rf"{self.tight(one, ATOM)}^\top {self.factor(other)}", PRODUCT)
        return Text(rf"\langle {self.text(one)}, {self.text(other)} \rangle", ATOM)


def number_texts(number: Fraction, silent: bool) -> tuple[list[str], list[str]]:
    """Numerator and denominator; decimals stay decimals, and 1 is silent in front of something."""
    whole = max(number.numerator, number.denominator) < LONGEST or not 1e-300 < number < 1e300
    if number.denominator in (1, 2, 3, 4, 6, 8) or (whole and not _decimal(number.denominator)):
        top = [] if number.numerator == 1 and silent else [str(number.numerator)]
        return top, [str(number.denominator)] if number.denominator != 1 else []
    mantissa, _, exponent = repr(float(number)).partition("e")
    tens = f"10^{{{int(exponent)}}}" if exponent else ""
    return [tens if tens and mantissa == "1" else rf"{mantissa} \cdot {tens}" if tens else mantissa], []


def _decimal(denominator: int) -> bool:
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1


def cut_text(start: int, stop: int, step: int, size: int) -> str:
    """A slice as NumPy writes it, an element by its index from 0."""
    if step == 1 and stop == start + 1:
        return str(start)
    last = "" if stop < 0 or stop >= size else str(stop)
    return f"{start or ''}{{:}}{last}" + (f"{{:}}{step}" if step != 1 else "")


def superscript(text: str) -> str:
    """In braces if it has more than one character."""
    return text if len(text) == 1 else f"{{{text}}}"


def word(name: str) -> str:
    """The name of a primitive as letters that an operator's name may have."""
    base, _, rule = name.rsplit(":", 1)[-1].partition("#")
    letters = re.sub(r"[^A-Za-z0-9]+", "-", f"{base.rsplit('.', 1)[-1]}-{rule}")
    return letters.strip("-") or "f"


def _alone(factor: Term) -> bool:
    """Whether a factor of an element-wise product needs no parentheses."""
    return not isinstance(factor, Product | Inner | Add | Scaled)


def _place(factor: Term) -> int:
    if isinstance(factor, Apply) and factor.function.endswith("'"):
        return 0
    return {Name: 1, Add: 4, Product: 3, Indicator: 5}.get(type(factor), 2)


# -------------------------------------------------------------------- functions with a form of their own


def _behind(term: Term) -> Term:
    """What stands behind a factor in front."""
    return term.body if isinstance(term, Scaled) and term.body is not None else term


def _exp(printer: Printer, term: Apply) -> Text:
    inside = printer.text(term.parts[0])
    if printer.euler and (term.shape == SCALAR or isinstance(_behind(term.parts[0]), Name)):
        return Text(f"e^{superscript(inside)}", POWER)
    return Text(rf"\exp({inside})", ATOM)


def _logaddexp(printer: Printer, term: Apply) -> Text:
    parts = []
    for part in term.parts:
        nought = isinstance(part, Number) and part.value == 0
        parts.append("1" if nought else printer.text(Apply("exp", (part,))))
    return Text(rf"\log({' + '.join(parts)})", ATOM)


def _power(printer: Printer, term: Apply) -> Text:
    base, exponent = term.parts
    inside = printer.text(exponent)
    above = superscript(inside if term.shape == SCALAR else rf"\circ ({inside})")
    return Text(f"{printer.tight(base, ATOM)}^{above}", POWER)


def _joined(form: str, level: int = ATOM) -> Callable[[Printer, Apply], Text]:
    return lambda printer, term: Text(form.format(", ".join(map(printer.text, term.parts))), level)


def _plus_one(printer: Printer, term: Apply) -> Text:
    return Text(rf"\log(1 + {printer.tight(term.parts[0], PRODUCT)})", ATOM)


SPECIAL: dict[str, Callable[[Printer, Apply], Text]] = {
    "exp": _exp,
    "expm1": lambda printer, term: Text(f"{_exp(printer, term).text} - 1", SUM),
    "log1p": _plus_one,
    "logaddexp": _logaddexp,
    "power": _power,
    "sqrt": _joined(r"\sqrt{{{}}}"),
    "absolute": _joined(r"\lvert {} \rvert"),
    "relu": _joined(r"\max(0, {})"),
    "maximum": _joined(r"\max({})"),
    "minimum": _joined(r"\min({})"),
}


def _special(printer: Printer, term: Special) -> Text:
    if np.isnan(term.value):
        return Text(r"\mathrm{NaN}", ATOM)
    if term.value.imag:
        if term.value == 1j:
            return Text(r"\mathrm{i}", ATOM)
        return Text(rf"({term.value.real!r} + {term.value.imag!r} \mathrm{{i}})", ATOM)
    return Text(r"\infty", ATOM, term.value.real < 0)


def _number(printer: Printer, term: Number) -> Text:
    top, bottom = number_texts(abs(term.value), False)
    text = rf"\frac{{{top[0]}}}{{{bottom[0]}}}" if bottom else top[0]
    return Text(text, ATOM if not bottom else PRODUCT, term.value < 0)


PRINTED: dict[type, Callable[[Printer, Any], Text]] = {
    Name: lambda printer, term: Text(printer.names[term], ATOM),
    Number: _number,
    Special: _special,
    Ones: lambda printer, term: printer.counted(r"\mathbf{1}", term.shape[0]),
    Identity: lambda printer, term: printer.counted(printer.unit, term.size),
    Zeros: lambda printer, term: Text("0", ATOM),
    Scaled: Printer.scaled,
    Add: Printer.added,
    Product: Printer.product,
    Transpose: Printer.transpose,
    Inverse: lambda printer, term: Text(f"{printer.tight(term.body, ATOM)}^{{-1}}", POWER),
    Hadamard: Printer.hadamard,
    Apply: Printer.apply,
    Indicator: Printer.indicator,
    RowWise: Printer.row_wise,
    Call: Printer.call,
    Diagonal: lambda printer, term: Text(rf"\operatorname{{diag}}({printer.text(term.body)})", ATOM),
    Inner: Printer.inner,
}
