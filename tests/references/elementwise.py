"""Independent values of primitives: elementwise.

Special functions are SciPy's by definition; their derivatives are compared with mpmath in ``test_special``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import scipy.special

from difflab.primitives.special import UFUNCS


def by_mpmath(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function(x, order)`` of mpmath's numbers, element by element, at 40 digits."""

    def value(x, *, order):
        with mpmath.workdps(40):
            flat = [float(function(mpmath.mpf(float(item)), order)) for item in np.ravel(x)]
        return np.array(flat).reshape(np.shape(x)).astype(x.dtype)

    return value


def _sinc(x, order):
    if x == 0:
        return 0 if order % 2 else (-1) ** (order // 2) * mpmath.pi**order / (order + 1)
    return mpmath.diff(lambda t: mpmath.sin(mpmath.pi * t) / (mpmath.pi * t), x, order)


def _exprel(x, order):
    return mpmath.quad(lambda s: s**order * mpmath.exp(x * s), [0, 1])


ORDERED = ("boxcox", "inv_boxcox", "gammainc", "gammaincc", "gammaincinv", "betainc", "yn", "expn")


def _with_orders(ufunc):
    """SciPy's in the dtype of what is floating."""

    def value(*operands):
        dtype = next(operand.dtype for operand in operands if operand.dtype.kind == "f")
        return ufunc(*[operand.astype(dtype) for operand in operands])

    return value


def _modulus(z):
    return np.sqrt(z.real**2 + z.imag**2)


REFERENCES: dict[str, Callable[..., Any]] = {
    **{record.name: getattr(scipy.special, name) for name, record in UFUNCS.items() if name[0] != "_"},
    **{name: _with_orders(getattr(scipy.special, name)) for name in ORDERED},
    "zeta": scipy.special.zeta,
    "polygamma": by_mpmath(lambda x, order: mpmath.polygamma(order, x)),
    "sinc": by_mpmath(_sinc),
    "exprel": by_mpmath(_exprel),
    "numpy_i0": lambda x: np.asarray(np.i0(x)),
    "real": lambda x: (x + np.conjugate(x)).real / 2,
    "imag": lambda x: (-1j * x).real,
    "complex_of": lambda re, im: re + 1j * im,
    "complex_abs": _modulus,
    "fraction": lambda x: np.copysign(np.where(np.isinf(x), 0, np.fmod(x, 1)), x).astype(x.dtype),
}
