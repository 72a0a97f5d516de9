"""The answer of a study that computes the same in many dtypes: how many digits each way keeps in each of them."""

from __future__ import annotations

from collections.abc import Sequence

from . import numbers
from .cases import Case, Group, family_of, groups, method

ALIKE = 0.5  # digits; below, two accuracies are called the same
MANY = 3  # dtypes
MOST_NAMED = 5


def sentences(cases: Sequence[Case]) -> tuple[str, ...]:
    """Who kept the most and the fewest digits, at the largest sizes at which anything was graded; then all of them.

    Args:
        cases: all rows of a run.

    Returns:
        ``Reverse mode and ... kept the most digits ...: at least 15.6 in float64 and ...; ... the fewest, ...``, and a
        sentence with all; empty unless every problem is there in three dtypes at least, which asks for accuracy rather
        than speed.
    """
    found: dict[str, set[str]] = {}
    for case in cases:
        found.setdefault(case.problem, set()).add(case.dtype)
    if not found or min(map(len, found.values())) < MANY:
        return ()
    dtypes = list(dict.fromkeys(case.dtype for case in cases))
    graded = [case for group in groups(list(cases)) for case in _largest(group)]
    ways: dict[str, list[Case]] = {}
    for case in graded:
        ways.setdefault(case.backend, []).append(case)
    # Only who was graded in every dtype can be put beside the others in one row of numbers.
    ways = {name: own for name, own in ways.items() if {case.dtype for case in own} == set(dtypes)}
    if not ways:
        return ()
    clusters: list[list[list[Case]]] = []
    for own in sorted(ways.values(), key=lambda own: -sum(_least(own, dtypes))):
        if clusters and _alike(clusters[-1][0], own, dtypes):
            clusters[-1].append(own)
        else:
            clusters.append([own])
    most, fewest = clusters[0], clusters[-1]
    said = f"{_names(most)} kept the most digits at the largest sizes graded, at least {_digits(most, dtypes)}"
    said = f"{said[0].upper()}{said[1:]}"
    if len(clusters) == 1:
        return (f"{said}{_worst([case for own in most for case in own], dtypes)}.",)
    short = f"{said}; {_names(fewest)} the fewest, {_digits(fewest, dtypes, units=False)}."
    return short, f"At the largest sizes graded, {_told(clusters[:MOST_NAMED], dtypes)}."


def _names(cluster: Sequence[Sequence[Case]]) -> str:
    """The methods of a cluster; a few of many."""
    names = [method(own[0]) for own in cluster]
    more = len(names) - 2
    return numbers.listed(names if more < 2 else [*names[:2], f"{more} more"])


def _digits(cluster: Sequence[Sequence[Case]], dtypes: Sequence[str], units: bool = True) -> str:
    """``15.6 in float64, 6.9 in float32 and 3.3 in float16``, or only the numbers in the same order."""
    least = [numbers.digits(digits) for digits in _least([case for own in cluster for case in own], dtypes)]
    return numbers.listed([f"{one} in {dtype}" for one, dtype in zip(least, dtypes, strict=True)] if units else least)


def _largest(group: Group) -> list[Case]:
    """The graded cases at the largest size that has any."""
    there = [case for case in group.cases if case.digits is not None and family_of(case) != "null"]
    sizes = [size for size, _ in group.sizes if any(case.size == size for case in there)]
    return [case for case in there if case.size == sizes[-1]] if sizes else []


def _least(own: Sequence[Case], dtypes: Sequence[str]) -> list[float]:
    """The fewest digits in each dtype, over all problems."""
    return [max(0.0, min(case.digits or 0.0 for case in own if case.dtype == dtype)) for dtype in dtypes]


def _alike(one: Sequence[Case], other: Sequence[Case], dtypes: Sequence[str]) -> bool:
    return all(abs(a - b) < ALIKE for a, b in zip(_least(one, dtypes), _least(other, dtypes), strict=True))


def _told(clusters: Sequence[Sequence[list[Case]]], dtypes: Sequence[str]) -> str:
    parts = []
    for place, cluster in enumerate(clusters):
        names = numbers.listed([method(own[0]) for own in cluster])
        together = [case for own in cluster for case in own]
        least = [numbers.digits(digits) for digits in _least(together, dtypes)]
        if place:
            parts.append(f"{names} to {numbers.listed(least)}")
            continue
        was = "were" if len(cluster) > 1 or names.startswith("finite differences") else "was"
        by_dtype = [f"{digits} in {dtype}" for digits, dtype in zip(least, dtypes, strict=True)]
        by_dtype[0] = by_dtype[0].replace(" in", " digits in")
        parts.append(f"{names} {was} right to at least {numbers.listed(by_dtype)}{_worst(together, dtypes)}")
    return "; ".join(parts)


def _worst(cases: Sequence[Case], dtypes: Sequence[str]) -> str:
    """The digits of the worst coordinate in each dtype, in brackets."""
    found = []
    for dtype in dtypes:
        digits = [case.worst_digits for case in cases if case.dtype == dtype and case.worst_digits is not None]
        if not digits:
            return ""
        found.append(numbers.digits(min(digits)))
    return f" (the worst single coordinate to {numbers.listed(found)})"
