"""Independent values of primitives: matrix factorizations, packed part by part, and Fourier sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _packed(a: np.ndarray, factorize: Callable[[np.ndarray], Any], dtype: Any = None) -> np.ndarray:
    """NumPy's own factors of each matrix alone, element by element."""
    dtype = a.dtype if dtype is None else dtype
    lines = [
        [x for part in factorize(matrix) for x in np.asarray(part).flat] for matrix in a.reshape(-1, *a.shape[-2:])
    ]
    return np.array(lines, dtype).reshape(*a.shape[:-2], -1)


def _complex(dtype: Any) -> Any:
    return {"f": "F", "d": "D"}.get(np.dtype(dtype).char, dtype)


def _svd(a: np.ndarray, full: bool) -> np.ndarray:
    def factorize(matrix):
        u, s, vh = np.linalg.svd(matrix, full)
        return s, u, vh

    return _packed(a, factorize)


def _sum_of_waves(x: np.ndarray, axis: int, sign: float) -> np.ndarray:
    n = x.shape[axis]
    waves = np.exp(sign * 2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)
    return np.moveaxis(np.tensordot(waves, x.astype("D"), (1, axis)), 0, axis)


def _scale(n: int, norm: str, inverse: bool) -> float:
    return {"backward": 1 / n if inverse else 1.0, "ortho": n**-0.5, "forward": 1.0 if inverse else 1 / n}[norm]


def _fft(x: np.ndarray, axes: tuple[int, ...], norm: str, inverse: bool) -> Any:
    result = x
    for axis in axes:
        result = _scale(x.shape[axis], norm, inverse) * _sum_of_waves(result, axis, 1.0 if inverse else -1.0)
    return result.astype(_complex(x.dtype))


def _rfft(x: np.ndarray, axis: int, norm: str) -> np.ndarray:
    return np.take(_fft(x, (axis,), norm, False), range(x.shape[axis] // 2 + 1), axis)


def _irfft(x: Any, n: int, axis: int, norm: str) -> np.ndarray:
    x = np.moveaxis(x, axis, -1)
    whole: Any = np.concatenate([x[..., :1].real, x[..., 1:], np.conj(x[..., 1 : (n + 1) // 2][..., ::-1])], -1)
    if n % 2 == 0:
        whole[..., n // 2] = whole[..., n // 2].real
    return np.moveaxis(_fft(whole, (whole.ndim - 1,), norm, True).real, -1, axis).astype(x.real.dtype)


def _nearest_first(w: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The places by sorting: with exactly as many partners as needed both orders are the same."""
    lines = [
        np.argsort(first, kind="stable")[np.argsort(np.argsort(second, kind="stable"))]
        for first, second in zip(w.reshape(-1, w.shape[-1]), others.reshape(-1, w.shape[-1]), strict=True)
    ]
    return np.array(lines).reshape(w.shape)


REFERENCES: dict[str, Callable[..., Any]] = {
    "eigh": lambda a, lower: _packed(a, lambda m: np.linalg.eigh(m, "L" if lower else "U")),
    "eigvalsh": lambda a, lower: _packed(a, lambda m: [np.linalg.eigvalsh(m if lower else m.T)]),
    "eig": lambda a: _packed(a, np.linalg.eig, _complex(a.dtype)),
    "eigvals": lambda a: _packed(a, lambda m: [np.linalg.eigvals(m)], _complex(a.dtype)),
    "pairing": _nearest_first,
    "svd": _svd,
    "svdvals": lambda a: _packed(a, lambda m: [np.linalg.svdvals(m)]),
    "qr": lambda a, complete: _packed(a, lambda m: np.linalg.qr(m, "complete" if complete else "reduced")),
    "fft": _fft,
    "rfft": _rfft,
    "irfft": _irfft,
}
