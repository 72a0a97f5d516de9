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
    whole = [k for k in case.left() if k in case.shaped and _cut_off(case, k)]
    if whole:
        case.explained.update(whole)
        names = listed([case.names[k] for k in whole])
        digits = "is right but for its fraction" if len(whole) == 1 else "are right but for their fractions"
        return [Finding("precision", f"{names} {digits}, which was cut off: integers cannot hold it.", names)]
    near = [
        k
        for k in case.left()
        if k in case.shaped
        and largest(first.given[k] - first.true[k]) <= CLOSE * max(largest(first.true[k]), 1e-300)
        and all(largest(point.given[k] - point.true[k]) > 0.0 for point in case.points)
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


def _cut_off(case: Case, k: int) -> bool:
    """Whether a block is the truth turned into integers."""
    return all(np.array_equal(point.given[k], np.trunc(point.true[k])) for point in case.points) and any(
        largest(point.given[k]) > 0.0 for point in case.points
    )


def _have(blocks: Sequence[int]) -> str:
    return "has" if len(blocks) == 1 else "have"


def _single(array: np.ndarray) -> bool:
    with np.errstate(all="ignore"):
        return bool(np.any(array)) and bool(np.array_equal(array, array.astype(np.float32).astype(array.dtype)))


def _quotient(case: Case, blocks: Sequence[int], point: Point, call: Callable[[Sequence[Any]], float]) -> str | None:
    """The difference quotient that gives the worst and the best coordinates, in words."""
    places: list[tuple[int, tuple[int, ...], float]] = []
    for k in blocks[:3]:
        error = np.abs(point.given[k] - point.true[k])
        for flat in (int(np.argmax(error)), int(np.argmin(error))):
            places.append((k, tuple(int(i) for i in np.unravel_index(flat, error.shape)), float(np.max(error))))
    if any(np.asarray(point.leaves[case.variables[k]]).dtype != np.float64 for k, *_ in places):
        return None

    def value(k: int, index: tuple[int, ...], step: float) -> float:
        position = case.variables[k]
        moved = wide(point.leaves[position]).copy()
        moved[index] += step
        return call([moved if i == position else leaf for i, leaf in enumerate(point.leaves)])

    for scheme in ("forward", "central"):
        for step in STEPS:
            fits = True
            for k, index, worst in places:
                low = value(k, index, -step if scheme == "central" else 0.0)
                found = (value(k, index, step) - low) / (2 * step if scheme == "central" else step)
                if not abs(found - float(point.given[k][index])) <= 0.05 * worst:
                    fits = False
                    break
            if fits:
                return f"{scheme} difference quotients with a step of {step:.2g}"
    return None
