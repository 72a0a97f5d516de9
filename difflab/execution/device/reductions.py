"""Sums, products and extremes as kernels, each together with the element-wise equations that feed it.

CuPy's reductions give one block of threads to some outputs.  Where few outputs gather many elements, only few blocks
would work: the elements are then parted, reduced side by side, and the parts reduced by a second launch.  Both orders
of summation are fixed, so that a program gives the same bits every time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...primitives.record import Aval
from ...tape import Tape
from .fusion import Group
from .language import REDUCTIONS, Reduction, computed, preamble, typed
from .texts import OPTIONS, assignments, kernel_name, parameters

BLOCK = 512
"""Threads of a block in CuPy's reductions."""
SIDE_BY_SIDE = 32
"""Neighbouring outputs that one block serves at most, so that it reads whole lines of memory."""
BLOCKS = 528
"""Blocks that keep a GPU busy: four on each of 132 multiprocessors, as an H200 has them.  Not asked of the device, so
that a sum is added in the same order on every GPU."""
PATIENCE = 16
"""Elements that one thread goes through by itself: each costs some tenths of a microsecond, which no other hides where
blocks are few, and a second launch costs a few microseconds."""
UNREAD = np.dtype("float32")
"""Of the number that a kernel is given where it reads nothing, for CuPy takes the loop's shape from its operands."""


class Parts(NamedTuple):
    """``count`` parts of ``length`` elements along ``axis``, and ``rest`` elements behind them."""

    axis: int
    count: int
    length: int
    rest: int


