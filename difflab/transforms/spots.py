"""Batching where every lane moves one coordinate of one array: what a lane does not reach is computed once.

A value in which each lane differs from a common value at one place along some axes is a *spot*: the common value and,
per lane, the entries there.  Element-wise functions, products and moves keep it one, so that of x @ W with one entry
of W moved a single column is computed.  Tangents along unit vectors are spots whose common value is zero.  What has
no rule here gets whole lanes and the batching rule of its primitive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..builder import Builder
from ..primitives import REGISTRY
from ..primitives.examples import aligned
from ..primitives.record import Aval, Primitive
from ..primitives.spots import pick, put
from ..tape import Equation

INDEX = np.dtype(np.intp)
REDUCING = frozenset({"sum", "max", "min", "prod"})
SCALING = frozenset({"multiply", "negative", "cast", "copy", "stop_gradient", "real", "imag", "conjugate"})
"""Zero where one of their operands is: what has no tangent gets none, though a factor of it be infinite."""


class Spot(NamedTuple):
    """Each lane differs from ``base`` (``None`` for zero) at one place along ``axes`` and there is ``part``.

    ``axes`` says which axis of the moved array gives the place along which axis here; ``part`` has the lanes in front
    and size 1 along those.
    """

    base: Any
    part: Any
    axes: Mapping[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one part."""
        return self.part.shape[1:]


