"""PyTorch's own functions for our primitives; images, composites and matrices are in ``torch_layers``."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from ...errors import UnsupportedError
from ...primitives.index import index_place
from ...primitives.shape import inverse
from . import torch_layers, torch_special
from .forecast import part
from .numpy_names import counting
from .plan import Maker, Table, always

# Names under which NumPy's and PyTorch's functions of the elements are the same.
SAME = (
    "sign maximum minimum fmax fmin logical_and logical_or "
    "logical_not logical_xor isnan isinf isfinite signbit floor ceil trunc rint:round remainder fmod "
    "fraction:frac copysign where reciprocal square sqrt exp exp2 expm1 log log2 log10 log1p logaddexp "
    "logaddexp2 sin cos tan arcsin arccos arctan arctan2 sinh cosh tanh arcsinh arccosh arctanh hypot degrees:rad2deg "
    "radians:deg2rad relu sigmoid absolute complex_abs:abs conjugate:conj_physical real zeros_like "
    "stop_gradient:detach complex_of:complex bitwise_and bitwise_or bitwise_xor invert:bitwise_not "
    "left_shift:bitwise_left_shift "
    "right_shift:bitwise_right_shift gcd lcm"
)
OPERATORS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "negative": operator.neg,
    "matmul": operator.matmul,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "less": operator.lt,
    "less_equal": operator.le,
    "equal": operator.eq,
    "not_equal": operator.ne,
}
PLAIN = frozenset(OPERATORS) - {"matmul"} | {"where"}


def dtype_of(dtype: Any) -> Any:
    """PyTorch's dtype for one of NumPy's.

    Args:
        dtype: of NumPy, or what NumPy takes for one.

    Returns:
        The attribute of ``torch``.

    Raises:
        UnsupportedError: PyTorch has none.
    """
    name = np.dtype(dtype).name
    found = vars(part("torch")).get(name)
    if found is None:
        raise UnsupportedError(f"backend 'torch' has no dtype {name}; use float64 or float32, or backend 'reverse'")
    return found


def tensor(array: Any) -> Any:
    """A tensor with a copy of an array, which PyTorch may keep and write to."""
    array = np.array(array, order="C")
    dtype_of(array.dtype)
    return part("torch").from_numpy(array)


def _identity(x: Any) -> Any:
    return x


def _cast(avals: Any, out: Any, *, dtype: str) -> Callable[..., Any]:
    target = dtype_of(dtype)
    return _identity if avals[0].dtype == out.dtype else lambda x: x.to(target)


def _sum(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool = False) -> Callable[..., Any]:
    torch = part("torch")
    if not axes:
        return _identity
    wide = {} if out.dtype.kind in "fc" else {"dtype": dtype_of(out.dtype)}  # PyTorch sums integers in 64 bits
    if len(axes) == len(avals[0].shape) and not keepdims:
        return partial(torch.sum, **wide) if wide else torch.sum
    return partial(torch.sum, dim=axes, keepdim=keepdims, **wide)


def _prod(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool = False) -> Callable[..., Any]:
    torch, dtype = part("torch"), dtype_of(out.dtype)

    def run(x: Any) -> Any:
        for axis in reversed(axes):  # one axis at a time is what there is
            x = torch.prod(x, axis, keepdims, dtype=dtype)
        return x

    return run


def _extreme(name: str) -> Maker:
    def maker(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool = False) -> Callable[..., Any]:
        function = getattr(part("torch"), name)
        return partial(function, dim=axes, keepdim=keepdims) if axes else _identity

    return maker


def _with(name: str, **renamed: str) -> Maker:
    """A function of PyTorch with our parameters under its names."""

    def maker(avals: Any, out: Any, **params: Any) -> Callable[..., Any]:
        module = part("torch")
        for step in name.split(".")[:-1]:
            module = getattr(module, step)
        return partial(getattr(module, name.split(".")[-1]), **{renamed[key]: params[key] for key in params})

    return maker


def _concatenate(avals: Any, out: Any, *, axis: int) -> Callable[..., Any]:
    cat = part("torch").cat
    return lambda *arrays: cat(arrays, axis)


def _pad(avals: Any, out: Any, *, widths: Any) -> Callable[..., Any]:
    flat = [side for pair in reversed(widths) for side in pair]  # the last axis comes first
    return partial(part("torch.nn.functional").pad, pad=flat)


def _ascending(start: Any, stop: Any, step: Any) -> tuple[tuple[slice, ...], list[int]]:
    """Slices with positive steps, and the axes to turn round afterwards: PyTorch has no negative steps."""
    slices, turned = [], []
    for axis, positions in enumerate(map(range, start, stop, step)):
        if positions.step < 0:
            positions = positions[::-1]
            turned.append(axis)
        slices.append(slice(positions.start, positions.stop, positions.step) if len(positions) else slice(0, 0))
    return tuple(slices), turned


def _slice(avals: Any, out: Any, *, start: Any, stop: Any, step: Any) -> Callable[..., Any]:
    slices, turned = _ascending(start, stop, step)
    take = operator.itemgetter(slices)
    return (lambda x: take(x).flip(turned)) if turned else take


def _unslice(avals: Any, out: Any, *, start: Any, stop: Any, step: Any, shape: Any) -> Callable[..., Any]:
    slices, turned = _ascending(start, stop, step)

    def run(g: Any) -> Any:
        result = g.new_zeros(shape)
        result[slices] = g.flip(turned)
        return result

    return run


def _gather(avals: Any, out: Any, *, axes: tuple[int, ...]) -> Callable[..., Any]:
    ndim = len(avals[0].shape)

    def run(x: Any, *indices: Any) -> Any:
        place = dict(zip(axes, indices, strict=True))
        return x[tuple([place[axis].long() if axis in place else slice(None) for axis in range(ndim)])]

    return run


def _scatter_add(avals: Any, out: Any, *, shape: Any, axes: tuple[int, ...]) -> Callable[..., Any]:
    """Indexed axes first, as ``index_put`` wants them."""
    at, count = index_place(axes), out.ndim - len(axes)
    depth = len(avals[0].shape) - count  # axes of the indices
    order = (*axes, *[axis for axis in range(len(shape)) if axis not in axes])
    rest = [axis for axis in range(len(avals[0].shape)) if not at <= axis < at + depth]
    wide = [shape[axis] for axis in order]

    def run(g: Any, *indices: Any) -> Any:
        values = g.permute(*range(at, at + depth), *rest)
        places = tuple([index.long() for index in indices])
        return g.new_zeros(wide).index_put(places, values, accumulate=True).permute(inverse(order))

    return run


def _along(name: str) -> Maker:
    """A running sum or product, from either end."""

    def maker(avals: Any, out: Any, *, axis: int, reverse: bool) -> Callable[..., Any]:
        function = getattr(part("torch"), name)
        dtype = dtype_of(out.dtype)
        if reverse:
            return lambda x: function(x.flip(axis), axis, dtype=dtype).flip(axis)
        return partial(function, dim=axis, dtype=dtype)

    return maker


def _running(name: str) -> Maker:
    def maker(avals: Any, out: Any, *, axis: int) -> Callable[..., Any]:
        function = getattr(part("torch"), name)
        return lambda x: function(x, axis).values

    return maker


def _recurrence(avals: Any, out: Any, *, axis: int, reverse: bool) -> Callable[..., Any]:
    torch = part("torch")

    def run(a: Any, b: Any) -> Any:
        factors, terms = (x.unbind(axis)[:: -1 if reverse else 1] for x in (a, b))
        states = list(terms[:1])
        for factor, term in zip(factors[1:], terms[1:], strict=True):
            states.append(factor * states[-1] + term)
        return torch.stack(states[:: -1 if reverse else 1], axis) if states else b

    return run


def _imag(avals: Any, out: Any) -> Callable[..., Any]:
    torch = part("torch")
    return torch.imag if avals[0].dtype.kind == "c" else torch.zeros_like


def _nonzero(avals: Any, out: Any, *, count: int) -> Callable[..., Any]:
    nonzero = part("torch").nonzero
    return lambda mask: nonzero(mask)[:, -1].reshape(out.shape)


def _position(name: str) -> Maker:
    return lambda avals, out, *, axis: partial(getattr(part("torch"), name), dim=axis)


def _spectrum(avals: Any, out: Any, *, axes: tuple[int, ...], norm: str, inverse: bool) -> Callable[..., Any]:
    fft = part("torch.fft")
    return partial(fft.ifftn if inverse else fft.fftn, dim=axes, norm=norm)


@cache
def table() -> Table:
    """PyTorch's table; it is imported now.

    Returns:
        What ``replay`` takes.

    Example:
        >>> from difflab.backends.peers.torch_peer import Torch
        >>> Torch().unavailable() is not None or "conv2d" in table().spans
        True
    """
    torch = part("torch")
    pairs = [entry.partition(":") for entry in SAME.split()]
    found: dict[str, Maker] = {ours: always(getattr(torch, theirs or ours)) for ours, _, theirs in pairs}
    found |= {name: always(function) for name, function in OPERATORS.items()}
    found |= {
        "argmax": _position("argmax"),
        "argmin": _position("argmin"),
        "argsort": lambda avals, out, *, axis, kind: partial(torch.argsort, dim=axis, stable=True),
        "broadcast_to": _with("broadcast_to", shape="size"),
        "cast": _cast,
        "concatenate": _concatenate,
        "copy": always(_identity),
        "cummax": _running("cummax"),
        "cummin": _running("cummin"),
        "cumprod": _along("cumprod"),
        "cumsum": _along("cumsum"),
        "fft": _spectrum,
        "floor_divide": always(partial(torch.div, rounding_mode="floor")),  # the other has no derivative of 0
        "gather": _gather,
        "imag": _imag,
        "integer_power": _with("pow", n="exponent"),
        "irfft": _with("fft.irfft", n="n", axis="dim", norm="norm"),
        "max": _extreme("amax"),
        "min": _extreme("amin"),
        "nonzero": _nonzero,
        "pad": _pad,
        "prod": _prod,
        "recurrence": _recurrence,
        "reshape": _with("reshape", shape="shape"),
        "rfft": _with("fft.rfft", axis="dim", norm="norm"),
        "scatter_add": _scatter_add,
        "searchsorted": lambda avals, out, *, side: partial(torch.searchsorted, side=side),
        "slice": _slice,
        "sum": _sum,
        "transpose": _with("permute", axes="dims"),
        "unslice": _unslice,
    }
    everything = {**torch_special.equations(), **counting(), **found, **torch_layers.equations()}
    spans, layouts = torch_layers.spans(), torch_layers.layouts()
    idioms = {"affine": torch.addmm, "log_softmax": part("torch.nn.functional").log_softmax}
    return Table("torch", everything, spans, tensor, PLAIN, torch_layers.BIASED, layouts, idioms)
