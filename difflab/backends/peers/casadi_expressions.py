"""CasADi's scalar expressions: one with Python's operators, its functions by NumPy's names, matrices of them."""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...execution.arithmetic import filled


@functools.cache
def engine() -> tuple[Any, Callable[[int, Any], Any], Callable[[int, Any, Any], Any], dict[str, int]]:
    """CasADi, imported when it is first asked for, and its operations by name."""
    casadi: Any = importlib.import_module("casadi")
    codes = {name.removeprefix("OP_"): getattr(casadi, name) for name in dir(casadi) if name.startswith("OP_")}
    return casadi, casadi.SX.unary, casadi.SX.binary, codes


def unary(name: str, x: Any) -> Any:
    """An operation on one expression; CasADi's own operators cost ten times as much to call from Python."""
    _, apply, _, codes = engine()
    return apply(codes[name], x)


def binary(name: str, a: Any, b: Any) -> Any:
    """An operation on two expressions."""
    _, _, apply, codes = engine()
    return apply(codes[name], a, b)


class Number:
    """A scalar expression with Python's operators; NumPy's loops over object arrays take it for one thing."""

    __slots__ = ("of",)

    def __init__(self, of: Any):
        self.of = of

    def __add__(self, other: Any) -> Any:
        return self._with("ADD", other)

    def __radd__(self, other: Any) -> Any:
        return self._under("ADD", other)

    def __sub__(self, other: Any) -> Any:
        return self._with("SUB", other)

    def __rsub__(self, other: Any) -> Any:
        return self._under("SUB", other)

    def __mul__(self, other: Any) -> Any:
        return self._with("MUL", other)

    def __rmul__(self, other: Any) -> Any:
        return self._under("MUL", other)

    def __truediv__(self, other: Any) -> Any:
        return self._with("DIV", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._under("DIV", other)

    def _with(self, name: str, other: Any) -> Any:
        if type(other) is np.ndarray:
            return NotImplemented  # its loop comes back for each element
        return Number(binary(name, self.of, expression(other)))

    def _under(self, name: str, other: Any) -> Any:
        return Number(binary(name, expression(other), self.of))

    def __neg__(self) -> Number:
        return Number(unary("NEG", self.of))

    def __bool__(self) -> bool:
        if not self.of.is_constant():
            raise UnsupportedError(
                "a choice of Python's or NumPy's own depends on differentiated values, and an expression of CasADi's "
                "has no truth value; use backend 'reverse' or 'forward'"
            )
        return bool(float(self.of))


def expression(value: Any) -> Any:
    """Anything that is a number as an expression; truth values are 1 and 0."""
    return value.of if type(value) is Number else engine()[0].SX(float(value))


def number(value: Any) -> Number:
    """Anything that is a number as one."""
    return value if type(value) is Number else Number(expression(value))


def matrix(array: np.ndarray) -> Any:
    """An object array of two axes as CasADi's matrix, which stores columns."""
    casadi, columns = engine()[0], array.T.ravel().tolist()
    if not columns:
        return casadi.SX(*array.shape)
    return casadi.reshape(casadi.vertcat(*map(expression, columns)), *array.shape)


def entries(made: Any, shape: tuple[int, ...]) -> np.ndarray:
    """CasADi's matrix, read row by row, as an object array."""
    return filled(shape, map(Number, engine()[0].densify(made).T.elements()))


def of_rows(rows: list[list[Any]]) -> Any:
    """A square matrix of CasADi's from its rows."""
    return matrix(filled((len(rows), len(rows)), [item for row in rows for item in row]))


def larger(a: Any, b: Any) -> Any:
    """CasADi's ``fmax``."""
    return binary("FMAX", a, b)


CONDITIONS = ("LT", "LE", "EQ", "NE", "NOT", "AND", "OR")
RELATIONS = {"greater": ("LT", True), "greater_equal": ("LE", True), "less": ("LT", False),
             "less_equal": ("LE", False), "equal": ("EQ", False),
             "not_equal": ("NE", False)}  # fmt: skip


def condition(value: Any) -> Number:
    """Where a number is not zero; a relation stays."""
    value = number(value)
    if value.of.is_constant():
        return number(float(value.of) != 0)
    codes = engine()[3]
    if not value.of.is_symbolic() and value.of.op() in [codes[name] for name in CONDITIONS]:
        return value
    return Number(binary("NE", value.of, expression(0.0)))


def opposite(relation: Number) -> Number:
    """The opposite of a relation."""
    return Number(unary("NOT", relation.of))


def _of_one(name: str) -> Callable[[Any], Any]:
    return lambda x: unary(name, x)


def _of_two(name: str) -> Callable[[Any, Any], Any]:
    return lambda a, b: binary(name, a, b)


def _logaddexp(a: Any, b: Any) -> Any:
    """The larger and what is above it: nothing overflows, and at a tie each has half of the derivative."""
    distance = unary("FABS", a - b)
    return larger(a, b) + unary("LOG1P", unary("EXP", -distance))


def _power(x: Any, p: Any) -> Any:
    return x**p


LOG2, LOG10 = math.log(2.0), math.log(10.0)
# By NumPy's names; those that CasADi lacks altogether are missing.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _of_one(name.replace("arc", "a").upper())
       for name in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh",
                    "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "erf", "floor", "ceil", "sign")},
    **{name: _of_two(code)
       for name, code in (("add", "ADD"), ("subtract", "SUB"), ("multiply", "MUL"), ("divide", "DIV"),
                          ("hypot", "HYPOT"), ("arctan2", "ATAN2"))},
    "negative": _of_one("NEG"),
    "absolute": _of_one("FABS"),
    "reciprocal": _of_one("INV"),
    "square": _of_one("SQ"),
    "power": _power,
    "integer_power": _power,
    "exp2": lambda x: unary("EXP", x * LOG2),
    "log2": lambda x: unary("LOG", x) / LOG2,
    "log10": lambda x: unary("LOG", x) / LOG10,
    "cbrt": lambda x: unary("SIGN", x) * unary("FABS", x) ** (1 / 3),
    "sigmoid": lambda x: 1.0 / (1.0 + unary("EXP", -x)),
    "logaddexp": _logaddexp,
}  # fmt: skip