def parted(shape: tuple[int, ...], axes: tuple[int, ...]) -> Parts | None:
    """Into how many parts a reduction goes.

    Args:
        shape: of what is reduced.
        axes: which are reduced.

    Returns:
        The parts of one of the axes; ``None`` where one launch does it all.

    Example:
        >>> parted((1000, 1000), (1,)), parted((1_000_000,), (0,))
        (None, Parts(axis=0, count=123, length=8130, rest=10))
    """
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    outputs = math.prod([shape[axis] for axis in kept])
    each = math.prod(shape) // max(outputs, 1)
    neighbours = math.prod(shape[max(axes) + 1 :])  # outputs that lie side by side, as CuPy counts them
    together = max(min(neighbours, SIDE_BY_SIDE), BLOCK // max(each, 1), 1)
    together = 1 << (together.bit_length() - 1)
    blocks = -(-outputs // together)
    steps = each * together // BLOCK
    if outputs == 0 or blocks >= BLOCKS or steps <= PATIENCE:
        return None
    wanted = min(-(-BLOCKS // blocks), -(-steps // PATIENCE))
    axis = next((axis for axis in axes if shape[axis] >= wanted), max(axes, key=lambda axis: shape[axis]))
    count = min(wanted, shape[axis])
    if count < 2:
        return None
    length = shape[axis] // count
    return Parts(axis, count, length, shape[axis] - count * length)


def reduction_kernel(xp: Any, tape: Tape, group: Group) -> Callable[..., Any]:
    """The kernel of a reduction together with the element-wise equations that feed it.

    Args:
        xp: ``cupy``.
        tape: where the group comes from.
        group: of kind ``"reduction"``.

    Returns:
        ``launch(*inputs, output)`` on arrays on the device.  What the parts of a long reduction come to is kept in an
        array of the kernel's own, made here, so that nothing is allocated later: launch it in one stream at a time.

    Example:
        >>> reduction_kernel(cupy, tape, group)(x, out)  # doctest: +SKIP
    """
    last = tape.equations[group.positions[-1]]
    rule, out = REDUCTIONS[last.primitive.name], tape.avals[last.output]
    count, parts = max(len(group.inputs), 1), parted(group.shape, group.axes)
    held = Aval((), np.dtype(np.float32) if out.dtype == np.float16 else out.dtype)
    first = _fused(xp, tape, group, rule, out if parts is None else held)

    def whole(*arrays: Any) -> None:
        first(*[xp.broadcast_to(array, group.shape) for array in arrays[:count]], arrays[count], axis=group.axes)

    if parts is None:
        return _given(xp, group, whole)
    second = _plain(xp, rule, held, out, f"{kernel_name(tape, group.positions[-1:])}_of_parts")
    partial = xp.empty((parts.count + (parts.rest > 0), *out.shape), held.dtype)

    shifted = tuple([axis + 1 for axis in group.axes])

    def in_parts(*arrays: Any) -> None:
        inputs = [xp.broadcast_to(array, group.shape) for array in arrays[:count]]
        first(*[_split(xp, one, parts.axis, parts.length, parts.count) for one in inputs],
              partial[: parts.count], axis=shifted)  # fmt: skip
        if parts.rest:
            behind = (slice(None),) * parts.axis + (slice(parts.count * parts.length, None),)
            first(*[_split(xp, one[behind], parts.axis, parts.rest, 1) for one in inputs],
                  partial[parts.count :], axis=shifted)  # fmt: skip
        second(partial, arrays[count], axis=(0,))

    return _given(xp, group, in_parts)


def _given(xp: Any, group: Group, launch: Callable[..., Any]) -> Callable[..., Any]:
    """A launch that is given something to go through where its elements, as those of ``x**0``, read no array."""
    return launch if group.inputs else functools.partial(launch, xp.zeros((), UNREAD))


def _split(xp: Any, array: Any, axis: int, length: int, count: int) -> Any:
    """A view with ``count`` pieces of an axis side by side on a leading one."""
    shape, strides = list(array.shape), array.strides
    shape[axis] = length
    return xp.lib.stride_tricks.as_strided(array, (count, *shape), (strides[axis] * length, *strides))


def _fused(xp: Any, tape: Tape, group: Group, rule: Reduction, out: Aval) -> Any:
    """The first launch: elements by a function of their own, one line per equation."""
    last = tape.equations[group.positions[-1]]
    names, lines = assignments(tape, group, group.positions[:-1])
    value = names[group.sources.get(last.inputs[0], last.inputs[0])]
    dtypes = [tape.avals[number].dtype for number in group.inputs] or [UNREAD]
    arguments = ", ".join([f"{typed(dtype)} x{at}" for at, dtype in enumerate(dtypes)])
    held = computed(tape.avals[last.output].dtype)
    function = [f"__device__ inline {held} element({arguments}) {{", *[f"  {line}" for line in lines]]
    return _kernel(
        xp,
        parameters(tape, group.inputs, "x") or f"{UNREAD.name} x0",
        "\n".join([*function, f"  return {value};", "}"]),
        len(dtypes),
        rule,
        tape.avals[last.output].dtype,
        out.dtype,
        kernel_name(tape, group.positions),
    )


def _plain(xp: Any, rule: Reduction, held: Aval, out: Aval, name: str) -> Any:
    """The second launch."""
    kind = typed(held.dtype)
    function = f"__device__ inline {kind} element({kind} x0) {{\n  return x0;\n}}"
    return _kernel(xp, f"{held.dtype.name} x0", function, 1, rule, out.dtype, out.dtype, name)


def _kernel(
    xp: Any, inputs: str, function: str, count: int, rule: Reduction, dtype: np.dtype, out: np.dtype, name: str
) -> Any:
    """A kernel of CuPy; it is given its only input twice.

    CuPy hands a reduction of one input to CUB, where it finds a compiler: without our options, which keep products
    apart from sums, and with memory of its own, which is freed while a captured graph still writes to it.
    """
    begin, held = rule.start(dtype), computed(dtype)
    before = preamble(function, rule.combine, begin, held)
    again = f", {inputs.rpartition(' ')[0]} again" if count == 1 else ""
    kernel = xp.ReductionKernel(
        f"{inputs}{again}",
        f"{out.name} r0",
        f"element({', '.join([f'x{at}' for at in range(count)])})",
        rule.combine,
        "r0 = a",
        begin,
        name,
        reduce_type=held,
        preamble=f"{before}\n{function}".strip(),
        options=OPTIONS,
    )
    return kernel if count > 1 else lambda only, out, axis: kernel(only, only, out, axis=axis)
