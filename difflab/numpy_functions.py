"""NumPy's functions in terms of primitives: arguments are normalised here, so that few primitives reach the tape."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .builder import aval_of
from .errors import TraceError, user_location
from .primitives import REGISTRY
from .primitives.record import Traced, composite
from .primitives.shape import infer
from .tracing import CAST, FUNCTIONS, REDUCTIONS, UFUNCS, TracedArray, _kind, apply_ufunc, floating, innermost

BIND = REGISTRY.records
NOTHING = np._NoValue  # what NumPy's own signatures use for "not given"


def implements(*functions: Callable) -> Callable[[Callable], Callable]:
    """Register the decorated function as ours for the given NumPy functions."""

    def register(ours: Callable) -> Callable:
        for function in functions:
            FUNCTIONS[function] = ours
        return ours

    return register


def lifted(*values: Any) -> list[Any]:
    """The operands as traced arrays of the innermost trace among them."""
    builder = innermost(values)
    return [builder.lift(value if isinstance(value, Traced | int | float) else np.asarray(value)) for value in values]


def promoted(values: Sequence[Any]) -> list[Any]:
    """The operands in their common dtype, for functions that make arrays of them first: no number is weak there."""
    builder = innermost(values)
    dtype = np.result_type(*[v.dtype if isinstance(v, Traced) else np.asarray(v).dtype for v in values])
    return [builder.promoted(v if isinstance(v, Traced | int | float | bool) else np.asarray(v), dtype) for v in values]


def refuse(name: str, **arguments: Any) -> None:
    """An error naming the first argument that was given and is not supported."""
    for key, value in arguments.items():
        if value is not None and value is not NOTHING and value is not True:
            raise TraceError(f"np.{name} at {user_location()}: the argument {key!r} is not supported on a traced array")


def normal_axis(axis: Any, ndim: int, name: str) -> int:
    """A non-negative axis."""
    axis = operator.index(axis)
    if not -ndim <= axis < ndim:
        raise TraceError(f"np.{name} at {user_location()}: axis {axis} is out of bounds for {ndim} dimensions")
    return axis % ndim


def normal_axes(axis: Any, ndim: int, name: str) -> tuple[int, ...]:
    """A sorted tuple of non-negative axes; ``None`` means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(normal_axis(a, ndim, name) for a in (axis if isinstance(axis, tuple | list) else (axis,)))
    if len(set(axes)) != len(axes):
        raise TraceError(f"np.{name} at {user_location()}: an axis is named twice in {axis}")
    return tuple(sorted(axes))


# ---------------------------------------------------------------------------- reductions


def asked(keepdims: Any) -> bool:
    """Whether ``keepdims`` was given and is true."""
    return keepdims is not NOTHING and bool(keepdims)


def keep(result: Any, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: Any) -> Any:
    """Put size-1 axes back where they were asked for."""
    if asked(keepdims):
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
        return BIND["reshape"](result, shape=kept)
    return result


