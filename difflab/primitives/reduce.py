"""Reductions. ``axes`` is a sorted tuple of non-negative axes, which the result no longer has."""

from __future__ import annotations

import math

import numpy as np

from . import dependence, exact_order, examples
from . import exact_rules as exact
from .batching import over_axes, over_axis
from .constructors import general, linear
from .record import OUT, REGISTRY, Aval, Call, Operand
from .scan import previous

INTEGER = np.dtype(np.int64)
# One object each, so that generated code binds one name.
ADD_REDUCE, MULTIPLY_REDUCE = np.add.reduce, np.multiply.reduce
MAXIMUM_REDUCE, MINIMUM_REDUCE = np.maximum.reduce, np.minimum.reduce


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


def _folded(name):
    """The rule of a sum or product, in the dtype of its operand."""
    return lambda xp, x, *, axes: getattr(xp, name)(x, axis=axes, dtype=x.dtype)


sum = linear(
    lambda x, *, axes: np.add.reduce(x, axis=axes),
    _sum_transpose,
    name="sum",
    depends=dependence.over_axes,
    abstract=lambda x, axes: Aval(_reduced(x, axes), x.dtype),
    into=lambda avals, axes: Call(ADD_REDUCE, (Operand(0), axes, None, OUT)),
    flops=lambda avals, out, axes: float(avals[0].size),
    samples=lambda: [((np.arange(24.0).reshape(2, 3, 4),), {"axes": axes}) for axes in ((0,), (1,), (0, 2), (0, 1, 2))],
    examples=examples.summed,
    batch=over_axes("sum"),
    device=_folded("sum"),
)


def _others(x, axes):
    """For every element the product of those it is multiplied with; without division, so that zeros may occur."""
    if math.prod(x.shape) == 0:
        return x
    kept = tuple(axis for axis in range(len(x.shape)) if axis not in axes)
    order = (*kept, *axes)
    moved = REGISTRY["transpose"](x, axes=order)
    rest = tuple(x.shape[axis] for axis in kept)
    line = REGISTRY["reshape"](moved, shape=(*rest, count(x.shape, axes)))
    last = len(rest)
    before = REGISTRY["cumprod"](previous(line, last, False, 1.0), axis=last, reverse=False)
    after = REGISTRY["cumprod"](previous(line, last, True, 1.0), axis=last, reverse=True)
    back = REGISTRY["reshape"](before * after, shape=moved.shape)
    return REGISTRY["transpose"](back, axes=tuple(sorted(range(len(order)), key=order.__getitem__)))


def _prod_jvp(tangents, y, x, *, axes):
    return sum(tangents[0] * _others(x, axes), axes=axes)


def _prod_vjp(cotangent, y, x, *, wanted, axes):
    return (spread(cotangent, x.shape, axes) * _others(x, axes) if wanted[0] else None,)


prod = general(
    lambda x, *, axes: np.multiply.reduce(x, axis=axes),
    _prod_jvp,
    _prod_vjp,
    name="prod",
    depends=dependence.over_axes,
    abstract=lambda x, axes: Aval(_reduced(x, axes), x.dtype),
    into=lambda avals, axes: Call(MULTIPLY_REDUCE, (Operand(0), axes, None, OUT)),
    exact=exact_order.prod,
    flops=lambda avals, out, axes: float(avals[0].size),
    samples=lambda: [
        ((np.array([[1.5, 0.0, -2.0], [0.5, -1.0, 0.0]]),), {"axes": axes}) for axes in ((0,), (1,), (0, 1))
    ],
    examples=examples.reduced,
    batch=over_axes("prod"),
    device=_folded("prod"),
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
        depends=dependence.over_axes,
        abstract=lambda x, axes: Aval(_reduced(x, axes), x.dtype),
        into=lambda avals, axes: Call(reduce, (Operand(0), axes, None, OUT)),
        exact=rule,
        flops=lambda avals, out, axes: float(avals[0].size),
        samples=_extreme_samples,
        examples=examples.reduced,
        batch=over_axes(name),
        device=lambda xp, x, *, axes: getattr(xp, name)(x, axis=axes),
    )


max = _extreme("max", MAXIMUM_REDUCE, exact.max)
min = _extreme("min", MINIMUM_REDUCE, exact.min)

FLAT = "an index: its derivative is zero wherever it exists"


def _position(name, search, rule):
    def into(avals, *, axis):
        def run(x, out):
            search(x, axis, out)

        return Call(run, (Operand(0), OUT))

    def device(xp, x, *, axis):
        found = getattr(xp, name)(x, axis=axis)
        if not xp.isdtype(x.dtype, "real floating"):
            return found
        lost = xp.isnan(x)  # of several NaNs CuPy takes any, NumPy the first
        return xp.where(xp.any(lost, axis=axis), xp.argmax(xp.astype(lost, xp.int8), axis=axis), found)

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
        examples=examples.searched,
        batch=over_axis(name),
        device=device,
    )


argmax = _position("argmax", np.argmax, exact.argmax)
argmin = _position("argmin", np.argmin, exact.argmin)


def count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many elements one reduced value sums up."""
    return math.prod(shape[axis] for axis in axes)
