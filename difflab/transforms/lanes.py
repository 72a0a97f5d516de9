"""The primitive ``lanes``: another primitive run lane by lane, for those that have no batching rule.

Its derivatives are those of the inner primitive's rules, traced for one lane and batched; so a batched tape can be
differentiated and batched again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..arrays import as_array
from ..builder import aval_of
from ..primitives import REGISTRY, dependence
from ..primitives.batching import spread_lanes
from ..primitives.constructors import general
from ..primitives.record import OUT, Aval, Call, Operand, Traced
from ..primitives.values import device_value
from ..promotion import innermost
from .batch import batch
from .inline import inline, transform_builder
from .inner import options_of, record_of


def over_lanes(
    function: Callable[[list[Any]], Sequence[Any]], flags: Sequence[bool], size: int, operands: Sequence[Any]
) -> list[Any]:
    """What a function of one lane gives for all lanes; the operands are plain or traced, the results carry lanes."""
    builder = transform_builder()
    inputs = []
    for operand, flag in zip(operands, flags, strict=True):
        aval = aval_of(operand)
        inputs.append(builder.input(Aval(aval.shape[1:], aval.dtype) if flag else aval))
    tape = builder.finish([builder.lift(result) for result in function(inputs)])
    whole = batch(tape, flags, size)
    if not any(isinstance(operand, Traced) for operand in operands):
        return whole.evaluate(operands)
    outer = innermost(operands)
    values = inline(outer, whole, [outer.lift(operand) for operand in operands])
    return [values[number] for number in whole.outputs]


def of_one_lane(likes: Sequence[Any], flags: Sequence[bool]) -> list[Aval]:
    """Shapes and dtypes of what one lane sees."""
    return [Aval(x.shape[1:] if flag else x.shape, x.dtype) for x, flag in zip(likes, flags, strict=True)]


def evaluated(function: Callable, flags: Sequence[bool], size: int, arrays: Sequence[Any]) -> Any:
    """A function of plain arrays, lane by lane; on a GPU where the arrays are there."""
    rows = []
    for lane in range(size):
        operands = [array[lane, ...] if flag else array for array, flag in zip(arrays, flags, strict=True)]
        rows.append(as_array(function(*operands)))
    return np.stack(rows)


def pushed(
    rule: Callable, flags: Sequence[bool], size: int, tangents: Sequence[Any], y: Any, args: Sequence[Any]
) -> Any:
    """The tangents of all lanes by the JVP rule of one, ``rule(tangents, y, *args)``; ``None`` where it gives none."""
    moving = [position for position, tangent in enumerate(tangents) if tangent is not None]

    def one(values):
        given = dict(zip(moving, values, strict=False))
        tangent = rule(tuple([given.get(position) for position in range(len(args))]), *values[len(moving) :])
        return [] if tangent is None else [tangent]

    carried = [flags[position] for position in moving]
    found = over_lanes(one, (*carried, True, *flags), size, [*[tangents[p] for p in moving], y, *args])
    return found[0] if found else None


def pulled(rule: Callable, flags: Sequence[bool], size: int, cotangent: Any, y: Any, args: Sequence[Any]) -> tuple:
    """The cotangents of all lanes by the VJP rule of one, ``rule(cotangent, y, *args)``."""
    places: list[int] = []

    def one(values):
        parts = rule(*values)
        places.extend(position for position, part in enumerate(parts) if part is not None)
        return [parts[place] for place in places]

    result: list[Any] = [None] * len(args)
    found = over_lanes(one, (True, True, *flags), size, [cotangent, y, *args])
    for place, part in zip(places, found, strict=True):
        # What is the same for all lanes gets the sum of what each has for it.
        result[place] = part if flags[place] else REGISTRY["sum"](part, axes=(0,))
    return tuple(result)


# ------------------------------------------------------------------------------------ the primitive


def _evaluate(*arrays, inner, params, flags, size):
    return evaluated(partial(record_of(inner).evaluate, **options_of(params)), flags, size, arrays)


def _device(xp, *arrays, inner, params, flags, size):
    record, options = record_of(inner), options_of(params)
    return evaluated(lambda *operands: device_value(xp, record, operands, options), flags, size, arrays)


def _abstract(*avals, inner, params, flags, size):
    one = record_of(inner).abstract(*of_one_lane(avals, flags), **options_of(params))
    return Aval((size, *one.shape), one.dtype)


def _into(avals, *, inner, params, flags, size):
    primitive, options = record_of(inner), options_of(params)
    call = primitive.into(of_one_lane(avals, flags), **options) if primitive.into is not None else None

    def fill(*arrays):
        out = arrays[-1]
        for lane in range(size):
            operands = [array[lane, ...] if flag else array for array, flag in zip(arrays, flags, strict=False)]
            target = out[lane, ...]
            if call is None:
                target[...] = primitive.evaluate(*operands, **options)
                continue
            given = [operands[a.index] if isinstance(a, Operand) else target if a is OUT else a for a in call.arguments]
            if call.keyword:
                call.function(*given[:-1], out=target)
            else:
                call.function(*given)

    return Call(fill, (*map(Operand, range(len(avals))), OUT))


def _jvp(tangents, y, *args, inner, params, flags, size):
    rule = record_of(inner).jvp
    if rule is None:
        return None
    return pushed(partial(rule, **options_of(params)), flags, size, tangents, y, args)


def _vjp(cotangent, y, *args, wanted, inner, params, flags, size):
    rule = record_of(inner).vjp
    if rule is None:
        return (None,) * len(args)
    return pulled(partial(rule, wanted=wanted, **options_of(params)), flags, size, cotangent, y, args)


def _batch(many, outer, *operands, inner, params, flags, size):
    """Lanes of lanes are lanes: both axes become one."""
    merged = []
    for operand, flag, over in zip(operands, flags, outer, strict=True):
        if flag:
            operand = spread_lanes(many, over, operand)
        elif over and not flag:
            apart = REGISTRY["reshape"](operand, shape=(many, 1, *operand.shape[1:]))
            operand = REGISTRY["broadcast_to"](apart, shape=(many, size, *operand.shape[1:]))
        if flag or over:
            operand = REGISTRY["reshape"](operand, shape=(many * size, *operand.shape[2:]))
        merged.append(operand)
    either = tuple(flag or over for flag, over in zip(flags, outer, strict=True))
    result = lanes(*merged, inner=inner, params=params, flags=either, size=many * size)
    return REGISTRY["reshape"](result, shape=(many, size, *result.shape[1:]))


def _flops(avals, out, *, inner, params, flags, size):
    one = Aval(out.shape[1:], out.dtype)
    return size * record_of(inner).flops(of_one_lane(avals, flags), one, **options_of(params))


def _depends(table, *operands, inner, params, flags, size):
    """Lane by lane, by the inner primitive's rule."""
    rule, options = record_of(inner).depends, options_of(params)
    if record_of(inner).jvp is None:
        return dependence.nothing()
    avals = [operand.aval for operand in operands]
    one = record_of(inner).abstract(*of_one_lane(avals, flags), **options)
    if not callable(rule):
        table.note(rule or f"{inner} has no rule that says which elements depend on which")
        pairs = zip(operands, flags, strict=True)
        union = table.elementwise(*[table.along(x.ids, range(int(flag), x.ids.ndim)) for x, flag in pairs])
        return union.reshape((*union.shape, *(1,) * len(one.shape)))
    rows = []
    for lane in range(size):
        seen = [operand.lane(lane) if flag else operand for operand, flag in zip(operands, flags, strict=True)]
        rows.append(np.broadcast_to(rule(table, *seen, **options), one.shape))
    return np.stack(rows)


def _samples():
    grid = np.sin(1.3 * np.arange(1.0, 13.0))
    return [
        (
            (grid[:6].reshape(3, 2), np.array([0.5, 2.0])),
            {"inner": "divide", "params": (), "flags": (True, False), "size": 3},
        ),
        (
            (grid.reshape(2, 2, 3),),
            {"inner": "sum", "params": (("axes", (1,), "(1,)"),), "flags": (True,), "size": 2},
        ),
        (
            (grid[:2], grid[2:4]),
            {"inner": "multiply", "params": (), "flags": (True, True), "size": 2},
        ),
    ]


lanes = general(
    _evaluate,
    _jvp,
    _vjp,
    name="lanes",
    depends=_depends,
    abstract=_abstract,
    into=_into,
    flops=_flops,
    samples=_samples,
    batch=_batch,
    device=_device,
    examples="runs another primitive lane by lane",
    inexact="it runs another primitive lane by lane, which exact arithmetic does on the function itself",
)
