"""Eigenvalues, singular values, QR: one packed primitive each, whose parts are cut out here as NumPy returns them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import TraceError, user_location
from ..primitives.packing import cut, re
from ..promotion import floating
from .common import BIND, implements, lifted
from .linalg import names_of_parts


def _matrices(a: Any, name: str) -> Any:
    """The argument as matrices of a dtype that NumPy factorizes."""
    a = floating(lifted(a)[0])
    if a.dtype.char not in "fdFD":
        raise TraceError(
            f"np.linalg.{name} at {user_location()}: NumPy factorizes no matrices of dtype {a.dtype.name}; cast to "
            "float32 or float64 first"
        )
    return a


def _lower(uplo: Any, name: str) -> bool:
    if not isinstance(uplo, str) or uplo.upper() not in ("L", "U"):
        raise TraceError(f"np.linalg.{name} at {user_location()}: UPLO must be 'L' or 'U', not {uplo!r}")
    return uplo.upper() == "L"


@implements(np.linalg.eigh)
def eigh(a, UPLO="L"):
    a = _matrices(a, "eigh")
    packed = BIND["eigh"](a, lower=_lower(UPLO, "eigh"))
    n = a.shape[-1]
    w, v = cut(packed, (n,), (n, n))
    return names_of_parts(np.linalg.eigh)(re(w), v)


@implements(np.linalg.eigvalsh)
def eigvalsh(a, UPLO="L"):
    a = _matrices(a, "eigvalsh")
    return BIND["eigvalsh"](a, lower=_lower(UPLO, "eigvalsh"))


def _real_spectrum(a: Any, w: Any) -> bool:
    """Whether NumPy gives the eigenvalues as real numbers, which depends on data: a guard notes what was seen."""
    return a.dtype.kind != "c" and bool(np.all(np.equal(np.imag(w), 0)))


@implements(np.linalg.eig)
def eig(a):
    a = _matrices(a, "eig")
    n = a.shape[-1] if a.ndim else 0
    w, v = cut(BIND["eig"](a), (n,), (n, n))
    if _real_spectrum(a, w):
        w, v = re(w), re(v)
    return names_of_parts(np.linalg.eig)(w, v)


@implements(np.linalg.eigvals)
def eigvals(a):
    a = _matrices(a, "eigvals")
    w = BIND["eigvals"](a)
    return re(w) if _real_spectrum(a, w) else w


@implements(np.linalg.svd)
def svd(a, full_matrices=True, compute_uv=True, hermitian=False):
    if hermitian:
        raise TraceError(
            f"np.linalg.svd at {user_location()}: hermitian=True is not supported on a traced array; leave it out, or "
            "take np.linalg.eigh, whose eigenvalues are the singular values up to sign and order"
        )
    a = _matrices(a, "svd")
    if not compute_uv:
        return BIND["svdvals"](a)
    packed = BIND["svd"](a, full=bool(full_matrices))
    m, n = a.shape[-2:]
    k = min(m, n)
    shapes = ((m, m), (n, n)) if full_matrices else ((m, k), (k, n))
    s, u, vh = cut(packed, (k,), *shapes)
    return names_of_parts(np.linalg.svd)(u, re(s), vh)


@implements(np.linalg.svdvals)
def svdvals(x, /):
    return BIND["svdvals"](_matrices(x, "svdvals"))


@implements(np.linalg.qr)
def qr(a, mode="reduced"):
    if mode not in ("reduced", "complete", "r"):
        raise TraceError(
            f"np.linalg.qr at {user_location()}: mode {mode!r} is not supported on a traced array; use 'reduced', "
            "'complete' or 'r'"
        )
    a = _matrices(a, "qr")
    packed = BIND["qr"](a, complete=mode == "complete")
    m, n = a.shape[-2:]
    k = m if mode == "complete" else min(m, n)
    q, r = cut(packed, (m, k), (k, n))
    return r if mode == "r" else names_of_parts(np.linalg.qr)(q, r)
