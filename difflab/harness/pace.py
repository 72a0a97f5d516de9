"""How long the steps of a run have taken so far, and how long the like of them will take."""

from __future__ import annotations

from statistics import fmean
from typing import TypeVar

T = TypeVar("T", float, None)

FRESH = 0.7  # weight of the last step in what is expected of the next one like it


class Pace:
    """Durations in seconds, by kind of step and by names of what it was of, the most telling name first.

    >>> pace = Pace()
    >>> pace.expected("check", ["xor reverse", "reverse"], 1.0)
    1.0
    >>> pace.took("check", ["xor forward", "forward"], 3.0)
    >>> pace.expected("check", ["mlp forward", "forward"], 1.0), pace.expected("check", ["reverse"], None)
    (3.0, 3.0)
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, float]] = {}

    def took(self, kind: str, names: list[str], seconds: float) -> None:
        """Note a step that has come to its end."""
        known = self._known.setdefault(kind, {})
        for name in names:
            known[name] = seconds if name not in known else FRESH * seconds + (1 - FRESH) * known[name]

    def expected(self, kind: str, names: list[str], otherwise: T) -> float | T:
        """What a step of the first known name took, else the mean of its kind, else what is given."""
        known = self._known.get(kind, {})
        found = next((known[name] for name in names if name in known), None)
        if found is not None:
            return found
        return fmean(known.values()) if known else otherwise

    def longest(self, *kinds: str) -> float | None:
        """The longest that a step of some kinds is expected to take; ``None`` where none was seen."""
        return max((seconds for kind in kinds for seconds in self._known.get(kind, {}).values()), default=None)
