"""What a user wrote, what is known of one call of it, and what its function and rules may return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import TraceError
from ..primitives import REGISTRY
from ..primitives.record import Aval, Traced, identity
from ..promotion import innermost
from ..tape import Tape, show
from ..transforms.inline import inline

WEAK = "__weak__"
"""The parameter that names the operands that were Python numbers, whose dtype gives way (NEP 50)."""
KEPT = 64
"""So many combinations of shapes, dtypes and metadata are kept for one function or rule."""


class RuleError(TraceError):
    """A function or rule returned what it may not."""


class Definition(NamedTuple):
    """What the user wrote: a function, its rules, and how its positional arguments are called in messages."""

    name: str
    function: Callable
    argument: Callable[[int], str]
    abstract: Callable | None = None
    jvp: Callable | None = None
    vjp: Callable | None = None


class Closed(NamedTuple):
    """Avals of the operands, weak where they were Python numbers, and the metadata: all that a tape depends on."""

    avals: tuple[Aval, ...]
    statics: tuple

    @property
    def params(self) -> dict[str, Any]:
        """The metadata as keyword arguments."""
        return {key: value for key, _, value, _ in self.statics}

    @property
    def widest(self) -> np.dtype:
        """The dtype to which the floating operands promote; Python numbers give way."""
        strong = [aval.dtype for aval in self.avals if aval.dtype.kind in "fc" and not aval.weak]
        return np.result_type(*strong or [aval.dtype for aval in self.avals] or [float])


def closed(operands: Sequence[Any], params: dict[str, Any]) -> Closed:
    """What is known of a call without its values."""
    weak = params.get(WEAK, ())
    statics = {key: value for key, value in params.items() if key != WEAK}
    avals = tuple([Aval(x.shape, x.dtype, i in weak) for i, x in enumerate(operands)])
    return Closed(avals, identity(statics))


def plain(operands: Sequence[Any], call: Closed) -> list[Any]:
    """Operands as the user's function would get them outside a trace: Python numbers, NumPy scalars, arrays."""
    return [
        np.asarray(x).item() if aval.weak else x[()] if x.shape == () else x
        for x, aval in zip(operands, call.avals, strict=True)
    ]


def applied(tape: Tape, operands: Sequence[Any]) -> list[Any]:
    """A tape without constants on arrays, or recorded where the operands are traced."""
    fitting = [
        x if x.dtype == tape.avals[n].dtype else REGISTRY["cast"](x, dtype=tape.avals[n].dtype.str)
        for x, n in zip(operands, tape.inputs, strict=True)
    ]
    if not any(isinstance(x, Traced) for x in fitting):
        return tape.evaluate(fitting)
    builder = innermost(fitting)
    values = inline(builder, tape, [builder.lift(x) for x in fitting])
    return [values[number] for number in tape.outputs]


# ---------------------------------------------------------------------------- what a function or rule returns


def one_output(definition: Definition, result: Any) -> Any:
    """The result of the user's function, which is one array or number."""
    if not isinstance(result, Traced | np.ndarray | np.generic | int | float | complex):
        what = "None" if result is None else f"a {type(result).__name__}"
        raise RuleError(
            f"the primitive `{definition.name}` returned {what}, and a primitive has one array or number as its "
            "result; join several with np.concatenate or np.stack and take them apart outside"
        )
    return result


def part(definition: Definition, rule: str, owner: str, value: Any, like: Aval, widest: np.dtype) -> Any:
    """A tangent or cotangent as it must be: of the shape of what it belongs to, and cast where NumPy promoted."""
    if value is None or (type(value) in (int, float) and value == 0):
        return None
    weak = type(value) in (int, float, complex) or (isinstance(value, Traced) and value.weak)
    if not isinstance(value, Traced):
        value = np.asarray(value)
    start = f"the {rule} rule of the primitive `{definition.name}` returned for {owner}, which is {show(like)},"
    if value.shape != like.shape:
        raise RuleError(
            f"{start} an array of shape {value.shape}; sum over the axes that were broadcast, or return None for zeros"
        )
    kind = value.dtype.kind
    if weak or value.dtype == like.dtype:
        pass
    elif kind == "c" and like.dtype.kind == "f" and widest.kind == "c":
        value = REGISTRY["real"](value)
    elif kind not in "fc" or not np.can_cast(value.dtype, np.result_type(widest, like.dtype)):
        raise RuleError(
            f"{start} an array of dtype {value.dtype}, a precision that no operand has; give it {like.dtype} (an array "
            "made in the rule takes the dtype of an operand)"
        )
    return value if value.dtype == like.dtype else REGISTRY["cast"](value, dtype=like.dtype.str)


def cotangents(definition: Definition, given: Any, call: Closed, widest: np.dtype) -> list[Any]:
    """What a vjp rule returned, one per positional argument; ``None`` for zeros and for what is no float."""
    if not isinstance(given, tuple | list):
        raise RuleError(
            f"the vjp rule of the primitive `{definition.name}` is to return a tuple of {len(call.avals)} cotangents, "
            f"one per positional argument, and returned a {type(given).__name__}"
        )
    if len(given) != len(call.avals):
        raise RuleError(
            f"the vjp rule of the primitive `{definition.name}` returned {len(given)} cotangents for "
            f"{len(call.avals)} positional arguments; return None for those that have none"
        )
    return [
        part(definition, "vjp", f"`{definition.argument(i)}`", value, aval, widest) if aval.dtype.kind in "fc" else None
        for i, (value, aval) in enumerate(zip(given, call.avals, strict=True))
    ]


def computed(definition: Definition, values: list[Any], call: Closed, expected: Aval) -> Any:
    """The user's function on plain values, its result held against the shape rule."""
    result = np.asarray(one_output(definition, definition.function(*values, **call.params)))
    if (result.shape, result.dtype) != (expected.shape, expected.dtype):
        raise RuleError(
            f"the primitive `{definition.name}` returned {show(Aval(result.shape, result.dtype))} and its shape rule "
            f"says {show(expected)}; both depend on shapes, dtypes and metadata alone"
        )
    return result
