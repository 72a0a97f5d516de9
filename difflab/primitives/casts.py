"""Copies, casts and stops: the same elements, in another dtype, elsewhere, or cut off from derivatives."""

from __future__ import annotations

import numpy as np

from . import dependence, examples
from . import exact_rules as exact
from .batching import broadcasting
from .constructors import general, linear
from .kernel_texts import cast_text
from .record import OUT, REGISTRY, Aval, Call, Operand, same_dtype


def _cast(x, *, dtype):
    return np.asarray(x).astype(dtype)


def _cast_into(x, out):
    np.copyto(out, x, casting="unsafe")


def _cast_transpose(cotangent, x, *, wanted, dtype):
    if not wanted[0] or x.dtype.kind not in "fc" or np.dtype(dtype).kind not in "fc":
        return (None,)
    if x.dtype.kind == "f" and cotangent.dtype.kind == "c":  # the other part belongs to nothing that x can move
        cotangent = REGISTRY["real"](cotangent)
    return (cotangent if cotangent.dtype == x.dtype else cast(cotangent, dtype=x.dtype.str),)


def _cast_abstract(x, *, dtype):
    target = np.dtype(dtype)
    if x.dtype.kind == "c" and target.kind not in "cb":
        raise ValueError(
            f"a complex array is to become {target.name}, which would drop its imaginary part; take np.real or np.abs"
        )
    return Aval(x.shape, target)


cast = linear(
    _cast,
    _cast_transpose,
    name="cast",
    depends=dependence.same,
    examples=examples.aligned,
    batch=broadcasting("cast"),
    abstract=_cast_abstract,
    into=lambda avals, dtype: (
        Call(np.copyto, (OUT, Operand(0)))
        if np.can_cast(avals[0].dtype, dtype, "same_kind")
        else Call(_cast_into, (Operand(0), OUT))
    ),
    exact=exact.cast,
    device=lambda xp, x, *, dtype: x.astype(dtype),
    samples=lambda: [((np.array([1.5, -2.0]),), {"dtype": "<f4"}), ((np.array([1.5, -2.0], "f4"),), {"dtype": "<f8"})],
    kernel=cast_text,
)
zeros_like = linear(
    lambda x: np.zeros_like(x),
    lambda cotangent, x, wanted: (None,),
    name="zeros_like",
    depends=dependence.independent,
    examples=examples.aligned,
    batch=broadcasting("zeros_like"),
    abstract=same_dtype,
    into=lambda avals: Call(_fill_zero, (OUT,)),
    exact=exact.zeros_like,
    device=lambda xp, x: xp.zeros_like(x),
    samples=lambda: [((np.array([1.5, -2.0]),), {})],
    kernel="{T}(0)",
)
copy = linear(
    lambda x: np.array(x),
    lambda cotangent, x, wanted: (cotangent,),
    name="copy",
    depends=dependence.same,
    examples=examples.aligned,
    batch=broadcasting("copy"),
    abstract=same_dtype,
    into=lambda avals: Call(_cast_into, (Operand(0), OUT)),
    device=lambda xp, x: x.copy(),
    samples=lambda: [((np.array([1.5, -2.0]),), {})],
    kernel="{0}",
)
stop_gradient = general(
    lambda x: x,
    None,
    None,
    name="stop_gradient",
    examples=examples.aligned,
    batch=broadcasting("stop_gradient"),
    abstract=same_dtype,
    view=True,
    exact=exact.stop_gradient,
    samples=lambda: [((np.array([1.5, -2.0]),), {})],
    excuse="its derivative is zero by definition",
    kernel="{0}",
)


def _fill_zero(out):
    out.fill(0)
