"""Indexing: ``slice`` and ``gather`` with their transposes ``unslice`` and ``scatter_add``."""

from __future__ import annotations

import builtins

import numpy as np

from . import dependence, example_indices, examples, index_kernels, scatter_kernels
from .batching import spread_lanes, widen
from .constructors import linear
from .record import OUT, Aval, Call, Operand, broadcast_shapes, zeros
from .shape import inverse, transpose


def _slices(start, stop, step):
    """Python slices; a negative step that runs past the front needs ``None`` as its stop."""
    return tuple(builtins.slice(a, None if b < 0 else b, c) for a, b, c in zip(start, stop, step, strict=True))


def slice_sizes(start, stop, step) -> tuple[int, ...]:
    """Elements that each slice takes."""
    return tuple(len(range(a, b, c)) for a, b, c in zip(start, stop, step, strict=True))


def _slice_transpose(cotangent, x, *, wanted, start, stop, step):
    return (unslice(cotangent, start=start, stop=stop, step=step, shape=x.shape) if wanted[0] else None,)


def _with_lanes(size, start, stop, step):
    return {"start": (0, *start), "stop": (size, *stop), "step": (1, *step)}


SLICES = [
    {"start": (0, 1), "stop": (2, 4), "step": (1, 2)},
    {"start": (1, 3), "stop": (-1, 0), "step": (-1, -1)},
    {"start": (1, 0), "stop": (1, 4), "step": (1, 1)},
]

slice = linear(
    lambda x, *, start, stop, step: x[(*_slices(start, stop, step), ...)],  # with the dots a view at 0 axes, too
    _slice_transpose,
    name="slice",
    abstract=lambda x, start, stop, step: Aval(slice_sizes(start, stop, step), x.dtype),
    view=True,
    examples=examples.cut,
    batch=lambda size, flags, x, start, stop, step: slice(x, **_with_lanes(size, start, stop, step)),
    samples=lambda: [((np.arange(8.0).reshape(2, 4),), params) for params in SLICES],
)


def _unslice(g, *, start, stop, step, shape):
    out = zeros(shape, g)
    out[_slices(start, stop, step)] = g
    return out


def _unslice_into(avals, *, start, stop, step, shape):
    region = _slices(start, stop, step)

    def run(g, out):
        out.fill(0)
        out[region] = g

    return Call(run, (Operand(0), OUT))


unslice = linear(
    _unslice,
    lambda cotangent, g, wanted, start, stop, step, shape: (
        slice(cotangent, start=start, stop=stop, step=step) if wanted[0] else None,
    ),
    name="unslice",
    depends=dependence.moved(_unslice),
    abstract=lambda g, start, stop, step, shape: Aval(shape, g.dtype),
    into=_unslice_into,
    examples=examples.uncut,
    batch=lambda size, flags, g, start, stop, step, shape: unslice(
        g, **_with_lanes(size, start, stop, step), shape=(size, *shape)
    ),
    device=index_kernels.unslice,
    samples=lambda: [
        ((np.arange(1.0, 1.0 + np.prod(slice_sizes(**p))).reshape(slice_sizes(**p)),), {**p, "shape": (2, 4)})
        for p in SLICES
    ],
)


def _position(ndim, axes, indices):
    place = dict(zip(axes, indices, strict=True))
    return tuple(place.get(axis, builtins.slice(None)) for axis in range(ndim))


def is_adjacent(axes: tuple[int, ...]) -> bool:
    """Whether the indexed axes follow one another."""
    return tuple(axes) == tuple(range(axes[0], axes[0] + len(axes)))


def index_place(axes: tuple[int, ...]) -> int:
    """The axis at which NumPy puts the index arrays' own axes: in place of adjacent ones, at the front otherwise."""
    return axes[0] if is_adjacent(axes) else 0


def gathered_shape(shape, axes, index_shapes) -> tuple[int, ...]:
    """The shape of ``gather``: NumPy's rule for index arrays at ``axes`` and full slices elsewhere."""
    index_shape = broadcast_shapes(*index_shapes)
    rest = [size for axis, size in enumerate(shape) if axis not in axes]
    at = index_place(axes)
    return (*rest[:at], *index_shape, *rest[at:])


def _gather_transpose(cotangent, x, *indices, wanted, axes):
    result = scatter_add(cotangent, *indices, shape=x.shape, axes=axes) if wanted[0] else None
    return (result, *[None] * len(indices))


def _move(x, order):
    return x if order == tuple(range(len(order))) else transpose(x, axes=order)


def _lanes_first(at, ndim):
    """The order of axes that brings axis ``at`` to the front."""
    return (at, *range(at), *range(at + 1, ndim))


def _lane_indices(size, flags, indices):
    """An index array that counts the lanes, the indices aligned with it, and how many axes a lane's index has."""
    index_ndim = max(len(index.shape) - flag for index, flag in zip(indices, flags, strict=True))
    aligned = [widen(index, index_ndim) if flag else index for index, flag in zip(indices, flags, strict=True)]
    return [np.arange(size).reshape(size, *(1,) * index_ndim), *aligned], index_ndim


def _lane_order(axes, index_ndim, ndim):
    """Where a lane's axes stand once lanes are indexed as well, which puts all index axes first."""
    at = index_place(axes)
    rest = range(index_ndim + 1, ndim + 1)
    return (0, *rest[:at], *range(1, index_ndim + 1), *rest[at:])


