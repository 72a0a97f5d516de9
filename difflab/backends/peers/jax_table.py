"""JAX's own functions for our primitives and composites. Images are NHWC and kernels HWIO there as well."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from .forecast import part
from .numpy_names import PLAIN, named
from .plan import Maker, Table, always

LAYOUT = ("NHWC", "HWIO", "NHWC")
SPECIAL = (
    "erf erfc erfinv ndtr:ndtr log_ndtr ndtri logit xlogy xlog1py entr psi:digamma gammaln gamma loggamma:gammaln beta "
    "betaln gammainc gammaincc betainc zeta i0 i1 i0e i1e expi exp1 rel_entr kl_div"
)


def _lax() -> Any:
    return part("jax.lax")


# ---------------------------------------------------------------------------- images


def _convolved(avals: Any, out: Any, *, stride: Any, padding: Any, dilation: Any, groups: int = 1) -> Any:
    if avals[0].dtype != avals[1].dtype:
        return None
    return partial(
        _lax().conv_general_dilated, window_strides=stride, padding=padding, rhs_dilation=dilation,
        dimension_numbers=LAYOUT, feature_group_count=groups,
    )  # fmt: skip


def _window(size: Any, stride: Any, padding: Any) -> dict[str, Any]:
    edges = ((0, 0), *padding, (0, 0))
    return {"window_dimensions": (1, *size, 1), "window_strides": (1, *stride, 1), "padding": edges}


def _max_pooled(avals: Any, out: Any, *, size: Any, stride: Any, padding: Any = ((0, 0), (0, 0))) -> Any:
    if avals[0].dtype.kind != "f":
        return None
    lax = _lax()
    return lambda x: lax.reduce_window(x, -math.inf, lax.max, **_window(size, stride, padding))


def _averaged(avals: Any, out: Any, *, size: Any, stride: Any, padding: Any) -> Any:
    if avals[0].dtype.kind != "f":
        return None
    lax, count = _lax(), math.prod(size)
    return lambda x: lax.reduce_window(x, 0.0, lax.add, **_window(size, stride, padding)) / count


def _windows(avals: Any, out: Any, *, size: Any, stride: Any) -> Callable[..., Any]:
    """Strided views side by side; the convolution with unit kernels that JAX has would multiply NaN by 0."""
    jnp = part("jax.numpy")
    _, rows, columns, *_ = out.shape

    def corner(x: Any, i: int, j: int) -> Any:
        down, right = stride
        return x[:, i : i + (rows - 1) * down + 1 : down, j : j + (columns - 1) * right + 1 : right]

    def run(x: Any) -> Any:
        lines = [jnp.stack([corner(x, i, j) for j in range(size[1])], 3) for i in range(size[0])]
        return jnp.stack(lines, 3)

    return run


def _fold(avals: Any, out: Any, *, size: Any, stride: Any, shape: Any) -> Callable[..., Any]:
    """The transpose of the windows, as JAX makes it."""
    jax, jnp = part("jax"), part("jax.numpy")
    forward = _windows((out,), avals[0], size=size, stride=stride)
    return lambda g: jax.linear_transpose(forward, jnp.zeros(shape, g.dtype))(g)[0]


# ---------------------------------------------------------------------------- composites


def _softmax(avals: Any, out: Any, *, axes: tuple[int, ...]) -> Any:
    return partial(part("jax.nn").softmax, axis=axes)


def _logsumexp(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return partial(part("jax.nn").logsumexp, axis=axes, keepdims=keepdims)


def _cross_entropy(avals: Any, out: Any) -> Any:
    if avals[0].dtype != avals[1].dtype:
        return None
    jnp, log_softmax = part("jax.numpy"), part("jax.nn").log_softmax
    return lambda logits, targets: -jnp.mean(jnp.sum(targets * log_softmax(logits), axis=-1))


def _mean(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    if avals[0].dtype != out.dtype:
        return None
    return partial(part("jax.numpy").mean, axis=axes, keepdims=keepdims)


# ---------------------------------------------------------------------------- indices, scans, matrices


def _unslice(avals: Any, out: Any, *, start: Any, stop: Any, step: Any, shape: Any) -> Callable[..., Any]:
    jnp = part("jax.numpy")
    bounds = zip(start, stop, step, strict=True)
    place = tuple([slice(a, None if b < 0 else b, c) for a, b, c in bounds])
    return lambda g: jnp.zeros(shape, g.dtype).at[place].set(g)


def _scatter_add(avals: Any, out: Any, *, shape: Any, axes: tuple[int, ...]) -> Callable[..., Any]:
    jnp = part("jax.numpy")

    def run(g: Any, *indices: Any) -> Any:
        place = dict(zip(axes, indices, strict=True))
        return jnp.zeros(shape, g.dtype).at[tuple(place.get(i, slice(None)) for i in range(len(shape)))].add(g)

    return run


def _cumulative(name: str) -> Maker:
    def maker(avals: Any, out: Any, *, axis: int, reverse: bool = False) -> Callable[..., Any]:
        return partial(getattr(_lax(), name), axis=axis, reverse=reverse)

    return maker


def _recurrence(avals: Any, out: Any, *, axis: int, reverse: bool) -> Callable[..., Any]:
    lax, jnp = _lax(), part("jax.numpy")

    def step(state: Any, both: Any) -> tuple[Any, Any]:
        state = both[0] * state + both[1]
        return state, state

    def run(a: Any, b: Any) -> Any:
        a, b = jnp.moveaxis(a, axis, 0), jnp.moveaxis(b, axis, 0)
        states = lax.scan(step, jnp.zeros(b.shape[1:], b.dtype), (a, b), reverse=reverse)[1]
        return jnp.moveaxis(states, 0, axis)

    return run


def _eigh(avals: Any, out: Any, *, lower: bool) -> Callable[..., Any]:
    """One triangle is read, as NumPy does, and not the mean of both."""
    jnp, stack = part("jax.numpy"), out.shape[:-1]

    def run(a: Any) -> Any:
        w, v = jnp.linalg.eigh(a, UPLO="L" if lower else "U", symmetrize_input=False)
        return jnp.concatenate([w.astype(out.dtype), v.reshape(*stack, -1)], -1)

    return run


def _eigvalsh(avals: Any, out: Any, *, lower: bool) -> Callable[..., Any]:
    function = part("jax.numpy").linalg.eigvalsh
    return partial(function, UPLO="L" if lower else "U", symmetrize_input=False)


def _constant(array: np.ndarray) -> np.ndarray:
    return array


@cache
def table() -> Table:
    """JAX's table; it is imported now.

    Returns:
        What ``replay`` takes.

    Example:
        >>> from difflab.backends.peers.jax_peer import Jax
        >>> Jax().unavailable() is not None or "conv2d" in table().spans
        True
    """
    jnp, lax = part("jax.numpy"), _lax()
    nn, special = part("jax.nn"), part("jax.scipy.special")
    pairs = [entry.partition(":") for entry in SPECIAL.split()]
    found = named(jnp) | {ours: always(getattr(special, theirs or ours)) for ours, _, theirs in pairs}
    found |= {
        "argsort": lambda avals, out, *, axis, kind: partial(jnp.argsort, axis=axis, stable=True),
        "cbrt": always(jnp.cbrt),
        "complex_of": lambda avals, out: lambda re, im: lax.complex(*jnp.broadcast_arrays(re, im)),
        "copysign": always(jnp.copysign),
        "cummax": _cumulative("cummax"),
        "cummin": _cumulative("cummin"),
        "cumprod": _cumulative("cumprod"),
        "cumsum": _cumulative("cumsum"),
        "eigh": _eigh,
        "eigvals": always(jnp.linalg.eigvals),
        "eigvalsh": _eigvalsh,
        "fold": _fold,
        "erfcinv": always(lambda x: special.erfinv(1.0 - x)),
        "expn": always(lambda n, x: special.expn(*jnp.broadcast_arrays(n, x))),  # its rule does not broadcast
        "fmod": always(jnp.fmod),
        "ldexp": always(jnp.ldexp),
        "log_expit": always(nn.log_sigmoid),
        "max_pool": _max_pooled,
        "nonzero": lambda avals, out, *, count: lambda mask: jnp.nonzero(mask, size=out.size)[-1].reshape(out.shape),
        "numpy_i0": always(special.i0),
        "pinv": always(lambda a, rcond: jnp.linalg.pinv(a, rtol=rcond)),
        "polygamma": lambda avals, out, *, order=0: lambda x: special.polygamma(order, x),
        "recurrence": _recurrence,
        "relu": always(nn.relu),
        "scatter_add": _scatter_add,
        "scipy_cbrt": always(jnp.cbrt),
        "scipy_exp2": always(jnp.exp2),
        "scipy_expm1": always(jnp.expm1),
        "scipy_log1p": always(jnp.log1p),
        "searchsorted": lambda avals, out, *, side: partial(jnp.searchsorted, side=side),
        "sigmoid": always(nn.sigmoid),
        "slide": always(lambda a, v: jnp.convolve(a, v[::-1], "valid")),
        "stop_gradient": always(lax.stop_gradient),
        "svdvals": always(lambda a: jnp.linalg.svd(a, compute_uv=False)),
        "unslice": _unslice,
        "windows": _windows,
    }
    spans: dict[str, Maker] = {
        "avg_pool2d": _averaged,
        "conv2d": _convolved,
        "grouped_conv2d": _convolved,
        "logsumexp": _logsumexp,
        "max_pool2d": _max_pooled,
        "mean": _mean,
        "softmax": _softmax,
        "softmax_cross_entropy": _cross_entropy,
    }
    return Table("jax", found, spans, _constant, PLAIN)
