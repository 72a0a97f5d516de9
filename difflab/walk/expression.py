"""A formula as text becomes a NumPy function: it is parsed into a syntax tree and checked, never run as code."""

from __future__ import annotations

import ast
import functools
import inspect
import keyword
import math
import operator
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .. import nn
from ..errors import InputError, TraceError, did_you_mean

CONSTANTS = {"pi": math.pi, "\N{GREEK SMALL LETTER PI}": math.pi, "e": math.e}
SIGNS = {
    "^": "**",  # in Python ^ binds weaker than +; what people mean by it is a power
    "\N{MULTIPLICATION SIGN}": "*",
    "\N{MIDDLE DOT}": "*",
    "\N{DOT OPERATOR}": "*",
    "\N{DIVISION SIGN}": "/",
    "\N{MINUS SIGN}": "-",
    "\N{SUPERSCRIPT TWO}": "**2",
    "\N{SUPERSCRIPT THREE}": "**3",
}
"""Signs of print, as they stand on the drawn graph and in what people copy, as Python writes them."""
OPERATORS: dict[type[ast.AST], Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
LONGEST = 10_000
"""Characters of an expression."""
TOO_DEEP = "the expression is nested too deep to be read; split it into parts"


def _extreme(of_two: Callable, of_one: Callable) -> Callable:
    """``max(a, b, ...)`` of values, or ``max(x)`` over the elements of one."""

    def function(first: Any, *others: Any) -> Any:
        return functools.reduce(of_two, others, first) if others else of_one(first)

    return function


class _Known(NamedTuple):
    function: Callable
    most: float = 1  # arguments


FUNCTIONS: dict[str, _Known] = {
    "log": _Known(np.log),
    "ln": _Known(np.log),
    "exp": _Known(np.exp),
    "log1p": _Known(np.log1p),
    "expm1": _Known(np.expm1),
    "sqrt": _Known(np.sqrt),
    "abs": _Known(np.abs),
    "sin": _Known(np.sin),
    "cos": _Known(np.cos),
    "tan": _Known(np.tan),
    "arcsin": _Known(np.arcsin),
    "arccos": _Known(np.arccos),
    "arctan": _Known(np.arctan),
    "sinh": _Known(np.sinh),
    "cosh": _Known(np.cosh),
    "tanh": _Known(np.tanh),
    "sigmoid": _Known(nn.sigmoid),
    "relu": _Known(nn.relu),
    "max": _Known(_extreme(np.maximum, np.max), math.inf),
    "min": _Known(_extreme(np.minimum, np.min), math.inf),
    "sum": _Known(np.sum),
}


@dataclass(frozen=True)
class Expression:
    """A formula that was read: its text, its variables in the order in which they appear, and what it computes."""

    text: str
    names: tuple[str, ...]
    function: Callable[..., Any]


def parse(text: str) -> Expression:
    """Read a formula.

    Args:
        text: numbers, names, ``+ - * / **`` (or ``^`` and the ``SIGNS`` of print), parentheses, and ``FUNCTIONS``.

    Returns:
        The expression; its ``function`` takes one positional or keyword argument per name: a number or an array.

    Raises:
        InputError: a fault in the text, with its column.

    Example:
        >>> found = parse("log(x1) + x1^2 * x2")
        >>> found.names, float(found.function(1.0, x2=3.0))
        (('x1', 'x2'), 3.0)
    """
    reader = _Reader(text)
    try:
        tree = reader.tree()
        reader.check(tree)
        names = tuple(reader.names)
    except RecursionError:
        raise InputError(TOO_DEEP) from None
    signature = inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names])

    def function(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs).arguments
        given = {name: np.float64(value) if type(value) in (int, float) else value for name, value in bound.items()}
        try:
            return reader.value(tree, given)
        except RecursionError:  # computing goes deeper than reading
            raise InputError(TOO_DEEP) from None

    function.__name__ = function.__qualname__ = reader.text
    function.__signature__ = signature  # what inspect looks for
    return Expression(reader.text, names, function)


