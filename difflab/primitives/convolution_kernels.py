"""Convolutions with few channels and outputs on a GPU, without patches in memory; and when that is quicker.

A matrix product of patches is the quick way wherever its arithmetic outweighs writing and reading the patches: these
take ``taps`` numbers (kernel rows x columns x channels) for each window, the product ``taps x outputs`` multiplications
of them.  With few outputs the patches cost more than the product; there a thread computes up to ``GROUP`` outputs of a
window from the images themselves, and in the derivative up to ``GROUP`` entries of a kernel's cotangent from a part of
the windows.  The parts are added in order by a sum, so that every run gives the same bits.

``seconds`` decides.  Its constants are an H200's data sheet and guesses of what kernels reach; they are not measured.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .patch_kernels import Border, patch_shape, patches
from .raw_kernels import Layout, Text, c_type, device_primitive, empty, launch, offset, split, working
from .record import Aval

GROUP = 8
"""Outputs that a thread computes at once, in registers."""
WINDOWS = 96
"""Windows from which a thread adds up its part of a kernel's cotangent (not yet measured)."""


class Rates(NamedTuple):
    """What a GPU does in a second; not yet measured."""

    bandwidth: float = 4.8e12
    """Bytes moved to and from memory."""
    float32: float = 67e12
    """Operations on float32, TF32 off."""
    float64: float = 34e12
    """Operations on float64 outside tensor cores."""
    float64_products: float = 67e12
    """Operations on float64 in tensor cores, which matrix products use."""
    launch: float = 2e-6
    """Seconds from one kernel of a graph to the next."""
    product: float = 0.85
    """Share of the operations that a large matrix product reaches."""
    tile: int = 64
    """Columns that a matrix product computes together, whether there are so many or not."""
    direct: float = 0.25
    """Share of the operations that ``direct_products`` reaches."""
    direct_cotangent: float = 0.12
    """Share of the operations that ``direct_cotangents`` reaches."""
    step: float = 8e-9
    """Seconds from one product of a thread to the next, however few threads there are."""


