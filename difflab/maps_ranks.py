"""Maps between arrays of all ranks, each with its Jacobian derived by hand: what have their derivatives for shapes?

A study names them as ``difflab.maps_ranks:RANKS``; its sizes are the families, by the rank of what comes out, and
``FAMILIES`` holds the maps themselves.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from . import nn
from .problems.record import Instance, instance, problem

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Map:
    """A function of one variable and of data that is not differentiated, and its Jacobian derived by hand.

    ``formula`` is what people read; ``shapes`` are those of the variable and then of the data;
    ``function(variable, *data)`` is the map and ``jacobian(variable, *data)`` its derivative in numerator layout, of
    shape out + in.
    """

    name: str
    formula: str
    shapes: tuple[Shape, ...]
    function: Callable[..., Any]
    jacobian: Callable[..., np.ndarray]

    def arguments(self, dtype: str | np.dtype = "float64", seed: int = 0) -> tuple[np.ndarray, ...]:
        """The point: random numbers between 1/2 and 3/2.

        Args:
            dtype: of the arrays; they are drawn in float64, so one seed means the same point in all.
            seed: with the name it decides the numbers.

        Returns:
            The variable and the data.

        Example:
            >>> [one.shape for one in FAMILIES["vectors"][1].arguments()]
            [(3,), (2, 3)]
        """
        generator = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        return tuple(np.asarray(generator.uniform(0.5, 1.5, shape), dtype) for shape in self.shapes)


def _unit(n: int) -> np.ndarray:
    return np.eye(n)


def _by_numbers(slope: Callable[..., Any], rank: int) -> Callable[..., np.ndarray]:
    """The Jacobian of an element-wise function of an array of a rank: its slope where all indices are equal."""
    own, other = "abcd"[:rank], "wxyz"[:rank]
    pairs = ",".join(map("".join, zip(own, other, strict=True)))

    def jacobian(variable: np.ndarray, *data: np.ndarray) -> np.ndarray:
        units = [_unit(extent) for extent in variable.shape]
        return np.einsum(f"{own},{pairs}->{own}{other}", slope(variable, *data), *units)

    return jacobian


def _kernel_slopes(kernel: np.ndarray, images: np.ndarray) -> np.ndarray:
    """An output at (r, c) in channel o has, by the entry (i, j) of channel c' of its own kernel, the pixel there."""
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel.shape[:2], axis=(1, 2))  # n r c channel i j
    return np.einsum("nrcxij,op->nrcoijxp", windows, _unit(kernel.shape[3]))


