"""Maps whose Jacobians are nearly all zeros, each with its entries derived by hand, from ten numbers to a million.

A study names them as ``difflab.maps_sparse:BURGERS``, ``:BUNDLE``, ``:BIDIAGONAL``, ``:CONVOLUTION_1D``, ``:ARROW`` and
``:BATCH``; what stands for their loss is the map itself.  ``ENTRIES`` has their entries by hand; the hand-derived
answer of a problem makes whole Jacobians of them, so it is for small sizes only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from .problems.record import Instance, Problem, instance, problem

Arrays = Mapping[str, Any]
VISCOSITY = 0.05
WIDTH = 5
"""Taps of the kernel of ``CONVOLUTION_1D``."""
CAMERA, POINT = 11, 3
"""Numbers of a camera (rotation 3, centre 3, focal length, principal point 2, distortion 2) and of a point."""


class Entries(NamedTuple):
    """The entries of a Jacobian that are not zero for their place alone: flat rows, flat columns and values."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray


class Made(NamedTuple):
    """A map at one size: ``function(params, *data)``, ``entries(params, *data)`` of its Jacobian by ``x``, a point."""

    function: Callable[..., Any]
    entries: Callable[..., Entries]
    x: np.ndarray
    data: tuple[np.ndarray, ...] = ()


