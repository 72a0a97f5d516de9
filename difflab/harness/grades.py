"""Grades: how far a computed derivative is from the certified one, in norms, digits and units of the last place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import InputError
from .reference import Reference

EDGES = (0.0, 0.5, *(2.0**power for power in range(21)))
"""Upper ends of the bins of a histogram in ULPs: exactly right, correctly rounded, then powers of two to 2**20."""
BINS = len(EDGES) + 2
"""One for each of ``EDGES``, one for what is beyond the last of them, and one for what is not finite."""
SPLITTER = 2.0**27 + 1.0


class Coordinates(NamedTuple):
    """One certified array and what was computed for it, flat: only what is known; complex numbers as two reals.

    ``where`` are the flat positions in the computed array.
    """

    computed: np.ndarray
    high: np.ndarray
    low: np.ndarray
    radius: np.ndarray
    where: np.ndarray


def errors(result: Sequence[Any], reference: Reference) -> dict[str, Any]:
    """How far a computed derivative is from the certified one.

    A coordinate's error is taken relative to its own true value, or to ``eps * max|true values|`` where the true
    value is smaller than that: below it no algorithm that adds numbers of the result's size can have a correct
    digit, while an exact zero is still asked to come out as one.  ``eps`` is that of the array's dtype; of a complex
    number, the real and the imaginary part are two coordinates.  Where only a sample of coordinates is certified, all
    figures are those of the sample.

    Args:
        result: one float16, float32, float64 or complex array per array of the reference.
        reference: the truth.

    Returns:
        ``rel_error``: 2-norm of the error over all coordinates, relative to the norm of the truth; ``radius``: how far
        that number can be off; ``worst_rel_error``: relative error of the worst coordinate; ``digits``: correct
        decimal digits by norm, at most minus the logarithm of the unit roundoff (15.95, 7.22 or 3.31);
        ``worst_digits`` and ``median_digits``: those of the worst and of the middle coordinate, at most those of its
        dtype (15.65, 6.92 or 3.01), at least 0; ``ulps``: error of the worst coordinate in units of its last place;
        ``ulp_histogram``: how many coordinates have which error, see ``ulp_bin``; ``worst``: (array, index) of the
        worst coordinate; ``direction_error``: worst relative error of the product with a certified direction,
        relative to the true product, or to what is usual for a random direction v, ``|result| |v| / sqrt(n)``, where
        that is larger, ``None`` without directions; ``certified``: ``Reference.certified``.  Anything not finite
        counts as an infinite error; where a sample holds no coordinate, figures of coordinates are NaN.

    Raises:
        InputError: arrays that do not fit the reference.

    Example:
        >>> truth = Reference([np.array([1.0, 3.0])], [np.zeros(2)], [np.zeros(2)], 0.0, 160, 0, True, "")
        >>> grade = errors([np.array([1.0, 3.0 + 2.0**-50])], truth)
        >>> grade["ulps"], grade["worst"], grade["ulp_histogram"][:4]
        (2.0, (0, (1,)), [1, 0, 0, 1])
    """
    if len(result) != len(reference.high):
        raise InputError(f"a gradient of {len(result)} leaves does not fit a reference of {len(reference.high)}")
    arrays = [np.asarray(array) for array in result]
    found = [_coordinates(k, array, reference) for k, array in enumerate(arrays)]
    largest = max((float(np.max(np.abs(one.high), initial=0.0)) for one in found), default=0.0)
    misses, ratios, digits = [], [], []
    ulps, place = 0.0, (0, ())
    counts = np.zeros(BINS, np.int64)
    for k, (array, one) in enumerate(zip(arrays, found, strict=True)):
        miss, ratio, correct, units = _grades(one, largest)
        misses.append(miss)
        ratios.append(ratio)
        digits.append(correct)
        counts += _histogram(units, np.isfinite(one.computed))
        if units.size and float(np.max(units)) > ulps:
            at = int(one.where[np.argmax(units)])
            ulps, place = float(np.max(units)), (k, tuple(int(i) for i in np.unravel_index(at, array.shape)))
    every = np.concatenate(digits) if digits else np.zeros(0)
    norm, miss_norm = _norm([one.high for one in found]), _norm(misses)
    rel_error = miss_norm / norm if norm else (0.0 if miss_norm == 0 else math.inf)
    worst = max((float(np.max(ratio, initial=0.0)) for ratio in ratios), default=0.0)
    perfect = math.inf
    if not every.size and reference.sampled is not None:
        rel_error = worst = ulps = perfect = math.nan  # only directions are known
    roundoff = max((float(np.finfo(one.computed.dtype).eps) / 2 for one in found), default=0.0)
    return {
        "rel_error": rel_error,
        "radius": _norm([one.radius for one in found]) / norm if norm else 0.0,
        "worst_rel_error": worst,
        "digits": max(0.0, -math.log10(max(rel_error, roundoff))) if every.size else perfect,
        "worst_digits": float(np.min(every)) if every.size else perfect,
        "median_digits": float(np.median(every)) if every.size else perfect,
        "ulps": ulps,
        "ulp_histogram": [int(count) for count in counts],
        "worst": place,
        "direction_error": _direction_error(arrays, reference),
        "certified": reference.certified,
    }


def ulp_bin(number: int) -> str:
    """What the bin of that number of a histogram in ULPs holds, in words.

    Args:
        number: from 0 to ``BINS - 1``.

    Returns:
        Such as "exact", "up to 1/2", "2 to 4", "over 1048576" or "not finite".

    Example:
        >>> [ulp_bin(number) for number in (0, 1, 2, 3, BINS - 2, BINS - 1)]
        ['exact', 'up to 1/2', '1/2 to 1', '1 to 2', 'over 1048576', 'not finite']
    """
    if number >= len(EDGES):
        return "not finite" if number > len(EDGES) else f"over {EDGES[-1]:.0f}"
    names = ["0", "1/2", *(f"{edge:.0f}" for edge in EDGES[2:])]
    return "exact" if number == 0 else f"up to {names[1]}" if number == 1 else f"{names[number - 1]} to {names[number]}"


def _coordinates(k: int, computed: np.ndarray, reference: Reference) -> Coordinates:
    """The certified coordinates of array ``k`` of a result."""
    high, low, radius = reference.high[k], reference.low[k], reference.radius[k]
    if computed.shape != high.shape or computed.dtype.kind not in ("fc" if high.dtype.kind == "f" else "c"):
        raise InputError(f"leaf {k} of the gradient is {computed.dtype}{computed.shape}, not of shape {high.shape}")
    where = np.arange(computed.size)
    if reference.known is not None:
        where = where[reference.known[k].ravel()]
    parts = [array.ravel()[where] for array in (computed, high, low, radius)]
    if computed.dtype.kind == "c":
        widths = parts[3] if parts[3].dtype.kind == "c" else parts[3] * (1 + 1j)
        parts = [np.concatenate([np.real(part), np.imag(part)]) for part in (*parts[:3], widths)]
        where = np.concatenate([where, where])
    return Coordinates(*parts, where)


def _grades(one: Coordinates, largest: float) -> tuple[np.ndarray, ...]:
    """Absolute error, relative error, correct digits and units in the last place of every coordinate."""
    limits = np.finfo(one.computed.dtype)
    eps = float(limits.eps)
    wide = one.computed.astype(np.float64)
    scale = np.maximum(np.maximum(np.abs(one.high), eps * largest), float(limits.tiny))
    cap = -math.log10(eps)
    # A miss may be 0, infinite, or overflow in units of a true zero; all of these are answers.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        # Close numbers subtract without rounding, so the low part adds the digits that a double does not have.
        miss = np.where(np.isfinite(wide), np.abs((wide - one.high) - one.low), math.inf)
        ratio = miss / scale
        digits = np.clip(-np.log10(ratio), 0.0, cap) + 0.0  # no -0.0
        units = miss / (eps * 2.0 ** np.floor(np.log2(scale)))
    return miss, ratio, digits, units


def _histogram(units: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """How many coordinates fall into each bin."""
    bins = np.where(finite, np.searchsorted(EDGES, units, side="left"), BINS - 1)
    return np.bincount(bins, minlength=BINS)


def _norm(arrays: Sequence[np.ndarray]) -> float:
    """The 2-norm over all entries, without overflow on the way."""
    top = max((float(np.max(np.abs(array), initial=0.0)) for array in arrays), default=0.0)
    if top == 0.0 or not math.isfinite(top):
        return top
    return top * math.sqrt(math.fsum(float(np.sum((array / top) ** 2)) for array in arrays))


# ------------------------------------------------------------------------------------ directions


def _direction_error(arrays: Sequence[np.ndarray], reference: Reference) -> float | None:
    """The worst relative error of a product with a certified direction."""
    if not reference.directions:
        return None
    length, worst = _norm([array.astype(np.float64) for array in arrays]), 0.0
    count = max(1, sum(array.size for array in arrays))
    for vectors, high, low, _ in reference.directions:
        product = _product(arrays, vectors)
        miss = abs((product - high) - low) if math.isfinite(product) else math.inf
        usual = length * _norm(vectors) / math.sqrt(count) if math.isfinite(length) else 0.0
        scale = max(abs(high), usual)
        worst = max(worst, miss / scale if scale else (0.0 if miss == 0 else math.inf))
    return worst


def _product(arrays: Sequence[np.ndarray], vectors: Sequence[Any]) -> float:
    """The sum of all products, rounded once: each product with its rounding error (Dekker, 1971), then exact sums."""
    terms: list[float] = []
    for array, vector in zip(arrays, vectors, strict=True):
        a, b = (np.asarray(one, np.float64).ravel() for one in (array, vector))
        with np.errstate(all="ignore"):  # what overflows is no finite product, which is an answer
            product = a * b
            (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
            rest = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
        if not np.isfinite(product).all() or not np.isfinite(rest).all():
            return math.nan
        terms += [*product.tolist(), *rest.tolist()]
    return math.fsum(terms)


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers of half the digits whose sum is x (Veltkamp, 1968)."""
    shifted = SPLITTER * x
    high = shifted - (shifted - x)
    return high, x - high
