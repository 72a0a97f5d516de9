"""How an equation is put to NumPy: the same arithmetic in shapes in which its loops are long and start soon.

NumPy runs an element-wise call over arrays of equal shape as one loop; where it must broadcast, it sets up an iterator
and starts a loop for every row.  Contiguous values may be looked at in any shape without a copy, so axes of length one
are dropped, and a row that is too short to be worth starting a loop is repeated.  None of this changes a bit.  Sums
over the first or the last axes are products with a vector of ones: a choice of the plan that rounds in another order.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..primitives.record import OUT, Aval, Call, Operand
from .plan import Plan

SHORT_ROW = 64
"""Rows of fewer elements are worth repeating: starting a loop costs as much as some tens of additions (measured)."""
LONG_ROW = 1024
"""A repeated row has at most so many elements: it is to stay in the nearest cache."""
MANY = 4096
"""Results of fewer elements are not worth the copy of a row."""

SUM_BY_PRODUCT = 256
"""At least so many elements are summed as a matrix-vector product (a choice of the plan, noted in stats)."""


class Seen(NamedTuple):
    """A contiguous value of set-up in another shape."""

    number: int
    shape: tuple[int, ...]


class Scratch(NamedTuple):
    """Room for a repeated row, which is filled right before it is read: equations of equal shapes share it."""

    shape: tuple[int, ...]
    dtype: np.dtype


class Quiet(NamedTuple):
    """Stands for what runs a function in a context of its own, in which floating-point warnings are off."""


Provided = int | Seen | Scratch | Quiet
"""What set-up provides: a value by its number, or one of the others."""


class Row(NamedTuple):
    """A call, the shapes in which it sees its operands (or the names of what stands for them) and fills its result.

    ``fresh``: without a buffer to fill, it makes exactly the result.
    """

    call: Call
    shapes: tuple[Any, ...]
    result: tuple[int, ...]
    fresh: bool = False


def set_up_value(key: Seen | Scratch | Quiet, values: Mapping[int, Any], scratch: dict[Scratch, Any]) -> Any:
    """What set-up provides beside the values themselves."""
    if isinstance(key, Quiet):
        context = contextvars.Context()
        context.run(np.seterr, all="ignore")
        return context.run
    if isinstance(key, Scratch):  # one for all functions of a long program, which run in turn
        return scratch.setdefault(key, np.empty(key.shape, key.dtype))
    return values[key.number].reshape(key.shape)


def _plain(call: Call) -> bool:
    """Whether a call is a ufunc of its operands and a buffer, with nothing else."""
    return (
        isinstance(call.function, np.ufunc)
        and call.function.signature is None
        and all(isinstance(argument, Operand) or argument is OUT for argument in call.arguments)
    )


def equal_shapes(plan: Plan, call: Call, operands: tuple[int, ...], output: int) -> Row | None:
    """The call without axes of length one, if it then need not broadcast anything but single numbers."""
    avals = plan.tape.avals
    out = avals[output].shape
    if not _plain(call) or all(avals[number].shape in (out, ()) for number in operands):
        return None
    core = tuple([size for size in out if size != 1])
    shapes = []
    for number in operands:
        aval = avals[number]
        own = () if aval.size == 1 else tuple([size for size in aval.shape if size != 1])
        if own not in ((), core) or (own != aval.shape and not plan.contiguous.get(number, False)):
            return None
        shapes.append(own)
    return Row(call, tuple(shapes), core)


def long_rows(plan: Plan, call: Call, operands: tuple[int, ...], output: int) -> tuple[int, int, Row] | None:
    """Which operand is a short row to be repeated, how often, and the shapes of the call; ``None`` where none is."""
    avals = plan.tape.avals
    out = avals[output]
    if not _plain(call) or len(operands) != 2 or out.ndim < 2 or out.size < MANY or out.shape[-1] >= SHORT_ROW:
        return None
    width = out.shape[-1]
    rows = [position for position, number in enumerate(operands) if avals[number].shape in ((width,), (1, width))]
    others = [number for position, number in enumerate(operands) if position not in rows]
    if len(rows) != 1 or width == 1 or avals[others[0]].shape != out.shape:
        return None
    if not plan.contiguous.get(others[0], False):
        return None
    count = out.size // width
    repeats = max(k for k in range(1, LONG_ROW // width + 1) if count % k == 0)
    if repeats * width < SHORT_ROW:
        return None
    shape = (count // repeats, repeats, width)
    return rows[0], repeats, Row(call, (shape, shape), shape)


def plane_of(aval: Aval, axes: tuple[int, ...], quiet: bool) -> tuple[int, int] | None:
    """A contiguous array as a plane whose columns or rows a sum adds, where a product with ones is to do it.

    Args:
        aval: what is summed.
        axes: over which axes.
        quiet: an equation of a derivative, which may use the product that looks for no warnings.
    """
    kept = aval.ndim - len(axes)
    if not axes or not kept or aval.dtype.kind != "f" or aval.dtype.itemsize < 4:
        return None
    if aval.size < (1 if quiet and aval.ndim == 2 else SUM_BY_PRODUCT):
        return None
    if axes == tuple(range(len(axes))):
        return math.prod(aval.shape[: len(axes)]), math.prod(aval.shape[len(axes) :])
    if axes == tuple(range(kept, aval.ndim)):
        return math.prod(aval.shape[:kept]), math.prod(aval.shape[kept:])
    return None


def summed(
    aval: Aval, axes: tuple[int, ...], out: Aval, ones: Callable[[int, np.dtype], np.ndarray], quiet: bool
) -> Row | None:
    """A sum over the first or the last axes of a contiguous array as a product of a plane with ones."""
    plane = plane_of(aval, axes, quiet)
    if plane is None:
        return None
    function = np.dot if quiet else np.matmul
    if axes[0] == 0:
        call = Call(function, (ones(plane[0], aval.dtype), Operand(0), OUT))
        return Row(call, (plane,), (plane[1],), fresh=out.ndim == 1)
    call = Call(function, (Operand(0), ones(plane[1], aval.dtype), OUT))
    return Row(call, (plane,), (plane[0],), fresh=out.ndim == 1)