def _reduction(name: str) -> Callable:
    def reduce(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
        refuse(name, initial=initial, where=where)
        (a,) = lifted(a)
        if dtype is not None:
            a = a.astype(dtype)
        elif name == "sum" and a.dtype.kind in "bui" and a.dtype.itemsize < 8:
            a = a.astype(np.add.reduce(np.zeros(1, a.dtype)).dtype)  # NumPy sums small integers in the platform's own
        axes = normal_axes(axis, a.ndim, name)
        if not axes:
            return a
        return keep(BIND[name](a, axes=axes), a.shape, axes, keepdims)

    return reduce


REDUCTIONS.update({np.add: _reduction("sum"), np.maximum: _reduction("max"), np.minimum: _reduction("min")})


@implements(np.sum)
def sum(a, axis=None, dtype=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.add](a, axis, dtype, out, keepdims, initial, where)


@implements(np.max, np.amax)
def max(a, axis=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.maximum](a, axis, None, out, keepdims, initial, where)


@implements(np.min, np.amin)
def min(a, axis=None, out=None, keepdims=NOTHING, initial=NOTHING, where=NOTHING):
    return REDUCTIONS[np.minimum](a, axis, None, out, keepdims, initial, where)


@composite("mean")
def _mean(a, *, axes, keepdims):
    count = math.prod(a.shape[axis] for axis in axes)
    return keep(BIND["sum"](a, axes=axes), a.shape, axes, keepdims) / count


@implements(np.mean)
def mean(a, axis=None, dtype=None, out=None, keepdims=NOTHING, where=NOTHING):
    refuse("mean", where=where)
    a = floating(lifted(a)[0] if dtype is None else a.astype(dtype))
    axes = normal_axes(axis, a.ndim, "mean")
    return _mean(a, axes=axes, keepdims=asked(keepdims)) if axes else a


@composite("var")
def _var(a, *, axes, ddof, keepdims):
    count = math.prod(a.shape[axis] for axis in axes)
    centred = a - _mean(a, axes=axes, keepdims=True)
    return keep(BIND["sum"](centred * centred, axes=axes), a.shape, axes, keepdims) / (count - ddof)


@implements(np.var)
def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NOTHING, where=NOTHING, mean=NOTHING, correction=NOTHING):
    refuse("var", where=where, mean=mean, correction=correction)
    a = floating(lifted(a)[0] if dtype is None else a.astype(dtype))
    return _var(a, axes=normal_axes(axis, a.ndim, "var"), ddof=ddof, keepdims=asked(keepdims))


@implements(np.std)
def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=NOTHING, where=NOTHING, mean=NOTHING, correction=NOTHING):
    refuse("std", where=where, mean=mean, correction=correction)
    return np.sqrt(var(a, axis, dtype, None, ddof, keepdims))


def _arg(name: str) -> Callable:
    def arg(a, axis=None, out=None, *, keepdims=NOTHING):
        if axis is None:
            flat = np.ravel(a)
            return keep(BIND[name](flat, axis=0), a.shape, tuple(range(a.ndim)), keepdims)
        axis = normal_axis(axis, a.ndim, name)
        return keep(BIND[name](a, axis=axis), a.shape, (axis,), keepdims)

    return arg


implements(np.argmax)(_arg("argmax"))
implements(np.argmin)(_arg("argmin"))


@composite("norm")
def _norm(x, *, axes, keepdims):
    total = BIND["sum"](BIND["square"](x), axes=axes)
    # norm'(0) = 0 by the kink table, while sqrt'(0) = inf: at zero the root is taken of one and its value put aside.
    zero = total == 0
    root = np.where(zero, 0.0, np.sqrt(np.where(zero, 1.0, total)))
    return keep(root, x.shape, axes, keepdims)


@implements(np.linalg.norm)
def norm(x, ord=None, axis=None, keepdims=False):
    axes = normal_axes(axis, x.ndim, "linalg.norm")
    if not (ord is None or (ord == 2 and len(axes) == 1) or (ord == "fro" and len(axes) == 2)):
        raise TraceError(
            f"np.linalg.norm at {user_location()}: only the 2-norm and the Frobenius norm are known, not ord={ord!r}"
        )
    return _norm(floating(x), axes=axes, keepdims=bool(keepdims))


# ---------------------------------------------------------------------------- shape


@implements(np.reshape)
def reshape(a, /, shape=None, order="C", *, newshape=None, copy=None):
    if order != "C":
        raise TraceError(f"np.reshape at {user_location()}: only order='C' is supported on a traced array")
    shape = newshape if shape is None else shape
    target = tuple(operator.index(s) for s in shape) if isinstance(shape, tuple | list) else (operator.index(shape),)
    target = infer(target, a.size)
    if math.prod(target) != a.size or any(entry < 0 for entry in target):
        raise TraceError(f"np.reshape at {user_location()}: cannot reshape {a.shape} to {shape}")
    return a if target == a.shape else BIND["reshape"](a, shape=target)


