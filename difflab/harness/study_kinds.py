"""The kinds of studies: what each needs of the harness and what it lets a study file set.

A kind is timed in epochs like any comparison, or examines each case once: then ``examinations/<kind>.py`` says what is
looked at.  ``difflab/report/claims/<kind>.py`` makes the page of every kind but the plain comparison.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

OF_ONE_NUMBER = ("gradient", "hvp", "hessian")
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
class Swell:
    """How many evaluations of a gradient its times are added up for, beside those of deriving and compiling it."""

    evaluations: int = setting(1000, 1, 10**7)


@dataclass(frozen=True)
class Graphs:
    """How often a tape is differentiated again: up to the derivative of this order."""

    order: int = setting(4, 2, 8)


@dataclass(frozen=True)
class Kind:
    """What a study of one kind needs.

    ``timed``: its cases are timed in epochs, interleaved, as in a comparison; otherwise each is examined once.
    ``alone``: its examination measures times or memory, so one case at a time.  ``reference``: its cases are graded
    against certified derivatives.  ``operators``: those it knows.  ``settings``: a frozen dataclass whose fields are
    made by ``setting`` (``Steps`` has a reader of its own); a study file sets them in a table named after the kind.
    ``parts``: names of what its page has between the answer and the table of all rows, in this order, where the data
    are there; they are the anchors of the page.
    """

    timed: bool = False
    alone: bool = False
    reference: bool = False
    operators: tuple[str, ...] = ("gradient",)
    settings: type | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Training:
    """How long every case of a training study trains: ``steps`` at most, and ``seconds`` at most, preparing included.

    ``rate`` 0 is the rate of each problem's own; ``momentum`` and ``precision`` are those of ``dl.descend``.  A quick
    run takes a quarter of the steps and half of the seconds.
    """

    steps: int = setting(10_000, 1, 10_000_000)
    seconds: float = setting(4.0, 0.1, 86400.0)
    rate: float = setting(0.0, 0.0, 1e6)
    momentum: float = setting(0.0, 0.0, 0.999)
    precision: float = setting(0.0, 0.0, 1e6)


@dataclass(frozen=True)
class Wall:
    """How layers are looked at in a study of Jacobians.

    ``repeats`` of what is timed; entries of the largest Jacobian that is ``pictured``; ``seconds`` that forming one
    may take by its forecast.
    """

    repeats: int = setting(5, 1, 100)
    pictured: int = setting(2048, 1, 2**14)
    seconds: float = setting(30.0, 0.1, 3600.0)


@dataclass(frozen=True)
class TensorChain:
    """The sizes of the two layers in a study of the chain rule.

    ``examples`` of ``inputs`` numbers each, ``units`` of a dense layer, ``kernel`` and ``channels`` of a convolution;
    ``scales`` multiply examples, inputs and units, and factors of more than ``formed`` entries together are counted
    only.
    """

    examples: int = setting(3, 1, 256)
    inputs: int = setting(6, 1, 4096)
    units: int = setting(4, 1, 4096)
    kernel: int = setting(3, 1, 64)
    channels: int = setting(2, 1, 64)
    scales: tuple[int, ...] = setting((1, 2, 4, 8), 1, 64)
    formed: int = setting(2**23, 1, 2**28)


@dataclass(frozen=True)
class Storage:
    """How long a case of a storage study takes turns with the loss, and from how many passes on only one is measured.

    A quick run takes a quarter of the ``seconds``.
    """

    seconds: float = setting(0.8, 0.01, 3600.0)
    passes: int = setting(100, 1, 10**9)


@dataclass(frozen=True)
class Wrapper:
    """How a replayed loss is held against one written in the framework's own words.

    Both take turns for ``seconds`` in one process, a quick run a quarter of it; ``share`` is what replaying may add to
    a row whose own loss takes ``from_us`` microseconds or more.
    """

    seconds: float = setting(2.0, 0.01, 3600.0)
    share: float = setting(0.05, 0.0, 10.0)
    from_us: float = setting(200.0, 0.0, 1e9)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "compare": Kind(
            timed=True, reference=True, operators=OPERATORS,
            parts=("bars", "scoreboard", "error", "ulps", "time", "memory", "operations", "forecast", "graph", "first"),
        ),
        "steps": Kind(reference=True, settings=Steps, parts=("steps", "graph", "optimum")),
        "swell": Kind(
            alone=True, reference=True, settings=Swell,
            parts=("operations", "multiples", "totals", "phases", "graph", "growth", "laue", "counts"),
        ),
        "crossover": Kind(
            timed=True, reference=True, operators=("jacobian",),
            parts=("shapes", "lanes", "forecast", "graph", "crossings", "passes"),
        ),
        "storage": Kind(alone=True, settings=Storage, parts=("depth", "trade", "graph", "deepest", "growth")),
        "wall": Kind(
            alone=True, operators=("jacobian",), settings=Wall,
            parts=("memory", "time", "zeros", "graph", "wall", "compressed", "plan", "structure", "every"),
        ),
        # each map carries the Jacobian derived by hand
        "shapes": Kind(parts=("matrix", "layouts", "graph", "counts", "rules", "shapes")),
        "chain": Kind(
            alone=True, settings=TensorChain,
            parts=("factors", "cost", "graph", "every-factor", "steps", "agreement", "cost-table"),
        ),
        "graphs": Kind(
            reference=True, settings=Graphs,
            parts=("lengths", "strips", "graph", "tapes", "orders", "primitives"),
        ),
        "ratio": Kind(
            timed=True, reference=True,
            parts=("work", "exponents", "forecast", "graph", "growth", "laws"),
        ),
        "training": Kind(
            alone=True, settings=Training,
            parts=("steps", "seconds", "parting", "regions", "first-layer", "inpainted", "graph", "trained"),
        ),
        "wrapper": Kind(alone=True, settings=Wrapper, parts=("matrix", "graph", "wrappers")),
        # each trap carries its own truth
        "traps": Kind(parts=("matrix", "graph", "counts", "reasons")),
    }
)  # fmt: skip