class Spots:
    """The rules, and the arrays that say where each lane moves: inputs of the batched tape, made when first read.

    Args:
        builder: the tape under construction.
        size: how many lanes.
        shape: of the array of which each lane moves one coordinate.
    """

    def __init__(self, builder: Builder, size: int, shape: tuple[int, ...]):
        self.builder = builder
        self.size = size
        self.shape = shape
        self.indices: dict[tuple[int, ...], Any] = {}

    def seed(self, base: Any, part: Any) -> Any:
        """The moved array: its lanes, where it has but one coordinate."""
        axes = {axis: axis for axis, size in enumerate(self.shape) if size > 1}
        part = REGISTRY["reshape"](part, shape=(self.size, *(1,) * len(self.shape)))
        return Spot(base, part, axes) if axes else part

    def index(self, leaf_axes: tuple[int, ...]) -> Any:
        """Where each lane moves along some axes of the moved array."""
        if leaf_axes not in self.indices:
            self.indices[leaf_axes] = self.builder.input(Aval((self.size,), INDEX))
        return self.indices[leaf_axes]

    # -------------------------------------------------------------------- between spots and lanes

    def picked(self, x: Any, axes: Mapping[int, int]) -> Any:
        """The entries of what is the same for all lanes at the place of each lane, in the shape of a part."""
        if not axes:
            return x
        hot = tuple(sorted(axes))
        rest = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
        rows = REGISTRY["transpose"](x, axes=(*hot, *rest)) if hot != tuple(range(len(hot))) else x
        if len(hot) > 1:
            sizes = [x.shape[axis] for axis in hot]
            rows = REGISTRY["reshape"](rows, shape=(math.prod(sizes), *[x.shape[axis] for axis in rest]))
        found = self.builder.bind(pick, (rows, self.index(tuple(axes[axis] for axis in hot))), {})
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        return REGISTRY["reshape"](found, shape=(self.size, *kept))

    def narrowed(self, spot: Spot, kept: Mapping[int, int], shape: tuple[int, ...]) -> Any:
        """The part of a spot with whole axes in place of all but some; with none kept, its lanes."""
        filled = {axis: leaf for axis, leaf in spot.axes.items() if axis not in kept}
        if not filled:
            return spot.part
        partial = tuple(1 if axis in kept else size for axis, size in enumerate(shape))
        hot = tuple(sorted(filled))
        base = self.zero(spot.part.dtype) if spot.base is None else spot.base
        if spot.base is not None and kept:
            base = self.picked(base, kept)
        index = self.index(tuple(filled[axis] for axis in hot))
        return self.builder.bind(put, (base, spot.part, index), {"shape": partial, "axes": hot})

    def based(self, value: Any, aval: Aval) -> Any:
        """The common value of a spot, or what is the same for all lanes."""
        if not isinstance(value, Spot):
            return value
        if value.base is not None:
            return value.base
        return REGISTRY["broadcast_to"](self.zero(aval.dtype), shape=aval.shape)

    def zero(self, dtype: np.dtype) -> Any:
        """The number 0 of a dtype."""
        return self.builder.literal(dtype.type(0).item(), Aval((), dtype))

    # -------------------------------------------------------------------- rules

    def equation(self, equation: Equation, operands: Sequence[Any], avals: Sequence[Aval], out: Aval) -> Any:
        """The result as a spot or, where no place is left, as lanes; ``None`` where there is no rule for it."""
        primitive, params = equation.primitive, equation.params
        name = primitive.name
        found = None
        if primitive.examples is aligned:  # it acts on each element by itself
            found = self._aligned(primitive, params, operands, avals, out)
        elif name == "matmul" and len(avals[0].shape) == len(avals[1].shape) == 2:
            found = self._product(operands, avals)
        elif name in REDUCING:
            found = self._reduced(name, params["axes"], operands[0], avals[0])
        elif name == "transpose":
            spot, order = operands[0], params["axes"]
            moved = {order.index(axis): leaf for axis, leaf in spot.axes.items()}
            found = self._moved(primitive, params, spot, (0, *[axis + 1 for axis in order]), moved)
        elif name == "reshape":
            found = self._reshaped(operands[0], avals[0].shape, out.shape)
        elif name == "broadcast_to":
            found = self._broadcast(operands[0], avals[0].shape, out.shape)
        if not isinstance(found, tuple) or isinstance(found, Spot):
            return found
        part, axes, zero = found
        if not axes:
            return part
        base = None
        if not zero:
            values = [self.based(operand, aval) for operand, aval in zip(operands, avals, strict=True)]
            base = self.builder.bind(primitive, values, params)
        return Spot(base, part, axes)

    def _aligned(
        self, primitive: Primitive, params: Any, operands: Sequence[Any], avals: Sequence[Aval], out: Aval
    ) -> Any:
        """Operands that broadcast against each other: places that all moving ones share stay places."""
        ndim = len(out.shape)
        shared: dict[int, int] | None = None
        for operand, aval in zip(operands, avals, strict=True):
            if isinstance(operand, Spot):
                lead = ndim - len(aval.shape)
                here = {axis + lead: leaf for axis, leaf in operand.axes.items()}
                shared = here if shared is None else {a: leaf for a, leaf in shared.items() if here.get(a) == leaf}
        if not shared:
            return None
        parts = []
        for operand, aval in zip(operands, avals, strict=True):
            lead = ndim - len(aval.shape)
            kept = {axis - lead: leaf for axis, leaf in shared.items() if axis >= lead}
            if isinstance(operand, Spot):
                part = self.narrowed(operand, kept, aval.shape)
            else:
                kept = {axis: leaf for axis, leaf in kept.items() if aval.shape[axis] > 1}
                if not kept:
                    parts.append(operand)
                    continue
                part = self.picked(operand, kept)
            if lead and len(aval.shape):
                part = REGISTRY["reshape"](part, shape=(self.size, *(1,) * lead, *part.shape[1:]))
            parts.append(part)
        part = self.builder.bind(primitive, parts, params)
        want = (self.size, *[1 if axis in shared else size for axis, size in enumerate(out.shape)])
        if part.shape != want:
            part = REGISTRY["broadcast_to"](part, shape=want)
        return part, shared, self._stays_zero(primitive.name, operands)

    def _stays_zero(self, name: str, operands: Sequence[Any]) -> bool:
        """Whether the result is zero wherever its lanes have no tangent."""
        zero = [self._is_zero(operand) for operand in operands]
        if name in ("add", "subtract"):
            return all(zero)
        if name == "where":
            return not isinstance(operands[0], Spot) and all(zero[1:])
        if name == "divide":
            return zero[0] and not zero[1]
        return any(zero) and name in SCALING

    def _is_zero(self, operand: Any) -> bool:
        """Whether the common value of an operand is known to be zero."""
        if isinstance(operand, Spot):
            return operand.base is None
        return self.builder.literals.get(operand.number) == 0

    def _product(self, operands: Sequence[Any], avals: Sequence[Aval]) -> Any:
        """A product of two matrices, of which one moves."""
        if all(isinstance(operand, Spot) for operand in operands):
            return None
        side = 0 if isinstance(operands[0], Spot) else 1
        spot, other = operands[side], operands[1 - side]
        outer, inner = (0, 1) if side == 0 else (1, 0)
        kept = {outer: spot.axes[outer]} if outer in spot.axes else {}
        matmul = REGISTRY["matmul"]
        if inner in spot.axes and spot.base is None:
            # A tangent at one place of the summed axis: no sum is left, but a column times a row.
            line = self.picked(other, {1 - inner: spot.axes[inner]})
            return spot.part * line, kept, True
        part = self.narrowed(spot, kept, avals[side].shape)
        if not kept:
            return None
        batch = matmul.batch
        assert batch is not None  # it has a rule of its own
        flags = (side == 0, side == 1)
        return batch(self.size, flags, *((part, other) if side == 0 else (other, part))), kept, spot.base is None

    def _reduced(self, name: str, axes: tuple[int, ...], spot: Spot, aval: Aval) -> Any:
        """A reduction: over whole axes place by place; a sum of a tangent over its place is the tangent there."""
        through = name == "sum" and spot.base is None
        kept = spot.axes if through else {a: leaf for a, leaf in spot.axes.items() if a not in axes}
        if not kept:
            return None
        part = self.narrowed(spot, kept, aval.shape)
        part = REGISTRY[name](part, axes=tuple(axis + 1 for axis in axes))
        left = [axis for axis in range(len(aval.shape)) if axis not in axes]
        return part, {left.index(a): leaf for a, leaf in kept.items() if a not in axes}, through

    def _moved(self, primitive: Primitive, params: Any, spot: Spot, order: tuple[int, ...], axes: Any) -> Any:
        """Axes in another order."""
        base = None if spot.base is None else self.builder.bind(primitive, (spot.base,), params)
        return Spot(base, REGISTRY["transpose"](spot.part, axes=order), axes)

    def _reshaped(self, spot: Spot, old: tuple[int, ...], new: tuple[int, ...]) -> Any:
        """Axes of size 1 that come and go; where others are joined or cut, places are lost."""
        before, after = [[axis for axis, size in enumerate(shape) if size != 1] for shape in (old, new)]
        if [old[axis] for axis in before] != [new[axis] for axis in after]:
            return None
        place = dict(zip(before, after, strict=True))
        axes = {place[axis]: leaf for axis, leaf in spot.axes.items()}
        shape = (self.size, *[1 if axis in axes else size for axis, size in enumerate(new)])
        base = None if spot.base is None else REGISTRY["reshape"](spot.base, shape=new)
        return Spot(base, REGISTRY["reshape"](spot.part, shape=shape), axes)

    def _broadcast(self, spot: Spot, old: tuple[int, ...], new: tuple[int, ...]) -> Any:
        """New axes, and old ones of size 1 made longer."""
        lead = len(new) - len(old)
        axes = {axis + lead: leaf for axis, leaf in spot.axes.items()}
        shape = (self.size, *[1 if axis in axes else size for axis, size in enumerate(new)])
        part = REGISTRY["reshape"](spot.part, shape=(self.size, *(1,) * lead, *spot.shape))
        base = None if spot.base is None else REGISTRY["broadcast_to"](spot.base, shape=new)
        return Spot(base, REGISTRY["broadcast_to"](part, shape=shape), axes)
