"""Products J s by backends that form whole Jacobians only: those of f(x + S t) by the few numbers t, at t = 0.

S has a column for every product, so the Jacobian by t is J S: formulas and quotients are made for as many columns as
there are products, and not for all columns of J.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from ..arrays import as_array, module_of
from ..builder import aval_of
from ..errors import GuardError
from ..tape import Tape
from ..transforms.inline import inline, inputs_like, transform_builder
from .protocol import Backend, LiveData, Source
from .surroundings import magnitude


class Substituted:
    """What pushes seeds through a backend that gives no products; it has the methods of a ``Deduced`` for that.

    Args:
        backend: has "jacobian".
        source: the function, of real variables.
        colours: per coordinate of all variables the product in which it moves, -1 where in none.
        count: products.
    """

    def __init__(self, backend: Backend, source: Source, colours: np.ndarray, count: int):
        self._wrt = source.wrt
        self._moves = "black-box" in backend.capabilities
        live = "live-data" in backend.capabilities
        doing = cast(LiveData, backend).with_live_data() if live else backend  # the point is data now
        leaves = [as_array(source.example[i]) for i in source.wrt]
        ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
        parts = np.split(np.maximum(colours, 0), ends)
        self._places = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
        self._moving = [
            None if np.all(part >= 0) else (part >= 0).reshape(leaf.shape)
            for part, leaf in zip(np.split(colours, ends), leaves, strict=True)
        ]
        self._source = source
        self._device = source.device
        self._numbers = module_of(source.device).zeros(max(count, 1), np.result_type(*[leaf.dtype for leaf in leaves]))
        example = self._leaves(source.example, [np.ones(leaf.shape, leaf.dtype) for leaf in leaves])
        substituted = Source(
            call=lambda given: source.call(self._moved(given, source.wrt)),
            trace=lambda: self._tape(source.tape, source.wrt, example),
            example=example,
            wrt=(len(example) - 1,),
            frozen=source.frozen,
            device=source.device,
        )
        self._prepared = doing.prepare(substituted, "jacobian", example)
        self.stats: dict[str, Any] = self._prepared.stats

    def _leaves(self, leaves: Sequence[Any], sizes: Sequence[Any]) -> list[Any]:
        """The leaves of the substituted function at t = 0."""
        return [*leaves, *(sizes if self._moves else []), self._numbers]

    def _moved(self, given: Sequence[Any], wrt: Sequence[int]) -> list[Any]:
        """The function's own leaves: each coordinate goes its size times its number."""
        numbers, count = given[-1], len(given) - 1 - (len(wrt) if self._moves else 0)
        leaves = list(given[:count])
        for k, (position, places, moves) in enumerate(zip(wrt, self._places, self._moving, strict=True)):
            step = numbers[places].astype(leaves[position].dtype)
            step = step if moves is None else step * moves.astype(leaves[position].dtype)
            leaves[position] = leaves[position] + (given[count + k] * step if self._moves else step)
        return leaves

    def _tape(self, tape: Tape, wrt: Sequence[int], example: Sequence[Any]) -> Tape:
        builder = transform_builder()
        given = inputs_like(builder, tape)
        for leaf in example[len(given) :]:
            given.append(builder.input(aval_of(leaf)))
        values = inline(builder, tape, self._moved(given, wrt))
        return builder.finish([values[number] for number in tape.outputs])

    def sizes(self, leaves: Sequence[Any]) -> list[Any] | None:
        """How far coordinates go: t moves by steps for numbers near 0 or 1, which x may not feel; else 1."""
        return [magnitude(leaves[i]) for i in self._wrt] if self._moves else None

    def jvps(self, leaves: Sequence[Any], seeds: Sequence[Any]) -> list[Any]:
        """The products with all seeds, a row for each; a coordinate is in one seed at most, which has its size."""
        source = self._source
        if self._moves and source.failure is None and not source.tape.follows(leaves):
            raise GuardError("Python would branch otherwise at these arguments")  # a black box takes any branch
        _, blocks = self._prepared.jacobian(self._leaves(leaves, [seed.sum(axis=0) for seed in seeds]))
        xp = module_of(self._device)
        return [xp.moveaxis(xp.asarray(row[0]), -1, 0) for row in blocks]


class Later:
    """What a backend prepares as soon as something of it is asked for; the value is the function's own.

    Args:
        source: the function.
        prepare: makes it.
        stats: notes on what is there already.
    """

    def __init__(self, source: Source, prepare: Callable[[], Any], stats: dict[str, Any]):
        self._source = source
        self._prepare = prepare
        self._lock = threading.Lock()
        self.stats = stats

    @functools.cached_property
    def _made(self) -> Any:
        with self._lock:
            return self._prepare()

    def value(self, leaves: Sequence[Any]) -> list[Any]:
        """The outputs."""
        return self._source.call(leaves)

    def value_and_gradient(self, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        """As of what is prepared."""
        return self._made.value_and_gradient(leaves)

    def jvp(self, leaves: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """As of what is prepared."""
        return self._made.jvp(leaves, tangents)

    def vjp(self, leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
        """As of what is prepared."""
        return self._made.vjp(leaves)

    def jacobian(self, leaves: Sequence[Any]) -> tuple[list[Any], list[list[Any]]]:
        """As of what is prepared."""
        return self._made.jacobian(leaves)

    def hessian(self, leaves: Sequence[Any]) -> list[list[Any]]:
        """As of what is prepared."""
        return self._made.hessian(leaves)

    def error_estimate(self, leaves: Sequence[Any]) -> list[Any]:
        """As of what is prepared."""
        return self._made.error_estimate(leaves)

    def expressions(self, leaves: Sequence[Any] | None) -> Any:
        """As of what is prepared."""
        return self._made.expressions(leaves)

    def code(self, leaves: Sequence[Any] | None, language: str | None) -> str:
        """As of what is prepared."""
        return self._made.code(leaves, language)


__all__ = ["Later", "Substituted"]