@implements(np.ravel)
def ravel(a, order="C"):
    return reshape(a, (-1,) if a.size else (0,), order)


@implements(np.transpose, np.permute_dims)
def transpose(a, axes=None):
    axes = tuple(reversed(range(a.ndim))) if axes is None else tuple(normal_axis(x, a.ndim, "transpose") for x in axes)
    if sorted(axes) != list(range(a.ndim)):
        raise TraceError(f"np.transpose at {user_location()}: axes {axes} do not fit {a.ndim} dimensions")
    return a if axes == tuple(range(a.ndim)) else BIND["transpose"](a, axes=axes)


@implements(np.swapaxes)
def swapaxes(a, axis1, axis2):
    axes = list(range(a.ndim))
    i, j = normal_axis(axis1, a.ndim, "swapaxes"), normal_axis(axis2, a.ndim, "swapaxes")
    axes[i], axes[j] = axes[j], axes[i]
    return transpose(a, axes)


@implements(np.moveaxis)
def moveaxis(a, source, destination):
    sources = [normal_axis(s, a.ndim, "moveaxis") for s in (source if isinstance(source, tuple | list) else [source])]
    targets = destination if isinstance(destination, tuple | list) else [destination]
    order = [axis for axis in range(a.ndim) if axis not in sources]
    for target, axis in sorted(zip([normal_axis(t, a.ndim, "moveaxis") for t in targets], sources, strict=True)):
        order.insert(target, axis)
    return transpose(a, order)


@implements(np.expand_dims)
def expand_dims(a, axis):
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = a.ndim + len(axes)
    places = normal_axes(tuple(axes), ndim, "expand_dims")
    rest = iter(a.shape)
    return reshape(a, tuple(1 if i in places else next(rest) for i in range(ndim)))


@implements(np.squeeze)
def squeeze(a, axis=None):
    ones = tuple(i for i, size in enumerate(a.shape) if size == 1)
    axes = ones if axis is None else normal_axes(axis, a.ndim, "squeeze")
    if not set(axes) <= set(ones):
        raise TraceError(f"np.squeeze at {user_location()}: axis {axis} of shape {a.shape} is not of size 1")
    return reshape(a, tuple(size for i, size in enumerate(a.shape) if i not in axes))


@implements(np.broadcast_to)
def broadcast_to(array, shape, subok=False):
    shape = tuple(map(operator.index, shape)) if isinstance(shape, tuple | list) else (operator.index(shape),)
    fits = len(array.shape) <= len(shape) and all(
        size in (1, target) for size, target in zip(reversed(array.shape), reversed(shape), strict=False)
    )
    if not fits:
        raise TraceError(f"np.broadcast_to at {user_location()}: {array.shape} does not broadcast to {shape}")
    return array if shape == array.shape else BIND["broadcast_to"](array, shape=shape)


@implements(np.concatenate)
def concatenate(arrays, axis=0, out=None, *, dtype=None, casting=None):
    refuse("concatenate", dtype=dtype, casting=casting)
    values = promoted(list(arrays))
    if axis is None:
        values, axis = [ravel(value) for value in values], 0
    axis = normal_axis(axis, values[0].ndim, "concatenate")
    rests = {value.shape[:axis] + value.shape[axis + 1 :] for value in values}
    if len(rests) != 1:
        raise TraceError(
            f"np.concatenate at {user_location()}: shapes {[v.shape for v in values]} differ beside axis {axis}"
        )
    return values[0] if len(values) == 1 else BIND["concatenate"](*values, axis=axis)


@implements(np.stack)
def stack(arrays, axis=0, out=None, *, dtype=None, casting=None):
    refuse("stack", dtype=dtype, casting=casting)
    values = promoted(list(arrays))
    if len({value.shape for value in values}) != 1:
        raise TraceError(f"np.stack at {user_location()}: shapes {[value.shape for value in values]} differ")
    axis = normal_axis(axis, values[0].ndim + 1, "stack")
    return concatenate([expand_dims(value, axis) for value in values], axis)


