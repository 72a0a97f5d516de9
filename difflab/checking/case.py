"""What explanations are tried on: a given and a true gradient, block by block, at the example and nearby."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .answer import listed
from .record import Finding
from .sweep import Rule, Sweep

# An explanation must remove all but this share of the error, besides reaching the level of rounding.
REST = 0.01


@dataclass
class Point:
    """Arguments as flat leaves, and both gradients there in double precision; ``sweep`` where the loss has a tape."""

    leaves: list[Any]
    given: list[np.ndarray]
    true: list[np.ndarray]
    sweep: Sweep | None = None


@dataclass
class Explanation:
    """A finding that was verified, and what it explains.

    ``rank``: the smaller the better among those that explain the same blocks.  ``rules``: those on the tape, by
    position, that are wrong.
    """

    finding: Finding
    covers: frozenset[int]
    rank: int = 0
    rules: dict[int, Rule] = field(default_factory=dict)


@dataclass
class Case:
    """A gradient that is wrong.

    ``names``: of the blocks; ``variables``: which leaf each block belongs to; ``leaf_names``: of all leaves.
    ``slack``: per block the relative difference that rounding explains, ``floor`` likewise in absolute terms.
    ``wrong``: the blocks that are wrong; ``shaped``: those whose shape is right, among which numbers can be compared.
    """

    points: list[Point]
    names: list[str]
    variables: tuple[int, ...]
    leaf_names: list[str]
    slack: list[float]
    floor: list[float]
    wrong: list[int]
    shaped: list[int]
    explained: set[int] = field(default_factory=set)

    def near(self, k: int, a: Any, b: Any) -> bool:
        """Whether two versions of block ``k`` are equal to rounding."""
        if np.shape(a) != np.shape(b):
            return False
        scale = max(largest(a), largest(b))
        return largest(np.subtract(a, b)) <= self.slack[k] * scale + self.floor[k]

    def fits(self, k: int, predicted: Any, point: Point) -> bool:
        """Whether a prediction is what was given, and far nearer to it than the truth is."""
        given = point.given[k]
        if not self.near(k, predicted, given):
            return False
        true = point.true[k]
        return np.shape(true) != np.shape(given) or largest(predicted - given) <= REST * largest(true - given)

    def confirmed(self, k: int, predict: Callable[[Point], Any]) -> bool:
        """Whether a prediction of block ``k`` holds at every point at which the block is wrong, the first included.

        Where the truth is the prediction as well, a point says nothing.
        """
        first, *others = self.points
        if not self.fits(k, predict(first), first):
            return False
        return all(self.near(k, predict(point), point.given[k]) for point in others)

    def telling(self, k: int, factor: float) -> bool:
        """Whether a fitted constant can be false: not at one point for a block of one or two entries."""
        return len(self.points) > 1 or self.points[0].true[k].size > 2 or factor in (-1.0, 0.0, 0.5, 2.0)

    def left(self) -> list[int]:
        """Wrong blocks that nothing explains yet."""
        return [k for k in self.wrong if k not in self.explained]

    def explain(self, found: Iterable[Explanation]) -> list[Finding]:
        """Note what is explained and return the findings."""
        findings = []
        for one in found:
            self.explained |= one.covers
            findings.append(one.finding)
        return findings

    def subject(self, blocks: Sequence[int]) -> tuple[str, bool]:
        """Blocks as the subject of a sentence, and whether its verb is in the singular."""
        if len(blocks) == len(self.names) > 1:
            return "Every block", True
        return listed([self.names[k] for k in blocks]), len(blocks) == 1


def largest(array: Any) -> float:
    """The largest absolute value; 0 of nothing."""
    with np.errstate(all="ignore"):
        return float(np.max(np.abs(array), initial=0.0))


def ratio(a: Any, b: Any) -> float | None:
    """The constant c for which a is nearest to c * b; ``None`` where there is none or it is not real."""
    with np.errstate(all="ignore"):
        scale = largest(b)
        if scale == 0.0 or not np.isfinite(scale):
            return None
        unit = np.conj(b / scale)
        found = np.sum(a * unit) / np.sum((b / scale) * unit).real / scale
    if not np.isfinite(found) or abs(np.imag(found)) > 1e-6 * abs(found):
        return None
    return float(np.real(found))
