"""Linear algebra of the stand-in for CuPy: no repetition over stacks, and failures that show only if asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from cupy_arrays import STATE

LEFT_OVER = 7.0
"""What stands in the result of a factorisation that failed; nobody may rely on it."""


@contextlib.contextmanager
def errstate(*, linalg: str | None = None, **others: Any) -> Iterator[None]:
    """As ``cupyx.errstate``: with ``linalg="raise"`` the host waits for every status."""
    if any(value is not None for value in others.values()) or linalg not in (None, "ignore", "raise"):
        raise ValueError(f"the stand-in knows linalg alone, and was given {others} and linalg={linalg!r}")
    before, STATE.linalg = STATE.linalg, linalg or STATE.linalg
    try:
        yield
    finally:
        STATE.linalg = before


def _each(function: Callable, *stacks: np.ndarray) -> np.ndarray:
    """Matrix by matrix, so that one that fails spoils its own result only."""
    if STATE.linalg == "raise":
        STATE.to_host()
        return function(*stacks)
    try:
        return function(*stacks)
    except np.linalg.LinAlgError:
        if stacks[0].ndim == 2:
            return np.full_like(stacks[-1], LEFT_OVER)
        return np.stack([_each(function, *parts) for parts in zip(*stacks, strict=True)])


def _solve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if b.ndim == 1:
        b = np.broadcast_to(b, a.shape[:-1])
    elif a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
    return _each(np.linalg.solve, a, b)


def _complex(function: Callable) -> Callable:
    """Eigenvalues of general matrices are complex numbers, also where all are real."""

    def run(a: np.ndarray) -> Any:
        result = function(a)
        parts = result if isinstance(result, tuple) else (result,)
        parts = tuple([np.asarray(one).astype(np.result_type(one, np.complex64)) for one in parts])
        return parts if isinstance(result, tuple) else parts[0]

    return run


def _waiting(function: Callable) -> Callable:
    def run(*args: Any, **kwargs: Any) -> Any:
        STATE.to_host()
        return function(*args, **kwargs)

    return run


OWN: dict[str, Callable] = {
    "inv": lambda a: _each(np.linalg.inv, a),
    "cholesky": lambda a: _each(np.linalg.cholesky, a),
    "solve": _solve,
    "eig": _complex(np.linalg.eig),
    "eigvals": _complex(np.linalg.eigvals),
    **{name: _waiting(getattr(np.linalg, name)) for name in ("cond", "lstsq", "pinv")},
}