def _image_slopes(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """An output at (r, c) has the entry (i, j) of its kernel by the pixel at (r + i, c + j) of its own image."""
    count, height, width, channels = images.shape
    rows, columns = height - kernel.shape[0] + 1, width - kernel.shape[1] + 1
    found = np.zeros((count, rows, columns, kernel.shape[3], count, height, width, channels))
    for n, r, c in np.ndindex(count, rows, columns):
        found[n, r, c, :, n, r : r + kernel.shape[0], c : c + kernel.shape[1], :] = np.moveaxis(kernel, 3, 0)
    return found


def _softmax_share(t: np.ndarray) -> np.ndarray:
    return np.exp(t) / np.sum(np.exp(t))


SCALARS = (
    Map("scalar-by-scalar", "y = sin t", ((),), np.sin, np.cos),
    Map(
        "scalar-by-vector", "y = x\N{MODIFIER LETTER SMALL T} A x", ((3,), (3, 3)),
        lambda x, a: x @ a @ x, lambda x, a: (a + a.T) @ x,
    ),
    Map(
        "scalar-by-matrix", "y = sum((W x)\N{SUPERSCRIPT TWO})", ((2, 3), (3,)),
        lambda w, x: np.sum((w @ x) ** 2), lambda w, x: 2 * np.outer(w @ x, x),
    ),
    Map("scalar-by-rank-3", "y = ln sum exp T", ((2, 3, 4),), lambda t: np.log(np.sum(np.exp(t))), _softmax_share),
)  # fmt: skip
VECTORS = (
    Map("vector-by-scalar", "y = exp(-t a)", ((), (3,)), lambda t, a: np.exp(-t * a), lambda t, a: -a * np.exp(-t * a)),
    Map("vector-by-vector", "y = W g, by g", ((3,), (2, 3)), lambda g, w: w @ g, lambda g, w: w),
    Map(
        "vector-by-matrix", "y = W g, by W", ((2, 3), (3,)),
        lambda w, g: w @ g, lambda w, g: np.einsum("ik,l->ikl", _unit(len(w)), g),
    ),
    Map(
        "vector-by-rank-3", "y\N{LATIN SUBSCRIPT SMALL LETTER K} = sum over i, j of T\N{SUPERSCRIPT TWO}", ((2, 3, 4),),
        lambda t: np.sum(t**2, axis=(0, 1)), lambda t: 2 * np.einsum("ijl,kl->kijl", t, _unit(t.shape[2])),
    ),
    Map("vector-by-vector, element by element", "y = f * g, by f", ((4,), (4,)), lambda f, g: f * g,
        _by_numbers(lambda f, g: g, 1)),
)  # fmt: skip
MATRICES = (
    Map(
        "matrix-by-scalar", "Y = t A + t\N{SUPERSCRIPT TWO} B", ((), (2, 3), (2, 3)),
        lambda t, a, b: t * a + t**2 * b, lambda t, a, b: a + 2 * t * b,
    ),
    Map(
        "matrix-by-vector", "Y = x b\N{MODIFIER LETTER SMALL T}", ((3,), (4,)),
        lambda x, b: np.outer(x, b), lambda x, b: np.einsum("ik,j->ijk", _unit(len(x)), b),
    ),
    Map(
        "matrix-by-matrix, first factor", "Y = X W, by X", ((2, 3), (3, 4)),
        lambda x, w: x @ w, lambda x, w: np.einsum("ik,lj->ijkl", _unit(len(x)), w),
    ),
    Map(
        "matrix-by-matrix, second factor", "Y = X W, by W", ((3, 4), (2, 3)),
        lambda w, x: x @ w, lambda w, x: np.einsum("ik,jl->ijkl", x, _unit(w.shape[1])),
    ),
    Map(
        "matrix-by-matrix, transposed", "Y = X\N{MODIFIER LETTER SMALL T}", ((2, 3),),
        lambda x: x.T, lambda x: np.einsum("il,jk->ijkl", _unit(x.shape[1]), _unit(x.shape[0])),
    ),
    Map(
        "matrix-by-matrix, inverse", "Y = (A + 4 I)\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT ONE}", ((3, 3),),
        lambda a: np.linalg.inv(a + 4 * np.eye(3)),
        lambda a: -np.einsum("ik,lj->ijkl", *[np.linalg.inv(a + 4 * _unit(3))] * 2),
    ),
    Map(
        "matrix-by-rank-3", "Y\N{LATIN SUBSCRIPT SMALL LETTER I}\N{LATIN SUBSCRIPT SMALL LETTER J} = sum over k of T a",
        ((2, 3, 4), (4,)), lambda t, a: t @ a,
        lambda t, a: np.einsum("ik,jl,m->ijklm", _unit(t.shape[0]), _unit(t.shape[1]), a),
    ),
)  # fmt: skip
TENSORS = (
    Map("rank-3-by-scalar", "Y = sin(t) T", ((), (2, 3, 4)), lambda t, a: np.sin(t) * a, lambda t, a: np.cos(t) * a),
    Map(
        "rank-3-by-vector", "Y = A x, index by index", ((4,), (2, 3)),
        lambda x, a: a[:, :, None] * x, lambda x, a: np.einsum("ij,kl->ijkl", a, _unit(len(x))),
    ),
    Map(
        "rank-3-by-matrix", "Y = T W, matrix by matrix", ((3, 5), (2, 4, 3)),
        lambda w, t: t @ w, lambda w, t: np.einsum("bik,jl->bijkl", t, _unit(w.shape[1])),
    ),
    Map("rank-3-by-rank-3", "Y = tanh T", ((2, 3, 4),), np.tanh, _by_numbers(lambda t: 1 - np.tanh(t) ** 2, 3)),
    Map(
        "rank-4-by-rank-4, kernel", "Y = convolution of X with K, by K", ((2, 2, 1, 3), (2, 3, 4, 1)),
        lambda k, x: nn.conv2d(x, k), _kernel_slopes,
    ),
    Map(
        "rank-4-by-rank-4, images", "Y = convolution of X with K, by X", ((2, 3, 4, 1), (2, 2, 1, 3)),
        nn.conv2d, _image_slopes,
    ),
)  # fmt: skip
FAMILIES: Mapping[str, tuple[Map, ...]] = MappingProxyType(
    {"scalars": SCALARS, "vectors": VECTORS, "matrices": MATRICES, "tensors": TENSORS}
)
MAPS: Mapping[str, Map] = MappingProxyType({one.name: one for family in FAMILIES.values() for one in family})


def _make(size: Mapping[str, int], dtype: np.dtype, seed: int) -> Instance:
    """The family as one loss: the sum of all entries of all its maps, each a function of its own variable."""
    family = list(FAMILIES.values())[size["family"]]
    points = {one.name: one.arguments("float64", seed) for one in family}

    def loss(params: Mapping[str, Any], *data: Any) -> Any:
        rest = iter(data)
        total = 0.0
        for one in family:
            given = [next(rest) for _ in one.shapes[1:]]
            total = total + np.sum(one.function(params[one.name], *given))
        return total

    def analytic(params: Mapping[str, Any], *data: Any) -> tuple[Any, dict[str, Any]]:
        rest, slopes = iter(data), {}
        for one in family:
            variable, given = params[one.name], [next(rest) for _ in one.shapes[1:]]
            whole = one.jacobian(variable, *given)
            slopes[one.name] = np.sum(whole, axis=tuple(range(np.ndim(whole) - np.ndim(variable))))
        return loss(params, *data), slopes

    data = tuple(array for own in points.values() for array in own[1:])
    return instance(loss, analytic, {name: own[0] for name, own in points.items()}, data, dtype)


RANKS = problem(
    "ranks",
    "Maps between arrays of all ranks",
    {name: {"family": place, "maps": len(family)} for place, (name, family) in enumerate(FAMILIES.items())},
    _make,
    "Maps from arrays of rank 0 to 4 to arrays of rank 0 to 4, each with its Jacobian derived by hand; a size is the "
    "family of maps whose output has one rank.",
)
