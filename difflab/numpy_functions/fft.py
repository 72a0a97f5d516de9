"""Fourier transforms: lengths are made to fit by cutting and padding, then one linear primitive transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.spectral import SWAPPED
from ..promotion import floating
from .common import BIND, implements, lifted, normal_axes, normal_axis

NORMS = {None: "backward", "backward": "backward", "ortho": "ortho", "forward": "forward"}


def _array(a: Any, name: str) -> Any:
    a = floating(lifted(a)[0])
    if not a.shape:
        raise TraceError(f"np.fft.{name} at {user_location()}: a scalar has no axis to transform")
    return a


def _norm(norm: Any, name: str) -> str:
    if norm not in NORMS:
        raise TraceError(
            f"np.fft.{name} at {user_location()}: norm must be None, 'backward', 'ortho' or 'forward', not {norm!r}"
        )
    return NORMS[norm]


def _points(n: Any, name: str) -> int:
    n = int(n)
    if n < 1:
        raise TraceError(f"np.fft.{name} at {user_location()}: a transform over {n} points is asked for; at least 1")
    return n


def _fitted(x: Any, n: int, axis: int) -> Any:
    """``x`` cut, or padded with zeros, to ``n`` elements along an axis."""
    size = x.shape[axis]
    if n < size:
        stop = tuple(n if i == axis else length for i, length in enumerate(x.shape))
        return BIND["slice"](x, start=(0,) * x.ndim, stop=stop, step=(1,) * x.ndim)
    if n > size:
        return BIND["pad"](x, widths=tuple((0, n - size if i == axis else 0) for i in range(x.ndim)))
    return x


def _real(a: Any, name: str) -> Any:
    """Real data, as ``rfft`` wants them."""
    if a.dtype.kind == "c":
        raise TraceError(f"np.fft.{name} at {user_location()}: the transform of real data was given complex; use fft")
    return a


def _complex(a: Any) -> Any:
    return a if a.dtype.kind == "c" else BIND["cast"](a, dtype=np.result_type(a.dtype, np.complex64).str)


def _sizes(a: Any, s: Any, axes: Any, name: str) -> tuple[list[int | None], list[int]]:
    """A length (``None``: the axis as it is) and a non-negative axis per step; NumPy's rules for ``s`` and ``axes``."""
    if axes is None:
        axes = range(a.ndim) if s is None else range(-len(s), 0)
    axes = [normal_axis(axis, a.ndim, f"fft.{name}") for axis in axes]
    s = [a.shape[axis] for axis in axes] if s is None else list(s)
    if len(s) != len(axes):
        raise TraceError(f"np.fft.{name} at {user_location()}: {len(s)} lengths in s for {len(axes)} axes")
    return [a.shape[axis] if n == -1 else n for n, axis in zip(s, axes, strict=True)], axes


def _transform(a: Any, s: list, axes: list, norm: str, inverse: bool, name: str) -> Any:
    """Transforms along the axes in this order: one equation per run of different axes."""
    run: list[int] = []
    for n, axis in zip(s, axes, strict=True):
        if axis in run:
            a = BIND["fft"](a, axes=tuple(run), norm=norm, inverse=inverse)
            run = []
        a = _fitted(a, _points(a.shape[axis] if n is None else n, name), axis)
        run.append(axis)
    return BIND["fft"](a, axes=tuple(run), norm=norm, inverse=inverse) if run else a


def _one(name: str, inverse: bool) -> Callable:
    def transform(a, n=None, axis=-1, norm=None, out=None):
        a = _array(a, name)
        axis = normal_axis(axis, a.ndim, f"fft.{name}")
        return _transform(a, [n], [axis], _norm(norm, name), inverse, name)

    return transform


def _many(name: str, inverse: bool, default: Any) -> Callable:
    def transform(a, s=None, axes=default, norm=None, out=None):
        a = _array(a, name)
        sizes, along = _sizes(a, s, axes, name)
        return _transform(a, sizes[::-1], along[::-1], _norm(norm, name), inverse, name)

    return transform


implements(np.fft.fft)(_one("fft", False))
implements(np.fft.ifft)(_one("ifft", True))
implements(np.fft.fft2)(_many("fft2", False, (-2, -1)))
implements(np.fft.ifft2)(_many("ifft2", True, (-2, -1)))
implements(np.fft.fftn)(_many("fftn", False, None))
implements(np.fft.ifftn)(_many("ifftn", True, None))


