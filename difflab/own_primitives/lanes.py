"""The batching rule of a user's primitive: one equation for all lanes, whose derivatives are the rules of one lane.

Batching only what the function computes would lose the user's rules, which may say something else on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ..arrays import to_host
from ..primitives.record import Aval, Primitive, identity
from ..tape import Tape
from ..transforms.batch import batch
from ..transforms.inline import transform_builder
from ..transforms.lanes import evaluated, of_one_lane, pulled, pushed
from .definition import KEPT, applied


def with_lanes(primitive: Primitive, through: Callable | None) -> Primitive:
    """The primitive with its batching rule; ``through`` computes it with other primitives, if that is possible."""
    record = lru_cache(KEPT)(lambda size, flags: _lanes(primitive, through, size, flags))
    return replace(primitive, batch=lambda size, flags, *operands, **params: record(size, flags)(*operands, **params))


def anywhere(run: Callable) -> Callable:
    """The rule of what other primitives compute wherever the arrays are."""
    return lambda xp, *operands, **params: run(*operands, **params)


def on_host(evaluate: Callable) -> Callable:
    """The rule of what cannot run on a GPU: the arrays come to the host and the result goes back."""

    def device(xp: Any, *arrays: Any, **params: Any) -> Any:
        return xp.asarray(evaluate(*map(to_host, arrays), **params))

    return device


def _lanes(primitive: Primitive, through: Callable | None, size: int, flags: tuple[bool, ...]) -> Primitive:
    def abstract(*avals: Any, **params: Any) -> Aval:
        one = primitive.abstract(*of_one_lane(avals, flags), **params)
        return Aval((size, *one.shape), one.dtype)

    @lru_cache(KEPT)
    def whole(avals: tuple[Aval, ...], statics: tuple) -> Tape:
        assert through is not None
        builder = transform_builder()
        params = {key: value for key, _, value, _ in statics}
        value = through(*[builder.input(aval) for aval in avals], **params)
        return batch(builder.finish([builder.lift(value)]), flags, size)

    def together(*operands: Any, **params: Any) -> Any:
        return applied(whole(tuple(of_one_lane(operands, flags)), identity(params)), operands)[0]

    def evaluate(*operands: Any, **params: Any) -> Any:
        arrays = list(map(np.asarray, operands))
        if through is not None:
            return together(*arrays, **params)
        return evaluated(partial(primitive.evaluate, **params), flags, size, arrays)

    def jvp(tangents: tuple, y: Any, *args: Any, **params: Any) -> Any:
        assert primitive.jvp is not None
        return pushed(partial(primitive.jvp, **params), flags, size, tangents, y, args)

    def vjp(cotangent: Any, y: Any, *args: Any, wanted: tuple[bool, ...], **params: Any) -> tuple:
        assert primitive.vjp is not None
        return pulled(partial(primitive.vjp, wanted=wanted, **params), flags, size, cotangent, y, args)

    record = Primitive(
        name=f"{primitive.name}#lanes",
        kind="own",
        evaluate=evaluate,
        abstract=abstract,
        jvp=jvp,
        vjp=vjp,
        exact=primitive.exact,
        inexact=primitive.inexact or "it runs another primitive for many lanes",
        device=on_host(evaluate) if through is None else anywhere(together),
        depends=primitive.depends,
    )
    return with_lanes(record, None if through is None else together)
