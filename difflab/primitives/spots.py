"""Moves of lanes that differ from a common value at one place each; only programs of many lanes contain them.

``index`` says of every lane where that is: a position along some axes, counted as in a flat array of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import index_kernels
from .record import OUT, Aval, Call, Operand, Primitive

UNNEEDED = "only batched programs contain it, and those are compiled at once"


def _pick_into(avals: Sequence[Aval]) -> Call:
    def run(x: Any, index: Any, out: Any) -> None:
        np.take(x, index, 0, out, "clip")  # every index is in range; "raise" would copy the result once more

    return Call(run, (Operand(0), Operand(1), OUT))


pick = Primitive(
    name="pick",
    kind="linear",
    evaluate=lambda x, index: np.take(x, index, 0),
    abstract=lambda x, index: Aval((*index.shape, *x.shape[1:]), x.dtype),
    jvp=None,
    vjp=None,
    depends=UNNEEDED,
    into=_pick_into,
    flops=lambda avals, out: 0.0,
    inexact=UNNEEDED,
    device=index_kernels.pick,
)


def _putting(lanes: int, shape: tuple[int, ...], axes: tuple[int, ...]) -> Callable[..., None]:
    rest = [size for axis, size in enumerate(shape) if axis not in axes]
    sizes = [shape[axis] for axis in axes]
    numbers = np.arange(lanes)

    def run(base: Any, part: Any, index: Any, out: Any) -> None:
        out[...] = base
        places = dict(zip(axes, np.unravel_index(index, sizes) if len(axes) > 1 else (index,), strict=True))
        # NumPy puts the axis of index arrays first, whether whole axes stand between them or not.
        where = tuple([places.get(axis, slice(None)) for axis in range(len(shape))])
        out[(numbers, *where)] = part.reshape(lanes, *rest)

    return run


def _put(base: Any, part: Any, index: Any, *, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    out = np.empty((len(index), *shape), part.dtype)
    _putting(len(index), shape, axes)(base, part, index, out)
    return out


def _put_into(avals: Sequence[Aval], *, shape: tuple[int, ...], axes: tuple[int, ...]) -> Call:
    return Call(_putting(avals[2].size, shape, axes), (Operand(0), Operand(1), Operand(2), OUT))


put = Primitive(
    name="put",
    kind="linear",
    evaluate=_put,
    abstract=lambda base, part, index, shape, axes: Aval((*index.shape, *shape), part.dtype),
    jvp=None,
    vjp=None,
    depends=UNNEEDED,
    into=_put_into,
    flops=lambda avals, out, shape, axes: 0.0,
    inexact=UNNEEDED,
    device=index_kernels.put,
)
