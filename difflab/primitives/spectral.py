"""Discrete Fourier transforms: ``fft`` over several axes and both directions, ``rfft`` and ``irfft`` over one axis.

All three are linear.  The matrix of a Fourier transform is symmetric, so ``fft`` is its own transpose, without a
conjugate and whatever its scale.  ``rfft`` sees one half of a spectrum whose other half mirrors it: the transposes of
``rfft`` and ``irfft`` are each other, conjugated and with weight 2 on what stands for two numbers.
"""

from __future__ import annotations

import math

import numpy as np

from . import dependence, examples
from .complexes import COMPLEX, complex_dtype, real_dtype
from .constructors import linear
from .record import OUT, REGISTRY, Aval, Call, Operand

# The scale of a transform and of its transpose are one number; rfft and irfft call it by opposite names.
SWAPPED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


def _work(size: int, lengths: tuple[int, ...]) -> float:
    return 5.0 * size * math.log2(max(2, math.prod(lengths)))


def _part(g, x):
    """A cotangent for ``x``: the real part where ``x`` is real."""
    return REGISTRY["real"](g) if x.dtype.kind == "f" else g


def _steps(xp, inverse):
    return xp.fft.ifft if inverse else xp.fft.fft


def _fft_with(xp, x, *, axes, norm, inverse):
    for axis in axes:
        x = _steps(xp, inverse)(x, axis=axis, norm=norm)
    return x


def _fft(x, *, axes, norm, inverse):
    return _fft_with(np, x, axes=axes, norm=norm, inverse=inverse)


def _fft_into(avals, *, axes, norm, inverse):
    step = _steps(np, inverse)

    def run(x, out):
        for axis in axes:
            x = step(x, None, axis, norm, out)

    return Call(run, (Operand(0), OUT))


def _fft_samples():
    x = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
    return [
        ((x,), {"axes": (1,), "norm": "backward", "inverse": False}),
        ((x,), {"axes": (1, 0), "norm": "ortho", "inverse": True}),
        ((x,), {"axes": (0,), "norm": "forward", "inverse": True}),
    ]


fft = linear(
    _fft,
    lambda g, x, wanted, axes, norm, inverse: (
        _part(fft(g, axes=axes, norm=norm, inverse=inverse), x) if wanted[0] else None,
    ),
    name="fft",
    depends=dependence.mixing_axes,
    abstract=lambda x, axes, norm, inverse: Aval(x.shape, complex_dtype(x.dtype)),
    into=_fft_into,
    flops=lambda avals, out, axes, norm, inverse: _work(out.size, tuple(out.shape[axis] for axis in axes)),
    device=_fft_with,
    samples=_fft_samples,
    examples=examples.beside_axes,
    batch=lambda size, flags, x, axes, norm, inverse: fft(
        x, axes=tuple(axis + 1 for axis in axes), norm=norm, inverse=inverse
    ),
    inexact=COMPLEX,
)


def _weights(n, axis, like):
    """2 at the frequencies that stand for a mirrored one as well, 1 at zero and, for even ``n``, at the last."""
    counts = np.full(n // 2 + 1, 2, real_dtype(like.dtype))
    counts[0] = 1
    if n % 2 == 0:
        counts[-1] = 1
    return counts.reshape(-1, *(1,) * (len(like.shape) - 1 - axis))


def _resized(aval, axis, size):
    return (*aval.shape[:axis], size, *aval.shape[axis + 1 :])


def _rfft_transpose(g, x, *, wanted, axis, norm):
    if not wanted[0]:
        return (None,)
    n = x.shape[axis]
    half = REGISTRY["conjugate"](g) / _weights(n, axis, g)
    return (irfft(half, n=n, axis=axis, norm=SWAPPED[norm]),)


rfft = linear(
    lambda x, *, axis, norm: np.fft.rfft(x, axis=axis, norm=norm),
    _rfft_transpose,
    name="rfft",
    depends=dependence.mixing_axis,
    abstract=lambda x, axis, norm: Aval(_resized(x, axis, x.shape[axis] // 2 + 1), complex_dtype(x.dtype)),
    into=lambda avals, axis, norm: Call(np.fft.rfft, (Operand(0), None, axis, norm, OUT)),
    flops=lambda avals, out, axis, norm: _work(out.size, (avals[0].shape[axis],)),
    samples=lambda: [
        ((_fft_samples()[0][0][0],), {"axis": 1, "norm": "backward"}),
        ((_fft_samples()[0][0][0],), {"axis": 0, "norm": "ortho"}),
    ],
    examples=examples.beside_axis,
    batch=lambda size, flags, x, axis, norm: rfft(x, axis=axis + 1, norm=norm),
    device=lambda xp, x, *, axis, norm: xp.fft.rfft(x, axis=axis, norm=norm),
    inexact=COMPLEX,
)


def _irfft_transpose(g, x, *, wanted, n, axis, norm):
    if not wanted[0]:
        return (None,)
    half = REGISTRY["conjugate"](rfft(g, axis=axis, norm=SWAPPED[norm]))
    return (half * _weights(n, axis, half),)


def _irfft_samples():
    x = np.array([[0.5 + 1j, -1.0 + 0.5j, 2.0 - 1j], [1.5 - 2j, 0.25 + 0.75j, -0.75 + 0.1j]])
    return [
        ((x,), {"n": 4, "axis": 1, "norm": "backward"}),
        ((x,), {"n": 5, "axis": 1, "norm": "forward"}),
        ((x,), {"n": 2, "axis": 0, "norm": "ortho"}),
    ]


# The operand has n // 2 + 1 frequencies: what is longer or shorter is cut or padded before.
irfft = linear(
    lambda x, *, n, axis, norm: np.fft.irfft(x, n, axis, norm),
    _irfft_transpose,
    name="irfft",
    depends=dependence.mixing_axis,
    abstract=lambda x, n, axis, norm: Aval(_resized(x, axis, n), real_dtype(x.dtype)),
    into=lambda avals, n, axis, norm: Call(np.fft.irfft, (Operand(0), n, axis, norm, OUT)),
    flops=lambda avals, out, n, axis, norm: _work(out.size, (n,)),
    samples=_irfft_samples,
    examples=examples.beside_axis,
    batch=lambda size, flags, x, n, axis, norm: irfft(x, n=n, axis=axis + 1, norm=norm),
    device=lambda xp, x, *, n, axis, norm: xp.fft.irfft(x, n=n, axis=axis, norm=norm),
    inexact=COMPLEX,
)