@implements(np.vstack)
def vstack(tup, *, dtype=None, casting=None):
    refuse("vstack", dtype=dtype, casting=casting)
    return concatenate([v if v.ndim > 1 else reshape(v, (1, v.size)) for v in promoted(list(tup))], 0)


@implements(np.hstack)
def hstack(tup, *, dtype=None, casting=None):
    refuse("hstack", dtype=dtype, casting=casting)
    values = [v if v.ndim else reshape(v, (1,)) for v in promoted(list(tup))]
    return concatenate(values, 0 if values[0].ndim == 1 else 1)


@implements(np.pad)
def pad(array, pad_width, mode="constant", **kwargs):
    if mode != "constant" or kwargs.get("constant_values", 0) != 0:
        raise TraceError(f"np.pad at {user_location()}: only mode='constant' with zeros is supported on a traced array")
    pairs = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2))
    if np.any(pairs < 0):
        raise TraceError(f"np.pad at {user_location()}: pad_width {pad_width!r} is negative")
    return BIND["pad"](array, widths=tuple((int(low), int(high)) for low, high in pairs))


@implements(np.flip)
def flip(m, axis=None):
    axes = normal_axes(axis, m.ndim, "flip")
    return m[tuple(slice(None, None, -1) if i in axes else slice(None) for i in range(m.ndim))]


# ---------------------------------------------------------------------------- what is known without computing


@implements(np.shape)
def shape(a):
    return a.shape


@implements(np.ndim)
def ndim(a):
    return a.ndim


@implements(np.size)
def size(a, axis=None):
    return a.size if axis is None else a.shape[axis]


@implements(np.zeros_like)
def zeros_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return np.zeros(a.shape if shape is None else shape, dtype or a.dtype)


@implements(np.ones_like)
def ones_like(a, dtype=None, order="K", subok=True, shape=None, *, device=None):
    return np.ones(a.shape if shape is None else shape, dtype or a.dtype)


@implements(np.full_like)
def full_like(a, fill_value, dtype=None, order="K", subok=True, shape=None, *, device=None):
    target = tuple(a.shape if shape is None else shape)
    if isinstance(fill_value, TracedArray):
        return broadcast_to(fill_value.astype(dtype or a.dtype), target)
    return np.full(target, fill_value, dtype or a.dtype)


@implements(np.copy)
def copy(a, order="K", subok=False):
    return a


# ---------------------------------------------------------------------------- choices and powers


@implements(np.where)
def where(condition, x=NOTHING, y=NOTHING):
    if x is NOTHING or y is NOTHING:
        raise TraceError(
            f"np.where with one argument at {user_location()} has a result whose shape depends on data; "
            "give it both values to choose from"
        )
    builder = innermost((condition, x, y))
    condition = builder.promoted(condition, np.dtype(bool))
    if not isinstance(x, Traced) and not isinstance(y, Traced):
        x, y = np.asarray(x), np.asarray(y)
        dtype = np.result_type(x, y)
    else:
        dtype = np.result_type(*[k(0) if isinstance(k, type) else k for k in (_kind(x), _kind(y))])
    return builder.bind(BIND["where"], (condition, builder.promoted(x, dtype), builder.promoted(y, dtype)), {})


@implements(np.clip)
def clip(a, a_min=NOTHING, a_max=NOTHING, out=None, *, min=NOTHING, max=NOTHING, **kwargs):
    refuse("clip", **kwargs)
    low = min if a_min is NOTHING else a_min
    high = max if a_max is NOTHING else a_max
    if low is not None and low is not NOTHING:
        a = np.maximum(a, low)
    if high is not None and high is not NOTHING:
        a = np.minimum(a, high)
    return a


