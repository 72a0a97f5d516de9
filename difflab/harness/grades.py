"""Grades: how far a computed gradient is from the certified one, in norms, digits and units of the last place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .reference import Reference


def errors(gradient: Sequence[Any], reference: Reference) -> dict[str, Any]:
    """How far a computed gradient is from the certified one.

    A coordinate's error is taken relative to its own true value, or to ``eps * max|true gradient|`` where the true
    value is smaller than that: below it no algorithm that adds numbers of the gradient's size can have a correct
    digit, while an exact zero is still asked to come out as one.  ``eps`` is that of the leaf's dtype.

    Args:
        gradient: one float array per leaf of the reference.
        reference: the truth.

    Returns:
        ``rel_error``: 2-norm of the error over all parameters, relative to the norm of the gradient; ``radius``: how
        far that number can be off; ``worst_digits``: correct decimal digits of the worst coordinate, at most those of
        its dtype (15.65 or 6.92), at least 0; ``ulps``: error of the worst coordinate in units of its last place;
        ``worst``: (leaf, index) of that coordinate; ``certified``: ``Reference.certified``.
        Anything not finite counts as an infinite error.

    Raises:
        InputError: leaves that do not fit the reference.
    """
    if len(gradient) != len(reference.high):
        raise InputError(f"a gradient of {len(gradient)} leaves does not fit a reference of {len(reference.high)}")
    largest = max((float(np.max(np.abs(array), initial=0.0)) for array in reference.high), default=0.0)
    misses, digits, ulps, place = [], math.inf, 0.0, (0, ())
    for k, (leaf, high, low) in enumerate(zip(gradient, reference.high, reference.low, strict=True)):
        computed = np.asarray(leaf)
        if computed.shape != high.shape or computed.dtype.kind != "f":
            raise InputError(f"leaf {k} of the gradient is {computed.dtype}{computed.shape}, not of shape {high.shape}")
        miss, correct, units = _coordinates(computed, high, low, largest)
        misses.append(miss.ravel())
        if correct.size:
            at = int(np.argmax(units))
            if float(units.flat[at]) > ulps:
                place = (k, tuple(int(i) for i in np.unravel_index(at, miss.shape)))
            digits, ulps = min(digits, float(np.min(correct))), max(ulps, float(units.flat[at]))
    norm = _norm(reference.high)
    miss_norm = _norm(misses)
    return {
        "rel_error": miss_norm / norm if norm else (0.0 if miss_norm == 0 else math.inf),
        "radius": _norm(reference.radius) / norm if norm else 0.0,
        "worst_digits": digits,
        "ulps": ulps,
        "worst": place,
        "certified": reference.certified,
    }


def _coordinates(computed: np.ndarray, high: np.ndarray, low: np.ndarray, largest: float) -> tuple[np.ndarray, ...]:
    """Absolute error, correct digits and units in the last place of every coordinate."""
    limits = np.finfo(computed.dtype)
    eps = float(limits.eps)
    wide = computed.astype(np.float64)
    scale = np.maximum(np.maximum(np.abs(high), eps * largest), float(limits.tiny))
    cap = -math.log10(eps)
    # A miss may be 0, infinite, or overflow in units of a true zero; all of these are answers.
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        # Close numbers subtract without rounding, so the low part adds the digits that a double does not have.
        miss = np.where(np.isfinite(wide), np.abs((wide - high) - low), math.inf)
        digits = np.clip(-np.log10(miss / scale), 0.0, cap)
        units = miss / (eps * 2.0 ** np.floor(np.log2(scale)))
    return miss, digits, units


def _norm(arrays: Sequence[np.ndarray]) -> float:
    """The 2-norm over all entries, without overflow on the way."""
    top = max((float(np.max(np.abs(array), initial=0.0)) for array in arrays), default=0.0)
    if top == 0.0 or not math.isfinite(top):
        return top
    return top * math.sqrt(math.fsum(float(np.sum((array / top) ** 2)) for array in arrays))
