"""``--shapes``: arguments of a loss from a line such as "params.w1=3x4, params.b1=4, x=32x3, y=32:int(0,10), k==3".

    argument = path "=" shape [":" dtype] [":" numbers]     path  = NAME ("." NAME | "[" INTEGER "]")*
             | path "==" NUMBER                             shape = INTEGER ("x" INTEGER)* | "()" | "scalar"

A path begins with a parameter of the loss; dots build dicts, brackets build lists.
"""

from __future__ import annotations

import inspect
import itertools
import math
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, did_you_mean
from ..harness.amounts import size as bytes_text

DTYPES = ("float64", "float32", "float16", "complex128", "complex64", "int64", "int32")
KINDS = ("normal", "positive", "uniform(A,B)", "int(A,B)", "onehot")
LARGEST = 2**33  # bytes of one array
DEEPEST = 20
TOKEN = re.compile(r"\s*(==|[A-Za-z_]\w*|[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[.,=:()\[\]])")
SHAPE = re.compile(r"\s*(\(\s*\)|scalar\b|\d{1,15}(?:\s*x\s*\d{1,15})*(?![\w.]))")
ALWAYS = "--shapes: at character "


@dataclass(frozen=True)
class Numbers:
    """What an entry is filled with: its shape, dtype and kind of numbers, and for a fixed number its value."""

    shape: tuple[int, ...]
    dtype: str = "float64"
    kind: str = "normal"
    low: float = 0.0
    high: float = 0.0
    value: int | float | None = None

    @property
    def text(self) -> str:
        """The numbers in words."""
        if self.value is not None:
            return f"the number {self.value}"
        shape = " x ".join(map(str, self.shape)) or "one number"
        whole = self.shape[-1] if len(self.shape) > 1 else 1
        how = {
            "normal": "standard normal" + (f" / \N{SQUARE ROOT}{whole}" if whole > 1 else ""),
            "positive": "uniform in [0.5, 1.5)",
            "uniform": f"uniform in [{self.low:g}, {self.high:g})",
            "int": f"integers from {self.low:g} up to and without {self.high:g}",
            "onehot": "one 1 in each row",
        }[self.kind]
        return f"{shape} {self.dtype}, {how}"

    def draw(self, generator: np.random.Generator) -> Any:
        """The entry; a number where the shape is ()."""
        if self.value is not None:
            return self.value
        whole = self.shape[-1] if len(self.shape) > 1 else 1
        if self.kind == "int":
            found = generator.integers(int(self.low), int(self.high), self.shape)
        elif self.kind == "onehot":
            columns = self.shape[len(self.shape) - 1]
            found = np.eye(columns)[generator.integers(0, columns, self.shape[:-1])]
        elif self.kind == "normal":
            found = generator.standard_normal(self.shape) / math.sqrt(whole)
            if self.dtype.startswith("complex"):
                found = found + 1j * generator.standard_normal(self.shape) / math.sqrt(whole)
        else:
            low, high = (0.5, 1.5) if self.kind == "positive" else (self.low, self.high)
            found = generator.uniform(low, high, self.shape)
        array = np.asarray(found, self.dtype)
        if self.shape:
            return array
        return array[()] if self.dtype in ("float32", "float16", "complex64", "int32") else array.item()


def read_shapes(text: str) -> dict[str, Any]:
    """What ``--shapes`` asks for.

    Args:
        text: as the module describes it.

    Returns:
        For every parameter ``Numbers``, or dicts and lists of them.

    Raises:
        InputError: what is wrong, with the position of the character from 1.

    >>> found = read_shapes("p.w=3x4, p.b=4:float32, layers[0]=2, k==3")
    >>> found["p"]["b"], found["layers"][0].shape, found["k"].value
    (Numbers(shape=(4,), dtype='float32', kind='normal', low=0.0, high=0.0, value=None), (2,), 3)
    """
    return _Reader(text).read()


def draw(wanted: Any, generator: np.random.Generator) -> Any:
    """Numbers for everything that was asked for, in the order in which it stands.

    Args:
        wanted: what ``read_shapes`` returned, or a part of it.
        generator: of the random numbers.
    """
    if isinstance(wanted, dict):
        return {key: draw(one, generator) for key, one in wanted.items()}
    return [draw(one, generator) for one in wanted] if isinstance(wanted, list) else wanted.draw(generator)


