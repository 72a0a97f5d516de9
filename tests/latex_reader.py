"""Reads the LaTeX that ``Trace.to_latex`` prints and computes it, with no code of the printer's.

Everything is a matrix.  The vector of ones has no length of its own: ``free`` axes of a value are as long as what they
meet, as 1 b^T has as many rows as what it is added to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logsumexp, softmax

TOKEN = re.compile(r"\\[A-Za-z]+|\\[{},;:!|]|\d+\.\d+|\d+|[A-Za-z]|\S")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    r"\sigma": expit,
    r"\sigma'": lambda x: expit(x) * expit(-x),
    r"\tanh": np.tanh,
    r"\tanh'": lambda x: 1 - np.tanh(x) ** 2,
    r"\exp": np.exp,
    r"\log": np.log,
    r"\sin": np.sin,
    r"\cos": np.cos,
    r"\max": np.maximum,
    r"\min": np.minimum,
    "sign": np.sign,
    "softmax": lambda x: softmax(x, axis=_along(x)),
    "logsumexp": lambda x: logsumexp(x, axis=_along(x), keepdims=True),
    "softmaxcolumns": lambda x: softmax(x, axis=0),
    "logsumexpcolumns": lambda x: logsumexp(x, axis=0, keepdims=True),
}
RELATIONS = {
    ">": np.greater,
    "<": np.less,
    r"\geq": np.greater_equal,
    r"\leq": np.less_equal,
    "=": np.equal,
    r"\ne": np.not_equal,
}
ENDS = {")", "]", "}", ",", "+", "-", r"\odot", r"\rVert", r"\rvert", r"\rangle", *RELATIONS}


def _along(x: np.ndarray) -> int:
    return 0 if x.shape[1] == 1 else 1


@dataclass
class Value:
    """A matrix; ``rows`` and ``columns`` say whether it has as many of them as what it meets."""

    array: np.ndarray
    rows: bool = False
    columns: bool = False

    @property
    def scalar(self) -> bool:
        """Whether it is a number, which multiplies anything."""
        return self.array.shape == (1, 1) and not (self.rows or self.columns)

    @property
    def turned(self) -> Value:
        """The transpose."""
        return Value(self.array.T, self.columns, self.rows)


def _times(a: Value, b: Value) -> Value:
    """The matrix product."""
    if a.scalar or b.scalar:
        other = b if a.scalar else a
        return Value(a.array * b.array, other.rows, other.columns)
    if a.columns and b.rows:
        raise ValueError("a product over an axis of unknown length")
    if a.columns:  # 1^T in front, or c 1^T: every column is alike, so that what follows is summed up
        return Value(a.array * b.array.sum(axis=0, keepdims=True), a.rows, b.columns)
    if b.rows:
        return Value(a.array.sum(axis=1, keepdims=True) * b.array, a.rows, b.columns)
    return Value(a.array @ b.array, a.rows, b.columns)


def _each(function: Callable[..., Any], *values: Value) -> Value:
    """Element by element: an axis is free only if it is in all that are no numbers."""
    wide = [value for value in values if not value.scalar] or list(values)
    result = function(*[value.array for value in values])
    return Value(np.asarray(result, float), all(v.rows for v in wide), all(v.columns for v in wide))


class Reader:
    """Reads formulas with ``values`` for their symbols."""

    def __init__(self, values: dict[str, np.ndarray], half: bool):
        self.values, self.half = values, half
        self.tokens: list[str] = []
        self.at = 0

    def read(self, text: str) -> np.ndarray:
        """The value of one formula."""
        self.tokens, self.at = TOKEN.findall(text), 0
        value = self.sum()
        if self.at != len(self.tokens):
            raise ValueError(f"{text!r} goes on with {self.tokens[self.at :]}")
        return value.array

    # ------------------------------------------------------------------------ grammar

    @property
    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.next
        if wanted and token != wanted:
            raise ValueError(f"{wanted} is expected in {' '.join(self.tokens)} before {self.tokens[self.at :]}")
        self.at += 1
        return token

    def sum(self) -> Value:
        sign = -1.0 if self.next == "-" else 1.0
        self.at += self.next == "-"
        first = self.element_wise()
        total = Value(sign * first.array, first.rows, first.columns)
        while self.next in ("+", "-"):
            sign = 1.0 if self.take() == "+" else -1.0
            total = _each(lambda a, b, s=sign: a + s * b, total, self.element_wise())
        return total

    def element_wise(self) -> Value:
        """A factor in front belongs to the whole: 2 A o B."""
        result = self.product()
        while self.next == r"\odot":
            self.take()
            other = self.product()
            result = _each(lambda a, b: a * b, result, other)
        return result

    def product(self) -> Value:
        factors = [self.power()]
        while self.next and self.next not in ENDS:
            factors.append(self.power())
        return self.chained(factors)

    def chained(self, factors: list[Value]) -> Value:
        result = factors[0]
        for place, factor in enumerate(factors[1:], start=1):
            if result.columns and factor.rows:  # associativity helps: 1 (1^T x)
                return _times(result, self.chained(factors[place:]))
            result = _times(result, factor)
        return result

    def power(self) -> Value:
        value = self.atom()
        while self.next == "^":
            self.take()
            exponent = self.group() if self.next == "{" else [self.take()]
            value = self.raised(value, exponent)
        return value

    def raised(self, value: Value, exponent: list[str]) -> Value:
        if exponent == [r"\top"]:
            return value.turned
        if exponent[:1] == [r"\circ"]:
            number = self.inside(exponent[1:]).array.item()
            return _each(lambda a: a**number, value)
        if exponent in (["-", "1"], ["-", r"\top"]) and not value.scalar:
            inverse = np.linalg.inv(value.array)
            return Value(inverse if exponent[1] == "1" else inverse.T)
        if not value.scalar:
            raise ValueError("a power of a matrix")
        return Value(value.array ** self.inside(exponent).array)

    def inside(self, tokens: list[str]) -> Value:
        """What other tokens stand for."""
        kept = self.tokens, self.at
        self.tokens, self.at = tokens, 0
        value = self.sum()
        assert self.at == len(tokens), tokens
        self.tokens, self.at = kept
        return value

    def group(self) -> list[str]:
        """The tokens between braces."""
        self.take("{")
        depth, tokens = 1, []
        while depth:
            token = self.take()
            depth += (token == "{") - (token == "}")
            tokens.append(token)
        return tokens[:-1]

    def atom(self) -> Value:
        token = self.next
        if re.fullmatch(r"\d+(\.\d+)?", token):
            self.take()
            return Value(np.full((1, 1), float(token)))
        if token in (r"\frac", r"\tfrac"):
            self.take()
            above, below = self.inside(self.group()), self.inside(self.group())
            return Value(above.array / below.array)
        if token == "(":
            self.take()
            value = self.sum()
            self.take(")")
            return value
        if token == "[":
            return self.bracket()
        if token in (r"\lVert", r"\lvert", r"\langle"):
            return self.fenced()
        if token == r"\sqrt":
            self.take()
            return _each(np.sqrt, self.inside(self.group()))
        if token == r"\mathbf":
            self.take()
            assert self.group() == ["1"]
            if self.next != "_":
                return Value(np.ones((1, 1)), rows=True)
            self.take()
            below = self.group() if self.next == "{" else [self.take()]
            return Value(np.ones((int("".join(below)), 1)))
        if token == "e" and self.tokens[self.at + 1 : self.at + 2] == ["^"]:
            self.at += 2
            return _each(np.exp, self.inside(self.group() if self.next == "{" else [self.take()]))
        return self.named()

    def bracket(self) -> Value:
        self.take("[")
        denied = self.next == r"\lnot"
        self.at += denied
        one = self.sum()
        if self.next == "]":
            self.take()
            return _each(lambda a: (a == 0) == denied, one)
        relation = self.take()
        other = self.sum()
        self.take("]")
        strict = self.half and relation == ">"
        rule = (lambda a, b: np.heaviside(a - b, 0.5)) if strict else RELATIONS[relation]
        return _each(rule, one, other)

    def fenced(self) -> Value:
        opening = self.take()
        one = self.sum()
        if opening == r"\lvert":
            self.take(r"\rvert")
            return _each(np.abs, one)
        if opening == r"\langle":
            self.take(",")
            other = self.sum()
            self.take(r"\rangle")
            return Value(np.sum(one.array * other.array).reshape(1, 1))
        self.take(r"\rVert")
        if self.next == "_":
            self.at += 2
        self.take("^")
        self.take("2")
        return Value(np.sum(one.array**2).reshape(1, 1))

    def named(self) -> Value:
        """A symbol with its subscripts and accent, or a function of something."""
        start = self.at
        token = self.take()
        if token == r"\operatorname":
            token = "".join(self.group())
            if token not in FUNCTIONS and token not in ("diag", "tr"):
                raise ValueError(f"the word {token!r} has no meaning here")
        elif token in (r"\bar", r"\hat", r"\mathrm"):
            self.group()
        if self.next == "_":
            self.take()
            below = self.group() if self.next == "{" else [self.take()]
            if below[:1] == [r"\mathrm"] and token in ("softmax", "logsumexp"):
                token += "".join(below[2:-1])
        while self.next == "'":
            token += self.take()
        if token == "diag":
            return Value(np.diag(self.atom().array[:, 0]))
        if token == "tr":
            return Value(np.trace(self.atom().array).reshape(1, 1))
        if token in FUNCTIONS:
            return _each(FUNCTIONS[token], *self.arguments())
        symbol = "".join(self.tokens[start : self.at])
        if self.next == "[" and self.index_follows():
            raise ValueError(f"the index of {symbol} has no meaning here")
        return Value(self.values[symbol])

    def index_follows(self) -> bool:
        """Whether the next brackets are no relation."""
        inside = self.tokens[self.at : self.tokens.index("]", self.at)]
        return not any(token in RELATIONS for token in inside) and r"\lnot" not in inside

    def arguments(self) -> list[Value]:
        self.take("(")
        values = [self.sum()]
        while self.next == ",":
            self.take()
            values.append(self.sum())
        self.take(")")
        return values


def computed(text: str, arguments: dict[str, Any]) -> dict[str, np.ndarray]:
    """The value of every line of an ``aligned`` environment, by its left side.

    Args:
        text: what ``to_latex`` printed.
        arguments: arrays by the symbols that it gives them.

    Returns:
        Matrices by symbol, without blanks; derivatives under ``\\frac{\\partialL}{\\partialW_1}``.

    Raises:
        ValueError: a function or an index that has no meaning here.
    """
    values = {_plain(name): _matrix(np.asarray(value, float)) for name, value in arguments.items()}
    half = r"[a > b] &= \tfrac{1}{2} \text{ where } a = b" in text
    reader = Reader(values, half)
    for line in text.splitlines()[1:-1]:
        left, right = line.strip().removesuffix(r"\\").split("&", 1)
        if not right.startswith("=") or re.search(r"\(a\)|\[a > b\]", left):
            continue
        values[_plain(left)] = reader.read(right[1:].strip())
    return values


def _plain(symbol: str) -> str:
    return "".join(TOKEN.findall(symbol))


def _matrix(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, 1) if array.ndim < 2 else array
