"""Indexing on a GPU: one thread for each element of the result, which reads the index arrays itself.

An index out of range, which NumPy refuses, gives NaN when it gathers (0 for integers) and adds nothing when it
scatters: a kernel cannot raise.  Additions to one place are in ``scatter_kernels.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .raw_kernels import Layout, Text, c_type, empty, launch, offset, split
from .record import broadcast_shapes


def places(prefix: str, shape: Sequence[int]) -> list[str]:
    """A name for the position along each axis."""
    return [f"{prefix}{axis}" for axis in range(len(shape))]


def index_axes(axes: tuple[int, ...]) -> int:
    """Where NumPy puts the index arrays' own axes in the result: in place of adjacent ones, at the front otherwise."""
    return axes[0] if tuple(axes) == tuple(range(axes[0], axes[0] + len(axes))) else 0


def read_index(position: int, index: Layout, names: Sequence[str], size: int) -> str:
    """Statements that define ``t`` and the position, counted from the front; ``inside`` falls where out of range.

    Args:
        position: of the operand among those of the kernel.
        index: its layout.
        names: of the positions along all axes of the index arrays, to whose last ones it is aligned.
        size: of the axis that it indexes.

    Returns:
        C++ statements.
    """
    own = list(names[len(names) - len(index.shape) :])
    strides = [0 if extent == 1 else step for extent, step in zip(index.shape, index.strides, strict=True)]
    name = f"t{position}"
    return f"""
        long long {name} = (long long)x{position}[{offset(own, strides)}];
        if ({name} < 0) {name} += {size};
        inside = inside && {name} >= 0 && {name} < {size};"""


# ---------------------------------------------------------------------------- gathering


def gather(xp: Any, x: Any, *indices: Any, axes: tuple[int, ...], out: Any = None) -> Any:
    """Elements of x at index arrays.

    Args:
        xp: ``cupy``.
        x: any array.
        indices: integers, one array for each indexed axis; they broadcast.
        axes: those that are indexed.
        out: the array to fill.

    Returns:
        An array as NumPy shapes it.
    """
    index_shape = broadcast_shapes(*[index.shape for index in indices])
    rest = [size for axis, size in enumerate(x.shape) if axis not in axes]
    at = index_axes(axes)
    out = empty(xp, out, (*rest[:at], *index_shape, *rest[at:]), x.dtype)
    return launch(xp, "gather", _gather_text, [x, *indices], out, axes=axes)


def _gather_text(x: Layout, *others: Layout, axes: tuple[int, ...]) -> Text:
    *indices, out = others
    names = places("p", out.shape)
    index_ndim = max(len(index.shape) for index in indices)
    at = index_axes(axes)
    own = names[at : at + index_ndim]
    rest = iter(names[:at] + names[at + index_ndim :])
    found = dict(zip(axes, [f"(I)t{position}" for position in range(1, len(indices) + 1)], strict=True))
    where = [found[axis] if axis in found else next(rest) for axis in range(len(x.shape))]
    read = "".join(
        read_index(position, index, own, x.shape[axis])
        for position, (index, axis) in enumerate(zip(indices, axes, strict=True), 1)
    )
    body = f"""
        {split("i", names, out.shape)}
        bool inside = true;
        {read}
        out[{offset(names, out.strides)}] = inside ? x0[{offset(where, x.strides)}] : {_missing(x.dtype)};"""
    return Text(out.size, body)


def _missing(dtype: np.dtype) -> str:
    """What stands for an element that there is not."""
    kind = c_type(dtype)
    if dtype.kind not in "fc":
        return f"({kind})0"
    real = "double" if dtype.char in "dD" else "float"
    nan = "__longlong_as_double(0x7ff8000000000000ll)" if real == "double" else "__int_as_float(0x7fc00000)"
    return f"{kind}({nan})"


def pick(xp: Any, x: Any, index: Any, *, out: Any = None) -> Any:
    """Rows of x at positions; see ``gather``."""
    return gather(xp, x, index, axes=(0,), out=out)


# ---------------------------------------------------------------------------- placing


def unslice(xp: Any, g: Any, *, start: Any, stop: Any, step: Any, shape: tuple[int, ...], out: Any = None) -> Any:
    """Zeros with an array in place of a slice.

    Args:
        xp: ``cupy``.
        g: what stands in the slice.
        start: of the slice along each axis.
        stop: of the slice along each axis.
        step: of the slice along each axis.
        shape: of the result.
        out: the array to fill.

    Returns:
        An array of that shape.
    """
    params = {"start": start, "stop": stop, "step": step, "shape": shape}
    return launch(xp, "unslice", _unslice_text, [g], empty(xp, out, shape, g.dtype), **params)


def _unslice_text(g: Layout, out: Layout, start: Any, stop: Any, step: Any, shape: Any) -> Text:
    names = places("p", shape)
    conditions, where = ["true"], []
    for name, size, count, a, c in zip(names, shape, g.shape, start, step, strict=True):
        ahead = f"{name} - {a}" if c > 0 else f"{a} - {name}"
        stride = abs(c)
        if stride == 1 and a == 0 and count == size:
            where.append(name)
            continue
        conditions.append(f"{ahead} >= 0 && {ahead} < {count * stride}")
        if stride > 1:
            conditions.append(f"({ahead}) % {stride} == 0")
        where.append(f"({ahead}) / {stride}" if stride > 1 else ahead)
    kind = c_type(out.dtype)
    zero = f"{kind}(0.0f)" if out.dtype.char == "e" else f"({kind})0"
    body = f"""
        {split("i", names, shape)}
        const bool held = {" && ".join(conditions)};
        out[{offset(names, out.strides)}] = held ? x0[{offset(where, g.strides)}] : {zero};"""
    return Text(out.size, body)


def put(xp: Any, base: Any, part: Any, index: Any, *, shape: Any, axes: tuple[int, ...], out: Any = None) -> Any:
    """For every lane a common value with a part of its own at one place.

    Args:
        xp: ``cupy``.
        base: the common value.
        part: one for each lane, on the leading axis.
        index: for each lane the place along some axes, counted as in a flat array of them.
        shape: of a lane.
        axes: those along which a place is counted.
        out: the array to fill.

    Returns:
        An array of shape (lanes, *shape).
    """
    rest = [size for axis, size in enumerate(shape) if axis not in axes]
    lanes = index.size
    out = empty(xp, out, (lanes, *shape), part.dtype)
    operands = [xp.broadcast_to(base, (lanes, *shape)), part.reshape(lanes, *rest), index.reshape(lanes)]
    return launch(xp, "put", _put_text, operands, out, shape=shape, axes=axes)


def _put_text(base: Layout, part: Layout, index: Layout, out: Layout, shape: Any, axes: tuple[int, ...]) -> Text:
    names = places("p", out.shape)
    flat, along = 1, []
    for axis in reversed(axes):
        along.append(f"(long long){names[axis + 1]} * {flat}")
        flat *= shape[axis]
    mine = [name for axis, name in enumerate(names) if axis == 0 or axis - 1 not in axes]
    body = f"""
        {split("i", names, out.shape)}
        const bool held = (long long)x2[{offset(names[:1], index.strides)}] == {" + ".join(along) or "0"};
        out[{offset(names, out.strides)}]
            = held ? x1[{offset(mine, part.strides)}] : ({c_type(part.dtype)})x0[{offset(names, base.strides)}];"""
    return Text(out.size, body)
