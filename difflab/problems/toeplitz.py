"""One network twice: ``toeplitz-cnn`` in convolutions, ``toeplitz-matrices`` in the banded Toeplitz matrices they are.

Both are mean ln(1 + exp(-y max(0, W3 max(0, W2 max(0, W1 x))))) of the same parameters, so their values and gradients
are equal.  Convolutions cost work in proportion to the length of a signal, matrices to its square.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .. import nn
from .record import Instance, Problem, instance, problem

Params = Mapping[str, Any]
Answer = tuple[Any, dict[str, Any]]

SIZES = {
    "tiny": {"batch": 4, "length": 8, "kernel": 3},
    "small": {"batch": 16, "length": 16, "kernel": 3},
    "medium": {"batch": 32, "length": 64, "kernel": 5},
    "large": {"batch": 64, "length": 256, "kernel": 5},
    "xlarge": {"batch": 64, "length": 1024, "kernel": 5},
}


def in_convolutions(params: Params, x: Any, y: Any) -> Any:
    """The loss with ``W1`` and ``W2`` as convolutions without padding.

    Args:
        params: kernels ``k1`` and ``k2`` of shape (K,), and ``w3`` of shape (L - 2 K + 2,).
        x: signals, shape (N, L).
        y: labels -1 and 1, shape (N,).

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> args = TOEPLITZ_CNN.build("tiny", "float64", 0).args
        >>> abs(float(in_convolutions(*args) - in_matrices(*args))) < 1e-15
        True
    """
    h = x.reshape(x.shape[0], 1, -1, 1)
    for key in ("k1", "k2"):
        h = nn.relu(nn.conv2d(h, params[key].reshape(1, -1, 1, 1)))
    return _logistic(np.maximum(0.0, h.reshape(x.shape[0], -1) @ params["w3"]), y)


def in_matrices(params: Params, x: Any, y: Any) -> Any:
    """The loss with ``W1`` and ``W2`` as banded Toeplitz matrices, entry (i, j) of which is entry j - i of the kernel.

    Args:
        params: as for ``in_convolutions``.
        x: as for ``in_convolutions``.
        y: as for ``in_convolutions``.

    Returns:
        Scalar of the dtype of the arguments.

    Example:
        >>> params = {"k1": np.ones(1), "k2": np.ones(1), "w3": np.ones(2)}
        >>> round(float(in_matrices(params, np.array([[-1.0, 0.0]]), np.ones(1))), 6)
        0.693147
    """
    h = x
    for key in ("k1", "k2"):
        h = nn.relu(h @ toeplitz(params[key], h.shape[1]).T)
    return _logistic(np.maximum(0.0, h @ params["w3"]), y)


def toeplitz(kernel: Any, length: int) -> Any:
    """The matrix by which a convolution without padding multiplies a signal.

    Args:
        kernel: shape (K,).
        length: of the signal, L.

    Returns:
        Array of shape (L - K + 1, L), the kernel along its diagonals.

    Example:
        >>> toeplitz(np.array([1.0, 2.0]), 3).tolist()
        [[1.0, 2.0, 0.0], [0.0, 1.0, 2.0]]
    """
    size = kernel.shape[0]
    offsets = np.arange(length) - np.arange(length - size + 1)[:, None]
    band = (offsets >= 0) & (offsets < size)
    return np.where(band, kernel[np.clip(offsets, 0, size - 1)], np.zeros((), kernel.dtype))


def _logistic(f: Any, y: Any) -> Any:
    return np.mean(np.logaddexp(0.0, -y * f))


def _by_hand(
    forward: Callable[[np.ndarray, np.ndarray], np.ndarray],
    kernel_slope: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    transposed: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
) -> Callable[..., Answer]:
    """Value and gradient from the product W h of a layer, dk from delta and h, and W^T delta.

    With f = max(0, s): df/ds = [s > 0] and delta = -y / (1 + exp(y f)) / N [s > 0]; dw3 = h2^T delta; one layer down
    delta' = (delta w3^T) [z2 > 0], and dW2 = delta'^T h1.  An entry of a kernel stands on a whole diagonal of its
    matrix, so its slope is the sum of that diagonal of dW.  Then delta'' = (delta' W2) [z1 > 0], and so on.
    """

    def analytic(params: Params, x: np.ndarray, y: np.ndarray) -> Answer:
        k1, k2, w3 = params["k1"], params["k2"], params["w3"]
        z1 = forward(x, k1)
        h1 = np.maximum(z1, 0)
        z2 = forward(h1, k2)
        h2 = np.maximum(z2, 0)
        s = h2 @ w3
        margin = y * np.maximum(s, 0)
        value = np.mean(np.logaddexp(0.0, -margin))
        delta = -y * np.exp(-np.logaddexp(0.0, margin)) / len(x) * (s > 0)
        delta2 = np.outer(delta, w3) * (z2 > 0)
        delta1 = transposed(delta2, k2, h1.shape[1]) * (z1 > 0)
        return value, {
            "k1": kernel_slope(delta1, x, len(k1)),
            "k2": kernel_slope(delta2, h1, len(k2)),
            "w3": h2.T @ delta,
        }

    return analytic


def _convolve(h: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.lib.stride_tricks.sliding_window_view(h, len(kernel), axis=1) @ kernel


def _slope_of_kernel(delta: np.ndarray, h: np.ndarray, size: int) -> np.ndarray:
    """Entry k meets h shifted by k at every place."""
    width = delta.shape[1]
    return np.stack([np.vdot(delta, h[:, k : k + width]) for k in range(size)])


def _convolve_back(delta: np.ndarray, kernel: np.ndarray, length: int) -> np.ndarray:
    """The cotangent of every place, summed over the windows that it is in."""
    width = delta.shape[1]
    result = np.zeros((len(delta), length), delta.dtype)
    for k, weight in enumerate(kernel):
        result[:, k : k + width] += weight * delta
    return result


def _multiply(h: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return h @ toeplitz(kernel, h.shape[1]).T


def _sums_of_diagonals(delta: np.ndarray, h: np.ndarray, size: int) -> np.ndarray:
    whole = delta.T @ h
    return np.stack([np.trace(whole, offset=k) for k in range(size)])


def _multiply_back(delta: np.ndarray, kernel: np.ndarray, length: int) -> np.ndarray:
    return delta @ toeplitz(kernel, length)


def _problem(name: str, title: str, loss: Callable, analytic: Callable, form: str) -> Problem:
    def make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
        generator = np.random.default_rng(seed)
        params = {}
        for key in ("k1", "k2"):  # a kernel with a positive sum, for one without a positive entry ends the network
            kernel = generator.standard_normal(size["kernel"])
            params[key] = kernel - kernel.mean() + 0.5
        last = size["length"] - 2 * size["kernel"] + 2
        params["w3"] = np.abs(generator.standard_normal(last)) / np.sqrt(last)
        x = generator.standard_normal((size["batch"], size["length"]))
        y = generator.choice([-1.0, 1.0], size["batch"])
        return instance(loss, analytic, params, (x, y), dtype)

    description = (
        "The mean of ln(1 + exp(-y max(0, W3 max(0, W2 max(0, W1 x))))) on random signals, W1 and W2 banded Toeplitz "
        f"matrices, {form}; toeplitz-cnn and toeplitz-matrices have equal values and gradients at very different cost."
    )
    return problem(name, title, SIZES, make, description)


TOEPLITZ_CNN = _problem(
    "toeplitz-cnn",
    "Toeplitz network in convolutions",
    in_convolutions,
    _by_hand(_convolve, _slope_of_kernel, _convolve_back),
    "here as convolutions",
)

TOEPLITZ_MATRICES = _problem(
    "toeplitz-matrices",
    "Toeplitz network in matrices",
    in_matrices,
    _by_hand(_multiply, _sums_of_diagonals, _multiply_back),
    "here written out as matrices",
)
