"""Which rule is wrong: every equation of a tape by itself, its pullback in balls against its power series.

An equation with operands ``x(t)`` and result ``y(t)``, power series along a line, must satisfy
``u y' = sum of pullback(u) x'`` for any cotangent ``u``, whatever the rules of the other equations are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..primitives.record import Aval, Primitive
from ..tape import Equation, Tape
from ..transforms import reverse
from .arithmetic import evaluate
from .balls import Balls, ball
from .series import along, coefficients_of, values_of


def first_fault(
    tape: Tape,
    leaves: Sequence[Any],
    wrt: Sequence[int],
    direction: Sequence[Any],
    bits: int,
    provenance: bool = False,
    trusting: bool = False,
) -> str | None:
    """The first equation whose rule and power series exclude each other, in words; ``None`` if all agree.

    Args:
        tape: the loss.
        leaves: its inputs.
        wrt: the inputs that move.
        direction: one array per input that moves.
        bits: working precision.
        provenance: as for ``series.along``.
        trusting: as for ``series.along``.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> tape = trace_leaves(lambda leaves: [np.exp(leaves[0])], [np.ones(2)])
        >>> first_fault(tape, [np.ones(2)], (0,), [np.array([0.5, 2.0])], 160) is None
        True
    """
    faults: list[str] = []
    position = 0

    def after(primitive: Primitive, arrays: Sequence[Any], params: Mapping[str, Any], result: Any) -> Any:
        nonlocal position
        if not faults and (text := _fault(primitive, arrays, params, result)):
            faults.append(f"the first rule at fault is that of `{primitive.name}` (equation {position}: {text})")
        position += 1
        return result

    along(tape, leaves, wrt, direction, 1, bits, provenance=provenance, trusting=trusting, watch=after)
    return faults[0] if faults else None


def _fault(primitive: Primitive, arrays: Sequence[Any], params: Mapping[str, Any], result: Any) -> str:
    """What the pullback of one equation gives where its power series gives something else."""
    moving = [k for k, array in enumerate(arrays) if array.dtype == object and coefficients_of(array) is not None]
    if result.dtype != object or not moving:
        return ""
    slope = coefficients_of(result)
    rng = np.random.default_rng(len(arrays))
    cotangent = rng.integers(1, 2**8, result.shape) / 2.0**8
    operands = [values_of(array) for array in arrays]
    tape = _single(primitive, operands, params)
    try:
        pulled = evaluate(reverse.vjp(tape, tuple(moving)), [*operands, cotangent], Balls())[1:]
    except Exception as error:  # whatever a wrong rule does is what this looks for
        return f"its pullback fails, {type(error).__name__}: {error}"
    expected = ball(0) if slope is None else _product(cotangent, slope)
    found = ball(0)
    for part, k in zip(pulled, moving, strict=True):
        found = found + _product(part, coefficients_of(arrays[k]))
    return "" if found.overlaps(expected) else f"{found.str(10)} instead of {expected.str(10)}"


def _single(primitive: Primitive, operands: Sequence[Any], params: Mapping[str, Any]) -> Tape:
    """A tape of one equation; balls count as float64."""
    avals = [Aval(x.shape, np.dtype(np.float64) if x.dtype == object else x.dtype) for x in operands]
    numbers = tuple(range(len(avals)))
    equation = Equation(primitive, numbers, dict(params), len(avals))
    avals.append(primitive.abstract(*avals, **params))
    return Tape(tuple(avals), numbers, {}, {}, (equation,), (len(numbers),))


def _product(numbers: Any, balls: Any) -> Any:
    """The sum of products, element by element."""
    pairs = zip(np.asarray(numbers).ravel().tolist(), np.asarray(balls).ravel().tolist(), strict=True)
    total = ball(0)
    for a, b in pairs:
        total = total + ball(a) * ball(b)
    return total
