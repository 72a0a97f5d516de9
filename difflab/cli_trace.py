"""``difflab trace``: a formula and values from the command line, its evaluation trace as text, JSON or NumPy code."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import InputError
from .walk.columns import walk
from .walk.expression import parse
from .walk.given import read_values


def trace_text(expression: str, values: Sequence[str], seed: str | None, as_json: bool, as_code: bool = False) -> str:
    """The trace of a formula.

    Args:
        expression: the formula.
        values: texts such as ``x1=2``.
        seed: the variable whose tangent is 1; the first one by default.
        as_json: whether the trace is one JSON document.
        as_code: whether value and gradient are wanted as NumPy code instead.

    Returns:
        A table, JSON, or the text of a module.

    Raises:
        InputError: a fault in the formula, in the values or in the name of the seed.

    Example:
        >>> print(trace_text("a*b + b", ["a=2", "b=3"], None, False))
        value  is      primal  tangent d/da  adjoint dy/dv  gate
        a      input   2       1             3
        b      input   3       0             3              copy adds (2 uses)
        v1     a * b   6       3             1              multiply swaps
        v2     v1 + b  9       3             1              add distributes
        <BLANKLINE>
        y = v2 = 9
        forward, read downwards:  dy/da = 3
        reverse, read upwards:    dy/da = 3  dy/db = 3
    """
    read = parse(expression)
    if not (read.names or values):
        raise InputError("the expression names no variable, so there is nothing to differentiate by")
    if as_code:
        if as_json or seed is not None:
            raise InputError("--code prints a program, which goes with neither --json nor --seed")
        from .views import trace

        given = read_values(values, read.names)
        return trace(read.function, *given).to_numpy(argnums=tuple(range(len(given)))).rstrip()
    found = walk(read.function, *read_values(values, read.names), tangent=seed)
    if not as_json:
        return str(found)
    from .cli_tables import json_text

    return json_text({"expression": read.text, "trace": found.to_dict()})
