"""Scans along one axis: running sums, products and extremes, and the recurrence that their derivatives are made of.

``recurrence(a, b)`` is ``s[i] = a[i] s[i-1] + b[i]``.  The tangent of a running product is one, and so is what a
running maximum hands on from where it was last reached; its own derivative is one again, of any order, and none of
them divides by an element that may be zero.
"""

from __future__ import annotations

import numpy as np

from . import dependence, examples, scan_kernels
from . import exact_order as exact
from .batching import over_axis, spread_lanes
from .constructors import general, linear
from .record import OUT, REGISTRY, Aval, Call, Operand, literal

ADD, MULTIPLY = np.add.accumulate, np.multiply.accumulate


def _same(x, **params):
    return Aval(x.shape, x.dtype)


def _backwards(ndim, axis):
    return tuple(slice(None, None, -1) if i == axis else slice(None) for i in range(ndim))


def previous(x, axis: int, reverse: bool, first: float):
    """The element before each along an axis (``reverse``: the one after); ``first`` where there is none."""
    size = x.shape[axis]
    if size == 0:
        return x
    low, high = (1, size) if reverse else (0, size - 1)
    start = tuple(low if i == axis else 0 for i in range(len(x.shape)))
    stop = tuple(high if i == axis else extent for i, extent in enumerate(x.shape))
    part = REGISTRY["slice"](x, start=start, stop=stop, step=(1,) * len(start))
    edge = REGISTRY["broadcast_to"](literal(first, x), shape=(*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return REGISTRY["concatenate"](*((part, edge) if reverse else (edge, part)), axis=axis)


def _accumulated(accumulate):
    """``evaluate`` and ``into`` of a ufunc's ``accumulate``, in either direction."""

    def evaluate(x, *, axis, reverse):
        if not reverse:
            return accumulate(x, axis)
        back = _backwards(x.ndim, axis)
        return accumulate(x[back], axis)[back]

    def into(avals, *, axis, reverse):
        if not reverse:
            return Call(accumulate, (Operand(0), axis, None, OUT))
        back = _backwards(avals[0].ndim, axis)

        def run(x, out):
            accumulate(x[back], axis, None, out[back])

        return Call(run, (Operand(0), OUT))

    return evaluate, into


def _samples():
    x = np.array([[1.5, 0.0, -2.0], [0.5, -1.0, 0.0]])
    return [((x,), {"axis": axis, "reverse": reverse}) for axis in (0, 1) for reverse in (False, True)]


_sums, _sums_into = _accumulated(ADD)
cumsum = linear(
    _sums,
    lambda cotangent, x, wanted, axis, reverse: (
        cumsum(cotangent, axis=axis, reverse=not reverse) if wanted[0] else None,
    ),
    name="cumsum",
    depends=dependence.running,
    abstract=_same,
    into=_sums_into,
    flops=lambda avals, out, axis, reverse: float(out.size),
    samples=_samples,
    examples=examples.beside_axis,
    batch=over_axis("cumsum"),
    device=scan_kernels.rule("cumsum"),
)

# ---------------------------------------------------------------------------- the recurrence


def _run(a, s, axis, reverse):
    """``s`` holds ``b`` and is turned into the recurrence in place."""
    a, s = np.moveaxis(a, axis, 0), np.moveaxis(s, axis, 0)
    step = -1 if reverse else 1
    for i in range(len(s))[::step][1:]:
        s[i] += a[i] * s[i - step]


def _recurrence(a, b, *, axis, reverse):
    s = np.array(b)
    _run(a, s, axis, reverse)
    return s


def _recurrence_into(avals, *, axis, reverse):
    def run(a, b, out):
        out[...] = b
        _run(a, out, axis, reverse)

    return Call(run, (Operand(0), Operand(1), OUT))


def _recurrence_jvp(tangents, y, a, b, *, axis, reverse):
    ta, tb = tangents
    drive = tb
    if ta is not None:
        moved = ta * previous(y, axis, reverse, 0.0)
        drive = moved if tb is None else moved + tb
    return recurrence(a, drive, axis=axis, reverse=reverse)


def handed_back(a, cotangent, *, axis: int, reverse: bool):
    """The transpose of the recurrence in ``b``: it runs the other way, each element by its successor's factor."""
    return recurrence(previous(a, axis, not reverse, 0.0), cotangent, axis=axis, reverse=not reverse)


def _recurrence_vjp(cotangent, y, a, b, *, wanted, axis, reverse):
    pulled = handed_back(a, cotangent, axis=axis, reverse=reverse)
    return (
        pulled * previous(y, axis, reverse, 0.0) if wanted[0] else None,
        pulled if wanted[1] else None,
    )


def _recurrence_samples():
    a, b = np.array([[0.5, -1.5, 0.0], [2.0, 0.3, -0.7]]), np.array([[1.0, 2.0, -0.5], [0.25, -2.0, 3.0]])
    return [((a, b), {"axis": axis, "reverse": reverse}) for axis in (0, 1) for reverse in (False, True)]


def _recurrence_depends(table, a, b, *, axis, reverse):
    """The first factor multiplies nothing."""
    factors = np.array(a.ids)
    first = -1 if reverse else 0
    np.moveaxis(factors, axis, 0)[first : first + 1 or None] = 0
    return table.running(table.elementwise(factors, b.ids), axis, reverse)


recurrence = general(
    _recurrence,
    _recurrence_jvp,
    _recurrence_vjp,
    name="recurrence",
    depends=_recurrence_depends,
    abstract=lambda a, b, axis, reverse: Aval(b.shape, b.dtype),
    into=_recurrence_into,
    exact=exact.recurrence,
    flops=lambda avals, out, axis, reverse: 2.0 * out.size,
    samples=_recurrence_samples,
    examples=examples.beside_axis,
    batch=over_axis("recurrence"),
    device=scan_kernels.recurrence,
)

# ---------------------------------------------------------------------------- running products and extremes


def _cumprod_jvp(tangents, y, x, *, axis, reverse):
    return recurrence(x, tangents[0] * previous(y, axis, reverse, 1.0), axis=axis, reverse=reverse)


def _cumprod_vjp(cotangent, y, x, *, wanted, axis, reverse):
    if not wanted[0]:
        return (None,)
    return (handed_back(x, cotangent, axis=axis, reverse=reverse) * previous(y, axis, reverse, 1.0),)


_products, _products_into = _accumulated(MULTIPLY)
cumprod = general(
    _products,
    _cumprod_jvp,
    _cumprod_vjp,
    name="cumprod",
    depends=dependence.running,
    abstract=_same,
    into=_products_into,
    exact=exact.cumprod,
    samples=_samples,
    examples=examples.beside_axis,
    batch=over_axis("cumprod"),
    device=scan_kernels.rule("cumprod"),
)


def _reached(y, x, axis):
    """1 where the extreme so far is met, 1 where it stays what it was, and by how many elements it is met so far."""
    met = REGISTRY["cast"](REGISTRY["equal"](x, y), dtype=x.dtype.str)
    stays = REGISTRY["cast"](REGISTRY["equal"](y, previous(y, axis, False, 0.0)), dtype=x.dtype.str)
    count = recurrence(stays, met, axis=axis, reverse=False)
    return met, stays, REGISTRY["where"](REGISTRY["equal"](count, 0.0), 1.0, count)  # NaN is met by none


def _running_jvp(tangents, y, x, *, axis):
    met, stays, count = _reached(y, x, axis)
    return recurrence(stays, tangents[0] * met, axis=axis, reverse=False) / count


def _running_vjp(cotangent, y, x, *, wanted, axis):
    if not wanted[0]:
        return (None,)
    met, stays, count = _reached(y, x, axis)
    return (handed_back(stays, cotangent / count, axis=axis, reverse=False) * met,)


def _running(name, accumulate, rule):
    """A running extreme; elements that tie share its derivative equally, as in a reduction."""
    x = np.array([[1.5, 2.0, -2.0, 3.5], [0.5, -1.0, 4.0, -3.0]])
    return general(
        lambda x, *, axis: accumulate(x, axis),
        _running_jvp,
        _running_vjp,
        name=name,
        depends=dependence.running,
        abstract=_same,
        into=lambda avals, axis: Call(accumulate, (Operand(0), axis, None, OUT)),
        exact=rule,
        samples=lambda: [((x,), {"axis": axis}) for axis in (0, 1)],
        examples=examples.beside_axis,
        batch=over_axis(name),
        device=scan_kernels.rule(name),
    )


cummax = _running("cummax", np.maximum.accumulate, exact.cummax)
cummin = _running("cummin", np.minimum.accumulate, exact.cummin)

# ---------------------------------------------------------------------------- sliding products


def _placed(n, m):
    """Which elements of ``n`` each of the ``n - m + 1`` windows holds."""
    return np.arange(n - m + 1)[:, None] + np.arange(m)


def _slide_a(cotangent, v):
    """Every element's share: the cotangents slide over it, weights reversed."""
    edge = v.shape[0] - 1
    wide = REGISTRY["pad"](cotangent, widths=((edge, edge),))
    return slide(wide, REGISTRY["slice"](v, start=(edge,), stop=(-1,), step=(-1,)))


def _slide_jvp(tangents, y, a, v):
    ta, tv = tangents
    left = None if ta is None else slide(ta, v)
    right = None if tv is None else slide(a, tv)
    if left is None or right is None:
        return right if left is None else left
    return left + right


def _slide_vjp(cotangent, y, a, v, *, wanted):
    return (_slide_a(cotangent, v) if wanted[0] else None, slide(a, cotangent) if wanted[1] else None)


def _slide_batch(size, flags, a, v):
    a, v = (spread_lanes(size, flag, operand) for flag, operand in zip(flags, (a, v), strict=True))
    (_, n), (_, m) = a.shape, v.shape
    windows = REGISTRY["gather"](a, _placed(n, m), axes=(1,))
    product = REGISTRY["matmul"](windows, REGISTRY["reshape"](v, shape=(size, m, 1)))
    return REGISTRY["reshape"](product, shape=(size, n - m + 1))


def _slide(a, v):
    return np.convolve(a, v[::-1], "valid")  # no conjugate, unlike np.correlate


def _slide_depends(table, a, v):
    windows = np.lib.stride_tricks.sliding_window_view(a.ids, v.ids.shape[0])
    return table.elementwise(table.along(windows, (1,)), table.along(v.ids, (0,), keep=True))


slide = general(
    _slide,
    _slide_jvp,
    _slide_vjp,
    name="slide",
    depends=_slide_depends,
    abstract=lambda a, v: Aval((a.shape[0] - v.shape[0] + 1,), a.dtype),
    exact=exact.slide,
    flops=lambda avals, out: 2.0 * out.size * avals[1].size,
    samples=lambda: [
        ((np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.5, 2.0])), {}),
        ((np.array([1.0, -2.0, 0.5]), np.array([0.5, 2.0, -1.0])), {}),
    ],
    examples="slides one vector along another",
    batch=_slide_batch,
    device=scan_kernels.slide,
)