@implements(np.power)
def power(x1, x2):
    if type(x2) is int and isinstance(x1, TracedArray) and x1.dtype.kind in "fc":
        if x2 == 2:
            result = BIND["square"](x1)
        elif x2 == 1:
            return x1
        else:
            result = BIND["integer_power"](x1, n=x2)
        return result.weakened() if x1.weak else result
    return apply_ufunc(np.power, (x1, x2))


@implements(np.positive)
def positive(x):
    return x


def _logical(name: str) -> Callable:
    def logical(*operands):
        builder = innermost(operands)
        if any(_kind(operand) != np.dtype(bool) for operand in operands):
            raise TraceError(f"np.{name} at {user_location()}: only boolean arrays can be combined on a traced array")
        return builder.bind(UFUNCS[getattr(np, name)], [builder.lift(operand) for operand in operands], {})

    return logical


implements(np.bitwise_and, np.logical_and)(_logical("logical_and"))
implements(np.bitwise_or, np.logical_or)(_logical("logical_or"))
implements(np.invert, np.logical_not)(_logical("logical_not"))


@implements(np.true_divide)
def true_divide(x1, x2):
    return apply_ufunc(np.divide, (x1, x2))


# ---------------------------------------------------------------------------- products


@implements(np.matmul)
def matmul(x1, x2):
    a, b = promoted((x1, x2))
    if not a.ndim or not b.ndim:
        raise TraceError(f"matmul at {user_location()}: a scalar operand; use * instead")
    if a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise TraceError(f"matmul at {user_location()}: shapes {a.shape} and {b.shape} do not fit")
    left = a if a.ndim > 1 else reshape(a, (1, a.size))
    right = b if b.ndim > 1 else reshape(b, (b.size, 1))
    if right.ndim == 2 and left.ndim > 2:  # one large product instead of many small ones
        rows = reshape(left, (math.prod(left.shape[:-1]), left.shape[-1]))
        result = reshape(BIND["matmul"](rows, right), (*left.shape[:-1], right.shape[-1]))
    else:
        result = BIND["matmul"](left, right)
    rows_out = result.shape[-2:-1] if a.ndim > 1 else ()
    columns_out = result.shape[-1:] if b.ndim > 1 else ()
    return reshape(result, (*result.shape[:-2], *rows_out, *columns_out))


@implements(np.dot)
def dot(a, b, out=None):
    a, b = promoted((a, b))
    if not a.ndim or not b.ndim:
        return a * b
    if b.ndim <= 2:
        return matmul(a, b)
    return np.tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 2,)))


@implements(np.tensordot)
def tensordot(a, b, axes=2):
    a, b = promoted((a, b))
    if isinstance(axes, int):
        first, second = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        first, second = [tuple(x) if isinstance(x, tuple | list) else (x,) for x in axes]
    first = tuple(normal_axis(x, a.ndim, "tensordot") for x in first)
    second = tuple(normal_axis(x, b.ndim, "tensordot") for x in second)
    if [a.shape[i] for i in first] != [b.shape[i] for i in second]:
        raise TraceError(f"np.tensordot at {user_location()}: shapes {a.shape}, {b.shape} do not fit over {axes}")
    free_a = [i for i in range(a.ndim) if i not in first]
    free_b = [i for i in range(b.ndim) if i not in second]
    inner = math.prod(a.shape[i] for i in first)
    rows, columns = math.prod(a.shape[i] for i in free_a), math.prod(b.shape[i] for i in free_b)
    left = reshape(transpose(a, (*free_a, *first)), (rows, inner))
    right = reshape(transpose(b, (*second, *free_b)), (inner, columns))
    return reshape(BIND["matmul"](left, right), (*[a.shape[i] for i in free_a], *[b.shape[i] for i in free_b]))


@implements(np.inner)
def inner(a, b):
    a, b = promoted((a, b))
    return a * b if not a.ndim or not b.ndim else tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 1,)))


