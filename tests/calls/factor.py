"""Calls of NumPy's functions: factorizations and Fourier transforms; each returns real numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

F: Any = np.fft
L: Any = np.linalg


def gram(x: Any) -> Any:
    """A symmetric matrix, and another in its upper triangle."""
    return x @ x.T + np.triu(x[:, :3], 1)


def power(z: Any) -> Any:
    """The sum of the squared magnitudes with different weights, for complex and real numbers alike."""
    flat: Any = np.reshape(z, -1)
    return np.sum((flat.real * flat.real + 2 * flat.imag * flat.imag) * np.arange(1, flat.size + 1))


def eigh_parts(a: Any, uplo: str) -> Any:
    w, v = L.eigh(a, UPLO=uplo)
    return w * np.sum(v * v[::-1], axis=0) + w


def named(result: Any) -> Any:
    """Sums of the fields under their names."""
    return sum(np.sum(getattr(result, name) * 1.5) for name in result._fields)


CALLS: dict[str, Callable[..., Any]] = {
    "eigh~": lambda x, y, v, s: eigh_parts(gram(x), "L") + eigh_parts(gram(y), "U") + L.eigh(gram(x)).eigenvalues,
    "eigh of a stack~": lambda x, y, v, s: L.eigh(np.stack([gram(x), gram(y)]))[0] * s + L.eigh(gram(x) * 1j)[0],
    "eigvalsh~": lambda x, y, v, s: L.eigvalsh(gram(x)) + L.eigvalsh(gram(y), "U") + L.eigvalsh(a=gram(x), UPLO="l"),
    "eigvalsh complex~": lambda x, y, v, s: L.eigvalsh(np.stack([gram(x) + 1j * gram(y), gram(y) * (2 - 1j)])),
    "eig~": lambda x, y, v, s: named(L.eig(x[:, :3] + np.diag([0.0, 3.0, 7.0]).astype(x.dtype))),
    "eig complex~": lambda x, y, v, s: power(L.eig(x[:, 1:] + 1j * y[:, :3]).eigenvalues) + power(L.eigvals(x[:2, :2])),
    "eigvals~": lambda x, y, v, s: L.eigvals(x[:, :3] @ np.diag([1, 4, 9])) + power(L.eigvals(1j * x[:, :3] + gram(y))),
    "svd~": lambda x, y, v, s: named(L.svd(x, full_matrices=False)) + L.svd(y, compute_uv=False) @ v[:3],
    "svd tall and square~": lambda x, y, v, s: named(L.svd(y.T, False)) + named(L.svd(x[:, :3])) + L.svd(y[:, 1:]).S,
    "svd of a stack~": lambda x, y, v, s: np.abs(L.svd(np.stack([x, y]) * (1 + 0.5j), full_matrices=False)[0]),
    "svdvals~": lambda x, y, v, s: L.svdvals(x) + L.svdvals(np.stack([x, y]) + 1j * x) + L.svd(x, True, False),
    "qr~": lambda x, y, v, s: named(L.qr(x)) + named(L.qr(y.T, mode="reduced")) + L.qr(x[:, :2], "r") @ v[:2],
    "qr complete~": lambda x, y, v, s: named(L.qr(x[:, :3], "complete")) + L.qr(x.T, mode="complete").R[:3] @ v[:3],
    "qr complex~": lambda x, y, v, s: power(L.qr(np.stack([x, y]) + 1j * y).Q) + power(L.qr(x.T * (1 - 1j), mode="r")),
    "fft~": lambda x, y, v, s: power(F.fft(y, 3)) + power(F.fft(x + 1j * y, n=6, axis=0, norm="ortho")),
    "ifft~": lambda x, y, v, s: power(F.ifft(x, n=5, axis=-2)) + power(F.ifft(x * 1j, norm="forward")),
    "fft2~": lambda x, y, v, s: power(F.ifft2(y, axes=(1, 0))) + power(F.fft2(x, (2, 5), norm="ortho")),
    "fftn~": lambda x, y, v, s: power(F.ifftn(y, axes=(0,))) + power(F.fftn(y, s=(4, -1), axes=(0, 1))),
    "fft twice~": lambda x, y, v, s: power(F.fftn(x, axes=(1, 1))) + power(F.ifftn(x, s=(3, 2, 6), axes=(1, 0, 1))),
    "rfft~": lambda x, y, v, s: power(F.rfft(x)) + power(F.rfft(y, 5)) + power(F.rfft(y, n=2, axis=0, norm="forward")),
    "irfft~": lambda x, y, v, s: F.irfft(x, 4, norm="ortho") + np.sum(F.irfft(y + 1j * x, n=7) ** 2),
    "irfft complex~": lambda x, y, v, s: np.sum(F.irfft(x + 1j * y, n=5, axis=0), 0) + F.irfft(v)[:4],
    "rfft2~": lambda x, y, v, s: power(F.rfft2(y, axes=(-1, 0))) + power(F.rfftn(x, axes=(0, 1, 0))),
    "rfftn~": lambda x, y, v, s: power(F.rfftn(x, s=(2, 7), axes=(0, 1), norm="ortho")) + power(F.rfftn(y, axes=(-2,))),
    "irfft2~": lambda x, y, v, s: F.irfft2(x) + F.irfft2(x - 1j * y, s=(3, 6), axes=(0, 1), norm="forward"),
    "irfftn~": lambda x, y, v, s: F.irfftn(x * 1j + y) + F.irfftn(y, (3, -1), (0, 1))[:, :1],
    "hfft~": lambda x, y, v, s: F.hfft(x) @ F.hfft(v + 2j * v, n=6) + F.hfft(x * 1j, 4, 0, "ortho")[:3, 0],
    "ihfft~": lambda x, y, v, s: power(F.ihfft(x)) + power(F.ihfft(y, n=3, axis=0, norm="forward")),
    "fftshift": lambda x, y, v, s: F.fftshift(x) + F.fftshift(y, axes=1) + F.ifftshift(x, axes=(0, -1)),
    "frequencies~": lambda x, y, v, s: power(F.fftshift(F.fft(v * F.fftfreq(4, 0.5).astype(v.dtype)))),
}  # fmt: skip