def seconds(
    windows: int, taps: int, outputs: int, dtype: Any, *, derivative: bool = True, rates: Rates | None = None
) -> tuple[float, float]:
    """What a convolution costs with its patches in memory, and without.

    Args:
        windows: rows of the matrix of patches.
        taps: its columns.
        outputs: columns of the kernel's matrix.
        dtype: floating.
        derivative: whether the kernel's cotangent is computed as well.
        rates: what the GPU does.

    Returns:
        Seconds with patches, seconds without.

    Example:
        >>> small, large = seconds(128, 9, 8, np.float32), seconds(387200, 363, 64, np.float32)
        >>> small[0] > small[1], large[0] > large[1]
        (True, False)
    """
    rates = rates or Rates()
    itemsize = np.dtype(dtype).itemsize
    operations = 2.0 * windows * taps * outputs
    rate, product_rate = (rates.float64, rates.float64_products) if itemsize == 8 else (rates.float32, rates.float32)
    padded_outputs = -(-outputs // rates.tile) * rates.tile
    moved = windows * taps * itemsize / rates.bandwidth
    times = 2 if derivative else 1
    product = max(operations * padded_outputs / outputs / (product_rate * rates.product), moved)
    with_patches = rates.launch + moved + times * (rates.launch + product)
    without = rates.launch + max(operations / (rate * rates.direct), taps * rates.step)
    if derivative:
        parts = part_count(windows)
        share = max(operations / (rate * rates.direct_cotangent), windows / parts * rates.step)
        without += share + rates.launch * (1 if parts == 1 else 2)
    return with_patches, without


def is_direct(
    shape: tuple[int, ...], outputs: int, dtype: Any, *, size: Any, stride: Any, border: Border, derivative: bool = True
) -> bool:
    """Whether a convolution is computed without patches in memory.

    Args:
        shape: of the images.
        outputs: of the kernel.
        dtype: of both.
        size: rows and columns of the kernel.
        stride: rows and columns from one window to the next.
        border: zeros around the images.
        derivative: whether the kernel's cotangent is computed as well.

    Returns:
        Whether ``seconds`` prefers it, for floating numbers.

    Example:
        >>> is_direct((2, 8, 8, 1), 8, np.float32, size=(3, 3), stride=(1, 1), border=((1, 1), (1, 1)))
        True
    """
    axes = patch_shape(shape, size, stride, border)
    if np.dtype(dtype).kind != "f" or not math.prod(axes) or not outputs:
        return False
    with_patches, without = seconds(math.prod(axes[:3]), math.prod(axes[3:]), outputs, dtype, derivative=derivative)
    return without < with_patches


def group_of(outputs: int) -> int:
    """How many outputs a thread computes at once: the most, up to ``GROUP``, that divide them.

    Example:
        >>> group_of(16), group_of(10), group_of(7)
        (8, 5, 7)
    """
    return max(count for count in range(1, GROUP + 1) if outputs % count == 0)


def part_count(windows: int) -> int:
    """Into how many parts the windows are divided for the cotangent of a kernel.

    Example:
        >>> part_count(50176), part_count(10)
        (512, 1)
    """
    return max(min(windows // WINDOWS, 512), 1)


# ---------------------------------------------------------------------------- products


def _direct_products(x: np.ndarray, w: np.ndarray, **params: Any) -> np.ndarray:
    return patches.evaluate(x, **params) @ w


def _products_aval(x: Any, w: Any, size: Any, stride: Any, border: Border) -> Aval:
    return Aval((math.prod(patch_shape(x.shape, size, stride, border)[:3]), w.shape[1]), w.dtype)


def _products_device(xp: Any, x: Any, w: Any, *, size: Any, stride: Any, border: Border, out: Any = None) -> Any:
    out = empty(xp, out, _products_aval(x, w, size, stride, border).shape, w.dtype)
    return launch(xp, "direct_products", _products_text, [x, w], out, size=size, stride=stride, border=border)


def _taps(x: Layout, axes: tuple[int, ...], stride: Any, border: Border, inner: str) -> str:
    """Loops over the pixels under a window n, r, c that lie in the images; ``tap`` counts them all."""
    (above, _), (left, _) = border
    rows = "" if not any(border[0]) else f"if (p < 0 || p >= {x.shape[1]}) continue;"
    columns = "" if not any(border[1]) else f"if (q < 0 || q >= {x.shape[2]}) continue;"
    return f"""
        for (I a = 0; a < {axes[3]}; ++a) {{
            const I p = r * {stride[0]} + a - {above};
            {rows}
            for (I b = 0; b < {axes[4]}; ++b) {{
                const I q = c * {stride[1]} + b - {left};
                {columns}
                for (I k = 0; k < {axes[5]}; ++k) {{
                    const I tap = (a * {axes[4]} + b) * {axes[5]} + k;
                    {inner}
                }}
            }}
        }}"""


def _products_text(x: Layout, w: Layout, out: Layout, size: Any, stride: Any, border: Border) -> Text:
    axes, outputs = patch_shape(x.shape, size, stride, border), w.shape[1]
    group, kind = group_of(outputs), working(out.dtype)
    pixel = offset(("n", "p", "q", "k"), x.strides)
    weight = offset(("tap", f"o * {group} + j"), w.strides)
    inner = f"""
                    const {kind} value = ({kind})x0[{pixel}];
                    #pragma unroll
                    for (I j = 0; j < {group}; ++j) sum[j] += value * ({kind})x1[{weight}];"""
    # Threads of a warp share their outputs, so that they read the same weights.
    body = f"""
        {split("i", ("o", "n", "r", "c"), (outputs // group, *axes[:3]))}
        {kind} sum[{group}];
        #pragma unroll
        for (I j = 0; j < {group}; ++j) sum[j] = ({kind})0;
        {_taps(x, axes, stride, border, inner)}
        const I row = (n * {axes[1]} + r) * {axes[2]} + c;
        #pragma unroll
        for (I j = 0; j < {group}; ++j) out[{offset(("row", f"o * {group} + j"), out.strides)}]
            = ({c_type(out.dtype)})sum[j];"""
    return Text(out.size // group, body, contracted=True)


# ---------------------------------------------------------------------------- cotangents of kernels


def _direct_cotangents(x: np.ndarray, g: np.ndarray, *, parts: int, **params: Any) -> np.ndarray:
    rows = patches.evaluate(x, **params)
    share = -(-len(g) // parts)
    cuts = [slice(part * share, (part + 1) * share) for part in range(parts)]
    return np.stack([rows[cut].T @ g[cut] for cut in cuts])


def _cotangents_aval(x: Any, g: Any, size: Any, stride: Any, border: Border, parts: int) -> Aval:
    return Aval((parts, size[0] * size[1] * x.shape[3], g.shape[1]), g.dtype)


def _cotangents_device(
    xp: Any, x: Any, g: Any, *, size: Any, stride: Any, border: Border, parts: int, out: Any = None
) -> Any:
    params = {"size": size, "stride": stride, "border": border, "parts": parts}
    out = empty(xp, out, _cotangents_aval(x, g, **params).shape, g.dtype)
    return launch(xp, "direct_cotangents", _cotangents_text, [x, g], out, **params)


def _cotangents_text(x: Layout, g: Layout, out: Layout, size: Any, stride: Any, border: Border, parts: int) -> Text:
    axes, outputs = patch_shape(x.shape, size, stride, border), g.shape[1]
    group, kind = group_of(outputs), working(out.dtype)
    share = -(-g.shape[0] // parts)
    (above, _), (left, _) = border
    inside = f"if (p < 0 || p >= {x.shape[1]} || q < 0 || q >= {x.shape[2]}) continue;" if any(map(any, border)) else ""
    grouped = f"o * {group} + j"
    tap = offset(("a", "b", "k"), (axes[4] * axes[5], axes[5], 1))
    # Threads of a warp differ in their outputs first, then in their taps: they read the same windows.
    body = f"""
        {split("i", ("part", "a", "b", "k", "o"), (parts, *axes[3:], outputs // group))}
        {kind} sum[{group}];
        #pragma unroll
        for (I j = 0; j < {group}; ++j) sum[j] = ({kind})0;
        const U begin = (U)part * {share};
        const U end = begin + {share} < {g.shape[0]} ? begin + {share} : {g.shape[0]};
        for (U row = begin; row < end; ++row) {{
            {split("row", ("n", "r", "c"), axes[:3])}
            const I p = r * {stride[0]} + a - {above}, q = c * {stride[1]} + b - {left};
            {inside}
            const {kind} value = ({kind})x0[{offset(("n", "p", "q", "k"), x.strides)}];
            #pragma unroll
            for (I j = 0; j < {group}; ++j) sum[j] += value * ({kind})x1[{offset(("(I)row", grouped), g.strides)}];
        }}
        #pragma unroll
        for (I j = 0; j < {group}; ++j) out[{offset(("part", tap, grouped), out.strides)}]
            = ({c_type(out.dtype)})sum[j];"""
    return Text(out.size // group, body, contracted=True)


direct_products = device_primitive(
    "direct_products", _direct_products, _products_aval, _products_device,
    lambda avals, out, size, **params: 2.0 * out.size * avals[1].shape[0],
)  # fmt: skip
direct_cotangents = device_primitive(
    "direct_cotangents", _direct_cotangents, _cotangents_aval, _cotangents_device,
    lambda avals, out, size, **params: 2.0 * avals[1].size * out.shape[1],
)  # fmt: skip
PRIMITIVES = (direct_products, direct_cotangents)
