"""HIPS autograd's own functions for our primitives and composites: ``autograd.numpy`` and ``autograd.scipy``."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from ...primitives import REGISTRY
from .forecast import part
from .formulas import written
from .numpy_names import OPERATORS, PLAIN, named
from .plan import Maker, Table, always

SPECIAL = (
    "erf erfc erfinv psi gammaln gamma beta betaln gammainc gammaincc j0 j1 y0 y1 i0 i1 numpy_i0:i0 loggamma:gammaln "
    "logit"
)

BESSEL = {"jv": "jn", "yv": "yn", "yn": "yn", "iv": "iv", "ive": "ive"}


def _numpy() -> Any:
    return part("autograd.numpy")


def _special() -> Any:
    return part("autograd.scipy.special")


# ---------------------------------------------------------------------------- images


def _windows(avals: Any, out: Any, *, size: Any, stride: Any) -> Callable[..., Any]:
    """Strided views side by side; views of overlapping windows have no rule there."""
    xp = _numpy()
    _, rows, columns, *_ = out.shape

    def corner(x: Any, i: int, j: int) -> Any:
        down, right = stride
        return x[:, i : i + (rows - 1) * down + 1 : down, j : j + (columns - 1) * right + 1 : right]

    def run(x: Any) -> Any:
        cells = [corner(x, i, j) for i in range(size[0]) for j in range(size[1])]
        return xp.reshape(xp.stack(cells, 3), out.shape)

    return run


def _fold(avals: Any, out: Any, *, size: Any, stride: Any, shape: Any) -> Callable[..., Any]:
    return partial(_transposed, _windows((out,), avals[0], size=size, stride=stride), shape)


def _max_pooled(avals: Any, out: Any, *, size: Any, stride: Any, padding: Any = ((0, 0), (0, 0))) -> Any:
    """The largest along axes made by a reshape where windows tile the image, of stacked windows otherwise."""
    if any(map(any, padding)):
        return None
    xp, (batch, rows, columns, channels) = _numpy(), out.shape
    if stride == size and avals[0].shape[1:3] == (rows * size[0], columns * size[1]):
        tiles = (batch, rows, size[0], columns, size[1], channels)
        return lambda x: xp.max(xp.reshape(x, tiles), axis=(2, 4))
    stacked = out._replace(shape=(batch, rows, columns, *size, channels))
    windows = _windows(avals, stacked, size=size, stride=stride)
    return lambda x: xp.max(windows(x), axis=(3, 4))


# ---------------------------------------------------------------------------- indices and scans


def _transposed(function: Callable[..., Any], shape: tuple[int, ...], g: Any) -> Any:
    """The transpose of a linear function, which is its pullback."""
    make_vjp = part("autograd.core").make_vjp
    return make_vjp(function, np.zeros(shape, g.dtype))[0](g)


def _unslice(avals: Any, out: Any, *, start: Any, stop: Any, step: Any, shape: Any) -> Callable[..., Any]:
    bounds = zip(start, stop, step, strict=True)
    place = tuple([slice(a, None if b < 0 else b, c) for a, b, c in bounds])
    return partial(_transposed, operator.itemgetter(place), shape)


def _scatter_add(avals: Any, out: Any, *, shape: Any, axes: tuple[int, ...]) -> Callable[..., Any]:
    def run(g: Any, *indices: Any) -> Any:
        place = dict(zip(axes, indices, strict=True))
        where = tuple([place.get(axis, slice(None)) for axis in range(len(shape))])
        return _transposed(operator.itemgetter(where), shape, g)

    return run


def _scanned(step: Callable[[Any, Any], Any]) -> Maker:
    """A loop along an axis, as one writes it there: ``step(state, elements)`` over all operands."""

    def maker(avals: Any, out: Any, *, axis: int, reverse: bool = False) -> Callable[..., Any]:
        xp, size = _numpy(), out.shape[axis]

        def run(*operands: Any) -> Any:
            if not size:
                return operands[-1]
            order = range(size)[::-1] if reverse else range(size)
            lines = [xp.moveaxis(operand, axis, 0) for operand in operands]
            state = lines[-1][order[0]]
            states = [state]
            for i in order[1:]:
                state = step(state, [line[i] for line in lines])
                states.append(state)
            return xp.moveaxis(xp.stack(states[:: -1 if reverse else 1]), 0, axis)

        return run

    return maker


# ---------------------------------------------------------------------------- composites


def _logsumexp(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return partial(_special().logsumexp, axis=axes, keepdims=keepdims)


def _cross_entropy(avals: Any, out: Any) -> Any:
    xp, logsumexp = _numpy(), _special().logsumexp
    if avals[0].dtype != avals[1].dtype:
        return None

    def run(logits: Any, targets: Any) -> Any:
        return -xp.mean(xp.sum(targets * (logits - logsumexp(logits, axis=-1, keepdims=True)), axis=-1))

    return run


def _mean(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return partial(_numpy().mean, axis=axes, keepdims=keepdims) if avals[0].dtype == out.dtype else None


def _var(avals: Any, out: Any, *, axes: tuple[int, ...], ddof: int, keepdims: bool) -> Any:
    if math.prod(avals[0].shape[axis] for axis in axes) <= ddof or out.dtype.kind != "f":
        return None
    return partial(_numpy().var, axis=axes, ddof=ddof, keepdims=keepdims)


def _broadcasting(function: Callable[..., Any], *cores: int) -> Maker:
    """A function whose pullback does not sum over axes that NumPy broadcast: its operands are broadcast before.

    ``cores``: how many axes at the end of each operand are its own.
    """

    def maker(avals: Any, out: Any) -> Callable[..., Any]:
        ends = cores or (0,) * len(avals)
        stacks = [aval.shape[: len(aval.shape) - core] for aval, core in zip(avals, ends, strict=True)]
        stack = np.broadcast_shapes(*stacks)
        if all(one == stack for one in stacks):
            return function
        whole = [(*stack, *aval.shape[len(own) :]) for aval, own in zip(avals, stacks, strict=True)]
        return lambda *operands: function(*map(_spread, operands, whole))

    return maker


def _spread(x: Any, shape: tuple[int, ...]) -> Any:
    """As ``np.broadcast_to``, whose pullback there wants as many axes as there will be."""
    xp, own = _numpy(), np.shape(x)
    return xp.broadcast_to(xp.reshape(x, (*(1,) * (len(shape) - len(own)), *own)), shape) if own != shape else x


def _where(condition: Any, a: Any, b: Any) -> Any:
    """``np.where`` on operands of one shape."""
    shape = np.broadcast_shapes(*map(np.shape, (condition, a, b)))
    return _numpy().where(condition, _spread(a, shape), _spread(b, shape))


def _unmoved(maker: Maker) -> Maker:
    """A function without derivative, on the numbers alone: autograd knows of few that theirs is zero."""

    def made(avals: Any, out: Any, **params: Any) -> Any:
        function, getval = maker(avals, out, **params), part("autograd.tracer").getval
        return function and (lambda *operands: function(*map(getval, operands)))

    return made


def _relu(avals: Any, out: Any) -> Callable[..., Any]:
    xp = _numpy()
    return lambda x: xp.maximum(x, 0.0)


def _constant(array: np.ndarray) -> np.ndarray:
    return array


@cache
def table() -> Table:
    """The table of HIPS autograd; it is imported now.

    Returns:
        What ``replay`` takes.

    Example:
        >>> from difflab.backends.peers.autograd_peer import Autograd
        >>> Autograd().unavailable() is not None or "mean" in table().spans
        True
    """
    xp, special, tracer = _numpy(), _special(), part("autograd.tracer")
    names = [entry.partition(":") for entry in SPECIAL.split()]
    found = (
        named(xp)
        | written(xp, _where)
        | {
            ours: always(getattr(special, theirs or ours))
            for ours, _, theirs in names
            if (theirs or ours) in vars(special)
        }
    )
    found |= {name: _broadcasting(getattr(special, theirs)) for name, theirs in BESSEL.items()}
    found |= {
        "broadcast_to": lambda avals, out, *, shape: lambda x: _spread(x, shape),
        "complex_of": always(lambda re, im: re + 1j * im),
        "copysign": always(lambda a, b: xp.abs(a) * np.copysign(1.0, tracer.getval(b))),
        "cummax": _scanned(lambda state, now: xp.maximum(state, now[0])),
        "cummin": _scanned(lambda state, now: xp.minimum(state, now[0])),
        "cumprod": _scanned(lambda state, now: state * now[0]),
        "eigvalsh": lambda avals, out, *, lower: lambda a: xp.linalg.eigh(a, "L" if lower else "U")[0],
        "erfcinv": always(lambda x: special.erfinv(1.0 - x)),
        "fold": _fold,
        "max_pool": _max_pooled,
        "ndtr": always(lambda x: 0.5 * special.erfc(-x / math.sqrt(2.0))),
        "ndtri": always(lambda x: math.sqrt(2.0) * special.erfinv(2.0 * x - 1.0)),
        "pinv": always(lambda a, rcond: xp.linalg.pinv(a)),
        "polygamma": lambda avals, out, *, order=0: lambda x: special.polygamma(order, x),
        "recurrence": _scanned(lambda state, now: now[0] * state + now[1]),
        "relu": _relu,
        "scatter_add": _scatter_add,
        "scipy_exp2": always(xp.exp2),
        "scipy_expm1": always(xp.expm1),
        "scipy_log1p": always(xp.log1p),
        "sigmoid": always(special.expit),
        "slide": always(lambda a, v: part("autograd.scipy.signal").convolve(a, v[::-1], mode="valid")),
        "solve": _broadcasting(xp.linalg.solve, 2, 2),
        "stop_gradient": always(tracer.getval),
        "svdvals": always(lambda a: xp.linalg.svd(a, compute_uv=False)),
        "unslice": _unslice,
        "where": lambda avals, out: xp.where if avals[1].shape == avals[2].shape == out.shape else _where,
        "windows": _windows,
    }
    still = [name for name in found if REGISTRY[name].vjp is None and name not in (*OPERATORS, "stop_gradient")]
    found |= {name: _unmoved(found[name]) for name in still}
    for name in ("eig", "qr"):  # the one has complex results of real matrices, the other no rule
        del found[name]
    spans: dict[str, Maker] = {
        "logsumexp": _logsumexp,
        "max_pool2d": _max_pooled,
        "mean": _mean,
        "softmax_cross_entropy": _cross_entropy,
        "var": _var,
    }
    return Table("autograd", found, spans, _constant, PLAIN)
