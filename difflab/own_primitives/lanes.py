"""The batching rule of a user's primitive: one equation for all lanes, whose derivatives are the rules of one lane.

Batching only what the function computes would lose the user's rules, which may say something else on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ..primitives import REGISTRY
from ..primitives.record import Aval, Primitive, identity
from ..tape import Tape
from ..transforms.inline import transform_builder
from .definition import KEPT, applied


def with_lanes(primitive: Primitive, through: Callable | None) -> Primitive:
    """The primitive with its batching rule; ``through`` computes it with other primitives, if that is possible."""
    record = lru_cache(KEPT)(lambda size, flags: _lanes(primitive, through, size, flags))
    return replace(primitive, batch=lambda size, flags, *operands, **params: record(size, flags)(*operands, **params))


def _lanes(primitive: Primitive, through: Callable | None, size: int, flags: tuple[bool, ...]) -> Primitive:
    def one_lane(avals: Sequence[Any]) -> list[Aval]:
        return [Aval(a.shape[1:] if flag else a.shape, a.dtype) for a, flag in zip(avals, flags, strict=True)]

    def abstract(*avals: Any, **params: Any) -> Aval:
        one = primitive.abstract(*one_lane(avals), **params)
        return Aval((size, *one.shape), one.dtype)

    @lru_cache(KEPT)
    def whole(avals: tuple[Aval, ...], statics: tuple) -> Tape:
        from ..transforms.batch import batch

        assert through is not None
        builder = transform_builder()
        params = {key: value for key, _, value, _ in statics}
        value = through(*[builder.input(aval) for aval in avals], **params)
        return batch(builder.finish([builder.lift(value)]), flags, size)

    def together(*operands: Any, **params: Any) -> Any:
        return applied(whole(tuple(one_lane(operands)), identity(params)), operands)[0]

    def evaluate(*operands: Any, **params: Any) -> Any:
        operands = tuple(map(np.asarray, operands))
        if through is not None:
            return together(*operands, **params)
        rows = []
        for lane in range(size):
            given = [x[lane, ...] if flag else x for x, flag in zip(operands, flags, strict=True)]
            rows.append(np.asarray(primitive.evaluate(*given, **params)))
        return np.stack(rows)

    def jvp(tangents: tuple, y: Any, *args: Any, **params: Any) -> Any:
        from ..transforms.lanes import over_lanes

        moving = [position for position, tangent in enumerate(tangents) if tangent is not None]
        rule = primitive.jvp
        assert rule is not None

        def one(values: list[Any]) -> list[Any]:
            given: list[Any] = [None] * len(args)
            for position, value in zip(moving, values, strict=False):
                given[position] = value
            tangent = rule(tuple(given), *values[len(moving) :], **params)
            return [] if tangent is None else [tangent]

        carried = [flags[position] for position in moving]
        found = over_lanes(one, (*carried, True, *flags), size, [*[tangents[p] for p in moving], y, *args])
        return found[0] if found else None

    def vjp(cotangent: Any, y: Any, *args: Any, wanted: tuple[bool, ...], **params: Any) -> tuple:
        from ..transforms.lanes import over_lanes

        rule = primitive.vjp
        assert rule is not None
        places: list[int] = []

        def one(values: list[Any]) -> list[Any]:
            parts = rule(*values, wanted=wanted, **params)
            places.extend(position for position, part in enumerate(parts) if part is not None)
            return [parts[place] for place in places]

        result: list[Any] = [None] * len(args)
        found = over_lanes(one, (True, True, *flags), size, [cotangent, y, *args])
        for place, part in zip(places, found, strict=True):
            # What is the same for all lanes gets the sum of what each has for it.
            result[place] = part if flags[place] else REGISTRY["sum"](part, axes=(0,))
        return tuple(result)

    record = Primitive(
        name=f"{primitive.name}#lanes",
        kind="own",
        evaluate=evaluate,
        abstract=abstract,
        jvp=jvp,
        vjp=vjp,
        exact=primitive.exact,
        inexact=primitive.inexact or "it runs another primitive for many lanes",
    )
    return with_lanes(record, None if through is None else together)