def _halved(a: Any, n: Any, axis: int, norm: str, name: str) -> Any:
    a = _fitted(_real(a, name), _points(a.shape[axis] if n is None else n, name), axis)
    return BIND["rfft"](a, axis=axis, norm=norm)


def _doubled(a: Any, n: Any, axis: int, norm: str, name: str) -> Any:
    n = _points(2 * (a.shape[axis] - 1) if n is None else n, name)
    return BIND["irfft"](_complex(_fitted(a, n // 2 + 1, axis)), n=n, axis=axis, norm=norm)


@implements(np.fft.rfft)
def rfft(a, n=None, axis=-1, norm=None, out=None):
    a = _array(a, "rfft")
    return _halved(a, n, normal_axis(axis, a.ndim, "fft.rfft"), _norm(norm, "rfft"), "rfft")


@implements(np.fft.irfft)
def irfft(a, n=None, axis=-1, norm=None, out=None):
    a = _array(a, "irfft")
    return _doubled(a, n, normal_axis(axis, a.ndim, "fft.irfft"), _norm(norm, "irfft"), "irfft")


@implements(np.fft.hfft)
def hfft(a, n=None, axis=-1, norm=None, out=None):
    a = _array(a, "hfft")
    axis = normal_axis(axis, a.ndim, "fft.hfft")
    return _doubled(np.conjugate(_complex(a)), n, axis, SWAPPED[_norm(norm, "hfft")], "hfft")


@implements(np.fft.ihfft)
def ihfft(a, n=None, axis=-1, norm=None, out=None):
    a = _array(a, "ihfft")
    axis = normal_axis(axis, a.ndim, "fft.ihfft")
    return np.conjugate(_halved(a, n, axis, SWAPPED[_norm(norm, "ihfft")], "ihfft"))


def _rfftn(name: str, default: Any) -> Callable:
    def transform(a, s=None, axes=default, norm=None, out=None):
        a = _array(a, name)
        sizes, along = _sizes(a, s, axes, name)
        _not_none(along, name)
        norm = _norm(norm, name)
        a = _halved(a, sizes[-1], along[-1], norm, name)
        return _transform(a, sizes[-2::-1], along[-2::-1], norm, False, name)

    return transform


def _irfftn(name: str, default: Any) -> Callable:
    def transform(a, s=None, axes=default, norm=None, out=None):
        a = _array(a, name)
        sizes, along = _sizes(a, s, axes, name)
        _not_none(along, name)
        norm = _norm(norm, name)
        if s is None:
            sizes[-1] = None  # twice as many as there are frequencies
        a = _transform(_complex(a), sizes[:-1], along[:-1], norm, True, name)
        return _doubled(a, sizes[-1], along[-1], norm, name)

    return transform


def _not_none(axes: list, name: str) -> None:
    if not axes:
        raise TraceError(f"np.fft.{name} at {user_location()}: at least one axis must be transformed")


implements(np.fft.rfft2)(_rfftn("rfft2", (-2, -1)))
implements(np.fft.rfftn)(_rfftn("rfftn", None))
implements(np.fft.irfft2)(_irfftn("irfft2", (-2, -1)))
implements(np.fft.irfftn)(_irfftn("irfftn", None))


def _turned(x: Any, axes: Any, back: bool, name: str) -> Any:
    """Each axis cut in two halves that change places."""
    (x,) = lifted(x)
    for axis in normal_axes(axes, x.ndim, f"fft.{name}"):
        size = x.shape[axis]
        at = size // 2 if back else size - size // 2
        before = tuple(at if i == axis else length for i, length in enumerate(x.shape))
        middle = tuple(at if i == axis else 0 for i in range(x.ndim))
        step = (1,) * x.ndim
        first = BIND["slice"](x, start=(0,) * x.ndim, stop=before, step=step)
        last = BIND["slice"](x, start=middle, stop=x.shape, step=step)
        x = BIND["concatenate"](last, first, axis=axis)
    return x


@implements(np.fft.fftshift)
def fftshift(x, axes=None):
    return _turned(x, axes, False, "fftshift")


@implements(np.fft.ifftshift)
def ifftshift(x, axes=None):
    return _turned(x, axes, True, "ifftshift")
