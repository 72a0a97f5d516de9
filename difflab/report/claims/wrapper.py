"""The page of a study of wrappers: what replaying a tape costs beside the loss in the framework's own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import numbers
from ..answer import Answer
from ..cases import Case, backends
from ..kinds import Listing, Sections
from ..tables import Cell, Table, cell
from ..terms import Term
from . import examined, timed

GLOSSARY = (
    Term(
        "Replayed",
        "The loss recorded on a tape of NumPy operations and run again in the framework's own functions.",
        ("replay", "replaying"),
    ),
    Term(
        "Idiomatic",
        "The same loss as a user of the framework writes it there, with its own layers and in its favourite layout.",
    ),
    Term(
        "Wrapper's cost",
        "The time of the replayed gradient divided by that of the idiomatic one, less 1. Both are differentiated by "
        "the framework itself; below 0 the replayed one is the quicker.",
        ("cost of the wrapper", "replaying adds"),
    ),
    Term(
        "95 % interval",
        "Covers the median of the ratios in at least 95 of 100 repetitions; from pairs of samples in one process.",
        ("95 % intervals", "interval", "intervals", numbers.PLUS_MINUS),
    ),
)
METHOD = (
    "A worker process of one framework holds both losses, on the same data in the same dtype with the same threads, "
    "converted before any clock runs; samples of both take turns. Their gradients are compared first: a row whose "
    "gradients differ by more than rounding is wrong and is not timed.",
)
FAULT, WITHIN, SMALL = "fault", "within", "small"
MARKS = {
    FAULT: ("wrong", "over the limit"),
    WITHIN: ("right", "within the limit"),
    SMALL: ("allowed", "too short a row to be judged"),
}


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the matrix and the table of a study of wrappers.

    Args:
        cases: all rows of a run, with their findings.
    """
    found = [case for case in cases if case.ok and case.findings]
    caveats = examined.caveats(cases, examined.place_and_dtype)
    if not found:
        return Sections(examined.nothing(cases, "No wrapper was examined", caveats))
    answer = Answer(_sentences(found), caveats)
    return Sections(
        answer, tables=(_table(found),), matrix=_matrix(list(cases), found), glossary=GLOSSARY, method=METHOD
    )


def verdict(case: Case) -> str:
    """``fault``, ``within``, or ``small`` where the framework's own loss takes too little to be judged."""
    found = case.findings
    if 1e6 * found["other_seconds"] < found["from_us"]:
        return SMALL
    return FAULT if found["ratio"] - 1 > found["share"] else WITHIN


def _settled(case: Case) -> bool:
    """Whether the interval, if there is one, leaves the limit on one side."""
    low, high, limit = case.findings["ratio_low"], case.findings["ratio_high"], 1 + case.findings["share"]
    return low is None or high is None or not low <= limit <= high


def _cost(case: Case) -> float:
    return case.findings["ratio"] - 1


def _told(case: Case) -> str:
    """The cost with its interval, in running text: ``+12.0 ± 1.5 %``."""
    low, high = case.findings["ratio_low"], case.findings["ratio_high"]
    if low is None or high is None:
        return per_cent(_cost(case))
    text = numbers.measured_factor(100 * _cost(case), 100 * (low - 1), 100 * (high - 1), brackets=True)
    return f"{'+' if _cost(case) > 0 else ''}{text} %"


def per_cent(value: float) -> str:
    """A share as people write it, with its sign: ``+1.2 %``.

    >>> per_cent(0.0123), per_cent(1.5), per_cent(-0.00001)
    ('+1.2 %', '+150 %', '0.0 %')
    """
    text = f"{100 * value:+.1f}" if abs(value) < 0.0995 else f"{100 * value:+.0f}"
    return f"{text.lstrip('+-') if float(text) == 0 else numbers.signed(text)} %"


# ------------------------------------------------------------------------------------------------ the answer