class _Reader:
    """One text: from columns of the syntax tree back to those of the user, and what nodes mean."""

    def __init__(self, text: str):
        self.text = " ".join(text.split())
        self.names: list[str] = []
        self.source = "".join(SIGNS.get(sign, sign) for sign in self.text)
        self.origin = [at for at, sign in enumerate(self.text) for _ in SIGNS.get(sign, sign)]

    def fault(self, at: int, what: str) -> NoReturn:
        """Raise with the place: ``at`` counts the characters of the source from 0."""
        column = self.origin[at] if at < len(self.origin) else len(self.text)
        raise InputError(f"column {column + 1}: {what}\n  {self.text}\n  {' ' * column}^") from None

    def fault_at(self, node: ast.expr, what: str) -> NoReturn:
        self.fault(len(self.source.encode()[: node.col_offset].decode()), what)

    def tree(self) -> ast.expr:
        """The syntax tree of the text."""
        if not self.text:
            raise InputError('the expression is empty; write one such as "log(x1) + x1*x2"')
        if len(self.text) > LONGEST:
            raise InputError(f"the expression has {len(self.text):,} characters; at most {LONGEST:,} are read")
        if "#" in self.source:
            self.fault(self.source.index("#"), "there are no comments in an expression")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Python, about numbers that run into words
                return ast.parse(self.source, mode="eval").body
        except SyntaxError as error:
            for word in re.finditer(r"[^\W\d]\w*", self.source):
                if keyword.iskeyword(word[0]):
                    self.fault(word.start(), f"{word[0]} is a word of Python; name the variable {word[0]}_ instead")
            what = error.msg.partition(". Perhaps")[0]
            hint = "; a product is written with *, as in 2*x" if what.startswith("invalid") else ""
            self.fault(max((error.offset or 1) - 1, 0), f"this cannot be read ({what}){hint}")
        except (MemoryError, ValueError):  # Python's parser says so of too many brackets, and of a null character
            raise InputError("the expression cannot be read: it is nested too deep or holds a null character") from None

    def check(self, node: ast.expr) -> None:
        """Every node is one of the few that are known; collects the names of variables."""
        match node:
            case ast.Constant(value=int() | float()) if type(node.value) is not bool:
                if not _finite(node.value):
                    self.fault_at(node, "this number is too large for float64")
            case ast.Name(id=name):
                if name in FUNCTIONS:
                    self.fault_at(node, f"{name} is a function; write {name}(...)")
                if name not in CONSTANTS and name not in self.names:
                    self.names.append(name)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
                self.check(left)
                self.check(right)
            case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
                self.check(operand)
            case ast.Call():
                self._check_call(node)
            case _:
                self.fault_at(node, "only numbers, names, + - * / ** ( ) and functions such as log(x) are known here")

    def _check_call(self, node: ast.Call) -> None:
        match node.func:
            case ast.Name(id=name) if name in FUNCTIONS:
                most = FUNCTIONS[name].most
            case ast.Name(id=name):
                self.fault_at(node, f"there is no function {name!r} {did_you_mean(name, list(FUNCTIONS))}")
            case ast.Attribute(attr=name) if name in FUNCTIONS:
                self.fault_at(node, f"write {name}(...), without what stands before the dot")
            case _:
                self.fault_at(node, "what stands before ( is no function; a product is written with *, as in 2*(x)")
        if node.keywords or not 1 <= len(node.args) <= most:
            takes = "one argument" if most == 1 else "one argument or more"
            named = f", none by name such as {node.keywords[0].arg}=" if node.keywords else f", not {len(node.args)}"
            self.fault_at(node, f"{name} takes {takes}{named}")
        for argument in node.args:
            self.check(argument)

    def value(self, node: ast.expr, given: dict[str, Any]) -> Any:
        """What a checked node computes."""
        match node:
            case ast.Constant(value=int() | float() as number):
                return float(number)
            case ast.Name(id=name):
                return given[name] if name in given else CONSTANTS[name]
            case ast.UnaryOp(op=op, operand=operand):
                return OPERATORS[type(op)](self.value(operand, given))
            case ast.BinOp(left=left, op=op, right=right):
                one = self.value(left, given)  # first, so that the tape has the order of the text
                whole = _whole(right) if isinstance(op, ast.Pow) else None
                other = self.value(right, given) if whole is None else whole
                return self._apply(node, OPERATORS[type(op)], [one, other])
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._apply(node, FUNCTIONS[name].function, [self.value(one, given) for one in arguments])
        raise AssertionError(f"check has let {node!r} pass")

    def _apply(self, node: ast.expr, function: Callable, operands: list[Any]) -> Any:
        static = all(type(operand) in (int, float) for operand in operands)
        try:
            with np.errstate(all="ignore" if static else None):
                found = function(*operands)
        except (TraceError, InputError) as error:  # shapes that do not fit, with a place that is not the user's
            self.fault_at(node, f"this cannot be computed: {re.sub(r' at [^ :]+:[0-9]+', '', str(error))}")
        except ArithmeticError:  # of numbers alone
            self.fault_at(node, "this part has no finite real value")
        except ValueError as error:  # shapes that do not fit
            self.fault_at(node, f"this cannot be computed: {error}")
        if not static:
            return found
        if isinstance(found, complex) or not _finite(found):
            self.fault_at(node, "this part has no finite real value")
        return float(found)


def _whole(node: ast.expr) -> int | None:
    """The exponent if it is written as a whole number, with its own rules on the tape."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        size = _whole(node.operand)
        return None if size is None else -size
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value < 2**31:
        return node.value
    return None


def _finite(number: Any) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:  # a whole number beyond float64
        return False
