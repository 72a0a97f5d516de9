"""What the operations of the graph mean in doubles: as NumPy computes them, and as ``math`` does, which is faster.

``math`` refuses where NumPy answers with infinity or NaN; then the program is run again with NumPy's meanings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import special_functions
from ..own_functions import logsumexp, sigmoid

if TYPE_CHECKING:
    from .nodes import Node

SPECIAL = special_functions.MEANINGS


def _psi(x: Any) -> float:
    return SPECIAL["polygamma"](0, x)


def _rounded(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda x: float(function(x))


def _pair(name: str, numpy_name: str | None = None) -> tuple[Callable, Callable]:
    return getattr(math, name), getattr(np, numpy_name or name)


def _logaddexp(a: Any, b: Any) -> float:
    return logsumexp(float(a), float(b))


def _sigmoid(x: Any) -> float:
    return sigmoid(float(x))


def _largest(*z: float) -> float:
    """Python's ``max`` finds a NaN only where it comes first."""
    top, total = max(z), sum(z)
    return top if total == total else float(np.max(z))


def _shift(*z: Any) -> float:
    """The largest, or 0 where that is not finite."""
    top = np.max(z)
    return top if math.isfinite(top) else 0.0


def _fast_shift(*z: float) -> float:
    top = max(z)
    return top if top - top == 0.0 else 0.0


# Functions of one operand or several: the name in printed code, with ``math`` and with NumPy.
FUNCTIONS: dict[str, tuple[Callable, Callable]] = {
    **{name: _pair(name) for name in ("exp", "expm1", "log", "log2", "log10", "log1p", "sqrt", "sin", "cos",
                                            "tan", "sinh", "cosh", "tanh", "hypot", "isnan", "isinf", "isfinite")},
    "exp2": (math.exp2, np.exp2), "power": (math.pow, np.power), "cbrt": (math.cbrt, np.cbrt),
    "arcsin": _pair("asin", "arcsin"), "arccos": _pair("acos", "arccos"),
    "arctan": _pair("atan", "arctan"), "arctan2": _pair("atan2", "arctan2"),
    "arcsinh": _pair("asinh", "arcsinh"), "arccosh": _pair("acosh", "arccosh"),
    "arctanh": _pair("atanh", "arctanh"),
    "absolute": (abs, np.abs),
    "floor": (_rounded(math.floor), np.floor), "ceil": (_rounded(math.ceil), np.ceil),
    "sigmoid": (_sigmoid, _sigmoid), "logaddexp": (_logaddexp, _logaddexp),
    "largest": (_largest, lambda *z: np.max(z)), "shift": (_fast_shift, _shift),
    "erf": (math.erf, SPECIAL["erf"]), "erfc": (math.erfc, SPECIAL["erfc"]),
    **{name: (function, function) for name, function in {
        "gamma": SPECIAL["gamma"], "gammaln": SPECIAL["loggamma"], "digamma": _psi,
        "polygamma": SPECIAL["polygamma"], "jv": SPECIAL["besselj"], "yv": SPECIAL["bessely"],
        "iv": SPECIAL["besseli"], "kv": SPECIAL["besselk"], "sinc": SPECIAL["sincpi"],
    }.items()},
}  # fmt: skip
# Functions whose first argument is a number that belongs to the node.
ORDERED = frozenset({"polygamma", "jv", "yv", "iv", "kv", "sinc"})


def double(value: Any) -> float:
    """The double next to a rational; beyond their range infinity, as NumPy's product would be."""
    if type(value) is float:
        return value
    try:
        return int(value.p) / int(value.q)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def larger(a: Any, b: Any) -> Any:
    """The larger of two, NaN if either is."""
    return a if a >= b else b if b > a else a + b


def value_of(node: Node, operands: Sequence[Any]) -> Any:
    """One operation in NumPy's doubles, given those of its operands; conditions are Python's."""
    with np.errstate(all="ignore"):
        return _value_of(node, operands)


def _value_of(node: Node, operands: Sequence[Any]) -> Any:
    name = node.operation
    if name == "number":
        return np.float64(double(node.value))
    if name == "pi":
        return np.float64(math.pi)
    if name == "sum":
        return sum(operands[1:], operands[0])
    if name == "scale":
        return np.float64(double(node.value)) * operands[0]
    if name == "product":
        return operands[0] * operands[1]
    if name == "divide":
        return np.divide(operands[0], operands[1])
    if name == "integer_power":
        return np.float64(operands[0]) ** node.value
    if name == "stopped":
        return operands[0]
    if name == "larger":
        return larger(*operands)
    if name == "select":
        conditions, values = operands[:-1:2], operands[1:-1:2]
        return next((v for c, v in zip(conditions, values, strict=True) if c), operands[-1])
    if name == "and":
        return all(operands)
    if name == "or":
        return any(operands)
    if name == "not":
        return not operands[0]
    if name in RELATION:
        return bool(RELATION[name](*operands))
    order = [node.value] if name in ORDERED else []
    return np.float64(FUNCTIONS[name][1](*order, *operands))


RELATION: dict[str, Callable] = {
    "greater": lambda a, b: a > b, "greater_equal": lambda a, b: a >= b,
    "equal": lambda a, b: a == b, "not_equal": lambda a, b: a != b,
}  # fmt: skip
