"""Complex numbers: parts, conjugate, magnitude, angle."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..promotion import apply_ufunc
from .common import BIND, implements


def is_complex(x: Any) -> bool:
    """Whether a traced array has a complex dtype."""
    return x.dtype.kind == "c"


@implements(np.real)
def real(val):
    return BIND["real"](val) if is_complex(val) else val


@implements(np.imag)
def imag(val):
    return BIND["imag"](val) if is_complex(val) else BIND["zeros_like"](val)


@implements(np.conjugate)
def conjugate(x):
    return x if x.dtype.kind in "iuf" else apply_ufunc(np.conjugate, (x,))  # of booleans NumPy makes integers


@implements(np.absolute)
def absolute(x):
    return BIND["complex_abs"](x) if is_complex(x) else apply_ufunc(np.absolute, (x,))


@implements(np.angle)
def angle(z, deg=False):
    if is_complex(z):
        result = np.arctan2(BIND["imag"](z), BIND["real"](z))
    else:  # 0 or pi, by the sign
        result = np.arctan2(0, z)
    return result * (180 / np.pi) if deg else result


@implements(np.iscomplexobj)
def iscomplexobj(x):
    return is_complex(x)


@implements(np.isrealobj)
def isrealobj(x):
    return not is_complex(x)


@implements(np.iscomplex)
def iscomplex(x):
    return np.not_equal(np.imag(x), 0) if is_complex(x) else np.zeros_like(x, dtype=bool)


@implements(np.isreal)
def isreal(x):
    return np.equal(np.imag(x), 0) if is_complex(x) else np.ones_like(x, dtype=bool)


@implements(np.real_if_close)
def real_if_close(a, tol=100):
    if not is_complex(a):
        return a
    if tol > 1:
        tol = float(np.finfo(a.dtype).eps * tol)
    # The answer decides the dtype, so that Python must know it: a guard.
    return np.real(a) if bool(np.all(np.absolute(np.imag(a)) < tol)) else a