def dense(entries: Entries, shape: tuple[int, ...], columns: int) -> np.ndarray:
    """A Jacobian with all its zeros.

    Args:
        entries: those that are not zero for their place alone; those of one place are added.
        shape: out + in.
        columns: the numbers in the variable.

    Returns:
        Shape ``shape``, of the dtype of the values.

    Example:
        >>> dense(Entries(np.array([0, 1]), np.array([1, 0]), np.array([2.0, 3.0])), (2, 2), 2).tolist()
        [[0.0, 2.0], [3.0, 0.0]]
    """
    found = np.zeros((math.prod(shape) // columns, columns), entries.values.dtype)
    np.add.at(found, (entries.rows, entries.columns), entries.values)
    return found.reshape(shape)


def _joined(*bands: tuple[Any, Any, Any]) -> Entries:
    """Entries in bands: rows, columns and values, each an array or a number for all of the band."""
    flat = [[part.ravel() for part in np.broadcast_arrays(*band)] for band in bands]
    rows, columns, values = (np.concatenate(parts) for parts in zip(*flat, strict=True))
    return Entries(rows, columns, values)


# ------------------------------------------------------------------------------------------------ bands


def _burgers(params: Arrays) -> Any:
    u = params["x"]
    h = 2 * math.pi / u.shape[0]
    right, left = np.roll(u, -1), np.roll(u, 1)
    return VISCOSITY * (right - 2 * u + left) / h**2 - u * (right - left) / (2 * h)


def _burgers_entries(params: Arrays) -> Entries:
    """A point meets itself and its two neighbours; the last has the first for a neighbour."""
    u = params["x"]
    n, h, rows = u.size, 2 * math.pi / u.size, np.arange(u.size)
    right, left, spread = np.roll(u, -1), np.roll(u, 1), VISCOSITY / h**2
    return _joined(
        (rows, rows, -2 * spread - (right - left) / (2 * h)),
        (rows, (rows + 1) % n, spread - u / (2 * h)), (rows, (rows - 1) % n, spread + u / (2 * h)),
    )  # fmt: skip


def _make_burgers(size: Mapping[str, int], generator: np.random.Generator) -> Made:
    angles = 2 * math.pi * np.arange(size["n"]) / size["n"]
    start = np.sin(angles + generator.uniform(0, 2 * math.pi)) + 0.1 * generator.standard_normal(size["n"])
    return Made(_burgers, _burgers_entries, start)


def _bidiagonal(params: Arrays) -> Any:
    x = params["x"]
    return 10 * (x[1:] - x[:-1] ** 2)


def _bidiagonal_entries(params: Arrays) -> Entries:
    x = params["x"]
    rows = np.arange(x.size - 1)
    return _joined((rows, rows, -20 * x[:-1]), (rows, rows + 1, x.dtype.type(10)))


def _make_bidiagonal(size: Mapping[str, int], generator: np.random.Generator) -> Made:
    return Made(_bidiagonal, _bidiagonal_entries, generator.standard_normal(size["n"]))


def _convolution(params: Arrays, kernel: Any) -> Any:
    x = params["x"]
    length = x.shape[0] - WIDTH + 1
    return np.tanh(sum(kernel[tap] * x[tap : tap + length] for tap in range(WIDTH)))


def _convolution_entries(params: Arrays, kernel: np.ndarray) -> Entries:
    """An output meets as many inputs as the kernel has taps, each by its tap and the slope of tanh."""
    y = _convolution(params, kernel)
    rows = np.arange(y.size)
    return _joined(*((rows, rows + tap, kernel[tap] * (1 - y * y)) for tap in range(WIDTH)))


def _make_convolution(size: Mapping[str, int], generator: np.random.Generator) -> Made:
    kernel = generator.standard_normal(WIDTH) / WIDTH
    return Made(_convolution, _convolution_entries, generator.standard_normal(size["n"]), (kernel,))


# ------------------------------------------------------------------------------------------------ an arrow, blocks


def _arrow(params: Arrays) -> Any:
    x = params["x"]
    return np.concatenate([np.sum(x * x, keepdims=True) / 2, x[0] * np.sin(x[1:])])


def _arrow_entries(params: Arrays) -> Entries:
    """The first output meets every input, and the first input meets every output; else there is the diagonal."""
    x = params["x"]
    rows = np.arange(1, x.size)
    return _joined((0, np.arange(x.size), x), (rows, 0, np.sin(x[1:])), (rows, rows, x[0] * np.cos(x[1:])))


def _make_arrow(size: Mapping[str, int], generator: np.random.Generator) -> Made:
    return Made(_arrow, _arrow_entries, generator.uniform(0.5, 1.5, size["n"]))


def _batch(params: Arrays, first: Any, second: Any) -> Any:
    return np.tanh(params["x"] @ first) @ second


def _batch_entries(params: Arrays, first: np.ndarray, second: np.ndarray) -> Entries:
    """An example meets itself alone: a block of outputs x inputs for each."""
    x = params["x"]
    slopes = 1 - np.tanh(x @ first) ** 2
    blocks = np.einsum("dh,nh,hm->nmd", first, slopes, second)
    examples, outputs, inputs = np.ogrid[tuple(slice(extent) for extent in blocks.shape)]
    return _joined((examples * blocks.shape[1] + outputs, examples * blocks.shape[2] + inputs, blocks))


def _make_batch(size: Mapping[str, int], generator: np.random.Generator) -> Made:
    widths = size["inputs"], size["hidden"], size["outputs"]
    weights = [generator.standard_normal(pair) / math.sqrt(pair[0]) for pair in itertools.pairwise(widths)]
    return Made(_batch, _batch_entries, generator.standard_normal((size["examples"], widths[0])), tuple(weights))


# ------------------------------------------------------------------------------------------------ bundle adjustment


def _turned(v: Any, x: Any) -> Any:
    """Rodrigues' formula: x, turned around v by its length; both (N, 3), no v zero."""
    angle = np.sqrt(np.sum(v * v, axis=1, keepdims=True))
    along = np.sum(v * x, axis=1, keepdims=True)
    a, b = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
    return np.cos(angle) * x + a * np.cross(v, x) + b * along * v


def _turned_slopes(v: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The derivatives of ``_turned`` by v and by x, both (N, 3, 3)."""
    angle = np.sqrt(np.sum(v * v, axis=1))[:, None, None]
    along, unit = np.sum(v * x, axis=1)[:, None, None], np.eye(3, dtype=v.dtype)
    a, b = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
    # each column of ``sides`` is a unit vector times x, each of ``around`` v times a unit vector
    sides = np.stack([np.cross(np.broadcast_to(one, x.shape), x) for one in unit], axis=2)
    around = np.stack([np.cross(v, np.broadcast_to(one, v.shape)) for one in unit], axis=2)
    by_angle = (
        -np.sin(angle) * x[:, :, None]
        + (np.cos(angle) - a) / angle * np.cross(v, x)[:, :, None]
        + (np.sin(angle) / angle**2 - 2 * b / angle) * along * v[:, :, None]
    )
    by_v = by_angle * v[:, None, :] / angle + a * sides + b * (along * unit + v[:, :, None] * x[:, None, :])
    return by_v, np.cos(angle) * unit + a * around + b * v[:, :, None] * v[:, None, :]


def _make_bundle(size: Mapping[str, int], generator: np.random.Generator) -> Made:
    cameras, points, count = size["cameras"], size["points"], size["observations"]
    seen_by = np.concatenate([np.arange(cameras), generator.integers(0, cameras, count)])[:count]
    seen = np.concatenate([np.arange(points), generator.integers(0, points, count)])[:count]
    middle, end = CAMERA * cameras, CAMERA * cameras + POINT * points

    def gathered(x: Any) -> tuple[Any, Any, Any]:
        """By observation its camera, its point and its weight."""
        return x[:middle].reshape(cameras, CAMERA)[seen_by], x[middle:end].reshape(points, POINT)[seen], x[end:]

    def residuals(params: Arrays, measured: Any) -> Any:
        camera, point, weight = gathered(params["x"])
        place = _turned(camera[:, :3], point - camera[:, 3:6])
        flat = place[:, :2] / place[:, 2:]
        square = np.sum(flat * flat, axis=1, keepdims=True)
        lens = 1 + camera[:, 9:10] * square + camera[:, 10:] * square**2
        found = camera[:, 6:7] * lens * flat + camera[:, 7:9]
        return np.concatenate([weight[:, None] * (found - measured), 1 - weight[:, None] ** 2], axis=1)

    def entries(params: Arrays, measured: np.ndarray) -> Entries:
        """The two errors of an observation meet their camera, point and weight; the third row the weight alone."""
        camera, point, weight = gathered(params["x"])
        place = _turned(camera[:, :3], point - camera[:, 3:6])
        by_v, turn = _turned_slopes(camera[:, :3], point - camera[:, 3:6])
        flat, depth = place[:, :2], place[:, 2, None, None]
        flat = flat / place[:, 2:]
        square, focal = np.sum(flat * flat, axis=1)[:, None], camera[:, 6:7]
        lens, unit = 1 + camera[:, 9:10] * square + camera[:, 10:] * square**2, np.eye(2, dtype=flat.dtype)
        steeper = 2 * (camera[:, 9:10] + 2 * camera[:, 10:] * square)
        bent = focal[:, :, None] * (lens[:, :, None] * unit + steeper[:, :, None] * flat[:, :, None] * flat[:, None, :])
        seen_from = np.concatenate([np.broadcast_to(unit, (count, 2, 2)), -flat[:, :, None]], axis=2) / depth
        by_place = bent @ seen_from
        by_lens = [(factor * flat)[:, :, None] for factor in (lens, focal * square, focal * square**2)]
        by_camera = np.concatenate([by_place @ by_v, -by_place @ turn, *by_lens], axis=2)
        error = focal * lens * flat + camera[:, 7:9] - measured
        rows = 3 * np.arange(count)[:, None, None] + np.arange(2)[:, None]
        own, base = end + np.arange(count), CAMERA * seen_by[:, None, None]
        most = np.r_[:7, 9:CAMERA]  # the principal point moves an error along its own axis alone
        return _joined(
            (rows, base + most, weight[:, None, None] * by_camera),
            (rows, base + np.array([[7], [8]]), weight[:, None, None]),
            (rows, middle + POINT * seen[:, None, None] + np.arange(POINT), weight[:, None, None] * by_place @ turn),
            (rows, own[:, None, None], error[:, :, None]), (3 * np.arange(count) + 2, own, -2 * weight),
        )  # fmt: skip

    camera = np.array([0.2, -0.1, 0.3, 0, 0, -5, 1, 0, 0, 0.1, 0.01]) + 0.05 * generator.standard_normal((cameras, 11))
    parts = camera, 0.5 * generator.standard_normal((points, 3)), generator.uniform(0.5, 1.5, count)
    measured = 0.1 * generator.standard_normal((count, 2))
    return Made(residuals, entries, np.concatenate([part.ravel() for part in parts]), (measured,))


# ------------------------------------------------------------------------------------------------ the problems

LENGTHS = MappingProxyType(
    {
        name: {"n": n}
        for name, n in (
            ("tiny", 12), ("small", 100), ("medium", 1000), ("large", 10_000), ("xlarge", 100_000), ("full", 1_000_000),
        )
    }
)  # fmt: skip
BUNDLE_SIZES: dict[str, dict[str, int]] = {
    name: dict(zip(("cameras", "points", "observations"), extents, strict=True))
    for name, extents in (
        ("tiny", (2, 4, 6)), ("small", (5, 50, 200)), ("medium", (10, 200, 1000)), ("large", (20, 1000, 5000)),
        ("full", (50, 8000, 30_000)),
    )
}  # fmt: skip
BATCH_SIZES = {
    name: {"examples": examples, "inputs": 8, "hidden": 16, "outputs": 4}
    for name, examples in (("tiny", 5), ("small", 64), ("medium", 512), ("large", 2048), ("full", 65_536))
}
ENTRIES: Mapping[str, Callable[[Mapping[str, int], np.random.Generator], Made]] = MappingProxyType(
    {
        "burgers": _make_burgers, "bundle": _make_bundle, "bidiagonal": _make_bidiagonal,
        "convolution-1d": _make_convolution, "arrow": _make_arrow, "batch": _make_batch,
    }
)  # fmt: skip
"""By the name of a problem what makes the map of a size: where the entries of its Jacobian are found by hand."""


def _sparse(name: str, title: str, sizes: Mapping[str, Mapping[str, int]], description: str) -> Problem:
    def make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
        made = ENTRIES[name](size, np.random.default_rng(seed))

        def by_hand(params: Arrays, *data: np.ndarray) -> tuple[Any, dict[str, np.ndarray]]:
            value, x = made.function(params, *data), params["x"]
            return value, {"x": dense(made.entries(params, *data), (*value.shape, *x.shape), x.size)}

        return instance(made.function, by_hand, {"x": made.x}, made.data, dtype)

    return problem(name, title, sizes, make, description)


BURGERS = _sparse(
    "burgers", "Viscous Burgers equation", LENGTHS,
    "The right-hand side of the viscous Burgers equation on a ring of n points, by central differences.",
)  # fmt: skip
BUNDLE = _sparse(
    "bundle", "Bundle adjustment", BUNDLE_SIZES,
    "The weighted errors of points seen by cameras: each depends on one camera, one point and one weight.",
)  # fmt: skip
BIDIAGONAL = _sparse(
    "bidiagonal", "Bidiagonal map", LENGTHS, "The residuals of Rosenbrock's function in n variables, each of two.",
)  # fmt: skip
CONVOLUTION_1D = _sparse(
    "convolution-1d", "Convolution of a signal", LENGTHS, "The tanh of a signal convolved with a kernel of five taps.",
)  # fmt: skip
ARROW = _sparse(
    "arrow", "Arrow map", LENGTHS, "One output of all inputs, one input in all outputs, and a diagonal beside.",
)  # fmt: skip
BATCH = _sparse(
    "batch", "Small network on a batch", BATCH_SIZES,
    "Two layers with 8 inputs and 4 outputs, for every example by itself.",
)  # fmt: skip
