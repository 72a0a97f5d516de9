"""What PyTorch, JAX and autograd do otherwise than NumPy or our rules, or not at all, primitive by primitive.

The tests go through the registry: a primitive is in a peer's table and agrees with NumPy's value and with our pullback
on all of its samples, or it stands here with a reason, and what stands here is still so.  Where a framework's rule
differs it is left as it is: what a peer answers is its own.
"""

from __future__ import annotations

from collections.abc import Mapping

INSIDE = "it arises inside our own derivatives only"
CHOICE = "the order beside the k-th element is NumPy's own choice"
ABSENT = "the framework has no such function"
VALUE_ONLY = "the framework has the value and no derivative"
PHASE = "eigenvectors are determined up to a factor, and it refuses what may depend on that"
SIGN = "vectors are determined up to their signs, and its library chooses others than NumPy's"
BOTH = "both triangles move together, where NumPy reads one; our gradient's symmetric part is the same"
SINGULAR = "at a singular matrix it divides by what is 0"
ZERO = "at the edge of the domain, where we take 0 * log(0) and its derivative by limits, it divides by 0"
EMPTY = "its rule for broadcasting knows no empty arrays"
TIE = "equal elements share otherwise"

_INTERNAL = dict.fromkeys(("det_derivative", "lanes", "pairing", "pool_route", "pool_select"), INSIDE)
_ORDER = dict.fromkeys(("argpartition", "partition_order"), CHOICE)
_BESSEL = dict.fromkeys(("jv", "yv", "iv", "kv", "yn", "ive", "kve", "j0", "j1", "y0", "y1", "k0", "k1"), ABSENT)
_SCALED = dict.fromkeys(("k0e", "k1e"), ABSENT)
_DERIVED = dict.fromkeys(("sinc", "exprel"), "of higher orders, which are derivatives of ours")

MISSING: Mapping[str, Mapping[str, str]] = {
    "torch": {
        **_INTERNAL, **_ORDER, **_BESSEL, **_SCALED, **_DERIVED,
        **dict.fromkeys(("j0", "j1", "y0", "y1", "k0", "k1"), VALUE_ONLY),
        **dict.fromkeys(("betainc", "dawsn", "exp1", "expi", "expn", "gammaincinv"), ABSENT),
    },
    "jax": {
        **_INTERNAL, **_ORDER, **_BESSEL, **_SCALED, **_DERIVED,
        **dict.fromkeys(("dawsn", "erfcx", "gammaincinv"), ABSENT),
    },
    "autograd": {
        **_INTERNAL, **_ORDER, **_SCALED, **_DERIVED,
        **dict.fromkeys(("kv", "kve", "k0", "k1", "i0e", "i1e", "erfcx", "dawsn", "log_ndtr", "gammaincinv"), ABSENT),
        **dict.fromkeys(("betainc", "zeta", "expi", "exp1", "expn", "nonzero", "searchsorted"), ABSENT),
        "eig": "its eigenvalues of a real matrix lose their imaginary parts on the way back",
        "eigvals": "its eigenvalues of a real matrix lose their imaginary parts on the way back",
        "qr": VALUE_ONLY,
    },
}  # fmt: skip
"""By peer: primitives, or some of their parameters, that are refused in a sentence before anything runs."""

OTHERWISE: Mapping[str, Mapping[str, str]] = {
    "torch": {
        "cholesky": BOTH,
        "det": SINGULAR,
        "eig": PHASE,
        "eigh": SIGN,
        "eigvalsh": BOTH,
        "fmax": TIE,
        "fmin": TIE,
        "kl_div": ZERO,
        "psi": "its trigamma function has ten digits",
        "rel_entr": ZERO,
        "svd": SIGN,
        "xlog1py": ZERO,
        "xlogy": ZERO,
    },
    "jax": {
        "absolute": "the slope of the absolute value at 0 is 1 there, and 0 with us",
        "cholesky": BOTH,
        "eig": PHASE,
        "eigh": BOTH,
        "eigvalsh": BOTH,
        "expn": "its slope at order 0 is no number",
        "fmax": TIE,
        "fmin": TIE,
        "kl_div": ZERO,
        "log_ndtr": "its rule has ten digits far to the left",
        "rel_entr": ZERO,
        "xlog1py": ZERO,
        "xlogy": ZERO,
    },
    "autograd": {
        "cholesky": BOTH,
        "det": SINGULAR,
        "entr": ZERO,
        "heaviside": EMPTY,
        "huber": EMPTY,
        "irfft": "it counts the imaginary part of the first frequency, and has no rule for odd lengths",
        "kl_div": ZERO,
        "max_pool": TIE,
        "prod": "it divides by each element, of which some are 0",
        "rel_entr": ZERO,
        "relu": "the slope of the maximum with 0 is 1/2 at 0 there, and 0 with us",
        "rfft": "it has no rule for odd lengths",
        "svd": "it has no rule for all columns of both factors",
        "xlog1py": ZERO,
        "xlogy": ZERO,
    },
}
"""By peer: primitives that it has, with a value or a derivative that differs on some sample, or none there."""
