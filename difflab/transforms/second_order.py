"""Second order and whole Jacobians as tapes, by composition: forward over reverse, forward over forward, batches.

A Hessian times a vector is the tangent of a gradient (Pearlmutter, 1994): forward mode over reverse mode, a small
multiple of one gradient whatever the number of variables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import numpy_functions  # noqa: F401 (fills the table of NumPy functions)
from ..builder import Builder
from ..primitives.complexes import block_dtype
from ..primitives.record import Aval
from ..tape import Tape
from . import forward, reverse
from .batch import batch
from .coordinates import Coordinates
from .inline import inline, inputs_like, transform_builder
from .simplify import simplify

Tidy = Callable[[Tape], Tape]


def hvp(tape: Tape, wrt: Sequence[int], *, tidy: Tidy = simplify) -> Tape:
    """The tape of Hessian-vector products, forward over reverse.

    Args:
        tape: a function with one scalar output.
        wrt: positions of the inputs to differentiate.
        tidy: what shortens the tapes on the way; exact arithmetic wants them as they are, for folding rounds.

    Returns:
        A tape with one more input per entry of ``wrt`` (the vector) whose outputs are one product per entry.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> cube = trace_leaves(lambda leaves: [np.sum(leaves[0] ** 3)], [np.ones(2)])
        >>> hvp(cube, (0,)).evaluate([np.array([1.0, 2.0]), np.array([1.0, 10.0])])[0]
        array([  6., 120.])
    """
    once = tidy(reverse.gradient(tape, wrt))
    twice = forward.jvp(once, wrt)
    return replace(twice, outputs=twice.outputs[len(once.outputs) + 1 :])


def curvature(tape: Tape, wrt: Sequence[int]) -> Tape:
    """The tape of second derivatives along two directions, forward over forward.

    Args:
        tape: any function.
        wrt: positions of the inputs to differentiate.

    Returns:
        A tape with two more inputs per entry of ``wrt`` (the one vector, then the other) that gives, per output of
        ``tape``, its second derivative along both.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> product = trace_leaves(lambda leaves: [leaves[0] * leaves[1]], [2.0, 3.0])
        >>> float(curvature(product, (0, 1)).evaluate([2.0, 3.0, *map(np.array, (1.0, 0.0, 0.0, 5.0))])[0])
        5.0
    """
    once = simplify(forward.jvp(tape, wrt))
    twice = forward.jvp(once, wrt)
    count = len(tape.outputs)
    return replace(twice, outputs=twice.outputs[3 * count :])


def avals_of(tape: Tape, wrt: Sequence[int]) -> list[Aval]:
    """Shapes and dtypes of the inputs to differentiate."""
    return [tape.avals[tape.inputs[position]] for position in wrt]


def outputs_of(tape: Tape) -> list[Aval]:
    """Shapes and dtypes of the outputs."""
    return [tape.avals[number] for number in tape.outputs]


def jacobian(tape: Tape, wrt: Sequence[int], *, by: str, tidy: Tidy = simplify) -> Tape:
    """The tape of the outputs and the blocks of the Jacobian, row by row, all columns or all rows in one batch.

    Args:
        tape: any function.
        wrt: positions of the inputs to differentiate.
        by: "tangents" (one lane per coordinate of the inputs) or "cotangents" (one per coordinate of the outputs).
        tidy: as for ``hvp``.

    Returns:
        A tape with the same inputs whose outputs are those of ``tape`` and then block ``(o, i)`` of shape
        out + in for every output and every entry of ``wrt``.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> squares = trace_leaves(lambda leaves: [leaves[0] ** 2], [np.ones(2)])
        >>> jacobian(squares, (0,), by="tangents").evaluate([np.array([3.0, 4.0])])[1]
        array([[6., 0.],
               [0., 8.]])
    """
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    variables, outs = avals_of(tape, wrt), outputs_of(tape)
    if by == "tangents":
        coordinates = Coordinates(variables, imaginary=needs_both(variables, outs))
        whole, derived = forward.jvp(tape, wrt), len(outs)
    else:
        coordinates = Coordinates(outs, imaginary=needs_both(outs, variables))
        whole, derived = reverse.vjp(tape, wrt), len(wrt)
    if coordinates.count:
        seeds = [builder.constant(unit) for unit in coordinates.units(0, coordinates.count)]
        flags = [False] * len(operands) + [True] * len(seeds)
        single = tuple(range(len(outs)))
        lanes = batch(tidy(whole), flags, coordinates.count, single=single)
        values = inline(builder, lanes, [*operands, *seeds])
        results = [values[number] for number in lanes.outputs]
    else:
        values = inline(builder, tape, operands)
        results = [values[number] for number in tape.outputs] + [None] * derived
    table = Table(builder, outs, variables, coordinates, by=by)
    return builder.finish([*results[: len(outs)], *table.blocks(results[len(outs) :])])


def hessian(tape: Tape, wrt: Sequence[int], *, by: str, tidy: Tidy = simplify) -> Tape:
    """The tape of the blocks of the Hessian, row by row.

    Args:
        tape: a function with one scalar output.
        wrt: positions of the inputs to differentiate.
        by: "products" (forward over reverse along all units) or "tangents" (forward over forward, no pullback).
        tidy: as for ``hvp``.

    Returns:
        A tape with the same inputs whose outputs are block ``(i, j)`` of shape in_i + in_j for every two of ``wrt``.

    Example:
        >>> import numpy as np
        >>> from difflab.tracing import trace_leaves
        >>> product = trace_leaves(lambda leaves: [leaves[0] * leaves[1]], [2.0, 3.0])
        >>> [float(block) for block in hessian(product, (0, 1), by="products").evaluate([2.0, 3.0])]
        [0.0, 1.0, 1.0, 0.0]
    """
    if by == "products":
        slopes = tidy(reverse.gradient(tape, wrt))
    else:
        slopes = tidy(jacobian(tape, wrt, by="tangents", tidy=tidy))
    slopes = replace(slopes, outputs=slopes.outputs[1:])
    columns = tidy(jacobian(slopes, wrt, by="tangents", tidy=tidy))
    return replace(columns, outputs=columns.outputs[len(wrt) :])


def needs_both(moved: Sequence[Aval], read: Sequence[Aval]) -> bool:
    """Whether complex values must be moved along 1 and along i: what is read of them may be real."""
    return any(aval.dtype.kind == "c" for aval in moved) and any(aval.dtype.kind == "f" for aval in read)


class Table:
    """The blocks of a Jacobian on a tape, from lanes that are its columns ("tangents") or its rows ("cotangents").

    ``coordinates`` are the directions of the lanes: of the variables for tangents, of the outputs for cotangents.
    """

    def __init__(
        self, builder: Builder, outs: Sequence[Aval], variables: Sequence[Aval], coordinates: Coordinates, *, by: str
    ):
        self.builder = builder
        self.outs = outs
        self.variables = variables
        self.coordinates = coordinates
        self.by_columns = by == "tangents"

    def blocks(self, lanes: Sequence[Any]) -> list[Any]:
        """All blocks row by row; ``lanes``: tangents per output, or cotangents per variable."""
        found = []
        for o, out in enumerate(self.outs):
            for i, variable in enumerate(self.variables):
                moved, read = (i, o) if self.by_columns else (o, i)
                found.append(self.block(lanes[read], moved, out, variable))
        return found

    def block(self, lanes: Any, moved: int, out: Aval, variable: Aval) -> Any:
        """One block: its lanes cut out, the lane axis brought to its place, in the dtype of its variable."""
        dtype = block_dtype(out, variable)
        group = self.coordinates.groups[self.coordinates.places[moved].group]
        shape = (*out.shape, *variable.shape)
        if not group.units or 0 in shape or variable.dtype.kind not in "fc" or out.dtype.kind not in "fc":
            return self.builder.constant(np.zeros(shape, dtype))
        read = out if self.by_columns else variable
        value = self._part(lanes, moved, 0)
        if group.units == 2 and read.dtype.kind == "f":
            # Along 1 and i: df/dRe - i df/dIm of a variable; of a real part pulled back, g(1) - i g(i).
            value = value - 1j * self._part(lanes, moved, 1)
        if self.by_columns:
            axes = range(1, len(value.shape))
            value = np.transpose(value, (*axes, 0))
        value = np.reshape(value, shape)
        return value if value.dtype == dtype else value.astype(dtype)

    def _part(self, lanes: Any, moved: int, unit: int) -> Any:
        place = self.coordinates.places[moved]
        group = self.coordinates.groups[place.group]
        first = group.first + unit * group.size
        return lanes[first + place.start : first + place.stop]
