"""Who takes part in a comparison, who is the quickest there, and how the others compare, as parts of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..harness.statistics import Ratio
from . import numbers, pairs
from .cases import METHODS, YARDSTICKS, Case, Group, family_of, method
from .nouns import noun

LEVEL = 1.03  # ratios below are no practical difference
LEVEL_QUICK = 1.10  # without intervals more is needed
FEWER_DIGITS = 0.5  # below, two accuracies are called the same
MOST_NAMED = 5


@dataclass(frozen=True)
class Match:
    """The contestants of one group at the largest size at which two or more finished (or one, if two never did)."""

    group: Group
    size: str
    n_params: int
    cases: tuple[Case, ...]

    @property
    def level(self) -> tuple[Case, ...]:
        """The quickest case and those that cannot be told from it."""
        best = self.cases[0]
        return tuple(case for case in self.cases if case is best or _level(case, best))

    @property
    def where(self) -> str:
        """``digits-mlp (12 345 parameters)``."""
        return f"{self.group.title} ({numbers.counted(self.n_params, 'parameter')})"


@dataclass(frozen=True)
class Rival:
    """Some cases that were compared with the quickest of their match: of one backend, or of one family of them."""

    name: str
    pairs: tuple[tuple[Case, Case], ...]

    @property
    def ratios(self) -> list[Ratio]:
        """How many times as long each took, with its interval."""
        return [pairs.ratio(case, best) for case, best in self.pairs]

    @property
    def slowest(self) -> float:
        """The largest of the ratios."""
        return max(found.ratio for found in self.ratios)

    @property
    def general(self) -> bool:
        """Whether it is a general way of differentiating."""
        return family_of(self.pairs[0][0]) not in YARDSTICKS

    def told(self, first: bool = False, briefly: bool = False) -> str:
        """``forward mode took 39 ± 2 to 4 513 ± 92 times as long``, and its digits where the quickest has others.

        Args:
            first: whether no other rival is told before it in the same sentence.
            briefly: whether it is enough to say that the digits are fewer.
        """
        took, long = (" took", " as long") if first else ("", "")
        digits = self.digits(briefly)
        return f"{self.name}{took} {pairs.span(self.ratios)} times{long}{f' with {digits}' if digits else ''}"

    def digits(self, briefly: bool = False) -> str:
        """``9.7 correct digits``, by dtype where there are several; empty where they are as many as the quickest's.

        Args:
            briefly: whether ``fewer correct digits`` is enough, where they are fewer everywhere.
        """
        known: dict[str, list[tuple[float, float]]] = {}
        for case, best in self.pairs:
            if case.digits is not None and best.digits is not None:
                known.setdefault(case.dtype, []).append((case.digits, best.digits))
        parts = []
        if briefly and all(its - own >= FEWER_DIGITS for found in known.values() for own, its in found):
            return "fewer correct digits" if known else ""
        for dtype, found in known.items():
            if any(abs(own - its) >= FEWER_DIGITS for own, its in found):
                unit = "" if parts else " correct digits"
                parts.append(f"{spread([own for own, _ in found])}{unit}{f' in {dtype}' if len(known) > 1 else ''}")
        return numbers.listed(parts)


def match(group: Group) -> Match | None:
    """The contest of a group at its largest size with two contestants; ``None`` where nothing was timed.

    Args:
        group: cases that may be compared.
    """
    usable = [case for case in group.cases if case.timed and family_of(case) != "null"]
    general = [case for case in usable if family_of(case) not in YARDSTICKS] or usable
    found = []
    for size, n_params in group.sizes:
        there = sorted((case for case in general if case.size == size), key=seconds)
        if there:
            found.append(Match(group, size, n_params, tuple(there)))
    return max(found, key=lambda match: (min(2, len(match.cases)), match.n_params), default=None)


def leaders(matches: Sequence[Match]) -> frozenset[str]:
    """The backends that nobody beats in any of the matches."""
    return frozenset.intersection(*[frozenset(case.backend for case in match.level) for match in matches])


def rivals(matches: Sequence[Match], cases: Sequence[Case], by_family: bool) -> list[Rival]:
    """All that were compared with the quickest, the least slow first.

    Args:
        matches: the contests.
        cases: all rows of a run.
        by_family: whether the backends of a family, such as the schemes of finite differences, are one rival.
    """
    found: dict[str, tuple[set[str], list[tuple[Case, Case]]]] = {}
    for name in _others(matches, cases):
        met = [(c, m.cases[0]) for m in matches if (c := m.group.at(m.size, name)) is not None and c.timed]
        met = [(case, best) for case, best in met if case is not best]  # which the first sentence says
        if not met:
            continue
        family = family_of(met[0][0])
        key = family if by_family and family in METHODS else name
        names, together = found.setdefault(key, (set(), []))
        names.add(method(met[0][0]))
        together += met
    made = [
        Rival(names.pop() if len(names) == 1 else METHODS[key], tuple(together))
        for key, (names, together) in found.items()
    ]
    return sorted(made, key=lambda rival: rival.slowest)


def failures(matches: Sequence[Match], cases: Sequence[Case]) -> list[str]:
    """How far each backend came that finished at none of the sizes compared; nothing of those still open."""
    said = []
    sizes = {(match.group.title, match.size) for match in matches}
    for name in _others(matches, cases):
        own = [case for case in cases if case.backend == name]
        met = [case for m in matches if (case := m.group.at(m.size, name)) is not None and case.timed]
        if met or any(case.outcome == "interrupted" for case in own):
            continue
        ends = [case for case in own if not case.ok and any(case.size == size for _, size in sizes)] or own
        how = numbers.listed(list(dict.fromkeys(case.outcome_words for case in ends if not case.ok)))
        done = [case.n_params for case in own if case.ok]
        reach = f"beyond {numbers.counted(max(done), 'parameter')}" if done else "at all"
        said.append(f"{method(own[0])} gave no {noun(own)} {reach}{f' ({how})' if how else ''}")
    return said


def further(matches: Sequence[Match]) -> dict[str, tuple[Case, Group]]:
    """By backend, the largest case of a general way beyond the sizes compared, with its group."""
    found: dict[str, tuple[Case, Group]] = {}
    for match in matches:
        usable = [c for c in match.group.cases if c.timed and family_of(c) not in YARDSTICKS]
        last = max(usable, key=lambda case: case.n_params, default=None)
        if last is not None and last.n_params > match.n_params:
            known = found.get(last.backend)
            if known is None or known[0].n_params < last.n_params:
                found[last.backend] = last, match.group
    return found


def seconds(case: Case) -> float:
    """The time of one call."""
    return case.call_s or 0.0


def cost(case: Case) -> str:
    """``27.2 ± 2.1 µs``: the time of one call with its interval, for running text."""
    return numbers.measured(case.call_s, case.call_s_low, case.call_s_high, brackets=True)


def price(case: Case) -> str:
    """``2.50 ± 0.10``: the work ratio with its interval, for running text."""
    return numbers.measured_factor(case.work_ratio, case.work_ratio_low, case.work_ratio_high, brackets=True)


def spread(values: Sequence[float]) -> str:
    """Digits as ``5.7 to 6.1``, or one number where both ends read the same."""
    low, high = numbers.digits(min(values)), numbers.digits(max(values))
    return low if low == high else f"{low} to {high}"


def subject(cases: Sequence[Case]) -> str:
    """The methods of some cases, as people list them."""
    return numbers.listed([method(case) for case in cases])


def _others(matches: Sequence[Match], cases: Sequence[Case]) -> list[str]:
    """Backends that are not ahead everywhere, in order of appearance."""
    ahead = leaders(matches)
    return [n for n in dict.fromkeys(c.backend for c in cases if family_of(c) != "null") if n not in ahead]


def _level(case: Case, best: Case) -> bool:
    ratio = seconds(case) / seconds(best)
    if case.call_s_low is None or best.call_s_high is None:
        return ratio <= LEVEL_QUICK
    return ratio <= LEVEL or case.call_s_low <= best.call_s_high
