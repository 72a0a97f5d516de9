"""The answer of a study with one general way and a gradient derived by hand: by how much they differ, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import numbers
from .cases import Case, family_of, method

EVEN = 0.03


def duel(cases: Sequence[Case]) -> tuple[Case, list[tuple[float, Case]]] | None:
    """The one general way's largest finished case, and its ratios to the hand-derived gradient, row by row.

    Args:
        cases: all rows of a run.

    Returns:
        ``None`` unless there is exactly one general way and a hand-derived gradient to compare it with.  Ratios are
        the paired ones that the run stores where the hand-derived gradient was its baseline.
    """
    general = {case.backend for case in cases if family_of(case) not in ("analytic", "null")}
    by_hand = {_place(case): case for case in cases if family_of(case) == "analytic" and case.timed}
    if len(general) != 1 or not by_hand:
        return None
    own = [case for case in cases if case.backend in general and case.timed]
    pairs = []
    for case in own:
        other = by_hand.get(_place(case))
        if other is None:
            continue
        paired = case.ratio if case.ratio is not None and other.ratio is None else None
        pairs.append((paired or (case.call_s or math.nan) / (other.call_s or math.nan), case))
    if not pairs:
        return None
    return max((case for _, case in pairs), key=lambda case: case.n_params), pairs


def sentence(pairs: Sequence[tuple[float, Case]]) -> str:
    """``Reverse mode took 0.85 to 1.1 times as long as the hand-derived gradient: ...``, computed from the pairs."""
    least, most = min(pairs, key=lambda pair: pair[0]), max(pairs, key=lambda pair: pair[0])
    name = method(pairs[0][1])
    start = f"{name[0].upper()}{name[1:]}"
    if len(pairs) == 1:
        return f"{start} took {numbers.factor(least[0])} times as long as the hand-derived gradient."
    quicker = sum(ratio < 1 - EVEN for ratio, _ in pairs)
    slower = sum(ratio > 1 + EVEN for ratio, _ in pairs)
    level = len(pairs) - quicker - slower
    counts = [
        f"{count} {words}" for count, words in ((quicker, "quicker"), (level, "level"), (slower, "slower")) if count
    ]
    low, high = numbers.factor(least[0]), numbers.factor(most[0])
    span = f"{low} times" if low == high else f"{low} times ({_where(least[1])}) to {high} times ({_where(most[1])})"
    return (
        f"{start} took {span} as long as the hand-derived gradient: of {len(pairs)} rows, {numbers.listed(counts)}, "
        "where level means within 3 %."
    )


def _place(case: Case) -> tuple[str, str, str, str]:
    return case.problem, case.size, case.dtype, case.operator


def _where(case: Case) -> str:
    return f"{case.place}, {case.dtype}"
