"""PyTorch's images, composites and matrices. Ours are NHWC: its functions see them through ``permute``, a view."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from .forecast import part
from .formulas import factorizations
from .plan import Inner, Maker

TO_CHANNELS, FROM_CHANNELS = (0, 3, 1, 2), (0, 2, 3, 1)  # NHWC to NCHW and back
KERNELS = (3, 2, 0, 1)  # HWIO to OIHW
BIASED = frozenset(("conv2d", "grouped_conv2d", "conv2d_transpose"))


def layouts() -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Images to PyTorch's layout and back, as views.

    Returns:
        Functions of a tensor.

    Example:
        >>> layouts()[0].keywords
        {'dims': (0, 3, 1, 2)}
    """
    return partial(_permuted, dims=TO_CHANNELS), partial(_permuted, dims=FROM_CHANNELS)


def _permuted(x: Any, dims: tuple[int, ...]) -> Any:
    return x.permute(dims)


def _functional() -> Any:
    return part("torch.nn.functional")


# ---------------------------------------------------------------------------- images


def _convolved(avals: Any, out: Any, *, stride: Any, padding: Any, dilation: Any, groups: int = 1) -> Any:
    if avals[0].dtype != avals[1].dtype or out.dtype.kind != "f":
        return None
    return _on_channels(_functional().conv2d, padding, True, stride=stride, dilation=dilation, groups=groups)


def _on_channels(function: Callable[..., Any], padding: Any, kernel: bool, **params: Any) -> Inner:
    """A function of NCHW, its kernel from HWIO; uneven padding is put on beforehand."""
    (top, bottom), (left, right) = padding
    if (top, left) == (bottom, right):
        inner, before = partial(function, padding=(top, left), **params), None
    else:
        inner, before = partial(function, **params), partial(_functional().pad, pad=(left, right, top, bottom))

    def pooled(x: Any) -> Any:
        return inner(x if before is None else before(x))

    def convolved(x: Any, w: Any, bias: Any = None) -> Any:
        return inner(x if before is None else before(x), w.permute(KERNELS), bias)

    if kernel:
        return Inner(convolved)
    return Inner(inner if before is None else pooled)


def _max_pooled(avals: Any, out: Any, *, size: Any, stride: Any, padding: Any = ((0, 0), (0, 0))) -> Any:
    if avals[0].dtype.kind != "f" or any(before * 2 > k for (before, _), k in zip(padding, size, strict=True)):
        return None  # PyTorch pads by half a window at most
    return _on_channels(_functional().max_pool2d, padding, False, kernel_size=size, stride=stride)


def _averaged(avals: Any, out: Any, *, size: Any, stride: Any, padding: Any) -> Any:
    if avals[0].dtype.kind != "f" or any(before * 2 > k for (before, _), k in zip(padding, size, strict=True)):
        return None
    return _on_channels(_functional().avg_pool2d, padding, False, kernel_size=size, stride=stride)


def _transposed(avals: Any, out: Any, *, stride: Any, padding: Any, output_padding: Any) -> Any:
    if avals[0].dtype != avals[1].dtype or out.dtype.kind != "f":
        return None
    whole = partial(_functional().conv_transpose2d, stride=stride, padding=padding, output_padding=output_padding)

    return Inner(lambda x, w, bias=None: whole(x, w.permute(KERNELS), bias))


def _repeated(avals: Any, out: Any, *, factor: Any, how: str) -> Any:
    if how != "nearest" or avals[0].dtype.kind != "f":
        return None
    return Inner(partial(_functional().interpolate, scale_factor=factor, mode="nearest"))


def _windows(avals: Any, out: Any, *, size: Any, stride: Any) -> Callable[..., Any]:
    def run(x: Any) -> Any:
        return x.unfold(1, size[0], stride[0]).unfold(2, size[1], stride[1]).permute(0, 1, 2, 4, 5, 3)

    return run


def _fold(avals: Any, out: Any, *, size: Any, stride: Any, shape: Any) -> Callable[..., Any]:
    fold = partial(_functional().fold, output_size=shape[1:3], kernel_size=size, stride=stride)
    batch, rows, columns, *window, channels = avals[0].shape
    flat = (batch, channels * math.prod(window), rows * columns)
    return lambda g: fold(g.permute(0, 5, 3, 4, 1, 2).reshape(flat)).permute(FROM_CHANNELS)


def _slide(avals: Any, out: Any) -> Callable[..., Any]:
    convolve = _functional().conv1d
    return lambda a, v: convolve(a.reshape(1, 1, -1), v.reshape(1, 1, -1)).reshape(-1)


# ---------------------------------------------------------------------------- composites


def _softmax(avals: Any, out: Any, *, axes: tuple[int, ...]) -> Any:
    return partial(_functional().softmax, dim=axes[0]) if len(axes) == 1 and avals[0].dtype == out.dtype else None


