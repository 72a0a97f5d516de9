"""The complex step written out as a tape, for use inside another derivative: all coordinates in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..primitives.complexes import complex_of
from ..primitives.elementwise import stop_gradient
from ..primitives.record import REGISTRY, Aval
from ..tape import Tape
from ..transforms.batch import batch
from ..transforms.coordinates import Coordinates
from ..transforms.inline import inline, inputs_like, transform_builder
from ..transforms.second_order import Table, avals_of, outputs_of
from ..transforms.simplify import simplify
from .complex_quotients import SECOND, refuse_complex_variables, step_of
from .complexify import complexify
from .steps import unit_step
from .surroundings import unit_roundoff


def complex_tape(tape: Tape, operator: str, wrt: Sequence[int], step: str | float) -> Tape:
    """The tape of an operator's results by the complex step.

    Args:
        tape: the function.
        operator: any that the backend declares.
        wrt: positions of the inputs to differentiate.
        step: "auto" or a number.

    Returns:
        A tape with the inputs and outputs of the operator.

    Raises:
        UnsupportedError: a primitive or a variable that the complex step cannot take.

    Example:
        >>> from difflab.tracing import trace_leaves
        >>> square = trace_leaves(lambda leaves: [leaves[0] * leaves[0]], [1.0])
        >>> [float(out) for out in complex_tape(square, "gradient", (0,), "auto").evaluate([np.asarray(3.0)])]
        [9.0, 6.0]
    """
    variables, outs = avals_of(tape, wrt), outputs_of(tape)
    refuse_complex_variables(variables, [tape.names.get(tape.inputs[i], f"argument {i}") for i in wrt])
    if operator == "jvp":
        return pushed(tape, wrt, step)
    if operator == "hvp":
        return _product(tape, wrt, step)
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    values = inline(builder, tape, operands)
    outputs = [values[number] for number in tape.outputs]
    coordinates = Coordinates(variables)
    cotangents = [builder.input(out._replace(weak=False)) for out in outs] if operator == "vjp" else []
    slopes: list[Any] = [None] * len(outs)
    if coordinates.count:
        units = [builder.constant(unit) for unit in coordinates.units(0, coordinates.count)]
        flags = [False] * len(operands) + [True] * len(units)
        lanes = batch(simplify(pushed(tape, wrt, step)), flags, coordinates.count)
        moved = inline(builder, lanes, [*operands, *units])
        slopes = [moved[number] for number in lanes.outputs[len(outs) :]]
    if operator != "vjp":
        return builder.finish([*outputs, *Table(builder, outs, variables, coordinates, by="tangents").blocks(slopes)])
    total: Any = None
    for cotangent, slope, out in zip(cotangents, slopes, outs, strict=True):
        if slope is not None and out.dtype.kind == "f":
            product = cotangent * slope
            part = np.sum(product, axis=tuple(range(1, len(product.shape))))
            total = part if total is None else total + part
    real = Aval((), np.dtype(np.float64) if total is None else total.dtype)
    return builder.finish([*outputs, *Table(builder, [real], variables, coordinates, by="tangents").blocks([total])])


def pushed(tape: Tape, wrt: Sequence[int], step: str | float) -> Tape:
    """The tape of outputs and their tangents, one complex evaluation along one tangent per variable."""
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    tangents = [builder.input(aval._replace(weak=False)) for aval in avals_of(tape, wrt)]
    values = inline(builder, tape, operands)
    if builder.quiet_from is None:
        builder.quiet_from = len(builder.equations)
    beside = complexify(tape, wrt)
    h = step_of(beside, step)
    moved = list(operands)
    for position, tangent in zip(wrt, tangents, strict=True):
        x = operands[position]
        if x.dtype == np.float16:  # the step is nothing there
            x, tangent = (REGISTRY["cast"](part, dtype="<f4") for part in (x, tangent))
        moved[position] = complex_of(x, tangent * h)
    parts = inline(builder, beside, moved)
    found = []
    for number, old in zip(beside.outputs, tape.outputs, strict=True):
        part, dtype = parts[number], tape.avals[old].dtype
        slope = part / h if dtype.kind == "f" else part
        found.append(slope if slope.dtype == dtype else REGISTRY["cast"](slope, dtype=dtype.str))
    return builder.finish([*[values[number] for number in tape.outputs], *found])


def _product(tape: Tape, wrt: Sequence[int], step: str | float) -> Tape:
    """The Hessian times a vector: central differences of gradients along it."""
    whole = complex_tape(tape, "gradient", wrt, step)
    slopes = simplify(replace(whole, outputs=whole.outputs[1:]))
    builder = transform_builder()
    operands = inputs_like(builder, tape)
    vectors = [builder.input(aval._replace(weak=False)) for aval in avals_of(tape, wrt)]
    ratio: Any = None
    for position, vector in zip(wrt, vectors, strict=True):
        if 0 not in vector.shape:
            x = stop_gradient(operands[position])
            size = unit_step(unit_roundoff(x.dtype), SECOND, 1) * np.maximum(1, np.abs(x))
            here = np.max(np.abs(stop_gradient(vector)) / size)
            ratio = here if ratio is None else np.maximum(ratio, here)
    if ratio is None:
        return builder.finish(vectors)
    h = 1.0 / np.where(ratio == 0, 1.0, ratio)
    totals: list[Any] = [0.0] * len(vectors)
    for offset, weight in zip(SECOND.stencil.offsets, SECOND.stencil.weights, strict=True):
        moved = list(operands)
        for position, vector in zip(wrt, vectors, strict=True):
            moved[position] = moved[position] + float(offset) * (h * vector)
        values = inline(builder, slopes, moved)
        totals = [total + weight * values[number] for total, number in zip(totals, slopes.outputs, strict=True)]
    return builder.finish([total / (SECOND.stencil.scale * h) for total in totals])
