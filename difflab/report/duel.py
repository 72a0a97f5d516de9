"""The answer of a study with one general way and a gradient derived by hand: by how much they differ, and where."""

from __future__ import annotations

from collections.abc import Sequence

from ..harness.statistics import Ratio
from .cases import Case, family_of, method
from .numbers import listed
from .pairs import ratio, written

EVEN = 0.03


def duel(cases: Sequence[Case]) -> tuple[Case, list[tuple[Ratio, Case]]] | None:
    """The one general way's largest finished case, and its ratios to the hand-derived gradient, row by row.

    Args:
        cases: all rows of a run.

    Returns:
        ``None`` unless there is exactly one general way and a hand-derived gradient to compare it with.  Ratios are
        those of the epochs in which both took turns, with their intervals.
    """
    general = {case.backend for case in cases if family_of(case) not in ("analytic", "null")}
    by_hand = {_place(case): case for case in cases if family_of(case) == "analytic" and case.timed}
    if len(general) != 1 or not by_hand:
        return None
    own = [case for case in cases if case.backend in general and case.timed]
    pairs = [(ratio(case, other), case) for case in own if (other := by_hand.get(_place(case))) is not None]
    if not pairs:
        return None
    return max((case for _, case in pairs), key=lambda case: case.n_params), pairs


def sentence(pairs: Sequence[tuple[Ratio, Case]]) -> str:
    """``Reverse mode took 0.85 ± 0.02 to 1.1 ± 0.1 times as long as the hand-derived gradient: ...``."""
    least, most = (choose(pairs, key=lambda pair: pair[0].ratio) for choose in (min, max))
    name = method(pairs[0][1])
    start = f"{name[0].upper()}{name[1:]}"
    if len(pairs) == 1:
        return f"{start} took {written(least[0])} times as long as the hand-derived gradient."
    quicker = sum(found.ratio < 1 - EVEN for found, _ in pairs)
    slower = sum(found.ratio > 1 + EVEN for found, _ in pairs)
    level = len(pairs) - quicker - slower
    counts = [
        f"{count} {words}" for count, words in ((quicker, "quicker"), (level, "level"), (slower, "slower")) if count
    ]
    low, high = written(least[0]), written(most[0])
    span = f"{low} times" if low == high else f"{low} times ({_where(least[1])}) to {high} times ({_where(most[1])})"
    return (
        f"{start} took {span} as long as the hand-derived gradient: of {len(pairs)} rows, {listed(counts)}, "
        "where level means within 3 %."
    )


def _place(case: Case) -> tuple[str, str, str, str]:
    return case.problem, case.size, case.dtype, case.operator


def _where(case: Case) -> str:
    return f"{case.place}, {case.dtype}"
