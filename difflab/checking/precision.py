"""Gradients that are right in their first digits only: computed in float32, or by difference quotients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .answer import listed
from .case import Case, Point, largest
from .record import Finding
from .sweep import wide

CLOSE = 0.02
STEPS = (*[10.0**-power for power in range(2, 10)], 2.0**-26, 2.0 ** (-52 / 3))


def imprecise(case: Case, call: Callable[[Sequence[Any]], float]) -> list[Finding]:
    """What is known of blocks that are nearly right, if anything is."""
    first = case.points[0]
    near = [
        k
        for k in case.left()
        if k in case.shaped
        and largest(first.given[k] - first.true[k]) <= CLOSE * max(largest(first.true[k]), 1e-300)
        and not any(case.near(k, point.given[k], point.true[k]) for point in case.points)
    ]  # fmt: skip
    if not near or near != case.left():
        return []
    names = listed([case.names[k] for k in near])
    worst = max(largest(first.given[k] - first.true[k]) / max(largest(first.true[k]), 1e-300) for k in near)
    digits = f"{-np.log10(worst):.1f} digits"
    quotient = _quotient(case, near, first, call)
    if quotient is not None:
        sentence = f"{names} {_have(near)} only {digits}: these are {quotient}"
    elif worst <= 1e-5 and all(_single(first.given[k]) for k in near):
        sentence = f"{names} {_have(near)} only {digits}: every entry is a float32 number, as if computed in float32"
    else:
        sentence = (
            f"{names} {_have(near)} only {digits}: the formula may lose digits (numbers that cancel, an approximation, "
            "an iteration stopped early) or miss a small term"
        )
    case.explained.update(near)
    return [Finding("precision", f"{sentence}.", names)]


def _have(blocks: Sequence[int]) -> str:
    return "has" if len(blocks) == 1 else "have"


def _single(array: np.ndarray) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.any(array)) and bool(np.array_equal(array, array.astype(np.float32).astype(array.dtype)))


def _quotient(case: Case, blocks: Sequence[int], point: Point, call: Callable[[Sequence[Any]], float]) -> str | None:
    """The difference quotient that gives the worst coordinates, in words."""
    places: list[tuple[int, tuple[int, ...]]] = []
    for k in blocks[:3]:
        error = np.abs(point.given[k] - point.true[k])
        places.append((k, tuple(int(i) for i in np.unravel_index(int(np.argmax(error)), error.shape))))
    if any(np.asarray(point.leaves[case.variables[k]]).dtype != np.float64 for k, _ in places):
        return None

    def value(k: int, index: tuple[int, ...], step: float) -> float:
        position = case.variables[k]
        moved = wide(point.leaves[position]).copy()
        moved[index] += step
        return call([moved if i == position else leaf for i, leaf in enumerate(point.leaves)])

    for scheme in ("forward", "central"):
        for step in STEPS:
            fits = True
            for k, index in places:
                low = value(k, index, -step if scheme == "central" else 0.0)
                found = (value(k, index, step) - low) / (2 * step if scheme == "central" else step)
                given, true = float(point.given[k][index]), float(point.true[k][index])
                if not abs(found - given) <= 0.05 * abs(given - true):
                    fits = False
                    break
            if fits:
                return f"{scheme} difference quotients with a step of {step:.2g}"
    return None
