"""Moves: reshape, transpose, broadcast, concatenate, pad. Views where NumPy has views."""

from __future__ import annotations

import math

import numpy as np

from . import copy_kernels, dependence, examples
from .batching import spread_lanes, widen
from .constructors import linear
from .record import OUT, REGISTRY, Aval, Call, Operand, unbroadcast


def _with_leading_axes(avals, shape):
    """In a kernel it is its operand where it only puts axes of length 1 before the others."""
    ndim = len(shape) - len(avals[0].shape)
    return "{0}" if ndim >= 0 and shape[ndim:] == avals[0].shape and set(shape[:ndim]) <= {1} else ""


reshape = linear(
    lambda x, *, shape: np.reshape(x, shape),
    lambda cotangent, x, wanted, shape: (reshape(cotangent, shape=x.shape) if wanted[0] else None,),
    name="reshape",
    abstract=lambda x, shape: Aval(shape, x.dtype),
    view=True,
    examples=examples.reshaped,
    batch=lambda size, flags, x, shape: reshape(x, shape=(size, *shape)),
    device=lambda xp, x, *, shape: xp.reshape(x, shape),
    samples=lambda: [((np.arange(6.0),), {"shape": (2, 3)}), ((np.arange(6.0).reshape(2, 3),), {"shape": (3, 1, 2)})],
    kernel=_with_leading_axes,
)


def inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes ``axes``."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


transpose = linear(
    lambda x, *, axes: np.transpose(x, axes),
    lambda cotangent, x, wanted, axes: (transpose(cotangent, axes=inverse(axes)) if wanted[0] else None,),
    name="transpose",
    abstract=lambda x, axes: Aval(tuple(x.shape[axis] for axis in axes), x.dtype),
    view=True,
    examples=examples.permuted,
    batch=lambda size, flags, x, axes: transpose(x, axes=(0, *[axis + 1 for axis in axes])),
    device=lambda xp, x, *, axes: xp.permute_dims(x, axes),
    samples=lambda: [((np.arange(24.0).reshape(2, 3, 4),), {"axes": axes}) for axes in ((2, 0, 1), (0, 2, 1))],
)

broadcast_to = linear(
    lambda x, *, shape: np.broadcast_to(x, shape),
    lambda cotangent, x, wanted, shape: (unbroadcast(cotangent, x.shape) if wanted[0] else None,),
    name="broadcast_to",
    abstract=lambda x, shape: Aval(shape, x.dtype),
    view=True,
    examples=examples.repeated,
    batch=lambda size, flags, x, shape: broadcast_to(widen(x, len(shape)), shape=(size, *shape)),
    device=lambda xp, x, *, shape: xp.broadcast_to(x, shape),
    samples=lambda: [((np.arange(3.0),), {"shape": (2, 3)}), ((np.arange(2.0).reshape(2, 1),), {"shape": (4, 2, 3)})],
    kernel="{0}",
)


def _concatenate_transpose(cotangent, *args, wanted, axis):
    result = []
    at = 0
    for arg, want in zip(args, wanted, strict=True):
        stop = at + arg.shape[axis]
        start = tuple(at if i == axis else 0 for i in range(len(arg.shape)))
        stops = tuple(stop if i == axis else size for i, size in enumerate(cotangent.shape))
        step = (1,) * len(start)
        result.append(REGISTRY["slice"](cotangent, start=start, stop=stops, step=step) if want else None)
        at = stop
    return tuple(result)


def _concatenate_into(avals, *, axis):
    def run(*arrays):
        np.concatenate(arrays[:-1], axis, arrays[-1])

    return Call(run, (*map(Operand, range(len(avals))), OUT))


def _concatenate_abstract(*avals, axis):
    first = avals[0]
    total = sum(aval.shape[axis] for aval in avals)
    return Aval((*first.shape[:axis], total, *first.shape[axis + 1 :]), first.dtype)


def _concatenate_lanes(size, flags, *arrays, axis):
    return concatenate(*[spread_lanes(size, *pair) for pair in zip(flags, arrays, strict=True)], axis=axis + 1)


concatenate = linear(
    lambda *arrays, axis: np.concatenate(arrays, axis=axis),
    _concatenate_transpose,
    name="concatenate",
    depends=dependence.moved(lambda *arrays, axis: np.concatenate(arrays, axis)),
    abstract=_concatenate_abstract,
    into=_concatenate_into,
    examples=examples.beside_axis,
    batch=_concatenate_lanes,
    device=copy_kernels.concatenate,
    samples=lambda: [
        ((np.arange(6.0).reshape(2, 3), np.arange(3.0).reshape(1, 3)), {"axis": 0}),
        ((np.arange(4.0).reshape(2, 2), np.arange(2.0).reshape(2, 1), np.ones((2, 3))), {"axis": 1}),
    ],
)


def _interior(shape, widths):
    return tuple(slice(low, low + size) for (low, _), size in zip(widths, shape, strict=True))


def _pad(x, *, widths):
    return _pad_with(np, x, widths=widths)


def _pad_with(xp, x, *, widths):
    out = xp.zeros(tuple(low + size + high for (low, high), size in zip(widths, x.shape, strict=True)), dtype=x.dtype)
    out[_interior(x.shape, widths)] = x
    return out


def _pad_into(avals, *, widths):
    interior = _interior(avals[0].shape, widths)

    def run(x, out):
        out.fill(0)
        out[interior] = x

    return Call(run, (Operand(0), OUT))


def _pad_transpose(cotangent, x, *, wanted, widths):
    if not wanted[0]:
        return (None,)
    start = tuple(low for low, _ in widths)
    stop = tuple(low + size for (low, _), size in zip(widths, x.shape, strict=True))
    return (REGISTRY["slice"](cotangent, start=start, stop=stop, step=(1,) * len(start)),)


pad = linear(
    _pad,
    _pad_transpose,
    name="pad",
    depends=dependence.moved(_pad),
    abstract=lambda x, widths: Aval(
        tuple(low + size + high for (low, high), size in zip(widths, x.shape, strict=True)), x.dtype
    ),
    into=_pad_into,
    device=_pad_with,
    examples=examples.padded,
    batch=lambda size, flags, x, widths: pad(x, widths=((0, 0), *widths)),
    samples=lambda: [((np.arange(6.0).reshape(2, 3),), {"widths": ((1, 0), (2, 1))})],
)


def infer(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """A target shape with its ``-1`` filled in."""
    if -1 not in shape:
        return shape
    known = -math.prod(shape)
    return tuple(size // known if entry == -1 and known else entry for entry in shape)
