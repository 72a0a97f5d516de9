"""Which elements of a cotangent come back through a branch that was taken.

``np.where(x > 0, np.log(x), 0.0)`` does not depend on the logarithm where ``x`` is 0, yet its pullback there is 0 times
infinity.  So reverse mode remembers, for a value that was read by ``where`` or by an index only, which elements were
taken, and gives the others the cotangent 0 instead of the product.  It goes by the condition, never by a cotangent
that happens to be 0: what is 0 times infinity without a condition stays NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..primitives.record import REGISTRY, Primitive, unbroadcast


class Mask:
    """The elements of a value that were taken: found when asked for, and once.

    A value that two readers share is asked for by both, so that without a memory a chain of such values would ask twice
    as often with every link; and a chain may be longer than Python's stack is deep.
    """

    __slots__ = ("find", "found", "made_of")

    def __init__(self, find: Callable[[], Any], *made_of: Mask | None) -> None:
        self.find: Callable[[], Any] | None = find
        self.found: Any = None
        self.made_of = [mask for mask in made_of if mask is not None]  # those that ``find`` asks

    def __call__(self) -> Any:
        waiting = [self]
        while waiting:
            mask = waiting[-1]
            missing = [] if mask.find is None else [other for other in mask.made_of if other.find is not None]
            if mask.find is not None and not missing:
                mask.found, mask.find, mask.made_of = mask.find(), None, []
            waiting += missing
            if not missing:
                waiting.pop()
        return self.found


# Slopes that are finite whatever the operands are: nothing to hide, and the mask goes on to the operands.
FINITE = frozenset({"add", "subtract", "negative", "copy", "cast"})
# Moves and sums, whose pullback does with a mask what it does with a cotangent.
CARRIED = frozenset({"reshape", "transpose", "sum"})
# What is not read has no say either: log(x)[1:] does not depend on log(x[0]).
SELECTING = frozenset({"slice", "gather"})
# Element by element, with parameters.
ELEMENTWISE = frozenset({"integer_power", "sinc", "polygamma"})


def pulled_back(
    primitive: Primitive,
    cotangent: Any,
    taken: Mask | None,
    out: Any,
    operands: list[Any],
    wanted: tuple[bool, ...],
    literal: tuple[bool, ...],
    params: dict[str, Any],
) -> list[tuple[Any, Mask | None]]:
    """The contribution of an equation to the cotangent of each operand, and the elements of it that were taken.

    Args:
        primitive: with a VJP rule.
        cotangent: of the output.
        taken: gives the elements of the output that were taken, or ``None`` for all.
        out: the output.
        operands: the operands.
        wanted: which of them need a cotangent.
        literal: which of them are numbers of the function's text.
        params: of the equation.
    """
    rule: Any = primitive.vjp
    if primitive.name == "where":
        parts = rule(cotangent, out, *operands, wanted=wanted, **params)
        chosen = (None, _both(taken, lambda: operands[0]), _both(taken, lambda: np.logical_not(operands[0])))
        return [(part, _same_shape(mask, x, out)) for part, mask, x in zip(parts, chosen, operands, strict=True)]
    if primitive.name in SELECTING:
        parts = rule(cotangent, out, *operands, wanted=wanted, **params)

        def read() -> Any:
            ones = REGISTRY["zeros_like"](out) + 1.0
            kept = ones if taken is None else REGISTRY["where"](taken(), ones, 0.0)
            return rule(kept, out, *operands, wanted=wanted, **params)[0] > 0.0

        return [(part, Mask(read, taken) if k == 0 and part is not None else None) for k, part in enumerate(parts)]
    if taken is None or _scales(primitive, literal) or primitive.name in FINITE:
        parts = rule(cotangent, out, *operands, wanted=wanted, **params)
        return [(part, _same_shape(taken, x, out)) for part, x in zip(parts, operands, strict=True)]
    if primitive.name in CARRIED:
        parts = rule(cotangent, out, *operands, wanted=wanted, **params)
        return [(parts[0], Mask(lambda: rule(taken(), out, *operands, wanted=wanted, **params)[0], taken))]
    if primitive.kind != "elementwise" and primitive.name not in ELEMENTWISE:
        parts = rule(cotangent, out, *operands, wanted=wanted, **params)
        return [(part, None) for part in parts]
    # Broadcast first, so that what was not taken is dropped before it is summed.
    whole = [x if x.shape == out.shape else REGISTRY["broadcast_to"](x, shape=out.shape) for x in operands]
    parts = rule(cotangent, out, *whole, wanted=wanted, **params)
    mask = taken()
    return [
        (None if part is None else unbroadcast(REGISTRY["where"](mask, part, 0.0), x.shape), _same_shape(taken, x, out))
        for part, x in zip(parts, operands, strict=True)
    ]


def together(one: Mask | None, other: Mask | None) -> Mask | None:
    """The elements taken by either of two readers of a value."""
    if one is None or other is None:
        return None
    return one if one is other else Mask(lambda: np.logical_or(one(), other()), one, other)


def _scales(primitive: Primitive, literal: tuple[bool, ...]) -> bool:
    """Whether it is a product with, or a quotient by, a number of the function's text."""
    return (primitive.name == "multiply" and any(literal)) or (primitive.name == "divide" and literal[1])


def _both(taken: Mask | None, condition: Callable[[], Any]) -> Mask:
    return Mask(condition if taken is None else lambda: np.logical_and(taken(), condition()), taken)


def _same_shape(mask: Mask | None, operand: Any, out: Any) -> Mask | None:
    """A mask for an operand; what was broadcast has been summed, and has none."""
    if mask is None or operand.shape != out.shape:
        return None

    def shaped() -> Any:
        found = mask()
        return found if found.shape == out.shape else REGISTRY["broadcast_to"](found, shape=out.shape)

    return Mask(shaped, mask)
