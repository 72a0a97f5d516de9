"""Layers of convolutional networks with their derivatives by hand, in plain NumPy. Images are NHWC, kernels HWIO."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# the constants of local response normalisation in the network of 2012
NEIGHBOURS, ALPHA, BETA, BIAS = 5, 1e-4, 0.75, 2.0


def convolve(
    x: np.ndarray, w: np.ndarray, stride: int, padding: int, groups: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A convolution group by group: rows of patches (im2col) times the kernel as a matrix.

    Args:
        x: images, shape (N, H, W, C).
        w: kernel, shape (K, K, C / groups, O).
        stride: step between positions.
        padding: zeros on each side.
        groups: parts into which channels and outputs are divided.

    Returns:
        The result, shape (N, H', W', O), and the patches of every group, which ``convolve_back`` needs.

    Example:
        >>> convolve(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 1)), 2, 1, 1)[0][0, :, :, 0].tolist()
        [[4.0, 4.0], [4.0, 4.0]]
    """
    size, outputs = w.shape[0], w.shape[3]
    framed = _framed(x, padding)
    windows = sliding_window_view(framed, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    cells = windows.transpose(0, 1, 2, 4, 5, 3)
    patches = [part.reshape(-1, size * size * w.shape[2]) for part in np.split(cells, groups, axis=5)]
    kernels = np.split(w.reshape(-1, outputs), groups, axis=1)
    parts = [rows @ kernel for rows, kernel in zip(patches, kernels, strict=True)]
    return np.concatenate(parts, axis=1).reshape(*windows.shape[:3], outputs), patches


def _framed(x: np.ndarray, padding: int) -> np.ndarray:
    """Images inside a frame of zeros."""
    batch, height, width, channels = x.shape
    framed = np.zeros((batch, height + 2 * padding, width + 2 * padding, channels), x.dtype)
    framed[:, padding : padding + height, padding : padding + width] = x
    return framed


def kernel_slope(g: np.ndarray, patches: list[np.ndarray], w: np.ndarray) -> np.ndarray:
    """dL/dw of a convolution: with y = P w for every group, dw = P^T dy.

    Args:
        g: dL/dy, shape (N, H', W', O).
        patches: of every group, as ``convolve`` gave them.
        w: the kernel.

    Returns:
        Array of the shape of the kernel.

    Example:
        >>> y, patches = convolve(np.ones((1, 3, 3, 1)), np.ones((3, 3, 1, 2)), 1, 0, 1)
        >>> kernel_slope(np.ones_like(y), patches, np.ones((3, 3, 1, 2))).shape
        (3, 3, 1, 2)
    """
    parts = np.split(g.reshape(-1, w.shape[3]), len(patches), axis=1)
    return np.concatenate([rows.T @ part for rows, part in zip(patches, parts, strict=True)], axis=1).reshape(w.shape)


def convolve_back(g: np.ndarray, w: np.ndarray, x: np.ndarray, stride: int, padding: int, groups: int) -> np.ndarray:
    """dL/dx of a convolution: dP = dy w^T for every group, and every pixel sums the patches that it is in (col2im).

    Args:
        g: dL/dy, shape (N, H', W', O).
        w: the kernel.
        x: the images, for their shape.
        stride: as for ``convolve``.
        padding: as for ``convolve``.
        groups: as for ``convolve``.

    Returns:
        Array of the shape of the images.

    Example:
        >>> g = np.ones((1, 2, 2, 1))
        >>> convolve_back(g, np.ones((2, 2, 1, 1)), np.ones((1, 3, 3, 1)), 1, 0, 1)[0, :, :, 0].tolist()
        [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    batch, height, width, channels = x.shape
    rows, columns = g.shape[1:3]
    size, share = w.shape[0], w.shape[2]
    framed = np.zeros((batch, height + 2 * padding, width + 2 * padding, channels), g.dtype)
    parts = np.split(g.reshape(-1, w.shape[3]), groups, axis=1)
    kernels = np.split(w.reshape(-1, w.shape[3]), groups, axis=1)
    for group, (part, kernel) in enumerate(zip(parts, kernels, strict=True)):
        cells = (part @ kernel.T).reshape(batch, rows, columns, size, size, share)
        own = framed[..., group * share : (group + 1) * share]
        for (i, j), places in _places(size, stride, rows, columns):
            own[places] += cells[:, :, :, i, j]
    return framed[:, padding : padding + height, padding : padding + width]


def pool(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Maxima of windows, which may overlap.

    Args:
        x: images, shape (N, H, W, C).
        size: rows and columns of a window.
        stride: step between windows.

    Returns:
        Array of shape (N, (H - size) // stride + 1, (W - size) // stride + 1, C).

    Example:
        >>> pool(np.arange(16.0).reshape(1, 4, 4, 1), 3, 1)[0, :, :, 0].tolist()
        [[10.0, 11.0], [14.0, 15.0]]
    """
    rows, columns = ((extent - size) // stride + 1 for extent in x.shape[1:3])
    y = np.full((len(x), rows, columns, x.shape[3]), -np.inf, x.dtype)
    for _, places in _places(size, stride, rows, columns):
        np.maximum(y, x[places], out=y)
    return y


def pool_back(g: np.ndarray, x: np.ndarray, y: np.ndarray, size: int, stride: int) -> np.ndarray:
    """dL/dx of ``pool``: each cotangent goes to the first maximal element of its window, in row-major order.

    Args:
        g: dL/dy.
        x: the images.
        y: their maxima.
        size: as for ``pool``.
        stride: as for ``pool``.

    Returns:
        Array of the shape of the images; a pixel that is the maximum of several windows has the sum.

    Example:
        >>> x = np.array([[1.0, 5.0, 2.0]]).reshape(1, 1, 3, 1).repeat(2, axis=1)
        >>> pool_back(np.ones((1, 1, 2, 1)), x, pool(x, 2, 1), 2, 1)[0, :, :, 0].tolist()
        [[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]
    """
    dx, free = np.zeros_like(x), np.ones(y.shape, bool)
    for _, places in _places(size, stride, *y.shape[1:3]):
        first = (x[places] == y) & free
        free ^= first
        dx[places] += g * first
    return dx


def _places(size: int, stride: int, rows: int, columns: int) -> Iterator[tuple[tuple[int, int], tuple[slice, ...]]]:
    """For every cell (i, j) of a window the slices that take it from all windows."""
    for i in range(size):
        for j in range(size):
            down, right = i + stride * (rows - 1) + 1, j + stride * (columns - 1) + 1
            yield (i, j), (slice(None), slice(i, down, stride), slice(j, right, stride))


def normalise(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Local response normalisation y = x s^-beta with s = bias + alpha * the sum of x^2 over neighbouring channels.

    Args:
        x: images, shape (N, H, W, C).

    Returns:
        y and s, of the same shape.

    Example:
        >>> float(normalise(np.zeros((1, 1, 1, 3)))[1][0, 0, 0, 0])
        2.0
    """
    s = BIAS + ALPHA * _neighbours(x * x)
    return x * s**-BETA, s


def normalise_back(g: np.ndarray, x: np.ndarray, s: np.ndarray) -> np.ndarray:
    """dL/dx of ``normalise``.

    x_i stands in y_i and in the s_j of its neighbours, which are those that have it as a neighbour:
    dx_i = g_i s_i^-beta - 2 alpha beta x_i sum over neighbours j of g_j x_j s_j^(-beta - 1).

    Args:
        g: dL/dy.
        x: the images.
        s: as ``normalise`` gave it.

    Returns:
        Array of the same shape.

    Example:
        >>> x = np.zeros((1, 1, 1, 3))
        >>> round(float(normalise_back(np.ones_like(x), x, normalise(x)[1])[0, 0, 0, 0]), 6)  # 2^-0.75
        0.594604
    """
    power = s**-BETA
    return g * power - 2 * ALPHA * BETA * x * _neighbours(g * x * power / s)


def _neighbours(x: np.ndarray) -> np.ndarray:
    """The sum over a channel, two before and two after it."""
    total = x.copy()
    for distance in range(1, NEIGHBOURS // 2 + 1):
        total[..., distance:] += x[..., :-distance]
        total[..., :-distance] += x[..., distance:]
    return total
