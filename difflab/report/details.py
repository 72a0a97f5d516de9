"""What a page knows of each case beyond its row: its name in addresses, more columns, and its raw samples, as JSON.

Samples are whole numbers: a case has a unit, a power of ten in which its least sample has five digits, and its least
sample as a base from which the others count.  That is finer than what a clock of nanoseconds tells of them, and takes
three to four characters a sample.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..pages import in_script
from . import numbers, tables
from .cases import Case, title

BYTES = 400_000
"""What the samples of a page may take."""
DIGITS = 5  # of the least sample of a case
LONGEST = 72  # characters of a case's name in an address
LEAST = 3  # samples of a process that show its spread: the least, the middle and the largest
FACETS: tuple[tuple[str, Callable[[Case], str]], ...] = (
    ("Backend", lambda case: case.backend),
    ("Problem", lambda case: title(case.problem)),
    ("Outcome", lambda case: case.outcome_words),
)
Samples = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Details:
    """What a page says of its cases when one is selected.

    ``keys``: the names of the cases in addresses, in their order, and ``names`` by the id of the case; ``text``: the
    JSON, safe inside a script element;
    ``shown`` and ``every``: how many samples it holds and how many were measured; ``note``: a sentence where it does
    not hold all of them.
    """

    keys: tuple[str, ...]
    names: Mapping[str, str]
    text: str
    shown: int
    every: int
    note: str


def details(cases: Sequence[Case], samples: Mapping[str, Samples], limit: int = BYTES) -> Details:
    """The details of all cases of a page.

    Args:
        cases: in the order of the study.
        samples: seconds per call by case id, one list per process.
        limit: bytes that the samples may take.

    Returns:
        The names of the cases in addresses and a JSON object with ``columns`` (headings), ``rest`` (per case: a column
        and a text by turns), ``filters`` (a heading, its values, and per case which) and ``samples`` (per case 0, or
        the unit's power of ten, the base, and a list per process of what is above the base; where samples are left out
        also how many there were and the medians, and a 1 if the processes are pooled).

    >>> details([], {}).shown
    0
    """
    rest = tables.rest(cases, samples)
    columns = list(dict.fromkeys(name for pairs in rest.values() for name, _ in pairs))
    places = {name: place for place, name in enumerate(columns)}
    lists = [[[float(v) for v in one if math.isfinite(v)] for one in samples.get(case.case, ())] for case in cases]
    lists = [[one for one in own if one] for own in lists]
    encoded, note = _within(lists, limit)
    found = {
        "columns": columns,
        "rest": [[part for name, text in rest[case.case] for part in (places[name], text)] for case in cases],
        "filters": _facets(cases),
        "samples": encoded,
    }
    shown = sum(len(one) for case in encoded if case for one in case[2])
    every = sum(len(one) for own in lists for one in own)
    note = note and f"This page holds {numbers.grouped(shown)} of the {numbers.grouped(every)} raw samples: {note}."
    short = keys(cases)
    names = {case.case: key for case, key in zip(cases, short, strict=True)}
    return Details(short, names, in_script(_compact(found)), shown, every, note)


def keys(cases: Sequence[Case]) -> tuple[str, ...]:
    """A name for every case that can stand in an address and in an ``id``: small letters, digits, dots and dashes.

    Args:
        cases: in the order of the study.

    >>> keys([])
    ()
    """
    varies = [name for name in ("dtype", "device", "operator") if len({getattr(case, name) for case in cases}) > 1]
    found: dict[str, None] = {}
    for case in cases:
        words = [title(case.problem), case.size, case.backend, *(getattr(case, name) for name in varies)]
        key = name = slug(" ".join(words))[:LONGEST].strip("-.") or "case"
        number = 2
        while key in found:
            key, number = f"{name}-{number}", number + 1
        found[key] = None
    return tuple(found)


def slug(text: str) -> str:
    """A text in small letters, digits, dots and dashes.

    >>> slug("Finite (central), 1e-5")
    'finite-central-1e-5'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9.]+", "-", plain).strip("-.")


def _facets(cases: Sequence[Case]) -> list[tuple[str, list[str], list[int]]]:
    """What the cases can be chosen by, where they differ in it: a heading, its values, and the place of each case's."""
    found = []
    for name, read in FACETS:
        own = [read(case) for case in cases]
        values = {value: place for place, value in enumerate(dict.fromkeys(own))}
        if len(values) > 1:
            found.append((name, list(values), [values[value] for value in own]))
    return found


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ------------------------------------------------------------------------------------------------ samples


def _within(lists: Sequence[Samples], limit: int) -> tuple[list[Any], str]:
    """The samples in at most ``limit`` bytes, and what of them, in words; all of them where there is room."""
    whole = [_encoded(own) for own in lists]
    if len(_compact(whole)) <= limit:
        return whole, ""
    pooled = [[[value for one in own for value in one]] if own else [] for own in lists]
    for groups, words, pool in ((lists, "of each process", False), (pooled, "of each case", True)):
        low, high = LEAST - 1, max(len(one) for own in groups for one in own)  # the least is too few, the most too many
        best = None
        while high - low > 1:
            middle = (low + high) // 2
            found = [_encoded(own, middle, pool) for own in groups]
            if len(_compact(found)) <= limit:
                low, best = middle, found
            else:
                high = middle
        if best is not None:
            where = "at even distances in order of size, the least and the largest among them"
            return best, f"{words} at most {numbers.grouped(low)} {where}"
    return [0] * len(lists), "there are too many cases for more"


def _encoded(own: Samples, most: int | None = None, pooled: bool = False) -> Any:
    """The samples of a case as whole numbers, of each process at most so many; 0 without samples."""
    if not own:
        return 0
    base = min(value for one in own for value in one)
    power = math.floor(math.log10(base)) - (DIGITS - 1) if base > 0 else -9
    least = _whole(base, power)
    found: list[Any] = [power, least]
    kept = own if most is None else [_spread(one, most) for one in own]
    found.append([[_whole(value, power) - least for value in one] for one in kept])
    if most is not None:
        found.append([len(one) for one in own])
        found.append([_whole(_median(one), power) - least for one in own])
    return [*found, 1] if pooled else found


def _whole(value: float, power: int) -> int:
    """A value in units of a power of ten, which is divided by where that is exact."""
    return round(value * 10.0**-power if power < 0 else value / 10.0**power)


def _spread(values: Sequence[float], most: int) -> Sequence[float]:
    """At most so many of the values: the least, the largest, and others at even distances in their order."""
    if len(values) <= most:
        return values
    ordered = sorted(values)
    return [ordered[round(place * (len(ordered) - 1) / (most - 1))] for place in range(most)]


def _median(values: Sequence[float]) -> float:
    from statistics import median

    return median(values)
