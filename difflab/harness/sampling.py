"""Certifying a sample: single coordinates and random directions of a derivative that is too large to certify whole."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import transforms
from ..errors import CertificateError, UndecidedError
from ..execution.balls import ball, precision
from ..execution.exact import Certified, certify, split
from .reference import Direction, Reference
from .series_check import MAX_BITS, Evidence, Question, accusation

DIRECTIONS = 2
COORDINATES = 256
TARGET = 1e-25


def sample(question: Question, bits: int) -> Reference:
    """Certify products with random directions, then random coordinates, as many as there is time for.

    Power series give each number; rules in ball arithmetic check every direction, and all coordinates at once by
    their sum with random weights.

    Args:
        question: a gradient or a Hessian-vector product, and its clock.
        bits: first working precision.

    Raises:
        TimeoutError: not even one direction can be certified in time.
        UndecidedError, UnsupportedError, CertificateError: as ``certify.certified``.
    """
    moved = question.moved
    high, low = ([np.full(array.shape, np.nan) for array in moved] for _ in range(2))
    radius = [np.full(array.shape, np.inf) for array in moved]
    known = [np.zeros(array.shape, dtype=bool) for array in moved]
    directions: list[Direction] = []
    how = Certified([], [], [], bits, 0, True)
    cost = check_cost = 0.0
    for number in range(DIRECTIONS):
        if directions and not _affordable(question, cost + check_cost):
            break
        vector, begun = question.direction(number + 1), time.monotonic()
        found, how = _by_series(question, vector, how)
        cost, begun = time.monotonic() - begun, time.monotonic()
        how = _agree(question, vector, found, how)
        check_cost = time.monotonic() - begun
        directions.append(Direction(vector, *split(found)))
    places, weights, total = _places(question, moved), [], ball(0)
    rng = np.random.default_rng([question.seed, DIRECTIONS + 1])
    together = [np.zeros(array.shape) for array in moved]
    while len(weights) < len(places) and _affordable(question, cost + check_cost):
        leaf, index = places[len(weights)]
        unit = [np.zeros(array.shape) for array in moved]
        unit[leaf][index] = 1.0
        begun = time.monotonic()
        found, how = _by_series(question, unit, how)
        cost = max(cost, time.monotonic() - begun)
        high[leaf][index], low[leaf][index], radius[leaf][index] = split(found)
        known[leaf][index] = True
        weights.append(rng.integers(1, 2**16) / 2.0**16)
        together[leaf][index] = weights[-1]
        with precision(how.bits):
            total = total + found * ball(weights[-1])
    if weights:
        how = _agree(question, together, total, how)
    size = max(abs(one.high) for one in directions)
    widths = [one.radius for one in directions]
    widths += [float(part[mask].max(initial=0.0)) for part, mask in zip(radius, known, strict=True)]
    everything = sum(array.size for array in moved)
    return Reference(
        high,
        low,
        radius,
        math.nan,
        how.bits,
        how.ties,
        max(widths) <= TARGET * size,
        "; ".join(
            filter(
                None,
                (
                    f"a random sample, because certifying everything takes more than {question.deadline_s:g} s",
                    how.reason,
                ),
            )
        ),
        how.unproven,
        checked=True,
        sampled=(len(weights), everything),
        known=known,
        directions=directions,
    )


def _affordable(question: Question, seconds: float) -> bool:
    """Whether one more number and the last check can be expected to end in time."""
    left = question.left()
    return left is None or left > 1.5 * seconds


def _places(question: Question, moved: Sequence[np.ndarray]) -> list[tuple[int, tuple[int, ...]]]:
    """Random coordinates, each once: leaf and index."""
    rng = np.random.default_rng([question.seed, 0])
    ends = np.cumsum([array.size for array in moved])
    chosen = rng.choice(int(ends[-1]), size=min(COORDINATES, int(ends[-1])), replace=False)
    leaves = np.searchsorted(ends, chosen, side="right")
    return [
        (int(leaf), tuple(map(int, np.unravel_index(flat - ends[leaf] + moved[leaf].size, moved[leaf].shape))))
        for leaf, flat in zip(leaves, chosen, strict=True)
    ]


def _by_series(question: Question, vector: Sequence[np.ndarray], how: Certified) -> tuple[Any, Certified]:
    """The product of the derivative with a direction, at a precision that makes it narrow."""
    while True:
        try:
            with precision(how.bits):
                if question.operator == "hvp":
                    found = question.curvature(vector, question.vectors, how)
                else:
                    found = question.along(vector, 1, how)[0][1].item()
            if not found.is_finite():
                raise UndecidedError(f"the derivative along a direction has no finite enclosure at {how.bits} bits")
            if float(found.rad()) <= TARGET * float(abs(found.mid())) or 2 * how.bits > MAX_BITS:
                return found, how
        except UndecidedError:
            if not how.provenance:  # perhaps balls that look the same were computed alike
                how = how._replace(provenance=True)
                continue
            if 2 * how.bits > MAX_BITS:
                raise
        how = how._replace(bits=2 * how.bits)


def _agree(question: Question, vector: Sequence[np.ndarray], by_series: Any, how: Certified) -> Certified:
    """Raise unless the rules, in forward mode, enclose the same product; ``how``, with the ties that they met."""
    if question.operator == "hvp":
        tape, vectors, output = transforms.curvature(question.tape, question.wrt), [*vector, *question.vectors], 0
    else:
        tape, vectors, output = transforms.jvp(question.tape, question.wrt), list(vector), 1
    try:
        found = certify(tape, [*question.leaves, *vectors], bits=how.bits, deadline_s=question.left(), wrt=question.wrt)
    except TimeoutError:
        raise TimeoutError(
            f"no certificate within {question.deadline_s:g} s (by rules, along a random direction)"
        ) from None
    rule = found.balls[output].item()
    with precision(how.bits):
        if not ball(rule).overlaps(by_series):
            raise CertificateError(accusation(question, Evidence(rule, by_series, 0.0), how))
    return how._replace(ties=max(how.ties, found.ties))