def described(wanted: dict[str, Any]) -> list[str]:
    """One line for each entry: its path and its numbers.

    >>> described(read_shapes("p.w=3x4, k==3"))
    ['p.w: 3 x 4 float64, standard normal / √4', 'k: the number 3']
    """

    def walk(path: str, one: Any) -> list[str]:
        if isinstance(one, dict):
            return [line for key, part in one.items() for line in walk(f"{path}.{key}" if path else key, part)]
        if isinstance(one, list):
            return [line for k, part in enumerate(one) for line in walk(f"{path}[{k}]", part)]
        return [f"{path}: {one.text}"]

    return walk("", wanted)


def shaped_arguments(
    wanted: dict[str, Any], function: Callable, signature: inspect.Signature | None, seed: int
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments of a loss.

    Args:
        wanted: what ``read_shapes`` returned.
        function: the loss.
        signature: its signature.
        seed: of the random numbers.

    Returns:
        Positional and keyword arguments.

    Raises:
        InputError: the names are not those of its parameters.
    """
    name = getattr(function, "__name__", "the loss")
    if signature is None:
        raise InputError(f"--shapes: {name} has no signature whose parameters could be named")
    parameters = signature.parameters
    if unknown := [one for one in wanted if one not in parameters]:
        raise InputError(f"--shapes: {name} has no parameter {unknown[0]!r} {did_you_mean(unknown[0], [*parameters])}")
    spread = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if many := [one for one in wanted if parameters[one].kind in spread]:
        raise InputError(f"--shapes: {many[0]!r} of {name} stands for any number of arguments; give them by --at")
    needed = [one.name for one in parameters.values() if one.default is one.empty and one.kind not in spread]
    if missing := [one for one in needed if one not in wanted]:
        raise InputError(f"--shapes gives no {missing[0]!r}, which {name} needs: add {missing[0]}=SHAPE, such as 32x3")
    generator = np.random.default_rng(seed)
    drawn = {one: draw(part, generator) for one, part in wanted.items()}
    bound = inspect.BoundArguments(signature, OrderedDict((one, drawn[one]) for one in parameters if one in drawn))
    bound.apply_defaults()
    return list(bound.args), {key: value for key, value in bound.kwargs.items() if key in drawn}


class _Reader:
    """One pass over the text from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def fault(self, what: str, at: int | None = None) -> InputError:
        place = self.at if at is None else at
        while place < len(self.text) and self.text[place].isspace():
            place += 1
        return InputError(f"{ALWAYS}{place + 1} of {self.text!r}: {what}")

    def peek(self) -> str:
        found = TOKEN.match(self.text, self.at)
        return "" if found is None else found[1]

    def take(self, wanted: str = "") -> str:
        """The next token, which was looked at before, or a fault where it is not the wanted one."""
        found = TOKEN.match(self.text, self.at)
        if found is None or (wanted and found[1] != wanted):
            rest = self.text[self.at :].split()
            raise self.fault(f"expected {wanted!r}, got {rest[0] if rest else 'the end'}")
        self.at = found.end()
        return found[1]

    def read(self) -> dict[str, Any]:
        wanted: dict[str, Any] = {}
        while True:
            start = self.at
            path = self.path()
            self.store(wanted, path, self.entry(), start)
            if not self.text[self.at :].strip():
                return {key: self.closed(one, key) for key, one in wanted.items()}
            self.take(",")
            if not self.text[self.at :].strip():
                raise self.fault("expected another NAME=SHAPE behind the comma")

    def path(self) -> list[str | int]:
        found: list[str | int] = [self.name()]
        while self.peek() in (".", "["):
            if self.take() == ".":
                found.append(self.name())
            else:
                found.append(self.whole())
                self.take("]")
            if len(found) > DEEPEST:
                raise self.fault(f"a path has at most {DEEPEST} steps")
        return found

    def name(self) -> str:
        if not self.peek().isidentifier():
            raise self.fault("expected the name of a parameter, as in x=32x3")
        return self.take()

    def whole(self) -> int:
        if not self.peek().isdigit() or len(self.peek()) > 9:
            raise self.fault("expected a whole number, as in layers[0]=3x4")
        return int(self.take())

    def number(self) -> float:
        try:
            value = float(self.peek())
        except ValueError:
            raise self.fault("expected a number") from None
        if not math.isfinite(value):
            raise self.fault("expected a number that float64 can hold")
        self.take()
        return value

    def entry(self) -> Numbers:
        if self.peek() == "==":
            self.take()
            token, value = self.peek(), self.number()
            return Numbers((), value=int(token) if token.lstrip("+-").isdigit() else value)
        self.take("=")
        start = self.at
        found = SHAPE.match(self.text, self.at)
        if found is None:
            raise self.fault("expected a shape such as 32x3, 4 or (); for a fixed number write ==, as in k==3")
        self.at = found.end()
        shape = tuple(int(one) for one in re.findall(r"\d+", found[1]))
        dtype, kind, low, high = "", "", 0.0, 0.0
        while self.peek() == ":":
            self.take()
            place, word = self.at, self.take() if self.peek().isidentifier() else ""
            if dtype if word in DTYPES else kind:
                raise self.fault(f"{dtype if word in DTYPES else kind} is said before", place)
            if word in DTYPES:
                dtype = word
            elif word in ("normal", "positive", "onehot"):
                kind = word
            elif word in ("uniform", "int"):
                kind, (low, high) = word, self.pair(word, place)
            else:
                raise self.fault(f"expected one of {', '.join((*DTYPES, *KINDS))}", place)
        kind = kind or "normal"
        if kind == "onehot" and not (shape and shape[-1]):
            raise self.fault("onehot needs a last axis, as in y=32x10:onehot", start)
        dtype = dtype or ("int64" if kind == "int" else "float64")
        if dtype.startswith("int") and kind != "int":
            raise self.fault(f"{dtype} needs a range, as in y=32:int(0,10)", start)
        if kind in ("int", "uniform") and not _fits(kind, dtype, low, high):
            raise self.fault(f"{kind}({low:g},{high:g}) does not fit into {dtype}", start)
        if (needed := math.prod(shape) * np.dtype(dtype).itemsize) > LARGEST:
            raise self.fault(f"an array of {bytes_text(needed)} is larger than {bytes_text(LARGEST)}", start)
        return Numbers(shape, dtype, kind, low, high)

    def pair(self, word: str, place: int) -> tuple[float, float]:
        self.take("(")
        low = self.number()
        self.take(",")
        high = self.number()
        self.take(")")
        if not low < high or not math.isfinite(high - low):
            raise self.fault(f"{word}({low:g},{high:g}): the first number must be below the second", place)
        if word == "int" and (not low.is_integer() or not high.is_integer() or max(abs(low), abs(high)) > 2**53):
            raise self.fault("int(A,B) takes two whole numbers", place)
        return low, high

    def store(self, wanted: dict[str, Any], path: list[str | int], entry: Numbers, start: int) -> None:
        """Put an entry where its path says; lists are dicts by position until all is read."""
        here: dict[Any, Any] = wanted
        for step, after in itertools.pairwise(path):
            inner = here.setdefault(step, {})
            if not isinstance(inner, dict) or (inner and isinstance(next(iter(inner)), int) != isinstance(after, int)):
                raise self.fault(f"{_shown(path)} does not go with what was said of {step} before", start)
            here = inner
        if path[-1] in here:
            raise self.fault(f"{_shown(path)} is given twice", start)
        here[path[-1]] = entry

    def closed(self, one: Any, path: str) -> Any:
        """Dicts by position as lists."""
        if not isinstance(one, dict):
            return one
        if isinstance(next(iter(one)), str):
            return {key: self.closed(part, f"{path}.{key}") for key, part in one.items()}
        if sorted(one) != list(range(len(one))):
            missing = next(k for k in range(len(one) + 1) if k not in one)
            raise InputError(f"--shapes: {path}[{missing}] is missing; positions are counted from 0")
        return [self.closed(one[k], f"{path}[{k}]") for k in range(len(one))]


def _fits(kind: str, dtype: str, low: float, high: float) -> bool:
    """Whether a dtype holds all numbers of a range, whole ones exactly."""
    if dtype.startswith("int"):
        bounds = np.iinfo(dtype)
        return bounds.min <= low and high - 1 <= bounds.max
    facts = np.finfo(dtype)
    most = 2.0 ** (facts.nmant + 1) if kind == "int" else float(facts.max)
    return max(abs(low), abs(high)) <= most


def _shown(path: list[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
