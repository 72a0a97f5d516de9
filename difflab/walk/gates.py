"""An equation in the field's notation, and what its gate does to a gradient, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

INFIX = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "power": "**",
    "matmul": "@",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
}
SHORT = {"absolute": "abs", "maximum": "max", "minimum": "min"}

# The slope of one-argument gates: {x} is the operand, {y} the result.
SLOPES = {
    "log": "1/{x}",
    "log1p": "1/(1 + {x})",
    "exp": "{y}",
    "expm1": "{y} + 1",
    "sqrt": "1/(2 {y})",
    "square": "2 {x}",
    "reciprocal": "-{y}**2",
    "negative": "-1",
    "sin": "cos({x})",
    "cos": "-sin({x})",
    "tan": "1 + {y}**2",
    "sinh": "cosh({x})",
    "cosh": "sinh({x})",
    "tanh": "1 - {y}**2",
    "sigmoid": "{y} (1 - {y})",
    "absolute": "sign({x})",
    "arcsin": "1/sqrt(1 - {x}**2)",
    "arccos": "-1/sqrt(1 - {x}**2)",
    "arctan": "1/(1 + {x}**2)",
}
ROLES = {
    "add": "add distributes",
    "subtract": "subtract distributes, with -1 to the second",
    "matmul": "matmul swaps, transposed",
    "sum": "sum copies to every element",
    "broadcast_to": "copy adds",
    "copy": "passes on",
    "cast": "passes on",
    "where": "where routes by its condition",
    "max": "max routes to the largest element",
    "min": "min routes to the smallest element",
    "max_pool": "max routes to the largest of each window",
    "gather": "routes to the elements that were picked",
    "slice": "routes to the part that was cut out",
    "unslice": "cuts out the part that was put in",
    "scatter_add": "picks from where it was added",
    "windows": "adds where windows overlap",
    "fold": "copies to every window",
    "concatenate": "cuts apart what was joined",
    "pad": "drops the border",
    "stop_gradient": "stops",
}
MOVES = frozenset({"reshape", "transpose"})


def formula(primitive: str, operands: Sequence[str], params: Mapping[str, Any]) -> str:
    """The right side of an equation.

    Args:
        primitive: its name.
        operands: what the operands are called.
        params: of the equation.

    Example:
        >>> formula("multiply", ["x1", "x2"], {}), formula("negative", ["v3"], {}), formula("sum", ["v1"], {"axes": 0})
        ('x1 * x2', '-v3', 'sum(v1, axes=0)')
    """
    if primitive in INFIX:
        return f"{operands[0]} {INFIX[primitive]} {operands[1]}"
    if primitive == "negative":
        return f"-{operands[0]}"
    if primitive == "square":
        return f"{operands[0]} ** 2"
    if primitive == "integer_power":
        return f"{operands[0]} ** {params['n']}"
    inside = [*operands, *[f"{key}={value!r}".replace(" ", "") for key, value in params.items()]]
    return f"{SHORT.get(primitive, primitive)}({', '.join(inside)})"


def role(
    primitive: str,
    operands: Sequence[str],
    result: str,
    params: Mapping[str, Any],
    values: Sequence[np.ndarray],
    active: Sequence[bool],
) -> str:
    """What a gate does to the gradient that comes back through it.

    Args:
        primitive: its name.
        operands: what the operands are called.
        result: what the result is called.
        params: of the equation.
        values: of the operands.
        active: which operands a gradient goes to.

    Example:
        >>> two = [np.array(1.0), np.array(2.0)]
        >>> role("multiply", ["x1", "x2"], "v1", {}, two, [True, True])
        'multiply swaps'
        >>> role("maximum", ["x1", "x2"], "v1", {}, two, [True, True])
        'max routes to x2'
        >>> role("multiply", ["x1", "3"], "v1", {}, two, [True, False])
        'scales by 3'
    """
    x = operands[0] if operands else ""
    single = sum(active) == 1
    if primitive in SLOPES:
        return f"scales by {SLOPES[primitive].format(x=x, y=result)}"
    if primitive == "integer_power":
        return f"scales by {params['n']} {x} ** {params['n'] - 1}"
    if primitive in ("add", "subtract") and single:
        return "scales by -1" if primitive == "subtract" and active[1] else "passes on"
    if primitive == "multiply":
        return f"scales by {operands[1 if active[0] else 0]}" if single and x != operands[1] else "multiply swaps"
    if primitive == "divide":
        slopes = [f"1/{operands[1]}", f"-{result}/{operands[1]}"]
        return "scales by " + " and ".join(slope for slope, on in zip(slopes, active, strict=True) if on)
    if primitive == "power":
        slopes = [f"{operands[1]} {x} ** ({operands[1]} - 1)", f"{result} log({x})"]
        return "scales by " + " and ".join(slope for slope, on in zip(slopes, active, strict=True) if on)
    if primitive in ("maximum", "minimum"):
        return _routed(primitive, operands, values)
    if primitive == "relu":
        return _gated(values[0])
    if primitive in MOVES:
        return f"{primitive} moves back"
    return ROLES.get(primitive, "scales by its slope")


def _routed(primitive: str, operands: Sequence[str], values: Sequence[np.ndarray]) -> str:
    word = f"{SHORT[primitive]} routes"
    one, other = values
    if one.shape or other.shape:
        return f"{word}, element by element"
    if one == other:
        return f"{word}: a tie, both get half"
    larger = 0 if one > other else 1
    return f"{word} to {operands[larger if primitive == 'maximum' else 1 - larger]}"


def _gated(value: np.ndarray) -> str:
    if value.shape:
        return f"relu routes: {np.count_nonzero(value > 0)} of {value.size} pass"
    return "relu routes: passes" if value > 0 else "relu routes: stops"
