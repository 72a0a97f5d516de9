"""Groups of a tape as kernels that CuPy compiles, launched on arrays that exist already.

CuPy keeps what it has compiled by the text and the types, in memory and on disk; names count from 0 in every kernel,
so that layers which compute the same share one.  It also indexes with 64 bits where an array needs it, and launches
nothing for an empty one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ...tape import Tape
from .fusion import Group
from .reductions import reduction_kernel as reduction_kernel
from .texts import OPTIONS, elements_text


def element_kernel(xp: Any, tape: Tape, group: Group) -> Callable[..., Any]:
    """The kernel of a group of element-wise equations.

    Args:
        xp: ``cupy``.
        tape: where the group comes from.
        group: of kind ``"elements"``.

    Returns:
        ``launch(*inputs, *outputs)``: one launch on arrays on the device, the group's inputs of any strides and of
        shapes that broadcast to its shape, its outputs of its shape; an output may lie where an input lies that has
        the same elements at the same places.

    Example:
        >>> element_kernel(cupy, tape, group)(x, out)  # doctest: +SKIP
    """
    text = elements_text(tape, group)
    kernel = xp.ElementwiseKernel(
        text.inputs,
        text.outputs,
        "\n".join(text.lines),
        text.name,
        preamble=text.before,
        no_return=True,
        options=OPTIONS,
    )
    return functools.partial(_launched, kernel, group.shape)


def _launched(kernel: Any, shape: tuple[int, ...], *arrays: Any) -> None:
    """One launch; where all arrays are whole or single numbers, as a loop over one axis, without divisions."""
    if len(shape) > 1 and all([array.size == 1 or _whole(array, shape) for array in arrays]):
        arrays = tuple([array.reshape(() if array.size == 1 else -1) for array in arrays])
    kernel(*arrays)


def _whole(array: Any, shape: tuple[int, ...]) -> bool:
    return array.shape == shape and array.flags.c_contiguous