def _gather_lanes(size, flags, x, *indices, axes):
    shifted = tuple(axis + 1 for axis in axes)
    if not any(flags[1:]):
        result = gather(x, *indices, axes=shifted)
        return _move(result, _lanes_first(_lanes_place(axes, indices), len(result.shape)))
    lanes, index_ndim = _lane_indices(size, flags[1:], indices)
    if not flags[0]:
        result = gather(x, *lanes[1:], axes=axes)
        return _move(result, _lanes_first(index_place(axes), len(result.shape)))
    result = gather(x, *lanes, axes=(0, *shifted))
    return _move(result, _lane_order(axes, index_ndim, len(result.shape) - 1))


def _lanes_place(axes, indices):
    """The axis of the lanes where only the operand has some: after index axes that NumPy puts first."""
    return 0 if is_adjacent(axes) else max(len(index.shape) for index in indices)


def _scatter_lanes(size, flags, g, *indices, shape, axes):
    shifted = tuple(axis + 1 for axis in axes)
    if not any(flags[1:]):
        order = _lanes_first(_lanes_place(axes, indices), len(g.shape))
        return scatter_add(_move(g, inverse(order)), *indices, shape=(size, *shape), axes=shifted)
    lanes, index_ndim = _lane_indices(size, flags[1:], indices)
    g = spread_lanes(size, flags[0], g)
    g = _move(g, inverse(_lane_order(axes, index_ndim, len(g.shape) - 1)))
    return scatter_add(g, *lanes, shape=(size, *shape), axes=(0, *shifted))


def _gather_into(avals, *, axes):
    ndim = len(avals[0].shape)

    def run(x, *rest):
        out = rest[-1]
        out[...] = x[_position(ndim, axes, rest[:-1])]

    return Call(run, (*map(Operand, range(len(avals))), OUT))


def _gather_samples():
    x = np.arange(12.0).reshape(3, 4)
    rows = np.array([0, 2, 2])
    columns = np.array([1, 0, 1])
    return [
        ((x, rows, columns), {"axes": (0, 1)}),
        ((x, rows), {"axes": (0,)}),
        ((x, np.array([[1, 1], [3, 0]])), {"axes": (1,)}),
    ]


def _gather_depends(table, x, *indices, axes):
    """Along axes whose indices are not known it depends on all there is."""
    values = [index.value for index in indices]
    unknown = [axis for axis, value in zip(axes, values, strict=True) if value is None]
    ids = x.ids
    if unknown:
        table.note("where it looks is known only when it runs")
        ids = table.along(ids, unknown, keep=True)
    found = [np.zeros(i.aval.shape, int) if v is None else v for i, v in zip(indices, values, strict=True)]
    return ids[_position(ids.ndim, axes, found)]


gather = linear(
    lambda x, *indices, axes: x[_position(x.ndim, axes, indices)],
    _gather_transpose,
    name="gather",
    depends=_gather_depends,
    abstract=lambda x, *indices, axes: Aval(gathered_shape(x.shape, axes, [index.shape for index in indices]), x.dtype),
    into=_gather_into,
    samples=_gather_samples,
    moving=1,
    examples=example_indices.gathered,
    batch=_gather_lanes,
    device=index_kernels.gather,
)


def _scatter_add(g, *indices, shape, axes):
    out = zeros(shape, g)
    np.add.at(out, _position(len(shape), axes, indices), g)
    return out


def _scatter_into(avals, *, shape, axes):
    def run(g, *rest):
        out = rest[-1]
        out.fill(0)
        np.add.at(out, _position(len(shape), axes, rest[:-1]), g)

    return Call(run, (*map(Operand, range(len(avals))), OUT))


def _scatter_samples():
    result = []
    for (x, *indices), params in _gather_samples():
        shape = gathered_shape(x.shape, params["axes"], [i.shape for i in indices])
        g = np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)
        result.append(((g, *indices), {"shape": x.shape, **params}))
    return result


def _scatter_depends(table, g, *indices, shape, axes):
    """Along axes whose indices are not known it may go anywhere."""
    values = [index.value for index in indices]
    unknown = [axis for axis, value in zip(axes, values, strict=True) if value is None]
    if unknown:
        table.note("where it adds is known only when it runs")
    small = tuple(1 if axis in unknown else size for axis, size in enumerate(shape))
    found = [np.zeros(i.aval.shape, int) if v is None else v for i, v in zip(indices, values, strict=True)]
    targets = dependence.places(small)
    union = table.grouped(targets[_position(len(shape), axes, found)], g.ids, targets.size).reshape(small)
    return np.broadcast_to(union, shape)


scatter_add = linear(
    _scatter_add,
    lambda cotangent, g, *indices, wanted, shape, axes: (
        gather(cotangent, *indices, axes=axes) if wanted[0] else None,
        *[None] * len(indices),
    ),
    name="scatter_add",
    depends=_scatter_depends,
    abstract=lambda g, *indices, shape, axes: Aval(shape, g.dtype),
    into=_scatter_into,
    samples=_scatter_samples,
    moving=1,
    examples=example_indices.scattered,
    batch=_scatter_lanes,
    device=scatter_kernels.scatter_add,
)