def _sentences(found: Sequence[Case]) -> tuple[str, ...]:
    judged = [case for case in found if verdict(case) != SMALL]
    faults = sorted((case for case in judged if verdict(case) == FAULT), key=_cost, reverse=True)
    share, least = found[0].findings["share"], found[0].findings["from_us"]
    rows = f"{numbers.counted(len(judged), 'row')} of {numbers.seconds(least / 1e6)} or more"
    limit = f"{100 * share:g} %"
    if not judged:
        first = f"No row takes {numbers.seconds(least / 1e6)} or more, so none is judged."
    elif not faults:
        first = f"On {rows}, replaying a tape costs at most {_told(max(judged, key=_cost))}, within {limit}."
    else:
        named = [f"{_told(case)} with {examined.place_and_dtype(case)}" for case in faults[:3]]
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        cost = "costs" if len(faults) == 1 else "cost"
        open_ = sum(not _settled(case) for case in faults)
        unsure = f" ({open_} with {limit} inside the interval)" if open_ else ""
        first = f"Of {rows}, {len(faults)} {cost} more than {limit} to replay{unsure}: {numbers.listed(named)}{more}."
    parts = []
    for name in backends(list(found)):
        own = sorted((case for case in found if case.backend == name), key=_cost)
        span = " to ".join(dict.fromkeys((_told(own[0]), _told(own[-1]))))
        parts.append(f"{name} {span} ({numbers.counted(len(own), 'row')})")
    return first, f"Over all rows, the small ones too: {'; '.join(parts)}."


# ------------------------------------------------------------------------------------------------ matrix and table


def _matrix(cases: list[Case], found: Sequence[Case]) -> dict[str, Any]:
    names = backends(cases)
    rows = []
    for place in dict.fromkeys((case.place, case.dtype) for case in cases):
        own = {case.backend: case for case in cases if (case.place, case.dtype) == place}
        count = next(iter(own.values())).n_params
        rows.append(
            {
                "name": place[0],
                "sentence": f"{place[1]}, {numbers.parameters(count)}",
                "link": "",
                "link_text": "",
                "cells": [_cell(own.get(name)) for name in names],
            }
        )
    share, least = found[0].findings["share"], found[0].findings["from_us"]
    notes = [
        f"A tick: the wrapper costs at most {100 * share:g} %; a cross: more, which is a fault; a ring: the idiomatic "
        f"gradient takes less than {numbers.seconds(least / 1e6)}, so the row is shown and not judged; a dash: there "
        "is nothing to compare, and the notes of the answer say why.",
    ]
    return {"caption": "What replaying costs", "head": ["Row", *names], "rows": rows, "notes": notes}


def _cell(case: Case | None) -> dict[str, str]:
    if case is None:
        return {"text": "", "mark": "none", "word": "not in the study", "title": "not in the study"}
    if not (case.ok and case.findings):
        return {"text": case.outcome_words, "mark": "refused", "word": "", "title": case.reason}
    mark, word = MARKS[verdict(case)]
    found = case.findings
    times = f"{numbers.seconds(found['seconds'])} replayed, {numbers.seconds(found['other_seconds'])} idiomatic"
    return {"text": per_cent(_cost(case)), "mark": mark, "word": word, "title": f"{word}; {times}"}


def _table(found: Sequence[Case]) -> Listing:
    rows = tuple(_row(case) for case in found)
    columns = ("Framework", "Dtype", "Replayed", "Idiomatic", "Ratio", "95 % interval", "Judged", "Gradients differ by",
               "Calls", "Pairs")  # fmt: skip
    text = (
        "Medians of one value and gradient. Gradients differ by: the distance of both, relative to their length. "
        "Calls: of the framework's functions in the replayed loss."
    )
    return Listing("wrappers", "Replayed and idiomatic", text, Table(columns, rows))


def _row(case: Case) -> tuple[Cell, ...]:
    found = case.findings
    bounds = timed.between(found["ratio_low"], found["ratio_high"], lambda value: numbers.significant(value, 3))
    return (
        Cell(case.backend, under=case.place),
        Cell(case.dtype),
        cell(found["seconds"], numbers.seconds),
        cell(found["other_seconds"], numbers.seconds),
        cell(found["ratio"], lambda value: f"{numbers.significant(value, 3)} {numbers.TIMES}"),
        Cell(bounds),
        Cell(MARKS[verdict(case)][1]),
        cell(found["difference"], numbers.scientific),
        cell(found["calls"], numbers.count),
        cell(found["pairs"], numbers.count),
    )
