"""Order: where elements stand once sorted. Positions have no derivative; gathering by them has it all.

Sorting is ``argsort`` and ``gather``, so tangents and cotangents move with their elements, to any order of
derivative, and of equal elements the first stays first.
"""

from __future__ import annotations

import numpy as np

from . import exact_order as exact
from . import examples
from .batching import over_axis, spread_lanes
from .constructors import general
from .record import OUT, REGISTRY, Aval, Call, Operand

INTEGER = np.dtype(np.int64)
FLAT = "positions: their derivative is zero wherever it exists"
UNSPECIFIED = "which elements stand where beside the k-th is NumPy's own choice; sort instead"


def _sorted_order(xp, x, *, axis, **options):
    """CuPy sorts stably, and to partition is to sort: a full order of NaN last is a partition for every position."""
    return xp.argsort(x, axis=axis)


def _positions(name, order, rule=None, inexact="", **options):
    """A primitive that says where elements are to be taken from along one axis."""
    x = np.array([[3.0, -1.0, 2.0], [0.5, 4.0, -2.0]])

    def into(avals, **params):
        def run(x, out):
            out[...] = order(x, **params)

        return Call(run, (Operand(0), OUT))

    return general(
        order,
        None,
        None,
        name=name,
        abstract=lambda x, **params: Aval(x.shape, INTEGER),
        into=into,
        exact=rule,
        inexact=inexact,
        flops=lambda avals, out, **params: 20.0 * out.size,
        samples=lambda: [((x,), {"axis": axis, **options}) for axis in (0, 1)],
        excuse=FLAT,
        examples=examples.beside_axis,
        batch=over_axis(name),
        device=_sorted_order,
    )


def _argsort(x, *, axis, kind):
    return np.argsort(x, axis=axis, kind=kind)


def _argpartition(x, *, axis, kth):
    return np.argpartition(x, kth, axis=axis)


def _partition_order(x, *, axis, kth):
    """The order in which ``np.partition`` leaves the elements, which may be another than ``np.argpartition`` gives."""
    left = np.argsort(np.partition(x, kth, axis=axis), axis=axis, kind="stable")
    result = np.empty(x.shape, INTEGER)
    np.put_along_axis(result, left, np.argsort(x, axis=axis, kind="stable"), axis)
    return result


argsort = _positions("argsort", _argsort, exact.argsort, kind="stable")
argpartition = _positions("argpartition", _argpartition, inexact=UNSPECIFIED, kth=(1,))
partition_order = _positions("partition_order", _partition_order, inexact=UNSPECIFIED, kth=(1,))


def _searchsorted_batch(size, flags, a, v, *, side):
    """Lanes of ``v`` are more elements of it; where ``a`` has lanes, each counts what stands before."""
    if not flags[0]:
        return searchsorted(a, v, side=side)
    v = spread_lanes(size, flags[1], v)
    across = REGISTRY["reshape"](v, shape=(*v.shape, 1))
    along = REGISTRY["reshape"](a, shape=(size, *(1,) * (len(v.shape) - 1), a.shape[1]))
    # NumPy sorts NaN last, so that only NaN itself is not before it.
    if side == "left":
        after = REGISTRY["greater_equal"](along, across)
        last = REGISTRY["isnan"](along)
    else:
        after = REGISTRY["greater"](along, across)
        last = REGISTRY["logical_and"](REGISTRY["isnan"](along), REGISTRY["logical_not"](REGISTRY["isnan"](across)))
    before = REGISTRY["logical_not"](REGISTRY["logical_or"](after, last))
    return REGISTRY["sum"](REGISTRY["cast"](before, dtype=INTEGER.str), axes=(len(v.shape),))


def _searchsorted_into(avals, *, side):
    def run(a, v, out):
        out[...] = np.searchsorted(a, v, side)

    return Call(run, (Operand(0), Operand(1), OUT))


searchsorted = general(
    lambda a, v, *, side: np.searchsorted(a, v, side),
    None,
    None,
    name="searchsorted",
    abstract=lambda a, v, side: Aval(v.shape, INTEGER),
    into=_searchsorted_into,
    exact=exact.searchsorted,
    samples=lambda: [
        ((np.array([-1.0, 0.5, 0.5, 2.0]), np.array([[0.5, 3.0], [-2.0, 0.7]])), {"side": side})
        for side in ("left", "right")
    ],
    excuse=FLAT,
    examples=examples.searched_for,
    batch=_searchsorted_batch,
    device=lambda xp, a, v, *, side: xp.searchsorted(a, v, side),
)
