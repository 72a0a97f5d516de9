"""The findings of a study of training as the page reads them: a run per case, a field per problem, size and dtype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..cases import YARDSTICKS, Case, family_of, groups

EXACT = ("analytic", "reverse", "forward", "symbolic", "complex-step")  # as exact as rounding allows, best first


@dataclass(frozen=True)
class Run:
    """What one case did; ``losses`` and ``seconds`` belong to ``steps``, a loss that is not finite is ``None``."""

    case: Case
    steps: tuple[int, ...]
    losses: tuple[float | None, ...]
    seconds: tuple[float, ...]
    done: int
    stopped: str
    prepare_s: float
    step_s: float | None
    more: Mapping[str, Any]

    @property
    def family(self) -> str:
        """The family of its backend."""
        return family_of(self.case)

    @property
    def yardstick(self) -> bool:
        """Whether it is no general way of getting a gradient."""
        return self.family in YARDSTICKS

    @property
    def diverged(self) -> bool:
        """Whether it ended at something that is not finite."""
        return self.stopped.startswith("diverged")

    @property
    def total(self) -> float:
        """Seconds from the beginning, preparing included, to the last step."""
        return self.seconds[-1]

    @property
    def last(self) -> float | None:
        """The loss at the end."""
        return self.losses[-1]

    @cached_property
    def by_step(self) -> dict[int, float | None]:
        """The loss by the number of the step."""
        return dict(zip(self.steps, self.losses, strict=True))

    def at(self, step: int) -> float | None:
        """The loss after so many steps, where it is known."""
        return self.by_step.get(step)

    @property
    def rate(self) -> float:
        """The learning rate."""
        return float(self.more.get("rate") or 0.0)

    @property
    def score(self) -> Mapping[str, Any] | None:
        """``what``, ``right`` and ``of``, where something is told right or wrong."""
        return self.more.get("score")

    @property
    def regions(self) -> Mapping[str, Any] | None:
        """The decision regions, in the plane."""
        return self.more.get("regions")

    @property
    def strength(self) -> float | None:
        """The factor of the penalty on the weights."""
        return self.more.get("strength")

    @property
    def weights_length(self) -> float | None:
        """The Euclidean length of all weights."""
        return self.more.get("weights_length")


@dataclass(frozen=True)
class Field:
    """The runs of one problem, size and dtype, in the order of the study."""

    place: str
    runs: tuple[Run, ...]

    @property
    def n_params(self) -> int:
        """How many numbers are trained."""
        return self.runs[0].case.n_params

    @cached_property
    def reference(self) -> Run:
        """The run from which departures are taken: the most exact one that did not diverge, the longest of several."""

        def rank(run: Run) -> tuple[bool, int, int]:
            return (
                run.diverged or not run.done,
                EXACT.index(run.family) if run.family in EXACT else len(EXACT),
                -run.done,
            )

        return min(self.runs, key=rank)

    @property
    def example(self) -> Run:
        """The run whose results stand for all: that of reverse mode, or else the one that came farthest."""
        sound = [run for run in self.runs if not run.diverged] or list(self.runs)
        return max(sound, key=lambda run: (run.family == "reverse", run.done))

    @property
    def moved(self) -> tuple[Run, ...]:
        """The runs that took a step at all: preparing may have taken all the time."""
        return tuple(run for run in self.runs if run.done)

    @property
    def common(self) -> int:
        """The last step at which the loss of every run that moved is known."""
        shared = set.intersection(*[set(run.steps) for run in self.moved]) if self.moved else set()
        return max(shared, default=0)

    def departures(self, run: Run) -> list[tuple[int, float]]:
        """By how much the loss of a run differs from the reference at every step where both are finite."""
        found = []
        for step, loss in zip(run.steps, run.losses, strict=True):
            other = self.reference.at(step)
            if loss is not None and other is not None:
                found.append((step, abs(loss - other) / (abs(other) or 1.0)))
        return found

    def farthest(self, step: int) -> tuple[Run, float | None]:
        """The run that departs most at a step and by how much; ``None`` for one that is not finite there."""
        gone = next((run for run in self.moved if run.at(step) is None), None)
        if gone is not None:
            return gone, None
        there = [(dict(self.departures(run)).get(step, 0.0), run) for run in self.moved]
        departure, run = max(there, key=lambda pair: pair[0])
        return run, departure


def read(case: Case) -> Run | None:
    """The run of a case, or ``None`` where it was not trained."""
    found = case.findings
    if not isinstance(found, Mapping) or not found.get("steps"):
        return None
    return Run(
        case,
        tuple(found["steps"]),
        tuple(found["loss"]),
        tuple(found["seconds"]),
        int(found["done"]),
        str(found["stopped"]),
        float(found["prepare_s"]),
        found.get("step_s"),
        found,
    )


def fields(cases: Sequence[Case]) -> list[Field]:
    """All runs by problem, size and dtype, in order of appearance; the dtype is named where it varies."""
    several = len({case.dtype for case in cases}) > 1
    found: dict[str, list[Run]] = {}
    for group in groups(list(cases)):
        for case in group.cases:
            if (run := read(case)) is not None:
                found.setdefault(f"{case.place} {case.dtype}" if several else case.place, []).append(run)
    return [Field(place, tuple(runs)) for place, runs in found.items()]
