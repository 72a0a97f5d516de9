"""Makers for a framework whose functions go by NumPy's names, as those of JAX and of HIPS autograd do."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .formulas import factorizations, written
from .plan import Maker, always

# Name of the primitive, and NumPy's for it where that is another.
OF_ELEMENTS = (
    "sign absolute maximum minimum fmax fmin logical_and logical_or logical_not logical_xor isnan isinf isfinite "
    "signbit floor ceil trunc rint floor_divide remainder where reciprocal square sqrt exp "
    "exp2 expm1 log log2 log10 log1p logaddexp logaddexp2 sin cos tan arcsin arccos arctan arctan2 sinh cosh "
    "tanh arcsinh arccosh arctanh hypot degrees radians real imag conjugate complex_abs:absolute zeros_like "
    "bitwise_and bitwise_or bitwise_xor invert left_shift right_shift gcd lcm det:linalg.det"
)
OPERATORS: dict[str, Callable[..., Any]] = {
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
PLAIN = frozenset(OPERATORS) - {"matmul"} | {"where", "maximum", "minimum"}


def _identity(x: Any) -> Any:
    return x


def _found(xp: Any, path: str) -> Any:
    for part in path.split("."):
        xp = getattr(xp, part)
    return xp


def _cast(avals: Any, out: Any, *, dtype: str) -> Callable[..., Any]:
    return _identity if avals[0].dtype == out.dtype else lambda x: x.astype(dtype)


def _place(ndim: int, axes: tuple[int, ...], indices: Any) -> tuple[Any, ...]:
    place = dict(zip(axes, indices, strict=True))
    return tuple(place.get(axis, slice(None)) for axis in range(ndim))


def _slice(avals: Any, out: Any, *, start: Any, stop: Any, step: Any) -> Callable[..., Any]:
    bounds = zip(start, stop, step, strict=True)
    return operator.itemgetter((*(slice(a, None if b < 0 else b, c) for a, b, c in bounds), ...))


def _gather(avals: Any, out: Any, *, axes: tuple[int, ...]) -> Callable[..., Any]:
    ndim = len(avals[0].shape)
    return lambda x, *indices: x[_place(ndim, axes, indices)]


def _linear_order(avals: Any, out: Any, *, shape: Any, mode: Any, order: str) -> Callable[..., Any]:
    """Positions in the flattened array by arithmetic."""
    modes = (mode,) * len(shape) if isinstance(mode, str) else mode
    sizes = shape[::-1] if order == "C" else shape
    factors = np.cumprod([1, *sizes[:-1]]).tolist()
    factors = factors[::-1] if order == "C" else factors

    def run(*indices: Any) -> Any:
        total: Any = 0
        for index, size, how, factor in zip(indices, shape, modes, factors, strict=True):
            inside = index % size if how == "wrap" else index.clip(0, size - 1) if how == "clip" else index
            total = total + inside * factor
        return total

    return run


def _unravelled(avals: Any, out: Any, *, shape: Any, order: str, axis: int) -> Callable[..., Any]:
    inner = np.prod(shape[axis + 1 :] if order == "C" else shape[:axis], dtype=int)
    return lambda positions: positions // int(inner) % shape[axis]


def counting() -> dict[str, Maker]:
    """Makers for positions, which are arithmetic on integers in any framework.

    Returns:
        By the primitive's name.

    Example:
        >>> counting()["unravel_index"]((), None, shape=(3, 4), order="C", axis=0)(np.array([0, 7]))
        array([0, 1])
    """
    return {"ravel_multi_index": _linear_order, "unravel_index": _unravelled}


def named(xp: Any) -> dict[str, Maker]:
    """Makers by the functions of a namespace.

    Args:
        xp: a module with NumPy's names, or some of them.

    Returns:
        By the primitive's name; only what the module has.

    Example:
        >>> named(np)["sum"]((), None, axes=(0,))(np.ones((2, 3)))
        array([2., 2., 2.])
    """

    def reducing(name: str) -> Maker:
        function = getattr(xp, name)
        return lambda avals, out, *, axes, keepdims=False: partial(function, axis=axes, keepdims=keepdims)

    def searching(name: str) -> Maker:
        function = getattr(xp, name)
        return lambda avals, out, *, axis: partial(function, axis=axis)

    def running(name: str) -> Maker:
        function = getattr(xp, name)

        def maker(avals: Any, out: Any, *, axis: int, reverse: bool) -> Callable[..., Any]:
            if not reverse:
                return partial(function, axis=axis)
            back = (*(slice(None),) * axis, slice(None, None, -1))
            return lambda x: function(x[back], axis=axis)[back]

        return maker

    def concatenate(avals: Any, out: Any, *, axis: int) -> Callable[..., Any]:
        return lambda *arrays: xp.concatenate(arrays, axis=axis)

    def imaginary(avals: Any, out: Any) -> Callable[..., Any]:
        return xp.imag if avals[0].dtype.kind == "c" else xp.zeros_like

    def pack(dtype: Any, stack: tuple[int, ...], parts: Any) -> Any:
        return xp.concatenate([xp.reshape(part, (*stack, -1)).astype(dtype) for part in parts], axis=-1)

    def spectrum(avals: Any, out: Any, *, axes: Any, norm: str, inverse: bool) -> Callable[..., Any]:
        return partial(xp.fft.ifftn if inverse else xp.fft.fftn, axes=axes, norm=norm)

    pairs = [entry.partition(":") for entry in OF_ELEMENTS.split()]
    found: dict[str, Maker] = {ours: always(_found(xp, theirs or ours)) for ours, _, theirs in pairs}
    found |= {name: always(function) for name, function in OPERATORS.items()}
    return (
        written(xp)
        | found
        | counting()
        | factorizations(xp.linalg, pack)
        | {
            "argmax": searching("argmax"),
            "argmin": searching("argmin"),
            "argsort": lambda avals, out, *, axis, kind: partial(xp.argsort, axis=axis, kind=kind),
            "broadcast_to": lambda avals, out, *, shape: lambda x: xp.broadcast_to(x, shape),
            "cast": _cast,
            "cholesky": lambda avals, out, *, upper=False: partial(
                xp.linalg.cholesky, **{"upper": True} if upper else {}
            ),
            "concatenate": concatenate,
            "copy": always(_identity),
            "cumsum": running("cumsum"),
            "fft": spectrum,
            "gather": _gather,
            "imag": imaginary,
            "integer_power": lambda avals, out, *, n: lambda x: x**n,
            "inverse": lambda avals, out, *, lenient=False: xp.linalg.inv,
            "irfft": lambda avals, out, *, n, axis, norm: partial(xp.fft.irfft, n=n, axis=axis, norm=norm),
            "logabsdet": always(lambda a: xp.linalg.slogdet(a)[1]),
            "max": reducing("max"),
            "min": reducing("min"),
            "pad": lambda avals, out, *, widths: lambda x: xp.pad(x, widths, "constant"),
            "prod": reducing("prod"),
            "reshape": lambda avals, out, *, shape: lambda x: xp.reshape(x, shape),
            "rfft": lambda avals, out, *, axis, norm: partial(xp.fft.rfft, axis=axis, norm=norm),
            "sign_det": always(lambda a: xp.linalg.slogdet(a)[0]),
            "sinc": lambda avals, out, *, order=0: xp.sinc if order == 0 else None,
            "slice": _slice,
            "solve": always(xp.linalg.solve),
            "sum": reducing("sum"),
            "transpose": lambda avals, out, *, axes: partial(xp.transpose, axes=axes),
        }
    )
