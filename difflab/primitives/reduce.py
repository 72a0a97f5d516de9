"""Reductions. ``axes`` is a sorted tuple of non-negative axes, which the result no longer has."""

from __future__ import annotations

import math

import numpy as np

from . import exact_rules as exact
from .constructors import general, linear
from .record import OUT, REGISTRY, Aval, Call, Operand

INTEGER = np.dtype(np.int64)
# One object each, so that generated code binds one name.
ADD_REDUCE, MAXIMUM_REDUCE, MINIMUM_REDUCE = np.add.reduce, np.maximum.reduce, np.minimum.reduce


def _reduced(aval: Aval, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(aval.shape) if axis not in axes)


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape))


def spread(reduced, shape: tuple[int, ...], axes: tuple[int, ...]):
    """A reduced value with size-1 axes in place of the reduced ones, ready to broadcast against ``shape``."""
    kept = _kept(shape, axes)
    return reduced if reduced.shape == kept else REGISTRY["reshape"](reduced, shape=kept)


def _sum_transpose(cotangent, x, *, wanted, axes):
    if not wanted[0]:
        return (None,)
    return (REGISTRY["broadcast_to"](spread(cotangent, x.shape, axes), shape=x.shape),)


sum = linear(
    lambda x, *, axes: np.add.reduce(x, axis=axes),
    _sum_transpose,
    name="sum",
    abstract=lambda x, axes: Aval(_reduced(x, axes), x.dtype),
    into=lambda avals, axes: Call(ADD_REDUCE, (Operand(0), axes, None, OUT)),
    flops=lambda avals, out, axes: float(avals[0].size),
    samples=lambda: [((np.arange(24.0).reshape(2, 3, 4),), {"axes": axes}) for axes in ((0,), (1,), (0, 2), (0, 1, 2))],
)


def _ties(y, x, axes):
    """1 at the extreme elements and 0 elsewhere, and how many there are."""
    ties = REGISTRY["cast"](REGISTRY["equal"](x, spread(y, x.shape, axes)), dtype=x.dtype.str)
    return ties, sum(ties, axes=axes)


def _extreme_jvp(tangents, y, x, *, axes):
    ties, count = _ties(y, x, axes)
    return sum(tangents[0] * ties, axes=axes) / count


def _extreme_vjp(cotangent, y, x, *, wanted, axes):
    if not wanted[0]:
        return (None,)
    ties, count = _ties(y, x, axes)
    return (spread(cotangent / count, x.shape, axes) * ties,)


def _extreme_samples():
    x = np.array([[3.0, -1.0, 2.0], [0.5, 4.0, -2.0]])
    return [((x,), {"axes": axes}) for axes in ((0,), (1,), (0, 1))]


def _extreme(name, reduce, rule):
    return general(
        lambda x, *, axes: reduce(x, axis=axes),
        _extreme_jvp,
        _extreme_vjp,
        name=name,
        abstract=lambda x, axes: Aval(_reduced(x, axes), x.dtype),
        into=lambda avals, axes: Call(reduce, (Operand(0), axes, None, OUT)),
        exact=rule,
        flops=lambda avals, out, axes: float(avals[0].size),
        samples=_extreme_samples,
    )


max = _extreme("max", MAXIMUM_REDUCE, exact.max)
min = _extreme("min", MINIMUM_REDUCE, exact.min)

FLAT = "an index: its derivative is zero wherever it exists"


def _position(name, search, rule):
    def into(avals, *, axis):
        def run(x, out):
            search(x, axis, out)

        return Call(run, (Operand(0), OUT))

    return general(
        lambda x, *, axis: search(x, axis=axis),
        None,
        None,
        name=name,
        abstract=lambda x, axis: Aval(_reduced(x, (axis,)), INTEGER),
        into=into,
        exact=rule,
        samples=lambda: [(sample[0], {"axis": sample[1]["axes"][0]}) for sample in _extreme_samples()[:2]],
        excuse=FLAT,
    )


argmax = _position("argmax", np.argmax, exact.argmax)
argmin = _position("argmin", np.argmin, exact.argmin)


def count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many elements one reduced value sums up."""
    return math.prod(shape[axis] for axis in axes)