def _logsumexp(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    return partial(part("torch").logsumexp, dim=axes, keepdim=keepdims) if axes else None


def _cross_entropy(avals: Any, out: Any) -> Any:
    """Targets are weights of the classes, which PyTorch takes as well, for one row or for rows."""
    if len(avals[0].shape) > 2 or avals[0].dtype != avals[1].dtype:
        return None
    return _functional().cross_entropy


def _mean(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    if not axes or avals[0].dtype != out.dtype:
        return None
    mean = part("torch").mean
    return mean if len(axes) == len(avals[0].shape) and not keepdims else partial(mean, dim=axes, keepdim=keepdims)


def _var(avals: Any, out: Any, *, axes: tuple[int, ...], ddof: int, keepdims: bool) -> Any:
    if not axes or avals[0].dtype != out.dtype or out.dtype.kind != "f":
        return None
    if math.prod(avals[0].shape[axis] for axis in axes) <= ddof:
        return None  # PyTorch warns of what is no number
    return partial(part("torch").var, dim=axes, correction=ddof, keepdim=keepdims)


def _norm(avals: Any, out: Any, *, axes: tuple[int, ...], keepdims: bool) -> Any:
    norm = part("torch.linalg").vector_norm
    return partial(norm, dim=axes, keepdim=keepdims) if axes else None


# ---------------------------------------------------------------------------- matrices


def _inverse(avals: Any, out: Any, *, lenient: bool = False) -> Callable[..., Any]:
    torch, linalg = part("torch"), part("torch.linalg")
    if not lenient:
        return linalg.inv

    def run(a: Any) -> Any:
        found, info = linalg.inv_ex(a)
        return torch.where((info == 0)[..., None, None], found, math.nan)

    return run


def _solve(avals: Any, out: Any) -> Callable[..., Any]:
    solve = part("torch.linalg").solve
    a, b = (len(aval.shape) for aval in avals)
    return (lambda x, y: solve(x, y[None])) if b == a - 1 else solve  # PyTorch may take a matrix for vectors there


def _cholesky(avals: Any, out: Any, *, upper: bool = False) -> Callable[..., Any]:
    return partial(part("torch.linalg").cholesky, upper=upper)


def _pinv(avals: Any, out: Any) -> Callable[..., Any]:
    pinv = part("torch.linalg").pinv
    return lambda a, rcond: pinv(a, rtol=rcond)


def _eigvalsh(avals: Any, out: Any, *, lower: bool) -> Callable[..., Any]:
    return partial(part("torch.linalg").eigvalsh, UPLO="L" if lower else "U")


def _linalg(name: str, position: int | None = None) -> Maker:
    def maker(avals: Any, out: Any) -> Callable[..., Any]:
        function = getattr(part("torch.linalg"), name)
        return function if position is None else lambda a: function(a)[position]

    return maker


def _factorizations() -> dict[str, Maker]:
    torch = part("torch")

    def pack(dtype: Any, stack: tuple[int, ...], parts: Any) -> Any:
        wide = getattr(torch, dtype.name)
        return torch.cat([part.reshape(*stack, -1).to(wide) for part in parts], -1)

    return factorizations(part("torch.linalg"), pack)


def equations() -> dict[str, Maker]:
    """Makers for primitives of images and matrices; PyTorch is imported now.

    Returns:
        By the primitive's name.

    Example:
        >>> from difflab.backends.peers.torch_peer import Torch
        >>> Torch().unavailable() is not None or "windows" in equations()
        True
    """
    return _factorizations() | {
        "cholesky": _cholesky,
        "det": _linalg("det"),
        "eigvals": _linalg("eigvals"),
        "eigvalsh": _eigvalsh,
        "fold": _fold,
        "inverse": _inverse,
        "logabsdet": _linalg("slogdet", 1),
        "max_pool": _max_pooled,
        "pinv": _pinv,
        "sign_det": _linalg("slogdet", 0),
        "slide": _slide,
        "solve": _solve,
        "svdvals": _linalg("svdvals"),
        "windows": _windows,
    }


def spans() -> dict[str, Maker]:
    """Makers for composites.

    Returns:
        By the composite's name.

    Example:
        >>> "conv2d" in spans()
        True
    """
    return {
        "avg_pool2d": _averaged,
        "conv2d": _convolved,
        "conv2d_transpose": _transposed,
        "grouped_conv2d": _convolved,
        "logsumexp": _logsumexp,
        "max_pool2d": _max_pooled,
        "mean": _mean,
        "norm": _norm,
        "softmax": _softmax,
        "softmax_cross_entropy": _cross_entropy,
        "upsample2d": _repeated,
        "var": _var,
    }
