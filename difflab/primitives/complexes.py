"""Complex numbers: their parts, their conjugate, their magnitude, and numbers made of parts.

The cotangent of a complex value is df/dRe - i df/dIm, so that holomorphic rules need no conjugate.  Seen that way
each map below is linear over the reals, and its transpose is the one that keeps Re(cotangent * tangent).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dependence, elementwise, examples
from .batching import broadcasting
from .constructors import general, linear
from .kernel_texts import complex_text, of_kinds
from .record import OUT, REGISTRY, Aval, Call, Operand, broadcast_shapes, same_dtype, unbroadcast

COMPLEX = "balls and symbols are real numbers here; write the loss with real and imaginary parts"


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the parts of a complex number; a real dtype as it is."""
    return np.dtype(dtype.char.lower()) if dtype.kind == "c" else dtype


def complex_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of complex numbers with parts of a dtype."""
    return np.result_type(dtype, np.complex64)


def block_dtype(output: Any, variable: Any) -> np.dtype:
    """The dtype of a block of a Jacobian: the variable's, as of a gradient, but complex where the output is."""
    return complex_dtype(variable.dtype) if output.dtype.kind == "c" else variable.dtype


def _part(x: Aval) -> Aval:
    return Aval(x.shape, real_dtype(x.dtype))


def _samples():
    return [((np.array([1.5 + 0.5j, -2.0 + 1.0j, -0.25j]),), {})]


def _real_into(x, out):
    np.copyto(out, x.real)


def _imag_into(x, out):
    np.copyto(out, x.imag)


def _no_parts(g: Any) -> Any:
    return REGISTRY["zeros_like"](g)


real = linear(
    lambda x: np.array(x.real),
    lambda g, x, wanted: (None if not wanted[0] else g if x.dtype.kind != "c" else complex_of(g, _no_parts(g)),),
    name="real",
    depends=dependence.same,
    abstract=_part,
    into=lambda avals: Call(_real_into, (Operand(0), OUT)),
    device=lambda xp, x: x.real.copy(),
    samples=_samples,
    examples=examples.aligned,
    batch=broadcasting("real"),
    inexact=COMPLEX,
    kernel=of_kinds("{0}", whole="{0}", boolean="{0}", complex="real_part({0})"),
)


def _imag_depends(table, x):
    return x.ids if x.aval.dtype.kind == "c" else dependence.nothing()


imag = linear(
    lambda x: np.array(x.imag),
    lambda g, x, wanted: (None if not wanted[0] or x.dtype.kind != "c" else complex_of(_no_parts(g), -g),),
    name="imag",
    depends=_imag_depends,
    abstract=_part,
    into=lambda avals: Call(_imag_into, (Operand(0), OUT)),
    device=lambda xp, x: x.imag.copy(),
    samples=_samples,
    examples=examples.aligned,
    batch=broadcasting("imag"),
    inexact=COMPLEX,
    kernel=of_kinds("{T}(0)", whole="{T}(0)", boolean="{T}(0)", complex="imag_part({0})"),
)
conjugate = linear(
    np.conjugate,
    lambda g, x, wanted: (conjugate(g) if wanted[0] else None,),
    name="conjugate",
    depends=dependence.same,
    abstract=same_dtype,
    into=lambda avals: Call(np.conjugate, (Operand(0), OUT)),
    samples=_samples,
    examples=examples.aligned,
    batch=broadcasting("conjugate"),
    inexact=COMPLEX,
    kernel=of_kinds("{0}", whole="{0}", complex="conj({0})"),
)


def _complex_of(re, im):
    return _complex_with(np, re, im)


def _complex_with(xp, re, im):
    out = xp.empty(np.broadcast_shapes(np.shape(re), np.shape(im)), complex_dtype(re.dtype))
    out.real[...] = re
    out.imag[...] = im
    return out


def _complex_into(re, im, out):
    np.copyto(out.real, re)
    np.copyto(out.imag, im)


# re + 1j * im would make NaN of an infinite part.
complex_of = linear(
    _complex_of,
    lambda g, re, im, wanted: (
        unbroadcast(real(g), re.shape) if wanted[0] else None,
        unbroadcast(-imag(g), im.shape) if wanted[1] else None,
    ),
    name="complex_of",
    depends=dependence.of_operands(True, True),
    abstract=lambda re, im: Aval(broadcast_shapes(re.shape, im.shape), complex_dtype(re.dtype)),
    device=_complex_with,
    into=lambda avals: Call(_complex_into, (Operand(0), Operand(1), OUT)),
    samples=lambda: [
        ((np.array([[1.5], [-2.0]]), np.array([0.5, 1.0, -0.25])), {}),
        ((np.array(0.5), np.array(-1.0)), {}),
    ],
    examples=examples.aligned,
    batch=broadcasting("complex_of"),
    inexact=COMPLEX,
    kernel=complex_text,
)


def _direction(y, z):
    """conj(z) / |z|, and 0 where z is 0."""
    length = elementwise.where(elementwise.equal(y, 0.0), 1.0, y)
    return conjugate(z) / elementwise.cast(length, dtype=z.dtype.str)


complex_abs = general(
    lambda z: np.absolute(z),  # NumPy's ufunc itself stands for the primitive of real numbers
    lambda tangents, y, z: real(_direction(y, z) * tangents[0]),
    lambda g, y, z, wanted: (elementwise.cast(g, dtype=z.dtype.str) * _direction(y, z) if wanted[0] else None,),
    name="complex_abs",
    depends=dependence.same,
    abstract=_part,
    into=lambda avals: Call(np.absolute, (Operand(0), OUT)),
    device=lambda xp, z: xp.absolute(z),
    samples=_samples,
    examples=examples.aligned,
    batch=broadcasting("complex_abs"),
    inexact=COMPLEX,
    kernel=of_kinds("fabs({0})", complex="abs({0})"),
)
