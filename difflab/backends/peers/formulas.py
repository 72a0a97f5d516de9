"""Functions that a framework has not under one name, written in its elementary ones as its users write them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .plan import Maker, always


def written(xp: Any, where: Callable[..., Any] | None = None) -> dict[str, Maker]:
    """Makers of functions written in a framework's own.

    Args:
        xp: a namespace with NumPy's names of elementary functions.
        where: its choice between operands that broadcast; ``xp.where`` by default.

    Returns:
        By the primitive's name.

    Example:
        >>> import numpy as np
        >>> written(np)["huber"]((), None)(1.0, np.array([0.5, -3.0]))
        array([0.125, 2.5  ])
    """
    choose = xp.where if where is None else where
    degree = math.pi / 180.0

    def boxcox(x: Any, p: Any) -> Any:
        return choose(p == 0, xp.log(x), xp.expm1(p * xp.log(x)) / choose(p == 0, 1, p))

    def inv_boxcox(x: Any, p: Any) -> Any:
        return choose(p == 0, xp.exp(x), xp.exp(xp.log1p(p * x) / choose(p == 0, 1, p)))

    def cbrt(x: Any) -> Any:
        return xp.sign(x) * xp.abs(x) ** (1.0 / 3.0)

    def entr(x: Any) -> Any:
        return choose(x > 0, -x * xp.log(choose(x > 0, x, 1.0)), choose(x == 0, 0.0 * x, -math.inf))

    def exprel(avals: Any, out: Any, *, order: int = 0) -> Any:
        return (lambda x: xp.expm1(x) / x) if order == 0 else None

    def heaviside(x: Any, h: Any) -> Any:
        return choose(x < 0, 0.0, choose(x == 0, h, 1.0 + 0.0 * x))

    def huber(delta: Any, r: Any) -> Any:
        size = xp.abs(r)
        return choose(size <= delta, 0.5 * r * r, delta * (size - 0.5 * delta))

    def xlogy(x: Any, y: Any) -> Any:
        return choose(x == 0, 0.0, x * xp.log(choose(x == 0, 1.0, y)))

    def xlog1py(x: Any, y: Any) -> Any:
        return choose(x == 0, 0.0, x * xp.log1p(choose(x == 0, 0.0, y)))

    functions: dict[str, Callable[..., Any]] = {
        "boxcox": boxcox,
        "cbrt": cbrt,
        "copysign": lambda a, b: xp.abs(a) * choose(xp.signbit(b), -1.0, 1.0 + 0.0 * b),
        "cosdg": lambda x: xp.cos(degree * x),
        "cosm1": lambda x: -2.0 * xp.sin(0.5 * x) ** 2,
        "entr": entr,
        "exp10": lambda x: 10.0**x,
        "fmod": lambda a, b: a - b * xp.trunc(a / b),
        "fraction": lambda x: x - xp.trunc(x),
        "heaviside": heaviside,
        "huber": huber,
        "inv_boxcox": inv_boxcox,
        "kl_div": lambda x, y: xlogy(x, x / y) - x + y,
        "ldexp": lambda x, n: x * 2.0**n,
        "log_expit": lambda x: -xp.logaddexp(0.0 * x, -x),
        "logit": lambda x: xp.log(x / (1.0 - x)),
        "pseudo_huber": lambda delta, r: delta * delta * (xp.sqrt(1.0 + (r / delta) ** 2) - 1.0),
        "rel_entr": lambda x, y: xlogy(x, x / y),
        "scipy_cbrt": cbrt,
        "sindg": lambda x: xp.sin(degree * x),
        "xlog1py": xlog1py,
        "xlogy": xlogy,
    }
    return {**{name: always(function) for name, function in functions.items()}, "exprel": exprel}


def factorizations(linalg: Any, pack: Callable[..., Any]) -> dict[str, Maker]:
    """Makers of factorizations with several results.

    Args:
        linalg: a namespace with ``eigh``, ``eig``, ``svd`` and ``qr``.
        pack: ``pack(dtype, stack, parts)``: parts with the axes of the stack first, each flattened, side by side.

    Returns:
        By the primitive's name.

    Example:
        >>> import numpy as np
        >>> sorted(factorizations(np.linalg, None))
        ['eig', 'eigh', 'qr', 'svd']
    """

    def eigh(avals: Any, out: Any, *, lower: bool) -> Callable[..., Any]:
        return lambda a: pack(out.dtype, out.shape[:-1], linalg.eigh(a, UPLO="L" if lower else "U"))

    def eig(avals: Any, out: Any) -> Callable[..., Any]:
        return lambda a: pack(out.dtype, out.shape[:-1], linalg.eig(a))

    def svd(avals: Any, out: Any, *, full: bool) -> Callable[..., Any]:
        def run(a: Any) -> Any:
            u, s, vh = linalg.svd(a, full_matrices=full)
            return pack(out.dtype, out.shape[:-1], (s, u, vh))

        return run

    def qr(avals: Any, out: Any, *, complete: bool) -> Callable[..., Any]:
        mode = "complete" if complete else "reduced"
        return lambda a: pack(out.dtype, out.shape[:-1], linalg.qr(a, mode=mode))

    return {"eig": eig, "eigh": eigh, "qr": qr, "svd": svd}
