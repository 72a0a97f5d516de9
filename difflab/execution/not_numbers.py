"""NaN in exact arithmetic: choices by the sign of an operand fall through to their last branch, which says nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

# Primitives whose exact rule chooses by the sign of the first operand: NumPy's answer to NaN is NaN.
BY_SIGN = frozenset({"absolute", "sign", "relu", "heaviside", "huber"})


def kept(arithmetic: Any, unlike_itself: Callable[[Any], Any]) -> Callable[..., Any]:
    """What ``evaluate`` calls after every equation so that NaN comes out of such choices.

    Args:
        arithmetic: the kind of number.
        unlike_itself: conditions under which the elements of an array are NaN.

    Returns:
        ``after(primitive, operands, params, result)``.
    """

    def after(primitive: Any, operands: Sequence[Any], params: Mapping[str, Any], result: Any) -> Any:
        if primitive.name not in BY_SIGN:
            return result
        conditions = unlike_itself(operands[0])
        if conditions.dtype == bool and not conditions.any():
            return result
        return arithmetic.select([conditions], [operands[0]], result)

    return after
