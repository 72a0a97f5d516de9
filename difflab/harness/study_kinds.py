"""The kinds of studies: what each needs of the harness and what it lets a study file set.

A kind is timed in epochs like any comparison, or examines each case once: then ``examine_<kind>.py`` beside this file
says what is looked at.  ``difflab/report/<kind>.py`` makes the page of every kind but the plain comparison.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

OPERATORS = ("gradient", "jacobian", "jvp", "vjp", "hvp", "hessian")
# Largest and smallest step; below the last, a step from 1 is lost in rounding.
RANGES = {"float64": (1e-1, 1e-16), "float32": (1e-1, 1e-8), "float16": (1e-1, 1e-4)}


@dataclass(frozen=True)
class Steps:
    """The steps that a V-curve tries: ``per_decade`` in each decade of the range of a dtype, largest first.

    >>> Steps(per_decade=1).grid("float32")
    [0.1, 0.01, 0.001, 0.0001, 1e-05, 1e-06, 1e-07, 1e-08]
    """

    ranges: dict[str, tuple[float, float]] = field(default_factory=lambda: dict(RANGES))
    per_decade: int = 2

    def grid(self, dtype: str, quick: bool = False) -> list[float]:
        """The steps for a dtype from the largest to the smallest; a quick run tries one in each decade."""
        largest, smallest = self.ranges[dtype]
        per_decade = 1 if quick else self.per_decade
        count = math.floor(per_decade * math.log10(largest / smallest) + 1e-9)
        return [float(f"{largest * 10 ** (-k / per_decade):.6g}") for k in range(count + 1)]


def setting(default: Any, low: float, high: float) -> Any:
    """A field of settings: a number, or a tuple of numbers, each from ``low`` to ``high``; whole where ``default`` is.

    Args:
        default: what it is where the study file does not say; its type is the type of the setting.
        low: the least that is allowed.
        high: the most.
    """
    return field(default=default, metadata={"low": low, "high": high})


@dataclass(frozen=True)
class Kind:
    """What a study of one kind needs.

    ``timed``: its cases are timed in epochs, interleaved, as in a comparison; otherwise each is examined once.
    ``alone``: its examination measures times or memory, so one case at a time.  ``reference``: its cases are graded
    against certified derivatives.  ``operators``: those it knows.  ``settings``: a frozen dataclass whose fields are
    made by ``setting`` (``Steps`` has a reader of its own); a study file sets them in a table named after the kind.
    """

    timed: bool = False
    alone: bool = False
    reference: bool = False
    operators: tuple[str, ...] = ("gradient",)
    settings: type | None = None


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "compare": Kind(timed=True, reference=True, operators=OPERATORS),
        "steps": Kind(reference=True, settings=Steps),
        "traps": Kind(),  # each trap carries its own truth
    }
)