@implements(np.vdot)
def vdot(a, b):
    return matmul(*[ravel(value) for value in promoted((a, b))])


@implements(np.outer)
def outer(a, b, out=None):
    a, b = [ravel(value) for value in promoted((a, b))]
    return reshape(a, (a.size, 1)) * reshape(b, (1, b.size))


# ---------------------------------------------------------------------------- indexing


@implements(np.ndarray.__getitem__)
def getitem(x, key):
    key = key if isinstance(key, tuple) else (key,)
    key = expanded(key, x.ndim)
    if any(isinstance(k, Traced | np.ndarray | list | bool | np.bool_) for k in key):
        return advanced(x, key)
    return basic(x, key)


def expanded(key: tuple, ndim: int) -> tuple:
    """The key with its ellipsis written out and full slices appended."""
    taken = len([k for k in key if k is not None and k is not Ellipsis])
    if taken > ndim:
        raise TraceError(f"too many indices at {user_location()}: {taken} for {ndim} dimensions")
    fill = (slice(None),) * (ndim - taken)
    places = [i for i, k in enumerate(key) if k is Ellipsis]
    if not places:
        return (*key, *fill)
    return (*key[: places[0]], *fill, *key[places[0] + 1 :])


def basic(x, key):
    """Integers, slices and None: one slice and one reshape."""
    start, stop, step, target = [], [], [], []
    axis = 0
    for k in key:
        if k is None:
            target.append(1)
            continue
        extent = x.shape[axis]
        if isinstance(k, slice):
            a, b, c = k.indices(extent)
            count = len(range(a, b, c))
            a, b = (a, b) if count else (0, 0)  # an empty slice with a negative start would count from the end
            start.append(a), stop.append(b), step.append(c), target.append(count)
        else:
            i = operator.index(k)
            if not -extent <= i < extent:
                raise TraceError(f"index {i} at {user_location()} is out of bounds for axis {axis} of size {extent}")
            start.append(i % extent), stop.append(i % extent + 1), step.append(1)
        axis += 1
    result = x
    if tuple(zip(start, stop, step, strict=True)) != tuple((0, n, 1) for n in x.shape):
        result = BIND["slice"](x, start=tuple(start), stop=tuple(stop), step=tuple(step))
    return reshape(result, tuple(target))


def advanced(x, key):
    """Integer index arrays, with full slices elsewhere; repeated indices are summed in the derivative."""
    builder = innermost((x, *key))
    axes, indices = [], []
    for axis, k in enumerate(key):
        if isinstance(k, slice) and k == slice(None):
            continue
        if k is None or isinstance(k, slice):
            raise TraceError(
                f"indexing at {user_location()} mixes index arrays with slices or None; do it in two steps"
            )
        index = k if isinstance(k, Traced) else np.asarray(k, np.intp if isinstance(k, list) and not k else None)
        if aval_of(index).dtype.kind == "b":
            raise TraceError(
                f"indexing with a boolean mask at {user_location()} gives a shape that depends on data; multiply by "
                "the mask or use np.where"
            )
        if aval_of(index).dtype.kind not in "iu":
            raise TraceError(f"indexing at {user_location()} with an array of dtype {aval_of(index).dtype}")
        axes.append(axis)
        indices.append(builder.lift(index))
    return builder.bind(BIND["gather"], (builder.lift(x), *indices), {"axes": tuple(axes)})


@implements(np.take)
def take(a, indices, axis=None, out=None, mode="raise"):
    if mode != "raise":
        raise TraceError(f"np.take at {user_location()}: only mode='raise' is supported on a traced array")
    indices = list(indices) if isinstance(indices, tuple) else indices
    if axis is None:
        a, axis = ravel(a), 0
    axis = normal_axis(axis, a.ndim, "take")
    return getitem(a, (*[slice(None)] * axis, indices))


@implements(np.astype)
def astype(x, dtype, /, *, copy=True, device=None):
    return CAST(x, dtype=np.dtype(dtype).str)
